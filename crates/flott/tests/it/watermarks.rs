//! `EXPLAIN WATERMARK FOR JOB`: what holds event time back while a job runs.

use std::sync::Arc;
use std::time::Duration;

use flott::{Outcome, Session, StopMode, default_registry};
use flott_testkit::values::{Phase, Values, ValuesStore};

/// `ahead` has come to 00:01:00, `behind` to 00:00:12; both go on for ever, and their windows wait for each other.
async fn started(sink: &str) -> (Session, flott::Job) {
    let store = ValuesStore::new();
    let row = |second: i64| format!("+I[1, 1970-01-01T00:{:02}:{:02}]", second / 60, second % 60);
    store.insert_rows("ahead", &[row(1), row(60)], &[] as &[&str]);
    store.insert_rows("behind", &[row(2), row(12)], &[] as &[&str]);
    store.set_phase(Phase::Before);
    let mut registry = default_registry();
    registry.add_connector(Arc::new(Values::new(store)));
    let mut session = Session::builder()
        .registry(registry)
        .option("parallelism.default", "1")
        .option("execution.checkpointing.interval", "1 h")
        .option("execution.checkpointing.dir", tempfile::tempdir().expect("a folder").keep().display().to_string())
        .build()
        .expect("a session");
    let columns = "(k INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'values')";
    let script = format!(
        "CREATE TABLE ahead {columns}; CREATE TABLE behind {columns};
         CREATE VIEW both_of_them AS SELECT * FROM ahead UNION ALL SELECT * FROM behind;
         CREATE TABLE {sink} (e TIMESTAMP(3), n BIGINT) WITH ('connector' = 'blackhole');
         INSERT INTO {sink} SELECT window_end, COUNT(*)
         FROM TABLE(TUMBLE(TABLE both_of_them, DESCRIPTOR(ts), INTERVAL '10' SECOND))
         GROUP BY window_start, window_end;"
    );
    for statement in session.parse(&script).expect("statements") {
        if let Outcome::Job(job) = session.execute(&statement).await.expect("it runs") {
            return (session, job);
        }
    }
    panic!("no job has started")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_table_that_lags_is_named_with_what_waits_for_it() {
    let (mut session, mut job) = started("held").await;
    let ask = format!("EXPLAIN WATERMARK FOR JOB '{}'", job.name);
    let mut text = String::new();
    for _ in 0..200 {
        let Outcome::Text(shown) = session.execute_sql(&ask).await.expect("it answers") else { panic!("no text") };
        text = shown;
        if text.contains("watermark: 1970-01-01 00:00:12.000") && text.contains("next: ") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let window = text.lines().position(|l| l.contains("next: ")).expect(&text);
    let of_window: Vec<&str> = text.lines().skip(window - 1).take(3).collect();
    assert!(of_window[0].contains("watermark: 1970-01-01 00:00:12.000, for "), "{text}");
    // The window of the row at 12 s: it is over at 20 s, and the watermark says that of the millisecond before.
    let next = "next: emits when the watermark reaches 1970-01-01 00:00:19.999: 7.999 s of event time to go";
    assert!(of_window[1].contains(next), "{text}");
    assert!(of_window[2].contains("held back by: ") && of_window[2].contains("behind"), "{text}");
    assert!(text.contains("watermark: 1970-01-01 00:01:00.000"), "the table that is ahead: {text}");
    job.handle.stop(StopMode::suspend()).await.expect("it stops");
    job.wait().await.expect("it ends well");
}

#[tokio::test]
async fn a_job_that_is_not_there_is_said() {
    let mut session = Session::builder().build().expect("a session");
    let error = session.execute_sql("EXPLAIN WATERMARK FOR JOB 'nobody'").await.err().expect("no such job").to_string();
    assert!(error.contains("no job 'nobody' is running"), "{error}");
}
