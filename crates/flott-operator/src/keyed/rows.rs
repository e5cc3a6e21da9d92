//! The rows of an operator's state, by number, and the runs that barriers seal of them (RFC 0002).
//!
//! A row is stored once, with the first barrier after it came. Of a row that goes after that, the next barrier stores
//! the number (`$id`). Runs are merged so that there are few, and written anew where most of their rows have gone.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow_array::types::{Int64Type, UInt64Type};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, UInt16Array, UInt64Array, cast::AsArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use flott_core::{Error, Result};
use flott_state::{RestoredState, StateRun};

use super::arena::Arena;
use super::codec::{Encoded, RowCodec, length_of, parts};
use super::keys::KeyCodec;
use crate::held::{list_bytes, runs_bytes};
use crate::window::aggregate::check_stored;

/// In no run yet.
const NEW: u32 = u32::MAX;
/// No row.
const GONE: u32 = u32::MAX - 1;
/// Columns before those of the rows.
const OWN_COLUMNS: usize = 4;
/// So many numbers of rows that have gone are always kept.
const REMOVED_MIN: usize = 4_096;

/// What a run of rows tells besides them.
struct Run {
    run: Arc<StateRun>,
    slots: Vec<u32>,
    live: usize,
}

/// Rows and what is stored of them.
pub(crate) struct RowStore {
    /// Name of the state table.
    table: String,
    codec: RowCodec,
    arena: Arena,
    /// By slot: never given to another row of the same key group.
    ids: Vec<u64>,
    /// By slot: a number of the operator's.
    marks: Vec<u64>,
    /// By slot: when it came, in ms of processing time; empty where nobody asks.
    times: Vec<i64>,
    keeps_times: bool,
    /// By slot: the run that it is stored in.
    run_of: Vec<u32>,
    next_id: u64,
    fresh: Vec<u32>,
    runs: BTreeMap<u32, Run>,
    next_run: u32,
    /// Key groups and ids of stored rows that have gone since the last barrier.
    removed: Vec<(u16, u64)>,
    removed_runs: Vec<Arc<StateRun>>,
    /// Gone, but what is to be emitted may still show them.
    leaving: Vec<u32>,
}

/// A row that has come back.
pub(crate) struct Restored {
    pub(crate) slot: u32,
    pub(crate) id: u64,
    pub(crate) mark: u64,
    pub(crate) time: i64,
}

impl RowStore {
    /// For rows of the codec's schema. `keeps_times`: the time at which a row comes is kept and stored.
    pub(crate) fn new(table: &str, codec: RowCodec, keeps_times: bool) -> RowStore {
        RowStore {
            table: table.to_string(),
            codec,
            arena: Arena::default(),
            ids: vec![],
            marks: vec![],
            times: vec![],
            keeps_times,
            run_of: vec![],
            next_id: 0,
            fresh: vec![],
            runs: BTreeMap::new(),
            next_run: 0,
            removed: vec![],
            removed_runs: vec![],
            leaving: vec![],
        }
    }

    pub(crate) fn codec(&self) -> &RowCodec {
        &self.codec
    }

    pub(crate) fn len(&self) -> usize {
        self.arena.len() - self.leaving.len()
    }

    /// Estimated memory.
    pub(crate) fn size_bytes(&self) -> usize {
        let by_slot =
            list_bytes(&self.ids) + list_bytes(&self.marks) + list_bytes(&self.times) + list_bytes(&self.run_of);
        let slots: usize = self.runs.values().map(|r| r.slots.capacity() * 4).sum();
        let stored = slots + runs_bytes(self.runs.values().map(|r| &r.run)) + runs_bytes(&self.removed_runs);
        self.arena.size_bytes() + by_slot + stored + list_bytes(&self.fresh) + list_bytes(&self.removed)
    }

    /// The number that a row would have that came now: it grows from row to row.
    pub(crate) fn next_mark(&self) -> u64 {
        self.next_id
    }

    /// Keeps a row. Its slot.
    pub(crate) fn insert(&mut self, rows: &Encoded, row: usize, mark: u64, time: i64) -> Result<u32> {
        let (order, rest) = (rows.order(row), rows.rest(row));
        if !self.arena.has_room(order.len() + rest.len()) {
            return Err(Error::data(format!("the state table '{}' of one subtask has more than 32 GiB", self.table))
                .hint("Raise the parallelism, or set 'table.exec.state.ttl'"));
        }
        let slot = self.arena.insert([&length_of(order), order, rest]);
        let place = slot as usize;
        if self.ids.len() <= place {
            self.ids.resize(place + 1, 0);
            self.marks.resize(place + 1, 0);
            self.run_of.resize(place + 1, GONE);
            if self.keeps_times {
                self.times.resize(place + 1, 0);
            }
        }
        self.ids[place] = self.next_id;
        self.marks[place] = mark;
        self.run_of[place] = NEW;
        if self.keeps_times {
            self.times[place] = time;
        }
        self.next_id += 1;
        self.fresh.push(slot);
        Ok(slot)
    }

    /// The bytes that the row is ordered by.
    pub(crate) fn order(&self, slot: u32) -> &[u8] {
        parts(self.arena.get(slot)).0
    }

    /// The other bytes of the row.
    pub(crate) fn rest(&self, slot: u32) -> &[u8] {
        parts(self.arena.get(slot)).1
    }

    /// Brings these rows into the caches.
    pub(crate) fn warm(&self, slots: &[u32]) {
        let runs = slots.iter().filter_map(|s| self.run_of.get(*s as usize));
        std::hint::black_box(runs.fold(0, |sum: u32, run| sum.wrapping_add(*run)));
        self.arena.warm(slots);
    }

    /// The number of a row, which no other row of its key group has.
    pub(crate) fn id(&self, slot: u32) -> u64 {
        self.ids[slot as usize]
    }

    pub(crate) fn mark(&self, slot: u32) -> u64 {
        self.marks[slot as usize]
    }

    /// A row has come again: its time is another one, also in the next run.
    pub(crate) fn renew(&mut self, slot: u32, key_group: u16, time: i64) {
        let place = slot as usize;
        if let Some(known) = self.times.get_mut(place) {
            *known = time;
        }
        let run = std::mem::replace(&mut self.run_of[place], NEW);
        if run == NEW {
            return;
        }
        self.removed.push((key_group, self.ids[place]));
        if let Some(run) = self.runs.get_mut(&run) {
            run.live -= 1;
        }
        self.ids[place] = self.next_id;
        self.next_id += 1;
        self.fresh.push(slot);
    }

    /// A row goes. Its slot can still be read until [`release`](Self::release).
    pub(crate) fn remove(&mut self, slot: u32, key_group: u16) {
        let place = slot as usize;
        let run = std::mem::replace(&mut self.run_of[place], GONE);
        if run != NEW {
            self.removed.push((key_group, self.ids[place]));
            if let Some(run) = self.runs.get_mut(&run) {
                run.live -= 1;
            }
        }
        self.leaving.push(slot);
    }

    /// What has gone cannot be read any more.
    pub(crate) fn release(&mut self) {
        for slot in self.leaving.drain(..) {
            self.arena.remove(slot);
        }
        if self.arena.bound() == 0 && !self.ids.is_empty() {
            (self.ids, self.marks, self.times, self.run_of, self.fresh) = Default::default();
        }
    }

    /// The rows in these slots.
    pub(crate) fn gather(&self, slots: &[u32]) -> Result<RecordBatch> {
        self.codec.decode(slots.iter().map(|s| self.arena.get(*s)))
    }

    /// Key group, id, mark, time; then the columns of the rows.
    fn stored_schema(&self) -> SchemaRef {
        let mut fields = vec![
            StateRun::key_group_field(),
            Field::new("$id", DataType::UInt64, false),
            Field::new("$mark", DataType::UInt64, false),
            Field::new("$time", DataType::Int64, false),
        ];
        // What a row may hold is checked where it comes from, not here.
        fields.extend(self.codec.schema().fields().iter().map(|f| f.as_ref().clone().with_nullable(true)));
        Arc::new(Schema::new(fields))
    }

    fn removed_table(&self) -> String {
        format!("{}-removed", self.table)
    }

    /// Everything as runs. `keys`: of the rows' columns.
    pub(crate) fn snapshot(&mut self, keys: &KeyCodec) -> Result<Vec<Arc<StateRun>>> {
        self.release();
        let fresh = std::mem::take(&mut self.fresh);
        let number = self.next_run;
        self.next_run += 1;
        let mut slots = vec![];
        fresh.into_iter().for_each(|s| assign(&mut self.run_of, &mut slots, s, (NEW, number)));
        let gone: usize = self.removed_runs.iter().map(|r| r.made().map_or(0, RecordBatch::num_rows)).sum::<usize>()
            + self.removed.len();
        let all = gone > REMOVED_MIN.max(self.arena.len());
        let mut rewritten: Vec<u32> =
            self.runs.iter().filter(|(_, r)| all || r.live * 2 < r.slots.len()).map(|(n, _)| *n).collect();
        // From the newest on, those that are not much larger than what is written anyway.
        let mut merged = slots.len() + rewritten.iter().filter_map(|n| self.runs.get(n)).map(|r| r.live).sum::<usize>();
        for (n, run) in self.runs.iter().rev() {
            if merged == 0 || rewritten.contains(n) {
                continue;
            }
            if run.live > merged * 2 {
                break;
            }
            merged += run.live;
            rewritten.push(*n);
        }
        for n in rewritten {
            if let Some(run) = self.runs.remove(&n) {
                run.slots.into_iter().for_each(|s| assign(&mut self.run_of, &mut slots, s, (n, number)));
            }
        }
        if !slots.is_empty() {
            let rows = self.gather(&slots)?;
            let hashes = keys.encode(rows.columns(), rows.num_rows())?.hashes;
            let groups: UInt16Array = hashes.iter().map(|h| keys.group(*h)).collect();
            let of = |values: &[u64]| -> ArrayRef {
                Arc::new(slots.iter().map(|s| values[*s as usize]).collect::<UInt64Array>())
            };
            let time = |s: &u32| self.times.get(*s as usize).copied().unwrap_or_default();
            let mut columns: Vec<ArrayRef> = vec![
                Arc::new(groups),
                of(&self.ids),
                of(&self.marks),
                Arc::new(slots.iter().map(time).collect::<Int64Array>()),
            ];
            columns.extend(rows.columns().iter().cloned());
            let run = StateRun::seal(self.table.clone(), RecordBatch::try_new(self.stored_schema(), columns)?)?;
            let live = slots.len();
            self.runs.insert(number, Run { run, slots, live });
        }
        // Numbers of rows mean something only beside the runs that hold these rows.
        if all || self.runs.keys().all(|n| *n == number) {
            self.removed.clear();
            self.removed_runs.clear();
        }
        self.seal_removed()?;
        let mut runs: Vec<Arc<StateRun>> = self.runs.values().map(|r| Arc::clone(&r.run)).collect();
        runs.extend(self.removed_runs.iter().cloned());
        Ok(runs)
    }

    fn seal_removed(&mut self) -> Result<()> {
        if self.removed.is_empty() {
            return Ok(());
        }
        let mut removed = std::mem::take(&mut self.removed);
        while let Some(last) =
            self.removed_runs.pop_if(|r| r.made().map_or(0, RecordBatch::num_rows) <= removed.len() * 2)
        {
            let groups = last.key_groups()?.values().iter().copied();
            removed.extend(groups.zip(last.rows()?.column(1).as_primitive::<UInt64Type>().values().iter().copied()));
        }
        let schema = Schema::new(vec![StateRun::key_group_field(), Field::new("$id", DataType::UInt64, false)]);
        let groups: UInt16Array = removed.iter().map(|r| r.0).collect();
        let ids: UInt64Array = removed.iter().map(|r| r.1).collect();
        let rows = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(groups), Arc::new(ids)])?;
        self.removed_runs.push(StateRun::seal(self.removed_table(), rows)?);
        Ok(())
    }

    /// The rows of a checkpoint, which `name` wrote. In no order.
    pub(crate) fn restore(&mut self, state: &RestoredState, name: &str) -> Result<Vec<Restored>> {
        let (table, removed_table) = (self.table.clone(), self.removed_table());
        let mut removed = HashSet::new();
        for run in state.table(&removed_table) {
            let ids = run.rows()?.column(1).as_primitive::<UInt64Type>().values();
            self.next_id = self.next_id.max(ids.iter().max().map_or(0, |id| id + 1));
            removed.extend(run.key_groups()?.values().iter().copied().zip(ids.iter().copied()));
            self.removed_runs.push(Arc::clone(run));
        }
        let mut restored = vec![];
        for run in state.table(&table) {
            check_stored(&self.stored_schema(), run.rows()?, name)?;
            let columns: Vec<ArrayRef> = run.rows()?.columns()[OWN_COLUMNS..].to_vec();
            let encoded = self.codec.encode(&columns)?;
            let ids = run.rows()?.column(1).as_primitive::<UInt64Type>().values();
            let marks = run.rows()?.column(2).as_primitive::<UInt64Type>().values();
            let times = run.rows()?.column(3).as_primitive::<Int64Type>().values();
            let number = self.next_run;
            self.next_run += 1;
            let mut slots = vec![];
            for (row, group) in run.key_groups()?.values().iter().enumerate() {
                self.next_id = self.next_id.max(ids[row] + 1);
                if removed.contains(&(*group, ids[row])) {
                    continue;
                }
                let next = self.next_id;
                let slot = self.insert(&encoded, row, marks[row], times[row])?;
                self.next_id = next;
                self.ids[slot as usize] = ids[row];
                self.run_of[slot as usize] = number;
                slots.push(slot);
                restored.push(Restored { slot, id: ids[row], mark: marks[row], time: times[row] });
            }
            self.fresh.clear();
            let live = slots.len();
            // Rows that have gone are counted as such, so that the run is written anew where they are most.
            slots.resize(run.rows()?.num_rows(), u32::MAX);
            self.runs.insert(number, Run { run: Arc::clone(run), slots, live });
        }
        Ok(restored)
    }
}

/// Moves a row from one run to another, where it is still there.
fn assign(run_of: &mut [u32], slots: &mut Vec<u32>, slot: u32, (from, to): (u32, u32)) {
    if let Some(run) = run_of.get_mut(slot as usize).filter(|r| **r == from) {
        *run = to;
        slots.push(slot);
    }
}
