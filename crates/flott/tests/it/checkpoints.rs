//! What the options of checkpoints do: when they are taken, given up, and not taken.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flott::{Job, JobOutcome, JobState, Outcome, Restore, Session, default_registry};

use crate::scripted::{Scripted, Target};

const ROWS: usize = 1_500;

/// A job that reads rows for about a second.
async fn start(folder: &Path, target: &Scripted, options: &[(&str, &str)]) -> Job {
    start_with(folder, target, options, "s").await
}

/// The same, from another source.
async fn start_with(folder: &Path, target: &Scripted, options: &[(&str, &str)], source: &str) -> Job {
    let mut registry = default_registry();
    registry.add_connector(Arc::new(target.clone()));
    let mut builder = Session::builder()
        .registry(registry)
        .base_dir(folder)
        .restore(Restore::Latest)
        .option("parallelism.default", "2")
        .option("restart-strategy.type", "none");
    for (key, value) in options {
        builder = builder.option(*key, *value);
    }
    let mut session = builder.build().expect("a session");
    let script = format!(
        "CREATE TABLE s (id INT) WITH ('connector' = 'datagen', 'rows-per-second' = '1500', 'fields.id.kind' = 'sequence',
           'fields.id.start' = '1', 'fields.id.end' = '{ROWS}');
         CREATE TABLE short (id INT) WITH ('connector' = 'datagen', 'number-of-rows' = '10');
         CREATE TABLE o (id INT) WITH ('connector' = 'scripted');
         INSERT INTO o SELECT id FROM {source};"
    );
    for statement in session.parse(&script).expect("parses") {
        if let Outcome::Job(job) = session.execute(&statement).await.expect("runs") {
            return job;
        }
    }
    panic!("no job was started")
}

async fn end(job: &mut Job) -> flott::Result<JobState> {
    let ended = tokio::time::timeout(Duration::from_secs(30), job.wait()).await.expect("the job ends in time");
    match ended? {
        JobOutcome::Finished(state) => Ok(state),
        other => panic!("{other:?}"),
    }
}

async fn until(job: &Job, what: &str, holds: impl Fn(&JobState) -> bool) {
    let mut states = job.handle.watch();
    let waiting = states.wait_for(holds);
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect(what).expect(what);
}

const OFTEN: (&str, &str) = ("execution.checkpointing.interval", "30 ms");
const NEVER: (&str, &str) = ("execution.checkpointing.interval", "0 s");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_that_takes_too_long_is_given_up_and_fails_the_job_unless_that_is_tolerated() {
    let timeout = ("execution.checkpointing.timeout", "100 ms");
    let (folder, target) = (tempfile::tempdir().expect("a folder"), Scripted::new(Target::Stuck));
    let mut job = start(folder.path(), &target, &[OFTEN, timeout]).await;
    let error = end(&mut job).await.expect_err("none may fail").to_string();
    assert!(error.contains("was not complete after 100ms"), "{error}");
    let (folder, target) = (tempfile::tempdir().expect("a folder"), Scripted::new(Target::Stuck));
    let tolerable = ("execution.checkpointing.tolerable-failed-checkpoints", "1000");
    let mut job = start(folder.path(), &target, &[OFTEN, timeout, tolerable]).await;
    until(&job, "checkpoints that fail", |s| s.failed_checkpoints >= 3).await;
    assert_eq!(job.handle.state().checkpoints, 0);
    target.set(Target::There);
    let state = end(&mut job).await.expect("it goes on");
    assert!(state.checkpoints > 0);
    assert_eq!(target.visible_rows(), ROWS, "output of checkpoints that were given up is not lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_that_cannot_be_written_fails_the_job_unless_that_is_tolerated() {
    for tolerable in ["0", "2"] {
        let (folder, target) = (tempfile::tempdir().expect("a folder"), Scripted::new(Target::There));
        let checkpoints = folder.path().join("checkpoints/session");
        std::fs::create_dir_all(&checkpoints).expect("a folder");
        for in_the_way in ["chk-2-g1", "chk-3-g1"] {
            std::fs::write(checkpoints.join(in_the_way), "a file where a folder is to be").expect("written");
        }
        let options = [
            OFTEN,
            ("execution.checkpointing.dir", "checkpoints"),
            ("execution.checkpointing.tolerable-failed-checkpoints", tolerable),
        ];
        let numbered =
            "SELECT id, ROW_NUMBER() OVER (PARTITION BY id ORDER BY pt) AS n FROM (SELECT id, PROCTIME() AS pt FROM s)";
        let first = format!("({numbered}) WHERE n = 1");
        let mut job = start_with(folder.path(), &target, &options, &first).await;
        if tolerable == "0" {
            let error = end(&mut job).await.expect_err("none may fail").to_string();
            assert!(error.contains("chk-2-g1"), "{error}");
            continue;
        }
        let state = end(&mut job).await.expect("it goes on");
        assert_eq!((state.failed_checkpoints, state.restarts), (2, 0));
        assert!(state.checkpoints > 2, "{state:?}");
        assert_eq!(target.visible_rows(), ROWS);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn between_two_checkpoints_is_a_pause() {
    let (folder, target) = (tempfile::tempdir().expect("a folder"), Scripted::new(Target::There));
    let pause = ("execution.checkpointing.min-pause", "400 ms");
    let mut job = start(folder.path(), &target, &[OFTEN, pause]).await;
    let state = end(&mut job).await.expect("finishes");
    assert!((1..=5).contains(&state.checkpoints), "{state:?}");
    assert_eq!(target.visible_rows(), ROWS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_interval_there_is_one_at_the_end_of_the_input_and_those_that_are_asked_for() {
    let (folder, target) = (tempfile::tempdir().expect("a folder"), Scripted::new(Target::There));
    let mut job = start(folder.path(), &target, &[NEVER]).await;
    let state = end(&mut job).await.expect("finishes");
    assert_eq!((state.checkpoints, target.visible_rows()), (1, ROWS));
    let (folder, target) = (tempfile::tempdir().expect("a folder"), Scripted::new(Target::There));
    let mut job = start(folder.path(), &target, &[NEVER]).await;
    job.handle.checkpoint().await.expect("taken");
    let state = end(&mut job).await.expect("finishes");
    assert_eq!((state.checkpoints, target.visible_rows()), (2, ROWS));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkpoints_go_on_behind_a_source_that_has_ended_unless_told_otherwise() {
    let both = "s UNION ALL SELECT id FROM short";
    let (folder, target) = (tempfile::tempdir().expect("a folder"), Scripted::new(Target::There));
    let mut job = start_with(folder.path(), &target, &[OFTEN], both).await;
    assert!(end(&mut job).await.expect("finishes").checkpoints > 5);
    assert_eq!(target.visible_rows(), ROWS + 10);
    let (folder, target) = (tempfile::tempdir().expect("a folder"), Scripted::new(Target::There));
    let not = ("execution.checkpointing.checkpoints-after-tasks-finish.enabled", "false");
    let late = ("execution.checkpointing.interval", "300 ms");
    let mut job = start_with(folder.path(), &target, &[late, not], both).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let error = job.handle.checkpoint().await.expect_err("a source has ended").to_string();
    assert!(error.contains("checkpoints-after-tasks-finish"), "{error}");
    assert_eq!(end(&mut job).await.expect("finishes").checkpoints, 1, "only the last one");
    assert_eq!(target.visible_rows(), ROWS + 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_are_kept_as_are_wanted() {
    for (wanted, kept) in [("1", 1), ("3", 3)] {
        let (folder, target) = (tempfile::tempdir().expect("a folder"), Scripted::new(Target::There));
        let retained = ("execution.checkpointing.num-retained", wanted);
        let mut job = start(folder.path(), &target, &[OFTEN, retained]).await;
        until(&job, "checkpoints", |s| s.checkpoints >= 5).await;
        job.handle.cancel().await;
        let ended = tokio::time::timeout(Duration::from_secs(20), job.wait()).await.expect("in time");
        assert!(matches!(ended, Ok(JobOutcome::Cancelled(_))), "{ended:?}");
        let entries = std::fs::read_dir(folder.path().join(".flott/session")).expect("its folder").flatten();
        let manifests = entries.filter(|e| e.path().join("manifest.json").exists()).count();
        // One that is decided while the job is cancelled may not have retired its predecessor.
        assert!((kept..=kept + 1).contains(&manifests), "{manifests} of {wanted}");
    }
}
