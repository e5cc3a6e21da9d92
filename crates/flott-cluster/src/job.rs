//! One attempt of one job: the loop that drives the coordinator, the enumerators and the worker.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flott_connector::Versioned;
use flott_connector::sink::CommitterContext;
use flott_core::clock::Clock;
use flott_core::rng::Rng;
use flott_core::{CheckpointId, Error, ErrorKind, FailPoint, FailPoints, Result};
use flott_graph::{JobGraph, NodeId, OperatorSpec};
use flott_runtime::BuildOperator;
use flott_runtime::api::{AttemptOptions, Restored, SplitState, TaskCommand, TaskEvent};
use flott_runtime::metrics::JobMetrics;
use flott_state::CheckpointStore;
use flott_state::manifest::{JobStatus as StoredStatus, Manifest};
use flott_state::savepoint::GiveUp;
use flott_state::store::{Opened, Tenure};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinHandle;

use crate::alignment::WatermarkAlignment;
use crate::checkpoint::{CheckpointCoordinator, Collected, OperatorPart, TaskId, Topology};
use crate::control::{Control, Desk, Ending, JobHandle, JobOutcome, JobState, OpenSavepoint, Request, Wishes, handle};
use crate::enumerators::Enumerators;
use crate::finalize::{self, Committers};
use crate::options::CheckpointOptions;
use crate::process::ProcessOptions;
use crate::process::message::WorkerEvent;
use crate::process::pool::{Pool, SharedPool};
use crate::process::workers::{Starting, Workers, subtasks};
use crate::restart::{RestartStrategy, Restarts};
use crate::restore::{check_restorable, restore, roll_forward};
use crate::savepoints::{self, OfTheEnd};
use crate::status::JobStatus;
use crate::waiting_readers::WaitingReaders;

/// Events that the worker may be ahead of the coordinator.
const EVENT_QUEUE: usize = 1_024;

/// The longest that the end of an attempt waits for state files that are being written.
const WRITING_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest that a cancelled job waits for a commit that is under way.
const CANCEL_GRACE: Duration = Duration::from_secs(2);

/// The longest that the end of an attempt waits for sinks to remove what they staged in vain.
const ABORT_TIMEOUT: Duration = Duration::from_secs(2);

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
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where a test stops the process.
    pub fail_points: FailPoints,
    /// Relative paths start here.
    pub base_dir: PathBuf,
}

/// Starts a job. What was decided before and not committed is committed first. A failure of the first attempt's opening
/// is the caller's; later ones are the restart strategy's.
pub async fn start(mut spec: JobSpec) -> Result<JobHandle> {
    let metrics = Arc::new(JobMetrics::new(spec.graph.nodes.len(), spec.parallelism));
    let (graph, open_savepoint) = (Arc::clone(&spec.graph), Arc::clone(&spec.savepoints));
    let store = spec.store.take();
    let now_ms = spec.clock.now_ms();
    let (job, desk) = handle(graph, Arc::clone(&metrics), open_savepoint, store.is_some(), now_ms);
    let Desk { wishes, report, done } = desk;
    let tenure = store.as_ref().map(|(store, _)| store.tenure());
    let pool = match spec.processes.take() {
        Some(options) => Some(Arc::new(Mutex::new(Pool::new(options).await?))),
        None => None,
    };
    let master = JobMaster::open(&spec, store, pool.as_ref(), Arc::clone(&metrics), report.clone()).await?;
    let clock = Arc::clone(&spec.clock);
    let supervisor = Supervisor { spec, pool: pool.clone(), tenure, metrics, report, wishes };
    let last_word = supervisor.report.clone();
    tokio::spawn(async move {
        let mut outcome = Box::pin(supervisor.run(master)).await;
        if let Some(pool) = pool {
            pool.lock().await.quit().await;
        }
        let status = match &outcome {
            Ok(JobOutcome::Finished(_)) => JobStatus::Finished,
            Ok(JobOutcome::Suspended(_)) => JobStatus::Suspended,
            Ok(JobOutcome::Cancelled(_)) => JobStatus::Canceled,
            Err(_) => JobStatus::Failed,
        };
        last_word.send_modify(|s| (s.status, s.ended_ms) = (status, Some(clock.now_ms())));
        if let Ok(JobOutcome::Finished(s) | JobOutcome::Suspended(s) | JobOutcome::Cancelled(s)) = &mut outcome {
            *s = *last_word.borrow();
        }
        drop(last_word);
        // Nobody may be waiting any more.
        drop(done.send(outcome));
    });
    Ok(job)
}

/// Runs attempt after attempt, until one ends well or the restart strategy gives up.
struct Supervisor {
    spec: JobSpec,
    /// The other processes.
    pool: Option<SharedPool>,
    /// `None` for a job without checkpoints, which begins anew.
    tenure: Option<Tenure>,
    metrics: Arc<JobMetrics>,
    report: watch::Sender<JobState>,
    wishes: Wishes,
}

impl Supervisor {
    async fn run(mut self, first: JobMaster) -> Result<JobOutcome> {
        let outcome = self.attempts(first).await;
        self.report.send_modify(|s| s.ending = self.wishes.end);
        outcome
    }

    async fn attempts(&mut self, first: JobMaster) -> Result<JobOutcome> {
        let mut restarts = Restarts::new(self.spec.restarts);
        let mut rng = Rng::from_entropy();
        let mut attempt = Ok(first);
        loop {
            let outcome = match attempt {
                Ok(master) => master.run(&mut self.wishes).await,
                Err(e) => Err(e),
            };
            let error = match outcome {
                Ok(outcome) => return Ok(outcome),
                Err(error) => self.unless_taken_over(error).await,
            };
            if self.wishes.end.is_some() {
                return Err(
                    error.hint("It failed while it was to end; --restore latest goes on from the last checkpoint")
                );
            }
            let Some(pause) = restarts.after(&error, self.spec.clock.monotonic(), &mut rng) else { return Err(error) };
            tracing::warn!(%error, pause_ms = pause.as_millis() as u64, "the job failed and is started again");
            attempt = match self.next_attempt(pause).await {
                Some(attempt) => attempt,
                None if self.wishes.end == Some(Ending::Stop) && self.tenure.is_some() => {
                    return Ok(JobOutcome::Suspended(*self.report.borrow()));
                }
                None => return Ok(JobOutcome::Cancelled(*self.report.borrow())),
            };
        }
    }

    /// The error, or that another attempt has taken the job over, which has most often brought it about.
    async fn unless_taken_over(&self, error: Error) -> Error {
        let Some(tenure) = &self.tenure else { return error };
        match tenure.check().await {
            Err(fenced) if fenced.kind() == ErrorKind::Fenced => fenced,
            _ => error,
        }
    }

    /// Waits, then opens the next attempt; `None` where a user wants an end meanwhile. What is decided is then committed
    /// by whoever opens the job next.
    async fn next_attempt(&mut self, pause: Duration) -> Option<Result<JobMaster>> {
        self.report.send_modify(|s| s.status = JobStatus::Restarting);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.wishes.end_between_attempts() => return None,
        }
        let Supervisor { spec, pool, tenure, metrics, report, wishes } = self;
        report.send_modify(|s| s.restarts += 1);
        let attempt = tokio::select! {
            attempt = reopen(spec, pool.as_ref(), tenure, metrics, report) => attempt,
            () = wishes.end_between_attempts() => return None,
        };
        // Not before: until then what needs a running attempt is refused.
        if attempt.is_ok() {
            let now_ms = spec.clock.now_ms();
            report.send_modify(|s| {
                s.attempt_started_ms = now_ms;
                s.status = JobStatus::Running;
            });
        }
        Some(attempt)
    }
}

async fn reopen(
    spec: &JobSpec,
    pool: Option<&SharedPool>,
    tenure: &mut Option<Tenure>,
    metrics: &Arc<JobMetrics>,
    report: &watch::Sender<JobState>,
) -> Result<JobMaster> {
    let store = match tenure {
        Some(tenure) => Some(tenure.reopen().await?),
        None => None,
    };
    *tenure = store.as_ref().map(|(store, _)| store.tenure());
    // Rows behind what it goes on from are counted again.
    metrics.rewind(store.as_ref().and_then(|(_, opened)| opened.manifest.as_ref()).map(|m| m.checkpoint.0));
    JobMaster::open(spec, store, pool, Arc::clone(metrics), report.clone()).await
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
    writing: Vec<JoinHandle<Written>>,
    options: CheckpointOptions,
    clock: Arc<dyn Clock>,
    fail_points: FailPoints,
    report: watch::Sender<JobState>,
    metrics: Arc<JobMetrics>,
    next_checkpoint: Option<Duration>,
    triggered_at: Duration,
    /// Checkpoints that timed out, one after another.
    timed_out: u32,
    stopping: bool,
    /// The first checkpoint behind whose barrier nothing is emitted: it, or one that follows it, ends the job.
    last: Option<CheckpointId>,
    /// Checkpoints that users wait for and that have not begun.
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
        let mut restored = Restored::default();
        let mut durable = None;
        let (mut lineage, mut generation, mut next) = (String::new(), flott_core::Generation(1), CheckpointId(1));
        if let Some((mut store, opened)) = store {
            let mut committers = create_committers(&spec.graph, &store)?;
            roll_forward(&spec.graph, &mut store, &mut committers, &spec.fail_points, &opened).await?;
            if let Some(m) = &opened.manifest {
                check_restorable(&spec.graph, m, spec.allow_non_restored_state)?;
                let here = subtasks(spec.parallelism, processes, 0);
                restored = restore(&spec.graph, store.restored_from(), m, spec.parallelism, here).await?;
            }
            (lineage, generation, next) = (store.lineage().to_string(), store.generation(), store.head().next);
            durable = Some((store, committers));
        }
        let mut enumerators = Enumerators::create(&spec.graph, spec.parallelism, manifest.as_ref())?;
        let now = spec.clock.monotonic();
        let first = enumerators.start(now).await?;
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
            next_checkpoint: spec.checkpoints.interval.filter(|_| has_store).map(|i| now + i),
            options: spec.checkpoints,
            clock: Arc::clone(&spec.clock),
            fail_points: spec.fail_points.clone(),
            report,
            metrics,
            timed_out: 0,
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
                        self.attempt.cancel();
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
        tracing::warn!(checkpoint = id.0, "checkpoint timed out; its output travels in the next one");
        self.report.send_modify(|s| s.failed_checkpoints += 1);
        let commands = self.enumerators.checkpoint_aborted(id);
        self.send_all(commands);
        self.timed_out += 1;
        for request in std::mem::take(&mut self.attached) {
            if request.ends && request.to.is_none() {
                // Whoever wants an end and nothing else gets it from the next one.
                self.requests.push(request);
                continue;
            }
            let why = Error::unavailable(format!("checkpoint {id} was not complete in time"));
            request.answer(Err(
                why.hint("A slow sink holds it up: raise 'execution.checkpointing.timeout', or try again")
            ));
        }
        if self.stopping {
            self.stop_again_or_resume();
        }
        if self.timed_out > self.options.tolerable_failures {
            let timeout = self.options.timeout;
            self.fail(Error::unavailable(format!("checkpoint {id} was not complete after {timeout:?}")).hint(
                "A sink that is slower than its source holds it up: raise 'execution.checkpointing.timeout' or \
                     'execution.checkpointing.tolerable-failed-checkpoints'",
            ));
        }
    }

    fn trigger(&mut self) {
        let now = self.clock.monotonic();
        self.next_checkpoint = self.options.interval.map(|i| now + i);
        self.triggered_at = now;
        self.attached.append(&mut self.requests);
        let id = self.coordinator.trigger();
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
        match done {
            Ok((checkpoint, task, Ok(part))) => self.coordinator.operator_stored(checkpoint, task, part),
            Ok((checkpoint, _, Err(e))) if self.coordinator.pending() != Some(checkpoint) => {
                tracing::debug!(checkpoint = checkpoint.0, error = %e, "state of a checkpoint that was given up");
            }
            // What can be done about it is known where it happened.
            Ok((_, _, Err(e))) | Err(e) if e.hint_text().is_some() => self.fail(e),
            Ok((_, _, Err(e))) | Err(e) => self.fail(e.hint("The checkpoint could not be written")),
        }
        self.finalize_if_complete();
    }

    fn finalize_if_complete(&mut self) {
        if self.failure.is_some() || self.durable.is_none() {
            return;
        }
        if let Some(collected) = self.coordinator.take_complete() {
            self.finalize(collected, None, false);
        }
    }

    /// Off the loop: deciding and committing may take long, and splits are handed out meanwhile.
    ///
    /// Savepoints are written here too, of `drained` where the job's input was made to end: its files must not be retired
    /// meanwhile.
    fn finalize(&mut self, mut collected: Collected, drained: Option<Collected>, finished: bool) {
        let Some((mut store, mut committers)) = self.durable.take() else { return };
        let requests = std::mem::take(&mut self.attached);
        let (graph, fail_points, now_ms) = (Arc::clone(&self.graph), self.fail_points.clone(), self.clock.now_ms());
        let give_up = self.give_up.clone();
        self.finalizing = Some(tokio::spawn(async move {
            let (end, requests) = match drained {
                None => (None, requests),
                Some(drained) => {
                    let prepared = async {
                        let manifest = finalize::manifest(&graph, &store, &drained, now_ms, false)?;
                        OfTheEnd::prepare(&store, requests, &manifest, &give_up).await
                    };
                    match prepared.await {
                        Ok(end) => (Some(end), vec![]),
                        Err(e) => {
                            finalize::abort(&graph, &mut committers, &collected.committables).await;
                            return Finalized { store, committers, undrained: true, unstopped: false, result: Err(e) };
                        }
                    }
                }
            };
            let result = async {
                finalize::pre_commit(&mut committers, &mut collected).await?;
                let manifest = finalize::manifest(&graph, &store, &collected, now_ms, finished)?;
                let decided = finalize::finalize(&graph, &mut store, &mut committers, &fail_points, &manifest).await?;
                Ok((decided, manifest))
            }
            .await;
            let mut unstopped = false;
            let result = match (result, end) {
                (Ok((decided, manifest)), None) => {
                    unstopped = savepoints::answer(&store, requests, &manifest, &give_up).await;
                    Ok((decided, manifest))
                }
                // The end is decided and committed, but is not marked as one: a restore goes on where the sources stood.
                (Ok(done), Some(end)) => end.publish().await.map(|()| done),
                (Err(e), None) => Err(e),
                (Err(e), Some(end)) => {
                    end.discard(&e).await;
                    Err(e)
                }
            };
            Finalized { store, committers, undrained: false, unstopped, result }
        }));
    }

    fn on_finalized(&mut self, done: Result<Finalized>) {
        let done = match done {
            Ok(done) => done,
            Err(e) => return self.fail(e),
        };
        self.durable = Some((done.store, done.committers));
        self.undrained |= done.undrained;
        self.coordinator.finalized();
        match done.result {
            Ok((decided, manifest)) => {
                let (now, now_ms) = (self.clock.monotonic(), self.clock.now_ms());
                let duration = now.saturating_sub(self.triggered_at);
                tracing::debug!(checkpoint = decided.id().0, ms = duration.as_millis() as u64, "checkpoint committed");
                self.report.send_modify(|s| {
                    s.checkpoints += 1;
                    s.last_checkpoint = Some(decided.id());
                    s.last_checkpoint_ms = Some(now_ms);
                    s.last_duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
                    s.last_state_bytes = manifest.state_bytes();
                    s.last_new_bytes = manifest.new_bytes();
                });
                self.timed_out = 0;
                self.metrics.settle(decided.id().0);
                if !self.stopping {
                    self.next_checkpoint = self.next_checkpoint.map(|at| at.max(now + self.options.min_pause));
                }
                let is_last = self.last.is_some_and(|last| decided.id() >= last);
                let commands = self.enumerators.checkpoint_complete(&decided);
                self.send_all(commands);
                self.attempt.send(TaskCommand::CheckpointComplete(decided));
                if is_last && done.unstopped {
                    self.stop_again_or_resume();
                } else if is_last {
                    self.attempt.cancel();
                }
            }
            Err(e) => self.fail(e),
        }
    }

    fn on_request(&mut self, request: Request) {
        if self.stopping || self.drain.is_some() || self.coordinator.sources_ended() {
            return request.answer(Err(Error::user("the job is ending already: no checkpoint follows")));
        }
        if !self.options.after_tasks_finish && self.coordinator.any_ended() {
            let why = Error::user("a source has ended, and the job was told to take no checkpoint after that");
            let option = "execution.checkpointing.checkpoints-after-tasks-finish.enabled";
            return request.answer(Err(why.hint(format!("SET '{option}' = 'true' before the job starts"))));
        }
        self.requests.push(request);
    }

    /// The checkpoint with which the job was to end has come to nothing, or had not what it was for. As in Flink the job goes
    /// on, unless somebody still waits for its end.
    fn stop_again_or_resume(&mut self) {
        let now = self.clock.monotonic();
        if self.requests.iter().any(|request| request.ends) {
            self.next_checkpoint = Some(now);
            return;
        }
        tracing::warn!("the job goes on: it was to stop with a savepoint, and there is none");
        (self.stopping, self.last, self.unstopped) = (false, None, true);
        self.next_checkpoint = self.options.interval.map(|interval| now + interval);
        self.attempt.send(TaskCommand::Resume);
    }

    /// A last checkpoint, then the end. One that is under way does not serve: rows behind its barrier may have come to
    /// sinks that show them at once, and would come there again after a restore.
    fn on_stop(&mut self, request: Request) {
        let is_first = !std::mem::replace(&mut self.stopping, true);
        if !self.has_store {
            self.cancelled = true;
            return self.attempt.cancel();
        }
        self.requests.push(request);
        if is_first {
            self.next_checkpoint = Some(self.clock.monotonic());
        }
    }

    fn on_drain(&mut self, request: Request) {
        if self.stopping || self.drain.is_some() {
            return request.answer(Err(Error::user("the job is ending already")));
        }
        self.drain = Some(Drain { request: Some(request), begun: None });
    }

    /// Sources end once all restored splits are with their readers: what a savepoint holds must be complete. What the
    /// enumerators assign from here on comes nowhere; their state from before is what counts.
    fn begin_drain(&mut self) {
        let Some(drain) = &mut self.drain else { return };
        if drain.begun.is_some() || !self.enumerators.is_settled() {
            return;
        }
        let id = self.coordinator.pending().unwrap_or(CheckpointId(u64::MAX));
        match self.enumerators.snapshot(id) {
            Ok(enumerators) => drain.begun = Some(Positions { enumerators, ..Positions::default() }),
            Err(e) => return self.fail(e),
        }
        self.attempt.send(TaskCommand::Drain);
    }

    async fn end(mut self, finished: bool, wishes: &mut Wishes) -> Result<JobOutcome> {
        self.attempt.join().await;
        // Their checkpoint comes to nothing, but a file that appears after the last clean-up would stay. A write that
        // blocks cannot be called back, so it is waited for; one that hangs is left to the next attempt's clean-up.
        let writing = futures::future::join_all(self.writing.drain(..));
        drop(tokio::time::timeout(WRITING_TIMEOUT, writing).await);
        self.finish_committing(wishes).await;
        if !finished || self.failure.is_some() {
            self.abort_undecided().await;
        }
        if let Some(error) = self.failure.take() {
            self.sweep_finished().await;
            return Err(error);
        }
        let state = || *self.report.borrow();
        if self.cancelled {
            return Ok(JobOutcome::Cancelled(state()));
        }
        if !finished {
            if let Some((store, _)) = &mut self.durable {
                store.set_status(StoredStatus::Suspended).await?;
            }
            return Ok(JobOutcome::Suspended(state()));
        }
        if let Err(error) = self.finish(wishes).await {
            self.sweep_finished().await;
            return Err(error);
        }
        if self.durable.is_none() && self.has_store {
            return Ok(JobOutcome::Cancelled(*self.report.borrow()));
        }
        Ok(JobOutcome::Finished(*self.report.borrow()))
    }

    /// Output behind the last checkpoint goes: it is read again, or not wanted. Staged files need not wait for an attempt
    /// that may never come.
    async fn abort_undecided(&mut self) {
        let undecided = self.coordinator.take_undecided();
        if let Some((_, committers)) = &mut self.durable {
            let abort = finalize::abort(&self.graph, committers, &undecided);
            drop(tokio::time::timeout(ABORT_TIMEOUT, abort).await);
        }
    }

    /// What this attempt has staged, where another one has finished the job: nobody comes later to remove it.
    async fn sweep_finished(&mut self) {
        let Some((store, committers)) = &mut self.durable else { return };
        if matches!(store.is_finished_by_successor().await, Ok(true)) {
            drop(tokio::time::timeout(ABORT_TIMEOUT, finalize::sweep(&self.graph, committers)).await);
        }
    }

    /// What is decided is committed, whatever ends the attempt. Only a user who cancels does not wait for a target that
    /// is away: the next attempt commits then.
    async fn finish_committing(&mut self, wishes: &mut Wishes) {
        let Some(mut task) = self.finalizing.take() else { return };
        let give_up = self.give_up.clone();
        let patience = async {
            wishes.cancelled().await;
            give_up.give_up();
            tokio::time::sleep(CANCEL_GRACE).await;
        };
        tokio::select! {
            done = &mut task => {
                let done = done.map_err(|e| Error::internal("committing ended early").caused_by(e));
                self.on_finalized(done);
            }
            () = patience => {
                task.abort();
                tracing::warn!("decided output is not committed yet: it is when the job is run with --restore latest");
            }
        }
    }

    /// Whoever waits for a checkpoint hears of the last one. A savepoint of it holds where the sources stood when they
    /// were made to end; of an input that ended by itself nothing is left to go on with.
    fn attach_to_last(&mut self, last: &Collected) -> Option<Collected> {
        for request in std::mem::take(&mut self.requests) {
            if request.to.is_some() {
                request
                    .answer(Err(Error::user("the job has processed all of its input: there is nothing to go on with")));
            } else {
                self.attached.push(request);
            }
        }
        let drain = self.drain.take()?;
        let positions = drain.begun?;
        self.attached.extend(drain.request);
        Some(Collected {
            checkpoint: last.checkpoint,
            enumerators: positions.enumerators,
            splits: positions.splits,
            writers: last.writers.clone(),
            ..Collected::default()
        })
    }

    /// The final checkpoint of a bounded job: everything prepared becomes visible, then nothing is left to keep.
    async fn finish(&mut self, wishes: &mut Wishes) -> Result<()> {
        if !self.has_store {
            return Ok(());
        }
        if !self.coordinator.sinks_ended() {
            return Err(Error::internal("the input has ended, but not every sink has said so"));
        }
        let id = self.coordinator.pending().unwrap_or(CheckpointId(u64::MAX));
        let enumerators = self.enumerators.snapshot(id)?;
        self.triggered_at = self.clock.monotonic();
        let mut collected = self.coordinator.take_final();
        collected.enumerators = enumerators;
        let drained = self.attach_to_last(&collected);
        if let Some(positions) = &drained {
            // Whoever restores it, because the job died before it was marked as finished, goes on where the sources were
            // made to end.
            collected.enumerators = positions.enumerators.clone();
            collected.splits = positions.splits.clone();
        }
        self.finalize(collected, drained, true);
        self.finish_committing(wishes).await;
        if self.undrained && wishes.end == Some(Ending::Cancel) {
            self.durable = None;
            return Ok(());
        }
        if let Some(error) = self.failure.take() {
            if self.undrained {
                // As in Flink: a job that cannot be stopped as it was asked to goes on.
                wishes.end = None;
            }
            return Err(error);
        }
        let proof = self.durable.as_ref().and_then(|(store, _)| store.last_decided());
        if let (Some((store, committers)), Some(proof)) = (&mut self.durable, proof) {
            let tenure = store.tenure();
            let all = async {
                for committer in committers.values_mut() {
                    // One that slept must not replace, or report as complete, what is another attempt's by now.
                    tenure.check().await?;
                    committer.finish(&proof).await?;
                }
                Ok::<(), Error>(())
            };
            let patience = async {
                wishes.cancelled().await;
                tokio::time::sleep(CANCEL_GRACE).await;
            };
            tokio::select! {
                done = all => {
                    done?;
                    store.set_status(StoredStatus::Finished).await?;
                    return store.retire().await;
                }
                () = patience => {
                    tracing::warn!("the end of the output is not written yet: it is when the job is run with --restore latest");
                }
            }
        }
        // Cancelled, see `end`.
        self.durable = None;
        Ok(())
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
            replaced_lineages: store.head().replaced_lineages.clone(),
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
