//! `flott watermarks`

use clap::{Args, ValueEnum};
use flott::Error;
use flott::control::RunningJob;

use crate::exit::Failure;
use crate::output;
use crate::remote::{self, JobArg};

#[derive(Args)]
pub(crate) struct WatermarksArgs {
    #[command(flatten)]
    job: JobArg,
    /// How to print them
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One object
    Json,
}

/// Prints how far event time has come in a running job, since when, what holds it back and what is emitted next.
pub(crate) fn watermarks(args: &WatermarksArgs) -> Result<(), Failure> {
    let report = remote::with_job(&args.job, async |job: RunningJob| job.watermarks().await)?;
    let text = match args.format {
        Format::Text => report.text(),
        Format::Json => {
            let json = serde_json::to_string_pretty(&report);
            json.map_err(|e| Error::internal("no JSON").caused_by(e))? + "\n"
        }
    };
    Ok(output::out(&text)?)
}
