//! CAST and TRY_CAST: Flink's cast matrix over columns.

use std::fmt::Write;
use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, ListArray, PrimitiveArray, StructArray, make_array,
    new_null_array,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, TimeUnit};
use arrow_select::concat::concat;
use datafusion_common::ScalarValue;
use flott_core::SessionZone;
use flott_core::types::{MAX_LENGTH, TypeKind, arrow_field, arrow_type, map_array, map_keys};
use flott_core::{Error, ErrorKind, LogicalType, Result};

use crate::context::FunctionEnv;
use crate::print::{Bytes, Style, format_values};
use crate::scalar::collection::build_map;
use crate::types::as_decimal;
use crate::udf::{Resolved, TypedExpr, call_resolved};
use crate::{decimal, text};

pub use crate::print::format_column;

use TypeKind as K;

const DAY_NS: i128 = 86_400_000_000_000;

/// `CAST(value AS to)` or `TRY_CAST`: where a value cannot be cast the one fails and the other gives NULL.
///
/// With [`FunctionEnv::legacy_cast`] both give NULL, no text and no byte string is cut, and none is made longer but a constant.
pub fn cast(value: TypedExpr, to: &LogicalType, try_cast: bool, env: &FunctionEnv) -> Result<TypedExpr> {
    let from = value.data_type.clone();
    let fails_to_null = env.legacy_cast && from.kind != to.kind && may_fail(&from.kind, &to.kind);
    let nullable = from.nullable || from.kind == K::Null || try_cast || fails_to_null;
    let to = to.with_nullable(nullable);
    if from.kind == to.kind {
        return Ok(TypedExpr { data_type: to, ..value });
    }
    if from.kind == K::Null {
        let null = ScalarValue::try_from(&arrow_type(&to)).map_err(crate::udf::from_datafusion)?;
        return Ok(TypedExpr::literal(null, to));
    }
    if !supported(&from.kind, &to.kind) {
        return Err(refused(&from, &to));
    }
    let nulls = try_cast || env.legacy_cast;
    let never_fails = nulls || infallible(&from.kind, &to.kind);
    let nested = is_nested(&to.kind);
    let lengths = match env.legacy_cast {
        false => Lengths::Kept,
        // Flink's planner computes casts of constants, and fills up those that are shorter than their type.
        true if value.constant().is_some() => Lengths::FilledUp,
        true => Lengths::Ignored,
    };
    let rule = Rule { from, to: to.clone(), zone: env.time_zone, try_cast: nulls, lengths };
    let name = if try_cast { "TRY_CAST" } else { "CAST" };
    let resolved = Resolved::arrays(to, move |args, _| match nulls && nested {
        true => rule.whole_or_null(&args[0]),
        false => rule.apply(&args[0]),
    });
    Ok(call_resolved(name, vec![value], if never_fails { resolved.infallible() } else { resolved }))
}

fn refused(from: &LogicalType, to: &LogicalType) -> Error {
    let error = Error::user(format!(
        "Cast function cannot convert value of type {} to type {}",
        from.summary_without_nullability(),
        to.summary_without_nullability()
    ));
    error.hint(match (&from.kind, &to.kind) {
        (f, t) if f.is_numeric() && t.is_interval() => "Write INTERVAL '1' DAY, or multiply it by the number",
        (f, t) if f.is_numeric() && t.is_timestamp() => {
            "Use TO_TIMESTAMP_LTZ(number, precision), or TO_TIMESTAMP(FROM_UNIXTIME(number)) for seconds"
        }
        (f, t) if f.is_timestamp() && t.is_numeric() => "Use UNIX_TIMESTAMP(CAST(timestamp AS STRING))",
        _ => "Go through a type that both can be cast to, such as STRING",
    })
}

fn is_nested(kind: &TypeKind) -> bool {
    matches!(kind, K::Array(_) | K::Map(..) | K::Multiset(_) | K::Row(_) | K::Structured(..))
}

/// Whether no value can fail: what does not fit wraps or is NULL.
fn infallible(from: &TypeKind, to: &TypeKind) -> bool {
    match (from, to) {
        (f, K::Decimal { .. }) => f.is_integer(),
        (f, t) if t.is_character() => !f.is_binary() && !is_nested(f),
        (f, t) if t.is_numeric() || *t == K::Boolean => !f.is_character(),
        (_, t) if t.is_binary() => true,
        (f, t) if t.is_interval() => f.is_numeric(),
        (f, t) if f.is_datetime() => matches!(t, K::Date | K::Time(_)),
        _ => false,
    }
}

/// Whether a value may be NULL behind the cast that was none before, where a failure gives NULL.
fn may_fail(from: &TypeKind, to: &TypeKind) -> bool {
    match (from, to) {
        (f, K::Decimal { precision, scale }) => {
            !as_decimal(f).is_some_and(|(p, s)| s <= *scale && p - s <= precision - scale)
        }
        // Any time of the years 0 to 9999 can be counted in microseconds.
        (f, K::Timestamp(p, _) | K::TimestampLtz(p, _)) if f.is_datetime() => *p > 6,
        _ => !infallible(from, to),
    }
}

/// A cast where the types differ; lengths and precisions count, nullability does not.
pub fn cast_if_needed(value: TypedExpr, to: &LogicalType, env: &FunctionEnv) -> Result<TypedExpr> {
    // Texts of any length are one Arrow type; an implicit cast neither pads nor trims.
    if value.data_type.kind == to.kind
        || (value.data_type.kind.is_character() && to.kind.is_character())
        || (value.data_type.kind.is_binary() && to.kind.is_binary())
    {
        return Ok(value);
    }
    cast(value, to, false, env)
}

/// Whether the cast exists.
pub fn supported(from: &TypeKind, to: &TypeKind) -> bool {
    match (from, to) {
        (K::Null, _) => true,
        (a, b) if a == b => true,
        // Flink casts a VARIANT to nothing.
        (K::Variant, _) => false,
        (_, t) if t.is_character() => true,
        (f, K::Boolean) => f.is_character() || f.is_numeric(),
        (K::Boolean, t) if t.is_numeric() => true,
        (f, t) if t.is_numeric() => f.is_character() || f.is_numeric(),
        (K::Bitmap, t) if t.is_binary() => *t == K::BYTES,
        (f, t) if t.is_binary() => f.is_binary() || f.is_character(),
        (f, K::Date) => f.is_character() || f.is_timestamp(),
        (f, K::Time(_)) => f.is_character() || f.is_timestamp() || matches!(f, K::Time(_)),
        (f, t) if t.is_timestamp() => f.is_character() || f.is_timestamp() || matches!(f, K::Date | K::Time(_)),
        (K::IntervalYearMonth(..), K::IntervalYearMonth(..)) | (K::IntervalDayTime(..), K::IntervalDayTime(..)) => true,
        // Milliseconds and months.
        (f, t) if t.is_interval() => f.is_integer(),
        (K::Array(a), K::Array(b)) | (K::Multiset(a), K::Multiset(b)) => supported(&a.kind, &b.kind),
        (K::Map(k, v), K::Map(l, w)) => supported(&k.kind, &l.kind) && supported(&v.kind, &w.kind),
        (K::Row(a) | K::Structured(_, a), K::Row(b) | K::Structured(_, b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(x, y)| supported(&x.data_type.kind, &y.data_type.kind))
        }
        _ => false,
    }
}

/// One cast between two types.
#[derive(Debug, Clone)]
struct Rule {
    from: LogicalType,
    to: LogicalType,
    zone: SessionZone,
    try_cast: bool,
    lengths: Lengths,
}

/// What becomes of the lengths of CHAR, VARCHAR, BINARY and VARBINARY.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Lengths {
    /// Longer values are cut, shorter ones of CHAR and BINARY are filled up.
    Kept,
    /// Shorter ones are filled up.
    FilledUp,
    /// Values stay as they are.
    Ignored,
}

impl Rule {
    fn inner(&self, from: &LogicalType, to: &LogicalType) -> Rule {
        // Constants that stand inside of others are no constants of their own in Flink.
        let lengths = if self.lengths == Lengths::FilledUp { Lengths::Ignored } else { self.lengths };
        Rule { from: from.clone(), to: to.clone(), zone: self.zone, try_cast: self.try_cast, lengths }
    }

    fn wrong(&self, value: &str) -> Error {
        let shown: String = value.chars().take(100).collect();
        Error::data(format!("'{shown}' cannot be cast to {}", self.to.summary_without_nullability()))
            .hint("TRY_CAST gives NULL instead")
    }

    /// Arrow has no room for it, where Flink's rows hold what their type rules out.
    fn has_null(&self, what: &str) -> Error {
        Error::data(format!("{what} is NULL, and {} has none", self.to))
            .hint("Cast to a type whose parts may be NULL; TRY_CAST gives NULL for the whole")
    }

    fn apply(&self, array: &ArrayRef) -> Result<ArrayRef> {
        if self.from.kind == self.to.kind {
            return Ok(Arc::clone(array));
        }
        if self.from.kind == K::Null {
            return Ok(new_null_array(&arrow_type(&self.to), array.len()));
        }
        let (from, to) = (&self.from.kind, &self.to.kind);
        match (from, to) {
            (_, t) if t.is_character() => self.to_text(array),
            (f, t) if f.is_character() => self.parse_text(array, t),
            (_, K::Boolean) => self.number_to_boolean(array),
            (K::Boolean, t) => self.boolean_to_number(array, t),
            (f, t) if f.is_numeric() && t.is_numeric() => self.number(array),
            (f, t) if f.is_binary() && t.is_binary() => self.binary(array),
            // The bytes of BITMAP_TO_BYTES: it lies so.
            (K::Bitmap, t) if t.is_binary() => Ok(Arc::clone(array)),
            (f, t) if f.is_interval() && t.is_interval() => Ok(Arc::clone(array)),
            (f, K::IntervalYearMonth(..)) if f.is_numeric() => {
                let months = self.inner(&self.from, &K::Int.nullable()).apply(array)?;
                Ok(Arc::new(months.as_primitive::<Int32Type>().reinterpret_cast::<IntervalYearMonthType>()))
            }
            (f, K::IntervalDayTime(..)) if f.is_numeric() => {
                let millis = self.inner(&self.from, &K::BigInt.nullable()).apply(array)?;
                Ok(Arc::new(millis.as_primitive::<Int64Type>().reinterpret_cast::<DurationMillisecondType>()))
            }
            (f, t) if f.is_datetime() && t.is_datetime() => self.datetime(array),
            (K::Array(a), K::Array(b)) => {
                let list = array.as_list::<i32>();
                let (offsets, first, count) = rebased(list.offsets());
                let values = self.inner(a, b).apply(&list.values().slice(first, count))?;
                if !b.nullable && values.null_count() > 0 {
                    return Err(self.has_null("an element"));
                }
                let field = Arc::new(arrow_field("item", b));
                Ok(Arc::new(ListArray::try_new(field, offsets, values, list.nulls().cloned())?))
            }
            (K::Map(k, v), K::Map(l, w)) => self.map(array, [k, v], [l, w]),
            (K::Multiset(a), K::Multiset(b)) => {
                let int = K::Int.not_null();
                self.map(array, [a, &int], [b, &int])
            }
            (K::Row(a) | K::Structured(_, a), K::Row(b) | K::Structured(_, b)) => {
                let row = array.as_struct();
                let mut columns = vec![];
                for ((x, y), c) in a.iter().zip(b).zip(row.columns()) {
                    columns.push(self.inner(&x.data_type, &y.data_type).apply(&masked(c, row.nulls())?)?);
                }
                // The field of a NULL row is NULL whatever its type says.
                let has_null = |c: &ArrayRef| c.null_count() > row.null_count();
                if let Some((field, _)) = b.iter().zip(&columns).find(|(f, c)| !f.data_type.nullable && has_null(c)) {
                    return Err(self.has_null(&format!("the field '{}'", field.name)));
                }
                let fields = b.iter().map(|f| Arc::new(arrow_field(&f.name, &f.data_type))).collect();
                Ok(Arc::new(StructArray::try_new(fields, columns, row.nulls().cloned())?))
            }
            _ => Err(Error::internal(format!("no cast from {} to {}", self.from, self.to))),
        }
    }

    /// TRY_CAST of rows and collections: NULL where any value inside cannot be cast, as in Flink.
    fn whole_or_null(&self, array: &ArrayRef) -> Result<ArrayRef> {
        let strict = Rule { try_cast: false, ..self.clone() };
        // The usual case: every row can be cast.
        match strict.apply(array) {
            Ok(cast) => return Ok(cast),
            Err(e) if e.kind() == ErrorKind::Data => {}
            Err(e) => return Err(e),
        }
        let mut rows = Vec::with_capacity(array.len());
        for row in 0..array.len() {
            rows.push(match strict.apply(&array.slice(row, 1)) {
                Ok(one) => one,
                Err(e) if e.kind() == ErrorKind::Data => new_null_array(&arrow_type(&self.to), 1),
                Err(e) => return Err(e),
            });
        }
        let rows: Vec<&dyn Array> = rows.iter().map(|r| r.as_ref()).collect();
        Ok(concat(&rows)?)
    }

    fn map(&self, array: &ArrayRef, from: [&LogicalType; 2], to: [&LogicalType; 2]) -> Result<ArrayRef> {
        let map = array.as_map();
        let (offsets, first, count) = rebased(map.offsets());
        let keys = self.inner(from[0], to[0]).apply(&map_keys(map).slice(first, count))?;
        let values = self.inner(from[1], to[1]).apply(&map.values().slice(first, count))?;
        if !to[0].nullable && keys.null_count() > 0 {
            return Err(self.has_null("a key"));
        }
        if !to[1].nullable && values.null_count() > 0 {
            return Err(self.has_null("a value"));
        }
        if from[0].kind != to[0].kind {
            // Keys that were different may be equal now.
            let entries = |row: usize| map.is_valid(row).then(|| offsets[row] as u32..offsets[row + 1] as u32);
            return build_map(&self.to, &keys, &values, (0..map.len()).map(entries).collect());
        }
        Ok(Arc::new(map_array(&arrow_type(&self.to), offsets, keys, values, map.nulls().cloned())?))
    }

    /// Every row through a function from its text; an error is NULL for TRY_CAST.
    fn each<T>(&self, array: &ArrayRef, parse: impl Fn(&str) -> Option<T>) -> Result<Vec<Option<T>>> {
        let texts = array.as_string::<i32>();
        let mut out = Vec::with_capacity(texts.len());
        for t in texts {
            out.push(match t {
                None => None,
                Some(t) => match parse(t) {
                    Some(v) => Some(v),
                    None if self.try_cast => None,
                    None => return Err(self.wrong(t)),
                },
            });
        }
        Ok(out)
    }

    fn parse_text(&self, array: &ArrayRef, to: &TypeKind) -> Result<ArrayRef> {
        macro_rules! integer {
            ($t:ty, $n:ty) => {{
                // A fraction is cut off, as Flink's parser of decimals in texts does.
                let parse = |t: &str| {
                    let t = t.trim();
                    t.parse::<$n>().ok().or_else(|| <$n>::try_from(decimal::parse_truncated(t)?).ok())
                };
                Arc::new(PrimitiveArray::<$t>::from_iter(self.each(array, parse)?)) as ArrayRef
            }};
        }
        Ok(match to {
            K::Boolean => Arc::new(BooleanArray::from(self.each(array, text::parse_boolean)?)),
            K::TinyInt => integer!(Int8Type, i8),
            K::SmallInt => integer!(Int16Type, i16),
            K::Int => integer!(Int32Type, i32),
            K::BigInt => integer!(Int64Type, i64),
            K::Float => Arc::new(PrimitiveArray::<Float32Type>::from_iter(
                self.each(array, |t| parse_double(t).map(|v| v as f32))?,
            )),
            K::Double => Arc::new(PrimitiveArray::<Float64Type>::from_iter(self.each(array, parse_double)?)),
            K::Decimal { precision, scale } => {
                let values = self.each(array, |t| decimal::parse(t, *precision, *scale))?;
                Arc::new(Decimal128Array::from(values).with_precision_and_scale(*precision, *scale as i8)?)
            }
            K::Date => Arc::new(Date32Array::from(self.each(array, text::parse_date)?)),
            K::Time(p) => {
                let nanos = self.each(array, text::parse_time)?;
                from_nanos(&arrow_type(&self.to), nanos.into_iter().map(|n| n.map(i128::from)), *p, self)?
            }
            K::Timestamp(p, _) => {
                let nanos = self.each(array, text::parse_timestamp)?;
                from_nanos(&arrow_type(&self.to), nanos.into_iter(), *p, self)?
            }
            K::TimestampLtz(p, _) => {
                let nanos = self.each(array, text::parse_timestamp)?;
                let zone = self.zone;
                from_nanos(&arrow_type(&self.to), nanos.into_iter().map(|n| n.map(|n| to_utc(zone, n))), *p, self)?
            }
            t if t.is_binary() => {
                let mut out = BinaryBuilder::new();
                for t in array.as_string::<i32>() {
                    out.append_option(t.map(|t| self.fitted(t.as_bytes())));
                }
                Arc::new(out.finish())
            }
            other => return Err(Error::internal(format!("no cast from text to {other:?}"))),
        })
    }

    fn to_text(&self, array: &ArrayRef) -> Result<ArrayRef> {
        let declared = length(&self.to.kind) as usize;
        let limit = if self.lengths == Lengths::Kept { declared } else { MAX_LENGTH as usize };
        let padded = matches!(self.to.kind, K::Char(_)) && self.fills_up();
        if limit == MAX_LENGTH as usize && !padded {
            // The plain cases of a STRING, without a text of its own for each row.
            if self.from.kind.is_character() {
                return Ok(Arc::clone(array));
            }
            macro_rules! integers {
                ($t:ty) => {{
                    let mut out = StringBuilder::with_capacity(array.len(), array.len() * 8);
                    for v in array.as_primitive::<$t>() {
                        match v {
                            // Writing into a builder never fails.
                            Some(v) => write!(out, "{v}").map(|()| out.append_value("")).unwrap_or_default(),
                            None => out.append_null(),
                        }
                    }
                    return Ok(Arc::new(out.finish()));
                }};
            }
            match array.data_type() {
                DataType::Int8 => integers!(Int8Type),
                DataType::Int16 => integers!(Int16Type),
                DataType::Int32 => integers!(Int32Type),
                DataType::Int64 => integers!(Int64Type),
                _ => {}
            }
        }
        let bytes = if self.try_cast { Bytes::TryUtf8 } else { Bytes::Utf8 };
        let style = Style { bytes, legacy: self.lengths != Lengths::Kept };
        let texts = format_values(array, &self.from, self.zone, style)?;
        let mut out = StringBuilder::with_capacity(texts.len(), texts.len() * 16);
        for t in texts {
            let Some(t) = t else {
                out.append_null();
                continue;
            };
            let count = if t.len() <= limit && !padded { 0 } else { t.chars().count() };
            if count > limit {
                out.append_value(t.chars().take(limit).collect::<String>());
            } else if padded && count < declared {
                out.append_value(format!("{t}{}", " ".repeat(declared - count)));
            } else {
                out.append_value(t);
            }
        }
        Ok(Arc::new(out.finish()))
    }

    fn binary(&self, array: &ArrayRef) -> Result<ArrayRef> {
        let mut out = BinaryBuilder::new();
        for b in array.as_binary::<i32>() {
            out.append_option(b.map(|b| self.fitted(b)));
        }
        Ok(Arc::new(out.finish()))
    }

    /// Whether shorter values of CHAR and BINARY are filled up.
    fn fills_up(&self) -> bool {
        match self.lengths {
            Lengths::Kept => true,
            Lengths::FilledUp => !is_nested(&self.from.kind),
            Lengths::Ignored => false,
        }
    }

    /// A byte string with the length of the type.
    fn fitted(&self, bytes: &[u8]) -> Vec<u8> {
        let declared = length(&self.to.kind) as usize;
        let kept = if self.lengths == Lengths::Kept { bytes.len().min(declared) } else { bytes.len() };
        let mut out = bytes[..kept].to_vec();
        if matches!(self.to.kind, K::Binary(_)) && kept < declared && self.fills_up() {
            out.resize(declared, 0);
        }
        out
    }

    fn number_to_boolean(&self, array: &ArrayRef) -> Result<ArrayRef> {
        macro_rules! not_zero {
            ($t:ty, $zero:expr) => {
                Arc::new(BooleanArray::from_unary(array.as_primitive::<$t>(), |v| v != $zero)) as ArrayRef
            };
        }
        Ok(match array.data_type() {
            DataType::Int8 => not_zero!(Int8Type, 0),
            DataType::Int16 => not_zero!(Int16Type, 0),
            DataType::Int32 => not_zero!(Int32Type, 0),
            DataType::Int64 => not_zero!(Int64Type, 0),
            DataType::Float32 => not_zero!(Float32Type, 0.0),
            DataType::Float64 => not_zero!(Float64Type, 0.0),
            _ => not_zero!(Decimal128Type, 0),
        })
    }

    fn boolean_to_number(&self, array: &ArrayRef, to: &TypeKind) -> Result<ArrayRef> {
        let ints: PrimitiveArray<Int32Type> = array.as_boolean().iter().map(|b| b.map(i32::from)).collect();
        let int = K::Int.nullable();
        self.inner(&int, &to.clone().nullable().with_nullable(self.to.nullable)).apply(&(Arc::new(ints) as ArrayRef))
    }

    /// Between numbers. Integers wrap and floating-point numbers saturate as in Java; a decimal that does not fit is NULL.
    fn number(&self, array: &ArrayRef) -> Result<ArrayRef> {
        if let K::Decimal { precision, scale } = self.to.kind {
            return self.to_decimal(array, precision, scale);
        }
        // Java's narrowing: integers wrap; floating-point numbers saturate at INT or BIGINT first.
        macro_rules! to {
            ($from:ty, $narrow:expr, $long:expr, $single:expr, $double:expr) => {{
                let a = array.as_primitive::<$from>();
                match self.to.kind {
                    K::TinyInt => Arc::new(a.unary::<_, Int8Type>(|v| $narrow(v) as i8)) as ArrayRef,
                    K::SmallInt => Arc::new(a.unary::<_, Int16Type>(|v| $narrow(v) as i16)),
                    K::Int => Arc::new(a.unary::<_, Int32Type>(|v| $narrow(v) as i32)),
                    K::BigInt => Arc::new(a.unary::<_, Int64Type>($long)),
                    K::Float => Arc::new(a.unary::<_, Float32Type>($single)),
                    _ => Arc::new(a.unary::<_, Float64Type>($double)),
                }
            }};
        }
        Ok(match array.data_type() {
            DataType::Int8 => to!(Int8Type, |v: i8| v, i64::from, f32::from, f64::from),
            DataType::Int16 => to!(Int16Type, |v: i16| v, i64::from, f32::from, f64::from),
            DataType::Int32 => to!(Int32Type, |v: i32| v, i64::from, |v| v as f32, f64::from),
            DataType::Int64 => to!(Int64Type, |v: i64| v, |v| v, |v| v as f32, |v| v as f64),
            DataType::Float32 => to!(Float32Type, |v: f32| v as i32, |v| v as i64, |v| v, f64::from),
            DataType::Float64 => to!(Float64Type, |v: f64| v as i32, |v| v as i64, |v| v as f32, |v| v),
            _ => {
                let scale = as_decimal(&self.from.kind).map_or(0, |d| d.1);
                let unit = decimal::pow10(u32::from(scale));
                // Through the text: the nearest number, where a division would round twice.
                let double = |v: i128| decimal::format(v, scale).parse().unwrap_or(f64::NAN);
                to!(Decimal128Type, |v: i128| v / unit, |v| (v / unit) as i64, |v| double(v) as f32, double)
            }
        })
    }

    fn to_decimal(&self, array: &ArrayRef, precision: u8, scale: u8) -> Result<ArrayRef> {
        let from_scale = as_decimal(&self.from.kind).map_or(0, |d| d.1);
        // Every value of the one type is one of the other: no check for each row.
        if let Some((p, s)) = as_decimal(&self.from.kind)
            && s <= scale
            && p - s <= precision - scale
        {
            let unit = decimal::pow10(u32::from(scale - s));
            macro_rules! widened {
                ($t:ty) => {
                    array.as_primitive::<$t>().unary::<_, Decimal128Type>(|v| i128::from(v).wrapping_mul(unit))
                };
            }
            let values = match array.data_type() {
                DataType::Int8 => widened!(Int8Type),
                DataType::Int16 => widened!(Int16Type),
                DataType::Int32 => widened!(Int32Type),
                DataType::Int64 => widened!(Int64Type),
                _ => widened!(Decimal128Type),
            };
            return Ok(Arc::new(values.with_precision_and_scale(precision, scale as i8)?));
        }
        let ints = |a: PrimitiveArray<Int64Type>| -> Vec<Option<i128>> {
            a.iter().map(|v| v.and_then(|v| decimal::rescale(i128::from(v), 0, scale, precision))).collect()
        };
        let approximate = |v: f64| decimal::parse(&format!("{v}"), precision, scale);
        let values: Vec<Option<i128>> = match array.data_type() {
            DataType::Int8 => ints(array.as_primitive::<Int8Type>().unary(i64::from)),
            DataType::Int16 => ints(array.as_primitive::<Int16Type>().unary(i64::from)),
            DataType::Int32 => ints(array.as_primitive::<Int32Type>().unary(i64::from)),
            DataType::Int64 => ints(array.as_primitive::<Int64Type>().clone()),
            // Flink has no way from a FLOAT of its own: its digits are those of the DOUBLE that it is.
            DataType::Float32 => {
                array.as_primitive::<Float32Type>().iter().map(|v| v.and_then(|v| approximate(f64::from(v)))).collect()
            }
            DataType::Float64 => array.as_primitive::<Float64Type>().iter().map(|v| v.and_then(approximate)).collect(),
            _ => array
                .as_primitive::<Decimal128Type>()
                .iter()
                .map(|v| v.and_then(|v| decimal::rescale(v, from_scale, scale, precision)))
                .collect(),
        };
        let nulls = values.iter().filter(|v| v.is_none()).count();
        if nulls > array.null_count() && !self.to.nullable {
            // NULL is the answer, but the column's type has no NULL.
            let lost = values.iter().enumerate().find(|(i, v)| v.is_none() && array.is_valid(*i)).map_or(0, |(i, _)| i);
            let value = format_column(&array.slice(lost, 1), &self.from, self.zone)?.pop().flatten();
            let to = self.to.summary_without_nullability();
            return Err(Error::data(format!("{} does not fit {to}", value.unwrap_or_default()))
                .hint("TRY_CAST gives NULL instead"));
        }
        Ok(Arc::new(Decimal128Array::from(values).with_precision_and_scale(precision, scale as i8)?))
    }

    fn datetime(&self, array: &ArrayRef) -> Result<ArrayRef> {
        let (from, to, zone) = (&self.from.kind, &self.to.kind, self.zone);
        let (from_ltz, to_ltz) = (matches!(from, K::TimestampLtz(..)), matches!(to, K::TimestampLtz(..)));
        let nanos = to_nanos(array)?;
        let convert = |n: i128| match (from, to) {
            (_, K::Date | K::Time(_)) if from_ltz => to_local(zone, n),
            (_, t) if t.is_timestamp() && from_ltz && !to_ltz => to_local(zone, n),
            (_, t) if t.is_timestamp() && !from_ltz && to_ltz => to_utc(zone, n),
            _ => n,
        };
        let target = arrow_type(&self.to);
        let values = nanos.into_iter().map(|n| n.map(convert));
        match to {
            K::Date => {
                // Days beyond those of a DATE wrap, as in Java.
                let days = values.map(|n| n.map(|n| n.div_euclid(DAY_NS) as i32));
                Ok(Arc::new(Date32Array::from(days.collect::<Vec<_>>())))
            }
            K::Time(p) => from_nanos(&target, values.map(|n| n.map(|n| n.rem_euclid(DAY_NS))), *p, self),
            K::Timestamp(p, _) | K::TimestampLtz(p, _) => from_nanos(&target, values, *p, self),
            other => Err(Error::internal(format!("no cast to {other:?}"))),
        }
    }
}

/// Offsets from zero, where the values start, and how many there are: only visible values are cast.
fn rebased(offsets: &OffsetBuffer<i32>) -> (OffsetBuffer<i32>, usize, usize) {
    let (first, last) = (offsets[0], offsets[offsets.len() - 1]);
    if first == 0 {
        return (offsets.clone(), 0, last as usize);
    }
    let lengths = OffsetBuffer::from_lengths(offsets.lengths());
    (lengths, first as usize, (last - first) as usize)
}

/// A field of rows, NULL where its row is: what lies under a NULL row is not cast.
fn masked(column: &ArrayRef, nulls: Option<&NullBuffer>) -> Result<ArrayRef> {
    let Some(nulls) = nulls.filter(|n| n.null_count() > 0) else { return Ok(Arc::clone(column)) };
    let all = NullBuffer::union(Some(nulls), column.nulls());
    Ok(make_array(column.to_data().into_builder().nulls(all).build()?))
}

fn parse_double(t: &str) -> Option<f64> {
    let t = t.trim();
    // As a literal of Java.
    let t = match t.strip_suffix(['d', 'D', 'f', 'F']) {
        Some(number) if number.ends_with(|c: char| c.is_ascii_digit() || c == '.') => number,
        _ => t,
    };
    match t {
        "NaN" => Some(f64::NAN),
        "Infinity" | "+Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ if t.contains(['x', 'X']) => crate::hex_float::parse(t),
        _ if t.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E')) => t.parse().ok(),
        _ => None,
    }
}

fn length(kind: &TypeKind) -> u32 {
    match kind {
        K::Char(n) | K::VarChar(n) | K::Binary(n) | K::VarBinary(n) => *n,
        _ => MAX_LENGTH,
    }
}

fn to_utc(zone: SessionZone, nanos: i128) -> i128 {
    let (s, f) = (nanos.div_euclid(1_000_000_000), nanos.rem_euclid(1_000_000_000));
    i128::from(text::local_to_utc(zone, s as i64)) * 1_000_000_000 + f
}

pub(crate) fn to_local(zone: SessionZone, nanos: i128) -> i128 {
    let (s, f) = (nanos.div_euclid(1_000_000_000), nanos.rem_euclid(1_000_000_000));
    i128::from(text::utc_to_local(zone, s as i64)) * 1_000_000_000 + f
}

/// Dates, times and timestamps as nanoseconds.
pub(crate) fn to_nanos(array: &ArrayRef) -> Result<Vec<Option<i128>>> {
    macro_rules! scaled {
        ($t:ty, $factor:expr) => {
            array.as_primitive::<$t>().iter().map(|v| v.map(|v| i128::from(v) * $factor)).collect()
        };
    }
    Ok(match array.data_type() {
        DataType::Date32 => scaled!(Date32Type, DAY_NS),
        DataType::Time32(TimeUnit::Millisecond) => scaled!(Time32MillisecondType, 1_000_000),
        DataType::Time64(TimeUnit::Microsecond) => scaled!(Time64MicrosecondType, 1_000),
        DataType::Time64(TimeUnit::Nanosecond) => scaled!(Time64NanosecondType, 1),
        DataType::Timestamp(TimeUnit::Millisecond, _) => scaled!(TimestampMillisecondType, 1_000_000),
        DataType::Timestamp(TimeUnit::Microsecond, _) => scaled!(TimestampMicrosecondType, 1_000),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => scaled!(TimestampNanosecondType, 1),
        other => return Err(Error::internal(format!("{other} is no time"))),
    })
}

/// The error for a time, in nanoseconds since 1970, that a column of this type cannot hold.
pub(crate) fn too_far(nanos: i128, column: &DataType) -> Error {
    let digits = if matches!(column, DataType::Timestamp(TimeUnit::Nanosecond, _)) { 9 } else { 6 };
    let to = match digits {
        9 => "1677-09-21 00:12:43.145224193 to 2262-04-11 23:47:16.854775807",
        _ => "292,000 years around 1970",
    };
    Error::data(format!(
        "{} is outside what a timestamp with {digits} digits of fraction holds: {to}",
        text::format_timestamp(nanos, digits)
    ))
    .hint(match digits {
        9 => "Use TIMESTAMP(6) or less, which reaches from the year 0 to 9999",
        _ => "Use TIMESTAMP(3) or less",
    })
}

/// Nanoseconds as a time or timestamp column, cut to the precision.
fn from_nanos(
    target: &DataType,
    values: impl Iterator<Item = Option<i128>>,
    precision: u8,
    rule: &Rule,
) -> Result<ArrayRef> {
    let step = 10i128.pow(9 - u32::from(precision.min(9)));
    let unit = match target {
        DataType::Time32(u) | DataType::Time64(u) | DataType::Timestamp(u, _) => match u {
            TimeUnit::Second => 1_000_000_000,
            TimeUnit::Millisecond => 1_000_000,
            TimeUnit::Microsecond => 1_000,
            TimeUnit::Nanosecond => 1,
        },
        other => return Err(Error::internal(format!("{other} is no time"))),
    };
    let mut out: Vec<Option<i64>> = vec![];
    for nanos in values {
        out.push(match nanos.map(|n| i64::try_from(n.div_euclid(step) * step / unit)) {
            None => None,
            Some(Ok(v)) => Some(v),
            Some(Err(_)) if rule.try_cast && rule.to.nullable => None,
            Some(Err(_)) => return Err(too_far(nanos.unwrap_or_default(), target)),
        });
    }
    Ok(match target {
        DataType::Time32(_) => {
            Arc::new(PrimitiveArray::<Time32MillisecondType>::from_iter(out.into_iter().map(|v| v.map(|v| v as i32))))
        }
        DataType::Time64(TimeUnit::Microsecond) => Arc::new(PrimitiveArray::<Time64MicrosecondType>::from_iter(out)),
        DataType::Time64(_) => Arc::new(PrimitiveArray::<Time64NanosecondType>::from_iter(out)),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            Arc::new(PrimitiveArray::<TimestampMillisecondType>::from_iter(out).with_data_type(target.clone()))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            Arc::new(PrimitiveArray::<TimestampMicrosecondType>::from_iter(out).with_data_type(target.clone()))
        }
        _ => Arc::new(PrimitiveArray::<TimestampNanosecondType>::from_iter(out).with_data_type(target.clone())),
    })
}

#[cfg(test)]
mod tests;
