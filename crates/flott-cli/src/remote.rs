//! What the commands share that speak to a running job.

use std::path::Path;

use clap::Args;
use flott::control::{self, RunningJob};
use flott::{Error, ErrorKind, SavepointInfo};

use crate::exit::Failure;
use crate::output;

/// Which job.
#[derive(Args)]
pub(crate) struct JobArg {
    /// Its name, the first digits of its id, or its process (`flott list` shows them)
    job: String,
}

/// Does something about a running job; a word that fits none, or more than one, is the argument's mistake.
pub(crate) fn with_job<T>(arg: &JobArg, act: impl AsyncFnOnce(RunningJob) -> flott::Result<T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Error::unavailable("the runtime cannot be started").caused_by(e))?;
    runtime.block_on(async {
        let job = control::find(&arg.job).await.map_err(|e| match e.kind() {
            ErrorKind::User => Failure::of_arguments(e),
            _ => Failure::of_job(e),
        })?;
        act(job).await.map_err(Failure::of_job)
    })
}

/// A directory as the job is to understand it: it has another working folder than this command.
pub(crate) fn directory(text: &str) -> Result<String, Failure> {
    if text.trim().is_empty() {
        let error = Error::user("the directory for the savepoint has no name")
            .hint("Name one, or leave it out where the job has 'execution.checkpointing.savepoint-dir'");
        return Err(Failure::of_arguments(error));
    }
    if text.contains("://") {
        return Ok(text.to_string());
    }
    let absolute = std::path::absolute(Path::new(text)).map_err(|e| Failure::of_arguments(e.into()))?;
    let absolute = absolute.to_str().ok_or_else(|| Failure::of_arguments(Error::user("the directory is not UTF-8")))?;
    Ok(absolute.to_string())
}

/// Where a savepoint lies: for scripts on stdout, with what to do with it on stderr.
pub(crate) fn tell(job: &str, savepoint: &SavepointInfo) -> Result<(), Failure> {
    output::note(&format!(
        "Savepoint of job '{job}' at checkpoint {}, {} bytes. Start from it with: flott run .. --restore {}",
        savepoint.checkpoint, savepoint.bytes, savepoint.location
    ));
    Ok(output::out(&format!("{}\n", savepoint.location))?)
}
