//! What a source reads, and the columns that come from a file's name and not from its content.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::{
    ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, StringArray, TimestampMillisecondArray, UInt32Array,
};
use arrow_schema::{FieldRef, SchemaRef};
use flott_connector::factory::PartitionFilter;
use flott_connector::format::Decoding;
use flott_connector::storage::StorageLocation;
use flott_core::Result;

use crate::listing::Selection;
use crate::partition;
use crate::split::FileSplit;

/// Where an output column comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum OutputColumn {
    /// A column of the file.
    File(usize),
    /// A partition key.
    Partition(usize),
    /// `file.path`
    Path,
    /// `file.name`
    Name,
    /// `file.size`
    Size,
    /// `file.modification-time`
    ModificationTime,
}

/// What a source reads.
pub(crate) struct FileScan {
    pub(crate) location: StorageLocation,
    pub(crate) selection: Arc<Selection>,
    pub(crate) monitor: Option<Duration>,
    /// Of a piece, where it is set.
    pub(crate) split_bytes: Option<u64>,
    pub(crate) decoding: Decoding,
    /// What is produced.
    pub(crate) schema: SchemaRef,
    pub(crate) columns: Vec<OutputColumn>,
    pub(crate) partition_keys: Vec<String>,
    pub(crate) default_partition: String,
    /// The partitions that are read, where not all are.
    pub(crate) wanted: Option<Wanted>,
}

/// Some of the partitions of a table.
pub(crate) struct Wanted {
    /// The partition columns, in the order of the keys.
    pub(crate) keys: SchemaRef,
    pub(crate) filter: PartitionFilter,
}

impl FileScan {
    pub(crate) fn is_bulk(&self) -> bool {
        matches!(self.decoding, Decoding::Bulk(_))
    }

    /// The delimiter where quotes and delimiter are all that decides where a record ends.
    pub(crate) fn strict_delimiter(&self) -> Option<u8> {
        match &self.decoding {
            Decoding::Stream(factory) => factory.quoted_field_delimiter(),
            Decoding::Bulk(_) => None,
        }
    }

    /// Whether a file is of a partition that is wanted. One whose values cannot be read is: its reader says what is wrong.
    pub(crate) fn wants(&self, file: &str) -> bool {
        let Some(Wanted { keys, filter }) = &self.wanted else { return true };
        let wanted = || -> Result<bool> {
            let values = partition::values_of(file, &self.partition_keys, &self.default_partition)?;
            let typed = |(value, field): (&Option<String>, &FieldRef)| {
                partition::typed(value.as_deref(), field.data_type(), file, field.name())
            };
            let columns = values.iter().zip(keys.fields()).map(typed).collect::<Result<_>>()?;
            filter(&RecordBatch::try_new(Arc::clone(keys), columns)?)
        };
        wanted().unwrap_or(true)
    }

    /// The columns of one file, made once.
    pub(crate) fn constants(self: &Arc<Self>, split: &FileSplit) -> Result<Constants> {
        let file = split.path.as_str();
        let values = partition::values_of(file, &self.partition_keys, &self.default_partition)?;
        let mut single = vec![];
        for (column, field) in self.columns.iter().zip(self.schema.fields()) {
            let one: ArrayRef = match column {
                OutputColumn::File(_) => continue,
                OutputColumn::Partition(i) => {
                    partition::typed(values[*i].as_deref(), field.data_type(), file, field.name())?
                }
                OutputColumn::Path => Arc::new(StringArray::from(vec![file])),
                OutputColumn::Name => Arc::new(StringArray::from(vec![file.rsplit('/').next().unwrap_or("")])),
                OutputColumn::Size => Arc::new(Int64Array::from(vec![split.file_size as i64])),
                OutputColumn::ModificationTime => {
                    Arc::new(TimestampMillisecondArray::from(vec![split.modified_ms]).with_timezone("UTC"))
                }
            };
            single.push(one);
        }
        Ok(Constants { scan: Arc::clone(self), repeated: single.clone(), single, rows: 1 })
    }
}

/// The columns that have one value in all rows of a file.
pub(crate) struct Constants {
    scan: Arc<FileScan>,
    single: Vec<ArrayRef>,
    /// The same, `rows` times: batches are slices of it.
    repeated: Vec<ArrayRef>,
    rows: usize,
}

impl Constants {
    pub(crate) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.scan.schema)
    }

    /// Puts the file's rows and its constants in the order that the table wants.
    pub(crate) fn output(&mut self, rows: RecordBatch) -> Result<RecordBatch> {
        let count = rows.num_rows();
        if count > self.rows {
            let zeroes = UInt32Array::from(vec![0u32; count]);
            let repeat = |one| Ok(arrow_select::take::take(one, &zeroes, None)?);
            self.repeated = self.single.iter().map(|one| repeat(one.as_ref())).collect::<Result<_>>()?;
            self.rows = count;
        }
        let mut constants = self.repeated.iter();
        let mut columns = Vec::with_capacity(self.scan.columns.len());
        for column in &self.scan.columns {
            match column {
                OutputColumn::File(i) => columns.push(Arc::clone(rows.column(*i))),
                _ => columns.extend(constants.next().map(|c| c.slice(0, count))),
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.scan.schema), columns, &options)?)
    }
}
