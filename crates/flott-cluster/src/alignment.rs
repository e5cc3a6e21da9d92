//! Sources of a group wait for each other (Flink's watermark alignment): readers report how far their event time has
//! come, and are told how far it may go.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use flott_graph::{JobGraph, NodeId, OperatorSpec};
use flott_runtime::api::{TaskCommand, TaskEvent};

/// Readers may take so long at least for their first report: one that is not heard of may be far behind.
const START_PATIENCE: Duration = Duration::from_secs(2);

/// A source of a group.
struct Member {
    max_drift_ms: i64,
    interval: Duration,
    /// What its readers were told last.
    told: Option<i64>,
    /// Not before this time again.
    next: Duration,
}

/// Sources that wait for each other.
#[derive(Default)]
struct Group {
    sources: BTreeMap<NodeId, Member>,
    /// Readers that are still there.
    readers: BTreeSet<(NodeId, usize)>,
    /// What each reported last: its watermark, or that it holds nobody.
    reports: BTreeMap<(NodeId, usize), Option<i64>>,
    /// Nothing is told before every reader has said something, or this time has come: else the first ones would be
    /// told that nobody is behind them.
    patience: Duration,
}

impl Group {
    /// The event time of the last.
    fn least(&self) -> i64 {
        self.reports.values().filter_map(|w| *w).min().unwrap_or(i64::MAX)
    }

    fn is_open(&self, now: Duration) -> bool {
        now >= self.patience || self.reports.len() == self.readers.len()
    }

    fn next(&self) -> Option<Duration> {
        let least = self.least();
        let earliest = if self.is_open(Duration::ZERO) { Duration::ZERO } else { self.patience };
        let changed = self.sources.values().filter(|s| s.told != Some(least.saturating_add(s.max_drift_ms)));
        changed.map(|s| s.next.max(earliest)).min()
    }
}

/// All groups of a job.
#[derive(Default)]
pub struct WatermarkAlignment {
    groups: BTreeMap<String, Group>,
}

impl WatermarkAlignment {
    /// Of a job that begins.
    pub fn new(graph: &JobGraph, parallelism: usize, now: Duration) -> WatermarkAlignment {
        let mut groups: BTreeMap<String, Group> = BTreeMap::new();
        for (id, node) in graph.sources() {
            let OperatorSpec::Source(spec) = &node.spec else { continue };
            let Some(alignment) = spec.watermark.as_ref().and_then(|w| w.alignment.as_ref()) else { continue };
            let group = groups.entry(alignment.group.clone()).or_default();
            let interval = alignment.update_interval;
            let max_drift_ms = i64::try_from(alignment.max_drift.as_millis()).unwrap_or(i64::MAX);
            group.sources.insert(id, Member { max_drift_ms, interval, told: None, next: Duration::ZERO });
            group.readers.extend((0..parallelism).map(|subtask| (id, subtask)));
            group.patience = group.patience.max(now + interval.max(START_PATIENCE));
        }
        WatermarkAlignment { groups }
    }

    /// What readers say.
    pub fn on_event(&mut self, event: &TaskEvent) {
        match event {
            TaskEvent::WatermarkReport { node, subtask, watermark_ms, held } => {
                let Some(group) = self.group_of(*node) else { return };
                if !group.readers.contains(&(*node, *subtask)) {
                    return;
                }
                group.reports.insert((*node, *subtask), *watermark_ms);
                if *held {
                    // It reads nothing until it hears more: no reason to let it wait.
                    group.sources.values_mut().for_each(|s| s.next = Duration::ZERO);
                }
            }
            TaskEvent::SourceEnded { node, subtask } => {
                let Some(group) = self.group_of(*node) else { return };
                group.readers.remove(&(*node, *subtask));
                group.reports.remove(&(*node, *subtask));
                group.sources.values_mut().for_each(|s| s.next = Duration::ZERO);
            }
            _ => {}
        }
    }

    fn group_of(&mut self, node: NodeId) -> Option<&mut Group> {
        self.groups.values_mut().find(|g| g.sources.contains_key(&node))
    }

    /// When readers are to be told something.
    pub fn next(&self) -> Option<Duration> {
        self.groups.values().filter_map(Group::next).min()
    }

    /// What readers are told now.
    pub fn commands(&mut self, now: Duration) -> Vec<TaskCommand> {
        let mut commands = vec![];
        for group in self.groups.values_mut().filter(|g| g.is_open(now)) {
            let least = group.least();
            for (node, source) in &mut group.sources {
                let max_watermark_ms = least.saturating_add(source.max_drift_ms);
                if source.told == Some(max_watermark_ms) || now < source.next {
                    continue;
                }
                (source.told, source.next) = (Some(max_watermark_ms), now + source.interval);
                let readers = group.readers.iter().filter(|r| r.0 == *node);
                commands.extend(readers.map(|(node, subtask)| TaskCommand::AlignWatermark {
                    node: *node,
                    subtask: *subtask,
                    max_watermark_ms,
                }));
            }
        }
        commands
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodeId = NodeId(0);
    const B: NodeId = NodeId(1);

    /// A with two readers and a drift of 10, B with one and a drift of 100.
    fn group() -> WatermarkAlignment {
        let member = |max_drift_ms| Member { max_drift_ms, interval: at(1_000), told: None, next: Duration::ZERO };
        let group = Group {
            sources: BTreeMap::from([(A, member(10)), (B, member(100))]),
            readers: BTreeSet::from([(A, 0), (A, 1), (B, 0)]),
            reports: BTreeMap::new(),
            patience: at(1_000),
        };
        WatermarkAlignment { groups: BTreeMap::from([("g".to_string(), group)]) }
    }

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn report(node: NodeId, subtask: usize, watermark_ms: Option<i64>, held: bool) -> TaskEvent {
        TaskEvent::WatermarkReport { node, subtask, watermark_ms, held }
    }

    fn told(all: &mut WatermarkAlignment, now: Duration) -> Vec<(NodeId, usize, i64)> {
        let of = |c| match c {
            TaskCommand::AlignWatermark { node, subtask, max_watermark_ms } => (node, subtask, max_watermark_ms),
            other => panic!("{other:?}"),
        };
        all.commands(now).into_iter().map(of).collect()
    }

    #[test]
    fn the_last_one_decides_and_each_source_has_its_drift() {
        let mut all = group();
        all.on_event(&report(A, 0, Some(500), true));
        all.on_event(&report(A, 1, Some(40), true));
        assert_eq!(told(&mut all, at(10)), [], "B may be further behind");
        assert_eq!(all.next(), Some(at(1_000)));
        all.on_event(&report(B, 0, Some(30), false));
        assert_eq!(all.next(), Some(Duration::ZERO));
        assert_eq!(told(&mut all, at(20)), [(A, 0, 40), (A, 1, 40), (B, 0, 130)]);
        assert_eq!(all.next(), None);
        // Progress is passed on at the interval, or at once where somebody waits.
        all.on_event(&report(B, 0, Some(35), false));
        assert_eq!((told(&mut all, at(500)), all.next()), (vec![], Some(at(1_020))));
        all.on_event(&report(B, 0, Some(131), true));
        assert_eq!(told(&mut all, at(510)), [(A, 0, 50), (A, 1, 50), (B, 0, 140)]);
    }

    #[test]
    fn idle_and_ended_readers_hold_nobody() {
        let mut all = group();
        all.on_event(&report(A, 0, Some(500), true));
        all.on_event(&report(A, 1, None, false));
        all.on_event(&report(B, 0, Some(30), false));
        assert_eq!(told(&mut all, at(10)), [(A, 0, 40), (A, 1, 40), (B, 0, 130)]);
        all.on_event(&TaskEvent::SourceEnded { node: B, subtask: 0 });
        assert_eq!(told(&mut all, at(20)), [(A, 0, 510), (A, 1, 510)]);
        // A report that comes behind the end changes nothing.
        all.on_event(&report(B, 0, Some(30), true));
        all.on_event(&report(A, 0, None, false));
        assert_eq!(told(&mut all, at(1_020)), [(A, 0, i64::MAX), (A, 1, i64::MAX)], "nobody is left to wait for");
        // One that wakes far behind is waited for.
        all.on_event(&report(A, 1, Some(7), false));
        assert_eq!(told(&mut all, at(2_020)), [(A, 0, 17), (A, 1, 17)]);
    }

    #[test]
    fn a_reader_that_never_says_anything_is_waited_for_once() {
        let mut all = group();
        all.on_event(&report(A, 0, Some(500), true));
        assert_eq!(told(&mut all, at(999)), []);
        assert_eq!(told(&mut all, at(1_000)), [(A, 0, 510), (A, 1, 510), (B, 0, 600)]);
    }
}
