//! State that is restored by a query whose conditions have changed.

use flott::{JobOutcome, Restore};

use crate::savepoint::{self, Place, ROWS, end};

/// Counts the rows of each key in windows of 1,000 rows, with conditions below the windows and above them.
fn windows(below: &str, above: &str) -> String {
    format!(
        "CREATE TABLE s (id BIGINT, k AS id % 10, ts AS TO_TIMESTAMP_LTZ(id, 3), WATERMARK FOR ts AS ts) WITH (
           'connector' = 'datagen', 'rows-per-second' = '500', 'fields.id.kind' = 'sequence', 'fields.id.start' = '0',
           'fields.id.end' = '{}');
         CREATE TABLE o (k BIGINT, n BIGINT) WITH ('connector' = 'filesystem', 'path' = 'o', 'format' = 'csv');
         INSERT INTO o SELECT k, n FROM (
           SELECT k, COUNT(*) AS n FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '1' SECOND)) {below}
           GROUP BY window_start, window_end, k) {above};",
        ROWS - 1
    )
}

/// Pairs of two streams; rows of both are kept.
fn pairs(condition: &str) -> String {
    let table = |name: &str| {
        format!(
            "CREATE TABLE {name} (id BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '500',
               'fields.id.kind' = 'sequence', 'fields.id.start' = '0', 'fields.id.end' = '{}');",
            ROWS - 1
        )
    };
    format!(
        "{} {} CREATE TABLE o (id BIGINT) WITH ('connector' = 'filesystem', 'path' = 'o', 'format' = 'csv');
         INSERT INTO o SELECT a.id FROM a JOIN b ON a.id + 1000 = b.id WHERE {condition};",
        table("a"),
        table("b")
    )
}

/// Stops the job of the script before its first window has ended.
async fn stopped(script: &str) -> Place {
    let place = savepoint::stopped(script).await;
    assert_eq!(place.written(), Vec::<Vec<i64>>::new(), "what was read is in the state");
    place
}

/// The rows of the whole job when it goes on with another script.
async fn continued(place: &Place, script: &str) -> flott::Result<Vec<Vec<i64>>> {
    let fast = script.replace("'rows-per-second' = '500'", "'rows-per-second' = '100000'");
    let mut job = place.start(&fast, Restore::Latest, &[]).await?;
    assert!(matches!(end(&mut job).await, JobOutcome::Finished(_)));
    Ok(place.written())
}

async fn refused(place: &Place, script: &str, why: &str) {
    let e = place.start(script, Restore::Latest, &[]).await.map(drop).expect_err("rows of before would be given on");
    assert_eq!(e.kind(), flott::ErrorKind::User, "{e}");
    assert!(e.to_string().contains(why), "{e}");
}

fn each_window(keys: &[i64]) -> Vec<Vec<i64>> {
    keys.iter().flat_map(|k| vec![vec![*k, 100]; 3]).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_that_a_condition_above_them_excludes_now_are_not_given_on() {
    let place = stopped(&windows("", "WHERE k > 5")).await;
    refused(&place, &windows("", "WHERE k > 7"), "(s.id % 10) > 7").await;
    refused(&place, &windows("WHERE k > 7", ""), "(s.id % 10) > 5").await;
    let written = continued(&place, &windows("", "WHERE k > 5")).await.expect("the script that wrote it");
    assert_eq!(written, each_window(&[6, 7, 8, 9]), "the refusals took nothing over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conditions_on_a_window_may_be_written_another_way() {
    let place = stopped(&windows("WHERE id >= 0", "WHERE k > 5 AND k < 9")).await;
    // What does not stay visible above a window may change: what is counted is counted.
    let edited = windows("WHERE id <> 2500 AND k < 9", "WHERE 5 < k");
    let written = continued(&place, &edited).await.expect("the same rows");
    assert_eq!(written, each_window(&[6, 7, 8]), "no row of before is lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_condition_on_a_window_may_be_left_out() {
    let place = stopped(&windows("", "WHERE k <> 3")).await;
    let written = continued(&place, &windows("", "")).await.expect("every row of before is one of now");
    let of_three: i64 = written.iter().filter(|row| row[0] == 3).map(|row| row[1]).sum();
    assert!((200..300).contains(&of_three), "of the key that was left out those from now on: {written:?}");
    let others: Vec<Vec<i64>> = written.into_iter().filter(|row| row[0] != 3).collect();
    assert_eq!(others, each_window(&[0, 1, 2, 4, 5, 6, 7, 8, 9]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_a_join_that_a_condition_excludes_now_find_no_partner() {
    let place = stopped(&pairs("a.id % 2 = 0 AND b.id >= 0")).await;
    refused(&place, &pairs("a.id % 2 = 1"), "(a.id % 2) = 1").await;
    let written = continued(&place, &pairs("b.id >= 0 AND 0 = a.id % 2")).await.expect("the same condition");
    let expected: Vec<Vec<i64>> = (0..ROWS - 1000).filter(|id| id % 2 == 0).map(|id| vec![id]).collect();
    assert_eq!(written, expected);
}
