//! Benchmarks of whole jobs with the release binary: rows, wall, CPU seconds, peak memory.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::Value;

use crate::{Failure, option, root, run as run_command, say};

/// Runs of each job; the median counts.
const RUNS: usize = 3;

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let name = args.first().map(String::as_str).unwrap_or("");
    let folder = root().join(".bench");
    fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
    let (rows, script) = match name {
        "window" => {
            let rows = option(args, "--rows", 20_000_000u64)?;
            (rows, window(rows))
        }
        "csv" => {
            let rows = option(args, "--rows", 5_000_000u64)?;
            csv_input(&folder, rows)?;
            (rows, csv(&folder))
        }
        "start" => (3, start()),
        _ => return Err(format!("there is no benchmark '{name}'; there are window, csv and start")),
    };
    run_command("cargo", &["build", "--release", "--quiet", "--locked", "-p", "flott-cli"])?;
    let binary = root().join("target/release/flott");
    let file = folder.join(format!("{name}.sql"));
    fs::write(&file, script).map_err(|e| e.to_string())?;
    let parallelism = option(args, "-p", 2u32)?;
    let mut results = vec![];
    for _ in 0..RUNS {
        drop(fs::remove_dir_all(folder.join("out")));
        results.push(once(&binary, &folder, &file, parallelism)?);
    }
    results.sort_by(|a, b| a.cpu_s.total_cmp(&b.cpu_s));
    let m = &results[RUNS / 2];
    // The clock of CPU time ticks every 10 ms: a job that is over before has no rate.
    let rate =
        if m.cpu_s > 0.0 { format!(", {:.2} M rows per CPU s", rows as f64 / m.cpu_s / 1e6) } else { String::new() };
    say(&format!(
        "{name}, {parallelism} workers, median of {RUNS}: {rows} rows, {:.3} s wall, {:.3} s from exec to exit, {:.3} s CPU, {:.1} MB peak{rate}",
        m.wall_s, m.process_s, m.cpu_s, m.rss_mb,
    ));
    Ok(())
}

struct Figures {
    wall_s: f64,
    process_s: f64,
    cpu_s: f64,
    rss_mb: f64,
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures its own process")]
fn once(binary: &Path, folder: &Path, script: &Path, parallelism: u32) -> Result<Figures, Failure> {
    let summary = folder.join("summary.json");
    let begun = Instant::now();
    let output = Command::new(binary)
        .arg("run")
        .arg(script)
        .args(["--fresh", "-p", &parallelism.to_string(), "--summary"])
        .arg(&summary)
        .current_dir(folder)
        .output()
        .map_err(|e| e.to_string())?;
    let process_s = begun.elapsed().as_secs_f64();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let text = fs::read_to_string(&summary).map_err(|e| e.to_string())?;
    let v: Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    let number = |key: &str| v[key].as_f64().ok_or_else(|| format!("the summary has no '{key}'"));
    Ok(Figures {
        wall_s: number("wall_ms")? / 1e3,
        process_s,
        cpu_s: number("cpu_ms")? / 1e3,
        rss_mb: number("peak_rss_bytes")? / 1e6,
    })
}

fn window(rows: u64) -> String {
    format!(
        "CREATE TABLE events (k BIGINT, v BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND)\n\
         WITH ('connector' = 'datagen', 'number-of-rows' = '{rows}', 'rows-per-second' = '1000000000',\n\
         'fields.k.min' = '0', 'fields.k.max' = '999', 'fields.v.min' = '0', 'fields.v.max' = '1000000');\n\
         CREATE TABLE nowhere (w TIMESTAMP(3), k BIGINT, n BIGINT, s BIGINT) WITH ('connector' = 'blackhole');\n\
         INSERT INTO nowhere SELECT window_start, k, COUNT(*), SUM(v)\n\
         FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start, window_end, k;\n"
    )
}

fn csv(folder: &Path) -> String {
    format!(
        "CREATE TABLE events (id BIGINT, k BIGINT, v BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)\n\
         WITH ('connector' = 'filesystem', 'path' = '{0}/in.csv', 'format' = 'csv');\n\
         CREATE TABLE windows (w TIMESTAMP(3), k BIGINT, n BIGINT, s BIGINT)\n\
         WITH ('connector' = 'filesystem', 'path' = '{0}/out', 'format' = 'csv');\n\
         INSERT INTO windows SELECT window_start, k, COUNT(*), SUM(v)\n\
         FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start, window_end, k;\n",
        folder.display()
    )
}

fn start() -> String {
    "CREATE TABLE out (a INT, b STRING) WITH ('connector' = 'print');\n\
     INSERT INTO out VALUES (1, 'a'), (2, 'b'), (3, 'c');\n"
        .to_string()
}

/// 10,000 rows a second of event time, 1,000 keys: 50 windows of 10 s for 5 M rows.
fn csv_input(folder: &Path, rows: u64) -> Result<(), Failure> {
    let path = folder.join("in.csv");
    let marker = folder.join("in.rows");
    if fs::read_to_string(&marker).ok().as_deref() == Some(&rows.to_string()) && path.exists() {
        return Ok(());
    }
    let mut out = std::io::BufWriter::new(fs::File::create(&path).map_err(|e| e.to_string())?);
    let mut state = 42u64;
    for i in 0..rows {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (k, v, ms) = ((state >> 33) % 1_000, (state >> 20) % 1_000_000, i / 10);
        let (s, f) = (ms / 1_000, ms % 1_000);
        writeln!(out, "{i},{k},{v},2024-01-01 {:02}:{:02}:{:02}.{f:03}", s / 3_600, s / 60 % 60, s % 60)
            .map_err(|e| e.to_string())?;
    }
    out.flush().map_err(|e| e.to_string())?;
    fs::write(marker, rows.to_string()).map_err(|e| e.to_string())
}
