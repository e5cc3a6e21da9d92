//! Groups with their accumulators: what a slice, a window or a flush is built in.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, UInt16Array};
use flott_core::key_group::{hash_rows, key_group};
use flott_core::{Error, Result};

use super::accumulator::{Accumulator, Input};
use super::assigner::SliceId;
use super::group_table::GroupTable;
use super::layout::{Layout, Prepared};
use super::room::Room;

/// Group keys and one accumulator per aggregate.
pub(crate) struct Aggregation {
    pub(crate) table: GroupTable,
    pub(crate) accumulators: Vec<Box<dyn Accumulator>>,
    /// State columns of each accumulator.
    widths: Vec<usize>,
    groups: Vec<u32>,
    hashes: Vec<u64>,
    /// Groups for which there is room; more of them get room for many more.
    room: usize,
    /// What a group takes in the columns that have room for so many.
    room_bytes: usize,
    /// The most groups that there were before the memory was kept for others.
    most: usize,
    /// With more groups than this something is done about memory.
    unprepared: usize,
    /// The column whose memory is next.
    turn: usize,
}

/// From so many groups on, columns get room for [`ROOM_FACTOR`] times as many at once: else all of them would be copied
/// in one batch whenever their size doubles, into memory that the kernel has to clear first. They are small when that
/// happens, and have room then for what a gigabyte of state has on a core. Memory that is not used yet costs nothing.
const ROOM_MIN: usize = 1 << 16;
const ROOM_FACTOR: usize = 256;
/// With so many new groups, at most, the next column has its turn: each has one before it has filled a page.
const GROUPS_PER_TURN: usize = 4_096;
/// Of a column of eight bytes: the page that is written ahead.
const GROUPS_AHEAD: usize = (2 << 20) / 8;

impl Aggregation {
    pub(crate) fn new(layout: &Layout) -> Result<Aggregation> {
        let table = GroupTable::new(&layout.key_types)?;
        let accumulators = layout.accumulators()?;
        let widths = accumulators.iter().map(|a| Ok(a.state(None)?.len())).collect::<Result<_>>()?;
        Ok(Aggregation {
            table,
            accumulators,
            widths,
            groups: vec![],
            hashes: vec![],
            room: ROOM_MIN,
            room_bytes: 0,
            most: 0,
            unprepared: ROOM_MIN,
            turn: 0,
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Without the room that no group has taken yet: the kernel gives memory where it is written.
    pub(crate) fn size_bytes(&self) -> usize {
        let bytes = self.table.size_bytes() + self.accumulators.iter().map(|a| a.size_bytes()).sum::<usize>();
        let taken = self.most.max(self.len()).saturating_add(GROUPS_AHEAD);
        bytes.saturating_sub(self.room.saturating_sub(taken).saturating_mul(self.room_bytes))
    }

    #[cold]
    fn make_room(&mut self) {
        let groups = self.table.len();
        let mut room = Room::Touch { turn: self.turn, seen: 0 };
        if groups > self.room {
            self.room = groups.saturating_mul(ROOM_FACTOR);
            room = Room::Reserve { groups: self.room, group_bytes: 0 };
        }
        self.table.make_room(&mut room);
        self.accumulators.iter_mut().for_each(|a| a.make_room(&mut room));
        match room {
            Room::Reserve { group_bytes, .. } => self.room_bytes = group_bytes,
            Room::Touch { turn, seen } => self.turn = if turn + 1 < seen { turn + 1 } else { 0 },
        }
        self.unprepared = self.room.min(groups + GROUPS_PER_TURN);
    }

    /// Forgets everything, keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.most = self.most.max(self.len());
        self.table.clear();
        self.accumulators.iter_mut().for_each(|a| a.clear());
    }

    /// Adds the rows of a range.
    pub(crate) fn update(&mut self, rows: &Prepared, range: Range<usize>) -> Result<()> {
        let whole = range.len() == rows.hashes.len();
        let slice = |a: &ArrayRef| if whole { Arc::clone(a) } else { a.slice(range.start, range.len()) };
        let keys: Vec<ArrayRef> = rows.keys.iter().map(slice).collect();
        self.table.groups_of(&keys, &rows.hashes[range.clone()], &mut self.groups)?;
        if self.table.len() > self.unprepared {
            self.make_room();
        }
        update_accumulators(&mut self.accumulators, self.table.len(), &self.groups, rows, range)
    }

    /// Adds rows of states. Returns the group of each.
    pub(crate) fn merge(&mut self, keys: &[ArrayRef], states: &[ArrayRef], rows: usize) -> Result<&[u32]> {
        hash_rows(keys, rows, &mut self.hashes)?;
        self.table.groups_of(keys, &self.hashes, &mut self.groups)?;
        if self.table.len() > self.unprepared {
            self.make_room();
        }
        let mut states = states;
        for (accumulator, width) in self.accumulators.iter_mut().zip(&self.widths) {
            accumulator.resize(self.table.len());
            let (own, rest) = states.split_at((*width).min(states.len()));
            accumulator.merge(&self.groups, own)?;
            states = rest;
        }
        Ok(&self.groups)
    }

    /// The groups of the rows that were added last.
    pub(crate) fn last_groups(&self) -> &[u32] {
        &self.groups
    }

    /// Adds rows of stored state.
    pub(crate) fn merge_state(&mut self, layout: &Layout, rows: &RecordBatch) -> Result<()> {
        let columns = rows.columns();
        self.merge(&columns[layout.state_keys()], &columns[layout.state_accumulators()], rows.num_rows())?;
        Ok(())
    }

    /// Makes groups again of rows of stored state; where windows are kept whole, as they were.
    pub(crate) fn restore(&mut self, layout: &Layout, rows: &RecordBatch) -> Result<()> {
        if !layout.is_whole {
            return self.merge_state(layout, rows);
        }
        let columns = rows.columns();
        let keys = &columns[layout.state_keys()];
        hash_rows(keys, rows.num_rows(), &mut self.hashes)?;
        self.table.groups_of(keys, &self.hashes, &mut self.groups)?;
        let stored = &columns[layout.state_accumulators()];
        restore_accumulators(&mut self.accumulators, self.table.len(), &self.groups, stored)
    }

    /// The accumulators' states of all groups, or of these.
    pub(crate) fn states(&self, of: Option<&[u32]>) -> Result<Vec<ArrayRef>> {
        let mut columns = vec![];
        for accumulator in &self.accumulators {
            columns.extend(accumulator.state(of)?);
        }
        Ok(columns)
    }

    /// As rows of state.
    pub(crate) fn to_state(&self, layout: &Layout, slice: SliceId, max_parallelism: u16) -> Result<RecordBatch> {
        let n = self.len();
        let key_groups: UInt16Array = self.table.hashes().iter().map(|h| key_group(*h, max_parallelism)).collect();
        let mut columns: Vec<ArrayRef> = vec![Arc::new(key_groups)];
        columns.extend(slice_columns(layout, slice, n));
        columns.extend(self.table.key_columns(None)?);
        match layout.is_whole {
            true => columns.extend(stored_accumulators(&self.accumulators, None)?),
            false => columns.extend(self.states(None)?),
        }
        let options = RecordBatchOptions::new().with_row_count(Some(n));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&layout.state), columns, &options)?)
    }

    /// As partial rows.
    pub(crate) fn to_partial(&self, layout: &Layout, slice: SliceId) -> Result<RecordBatch> {
        let mut columns = self.table.key_columns(None)?;
        columns.extend(slice_columns(layout, slice, self.len()));
        columns.extend(self.states(None)?);
        Ok(RecordBatch::try_new(Arc::clone(&layout.partial), columns)?)
    }
}

/// What makes all groups, or these, again as they are.
pub(crate) fn stored_accumulators(accumulators: &[Box<dyn Accumulator>], of: Option<&[u32]>) -> Result<Vec<ArrayRef>> {
    Ok(accumulators.iter().map(|a| a.stored(of)).collect::<Result<Vec<_>>>()?.concat())
}

/// Makes groups that are new of what was stored of them.
pub(crate) fn restore_accumulators(
    accumulators: &mut [Box<dyn Accumulator>],
    len: usize,
    groups: &[u32],
    mut stored: &[ArrayRef],
) -> Result<()> {
    for accumulator in accumulators {
        let width = accumulator.stored(Some(&[]))?.len();
        let Some((own, rest)) = stored.split_at_checked(width) else {
            return Err(Error::internal("stored windows without the state of an aggregate"));
        };
        accumulator.resize(len);
        accumulator.restore(groups, own)?;
        stored = rest;
    }
    Ok(())
}

/// Adds the rows of a range to accumulators, given their groups.
pub(crate) fn update_accumulators(
    accumulators: &mut [Box<dyn Accumulator>],
    len: usize,
    groups: &[u32],
    rows: &Prepared,
    range: Range<usize>,
) -> Result<()> {
    let whole = range.len() == rows.hashes.len();
    for (accumulator, (argument, include)) in accumulators.iter_mut().zip(&rows.inputs) {
        accumulator.resize(len);
        let argument = argument.as_ref().map(|a| if whole { Arc::clone(a) } else { a.slice(range.start, range.len()) });
        let include = include.as_ref().map(|n| if whole { n.clone() } else { n.slice(range.start, range.len()) });
        let input = Input {
            argument: argument.as_ref(),
            include: include.as_ref(),
            signs: rows.signs.as_ref().map(|s| &s[range.clone()]),
        };
        accumulator.update(groups, &input)?;
    }
    Ok(())
}

fn slice_columns(layout: &Layout, slice: SliceId, n: usize) -> Vec<ArrayRef> {
    let mut columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from_value(slice.end, n))];
    if layout.has_start {
        columns.push(Arc::new(Int64Array::from_value(slice.start, n)));
    }
    columns
}

#[cfg(test)]
mod tests {
    use arrow_schema::DataType;

    use super::*;

    #[test]
    fn room_that_no_group_has_taken_is_not_counted() {
        let mut aggregation = Aggregation {
            table: GroupTable::new(&[DataType::Int64]).expect("a table"),
            accumulators: vec![],
            widths: vec![],
            groups: vec![],
            hashes: vec![],
            room: ROOM_MIN,
            room_bytes: 0,
            most: 0,
            unprepared: ROOM_MIN,
            turn: 0,
        };
        let add = |aggregation: &mut Aggregation, keys: Range<i64>| {
            let keys: ArrayRef = Arc::new(Int64Array::from_iter_values(keys));
            let n = keys.len();
            aggregation.merge(&[keys], &[], n).expect("merged");
            aggregation.size_bytes()
        };
        let few = add(&mut aggregation, 0..60_000);
        let many = add(&mut aggregation, 60_000..200_000);
        assert_eq!((aggregation.room, aggregation.room_bytes), (200_000 * ROOM_FACTOR, 16));
        // Key and hash of each and of those that are written ahead, and the index of eight bytes a slot.
        assert!(many > few && many <= (200_000 + GROUPS_AHEAD) * 16 + 200_000 * 64, "{few} {many}");
        aggregation.clear();
        let cleared = aggregation.size_bytes();
        assert!((200_000 * 16..=many).contains(&cleared), "{cleared} {many}");
    }
}
