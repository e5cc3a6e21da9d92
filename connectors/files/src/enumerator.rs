//! Finds files, cuts large ones, and gives pieces to readers that ask.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flott_connector::Versioned;
use flott_connector::format::Splittable;
use flott_connector::source::{EnumeratorContext, SourceSplit, SplitEnumerator};
use flott_connector::storage::storage_error;
use flott_core::{CheckpointId, Result};
use object_store::{ObjectMeta, ObjectStoreExt};

use crate::compression::Compression;
use crate::factory::FileScan;
use crate::listing;
use crate::split::{EnumeratorState, FileSplit};

/// Bytes read at a time to find borders.
const PROBE_BYTES: u64 = 4 << 20;

pub(crate) struct FileEnumerator {
    scan: Arc<FileScan>,
    pending: VecDeque<FileSplit>,
    seen: BTreeSet<String>,
    listed: bool,
    /// Readers that asked when there was nothing.
    waiting: BTreeSet<usize>,
}

impl FileEnumerator {
    pub(crate) fn new(scan: Arc<FileScan>, restored: Option<Versioned>) -> Result<FileEnumerator> {
        let state = restored.map(|r| EnumeratorState::decode(&r)).transpose()?.unwrap_or_default();
        Ok(FileEnumerator {
            scan,
            pending: state.pending.into(),
            seen: state.seen.into_iter().collect(),
            listed: state.listed,
            waiting: BTreeSet::new(),
        })
    }

    fn is_monitoring(&self) -> bool {
        self.scan.monitor.is_some()
    }

    async fn find(&mut self) -> Result<()> {
        let files = listing::list(&self.scan.location, self.scan.pattern.as_ref(), self.scan.filter.as_ref()).await?;
        for file in files {
            let path = file.location.to_string();
            if self.is_monitoring() && !self.seen.insert(path) {
                continue;
            }
            if file.size > 0 {
                self.pending.extend(self.cut(&file).await?);
            }
        }
        self.listed = true;
        Ok(())
    }

    /// The pieces of a file. A line break may be a border only where no quote can hide it: in formats without quoting,
    /// or in a file that has no quote at all, which is read through once to prove it. (Counting quotes is no proof: a
    /// quote inside an unquoted field is text.)
    async fn cut(&self, file: &ObjectMeta) -> Result<Vec<FileSplit>> {
        let piece = |start: u64, end: u64| FileSplit {
            path: file.location.to_string(),
            start,
            end,
            file_size: file.size,
            modified_ms: file.last_modified.timestamp_millis(),
            offset: if self.scan.is_bulk() { 0 } else { start },
            row: 0,
        };
        let size = self.scan.split_bytes;
        if file.size <= size || Compression::of(file.location.as_ref()).is_some() {
            return Ok(vec![piece(0, file.size)]);
        }
        let targets = (1..).map(|i| i * size).take_while(|t| *t < file.size);
        if self.scan.is_bulk() {
            // A bulk reader takes the units that start in its range, wherever the border lies.
            let mut borders: Vec<u64> = std::iter::once(0).chain(targets).collect();
            borders.push(file.size);
            return Ok(borders.windows(2).map(|w| piece(w[0], w[1])).collect());
        }
        let quote = match self.scan.splittable() {
            Splittable::No => return Ok(vec![piece(0, file.size)]),
            Splittable::AtLineBreak => None,
            Splittable::OutsideQuotes(quote) => Some(quote),
        };
        let store = &self.scan.location.store;
        let read = |from: u64| {
            let to = (from + PROBE_BYTES).min(file.size);
            let location = file.location.clone();
            async move {
                store.get_range(&location, from..to).await.map_err(|e| storage_error(format!("Cannot read '/{location}'"), e))
            }
        };
        if let Some(quote) = quote {
            let mut at = 0;
            while at < file.size {
                let bytes = read(at).await?;
                if bytes.contains(&quote) {
                    return Ok(vec![piece(0, file.size)]);
                }
                at += PROBE_BYTES;
            }
        }
        let mut borders = vec![0];
        for target in targets {
            let mut at = target;
            // The border is behind the first line break at or after the target.
            while at < file.size {
                let bytes = read(at).await?;
                if let Some(i) = bytes.iter().position(|b| *b == b'\n') {
                    let border = at + i as u64 + 1;
                    if border < file.size && border > borders[borders.len() - 1] {
                        borders.push(border);
                    }
                    break;
                }
                at += PROBE_BYTES;
            }
        }
        borders.push(file.size);
        Ok(borders.windows(2).map(|w| piece(w[0], w[1])).collect())
    }

    fn give(&mut self, reader: usize, context: &mut EnumeratorContext) -> Result<()> {
        match self.pending.pop_front() {
            Some(split) => context.assign(reader, vec![split.to_split()?]),
            None if self.is_monitoring() => {
                self.waiting.insert(reader);
            }
            None => context.no_more_splits(reader),
        }
        Ok(())
    }
}

#[async_trait]
impl SplitEnumerator for FileEnumerator {
    async fn start(&mut self, _context: &mut EnumeratorContext) -> Result<()> {
        if !self.listed || self.is_monitoring() {
            self.find().await?;
        }
        Ok(())
    }

    fn discovery_interval(&self) -> Option<Duration> {
        self.scan.monitor
    }

    async fn discover(&mut self, context: &mut EnumeratorContext) -> Result<()> {
        self.find().await?;
        while !self.pending.is_empty() {
            let Some(reader) = self.waiting.pop_first() else { break };
            self.give(reader, context)?;
        }
        Ok(())
    }

    async fn add_reader(&mut self, reader: usize, context: &mut EnumeratorContext) -> Result<()> {
        // One that holds restored pieces asks when it is through with them.
        if context.load.get(reader).copied().unwrap_or(0) == 0 {
            self.give(reader, context)?;
        }
        Ok(())
    }

    async fn handle_split_request(&mut self, reader: usize, context: &mut EnumeratorContext) -> Result<()> {
        self.give(reader, context)
    }

    async fn add_splits_back(&mut self, splits: Vec<SourceSplit>, _context: &mut EnumeratorContext) -> Result<()> {
        for split in splits.into_iter().rev() {
            self.pending.push_front(FileSplit::decode(&split.data)?);
        }
        Ok(())
    }

    fn snapshot_state(&mut self, _checkpoint: CheckpointId) -> Result<Versioned> {
        EnumeratorState {
            pending: self.pending.iter().cloned().collect(),
            seen: self.seen.iter().cloned().collect(),
            listed: self.listed,
        }
        .encode()
    }
}
