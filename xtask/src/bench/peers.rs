//! Flott beside Flink, DataFusion and DuckDB: the same rows, the same query, in turn on the same machine.
//!
//! Others may use the machine at the same time, so that only figures of runs one after another are compared: each run
//! of a peer has one of Flott right before it, and a ratio is the median of the ratios of these pairs. Output is
//! compared with what has to come out before a time counts.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::flink::{Cluster, Installation, TASK_MANAGER_MEMORY};
use super::job::{self, Stateful, Windows};
use super::measure::{Cores, Figures, Flott, median, middle};
use crate::{Failure, say};

const PEER: &str = include_str!("peer.py");
/// A warm JVM has run the same job for so long.
pub(super) const WARM_SECONDS: u64 = 300;
/// So long a steady job is measured.
const MEASURED: Duration = Duration::from_secs(30);
/// A steady job of Flott has so many rows: its start does not count any more.
const STEADY_ROWS: u64 = 500_000_000;

pub(super) struct Peers<'a> {
    pub(super) flott: &'a Flott,
    pub(super) runs: usize,
    pub(super) rows_window: u64,
    pub(super) rows_csv: u64,
    /// How long the JVM is warmed up.
    pub(super) warm: Duration,
    /// Some of [`PARTS`] only, or all.
    pub(super) only: String,
    /// Memory of Flink's TaskManager for jobs with much state, which need more than it is shipped with.
    pub(super) flink_memory: String,
}

/// The batch engines; Flink in each of its states.
const PARTS: [&str; 8] = ["batch", "start-up", "cold", "warm", "steady", "aggregate", "join", "top-n"];

impl Peers<'_> {
    /// All peers that are there; the others are named, with the reason.
    pub(super) fn run(&self) -> Result<(), Failure> {
        if let Some(unknown) = self.only.split(',').find(|p| !p.is_empty() && !PARTS.contains(p)) {
            return Err(format!("there is no '{unknown}'; there are {}", PARTS.join(", ")));
        }
        let mut table = Table::new();
        let input = self.flott.folder.join("in.csv");
        job::csv_input(&input, self.rows_csv)?;
        let expected = job::expected(self.rows_csv);
        let engines: &[&'static str] = if self.wants("batch") { &["duckdb", "datafusion"] } else { &[] };
        for engine in engines {
            match Python::find(engine, &self.flott.folder) {
                Ok(python) => self.beside(&python, &input, &expected, &mut table)?,
                Err(why) => table.skip(engine, &why),
            }
        }
        match Installation::find() {
            _ if !PARTS[1..].iter().any(|p| self.wants(p)) => {}
            Ok(flink) => self.beside_flink(&flink, &input, &expected, &mut table)?,
            Err(why) => table.skip("Flink", &why),
        }
        say(&table.text());
        Ok(())
    }

    fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.split(',').any(|p| p == part)
    }

    /// A batch engine over the file, on one core and with its defaults.
    fn beside(&self, python: &Python, input: &Path, expected: &Windows, table: &mut Table) -> Result<(), Failure> {
        let name = format!("{} {}", python.engine, python.version);
        for (cores, threads, job) in [(Cores::One, 1, "CSV, 1 core"), (Cores::All, cores(), "CSV, all cores")] {
            let pairs = self.pairs(|| {
                let own = self.csv(input, threads, cores, expected)?;
                let target = self.flott.folder.join(format!("{}.csv", python.engine));
                Python::remove(&target);
                let other = python.run(&self.flott.folder, input, &target, threads, cores, self.rows_csv)?;
                check(&name, &target, expected)?;
                Ok((own, other))
            })?;
            table.add(job, &name, &pairs);
        }
        Ok(())
    }

    fn csv(&self, input: &Path, workers: usize, cores: Cores, expected: &Windows) -> Result<Figures, Failure> {
        let target = self.flott.folder.join("out");
        drop(fs::remove_dir_all(&target));
        let script = self.flott.script("csv", &job::script(&job::csv(input, &target)))?;
        let figures = self.flott.once(&script, workers, cores, self.rows_csv)?;
        check("Flott", &target, expected)?;
        Ok(figures)
    }

    fn window(&self, rows: u64) -> Result<Figures, Failure> {
        let script = self.flott.script("window", &job::script(&job::window(rows)))?;
        self.flott.once(&script, cores(), Cores::All, rows)
    }

    /// A job with much state; how many changes come out is checked.
    fn stateful(&self, job: Stateful, rows: u64) -> Result<Figures, Failure> {
        let script = self.flott.script(job.name(), &job::script(&job.statements(rows)))?;
        let (figures, written) = self.flott.counted(&script, cores(), Cores::All, rows)?;
        job.check(rows, written)?;
        Ok(figures)
    }

    fn pairs(
        &self,
        mut pair: impl FnMut() -> Result<(Figures, Figures), Failure>,
    ) -> Result<Vec<(Figures, Figures)>, Failure> {
        (0..self.runs).map(|_| pair()).collect()
    }

    fn beside_flink(
        &self,
        flink: &Installation,
        input: &Path,
        expected: &Windows,
        table: &mut Table,
    ) -> Result<(), Failure> {
        let (name, folder) = (format!("Flink {}", flink.version), &self.flott.folder);
        let started = |memory: &str| -> Result<Cluster, Failure> {
            let cluster = Cluster::start(flink, folder, cores(), memory)?;
            for (key, value) in [
                ("table.dml-sync", "true".to_string()),
                ("parallelism.default", cores().to_string()),
                ("execution.checkpointing.interval", "10 s".to_string()),
                ("execution.checkpointing.dir", format!("file://{}/flink/checkpoints", folder.display())),
            ] {
                cluster.execute(&format!("SET '{key}' = '{value}'"))?;
            }
            Ok(cluster)
        };
        let start_with = |memory: &str| -> Result<Cluster, Failure> {
            let cluster = started(memory)?;
            cluster.load_planner()?;
            Ok(cluster)
        };
        let start = || start_with(TASK_MANAGER_MEMORY);
        let window = |cluster: &Cluster| -> Result<Figures, Failure> {
            let figures = cluster.run(&job::window(self.rows_window), self.rows_window)?;
            drop_tables(cluster, &["events", "nowhere"])?;
            Ok(figures)
        };
        let target = folder.join("out-flink");
        let csv = |cluster: &Cluster| -> Result<Figures, Failure> {
            drop(fs::remove_dir_all(&target));
            let figures = cluster.run(&job::csv(input, &target), self.rows_csv)?;
            drop_tables(cluster, &["events", "windows"])?;
            check(&name, &target, expected)?;
            Ok(figures)
        };
        let own = || self.csv(input, cores(), Cores::All, expected);
        if self.wants("start-up") {
            say("Flink with its start-up: the three processes for each run, from the first one's start");
            let window = |cluster: &Cluster| cluster.run_since_start(&job::window(self.rows_window), self.rows_window);
            let windows =
                self.pairs(|| Ok((self.window(self.rows_window)?, window(&started(TASK_MANAGER_MEMORY)?)?)))?;
            table.add("window, with start-up", &name, &windows);
            let csv = |cluster: &Cluster| -> Result<Figures, Failure> {
                drop(fs::remove_dir_all(&target));
                let figures = cluster.run_since_start(&job::csv(input, &target), self.rows_csv)?;
                check(&name, &target, expected)?;
                Ok(figures)
            };
            table.add("CSV, with start-up", &name, &self.pairs(|| Ok((own()?, csv(&started(TASK_MANAGER_MEMORY)?)?)))?);
        }
        if self.wants("cold") {
            say("Flink cold: a new cluster for each run");
            table.add("window, cold", &name, &self.pairs(|| Ok((self.window(self.rows_window)?, window(&start()?)?)))?);
            table.add("CSV, cold", &name, &self.pairs(|| Ok((own()?, csv(&start()?)?)))?);
        }
        for job in Stateful::ALL.into_iter().filter(|j| self.wants(j.name())) {
            let rows = job.rows();
            say(&format!("{}: a new cluster for each run, its TaskManager with {}", job.name(), self.flink_memory));
            table.add(
                job.name(),
                &format!("{name}, {}", self.flink_memory),
                &self.pairs(|| {
                    let own = self.stateful(job, rows)?;
                    Ok((own, start_with(&self.flink_memory)?.run(&job.statements(rows), rows)?))
                })?,
            );
        }
        if !self.wants("warm") && !self.wants("steady") {
            return Ok(());
        }
        let cluster = start()?;
        let again = |job: &dyn Fn(&Cluster) -> Result<Figures, Failure>| -> Result<(), Failure> {
            let begun = super::measure::now();
            while begun.elapsed() < self.warm {
                job(&cluster)?;
            }
            Ok(())
        };
        if self.wants("warm") {
            say(&format!("Flink warm: the same job again and again for {} s", self.warm.as_secs()));
            again(&csv)?;
            table.add("CSV, warm", &name, &self.pairs(|| Ok((own()?, csv(&cluster)?)))?);
            again(&window)?;
            table.add("window, warm", &name, &self.pairs(|| Ok((self.window(self.rows_window)?, window(&cluster)?)))?);
        }
        if !self.wants("steady") {
            return Ok(());
        }
        say("Flink in steady state: one job that does not end");
        cluster.execute("SET 'table.dml-sync' = 'false'")?;
        let pair = (self.window(STEADY_ROWS)?, cluster.steady(&job::window(ENDLESS_ROWS), self.warm, MEASURED)?);
        table.add("window, steady", &name, &[pair]);
        Ok(())
    }
}

/// More than are ever read.
const ENDLESS_ROWS: u64 = 1_000_000_000_000;

fn drop_tables(cluster: &Cluster, tables: &[&str]) -> Result<(), Failure> {
    tables.iter().try_for_each(|t| cluster.execute(&format!("DROP TABLE {t}")).map(drop))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

fn check(name: &str, target: &Path, expected: &Windows) -> Result<(), Failure> {
    let found = job::output(target)?;
    if &found == expected {
        return Ok(());
    }
    let wrong = expected.iter().find(|(key, sums)| found.get(*key) != Some(*sums));
    Err(format!("{name} wrote {} rows instead of {}, and not {wrong:?}", found.len(), expected.len()))
}

/// An engine that a Python brings.
struct Python {
    program: String,
    engine: &'static str,
    version: String,
}

impl Python {
    /// The Python in `FLOTT_BENCH_PYTHON`, or the one on the path, with the engine installed.
    fn find(engine: &'static str, folder: &Path) -> Result<Python, Failure> {
        let program = std::env::var("FLOTT_BENCH_PYTHON").unwrap_or_else(|_| "python3".to_string());
        let question = format!("import {engine}; print({engine}.__version__)");
        let answer = Command::new(&program).args(["-c", &question]).stderr(Stdio::null()).output();
        let answer = answer.map_err(|_| format!("'{program}' cannot be started"))?;
        if !answer.status.success() {
            return Err(format!("'{program}' has no module '{engine}' (FLOTT_BENCH_PYTHON names another Python)"));
        }
        fs::write(folder.join("peer.py"), PEER).map_err(|e| e.to_string())?;
        Ok(Python { program, engine, version: String::from_utf8_lossy(&answer.stdout).trim().to_string() })
    }

    fn remove(target: &Path) {
        // One of the two is there, if anything.
        drop(fs::remove_file(target));
        drop(fs::remove_dir_all(target));
    }

    /// One run; the start of the interpreter is not in its figures.
    fn run(
        &self,
        folder: &Path,
        input: &Path,
        target: &Path,
        threads: usize,
        cores: Cores,
        rows: u64,
    ) -> Result<Figures, Failure> {
        let mut command = Command::new(&self.program);
        command.arg(folder.join("peer.py")).arg(self.engine).arg(threads.to_string()).arg(input).arg(target);
        let output = cores.pin(command).output().map_err(|e| format!("{}: {e}", self.program))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let answer: Value = serde_json::from_str(text.trim())
            .map_err(|_| format!("{}: {}", self.engine, String::from_utf8_lossy(&output.stderr)))?;
        let number = |key: &str| answer[key].as_f64().ok_or_else(|| format!("{} gives no {key}", self.engine));
        Ok(Figures { rows, wall_s: number("wall_s")?, cpu_s: number("cpu_s")?, rss_mb: number("rss_mb")? })
    }
}

/// One line for each side of each comparison.
pub(super) struct Table {
    lines: Vec<String>,
    skipped: Vec<String>,
}

impl Table {
    pub(super) fn new() -> Table {
        let lines = vec![
            "| Job | Engine | rows | wall s | CPU s | peak RSS MB | M rows per CPU s | CPU, of Flott's | wall, of Flott's |"
                .to_string(),
            "|---|---|---|---|---|---|---|---|---|".to_string(),
        ];
        Table { lines, skipped: vec![] }
    }

    pub(super) fn skip(&mut self, name: &str, why: &str) {
        say(&format!("SKIPPED: {name}: {why}"));
        self.skipped.push(format!("SKIPPED: {name}: {why}"));
    }

    pub(super) fn add(&mut self, job: &str, name: &str, pairs: &[(Figures, Figures)]) {
        let (own, other): (Vec<Figures>, Vec<Figures>) = pairs.iter().copied().unzip();
        // Per row: a steady job of an endless source has as many as it had time for.
        let ratio = |f: fn(&Figures) -> f64| {
            let per_row = |figures: &Figures| f(figures) / figures.rows as f64;
            middle(pairs.iter().map(|(own, other)| per_row(other) / per_row(own)).collect())
        };
        let ratios = (ratio(|f| f.cpu_s), ratio(|f| f.wall_s));
        for (engine, runs, ratios) in [("Flott", own, None), (name, other, Some(ratios))] {
            let line = line(job, engine, &median(&runs), ratios);
            say(&line);
            self.lines.push(line);
        }
    }

    pub(super) fn text(&self) -> String {
        let mut all = vec![String::new()];
        all.extend(self.lines.iter().cloned());
        all.push(String::new());
        all.extend(self.skipped.iter().cloned());
        all.join("\n")
    }
}

fn line(job: &str, engine: &str, m: &Figures, ratios: Option<(f64, f64)>) -> String {
    let rate = m.rate().map_or(String::new(), |r| if r < 10.0 { format!("{r:.2}") } else { format!("{r:.1}") });
    let (cpu, wall) =
        ratios.map_or((String::new(), String::new()), |(cpu, wall)| (format!("{cpu:.1} x"), format!("{wall:.1} x")));
    format!(
        "| {job} | {engine} | {} | {:.2} | {:.2} | {:.0} | {rate} | {cpu} | {wall} |",
        m.rows, m.wall_s, m.cpu_s, m.rss_mb
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_pairs_and_per_row() {
        let run = |rows, cpu_s| Figures { rows, wall_s: cpu_s, cpu_s, rss_mb: 10.0 };
        let mut table = Table::new();
        // The machine was half as fast in the second pair.
        table.add("job", "Other", &[(run(100, 1.0), run(50, 5.0)), (run(100, 2.0), run(50, 10.0))]);
        assert!(table.lines[3].ends_with("| 10.0 x | 10.0 x |"), "{:?}", table.lines);
        assert!(table.lines[2].starts_with("| job | Flott | 100 | 1.00 |"), "{:?}", table.lines);
    }

    #[test]
    fn a_wrong_output_is_named() {
        let folder = std::env::temp_dir().join(format!("flott-peers-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let file = folder.join("part");
        let expected: Windows = [(("2024-01-01 00:00:00".to_string(), 1), (2, 3))].into();
        fs::write(&file, "2024-01-01T00:00:00,1,2,3\n").expect("written");
        assert_eq!(check("Other", &folder, &expected), Ok(()));
        fs::write(&file, "2024-01-01T00:00:00,1,2,4\n").expect("written");
        assert!(check("Other", &folder, &expected).expect_err("wrong").contains("not Some"));
        fs::write(&file, "").expect("written");
        assert!(check("Other", &folder, &expected).is_err());
        fs::remove_dir_all(&folder).expect("removed");
    }
}
