//! Files that are held in uploads and in committables until they are committed, over a store in memory.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use flott_connector::sink::CommitOutcome;
use flott_testkit::batch;
use object_store::memory::InMemory;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{Error, MultipartId, ObjectStore, ObjectStoreExt, PutPayload, PutResult, Result};

use crate::objects::keys;
use crate::support::*;

/// A store that remembers which uploads are open, and loses some answers of completions.
struct Uploads {
    inner: InMemory,
    open: Mutex<Vec<String>>,
    parts: AtomicUsize,
    /// Parts do not arrive.
    held: AtomicBool,
    lost: AtomicUsize,
}

#[async_trait]
impl MultipartStore for Uploads {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        let id = self.inner.create_multipart(path).await?;
        self.open.lock().expect("not poisoned").push(id.clone());
        Ok(id)
    }

    async fn put_part(&self, path: &Path, id: &MultipartId, part: usize, data: PutPayload) -> Result<PartId> {
        while self.held.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.parts.fetch_add(1, Ordering::SeqCst);
        self.inner.put_part(path, id, part, data).await
    }

    async fn complete_multipart(&self, path: &Path, id: &MultipartId, parts: Vec<PartId>) -> Result<PutResult> {
        let done = self.inner.complete_multipart(path, id, parts).await?;
        self.open.lock().expect("not poisoned").retain(|open| open != id);
        match self.lost.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)) {
            Ok(_) => Err(Error::Generic { store: "lossy", source: "the connection was reset".into() }),
            Err(_) => Ok(done),
        }
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        let removed = {
            let mut open = self.open.lock().expect("not poisoned");
            let place = open.iter().position(|o| o == id);
            place.map(|i| open.remove(i))
        };
        if removed.is_none() {
            return Err(Error::NotFound { path: path.to_string(), source: "no such upload".into() });
        }
        self.inner.abort_multipart(path, id).await
    }
}

/// A table, its store and its uploads.
fn table(columns: &str) -> (Table, Arc<dyn ObjectStore>, Arc<Uploads>) {
    let memory = InMemory::new();
    let store: Arc<dyn ObjectStore> = Arc::new(memory.clone());
    let uploads = Arc::new(Uploads {
        inner: memory,
        open: Mutex::default(),
        parts: AtomicUsize::new(0),
        held: AtomicBool::new(false),
        lost: AtomicUsize::new(0),
    });
    let table = Table::new("t", columns).store(Arc::clone(&store)).multipart(Arc::clone(&uploads) as _);
    (table, store, uploads)
}

fn rows(count: usize, bytes: usize) -> Vec<String> {
    (0..count).map(|i| format!("+I[{i:06}{}]", "x".repeat(bytes))).collect()
}

fn open(uploads: &Uploads) -> usize {
    uploads.open.lock().expect("not poisoned").len()
}

/// Keys without hidden ones.
async fn visible(store: &Arc<dyn ObjectStore>) -> Vec<String> {
    keys(store).await.into_iter().filter(|k| !k.contains("/.")).collect()
}

#[tokio::test]
async fn nothing_is_to_be_seen_before_the_commit() {
    // Inline; one part; several parts.
    for (count, bytes, parts) in [(10, 10, 0), (10, 100_000, 1), (100, 300_000, 4)] {
        let (table, store, uploads) = table("a STRING");
        let rows = rows(count, bytes);
        let sink = table.sink();
        let staged = staged(writer_of(&sink, 1, 0).as_mut(), &[batch("a STRING", &rows)], 1).await;
        assert_eq!(visible(&store).await, Vec::<String>::new());
        assert_eq!((uploads.parts.load(Ordering::SeqCst), open(&uploads)), (parts, usize::from(parts > 0)));
        assert_eq!(keys(&store).await.len(), usize::from(parts > 0), "one note for each upload");
        for outcome in [CommitOutcome::Committed, CommitOutcome::AlreadyCommitted] {
            let outcomes = committer_of(&sink, 1).commit(&decided(1), &staged).await.expect("committed");
            assert_eq!(outcomes, [outcome]);
        }
        assert_eq!((keys(&store).await.len(), open(&uploads)), (1, 0), "the note is gone");
        assert_eq!(table.read_sorted().await, rows);
    }
}

#[tokio::test]
async fn an_answer_that_is_lost_is_found_out() {
    let (table, store, uploads) = table("a STRING");
    let rows = rows(10, 100_000);
    let sink = table.sink();
    let staged = staged(writer_of(&sink, 1, 0).as_mut(), &[batch("a STRING", &rows)], 1).await;
    uploads.lost.store(1, Ordering::SeqCst);
    let outcomes = committer_of(&sink, 1).commit(&decided(1), &staged).await.expect("outcomes");
    assert!(matches!(outcomes[..], [CommitOutcome::RetryLater { .. }]), "{outcomes:?}");
    let outcomes = committer_of(&sink, 2).commit(&decided(1), &staged).await.expect("outcomes");
    assert_eq!(outcomes, [CommitOutcome::AlreadyCommitted]);
    assert_eq!(keys(&store).await.len(), 1);
    assert_eq!(table.read_sorted().await, rows);
}

#[tokio::test]
async fn uploads_of_dead_attempts_are_aborted_and_no_others() {
    let (table, store, uploads) = table("a STRING");
    let rows = rows(10, 100_000);
    let rows = batch("a STRING", &rows);
    let sink = table.sink();
    // Somebody else's, to the same prefix.
    uploads.create_multipart(&Path::from("t/part-other")).await.expect("begun");
    let kept = staged(writer_of(&sink, 1, 0).as_mut(), std::slice::from_ref(&rows), 1).await;
    let dead = staged(writer_of(&sink, 1, 1).as_mut(), std::slice::from_ref(&rows), 1).await;
    // Killed in the middle: no checkpoint names it.
    let mut killed = writer_of(&sink, 1, 2);
    let large = crate::uploads::rows(100, 100_000);
    killed.write(batch("a STRING", &large)).await.expect("written");
    drop(killed);
    assert_eq!(open(&uploads), 4);
    committer_of(&sink, 2).clean_up(&[kept[0].id.clone()]).await.expect("clean");
    assert_eq!(open(&uploads), 2);
    let e = committer_of(&sink, 2).commit(&decided(1), &dead).await;
    assert!(e.is_err() || matches!(e.expect("outcomes")[..], [CommitOutcome::RetryLater { .. }]));
    committer_of(&sink, 2).commit(&decided(1), &kept).await.expect("committed");
    assert_eq!((visible(&store).await.len(), open(&uploads)), (1, 1));

    // An aborted checkpoint's, twice; and a writer that is closed.
    let aborted = staged(writer_of(&sink, 2, 0).as_mut(), std::slice::from_ref(&rows), 2).await;
    for _ in 0..2 {
        committer_of(&sink, 2).abort(&aborted).await.expect("aborted");
    }
    let mut closed = writer_of(&sink, 2, 0);
    closed.write(batch("a STRING", &large)).await.expect("written");
    closed.close().await.expect("closed");
    assert_eq!((keys(&store).await.len(), open(&uploads)), (1, 1));
}

/// A note as it was once written, of an upload with this id.
fn note_1(id: &str) -> String {
    let json = format!("{{\"target\":\"part-x\",\"id\":\"{id}\"}}");
    format!("flott upload 1 {:08x}\n{json}", crc32fast::hash(json.as_bytes()))
}

#[tokio::test]
async fn no_damage_of_a_note_is_followed() {
    let (table, store, uploads) = table("a STRING");
    let sink = table.sink();
    let id = uploads.create_multipart(&Path::from("t/part-x")).await.expect("begun");
    let name = format!(".flott-staging/lineage/1/{}/0/part-x.upload", crate::damage::OPERATOR);
    let key = Path::from(format!("t/{name}"));
    let note = note_1(&id);
    for damaged in crate::damage::damages(note.as_bytes()) {
        store.put(&key, damaged.into()).await.expect("put");
        let e = committer_of(&sink, 2).clean_up(&[]).await.expect_err("damaged");
        crate::damage::expect_refused(&e, &name);
        assert_eq!(open(&uploads), 1);
    }
    store.put(&key, note.replacen("upload 1", "upload 99", 1).into()).await.expect("put");
    let e = committer_of(&sink, 2).clean_up(&[]).await.expect_err("another version");
    assert!(e.to_string().contains("format version 99"), "{e}");
    store.put(&key, note.into()).await.expect("put");
    committer_of(&sink, 2).clean_up(&[]).await.expect("whole again");
    assert_eq!((open(&uploads), keys(&store).await.len()), (0, 0));
}

#[tokio::test]
async fn many_small_files_do_not_swell_the_checkpoint() {
    let (table, _, uploads) = table("a STRING, p INT");
    let table = table.partitioned_by(&["p"]);
    let sink = table.sink();
    let rows: Vec<String> = (0..40).map(|i| format!("+I[{}, {i}]", "x".repeat(50_000))).collect();
    let mut writer = writer_of(&sink, 1, 0);
    for checkpoint in 1..=2 {
        let staged = staged(writer.as_mut(), &[batch("a STRING, p INT", &rows)], checkpoint).await;
        let bytes: usize = staged.iter().map(|c| c.data.bytes.len()).sum();
        assert!(bytes < 2 << 20, "{bytes}");
        // 20 times 50 kB are the limit of what is held inline.
        assert_eq!(open(&uploads), 20 * checkpoint as usize);
    }
}

#[tokio::test]
async fn parts_of_a_flush_that_was_cut_short_do_not_arrive_later() {
    let (table, store, uploads) = table("a STRING");
    let sink = table.sink();
    let mut writer = writer_of(&sink, 1, 0);
    writer.write(batch("a STRING", &rows(10, 100_000))).await.expect("written");
    uploads.held.store(true, Ordering::SeqCst);
    assert!(tokio::time::timeout(Duration::from_millis(100), writer.flush(false)).await.is_err());
    writer.close().await.expect("closed");
    assert_eq!((open(&uploads), keys(&store).await.len()), (0, 1), "the note stays");
    uploads.held.store(false, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(uploads.parts.load(Ordering::SeqCst), 0);
    committer_of(&sink, 2).clean_up(&[]).await.expect("clean");
    assert!(keys(&store).await.is_empty());
}
