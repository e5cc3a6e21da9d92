//! The shell: statements of a pipe, of a file, and of a terminal.

use std::io::{BufRead, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::support::{Place, Ran, ran, rest, signal, until};

const COUNTING: &str = "\
    CREATE TABLE s (id BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '2000',
      'fields.id.kind' = 'sequence', 'fields.id.start' = '1', 'fields.id.end' = '6000');
    CREATE TABLE o (id BIGINT) WITH ('connector' = 'filesystem', 'path' = 'o', 'format' = 'csv');
    SET 'execution.checkpointing.interval' = '200 ms';\n";

/// Gives the shell statements by a pipe.
fn piped(place: &Place, args: &[&str], text: &str) -> Ran {
    let mut command = place.command(&[&["sql"], args].concat());
    let mut child = command.stdin(Stdio::piped()).spawn().expect("flott starts");
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("written");
    ran(child.wait_with_output().expect("an end"))
}

#[test]
fn statements_of_a_pipe_give_flink_s_messages_and_tables() {
    let place = Place::new();
    let ran = piped(
        &place,
        &[],
        "SET 'sql-client.display.print-time-cost' = 'false';\n\
         CREATE TABLE t (v INT) WITH ('connector' = 'blackhole'); -- a comment; with a semicolon\n\
         SHOW TABLES;\nSELECT ';' AS\n  semicolon, 1 AS one;\nSELECT 1 WHERE 1 = 2;\nHELP;\nSELECT 'last' AS word",
    );
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let expected = "[INFO] Execute statement succeeded.\n[INFO] Execute statement succeeded.\n\
        +------------+\n| table name |\n+------------+\n|          t |\n+------------+\n1 row in set\n\
        +-----------+-----+\n| semicolon | one |\n+-----------+-----+\n|         ; |   1 |\n+-----------+-----+\n\
        1 row in set\nEmpty set\nThe following commands are available:\n";
    assert!(ran.out.starts_with(expected), "{}", ran.out);
    assert!(
        ran.out.contains("STOP JOB 'id'") && ran.out.ends_with("| last |\n+------+\n1 row in set\n"),
        "{}",
        ran.out
    );
    assert!(!ran.out.contains("Flott SQL>"), "a pipe is not prompted: {}", ran.out);
    let timed = piped(&place, &[], "SELECT 1;");
    assert!(timed.out.contains("1 row in set (0.") && timed.out.ends_with(" seconds)\n"), "{}", timed.out);
}

#[test]
fn errors_of_a_file_name_it() {
    let place = Place::new();
    place.write("wrong.sql", "SELECT 1;\nSELECT nope;");
    for args in [["sql", "-f", "wrong.sql"], ["sql", "-i", "wrong.sql"]] {
        let ran = place.flott(&args);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.err.contains("script wrong.sql, line 2, column 8"), "{ran:?}");
    }
}

#[test]
fn statements_of_a_pipe_run_as_they_come() {
    let place = Place::new();
    let mut child = place.command(&["sql"]).stdin(Stdio::piped()).spawn().expect("flott starts");
    let mut pipe = child.stdin.take().expect("a pipe");
    let text = "CREATE TABLE o (v INT) WITH ('connector' = 'filesystem', 'path' = 'o', 'format' = 'csv');
        INSERT INTO o VALUES (1);\nSELECT ";
    pipe.write_all(text.as_bytes()).expect("written");
    pipe.flush().expect("flushed");
    until("the row", || !place.rows("o").is_empty());
    pipe.write_all(b"nope;").expect("written");
    drop(pipe);
    let ran = ran(child.wait_with_output().expect("an end"));
    assert!(ran.code == Some(2) && ran.err.contains("line 3, column 8"), "{ran:?}");

    let waiting = place.command(&["sql"]).stdin(Stdio::piped()).spawn().expect("flott starts");
    rest(300);
    signal(&waiting, "TERM");
    let gone = std::path::PathBuf::from(format!("/proc/{}/fd/0", waiting.id()));
    until("its end, with the pipe still open", || !gone.exists());
    assert_eq!(waiting.wait_with_output().expect("an end").status.code(), Some(130));
}

#[test]
fn an_error_does_not_end_a_pipe_and_shows_in_the_exit_code() {
    let place = Place::new();
    let ran = piped(&place, &[], "SELECT 1 AS a;\n\nSELECT nope;\nSELECT 'open;\n");
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(
        ran.err.contains("[ERROR] Could not execute SQL statement. Reason:\n") && ran.err.contains("nope"),
        "{ran:?}"
    );
    assert!(ran.err.contains("line 3, column 8"), "the place is that of the whole: {ran:?}");
    let ran = piped(&place, &[], "SELECT nope; SELECT 'on' AS w;");
    assert!(ran.out.contains("| on |"), "{ran:?}");
    let quit = piped(&place, &[], "SELECT 1 AS a; QUIT; SELECT 2 AS b;");
    assert_eq!(quit.code, Some(0), "{quit:?}");
    assert!(quit.out.contains("[INFO] Exiting Flott SQL Client...") && !quit.out.contains("| b |"), "{quit:?}");
}

#[test]
fn the_first_error_ends_a_file() {
    let place = Place::new();
    place.write("init.sql", "SET 'sql-client.display.print-time-cost' = 'false';");
    place.write("some.sql", "SELECT 1 AS a;\nSELECT nope;\nSELECT 2 AS b;");
    let ran = place.flott(&["sql", "-i", "init.sql", "-f", "some.sql"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.out.contains("| a |") && ran.out.contains("1 row in set\n") && !ran.out.contains("| b |"), "{ran:?}");
    assert!(ran.err.contains("line 2, column 8"), "{ran:?}");
    let ran = place.flott(&["sql", "-i", "some.sql", "-f", "init.sql"]);
    assert_eq!(ran.code, Some(2), "an error in the first file ends all: {ran:?}");
    assert_eq!(place.flott(&["sql", "-f", "gone.sql"]).code, Some(2));
    let mistyped = piped(&place, &["-D", "parallelism.defaullt=2"], "SELECT 1;");
    assert!(mistyped.code == Some(0) && mistyped.err.contains("did you mean 'parallelism.default'?"), "{mistyped:?}");
}

#[test]
fn jobs_run_in_the_background_and_are_waited_for_at_the_end() {
    let place = Place::new();
    let ran =
        piped(&place, &[], &format!("{COUNTING} INSERT INTO o SELECT id FROM s; SHOW JOBS; SELECT 'on' AS word;"));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let submitted = "[INFO] SQL update statement has been successfully submitted to the cluster:\nJob ID: ";
    let (before, after) = ran.out.split_once(submitted).expect("it is submitted");
    assert!(before.ends_with("[INFO] Submitting SQL update statement to the cluster...\n"), "{}", ran.out);
    let id = &after[..32];
    assert!(
        after[32..].contains(&format!("| {id} | insert-into_default_catalog.default_database.o | RUNNING |"))
            && after.contains("| RUNNING |"),
        "{}",
        ran.out
    );
    let (on, end) = (after.find("| on |").or(after.find("|   on |")), after.find(&format!("({id}) is FINISHED.")));
    assert!(on.is_some() && on < end, "{}", ran.out);
    assert_eq!(place.rows("o").len(), 6_000);
}

#[test]
fn quit_stops_the_jobs_of_a_pipe() {
    let place = Place::new();
    let endless = COUNTING.replace("6000", "100000000");
    let ran = piped(&place, &[], &format!("{endless} INSERT INTO o SELECT id FROM s; QUIT; SELECT 'never' AS w;"));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains("Stopping the jobs") && ran.out.contains("is SUSPENDED"), "{ran:?}");
    assert!(!ran.out.contains("| never |"), "{ran:?}");
}

#[test]
fn ctrl_c_ends_a_file() {
    let place = Place::new();
    place.write(
        "endless.sql",
        "CREATE TABLE u (v INT) WITH ('connector' = 'datagen', 'rows-per-second' = '5');
        SELECT v FROM u; SELECT 'never' AS w;",
    );
    let mut child = place.start(&["sql", "-f", "endless.sql"]);
    // The head of the table shows that the query runs.
    let mut out = std::io::BufReader::new(child.stdout.take().expect("a pipe"));
    let mut seen = String::new();
    while !seen.contains("| op |") {
        assert!(out.read_line(&mut seen).expect("a line") > 0, "it ends too early: {seen}");
    }
    signal(&child, "INT");
    out.read_to_string(&mut seen).expect("the rest");
    assert_eq!(child.wait().expect("an end").code(), Some(130), "{seen}");
    assert!(seen.contains("Query terminated") && !seen.contains("never"), "{seen}");
}

#[test]
fn jobs_are_waited_for_where_the_session_says_so() {
    let place = Place::new();
    let text = COUNTING.replace("6000", "100").replace("TABLE s ", "TABLE s0 ");
    let text = format!("{text} SET 'table.dml-sync' = 'true'; INSERT INTO o SELECT id FROM s0; SELECT 'next' AS word;");
    let ran = piped(&place, &[], &text);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let done = ran.out.find("[INFO] Complete execution of the SQL update statement.").expect("told");
    assert!(done < ran.out.find("| next |").expect("the next"), "{}", ran.out);
}

#[test]
fn a_job_that_fails_does_not_end_the_shell() {
    let place = Place::new();
    place.write("in/a.csv", "x\n");
    let text = "CREATE TABLE i (v INT) WITH ('connector' = 'filesystem', 'path' = 'in', 'format' = 'csv');
        CREATE TABLE p (v INT) WITH ('connector' = 'print');
        SET 'table.dml-sync' = 'true'; INSERT INTO p SELECT v FROM i; SELECT 'on' AS w;";
    let ran = piped(&place, &[], text);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("'x' is not a valid INT") && ran.out.contains("| on |"), "{ran:?}");
    let ran = piped(&place, &[], &text.replace("'true'", "'false'"));
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.err.contains("[ERROR] Job 'insert-into_default_catalog.default_database.")
            && ran.err.contains("is FAILED. Reason:\n'x'"),
        "{ran:?}"
    );
}

#[test]
fn a_job_that_was_stopped_goes_on_as_the_shell_says() {
    let place = Place::new();
    let mut child = place.command(&["sql"]).stdin(Stdio::piped()).spawn().expect("flott starts");
    let mut pipe = child.stdin.take().expect("a pipe");
    let text = format!("{COUNTING} SET 'pipeline.name' = 'count'; INSERT INTO o SELECT id FROM s;");
    pipe.write_all(text.as_bytes()).expect("written");
    drop(pipe);
    until("the first file", || !place.rows("o").is_empty());
    signal(&child, "INT");
    let stopped = ran(child.wait_with_output().expect("an end"));
    assert_eq!(stopped.code, Some(130), "{stopped:?}");
    assert!(stopped.out.contains("is SUSPENDED. It goes on where the same statement follows"), "{stopped:?}");
    let advice = stopped.out.split_once("follows: ").expect("advice").1.trim();
    let resumed = piped(&place, &[], &format!("{COUNTING} {advice} INSERT INTO o SELECT id FROM s;"));
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    assert!(resumed.out.contains("[INFO] Job 'count' goes on from checkpoint"), "{resumed:?}");
    let mut ids: Vec<u64> = place.rows("o").iter().map(|r| r.parse().expect("a number")).collect();
    ids.sort_unstable();
    assert_eq!(ids, (1..=6_000).collect::<Vec<_>>());
}

#[test]
fn a_job_that_starts_from_a_savepoint_says_so_in_the_shell_and_in_a_script() {
    let place = Place::new();
    let script = format!("{COUNTING} SET 'pipeline.name' = 'first'; INSERT INTO o SELECT id FROM s;");
    place.write("first.sql", &script);
    let child = place.start(&["run", "first.sql"]);
    until("the first file", || !place.rows("o").is_empty());
    let stopped = place.flott(&["stop", &child.id().to_string(), "--savepoint", "backup"]);
    assert_eq!(stopped.code, Some(0), "{stopped:?}");
    assert_eq!(ran(child.wait_with_output().expect("an end")).code, Some(0));
    let savepoint = stopped.out.trim();
    let said = |name: &str| format!("Job '{name}' goes on from savepoint {savepoint} (checkpoint ");
    let from = format!("SET 'execution.state-recovery.path' = '{savepoint}'; INSERT INTO o SELECT id FROM s;");
    let shell = piped(&place, &[], &format!("{COUNTING} SET 'pipeline.name' = 'second'; {from}"));
    assert_eq!(shell.code, Some(0), "{shell:?}");
    assert_eq!(shell.out.matches(&format!("[INFO] {}", said("second"))).count(), 1, "{shell:?}");
    place.write("third.sql", &script.replace("first", "third"));
    let run = place.flott(&["run", "third.sql", "--restore", savepoint]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(run.err.matches(&said("third")).count(), 1, "{run:?}");
}

/// Types into a terminal: a line of `typed` is a text to send (with `\\x03` and the like), `?text` to wait for,
/// `=pattern` to wait for and to put into later ones in place of `{}`, or `~seconds` of rest.
fn at_a_terminal(place: &Place, args: &[&str], typed: &[&str]) -> (String, i32) {
    const DRIVER: &str = r#"
import os, pty, re, select, sys, time
typed, command = sys.argv[1].split("\x1e"), sys.argv[2:]
pid, fd = pty.fork()
if pid == 0:
    os.environ["TERM"] = "xterm"
    os.execv(command[0], command)
seen, mark, found = b"", 0, ""
def read(seconds):
    global seen
    if not select.select([fd], [], [], seconds)[0]:
        return True
    try:
        data = os.read(fd, 65536)
    except OSError:
        return False
    seen += data
    return bool(data)
for step in typed:
    step = step.replace("{}", found)
    if step.startswith("="):
        end = time.time() + 20
        while not (match := re.search(step[1:].encode(), seen[mark:])):
            if time.time() > end or not read(0.2):
                sys.exit("waited in vain for %r in %r" % (step[1:], seen[mark:]))
        found, mark = match.group(1).decode(), mark + match.end()
    elif step.startswith("~"):
        end = time.time() + float(step[1:])
        while time.time() < end:
            read(0.1)
    elif step.startswith("?"):
        end = time.time() + 20
        while seen.find(step[1:].encode(), mark) < 0:
            if time.time() > end or not read(0.2):
                sys.exit("waited in vain for %r in %r" % (step[1:], seen[mark:]))
        mark = seen.find(step[1:].encode(), mark) + len(step[1:])
    else:
        os.write(fd, step.encode().decode("unicode_escape").encode())
while read(5):
    pass
_, status = os.waitpid(pid, 0)
os.write(1, seen)
sys.exit(os.waitstatus_to_exitcode(status))
"#;
    let driven = Command::new("python3")
        .args(["-c", DRIVER, &typed.join("\x1e"), env!("CARGO_BIN_EXE_flott"), "sql"])
        .args(args)
        .current_dir(place.path())
        .output()
        .expect("python3");
    let ran = ran(driven);
    (format!("{}{}", ran.out, ran.err), ran.code.unwrap_or(-1))
}

#[test]
fn a_terminal_edits_completes_cancels_and_remembers() {
    let place = Place::new();
    let (screen, code) = at_a_terminal(
        &place,
        &["--history", "h"],
        &[
            "?Flott SQL> ",
            // Two lines.
            "SELECT 'first' AS\\r",
            "word;\\r",
            "?| first |",
            "?Flott SQL> ",
            // An error, and on.
            "SELECT nope;\\r",
            "?[ERROR]",
            "?Flott SQL> ",
            // Ctrl-C leaves a line that is begun.
            "SELECT 'never' \\x03",
            "?Flott SQL> ",
            "CREATE TABLE orders (id BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '20');\\r",
            "?succeeded",
            "?Flott SQL> ",
            // Completed: the table.
            "SELECT * FROM ord\\t;\\r",
            "?| +I |",
            "\\x03",
            "?Query terminated, received a total of",
            "?Flott SQL> ",
            "SET 's3.secret-key' = 'canary';\\r",
            "?succeeded",
            "?Flott SQL> ",
            // Up: what was typed before; the secret is not.
            "\\x1b[A",
            "?SELECT * FROM orders",
            "\\x03",
            "?Flott SQL> ",
            "QUIT;\\r",
            "?Exiting",
        ],
    );
    assert_eq!(code, 0, "{screen}");
    assert!(!screen.contains("never'\r\n|"), "{screen}");
    let history = place.path().join("h");
    let text = std::fs::read_to_string(&history).expect("a history");
    assert!(text.contains("SELECT * FROM orders") && !text.contains("canary"), "{text}");
    assert_eq!(std::fs::metadata(&history).expect("a file").permissions().mode() & 0o777, 0o600);
    // Another shell knows them.
    let (screen, code) = at_a_terminal(
        &place,
        &["--history", "h"],
        &["?Flott SQL> ", "\\x1b[A", "?QUIT;", "\\x03", "?Flott SQL> ", "\\x04"],
    );
    assert_eq!(code, 0, "Ctrl-D ends it: {screen}");
}

#[test]
fn a_job_is_stopped_with_a_savepoint() {
    let place = Place::new();
    let tables = COUNTING.replace('\n', " ").replace("6000", "1000000");
    let define = format!("{tables} SET 'execution.checkpointing.savepoint-dir' = 'sp';\\r");
    let (screen, code) = at_a_terminal(
        &place,
        &["--history", "h"],
        &[
            "?Flott SQL> ",
            &define,
            "?succeeded",
            "?succeeded",
            "?succeeded",
            "?succeeded",
            "?Flott SQL> ",
            "INSERT INTO o SELECT id FROM s;\\r",
            "=Job ID: ([0-9a-f]{32})",
            "?Flott SQL> ",
            "STOP JOB '{}' WITH SAVEPOINT;\\r",
            "?savepoint path",
            "?sp/savepoint-",
            "?is SUSPENDED",
            "?Flott SQL> ",
            "SHOW JOBS;\\r",
            "?SUSPENDED",
            "?Flott SQL> ",
            "quit\\r",
        ],
    );
    assert_eq!(code, 0, "{screen}");
    assert!(place.path().join("sp").exists(), "{screen}");
}

#[test]
fn leaving_a_terminal_stops_its_jobs_with_a_last_checkpoint() {
    let place = Place::new();
    let tables = COUNTING.replace('\n', " ").replace("6000", "1000000");
    let define = format!("{tables}\\r");
    let (screen, code) = at_a_terminal(
        &place,
        &["--history", "h"],
        &[
            "?Flott SQL> ",
            &define,
            "?succeeded",
            "?succeeded",
            "?succeeded",
            "?Flott SQL> ",
            "INSERT INTO o SELECT id FROM s;\\r",
            "?Job ID:",
            "?Flott SQL> ",
            "\\x04",
            "?is SUSPENDED",
        ],
    );
    assert_eq!(code, 0, "{screen}");
}

/// Numbered statements of a text that is pasted without being marked as pasted.
fn numbered(count: usize, line_break: &str) -> String {
    (0..count).map(|i| format!("SELECT{line_break}'number ' || '{i}';\\r")).collect()
}

fn numbers_on(screen: &str, count: usize) -> Vec<usize> {
    (0..count).filter(|i| screen.contains(&format!("| number {i} |"))).collect()
}

#[test]
fn raw_pasted_text_loses_no_statement() {
    let place = Place::new();
    // More than an editor reads at once.
    let (at_once, ahead) = (numbered(80, " "), numbered(80, "\\r\\t"));
    let (screen, code) =
        at_a_terminal(&place, &["--history", "h"], &["?Flott SQL> ", &at_once, "?| number 79 |", "QUIT;\\r"]);
    assert_eq!((numbers_on(&screen, 80), code), ((0..80).collect(), 0), "{screen}");
    // While a statement runs.
    let table = "CREATE TABLE s (id BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '500', \
                 'number-of-rows' = '1000');\\r";
    let typed =
        ["?Flott SQL> ", table, "?succeeded", "SELECT 'runs', MAX(1) FROM s;\\r", "~0.5", &ahead, "?| number 79 |"];
    let (screen, code) = at_a_terminal(&place, &["--history", "h"], &[&typed[..], &["QUIT;\\r"]].concat());
    assert_eq!((numbers_on(&screen, 80), code), ((0..80).collect(), 0), "{screen}");
}

#[test]
fn what_is_logged_does_not_tear_the_line_that_is_typed() {
    let place = Place::new();
    let (screen, code) = at_a_terminal(
        &place,
        &["--history", "h", "--log-level", "debug"],
        &[
            "?Flott SQL> ",
            "SET 'execution.checkpointing.interval' = '100 ms';\\r",
            "?succeeded",
            "CREATE TABLE s (v INT) WITH ('connector' = 'datagen', 'rows-per-second' = '5', 'number-of-rows' = '500');\\r",
            "?succeeded",
            "CREATE TABLE b (v INT) WITH ('connector' = 'blackhole');\\r",
            "?succeeded",
            "INSERT INTO b SELECT v FROM s;\\r",
            "?Job ID",
            "?Flott SQL> ",
            "SELECT 'ty",
            "~2",
            "ped';\\r",
            "? typed |",
            "QUIT;\\r",
        ],
    );
    let (_, typed) = screen.split_once("SELECT 'ty").expect("typed");
    let (meanwhile, after) = typed.split_once("ped'").expect("typed");
    assert!(!meanwhile.contains("checkpoint"), "{screen}");
    // Whole lines of what has waited, before the statement's own.
    let (waited, _) = after.split_once("| EXPR$0 |").expect("a table");
    let lines = waited.lines().filter(|line| line.starts_with("[DEBUG] checkpoint committed")).count();
    assert!(lines > 1, "{screen}");
    assert_eq!(code, 0, "{screen}");
}
