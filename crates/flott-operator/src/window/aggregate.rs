//! Window aggregation: TUMBLE, HOP, CUMULATE and windows attached to the rows; in one step, or global behind a local one.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, RecordBatch, UInt32Array, cast::AsArray};
use arrow_schema::{Field, Schema, SchemaRef};
use flott_core::key_group::{key_group, range_of};
use flott_core::{ChangeBatch, Error, Result, Watermark};
use flott_graph::{StateMeaning, WindowAggregateSpec};
use flott_state::{OperatorSnapshot, RestoredState};

use super::aggregation::Aggregation;
use super::assigner::{Partition, Shape, SliceAssigner, SliceId};
use super::fire::{Output, constant_window_columns};
use super::layout::Layout;
use super::shared::{Accumulated, Blocks, Merging};
use super::slices::{Account, Form, Piece, Pool, Slice, WINDOW_TABLE};
use crate::calc::assemble;
use crate::keyed::meaning;
use crate::operator::{Operator, OperatorContext, Progress};

/// Version of the stored form.
const STATE_VERSION: u32 = 1;

/// Whose rows an instance gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ownership {
    /// Key groups of the subtask.
    pub key_groups: Range<u16>,
    /// Of so many.
    pub max_parallelism: u16,
}

impl Ownership {
    /// Of one subtask.
    pub fn of(subtask: usize, parallelism: usize, max_parallelism: u16) -> Ownership {
        Ownership { key_groups: range_of(subtask, parallelism, max_parallelism), max_parallelism }
    }
}

/// Stored rows have the columns that the query wants now: an edit that changes them (one aggregate more) makes what was
/// stored of no use.
pub(crate) fn check_stored(expected: &Schema, rows: &RecordBatch, name: &str) -> Result<()> {
    let schema = rows.schema_ref();
    let types = |schema: &Schema| schema.fields().iter().map(|f| f.data_type().clone()).collect::<Vec<_>>();
    if types(expected) == types(schema) {
        return Ok(());
    }
    Err(Error::user(format!(
        "the stored state of '{name}' has {} columns of other types or number",
        schema.fields().len()
    ))
    .hint("The query has changed: restore with the script that wrote it, or start over with --fresh"))
}

/// All that is stored is in this table: an edit that changes how windows are kept makes it of no use.
pub(crate) fn check_table(state: &RestoredState, table: &str, name: &str) -> Result<()> {
    match state.runs.iter().find(|r| r.run.table != table) {
        None => Ok(()),
        Some(_) => Err(Error::user(format!("the stored state of '{name}' is of windows that were kept otherwise"))
            .hint("The query or an option has changed: restore with what wrote it, or start over with --fresh")),
    }
}

/// How far time had come for each key group when the state was stored; a rescaled operator starts at the least of it,
/// and holds back the windows that a faster subtask had already fired.
pub(crate) struct RestoredProgress {
    by_group: Vec<i64>,
    greatest: i64,
}

impl RestoredProgress {
    /// Of what is written.
    pub(crate) const BYTES: usize = 12;

    /// Little-endian: progress (8 bytes), first key group, end of the key groups (2 bytes each).
    pub(crate) fn write(progress: i64, ownership: &Ownership) -> Vec<u8> {
        let mut meta = progress.to_le_bytes().to_vec();
        meta.extend(ownership.key_groups.start.to_le_bytes());
        meta.extend(ownership.key_groups.end.to_le_bytes());
        meta
    }

    /// The least progress of the own key groups, and the rest where it differs.
    pub(crate) fn read(metas: &[Vec<u8>], ownership: &Ownership) -> Result<(i64, Option<RestoredProgress>)> {
        let mut by_group = vec![i64::MIN; usize::from(ownership.max_parallelism)];
        for meta in metas {
            let Ok(bytes) = <[u8; RestoredProgress::BYTES]>::try_from(meta.as_slice()) else {
                return Err(Error::internal(format!("the stored progress of a window has {} bytes", meta.len())));
            };
            let [p0, p1, p2, p3, p4, p5, p6, p7, s0, s1, e0, e1] = bytes;
            let progress = i64::from_le_bytes([p0, p1, p2, p3, p4, p5, p6, p7]);
            for group in u16::from_le_bytes([s0, s1])..u16::from_le_bytes([e0, e1]) {
                if let Some(p) = by_group.get_mut(usize::from(group)) {
                    *p = (*p).max(progress);
                }
            }
        }
        let own = ownership.key_groups.clone().filter_map(|g| by_group.get(usize::from(g)).copied());
        let (least, greatest) = own.fold((i64::MAX, i64::MIN), |(l, g), p| (l.min(p), g.max(p)));
        if greatest == i64::MIN {
            return Ok((i64::MIN, None));
        }
        Ok((least, (least < greatest).then_some(RestoredProgress { by_group, greatest })))
    }
}

/// Windows that are being fired.
struct Firing {
    /// Progress of time.
    until: i64,
    /// The last window that has fired in this call.
    last: Option<i64>,
    /// What follows the results.
    then: Option<Watermark>,
}

/// Aggregates rows (or the partial rows of local aggregates) by slice, and fires windows.
pub struct WindowAggregate {
    name: String,
    meaning: StateMeaning,
    layout: Arc<Layout>,
    assigner: SliceAssigner,
    /// Input is partial.
    global: bool,
    schema: SchemaRef,
    ownership: Ownership,
    slices: BTreeMap<SliceId, Slice>,
    account: Account,
    pool: Pool,
    blocks: Option<Blocks>,
    accumulated: Option<Accumulated>,
    /// The watermark, or with processing time the last millisecond that is over.
    progress: i64,
    restored: Option<RestoredProgress>,
    firing: Option<Firing>,
    output: Output,
    late_records_dropped: u64,
}

impl WindowAggregate {
    /// `global`: the input is what [`LocalWindowAggregate`](super::LocalWindowAggregate)s emit.
    pub fn new(
        name: &str,
        spec: &WindowAggregateSpec,
        schema: SchemaRef,
        global: bool,
        ownership: Ownership,
    ) -> Result<WindowAggregate> {
        let layout = Arc::new(Layout::new(spec).map_err(|e| e.with("operator", name))?);
        let assigner = SliceAssigner::new(&spec.assignment).map_err(|e| e.with("operator", name))?;
        let width = spec.group_keys.len() + spec.aggregates.len() + spec.properties.len();
        if schema.fields().len() != width {
            return Err(Error::internal(format!("{} output columns instead of {width}", schema.fields().len()))
                .with("operator", name));
        }
        let blocks = match assigner.shape {
            Shape::Hop { slide, offset, .. } => Some(Blocks::new(slide, offset)),
            _ => None,
        };
        Ok(WindowAggregate {
            name: name.to_string(),
            meaning: spec.meaning.clone(),
            layout,
            assigner,
            global,
            schema,
            ownership,
            slices: BTreeMap::new(),
            account: Account::default(),
            pool: Pool::default(),
            blocks,
            accumulated: None,
            progress: i64::MIN,
            restored: None,
            firing: None,
            output: Output::default(),
            late_records_dropped: 0,
        })
    }

    fn add(&mut self, batch: ChangeBatch, context: &mut OperatorContext) -> Result<()> {
        let batch = if self.global { batch } else { self.assigner.timed(batch)? };
        let partition = if self.global {
            self.partition_partial(&batch)?
        } else {
            self.assigner.assign(&batch.rows, context.processing_time_ms)?
        };
        let late: Vec<Range<usize>> = partition
            .slices
            .iter()
            .filter(|(s, _)| self.assigner.is_late(*s, self.progress))
            .map(|(_, rows)| rows.clone())
            .collect();
        if !late.is_empty() {
            let all = late.len() == partition.slices.len();
            self.count_late(&batch, &partition, late, context)?;
            if all {
                return Ok(());
            }
        }
        if self.global { self.add_partial(&batch, &partition) } else { self.add_raw(&batch, &partition) }
    }

    /// Late rows are counted, and leave by port 1 where somebody wants them.
    fn count_late(
        &mut self,
        batch: &ChangeBatch,
        partition: &Partition,
        ranges: Vec<Range<usize>>,
        context: &mut OperatorContext,
    ) -> Result<()> {
        let rows: Vec<u32> = match &partition.order {
            Some(order) => ranges.iter().flat_map(|r| order.values()[r.clone()].iter().copied()).collect(),
            None => ranges.iter().flat_map(|r| r.start as u32..r.end as u32).collect(),
        };
        if self.global {
            let counts = batch.rows.column(self.partial_row_count());
            let counts = counts.as_primitive::<Int64Type>();
            self.late_records_dropped += rows.iter().map(|r| counts.value(*r as usize).unsigned_abs()).sum::<u64>();
            return Ok(());
        }
        self.late_records_dropped += rows.len() as u64;
        if self.layout.spec.late_output {
            let mut rows = rows;
            rows.sort_unstable();
            context.emit_to(1, batch.take(&UInt32Array::from(rows))?);
        }
        Ok(())
    }

    /// The column of partial rows that counts raw rows.
    fn partial_row_count(&self) -> usize {
        self.layout.partial_row_count
    }

    fn partition_partial(&self, batch: &ChangeBatch) -> Result<Partition> {
        let columns: Vec<usize> = (0..self.layout.partial.fields().len()).collect();
        Layout::check_types(&self.layout.partial, &columns, &batch.rows)?;
        let at = self.layout.keys();
        let ends = batch.rows.column(at).as_primitive::<Int64Type>().values();
        let starts =
            self.layout.has_start.then(|| batch.rows.column(at + 1).as_primitive::<Int64Type>().values().as_ref());
        Ok(SliceAssigner::assign_partial(ends, starts))
    }

    /// The slice that takes rows of this slice; merges that hold it are undone.
    fn open(&mut self, slice: SliceId) -> Result<&mut Slice> {
        let target = self.assigner.target(slice, self.progress);
        if let Some(blocks) = &mut self.blocks {
            blocks.invalidate(target.end);
        }
        let slice = self.slices.entry(target).or_insert_with(|| Slice::new(&self.account));
        slice.open(&self.layout, &mut self.pool)?;
        Ok(slice)
    }

    fn add_raw(&mut self, batch: &ChangeBatch, partition: &Partition) -> Result<()> {
        let prepared = self.layout.prepare(batch, partition.order.as_ref())?;
        for (slice, range) in &partition.slices {
            if !self.assigner.is_late(*slice, self.progress) {
                self.open(*slice)?.change(|groups| groups.update(&prepared, range.clone()))?;
            }
        }
        Ok(())
    }

    fn add_partial(&mut self, batch: &ChangeBatch, partition: &Partition) -> Result<()> {
        let rows = match &partition.order {
            Some(order) => arrow_select::take::take_record_batch(&batch.rows, order)?,
            None => batch.rows.clone(),
        };
        let keys = self.layout.keys();
        let accumulators = self.layout.partial_accumulators();
        for (slice, range) in &partition.slices {
            if self.assigner.is_late(*slice, self.progress) {
                continue;
            }
            let part = rows.slice(range.start, range.len());
            let columns = part.columns();
            self.open(*slice)?.change(|groups| {
                groups.merge(&columns[..keys], &columns[accumulators.clone()], range.len()).map(drop)
            })?;
        }
        Ok(())
    }

    /// The next window that has not fired.
    fn next_window(&mut self, last: Option<i64>) -> Option<SliceId> {
        loop {
            let first = *self.slices.keys().next()?;
            let Some(step) = self.assigner.shared_step() else { return Some(first) };
            let last_end = self.assigner.last_window_end(first.end);
            let mut end = first.end;
            while end <= last_end && (last.is_some_and(|l| end <= l) || self.assigner.is_over(end, self.progress)) {
                end += step;
            }
            if end <= last_end {
                return Some(SliceId::ending_at(end));
            }
            // All its windows have fired (a restored slice may be that old).
            self.slices.remove(&first);
        }
    }

    /// Fires what is due, as far as there is room.
    fn advance(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.output.start();
        while let Some(firing) = &self.firing {
            if !self.output.drain(context) {
                return Ok(Progress::More);
            }
            let (until, last) = (firing.until, firing.last);
            match self.next_window(last).filter(|w| self.assigner.is_over(w.end, until)) {
                Some(window) => {
                    self.fire(window)?;
                    if let Some(firing) = &mut self.firing {
                        firing.last = Some(window.end);
                    }
                }
                None => {
                    self.progress = until;
                    if self.restored.as_ref().is_some_and(|r| r.greatest <= until) {
                        self.restored = None;
                    }
                    if let Some(watermark) = self.firing.take().and_then(|f| f.then) {
                        context.emit_watermark(watermark);
                    }
                }
            }
        }
        self.report(context);
        Ok(Progress::Done)
    }

    fn fire(&mut self, window: SliceId) -> Result<()> {
        let start = self.assigner.window_start(window);
        let merging = |slices, pool| Merging {
            layout: &self.layout,
            slices,
            pool,
            max_parallelism: self.ownership.max_parallelism,
        };
        match self.assigner.shape {
            Shape::Tumble { .. } | Shape::Attached { .. } => {
                if let Some(slice) = self.slices.remove(&window) {
                    let result = slice.into_aggregation(&self.layout, window, &mut self.pool)?;
                    self.emit_window(&result, start, window.end)?;
                    self.pool.put(result);
                }
            }
            Shape::Hop { size, slide, .. } => {
                let Some(blocks) = &mut self.blocks else {
                    return Err(Error::internal("a HOP without blocks"));
                };
                let result = blocks.window(start, window.end, merging(&mut self.slices, &mut self.pool))?;
                self.emit_window(&result, start, window.end)?;
                self.pool.put(result);
                // The first slice of this window is in no later one.
                let first = window.end.saturating_sub(size).saturating_add(slide);
                self.slices = self.slices.split_off(&SliceId { end: first.saturating_add(1), start: i64::MIN });
                if let Some(blocks) = &mut self.blocks {
                    blocks.expire(first.saturating_add(slide));
                }
            }
            Shape::Cumulate { max_size, .. } => {
                let kept = self.accumulated.take();
                let on = merging(&mut self.slices, &mut self.pool);
                let accumulated = Accumulated::advance(kept, start, window.end, on)?;
                self.emit_window(&accumulated.aggregation, start, window.end)?;
                if window.end >= start.saturating_add(max_size) {
                    self.pool.put(accumulated.aggregation);
                    self.slices =
                        self.slices.split_off(&SliceId { end: window.end.saturating_add(1), start: i64::MIN });
                } else {
                    self.accumulated = Some(accumulated);
                }
            }
        }
        Ok(())
    }

    fn emit_window(&mut self, result: &Aggregation, start: i64, end: i64) -> Result<()> {
        let counts = result.accumulators.get(self.layout.row_count).and_then(|a| a.counts()).unwrap_or(&[]);
        let fired_before = self.restored.as_ref().filter(|r| self.assigner.is_over(end, r.greatest));
        let is_out = |g: usize| {
            counts.get(g).is_some_and(|n| *n <= 0)
                || fired_before.is_some_and(|r| {
                    let group = key_group(result.table.hashes()[g], self.ownership.max_parallelism);
                    r.by_group.get(usize::from(group)).is_some_and(|p| self.assigner.is_over(end, *p))
                })
        };
        // All groups as a rule: then nothing is picked.
        let of: Option<Vec<u32>> = (0..result.len())
            .any(is_out)
            .then(|| (0..result.len()).filter(|g| !is_out(*g)).map(|g| g as u32).collect());
        let rows = of.as_ref().map_or(result.len(), Vec::len);
        if rows == 0 {
            return Ok(());
        }
        let mut columns = result.table.key_columns(of.as_deref())?;
        for accumulator in &result.accumulators[..self.layout.spec.aggregates.len()] {
            columns.push(accumulator.finish(of.as_deref())?);
        }
        let fields: Vec<&Field> = self.schema.fields()[columns.len()..].iter().map(AsRef::as_ref).collect();
        let window: Vec<ArrayRef> =
            constant_window_columns(&self.layout.spec.properties, &fields, (start, end), rows, &self.assigner.zone)?;
        columns.extend(window);
        self.output.push(ChangeBatch::append(assemble(&self.schema, columns, rows)?));
        Ok(())
    }

    /// Asks for the timer of the next window of processing time, and shows the counters.
    fn report(&mut self, context: &mut OperatorContext) {
        if !self.assigner.event_time
            && let Some(window) = self.next_window(None)
        {
            // A timer for the last millisecond of the window is due when that is over.
            context.register_timer(self.assigner.zone.to_timer(window.end.saturating_sub(1)).saturating_add(1));
        }
        context.metrics.late_records_dropped = self.late_records_dropped;
        context.metrics.state_rows = self.account.rows() as u64;
        let merged = self.blocks.as_ref().map_or(0, Blocks::size_bytes)
            + self.accumulated.as_ref().map_or(0, |a| a.aggregation.size_bytes());
        context.metrics.state_bytes = (self.account.bytes() + merged) as u64;
    }
}

impl Operator for WindowAggregate {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        self.add(batch, context).map_err(|e| e.with("operator", &self.name))?;
        self.report(context);
        Ok(Progress::Done)
    }

    fn process_watermark(&mut self, watermark: Watermark, context: &mut OperatorContext) -> Result<Progress> {
        if !self.assigner.event_time || watermark.0 <= self.progress {
            context.emit_watermark(watermark);
            return Ok(Progress::Done);
        }
        self.firing = Some(Firing { until: watermark.0, last: None, then: Some(watermark) });
        self.advance(context).map_err(|e| e.with("operator", &self.name))
    }

    fn on_processing_time(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        if self.assigner.event_time {
            // After a restore this is the first call: what was restored shows.
            self.report(context);
            return Ok(Progress::Done);
        }
        let until = context.processing_time_ms.saturating_sub(1);
        self.firing = Some(Firing { until: until.max(self.progress), last: None, then: None });
        self.advance(context).map_err(|e| e.with("operator", &self.name))
    }

    fn resume(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.advance(context).map_err(|e| e.with("operator", &self.name))
    }

    fn snapshot_state(&mut self) -> Result<OperatorSnapshot> {
        let mut runs = vec![];
        for (id, slice) in &mut self.slices {
            let form = Form::new(&self.layout, *id, self.ownership.max_parallelism);
            slice.seal(&form, &mut self.pool, &mut runs)?;
        }
        let meta = RestoredProgress::write(self.progress, &self.ownership);
        Ok(meaning::seal(OperatorSnapshot { version: STATE_VERSION, meta, runs }, &self.meaning))
    }

    fn restore_state(&mut self, state: RestoredState) -> Result<()> {
        if state.version != STATE_VERSION && !state.runs.is_empty() {
            return Err(Error::user(format!(
                "the state of '{}' has version {}, which is not known",
                self.name, state.version
            ))
            .hint("Restore it with the version of Flott that wrote it"));
        }
        let state = meaning::open(state, RestoredProgress::BYTES, &self.meaning, &self.name)?;
        (self.progress, self.restored) = RestoredProgress::read(&state.metas, &self.ownership)?;
        check_table(&state, WINDOW_TABLE, &self.name)?;
        for run in state.table(WINDOW_TABLE) {
            let stored = run.rows()?;
            check_stored(&self.layout.state, stored, &self.name)?;
            let ends = stored.column(1).as_primitive::<Int64Type>().values();
            let starts: Option<&[i64]> =
                self.layout.has_start.then(|| stored.column(2).as_primitive::<Int64Type>().values().as_ref());
            let partition = SliceAssigner::assign_partial(ends, starts);
            let whole = partition.order.is_none();
            let rows = match &partition.order {
                Some(order) => arrow_select::take::take_record_batch(stored, order)?,
                None => stored.clone(),
            };
            for (slice, range) in partition.slices {
                let piece = if whole {
                    Piece::stored(Arc::clone(run))?
                } else {
                    Piece::new(rows.slice(range.start, range.len()))?
                };
                let slice = self.slices.entry(slice).or_insert_with(|| Slice::new(&self.account));
                slice.pieces.push(piece);
                slice.count();
            }
        }
        Ok(())
    }

    fn next_event_time_timer(&mut self) -> Option<i64> {
        if !self.assigner.event_time {
            return None;
        }
        let window = self.next_window(None)?;
        Some(self.assigner.zone.to_timer(window.end.saturating_sub(1)))
    }
}
