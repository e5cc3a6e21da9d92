//! The join of two changelogs that keeps both: Flink's `StreamingJoinOperator` and `StreamingSemiAntiJoinOperator`.
//!
//! A batch of one input first changes the rows of its own side, then meets the rows of the other: they do not change
//! meanwhile, so its partners are looked for many rows at a time. What comes out depends on how many partners rows of an
//! outer side have had; those counts change row by row, as in Flink, so that the changelog is Flink's.
//!
//! A restore counts partners anew, but where rows expire: then they are stored, as is when a row was touched (see
//! [`Fates`](super::fates::Fates)).

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, Int64Array, UInt32Array};
use arrow_schema::SchemaRef;
use arrow_select::take::take;
use flott_core::key_group::hash_rows;
use flott_core::{ChangeBatch, Error, Result, RowKind, RowKinds};
use flott_graph::{JoinKind, RegularJoinSpec};
use flott_state::{OperatorSnapshot, RestoredState};

use super::input::{Applied, Input};
use super::pairs::{PIECE_ROWS, PairCondition, take_rows};
use super::rows::NONE;
use super::side::{JoinKeys, shrink_keys};
use crate::calc::assemble;
use crate::operator::{Operator, OperatorContext, Progress};
use crate::window::aggregate::Ownership;

/// Version of the stored form.
///
/// 2 adds the tables of fates, where rows expire. State of version 1 is read: its partners are counted anew.
const STATE_VERSION: u32 = 2;
/// State tables of the inputs.
const TABLES: [&str; 2] = ["left", "right"];
/// Rows that one call emits, about.
const CALL_ROWS: usize = 2 * PIECE_ROWS;
/// Rows that are too old are looked for so many times in their lifetime.
const SWEEPS_PER_TTL: i64 = 4;

/// A batch that is being joined.
struct Work {
    input: usize,
    batch: ChangeBatch,
    keys: Vec<u32>,
    applied: Applied,
    /// The row whose partners are looked at, the next of them, and how many it has had.
    row: usize,
    next: Option<u32>,
    partners: u32,
}

/// A row of output: a row of the batch, a row of the other side, or both; [`NONE`] is a side of NULLs.
#[derive(Default)]
struct Picks {
    rows: Vec<u32>,
    entries: Vec<u32>,
    kinds: Vec<i8>,
}

impl Picks {
    fn push(&mut self, row: u32, entry: u32, kind: RowKind) {
        self.rows.push(row);
        self.entries.push(entry);
        self.kinds.push(kind.code());
    }
}

/// See the module.
pub struct RegularJoin {
    name: String,
    kind: JoinKind,
    keys: JoinKeys,
    inputs: [Input; 2],
    condition: Option<PairCondition>,
    schema: SchemaRef,
    work: Option<Work>,
    /// Rows without a partner wait for the end of the inputs.
    final_only: bool,
    ended: [bool; 2],
    /// The input and the entry that are looked at when both inputs have ended.
    finale: Option<(usize, u32)>,
    next_sweep_ms: Option<i64>,
}

impl RegularJoin {
    /// The columns of the output are those of a pair, or of a left row for semi and anti joins.
    pub fn new(name: &str, spec: &RegularJoinSpec, schema: SchemaRef, ownership: &Ownership) -> Result<RegularJoin> {
        RegularJoin::try_new(name, spec, schema, ownership).map_err(|e| e.with("operator", name))
    }

    fn try_new(name: &str, spec: &RegularJoinSpec, schema: SchemaRef, ownership: &Ownership) -> Result<RegularJoin> {
        let condition = &spec.condition;
        let (left, right) = (&condition.left_schema, &condition.right_schema);
        let width = left.fields().len() + if spec.kind.is_semi_or_anti() { 0 } else { right.fields().len() };
        if schema.fields().len() != width {
            return Err(Error::internal(format!("{} output columns instead of {width}", schema.fields().len())));
        }
        let types = condition.left_keys.iter().map(|k| left.field(*k).data_type().clone()).collect();
        let counts = [spec.kind.pads_left_rows() || spec.kind.is_semi_or_anti(), spec.kind.pads_right_rows()];
        let expires = spec.left.state_ttl.is_some() || spec.right.state_ttl.is_some();
        Ok(RegularJoin {
            name: name.to_string(),
            kind: spec.kind,
            keys: JoinKeys::new(types, condition.filter_nulls.clone(), ownership.max_parallelism)?,
            inputs: [
                Input::new(TABLES[0], left, &condition.left_keys, &spec.left, counts[0], expires),
                Input::new(TABLES[1], right, &condition.right_keys, &spec.right, counts[1], expires),
            ],
            condition: PairCondition::new(condition)?,
            schema,
            work: None,
            final_only: spec.final_only,
            ended: [false; 2],
            finale: None,
            next_sweep_ms: None,
        })
    }

    fn begin(&mut self, input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<()> {
        let own = &self.inputs[input];
        let columns: Vec<ArrayRef> = own.keys.iter().map(|k| Arc::clone(batch.rows.column(*k))).collect();
        let numbers = self.keys.number(&columns, batch.num_rows())?;
        self.inputs.iter_mut().for_each(|i| i.side.reserve(self.keys.len()));
        let applied = self.inputs[input].apply(&batch, &numbers, context.processing_time_ms)?;
        self.work = Some(Work { input, batch, keys: numbers.keys, applied, row: 0, next: None, partners: 0 });
        Ok(())
    }

    /// The next pairs: row and entry, with `NONE` in place of the entry behind the last partner of a row.
    fn pairs(&mut self, now_ms: i64) -> (Vec<u32>, Vec<u32>) {
        let (mut rows, mut entries) = (vec![], vec![]);
        let Some(work) = &mut self.work else { return (rows, entries) };
        let other = &self.inputs[1 - work.input];
        let expires = other.stamps.is_some();
        while work.row < work.keys.len() && rows.len() < PIECE_ROWS {
            let key = work.keys[work.row];
            let mut next = match work.next {
                Some(next) => next,
                None if key == NONE => NONE,
                None => other.side.first(key),
            };
            while next != NONE && rows.len() < PIECE_ROWS {
                if !expires || !other.is_over(next, now_ms) {
                    rows.push(work.row as u32);
                    entries.push(next);
                }
                next = other.side.following(next);
            }
            if next == NONE {
                rows.push(work.row as u32);
                entries.push(NONE);
                work.row += 1;
                work.next = None;
            } else {
                work.next = Some(next);
            }
        }
        (rows, entries)
    }

    /// Which pairs are partners; ends of rows are true.
    fn partners(&self, rows: &[u32], entries: &[u32]) -> Result<Option<BooleanArray>> {
        let (Some(condition), Some(work)) = (&self.condition, &self.work) else { return Ok(None) };
        let pairs: Vec<usize> = (0..rows.len()).filter(|p| entries[*p] != NONE).collect();
        let batch_rows: UInt32Array = pairs.iter().map(|p| rows[*p]).collect();
        let stored: Vec<u32> = pairs.iter().map(|p| entries[*p]).collect();
        let (own, other) =
            if work.input == 0 { (&condition.left, &condition.right) } else { (&condition.right, &condition.left) };
        let mine: Vec<ArrayRef> = own
            .iter()
            .map(|c| Ok(take(work.batch.rows.column(*c).as_ref(), &batch_rows, None)?))
            .collect::<Result<_>>()?;
        let theirs = self.inputs[1 - work.input].side.store.gather(other, &stored)?;
        let (left, right) = if work.input == 0 { (mine, theirs) } else { (theirs, mine) };
        let is_true = condition.evaluate(left, right, pairs.len())?;
        let mut of_pairs = (0..pairs.len()).map(|p| is_true.is_valid(p) && is_true.value(p));
        Ok(Some(entries.iter().map(|e| Some(*e == NONE || of_pairs.next().unwrap_or(false))).collect()))
    }

    /// Joins a piece; the rows that come out of it.
    fn piece(&mut self, now_ms: i64) -> Result<Option<ChangeBatch>> {
        let (rows, entries) = self.pairs(now_ms);
        let partners = self.partners(&rows, &entries)?;
        let Some(mut work) = self.work.take() else { return Ok(None) };
        let mut picks = Picks::default();
        if self.kind.is_semi_or_anti() {
            if work.input == 0 {
                self.probe_semi(&mut work, &rows, &entries, partners.as_ref(), &mut picks);
            } else {
                self.build_semi(&mut work, &rows, &entries, partners.as_ref(), now_ms, &mut picks);
            }
        } else {
            self.pair_up(&mut work, &rows, &entries, partners.as_ref(), now_ms, &mut picks);
        }
        let batch = if picks.kinds.is_empty() { None } else { Some(self.output(&work, picks)?) };
        self.work = (work.row < work.keys.len()).then_some(work);
        Ok(batch)
    }

    /// INNER, LEFT, RIGHT, FULL.
    fn pair_up(
        &mut self,
        work: &mut Work,
        rows: &[u32],
        entries: &[u32],
        partners: Option<&BooleanArray>,
        now_ms: i64,
        picks: &mut Picks,
    ) {
        let [left, right] = &mut self.inputs;
        let (own, other) = if work.input == 0 { (left, right) } else { (right, left) };
        for (i, (row, entry)) in rows.iter().zip(entries).enumerate() {
            let kind = work.batch.kind(*row as usize);
            let adds = kind.is_addition();
            if *entry == NONE {
                if let Some(counts) = &mut own.partners {
                    let added = work.applied.entries[*row as usize];
                    if added != NONE {
                        counts[added as usize] = work.partners;
                    }
                    // What waits in state may still find one.
                    if work.partners == 0 && !(self.final_only && added != NONE) {
                        picks.push(*row, NONE, if adds { RowKind::Insert } else { RowKind::Delete });
                    }
                }
                work.partners = 0;
                continue;
            }
            if partners.is_some_and(|p| !p.value(i)) {
                continue;
            }
            work.partners = work.partners.saturating_add(1);
            let outer = own.partners.is_some();
            let Some(counts) = &mut other.partners else {
                let simple = if adds { RowKind::Insert } else { RowKind::Delete };
                picks.push(*row, *entry, if outer { simple } else { kind });
                continue;
            };
            let count = &mut counts[*entry as usize];
            if adds {
                let before = *count;
                if before == 0 && !self.final_only {
                    picks.push(NONE, *entry, RowKind::Delete);
                }
                // What replaced another row with the same key is no additional partner.
                if before == 0 || !work.applied.replaced.get(*row as usize).is_some_and(|r| *r) {
                    *count = before.saturating_add(1);
                }
                picks.push(*row, *entry, RowKind::Insert);
            } else {
                picks.push(*row, *entry, if outer { RowKind::Delete } else { kind });
                if *count == 1 {
                    picks.push(NONE, *entry, RowKind::Insert);
                }
                *count = count.saturating_sub(1);
            }
            other.touch(*entry, now_ms);
        }
    }

    /// SEMI, ANTI: left rows.
    fn probe_semi(
        &mut self,
        work: &mut Work,
        rows: &[u32],
        entries: &[u32],
        partners: Option<&BooleanArray>,
        picks: &mut Picks,
    ) {
        for (i, (row, entry)) in rows.iter().zip(entries).enumerate() {
            if *entry != NONE {
                work.partners += u32::from(partners.is_none_or(|p| p.value(i)));
                continue;
            }
            let added = work.applied.entries[*row as usize];
            let waits = self.final_only && self.kind == JoinKind::Anti && added != NONE;
            if !waits && (work.partners > 0) == (self.kind == JoinKind::Semi) {
                picks.push(*row, NONE, work.batch.kind(*row as usize));
            }
            if added != NONE
                && let Some(counts) = &mut self.inputs[0].partners
            {
                counts[added as usize] = work.partners;
            }
            work.partners = 0;
        }
    }

    /// SEMI, ANTI: right rows.
    fn build_semi(
        &mut self,
        work: &mut Work,
        rows: &[u32],
        entries: &[u32],
        partners: Option<&BooleanArray>,
        now_ms: i64,
        picks: &mut Picks,
    ) {
        let (semi, waits) = (self.kind == JoinKind::Semi, self.final_only && self.kind == JoinKind::Anti);
        let left = &mut self.inputs[0];
        for (i, (row, entry)) in rows.iter().zip(entries).enumerate() {
            if *entry == NONE || partners.is_some_and(|p| !p.value(i)) {
                continue;
            }
            let kind = work.batch.kind(*row as usize);
            let Some(count) = left.partners.as_mut().and_then(|c| c.get_mut(*entry as usize)) else { continue };
            if kind.is_addition() {
                if *count == 0 && !waits {
                    picks.push(NONE, *entry, if semi { kind } else { RowKind::Delete });
                }
                if *count == 0 || !work.applied.replaced.get(*row as usize).is_some_and(|r| *r) {
                    *count = count.saturating_add(1);
                }
            } else {
                if *count == 1 {
                    picks.push(NONE, *entry, if semi { kind } else { RowKind::Insert });
                }
                *count = count.saturating_sub(1);
            }
            left.touch(*entry, now_ms);
        }
    }

    fn output(&self, work: &Work, picks: Picks) -> Result<ChangeBatch> {
        let rows = picks.kinds.len();
        let stored = |input: usize| {
            let columns: Vec<usize> = (0..self.inputs[input].width).collect();
            self.inputs[input].side.store.gather(&columns, &picks.entries)
        };
        let columns = match (self.kind.is_semi_or_anti(), work.input) {
            (true, 0) => take_rows(work.batch.rows.columns(), &picks.rows)?,
            (true, _) => stored(0)?,
            (false, 0) => {
                let mut columns = take_rows(work.batch.rows.columns(), &picks.rows)?;
                columns.extend(stored(1)?);
                columns
            }
            (false, _) => {
                let mut columns = stored(0)?;
                columns.extend(take_rows(work.batch.rows.columns(), &picks.rows)?);
                columns
            }
        };
        ChangeBatch::new(assemble(&self.schema, columns, rows)?, picks.kinds.into_iter().collect::<RowKinds>())
    }

    /// Joins pieces up to what a call may emit.
    fn proceed(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        crate::evaluation::enter(context);
        let mut emitted = 0;
        while self.work.is_some() {
            if emitted >= CALL_ROWS {
                return Ok(Progress::More);
            }
            if let Some(batch) = self.piece(context.processing_time_ms)? {
                emitted += batch.num_rows();
                context.emit(batch);
            }
        }
        while let Some((input, entry)) = self.finale {
            if emitted >= CALL_ROWS {
                return Ok(Progress::More);
            }
            let (batch, next) = self.unmatched(input, entry)?;
            self.finale = next;
            if let Some(batch) = batch {
                emitted += batch.num_rows();
                context.emit(batch);
            }
        }
        self.tidy(context)?;
        Ok(Progress::Done)
    }

    /// Rows without a partner at the end of the inputs, from an entry on, and where to go on.
    fn unmatched(&self, input: usize, from: u32) -> Result<(Option<ChangeBatch>, Option<(usize, u32)>)> {
        let of = &self.inputs[input];
        let shown = if input == 0 {
            self.kind.pads_left_rows() || self.kind == JoinKind::Anti
        } else {
            self.kind.pads_right_rows()
        };
        let next_input = (input == 0).then_some((1, 0));
        let Some(counts) = of.partners.as_ref().filter(|_| shown) else { return Ok((None, next_input)) };
        let end = (from as usize + PIECE_ROWS).min(of.side.store.len()) as u32;
        let alone = |e: &u32| of.side.store.is_live(*e) && counts[*e as usize] == 0;
        let entries: Vec<u32> = (from..end).filter(alone).collect();
        let next = if (end as usize) < of.side.store.len() { Some((input, end)) } else { next_input };
        if entries.is_empty() {
            return Ok((None, next));
        }
        let all = |of: &Input| (0..of.width).collect::<Vec<usize>>();
        let mut columns = of.side.store.gather(&all(of), &entries)?;
        if !self.kind.is_semi_or_anti() {
            let other = &self.inputs[1 - input];
            let nulls = other.side.store.gather(&all(other), &vec![NONE; entries.len()])?;
            if input == 0 {
                columns.extend(nulls);
            } else {
                columns = nulls.into_iter().chain(columns).collect();
            }
        }
        Ok((Some(ChangeBatch::append(assemble(&self.schema, columns, entries.len())?)), next))
    }

    fn tidy(&mut self, context: &mut OperatorContext) -> Result<()> {
        self.inputs.iter_mut().try_for_each(Input::compact)?;
        let [left, right] = &mut self.inputs;
        shrink_keys(&mut self.keys, [&mut left.side, &mut right.side])?;
        let live = self.inputs.iter().map(|i| i.side.store.live()).sum::<usize>();
        context.metrics.state_rows = live as u64;
        let bytes: usize = self.inputs.iter().map(Input::size_bytes).sum();
        context.metrics.state_bytes = if live == 0 { 0 } else { (bytes + self.keys.size_bytes()) as u64 };
        let expiring = self.inputs.iter().filter(|i| i.side.store.live() > 0);
        let ttl_ms = expiring.filter_map(|i| i.stamps.as_ref().map(|s| s.ttl_ms)).min();
        match ttl_ms {
            Some(ttl_ms) => {
                let pause = (ttl_ms / SWEEPS_PER_TTL).max(1);
                let at = *self.next_sweep_ms.get_or_insert(context.processing_time_ms.saturating_add(pause));
                context.register_timer(at);
            }
            None => self.next_sweep_ms = None,
        }
        Ok(())
    }

    /// Counts the partners of the rows of an outer side, as a restore has to.
    fn count_partners(&mut self, input: usize) -> Result<()> {
        let (own, other) = (&self.inputs[input], &self.inputs[1 - input]);
        if own.partners.is_none() {
            return Ok(());
        }
        let live: Vec<u32> = (0..own.side.store.len() as u32).filter(|e| own.side.store.is_live(*e)).collect();
        let mut counts = vec![0u32; own.side.store.len()];
        let Some(condition) = &self.condition else {
            live.iter().for_each(|e| counts[*e as usize] = other.side.count(own.side.key(*e)));
            self.inputs[input].partners = Some(counts);
            return Ok(());
        };
        let columns =
            if input == 0 { [&condition.left, &condition.right] } else { [&condition.right, &condition.left] };
        let (mut mine, mut theirs): (Vec<u32>, Vec<u32>) = (vec![], vec![]);
        let mut count = |mine: &mut Vec<u32>, theirs: &mut Vec<u32>| -> Result<()> {
            let own_columns = own.side.store.gather(columns[0], mine)?;
            let other_columns = other.side.store.gather(columns[1], theirs)?;
            let (left, right) = if input == 0 { (own_columns, other_columns) } else { (other_columns, own_columns) };
            let is_true = condition.evaluate(left, right, mine.len())?;
            let partners = (0..mine.len()).filter(|p| is_true.is_valid(*p) && is_true.value(*p));
            partners.for_each(|p| counts[mine[p] as usize] += 1);
            mine.clear();
            theirs.clear();
            Ok(())
        };
        for entry in live {
            let mut partner = other.side.first(own.side.key(entry));
            while partner != NONE {
                mine.push(entry);
                theirs.push(partner);
                if mine.len() == PIECE_ROWS {
                    count(&mut mine, &mut theirs)?;
                }
                partner = other.side.following(partner);
            }
        }
        count(&mut mine, &mut theirs)?;
        self.inputs[input].partners = Some(counts);
        Ok(())
    }

    fn restore(&mut self, state: RestoredState) -> Result<()> {
        let next_id = read_next_id(&state.metas)?;
        for input in &mut self.inputs {
            input.side.store.restore(&state, &self.name)?;
            input.side.store.start_ids_at(next_id);
            let mut linked: Vec<(u32, u32)> = vec![];
            let mut identified: Vec<(u32, u64)> = vec![];
            let mut stamps = vec![0; input.side.store.len()];
            for (first, columns) in input.side.store.pieces() {
                let rows = columns.first().map_or(0, |c| c.len());
                let keys: Vec<ArrayRef> = input.keys.iter().map(|k| Arc::clone(&columns[*k])).collect();
                let numbers = self.keys.number(&keys, rows)?;
                let live = |row: &u32| input.side.store.is_live(first + row);
                linked.extend((0..rows as u32).filter(live).map(|row| (first + row, numbers.keys[row as usize])));
                if let Some(lookup) = &input.lookup {
                    let identity: Vec<ArrayRef> = lookup.columns.iter().map(|c| Arc::clone(&columns[*c])).collect();
                    let mut hashes = vec![];
                    hash_rows(&identity, rows, &mut hashes)?;
                    identified.extend((0..rows as u32).filter(live).map(|row| (first + row, hashes[row as usize])));
                }
                if input.stamps.is_some() {
                    let touched = columns[input.width].as_any().downcast_ref::<Int64Array>();
                    let touched = touched.ok_or_else(|| Error::internal("times of state are not numbers"))?;
                    stamps[first as usize..first as usize + rows].copy_from_slice(touched.values());
                }
            }
            input.side.reserve(self.keys.len());
            for (entry, key) in linked {
                if key == NONE {
                    return Err(Error::internal("a row without a key is in the state of a join"));
                }
                input.side.link(entry, key);
            }
            if let Some(lookup) = &mut input.lookup {
                identified.into_iter().for_each(|(entry, hash)| lookup.index.insert(entry, hash));
            }
            if let Some(of) = &mut input.stamps {
                of.at_ms = stamps;
            }
        }
        self.inputs.iter_mut().for_each(|i| i.side.reserve(self.keys.len()));
        for input in 0..2 {
            if !self.inputs[input].restore_fates(&state, &self.name)? {
                self.count_partners(input)?;
                self.inputs[input].change_all_fates();
            }
        }
        Ok(())
    }
}

/// The least id that no subtask has given to a row, from what each wrote.
pub(crate) fn read_next_id(metas: &[Vec<u8>]) -> Result<u64> {
    metas.iter().try_fold(0, |least, meta| {
        let bytes = <[u8; 8]>::try_from(meta.as_slice());
        let bytes =
            bytes.map_err(|_| Error::internal(format!("the stored ids of a join have {} bytes", meta.len())))?;
        Ok(least.max(u64::from_le_bytes(bytes)))
    })
}

impl Operator for RegularJoin {
    fn process_batch(&mut self, input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        if input > 1 {
            return Err(Error::internal("a join has two inputs").with("operator", &self.name));
        }
        let done = self.begin(input, batch, context).and_then(|()| self.proceed(context));
        done.map_err(|e| e.with("operator", &self.name))
    }

    fn resume(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.proceed(context).map_err(|e| e.with("operator", &self.name))
    }

    fn on_processing_time(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.next_sweep_ms = None;
        self.inputs.iter_mut().for_each(|i| i.sweep(context.processing_time_ms));
        self.tidy(context).map_err(|e| e.with("operator", &self.name))?;
        Ok(Progress::Done)
    }

    fn end_input(&mut self, input: usize, context: &mut OperatorContext) -> Result<Progress> {
        if let Some(ended) = self.ended.get_mut(input) {
            *ended = true;
        }
        if self.final_only && self.ended == [true; 2] {
            self.finale = Some((0, 0));
        }
        self.proceed(context).map_err(|e| e.with("operator", &self.name))
    }

    fn snapshot_state(&mut self) -> Result<OperatorSnapshot> {
        let next_id = self.inputs.iter().map(|i| i.side.store.next_id()).max().unwrap_or(0);
        let mut runs = vec![];
        for input in &mut self.inputs {
            runs.extend(input.seal()?);
        }
        Ok(OperatorSnapshot { version: STATE_VERSION, meta: next_id.to_le_bytes().to_vec(), runs })
    }

    fn restore_state(&mut self, state: RestoredState) -> Result<()> {
        self.restore(state).map_err(|e| e.with("operator", &self.name))
    }
}
