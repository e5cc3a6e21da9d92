//! Rows packed one behind another, named by where they lie: what keyed operators remember whole rows in.

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, new_empty_array};
use arrow_row::{RowConverter, Rows, SortField};
use arrow_schema::{DataType, SchemaRef};
use flott_core::{Error, Result};

/// Bytes of rows that are gone at which all are packed anew, where they are more than those that are there.
const GARBAGE_MIN: usize = 64 * 1024;

/// Where a row lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    offset: usize,
    length: u32,
}

/// Packs rows of one schema.
pub(crate) struct Packing {
    converter: RowConverter,
    schema: SchemaRef,
}

impl Packing {
    pub(crate) fn new(schema: SchemaRef) -> Result<Packing> {
        let fields = schema.fields().iter().map(|f| SortField::new(f.data_type().clone())).collect();
        let converter = RowConverter::new(fields).map_err(|e| {
            Error::user(format!("rows with these columns cannot be kept by key: {e}"))
                .hint("Leave out columns of type MAP or MULTISET")
        })?;
        Ok(Packing { converter, schema })
    }

    pub(crate) fn pack(&self, columns: &[ArrayRef]) -> Result<Rows> {
        Ok(self.converter.convert_columns(columns)?)
    }

    /// Packed rows as columns.
    pub(crate) fn unpack<'a>(&self, rows: impl ExactSizeIterator<Item = &'a [u8]>) -> Result<Vec<ArrayRef>> {
        if rows.len() == 0 {
            let types = self.schema.fields().iter().map(|f| f.data_type());
            return Ok(types.map(|t: &DataType| new_empty_array(t)).collect());
        }
        let parser = self.converter.parser();
        Ok(self.converter.convert_rows(rows.map(|r| parser.parse(r)))?)
    }

    /// Packed rows as a batch.
    pub(crate) fn batch<'a>(&self, rows: impl ExactSizeIterator<Item = &'a [u8]>) -> Result<RecordBatch> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), self.unpack(rows)?, &options)?)
    }
}

/// The bytes.
#[derive(Default)]
pub(crate) struct Heap {
    bytes: Vec<u8>,
    garbage: usize,
}

impl Heap {
    pub(crate) fn put(&mut self, row: &[u8]) -> Span {
        let span = Span { offset: self.bytes.len(), length: row.len() as u32 };
        self.bytes.extend_from_slice(row);
        span
    }

    pub(crate) fn get(&self, span: Span) -> &[u8] {
        &self.bytes[span.offset..span.offset + span.length as usize]
    }

    /// A row is gone.
    pub(crate) fn free(&mut self, span: Span) {
        self.garbage += span.length as usize;
    }

    /// Packs what is there anew where much is gone; `spans` are those of all rows.
    pub(crate) fn compact<'a>(&mut self, spans: impl Iterator<Item = &'a mut Span>) {
        if self.garbage < GARBAGE_MIN || self.garbage * 2 < self.bytes.len() {
            return;
        }
        let mut packed = Vec::with_capacity(self.bytes.len() - self.garbage);
        for span in spans {
            let offset = packed.len();
            packed.extend_from_slice(&self.bytes[span.offset..span.offset + span.length as usize]);
            span.offset = offset;
        }
        (self.bytes, self.garbage) = (packed, 0);
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}
