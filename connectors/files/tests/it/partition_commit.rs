//! `sink.partition-commit.*`.

use std::path::Path;
use std::sync::{Arc, Mutex};

use flott_connector::sink::Sink;
use flott_core::clock::{Clock, ManualClock};
use flott_core::{ErrorKind, Watermark};
use flott_testkit::batch;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::support::*;

const COLUMNS: &str = "v INT, dt STRING, hour STRING";

fn table(path: &Path, options: &[(&str, &str)]) -> Table {
    let table = Table::new(path, COLUMNS)
        .partitioned_by(&["dt", "hour"])
        .option("sink.partition-commit.policy.kind", "success-file");
    options.iter().fold(table, |t, (k, v)| t.option(k, v))
}

fn successes(path: &Path) -> Vec<String> {
    let all = visible(path).into_keys();
    all.filter_map(|n| n.strip_suffix("/_SUCCESS").map(str::to_string)).collect()
}

/// One epoch of one writer: rows, a watermark, and the commit.
async fn epoch(sink: &Arc<dyn Sink>, checkpoint: u64, rows: &[&str], watermark: Option<i64>) {
    let mut writer = writer_of(sink, checkpoint, 0);
    if let Some(ms) = watermark {
        writer.write_watermark(Watermark(ms)).await.expect("taken");
    }
    let batches = if rows.is_empty() { vec![] } else { vec![batch(COLUMNS, rows)] };
    let committables = staged(writer.as_mut(), &batches, checkpoint).await;
    // A new committer each time: it remembers nothing but what is stored.
    committer_of(sink, checkpoint).commit(&decided(checkpoint), &committables).await.unwrap_or_else(|e| panic!("{e}"));
}

#[tokio::test]
async fn at_once() {
    let (_dir, path) = temp();
    let sink = table(&path, &[]).sink();
    epoch(&sink, 1, &["+I[1, 2024-01-01, 7]"], None).await;
    assert_eq!(successes(&path), ["dt=2024-01-01/hour=7"]);
    std::fs::remove_file(path.join("dt=2024-01-01/hour=7/_SUCCESS")).expect("removed");
    epoch(&sink, 2, &["+I[1, 2024-01-01, 8]"], None).await;
    assert_eq!(successes(&path), ["dt=2024-01-01/hour=8"]);
    // Late rows report their partition again.
    epoch(&sink, 3, &["+I[1, 2024-01-01, 7]"], None).await;
    assert_eq!(successes(&path).len(), 2);
    // Readers do not see it.
    assert_eq!(table(&path, &[]).read().await.len(), 3);
}

#[tokio::test]
async fn by_the_clock() {
    let (_dir, path) = temp();
    let clock = ManualClock::at_ms(1_000_000);
    let table = table(
        &path,
        &[("sink.partition-commit.delay", "1 h"), ("sink.partition-commit.success-file.name", "_SUCCESS")],
    );
    let sink = table.clock(clock.clone()).sink();
    epoch(&sink, 1, &["+I[1, a, 1]"], None).await;
    clock.advance_ms(1_800_000);
    epoch(&sink, 2, &["+I[1, b, 1]", "+I[2, a, 1]"], None).await;
    assert!(successes(&path).is_empty());
    // Not yet: it has to be later than the delay.
    clock.advance_ms(1_800_000);
    epoch(&sink, 3, &[], None).await;
    assert!(successes(&path).is_empty());
    clock.advance_ms(1);
    epoch(&sink, 4, &[], None).await;
    assert_eq!(successes(&path), ["dt=a/hour=1"]);
    // The end reports what is left.
    let mut committer = committer_of(&sink, 5);
    committer.finish(&decided(5)).await.expect("finished");
    assert_eq!(successes(&path), ["dt=a/hour=1", "dt=b/hour=1"]);
    assert!(!path.join(".flott-staging").exists(), "{:?}", tree(&path));
}

const BY_TIME: [(&str, &str); 4] = [
    ("sink.partition-commit.trigger", "partition-time"),
    ("sink.partition-commit.delay", "1 h"),
    ("partition.time-extractor.timestamp-pattern", "$dt $hour:00:00"),
    ("sink.partition-commit.watermark-time-zone", "Asia/Shanghai"),
];

#[tokio::test]
async fn by_the_watermark() {
    let (_dir, path) = temp();
    let table = table(&path, &BY_TIME);
    let sink = table.sink();
    // 2024-01-01 08:00 in Shanghai.
    let midnight = 1_704_067_200_000;
    let hour = 3_600_000;
    epoch(&sink, 1, &["+I[1, 2024-01-01, 8]", "+I[1, 2024-01-01, 9]"], None).await;
    epoch(&sink, 2, &[], Some(midnight + hour)).await;
    assert!(successes(&path).is_empty());
    epoch(&sink, 3, &[], Some(midnight + hour + 1)).await;
    assert_eq!(successes(&path), ["dt=2024-01-01/hour=8"]);

    // The slowest writer counts.
    let mut committables = vec![];
    for (subtask, ms) in [(0, midnight + 9 * hour), (1, midnight + hour)] {
        let mut writer = writer_of(&sink, 4, subtask);
        writer.write_watermark(Watermark(ms)).await.expect("taken");
        committables.extend(staged(writer.as_mut(), &[], 4).await);
    }
    let mut committer = committer_of(&sink, 4);
    committer.commit(&decided(4), &committables).await.expect("committed");
    assert_eq!(successes(&path).len(), 1);
    // Its end holds nobody.
    let mut writer = writer_of(&sink, 4, 1);
    writer.flush(true).await.expect("flushed");
    committables[1] = writer.prepare_commit(flott_core::CheckpointId(5)).await.expect("prepared").remove(0);
    committer.commit(&decided(5), &committables).await.expect("committed");
    assert_eq!(successes(&path).len(), 2);
}

#[tokio::test]
async fn a_crash_before_it_is_recorded() {
    let (_dir, path) = temp();
    let sink = table(&path, &BY_TIME).sink();
    let mut writer = writer_of(&sink, 1, 0);
    let rows = batch(COLUMNS, &["+I[1, 2024-01-01, 8]"]);
    let committables = staged(writer.as_mut(), &[rows], 1).await;
    for generation in [1, 2, 3] {
        committer_of(&sink, generation).commit(&decided(1), &committables).await.expect("committed");
    }
    epoch(&sink, 4, &[], Some(i64::MAX)).await;
    assert_eq!(successes(&path), ["dt=2024-01-01/hour=8"]);
}

/// Runs something the next time it is asked.
struct Interrupted(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl std::fmt::Debug for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted")
    }
}

impl Clock for Interrupted {
    fn now_ms(&self) -> i64 {
        if let Some(work) = self.0.lock().expect("not poisoned").take() {
            work();
        }
        0
    }

    fn monotonic(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }
}

/// What a successor does while an attempt sleeps, in a runtime of its own.
fn meanwhile(work: impl Future<Output = ()> + Send + 'static) -> Box<dyn FnOnce() + Send> {
    Box::new(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        std::thread::spawn(move || runtime.block_on(work)).join().expect("done");
    })
}

#[tokio::test]
async fn an_attempt_that_slept_does_not_write_over_its_successor() {
    let memory: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let (_dir, path) = temp();
    for store in [None, Some(memory)] {
        let table = || match &store {
            None => table(&path, &BY_TIME),
            Some(store) => table(Path::new("t"), &BY_TIME).store(Arc::clone(store)),
        };
        let clock = Arc::new(Interrupted(Mutex::default()));
        let sink = table().clock(clock.clone()).sink();
        epoch(&sink, 1, &["+I[1, 2024-01-01, 8]"], None).await;
        let mut writer = writer_of(&sink, 1, 0);
        // Reports the partition, and has to store a list without it.
        writer.write_watermark(Watermark(1_704_067_200_000 + 3_600_001)).await.expect("taken");
        let committables = staged(writer.as_mut(), &[], 2).await;
        let (successor, again) = (table().sink(), committables.clone());
        *clock.0.lock().expect("not poisoned") = Some(meanwhile(async move {
            committer_of(&successor, 2).commit(&decided(2), &again).await.expect("committed");
            committer_of(&successor, 2).clean_up(&[]).await.expect("clean");
            epoch(&successor, 2, &["+I[1, 2024-01-01, 9]"], None).await;
        }));
        committer_of(&sink, 1).commit(&decided(2), &committables).await.expect("committed");
        epoch(&table().sink(), 3, &[], Some(i64::MAX)).await;
        match &store {
            None => assert_eq!(successes(&path), ["dt=2024-01-01/hour=8", "dt=2024-01-01/hour=9"]),
            Some(store) => {
                let keys = crate::objects::keys(store).await;
                assert_eq!(keys.iter().filter(|k| k.ends_with("/_SUCCESS")).count(), 2, "{keys:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_list_without_a_generation_is_taken_over() {
    let (_dir, path) = temp();
    let sink = table(&path, &BY_TIME).sink();
    epoch(&sink, 1, &["+I[1, 2024-01-01, 8]"], None).await;
    let lists = || tree(&path).into_iter().filter(|(n, _)| n.ends_with(".json")).collect::<Vec<_>>();
    let (name, content) = lists().remove(0);
    let first = name.replace(".1.json", ".json");
    assert_ne!(first, name);
    std::fs::rename(path.join(&name), path.join(&first)).expect("renamed");
    committer_of(&sink, 2).clean_up(&[]).await.expect("clean");
    assert_eq!(lists(), [(name.replace(".1.json", ".2.json"), content)]);
    epoch(&sink, 2, &[], Some(i64::MAX)).await;
    assert_eq!(successes(&path), ["dt=2024-01-01/hour=8"]);
}

#[tokio::test]
async fn a_list_that_was_not_written_to_its_end_means_nothing() {
    let (_dir, path) = temp();
    let sink = table(&path, &BY_TIME).sink();
    epoch(&sink, 1, &["+I[1, 2024-01-01, 8]"], None).await;
    let name = tree(&path).into_keys().find(|n| n.ends_with(".1.json")).expect("a list");
    let half = name.replace("/partitions-", "/.partitions-").replace(".1.json", ".2.json.new");
    files(&path, &[(&half, "{\"dt=2")]);
    let mut committer = committer_of(&sink, 3);
    committer.clean_up(&[]).await.expect("clean");
    assert!(!path.join(&half).exists() && !path.join(&name).exists());
    committer.finish(&decided(1)).await.expect("finished");
    assert_eq!(successes(&path), ["dt=2024-01-01/hour=8"]);
    assert!(!path.join(".flott-staging").exists(), "{:?}", tree(&path));
}

#[tokio::test]
async fn a_name_without_a_time_fails_before_anything_is_decided() {
    let (_dir, path) = temp();
    let sink = table(&path, &BY_TIME).sink();
    let mut writer = writer_of(&sink, 1, 0);
    let e = writer.write(batch(COLUMNS, &["+I[1, null, 8]"])).await.expect_err("no time");
    assert_eq!(e.kind(), ErrorKind::Data);
    assert!(e.to_string().contains("'__DEFAULT_PARTITION__ 8:00:00' is not a timestamp"), "{e}");
}

#[tokio::test]
async fn tables_without_partitions_report_nothing() {
    let (_dir, path) = temp();
    let table = Table::new(&path, COLUMNS).option("sink.partition-commit.policy.kind", "success-file");
    let sink = table.sink();
    epoch(&sink, 1, &["+I[1, a, b]"], None).await;
    assert_eq!(visible(&path).len(), 1);
}

#[tokio::test]
async fn in_an_object_store() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let sink = table(Path::new("bucket/t"), &BY_TIME).store(Arc::clone(&store)).sink();
    epoch(&sink, 1, &["+I[1, 2024-01-01, 8]"], None).await;
    let success = object_store::path::Path::parse("bucket/t/dt=2024-01-01/hour=8/_SUCCESS").expect("a path");
    assert!(store.head(&success).await.is_err());
    epoch(&sink, 2, &[], Some(i64::MAX)).await;
    store.head(&success).await.expect("there");
}

/// A restored savepoint begins a lineage of its own.
#[tokio::test]
async fn a_new_lineage_takes_over_what_is_open() {
    let (_dir, path) = temp();
    let clock = ManualClock::at_ms(1_000_000);
    let sink = table(&path, &[("sink.partition-commit.delay", "1 h")]).clock(clock.clone()).sink();
    epoch(&sink, 1, &["+I[1, a, 1]"], None).await;
    assert!(successes(&path).is_empty());
    let context = flott_connector::sink::CommitterContext {
        lineage: "restored".into(),
        generation: flott_core::Generation(2),
        operator_uid: "sink: t".into(),
        replaced_lineages: vec!["lineage".into()],
    };
    let mut committer = sink.create_committer(context).expect("made").expect("a committer");
    committer.clean_up(&[]).await.expect("clean");
    let lists: Vec<String> = tree(&path).into_keys().filter(|n| n.contains("/partitions-")).collect();
    assert!(matches!(lists.as_slice(), [list] if list.contains("/restored/")), "{lists:?}");
    // The hour counts from the partition's first file, not from the restore.
    clock.advance_ms(3_600_001);
    committer.commit(&decided(2), &[]).await.expect("committed");
    assert_eq!(successes(&path), ["dt=a/hour=1"]);
}

#[tokio::test]
async fn a_partition_with_a_file_that_cannot_be_shown_is_not_complete() {
    let (_dir, path) = temp();
    let sink = table(&path, &[]).sink();
    let rows = ["+I[1, 2024-01-01, 7]", "+I[2, 2024-01-01, 8]"];
    let committables = staged(writer_of(&sink, 1, 0).as_mut(), &[batch(COLUMNS, &rows)], 1).await;
    assert_eq!(committables.iter().filter(|c| c.id.contains("part-")).count(), 2, "a file of each: {committables:?}");
    let name = committables.iter().find(|c| c.id.contains("hour=7")).expect("one").id.clone();
    let file = name.rsplit('/').next().expect("a name").to_string();
    let (lost, content) = tree(&path).into_iter().find(|(n, _)| n.ends_with(&file)).expect("a staged file");
    std::fs::remove_file(path.join(&lost)).expect("removed");
    let why = refused(committer_of(&sink, 1).commit(&decided(1), &committables).await);
    assert_eq!(why.len(), 1, "{why:?}");
    assert!(successes(&path).is_empty(), "nobody knows yet what becomes of the file");
    // Somebody puts it back.
    files(&path, &[(&lost, &content)]);
    committer_of(&sink, 2).commit(&decided(1), &committables).await.expect("committed");
    assert_eq!(successes(&path).len(), 2);
}
