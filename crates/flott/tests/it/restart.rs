//! A job whose source fails once is started again from its last checkpoint.

use std::sync::Arc;
use std::time::Duration;

use flott::{JobOutcome, Outcome, Session, default_registry};
use flott_testkit::values::{Values, ValuesStore};

/// Runs the script's jobs to their ends.
async fn run(folder: &std::path::Path, store: &ValuesStore, script: &str) -> flott::Result<Vec<JobOutcome>> {
    let mut registry = default_registry();
    registry.add_connector(Arc::new(Values::new(store.clone())));
    let mut session = Session::builder().registry(registry).base_dir(folder).build()?;
    let mut ends = vec![];
    for statement in session.parse(script)? {
        match session.execute(&statement).await? {
            Outcome::Job(mut job) => {
                let end = tokio::time::timeout(Duration::from_secs(60), job.wait()).await;
                ends.push(end.expect("the job ends")?);
            }
            Outcome::Rows { columns, rows } => {
                assert_eq!(columns, ["job id", "job name", "status", "start time"]);
                let [row] = rows.as_slice() else { panic!("{rows:?}") };
                assert_eq!((row[1].as_deref(), row[2].as_deref()), (Some("session"), Some("FINISHED")));
            }
            _ => {}
        }
    }
    Ok(ends)
}

/// A source of 1,000 rows that fails in their middle, after a checkpoint, into files.
fn script(strategy: &str) -> String {
    format!(
        "SET 'restart-strategy.type' = '{strategy}';
         SET 'restart-strategy.fixed-delay.delay' = '10 ms';
         SET 'execution.checkpointing.interval' = '50 ms';
         CREATE TABLE s (id INT) WITH ('connector' = 'values', 'failing-source' = 'true');
         CREATE TABLE o (id INT) WITH ('connector' = 'filesystem', 'path' = 'o', 'format' = 'csv');
         INSERT INTO o SELECT id FROM s;
         SHOW JOBS;"
    )
}

fn store() -> ValuesStore {
    let store = ValuesStore::new();
    let rows: Vec<String> = (0..1_000).map(|i| format!("+I[{i}]")).collect();
    store.insert_rows("s", &rows, &[] as &[&str]);
    store.set_rows_per_batch(7);
    store
}

fn written(folder: &std::path::Path) -> Vec<i32> {
    let mut rows = vec![];
    for file in std::fs::read_dir(folder.join("o")).expect("a folder").flatten().filter(|f| f.path().is_file()) {
        let text = std::fs::read_to_string(file.path()).expect("text");
        rows.extend(text.lines().map(|l| l.parse::<i32>().expect("a number")));
    }
    rows.sort_unstable();
    rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_is_there_once_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let ends = run(folder.path(), &store(), &script("fixed-delay")).await.expect("it is started again");
    let [JobOutcome::Finished(state)] = ends.as_slice() else { panic!("{ends:?}") };
    assert_eq!(state.restarts, 1);
    assert_eq!(written(folder.path()), (0..1_000).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_strategy_the_job_fails() {
    let folder = tempfile::tempdir().expect("a folder");
    let error = run(folder.path(), &store(), &script("none")).await.expect_err("it fails");
    assert!(error.to_string().contains("fails once, as asked"), "{error}");
}

/// Flink's `downtime` and `restartingTime` grow while the job waits to be started again, and are 0 while it runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_in_the_metrics() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut registry = default_registry();
    registry.add_connector(Arc::new(Values::new(store())));
    let mut session = Session::builder().registry(registry).base_dir(folder.path()).build().expect("a session");
    let script = script("fixed-delay").replace("10 ms", "1500 ms").replace("SHOW JOBS;", "");
    let mut jobs = vec![];
    for statement in session.parse(&script).expect("parsed") {
        if let Outcome::Job(job) = session.execute(&statement).await.expect("executed") {
            jobs.push(job);
        }
    }
    // Together: a moment later the job may run again.
    let read = |session: &Session| {
        let reports = session.metrics();
        let of = |name: &str| reports.iter().flat_map(|r| &r.metrics).find(|m| m.name == name).map(|m| m.value);
        (of("downtime"), of("restartingTime"), of("uptime"))
    };
    let mut outages = vec![];
    for _ in 0..1_000 {
        if let (Some(down), Some(restarting), uptime) = read(&session)
            && down > 0.0
        {
            assert!(restarting >= down && uptime == Some(-1.0), "{restarting} {down} {uptime:?}");
            outages.push(down);
        } else if !outages.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(outages.last().is_some_and(|last| (500.0..5_000.0).contains(last)), "{outages:?}");
    assert!(outages.windows(2).all(|w| w[0] <= w[1]), "{outages:?}");
    let end = tokio::time::timeout(Duration::from_secs(60), jobs[0].wait()).await.expect("the job ends");
    assert!(matches!(end, Ok(JobOutcome::Finished(_))), "{end:?}");
}
