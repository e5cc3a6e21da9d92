//! Reads pieces of files, one after another. A piece's position is the byte (after decompression) at which its next record
//! begins, in a bulk file the number of rows read.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use flott_connector::format::{BulkReader, Decoding, RecordPosition, StreamDecoder, StreamDecoderFactory};
use flott_connector::source::{ReaderEvent, SourceBatch, SourceReader, SourceSplit};
use flott_core::{ChangeBatch, Error, Result};
use object_store::ObjectStore;
use object_store::path::Path;

use crate::compression::Compression;
use crate::input::{Block, HEADROOM_BYTES, Input, Read};
use crate::listing::object_path;
use crate::one_version::OneVersion;
use crate::scan::{Constants, FileScan};
use crate::split::FileSplit;

/// Rows of a batch at most. Where records are short this ends it, else the bytes that were read at once.
const BATCH_ROWS: usize = 16_384;
/// The longest record: a wrong format would otherwise read a whole file into memory.
const RECORD_BYTES_MAX: usize = 16 << 20;

/// A text file being decoded.
struct TextFile {
    decoder: Box<dyn StreamDecoder>,
    input: Input,
    buffer: Vec<u8>,
    /// Bytes of the buffer that are decoded, and those that were read.
    used: usize,
    filled: usize,
    ended: bool,
    skipped: u64,
    origin: Arc<str>,
}

enum Open {
    Text(TextFile),
    /// With the file, of which it reads more as it goes on.
    Bulk(Box<dyn BulkReader>, Arc<OneVersion>),
}

struct Current {
    split: FileSplit,
    open: Open,
    constants: Constants,
}

pub(crate) struct FileReader {
    scan: Arc<FileScan>,
    splits: VecDeque<FileSplit>,
    /// Of those.
    waiting_bytes: u64,
    current: Option<Current>,
    /// Splits that others have to catch up with.
    paused: HashSet<String>,
    no_more: bool,
}

impl FileReader {
    pub(crate) fn new(scan: Arc<FileScan>) -> FileReader {
        let (splits, paused) = (VecDeque::new(), HashSet::new());
        FileReader { scan, splits, waiting_bytes: 0, current: None, paused, no_more: false }
    }

    fn pending_bytes_of(&self, split: &FileSplit) -> u64 {
        let is_text = matches!(self.scan.decoding, Decoding::Stream(_));
        split.pending_bytes(is_text && Compression::of(&split.path).is_none())
    }

    fn wait(&mut self, split: FileSplit) {
        self.waiting_bytes += self.pending_bytes_of(&split);
        self.splits.push_back(split);
    }

    async fn open(scan: Arc<FileScan>, split: FileSplit) -> Result<Current> {
        let constants = scan.constants(&split)?;
        let open = match &scan.decoding {
            Decoding::Bulk(factory) => {
                let path = match &scan.location.local {
                    Some(_) => Path::from_absolute_path(&split.path).map_err(|e| {
                        Error::user("the file has an unusable name").with("file", &split.path).caused_by(e)
                    })?,
                    None => object_path(&split.path)?,
                };
                // A bulk format reads the file itself.
                let file = OneVersion::of(&scan.location.store, &path, &split).await?;
                let range = (!split.is_whole()).then_some((split.start, split.end));
                let store = Arc::clone(&file) as Arc<dyn ObjectStore>;
                let reader = factory.open(store, &path, split.file_size, range, split.offset).await;
                let reader = reader.map_err(|e| failed(e, &split, &file))?;
                Open::Bulk(reader, file)
            }
            Decoding::Stream(factory) => Open::Text(TextFile::open(&scan, factory.as_ref(), &split)?),
        };
        Ok(Current { split, open, constants })
    }
}

/// What a format says of a file, which does not know that it has changed meanwhile.
fn failed(error: Error, split: &FileSplit, file: &OneVersion) -> Error {
    if file.has_changed() { split.changed_while_read() } else { error.renamed("file", &split.path) }
}

impl Current {
    /// The next rows; `None` at the end of the piece. Nothing is lost where the future is dropped.
    async fn next(&mut self) -> Result<Option<SourceBatch>> {
        let (rows, skipped) = match &mut self.open {
            Open::Bulk(reader, file) => match reader.next().await.map_err(|e| failed(e, &self.split, file))? {
                None => return Ok(None),
                Some(batch) => {
                    self.split.offset = batch.next_row;
                    self.split.row = batch.next_row;
                    (Some(ChangeBatch::append(batch.rows)), 0)
                }
            },
            Open::Text(text) => match text.next(&mut self.split).await? {
                Some(rows) => (Some(rows), std::mem::take(&mut text.skipped)),
                // Records that were skipped at the end count too.
                None if text.skipped > 0 => (None, std::mem::take(&mut text.skipped)),
                None => return Ok(None),
            },
        };
        let rows = match rows {
            Some(batch) => ChangeBatch { rows: self.constants.output(batch.rows)?, kinds: batch.kinds },
            None => ChangeBatch::empty(self.constants.schema()),
        };
        let (split, position) = (self.split.id(), self.split.encode()?);
        Ok(Some(SourceBatch { split, rows, position, watermark: None, skipped, dead_letters: None }))
    }
}

impl TextFile {
    fn open(scan: &FileScan, factory: &dyn StreamDecoderFactory, split: &FileSplit) -> Result<TextFile> {
        let done = split.offset >= split.end && Compression::of(&split.path).is_none();
        Ok(TextFile {
            decoder: factory.create(split.offset == 0)?,
            input: Input::open(&scan.location, split)?,
            buffer: vec![],
            used: 0,
            filled: 0,
            ended: done,
            skipped: 0,
            origin: split.path.as_str().into(),
        })
    }

    async fn next(&mut self, split: &mut FileSplit) -> Result<Option<ChangeBatch>> {
        loop {
            if let Some(rows) = self.decode(split)? {
                return Ok(Some(rows));
            }
            if self.ended {
                return Ok(None);
            }
            self.move_rest();
            match self.input.next(&mut self.buffer, self.filled).await? {
                Read::Appended(bytes) => self.filled += bytes,
                Read::Block(block) => self.append(block),
                Read::End => self.ended = true,
            }
        }
    }

    /// Decodes what is in the buffer; `None` where more bytes are needed or nothing is left.
    fn decode(&mut self, split: &mut FileSplit) -> Result<Option<ChangeBatch>> {
        while self.used < self.filled {
            let input = &self.buffer[self.used..self.filled];
            let position = RecordPosition {
                origin: Arc::clone(&self.origin),
                row: split.row,
                offset: split.offset,
                row_is_exact: split.start == 0,
            };
            let decoded = self.decoder.decode(input, self.ended, BATCH_ROWS, &position)?;
            if decoded.consumed > input.len() {
                return Err(Error::internal("a decoder used more than it was given").with("file", &self.origin));
            }
            self.used += decoded.consumed;
            split.offset += decoded.consumed as u64;
            split.row += decoded.records;
            self.skipped += decoded.skipped;
            if let Some(rows) = decoded.rows {
                return Ok(Some(ChangeBatch { rows, kinds: decoded.kinds }));
            }
            if decoded.consumed == 0 {
                if input.len() > RECORD_BYTES_MAX {
                    return Err(Error::data(format!("a record is longer than 16 MiB ({RECORD_BYTES_MAX} bytes)"))
                        .with("file", &self.origin)
                        .with("offset", split.offset)
                        .hint("Check the file's format and its quotes"));
                }
                if self.ended {
                    // What is left is no record: a byte order mark alone, for instance.
                    self.used = self.filled;
                }
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// Makes room behind what is left. As with blocks it goes to the end of the headroom, so that most reads fill whole
    /// pages.
    fn move_rest(&mut self) {
        let rest = self.filled - self.used;
        let to = HEADROOM_BYTES.saturating_sub(rest);
        if self.used > to {
            self.buffer.copy_within(self.used..self.filled, to);
            (self.used, self.filled) = (to, to + rest);
        }
    }

    /// Puts a block behind what is left of the one before.
    fn append(&mut self, mut block: Block) {
        let rest = &self.buffer[self.used..self.filled];
        if rest.len() <= block.start {
            let start = block.start - rest.len();
            block.data[start..block.start].copy_from_slice(rest);
            let old = std::mem::replace(&mut self.buffer, block.data);
            self.used = start;
            if old.capacity() > 0 {
                self.input.reuse(old);
            }
        } else {
            self.buffer.truncate(self.filled);
            self.buffer.drain(..self.used);
            self.used = 0;
            self.buffer.extend_from_slice(&block.data[block.start..]);
            self.input.reuse(block.data);
        }
        self.filled = self.buffer.len();
    }
}

#[async_trait]
impl SourceReader for FileReader {
    fn add_splits(&mut self, splits: Vec<SourceSplit>) -> Result<()> {
        for split in splits {
            self.wait(FileSplit::decode(&split.data)?);
        }
        Ok(())
    }

    fn no_more_splits(&mut self) {
        self.no_more = true;
    }

    async fn next(&mut self) -> Result<ReaderEvent> {
        // A paused piece makes room for one that is not: event time may wait for that one.
        if let Some(current) = self.current.take_if(|c| self.paused.contains(&c.split.id())) {
            self.wait(current.split);
        }
        let current = match &mut self.current {
            Some(current) => current,
            None => {
                if self.splits.is_empty() {
                    return Ok(if self.no_more { ReaderEvent::EndOfInput } else { ReaderEvent::NeedSplits });
                }
                let Some(i) = self.splits.iter().position(|s| !self.paused.contains(&s.id())) else {
                    // The runtime drops this wait to tell of a split that may go on.
                    return std::future::pending().await;
                };
                // Taken off the queue only once it is open: the future may be dropped in between.
                let current = Self::open(Arc::clone(&self.scan), self.splits[i].clone()).await?;
                if let Some(split) = self.splits.remove(i) {
                    self.waiting_bytes -= self.pending_bytes_of(&split);
                }
                self.current.insert(current)
            }
        };
        if let Some(batch) = current.next().await? {
            return Ok(ReaderEvent::Batch(batch));
        }
        let split = current.split.id();
        self.current = None;
        Ok(ReaderEvent::SplitFinished { split })
    }

    fn pending_bytes(&self) -> Option<u64> {
        Some(self.waiting_bytes + self.current.as_ref().map_or(0, |c| self.pending_bytes_of(&c.split)))
    }

    fn pause_or_resume_splits(&mut self, pause: &[String], resume: &[String]) {
        self.paused.extend(pause.iter().cloned());
        for split in resume {
            self.paused.remove(split);
        }
    }

    async fn close(&mut self) -> Result<()> {
        // Its task ends when it finds nobody to read for.
        self.current = None;
        self.splits.clear();
        self.waiting_bytes = 0;
        Ok(())
    }
}
