//! A data set of several splits that a test may append to while a job reads it: option `splits` of `values`.
//!
//! Split `i` belongs to reader `i` modulo the parallelism, before and after a restore: the enumerator gets all splits back
//! and assigns them anew. A position is the number of the next row in its split.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use flott_connector::factory::TableContext;
use flott_connector::source::{
    EnumeratorContext, ReaderEvent, Source, SourceBatch, SourceReader, SourceSplit, SplitEnumerator, SubtaskInfo,
};
use flott_connector::{Boundedness, Versioned};
use flott_core::{ChangeBatch, CheckpointId, Error, Result};

use super::store::ValuesStore;
use super::{available_columns, project};

const VERSION: u32 = 1;
/// Bytes of a split in the enumerator's state: its number and its next row.
const ENTRY_BYTES: usize = 12;

pub(super) struct SplitLogSource {
    pub(super) context: Arc<TableContext>,
    pub(super) store: ValuesStore,
    pub(super) name: String,
    pub(super) splits: u32,
    pub(super) stays_open: bool,
}

impl Source for SplitLogSource {
    fn boundedness(&self) -> Boundedness {
        if self.stays_open { Boundedness::ContinuousUnbounded } else { Boundedness::Bounded }
    }

    fn create_enumerator(&self, restored: Option<Versioned>) -> Result<Box<dyn SplitEnumerator>> {
        let pending = match restored {
            None => (0..self.splits).map(|split| Place { split, next: 0 }).collect(),
            Some(state) => places(&state)?,
        };
        Ok(Box::new(SplitLogEnumerator { pending, readers: BTreeSet::new(), stays_open: self.stays_open }))
    }

    fn create_reader(&self, _subtask: SubtaskInfo) -> Result<Box<dyn SourceReader>> {
        Ok(Box::new(SplitLogReader {
            context: Arc::clone(&self.context),
            store: self.store.clone(),
            name: self.name.clone(),
            stays_open: self.stays_open,
            places: vec![],
            turn: 0,
            paused: BTreeSet::new(),
            no_more: false,
        }))
    }

    fn reassigns_splits_on_recovery(&self) -> bool {
        true
    }
}

/// A split and the number of its next row.
#[derive(Debug, Clone, Copy)]
struct Place {
    split: u32,
    next: u64,
}

impl Place {
    fn id(self) -> String {
        format!("split-{}", self.split)
    }

    fn position(self) -> Versioned {
        Versioned::new(VERSION, encode(&[self]))
    }

    fn to_split(self) -> SourceSplit {
        SourceSplit { id: self.id(), data: self.position() }
    }
}

fn encode(places: &[Place]) -> Vec<u8> {
    places.iter().flat_map(|p| p.split.to_le_bytes().into_iter().chain(p.next.to_le_bytes())).collect()
}

fn places(state: &Versioned) -> Result<Vec<Place>> {
    let damaged = || Error::user("a position in 'values' cannot be read").hint("Restore with the build that wrote it");
    let entry = |bytes: &[u8]| {
        let (split, next) = bytes.split_first_chunk::<4>()?;
        let (next, []) = next.split_first_chunk::<8>()? else { return None };
        Some(Place { split: u32::from_le_bytes(*split), next: u64::from_le_bytes(*next) })
    };
    if state.version != VERSION {
        return Err(damaged());
    }
    state.bytes.chunks(ENTRY_BYTES).map(|bytes| entry(bytes).ok_or_else(damaged)).collect()
}

struct SplitLogEnumerator {
    pending: Vec<Place>,
    readers: BTreeSet<usize>,
    stays_open: bool,
}

impl SplitLogEnumerator {
    fn assign(&mut self, context: &mut EnumeratorContext) {
        for reader in &self.readers {
            let is_mine = |p: &Place| p.split as usize % context.parallelism.max(1) == *reader;
            let (mine, rest): (Vec<Place>, Vec<Place>) = self.pending.drain(..).partition(is_mine);
            self.pending = rest;
            if !mine.is_empty() {
                context.assign(*reader, mine.into_iter().map(Place::to_split).collect());
            }
        }
    }
}

impl SplitEnumerator for SplitLogEnumerator {
    fn start(&mut self, _context: &mut EnumeratorContext) -> Result<()> {
        Ok(())
    }

    fn add_reader(&mut self, reader: usize, context: &mut EnumeratorContext) -> Result<()> {
        self.readers.insert(reader);
        self.assign(context);
        Ok(())
    }

    fn handle_split_request(&mut self, reader: usize, context: &mut EnumeratorContext) -> Result<()> {
        if !self.stays_open {
            context.no_more_splits(reader);
        }
        Ok(())
    }

    fn add_splits_back(&mut self, splits: Vec<SourceSplit>, context: &mut EnumeratorContext) -> Result<()> {
        for split in splits {
            self.pending.extend(places(&split.data)?);
        }
        self.assign(context);
        Ok(())
    }

    fn snapshot_state(&mut self, _checkpoint: CheckpointId) -> Result<Versioned> {
        Ok(Versioned::new(VERSION, encode(&self.pending)))
    }
}

struct SplitLogReader {
    context: Arc<TableContext>,
    store: ValuesStore,
    name: String,
    stays_open: bool,
    places: Vec<Place>,
    /// The split whose turn it is.
    turn: usize,
    paused: BTreeSet<String>,
    no_more: bool,
}

impl SplitLogReader {
    /// The next rows of any split that has some and is not paused.
    fn next_rows(&mut self) -> Result<Option<ReaderEvent>> {
        for _ in 0..self.places.len() {
            self.turn = (self.turn + 1) % self.places.len();
            let place = self.places[self.turn];
            if self.paused.contains(&place.id()) {
                continue;
            }
            let rows = self.store.log_rows(&self.name, place.split, place.next)?;
            let count = rows.as_ref().map_or(0, ChangeBatch::num_rows).min(self.store.rows_per_batch());
            if let Some(rows) = rows.filter(|_| count > 0) {
                let rows = project(&self.context, &available_columns(&self.context)?, rows.slice(0, count))?;
                let next = Place { next: place.next + count as u64, ..place };
                self.places[self.turn] = next;
                return Ok(Some(ReaderEvent::Batch(SourceBatch {
                    split: next.id(),
                    rows,
                    position: next.position(),
                    watermark: None,
                    skipped: 0,
                    dead_letters: None,
                })));
            }
            if !self.stays_open {
                self.places.remove(self.turn);
                return Ok(Some(ReaderEvent::SplitFinished { split: place.id() }));
            }
        }
        Ok(None)
    }
}

#[async_trait]
impl SourceReader for SplitLogReader {
    fn add_splits(&mut self, splits: Vec<SourceSplit>) -> Result<()> {
        for split in splits {
            self.places.extend(places(&split.data)?);
        }
        Ok(())
    }

    fn no_more_splits(&mut self) {
        self.no_more = true;
    }

    async fn next(&mut self) -> Result<ReaderEvent> {
        let store = self.store.clone();
        loop {
            if self.places.is_empty() {
                return Ok(if self.no_more { ReaderEvent::EndOfInput } else { ReaderEvent::NeedSplits });
            }
            let changed = store.changed();
            tokio::pin!(changed);
            // Registered before the look, so that no change in between is missed.
            changed.as_mut().enable();
            if let Some(event) = self.next_rows()? {
                return Ok(event);
            }
            changed.await;
        }
    }

    fn pending_records(&self) -> Option<u64> {
        Some(self.places.iter().map(|p| self.store.log_len(&self.name, p.split).saturating_sub(p.next)).sum())
    }

    fn pause_or_resume_splits(&mut self, pause: &[String], resume: &[String]) {
        self.paused.extend(pause.iter().cloned());
        for split in resume {
            self.paused.remove(split);
        }
    }
}
