//! What a run took, and runs of the release binary.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{Failure, root, run as run_command};

/// Of one run.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Figures {
    pub(super) rows: u64,
    pub(super) wall_s: f64,
    /// Of the engine's processes, all threads.
    pub(super) cpu_s: f64,
    pub(super) rss_mb: f64,
}

impl Figures {
    /// Rows per second of CPU time, in millions. The clock of a process that has ended ticks every 10 ms: there is no
    /// rate for a job that is over before.
    pub(super) fn rate(&self) -> Option<f64> {
        (self.cpu_s > 0.0).then(|| self.rows as f64 / self.cpu_s / 1e6)
    }
}

/// The middle one of each figure.
pub(super) fn median(runs: &[Figures]) -> Figures {
    let of = |f: fn(&Figures) -> f64| middle(runs.iter().map(f).collect());
    Figures {
        rows: runs.first().map_or(0, |r| r.rows),
        wall_s: of(|r| r.wall_s),
        cpu_s: of(|r| r.cpu_s),
        rss_mb: of(|r| r.rss_mb),
    }
}

pub(super) fn middle(values: Vec<f64>) -> f64 {
    percentile(values, 0.5)
}

/// The least value that has this share of all at or below it.
pub(super) fn percentile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (values.len() as f64 * share).ceil() as usize;
    values.get(at.clamp(1, values.len().max(1)) - 1).copied().unwrap_or(f64::NAN)
}

/// How the binary is run.
#[derive(Clone)]
pub(super) struct Flott {
    pub(super) binary: PathBuf,
    /// Scripts, input, output.
    pub(super) folder: PathBuf,
}

impl Flott {
    /// Builds it, unless one is named.
    pub(super) fn new(binary: Option<PathBuf>) -> Result<Flott, Failure> {
        let folder = root().join(".bench");
        fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
        let binary = match binary {
            Some(binary) => binary.canonicalize().map_err(|e| format!("{}: {e}", binary.display()))?,
            None => {
                run_command("cargo", &["build", "--release", "--quiet", "--locked", "-p", "flott-cli"])?;
                root().join("target/release/flott")
            }
        };
        Ok(Flott { binary, folder })
    }

    /// Writes a script into the folder.
    pub(super) fn script(&self, name: &str, text: &str) -> Result<PathBuf, Failure> {
        let file = self.folder.join(format!("{name}.sql"));
        fs::write(&file, text).map_err(|e| format!("{}: {e}", file.display()))?;
        Ok(file)
    }

    /// `flott run` of a script from the start.
    pub(super) fn command(&self, script: &Path, workers: usize) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg("run").arg(script).args(["--fresh", "-p", &workers.to_string()]).current_dir(&self.folder);
        command
    }

    /// One run to the end. Wall time is that from exec to exit.
    pub(super) fn once(&self, script: &Path, workers: usize, cores: Cores, rows: u64) -> Result<Figures, Failure> {
        self.counted(script, workers, cores, rows).map(|(figures, _)| figures)
    }

    /// The same, with the number of rows that the sinks were given.
    pub(super) fn counted(
        &self,
        script: &Path,
        workers: usize,
        cores: Cores,
        rows: u64,
    ) -> Result<(Figures, u64), Failure> {
        let summary = self.folder.join("summary.json");
        // That of the run before, if there is one, must not count for this one.
        drop(fs::remove_file(&summary));
        let mut command = self.command(script, workers);
        command.arg("--summary").arg(&summary);
        let mut command = cores.pin(command);
        let begun = now();
        let output = command.output().map_err(|e| format!("{}: {e}", self.binary.display()))?;
        let wall_s = begun.elapsed().as_secs_f64();
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let text = fs::read_to_string(&summary).map_err(|e| e.to_string())?;
        let v: Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
        let number = |key: &str| v[key].as_f64().ok_or_else(|| format!("the summary has no '{key}'"));
        let written = v["jobs"].as_array().into_iter().flatten().filter_map(|j| j["rows_out"].as_u64()).sum();
        let figures = Figures { rows, wall_s, cpu_s: number("cpu_ms")? / 1e3, rss_mb: number("peak_rss_bytes")? / 1e6 };
        Ok((figures, written))
    }
}

/// Which cores a run may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cores {
    All,
    /// The first one only.
    One,
}

impl Cores {
    /// The command, held to these cores.
    pub(super) fn pin(self, command: Command) -> Command {
        if self == Cores::All {
            return command;
        }
        let mut pinned = Command::new("taskset");
        pinned.args(["-c", "0"]).arg(command.get_program()).args(command.get_args());
        if let Some(folder) = command.get_current_dir() {
            pinned.current_dir(folder);
        }
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                pinned.env(name, value);
            }
        }
        pinned
    }
}

/// What a process that runs has taken so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    pub(super) cpu_s: f64,
    /// The most memory that it ever had.
    pub(super) rss_mb: f64,
}

/// Reads it from the kernel.
pub(super) fn taken(pid: u32) -> Result<Taken, Failure> {
    let read =
        |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).map_err(|e| format!("process {pid}: {e}"));
    let stat = read("stat")?;
    // The second field is a name in parentheses, which may have any characters.
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |f| f.1).split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|f| f.parse::<f64>().ok());
    let status = read("status")?;
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<f64>().ok());
    match (ticks(11), ticks(12), peak) {
        (Some(user), Some(system), Some(kb)) => Ok(Taken { cpu_s: (user + system) / 100.0, rss_mb: kb * 1024.0 / 1e6 }),
        _ => Err(format!("process {pid} is over")),
    }
}

/// Seconds that each of a process's threads with this name was ready and had no core, in the order of their names.
pub(super) fn waited_s(pid: u32, name: &str) -> Vec<f64> {
    let mut threads: Vec<(String, f64)> = vec![];
    for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let read = |file: &str| fs::read_to_string(task.path().join(file)).unwrap_or_default();
        let own = read("comm").trim().to_string();
        if own.starts_with(name) {
            // Time with a core, time without one while ready, both in ns.
            let waited = read("schedstat").split_whitespace().nth(1).and_then(|n| n.parse::<f64>().ok());
            threads.push((own, waited.unwrap_or(0.0) / 1e9));
        }
    }
    threads.sort_by(|a, b| a.0.cmp(&b.0));
    threads.into_iter().map(|t| t.1).collect()
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "a benchmark waits")]
pub(super) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(percentile(values.clone(), 0.5), 50.0);
        assert_eq!(percentile(values.clone(), 0.99), 99.0);
        assert_eq!(percentile(values, 1.0), 100.0);
        assert_eq!(middle(vec![3.0, 1.0, 2.0]), 2.0);
        assert!(middle(vec![]).is_nan());
    }

    #[test]
    fn a_process_shows_what_it_has_taken() {
        let own = taken(std::process::id()).expect("figures");
        assert!(own.rss_mb > 0.5 && own.cpu_s >= 0.0);
        assert!(taken(u32::MAX).is_err());
    }
}
