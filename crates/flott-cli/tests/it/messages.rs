//! What the command says to wrong scripts and broken data.

use std::io::Write;
use std::process::Stdio;

use crate::support::Place;

/// Runs a script that must fail, and looks for words in what it says.
fn refused(script: &str, code: i32, words: &[&str]) {
    let place = Place::new();
    place.write("in/good.csv", "1,x\n");
    place.write("in/rows.csv", &(("1,x\n".repeat(16)) + "seventeen,y\n1,z\n"));
    let ran = place.run(script);
    assert_eq!(ran.code, Some(code), "{ran:?}");
    for word in words {
        assert!(ran.err.contains(word), "no '{word}' in: {}", ran.err);
    }
    assert!(!ran.err.contains("panicked"), "{ran:?}");
    assert!(place.rows("out").is_empty(), "something is visible");
}

const TABLES: &str = "\
    CREATE TABLE i (v INT, t STRING) WITH ('connector' = 'filesystem', 'path' = 'in', 'format' = 'csv');
    CREATE TABLE o (v INT, t STRING) WITH ('connector' = 'filesystem', 'path' = 'out', 'format' = 'csv');\n";

#[test]
fn a_malformed_row_is_named() {
    let script = format!("{TABLES}INSERT INTO o SELECT * FROM i;");
    refused(&script, 1, &["rows.csv", "row 17", "column v", "'seventeen'"]);
}

#[test]
fn wrong_scripts_are_shown_where_they_are_wrong() {
    refused("SELECT 1;\nSELCT 2;", 2, &["line 2", "SELCT"]);
    refused("SET 'table.local-time-zone' = 'Europe/Berlln';", 2, &["Europe/Berlln", "table.local-time-zone", "line 1"]);
    refused(&format!("{TABLES}INSERT INTO o SELECT vv, t FROM i;"), 2, &["vv", "line 3"]);
    refused(&format!("{TABLES}INSERT INTO o SELECT t, v FROM i;"), 2, &["INT", "STRING"]);
    let missing = "CREATE TABLE x (a INT) WITH ('connector' = 'filesystem', 'path' = 'nowhere', 'format' = 'csv');";
    refused(&format!("{missing} SELECT * FROM x;"), 1, &["nowhere"]);
}

#[test]
fn results_and_listings_go_to_stdout() {
    let place = Place::new();
    let ran = place.run("SET 'table.display.max-column-width' = '5'; SELECT 'abcdefgh' AS t; SHOW CATALOGS;");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains("| ab... |") && ran.out.contains("default_catalog"), "{ran:?}");
}

#[test]
fn an_option_without_effect_is_told() {
    let place = Place::new();
    let ran = place.run("SET 'state.backend.type' = 'rocksdb';");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.err.contains("state.backend.type") && ran.err.contains("no effect here"), "{ran:?}");
}

#[test]
fn an_option_that_nothing_reads_is_told_once() {
    let place = Place::new();
    let script = format!("{TABLES}SET 'parallelism.defaullt' = '2'; SET 'rest.port' = '1'; SELECT 1; SELECT 2;");
    let ran = place.run(&script);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for told in ["did you mean 'parallelism.default'?", "'rest.port': an option of Flink's cluster"] {
        assert_eq!(ran.err.matches(told).count(), 1, "{ran:?}");
    }
}

#[test]
fn state_without_an_end_is_told() {
    let place = Place::new();
    let script = "CREATE TABLE g (i INT, j INT) WITH ('connector' = 'datagen', 'rows-per-second' = '1'); \
                  EXPLAIN SELECT i, COUNT(*) FROM g GROUP BY i; SELECT 'between'; \
                  EXPLAIN SELECT a.i FROM g a JOIN g b ON a.i = b.j; \
                  SET 'table.exec.state.ttl' = '1 h'; EXPLAIN SELECT j, COUNT(*) FROM g GROUP BY j;";
    let ran = place.run(script);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let told: Vec<&str> = ran.err.lines().filter(|l| l.contains("state grows without bound")).collect();
    assert_eq!(told.len(), 2, "{ran:?}");
    assert!(told[0].contains("GroupAggregate(") && told[0].contains("'table.exec.state.ttl'"), "{ran:?}");
    assert!(told[1].contains("Join(") && told[1].contains("STATE_TTL"), "{ran:?}");
    assert!(!ran.out.contains("state grows"), "{ran:?}");
}

#[test]
fn a_summary_that_cannot_be_written_is_told_before_anything_runs() {
    let place = Place::new();
    place.write("job.sql", &format!("{TABLES}INSERT INTO o VALUES (1, 'x');"));
    let ran = place.flott(&["run", "job.sql", "--summary", "nowhere/summary.json"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.err.contains("nowhere/summary.json"), "{ran:?}");
    assert!(place.rows("out").is_empty(), "the job has run");
}

#[test]
fn deep_nesting_is_refused() {
    let script = format!("SELECT {}1{};", "(".repeat(10_000), ")".repeat(10_000));
    refused(&script, 2, &["deep"]);
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let place = Place::new();
    std::fs::write(place.path().join("job.sql"), b"SELECT '\xff';").expect("a file");
    let ran = place.flott(&["run", "job.sql"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.err.contains("UTF-8") && ran.err.contains("job.sql"), "{ran:?}");
    let gone = place.flott(&["run", "gone.sql"]);
    assert!(gone.code != Some(0) && gone.err.contains("gone.sql"), "{gone:?}");
}

#[test]
fn nothing_runs_where_a_later_statement_is_wrong() {
    let place = Place::new();
    place.write("job.sql", &format!("{TABLES}INSERT INTO o VALUES (1, 'x'); INSERT INTO o SELECT a, b FROM nope;"));
    let ran = place.flott(&["run", "job.sql"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.err.contains("'nope' not found"), "{ran:?}");
    assert!(place.rows("out").is_empty(), "the first job has run");
}

#[test]
fn a_script_may_start_with_a_byte_order_mark_and_come_from_stdin() {
    let place = Place::new();
    place.write("bom.sql", "\u{FEFF}SELECT 1 AS one;");
    let ran = place.flott(&["run", "bom.sql"]);
    assert!(ran.code == Some(0) && ran.out.contains("| one |"), "{ran:?}");
    let utf16: Vec<u8> = "\u{FEFF}SELECT 1;".encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(place.path().join("wide.sql"), utf16).expect("a file");
    let ran = place.flott(&["run", "wide.sql"]);
    assert!(ran.code == Some(2) && ran.err.contains("iconv -f UTF-16"), "{ran:?}");
    let mut command = place.command(&["run", "-"]);
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = piped.expect("flott starts");
    child.stdin.take().expect("a pipe").write_all(b"SELECT 5 AS five;").expect("written");
    let ran = child.wait_with_output().expect("it ends");
    assert!(ran.status.success() && String::from_utf8_lossy(&ran.stdout).contains("| five |"), "{ran:?}");
}

#[test]
fn slips_of_the_command_line_and_between_statements_are_guessed() {
    refused("SELECT 1 SELECT 2;", 2, &["unexpected 'SELECT'", "Is a ';' missing before SELECT?"]);
    let place = Place::new();
    let ran = place.flott(&["job.sql"]);
    assert!(ran.code == Some(2) && ran.err.contains("flott run job.sql"), "{ran:?}");
}
