//! Counters of subtasks in another process, merged into the coordinator's.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use flott_runtime::metrics::{Counts, JobMetrics, SplitWatermark, SubtaskMetrics};
use serde::{Deserialize, Serialize};

/// Counters that only grow during an attempt, of which later attempts add to earlier ones.
const GROWING: usize = 10;
/// Those of which the last value counts.
const GAUGES: usize = 6;
/// The same of those that can be negative.
const SIGNED: usize = 6;

type Counters<'a> = ([&'a AtomicU64; GROWING], [&'a AtomicU64; GAUGES], [&'a AtomicI64; SIGNED]);

/// All fields are named, so that the compiler tells whoever adds one.
fn counters(m: &SubtaskMetrics) -> Counters<'_> {
    let SubtaskMetrics {
        records_in,
        records_out,
        bytes_in,
        bytes_out,
        busy_us,
        input_watermark_ms,
        late_records_dropped,
        records_skipped,
        records_dropped,
        send_errors,
        send_time_ms,
        alignment_ns,
        sync_ns,
        watermark_ms,
        state_bytes,
        state_rows,
        back_pressured_ms,
        idle,
        pending_records,
        pending_bytes,
        watermark_since_ms,
        next_timer_ms,
        ..
    } = m;
    (
        [
            records_in,
            records_out,
            bytes_in,
            bytes_out,
            busy_us,
            records_skipped,
            back_pressured_ms,
            late_records_dropped,
            records_dropped,
            send_errors,
        ],
        [state_bytes, state_rows, idle, send_time_ms, alignment_ns, sync_ns],
        [input_watermark_ms, watermark_ms, pending_records, pending_bytes, watermark_since_ms, next_timer_ms],
    )
}

fn values(m: &SubtaskMetrics) -> Vec<i64> {
    let (growing, gauges, signed) = counters(m);
    let all = growing.into_iter().chain(gauges).map(|c| c.load(Ordering::Relaxed).cast_signed());
    all.chain(signed.into_iter().map(|s| s.load(Ordering::Relaxed))).collect()
}

/// A split that is being read: id, watermark and since when in ms, idle, paused.
type Split = (String, i64, i64, bool, bool);

fn splits(m: &SubtaskMetrics) -> Vec<Split> {
    m.splits().into_iter().map(|(id, s)| (id, s.watermark_ms, s.since_ms, s.idle, s.paused)).collect()
}

/// Counts at the barrier of a checkpoint: its number; in, out, skipped, late, dropped.
type Marked = (u64, [u64; 5]);

fn marks(m: &SubtaskMetrics) -> Vec<Marked> {
    let numbers =
        |c: Counts| [c.records_in, c.records_out, c.records_skipped, c.late_records_dropped, c.records_dropped];
    m.marks().into_iter().map(|(checkpoint, counts)| (checkpoint, numbers(counts))).collect()
}

fn counts(numbers: [u64; 5]) -> Counts {
    let [records_in, records_out, records_skipped, late_records_dropped, records_dropped] = numbers;
    Counts { records_in, records_out, records_skipped, late_records_dropped, records_dropped }
}

/// What of one subtask has changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Change {
    node: usize,
    subtask: usize,
    values: Vec<i64>,
    splits: Vec<Split>,
    marks: Vec<Marked>,
}

/// All that there is to tell of one subtask.
type Told = (Vec<i64>, Vec<Split>, Vec<Marked>);

/// A worker's side: what has changed since the last look.
#[derive(Default)]
pub(crate) struct Reported(HashMap<(usize, usize), Told>);

impl Reported {
    pub(crate) fn changes(
        &mut self,
        metrics: &JobMetrics,
        nodes: usize,
        subtasks: std::ops::Range<usize>,
    ) -> Vec<Change> {
        let mut changes = vec![];
        for node in 0..nodes {
            for subtask in subtasks.clone() {
                let Some(now) = metrics.subtask(node, subtask).map(|m| (values(m), splits(m), marks(m))) else {
                    continue;
                };
                let before = self.0.entry((node, subtask)).or_default();
                if *before != now {
                    before.clone_from(&now);
                    let (values, splits, marks) = now;
                    changes.push(Change { node, subtask, values, splits, marks });
                }
            }
        }
        changes
    }
}

/// The coordinator's side: one attempt of one worker.
#[derive(Default)]
pub(crate) struct Merged(HashMap<(usize, usize), Before>);

/// What was known of a subtask before the last change.
struct Before {
    values: Vec<i64>,
    /// What of the attempts before this one lasts.
    lasting: Counts,
}

impl Merged {
    pub(crate) fn apply(&mut self, metrics: &JobMetrics, changes: Vec<Change>) {
        for Change { node, subtask, values: now, splits, marks } in changes {
            let Some(m) = metrics.subtask(node, subtask) else { continue };
            if now.len() != GROWING + GAUGES + SIGNED {
                continue;
            }
            let (growing, gauges, signed) = counters(m);
            let before = self
                .0
                .entry((node, subtask))
                .or_insert_with(|| Before { values: vec![0; now.len()], lasting: m.lasting() });
            for ((counter, now), before) in growing.into_iter().zip(&now).zip(before.values.iter()) {
                counter.fetch_add(now.wrapping_sub(*before).cast_unsigned(), Ordering::Relaxed);
            }
            for (gauge, now) in gauges.into_iter().zip(&now[GROWING..]) {
                gauge.store(now.cast_unsigned(), Ordering::Relaxed);
            }
            for (signed, now) in signed.into_iter().zip(&now[GROWING + GAUGES..]) {
                signed.store(*now, Ordering::Relaxed);
            }
            for (checkpoint, numbers) in marks {
                m.set_mark((checkpoint, counts(numbers).with(before.lasting, |here, before| here + before)));
            }
            before.values = now;
            let split = |(id, watermark_ms, since_ms, idle, paused)| {
                (id, SplitWatermark { watermark_ms, since_ms, idle, paused })
            };
            m.set_splits(splits.into_iter().map(split).collect::<BTreeMap<_, _>>());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_later_attempts_add_up_and_gauges_are_the_last() {
        let (here, mut rows) = (JobMetrics::new(2, 4), 0);
        for attempt in 0..2 {
            let there = JobMetrics::new(2, 4);
            let (mut reported, mut merged) = (Reported::default(), Merged::default());
            for n in [3, 4] {
                let m = there.subtask(1, 2).expect("a subtask");
                m.records_out.fetch_add(n, Ordering::Relaxed);
                m.state_rows.store(n, Ordering::Relaxed);
                m.watermark_ms.store(-7, Ordering::Relaxed);
                m.set_split("a", Some(SplitWatermark { watermark_ms: -7, since_ms: 1, idle: true, paused: false }));
                rows += n;
                m.mark(n);
                let changes = reported.changes(&there, 2, 2..4);
                merged.apply(&here, changes);
                let m = here.subtask(1, 2).expect("a subtask");
                assert_eq!(m.records_out.load(Ordering::Relaxed), rows, "attempt {attempt}");
                assert_eq!(m.state_rows.load(Ordering::Relaxed), n);
                assert_eq!(m.watermark_ms.load(Ordering::Relaxed), -7);
                assert!(m.splits()["a"].idle);
            }
            assert!(reported.changes(&there, 2, 2..4).is_empty());
            // Each attempt was at 3 rows when it was at its third checkpoint, and loses the 4 behind that.
            here.rewind(Some(3));
            assert_eq!(here.lasting(1).records_out, 3 * (attempt + 1));
        }
        // What makes no sense changes nothing.
        let strange = |node, subtask| Change { node, subtask, values: vec![1], splits: vec![], marks: vec![] };
        Merged::default().apply(&here, vec![strange(9, 9), strange(1, 2)]);
        assert_eq!(here.sum(1, |m| &m.records_out), rows);
    }
}
