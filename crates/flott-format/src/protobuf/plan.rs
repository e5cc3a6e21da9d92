//! How the fields of a message are read into the columns of a table.

use std::collections::BTreeMap;
use std::sync::Arc;

use flott_core::types::TypeKind;
use prost_reflect::{Cardinality, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, Syntax, Value};

use super::wire::{DEPTH_MAX, WireType};
use crate::builder::{ColumnBuilder, Values};
use crate::wrong::{Read, below, wrong};

/// What a message's bytes are read as.
#[derive(Debug)]
pub(super) struct MessagePlan {
    /// In the order of their numbers.
    pub(super) fields: Vec<FieldPlan>,
    /// For each column the place of its field.
    pub(super) of_columns: Vec<usize>,
}

impl MessagePlan {
    /// The place of a field by its number. They mostly stand in this order, so `next` is where it is likely.
    #[inline]
    pub(super) fn find(&self, number: u32, next: usize) -> Option<usize> {
        if self.fields.get(next).is_some_and(|f| f.number == number) {
            return Some(next);
        }
        self.fields.binary_search_by_key(&number, |f| f.number).ok()
    }
}

/// A field that has a column, or whose presence matters.
#[derive(Debug)]
pub(super) struct FieldPlan {
    pub(super) number: u32,
    pub(super) name: String,
    pub(super) required: bool,
    /// Places of the other fields of its oneof: they are unset where this one is set.
    pub(super) others_of_oneof: Vec<usize>,
    pub(super) column: Option<usize>,
    /// What is read where the message lacks it: NULL or the default.
    pub(super) absent_is_null: bool,
    pub(super) how: How,
}

/// How a field's values are read.
#[derive(Debug)]
pub(super) enum How {
    /// No column takes it; it counts as set where it stands like this, and of an enum where its number is known.
    Seen {
        wire: WireType,
        of: Option<ScalarKind>,
    },
    One(Scalar),
    Message {
        plan: MessagePlan,
        wire: WireType,
    },
    Scalars(Scalar),
    Messages {
        plan: MessagePlan,
        wire: WireType,
    },
    /// A message of a key (1) and a value (2).
    Map(MessagePlan),
}

/// A value that is no message.
#[derive(Debug)]
pub(super) struct Scalar {
    pub(super) kind: ScalarKind,
    pub(super) default: Default,
}

/// A field's default.
#[derive(Debug)]
pub(super) enum Default {
    Bits(u64),
    Bytes(Vec<u8>),
}

/// How a value stands in bytes, and what Java makes of it.
#[derive(Debug)]
pub(super) enum ScalarKind {
    Bool,
    /// int32 and uint32: the lower 32 bits.
    Int32,
    Sint32,
    Fixed32,
    /// int64 and uint64.
    Int64,
    Sint64,
    Fixed64,
    Float,
    Double,
    String,
    Bytes,
    Enum(Arc<Names>),
}

impl ScalarKind {
    pub(super) fn wire(&self) -> WireType {
        match self {
            ScalarKind::Fixed32 | ScalarKind::Float => WireType::Fixed32,
            ScalarKind::Fixed64 | ScalarKind::Double => WireType::Fixed64,
            ScalarKind::String | ScalarKind::Bytes => WireType::Length,
            _ => WireType::Varint,
        }
    }

    /// False for a number that a closed enum does not have: its field counts as unknown.
    #[inline]
    pub(super) fn knows(&self, bits: u64) -> bool {
        match self {
            ScalarKind::Enum(names) => !names.closed || names.names.contains_key(&(bits as i32)),
            _ => true,
        }
    }
}

/// The names of an enum's numbers.
#[derive(Debug)]
pub(super) struct Names {
    /// proto2: other numbers are not values of it.
    closed: bool,
    names: BTreeMap<i32, String>,
}

impl Names {
    fn new(descriptor: &EnumDescriptor) -> Names {
        let mut names = BTreeMap::new();
        for value in descriptor.values() {
            // Of several names of a number Java shows the first.
            names.entry(value.number()).or_insert_with(|| value.name().to_string());
        }
        Names { closed: descriptor.parent_file().syntax() == Syntax::Proto2, names }
    }

    /// Java's name for numbers that the enum does not have is UNRECOGNIZED.
    pub(super) fn name(&self, number: i32) -> &str {
        self.names.get(&number).map_or("UNRECOGNIZED", String::as_str)
    }
}

/// Where defaults are read instead of NULL.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReadDefaults {
    /// Of fields of simple types.
    simple: bool,
    /// Of messages, arrays and maps.
    others: bool,
}

impl ReadDefaults {
    /// As Flink does: with a proto3 message, always for simple types.
    pub(super) fn new(message: &MessageDescriptor, option: bool) -> ReadDefaults {
        let proto3 = message.parent_file().syntax() == Syntax::Proto3;
        ReadDefaults { simple: option || proto3, others: option }
    }
}

fn type_name(column: &ColumnBuilder) -> String {
    column.kind.clone().nullable().to_string()
}

/// How a message is read into these columns, each of which has the name of a field.
pub(super) fn of_message(
    message: &MessageDescriptor,
    columns: &[ColumnBuilder],
    defaults: ReadDefaults,
    depth: usize,
) -> Read<MessagePlan> {
    if depth > DEPTH_MAX {
        return super::wire::too_deep();
    }
    let mut fields: Vec<(FieldDescriptor, Option<usize>)> = vec![];
    for (i, column) in columns.iter().enumerate() {
        let name = column.field.name();
        let Some(field) = message.get_field_by_name(name) else {
            return wrong(format!("Column {name} does not exist in definition of proto class."))
                .map_err(|e| below(e, name));
        };
        fields.push((field, Some(i)));
    }
    let is_there = |fields: &[(FieldDescriptor, Option<usize>)], f: &FieldDescriptor| {
        fields.iter().any(|(other, _)| other.number() == f.number())
    };
    for field in message.fields() {
        let beside = |oneof: prost_reflect::OneofDescriptor| oneof.fields().any(|f| is_there(&fields, &f));
        if !is_there(&fields, &field) && (field.is_required() || field.containing_oneof().is_some_and(beside)) {
            fields.push((field, None));
        }
    }
    fields.sort_by_key(|(f, _)| f.number());
    let numbers: Vec<u32> = fields.iter().map(|(f, _)| f.number()).collect();
    let mut plan = MessagePlan { fields: vec![], of_columns: vec![0; columns.len()] };
    for (at, (field, column)) in fields.iter().enumerate() {
        let others = field.containing_oneof().map(|oneof| {
            let others = oneof.fields().filter(|f| f.number() != field.number());
            others.filter_map(|f| numbers.binary_search(&f.number()).ok()).collect()
        });
        let how = match column {
            None => {
                let of = scalar_kind(&field.kind()).filter(|kind| matches!(kind, ScalarKind::Enum(_)));
                How::Seen { wire: wire_of(field), of }
            }
            Some(i) => {
                plan.of_columns[*i] = at;
                of_field(field, &columns[*i], defaults, depth).map_err(|e| below(e, field.name()))?
            }
        };
        // What has no presence has its default.
        let absent_is_default = match &how {
            How::One(_) => defaults.simple || !field.supports_presence(),
            _ => defaults.others,
        };
        plan.fields.push(FieldPlan {
            number: field.number(),
            name: field.name().to_string(),
            required: field.is_required(),
            others_of_oneof: others.unwrap_or_default(),
            column: *column,
            absent_is_null: !absent_is_default,
            how,
        });
    }
    Ok(plan)
}

fn wire_of(field: &FieldDescriptor) -> WireType {
    match field.kind() {
        Kind::Message(_) if field.is_group() => WireType::StartGroup,
        Kind::Message(_) => WireType::Length,
        kind => scalar_kind(&kind).map_or(WireType::Length, |k| k.wire()),
    }
}

fn should_be<T>(column: &ColumnBuilder, expected: &str) -> Read<T> {
    let mut reason = format!("Unexpected LogicalType: {}. It should be {expected}", type_name(column));
    if matches!(column.kind, TypeKind::Timestamp(..) | TypeKind::TimestampLtz(..)) {
        reason += " (a google.protobuf.Timestamp is ROW<seconds BIGINT, nanos INT>, of which a query makes a time)";
    }
    wrong(reason)
}

fn of_field(field: &FieldDescriptor, column: &ColumnBuilder, defaults: ReadDefaults, depth: usize) -> Read<How> {
    let wire = wire_of(field);
    if field.is_map() {
        let Kind::Message(entry) = field.kind() else { return wrong("a map without entries") };
        let Values::Map { key, value, .. } = &column.values else { return should_be(column, "MapType") };
        if matches!(column.kind, TypeKind::Multiset(_)) {
            return should_be(column, "MapType");
        }
        return of_entry(&entry, key, value, defaults, depth).map(How::Map);
    }
    if field.cardinality() == Cardinality::Repeated {
        let Values::List { element, .. } = &column.values else { return should_be(column, "ArrayType") };
        return match field.kind() {
            Kind::Message(message) => {
                let Values::Struct(children) = &element.values else { return should_be(element, "RowType") };
                let plan = of_message(&message, children, defaults, depth + 1).map_err(|e| below(e, "[]"))?;
                Ok(How::Messages { plan, wire })
            }
            kind => scalar(&kind, kind.default_value(), element).map(How::Scalars),
        };
    }
    match field.kind() {
        Kind::Message(message) => {
            let Values::Struct(children) = &column.values else { return should_be(column, "RowType") };
            Ok(How::Message { plan: of_message(&message, children, defaults, depth + 1)?, wire })
        }
        kind => scalar(&kind, field.default_value(), column).map(How::One),
    }
}

/// Key and value of a map's entry. A file of descriptors may say of any message that it is one.
pub(super) fn entry_fields(entry: &MessageDescriptor) -> Read<(FieldDescriptor, FieldDescriptor)> {
    let (Some(key), Some(value)) = (entry.get_field(1), entry.get_field(2)) else {
        return wrong(format!("the entry {} of a map has no key or no value", entry.full_name()));
    };
    let is_key = !matches!(key.kind(), Kind::Message(_) | Kind::Enum(_) | Kind::Bytes | Kind::Float | Kind::Double);
    if !is_key || key.is_list() || value.is_list() {
        return wrong(format!("the entry {} of a map has a key or value that no map has", entry.full_name()));
    }
    Ok((key, value))
}

/// A map's entry. What it lacks is always the default.
fn of_entry(
    entry: &MessageDescriptor,
    key: &ColumnBuilder,
    value: &ColumnBuilder,
    defaults: ReadDefaults,
    depth: usize,
) -> Read<MessagePlan> {
    let mut plan = MessagePlan { fields: vec![], of_columns: vec![0, 1] };
    let (key_field, value_field) = entry_fields(entry)?;
    for (i, (field, column)) in [(key_field, key), (value_field, value)].into_iter().enumerate() {
        plan.fields.push(FieldPlan {
            number: field.number(),
            name: field.name().to_string(),
            required: false,
            others_of_oneof: vec![],
            column: Some(i),
            absent_is_null: false,
            how: of_field(&field, column, defaults, depth + 1).map_err(|e| below(e, field.name()))?,
        });
    }
    Ok(plan)
}

/// How a value of this kind stands in bytes; `None` for messages.
fn scalar_kind(kind: &Kind) -> Option<ScalarKind> {
    Some(match kind {
        Kind::Bool => ScalarKind::Bool,
        Kind::Int32 | Kind::Uint32 => ScalarKind::Int32,
        Kind::Sint32 => ScalarKind::Sint32,
        Kind::Fixed32 | Kind::Sfixed32 => ScalarKind::Fixed32,
        Kind::Int64 | Kind::Uint64 => ScalarKind::Int64,
        Kind::Sint64 => ScalarKind::Sint64,
        Kind::Fixed64 | Kind::Sfixed64 => ScalarKind::Fixed64,
        Kind::Float => ScalarKind::Float,
        Kind::Double => ScalarKind::Double,
        Kind::String => ScalarKind::String,
        Kind::Bytes => ScalarKind::Bytes,
        Kind::Enum(descriptor) => ScalarKind::Enum(Arc::new(Names::new(descriptor))),
        Kind::Message(_) => return None,
    })
}

/// The name of the Java type of a kind, for the messages of Flink.
pub(super) fn java_type(kind: &Kind) -> &'static str {
    match kind {
        Kind::Bool => "BOOLEAN",
        Kind::Int32 | Kind::Uint32 | Kind::Sint32 | Kind::Fixed32 | Kind::Sfixed32 => "INT",
        Kind::Int64 | Kind::Uint64 | Kind::Sint64 | Kind::Fixed64 | Kind::Sfixed64 => "LONG",
        Kind::Float => "FLOAT",
        Kind::Double => "DOUBLE",
        Kind::String => "STRING",
        Kind::Bytes => "BYTE_STRING",
        Kind::Enum(_) => "ENUM",
        Kind::Message(_) => "MESSAGE",
    }
}

/// Whether a column of this type takes values of the kind, as in Flink.
fn fits(kind: &Kind, column: &TypeKind) -> bool {
    match kind {
        Kind::Bool => matches!(column, TypeKind::Boolean),
        Kind::Int32 | Kind::Uint32 | Kind::Sint32 | Kind::Fixed32 | Kind::Sfixed32 => matches!(column, TypeKind::Int),
        Kind::Int64 | Kind::Uint64 | Kind::Sint64 | Kind::Fixed64 | Kind::Sfixed64 => {
            matches!(column, TypeKind::BigInt)
        }
        Kind::Float => matches!(column, TypeKind::Float),
        Kind::Double => matches!(column, TypeKind::Double),
        Kind::String => column.is_character(),
        Kind::Bytes => column.is_binary(),
        Kind::Enum(_) => {
            column.is_character()
                || matches!(column, TypeKind::TinyInt | TypeKind::SmallInt | TypeKind::Int | TypeKind::BigInt)
        }
        Kind::Message(_) => false,
    }
}

fn scalar(kind: &Kind, default: Value, column: &ColumnBuilder) -> Read<Scalar> {
    let (true, Some(of_wire)) = (fits(kind, &column.kind), scalar_kind(kind)) else {
        return wrong(format!(
            "Protobuf field type does not match column type, {}(protobuf) is not compatible with {}",
            java_type(kind),
            type_name(column)
        ));
    };
    let default = match default {
        Value::Bool(v) => Default::Bits(u64::from(v)),
        Value::I32(v) | Value::EnumNumber(v) => Default::Bits(v as u64),
        Value::U32(v) => Default::Bits(u64::from(v)),
        Value::I64(v) => Default::Bits(v as u64),
        Value::U64(v) => Default::Bits(v),
        Value::F32(v) => Default::Bits(u64::from(v.to_bits())),
        Value::F64(v) => Default::Bits(v.to_bits()),
        Value::String(v) => Default::Bytes(v.into_bytes()),
        Value::Bytes(v) => Default::Bytes(v.to_vec()),
        Value::Message(_) | Value::List(_) | Value::Map(_) => return wrong("a default that is no simple value"),
    };
    Ok(Scalar { kind: of_wire, default })
}
