//! Savepoints, and jobs that are stopped with and without draining.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flott::{Job, JobOutcome, Outcome, Restore, SavepointTarget, Session, StopMode};

pub(crate) const ROWS: i64 = 3_000;

fn rows_job(rows_per_second: u32) -> String {
    format!(
        "CREATE TABLE s (id BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '{rows_per_second}',
           'fields.id.kind' = 'sequence', 'fields.id.start' = '1', 'fields.id.end' = '{ROWS}');
         CREATE TABLE o (id BIGINT) WITH ('connector' = 'filesystem', 'path' = 'o', 'format' = 'csv');
         INSERT INTO o SELECT id FROM s;"
    )
}

/// Windows of 100 rows each by the number of the row, which only fire as event time moves.
fn window_job(rows_per_second: u32) -> String {
    format!(
        "CREATE TABLE s (id BIGINT, ts AS TO_TIMESTAMP_LTZ(id, 3), WATERMARK FOR ts AS ts) WITH ('connector' = 'datagen',
           'rows-per-second' = '{rows_per_second}', 'fields.id.kind' = 'sequence', 'fields.id.start' = '0',
           'fields.id.end' = '{}');
         CREATE TABLE o (w BIGINT, n BIGINT) WITH ('connector' = 'filesystem', 'path' = 'o', 'format' = 'csv');
         INSERT INTO o SELECT MIN(id) / 100, COUNT(*)
           FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '0.1' SECOND)) GROUP BY window_start, window_end;",
        ROWS - 1
    )
}

pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Place {
        Place(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Starts the script's job; checkpoints are only those that are asked for.
    pub(crate) async fn start(&self, script: &str, restore: Restore, options: &[(&str, &str)]) -> flott::Result<Job> {
        let mut builder = Session::builder()
            .base_dir(self.path())
            .restore(restore)
            .option("parallelism.default", "2")
            .option("execution.checkpointing.interval", "1 h");
        for (key, value) in options {
            builder = builder.option(*key, *value);
        }
        let mut session = builder.build()?;
        for statement in session.parse(script)? {
            if let Outcome::Job(job) = session.execute(&statement).await? {
                return Ok(job);
            }
        }
        panic!("no job was started")
    }

    /// All visible rows, sorted.
    pub(crate) fn written(&self) -> Vec<Vec<i64>> {
        self.written_to("o")
    }

    /// Those of one table.
    pub(crate) fn written_to(&self, folder: &str) -> Vec<Vec<i64>> {
        let files = std::fs::read_dir(self.path().join(folder)).into_iter().flatten().flatten();
        let mut rows = vec![];
        for file in files.filter(|f| f.path().is_file()) {
            let text = std::fs::read_to_string(file.path()).expect("text");
            rows.extend(text.lines().map(|l| l.split(',').map(|n| n.parse().expect("a number")).collect::<Vec<i64>>()));
        }
        rows.sort_unstable();
        rows
    }

    fn ids(&self) -> Vec<i64> {
        self.written().into_iter().map(|row| row[0]).collect()
    }

    /// Counted rows by window, of which each has fired once.
    fn counts(&self) -> BTreeMap<i64, i64> {
        let mut counts = BTreeMap::new();
        for row in self.written() {
            assert_eq!(counts.insert(row[0], row[1]), None, "window {} has fired twice", row[0]);
        }
        counts
    }
}

/// Stops the job of a script once it has read some rows, with what it keeps of them in the state.
pub(crate) async fn stopped(script: &str) -> Place {
    let place = Place::new();
    let mut job = place.start(script, Restore::Ask, &[]).await.expect("starts");
    underway(&job, 200).await;
    job.handle.request_stop(StopMode::suspend()).await.expect("it runs");
    assert!(matches!(end(&mut job).await, JobOutcome::Suspended(_)));
    place
}

pub(crate) async fn end(job: &mut Job) -> JobOutcome {
    let ended = tokio::time::timeout(Duration::from_secs(30), job.wait()).await;
    ended.expect("the job ends in time").expect("it ends well")
}

/// Rows that its sources have read.
fn read_rows(job: &Job) -> u64 {
    let graph = job.handle.graph();
    graph.sources().map(|(id, _)| job.handle.metrics().sum(id.0, |m| &m.records_out)).sum()
}

/// Until its sources have read something.
pub(crate) async fn underway(job: &Job, rows: u64) {
    for _ in 0..2_000 {
        if read_rows(job) >= rows {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the job reads nothing");
}

fn into(place: &Place) -> SavepointTarget {
    SavepointTarget::In(place.path().join("savepoints").display().to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_savepoint_of_a_running_job_starts_another_and_costs_the_first_nothing() {
    let (first, second) = (Place::new(), Place::new());
    let mut job = first.start(&rows_job(1_500), Restore::Ask, &[]).await.expect("starts");
    underway(&job, 300).await;
    let savepoint = job.handle.savepoint(into(&first)).await.expect("a savepoint");
    let before = first.ids();
    assert!(!before.is_empty() && before.len() < ROWS as usize, "{}", before.len());
    assert!(matches!(end(&mut job).await, JobOutcome::Finished(_)));
    assert_eq!(first.ids(), (1..=ROWS).collect::<Vec<_>>(), "the job's own output is whole");
    // Nothing of the first job is needed any more, and another parallelism will do.
    std::fs::remove_dir_all(first.path().join(".flott")).expect("its checkpoints go");
    let restore = Restore::Path(savepoint.location.into());
    let mut job = second.start(&rows_job(100_000), restore, &[("parallelism.default", "3")]).await.expect("starts");
    assert!(job.savepoint.is_some());
    assert!(matches!(end(&mut job).await, JobOutcome::Finished(_)));
    let mut all = [before, second.ids()].concat();
    all.sort_unstable();
    assert_eq!(all, (1..=ROWS).collect::<Vec<_>>(), "it goes on behind the savepoint, and nowhere else");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_without_drain_fires_no_window_and_its_savepoint_holds_them() {
    let (first, second) = (Place::new(), Place::new());
    let mut job = first.start(&window_job(1_500), Restore::Ask, &[]).await.expect("starts");
    underway(&job, 300).await;
    let stopped = job.handle.stop(StopMode::suspend().with_savepoint(into(&first))).await.expect("stops");
    let savepoint = stopped.expect("a savepoint");
    assert!(matches!(end(&mut job).await, JobOutcome::Suspended(_)));
    let mut counts = first.counts();
    assert!(counts.values().sum::<i64>() < ROWS, "{counts:?}");
    let restore = Restore::Path(PathBuf::from(&savepoint.location).join("_metadata"));
    let mut job = second.start(&window_job(100_000), restore, &[("parallelism.default", "1")]).await.expect("starts");
    assert!(matches!(end(&mut job).await, JobOutcome::Finished(_)));
    for (window, n) in second.counts() {
        assert!(counts.insert(window, n).is_none(), "window {window} has fired twice");
    }
    assert_eq!(counts.values().sum::<i64>(), ROWS, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_with_drain_fires_all_windows_and_ends_the_job() {
    let (first, second) = (Place::new(), Place::new());
    let mut job = first.start(&window_job(1_000), Restore::Ask, &[]).await.expect("starts");
    underway(&job, 300).await;
    let stopped = job.handle.stop(StopMode::suspend().with_drain().with_savepoint(into(&first))).await.expect("stops");
    let savepoint = stopped.expect("a savepoint");
    assert!(matches!(end(&mut job).await, JobOutcome::Finished(_)));
    let drained: i64 = first.counts().values().sum();
    assert!(drained > 0 && drained < ROWS, "{drained}");
    // The rows behind it are read by whoever starts from there; windows that were open have fired with what they had.
    let restore = Restore::Path(savepoint.location.into());
    let mut job = second.start(&window_job(100_000), restore, &[]).await.expect("starts");
    assert!(matches!(end(&mut job).await, JobOutcome::Finished(_)));
    assert_eq!(second.counts().values().sum::<i64>(), ROWS - drained, "no row is lost or read twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_without_a_savepoint_ends_an_endless_job() {
    let place = Place::new();
    let script = "CREATE TABLE s (id INT) WITH ('connector' = 'datagen', 'rows-per-second' = '100');
         CREATE TABLE o (id INT) WITH ('connector' = 'filesystem', 'path' = 'o', 'format' = 'csv');
         INSERT INTO o SELECT id FROM s;";
    let mut job = place.start(script, Restore::Ask, &[]).await.expect("starts");
    underway(&job, 10).await;
    assert_eq!(job.handle.stop(StopMode::suspend().with_drain()).await.expect("stops"), None);
    assert!(matches!(end(&mut job).await, JobOutcome::Finished(_)));
    assert!(place.written().len() >= 10, "what was read is committed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claimed_savepoint_goes_and_another_stays() {
    let first = Place::new();
    let job = first.start(&window_job(1_000), Restore::Ask, &[]).await.expect("starts");
    underway(&job, 300).await;
    let savepoint = job.handle.stop(StopMode::suspend().with_savepoint(into(&first))).await.expect("stops");
    let savepoint = PathBuf::from(savepoint.expect("a savepoint").location);
    for (mode, stays) in [("NO_CLAIM", true), ("CLAIM", false)] {
        let second = Place::new();
        let restore = Restore::Path(savepoint.clone());
        let options = [("execution.state-recovery.claim-mode", mode)];
        let mut job = second.start(&window_job(500), restore.clone(), &options).await.expect("starts");
        job.handle.checkpoint().await.expect("the first one is full");
        assert!(savepoint.join("_metadata").exists(), "{mode}: needed while there is one checkpoint of two");
        job.handle.checkpoint().await.expect("the second one");
        assert_eq!(savepoint.join("_metadata").exists(), stays, "{mode}");
        job.handle.cancel().await;
        assert!(matches!(end(&mut job).await, JobOutcome::Cancelled(_)));
        let mut job = second.start(&window_job(100_000), Restore::Latest, &[]).await.expect("goes on");
        assert!(matches!(end(&mut job).await, JobOutcome::Finished(_)));
    }
    let error = Place::new().start(&window_job(500), Restore::Path(savepoint), &[]).await.map(drop).expect_err("gone");
    assert!(error.to_string().contains("no whole savepoint"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_folder_above_a_savepoint_means_it_where_it_is_alone() {
    let (first, second) = (Place::new(), Place::new());
    let job = first.start(&window_job(1_000), Restore::Ask, &[]).await.expect("starts");
    underway(&job, 300).await;
    let one = job.handle.savepoint(into(&first)).await.expect("a savepoint").location;
    let above = first.path().join("savepoints");
    // What else lies there means nothing, but one that broke off may be what is meant.
    std::fs::create_dir_all(above.join("notes")).expect("a folder");
    let broken = above.join("savepoint-abcdef-notwhole");
    std::fs::create_dir_all(&broken).expect("a folder");
    let restore = Restore::Path(above.clone());
    let error = Place::new().start(&window_job(500), restore.clone(), &[]).await.map(drop).expect_err("the older one?");
    assert!(error.to_string().contains("savepoint-abcdef-notwhole is not"), "{error}");
    std::fs::remove_dir(&broken).expect("removed");
    let mut restored = second.start(&window_job(100_000), restore.clone(), &[]).await.expect("starts");
    assert_eq!(restored.savepoint.as_deref(), Some(one.as_str()));
    assert!(matches!(end(&mut restored).await, JobOutcome::Finished(_)));
    let other = job.handle.savepoint(into(&first)).await.expect("another savepoint").location;
    job.handle.cancel().await;
    let error = Place::new().start(&window_job(500), restore, &[]).await.map(drop).expect_err("which one?").to_string();
    assert!(error.contains("2 savepoints are in it") && error.contains("Name the folder of one"), "{error}");
    for name in [one, other] {
        let name = PathBuf::from(name).file_name().expect("a name").to_string_lossy().into_owned();
        assert!(error.contains(&name), "{name}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_killed_before_its_first_checkpoint_begins_with_the_savepoint_again() {
    let (first, second) = (Place::new(), Place::new());
    let job = first.start(&rows_job(1_500), Restore::Ask, &[]).await.expect("starts");
    underway(&job, 300).await;
    let savepoint = job.handle.stop(StopMode::suspend().with_savepoint(into(&first))).await.expect("stops");
    let before = first.ids();
    let restore = Restore::Path(savepoint.expect("a savepoint").location.into());
    let mut job = second.start(&rows_job(500), restore, &[]).await.expect("starts");
    underway(&job, 50).await;
    job.handle.cancel().await;
    assert!(matches!(end(&mut job).await, JobOutcome::Cancelled(_)));
    assert!(second.ids().is_empty());
    let mut job = second.start(&rows_job(100_000), Restore::Latest, &[]).await.expect("goes on");
    assert!(job.savepoint.is_some());
    assert!(matches!(end(&mut job).await, JobOutcome::Finished(_)));
    let mut all = [before, second.ids()].concat();
    all.sort_unstable();
    assert_eq!(all, (1..=ROWS).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_savepoint_that_cannot_be_taken_says_why_and_the_job_goes_on() {
    let place = Place::new();
    std::fs::write(place.path().join("file"), "").expect("written");
    let mut job = place.start(&rows_job(1_500), Restore::Ask, &[]).await.expect("starts");
    let nowhere = job.handle.savepoint(SavepointTarget::Configured).await.expect_err("no directory").to_string();
    assert!(nowhere.contains("execution.checkpointing.savepoint-dir"), "{nowhere}");
    let file = SavepointTarget::In("file".to_string());
    job.handle.savepoint(file.clone()).await.expect_err("a file is no directory");
    let stop = StopMode::suspend().with_savepoint(file);
    job.handle.stop(stop).await.expect_err("it does not stop without its savepoint");
    assert!(matches!(end(&mut job).await, JobOutcome::Finished(_)));
    let ended = job.handle.savepoint(into(&place)).await.expect_err("it has ended").to_string();
    assert!(ended.contains("FINISHED"), "{ended}");
    assert_eq!(place.ids(), (1..=ROWS).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_without_checkpoints_says_what_to_set() {
    let place = Place::new();
    let script =
        "CREATE TABLE s (id INT) WITH ('connector' = 'datagen', 'rows-per-second' = '10', 'number-of-rows' = '1000');
         CREATE TABLE o (id INT) WITH ('connector' = 'blackhole');
         RESET 'execution.checkpointing.interval';
         INSERT INTO o SELECT id FROM s;";
    let mut job = place.start(script, Restore::Ask, &[]).await.expect("starts");
    let error = job.handle.savepoint(into(&place)).await.expect_err("it has none").to_string();
    assert!(error.contains("execution.checkpointing.interval"), "{error}");
    job.handle.stop(StopMode::suspend()).await.expect("it stops all the same");
    assert!(matches!(end(&mut job).await, JobOutcome::Cancelled(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_configured_directory_and_the_job_s_id_name_a_savepoint() {
    let place = Place::new();
    let dir = [("execution.checkpointing.savepoint-dir", "saved")];
    let job = place.start(&rows_job(1_500), Restore::Ask, &dir).await.expect("starts");
    let client = job.handle.client();
    let savepoint = client.savepoint(SavepointTarget::Configured).await.expect("a savepoint");
    let begin = place.path().join("saved").join(format!("savepoint-{}-", &client.id()[..6]));
    assert!(savepoint.location.starts_with(begin.to_str().expect("text")), "{savepoint:?}");
    assert!(savepoint.bytes > 0);
    client.cancel().await;
    client.ended().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_overwrites_takes_no_savepoint_and_is_not_drained() {
    let place = Place::new();
    std::fs::create_dir(place.path().join("o")).expect("a folder");
    std::fs::write(place.path().join("o/old.csv"), "-1\n").expect("written");
    let script = rows_job(1_000).replace("INSERT INTO", "INSERT OVERWRITE");
    let mut job = place.start(&script, Restore::Latest, &[("execution.runtime-mode", "BATCH")]).await.expect("starts");
    let to = || SavepointTarget::In(place.path().join("sp").display().to_string());
    let refused = job.handle.savepoint(to()).await.expect_err("a savepoint");
    assert!(refused.to_string().contains("overwrites a table"), "{refused}");
    for mode in [StopMode { drain: true, savepoint: None }, StopMode { drain: false, savepoint: Some(to()) }] {
        let refused = job.handle.stop(mode).await.expect_err("a stop");
        assert!(refused.to_string().contains("overwrites a table"), "{refused}");
    }
    let outcome = job.handle.wait().await.expect("goes on to its end");
    assert!(matches!(outcome, JobOutcome::Finished(_)), "{outcome:?}");
    assert_eq!(place.written().len() as i64, ROWS, "the old row is gone, and all new ones are there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn state_that_an_edited_aggregate_cannot_read_is_the_users_error() {
    let place = Place::new();
    let script = window_job(500);
    let mut job = place.start(&script, Restore::Ask, &[]).await.expect("starts");
    underway(&job, 200).await;
    job.handle.request_stop(StopMode::suspend()).await.expect("it runs");
    end(&mut job).await;
    let edited = script.replace("COUNT(*)", "COUNT(*) + MAX(id) - MAX(id)");
    assert_ne!(edited, script);
    // Before anything is taken over.
    let e = place.start(&edited, Restore::Latest, &[]).await.map(drop).expect_err("the state is of other columns");
    assert_eq!(e.kind(), flott::ErrorKind::User, "{e}");
    assert!(e.to_string().contains("the stored state of"), "{e}");
    let mut job = place.start(&script, Restore::Latest, &[]).await.expect("starts");
    end(&mut job).await;
    assert_eq!(place.counts().values().sum::<i64>(), ROWS, "the state is still there");
}

/// A drain whose savepoint cannot be written is taken back: as in Flink the job goes on, from its last checkpoint.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_without_room_for_its_savepoint_is_taken_back() {
    let place = Place::new();
    let options = [
        ("restart-strategy.type", "fixed-delay"),
        ("restart-strategy.fixed-delay.delay", "10 ms"),
        ("execution.checkpointing.savepoint-dir", "saved"),
    ];
    let mut job = place.start(&window_job(1_500), Restore::Ask, &options).await.expect("starts");
    underway(&job, 300).await;
    job.handle.checkpoint().await.expect("a checkpoint");
    let drain = StopMode::suspend().with_drain().with_savepoint(SavepointTarget::Configured);
    job.handle.request_stop(drain).await.expect("there was room when it was asked for");
    // Its folder is a file now, before the sources have ended.
    std::fs::remove_dir_all(place.path().join("saved")).ok();
    std::fs::write(place.path().join("saved"), "").expect("written");
    for _ in 0..2_000 {
        if job.handle.state().restarts > 0 || job.handle.state().ended_ms.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(job.handle.state().restarts, 1, "{:?}", job.handle.state());
    assert!(matches!(end(&mut job).await, JobOutcome::Finished(_)));
    let counts = place.counts();
    assert!(counts.values().all(|n| *n == 100), "no window has fired with a part of its rows: {counts:?}");
    assert_eq!(counts.len() as i64, ROWS / 100);
}

/// The same where the job may not be started again: it fails, and a restore goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_whose_savepoint_cannot_be_written_is_told_why() {
    let place = Place::new();
    let options = [("restart-strategy.type", "none"), ("execution.checkpointing.savepoint-dir", "saved")];
    let mut job = place.start(&window_job(1_500), Restore::Ask, &options).await.expect("starts");
    underway(&job, 300).await;
    job.handle.checkpoint().await.expect("a checkpoint");
    let client = job.handle.client();
    let drain = StopMode::suspend().with_drain().with_savepoint(SavepointTarget::Configured);
    job.handle.request_stop(drain).await.expect("there was room when it was asked for");
    std::fs::remove_dir_all(place.path().join("saved")).ok();
    std::fs::write(place.path().join("saved"), "").expect("written");
    let error = job.wait().await.expect_err("it cannot be drained");
    assert!(error.to_string().contains("savepoint of the job's end cannot be written"), "{error}");
    assert_eq!(client.state().status, flott::JobStatus::Failed);
    let mut job = place.start(&window_job(100_000), Restore::Latest, &[]).await.expect("goes on");
    assert!(matches!(end(&mut job).await, JobOutcome::Finished(_)));
    assert_eq!(place.counts().values().sum::<i64>(), ROWS);
}

/// The only file below a folder whose name begins so.
fn find(folder: &Path, begin: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    entries.map(|e| e.path()).find_map(|path| {
        let is_it = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(begin));
        if is_it { Some(path) } else { find(&path, begin) }
    })
}

/// As in Flink: whoever cannot have the savepoint with which the job was to stop has a job that goes on, without a restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_whose_savepoint_cannot_be_written_is_taken_back() {
    let place = Place::new();
    let mut job = place.start(&window_job(1_500), Restore::Ask, &[]).await.expect("starts");
    underway(&job, 300).await;
    job.handle.checkpoint().await.expect("a checkpoint");
    // A part of every savepoint cannot be read any more.
    let bundle = find(place.path(), "bundle-").expect("a bundle");
    let aside = place.path().join("aside");
    std::fs::rename(&bundle, &aside).expect("moved");
    std::fs::create_dir(&bundle).expect("a folder in its place");
    let error = job.handle.stop(StopMode::suspend().with_savepoint(into(&place))).await.expect_err("no savepoint");
    assert!(error.to_string().contains("goes on"), "{error}");
    let after = job.handle.state();
    assert_eq!((after.status, after.restarts), (flott::JobStatus::Running, 0), "{after:?}");
    // Whoever asked is told before the count follows: of the first checkpoint and of the one behind which the job was to
    // stop.
    for _ in 0..1_000 {
        if job.handle.state().checkpoints >= 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(job.handle.state().checkpoints >= 2, "its checkpoint counts: {:?}", job.handle.state());
    let read = read_rows(&job);
    underway(&job, read + 300).await;

    std::fs::remove_dir(&bundle).expect("removed");
    std::fs::rename(&aside, &bundle).expect("moved back");
    let stopped = job.handle.stop(StopMode::suspend().with_savepoint(into(&place))).await.expect("stops");
    assert!(stopped.is_some());
    assert!(matches!(end(&mut job).await, JobOutcome::Suspended(_)));
    let mut job = place.start(&window_job(100_000), Restore::Latest, &[]).await.expect("goes on");
    assert!(matches!(end(&mut job).await, JobOutcome::Finished(_)));
    let counts = place.counts();
    assert!(counts.values().all(|n| *n == 100), "{counts:?}");
    assert_eq!(counts.len() as i64, ROWS / 100);
}

/// The checkpoint with which the job was to stop is not complete in time: no savepoint, no stop. Whoever wants nothing but
/// the end waits for the next checkpoint.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_that_times_out_is_taken_back_where_its_savepoint_was_wanted() {
    let place = Place::new();
    let options = [
        ("execution.checkpointing.timeout", "1 ms"),
        ("execution.checkpointing.tolerable-failed-checkpoints", "100000"),
    ];
    let mut job = place.start(&window_job(1_500), Restore::Ask, &options).await.expect("starts");
    underway(&job, 100).await;
    let stop = job.handle.stop(StopMode::suspend().with_savepoint(into(&place))).await;
    let error = stop.expect_err("two files are synced before it is complete").to_string();
    assert!(error.contains("was not complete after"), "{error}");
    let state = job.handle.state();
    assert_eq!((state.status, state.restarts), (flott::JobStatus::Running, 0), "{state:?}");
    let read = read_rows(&job);
    underway(&job, read + 300).await;
    assert!(matches!(end(&mut job).await, JobOutcome::Finished(_)));
    assert_eq!(place.counts().values().sum::<i64>(), ROWS);
}
