//! A part of a job that has come to its end before a checkpoint says nothing of it twice.

use std::path::Path;
use std::time::Duration;

use flott::{Job, JobOutcome, Outcome, Restore, Session, StopMode};

/// The first sum is complete long before the second.
const SCRIPT: &str = "\
    SET 'execution.runtime-mode' = 'batch';
    SET 'execution.checkpointing.interval' = '50 ms';
    SET 'parallelism.default' = '2';
    CREATE TABLE short (id INT) WITH ('connector' = 'datagen', 'number-of-rows' = '10');
    CREATE TABLE s (id INT) WITH ('connector' = 'datagen', 'rows-per-second' = '500', 'fields.id.kind' = 'sequence',
      'fields.id.start' = '1', 'fields.id.end' = '1000');
    CREATE TABLE a (n BIGINT) WITH ('connector' = 'filesystem', 'path' = 'a', 'format' = 'csv');
    CREATE TABLE b (n BIGINT) WITH ('connector' = 'filesystem', 'path' = 'b', 'format' = 'csv');
    EXECUTE STATEMENT SET BEGIN
      INSERT INTO a SELECT COUNT(*) FROM short;
      INSERT INTO b SELECT COUNT(*) FROM s;
    END;";

async fn start(folder: &Path, restore: Restore) -> Job {
    let mut session = Session::builder().base_dir(folder).name("job").restore(restore).build().expect("a session");
    for statement in session.parse(SCRIPT).expect("parses") {
        if let Outcome::Job(job) = session.execute(&statement).await.expect("runs") {
            return job;
        }
    }
    panic!("no job was started")
}

fn rows(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().filter(|f| f.path().is_file());
    files
        .flat_map(|f| std::fs::read_to_string(f.path()).expect("text").lines().map(String::from).collect::<Vec<_>>())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_aggregate_that_has_ended_before_the_checkpoint_is_not_begun_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    // Twice, so that a checkpoint of the restored job is restored, too.
    for restore in [Restore::Ask, Restore::Latest] {
        let mut job = start(folder.path(), restore).await;
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while rows(&a).is_empty() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(rows(&a), ["10"]);
        job.handle.checkpoint().await.expect("taken");
        job.handle.stop(StopMode::suspend()).await.expect("stops");
        assert!(matches!(job.wait().await, Ok(JobOutcome::Suspended(_))));
        assert_eq!(rows(&a), ["10"]);
    }
    let mut job = start(folder.path(), Restore::Latest).await;
    assert!(matches!(job.wait().await, Ok(JobOutcome::Finished(_))));
    assert_eq!((rows(&a), rows(&b)), (vec!["10".to_string()], vec!["1000".to_string()]));
}

/// A shell drops the statement that its user interrupts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_is_dropped_leaves_no_table_and_no_name_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut session = Session::builder().base_dir(folder.path()).build().expect("a session");
    let create = "CREATE TABLE o WITH ('connector' = 'filesystem', 'path' = 'o', 'format' = 'csv') AS SELECT 1 AS a";
    let mut dropped = 0;
    for _ in 0..20 {
        // It waits for the disk, where it looks for an earlier run.
        if futures::FutureExt::now_or_never(session.execute_sql(create)).is_none() {
            dropped += 1;
            break;
        }
    }
    assert_eq!(dropped, 1, "it never waits");
    let Outcome::Rows { rows, .. } = session.execute_sql("SHOW TABLES").await.expect("tables") else {
        panic!("no rows")
    };
    assert!(rows.is_empty(), "{rows:?}");
    let Outcome::Job(mut job) = session.execute_sql(create).await.expect("starts") else { panic!("no job") };
    assert_eq!(job.name, "session");
    job.wait().await.expect("finishes");
}
