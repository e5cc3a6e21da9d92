//! Object container files: a header with the schema, then blocks of records with a marker between them.
//!
//! A file is cut at its markers: a block belongs to the piece in which the marker before it begins.

use std::sync::Arc;

use arrow_array::RecordBatch;
use async_trait::async_trait;
use bytes::Bytes;
use flott_connector::format::{BulkBatch, BulkReader, BulkReaderFactory, FormatContext};
use flott_core::{Error, Result};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::binary::Input;
use super::codec::{BLOCK_BYTES_MAX, Codec};
use super::derive;
use super::options::AvroOptions;
use super::root::{Resolved, error};
use super::schema::AvroSchema;
use crate::builder::Rows;

/// Bytes that are fetched at once.
const FETCH_BYTES: u64 = 4 << 20;
/// Bytes that are fetched first, for the header.
const HEADER_BYTES: u64 = 64 << 10;
/// A header has a schema and little else.
const HEADER_BYTES_MAX: u64 = 16 << 20;
/// Rows of a batch at most.
const BATCH_ROWS: usize = 8_192;
/// Records of a block that have no bytes at all.
const EMPTY_RECORDS_MAX: u64 = 1 << 20;
const MAGIC: &[u8] = b"Obj\x01";
pub(super) const MARKER: usize = 16;

pub(super) struct FileDecoding {
    context: FormatContext,
    /// The table's own schema.
    reader: AvroSchema,
}

impl FileDecoding {
    pub(super) fn new(context: &FormatContext, options: AvroOptions) -> Result<FileDecoding> {
        let reader = derive::schema_of(context.declared.fields(), options.legacy_timestamps)?;
        Rows::new(&context.schema)?;
        Ok(FileDecoding { context: context.clone(), reader })
    }
}

/// The bytes of a file from somewhere on, fetched piece by piece.
struct Window {
    store: Arc<dyn ObjectStore>,
    path: Path,
    size: u64,
    /// Where `bytes` begin in the file.
    at: u64,
    bytes: Bytes,
}

impl Window {
    fn new(store: Arc<dyn ObjectStore>, path: &Path, size: u64, at: u64) -> Window {
        Window { store, path: path.clone(), size, at, bytes: Bytes::new() }
    }

    /// Where what is not fetched yet begins.
    fn end(&self) -> u64 {
        self.at + self.bytes.len() as u64
    }

    /// Forgets bytes at the front.
    fn skip(&mut self, n: usize) {
        self.bytes = self.bytes.slice(n.min(self.bytes.len())..);
        self.at += n as u64;
    }

    /// Fetches until `wanted` bytes are there, or the file ends. False where nothing more was there.
    async fn fill(&mut self, wanted: usize, step: u64) -> Result<bool> {
        let there = self.bytes.len();
        if there >= wanted || self.end() >= self.size {
            return Ok(false);
        }
        let to = (self.end() + step.max((wanted - there) as u64)).min(self.size);
        let more = self.store.get_range(&self.path, self.end()..to).await.map_err(|e| match e {
            e @ object_store::Error::NotFound { .. } => Error::user("The file is gone").caused_by(e),
            e => Error::unavailable("The file cannot be read").caused_by(e),
        })?;
        if more.is_empty() {
            return Err(damaged("it ends early"));
        }
        self.bytes = if there == 0 { more } else { [self.bytes.as_ref(), more.as_ref()].concat().into() };
        Ok(true)
    }
}

#[derive(Debug)]
struct Header {
    schema: AvroSchema,
    codec: Codec,
    marker: [u8; MARKER],
    /// Bytes of the header, marker included.
    length: usize,
}

fn damaged(why: impl std::fmt::Display) -> Error {
    Error::data(format!("The file is not a valid Avro file: {why}")).hint(
        "It may be cut off or damaged, or no object container file at all; remove it from the folder or write it again",
    )
}

/// `None` where it goes on behind these bytes.
fn header(bytes: &[u8]) -> Result<Option<Header>> {
    if !bytes.starts_with(&MAGIC[..MAGIC.len().min(bytes.len())]) {
        return Err(damaged("it does not begin as one"));
    }
    let mut input = Input::new(bytes);
    let mut read = || -> Result<_, Box<super::binary::Wrong>> {
        input.take(MAGIC.len())?;
        let (mut schema, mut codec) = (None, None);
        loop {
            let count = input.block()?;
            if count == 0 {
                break;
            }
            for _ in 0..count {
                let (key, value) = (input.bytes()?, input.bytes()?);
                match key {
                    b"avro.schema" => schema = Some(value),
                    b"avro.codec" => codec = Some(value),
                    _ => {}
                }
            }
        }
        let mut marker = [0; MARKER];
        marker.copy_from_slice(input.take(MARKER)?);
        Ok((schema, codec, marker))
    };
    let Ok((schema, codec, marker)) = read() else { return Ok(None) };
    let schema = schema.and_then(|s| std::str::from_utf8(s).ok()).ok_or_else(|| damaged("it has no schema"))?;
    let codec = String::from_utf8_lossy(codec.unwrap_or(b"null"));
    let Some(known) = Codec::of(&codec) else {
        return Err(Error::data(format!("The file is compressed with '{codec}', which is not known"))
            .hint(format!("Known are {}", super::codec::NAMES.join(", "))));
    };
    let schema = AvroSchema::parse(schema).map_err(|e| damaged("its schema is none").caused_by(e))?;
    Ok(Some(Header { schema, codec: known, marker, length: input.at }))
}

/// The header of a file. The window stands at the file's beginning.
async fn read_header(window: &mut Window) -> Result<Header> {
    window.fill(1, HEADER_BYTES).await?;
    loop {
        if let Some(header) = header(&window.bytes)? {
            return Ok(header);
        }
        let wanted = window.bytes.len() + 1;
        if window.end() > HEADER_BYTES_MAX || !window.fill(wanted, FETCH_BYTES).await? {
            return Err(damaged("its header does not end"));
        }
    }
}

/// The schema that a file has with it.
pub(super) async fn schema(store: &Arc<dyn ObjectStore>, path: &Path, size: u64) -> Result<AvroSchema> {
    let mut window = Window::new(Arc::clone(store), path, size, 0);
    let header = read_header(&mut window).await.map_err(|e| e.with("file", path))?;
    Ok(header.schema)
}

#[async_trait]
impl BulkReaderFactory for FileDecoding {
    async fn open(
        &self,
        store: Arc<dyn ObjectStore>,
        path: &Path,
        file_size: u64,
        range: Option<(u64, u64)>,
        skip_rows: u64,
    ) -> Result<Box<dyn BulkReader>> {
        let named = |e: Error| e.with("file", path);
        let mut window = Window::new(store, path, file_size, 0);
        let header = read_header(&mut window).await.map_err(named)?;
        let rows = Rows::new(&self.context.schema)?;
        let resolved = Resolved::new(Arc::new(header.schema), &rows, &self.reader).map_err(named)?;
        let (start, end) = range.unwrap_or((0, u64::MAX));
        // The header's marker is like any other.
        let first = (header.length - MARKER) as u64;
        if start <= first {
            window.skip(header.length - MARKER);
        } else {
            window = Window::new(window.store, path, file_size, start);
        }
        let mut reader = AvroReader {
            window,
            codec: header.codec,
            marker: header.marker,
            end,
            resolved,
            rows,
            row_is_exact: start == 0,
            block: vec![],
            in_block: 0,
            left: 0,
            batch_bytes: 0,
            next_row: 0,
            skip: skip_rows,
            done: false,
        };
        reader.seek_marker().await.map_err(named)?;
        Ok(Box::new(reader))
    }
}

/// Bytes of records in a batch; a larger record goes alone.
const BATCH_BYTES: usize = 4 << 20;

struct AvroReader {
    /// Stands at a marker, or behind the last one.
    window: Window,
    codec: Codec,
    marker: [u8; MARKER],
    /// Blocks whose marker begins there or behind belong to the next piece.
    end: u64,
    resolved: Resolved,
    rows: Rows,
    row_is_exact: bool,
    /// The block that is being read, how far, and how many of its records are left.
    block: Vec<u8>,
    in_block: usize,
    left: u64,
    /// Bytes of the records of the batch so far.
    batch_bytes: usize,
    next_row: u64,
    /// Rows that were read before.
    skip: u64,
    done: bool,
}

impl AvroReader {
    /// Goes to the next marker.
    async fn seek_marker(&mut self) -> Result<()> {
        loop {
            if self.window.at >= self.end {
                self.done = true;
                return Ok(());
            }
            if let Some(at) = memchr::memmem::find(&self.window.bytes, &self.marker) {
                self.window.skip(at);
                self.done = self.window.at >= self.end;
                return Ok(());
            }
            // A marker may have begun at the end of what is there.
            let keep = self.window.bytes.len().min(MARKER - 1);
            self.window.skip(self.window.bytes.len() - keep);
            if !self.window.fill(keep + 1, FETCH_BYTES).await? {
                self.done = true;
                return Ok(());
            }
        }
    }

    /// Goes over the marker and takes the block behind it; false at the end.
    async fn next_block(&mut self) -> Result<bool> {
        if self.done || self.window.at >= self.end {
            return Ok(false);
        }
        let marker_at = self.window.at;
        let block_damaged = |why: &str| damaged(format!("{why}, in the block behind byte {marker_at}"));
        // The marker, two numbers.
        self.window.fill(MARKER + 20, FETCH_BYTES).await?;
        if self.window.bytes.len() == MARKER {
            return Ok(false);
        }
        let mut input = Input::new(&self.window.bytes);
        let numbers = input.take(MARKER).and_then(|_| Ok((input.long()?, input.long()?)));
        let (count, size) = numbers.map_err(|e| block_damaged(&e.reason))?;
        let start = input.at;
        let (Ok(count), Ok(size)) = (u64::try_from(count), usize::try_from(size)) else {
            return Err(block_damaged("a number is negative"));
        };
        if size > BLOCK_BYTES_MAX {
            return Err(block_damaged(&format!(
                "a block of {size} bytes, and {BLOCK_BYTES_MAX} are allowed (BLOCK_BYTES_MAX)"
            )));
        }
        let behind = start + size;
        while self.window.bytes.len() < behind + MARKER {
            if !self.window.fill(behind + MARKER, FETCH_BYTES).await? {
                return Err(block_damaged("the file ends early"));
            }
        }
        if self.window.bytes[behind..behind + MARKER] != self.marker {
            return Err(block_damaged("no marker follows"));
        }
        if self.skip >= count {
            self.skip -= count;
            self.next_row += count;
            self.left = 0;
        } else {
            let mut block = std::mem::take(&mut self.block);
            let packed = self.window.bytes.slice(start..behind);
            self.codec.unpack(&packed, &mut block).map_err(|e| {
                let why = e.message().to_string();
                block_damaged(&why).caused_by(e)
            })?;
            // Records without bytes cost nothing to claim.
            if count > EMPTY_RECORDS_MAX.max(block.len() as u64) {
                return Err(block_damaged(&format!("{count} records are claimed of {} bytes", block.len())));
            }
            (self.block, self.in_block, self.left) = (block, 0, count);
        }
        self.window.skip(behind);
        Ok(true)
    }

    fn batch_is_full(&self) -> bool {
        self.rows.rows >= BATCH_ROWS || self.batch_bytes >= BATCH_BYTES
    }

    async fn batch(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            while self.left > 0 && !self.batch_is_full() {
                let mut input = Input::new(&self.block);
                input.at = self.in_block;
                if self.skip > 0 {
                    let schema = self.resolved.schema();
                    input.skip(schema, schema.root).map_err(error)?;
                    self.skip -= 1;
                } else {
                    self.resolved.read(&mut input, &mut self.rows).map_err(|e| {
                        if self.row_is_exact {
                            e.with("row", self.next_row + 1)
                        } else {
                            e.with("block before byte", self.window.at)
                        }
                    })?;
                }
                if self.skip == 0 {
                    self.batch_bytes += input.at - self.in_block;
                }
                self.in_block = input.at;
                self.left -= 1;
                self.next_row += 1;
            }
            if self.left == 0 && self.in_block < self.block.len() {
                return Err(damaged(format!("bytes are left in the block before byte {}", self.window.at)));
            }
            if self.batch_is_full() {
                self.batch_bytes = 0;
                // Records that are NULL make no rows.
                if self.rows.rows > 0 {
                    return self.rows.take().map(Some);
                }
                continue;
            }
            self.block.clear();
            self.in_block = 0;
            if !self.next_block().await? {
                self.done = true;
                return if self.rows.rows == 0 { Ok(None) } else { self.rows.take().map(Some) };
            }
        }
    }
}

#[async_trait]
impl BulkReader for AvroReader {
    async fn next(&mut self) -> Result<Option<BulkBatch>> {
        match self.batch().await {
            Ok(Some(rows)) => Ok(Some(BulkBatch { rows, next_row: self.next_row })),
            Ok(None) => Ok(None),
            Err(e) => {
                self.done = true;
                Err(e.with("file", &self.window.path))
            }
        }
    }
}
