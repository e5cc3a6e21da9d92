//! Runs a source as the runtime would, one step at a time: enumerator, readers, checkpoint, restore.

use std::collections::BTreeMap;
use std::sync::Arc;

use flott_connector::Versioned;
use flott_connector::source::{
    EnumeratorAction, EnumeratorContext, ReaderEvent, Source, SourceReader, SourceSplit, SplitEnumerator, SubtaskInfo,
};
use flott_core::{ChangeBatch, CheckpointId, Result};

/// Steps of one [`SourceHarness::run_to_end`] at most: a source that makes no progress fails its test.
const STEPS_MAX: usize = 10_000_000;

/// What a checkpoint holds of a source.
#[derive(Debug, Clone)]
pub struct SourceCheckpoint {
    /// The enumerator's state.
    pub enumerator: Versioned,
    /// The positions of the splits that readers hold.
    pub splits: Vec<SourceSplit>,
}

struct Slot {
    reader: Box<dyn SourceReader>,
    /// It said [`ReaderEvent::NeedSplits`] and has got nothing since.
    waiting: bool,
    ended: bool,
}

/// One enumerator and its readers.
pub struct SourceHarness {
    enumerator: Box<dyn SplitEnumerator>,
    slots: Vec<Slot>,
    context: EnumeratorContext,
    positions: BTreeMap<String, Versioned>,
    checkpoint: u64,
}

impl SourceHarness {
    /// Starts a source, new or from a checkpoint (with any parallelism).
    pub async fn start(
        source: &Arc<dyn Source>,
        parallelism: usize,
        restored: Option<SourceCheckpoint>,
    ) -> Result<SourceHarness> {
        let (state, splits) = restored.map_or((None, vec![]), |c| (Some(c.enumerator), c.splits));
        let mut harness = SourceHarness {
            enumerator: source.create_enumerator(state)?,
            slots: vec![],
            context: EnumeratorContext { parallelism, load: vec![0; parallelism], ..EnumeratorContext::default() },
            positions: BTreeMap::new(),
            checkpoint: 0,
        };
        harness.enumerator.start(&mut harness.context).await?;
        if !splits.is_empty() {
            harness.enumerator.add_splits_back(splits, &mut harness.context).await?;
        }
        for index in 0..parallelism {
            let mut reader = source.create_reader(SubtaskInfo { index, parallelism })?;
            reader.start().await?;
            harness.slots.push(Slot { reader, waiting: false, ended: false });
            harness.context.readers.push(index);
            harness.enumerator.add_reader(index, &mut harness.context).await?;
            harness.act()?;
        }
        Ok(harness)
    }

    fn act(&mut self) -> Result<()> {
        for action in std::mem::take(&mut self.context.actions) {
            match action {
                EnumeratorAction::Assign { reader, splits } => {
                    for split in &splits {
                        self.positions.insert(split.id.clone(), split.data.clone());
                    }
                    let slot = &mut self.slots[reader];
                    slot.waiting = false;
                    slot.reader.add_splits(splits)?;
                }
                EnumeratorAction::NoMoreSplits { reader } => {
                    self.slots[reader].waiting = false;
                    self.slots[reader].reader.no_more_splits();
                }
                EnumeratorAction::SendEvent { reader, event } => {
                    self.slots[reader].reader.handle_source_event(event)?
                }
            }
        }
        Ok(())
    }

    /// One event of one reader: its rows, if it had any. Waits for as long as the reader does.
    pub async fn step(&mut self, reader: usize) -> Result<Option<ChangeBatch>> {
        if self.slots[reader].ended || self.slots[reader].waiting {
            return Ok(None);
        }
        match self.slots[reader].reader.next().await? {
            ReaderEvent::Batch(batch) => {
                self.positions.insert(batch.split, batch.position);
                return Ok(Some(batch.rows));
            }
            ReaderEvent::SplitFinished { split } => {
                self.positions.remove(&split);
                self.context.load[reader] = self.context.load[reader].saturating_sub(1);
            }
            ReaderEvent::NeedSplits => {
                self.slots[reader].waiting = true;
                self.enumerator.handle_split_request(reader, &mut self.context).await?;
                self.act()?;
            }
            ReaderEvent::Event(event) => {
                self.enumerator.handle_source_event(reader, event, &mut self.context).await?;
                self.act()?;
            }
            ReaderEvent::EndOfInput => self.slots[reader].ended = true,
        }
        Ok(None)
    }

    /// True when every reader has ended.
    pub fn ended(&self) -> bool {
        self.slots.iter().all(|s| s.ended)
    }

    /// All rows up to the end, readers taking turns.
    pub async fn run_to_end(&mut self) -> Result<Vec<ChangeBatch>> {
        let mut batches = vec![];
        for step in 0..STEPS_MAX {
            if self.ended() {
                break;
            }
            batches.extend(self.step(step % self.slots.len()).await?);
        }
        assert!(self.ended(), "the source did not end after {STEPS_MAX} steps");
        Ok(batches)
    }

    /// The state at a checkpoint of now.
    pub fn snapshot(&mut self) -> Result<SourceCheckpoint> {
        self.checkpoint += 1;
        Ok(SourceCheckpoint {
            enumerator: self.enumerator.snapshot_state(CheckpointId(self.checkpoint))?,
            splits: self
                .positions
                .iter()
                .map(|(id, data)| SourceSplit { id: id.clone(), data: data.clone() })
                .collect(),
        })
    }

    /// The reader of one subtask, for calls that the harness does not make.
    pub fn reader(&mut self, subtask: usize) -> &mut dyn SourceReader {
        self.slots[subtask].reader.as_mut()
    }
}
