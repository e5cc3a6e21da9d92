//! Benchmarks of whole jobs with the release binary: rows, wall, CPU seconds, peak memory. `peers` runs other engines
//! beside it.

mod flink;
mod http;
mod job;
mod kafka;
mod live;
pub(crate) mod measure;
mod peers;

use std::path::PathBuf;
use std::time::Duration;

use crate::{Failure, known_options, option, say};
use measure::{Cores, Flott, median};

/// What three rows may take.
const START_S_MAX: f64 = 0.05;
const START_MB_MAX: f64 = 60.0;
/// What a user downloads at most, unpacked.
const SIZE_MB_MAX: f64 = 80.0;
/// Runs of each job; the median counts.
const RUNS: usize = 3;
const ROWS_WINDOW: u64 = 20_000_000;
const ROWS_CSV: u64 = 5_000_000;
/// Of Flink's TaskManager where a job keeps much state.
const FLINK_MEMORY: &str = "6g";
/// Of 200 bytes.
const ROWS_KAFKA: u64 = 5_000_000;
/// Their window takes about 1 GB as it is stored, with the pieces that are not merged yet.
const KEYS_LARGE: u64 = 15_000_000;

pub(crate) const USAGE: &str = "\
  bench NAME [OPTIONS]
                    measures the release binary: rows, wall, CPU seconds, peak memory
                      window       random rows -> 10 s windows by 1,000 keys -> nowhere   --rows N
                      csv          a CSV file -> the same windows -> CSV files            --rows N
                      aggregate    random rows -> COUNT, SUM by 10 M keys -> nowhere      --rows N
                      join         two streams of random rows by 10 M keys -> nowhere     --rows N (of both)
                      top-n        random rows -> the ten largest of 1 M keys -> nowhere  --rows N
                      start        three rows, printed
                      size         the binary, as it is and stripped
                      slow-sink    an endless source before a sink of one row per second  --seconds N
                      trickle      checkpoints every second at one row per second         --seconds N
                      large-state  pauses by checkpoints of 1 GB of window state          --keys N --checkpoints N --interval-ms N
                      peers        window, csv and the three with much state beside Flink (in FLINK_HOME), window and csv
                                   beside DuckDB and DataFusion (modules of the Python in FLOTT_BENCH_PYTHON)
                                   --warm-seconds N  --flink-memory 6g  --only batch,start-up,cold,warm,steady,aggregate,join,top-n
                      kafka        topic -> calculation -> topic, beside the bare client library and Flink       --rows N
                      functions    every scalar function by itself, ns per row -> docs/reference/function-speed.md
                      all of them: -p WORKERS  --runs N  --binary FILE
";

const NAMES: &str =
    "window, csv, aggregate, join, top-n, start, size, slow-sink, trickle, large-state, peers, kafka and functions";

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let name = args.first().map(String::as_str).unwrap_or("");
    if !NAMES.replace(" and ", ", ").split(", ").any(|n| n == name) {
        return Err(format!("there is no benchmark '{name}'; there are {NAMES}"));
    }
    known_options(
        args.get(1..).unwrap_or_default(),
        &[
            "-p",
            "--runs",
            "--binary",
            "--rows",
            "--seconds",
            "--keys",
            "--checkpoints",
            "--interval-ms",
            "--warm-seconds",
            "--flink-memory",
            "--only",
        ],
        &[],
    )?;
    if name == "functions" {
        return functions();
    }
    let binary = option(args, "--binary", String::new())?;
    let flott = Flott::new((!binary.is_empty()).then(|| PathBuf::from(binary)))?;
    let workers = option(args, "-p", 2usize)?;
    let runs = option(args, "--runs", RUNS)?.max(1);
    match name {
        "size" => size(&flott),
        "slow-sink" => live::slow_sink(&flott, option(args, "--seconds", 60)?, workers),
        "trickle" => live::trickle(&flott, option(args, "--seconds", 60)?, workers),
        "large-state" => {
            let large = live::Large {
                keys: option(args, "--keys", KEYS_LARGE)?.max(1),
                checkpoints: option(args, "--checkpoints", 20)?,
                workers,
                interval: Duration::from_millis(option(args, "--interval-ms", 5_000)?),
            };
            live::large_state(&flott, &large)
        }
        "peers" => {
            let warm = Duration::from_secs(option(args, "--warm-seconds", peers::WARM_SECONDS)?);
            let (rows_window, rows_csv) = (ROWS_WINDOW, ROWS_CSV);
            let only = option(args, "--only", String::new())?;
            let flink_memory = option(args, "--flink-memory", FLINK_MEMORY.to_string())?;
            peers::Peers { flott: &flott, runs, rows_window, rows_csv, warm, only, flink_memory }.run()
        }
        "kafka" => {
            let (rows, memory) = (option(args, "--rows", ROWS_KAFKA)?, flink::TASK_MANAGER_MEMORY.to_string());
            let flink_memory = &option(args, "--flink-memory", memory)?;
            kafka::Bench { flott: &flott, rows, runs, workers, flink_memory }.run()
        }
        job => whole(&flott, job, args, workers, runs),
    }
}

/// The page of every function's speed, measured anew.
fn functions() -> Result<(), Failure> {
    let arguments = ["bench", "--quiet", "--locked", "-p", "flott-function", "--bench", "functions", "--", "--page"];
    let done = crate::command("cargo").args(arguments).current_dir(crate::root()).output();
    let done = done.map_err(|e| format!("cargo cannot be started: {e}"))?;
    let page = String::from_utf8_lossy(&done.stdout);
    if !done.status.success() {
        return Err(format!("the benchmark failed: {page}{}", String::from_utf8_lossy(&done.stderr)));
    }
    let path = crate::root().join("docs/reference/function-speed.md");
    std::fs::write(&path, page.as_bytes()).map_err(|e| format!("{}: {e}", path.display()))?;
    say(&format!("{} is written", path.display()));
    Ok(())
}

/// A job from its start to its end.
fn whole(flott: &Flott, name: &str, args: &[String], workers: usize, runs: usize) -> Result<(), Failure> {
    let stateful = job::Stateful::ALL.into_iter().find(|j| j.name() == name);
    let (rows, statements) = match name {
        _ if let Some(job) = stateful => {
            let rows = option(args, "--rows", job.rows())?;
            (rows, job.statements(rows))
        }
        "window" => {
            let rows = option(args, "--rows", ROWS_WINDOW)?;
            (rows, job::window(rows))
        }
        "csv" => {
            let rows = option(args, "--rows", ROWS_CSV)?;
            let input = flott.folder.join("in.csv");
            job::csv_input(&input, rows)?;
            (rows, job::csv(&input, &flott.folder.join("out")))
        }
        _ => (3, job::start()),
    };
    let script = flott.script(name, &job::script(&statements))?;
    let mut results = vec![];
    for _ in 0..runs {
        // The output of the run before, if there is one.
        drop(std::fs::remove_dir_all(flott.folder.join("out")));
        let (figures, written) = flott.counted(&script, workers, Cores::All, rows)?;
        stateful.map_or(Ok(()), |job| job.check(rows, written))?;
        results.push(figures);
    }
    let m = median(&results);
    let rate = m.rate().map_or(String::new(), |r| format!(", {r:.2} M rows per CPU s"));
    say(&format!(
        "{name}, {workers} workers, median of {runs}: {rows} rows, {:.3} s from exec to exit, {:.3} s CPU, {:.1} MB peak{rate}",
        m.wall_s, m.cpu_s, m.rss_mb,
    ));
    if name == "start" {
        limit("the time from exec to exit, s", m.wall_s, START_S_MAX)?;
        limit("the peak of memory, MB", m.rss_mb, START_MB_MAX)?;
    }
    Ok(())
}

/// A figure that a benchmark promises.
fn limit(what: &str, found: f64, most: f64) -> Result<(), Failure> {
    if found <= most { Ok(()) } else { Err(format!("{what}: {found:.2} is more than {most}")) }
}

/// What a user downloads.
fn size(flott: &Flott) -> Result<(), Failure> {
    let stripped = flott.folder.join("flott-stripped");
    let done = std::process::Command::new("strip").arg("-o").arg(&stripped).arg(&flott.binary).status();
    if !done.map_err(|e| format!("strip cannot be started: {e}"))?.success() {
        return Err("strip failed".to_string());
    }
    let mb = |file: &std::path::Path| -> Result<f64, Failure> {
        Ok(std::fs::metadata(file).map_err(|e| e.to_string())?.len() as f64 / 1e6)
    };
    let size = mb(&stripped)?;
    let line = format!("size: {:.1} MB, {size:.1} MB stripped", mb(&flott.binary)?);
    drop(std::fs::remove_file(&stripped));
    say(&line);
    limit("the stripped binary, MB", size, SIZE_MB_MAX)
}
