//! DISTINCT: each value of a group reaches the aggregate once.
//!
//! The values of all groups lie in one table keyed by (group, value), with how often each has come, so that rows can
//! be taken away again. State is a list of values and a list of counts for each group.

use std::sync::Arc;

use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int32Array, Int64Array, ListArray, UInt32Array, cast::AsArray};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field};
use arrow_select::take::take;
use flott_core::key_group::hash_rows;
use flott_core::{Error, Result};

use super::{Accumulator, Input};
use crate::window::group_table::GroupTable;

/// An aggregate behind a filter that lets each value of a group pass once.
pub(super) struct Distinct {
    inner: Box<dyn Accumulator>,
    /// (group, value) to entry.
    table: GroupTable,
    /// Group of each entry.
    owners: Vec<u32>,
    /// How often each entry's value has come.
    counts: Vec<i64>,
    groups: usize,
    value_type: DataType,
}

impl Distinct {
    pub(super) fn new(inner: Box<dyn Accumulator>, value_type: DataType) -> Result<Distinct> {
        let table = GroupTable::new(&[DataType::Int32, value_type.clone()])?;
        Ok(Distinct { inner, table, owners: vec![], counts: vec![], groups: 0, value_type })
    }

    /// Adds `count(row)` times the value of each row.
    fn add(&mut self, groups: &[u32], values: &ArrayRef, count: impl Fn(usize) -> i64) -> Result<()> {
        let owners: Int32Array = groups.iter().map(|g| *g as i32).collect::<Vec<_>>().into();
        let keys: [ArrayRef; 2] = [Arc::new(owners), Arc::clone(values)];
        let (mut hashes, mut entries) = (vec![], vec![]);
        hash_rows(&keys, groups.len(), &mut hashes)?;
        self.table.groups_of(&keys, &hashes, &mut entries)?;
        // Rows whose value appears, and rows whose value disappears.
        let mut changes: [Vec<u32>; 2] = [vec![], vec![]];
        for (row, entry) in entries.iter().enumerate() {
            let entry = *entry as usize;
            if entry == self.counts.len() {
                self.counts.push(0);
                self.owners.push(groups[row]);
            }
            let before = self.counts[entry] > 0;
            self.counts[entry] += count(row);
            let after = self.counts[entry] > 0;
            if before != after {
                changes[usize::from(before)].push(row as u32);
            }
        }
        for (rows, sign) in changes.into_iter().zip([None, Some(-1i64)]) {
            if rows.is_empty() {
                continue;
            }
            let of: Vec<u32> = rows.iter().map(|r| groups[*r as usize]).collect();
            let changed = take(values.as_ref(), &UInt32Array::from(rows), None)?;
            let signs = sign.map(|s| vec![s; of.len()]);
            let input = Input { argument: Some(&changed), include: None, signs: signs.as_deref() };
            self.inner.update(&of, &input)?;
        }
        Ok(())
    }
}

impl Accumulator for Distinct {
    fn resize(&mut self, groups: usize) {
        self.groups = groups;
        self.inner.resize(groups);
    }

    fn update(&mut self, groups: &[u32], input: &Input<'_>) -> Result<()> {
        let Some(argument) = input.argument else {
            return Err(Error::internal("DISTINCT without an argument"));
        };
        match input.include.filter(|n| n.null_count() > 0) {
            None => self.add(groups, argument, |row| input.signs.map_or(1, |s| s[row])),
            Some(include) => {
                let rows: Vec<u32> = include.valid_indices().map(|r| r as u32).collect();
                let of: Vec<u32> = rows.iter().map(|r| groups[*r as usize]).collect();
                let rows = UInt32Array::from(rows);
                let values = take(argument.as_ref(), &rows, None)?;
                self.add(&of, &values, |i| input.signs.map_or(1, |s| s[rows.value(i) as usize]))
            }
        }
    }

    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()> {
        let (values, counts) = (state[0].as_list::<i32>(), state[1].as_list::<i32>());
        let mut of = Vec::with_capacity(values.values().len());
        for (g, pair) in groups.iter().zip(values.value_offsets().windows(2)) {
            of.extend(std::iter::repeat_n(*g, (pair[1] - pair[0]) as usize));
        }
        let child = |list: &ListArray| {
            let offsets = list.value_offsets();
            let first = offsets.first().map_or(0, |o| *o as usize);
            list.values().slice(first, offsets.last().map_or(0, |o| *o as usize) - first)
        };
        let counts = child(counts);
        let counts = counts.as_primitive::<Int64Type>();
        self.add(&of, &child(values), |i| counts.value(i))
    }

    fn state(&self, of: Option<&[u32]>) -> Result<Vec<ArrayRef>> {
        // Entries in order of their group's place in the output: a counting sort.
        let places: Option<Vec<u32>> = of.map(|of| {
            let mut places = vec![u32::MAX; self.groups];
            for (place, g) in of.iter().enumerate() {
                places[*g as usize] = place as u32;
            }
            places
        });
        let place_of = |entry: usize| match &places {
            None => Some(self.owners[entry] as usize),
            Some(p) => Some(p[self.owners[entry] as usize]).filter(|p| *p != u32::MAX).map(|p| p as usize),
        };
        let n = of.map_or(self.groups, <[u32]>::len);
        let mut offsets = vec![0i32; n + 1];
        let live = || (0..self.counts.len()).filter(|e| self.counts[*e] != 0);
        for place in live().filter_map(place_of) {
            offsets[place + 1] += 1;
        }
        let mut total = 0i32;
        for o in offsets.iter_mut() {
            total = total.checked_add(*o).ok_or_else(|| {
                Error::data("more than two billion distinct values in one window of one subtask")
                    .hint("Raise the parallelism")
            })?;
            *o = total;
        }
        let mut next = offsets.clone();
        let mut order = vec![0u32; total as usize];
        for entry in live() {
            if let Some(place) = place_of(entry) {
                order[next[place] as usize] = entry as u32;
                next[place] += 1;
            }
        }
        let counts: ScalarBuffer<i64> = order.iter().map(|e| self.counts[*e as usize]).collect();
        let values = self.table.key_columns(Some(&order))?.pop();
        let values = values.ok_or_else(|| Error::internal("a table of distinct values without values"))?;
        let offsets = OffsetBuffer::new(offsets.into());
        let item = |t: DataType| Arc::new(Field::new("item", t, true));
        Ok(vec![
            Arc::new(ListArray::new(item(self.value_type.clone()), offsets.clone(), values, None)),
            Arc::new(ListArray::new(item(DataType::Int64), offsets, Arc::new(Int64Array::new(counts, None)), None)),
        ])
    }

    fn finish(&self, of: Option<&[u32]>) -> Result<ArrayRef> {
        self.inner.finish(of)
    }

    /// Looks at all entries: groups that end because their rows were taken away have none that count.
    fn reset(&mut self, groups: &[u32]) {
        let mut is_reset = vec![false; self.groups];
        groups.iter().for_each(|g| is_reset[*g as usize] = true);
        for (count, owner) in self.counts.iter_mut().zip(&self.owners) {
            if is_reset[*owner as usize] {
                *count = 0;
            }
        }
        self.inner.reset(groups);
    }

    fn clear(&mut self) {
        self.inner.clear();
        self.table.clear();
        self.owners.clear();
        self.counts.clear();
        self.groups = 0;
    }

    fn size_bytes(&self) -> usize {
        self.inner.size_bytes() + self.table.size_bytes() + self.owners.capacity() * 12
    }
}
