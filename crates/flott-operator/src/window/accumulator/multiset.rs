//! The values of each group in their order, with how often each came; and COLLECT, which shows them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::new_empty_array;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int32Array, Int64Array, ListArray, MapArray, StructArray, cast::AsArray};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_row::{RowConverter, SortField};
use arrow_schema::{DataType, Field};
use flott_core::{Error, Result};

use super::{Accumulator, Input, each_row};
use crate::held::list_bytes;

/// What an entry of a group weighs besides its value.
const ENTRY_BYTES: usize = 48;

/// Values are kept in a form whose bytes are in their order. One that is taken away before it comes is owed.
pub(super) struct Multiset {
    converter: RowConverter,
    groups: Vec<BTreeMap<Box<[u8]>, i64>>,
    bytes: usize,
    data_type: DataType,
}

impl Multiset {
    pub(super) fn new(data_type: &DataType, function: &str) -> Result<Multiset> {
        let converter = RowConverter::new(vec![SortField::new(data_type.clone())]).map_err(|e| {
            Error::user(format!("{function} over a column of type {data_type} is not supported: {e}"))
                .hint("Cast the argument to a simple type")
        })?;
        Ok(Multiset { converter, groups: vec![], bytes: 0, data_type: data_type.clone() })
    }

    pub(super) fn resize(&mut self, groups: usize) {
        self.groups.resize_with(groups, BTreeMap::new);
    }

    /// Adds `count(row)` times the value of each row that counts.
    pub(super) fn update(
        &mut self,
        groups: &[u32],
        values: &ArrayRef,
        include: Option<&NullBuffer>,
        count: impl Fn(usize) -> i64,
    ) -> Result<()> {
        let rows = self.converter.convert_columns(std::slice::from_ref(values))?;
        each_row(groups, include, |row, g| self.add(g, rows.row(row).as_ref(), count(row)));
        Ok(())
    }

    fn add(&mut self, group: usize, value: &[u8], count: i64) {
        if count == 0 {
            return;
        }
        let values = &mut self.groups[group];
        match values.get_mut(value) {
            Some(n) => {
                *n = n.wrapping_add(count);
                if *n == 0 {
                    values.remove(value);
                    self.bytes -= value.len() + ENTRY_BYTES;
                }
            }
            None => {
                values.insert(value.into(), count);
                self.bytes += value.len() + ENTRY_BYTES;
            }
        }
    }

    /// Adds lists of values and of counts.
    pub(super) fn merge(&mut self, groups: &[u32], values: &ArrayRef, counts: &ArrayRef) -> Result<()> {
        let (values, counts) = (values.as_list::<i32>(), counts.as_list::<i32>());
        for (place, g) in groups.iter().enumerate() {
            let (values, counts) = (values.value(place), counts.value(place));
            let counts = counts.as_primitive::<Int64Type>();
            let rows = self.converter.convert_columns(&[values])?;
            for (row, count) in rows.iter().zip(counts.values()) {
                self.add(*g as usize, row.as_ref(), *count);
            }
        }
        Ok(())
    }

    fn places(&self, of: Option<&[u32]>) -> Vec<usize> {
        match of {
            None => (0..self.groups.len()).collect(),
            Some(groups) => groups.iter().map(|g| *g as usize).collect(),
        }
    }

    /// Lists of values and of counts.
    pub(super) fn state(&self, of: Option<&[u32]>) -> Result<Vec<ArrayRef>> {
        let (values, counts, offsets) = self.entries(of, |_| true)?;
        let item = |t: DataType| Arc::new(Field::new("item", t, true));
        let counts = Int64Array::from(counts);
        Ok(vec![
            Arc::new(ListArray::new(item(self.data_type.clone()), offsets.clone(), values, None)),
            Arc::new(ListArray::new(item(DataType::Int64), offsets, Arc::new(counts), None)),
        ])
    }

    /// The values of groups with their counts, one group behind another, of those counts that pass.
    pub(super) fn entries(
        &self,
        of: Option<&[u32]>,
        passes: impl Fn(i64) -> bool,
    ) -> Result<(ArrayRef, Vec<i64>, OffsetBuffer<i32>)> {
        let places = self.places(of);
        let (mut rows, mut counts, mut lengths) = (vec![], vec![], vec![]);
        let parser = self.converter.parser();
        for place in places {
            let before = counts.len();
            for (value, count) in self.groups[place].iter().filter(|(_, n)| passes(**n)) {
                rows.push(parser.parse(value));
                counts.push(*count);
            }
            lengths.push(counts.len() - before);
        }
        let mut columns = self.converter.convert_rows(rows)?;
        let values = columns.pop().unwrap_or_else(|| new_empty_array(&self.data_type));
        Ok((values, counts, OffsetBuffer::from_lengths(lengths)))
    }

    pub(super) fn reset(&mut self, groups: &[u32]) {
        for g in groups {
            let values = std::mem::take(&mut self.groups[*g as usize]);
            self.bytes -= values.keys().map(|v| v.len() + ENTRY_BYTES).sum::<usize>();
        }
    }

    pub(super) fn clear(&mut self) {
        self.groups.clear();
        self.bytes = 0;
    }

    pub(super) fn size_bytes(&self) -> usize {
        list_bytes(&self.groups) + self.bytes
    }
}

/// COLLECT: the values with their counts, as a MULTISET.
pub(super) struct Collect {
    values: Multiset,
    result: DataType,
}

impl Collect {
    pub(super) fn new(argument: &DataType, result: &DataType) -> Result<Collect> {
        Ok(Collect { values: Multiset::new(argument, "COLLECT")?, result: result.clone() })
    }
}

impl Accumulator for Collect {
    fn resize(&mut self, groups: usize) {
        self.values.resize(groups);
    }

    fn update(&mut self, groups: &[u32], input: &Input<'_>) -> Result<()> {
        let Some(argument) = input.argument else { return Ok(()) };
        self.values.update(groups, argument, input.include, |row| input.signs.map_or(1, |s| s[row]))
    }

    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()> {
        self.values.merge(groups, &state[0], &state[1])
    }

    fn state(&self, of: Option<&[u32]>) -> Result<Vec<ArrayRef>> {
        self.values.state(of)
    }

    fn finish(&self, of: Option<&[u32]>) -> Result<ArrayRef> {
        let DataType::Map(entries, sorted) = &self.result else {
            return Err(Error::internal(format!("COLLECT with a result of type {}", self.result)));
        };
        let DataType::Struct(fields) = entries.data_type() else {
            return Err(Error::internal("a MULTISET without entries"));
        };
        let (values, counts, offsets) = self.values.entries(of, |n| n > 0)?;
        let counts: Int32Array = counts.into_iter().map(|n| i32::try_from(n).unwrap_or(i32::MAX)).collect();
        let rows = StructArray::try_new(fields.clone(), vec![values, Arc::new(counts)], None)?;
        Ok(Arc::new(MapArray::try_new(Arc::clone(entries), offsets, rows, None, *sorted)?))
    }

    fn reset(&mut self, groups: &[u32]) {
        self.values.reset(groups);
    }

    fn clear(&mut self) {
        self.values.clear();
    }

    fn size_bytes(&self) -> usize {
        self.values.size_bytes()
    }
}
