//! Benchmarks of whole jobs with the release binary: rows, wall, CPU seconds, peak memory. `peers` runs other engines
//! beside it.

mod flink;
mod http;
mod job;
mod live;
mod measure;
mod peers;

use std::path::PathBuf;
use std::time::Duration;

use crate::{Failure, option, say};
use measure::{Cores, Flott, median};

/// Runs of each job; the median counts.
const RUNS: usize = 3;
const ROWS_WINDOW: u64 = 20_000_000;
const ROWS_CSV: u64 = 5_000_000;
/// Their window takes about 1 GB as it is stored.
const KEYS_LARGE: u64 = 30_000_000;

pub(crate) const USAGE: &str = "\
  bench NAME [OPTIONS]
                    measures the release binary: rows, wall, CPU seconds, peak memory
                      window       random rows -> 10 s windows by 1,000 keys -> nowhere   --rows N
                      csv          a CSV file -> the same windows -> CSV files            --rows N
                      start        three rows, printed
                      size         the binary, as it is and stripped
                      slow-sink    an endless source before a sink of one row per second  --seconds N
                      trickle      checkpoints every second at one row per second         --seconds N
                      large-state  pauses by checkpoints of 1 GB of window state          --keys N --checkpoints N --interval-ms N
                      peers        window and csv beside Flink (in FLINK_HOME), DuckDB and DataFusion
                                   (modules of the Python in FLOTT_BENCH_PYTHON)          --warm-seconds N
                                                                                           --only batch,cold,warm,steady
                      all of them: -p WORKERS  --runs N  --binary FILE
";

const NAMES: &str = "window, csv, start, size, slow-sink, trickle, large-state and peers";

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let name = args.first().map(String::as_str).unwrap_or("");
    if !NAMES.replace(" and ", ", ").split(", ").any(|n| n == name) {
        return Err(format!("there is no benchmark '{name}'; there are {NAMES}"));
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
            peers::Peers { flott: &flott, runs, rows_window, rows_csv, warm, only }.run()
        }
        job => whole(&flott, job, args, workers, runs),
    }
}

/// A job from its start to its end.
fn whole(flott: &Flott, name: &str, args: &[String], workers: usize, runs: usize) -> Result<(), Failure> {
    let (rows, statements) = match name {
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
        results.push(flott.once(&script, workers, Cores::All, rows)?);
    }
    let m = median(&results);
    let rate = m.rate().map_or(String::new(), |r| format!(", {r:.2} M rows per CPU s"));
    say(&format!(
        "{name}, {workers} workers, median of {runs}: {rows} rows, {:.3} s from exec to exit, {:.3} s CPU, {:.1} MB peak{rate}",
        m.wall_s, m.cpu_s, m.rss_mb,
    ));
    Ok(())
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
    let line = format!("size: {:.1} MB, {:.1} MB stripped", mb(&flott.binary)?, mb(&stripped)?);
    drop(std::fs::remove_file(&stripped));
    say(&line);
    Ok(())
}
