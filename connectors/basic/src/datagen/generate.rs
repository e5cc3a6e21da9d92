//! Makes columns for a list of row numbers: one loop over a plain vector per column.

use flott_core::types::map_entries;
use std::cmp::Ordering;
use std::sync::Arc;

use arrow_array::types::*;
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, Decimal128Array, Float32Array, Float64Array,
    ListArray, MapArray, PrimitiveArray, StringArray, StructArray, UInt64Array,
};
use arrow_buffer::{ArrowNativeType, BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_ord::ord::make_comparator;
use arrow_schema::{DataType, IntervalUnit, SortOptions, TimeUnit};
use flott_core::{Error, Result};

use super::plan::{FieldPlan, Generator, Length};
use super::random::{at, between, between_wide, unit};

/// Tells a column's NULLs from its values.
const NULL_SALT: u64 = 0x6e75_6c6c_6e75_6c6c;
/// Tells the lengths of a column's values from the values.
const LENGTH_SALT: u64 = 0x6c65_6e67_7468_2121;
/// Maps of up to so many entries are searched for equal keys pair by pair.
const PAIRWISE_MAX: usize = 16;
const MS_PER_DAY: i64 = 86_400_000;

/// What all columns of a batch share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) seed: u64,
    pub(super) now_ms: i64,
}

/// The values of a column in the rows of these numbers.
pub(super) fn generate(plan: &FieldPlan, ids: &[u64], moment: Moment) -> Result<ArrayRef> {
    let key = at(moment.seed, plan.salt);
    let nulls = nulls(plan, key, ids);
    let t = plan.field.data_type();
    Ok(match &plan.generator {
        Generator::Boolean => {
            let values = BooleanBuffer::collect_bool(ids.len(), |i| at(key, ids[i]) >> 63 == 1);
            Arc::new(BooleanArray::new(values, nulls))
        }
        Generator::Integer { min, max } => {
            let (min, max) = (*min, *max);
            integers(t, ids, nulls, |id| between(at(key, id), min, max))?
        }
        Generator::Float { min, max } => {
            // Written so that max - min may be beyond the largest number.
            let value = |id: u64| {
                let u = unit(at(key, id));
                (min * (1.0 - u) + max * u).clamp(*min, *max)
            };
            floats(t, ids, nulls, value)?
        }
        Generator::Decimal { min, max } => {
            let other = at(key, LENGTH_SALT);
            let value = |id: &u64| between_wide(at(key, *id), at(other, *id), *min, *max);
            decimals(t, ids.iter().map(value).collect(), nulls)?
        }
        Generator::Text(length) => {
            let (offsets, bytes) = random_bytes(*length, ids, key, write_hex);
            Arc::new(StringArray::try_new(offsets, bytes, nulls)?)
        }
        Generator::Bytes(length) => {
            let (offsets, bytes) = random_bytes(*length, ids, key, write_raw);
            Arc::new(BinaryArray::try_new(offsets, bytes, nulls)?)
        }
        Generator::Date => integers(t, ids, nulls, |_| moment.now_ms.div_euclid(MS_PER_DAY))?,
        Generator::Time => {
            let of_day = moment.now_ms.rem_euclid(MS_PER_DAY).saturating_mul(units_per_ms(t));
            integers(t, ids, nulls, |_| of_day)?
        }
        Generator::PastTimestamp { max_past_ms } => {
            let (units, now, max) = (units_per_ms(t), moment.now_ms, *max_past_ms as i64);
            match max {
                0 => integers(t, ids, nulls, |_| now.saturating_mul(units))?,
                _ => integers(t, ids, nulls, |id| {
                    now.saturating_sub(between(at(key, id), 0, max)).saturating_mul(units)
                })?,
            }
        }
        Generator::Sequence { start } => sequence(t, *start, ids)?,
        Generator::Row(fields) => {
            let DataType::Struct(types) = t else { return Err(mismatch(t)) };
            let columns = fields.iter().map(|f| generate(f, ids, moment)).collect::<Result<Vec<_>>>()?;
            Arc::new(StructArray::try_new_with_length(types.clone(), columns, nulls, ids.len())?)
        }
        Generator::Array { length, element } => {
            let DataType::List(item) = t else { return Err(mismatch(t)) };
            let values = generate(element, &children(ids, *length), moment)?;
            let offsets = OffsetBuffer::from_repeated_length(*length as usize, ids.len());
            Arc::new(ListArray::try_new(Arc::clone(item), offsets, values, nulls)?)
        }
        Generator::Map { length, key, value } => map(t, *length, key, value, ids, nulls, moment)?,
    })
}

fn mismatch(t: &DataType) -> Error {
    Error::internal(format!("datagen makes no values of Arrow's {t} this way"))
}

fn nulls(plan: &FieldPlan, key: u64, ids: &[u64]) -> Option<NullBuffer> {
    let below = plan.null_below;
    if below == 0 {
        return None;
    }
    let key = at(key, NULL_SALT);
    Some(NullBuffer::new(BooleanBuffer::collect_bool(ids.len(), |i| at(key, ids[i]) >> 32 >= below)))
}

fn primitive<T: ArrowPrimitiveType>(
    t: &DataType,
    ids: &[u64],
    nulls: Option<NullBuffer>,
    value: impl Fn(u64) -> T::Native,
) -> ArrayRef {
    let values: Vec<T::Native> = ids.iter().map(|id| value(*id)).collect();
    Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(values), nulls).with_data_type(t.clone()))
}

/// Integers, and whatever else is an integer in Arrow; plans keep values within the type.
fn integers(t: &DataType, ids: &[u64], nulls: Option<NullBuffer>, value: impl Fn(u64) -> i64) -> Result<ArrayRef> {
    Ok(match t {
        DataType::Int8 => primitive::<Int8Type>(t, ids, nulls, |id| value(id) as i8),
        DataType::Int16 => primitive::<Int16Type>(t, ids, nulls, |id| value(id) as i16),
        DataType::Int32 => primitive::<Int32Type>(t, ids, nulls, |id| value(id) as i32),
        DataType::Int64 => primitive::<Int64Type>(t, ids, nulls, value),
        DataType::Date32 => primitive::<Date32Type>(t, ids, nulls, |id| value(id) as i32),
        DataType::Time32(TimeUnit::Millisecond) => {
            primitive::<Time32MillisecondType>(t, ids, nulls, |id| value(id) as i32)
        }
        DataType::Time64(TimeUnit::Microsecond) => primitive::<Time64MicrosecondType>(t, ids, nulls, value),
        DataType::Time64(TimeUnit::Nanosecond) => primitive::<Time64NanosecondType>(t, ids, nulls, value),
        DataType::Timestamp(TimeUnit::Millisecond, _) => primitive::<TimestampMillisecondType>(t, ids, nulls, value),
        DataType::Timestamp(TimeUnit::Microsecond, _) => primitive::<TimestampMicrosecondType>(t, ids, nulls, value),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => primitive::<TimestampNanosecondType>(t, ids, nulls, value),
        DataType::Interval(IntervalUnit::YearMonth) => {
            primitive::<IntervalYearMonthType>(t, ids, nulls, |id| value(id) as i32)
        }
        DataType::Duration(TimeUnit::Millisecond) => primitive::<DurationMillisecondType>(t, ids, nulls, value),
        other => return Err(mismatch(other)),
    })
}

fn floats(t: &DataType, ids: &[u64], nulls: Option<NullBuffer>, value: impl Fn(u64) -> f64) -> Result<ArrayRef> {
    Ok(match t {
        DataType::Float32 => {
            let values: Vec<f32> = ids.iter().map(|id| value(*id) as f32).collect();
            Arc::new(Float32Array::new(values.into(), nulls))
        }
        DataType::Float64 => {
            let values: Vec<f64> = ids.iter().map(|id| value(*id)).collect();
            Arc::new(Float64Array::new(values.into(), nulls))
        }
        other => return Err(mismatch(other)),
    })
}

fn decimals(t: &DataType, values: Vec<i128>, nulls: Option<NullBuffer>) -> Result<ArrayRef> {
    let DataType::Decimal128(precision, scale) = t else { return Err(mismatch(t)) };
    Ok(Arc::new(Decimal128Array::new(values.into(), nulls).with_precision_and_scale(*precision, *scale)?))
}

/// The Arrow unit of a time or timestamp, per millisecond.
fn units_per_ms(t: &DataType) -> i64 {
    match t {
        DataType::Timestamp(TimeUnit::Microsecond, _) | DataType::Time64(TimeUnit::Microsecond) => 1_000,
        DataType::Timestamp(TimeUnit::Nanosecond, _) | DataType::Time64(TimeUnit::Nanosecond) => 1_000_000,
        _ => 1,
    }
}

fn sequence(t: &DataType, start: i64, ids: &[u64]) -> Result<ArrayRef> {
    let number = |id: u64| start.wrapping_add(id as i64);
    Ok(match t {
        DataType::Float32 | DataType::Float64 => floats(t, ids, None, |id| number(id) as f64)?,
        DataType::Decimal128(_, scale) => {
            let unit = 10i128.pow(u32::from((*scale).unsigned_abs()));
            decimals(t, ids.iter().map(|id| i128::from(number(*id)) * unit).collect(), None)?
        }
        DataType::Utf8 => Arc::new(ids.iter().map(|id| Some(number(*id).to_string())).collect::<StringArray>()),
        DataType::Binary => {
            let bytes: Vec<u8> = ids.iter().flat_map(|id| number(*id).to_be_bytes()).collect();
            let offsets = OffsetBuffer::from_repeated_length(size_of::<i64>(), ids.len());
            Arc::new(BinaryArray::try_new(offsets, Buffer::from_vec(bytes), None)?)
        }
        _ => integers(t, ids, None, number)?,
    })
}

/// Values of random bytes and lengths; `write` turns a value's key and length into bytes.
fn random_bytes(
    length: Length,
    ids: &[u64],
    key: u64,
    write: impl Fn(u64, usize, &mut Vec<u8>),
) -> (OffsetBuffer<i32>, Buffer) {
    let max = length.max as usize;
    let mut bytes = Vec::with_capacity(max * ids.len());
    let offsets = if length.variable && max > 0 {
        let key_of_length = at(key, LENGTH_SALT);
        let lengths = ids.iter().map(|id| between(at(key_of_length, *id), 1, max as i64) as usize);
        let lengths: Vec<usize> = lengths.collect();
        for (id, length) in ids.iter().zip(&lengths) {
            write(at(key, *id), *length, &mut bytes);
        }
        OffsetBuffer::from_lengths(lengths)
    } else {
        for id in ids {
            write(at(key, *id), max, &mut bytes);
        }
        OffsetBuffer::from_repeated_length(max, ids.len())
    };
    (offsets, Buffer::from_vec(bytes))
}

fn write_raw(key: u64, length: usize, out: &mut Vec<u8>) {
    let end = out.len() + length;
    for n in 0..length.div_ceil(8) as u64 {
        out.extend_from_slice(&at(key, n).to_le_bytes());
    }
    out.truncate(end);
}

fn write_hex(key: u64, length: usize, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let end = out.len() + length;
    for n in 0..length.div_ceil(16) as u64 {
        let mut bits = at(key, n);
        let mut digits = [0u8; 16];
        for digit in &mut digits {
            *digit = DIGITS[(bits & 15) as usize];
            bits >>= 4;
        }
        out.extend_from_slice(&digits);
    }
    out.truncate(end);
}

/// Numbers for the elements of collections: those of row n are n * length ...
fn children(ids: &[u64], length: u32) -> Vec<u64> {
    let length = u64::from(length);
    ids.iter().flat_map(|id| (0..length).map(move |j| id.wrapping_mul(length).wrapping_add(j))).collect()
}

/// Entries with equal keys are one entry, the last, as in a Java map; small key types make small maps.
fn map(
    t: &DataType,
    length: u32,
    key: &FieldPlan,
    value: &FieldPlan,
    ids: &[u64],
    nulls: Option<NullBuffer>,
    moment: Moment,
) -> Result<ArrayRef> {
    let DataType::Map(entries, sorted) = t else { return Err(mismatch(t)) };
    let DataType::Struct(types) = entries.data_type() else { return Err(mismatch(t)) };
    let children = children(ids, length);
    let keys = generate(key, &children, moment)?;
    let values = generate(value, &children, moment)?;
    let pairs: ArrayRef = Arc::new(map_entries(types, Arc::clone(&keys), values)?);
    let (kept, lengths) = distinct(&keys, length as usize, ids.len())?;
    let (pairs, offsets) = match kept {
        None => (pairs, OffsetBuffer::from_repeated_length(length as usize, ids.len())),
        Some(kept) => {
            (arrow_select::take::take(&pairs, &UInt64Array::from(kept), None)?, OffsetBuffer::from_lengths(lengths))
        }
    };
    let pairs = pairs.as_any().downcast_ref::<StructArray>().ok_or_else(|| mismatch(t))?.clone();
    Ok(Arc::new(MapArray::try_new(Arc::clone(entries), offsets, pairs, nulls, *sorted)?))
}

/// Which entries stay, and how many of each map; `None` where all do.
fn distinct(keys: &ArrayRef, length: usize, maps: usize) -> Result<(Option<Vec<u64>>, Vec<usize>)> {
    let compare = make_comparator(keys, keys, SortOptions::default())?;
    let equal = |a: usize, b: usize| compare(a, b) == Ordering::Equal;
    let mut kept: Vec<u64> = Vec::with_capacity(keys.len());
    let mut lengths = Vec::with_capacity(maps);
    let mut order: Vec<usize> = vec![];
    for map in 0..maps {
        let (from, to) = (map * length, (map + 1) * length);
        let before = kept.len();
        if length <= PAIRWISE_MAX {
            kept.extend((from..to).filter(|i| !(i + 1..to).any(|later| equal(*i, later))).map(|i| i as u64));
        } else {
            order.clear();
            order.extend(from..to);
            order.sort_by(|a, b| compare(*a, *b).then(a.cmp(b)));
            let last = |i: usize| i + 1 == order.len() || !equal(order[i], order[i + 1]);
            kept.extend((0..order.len()).filter(|i| last(*i)).map(|i| order[i] as u64));
            kept[before..].sort_unstable();
        }
        lengths.push(kept.len() - before);
    }
    Ok(if kept.len() == keys.len() { (None, lengths) } else { (Some(kept), lengths) })
}

/// The largest number of values that offsets of 32 bits reach.
pub(super) fn rows_for(width: u64, rows_max: usize, bytes_max: u64) -> usize {
    usize::try_from(bytes_max / width.max(1)).unwrap_or(rows_max).clamp(1, rows_max).min(i32::MAX.as_usize())
}
