//! From one column to bytes, a line break behind each value.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use flott_connector::format::{Encoder, EncoderFactory, Messages};
use flott_core::{ChangeBatch, Error, Result};

use super::{RawOptions, check_lines};

#[derive(Debug)]
pub(super) struct RawEncoding(RawOptions);

impl RawEncoding {
    pub(super) fn new(options: RawOptions) -> RawEncoding {
        RawEncoding(options)
    }
}

impl EncoderFactory for RawEncoding {
    fn create(&self) -> Result<Box<dyn Encoder>> {
        Ok(Box::new(RawEncoder(self.0)))
    }

    fn file_extension(&self) -> &str {
        "raw"
    }
}

#[derive(Debug)]
struct RawEncoder(RawOptions);

impl Encoder for RawEncoder {
    fn encode(&mut self, rows: &ChangeBatch, out: &mut Vec<u8>) -> Result<()> {
        if rows.kinds.is_some() {
            return Err(Error::user("Format 'raw' can only write inserts, but the rows hold updates or deletes"));
        }
        let [column] = rows.rows.columns() else {
            return Err(Error::internal("raw writes one column"));
        };
        if column.data_type() == &DataType::Utf8 {
            check_lines(&self.0)?;
        }
        for row in 0..column.len() {
            if column.is_valid(row) {
                self.value(column, row, out)?;
            }
            out.push(b'\n');
        }
        Ok(())
    }

    /// NULL is no message, as in Flink.
    fn encode_messages(&mut self, rows: &ChangeBatch, out: &mut Messages) -> Result<()> {
        let [column] = rows.rows.columns() else {
            return Err(Error::internal("raw writes one column"));
        };
        for row in 0..column.len() {
            if column.is_valid(row) {
                self.value(column, row, &mut out.bytes)?;
                out.end();
            } else {
                out.null();
            }
        }
        Ok(())
    }
}

impl RawEncoder {
    fn value(&self, column: &ArrayRef, row: usize, out: &mut Vec<u8>) -> Result<()> {
        macro_rules! number {
            ($t:ty) => {{
                let value = column.as_primitive::<$t>().value(row);
                out.extend_from_slice(&if self.0.little_endian { value.to_le_bytes() } else { value.to_be_bytes() });
            }};
        }
        match column.data_type() {
            DataType::Utf8 => {
                self.0.charset.encode(column.as_string::<i32>().value(row), out);
            }
            DataType::Binary => out.extend_from_slice(column.as_binary::<i32>().value(row)),
            DataType::Boolean => out.push(u8::from(column.as_boolean().value(row))),
            DataType::Int8 => number!(Int8Type),
            DataType::Int16 => number!(Int16Type),
            DataType::Int32 => number!(Int32Type),
            DataType::Int64 => number!(Int64Type),
            DataType::Float32 => number!(Float32Type),
            DataType::Float64 => number!(Float64Type),
            other => return Err(Error::internal(format!("raw cannot write {other}"))),
        }
        Ok(())
    }
}
