//! One row of each key, until a better one comes: Flink's FastTop1Function, its deduplication that keeps the last row, and in
//! mini-batches that which keeps the first one by event time.

use arrow_schema::SchemaRef;
use flott_core::{ChangeBatch, Result, RowKind, RowKinds};
use flott_graph::sort::SortKey;
use flott_graph::{DeduplicateSpec, Keep, RankSpec};
use flott_state::{OperatorSnapshot, RestoredState};

use super::changes::Changes;
use super::top_n::types_of;
use crate::held::list_bytes;
use crate::keyed::{BatchKeys, Encoded, KeyCodec, KeyTable, RowCodec, RowStore, TimeToLive};
use crate::operator::{Operator, OperatorContext, Progress};
use crate::window::aggregate::Ownership;

/// Version of the stored form.
const STATE_VERSION: u32 = 1;
/// The state table.
const ROW_TABLE: &str = "rows";

#[derive(Clone, Copy)]
struct Entry {
    slot: u32,
    written_ms: i64,
}

struct Work {
    batch: ChangeBatch,
    keys: BatchKeys,
    encoded: Encoded,
    next: usize,
}

/// The best row of each key.
pub struct Latest {
    name: String,
    schema: SchemaRef,
    /// A row that is equal in the order is better.
    equals_replace: bool,
    /// A row that is equal in everything changes nothing.
    skips_same: bool,
    update_before: bool,
    /// The first row leaves as `+I`.
    insert: bool,
    /// Nothing is kept: each row leaves as `+U`.
    stateless: bool,
    /// A row that is not better renews the time to live, too.
    renews: bool,
    keys: KeyCodec,
    table: KeyTable,
    entries: Vec<Entry>,
    rows: RowStore,
    ttl: TimeToLive,
    changes: Changes,
    work: Option<Work>,
}

impl Latest {
    /// The first row of each partition of rows that are only added, or only get better.
    pub fn top_1(name: &str, spec: &RankSpec, schema: SchemaRef, ownership: Ownership) -> Result<Latest> {
        let ttl = TimeToLive::new(spec.state_ttl);
        let mut latest = Latest::new(name, &spec.partition_keys, &spec.order, ttl, &spec.input_schema, ownership)?;
        latest.schema = schema;
        latest.update_before = spec.update_before;
        Ok(latest)
    }

    /// The last row of each key, or by event time the first one of those that have come.
    pub fn deduplicate(name: &str, spec: &DeduplicateSpec, schema: SchemaRef, owner: Ownership) -> Result<Latest> {
        let ascending = spec.keep == Keep::First;
        let order: Vec<SortKey> =
            spec.rowtime.map(|column| SortKey { column, ascending, nulls_last: !ascending }).into_iter().collect();
        let ttl = TimeToLive::new(spec.state_ttl);
        let by_arrival = spec.rowtime.is_none();
        let skips_same = by_arrival && !ttl.is_on();
        let mut latest = Latest::new(name, &spec.keys, &order, ttl, &spec.input_schema, owner)?;
        latest.schema = schema;
        latest.equals_replace = !ascending;
        latest.skips_same = skips_same;
        latest.update_before = spec.update_before;
        latest.insert = spec.insert || spec.update_before;
        latest.stateless = by_arrival && !latest.insert;
        // As `RowTimeMiniBatchDeduplicateFunction`, which writes the state of each key of a mini-batch.
        latest.renews = spec.mini_batch.is_some() && !spec.compact && !by_arrival;
        Ok(latest)
    }

    fn new(
        name: &str,
        keys: &[usize],
        order: &[SortKey],
        ttl: TimeToLive,
        input: &SchemaRef,
        ownership: Ownership,
    ) -> Result<Latest> {
        let build = || -> Result<Latest> {
            Ok(Latest {
                name: name.to_string(),
                schema: SchemaRef::clone(input),
                equals_replace: false,
                skips_same: false,
                update_before: true,
                insert: true,
                stateless: false,
                renews: false,
                keys: KeyCodec::new(keys, &types_of(input, keys)?, ownership.max_parallelism)?,
                table: KeyTable::default(),
                entries: vec![],
                rows: RowStore::new(ROW_TABLE, RowCodec::new(input, order)?, ttl.is_on()),
                ttl,
                changes: Changes::default(),
                work: None,
            })
        };
        build().map_err(|e| e.with("operator", name))
    }

    fn run(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        if let Some(mut work) = self.work.take() {
            while work.next < work.batch.num_rows() && !self.changes.is_full() {
                self.row(&work, work.next, context.processing_time_ms)?;
                work.next += 1;
            }
            if work.next < work.batch.num_rows() {
                self.work = Some(work);
            }
        }
        context.emit(self.changes.take(&self.rows, &self.schema)?);
        self.rows.release();
        if self.work.is_some() {
            return Ok(Progress::More);
        }
        if self.ttl.sweeps(context) {
            self.sweep(context.processing_time_ms);
        }
        let entries = list_bytes(&self.entries);
        context.metrics.state_rows = self.rows.len() as u64;
        context.metrics.state_bytes = (self.rows.size_bytes() + self.table.size_bytes() + entries) as u64;
        Ok(Progress::Done)
    }

    fn row(&mut self, work: &Work, row: usize, now_ms: i64) -> Result<()> {
        let (number, new) = self.table.find_or_insert(work.keys.hashes[row], work.keys.key(row));
        let group = self.keys.group(work.keys.hashes[row]);
        let old = (!new).then(|| self.entries[number as usize]);
        let expired = old.filter(|o| self.ttl.is_over(o.written_ms, now_ms));
        if let Some(expired) = expired {
            self.rows.remove(expired.slot, group);
        }
        let old = old.filter(|_| expired.is_none());
        if let Some(old) = old {
            let (order, known) = (work.encoded.order(row), self.rows.order(old.slot));
            if order > known || order == known && !self.equals_replace {
                if self.renews && self.ttl.is_on() && old.written_ms < now_ms {
                    self.entries[number as usize].written_ms = now_ms;
                    self.rows.renew(old.slot, group, now_ms);
                }
                return Ok(());
            }
            if self.skips_same && order == known && work.encoded.rest(row) == self.rows.rest(old.slot) {
                return Ok(());
            }
        }
        let slot = self.rows.insert(&work.encoded, row, 0, now_ms)?;
        if self.entries.len() <= number as usize {
            self.entries.resize(number as usize + 1, Entry { slot: u32::MAX, written_ms: 0 });
        }
        self.entries[number as usize] = Entry { slot, written_ms: now_ms };
        match old {
            Some(old) => {
                if self.update_before {
                    self.changes.push_always(RowKind::UpdateBefore, old.slot, 1);
                }
                self.changes.push_always(RowKind::UpdateAfter, slot, 1);
                self.rows.remove(old.slot, group);
            }
            None => {
                let kind = if self.insert { RowKind::Insert } else { RowKind::UpdateAfter };
                self.changes.push_always(kind, slot, 1);
            }
        }
        Ok(())
    }

    fn sweep(&mut self, now_ms: i64) {
        for number in 0..self.entries.len() {
            let entry = self.entries[number];
            if entry.slot != u32::MAX && self.ttl.is_over(entry.written_ms, now_ms) {
                self.entries[number].slot = u32::MAX;
                self.rows.remove(entry.slot, self.keys.group(self.table.hash(number as u32)));
                self.table.remove(number as u32);
            }
        }
        if self.table.len() == 0 {
            self.entries = vec![];
        }
        self.rows.release();
    }
}

impl Operator for Latest {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        if self.stateless {
            let kinds = RowKinds::repeat(RowKind::UpdateAfter, batch.num_rows());
            context.emit(ChangeBatch::new(batch.rows, kinds)?);
            return Ok(Progress::Done);
        }
        let mut start = || -> Result<Progress> {
            let columns = batch.rows.columns();
            let keys = self.keys.encode(columns, batch.num_rows())?;
            let encoded = self.rows.codec().encode(columns)?;
            self.work = Some(Work { keys, encoded, batch: batch.clone(), next: 0 });
            self.run(context)
        };
        start().map_err(|e| e.with("operator", &self.name))
    }

    fn on_processing_time(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.run(context).map_err(|e| e.with("operator", &self.name))
    }

    fn resume(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.run(context).map_err(|e| e.with("operator", &self.name))
    }

    fn snapshot_state(&mut self) -> Result<OperatorSnapshot> {
        let runs = self.rows.snapshot(&self.keys).map_err(|e| e.with("operator", &self.name))?;
        Ok(OperatorSnapshot { version: STATE_VERSION, meta: vec![], runs })
    }

    fn restore_state(&mut self, state: RestoredState) -> Result<()> {
        let restored = self.rows.restore(&state, &self.name)?;
        let slots: Vec<u32> = restored.iter().map(|r| r.slot).collect();
        let batch = self.rows.gather(&slots)?;
        let keys = self.keys.encode(batch.columns(), batch.num_rows())?;
        for (row, restored) in restored.iter().enumerate() {
            let (number, _) = self.table.find_or_insert(keys.hashes[row], keys.key(row));
            if self.entries.len() <= number as usize {
                self.entries.resize(number as usize + 1, Entry { slot: u32::MAX, written_ms: 0 });
            }
            self.entries[number as usize] = Entry { slot: restored.slot, written_ms: restored.time };
        }
        Ok(())
    }
}
