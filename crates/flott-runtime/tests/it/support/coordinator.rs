//! A coordinator that only collects what it is told.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::BooleanArray;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt16Type;
use flott_connector::Versioned;
use flott_connector::sink::Committable;
use flott_core::clock::{Clock, SystemClock};
use flott_core::{CheckpointId, FailPoints, Generation, key_group};
use flott_graph::{JobGraph, NodeId, OperatorSpec};
use flott_runtime::api::{RestoredOperator, SplitState};
use flott_runtime::metrics::JobMetrics;
use flott_runtime::{AttemptOptions, BuildOperator, Restored, TaskCommand, TaskEvent};
use flott_state::{OperatorSnapshot, RestoredRun, RestoredState, StateRun};
use tokio::sync::mpsc;

use super::{Graph, LONG, Pass, Position, sums_of};
use crate::together::Attempts;

type TaskId = (NodeId, usize);

/// Everything that the tasks have said.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) sources: BTreeMap<u64, BTreeMap<TaskId, Vec<SplitState>>>,
    pub(crate) operators: BTreeMap<u64, BTreeMap<TaskId, (i64, OperatorSnapshot)>>,
    pub(crate) sinks: BTreeMap<u64, BTreeMap<TaskId, (Vec<Committable>, Vec<Versioned>)>>,
    pub(crate) last: BTreeMap<TaskId, Vec<Committable>>,
    pub(crate) registered: BTreeSet<TaskId>,
    pub(crate) ended: BTreeSet<TaskId>,
    /// Where readers stood that were made to end.
    pub(crate) drained: BTreeMap<TaskId, Vec<SplitState>>,
    pub(crate) requests: usize,
    /// What readers say of their event time: watermark, and whether they wait.
    pub(crate) reports: Vec<(TaskId, Option<i64>, bool)>,
    pub(crate) failed: Vec<(Option<NodeId>, String)>,
    pub(crate) finished: Option<bool>,
}

pub(crate) struct Job {
    pub(crate) attempt: Attempts,
    events: mpsc::Receiver<TaskEvent>,
    pub(crate) graph: Arc<JobGraph>,
    pub(crate) parallelism: usize,
    pub(crate) log: Log,
    pub(crate) metrics: Arc<JobMetrics>,
    splits: HashMap<NodeId, Vec<SplitState>>,
    /// Readers are told that no split follows.
    pub(crate) tell_end: bool,
    next_checkpoint: u64,
}

pub(crate) struct Options {
    pub(crate) parallelism: usize,
    pub(crate) processes: usize,
    pub(crate) in_flight_bytes: usize,
    pub(crate) memory_bytes_max: Option<u64>,
    pub(crate) generation: u64,
    pub(crate) first_epoch: u64,
    pub(crate) restored: Restored,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Options {
    pub(crate) fn new(parallelism: usize) -> Options {
        Options {
            parallelism,
            processes: 1,
            in_flight_bytes: 4 << 20,
            memory_bytes_max: None,
            generation: 1,
            first_epoch: 1,
            restored: Restored::default(),
            clock: SystemClock::shared(),
        }
    }
}

impl Job {
    /// Starts; the splits of each source are given to its readers in turn.
    pub(crate) fn start(graph: Graph, splits: &[(NodeId, Vec<SplitState>)], options: Options) -> Job {
        let Graph { graph, operators } = graph;
        let graph = Arc::new(graph);
        graph.validate().expect("a valid graph");
        let metrics = Arc::new(JobMetrics::new(graph.nodes.len(), options.parallelism));
        let attempt_options = AttemptOptions {
            lineage: "lineage".into(),
            generation: Generation(options.generation),
            parallelism: options.parallelism,
            in_flight_bytes: options.in_flight_bytes,
            memory_bytes_max: options.memory_bytes_max,
            buffer_timeout: Duration::from_millis(5),
            first_epoch: CheckpointId(options.first_epoch),
            clock: Arc::clone(&options.clock),
            fail_points: FailPoints::none(),
            metrics: Arc::clone(&metrics),
            base_dir: PathBuf::new(),
        };
        let build: BuildOperator = Arc::new(move |node, subtask, _parallelism, max_parallelism| {
            Ok(match operators.get(&node.name) {
                Some(make) => make(node, subtask, max_parallelism),
                None => Box::new(Pass),
            })
        });
        let (sender, events) = mpsc::channel(16);
        let attempt = Attempts::start(options.processes, &graph, &build, &attempt_options, &options.restored, sender);
        Job {
            attempt,
            events,
            graph,
            parallelism: options.parallelism,
            log: Log::default(),
            metrics,
            splits: splits.iter().cloned().collect(),
            tell_end: true,
            next_checkpoint: options.first_epoch,
        }
    }

    pub(crate) fn readers(&self, node: NodeId) -> usize {
        match &self.graph.node(node).spec {
            OperatorSpec::Source(s) => s.parallelism.unwrap_or(self.parallelism).min(self.parallelism),
            _ => self.parallelism,
        }
    }

    pub(crate) fn trigger(&mut self) -> u64 {
        let id = self.next_checkpoint;
        self.next_checkpoint += 1;
        self.attempt.send(TaskCommand::TriggerCheckpoint(CheckpointId(id)));
        id
    }

    /// The checkpoint with which the job is to end.
    pub(crate) fn trigger_last(&mut self) -> u64 {
        let id = self.next_checkpoint;
        self.next_checkpoint += 1;
        self.attempt.send(TaskCommand::StopWithCheckpoint(CheckpointId(id)));
        id
    }

    pub(crate) fn skip_checkpoints(&mut self, n: u64) {
        self.next_checkpoint += n;
    }

    /// Handles one event; false where none came in time.
    pub(crate) async fn step(&mut self, timeout: Duration) -> bool {
        let Ok(event) = tokio::time::timeout(timeout, self.events.recv()).await else { return false };
        let Some(event) = event else {
            assert!(self.log.finished.is_some(), "the events ended without Ended");
            return false;
        };
        assert!(self.log.finished.is_none(), "something followed Ended: {event:?}");
        match event {
            TaskEvent::ReaderRegistered { node, subtask } => {
                assert!(self.log.registered.insert((node, subtask)), "registered twice");
                let n = self.readers(node);
                assert!(subtask < n, "a reader beyond the source's parallelism");
                let all = self.splits.get(&node).cloned().unwrap_or_default();
                let splits: Vec<_> =
                    all.into_iter().enumerate().filter(|(i, _)| i % n == subtask).map(|s| s.1).collect();
                if !splits.is_empty() {
                    self.attempt.send(TaskCommand::AssignSplits { node, subtask, splits });
                }
                if self.tell_end {
                    self.attempt.send(TaskCommand::NoMoreSplits { node, subtask });
                }
            }
            TaskEvent::SplitRequest { .. } => self.log.requests += 1,
            TaskEvent::SourceEvent { .. } => {}
            TaskEvent::WatermarkReport { node, subtask, watermark_ms, held } => {
                self.log.reports.push(((node, subtask), watermark_ms, held));
            }
            TaskEvent::SourceSnapshot { checkpoint, node, subtask, splits } => {
                assert!(!self.log.ended.contains(&(node, subtask)), "a snapshot after the end");
                let before = self.log.sources.entry(checkpoint.0).or_default().insert((node, subtask), splits);
                assert!(before.is_none(), "two snapshots of one reader");
            }
            TaskEvent::SourceDrained { node, subtask, splits } => {
                assert!(!self.log.ended.contains(&(node, subtask)), "drained after the end");
                self.log.drained.insert((node, subtask), splits);
            }
            TaskEvent::SourceEnded { node, subtask } | TaskEvent::OperatorEnded { node, subtask } => {
                assert!(self.log.ended.insert((node, subtask)), "ended twice");
            }
            TaskEvent::OperatorSnapshot { checkpoint, node, subtask, watermark_ms, snapshot } => {
                assert!(!self.log.ended.contains(&(node, subtask)), "a snapshot after the end");
                let all = self.log.operators.entry(checkpoint.0).or_default();
                assert!(
                    all.insert((node, subtask), (watermark_ms, snapshot)).is_none(),
                    "two snapshots of one operator"
                );
            }
            TaskEvent::SinkPrepared { checkpoint, node, subtask, committables, writer_state } => {
                assert!(!self.log.last.contains_key(&(node, subtask)), "a report after the end");
                match checkpoint {
                    Some(c) => {
                        let all = self.log.sinks.entry(c.0).or_default();
                        assert!(all.insert((node, subtask), (committables, writer_state)).is_none(), "prepared twice");
                    }
                    None => {
                        self.log.last.insert((node, subtask), committables);
                    }
                }
            }
            TaskEvent::Failed { node, error } => self.log.failed.push((node, error.to_string())),
            TaskEvent::Ended { finished } => self.log.finished = Some(finished),
        }
        true
    }

    /// Handles events until this holds; panics where it does not come true in time.
    pub(crate) async fn until(&mut self, what: &str, mut holds: impl FnMut(&Log) -> bool) {
        let deadline = self.now() + LONG;
        while !holds(&self.log) {
            let left = deadline.saturating_sub(self.now());
            let more = self.step(left.min(Duration::from_millis(20))).await;
            assert!(more || !left.is_zero(), "waited in vain for: {what}; failures: {:?}", self.log.failed);
            assert!(
                more || self.log.finished.is_none() || holds(&self.log),
                "ended before: {what}; {:?}",
                self.log.failed
            );
        }
    }

    /// Handles events for a while.
    pub(crate) async fn work_for(&mut self, duration: Duration) {
        let deadline = self.now() + duration;
        while self.now() < deadline {
            self.step(deadline.saturating_sub(self.now())).await;
        }
    }

    #[expect(clippy::disallowed_methods, reason = "a test's deadline must not depend on the job's clock")]
    pub(crate) fn now(&self) -> Duration {
        static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        START.get_or_init(std::time::Instant::now).elapsed()
    }

    /// Everybody who takes part in the checkpoint has reported or ended.
    pub(crate) fn is_complete(&self, checkpoint: u64) -> bool {
        let log = &self.log;
        self.graph.iter().all(|(id, node)| {
            (0..self.parallelism).all(|s| {
                let t = (id, s);
                let reported = match node.spec {
                    OperatorSpec::Source(_) => log.sources.get(&checkpoint).is_some_and(|m| m.contains_key(&t)),
                    OperatorSpec::Sink(_) => log.sinks.get(&checkpoint).is_some_and(|m| m.contains_key(&t)),
                    _ => log.operators.get(&checkpoint).is_some_and(|m| m.contains_key(&t)),
                };
                reported || log.ended.contains(&t) || log.last.contains_key(&t)
            })
        })
    }

    pub(crate) async fn complete(&mut self, checkpoint: u64) {
        let deadline = self.now() + LONG;
        while !self.is_complete(checkpoint) {
            assert!(self.log.failed.is_empty(), "{:?}", self.log.failed);
            assert!(self.now() < deadline, "checkpoint {checkpoint} is not complete: {}", self.missing(checkpoint));
            self.step(Duration::from_millis(20)).await;
        }
    }

    fn missing(&self, checkpoint: u64) -> String {
        let l = &self.log;
        format!(
            "sources {:?}, operators {:?}, sinks {:?}, ended {:?}",
            l.sources.get(&checkpoint).map(|m| m.keys().collect::<Vec<_>>()),
            l.operators.get(&checkpoint).map(|m| m.keys().collect::<Vec<_>>()),
            l.sinks.get(&checkpoint).map(|m| m.keys().collect::<Vec<_>>()),
            l.ended
        )
    }

    /// Runs to the end of the input.
    pub(crate) async fn finish(&mut self) {
        self.until("the end", |l| l.finished.is_some()).await;
        assert!(self.log.failed.is_empty(), "{:?}", self.log.failed);
        assert_eq!(self.log.finished, Some(true));
        self.attempt.join().await;
    }

    /// Cancels and waits.
    pub(crate) async fn cancel(&mut self) {
        self.attempt.cancel();
        self.until("the end after a cancel", |l| l.finished.is_some()).await;
        self.attempt.join().await;
    }

    /// Rows before the barrier by the sources' positions. `full` are the rows of a whole split: one that is missing in
    /// the snapshot is finished.
    pub(crate) fn rows_by_position(&self, checkpoint: u64, all: &[usize], full: impl Fn(usize) -> u64) -> u64 {
        let states: BTreeMap<&str, u64> = self.log.sources[&checkpoint]
            .values()
            .flatten()
            .map(|s| (s.split.id.as_str(), Position::read(&s.split.data).rows))
            .collect();
        all.iter().map(|i| states.get(format!("split-{i}").as_str()).copied().unwrap_or_else(|| full(*i))).sum()
    }

    /// Rows in the state of a `SumByKey`.
    pub(crate) fn rows_in_state(&self, checkpoint: u64, node: NodeId) -> i64 {
        let of_node = self.log.operators[&checkpoint].iter().filter(|(t, _)| t.0 == node);
        of_node.flat_map(|(_, (_, s))| s.runs.iter()).flat_map(|r| sums_of(r)).map(|(_, _, n)| n).sum()
    }

    /// What a new attempt starts from, at another parallelism.
    pub(crate) fn restored(&self, checkpoint: u64, parallelism: usize) -> (Restored, HashMap<NodeId, Vec<SplitState>>) {
        let mut restored = Restored::default();
        let mut splits: HashMap<NodeId, Vec<SplitState>> = HashMap::new();
        for ((node, _), states) in &self.log.sources[&checkpoint] {
            splits.entry(*node).or_default().extend(states.iter().cloned());
        }
        for (id, node) in self.graph.iter() {
            if matches!(node.spec, OperatorSpec::Source(_)) {
                continue;
            }
            let empty = BTreeMap::new();
            let parts: Vec<_> =
                self.log.operators.get(&checkpoint).unwrap_or(&empty).iter().filter(|(t, _)| t.0 == id).collect();
            for subtask in 0..parallelism {
                let range = key_group::range_of(subtask, parallelism, self.graph.max_parallelism);
                let runs = parts
                    .iter()
                    .flat_map(|(_, (_, s))| &s.runs)
                    .map(|run| {
                        let keep: BooleanArray = run
                            .rows()
                            .expect("rows")
                            .column(0)
                            .as_primitive::<UInt16Type>()
                            .values()
                            .iter()
                            .map(|g| Some(range.contains(g)))
                            .collect();
                        let rows = arrow_select::filter::filter_record_batch(run.rows().expect("rows"), &keep)
                            .expect("filters");
                        RestoredRun { run: StateRun::seal(run.table.clone(), rows).expect("a run") }
                    })
                    .collect();
                let watermark_ms = parts.iter().map(|(_, (w, _))| *w).min();
                let state = RestoredState { version: 1, metas: vec![], runs };
                restored.operators.insert((id, subtask), RestoredOperator { watermark_ms, state, ended: false });
            }
            for ((n, s), (_, states)) in self.log.sinks.get(&checkpoint).into_iter().flatten() {
                if *n == id {
                    restored.writers.entry((id, s % parallelism)).or_default().extend(states.iter().cloned());
                }
            }
        }
        (restored, splits)
    }
}
