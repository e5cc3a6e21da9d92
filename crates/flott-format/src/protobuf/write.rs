//! From columns to the bytes of messages.
//!
//! As Java writes them: fields in the order of their numbers, arrays of numbers packed where the definition says so, no
//! defaults of fields without presence. Of a oneof the last column that is not NULL is written, as in Flink.

use flott_core::types::map_keys;
use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, BinaryArray, BooleanArray, PrimitiveArray, StringArray};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::DataType;
use prost_reflect::{Cardinality, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};

use super::plan::{entry_fields, java_type};
use super::wire::{WireType, put_length_before, put_tag, put_varint};
use crate::text::shown;
use crate::wrong::{Read, below, wrong};

/// The columns of a message with how they are written.
pub(super) struct MessageWriter<'a> {
    /// In the order of their numbers.
    fields: Vec<FieldWriter<'a>>,
    /// A field that has to be set, for which a default message cannot be written.
    required: Option<String>,
}

struct FieldWriter<'a> {
    number: u32,
    name: String,
    nulls: Option<NullBuffer>,
    required: bool,
    /// Without presence, a default is not written.
    implicit: bool,
    /// Places of fields of the same oneof whose columns come later.
    later_of_oneof: Vec<usize>,
    how: How<'a>,
}

enum How<'a> {
    One(Value<'a>),
    List {
        offsets: OffsetBuffer<i32>,
        element: Value<'a>,
        nulls: Option<NullBuffer>,
        packed: bool,
    },
    Map {
        offsets: OffsetBuffer<i32>,
        key: Value<'a>,
        key_nulls: Option<NullBuffer>,
        value: Value<'a>,
        nulls: Option<NullBuffer>,
    },
}

/// Values of one kind, and what stands for NULL in arrays and maps.
struct Value<'a> {
    wire: WireType,
    of: Values<'a>,
}

enum Values<'a> {
    Bool(&'a BooleanArray),
    Int32(&'a [i32]),
    Uint32(&'a [i32]),
    Sint32(&'a [i32]),
    Fixed32(&'a [i32]),
    Int64(&'a [i64]),
    Sint64(&'a [i64]),
    Fixed64(&'a [i64]),
    Float(&'a PrimitiveArray<Float32Type>),
    Double(&'a PrimitiveArray<Float64Type>),
    Text(&'a StringArray, &'a str),
    Bytes(&'a BinaryArray),
    Symbols(&'a StringArray, Symbols),
    Numbers(Numbers<'a>, Symbols),
    Message(Box<MessageWriter<'a>>),
}

/// An enum's numbers by name, and the first of all.
struct Symbols {
    by_name: BTreeMap<String, i32>,
    first: i32,
    name: String,
}

impl Symbols {
    fn new(descriptor: &EnumDescriptor) -> Symbols {
        Symbols {
            by_name: descriptor.values().map(|v| (v.name().to_string(), v.number())).collect(),
            first: descriptor.default_value().number(),
            name: descriptor.full_name().to_string(),
        }
    }

    fn of_name(&self, name: &str) -> Read<i32> {
        match self.by_name.get(name) {
            Some(number) => Ok(*number),
            None => wrong(format!("'{}' is no value of the enum {}", shown(name.as_bytes()), self.name)),
        }
    }

    fn of_number(&self, number: i64) -> Read<i32> {
        match i32::try_from(number).ok().filter(|n| self.by_name.values().any(|v| v == n)) {
            Some(number) => Ok(number),
            None => wrong(format!("{number} is no value of the enum {}", self.name)),
        }
    }
}

enum Numbers<'a> {
    I8(&'a PrimitiveArray<Int8Type>),
    I16(&'a PrimitiveArray<Int16Type>),
    I32(&'a PrimitiveArray<Int32Type>),
    I64(&'a PrimitiveArray<Int64Type>),
}

impl Numbers<'_> {
    fn at(&self, row: usize) -> i64 {
        match self {
            Numbers::I8(v) => i64::from(v.value(row)),
            Numbers::I16(v) => i64::from(v.value(row)),
            Numbers::I32(v) => i64::from(v.value(row)),
            Numbers::I64(v) => v.value(row),
        }
    }
}

impl<'a> MessageWriter<'a> {
    /// How these columns are written; each has the name of a field. `null_literal` is written for NULL strings in
    /// arrays and maps.
    pub(super) fn new(
        message: &MessageDescriptor,
        columns: impl Iterator<Item = (&'a str, &'a ArrayRef)>,
        null_literal: &'a str,
    ) -> Read<MessageWriter<'a>> {
        let mut given: Vec<(FieldDescriptor, usize, &ArrayRef)> = vec![];
        for (i, (name, column)) in columns.enumerate() {
            match message.get_field_by_name(name) {
                Some(field) => given.push((field, i, column)),
                None => {
                    return wrong(format!("Column {name} does not exist in definition of proto class."))
                        .map_err(|e| below(e, name));
                }
            }
        }
        let required: Vec<FieldDescriptor> = message.fields().filter(FieldDescriptor::is_required).collect();
        if let Some(missing) = required.iter().find(|r| !given.iter().any(|(f, ..)| f.number() == r.number())) {
            return wrong(format!(
                "the message {} has the required field '{}', for which there is no column",
                message.full_name(),
                missing.name()
            ));
        }
        given.sort_by_key(|(f, ..)| f.number());
        let mut fields = vec![];
        for (field, at, column) in &given {
            let same_oneof = |f: &FieldDescriptor| matches!((f.containing_oneof(), field.containing_oneof()), (Some(a), Some(b)) if a == b);
            let later = given.iter().enumerate().filter(|(_, (f, i, _))| i > at && same_oneof(f)).map(|(i, _)| i);
            fields.push(FieldWriter {
                number: field.number(),
                name: field.name().to_string(),
                nulls: column.logical_nulls(),
                required: field.is_required(),
                implicit: !field.supports_presence(),
                later_of_oneof: later.collect(),
                how: how(field, column, null_literal).map_err(|e| below(e, field.name()))?,
            });
        }
        Ok(MessageWriter { fields, required: required.first().map(|f| f.name().to_string()) })
    }

    /// Appends a row.
    pub(super) fn write(&self, row: usize, out: &mut Vec<u8>) -> Read<()> {
        for field in &self.fields {
            if field.is_null(row) {
                if field.required {
                    return wrong("NULL, but the field is required").map_err(|e| below(e, &field.name));
                }
                continue;
            }
            if field.later_of_oneof.iter().any(|later| !self.fields[*later].is_null(row)) {
                continue;
            }
            field.write(row, out).map_err(|e| below(e, &field.name))?;
        }
        Ok(())
    }
}

fn how<'a>(field: &FieldDescriptor, column: &'a ArrayRef, null_literal: &'a str) -> Read<How<'a>> {
    if field.is_map() {
        let (Kind::Message(entry), DataType::Map(..)) = (field.kind(), column.data_type()) else {
            return unfit(&field.kind(), column);
        };
        let map = column.as_map();
        let (key, value) = entry_fields(&entry)?;
        return Ok(How::Map {
            offsets: map.offsets().clone(),
            key: Value::new(&key, map_keys(map), null_literal)?,
            key_nulls: map_keys(map).logical_nulls(),
            value: Value::new(&value, map.values(), null_literal)?,
            nulls: map.values().logical_nulls(),
        });
    }
    if field.cardinality() == Cardinality::Repeated {
        let DataType::List(_) = column.data_type() else { return unfit(&field.kind(), column) };
        let list = column.as_list::<i32>();
        return Ok(How::List {
            offsets: list.offsets().clone(),
            element: Value::new(field, list.values(), null_literal)?,
            nulls: list.values().logical_nulls(),
            packed: field.is_packed(),
        });
    }
    Ok(How::One(Value::new(field, column, null_literal)?))
}

fn unfit<T>(kind: &Kind, column: &ArrayRef) -> Read<T> {
    wrong(format!(
        "Protobuf field type does not match column type, {}(protobuf) is not compatible with {}",
        java_type(kind),
        column.data_type()
    ))
}

impl FieldWriter<'_> {
    fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|n| n.is_null(row))
    }

    fn write(&self, row: usize, out: &mut Vec<u8>) -> Read<()> {
        match &self.how {
            How::One(value) => {
                let start = out.len();
                put_tag(self.number, value.wire, out);
                let before = out.len();
                value.write(row, self.number, out)?;
                // Only simple values have no presence, and their defaults are zeros: also the length of an empty text.
                // Minus zero is not.
                if self.implicit && out[before..].iter().all(|b| *b == 0) {
                    out.truncate(start);
                }
            }
            How::List { offsets, element, nulls, packed } => {
                let range = offsets[row] as usize..offsets[row + 1] as usize;
                if range.is_empty() {
                    return Ok(());
                }
                let is_null = |i: usize| nulls.as_ref().is_some_and(|n| n.is_null(i));
                if *packed {
                    put_tag(self.number, WireType::Length, out);
                    let start = out.len();
                    for i in range {
                        element.write_or_default(i, is_null(i), self.number, out).map_err(|e| below(e, "[]"))?;
                    }
                    put_length_before(start, out);
                } else {
                    for i in range {
                        put_tag(self.number, element.wire, out);
                        element.write_or_default(i, is_null(i), self.number, out).map_err(|e| below(e, "[]"))?;
                    }
                }
            }
            How::Map { offsets, key, key_nulls, value, nulls } => {
                for i in offsets[row] as usize..offsets[row + 1] as usize {
                    put_tag(self.number, WireType::Length, out);
                    let start = out.len();
                    put_tag(1, key.wire, out);
                    let null = key_nulls.as_ref().is_some_and(|n| n.is_null(i));
                    key.write_or_default(i, null, 1, out).map_err(|e| below(e, "key"))?;
                    put_tag(2, value.wire, out);
                    let null = nulls.as_ref().is_some_and(|n| n.is_null(i));
                    value.write_or_default(i, null, 2, out).map_err(|e| below(e, "value"))?;
                    put_length_before(start, out);
                }
            }
        }
        Ok(())
    }
}

impl<'a> Value<'a> {
    fn new(field: &FieldDescriptor, column: &'a ArrayRef, null_literal: &'a str) -> Read<Value<'a>> {
        let kind = field.kind();
        let (wire, of) = match (&kind, column.data_type()) {
            (Kind::Bool, DataType::Boolean) => (WireType::Varint, Values::Bool(column.as_boolean())),
            (Kind::Int32, DataType::Int32) => (WireType::Varint, Values::Int32(ints(column))),
            (Kind::Uint32, DataType::Int32) => (WireType::Varint, Values::Uint32(ints(column))),
            (Kind::Sint32, DataType::Int32) => (WireType::Varint, Values::Sint32(ints(column))),
            (Kind::Fixed32 | Kind::Sfixed32, DataType::Int32) => (WireType::Fixed32, Values::Fixed32(ints(column))),
            (Kind::Int64 | Kind::Uint64, DataType::Int64) => (WireType::Varint, Values::Int64(longs(column))),
            (Kind::Sint64, DataType::Int64) => (WireType::Varint, Values::Sint64(longs(column))),
            (Kind::Fixed64 | Kind::Sfixed64, DataType::Int64) => (WireType::Fixed64, Values::Fixed64(longs(column))),
            (Kind::Float, DataType::Float32) => (WireType::Fixed32, Values::Float(column.as_primitive())),
            (Kind::Double, DataType::Float64) => (WireType::Fixed64, Values::Double(column.as_primitive())),
            (Kind::String, DataType::Utf8) => (WireType::Length, Values::Text(column.as_string(), null_literal)),
            (Kind::Bytes, DataType::Binary) => (WireType::Length, Values::Bytes(column.as_binary())),
            (Kind::Enum(e), DataType::Utf8) => (WireType::Varint, Values::Symbols(column.as_string(), Symbols::new(e))),
            (Kind::Enum(e), other) => {
                let numbers = match other {
                    DataType::Int8 => Numbers::I8(column.as_primitive()),
                    DataType::Int16 => Numbers::I16(column.as_primitive()),
                    DataType::Int32 => Numbers::I32(column.as_primitive()),
                    DataType::Int64 => Numbers::I64(column.as_primitive()),
                    _ => return unfit(&kind, column),
                };
                (WireType::Varint, Values::Numbers(numbers, Symbols::new(e)))
            }
            (Kind::Message(message), DataType::Struct(fields)) => {
                let names = fields.iter().map(|f| f.name().as_str());
                let writer = MessageWriter::new(message, names.zip(column.as_struct().columns()), null_literal)?;
                let wire = if field.is_group() { WireType::StartGroup } else { WireType::Length };
                (wire, Values::Message(Box::new(writer)))
            }
            _ => return unfit(&kind, column),
        };
        Ok(Value { wire, of })
    }

    /// Appends a value; its tag stands before it.
    fn write(&self, row: usize, number: u32, out: &mut Vec<u8>) -> Read<()> {
        match &self.of {
            Values::Bool(v) => out.push(u8::from(v.value(row))),
            // Negative numbers have ten bytes, as if they were longer.
            Values::Int32(v) => put_varint(i64::from(v[row]) as u64, out),
            Values::Uint32(v) => put_varint(u64::from(v[row] as u32), out),
            Values::Sint32(v) => put_varint(u64::from(((v[row] << 1) ^ (v[row] >> 31)) as u32), out),
            Values::Fixed32(v) => out.extend_from_slice(&v[row].to_le_bytes()),
            Values::Int64(v) => put_varint(v[row] as u64, out),
            Values::Sint64(v) => put_varint(((v[row] << 1) ^ (v[row] >> 63)) as u64, out),
            Values::Fixed64(v) => out.extend_from_slice(&v[row].to_le_bytes()),
            Values::Float(v) => out.extend_from_slice(&v.value(row).to_le_bytes()),
            Values::Double(v) => out.extend_from_slice(&v.value(row).to_le_bytes()),
            Values::Text(v, _) => put_bytes(v.value(row).as_bytes(), out),
            Values::Bytes(v) => put_bytes(v.value(row), out),
            Values::Symbols(v, symbols) => put_varint(i64::from(symbols.of_name(v.value(row))?) as u64, out),
            Values::Numbers(v, symbols) => put_varint(i64::from(symbols.of_number(v.at(row))?) as u64, out),
            Values::Message(message) => {
                let start = out.len();
                message.write(row, out)?;
                self.end_message(start, number, out);
            }
        }
        Ok(())
    }

    fn end_message(&self, start: usize, number: u32, out: &mut Vec<u8>) {
        if self.wire == WireType::StartGroup {
            put_tag(number, WireType::EndGroup, out);
        } else {
            put_length_before(start, out);
        }
    }

    /// In arrays and maps there is no NULL: a default is written instead.
    fn write_or_default(&self, row: usize, null: bool, number: u32, out: &mut Vec<u8>) -> Read<()> {
        if !null {
            return self.write(row, number, out);
        }
        match &self.of {
            Values::Text(_, null_literal) => put_bytes(null_literal.as_bytes(), out),
            Values::Symbols(_, symbols) | Values::Numbers(_, symbols) => {
                put_varint(i64::from(symbols.first) as u64, out);
            }
            Values::Message(message) => match &message.required {
                Some(name) => {
                    return wrong(format!(
                        "NULL, for which an empty message cannot be written: its field '{name}' is required"
                    ));
                }
                None => self.end_message(out.len(), number, out),
            },
            Values::Fixed32(_) | Values::Float(_) => out.extend_from_slice(&[0; 4]),
            Values::Fixed64(_) | Values::Double(_) => out.extend_from_slice(&[0; 8]),
            _ => out.push(0),
        }
        Ok(())
    }
}

fn ints(column: &ArrayRef) -> &[i32] {
    column.as_primitive::<Int32Type>().values()
}

fn longs(column: &ArrayRef) -> &[i64] {
    column.as_primitive::<Int64Type>().values()
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}
