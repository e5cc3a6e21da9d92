//! Reads stripes.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow_schema::SchemaRef;
use async_trait::async_trait;
use bytes::Bytes;
use flott_connector::format::{BulkBatch, BulkReader, BulkReaderFactory, FormatContext};
use flott_core::{Error, Result};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::column::{ColumnReader, Streams};
use super::meta::{Encoding, FOOTER_BYTES_MAX, Footer, StreamKind, Stripe, StripeFooter, Tail, Type};
use super::plan::{self, Plan};
use super::stream::{Compression, Stream};
use super::zone::WriterZone;
use crate::builder::Rows;
use crate::wrong::{Read, Wrong, wrong};

/// Bytes of a stripe's columns that are read, as they stand in the file.
pub const STRIPE_BYTES_MAX: u64 = 1 << 30;
/// Bytes at the end of a file that are read first: most footers fit, which saves a request.
const TAIL_BYTES: u64 = 16 << 10;
/// Rows that are read at once, as in Flink.
const BATCH_ROWS: u64 = 2_048;

#[derive(Debug)]
pub(super) struct OrcDecoding {
    schema: SchemaRef,
}

impl OrcDecoding {
    pub(super) fn new(context: &FormatContext) -> Result<OrcDecoding> {
        // Types that have no columns here are refused before a file is opened.
        Rows::new(&context.schema)?;
        Ok(OrcDecoding { schema: Arc::clone(&context.schema) })
    }
}

/// A file and its size, as the listing gave it.
struct StoredFile {
    store: Arc<dyn ObjectStore>,
    path: Path,
    size: u64,
}

impl StoredFile {
    /// A range that no file of this size has comes from a damaged footer: asking the store would look like an outage.
    fn range(&self, start: u64, length: u64) -> Result<Range<u64>> {
        match start.checked_add(length) {
            Some(end) if end <= self.size => Ok(start..end),
            _ => {
                let size = self.size;
                self.corrupt(format!("it names {length} bytes from byte {start} on, and has {size}"))
            }
        }
    }

    async fn read(&self, start: u64, length: u64) -> Result<Bytes> {
        let range = self.range(start, length)?;
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let bytes = self.store.get_range(&self.path, range).await.map_err(|e| self.failed(e))?;
        self.check_length(&bytes, length)?;
        Ok(bytes)
    }

    /// What stores cut off at the end of a file that has become shorter.
    fn check_length(&self, bytes: &Bytes, length: u64) -> Result<()> {
        if bytes.len() as u64 == length {
            return Ok(());
        }
        Err(Error::data("The file has become shorter since it was listed")
            .with("file", &self.path)
            .hint("Write files under a name of their own, and never over others"))
    }

    fn failed(&self, e: object_store::Error) -> Error {
        let error = match &e {
            object_store::Error::NotFound { .. } => Error::user("The file is gone"),
            _ => Error::unavailable("The file cannot be read"),
        };
        error.with("file", &self.path).caused_by(e)
    }

    fn corrupt<T>(&self, reason: String) -> Result<T> {
        Err(Error::data(format!("The file is not a valid ORC file: {reason}"))
            .with("file", &self.path)
            .hint("It may be cut off or damaged, or not ORC at all; remove it from the folder or write it again"))
    }

    /// What is wrong with the file itself.
    fn check<T>(&self, read: Read<T>) -> Result<T> {
        read.or_else(|e| self.corrupt(e.reason))
    }

    async fn footer(&self) -> Result<(Footer, Compression)> {
        let tail_bytes = TAIL_BYTES.min(self.size);
        let bytes = self.read(self.size - tail_bytes, tail_bytes).await?;
        let tail = self.check(Tail::parse(&bytes))?;
        let after = tail.postscript_bytes;
        if tail.footer_bytes > FOOTER_BYTES_MAX as u64 {
            return self.corrupt(format!("its footer has more than {FOOTER_BYTES_MAX} bytes (FOOTER_BYTES_MAX)"));
        }
        let Some(start) = self.size.checked_sub(after + tail.footer_bytes) else {
            return self.corrupt("its footer is longer than the file".into());
        };
        let first = self.size - tail_bytes;
        let footer = match start.checked_sub(first) {
            Some(at) => bytes.slice(at as usize..(at + tail.footer_bytes) as usize),
            None => self.read(start, tail.footer_bytes).await?,
        };
        Ok((self.check(Footer::parse(footer, tail.compression))?, tail.compression))
    }
}

/// The types of a file, the first one that of its rows.
pub(super) async fn types(store: Arc<dyn ObjectStore>, path: &Path, size: u64) -> Result<Vec<Type>> {
    let file = StoredFile { store, path: path.clone(), size };
    Ok(file.footer().await?.0.types)
}

#[async_trait]
impl BulkReaderFactory for OrcDecoding {
    async fn open(
        &self,
        store: Arc<dyn ObjectStore>,
        path: &Path,
        file_size: u64,
        range: Option<(u64, u64)>,
        skip_rows: u64,
    ) -> Result<Box<dyn BulkReader>> {
        let file = StoredFile { store, path: path.clone(), size: file_size };
        let (footer, compression) = file.footer().await?;
        let rows = Rows::new(&self.schema)?;
        let plans = plan::of_row(&footer.types, 0, &rows.columns).map_err(|e| unfit(e, path))?;
        let mut wanted = vec![];
        plan::wanted(&plans, &mut wanted);
        wanted.sort_unstable();
        let mut skip = skip_rows;
        let mut stripes: Vec<Stripe> = footer.stripes;
        stripes.retain(|s| range.is_none_or(|(from, to)| (from..to).contains(&s.offset)));
        // Whole stripes that were read before need not be opened.
        let mut first = 0;
        while stripes.get(first).is_some_and(|s| s.rows <= skip) {
            skip -= stripes[first].rows;
            first += 1;
        }
        stripes.drain(..first);
        stripes.reverse();
        Ok(Box::new(OrcReader {
            file,
            compression,
            columns: footer.types.len(),
            plans,
            wanted,
            stripes,
            rows,
            open: None,
            skip,
            next_row: skip_rows,
        }))
    }
}

#[expect(clippy::boxed_local, reason = "as it comes from where it went wrong")]
fn unfit(wrong: Box<Wrong>, path: &Path) -> Error {
    Error::user(wrong.reason)
        .with("column", wrong.path)
        .with("file", path)
        .hint("Change the column in the table's declaration, and CAST in the query")
}

struct OrcReader {
    file: StoredFile,
    compression: Compression,
    /// Columns of the file.
    columns: usize,
    plans: Vec<Option<Plan>>,
    /// Columns of the file that are read.
    wanted: Vec<usize>,
    /// Stripes that follow, the next one last.
    stripes: Vec<Stripe>,
    rows: Rows,
    open: Option<OpenStripe>,
    /// Rows of the next stripe that were read before.
    skip: u64,
    next_row: u64,
}

struct OpenStripe {
    readers: Vec<Option<ColumnReader>>,
    rows_left: u64,
}

/// The streams of a stripe that are read.
struct Loaded {
    streams: HashMap<(usize, u8), Bytes>,
    encodings: Vec<Encoding>,
    compression: Compression,
}

impl Streams for Loaded {
    fn stream(&mut self, column: usize, kind: StreamKind) -> Option<Stream> {
        // Not taken away: two columns of a table may read one of the file.
        let bytes = self.streams.get(&(column, kind as u8)).cloned();
        bytes.map(|bytes| Stream::new(bytes, self.compression))
    }

    fn empty(&self) -> Stream {
        Stream::new(Bytes::new(), self.compression)
    }

    fn encoding(&self, column: usize) -> Encoding {
        self.encodings.get(column).copied().unwrap_or_default()
    }
}

impl OrcReader {
    async fn open(&self, stripe: Stripe) -> Result<OpenStripe> {
        let file = &self.file;
        let Some(content) = stripe.index_bytes.checked_add(stripe.data_bytes) else {
            return file.corrupt("a stripe is longer than the file".into());
        };
        file.range(stripe.offset, content)?;
        if stripe.footer_bytes > FOOTER_BYTES_MAX as u64 {
            return file
                .corrupt(format!("a stripe's footer has more than {FOOTER_BYTES_MAX} bytes (FOOTER_BYTES_MAX)"));
        }
        let footer = file.read(stripe.offset + content, stripe.footer_bytes).await?;
        let footer = file.check(StripeFooter::parse(footer, self.compression))?;
        if footer.encodings.len() > self.columns {
            return file.corrupt("a stripe has more columns than the file".into());
        }
        let (mut at, mut total) = (0u64, 0u64);
        let (mut keys, mut ranges) = (vec![], vec![]);
        for stream in &footer.streams {
            let start = stripe.offset + at;
            at = at.saturating_add(stream.bytes);
            if at > content {
                return file.corrupt("a stripe's streams are longer than the stripe".into());
            }
            if stream.kind != StreamKind::Other && stream.bytes > 0 && self.wanted.binary_search(&stream.column).is_ok()
            {
                total += stream.bytes;
                keys.push((stream.column, stream.kind as u8));
                ranges.push(start..start + stream.bytes);
            }
        }
        if total > STRIPE_BYTES_MAX {
            return file.corrupt(format!("a stripe has more than {STRIPE_BYTES_MAX} bytes (STRIPE_BYTES_MAX)"));
        }
        let bytes = match ranges.is_empty() {
            true => vec![],
            false => file.store.get_ranges(&file.path, &ranges).await.map_err(|e| file.failed(e))?,
        };
        for (range, bytes) in ranges.iter().zip(&bytes) {
            file.check_length(bytes, range.end - range.start)?;
        }
        let streams = keys.into_iter().zip(bytes).collect();
        let mut loaded = Loaded { streams, encodings: footer.encodings, compression: self.compression };
        let zone = file.check(WriterZone::parse(footer.time_zone.as_deref()))?;
        let mut readers = vec![];
        for plan in &self.plans {
            let reader = plan.as_ref().map(|plan| ColumnReader::new(plan, &mut loaded, zone)).transpose();
            readers.push(file.check(reader)?);
        }
        Ok(OpenStripe { readers, rows_left: stripe.rows })
    }

    /// Reads so many rows of the open stripe.
    fn batch(&mut self, count: u64) -> Read<()> {
        let Some(open) = &mut self.open else { return wrong("no stripe is open") };
        let rows = usize::try_from(count).unwrap_or(usize::MAX);
        for (reader, column) in open.readers.iter_mut().zip(&mut self.rows.columns) {
            match reader {
                Some(reader) => {
                    reader.read(rows, None, column).map_err(|e| crate::wrong::below(e, column.field.name()))?;
                }
                None => (0..rows).for_each(|_| column.push_null()),
            }
        }
        open.rows_left -= count;
        self.rows.rows += rows;
        Ok(())
    }

    fn next_batch(&mut self, count: u64) -> Result<()> {
        let read = self.batch(count);
        read.map_err(|e| {
            self.rows.truncate(0);
            self.open = None;
            self.stripes.clear();
            let (path, reason) = (e.path, e.reason);
            Error::data(reason)
                .with("column", path)
                .with("file", &self.file.path)
                .hint("The file may be damaged, or hold values that the column's type does not: declare a wider one, or without NOT NULL")
        })
    }
}

#[async_trait]
impl BulkReader for OrcReader {
    async fn next(&mut self) -> Result<Option<BulkBatch>> {
        loop {
            if self.open.as_ref().is_none_or(|o| o.rows_left == 0) {
                let Some(stripe) = self.stripes.last().copied() else { return Ok(None) };
                // It stays the next one until it is open: who asks again after an error, or after a wait that was given up,
                // must miss no row.
                self.open = Some(self.open(stripe).await?);
                self.stripes.pop();
                continue;
            }
            let left = self.open.as_ref().map_or(0, |o| o.rows_left);
            if self.skip > 0 {
                let count = self.skip.min(BATCH_ROWS).min(left);
                self.next_batch(count)?;
                self.rows.truncate(0);
                self.skip -= count;
                continue;
            }
            let count = left.min(BATCH_ROWS);
            self.next_batch(count)?;
            let rows = self.rows.take().map_err(|e| e.with("file", &self.file.path))?;
            self.next_row += count;
            return Ok(Some(BulkBatch { rows, next_row: self.next_row }));
        }
    }
}
