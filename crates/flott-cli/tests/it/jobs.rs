//! Several jobs of one script; stops and resumptions.

use crate::support::{Place, ran, rest, signal, until};

const COUNTING: &str = "\
    CREATE TABLE s (id BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '2000',
      'fields.id.kind' = 'sequence', 'fields.id.start' = '1', 'fields.id.end' = '6000');
    CREATE TABLE o (id BIGINT) WITH ('connector' = 'filesystem', 'path' = 'o', 'format' = 'csv');
    SET 'execution.checkpointing.interval' = '200 ms';
    INSERT INTO o SELECT id FROM s;";

fn files(name: &str) -> String {
    format!("CREATE TABLE {name} (v INT) WITH ('connector' = 'filesystem', 'path' = '{name}', 'format' = 'csv');\n")
}

#[test]
fn jobs_of_one_name_do_not_take_each_other_over() {
    let place = Place::new();
    let script = files("a")
        + &files("b")
        + "SET 'pipeline.name' = 'same';
        INSERT INTO a VALUES (1), (2); INSERT INTO b VALUES (3), (4);";
    let first = place.run(&script);
    assert_eq!(first.code, Some(0), "{first:?}");
    assert_eq!((place.rows("a"), place.rows("b")), (vec!["1".into(), "2".into()], vec!["3".into(), "4".into()]));
    let again = place.flott(&["run", "job.sql", "--restore", "latest"]);
    assert!(again.err.contains("'same' had finished") && again.err.contains("'same-2' had finished"), "{again:?}");
}

#[test]
fn an_error_of_a_later_statement_leaves_earlier_jobs_alone() {
    let place = Place::new();
    // What can be planned, and finds nothing to read.
    let ran = place.run(
        &(files("a") + &files("gone") + "INSERT INTO a VALUES (1);\nSELECT * FROM gone;\nINSERT INTO a VALUES (2);"),
    );
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("gone") && ran.err.contains("does not exist"), "{ran:?}");
    assert_eq!(place.rows("a"), ["1"]);
}

#[test]
fn a_job_that_fails_does_not_end_the_others() {
    let place = Place::new();
    place.write("in/rows.csv", "1\nx\n");
    let script =
        files("in") + &files("a") + &files("b") + "INSERT INTO a SELECT v FROM `in`; INSERT INTO b VALUES (5);";
    let ran = place.run(&script);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!((place.rows("a"), place.rows("b")), (vec![], vec!["5".to_string()]));
}

#[test]
fn dml_sync_makes_statements_wait() {
    let place = Place::new();
    let script = files("a")
        + &files("b")
        + "SET 'table.dml-sync' = 'true';
        INSERT INTO a VALUES (1), (2); INSERT INTO b SELECT v * 10 FROM a;";
    let ran = place.run(&script);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(place.rows("b"), ["10", "20"]);
}

/// A stop takes a last checkpoint; the next run goes on from there, with other parallelism.
fn stop_and_go_on(word: &str) {
    let place = Place::new();
    place.write("job.sql", COUNTING);
    let child = place.start(&["run", "job.sql", "-p", "2"]);
    until("the first file", || !place.rows("o").is_empty());
    signal(&child, word);
    let stopped = ran(child.wait_with_output().expect("an end"));
    assert_eq!(stopped.code, Some(130), "{stopped:?}");
    assert!(stopped.err.contains("Go on with: flott run job.sql --restore latest"), "{stopped:?}");
    let before = place.rows("o").len();
    assert!(before < 6_000, "it was stopped too late to show anything");

    let asked = place.flott(&["run", "job.sql"]);
    assert_eq!(asked.code, Some(2), "{asked:?}");
    assert!(asked.err.contains("--restore latest") && asked.err.contains("--fresh"), "{asked:?}");
    assert_eq!(place.rows("o").len(), before);

    let resumed = place.flott(&["run", "job.sql", "-p", "3", "--restore", "latest"]);
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    assert!(resumed.err.contains("goes on from checkpoint"), "{resumed:?}");
    let mut ids: Vec<u64> = place.rows("o").iter().map(|r| r.parse().expect("a number")).collect();
    ids.sort_unstable();
    assert_eq!(ids, (1..=6_000).collect::<Vec<_>>());
}

/// A sink that shows rows at once shows none behind the barrier of the last checkpoint.
#[test]
fn what_was_printed_before_a_stop_is_not_printed_again() {
    let place = Place::new();
    place.write(
        "job.sql",
        "CREATE TABLE s (id BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '50000',
          'fields.id.kind' = 'sequence', 'fields.id.start' = '1', 'fields.id.end' = '100000');
        CREATE TABLE o (id BIGINT) WITH ('connector' = 'print');
        SET 'execution.checkpointing.interval' = '100 ms';
        INSERT INTO o SELECT id FROM s;",
    );
    let child = place.start(&["run", "job.sql", "-p", "2"]);
    // Several checkpoints are through by then.
    rest(800);
    signal(&child, "INT");
    let stopped = ran(child.wait_with_output().expect("an end"));
    assert_eq!(stopped.code, Some(130), "{}", stopped.err);
    let resumed = place.flott(&["run", "job.sql", "-p", "3", "--restore", "latest"]);
    assert_eq!(resumed.code, Some(0), "{}", resumed.err);
    let number = |line: &str| line.split_once("+I[").map(|(_, row)| row.trim_end_matches(']').parse::<u64>());
    let mut ids: Vec<u64> = vec![];
    for out in [&stopped.out, &resumed.out] {
        let before = ids.len();
        ids.extend(out.lines().filter_map(number).map(|n| n.expect("a number")));
        assert!(ids.len() > before, "each run prints some rows");
    }
    ids.sort_unstable();
    assert_eq!(ids, (1..=100_000).collect::<Vec<_>>());
}

#[test]
fn ctrl_c_takes_a_last_checkpoint() {
    stop_and_go_on("INT");
}

#[test]
fn a_service_manager_s_end_takes_a_last_checkpoint() {
    stop_and_go_on("TERM");
}

#[test]
fn a_checkpoint_that_is_named_in_the_script_is_restored() {
    let place = stopped(COUNTING);
    place.write("job.sql", &format!("SET 'execution.state-recovery.path' = '.flott/job';\n{COUNTING}"));
    let resumed = place.flott(&["run", "job.sql"]);
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    assert_eq!(place.rows("o").len(), 6_000);
}

/// A job that has written to `o` and was stopped.
fn stopped(script: &str) -> Place {
    let place = Place::new();
    place.write("job.sql", script);
    let child = place.start(&["run", "job.sql"]);
    until("the first file", || !place.rows("o").is_empty());
    signal(&child, "INT");
    assert_eq!(child.wait_with_output().expect("an end").status.code(), Some(130));
    place
}

/// Stops a job that writes to `o`, then runs another script in its place.
fn edited(script: &str, args: &[&str]) -> (Place, crate::support::Ran) {
    let place = stopped(COUNTING);
    place.write("job.sql", script);
    let ran = place.flott(&[&["run", "job.sql", "--restore", "latest"], args].concat());
    (place, ran)
}

#[test]
fn an_output_that_is_gone_is_not_dropped_in_silence() {
    let other = COUNTING.replace("TABLE o ", "TABLE p ").replace("'o'", "'p'").replace("INTO o", "INTO p");
    let (place, ran) = edited(&other, &[]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.err.contains("--allow-non-restored-state") && ran.err.contains("default_database.o "), "{ran:?}");
    let back = COUNTING.replace("6000", "6000 ");
    place.write("job.sql", &back);
    let resumed = place.flott(&["run", "job.sql", "--restore", "latest"]);
    assert_eq!(resumed.code, Some(0), "the refusal took nothing over: {resumed:?}");
    assert_eq!(place.rows("o").len(), 6_000);
}

#[test]
fn an_output_that_is_gone_is_dropped_on_demand() {
    let other = COUNTING.replace("TABLE o ", "TABLE p ").replace("'o'", "'p'").replace("INTO o", "INTO p");
    let (place, ran) = edited(&other, &["--allow-non-restored-state"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(place.rows("o").len() + place.rows("p").len(), 6_000);
}

/// Windows of rows whose time is their number in ms.
const WINDOWS: &str = "\
    CREATE TABLE s (id BIGINT, ts AS TO_TIMESTAMP_LTZ(id, 3), WATERMARK FOR ts AS ts) WITH ('connector' = 'datagen',
      'rows-per-second' = '2000', 'fields.id.kind' = 'sequence', 'fields.id.start' = '0', 'fields.id.end' = '5999');
    CREATE TABLE o (n BIGINT) WITH ('connector' = 'filesystem', 'path' = 'o', 'format' = 'csv');
    SET 'execution.checkpointing.interval' = '200 ms';
    INSERT INTO o SELECT COUNT(*) FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '1' SECOND))
      GROUP BY window_start, window_end;";

#[test]
fn state_that_another_query_does_not_take_is_dropped_on_demand_only() {
    let place = stopped(WINDOWS);
    let tumbling = "TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '1' SECOND)";
    let hopping = "HOP(TABLE s, DESCRIPTOR(ts), INTERVAL '1' SECOND, INTERVAL '2' SECOND)";
    assert!(WINDOWS.contains(tumbling));
    place.write("job.sql", &WINDOWS.replace(tumbling, hopping));
    let refused = place.flott(&["run", "job.sql", "--restore", "latest"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    for part in ["holds state of operators that the job no longer has", "window", "--allow-non-restored-state"] {
        assert!(refused.err.contains(part), "{part}: {refused:?}");
    }
    let allowed = place.flott(&["run", "job.sql", "--restore", "latest", "--allow-non-restored-state"]);
    assert_eq!(allowed.code, Some(0), "{allowed:?}");
    assert_eq!(allowed.err.matches("state is dropped, as allowed").count(), 1, "{allowed:?}");
}

#[test]
fn key_groups_of_a_checkpoint_stay_as_they_are() {
    let (_, ran) = edited(&format!("SET 'pipeline.max-parallelism' = '64';\n{COUNTING}"), &[]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.err.contains("key groups, the job has 64") && ran.err.contains("pipeline.max-parallelism"), "{ran:?}");
}

/// Nobody reads what the job prints, so that it cannot take a last checkpoint.
#[test]
fn a_second_ctrl_c_ends_at_once() {
    let place = Place::new();
    let script = "CREATE TABLE s (id BIGINT, t STRING) WITH ('connector' = 'datagen', 'rows-per-second' = '1000000');
        CREATE TABLE o (id BIGINT, t STRING) WITH ('connector' = 'print');
        SET 'execution.checkpointing.interval' = '10 min';
        INSERT INTO o SELECT * FROM s;";
    place.write("job.sql", script);
    let mut child = place.start(&["run", "job.sql"]);
    // A pipe takes 64 KiB.
    let mut out = child.stdout.take().expect("a pipe");
    let mut some = [0; 100];
    std::io::Read::read_exact(&mut out, &mut some).expect("output");
    rest(500);
    signal(&child, "INT");
    rest(500);
    assert_eq!(child.try_wait().expect("a child"), None, "the output is blocked: nothing ends by itself");
    signal(&child, "INT");
    for _ in 0..40 {
        if child.try_wait().expect("a child").is_some() {
            break;
        }
        rest(50);
    }
    let status = child.try_wait().expect("a child").map(|s| s.code());
    drop(child.kill());
    assert_eq!(status, Some(Some(130)));
}

#[test]
fn a_filter_before_the_output_keeps_the_position() {
    let (place, ran) = edited(&COUNTING.replace("FROM s", "FROM s WHERE id > 0"), &[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(place.rows("o").len(), 6_000);
}

#[test]
fn no_secret_is_stored_with_the_checkpoints() {
    let place = Place::new();
    let script = files("a")
        + "SET 's3.secret-key' = 'canary-set';
        INSERT INTO a /* was: OPTIONS('some.password' = 'canary-statement') */ VALUES (1);";
    let ran = place.run(&script);
    let grep = std::process::Command::new("grep").args(["-r", "canary-", ".flott"]).current_dir(place.path()).output();
    let found = String::from_utf8_lossy(&grep.expect("grep").stdout).into_owned();
    assert!(place.path().join(".flott").exists(), "nothing is stored: {ran:?}");
    assert_eq!(found, "", "{ran:?}");
    assert!(!ran.err.contains("canary") && !ran.out.contains("canary"), "{ran:?}");
}

#[test]
fn explaining_a_script_runs_nothing() {
    let place = Place::new();
    let script = files("a")
        + "CREATE TABLE c WITH ('connector' = 'filesystem', 'path' = 'c', 'format' = 'csv') AS SELECT 1 AS v;
        INSERT INTO a SELECT v FROM c;";
    place.write("job.sql", &script);
    let ran = place.flott(&["explain", "job.sql"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains("default_database.c]"), "{ran:?}");
    let left: Vec<_> = std::fs::read_dir(place.path()).expect("a folder").flatten().map(|f| f.file_name()).collect();
    assert_eq!(left, ["job.sql"]);
}

#[test]
fn a_fresh_start_removes_what_a_killed_run_left_behind() {
    let place = Place::new();
    // No checkpoint is decided: the rows lie in hidden files only.
    place.write("job.sql", &COUNTING.replace("200 ms", "1 h"));
    let mut child = place.start(&["run", "job.sql"]);
    until("a hidden file", || place.path().join("o/.flott-staging").exists());
    rest(300);
    child.kill().expect("killed");
    child.wait().expect("dead");
    let fresh = place.flott(&["run", "job.sql", "--fresh"]);
    assert_eq!(fresh.code, Some(0), "{fresh:?}");
    assert_eq!(place.rows("o").len(), 6_000);
    assert!(!place.path().join("o/.flott-staging").exists(), "hidden files are left");
}

#[test]
fn staged_output_that_somebody_removed_is_given_up_on_demand_and_nothing_else() {
    let place = Place::new();
    place.write("job.sql", COUNTING);
    let reached = place.path().join("reached");
    let mut command = place.command(&["run", "job.sql", "-p", "1"]);
    command.env("FLOTT_FAILPOINT", "after_decided_before_commit:3").env("FLOTT_FAILPOINT_REPORT", &reached);
    let mut child = command.spawn().expect("flott starts");
    until("a decision", || reached.exists());
    child.kill().expect("killed");
    child.wait().expect("dead");
    std::fs::remove_dir_all(place.path().join("o/.flott-staging")).expect("removed");

    let ran = place.flott(&["run", "job.sql", "-p", "1", "--restore", "latest", "--allow-lost-output"]);
    assert_eq!(ran.code, Some(1), "nobody has heard of it yet: {ran:?}");
    assert!(ran.err.contains("is gone, and the file itself is not there"), "{ran:?}");
    assert!(ran.err.contains("--restore latest --allow-lost-output"), "{ran:?}");
    let ran = place.flott(&["run", "job.sql", "-p", "1", "--restore", "latest"]);
    assert_eq!(ran.code, Some(1), "not in silence: {ran:?}");
    let ran = place.flott(&["run", "job.sql", "-p", "1", "--restore", "latest", "--allow-lost-output"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.err.contains("rows are missing in the output"), "{ran:?}");
    let mut ids: Vec<u32> = place.rows("o").iter().map(|id| id.parse().expect("a number")).collect();
    ids.sort_unstable();
    assert_eq!((ids[0], ids[ids.len() - 1]), (1, 6_000));
    let gaps = ids.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
    assert_eq!(gaps, 1, "one checkpoint's rows are missing, and no row is there twice");
}

#[test]
fn a_long_partition_value_fails_the_row_and_not_the_commit() {
    let place = Place::new();
    let script = "CREATE TABLE o (v INT, p STRING) PARTITIONED BY (p)
          WITH ('connector' = 'filesystem', 'path' = 'o', 'format' = 'csv');
        SET 'execution.checkpointing.interval' = '100 ms';
        INSERT INTO o SELECT 1, REPEAT('x', 300);";
    let ran = place.run(script);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("the partition's value is too long") && ran.err.contains("column p"), "{ran:?}");
    assert!(!ran.err.contains("started again"), "{ran:?}");
    // Nothing is decided, so that nothing is in the way.
    place.write("job.sql", &script.replace("300", "3"));
    let ran = place.flott(&["run", "job.sql", "--fresh"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(place.rows("o/p=xxx"), ["1"]);
}

#[test]
fn a_fresh_start_without_decided_output_is_said_loudly() {
    let place = Place::new();
    place.write("job.sql", COUNTING);
    let reached = place.path().join("reached");
    let mut command = place.command(&["run", "job.sql", "-p", "1"]);
    command.env("FLOTT_FAILPOINT", "after_decided_before_commit:2").env("FLOTT_FAILPOINT_REPORT", &reached);
    let mut child = command.spawn().expect("flott starts");
    until("a decision", || reached.exists());
    child.kill().expect("killed");
    child.wait().expect("dead");
    let ran = place.flott(&["run", "job.sql", "-p", "1", "--fresh"]);
    assert!(ran.code != Some(0) && ran.err.contains("--fresh --allow-lost-output"), "{ran:?}");
    let ran = place.flott(&["run", "job.sql", "-p", "1", "--allow-lost-output"]);
    assert_eq!(ran.code, Some(2), "it is about an earlier run: {ran:?}");
    std::fs::remove_dir_all(place.path().join("o")).expect("removed");
    let ran = place.flott(&["run", "job.sql", "-p", "1", "--fresh", "--allow-lost-output"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.err.contains("OUTPUT IS LOST"), "{ran:?}");
    assert_eq!(place.rows("o").len(), 6_000);
}

#[test]
fn a_checkpoint_that_never_was_is_not_restored() {
    let place = Place::new();
    let ran = place.run(&(files("a") + "INSERT INTO a VALUES (1);"));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let ran = place.flott(&["run", "job.sql", "--restore", ".flott/job/chk-99-g1"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.err.contains("there never was a checkpoint 99"), "{ran:?}");
    let ran = place.flott(&["run", "job.sql", "--restore", ".flott/job/chk-1-g1"]);
    assert!(ran.code == Some(0) && ran.err.contains("had finished"), "{ran:?}");
}

#[test]
fn options_that_have_no_effect_say_so() {
    let place = Place::new();
    let ran = place.run(
        "CREATE TABLE s (v INT) WITH ('connector' = 'datagen', 'number-of-rows' = '3', 'scan.parallelism' = '5');
        CREATE TABLE o (v INT, p INT) PARTITIONED BY (p) WITH ('connector' = 'filesystem', 'path' = 'o', 'format' = 'csv',
          'sink.parallelism' = '7', 'sink.partition-commit.trigger' = 'process-time',
          'sink.partition-commit.policy.class' = 'x.Y');
        SET 'parallelism.default' = '2';
        INSERT INTO o SELECT v, 1 FROM s;",
    );
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for said in [
        "'scan.parallelism' = '5' of table 's' is more than the job's parallelism of 2",
        "'sink.parallelism' = '7' of table 'o' is more than the job's parallelism of 2",
        "'sink.partition-commit.policy.class', 'sink.partition-commit.trigger' has no effect without",
    ] {
        assert!(ran.err.contains(said), "{said}: {ran:?}");
    }
}

/// Durations that no clock can be reckoned with, of every kind of options.
#[test]
fn absurd_durations_are_refused() {
    let place = Place::new();
    for key in [
        "execution.checkpointing.min-pause",
        "execution.checkpointing.timeout",
        "execution.checkpointing.interval",
        "execution.buffer-timeout",
        "table.exec.source.idle-timeout",
        "table.exec.state.ttl",
        "pipeline.auto-watermark-interval",
        "restart-strategy.fixed-delay.delay",
        "heartbeat.timeout",
    ] {
        let ran = place.run(&format!("SET '{key}' = '18446744073709551615 s'; SELECT 1;"));
        assert!(ran.code == Some(2) && ran.err.contains("at most 1000 years"), "{key}: {ran:?}");
        assert!(!ran.err.contains("panicked"), "{key}: {ran:?}");
    }
    let ran = place.run(
        "CREATE TABLE s (v INT) WITH ('connector' = 'filesystem', 'path' = 's', 'format' = 'csv',
          'source.monitor-interval' = '18446744073709551615 s');
        SELECT * FROM s;",
    );
    assert!(ran.code == Some(2) && ran.err.contains("at most 1000 years"), "{ran:?}");
}
