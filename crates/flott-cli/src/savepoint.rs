//! `flott savepoint`

use clap::Args;
use flott::control::RunningJob;

use crate::exit::Failure;
use crate::remote::{self, JobArg};

#[derive(Args)]
pub(crate) struct SavepointArgs {
    #[command(flatten)]
    job: JobArg,
    /// Where to put its folder, from the current folder on; the job's execution.checkpointing.savepoint-dir where it is not said
    directory: Option<String>,
}

/// Takes a savepoint of a running job, which goes on. Prints where it lies.
pub(crate) fn savepoint(args: &SavepointArgs) -> Result<(), Failure> {
    let directory = args.directory.as_deref().map(remote::directory).transpose()?;
    let (name, savepoint) = remote::with_job(&args.job, async |job: RunningJob| {
        let savepoint = job.savepoint(directory).await?;
        Ok((job.description.name, savepoint))
    })?;
    remote::tell(&name, &savepoint)
}
