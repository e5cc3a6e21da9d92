//! Finds files, cuts large ones, and gives pieces to readers that ask.
//!
//! Cutting happens when a reader asks, one piece at a time: the first rows flow at once, and what is not asked for is not
//! looked at. One reader alone gets whole files. Listing and looking go on beside the coordinator, and readers wait for
//! them in the order in which they asked.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use flott_connector::Versioned;
use flott_connector::format::{Decoding, Splittable};
use flott_connector::source::{CallOutput, EnumeratorContext, SourceSplit, SplitEnumerator};
use flott_connector::storage::storage_error;
use flott_core::{CheckpointId, Error, ErrorKind, Result};
use object_store::ObjectStoreExt;
use serde::{Deserialize, Serialize};

use crate::compression::Compression;
use crate::cut::{self, PROBE_BYTES_MAX, Quoting, Scanned};
use crate::listing::{self, FileEntry, ended, object_path};
use crate::scan::FileScan;
use crate::seen::{SeenFiles, Sight};
use crate::split::{FileSplit, check_version, from_json, to_json};

/// Version of the stored state.
const VERSION: u32 = 1;
/// Bounds of a piece. Pieces are read side by side: the larger they are, the further apart lie the event times of rows
/// that are read at the same time, and the more state is kept for them.
const PIECE_BYTES_MIN: u64 = 32 << 20;
const PIECE_BYTES_MAX: u64 = 128 << 20;
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
    /// The first listing is done, of this attempt or one before.
    listed: bool,
    /// All that this attempt has to list before it can say that there is nothing is listed.
    started: bool,
    /// A listing is under way.
    listing: bool,
    /// The first file's next border is being looked for.
    cutting: bool,
    /// Readers that have nothing, in the order in which they asked.
    waiting: VecDeque<usize>,
}

/// What comes of work beside the coordinator.
enum Answer {
    Listed(Result<Vec<FileEntry>>),
    /// Of the first file's next piece.
    Border(Result<Option<u64>>),
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
            started: false,
            listing: false,
            cutting: false,
            waiting: VecDeque::new(),
        })
    }

    fn is_monitoring(&self) -> bool {
        self.scan.monitor.is_some()
    }

    /// Begins a listing, unless one is under way.
    fn list(&mut self, context: &mut EnumeratorContext) {
        if std::mem::replace(&mut self.listing, true) {
            return;
        }
        let scan = Arc::clone(&self.scan);
        context.call_async(async move {
            Answer::Listed(listing::list(&scan.location, Arc::clone(&scan.selection), scan.monitor.is_some()).await)
        });
    }

    fn on_listed(&mut self, listed: Result<Vec<FileEntry>>) -> Result<()> {
        self.listing = false;
        match listed {
            Ok(files) => self.find_new(files)?,
            // The next listing may go well, also of a folder that is away for a moment; what is being read goes on meanwhile.
            Err(error) if self.started && (error.kind() == ErrorKind::Unavailable || error.is_from_outside()) => {
                tracing::warn!(%error, path = self.scan.location.display, "new files cannot be looked for just now");
            }
            Err(error) => return Err(error),
        }
        self.started = true;
        Ok(())
    }

    fn find_new(&mut self, files: Vec<FileEntry>) -> Result<()> {
        // An empty text has no rows; an empty file of another format is damaged, and its reader says so. A source that
        // goes on waits until there is something in either: it may just have been made.
        let takes_empty = self.scan.is_bulk() && !self.is_monitoring();
        // Noted by a source that ends, too: it may be restored as one that goes on.
        let mut new = vec![];
        for file in files {
            // What is not wanted is not seen: a later query may want it.
            if file.size == 0 && !takes_empty || !self.scan.wants(&file.path) {
                continue;
            }
            match self.seen.see(&file.path, file.size)? {
                Sight::New => new.push(file),
                Sight::Known => {}
                // Whoever reads it may not see it: who writes slowly pauses, and what is there then looks whole.
                Sight::Changed(before) => tracing::warn!(
                    file = file.path,
                    "a file has changed since it was found: it had {before} bytes, of which its rows are, and has {} now. Write new \
                     data to a new file, and move it into the folder when it is complete",
                    file.size
                ),
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

    /// Gives one piece to each reader that waits, as far as there are any: first what came back, then the next part of the
    /// file that is being cut. One piece, however small it is: a piece that a reader holds takes part in the watermark
    /// from its assignment on, and one that waits behind others would hold back the event time of those.
    fn serve(&mut self, context: &mut EnumeratorContext) -> Result<()> {
        while let Some(reader) = self.waiting.front().copied() {
            if let Some(split) = self.returned.pop_front() {
                context.assign(reader, vec![split.to_split()?]);
            } else if self.cutting {
                break;
            } else if let Some(file) = self.pending.front() {
                match self.scan.border(file, context.parallelism) {
                    Border::Known(border) => {
                        let split = self.cut(border)?;
                        context.assign(reader, vec![split.to_split()?]);
                    }
                    Border::Sought(sought) => {
                        self.cutting = true;
                        let (scan, file) = (Arc::clone(&self.scan), file.clone());
                        context.call_async(async move { Answer::Border(scan.seek(&file, sought).await) });
                        break;
                    }
                }
            } else if self.listing && !self.started || self.is_monitoring() {
                break;
            } else {
                context.no_more_splits(reader);
            }
            self.waiting.pop_front();
        }
        Ok(())
    }

    /// Takes the first file's next piece, up to a border or its end.
    fn cut(&mut self, border: Option<u64>) -> Result<FileSplit> {
        let Some(front) = self.pending.front_mut() else { return Err(Error::internal("there is no file to be cut")) };
        let split = FileSplit::new(&front.entry(), front.next, border.unwrap_or(front.size), self.scan.is_bulk());
        match border {
            Some(border) => front.next = border,
            None => drop(self.pending.pop_front()),
        }
        Ok(split)
    }
}

/// Where the next piece of a file ends.
enum Border {
    /// There; `None` where all the rest is one piece.
    Known(Option<u64>),
    /// Somewhere behind a place: the file has to be looked at.
    Sought(Sought),
}

/// What is looked for.
struct Sought {
    target: u64,
    quoting: Option<Quoting>,
}

/// The size of a file's pieces where no size is set: as large as they may be, since whatever lies in front of a border may
/// have to be read a first time to prove it, and as many as give each reader the same.
fn piece_bytes(size: u64, parallelism: usize) -> u64 {
    let pieces = size.div_ceil(PIECE_BYTES_MAX).next_multiple_of(parallelism as u64);
    size.div_ceil(pieces.max(1)).max(PIECE_BYTES_MIN)
}

impl FileScan {
    fn border(&self, file: &Pending, parallelism: usize) -> Border {
        if parallelism <= 1 {
            return Border::Known(None);
        }
        let piece = self.split_bytes.unwrap_or_else(|| piece_bytes(file.size, parallelism));
        let target = file.next.saturating_add(piece);
        // A rest that is not worth a piece of its own stays with the last one.
        if target.saturating_add(piece / 8) >= file.size {
            return Border::Known(None);
        }
        let splittable = match &self.decoding {
            // The reader takes the units that begin in its range, wherever the border lies.
            Decoding::Bulk(_) => return Border::Known(Some(target)),
            Decoding::Stream(_) if Compression::of(&file.path).is_some() => return Border::Known(None),
            Decoding::Stream(factory) => factory.splittable(),
        };
        let quoting = match splittable {
            Splittable::No => return Border::Known(None),
            Splittable::AtLineBreak => None,
            Splittable::OutsideQuotes(_) if self.location.local.is_none() => return Border::Known(None),
            Splittable::OutsideQuotes(quote) => Some(Quoting { quote, delimiter: self.strict_delimiter() }),
        };
        Border::Sought(Sought { target, quoting })
    }

    async fn seek(&self, file: &Pending, Sought { target, quoting }: Sought) -> Result<Option<u64>> {
        if self.location.local.is_some() {
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
            let bytes = match self.location.store.get_range(&path, range).await {
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
}

impl SplitEnumerator for FileEnumerator {
    fn start(&mut self, context: &mut EnumeratorContext) -> Result<()> {
        if !self.listed || self.is_monitoring() {
            self.list(context);
        } else {
            self.started = true;
        }
        Ok(())
    }

    fn handle_call(&mut self, output: CallOutput, context: &mut EnumeratorContext) -> Result<()> {
        match output.downcast::<Answer>().map(|answer| *answer) {
            Ok(Answer::Listed(listed)) => self.on_listed(listed)?,
            Ok(Answer::Border(border)) => {
                self.cutting = false;
                let split = self.cut(border?)?;
                match self.waiting.pop_front() {
                    Some(reader) => context.assign(reader, vec![split.to_split()?]),
                    None => self.returned.push_back(split),
                }
            }
            Err(_) => return Err(Error::internal("an answer to something that was not asked")),
        }
        self.serve(context)
    }

    fn discovery_interval(&self) -> Option<Duration> {
        self.scan.monitor
    }

    fn discover(&mut self, context: &mut EnumeratorContext) -> Result<()> {
        self.list(context);
        Ok(())
    }

    fn add_reader(&mut self, reader: usize, context: &mut EnumeratorContext) -> Result<()> {
        // One that holds restored pieces asks when it is through with them.
        if context.load.get(reader).copied().unwrap_or(0) == 0 {
            return self.handle_split_request(reader, context);
        }
        Ok(())
    }

    fn handle_split_request(&mut self, reader: usize, context: &mut EnumeratorContext) -> Result<()> {
        if !self.waiting.contains(&reader) {
            self.waiting.push_back(reader);
        }
        self.serve(context)
    }

    fn add_splits_back(&mut self, splits: Vec<SourceSplit>, context: &mut EnumeratorContext) -> Result<()> {
        for split in splits.into_iter().rev() {
            self.returned.push_front(FileSplit::decode(&split.data)?);
        }
        self.serve(context)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_as_many_as_give_each_reader_the_same_and_neither_tiny_nor_huge() {
        let pieces = |size: u64, readers| size.div_ceil(piece_bytes(size, readers));
        for (size, readers, expected) in [
            (10 << 20, 2, 1),
            (60 << 20, 2, 2),
            (200 << 20, 2, 2),
            (200 << 20, 4, 4),
            (200 << 20, 64, 7),
            (257 << 20, 2, 4),
            (10 << 30, 3, 81),
            (1, 8, 1),
        ] {
            assert_eq!(pieces(size, readers), expected, "{size} bytes for {readers}");
        }
        for size in (1u64..2000).map(|i| i * 7_654_321) {
            for readers in 2..40 {
                let piece = piece_bytes(size, readers);
                assert!((PIECE_BYTES_MIN..=PIECE_BYTES_MAX).contains(&piece), "{size} bytes for {readers}: {piece}");
            }
        }
        assert!(piece_bytes(u64::MAX, 2) <= PIECE_BYTES_MAX);
    }
}
