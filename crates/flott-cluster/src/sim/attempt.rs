//! One attempt of the job: the real coordinator, the real store and the real finalising, with workers that do nothing
//! but count rows.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use flott_connector::Versioned;
use flott_connector::sink::Committable;
use flott_connector::source::SourceSplit;
use flott_core::{CheckpointId, DecidedCheckpoint, FailPoints, Result};
use flott_graph::NodeId;
use flott_runtime::api::SplitState;
use flott_state::CheckpointStorage;
use flott_state::CheckpointStore;
use flott_state::manifest::{JobStatus, Manifest};
use flott_state::store::Begin;
use futures::FutureExt;

use super::gate::{Gate, GatedStore, Verdict};
use super::world::{Row, SharedWorld, SimCommitter, staged_name};
use super::{Config, OPERATOR, SOURCE, Sabotage, sink_node};
use crate::checkpoint::{CheckpointCoordinator, Collected, OperatorPart, TaskId, Topology};
use crate::finalize::{self, Committers};
use crate::job::roll_forward;

/// What travels from a source to the tasks behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    Row(Row),
    Barrier(CheckpointId),
    End,
}

#[derive(Debug, Default)]
struct SinkTask {
    read: usize,
    open: Vec<Row>,
    staged: u64,
    ended: bool,
}

/// A source with its split, an operator that counts, and a writer for each sink.
#[derive(Debug, Default)]
struct Worker {
    position: u64,
    commands: VecDeque<CheckpointId>,
    log: Vec<Item>,
    source_ended: bool,
    operator_read: usize,
    counted: u64,
    operator_ended: bool,
    /// Counts at barriers, on their way to the store.
    writing: VecDeque<(CheckpointId, u64)>,
    sinks: Vec<SinkTask>,
}

/// A step that an attempt can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The operation at the gate.
    Operation(Verdict),
    /// Source `.0` emits `.1` rows, then the barrier that it was told of.
    Barrier(usize, u64),
    /// Source `.0` emits what is left and ends.
    End(usize),
    /// Operator `.0` reads up to the next barrier or the end.
    Operator(usize),
    /// The state of operator `.0` is stored.
    Stored(usize),
    /// Writer `.1` of worker `.0` reads up to the next barrier or the end.
    Sink(usize, usize),
    Trigger,
    TimeOut,
    /// All tasks have ended.
    Finish,
}

type Opened = (CheckpointStore, Committers, Option<Manifest>);
struct Done {
    store: CheckpointStore,
    committers: Committers,
    result: Result<(DecidedCheckpoint, Manifest)>,
    finished: bool,
}

enum Work {
    Open(Pin<Box<dyn Future<Output = Result<Opened>>>>),
    Finalize(Pin<Box<dyn Future<Output = Done>>>),
    None,
}

/// Why an attempt is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    Finished,
    Failed(String),
}

pub(super) struct Attempt {
    config: Config,
    world: SharedWorld,
    gate: Gate,
    work: Work,
    /// Operations of this attempt so far, with what became of them: together with the outside they tell what the
    /// work under way knows.
    history: Vec<String>,
    durable: Option<(CheckpointStore, Committers)>,
    coordinator: CheckpointCoordinator,
    workers: Vec<Worker>,
    /// Names that a sabotaged attempt forgets.
    forgotten: Vec<String>,
    generation: u64,
    /// What the work under way has been given.
    given: String,
    /// It was stopped: once its work is done it does nothing more.
    pub(super) frozen: bool,
    /// HEAD's tag when the work last ran.
    seen_head: Option<String>,
    pub(super) end: Option<End>,
}

impl Attempt {
    pub(super) fn start(config: &Config, world: &SharedWorld) -> Attempt {
        let gate = Gate::default();
        let mut attempt = Attempt {
            work: Work::Open(Box::pin(open(config.clone(), world.clone(), gate.clone()))),
            config: config.clone(),
            world: world.clone(),
            gate,
            history: vec![],
            durable: None,
            coordinator: CheckpointCoordinator::default(),
            workers: vec![],
            forgotten: vec![],
            generation: 0,
            given: String::new(),
            frozen: false,
            seen_head: None,
            end: None,
        };
        attempt.poll();
        attempt
    }

    /// What tells two attempts' states apart.
    pub(super) fn fingerprint(&self, head_tag: &Option<String>) -> String {
        let work = format!(
            "{} {:?} {:?} {} {}",
            self.seen_head == *head_tag,
            self.gate.waiting(),
            self.history,
            self.given,
            self.generation
        );
        if self.frozen {
            return work;
        }
        let durable =
            self.durable.as_ref().map(|(store, _)| (store.generation(), store.head().next, store.head().committed));
        format!("{work} {:?} {:?} {durable:?} {:?}", self.coordinator, self.workers, self.end)
    }

    /// Whether an operation waits: the moments at which a stop makes a difference to others.
    pub(super) fn is_at_gate(&self) -> bool {
        self.gate.waiting().is_some()
    }

    /// The steps that can be taken: of an attempt that was stopped only its operations. (Whatever else it did before the
    /// next one would be seen by nobody.)
    pub(super) fn steps(&self, triggers: u32, time_outs: u32, faults: u32) -> Vec<Step> {
        let mut steps = vec![];
        if self.end.is_some() {
            return steps;
        }
        if let Some(operation) = self.gate.waiting() {
            steps.push(Step::Operation(Verdict::Done));
            if faults > 0 && (operation.starts_with("put") || operation.starts_with("commit")) {
                steps.extend([Step::Operation(Verdict::AnswerLost), Step::Operation(Verdict::Failed)]);
            }
        }
        if self.frozen {
            return steps;
        }
        // Reading up to the next barrier changes nothing for other tasks, and what they report is collected in any
        // order: of these steps one at a time is enough. Which of two workers or sinks is first is a matter of names.
        let mut reading = None;
        for (w, worker) in self.workers.iter().enumerate() {
            if !worker.source_ended {
                if !worker.commands.is_empty() {
                    steps.push(Step::Barrier(w, 0));
                    if worker.position < self.config.rows {
                        steps.push(Step::Barrier(w, 1));
                    }
                }
                steps.push(Step::End(w));
            }
            if !worker.writing.is_empty() {
                steps.push(Step::Stored(w));
            }
            if worker.operator_read < worker.log.len() {
                reading.get_or_insert(Step::Operator(w));
            }
            for (s, sink) in worker.sinks.iter().enumerate() {
                if sink.read < worker.operator_read {
                    reading.get_or_insert(Step::Sink(w, s));
                }
            }
        }
        steps.extend(reading);
        if triggers > 0 && self.durable.is_some() && self.coordinator.can_trigger() {
            steps.push(Step::Trigger);
        }
        if time_outs > 0 && self.coordinator.pending().is_some() {
            steps.push(Step::TimeOut);
        }
        if self.durable.is_some() && self.all_ended() {
            steps.push(Step::Finish);
        }
        steps
    }

    fn all_ended(&self) -> bool {
        !self.workers.is_empty()
            && self.workers.iter().all(|w| w.source_ended && w.operator_ended && w.sinks.iter().all(|s| s.ended))
    }

    pub(super) fn take(&mut self, step: Step) {
        match step {
            Step::Operation(verdict) => {
                self.history.push(format!("{:?} {verdict:?}", self.gate.waiting()));
                self.gate.decide(verdict);
            }
            Step::Barrier(w, rows) => self.barrier(w, rows),
            Step::End(w) => {
                let worker = &mut self.workers[w];
                while worker.position < self.config.rows {
                    worker.emit(w);
                }
                worker.log.push(Item::End);
                worker.source_ended = true;
                self.coordinator.task_ended((SOURCE, w));
            }
            Step::Operator(w) => self.operator(w),
            Step::Stored(w) => {
                if let Some((checkpoint, counted)) = self.workers[w].writing.pop_front() {
                    let meta = counted.to_string().into_bytes();
                    let part = OperatorPart { watermark_ms: w as i64, version: 1, meta, runs: vec![] };
                    self.coordinator.operator_stored(checkpoint, (OPERATOR, w), part);
                }
            }
            Step::Sink(w, s) => self.sink(w, s),
            Step::Trigger => {
                let checkpoint = self.coordinator.trigger();
                self.coordinator.set_enumerators(BTreeMap::new());
                for worker in self.workers.iter_mut().filter(|w| !w.source_ended) {
                    worker.commands.push_back(checkpoint);
                }
            }
            Step::TimeOut => {
                self.coordinator.abort();
                if self.config.sabotage == Some(Sabotage::ForgetsAbortedOutput) {
                    self.forgotten = self.world.get().staged.keys().map(|(_, name)| name.clone()).collect();
                }
            }
            Step::Finish => {
                let collected = self.coordinator.take_final();
                self.finalize(collected, true);
            }
        }
        if self.durable.is_some()
            && let Some(collected) = self.coordinator.take_complete()
        {
            self.finalize(collected, false);
        }
        self.poll();
    }

    fn barrier(&mut self, w: usize, rows: u64) {
        let worker = &mut self.workers[w];
        for _ in 0..rows {
            worker.emit(w);
        }
        let Some(checkpoint) = worker.commands.pop_front() else { return };
        worker.log.push(Item::Barrier(checkpoint));
        let ahead = u64::from(self.config.sabotage == Some(Sabotage::ReportsPositionsBehindTheBarrier));
        let position = (worker.position + ahead).to_string().into_bytes();
        let split = SourceSplit { id: w.to_string(), data: Versioned::new(1, position) };
        self.coordinator.source_snapshot(checkpoint, (SOURCE, w), vec![SplitState { split, watermark_ms: 0 }]);
    }

    fn operator(&mut self, w: usize) {
        let worker = &mut self.workers[w];
        while let Some(item) = worker.log.get(worker.operator_read).copied() {
            worker.operator_read += 1;
            match item {
                Item::Row(_) => worker.counted += 1,
                Item::Barrier(checkpoint) => {
                    worker.writing.push_back((checkpoint, worker.counted));
                    return self.coordinator.operator_snapshot(checkpoint, (OPERATOR, w));
                }
                Item::End => {
                    worker.operator_ended = true;
                    return self.coordinator.task_ended((OPERATOR, w));
                }
            }
        }
    }

    fn sink(&mut self, w: usize, s: usize) {
        let worker = &mut self.workers[w];
        let sink = &mut worker.sinks[s];
        while let Some(item) = worker.log.get(sink.read).copied() {
            sink.read += 1;
            let checkpoint = match item {
                Item::Row(row) => {
                    sink.open.push(row);
                    continue;
                }
                Item::Barrier(checkpoint) => Some(checkpoint),
                Item::End => None,
            };
            sink.ended = checkpoint.is_none();
            let mut committables = vec![];
            if !sink.open.is_empty() {
                let id = staged_name(self.generation, w, sink.staged);
                sink.staged += 1;
                self.world.get().staged.insert((s, id.clone()), std::mem::take(&mut sink.open));
                committables.push(Committable { id, data: Versioned::default() });
            }
            return self.coordinator.sink_prepared(checkpoint, (sink_node(s), w), committables, vec![]);
        }
    }

    fn finalize(&mut self, mut collected: Collected, finished: bool) {
        let Some((store, committers)) = self.durable.take() else { return };
        for committables in collected.committables.values_mut() {
            committables.retain(|c| !self.forgotten.contains(&c.id));
        }
        if self.config.sabotage == Some(Sabotage::AcknowledgesBeforeTheDecision) {
            self.acknowledge(&positions(&collected));
        }
        self.given = format!("{:?} {:?} {:?}", collected.checkpoint, positions(&collected), collected.committables);
        let config = self.config.clone();
        self.work = Work::Finalize(Box::pin(decide(config, store, committers, collected, finished)));
    }

    fn acknowledge(&self, positions: &BTreeMap<usize, u64>) {
        let mut world = self.world.get();
        for (split, position) in positions {
            let old = world.acknowledged[*split];
            world.acknowledged[*split] = old.max(*position);
        }
    }

    /// Goes on with what is under way, until it waits at the gate.
    fn poll(&mut self) {
        let waker = futures::task::noop_waker();
        let mut context = Context::from_waker(&waker);
        match &mut self.work {
            Work::Open(future) => {
                if let Poll::Ready(opened) = future.poll_unpin(&mut context) {
                    self.work = Work::None;
                    match opened {
                        Ok(opened) => self.opened(opened),
                        Err(e) => self.end = Some(End::Failed(e.to_string())),
                    }
                }
            }
            Work::Finalize(future) => {
                if let Poll::Ready(done) = future.poll_unpin(&mut context) {
                    self.work = Work::None;
                    self.finalized(done);
                }
            }
            Work::None => {}
        }
        if matches!(self.work, Work::None) {
            self.history.clear();
            self.given.clear();
            if self.frozen {
                self.end.get_or_insert(End::Failed("stopped".to_string()));
            }
        }
        self.seen_head = self.world.head_tag();
    }

    fn opened(&mut self, (store, committers, manifest): Opened) {
        self.generation = store.generation().0;
        let tasks = |node: NodeId| (0..self.config.workers).map(move |w| (node, w));
        let topology = Topology {
            sources: tasks(SOURCE).collect(),
            operators: tasks(OPERATOR).collect(),
            sinks: (0..self.config.sinks).flat_map(|s| tasks(sink_node(s))).collect(),
        };
        self.coordinator = CheckpointCoordinator::new(topology, store.head().next);
        for w in 0..self.config.workers {
            let worker = self.restored(w, manifest.as_ref());
            self.workers.push(worker);
        }
        self.durable = Some((store, committers));
    }

    fn restored(&self, w: usize, manifest: Option<&Manifest>) -> Worker {
        let sinks = (0..self.config.sinks).map(|_| SinkTask::default()).collect();
        let Some(manifest) = manifest else { return Worker { sinks, ..Worker::default() } };
        let split = manifest.sources.get("source").and_then(|s| s.splits.iter().find(|s| s.id == w.to_string()));
        // A split that no reader holds has been read: the enumerator has none left.
        let position = split.map_or(self.config.rows, |s| number(&s.data.bytes));
        let part =
            manifest.operators.get("operator").and_then(|o| o.subtasks.iter().find(|s| s.watermark_ms == w as i64));
        let counted = part.map_or(position, |p| number(&p.meta.bytes));
        let mut world = self.world.get();
        if counted != position {
            world.violated(format!("restored a count of {counted} for a position of {position} in split {w}"));
        }
        let gone = world.acknowledged[w];
        if position < gone {
            world.violated(format!("split {w} goes on from {position}, but its rows up to {gone} are gone"));
        }
        Worker { position, counted, sinks, ..Worker::default() }
    }

    fn finalized(&mut self, done: Done) {
        self.durable = Some((done.store, done.committers));
        self.coordinator.finalized();
        match done.result {
            Ok((_, manifest)) => {
                let splits = manifest.sources.values().flat_map(|s| &s.splits);
                let at =
                    |s: &flott_state::manifest::StoredSplit| (number(s.id.as_bytes()) as usize, number(&s.data.bytes));
                self.acknowledge(&splits.map(at).collect());
                if done.finished {
                    self.end = Some(End::Finished);
                }
            }
            Err(e) => self.end = Some(End::Failed(e.to_string())),
        }
    }
}

impl Worker {
    fn emit(&mut self, w: usize) {
        self.log.push(Item::Row((w, self.position)));
        self.position += 1;
    }
}

fn number(bytes: &[u8]) -> u64 {
    std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn positions(collected: &Collected) -> BTreeMap<usize, u64> {
    let splits = collected.splits.iter().flat_map(|((_, w), splits): (&TaskId, _)| splits.iter().map(move |s| (*w, s)));
    splits.map(|(w, s)| (w, number(&s.split.data.bytes))).collect()
}

/// What the job master does when it opens.
async fn open(config: Config, world: SharedWorld, gate: Gate) -> Result<Opened> {
    let ignores_conditions = config.sabotage == Some(Sabotage::IgnoresConditions);
    let inner = Arc::clone(&world.get().store);
    let store = Arc::new(GatedStore { inner, gate: gate.clone(), ignores_conditions });
    let storage = CheckpointStorage::Object { store, prefix: "job".into(), display: "sim".to_string() };
    let (mut store, mut opened) =
        CheckpointStore::open(storage, FailPoints::none(), Begin::Latest, config.retained).await?;
    let generation = store.generation().0;
    let mut committers = Committers::new();
    for sink in 0..config.sinks {
        let (world, gate, sabotage) = (world.clone(), gate.clone(), config.sabotage);
        committers.insert(sink_node(sink), Box::new(SimCommitter { sink, generation, world, gate, sabotage }));
    }
    if config.sabotage == Some(Sabotage::DoesNotRollForward) {
        opened.commit_pending = false;
    }
    roll_forward(&config.graph, &mut store, &mut committers, &FailPoints::none(), &opened).await?;
    Ok((store, committers, opened.manifest))
}

/// What the job master does with a complete checkpoint, and at the end of a bounded job.
async fn decide(
    config: Config,
    mut store: CheckpointStore,
    mut committers: Committers,
    collected: Collected,
    finished: bool,
) -> Done {
    let none = FailPoints::none();
    let result = async {
        let manifest = finalize::manifest(&config.graph, &store, &collected, 0, finished)?;
        if config.sabotage == Some(Sabotage::CommitsBeforeTheDecision)
            && let Some(proof) = store.last_decided()
        {
            finalize::commit_decided(&config.graph, &mut store, &mut committers, &none, &manifest, &proof).await?;
        }
        let decided = finalize::finalize(&config.graph, &mut store, &mut committers, &none, &manifest).await?;
        if finished {
            store.set_status(JobStatus::Finished).await?;
            store.retire().await?;
        }
        Ok((decided, manifest))
    }
    .await;
    Done { store, committers, result, finished }
}
