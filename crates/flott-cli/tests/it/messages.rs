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
}

#[test]
fn a_script_that_is_not_there_is_named_with_one_that_is() {
    let place = Place::new();
    place.write("revenue.sql", "SELECT 1;");
    let gone = place.flott(&["run", "revenu.sql"]);
    let said = "Error: there is no script 'revenu.sql'. Did you mean 'revenue.sql'?";
    assert!(gone.code == Some(2) && gone.err.contains(said), "{gone:?}");
    let other = place.flott(&["run", "orders.sql"]);
    assert!(other.err.contains("there is no script 'orders.sql'. Check the path; it was looked for in /"), "{other:?}");
    place.write("queries/q.sql", "SELECT 1;");
    let folder = place.flott(&["run", "queries"]);
    assert!(folder.code == Some(2) && folder.err.contains("'queries' is a folder"), "{folder:?}");
    let folder = place.flott(&["explain", "jobs/orders.sql"]);
    assert!(folder.code == Some(2) && folder.err.contains("There is no folder 'jobs' either"), "{folder:?}");
}

#[test]
fn options_of_formats_are_named_with_what_they_begin_with() {
    for (format, key, value, words) in [
        ("json", "timestamp-format.standard", "ISO-8601", "did you mean 'json.timestamp-format.standard'?"),
        ("csv", "field-delimiter", "|", "did you mean 'csv.field-delimiter'?"),
        ("csv", "delimiter", "|", "Did you mean 'csv.field-delimiter' or 'csv.array-element-delimiter'?"),
        ("csv", "csv.delimiter", "|", "Did you mean 'csv.array-element-delimiter' or 'csv.field-delimiter'?"),
        ("csv", "csv.ignore-parse-error", "true", "Did you mean 'csv.ignore-parse-errors'?"),
        ("csv", "csv.ignore-parse-errors", "maybe", "(option csv.ignore-parse-errors"),
        ("csv", "csv.field-delimiter", "||", "(option csv.field-delimiter"),
        ("json", "csv.field-delimiter", "|", "the table's options for a format begin with 'json.'"),
    ] {
        let with = format!("'connector' = 'filesystem', 'path' = 'in', 'format' = '{format}', '{key}' = '{value}'");
        refused(&format!("CREATE TABLE x (a INT) WITH ({with}); SELECT * FROM x;"), 2, &[words]);
    }
}

#[test]
fn what_is_wrong_with_a_table_is_told_where_that_stands() {
    let table = |options: &str| {
        format!(
            "CREATE TABLE x (\n  a INT\n) WITH (\n  'connector' = 'filesystem',\n  {options}\n);\n\nSELECT * FROM x;"
        )
    };
    for (options, place) in [
        ("'path' = 'in',\n  'format' = 'cvs'", "line 6, column 3"),
        ("'path' = 'in', 'format' = 'csv',\n  'pth' = 'x'", "line 6, column 3"),
        ("'path' = 'in',\n'format' = 'csv',\n    'csv.ignore-parse-errors' = 'maybe'", "line 7, column 5"),
        ("'path' = 'in', 'format' = 'csv', 'source.monitor-interval' = '0'", "line 5, column 36"),
        // What is missing is missing in the table.
        ("'format' = 'csv'", "line 1, column 14"),
    ] {
        refused(&table(options), 2, &[place]);
    }
    let kafka = table("'path' = 'in'").replace("filesystem", "kafkaa");
    refused(&kafka, 2, &["Unknown connector 'kafkaa'", "line 4, column 3"]);
    // What a hint has set is none of the table's.
    let hinted = table("'path' = 'in', 'format' = 'csv'").replace("x;", "x /*+ OPTIONS('format' = 'cvs') */;");
    refused(&hinted, 2, &["line 8, column 1"]);
    // Columns, keys and watermarks.
    for (columns, place) in [
        ("a INT,\n b STRING,\n WATERMARK FOR b AS b", "line 3, column 16"),
        ("a INT,\n WATERMARK FOR c AS c", "line 2, column 16"),
        ("a INT,\n PRIMARY KEY (b) NOT ENFORCED", "line 2, column 15"),
        ("a INT,\n b INT,\n a STRING", "line 3, column 2"),
    ] {
        refused(&format!("CREATE TABLE x ({columns}) WITH ('connector' = 'datagen');"), 2, &[place]);
    }
}

#[test]
fn a_statement_that_needs_what_a_job_before_it_writes_is_told_how_to_wait() {
    let place = Place::new();
    let script =
        "CREATE TABLE s (v INT) WITH ('connector' = 'datagen', 'number-of-rows' = '20', 'rows-per-second' = '10');
        CREATE TABLE o (v INT) WITH ('connector' = 'filesystem', 'path' = 'o', 'format' = 'csv');
        CREATE TABLE later (v INT) WITH ('connector' = 'filesystem', 'path' = 'later', 'format' = 'csv');
        INSERT INTO o SELECT v FROM s; SELECT * FROM later;";
    let ran = place.run(script);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("later' does not exist") && ran.err.contains("SET 'table.dml-sync' = 'true'"), "{ran:?}");
    // Where nothing runs there is nothing to wait for.
    let alone = place.run(&script.replace("INSERT INTO o SELECT v FROM s;", ""));
    assert!(alone.code == Some(1) && !alone.err.contains("dml-sync"), "{alone:?}");
}

#[test]
fn an_error_of_a_job_says_where_its_insert_stands() {
    let place = Place::new();
    place.write("in/rows.csv", "12\nabc\n");
    let tables = "CREATE TABLE i (s STRING) WITH ('connector' = 'filesystem', 'path' = 'in', 'format' = 'csv');\n\
                  CREATE TABLE a (v INT) WITH ('connector' = 'filesystem', 'path' = 'a', 'format' = 'csv');\n\
                  CREATE TABLE b (v INT) WITH ('connector' = 'filesystem', 'path' = 'b', 'format' = 'csv');\n";
    // In a set: the line of its own INSERT.
    let set = format!(
        "{tables}EXECUTE STATEMENT SET BEGIN\nINSERT INTO a SELECT CHAR_LENGTH(s) FROM i;\n\
         INSERT INTO b\nSELECT CAST(s AS INT) FROM i;\nEND;"
    );
    let ran = place.run(&set);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    for word in ["expression CAST(s)", "job job", "script job.sql", "line 6, column 1"] {
        assert!(ran.err.contains(word), "no '{word}' in: {}", ran.err);
    }
    // What several of them read, and a query: the statement.
    let shared = tables.replace("(s STRING)", "(s INT)");
    let ran = place.run(&format!(
        "{shared}EXECUTE STATEMENT SET BEGIN\nINSERT INTO a SELECT s FROM i;\nINSERT INTO b SELECT s + 1 FROM i;\nEND;"
    ));
    assert!(ran.code == Some(1) && ran.err.contains("script job.sql, line 4, column 1"), "{ran:?}");
    let ran = place.run(&format!("{tables}\n\nSELECT CAST(s AS INT) FROM i;"));
    assert!(ran.code == Some(1) && ran.err.contains("script job.sql, line 6, column 1"), "{ran:?}");
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
