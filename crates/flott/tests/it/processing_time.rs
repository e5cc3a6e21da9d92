//! Windows of processing time, from SQL to their results.

use std::collections::BTreeMap;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMillisecondType};
use flott::{Outcome, Session};

/// Results of `(window_start, window_end, COUNT(*))` until so many windows have fired: count by start and end.
async fn windows(function: &str, least: usize) -> BTreeMap<(i64, i64), i64> {
    let mut session = Session::builder().option("parallelism.default", "2").build().expect("a session");
    let script = format!(
        "CREATE TABLE s (id INT, pt AS PROCTIME()) WITH ('connector' = 'datagen', 'rows-per-second' = '400');
         SELECT window_start, window_end, COUNT(*) FROM TABLE({function}) GROUP BY window_start, window_end;"
    );
    let mut found = BTreeMap::new();
    for statement in session.parse(&script).expect("statements") {
        let Outcome::Query(mut query) = session.execute(&statement).await.expect("it runs") else { continue };
        while found.len() < least {
            let next = tokio::time::timeout(Duration::from_secs(30), query.next()).await.expect("windows fire");
            let batch = next.expect("an unbounded query goes on");
            let time = |c: usize| batch.rows.column(c).as_primitive::<TimestampMillisecondType>().clone();
            let (starts, ends, counts) = (time(0), time(1), batch.rows.column(2).as_primitive::<Int64Type>());
            for row in 0..batch.num_rows() {
                let before = found.insert((starts.value(row), ends.value(row)), counts.value(row));
                assert_eq!(before, None, "a window fires once");
            }
        }
        query.job.handle.cancel().await;
        query.job.wait().await.expect("it ends well");
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_fire_while_the_input_goes_on() {
    for (function, size, step) in [
        ("TUMBLE(TABLE s, DESCRIPTOR(pt), INTERVAL '0.2' SECOND)", 200, 200),
        ("HOP(TABLE s, DESCRIPTOR(pt), INTERVAL '0.1' SECOND, INTERVAL '0.2' SECOND)", 200, 100),
    ] {
        let found = windows(function, 6).await;
        let ends: Vec<i64> = found.keys().map(|(_, end)| *end).collect();
        assert!(ends.iter().all(|end| end % step == 0), "{ends:?}");
        assert!(ends.windows(2).all(|pair| pair[1] > pair[0]), "{ends:?}");
        assert!(found.keys().all(|(start, end)| end - start == size), "{found:?}");
        assert!(found.values().all(|n| *n > 0), "{found:?}");
    }
    let found = windows("CUMULATE(TABLE s, DESCRIPTOR(pt), INTERVAL '0.1' SECOND, INTERVAL '0.2' SECOND)", 8).await;
    for ((start, end), n) in &found {
        // The longer window has the rows of the shorter one, and more.
        if end - start == 200
            && let Some(first) = found.get(&(*start, end - 100))
        {
            assert!(n >= first, "{found:?}");
        }
    }
}

/// In batch mode all rows see when the query started, but for CURRENT_ROW_TIMESTAMP; in streaming mode each row its time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batch_queries_have_one_time() {
    for (mode, one) in [("batch", true), ("streaming", false)] {
        let mut session = Session::builder().option("execution.runtime-mode", mode).build().expect("a session");
        let table =
            "CREATE TABLE s (id INT) WITH ('connector' = 'datagen', 'rows-per-second' = '10', 'number-of-rows' = '5')";
        session.execute_sql(table).await.expect("made");
        let query = "SELECT CAST(CURRENT_TIMESTAMP AS STRING), CAST(NOW() AS STRING), CAST(LOCALTIMESTAMP AS STRING), \
                     CAST(CURRENT_ROW_TIMESTAMP() AS STRING) FROM s";
        let batches = session.sql_query(query).await.expect("starts").collect().await.expect("collected");
        let distinct = |c: usize| {
            let of = batches.iter().flat_map(|b| {
                let texts = b.column(c).as_string::<i32>().clone();
                (0..b.num_rows()).map(move |row| texts.value(row).to_string())
            });
            of.collect::<std::collections::BTreeSet<String>>().len()
        };
        let counts: Vec<usize> = (0..4).map(distinct).collect();
        assert!(counts[3] > 1, "{mode}: {counts:?}");
        assert!(counts[..3].iter().all(|n| (*n == 1) == one), "{mode}: {counts:?}");
        let set = session.execute_sql("SET").await.expect("a list");
        let Outcome::Rows { rows, .. } = set else { panic!("rows") };
        assert!(rows.iter().all(|row| !format!("{row:?}").contains("query-start")), "{rows:?}");
    }
}
