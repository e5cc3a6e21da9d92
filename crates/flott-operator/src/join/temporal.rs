//! The join of each left row with the version of the right row that was valid at its time: Flink's
//! `TemporalRowTimeJoinOperator`. Left rows wait until the watermark has passed their time, when all versions up to it
//! are there; of each key the versions stay that a later row may still ask for.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use arrow_array::types::Int8Type;
use arrow_array::{Array, ArrayRef, Int8Array, cast::AsArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use flott_core::{ChangeBatch, Error, Result, RowKind, RowKinds, Watermark};
use flott_graph::{JoinKind, TemporalJoinSpec};
use flott_state::{OperatorSnapshot, RestoredState};

use super::pairs::{PIECE_ROWS, PairCondition, take_rows};
use super::regular::read_next_id;
use super::rows::{NONE, RowStore};
use super::side::{JoinKeys, Side, shrink_keys};
use crate::calc::assemble;
use crate::changelog::lifetime::Lifetime;
use crate::operator::{Operator, OperatorContext, Progress};
use crate::timestamp::{null_rowtime, to_milliseconds};
use crate::window::aggregate::Ownership;
use crate::window::fire::Output;

/// Version of the stored form.
const STATE_VERSION: u32 = 1;
const TABLES: [&str; 2] = ["left", "right"];

/// When a restored row was touched.
const UNKNOWN: i64 = i64::MIN;

/// One input: rows with their kinds.
struct Input {
    side: Side,
    keys: Vec<usize>,
    width: usize,
    time_column: usize,
    /// By entry.
    times: Vec<i64>,
    kinds: Vec<i8>,
    /// When each came or was used last, in processing time.
    touched_ms: Vec<i64>,
}

impl Input {
    fn new(table: &str, schema: &SchemaRef, keys: &[usize], time_column: usize) -> Input {
        let mut fields: Vec<Field> = schema.fields().iter().map(|f| f.as_ref().clone()).collect();
        fields.push(Field::new("$kind", DataType::Int8, false));
        let side = Side::new(RowStore::new(table, &Schema::new(fields)));
        let (times, kinds, touched_ms) = (vec![], vec![], vec![]);
        Input { side, keys: keys.to_vec(), width: schema.fields().len(), time_column, times, kinds, touched_ms }
    }

    fn size_bytes(&self) -> usize {
        self.side.size_bytes() + (self.times.capacity() + self.touched_ms.capacity()) * 8 + self.kinds.capacity()
    }

    fn compact(&mut self) -> Result<bool> {
        let Some(renumbered) = self.side.store.compact()? else { return Ok(false) };
        self.side.renumber_entries(&renumbered);
        let kept = || renumbered.iter().enumerate().filter(|(_, new)| **new != NONE).map(|(old, _)| old);
        (self.times, self.kinds) = (kept().map(|o| self.times[o]).collect(), kept().map(|o| self.kinds[o]).collect());
        self.touched_ms = kept().map(|o| self.touched_ms[o]).collect();
        Ok(true)
    }
}

/// See the module.
pub struct TemporalJoin {
    name: String,
    outer: bool,
    keys: JoinKeys,
    inputs: [Input; 2],
    condition: Option<PairCondition>,
    schema: SchemaRef,
    /// Times of left rows that wait, least first.
    waiting: BinaryHeap<Reverse<(i64, u32)>>,
    /// Keys whose versions have changed since they were last looked through.
    changed: Vec<u32>,
    lifetime: Lifetime,
    /// Left rows that are due, in order of arrival, and how many of them are through.
    due: Vec<u32>,
    through: usize,
    output: Output,
    then: Option<Watermark>,
}

impl TemporalJoin {
    /// The columns of the output are those of a pair.
    pub fn new(name: &str, spec: &TemporalJoinSpec, schema: SchemaRef, ownership: &Ownership) -> Result<TemporalJoin> {
        TemporalJoin::try_new(name, spec, schema, ownership).map_err(|e| e.with("operator", name))
    }

    fn try_new(name: &str, spec: &TemporalJoinSpec, schema: SchemaRef, ownership: &Ownership) -> Result<TemporalJoin> {
        let condition = &spec.condition;
        let (left, right) = (&condition.left_schema, &condition.right_schema);
        if !matches!(spec.kind, JoinKind::Inner | JoinKind::Left)
            || schema.fields().len() != left.fields().len() + right.fields().len()
        {
            return Err(Error::internal("a temporal join gives the pairs of an inner or left join"));
        }
        let types = condition.left_keys.iter().map(|k| left.field(*k).data_type().clone()).collect();
        Ok(TemporalJoin {
            name: name.to_string(),
            outer: spec.kind == JoinKind::Left,
            keys: JoinKeys::new(types, condition.filter_nulls.clone(), ownership.max_parallelism)?,
            inputs: [
                Input::new(TABLES[0], left, &condition.left_keys, spec.left_time),
                Input::new(TABLES[1], right, &condition.right_keys, spec.right_time),
            ],
            condition: PairCondition::new(condition)?,
            schema,
            waiting: BinaryHeap::new(),
            changed: vec![],
            lifetime: Lifetime::new(spec.state_ttl),
            due: vec![],
            through: 0,
            output: Output::default(),
            then: None,
        })
    }

    fn add(&mut self, index: usize, batch: &ChangeBatch, now: i64) -> Result<()> {
        let input = &mut self.inputs[index];
        let column = batch.rows.column(input.time_column);
        if column.null_count() > 0 {
            return Err(null_rowtime());
        }
        let times = to_milliseconds(column.as_ref())?;
        let columns: Vec<ArrayRef> = input.keys.iter().map(|k| Arc::clone(batch.rows.column(*k))).collect();
        let numbers = self.keys.number(&columns, batch.num_rows())?;
        input.side.reserve(self.keys.len());
        let (left, outer) = (index == 0, self.outer);
        let stays = |row: &u32| {
            // A version without a key is never asked for. The row before an update says nothing that the update does not.
            let has_key = numbers.keys[*row as usize] != NONE;
            if left { has_key || outer } else { has_key && batch.kind(*row as usize) != RowKind::UpdateBefore }
        };
        let rows: Vec<u32> = (0..batch.num_rows() as u32).filter(stays).collect();
        let kinds: Vec<i8> = rows.iter().map(|r| batch.kind(*r as usize).code()).collect();
        let mut stored = take_rows(batch.rows.columns(), &rows)?;
        stored.push(Arc::new(Int8Array::from(kinds.clone())));
        let groups = rows.iter().map(|r| numbers.groups[*r as usize]).collect();
        let first = input.side.store.append(stored, groups)?;
        input.kinds.extend(kinds);
        for (entry, row) in (first..).zip(rows) {
            let (key, time) = (numbers.keys[row as usize], times[row as usize]);
            input.times.push(time);
            input.touched_ms.push(now);
            if left {
                self.waiting.push(Reverse((time, entry)));
            } else {
                input.side.link(entry, key);
                self.changed.push(key);
            }
        }
        Ok(())
    }

    /// The version of a key at a time: the latest up to it, and of several of one time the one that came last.
    fn version(&self, key: u32, at: i64) -> u32 {
        let right = &self.inputs[1];
        let (mut best, mut best_time) = (NONE, i64::MIN);
        let mut entry = right.side.first(key);
        while entry != NONE {
            let time = right.times[entry as usize];
            if time <= at && (best == NONE || time >= best_time) {
                (best, best_time) = (entry, time);
            }
            entry = right.side.following(entry);
        }
        if best != NONE && RowKind::from_code(right.kinds[best as usize]).is_none_or(|k| !k.is_addition()) {
            return NONE;
        }
        best
    }

    /// Joins some of the left rows that are due.
    fn piece(&mut self, now: i64) -> Result<()> {
        let end = self.due.len().min(self.through + PIECE_ROWS);
        let lefts = self.due[self.through..end].to_vec();
        self.through = end;
        let left = &self.inputs[0];
        let columns = left.side.store.gather(&left.keys, &lefts)?;
        let keys = self.keys.number(&columns, lefts.len())?.keys;
        let at = lefts.iter().map(|l| left.times[*l as usize]);
        let mut rights: Vec<u32> =
            keys.iter().zip(at).map(|(k, at)| if *k == NONE { NONE } else { self.version(*k, at) }).collect();
        let right = &mut self.inputs[1];
        rights.iter().filter(|r| **r != NONE).for_each(|r| right.touched_ms[*r as usize] = now);
        if let Some(condition) = &self.condition {
            let pairs: Vec<usize> = (0..lefts.len()).filter(|i| rights[*i] != NONE).collect();
            let of = |entries: &[u32]| pairs.iter().map(|p| entries[*p]).collect::<Vec<u32>>();
            let mine = self.inputs[0].side.store.gather(&condition.left, &of(&lefts))?;
            let theirs = self.inputs[1].side.store.gather(&condition.right, &of(&rights))?;
            let is_true = condition.evaluate(mine, theirs, pairs.len())?;
            let failing = pairs.iter().enumerate().filter(|(i, _)| !(is_true.is_valid(*i) && is_true.value(*i)));
            failing.for_each(|(_, pair)| rights[*pair] = NONE);
        }
        let shown: Vec<usize> = (0..lefts.len()).filter(|i| self.outer || rights[*i] != NONE).collect();
        let all = |input: &Input| (0..input.width).collect::<Vec<usize>>();
        let (out_lefts, out_rights): (Vec<u32>, Vec<u32>) = shown.iter().map(|i| (lefts[*i], rights[*i])).unzip();
        if !shown.is_empty() {
            let mut columns = self.inputs[0].side.store.gather(&all(&self.inputs[0]), &out_lefts)?;
            columns.extend(self.inputs[1].side.store.gather(&all(&self.inputs[1]), &out_rights)?);
            let kinds: RowKinds = out_lefts.iter().map(|l| self.inputs[0].kinds[*l as usize]).collect();
            self.output.push(ChangeBatch::new(assemble(&self.schema, columns, shown.len())?, kinds)?);
        }
        lefts.iter().for_each(|left| self.inputs[0].side.store.remove(*left));
        Ok(())
    }

    /// Of each key that has changed, versions go that no row after the watermark asks for: all but the last up to it.
    fn forget_versions(&mut self, watermark: i64, now: i64) {
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort_unstable();
        changed.dedup();
        let right = &mut self.inputs[1];
        for key in changed {
            let (mut last, mut last_time) = (NONE, i64::MIN);
            let (mut passed, mut later) = (vec![], false);
            let mut entry = right.side.first(key);
            while entry != NONE {
                let time = right.times[entry as usize];
                if time > watermark {
                    later = true;
                } else {
                    passed.push(entry);
                    if last == NONE || time >= last_time {
                        (last, last_time) = (entry, time);
                    }
                }
                entry = right.side.following(entry);
            }
            // Only what changes the versions makes them live longer; keys that are looked through for another reason do not.
            if last != NONE && passed.len() > 1 {
                right.touched_ms[last as usize] = now;
            }
            passed.into_iter().filter(|e| *e != last).for_each(|entry| right.side.remove(entry));
            if later {
                self.changed.push(key);
            }
        }
    }

    /// Forgets keys that nobody has touched for too long, where it is time to look; tells when the next time is.
    fn sweep(&mut self, now: i64) -> Result<Option<i64>> {
        let (due, next) = self.lifetime.sweep(now);
        if due {
            let unknown = self.inputs.iter_mut().flat_map(|i| &mut i.touched_ms).filter(|t| **t == UNKNOWN);
            unknown.for_each(|t| *t = now);
            let [left, right] = &mut self.inputs;
            let lefts: Vec<u32> = (0..left.side.store.len() as u32).filter(|e| left.side.store.is_live(*e)).collect();
            let columns = left.side.store.gather(&left.keys, &lefts)?;
            let left_keys = self.keys.number(&columns, lefts.len())?.keys;
            let rights = (0..right.side.store.len() as u32).filter(|e| right.side.store.is_live(*e));
            let rights: Vec<u32> = rights.collect();
            let mut last = vec![i64::MIN; self.keys.len()];
            let of_left = lefts.iter().zip(&left_keys).map(|(e, key)| (*key, left.touched_ms[*e as usize]));
            let of_right = rights.iter().map(|e| (right.side.key(*e), right.touched_ms[*e as usize]));
            for (key, touched) in of_left.chain(of_right).filter(|(key, _)| *key != NONE) {
                last[key as usize] = last[key as usize].max(touched);
            }
            let is_over = |key: u32| key != NONE && self.lifetime.is_past(last[key as usize], now);
            let before = left.side.store.live() + right.side.store.live();
            lefts
                .iter()
                .zip(&left_keys)
                .filter(|(_, key)| is_over(**key))
                .for_each(|(e, _)| left.side.store.remove(*e));
            for entry in rights {
                if is_over(right.side.key(entry)) {
                    right.side.remove(entry);
                }
            }
            if left.side.store.live() + right.side.store.live() < before {
                self.wait_anew();
                self.tidy()?;
            }
        }
        let live: usize = self.inputs.iter().map(|i| i.side.store.live()).sum();
        Ok(next.filter(|_| live > 0))
    }

    fn proceed(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        crate::evaluation::enter(context);
        self.output.start();
        loop {
            if !self.output.drain(context) {
                return Ok(Progress::More);
            }
            if self.through < self.due.len() {
                self.piece(context.processing_time_ms)?;
            } else if self.output.is_empty() {
                break;
            }
        }
        self.due = vec![];
        self.through = 0;
        if let Some(watermark) = self.then.take() {
            self.forget_versions(watermark.0, context.processing_time_ms);
            self.tidy()?;
            context.emit_watermark(watermark);
        }
        if let Some(at) = self.sweep(context.processing_time_ms)? {
            context.register_timer(at);
        }
        let live: usize = self.inputs.iter().map(|i| i.side.store.live()).sum();
        context.metrics.state_rows = live as u64;
        let bytes: usize = self.inputs.iter().map(Input::size_bytes).sum();
        let own = self.waiting.capacity() * 16 + self.changed.capacity() * 4 + self.keys.size_bytes();
        context.metrics.state_bytes = if live == 0 { 0 } else { (bytes + own) as u64 };
        Ok(Progress::Done)
    }

    fn tidy(&mut self) -> Result<()> {
        if self.inputs[0].compact()? {
            self.wait_anew();
        }
        self.inputs[1].compact()?;
        let before = self.keys.len();
        let [left, right] = &mut self.inputs;
        shrink_keys(&mut self.keys, [&mut left.side, &mut right.side])?;
        if self.keys.len() != before {
            // Numbers are others now; all keys are looked through once.
            self.changed = (0..self.keys.len() as u32).collect();
        }
        Ok(())
    }

    fn wait_anew(&mut self) {
        let left = &self.inputs[0];
        let live = (0..left.side.store.len() as u32).filter(|e| left.side.store.is_live(*e));
        self.waiting = live.map(|e| Reverse((left.times[e as usize], e))).collect();
    }

    fn restore(&mut self, state: &RestoredState) -> Result<()> {
        let next_id = read_next_id(&state.metas)?;
        for (index, input) in self.inputs.iter_mut().enumerate() {
            input.side.store.restore(state, &self.name)?;
            input.side.store.start_ids_at(next_id);
            input.times = vec![0; input.side.store.len()];
            input.kinds = vec![0; input.side.store.len()];
            // When they were touched is not stored: their time starts anew, at the next look.
            input.touched_ms = vec![UNKNOWN; input.side.store.len()];
            let mut linked = vec![];
            for (first, columns) in input.side.store.pieces() {
                let rows = columns.first().map_or(0, |c| c.len());
                let all = first as usize..first as usize + rows;
                input.times[all.clone()].copy_from_slice(&to_milliseconds(columns[input.time_column].as_ref())?);
                input.kinds[all].copy_from_slice(columns[input.width].as_primitive::<Int8Type>().values());
                if index == 1 {
                    let keys: Vec<ArrayRef> = input.keys.iter().map(|k| Arc::clone(&columns[*k])).collect();
                    let numbers = self.keys.number(&keys, rows)?;
                    linked.extend(
                        (first..).zip(numbers.keys).filter(|(e, k)| *k != NONE && input.side.store.is_live(*e)),
                    );
                }
            }
            input.side.reserve(self.keys.len());
            linked.into_iter().for_each(|(entry, key)| input.side.link(entry, key));
        }
        self.wait_anew();
        self.changed = (0..self.keys.len() as u32).collect();
        Ok(())
    }
}

impl Operator for TemporalJoin {
    fn process_batch(&mut self, input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        if input > 1 {
            return Err(Error::internal("a join has two inputs").with("operator", &self.name));
        }
        let done = self.add(input, &batch, context.processing_time_ms).and_then(|()| self.proceed(context));
        done.map_err(|e| e.with("operator", &self.name))
    }

    fn process_watermark(&mut self, watermark: Watermark, context: &mut OperatorContext) -> Result<Progress> {
        while let Some(Reverse((time, entry))) = self.waiting.peek().copied()
            && time <= watermark.0
        {
            self.waiting.pop();
            self.due.push(entry);
        }
        self.due.sort_unstable();
        self.then = Some(watermark);
        self.proceed(context).map_err(|e| e.with("operator", &self.name))
    }

    fn on_processing_time(&mut self, context: &mut OperatorContext) -> Result<Progress> {
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
