//! From rows to lines of JSON, as Jackson writes them.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, DurationMillisecondType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, IntervalYearMonthType, Time32MillisecondType, Time32SecondType, Time64MicrosecondType,
    Time64NanosecondType, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, Fields, SchemaRef, TimeUnit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flott_connector::format::{Encoder, EncoderFactory, Messages};
use flott_core::types::{has_null_key, map_key_field, map_keys};
use flott_core::{ChangeBatch, Error, Result};

use super::options::{JsonOptions, NullKeys};
use super::scanner::write_string;
use crate::text::bound::{Bound, Values};
use crate::text::number::{write_decimal, write_decimal_in_full, write_java_float};
use crate::text::time::{TimestampPrinter, per_second, write_date, write_time};

#[derive(Debug)]
pub(super) struct JsonEncoding {
    schema: SchemaRef,
    options: JsonOptions,
}

impl JsonEncoding {
    pub(super) fn new(schema: SchemaRef, options: JsonOptions) -> JsonEncoding {
        JsonEncoding { schema, options }
    }
}

impl EncoderFactory for JsonEncoding {
    fn create(&self) -> Result<Box<dyn Encoder>> {
        let printers = fields_of(self.schema.fields(), &self.options)?;
        Ok(Box::new(JsonEncoder { printers, options: self.options.clone() }))
    }

    fn file_extension(&self) -> &str {
        "json"
    }
}

#[derive(Debug)]
struct JsonEncoder {
    printers: Vec<FieldPrinter>,
    options: JsonOptions,
}

impl Encoder for JsonEncoder {
    fn encode(&mut self, rows: &ChangeBatch, out: &mut Vec<u8>) -> Result<()> {
        self.write(rows, out, |out| out.push(b'\n'))
    }

    fn encode_messages(&mut self, rows: &ChangeBatch, out: &mut Messages) -> Result<()> {
        let Messages { bytes, ends } = out;
        self.write(rows, bytes, |bytes| ends.push((bytes.len(), true)))
    }
}

impl JsonEncoder {
    /// Writes all rows; `end` ends each.
    fn write(&mut self, rows: &ChangeBatch, out: &mut Vec<u8>, mut end: impl FnMut(&mut Vec<u8>)) -> Result<()> {
        if rows.kinds.is_some() {
            return Err(Error::user("Format 'json' can only write inserts, but the rows hold updates or deletes")
                .hint("Write changes in a format for them, such as 'debezium-json'"));
        }
        let columns = rows.rows.columns();
        if columns.len() != self.printers.len() {
            return Err(Error::internal(format!("{} columns for {} printers", columns.len(), self.printers.len())));
        }
        if self.options.null_keys == NullKeys::Fail {
            for (column, field) in columns.iter().zip(rows.rows.schema_ref().fields()) {
                if has_null_key(column) {
                    return Err(Error::data("JSON format doesn't support to serialize map data with null keys")
                        .with("column", field.name())
                        .hint("Drop such entries or write a text for NULL: see the option 'map-null-key.mode'"));
                }
            }
        }
        let bound: Vec<Bound<'_>> = columns.iter().map(Bound::new).collect();
        out.reserve(rows.num_rows() * columns.len() * 16);
        for row in 0..rows.num_rows() {
            write_row(&mut self.printers, &bound, row, &self.options, out);
            end(out);
        }
        Ok(())
    }
}

/// A field of an object.
#[derive(Debug)]
struct FieldPrinter {
    /// `"name":`
    key: Vec<u8>,
    printer: Printer,
}

fn fields_of(fields: &Fields, options: &JsonOptions) -> Result<Vec<FieldPrinter>> {
    fields
        .iter()
        .map(|f| {
            let mut key = vec![];
            write_string(f.name().as_bytes(), &mut key);
            key.push(b':');
            Ok(FieldPrinter { key, printer: Printer::of(f.data_type(), options)? })
        })
        .collect()
}

/// Writes a row of a batch: frequent types without asking for them at each value.
fn write_row(fields: &mut [FieldPrinter], columns: &[Bound<'_>], row: usize, options: &JsonOptions, out: &mut Vec<u8>) {
    out.push(b'{');
    let mut first = true;
    for (field, column) in fields.iter_mut().zip(columns) {
        let null = column.is_null(row);
        if null && options.ignore_null_fields {
            continue;
        }
        if !first {
            out.push(b',');
        }
        first = false;
        out.extend_from_slice(&field.key);
        if null {
            out.extend_from_slice(b"null");
            continue;
        }
        match &column.values {
            Values::Int(v) => out.extend_from_slice(itoa::Buffer::new().format(v[row]).as_bytes()),
            Values::Long(v) => out.extend_from_slice(itoa::Buffer::new().format(v[row]).as_bytes()),
            Values::Text(v) => write_string(v.value(row).as_bytes(), out),
            _ => field.printer.write(column.column, row, options, out),
        }
    }
    out.push(b'}');
}

fn write_object(
    fields: &mut [FieldPrinter],
    columns: &[ArrayRef],
    row: usize,
    options: &JsonOptions,
    out: &mut Vec<u8>,
) {
    out.push(b'{');
    let mut first = true;
    for (field, column) in fields.iter_mut().zip(columns) {
        let null = column.is_null(row);
        if null && options.ignore_null_fields {
            continue;
        }
        if !first {
            out.push(b',');
        }
        first = false;
        out.extend_from_slice(&field.key);
        if null {
            out.extend_from_slice(b"null");
        } else {
            field.printer.write(column, row, options, out);
        }
    }
    out.push(b'}');
}

/// How a column's values are written.
#[derive(Debug)]
enum Printer {
    Null,
    Boolean,
    Int8,
    Int16,
    Int32,
    Int64,
    Months,
    Millis,
    Float32,
    Float64,
    Decimal(u8),
    Text,
    Bytes,
    Date,
    Time(TimeUnit),
    Timestamp { unit: TimeUnit, utc: bool, printer: TimestampPrinter },
    List(Box<Printer>),
    Map(Box<Printer>),
    Struct(Vec<FieldPrinter>),
}

impl Printer {
    fn of(data_type: &DataType, options: &JsonOptions) -> Result<Printer> {
        let refused = || Error::user(format!("Format 'json' cannot write the type {data_type}"));
        Ok(match data_type {
            DataType::Null => Printer::Null,
            DataType::Boolean => Printer::Boolean,
            DataType::Int8 => Printer::Int8,
            DataType::Int16 => Printer::Int16,
            DataType::Int32 => Printer::Int32,
            DataType::Int64 => Printer::Int64,
            DataType::Interval(arrow_schema::IntervalUnit::YearMonth) => Printer::Months,
            DataType::Duration(TimeUnit::Millisecond) => Printer::Millis,
            DataType::Float32 => Printer::Float32,
            DataType::Float64 => Printer::Float64,
            DataType::Decimal128(_, s) => Printer::Decimal(s.unsigned_abs()),
            DataType::Utf8 => Printer::Text,
            DataType::Binary => Printer::Bytes,
            DataType::Date32 => Printer::Date,
            DataType::Time32(unit) | DataType::Time64(unit) => Printer::Time(*unit),
            DataType::Timestamp(unit, zone) => {
                let separator = if options.iso_timestamps { b'T' } else { b' ' };
                let printer = TimestampPrinter::new(separator, *unit);
                Printer::Timestamp { unit: *unit, utc: zone.is_some(), printer }
            }
            DataType::List(element) => Printer::List(Box::new(Printer::of(element.data_type(), options)?)),
            DataType::Map(entries, _) => match entries.data_type() {
                DataType::Struct(kv) if kv.len() == 2 && map_key_field(kv).data_type() == &DataType::Utf8 => {
                    Printer::Map(Box::new(Printer::of(kv[1].data_type(), options)?))
                }
                _ => return Err(refused()),
            },
            DataType::Struct(fields) => Printer::Struct(fields_of(fields, options)?),
            _ => return Err(refused()),
        })
    }

    /// Appends a value that is not NULL.
    fn write(&mut self, column: &ArrayRef, row: usize, options: &JsonOptions, out: &mut Vec<u8>) {
        macro_rules! integer {
            ($t:ty) => {
                out.extend_from_slice(itoa::Buffer::new().format(column.as_primitive::<$t>().value(row)).as_bytes())
            };
        }
        match self {
            Printer::Null => out.extend_from_slice(b"null"),
            Printer::Boolean => {
                let text: &[u8] = if column.as_boolean().value(row) { b"true" } else { b"false" };
                out.extend_from_slice(text);
            }
            Printer::Int8 => integer!(Int8Type),
            Printer::Int16 => integer!(Int16Type),
            Printer::Int32 => integer!(Int32Type),
            Printer::Int64 => integer!(Int64Type),
            Printer::Months => integer!(IntervalYearMonthType),
            Printer::Millis => integer!(DurationMillisecondType),
            Printer::Float32 => {
                let value = column.as_primitive::<Float32Type>().value(row);
                quoted_unless(value.is_finite(), out, |out| write_java_float(value, out));
            }
            Printer::Float64 => {
                let value = column.as_primitive::<Float64Type>().value(row);
                quoted_unless(value.is_finite(), out, |out| write_java_float(value, out));
            }
            Printer::Decimal(scale) => {
                let value = column.as_primitive::<Decimal128Type>().value(row);
                // Flink strips the zeros at the end only of what may be written in scientific notation.
                match options.plain_decimals {
                    true => write_decimal_in_full(value, *scale, out),
                    false => write_decimal(value, *scale, false, out),
                }
            }
            Printer::Text => write_string(column.as_string::<i32>().value(row).as_bytes(), out),
            Printer::Bytes => {
                let text = STANDARD.encode(column.as_binary::<i32>().value(row));
                quoted_unless(false, out, |out| out.extend_from_slice(text.as_bytes()));
            }
            Printer::Date => {
                let days = i64::from(column.as_primitive::<Date32Type>().value(row));
                quoted_unless(false, out, |out| write_date(days, out));
            }
            Printer::Time(unit) => {
                let value = match unit {
                    TimeUnit::Second => i64::from(column.as_primitive::<Time32SecondType>().value(row)),
                    TimeUnit::Millisecond => i64::from(column.as_primitive::<Time32MillisecondType>().value(row)),
                    TimeUnit::Microsecond => column.as_primitive::<Time64MicrosecondType>().value(row),
                    TimeUnit::Nanosecond => column.as_primitive::<Time64NanosecondType>().value(row),
                };
                let nanos = value * (1_000_000_000 / per_second(*unit));
                quoted_unless(false, out, |out| write_time(nanos, out));
            }
            Printer::Timestamp { unit, utc, printer } => {
                let value = match unit {
                    TimeUnit::Second => column.as_primitive::<TimestampSecondType>().value(row),
                    TimeUnit::Millisecond => column.as_primitive::<TimestampMillisecondType>().value(row),
                    TimeUnit::Microsecond => column.as_primitive::<TimestampMicrosecondType>().value(row),
                    TimeUnit::Nanosecond => column.as_primitive::<TimestampNanosecondType>().value(row),
                };
                out.push(b'"');
                printer.write(value, out);
                if *utc {
                    out.push(b'Z');
                }
                out.push(b'"');
            }
            Printer::List(element) => {
                let list = column.as_list::<i32>();
                let (from, to) = (list.value_offsets()[row] as usize, list.value_offsets()[row + 1] as usize);
                let values = list.values();
                out.push(b'[');
                for i in from..to {
                    if i > from {
                        out.push(b',');
                    }
                    element.write_or_null(values, i, options, out);
                }
                out.push(b']');
            }
            Printer::Map(value) => {
                let map = column.as_map();
                let (from, to) = (map.value_offsets()[row] as usize, map.value_offsets()[row + 1] as usize);
                let (keys, values) = (map_keys(map).as_string::<i32>(), map.values());
                let name = |i: usize| match (keys.is_null(i), &options.null_keys) {
                    (false, _) => Some(keys.value(i)),
                    (true, NullKeys::Literal(text)) => Some(text.as_ref()),
                    // Failed before anything was written.
                    (true, NullKeys::Drop | NullKeys::Fail) => None,
                };
                let has_null = keys.slice(from, to - from).null_count() > 0;
                out.push(b'{');
                let mut first = true;
                for i in from..to {
                    let Some(key) = name(i) else { continue };
                    // The text for NULL may be a key of its own: the last one counts.
                    if has_null && (i + 1..to).any(|later| name(later) == Some(key)) {
                        continue;
                    }
                    if !first {
                        out.push(b',');
                    }
                    first = false;
                    write_string(key.as_bytes(), out);
                    out.push(b':');
                    value.write_or_null(values, i, options, out);
                }
                out.push(b'}');
            }
            Printer::Struct(fields) => write_object(fields, column.as_struct().columns(), row, options, out),
        }
    }

    fn write_or_null(&mut self, column: &ArrayRef, row: usize, options: &JsonOptions, out: &mut Vec<u8>) {
        if column.is_null(row) {
            out.extend_from_slice(b"null");
        } else {
            self.write(column, row, options, out);
        }
    }
}

/// Numbers that JSON does not know are written as strings, as Jackson does.
fn quoted_unless(plain: bool, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    if !plain {
        out.push(b'"');
    }
    write(out);
    if !plain {
        out.push(b'"');
    }
}
