//! ORDER BY a time attribute: rows leave in order as time passes. Flink's RowTimeSortOperator and ProcTimeSortOperator.

use std::collections::BTreeMap;

use arrow_schema::SchemaRef;
use flott_core::types::TimeAttribute;
use flott_core::{ChangeBatch, Result, RowKind, Watermark};
use flott_graph::TemporalSortSpec;
use flott_state::{OperatorSnapshot, RestoredState};

use super::changes::Changes;
use crate::keyed::{KeyCodec, RowCodec, RowStore};
use crate::operator::{Operator, OperatorContext, Progress};
use crate::timestamp::{null_rowtime, to_milliseconds};
use crate::window::aggregate::Ownership;

/// Version of the stored form.
const STATE_VERSION: u32 = 1;
/// The state table.
const ROW_TABLE: &str = "rows";

/// Rows that wait for their time.
pub struct TemporalSort {
    name: String,
    spec: TemporalSortSpec,
    schema: SchemaRef,
    keys: KeyCodec,
    group: u16,
    /// Ordered by what comes behind the time.
    rows: RowStore,
    /// In order of arrival, by their time: event time, or the time at which they came.
    waiting: BTreeMap<i64, Vec<u32>>,
    /// The time of the last rows that have left: what is not behind it is late.
    left: i64,
    changes: Changes,
    /// In order, the last one first.
    leaving: Vec<u32>,
    then: Option<Watermark>,
    late: u64,
}

impl TemporalSort {
    /// `schema`: of the input and the output.
    pub fn new(name: &str, spec: &TemporalSortSpec, schema: SchemaRef, owner: Ownership) -> Result<TemporalSort> {
        let build = || -> Result<TemporalSort> {
            let keys = KeyCodec::new(&[], &[], owner.max_parallelism)?;
            let hash = keys.encode(&[], 1)?.hashes.first().copied().unwrap_or_default();
            Ok(TemporalSort {
                name: name.to_string(),
                spec: spec.clone(),
                schema,
                group: keys.group(hash),
                keys,
                rows: RowStore::new(ROW_TABLE, RowCodec::new(&spec.input_schema, &spec.then)?, true),
                waiting: BTreeMap::new(),
                left: i64::MIN,
                changes: Changes::default(),
                leaving: vec![],
                then: None,
                late: 0,
            })
        };
        build().map_err(|e| e.with("operator", name))
    }

    fn event_time(&self) -> bool {
        self.spec.attribute == TimeAttribute::Rowtime
    }

    fn add(&mut self, batch: &ChangeBatch, context: &mut OperatorContext) -> Result<()> {
        let columns = batch.rows.columns();
        let now = context.processing_time_ms;
        let times = if self.event_time() {
            let times = &columns[self.spec.time_column];
            if times.null_count() > 0 {
                return Err(null_rowtime().with("column", batch.rows.schema().field(self.spec.time_column).name()));
            }
            Some(to_milliseconds(times.as_ref())?)
        } else {
            context.register_timer(now.saturating_add(1));
            None
        };
        let encoded = self.rows.codec().encode(columns)?;
        for row in 0..batch.num_rows() {
            let time = times.as_ref().map_or(now, |t| t[row]);
            if times.is_some() && time <= self.left {
                self.late += 1;
                continue;
            }
            let slot = self.rows.insert(&encoded, row, self.rows.next_mark(), time)?;
            self.waiting.entry(time).or_default().push(slot);
        }
        self.count(context);
        Ok(())
    }

    /// Rows up to this time leave.
    fn release(&mut self, until: i64) {
        let mut ready = vec![];
        while let Some(entry) = self.waiting.first_entry().filter(|e| *e.key() <= until) {
            let (time, mut slots) = entry.remove_entry();
            self.left = self.left.max(time);
            let rows = &self.rows;
            slots.sort_by(|a, b| rows.order(*a).cmp(rows.order(*b)));
            ready.extend(slots);
        }
        ready.reverse();
        debug_assert!(self.leaving.is_empty());
        self.leaving = ready;
    }

    fn drain(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        while !self.changes.is_full()
            && let Some(slot) = self.leaving.pop()
        {
            self.changes.push_always(RowKind::Insert, slot, 0);
            self.rows.remove(slot, self.group);
        }
        context.emit(self.changes.take(&self.rows, &self.schema)?);
        self.rows.release();
        if !self.leaving.is_empty() {
            return Ok(Progress::More);
        }
        if let Some(watermark) = self.then.take() {
            context.emit_watermark(watermark);
        }
        if !self.event_time()
            && let Some((time, _)) = self.waiting.first_key_value()
        {
            context.register_timer(time.saturating_add(1));
        }
        self.count(context);
        Ok(Progress::Done)
    }

    fn count(&self, context: &mut OperatorContext) {
        context.metrics.late_records_dropped = self.late;
        context.metrics.state_rows = self.rows.len() as u64;
        context.metrics.state_bytes = (self.rows.size_bytes() + self.rows.len() * 8) as u64;
    }
}

impl Operator for TemporalSort {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        self.add(&batch, context).map_err(|e| e.with("operator", &self.name))?;
        Ok(Progress::Done)
    }

    fn process_watermark(&mut self, watermark: Watermark, context: &mut OperatorContext) -> Result<Progress> {
        if self.event_time() {
            self.release(watermark.0);
        }
        self.then = Some(watermark);
        self.drain(context).map_err(|e| e.with("operator", &self.name))
    }

    fn on_processing_time(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        if !self.event_time() {
            self.release(context.processing_time_ms.saturating_sub(1));
        }
        self.drain(context).map_err(|e| e.with("operator", &self.name))
    }

    fn end_input(&mut self, _input: usize, context: &mut OperatorContext) -> Result<Progress> {
        self.release(i64::MAX);
        self.drain(context).map_err(|e| e.with("operator", &self.name))
    }

    fn resume(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.drain(context).map_err(|e| e.with("operator", &self.name))
    }

    fn snapshot_state(&mut self) -> Result<OperatorSnapshot> {
        let runs = self.rows.snapshot(&self.keys).map_err(|e| e.with("operator", &self.name))?;
        Ok(OperatorSnapshot { version: STATE_VERSION, meta: self.left.to_le_bytes().to_vec(), runs })
    }

    fn restore_state(&mut self, state: RestoredState) -> Result<()> {
        let times = state.metas.iter().filter_map(|m| m.as_slice().try_into().ok().map(i64::from_le_bytes));
        self.left = times.max().unwrap_or(i64::MIN);
        let mut restored = self.rows.restore(&state, &self.name)?;
        restored.sort_unstable_by_key(|r| r.mark);
        for row in restored {
            self.waiting.entry(row.time).or_default().push(row.slot);
        }
        Ok(())
    }

    fn next_event_time_timer(&mut self) -> Option<i64> {
        self.waiting.first_key_value().filter(|_| self.event_time()).map(|(time, _)| *time)
    }
}
