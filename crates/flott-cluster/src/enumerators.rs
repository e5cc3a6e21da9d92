//! The enumerators of a job, and what they want done.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use flott_connector::Versioned;
use flott_connector::source::{
    CallOutput, ENUMERATOR_CALLS_MAX, EnumeratorAction, EnumeratorContext, SourceSplit, SplitEnumerator,
};
use flott_core::clock::Clock;
use flott_core::{DecidedCheckpoint, Error, Result};
use flott_graph::{JobGraph, NodeId, OperatorSpec};
use flott_runtime::api::{SplitState, TaskCommand};
use flott_runtime::panicked;
use flott_state::manifest::Manifest;
use tokio::task::JoinSet;

use crate::finalize::versioned;

/// The longest that an attempt waits for what its enumerators begin at their start: a wrong path is then told before
/// anything runs. What takes longer goes on beside the job.
const FIRST_CALLS_PATIENCE: Duration = Duration::from_secs(2);

struct Slot {
    /// In checkpoints.
    uid: String,
    /// The table's name.
    table: String,
    enumerator: Box<dyn SplitEnumerator>,
    context: EnumeratorContext,
    discovery: Option<Duration>,
    next_discovery: Duration,
    /// Splits of the restored checkpoint, for the readers that will register.
    restored: BTreeMap<usize, Vec<SplitState>>,
    /// Splits of the restored checkpoint that the enumerator is to assign anew.
    returned: Vec<SourceSplit>,
    /// The event time of those, by split.
    returned_watermarks: HashMap<String, i64>,
    /// Work that is under way.
    calls: usize,
}

impl Slot {
    /// Every call of an enumerator. A panic in it is an error of the attempt.
    fn call<T>(
        &mut self,
        work: impl FnOnce(&mut dyn SplitEnumerator, &mut EnumeratorContext) -> Result<T>,
    ) -> Result<T> {
        let Slot { table, enumerator, context, .. } = self;
        unless_panic(table, || work(enumerator.as_mut(), context))
    }
}

fn unless_panic<T>(table: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(panicked("an enumerator", panic.as_ref()).with("table", table)))
}

/// Work of an enumerator that is done.
pub type Called = (NodeId, CallOutput);

/// All enumerators of a job.
pub struct Enumerators {
    slots: BTreeMap<NodeId, Slot>,
    /// Dropped with the attempt: work that is under way ends then.
    calls: JoinSet<Called>,
    /// What tells the outside of decided checkpoints.
    acknowledgements: JoinSet<()>,
}

/// Whether the sources of a job can begin, or go on from a checkpoint: what they list is thrown away.
///
/// # Errors
/// What a start of the job would fail with: a folder that is missing, a broker that refuses.
pub async fn check_sources(
    graph: &JobGraph,
    parallelism: usize,
    manifest: Option<&Manifest>,
    clock: &dyn Clock,
) -> Result<()> {
    Enumerators::create(graph, parallelism, manifest)?.start(clock.monotonic()).await.map(drop)
}

impl Enumerators {
    /// New ones, or from a checkpoint. A checkpoint's splits go to readers in turn, whatever the parallelism was.
    pub fn create(graph: &JobGraph, parallelism: usize, manifest: Option<&Manifest>) -> Result<Enumerators> {
        let mut slots = BTreeMap::new();
        for (id, node) in graph.sources() {
            let OperatorSpec::Source(spec) = &node.spec else { continue };
            let readers = spec.parallelism.or(node.parallelism).unwrap_or(parallelism).clamp(1, parallelism);
            let stored = manifest.and_then(|m| m.sources.get(&node.uid));
            let state = stored.and_then(|s| s.enumerator.as_ref()).map(versioned);
            let mut restored: BTreeMap<usize, Vec<SplitState>> = BTreeMap::new();
            let (mut returned, mut returned_watermarks) = (vec![], HashMap::new());
            for (i, stored) in stored.iter().flat_map(|s| &s.splits).enumerate() {
                let (split, watermark_ms) =
                    (SourceSplit { id: stored.id.clone(), data: versioned(&stored.data) }, stored.watermark_ms);
                if spec.source.reassigns_splits_on_recovery() {
                    returned_watermarks.insert(split.id.clone(), watermark_ms);
                    returned.push(split);
                } else {
                    restored.entry(i % readers).or_default().push(SplitState { split, watermark_ms });
                }
            }
            let table = spec.table.object.clone();
            let created = unless_panic(&table, || {
                let enumerator = spec.source.create_enumerator(state)?;
                let discovery = enumerator.discovery_interval();
                Ok((enumerator, discovery))
            });
            let (enumerator, discovery) = created.map_err(|e| e.with("table", &table))?;
            let context = EnumeratorContext { parallelism: readers, load: vec![0; readers], ..Default::default() };
            slots.insert(
                id,
                Slot {
                    uid: node.uid.clone(),
                    table,
                    enumerator,
                    context,
                    discovery,
                    next_discovery: Duration::ZERO,
                    restored,
                    returned,
                    returned_watermarks,
                    calls: 0,
                },
            );
        }
        Ok(Enumerators { slots, calls: JoinSet::new(), acknowledgements: JoinSet::new() })
    }

    /// First listings, and what they find within a little time.
    pub async fn start(&mut self, now: Duration) -> Result<Vec<TaskCommand>> {
        let mut commands = vec![];
        let nodes: Vec<NodeId> = self.slots.keys().copied().collect();
        for node in nodes {
            let Some(slot) = self.slots.get_mut(&node) else { continue };
            slot.call(|e, context| e.start(context))?;
            slot.next_discovery = now + slot.discovery.unwrap_or_default();
            let returned = std::mem::take(&mut slot.returned);
            if !returned.is_empty() {
                slot.call(|e, context| e.add_splits_back(returned, context))?;
            }
            commands.extend(self.take(node)?);
        }
        let first = async {
            while !self.calls.is_empty() {
                let called = self.next_call().await?;
                commands.extend(self.called(called)?);
            }
            Ok::<(), Error>(())
        };
        // A time-out is no failure: the job's loop goes on with what is under way.
        tokio::time::timeout(FIRST_CALLS_PATIENCE, first).await.unwrap_or(Ok(()))?;
        Ok(commands)
    }

    /// The next work that is done; waits for ever where none is under way. Nothing is lost where the future is dropped.
    pub async fn next_call(&mut self) -> Result<Called> {
        match self.calls.join_next().await {
            Some(Ok(called)) => Ok(called),
            Some(Err(e)) => Err(Error::internal("work of an enumerator ended early").caused_by(e)),
            None => std::future::pending().await,
        }
    }

    /// Hands work that is done to the enumerator that began it.
    pub fn called(&mut self, (node, output): Called) -> Result<Vec<TaskCommand>> {
        let Some(slot) = self.slots.get_mut(&node) else { return Ok(vec![]) };
        slot.calls = slot.calls.saturating_sub(1);
        slot.call(|e, context| e.handle_call(output, context))?;
        self.take(node)
    }

    /// What a call of an enumerator wants done: work is begun, the rest is for the readers.
    fn take(&mut self, node: NodeId) -> Result<Vec<TaskCommand>> {
        let acknowledgements_max = ENUMERATOR_CALLS_MAX * self.slots.len();
        let Some(slot) = self.slots.get_mut(&node) else { return Ok(vec![]) };
        for call in std::mem::take(&mut slot.context.calls) {
            if slot.calls >= ENUMERATOR_CALLS_MAX {
                return Err(Error::internal(format!(
                    "an enumerator has more than {ENUMERATOR_CALLS_MAX} calls under way"
                )));
            }
            slot.calls += 1;
            self.calls.spawn(async move { (node, call.run().await) });
        }
        for work in std::mem::take(&mut slot.context.acknowledgements) {
            while self.acknowledgements.try_join_next().is_some() {}
            if self.acknowledgements.len() >= acknowledgements_max {
                // Nothing of the job depends on them, and the next one says more.
                tracing::warn!("more than {acknowledgements_max} acknowledgements are under way: one is left out");
                continue;
            }
            self.acknowledgements.spawn(async move { drop(work.run().await) });
        }
        Ok(take_actions(node, slot))
    }

    /// A reader is there: it gets its restored splits first. One that has got nothing by then asks for splits, as
    /// Flink's readers do when they start.
    pub fn reader_registered(&mut self, node: NodeId, reader: usize) -> Result<Vec<TaskCommand>> {
        let Some(slot) = self.slots.get_mut(&node) else { return Ok(vec![]) };
        let mut commands = vec![];
        if let Some(splits) = slot.restored.remove(&reader) {
            if let Some(load) = slot.context.load.get_mut(reader) {
                *load += splits.len();
            }
            commands.push(TaskCommand::AssignSplits { node, subtask: reader, splits });
        }
        slot.context.readers.push(reader);
        slot.context.readers.sort_unstable();
        slot.call(|e, context| e.add_reader(reader, context))?;
        commands.extend(take_actions(node, slot));
        if !commands.iter().any(|c| is_for(c, reader)) {
            slot.call(|e, context| e.handle_split_request(reader, context))?;
        }
        commands.extend(self.take(node)?);
        Ok(commands)
    }

    /// A reader has nothing to read.
    pub fn split_request(&mut self, node: NodeId, reader: usize) -> Result<Vec<TaskCommand>> {
        let Some(slot) = self.slots.get_mut(&node) else { return Ok(vec![]) };
        if let Some(load) = slot.context.load.get_mut(reader) {
            *load = 0;
        }
        slot.call(|e, context| e.handle_split_request(reader, context))?;
        self.take(node)
    }

    /// A connector's own event.
    pub fn source_event(&mut self, node: NodeId, reader: usize, event: Versioned) -> Result<Vec<TaskCommand>> {
        let Some(slot) = self.slots.get_mut(&node) else { return Ok(vec![]) };
        slot.call(|e, context| e.handle_source_event(reader, event, context))?;
        self.take(node)
    }

    /// When the next discovery is due.
    pub fn next_discovery(&self) -> Option<Duration> {
        self.slots.values().filter(|s| s.discovery.is_some()).map(|s| s.next_discovery).min()
    }

    /// Begins the discoveries that are due.
    pub fn discover(&mut self, now: Duration) -> Result<Vec<TaskCommand>> {
        self.for_each(|slot| match slot.discovery {
            Some(interval) if slot.next_discovery <= now => {
                slot.next_discovery = now + interval;
                slot.call(|e, context| e.discover(context))
            }
            _ => Ok(()),
        })
    }

    fn for_each(&mut self, mut call: impl FnMut(&mut Slot) -> Result<()>) -> Result<Vec<TaskCommand>> {
        let mut commands = vec![];
        let nodes: Vec<NodeId> = self.slots.keys().copied().collect();
        for node in nodes {
            if let Some(slot) = self.slots.get_mut(&node) {
                call(slot)?;
            }
            commands.extend(self.take(node)?);
        }
        Ok(commands)
    }

    /// States at a checkpoint. Splits of a restored checkpoint whose readers are not there yet would be in neither
    /// state, so there is no snapshot before all have registered.
    pub fn snapshot(&mut self, checkpoint: flott_core::CheckpointId) -> Result<BTreeMap<NodeId, Versioned>> {
        self.slots.iter_mut().map(|(node, s)| Ok((*node, s.call(|e, _| e.snapshot_state(checkpoint))?))).collect()
    }

    /// Whether all restored splits are with their readers.
    pub fn is_settled(&self) -> bool {
        self.slots.values().all(|s| s.restored.is_empty())
    }

    /// A checkpoint is decided, and this is in it.
    pub fn checkpoint_complete(
        &mut self,
        decided: &DecidedCheckpoint,
        manifest: &Manifest,
    ) -> Result<Vec<TaskCommand>> {
        self.for_each(|slot| {
            let stored = manifest.sources.get(&slot.uid).map_or(&[][..], |s| &s.splits);
            let splits: Vec<SourceSplit> =
                stored.iter().map(|s| SourceSplit { id: s.id.clone(), data: versioned(&s.data) }).collect();
            slot.call(|e, context| e.notify_checkpoint_complete(decided, &splits, context))
        })
    }

    /// Waits until the outside has been told of all checkpoints.
    pub async fn acknowledged(&mut self) {
        while self.acknowledgements.join_next().await.is_some() {}
    }

    /// A checkpoint came to nothing.
    pub fn checkpoint_aborted(&mut self, checkpoint: flott_core::CheckpointId) -> Result<Vec<TaskCommand>> {
        self.for_each(|slot| slot.call(|e, context| e.notify_checkpoint_aborted(checkpoint, context)))
    }
}

fn is_for(command: &TaskCommand, reader: usize) -> bool {
    matches!(command, TaskCommand::AssignSplits { subtask, .. } | TaskCommand::NoMoreSplits { subtask, .. } if *subtask == reader)
}

fn take_actions(node: NodeId, slot: &mut Slot) -> Vec<TaskCommand> {
    let watermarks = &mut slot.returned_watermarks;
    let mut positioned = |split: SourceSplit| {
        let watermark_ms = watermarks.remove(&split.id).unwrap_or(i64::MIN);
        SplitState { split, watermark_ms }
    };
    std::mem::take(&mut slot.context.actions)
        .into_iter()
        .map(|action| match action {
            EnumeratorAction::Assign { reader, splits } => TaskCommand::AssignSplits {
                node,
                subtask: reader,
                splits: splits.into_iter().map(&mut positioned).collect(),
            },
            EnumeratorAction::NoMoreSplits { reader } => TaskCommand::NoMoreSplits { node, subtask: reader },
            EnumeratorAction::SendEvent { reader, event } => TaskCommand::SourceEvent { node, subtask: reader, event },
        })
        .collect()
}
