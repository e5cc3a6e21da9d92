//! Finds files, cuts large ones, and gives pieces to readers that ask.
//!
//! Cutting happens when a reader asks, one piece at a time: the first rows flow at once, and what is not asked for is not
//! looked at. One reader alone gets whole files.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flott_connector::Versioned;
use flott_connector::format::{Decoding, Splittable};
use flott_connector::source::{EnumeratorContext, SourceSplit, SplitEnumerator};
use flott_connector::storage::storage_error;
use flott_core::{CheckpointId, Error, ErrorKind, Result};
use object_store::ObjectStoreExt;
use serde::{Deserialize, Serialize};

use crate::compression::Compression;
use crate::cut::{self, PROBE_BYTES_MAX, Quoting, Scanned};
use crate::listing::{self, FileEntry, ended, object_path};
use crate::scan::FileScan;
use crate::seen::SeenFiles;
use crate::split::{FileSplit, check_version, from_json, to_json};

/// Version of the stored state.
const VERSION: u32 = 1;
/// Bytes of an object looked at in one go for a line break.
const PROBE_BYTES: u64 = 64 << 10;

/// The rest of a file, from a border on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Pending {
    path: String,
    size: u64,
    modified_ms: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    /// What lies before it has been given out.
    next: u64,
}

impl Pending {
    fn entry(&self) -> FileEntry {
        FileEntry { path: self.path.clone(), size: self.size, modified_ms: self.modified_ms, etag: self.etag.clone() }
    }
}

/// The stored form; the list of seen files follows it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    returned: Vec<FileSplit>,
    pending: Vec<Pending>,
    listed: bool,
}

pub(crate) struct FileEnumerator {
    scan: Arc<FileScan>,
    /// Pieces that came back.
    returned: VecDeque<FileSplit>,
    pending: VecDeque<Pending>,
    seen: SeenFiles,
    /// The first listing is done.
    listed: bool,
    /// Readers that asked when there was nothing.
    waiting: BTreeSet<usize>,
}

impl FileEnumerator {
    pub(crate) fn new(scan: Arc<FileScan>, restored: Option<Versioned>) -> Result<FileEnumerator> {
        let (state, seen) = match restored {
            None => (State::default(), SeenFiles::default()),
            Some(stored) => {
                check_version(&stored, VERSION, "enumerator's state")?;
                let damaged = || Error::data("an enumerator's state is cut off").hint("Restore an older checkpoint");
                let (length, rest) = stored.bytes.split_first_chunk::<8>().ok_or_else(damaged)?;
                let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| damaged())?;
                let (json, seen) = rest.split_at_checked(length).ok_or_else(damaged)?;
                (from_json::<State>(json, "enumerator's state")?, SeenFiles::decode(seen)?)
            }
        };
        Ok(FileEnumerator {
            scan,
            returned: state.returned.into(),
            pending: state.pending.into(),
            seen,
            listed: state.listed,
            waiting: BTreeSet::new(),
        })
    }

    fn is_monitoring(&self) -> bool {
        self.scan.monitor.is_some()
    }

    async fn find(&mut self) -> Result<()> {
        let scan = &self.scan;
        let files = listing::list(&scan.location, Arc::clone(&scan.selection), scan.monitor.is_some()).await?;
        // An empty text has no rows; an empty file of another format is damaged, and its reader says so. A source that
        // goes on waits until there is something in either: it may just have been made.
        let takes_empty = self.scan.is_bulk() && !self.is_monitoring();
        // Noted by a source that ends, too: it may be restored as one that goes on.
        let mut new = vec![];
        for file in files {
            if (file.size > 0 || takes_empty) && self.seen.insert(&file.path)? {
                new.push(file);
            }
        }
        if self.is_monitoring() {
            // Older data first: event time then moves forward.
            new.sort_by(|a, b| (a.modified_ms, &a.path).cmp(&(b.modified_ms, &b.path)));
        }
        self.pending.extend(new.into_iter().map(|f| Pending {
            path: f.path,
            size: f.size,
            modified_ms: f.modified_ms,
            etag: f.etag,
            next: 0,
        }));
        self.listed = true;
        Ok(())
    }

    /// The next piece: what came back first, then the next part of the file that is being cut.
    async fn next_piece(&mut self, parallelism: usize) -> Result<Option<FileSplit>> {
        if let Some(split) = self.returned.pop_front() {
            return Ok(Some(split));
        }
        let Some(file) = self.pending.front().cloned() else { return Ok(None) };
        let border = if parallelism > 1 { self.border(&file).await? } else { None };
        let split = FileSplit::new(&file.entry(), file.next, border.unwrap_or(file.size), self.scan.is_bulk());
        match (border, self.pending.front_mut()) {
            (Some(border), Some(front)) => front.next = border,
            _ => drop(self.pending.pop_front()),
        }
        Ok(Some(split))
    }

    /// Where the next piece of a file ends; `None` where all the rest is one piece.
    async fn border(&self, file: &Pending) -> Result<Option<u64>> {
        let piece = self.scan.split_bytes;
        let target = file.next.saturating_add(piece);
        // A rest that is not worth a piece of its own stays with the last one.
        if target.saturating_add(piece / 8) >= file.size {
            return Ok(None);
        }
        let splittable = match &self.scan.decoding {
            // The reader takes the units that begin in its range, wherever the border lies.
            Decoding::Bulk(_) => return Ok(Some(target)),
            Decoding::Stream(_) if Compression::of(&file.path).is_some() => return Ok(None),
            Decoding::Stream(factory) => factory.splittable(),
        };
        let is_local = self.scan.location.local.is_some();
        let quoting = match splittable {
            Splittable::No => return Ok(None),
            Splittable::AtLineBreak => None,
            Splittable::OutsideQuotes(_) if !is_local => return Ok(None),
            Splittable::OutsideQuotes(quote) => Some(Quoting { quote, delimiter: self.scan.strict_delimiter() }),
        };
        if is_local {
            let (path, next, size) = (file.path.clone(), file.next, file.size);
            let look = move || cut::local_border(&path, next, target, size, quoting);
            return tokio::task::spawn_blocking(look).await.map_err(ended)?;
        }
        self.object_border(file, target).await
    }

    /// The first line break of an object at or behind a place.
    async fn object_border(&self, file: &Pending, target: u64) -> Result<Option<u64>> {
        let path = object_path(&file.path)?;
        let mut at = target.saturating_sub(1);
        while at < file.size && at < target.saturating_add(PROBE_BYTES_MAX) {
            let range = at..(at + PROBE_BYTES).min(file.size);
            let bytes = match self.scan.location.store.get_range(&path, range).await {
                Ok(bytes) if !bytes.is_empty() => bytes,
                // Shorter than it was: whoever reads it will say so.
                Ok(_) => return Ok(None),
                Err(e) => return Err(storage_error(format!("Cannot read '{}'", file.path), e)),
            };
            if let Scanned::Border(i) = cut::scan_block(&mut None, &bytes, 0) {
                return Ok(Some(at + i as u64).filter(|b| *b < file.size));
            }
            at += bytes.len() as u64;
        }
        Ok(None)
    }

    /// Gives a reader one piece, however small it is. A piece that a reader holds takes part in the watermark from its
    /// assignment on: one that waits behind others would hold back the event time of those.
    async fn give(&mut self, reader: usize, context: &mut EnumeratorContext) -> Result<()> {
        if let Some(split) = self.next_piece(context.parallelism).await? {
            context.assign(reader, vec![split.to_split()?]);
        } else if self.is_monitoring() {
            self.waiting.insert(reader);
        } else {
            context.no_more_splits(reader);
        }
        Ok(())
    }

    async fn give_to_waiting(&mut self, context: &mut EnumeratorContext) -> Result<()> {
        while !(self.pending.is_empty() && self.returned.is_empty()) {
            let Some(reader) = self.waiting.pop_first() else { break };
            self.give(reader, context).await?;
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
        match self.find().await {
            Ok(()) => {}
            // The next listing may go well; what is being read goes on meanwhile.
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                tracing::warn!(%error, path = self.scan.location.display, "new files cannot be looked for just now");
            }
            Err(error) => return Err(error),
        }
        self.give_to_waiting(context).await
    }

    async fn add_reader(&mut self, reader: usize, context: &mut EnumeratorContext) -> Result<()> {
        // One that holds restored pieces asks when it is through with them.
        if context.load.get(reader).copied().unwrap_or(0) == 0 {
            self.give(reader, context).await?;
        }
        Ok(())
    }

    async fn handle_split_request(&mut self, reader: usize, context: &mut EnumeratorContext) -> Result<()> {
        self.give(reader, context).await
    }

    async fn add_splits_back(&mut self, splits: Vec<SourceSplit>, context: &mut EnumeratorContext) -> Result<()> {
        for split in splits.into_iter().rev() {
            self.returned.push_front(FileSplit::decode(&split.data)?);
        }
        self.give_to_waiting(context).await
    }

    fn snapshot_state(&mut self, _checkpoint: CheckpointId) -> Result<Versioned> {
        let state = State {
            returned: self.returned.iter().cloned().collect(),
            pending: self.pending.iter().cloned().collect(),
            listed: self.listed,
        };
        let json = to_json(&state)?;
        let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
        bytes.extend(json);
        self.seen.encode(&mut bytes)?;
        Ok(Versioned::new(VERSION, bytes))
    }
}
