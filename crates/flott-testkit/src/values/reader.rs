//! The source of `values`: one split, in order; the position is the number of the next row.
//!
//! Where rows are handed over one by one, the sources of a job take turns: Flink's tasks read their inputs in turn, and
//! which row is late in a join of two tables depends on it.

use async_trait::async_trait;
use flott_connector::source::{
    EnumeratorContext, ReaderEvent, Source, SourceBatch, SourceReader, SourceSplit, SplitEnumerator, SubtaskInfo,
};
use flott_connector::{Boundedness, Versioned};
use flott_core::{ChangeBatch, CheckpointId, DecidedCheckpoint, Error, Result};

use super::store::{Phase, ValuesStore};

const SPLIT_ID: &str = "values";
const VERSION: u32 = 1;

/// A data set as columns; the first `before` rows belong to [`Phase::Before`].
#[derive(Debug, Clone)]
pub(super) struct Loaded {
    pub(super) rows: ChangeBatch,
    pub(super) before: usize,
}

pub(super) struct ValuesSource {
    pub(super) rows: Loaded,
    pub(super) store: ValuesStore,
    pub(super) name: String,
    pub(super) stays_open: bool,
    pub(super) fails: bool,
    /// Its number among the sources that take turns.
    pub(super) reader: u64,
}

impl Source for ValuesSource {
    fn boundedness(&self) -> Boundedness {
        if self.stays_open { Boundedness::ContinuousUnbounded } else { Boundedness::Bounded }
    }

    fn create_enumerator(&self, restored: Option<Versioned>) -> Result<Box<dyn SplitEnumerator>> {
        let pending = match restored {
            None => vec![split(0)],
            Some(state) if state.bytes.is_empty() => vec![],
            Some(state) => vec![SourceSplit { id: SPLIT_ID.to_string(), data: state }],
        };
        if !pending.is_empty() {
            // Before any of the job's readers gives a row.
            self.store.begin_turns(self.reader);
        }
        let (store, reader) = (self.store.clone(), self.reader);
        Ok(Box::new(ValuesEnumerator { pending, readers: vec![], store, reader }))
    }

    fn create_reader(&self, _subtask: SubtaskInfo) -> Result<Box<dyn SourceReader>> {
        let before = self.store.phase() == Phase::Before;
        self.store.begin_turns(self.reader);
        let pauses = self.store.phase() == Phase::Steps;
        Ok(Box::new(ValuesReader {
            pause: pauses.then_some(self.rows.before),
            rows: self.rows.rows.clone(),
            end: if before { self.rows.before } else { self.rows.rows.num_rows() },
            stays_open: self.stays_open || before,
            store: self.store.clone(),
            name: self.name.clone(),
            fails: self.fails,
            checkpointed: false,
            next: None,
            reader: self.reader,
            no_more_splits: false,
        }))
    }
}

fn split(next: usize) -> SourceSplit {
    SourceSplit { id: SPLIT_ID.to_string(), data: position(next) }
}

fn position(next: usize) -> Versioned {
    Versioned::new(VERSION, (next as u64).to_le_bytes().to_vec())
}

struct ValuesEnumerator {
    pending: Vec<SourceSplit>,
    readers: Vec<usize>,
    store: ValuesStore,
    reader: u64,
}

impl Drop for ValuesEnumerator {
    fn drop(&mut self) {
        self.store.end_turns(self.reader);
    }
}

impl ValuesEnumerator {
    fn assign(&mut self, context: &mut EnumeratorContext) {
        if let (Some(reader), false) = (self.readers.first(), self.pending.is_empty()) {
            context.assign(*reader, std::mem::take(&mut self.pending));
        }
    }
}

impl SplitEnumerator for ValuesEnumerator {
    fn start(&mut self, _context: &mut EnumeratorContext) -> Result<()> {
        Ok(())
    }

    fn add_reader(&mut self, reader: usize, context: &mut EnumeratorContext) -> Result<()> {
        self.readers.push(reader);
        self.assign(context);
        Ok(())
    }

    fn handle_split_request(&mut self, reader: usize, context: &mut EnumeratorContext) -> Result<()> {
        context.no_more_splits(reader);
        Ok(())
    }

    fn add_splits_back(&mut self, splits: Vec<SourceSplit>, context: &mut EnumeratorContext) -> Result<()> {
        self.pending.extend(splits);
        self.assign(context);
        Ok(())
    }

    fn snapshot_state(&mut self, _checkpoint: CheckpointId) -> Result<Versioned> {
        Ok(self.pending.first().map_or(Versioned::new(VERSION, vec![]), |s| s.data.clone()))
    }
}

struct ValuesReader {
    rows: ChangeBatch,
    /// Where it waits for the second step.
    pause: Option<usize>,
    end: usize,
    stays_open: bool,
    store: ValuesStore,
    name: String,
    fails: bool,
    /// A checkpoint has been decided since the start.
    checkpointed: bool,
    /// Number of the next row, while it holds the split.
    next: Option<usize>,
    /// Its number among those that take turns.
    reader: u64,
    no_more_splits: bool,
}

impl ValuesReader {
    /// Nothing to give for now: nobody waits for it.
    fn leave_turns(&self) {
        self.store.end_turns(self.reader);
    }
}

impl Drop for ValuesReader {
    fn drop(&mut self) {
        self.leave_turns();
    }
}

#[async_trait]
impl SourceReader for ValuesReader {
    fn add_splits(&mut self, splits: Vec<SourceSplit>) -> Result<()> {
        for split in splits {
            let bytes: Option<[u8; 8]> = split.data.bytes.as_ref().try_into().ok();
            let next = bytes.filter(|_| split.data.version == VERSION).map(u64::from_le_bytes);
            let next = next.and_then(|n| usize::try_from(n).ok()).filter(|n| *n <= self.rows.num_rows());
            self.store.begin_turns(self.reader);
            self.next = Some(next.ok_or_else(|| {
                Error::user(format!("the position in '{}' lies behind its rows", self.name))
                    .hint("Register the same rows as before the savepoint, and more after them")
            })?);
        }
        Ok(())
    }

    fn no_more_splits(&mut self) {
        self.no_more_splits = true;
    }

    async fn next(&mut self) -> Result<ReaderEvent> {
        let Some(next) = self.next else {
            self.leave_turns();
            return Ok(if self.no_more_splits { ReaderEvent::EndOfInput } else { ReaderEvent::NeedSplits });
        };
        let mut end = self.end;
        if self.fails && !self.store.has_failed(&self.name) {
            end = self.end / 2;
            if next >= end {
                if !self.checkpointed {
                    self.leave_turns();
                    // The runtime drops this wait to tell of a checkpoint.
                    return std::future::pending().await;
                }
                self.store.fail_once(&self.name);
                return Err(Error::unavailable(format!("the source of '{}' fails once, as asked", self.name)));
            }
        }
        if self.pause == Some(next) {
            self.leave_turns();
        }
        while self.pause == Some(next) && next < end {
            let changed = self.store.changed();
            tokio::pin!(changed);
            // Registered before the look, so that no change in between is missed.
            changed.as_mut().enable();
            if self.store.shows_all() {
                self.pause = None;
                self.store.begin_turns(self.reader);
                break;
            }
            changed.await;
        }
        if next >= end {
            self.leave_turns();
            if self.stays_open {
                return std::future::pending().await;
            }
            loop {
                let changed = self.store.changed();
                tokio::pin!(changed);
                // Registered before the look, so that no change in between is missed.
                changed.as_mut().enable();
                if self.store.may_end() {
                    break;
                }
                changed.await;
            }
            self.next = None;
            return Ok(ReaderEvent::SplitFinished { split: SPLIT_ID.to_string() });
        }
        let len = self.store.rows_per_batch();
        if len == 1 {
            self.store.turn(self.reader).await;
            self.store.took_turn(self.reader);
        }
        let end = self.pause.filter(|pause| *pause > next).unwrap_or(end).min(end);
        let len = len.min(end - next);
        self.next = Some(next + len);
        Ok(ReaderEvent::Batch(SourceBatch {
            split: SPLIT_ID.to_string(),
            rows: self.rows.slice(next, len),
            position: position(next + len),
            watermark: None,
            skipped: 0,
            dead_letters: None,
        }))
    }

    async fn notify_checkpoint_complete(&mut self, _checkpoint: &DecidedCheckpoint) -> Result<()> {
        self.checkpointed = true;
        Ok(())
    }
}
