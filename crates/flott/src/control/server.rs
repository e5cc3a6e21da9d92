//! The job's end of its socket.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flott_cluster::{SavepointInfo, SavepointTarget, StopMode};
use flott_core::{Error, Result};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

use super::directory;
use super::protocol::{
    self, Ask, FRAME_TIMEOUT, JobDescription, REPLY_BYTES_MAX, REQUEST_BYTES_MAX, Reply, Request, StoredSavepoint,
    VERSION,
};
use crate::jobs::KnownJob;
use crate::metrics::RATE_INTERVAL;

/// Connections at a time; more wait.
const CONNECTIONS_MAX: usize = 16;
/// Between a failure to let somebody in and the next try.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The longest that the end of a job waits for answers to be taken.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// A socket in its folder, which goes with this value.
#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        directory::remove_stale(&self.0);
    }
}

/// A job that listens. Dropped, it listens no more.
pub(crate) struct ControlSocket(JoinHandle<()>);

impl ControlSocket {
    /// Waits until everybody who asked has an answer; the job has ended.
    pub(crate) async fn answered(&mut self) {
        drop(tokio::time::timeout(LAST_ANSWERS, &mut self.0).await);
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Listens for a job until it has ended.
pub(crate) fn serve(job: KnownJob, checkpoints: Option<String>) -> Result<ControlSocket> {
    let path = directory::socket_of(job.client().id())?;
    let listener = listen(&path).map_err(|e| Error::from(e).with("socket", path.display()))?;
    let file = SocketFile(path);
    Ok(ControlSocket(tokio::spawn(async move {
        accept(listener, job, checkpoints.map(Arc::from)).await;
        drop(file);
    })))
}

/// It gets its name once it listens: nobody takes it for one that was left behind.
fn listen(path: &Path) -> std::io::Result<UnixListener> {
    let unnamed = path.with_extension("new");
    directory::remove_stale(&unnamed);
    let listener = UnixListener::bind(&unnamed)?;
    std::fs::set_permissions(&unnamed, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&unnamed, path)?;
    Ok(listener)
}

async fn accept(listener: UnixListener, job: KnownJob, checkpoints: Option<Arc<str>>) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut answers = JoinSet::new();
    let mut samples = tokio::time::interval(RATE_INTERVAL);
    let ended = job.client().clone();
    let mut ended = Box::pin(async move { ended.ended().await });
    loop {
        tokio::select! {
            () = &mut ended => break,
            _ = samples.tick() => job.meter.sample(),
            Some(_) = answers.join_next() => {}
            accepted = listener.accept() => {
                let stream = match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        after_failed_accept(&error).await;
                        continue;
                    }
                };
                let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { break };
                let (job, checkpoints) = (job.clone(), checkpoints.clone());
                answers.spawn(async move {
                    if let Err(error) = answer(stream, &job, checkpoints.as_deref()).await {
                        tracing::debug!(%error, "a request over the control socket came to nothing");
                    }
                    drop(permit);
                });
            }
        }
    }
    drop(listener);
    while answers.join_next().await.is_some() {}
}

/// A listener that fails (no file handle is left, most often) fails again at once.
pub(crate) async fn after_failed_accept(error: &std::io::Error) {
    tracing::debug!(%error, "nobody can be let in for a moment");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

async fn answer(mut stream: UnixStream, job: &KnownJob, checkpoints: Option<&str>) -> Result<()> {
    // The folder keeps others out already.
    if stream.peer_cred()?.uid() != directory::uid() {
        return Err(Error::user("another user has asked"));
    }
    let read = tokio::time::timeout(FRAME_TIMEOUT, protocol::read::<Request>(&mut stream, REQUEST_BYTES_MAX)).await;
    let request = match read.map_err(|_| Error::unavailable("no request came"))? {
        Ok(Some(request)) => Ok(request),
        // Somebody looked whether anybody listens.
        Ok(None) => return Ok(()),
        Err(e) => Err(e),
    };
    let reply = match request {
        Ok(Request { version, .. }) if version != VERSION => Reply::failed(
            &Error::user(format!("the request has version {version}; the job's process knows version {VERSION}"))
                .hint("Use the same build of Flott as the job"),
        ),
        Ok(Request { ask, .. }) => act(ask, job, checkpoints).await.unwrap_or_else(|e| Reply::failed(&e)),
        Err(e) => Reply::failed(&e),
    };
    protocol::write(&mut stream, &reply, REPLY_BYTES_MAX).await
}

async fn act(ask: Ask, job: &KnownJob, checkpoints: Option<&str>) -> Result<Reply> {
    let target = |directory: Option<String>| directory.map_or(SavepointTarget::Configured, SavepointTarget::In);
    match ask {
        Ask::Describe => Ok(Reply::Job(describe(job, checkpoints))),
        Ask::Metrics => Ok(Reply::Metrics(job.meter.report())),
        Ask::Watermarks => Ok(Reply::Watermarks(job.meter.watermarks())),
        Ask::Savepoint { directory } => Ok(Reply::Savepoint(stored(job.client().savepoint(target(directory)).await?))),
        Ask::Stop { drain, savepoint, directory } => {
            let savepoint = savepoint.then(|| target(directory));
            let taken = job.client().stop(StopMode { drain, savepoint }).await?;
            Ok(Reply::Stopped { status: job.state().status.name().to_string(), savepoint: taken.map(stored) })
        }
        Ask::Cancel => {
            job.client().cancel().await;
            Ok(Reply::Cancelling)
        }
    }
}

fn stored(s: SavepointInfo) -> StoredSavepoint {
    StoredSavepoint { checkpoint: s.checkpoint, location: s.location, bytes: s.bytes }
}

fn describe(job: &KnownJob, checkpoints: Option<&str>) -> JobDescription {
    let state = job.state();
    JobDescription {
        id: job.client().id().to_string(),
        name: job.name.to_string(),
        status: state.status.name().to_string(),
        started_ms: state.started_ms,
        pid: std::process::id(),
        checkpoints: checkpoints.map(str::to_string),
        last_checkpoint: state.last_checkpoint.map(|c| c.0),
        restarts: state.restarts,
    }
}

#[cfg(test)]
mod tests {
    use flott_core::clock::SystemClock;

    use super::*;

    #[tokio::test]
    async fn a_listener_that_fails_is_not_asked_again_at_once() {
        let clock = SystemClock::shared();
        let begun = clock.monotonic();
        after_failed_accept(&std::io::Error::other("no file handle is left")).await;
        assert!(clock.monotonic() - begun >= ACCEPT_PAUSE);
    }
}
