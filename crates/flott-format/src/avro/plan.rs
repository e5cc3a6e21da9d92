//! How the values of one schema are read into the columns of a table (Avro's schema resolution).

use std::cell::Cell;
use std::sync::Arc;

use arrow_schema::{DataType, TimeUnit};
use flott_core::types::TypeKind;

use super::binary::{Input, Read, Wrong, below, wrong};
use super::json::to_binary;
use super::schema::{AvroSchema, Logical, Node};
use crate::builder::{ColumnBuilder, Values};

/// Keys of a map that are compared each with each; of more they are sorted.
const FEW_KEYS: usize = 16;

/// Plans of one schema: records in unions inside each other have one for each way through them.
pub(super) const PLANS_MAX: usize = 250_000;

/// The schema of data, and how many more plans may be made of it.
pub(super) struct Source<'a> {
    schema: &'a AvroSchema,
    left: Cell<usize>,
}

impl<'a> Source<'a> {
    pub(super) fn new(schema: &'a AvroSchema) -> Source<'a> {
        Source { schema, left: Cell::new(PLANS_MAX) }
    }

    /// Nothing is left once it did not suffice, also where a union took the error for one of a branch.
    fn spend(&self, plans: usize) -> Read<()> {
        self.left.set(self.left.get().saturating_sub(plans));
        self.check()
    }

    pub(super) fn check(&self) -> Read<()> {
        if self.left.get() > 0 {
            return Ok(());
        }
        wrong(format!("the schema can be read in more than {PLANS_MAX} ways (PLANS_MAX)"))
    }
}

/// What is to be done with a value.
#[derive(Debug, Clone)]
pub(super) enum Plan {
    Skip(usize),
    Null,
    /// It cannot be read, which matters only where it occurs: a branch of a union.
    Fail(Box<Wrong>),
    Union(Vec<Plan>),
    Record(RecordPlan),
    Array(Box<Plan>),
    Map(Box<Plan>),
    Boolean,
    Int,
    Long,
    Float,
    Double,
    /// A date.
    Date,
    /// A time of day, in parts of a second.
    Time {
        long: bool,
        per_second: i64,
    },
    Timestamp {
        per_second: i64,
    },
    /// An unscaled number of so many digits behind the point; `None`: as many bytes as it says itself.
    Decimal {
        size: Option<usize>,
        scale: u32,
    },
    Bytes,
    Fixed(usize),
    /// An enum's number in the schema.
    Enum(usize),
}

/// The fields of a record in the order of its bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct RecordPlan {
    /// Where each goes, and how.
    fields: Vec<(Option<usize>, Plan)>,
    /// Columns that the record does not have: NULL, or a default as bytes.
    missing: Vec<(usize, Option<Given>)>,
}

/// A default: its bytes, how they are read, and the schema whose types that names.
type Given = (Vec<u8>, Plan, Arc<AvroSchema>);

/// A column's defaults come from the schema that the reader was given, where it was given one.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) schema: &'a AvroSchema,
    pub(super) node: usize,
}

impl<'a> Reader<'a> {
    fn at(self, node: usize) -> Reader<'a> {
        Reader { node, ..self }
    }

    /// The branch of a union that is not null.
    fn value(self) -> Reader<'a> {
        match self.schema.node(self.node) {
            Node::Union(branches) => {
                let value = branches.iter().find(|b| !matches!(self.schema.node(**b), Node::Null));
                self.at(*value.unwrap_or(&self.node))
            }
            _ => self,
        }
    }

    fn inner(self) -> Option<Reader<'a>> {
        match self.schema.node(self.value().node) {
            Node::Array(inner) | Node::Map(inner) => Some(self.at(*inner)),
            _ => None,
        }
    }
}

fn type_name(column: &ColumnBuilder) -> String {
    column.kind.clone().nullable().to_string()
}

/// How a record is read into these columns.
pub(super) fn of_record(
    source: &Source<'_>,
    node: usize,
    columns: &[ColumnBuilder],
    reader: Option<Reader<'_>>,
) -> Read<RecordPlan> {
    let schema = source.schema;
    let Node::Record(fields) = schema.node(node) else {
        return wrong(format!("found {}, expecting a record", schema.name(node)));
    };
    let of_reader = |name: &str| {
        let reader = reader?.value();
        let Node::Record(fields) = reader.schema.node(reader.node) else { return None };
        fields.iter().find(|f| f.name == name).map(|f| (reader.at(f.node), f))
    };
    source.spend(fields.len())?;
    // Where each column comes from: names count before the names that the reader's schema knows a field by as well.
    let named = |name: &str| fields.iter().position(|f| f.name == name);
    let mut origins: Vec<Option<usize>> = columns.iter().map(|c| named(c.field.name())).collect();
    for (i, column) in columns.iter().enumerate().filter(|_| reader.is_some()) {
        if origins[i].is_none()
            && let Some((_, field)) = of_reader(column.field.name())
        {
            origins[i] = field.aliases.iter().filter_map(|a| named(a)).find(|f| !origins.contains(&Some(*f)));
        }
    }
    let mut plan = RecordPlan::default();
    for (at, field) in fields.iter().enumerate() {
        let target = origins.iter().position(|o| *o == Some(at));
        let how = match target {
            None => Plan::Skip(field.node),
            Some(i) => of_value(source, field.node, &columns[i], of_reader(columns[i].field.name()).map(|r| r.0))
                .map_err(|e| below(e, columns[i].field.name()))?,
        };
        plan.fields.push((target, how));
    }
    for (i, column) in columns.iter().enumerate() {
        let name = column.field.name();
        if origins[i].is_some() {
            continue;
        }
        let default = match of_reader(name).map(|(reader, field)| (reader, field.default.as_ref())) {
            Some((reader, Some(json))) if !json.is_null() => {
                let mut bytes = vec![];
                to_binary(json, reader.schema, reader.node, false, 0, &mut bytes).map_err(|e| below(e, name))?;
                let how =
                    of_value(&Source::new(reader.schema), reader.node, column, None).map_err(|e| below(e, name))?;
                Some((bytes, how, Arc::new(reader.schema.clone())))
            }
            _ if column.nullable() => None,
            _ => {
                let reason =
                    format!("the data has no such field, but the column is declared {} NOT NULL", type_name(column));
                return Err(Box::new(Wrong { path: name.clone(), reason }));
            }
        };
        plan.missing.push((i, default));
    }
    Ok(plan)
}

fn of_value(source: &Source<'_>, node: usize, column: &ColumnBuilder, reader: Option<Reader<'_>>) -> Read<Plan> {
    source.spend(1)?;
    let schema = source.schema;
    let logical = schema.logical(node);
    let mismatch = || wrong(format!("found {}, expecting {}", schema.name(node), type_name(column)));
    // A number without a note counts what the column's type has in Flink: milliseconds, or microseconds where it has more digits.
    let per_second = |default: i64| match logical {
        Some(Logical::Timestamp { per_second }) => per_second,
        _ => default,
    };
    Ok(match (schema.node(node), &column.values, &column.kind) {
        (Node::Union(branches), ..) => {
            let branch = |b: &usize| match of_value(source, *b, column, reader) {
                Ok(plan) => plan,
                Err(e) => Plan::Fail(e),
            };
            let plans: Vec<Plan> = branches.iter().map(branch).collect();
            if let (Some(Plan::Fail(e)), true) = (
                plans.iter().find(|p| matches!(p, Plan::Fail(_))),
                plans.iter().all(|p| matches!(p, Plan::Fail(_) | Plan::Null)),
            ) {
                return Err(e.clone());
            }
            Plan::Union(plans)
        }
        (Node::Null, ..) => Plan::Null,
        (Node::Record(_), Values::Struct(children), _) => {
            Plan::Record(of_record(source, node, children, reader.map(Reader::value))?)
        }
        (Node::Array(inner), Values::List { element, .. }, _) => {
            let inner = of_value(source, *inner, element, reader.and_then(Reader::inner));
            Plan::Array(Box::new(inner.map_err(|e| below(e, "[]"))?))
        }
        // Avro's keys are strings.
        (Node::Map(inner), Values::Map { key, value, .. }, _) if key.kind.is_character() => {
            let inner = of_value(source, *inner, value, reader.and_then(Reader::inner));
            Plan::Map(Box::new(inner.map_err(|e| below(e, "[]"))?))
        }
        (Node::Boolean, Values::Bool(_), _) => Plan::Boolean,
        (Node::Int, _, TypeKind::TinyInt | TypeKind::SmallInt | TypeKind::Int | TypeKind::BigInt) => Plan::Int,
        (Node::Int, Values::F32(_) | Values::F64(_), _) => Plan::Int,
        (Node::Long, _, TypeKind::BigInt | TypeKind::Float | TypeKind::Double) => Plan::Long,
        (Node::Float, Values::F32(_) | Values::F64(_), _) => Plan::Float,
        (Node::Double, Values::F64(_), _) => Plan::Double,
        (Node::Int, _, TypeKind::Date) => Plan::Date,
        (Node::Int, _, TypeKind::Time(_)) => Plan::Time { long: false, per_second: 1_000 },
        (Node::Long, _, TypeKind::Time(_)) if logical == Some(Logical::TimeMicros) => {
            Plan::Time { long: true, per_second: 1_000_000 }
        }
        (Node::Long, _, TypeKind::Timestamp(p, _) | TypeKind::TimestampLtz(p, _)) => Plan::Timestamp {
            per_second: per_second(match p {
                0..=3 => 1_000,
                4..=6 => 1_000_000,
                _ => 1_000_000_000,
            }),
        },
        (Node::Bytes | Node::Fixed(_), Values::I128(_), TypeKind::Decimal { scale, .. }) => {
            let size = if let Node::Fixed(size) = schema.node(node) { Some(*size) } else { None };
            let scale = match logical {
                Some(Logical::Decimal { scale }) => scale,
                _ => u32::from(*scale),
            };
            Plan::Decimal { size, scale }
        }
        (Node::Bytes | Node::String, Values::Bytes { .. }, _) => Plan::Bytes,
        (Node::Fixed(size), Values::Bytes { .. }, kind) if kind.is_binary() => Plan::Fixed(*size),
        (Node::Enum(_), Values::Bytes { .. }, kind) if kind.is_character() => Plan::Enum(node),
        _ => return mismatch(),
    })
}

/// How many of a column's unit are a second.
fn parts(data_type: &DataType) -> i64 {
    match data_type {
        DataType::Timestamp(unit, _) | DataType::Time32(unit) | DataType::Time64(unit) => match unit {
            TimeUnit::Second => 1,
            TimeUnit::Millisecond => 1_000,
            TimeUnit::Microsecond => 1_000_000,
            TimeUnit::Nanosecond => 1_000_000_000,
        },
        _ => 1_000,
    }
}

/// From one unit to another; more digits than the column has are cut towards the past.
#[inline]
fn scaled(value: i64, from: i64, to: i64) -> Read<i64> {
    if from == to {
        return Ok(value);
    }
    if from > to {
        return Ok(value.div_euclid(from / to));
    }
    match value.checked_mul(to / from) {
        Some(scaled) => Ok(scaled),
        None => wrong(format!("the time {value} is too far away for the column's precision")),
    }
}

fn decimal(bytes: &[u8], from: u32, precision: u8, to: u8) -> Read<i128> {
    let too_large = || wrong(format!("a number of {} bytes is too large for DECIMAL({precision}, {to})", bytes.len()));
    let sign = if bytes.first().is_some_and(|b| b & 0x80 != 0) { 0xff } else { 0 };
    let leading = bytes.len().saturating_sub(16);
    if bytes[..leading].iter().any(|b| *b != sign) {
        return too_large();
    }
    let mut sixteen = [sign; 16];
    let rest = &bytes[leading..];
    sixteen[16 - rest.len()..].copy_from_slice(rest);
    let mut value = i128::from_be_bytes(sixteen);
    if value < 0 && sign == 0 || value >= 0 && sign != 0 {
        return too_large();
    }
    let to_scale = u32::from(to);
    if to_scale > from {
        let Some(scaled) = 10i128.checked_pow(to_scale - from).and_then(|p| value.checked_mul(p)) else {
            return too_large();
        };
        value = scaled;
    } else if from > to_scale {
        let Some(power) = 10i128.checked_pow(from - to_scale) else { return too_large() };
        if value % power != 0 {
            return wrong(format!(
                "the number has {from} digits behind the point, and DECIMAL({precision}, {to}) fewer"
            ));
        }
        value /= power;
    }
    if value.unsigned_abs() >= 10u128.pow(u32::from(precision)) {
        return too_large();
    }
    Ok(value)
}

/// Reads a record into the columns; on an error some may have one value more than before.
pub(super) fn record(
    plan: &RecordPlan,
    schema: &AvroSchema,
    input: &mut Input<'_>,
    columns: &mut [ColumnBuilder],
) -> Read<()> {
    for (target, how) in &plan.fields {
        match (target, how) {
            (Some(i), how) => {
                let column = &mut columns[*i];
                if let Err(e) = value(how, schema, input, column) {
                    return Err(below(e, column.field.name()));
                }
            }
            (None, Plan::Skip(node)) => input.skip(schema, *node)?,
            (None, _) => {}
        }
    }
    for (i, default) in &plan.missing {
        match default {
            None => columns[*i].push_null(),
            Some((bytes, how, own)) => value(how, own, &mut Input::new(bytes), &mut columns[*i])?,
        }
    }
    Ok(())
}

fn value(plan: &Plan, schema: &AvroSchema, input: &mut Input<'_>, column: &mut ColumnBuilder) -> Read<()> {
    const LONG: &str = "the values of a batch are longer than 2 GiB";
    let parts = match plan {
        Plan::Time { .. } | Plan::Timestamp { .. } => parts(column.field.data_type()),
        _ => 0,
    };
    match plan {
        Plan::Union(branches) => {
            let branch = input.index(branches.len(), "branch of the union")?;
            return value(&branches[branch], schema, input, column);
        }
        Plan::Null => {
            if !column.nullable() {
                return wrong(format!("NULL, but the column is declared {} NOT NULL", type_name(column)));
            }
            column.push_null();
            return Ok(());
        }
        Plan::Fail(e) => return Err(e.clone()),
        Plan::Skip(node) => return input.skip(schema, *node),
        Plan::Record(fields) => {
            if let Values::Struct(children) = &mut column.values {
                record(fields, schema, input, children)?;
            }
        }
        Plan::Array(inner) => {
            if let Values::List { offsets, element } = &mut column.values {
                loop {
                    let count = input.block()?;
                    if count == 0 {
                        break;
                    }
                    for _ in 0..count {
                        value(inner, schema, input, element).map_err(|e| below(e, "[]"))?;
                    }
                }
                offsets.push(i32::try_from(element.len()).or_else(|_| wrong(LONG))?);
            }
        }
        Plan::Map(inner) => {
            if let Values::Map { offsets, key, value: values } = &mut column.values {
                map(inner, schema, input, key, values)?;
                offsets.push(i32::try_from(key.len()).or_else(|_| wrong(LONG))?);
            }
        }
        Plan::Boolean => {
            let v = input.boolean()?;
            if let Values::Bool(values) = &mut column.values {
                values.append(v);
            }
        }
        Plan::Int | Plan::Long | Plan::Date => {
            let n = if matches!(plan, Plan::Long) { input.long()? } else { i64::from(input.int()?) };
            match &mut column.values {
                Values::I64(v) => v.push(n),
                Values::I32(v) => v.push(i32::try_from(n).or_else(|_| narrow(n, "INT"))?),
                Values::I16(v) => v.push(i16::try_from(n).or_else(|_| narrow(n, "SMALLINT"))?),
                Values::I8(v) => v.push(i8::try_from(n).or_else(|_| narrow(n, "TINYINT"))?),
                Values::F32(v) => v.push(n as f32),
                Values::F64(v) => v.push(n as f64),
                _ => return wrong("a number in a column of another type"),
            }
        }
        Plan::Float => {
            let n = input.float()?;
            match &mut column.values {
                Values::F32(v) => v.push(n),
                Values::F64(v) => v.push(f64::from(n)),
                _ => {}
            }
        }
        Plan::Double => {
            let n = input.double()?;
            if let Values::F64(v) = &mut column.values {
                v.push(n);
            }
        }
        Plan::Time { long, per_second } => {
            let n = if *long { input.long()? } else { i64::from(input.int()?) };
            if !(0..86_400 * per_second).contains(&n) {
                return wrong(format!("{n} is no time of day"));
            }
            let n = scaled(n, *per_second, parts)?;
            match &mut column.values {
                Values::I32(v) => v.push(n as i32),
                Values::I64(v) => v.push(n),
                _ => {}
            }
        }
        Plan::Timestamp { per_second } => {
            let n = scaled(input.long()?, *per_second, parts)?;
            if let Values::I64(v) = &mut column.values {
                v.push(n);
            }
        }
        Plan::Decimal { size, scale } => {
            let bytes = match size {
                Some(size) => input.take(*size)?,
                None => input.bytes()?,
            };
            if let (Values::I128(v), TypeKind::Decimal { precision, scale: to }) = (&mut column.values, &column.kind) {
                v.push(decimal(bytes, *scale, *precision, *to)?);
            }
        }
        Plan::Bytes => {
            let bytes = input.bytes()?;
            return text(column, bytes, LONG);
        }
        Plan::Fixed(size) => {
            let bytes = input.take(*size)?;
            return text(column, bytes, LONG);
        }
        Plan::Enum(node) => {
            let Node::Enum(symbols) = schema.node(*node) else { return wrong("a symbol of no enum") };
            let symbol = input.index(symbols.len(), "symbol of the enum")?;
            return text(column, symbols[symbol].as_bytes(), LONG);
        }
    }
    column.done(true);
    Ok(())
}

#[cold]
fn narrow<T>(n: i64, column: &str) -> Read<T> {
    wrong(format!("{n} does not fit in {column}"))
}

#[inline]
fn text(column: &mut ColumnBuilder, bytes: &[u8], long: &str) -> Read<()> {
    if column.kind.is_character() && simdutf8::basic::from_utf8(bytes).is_err() {
        return wrong(format!("'{}' is not valid UTF-8", crate::text::shown(bytes)));
    }
    column.push_bytes(bytes).or_else(|_| wrong(long))
}

/// Of several entries with one key the last counts, as in Java's maps.
fn map(
    inner: &Plan,
    schema: &AvroSchema,
    input: &mut Input<'_>,
    key: &mut ColumnBuilder,
    values: &mut ColumnBuilder,
) -> Read<()> {
    let (start, first) = (input.at, key.len());
    let mut keys: Vec<&[u8]> = vec![];
    let read = |wanted: Option<&[usize]>,
                input: &mut Input<'_>,
                key: &mut ColumnBuilder,
                values: &mut ColumnBuilder,
                keys: &mut Vec<(usize, usize)>|
     -> Read<()> {
        let mut entry = 0;
        loop {
            let count = input.block()?;
            if count == 0 {
                return Ok(());
            }
            for _ in 0..count {
                let bytes = input.bytes()?;
                keys.push((input.at - bytes.len(), bytes.len()));
                value(inner, schema, input, values).map_err(|e| below(e, "[]"))?;
                match wanted {
                    Some(wanted) if wanted.binary_search(&entry).is_err() => values.truncate(values.len() - 1),
                    _ => text(key, bytes, "the keys of a batch are longer than 2 GiB")?,
                }
                entry += 1;
            }
        }
    };
    let mut places = vec![];
    read(None, input, key, values, &mut places)?;
    let bytes = input.bytes;
    keys.extend(places.iter().map(|(at, length)| &bytes[*at..at + length]));
    let twice = if keys.len() <= FEW_KEYS {
        keys.iter().enumerate().any(|(i, k)| keys[..i].contains(k))
    } else {
        let mut sorted = keys.clone();
        sorted.sort_unstable();
        sorted.windows(2).any(|pair| pair[0] == pair[1])
    };
    if twice {
        let last: std::collections::HashMap<&[u8], usize> = keys.iter().enumerate().map(|(i, k)| (*k, i)).collect();
        let mut wanted: Vec<usize> = last.into_values().collect();
        wanted.sort_unstable();
        let kept = values.len() - places.len();
        key.truncate(first);
        values.truncate(kept);
        input.at = start;
        read(Some(&wanted), input, key, values, &mut vec![])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_of_any_length() {
        for (bytes, scale, expected) in [
            (&[0x04, 0xd2][..], 2, Some(1234)),
            (&[0xff, 0xff, 0xfb, 0x2e], 2, Some(-1234)),
            (&[], 2, Some(0)),
            (&[1], 0, Some(100)),
            (&[100], 4, Some(1)),
            (&[101], 4, None),
            (&[0x7f; 17], 2, None),
            (&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5], 2, Some(5)),
            (&[0x00, 0x98, 0x96, 0x80], 2, None),
        ] {
            assert_eq!(decimal(bytes, scale, 7, 2).ok(), expected, "{bytes:?}");
        }
    }

    #[test]
    fn times_are_cut_towards_the_past() {
        assert_eq!(scaled(-1, 1_000_000, 1_000), Ok(-1));
        assert_eq!(scaled(1_999, 1_000_000, 1_000), Ok(1));
        assert_eq!(scaled(-3, 1_000, 1_000_000), Ok(-3_000));
        assert!(scaled(i64::MAX, 1_000, 1_000_000_000).is_err());
    }
}
