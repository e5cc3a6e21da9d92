//! Counters of a running job, under the names that Flink's users know.

use std::collections::{BTreeMap, VecDeque};
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
    /// `numRecordsSendErrors`, of sinks: rows of batches that the outside has refused. An attempt ends with the first.
    pub send_errors: AtomicU64,
    /// `currentSendTime`, of sinks: milliseconds that the last batch or flush took.
    pub send_time_ms: AtomicU64,
    /// `checkpointAlignmentTime` in ns: from the first message behind the last barrier to that barrier's passing.
    pub alignment_ns: AtomicU64,
    /// `checkpointSyncTime` in ns (the sync duration of Flink's REST interface): from the last barrier's arrival until the
    /// subtask took rows again, what the operator sends before it included.
    pub sync_ns: AtomicU64,
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
    history: Mutex<History>,
}

/// Counts of rows that an attempt takes back when it is thrown away: what lies behind its last checkpoint is counted again
/// by the next one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// `numRecordsIn`
    pub records_in: u64,
    /// `numRecordsOut`
    pub records_out: u64,
    /// `numRecordsInErrors`
    pub records_skipped: u64,
    /// `numLateRecordsDropped`
    pub late_records_dropped: u64,
    /// Rows dropped by an enforcer.
    pub records_dropped: u64,
}

impl Counts {
    /// One by one, with those of another.
    #[must_use]
    pub fn with(self, other: Counts, f: impl Fn(u64, u64) -> u64) -> Counts {
        Counts {
            records_in: f(self.records_in, other.records_in),
            records_out: f(self.records_out, other.records_out),
            records_skipped: f(self.records_skipped, other.records_skipped),
            late_records_dropped: f(self.late_records_dropped, other.late_records_dropped),
            records_dropped: f(self.records_dropped, other.records_dropped),
        }
    }
}

/// The counts at a checkpoint's barrier, or at the end before it.
pub type Mark = (u64, Counts);

/// Checkpoints that may be under way, or have failed since the last good one.
const MARKS_MAX: usize = 64;

/// What of the counts would last.
#[derive(Debug, Default)]
struct History {
    /// Counted by attempts that were thrown away.
    discarded: Counts,
    /// Without what was discarded, by checkpoint, in their order.
    marks: VecDeque<Mark>,
    /// Nobody goes back to before this checkpoint.
    settled: u64,
}

impl History {
    fn set(&mut self, mark: Mark) {
        // What another process reports may be older than what is known here.
        if mark.0 < self.settled {
            return;
        }
        match self.marks.iter_mut().find(|(of, _)| *of == mark.0) {
            Some(known) => *known = mark,
            None => {
                let place = self.marks.iter().position(|(of, _)| *of > mark.0).unwrap_or(self.marks.len());
                self.marks.insert(place, mark);
            }
        }
        if self.marks.len() > MARKS_MAX {
            // The first one is of the last good checkpoint.
            self.marks.remove(1);
        }
    }
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
    /// Whatever was counted, by all attempts.
    fn counted(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            records_in: read(&self.records_in),
            records_out: read(&self.records_out),
            records_skipped: read(&self.records_skipped),
            late_records_dropped: read(&self.late_records_dropped),
            records_dropped: read(&self.records_dropped),
        }
    }

    fn history(&self) -> std::sync::MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was counted once rows of attempts that were thrown away are left out. The counters themselves only grow.
    pub fn lasting(&self) -> Counts {
        self.counted().with(self.history().discarded, u64::saturating_sub)
    }

    /// The subtask is at the barrier of a checkpoint, or has ended before it.
    pub fn mark(&self, checkpoint: u64) {
        self.set_mark((checkpoint, self.lasting()));
    }

    /// The same of the writer of a sink, which comes to the barrier later: what has been written.
    pub fn mark_written(&self, checkpoint: u64) {
        let written = self.lasting().records_out;
        let mut history = self.history();
        match history.marks.iter_mut().find(|(of, _)| *of == checkpoint) {
            Some((_, counts)) => counts.records_out = written,
            None => history.set((checkpoint, Counts { records_out: written, ..Counts::default() })),
        }
    }

    /// A mark that another process has made.
    pub fn set_mark(&self, mark: Mark) {
        self.history().set(mark);
    }

    /// The marks that may still be needed.
    pub fn marks(&self) -> Vec<Mark> {
        self.history().marks.iter().copied().collect()
    }

    /// The next attempt goes on from this checkpoint, or from the beginning.
    fn rewind(&self, checkpoint: Option<u64>) {
        let counted = self.counted();
        let mut history = self.history();
        history.marks.retain(|(of, _)| Some(*of) <= checkpoint);
        let lasts = history.marks.back().map_or(Counts::default(), |(_, counts)| *counts);
        history.discarded = counted.with(lasts, u64::saturating_sub);
    }

    /// Nobody goes back to before this checkpoint.
    fn settle(&self, checkpoint: u64) {
        let mut history = self.history();
        history.settled = history.settled.max(checkpoint);
        while history.marks.get(1).is_some_and(|(next, _)| *next <= checkpoint) {
            history.marks.pop_front();
        }
    }

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

    /// The sum over a node's subtasks of what is not counted again: see [`SubtaskMetrics::lasting`].
    pub fn lasting(&self, node: usize) -> Counts {
        self.node(node).iter().fold(Counts::default(), |sum, s| sum.with(s.lasting(), |a, b| a + b))
    }

    /// An attempt was thrown away, and the next one goes on from this checkpoint, or from the beginning.
    pub fn rewind(&self, checkpoint: Option<u64>) {
        self.nodes.iter().flatten().for_each(|s| s.rewind(checkpoint));
    }

    /// A checkpoint is decided.
    pub fn settle(&self, checkpoint: u64) {
        self.nodes.iter().flatten().for_each(|s| s.settle(checkpoint));
    }

    /// The least watermark over a node's subtasks, in ms.
    pub fn watermark_ms(&self, node: usize) -> i64 {
        self.node(node).iter().map(|s| s.watermark_ms.load(Ordering::Relaxed)).min().unwrap_or(i64::MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_an_attempt_that_is_thrown_away_do_not_last() {
        let job = JobMetrics::new(1, 2);
        let add = |n: u64| {
            for s in job.node(0) {
                s.records_in.fetch_add(n, Ordering::Relaxed);
            }
        };
        let mark = |checkpoint: u64| job.node(0).iter().for_each(|s| s.mark(checkpoint));
        let lasting = || job.lasting(0).records_in;
        add(5);
        job.rewind(None);
        assert_eq!(lasting(), 0, "no checkpoint: from the beginning");
        add(10);
        mark(1);
        add(3);
        mark(2);
        add(4);
        assert_eq!(lasting(), 34);
        job.settle(1);
        job.rewind(Some(1));
        assert_eq!(lasting(), 20, "the second checkpoint came to nothing");
        add(1);
        mark(2);
        job.settle(2);
        add(1);
        job.rewind(Some(2));
        // What has ended is marked once, and all checkpoints behind it hold that.
        job.rewind(Some(7));
        assert_eq!((lasting(), job.sum(0, |m| &m.records_in)), (22, 2 * 24));
        assert_eq!(job.node(0)[0].marks().len(), 1);
        // A report of another process that has been under way for long.
        let subtask = &job.node(0)[0];
        let before = subtask.marks();
        subtask.set_mark((1, Counts::default()));
        assert_eq!(subtask.marks(), before);
        subtask.set_mark((5, Counts::default()));
        subtask.set_mark((4, Counts::default()));
        assert_eq!(subtask.marks().iter().map(|m| m.0).collect::<Vec<_>>(), [2, 4, 5]);
        job.rewind(Some(2));
        for failed in 10..200 {
            mark(failed);
        }
        job.rewind(Some(2));
        assert_eq!(lasting(), 22);
    }
}
