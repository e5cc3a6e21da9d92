//! Tests of the store: fencing, rolling forward, fallback, retention.

use arrow_array::{Int64Array, RecordBatch, UInt16Array};
use arrow_schema::{DataType, Field, Schema};

use super::*;
use crate::manifest::{HEAD_VERSION, StoredBytes, StoredCommittable, StoredSink, StoredSubtask};
use crate::run::OperatorSnapshot;
use crate::run::StateRun;
use crate::storage::HEAD;

fn run(rows: i64) -> Arc<StateRun> {
    let schema = Schema::new(vec![StateRun::key_group_field(), Field::new("v", DataType::Int64, true)]);
    let groups = UInt16Array::from_iter_values((0..rows).map(|i| (i % 128) as u16));
    let values = Int64Array::from_iter_values(0..rows);
    let rows = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(groups), Arc::new(values)]).expect("a batch");
    StateRun::seal("t", rows).expect("a run")
}

async fn manifest(store: &CheckpointStore, id: u64, runs: Vec<Arc<StateRun>>, output: bool) -> Manifest {
    let snapshot = OperatorSnapshot { version: 1, meta: vec![], runs };
    let runs = store.writer().write(CheckpointId(id), 0, 0, &snapshot).await.expect("written");
    let subtask = StoredSubtask { watermark_ms: 5, meta: StoredBytes { version: 1, bytes: vec![1, 255] } };
    let committables = if output {
        vec![StoredCommittable { id: format!("c{id}"), data: StoredBytes { version: 1, bytes: b"x".to_vec() } }]
    } else {
        vec![]
    };
    Manifest {
        lineage: store.lineage().to_string(),
        checkpoint: CheckpointId(id),
        generation: store.generation(),
        created_ms: 0,
        max_parallelism: 128,
        finished: false,
        sources: BTreeMap::new(),
        operators: [("op".to_string(), StoredOperator { version: 1, subtasks: vec![subtask], runs, ended: false })]
            .into(),
        sinks: [("sink".to_string(), StoredSink { committables, writers: vec![] })].into(),
    }
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().expect("a folder"))
    }

    fn storage(&self) -> CheckpointStorage {
        CheckpointStorage::local(self.0.path(), FailPoints::none())
    }

    async fn open(&self, begin: Begin) -> Result<(CheckpointStore, Opened)> {
        CheckpointStore::open(self.storage(), FailPoints::none(), begin, 2).await
    }

    fn damage(&self, name: &str) {
        let path = self.0.path().join(name);
        let mut bytes = std::fs::read(&path).expect("a file");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(path, bytes).expect("written");
    }
}

fn block_on(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .expect("a runtime")
        .block_on(test);
}

#[test]
fn an_old_attempt_is_fenced_even_after_its_checkpoints_are_retired() {
    block_on(async {
        let place = Place::new();
        let (mut old, _) = place.open(Begin::Latest).await.expect("opens");
        let m = manifest(&old, 1, vec![run(10)], true).await;
        old.decide(&m).await.expect("decides");
        let pending = manifest(&old, 2, vec![run(10)], true).await;
        let (mut new, opened) = place.open(Begin::Latest).await.expect("opens");
        assert!(opened.commit_pending);
        for id in 2..10 {
            let m = manifest(&new, id, vec![run(10)], true).await;
            let decided = new.decide(&m).await.expect("decides");
            new.record_committed(&decided, true).await.expect("records");
            new.retire().await.expect("retires");
        }
        let e = old.decide(&pending).await.expect_err("must be fenced");
        assert_eq!(e.kind(), ErrorKind::Fenced);
        assert_eq!(
            peek(&place.storage()).await.expect("reads").expect("a head").decided().map(|d| d.id),
            Some(CheckpointId(9))
        );
    });
}

#[test]
fn a_job_that_another_attempt_has_finished_does_not_begin_again_unasked() {
    block_on(async {
        let place = Place::new();
        let (mut store, _) = place.open(Begin::Latest).await.expect("opens");
        let m = manifest(&store, 1, vec![], true).await;
        let decided = store.decide(&m).await.expect("decides");
        store.record_committed(&decided, true).await.expect("records");
        store.set_status(JobStatus::Finished).await.expect("ends");
        store.retire().await.expect("retires");
        let e = place.open(Begin::Latest).await.expect_err("nothing is left to restore");
        assert_eq!(e.kind(), ErrorKind::Fenced);
        let (_, fresh) = place.open(Begin::Fresh).await.expect("opens");
        assert!(fresh.manifest.is_none());
    });
}

#[test]
fn runs_are_written_once_and_files_live_as_long_as_a_kept_manifest_needs_them() {
    block_on(async {
        let place = Place::new();
        let (mut store, _) = place.open(Begin::Latest).await.expect("opens");
        let first = run(1_000);
        for id in 1..=5 {
            let m = manifest(&store, id, vec![first.clone(), run(3)], false).await;
            let files: Vec<_> = m.operators["op"].runs.iter().map(|r| r.file.clone()).collect();
            assert!(files.contains(&"chk-1-g1/op0-0.run".to_string()), "{files:?}");
            let decided = store.decide(&m).await.expect("decides");
            store.record_committed(&decided, false).await.expect("records");
            store.retire().await.expect("retires");
        }
        let mut names = place.storage().list("").await.expect("lists");
        names.retain(|n| n.starts_with("chk-"));
        assert_eq!(
            names,
            [
                "chk-1-g1/op0-0.run",
                "chk-4-g1/manifest.json",
                "chk-4-g1/op0-0.run",
                "chk-5-g1/manifest.json",
                "chk-5-g1/op0-0.run"
            ]
        );
        let (store, opened) = place.open(Begin::Latest).await.expect("opens");
        let m = opened.manifest.expect("a checkpoint");
        let state = store.restore_operator(&m.operators["op"], 0..64).await.expect("restores");
        let rows: usize = state.runs.iter().map(|r| r.run.rows().expect("rows").num_rows()).sum();
        assert_eq!(rows, (0..1_000).filter(|i| i % 128 < 64).count() + 3);
    });
}

#[test]
fn a_damaged_checkpoint_falls_back_only_where_nothing_was_committed_since() {
    block_on(async {
        for output in [false, true] {
            let place = Place::new();
            let (mut store, _) = place.open(Begin::Latest).await.expect("opens");
            for id in 1..=2 {
                let m = manifest(&store, id, vec![run(100)], output).await;
                let decided = store.decide(&m).await.expect("decides");
                store.record_committed(&decided, output).await.expect("records");
            }
            place.damage("chk-2-g1/op0-0.run");
            match place.open(Begin::Latest).await {
                Ok((_, opened)) => {
                    assert!(!output);
                    assert_eq!(opened.manifest.expect("a checkpoint").checkpoint, CheckpointId(1));
                    assert!(opened.fallback.expect("a reason").contains("checkpoint 2 is damaged"));
                }
                Err(e) => {
                    assert!(output);
                    let e = e.to_string();
                    assert!(e.contains("checkpoint 2 cannot be restored") && e.contains("older checkpoint 1"), "{e}");
                }
            }
        }
    });
}

#[test]
fn a_decided_checkpoint_whose_commit_is_unknown_counts_as_committed_for_fallback() {
    block_on(async {
        let place = Place::new();
        let (mut store, _) = place.open(Begin::Latest).await.expect("opens");
        let m = manifest(&store, 1, vec![run(10)], false).await;
        let decided = store.decide(&m).await.expect("decides");
        store.record_committed(&decided, false).await.expect("records");
        let m = manifest(&store, 2, vec![run(10)], true).await;
        store.decide(&m).await.expect("decides");
        place.damage("chk-2-g1/manifest.json");
        assert!(place.open(Begin::Latest).await.is_err());
    });
}

#[test]
fn a_fresh_start_is_a_new_lineage_and_forgets_the_old_state() {
    block_on(async {
        let place = Place::new();
        let (mut store, _) = place.open(Begin::Latest).await.expect("opens");
        let m = manifest(&store, 1, vec![run(10)], true).await;
        let decided = store.decide(&m).await.expect("decides");
        let refused = place.open(Begin::Fresh).await.expect_err("decided output is not committed");
        assert!(refused.to_string().contains("not all committed"), "{refused}");
        store.record_committed(&decided, true).await.expect("recorded");
        let lineage = store.lineage().to_string();
        let (mut store, opened) = place.open(Begin::Fresh).await.expect("opens");
        assert!(opened.manifest.is_none());
        assert_ne!(store.lineage(), lineage);
        store.retire().await.expect("retires");
        let names = place.storage().list("").await.expect("lists");
        assert!(names.iter().all(|n| !n.starts_with("chk-")), "{names:?}");
    });
}

#[test]
fn a_fresh_start_gives_decided_output_up_where_its_user_says_so() {
    block_on(async {
        let place = Place::new();
        let (mut store, _) = place.open(Begin::Latest).await.expect("opens");
        let m = manifest(&store, 1, vec![run(10)], true).await;
        store.decide(&m).await.expect("decides");
        let refused = place.open(Begin::Fresh).await.expect_err("its output is not committed").to_string();
        assert!(refused.contains("--fresh --allow-lost-output"), "{refused}");
        let (store, opened) = place.open(Begin::FreshWithoutOutput).await.expect("opens");
        assert!(opened.manifest.is_none() && !opened.commit_pending && store.head().retained.is_empty());
        assert_eq!(store.lineages_to_clean_up().len(), 1, "what it has staged goes");
    });
}

#[cfg(unix)]
#[test]
fn what_is_stored_is_its_owner_s_alone() {
    use std::os::unix::fs::PermissionsExt;
    block_on(async {
        let place = Place::new();
        let (mut store, _) = place.open(Begin::Latest).await.expect("opens");
        let m = manifest(&store, 1, vec![run(10)], true).await;
        let decided = store.decide(&m).await.expect("decides");
        store.set_bundle(b"{}").await.expect("stored");
        store.record_committed(&decided, true).await.expect("recorded");
        let saved = Place::new();
        store.write_savepoint(&m, &saved.storage()).await.expect("a savepoint");
        for place in [&place, &saved] {
            let names = place.storage().list("").await.expect("lists");
            assert!(names.len() > 3, "{names:?}");
            for name in names {
                let meta = std::fs::metadata(place.0.path().join(&name)).expect("there");
                assert_eq!(meta.permissions().mode() & 0o777, 0o600, "{name}");
            }
        }
    });
}

/// An attempt is this process's until nothing is left of it that could go on.
#[test]
fn a_process_knows_which_attempts_it_runs() {
    block_on(async {
        let place = Place::new();
        let (store, _) = place.open(Begin::Latest).await.expect("opens");
        let first = store.head().attempt.clone();
        let mut tenure = store.tenure();
        drop(store);
        assert!(runs_here(&first), "it is between two attempts");
        let (store, _) = tenure.reopen().await.expect("opens");
        drop(tenure);
        let second = store.head().attempt.clone();
        assert!(!runs_here(&first) && runs_here(&second));
        drop(store);
        assert!(!runs_here(&second));
    });
}

#[test]
fn names_of_files_that_lead_out_of_the_folder_are_refused() {
    block_on(async {
        for stranger in ["../x.run", "/etc/passwd", "chk-1-g1/../../x.run", ""] {
            let place = Place::new();
            let (mut store, _) = place.open(Begin::Latest).await.expect("opens");
            let mut m = manifest(&store, 1, vec![run(10)], false).await;
            let saved = Place::new();
            store.write_savepoint(&m, &saved.storage()).await.expect("a savepoint");
            for operator in m.operators.values_mut() {
                operator.runs.iter_mut().for_each(|run| run.file = stranger.to_string());
            }
            store.decide(&m).await.expect("decides");
            let error = place.open(Begin::Latest).await.expect_err(stranger).to_string();
            assert!(error.contains("cannot be its own"), "{stranger}: {error}");

            // A savepoint whose checksums fit: its list of files is what they have to be in.
            let bytes = record::encode("manifest", MANIFEST_VERSION, &m).expect("encoded");
            let metadata = saved.storage().get(savepoint::METADATA).await.expect("reads").expect("there");
            let text = String::from_utf8(metadata.to_vec()).expect("text");
            let (_, json) = text.split_once('\n').expect("a header");
            let mut list: serde_json::Value = serde_json::from_str(json).expect("JSON");
            let entries = list["files"].as_array_mut().expect("a list");
            let entry = entries.iter_mut().find(|f| f["name"] == "manifest.json").expect("the manifest");
            entry["bytes"] = bytes.len().into();
            entry["crc32"] = crc32fast::hash(&bytes).into();
            saved.storage().put("manifest.json", bytes).await.expect("written");
            let list = record::encode("savepoint", 1, &list).expect("encoded");
            saved.storage().put(savepoint::METADATA, list).await.expect("written");
            let error = Savepoint::open(saved.storage()).await.map(drop).expect_err(stranger).to_string();
            assert!(error.contains("cannot be its own"), "{stranger}: {error}");
        }
    });
}

#[test]
fn a_savepoint_that_is_cut_short_says_what_to_do() {
    block_on(async {
        for content in ["", "flott savepoint"] {
            let saved = Place::new();
            saved.storage().put(savepoint::METADATA, Bytes::from(content)).await.expect("written");
            let error = Savepoint::open(saved.storage()).await.map(drop).expect_err("it is damaged");
            let hint = error.hint_text().expect("what to do");
            assert!(hint.contains("another savepoint") && hint.contains("--restore latest"), "{error}");
        }
    });
}

/// Without output there is nothing to lose, and with output that can never be committed there is no other way out.
#[test]
fn a_fresh_start_does_not_wait_for_what_cannot_be_committed() {
    block_on(async {
        for refused in [false, true] {
            let place = Place::new();
            let (mut store, _) = place.open(Begin::Latest).await.expect("opens");
            let m = manifest(&store, 1, vec![run(10)], refused).await;
            let decided = store.decide(&m).await.expect("decides");
            if refused {
                store.record_refused(&decided, [("sink".to_string(), 1)].into()).await.expect("recorded");
            }
            let (store, opened) = place.open(Begin::Fresh).await.expect("opens");
            assert!(opened.manifest.is_none() && store.head().refused.is_none());
        }
        // What was refused is tried again by who goes on, and what is decided behind it is not meant.
        let place = Place::new();
        let (mut store, _) = place.open(Begin::Latest).await.expect("opens");
        let m = manifest(&store, 1, vec![run(10)], true).await;
        let decided = store.decide(&m).await.expect("decides");
        store.record_refused(&decided, [("sink".to_string(), 1)].into()).await.expect("recorded");
        let (mut store, opened) = place.open(Begin::Latest).await.expect("opens");
        assert!(opened.commit_pending);
        // Only as much is known as was recorded, and of whom.
        for (sink, count, is_known) in [("sink", 1, true), ("sink", 2, false), ("another", 1, false)] {
            let output = [(sink.to_string(), count)].into();
            assert_eq!(store.is_known_as_refused(&decided, &output), is_known, "{sink} {count}");
        }
        store.record_committed(&decided, true).await.expect("recorded");
        let m = manifest(&store, 2, vec![run(10)], true).await;
        store.decide(&m).await.expect("decides");
        place.open(Begin::Fresh).await.expect_err("output of checkpoint 2 is not committed");
    });
}

#[test]
fn an_attempt_that_slept_removes_nothing_that_its_successor_needs() {
    block_on(async {
        let place = Place::new();
        let (mut old, _) = place.open(Begin::Latest).await.expect("opens");
        let kept = run(10);
        let m = manifest(&old, 1, vec![Arc::clone(&kept)], false).await;
        old.decide(&m).await.expect("decides");

        let (mut new, opened) = place.open(Begin::Latest).await.expect("takes over");
        assert!(opened.manifest.is_some());
        for id in 2..=4 {
            let m = manifest(&new, id, vec![Arc::clone(&kept)], false).await;
            new.decide(&m).await.expect("decides");
            new.retire().await.expect("retires");
        }
        drop(old.retire().await);
        drop(new);
        let (_, opened) = place.open(Begin::Latest).await.expect("everything is there");
        assert_eq!(opened.manifest.map(|m| m.checkpoint), Some(CheckpointId(4)));
        assert_eq!(opened.fallback, None);
    });
}

#[test]
fn a_manifest_that_cannot_be_read_keeps_all_files() {
    block_on(async {
        let place = Place::new();
        let (mut first, _) = place.open(Begin::Latest).await.expect("opens");
        let kept = run(10);
        for id in 1..=2 {
            let m = manifest(&first, id, vec![Arc::clone(&kept)], false).await;
            first.decide(&m).await.expect("decides");
        }
        drop(first);
        let (mut second, _) = place.open(Begin::Latest).await.expect("opens");
        let manifest = place.0.path().join("chk-1-g1/manifest.json");
        let bytes = std::fs::read(&manifest).expect("a file");
        std::fs::write(&manifest, b"{}").expect("written");
        second.retire().await.expect("is tried again later");
        assert!(place.0.path().join("chk-1-g1/op0-0.run").exists());
        std::fs::write(&manifest, bytes).expect("written");
        second.retire().await.expect("retires");
        assert!(place.0.path().join("chk-1-g1/op0-0.run").exists(), "the newest checkpoint needs it");
    });
}

#[test]
fn checkpoints_without_their_head_are_not_the_beginning() {
    block_on(async {
        let place = Place::new();
        let (mut store, _) = place.open(Begin::Latest).await.expect("opens");
        let m = manifest(&store, 1, vec![run(10)], true).await;
        store.decide(&m).await.expect("decides");
        std::fs::remove_file(place.0.path().join("HEAD")).expect("removed");
        let error = place.open(Begin::Latest).await.expect_err("HEAD is gone");
        assert!(error.to_string().contains("HEAD record is gone"), "{error}");
        let (fresh, _) = place.open(Begin::Fresh).await.expect("asked for");
        assert!(fresh.generation() > m.generation, "names of old files would come again");
    });
}

#[test]
fn of_two_attempts_that_open_at_once_on_an_object_store_one_wins() {
    block_on(async {
        let storage = CheckpointStorage::Object {
            store: Arc::new(object_store::memory::InMemory::new()),
            prefix: object_store::path::Path::from("jobs/x"),
            display: "memory".into(),
        };
        let open = || CheckpointStore::open(storage.clone(), FailPoints::none(), Begin::Latest, 2);
        drop(open().await.expect("the first"));
        let found = storage.read_head().await.expect("read").expect("a record");
        let head = decode_head(&storage, &found.0).expect("decoded");
        let take = |found: HeadVersion| {
            let found = Found::Head(Box::new(head.clone()), found);
            let identity = Identity::draw();
            CheckpointStore::take_over(storage.clone(), FailPoints::none(), Begin::Latest, 2, found, None, identity)
        };
        take(found.1.clone()).await.expect("the first of the two");
        let second = take(found.1).await.expect_err("the second saw what the first saw");
        assert_eq!(second.kind(), ErrorKind::Fenced);
    });
}

#[test]
fn who_takes_over_looks_again_where_the_old_attempt_has_decided_meanwhile() {
    block_on(async {
        for _ in 0..5 {
            let place = Place::new();
            let (mut first, _) = place.open(Begin::Latest).await.expect("opens");
            let decide = async {
                for id in 1.. {
                    let m = manifest(&first, id, vec![], false).await;
                    match first.decide(&m).await {
                        Ok(_) => {}
                        Err(e) => return (id - 1, e),
                    }
                    first.retire().await.expect("deletes");
                }
                unreachable!("nobody took it over")
            };
            let ((decided, e), second) = tokio::join!(decide, place.open(Begin::Latest));
            assert_eq!(e.kind(), ErrorKind::Fenced);
            let (_, opened) = second.unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(opened.manifest.map_or(0, |m| m.checkpoint.0), decided);
        }
    });
}

#[test]
fn a_tenure_ends_where_another_attempt_takes_over() {
    block_on(async {
        let place = Place::new();
        let (first, _) = place.open(Begin::Latest).await.expect("opens");
        let mut tenure = first.tenure();
        let (second, _) = tenure.reopen().await.expect("nobody came between");
        assert!(second.generation() > first.generation());
        assert_eq!(tenure.reopen().await.expect_err("the second came between").kind(), ErrorKind::Fenced);
    });
}

#[test]
fn files_of_others_stay() {
    block_on(async {
        let place = Place::new();
        for name in ["rows.tmp", "sub/x.tmp", "bundle.txt", "chk-x/y"] {
            let file = place.0.path().join(name);
            std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
            std::fs::write(file, "x").expect("written");
        }
        let (mut store, _) = place.open(Begin::Latest).await.expect("opens");
        let m = manifest(&store, 1, vec![], false).await;
        store.decide(&m).await.expect("decides");
        store.retire().await.expect("retires");
        for name in ["rows.tmp", "sub/x.tmp", "bundle.txt", "chk-x/y"] {
            assert!(place.0.path().join(name).exists(), "{name}");
        }
    });
}

#[test]
fn a_finished_job_that_was_killed_before_its_clean_up_is_swept_and_a_later_attempt_is_not() {
    block_on(async {
        let place = Place::new();
        let (mut store, _) = place.open(Begin::Latest).await.expect("opens");
        store.set_bundle(b"{}").await.expect("a bundle");
        let m = manifest(&store, 1, vec![run(10)], true).await;
        store.decide(&m).await.expect("decides");
        sweep_finished(&place.storage(), store.head()).await.expect("swept");
        assert!(place.0.path().join("chk-1-g1/manifest.json").exists(), "a running job keeps its checkpoints");

        store.set_status(JobStatus::Finished).await.expect("finishes");
        let finished = store.head().clone();
        // Somebody runs the job again at the same moment.
        let (mut again, _) = place.open(Begin::Fresh).await.expect("opens");
        let m = manifest(&again, 1, vec![run(10)], true).await;
        again.decide(&m).await.expect("decides");
        std::fs::write(place.0.path().join("chk-of-a-user.txt"), "mine").expect("written");
        for folder in ["chk-2-g1", "chk-2-g2", "chk-of-a-user"] {
            std::fs::create_dir(place.0.path().join(folder)).expect("a folder");
        }
        std::fs::write(place.0.path().join("HEAD.tmp"), "half").expect("written");
        sweep_finished(&place.storage(), &finished).await.expect("swept");

        let mut left: Vec<_> = place.storage().list("").await.expect("listed");
        left.sort();
        let bundle = finished.bundle.expect("a bundle");
        assert_eq!(
            left,
            ["HEAD", "HEAD.lock", bundle.as_str(), "chk-1-g2/manifest.json", "chk-1-g2/op0-0.run", "chk-of-a-user.txt"]
        );
    });
}

/// A job with a checkpoint of two runs in two files, copied into a savepoint.
async fn with_savepoint(job: &Place, to: &Place) -> Manifest {
    let (mut store, _) = job.open(Begin::Latest).await.expect("opens");
    store.set_bundle(b"the bundle").await.expect("a bundle");
    let first = run(10);
    let m = manifest(&store, 1, vec![Arc::clone(&first)], false).await;
    let decided = store.decide(&m).await.expect("decides");
    store.record_committed(&decided, false).await.expect("records");
    let m = manifest(&store, 2, vec![first, run(20)], true).await;
    let decided = store.decide(&m).await.expect("decides");
    store.record_committed(&decided, true).await.expect("records");
    assert!(store.write_savepoint(&m, &to.storage()).await.expect("a savepoint") > 0);
    m
}

async fn open_savepoint(place: &Place) -> Savepoint {
    Savepoint::open(place.storage()).await.expect("opens").expect("it is one")
}

impl Place {
    async fn begin_with(&self, begin: Begin, savepoint: Option<Savepoint>) -> Result<(CheckpointStore, Opened)> {
        CheckpointStore::open_with(self.storage(), FailPoints::none(), begin, 2, savepoint).await
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

async fn rows(store: &CheckpointStore, manifest: &Manifest) -> usize {
    let state = store.restore_operator(&manifest.operators["op"], 0..128).await.expect("state");
    state.runs.iter().map(|r| r.run.rows().expect("rows").num_rows()).sum()
}

#[test]
fn a_savepoint_stands_alone_and_is_left_alone() {
    block_on(async {
        let (old, to, new) = (Place::new(), Place::new(), Place::new());
        with_savepoint(&old, &to).await;
        std::fs::remove_dir_all(old.0.path()).expect("the job is gone");
        let before = to.names();
        assert_eq!(before, ["_metadata", "bundle.json", "manifest.json", "op0-0.run"]);
        let savepoint = open_savepoint(&to).await;
        assert_eq!(savepoint.bundle().map(AsRef::as_ref), Some(b"the bundle".as_slice()));
        assert!(!savepoint.manifest().has_output(), "what is committed is not committed again");
        let (store, opened) =
            new.begin_with(Begin::Savepoint { claim: false }, Some(savepoint.clone())).await.expect("begins");
        let m = opened.manifest.expect("state");
        assert_eq!((m.checkpoint, rows(&store, &m).await), (CheckpointId(2), 30));
        // Nothing is decided yet: the next attempt begins with it again, also in this process.
        let (_, opened) = store.tenure().reopen().await.expect("reopens");
        assert!(opened.savepoint.is_some());
        assert!(new.begin_with(Begin::Latest, None).await.is_err(), "not in silence without it");
        let (mut store, opened) = new.begin_with(Begin::Latest, Some(savepoint)).await.expect("begins again");
        let m = opened.manifest.expect("state");
        let restored = store.restore_operator(&m.operators["op"], 0..128).await.expect("state");
        let runs: Vec<_> = restored.runs.iter().map(|r| Arc::clone(&r.run)).collect();
        assert_eq!(store.head().next, CheckpointId(3));
        for id in 3..7 {
            let m = manifest(&store, id, runs.clone(), false).await;
            assert!(m.files().iter().all(|f| f.starts_with("chk-")), "{:?}", m.files());
            let decided = store.decide(&m).await.expect("decides");
            store.record_committed(&decided, false).await.expect("records");
            store.retire().await.expect("retires");
        }
        assert_eq!((store.head().savepoint.clone(), to.names()), (None, before));
        let (store, opened) = new.open(Begin::Latest).await.expect("needs no savepoint");
        assert_eq!(rows(&store, &opened.manifest.expect("state")).await, 30);
    });
}

#[test]
fn a_claimed_savepoint_goes_once_enough_checkpoints_are_kept() {
    block_on(async {
        let (old, to, new) = (Place::new(), Place::new(), Place::new());
        with_savepoint(&old, &to).await;
        std::fs::write(to.0.path().join("notes.txt"), "mine").expect("written");
        let savepoint = open_savepoint(&to).await;
        let (mut store, _) =
            new.begin_with(Begin::Savepoint { claim: true }, Some(savepoint.clone())).await.expect("begins");
        for id in [3, 4] {
            assert_eq!(to.names().len(), 5, "still needed before checkpoint {id}");
            let m = manifest(&store, id, vec![run(3)], false).await;
            let decided = store.decide(&m).await.expect("decides");
            store.record_committed(&decided, false).await.expect("records");
            store.retire().await.expect("retires");
        }
        assert_eq!(to.names(), ["notes.txt"], "nothing that is not its own goes");
        assert!(Savepoint::open(to.storage()).await.expect("looks").is_none());
    });
}

#[test]
fn a_claimed_savepoint_that_could_not_be_removed_goes_later() {
    block_on(async {
        let (old, to, new) = (Place::new(), Place::new(), Place::new());
        with_savepoint(&old, &to).await;
        let savepoint = open_savepoint(&to).await;
        let (mut store, _) = new.begin_with(Begin::Savepoint { claim: true }, Some(savepoint)).await.expect("begins");
        for id in [3, 4] {
            let m = manifest(&store, id, vec![run(3)], false).await;
            let decided = store.decide(&m).await.expect("decides");
            store.record_committed(&decided, false).await.expect("records");
        }
        let metadata = to.0.path().join("_metadata");
        let whole = std::fs::read(&metadata).expect("a file");
        std::fs::write(&metadata, &whole[1..]).expect("written");
        store.retire().await.expect("what cannot go now goes later");
        assert!(store.head().savepoint.is_some());
        std::fs::write(&metadata, whole).expect("written");
        store.retire().await.expect("retires");
        assert!(to.names().is_empty(), "{:?}", to.names());
        assert_eq!(store.head().savepoint, None);
    });
}

#[test]
fn a_claimed_savepoint_stands_in_for_a_damaged_checkpoint() {
    block_on(async {
        let (old, to, new) = (Place::new(), Place::new(), Place::new());
        with_savepoint(&old, &to).await;
        let savepoint = open_savepoint(&to).await;
        let begin = Begin::Savepoint { claim: true };
        let (mut store, _) = new.begin_with(begin, Some(savepoint.clone())).await.expect("begins");
        let m = manifest(&store, 3, vec![run(3)], false).await;
        let decided = store.decide(&m).await.expect("decides");
        store.record_committed(&decided, false).await.expect("records");
        new.damage(m.files().first().expect("a file"));
        let (store, opened) = new.begin_with(Begin::Latest, Some(savepoint)).await.expect("falls back");
        assert!(opened.fallback.is_some_and(|why| why.contains("savepoint")));
        assert_eq!(rows(&store, &opened.manifest.expect("state")).await, 30);
    });
}

#[test]
fn no_damage_of_a_savepoint_is_restored() {
    block_on(async {
        let (old, to, new) = (Place::new(), Place::new(), Place::new());
        with_savepoint(&old, &to).await;
        for name in to.names() {
            let path = to.0.path().join(&name);
            let whole = std::fs::read(&path).expect("a file");
            let mut damages = vec![whole[..whole.len() - 1].to_vec()];
            for at in (0..whole.len()).step_by(97) {
                let mut bytes = whole.clone();
                bytes[at] ^= 4;
                damages.push(bytes);
            }
            for damaged in damages {
                std::fs::write(&path, damaged).expect("written");
                let restored = match Savepoint::open(to.storage()).await {
                    Ok(Some(s)) => new.begin_with(Begin::Savepoint { claim: false }, Some(s)).await.map(drop),
                    Ok(None) => panic!("{name}: it is there"),
                    Err(e) => Err(e),
                };
                restored.expect_err(&name);
            }
            std::fs::write(&path, whole).expect("written");
        }
        open_savepoint(&to).await;
    });
}

#[test]
fn a_savepoint_that_cannot_be_written_leaves_nothing() {
    block_on(async {
        let (job, to) = (Place::new(), Place::new());
        let (mut store, _) = job.open(Begin::Latest).await.expect("opens");
        let m = manifest(&store, 1, vec![run(10)], false).await;
        store.decide(&m).await.expect("decides");
        job.damage(m.files().first().expect("a file"));
        let folder = to.0.path().join("s");
        let storage = CheckpointStorage::local(&folder, FailPoints::none());
        let e = store.write_savepoint(&m, &storage).await.expect_err("damaged").to_string();
        assert!(e.contains("Nothing of it is left"), "{e}");
        assert!(!folder.exists());
    });
}

#[tokio::test]
async fn a_fresh_start_moves_a_head_aside_that_cannot_be_read() {
    for another_version in [false, true] {
        let place = Place::new();
        let (mut old, _) = place.open(Begin::Fresh).await.expect("opens");
        let m = manifest(&old, 1, vec![run(10)], false).await;
        old.decide(&m).await.expect("decided");
        let path = place.0.path().join(HEAD);
        if another_version {
            let text = std::fs::read_to_string(&path).expect("HEAD");
            std::fs::write(&path, text.replacen(&format!("head {HEAD_VERSION} "), "head 9999 ", 1)).expect("written");
        } else {
            place.damage(HEAD);
        }
        let damaged = std::fs::read(&path).expect("HEAD");
        let e = place.open(Begin::Latest).await.expect_err("it cannot be read").to_string();
        assert!(e.contains("--fresh") && e.contains("moves it aside"), "{e}");
        assert_eq!(std::fs::read(&path).expect("HEAD"), damaged, "a refusal changes nothing");

        let (new, opened) = place.open(Begin::Fresh).await.expect("starts over");
        assert!(new.generation() > old.generation());
        assert_ne!(new.lineage(), old.lineage());
        assert!(opened.manifest.is_none());
        let note = opened.moved_aside.expect("it is said");
        let kept = note.split_once("HEAD-").and_then(|(_, name)| name.split(' ').next()).expect("a name");
        assert_eq!(std::fs::read(place.0.path().join(format!("HEAD-{kept}"))).expect("kept"), damaged, "{note}");
        let m = manifest(&old, 2, vec![run(10)], false).await;
        assert_eq!(old.decide(&m).await.expect_err("fenced").kind(), ErrorKind::Fenced);
        place.open(Begin::Latest).await.expect("whole again");
    }
}

#[tokio::test]
async fn whoever_takes_a_running_attempt_over_is_told_of_it() {
    let place = Place::new();
    let (mut first, opened) = place.open(Begin::Latest).await.expect("opens");
    assert_eq!(opened.took_over, None, "there was nobody");
    let (_, opened) = place.open(Begin::Latest).await.expect("opens");
    assert_eq!(opened.took_over, None, "this process knows of itself");
    let elsewhere = Owner { process: 17, host: "elsewhere".to_string(), boot: None, since_ms: 0, started: None };
    let (mut store, _) = place.open(Begin::Latest).await.expect("opens");
    store.write_head(Head { owner: Some(elsewhere.clone()), ..store.head().clone() }).await.expect("written");
    let generation = store.generation();
    let (mut store, opened) = place.open(Begin::Latest).await.expect("opens");
    assert_eq!(opened.took_over, Some(TakenOver { generation, owner: Some(elsewhere.clone()) }));
    let suspended = Head { owner: Some(elsewhere), status: JobStatus::Suspended, ..store.head().clone() };
    store.write_head(suspended).await.expect("written");
    let (_, opened) = place.open(Begin::Latest).await.expect("opens");
    assert_eq!(opened.took_over, None, "it had come to its end");
    first.set_status(JobStatus::Finished).await.expect_err("fenced");
}

#[test]
fn a_savepoint_in_an_object_store_is_like_one_on_a_disk() {
    block_on(async {
        let (job, new) = (Place::new(), Place::new());
        let (mut store, _) = job.open(Begin::Latest).await.expect("opens");
        let m = manifest(&store, 1, vec![run(10)], false).await;
        let decided = store.decide(&m).await.expect("decides");
        store.record_committed(&decided, false).await.expect("records");
        let to = CheckpointStorage::Object {
            store: Arc::new(object_store::memory::InMemory::new()),
            prefix: "a/savepoint-1".into(),
            display: "s3://bucket/a/savepoint-1".to_string(),
        };
        savepoint::check_writable(&to).await.expect("it can be written");
        store.write_savepoint(&m, &to).await.expect("a savepoint");
        savepoint::check_writable(&to).await.expect_err("there is one");
        let savepoint = Savepoint::open(to.clone()).await.expect("opens").expect("it is one");
        let (store, opened) =
            new.begin_with(Begin::Savepoint { claim: false }, Some(savepoint.clone())).await.expect("begins");
        assert_eq!(opened.savepoint.as_deref(), Some("s3://bucket/a/savepoint-1"));
        assert_eq!(rows(&store, &opened.manifest.expect("state")).await, 10);
        savepoint.discard().await.expect("goes");
        assert!(to.list("").await.expect("listed").is_empty());
    });
}

#[test]
fn a_savepoint_that_has_not_led_to_a_checkpoint_gives_the_job_back() {
    block_on(async {
        let (old, to, job) = (Place::new(), Place::new(), Place::new());
        with_savepoint(&old, &to).await;
        let (mut store, _) = job.open(Begin::Latest).await.expect("opens");
        store.set_bundle(b"of before").await.expect("a bundle");
        let m = manifest(&store, 1, vec![run(7)], true).await;
        let decided = store.decide(&m).await.expect("decides");
        store.record_committed(&decided, true).await.expect("records");
        let lineage = store.lineage().to_string();

        let begin = Begin::Savepoint { claim: true };
        for gives_back in [true, false] {
            let savepoint = open_savepoint(&to).await;
            let (mut store, _) = job.begin_with(begin, Some(savepoint)).await.expect("begins");
            store.set_bundle(b"of the savepoint").await.expect("a bundle");
            let begun = store.lineage().to_string();
            // The clean-up at the start, and of another attempt.
            store.retire().await.expect("retires");
            let (mut store, _) = store.tenure().reopen().await.expect("another attempt");
            store.retire().await.expect("retires");
            assert!(store.lineages_to_clean_up().is_empty(), "what it has staged may be needed again");
            if gives_back {
                assert!(store.tenure().give_back().await.expect("swaps HEAD"));
                assert!(store.tenure().give_back().await.is_err(), "the job is another lineage's");
            } else {
                let m = manifest(&store, 3, vec![run(3)], false).await;
                store.decide(&m).await.expect("decides");
                assert!(store.lineages_to_clean_up().contains(&lineage));
                assert!(!store.tenure().give_back().await.expect("looks"), "it has a checkpoint of its own");
                store.retire().await.expect("retires");
                assert!(!job.names().iter().any(|n| n.starts_with("chk-1-")), "{:?}", job.names());
                continue;
            }
            let (store, opened) = job.open(Begin::Latest).await.expect("goes on from before");
            let m = opened.manifest.expect("state");
            assert_eq!((store.lineage(), m.checkpoint, rows(&store, &m).await), (lineage.as_str(), CheckpointId(1), 7));
            assert_eq!(store.head().replaced_lineages, [begun], "what it has staged goes");
            let bundle = store.bundle().await.expect("read").expect("there");
            assert_eq!(bundle.as_ref(), b"of before");
            assert_eq!(to.names().len(), 4, "the savepoint stays");
        }
    });
}
