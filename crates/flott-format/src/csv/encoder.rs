//! From rows to text.
//!
//! Quoting is Jackson's: a text is enclosed in quotes where it has more than 24 characters or contains a character below
//! the largest of delimiter, quote and line break (so also blanks: timestamps are quoted).

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, SchemaRef, TimeUnit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flott_connector::format::{Encoder, EncoderFactory};
use flott_core::{ChangeBatch, Error, Result};

use super::options::CsvOptions;
use crate::text::bound::{Bound, Values};
use crate::text::number::{write_decimal, write_java_float};
use crate::text::time::{TimestampPrinter, per_second, write_date, write_time};

/// Longer texts are always quoted, without looking for a reason.
const UNQUOTED_CHARS_MAX: usize = 24;

#[derive(Debug)]
pub(super) struct CsvEncoding {
    schema: SchemaRef,
    options: CsvOptions,
}

impl CsvEncoding {
    pub(super) fn new(schema: SchemaRef, options: CsvOptions) -> CsvEncoding {
        CsvEncoding { schema, options }
    }
}

impl EncoderFactory for CsvEncoding {
    fn create(&self) -> Result<Box<dyn Encoder>> {
        let printers = self.schema.fields().iter().map(|f| Printer::of(f.data_type())).collect::<Result<Vec<_>>>()?;
        Ok(Box::new(CsvEncoder { printers, quoting: Quoting::new(&self.options), options: self.options.clone() }))
    }

    fn file_extension(&self) -> &str {
        "csv"
    }
}

#[derive(Debug)]
struct CsvEncoder {
    printers: Vec<Printer>,
    quoting: Quoting,
    options: CsvOptions,
}

impl Encoder for CsvEncoder {
    fn encode(&mut self, rows: &ChangeBatch, out: &mut Vec<u8>) -> Result<()> {
        if rows.kinds.is_some() {
            return Err(Error::user("Format 'csv' can only write inserts, but the rows hold updates or deletes")
                .hint("Write to a table with a primary key in a format for changes, or aggregate in batch mode"));
        }
        let columns = rows.rows.columns();
        if columns.len() != self.printers.len() {
            return Err(Error::internal(format!("{} columns for {} printers", columns.len(), self.printers.len())));
        }
        out.reserve(rows.num_rows() * columns.len() * 8);
        let null = self.options.null_literal.as_deref().unwrap_or_default();
        let bound: Vec<Bound<'_>> = columns.iter().map(Bound::new).collect();
        for row in 0..rows.num_rows() {
            for (i, (printer, column)) in self.printers.iter_mut().zip(&bound).enumerate() {
                if i > 0 {
                    match self.options.delimiter.as_slice() {
                        [byte] => out.push(*byte),
                        bytes => out.extend_from_slice(bytes),
                    }
                }
                if column.is_null(row) {
                    out.extend_from_slice(null);
                    continue;
                }
                match (&column.values, &mut *printer) {
                    (Values::Int(v), _) => out.extend_from_slice(itoa::Buffer::new().format(v[row]).as_bytes()),
                    (Values::Long(v), _) => out.extend_from_slice(itoa::Buffer::new().format(v[row]).as_bytes()),
                    (Values::Double(v), _) => write_java_float(v[row], out),
                    (Values::Text(v), _) => self.quoting.write(v.value(row).as_bytes(), out),
                    (Values::Timestamp(v), Printer::Timestamp { utc, printer, .. })
                        if let Some(quote) = self.quoting.timestamp_quote =>
                    {
                        out.push(quote);
                        printer.write(v[row], out);
                        if *utc {
                            out.push(b'Z');
                        }
                        out.push(quote);
                    }
                    _ => printer.write(column.column, row, &self.quoting, &self.options, out),
                }
            }
            out.push(b'\n');
        }
        Ok(())
    }
}

/// When and how texts are quoted.
#[derive(Debug)]
struct Quoting {
    quote: Option<u8>,
    escape: Option<u8>,
    /// Characters below this one are quoted.
    safe_from: u32,
    /// The quote where timestamps always are quoted (they hold a blank) and never hold a quote.
    timestamp_quote: Option<u8>,
}

impl Quoting {
    fn new(options: &CsvOptions) -> Quoting {
        let delimiter = std::str::from_utf8(&options.delimiter).ok().and_then(|d| d.chars().next()).unwrap_or(',');
        let largest = (delimiter as u32).max(u32::from(options.quote.unwrap_or(0))).max(u32::from(b'\r'));
        let safe_from = largest + 1;
        let special = |b: u8| b.is_ascii_digit() || b" -+:.Z".contains(&b);
        let timestamp_quote = options
            .quote
            .filter(|q| safe_from > u32::from(b' ') && !special(*q) && !options.escape.is_some_and(special));
        Quoting { quote: options.quote, escape: options.escape, safe_from, timestamp_quote }
    }

    fn needs(&self, text: &[u8]) -> bool {
        if text.len() > UNQUOTED_CHARS_MAX {
            // Counted as Java does, in UTF-16 units.
            let units: usize = text.iter().map(|b| usize::from(b & 0xc0 != 0x80) + usize::from(*b >= 0xf0)).sum();
            if units > UNQUOTED_CHARS_MAX {
                return true;
            }
        }
        if self.safe_from <= 0x80 {
            let safe = self.safe_from as u8;
            return text.iter().any(|b| *b < safe || Some(*b) == self.escape);
        }
        String::from_utf8_lossy(text)
            .chars()
            .any(|c| (c as u32) < self.safe_from || self.escape.is_some_and(|e| c == char::from(e)))
    }

    /// Appends a text, quoted where it has to be.
    fn write(&self, text: &[u8], out: &mut Vec<u8>) {
        let Some(quote) = self.quote.filter(|_| self.needs(text)) else { return out.extend_from_slice(text) };
        out.push(quote);
        if memchr::memchr2(quote, self.escape.unwrap_or(quote), text).is_none() {
            out.extend_from_slice(text);
        } else {
            for byte in text {
                if *byte == quote || Some(*byte) == self.escape {
                    out.push(*byte);
                }
                out.push(*byte);
            }
        }
        out.push(quote);
    }
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
    Float32,
    Float64,
    Decimal(u8),
    Text,
    Bytes,
    Date,
    Time(TimeUnit),
    Timestamp { unit: TimeUnit, utc: bool, printer: TimestampPrinter, quoted: Vec<u8> },
    List(Box<Printer>),
    Struct(Vec<Printer>),
}

impl Printer {
    fn of(data_type: &DataType) -> Result<Printer> {
        Ok(match data_type {
            DataType::Null => Printer::Null,
            DataType::Boolean => Printer::Boolean,
            DataType::Int8 => Printer::Int8,
            DataType::Int16 => Printer::Int16,
            DataType::Int32 => Printer::Int32,
            DataType::Int64 => Printer::Int64,
            DataType::Float32 => Printer::Float32,
            DataType::Float64 => Printer::Float64,
            DataType::Decimal128(_, s) => Printer::Decimal(s.unsigned_abs()),
            DataType::Utf8 => Printer::Text,
            DataType::Binary => Printer::Bytes,
            DataType::Date32 => Printer::Date,
            DataType::Time32(unit) | DataType::Time64(unit) => Printer::Time(*unit),
            DataType::Timestamp(unit, zone) => Printer::Timestamp {
                unit: *unit,
                utc: zone.is_some(),
                printer: TimestampPrinter::new(b' ', *unit),
                quoted: vec![],
            },
            DataType::List(element) => Printer::List(Box::new(Printer::of(element.data_type())?)),
            DataType::Struct(fields) => {
                Printer::Struct(fields.iter().map(|f| Printer::of(f.data_type())).collect::<Result<_>>()?)
            }
            other => return Err(Error::user(format!("Format 'csv' cannot write the type {other}"))),
        })
    }

    /// Appends a value that is not NULL, quoted where it has to be.
    #[inline]
    fn write(&mut self, column: &ArrayRef, row: usize, quoting: &Quoting, options: &CsvOptions, out: &mut Vec<u8>) {
        match self {
            Printer::Text => quoting.write(column.as_string::<i32>().value(row).as_bytes(), out),
            Printer::Timestamp { quoted, .. } => {
                let mut text = std::mem::take(quoted);
                text.clear();
                self.write_plain(column, row, options, &mut text);
                quoting.write(&text, out);
                if let Printer::Timestamp { quoted, .. } = self {
                    *quoted = text;
                }
            }
            Printer::Bytes | Printer::Date | Printer::Time(_) | Printer::List(_) | Printer::Struct(_) => {
                let mut text = vec![];
                self.write_plain(column, row, options, &mut text);
                quoting.write(&text, out);
            }
            // Numbers and booleans are never quoted.
            _ => self.write_plain(column, row, options, out),
        }
    }

    fn write_plain(&mut self, column: &ArrayRef, row: usize, options: &CsvOptions, out: &mut Vec<u8>) {
        let null = options.null_literal.as_deref().unwrap_or_default();
        macro_rules! integer {
            ($t:ty) => {
                out.extend_from_slice(itoa::Buffer::new().format(column.as_primitive::<$t>().value(row)).as_bytes())
            };
        }
        match self {
            Printer::Null => out.extend_from_slice(null),
            Printer::Boolean => {
                let text: &[u8] = if column.as_boolean().value(row) { b"true" } else { b"false" };
                out.extend_from_slice(text);
            }
            Printer::Int8 => integer!(Int8Type),
            Printer::Int16 => integer!(Int16Type),
            Printer::Int32 => integer!(Int32Type),
            Printer::Int64 => integer!(Int64Type),
            Printer::Float32 => write_java_float(column.as_primitive::<Float32Type>().value(row), out),
            Printer::Float64 => write_java_float(column.as_primitive::<Float64Type>().value(row), out),
            Printer::Decimal(scale) => {
                let value = column.as_primitive::<Decimal128Type>().value(row);
                write_decimal(value, *scale, !options.scientific_decimals, out);
            }
            Printer::Text => out.extend_from_slice(column.as_string::<i32>().value(row).as_bytes()),
            Printer::Bytes => {
                out.extend_from_slice(STANDARD.encode(column.as_binary::<i32>().value(row)).as_bytes());
            }
            Printer::Date => write_date(i64::from(column.as_primitive::<Date32Type>().value(row)), out),
            Printer::Time(unit) => {
                let value = match unit {
                    TimeUnit::Second => i64::from(column.as_primitive::<Time32SecondType>().value(row)),
                    TimeUnit::Millisecond => i64::from(column.as_primitive::<Time32MillisecondType>().value(row)),
                    TimeUnit::Microsecond => column.as_primitive::<Time64MicrosecondType>().value(row),
                    TimeUnit::Nanosecond => column.as_primitive::<Time64NanosecondType>().value(row),
                };
                write_time(value * (1_000_000_000 / per_second(*unit)), out);
            }
            Printer::Timestamp { unit, utc, printer, .. } => {
                let value = match unit {
                    TimeUnit::Second => column.as_primitive::<TimestampSecondType>().value(row),
                    TimeUnit::Millisecond => column.as_primitive::<TimestampMillisecondType>().value(row),
                    TimeUnit::Microsecond => column.as_primitive::<TimestampMicrosecondType>().value(row),
                    TimeUnit::Nanosecond => column.as_primitive::<TimestampNanosecondType>().value(row),
                };
                printer.write(value, out);
                if *utc {
                    out.push(b'Z');
                }
            }
            Printer::List(element) => {
                let values = column.as_list::<i32>().value(row);
                for i in 0..values.len() {
                    if i > 0 {
                        out.extend_from_slice(&options.element_delimiter);
                    }
                    if values.is_null(i) {
                        out.extend_from_slice(null);
                    } else {
                        element.write_plain(&values, i, options, out);
                    }
                }
            }
            Printer::Struct(fields) => {
                let columns = column.as_struct().columns();
                for (i, (field, column)) in fields.iter_mut().zip(columns).enumerate() {
                    if i > 0 {
                        out.extend_from_slice(&options.element_delimiter);
                    }
                    if column.is_null(row) {
                        out.extend_from_slice(null);
                    } else {
                        field.write_plain(column, row, options, out);
                    }
                }
            }
        }
    }
}
