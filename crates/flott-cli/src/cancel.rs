//! `flott cancel`

use clap::Args;
use flott::control::RunningJob;

use crate::exit::Failure;
use crate::output;
use crate::remote::{self, JobArg};

#[derive(Args)]
pub(crate) struct CancelArgs {
    #[command(flatten)]
    job: JobArg,
}

/// Ends a running job at once. Its checkpoints stay.
pub(crate) fn cancel(args: &CancelArgs) -> Result<(), Failure> {
    let name = remote::with_job(&args.job, async |job: RunningJob| {
        job.cancel().await?;
        Ok(job.description.name)
    })?;
    output::note(&format!(
        "Job '{name}' is cancelled. What was not committed is gone; checkpoints that it has taken stay."
    ));
    Ok(())
}
