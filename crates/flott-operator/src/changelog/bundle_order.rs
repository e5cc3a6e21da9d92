//! The order in which the keys of a mini-batch leave.
//!
//! Which rows an operator behind gathers in one batch of its own depends on it, and with them which changes are seen. Flink
//! goes through a `HashMap` of binary rows: by buckets of their Murmur hash, in a bucket by arrival. The layout of those
//! rows (`BinaryRowData`): null bits behind one byte of row kind, eight bytes for each field, then what is longer.

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, TimeUnit};

/// Buckets of an empty map.
const BUCKETS_MIN: usize = 16;
/// Texts up to this length lie in their field.
const INLINE_MAX: usize = 7;
/// Digits of a decimal that lies in its field.
const COMPACT_DIGITS: u8 = 18;
const NANOS_PER_MILLI: i64 = 1_000_000;

/// Remembers how far the map has grown: it does not shrink.
#[derive(Debug)]
pub(crate) struct BundleOrder {
    buckets: usize,
}

impl Default for BundleOrder {
    fn default() -> BundleOrder {
        BundleOrder { buckets: BUCKETS_MIN }
    }
}

impl BundleOrder {
    /// The places of `rows` distinct keys, given in the order of their arrival, as they leave.
    pub(crate) fn of(&mut self, keys: &[ArrayRef], rows: usize) -> Vec<u32> {
        // It doubles when it is three quarters full.
        while rows * 4 > self.buckets * 3 {
            self.buckets *= 2;
        }
        let mut order: Vec<u32> = (0..rows as u32).collect();
        if rows < 2 || keys.is_empty() {
            return order;
        }
        let mask = self.buckets - 1;
        let mut row = vec![];
        let buckets: Vec<usize> = (0..rows)
            .map(|i| {
                binary_row(keys, i, &mut row);
                let hash = murmur(&row);
                (hash ^ (hash >> 16)) as usize & mask
            })
            .collect();
        order.sort_by_key(|i| buckets[*i as usize]);
        order
    }
}

/// Writes a row. Values of types that no key has are left zero.
fn binary_row(keys: &[ArrayRef], at: usize, row: &mut Vec<u8>) {
    let null_bytes = (keys.len() + 63 + 8) / 64 * 8;
    row.clear();
    row.resize(null_bytes + keys.len() * 8, 0);
    for (i, column) in keys.iter().enumerate() {
        if column.is_null(at) {
            row[(i + 8) / 8] |= 1 << (i % 8);
            continue;
        }
        let field = null_bytes + i * 8;
        let fixed = |row: &mut Vec<u8>, bytes: &[u8]| row[field..field + bytes.len()].copy_from_slice(bytes);
        macro_rules! primitive {
            ($t:ty) => {
                fixed(row, &column.as_primitive::<$t>().value(at).to_le_bytes())
            };
        }
        match column.data_type() {
            DataType::Boolean => fixed(row, &[u8::from(column.as_boolean().value(at))]),
            DataType::Int8 => primitive!(Int8Type),
            DataType::Int16 => primitive!(Int16Type),
            DataType::Int32 => primitive!(Int32Type),
            DataType::Int64 => primitive!(Int64Type),
            DataType::Float32 => primitive!(Float32Type),
            DataType::Float64 => primitive!(Float64Type),
            DataType::Date32 => primitive!(Date32Type),
            DataType::Time32(_) => primitive!(Time32MillisecondType),
            DataType::Timestamp(TimeUnit::Millisecond, _) => primitive!(TimestampMillisecondType),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                let time = column.as_primitive::<TimestampMicrosecondType>().value(at);
                timestamp(row, field, time.div_euclid(1_000), time.rem_euclid(1_000) * 1_000);
            }
            DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                let time = column.as_primitive::<TimestampNanosecondType>().value(at);
                timestamp(row, field, time.div_euclid(NANOS_PER_MILLI), time.rem_euclid(NANOS_PER_MILLI));
            }
            DataType::Decimal128(digits, _) => {
                let value = column.as_primitive::<Decimal128Type>().value(at);
                if *digits <= COMPACT_DIGITS {
                    fixed(row, &(value as i64).to_le_bytes());
                } else {
                    // The shortest form of two's complement, the greatest byte first, in sixteen bytes.
                    let bytes = value.to_be_bytes();
                    let sign = if value < 0 { 0xff } else { 0 };
                    let skipped = |i: &usize| bytes[*i] == sign && (bytes[i + 1] ^ sign) & 0x80 == 0;
                    let from = (0..bytes.len() - 1).take_while(skipped).count();
                    long(row, field, &bytes[from..], bytes.len());
                }
            }
            DataType::Utf8 => bytes(row, field, column.as_string::<i32>().value(at).as_bytes()),
            DataType::Binary => bytes(row, field, column.as_binary::<i32>().value(at)),
            _ => {}
        }
    }
}

/// A time with more digits than milliseconds.
fn timestamp(row: &mut Vec<u8>, field: usize, millis: i64, nanos: i64) {
    let offset = row.len() as i64;
    row[field..field + 8].copy_from_slice(&(offset << 32 | nanos).to_le_bytes());
    row.extend(millis.to_le_bytes());
}

fn bytes(row: &mut Vec<u8>, field: usize, value: &[u8]) {
    if value.len() <= INLINE_MAX {
        row[field..field + value.len()].copy_from_slice(value);
        row[field + INLINE_MAX] = value.len() as u8 | 0x80;
    } else {
        long(row, field, value, value.len().next_multiple_of(8));
    }
}

/// What lies behind the fields, in `room` bytes.
fn long(row: &mut Vec<u8>, field: usize, value: &[u8], room: usize) {
    let offset = row.len();
    row[field..field + 8].copy_from_slice(&((offset as i64) << 32 | value.len() as i64).to_le_bytes());
    row.extend(value);
    row.resize(offset + room, 0);
}

/// Murmur 3 with Flink's seed, of whole words.
fn murmur(row: &[u8]) -> u32 {
    let mut hash = 42u32;
    for word in row.chunks_exact(4) {
        let word = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
        let word = word.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
        hash = (hash ^ word).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    hash ^= row.len() as u32;
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{
        BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, StringArray,
        TimestampMicrosecondArray,
    };

    use super::*;

    #[test]
    fn keys_leave_by_the_buckets_of_their_hash() {
        let keys: [ArrayRef; 1] = [Arc::new(Int64Array::from(vec![1, 2, 3, 7]))];
        let mut order = BundleOrder::default();
        assert_eq!(order.of(&keys, 4), [2, 3, 1, 0]);
        // More keys, more buckets; what has grown stays.
        let many: [ArrayRef; 1] = [Arc::new(Int64Array::from_iter_values(0..13))];
        order.of(&many, 13);
        assert_eq!(order.buckets, 32);
        order.of(&keys, 4);
        assert_eq!(order.buckets, 32);
    }

    /// As a Flink 2.3 gave the groups of one mini-batch.
    #[test]
    fn the_order_is_that_of_flink() {
        let order = |keys: &[ArrayRef]| BundleOrder::default().of(keys, keys[0].len());
        let texts: ArrayRef = Arc::new(StringArray::from(vec![
            Some("a"),
            Some("bb"),
            Some("x"),
            Some("longer than seven"),
            Some("hello world"),
            None,
            Some("seven77"),
            Some("eight888"),
        ]));
        assert_eq!(order(&[texts]), [2, 4, 1, 6, 0, 5, 7, 3]);
        let numbers: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), Some(2), Some(3), None, Some(5), Some(6)]));
        let texts = [Some("a"), Some("b"), Some("ccccccccccc"), Some("d"), None, Some("f")];
        assert_eq!(order(&[numbers, Arc::new(StringArray::from_iter(texts))]), [0, 1, 3, 4, 5, 2]);
        // 2020-01-01, 2021-02-03, 1960-02-03, 2022-02-03
        assert_eq!(order(&[Arc::new(Date32Array::from(vec![18_262, 18_661, -3_620, 19_026]))]), [0, 3, 1, 2]);
        let times = vec![1_577_840_523_123_456, 1_612_310_400_500_000, -312_767_999_999_999, 1_643_846_400_000_000];
        assert_eq!(order(&[Arc::new(TimestampMicrosecondArray::from(times))]), [3, 2, 1, 0]);
        assert_eq!(order(&[Arc::new(Float64Array::from(vec![1.5, -2.25, 0.0, 7e10]))]), [3, 0, 2, 1]);
        let flags: ArrayRef = Arc::new(BooleanArray::from(vec![true, false, true, false]));
        let decimals = Decimal128Array::from(vec![15, 25, 35, -15]).with_data_type(DataType::Decimal128(2, 1));
        assert_eq!(order(&[flags, Arc::new(decimals)]), [2, 3, 0, 1]);
        let many: ArrayRef = Arc::new(Int32Array::from_iter_values(1..=20));
        let numbers: Vec<u32> = order(&[many]).into_iter().map(|i| i + 1).collect();
        assert_eq!(numbers, [3, 1, 13, 9, 12, 19, 4, 8, 11, 14, 7, 2, 15, 17, 5, 16, 6, 10, 20, 18]);
    }

    #[test]
    fn rows_are_laid_out_in_words() {
        let text: ArrayRef = Arc::new(StringArray::from(vec![Some("abc"), Some("0123456789"), None]));
        let mut row = vec![];
        binary_row(std::slice::from_ref(&text), 0, &mut row);
        assert_eq!(row, *b"\0\0\0\0\0\0\0\0abc\0\0\0\0\x83");
        binary_row(std::slice::from_ref(&text), 1, &mut row);
        assert_eq!(row, *b"\0\0\0\0\0\0\0\0\x0a\0\0\0\x10\0\0\x000123456789\0\0\0\0\0\0");
        binary_row(&[Arc::new(Int64Array::from(vec![5; 3])), text], 2, &mut row);
        assert_eq!(row, *b"\0\x02\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    }
}
