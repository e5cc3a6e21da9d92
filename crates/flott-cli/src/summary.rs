//! `--summary FILE`: what a run did and what it took, as JSON.

use std::path::Path;
use std::sync::Arc;

use flott::{Error, Job, JobOutcome, Result};
use flott_core::clock::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::output;

/// Collects what a run did.
pub(crate) struct Summary {
    clock: Arc<dyn Clock>,
    jobs: Vec<Value>,
}

impl Summary {
    pub(crate) fn start() -> Summary {
        Summary { clock: SystemClock::shared(), jobs: vec![] }
    }

    pub(crate) fn add(&mut self, job: &Job, outcome: &Result<JobOutcome>) {
        let (metrics, graph) = (job.handle.metrics(), job.handle.graph());
        let status = match outcome {
            Ok(JobOutcome::Finished(_)) => "FINISHED",
            Ok(JobOutcome::Suspended(_)) => "SUSPENDED",
            Ok(JobOutcome::Cancelled(_)) => "CANCELED",
            Err(_) => "FAILED",
        };
        let operators: Vec<Value> = graph
            .iter()
            .map(|(id, node)| {
                let rows = metrics.lasting(id.0);
                json!({
                    "name": node.name,
                    "numRecordsIn": rows.records_in,
                    "numRecordsOut": rows.records_out,
                    "numRecordsInErrors": rows.records_skipped,
                    "numLateRecordsDropped": rows.late_records_dropped,
                    "backPressuredTimeMs": metrics.sum(id.0, |m| &m.back_pressured_ms),
                })
            })
            .collect();
        let state = job.handle.state();
        self.jobs.push(json!({
            "name": job.name,
            "status": status,
            "rows_in": rows_in(job),
            "rows_out": rows_out(job),
            "late_records_dropped": graph.iter().map(|(id, _)| metrics.lasting(id.0).late_records_dropped).sum::<u64>(),
            "checkpoints": state.checkpoints,
            "last_checkpoint": state.last_checkpoint.map(|c| c.0),
            "restored_checkpoint": job.restored,
            "restarts": state.restarts,
            "operators": operators,
        }));
    }

    /// Whether the file can be written; makes it where it is not there.
    pub(crate) fn check(file: &Path) -> Result<()> {
        if is_stdout(file) {
            return Ok(());
        }
        let opened = std::fs::OpenOptions::new().create(true).append(true).open(file);
        opened.map(drop).map_err(|e| Error::from(e).with("summary", file.display()))
    }

    pub(crate) fn write(&self, file: &Path, error: Option<&Error>) -> Result<()> {
        let value = json!({
            "jobs": self.jobs,
            "error": error.map(|e| json!({
                "kind": e.kind().code(),
                "message": e.to_string(),
            })),
            "wall_ms": self.clock.monotonic().as_secs_f64() * 1e3,
            "cpu_ms": cpu_ms(),
            "peak_rss_bytes": peak_rss_bytes(),
        });
        let text = serde_json::to_string_pretty(&value).map_err(|e| Error::internal("no summary").caused_by(e))?;
        if is_stdout(file) {
            return output::out(&(text + "\n"));
        }
        std::fs::write(file, text + "\n").map_err(|e| Error::from(e).with("file", file.display()))
    }
}

fn is_stdout(file: &Path) -> bool {
    file.as_os_str() == "-"
}

/// Rows that a job's sources have read. As everything here without those of attempts that were thrown away: they are read
/// again by the next one.
pub(crate) fn rows_in(job: &Job) -> u64 {
    let metrics = job.handle.metrics();
    job.handle.graph().sources().map(|(id, _)| metrics.lasting(id.0).records_out).sum()
}

/// Rows that a job's sinks have been given.
pub(crate) fn rows_out(job: &Job) -> u64 {
    let metrics = job.handle.metrics();
    job.handle.graph().sinks().map(|(id, _)| metrics.lasting(id.0).records_in).sum()
}

/// CPU time of this process; the kernel counts it in hundredths of a second.
fn cpu_ms() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(ticks * 10)
}

fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}
