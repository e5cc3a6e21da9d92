//! [`ChangeBatch`]: the unit in which rows travel.

use arrow_array::{Array, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow_schema::SchemaRef;

use crate::{Error, Result, RowKind, RowKinds};

/// Rows with their [`RowKind`]s. `kinds == None` means that all are `+I` (the append-only fast path).
///
/// Hot paths aim at 2,048 to 16,384 rows a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangeBatch {
    /// The columns.
    pub rows: RecordBatch,
    /// One kind a row, or `None` for all `+I`.
    pub kinds: Option<RowKinds>,
}

impl ChangeBatch {
    /// All rows `+I`.
    pub fn append(rows: RecordBatch) -> ChangeBatch {
        ChangeBatch { rows, kinds: None }
    }

    /// Rows with kinds; an all-`+I` vector becomes the append form. Fails where the lengths differ.
    pub fn new(rows: RecordBatch, kinds: RowKinds) -> Result<ChangeBatch> {
        if rows.num_rows() != kinds.len() {
            return Err(Error::internal(format!("{} rows with {} row kinds", rows.num_rows(), kinds.len())));
        }
        let kinds = (!kinds.all_insert()).then_some(kinds);
        Ok(ChangeBatch { rows, kinds })
    }

    /// No rows.
    pub fn empty(schema: SchemaRef) -> ChangeBatch {
        ChangeBatch::append(RecordBatch::new_empty(schema))
    }

    /// Number of rows.
    pub fn num_rows(&self) -> usize {
        self.rows.num_rows()
    }

    /// The columns' schema.
    pub fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }

    /// The kind of one row.
    pub fn kind(&self, row: usize) -> RowKind {
        self.kinds.as_ref().map_or(RowKind::Insert, |k| k.get(row))
    }

    /// Rows `offset .. offset + len` without copying.
    pub fn slice(&self, offset: usize, len: usize) -> ChangeBatch {
        ChangeBatch { rows: self.rows.slice(offset, len), kinds: self.kinds.as_ref().map(|k| k.slice(offset, len)) }
    }

    /// The rows where `keep` is true (null counts as false).
    pub fn filter(&self, keep: &BooleanArray) -> Result<ChangeBatch> {
        let rows = arrow_select::filter::filter_record_batch(&self.rows, keep)?;
        Ok(ChangeBatch { rows, kinds: self.kinds.as_ref().map(|k| k.filter(keep)) })
    }

    /// The rows at these numbers, in this order.
    pub fn take(&self, rows: &UInt32Array) -> Result<ChangeBatch> {
        let kinds = self.kinds.as_ref().map(|k| k.take(rows));
        Ok(ChangeBatch { rows: arrow_select::take::take_record_batch(&self.rows, rows)?, kinds })
    }

    /// The same kinds over other columns (of the same length), as a projection makes.
    pub fn with_rows(&self, rows: RecordBatch) -> ChangeBatch {
        debug_assert_eq!(rows.num_rows(), self.rows.num_rows());
        ChangeBatch { rows, kinds: self.kinds.clone() }
    }

    /// All rows of several batches of one schema.
    pub fn concat<'a>(schema: &SchemaRef, batches: impl IntoIterator<Item = &'a ChangeBatch>) -> Result<ChangeBatch> {
        let batches: Vec<&ChangeBatch> = batches.into_iter().collect();
        let rows = if schema.fields().is_empty() {
            let n = batches.iter().map(|b| b.num_rows()).sum();
            let options = RecordBatchOptions::new().with_row_count(Some(n));
            RecordBatch::try_new_with_options(schema.clone(), vec![], &options)?
        } else {
            arrow_select::concat::concat_batches(schema, batches.iter().map(|b| &b.rows))?
        };
        let kinds = batches
            .iter()
            .any(|b| b.kinds.is_some())
            .then(|| batches.iter().flat_map(|b| (0..b.num_rows()).map(|i| b.kind(i))).collect());
        Ok(ChangeBatch { rows, kinds })
    }

    /// Memory of the columns in bytes, shared buffers counted as often as they are seen: what flow control counts.
    pub fn size_bytes(&self) -> usize {
        let columns: usize = self.rows.columns().iter().map(|c| sliced_size(c.as_ref())).sum();
        columns + self.kinds.as_ref().map_or(0, RowKinds::len)
    }
}

/// Bytes of the slice that an array shows, not of the buffers that it points into.
fn sliced_size(array: &dyn Array) -> usize {
    array.to_data().get_slice_memory_size().unwrap_or_else(|_| array.get_array_memory_size())
}
