//! Commits that fail, hang and are refused, and users who want an end meanwhile.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use flott::{ErrorKind, Job, JobOutcome, Outcome, Restore, SavepointTarget, Session, StopMode, default_registry};

use crate::scripted::{Scripted, Target};

const ROWS: usize = 3_000;

/// A job that reads rows for about two seconds and commits every 50 ms; `more` are further settings.
async fn start(folder: &Path, target: &Scripted, restore: Restore, more: &str) -> flott::Result<Job> {
    start_with(folder, target, restore, more, false).await
}

async fn start_with(
    folder: &Path,
    target: &Scripted,
    restore: Restore,
    more: &str,
    allow_lost_output: bool,
) -> flott::Result<Job> {
    let mut registry = default_registry();
    registry.add_connector(Arc::new(target.clone()));
    let mut session = Session::builder()
        .registry(registry)
        .base_dir(folder)
        .restore(restore)
        .allow_lost_output(allow_lost_output)
        .option("parallelism.default", "2")
        .build()?;
    let script = format!(
        "SET 'execution.checkpointing.interval' = '50 ms';
         SET 'restart-strategy.exponential-delay.initial-backoff' = '10 ms';
         {more}
         CREATE TABLE s (id INT) WITH ('connector' = 'datagen', 'rows-per-second' = '1500', 'fields.id.kind' = 'sequence',
           'fields.id.start' = '1', 'fields.id.end' = '{ROWS}');
         CREATE TABLE o (id INT) WITH ('connector' = 'scripted');
         INSERT INTO o SELECT id FROM s;"
    );
    for statement in session.parse(&script)? {
        if let Outcome::Job(job) = session.execute(&statement).await? {
            return Ok(job);
        }
    }
    panic!("no job was started")
}

async fn end(job: &mut Job) -> flott::Result<JobOutcome> {
    tokio::time::timeout(Duration::from_secs(20), job.wait()).await.expect("the job ends in time")
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..1_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited too long for {what}");
}

/// Runs the job to its end from its last checkpoint, with a target that takes output.
async fn finish(folder: &Path, target: &Scripted) {
    target.set(Target::There);
    let mut job = start(folder, target, Restore::Latest, "").await.expect("goes on");
    let outcome = end(&mut job).await.expect("finishes");
    assert!(matches!(outcome, JobOutcome::Finished(_)), "{outcome:?}");
    assert_eq!(target.visible_rows(), ROWS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_fails_half_way_is_finished_by_the_next_attempt() {
    let (folder, target) = (tempfile::tempdir().expect("a folder"), Scripted::new(Target::FailsHalfWay));
    let mut job = start(folder.path(), &target, Restore::Ask, "").await.expect("starts");
    let outcome = end(&mut job).await.expect("finishes");
    let JobOutcome::Finished(state) = outcome else { panic!("{outcome:?}") };
    assert_eq!(state.restarts, 1);
    assert_eq!(target.visible_rows(), ROWS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn output_that_is_refused_fails_the_job_and_is_kept() {
    let (folder, target) = (tempfile::tempdir().expect("a folder"), Scripted::new(Target::Refuses));
    let mut job = start(folder.path(), &target, Restore::Ask, "").await.expect("starts");
    let error = end(&mut job).await.expect_err("it is refused");
    assert_eq!(error.kind(), ErrorKind::User, "{error}");
    assert_eq!(target.commits.load(Ordering::SeqCst), 1, "a refusal is not tried again");
    finish(folder.path(), &target).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_ends_a_job_whose_target_is_away() {
    let (folder, target) = (tempfile::tempdir().expect("a folder"), Scripted::new(Target::Busy));
    let mut job = start(folder.path(), &target, Restore::Ask, "").await.expect("starts");
    until("a commit", || target.commits.load(Ordering::SeqCst) > 0).await;
    job.handle.request_stop(StopMode::suspend()).await.expect("it runs");
    tokio::time::sleep(Duration::from_millis(100)).await;
    job.handle.cancel().await;
    let outcome = end(&mut job).await.expect("it ends well");
    assert!(matches!(outcome, JobOutcome::Cancelled(_)), "{outcome:?}");
    assert_eq!(target.visible_rows(), 0);
    finish(folder.path(), &target).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_waits_for_the_commit_that_it_promises() {
    let (folder, target) = (tempfile::tempdir().expect("a folder"), Scripted::new(Target::Busy));
    let mut job = start(folder.path(), &target, Restore::Ask, "").await.expect("starts");
    until("a commit", || target.commits.load(Ordering::SeqCst) > 0).await;
    job.handle.request_stop(StopMode::suspend()).await.expect("it runs");
    tokio::time::sleep(Duration::from_millis(100)).await;
    target.set(Target::There);
    let outcome = end(&mut job).await.expect("it ends well");
    assert!(matches!(outcome, JobOutcome::Suspended(_)), "{outcome:?}");
    assert!(target.visible_rows() > 0);
    finish(folder.path(), &target).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_to_end_is_not_started_again() {
    let (folder, target) = (tempfile::tempdir().expect("a folder"), Scripted::new(Target::Busy));
    let timeout = "SET 'execution.checkpointing.timeout' = '1 s';";
    let mut job = start(folder.path(), &target, Restore::Ask, timeout).await.expect("starts");
    until("a commit", || target.commits.load(Ordering::SeqCst) > 0).await;
    job.handle.request_stop(StopMode::suspend()).await.expect("it runs");
    target.set(Target::FailsHalfWay);
    let error = end(&mut job).await.expect_err("the commit fails");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert_eq!(job.handle.state().restarts, 0);
    finish(folder.path(), &target).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_need_not_wait_for_the_pause_before_a_restart() {
    let (folder, target) = (tempfile::tempdir().expect("a folder"), Scripted::new(Target::FailsHalfWay));
    let slow = "SET 'restart-strategy.type' = 'fixed-delay'; SET 'restart-strategy.fixed-delay.delay' = '1 h';";
    let mut job = start(folder.path(), &target, Restore::Ask, slow).await.expect("starts");
    until("the failure", || target.commits.load(Ordering::SeqCst) > 0).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    job.handle.request_stop(StopMode::suspend()).await.expect("it runs");
    let outcome = end(&mut job).await.expect("it ends well");
    assert!(matches!(outcome, JobOutcome::Suspended(_)), "{outcome:?}");
    finish(folder.path(), &target).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_piece_that_can_never_be_committed_fails_the_job_and_is_kept() {
    let (folder, target) = (tempfile::tempdir().expect("a folder"), Scripted::new(Target::RefusesOne));
    let mut job = start(folder.path(), &target, Restore::Ask, "").await.expect("starts");
    let error = end(&mut job).await.expect_err("it is refused");
    assert_eq!(error.kind(), ErrorKind::Data, "{error}");
    assert!(error.to_string().contains("it is too heavy"), "{error}");
    assert_eq!(target.commits.load(Ordering::SeqCst), 1, "a refusal is not tried again");
    finish(folder.path(), &target).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn output_that_can_never_be_committed_is_given_up_once_its_user_knows_and_allows_it() {
    let (folder, target) = (tempfile::tempdir().expect("a folder"), Scripted::new(Target::RefusesOne));
    let start_allowed = || start_with(folder.path(), &target, Restore::Latest, "", true);
    let mut job = start_allowed().await.expect("starts");
    // Allowed or not: nobody has heard of this loss yet.
    end(&mut job).await.expect_err("it is refused");
    let before = target.visible_rows();
    let error = start(folder.path(), &target, Restore::Latest, "").await.map(drop).expect_err("not in silence");
    assert!(error.to_string().contains("--allow-lost-output"), "{error}");
    // The first piece is refused again when it is restored. Behind it the target takes all.
    let mut job = start_allowed().await.expect("goes on");
    target.set(Target::There);
    let outcome = end(&mut job).await.expect("finishes");
    assert!(matches!(outcome, JobOutcome::Finished(_)), "{outcome:?}");
    let rows = target.visible_rows();
    assert!(before < rows && rows < ROWS, "{rows} rows, {before} before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_that_was_to_come_with_a_savepoint_comes_to_nothing_where_the_attempt_fails() {
    for (drain, savepoint) in [(false, true), (true, false)] {
        let (folder, target) = (tempfile::tempdir().expect("a folder"), Scripted::new(Target::Busy));
        let timeout = "SET 'execution.checkpointing.timeout' = '20 s';";
        let mut job = start(folder.path(), &target, Restore::Ask, timeout).await.expect("starts");
        until("a commit", || target.commits.load(Ordering::SeqCst) > 0).await;
        let to = SavepointTarget::In("savepoints".to_string());
        let mode = StopMode { drain, savepoint: savepoint.then_some(to) };
        let client = job.handle.client();
        let stopping = tokio::spawn(async move { client.stop(mode).await });
        tokio::time::sleep(Duration::from_millis(200)).await;
        target.set(Target::FailsHalfWay);
        let stopped =
            tokio::time::timeout(Duration::from_secs(10), stopping).await.expect("answered").expect("no panic");
        let error = stopped.expect_err("there was a failure before");
        assert!(error.to_string().contains("is started again"), "drain {drain}: {error}");
        let outcome = end(&mut job).await.expect("it goes on");
        let JobOutcome::Finished(state) = outcome else { panic!("drain {drain}: {outcome:?}") };
        assert_eq!((state.restarts, target.visible_rows()), (1, ROWS), "drain {drain}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_job_is_not_started_again_once_its_end_is_decided() {
    let (folder, target) = (tempfile::tempdir().expect("a folder"), Scripted::new(Target::FailsHalfWay));
    // The first commit is that of the end.
    let mut job = start(folder.path(), &target, Restore::Ask, "SET 'execution.checkpointing.interval' = '1 h';")
        .await
        .expect("starts");
    tokio::time::sleep(Duration::from_millis(300)).await;
    job.handle.request_stop(StopMode::suspend().with_drain()).await.expect("it runs");
    let error = end(&mut job).await.expect_err("the commit fails");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert_eq!(job.handle.state().restarts, 0, "another attempt would have no state");
    assert_eq!(target.commits.load(Ordering::SeqCst), 1);
    finish(folder.path(), &target).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn committables_are_put_together_before_the_decision() {
    let (folder, target) = (tempfile::tempdir().expect("a folder"), Scripted::new(Target::FailsHalfWay));
    target.joins.store(true, Ordering::SeqCst);
    let mut job = start(folder.path(), &target, Restore::Ask, "").await.expect("starts");
    let outcome = end(&mut job).await.expect("finishes");
    assert!(matches!(outcome, JobOutcome::Finished(_)), "{outcome:?}");
    assert_eq!(target.visible_rows(), ROWS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_that_ends_early_tells_its_committers() {
    let (folder, target) = (tempfile::tempdir().expect("a folder"), Scripted::new(Target::There));
    let mut job = start(folder.path(), &target, Restore::Ask, "").await.expect("starts");
    until("a commit", || target.commits.load(Ordering::SeqCst) > 0).await;
    job.handle.cancel().await;
    end(&mut job).await.expect("it ends well");
    assert_eq!(target.aborts.load(Ordering::SeqCst), 1);
    finish(folder.path(), &target).await;
    assert_eq!(target.aborts.load(Ordering::SeqCst), 1, "a job that has finished aborts nothing");
}
