//! The same over a real S3-compatible store: `cargo xtask services up versitygw`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flott_connector::sink::CommitOutcome;
use flott_connector::storage::{StorageLocation, open};
use flott_core::options::Options;
use flott_core::{ErrorKind, id};
use flott_testkit::services::{LossyProxy, S3};
use flott_testkit::{SourceHarness, batch, rows_of};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::support::*;

/// A prefix of its own in the test's bucket.
struct Prefix {
    s3: S3,
    name: String,
}

impl Prefix {
    /// `None` where no store runs.
    fn new() -> Option<Prefix> {
        Some(Prefix { s3: S3::running()?, name: format!("files-{}", id::random_hex()) })
    }

    fn url(&self) -> String {
        format!("s3://{}/{}", self.s3.bucket, self.name)
    }

    fn table(&self, columns: &str) -> Table {
        self.table_at(&self.s3, columns)
    }

    fn table_at(&self, s3: &S3, columns: &str) -> Table {
        Table::new(self.url(), columns).config(&s3.options())
    }

    fn location(&self) -> StorageLocation {
        let mut options = Options::new();
        self.s3.options().iter().for_each(|(k, v)| options.set(*k, v.as_str()));
        open(&self.url(), std::path::Path::new("/"), &options).unwrap_or_else(|e| panic!("{e}"))
    }

    async fn put(&self, name: &str, content: impl Into<Vec<u8>>) {
        let place = Path::from(format!("{}/{name}", self.name));
        self.location().store.put(&place, content.into().into()).await.expect("put");
    }

    async fn keys(&self) -> Vec<String> {
        let location = self.location();
        let all: Vec<_> = location.store.list(Some(&location.path)).try_collect().await.expect("listed");
        all.into_iter().map(|m| m.location.as_ref()[self.name.len() + 1..].to_string()).collect()
    }
}

/// Files that are held inline, in one part and in two.
fn three_sizes() -> Vec<String> {
    let row = |p: usize, i: usize, bytes: usize| format!("+I[{i:04}{}, {p}]", "x".repeat(bytes));
    let mut rows = vec![row(0, 0, 10)];
    rows.extend((0..10).map(|i| row(1, i, 100_000)));
    rows.extend((0..10).map(|i| row(2, i, 1_000_000)));
    rows.sort();
    rows
}

#[tokio::test]
async fn files_are_shown_by_the_commit_once() {
    let Some(prefix) = Prefix::new() else { return };
    let table = prefix.table("a STRING, p INT").partitioned_by(&["p"]);
    let (sink, rows) = (table.sink(), three_sizes());
    let staged = staged(writer_of(&sink, 1, 0).as_mut(), &[batch("a STRING, p INT", &rows)], 1).await;
    assert!(prefix.keys().await.iter().all(|k| k.starts_with(".flott-staging/")), "{:?}", prefix.keys().await);
    for (attempt, outcome) in [(1, CommitOutcome::Committed), (2, CommitOutcome::AlreadyCommitted)] {
        let outcomes = committer_of(&sink, attempt).commit(&decided(1), &staged).await.expect("committed");
        assert_eq!(outcomes, vec![outcome; 3]);
    }
    assert_eq!(prefix.keys().await.len(), 3, "{:?}", prefix.keys().await);
    assert!(table.read_sorted().await == rows, "other rows");
}

#[tokio::test]
async fn uploads_of_dead_attempts_are_aborted_and_no_others() {
    let Some(prefix) = Prefix::new() else { return };
    let table = prefix.table("a STRING, p INT").partitioned_by(&["p"]);
    let (sink, rows) = (table.sink(), batch("a STRING, p INT", &three_sizes()[1..]));
    let location = prefix.location();
    let uploads = &location.multipart.as_ref().expect("S3 has uploads").0;
    let others = Path::from(format!("{}/p=1/part-of-another", prefix.name));
    let id = uploads.create_multipart(&others).await.expect("begun");
    let part = uploads.put_part(&others, &id, 0, "theirs".into()).await.expect("a part");
    let kept = staged(writer_of(&sink, 1, 0).as_mut(), std::slice::from_ref(&rows), 1).await;
    let dead = staged(writer_of(&sink, 1, 1).as_mut(), std::slice::from_ref(&rows), 1).await;
    let keep: Vec<String> = kept.iter().map(|c| c.id.clone()).collect();
    committer_of(&sink, 2).clean_up(&keep).await.expect("clean");
    let why = refused(committer_of(&sink, 2).commit(&decided(1), &dead).await);
    assert!(why.len() == dead.len() && why[0].contains("is gone, and the file itself is not there"), "{why:?}");
    for _ in 0..2 {
        committer_of(&sink, 2).abort(&dead).await.expect("given up already");
    }
    let outcomes = committer_of(&sink, 2).commit(&decided(1), &kept).await.expect("committed");
    assert_eq!(outcomes, [CommitOutcome::Committed, CommitOutcome::Committed]);
    uploads.complete_multipart(&others, &id, vec![part]).await.expect("nobody has touched it");
    assert!(prefix.keys().await.iter().all(|k| !k.contains(".flott")), "{:?}", prefix.keys().await);
}

#[tokio::test]
async fn lost_answers_leave_each_file_once() {
    let Some(prefix) = Prefix::new() else { return };
    let lost = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&lost);
    let seen = AtomicUsize::new(0);
    // Every third answer to a write, beginning with the first.
    let proxy = LossyProxy::start(&prefix.s3.endpoint, move |line| {
        let loses = !line.starts_with("GET") && seen.fetch_add(1, Ordering::SeqCst).is_multiple_of(3);
        counter.fetch_add(usize::from(loses), Ordering::SeqCst);
        loses
    });
    let table = prefix.table_at(&prefix.s3.at(proxy.port()), "a STRING, p INT").partitioned_by(&["p"]);
    let (sink, rows) = (table.sink(), three_sizes());
    let mut left = staged(writer_of(&sink, 1, 0).as_mut(), &[batch("a STRING, p INT", &rows)], 1).await;
    let mut committer = committer_of(&sink, 1);
    for _ in 0..20 {
        let mut outcomes = committer.commit(&decided(1), &left).await.expect("outcomes").into_iter();
        left.retain(|_| matches!(outcomes.next(), Some(CommitOutcome::RetryLater { .. })));
    }
    assert_eq!(left, []);
    assert!(lost.load(Ordering::SeqCst) >= 5, "{lost:?}");
    assert_eq!(prefix.keys().await.len(), 3, "{:?}", prefix.keys().await);
    let table = prefix.table("a STRING, p INT").partitioned_by(&["p"]);
    assert!(table.read_sorted().await == rows, "other rows");
}

#[tokio::test]
async fn listings_of_more_than_a_page_and_reads_in_pieces() {
    let Some(prefix) = Prefix::new() else { return };
    let puts = (0..1_005).map(|i| prefix.put(Box::leak(format!("many/f{i:04}").into_boxed_str()), format!("{i}\n")));
    futures::stream::iter(puts).buffer_unordered(16).collect::<Vec<()>>().await;
    let many = Table::new(format!("{}/many", prefix.url()), "a INT").config(&prefix.s3.options());
    assert_eq!(many.read().await.len(), 1_005);
    let content: String = (0..100_000).map(|i| format!("{i},{}\n", "v".repeat(i % 50))).collect();
    prefix.put("large/a", content).await;
    // The names that Hadoop has for the same place.
    for scheme in ["s3a", "s3n"] {
        let url = prefix.url().replace("s3:", &format!("{scheme}:"));
        let table = Table::new(format!("{url}/large"), "a INT").config(&prefix.s3.options());
        let rows = rows_of(&table.option("source.split-size", "500 kb").try_read(3).await.expect("read"));
        assert_eq!(rows.len(), 100_000);
    }
}

#[tokio::test]
async fn an_object_that_changes_is_refused() {
    let Some(prefix) = Prefix::new() else { return };
    prefix.put("a", "1\n").await;
    let mut harness = SourceHarness::start(&prefix.table("a INT").source(), 1, None).await.expect("started");
    prefix.put("a", "2\n").await;
    let e = harness.run_to_end().await.expect_err("changed");
    assert_eq!(e.kind(), ErrorKind::Data, "{e}");
    assert!(e.to_string().contains("the file has changed since it was listed"), "{e}");
}

#[tokio::test]
async fn an_object_of_which_a_format_reads_pieces_does_not_change_between_them() {
    let Some(prefix) = Prefix::new() else { return };
    prefix.put("a", three_hundred_lines(100)).await;
    let source = prefix.table("a INT").option("format", "unit").source();
    changed_while_read(&source, async || prefix.put("a", three_hundred_lines(500)).await).await;
    prefix.put("a", three_hundred_lines(100)).await;
    assert_eq!(prefix.table("a INT").option("format", "unit").read().await.len(), 300);
}

#[tokio::test]
async fn what_is_wrong_is_said_and_no_secret() {
    let Some(prefix) = Prefix::new() else { return };
    prefix.put("a", "1\n").await;
    let wrong = S3 { secret_key: "CANARY-wrong".to_string(), ..prefix.s3.clone() };
    let no_bucket = S3 { bucket: "there-is-none".to_string(), ..prefix.s3.clone() };
    let away = prefix.s3.at(1);
    for (s3, kind, hint) in [
        (wrong, ErrorKind::User, "Check permissions and credentials"),
        (no_bucket, ErrorKind::User, "Check that the bucket exists"),
        (away, ErrorKind::Unavailable, "can be reached"),
    ] {
        let url = format!("s3://{}/{}", s3.bucket, prefix.name);
        let table = Table::new(url, "a INT").config(&s3.options());
        let bounded = Duration::from_secs(30);
        let read = tokio::time::timeout(bounded, table.try_read(1)).await.expect("tries are bounded");
        let sink = table.sink();
        let write = async {
            let mut writer = writer_of(&sink, 1, 0);
            writer.write(batch("a INT", &["+I[1]"])).await?;
            writer.flush(true).await?;
            let staged = writer.prepare_commit(flott_core::CheckpointId(1)).await?;
            committer_of(&sink, 1).commit(&decided(1), &staged).await
        };
        let written = tokio::time::timeout(bounded, write).await.expect("tries are bounded");
        let read = read.expect_err("nothing to read");
        assert_eq!(read.kind(), kind, "{read}");
        assert!(read.to_string().contains(hint), "{read}");
        match written {
            Ok(outcomes) => assert!(matches!(outcomes[..], [CommitOutcome::RetryLater { .. }]), "{outcomes:?}"),
            Err(e) => assert_eq!(e.kind(), ErrorKind::User, "{e}"),
        }
        let all = format!("{read} {read:?}");
        assert!(!all.contains("CANARY") && !all.contains(&s3.secret_key), "{all}");
    }
}
