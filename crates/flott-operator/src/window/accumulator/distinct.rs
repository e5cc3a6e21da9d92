//! DISTINCT: each value of a group reaches the aggregate once.
//!
//! The values of all groups lie in one table keyed by (group, value), with how often each has come, so that rows can
//! be taken away again. State is a list of values and a list of counts for each group; where groups are stored to be
//! restored as they were, the aggregate's own state goes with it, since that may depend on the order in which values came
//! and went.

use std::sync::Arc;

use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int32Array, Int64Array, ListArray, UInt32Array, cast::AsArray};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field};
use arrow_select::take::take;
use flott_core::key_group::hash_rows;
use flott_core::{Error, Result};

use super::{Accumulator, Input, ValueChanges};
use crate::held::list_bytes;
use crate::window::group_table::GroupTable;

/// Entries of no count are forgotten where there are more of them than of others, and than this.
const IDLE_MIN: usize = 1_024;
/// The end of a list of entries.
const END: u32 = u32::MAX;
/// In no list.
const OUT: u32 = u32::MAX - 1;

/// An aggregate behind a filter that lets each value of a group pass once.
pub(super) struct Distinct {
    inner: Box<dyn Accumulator>,
    /// (group, value) to entry.
    table: GroupTable,
    /// Group of each entry.
    owners: Vec<u32>,
    /// How often each entry's value has come.
    counts: Vec<i64>,
    /// The first entry of each group's list, which has all that count and perhaps others.
    firsts: Vec<u32>,
    /// The entry behind each in the list of its group.
    nexts: Vec<u32>,
    /// Entries whose count is zero.
    idle: usize,
    groups: usize,
    value_type: DataType,
    /// When each entry's value came, where that matters.
    came: Option<Vec<u64>>,
    /// So many came.
    arrivals: u64,
}

impl Distinct {
    /// `in_order`: the aggregate asks for the order in which values came.
    pub(super) fn new(inner: Box<dyn Accumulator>, value_type: DataType, in_order: bool) -> Result<Distinct> {
        let table = GroupTable::new(&[DataType::Int32, value_type.clone()])?;
        let (owners, counts, firsts, nexts) = (vec![], vec![], vec![], vec![]);
        let came = in_order.then(Vec::new);
        Ok(Distinct { inner, table, owners, counts, firsts, nexts, idle: 0, groups: 0, value_type, came, arrivals: 0 })
    }

    /// Adds `count(row)` times the value of each row, and tells the aggregate. Returns what [`Distinct::count`] does.
    fn add(&mut self, groups: &[u32], values: &ArrayRef, count: impl Fn(usize) -> i64) -> Result<[Vec<u32>; 2]> {
        let changes = self.count(groups, values, count)?;
        for (rows, sign) in changes.iter().zip([None, Some(-1i64)]) {
            if rows.is_empty() {
                continue;
            }
            let of: Vec<u32> = rows.iter().map(|r| groups[*r as usize]).collect();
            let changed = take(values.as_ref(), &UInt32Array::from(rows.clone()), None)?;
            let signs = sign.map(|s| vec![s; of.len()]);
            let input = Input { argument: Some(&changed), include: None, signs: signs.as_deref() };
            self.inner.update(&of, &input)?;
        }
        Ok(changes)
    }

    /// Adds `count(row)` times the value of each row. Returns the rows whose value appears, and those whose value
    /// disappears.
    fn count(&mut self, groups: &[u32], values: &ArrayRef, count: impl Fn(usize) -> i64) -> Result<[Vec<u32>; 2]> {
        let owners: Int32Array = groups.iter().map(|g| *g as i32).collect::<Vec<_>>().into();
        let keys: [ArrayRef; 2] = [Arc::new(owners), Arc::clone(values)];
        let (mut hashes, mut entries) = (vec![], vec![]);
        hash_rows(&keys, groups.len(), &mut hashes)?;
        self.table.groups_of(&keys, &hashes, &mut entries)?;
        let mut changes: [Vec<u32>; 2] = [vec![], vec![]];
        for (row, entry) in entries.iter().enumerate() {
            let entry = *entry as usize;
            if entry == self.counts.len() {
                self.counts.push(0);
                self.owners.push(groups[row]);
                self.nexts.push(OUT);
                self.idle += 1;
                self.came.iter_mut().for_each(|came| came.push(0));
            }
            let before = self.counts[entry];
            let after = before + count(row);
            self.counts[entry] = after;
            // One that was forgotten in between would be new.
            if before == 0
                && let Some(came) = &mut self.came
            {
                self.arrivals += 1;
                came[entry] = self.arrivals;
            }
            if (before > 0) != (after > 0) {
                changes[usize::from(before > 0)].push(row as u32);
            }
            self.idle = self.idle + usize::from(after == 0) - usize::from(before == 0);
            if after != 0 {
                self.link(entry);
            }
        }
        self.forget_idle()?;
        Ok(changes)
    }

    fn link(&mut self, entry: usize) {
        if self.nexts[entry] == OUT {
            let first = &mut self.firsts[self.owners[entry] as usize];
            self.nexts[entry] = std::mem::replace(first, entry as u32);
        }
    }

    /// Forgets values that have all been taken away, where they are many. The others stay in their order.
    fn forget_idle(&mut self) -> Result<()> {
        let kept = self.counts.len() - self.idle;
        if self.idle <= kept.max(IDLE_MIN) {
            return Ok(());
        }
        let live: Vec<u32> = (0..self.counts.len() as u32).filter(|e| self.counts[*e as usize] != 0).collect();
        let keys = self.table.key_columns(Some(&live))?;
        let hashes: Vec<u64> = live.iter().map(|e| self.table.hashes()[*e as usize]).collect();
        let mut table = GroupTable::new(&[DataType::Int32, self.value_type.clone()])?;
        table.groups_of(&keys, &hashes, &mut vec![])?;
        self.table = table;
        self.owners = live.iter().map(|e| self.owners[*e as usize]).collect();
        self.counts = live.iter().map(|e| self.counts[*e as usize]).collect();
        self.came.iter_mut().for_each(|came| *came = live.iter().map(|e| came[*e as usize]).collect());
        self.nexts = vec![OUT; live.len()];
        self.firsts.fill(END);
        self.idle = 0;
        (0..live.len()).for_each(|entry| self.link(entry));
        Ok(())
    }

    /// Groups, values and counts of the entries of a state.
    fn read(groups: &[u32], state: &[ArrayRef]) -> (Vec<u32>, ArrayRef, ArrayRef) {
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
        (of, child(values), child(counts))
    }
}

impl Accumulator for Distinct {
    fn resize(&mut self, groups: usize) {
        self.groups = groups;
        self.firsts.resize(groups, END);
        self.inner.resize(groups);
    }

    fn update(&mut self, groups: &[u32], input: &Input<'_>) -> Result<()> {
        let Some(argument) = input.argument else {
            return Err(Error::internal("DISTINCT without an argument"));
        };
        match input.include.filter(|n| n.null_count() > 0) {
            None => self.add(groups, argument, |row| input.signs.map_or(1, |s| s[row]))?,
            Some(include) => {
                let rows: Vec<u32> = include.valid_indices().map(|r| r as u32).collect();
                let of: Vec<u32> = rows.iter().map(|r| groups[*r as usize]).collect();
                let rows = UInt32Array::from(rows);
                let values = take(argument.as_ref(), &rows, None)?;
                self.add(&of, &values, |i| input.signs.map_or(1, |s| s[rows.value(i) as usize]))?
            }
        };
        Ok(())
    }

    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()> {
        let (of, values, counts) = Distinct::read(groups, state);
        let counts = counts.as_primitive::<Int64Type>();
        self.add(&of, &values, |i| counts.value(i)).map(|_| ())
    }

    fn merge_values(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<Option<ValueChanges>> {
        let places: Vec<u32> = (0..groups.len() as u32).collect();
        let (places, values, counts) = Distinct::read(&places, state);
        let of: Vec<u32> = places.iter().map(|p| groups[*p as usize]).collect();
        let counts = counts.as_primitive::<Int64Type>();
        let [came, gone] = self.add(&of, &values, |i| counts.value(i))?;
        let signs = came.iter().map(|_| 1).chain(gone.iter().map(|_| -1)).collect();
        let changed: UInt32Array = came.into_iter().chain(gone).collect();
        let rows = changed.values().iter().map(|i| places[*i as usize]).collect();
        Ok(Some(ValueChanges { rows, values: take(values.as_ref(), &changed, None)?, signs }))
    }

    fn stored(&self, of: Option<&[u32]>) -> Result<Vec<ArrayRef>> {
        let mut columns = self.state(of)?;
        columns.extend(self.inner.stored(of)?);
        Ok(columns)
    }

    fn restore(&mut self, groups: &[u32], stored: &[ArrayRef]) -> Result<()> {
        let Some((own, inner)) = stored.split_at_checked(2) else {
            return Err(Error::internal("stored DISTINCT values without their counts"));
        };
        let (of, values, counts) = Distinct::read(groups, own);
        let counts = counts.as_primitive::<Int64Type>();
        self.count(&of, &values, |i| counts.value(i))?;
        self.inner.restore(groups, inner)
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
        let mut live: Vec<usize> = (0..self.counts.len()).filter(|e| self.counts[*e] != 0).collect();
        if let Some(came) = &self.came {
            live.sort_unstable_by_key(|e| came[*e]);
        }
        for place in live.iter().copied().filter_map(place_of) {
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
        for entry in live {
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

    /// Looks at the entries of these groups alone.
    fn reset(&mut self, groups: &[u32]) {
        for g in groups {
            let mut entry = std::mem::replace(&mut self.firsts[*g as usize], END);
            while entry != END {
                let at = entry as usize;
                self.idle += usize::from(std::mem::take(&mut self.counts[at]) != 0);
                entry = std::mem::replace(&mut self.nexts[at], OUT);
            }
        }
        self.inner.reset(groups);
    }

    fn clear(&mut self) {
        self.inner.clear();
        self.table.clear();
        self.owners.clear();
        self.counts.clear();
        self.firsts.clear();
        self.nexts.clear();
        self.came.iter_mut().for_each(Vec::clear);
        self.idle = 0;
        self.groups = 0;
    }

    fn size_bytes(&self) -> usize {
        self.inner.size_bytes() + self.table.size_bytes() + list_bytes(&self.owners) + list_bytes(&self.firsts)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Count;
    use super::*;

    fn add(distinct: &mut Distinct, group: u32, values: std::ops::Range<i32>, sign: i64) {
        let values: ArrayRef = Arc::new(Int32Array::from(values.collect::<Vec<_>>()));
        let signs = vec![sign; values.len()];
        let input = Input { argument: Some(&values), include: None, signs: Some(&signs) };
        distinct.update(&vec![group; values.len()], &input).expect("added");
    }

    fn counts(distinct: &Distinct) -> Vec<i64> {
        distinct.finish(None).expect("counts").as_primitive::<Int64Type>().values().to_vec()
    }

    /// Were all entries looked at, this would take most of a minute.
    #[test]
    fn a_reset_looks_at_the_group_alone() {
        let mut distinct = Distinct::new(Box::new(Count::default()), DataType::Int32, false).expect("built");
        distinct.resize(2);
        add(&mut distinct, 0, 0..100_000, 1);
        for _ in 0..50_000 {
            add(&mut distinct, 1, 7..8, 1);
            distinct.reset(&[1]);
        }
        assert_eq!(counts(&distinct), [100_000, 0]);
        add(&mut distinct, 1, 7..9, 1);
        assert_eq!(counts(&distinct), [100_000, 2]);
        distinct.reset(&[0]);
        assert_eq!(counts(&distinct), [0, 2]);
        add(&mut distinct, 0, 5..8, 1);
        assert_eq!(counts(&distinct), [3, 2]);
    }

    #[test]
    fn what_is_left_keeps_its_order_and_its_group_when_values_are_forgotten() {
        let mut distinct = Distinct::new(Box::new(Count::default()), DataType::Int32, false).expect("built");
        distinct.resize(2);
        add(&mut distinct, 1, 3..5, 1);
        add(&mut distinct, 0, 0..5_000, 1);
        // Taken away before it comes: owed, not gone.
        add(&mut distinct, 1, 9..10, -1);
        let full = distinct.size_bytes();
        add(&mut distinct, 0, 1..5_000, -1);
        assert!(distinct.size_bytes() * 8 < full, "{} of {full}", distinct.size_bytes());
        assert_eq!(counts(&distinct), [1, 2]);
        let state = distinct.state(Some(&[1])).expect("a state");
        assert_eq!(state[0].as_list::<i32>().value(0).as_ref(), &Int32Array::from(vec![3, 4, 9]) as &dyn Array);
        assert_eq!(state[1].as_list::<i32>().value(0).as_ref(), &Int64Array::from(vec![1, 1, -1]) as &dyn Array);
        add(&mut distinct, 1, 9..10, 1);
        distinct.reset(&[1]);
        assert_eq!(counts(&distinct), [1, 0]);
        add(&mut distinct, 1, 3..4, 1);
        assert_eq!(counts(&distinct), [1, 1]);
    }
}
