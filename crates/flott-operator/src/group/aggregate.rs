//! Unbounded GROUP BY: what each row, batch or mini-batch changed of the groups' results.
//!
//! As Flink's `GroupAggFunction`: the first row of a group is `+I`; a change of its result is `-U` (where somebody reads it)
//! and `+U`; no change is nothing; a group whose last row is taken away is `-D`; rows that are taken away from a group that
//! is not there are ignored.

use arrow_array::{Array, ArrayRef, UInt32Array};
use arrow_schema::SchemaRef;
use arrow_select::concat::concat;
use arrow_select::interleave::interleave;
use arrow_select::take::take;
use flott_core::{ChangeBatch, Error, Result, RowKind, RowKinds, Watermark};
use flott_graph::{Changes, GroupAggregateSpec};
use flott_state::{OperatorSnapshot, RestoredState};

use super::groups::{Groups, subset};
use super::rounds::Rounds;
use crate::calc::assemble;
use crate::changelog::bundle_order::BundleOrder;
use crate::changelog::gather::Gather;
use crate::changelog::same::same_rows;
use crate::operator::{Operator, OperatorContext, Progress};
use crate::window::aggregate::Ownership;
use crate::window::fire::Output;
use crate::window::layout::Prepared;

/// Results of the final phase that are made at once.
const FINAL_ROWS: usize = 8_192;

/// A row of the output: a result in one of several chunks of columns, for a row of the keys.
struct Entry {
    kind: RowKind,
    key: u32,
    chunk: u32,
    place: u32,
}

/// What a batch changed.
#[derive(Default)]
struct Changed {
    entries: Vec<Entry>,
    chunks: Vec<Vec<ArrayRef>>,
}

/// Groups whose changes wait, with their results before.
#[derive(Default)]
struct Held {
    is_held: Vec<bool>,
    pieces: Vec<Piece>,
}

struct Piece {
    groups: Vec<u32>,
    was_live: Vec<bool>,
    before: Vec<ArrayRef>,
}

impl Held {
    fn holds(&self, group: u32) -> bool {
        self.is_held.get(group as usize).copied().unwrap_or(false)
    }

    fn size_bytes(&self) -> usize {
        let of = |p: &Piece| {
            let before: usize = p.before.iter().map(|c| c.get_array_memory_size()).sum();
            p.groups.capacity() * size_of::<u32>() + p.was_live.capacity() + before
        };
        self.is_held.capacity() + self.pieces.iter().map(of).sum::<usize>()
    }
}

/// Aggregates per key and emits changes.
pub struct GroupAggregate {
    name: String,
    spec: GroupAggregateSpec,
    /// Its input is what local aggregates made.
    merges: bool,
    schema: SchemaRef,
    groups: Groups,
    rounds: Rounds,
    gather: Gather,
    held: Held,
    order: BundleOrder,
    numbers: Vec<u32>,
    output: Output,
    /// Follows the output.
    then: Option<Watermark>,
    /// The results that are still to be made in a batch.
    last: Option<Vec<u32>>,
    /// The subtask that shows the result of no rows at all.
    is_first: bool,
}

impl GroupAggregate {
    /// Groups and results under this schema. `subtask` 0 shows the result of a global aggregate over no row.
    pub fn new(
        name: &str,
        spec: &GroupAggregateSpec,
        schema: SchemaRef,
        subtask: usize,
        ownership: Ownership,
    ) -> Result<GroupAggregate> {
        Ok(GroupAggregate {
            name: name.to_string(),
            groups: Groups::new(spec, ownership).map_err(|e| e.with("operator", name))?,
            rounds: Rounds::default(),
            gather: Gather::new(spec.changes),
            held: Held::default(),
            order: BundleOrder::default(),
            numbers: vec![],
            output: Output::default(),
            then: None,
            last: None,
            is_first: subtask == 0,
            spec: spec.clone(),
            merges: false,
            schema,
        })
    }

    /// The same over the partial rows of local aggregates.
    pub fn global(
        name: &str,
        spec: &GroupAggregateSpec,
        schema: SchemaRef,
        subtask: usize,
        ownership: Ownership,
    ) -> Result<GroupAggregate> {
        let aggregate = GroupAggregate::new(name, spec, schema, subtask, ownership)?;
        if !matches!(spec.changes, Changes::Merged | Changes::Gathered(_)) {
            return Err(
                Error::internal("changes of single rows cannot be told from partial rows").with("operator", name)
            );
        }
        Ok(GroupAggregate { merges: true, ..aggregate })
    }

    fn add(&mut self, batch: &ChangeBatch, context: &mut OperatorContext) -> Result<()> {
        let now = context.processing_time_ms;
        match self.spec.changes {
            Changes::Each => self.each(batch, now)?,
            Changes::Merged | Changes::Gathered(_) => {
                let mut from = 0;
                while from < batch.num_rows() {
                    let rows = self.gather.room().min(batch.num_rows() - from);
                    self.merge(&batch.slice(from, rows), now)?;
                    from += rows;
                    if self.gather.added(rows, context) {
                        self.show(now)?;
                    }
                }
            }
            Changes::Final => {
                let mut numbers = std::mem::take(&mut self.numbers);
                let rows = self.groups.rows(batch, now, |_| false, &mut numbers)?;
                self.groups.add(&numbers, &rows)?;
                numbers.iter().for_each(|g| self.groups.wrote(*g, now));
                self.numbers = numbers;
            }
        }
        Ok(())
    }

    /// What each row changes.
    fn each(&mut self, batch: &ChangeBatch, now: i64) -> Result<()> {
        let mut numbers = std::mem::take(&mut self.numbers);
        let all = self.groups.rows(batch, now, |_| false, &mut numbers)?;
        let rounds = self.rounds.of((0..).zip(numbers.iter().copied()), self.groups.len());
        let in_order = rounds.len() == 1;
        let mut changed = Changed::default();
        for rows in rounds {
            self.round(rows, &numbers, &all, now, &mut changed)?;
        }
        if !in_order {
            // Rows of one number came in order; those of a -U and its +U stay so.
            changed.entries.sort_by_key(|e| e.key);
        }
        self.numbers = numbers;
        self.emit(changed, &all.keys)?;
        if self.groups.forget_ended()? {
            self.rounds.clear();
        }
        Ok(())
    }

    fn round(
        &mut self,
        mut rows: Vec<u32>,
        numbers: &[u32],
        all: &Prepared,
        now: i64,
        changed: &mut Changed,
    ) -> Result<()> {
        if let Some(signs) = &all.signs {
            rows.retain(|r| signs[*r as usize] > 0 || self.groups.is_live(numbers[*r as usize]));
        }
        if rows.is_empty() {
            return Ok(());
        }
        let of: Vec<u32> = rows.iter().map(|r| numbers[*r as usize]).collect();
        let was_live: Vec<bool> = of.iter().map(|g| self.groups.is_live(*g)).collect();
        let before = if was_live.contains(&true) { Some(self.groups.results(Some(&of))?) } else { None };
        if rows.len() == numbers.len() {
            self.groups.add(&of, all)?;
        } else {
            self.groups.add(&of, &subset(all, &rows)?)?;
        }
        self.compare(&of, &was_live, before, now, |i| rows[i], changed)
    }

    /// Writes what has become of groups; `key` is the row of the keys for each of them.
    fn compare(
        &mut self,
        of: &[u32],
        was_live: &[bool],
        before: Option<Vec<ArrayRef>>,
        now: i64,
        key: impl Fn(usize) -> u32,
        changed: &mut Changed,
    ) -> Result<()> {
        let after = self.groups.results(Some(of))?;
        let same = match &before {
            Some(before) => same_rows(before, &after, of.len())?,
            None => vec![false; of.len()],
        };
        let new = changed.chunks.len() as u32;
        let old = new + 1;
        changed.chunks.push(after);
        changed.chunks.extend(before);
        let mut ended = vec![];
        for (i, g) in of.iter().enumerate() {
            let mut push = |kind: RowKind, chunk: u32| {
                changed.entries.push(Entry { kind, key: key(i), chunk, place: i as u32 });
            };
            if !self.groups.has_rows(*g) {
                if was_live[i] {
                    push(RowKind::Delete, old);
                }
                ended.push(*g);
                continue;
            }
            self.groups.wrote(*g, now);
            if !was_live[i] {
                push(RowKind::Insert, new);
            } else if !same[i] || self.groups.is_limited() {
                if self.spec.update_before {
                    push(RowKind::UpdateBefore, old);
                }
                push(RowKind::UpdateAfter, new);
            }
        }
        self.groups.end(ended);
        Ok(())
    }

    /// Adds partial rows and remembers the results before them.
    fn merge_partial(&mut self, batch: &ChangeBatch, now: i64) -> Result<()> {
        let mut numbers = std::mem::take(&mut self.numbers);
        let states = self.groups.partial_rows(&batch.rows, now, |g| self.held.holds(g), &mut numbers)?;
        self.held.is_held.resize(self.groups.len(), false);
        self.hold(&numbers)?;
        self.groups.merge(&numbers, &states)?;
        self.numbers = numbers;
        Ok(())
    }

    /// Adds rows and remembers the results before them.
    fn merge(&mut self, batch: &ChangeBatch, now: i64) -> Result<()> {
        if self.merges {
            return self.merge_partial(batch, now);
        }
        let mut numbers = std::mem::take(&mut self.numbers);
        let mut rows = self.groups.rows(batch, now, |g| self.held.holds(g), &mut numbers)?;
        self.held.is_held.resize(self.groups.len(), false);
        if let Some(signs) = &rows.signs {
            // What is taken away from a group before its first row is ignored.
            let mut opened = std::collections::HashSet::new();
            let mut kept: Vec<u32> = vec![];
            for (row, g) in (0..).zip(&numbers) {
                let there = self.groups.is_live(*g) || self.held.is_held[*g as usize] || opened.contains(g);
                if there || signs[row as usize] > 0 {
                    if !there {
                        opened.insert(*g);
                    }
                    kept.push(row);
                }
            }
            if kept.len() < numbers.len() {
                rows = subset(&rows, &kept)?;
                numbers = kept.iter().map(|r| numbers[*r as usize]).collect();
            }
        }
        self.hold(&numbers)?;
        self.groups.add(&numbers, &rows)?;
        self.numbers = numbers;
        Ok(())
    }

    /// Remembers the results of groups, where that was not done since they were shown.
    fn hold(&mut self, numbers: &[u32]) -> Result<()> {
        let mut groups = vec![];
        for g in numbers {
            if !std::mem::replace(&mut self.held.is_held[*g as usize], true) {
                groups.push(*g);
            }
        }
        if !groups.is_empty() {
            let was_live = groups.iter().map(|g| self.groups.is_live(*g)).collect();
            let before = self.groups.results(Some(&groups))?;
            self.held.pieces.push(Piece { groups, was_live, before });
        }
        Ok(())
    }

    /// Emits what has changed since the results were remembered.
    fn show(&mut self, now: i64) -> Result<()> {
        self.gather.shown();
        let mut pieces = std::mem::take(&mut self.held.pieces);
        if matches!(self.spec.changes, Changes::Gathered(_)) {
            pieces = self.in_order(pieces)?;
        }
        for piece in pieces {
            let Piece { groups, was_live, before } = piece;
            let mut changed = Changed::default();
            let before = was_live.contains(&true).then_some(before);
            self.compare(&groups, &was_live, before, now, |i| i as u32, &mut changed)?;
            groups.iter().for_each(|g| self.held.is_held[*g as usize] = false);
            let keys = self.groups.keys(Some(&groups))?;
            self.emit(changed, &keys)?;
        }
        if self.groups.forget_ended()? {
            self.held.is_held.clear();
        }
        Ok(())
    }

    /// The groups of a mini-batch as one piece, as they leave.
    fn in_order(&mut self, pieces: Vec<Piece>) -> Result<Vec<Piece>> {
        let groups: Vec<u32> = pieces.iter().flat_map(|p| p.groups.iter().copied()).collect();
        if groups.is_empty() {
            return Ok(vec![]);
        }
        let order = self.order.of(&self.groups.keys(Some(&groups))?, groups.len());
        let was_live: Vec<bool> = pieces.iter().flat_map(|p| p.was_live.iter().copied()).collect();
        let places: UInt32Array = order.iter().copied().collect();
        let mut before = vec![];
        for column in 0..self.spec.aggregates.len() {
            let parts: Vec<&dyn Array> = pieces.iter().map(|p| p.before[column].as_ref()).collect();
            before.push(take(concat(&parts)?.as_ref(), &places, None)?);
        }
        Ok(vec![Piece {
            groups: order.iter().map(|i| groups[*i as usize]).collect(),
            was_live: order.iter().map(|i| was_live[*i as usize]).collect(),
            before,
        }])
    }

    fn emit(&mut self, changed: Changed, keys: &[ArrayRef]) -> Result<()> {
        let Changed { entries, chunks } = changed;
        if entries.is_empty() {
            return Ok(());
        }
        let rows: UInt32Array = entries.iter().map(|e| e.key).collect();
        let mut columns: Vec<ArrayRef> =
            keys.iter().map(|k| take(k.as_ref(), &rows, None)).collect::<std::result::Result<_, _>>()?;
        let places: Vec<(usize, usize)> = entries.iter().map(|e| (e.chunk as usize, e.place as usize)).collect();
        for column in 0..self.spec.aggregates.len() {
            let chunks: Vec<&dyn Array> = chunks.iter().map(|c| c[column].as_ref()).collect();
            columns.push(interleave(&chunks, &places)?);
        }
        let rows = assemble(&self.schema, columns, entries.len())?;
        let kinds: RowKinds = entries.iter().map(|e| e.kind).collect();
        self.output.push(ChangeBatch::new(rows, kinds)?);
        Ok(())
    }

    /// The results of a batch, piece by piece.
    fn finish(&mut self) -> Result<()> {
        let Some(groups) = &mut self.last else { return Ok(()) };
        let piece = groups.split_off(groups.len().saturating_sub(FINAL_ROWS));
        if groups.is_empty() {
            self.last = None;
        }
        if piece.is_empty() {
            return Ok(());
        }
        let mut columns = self.groups.keys(Some(&piece))?;
        columns.extend(self.groups.results(Some(&piece))?);
        self.output.push(ChangeBatch::append(assemble(&self.schema, columns, piece.len())?));
        Ok(())
    }

    fn drain(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.output.start();
        loop {
            if !self.output.drain(context) {
                return Ok(Progress::More);
            }
            if self.last.is_none() {
                break;
            }
            self.finish().map_err(|e| e.with("operator", &self.name))?;
        }
        if let Some(watermark) = self.then.take() {
            context.emit_watermark(watermark);
        }
        if let Some(at) = self.groups.sweep(context.processing_time_ms, |g| self.held.holds(g)) {
            context.register_timer(at);
        }
        if self.held.pieces.is_empty() && self.groups.forget_ended()? {
            self.rounds.clear();
            self.held.is_held.clear();
        }
        context.metrics.state_rows = self.groups.live_count() as u64;
        context.metrics.state_bytes = (self.groups.size_bytes() + self.held.size_bytes()) as u64;
        Ok(Progress::Done)
    }

    fn show_and_drain(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.show(context.processing_time_ms).map_err(|e| e.with("operator", &self.name))?;
        self.drain(context)
    }
}

impl Operator for GroupAggregate {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        self.add(&batch, context).map_err(|e| e.with("operator", &self.name))?;
        self.drain(context)
    }

    fn process_watermark(&mut self, watermark: Watermark, context: &mut OperatorContext) -> Result<Progress> {
        self.then = Some(watermark);
        self.show_and_drain(context)
    }

    fn on_processing_time(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        if self.gather.is_due(context) { self.show_and_drain(context) } else { self.drain(context) }
    }

    fn resume(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.drain(context)
    }

    fn prepare_snapshot(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.show_and_drain(context)
    }

    fn snapshot_state(&mut self) -> Result<OperatorSnapshot> {
        self.groups.seal().map_err(|e| e.with("operator", &self.name))
    }

    fn restore_state(&mut self, state: RestoredState) -> Result<()> {
        self.groups.restore(state, &self.name)
    }

    fn end_input(&mut self, _input: usize, context: &mut OperatorContext) -> Result<Progress> {
        if self.spec.changes == Changes::Final {
            let live = self.groups.live_groups();
            if live.is_empty() && self.spec.group_keys.is_empty() && self.is_first {
                self.output.push(ChangeBatch::append(assemble(&self.schema, self.groups.results_of_nothing()?, 1)?));
            } else {
                // From the last to the first, piece by piece.
                self.last = Some(live);
            }
        }
        self.show_and_drain(context)
    }

    fn holds_output(&self) -> bool {
        !self.held.pieces.is_empty() || !self.output.is_empty()
    }
}
