//! Damage of every kind in every block of every stored file: it is never restored, and the error names the file.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{Int64Array, RecordBatch, StringArray, UInt16Array};
use arrow_schema::{DataType, Field, Schema};
use flott_core::{CheckpointId, Error, ErrorKind, FailPoints, Result};
use flott_state::manifest::{
    Manifest, StoredBytes, StoredCommittable, StoredOperator, StoredSink, StoredSource, StoredSplit, StoredSubtask,
};
use flott_state::store::{self, Begin, Opened};
use flott_state::{CheckpointStorage, CheckpointStore, OperatorSnapshot, Savepoint, StateRun};
use tempfile::TempDir;

/// Each block of so many bytes is damaged.
const BLOCK: usize = 64;
const OLDER_ROWS: usize = 70;
const NEWER_ROWS: usize = 40;

fn run(rows: usize) -> Arc<StateRun> {
    let schema = Schema::new(vec![
        StateRun::key_group_field(),
        Field::new("v", DataType::Int64, true),
        Field::new("t", DataType::Utf8, true),
    ]);
    let groups = UInt16Array::from_iter_values((0..rows).map(|i| (i % 128) as u16));
    let values = Int64Array::from_iter_values((0..rows as i64).map(|v| v * 7_919));
    let texts = StringArray::from_iter_values((0..rows).map(|i| format!("text {i}")));
    let rows = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(groups), Arc::new(values), Arc::new(texts)]);
    StateRun::seal("t", rows.expect("a batch")).expect("a run")
}

async fn manifest(store: &CheckpointStore, id: u64, runs: Vec<Arc<StateRun>>, has_output: bool) -> Manifest {
    let snapshot = OperatorSnapshot { version: 1, meta: vec![], runs };
    let runs = store.writer().write(CheckpointId(id), 0, 0, &snapshot).await.expect("written");
    let bytes = |text: &[u8]| StoredBytes { version: 1, bytes: text.to_vec() };
    let subtask = StoredSubtask { watermark_ms: 5, meta: bytes(&[1, 255]) };
    let split = StoredSplit { id: "s".to_string(), data: bytes(b"{\"offset\":17}"), watermark_ms: 4 };
    let committable = StoredCommittable { id: format!("c{id}"), data: bytes(b"a file") };
    let committables = if has_output { vec![committable] } else { vec![] };
    Manifest {
        lineage: store.lineage().to_string(),
        checkpoint: CheckpointId(id),
        generation: store.generation(),
        created_ms: 0,
        max_parallelism: 128,
        finished: false,
        sources: BTreeMap::from([(
            "source".to_string(),
            StoredSource { enumerator: Some(bytes(b"[]")), splits: vec![split], ended: false },
        )]),
        operators: BTreeMap::from([(
            "op".to_string(),
            StoredOperator { version: 1, subtasks: vec![subtask], runs, ended: false },
        )]),
        sinks: BTreeMap::from([("sink".to_string(), StoredSink { committables, writers: vec![bytes(b"w")] })]),
    }
}

fn storage(folder: &TempDir) -> CheckpointStorage {
    CheckpointStorage::local(folder.path(), FailPoints::none())
}

/// A job with two checkpoints. The second holds a run of the first and one of its own; whether it has output is a
/// question, for then nothing older may be restored.
async fn job(has_output: bool) -> (TempDir, Manifest) {
    let folder = tempfile::tempdir().expect("a folder");
    let opened = CheckpointStore::open(storage(&folder), FailPoints::none(), Begin::Latest, 2).await;
    let (mut store, _) = opened.expect("opens");
    store
        .set_bundle(b"flott bundle 2 0badcafe\n{\"statements\":[\"INSERT INTO o SELECT 1\"]}")
        .await
        .expect("a bundle");
    let kept = run(OLDER_ROWS);
    let older = manifest(&store, 1, vec![Arc::clone(&kept)], false).await;
    let decided = store.decide(&older).await.expect("decides");
    store.record_committed(&decided, false).await.expect("records");
    let newer = manifest(&store, 2, vec![kept, run(NEWER_ROWS)], has_output).await;
    let decided = store.decide(&newer).await.expect("decides");
    store.record_committed(&decided, has_output).await.expect("records");
    (folder, newer)
}

/// What a session does: a look at the checkpoint and its bundle, then the job is taken over and every subtask reads its
/// state. Gives how many rows of state came back.
async fn restore(folder: &TempDir) -> Result<(Opened, usize)> {
    let storage = storage(folder);
    if let Some(head) = store::peek(&storage).await? {
        store::peek_newest(&storage, &head).await?;
    }
    let (store, opened) = CheckpointStore::open(storage, FailPoints::none(), Begin::Latest, 2).await?;
    let rows = rows(&store, opened.manifest.as_ref()).await?;
    Ok((opened, rows))
}

async fn rows(store: &CheckpointStore, manifest: Option<&Manifest>) -> Result<usize> {
    let Some(manifest) = manifest else { return Ok(0) };
    let mut rows = 0;
    for groups in [0..50, 50..128] {
        let state = store.restore_operator(&manifest.operators["op"], groups).await?;
        rows += state.runs.iter().map(|r| r.run.rows().expect("rows").num_rows()).sum::<usize>();
    }
    Ok(rows)
}

/// Files below a folder, with their content; the lock has none.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).expect("a folder").flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                let name = entry.path().strip_prefix(folder).expect("below it").to_string_lossy().into_owned();
                found.insert(name, std::fs::read(entry.path()).expect("a file"));
            }
        }
    }
    found.remove("HEAD.lock");
    found
}

/// A flipped bit, a lost end, and zeroes, in each block; and the file that is gone.
fn damages(whole: &[u8]) -> Vec<(String, Option<Vec<u8>>)> {
    let mut damages = vec![("gone".to_string(), None)];
    for (block, start) in (0..whole.len()).step_by(BLOCK).enumerate() {
        let end = (start + BLOCK).min(whole.len());
        let mut flipped = whole.to_vec();
        // Another bit of another byte in each block.
        let at = start + block * 29 % (end - start);
        flipped[at] ^= 1 << (block % 8);
        damages.push((format!("bit {} of byte {at} flipped", block % 8), Some(flipped)));
        damages.push((format!("cut at {start}"), Some(whole[..start].to_vec())));
        let mut zeroed = whole.to_vec();
        zeroed[start..end].fill(0);
        if zeroed != whole {
            damages.push((format!("{start}..{end} zeroed"), Some(zeroed)));
        }
    }
    damages
}

fn put(folder: &Path, name: &str, content: Option<&[u8]>) {
    let path = folder.join(name);
    match content {
        Some(content) => std::fs::write(path, content).expect("written"),
        None => std::fs::remove_file(path).expect("removed"),
    }
}

/// It is refused as damage, or as of another version where the version is what was hit; it says which file, and where.
fn assert_names(error: &Error, name: &str, what: &str) {
    let text = error.to_string();
    let is_of_version = error.kind() == ErrorKind::User && text.contains("format version");
    assert!(error.kind() == ErrorKind::Data || is_of_version, "{name}, {what}: {:?} {text}", error.kind());
    assert!(text.contains(name), "{name}, {what}: {text}");
}

#[tokio::test]
async fn no_damage_of_a_checkpoint_is_restored_where_output_was_committed() {
    let (folder, newer) = job(true).await;
    let whole = files(folder.path());
    assert_eq!(whole.len(), 6, "HEAD, a bundle, two manifests, two state files: {:?}", whole.keys());
    let mut damaged = 0;
    for (name, content) in &whole {
        for (what, bytes) in damages(content) {
            put(folder.path(), name, bytes.as_deref());
            let restored = restore(&folder).await;
            // Nobody needs the older manifest.
            if *name == "chk-1-g1/manifest.json" {
                let (opened, rows) = restored.expect("the newer one is whole");
                assert_eq!((opened.fallback, rows), (None, OLDER_ROWS + NEWER_ROWS), "{what}");
                put(folder.path(), "HEAD", Some(&whole["HEAD"]));
            } else {
                let error = restored.map(|(_, rows)| rows).expect_err(&format!("{name}, {what}"));
                assert_names(&error, name, &what);
            }
            put(folder.path(), name, Some(content));
            damaged += 1;
        }
        assert_eq!(files(folder.path())["HEAD"], whole["HEAD"], "a refusal changes nothing");
    }
    assert!(damaged > 200, "{damaged}");
    let (opened, rows) = restore(&folder).await.expect("whole again");
    assert_eq!((opened.manifest.map(|m| m.checkpoint), rows), (Some(newer.checkpoint), OLDER_ROWS + NEWER_ROWS));
}

#[tokio::test]
async fn a_damaged_checkpoint_falls_back_to_the_older_one_where_no_output_was_committed_since() {
    let (folder, _) = job(false).await;
    let whole = files(folder.path());
    for (name, content) in &whole {
        for (what, bytes) in damages(content) {
            put(folder.path(), name, bytes.as_deref());
            let restored = restore(&folder).await;
            // The newer checkpoint's own files: without them there still is the older one. Another version is no damage.
            let is_of_newer = name.starts_with("chk-2-");
            match restored {
                Ok((opened, rows)) if is_of_newer => {
                    let why = opened.fallback.unwrap_or_else(|| panic!("{name}, {what}: restored as if it was whole"));
                    assert!(why.contains(name) && why.contains("restored checkpoint 1"), "{what}: {why}");
                    assert_eq!(rows, OLDER_ROWS);
                    put(folder.path(), "HEAD", Some(&whole["HEAD"]));
                }
                Ok((opened, rows)) if *name == "chk-1-g1/manifest.json" => {
                    assert_eq!((opened.fallback, rows), (None, OLDER_ROWS + NEWER_ROWS), "{what}");
                    put(folder.path(), "HEAD", Some(&whole["HEAD"]));
                }
                Ok(_) => panic!("{name}, {what}: restored"),
                Err(error) => {
                    assert!(!is_of_newer || error.kind() == ErrorKind::User, "{name}, {what}: {error}");
                    assert_names(&error, name, &what);
                }
            }
            put(folder.path(), name, Some(content));
        }
    }
}

#[tokio::test]
async fn no_damage_of_a_savepoint_is_restored() {
    let (folder, newer) = job(true).await;
    let saved = tempfile::tempdir().expect("a folder");
    let (store, _) =
        CheckpointStore::open(storage(&folder), FailPoints::none(), Begin::Latest, 2).await.expect("opens");
    store.write_savepoint(&newer, &storage(&saved)).await.expect("a savepoint");
    let whole = files(saved.path());
    assert_eq!(whole.len(), 4, "the list of files, a bundle, a manifest, a state file: {:?}", whole.keys());
    let begin = async || -> Result<usize> {
        let target = tempfile::tempdir().expect("a folder");
        let Some(savepoint) = Savepoint::open(storage(&saved)).await? else {
            return Err(Error::data("no savepoint: there is no _metadata").hint("Name another folder"));
        };
        let begin = Begin::Savepoint { claim: false };
        let (store, opened) =
            CheckpointStore::open_with(storage(&target), FailPoints::none(), begin, 2, Some(savepoint)).await?;
        rows(&store, opened.manifest.as_ref()).await
    };
    for (name, content) in &whole {
        for (what, bytes) in damages(content) {
            put(saved.path(), name, bytes.as_deref());
            let error = begin().await.expect_err(&format!("{name}, {what}"));
            // The list of files is the savepoint: its folder is what is named.
            let name =
                if name == "_metadata" && bytes.is_some() { saved.path().to_string_lossy() } else { name.into() };
            assert_names(&error, &name, &what);
        }
        put(saved.path(), name, Some(content));
    }
    assert_eq!(begin().await.expect("whole again"), OLDER_ROWS + NEWER_ROWS);
}
