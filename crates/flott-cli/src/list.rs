//! `flott list`

use chrono::DateTime;
use flott::Error;
use flott::control::{self, JobDescription, Listing};

use crate::exit::Failure;
use crate::{output, table};

/// Prints the user's running jobs, the oldest first.
pub(crate) fn list() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Error::unavailable("the runtime cannot be started").caused_by(e))?;
    let Listing { jobs, silent } = runtime.block_on(control::listing()).map_err(Failure::of_job)?;
    if jobs.is_empty() {
        output::note(&match silent {
            0 => "No job is running.".to_string(),
            n => format!("No job answers; {n} that run do not answer."),
        });
        return Ok(());
    }
    let names = ["job id", "job name", "status", "start time", "checkpoint", "process"].map(str::to_string);
    let rows: Vec<Vec<Option<String>>> = jobs.iter().map(|job| row(&job.description)).collect();
    Ok(output::out(&table::of_texts(&names, &rows))?)
}

/// Flink's columns of SHOW JOBS, and two more.
fn row(job: &JobDescription) -> Vec<Option<String>> {
    let started = DateTime::from_timestamp_millis(job.started_ms);
    vec![
        Some(job.id.clone()),
        Some(job.name.clone()),
        Some(job.status.clone()),
        started.map(|t| t.format("%Y-%m-%dT%H:%M:%S%.3f").to_string()),
        job.last_checkpoint.map(|c| c.to_string()),
        Some(job.pid.to_string()),
    ]
}
