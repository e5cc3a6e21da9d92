//! Makes one split a reader, once, and hands splits to whoever reads after a restore.

use std::collections::BTreeSet;

use flott_connector::Versioned;
use flott_connector::source::{EnumeratorContext, SourceSplit, SplitEnumerator};
use flott_core::rng::Rng;
use flott_core::{CheckpointId, Error, Result};
use serde::{Deserialize, Serialize};

use super::split::DatagenSplit;

/// Version of the layout of [`State`]'s bytes (JSON).
const STATE_VERSION: u32 = 1;

#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    /// Splits have been made: a restored source makes no more.
    created: bool,
    /// Splits that no reader has.
    pending: Vec<DatagenSplit>,
}

pub(super) struct DatagenEnumerator {
    state: State,
    readers: BTreeSet<usize>,
}

impl DatagenEnumerator {
    pub(super) fn new(restored: Option<Versioned>) -> Result<DatagenEnumerator> {
        let state = match restored {
            None => State::default(),
            Some(Versioned { version: STATE_VERSION, bytes }) => serde_json::from_slice(&bytes)
                .map_err(|e| Error::internal("the enumerator state of datagen is damaged").caused_by(e))?,
            Some(other) => {
                return Err(Error::user(format!(
                    "the enumerator state of datagen has unknown layout {}",
                    other.version
                ))
                .hint("Restore with the version of Flott that wrote it, or a newer one"));
            }
        };
        Ok(DatagenEnumerator { state, readers: BTreeSet::new() })
    }

    /// Gives pending splits to their readers: split i to reader i, modulo the parallelism of now.
    fn assign(&mut self, context: &mut EnumeratorContext) -> Result<()> {
        let parallelism = context.parallelism.max(1) as u64;
        for reader in &self.readers {
            let (mine, rest): (Vec<DatagenSplit>, Vec<DatagenSplit>) =
                self.state.pending.drain(..).partition(|s| s.index % parallelism == *reader as u64);
            self.state.pending = rest;
            if !mine.is_empty() {
                let splits = mine.into_iter().map(DatagenSplit::to_source_split).collect::<Result<_>>()?;
                context.assign(*reader, splits);
            }
        }
        Ok(())
    }
}

impl SplitEnumerator for DatagenEnumerator {
    fn start(&mut self, context: &mut EnumeratorContext) -> Result<()> {
        if !self.state.created {
            let seed = Rng::from_entropy().next_u64();
            let stride = context.parallelism.max(1) as u64;
            self.state.pending = (0..stride).map(|index| DatagenSplit { index, stride, next: index, seed }).collect();
            self.state.created = true;
        }
        Ok(())
    }

    fn add_reader(&mut self, reader: usize, context: &mut EnumeratorContext) -> Result<()> {
        self.readers.insert(reader);
        self.assign(context)
    }

    fn handle_split_request(&mut self, reader: usize, context: &mut EnumeratorContext) -> Result<()> {
        // A reader gets its splits when it registers; one that asks has read them to their end, or has none.
        context.no_more_splits(reader);
        Ok(())
    }

    fn add_splits_back(&mut self, splits: Vec<SourceSplit>, context: &mut EnumeratorContext) -> Result<()> {
        for split in &splits {
            self.state.pending.push(DatagenSplit::from_source_split(split)?);
        }
        self.state.pending.sort_by_key(|s| s.index);
        self.assign(context)
    }

    fn snapshot_state(&mut self, _checkpoint: CheckpointId) -> Result<Versioned> {
        let bytes = serde_json::to_vec(&self.state)
            .map_err(|e| Error::internal("the enumerator state of datagen cannot be written").caused_by(e))?;
        Ok(Versioned::new(STATE_VERSION, bytes))
    }
}
