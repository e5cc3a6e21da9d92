//! Writes row groups: they are held in memory, encoded, until they have their size.

use flott_core::types::{has_null_key, map_array, map_key_field, map_keys};
use std::io::Write;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use flott_connector::format::{Encoder, EncoderFactory};
use flott_core::{ChangeBatch, Error, Result};
use parking_lot::Mutex;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::{LogicalType, Repetition, Type as PhysicalType};
use parquet::data_type::{Int96, Int96Type};
use parquet::errors::ParquetError;
use parquet::file::properties::{WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{Type, TypePtr};

use super::levels::{self, LeafPath, Levels};
use super::options::{Int64Unit, ParquetOptions};
use super::types::convert;
use crate::builder::primitive;

/// The Julian day of 1970-01-01, from which INT96 counts.
const JULIAN_EPOCH_DAYS: i64 = 2_440_588;
/// Flink's name of the root.
const ROOT_NAME: &str = "flink_schema";

#[derive(Debug)]
pub(super) struct ParquetEncoding {
    plan: Arc<WritePlan>,
}

/// What all files of a table share.
#[derive(Debug)]
struct WritePlan {
    /// The columns as they are written.
    fields: Vec<FieldRef>,
    /// The leaves of each column.
    leaves: Vec<Vec<Leaf>>,
    root: TypePtr,
    arrow: SchemaRef,
    properties: WriterPropertiesPtr,
    options: ParquetOptions,
}

impl ParquetEncoding {
    pub(super) fn new(schema: SchemaRef, options: ParquetOptions) -> Result<ParquetEncoding> {
        let fields: Vec<FieldRef> = schema.fields().iter().map(|f| written(f, &options)).collect();
        let leaves = leaves_of(&fields, &options);
        let arrow = Arc::new(Schema::new(fields.clone()));
        let properties = WriterProperties::builder()
            .set_created_by(concat!("flott version ", env!("CARGO_PKG_VERSION")).to_string())
            .set_compression(options.compression)
            .set_dictionary_enabled(options.dictionary)
            .set_dictionary_page_size_limit(options.dictionary_page_bytes)
            .set_data_page_size_limit(options.page_bytes)
            .set_writer_version(options.version)
            // Names inside lists and maps as the Parquet specification has them.
            .set_coerce_types(true)
            .build();
        let converted = ArrowSchemaConverter::new()
            .with_coerce_types(true)
            .schema_root(ROOT_NAME)
            .convert(&arrow)
            .map_err(|e| Error::user("Format 'parquet' cannot write this table").caused_by(e))?;
        let columns = converted.root_schema().get_fields().iter();
        let columns = columns
            .map(|column| if options.int64_timestamps.is_none() { int96_type(column) } else { Ok(column.clone()) })
            .collect::<Result<Vec<_>, ParquetError>>();
        let root = columns
            .and_then(|columns| Type::group_type_builder(ROOT_NAME).with_fields(columns).build())
            .map_err(|e| Error::internal("a Parquet schema could not be built").caused_by(e))?;
        let (root, properties) = (Arc::new(root), Arc::new(properties));
        Ok(ParquetEncoding { plan: Arc::new(WritePlan { fields, leaves, root, arrow, properties, options }) })
    }
}

/// How a leaf is written.
#[derive(Debug)]
enum Leaf {
    /// As INT96, by ourselves.
    Int96(LeafPath),
    /// By the library.
    Library,
}

fn leaves_of(fields: &[FieldRef], options: &ParquetOptions) -> Vec<Vec<Leaf>> {
    let of_field = |f: &FieldRef| {
        let mut found = vec![];
        levels::leaves(f.data_type(), &mut found);
        let leaf = |(path, data_type): (LeafPath, &DataType)| match data_type {
            DataType::Timestamp(..) if options.int64_timestamps.is_none() => Leaf::Int96(path),
            _ => Leaf::Library,
        };
        found.into_iter().map(leaf).collect()
    };
    fields.iter().map(of_field).collect()
}

/// The type with INT96 for its timestamps, at any depth.
fn int96_type(column: &TypePtr) -> Result<TypePtr, ParquetError> {
    let info = column.get_basic_info();
    let repetition = if info.has_repetition() { info.repetition() } else { Repetition::OPTIONAL };
    if column.is_primitive() {
        let is_timestamp = matches!(info.logical_type_ref(), Some(LogicalType::Timestamp { .. }));
        if !is_timestamp {
            return Ok(column.clone());
        }
        let int96 = Type::primitive_type_builder(column.name(), PhysicalType::INT96).with_repetition(repetition);
        return Ok(Arc::new(int96.build()?));
    }
    let fields = column.get_fields().iter().map(int96_type).collect::<Result<Vec<_>, _>>()?;
    let group = Type::group_type_builder(column.name())
        .with_repetition(repetition)
        .with_converted_type(info.converted_type())
        .with_logical_type(info.logical_type_ref().cloned())
        .with_fields(fields);
    Ok(Arc::new(group.build()?))
}

/// The field with its timestamps in the unit that is written, at any depth.
fn written(field: &FieldRef, options: &ParquetOptions) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Timestamp(unit, zone) => {
            let unit = match options.int64_timestamps {
                None => *unit,
                Some(Int64Unit::Millis) => TimeUnit::Millisecond,
                Some(Int64Unit::Micros) => TimeUnit::Microsecond,
                Some(Int64Unit::Nanos) => TimeUnit::Nanosecond,
            };
            DataType::Timestamp(unit, zone.clone())
        }
        DataType::List(element) => DataType::List(written(element, options)),
        // Parquet has no NULL among keys.
        DataType::Map(entries, sorted) => match entries.data_type() {
            DataType::Struct(kv) if kv.len() == 2 => {
                let key = written(map_key_field(kv), options).as_ref().clone().with_nullable(false);
                let kv = vec![Arc::new(key), written(&kv[1], options)];
                let entries = Field::new(entries.name(), DataType::Struct(kv.into()), false);
                DataType::Map(Arc::new(entries), *sorted)
            }
            _ => field.data_type().clone(),
        },
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(|f| written(f, options)).collect()),
        // Parquet has no intervals that fit: the number alone is written, as Flink does.
        DataType::Interval(arrow_schema::IntervalUnit::YearMonth) => DataType::Int32,
        DataType::Duration(_) => DataType::Int64,
        other => other.clone(),
    };
    Arc::new(Field::new(field.name(), data_type, field.is_nullable()))
}

impl EncoderFactory for ParquetEncoding {
    fn create(&self) -> Result<Box<dyn Encoder>> {
        let plan = self.plan.clone();
        let sink = Sink::default();
        let writer =
            SerializedFileWriter::new(sink.clone(), plan.root.clone(), plan.properties.clone()).map_err(internal)?;
        let factory = ArrowRowGroupWriterFactory::new(&writer, plan.arrow.clone());
        Ok(Box::new(ParquetEncoder { plan, sink, writer: Some(writer), factory, group: None, groups: 0 }))
    }

    fn file_extension(&self) -> &str {
        "parquet"
    }
}

/// Where the file's bytes go until the caller takes them.
#[derive(Debug, Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct ParquetEncoder {
    plan: Arc<WritePlan>,
    sink: Sink,
    /// `None` once the file is finished.
    writer: Option<SerializedFileWriter<Sink>>,
    factory: ArrowRowGroupWriterFactory,
    group: Option<RowGroup>,
    groups: usize,
}

/// A row group under construction.
struct RowGroup {
    leaves: Vec<ArrowColumnWriter>,
    /// Values and levels of each leaf that is written as INT96.
    int96: Vec<(Vec<Int96>, Levels)>,
    rows: usize,
}

impl RowGroup {
    fn bytes(&self) -> usize {
        self.leaves.iter().map(ArrowColumnWriter::get_estimated_total_bytes).sum::<usize>()
            + self
                .int96
                .iter()
                .map(|(v, l)| v.len() * 12 + (l.definition.len() + l.repetition.len()) / 8)
                .sum::<usize>()
    }
}

impl Encoder for ParquetEncoder {
    fn encode(&mut self, rows: &ChangeBatch, out: &mut Vec<u8>) -> Result<()> {
        if rows.kinds.is_some() {
            return Err(Error::user("Format 'parquet' can only write inserts, but the rows hold updates or deletes"));
        }
        if self.writer.is_none() {
            return Err(Error::internal("a finished Parquet file was written to"));
        }
        if rows.rows.num_columns() != self.plan.fields.len() {
            return Err(Error::internal("rows do not fit the Parquet schema"));
        }
        let group = match &mut self.group {
            Some(group) => group,
            none => none.insert(RowGroup {
                leaves: self.factory.create_column_writers(self.groups).map_err(internal)?,
                int96: vec![(vec![], Levels::default()); self.plan.leaves.iter().map(Vec::len).sum()],
                rows: 0,
            }),
        };
        let mut next = 0;
        for ((column, field), leaves) in rows.rows.columns().iter().zip(&self.plan.fields).zip(&self.plan.leaves) {
            if has_null_key(column) {
                return Err(Error::data("Parquet does not support null keys in maps")
                    .with("column", field.name())
                    .hint("Filter NULL keys out, or use COALESCE(key, ..)"));
            }
            let array = to_written(column, field.data_type())?;
            let by_library = leaves.iter().any(|leaf| matches!(leaf, Leaf::Library));
            let computed = if by_library { compute_leaves(field, &array).map_err(internal)? } else { vec![] };
            let mut computed = computed.into_iter();
            for leaf in leaves {
                let values = computed.next();
                match (leaf, values) {
                    (Leaf::Int96(path), _) => {
                        append_int96(&array, field, path, &self.plan.options, &mut group.int96[next])?;
                    }
                    (Leaf::Library, Some(values)) => group.leaves[next].write(&values).map_err(internal)?,
                    (Leaf::Library, None) => return Err(Error::internal("a Parquet column has too few leaves")),
                }
                next += 1;
            }
        }
        group.rows += rows.num_rows();
        if group.bytes() >= self.plan.options.block_bytes {
            self.close_group()?;
        }
        out.append(&mut self.sink.0.lock());
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<()> {
        self.close_group()?;
        if let Some(writer) = self.writer.take() {
            writer.close().map_err(internal)?;
        }
        out.append(&mut self.sink.0.lock());
        Ok(())
    }

    fn buffered_bytes(&self) -> usize {
        self.group.as_ref().map_or(0, RowGroup::bytes)
    }
}

impl ParquetEncoder {
    fn close_group(&mut self) -> Result<()> {
        let Some(group) = self.group.take().filter(|g| g.rows > 0) else { return Ok(()) };
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let mut row_group = writer.next_row_group().map_err(internal)?;
        let leaves = self.plan.leaves.iter().flatten().zip(group.leaves).zip(group.int96);
        for ((leaf, by_library), (values, levels)) in leaves {
            match leaf {
                Leaf::Int96(_) => write_int96(&mut row_group, &values, &levels)?,
                Leaf::Library => {
                    by_library.close().and_then(|chunk| chunk.append_to_row_group(&mut row_group)).map_err(internal)?;
                }
            }
        }
        row_group.close().map_err(internal)?;
        writer.flush()?;
        self.groups += 1;
        Ok(())
    }
}

fn write_int96(row_group: &mut SerializedRowGroupWriter<'_, Sink>, values: &[Int96], levels: &Levels) -> Result<()> {
    let mut column = row_group
        .next_column()
        .map_err(internal)?
        .ok_or_else(|| Error::internal("a Parquet row group has too few columns"))?;
    // Levels that are always 0 are not written.
    let (definition, repetition) = (Some(levels.definition.as_slice()), Some(levels.repetition.as_slice()));
    column.typed::<Int96Type>().write_batch(values, definition, repetition).map_err(internal)?;
    column.close().map_err(internal)
}

/// The column in the units in which it is written.
fn to_written(array: &ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    match (array.data_type(), data_type) {
        (from, to) if from == to => Ok(array.clone()),
        (DataType::Timestamp(from, _), DataType::Timestamp(to, _)) => {
            let values = convert(timestamp_values(array)?, array.nulls(), *from, *to, |_| 0)?;
            primitive(data_type, values, array.nulls().cloned())
        }
        (_, DataType::List(element)) => {
            let list = array.as_list::<i32>();
            let values = to_written(list.values(), element.data_type())?;
            let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
            Ok(Arc::new(arrow_array::ListArray::try_new(element.clone(), offsets, values, nulls)?))
        }
        (_, DataType::Struct(fields)) => {
            let rows = array.as_struct();
            let columns = rows
                .columns()
                .iter()
                .zip(fields)
                .map(|(c, f)| to_written(c, f.data_type()))
                .collect::<Result<Vec<_>>>()?;
            if columns.is_empty() {
                return Ok(array.clone());
            }
            Ok(Arc::new(arrow_array::StructArray::try_new(fields.clone(), columns, rows.nulls().cloned())?))
        }
        (_, DataType::Map(entries, _)) => {
            let map = array.as_map();
            let DataType::Struct(kv) = entries.data_type() else {
                return Err(Error::internal("a map without entries"));
            };
            let keys = to_written(map_keys(map), map_key_field(kv).data_type())?;
            let values = to_written(map.values(), kv[1].data_type())?;
            Ok(Arc::new(map_array(data_type, map.offsets().clone(), keys, values, map.nulls().cloned())?))
        }
        (DataType::Interval(_) | DataType::Duration(_), to) => {
            Ok(arrow_array::make_array(array.to_data().into_builder().data_type(to.clone()).build()?))
        }
        (from, to) => Err(Error::internal(format!("a column of {from} cannot be written as {to}"))),
    }
}

fn timestamp_values(array: &ArrayRef) -> Result<&[i64]> {
    Ok(match array.data_type() {
        DataType::Timestamp(TimeUnit::Millisecond, _) => array.as_primitive::<TimestampMillisecondType>().values(),
        DataType::Timestamp(TimeUnit::Microsecond, _) => array.as_primitive::<TimestampMicrosecondType>().values(),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => array.as_primitive::<TimestampNanosecondType>().values(),
        other => return Err(Error::internal(format!("{other} is not a timestamp column"))),
    })
}

/// Adds one leaf of a column: nanoseconds of the day and the Julian day, in little-endian order.
fn append_int96(
    column: &ArrayRef,
    field: &Field,
    path: &[usize],
    options: &ParquetOptions,
    (values, levels): &mut (Vec<Int96>, Levels),
) -> Result<()> {
    let (array, written) = levels::append(field, column, path, levels)?;
    let DataType::Timestamp(unit, zone) = array.data_type() else {
        return Err(Error::internal(format!("column '{}' is not a timestamp", field.name())));
    };
    let per_second = crate::text::time::per_second(*unit);
    let shift = options.zone.as_ref().filter(|_| zone.is_none());
    let timestamps = timestamp_values(&array)?;
    for i in written {
        let value = timestamps[i];
        let local = value.div_euclid(per_second);
        let seconds = local - shift.map_or(0, |z| z.offset_at_local(local));
        let nanos =
            seconds.rem_euclid(86_400) * 1_000_000_000 + value.rem_euclid(per_second) * (1_000_000_000 / per_second);
        let days = seconds.div_euclid(86_400);
        let julian = u32::try_from(days + JULIAN_EPOCH_DAYS).map_err(|_| before_int96(field))?;
        let mut int96 = Int96::new();
        int96.set_data(nanos as u32, (nanos >> 32) as u32, julian);
        values.push(int96);
    }
    Ok(())
}

fn before_int96(field: &Field) -> Error {
    Error::data("A timestamp lies before the year -4713, where Parquet's INT96 begins")
        .with("column", field.name())
        .hint("Set 'parquet.write.int64.timestamp' = 'true'")
}

fn internal(e: ParquetError) -> Error {
    Error::internal("a Parquet file could not be written").caused_by(e)
}
