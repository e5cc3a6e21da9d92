//! A worker process: it is told what to run, plans it, and runs its part, attempt after attempt.

use std::any::Any;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flott_core::clock::Clock;
use flott_core::{CheckpointId, Error, FailPoint, FailPoints, Result, Secret};
use flott_graph::{JobGraph, NodeId};
use flott_runtime::api::{AttemptOptions, Restored, TaskCommand, TaskEvent};
use flott_runtime::metrics::JobMetrics;
use flott_runtime::{Attempt, BuildOperator, NewsSource};
use flott_state::manifest::StoredRun;
use flott_state::store::SnapshotWriter;
use flott_state::{CheckpointStorage, OperatorSnapshot};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::checkpoint::OperatorPart;
use crate::job::join_first;
use crate::process::connection::{self, Connection, Heard};
use crate::process::counters::Reported;
use crate::process::error_text::ErrorText;
use crate::process::greeting::{Identity, Role, greet};
use crate::process::message::{Command, Deploy, Event, FromWorker, ToWorker, runs_of};
use crate::process::workers::subtasks;
use crate::process::{Heartbeat, mesh};
use crate::restore::restore;

/// Events that worker threads may be ahead of this loop.
const EVENT_QUEUE: usize = 1_024;
/// Between two reports of counters.
const METRICS_INTERVAL: Duration = Duration::from_millis(500);
/// The longest that the end of an attempt waits for state files that are being written.
const WRITING_TIMEOUT: Duration = Duration::from_secs(5);

/// What a worker process reads from its standard input: one line.
#[derive(Serialize, Deserialize)]
pub struct Invitation {
    pub(crate) address: String,
    pub(crate) number: usize,
    pub(crate) secret: String,
    pub(crate) heartbeat_us: u64,
    pub(crate) heartbeat_timeout_us: u64,
}

impl Invitation {
    /// Reads the line.
    pub fn parse(line: &str) -> Result<Invitation> {
        // Its text may hold the secret, so the error does not show it.
        serde_json::from_str(line).map_err(|_| {
            Error::user("a worker process is started by flott run --processes N, not by hand")
                .hint("Its standard input has to begin with an invitation")
        })
    }

    pub(crate) fn line(&self) -> String {
        // A struct of texts and numbers cannot fail to become JSON.
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }
}

/// A job as a worker runs it.
pub struct PlannedJob {
    /// What to run.
    pub graph: Arc<JobGraph>,
    /// Builds operators.
    pub build: BuildOperator,
    /// The checkpoints' folder, which the coordinator has taken over.
    pub storage: Option<CheckpointStorage>,
    /// Opens the folder of a savepoint.
    pub open: Arc<dyn Fn(&str) -> Result<CheckpointStorage> + Send + Sync>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where a test stops the process.
    pub fail_points: FailPoints,
    /// Relative paths start here.
    pub base_dir: PathBuf,
    /// Lives as long as the job.
    pub keep: Box<dyn Any + Send>,
}

/// Plans a job from a bundle, and from nothing else.
pub type PlanJob = Arc<dyn Fn(&str) -> Result<PlannedJob> + Send + Sync>;

/// Works for the coordinator until it says that it is over. An error means that it is gone, or does not want this
/// process: whoever calls this has to end the process then without closing what it has open.
pub async fn run(invitation: Invitation, build: &str, plan: PlanJob) -> Result<()> {
    let Invitation { address, number, secret, heartbeat_us, heartbeat_timeout_us } = invitation;
    let secret = Secret::new(secret);
    let mut stream = TcpStream::connect(&address)
        .await
        .map_err(|e| Error::unavailable(format!("the coordinator cannot be reached at {address}")).caused_by(e))?;
    greet(&mut stream, &secret, Role::Caller, &Identity::control(number, build)).await?;
    let heartbeat = Heartbeat {
        interval: Duration::from_micros(heartbeat_us),
        timeout: Duration::from_micros(heartbeat_timeout_us),
    };
    let (connection, incoming) = connection::open(stream, heartbeat);
    let build = build.to_string();
    Worker { number, secret, build, plan, connection, incoming, state: State::Idle }.run().await
}

struct Worker {
    number: usize,
    secret: Secret,
    build: String,
    plan: PlanJob,
    connection: Connection<FromWorker>,
    incoming: mpsc::Receiver<Heard<ToWorker>>,
    state: State,
}

enum State {
    Idle,
    Planned(Box<Planned>),
    Running(Box<Running>),
}

/// A job that is planned and waits for the others.
struct Planned {
    deploy: Deploy,
    job: PlannedJob,
    listener: TcpListener,
}

impl Worker {
    async fn run(mut self) -> Result<()> {
        let mut ticks = tokio::time::interval(METRICS_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let mut idle = Running::none();
            let running = if let State::Running(running) = &mut self.state { running } else { &mut idle };
            tokio::select! {
                heard = self.incoming.recv() => match heard {
                    Some(Heard::Message(ToWorker::Quit)) => return Ok(()),
                    Some(Heard::Message(message)) => self.on_message(message).await?,
                    Some(Heard::Lost(lost)) => return Err(gone(&lost)),
                    None => return Err(gone(&"nothing comes in")),
                },
                happened = running.next() => match happened {
                    Happened::Event(event) => self.on_event(event).await?,
                    Happened::Message(message) => self.connection.send_in_time(message).await?,
                    Happened::Written(done) => running.on_written(done, &self.connection).await?,
                },
                _ = ticks.tick() => running.report(&self.connection).await?,
            }
        }
    }

    async fn on_message(&mut self, message: ToWorker) -> Result<()> {
        match message {
            ToWorker::Deploy(deploy) => {
                self.state = State::Idle;
                match self.plan(*deploy).await {
                    Ok((planned, answer)) => {
                        self.state = State::Planned(Box::new(planned));
                        self.connection.send_in_time(answer).await
                    }
                    Err(e) => self.refuse(&e).await,
                }
            }
            ToWorker::Connect(addresses) => {
                let State::Planned(planned) = std::mem::replace(&mut self.state, State::Idle) else {
                    return self.refuse(&Error::internal("nothing is planned")).await;
                };
                match self.start(*planned, &addresses).await {
                    Ok(running) => {
                        self.state = State::Running(Box::new(running));
                        self.connection.send_in_time(FromWorker::Started).await
                    }
                    Err(e) => self.refuse(&e).await,
                }
            }
            ToWorker::Command(command) => {
                if let State::Running(running) = &mut self.state {
                    running.on_command(command);
                }
                Ok(())
            }
            ToWorker::News { news } => {
                if let State::Running(running) = &self.state
                    && let Some(attempt) = &running.attempt
                {
                    attempt.news().heard(self.number, &news.into());
                }
                Ok(())
            }
            ToWorker::Cancel => {
                match &self.state {
                    State::Running(running) => {
                        if let Some(attempt) = &running.attempt {
                            attempt.cancel();
                        }
                    }
                    State::Planned(_) => self.state = State::Idle,
                    // It has ended by itself and has said so: a second word would be heard by the next attempt.
                    State::Idle => {}
                }
                Ok(())
            }
            ToWorker::Ping | ToWorker::Quit => Ok(()),
        }
    }

    async fn refuse(&self, error: &Error) -> Result<()> {
        self.connection.send_in_time(FromWorker::Refused(ErrorText::from(error))).await
    }

    async fn plan(&self, deploy: Deploy) -> Result<(Planned, FromWorker)> {
        let (plan, bundle) = (Arc::clone(&self.plan), deploy.bundle.clone());
        // Planning may ask files for their schema.
        let job = tokio::task::spawn_blocking(move || plan(&bundle))
            .await
            .map_err(|e| Error::internal("planning ended early").caused_by(e))??;
        let fingerprint = job.graph.fingerprint();
        if fingerprint != deploy.fingerprint {
            return Err(Error::internal(format!(
                "process {} has planned another graph from the same bundle: {fingerprint:016x}, not {:016x}",
                self.number, deploy.fingerprint
            )));
        }
        let (listener, address) = mesh::listen().await?;
        let answer = FromWorker::Planned { fingerprint, address: address.to_string() };
        Ok((Planned { deploy, job, listener }, answer))
    }

    async fn start(&self, planned: Planned, addresses: &[String]) -> Result<Running> {
        let Planned { deploy, job, listener } = planned;
        let me = Identity::mesh(self.number, &self.build, deploy.generation.0, deploy.fingerprint);
        let place = mesh::meet(&listener, addresses, &self.secret, &me).await?;
        let parallelism = deploy.threads * deploy.processes;
        let subtasks = subtasks(parallelism, deploy.processes, self.number);
        let mut restored = Restored::default();
        let mut known = BTreeMap::new();
        if let Some(manifest) = &deploy.manifest {
            let savepoint = deploy.savepoint.as_deref().map(|s| (job.open)(s)).transpose()?;
            if savepoint.is_none() {
                // A checkpoint shares no file with a savepoint.
                known = runs_of(manifest);
            }
            let Some(storage) = savepoint.as_ref().or(job.storage.as_ref()) else {
                return Err(Error::internal("a checkpoint to restore, and no folder for checkpoints"));
            };
            restored = restore(&job.graph, storage, manifest, parallelism, subtasks.clone()).await?;
        }
        let metrics = Arc::new(JobMetrics::new(job.graph.nodes.len(), parallelism));
        let options = AttemptOptions {
            lineage: deploy.lineage,
            generation: deploy.generation,
            parallelism,
            in_flight_bytes: deploy.in_flight_bytes,
            buffer_timeout: Duration::from_micros(deploy.buffer_timeout_us),
            memory_bytes_max: deploy.memory_bytes_max,
            first_epoch: deploy.first_epoch,
            clock: Arc::clone(&job.clock),
            fail_points: job.fail_points.clone(),
            metrics: Arc::clone(&metrics),
            base_dir: job.base_dir.clone(),
        };
        let (events_in, events) = mpsc::channel(EVENT_QUEUE);
        let attempt = flott_runtime::start_among(
            Some(place),
            Arc::clone(&job.graph),
            Arc::clone(&job.build),
            options,
            restored,
            tokio::runtime::Handle::current(),
            events_in,
        )?;
        let storage = job.storage.clone().filter(|_| deploy.has_store);
        let writing = storage.map(|storage| Writing { storage, generation: deploy.generation, known });
        Ok(Running {
            peers: Some(attempt.news()),
            attempt: Some(attempt),
            events: Some(events),
            files: writing,
            fail_points: job.fail_points.clone(),
            written: BTreeMap::new(),
            writing: vec![],
            metrics,
            nodes: job.graph.nodes.len(),
            subtasks,
            reported: Reported::default(),
            _keep: Some(job),
        })
    }

    async fn on_event(&mut self, event: TaskEvent) -> Result<()> {
        let State::Running(running) = &mut self.state else { return Ok(()) };
        if event.is_of_checkpoint() {
            // What was counted up to it goes before it: whoever restores the checkpoint has to know.
            running.report(&self.connection).await?;
        }
        if let Some(said) = Event::of(&event) {
            self.connection.send_in_time(FromWorker::Event(said)).await?;
        }
        match event {
            TaskEvent::OperatorSnapshot { checkpoint, node, subtask, watermark_ms, snapshot } => {
                running.write(checkpoint, node, subtask, watermark_ms, snapshot);
            }
            TaskEvent::Ended { finished } => {
                let State::Running(running) = std::mem::replace(&mut self.state, State::Idle) else { return Ok(()) };
                running.end(&self.connection).await?;
                self.connection.send_in_time(FromWorker::Ended { finished }).await?;
            }
            _ => {}
        }
        Ok(())
    }
}

fn gone(why: &dyn std::fmt::Display) -> Error {
    Error::fenced(format!("the coordinator is gone: {why}"))
}

/// Where state goes.
struct Writing {
    storage: CheckpointStorage,
    generation: flott_core::Generation,
    /// What the last decided checkpoint holds of this process's subtasks.
    known: BTreeMap<String, StoredRun>,
}

/// What became of the state of one subtask.
type Written = (CheckpointId, NodeId, usize, Result<OperatorPart>);

/// The attempt that runs.
struct Running {
    attempt: Option<Attempt>,
    events: Option<mpsc::Receiver<TaskEvent>>,
    peers: Option<NewsSource>,
    files: Option<Writing>,
    fail_points: FailPoints,
    /// Runs by checkpoint: known once it is decided. Those of checkpoints that came to nothing go with the next
    /// one that begins.
    written: BTreeMap<CheckpointId, Vec<StoredRun>>,
    /// The coordinator counts them, and begins no checkpoint where they are too many.
    writing: Vec<JoinHandle<Written>>,
    metrics: Arc<JobMetrics>,
    nodes: usize,
    subtasks: Range<usize>,
    reported: Reported,
    _keep: Option<PlannedJob>,
}

/// What a running attempt has to be looked after for.
enum Happened {
    Event(TaskEvent),
    Message(FromWorker),
    Written(Result<Written>),
}

impl Running {
    /// Nothing runs, and nothing happens.
    fn none() -> Running {
        Running {
            attempt: None,
            events: None,
            peers: None,
            files: None,
            fail_points: FailPoints::none(),
            written: BTreeMap::new(),
            writing: vec![],
            metrics: Arc::default(),
            nodes: 0,
            subtasks: 0..0,
            reported: Reported::default(),
            _keep: None,
        }
    }

    async fn next(&mut self) -> Happened {
        let Running { events, peers, writing, .. } = self;
        let (Some(events), Some(peers)) = (events, peers) else { return std::future::pending().await };
        tokio::select! {
            event = events.recv() => match event {
                Some(event) => Happened::Event(event),
                None => std::future::pending().await,
            },
            news = peers.next() => Happened::Message(FromWorker::News { news: (&news).into() }),
            done = join_first(writing) => Happened::Written(done),
        }
    }

    fn on_command(&mut self, command: Command) {
        if let Command::Trigger(begun) | Command::Stop(begun) = &command {
            // All before it are decided, which was told before, or have come to nothing.
            self.written.retain(|written, _| written >= begun);
        }
        if let Command::Complete { checkpoint, .. } = &command {
            self.metrics.settle(checkpoint.0);
        }
        if let Command::Complete { checkpoint, .. } = &command
            && let Some(files) = &mut self.files
        {
            let runs = self.written.remove(checkpoint).unwrap_or_default();
            files.known = runs.into_iter().map(|r| (r.uid.clone(), r)).collect();
            self.written.retain(|written, _| written > checkpoint);
        }
        if let Some(attempt) = &self.attempt {
            attempt.send(TaskCommand::from(command));
        }
    }

    fn write(
        &mut self,
        checkpoint: CheckpointId,
        node: NodeId,
        subtask: usize,
        watermark_ms: i64,
        snapshot: OperatorSnapshot,
    ) {
        let Some(files) = &self.files else { return };
        let writer = SnapshotWriter::new(files.storage.clone(), files.generation, files.known.clone());
        let fail_points = self.fail_points.clone();
        self.writing.push(tokio::spawn(async move {
            let runs = writer.write(checkpoint, node.0, subtask, &snapshot).await;
            fail_points.hit(FailPoint::MidSnapshot);
            let (version, meta) = (snapshot.version, snapshot.meta);
            (checkpoint, node, subtask, runs.map(|runs| OperatorPart { watermark_ms, version, meta, runs }))
        }));
    }

    async fn on_written(&mut self, done: Result<Written>, to: &Connection<FromWorker>) -> Result<()> {
        let (checkpoint, node, subtask, part) = done?;
        if let Ok(part) = &part {
            self.written.entry(checkpoint).or_default().extend(part.runs.iter().cloned());
        }
        let part = part.map(Into::into).map_err(|e| ErrorText::from(&e));
        to.send_in_time(FromWorker::Written { checkpoint, node: node.0, subtask, part }).await
    }

    async fn report(&mut self, to: &Connection<FromWorker>) -> Result<()> {
        let changes = self.reported.changes(&self.metrics, self.nodes, self.subtasks.clone());
        if changes.is_empty() {
            return Ok(());
        }
        to.send_in_time(FromWorker::Metrics(changes)).await
    }

    /// Everything has ended but what is being written: a file that appears after the next clean-up would stay, and the
    /// checkpoint that it belongs to may lack nothing else.
    async fn end(mut self, to: &Connection<FromWorker>) -> Result<()> {
        if let Some(attempt) = &mut self.attempt {
            attempt.join().await;
        }
        let deadline = tokio::time::Instant::now() + WRITING_TIMEOUT;
        while !self.writing.is_empty() {
            match tokio::time::timeout_at(deadline, join_first(&mut self.writing)).await {
                Ok(done) => self.on_written(done, to).await?,
                Err(_) => break,
            }
        }
        self.report(to).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEARTBEAT: Heartbeat = Heartbeat { interval: Duration::from_millis(10), timeout: Duration::from_secs(5) };

    async fn connections() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let here = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("a connection");
        (here, listener.accept().await.expect("a connection").0)
    }

    #[tokio::test]
    async fn state_that_is_being_written_at_the_end_is_reported() {
        let (here, there) = connections().await;
        let (_coordinator, mut heard) = connection::open::<FromWorker, ToWorker>(here, HEARTBEAT);
        let (connection, _incoming) = connection::open::<ToWorker, FromWorker>(there, HEARTBEAT);
        let writing = |subtask| {
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(20)).await;
                let part = OperatorPart { watermark_ms: 0, version: 1, meta: vec![], runs: vec![] };
                (CheckpointId(7), NodeId(1), subtask, Ok(part))
            })
        };
        let running = Running { writing: vec![writing(2), writing(3)], ..Running::none() };
        running.end(&connection).await.expect("ends");
        drop(connection);
        let mut written = vec![];
        while let Some(Heard::Message(message)) = heard.recv().await {
            if let FromWorker::Written { checkpoint: CheckpointId(7), node: 1, subtask, part: Ok(_) } = message {
                written.push(subtask);
            }
        }
        written.sort_unstable();
        assert_eq!(written, [2, 3]);
    }

    #[tokio::test]
    async fn a_cancel_that_comes_after_the_end_is_not_answered() {
        let (here, there) = connections().await;
        let (coordinator, mut heard) = connection::open::<FromWorker, ToWorker>(here, HEARTBEAT);
        let (connection, incoming) = connection::open(there, HEARTBEAT);
        let (secret, build) = (Secret::new("s".to_string()), "b".to_string());
        let plan: PlanJob = Arc::new(|_| Err(Error::user("nothing is planned here")));
        let worker = Worker { number: 1, secret, build, plan, connection, incoming, state: State::Idle };
        coordinator.send(ToWorker::Cancel);
        coordinator.send(ToWorker::Quit);
        worker.run().await.expect("it ends when it is told to");
        while let Some(Heard::Message(message)) = heard.recv().await {
            assert!(matches!(message, FromWorker::Ping), "{message:?}");
        }
    }
}
