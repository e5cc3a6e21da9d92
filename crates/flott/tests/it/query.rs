//! Queries that a program reads: collected, as streams, with limits, and left alone.

use std::time::Duration;

use flott::{JobStatus, Session};
use futures::StreamExt;

fn session(options: &[(&str, &str)]) -> Session {
    let mut builder = Session::builder().option("parallelism.default", "2");
    for (key, value) in options {
        builder = builder.option(*key, *value);
    }
    builder.build().expect("a session")
}

async fn with_source(options: &[(&str, &str)], source: &str) -> Session {
    let mut session = session(options);
    session
        .execute_sql(&format!("CREATE TABLE s (id INT) WITH ('connector' = 'datagen', {source})"))
        .await
        .expect("made");
    session
}

const ROWS: &str = "'number-of-rows' = '50000', 'rows-per-second' = '1000000'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_is_collected_up_to_a_limit() {
    let mut all = with_source(&[], ROWS).await;
    let batches = all.sql_query("SELECT * FROM s").await.expect("starts").collect().await.expect("collected");
    assert_eq!(batches.iter().map(|b| b.num_rows()).sum::<usize>(), 50_000);
    for limit in [("flott.collect.max-rows", "49999"), ("flott.collect.max-bytes", "64 kb")] {
        let mut few = with_source(&[limit], ROWS).await;
        let query = few.sql_query("SELECT * FROM s").await.expect("starts");
        let job = query.job.handle.client();
        let error = query.collect().await.expect_err("too large").to_string();
        assert!(error.contains("too large to be collected") && error.contains("into_stream"), "{error}");
        tokio::time::timeout(Duration::from_secs(10), job.ended()).await.expect("the query does not run on");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_collected_says_so_and_can_be_streamed() {
    let mut session = with_source(&[], "'rows-per-second' = '1000'").await;
    let endless = session.sql_query("SELECT * FROM s").await.expect("starts");
    let error = endless.collect().await.expect_err("it never ends").to_string();
    assert!(error.contains("never ends"), "{error}");
    let endless = session.sql_query("SELECT * FROM s").await.expect("starts");
    let job = endless.job.handle.client();
    let mut stream = Box::pin(endless.into_stream());
    let mut rows = 0;
    while rows < 100 {
        rows += stream.next().await.expect("it never ends").expect("rows").num_rows();
    }
    drop(stream);
    tokio::time::timeout(Duration::from_secs(10), job.ended()).await.expect("nobody reads it any more");
    assert_eq!(job.state().status, JobStatus::Canceled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_fails_ends_its_stream_with_the_error() {
    let mut session = session(&[]);
    let query = session.sql_query("SELECT 10 / a FROM (VALUES (5), (0)) AS t (a)").await.expect("starts");
    let items: Vec<_> = query.into_stream().collect().await;
    assert!(matches!(items.last(), Some(Err(_))), "{items:?}");
    let query = session.sql_query("SELECT 10 / a FROM (VALUES (5), (0)) AS t (a)").await.expect("starts");
    query.collect().await.expect_err("it fails");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_statement_at_a_time() {
    let mut session = session(&[]);
    for text in ["", "SELECT 1; SELECT 2"] {
        assert!(session.execute_sql(text).await.is_err(), "{text}");
    }
    assert!(session.sql_query("SHOW TABLES").await.is_err());
}

/// Chains and lists as programs write them; rustc's small stacks of test threads included.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_chains_and_lists_are_computed() {
    let mut session = session(&[]);
    let chain = |of: &str, by: &str| vec![of; 2_000].join(by);
    let list = (0..10_000).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
    let ors = (0..2_000).map(|n| format!("a = {n}")).collect::<Vec<_>>().join(" OR ");
    for (expression, expected) in [
        (chain("a", " + "), "4000"),
        (format!("CHAR_LENGTH({})", chain("b", " || ")), "2000"),
        (format!("a IN ({list})"), "TRUE"),
        (ors, "TRUE"),
        (chain("a > 1", " AND "), "TRUE"),
    ] {
        let mut query = session
            .sql_query(&format!("SELECT {expression} FROM (VALUES (2, 'x')) AS t (a, b)"))
            .await
            .expect("starts");
        let batch = query.next().await.expect("a row");
        assert_eq!(query.texts(&batch).expect("texts"), [[expected]], "{}", &expression[..20]);
        query.job.wait().await.expect("ends well");
    }
}
