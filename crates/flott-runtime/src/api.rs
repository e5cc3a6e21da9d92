//! What the coordinator and the worker say to each other.
//!
//! Epochs and checkpoints are one count: the rows between the barriers of checkpoints `n - 1` and `n` are epoch `n`.
//! After a restore from checkpoint `c` the first epoch is `c + 1`; ids may have gaps, since a checkpoint can come to nothing.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flott_connector::Versioned;
use flott_connector::sink::Committable;
use flott_connector::source::SourceSplit;
use flott_core::clock::Clock;
use flott_core::{CheckpointId, DecidedCheckpoint, Error, FailPoints, Generation};
use flott_graph::NodeId;
use flott_state::{OperatorSnapshot, RestoredState};

use crate::metrics::JobMetrics;

/// How an attempt runs.
#[derive(Clone)]
pub struct AttemptOptions {
    /// Identity of the job lineage.
    pub lineage: String,
    /// Number of the attempt.
    pub generation: Generation,
    /// Worker threads.
    pub parallelism: usize,
    /// Bytes that a source may have in flight before it waits.
    pub in_flight_bytes: usize,
    /// Bytes of state and of rows on their way that the job may hold; `None` is as many as there are.
    pub memory_bytes_max: Option<u64>,
    /// The longest that a source holds rows back before it closes its tick.
    pub buffer_timeout: Duration,
    /// The first epoch (1, or the restored checkpoint + 1).
    pub first_epoch: CheckpointId,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where a test stops the process.
    pub fail_points: FailPoints,
    /// Counters, shared with whoever shows them.
    pub metrics: Arc<JobMetrics>,
    /// Relative paths start here.
    pub base_dir: PathBuf,
}

/// A split and the event time that its reader had reached in it.
#[derive(Debug, Clone, PartialEq)]
pub struct SplitState {
    /// The split, positioned.
    pub split: SourceSplit,
    /// The split's watermark in ms; `i64::MIN` where there is none yet.
    pub watermark_ms: i64,
}

/// What one subtask of an operator starts from.
#[derive(Debug, Clone, Default)]
pub struct RestoredOperator {
    /// The operator's watermark in ms, the least of the old subtasks'.
    pub watermark_ms: Option<i64>,
    /// Its state, cut to the subtask's key groups.
    pub state: RestoredState,
    /// It had ended, in all its subtasks: it has no state, takes no rows, and emits nothing at the end of its input, but
    /// passes the end on. It reports its end at once and takes part in no checkpoint.
    pub ended: bool,
}

/// What the subtasks start from; empty for a fresh start. Splits come by [`TaskCommand::AssignSplits`].
#[derive(Debug, Clone, Default)]
pub struct Restored {
    /// By node and subtask.
    pub operators: HashMap<(NodeId, usize), RestoredOperator>,
    /// Writer states by node and subtask.
    pub writers: HashMap<(NodeId, usize), Vec<Versioned>>,
}

/// From the coordinator.
#[derive(Debug, Clone)]
pub enum TaskCommand {
    /// Close the epoch of this checkpoint: snapshot and go on with the next.
    TriggerCheckpoint(CheckpointId),
    /// The same, and nothing is emitted behind the barrier: the job is to end with this checkpoint. Sources read no
    /// further and timers do not fire, also where the checkpoint comes to nothing and another one follows.
    StopWithCheckpoint(CheckpointId),
    /// The stop is taken back: the job goes on behind its last barrier.
    Resume,
    /// Splits for a reader.
    AssignSplits {
        /// The source.
        node: NodeId,
        /// The reader.
        subtask: usize,
        /// The splits.
        splits: Vec<SplitState>,
    },
    /// No split will follow for this reader.
    NoMoreSplits {
        /// The source.
        node: NodeId,
        /// The reader.
        subtask: usize,
    },
    /// How far the event time of a reader may go (watermark alignment).
    AlignWatermark {
        /// The source.
        node: NodeId,
        /// The reader.
        subtask: usize,
        /// In ms.
        max_watermark_ms: i64,
    },
    /// A connector's own event for a reader.
    SourceEvent {
        /// The source.
        node: NodeId,
        /// The reader.
        subtask: usize,
        /// The event.
        event: Versioned,
    },
    /// A checkpoint is decided: readers may acknowledge.
    CheckpointComplete(DecidedCheckpoint),
    /// Sources end as if their input had ended (stop with drain): watermark MAX, then the end.
    Drain,
}

/// To the coordinator. Each subtask reports each checkpoint that it was part of, in order.
#[derive(Debug)]
pub enum TaskEvent {
    /// A reader is there.
    ReaderRegistered {
        /// The source.
        node: NodeId,
        /// The reader.
        subtask: usize,
    },
    /// A reader has nothing to read.
    SplitRequest {
        /// The source.
        node: NodeId,
        /// The reader.
        subtask: usize,
    },
    /// A connector's own event for the enumerator.
    SourceEvent {
        /// The source.
        node: NodeId,
        /// The reader.
        subtask: usize,
        /// The event.
        event: Versioned,
    },
    /// How far the event time of a reader has come, where its source waits for others (watermark alignment).
    WatermarkReport {
        /// The source.
        node: NodeId,
        /// The reader.
        subtask: usize,
        /// Its watermark in ms; `None` where it holds nobody: it is idle, or has no watermark yet.
        watermark_ms: Option<i64>,
        /// It reads nothing until it may go further.
        held: bool,
    },
    /// Positions of a reader at a barrier. After `SourceEnded` none follows: the reader holds no split.
    SourceSnapshot {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// The source.
        node: NodeId,
        /// The reader.
        subtask: usize,
        /// Its unfinished splits, positioned after the last row before the barrier.
        splits: Vec<SplitState>,
    },
    /// A reader has ended because it was told to ([`TaskCommand::Drain`]); `SourceEnded` follows.
    SourceDrained {
        /// The source.
        node: NodeId,
        /// The reader.
        subtask: usize,
        /// Its unfinished splits, positioned after the last row that it gave.
        splits: Vec<SplitState>,
    },
    /// A reader has read everything; all its rows are in the dataflow. The coordinator takes it as a source without
    /// splits in every later checkpoint, and in one that is under way.
    SourceEnded {
        /// The source.
        node: NodeId,
        /// The reader.
        subtask: usize,
    },
    /// State of an operator (not source, not sink) at a barrier. Once its input has ended none follows.
    OperatorSnapshot {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// The operator.
        node: NodeId,
        /// The subtask.
        subtask: usize,
        /// The operator's watermark in ms, `i64::MIN` for none.
        watermark_ms: i64,
        /// Its state.
        snapshot: OperatorSnapshot,
    },
    /// All inputs of an operator have ended and everything that followed from them is emitted: it reports no further
    /// checkpoint. (Sent after the operator's last snapshot; sinks report `SinkPrepared` without a checkpoint instead.)
    OperatorEnded {
        /// The operator.
        node: NodeId,
        /// The subtask.
        subtask: usize,
    },
    /// A sink has made everything of the epoch durable.
    SinkPrepared {
        /// The checkpoint; `None` at the end of the input: these belong to the job's final checkpoint.
        checkpoint: Option<CheckpointId>,
        /// The sink.
        node: NodeId,
        /// The writer.
        subtask: usize,
        /// What to commit.
        committables: Vec<Committable>,
        /// The writer's state.
        writer_state: Vec<Versioned>,
    },
    /// Something went wrong; the attempt is ending. The first one tells why.
    Failed {
        /// The operator, where it is known.
        node: Option<NodeId>,
        /// What.
        error: Error,
    },
    /// All threads and tasks of the attempt have ended; nothing follows. `finished` is true where all input was
    /// processed (every sink has reported with `checkpoint: None` before).
    Ended {
        /// Whether the input was processed to its end.
        finished: bool,
    },
}

impl TaskEvent {
    /// It is part of a checkpoint: what a subtask was at a barrier, or that it has ended.
    pub fn is_of_checkpoint(&self) -> bool {
        matches!(
            self,
            TaskEvent::SourceSnapshot { .. }
                | TaskEvent::SourceEnded { .. }
                | TaskEvent::OperatorSnapshot { .. }
                | TaskEvent::OperatorEnded { .. }
                | TaskEvent::SinkPrepared { .. }
        )
    }
}
