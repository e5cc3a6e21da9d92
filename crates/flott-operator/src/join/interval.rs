//! The join of rows that are near in time: Flink's `TimeIntervalJoin`.
//!
//! A row waits in state as long as a partner may still come: until time has passed its own by the greatest distance
//! that a partner may lie behind it. An outer row without a partner leaves then, padded; so rows leave behind their
//! time, and the watermark is held back by as much.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, UInt32Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow_select::take::take;
use flott_core::types::TimeAttribute;
use flott_core::{ChangeBatch, Error, Result, Watermark};
use flott_graph::IntervalJoinSpec;
use flott_state::{OperatorSnapshot, RestoredState};

use super::pairs::{PIECE_ROWS, PairCondition, take_rows};
use super::regular::read_next_id;
use super::rows::{NONE, RowStore};
use super::side::{JoinKeys, Side, shrink_keys};
use crate::calc::assemble;
use crate::operator::{Operator, OperatorContext, Progress};
use crate::timestamp::{from_milliseconds, null_rowtime, to_milliseconds};
use crate::window::aggregate::Ownership;
use crate::window::fire::Output;

/// Version of the stored form.
const STATE_VERSION: u32 = 1;
const TABLES: [&str; 2] = ["left", "right"];

/// One input.
struct Input {
    side: Side,
    keys: Vec<usize>,
    width: usize,
    time_column: usize,
    /// Rows without a partner come out padded.
    outer: bool,
    /// A partner lies at most so far behind a row, and so far before it.
    behind_ms: i64,
    before_ms: i64,
    /// By entry.
    times: Vec<i64>,
    /// Times of rows that wait, least first.
    waiting: BinaryHeap<Reverse<(i64, u32)>>,
}

impl Input {
    fn size_bytes(&self) -> usize {
        self.side.size_bytes() + self.times.capacity() * 8 + self.waiting.capacity() * 16
    }

    fn compact(&mut self) -> Result<()> {
        let Some(renumbered) = self.side.store.compact()? else { return Ok(()) };
        self.side.renumber_entries(&renumbered);
        let kept = renumbered.iter().enumerate().filter(|(_, new)| **new != NONE);
        self.times = kept.map(|(old, _)| self.times[old]).collect();
        self.wait_anew();
        Ok(())
    }

    fn wait_anew(&mut self) {
        let live = (0..self.side.store.len() as u32).filter(|e| self.side.store.is_live(*e));
        self.waiting = live.map(|e| Reverse((self.times[e as usize], e))).collect();
    }
}

/// A batch that is being joined.
struct Work {
    input: usize,
    batch: ChangeBatch,
    keys: Vec<u32>,
    times: Vec<i64>,
    /// The entry of each row that waits.
    entries: Vec<u32>,
    row: usize,
    next: Option<u32>,
    has_partner: bool,
}

/// See the module.
pub struct IntervalJoin {
    name: String,
    event_time: bool,
    keys: JoinKeys,
    inputs: [Input; 2],
    condition: Option<PairCondition>,
    schema: SchemaRef,
    work: Option<Work>,
    /// Rows whose time is over leave up to here.
    expiring: Option<i64>,
    output: Output,
    then: Option<Watermark>,
}

impl IntervalJoin {
    /// The columns of the output are those of a pair.
    pub fn new(name: &str, spec: &IntervalJoinSpec, schema: SchemaRef, ownership: &Ownership) -> Result<IntervalJoin> {
        IntervalJoin::try_new(name, spec, schema, ownership).map_err(|e| e.with("operator", name))
    }

    fn try_new(name: &str, spec: &IntervalJoinSpec, schema: SchemaRef, ownership: &Ownership) -> Result<IntervalJoin> {
        let condition = &spec.condition;
        let (left, right) = (&condition.left_schema, &condition.right_schema);
        if spec.kind.is_semi_or_anti() || schema.fields().len() != left.fields().len() + right.fields().len() {
            return Err(Error::internal("an interval join gives pairs"));
        }
        let event_time = spec.attribute == TimeAttribute::Rowtime;
        let input =
            |table: &str, schema: &SchemaRef, keys: &[usize], time_column: usize, outer, behind_ms, before_ms| {
                let mut fields: Vec<Field> = schema.fields().iter().map(|f| f.as_ref().clone()).collect();
                if !event_time {
                    fields.push(Field::new("$time", DataType::Timestamp(TimeUnit::Millisecond, None), false));
                }
                let width = schema.fields().len();
                let side = Side::new(RowStore::new(table, &Schema::new(fields)));
                let (keys, times, waiting) = (keys.to_vec(), vec![], BinaryHeap::new());
                Input { side, keys, width, time_column, outer, behind_ms, before_ms, times, waiting }
            };
        // A right row lies at most -lower behind a left one, and at most upper before it.
        let (lower, upper) = (spec.left_lower_ms.saturating_neg(), spec.left_upper_ms);
        let types = condition.left_keys.iter().map(|k| left.field(*k).data_type().clone()).collect();
        let pads = [spec.kind.pads_left_rows(), spec.kind.pads_right_rows()];
        Ok(IntervalJoin {
            name: name.to_string(),
            event_time,
            keys: JoinKeys::new(types, condition.filter_nulls.clone(), ownership.max_parallelism)?,
            inputs: [
                input(TABLES[0], left, &condition.left_keys, spec.left_time, pads[0], lower, upper),
                input(TABLES[1], right, &condition.right_keys, spec.right_time, pads[1], upper, lower),
            ],
            condition: PairCondition::new(condition)?,
            schema,
            work: None,
            expiring: None,
            output: Output::default(),
            then: None,
        })
    }

    /// How far rows come out behind the watermark.
    fn delay_ms(&self) -> i64 {
        if self.event_time { self.inputs[0].behind_ms.max(self.inputs[1].behind_ms).max(0) } else { 0 }
    }

    /// The time that rows are compared with: the watermark or processing time.
    fn now(&self, context: &OperatorContext) -> i64 {
        if self.event_time { context.watermark.map_or(i64::MIN, |w| w.0) } else { context.processing_time_ms }
    }

    fn begin(&mut self, index: usize, batch: ChangeBatch, context: &OperatorContext) -> Result<()> {
        if batch.kinds.is_some() {
            return Err(Error::internal("an interval join reads rows that are only added"));
        }
        let (now, rows) = (self.now(context), batch.num_rows());
        let input = &mut self.inputs[index];
        let times = if self.event_time {
            let column = batch.rows.column(input.time_column);
            if column.null_count() > 0 {
                return Err(null_rowtime());
            }
            to_milliseconds(column.as_ref())?.to_vec()
        } else {
            vec![now; rows]
        };
        let columns: Vec<ArrayRef> = input.keys.iter().map(|k| Arc::clone(batch.rows.column(*k))).collect();
        let numbers = self.keys.number(&columns, rows)?;
        self.inputs.iter_mut().for_each(|i| i.side.reserve(self.keys.len()));
        let input = &mut self.inputs[index];
        // A row without a key waits only to come out padded; a late one does not wait.
        let waits = |row: &u32| {
            let row = *row as usize;
            now < times[row].saturating_add(input.behind_ms) && (numbers.keys[row] != NONE || input.outer)
        };
        let waiting: Vec<u32> = (0..rows as u32).filter(waits).collect();
        let mut stored = take_rows(batch.rows.columns(), &waiting)?;
        if !self.event_time {
            let at = vec![now; waiting.len()];
            stored.push(from_milliseconds(at, &DataType::Timestamp(TimeUnit::Millisecond, None))?);
        }
        let groups = waiting.iter().map(|r| numbers.groups[*r as usize]).collect();
        let first = input.side.store.append(stored, groups)?;
        let mut entries = vec![NONE; rows];
        for (entry, row) in (first..).zip(waiting) {
            let row = row as usize;
            entries[row] = entry;
            input.times.push(times[row]);
            input.waiting.push(Reverse((times[row], entry)));
            if numbers.keys[row] != NONE {
                input.side.link(entry, numbers.keys[row]);
            }
        }
        let keys = numbers.keys;
        self.work = Some(Work { input: index, batch, keys, times, entries, row: 0, next: None, has_partner: false });
        Ok(())
    }

    /// The next pairs that are near in time, with `NONE` behind the last of a row.
    fn pairs(&mut self) -> (Vec<u32>, Vec<u32>) {
        let (mut rows, mut entries) = (vec![], vec![]);
        let Some(work) = &mut self.work else { return (rows, entries) };
        let (own, other) = (&self.inputs[work.input], &self.inputs[1 - work.input]);
        while work.row < work.keys.len() && rows.len() < PIECE_ROWS {
            let key = work.keys[work.row];
            let time = work.times[work.row];
            let near = time.saturating_sub(own.before_ms)..=time.saturating_add(own.behind_ms);
            let mut next = match work.next {
                Some(next) => next,
                None if key == NONE => NONE,
                None => other.side.first(key),
            };
            while next != NONE && rows.len() < PIECE_ROWS {
                if near.contains(&other.times[next as usize]) {
                    rows.push(work.row as u32);
                    entries.push(next);
                }
                next = other.side.following(next);
            }
            work.next = Some(next);
            if next == NONE {
                rows.push(work.row as u32);
                entries.push(NONE);
                work.row += 1;
                work.next = None;
            }
        }
        (rows, entries)
    }

    fn piece(&mut self) -> Result<()> {
        let (rows, entries) = self.pairs();
        let Some(mut work) = self.work.take() else { return Ok(()) };
        let is_partner = self.partners(&work, &rows, &entries)?;
        let (mut out_rows, mut out_entries) = (vec![], vec![]);
        let [left, right] = &mut self.inputs;
        let (own, other) = if work.input == 0 { (left, right) } else { (right, left) };
        for ((row, entry), is_partner) in rows.iter().zip(&entries).zip(is_partner) {
            if *entry == NONE {
                let waits = work.entries[*row as usize];
                if work.has_partner && waits != NONE {
                    own.side.store.mark(waits);
                } else if !work.has_partner && own.outer && waits == NONE {
                    out_rows.push(*row);
                    out_entries.push(NONE);
                }
                work.has_partner = false;
            } else if is_partner {
                work.has_partner = true;
                if other.outer {
                    other.side.store.mark(*entry);
                }
                out_rows.push(*row);
                out_entries.push(*entry);
            }
        }
        if !out_rows.is_empty() {
            let mine = take_rows(work.batch.rows.columns(), &out_rows)?;
            let columns: Vec<usize> = (0..other.width).collect();
            let theirs = other.side.store.gather(&columns, &out_entries)?;
            let (mut left, right) = if work.input == 0 { (mine, theirs) } else { (theirs, mine) };
            left.extend(right);
            self.output.push(ChangeBatch::append(assemble(&self.schema, left, out_rows.len())?));
        }
        self.work = (work.row < work.keys.len()).then_some(work);
        Ok(())
    }

    fn partners(&self, work: &Work, rows: &[u32], entries: &[u32]) -> Result<Vec<bool>> {
        let Some(condition) = &self.condition else { return Ok(vec![true; rows.len()]) };
        let pairs: Vec<usize> = (0..rows.len()).filter(|p| entries[*p] != NONE).collect();
        let batch_rows: UInt32Array = pairs.iter().map(|p| rows[*p]).collect();
        let stored: Vec<u32> = pairs.iter().map(|p| entries[*p]).collect();
        let flipped = work.input == 1;
        let own = if flipped { &condition.right } else { &condition.left };
        let other = if flipped { &condition.left } else { &condition.right };
        let of_batch = |c: &usize| Ok(take(work.batch.rows.column(*c).as_ref(), &batch_rows, None)?);
        let mine: Vec<ArrayRef> = own.iter().map(of_batch).collect::<Result<_>>()?;
        let theirs = self.inputs[1 - work.input].side.store.gather(other, &stored)?;
        let (left, right) = if flipped { (theirs, mine) } else { (mine, theirs) };
        let is_true = condition.evaluate(left, right, pairs.len())?;
        let mut all = vec![false; rows.len()];
        for (i, pair) in pairs.into_iter().enumerate() {
            all[pair] = is_true.is_valid(i) && is_true.value(i);
        }
        Ok(all)
    }

    /// Lets rows go that no partner can come for; true where none is left.
    fn expire(&mut self, now: i64) -> Result<bool> {
        for index in 0..2 {
            let input = &mut self.inputs[index];
            let mut unmatched = vec![];
            while unmatched.len() < PIECE_ROWS
                && let Some(Reverse((time, entry))) = input.waiting.peek().copied()
                && (now == i64::MAX || time.saturating_add(input.behind_ms) < now)
            {
                input.waiting.pop();
                if input.outer && !input.side.store.is_marked(entry) {
                    unmatched.push(entry);
                } else {
                    input.side.remove_linked(entry);
                }
            }
            if unmatched.is_empty() {
                continue;
            }
            let columns: Vec<usize> = (0..input.width).collect();
            let mine = input.side.store.gather(&columns, &unmatched)?;
            unmatched.iter().for_each(|entry| input.side.remove_linked(*entry));
            let other: Vec<usize> = (0..self.inputs[1 - index].width).collect();
            let nulls = self.inputs[1 - index].side.store.gather(&other, &vec![NONE; unmatched.len()])?;
            let (mut left, right) = if index == 0 { (mine, nulls) } else { (nulls, mine) };
            left.extend(right);
            self.output.push(ChangeBatch::append(assemble(&self.schema, left, unmatched.len())?));
            return Ok(false);
        }
        Ok(true)
    }

    fn proceed(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        crate::evaluation::enter(context);
        self.output.start();
        loop {
            if !self.output.drain(context) {
                return Ok(Progress::More);
            }
            if self.work.is_some() {
                self.piece()?;
            } else if let Some(now) = self.expiring {
                if self.expire(now)? {
                    self.expiring = None;
                }
            } else if self.output.is_empty() {
                break;
            }
        }
        self.tidy(context)?;
        if let Some(watermark) = self.then.take() {
            let delayed = match watermark {
                Watermark::MAX => Watermark::MAX,
                Watermark(ms) => Watermark(ms.saturating_sub(self.delay_ms())),
            };
            context.emit_watermark(delayed);
        }
        Ok(Progress::Done)
    }

    fn tidy(&mut self, context: &mut OperatorContext) -> Result<()> {
        self.inputs.iter_mut().try_for_each(Input::compact)?;
        let [left, right] = &mut self.inputs;
        shrink_keys(&mut self.keys, [&mut left.side, &mut right.side])?;
        let live: usize = self.inputs.iter().map(|i| i.side.store.live()).sum();
        context.metrics.state_rows = live as u64;
        let bytes: usize = self.inputs.iter().map(Input::size_bytes).sum();
        context.metrics.state_bytes = if live == 0 { 0 } else { (bytes + self.keys.size_bytes()) as u64 };
        if !self.event_time {
            let due =
                |i: &Input| i.waiting.peek().map(|Reverse((t, _))| t.saturating_add(i.behind_ms).saturating_add(1));
            if let Some(at) = self.inputs.iter().filter_map(due).min() {
                context.register_timer(at);
            }
        }
        Ok(())
    }

    fn restore(&mut self, state: &RestoredState) -> Result<()> {
        let next_id = read_next_id(&state.metas)?;
        for input in &mut self.inputs {
            input.side.store.restore(state, &self.name)?;
            input.side.store.start_ids_at(next_id);
            input.times = vec![0; input.side.store.len()];
            let mut linked = vec![];
            for (first, columns) in input.side.store.pieces() {
                let rows = columns.first().map_or(0, |c| c.len());
                let keys: Vec<ArrayRef> = input.keys.iter().map(|k| Arc::clone(&columns[*k])).collect();
                let numbers = self.keys.number(&keys, rows)?;
                linked.extend((first..).zip(numbers.keys).filter(|(e, k)| *k != NONE && input.side.store.is_live(*e)));
                let column = if self.event_time { input.time_column } else { input.width };
                let times = to_milliseconds(columns[column].as_ref())?;
                input.times[first as usize..first as usize + rows].copy_from_slice(&times);
            }
            input.side.reserve(self.keys.len());
            linked.into_iter().for_each(|(entry, key)| input.side.link(entry, key));
            input.wait_anew();
        }
        self.inputs.iter_mut().for_each(|i| i.side.reserve(self.keys.len()));
        Ok(())
    }
}

impl Operator for IntervalJoin {
    fn process_batch(&mut self, input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        if input > 1 {
            return Err(Error::internal("a join has two inputs").with("operator", &self.name));
        }
        let done = self.begin(input, batch, context).and_then(|()| self.proceed(context));
        done.map_err(|e| e.with("operator", &self.name))
    }

    fn process_watermark(&mut self, watermark: Watermark, context: &mut OperatorContext) -> Result<Progress> {
        if self.event_time {
            self.expiring = Some(watermark.0);
        }
        self.then = Some(watermark);
        self.proceed(context).map_err(|e| e.with("operator", &self.name))
    }

    fn on_processing_time(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        if !self.event_time {
            self.expiring = Some(context.processing_time_ms);
        }
        self.proceed(context).map_err(|e| e.with("operator", &self.name))
    }

    fn resume(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.proceed(context).map_err(|e| e.with("operator", &self.name))
    }

    fn snapshot_state(&mut self) -> Result<OperatorSnapshot> {
        let next_id = self.inputs.iter().map(|i| i.side.store.next_id()).max().unwrap_or(0);
        let mut runs = vec![];
        for input in &mut self.inputs {
            runs.extend(input.side.store.seal()?);
        }
        Ok(OperatorSnapshot { version: STATE_VERSION, meta: next_id.to_le_bytes().to_vec(), runs })
    }

    fn restore_state(&mut self, state: RestoredState) -> Result<()> {
        self.restore(&state).map_err(|e| e.with("operator", &self.name))
    }
}
