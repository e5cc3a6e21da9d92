//! Whose a job is: one that another machine may run is not taken over by chance.

use std::path::Path;

use flott::{ErrorKind, JobOutcome, Outcome, Restore, Session};
use flott_core::FailPoints;
use flott_state::owner::Owner;
use flott_state::store::{Begin, Identity};
use flott_state::{CheckpointStorage, CheckpointStore};

const SCRIPT: &str = "\
    CREATE TABLE s (id INT) WITH ('connector' = 'datagen', 'fields.id.kind' = 'sequence',
      'fields.id.start' = '1', 'fields.id.end' = '10');
    CREATE TABLE o (id INT) WITH ('connector' = 'filesystem', 'path' = 'o', 'format' = 'csv');
    INSERT INTO o SELECT id FROM s;";

async fn run(folder: &Path, restore: Restore) -> flott::Result<JobOutcome> {
    let mut session = Session::builder().base_dir(folder).name("job").restore(restore).build()?;
    for statement in session.parse(SCRIPT)? {
        if let Outcome::Job(mut job) = session.execute(&statement).await? {
            return job.wait().await;
        }
    }
    panic!("no job was started")
}

/// An attempt of this process, on a machine of this name and start; it has taken no checkpoint.
async fn taken_by(folder: &Path, host: Option<&str>, boot: Option<&str>) -> CheckpointStore {
    let storage = CheckpointStorage::local(folder.join(".flott/job"), FailPoints::none());
    let (host, boot) = (host.map(str::to_string), boot.map(str::to_string));
    let draw = move || {
        let this = Owner::this_process();
        let owner =
            Owner { host: host.clone().unwrap_or(this.host.clone()), boot: boot.clone().or(this.boot.clone()), ..this };
        Identity { owner, ..Identity::draw() }
    };
    let opened = CheckpointStore::open_as(storage, FailPoints::none(), Begin::Latest, 2, None, &draw).await;
    opened.expect("taken").0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_of_another_machine_or_another_start_is_refused_before_its_first_checkpoint() {
    for (host, boot) in [(Some("elsewhere"), None), (None, Some("another start"))] {
        let folder = tempfile::tempdir().expect("a folder");
        let theirs = taken_by(folder.path(), host, boot).await;
        let error = run(folder.path(), Restore::Ask).await.expect_err("it may run there");
        assert_eq!(error.kind(), ErrorKind::User, "{error}");
        let text = error.to_string();
        assert!(text.contains("may be running on another machine") && text.contains("no checkpoint so far"), "{text}");
        assert!(text.contains(host.unwrap_or("process ")), "{text}");
        let hint = error.hint_text().expect("what to do");
        assert!(hint.contains("flott stop job") && hint.contains("--restore latest"), "{hint}");
        // It has lost nothing by that.
        theirs.tenure().check().await.expect("the job is theirs");
        assert!(!folder.path().join("o").exists());
        // Whoever knows better says so.
        let outcome = run(folder.path(), Restore::Latest).await.expect("taken over");
        assert!(matches!(outcome, JobOutcome::Finished(_)));
        assert_eq!(theirs.tenure().check().await.expect_err("fenced").kind(), ErrorKind::Fenced);
    }
}

/// Two sessions of one program, neither of which has said what its jobs are called.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_of_another_session_of_this_process_is_not_taken_over_unasked() {
    const ENDLESS: &str = "SET 'execution.checkpointing.interval' = '50 ms';
        CREATE TABLE s (id INT) WITH ('connector' = 'datagen', 'rows-per-second' = '100');
        CREATE TABLE o (id INT) WITH ('connector' = 'filesystem', 'path' = 'o', 'format' = 'csv');
        INSERT INTO o SELECT id FROM s;";
    let folder = tempfile::tempdir().expect("a folder");
    let start = async |restore: Restore| {
        let mut session = Session::builder().base_dir(folder.path()).restore(restore).build()?;
        for statement in session.parse(ENDLESS)? {
            if let Outcome::Job(job) = session.execute(&statement).await? {
                return Ok::<_, flott::Error>((session, job));
            }
        }
        panic!("no job was started")
    };
    let (_first, mut job) = start(Restore::Ask).await.expect("starts");
    for _ in 0..2 {
        let error = start(Restore::Ask).await.map(drop).expect_err("it runs");
        assert_eq!(error.kind(), ErrorKind::User, "{error}");
        assert!(error.to_string().contains("another session of this process"), "{error}");
        assert!(error.hint_text().expect("what to do").contains("pipeline.name"), "{error}");
        // The one that runs has lost nothing by that.
        job.handle.checkpoint().await.expect("it goes on");
    }
    // Whoever wants that says so.
    let (_second, mut other) = start(Restore::Latest).await.expect("taken over");
    assert_eq!(job.wait().await.expect_err("fenced").kind(), ErrorKind::Fenced);
    other.handle.stop(flott::StopMode::suspend()).await.expect("stops");
    assert!(matches!(other.wait().await, Ok(JobOutcome::Suspended(_))));
    // Nothing of it runs any more: what is asked then is asked of a run that has ended.
    let error = start(Restore::Ask).await.map(drop).expect_err("it has checkpoints").to_string();
    assert!(error.contains("has an unfinished run"), "{error}");
}

/// What this very process has left is its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_of_this_process_is_not_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    taken_by(folder.path(), None, None).await;
    assert!(matches!(run(folder.path(), Restore::Ask).await, Ok(JobOutcome::Finished(_))));
}
