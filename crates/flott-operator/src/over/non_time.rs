//! OVER with an order that is none of time, from the first row of a partition on: Flink's
//! NonTimeRowsUnboundedPrecedingFunction and NonTimeRangeUnboundedPrecedingFunction.

use arrow_array::ArrayRef;
use arrow_schema::SchemaRef;
use arrow_select::concat::concat;
use flott_core::{ChangeBatch, Result, RowKind, RowKinds};
use flott_graph::OverAggregateSpec;
use flott_state::{OperatorSnapshot, RestoredState};

use super::fold::{Arguments, Fold, FoldPlan};
use crate::calc::assemble;
use crate::keyed::{BatchKeys, Encoded, KeyCodec, KeyTable, RowCodec, RowStore, SortedSlots, TimeToLive};
use crate::operator::{Operator, OperatorContext, Progress};
use crate::rank::types_of;
use crate::window::aggregate::Ownership;

/// Version of the stored form.
const STATE_VERSION: u32 = 1;
/// The state table.
const ROW_TABLE: &str = "rows";
/// With so many changes a call gives way.
const CHANGES_MAX: usize = 8_192;

#[derive(Default)]
struct Partition {
    slots: SortedSlots,
    written_ms: i64,
}

struct Work {
    batch: ChangeBatch,
    keys: BatchKeys,
    encoded: Encoded,
    next: usize,
}

/// Changes on their way out: rows, kinds, results.
#[derive(Default)]
struct Emitted {
    slots: Vec<u32>,
    kinds: Vec<RowKind>,
    results: Vec<Vec<ArrayRef>>,
}

impl Emitted {
    fn push(&mut self, kind: RowKind, slot: u32, results: &[ArrayRef]) {
        self.slots.push(slot);
        self.kinds.push(kind);
        self.results.push(results.to_vec());
    }

    fn update(&mut self, update_before: bool, slot: u32, before: &[ArrayRef], after: &[ArrayRef]) {
        if update_before {
            self.push(RowKind::UpdateBefore, slot, before);
        }
        self.push(RowKind::UpdateAfter, slot, after);
    }
}

/// Aggregates over the rows up to each row.
pub struct NonTimeOver {
    name: String,
    spec: OverAggregateSpec,
    schema: SchemaRef,
    plan: FoldPlan,
    keys: KeyCodec,
    table: KeyTable,
    partitions: Vec<Partition>,
    rows: RowStore,
    ttl: TimeToLive,
    emitted: Emitted,
    work: Option<Work>,
}

impl NonTimeOver {
    /// `schema`: of the output.
    pub fn new(name: &str, spec: &OverAggregateSpec, schema: SchemaRef, ownership: Ownership) -> Result<NonTimeOver> {
        let build = || -> Result<NonTimeOver> {
            let types = types_of(&spec.input_schema, &spec.partition_keys)?;
            let ttl = TimeToLive::new(spec.state_ttl);
            let codec = RowCodec::new(&spec.input_schema, &spec.order)?;
            Ok(NonTimeOver {
                name: name.to_string(),
                spec: spec.clone(),
                schema,
                plan: FoldPlan::new(&spec.aggregates, &spec.input_schema)?,
                keys: KeyCodec::new(&spec.partition_keys, &types, ownership.max_parallelism)?,
                table: KeyTable::default(),
                partitions: vec![],
                rows: RowStore::new(ROW_TABLE, codec, ttl.is_on()),
                ttl,
                emitted: Emitted::default(),
                work: None,
            })
        };
        build().map_err(|e| e.with("operator", name))
    }

    fn run(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        if let Some(mut work) = self.work.take() {
            while work.next < work.batch.num_rows() && self.emitted.slots.len() < CHANGES_MAX {
                self.row(&work, work.next, context.processing_time_ms)?;
                work.next += 1;
            }
            if work.next < work.batch.num_rows() {
                self.work = Some(work);
            }
        }
        let Emitted { slots, kinds, results } = std::mem::take(&mut self.emitted);
        if !slots.is_empty() {
            let rows = self.rows.gather(&slots)?;
            let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
            for aggregate in 0..self.spec.aggregates.len() {
                let values: Vec<&dyn arrow_array::Array> = results.iter().map(|r| r[aggregate].as_ref()).collect();
                columns.push(concat(&values)?);
            }
            let rows = assemble(&self.schema, columns, slots.len())?;
            context.emit(ChangeBatch::new(rows, kinds.into_iter().collect::<RowKinds>())?);
        }
        self.rows.release();
        if self.work.is_some() {
            return Ok(Progress::More);
        }
        if self.ttl.sweeps(context) {
            self.sweep(context.processing_time_ms);
        }
        context.metrics.state_rows = self.rows.len() as u64;
        let lists = self.partitions.capacity() * size_of::<Partition>() + self.rows.len() * 8;
        context.metrics.state_bytes = (self.rows.size_bytes() + self.table.size_bytes() + lists) as u64;
        Ok(Progress::Done)
    }

    fn row(&mut self, work: &Work, row: usize, now_ms: i64) -> Result<()> {
        let (hash, key) = (work.keys.hashes[row], work.keys.key(row));
        let kind = work.batch.kind(row);
        let number = match (self.table.find(hash, key), kind.is_addition()) {
            (Some(number), _) if self.ttl.is_over(self.partitions[number as usize].written_ms, now_ms) => {
                self.forget(number);
                if !kind.is_addition() {
                    return Ok(());
                }
                self.table.find_or_insert(hash, key).0
            }
            (Some(number), _) => number,
            (None, true) => self.table.find_or_insert(hash, key).0,
            (None, false) => return Ok(()),
        };
        if self.partitions.len() <= number as usize {
            self.partitions.resize_with(number as usize + 1, Partition::default);
        }
        self.partitions[number as usize].written_ms = now_ms;
        let order = work.encoded.order(row);
        let (rows, slots) = (&self.rows, &self.partitions[number as usize].slots);
        let first = slots.partition_point(|s| rows.order(s) < order);
        let end = slots.partition_point(|s| rows.order(s) <= order);
        if kind.is_addition() {
            let slot = self.rows.insert(&work.encoded, row, self.rows.next_mark(), now_ms)?;
            self.partitions[number as usize].slots.insert(end, slot);
            self.show(number, (first, end + 1), end, kind)
        } else {
            let rest = work.encoded.rest(row);
            // Of equal rows Flink takes the first away, and where rows of one order have one result, the last.
            let place = {
                let of_order = slots.iter_from(first).take(end - first).enumerate();
                let mut equal = of_order.filter(|(_, s)| rows.rest(*s) == rest).map(|(place, _)| place);
                if self.spec.rows { equal.next() } else { equal.last() }
            };
            let Some(place) = place.map(|p| p + first) else { return Ok(()) };
            self.show(number, (first, end), place, RowKind::Delete)?;
            if let Some(slot) = self.partitions[number as usize].slots.remove(place) {
                self.rows.remove(slot, self.keys.group(hash));
            }
            if self.partitions[number as usize].slots.is_empty() {
                self.forget(number);
            }
            Ok(())
        }
    }

    /// What a row at a place does that has come (or is about to go), among `first .. end` that are equal in the order.
    fn show(&mut self, number: u32, (first, end): (usize, usize), place: usize, kind: RowKind) -> Result<()> {
        let slots: Vec<u32> = self.partitions[number as usize].slots.iter_from(0).collect();
        let arguments = self.plan.arguments(&self.rows.gather(&slots)?);
        let start = if self.spec.rows { place } else { first };
        let (mut without, mut with) = (self.plan.start()?, self.plan.start()?);
        without.add(&arguments, 0, start)?;
        with.add(&arguments, 0, start)?;
        let goes = kind == RowKind::Delete;
        let update_before = self.spec.update_before;
        if self.spec.rows {
            with.add(&arguments, place, place + 1)?;
            self.emitted.push(kind, slots[place], &with.results()?);
        } else {
            with.add(&arguments, first, end)?;
            without.add(&arguments, first, place)?;
            without.add(&arguments, place + 1, end)?;
            let (of_with, of_without) = (with.results()?, without.results()?);
            let (old, new) = if goes { (&of_with, &of_without) } else { (&of_without, &of_with) };
            let same = end - first == 1 || with.is_as(&without)?;
            for (i, slot) in slots[first..end].iter().enumerate() {
                if first + i == place {
                    self.emitted.push(kind, *slot, &of_with);
                } else if !same {
                    self.emitted.update(update_before, *slot, old, new);
                }
            }
        }
        let (mut old, mut new) = if goes { (with, without) } else { (without, with) };
        let mut at = if self.spec.rows { place + 1 } else { end };
        while at < slots.len() {
            let next = self.peers(&slots, at);
            if !self.step(&arguments, (&mut old, &mut new), (at, next), &slots)? {
                break;
            }
            at = next;
        }
        Ok(())
    }

    /// Where the rows end that have one result with the row at this place.
    fn peers(&self, slots: &[u32], at: usize) -> usize {
        if self.spec.rows {
            return at + 1;
        }
        let order = self.rows.order(slots[at]);
        at + slots[at..].partition_point(|s| self.rows.order(*s) <= order)
    }

    /// Rows behind the one that changed; false where nothing changes any more.
    fn step(
        &mut self,
        arguments: &Arguments,
        (old, new): (&mut Fold, &mut Fold),
        (from, to): (usize, usize),
        slots: &[u32],
    ) -> Result<bool> {
        old.add(arguments, from, to)?;
        new.add(arguments, from, to)?;
        if old.is_as(new)? {
            return Ok(false);
        }
        let (before, after) = (old.results()?, new.results()?);
        for slot in &slots[from..to] {
            self.emitted.update(self.spec.update_before, *slot, &before, &after);
        }
        Ok(true)
    }

    fn forget(&mut self, number: u32) {
        let group = self.keys.group(self.table.hash(number));
        let partition = std::mem::take(&mut self.partitions[number as usize]);
        for slot in partition.slots.iter_from(0) {
            self.rows.remove(slot, group);
        }
        self.table.remove(number);
    }

    fn sweep(&mut self, now_ms: i64) {
        for number in 0..self.partitions.len() {
            let partition = &self.partitions[number];
            if !partition.slots.is_empty() && self.ttl.is_over(partition.written_ms, now_ms) {
                self.forget(number as u32);
            }
        }
        if self.table.len() == 0 {
            self.partitions = vec![];
        }
        self.rows.release();
    }
}

impl Operator for NonTimeOver {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        let mut start = || -> Result<Progress> {
            let keys = self.keys.encode(batch.rows.columns(), batch.num_rows())?;
            let encoded = self.rows.codec().encode(batch.rows.columns())?;
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
        let mut restored = self.rows.restore(&state, &self.name)?;
        restored.sort_unstable_by_key(|r| (r.mark, r.id));
        let slots: Vec<u32> = restored.iter().map(|r| r.slot).collect();
        let batch = self.rows.gather(&slots)?;
        let keys = self.keys.encode(batch.columns(), batch.num_rows())?;
        for (row, restored) in restored.iter().enumerate() {
            let (number, _) = self.table.find_or_insert(keys.hashes[row], keys.key(row));
            if self.partitions.len() <= number as usize {
                self.partitions.resize_with(number as usize + 1, Partition::default);
            }
            let partition = &mut self.partitions[number as usize];
            let (rows, slot) = (&self.rows, restored.slot);
            let place = partition.slots.partition_point(|s| rows.order(s) <= rows.order(slot));
            partition.slots.insert(place, slot);
            partition.written_ms = partition.written_ms.max(restored.time);
        }
        Ok(())
    }
}
