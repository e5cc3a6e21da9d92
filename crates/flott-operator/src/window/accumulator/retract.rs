//! MIN and MAX over rows that may be taken away: all values of each group in order, with how often each has come.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, ListArray, cast::AsArray, new_empty_array, new_null_array};
use arrow_buffer::OffsetBuffer;
use arrow_row::{RowConverter, SortField};
use arrow_schema::{DataType, Field};
use flott_core::{Error, Result};

use super::{Accumulator, Input, Step, each_row};
use crate::held::list_bytes;

/// What an entry of a group weighs besides its value.
const ENTRY_BYTES: usize = 48;

/// Values are kept in a form whose bytes are in their order.
pub(super) struct Extreme {
    converter: RowConverter,
    null: Box<[u8]>,
    groups: Vec<BTreeMap<Box<[u8]>, i64>>,
    max: bool,
    bytes: usize,
    data_type: DataType,
}

impl Extreme {
    pub(super) fn new(data_type: &DataType, max: bool) -> Result<Extreme> {
        let converter = RowConverter::new(vec![SortField::new(data_type.clone())]).map_err(|e| {
            Error::user(format!("MIN or MAX over a column of type {data_type} is not supported: {e}"))
                .hint("Cast the argument to a numeric, character or time type")
        })?;
        let null = converter.convert_columns(&[new_null_array(data_type, 1)])?;
        let null = null.row(0).as_ref().into();
        Ok(Extreme { converter, null, groups: vec![], max, bytes: 0, data_type: data_type.clone() })
    }

    fn add(&mut self, group: usize, value: &[u8], count: i64) {
        let values = &mut self.groups[group];
        match values.get_mut(value) {
            Some(n) => {
                *n += count;
                if *n == 0 {
                    values.remove(value);
                    self.bytes -= value.len() + ENTRY_BYTES;
                }
            }
            // A value that is taken away before it comes is owed.
            None => {
                values.insert(value.into(), count);
                self.bytes += value.len() + ENTRY_BYTES;
            }
        }
    }

    fn best(&self, group: usize) -> Option<&[u8]> {
        let mut values = self.groups[group].iter().filter(|(_, n)| **n > 0).map(|(v, _)| v.as_ref());
        if self.max { values.next_back() } else { values.next() }
    }

    fn decode<'a>(&self, values: impl Iterator<Item = &'a [u8]>) -> Result<ArrayRef> {
        let parser = self.converter.parser();
        let mut columns = self.converter.convert_rows(values.map(|v| parser.parse(v)))?;
        Ok(columns.pop().unwrap_or_else(|| new_empty_array(&self.data_type)))
    }
}

impl Accumulator for Extreme {
    fn resize(&mut self, groups: usize) {
        self.groups.resize_with(groups, BTreeMap::new);
    }

    fn update(&mut self, groups: &[u32], input: &Input<'_>) -> Result<()> {
        let Some(argument) = input.argument else { return Ok(()) };
        let rows = self.converter.convert_columns(std::slice::from_ref(argument))?;
        each_row(groups, input.include, |row, g| {
            self.add(g, rows.row(row).as_ref(), input.signs.map_or(1, |s| s[row]));
        });
        Ok(())
    }

    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()> {
        let (values, counts) = (state[0].as_list::<i32>(), state[1].as_list::<i32>());
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

    fn state(&self, of: Option<&[u32]>) -> Result<Vec<ArrayRef>> {
        let n = of.map_or(self.groups.len(), <[u32]>::len);
        let group = |i: usize| &self.groups[of.map_or(i, |g| g[i] as usize)];
        let offsets = OffsetBuffer::from_lengths((0..n).map(|i| group(i).len()));
        let values = self.decode((0..n).flat_map(|i| group(i).keys().map(|v| v.as_ref())))?;
        let counts: Int64Array = (0..n).flat_map(|i| group(i).values().copied()).collect::<Vec<_>>().into();
        let item = |t: DataType| Arc::new(Field::new("item", t, true));
        Ok(vec![
            Arc::new(ListArray::new(item(self.data_type.clone()), offsets.clone(), values, None)),
            Arc::new(ListArray::new(item(DataType::Int64), offsets, Arc::new(counts), None)),
        ])
    }

    fn finish(&self, of: Option<&[u32]>) -> Result<ArrayRef> {
        let n = of.map_or(self.groups.len(), <[u32]>::len);
        self.decode((0..n).map(|i| self.best(of.map_or(i, |g| g[i] as usize)).unwrap_or(&self.null)))
    }

    fn steps(&mut self, steps: &[Step], input: &Input<'_>) -> Result<Option<ArrayRef>> {
        let Some(argument) = input.argument else { return Ok(None) };
        let rows = self.converter.convert_columns(std::slice::from_ref(argument))?;
        let (mut shown, mut ends) = (vec![], vec![]);
        for step in steps {
            match *step {
                Step::Add { group, row } if input.counts(row) => {
                    self.add(group as usize, rows.row(row as usize).as_ref(), 1);
                }
                Step::Remove { group, row } if input.counts(row) => {
                    self.add(group as usize, rows.row(row as usize).as_ref(), -1);
                }
                Step::Add { .. } | Step::Remove { .. } => {}
                Step::Emit { group } => {
                    shown.extend_from_slice(self.best(group as usize).unwrap_or(&self.null));
                    ends.push(shown.len());
                }
                Step::Clear { group } => self.reset(&[group]),
                Step::Copy { from, to } => {
                    self.reset(&[to]);
                    let values = self.groups[from as usize].clone();
                    self.bytes += values.keys().map(|v| v.len() + ENTRY_BYTES).sum::<usize>();
                    self.groups[to as usize] = values;
                }
            }
        }
        let starts = std::iter::once(0).chain(ends.iter().copied());
        Ok(Some(self.decode(starts.zip(&ends).map(|(from, to)| &shown[from..*to]))?))
    }

    fn reset(&mut self, groups: &[u32]) {
        for g in groups {
            let values = std::mem::take(&mut self.groups[*g as usize]);
            self.bytes -= values.keys().map(|v| v.len() + ENTRY_BYTES).sum::<usize>();
        }
    }

    fn clear(&mut self) {
        self.groups.clear();
        self.bytes = 0;
    }

    fn size_bytes(&self) -> usize {
        list_bytes(&self.groups) + self.bytes
    }
}
