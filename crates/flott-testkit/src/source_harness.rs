//! Runs a source as the runtime would, one step at a time: enumerator, readers, checkpoint, restore.

use std::collections::BTreeMap;
use std::sync::Arc;

use flott_connector::Versioned;
use flott_connector::source::{
    EnumeratorAction, EnumeratorContext, ReaderEvent, Source, SourceReader, SourceSplit, SplitEnumerator, SubtaskInfo,
};
use flott_core::{ChangeBatch, CheckpointId, DecidedCheckpoint, Result};

/// Steps of one [`SourceHarness::run_to_end`] at most: a source that makes no progress fails its test.
const STEPS_MAX: usize = 10_000_000;

/// Runs the work that a call of an enumerator has begun, one after another, until there is none; `done` is what the call
/// itself gave. A job does this beside its loop; a test can wait for it.
pub async fn settle(
    done: Result<()>,
    enumerator: &mut dyn SplitEnumerator,
    context: &mut EnumeratorContext,
) -> Result<()> {
    done?;
    while !context.calls.is_empty() {
        for call in std::mem::take(&mut context.calls) {
            let output = call.run().await;
            enumerator.handle_call(output, context)?;
        }
    }
    Ok(())
}

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
    /// It is new or said [`ReaderEvent::NeedSplits`], and has got nothing since.
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
    /// Starts a source, new or from a checkpoint (with any parallelism). A checkpoint's splits go straight to the readers
    /// in turn, and each reader registers with those that it has: the enumerator never sees them.
    pub async fn start(
        source: &Arc<dyn Source>,
        parallelism: usize,
        restored: Option<SourceCheckpoint>,
    ) -> Result<SourceHarness> {
        let (state, splits) = restored.map_or((None, vec![]), |c| (Some(c.enumerator), c.splits));
        let mut held: Vec<Vec<SourceSplit>> = vec![vec![]; parallelism];
        for (i, split) in splits.into_iter().enumerate() {
            held[i % parallelism].push(split);
        }
        let mut harness = SourceHarness::new(source, parallelism, state).await?;
        for (index, splits) in held.into_iter().enumerate() {
            harness.register(source, index, splits).await?;
        }
        Ok(harness)
    }

    /// Like [`SourceHarness::start`] from a checkpoint, but all its splits go back to the enumerator, as those of readers
    /// that are gone.
    pub async fn start_with_splits_back(
        source: &Arc<dyn Source>,
        parallelism: usize,
        restored: SourceCheckpoint,
    ) -> Result<SourceHarness> {
        let mut harness = SourceHarness::new(source, parallelism, Some(restored.enumerator)).await?;
        let done = harness.enumerator.add_splits_back(restored.splits, &mut harness.context);
        harness.settle(done).await?;
        for index in 0..parallelism {
            harness.register(source, index, vec![]).await?;
        }
        Ok(harness)
    }

    /// An enumerator without readers.
    async fn new(source: &Arc<dyn Source>, parallelism: usize, state: Option<Versioned>) -> Result<SourceHarness> {
        let mut harness = SourceHarness {
            enumerator: source.create_enumerator(state)?,
            slots: vec![],
            context: EnumeratorContext { parallelism, load: vec![0; parallelism], ..EnumeratorContext::default() },
            positions: BTreeMap::new(),
            checkpoint: 0,
        };
        let done = harness.enumerator.start(&mut harness.context);
        harness.settle(done).await?;
        Ok(harness)
    }

    /// A new reader. One that has got nothing by then asks for splits.
    async fn register(&mut self, source: &Arc<dyn Source>, index: usize, splits: Vec<SourceSplit>) -> Result<()> {
        let mut reader = source.create_reader(SubtaskInfo { index, parallelism: self.context.parallelism })?;
        reader.start().await?;
        self.slots.push(Slot { reader, waiting: true, ended: false });
        if !splits.is_empty() {
            self.context.load[index] += splits.len();
            self.hand_over(index, splits)?;
        }
        self.context.readers.push(index);
        let done = self.enumerator.add_reader(index, &mut self.context);
        self.settle(done).await?;
        if self.slots[index].waiting {
            let done = self.enumerator.handle_split_request(index, &mut self.context);
            self.settle(done).await?;
        }
        Ok(())
    }

    fn hand_over(&mut self, reader: usize, splits: Vec<SourceSplit>) -> Result<()> {
        for split in &splits {
            self.positions.insert(split.id.clone(), split.data.clone());
        }
        let slot = &mut self.slots[reader];
        slot.waiting = false;
        slot.reader.add_splits(splits)
    }

    /// Does what a call of the enumerator has asked for, and waits for the work that it has begun.
    async fn settle(&mut self, done: Result<()>) -> Result<()> {
        settle(done, self.enumerator.as_mut(), &mut self.context).await?;
        self.act()
    }

    fn act(&mut self) -> Result<()> {
        for action in std::mem::take(&mut self.context.actions) {
            match action {
                EnumeratorAction::Assign { reader, splits } => self.hand_over(reader, splits)?,
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
                self.context.load[reader] = 0;
                let done = self.enumerator.handle_split_request(reader, &mut self.context);
                self.settle(done).await?;
            }
            ReaderEvent::Event(event) => {
                let done = self.enumerator.handle_source_event(reader, event, &mut self.context);
                self.settle(done).await?;
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

    /// Tells the enumerator that a checkpoint is decided, and waits until it has told the outside.
    pub async fn complete(&mut self, decided: &DecidedCheckpoint, checkpoint: &SourceCheckpoint) -> Result<()> {
        let done = self.enumerator.notify_checkpoint_complete(decided, &checkpoint.splits, &mut self.context);
        self.settle(done).await?;
        for work in std::mem::take(&mut self.context.acknowledgements) {
            drop(work.run().await);
        }
        Ok(())
    }

    /// The reader of one subtask, for calls that the harness does not make.
    pub fn reader(&mut self, subtask: usize) -> &mut dyn SourceReader {
        self.slots[subtask].reader.as_mut()
    }
}
