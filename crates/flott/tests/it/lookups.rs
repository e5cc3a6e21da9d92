//! Lookup joins and checkpoints.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flott::{Job, Outcome, Restore, SavepointTarget, Session, StopMode};
use flott_testkit::values::{Values, ValuesStore};

/// Rows 1, 2, 3 and so on, each with what the table has for it; a miss is tried again so long afterwards.
async fn start(folder: &Path, restore: Restore, table: &str, delay: &str) -> Job {
    let script = format!(
        "CREATE TABLE s (id INT, p AS PROCTIME()) WITH ('connector' = 'datagen', 'rows-per-second' = '100',
           'fields.id.kind' = 'sequence', 'fields.id.start' = '1', 'fields.id.end' = '1000000');
         CREATE TABLE d (id INT, name STRING) WITH ('connector' = 'values', 'async' = 'true', 'rows' = '{table}');
         CREATE TABLE o (id INT, name STRING) WITH ('connector' = 'filesystem', 'path' = 'o', 'format' = 'csv');
         INSERT INTO o SELECT /*+ LOOKUP('table' = 'd', 'retry-predicate' = 'lookup_miss', 'timeout' = '1 h',
             'retry-strategy' = 'fixed_delay', 'fixed-delay' = '{delay}', 'max-attempts' = '1') */ s.id, d.name
           FROM s LEFT JOIN d FOR SYSTEM_TIME AS OF s.p ON s.id = d.id;"
    );
    let mut registry = flott::default_registry();
    registry.add_connector(Arc::new(Values::new(ValuesStore::new())));
    let mut session = Session::builder()
        .registry(registry)
        .base_dir(folder)
        .restore(restore)
        .option("parallelism.default", "1")
        .option("execution.checkpointing.interval", "1 h")
        .build()
        .expect("a session");
    for statement in session.parse(&script).expect("a script") {
        if let Outcome::Job(job) = session.execute(&statement).await.expect("executed") {
            return job;
        }
    }
    panic!("no job was started")
}

fn rows(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder.join("o")).into_iter().flatten().flatten();
    let texts = files.filter(|f| f.path().is_file()).map(|f| std::fs::read_to_string(f.path()).expect("text"));
    let mut rows: Vec<String> = texts.flat_map(|t| t.lines().map(str::to_string).collect::<Vec<_>>()).collect();
    rows.sort_by_key(|row| row.split(',').next().and_then(|id| id.parse::<u32>().ok()));
    rows
}

/// Tries after a miss take an hour here: a barrier does not wait for them, and the rows that wait are asked for anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_barrier_passes_rows_that_wait_for_another_try() {
    let (first, second) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let mut job = start(first.path(), Restore::Ask, "+I[0, nobody]", "1 h").await;
    let read = |job: &Job| {
        let graph = job.handle.graph();
        graph.sources().map(|(id, _)| job.handle.metrics().sum(id.0, |m| &m.records_out)).sum::<u64>()
    };
    for _ in 0..2_000 {
        if read(&job) >= 5 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let target = SavepointTarget::In(first.path().join("savepoints").display().to_string());
    let savepoint = tokio::time::timeout(Duration::from_secs(20), job.handle.savepoint(target)).await;
    let savepoint = savepoint.expect("a savepoint in time").expect("a savepoint");
    job.handle.cancel().await;
    let ended = tokio::time::timeout(Duration::from_secs(20), job.wait()).await.expect("the job ends");
    assert!(matches!(ended, Ok(flott::JobOutcome::Cancelled(_))), "{ended:?}");
    assert!(rows(first.path()).is_empty(), "nothing was found");

    let restore = Restore::Path(savepoint.location.into());
    let mut job = start(second.path(), restore, "+I[1, one]; +I[2, two]", "1 ms").await;
    for _ in 0..2_000 {
        if read(&job) >= 5 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::timeout(Duration::from_secs(20), job.handle.stop(StopMode::suspend()))
        .await
        .expect("in time")
        .expect("stops");
    let ended = tokio::time::timeout(Duration::from_secs(20), job.wait()).await.expect("the job ends");
    assert!(matches!(ended, Ok(flott::JobOutcome::Suspended(_))), "{ended:?}");
    let rows = rows(second.path());
    assert_eq!(rows[..2], ["1,one", "2,two"], "{rows:?}");
    let ids: Vec<u32> =
        rows.iter().map(|r| r.split(',').next().and_then(|id| id.parse().ok()).expect("an id")).collect();
    assert_eq!(ids, (1..=ids.len() as u32).collect::<Vec<_>>(), "each row once");
}
