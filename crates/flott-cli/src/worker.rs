//! `flott worker`: one process of a job that `flott run --processes N` has started. Not for people.

use std::io::{BufRead, Read};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use flott::{Error, ErrorKind, FailPoints, Processes, Result};
use tokio::sync::oneshot;

use crate::exit::Failure;
use crate::interrupts::Interrupts;
use crate::script;

/// The longest invitation.
const INVITATION_BYTES_MAX: u64 = 4 << 10;
/// For a worker whose coordinator is gone, or has another in its place.
const FENCED: i32 = 3;

/// The program that runs, also where its file has been replaced since it was started.
fn executable() -> Result<PathBuf> {
    let running = PathBuf::from("/proc/self/exe");
    if running.exists() {
        return Ok(running);
    }
    std::env::current_exe().map_err(|e| Error::unavailable("the program's own file cannot be found").caused_by(e))
}

/// What this program was built from: on one machine size and time of its file tell builds of a version apart.
fn build_id() -> Result<String> {
    let file = std::fs::metadata(executable()?)?;
    let modified = file.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Ok(format!("{}-{:x}-{:x}", env!("CARGO_PKG_VERSION"), file.len(), modified.as_nanos()))
}

/// How `run` starts the other processes of its jobs.
pub(crate) fn processes(count: usize) -> Result<Processes> {
    let executable = executable()?;
    Ok(Processes::new(count, build_id()?, move || {
        let mut command = Command::new(&executable);
        // Fail points are the coordinator's.
        command.arg0("flott").arg("worker").env_remove("FLOTT_FAILPOINT");
        crate::allocator::tell(&mut command);
        command
    }))
}

pub(crate) fn run() -> Result<ExitCode, Failure> {
    let runtime = script::runtime()?;
    let done = runtime.block_on(async {
        // A terminal and a service manager tell all processes at once; when it is over is for the coordinator to say.
        let mut interrupts = Interrupts::listen()?;
        tokio::spawn(async move {
            loop {
                interrupts.next().await;
            }
        });
        let invitation = invitation().await?;
        flott::run_worker(&invitation, &build_id()?, None, fail_points()).await
    });
    let code = match done {
        Ok(()) => 0,
        Err(e) if e.kind() == ErrorKind::Fenced => {
            tracing::warn!(error = %e, "this worker process ends");
            FENCED
        }
        Err(e) => {
            crate::output::error(&e);
            1
        }
    };
    // At once: what is open belongs to an attempt that is over, and closing it could add to what its successor writes.
    std::process::exit(code)
}

/// For the kill harness: where the first worker is to stop. One that takes its place runs on.
fn fail_points() -> FailPoints {
    let (Ok(point), Ok(report)) =
        (std::env::var("FLOTT_WORKER_FAILPOINT"), std::env::var("FLOTT_WORKER_FAILPOINT_REPORT"))
    else {
        return FailPoints::none();
    };
    if PathBuf::from(&report).exists() {
        return FailPoints::none();
    }
    FailPoints::armed(&point, report).unwrap_or_default()
}

/// The first line of the standard input. Its end is the end of the coordinator, however that came: this process ends too.
async fn invitation() -> Result<String> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        let mut line = String::new();
        let read = input.by_ref().take(INVITATION_BYTES_MAX).read_line(&mut line);
        let known = read.is_ok() && line.ends_with('\n');
        // Whoever waits for it is in this process.
        drop(sender.send(if known { line } else { String::new() }));
        if known {
            drop(std::io::copy(&mut input, &mut std::io::sink()));
            std::process::exit(FENCED);
        }
    });
    receiver.await.map_err(|e| Error::internal("the standard input cannot be read").caused_by(e))
}
