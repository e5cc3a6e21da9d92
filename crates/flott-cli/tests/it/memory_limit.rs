//! The limit of a job's memory is about what the process takes: a state that grows ends the job before the process has taken
//! much more.
#![cfg(target_os = "linux")]

use crate::bad_input::measured;
use crate::support::Place;

const LIMIT_MB: u64 = 64;
/// So much more may be taken for a moment, in hundredths of the limit.
const OVER_PERCENT_MAX: u64 = 40;

const ROWS: u64 = 20_000_000;

/// A script over rows that are numbered.
fn script(rows: u64, query: &str) -> String {
    let table = |name: &str| {
        format!(
            "CREATE TABLE {name} (id BIGINT, n BIGINT, ts AS TO_TIMESTAMP_LTZ(id, 3),
               WATERMARK FOR ts AS ts - INTERVAL '90' DAY) WITH ('connector' = 'datagen',
               'rows-per-second' = '10000000', 'fields.id.kind' = 'sequence', 'fields.id.start' = '1', 'fields.id.end' = '{rows}',
               'fields.n.kind' = 'sequence', 'fields.n.start' = '1', 'fields.n.end' = '{rows}');\n"
        )
    };
    format!(
        "SET 'execution.checkpointing.interval' = '1 h';
         {}
         CREATE TABLE o (id BIGINT, n BIGINT, m BIGINT) WITH ('connector' = 'blackhole');
         INSERT INTO o {query};",
        table("s")
    )
}

/// What is still open: a regular join takes two thirds more than the limit, and so do checkpoints while they are written.
const QUERIES: [(&str, &str); 3] = [
    ("GroupAggregate", "SELECT id, SUM(n), COUNT(*) FROM s GROUP BY id"),
    (
        "Rank",
        "SELECT id, n, r FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY id ORDER BY n DESC) AS r FROM s) WHERE r < 3",
    ),
    ("WindowAggregate", WINDOWS),
];

const WINDOWS: &str = "SELECT id, COUNT(*), SUM(n)
    FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '200' SECOND(3))) GROUP BY id, window_start, window_end";

#[test]
fn a_process_takes_little_more_than_the_limit_of_its_job() {
    for (operator, query) in QUERIES {
        let place = Place::new();
        place.write("few.sql", &script(1_000, query));
        place.write("many.sql", &script(ROWS, query));
        let memory = format!("{LIMIT_MB}MiB");
        let (small, base) = measured(&place, &["run", "few.sql", "-p", "1", "--memory", &memory]);
        assert_eq!(small.code, Some(0), "{}", small.err);
        let (large, peak) = measured(&place, &["run", "many.sql", "-p", "1", "--memory", &memory]);
        let taken_mb = peak.saturating_sub(base) >> 20;
        let what = format!("{operator}: {taken_mb} MB of {LIMIT_MB} beside {} MB\n{}", base >> 20, large.err);
        println!("{}", what.lines().next().unwrap_or_default());
        assert_eq!(large.code, Some(1), "{what}");
        assert!(large.err.contains("flott.memory.max") && large.err.contains(operator), "{what}");
        assert!(taken_mb * 100 <= LIMIT_MB * (100 + OVER_PERCENT_MAX), "{what}");
        // Nor does it end much too early: a table that moves needs its memory twice.
        assert!(taken_mb * 100 >= LIMIT_MB * 35, "{what}");
    }
}

/// Ten windows of 200,000 groups are open at once. Each has room for many more, which takes no memory before they come.
#[test]
fn room_that_windows_have_not_taken_is_not_counted() {
    let place = Place::new();
    place.write("windows.sql", &script(2_000_000, WINDOWS));
    let (ran, peak) = measured(&place, &["run", "windows.sql", "-p", "1", "--memory", "512MiB"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(peak >> 20 <= 512, "{} MB", peak >> 20);
}
