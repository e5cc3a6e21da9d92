//! OVER with an order that is none of time, from the first row of a partition on: Flink's
//! NonTimeRowsUnboundedPrecedingFunction and NonTimeRangeUnboundedPrecedingFunction.
//!
//! The functions have a group for each place in the order, in the state that they have there: what stands behind a change
//! is gone through from there on, until nothing changes any more.

use arrow_array::{Array, ArrayRef};
use arrow_schema::SchemaRef;
use arrow_select::interleave::interleave;
use flott_core::{ChangeBatch, Error, Result, RowKind, RowKinds};
use flott_graph::{OverAggregateSpec, OverBound};
use flott_state::{OperatorSnapshot, RestoredState};

use super::running::Runnings;
use crate::calc::assemble;
use crate::held::list_bytes;
use crate::keyed::{
    BatchKeys, ENTRY_BYTES, Encoded, KeyCodec, KeyTable, RowCodec, RowStore, SortedSlots, TimeToLive, meaning,
};
use crate::operator::{Operator, OperatorContext, Progress};
use crate::rank::types_of;
use crate::window::accumulator::Step;
use crate::window::aggregate::Ownership;

/// Version of the stored form: since 2 it says what it stands for.
const STATE_VERSION: u32 = 2;
/// The state table.
const ROW_TABLE: &str = "rows";
/// With so many changes a call gives way; a batch has no more of them.
const CHANGES_MAX: usize = 8_192;
/// So many places behind a change are looked at first, and at most.
const PLACES_MIN: usize = 16;
const PLACES_MAX: usize = 1_024;
/// No group.
const NONE: u32 = u32::MAX;

#[derive(Default)]
struct Partition {
    slots: SortedSlots,
    written_ms: i64,
}

struct Work {
    batch: ChangeBatch,
    keys: BatchKeys,
    encoded: Encoded,
    next: usize,
}

/// Changes on their way out: rows, kinds, and where in which piece their results stand.
#[derive(Default)]
struct Emitted {
    slots: Vec<u32>,
    kinds: Vec<RowKind>,
    places: Vec<(usize, usize)>,
    pieces: Vec<Vec<ArrayRef>>,
}

/// Places from one on that are still to be looked at, given the group before them.
struct Going {
    number: u32,
    from: usize,
    before: u32,
    /// So many at once.
    count: usize,
}

impl Emitted {
    fn len(&self) -> usize {
        self.slots.len()
    }

    /// Without the first changes, which have left, and the results that nobody else names.
    fn drop_first(&mut self, count: usize) {
        self.slots.drain(..count);
        self.kinds.drain(..count);
        self.places.drain(..count);
        let named = self.places.first().map_or(self.pieces.len(), |place| place.0);
        self.pieces.drain(..named);
        self.places.iter_mut().for_each(|place| place.0 -= named);
    }

    /// Results that the changes from now on name by their places.
    fn piece(&mut self, results: Vec<ArrayRef>) {
        self.pieces.push(results);
    }

    fn push(&mut self, kind: RowKind, slot: u32, place: usize) {
        self.slots.push(slot);
        self.kinds.push(kind);
        self.places.push((self.pieces.len().saturating_sub(1), place));
    }

    fn update(&mut self, update_before: bool, slot: u32, before: usize, after: usize) {
        if update_before {
            self.push(RowKind::UpdateBefore, slot, before);
        }
        self.push(RowKind::UpdateAfter, slot, after);
    }
}

/// Groups of the functions by number; those that have gone are given out again.
#[derive(Default)]
struct Groups {
    bound: u32,
    free: Vec<u32>,
    /// By slot of a row.
    of: Vec<u32>,
}

impl Groups {
    fn take(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.bound += 1;
            self.bound - 1
        })
    }

    fn set(&mut self, slot: u32, group: u32) {
        if self.of.len() <= slot as usize {
            self.of.resize(slot as usize + 1, NONE);
        }
        self.of[slot as usize] = group;
    }

    fn get(&self, slot: u32) -> u32 {
        self.of.get(slot as usize).copied().unwrap_or(NONE)
    }
}

/// A group begins as another is, or with nothing.
fn begin(from: u32, group: u32) -> Step {
    if from == NONE { Step::Clear { group } } else { Step::Copy { from, to: group } }
}

/// Functions over the rows up to each row.
pub struct NonTimeOver {
    name: String,
    spec: OverAggregateSpec,
    schema: SchemaRef,
    /// ROWS: each row is a place of its own. Else all that are equal in the order have one.
    of_rows: bool,
    functions: Runnings,
    groups: Groups,
    keys: KeyCodec,
    table: KeyTable,
    partitions: Vec<Partition>,
    rows: RowStore,
    ttl: TimeToLive,
    emitted: Emitted,
    going: Option<Going>,
    work: Option<Work>,
}

impl NonTimeOver {
    /// `schema`: of the output.
    pub fn new(name: &str, spec: &OverAggregateSpec, schema: SchemaRef, ownership: Ownership) -> Result<NonTimeOver> {
        let build = || -> Result<NonTimeOver> {
            let [group] = spec.groups.as_slice() else {
                return Err(Error::user("All aggregates must be computed on the same window."));
            };
            if group.frame.lower != OverBound::UnboundedPreceding || group.frame.upper != OverBound::CurrentRow {
                return Err(Error::user("Non-time attribute sort is not supported for bounded OVER window.")
                    .hint("Let the frame begin at UNBOUNDED PRECEDING and end at CURRENT ROW"));
            }
            let types = types_of(&spec.input_schema, &spec.partition_keys)?;
            let ttl = TimeToLive::new(spec.state_ttl);
            let codec = RowCodec::new(&spec.input_schema, &spec.order)?;
            Ok(NonTimeOver {
                name: name.to_string(),
                schema,
                of_rows: group.frame.rows,
                functions: Runnings::new(&group.calls, &spec.input_schema, false)?,
                groups: Groups::default(),
                keys: KeyCodec::new(&spec.partition_keys, &types, ownership.max_parallelism)?,
                table: KeyTable::default(),
                partitions: vec![],
                rows: RowStore::new(ROW_TABLE, codec, ttl.is_on()),
                ttl,
                emitted: Emitted::default(),
                going: None,
                work: None,
                spec: spec.clone(),
            })
        };
        build().map_err(|e| e.with("operator", name))
    }

    fn run(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        // One row may change the results of all behind it: they are gone through in pieces, and leave in pieces.
        while self.emitted.len() < CHANGES_MAX {
            if let Some(going) = self.going.take() {
                self.go_on(going)?;
                continue;
            }
            let Some(mut work) = self.work.take() else { break };
            if work.next < work.batch.num_rows() {
                self.row(&work, work.next, context.processing_time_ms)?;
                work.next += 1;
                self.work = Some(work);
            }
        }
        self.emit(context)?;
        if self.emitted.len() > 0 || self.going.is_some() || self.work.is_some() {
            return Ok(Progress::More);
        }
        self.rows.release();
        if self.ttl.sweeps(context) {
            self.sweep(context.processing_time_ms);
        }
        context.metrics.state_rows = self.rows.len() as u64;
        let lists = list_bytes(&self.partitions) + self.rows.len() * ENTRY_BYTES;
        let functions = self.functions.size_bytes() + (self.groups.of.capacity() + self.groups.free.capacity()) * 4;
        context.metrics.state_bytes = (self.rows.size_bytes() + self.table.size_bytes() + lists + functions) as u64;
        Ok(Progress::Done)
    }

    /// The next changes.
    fn emit(&mut self, context: &mut OperatorContext) -> Result<()> {
        let Emitted { slots, kinds, places, pieces } = &self.emitted;
        let count = slots.len().min(CHANGES_MAX);
        if count == 0 {
            return Ok(());
        }
        let rows = self.rows.gather(&slots[..count])?;
        let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
        for column in 0..pieces.first().map_or(0, Vec::len) {
            let arrays: Vec<&dyn Array> = pieces.iter().map(|p| p[column].as_ref()).collect();
            columns.push(interleave(&arrays, &places[..count])?);
        }
        let rows = assemble(&self.schema, columns, count)?;
        context.emit(ChangeBatch::new(rows, kinds[..count].iter().copied().collect::<RowKinds>())?);
        self.emitted.drop_first(count);
        Ok(())
    }

    fn row(&mut self, work: &Work, row: usize, now_ms: i64) -> Result<()> {
        let (hash, key) = (work.keys.hashes[row], work.keys.key(row));
        let kind = work.batch.kind(row);
        let number = match (self.table.find(hash, key), kind.is_addition()) {
            (Some(number), _) if self.ttl.is_over(self.partitions[number as usize].written_ms, now_ms) => {
                self.forget(number);
                if !kind.is_addition() {
                    return Ok(());
                }
                self.table.find_or_insert(hash, key).0
            }
            (Some(number), _) => number,
            (None, true) => self.table.find_or_insert(hash, key).0,
            (None, false) => return Ok(()),
        };
        if self.partitions.len() <= number as usize {
            self.partitions.resize_with(number as usize + 1, Partition::default);
        }
        self.partitions[number as usize].written_ms = now_ms;
        let order = work.encoded.order(row);
        let (rows, slots) = (&self.rows, &self.partitions[number as usize].slots);
        let first = slots.less(order, |s| rows.order(s));
        let end = slots.less_or_equal(order, |s| rows.order(s));
        if kind.is_addition() {
            let slot = self.rows.insert(&work.encoded, row, self.rows.next_mark(), now_ms)?;
            self.groups.set(slot, NONE);
            self.partitions[number as usize].slots.insert(end, slot, order);
            return if self.of_rows {
                self.row_comes(number, end, slot, kind)
            } else {
                self.equal_row_comes(number, (first, end + 1), slot, kind)
            };
        }
        let rest = work.encoded.rest(row);
        // Of equal rows Flink takes the first away, and where rows of one order have one result, the last.
        let place = {
            let of_order = slots.iter_from(first).take(end - first).enumerate();
            let mut equal = of_order.filter(|(_, s)| rows.rest(*s) == rest).map(|(place, _)| place);
            if self.of_rows { equal.next() } else { equal.last() }
        };
        let Some(place) = place.map(|p| p + first) else { return Ok(()) };
        if self.of_rows {
            self.row_goes(number, place)?;
        } else {
            self.equal_row_goes(number, (first, end), place)?;
        }
        if let Some(slot) = self.partitions[number as usize].slots.remove(place) {
            self.rows.remove(slot, self.keys.group(hash));
        }
        if self.partitions[number as usize].slots.is_empty() {
            self.going = None;
            self.forget(number);
        }
        Ok(())
    }

    /// The group of the place before this one.
    fn before(&self, number: u32, place: usize) -> u32 {
        let slot = place.checked_sub(1).and_then(|p| self.partitions[number as usize].slots.get(p));
        slot.map_or(NONE, |s| self.groups.get(s))
    }

    fn take(&mut self, number: u32, from: usize, count: usize) -> Vec<u32> {
        self.partitions[number as usize].slots.iter_from(from).take(count).collect()
    }

    fn steps(&mut self, steps: &[Step], slots: &[u32]) -> Result<Vec<ArrayRef>> {
        self.functions.resize(self.groups.bound as usize);
        let rows = self.rows.gather(slots)?;
        self.functions.run(steps, &rows)
    }

    fn free(&mut self, groups: &[u32]) {
        self.functions.reset(groups);
        self.groups.free.extend_from_slice(groups);
    }

    fn row_comes(&mut self, number: u32, place: usize, slot: u32, kind: RowKind) -> Result<()> {
        let (before, group) = (self.before(number, place), self.groups.take());
        let steps = [begin(before, group), Step::Add { group, row: 0 }, Step::Emit { group }];
        let results = self.steps(&steps, &[slot])?;
        self.groups.set(slot, group);
        self.emitted.piece(results);
        self.emitted.push(kind, slot, 0);
        self.go_on_from(number, place + 1, group);
        Ok(())
    }

    fn go_on_from(&mut self, number: u32, from: usize, before: u32) {
        self.going = Some(Going { number, from, before, count: PLACES_MIN });
    }

    /// The row at this place, which is taken out of it then.
    fn row_goes(&mut self, number: u32, place: usize) -> Result<()> {
        let Some(slot) = self.partitions[number as usize].slots.get(place) else { return Ok(()) };
        let group = self.groups.get(slot);
        let results = self.steps(&[Step::Emit { group }], &[])?;
        self.emitted.piece(results);
        self.emitted.push(RowKind::Delete, slot, 0);
        // What stands behind it has moved up.
        let before = self.before(number, place);
        self.go_on_from(number, place, before);
        self.free(&[group]);
        Ok(())
    }

    /// The rows `first .. end` are equal in the order, the last of them is new.
    fn equal_row_comes(&mut self, number: u32, (first, end): (usize, usize), slot: u32, kind: RowKind) -> Result<()> {
        let slots = self.take(number, first, end - first);
        let old = slots.first().map_or(NONE, |s| self.groups.get(*s));
        let (before, new) = (self.before(number, first), self.groups.take());
        let mut steps = vec![begin(before, new)];
        steps.extend((0..slots.len() as u32).map(|row| Step::Add { group: new, row }));
        steps.push(Step::Emit { group: new });
        steps.extend((old != NONE).then_some(Step::Emit { group: old }));
        let results = self.steps(&steps, &slots)?;
        self.emitted.piece(results);
        let changed = old != NONE && !self.functions.same(&[old], &[new])?.contains(&true);
        for s in &slots {
            self.groups.set(*s, new);
            if *s == slot {
                self.emitted.push(kind, *s, 0);
            } else if changed {
                self.emitted.update(self.spec.update_before, *s, 1, 0);
            }
        }
        if old != NONE {
            self.free(&[old]);
        }
        self.go_on_from(number, end, new);
        Ok(())
    }

    /// Of the rows `first .. end`, which are equal in the order, the one at `place` goes, and is taken out of it then.
    fn equal_row_goes(&mut self, number: u32, (first, end): (usize, usize), place: usize) -> Result<()> {
        let slots = self.take(number, first, end - first);
        let old = slots.first().map_or(NONE, |s| self.groups.get(*s));
        let before = self.before(number, first);
        if slots.len() == 1 {
            let results = self.steps(&[Step::Emit { group: old }], &[])?;
            self.emitted.piece(results);
            self.emitted.push(RowKind::Delete, slots[0], 0);
            self.go_on_from(number, first, before);
            self.free(&[old]);
            return Ok(());
        }
        let new = self.groups.take();
        let mut steps = vec![Step::Emit { group: old }, begin(before, new)];
        let stay = (0..slots.len()).filter(|i| first + i != place);
        steps.extend(stay.map(|row| Step::Add { group: new, row: row as u32 }));
        steps.push(Step::Emit { group: new });
        let results = self.steps(&steps, &slots)?;
        self.emitted.piece(results);
        let changed = !self.functions.same(&[old], &[new])?.contains(&true);
        for (i, slot) in slots.iter().enumerate() {
            if first + i == place {
                self.emitted.push(RowKind::Delete, *slot, 0);
            } else {
                self.groups.set(*slot, new);
                if changed {
                    self.emitted.update(self.spec.update_before, *slot, 0, 1);
                }
            }
        }
        self.free(&[old]);
        self.go_on_from(number, end - 1, new);
        Ok(())
    }

    /// Some of the places from here on, until one is as it was.
    fn go_on(&mut self, Going { number, from, before, mut count }: Going) -> Result<()> {
        let (slots, places, all) = loop {
            let slots = self.take(number, from, count);
            // Equal rows may go on behind what was taken.
            let mut places: Vec<(u32, usize)> = vec![];
            for slot in &slots {
                let group = self.groups.get(*slot);
                match places.last_mut() {
                    Some((last, rows)) if *last == group => *rows += 1,
                    _ => places.push((group, 1)),
                }
            }
            let all = from + slots.len() >= self.partitions[number as usize].slots.len();
            if !all && !self.of_rows {
                if places.len() == 1 {
                    count *= 2;
                    continue;
                }
                places.pop();
            }
            break (slots, places, all);
        };
        if places.is_empty() {
            return Ok(());
        }
        let news: Vec<u32> = places.iter().map(|_| self.groups.take()).collect();
        let (mut steps, mut row, mut last) = (vec![], 0u32, before);
        for ((old, rows), new) in places.iter().zip(&news) {
            steps.extend([Step::Emit { group: *old }, begin(last, *new)]);
            for _ in 0..*rows {
                steps.push(Step::Add { group: *new, row });
                row += 1;
            }
            steps.push(Step::Emit { group: *new });
            last = *new;
        }
        let used = row as usize;
        let results = self.steps(&steps, &slots[..used])?;
        let olds: Vec<u32> = places.iter().map(|p| p.0).collect();
        let same = self.functions.same(&olds, &news)?;
        self.emitted.piece(results);
        let mut at = 0;
        for (i, (old, rows)) in places.iter().enumerate() {
            if same[i] {
                self.free(&news[i..]);
                return Ok(());
            }
            for slot in &slots[at..at + rows] {
                self.emitted.update(self.spec.update_before, *slot, 2 * i, 2 * i + 1);
                self.groups.set(*slot, news[i]);
            }
            at += rows;
            self.free(&[*old]);
        }
        if !all || used < slots.len() {
            let count = (count * 4).min(PLACES_MAX);
            self.going = Some(Going { number, from: from + used, before: last, count });
        }
        Ok(())
    }

    fn forget(&mut self, number: u32) {
        let group = self.keys.group(self.table.hash(number));
        let partition = std::mem::take(&mut self.partitions[number as usize]);
        let mut groups: Vec<u32> = vec![];
        for slot in partition.slots.iter_from(0) {
            let of = self.groups.get(slot);
            if groups.last() != Some(&of) && of != NONE {
                groups.push(of);
            }
            self.rows.remove(slot, group);
        }
        self.free(&groups);
        self.table.remove(number);
    }

    fn sweep(&mut self, now_ms: i64) {
        for number in 0..self.partitions.len() {
            let partition = &self.partitions[number];
            if !partition.slots.is_empty() && self.ttl.is_over(partition.written_ms, now_ms) {
                self.forget(number as u32);
            }
        }
        if self.table.len() == 0 {
            self.partitions = vec![];
        }
        self.rows.release();
    }

    /// The groups of all places, from the rows.
    fn regroup(&mut self) -> Result<()> {
        for number in 0..self.partitions.len() {
            let slots: Vec<u32> = self.partitions[number].slots.iter_from(0).collect();
            let (mut steps, mut before, mut from) = (vec![], NONE, 0);
            while from < slots.len() {
                let order = self.rows.order(slots[from]);
                let same = |s: &&u32| !self.of_rows && self.rows.order(**s) == order;
                let end = from + 1 + slots[from + 1..].iter().take_while(same).count();
                let group = self.groups.take();
                steps.push(begin(before, group));
                for (row, slot) in slots.iter().enumerate().take(end).skip(from) {
                    steps.push(Step::Add { group, row: row as u32 });
                    self.groups.set(*slot, group);
                }
                (before, from) = (group, end);
            }
            self.steps(&steps, &slots)?;
        }
        Ok(())
    }
}

impl Operator for NonTimeOver {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        let mut start = || -> Result<Progress> {
            let keys = self.keys.encode(batch.rows.columns(), batch.num_rows())?;
            let encoded = self.rows.codec().encode(batch.rows.columns())?;
            self.work = Some(Work { keys, encoded, batch: batch.clone(), next: 0 });
            self.run(context)
        };
        start().map_err(|e| e.with("operator", &self.name))
    }

    fn on_processing_time(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.run(context).map_err(|e| e.with("operator", &self.name))
    }

    fn resume(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.run(context).map_err(|e| e.with("operator", &self.name))
    }

    fn snapshot_state(&mut self) -> Result<OperatorSnapshot> {
        let runs = self.rows.snapshot(&self.keys).map_err(|e| e.with("operator", &self.name))?;
        Ok(meaning::seal(OperatorSnapshot { version: STATE_VERSION, meta: vec![], runs }, &self.spec.meaning))
    }

    fn restore_state(&mut self, state: RestoredState) -> Result<()> {
        let state = meaning::open(state, 0, &self.spec.meaning, &self.name)?;
        let mut restored = self.rows.restore(&state, &self.name)?;
        restored.sort_unstable_by_key(|r| (r.mark, r.id));
        let slots: Vec<u32> = restored.iter().map(|r| r.slot).collect();
        let batch = self.rows.gather(&slots)?;
        let keys = self.keys.encode(batch.columns(), batch.num_rows())?;
        for (row, restored) in restored.iter().enumerate() {
            let (number, _) = self.table.find_or_insert(keys.hashes[row], keys.key(row));
            if self.partitions.len() <= number as usize {
                self.partitions.resize_with(number as usize + 1, Partition::default);
            }
            let partition = &mut self.partitions[number as usize];
            let (rows, slot) = (&self.rows, restored.slot);
            let order = rows.order(slot);
            let place = partition.slots.less_or_equal(order, |s| rows.order(s));
            partition.slots.insert(place, slot, order);
            partition.written_ms = partition.written_ms.max(restored.time);
        }
        self.regroup().map_err(|e| e.with("operator", &self.name))
    }
}
