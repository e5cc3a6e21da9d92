//! What coordinator and worker say to each other. Both are the same build, so nothing here is versioned.

use std::collections::BTreeMap;

use flott_connector::sink::Committable;
use flott_connector::source::SourceSplit;
use flott_core::{CheckpointId, DecidedCheckpoint, Generation};
use flott_graph::NodeId;
use flott_runtime::api::{SplitState, TaskCommand, TaskEvent};
use flott_runtime::{PeerNews, Taken};
use flott_state::manifest::{Manifest, StoredBytes, StoredCommittable, StoredRun, StoredSplit};
use serde::{Deserialize, Serialize};

use crate::checkpoint::OperatorPart;
use crate::finalize::{stored, versioned};
use crate::process::counters::Change;
use crate::process::error_text::ErrorText;

/// A message of one direction.
pub(crate) trait Message: Serialize + serde::de::DeserializeOwned + Send + 'static {
    /// So many may wait to be sent.
    const WAITING_MAX: usize;
    /// Says nothing but that the sender lives.
    fn ping() -> Self;
    /// Whether it is that.
    fn is_ping(&self) -> bool;
}

/// An attempt, as a worker has to know it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Deploy {
    pub(crate) generation: Generation,
    pub(crate) lineage: String,
    pub(crate) processes: usize,
    /// Worker threads of each process.
    pub(crate) threads: usize,
    /// What the job is planned from.
    pub(crate) bundle: String,
    /// Of the graph that has to come out.
    pub(crate) fingerprint: u64,
    pub(crate) first_epoch: CheckpointId,
    pub(crate) in_flight_bytes: usize,
    pub(crate) buffer_timeout_us: u64,
    pub(crate) memory_bytes_max: Option<u64>,
    /// Whether checkpoints are written.
    pub(crate) has_store: bool,
    /// The checkpoint to restore.
    pub(crate) manifest: Option<Manifest>,
    /// Where its files lie, where it is a savepoint.
    pub(crate) savepoint: Option<String>,
}

/// To a worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum ToWorker {
    Ping,
    /// Plan, and listen for the others.
    Deploy(Box<Deploy>),
    /// Connect to the others, in the order of their numbers, and start.
    Connect(Vec<String>),
    Command(Command),
    News {
        news: News,
    },
    /// End the attempt.
    Cancel,
    /// End the process.
    Quit,
}

/// From a worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum FromWorker {
    Ping,
    /// The graph's fingerprint, and where it listens for the others.
    Planned {
        fingerprint: u64,
        address: String,
    },
    /// The attempt cannot begin here.
    Refused(ErrorText),
    Started,
    Event(Event),
    /// State of an operator is written, or not.
    Written {
        checkpoint: CheckpointId,
        node: usize,
        subtask: usize,
        part: Result<Part, ErrorText>,
    },
    News {
        news: News,
    },
    /// Counters that have changed.
    Metrics(Vec<Change>),
    /// Nothing of the attempt is left here.
    Ended {
        finished: bool,
    },
}

impl Message for ToWorker {
    /// Nobody waits with these. Commands come in bursts, one a split; who is behind by more does not listen, and is given up.
    const WAITING_MAX: usize = 65_536;
    fn ping() -> ToWorker {
        ToWorker::Ping
    }
    fn is_ping(&self) -> bool {
        matches!(self, ToWorker::Ping)
    }
}

impl Message for FromWorker {
    /// They can be large, and the worker waits for room.
    const WAITING_MAX: usize = 1_024;
    fn ping() -> FromWorker {
        FromWorker::Ping
    }
    fn is_ping(&self) -> bool {
        matches!(self, FromWorker::Ping)
    }
}

/// [`PeerNews`] on its way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct News {
    announced: Vec<u64>,
    taken: Vec<(usize, usize, u64, usize)>,
}

impl From<&PeerNews> for News {
    fn from(news: &PeerNews) -> News {
        let taken = news.taken.iter().map(|t| (t.sender, t.behind.0, t.epoch, t.bytes)).collect();
        News { announced: news.announced.clone(), taken }
    }
}

impl From<News> for PeerNews {
    fn from(news: News) -> PeerNews {
        let taken = |(sender, behind, epoch, bytes)| Taken { sender, behind: NodeId(behind), epoch, bytes };
        PeerNews { announced: news.announced, taken: news.taken.into_iter().map(taken).collect() }
    }
}

/// [`TaskCommand`] on its way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Command {
    Trigger(CheckpointId),
    Stop(CheckpointId),
    Resume,
    Assign { node: usize, subtask: usize, splits: Vec<StoredSplit> },
    NoMoreSplits { node: usize, subtask: usize },
    Align { node: usize, subtask: usize, max_watermark_ms: i64 },
    SourceEvent { node: usize, subtask: usize, event: StoredBytes },
    Complete { lineage: String, checkpoint: CheckpointId },
    Drain,
}

fn store_splits(splits: &[SplitState]) -> Vec<StoredSplit> {
    let store = |s: &SplitState| StoredSplit {
        id: s.split.id.clone(),
        data: stored(&s.split.data),
        watermark_ms: s.watermark_ms,
    };
    splits.iter().map(store).collect()
}

fn load_splits(splits: Vec<StoredSplit>) -> Vec<SplitState> {
    let load = |s: StoredSplit| SplitState {
        split: SourceSplit { id: s.id, data: versioned(&s.data) },
        watermark_ms: s.watermark_ms,
    };
    splits.into_iter().map(load).collect()
}

impl From<TaskCommand> for Command {
    fn from(command: TaskCommand) -> Command {
        match command {
            TaskCommand::TriggerCheckpoint(checkpoint) => Command::Trigger(checkpoint),
            TaskCommand::StopWithCheckpoint(checkpoint) => Command::Stop(checkpoint),
            TaskCommand::Resume => Command::Resume,
            TaskCommand::AssignSplits { node, subtask, splits } => {
                Command::Assign { node: node.0, subtask, splits: store_splits(&splits) }
            }
            TaskCommand::NoMoreSplits { node, subtask } => Command::NoMoreSplits { node: node.0, subtask },
            TaskCommand::AlignWatermark { node, subtask, max_watermark_ms } => {
                Command::Align { node: node.0, subtask, max_watermark_ms }
            }
            TaskCommand::SourceEvent { node, subtask, event } => {
                Command::SourceEvent { node: node.0, subtask, event: stored(&event) }
            }
            TaskCommand::CheckpointComplete(decided) => {
                Command::Complete { lineage: decided.lineage().to_string(), checkpoint: decided.id() }
            }
            TaskCommand::Drain => Command::Drain,
        }
    }
}

impl From<Command> for TaskCommand {
    fn from(command: Command) -> TaskCommand {
        match command {
            Command::Trigger(checkpoint) => TaskCommand::TriggerCheckpoint(checkpoint),
            Command::Stop(checkpoint) => TaskCommand::StopWithCheckpoint(checkpoint),
            Command::Resume => TaskCommand::Resume,
            Command::Assign { node, subtask, splits } => {
                TaskCommand::AssignSplits { node: NodeId(node), subtask, splits: load_splits(splits) }
            }
            Command::NoMoreSplits { node, subtask } => TaskCommand::NoMoreSplits { node: NodeId(node), subtask },
            Command::Align { node, subtask, max_watermark_ms } => {
                TaskCommand::AlignWatermark { node: NodeId(node), subtask, max_watermark_ms }
            }
            Command::SourceEvent { node, subtask, event } => {
                TaskCommand::SourceEvent { node: NodeId(node), subtask, event: versioned(&event) }
            }
            Command::Complete { lineage, checkpoint } => {
                TaskCommand::CheckpointComplete(proven_by_coordinator(&lineage, checkpoint))
            }
            Command::Drain => TaskCommand::Drain,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the proof is the store's, over the connection of its coordinator")]
fn proven_by_coordinator(lineage: &str, checkpoint: CheckpointId) -> DecidedCheckpoint {
    DecidedCheckpoint::proven_by_head(lineage, checkpoint)
}

/// [`OperatorPart`] on its way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Part {
    watermark_ms: i64,
    meta: StoredBytes,
    pub(crate) runs: Vec<StoredRun>,
}

impl From<OperatorPart> for Part {
    fn from(part: OperatorPart) -> Part {
        let meta = StoredBytes { version: part.version, bytes: part.meta };
        Part { watermark_ms: part.watermark_ms, meta, runs: part.runs }
    }
}

impl From<Part> for OperatorPart {
    fn from(part: Part) -> OperatorPart {
        let Part { watermark_ms, meta, runs } = part;
        OperatorPart { watermark_ms, version: meta.version, meta: meta.bytes, runs }
    }
}

/// [`TaskEvent`] on its way. An operator's snapshot stays where it was taken; that it was is said.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Event {
    ReaderRegistered {
        node: usize,
        subtask: usize,
    },
    SplitRequest {
        node: usize,
        subtask: usize,
    },
    OfConnector {
        node: usize,
        subtask: usize,
        event: StoredBytes,
    },
    WatermarkReport {
        node: usize,
        subtask: usize,
        watermark_ms: Option<i64>,
        held: bool,
    },
    SourceSnapshot {
        checkpoint: CheckpointId,
        node: usize,
        subtask: usize,
        splits: Vec<StoredSplit>,
    },
    SourceDrained {
        node: usize,
        subtask: usize,
        splits: Vec<StoredSplit>,
    },
    SourceEnded {
        node: usize,
        subtask: usize,
    },
    SnapshotTaken {
        checkpoint: CheckpointId,
        node: usize,
        subtask: usize,
    },
    OperatorEnded {
        node: usize,
        subtask: usize,
    },
    SinkPrepared {
        checkpoint: Option<CheckpointId>,
        node: usize,
        subtask: usize,
        committables: Vec<StoredCommittable>,
        writer_state: Vec<StoredBytes>,
    },
    Failed {
        node: Option<usize>,
        error: ErrorText,
    },
}

impl Event {
    /// `None` for the end, which has a message of its own.
    pub(crate) fn of(event: &TaskEvent) -> Option<Event> {
        Some(match event {
            TaskEvent::ReaderRegistered { node, subtask } => {
                Event::ReaderRegistered { node: node.0, subtask: *subtask }
            }
            TaskEvent::SplitRequest { node, subtask } => Event::SplitRequest { node: node.0, subtask: *subtask },
            TaskEvent::SourceEvent { node, subtask, event } => {
                Event::OfConnector { node: node.0, subtask: *subtask, event: stored(event) }
            }
            TaskEvent::WatermarkReport { node, subtask, watermark_ms, held } => {
                Event::WatermarkReport { node: node.0, subtask: *subtask, watermark_ms: *watermark_ms, held: *held }
            }
            TaskEvent::SourceSnapshot { checkpoint, node, subtask, splits } => Event::SourceSnapshot {
                checkpoint: *checkpoint,
                node: node.0,
                subtask: *subtask,
                splits: store_splits(splits),
            },
            TaskEvent::SourceDrained { node, subtask, splits } => {
                Event::SourceDrained { node: node.0, subtask: *subtask, splits: store_splits(splits) }
            }
            TaskEvent::SourceEnded { node, subtask } => Event::SourceEnded { node: node.0, subtask: *subtask },
            TaskEvent::OperatorSnapshot { checkpoint, node, subtask, .. } => {
                Event::SnapshotTaken { checkpoint: *checkpoint, node: node.0, subtask: *subtask }
            }
            TaskEvent::OperatorEnded { node, subtask } => Event::OperatorEnded { node: node.0, subtask: *subtask },
            TaskEvent::SinkPrepared { checkpoint, node, subtask, committables, writer_state } => Event::SinkPrepared {
                checkpoint: *checkpoint,
                node: node.0,
                subtask: *subtask,
                committables: committables
                    .iter()
                    .map(|c| StoredCommittable { id: c.id.clone(), data: stored(&c.data) })
                    .collect(),
                writer_state: writer_state.iter().map(stored).collect(),
            },
            TaskEvent::Failed { node, error } => {
                Event::Failed { node: node.map(|n| n.0), error: ErrorText::from(error) }
            }
            TaskEvent::Ended { .. } => return None,
        })
    }
}

/// What the coordinator makes of an event of any process.
#[derive(Debug)]
pub(crate) enum WorkerEvent {
    /// As a subtask of this process would say.
    Task(TaskEvent),
    /// State is on its way to the store, from another process.
    SnapshotTaken { checkpoint: CheckpointId, node: NodeId, subtask: usize },
    /// It is there, or not.
    Written { checkpoint: CheckpointId, node: NodeId, subtask: usize, part: flott_core::Result<OperatorPart> },
}

impl From<Event> for WorkerEvent {
    fn from(event: Event) -> WorkerEvent {
        WorkerEvent::Task(match event {
            Event::ReaderRegistered { node, subtask } => TaskEvent::ReaderRegistered { node: NodeId(node), subtask },
            Event::SplitRequest { node, subtask } => TaskEvent::SplitRequest { node: NodeId(node), subtask },
            Event::OfConnector { node, subtask, event } => {
                TaskEvent::SourceEvent { node: NodeId(node), subtask, event: versioned(&event) }
            }
            Event::WatermarkReport { node, subtask, watermark_ms, held } => {
                TaskEvent::WatermarkReport { node: NodeId(node), subtask, watermark_ms, held }
            }
            Event::SourceSnapshot { checkpoint, node, subtask, splits } => {
                TaskEvent::SourceSnapshot { checkpoint, node: NodeId(node), subtask, splits: load_splits(splits) }
            }
            Event::SourceDrained { node, subtask, splits } => {
                TaskEvent::SourceDrained { node: NodeId(node), subtask, splits: load_splits(splits) }
            }
            Event::SourceEnded { node, subtask } => TaskEvent::SourceEnded { node: NodeId(node), subtask },
            Event::SnapshotTaken { checkpoint, node, subtask } => {
                return WorkerEvent::SnapshotTaken { checkpoint, node: NodeId(node), subtask };
            }
            Event::OperatorEnded { node, subtask } => TaskEvent::OperatorEnded { node: NodeId(node), subtask },
            Event::SinkPrepared { checkpoint, node, subtask, committables, writer_state } => TaskEvent::SinkPrepared {
                checkpoint,
                node: NodeId(node),
                subtask,
                committables: committables
                    .into_iter()
                    .map(|c| Committable { id: c.id, data: versioned(&c.data) })
                    .collect(),
                writer_state: writer_state.iter().map(versioned).collect(),
            },
            Event::Failed { node, error } => TaskEvent::Failed { node: node.map(NodeId), error: error.into() },
        })
    }
}

/// Whether what a peer says concerns a subtask that it has.
pub(crate) fn concerns(event: &Event, nodes: usize, subtasks: &std::ops::Range<usize>) -> bool {
    let (node, subtask) = match event {
        Event::Failed { node, .. } => return node.is_none_or(|n| n < nodes),
        Event::ReaderRegistered { node, subtask }
        | Event::SplitRequest { node, subtask }
        | Event::OfConnector { node, subtask, .. }
        | Event::SourceSnapshot { node, subtask, .. }
        | Event::WatermarkReport { node, subtask, .. }
        | Event::SourceDrained { node, subtask, .. }
        | Event::SourceEnded { node, subtask }
        | Event::SnapshotTaken { node, subtask, .. }
        | Event::OperatorEnded { node, subtask }
        | Event::SinkPrepared { node, subtask, .. } => (*node, *subtask),
    };
    node < nodes && subtasks.contains(&subtask)
}

/// The runs of a manifest, by name.
pub(crate) fn runs_of(manifest: &Manifest) -> BTreeMap<String, StoredRun> {
    manifest.operators.values().flat_map(|o| &o.runs).map(|r| (r.uid.clone(), r.clone())).collect()
}
