//! The end of those who ask a job in another process.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flott_cluster::SavepointInfo;
use flott_core::{Error, Result};
use tokio::net::UnixStream;

use super::directory;
use super::protocol::{
    self, Ask, FRAME_TIMEOUT, JobDescription, REPLY_BYTES_MAX, REQUEST_BYTES_MAX, Reply, Request, StoredSavepoint,
    VERSION,
};
use crate::metrics::MetricsReport;
use crate::watermarks::WatermarkReport;

/// The longest that a job may take for what it knows by heart.
const QUICK: Duration = Duration::from_secs(5);

/// A running job of this user, perhaps in another process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningJob {
    /// As it described itself.
    pub description: JobDescription,
    socket: PathBuf,
}

/// What was found of the user's jobs.
#[derive(Debug, Default)]
pub struct Listing {
    /// Those that can be controlled, in the order of their start.
    pub jobs: Vec<RunningJob>,
    /// Those whose processes are there and do not answer: nobody knows their names.
    pub silent: usize,
}

/// The user's running jobs that can be controlled, in the order of their start.
pub async fn list() -> Result<Vec<RunningJob>> {
    Ok(listing().await?.jobs)
}

/// The user's running jobs, and how many do not answer. Sockets that dead processes left are removed.
pub async fn listing() -> Result<Listing> {
    let mut jobs = vec![];
    let mut silent = 0;
    for socket in directory::sockets()? {
        match ask(&socket, Ask::Describe, Some(QUICK)).await {
            Ok(Some(Reply::Job(description))) => jobs.push(RunningJob { description, socket }),
            Ok(_) => {}
            // A process that is stopped holds its job, and nobody else.
            Err(error) => {
                silent += 1;
                tracing::warn!(%error, socket = %socket.display(), "a job does not answer");
            }
        }
    }
    jobs.sort_by(|a, b| {
        let key = |job: &RunningJob| (job.description.started_ms, job.description.id.clone());
        key(a).cmp(&key(b))
    });
    Ok(Listing { jobs, silent })
}

/// The one running job of this name, or whose id begins so.
pub async fn find(job: &str) -> Result<RunningJob> {
    choose(job, listing().await?)
}

fn choose(wanted: &str, listing: Listing) -> Result<RunningJob> {
    let Listing { jobs, silent } = listing;
    let listed = |jobs: &[RunningJob]| -> String {
        let one = |job: &RunningJob| format!("{} ({})", job.description.id, job.description.name);
        jobs.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    let all = listed(&jobs);
    let named: Vec<RunningJob> = jobs.iter().filter(|job| job.description.name == wanted).cloned().collect();
    let is_prefix = |job: &&RunningJob| !wanted.is_empty() && job.description.id.starts_with(wanted);
    let is_process = |job: &&RunningJob| job.description.pid.to_string() == wanted;
    let by_id: Vec<RunningJob> = jobs.iter().filter(is_prefix).cloned().collect();
    let found = match (named.is_empty(), by_id.is_empty()) {
        (false, _) => named,
        (true, false) => by_id,
        (true, true) => jobs.iter().filter(is_process).cloned().collect(),
    };
    match <[RunningJob; 1]>::try_from(found) {
        Ok([job]) => Ok(job),
        Err(found) if found.is_empty() => {
            if silent > 0 {
                return Err(Error::unavailable(format!(
                    "no job '{wanted}' answers, and {silent} that run do not answer"
                ))
                .hint("It may be one of those: a process that is stopped (SIGSTOP) goes on with kill -CONT"));
            }
            Err(Error::user(format!("no job '{wanted}' is running")).hint(if all.is_empty() {
                "No job of this user is running; one that has ended or was stopped goes on with flott run .. --restore"
                    .to_string()
            } else {
                format!("Running are: {all}")
            }))
        }
        Err(found) => Err(Error::user(format!("more than one job is called '{wanted}': {}", listed(&found)))
            .hint("Name it by its id, or by as many of its first digits as tell it from the others")),
    }
}

impl RunningJob {
    /// Takes a savepoint and waits until it is written. `directory` is absolute or a URI; the job's own setting where it
    /// is not said.
    pub async fn savepoint(&self, directory: Option<String>) -> Result<SavepointInfo> {
        match self.ask(Ask::Savepoint { directory }, None).await? {
            Reply::Savepoint(savepoint) => Ok(info(savepoint)),
            other => Err(unexpected(&other)),
        }
    }

    /// Stops the job and waits for its end; gives its last status and the savepoint. `savepoint` says whether one is
    /// taken, and where.
    pub async fn stop(
        &self,
        drain: bool,
        savepoint: Option<Option<String>>,
    ) -> Result<(String, Option<SavepointInfo>)> {
        let ask = Ask::Stop { drain, savepoint: savepoint.is_some(), directory: savepoint.flatten() };
        match self.ask(ask, None).await? {
            Reply::Stopped { status, savepoint } => Ok((status, savepoint.map(info))),
            other => Err(unexpected(&other)),
        }
    }

    /// Asks the job to end now, and waits until it no longer listens.
    pub async fn cancel(&self) -> Result<()> {
        self.ask(Ask::Cancel, Some(QUICK)).await?;
        while UnixStream::connect(&self.socket).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// What it measures.
    pub async fn metrics(&self) -> Result<MetricsReport> {
        match self.ask(Ask::Metrics, Some(QUICK)).await? {
            Reply::Metrics(report) => Ok(report),
            other => Err(unexpected(&other)),
        }
    }

    /// How far event time has come, and what holds it back.
    pub async fn watermarks(&self) -> Result<WatermarkReport> {
        match self.ask(Ask::Watermarks, Some(QUICK)).await? {
            Reply::Watermarks(report) => Ok(report),
            other => Err(unexpected(&other)),
        }
    }

    async fn ask(&self, what: Ask, patience: Option<Duration>) -> Result<Reply> {
        let name = &self.description.name;
        let reply = ask(&self.socket, what, patience).await.map_err(|e| e.with("job", name))?;
        reply.ok_or_else(|| {
            Error::unavailable(format!("job '{name}' ended before it answered"))
                .hint("Its own output says how it ended; what it had decided stays")
        })
    }
}

fn info(s: StoredSavepoint) -> SavepointInfo {
    SavepointInfo { checkpoint: s.checkpoint, location: s.location, bytes: s.bytes }
}

fn unexpected(reply: &Reply) -> Error {
    Error::unavailable(format!("the job answered something else: {reply:?}"))
}

/// One request; `None` where nobody listens, or whoever listened is gone without an answer.
async fn ask(socket: &Path, ask: Ask, patience: Option<Duration>) -> Result<Option<Reply>> {
    let connected = tokio::time::timeout(FRAME_TIMEOUT, UnixStream::connect(socket)).await;
    let mut stream = match connected.map_err(|_| silent())? {
        Ok(stream) => stream,
        Err(e) if e.kind() == ErrorKind::ConnectionRefused => {
            directory::remove_stale(socket);
            return Ok(None);
        }
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::from(e).with("socket", socket.display())),
    };
    if stream.peer_cred()?.uid() != directory::uid() {
        return Err(Error::user("another user listens there").with("socket", socket.display()));
    }
    protocol::write(&mut stream, &Request { version: VERSION, ask }, REQUEST_BYTES_MAX).await?;
    let reading = protocol::read::<Reply>(&mut stream, REPLY_BYTES_MAX);
    let read = match patience {
        Some(patience) => tokio::time::timeout(patience, reading).await.map_err(|_| silent())?,
        // The job's own time-outs end it.
        None => reading.await,
    };
    match read {
        Ok(reply) => reply.map(Reply::into_result).transpose(),
        Err(e) if e.kind() == flott_core::ErrorKind::Data => Err(e),
        // The process has gone.
        Err(_) => Ok(None),
    }
}

fn silent() -> Error {
    Error::unavailable("the job's process does not answer")
        .hint("It may be stopped (SIGSTOP) or overloaded; try again, or end the process")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(id: &str, name: &str) -> RunningJob {
        let description = JobDescription {
            id: id.to_string(),
            name: name.to_string(),
            status: "RUNNING".to_string(),
            started_ms: 0,
            pid: 1,
            checkpoints: None,
            last_checkpoint: None,
            restarts: 0,
        };
        RunningJob { description, socket: PathBuf::new() }
    }

    #[test]
    fn a_job_is_named_by_its_name_or_the_beginning_of_its_id() {
        let jobs = || vec![job("ab12", "a"), job("ab34", "b"), job("cd56", "b"), job("ef78", "cd")];
        let id = |wanted: &str| choose(wanted, Listing { jobs: jobs(), silent: 0 }).map(|j| j.description.id);
        assert_eq!(id("a").expect("a name"), "ab12");
        assert_eq!(id("ab3").expect("a beginning"), "ab34");
        assert_eq!(id("cd").expect("a name counts before a beginning"), "ef78");
        let two = id("b").expect_err("two of that name").to_string();
        assert!(two.contains("ab34 (b), cd56 (b)"), "{two}");
        assert!(id("ab").expect_err("two ids begin so").to_string().contains("ab12 (a), ab34 (b)"));
        let none = id("x").expect_err("none").to_string();
        assert!(none.contains("no job 'x' is running") && none.contains("ef78 (cd)"), "{none}");
        assert!(id("").is_err());
        let none = |silent| choose("x", Listing { jobs: vec![], silent }).expect_err("none").to_string();
        assert!(none(0).contains("No job of this user is running"));
        assert!(none(1).contains("1 that run do not answer") && none(1).contains("SIGSTOP"), "{}", none(1));
    }
}
