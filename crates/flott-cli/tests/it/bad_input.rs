//! Input that is far too large: an error that says where and what to do, in bounded memory, and nothing half visible.

use std::fs::File;
use std::io::{BufWriter, Write};

use crate::support::{Place, Ran, ran, rest};

const LINE_BYTES: usize = 100 << 20;
/// Rows before the long one.
const ROWS: usize = 16;
/// Peak memory of a process that meets a line of [`LINE_BYTES`] has nothing to do with that line's length.
const PEAK_BYTES_MAX: u64 = 300 << 20;

/// A run to its end, and the most memory that it had.
pub(crate) fn measured(place: &Place, args: &[&str]) -> (Ran, u64) {
    let mut child = place.start(args);
    let peak = peak_of(&mut child);
    (ran(child.wait_with_output().expect("an end")), peak)
}

/// Waits for the end of a process.
fn peak_of(child: &mut std::process::Child) -> u64 {
    let mut peak = 0;
    loop {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0);
        peak = peak.max(kilobytes << 10);
        if child.try_wait().expect("it can be waited for").is_some() {
            return peak;
        }
        rest(2);
    }
}

/// Some good rows, then one whose text has 100 MB.
fn long_line(place: &Place, name: &str, begin: &str, end: &str) {
    std::fs::create_dir_all(place.path().join("in")).expect("a folder");
    let mut file = BufWriter::new(File::create(place.path().join("in").join(name)).expect("a file"));
    for _ in 0..ROWS {
        writeln!(file, "{begin}short{end}").expect("written");
    }
    write!(file, "{begin}").expect("written");
    let block = vec![b'x'; 1 << 20];
    for _ in 0..LINE_BYTES / block.len() {
        file.write_all(&block).expect("written");
    }
    writeln!(file, "{end}").expect("written");
    file.flush().expect("written");
}

#[test]
fn a_line_of_100_mb_is_named_and_takes_no_memory() {
    for (format, begin, end) in
        [("csv", "7,", ""), ("csv", "7,\"", "\""), ("json", "{\"id\": 7, \"t\": \"", "\"}"), ("raw", "", "")]
    {
        let place = Place::new();
        let name = format!("long.{format}");
        long_line(&place, &name, begin, end);
        let columns = if format == "raw" { "t STRING" } else { "id BIGINT, t STRING" };
        place.write(
            "job.sql",
            &format!(
                "CREATE TABLE s ({columns}) WITH ('connector' = 'filesystem', 'path' = 'in', 'format' = '{format}');
                 CREATE TABLE o (t STRING) WITH ('connector' = 'filesystem', 'path' = 'o', 'format' = 'csv');
                 SET 'execution.checkpointing.interval' = '1 h';
                 INSERT INTO o SELECT t FROM s;"
            ),
        );
        let (ran, peak) = measured(&place, &["run", "job.sql", "-p", "2"]);
        let what = format!("{format}, {} MB at most: {}", peak >> 20, ran.err.chars().take(2_000).collect::<String>());
        assert_eq!(ran.code, Some(1), "{what}");
        assert!(ran.err.contains(&format!("in/{name}")) && ran.err.contains(&format!("row {}", ROWS + 1)), "{what}");
        assert!(ran.err.contains("is longer than") && ran.err.len() < 2_000 && !ran.err.contains("panicked"), "{what}");
        assert!(peak < PEAK_BYTES_MAX, "{what}");
        assert_eq!(place.rows("o"), [""; 0], "{what}");
    }
}

#[test]
fn a_line_of_100_mb_within_a_compressed_file_is_named_too() {
    let place = Place::new();
    long_line(&place, "long.csv", "7,", "");
    let packed = std::process::Command::new("gzip").arg(place.path().join("in/long.csv")).status();
    assert!(packed.expect("gzip").success());
    place.write(
        "job.sql",
        "CREATE TABLE s (id BIGINT, t STRING) WITH ('connector' = 'filesystem', 'path' = 'in', 'format' = 'csv');
         CREATE TABLE o (t STRING) WITH ('connector' = 'blackhole');
         INSERT INTO o SELECT t FROM s;",
    );
    let (ran, peak) = measured(&place, &["run", "job.sql", "-p", "2"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("in/long.csv.gz") && ran.err.contains(&format!("row {}", ROWS + 1)), "{ran:?}");
    assert!(peak < PEAK_BYTES_MAX, "{} MB", peak >> 20);
}

/// As much as a script may have, in comments.
const SCRIPT_BYTES_MAX: usize = 10 << 20;

fn padded(to: usize, job: &str) -> String {
    let line = format!("-- {}\n", "c".repeat(96));
    let mut script = line.repeat((to - job.len()) / line.len());
    script += &"\n".repeat(to - job.len() - script.len());
    script + job
}

#[test]
fn a_script_of_10_mb_runs_and_a_larger_one_is_refused() {
    const JOB: &str = "SELECT 41 + 1 AS answer;\n";
    let place = Place::new();
    place.write("job.sql", &padded(SCRIPT_BYTES_MAX, JOB));
    let (ran, peak) = measured(&place, &["run", "job.sql"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains("42"), "{ran:?}");
    assert!(peak < PEAK_BYTES_MAX, "{} MB", peak >> 20);

    place.write("job.sql", &padded(SCRIPT_BYTES_MAX + 1, JOB));
    let ran = place.flott(&["run", "job.sql"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{ran:?}");
    assert!(ran.err.contains("job.sql") && ran.err.contains("10485760") && ran.err.len() < 1_000, "{ran:?}");
}

#[test]
fn a_statement_of_10_mb_and_many_statements_are_refused_in_time() {
    let place = Place::new();
    let values: String = (0..800_000).map(|i| format!("({i}),\n")).collect();
    place.write("job.sql", &format!("SELECT * FROM (VALUES {values}(0)) AS t (a);"));
    let (ran, peak) = measured(&place, &["run", "job.sql"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{ran:?}");
    // Nothing makes tokens of it.
    assert!(peak < PEAK_BYTES_MAX / 2, "{} MB", peak >> 20);
    assert!(ran.err.contains("job.sql") && ran.err.contains("a statement") && ran.err.len() < 1_000, "{ran:?}");

    // The last of very many is wrong: nothing runs.
    let statement = "SET 'pipeline.name' = 'a name';\n";
    place.write("job.sql", &(statement.repeat(100_000) + "SELEC 1;"));
    let (ran, peak) = measured(&place, &["run", "job.sql"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{ran:?}");
    assert!(ran.err.contains("SELEC") || ran.err.contains("statements"), "{ran:?}");
    assert!(peak < PEAK_BYTES_MAX, "{} MB", peak >> 20);
}

#[test]
fn a_script_of_10_mb_of_small_statements_works_in_bounded_memory() {
    let statement = format!("SET 'pipeline.name' = '{}';\n", "n".repeat(70));
    let script = statement.repeat(SCRIPT_BYTES_MAX / statement.len() - 1) + "SELECT 41 + 1 AS answer;";
    let place = Place::new();
    place.write("job.sql", &script);
    for args in [&["run", "job.sql"][..], &["explain", "job.sql"]] {
        let (ran, peak) = measured(&place, args);
        assert_eq!(ran.code, Some(0), "{}", ran.err.chars().take(500).collect::<String>());
        assert!(ran.out.contains("answer"), "{}", ran.out);
        assert!(peak < PEAK_BYTES_MAX, "{} MB", peak >> 20);
    }
}

#[test]
fn a_large_result_waits_in_a_file() {
    let place = Place::new();
    place.write(
        "q.sql",
        "CREATE TABLE s (id BIGINT, t STRING) WITH ('connector' = 'datagen', 'number-of-rows' = '400000',
           'rows-per-second' = '100000000', 'fields.id.kind' = 'sequence', 'fields.id.start' = '1',
           'fields.id.end' = '400000', 'fields.t.length' = '200');
         SET 'table.display.max-column-width' = '250';
         SELECT id, t FROM s;",
    );
    for args in [&["sql", "-f", "q.sql"][..], &["run", "q.sql"]] {
        let out = File::create(place.path().join("out.txt")).expect("a file");
        let mut child = place.command(args).stdout(out).spawn().expect("flott starts");
        let peak = peak_of(&mut child);
        let ran = ran(child.wait_with_output().expect("an end"));
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let text = std::fs::read_to_string(place.path().join("out.txt")).expect("text");
        assert!(text.contains("400000 rows in set") && text.contains("| 400000 | "), "{} bytes", text.len());
        assert_eq!(text.lines().filter(|l| l.starts_with("|")).count(), 400_001);
        // The text has some 85 MB, and its values in memory would take five times that.
        assert!(peak < PEAK_BYTES_MAX, "{} MB", peak >> 20);
    }
    let nowhere = place.command(&["run", "q.sql"]).env("TMPDIR", "/nowhere/at/all").output();
    let ran = ran(nowhere.expect("flott runs"));
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.err.contains("/nowhere/at/all") && ran.err.contains("TMPDIR"), "{}", ran.err);
}

#[test]
fn a_script_that_is_no_utf8_is_told_by_line_and_column() {
    let place = Place::new();
    std::fs::write(place.path().join("job.sql"), b"SELECT 1;\nSELECT '\xc3\xa9', 'tea\xe9';\n").expect("written");
    for args in [&["run", "job.sql"][..], &["explain", "job.sql"], &["sql", "-f", "job.sql"]] {
        let ran = place.flott(args);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{ran:?}");
        assert!(
            ran.err.contains("line 2, column 17") && ran.err.contains("0xE9") && ran.err.contains("iconv"),
            "{ran:?}"
        );
    }
}
