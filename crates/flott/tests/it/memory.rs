//! A job that needs more memory than it may have.

use std::time::Duration;

use flott::{ErrorKind, JobOutcome, Outcome, Session};

/// Rows with numbers from 1 on, and a sink for numbers.
fn tables(rows: u32) -> String {
    format!(
        "CREATE TABLE s (id BIGINT, ts AS TO_TIMESTAMP_LTZ(id, 3), WATERMARK FOR ts AS ts - INTERVAL '20' HOUR) WITH (
           'connector' = 'datagen', 'fields.id.kind' = 'sequence', 'fields.id.start' = '1', 'fields.id.end' = '{rows}');
         CREATE TABLE few (id BIGINT) WITH ('connector' = 'datagen', 'number-of-rows' = '10');
         CREATE TABLE o (id BIGINT, n BIGINT) WITH ('connector' = 'blackhole');"
    )
}

async fn run(rows: u32, most: &str, query: &str) -> flott::Result<JobOutcome> {
    let mut session = Session::builder().option("parallelism.default", "2").build().expect("a session");
    let script = format!("SET 'flott.memory.max' = '{most}'; {} INSERT INTO o {query};", tables(rows));
    for statement in session.parse(&script)? {
        if let Outcome::Job(mut job) = session.execute(&statement).await? {
            return tokio::time::timeout(Duration::from_secs(60), job.wait()).await.expect("the job ends");
        }
    }
    panic!("no job was started")
}

/// Counts by a key that never repeats, in windows that only the end of the input ends.
const COUNTS: &str = "SELECT id, COUNT(DISTINCT id) FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '1' HOUR))
    GROUP BY id, window_start, window_end";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_fails_with_a_word_about_the_largest_state() {
    let error = run(300_000, "6 mb", COUNTS).await.expect_err("it needs more");
    assert_eq!(error.kind(), ErrorKind::User, "{error}");
    let text = error.to_string();
    assert!(text.contains("flott.memory.max") && text.contains("6 mb"), "{text}");
    assert!(text.contains("WindowAggregate"), "the operator with the largest state is named: {text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_enough_it_finishes() {
    for most in ["1 gb", "0"] {
        let outcome = run(20_000, most, COUNTS).await.expect("it has enough");
        assert!(matches!(outcome, JobOutcome::Finished(_)), "{outcome:?}");
    }
}

/// What only asks whether there is a row keeps one, however many there are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sub_queries_that_ask_nothing_of_the_outer_row_keep_one_row() {
    for condition in [
        "EXISTS (SELECT * FROM s)",
        "NOT EXISTS (SELECT * FROM s)",
        "3 IN (SELECT id * 0 + 3 FROM s)",
        "NOT EXISTS (SELECT * FROM s WHERE few.id IS NOT NULL)",
    ] {
        let query = format!("SELECT id, id FROM few WHERE {condition}");
        let outcome = run(100_000, "3 mb", &query).await;
        assert!(matches!(outcome, Ok(JobOutcome::Finished(_))), "{condition}: {outcome:?}");
    }
}
