//! Counters of a running job, under the names that Flink's users know.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Counters of one subtask of one operator.
#[derive(Debug, Default)]
pub struct SubtaskMetrics {
    /// `numRecordsIn`
    pub records_in: AtomicU64,
    /// `numRecordsOut`
    pub records_out: AtomicU64,
    /// `numBytesIn`, of sources and sinks: bytes of Arrow columns.
    pub bytes_in: AtomicU64,
    /// `numBytesOut`, of sinks: bytes that the writer has given to the outside.
    pub bytes_out: AtomicU64,
    /// Microseconds in which the subtask worked: of an operator its calls, of a sink its writer too. What a reader does in
    /// its own task is not in it.
    pub busy_us: AtomicU64,
    /// `currentInputWatermark` in ms.
    pub input_watermark_ms: AtomicI64,
    /// `numLateRecordsDropped`
    pub late_records_dropped: AtomicU64,
    /// `numRecordsInErrors`: records that a format skipped.
    pub records_skipped: AtomicU64,
    /// Rows dropped by an enforcer.
    pub records_dropped: AtomicU64,
    /// `currentOutputWatermark` in ms.
    pub watermark_ms: AtomicI64,
    /// Bytes of state, estimated.
    pub state_bytes: AtomicU64,
    /// Entries of state.
    pub state_rows: AtomicU64,
    /// Milliseconds that a source waited for room.
    pub back_pressured_ms: AtomicU64,
    /// `pendingRecords`, of sources whose readers know it: records that are there and not read yet; -1 where nobody knows.
    pub pending_records: AtomicI64,
    /// `pendingBytes`, the same in bytes.
    pub pending_bytes: AtomicI64,
    /// 1 while the source is idle (`table.exec.source.idle-timeout`).
    pub idle: AtomicU64,
    /// When the output watermark last moved, in ms since the epoch; `i64::MIN` where it never has.
    pub watermark_since_ms: AtomicI64,
    /// The event time at which what is held is emitted next, in ms; `i64::MAX` where the operator waits for none.
    pub next_timer_ms: AtomicI64,
    /// Of sources, by the ids of their splits.
    splits: Mutex<BTreeMap<String, SplitWatermark>>,
}

/// How far event time has come in a split that is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SplitWatermark {
    /// In ms; `i64::MIN` where there is none yet.
    pub watermark_ms: i64,
    /// When it last moved, or when the split was assigned: ms since the epoch.
    pub since_ms: i64,
    /// It has had no rows for the idle timeout and holds nobody back.
    pub idle: bool,
    /// It is ahead of its alignment group and is not read.
    pub paused: bool,
}

impl SubtaskMetrics {
    /// What a split has come to; `None` once it is read to its end.
    pub fn set_split(&self, id: &str, split: Option<SplitWatermark>) {
        let mut splits = self.splits.lock().unwrap_or_else(PoisonError::into_inner);
        match (splits.get_mut(id), split) {
            (Some(known), Some(split)) => *known = split,
            (None, Some(split)) => {
                splits.insert(id.to_string(), split);
            }
            (_, None) => {
                splits.remove(id);
            }
        }
    }

    /// All splits at once, as another process has told.
    pub fn set_splits(&self, splits: BTreeMap<String, SplitWatermark>) {
        *self.splits.lock().unwrap_or_else(PoisonError::into_inner) = splits;
    }

    /// The splits that are being read.
    pub fn splits(&self) -> BTreeMap<String, SplitWatermark> {
        self.splits.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The output watermark is this one now.
    pub fn set_watermark(&self, watermark_ms: i64, now_ms: i64) {
        self.watermark_ms.store(watermark_ms, Ordering::Relaxed);
        self.watermark_since_ms.store(now_ms, Ordering::Relaxed);
    }
}

/// All counters of a job: `[node][subtask]`.
#[derive(Debug, Default)]
pub struct JobMetrics {
    nodes: Vec<Vec<SubtaskMetrics>>,
}

impl JobMetrics {
    /// For a graph of so many nodes with so many subtasks each.
    pub fn new(nodes: usize, parallelism: usize) -> JobMetrics {
        let subtask = || {
            let m = SubtaskMetrics::default();
            m.watermark_ms.store(i64::MIN, Ordering::Relaxed);
            m.input_watermark_ms.store(i64::MIN, Ordering::Relaxed);
            m.watermark_since_ms.store(i64::MIN, Ordering::Relaxed);
            m.next_timer_ms.store(i64::MAX, Ordering::Relaxed);
            m.pending_records.store(-1, Ordering::Relaxed);
            m.pending_bytes.store(-1, Ordering::Relaxed);
            m
        };
        JobMetrics { nodes: (0..nodes).map(|_| (0..parallelism).map(|_| subtask()).collect()).collect() }
    }

    /// Counters of one subtask.
    pub fn subtask(&self, node: usize, subtask: usize) -> Option<&SubtaskMetrics> {
        self.nodes.get(node)?.get(subtask)
    }

    /// Counters of all subtasks of a node.
    pub fn node(&self, node: usize) -> &[SubtaskMetrics] {
        self.nodes.get(node).map_or(&[], Vec::as_slice)
    }

    /// The sum of one counter over a node's subtasks.
    pub fn sum(&self, node: usize, counter: impl Fn(&SubtaskMetrics) -> &AtomicU64) -> u64 {
        self.node(node).iter().map(|s| counter(s).load(Ordering::Relaxed)).sum()
    }

    /// The least watermark over a node's subtasks, in ms.
    pub fn watermark_ms(&self, node: usize) -> i64 {
        self.node(node).iter().map(|s| s.watermark_ms.load(Ordering::Relaxed)).min().unwrap_or(i64::MIN)
    }
}
