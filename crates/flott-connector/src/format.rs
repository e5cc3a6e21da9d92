//! Formats: bytes to change batches and back. Connectors name a format by its identifier and never depend on one.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use async_trait::async_trait;
use flott_core::options::{ConfigOption, Options};
use flott_core::{ChangeBatch, Error, Result, RowKinds};
use object_store::ObjectStore;
use object_store::path::Path;

use crate::factory::{ChangelogMode, MetadataKey};
use crate::infer::Infer;
use crate::schema_registry::KnownSchemas;

/// Where in its input a decoder stands, for error messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordPosition {
    /// The file, or topic and partition.
    pub origin: Arc<str>,
    /// Records before this one in `origin` (the first is row 1), or counted from `offset` where a split starts inside.
    pub row: u64,
    /// Byte offset of the record in `origin`.
    pub offset: u64,
    /// True where `row` counts from the start of `origin`; else messages give the byte offset.
    pub row_is_exact: bool,
}

/// What one call of a [`StreamDecoder`] did.
#[derive(Debug)]
pub struct Decoded {
    /// Bytes used; the next call starts behind them. 0 with no rows means: give me more bytes.
    pub consumed: usize,
    /// Whole records decoded from them.
    pub rows: Option<RecordBatch>,
    /// Of those rows, where they are changes; `None`: all are inserts.
    pub kinds: Option<RowKinds>,
    /// Records in `consumed`, decoded or skipped.
    pub records: u64,
    /// Records skipped as unreadable, where the options say so.
    pub skipped: u64,
}

/// Decodes a stream of bytes (a file of lines). One per split; holds no bytes between calls.
pub trait StreamDecoder: Send {
    /// Decodes whole records from the front of `input`, at most `max_rows`. `end_of_input` says that nothing follows,
    /// so that a last line without a line break is a record too. An error names row, column and text.
    fn decode(
        &mut self,
        input: &[u8],
        end_of_input: bool,
        max_rows: usize,
        position: &RecordPosition,
    ) -> Result<Decoded>;
}

/// Decodes single messages, each a whole record or several (a log's values). Rows may be changes.
pub trait MessageDecoder: Send {
    /// Decodes one message into the batch under construction; returns the number of rows added (0 for skipped or
    /// tombstone). `None` is a null value.
    fn decode(&mut self, message: Option<&[u8]>, position: &RecordPosition) -> Result<usize>;
    /// The rows since the last call.
    fn flush(&mut self) -> Result<ChangeBatch>;
    /// The schemas that it has looked up in a registry, for the state of its split; `None` without a registry.
    fn known_schemas(&self) -> Option<&KnownSchemas> {
        None
    }
    /// Schemas that a decoder before it has looked up: it need not ask for them.
    fn restore_schemas(&mut self, _schemas: &KnownSchemas) {}
}

/// How a file of lines can be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Splittable {
    /// Only whole.
    No,
    /// At any line break: a record never contains one.
    AtLineBreak,
    /// At a line break that lies outside quotes; the byte given is the quote. Cutting needs proof.
    OutsideQuotes(u8),
}

/// Makes stream decoders for a produced schema.
pub trait StreamDecoderFactory: Send + Sync {
    /// A decoder for a new split. `first` is true where the split starts at the beginning of the file (a header line
    /// is then skipped).
    fn create(&self, first: bool) -> Result<Box<dyn StreamDecoder>>;
    /// How files can be cut.
    fn splittable(&self) -> Splittable;
    /// For [`Splittable::OutsideQuotes`]: the delimiter, where it is one byte and where nothing but it, quotes at both
    /// ends of a field (doubled inside) and line breaks decides where a record ends (no escapes, comments, trimming).
    /// A file with quotes is cut only where this is known.
    fn quoted_field_delimiter(&self) -> Option<u8> {
        None
    }
}

/// Makes message decoders.
pub trait MessageDecoderFactory: Send + Sync {
    /// A decoder for one reader.
    fn create(&self) -> Result<Box<dyn MessageDecoder>>;
}

/// Reads files with an inner structure (Parquet, ORC).
#[async_trait]
pub trait BulkReader: Send {
    /// The next rows and the unit (row group, stripe) and row in it that follow them; `None` at the end.
    async fn next(&mut self) -> Result<Option<BulkBatch>>;
}

/// Rows of a bulk file and where the next ones stand.
#[derive(Debug)]
pub struct BulkBatch {
    /// The rows.
    pub rows: RecordBatch,
    /// Rows of the split read so far, these included: the position to resume from.
    pub next_row: u64,
}

/// Opens bulk files.
#[async_trait]
pub trait BulkReaderFactory: Send + Sync {
    /// Opens the part of a file whose units start in `range` of bytes, and skips `skip_rows` rows of it. `None` reads all.
    async fn open(
        &self,
        store: Arc<dyn ObjectStore>,
        path: &Path,
        file_size: u64,
        range: Option<(u64, u64)>,
        skip_rows: u64,
    ) -> Result<Box<dyn BulkReader>>;
}

/// How a format reads.
#[derive(Clone)]
pub enum Decoding {
    /// As a stream of records.
    Stream(Arc<dyn StreamDecoderFactory>),
    /// As files with an inner structure.
    Bulk(Arc<dyn BulkReaderFactory>),
}

/// Encodes rows.
pub trait Encoder: Send {
    /// Appends rows to `out`; a bulk format may keep them until [`finish`](Self::finish).
    fn encode(&mut self, rows: &ChangeBatch, out: &mut Vec<u8>) -> Result<()>;
    /// Appends a message for each row. A format that ends its records with a line break in files leaves it out here.
    fn encode_messages(&mut self, rows: &ChangeBatch, out: &mut Messages) -> Result<()> {
        for row in 0..rows.num_rows() {
            self.encode(&rows.slice(row, 1), &mut out.bytes)?;
            if out.bytes.last() == Some(&b'\n') {
                out.bytes.pop();
            }
            out.end();
        }
        Ok(())
    }
    /// Appends what ends a file (a footer).
    fn finish(&mut self, _out: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }
    /// Bytes kept inside, for rolling by size.
    fn buffered_bytes(&self) -> usize {
        0
    }
}

/// Messages, one a row, in one piece of memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Messages {
    /// All of them, one behind the other.
    pub bytes: Vec<u8>,
    /// Where each ends in `bytes`, and whether it is one at all: false is NULL (a tombstone in a log).
    pub ends: Vec<(usize, bool)>,
}

impl Messages {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True without any.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Forgets them, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Ends a message with the bytes that were appended since the last one.
    pub fn end(&mut self) {
        self.ends.push((self.bytes.len(), true));
    }

    /// Appends NULL.
    pub fn null(&mut self) {
        self.ends.push((self.bytes.len(), false));
    }

    /// A message, or `None` for NULL. Panics past the end, as a slice does.
    pub fn get(&self, row: usize) -> Option<&[u8]> {
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before].0);
        let (end, there) = self.ends[row];
        there.then(|| &self.bytes[start..end])
    }
}

/// Makes encoders, one per file or message stream.
pub trait EncoderFactory: Send + Sync {
    /// A new encoder.
    fn create(&self) -> Result<Box<dyn Encoder>>;
    /// The usual ending of files, without the dot.
    fn file_extension(&self) -> &str;
}

/// What a format is asked to read or write.
#[derive(Debug, Clone)]
pub struct FormatContext {
    /// The columns to produce or consume, with Flink types in the field metadata. For reading this may be a part of
    /// `declared` (projection).
    pub schema: SchemaRef,
    /// All physical columns that the data holds, in order (without partition columns).
    pub declared: SchemaRef,
    /// The format's options without its prefix.
    pub options: Options,
    /// `table.local-time-zone`, an IANA name.
    pub local_time_zone: String,
}

/// A format, by its identifier.
pub trait FormatFactory: Send + Sync {
    /// `csv`, `json`, …
    fn identifier(&self) -> &'static str;
    /// Its options, without the prefix `<identifier>.`.
    fn options(&self) -> &'static [ConfigOption];
    /// Which kinds of change its messages hold, and which it can write.
    fn changelog_mode(&self) -> ChangelogMode {
        ChangelogMode::INSERT_ONLY
    }
    /// For sources of files.
    fn decoding(&self, context: &FormatContext) -> Result<Decoding>;
    /// For sources of messages.
    fn message_decoding(&self, context: &FormatContext) -> Result<Arc<dyn MessageDecoderFactory>>;
    /// Metadata that its messages hold beside the columns (Flink's `listReadableMetadata`).
    fn readable_metadata(&self) -> Vec<MetadataKey> {
        vec![]
    }
    /// For sources of messages: the same with columns for metadata, in this order, behind those of `context.schema`.
    fn message_decoding_with(
        &self,
        context: &FormatContext,
        metadata: &[String],
    ) -> Result<Arc<dyn MessageDecoderFactory>> {
        if metadata.is_empty() {
            return self.message_decoding(context);
        }
        Err(Error::user(format!("Format '{}' has no metadata '{}'", self.identifier(), metadata.join("', '"))))
    }
    /// What says which columns its data has, where it can be told from the data or a schema.
    fn inference(&self) -> Option<Arc<dyn Infer>> {
        None
    }
    /// For sinks.
    fn encoding(&self, context: &FormatContext) -> Result<Arc<dyn EncoderFactory>>;
}
