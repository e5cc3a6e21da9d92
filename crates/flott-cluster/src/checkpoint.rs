//! The checkpoint coordinator as a state machine: events in, decisions out, no IO and no clock.
//!
//! At most one checkpoint is under way. Sinks' committables of a checkpoint that came to nothing are carried into the
//! next one, since their writers have closed those files already.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flott_connector::Versioned;
use flott_connector::sink::Committable;
use flott_core::CheckpointId;
use flott_graph::NodeId;
use flott_runtime::api::SplitState;
use flott_state::manifest::StoredRun;

/// A subtask of an operator.
pub type TaskId = (NodeId, usize);

/// Which subtasks a job has.
#[derive(Debug, Clone, Default)]
pub struct Topology {
    /// Readers.
    pub sources: BTreeSet<TaskId>,
    /// Operators between.
    pub operators: BTreeSet<TaskId>,
    /// Writers.
    pub sinks: BTreeSet<TaskId>,
}

/// An operator's part of a checkpoint, its runs written.
#[derive(Debug, Clone, PartialEq)]
pub struct OperatorPart {
    /// Event time, in ms.
    pub watermark_ms: i64,
    /// Version of the state's layout.
    pub version: u32,
    /// Small state.
    pub meta: Vec<u8>,
    /// Where the runs lie.
    pub runs: Vec<StoredRun>,
}

/// Everything that a checkpoint consists of.
#[derive(Debug, Clone, Default)]
pub struct Collected {
    /// Which.
    pub checkpoint: Option<CheckpointId>,
    /// Enumerators' states, taken when the checkpoint was triggered.
    pub enumerators: BTreeMap<NodeId, Versioned>,
    /// Splits in readers.
    pub splits: BTreeMap<TaskId, Vec<SplitState>>,
    /// Sources with no reader left.
    pub ended_sources: BTreeSet<NodeId>,
    /// Operators all of whose subtasks had ended before the barrier.
    pub ended_operators: BTreeSet<NodeId>,
    /// Operators' parts.
    pub operators: BTreeMap<TaskId, OperatorPart>,
    /// Committables by sink, older checkpoints' first.
    pub committables: BTreeMap<NodeId, Vec<Committable>>,
    /// Writer states.
    pub writers: BTreeMap<TaskId, Vec<Versioned>>,
}

#[derive(Debug, Clone, Default)]
struct Pending {
    collected: Collected,
    sinks: BTreeSet<TaskId>,
    /// Operators whose part is on its way to the store. Such a one may have ended meanwhile: its part still belongs here.
    writing: BTreeSet<TaskId>,
    /// What sinks prepared at their end, after they had reported this checkpoint: output behind its barrier.
    behind: BTreeMap<NodeId, Vec<Committable>>,
}

/// Knows which reports are in and when a checkpoint is complete.
#[derive(Debug, Clone, Default)]
pub struct CheckpointCoordinator {
    topology: Arc<Topology>,
    next: u64,
    pending: Option<Pending>,
    /// A checkpoint is being decided or committed.
    finalizing: bool,
    ended: BTreeSet<TaskId>,
    /// It grows with the checkpoints that come to nothing one after another, of which the job fails with a number.
    carried: BTreeMap<NodeId, Vec<Committable>>,
    last_writer_states: BTreeMap<TaskId, Vec<Versioned>>,
}

impl CheckpointCoordinator {
    /// For a job whose next checkpoint has at least this number.
    pub fn new(topology: Topology, next: CheckpointId) -> CheckpointCoordinator {
        CheckpointCoordinator { topology: Arc::new(topology), next: next.0, ..CheckpointCoordinator::default() }
    }

    /// Whether a checkpoint could start now. Not while one is under way, and not once all sources have ended: the final
    /// checkpoint follows by itself.
    pub fn can_trigger(&self) -> bool {
        self.pending.is_none() && !self.finalizing && !self.sources_ended()
    }

    /// Starts a checkpoint; [`set_enumerators`](Self::set_enumerators) follows.
    pub fn trigger(&mut self) -> CheckpointId {
        let id = CheckpointId(self.next);
        self.next += 1;
        let collected = Collected { checkpoint: Some(id), ..Collected::default() };
        self.pending = Some(Pending { collected, ..Pending::default() });
        id
    }

    /// The enumerators' states of the checkpoint under way.
    pub fn set_enumerators(&mut self, states: BTreeMap<NodeId, Versioned>) {
        if let Some(p) = &mut self.pending {
            p.collected.enumerators = states;
        }
    }

    /// The checkpoint under way.
    pub fn pending(&self) -> Option<CheckpointId> {
        self.pending.as_ref().and_then(|p| p.collected.checkpoint)
    }

    fn pending_mut(&mut self, checkpoint: CheckpointId) -> Option<&mut Pending> {
        self.pending.as_mut().filter(|p| p.collected.checkpoint == Some(checkpoint))
    }

    /// A reader's positions.
    pub fn source_snapshot(&mut self, checkpoint: CheckpointId, task: TaskId, splits: Vec<SplitState>) {
        if let Some(p) = self.pending_mut(checkpoint) {
            p.collected.splits.insert(task, splits);
        }
    }

    /// An operator has taken its snapshot; [`operator_stored`](Self::operator_stored) follows once it is written.
    pub fn operator_snapshot(&mut self, checkpoint: CheckpointId, task: TaskId) {
        if let Some(p) = self.pending_mut(checkpoint) {
            p.writing.insert(task);
        }
    }

    /// An operator's part; its runs are written.
    pub fn operator_stored(&mut self, checkpoint: CheckpointId, task: TaskId, part: OperatorPart) {
        if let Some(p) = self.pending_mut(checkpoint) {
            p.writing.remove(&task);
            p.collected.operators.insert(task, part);
        }
    }

    /// A reader or operator has ended.
    pub fn task_ended(&mut self, task: TaskId) {
        self.ended.insert(task);
    }

    /// A writer has prepared. Without a checkpoint: at the end of its input. What belongs to no checkpoint under way is
    /// carried into the next; what was written behind the barrier of the one under way must not become visible with it.
    pub fn sink_prepared(
        &mut self,
        checkpoint: Option<CheckpointId>,
        task: TaskId,
        committables: Vec<Committable>,
        writer_state: Vec<Versioned>,
    ) {
        if checkpoint.is_none() {
            self.ended.insert(task);
            self.last_writer_states.insert(task, writer_state.clone());
        }
        match checkpoint.and_then(|c| self.pending_mut(c)) {
            Some(p) => {
                p.collected.committables.entry(task.0).or_default().extend(committables);
                p.collected.writers.insert(task, writer_state);
                p.sinks.insert(task);
            }
            None => {
                let behind = self.pending.as_mut().filter(|p| p.sinks.contains(&task)).map(|p| &mut p.behind);
                behind.unwrap_or(&mut self.carried).entry(task.0).or_default().extend(committables);
            }
        }
    }

    /// The checkpoint under way comes to nothing; what its sinks prepared is carried.
    pub fn abort(&mut self) -> Option<CheckpointId> {
        let pending = self.pending.take()?;
        for (sink, committables) in pending.collected.committables.into_iter().chain(pending.behind) {
            self.carried.entry(sink).or_default().extend(committables);
        }
        pending.collected.checkpoint
    }

    /// What sinks have prepared and no checkpoint will hold, where the attempt ends now.
    pub fn take_undecided(&mut self) -> BTreeMap<NodeId, Vec<Committable>> {
        self.abort();
        std::mem::take(&mut self.carried)
    }

    /// The checkpoint under way, once everything is in. It is then being finalised until [`finalized`](Self::finalized).
    pub fn take_complete(&mut self) -> Option<Collected> {
        let p = self.pending.as_ref()?;
        let c = &p.collected;
        let complete = self.topology.sources.iter().all(|t| c.splits.contains_key(t) || self.ended.contains(t))
            && p.writing.is_empty()
            && self.topology.operators.iter().all(|t| c.operators.contains_key(t) || self.ended.contains(t))
            && self.topology.sinks.iter().all(|t| p.sinks.contains(t) || self.ended.contains(t));
        if !complete {
            return None;
        }
        let Pending { mut collected, behind, .. } = self.pending.take()?;
        self.complete(&mut collected);
        self.carried = behind;
        Some(collected)
    }

    fn complete(&mut self, collected: &mut Collected) {
        for (sink, carried) in std::mem::take(&mut self.carried) {
            let newer = collected.committables.remove(&sink).unwrap_or_default();
            collected.committables.insert(sink, carried.into_iter().chain(newer).collect());
        }
        for (task, state) in &self.last_writer_states {
            collected.writers.entry(*task).or_insert_with(|| state.clone());
        }
        let nodes: BTreeSet<NodeId> = self.topology.sources.iter().map(|t| t.0).collect();
        collected.ended_sources = nodes
            .into_iter()
            .filter(|n| {
                self.topology
                    .sources
                    .iter()
                    .filter(|t| t.0 == *n)
                    // One that reported this checkpoint ended behind its barrier.
                    .all(|t| self.ended.contains(t) && !collected.splits.contains_key(t))
            })
            .collect();
        let nodes: BTreeSet<NodeId> = self.topology.operators.iter().map(|t| t.0).collect();
        collected.ended_operators = nodes
            .into_iter()
            .filter(|n| {
                let mut tasks = self.topology.operators.iter().filter(|t| t.0 == *n);
                tasks.all(|t| self.ended.contains(t) && !collected.operators.contains_key(t))
            })
            .collect();
        self.finalizing = true;
    }

    /// The checkpoint taken by `take_complete` or `take_final` is committed.
    pub fn finalized(&mut self) {
        self.finalizing = false;
    }

    /// Whether a checkpoint is being decided or committed.
    pub fn is_finalizing(&self) -> bool {
        self.finalizing
    }

    /// Some reader, operator or writer has ended.
    pub fn any_ended(&self) -> bool {
        !self.ended.is_empty()
    }

    /// Every reader has ended.
    pub fn sources_ended(&self) -> bool {
        self.topology.sources.iter().all(|t| self.ended.contains(t))
    }

    /// Every writer has reported the end of its input.
    pub fn sinks_ended(&self) -> bool {
        self.topology.sinks.iter().all(|t| self.ended.contains(t))
    }

    /// The job's last checkpoint: nothing is left to read, everything is prepared.
    pub fn take_final(&mut self) -> Collected {
        self.abort();
        let id = CheckpointId(self.next);
        self.next += 1;
        let mut collected = Collected { checkpoint: Some(id), ..Collected::default() };
        self.complete(&mut collected);
        collected
    }
}

/// For the simulation, which has to know states again.
#[cfg(test)]
impl CheckpointCoordinator {
    pub(crate) fn hash_all(&self, state: &mut impl std::hash::Hasher) {
        use std::hash::Hash;

        fn versioned(v: &Versioned, state: &mut impl std::hash::Hasher) {
            (v.version, &v.bytes).hash(state);
        }
        fn committables(all: &BTreeMap<NodeId, Vec<Committable>>, state: &mut impl std::hash::Hasher) {
            all.len().hash(state);
            for (node, committables) in all {
                (node, committables.len()).hash(state);
                for c in committables {
                    c.id.hash(state);
                    versioned(&c.data, state);
                }
            }
        }
        fn writers(all: &BTreeMap<TaskId, Vec<Versioned>>, state: &mut impl std::hash::Hasher) {
            all.len().hash(state);
            for (task, states) in all {
                (task, states.len()).hash(state);
                states.iter().for_each(|v| versioned(v, state));
            }
        }
        let CheckpointCoordinator { topology: _, next, pending, finalizing, ended, carried, last_writer_states } = self;
        (next, finalizing, ended, pending.is_some()).hash(state);
        committables(carried, state);
        writers(last_writer_states, state);
        let Some(Pending { collected, sinks, writing, behind }) = pending else { return };
        (sinks, writing).hash(state);
        committables(behind, state);
        let c = collected;
        (c.checkpoint, &c.ended_sources, c.enumerators.len(), c.splits.len(), c.operators.len()).hash(state);
        for (node, v) in &c.enumerators {
            node.hash(state);
            versioned(v, state);
        }
        for (task, splits) in &c.splits {
            (task, splits.len()).hash(state);
            for s in splits {
                (&s.split.id, s.watermark_ms).hash(state);
                versioned(&s.split.data, state);
            }
        }
        for (task, part) in &c.operators {
            assert!(part.runs.is_empty(), "the simulation has none");
            (task, part.watermark_ms, part.version, &part.meta).hash(state);
        }
        committables(&c.committables, state);
        writers(&c.writers, state);
    }

    pub(crate) fn sort_committables(&mut self) {
        let pending = self.pending.iter_mut().flat_map(|p| [&mut p.collected.committables, &mut p.behind]);
        for all in pending.chain([&mut self.carried]) {
            all.values_mut().for_each(|c| c.sort_by(|a, b| a.id.cmp(&b.id)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: TaskId = (NodeId(0), 0);
    const OPERATOR: TaskId = (NodeId(1), 0);
    const SINK: TaskId = (NodeId(2), 0);

    fn coordinator() -> CheckpointCoordinator {
        let topology = Topology { sources: [SOURCE].into(), operators: [OPERATOR].into(), sinks: [SINK].into() };
        CheckpointCoordinator::new(topology, CheckpointId(7))
    }

    fn part() -> OperatorPart {
        OperatorPart { watermark_ms: 0, version: 1, meta: vec![], runs: vec![] }
    }

    fn committable(id: &str) -> Committable {
        Committable { id: id.to_string(), data: Versioned::default() }
    }

    fn ids(c: &Collected) -> Vec<&str> {
        c.committables.values().flatten().map(|c| c.id.as_str()).collect()
    }

    #[test]
    fn a_checkpoint_is_complete_only_with_every_report_in_any_order() {
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
            let mut c = coordinator();
            let id = c.trigger();
            assert_eq!(id, CheckpointId(7));
            assert!(!c.can_trigger());
            for (i, step) in order.into_iter().enumerate() {
                assert!(c.take_complete().is_none(), "{order:?} complete after {i}");
                match step {
                    0 => c.source_snapshot(id, SOURCE, vec![]),
                    1 => c.operator_stored(id, OPERATOR, part()),
                    _ => c.sink_prepared(Some(id), SINK, vec![committable("a")], vec![]),
                }
            }
            let done = c.take_complete().expect("complete");
            assert_eq!(ids(&done), ["a"]);
            assert!(!c.can_trigger(), "not before it is committed");
            c.finalized();
            assert!(c.can_trigger());
        }
    }

    #[test]
    fn reports_of_another_checkpoint_do_not_count_but_their_output_is_carried() {
        let mut c = coordinator();
        let first = c.trigger();
        c.sink_prepared(Some(first), SINK, vec![committable("a")], vec![]);
        assert_eq!(c.abort(), Some(first));
        let second = c.trigger();
        c.source_snapshot(first, SOURCE, vec![]);
        c.operator_stored(first, OPERATOR, part());
        assert!(c.take_complete().is_none());
        c.source_snapshot(second, SOURCE, vec![]);
        c.operator_stored(second, OPERATOR, part());
        c.sink_prepared(Some(second), SINK, vec![committable("b")], vec![]);
        assert_eq!(ids(&c.take_complete().expect("complete")), ["a", "b"]);
    }

    #[test]
    fn what_no_checkpoint_holds_at_the_end_is_undecided() {
        let mut c = coordinator();
        let first = c.trigger();
        c.sink_prepared(Some(first), SINK, vec![committable("carried")], vec![]);
        c.abort();
        let second = c.trigger();
        c.sink_prepared(Some(second), SINK, vec![committable("pending")], vec![]);
        c.sink_prepared(None, SINK, vec![committable("behind")], vec![]);
        let undecided = c.take_undecided();
        let ids: Vec<&str> = undecided.values().flatten().map(|c| c.id.as_str()).collect();
        assert_eq!(ids, ["carried", "pending", "behind"]);
        assert!(c.take_undecided().is_empty());
        // What a checkpoint holds may be decided.
        let third = c.trigger();
        c.source_snapshot(third, SOURCE, vec![]);
        c.operator_stored(third, OPERATOR, part());
        c.sink_prepared(Some(third), SINK, vec![committable("held")], vec![]);
        assert!(c.take_complete().is_some() && c.take_undecided().is_empty());
    }

    #[test]
    fn late_reports_of_an_aborted_checkpoint_are_carried_too() {
        let mut c = coordinator();
        let first = c.trigger();
        c.abort();
        let second = c.trigger();
        c.sink_prepared(Some(first), SINK, vec![committable("a")], vec![]);
        c.source_snapshot(second, SOURCE, vec![]);
        c.operator_stored(second, OPERATOR, part());
        assert!(c.take_complete().is_none(), "the sink has not reported the second one");
        c.sink_prepared(Some(second), SINK, vec![committable("b")], vec![]);
        assert_eq!(ids(&c.take_complete().expect("complete")), ["a", "b"]);
    }

    #[test]
    fn an_operator_that_ends_while_its_part_is_written_is_waited_for() {
        let mut c = coordinator();
        let id = c.trigger();
        c.source_snapshot(id, SOURCE, vec![]);
        c.operator_snapshot(id, OPERATOR);
        c.sink_prepared(Some(id), SINK, vec![], vec![]);
        c.task_ended(OPERATOR);
        assert!(c.take_complete().is_none(), "its state is not in the store yet");
        c.operator_stored(id, OPERATOR, part());
        assert!(c.take_complete().expect("complete").operators.contains_key(&OPERATOR));
    }

    #[test]
    fn output_behind_the_barrier_of_a_slow_checkpoint_waits_for_the_next() {
        for aborted in [false, true] {
            let mut c = coordinator();
            let id = c.trigger();
            c.source_snapshot(id, SOURCE, vec![]);
            c.operator_snapshot(id, OPERATOR);
            c.sink_prepared(Some(id), SINK, vec![committable("before")], vec![]);
            c.task_ended(SOURCE);
            c.task_ended(OPERATOR);
            c.sink_prepared(None, SINK, vec![committable("behind")], vec![]);
            if aborted {
                c.abort();
                assert_eq!(ids(&c.take_final()), ["before", "behind"]);
                continue;
            }
            c.operator_stored(id, OPERATOR, part());
            let first = c.take_complete().expect("complete");
            assert_eq!(ids(&first), ["before"]);
            assert!(first.ended_sources.is_empty(), "it ended after this checkpoint");
            c.finalized();
            assert_eq!(ids(&c.take_final()), ["behind"]);
        }
    }

    #[test]
    fn the_end_of_the_input_completes_what_is_under_way_or_replaces_it() {
        let mut c = coordinator();
        let id = c.trigger();
        c.source_snapshot(id, SOURCE, vec![]);
        c.operator_stored(id, OPERATOR, part());
        c.task_ended(SOURCE);
        c.task_ended(OPERATOR);
        c.sink_prepared(None, SINK, vec![committable("end")], vec![]);
        assert!(c.sinks_ended() && c.sources_ended());
        let last = c.take_final();
        assert_eq!(last.checkpoint, Some(CheckpointId(8)));
        assert_eq!(ids(&last), ["end"]);
        assert_eq!(last.ended_sources, [NodeId(0)].into());
        assert!(last.ended_operators.is_empty() == last.operators.contains_key(&OPERATOR));
        assert!(!c.can_trigger());
    }
}
