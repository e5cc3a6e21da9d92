//! Reads row groups.

use flott_core::types::map_key_field;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions, new_null_array};
use arrow_schema::{DataType, FieldRef, Schema, SchemaRef};
use async_trait::async_trait;
use flott_connector::format::{BulkBatch, BulkReader, BulkReaderFactory, FormatContext};
use flott_core::{Error, Result};
use futures::{FutureExt, StreamExt};
use object_store::ObjectStore;
use object_store::path::Path;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::async_reader::{ParquetRecordBatchStream, ParquetRecordBatchStreamBuilder};
use parquet::basic::Type as PhysicalType;
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::schema::types::SchemaDescriptor;

use super::options::ParquetOptions;
use super::store::StoredFile;
use super::types::{absent, adapt};

#[derive(Debug)]
pub(super) struct ParquetDecoding {
    schema: SchemaRef,
    options: ParquetOptions,
}

impl ParquetDecoding {
    pub(super) fn new(context: &FormatContext, options: ParquetOptions) -> Result<ParquetDecoding> {
        Ok(ParquetDecoding { schema: context.schema.clone(), options })
    }

    async fn open_file(
        &self,
        store: Arc<dyn ObjectStore>,
        path: &Path,
        file_size: u64,
        range: Option<(u64, u64)>,
        skip_rows: u64,
    ) -> Result<ParquetReader> {
        let fail = |e: ParquetError| failed(e, path);
        let mut input = StoredFile { store, path: path.clone(), size: file_size };
        // Only Parquet's own types count: a writer's notes on Arrow types could ask for types that Flink lacks.
        let plain = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = ArrowReaderMetadata::load_async(&mut input, plain.clone()).await.map_err(fail)?;
        let columns = self.columns(&metadata).map_err(|e| e.with("file", path))?;
        let metadata = match self.int96_hint(&metadata, &columns) {
            None => metadata,
            Some(hinted) => {
                ArrowReaderMetadata::try_new(metadata.metadata().clone(), plain.with_schema(hinted)).map_err(fail)?
            }
        };
        let groups: Vec<usize> = metadata
            .metadata()
            .row_groups()
            .iter()
            .enumerate()
            .filter(|(_, g)| range.is_none_or(|(from, to)| (from..to).contains(&start_of(g))))
            .map(|(i, _)| i)
            .collect();
        let total: u64 =
            groups.iter().map(|i| u64::try_from(metadata.metadata().row_group(*i).num_rows()).unwrap_or(0)).sum();
        let mask = ProjectionMask::roots(metadata.parquet_schema(), columns.iter().filter_map(|c| c.index));
        let skip = usize::try_from(skip_rows.min(total)).unwrap_or(usize::MAX);
        let stream = ParquetRecordBatchStreamBuilder::new_with_metadata(input, metadata)
            .with_projection(mask)
            .with_row_groups(groups)
            .with_batch_size(self.options.batch_rows)
            .with_offset(skip)
            .build()
            .map_err(fail)?;
        Ok(ParquetReader {
            stream,
            columns,
            schema: self.schema.clone(),
            options: self.options.clone(),
            path: path.clone(),
            next_row: skip_rows,
            done: skip_rows >= total,
        })
    }

    /// Where in the file each wanted column is.
    fn columns(&self, metadata: &ArrowReaderMetadata) -> Result<Vec<FileColumn>> {
        let file = metadata.schema();
        let descriptor = metadata.parquet_schema();
        self.schema
            .fields()
            .iter()
            .map(|f| {
                let Some(index) = file.fields().iter().position(|c| c.name() == f.name()) else {
                    return absent(f, f.name(), file.fields()).map(|()| FileColumn { index: None, instant: false });
                };
                let int96 = has_int96(descriptor, index);
                let adjusted = has_zone(file.field(index).data_type());
                Ok(FileColumn { index: Some(index), instant: int96 || adjusted })
            })
            .collect()
    }

    /// INT96 is read in the unit that the table wants, so that years outside 1677 to 2262 are no problem.
    fn int96_hint(&self, metadata: &ArrowReaderMetadata, columns: &[FileColumn]) -> Option<SchemaRef> {
        let descriptor = metadata.parquet_schema();
        let mut leaf = 0;
        let hinted = |(i, of_file): (usize, &FieldRef)| {
            let wanted = columns.iter().zip(self.schema.fields()).find(|(c, _)| c.index == Some(i)).map(|(_, f)| f);
            hint(of_file, wanted.map(|f| f.data_type()), descriptor, &mut leaf)
        };
        let fields: Vec<FieldRef> = metadata.schema().fields().iter().enumerate().map(hinted).collect();
        let changed = fields.iter().zip(metadata.schema().fields()).any(|(hinted, of_file)| hinted != of_file);
        changed.then(|| Arc::new(Schema::new_with_metadata(fields, metadata.schema().metadata().clone())))
    }
}

/// The field of a file with the wanted units for its INT96 leaves; `leaf` counts the leaves of the file.
fn hint(of_file: &FieldRef, wanted: Option<&DataType>, descriptor: &SchemaDescriptor, leaf: &mut usize) -> FieldRef {
    let mut child = |f: &FieldRef, wanted: Option<&DataType>| hint(f, wanted, descriptor, leaf);
    let data_type = match of_file.data_type() {
        DataType::List(element) => DataType::List(child(element, element_of(wanted))),
        DataType::Map(entries, sorted) => DataType::Map(child(entries, element_of(wanted)), *sorted),
        DataType::Struct(fields) => {
            let named = |f: &FieldRef, i: usize| match wanted {
                // Keys and values are found by their place.
                Some(DataType::Struct(wanted)) if wanted.len() == 2 && wanted.find(f.name()).is_none() => {
                    if i == 0 {
                        Some(map_key_field(wanted).data_type())
                    } else {
                        wanted.get(i).map(|w| w.data_type())
                    }
                }
                Some(DataType::Struct(wanted)) => wanted.find(f.name()).map(|(_, w)| w.data_type()),
                _ => None,
            };
            DataType::Struct(fields.iter().enumerate().map(|(i, f)| child(f, named(f, i))).collect())
        }
        plain => {
            let int96 = descriptor.column(*leaf).physical_type() == PhysicalType::INT96;
            *leaf += 1;
            match wanted {
                Some(DataType::Timestamp(unit, _)) if int96 => DataType::Timestamp(*unit, None),
                _ => plain.clone(),
            }
        }
    };
    if &data_type == of_file.data_type() {
        return of_file.clone();
    }
    Arc::new(of_file.as_ref().clone().with_data_type(data_type))
}

fn element_of(data_type: Option<&DataType>) -> Option<&DataType> {
    match data_type {
        Some(DataType::List(f) | DataType::Map(f, _)) => Some(f.data_type()),
        _ => None,
    }
}

fn has_int96(descriptor: &SchemaDescriptor, root: usize) -> bool {
    (0..descriptor.num_columns()).any(|leaf| {
        descriptor.get_column_root_idx(leaf) == root && descriptor.column(leaf).physical_type() == PhysicalType::INT96
    })
}

fn has_zone(data_type: &DataType) -> bool {
    match data_type {
        DataType::Timestamp(_, zone) => zone.is_some(),
        DataType::List(f) | DataType::Map(f, _) => has_zone(f.data_type()),
        DataType::Struct(fields) => fields.iter().any(|f| has_zone(f.data_type())),
        _ => false,
    }
}

/// Where a row group begins.
fn start_of(group: &RowGroupMetaData) -> u64 {
    group
        .columns()
        .iter()
        .map(|c| c.dictionary_page_offset().unwrap_or(i64::MAX).min(c.data_page_offset()))
        .min()
        .and_then(|start| u64::try_from(start).ok())
        .unwrap_or(0)
}

#[async_trait]
impl BulkReaderFactory for ParquetDecoding {
    async fn open(
        &self,
        store: Arc<dyn ObjectStore>,
        path: &Path,
        file_size: u64,
        range: Option<(u64, u64)>,
        skip_rows: u64,
    ) -> Result<Box<dyn BulkReader>> {
        // A corrupt file must not bring the process down, whatever the library does with it.
        let opened = AssertUnwindSafe(self.open_file(store, path, file_size, range, skip_rows)).catch_unwind().await;
        Ok(Box::new(opened.unwrap_or_else(|_| Err(corrupt(path)))?))
    }
}

/// A wanted column in a file.
#[derive(Debug, Clone, Copy)]
struct FileColumn {
    /// Where in the file; `None` for a column that the file lacks.
    index: Option<usize>,
    /// Its timestamps are instants.
    instant: bool,
}

struct ParquetReader {
    stream: ParquetRecordBatchStream<StoredFile>,
    columns: Vec<FileColumn>,
    schema: SchemaRef,
    options: ParquetOptions,
    path: Path,
    next_row: u64,
    done: bool,
}

impl ParquetReader {
    /// Brings a batch of the file to the table's columns.
    fn adapt(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        // The file's columns come in the file's order, each once.
        let mut order: Vec<usize> = self.columns.iter().filter_map(|c| c.index).collect();
        order.sort_unstable();
        order.dedup();
        let arrays = self
            .columns
            .iter()
            .zip(self.schema.fields())
            .map(|(column, field)| {
                let Some(index) = column.index else { return Ok(new_null_array(field.data_type(), batch.num_rows())) };
                let at = order.binary_search(&index).unwrap_or(0);
                adapt(batch.column(at), field, field.name(), column.instant, self.options.zone.as_ref())
            })
            .collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)?)
    }
}

#[async_trait]
impl BulkReader for ParquetReader {
    async fn next(&mut self) -> Result<Option<BulkBatch>> {
        if self.done {
            return Ok(None);
        }
        let next = AssertUnwindSafe(self.stream.next()).catch_unwind().await;
        let batch = match next {
            Ok(Some(Ok(batch))) => batch,
            Ok(None) => {
                self.done = true;
                return Ok(None);
            }
            Ok(Some(Err(e))) => {
                self.done = true;
                return Err(failed(e, &self.path));
            }
            Err(_) => {
                self.done = true;
                return Err(corrupt(&self.path));
            }
        };
        let rows = self.adapt(&batch).map_err(|e| e.with("file", &self.path))?;
        self.next_row += rows.num_rows() as u64;
        Ok(Some(BulkBatch { rows, next_row: self.next_row }))
    }
}

fn corrupt(path: &Path) -> Error {
    Error::data("The file is not a valid Parquet file")
        .with("file", path)
        .hint("It may be cut off or damaged, or not Parquet at all; remove it from the folder or write it again")
}

pub(super) fn failed(e: ParquetError, path: &Path) -> Error {
    match e {
        ParquetError::External(cause) => match cause.downcast::<object_store::Error>() {
            Ok(store) if matches!(*store, object_store::Error::NotFound { .. }) => {
                Error::user("The file is gone").with("file", path).caused_by(*store)
            }
            Ok(store) => Error::unavailable("The file cannot be read").with("file", path).caused_by(*store),
            Err(other) => corrupt(path).caused_by(ParquetError::External(other)),
        },
        other => corrupt(path).caused_by(other),
    }
}
