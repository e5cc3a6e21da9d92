//! SESSION windows: rows of one key belong together until a gap without any.

use std::sync::Arc;

use arrow_array::types::Int64Type;
use arrow_array::{
    Array, ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, UInt16Array, UInt32Array, cast::AsArray,
};
use arrow_schema::{Field, SchemaRef};
use flott_core::key_group::key_group;
use flott_core::{ChangeBatch, Error, Result, Watermark};
use flott_graph::{StateMeaning, WindowAggregateSpec, WindowAssignment, WindowKind};
use flott_state::{OperatorSnapshot, RestoredState, StateRun};

use super::accumulator::Accumulator;
use super::aggregate::{Ownership, RestoredProgress, check_stored};
use super::aggregation::{restore_accumulators, stored_accumulators, update_accumulators};
use super::assigner::{check_kind, is_event_time};
use super::fire::{Output, window_columns};
use super::group_table::GroupTable;
use super::layout::{Layout, Prepared};
use super::sessions::Sessions;
use super::time_zone::ShiftZone;
use crate::calc::assemble;
use crate::keyed::meaning;
use crate::operator::{Operator, OperatorContext, Progress};
use crate::timestamp::{null_rowtime, to_milliseconds, with_times};

/// Version of the stored form.
const STATE_VERSION: u32 = 1;
/// The one state table.
const SESSION_TABLE: &str = "session";

/// Where sessions get their time from.
pub(crate) struct SessionTime {
    pub(crate) column: usize,
    pub(crate) event_time: bool,
    pub(crate) zone: ShiftZone,
    pub(crate) gap: i64,
    pub(crate) partition_keys: Vec<usize>,
}

impl SessionTime {
    pub(crate) fn new(assignment: &WindowAssignment) -> Result<SessionTime> {
        match assignment {
            WindowAssignment::TimeColumn { column, attribute, time_zone, kind } => {
                check_kind(kind)?;
                let WindowKind::Session { gap_ms, partition_keys } = kind else {
                    return Err(Error::internal("not a session window"));
                };
                Ok(SessionTime {
                    column: *column,
                    event_time: is_event_time(*attribute),
                    zone: ShiftZone::named(time_zone.as_deref())?,
                    gap: *gap_ms,
                    partition_keys: partition_keys.clone(),
                })
            }
            WindowAssignment::Attached { .. } => Err(Error::internal("attached sessions are found already")),
        }
    }

    /// The local time of each row.
    pub(crate) fn times(&mut self, rows: &RecordBatch, processing_time_ms: i64) -> Result<Vec<i64>> {
        if !self.event_time {
            return Ok(vec![self.zone.to_local(processing_time_ms); rows.num_rows()]);
        }
        let times = rows.column(self.column);
        if times.null_count() > 0 {
            return Err(null_rowtime().with("column", rows.schema().field(self.column).name()));
        }
        Ok(to_milliseconds(times.as_ref())?.iter().map(|t| self.zone.to_local(*t)).collect())
    }

    pub(crate) fn is_over(&self, end: i64, progress: i64) -> bool {
        progress != i64::MIN && self.zone.is_over(end, progress)
    }
}

/// Aggregates rows by key and session.
pub struct SessionWindowAggregate {
    name: String,
    meaning: StateMeaning,
    layout: Layout,
    time: SessionTime,
    schema: SchemaRef,
    ownership: Ownership,
    table: GroupTable,
    sessions: Sessions,
    /// Results depend on the order of rows: sessions merge before the row that joins them is added.
    in_order: bool,
    /// By session.
    accumulators: Vec<Box<dyn Accumulator>>,
    progress: i64,
    /// What the last snapshot wrote, where nothing has changed since.
    sealed: Option<Vec<Arc<StateRun>>>,
    output: Output,
    then: Option<Watermark>,
    late_records_dropped: u64,
}

impl SessionWindowAggregate {
    /// Sessions of the group keys, which must be the session's partition keys.
    pub fn new(
        name: &str,
        spec: &WindowAggregateSpec,
        schema: SchemaRef,
        ownership: Ownership,
    ) -> Result<SessionWindowAggregate> {
        let build = || -> Result<SessionWindowAggregate> {
            let layout = Layout::new(spec)?;
            let time = SessionTime::new(&spec.assignment)?;
            let (mut a, mut b) = (spec.group_keys.clone(), time.partition_keys.clone());
            a.sort_unstable();
            b.sort_unstable();
            if a != b {
                return Err(Error::internal(
                    "a session window is aggregated by other keys than its partition keys: its rows need attached windows",
                ));
            }
            let width = spec.group_keys.len() + spec.aggregates.len() + spec.properties.len();
            if schema.fields().len() != width {
                return Err(Error::internal(format!("{} output columns instead of {width}", schema.fields().len())));
            }
            let table = GroupTable::new(&layout.key_types)?;
            let accumulators = layout.accumulators()?;
            let in_order = spec.aggregates.iter().any(|call| call.kind.follows_order());
            Ok(SessionWindowAggregate {
                name: name.to_string(),
                meaning: spec.meaning.clone(),
                layout,
                time,
                schema: Arc::clone(&schema),
                ownership: ownership.clone(),
                table,
                sessions: Sessions::new(in_order),
                in_order,
                accumulators,
                progress: i64::MIN,
                sealed: None,
                output: Output::default(),
                then: None,
                late_records_dropped: 0,
            })
        };
        build().map_err(|e| e.with("operator", name))
    }

    fn add(&mut self, batch: ChangeBatch, context: &mut OperatorContext) -> Result<()> {
        let batch = if self.time.event_time { with_times(batch, self.time.column)? } else { batch };
        let times = self.time.times(&batch.rows, context.processing_time_ms)?;
        let prepared = self.layout.prepare(&batch, None)?;
        let mut keys = vec![];
        self.table.groups_of(&prepared.keys, &prepared.hashes, &mut keys)?;
        let (time, progress) = (&self.time, self.progress);
        let over = |end: i64| time.event_time && time.is_over(end, progress);
        let mut groups: Vec<u32> = Vec::with_capacity(keys.len());
        let mut late: Vec<u32> = vec![];
        let mut merges = vec![];
        for (row, (key, start)) in keys.iter().zip(&times).enumerate() {
            let session = self.sessions.add(*key, *start, start.saturating_add(time.gap), over);
            if self.in_order && !self.sessions.merges.is_empty() {
                merges.push((groups.len(), self.sessions.take_merges()));
            }
            match session {
                Some(session) => groups.push(session),
                None => late.push(row as u32),
            }
        }
        if late.len() == times.len() {
            self.count_late(&batch, late, context)?;
            return self.clear_ended();
        }
        self.sealed = None;
        merges.push((groups.len(), self.sessions.take_merges()));
        let rows = if late.is_empty() {
            prepared
        } else {
            let kept = kept_rows(times.len(), &late);
            self.count_late(&batch, late, context)?;
            self.layout.prepare(&batch, Some(&kept))?
        };
        self.update(&groups, &rows, merges)?;
        self.clear_ended()
    }

    /// Adds rows to their sessions, and at these places among them sessions to others.
    fn update(&mut self, groups: &[u32], rows: &Prepared, merges: Vec<(usize, (Vec<u32>, Vec<u32>))>) -> Result<()> {
        let len = self.sessions.len();
        let mut done = 0;
        for (place, (from, into)) in merges {
            update_accumulators(&mut self.accumulators, len, &groups[done..place], rows, done..place)?;
            done = place;
            if from.is_empty() {
                continue;
            }
            for accumulator in &mut self.accumulators {
                let state = accumulator.state(Some(&from))?;
                accumulator.merge(&into, &state)?;
            }
        }
        Ok(())
    }

    fn count_late(&mut self, batch: &ChangeBatch, late: Vec<u32>, context: &mut OperatorContext) -> Result<()> {
        self.late_records_dropped += late.len() as u64;
        if self.layout.spec.late_output {
            context.emit_to(1, batch.take(&UInt32Array::from(late))?);
        }
        Ok(())
    }

    /// Gives the memory of ended sessions, and of keys without one, back.
    fn clear_ended(&mut self) -> Result<()> {
        if !self.sessions.wants_clearing(self.table.len()) {
            if self.sessions.live_count() == 0 && self.sessions.len().max(self.table.len()) > 0 {
                self.sessions = Sessions::new(self.in_order);
                self.table.clear();
                self.accumulators.iter_mut().for_each(|a| a.clear());
            }
            return Ok(());
        }
        let live = self.sessions.live();
        let mut accumulators = self.layout.accumulators()?;
        let numbers: Vec<u32> = (0..live.len() as u32).collect();
        for (old, new) in self.accumulators.iter().zip(&mut accumulators) {
            new.resize(live.len());
            new.restore(&numbers, &old.stored(Some(&live))?)?;
        }
        let (table, renumbered) = self.sessions.live_keys(&self.table)?;
        self.sessions.clear_ended(|k| renumbered[k as usize]);
        self.table = table;
        self.accumulators = accumulators;
        Ok(())
    }

    fn fire(&mut self, progress: i64) -> Result<()> {
        let time = &self.time;
        let due = self.sessions.take_due(|end| time.is_over(end, progress));
        self.progress = self.progress.max(progress);
        if due.is_empty() {
            return self.clear_ended();
        }
        self.sealed = None;
        let counts = self.accumulators.get(self.layout.row_count).and_then(|a| a.counts()).unwrap_or(&[]);
        let due: Vec<u32> = due.into_iter().filter(|s| counts.get(*s as usize).is_none_or(|n| *n > 0)).collect();
        if !due.is_empty() {
            let keys: Vec<u32> = due.iter().map(|s| self.sessions.keys[*s as usize]).collect();
            let mut columns = self.table.key_columns(Some(&keys))?;
            for accumulator in &self.accumulators[..self.layout.spec.aggregates.len()] {
                columns.push(accumulator.finish(Some(&due))?);
            }
            let fields: Vec<&Field> = self.schema.fields()[columns.len()..].iter().map(AsRef::as_ref).collect();
            let starts: Vec<i64> = due.iter().map(|s| self.sessions.starts[*s as usize]).collect();
            let ends: Vec<i64> = due.iter().map(|s| self.sessions.ends[*s as usize]).collect();
            columns.extend(window_columns(&self.layout.spec.properties, &fields, &starts, &ends, &self.time.zone)?);
            self.output.push(ChangeBatch::append(assemble(&self.schema, columns, due.len())?));
        }
        self.clear_ended()
    }

    fn drain(&mut self, context: &mut OperatorContext) -> Progress {
        self.output.start();
        if !self.output.drain(context) {
            return Progress::More;
        }
        if let Some(watermark) = self.then.take() {
            context.emit_watermark(watermark);
        }
        self.report(context);
        Progress::Done
    }

    fn report(&mut self, context: &mut OperatorContext) {
        if !self.time.event_time
            && let Some(end) = self.sessions.next_due()
        {
            context.register_timer(self.time.zone.to_timer(end.saturating_sub(1)).saturating_add(1));
        }
        context.metrics.late_records_dropped = self.late_records_dropped;
        context.metrics.state_rows = self.sessions.live_count() as u64;
        let bytes = self.table.size_bytes() + self.accumulators.iter().map(|a| a.size_bytes()).sum::<usize>();
        context.metrics.state_bytes = (bytes + self.sessions.size_bytes()) as u64;
    }
}

/// All row numbers but these (which are in order).
pub(crate) fn kept_rows(rows: usize, dropped: &[u32]) -> UInt32Array {
    let mut dropped = dropped.iter().copied().peekable();
    (0..rows as u32).filter(|r| dropped.next_if_eq(r).is_none()).collect::<Vec<u32>>().into()
}

impl Operator for SessionWindowAggregate {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        self.add(batch, context).map_err(|e| e.with("operator", &self.name))?;
        self.report(context);
        Ok(Progress::Done)
    }

    fn process_watermark(&mut self, watermark: Watermark, context: &mut OperatorContext) -> Result<Progress> {
        if self.time.event_time {
            self.fire(watermark.0).map_err(|e| e.with("operator", &self.name))?;
        }
        self.then = Some(watermark);
        Ok(self.drain(context))
    }

    fn on_processing_time(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        if !self.time.event_time {
            let over = context.processing_time_ms.saturating_sub(1);
            self.fire(over).map_err(|e| e.with("operator", &self.name))?;
        }
        Ok(self.drain(context))
    }

    fn resume(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        Ok(self.drain(context))
    }

    /// Sessions grow and merge, so a snapshot writes the live ones anew unless nothing has changed.
    fn snapshot_state(&mut self) -> Result<OperatorSnapshot> {
        let runs = match &self.sealed {
            Some(runs) => runs.clone(),
            None => {
                let live = self.sessions.live();
                let mut runs = vec![];
                if !live.is_empty() {
                    let keys: Vec<u32> = live.iter().map(|s| self.sessions.keys[*s as usize]).collect();
                    let group = |k: &u32| key_group(self.table.hashes()[*k as usize], self.ownership.max_parallelism);
                    let of = |v: &[i64]| live.iter().map(|s| v[*s as usize]).collect::<Int64Array>();
                    let mut columns: Vec<ArrayRef> = vec![
                        Arc::new(keys.iter().map(group).collect::<UInt16Array>()),
                        Arc::new(of(&self.sessions.ends)),
                        Arc::new(of(&self.sessions.starts)),
                    ];
                    columns.extend(self.table.key_columns(Some(&keys))?);
                    if self.layout.is_whole {
                        columns.extend(stored_accumulators(&self.accumulators, Some(&live))?);
                    } else {
                        for accumulator in &self.accumulators {
                            columns.extend(accumulator.state(Some(&live))?);
                        }
                    }
                    let options = RecordBatchOptions::new().with_row_count(Some(live.len()));
                    let rows = RecordBatch::try_new_with_options(Arc::clone(&self.layout.state), columns, &options)?;
                    runs.push(StateRun::seal(SESSION_TABLE, rows)?);
                }
                self.sealed = Some(runs.clone());
                runs
            }
        };
        let meta = RestoredProgress::write(self.progress, &self.ownership);
        Ok(meaning::seal(OperatorSnapshot { version: STATE_VERSION, meta, runs }, &self.meaning))
    }

    fn restore_state(&mut self, state: RestoredState) -> Result<()> {
        let state = meaning::open(state, RestoredProgress::BYTES, &self.meaning, &self.name)?;
        (self.progress, _) = RestoredProgress::read(&state.metas, &self.ownership)?;
        for run in state.table(SESSION_TABLE) {
            let stored = run.rows()?;
            check_stored(&self.layout.state, stored, &self.name)?;
            let columns = stored.columns();
            let keys = &columns[self.layout.state_keys()];
            let (mut hashes, mut numbers) = (vec![], vec![]);
            flott_core::key_group::hash_rows(keys, stored.num_rows(), &mut hashes)?;
            self.table.groups_of(keys, &hashes, &mut numbers)?;
            let (ends, starts) = (columns[1].as_primitive::<Int64Type>(), columns[2].as_primitive::<Int64Type>());
            let sessions: Vec<u32> = numbers
                .iter()
                .enumerate()
                .filter_map(|(row, key)| self.sessions.add(*key, starts.value(row), ends.value(row), |_| false))
                .collect();
            let mut states = &columns[self.layout.state_accumulators()];
            if self.layout.is_whole {
                restore_accumulators(&mut self.accumulators, self.sessions.len(), &sessions, states)?;
                continue;
            }
            for accumulator in &mut self.accumulators {
                let width = accumulator.state(Some(&[]))?.len();
                accumulator.resize(self.sessions.len());
                accumulator.merge(&sessions, &states[..width])?;
                states = &states[width..];
            }
        }
        self.sessions.merges.clear();
        Ok(())
    }

    fn next_event_time_timer(&mut self) -> Option<i64> {
        let end = if self.time.event_time { self.sessions.next_due() } else { None };
        end.map(|end| self.time.zone.to_timer(end.saturating_sub(1)))
    }
}
