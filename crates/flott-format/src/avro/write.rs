//! From columns to Avro's binary encoding.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    Time32MillisecondType, Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType,
};
use arrow_array::{Array, ArrayRef, BinaryArray, BooleanArray, PrimitiveArray, StringArray};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, TimeUnit};
use flott_core::types::map_keys;
use flott_core::{Error, Result};

use super::binary::{put_bytes, put_long};
use super::schema::{AvroSchema, Field, Logical, Node};

/// A column with how its values are written.
pub(super) struct Writer<'a> {
    nulls: Option<NullBuffer>,
    /// The branches of a union: of NULL and of a value.
    union: Option<(Option<usize>, usize)>,
    name: &'a str,
    how: How<'a>,
}

enum How<'a> {
    Null,
    Bool(&'a BooleanArray),
    I8(&'a PrimitiveArray<Int8Type>),
    I16(&'a PrimitiveArray<Int16Type>),
    /// INT and DATE.
    I32(&'a [i32]),
    I64(&'a [i64]),
    /// A time in milliseconds, as such or in microseconds.
    TimeMillis(&'a [i32], i64),
    /// Timestamps and finer times, times this.
    Scaled(&'a [i64], i64),
    F32(&'a PrimitiveArray<Float32Type>),
    F64(&'a PrimitiveArray<Float64Type>),
    Decimal(&'a PrimitiveArray<Decimal128Type>, Option<usize>),
    Text(&'a StringArray),
    Enum(&'a StringArray, &'a [String]),
    Bytes(&'a BinaryArray),
    Fixed(&'a BinaryArray, usize),
    List(OffsetBuffer<i32>, Box<Writer<'a>>),
    Map(OffsetBuffer<i32>, &'a StringArray, Box<Writer<'a>>),
    Record(Vec<Writer<'a>>),
}

fn no_such(schema: &AvroSchema, node: usize, data_type: &DataType, name: &str) -> Error {
    let node = schema.name(node);
    Error::user(format!("The Avro schema has {node} where the column '{name}' is {data_type}"))
        .with("column", name)
        .hint("The schema has to match the table's columns in their order and types")
}

/// The writers of a record's fields, which are the columns in their order.
pub(super) fn record<'a>(
    schema: &'a AvroSchema,
    node: usize,
    columns: impl ExactSizeIterator<Item = (&'a str, &'a ArrayRef)>,
) -> Result<Vec<Writer<'a>>> {
    let Node::Record(fields) = schema.node(node) else {
        return Err(Error::user(format!("The Avro schema is {}, and a record is needed", schema.name(node)))
            .hint("Give a schema of a record, or none: it is derived from the table then"));
    };
    if fields.len() != columns.len() {
        return Err(Error::user(format!(
            "The Avro schema has {} fields, and the row has {} columns",
            fields.len(),
            columns.len()
        ))
        .hint("The schema has to match the table's columns in their order and types"));
    }
    let one = |(f, (name, column)): (&'a Field, (&'a str, &'a ArrayRef))| {
        if f.name != name {
            return Err(Error::user(format!(
                "The Avro schema has the field '{}' where the row has the column '{name}'",
                f.name
            ))
            .with("column", name)
            .hint("The schema has to match the table's columns in their order, names and types"));
        }
        Writer::new(schema, f.node, name, column)
    };
    fields.iter().zip(columns).map(one).collect()
}

/// A union's branches of NULL and of a value.
pub(super) fn branches(schema: &AvroSchema, node: usize) -> Option<(Option<usize>, usize, usize)> {
    let Node::Union(branches) = schema.node(node) else { return None };
    let null = branches.iter().position(|b| matches!(schema.node(*b), Node::Null));
    let value = branches.iter().position(|b| !matches!(schema.node(*b), Node::Null))?;
    (branches.len() <= 2).then_some((null, value, branches[value]))
}

impl<'a> Writer<'a> {
    fn new(schema: &'a AvroSchema, node: usize, name: &'a str, column: &'a ArrayRef) -> Result<Writer<'a>> {
        let (node, union) = match branches(schema, node) {
            Some((null, value, node)) => (node, Some((null, value))),
            None => (node, None),
        };
        let logical = schema.logical(node);
        let to = |default: i64| match logical {
            Some(Logical::Timestamp { per_second }) => per_second,
            _ => default,
        };
        // Digits that the schema has no place for are not cut off silently.
        let scaled = |values: &'a [i64], from: i64, to: i64| {
            match from <= to {
            true => Ok(How::Scaled(values, to / from)),
            false => Err(no_such(schema, node, column.data_type(), name)
                .hint("The schema's unit of time has fewer digits than the column: CAST to fewer digits in the query and declare them, or give the schema a finer unit")),
        }
        };
        let how = match (column.data_type(), schema.node(node)) {
            (DataType::Null, Node::Null) => How::Null,
            (DataType::Boolean, Node::Boolean) => How::Bool(column.as_boolean()),
            (DataType::Int8, Node::Int | Node::Long) => How::I8(column.as_primitive()),
            (DataType::Int16, Node::Int | Node::Long) => How::I16(column.as_primitive()),
            (DataType::Int32, Node::Int | Node::Long) => How::I32(column.as_primitive::<Int32Type>().values()),
            (DataType::Date32, Node::Int) => How::I32(column.as_primitive::<Date32Type>().values()),
            (DataType::Int64, Node::Long) => How::I64(column.as_primitive::<Int64Type>().values()),
            (DataType::Time32(TimeUnit::Millisecond), Node::Int | Node::Long) => {
                let factor = if logical == Some(Logical::TimeMicros) { 1_000 } else { 1 };
                How::TimeMillis(column.as_primitive::<Time32MillisecondType>().values(), factor)
            }
            (DataType::Time64(TimeUnit::Microsecond), Node::Long) => {
                scaled(column.as_primitive::<Time64MicrosecondType>().values(), 1, 1)?
            }
            (DataType::Time64(TimeUnit::Nanosecond), Node::Long) => {
                scaled(column.as_primitive::<Time64NanosecondType>().values(), 1_000, 1)?
            }
            (DataType::Timestamp(TimeUnit::Millisecond, _), Node::Long) => {
                scaled(column.as_primitive::<TimestampMillisecondType>().values(), 1_000, to(1_000))?
            }
            (DataType::Timestamp(TimeUnit::Microsecond, _), Node::Long) => {
                scaled(column.as_primitive::<TimestampMicrosecondType>().values(), 1_000_000, to(1_000_000))?
            }
            (DataType::Timestamp(TimeUnit::Nanosecond, _), Node::Long) => {
                scaled(column.as_primitive::<TimestampNanosecondType>().values(), 1_000_000_000, to(1_000_000_000))?
            }
            (DataType::Float32, Node::Float) => How::F32(column.as_primitive()),
            (DataType::Float64, Node::Double) => How::F64(column.as_primitive()),
            (DataType::Decimal128(_, scale), Node::Bytes | Node::Fixed(_)) => {
                // Another number of digits would be read as another number.
                if !matches!(logical, Some(Logical::Decimal { scale: s }) if i64::from(s) == i64::from(*scale)) {
                    return Err(no_such(schema, node, column.data_type(), name));
                }
                let size = if let Node::Fixed(size) = schema.node(node) { Some(*size) } else { None };
                How::Decimal(column.as_primitive(), size)
            }
            (DataType::Utf8, Node::String) => How::Text(column.as_string()),
            (DataType::Utf8, Node::Enum(symbols)) => How::Enum(column.as_string(), symbols),
            (DataType::Binary, Node::Bytes) => How::Bytes(column.as_binary()),
            (DataType::Binary, Node::Fixed(size)) => How::Fixed(column.as_binary(), *size),
            (DataType::List(_), Node::Array(inner)) => {
                let list = column.as_list::<i32>();
                How::List(list.offsets().clone(), Box::new(Writer::new(schema, *inner, name, list.values())?))
            }
            (DataType::Map(..), Node::Map(inner)) => {
                let map = column.as_map();
                if map_keys(map).data_type() != &DataType::Utf8 {
                    return Err(no_such(schema, node, column.data_type(), name));
                }
                let values = Writer::new(schema, *inner, name, map.values())?;
                How::Map(map.offsets().clone(), map_keys(map).as_string(), Box::new(values))
            }
            (DataType::Struct(fields), Node::Record(_)) => {
                let columns = fields.iter().map(|f| f.name().as_str()).zip(column.as_struct().columns());
                How::Record(record(schema, node, columns.collect::<Vec<_>>().into_iter())?)
            }
            (other, _) => return Err(no_such(schema, node, other, name)),
        };
        Ok(Writer { nulls: column.logical_nulls(), union, name, how })
    }

    /// Appends the value of a row.
    pub(super) fn write(&self, row: usize, out: &mut Vec<u8>) -> Result<()> {
        let null = self.nulls.as_ref().is_some_and(|n| n.is_null(row));
        match self.union {
            Some((Some(of_null), _)) if null => {
                put_long(of_null as i64, out);
                return Ok(());
            }
            Some((_, value)) if !null => put_long(value as i64, out),
            _ if null && !matches!(self.how, How::Null) => {
                return Err(Error::data("NULL, but the Avro schema allows none").with("column", self.name));
            }
            _ => {}
        }
        match &self.how {
            How::Null => {}
            How::Bool(v) => out.push(u8::from(v.value(row))),
            How::I8(v) => put_long(i64::from(v.value(row)), out),
            How::I16(v) => put_long(i64::from(v.value(row)), out),
            How::I32(v) => put_long(i64::from(v[row]), out),
            How::I64(v) => put_long(v[row], out),
            How::TimeMillis(v, factor) => put_long(i64::from(v[row]) * factor, out),
            How::Scaled(v, factor) => match v[row].checked_mul(*factor) {
                Some(scaled) => put_long(scaled, out),
                None => {
                    return Err(
                        Error::data("a time is too far away for the unit of the Avro schema").with("column", self.name)
                    );
                }
            },
            How::F32(v) => out.extend_from_slice(&v.value(row).to_le_bytes()),
            How::F64(v) => out.extend_from_slice(&v.value(row).to_le_bytes()),
            How::Decimal(v, size) => decimal(v.value(row), *size, out).map_err(|e| e.with("column", self.name))?,
            How::Text(v) => put_bytes(v.value(row).as_bytes(), out),
            How::Enum(v, symbols) => match symbols.iter().position(|s| s == v.value(row)) {
                Some(symbol) => put_long(symbol as i64, out),
                None => {
                    return Err(Error::data(format!("'{}' is no symbol of the enum in the Avro schema", v.value(row)))
                        .with("column", self.name));
                }
            },
            How::Bytes(v) => put_bytes(v.value(row), out),
            How::Fixed(v, size) => {
                if v.value(row).len() != *size {
                    return Err(Error::data(format!("{} bytes, where the Avro schema has {size}", v.value(row).len()))
                        .with("column", self.name));
                }
                out.extend_from_slice(v.value(row));
            }
            How::List(offsets, element) => {
                let (start, end) = (offsets[row] as usize, offsets[row + 1] as usize);
                if end > start {
                    put_long((end - start) as i64, out);
                    (start..end).try_for_each(|i| element.write(i, out))?;
                }
                out.push(0);
            }
            How::Map(offsets, keys, values) => {
                let (start, end) = (offsets[row] as usize, offsets[row + 1] as usize);
                if end > start {
                    put_long((end - start) as i64, out);
                    for i in start..end {
                        if keys.is_null(i) {
                            return Err(Error::data("Avro format doesn't support null keys in maps")
                                .hint("Filter NULL keys out, or use COALESCE(key, ..)"));
                        }
                        put_bytes(keys.value(i).as_bytes(), out);
                        values.write(i, out)?;
                    }
                }
                out.push(0);
            }
            How::Record(fields) => fields.iter().try_for_each(|f| f.write(row, out))?,
        }
        Ok(())
    }
}

/// The fewest bytes of two's complement, as Java's BigInteger has them; or so many.
fn decimal(value: i128, size: Option<usize>, out: &mut Vec<u8>) -> Result<()> {
    let bytes = value.to_be_bytes();
    let sign = if value < 0 { 0xff } else { 0 };
    let spare = (0..15).take_while(|i| bytes[*i] == sign && (bytes[i + 1] ^ sign) & 0x80 == 0).count();
    let shortest = &bytes[spare..];
    match size {
        None => put_bytes(shortest, out),
        Some(size) if shortest.len() <= size => {
            out.extend(std::iter::repeat_n(sign, size - shortest.len()));
            out.extend_from_slice(shortest);
        }
        Some(size) => return Err(Error::data(format!("a decimal does not fit in {size} bytes"))),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_have_javas_bytes() {
        for (value, bytes) in [
            (0, &[0u8][..]),
            (127, &[127]),
            (128, &[0, 128]),
            (-128, &[128]),
            (-129, &[255, 127]),
            (-1, &[255]),
            (1_234, &[4, 0xd2]),
        ] {
            let mut out = vec![];
            decimal(value, None, &mut out).expect("written");
            assert_eq!(out[1..], *bytes);
            assert_eq!(out[0] as usize, bytes.len() * 2);
        }
        let mut out = vec![];
        decimal(-2, Some(4), &mut out).expect("written");
        assert_eq!(out, [255, 255, 255, 254]);
        assert!(decimal(1 << 40, Some(4), &mut out).is_err());
    }
}
