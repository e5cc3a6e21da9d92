//! `flott stop`

use clap::Args;
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
        let (status, savepoint) = job.stop(args.drain, savepoint).await?;
        Ok((job.description.name, status, savepoint))
    })?;
    output::note(&format!("Job '{name}' has ended: {status}."));
    match savepoint {
        Some(savepoint) => remote::tell(&name, &savepoint),
        None => Ok(()),
    }
}
