//! OVER in the order of a time attribute: a row leaves once, with its results, when everything before it has come. Flink's
//! `RowTime*Preceding*Function` and `ProcTime*Preceding*Function`.
//!
//! What is late differs as there: of frames without a bound, rows that the watermark has passed; of those with one, rows
//! that are not behind the last one of their partition that has left.

use std::collections::{BTreeMap, HashMap};

use arrow_array::{Array, RecordBatch};
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use flott_core::types::TimeAttribute;
use flott_core::{ChangeBatch, Error, Result, Watermark};
use flott_graph::meaning::COLUMNS;
use flott_graph::{OverAggregateSpec, OverBound, OverFrame, StateMeaning};
use flott_state::{OperatorSnapshot, RestoredState};

use super::partitions::{Partition, Partitions};
use super::running::Runnings;
use super::shown::columns_of;
use crate::calc::assemble;
use crate::keyed::{RowCodec, RowStore, TimeToLive, meaning};
use crate::operator::{Operator, OperatorContext, Progress};
use crate::timestamp::{null_rowtime, to_milliseconds};
use crate::window::accumulator::Step;
use crate::window::aggregate::Ownership;
use crate::window::fire::Output;

/// Version of the stored form: since 2 it says what it stands for.
const STATE_VERSION: u32 = 2;
/// The state table of rows that wait or are still seen.
const ROW_TABLE: &str = "rows";
/// So many rows are shown together.
const ROWS_MAX: usize = 8_192;

/// The frames that rows in the order of time may see.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Frame {
    /// All so far, each with its own result.
    RowsSoFar,
    /// All so far; rows of one time have one result.
    RangeSoFar,
    /// The last so many rows, the row included.
    Rows(usize),
    /// Those that are not more than so much older.
    Range(i64),
}

impl Frame {
    fn of(frame: &OverFrame, attribute: TimeAttribute) -> Result<Frame> {
        if frame.upper != OverBound::CurrentRow {
            return Err(following());
        }
        Ok(match (frame.lower, frame.rows) {
            (OverBound::UnboundedPreceding, true) => Frame::RowsSoFar,
            // In processing time a row does not wait for others of its millisecond.
            (OverBound::UnboundedPreceding, false) if attribute == TimeAttribute::Proctime => Frame::RowsSoFar,
            (OverBound::UnboundedPreceding, false) => Frame::RangeSoFar,
            (OverBound::Preceding(n), true) => {
                Frame::Rows(usize::try_from(n.as_whole()).unwrap_or(usize::MAX).saturating_add(1))
            }
            (OverBound::Preceding(ms), false) => Frame::Range(ms.as_whole()),
            _ => return Err(following()),
        })
    }

    fn is_bounded(self) -> bool {
        matches!(self, Frame::Rows(_) | Frame::Range(_))
    }
}

fn following() -> Error {
    Error::user("OVER RANGE FOLLOWING windows are not supported yet.")
        .hint("End the frame at CURRENT ROW, or SET 'execution.runtime-mode' = 'batch'")
}

/// Rows on their way out.
#[derive(Default)]
struct Leaving {
    slots: Vec<u32>,
    /// By row which of the results it has.
    results: Vec<u32>,
    steps: Vec<Step>,
    emits: u32,
    /// Rows that nobody sees any more; steps name them by their places here.
    passed: Vec<u32>,
    /// Slots and key groups of rows that are not needed any more.
    gone: Vec<(u32, u16)>,
}

impl Leaving {
    /// The number of the row that comes next.
    fn add(&mut self, group: u32, slot: u32) {
        let row = self.slots.len() as u32;
        self.slots.push(slot);
        self.steps.push(Step::Add { group, row });
    }

    fn emit(&mut self, group: u32) {
        self.steps.push(Step::Emit { group });
        self.emits += 1;
        self.results.resize(self.slots.len(), self.emits - 1);
    }

    fn pass(&mut self, group: u32, slot: u32, key_group: u16) {
        self.steps.push(Step::Remove { group, row: self.passed.len() as u32 });
        self.passed.push(slot);
        self.gone.push((slot, key_group));
    }
}

/// Functions over the rows up to each row, in the order of time.
pub struct TimeOver {
    name: String,
    spec: OverAggregateSpec,
    schema: SchemaRef,
    attribute: TimeAttribute,
    frame: Frame,
    partitions: Partitions,
    rows: RowStore,
    /// By slot.
    partition_of: Vec<u32>,
    functions: Runnings,
    /// Rows in order of arrival, by their time: event time, or the time at which they came.
    waiting: BTreeMap<i64, Vec<u32>>,
    /// When partitions may be cleaned up, in the time of the order.
    cleanups: BTreeMap<i64, Vec<u32>>,
    leaving: Leaving,
    output: Output,
    until: Option<i64>,
    then: Option<Watermark>,
    ttl: TimeToLive,
    late: u64,
    /// Processing time of the call.
    now_ms: i64,
    /// Where the order is that of processing time: how far it has come, and how much it is ahead of a clock that was set
    /// back.
    reached_ms: i64,
    ahead_ms: i64,
    /// What its state stands for.
    meaning: StateMeaning,
}

impl TimeOver {
    /// `schema`: of the output.
    pub fn new(
        name: &str,
        spec: &OverAggregateSpec,
        attribute: TimeAttribute,
        schema: SchemaRef,
        ownership: Ownership,
    ) -> Result<TimeOver> {
        let build = || -> Result<TimeOver> {
            let [group] = spec.groups.as_slice() else {
                return Err(Error::user("All aggregates must be computed on the same window."));
            };
            let frame = Frame::of(&group.frame, attribute)?;
            let functions = Runnings::new(&group.calls, &spec.input_schema, frame.is_bounded())?;
            let keeps_rows = attribute == TimeAttribute::Rowtime || frame.is_bounded();
            Ok(TimeOver {
                meaning: if keeps_rows { spec.meaning.clone() } else { spec.meaning.without(&[COLUMNS]) },
                name: name.to_string(),
                schema,
                attribute,
                frame,
                partitions: Partitions::new(spec, functions.fields(), ownership.max_parallelism)?,
                rows: RowStore::new(ROW_TABLE, RowCodec::new(&spec.input_schema, &[])?, true),
                partition_of: vec![],
                functions,
                waiting: BTreeMap::new(),
                cleanups: BTreeMap::new(),
                leaving: Leaving::default(),
                output: Output::default(),
                until: None,
                then: None,
                // What a frame of time sees is cleaned up with time.
                ttl: TimeToLive::new(spec.state_ttl.filter(|_| !matches!(frame, Frame::Range(_)))),
                late: 0,
                now_ms: 0,
                reached_ms: i64::MIN,
                ahead_ms: 0,
                spec: spec.clone(),
            })
        };
        build().map_err(|e| e.with("operator", name))
    }

    fn event_time(&self) -> bool {
        self.attribute == TimeAttribute::Rowtime
    }

    /// Processing time as the order has it: a clock that is set back does not put new rows before those that came.
    fn order_time(&mut self, now_ms: i64) -> i64 {
        let time = now_ms.saturating_add(self.ahead_ms);
        if time < self.reached_ms {
            self.ahead_ms += self.reached_ms.saturating_sub(time);
        }
        self.reached_ms = self.reached_ms.max(time);
        self.reached_ms
    }

    /// Rows wait for their time, where they have to.
    fn waits(&self) -> bool {
        self.event_time() || matches!(self.frame, Frame::Range(_))
    }

    fn add(&mut self, batch: &ChangeBatch, context: &mut OperatorContext) -> Result<()> {
        let columns = batch.rows.columns();
        let now = context.processing_time_ms;
        self.now_ms = now;
        let times = match self.spec.order.first() {
            Some(key) if self.event_time() => {
                let times = &columns[key.column];
                if times.null_count() > 0 {
                    return Err(null_rowtime().with("column", batch.rows.schema().field(key.column).name()));
                }
                Some(to_milliseconds(times.as_ref())?)
            }
            _ => None,
        };
        let order_time = if self.event_time() { now } else { self.order_time(now) };
        let watermark = context.watermark.map_or(i64::MIN, |w| w.0);
        let keys = self.partitions.encode(columns, batch.num_rows())?;
        let encoded = self.rows.codec().encode(columns)?;
        let (waits, keeps) = (self.waits(), self.waits() || self.frame.is_bounded());
        for row in 0..batch.num_rows() {
            let time = times.as_ref().map_or(order_time, |t| t[row]);
            let known = self.partitions.find(&keys, row);
            if let Some(number) = known.filter(|n| self.partitions.get(*n).is_over(&self.ttl, now)) {
                self.forget(number);
            }
            if times.is_some() {
                let known = self.partitions.find(&keys, row).map(|n| self.partitions.get(n));
                let late = match self.frame.is_bounded() {
                    false => time <= watermark,
                    // Flink begins at 1970.
                    true => time <= known.map_or(0, |p| p.last.unwrap_or(0)),
                };
                if late {
                    self.late += 1;
                    continue;
                }
            }
            let number = self.partitions.find_or_insert(&keys, row);
            self.partitions.touch(number, now);
            let slot = if keeps { self.rows.insert(&encoded, row, self.rows.next_mark(), time)? } else { row as u32 };
            if keeps {
                if self.partition_of.len() <= slot as usize {
                    self.partition_of.resize(slot as usize + 1, 0);
                }
                self.partition_of[slot as usize] = number;
            }
            if waits {
                self.waiting.entry(time).or_default().push(slot);
                self.partitions.change(number).waiting += 1;
                self.plan_cleanup(number, time);
            } else {
                self.leave(number, time, &[slot]);
            }
        }
        if !waits {
            self.show(Some(&batch.rows))?;
        } else if !self.event_time() {
            context.register_timer(now.saturating_add(1));
        }
        Ok(())
    }

    /// What a frame of time has seen is forgotten one and a half times its length after the last row.
    fn plan_cleanup(&mut self, number: u32, time: i64) {
        let Frame::Range(length) = self.frame else { return };
        let partition = self.partitions.change(number);
        if partition.cleanup.is_none_or(|c| c < time.saturating_add(length).saturating_add(1)) {
            let at = time.saturating_add((length as f64 * 1.5) as i64).saturating_add(1);
            partition.cleanup = Some(at);
            partition.timers.push(at);
            self.cleanups.entry(at).or_default().push(number);
        }
    }

    /// Rows of one partition and one time leave together.
    fn leave(&mut self, number: u32, time: i64, slots: &[u32]) {
        let (key_group, event_time) = (self.partitions.key_group(number), self.event_time());
        let partition = self.partitions.touch(number, self.now_ms);
        let leaving = &mut self.leaving;
        match self.frame {
            Frame::RowsSoFar => {
                for slot in slots {
                    leaving.add(number, *slot);
                    leaving.emit(number);
                }
            }
            Frame::RangeSoFar => {
                slots.iter().for_each(|s| leaving.add(number, *s));
                leaving.emit(number);
            }
            Frame::Rows(most) => {
                for slot in slots {
                    if partition.seen.len() >= most
                        && let Some((_, first)) = partition.seen.pop_front()
                    {
                        leaving.pass(number, first, key_group);
                    }
                    partition.seen.push_back((time, *slot));
                    leaving.add(number, *slot);
                    leaving.emit(number);
                }
            }
            Frame::Range(length) => {
                let oldest = time.saturating_sub(length);
                while let Some((_, first)) = partition.seen.front().copied().filter(|(t, _)| *t < oldest) {
                    partition.seen.pop_front();
                    leaving.pass(number, first, key_group);
                }
                for slot in slots {
                    partition.seen.push_back((time, *slot));
                    leaving.add(number, *slot);
                }
                leaving.emit(number);
            }
        }
        if self.frame.is_bounded() {
            partition.last = Some(time);
        } else if event_time {
            leaving.gone.extend(slots.iter().map(|s| (*s, key_group)));
        }
    }

    /// Everything that is due at one time.
    fn fire(&mut self, time: i64) {
        if let Some(slots) = self.waiting.remove(&time) {
            // By partition, in the order of their first rows.
            let mut places: HashMap<u32, usize> = HashMap::new();
            let mut of: Vec<(u32, Vec<u32>)> = vec![];
            for slot in slots {
                let number = self.partition_of[slot as usize];
                let place = *places.entry(number).or_insert(of.len());
                match of.get_mut(place) {
                    Some((_, rows)) => rows.push(slot),
                    None => of.push((number, vec![slot])),
                }
            }
            for (number, slots) in of {
                self.partitions.change(number).waiting -= slots.len();
                self.leave(number, time, &slots);
            }
        }
        for number in self.cleanups.remove(&time).unwrap_or_default() {
            if !self.partitions.has_timer(number, time) {
                continue;
            }
            let partition = self.partitions.change(number);
            partition.timers.retain(|t| *t != time);
            if partition.cleanup.is_some_and(|c| c <= time) {
                self.forget(number);
            } else {
                // A timer that a later one has taken the place of still counts as the last row.
                partition.last = Some(partition.last.map_or(time, |l| l.max(time)));
            }
        }
    }

    /// A partition starts anew; rows that wait stay.
    fn forget(&mut self, number: u32) {
        let key_group = self.partitions.key_group(number);
        let partition = self.partitions.change(number);
        self.leaving.gone.extend(partition.seen.drain(..).map(|(_, slot)| (slot, key_group)));
        *partition = Partition { waiting: partition.waiting, touched_ms: partition.touched_ms, ..Partition::default() };
        self.leaving.steps.push(Step::Clear { group: number });
        if self.partitions.get(number).waiting == 0 {
            self.partitions.end(number);
        }
    }

    /// The results of what leaves. `rows`: where rows are named by their places in a batch.
    fn show(&mut self, rows: Option<&RecordBatch>) -> Result<()> {
        let Leaving { slots, results, mut steps, emits, passed, gone } = std::mem::take(&mut self.leaving);
        if !steps.is_empty() {
            self.functions.resize(self.partitions.bound());
            let rows = match rows {
                Some(batch) if self.frame.is_bounded() || slots.len() == batch.num_rows() => batch.clone(),
                _ => self.rows.gather(&slots)?,
            };
            let n = rows.num_rows();
            let all = match passed.is_empty() {
                true => rows.clone(),
                false => concat_batches(&rows.schema(), [&rows, &self.rows.gather(&passed)?])?,
            };
            for step in &mut steps {
                if let Step::Remove { row, .. } = step {
                    *row += n as u32;
                }
            }
            let shown = self.functions.run(&steps, &all)?;
            if n > 0 {
                let mut columns = rows.columns().to_vec();
                columns.extend(columns_of(shown, &results, emits)?);
                self.output.push(ChangeBatch::append(assemble(&self.schema, columns, n)?));
            }
        }
        for (slot, key_group) in gone {
            self.rows.remove(slot, key_group);
        }
        self.rows.release();
        Ok(())
    }

    fn next(&self) -> Option<i64> {
        let first = |times: &BTreeMap<i64, Vec<u32>>| times.first_key_value().map(|(t, _)| *t);
        match (first(&self.waiting), first(&self.cleanups)) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    fn drain(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.now_ms = context.processing_time_ms;
        self.output.start();
        loop {
            if !self.output.drain(context) {
                return Ok(Progress::More);
            }
            let Some(until) = self.until else { break };
            while self.leaving.slots.len() < ROWS_MAX
                && let Some(time) = self.next().filter(|t| *t <= until)
            {
                self.fire(time);
            }
            self.show(None)?;
            if self.next().is_none_or(|t| t > until) {
                self.until = None;
            }
        }
        if let Some(watermark) = self.then.take() {
            context.emit_watermark(watermark);
        }
        if !self.event_time()
            && let Some(time) = self.next()
        {
            context.register_timer(time.saturating_sub(self.ahead_ms).saturating_add(1));
        }
        if self.ttl.sweeps(context) {
            let now = context.processing_time_ms;
            for number in self.partitions.all() {
                if self.partitions.get(number).is_over(&self.ttl, now) {
                    self.forget(number);
                }
            }
            self.show(None)?;
        }
        context.metrics.late_records_dropped = self.late;
        context.metrics.state_rows = (self.rows.len() + self.partitions.len()) as u64;
        let lists = self.partition_of.capacity() * 4 + self.rows.len() * 16;
        let bytes = self.rows.size_bytes() + self.partitions.size_bytes() + self.functions.size_bytes() + lists;
        context.metrics.state_bytes = bytes as u64;
        Ok(Progress::Done)
    }
}

impl Operator for TimeOver {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        self.add(&batch, context).and_then(|()| self.drain(context)).map_err(|e| e.with("operator", &self.name))
    }

    fn process_watermark(&mut self, watermark: Watermark, context: &mut OperatorContext) -> Result<Progress> {
        if self.event_time() {
            self.until = Some(watermark.0);
        }
        self.then = Some(watermark);
        self.drain(context).map_err(|e| e.with("operator", &self.name))
    }

    fn on_processing_time(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        if !self.event_time() {
            self.until = Some(self.order_time(context.processing_time_ms).saturating_sub(1));
        }
        self.drain(context).map_err(|e| e.with("operator", &self.name))
    }

    fn end_input(&mut self, _input: usize, context: &mut OperatorContext) -> Result<Progress> {
        // Rows that the input's last milliseconds have given are not lost.
        self.until = Some(i64::MAX);
        self.drain(context).map_err(|e| e.with("operator", &self.name))
    }

    fn resume(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.drain(context).map_err(|e| e.with("operator", &self.name))
    }

    fn snapshot_state(&mut self) -> Result<OperatorSnapshot> {
        let mut seal = || -> Result<OperatorSnapshot> {
            self.functions.resize(self.partitions.bound());
            let mut snapshot = self.partitions.snapshot(STATE_VERSION, |of| self.functions.stored(of))?;
            snapshot.runs.extend(self.rows.snapshot(self.partitions.keys())?);
            Ok(meaning::seal(snapshot, &self.meaning))
        };
        seal().map_err(|e| e.with("operator", &self.name))
    }

    fn restore_state(&mut self, state: RestoredState) -> Result<()> {
        let state = meaning::open(state, size_of::<i64>(), &self.meaning, &self.name)?;
        let functions = &mut self.functions;
        self.partitions.restore(&state, &self.name, |groups, bound, stored| {
            functions.resize(bound);
            functions.reset(groups);
            functions.restore(groups, stored)
        })?;
        for number in self.partitions.all() {
            let partition = self.partitions.get(number);
            for time in &partition.timers {
                self.cleanups.entry(*time).or_default().push(number);
            }
            // Rows come behind those that have left, whatever the clock of this machine says.
            self.reached_ms = self.reached_ms.max(partition.last.map_or(i64::MIN, |l| l.saturating_add(1)));
        }
        let mut restored = self.rows.restore(&state, &self.name)?;
        restored.sort_unstable_by_key(|r| (r.time, r.mark));
        let slots: Vec<u32> = restored.iter().map(|r| r.slot).collect();
        let batch = self.rows.gather(&slots)?;
        let keys = self.partitions.encode(batch.columns(), batch.num_rows())?;
        let waits = self.waits();
        for (row, restored) in restored.iter().enumerate() {
            let number = self.partitions.find_or_insert(&keys, row);
            if self.partition_of.len() <= restored.slot as usize {
                self.partition_of.resize(restored.slot as usize + 1, 0);
            }
            self.partition_of[restored.slot as usize] = number;
            self.reached_ms = self.reached_ms.max(restored.time);
            let partition = self.partitions.change(number);
            let seen = self.frame.is_bounded() && (!waits || partition.last.is_some_and(|l| restored.time <= l));
            if seen {
                partition.seen.push_back((restored.time, restored.slot));
            } else {
                partition.waiting += 1;
                self.waiting.entry(restored.time).or_default().push(restored.slot);
            }
        }
        self.functions.resize(self.partitions.bound());
        Ok(())
    }
    fn next_event_time_timer(&mut self) -> Option<i64> {
        self.waiting.first_key_value().map(|(time, _)| *time).filter(|_| self.event_time())
    }
}
