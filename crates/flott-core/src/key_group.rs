//! Key groups: which part of the keyed state a row belongs to, and which subtask owns it.
//!
//! Group and owner follow Flink's `KeyGroupRangeAssignment` (murmur of the key's hash modulo the maximum parallelism;
//! owner = group * parallelism / maximum). The hash of the key itself is ours and part of the stored format: it must
//! never change without a new state version.

use crate::types::map_keys;
use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, IntervalUnit, TimeUnit};

use crate::{Error, Result};

/// Flink's default.
pub const DEFAULT_MAX_PARALLELISM: u16 = 128;
/// Flink's upper bound.
pub const MAX_MAX_PARALLELISM: u16 = 32_768 - 1;

/// Flink's `MathUtils.murmurHash` over a 32-bit hash code; never negative.
#[inline]
pub fn murmur(code: u32) -> u32 {
    let mut h = code.wrapping_mul(0xcc9e_2d51);
    h = h.rotate_left(15).wrapping_mul(0x1b87_3593);
    h = h.rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64) ^ 4;
    h ^= h >> 16;
    h = h.wrapping_mul(0x85eb_ca6b);
    h ^= h >> 13;
    h = h.wrapping_mul(0xc2b2_ae35);
    h ^= h >> 16;
    let h = h as i32;
    if h >= 0 {
        h as u32
    } else if h == i32::MIN {
        0
    } else {
        h.unsigned_abs()
    }
}

/// The key group of a key with this hash.
#[inline]
pub fn key_group(hash: u64, max_parallelism: u16) -> u16 {
    (murmur((hash ^ (hash >> 32)) as u32) % u32::from(max_parallelism)) as u16
}

/// The subtask that owns a key group.
#[inline]
pub fn owner(group: u16, parallelism: usize, max_parallelism: u16) -> usize {
    usize::from(group) * parallelism / usize::from(max_parallelism)
}

/// The key groups of a subtask (Flink's `computeKeyGroupRangeForOperatorIndex`).
pub fn range_of(subtask: usize, parallelism: usize, max_parallelism: u16) -> Range<u16> {
    let max = usize::from(max_parallelism);
    let start = (subtask * max).div_ceil(parallelism);
    let end = ((subtask + 1) * max).div_ceil(parallelism);
    start as u16..end as u16
}

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
const NULL: u64 = 0x6c62_272e_07bb_0142;

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let r = u128::from(a).wrapping_mul(u128::from(b));
    (r as u64) ^ ((r >> 64) as u64)
}

/// Mixes one value into the hash of the columns before it.
#[inline]
pub fn combine(hash: u64, value: u64) -> u64 {
    fold(hash ^ value ^ SEED, 0xe703_7ed1_a0b4_28db)
}

/// Hash of bytes, the same on every machine.
#[inline]
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut h = SEED ^ bytes.len() as u64;
    let mut chunks = bytes.chunks_exact(8);
    for c in &mut chunks {
        let mut w = [0u8; 8];
        w.copy_from_slice(c);
        h = fold(h ^ u64::from_le_bytes(w), 0xa076_1d64_78bd_642f);
    }
    let mut w = [0u8; 8];
    let rest = chunks.remainder();
    w[..rest.len()].copy_from_slice(rest);
    fold(h ^ u64::from_le_bytes(w), 0x8ebc_6af0_9c88_c6e3)
}

/// The hash of the one key of rows that have no key: its group is 0 for any number of groups, and subtask 0, to which
/// such rows go, owns that group at any parallelism.
const NO_KEY: u64 = 0xc247_9b7a;

/// Hashes of the rows over key columns, written over `hashes`. `rows` is needed where there is no column (one global key).
///
/// All NaNs are one key; -0.0 and 0.0 are two, as in Flink, whose keys are bits. Fails for types that cannot be a key.
pub fn hash_rows(columns: &[ArrayRef], rows: usize, hashes: &mut Vec<u64>) -> Result<()> {
    hashes.clear();
    hashes.resize(rows, if columns.is_empty() { NO_KEY } else { 0 });
    for column in columns {
        hash_column(column.as_ref(), hashes)?;
    }
    Ok(())
}

fn each<T: Copy>(values: &[T], array: &dyn Array, hashes: &mut [u64], to: impl Fn(T) -> u64) {
    if array.null_count() == 0 {
        for (h, v) in hashes.iter_mut().zip(values) {
            *h = combine(*h, to(*v));
        }
    } else {
        for (i, (h, v)) in hashes.iter_mut().zip(values).enumerate() {
            *h = combine(*h, if array.is_valid(i) { to(*v) } else { NULL });
        }
    }
}

fn hash_column(array: &dyn Array, hashes: &mut [u64]) -> Result<()> {
    macro_rules! primitive {
        ($t:ty, $to:expr) => {
            each(array.as_primitive::<$t>().values(), array, hashes, $to)
        };
    }
    match array.data_type() {
        DataType::Null => hashes.iter_mut().for_each(|h| *h = combine(*h, NULL)),
        DataType::Boolean => {
            let a = array.as_boolean();
            for (i, h) in hashes.iter_mut().enumerate() {
                *h = combine(*h, if a.is_valid(i) { u64::from(a.value(i)) + 1 } else { NULL });
            }
        }
        DataType::Int8 => primitive!(Int8Type, |v| v as i64 as u64),
        DataType::Int16 => primitive!(Int16Type, |v| v as i64 as u64),
        DataType::Int32 => primitive!(Int32Type, |v| v as i64 as u64),
        DataType::Int64 => primitive!(Int64Type, |v| v as u64),
        DataType::Float32 => primitive!(Float32Type, |v: f32| canonical(f64::from(v)).to_bits()),
        DataType::Float64 => primitive!(Float64Type, |v| canonical(v).to_bits()),
        DataType::Decimal128(_, _) => primitive!(Decimal128Type, |v| (v as u64) ^ ((v >> 64) as u64).rotate_left(17)),
        DataType::Date32 => primitive!(Date32Type, |v| v as i64 as u64),
        DataType::Time32(TimeUnit::Millisecond) => primitive!(Time32MillisecondType, |v| v as i64 as u64),
        DataType::Time64(TimeUnit::Microsecond) => primitive!(Time64MicrosecondType, |v| v as u64),
        DataType::Time64(TimeUnit::Nanosecond) => primitive!(Time64NanosecondType, |v| v as u64),
        DataType::Timestamp(TimeUnit::Millisecond, _) => primitive!(TimestampMillisecondType, |v| v as u64),
        DataType::Timestamp(TimeUnit::Microsecond, _) => primitive!(TimestampMicrosecondType, |v| v as u64),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => primitive!(TimestampNanosecondType, |v| v as u64),
        DataType::Duration(TimeUnit::Millisecond) => primitive!(DurationMillisecondType, |v| v as u64),
        DataType::Interval(IntervalUnit::YearMonth) => primitive!(IntervalYearMonthType, |v| v as i64 as u64),
        DataType::Utf8 => {
            let a = array.as_string::<i32>();
            for (i, h) in hashes.iter_mut().enumerate() {
                *h = combine(*h, if a.is_valid(i) { hash_bytes(a.value(i).as_bytes()) } else { NULL });
            }
        }
        DataType::Binary => {
            let a = array.as_binary::<i32>();
            for (i, h) in hashes.iter_mut().enumerate() {
                *h = combine(*h, if a.is_valid(i) { hash_bytes(a.value(i)) } else { NULL });
            }
        }
        DataType::List(_) => {
            let a = array.as_list::<i32>();
            hash_nested(array, a.value_offsets(), a.values().as_ref(), hashes)?;
        }
        DataType::Map(_, _) => {
            let a = array.as_map();
            // As rows of a key and a value, whichever way the keys lie.
            let mut entries = vec![SEED; a.entries().len()];
            hash_column(map_keys(a).as_ref(), &mut entries)?;
            hash_column(a.values().as_ref(), &mut entries)?;
            let rows: Vec<u64> = entries.into_iter().map(|h| combine(SEED, h)).collect();
            hash_ranges(array, a.value_offsets(), &rows, hashes);
        }
        DataType::Struct(_) => {
            let a = array.as_struct();
            let mut inner = vec![SEED; a.len()];
            for c in a.columns() {
                hash_column(c.as_ref(), &mut inner)?;
            }
            for (i, h) in hashes.iter_mut().enumerate() {
                *h = combine(*h, if a.is_valid(i) { inner[i] } else { NULL });
            }
        }
        other => return Err(Error::internal(format!("{other} cannot be a key"))),
    }
    Ok(())
}

fn hash_nested(array: &dyn Array, offsets: &[i32], values: &dyn Array, hashes: &mut [u64]) -> Result<()> {
    let mut inner = vec![SEED; values.len()];
    hash_column(values, &mut inner)?;
    hash_ranges(array, offsets, &inner, hashes);
    Ok(())
}

fn hash_ranges(array: &dyn Array, offsets: &[i32], inner: &[u64], hashes: &mut [u64]) {
    for (i, h) in hashes.iter_mut().enumerate() {
        let value = if array.is_valid(i) {
            let range = offsets[i] as usize..offsets[i + 1] as usize;
            inner[range].iter().fold(SEED, |h, v| combine(h, *v))
        } else {
            NULL
        };
        *h = combine(*h, value);
    }
}

fn canonical(v: f64) -> f64 {
    if v.is_nan() { f64::NAN } else { v }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Float64Array, Int64Array, StringArray};

    use super::*;

    #[test]
    fn ranges_cover_all_groups_and_agree_with_the_owner() {
        for parallelism in 1..40 {
            let mut next = 0;
            for subtask in 0..parallelism {
                let range = range_of(subtask, parallelism, 128);
                assert_eq!(range.start, next);
                assert!(range.clone().all(|g| owner(g, parallelism, 128) == subtask));
                next = range.end;
            }
            assert_eq!(next, 128);
        }
    }

    #[test]
    fn stored_hashes_never_change() {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![Some(1), None, Some(-7)])),
            Arc::new(StringArray::from(vec![Some("a"), Some(""), None])),
        ];
        let mut hashes = vec![];
        hash_rows(&columns, 3, &mut hashes).expect("hashable");
        let groups: Vec<u16> = hashes.iter().map(|h| key_group(*h, 128)).collect();
        // Pinned: a change here loses every stored state.
        assert_eq!(groups, PINNED);
    }

    const PINNED: [u16; 3] = [5, 109, 24];

    #[test]
    fn rows_without_a_key_are_the_first_subtasks() {
        let mut hashes = vec![];
        hash_rows(&[], 2, &mut hashes).expect("no column");
        for max in [1, 2, 3, 127, 128, 1_000, MAX_MAX_PARALLELISM] {
            assert_eq!(hashes.iter().map(|h| key_group(*h, max)).collect::<Vec<_>>(), [0, 0], "of {max}");
            assert_eq!(owner(0, usize::from(max), max), 0);
        }
    }

    #[test]
    fn zeroes_are_two_keys_and_nans_one() {
        let columns: Vec<ArrayRef> = vec![Arc::new(Float64Array::from(vec![0.0, -0.0, f64::NAN, -f64::NAN]))];
        let mut hashes = vec![];
        hash_rows(&columns, 4, &mut hashes).expect("hashable");
        assert_ne!(hashes[0], hashes[1]);
        assert_eq!(hashes[2], hashes[3]);
    }

    #[test]
    fn murmur_is_never_negative() {
        assert!(murmur(0) < 1 << 31 && murmur(1) < 1 << 31 && murmur(u32::MAX) < 1 << 31);
    }
}
