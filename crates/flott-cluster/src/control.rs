//! What users want of a running job, and how it stands: the handle, and the other end of its channel.

use std::ops::Deref;
use std::sync::Arc;

use flott_core::{CheckpointId, Error, Result, id};
use flott_graph::{JobGraph, OperatorSpec};
use flott_runtime::metrics::JobMetrics;
use flott_state::CheckpointStorage;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::status::JobStatus;

/// Wishes of users that may wait.
const CONTROL_QUEUE: usize = 16;

/// Opens a new, empty folder of this name for a savepoint: below the directory that is named, or else the configured one.
pub type OpenSavepoint = Arc<dyn Fn(Option<&str>, &str) -> Result<CheckpointStorage> + Send + Sync>;

/// How a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JobState {
    /// Whether it runs, and how it ended.
    pub status: JobStatus,
    /// When the job was started, in ms since the epoch.
    pub started_ms: i64,
    /// When the attempt that runs was started, in ms since the epoch.
    pub attempt_started_ms: i64,
    /// When the last attempt that failed did, in ms since the epoch.
    pub failed_ms: Option<i64>,
    /// When it ended, in ms since the epoch.
    pub ended_ms: Option<i64>,
    /// Checkpoints decided and committed since the job was started.
    pub checkpoints: u64,
    /// The last of them.
    pub last_checkpoint: Option<CheckpointId>,
    /// When it was committed, in ms since the epoch.
    pub last_checkpoint_ms: Option<i64>,
    /// When an attempt has gone on from a checkpoint for the last time, in ms since the epoch.
    pub restored_ms: Option<i64>,
    /// How long the last checkpoint took from trigger to commit, in ms.
    pub last_duration_ms: u64,
    /// Bytes of state in it.
    pub last_state_bytes: u64,
    /// Bytes of it that were written for it: the rest is in files of earlier checkpoints.
    pub last_new_bytes: u64,
    /// Checkpoints that came to nothing.
    pub failed_checkpoints: u64,
    /// Checkpoints that have begun and are neither committed nor given up: one at most.
    pub checkpoints_in_progress: u64,
    /// Attempts after the first.
    pub restarts: u64,
    /// The end that a user wanted, where the job has ended by that.
    pub ending: Option<Ending>,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobOutcome {
    /// All input is processed and committed.
    Finished(JobState),
    /// Stopped on purpose; a restore goes on from the last checkpoint.
    Suspended(JobState),
    /// Cancelled; what was not committed is gone.
    Cancelled(JobState),
}

impl JobOutcome {
    /// The last state.
    pub fn state(&self) -> JobState {
        match self {
            JobOutcome::Finished(s) | JobOutcome::Suspended(s) | JobOutcome::Cancelled(s) => *s,
        }
    }
}

/// A savepoint that is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavepointInfo {
    /// The checkpoint that it stands for.
    pub checkpoint: CheckpointId,
    /// Where it lies: what `--restore` takes.
    pub location: String,
    /// Bytes of all its files.
    pub bytes: u64,
}

/// Where a savepoint goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SavepointTarget {
    /// Below `execution.checkpointing.savepoint-dir`.
    #[default]
    Configured,
    /// Below this directory: a path from the job's folder on, or a URI.
    In(String),
}

/// How a job is stopped. The default takes a last checkpoint, from which `--restore latest` goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StopMode {
    /// The sources end as if their input had ended: the watermark becomes MAX, all windows fire, the job is FINISHED.
    pub drain: bool,
    /// A savepoint is taken of the last thing that the job does.
    pub savepoint: Option<SavepointTarget>,
}

impl StopMode {
    /// With a last checkpoint and nothing else.
    pub fn suspend() -> StopMode {
        StopMode::default()
    }

    /// The same, with all windows fired.
    #[must_use]
    pub fn with_drain(mut self) -> StopMode {
        self.drain = true;
        self
    }

    /// The same, with a savepoint.
    #[must_use]
    pub fn with_savepoint(mut self, target: SavepointTarget) -> StopMode {
        self.savepoint = Some(target);
        self
    }
}

/// A checkpoint that was taken because a user asked for it.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    pub(crate) checkpoint: CheckpointId,
    pub(crate) savepoint: Option<SavepointInfo>,
}

type Answer = oneshot::Receiver<Result<Taken>>;

/// What a user wants to hear about a checkpoint. Dropped without an answer where the attempt ends before.
#[derive(Debug)]
pub(crate) struct Request {
    /// Where its savepoint goes; `None` for a checkpoint alone.
    pub(crate) to: Option<CheckpointStorage>,
    /// The job is to end with it.
    pub(crate) ends: bool,
    reply: oneshot::Sender<Result<Taken>>,
}

impl Request {
    fn new(to: Option<CheckpointStorage>, ends: bool) -> (Request, Answer) {
        let (reply, answer) = oneshot::channel();
        (Request { to, ends, reply }, answer)
    }

    /// Whoever asked may have gone.
    pub(crate) fn answer(self, answer: Result<Taken>) {
        drop(self.reply.send(answer));
    }
}

/// A wish.
#[derive(Debug)]
pub(crate) enum Control {
    /// Take a checkpoint, and a savepoint of it where it has a target.
    Checkpoint(Request),
    /// Take a last checkpoint and end.
    Stop { drain: bool, request: Request },
    /// End now.
    Cancel,
}

/// That a job is to end, the stronger wish last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// With a last checkpoint, where it has any.
    Stop,
    /// At once.
    Cancel,
}

/// Asks a running job for something and tells how it stands (Flink's `JobClient`). Clones speak of the same job; the job
/// goes on when all of them are dropped.
#[derive(Clone)]
pub struct JobClient {
    control: mpsc::Sender<Control>,
    /// A wish to cancel that needs no place in the queue.
    cancel_now: Arc<Notify>,
    state: watch::Receiver<JobState>,
    metrics: Arc<JobMetrics>,
    graph: Arc<JobGraph>,
    id: Arc<str>,
    open_savepoint: OpenSavepoint,
    has_checkpoints: bool,
    /// How many it runs in, and their subtasks of each operator.
    processes: usize,
    parallelism: usize,
}

impl JobClient {
    /// The job's id: 32 hexadecimal digits, new at every start.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The number of the process in which a subtask runs; the coordinator is 0.
    pub fn process_of(&self, subtask: usize) -> usize {
        let threads = self.parallelism / self.processes.max(1);
        subtask / threads.max(1)
    }

    /// Counters.
    pub fn metrics(&self) -> &Arc<JobMetrics> {
        &self.metrics
    }

    /// Follows how it stands; closed once the job has ended.
    pub fn watch(&self) -> watch::Receiver<JobState> {
        self.state.clone()
    }

    /// The job's graph.
    pub fn graph(&self) -> &Arc<JobGraph> {
        &self.graph
    }

    /// How it stands.
    pub fn state(&self) -> JobState {
        *self.state.borrow()
    }

    /// Waits until the job has ended, whichever way; [`JobHandle::wait`] then tells which.
    pub async fn ended(&self) {
        let mut state = self.state.clone();
        while state.changed().await.is_ok() {}
    }

    /// Takes a checkpoint now, whatever the interval says, and waits until it is committed.
    pub async fn checkpoint(&self) -> Result<CheckpointId> {
        Ok(self.take(None).await?.checkpoint)
    }

    /// Takes a savepoint and waits until it is written. The job goes on, also where it fails.
    ///
    /// The savepoint is a copy of a checkpoint that the job takes for it and commits: it shares no file with the job's
    /// checkpoints and holds no output that is not visible yet.
    pub async fn savepoint(&self, target: SavepointTarget) -> Result<SavepointInfo> {
        self.check_has_checkpoints()?;
        self.check_supports_savepoints()?;
        let to = self.open_target(&target).await?;
        let savepoint = self.take(Some(to)).await?.savepoint;
        savepoint.ok_or_else(|| Error::internal("a savepoint was asked for and a checkpoint taken"))
    }

    async fn take(&self, to: Option<CheckpointStorage>) -> Result<Taken> {
        self.check_has_checkpoints()?;
        let (request, answer) = Request::new(to, false);
        self.wish(Control::Checkpoint(request)).await?;
        answer.await.unwrap_or_else(|_| Err(self.ended_before("the checkpoint was taken")))
    }

    /// Stops the job and waits for its end; gives the savepoint where one was asked for. As in Flink, a job whose savepoint
    /// cannot be taken goes on.
    pub async fn stop(&self, mode: StopMode) -> Result<Option<SavepointInfo>> {
        let (wants_savepoint, wants_drain) = (mode.savepoint.is_some(), mode.drain);
        let restarts = self.state().restarts;
        let answer = self.ask_to_stop(mode).await?.await;
        let goes_on = match &answer {
            Ok(Ok(_)) => false,
            Ok(Err(_)) => !self.is_ending(),
            Err(_) if wants_savepoint || wants_drain => self.goes_on_after_failure(restarts).await,
            Err(_) => false,
        };
        if !goes_on {
            self.ended().await;
        }
        match answer {
            Ok(taken) => Ok(taken?.savepoint),
            Err(_) if wants_savepoint => Err(self.ended_before("the savepoint was taken")),
            Err(_) if goes_on => Err(self.ended_before("it was drained")),
            Err(_) if self.state().status == JobStatus::Failed => {
                Err(Error::unavailable("the job failed while it was to stop")
                    .hint("--restore latest goes on from its last checkpoint"))
            }
            Err(_) => Ok(None),
        }
    }

    /// Asks for the end as [`stop`](Self::stop) does, and does not wait for it.
    pub async fn request_stop(&self, mode: StopMode) -> Result<()> {
        self.ask_to_stop(mode).await.map(drop)
    }

    async fn ask_to_stop(&self, mode: StopMode) -> Result<Answer> {
        if mode.drain || mode.savepoint.is_some() {
            self.check_supports_savepoints()?;
        }
        let to = match &mode.savepoint {
            Some(target) => {
                self.check_has_checkpoints()?;
                Some(self.open_target(target).await?)
            }
            None => None,
        };
        let (request, answer) = Request::new(to, true);
        self.wish(Control::Stop { drain: mode.drain, request }).await?;
        Ok(answer)
    }

    /// Asks for the end now and does not wait for it. What was not committed is gone; checkpoints stay.
    pub async fn cancel(&self) {
        if self.wish(Control::Cancel).await.is_err() {
            tracing::debug!("the job has ended before");
        }
    }

    /// The same from where nothing can wait. It is heard before all wishes that wait.
    pub fn try_cancel(&self) {
        self.cancel_now.notify_one();
    }

    async fn wish(&self, control: Control) -> Result<()> {
        self.control.send(control).await.map_err(|_| self.ended_before("it could be asked"))
    }

    /// Nobody has answered, so that the attempt has ended: whether the job has begun another one, or will.
    async fn goes_on_after_failure(&self, restarts_before: u64) -> bool {
        let mut state = self.state.clone();
        let told = state.wait_for(|s| s.status != JobStatus::Running || s.restarts > restarts_before).await;
        told.is_ok_and(|s| matches!(s.status, JobStatus::Running | JobStatus::Restarting))
    }

    fn is_ending(&self) -> bool {
        !matches!(self.state().status, JobStatus::Running | JobStatus::Restarting)
    }

    fn ended_before(&self, what: &str) -> Error {
        match self.state().status {
            JobStatus::Running | JobStatus::Restarting => {
                Error::unavailable(format!("the job failed before {what}, and is started again")).hint("Try again")
            }
            status => Error::user(format!("the job had ended ({}) before {what}", status.name())),
        }
    }

    fn check_has_checkpoints(&self) -> Result<()> {
        if self.has_checkpoints {
            return Ok(());
        }
        Err(Error::user("the job has no checkpoints: it is bounded, and its sinks show rows at once").hint(
            "SET 'execution.checkpointing.interval' before it is started, so that checkpoints and savepoints can be \
             taken; flott cancel ends the job as it is",
        ))
    }

    fn check_supports_savepoints(&self) -> Result<()> {
        let refuses = |spec: &OperatorSpec| matches!(spec, OperatorSpec::Sink(s) if !s.sink.supports_savepoints());
        let Some((_, node)) = self.graph.sinks().find(|(_, node)| refuses(&node.spec)) else { return Ok(()) };
        Err(Error::user("a job that overwrites a table takes no savepoint and cannot be drained: the table is replaced as a whole, at the end")
            .with("sink", &node.name)
            .hint("Stop it without savepoint and drain, and go on with --restore latest; or let it end"))
    }

    /// The folder, in which something can be written: a job must not stop to find out that its savepoint has no place.
    async fn open_target(&self, target: &SavepointTarget) -> Result<CheckpointStorage> {
        let directory = match target {
            SavepointTarget::Configured => None,
            SavepointTarget::In(directory) => Some(directory.as_str()),
        };
        let name = format!("savepoint-{}-{}", &self.id[..6], &id::random_hex()[..12]);
        let storage = (self.open_savepoint)(directory, &name)?;
        flott_state::savepoint::check_writable(&storage).await?;
        Ok(storage)
    }
}

/// A running job, as the one who started it holds it: a [`JobClient`] that also learns how it ended.
pub struct JobHandle {
    client: JobClient,
    ended: oneshot::Receiver<Result<JobOutcome>>,
}

impl Deref for JobHandle {
    type Target = JobClient;

    fn deref(&self) -> &JobClient {
        &self.client
    }
}

impl JobHandle {
    /// For others that are to speak of the job too.
    pub fn client(&self) -> JobClient {
        self.client.clone()
    }

    /// Waits for the end. Can be called again after a time-out dropped its future.
    pub async fn wait(&mut self) -> Result<JobOutcome> {
        match (&mut self.ended).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::internal("the job's coordinator ended without a word")),
        }
    }
}

/// The coordinator's end of a handle.
pub(crate) struct Desk {
    pub(crate) wishes: Wishes,
    pub(crate) report: watch::Sender<JobState>,
    pub(crate) done: oneshot::Sender<Result<JobOutcome>>,
}

/// A handle and the coordinator's end of it.
pub(crate) fn handle(
    graph: Arc<JobGraph>,
    metrics: Arc<JobMetrics>,
    open_savepoint: OpenSavepoint,
    has_checkpoints: bool,
    started_ms: i64,
    (processes, parallelism): (usize, usize),
) -> (JobHandle, Desk) {
    let (control, commands) = mpsc::channel(CONTROL_QUEUE);
    let state = JobState { started_ms, attempt_started_ms: started_ms, ..JobState::default() };
    let cancel_now = Arc::new(Notify::new());
    let (report, state) = watch::channel(state);
    let (done, ended) = oneshot::channel();
    let id = id::random_hex().into();
    let client = JobClient {
        control,
        cancel_now: Arc::clone(&cancel_now),
        state,
        metrics,
        graph,
        id,
        open_savepoint,
        has_checkpoints,
        processes,
        parallelism,
    };
    (
        JobHandle { client, ended },
        Desk { wishes: Wishes { commands, cancel_now, end: None, ends_in_any_case: false }, report, done },
    )
}

/// What users want of the job. A wish counts for all attempts: a job that is to end is not started again.
pub(crate) struct Wishes {
    commands: mpsc::Receiver<Control>,
    cancel_now: Arc<Notify>,
    /// The strongest wish so far.
    pub(crate) end: Option<Ending>,
    /// Somebody wants the end and nothing with it: no savepoint, no drain.
    ends_in_any_case: bool,
}

impl Wishes {
    /// `None` once nobody can have a wish. Nothing is lost where the future is dropped.
    async fn receive(&mut self) -> Option<Control> {
        tokio::select! {
            biased;
            () = self.cancel_now.notified() => Some(Control::Cancel),
            control = self.commands.recv() => control,
        }
    }

    /// The next wish; never, once nobody can have one.
    pub(crate) async fn next(&mut self) -> Control {
        match self.receive().await {
            Some(control) => {
                self.ends_in_any_case |= match &control {
                    Control::Checkpoint(_) => false,
                    Control::Stop { drain, request } => !drain && request.to.is_none(),
                    Control::Cancel => true,
                };
                self.end = self.end.max(match &control {
                    Control::Checkpoint(_) => None,
                    Control::Stop { .. } => Some(Ending::Stop),
                    Control::Cancel => Some(Ending::Cancel),
                });
                control
            }
            // The handle is gone; the job goes on.
            None => std::future::pending().await,
        }
    }

    /// The job goes on although somebody has wanted its end: what they wanted of it cannot be had.
    pub(crate) fn take_back_stop(&mut self) {
        self.end = self.end.filter(|end| *end != Ending::Stop);
    }

    /// The job must not be started again.
    pub(crate) fn end_in_any_case(&mut self) {
        self.ends_in_any_case = true;
    }

    /// The attempt has failed: whether the job may be started again. As in Flink, a stop that was to come with a savepoint or
    /// a drain comes to nothing then, and who wanted it hears so.
    pub(crate) fn allow_another_attempt(&mut self) -> bool {
        if self.ends_in_any_case {
            return false;
        }
        self.end = None;
        true
    }

    /// Waits for a wish that ends a job of which no attempt runs. What needs one is refused: nothing is stopped without
    /// the savepoint or the drain that were asked for.
    pub(crate) async fn end_between_attempts(&mut self) {
        let ending = loop {
            match self.receive().await {
                None => std::future::pending().await,
                Some(Control::Stop { drain: false, request: Request { to: None, .. } }) => break Ending::Stop,
                Some(Control::Cancel) => break Ending::Cancel,
                Some(Control::Checkpoint(request) | Control::Stop { request, .. }) => {
                    let refusal = Error::unavailable("the job is being started again: nothing runs that could do that");
                    request.answer(Err(refusal.hint("Try again once it runs, or stop it without savepoint and drain")));
                }
            }
        };
        self.end = self.end.max(Some(ending));
    }

    /// Waits for a wish to end at once; the job is ending already.
    pub(crate) async fn cancelled(&mut self) {
        while self.end != Some(Ending::Cancel) {
            if let Control::Checkpoint(request) | Control::Stop { request, .. } = self.next().await {
                request.answer(Err(Error::user("the job is ending already")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wish_to_cancel_needs_no_place_among_those_that_wait() {
        let open: OpenSavepoint = Arc::new(|_, _| Err(Error::internal("nobody asks")));
        let graph = Arc::new(JobGraph::new("job"));
        let (job, Desk { mut wishes, .. }) = handle(graph, Arc::default(), open, true, 0, (1, 1));
        let mut waiting = 0;
        while job.control.try_send(Control::Checkpoint(Request::new(None, false).0)).is_ok() {
            waiting += 1;
        }
        assert_eq!(waiting, CONTROL_QUEUE);
        job.try_cancel();
        drop(job);
        assert!(matches!(wishes.next().await, Control::Cancel) && wishes.end == Some(Ending::Cancel));
        for _ in 0..waiting {
            assert!(matches!(wishes.next().await, Control::Checkpoint(_)), "none is lost");
        }
    }
}
