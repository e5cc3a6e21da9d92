//! One attempt of one job: the loop that drives the coordinator, the enumerators and the worker.

mod end;
mod finalizing;
mod stopping;
mod supervisor;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flott_connector::Versioned;
use flott_connector::sink::CommitterContext;
use flott_core::clock::Clock;
use flott_core::{CheckpointId, Error, ErrorKind, FailPoint, FailPoints, Result};
use flott_graph::{JobGraph, NodeId, OperatorSpec};
use flott_runtime::BuildOperator;
use flott_runtime::api::{AttemptOptions, Restored, SplitState, TaskCommand, TaskEvent};
use flott_runtime::metrics::JobMetrics;
use flott_state::CheckpointStore;
use flott_state::manifest::Manifest;
use flott_state::savepoint::GiveUp;
use flott_state::store::Opened;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::alignment::WatermarkAlignment;
use crate::checkpoint::{CheckpointCoordinator, OperatorPart, TaskId, Topology};
use crate::control::{Control, JobOutcome, JobState, OpenSavepoint, Request, Wishes};
use crate::enumerators::Enumerators;
use crate::finalize::{Committers, Refusal};
use crate::options::CheckpointOptions;
use crate::process::ProcessOptions;
use crate::process::message::WorkerEvent;
use crate::process::pool::SharedPool;
use crate::process::workers::{Starting, Workers, subtasks};
use crate::restart::RestartStrategy;
use crate::restore::{check_restorable, restore, roll_forward};
use crate::waiting_readers::WaitingReaders;

pub use supervisor::{give_back, start};

/// Events that the worker may be ahead of the coordinator.
const EVENT_QUEUE: usize = 1_024;

/// Wishes of users that may wait for a checkpoint.
const REQUESTS_MAX: usize = 1_024;

/// Checkpoints whose state may be on its way to the store at a time. More than one is where one has come to nothing because
/// its state took too long, which goes on being written meanwhile.
const WRITTEN_AT_ONCE_MAX: usize = 4;

/// A store that is taken over, and what was found in it.
type OpenedStore = (CheckpointStore, Opened);

/// Everything that a job needs to run.
pub struct JobSpec {
    /// What to run.
    pub graph: Arc<JobGraph>,
    /// Builds operators.
    pub build: BuildOperator,
    /// Where checkpoints go, taken over already, and what was found there. `None` for a job that needs none: bounded,
    /// and no sink commits.
    pub store: Option<OpenedStore>,
    /// Worker threads, of all processes together.
    pub parallelism: usize,
    /// Where it does not run in this process alone.
    pub processes: Option<ProcessOptions>,
    /// When checkpoints are taken.
    pub checkpoints: CheckpointOptions,
    /// Whether it is started again after a failure.
    pub restarts: RestartStrategy,
    /// Bytes that a source may have in flight.
    pub in_flight_bytes: usize,
    /// Bytes of state and of rows on their way that the job may hold; `None` is as many as there are.
    pub memory_bytes_max: Option<u64>,
    /// The longest that rows are held back for company (`execution.buffer-timeout`).
    pub buffer_timeout: Duration,
    /// Opens folders for savepoints.
    pub savepoints: OpenSavepoint,
    /// State that no operator takes is dropped instead of refused.
    pub allow_non_restored_state: bool,
    /// Decided output that an attempt before could not commit for good is given up instead of failing the job again.
    pub allow_lost_output: bool,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where a test stops the process.
    pub fail_points: FailPoints,
    /// Relative paths start here.
    pub base_dir: PathBuf,
}

/// What became of the state of one subtask.
type Written = (CheckpointId, TaskId, Result<OperatorPart>);

/// What a finalising task gives back.
struct Finalized {
    store: CheckpointStore,
    committers: Committers,
    /// Nothing is decided: the savepoint of a drain cannot be written.
    undrained: bool,
    /// Decided and committed, but the job is not to end with it: see [`savepoints::answer`].
    unstopped: bool,
    result: Result<(flott_core::DecidedCheckpoint, Manifest)>,
}

/// A job whose sources are to end.
struct Drain {
    request: Option<Request>,
    /// It has begun: where everything stood, for the savepoint that follows.
    begun: Option<Positions>,
}

/// What a savepoint of a drained job starts with.
#[derive(Default)]
struct Positions {
    enumerators: BTreeMap<NodeId, Versioned>,
    splits: BTreeMap<TaskId, Vec<SplitState>>,
}

/// The coordinator's side of an attempt.
pub struct JobMaster {
    graph: Arc<JobGraph>,
    attempt: Workers,
    events: mpsc::Receiver<WorkerEvent>,
    coordinator: CheckpointCoordinator,
    enumerators: Enumerators,
    waiting_readers: WaitingReaders,
    alignment: WatermarkAlignment,
    /// Away while a checkpoint is being finalised.
    durable: Option<(CheckpointStore, Committers)>,
    has_store: bool,
    finalizing: Option<JoinHandle<Finalized>>,
    /// No more than what is in `unwritten`.
    writing: Vec<JoinHandle<Written>>,
    /// State that is on its way to the store, from here or from another process, also of checkpoints that were given up.
    unwritten: BTreeSet<(CheckpointId, TaskId)>,
    options: CheckpointOptions,
    clock: Arc<dyn Clock>,
    fail_points: FailPoints,
    report: watch::Sender<JobState>,
    metrics: Arc<JobMetrics>,
    next_checkpoint: Option<Duration>,
    triggered_at: Duration,
    /// Checkpoints that timed out or could not be written, one after another.
    failed_in_a_row: u32,
    stopping: bool,
    /// The first checkpoint behind whose barrier nothing is emitted: it, or one that follows it, ends the job.
    last: Option<CheckpointId>,
    /// Checkpoints that users wait for and that have not begun: [`REQUESTS_MAX`] at most.
    requests: Vec<Request>,
    /// Those that the checkpoint under way is for.
    attached: Vec<Request>,
    drain: Option<Drain>,
    /// The drain has come to nothing, and the job is to go on.
    undrained: bool,
    /// A stop has come to nothing, and the job goes on.
    unstopped: bool,
    /// Ends the writing of savepoints.
    give_up: GiveUp,
    cancelled: bool,
    failure: Option<Error>,
}

impl JobMaster {
    async fn open(
        spec: &JobSpec,
        store: Option<OpenedStore>,
        pool: Option<&SharedPool>,
        metrics: Arc<JobMetrics>,
        report: watch::Sender<JobState>,
    ) -> Result<JobMaster> {
        spec.graph.validate()?;
        let manifest = store.as_ref().and_then(|(_, o)| o.manifest.clone());
        let savepoint = store.as_ref().and_then(|(_, o)| o.savepoint.clone());
        let processes = match pool {
            Some(pool) => pool.lock().await.options.processes,
            None => 1,
        };
        if let Some((_, opened)) = &store
            && opened.manifest.is_some()
        {
            spec.fail_points.hit(FailPoint::DuringRestore);
            if opened.restores > 1 {
                spec.fail_points.hit(FailPoint::DuringSecondRestore);
            }
        }
        let now = spec.clock.monotonic();
        let begin = async {
            let mut enumerators = Enumerators::create(&spec.graph, spec.parallelism, manifest.as_ref())?;
            let first = enumerators.start(now).await?;
            Ok::<_, Error>((enumerators, first))
        };
        let go_on = async {
            let mut restored = Restored::default();
            let mut durable = None;
            let (mut lineage, mut generation, mut next) = (String::new(), flott_core::Generation(1), CheckpointId(1));
            if let Some((mut store, opened)) = store {
                let mut committers = create_committers(&spec.graph, &store)?;
                let refusal = if spec.allow_lost_output { Refusal::IsGivenUpOnceKnown } else { Refusal::Fails };
                roll_forward(&spec.graph, &mut store, &mut committers, &spec.fail_points, &opened, refusal).await?;
                if let Some(m) = &opened.manifest {
                    check_restorable(&spec.graph, m, spec.allow_non_restored_state)?;
                    let here = subtasks(spec.parallelism, processes, 0);
                    restored = restore(&spec.graph, store.restored_from(), m, spec.parallelism, here).await?;
                }
                (lineage, generation, next) = (store.lineage().to_string(), store.generation(), store.head().next);
                durable = Some((store, committers));
            }
            Ok::<_, Error>((restored, durable, lineage, generation, next))
        };
        // Both wait for the outside. What was decided is committed also where a source cannot begin.
        let (gone_on, begun) = tokio::join!(go_on, begin);
        let (restored, durable, lineage, generation, next) = gone_on?;
        let (enumerators, first) = begun?;
        // Committing may have taken long.
        let now = spec.clock.monotonic();
        let (events_in, events) = mpsc::channel(EVENT_QUEUE);
        let options = AttemptOptions {
            lineage,
            generation,
            parallelism: spec.parallelism,
            in_flight_bytes: spec.in_flight_bytes,
            memory_bytes_max: spec.memory_bytes_max,
            buffer_timeout: spec.buffer_timeout,
            first_epoch: next,
            clock: Arc::clone(&spec.clock),
            fail_points: spec.fail_points.clone(),
            metrics: Arc::clone(&metrics),
            base_dir: spec.base_dir.clone(),
        };
        if manifest.is_some() {
            let now_ms = spec.clock.now_ms();
            report.send_modify(|s| s.restored_ms = Some(now_ms));
        }
        let has_store = durable.is_some();
        let (graph, build) = (Arc::clone(&spec.graph), Arc::clone(&spec.build));
        let starting = Starting { graph, build, options, restored, has_store, manifest, savepoint };
        let attempt = Workers::start(pool, starting, events_in).await?;
        let mut waiting_readers = WaitingReaders::new(&spec.graph, spec.parallelism);
        for command in first {
            waiting_readers.on_command(&command);
            attempt.send(command);
        }
        let topology = topology(&spec.graph, spec.parallelism);
        Ok(JobMaster {
            coordinator: CheckpointCoordinator::new(topology, next),
            graph: Arc::clone(&spec.graph),
            attempt,
            events,
            enumerators,
            waiting_readers,
            alignment: WatermarkAlignment::new(&spec.graph, spec.parallelism, now),
            durable,
            has_store,
            finalizing: None,
            writing: vec![],
            unwritten: BTreeSet::new(),
            next_checkpoint: spec.checkpoints.interval.filter(|_| has_store).map(|i| now + i),
            options: spec.checkpoints,
            clock: Arc::clone(&spec.clock),
            fail_points: spec.fail_points.clone(),
            report,
            metrics,
            failed_in_a_row: 0,
            triggered_at: now,
            stopping: false,
            last: None,
            requests: vec![],
            attached: vec![],
            drain: None,
            undrained: false,
            unstopped: false,
            give_up: GiveUp::default(),
            cancelled: false,
            failure: None,
        })
    }

    async fn run(mut self, wishes: &mut Wishes) -> Result<JobOutcome> {
        let finished = loop {
            let sleep = self.until_next_deadline();
            tokio::select! {
                event = self.events.recv() => match event {
                    Some(WorkerEvent::Task(TaskEvent::Ended { finished })) => break finished,
                    Some(WorkerEvent::Task(event)) => self.on_event(event),
                    Some(WorkerEvent::SnapshotTaken { checkpoint, node, subtask }) => {
                        self.unwritten.insert((checkpoint, (node, subtask)));
                        self.coordinator.operator_snapshot(checkpoint, (node, subtask));
                    }
                    Some(WorkerEvent::Written { checkpoint, node, subtask, part }) => {
                        self.on_written(Ok((checkpoint, (node, subtask), part)));
                    }
                    None => {
                        self.fail(Error::internal("the worker ended without a word"));
                        break false;
                    }
                },
                wish = wishes.next() => match wish {
                    Control::Checkpoint(request) => self.on_request(request),
                    Control::Stop { drain: true, request } => self.on_drain(request),
                    Control::Stop { drain: false, request } => self.on_stop(request),
                    Control::Cancel => {
                        self.cancelled = true;
                        self.attempt.cancel_at_once();
                    }
                },
                done = join_first(&mut self.writing) => self.on_written(done),
                done = join_option(&mut self.finalizing) => self.on_finalized(done),
                called = self.enumerators.next_call() => {
                    let commands = called.and_then(|called| self.enumerators.called(called));
                    self.send_all(commands);
                }
                () = tokio::time::sleep(sleep) => {}
            }
            self.on_time();
            if std::mem::take(&mut self.unstopped) {
                wishes.take_back_stop();
            }
        };
        self.end(finished, wishes).await
    }

    fn fail(&mut self, error: Error) {
        self.failure.get_or_insert(error);
        self.attempt.cancel();
    }

    fn until_next_deadline(&self) -> Duration {
        let now = self.clock.monotonic();
        let timeout = self.coordinator.pending().map(|_| self.triggered_at + self.options.timeout);
        let due = if self.requests.is_empty() { self.next_checkpoint } else { Some(now) };
        let checkpoint = due.filter(|_| self.can_trigger());
        [timeout, checkpoint, self.enumerators.next_discovery(), self.waiting_readers.next(), self.alignment.next()]
            .into_iter()
            .flatten()
            .min()
            .map_or(Duration::from_secs(3_600), |at| at.saturating_sub(now))
    }

    fn can_trigger(&self) -> bool {
        self.coordinator.can_trigger()
            && self.durable.is_some()
            && self.enumerators.is_settled()
            && (self.options.after_tasks_finish || self.stopping || !self.coordinator.any_ended())
            && self.drain.as_ref().is_none_or(|drain| drain.begun.is_none())
            && self.failure.is_none()
    }

    fn on_time(&mut self) {
        let now = self.clock.monotonic();
        if self.coordinator.pending().is_some()
            && now >= self.triggered_at + self.options.timeout
            && let Some(id) = self.coordinator.abort()
        {
            self.on_timed_out(id);
        }
        let is_due = !self.requests.is_empty() || self.next_checkpoint.is_some_and(|at| now >= at);
        if is_due && self.can_trigger() {
            self.trigger();
        }
        self.begin_drain();
        if self.enumerators.next_discovery().is_some_and(|at| now >= at) {
            let found = self.enumerators.discover(now);
            self.send_all(found);
        }
        for command in self.alignment.commands(now) {
            self.attempt.send(command);
        }
        for warning in self.waiting_readers.warnings(now) {
            tracing::warn!("{warning}");
        }
    }

    fn on_timed_out(&mut self, id: CheckpointId) {
        let timeout = self.options.timeout;
        let error = Error::unavailable(format!("checkpoint {id} was not complete after {timeout:?}")).hint(
            "A sink that is slower than its source holds it up: raise 'execution.checkpointing.timeout' or \
                     'execution.checkpointing.tolerable-failed-checkpoints'",
        );
        self.on_given_up(id, error);
    }

    /// A checkpoint has come to nothing: its output travels in the next one. More of them in a row than are tolerated are
    /// a failure of the attempt.
    fn on_given_up(&mut self, id: CheckpointId, error: Error) {
        tracing::warn!(checkpoint = id.0, %error, "a checkpoint has failed; its output travels in the next one");
        self.report.send_modify(|s| (s.failed_checkpoints, s.checkpoints_in_progress) = (s.failed_checkpoints + 1, 0));
        let commands = self.enumerators.checkpoint_aborted(id);
        self.send_all(commands);
        self.failed_in_a_row += 1;
        for request in std::mem::take(&mut self.attached) {
            if request.ends && request.to.is_none() {
                // Whoever wants an end and nothing else gets it from the next one.
                self.requests.push(request);
                continue;
            }
            request.answer(Err(Error::new(error.kind(), error.to_string())));
        }
        if self.stopping {
            self.stop_again_or_resume();
        }
        if self.failed_in_a_row > self.options.tolerable_failures {
            self.fail(error);
        }
    }

    fn trigger(&mut self) {
        let late = self.unwritten.iter().map(|(checkpoint, _)| checkpoint).collect::<BTreeSet<_>>().len();
        if late >= WRITTEN_AT_ONCE_MAX {
            // Each holds a copy of the state in memory.
            let text = format!("the state of {late} checkpoints that came to nothing is still being written");
            return self.fail(Error::unavailable(text).hint(
                "The folder of the checkpoints takes less than the job writes: raise 'execution.checkpointing.interval' and \
                 'execution.checkpointing.timeout', or see what holds it up",
            ));
        }
        let now = self.clock.monotonic();
        self.next_checkpoint = self.options.interval.map(|i| now + i);
        self.triggered_at = now;
        self.attached.append(&mut self.requests);
        let id = self.coordinator.trigger();
        self.report.send_modify(|s| s.checkpoints_in_progress = 1);
        // Between this snapshot and the command nothing is assigned: every split is in exactly one of the two states.
        match self.enumerators.snapshot(id) {
            Ok(states) => self.coordinator.set_enumerators(states),
            Err(e) => return self.fail(e),
        }
        self.attempt.send(if self.stopping {
            self.last.get_or_insert(id);
            TaskCommand::StopWithCheckpoint(id)
        } else {
            TaskCommand::TriggerCheckpoint(id)
        });
    }

    fn send_all(&mut self, commands: Result<Vec<TaskCommand>>) {
        match commands {
            // Sources that end take nothing more; where they stand is noted already.
            Ok(_) if self.drain.as_ref().is_some_and(|drain| drain.begun.is_some()) => {}
            Ok(commands) => {
                for command in commands {
                    self.waiting_readers.on_command(&command);
                    self.attempt.send(command);
                }
            }
            Err(e) => self.fail(e),
        }
    }

    fn on_event(&mut self, event: TaskEvent) {
        self.waiting_readers.on_event(&event, self.clock.monotonic());
        self.alignment.on_event(&event);
        match event {
            TaskEvent::ReaderRegistered { node, subtask } => {
                let commands = self.enumerators.reader_registered(node, subtask);
                self.send_all(commands);
            }
            TaskEvent::SplitRequest { node, subtask } => {
                let commands = self.enumerators.split_request(node, subtask);
                self.send_all(commands);
            }
            TaskEvent::SourceEvent { node, subtask, event } => {
                let commands = self.enumerators.source_event(node, subtask, event);
                self.send_all(commands);
            }
            TaskEvent::SourceSnapshot { checkpoint, node, subtask, splits } => {
                self.coordinator.source_snapshot(checkpoint, (node, subtask), splits);
            }
            TaskEvent::SourceDrained { node, subtask, splits } => {
                if let Some(Drain { begun: Some(positions), .. }) = &mut self.drain {
                    positions.splits.insert((node, subtask), splits);
                }
            }
            TaskEvent::SourceEnded { node, subtask } | TaskEvent::OperatorEnded { node, subtask } => {
                self.coordinator.task_ended((node, subtask));
            }
            TaskEvent::OperatorSnapshot { checkpoint, node, subtask, watermark_ms, snapshot } => {
                if let Some((store, _)) = &self.durable {
                    self.unwritten.insert((checkpoint, (node, subtask)));
                    self.coordinator.operator_snapshot(checkpoint, (node, subtask));
                    let (writer, fail_points) = (store.writer(), self.fail_points.clone());
                    self.writing.push(tokio::spawn(async move {
                        let runs = writer.write(checkpoint, node.0, subtask, &snapshot).await;
                        fail_points.hit(FailPoint::MidSnapshot);
                        let (version, meta) = (snapshot.version, snapshot.meta);
                        let part = runs.map(|runs| OperatorPart { watermark_ms, version, meta, runs });
                        (checkpoint, (node, subtask), part)
                    }));
                }
            }
            TaskEvent::SinkPrepared { checkpoint, node, subtask, committables, writer_state } => {
                self.coordinator.sink_prepared(checkpoint, (node, subtask), committables, writer_state);
            }
            TaskEvent::Failed { node, error } => {
                let error = match node {
                    Some(n) => error.with("operator", &self.graph.node(n).name),
                    None => error,
                };
                self.fail(error);
            }
            TaskEvent::WatermarkReport { .. } | TaskEvent::Ended { .. } => {}
        }
        self.finalize_if_complete();
    }

    fn on_written(&mut self, done: Result<Written>) {
        if let Ok((checkpoint, task, _)) = &done {
            self.unwritten.remove(&(*checkpoint, *task));
        }
        match done {
            Ok((checkpoint, task, Ok(part))) => self.coordinator.operator_stored(checkpoint, task, part),
            Ok((checkpoint, _, Err(e))) if self.coordinator.pending() != Some(checkpoint) => {
                tracing::debug!(checkpoint = checkpoint.0, error = %e, "state of a checkpoint that was given up");
            }
            // What can be done about it is known where it happened.
            Ok((checkpoint, task, Err(e))) => {
                let node = &self.graph.node(task.0).name;
                let e = if e.hint_text().is_some() { e } else { e.hint("The checkpoint could not be written") };
                let e = e.with("operator", node);
                match e.kind() {
                    // No other checkpoint would fare better.
                    ErrorKind::Fenced | ErrorKind::Internal => self.fail(e),
                    _ => {
                        self.coordinator.abort();
                        self.on_given_up(checkpoint, e);
                    }
                }
            }
            Err(e) => self.fail(e),
        }
        self.finalize_if_complete();
    }
}

fn topology(graph: &JobGraph, parallelism: usize) -> Topology {
    let mut topology = Topology::default();
    for (id, node) in graph.iter() {
        let tasks = match node.spec {
            OperatorSpec::Source(_) => &mut topology.sources,
            OperatorSpec::Sink(_) => &mut topology.sinks,
            _ => &mut topology.operators,
        };
        tasks.extend((0..parallelism).map(|s| (id, s)));
    }
    topology
}

fn create_committers(graph: &JobGraph, store: &CheckpointStore) -> Result<Committers> {
    let mut committers = Committers::new();
    for (id, node) in graph.sinks() {
        let OperatorSpec::Sink(sink) = &node.spec else { continue };
        let context = CommitterContext {
            lineage: store.lineage().to_string(),
            generation: store.generation(),
            operator_uid: node.uid.clone(),
            replaced_lineages: store.lineages_to_clean_up(),
        };
        if let Some(c) = sink.sink.create_committer(context).map_err(|e| e.with("table", &sink.table.object))? {
            committers.insert(id, c);
        }
    }
    Ok(committers)
}

/// The next of several tasks; waits for ever without one.
pub(crate) async fn join_first<T>(tasks: &mut Vec<JoinHandle<T>>) -> Result<T> {
    if tasks.is_empty() {
        return std::future::pending().await;
    }
    let (done, index, _) = futures::future::select_all(tasks.iter_mut()).await;
    drop(tasks.swap_remove(index));
    done.map_err(|e| Error::internal("a task of the checkpoint ended early").caused_by(e))
}

async fn join_option<T>(task: &mut Option<JoinHandle<T>>) -> Result<T> {
    let Some(running) = task.as_mut() else { return std::future::pending().await };
    let done = running.await;
    *task = None;
    done.map_err(|e| Error::new(ErrorKind::Internal, "a task of the coordinator ended early").caused_by(e))
}
