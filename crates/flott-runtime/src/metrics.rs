//! Counters of a running job, under the names that Flink's users know.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

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
