//! `flott stop`

use clap::Args;
use flott::Error;
use flott::control::RunningJob;

use crate::exit::Failure;
use crate::output;
use crate::remote::{self, JobArg};

#[derive(Args)]
pub(crate) struct StopArgs {
    #[command(flatten)]
    job: JobArg,
    /// End the sources as if their input had ended: all windows fire, and the job is finished
    #[arg(long)]
    drain: bool,
    /// Take a savepoint, in a folder below this directory or below the job's execution.checkpointing.savepoint-dir
    #[arg(long, value_name = "DIR", num_args = 0..=1, conflicts_with = "no_savepoint")]
    savepoint: Option<Option<String>>,
    /// Take a last checkpoint only, from which --restore latest goes on; this is so where nothing is said
    #[arg(long)]
    no_savepoint: bool,
}

/// Stops a running job and waits for its end. Prints where the savepoint lies.
pub(crate) fn stop(args: &StopArgs) -> Result<(), Failure> {
    let savepoint = match &args.savepoint {
        None => None,
        Some(None) => Some(None),
        Some(Some(directory)) => Some(Some(remote::directory(directory)?)),
    };
    let (name, status, savepoint) = remote::with_job(&args.job, async |job: RunningJob| {
        if job.description.checkpoints.is_none() && !args.drain && savepoint.is_none() {
            return Err(keeps_none(&job.description.name));
        }
        let (status, savepoint) = job.stop(args.drain, savepoint).await?;
        Ok((job.description.name, status, savepoint))
    })?;
    output::note(&format!("Job '{name}' has ended: {status}."));
    match savepoint {
        Some(savepoint) => remote::tell(&name, &savepoint),
        None => Ok(()),
    }
}

/// A stop promises that the job can go on; the end of one that cannot is for its user to want.
fn keeps_none(job: &str) -> Error {
    Error::user(format!(
        "job '{job}' keeps no checkpoints, so that no last one can be taken: it is bounded, and its sinks show rows at once"
    ))
    .hint(format!(
        "It goes on; flott cancel {job} ends it as it is. SET 'execution.checkpointing.interval' before its INSERT lets \
         it be stopped and go on"
    ))
}
