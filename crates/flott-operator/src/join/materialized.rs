//! What a lookup join found for each row, by the row's upsert key: what takes the row back takes back the same, whatever
//! the table outside says by then (Flink's `KeyedLookupJoinRunner`).

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, ListArray, RecordBatch, RecordBatchOptions, StructArray, UInt32Array, cast::AsArray,
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use flott_core::key_group::hash_rows;
use flott_core::{ChangeBatch, Error, Result, RowKinds};
use flott_graph::{JoinKind, LookupJoinSpec};
use flott_state::{OperatorSnapshot, RestoredState};

use super::lookup::taken;
use crate::changelog::lifetime::Lifetime;
use crate::changelog::rows::{Heap, Packing, Span};
use crate::changelog::runs::{KeyInfo, Runs};
use crate::operator::OperatorContext;
use crate::window::aggregate::Ownership;
use crate::window::group_table::GroupTable;

const TABLE: &str = "lookup";
const STATE_VERSION: u32 = 1;
/// Fewer keys that have ended are not worth the work.
const ENDED_MIN: usize = 1_024;

/// What was found for a row.
#[derive(Default)]
struct Entry {
    live: bool,
    rows: Vec<Span>,
}

/// Right rows by the upsert key of the left row.
pub(super) struct Materialized {
    name: String,
    kind: JoinKind,
    key: Vec<usize>,
    key_types: Vec<DataType>,
    left_schema: SchemaRef,
    right_schema: SchemaRef,
    packing: Packing,
    ownership: Ownership,
    table: GroupTable,
    entries: Vec<Entry>,
    live_count: usize,
    heap: Heap,
    lifetime: Lifetime,
    runs: Runs,
}

impl Materialized {
    pub(super) fn new(name: &str, spec: &LookupJoinSpec, key: &[usize], ownership: Ownership) -> Result<Materialized> {
        let left = &spec.left_schema;
        if key.iter().any(|k| *k >= left.fields().len()) {
            return Err(Error::internal("a key column of a lookup join is missing").with("operator", name));
        }
        let key_types: Vec<DataType> = key.iter().map(|k| left.field(*k).data_type().clone()).collect();
        let rows = DataType::Struct(nullable(&spec.right_schema));
        let mut fields: Vec<Field> = key.iter().map(|k| Field::clone(left.field(*k)).with_nullable(true)).collect();
        fields.push(Field::new("$found", DataType::List(Arc::new(Field::new("item", rows, true))), true));
        Ok(Materialized {
            name: name.to_string(),
            kind: spec.kind,
            key: key.to_vec(),
            table: GroupTable::new(&key_types)?,
            key_types,
            left_schema: Arc::clone(left),
            right_schema: Arc::clone(&spec.right_schema),
            packing: Packing::new(Arc::clone(&spec.right_schema)).map_err(|e| e.with("operator", name))?,
            ownership,
            entries: vec![],
            live_count: 0,
            heap: Heap::default(),
            lifetime: Lifetime::new(spec.state_ttl),
            runs: Runs::new(TABLE, fields),
        })
    }

    /// The changes of a batch, given what was found for the rows that it adds: `left_rows` never fall, and a left join's
    /// have an entry without a right row where nothing was found.
    pub(super) fn changes(
        &mut self,
        batch: &ChangeBatch,
        right: &RecordBatch,
        left_rows: &[u32],
        right_rows: &[Option<u32>],
        now: i64,
    ) -> Result<Vec<ChangeBatch>> {
        let keys: Vec<ArrayRef> = self.key.iter().map(|k| Arc::clone(batch.rows.column(*k))).collect();
        let (mut hashes, mut numbers) = (vec![], vec![]);
        hash_rows(&keys, batch.num_rows(), &mut hashes)?;
        self.table.groups_of(&keys, &hashes, &mut numbers)?;
        self.resize();
        let packed = self.packing.pack(right.columns())?;
        let mut out: Vec<(u32, Option<Box<[u8]>>)> = vec![];
        let mut at = 0;
        for (row, number) in (0u32..).zip(&numbers) {
            if self.entries[*number as usize].live && self.lifetime.is_over(*number, now) {
                self.forget(*number);
            }
            let begin = at;
            while at < left_rows.len() && left_rows[at] == row {
                at += 1;
            }
            if batch.kind(row as usize).is_addition() {
                self.forget(*number);
                let found: Vec<Box<[u8]>> =
                    right_rows[begin..at].iter().flatten().map(|r| packed.row(*r as usize).as_ref().into()).collect();
                let entry = &mut self.entries[*number as usize];
                entry.rows = found.iter().map(|bytes| self.heap.put(bytes)).collect();
                entry.live = true;
                self.live_count += 1;
                out.extend(right_rows[begin..at].iter().filter(|r| r.is_none()).map(|_| (row, None)));
                out.extend(found.into_iter().map(|bytes| (row, Some(bytes))));
            } else {
                let spans = &self.entries[*number as usize].rows;
                out.extend(spans.iter().map(|s| (row, Some(Box::from(self.heap.get(*s))))));
                if spans.is_empty() && self.kind == JoinKind::Left {
                    out.push((row, None));
                }
                self.forget(*number);
            }
            self.lifetime.touch(*number, now);
            self.runs.mark(*number);
        }
        self.batches(batch, out)
    }

    fn batches(&self, batch: &ChangeBatch, out: Vec<(u32, Option<Box<[u8]>>)>) -> Result<Vec<ChangeBatch>> {
        if out.is_empty() {
            return Ok(vec![]);
        }
        let left = batch.take(&out.iter().map(|(row, _)| *row).collect::<UInt32Array>())?;
        let found = self.packing.batch(out.iter().filter_map(|(_, r)| r.as_deref()).collect::<Vec<_>>().into_iter())?;
        let mut next = 0u32;
        let places: UInt32Array = out
            .iter()
            .map(|(_, r)| {
                r.as_ref().map(|_| {
                    next += 1;
                    next - 1
                })
            })
            .collect();
        let mut columns = left.rows.columns().to_vec();
        columns.extend(taken(&found, &places)?);
        let fields = self.left_schema.fields().iter().chain(self.right_schema.fields());
        let schema = Schema::new(fields.map(|f| f.as_ref().clone().with_nullable(true)).collect::<Vec<_>>());
        let options = RecordBatchOptions::new().with_row_count(Some(out.len()));
        let rows = RecordBatch::try_new_with_options(Arc::new(schema), columns, &options)?;
        let kinds: RowKinds = out.iter().map(|(row, _)| batch.kind(*row as usize)).collect();
        Ok(vec![ChangeBatch::new(rows, kinds)?])
    }

    fn resize(&mut self) {
        let n = self.table.len();
        self.entries.resize_with(n, Entry::default);
        self.lifetime.resize(n);
        self.runs.resize(n);
    }

    fn forget(&mut self, number: u32) {
        let entry = std::mem::take(&mut self.entries[number as usize]);
        entry.rows.iter().for_each(|span| self.heap.free(*span));
        self.live_count -= usize::from(entry.live);
        self.runs.mark(number);
    }

    /// Drops what has ended.
    pub(super) fn tidy(&mut self, context: &mut OperatorContext) -> Result<()> {
        let now = context.processing_time_ms;
        let (due, next) = self.lifetime.sweep(now);
        if due {
            for number in 0..self.entries.len() as u32 {
                if self.entries[number as usize].live && self.lifetime.is_over(number, now) {
                    self.forget(number);
                }
            }
        }
        let ended = self.entries.len() - self.live_count;
        if ended > self.live_count.max(ENDED_MIN) {
            let live: Vec<u32> = (0..self.entries.len() as u32).filter(|n| self.entries[*n as usize].live).collect();
            let columns = self.table.key_columns(Some(&live))?;
            let hashes: Vec<u64> = live.iter().map(|n| self.table.hashes()[*n as usize]).collect();
            let (mut table, mut numbers) = (GroupTable::new(&self.key_types)?, vec![]);
            table.groups_of(&columns, &hashes, &mut numbers)?;
            self.table = table;
            self.entries = live.iter().map(|n| std::mem::take(&mut self.entries[*n as usize])).collect();
            self.lifetime.keep(&live);
            self.runs.renumbered(live.len());
        }
        self.heap.compact(self.entries.iter_mut().flat_map(|e| e.rows.iter_mut()));
        if let Some(at) = next.filter(|_| self.live_count > 0) {
            context.register_timer(at);
        }
        context.metrics.state_rows = self.live_count as u64;
        let entries = self.entries.capacity() * size_of::<Entry>();
        let shared = self.lifetime.size_bytes() + self.runs.size_bytes();
        context.metrics.state_bytes = (self.table.size_bytes() + entries + self.heap.size_bytes() + shared) as u64;
        Ok(())
    }

    pub(super) fn snapshot(&mut self) -> Result<OperatorSnapshot> {
        let (entries, heap, table, lifetime) = (&self.entries, &self.heap, &self.table, &self.lifetime);
        let (packing, fields) = (&self.packing, nullable(&self.right_schema));
        let info = KeyInfo {
            hash: &|n| table.hashes()[n as usize],
            live: &|n| entries[n as usize].live,
            touched_ms: &|n| lifetime.touched_ms(n),
        };
        let live = || (0..entries.len() as u32).filter(|n| entries[*n as usize].live).collect();
        let columns = |numbers: &[u32]| {
            let of = |n: &u32| &entries[*n as usize];
            let rows: Vec<&[u8]> = numbers.iter().flat_map(|n| of(n).rows.iter().map(|s| heap.get(*s))).collect();
            let lengths = OffsetBuffer::from_lengths(numbers.iter().map(|n| of(n).rows.len()));
            let count = rows.len();
            let rows =
                StructArray::try_new_with_length(fields.clone(), packing.unpack(rows.into_iter())?, None, count)?;
            let item = Arc::new(Field::new("item", rows.data_type().clone(), true));
            let mut columns = table.key_columns(Some(numbers))?;
            columns.push(Arc::new(ListArray::try_new(item, lengths, Arc::new(rows), None)?));
            Ok(columns)
        };
        let max_parallelism = self.ownership.max_parallelism;
        let sealed = self.runs.seal(STATE_VERSION, max_parallelism, live, self.live_count, &info, columns);
        sealed.map_err(|e| e.with("operator", &self.name))
    }

    pub(super) fn restore(&mut self, state: RestoredState) -> Result<()> {
        let keys = self.key.len();
        let packing = &self.packing;
        let (table, entries, heap) = (&mut self.table, &mut self.entries, &mut self.heap);
        let (lifetime, live_count) = (&mut self.lifetime, &mut self.live_count);
        self.runs.restore(&state, &self.name, |live, touched, columns| {
            let (mut hashes, mut numbers) = (vec![], vec![]);
            hash_rows(&columns[..keys], live.len(), &mut hashes)?;
            table.groups_of(&columns[..keys], &hashes, &mut numbers)?;
            entries.resize_with(table.len(), Entry::default);
            lifetime.resize(table.len());
            let lists = columns[keys].as_list::<i32>();
            let packed = packing.pack(lists.values().as_struct().columns())?;
            for (row, number) in numbers.iter().enumerate() {
                let old = std::mem::take(&mut entries[*number as usize]);
                *live_count -= usize::from(old.live);
                old.rows.iter().for_each(|s| heap.free(*s));
                if !live.value(row) {
                    continue;
                }
                let range = lists.value_offsets()[row]..lists.value_offsets()[row + 1];
                let rows = range.map(|i| heap.put(packed.row(i as usize).as_ref())).collect();
                entries[*number as usize] = Entry { live: true, rows };
                *live_count += 1;
                lifetime.touch(*number, touched.value(row));
            }
            Ok(())
        })?;
        self.runs.resize(self.table.len());
        Ok(())
    }
}

fn nullable(schema: &Schema) -> Fields {
    schema.fields().iter().map(|f| Arc::new(Field::clone(f).with_nullable(true))).collect()
}
