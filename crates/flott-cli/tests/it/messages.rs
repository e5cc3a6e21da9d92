//! What the command says to wrong scripts and broken data.

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
    refused("SET 'parallelism.defaullt' = '2';", 2, &["parallelism.defaullt", "Did you mean 'parallelism.default'?"]);
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
