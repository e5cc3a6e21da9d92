//! Tables whose sources wait for each other.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampMillisecondType};
use flott::{Outcome, Session, default_registry};
use flott_testkit::values::{Values, ValuesStore};

/// Rows of `a` are a second apart, those of `b` ten milliseconds: 200 seconds of both, all there at once.
fn store() -> ValuesStore {
    let store = ValuesStore::new();
    let time = |ms: i64| {
        let (minute, ms) = (ms / 60_000, ms % 60_000);
        format!("1970-01-01T00:{minute:02}:{:02}.{:03}", ms / 1_000, ms % 1_000)
    };
    let rows = |table: i32, n: i64, step: i64| -> Vec<String> {
        (1..=n).map(|i| format!("+I[{table}, {}]", time(i * step))).collect()
    };
    store.insert_rows("a", &rows(0, 200, 1_000), &[] as &[&str]);
    store.insert_rows("b", &rows(1, 20_000, 10), &[] as &[&str]);
    store.set_rows_per_batch(7);
    store
}

/// How far `a` was when `b` came, and its greatest lead over `b`, in ms, as their rows come out.
async fn lead(options: &str) -> (i64, i64) {
    let mut registry = default_registry();
    registry.add_connector(Arc::new(Values::new(store())));
    let mut session =
        Session::builder().registry(registry).option("parallelism.default", "1").build().expect("a session");
    let script = format!(
        "CREATE TABLE a (k INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'values'{options});
         CREATE TABLE b (k INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'values');
         SELECT * FROM a UNION ALL SELECT * FROM b /*+ OPTIONS('scan.watermark.emit.strategy' = 'on-event'{options}) */;"
    );
    let (mut ends, mut most, mut rows, mut begin) = ([0i64; 2], 0, 0, None);
    for statement in session.parse(&script).expect("statements") {
        let Outcome::Query(mut query) = session.execute(&statement).await.expect("it runs") else { continue };
        while let Some(batch) =
            tokio::time::timeout(Duration::from_secs(30), query.next()).await.expect("nobody waits for ever")
        {
            let keys = batch.rows.column(0).as_primitive::<Int32Type>();
            let times = batch.rows.column(1).as_primitive::<TimestampMillisecondType>();
            for row in 0..batch.num_rows() {
                ends[keys.value(row) as usize] = times.value(row);
                most = most.max(ends[0] - ends[1]);
                if keys.value(row) == 1 {
                    begin.get_or_insert(ends[0]);
                }
            }
            rows += batch.num_rows();
        }
        query.job.wait().await.expect("it ends well");
    }
    assert_eq!(rows, 20_200);
    (begin.expect("rows of b"), most)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn none_gets_ahead_by_more_than_the_drift_and_a_batch() {
    let aligned = ", 'scan.watermark.alignment.group' = 'g', 'scan.watermark.alignment.max-drift' = '5 s',
        'scan.watermark.alignment.update-interval' = '10 ms'";
    // A source without rows holds nobody, as in Flink. On a busy machine `b` may begin so late that `a` is far by then, which says
    // nothing about who waits for whom.
    let mut late = vec![];
    let most = loop {
        let (begin, most) = lead(aligned).await;
        if begin <= 13_000 {
            break most;
        }
        late.push(begin);
        assert!(late.len() < 30, "b always comes late: when a is at {late:?} ms");
    };
    assert!(most <= 13_000, "{most} ms, and before that b came late {} times", late.len());
    let (_, most) = lead("").await;
    assert!(most > 60_000, "{most} ms: without a group this test shows nothing");
}
