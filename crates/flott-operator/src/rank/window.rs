//! Top-N of each window and its deduplication: rows leave when the window ends. Flink's WindowRank and
//! WindowDeduplicate. Rows are only added, and bring the window that they are in.

use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use flott_core::{ChangeBatch, Result, RowKind, Watermark};
use flott_graph::WindowRankSpec;
use flott_state::{OperatorSnapshot, RestoredState};

use super::changes::{Changes, Seen};
use super::top_n::types_of;
use crate::held::list_bytes;
use crate::keyed::{BatchKeys, ENTRY_BYTES, KeyCodec, KeyTable, RowCodec, RowStore, SortedSlots};
use crate::operator::{Operator, OperatorContext, Progress};
use crate::timestamp::to_milliseconds;
use crate::window::aggregate::Ownership;
use crate::window::time_zone::ShiftZone;

/// Version of the stored form.
const STATE_VERSION: u32 = 1;
/// The state table.
const ROW_TABLE: &str = "rows";

/// The best rows of a window and partition.
#[derive(Default)]
struct Partition {
    slots: SortedSlots,
    group: u16,
}

impl Partition {
    /// Where a row of this order comes: behind those that are equal, or before them.
    fn place(&self, order: &[u8], before_equals: bool, rows: &RowStore) -> usize {
        if before_equals {
            self.slots.less(order, |s| rows.order(s))
        } else {
            self.slots.less_or_equal(order, |s| rows.order(s))
        }
    }
}

/// The best rows of each window and partition.
pub struct WindowRank {
    name: String,
    spec: WindowRankSpec,
    schema: SchemaRef,
    zone: ShiftZone,
    /// What rows are sent to their place by.
    keys: KeyCodec,
    /// These and the window.
    window_keys: KeyCodec,
    table: KeyTable,
    partitions: Vec<Partition>,
    /// Partitions by the end of their window, in order of arrival.
    windows: BTreeMap<i64, VecDeque<u32>>,
    rows: RowStore,
    changes: Changes,
    progress: i64,
    /// No more rows will come.
    ended: bool,
    then: Option<Watermark>,
    late: u64,
}

impl WindowRank {
    /// `schema`: of the output.
    pub fn new(name: &str, spec: &WindowRankSpec, schema: SchemaRef, ownership: Ownership) -> Result<WindowRank> {
        let build = || -> Result<WindowRank> {
            let input = &spec.input_schema;
            let mut of_window = spec.partition_keys.clone();
            of_window.extend(spec.window_start.into_iter().chain(spec.window_end));
            let codec = |columns: &[usize]| -> Result<KeyCodec> {
                KeyCodec::new(columns, &types_of(input, columns)?, ownership.max_parallelism)
            };
            Ok(WindowRank {
                name: name.to_string(),
                spec: spec.clone(),
                schema,
                zone: ShiftZone::named(spec.time_zone.as_deref())?,
                keys: codec(&spec.partition_keys)?,
                window_keys: codec(&of_window)?,
                table: KeyTable::default(),
                partitions: vec![],
                windows: BTreeMap::new(),
                rows: RowStore::new(ROW_TABLE, RowCodec::new(input, &spec.order)?, false),
                changes: Changes::default(),
                progress: i64::MIN,
                ended: false,
                then: None,
                late: 0,
            })
        };
        build().map_err(|e| e.with("operator", name))
    }

    fn is_over(&self, end: i64) -> bool {
        match end {
            i64::MAX => self.ended,
            end => self.progress != i64::MIN && self.zone.is_over(end, self.progress),
        }
    }

    /// The partition of a row.
    fn partition(&mut self, of_window: &BatchKeys, row: usize, end: i64, group: u16) -> u32 {
        let (number, new) = self.table.find_or_insert(of_window.hashes[row], of_window.key(row));
        if self.partitions.len() <= number as usize {
            self.partitions.resize_with(number as usize + 1, Partition::default);
        }
        if new {
            self.partitions[number as usize] = Partition { slots: SortedSlots::default(), group };
            self.windows.entry(end).or_default().push_back(number);
        }
        number
    }

    fn ends(&self, rows: &RecordBatch) -> Result<arrow_buffer::ScalarBuffer<i64>> {
        match self.spec.window_end {
            Some(column) => to_milliseconds(rows.column(column).as_ref()),
            None => Ok(vec![i64::MAX; rows.num_rows()].into()),
        }
    }

    fn add(&mut self, batch: &ChangeBatch, context: &mut OperatorContext) -> Result<()> {
        self.progress = self.progress.max(context.watermark.map_or(i64::MIN, |w| w.0));
        let (columns, n) = (batch.rows.columns(), batch.num_rows());
        let ends = self.ends(&batch.rows)?;
        let keys = self.keys.encode(columns, n)?;
        let of_window = self.window_keys.encode(columns, n)?;
        let encoded = self.rows.codec().encode(columns)?;
        let most = usize::try_from(self.spec.end).unwrap_or(usize::MAX);
        let last_of_equals = self.spec.last_of_equals;
        for (row, end) in ends.iter().copied().enumerate() {
            if self.is_over(end) {
                self.late += 1;
                continue;
            }
            let group = self.keys.group(keys.hashes[row]);
            let number = self.partition(&of_window, row, end, group);
            let (partition, rows) = (&mut self.partitions[number as usize], &mut self.rows);
            let order = encoded.order(row);
            let last = partition.slots.compare_last(order, |s| rows.order(s));
            let worse = |last: Ordering| if last_of_equals { last.is_lt() } else { last.is_le() };
            if partition.slots.len() >= most && last.is_none_or(worse) {
                continue;
            }
            let place = partition.place(order, last_of_equals, rows);
            let slot = rows.insert(&encoded, row, rows.next_mark(), 0)?;
            partition.slots.insert(place, slot, order);
            if partition.slots.len() > most
                && let Some(last) = partition.slots.remove(most)
            {
                rows.remove(last, group);
            }
        }
        self.rows.release();
        self.count(context);
        Ok(())
    }

    fn fire(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        let seen = Seen { start: self.spec.start, end: self.spec.end, update_before: true };
        let mut more = false;
        while let Some((end, numbers)) = self.windows.first_key_value() {
            let Some(number) = numbers.front().copied().filter(|_| self.is_over(*end)) else { break };
            if self.changes.is_full() {
                more = true;
                break;
            }
            let partition = std::mem::take(&mut self.partitions[number as usize]);
            for (place, slot) in partition.slots.iter_from(0).enumerate() {
                self.changes.push(seen, RowKind::Insert, slot, place as u64 + 1);
                self.rows.remove(slot, partition.group);
            }
            self.table.remove(number);
            if let Some(mut first) = self.windows.first_entry() {
                first.get_mut().pop_front();
                if first.get().is_empty() {
                    first.remove();
                }
            }
        }
        context.emit(self.changes.take(&self.rows, &self.schema)?);
        self.rows.release();
        if more {
            return Ok(Progress::More);
        }
        if self.table.len() == 0 {
            self.partitions = vec![];
        }
        if let Some(watermark) = self.then.take() {
            context.emit_watermark(watermark);
        }
        self.count(context);
        Ok(Progress::Done)
    }

    fn count(&self, context: &mut OperatorContext) {
        context.metrics.late_records_dropped = self.late;
        context.metrics.state_rows = self.rows.len() as u64;
        let lists = list_bytes(&self.partitions) + self.rows.len() * ENTRY_BYTES;
        context.metrics.state_bytes = (self.rows.size_bytes() + self.table.size_bytes() + lists) as u64;
    }
}

impl Operator for WindowRank {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        self.add(&batch, context).map_err(|e| e.with("operator", &self.name))?;
        Ok(Progress::Done)
    }

    fn process_watermark(&mut self, watermark: Watermark, context: &mut OperatorContext) -> Result<Progress> {
        self.progress = self.progress.max(watermark.0);
        self.then = Some(watermark);
        self.fire(context).map_err(|e| e.with("operator", &self.name))
    }

    fn end_input(&mut self, _input: usize, context: &mut OperatorContext) -> Result<Progress> {
        (self.progress, self.ended) = (i64::MAX, true);
        self.fire(context).map_err(|e| e.with("operator", &self.name))
    }

    fn resume(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.fire(context).map_err(|e| e.with("operator", &self.name))
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
        let (ends, n) = (self.ends(&batch)?, batch.num_rows());
        let keys = self.keys.encode(batch.columns(), n)?;
        let of_window = self.window_keys.encode(batch.columns(), n)?;
        for (row, slot) in slots.into_iter().enumerate() {
            let group = self.keys.group(keys.hashes[row]);
            let number = self.partition(&of_window, row, ends[row], group);
            let (partition, rows) = (&mut self.partitions[number as usize], &self.rows);
            let order = rows.order(slot);
            let place = partition.place(order, self.spec.last_of_equals, rows);
            partition.slots.insert(place, slot, order);
        }
        Ok(())
    }

    fn next_event_time_timer(&mut self) -> Option<i64> {
        self.windows.first_key_value().map(|(end, _)| self.zone.to_timer(end.saturating_sub(1)))
    }
}
