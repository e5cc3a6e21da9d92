//! `flott list`

use chrono::DateTime;
use clap::{Args, ValueEnum};
use flott::Error;
use flott::control::{self, JobDescription, Listing};

use crate::exit::Failure;
use crate::{output, table};

#[derive(Args)]
pub(crate) struct ListArgs {
    /// How to print them
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// An array with an object for each job
    Json,
}

/// Prints the user's running jobs, the oldest first.
pub(crate) fn list(args: &ListArgs) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Error::unavailable("the runtime cannot be started").caused_by(e))?;
    let Listing { jobs, silent } = runtime.block_on(control::listing()).map_err(Failure::of_job)?;
    if args.format == Format::Json {
        let all: Vec<&JobDescription> = jobs.iter().map(|job| &job.description).collect();
        let json = serde_json::to_string_pretty(&all).map_err(|e| Error::internal("no JSON").caused_by(e))?;
        return Ok(output::out(&format!("{json}\n"))?);
    }
    if jobs.is_empty() {
        output::note(&match silent {
            0 => "No job is running.".to_string(),
            n => format!("No job answers; {n} that run do not answer."),
        });
        return Ok(());
    }
    let names =
        ["job id", "job name", "status", "start time", "checkpoint", "process", "checkpoints in"].map(str::to_string);
    let rows: Vec<Vec<Option<String>>> = jobs.iter().map(|job| row(&job.description)).collect();
    Ok(output::out(&table::of_texts(&names, &rows))?)
}

/// Flink's columns of SHOW JOBS, and three more.
fn row(job: &JobDescription) -> Vec<Option<String>> {
    let started = DateTime::from_timestamp_millis(job.started_ms);
    vec![
        Some(job.id.clone()),
        Some(job.name.clone()),
        Some(job.status.clone()),
        started.map(|t| t.format("%Y-%m-%dT%H:%M:%S%.3f").to_string()),
        job.last_checkpoint.map(|c| c.to_string()),
        Some(job.pid.to_string()),
        job.checkpoints.clone(),
    ]
}
