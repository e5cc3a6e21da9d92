//! Keys to dense group numbers, a batch at a time.
//!
//! Hashes are those that key groups come from, so they are computed once for both. Keys lie in typed columns, so that
//! output is built by columns; one and two keys of up to 64 bits and one text key have their own forms, all others are
//! packed rows.

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, StringBuilder};
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, BooleanArray, PrimitiveArray, cast::AsArray, new_empty_array};
use arrow_buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};
use arrow_row::{RowConverter, Rows, SortField};
use arrow_schema::{DataType, IntervalUnit, TimeUnit};
use flott_core::{Error, Result};

use super::group_index::{Index, Probe};
use super::room::Room;
use crate::held::list_bytes;

/// No NULL group in this table.
const NO_GROUP: u32 = u32::MAX;

enum Keys {
    /// One group for everything.
    None,
    /// One key of up to 64 bits; the NULL key is a group of its own.
    One { values: Vec<u64>, null: u32 },
    /// Two keys of up to 64 bits; a bit for each NULL.
    Two { values: Vec<[u64; 2]>, nulls: Vec<u8> },
    /// One text or binary key.
    Bytes { arena: Arena, null: u32 },
    /// Packed rows.
    Rows { converter: RowConverter, arena: Arena },
}

/// Byte strings one behind another.
struct Arena {
    offsets: Vec<usize>,
    bytes: Vec<u8>,
}

impl Arena {
    fn new() -> Arena {
        Arena { offsets: vec![0], bytes: vec![] }
    }

    fn get(&self, i: usize) -> &[u8] {
        &self.bytes[self.offsets[i]..self.offsets[i + 1]]
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.offsets.push(self.bytes.len());
    }

    fn clear(&mut self) {
        self.offsets.truncate(1);
        self.bytes.clear();
    }
}

/// A map from keys to dense numbers in order of first sight.
pub struct GroupTable {
    types: Vec<DataType>,
    index: Index,
    keys: Keys,
    columns: [Vec<u64>; 2],
}

/// Keys that fit 64 bits, with how they come and go.
fn fits_64_bits(t: &DataType) -> bool {
    matches!(
        t,
        DataType::Boolean
            | DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::Float32
            | DataType::Float64
            | DataType::Date32
            | DataType::Time32(TimeUnit::Millisecond)
            | DataType::Time64(TimeUnit::Microsecond | TimeUnit::Nanosecond)
            | DataType::Timestamp(_, _)
            | DataType::Duration(TimeUnit::Millisecond)
            | DataType::Interval(IntervalUnit::YearMonth)
    )
}

impl GroupTable {
    /// An empty table for keys of these types.
    pub fn new(types: &[DataType]) -> Result<GroupTable> {
        let keys = match types {
            [] => Keys::None,
            [t] if fits_64_bits(t) => Keys::One { values: vec![], null: NO_GROUP },
            [a, b] if fits_64_bits(a) && fits_64_bits(b) => Keys::Two { values: vec![], nulls: vec![] },
            [DataType::Utf8 | DataType::Binary] => Keys::Bytes { arena: Arena::new(), null: NO_GROUP },
            _ => {
                let fields = types.iter().map(|t| SortField::new(t.clone())).collect();
                let converter = RowConverter::new(fields)
                    .map_err(|e| Error::user(format!("these columns cannot be grouped by: {e}")))?;
                Keys::Rows { converter, arena: Arena::new() }
            }
        };
        Ok(GroupTable { types: types.to_vec(), index: Index::new(), keys, columns: [vec![], vec![]] })
    }

    /// Number of groups.
    pub fn len(&self) -> usize {
        self.index.hashes().len()
    }

    /// True without groups.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The hash of each group's key.
    pub fn hashes(&self) -> &[u64] {
        self.index.hashes()
    }

    /// Estimated memory.
    pub fn size_bytes(&self) -> usize {
        let keys = match &self.keys {
            Keys::None => 0,
            Keys::One { values, .. } => list_bytes(values),
            Keys::Two { values, nulls } => list_bytes(values) + list_bytes(nulls),
            Keys::Bytes { arena, .. } | Keys::Rows { arena, .. } => {
                list_bytes(&arena.bytes) + list_bytes(&arena.offsets)
            }
        };
        let scratch: usize = self.columns.iter().map(|c| c.capacity() * 8).sum();
        self.index.size_bytes() + keys + scratch
    }

    /// Room for more groups.
    pub(super) fn make_room(&mut self, room: &mut Room) {
        self.index.make_room(room);
        match &mut self.keys {
            Keys::None => {}
            Keys::One { values, .. } => room.of(values),
            Keys::Two { values, nulls } => {
                room.of(values);
                room.of(nulls);
            }
            Keys::Bytes { arena, .. } | Keys::Rows { arena, .. } => room.of(&mut arena.offsets),
        }
    }

    /// Forgets all groups, keeps the memory.
    pub fn clear(&mut self) {
        self.index.clear();
        match &mut self.keys {
            Keys::None => {}
            Keys::One { values, null } => {
                values.clear();
                *null = NO_GROUP;
            }
            Keys::Two { values, nulls } => {
                values.clear();
                nulls.clear();
            }
            Keys::Bytes { arena, null } => {
                arena.clear();
                *null = NO_GROUP;
            }
            Keys::Rows { arena, .. } => arena.clear(),
        }
    }

    /// The group of each row, new ones at the end. `hashes` are those of the key columns.
    pub fn groups_of(&mut self, columns: &[ArrayRef], hashes: &[u64], groups: &mut Vec<u32>) -> Result<()> {
        if columns.len() != self.types.len() {
            return Err(Error::internal(format!("{} key columns instead of {}", columns.len(), self.types.len())));
        }
        match &mut self.keys {
            Keys::None => {
                if self.index.hashes().is_empty() && !hashes.is_empty() {
                    self.index.push_only(hashes[0]);
                }
                groups.clear();
                groups.resize(hashes.len(), 0);
            }
            Keys::One { values, null } => {
                let batch = match words_of(columns[0].as_ref()) {
                    Some(words) => words,
                    None => {
                        load(columns[0].as_ref(), &mut self.columns[0])?;
                        &self.columns[0]
                    }
                };
                match columns[0].nulls().filter(|n| n.null_count() > 0) {
                    None => self.index.find_or_insert_all(One { stored: values, null: *null, batch }, hashes, groups),
                    Some(nulls) => self.index.find_or_insert_all(
                        OneNullable { stored: values, null, batch, nulls },
                        hashes,
                        groups,
                    ),
                }
            }
            Keys::Two { values, nulls } => {
                let [a, b] = &mut self.columns;
                load(columns[0].as_ref(), a)?;
                load(columns[1].as_ref(), b)?;
                // NULLs lie as zero, so that the values compare equal.
                let mut mask = vec![];
                for (bit, (column, values)) in columns.iter().zip([&mut *a, &mut *b]).enumerate() {
                    if let Some(n) = column.nulls().filter(|n| n.null_count() > 0) {
                        mask.resize(hashes.len(), 0u8);
                        for row in (0..hashes.len()).filter(|r| n.is_null(*r)) {
                            mask[row] |= 1 << bit;
                            values[row] = 0;
                        }
                    }
                }
                if mask.is_empty() {
                    self.index.find_or_insert_all(TwoPlain { stored: values, nulls, a, b }, hashes, groups);
                } else {
                    self.index.find_or_insert_all(Two { stored: values, nulls, a, b, mask: &mask }, hashes, groups);
                }
            }
            Keys::Bytes { arena, null } => {
                let nulls = columns[0].nulls();
                match columns[0].data_type() {
                    DataType::Utf8 => {
                        let a = columns[0].as_string::<i32>();
                        let get = |row: usize| a.value(row).as_bytes();
                        self.index.find_or_insert_all(Bytes { arena, null, nulls, get }, hashes, groups);
                    }
                    DataType::Binary => {
                        let a = columns[0].as_binary::<i32>();
                        let get = |row: usize| a.value(row);
                        self.index.find_or_insert_all(Bytes { arena, null, nulls, get }, hashes, groups);
                    }
                    other => return Err(Error::internal(format!("a key of type {other} in a table of texts"))),
                }
            }
            Keys::Rows { converter, arena } => {
                let columns: Vec<ArrayRef> = columns.iter().map(canonical_floats).collect();
                let rows = converter.convert_columns(&columns)?;
                self.index.find_or_insert_all(Packed { arena, rows: &rows }, hashes, groups);
            }
        }
        if self.len() >= NO_GROUP as usize {
            return Err(Error::data("more than four billion groups in one window of one subtask")
                .hint("Raise the parallelism or group by fewer values"));
        }
        Ok(())
    }

    /// The keys of all groups, or of these, by columns.
    pub fn key_columns(&self, of: Option<&[u32]>) -> Result<Vec<ArrayRef>> {
        let n = of.map_or(self.len(), <[u32]>::len);
        let group = |i: usize| of.map_or(i, |g| g[i] as usize);
        Ok(match &self.keys {
            Keys::None => vec![],
            Keys::One { values, null } => {
                let nulls = (*null != NO_GROUP)
                    .then(|| NullBuffer::new(BooleanBuffer::collect_bool(n, |i| group(i) != *null as usize)));
                vec![store(n, |i| values[group(i)], nulls, &self.types[0])?]
            }
            Keys::Two { values, nulls } => (0..2)
                .map(|k| {
                    let valid = BooleanBuffer::collect_bool(n, |i| nulls[group(i)] & (1 << k) == 0);
                    let valid = (valid.count_set_bits() < n).then(|| NullBuffer::new(valid));
                    store(n, |i| values[group(i)][k], valid, &self.types[k])
                })
                .collect::<Result<_>>()?,
            Keys::Bytes { arena, null } => {
                let is_null = |i: usize| *null != NO_GROUP && group(i) == *null as usize;
                if self.types[0] == DataType::Utf8 {
                    let mut b = StringBuilder::with_capacity(n, arena.bytes.len());
                    for i in 0..n {
                        let text = std::str::from_utf8(arena.get(group(i)));
                        let text = text.map_err(|e| Error::internal(format!("a stored key is not UTF-8: {e}")))?;
                        b.append_option((!is_null(i)).then_some(text));
                    }
                    vec![Arc::new(b.finish())]
                } else {
                    let mut b = BinaryBuilder::with_capacity(n, arena.bytes.len());
                    for i in 0..n {
                        b.append_option((!is_null(i)).then(|| arena.get(group(i))));
                    }
                    vec![Arc::new(b.finish())]
                }
            }
            Keys::Rows { converter, arena } => {
                if n == 0 {
                    return Ok(self.types.iter().map(new_empty_array).collect());
                }
                let parser = converter.parser();
                converter.convert_rows((0..n).map(|i| parser.parse(arena.get(group(i)))))?
            }
        })
    }
}

struct One<'a> {
    stored: &'a mut Vec<u64>,
    null: u32,
    batch: &'a [u64],
}

impl Probe for One<'_> {
    #[inline]
    fn equals(&self, group: usize, row: usize) -> bool {
        self.stored[group] == self.batch[row] && group != self.null as usize
    }

    fn push(&mut self, row: usize) {
        self.stored.push(self.batch[row]);
    }
}

struct OneNullable<'a> {
    stored: &'a mut Vec<u64>,
    null: &'a mut u32,
    batch: &'a [u64],
    nulls: &'a NullBuffer,
}

impl Probe for OneNullable<'_> {
    #[inline]
    fn equals(&self, group: usize, row: usize) -> bool {
        let is_null_group = group == *self.null as usize;
        if self.nulls.is_null(row) { is_null_group } else { !is_null_group && self.stored[group] == self.batch[row] }
    }

    fn push(&mut self, row: usize) {
        if self.nulls.is_null(row) {
            *self.null = self.stored.len() as u32;
        }
        self.stored.push(self.batch[row]);
    }
}

struct TwoPlain<'a> {
    stored: &'a mut Vec<[u64; 2]>,
    nulls: &'a mut Vec<u8>,
    a: &'a [u64],
    b: &'a [u64],
}

impl Probe for TwoPlain<'_> {
    #[inline]
    fn equals(&self, group: usize, row: usize) -> bool {
        self.stored[group] == [self.a[row], self.b[row]] && self.nulls[group] == 0
    }

    fn push(&mut self, row: usize) {
        self.stored.push([self.a[row], self.b[row]]);
        self.nulls.push(0);
    }
}

struct Two<'a> {
    stored: &'a mut Vec<[u64; 2]>,
    nulls: &'a mut Vec<u8>,
    a: &'a [u64],
    b: &'a [u64],
    mask: &'a [u8],
}

impl Probe for Two<'_> {
    #[inline]
    fn equals(&self, group: usize, row: usize) -> bool {
        self.stored[group] == [self.a[row], self.b[row]] && self.nulls[group] == self.mask[row]
    }

    fn push(&mut self, row: usize) {
        self.stored.push([self.a[row], self.b[row]]);
        self.nulls.push(self.mask[row]);
    }
}

struct Bytes<'a, G> {
    arena: &'a mut Arena,
    null: &'a mut u32,
    nulls: Option<&'a NullBuffer>,
    get: G,
}

impl<'b, G: Fn(usize) -> &'b [u8]> Probe for Bytes<'_, G> {
    #[inline]
    fn equals(&self, group: usize, row: usize) -> bool {
        let is_null_group = group == *self.null as usize;
        if self.nulls.is_some_and(|n| n.is_null(row)) {
            is_null_group
        } else {
            !is_null_group && self.arena.get(group) == (self.get)(row)
        }
    }

    fn push(&mut self, row: usize) {
        if self.nulls.is_some_and(|n| n.is_null(row)) {
            *self.null = (self.arena.offsets.len() - 1) as u32;
            self.arena.push(&[]);
        } else {
            self.arena.push((self.get)(row));
        }
    }
}

struct Packed<'a> {
    arena: &'a mut Arena,
    rows: &'a Rows,
}

impl Probe for Packed<'_> {
    #[inline]
    fn equals(&self, group: usize, row: usize) -> bool {
        self.arena.get(group) == self.rows.row(row).data()
    }

    fn push(&mut self, row: usize) {
        self.arena.push(self.rows.row(row).data());
    }
}

fn canonical(v: f64) -> u64 {
    if v.is_nan() { f64::NAN.to_bits() } else { v.to_bits() }
}

/// The hash takes all NaNs for one key; so must the comparison of packed rows.
fn canonical_floats(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Float64 => {
            Arc::new(column.as_primitive::<Float64Type>().unary::<_, Float64Type>(|v| f64::from_bits(canonical(v))))
        }
        DataType::Float32 => Arc::new(
            column
                .as_primitive::<Float32Type>()
                .unary::<_, Float32Type>(|v| f64::from_bits(canonical(f64::from(v))) as f32),
        ),
        _ => Arc::clone(column),
    }
}

/// A column of whole numbers of 64 bits as it lies.
fn words_of(array: &dyn Array) -> Option<&[u64]> {
    let values = match array.data_type() {
        DataType::Int64 => array.as_primitive::<Int64Type>().values(),
        DataType::Timestamp(TimeUnit::Millisecond, _) => array.as_primitive::<TimestampMillisecondType>().values(),
        _ => return None,
    };
    Some(values.inner().typed_data())
}

/// A column of up to 64 bits as words.
fn load(array: &dyn Array, into: &mut Vec<u64>) -> Result<()> {
    fn all<T: ArrowPrimitiveType>(array: &dyn Array, into: &mut Vec<u64>, to: impl Fn(T::Native) -> u64) {
        into.extend(array.as_primitive::<T>().values().iter().map(|v| to(*v)));
    }
    into.clear();
    match array.data_type() {
        DataType::Boolean => into.extend(array.as_boolean().values().iter().map(u64::from)),
        DataType::Int8 => all::<Int8Type>(array, into, |v| v as u64),
        DataType::Int16 => all::<Int16Type>(array, into, |v| v as u64),
        DataType::Int32 => all::<Int32Type>(array, into, |v| v as u64),
        DataType::Int64 => all::<Int64Type>(array, into, |v| v as u64),
        DataType::Float32 => all::<Float32Type>(array, into, |v| canonical(f64::from(v))),
        DataType::Float64 => all::<Float64Type>(array, into, canonical),
        DataType::Date32 => all::<Date32Type>(array, into, |v| v as u64),
        DataType::Time32(TimeUnit::Millisecond) => all::<Time32MillisecondType>(array, into, |v| v as u64),
        DataType::Time64(TimeUnit::Microsecond) => all::<Time64MicrosecondType>(array, into, |v| v as u64),
        DataType::Time64(TimeUnit::Nanosecond) => all::<Time64NanosecondType>(array, into, |v| v as u64),
        DataType::Timestamp(TimeUnit::Second, _) => all::<TimestampSecondType>(array, into, |v| v as u64),
        DataType::Timestamp(TimeUnit::Millisecond, _) => all::<TimestampMillisecondType>(array, into, |v| v as u64),
        DataType::Timestamp(TimeUnit::Microsecond, _) => all::<TimestampMicrosecondType>(array, into, |v| v as u64),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => all::<TimestampNanosecondType>(array, into, |v| v as u64),
        DataType::Duration(TimeUnit::Millisecond) => all::<DurationMillisecondType>(array, into, |v| v as u64),
        DataType::Interval(IntervalUnit::YearMonth) => all::<IntervalYearMonthType>(array, into, |v| v as u64),
        other => return Err(Error::internal(format!("a key of type {other} in 64 bits"))),
    }
    Ok(())
}

/// The reverse of [`load`].
fn store(n: usize, word: impl Fn(usize) -> u64, nulls: Option<NullBuffer>, t: &DataType) -> Result<ArrayRef> {
    fn all<T: ArrowPrimitiveType>(
        n: usize,
        to: impl Fn(usize) -> T::Native,
        nulls: Option<NullBuffer>,
        t: &DataType,
    ) -> ArrayRef {
        let values: ScalarBuffer<T::Native> = (0..n).map(to).collect::<Vec<_>>().into();
        Arc::new(PrimitiveArray::<T>::new(values, nulls).with_data_type(t.clone()))
    }
    Ok(match t {
        DataType::Boolean => Arc::new(BooleanArray::new(BooleanBuffer::collect_bool(n, |i| word(i) != 0), nulls)),
        DataType::Int8 => all::<Int8Type>(n, |i| word(i) as i8, nulls, t),
        DataType::Int16 => all::<Int16Type>(n, |i| word(i) as i16, nulls, t),
        DataType::Int32 => all::<Int32Type>(n, |i| word(i) as i32, nulls, t),
        DataType::Int64 => all::<Int64Type>(n, |i| word(i) as i64, nulls, t),
        DataType::Float32 => all::<Float32Type>(n, |i| f64::from_bits(word(i)) as f32, nulls, t),
        DataType::Float64 => all::<Float64Type>(n, |i| f64::from_bits(word(i)), nulls, t),
        DataType::Date32 => all::<Date32Type>(n, |i| word(i) as i32, nulls, t),
        DataType::Time32(TimeUnit::Millisecond) => all::<Time32MillisecondType>(n, |i| word(i) as i32, nulls, t),
        DataType::Time64(TimeUnit::Microsecond) => all::<Time64MicrosecondType>(n, |i| word(i) as i64, nulls, t),
        DataType::Time64(TimeUnit::Nanosecond) => all::<Time64NanosecondType>(n, |i| word(i) as i64, nulls, t),
        DataType::Timestamp(TimeUnit::Second, _) => all::<TimestampSecondType>(n, |i| word(i) as i64, nulls, t),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            all::<TimestampMillisecondType>(n, |i| word(i) as i64, nulls, t)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            all::<TimestampMicrosecondType>(n, |i| word(i) as i64, nulls, t)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => all::<TimestampNanosecondType>(n, |i| word(i) as i64, nulls, t),
        DataType::Duration(TimeUnit::Millisecond) => all::<DurationMillisecondType>(n, |i| word(i) as i64, nulls, t),
        DataType::Interval(IntervalUnit::YearMonth) => all::<IntervalYearMonthType>(n, |i| word(i) as i32, nulls, t),
        other => return Err(Error::internal(format!("a key of type {other} in 64 bits"))),
    })
}

#[cfg(test)]
mod tests {
    use arrow_array::{Float64Array, Int32Array, Int64Array, StringArray};
    use flott_core::key_group::hash_rows;

    use super::*;

    /// Numbers all rows in pieces of seven and compares keys that come out with those that went in.
    fn round_trip(columns: Vec<ArrayRef>) {
        let types: Vec<DataType> = columns.iter().map(|c| c.data_type().clone()).collect();
        let mut table = GroupTable::new(&types).expect("a table");
        for _ in 0..2 {
            let rows = columns[0].len();
            let mut seen = vec![];
            for start in (0..rows).step_by(7) {
                let part: Vec<ArrayRef> = columns.iter().map(|c| c.slice(start, 7.min(rows - start))).collect();
                let mut hashes = vec![];
                hash_rows(&part, part[0].len(), &mut hashes).expect("hashable");
                let mut groups = vec![];
                table.groups_of(&part, &hashes, &mut groups).expect("groups");
                seen.extend(groups);
            }
            let mut distinct = seen.clone();
            distinct.sort_unstable();
            distinct.dedup();
            assert_eq!(distinct.len(), table.len());
            let keys = table.key_columns(Some(&seen)).expect("keys");
            for (key, column) in keys.iter().zip(&columns) {
                assert_eq!(key.to_data(), column.to_data());
            }
            assert_eq!(table.key_columns(None).expect("keys")[0].len(), table.len());
            table.clear();
            assert!(table.is_empty());
        }
    }

    #[test]
    fn keys_of_all_forms_come_back() {
        let n = 1_000i64;
        let long = || Arc::new(Int64Array::from_iter((0..n).map(|i| (i % 11 != 3).then_some(i % 300)))) as ArrayRef;
        let dense = || Arc::new(Int64Array::from_iter_values((0..n).map(|i| i * 7 % 400 - 100))) as ArrayRef;
        let text = || {
            let values =
                (0..n).map(|i| (i % 5 != 2).then(|| if i % 7 == 0 { String::new() } else { format!("k{}", i % 90) }));
            Arc::new(StringArray::from_iter(values)) as ArrayRef
        };
        let int =
            || Arc::new(Int32Array::from_iter((0..n).map(|i| (i % 13 != 1).then_some((i % 3) as i32)))) as ArrayRef;
        round_trip(vec![long()]);
        round_trip(vec![dense()]);
        round_trip(vec![text()]);
        round_trip(vec![long(), int()]);
        round_trip(vec![dense(), dense()]);
        round_trip(vec![text(), int()]);
        round_trip(vec![text(), long(), int()]);
    }

    #[test]
    fn nans_are_one_key_in_every_form_and_zeroes_two() {
        let zeroes = Arc::new(Float64Array::from(vec![0.0, -0.0, f64::NAN, -f64::NAN])) as ArrayRef;
        let ones = Arc::new(Int64Array::from(vec![1; 4])) as ArrayRef;
        let text = Arc::new(StringArray::from(vec!["a"; 4])) as ArrayRef;
        for columns in [vec![zeroes.clone()], vec![zeroes.clone(), ones], vec![zeroes, text]] {
            let types: Vec<DataType> = columns.iter().map(|c| c.data_type().clone()).collect();
            let mut table = GroupTable::new(&types).expect("a table");
            let (mut hashes, mut groups) = (vec![], vec![]);
            hash_rows(&columns, 4, &mut hashes).expect("hashable");
            table.groups_of(&columns, &hashes, &mut groups).expect("groups");
            assert_eq!(groups, [0, 1, 2, 2]);
        }
    }
}
