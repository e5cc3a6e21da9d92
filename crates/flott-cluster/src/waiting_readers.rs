//! Readers that have nothing to read hold event time back, as in Flink: whoever waits for windows is told why.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use flott_graph::{JobGraph, NodeId, OperatorSpec};
use flott_runtime::api::{TaskCommand, TaskEvent};

/// A reader that waits for this long beside others that have read something is worth a word.
const PATIENCE: Duration = Duration::from_secs(30);

/// Readers of one source.
struct Readers {
    table: String,
    count: usize,
    /// Those that have, or had, a split.
    fed: BTreeSet<usize>,
    /// Those that have none, and since when.
    waiting: BTreeMap<usize, Duration>,
    /// It has been said.
    told: bool,
}

/// Follows which readers have splits, of the sources whose event time a window waits for.
pub struct WaitingReaders {
    sources: BTreeMap<NodeId, Readers>,
}

impl WaitingReaders {
    /// Of a job that begins.
    pub fn new(graph: &JobGraph, parallelism: usize) -> WaitingReaders {
        let mut sources = BTreeMap::new();
        for (id, node) in graph.sources() {
            let OperatorSpec::Source(spec) = &node.spec else { continue };
            // A source that becomes idle holds nobody.
            let holds = spec.watermark.as_ref().is_some_and(|w| w.idle_timeout.is_none());
            if holds && leads_to_window(graph, id) {
                let count = spec.parallelism.or(node.parallelism).unwrap_or(parallelism).clamp(1, parallelism);
                let (table, fed, waiting) = (spec.table.object.clone(), BTreeSet::new(), BTreeMap::new());
                sources.insert(id, Readers { table, count, fed, waiting, told: false });
            }
        }
        WaitingReaders { sources }
    }

    /// What readers say.
    pub fn on_event(&mut self, event: &TaskEvent, now: Duration) {
        match event {
            TaskEvent::ReaderRegistered { node, subtask } => {
                if let Some(readers) = self.sources.get_mut(node)
                    && !readers.fed.contains(subtask)
                {
                    readers.waiting.insert(*subtask, now);
                }
            }
            TaskEvent::SplitRequest { node, subtask } => {
                if let Some(readers) = self.sources.get_mut(node) {
                    readers.waiting.entry(*subtask).or_insert(now);
                }
            }
            TaskEvent::SourceEnded { node, subtask } => {
                if let Some(readers) = self.sources.get_mut(node) {
                    readers.waiting.remove(subtask);
                }
            }
            _ => {}
        }
    }

    /// What readers are told.
    pub fn on_command(&mut self, command: &TaskCommand) {
        match command {
            TaskCommand::AssignSplits { node, subtask, .. } => {
                if let Some(readers) = self.sources.get_mut(node) {
                    readers.waiting.remove(subtask);
                    readers.fed.insert(*subtask);
                }
            }
            TaskCommand::NoMoreSplits { node, subtask } => {
                if let Some(readers) = self.sources.get_mut(node) {
                    readers.waiting.remove(subtask);
                }
            }
            _ => {}
        }
    }

    /// When something is to be said.
    pub fn next(&self) -> Option<Duration> {
        self.sources.values().filter(|s| !s.told && !s.fed.is_empty()).filter_map(Readers::due).min()
    }

    /// What is to be said now, once for each source.
    pub fn warnings(&mut self, now: Duration) -> Vec<String> {
        let due = |s: &&mut Readers| !s.told && !s.fed.is_empty() && s.due().is_some_and(|at| at <= now);
        self.sources.values_mut().filter(due).map(Readers::tell).collect()
    }
}

impl Readers {
    fn due(&self) -> Option<Duration> {
        self.waiting.values().min().map(|since| *since + PATIENCE)
    }

    fn tell(&mut self) -> String {
        self.told = true;
        let numbers: Vec<String> = self.waiting.keys().map(|reader| (reader + 1).to_string()).collect();
        let (readers, have, they) = match numbers.as_slice() {
            [_] => ("reader", "has", "It counts"),
            _ => ("readers", "have", "They count"),
        };
        format!(
            "source '{}': {readers} {} of {} {have} nothing to read. {they} as active, as in Flink, and hold the watermark, \
             so that no window may end. Set 'table.exec.source.idle-timeout' (such as '10 s'), or run with fewer workers",
            self.table,
            numbers.join(", "),
            self.count,
        )
    }
}

/// Whether any window is behind this node.
fn leads_to_window(graph: &JobGraph, from: NodeId) -> bool {
    let mut behind = BTreeSet::from([from]);
    for (id, node) in graph.iter() {
        if !node.inputs.iter().any(|i| behind.contains(&i.node)) {
            continue;
        }
        if matches!(
            node.spec,
            OperatorSpec::WindowTableFunction(_)
                | OperatorSpec::LocalWindowAggregate(_)
                | OperatorSpec::GlobalWindowAggregate(_)
                | OperatorSpec::WindowAggregate(_)
        ) {
            return true;
        }
        behind.insert(id);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId(0);

    fn readers(count: usize) -> WaitingReaders {
        let (fed, waiting) = (BTreeSet::new(), BTreeMap::new());
        let source = Readers { table: "orders".to_string(), count, fed, waiting, told: false };
        WaitingReaders { sources: BTreeMap::from([(NODE, source)]) }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn registered(subtask: usize) -> TaskEvent {
        TaskEvent::ReaderRegistered { node: NODE, subtask }
    }

    fn asks(subtask: usize) -> TaskEvent {
        TaskEvent::SplitRequest { node: NODE, subtask }
    }

    fn gets(subtask: usize) -> TaskCommand {
        TaskCommand::AssignSplits { node: NODE, subtask, splits: vec![] }
    }

    #[test]
    fn readers_without_a_split_are_named_once() {
        let mut all = readers(3);
        // Splits may be there before their reader is.
        all.on_command(&gets(0));
        (0..3).for_each(|r| all.on_event(&registered(r), at(1)));
        assert_eq!(all.next(), Some(at(31)));
        assert!(all.warnings(at(30)).is_empty());
        let said = all.warnings(at(31));
        let [text] = said.as_slice() else { panic!("{said:?}") };
        assert!(text.contains("'orders'") && text.contains("readers 2, 3 of 3 have nothing"), "{text}");
        assert!(text.contains("table.exec.source.idle-timeout"), "{text}");
        assert_eq!(all.next(), None);
        assert!(all.warnings(at(100)).is_empty(), "once is enough");
    }

    #[test]
    fn readers_that_read_or_will_read_nothing_more_are_not() {
        let mut all = readers(3);
        (0..3).for_each(|r| all.on_event(&registered(r), at(1)));
        assert_eq!(all.next(), None, "a folder without any file holds nobody's windows");
        all.on_command(&gets(0));
        all.on_command(&TaskCommand::NoMoreSplits { node: NODE, subtask: 1 });
        all.on_event(&TaskEvent::SourceEnded { node: NODE, subtask: 2 }, at(2));
        assert_eq!(all.next(), None);
        // One that has read its split waits again, from then on, however often it asks.
        all.on_event(&asks(0), at(50));
        all.on_event(&asks(0), at(60));
        assert_eq!(all.next(), Some(at(80)));
        all.on_command(&gets(0));
        assert_eq!(all.next(), None);
    }
}
