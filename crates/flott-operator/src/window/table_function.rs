//! Window table functions whose rows go on with their windows' columns appended.

use std::sync::Arc;

use arrow_array::types::Int8Type;
use arrow_array::{Array, ArrayRef, BooleanArray, Int8Array, RecordBatch, UInt16Array, UInt32Array, cast::AsArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::interleave::interleave_record_batch;
use flott_core::key_group::{hash_rows, key_group};
use flott_core::{ChangeBatch, Error, Result, RowKinds, Watermark};
use flott_graph::{WindowAssignment, WindowProperty, WindowTableFunctionSpec};
use flott_state::{OperatorSnapshot, RestoredState, StateRun};

use super::aggregate::{Ownership, RestoredProgress, check_stored};
use super::assigner::{Shape, SliceAssigner, SliceId};
use super::fire::{Output, window_columns};
use super::group_table::GroupTable;
use super::session::{SessionTime, kept_rows};
use super::sessions::Sessions;
use crate::calc::assemble;
use crate::operator::{Operator, OperatorContext, Progress};
use crate::timestamp::with_times;

/// The columns that a window table function appends.
const APPENDED: [WindowProperty; 3] = [WindowProperty::Start, WindowProperty::End, WindowProperty::Time];
/// Version of the stored form of sessions.
const STATE_VERSION: u32 = 1;
/// The one state table of sessions: rows that wait for the end of theirs.
const ROW_TABLE: &str = "rows";
/// Column of stored rows: their kind.
const KIND_COLUMN: &str = "$kind";

/// TUMBLE, HOP and CUMULATE: each row leaves at once, once for each of its windows. A row without a time is in none.
pub struct WindowTableFunction {
    name: String,
    assigner: SliceAssigner,
    time_column: Option<usize>,
    schema: SchemaRef,
    dropped: u64,
}

impl WindowTableFunction {
    /// Appends three columns to the input's.
    pub fn new(name: &str, spec: &WindowTableFunctionSpec, schema: SchemaRef) -> Result<WindowTableFunction> {
        let assigner = SliceAssigner::of_rows(&spec.assignment).map_err(|e| e.with("operator", name))?;
        let time_column = match &spec.assignment {
            WindowAssignment::TimeColumn { column, .. } => assigner.event_time.then_some(*column),
            WindowAssignment::Attached { .. } => {
                return Err(Error::internal("a window table function over attached windows").with("operator", name));
            }
        };
        if schema.fields().len() < APPENDED.len() {
            return Err(Error::internal("a window table function without window columns").with("operator", name));
        }
        Ok(WindowTableFunction { name: name.to_string(), assigner, time_column, schema, dropped: 0 })
    }

    fn apply(&mut self, mut batch: ChangeBatch, context: &mut OperatorContext) -> Result<()> {
        if let Some(nulls) = self.time_column.and_then(|c| batch.rows.column(c).nulls().cloned())
            && nulls.null_count() > 0
        {
            self.dropped += nulls.null_count() as u64;
            context.metrics.records_dropped = self.dropped;
            batch = batch.filter(&BooleanArray::new(nulls.into_inner(), None))?;
        }
        let partition = self.assigner.assign(&batch.rows, context.processing_time_ms)?;
        let slices = partition.by_row();
        let mut rows: Vec<u32> = vec![];
        let (mut starts, mut ends) = (vec![], vec![]);
        for (row, slice) in slices.iter().enumerate() {
            for end in self.assigner.windows_of(slice.end) {
                rows.push(row as u32);
                ends.push(end);
                starts.push(self.assigner.window_start(SliceId::ending_at(end)));
            }
        }
        let once = matches!(self.assigner.shape, Shape::Tumble { .. });
        let batch = if once { batch } else { batch.take(&UInt32Array::from(rows))? };
        context.emit(append(batch, &self.schema, &starts, &ends, &self.assigner.zone)?);
        Ok(())
    }
}

fn append(
    batch: ChangeBatch,
    schema: &SchemaRef,
    starts: &[i64],
    ends: &[i64],
    zone: &super::time_zone::ShiftZone,
) -> Result<ChangeBatch> {
    let mut columns = batch.rows.columns().to_vec();
    if columns.len() + APPENDED.len() != schema.fields().len() {
        return Err(Error::internal(format!("{} columns and a window in {}", columns.len(), schema.fields().len())));
    }
    let fields: Vec<&Field> = schema.fields()[columns.len()..].iter().map(AsRef::as_ref).collect();
    columns.extend(window_columns(&APPENDED, &fields, starts, ends, zone)?);
    Ok(batch.with_rows(assemble(schema, columns, batch.num_rows())?))
}

impl Operator for WindowTableFunction {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        self.apply(batch, context).map_err(|e| e.with("operator", &self.name))?;
        Ok(Progress::Done)
    }
}

/// Rows that wait for the end of their session.
struct Held {
    rows: RecordBatch,
    kinds: Vec<i8>,
    groups: Vec<u16>,
    /// Rows that have not left.
    waiting: Vec<bool>,
    left: usize,
    bytes: usize,
    run: Option<Arc<StateRun>>,
}

/// SESSION: a row's window is known when its session is over, so rows wait until then.
pub struct SessionTableFunction {
    name: String,
    time: SessionTime,
    schema: SchemaRef,
    ownership: Ownership,
    /// Built with the first batch, whose types the keys have.
    table: Option<GroupTable>,
    sessions: Sessions,
    /// Rows of each session: (number of the held batch, row), in order of arrival.
    rows_of: Vec<Vec<(u64, u32)>>,
    /// By ascending number.
    held: std::collections::BTreeMap<u64, Held>,
    held_bytes: usize,
    next: u64,
    waiting: usize,
    progress: i64,
    output: Output,
    then: Option<Watermark>,
    late_records_dropped: u64,
}

impl SessionTableFunction {
    /// Appends three columns to the input's.
    pub fn new(
        name: &str,
        spec: &WindowTableFunctionSpec,
        schema: SchemaRef,
        ownership: Ownership,
    ) -> Result<SessionTableFunction> {
        let time = SessionTime::new(&spec.assignment).map_err(|e| e.with("operator", name))?;
        Ok(SessionTableFunction {
            name: name.to_string(),
            time,
            schema,
            ownership,
            table: None,
            sessions: Sessions::default(),
            rows_of: vec![],
            held: std::collections::BTreeMap::new(),
            held_bytes: 0,
            next: 0,
            waiting: 0,
            progress: i64::MIN,
            output: Output::default(),
            then: None,
            late_records_dropped: 0,
        })
    }

    /// Puts rows to their sessions. `run`: they are stored already, and in time.
    fn add(&mut self, batch: ChangeBatch, processing_time_ms: i64, run: Option<Arc<StateRun>>) -> Result<()> {
        let restored = run.is_some();
        let batch = if self.time.event_time && !restored { with_times(batch, self.time.column)? } else { batch };
        let times = match (&run, self.time.event_time) {
            // Rows of processing time carry the time that they came at behind their kind.
            (Some(run), false) => crate::timestamp::to_milliseconds(run.rows()?.column(2).as_ref())?.to_vec(),
            _ => self.time.times(&batch.rows, processing_time_ms)?,
        };
        let keys: Vec<ArrayRef> = self.time.partition_keys.iter().map(|k| Arc::clone(batch.rows.column(*k))).collect();
        let (mut hashes, mut numbers) = (vec![], vec![]);
        hash_rows(&keys, batch.num_rows(), &mut hashes)?;
        if self.table.is_none() {
            let types: Vec<DataType> = keys.iter().map(|k| k.data_type().clone()).collect();
            self.table = Some(GroupTable::new(&types)?);
        }
        let Some(table) = &mut self.table else { return Err(Error::internal("sessions without keys")) };
        table.groups_of(&keys, &hashes, &mut numbers)?;
        let (time, progress) = (&self.time, self.progress);
        let over = |end: i64| !restored && time.event_time && time.is_over(end, progress);
        let held = self.next;
        let mut late = vec![];
        let mut kept = 0u32;
        for (row, (key, start)) in numbers.iter().zip(&times).enumerate() {
            let Some(session) = self.sessions.add(*key, *start, start.saturating_add(time.gap), over) else {
                late.push(row as u32);
                continue;
            };
            self.rows_of.resize_with(self.sessions.len(), Vec::new);
            self.rows_of[session as usize].push((held, kept));
            kept += 1;
            for (from, into) in self.sessions.merges.drain(..) {
                let moved = std::mem::take(&mut self.rows_of[from as usize]);
                // Put in order when they leave, not at each of many merges.
                self.rows_of[into as usize].extend(moved);
            }
        }
        self.late_records_dropped += late.len() as u64;
        if kept == 0 {
            return self.clear_ended();
        }
        let (batch, hashes, times) = if late.is_empty() {
            (batch, hashes, times)
        } else {
            let rows = kept_rows(times.len(), &late);
            let of = rows.values();
            let hashes = of.iter().map(|r| hashes[*r as usize]).collect();
            (batch.take(&rows)?, hashes, of.iter().map(|r| times[*r as usize]).collect())
        };
        let kinds = (0..batch.num_rows()).map(|i| batch.kind(i).code()).collect();
        let groups = hashes.iter().map(|h| key_group(*h, self.ownership.max_parallelism)).collect();
        self.next += 1;
        self.waiting += batch.num_rows();
        // Besides its columns a row has a kind, a key group, a mark and its time.
        let bytes = batch.size_bytes() + batch.num_rows() * 12;
        let held_rows = if self.time.event_time { batch.rows } else { with_time(&batch.rows, times)? };
        let waiting = vec![true; held_rows.num_rows()];
        self.held_bytes += bytes;
        self.held.insert(held, Held { rows: held_rows, kinds, groups, waiting, left: 0, bytes, run });
        self.clear_ended()
    }

    /// Gives the memory of ended sessions, and of keys without one, back.
    fn clear_ended(&mut self) -> Result<()> {
        let Some(table) = &self.table else { return Ok(()) };
        if self.sessions.live_count() == 0 {
            self.sessions = Sessions::default();
            self.rows_of.clear();
            self.table = None;
        } else if self.sessions.wants_clearing(table.len()) {
            let (table, renumbered) = self.sessions.live_keys(table)?;
            let live = self.sessions.live();
            let mut rows_of = std::mem::take(&mut self.rows_of);
            self.rows_of = live.iter().map(|s| std::mem::take(&mut rows_of[*s as usize])).collect();
            self.sessions.clear_ended(|k| renumbered[k as usize]);
            self.table = Some(table);
        }
        Ok(())
    }

    fn fire(&mut self, progress: i64) -> Result<()> {
        let time = &self.time;
        let due = self.sessions.take_due(|end| time.is_over(end, progress));
        self.progress = self.progress.max(progress);
        if due.is_empty() {
            return Ok(());
        }
        // Only the batches that rows leave are looked at: many may wait.
        let mut places = std::collections::BTreeMap::new();
        let mut touched: Vec<u64> = vec![];
        let (mut picks, mut starts, mut ends, mut kinds) = (vec![], vec![], vec![], vec![]);
        for session in due {
            let s = session as usize;
            let mut rows = std::mem::take(&mut self.rows_of[s]);
            rows.sort_unstable();
            for (number, row) in rows {
                let Some(held) = self.held.get_mut(&number) else {
                    return Err(Error::internal("a row of a session is gone"));
                };
                held.waiting[row as usize] = false;
                held.left += 1;
                kinds.push(held.kinds[row as usize]);
                let place = *places.entry(number).or_insert_with(|| {
                    touched.push(number);
                    touched.len() - 1
                });
                picks.push((place, row as usize));
                starts.push(self.sessions.starts[s]);
                ends.push(self.sessions.ends[s]);
            }
        }
        let batches: Vec<&RecordBatch> = touched.iter().filter_map(|n| self.held.get(n)).map(|h| &h.rows).collect();
        let mut rows = interleave_record_batch(&batches, &picks)?;
        if !self.time.event_time {
            rows.remove_column(rows.num_columns() - 1);
        }
        self.waiting -= picks.len();
        for number in touched {
            if self.held.get(&number).is_some_and(|h| h.left == h.waiting.len())
                && let Some(held) = self.held.remove(&number)
            {
                self.held_bytes -= held.bytes;
            }
        }
        let batch = ChangeBatch::new(rows, kinds.into_iter().collect::<RowKinds>())?;
        self.output.push(append(batch, &self.schema, &starts, &ends, &self.time.zone)?);
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
        if !self.time.event_time
            && let Some(end) = self.sessions.next_due()
        {
            context.register_timer(self.time.zone.to_timer(end.saturating_sub(1)).saturating_add(1));
        }
        context.metrics.late_records_dropped = self.late_records_dropped;
        context.metrics.state_rows = self.waiting as u64;
        let keys = self.table.as_ref().map_or(0, GroupTable::size_bytes) + self.sessions.size_bytes();
        context.metrics.state_bytes = (self.held_bytes + self.waiting * 16 + keys) as u64;
        Progress::Done
    }
}

/// Rows of processing time remember (in local time, as a last column) when they came.
fn with_time(rows: &RecordBatch, times: Vec<i64>) -> Result<RecordBatch> {
    let mut fields: Vec<Field> = rows.schema().fields().iter().map(|f| f.as_ref().clone()).collect();
    let of_time = DataType::Timestamp(arrow_schema::TimeUnit::Millisecond, None);
    fields.push(Field::new("$time", of_time.clone(), false));
    let mut columns = rows.columns().to_vec();
    columns.push(crate::timestamp::from_milliseconds(times, &of_time)?);
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

impl Operator for SessionTableFunction {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        self.add(batch, context.processing_time_ms, None).map_err(|e| e.with("operator", &self.name))?;
        Ok(self.drain(context))
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

    /// A batch of which no row has left stays the run that it is; others are written without the rows that have.
    fn snapshot_state(&mut self) -> Result<OperatorSnapshot> {
        let mut runs = vec![];
        for held in self.held.values_mut() {
            if held.run.is_none() || held.left > 0 {
                let mut fields = vec![StateRun::key_group_field(), Field::new(KIND_COLUMN, DataType::Int8, false)];
                let mut columns: Vec<ArrayRef> = vec![
                    Arc::new(UInt16Array::from(held.groups.clone())),
                    Arc::new(Int8Array::from(held.kinds.clone())),
                ];
                let mut own: Vec<(Field, ArrayRef)> = held
                    .rows
                    .schema()
                    .fields()
                    .iter()
                    .map(|f| f.as_ref().clone())
                    .zip(held.rows.columns().iter().cloned())
                    .collect();
                if !self.time.event_time {
                    // The time goes to the front, where a restore finds it whatever the width.
                    own.rotate_right(1);
                }
                for (field, column) in own {
                    fields.push(field);
                    columns.push(column);
                }
                let mut rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
                if held.left > 0 {
                    rows = arrow_select::filter::filter_record_batch(&rows, &BooleanArray::from(held.waiting.clone()))?;
                }
                let run = StateRun::seal(ROW_TABLE, rows)?;
                runs.push(Arc::clone(&run));
                // Rows keep their places in memory, so only a whole batch is the run.
                held.run = (held.left == 0).then_some(run);
            } else if let Some(run) = &held.run {
                runs.push(Arc::clone(run));
            }
        }
        let meta = RestoredProgress::write(self.progress, &self.ownership);
        Ok(OperatorSnapshot { version: STATE_VERSION, meta, runs })
    }

    fn restore_state(&mut self, state: RestoredState) -> Result<()> {
        (self.progress, _) = RestoredProgress::read(&state.metas, &self.ownership)?;
        for run in state.table(ROW_TABLE) {
            let stored = run.rows()?;
            if stored.num_columns() < 2 || stored.schema().field(1).name() != KIND_COLUMN {
                return Err(Error::internal(format!("stored rows of '{}' have no kinds", self.name)));
            }
            let first = if self.time.event_time { 2 } else { 3 };
            let columns: Vec<usize> = (first..stored.num_columns()).collect();
            let rows = stored.project(&columns)?;
            let own = self.schema.fields().len().saturating_sub(APPENDED.len());
            check_stored(&self.schema.project(&(0..own).collect::<Vec<_>>())?, &rows, &self.name)?;
            let kinds = RowKinds::from_array(stored.column(1).as_primitive::<Int8Type>())
                .ok_or_else(|| Error::internal("stored rows have unknown kinds"))?;
            self.add(ChangeBatch::new(rows, kinds)?, 0, Some(Arc::clone(run)))?;
        }
        Ok(())
    }

    fn next_event_time_timer(&mut self) -> Option<i64> {
        let end = if self.time.event_time { self.sessions.next_due() } else { None };
        end.map(|end| self.time.zone.to_timer(end.saturating_sub(1)))
    }
}
