//! Golden plans: each file of `tests/plans` is a script whose last statement is an EXPLAIN, and behind the line
//! `-- EXPECT` the text that it prints. `UPDATE_PLANS=1 cargo test -p flott-sql` writes what is printed now.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::common::Session;

const MARK: &str = "-- EXPECT\n";

#[test]
fn every_plan_is_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/plans");
    let update = std::env::var_os("UPDATE_PLANS").is_some();
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|f| f.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "sql"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no plans in {}", folder.display());
    let mut wrong = vec![];
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let (script, expected) = text.split_once(MARK).unwrap_or((&text, ""));
        let printed = Session::new().run(script).unwrap_or_else(|e| format!("ERROR: {e}\n"));
        let commented: String =
            printed.lines().map(|l| if l.is_empty() { "--\n".into() } else { format!("-- {l}\n") }).collect();
        if commented != expected {
            if update {
                let script = if script.ends_with('\n') { script.to_string() } else { format!("{script}\n") };
                std::fs::write(&file, format!("{script}{MARK}{commented}")).unwrap();
            } else {
                wrong.push(format!("== {}\n{commented}\n-- instead of\n{expected}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Each input of a join is looked at once, however many joins there are: twice as often per join would never end here.
#[test]
fn joins_of_many_tables_are_planned() {
    let mut joins = "FROM a t0".to_string();
    for i in 1..48 {
        joins += &format!(" JOIN a t{i} ON t{}.k = t{i}.k", i - 1);
    }
    let script = format!("CREATE TABLE a (k BIGINT) WITH ('connector' = 'fake'); EXPLAIN SELECT t0.k {joins};");
    let printed = Session::new().run(&script).unwrap();
    let plan = printed.split("== Optimized Execution Plan ==").nth(1).unwrap();
    assert_eq!(plan.matches("Join(joinType=[InnerJoin]").count(), 47, "{plan}");
}

/// A rank asks for the keys of what is below it: below 30 ranks, each asking again would never end.
#[test]
fn ranks_of_ranks_are_planned() {
    let mut query = "SELECT k, COUNT(*) AS v FROM a GROUP BY k".to_string();
    for _ in 0..30 {
        query = format!(
            "SELECT k, v FROM (SELECT k, v, ROW_NUMBER() OVER (PARTITION BY v ORDER BY k) AS n FROM ({query})) WHERE n <= 2"
        );
    }
    let script = format!("CREATE TABLE a (k BIGINT) WITH ('connector' = 'fake'); EXPLAIN {query};");
    let printed = Session::new().run(&script).unwrap();
    let plan = printed.split("== Optimized Execution Plan ==").nth(1).unwrap();
    assert_eq!(plan.matches("Rank(").count(), 30, "{plan}");
}

/// 45 tables in a chain whose end is written the other way round: the product of so many is more than a number can say, and
/// an order without products is found all the same.
#[expect(clippy::disallowed_methods, reason = "the test is about how long planning takes")]
#[test]
fn joins_of_many_tables_are_put_in_an_order() {
    let order: Vec<usize> = (0..39).chain((39..45).rev()).collect();
    let from = order.iter().map(|i| format!("a t{i}")).collect::<Vec<_>>().join(", ");
    let equal = (1..45).map(|i| format!("t{i}.k = t{}.v", i - 1)).collect::<Vec<_>>().join(" AND ");
    let script = format!(
        "SET 'table.optimizer.join-reorder-enabled' = 'true'; CREATE TABLE a (k BIGINT, v BIGINT) WITH ('connector' = 'fake');
         EXPLAIN SELECT t0.k FROM {from} WHERE {equal};"
    );
    let begun = Instant::now();
    let printed = Session::new().run(&script).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let plan = printed.split("== Optimized Execution Plan ==").nth(1).unwrap();
    assert_eq!(plan.matches("Join(joinType=[InnerJoin]").count(), 44, "{plan}");
    assert!(!plan.contains("where=[true]"), "no product: {plan}");
}

/// Views over the windows of views: what is below is looked at once at each level, not twice.
#[expect(clippy::disallowed_methods, reason = "the test is about how long planning takes")]
#[test]
fn windows_over_many_windows_are_planned() {
    let mut script =
        "CREATE TABLE a (k BIGINT, v BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'fake');
         CREATE VIEW v0 AS SELECT window_start, window_end, k, v FROM TABLE(TUMBLE(TABLE a, DESCRIPTOR(ts), \
           INTERVAL '1' MINUTE));"
            .to_string();
    for i in 1..=40 {
        script += &format!(
            "CREATE VIEW v{i} AS SELECT window_start, window_end, k, SUM(v) AS v FROM v{} GROUP BY window_start, window_end, k;",
            i - 1
        );
    }
    let begun = Instant::now();
    let printed = Session::new().run(&format!("{script} EXPLAIN SELECT * FROM v40 WHERE k > 1;")).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let plan = printed.split("== Optimized Execution Plan ==").nth(1).unwrap();
    assert_eq!(plan.matches("GlobalWindowAggregate(").count(), 40, "{plan}");
}
