//! Window aggregation that shows results before the end of a window and corrects them after it (`table.exec.emit.*`), or
//! at the end alone, where windows are kept whole.
//!
//! Each window keeps all its groups at hand with what was last emitted for them, so that a new result retracts the old.
//! Rows are added to each of their windows; nothing is shared between them here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::types::Int64Type;
use arrow_array::{
    ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array, cast::AsArray, new_null_array,
};
use arrow_row::{OwnedRow, RowConverter, SortField};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use flott_core::{ChangeBatch, Error, Result, RowKind, RowKinds, Watermark};
use flott_graph::{EmitStrategy, StateMeaning, WindowAggregateSpec};
use flott_state::{OperatorSnapshot, RestoredState, StateRun};

use super::aggregate::{Ownership, RestoredProgress, check_stored, check_table};
use super::aggregation::Aggregation;
use super::assigner::{SliceAssigner, SliceId};
use super::fire::{Output, constant_window_columns};
use super::layout::Layout;
use crate::calc::assemble;
use crate::keyed::meaning;
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
    /// What the operator's sums hold of it.
    counted: Size,
}

/// Rows and bytes of state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Size {
    rows: usize,
    bytes: usize,
}

/// Memory of a row that was emitted, beside its text: what can be told without looking at each.
const EMITTED_ROW_BYTES: usize = 64;

impl Window {
    /// One without rows.
    fn new(layout: &Layout, fired: bool) -> Result<Window> {
        Ok(Window {
            aggregation: Aggregation::new(layout)?,
            emitted: vec![],
            changed: vec![],
            is_changed: vec![],
            show_at: None,
            fired,
            run: None,
            counted: Size::default(),
        })
    }

    /// Estimated memory.
    fn size(&self) -> Size {
        let bytes = self.aggregation.size_bytes()
            + self.emitted.capacity() * (size_of::<Option<OwnedRow>>() + EMITTED_ROW_BYTES)
            + self.changed.capacity() * 4
            + self.is_changed.capacity();
        Size { rows: self.aggregation.len(), bytes }
    }
}

/// Fires early, at the end, and late, with retractions; by [`EmitStrategy::default`] at the end alone.
pub struct EmitWindowAggregate {
    name: String,
    meaning: StateMeaning,
    layout: Layout,
    assigner: SliceAssigner,
    emit: EmitStrategy,
    /// Results depend on the order of the rows of several slices.
    in_order: bool,
    schema: SchemaRef,
    ownership: Ownership,
    converter: RowConverter,
    state_schema: SchemaRef,
    windows: BTreeMap<SliceId, Window>,
    /// Windows by the time at which they end: each batch and each watermark looks only at those that it concerns.
    ends: BTreeSet<(i64, SliceId)>,
    /// Those of them that have not fired.
    unfired: BTreeSet<(i64, SliceId)>,
    /// Windows by the processing time at which their changes are shown.
    showing: BTreeSet<(i64, SliceId)>,
    /// Windows whose size has changed.
    touched: BTreeSet<SliceId>,
    /// Of all windows, but for the touched ones.
    size: Size,
    progress: i64,
    output: Output,
    then: Option<Watermark>,
    late_records_dropped: u64,
}

impl EmitWindowAggregate {
    /// In one phase, by `spec.emit`.
    pub fn new(
        name: &str,
        spec: &WindowAggregateSpec,
        schema: SchemaRef,
        ownership: Ownership,
    ) -> Result<EmitWindowAggregate> {
        let layout = Layout::new(spec).map_err(|e| e.with("operator", name))?;
        let assigner = SliceAssigner::new(&spec.assignment).map_err(|e| e.with("operator", name))?;
        let follows_order = spec.aggregates.iter().any(|call| call.kind.follows_order());
        let in_order = follows_order && assigner.shared_step().is_some();
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
            meaning: spec.meaning.clone(),
            layout,
            assigner,
            emit: spec.emit.clone(),
            in_order,
            schema,
            ownership,
            converter,
            state_schema: Arc::new(Schema::new(state)),
            windows: BTreeMap::new(),
            ends: BTreeSet::new(),
            unfired: BTreeSet::new(),
            showing: BTreeSet::new(),
            touched: BTreeSet::new(),
            size: Size::default(),
            progress: i64::MIN,
            output: Output::default(),
            then: None,
            late_records_dropped: 0,
        })
    }

    fn lateness_ms(&self) -> i64 {
        i64::try_from(self.emit.allow_lateness.as_millis()).unwrap_or(i64::MAX)
    }

    /// The time at which a window is over.
    fn timer(&self, id: SliceId) -> i64 {
        self.assigner.zone.to_timer(id.end.saturating_sub(1))
    }

    /// Whether a window that is over at this time has also had its lateness at this progress.
    fn is_gone(&self, timer: i64, progress: i64) -> bool {
        let lateness = if self.assigner.event_time { self.lateness_ms() } else { 0 };
        progress != i64::MIN && timer.saturating_add(lateness) <= progress
    }

    /// Windows in a set that are over at this progress, in the order of their ends.
    fn over(set: &BTreeSet<(i64, SliceId)>, is_over: impl Fn(i64) -> bool) -> Vec<SliceId> {
        let mut over: Vec<SliceId> = set.iter().take_while(|(timer, _)| is_over(*timer)).map(|(_, id)| *id).collect();
        // Where clocks are changed, windows with several ends are over at the same time.
        over.sort_unstable();
        over
    }

    /// A window from here on.
    fn insert(&mut self, id: SliceId, window: Window) {
        let timer = self.timer(id);
        self.ends.insert((timer, id));
        if !window.fired {
            self.unfired.insert((timer, id));
        }
        if let Some(at) = window.show_at {
            self.showing.insert((at, id));
        }
        self.touched.insert(id);
        self.windows.insert(id, window);
    }

    fn remove(&mut self, id: SliceId) -> Option<Window> {
        let window = self.windows.remove(&id)?;
        let timer = self.timer(id);
        self.ends.remove(&(timer, id));
        self.unfired.remove(&(timer, id));
        if let Some(at) = window.show_at {
            self.showing.remove(&(at, id));
        }
        self.touched.remove(&id);
        self.size.rows -= window.counted.rows;
        self.size.bytes -= window.counted.bytes;
        Some(window)
    }

    /// Whether what is kept about the windows is true of them.
    fn is_indexed(&self) -> bool {
        let ends = |set: &BTreeSet<(i64, SliceId)>, chosen: &dyn Fn(&Window) -> bool| {
            set.len() == self.windows.values().filter(|w| chosen(w)).count()
                && set.iter().all(|(t, id)| *t == self.timer(*id) && self.windows.get(id).is_some_and(chosen))
        };
        let shown = self.windows.iter().filter_map(|(id, w)| Some((w.show_at?, *id)));
        let sizes = self.windows.values().map(Window::size);
        ends(&self.ends, &|_| true)
            && ends(&self.unfired, &|w| !w.fired)
            && shown.collect::<BTreeSet<_>>() == self.showing
            && sizes.fold(Size::default(), |a, b| Size { rows: a.rows + b.rows, bytes: a.bytes + b.bytes }) == self.size
    }

    /// Counts the windows that have changed anew.
    fn count(&mut self) {
        for id in std::mem::take(&mut self.touched) {
            let Some(window) = self.windows.get_mut(&id) else { continue };
            let before = window.counted;
            window.counted = window.size();
            self.size.rows = self.size.rows - before.rows + window.counted.rows;
            self.size.bytes = self.size.bytes - before.bytes + window.counted.bytes;
        }
    }

    fn add(&mut self, batch: ChangeBatch, context: &mut OperatorContext) -> Result<()> {
        let batch = if self.emit == EmitStrategy::default() { self.assigner.timed(batch)? } else { batch };
        let partition = self.assigner.assign(&batch.rows, context.processing_time_ms)?;
        let at_once = |delay: Option<std::time::Duration>| delay.is_some_and(|d| d.is_zero());
        let shows_rows =
            (at_once(self.emit.early_fire) || !self.emit.allow_lateness.is_zero()) && !self.layout.spec.merge_changes;
        if !shows_rows && self.in_order {
            // A window that shares its slices with others gets its rows in the order in which they come.
            for run in partition.by_row().chunk_by(|a, b| a == b).scan(0, |at, run| {
                *at += run.len();
                Some(*at - run.len()..*at)
            }) {
                self.add_rows(&batch.slice(run.start, run.len()), context)?;
            }
            return Ok(());
        }
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
            let open: Vec<SliceId> = self
                .assigner
                .windows_of(slice.end)
                .into_iter()
                .rev()
                .map(|end| SliceId { end, start: slice.start })
                .filter(|w| !self.assigner.event_time || !self.is_gone(self.timer(*w), self.progress))
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
                if !self.windows.contains_key(&id) {
                    self.insert(id, Window::new(&self.layout, is_over)?);
                }
                self.touched.insert(id);
                let Some(window) = self.windows.get_mut(&id) else { continue };
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
                        if window.show_at.is_none() {
                            window.show_at = Some(at);
                            self.showing.insert((at, id));
                        }
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
        if let Some(at) = window.show_at.take() {
            self.showing.remove(&(at, id));
        }
        let changed = std::mem::take(&mut window.changed);
        if changed.is_empty() {
            return Ok(());
        }
        window.run = None;
        self.touched.insert(id);
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
        let due = Self::over(&self.unfired, |timer| progress != i64::MIN && timer <= progress);
        for id in due.into_iter().filter(|id| id.end != i64::MAX) {
            self.show(id)?;
            self.unfired.remove(&(self.timer(id), id));
            if let Some(window) = self.windows.get_mut(&id) {
                window.fired = true;
                window.run = None;
            }
        }
        self.progress = self.progress.max(progress);
        for id in Self::over(&self.ends, |timer| self.is_gone(timer, progress)) {
            self.show(id)?;
            self.remove(id);
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
        if let Some((at, _)) = self.showing.first() {
            context.register_timer(*at);
        }
        if let Some((timer, _)) = self.ends.first().filter(|_| !self.assigner.event_time) {
            context.register_timer(timer.saturating_add(1));
        }
        self.count();
        context.metrics.late_records_dropped = self.late_records_dropped;
        context.metrics.state_rows = self.size.rows as u64;
        context.metrics.state_bytes = self.size.bytes as u64;
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
        for id in Self::over(&self.showing, |at| at <= now) {
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
        self.count();
        debug_assert!(self.is_indexed(), "an index of the windows has lost or kept one");
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
        Ok(meaning::seal(OperatorSnapshot { version: STATE_VERSION, meta, runs }, &self.meaning))
    }

    fn restore_state(&mut self, state: RestoredState) -> Result<()> {
        let state = meaning::open(state, RestoredProgress::BYTES, &self.meaning, &self.name)?;
        (self.progress, _) = RestoredProgress::read(&state.metas, &self.ownership)?;
        check_table(&state, EMIT_TABLE, &self.name)?;
        for run in state.table(EMIT_TABLE) {
            let stored = run.rows()?;
            check_stored(&self.state_schema, stored, &self.name)?;
            let columns = stored.columns();
            let Some(end) = columns[1].as_primitive::<Int64Type>().values().first() else { continue };
            let start = if self.layout.has_start { columns[2].as_primitive::<Int64Type>().value(0) } else { 0 };
            let id = SliceId { end: *end, start };
            let mut window = match self.remove(id) {
                Some(window) => Window { counted: Size::default(), ..window },
                None => Window::new(&self.layout, true)?,
            };
            let first = self.layout.state.fields().len();
            window.aggregation.restore(&self.layout, stored)?;
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
            self.insert(id, window);
        }
        Ok(())
    }

    fn next_event_time_timer(&mut self) -> Option<i64> {
        self.unfired.first().filter(|_| self.assigner.event_time).map(|(timer, _)| *timer)
    }
}
