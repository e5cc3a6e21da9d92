//! Jobs in two processes: equal results, and what happens when one of them is killed, stopped or no process of the job.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use flott_core::clock::SystemClock;

use crate::support::{Place, ran, rest, signal, until};

/// Whichever file is read first, no row is late.
const WINDOWS: &str = "\
    CREATE TABLE s (k INT, v BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '1' HOUR)
      WITH ('connector' = 'filesystem', 'path' = 'in', 'format' = 'csv');
    CREATE TABLE o (k INT, w TIMESTAMP(3), n BIGINT, total BIGINT)
      WITH ('connector' = 'filesystem', 'path' = 'o', 'format' = 'csv');
    INSERT INTO o SELECT k, window_start, COUNT(*), SUM(v)
      FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY k, window_start, window_end;";

/// Counts from 1 to 6000 in some seconds. Every window and every row is in the outputs once, whatever happens.
const COUNTING: &str = "\
    CREATE TABLE s (id BIGINT, ts AS TO_TIMESTAMP_LTZ(id * 10, 3), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND)
      WITH ('connector' = 'datagen', 'rows-per-second' = '2000',
      'fields.id.kind' = 'sequence', 'fields.id.start' = '1', 'fields.id.end' = '6000');
    CREATE TABLE o (id BIGINT) WITH ('connector' = 'filesystem', 'path' = 'o', 'format' = 'csv');
    CREATE TABLE c (k BIGINT, n BIGINT, total BIGINT) WITH ('connector' = 'filesystem', 'path' = 'c', 'format' = 'csv');
    SET 'execution.checkpointing.interval' = '150 ms';
    SET 'restart-strategy.type' = 'fixed-delay';
    SET 'restart-strategy.fixed-delay.attempts' = '100';
    SET 'restart-strategy.fixed-delay.delay' = '20 ms';
    SET 'heartbeat.interval' = '100 ms';
    SET 'heartbeat.timeout' = '1500 ms';
    EXECUTE STATEMENT SET BEGIN
      INSERT INTO o SELECT id FROM s;
      INSERT INTO c SELECT k, COUNT(*), SUM(id)
        FROM TABLE(TUMBLE((SELECT id, MOD(id, 10) AS k, ts FROM s), DESCRIPTOR(ts), INTERVAL '5' SECOND))
        GROUP BY k, window_start, window_end;
    END;";
const ROWS: u64 = 6_000;

const TWO: [&str; 4] = ["run", "job.sql", "--processes", "2"];

fn input(place: &Place) {
    for file in 0..6 {
        let row = |i: usize| {
            let (n, second) = (file * 500 + i, file * 20 + i / 10);
            format!("{},{n},2024-01-01 00:{:02}:{:02}\n", n % 17, second / 60, second % 60)
        };
        place.write(&format!("in/{file}.csv"), &(0..500).map(row).collect::<String>());
    }
}

/// Processes that this one has started and that live, by their parent's number.
fn children(of: u32) -> Vec<u32> {
    let mut found = vec![];
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        if let Some((state, parent)) = state_of(pid)
            && (state != 'Z' && parent == of)
        {
            found.push(pid);
        }
    }
    found
}

fn state_of(pid: u32) -> Option<(char, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.next()?.parse().ok()?))
}

fn is_alive(pid: u32) -> bool {
    state_of(pid).is_some_and(|(state, _)| !matches!(state, 'Z' | 'X'))
}

fn send(name: &str, pid: u32) {
    let sent = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().expect("kill");
    assert!(sent.success(), "{name} to {pid}");
}

/// The worker process of a run.
fn worker_of(child: &Child) -> u32 {
    until("the worker process", || children(child.id()).len() == 1);
    children(child.id())[0]
}

/// Every number and every count is there exactly once.
fn assert_exact(place: &Place) {
    let mut ids: Vec<u64> = place.rows("o").iter().map(|r| r.parse().expect("a number")).collect();
    ids.sort_unstable();
    assert_eq!(ids.len() as u64, ROWS);
    assert_eq!(ids, (1..=ROWS).collect::<Vec<_>>());
    let (mut n, mut total) = (0, 0);
    for row in place.rows("c") {
        let fields: Vec<u64> = row.split(',').map(|f| f.parse().expect("a number")).collect();
        (n, total) = (n + fields[1], total + fields[2]);
    }
    assert_eq!((n, total), (ROWS, ROWS * (ROWS + 1) / 2));
}

#[test]
fn two_processes_give_what_one_gives() {
    let place = Place::new();
    input(&place);
    place.write("job.sql", WINDOWS);
    let one = place.flott(&["run", "job.sql", "-p", "2"]);
    assert_eq!(one.code, Some(0), "{one:?}");
    let expected = place.rows("o");
    assert!(expected.len() > 100);
    for threads in ["1", "2", "3", "4"] {
        std::fs::remove_dir_all(place.path().join("o")).expect("removed");
        let args = [&TWO[..], &["-p", threads, "--fresh", "--summary", "summary.json"]].concat();
        let two = place.flott(&args);
        assert_eq!(two.code, Some(0), "{two:?}");
        assert_eq!(place.rows("o"), expected, "{threads} threads in each");
        // What the other process has read and written counts too.
        let summary = std::fs::read_to_string(place.path().join("summary.json")).expect("a summary");
        assert!(summary.contains("\"rows_in\": 3000"), "{summary}");
        assert!(summary.contains(&format!("\"rows_out\": {}", expected.len())), "{summary}");
    }
}

#[test]
fn a_query_shows_its_result_and_three_processes_work() {
    let place = Place::new();
    input(&place);
    let select = WINDOWS.split("INSERT").next().expect("DDL").to_string()
        + "SELECT COUNT(*) AS n, SUM(v) AS total FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '1' HOUR))
           GROUP BY window_start, window_end;
           CREATE TABLE copy WITH ('connector' = 'filesystem', 'path' = 'copy', 'format' = 'csv') AS SELECT k FROM s;";
    place.write("job.sql", &select);
    let ran = place.flott(&["run", "job.sql", "--processes", "3", "-p", "1"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains("3000") && ran.out.contains(&(2_999 * 3_000 / 2).to_string()), "{ran:?}");
    assert_eq!(place.rows("copy").len(), 3_000);
}

/// The other process has the module from the job, and not from its file.
#[test]
fn functions_in_webassembly_run_in_both_processes() {
    let place = Place::new();
    input(&place);
    let parts = [
        "(module ",
        include_str!("../../../flott-wasm/tests/wat/allocator.wat"),
        include_str!("../../../flott-wasm/tests/wat/twice.wat"),
        ")",
    ];
    std::fs::write(place.path().join("twice.wasm"), wat::parse_str(parts.concat()).expect("a module"))
        .expect("written");
    let script = WINDOWS.replace("SUM(v)", "SUM(twice(CAST(v AS INT)) - v)").replace(
        "INSERT",
        "CREATE FUNCTION twice(a INT) RETURNS INT LANGUAGE WASM AS 'twice' USING ARTIFACT 'twice.wasm';
         INSERT",
    );
    place.write("job.sql", WINDOWS);
    let plain = place.flott(&["run", "job.sql", "-p", "2"]);
    assert_eq!(plain.code, Some(0), "{plain:?}");
    let expected = place.rows("o");
    assert!(expected.len() > 100);
    std::fs::remove_dir_all(place.path().join("o")).expect("removed");
    place.write("job.sql", &script);
    let two = place.flott(&[&TWO[..], &["-p", "2", "--fresh"]].concat());
    assert_eq!(two.code, Some(0), "{two:?}");
    assert_eq!(place.rows("o"), expected);
}

#[test]
fn an_error_of_either_process_is_shown_as_it_is() {
    let place = Place::new();
    (0..4)
        .for_each(|i| drop(place.write(&format!("in/{i}.csv"), "1,2,2024-01-01 00:00:00\nx,2,2024-01-01 00:00:00\n")));
    place.write("job.sql", WINDOWS);
    let ran = place.flott(&[&TWO[..], &["-p", "1"]].concat());
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains(".csv") && ran.err.contains("row 2") && ran.err.contains("column k"), "{ran:?}");
    assert!(!ran.err.contains("panicked"), "{ran:?}");
    assert_eq!(place.rows("o"), [""; 0]);
}

#[test]
fn a_killed_worker_is_replaced() {
    let place = Place::new();
    place.write("job.sql", COUNTING);
    let child = place.start(&[&TWO[..], &["-p", "2", "--summary", "summary.json"]].concat());
    let mut killed = vec![];
    // Before anything runs, and later.
    for ms in [0, 350, 620] {
        until("the next worker", || children(child.id()).iter().any(|pid| !killed.contains(pid)));
        rest(ms);
        let pid = worker_of(&child);
        send("KILL", pid);
        killed.push(pid);
    }
    let id = child.id();
    let ran = ran(child.wait_with_output().expect("an end"));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!ran.err.contains("panicked"), "{ran:?}");
    assert_exact(&place);
    assert_eq!(children(id), [0; 0]);
    // Rows that were read and written again are counted once.
    let summary = std::fs::read_to_string(place.path().join("summary.json")).expect("a summary");
    let out = ROWS as usize + place.rows("c").len();
    assert!(summary.contains(&format!("\"rows_in\": {ROWS},")), "{summary}");
    assert!(summary.contains(&format!("\"rows_out\": {out},")), "{summary}");
    assert!(ran.err.contains(&format!("finished: {ROWS} rows in, {out} rows out")), "{ran:?}");
}

#[test]
fn no_worker_survives_its_coordinator_and_a_restore_goes_on() {
    let place = Place::new();
    place.write("job.sql", COUNTING);
    for ms in [40, 700] {
        let mut child = place.start(&[&TWO[..], &["-p", "2", "--restore", "latest"]].concat());
        let worker = worker_of(&child);
        until("a file", || !place.rows("o").is_empty());
        rest(ms);
        child.kill().expect("killed");
        child.wait().expect("dead");
        until("the end of the worker", || !is_alive(worker));
    }
    // With other threads, in two processes and then in one.
    let child = place.start(&[&TWO[..], &["-p", "1", "--restore", "latest"]].concat());
    worker_of(&child);
    rest(300);
    signal(&child, "INT");
    let stopped = ran(child.wait_with_output().expect("an end"));
    assert!(matches!(stopped.code, Some(130 | 0)), "{stopped:?}");
    let last = place.flott(&["run", "job.sql", "-p", "3", "--restore", "latest"]);
    assert_eq!(last.code, Some(0), "{last:?}");
    assert_exact(&place);
}

#[test]
fn a_stopped_worker_is_killed_at_once_and_replaced() {
    let place = Place::new();
    place.write("job.sql", COUNTING);
    let child = place.start(&[&TWO[..], &["-p", "2"]].concat());
    let stopped = worker_of(&child);
    until("a file", || !place.rows("o").is_empty());
    send("STOP", stopped);
    until("its successor", || children(child.id()).iter().any(|pid| *pid != stopped));
    // Nobody wakes it: its end is the coordinator's doing.
    until("its end", || !is_alive(stopped));
    assert!(is_alive(child.id()), "the job runs on: it does not take its end");
    let ran = ran(child.wait_with_output().expect("an end"));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_exact(&place);
    assert!(!place.path().join("o/.flott-staging").exists(), "what it had staged is left");
}

#[test]
fn a_worker_that_stays_stopped_ends_with_the_job() {
    let place = Place::new();
    place.write("job.sql", COUNTING);
    let child = place.start(&[&TWO[..], &["-p", "1"]].concat());
    let stopped = worker_of(&child);
    until("a file", || !place.rows("o").is_empty());
    send("STOP", stopped);
    let ran = ran(child.wait_with_output().expect("an end"));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!is_alive(stopped));
    assert_exact(&place);
}

/// The worker has a keep-alive of its own: it waits no longer for a coordinator that is stopped than that one for it. Whoever
/// wakes it finds the worker gone, and the output is as if nothing had been.
#[test]
fn a_worker_of_a_stopped_coordinator_ends_and_is_replaced_when_that_goes_on() {
    let place = Place::new();
    place.write("job.sql", COUNTING);
    let child = place.start(&[&TWO[..], &["-p", "2"]].concat());
    let first = worker_of(&child);
    until("a file", || !place.rows("o").is_empty());
    send("STOP", child.id());
    until("the end of its worker", || !is_alive(first));
    let shown = place.rows("o").len();
    rest(200);
    assert_eq!(place.rows("o").len(), shown, "nobody commits meanwhile");
    send("CONT", child.id());
    until("the next worker", || children(child.id()).iter().any(|pid| *pid != first));
    // For less than the time-out, which nobody minds.
    let second = worker_of(&child);
    send("STOP", child.id());
    rest(300);
    send("CONT", child.id());
    rest(300);
    assert!(is_alive(second), "it was given up before its time");
    let ran = ran(child.wait_with_output().expect("an end"));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!ran.err.contains("panicked"), "{ran:?}");
    assert_exact(&place);
    assert!(!place.path().join("o/.flott-staging").exists(), "what the first had staged is left");
}

#[test]
fn ctrl_c_in_a_terminal_reaches_both_and_stops_with_a_checkpoint() {
    let place = Place::new();
    place.write("job.sql", COUNTING);
    let mut command = place.command(&[&TWO[..], &["-p", "2"]].concat());
    let child = command.process_group(0).spawn().expect("flott starts");
    let worker = worker_of(&child);
    until("a file", || !place.rows("o").is_empty());
    let group = format!("-{}", child.id());
    assert!(Command::new("kill").args(["-INT", "--", &group]).status().expect("kill").success());
    let stopped = ran(child.wait_with_output().expect("an end"));
    assert_eq!(stopped.code, Some(130), "{stopped:?}");
    assert!(stopped.err.contains("Go on with") && !stopped.err.contains("restart"), "{stopped:?}");
    assert!(!is_alive(worker));
    let resumed = place.flott(&[&TWO[..], &["-p", "2", "--restore", "latest"]].concat());
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    assert_exact(&place);
}

/// As with one process. The worker would be given up after the time-out otherwise, long after whoever waits has lost patience.
#[test]
fn a_second_ctrl_c_does_not_wait_for_a_stopped_worker() {
    let place = Place::new();
    place.write("job.sql", &COUNTING.replace("'1500 ms'", "'60 s'"));
    let child = place.start(&[&TWO[..], &["-p", "2"]].concat());
    let worker = worker_of(&child);
    until("a file", || !place.rows("o").is_empty());
    send("STOP", worker);
    send("INT", child.id());
    rest(300);
    assert!(is_alive(child.id()), "the first one waits for a last checkpoint");
    send("INT", child.id());
    let clock = SystemClock::shared();
    let started = clock.monotonic();
    let ran = ran(child.wait_with_output().expect("an end"));
    let took = clock.monotonic() - started;
    assert_eq!(ran.code, Some(130), "{ran:?}");
    assert!(ran.err.contains("Stopping now."), "{ran:?}");
    assert!(took < std::time::Duration::from_secs(8), "{took:?} after the second one: {ran:?}");
    assert!(!is_alive(worker), "it is left behind");
}

#[test]
fn a_job_without_checkpoints_says_which_process_it_has_lost() {
    let place = Place::new();
    place.write(
        "job.sql",
        "CREATE TABLE s (id BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '1000', 'number-of-rows' = '9000');
         CREATE TABLE o (id BIGINT) WITH ('connector' = 'blackhole');
         INSERT INTO o SELECT id FROM s;",
    );
    let child = place.start(&[&TWO[..], &["-p", "1"]].concat());
    let worker = worker_of(&child);
    rest(500);
    send("KILL", worker);
    let ran = ran(child.wait_with_output().expect("an end"));
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("process 1"), "{ran:?}");
}
