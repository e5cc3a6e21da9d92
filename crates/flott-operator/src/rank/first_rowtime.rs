//! The first row of each key by event time, when it is sure that none comes before it: Flink's
//! RowTimeDeduplicateKeepFirstRowFunction. Rows are only added.

use std::collections::BTreeSet;

use arrow_schema::SchemaRef;
use flott_core::{ChangeBatch, Error, Result, RowKind, Watermark};
use flott_graph::DeduplicateSpec;
use flott_state::{OperatorSnapshot, RestoredState};

use super::changes::Changes;
use super::top_n::types_of;
use crate::keyed::{KeyCodec, KeyTable, KeyedCounts, RowCodec, RowStore, TimeToLive};
use crate::operator::{Operator, OperatorContext, Progress};
use crate::timestamp::{null_rowtime, to_milliseconds};
use crate::window::aggregate::Ownership;

/// Version of the stored form.
const STATE_VERSION: u32 = 1;
/// The state table of rows that wait for their time.
const ROW_TABLE: &str = "waiting";
/// The state table of keys whose row has left.
const EMITTED_TABLE: &str = "emitted";

/// The first row of each key, once its time has come.
pub struct FirstByRowtime {
    name: String,
    schema: SchemaRef,
    rowtime: usize,
    keys: KeyCodec,
    /// Keys whose row waits.
    table: KeyTable,
    /// By key: its row and its time.
    waiting: Vec<(u32, i64)>,
    /// Keys by the time of their row, in the order in which the rows came.
    due: BTreeSet<(i64, u64, u32)>,
    rows: RowStore,
    emitted: KeyedCounts,
    ttl: TimeToLive,
    changes: Changes,
    firing: Option<i64>,
    then: Option<Watermark>,
    late: u64,
}

impl FirstByRowtime {
    /// `schema`: of the input and the output.
    pub fn new(name: &str, spec: &DeduplicateSpec, schema: SchemaRef, owner: Ownership) -> Result<FirstByRowtime> {
        let build = || -> Result<FirstByRowtime> {
            let Some(rowtime) = spec.rowtime else { return Err(Error::internal("no event time")) };
            let input = &spec.input_schema;
            let codec = || KeyCodec::new(&spec.keys, &types_of(input, &spec.keys)?, owner.max_parallelism);
            let fields = spec.keys.iter().map(|k| input.field(*k).clone()).collect();
            Ok(FirstByRowtime {
                name: name.to_string(),
                schema,
                rowtime,
                keys: codec()?,
                table: KeyTable::default(),
                waiting: vec![],
                due: BTreeSet::new(),
                rows: RowStore::new(ROW_TABLE, RowCodec::new(input, &[])?, false),
                emitted: KeyedCounts::new(EMITTED_TABLE, codec()?, fields),
                ttl: TimeToLive::new(spec.state_ttl),
                changes: Changes::default(),
                firing: None,
                then: None,
                late: 0,
            })
        };
        build().map_err(|e| e.with("operator", name))
    }

    fn add(&mut self, batch: &ChangeBatch, context: &mut OperatorContext) -> Result<()> {
        let (columns, n) = (batch.rows.columns(), batch.num_rows());
        let times = &columns[self.rowtime];
        if times.null_count() > 0 {
            return Err(null_rowtime().with("column", batch.rows.schema().field(self.rowtime).name()));
        }
        let times = to_milliseconds(times.as_ref())?;
        let keys = self.keys.encode(columns, n)?;
        let encoded = self.rows.codec().encode(columns)?;
        let watermark = context.watermark.map_or(i64::MIN, |w| w.0);
        for (row, time) in times.iter().copied().enumerate() {
            if time < watermark {
                self.late += 1;
                continue;
            }
            if self.emitted.get(&keys, row, &self.ttl, context.processing_time_ms) != 0 {
                continue;
            }
            let (number, new) = self.table.find_or_insert(keys.hashes[row], keys.key(row));
            if self.waiting.len() <= number as usize {
                self.waiting.resize(number as usize + 1, (u32::MAX, i64::MAX));
            }
            let (old, old_time) = self.waiting[number as usize];
            if !new {
                if time >= old_time {
                    continue;
                }
                self.due.remove(&(old_time, self.rows.mark(old), number));
                self.rows.remove(old, self.keys.group(keys.hashes[row]));
            }
            let mark = self.rows.next_mark();
            let slot = self.rows.insert(&encoded, row, mark, 0)?;
            self.waiting[number as usize] = (slot, time);
            self.due.insert((time, mark, number));
        }
        self.rows.release();
        self.tidy(context);
        Ok(())
    }

    fn fire(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        let until = self.firing.unwrap_or(i64::MIN);
        let mut left = vec![];
        while !self.changes.is_full()
            && let Some((time, mark, number)) = self.due.first().copied().filter(|d| d.0 <= until)
        {
            self.due.remove(&(time, mark, number));
            let (slot, _) = self.waiting[number as usize];
            self.changes.push_always(RowKind::Insert, slot, 1);
            left.push((number, slot));
        }
        let slots: Vec<u32> = left.iter().map(|l| l.1).collect();
        if !slots.is_empty() {
            let rows = self.rows.gather(&slots)?;
            let keys = self.keys.encode(rows.columns(), rows.num_rows())?;
            for row in 0..slots.len() {
                self.emitted.set(&keys, row, 1, context.processing_time_ms);
            }
        }
        context.emit(self.changes.take(&self.rows, &self.schema)?);
        for (number, slot) in left {
            self.rows.remove(slot, self.keys.group(self.table.hash(number)));
            self.table.remove(number);
        }
        self.rows.release();
        if self.table.len() == 0 {
            self.waiting = vec![];
        }
        if self.due.first().is_some_and(|d| d.0 <= until) {
            return Ok(Progress::More);
        }
        self.firing = None;
        if let Some(watermark) = self.then.take() {
            context.emit_watermark(watermark);
        }
        self.tidy(context);
        Ok(Progress::Done)
    }

    fn tidy(&mut self, context: &mut OperatorContext) {
        if self.ttl.sweeps(context) {
            self.emitted.sweep(&self.ttl, context.processing_time_ms);
        }
        context.metrics.late_records_dropped = self.late;
        context.metrics.state_rows = (self.rows.len() + self.emitted.len()) as u64;
        let waiting = self.waiting.capacity() * 16 + self.due.len() * 32;
        let keyed = self.rows.size_bytes() + self.table.size_bytes() + self.emitted.size_bytes();
        context.metrics.state_bytes = (keyed + waiting) as u64;
    }
}

impl Operator for FirstByRowtime {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        self.add(&batch, context).map_err(|e| e.with("operator", &self.name))?;
        Ok(Progress::Done)
    }

    fn process_watermark(&mut self, watermark: Watermark, context: &mut OperatorContext) -> Result<Progress> {
        self.firing = Some(watermark.0);
        self.then = Some(watermark);
        self.fire(context).map_err(|e| e.with("operator", &self.name))
    }

    fn on_processing_time(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.tidy(context);
        Ok(Progress::Done)
    }

    fn resume(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.fire(context).map_err(|e| e.with("operator", &self.name))
    }

    fn snapshot_state(&mut self) -> Result<OperatorSnapshot> {
        let mut runs = self.rows.snapshot(&self.keys).map_err(|e| e.with("operator", &self.name))?;
        runs.extend(self.emitted.snapshot().map_err(|e| e.with("operator", &self.name))?);
        Ok(OperatorSnapshot { version: STATE_VERSION, meta: vec![], runs })
    }

    fn restore_state(&mut self, state: RestoredState) -> Result<()> {
        self.emitted.restore(&state, &self.name)?;
        let restored = self.rows.restore(&state, &self.name)?;
        let slots: Vec<u32> = restored.iter().map(|r| r.slot).collect();
        let batch = self.rows.gather(&slots)?;
        let times = to_milliseconds(batch.column(self.rowtime).as_ref())?;
        let keys = self.keys.encode(batch.columns(), batch.num_rows())?;
        for (row, restored) in restored.iter().enumerate() {
            let (number, _) = self.table.find_or_insert(keys.hashes[row], keys.key(row));
            if self.waiting.len() <= number as usize {
                self.waiting.resize(number as usize + 1, (u32::MAX, i64::MAX));
            }
            self.waiting[number as usize] = (restored.slot, times[row]);
            self.due.insert((times[row], restored.mark, number));
        }
        Ok(())
    }
}
