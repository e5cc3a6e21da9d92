//! State of scripts that were edited: it goes to the query that it is of, or nowhere.

use flott::{JobOutcome, Restore};

use crate::savepoint::{Place, ROWS, end, stopped};

const SLOW: &str = "'rows-per-second' = '500'";
const FAST: &str = "'rows-per-second' = '100000'";

/// Rows numbered from 0, one for each millisecond of event time; `k` is the number's last digit.
fn table(name: &str) -> String {
    format!(
        "CREATE TABLE {name} (id BIGINT, k AS id % 10, ts AS TO_TIMESTAMP_LTZ(id, 3), WATERMARK FOR ts AS ts) WITH (
           'connector' = 'datagen', {SLOW}, 'fields.id.kind' = 'sequence', 'fields.id.start' = '0',
           'fields.id.end' = '{}');",
        ROWS - 1
    )
}

fn sinks(names: &[&str]) -> String {
    let sink = |name: &&str| {
        format!(
            "CREATE TABLE {name} (k BIGINT, n BIGINT) WITH ('connector' = 'filesystem', 'path' = '{name}', 'format' = 'csv');"
        )
    };
    names.iter().map(sink).collect()
}

fn set(inserts: &[&str]) -> String {
    let inserts: String = inserts.iter().map(|i| format!("{i};")).collect();
    format!("{} {} EXECUTE STATEMENT SET BEGIN {inserts} END;", table("s"), sinks(&["o", "p", "q"]))
}

/// Counts the rows of each key that passes the condition in windows of 1,000 rows.
fn windows(sink: &str, condition: &str) -> String {
    format!(
        "INSERT INTO {sink} SELECT k, COUNT(*) FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '1' SECOND))
         WHERE {condition} GROUP BY window_start, window_end, k"
    )
}

async fn continued(place: &Place, script: &str, options: &[(&str, &str)]) -> flott::Result<()> {
    let mut job = place.start(&script.replace(SLOW, FAST), Restore::Latest, options).await?;
    assert!(matches!(end(&mut job).await, JobOutcome::Finished(_)));
    Ok(())
}

async fn refused(place: &Place, script: &str, why: &str) {
    let e = place.start(script, Restore::Latest, &[]).await.map(drop).expect_err("it is of another query");
    assert_eq!(e.kind(), flott::ErrorKind::User, "{e}");
    assert!(e.to_string().contains(why), "{e}");
}

fn each_window(keys: std::ops::Range<i64>) -> Vec<Vec<i64>> {
    keys.flat_map(|k| vec![vec![k, 100]; 3]).collect()
}

const DROPS: (&str, &str) = ("execution.state-recovery.ignore-unclaimed-state", "true");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_that_change_places_keep_their_state() {
    let (low, high) = (windows("o", "k < 5"), windows("p", "k >= 5"));
    let place = stopped(&set(&[&low, &high])).await;
    let new = windows("q", "k < 2");
    continued(&place, &set(&[&new, &high, &low]), &[]).await.expect("each finds its own");
    assert_eq!(place.written_to("o"), each_window(0..5));
    assert_eq!(place.written_to("p"), each_window(5..10));
    let counted: i64 = place.written_to("q").iter().map(|row| row[1]).sum();
    assert!((0..600).contains(&counted), "a new query has nothing of before: {counted}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_goes_takes_no_others_state_with_it() {
    let (low, high) = (windows("o", "k < 5"), windows("p", "k >= 5"));
    let place = stopped(&set(&[&low, &high])).await;
    refused(&place, &set(&[&high]), "no longer has").await;
    continued(&place, &set(&[&high]), &[DROPS]).await.expect("as the user wants it");
    assert_eq!(place.written_to("p"), each_window(5..10));
    assert_eq!(place.written_to("o"), Vec::<Vec<i64>>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edited_query_is_known_by_its_sink() {
    let (low, high) = (windows("o", "k < 5"), windows("p", "k >= 5"));
    let place = stopped(&set(&[&low, &high])).await;
    // What does not stay visible above a window may change.
    let edited = windows("o", "k < 5 AND id >= 0");
    continued(&place, &set(&[&high, &edited]), &[]).await.expect("each finds its own");
    assert_eq!(place.written_to("o"), each_window(0..5));
    assert_eq!(place.written_to("p"), each_window(5..10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_be_of_several_queries_is_refused() {
    let both = |a: &str, b: &str| {
        let of = |condition: &str| windows("", condition).replace("INSERT INTO  ", "");
        set(&[&format!("INSERT INTO o {} UNION ALL {}", of(a), of(b))])
    };
    let place = stopped(&both("k < 5", "k >= 5")).await;
    refused(&place, &both("k > 6", "k <= 3"), "cannot be told").await;
    continued(&place, &both("k >= 5", "k < 5"), &[]).await.expect("each finds its own");
    assert_eq!(place.written(), each_window(0..10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readings_of_one_table_keep_their_positions() {
    let half = ROWS / 2;
    let read = |sink: &str, from: i64, to: i64| {
        format!(
            "INSERT INTO {sink} SELECT id, 1 FROM s /*+ OPTIONS('fields.id.start' = '{from}', 'fields.id.end' = '{to}') */"
        )
    };
    let (first, second) = (read("o", 0, half - 1), read("p", half, ROWS - 1));
    let place = stopped(&set(&[&first, &second])).await;
    continued(&place, &set(&[&second, &first]), &[]).await.expect("each goes on where it was");
    let ids = |sink: &str| place.written_to(sink).into_iter().map(|row| row[0]).collect::<Vec<_>>();
    assert_eq!(ids("o"), (0..half).collect::<Vec<_>>());
    assert_eq!(ids("p"), (half..ROWS).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kept_rows_of_another_query_are_refused_before_the_job_is_taken_over() {
    let join = |select: &str, from: &str| {
        format!("{} {} {} INSERT INTO o SELECT {select} FROM {from};", table("a"), table("b"), sinks(&["o"]))
    };
    let rank = |order: &str, last: u32| {
        set(&[&format!(
            "INSERT INTO o SELECT k, SUM(id) FROM (SELECT k, id, window_start, window_end, ROW_NUMBER() OVER (
               PARTITION BY window_start, window_end, k ORDER BY id {order}) AS r
               FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '1' SECOND))) WHERE r <= {last}
             GROUP BY window_start, window_end, k"
        )])
    };
    let latest = |order: &str| {
        set(&[&format!(
            "INSERT INTO o SELECT k, id FROM (SELECT k, id, ROW_NUMBER() OVER (PARTITION BY k ORDER BY ts {order}) AS r
               FROM s) WHERE r = 1"
        )])
    };
    let near = "a.ts BETWEEN b.ts - INTERVAL '1' SECOND AND b.ts + INTERVAL '1' SECOND";
    let cases = [
        (
            join("a.id, b.k", "a JOIN b ON a.id = b.id"),
            vec![
                (join("a.id, b.k", "b JOIN a ON a.id = b.id"), "of another query"),
                (join("a.id, a.k", "a JOIN b ON a.id = b.id"), "of another query"),
                (
                    join(
                        "a.id, -b.k",
                        "(SELECT * FROM a) AS a JOIN (SELECT id, k + 1 AS k FROM b) AS b ON a.id = b.id",
                    ),
                    "",
                ),
            ],
        ),
        (
            join("a.id, b.k", &format!("a JOIN b ON a.k = b.k AND {near}")),
            vec![
                (join("a.id, b.k", &format!("b JOIN a ON a.k = b.k AND {near}")), "of another query"),
                (
                    join("a.id, b.k", &format!("a JOIN b ON a.k = b.k AND {}", near.replacen("'1'", "'2'", 1))),
                    "of another query",
                ),
            ],
        ),
        (rank("ASC", 2), vec![(rank("DESC", 2), "of another query"), (rank("ASC", 3), "of another query")]),
        (latest("ASC"), vec![(latest("DESC"), "")]),
    ];
    for (script, edits) in cases {
        let place = stopped(&script).await;
        for (edit, why) in &edits {
            refused(&place, edit, why).await;
        }
        continued(&place, &script, &[]).await.expect("the refusals took nothing over");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn types_of_stored_values_may_not_change() {
    let sum = |of: &str| {
        set(&[&format!(
            "INSERT INTO o SELECT k, CAST(SUM({of}) AS BIGINT)
             FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '1' SECOND)) GROUP BY window_start, window_end, k"
        )])
    };
    let place = stopped(&sum("id")).await;
    refused(&place, &sum("id").replace("(id BIGINT", "(id INT"), "of another query").await;
    continued(&place, &sum("id"), &[]).await.expect("the refusal took nothing over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_that_gave_up_does_not_lock_out_the_one_before() {
    let place = stopped(&set(&[&windows("o", "k < 5")])).await;
    // It goes on with fewer conditions, and ends before it has decided a checkpoint.
    let wider = place.start(&set(&[&windows("o", "k < 8")]), Restore::Latest, &[]).await;
    assert!(wider.is_err(), "another condition on what a window shows");
    let mut job = place.start(&set(&[&windows("o", "TRUE")]), Restore::Latest, &[]).await.expect("a condition less");
    job.handle.cancel().await;
    assert!(matches!(end(&mut job).await, JobOutcome::Cancelled(_)));
    continued(&place, &set(&[&windows("o", "k < 5")]), &[]).await.expect("the script that wrote it");
    assert_eq!(place.written(), each_window(0..5));
}
