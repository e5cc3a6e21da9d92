//! The join of rows of the same window: Flink's `WindowJoinOperator`. Rows wait until their window is over; then the
//! rows of both inputs meet, by key.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, SchemaRef};
use flott_core::{ChangeBatch, Error, Result, Watermark};
use flott_graph::{JoinKind, WindowJoinSpec};
use flott_state::{OperatorSnapshot, RestoredState};

use super::pairs::{PIECE_ROWS, PairCondition, take_rows};
use super::regular::read_next_id;
use super::rows::{NONE, RowStore};
use super::side::{JoinKeys, Numbers};
use crate::calc::assemble;
use crate::operator::{Operator, OperatorContext, Progress};
use crate::timestamp::to_milliseconds;
use crate::window::aggregate::Ownership;
use crate::window::fire::Output;
use crate::window::time_zone::ShiftZone;

/// Version of the stored form.
const STATE_VERSION: u32 = 1;
const TABLES: [&str; 2] = ["left", "right"];

/// One input.
struct Input {
    store: RowStore,
    keys: Vec<usize>,
    window_end: usize,
    /// Rows without a partner matter.
    outer: bool,
    /// By the end of their window.
    windows: BTreeMap<i64, Vec<u32>>,
}

impl Input {
    fn new(table: &str, schema: &SchemaRef, keys: &[usize], window_end: usize, outer: bool) -> Input {
        let store = RowStore::new(table, schema);
        Input { store, keys: keys.to_vec(), window_end, outer, windows: BTreeMap::new() }
    }

    fn size_bytes(&self) -> usize {
        let windows = self.windows.len() * size_of::<(i64, Vec<u32>)>();
        self.store.size_bytes()
            + windows
            + self.windows.values().map(|w| w.capacity() * size_of::<u32>()).sum::<usize>()
    }

    fn compact(&mut self) -> Result<()> {
        if let Some(renumbered) = self.store.compact()? {
            let all = self.windows.values_mut().flatten();
            all.for_each(|entry| *entry = renumbered[*entry as usize]);
        }
        Ok(())
    }
}

/// A window that is being joined.
struct Firing {
    rows: [Vec<u32>; 2],
    /// Of each left row its key.
    left_keys: Vec<u32>,
    /// Positions of the right rows, by key, and where the rows of each key begin.
    right_order: Vec<u32>,
    right_begin: Vec<u32>,
    /// Left row whose partners are looked at, and the next of them.
    left: usize,
    next: Option<u32>,
    has_partner: bool,
    right_has_partner: Vec<bool>,
    /// Right rows without a partner are shown from here on, once all left rows are through.
    right: usize,
}

/// See the module.
pub struct WindowJoin {
    name: String,
    kind: JoinKind,
    inputs: [Input; 2],
    types: Vec<DataType>,
    filter_nulls: Vec<bool>,
    max_parallelism: u16,
    condition: Option<PairCondition>,
    zone: ShiftZone,
    schema: SchemaRef,
    due: VecDeque<i64>,
    firing: Option<Firing>,
    output: Output,
    then: Option<Watermark>,
    late_records_dropped: u64,
}

impl WindowJoin {
    /// The columns of the output are those of a pair, or of a left row for semi and anti joins.
    pub fn new(name: &str, spec: &WindowJoinSpec, schema: SchemaRef, ownership: &Ownership) -> Result<WindowJoin> {
        WindowJoin::try_new(name, spec, schema, ownership).map_err(|e| e.with("operator", name))
    }

    fn try_new(name: &str, spec: &WindowJoinSpec, schema: SchemaRef, ownership: &Ownership) -> Result<WindowJoin> {
        let condition = &spec.condition;
        let (left, right) = (&condition.left_schema, &condition.right_schema);
        let width = left.fields().len() + if spec.kind.is_semi_or_anti() { 0 } else { right.fields().len() };
        if schema.fields().len() != width {
            return Err(Error::internal(format!("{} output columns instead of {width}", schema.fields().len())));
        }
        let left_outer = spec.kind.pads_left_rows() || spec.kind == JoinKind::Anti;
        Ok(WindowJoin {
            name: name.to_string(),
            kind: spec.kind,
            inputs: [
                Input::new(TABLES[0], left, &condition.left_keys, spec.left_window_end, left_outer),
                Input::new(TABLES[1], right, &condition.right_keys, spec.right_window_end, spec.kind.pads_right_rows()),
            ],
            types: condition.left_keys.iter().map(|k| left.field(*k).data_type().clone()).collect(),
            filter_nulls: condition.filter_nulls.clone(),
            max_parallelism: ownership.max_parallelism,
            condition: PairCondition::new(condition)?,
            zone: ShiftZone::named(spec.time_zone.as_deref())?,
            schema,
            due: VecDeque::new(),
            firing: None,
            output: Output::default(),
            then: None,
            late_records_dropped: 0,
        })
    }

    fn keys(&self) -> Result<JoinKeys> {
        JoinKeys::new(self.types.clone(), self.filter_nulls.clone(), self.max_parallelism)
    }

    fn add(&mut self, index: usize, batch: &ChangeBatch, context: &OperatorContext) -> Result<()> {
        if batch.kinds.is_some() {
            return Err(Error::internal("a window join reads rows that are only added"));
        }
        let progress = context.watermark.map_or(i64::MIN, |w| w.0);
        let mut keys = self.keys()?;
        let input = &mut self.inputs[index];
        let ends = to_milliseconds(batch.rows.column(input.window_end).as_ref())?;
        let columns: Vec<ArrayRef> = input.keys.iter().map(|k| Arc::clone(batch.rows.column(*k))).collect();
        let numbers = keys.number(&columns, batch.num_rows())?;
        let mut late = 0;
        let waits = |row: &u32| {
            if self.zone.is_over(ends[*row as usize], progress) {
                late += 1;
                return false;
            }
            input.outer || numbers.keys[*row as usize] != NONE
        };
        let rows: Vec<u32> = (0..batch.num_rows() as u32).filter(waits).collect();
        self.late_records_dropped += late;
        let groups = rows.iter().map(|r| numbers.groups[*r as usize]).collect();
        let first = input.store.append(take_rows(batch.rows.columns(), &rows)?, groups)?;
        for (entry, row) in (first..).zip(rows) {
            input.windows.entry(ends[row as usize]).or_default().push(entry);
        }
        Ok(())
    }

    fn number(&self, keys: &mut JoinKeys, index: usize, entries: &[u32]) -> Result<Numbers> {
        let input = &self.inputs[index];
        keys.number(&input.store.gather(&input.keys, entries)?, entries.len())
    }

    /// Brings the rows of a window together.
    fn fire(&mut self, end: i64) -> Result<Firing> {
        let rows = [0, 1].map(|i| self.inputs[i].windows.remove(&end).unwrap_or_default());
        let mut keys = self.keys()?;
        let right_keys = self.number(&mut keys, 1, &rows[1])?.keys;
        let left_keys = self.number(&mut keys, 0, &rows[0])?.keys;
        let mut right_begin = vec![0u32; keys.len() + 1];
        right_keys.iter().filter(|k| **k != NONE).for_each(|k| right_begin[*k as usize + 1] += 1);
        (0..keys.len()).for_each(|k| right_begin[k + 1] += right_begin[k]);
        let mut place = right_begin.clone();
        let mut right_order = vec![0u32; right_begin.last().map_or(0, |n| *n as usize)];
        for (row, key) in right_keys.iter().enumerate().filter(|(_, k)| **k != NONE) {
            right_order[place[*key as usize] as usize] = row as u32;
            place[*key as usize] += 1;
        }
        let right_has_partner = vec![false; rows[1].len()];
        Ok(Firing {
            rows,
            left_keys,
            right_order,
            right_begin,
            left: 0,
            next: None,
            has_partner: false,
            right_has_partner,
            right: 0,
        })
    }

    /// A piece of the window; true where nothing is left of it.
    fn piece(&mut self, firing: &mut Firing) -> Result<bool> {
        if firing.left == firing.rows[0].len() {
            return self.rest(firing);
        }
        // Positions of pairs, with NONE behind the last partner of a left row.
        let (mut lefts, mut rights) = (vec![], vec![]);
        while firing.left < firing.rows[0].len() && lefts.len() < PIECE_ROWS {
            let key = firing.left_keys[firing.left];
            let (begin, end) = if key == NONE {
                (0, 0)
            } else {
                (firing.right_begin[key as usize], firing.right_begin[key as usize + 1])
            };
            let begin = firing.next.unwrap_or(begin);
            let stop = end.min(begin.saturating_add((PIECE_ROWS - lefts.len()) as u32));
            for place in begin..stop {
                lefts.push(firing.left as u32);
                rights.push(firing.right_order[place as usize]);
            }
            firing.next = Some(stop);
            if stop == end {
                lefts.push(firing.left as u32);
                rights.push(NONE);
                firing.left += 1;
                firing.next = None;
            }
        }
        let is_partner = self.partners(firing, &lefts, &rights)?;
        let (mut out_lefts, mut out_rights) = (vec![], vec![]);
        for ((left, right), is_partner) in lefts.iter().zip(&rights).zip(is_partner) {
            if *right == NONE {
                let shown = match self.kind {
                    JoinKind::Semi => firing.has_partner,
                    JoinKind::Anti | JoinKind::Left | JoinKind::Full => !firing.has_partner,
                    JoinKind::Inner | JoinKind::Right => false,
                };
                if shown {
                    out_lefts.push(firing.rows[0][*left as usize]);
                    out_rights.push(NONE);
                }
                firing.has_partner = false;
            } else if is_partner {
                firing.has_partner = true;
                firing.right_has_partner[*right as usize] = true;
                if !self.kind.is_semi_or_anti() {
                    out_lefts.push(firing.rows[0][*left as usize]);
                    out_rights.push(firing.rows[1][*right as usize]);
                }
            }
        }
        self.emit(&out_lefts, &out_rights)?;
        Ok(false)
    }

    /// Right rows without a partner.
    fn rest(&mut self, firing: &mut Firing) -> Result<bool> {
        if !self.kind.pads_right_rows() {
            return Ok(true);
        }
        let mut rights = vec![];
        while firing.right < firing.rows[1].len() && rights.len() < PIECE_ROWS {
            if !firing.right_has_partner[firing.right] {
                rights.push(firing.rows[1][firing.right]);
            }
            firing.right += 1;
        }
        self.emit(&vec![NONE; rights.len()], &rights)?;
        Ok(firing.right == firing.rows[1].len())
    }

    fn partners(&self, firing: &Firing, lefts: &[u32], rights: &[u32]) -> Result<Vec<bool>> {
        let Some(condition) = &self.condition else { return Ok(vec![true; lefts.len()]) };
        let pairs: Vec<usize> = (0..lefts.len()).filter(|p| rights[*p] != NONE).collect();
        let entries = |of: &[u32], rows: &[u32]| pairs.iter().map(|p| rows[of[*p] as usize]).collect::<Vec<u32>>();
        let left = self.inputs[0].store.gather(&condition.left, &entries(lefts, &firing.rows[0]))?;
        let right = self.inputs[1].store.gather(&condition.right, &entries(rights, &firing.rows[1]))?;
        let is_true = condition.evaluate(left, right, pairs.len())?;
        let mut all = vec![false; lefts.len()];
        for (i, pair) in pairs.into_iter().enumerate() {
            all[pair] = is_true.is_valid(i) && is_true.value(i);
        }
        Ok(all)
    }

    fn emit(&mut self, lefts: &[u32], rights: &[u32]) -> Result<()> {
        if lefts.is_empty() {
            return Ok(());
        }
        let all = |input: &Input| (0..input.store.width()).collect::<Vec<usize>>();
        let mut columns = self.inputs[0].store.gather(&all(&self.inputs[0]), lefts)?;
        if !self.kind.is_semi_or_anti() {
            columns.extend(self.inputs[1].store.gather(&all(&self.inputs[1]), rights)?);
        }
        self.output.push(ChangeBatch::append(assemble(&self.schema, columns, lefts.len())?));
        Ok(())
    }

    fn proceed(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        crate::evaluation::enter(context);
        self.output.start();
        loop {
            if !self.output.drain(context) {
                return Ok(Progress::More);
            }
            if let Some(mut firing) = self.firing.take() {
                if self.piece(&mut firing)? {
                    for (input, rows) in self.inputs.iter_mut().zip(&firing.rows) {
                        rows.iter().for_each(|entry| input.store.remove(*entry));
                    }
                } else {
                    self.firing = Some(firing);
                }
            } else if let Some(end) = self.due.pop_front() {
                self.firing = Some(self.fire(end)?);
            } else if self.output.is_empty() {
                break;
            }
        }
        self.inputs.iter_mut().try_for_each(Input::compact)?;
        let live: usize = self.inputs.iter().map(|i| i.store.live()).sum();
        context.metrics.late_records_dropped = self.late_records_dropped;
        context.metrics.state_rows = live as u64;
        let bytes = || self.inputs.iter().map(Input::size_bytes).sum::<usize>() as u64;
        context.metrics.state_bytes = if live == 0 { 0 } else { bytes() };
        if let Some(watermark) = self.then.take() {
            context.emit_watermark(watermark);
        }
        Ok(Progress::Done)
    }

    fn restore(&mut self, state: &RestoredState) -> Result<()> {
        let next_id = read_next_id(&state.metas)?;
        for input in &mut self.inputs {
            input.store.restore(state, &self.name)?;
            input.store.start_ids_at(next_id);
            for (first, columns) in input.store.pieces() {
                let ends = to_milliseconds(columns[input.window_end].as_ref())?;
                for (entry, end) in (first..).zip(ends.iter()).filter(|(entry, _)| input.store.is_live(*entry)) {
                    input.windows.entry(*end).or_default().push(entry);
                }
            }
        }
        Ok(())
    }
}

impl Operator for WindowJoin {
    fn process_batch(&mut self, input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        if input > 1 {
            return Err(Error::internal("a join has two inputs").with("operator", &self.name));
        }
        let done = self.add(input, &batch, context).and_then(|()| self.proceed(context));
        done.map_err(|e| e.with("operator", &self.name))
    }

    fn process_watermark(&mut self, watermark: Watermark, context: &mut OperatorContext) -> Result<Progress> {
        let mut due: Vec<i64> = self.inputs.iter().flat_map(|i| i.windows.keys().copied()).collect();
        due.retain(|end| self.zone.is_over(*end, watermark.0));
        due.sort_unstable();
        due.dedup();
        self.due.extend(due);
        self.then = Some(watermark);
        self.proceed(context).map_err(|e| e.with("operator", &self.name))
    }

    fn resume(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.proceed(context).map_err(|e| e.with("operator", &self.name))
    }

    fn snapshot_state(&mut self) -> Result<OperatorSnapshot> {
        let next_id = self.inputs.iter().map(|i| i.store.next_id()).max().unwrap_or(0);
        let mut runs = vec![];
        for input in &mut self.inputs {
            runs.extend(input.store.seal()?);
        }
        Ok(OperatorSnapshot { version: STATE_VERSION, meta: next_id.to_le_bytes().to_vec(), runs })
    }

    fn restore_state(&mut self, state: RestoredState) -> Result<()> {
        self.restore(&state).map_err(|e| e.with("operator", &self.name))
    }

    fn next_event_time_timer(&mut self) -> Option<i64> {
        let end = self.inputs.iter().filter_map(|i| i.windows.keys().next().copied()).min();
        end.map(|end| self.zone.to_timer(end.saturating_sub(1)))
    }
}
