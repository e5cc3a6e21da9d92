//! Top-N of each partition: Flink's AppendOnlyTopNFunction, UpdatableTopNFunction and RetractableTopNFunction.

use std::hint::black_box;
use std::sync::Arc;

use arrow_array::types::{Int16Type, Int32Type, Int64Type};
use arrow_array::{Array, cast::AsArray};
use arrow_schema::{DataType, SchemaRef};
use flott_core::{ChangeBatch, Error, Result, RowKind};
use flott_graph::{RankRange, RankSpec, RankStrategy};
use flott_state::{OperatorSnapshot, RestoredState};

use super::changes::{Changes, Seen};
use super::updates::RowKeys;
use crate::held::list_bytes;
use crate::keyed::{BatchKeys, ENTRY_BYTES, Encoded, KeyCodec, KeyTable, RowCodec, RowStore, SortedSlots, TimeToLive};
use crate::operator::{Operator, OperatorContext, Progress};
use crate::window::aggregate::Ownership;

/// Version of the stored form.
const STATE_VERSION: u32 = 1;
/// The state table.
const ROW_TABLE: &str = "rows";
/// For so many rows at a time what they look at is brought into the caches.
const WARM_ROWS: usize = 64;
/// Flink keeps so many rows of a partition whose last rank is in a column, whatever that says.
const VARIABLE_ROWS: usize = 100;

/// The rows of a partition that are kept, in order.
#[derive(Default)]
pub(crate) struct Partition {
    pub(crate) slots: SortedSlots,
    /// Where it comes from a column: that of the first row.
    end: Option<u64>,
    written_ms: i64,
}

impl Partition {
    /// Whether there are so many rows and none of them comes behind this order.
    pub(crate) fn is_full_for(&self, order: &[u8], capacity: usize, rows: &RowStore) -> bool {
        self.slots.len() >= capacity && self.slots.compare_last(order, |s| rows.order(s)).is_some_and(|o| o.is_le())
    }
}

/// A batch that is being worked on.
struct Work {
    batch: ChangeBatch,
    keys: BatchKeys,
    encoded: Encoded,
    row_keys: Option<BatchKeys>,
    ends: Option<Vec<u64>>,
    next: usize,
}

/// Top-N of each partition.
pub struct TopN {
    name: String,
    spec: RankSpec,
    schema: SchemaRef,
    keys: KeyCodec,
    table: KeyTable,
    partitions: Vec<Partition>,
    rows: RowStore,
    row_keys: Option<RowKeys>,
    ttl: TimeToLive,
    changes: Changes,
    work: Option<Work>,
    /// Of partitions and their last rows that the next rows most likely look at.
    numbers: Vec<u32>,
    last_slots: Vec<u32>,
}

/// The types of columns of a schema.
pub(crate) fn types_of(schema: &SchemaRef, columns: &[usize]) -> Result<Vec<DataType>> {
    let field = |c: &usize| {
        let field = schema.fields().get(*c).map(|f| f.data_type().clone());
        field.ok_or_else(|| Error::internal(format!("column {c} of {}", schema.fields().len())))
    };
    columns.iter().map(field).collect()
}

impl TopN {
    /// `schema`: of the output.
    pub fn new(name: &str, spec: &RankSpec, schema: SchemaRef, ownership: Ownership) -> Result<TopN> {
        let build = || -> Result<TopN> {
            let width = spec.input_schema.fields().len() + usize::from(spec.output_rank_number);
            if width != schema.fields().len() {
                return Err(Error::internal(format!("{} columns in place of {width}", schema.fields().len())));
            }
            let types = types_of(&spec.input_schema, &spec.partition_keys)?;
            let ttl = TimeToLive::new(spec.state_ttl);
            let codec = RowCodec::new(&spec.input_schema, &spec.order)?;
            let row_keys = match &spec.strategy {
                RankStrategy::UpdateFast { primary_keys } => {
                    Some(RowKeys::new(primary_keys, &spec.input_schema, ownership.max_parallelism)?)
                }
                _ => None,
            };
            Ok(TopN {
                name: name.to_string(),
                spec: spec.clone(),
                keys: KeyCodec::new(&spec.partition_keys, &types, ownership.max_parallelism)?,
                table: KeyTable::default(),
                partitions: vec![],
                rows: RowStore::new(ROW_TABLE, codec, ttl.is_on()),
                row_keys,
                ttl,
                changes: Changes::default(),
                work: None,
                numbers: vec![],
                last_slots: vec![],
                schema,
            })
        };
        build().map_err(|e| e.with("operator", name))
    }

    fn prepare(&self, batch: ChangeBatch) -> Result<Work> {
        let (columns, n) = (batch.rows.columns(), batch.num_rows());
        Ok(Work {
            keys: self.keys.encode(columns, n)?,
            encoded: self.rows.codec().encode(columns)?,
            row_keys: self.row_keys.as_ref().map(|r| r.codec.encode(columns, n)).transpose()?,
            ends: match self.spec.range {
                RankRange::Constant { .. } => None,
                RankRange::Variable { column } => Some(last_ranks(columns[column].as_ref())?),
            },
            batch,
            next: 0,
        })
    }

    fn run(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        if let Some(mut work) = self.work.take() {
            let mut warm_until = work.next;
            while work.next < work.batch.num_rows() && !self.changes.is_full() {
                if work.next == warm_until {
                    warm_until = (work.next + WARM_ROWS).min(work.batch.num_rows());
                    self.warm(&work.keys.hashes[work.next..warm_until]);
                }
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
        context.metrics.state_rows = self.rows.len() as u64;
        let lists = list_bytes(&self.partitions) + self.rows.len() * ENTRY_BYTES;
        let row_keys = self.row_keys.as_ref().map_or(0, RowKeys::size_bytes);
        context.metrics.state_bytes = (self.rows.size_bytes() + self.table.size_bytes() + lists + row_keys) as u64;
        Ok(Progress::Done)
    }

    /// Brings what the next rows look at into the caches, step by step for all of them.
    fn warm(&mut self, hashes: &[u64]) {
        self.table.warm(hashes, &mut self.numbers);
        let partitions = || self.numbers.iter().filter_map(|n| self.partitions.get(*n as usize));
        black_box(partitions().fold(0, |sum: usize, p| sum.wrapping_add(p.slots.len())));
        self.last_slots.clear();
        self.last_slots.extend(partitions().filter_map(|p| p.slots.last()));
        self.rows.warm(&self.last_slots);
    }

    fn row(&mut self, work: &Work, row: usize, now_ms: i64) -> Result<()> {
        let (hash, key) = (work.keys.hashes[row], work.keys.key(row));
        // An aggregation that has the old version of its only row taken back says that its group is gone, and says the new one
        // right behind that: where rows only get better no row stays away, so its going is an update like others (as in Flink).
        let updates = matches!(self.spec.strategy, RankStrategy::UpdateFast { .. });
        let adds = updates || work.batch.kind(row).is_addition();
        let number = if adds {
            let (number, new) = self.table.find_or_insert(hash, key);
            if self.partitions.len() <= number as usize {
                self.partitions.resize_with(number as usize + 1, Partition::default);
            }
            if !new && self.ttl.is_over(self.partitions[number as usize].written_ms, now_ms) {
                self.forget_rows(number);
            }
            number
        } else {
            let Some(number) = self.table.find(hash, key) else { return Ok(()) };
            if self.ttl.is_over(self.partitions[number as usize].written_ms, now_ms) {
                self.forget(number);
                return Ok(());
            }
            number
        };
        let partition = &mut self.partitions[number as usize];
        if let Some(ends) = &work.ends {
            partition.end.get_or_insert(ends[row]);
        }
        let seen = seen(&self.spec, partition.end);
        let numbered = self.spec.output_rank_number || self.spec.range.has_offset();
        let group = self.keys.group(hash);
        match (&self.spec.strategy, adds) {
            (RankStrategy::AppendFast, true) => {
                let order = work.encoded.order(row);
                let capacity = capacity(&self.spec.range);
                if partition.is_full_for(order, capacity, &self.rows) {
                    return Ok(());
                }
                let (place, slot) = add(&mut self.rows, partition, &work.encoded, row, now_ms)?;
                if numbered {
                    push_down(&mut self.changes, seen, partition, place, slot);
                } else if place < seen.end as usize {
                    if let Some(last) = partition.slots.get(seen.end as usize) {
                        self.changes.push_always(RowKind::Delete, last, 0);
                    }
                    self.changes.push_always(RowKind::Insert, slot, 0);
                }
                while partition.slots.len() > seen.end as usize
                    && let Some(slot) = partition.slots.remove(partition.slots.len() - 1)
                {
                    self.rows.remove(slot, group);
                }
                partition.written_ms = now_ms;
            }
            (RankStrategy::UpdateFast { .. }, true) => {
                let (Some(row_keys), Some(keys)) = (&mut self.row_keys, &work.row_keys) else {
                    return Err(Error::internal("updates without keys"));
                };
                row_keys.update(
                    super::updates::Update { keys, encoded: &work.encoded, row, now_ms, group, seen, numbered },
                    capacity(&self.spec.range),
                    partition,
                    &mut self.rows,
                    &mut self.changes,
                )?;
                partition.written_ms = now_ms;
            }
            (RankStrategy::Retract, true) => {
                let (place, slot) = add(&mut self.rows, partition, &work.encoded, row, now_ms)?;
                if numbered {
                    push_down(&mut self.changes, seen, partition, place, slot);
                } else if place < seen.end as usize {
                    if let Some(last) = partition.slots.get(seen.end as usize) {
                        self.changes.push_always(RowKind::Delete, last, 0);
                    }
                    self.changes.push_always(RowKind::Insert, slot, 0);
                }
                partition.written_ms = now_ms;
            }
            (RankStrategy::Retract, false) => {
                self.retract(work, row, number, seen, numbered);
                self.partitions[number as usize].written_ms = now_ms;
            }
            // Their planner has seen to it that there are none.
            (RankStrategy::AppendFast | RankStrategy::UpdateFast { .. }, false) => {}
        }
        if self.partitions[number as usize].slots.is_empty() {
            self.forget(number);
        }
        Ok(())
    }

    /// Takes a row away, where it is there, and shows what that does to those behind it.
    fn retract(&mut self, work: &Work, row: usize, number: u32, seen: Seen, numbered: bool) {
        let (order, rest) = (work.encoded.order(row), work.encoded.rest(row));
        let partition = &mut self.partitions[number as usize];
        let rows = &self.rows;
        let first = partition.slots.less(order, |s| rows.order(s));
        let place = {
            let mut equals = partition.slots.iter_from(first).take_while(|s| rows.order(*s) == order);
            equals.position(|s| rows.rest(s) == rest)
        };
        let Some(place) = place.map(|p| p + first) else { return };
        let Some(slot) = partition.slots.remove(place) else { return };
        let mut rank = place as u64 + 1;
        if numbered {
            let mut before = slot;
            for after in partition.slots.iter_from(place) {
                if rank > seen.end {
                    break;
                }
                self.changes.update(seen, before, after, rank);
                before = after;
                rank += 1;
            }
            self.changes.push(seen, RowKind::Delete, before, rank);
        } else if rank <= seen.end {
            self.changes.push_always(RowKind::Delete, slot, rank);
            if let Some(next) = partition.slots.get(seen.end as usize - 1) {
                self.changes.push_always(RowKind::Insert, next, seen.end);
            }
        }
        self.rows.remove(slot, self.keys.group(work.keys.hashes[row]));
    }

    fn forget_rows(&mut self, number: u32) {
        let group = self.keys.group(self.table.hash(number));
        let partition = std::mem::take(&mut self.partitions[number as usize]);
        for slot in partition.slots.iter_from(0) {
            if let Some(row_keys) = &mut self.row_keys {
                row_keys.forget(slot);
            }
            self.rows.remove(slot, group);
        }
    }

    fn forget(&mut self, number: u32) {
        self.forget_rows(number);
        self.table.remove(number);
        if self.table.len() == 0 {
            self.partitions = vec![];
        }
    }

    fn sweep(&mut self, now_ms: i64) {
        for number in 0..self.partitions.len() {
            let partition = &self.partitions[number];
            if !partition.slots.is_empty() && self.ttl.is_over(partition.written_ms, now_ms) {
                self.forget(number as u32);
                if self.partitions.is_empty() {
                    break;
                }
            }
        }
        self.rows.release();
    }
}

fn seen(spec: &RankSpec, end: Option<u64>) -> Seen {
    let (start, end) = match spec.range {
        RankRange::Constant { start, end } => (start, end),
        RankRange::Variable { .. } => (1, end.unwrap_or(0)),
    };
    Seen { start, end, update_before: spec.update_before }
}

/// Rows of a partition that are kept before one must go for another.
fn capacity(range: &RankRange) -> usize {
    match range {
        RankRange::Constant { end, .. } => usize::try_from(*end).unwrap_or(usize::MAX),
        RankRange::Variable { .. } => VARIABLE_ROWS,
    }
}

/// The last rank that each row asks for.
pub(crate) fn last_ranks(column: &dyn Array) -> Result<Vec<u64>> {
    let values: Vec<i64> = match column.data_type() {
        DataType::Int16 => column.as_primitive::<Int16Type>().iter().map(|v| v.unwrap_or(0).into()).collect(),
        DataType::Int32 => column.as_primitive::<Int32Type>().iter().map(|v| v.unwrap_or(0).into()).collect(),
        DataType::Int64 => column.as_primitive::<Int64Type>().iter().map(|v| v.unwrap_or(0)).collect(),
        other => return Err(Error::internal(format!("a rank that ends at a column of type {other}"))),
    };
    Ok(values.into_iter().map(|v| u64::try_from(v).unwrap_or(0)).collect())
}

/// Adds a row behind those that are equal in the order. Its place and slot.
pub(crate) fn add(
    rows: &mut RowStore,
    partition: &mut Partition,
    encoded: &Encoded,
    row: usize,
    now_ms: i64,
) -> Result<(usize, u32)> {
    let order = encoded.order(row);
    let place = partition.slots.less_or_equal(order, |s| rows.order(s));
    let slot = rows.insert(encoded, row, rows.next_mark(), now_ms)?;
    partition.slots.insert(place, slot, order);
    Ok((place, slot))
}

/// A new row at a place: each one behind it moves one rank further.
pub(crate) fn push_down(changes: &mut Changes, seen: Seen, partition: &Partition, place: usize, slot: u32) {
    let mut rank = place as u64 + 1;
    let mut current = slot;
    for before in partition.slots.iter_from(place + 1) {
        if rank > seen.end {
            break;
        }
        changes.update(seen, before, current, rank);
        current = before;
        rank += 1;
    }
    changes.push(seen, RowKind::Insert, current, rank);
}

impl Operator for TopN {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        self.work = Some(self.prepare(batch).map_err(|e| e.with("operator", &self.name))?);
        self.run(context).map_err(|e| e.with("operator", &self.name))
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
        // Rows that are equal in the order stand in that of their marks.
        restored.sort_unstable_by_key(|r| (r.mark, r.id));
        let slots: Vec<u32> = restored.iter().map(|r| r.slot).collect();
        let batch = self.rows.gather(&slots)?;
        let keys = self.keys.encode(batch.columns(), batch.num_rows())?;
        let ends = match self.spec.range {
            RankRange::Constant { .. } => None,
            RankRange::Variable { column } => Some(last_ranks(batch.column(column).as_ref())?),
        };
        if let Some(row_keys) = &mut self.row_keys {
            row_keys.restore(&batch, &slots)?;
        }
        for (row, restored) in restored.iter().enumerate() {
            let (number, _) = self.table.find_or_insert(keys.hashes[row], keys.key(row));
            if self.partitions.len() <= number as usize {
                self.partitions.resize_with(number as usize + 1, Partition::default);
            }
            let partition = &mut self.partitions[number as usize];
            let (rows, slot) = (&self.rows, restored.slot);
            let order = rows.order(slot);
            let place = partition.slots.less_or_equal(order, |s| rows.order(s));
            partition.slots.insert(place, slot, order);
            partition.written_ms = partition.written_ms.max(restored.time);
            if let Some(ends) = &ends {
                partition.end.get_or_insert(ends[row]);
            }
        }
        Ok(())
    }
}

impl TopN {
    /// The schema of the output.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}
