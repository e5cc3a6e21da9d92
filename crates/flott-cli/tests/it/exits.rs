//! Exit codes mean what `--help` says: 1 where a later run may do it, 2 where the same run fails again.

use std::os::unix::fs::PermissionsExt;

use crate::support::{Place, Ran};

const IN: &str = "CREATE TABLE i (v INT) WITH ('connector' = 'filesystem', 'path' = 'in', 'format' = 'csv');\n";
const OUT: &str = "CREATE TABLE o (v INT) WITH ('connector' = 'filesystem', 'path' = 'out', 'format' = 'csv');\n";

fn exits(ran: &Ran, code: i32, word: &str) {
    assert_eq!(ran.code, Some(code), "{ran:?}");
    assert!(ran.err.contains(word), "no '{word}' in {ran:?}");
}

/// Whether a folder without the right to write keeps this user out: root is not kept out.
fn permissions_hold(place: &Place) -> bool {
    let folder = place.path().join("probe");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o500)).expect("set");
    std::fs::write(folder.join("f"), "").is_err()
}

#[test]
fn help_says_what_codes_mean() {
    let place = Place::new();
    for args in [&["--help"][..], &["run", "--help"]] {
        let help = place.flott(args).out;
        for code in ["\n  0 ", "\n  1 ", "\n  2 ", "\n  3 ", "\n  130 "] {
            assert!(help.contains(code), "no {code:?} in {help}");
        }
    }
    for args in [&["docs", "commands"][..], &["man"], &["man", "run"]] {
        let page = place.flott(args).out;
        for code in [
            "0    finished",
            "1    a job failed",
            "2    the command line",
            "3    another",
            "130  stopped",
            "141  nobody",
        ] {
            assert!(page.contains(code), "no {code:?} in {args:?}: {page}");
        }
    }
}

#[test]
fn wrong_usage_is_2() {
    let place = Place::new();
    place.write("job.sql", &format!("{IN}{OUT}INSERT INTO o SELECT * FROM i;"));
    exits(&place.flott(&["run"]), 2, "Usage");
    exits(&place.flott(&["run", "job.sql", "--nonsense"]), 2, "--nonsense");
    exits(&place.flott(&["run", "job.sql", "--fresh", "--restore", "latest"]), 2, "cannot be used with");
    exits(&place.flott(&["run", "gone.sql"]), 2, "gone.sql");
    exits(&place.flott(&["explain", "gone.sql"]), 2, "gone.sql");
    exits(&place.flott(&["run", "job.sql", "-D", "parallelism.default"]), 2, "KEY=VALUE");
    exits(&place.flott(&["run", "job.sql", "-p", "0"]), 2, "parallelism.default");
    exits(&place.flott(&["run", "job.sql", "--log-level", "lout=="]), 2, "log level");
    exits(&place.flott(&["run", "job.sql", "--log-level", "silly"]), 2, "error, warn, info, debug, trace");
    exits(&place.flott(&["run", "job.sql", "--log-format", "silly"]), 2, "text, json");
    exits(&place.flott(&["run", "job.sql", "--restore", "latest", "--claim-mode", "silly"]), 2, "no-claim, claim");
    exits(&place.flott(&["run", "job.sql", "--restore", "latest", "--claim-mode", "legacy"]), 2, "deprecated in Flink");
    exits(&place.flott(&["metrics", "job", "--format", "silly"]), 2, "prometheus");
    exits(&place.flott(&["completions", "silly"]), 2, "bash");
    exits(&place.flott(&["run", "job.sql", "-D", "restart-strategy.fixed-delay.delay=-1 s"]), 2, "fixed-delay.delay");
    exits(&place.flott(&["run", "job.sql", "-D", "restart-strategy.exponential-delay.jitter-factor=2"]), 2, "0 and 1");
    exits(&place.flott(&["run", "job.sql", "--metrics-port", "99999"]), 2, "99999");
    exits(&place.flott(&["docs", "nothing"]), 2, "no page 'nothing'");
}

#[test]
fn wrong_usage_is_a_log_line_where_json_is_wanted() {
    let is_line = |ran: &Ran, words: &str| {
        exits(ran, 2, words);
        let lines: Vec<&str> = ran.err.lines().collect();
        assert_eq!(lines.len(), 1, "{ran:?}");
        let line: serde_json::Value = serde_json::from_str(lines[0]).expect("JSON");
        assert!(line["level"] == "ERROR" && line["kind"] == "USER", "{line}");
        assert!(line["message"].as_str().is_some_and(|m| m.contains(words) && !m.contains('\n')), "{line}");
    };
    let place = Place::new();
    for (args, words) in [
        (&["run", "--nope"][..], "unexpected argument '--nope'"),
        (&["run"], "<FILE>"),
        (&["job.sql"], "To run a script: flott run job.sql"),
        (&[], "requires a subcommand"),
        (&["list", "--log-level", "silly"], "'silly' is not a log level"),
    ] {
        is_line(&place.flott(&[args, &["--log-format", "json"]].concat()), words);
    }
    let alone = place.command(&[]).env("FLOTT_LOG_FORMAT", "json").output().expect("flott runs");
    is_line(&crate::support::ran(alone), "requires a subcommand");
    let help = place.flott(&["--log-format", "json", "--help"]);
    assert!(help.code == Some(0) && help.out.contains("Usage:") && help.err.is_empty(), "{help:?}");
}

#[test]
fn wrong_scripts_are_2() {
    exits(&Place::new().run("SELCT 1;"), 2, "SELCT");
    exits(&Place::new().run("SELECT nope FROM (VALUES (1)) AS t (v);"), 2, "nope");
    exits(&Place::new().run("CREATE TABLE t (v INT) WITH ('connector' = 'kafkaa'); SELECT * FROM t;"), 2, "kafkaa");
}

#[test]
fn files_that_are_missing_are_1() {
    let place = Place::new();
    exits(&place.run(&format!("{IN}SELECT * FROM i;")), 1, "in");
    exits(&place.run(&format!("{IN}{OUT}INSERT INTO o SELECT * FROM i;")), 1, "in");
    place.write("in/a.csv", "1\n");
    assert_eq!(place.run(&format!("{IN}{OUT}INSERT INTO o SELECT * FROM i;")).code, Some(0), "a later run does it");
}

#[test]
fn rows_that_are_wrong_are_1() {
    let place = Place::new();
    place.write("in/a.csv", "1\nx\n");
    exits(&place.run(&format!("{IN}{OUT}INSERT INTO o SELECT * FROM i;")), 1, "'x' is not a valid INT");
    exits(&place.run(&format!("{IN}SELECT * FROM i;")), 1, "'x' is not a valid INT");
}

#[test]
fn a_reader_that_is_gone_ends_a_run_quietly() {
    let place = Place::new();
    place.write("many.sql", &"SHOW FUNCTIONS;\n".repeat(200));
    for args in [&["run", "many.sql"][..], &["sql", "-f", "many.sql"]] {
        let mut child = place.start(args);
        drop(child.stdout.take());
        let ran = crate::support::ran(child.wait_with_output().expect("an end"));
        assert_eq!((ran.code, ran.err.as_str()), (Some(141), ""), "{args:?}");
    }
}

#[test]
fn sinks_and_checkpoints_that_cannot_be_written_are_1() {
    let place = Place::new();
    // A file where a folder must be: nobody can write there, not even root.
    place.write("out", "in the way");
    exits(&place.run(&format!("{OUT}INSERT INTO o VALUES (1);")), 1, "out");
    let place = Place::new();
    place.write(".flott", "in the way");
    exits(&place.run(&format!("{OUT}INSERT INTO o VALUES (1);")), 1, ".flott");
    let place = Place::new();
    if permissions_hold(&place) {
        let script = OUT.replace("'out'", "'probe/out'");
        exits(&place.run(&format!("{script}INSERT INTO o VALUES (1);")), 1, "permissions");
    }
}

#[test]
fn a_reader_of_printed_rows_that_is_gone_is_141() {
    let place = Place::new();
    place.write(
        "job.sql",
        "CREATE TABLE s (v INT) WITH ('connector' = 'datagen', 'rows-per-second' = '10000');
         CREATE TABLE p (v INT) WITH ('connector' = 'print');
         INSERT INTO p SELECT v FROM s;",
    );
    let mut child = place.start(&["run", "job.sql", "--fresh"]);
    drop(child.stdout.take());
    let ran = crate::support::ran(child.wait_with_output().expect("an end"));
    assert_eq!(ran.code, Some(141), "{ran:?}");
    assert!(!ran.err.contains("Error"), "{ran:?}");
}

#[test]
fn a_restore_of_nonsense_says_what_may_be_written() {
    let place = Place::new();
    place.write("job.sql", &format!("{OUT}INSERT INTO o VALUES (1);"));
    let ran = place.flott(&["run", "job.sql", "--restore", "nonsense"]);
    exits(&ran, 2, "'nonsense'");
    assert!(ran.err.contains("--restore latest") && ran.err.contains("savepoint"), "{ran:?}");
}
