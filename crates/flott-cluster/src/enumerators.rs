//! The enumerators of a job, and what they want done.

use std::collections::BTreeMap;
use std::time::Duration;

use flott_connector::Versioned;
use flott_connector::source::{EnumeratorAction, EnumeratorContext, SourceSplit, SplitEnumerator};
use flott_core::{DecidedCheckpoint, Result};
use flott_graph::{JobGraph, NodeId, OperatorSpec};
use flott_runtime::api::{SplitState, TaskCommand};
use flott_state::manifest::Manifest;

use crate::finalize::versioned;

struct Slot {
    enumerator: Box<dyn SplitEnumerator>,
    context: EnumeratorContext,
    discovery: Option<Duration>,
    next_discovery: Duration,
    /// Splits of the restored checkpoint, for the readers that will register.
    restored: BTreeMap<usize, Vec<SplitState>>,
}

/// All enumerators of a job.
pub struct Enumerators {
    slots: BTreeMap<NodeId, Slot>,
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
            for (i, split) in stored.iter().flat_map(|s| &s.splits).enumerate() {
                let split = SplitState {
                    split: SourceSplit { id: split.id.clone(), data: versioned(&split.data) },
                    watermark_ms: split.watermark_ms,
                };
                restored.entry(i % readers).or_default().push(split);
            }
            let enumerator = spec.source.create_enumerator(state).map_err(|e| e.with("table", &spec.table.object))?;
            let context = EnumeratorContext { parallelism: readers, load: vec![0; readers], ..Default::default() };
            let discovery = enumerator.discovery_interval();
            slots.insert(id, Slot { enumerator, context, discovery, next_discovery: Duration::ZERO, restored });
        }
        Ok(Enumerators { slots })
    }

    /// First listings.
    pub async fn start(&mut self, now: Duration) -> Result<Vec<TaskCommand>> {
        let mut commands = vec![];
        for (node, slot) in &mut self.slots {
            slot.enumerator.start(&mut slot.context).await?;
            slot.next_discovery = now + slot.discovery.unwrap_or_default();
            commands.extend(take_actions(*node, &mut slot.context));
        }
        Ok(commands)
    }

    /// A reader is there: it gets its restored splits first. One that has got nothing by then asks for splits, as
    /// Flink's readers do when they start.
    pub async fn reader_registered(&mut self, node: NodeId, reader: usize) -> Result<Vec<TaskCommand>> {
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
        slot.enumerator.add_reader(reader, &mut slot.context).await?;
        commands.extend(take_actions(node, &mut slot.context));
        if !commands.iter().any(|c| is_for(c, reader)) {
            slot.enumerator.handle_split_request(reader, &mut slot.context).await?;
            commands.extend(take_actions(node, &mut slot.context));
        }
        Ok(commands)
    }

    /// A reader has nothing to read.
    pub async fn split_request(&mut self, node: NodeId, reader: usize) -> Result<Vec<TaskCommand>> {
        let Some(slot) = self.slots.get_mut(&node) else { return Ok(vec![]) };
        if let Some(load) = slot.context.load.get_mut(reader) {
            *load = 0;
        }
        slot.enumerator.handle_split_request(reader, &mut slot.context).await?;
        Ok(take_actions(node, &mut slot.context))
    }

    /// A connector's own event.
    pub async fn source_event(&mut self, node: NodeId, reader: usize, event: Versioned) -> Result<Vec<TaskCommand>> {
        let Some(slot) = self.slots.get_mut(&node) else { return Ok(vec![]) };
        slot.enumerator.handle_source_event(reader, event, &mut slot.context).await?;
        Ok(take_actions(node, &mut slot.context))
    }

    /// When the next discovery is due.
    pub fn next_discovery(&self) -> Option<Duration> {
        self.slots.values().filter(|s| s.discovery.is_some()).map(|s| s.next_discovery).min()
    }

    /// Runs the discoveries that are due.
    pub async fn discover(&mut self, now: Duration) -> Result<Vec<TaskCommand>> {
        let mut commands = vec![];
        for (node, slot) in &mut self.slots {
            if let Some(interval) = slot.discovery
                && slot.next_discovery <= now
            {
                slot.enumerator.discover(&mut slot.context).await?;
                slot.next_discovery = now + interval;
                commands.extend(take_actions(*node, &mut slot.context));
            }
        }
        Ok(commands)
    }

    /// States at a checkpoint. Splits of a restored checkpoint whose readers are not there yet would be in neither
    /// state, so there is no snapshot before all have registered.
    pub fn snapshot(&mut self, checkpoint: flott_core::CheckpointId) -> Result<BTreeMap<NodeId, Versioned>> {
        self.slots.iter_mut().map(|(node, s)| Ok((*node, s.enumerator.snapshot_state(checkpoint)?))).collect()
    }

    /// Whether all restored splits are with their readers.
    pub fn is_settled(&self) -> bool {
        self.slots.values().all(|s| s.restored.is_empty())
    }

    /// A checkpoint is decided.
    pub async fn checkpoint_complete(&mut self, decided: &DecidedCheckpoint) -> Result<()> {
        for slot in self.slots.values_mut() {
            slot.enumerator.notify_checkpoint_complete(decided).await?;
        }
        Ok(())
    }

    /// A checkpoint came to nothing.
    pub async fn checkpoint_aborted(&mut self, checkpoint: flott_core::CheckpointId) -> Result<()> {
        for slot in self.slots.values_mut() {
            slot.enumerator.notify_checkpoint_aborted(checkpoint).await?;
        }
        Ok(())
    }
}

fn is_for(command: &TaskCommand, reader: usize) -> bool {
    matches!(command, TaskCommand::AssignSplits { subtask, .. } | TaskCommand::NoMoreSplits { subtask, .. } if *subtask == reader)
}

fn take_actions(node: NodeId, context: &mut EnumeratorContext) -> Vec<TaskCommand> {
    std::mem::take(&mut context.actions)
        .into_iter()
        .map(|action| match action {
            EnumeratorAction::Assign { reader, splits } => TaskCommand::AssignSplits {
                node,
                subtask: reader,
                splits: splits.into_iter().map(|split| SplitState { split, watermark_ms: i64::MIN }).collect(),
            },
            EnumeratorAction::NoMoreSplits { reader } => TaskCommand::NoMoreSplits { node, subtask: reader },
            EnumeratorAction::SendEvent { reader, event } => TaskCommand::SourceEvent { node, subtask: reader, event },
        })
        .collect()
}
