//! Window aggregation that shows results before the end of a window and corrects them after it (`table.exec.emit.*`).
//!
//! Each window keeps all its groups at hand with what was last emitted for them, so that a new result retracts the old.
//! Rows are added to each of their windows; nothing is shared between them here.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::types::Int64Type;
use arrow_array::{
    ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array, cast::AsArray, new_null_array,
};
use arrow_row::{OwnedRow, RowConverter, SortField};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use flott_core::{ChangeBatch, Error, Result, RowKind, RowKinds, Watermark};
use flott_graph::{EmitStrategy, WindowAggregateSpec};
use flott_state::{OperatorSnapshot, RestoredState, StateRun};

use super::aggregate::{Ownership, RestoredProgress, check_stored};
use super::aggregation::Aggregation;
use super::assigner::{SliceAssigner, SliceId};
use super::fire::{Output, constant_window_columns};
use super::layout::Layout;
use super::table_function::windows_of;
use crate::calc::assemble;
use crate::operator::{Operator, OperatorContext, Progress};

/// Version of the stored form.
const STATE_VERSION: u32 = 1;
/// The one state table.
const EMIT_TABLE: &str = "emitted";

/// One window.
struct Window {
    aggregation: Aggregation,
    /// What was last emitted for each group.
    emitted: Vec<Option<OwnedRow>>,
    /// Groups that changed since, in order, each once.
    changed: Vec<u32>,
    is_changed: Vec<bool>,
    /// When changes are shown (processing time).
    show_at: Option<i64>,
    /// The regular result at the end has been shown.
    fired: bool,
    run: Option<Arc<StateRun>>,
}

/// Memory of a row that was emitted, beside its text: what can be told without looking at each.
const EMITTED_ROW_BYTES: usize = 64;

impl Window {
    /// Estimated memory.
    fn size_bytes(&self) -> usize {
        self.aggregation.size_bytes()
            + self.emitted.capacity() * (size_of::<Option<OwnedRow>>() + EMITTED_ROW_BYTES)
            + self.changed.capacity() * 4
            + self.is_changed.capacity()
    }
}

/// Fires early, at the end, and late, with retractions.
pub struct EmitWindowAggregate {
    name: String,
    layout: Layout,
    assigner: SliceAssigner,
    emit: EmitStrategy,
    schema: SchemaRef,
    ownership: Ownership,
    converter: RowConverter,
    state_schema: SchemaRef,
    windows: BTreeMap<SliceId, Window>,
    progress: i64,
    output: Output,
    then: Option<Watermark>,
    late_records_dropped: u64,
}

impl EmitWindowAggregate {
    /// In one phase, with `spec.emit`.
    pub fn new(
        name: &str,
        spec: &WindowAggregateSpec,
        schema: SchemaRef,
        ownership: Ownership,
    ) -> Result<EmitWindowAggregate> {
        let layout = Layout::new(spec).map_err(|e| e.with("operator", name))?;
        let assigner = SliceAssigner::new(&spec.assignment).map_err(|e| e.with("operator", name))?;
        let keys = spec.group_keys.len();
        if schema.fields().len() != keys + spec.aggregates.len() + spec.properties.len() {
            return Err(Error::internal("the output of a window aggregate has other columns").with("operator", name));
        }
        let results: Vec<Field> =
            schema.fields()[keys..keys + spec.aggregates.len()].iter().map(|f| f.as_ref().clone()).collect();
        let sort = results.iter().map(|f| SortField::new(f.data_type().clone())).collect();
        let converter = RowConverter::new(sort)?;
        let mut state: Vec<Field> = layout.state.fields().iter().map(|f| f.as_ref().clone()).collect();
        state.push(Field::new("$is_emitted", DataType::Boolean, false));
        state.push(Field::new("$is_fired", DataType::Boolean, false));
        state.extend(
            results.iter().enumerate().map(|(i, f)| Field::new(format!("$emitted_{i}"), f.data_type().clone(), true)),
        );
        Ok(EmitWindowAggregate {
            name: name.to_string(),
            layout,
            assigner,
            emit: spec.emit.clone(),
            schema,
            ownership,
            converter,
            state_schema: Arc::new(Schema::new(state)),
            windows: BTreeMap::new(),
            progress: i64::MIN,
            output: Output::default(),
            then: None,
            late_records_dropped: 0,
        })
    }

    fn lateness_ms(&self) -> i64 {
        i64::try_from(self.emit.allow_lateness.as_millis()).unwrap_or(i64::MAX)
    }

    /// Whether a window and its lateness are over at this progress.
    fn is_gone(&self, end: i64, progress: i64) -> bool {
        let lateness = if self.assigner.event_time { self.lateness_ms() } else { 0 };
        progress != i64::MIN && self.assigner.zone.to_timer(end.saturating_sub(1)).saturating_add(lateness) <= progress
    }

    fn add(&mut self, batch: ChangeBatch, context: &mut OperatorContext) -> Result<()> {
        let partition = self.assigner.assign(&batch.rows, context.processing_time_ms)?;
        let at_once = |delay: Option<std::time::Duration>| delay.is_some_and(|d| d.is_zero());
        let shows_rows =
            (at_once(self.emit.early_fire) || !self.emit.allow_lateness.is_zero()) && !self.layout.spec.merge_changes;
        if !shows_rows {
            return self.add_rows(&batch, context);
        }
        if partition.slices.is_empty() {
            return Ok(());
        }
        // The changelog of single rows is visible, so changes of a batch may not be merged.
        for row in 0..batch.num_rows() {
            self.add_rows(&batch.slice(row, 1), context)?;
        }
        Ok(())
    }

    fn add_rows(&mut self, batch: &ChangeBatch, context: &mut OperatorContext) -> Result<()> {
        let partition = self.assigner.assign(&batch.rows, context.processing_time_ms)?;
        let prepared = self.layout.prepare(batch, partition.order.as_ref())?;
        let now = context.processing_time_ms;
        for (slice, range) in &partition.slices {
            let open: Vec<SliceId> = windows_of(&self.assigner, *slice)
                .into_iter()
                .rev()
                .map(|end| SliceId { end, start: slice.start })
                .filter(|w| !self.assigner.event_time || !self.is_gone(w.end, self.progress))
                .collect();
            if open.is_empty() {
                self.late_records_dropped += range.len() as u64;
                if self.layout.spec.late_output {
                    let rows: Vec<u32> = match &partition.order {
                        Some(order) => order.values()[range.clone()].to_vec(),
                        None => (range.start as u32..range.end as u32).collect(),
                    };
                    self.output.push_to(1, batch.take(&UInt32Array::from(rows))?);
                }
                continue;
            }
            for id in open {
                let is_over = self.assigner.is_over(id.end, self.progress);
                let window = match self.windows.entry(id) {
                    std::collections::btree_map::Entry::Occupied(e) => e.into_mut(),
                    std::collections::btree_map::Entry::Vacant(e) => e.insert(Window {
                        aggregation: Aggregation::new(&self.layout)?,
                        emitted: vec![],
                        changed: vec![],
                        is_changed: vec![],
                        show_at: None,
                        fired: is_over,
                        run: None,
                    }),
                };
                window.run = None;
                window.aggregation.update(&prepared, range.clone())?;
                window.emitted.resize(window.aggregation.len(), None);
                window.is_changed.resize(window.aggregation.len(), false);
                for g in window.aggregation.last_groups() {
                    if !std::mem::replace(&mut window.is_changed[*g as usize], true) {
                        window.changed.push(*g);
                    }
                }
                // After its end a window without an interval shows each late row at once.
                let delay = if is_over { Some(self.emit.late_fire.unwrap_or_default()) } else { self.emit.early_fire };
                match delay {
                    Some(d) if d.is_zero() => self.show(id)?,
                    Some(d) => {
                        let at = now.saturating_add(i64::try_from(d.as_millis()).unwrap_or(i64::MAX));
                        window.show_at.get_or_insert(at);
                    }
                    None => {}
                }
            }
        }
        Ok(())
    }

    /// Emits what has changed in a window.
    fn show(&mut self, id: SliceId) -> Result<()> {
        let Some(window) = self.windows.get_mut(&id) else { return Ok(()) };
        window.show_at = None;
        let changed = std::mem::take(&mut window.changed);
        if changed.is_empty() {
            return Ok(());
        }
        window.run = None;
        let results: Vec<ArrayRef> = window.aggregation.accumulators[..self.layout.spec.aggregates.len()]
            .iter()
            .map(|a| a.finish(Some(&changed)))
            .collect::<Result<_>>()?;
        let counts = window.aggregation.accumulators.get(self.layout.row_count).and_then(|a| a.counts()).unwrap_or(&[]);
        let new = if results.is_empty() { None } else { Some(self.converter.convert_columns(&results)?) };
        let none = self.converter.parser();
        let mut kinds: Vec<RowKind> = vec![];
        let mut groups: Vec<u32> = vec![];
        let mut rows: Vec<OwnedRow> = vec![];
        for (i, g) in changed.iter().enumerate() {
            window.is_changed[*g as usize] = false;
            let alive = counts.get(*g as usize).is_none_or(|n| *n > 0);
            let now = alive.then(|| new.as_ref().map_or_else(|| none.parse(&[]).owned(), |n| n.row(i).owned()));
            let before = std::mem::replace(&mut window.emitted[*g as usize], now.clone());
            let mut push = |kind: RowKind, row: OwnedRow| {
                kinds.push(kind);
                groups.push(*g);
                rows.push(row);
            };
            match (before, now) {
                (None, None) => {}
                (None, Some(now)) => push(RowKind::Insert, now),
                (Some(before), None) => push(RowKind::Delete, before),
                (Some(before), Some(now)) if before == now => {}
                (Some(before), Some(now)) => {
                    push(RowKind::UpdateBefore, before);
                    push(RowKind::UpdateAfter, now);
                }
            }
        }
        if rows.is_empty() {
            return Ok(());
        }
        let n = rows.len();
        let mut columns = window.aggregation.table.key_columns(Some(&groups))?;
        if new.is_some() {
            columns.extend(self.converter.convert_rows(rows.iter().map(OwnedRow::row))?);
        }
        let fields: Vec<&Field> = self.schema.fields()[columns.len()..].iter().map(AsRef::as_ref).collect();
        let bounds = (self.assigner.window_start(id), id.end);
        columns.extend(constant_window_columns(&self.layout.spec.properties, &fields, bounds, n, &self.assigner.zone)?);
        let rows = assemble(&self.schema, columns, n)?;
        self.output.push(ChangeBatch::new(rows, kinds.into_iter().collect::<RowKinds>())?);
        Ok(())
    }

    /// Time has come this far: windows that end now show their result, those whose lateness is over go.
    fn fire(&mut self, progress: i64) -> Result<()> {
        let due: Vec<SliceId> = self
            .windows
            .iter()
            .filter(|(w, s)| !s.fired && self.assigner.is_over(w.end, progress))
            .map(|(w, _)| *w)
            .collect();
        for id in due {
            self.show(id)?;
            if let Some(window) = self.windows.get_mut(&id) {
                window.fired = true;
                window.run = None;
            }
        }
        self.progress = self.progress.max(progress);
        let gone: Vec<SliceId> = self.windows.keys().filter(|w| self.is_gone(w.end, progress)).copied().collect();
        for id in gone {
            self.show(id)?;
            self.windows.remove(&id);
        }
        Ok(())
    }

    fn drain(&mut self, context: &mut OperatorContext) -> Progress {
        self.output.start();
        if !self.output.drain(context) {
            return Progress::More;
        }
        if let Some(watermark) = self.then.take() {
            context.emit_watermark(watermark);
        }
        for (id, window) in &self.windows {
            if let Some(at) = window.show_at {
                context.register_timer(at);
            }
            if !self.assigner.event_time {
                context.register_timer(self.assigner.zone.to_timer(id.end.saturating_sub(1)).saturating_add(1));
            }
        }
        context.metrics.late_records_dropped = self.late_records_dropped;
        context.metrics.state_rows = self.windows.values().map(|w| w.aggregation.len()).sum::<usize>() as u64;
        context.metrics.state_bytes = self.windows.values().map(Window::size_bytes).sum::<usize>() as u64;
        Progress::Done
    }

    fn seal(&self, id: SliceId, window: &Window) -> Result<Arc<StateRun>> {
        let n = window.aggregation.len();
        let state = window.aggregation.to_state(&self.layout, id, self.ownership.max_parallelism)?;
        let mut columns = state.columns().to_vec();
        columns.push(Arc::new(window.emitted.iter().map(|e| Some(e.is_some())).collect::<BooleanArray>()));
        columns.push(Arc::new(BooleanArray::from(vec![window.fired; n])));
        if !self.layout.spec.aggregates.is_empty() {
            let first = columns.len();
            let empty: Vec<ArrayRef> =
                self.state_schema.fields()[first..].iter().map(|f| new_null_array(f.data_type(), 1)).collect();
            let empty = self.converter.convert_columns(&empty)?;
            let rows = window.emitted.iter().map(|e| e.as_ref().map_or_else(|| empty.row(0), OwnedRow::row));
            columns.extend(self.converter.convert_rows(rows)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(n));
        StateRun::seal(
            EMIT_TABLE,
            RecordBatch::try_new_with_options(Arc::clone(&self.state_schema), columns, &options)?,
        )
    }
}

impl Operator for EmitWindowAggregate {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        self.add(batch, context).map_err(|e| e.with("operator", &self.name))?;
        Ok(self.drain(context))
    }

    fn process_watermark(&mut self, watermark: Watermark, context: &mut OperatorContext) -> Result<Progress> {
        if self.assigner.event_time {
            self.fire(watermark.0).map_err(|e| e.with("operator", &self.name))?;
        }
        self.then = Some(watermark);
        Ok(self.drain(context))
    }

    fn on_processing_time(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        let now = context.processing_time_ms;
        let due: Vec<SliceId> =
            self.windows.iter().filter(|(_, w)| w.show_at.is_some_and(|t| t <= now)).map(|(id, _)| *id).collect();
        for id in due {
            self.show(id).map_err(|e| e.with("operator", &self.name))?;
        }
        if !self.assigner.event_time {
            self.fire(now.saturating_sub(1)).map_err(|e| e.with("operator", &self.name))?;
        }
        Ok(self.drain(context))
    }

    fn resume(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        Ok(self.drain(context))
    }

    /// Windows that changed since the last snapshot are written whole.
    fn snapshot_state(&mut self) -> Result<OperatorSnapshot> {
        let mut runs = vec![];
        for (id, window) in &self.windows {
            runs.push(match &window.run {
                Some(run) => Arc::clone(run),
                None => self.seal(*id, window)?,
            });
        }
        for (window, run) in self.windows.values_mut().zip(&runs) {
            window.run = Some(Arc::clone(run));
        }
        let meta = RestoredProgress::write(self.progress, &self.ownership);
        Ok(OperatorSnapshot { version: STATE_VERSION, meta, runs })
    }

    fn restore_state(&mut self, state: RestoredState) -> Result<()> {
        (self.progress, _) = RestoredProgress::read(&state.metas, &self.ownership)?;
        for run in state.table(EMIT_TABLE) {
            check_stored(&self.state_schema, &run.rows, &self.name)?;
            let columns = run.rows.columns();
            let Some(end) = columns[1].as_primitive::<Int64Type>().values().first() else { continue };
            let start = if self.layout.has_start { columns[2].as_primitive::<Int64Type>().value(0) } else { 0 };
            let id = SliceId { end: *end, start };
            let mut window = match self.windows.remove(&id) {
                Some(window) => window,
                None => Window {
                    aggregation: Aggregation::new(&self.layout)?,
                    emitted: vec![],
                    changed: vec![],
                    is_changed: vec![],
                    show_at: None,
                    fired: true,
                    run: None,
                },
            };
            let first = self.layout.state.fields().len();
            window.aggregation.merge_state(&self.layout, &run.rows)?;
            let groups = window.aggregation.last_groups().to_vec();
            window.emitted.resize(window.aggregation.len(), None);
            window.is_changed.resize(window.aggregation.len(), false);
            let (is_emitted, fired) = (columns[first].as_boolean(), columns[first + 1].as_boolean());
            let results = &columns[first + 2..];
            let rows = if results.is_empty() { None } else { Some(self.converter.convert_columns(results)?) };
            let parser = self.converter.parser();
            for (row, g) in groups.iter().enumerate() {
                if is_emitted.value(row) {
                    let owned = rows.as_ref().map_or_else(|| parser.parse(&[]).owned(), |r| r.row(row).owned());
                    window.emitted[*g as usize] = Some(owned);
                }
                window.fired &= fired.value(row);
                // What had not been shown is compared when the window fires next; equal results emit nothing.
                if !std::mem::replace(&mut window.is_changed[*g as usize], true) {
                    window.changed.push(*g);
                }
            }
            // The next timer shows what waited for one that is lost; before its end a window may show nothing.
            window.show_at = (window.fired || self.emit.early_fire.is_some()).then_some(i64::MIN);
            self.windows.insert(id, window);
        }
        Ok(())
    }
}
