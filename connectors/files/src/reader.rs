//! Reads pieces of files, one after another.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, TimestampMillisecondArray};
use async_trait::async_trait;
use bytes::Bytes;
use flott_connector::format::{BulkReader, Decoding, RecordPosition, StreamDecoder};
use flott_connector::source::{ReaderEvent, SourceBatch, SourceReader, SourceSplit};
use flott_connector::storage::storage_error;
use flott_core::{ChangeBatch, Error, Result};
use object_store::path::Path;
use object_store::ObjectStoreExt;
use tokio::sync::mpsc;

use crate::compression::{self, Compression};
use crate::factory::{FileScan, OutputColumn};
use crate::partition;
use crate::split::FileSplit;

/// Bytes read at a time.
const BLOCK_BYTES: u64 = 4 << 20;
/// Rows of a batch.
const BATCH_ROWS: usize = 8_192;
/// The longest record.
pub(crate) const MAX_RECORD_BYTES: usize = 16 << 20;

enum Input {
    /// A range of a file: the next byte to fetch.
    Plain { next: u64 },
    /// A decompressed stream.
    Chunks(mpsc::Receiver<Result<Bytes>>),
}

/// A text file being decoded.
struct Stream {
    decoder: Box<dyn StreamDecoder>,
    input: Input,
    buffer: Vec<u8>,
    /// Bytes of the buffer that are decoded.
    used: usize,
    ended: bool,
    origin: Arc<str>,
}

enum Open {
    Stream(Stream),
    Bulk(Box<dyn BulkReader>),
}

struct Current {
    split: FileSplit,
    open: Open,
}

pub(crate) struct FileReader {
    scan: Arc<FileScan>,
    splits: VecDeque<FileSplit>,
    current: Option<Current>,
    no_more: bool,
    finished: Option<String>,
}

impl FileReader {
    pub(crate) fn new(scan: Arc<FileScan>) -> FileReader {
        FileReader { scan, splits: VecDeque::new(), current: None, no_more: false, finished: None }
    }

    async fn open(scan: Arc<FileScan>, split: FileSplit) -> Result<Current> {
        let store = Arc::clone(&scan.location.store);
        let path = Path::from(split.path.as_str());
        let display = format!("/{}", split.path);
        let meta = store.head(&path).await.map_err(|e| storage_error(format!("Cannot read '{display}'"), e))?;
        if meta.size != split.file_size || meta.last_modified.timestamp_millis() != split.modified_ms {
            return Err(Error::data("the file has changed since it was listed").with("file", &display).hint(
                "Files of a source must not change; write new data to a new file, or start over with --fresh",
            ));
        }
        let open = match &scan.decoding {
            Decoding::Bulk(factory) => {
                let range = (!split.is_whole()).then_some((split.start, split.end));
                Open::Bulk(factory.open(store, &path, split.file_size, range, split.offset).await.map_err(|e| e.with("file", &display))?)
            }
            Decoding::Stream(factory) => {
                let compression = Compression::of(&split.path);
                let mut input = match compression {
                    Some(c) => Input::Chunks(compression::open(c, store, path).await?),
                    None => Input::Plain { next: split.offset },
                };
                let mut buffer = vec![];
                if let Input::Chunks(chunks) = &mut input {
                    skip(chunks, split.offset, &mut buffer).await?;
                }
                let decoder = factory.create(split.offset == 0)?;
                Open::Stream(Stream { decoder, input, buffer, used: 0, ended: false, origin: display.into() })
            }
        };
        Ok(Current { split, open })
    }

    /// The next rows of the piece that is open; `None` at its end.
    async fn read(&mut self) -> Result<Option<SourceBatch>> {
        let Some(Current { split, open }) = &mut self.current else { return Ok(None) };
        let (rows, skipped) = match open {
            Open::Bulk(reader) => {
                let display = format!("/{}", split.path);
                match reader.next().await.map_err(|e| e.with("file", display))? {
                    None => return Ok(None),
                    Some(batch) => {
                        split.offset = batch.next_row;
                        split.row = batch.next_row;
                        (batch.rows, 0)
                    }
                }
            }
            Open::Stream(stream) => {
                let mut skipped = 0;
                loop {
                    if let Some((rows, s)) = stream.decode(split)? {
                        break (rows, skipped + s);
                    }
                    if stream.ended {
                        return Ok(None);
                    }
                    skipped += stream.fill(&self.scan, split).await?;
                }
            }
        };
        let rows = self.scan.output(rows, split)?;
        Ok(Some(SourceBatch {
            split: split.id(),
            rows: ChangeBatch::append(rows),
            position: split.encode()?,
            watermark: None,
            skipped,
        }))
    }
}

/// Throws decompressed bytes away up to a position; the rest of the last chunk stays in `buffer`.
async fn skip(chunks: &mut mpsc::Receiver<Result<Bytes>>, mut bytes: u64, buffer: &mut Vec<u8>) -> Result<()> {
    while bytes > 0 {
        let Some(chunk) = chunks.recv().await.transpose()? else {
            return Err(Error::data("a compressed file is shorter than it was"));
        };
        let n = usize::try_from(bytes).unwrap_or(usize::MAX).min(chunk.len());
        bytes -= n as u64;
        buffer.extend_from_slice(&chunk[n..]);
    }
    Ok(())
}

impl Stream {
    /// Decodes what is in the buffer; `None` where more bytes are needed or nothing is left.
    fn decode(&mut self, split: &mut FileSplit) -> Result<Option<(RecordBatch, u64)>> {
        let mut skipped = 0;
        loop {
            let input = &self.buffer[self.used..];
            if input.is_empty() {
                return Ok(None);
            }
            let position = RecordPosition {
                origin: Arc::clone(&self.origin),
                row: split.row + 1,
                offset: split.offset,
                row_is_exact: split.start == 0,
            };
            let decoded = self.decoder.decode(input, self.ended, BATCH_ROWS, &position)?;
            self.used += decoded.consumed;
            split.offset += decoded.consumed as u64;
            split.row += decoded.records;
            skipped += decoded.skipped;
            match decoded.rows {
                Some(rows) => return Ok(Some((rows, skipped))),
                None if decoded.consumed == 0 => {
                    if self.ended {
                        return Err(Error::internal("a decoder left bytes at the end of a file").with("file", &self.origin));
                    }
                    if input.len() > MAX_RECORD_BYTES {
                        return Err(Error::data(format!("a record is longer than {MAX_RECORD_BYTES} bytes"))
                            .with("file", &self.origin)
                            .with("byte", split.offset)
                            .hint("Check the file's format and its quoting"));
                    }
                    return Ok(None);
                }
                None => {}
            }
        }
    }

    /// Reads the next block behind the bytes that are left. Dropped while it waits, it leaves everything as it was.
    async fn fill(&mut self, scan: &FileScan, split: &FileSplit) -> Result<u64> {
        let bytes = match &mut self.input {
            Input::Plain { next } => {
                let to = (*next + BLOCK_BYTES).min(split.end);
                if *next >= to {
                    self.ended = true;
                    return Ok(0);
                }
                let path = Path::from(split.path.as_str());
                let read = scan.location.store.get_range(&path, *next..to).await;
                let bytes = read.map_err(|e| storage_error(format!("Cannot read '/{}'", split.path), e))?;
                *next = to;
                Some(bytes)
            }
            Input::Chunks(chunks) => chunks.recv().await.transpose()?,
        };
        let Some(bytes) = bytes else {
            self.ended = true;
            return Ok(0);
        };
        self.buffer.drain(..self.used);
        self.used = 0;
        self.buffer.extend_from_slice(&bytes);
        if let Input::Plain { next } = &self.input {
            self.ended = *next >= split.end;
        }
        Ok(0)
    }
}

impl FileScan {
    /// Puts the file's rows, its partition values and its metadata in the order that the table wants.
    fn output(&self, rows: RecordBatch, split: &FileSplit) -> Result<RecordBatch> {
        let count = rows.num_rows();
        let file = format!("/{}", split.path);
        let values = partition::values_of(&split.path, &self.partition_keys, &self.default_partition)?;
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.columns.len());
        for (column, field) in self.columns.iter().zip(self.schema.fields()) {
            columns.push(match column {
                OutputColumn::File(i) => Arc::clone(rows.column(*i)),
                OutputColumn::Partition(i) => {
                    partition::constant(values[*i].as_deref(), count, field.data_type(), &file, field.name())?
                }
                OutputColumn::Path => text(&file, count),
                OutputColumn::Name => text(split.path.rsplit('/').next().unwrap_or(""), count),
                OutputColumn::Size => Arc::new(arrow_array::Int64Array::from(vec![split.file_size as i64; count])),
                OutputColumn::ModificationTime => {
                    Arc::new(TimestampMillisecondArray::from(vec![split.modified_ms; count]).with_timezone("UTC"))
                }
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}

fn text(value: &str, rows: usize) -> ArrayRef {
    Arc::new(arrow_array::StringArray::from_iter_values(std::iter::repeat_n(value, rows)))
}

#[async_trait]
impl SourceReader for FileReader {
    fn add_splits(&mut self, splits: Vec<SourceSplit>) -> Result<()> {
        for split in splits {
            self.splits.push_back(FileSplit::decode(&split.data)?);
        }
        Ok(())
    }

    fn no_more_splits(&mut self) {
        self.no_more = true;
    }

    async fn next(&mut self) -> Result<ReaderEvent> {
        loop {
            if let Some(split) = self.finished.take() {
                return Ok(ReaderEvent::SplitFinished { split });
            }
            if self.current.is_none() {
                let Some(split) = self.splits.front().cloned() else {
                    return Ok(if self.no_more { ReaderEvent::EndOfInput } else { ReaderEvent::NeedSplits });
                };
                // Taken off the queue only once it is open: the future may be dropped in between.
                self.current = Some(Self::open(Arc::clone(&self.scan), split).await?);
                self.splits.pop_front();
            }
            if let Some(batch) = self.read().await? {
                return Ok(ReaderEvent::Batch(batch));
            }
            self.finished = self.current.take().map(|c| c.split.id());
        }
    }
}
