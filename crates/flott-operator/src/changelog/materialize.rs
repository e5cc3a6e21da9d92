//! SinkMaterialize: puts the changes of one primary key in order for a sink that keeps one row a key, where rows of several
//! upsert keys may have that key. It remembers all of them.
//!
//! `DO DEDUPLICATE` is Flink's `SinkUpsertMaterializer`: the last row counts; where it goes, the one before it is written
//! again. `DO NOTHING` and `DO ERROR` look at a key when the watermark moves, so that rows which only change hands do not
//! meet: the first row stays and the others are forgotten, so that the key is empty once that row goes; or the job fails.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, ListArray, StructArray, UInt32Array, cast::AsArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use flott_core::key_group::hash_rows;
use flott_core::{ChangeBatch, Error, Result, RowKind, RowKinds, Watermark};
use flott_graph::{ConflictStrategy, SinkMaterializeSpec};
use flott_state::{OperatorSnapshot, RestoredState};

use super::lifetime::Lifetime;
use super::rows::{Heap, Packing, Span};
use super::runs::{KeyInfo, Runs};
use crate::operator::{Operator, OperatorContext, Progress};
use crate::window::aggregate::Ownership;
use crate::window::fire::Output;
use crate::window::group_table::GroupTable;

const TABLE: &str = "materialize";
const STATE_VERSION: u32 = 1;
const ENDED_MIN: usize = 1_024;

/// A row, and its upsert key.
#[derive(Clone, Copy)]
struct Kept {
    row: Span,
    key: Span,
}

/// The rows of one primary key, in the order in which they came.
#[derive(Default)]
struct Entry {
    rows: Vec<Kept>,
    /// What the sink has, where it hears of it only when the watermark moves.
    shown: Option<Span>,
    is_due: bool,
}

impl Entry {
    fn is_live(&self) -> bool {
        !self.rows.is_empty() || self.shown.is_some()
    }
}

/// Orders changes by primary key.
pub struct SinkMaterialize {
    name: String,
    spec: SinkMaterializeSpec,
    schema: SchemaRef,
    packing: Packing,
    /// Of the upsert key.
    key_packing: Packing,
    key_types: Vec<DataType>,
    ownership: Ownership,
    table: GroupTable,
    entries: Vec<Entry>,
    live_count: usize,
    /// Rows of all keys.
    kept: usize,
    /// Keys that the sink has to hear of.
    due: Vec<u32>,
    heap: Heap,
    lifetime: Lifetime,
    runs: Runs,
    changes: Vec<(RowKind, Box<[u8]>)>,
    output: Output,
    then: Option<Watermark>,
}

impl SinkMaterialize {
    /// Over rows of this schema, which are also what it emits.
    pub fn new(
        name: &str,
        spec: &SinkMaterializeSpec,
        schema: SchemaRef,
        ownership: Ownership,
    ) -> Result<SinkMaterialize> {
        let width = schema.fields().len();
        if spec.primary_key.iter().chain(spec.upsert_key.iter().flatten()).any(|c| *c >= width) {
            return Err(Error::internal("a key column of a sink is missing").with("operator", name));
        }
        // A key of no columns tells no rows apart: whole rows do, as where there is none.
        let mut spec = spec.clone();
        spec.upsert_key = spec.upsert_key.filter(|key| !key.is_empty());
        let key_types: Vec<DataType> = spec.primary_key.iter().map(|k| schema.field(*k).data_type().clone()).collect();
        let key_schema = match &spec.upsert_key {
            Some(key) => Arc::new(schema.project(key)?),
            None => Arc::new(Schema::empty()),
        };
        let rows = DataType::Struct(nullable(&schema));
        let mut fields: Vec<Field> =
            spec.primary_key.iter().map(|k| Field::clone(schema.field(*k)).with_nullable(true)).collect();
        fields.push(Field::new("$rows", DataType::List(Arc::new(Field::new("item", rows.clone(), true))), true));
        fields.push(Field::new("$shown", rows, true));
        fields.push(Field::new("$due", DataType::Boolean, false));
        Ok(SinkMaterialize {
            name: name.to_string(),
            packing: Packing::new(Arc::clone(&schema)).map_err(|e| e.with("operator", name))?,
            key_packing: Packing::new(key_schema)?,
            table: GroupTable::new(&key_types)?,
            key_types,
            ownership,
            entries: vec![],
            live_count: 0,
            kept: 0,
            due: vec![],
            heap: Heap::default(),
            lifetime: Lifetime::new(spec.state_ttl),
            runs: Runs::new(TABLE, fields),
            changes: vec![],
            output: Output::default(),
            then: None,
            spec,
            schema,
        })
    }

    fn add(&mut self, batch: &ChangeBatch, now: i64) -> Result<()> {
        let columns = batch.rows.columns();
        let keys: Vec<ArrayRef> = self.spec.primary_key.iter().map(|k| Arc::clone(&columns[*k])).collect();
        let (mut hashes, mut numbers) = (vec![], vec![]);
        hash_rows(&keys, batch.num_rows(), &mut hashes)?;
        self.table.groups_of(&keys, &hashes, &mut numbers)?;
        self.resize();
        let packed = self.packing.pack(columns)?;
        let upsert_keys = match &self.spec.upsert_key {
            Some(key) => {
                let columns: Vec<ArrayRef> = key.iter().map(|k| Arc::clone(&columns[*k])).collect();
                Some(self.key_packing.pack(&columns)?)
            }
            None => None,
        };
        for (row, number) in numbers.iter().enumerate() {
            if self.entries[*number as usize].is_live() && self.lifetime.is_over(*number, now) {
                self.forget(*number);
            }
            let bytes = packed.row(row);
            let of_key = upsert_keys.as_ref().map(|k| k.row(row));
            // By whole rows where there is no upsert key.
            let of_key = of_key.as_ref().map_or(bytes.as_ref(), |key| key.as_ref());
            let was_live = self.entries[*number as usize].is_live();
            self.change(*number, bytes.as_ref(), of_key, batch.kind(row).is_addition());
            let is_live = self.entries[*number as usize].is_live();
            self.live_count = self.live_count + usize::from(is_live) - usize::from(was_live);
            self.lifetime.touch(*number, now);
            self.runs.mark(*number);
        }
        self.emit()
    }

    fn resize(&mut self) {
        let n = self.table.len();
        self.entries.resize_with(n, Entry::default);
        self.lifetime.resize(n);
        self.runs.resize(n);
    }

    fn change(&mut self, number: u32, row: &[u8], key: &[u8], adds: bool) {
        let entry = &mut self.entries[number as usize];
        let found = entry.rows.iter().position(|kept| self.heap.get(kept.key) == key);
        let at_once = self.spec.conflict == ConflictStrategy::Deduplicate;
        if !at_once && !std::mem::replace(&mut entry.is_due, true) {
            self.due.push(number);
        }
        if adds {
            let is_first = entry.rows.is_empty();
            let kept = Kept { row: self.heap.put(row), key: self.heap.put(key) };
            // Without an upsert key equal rows are several rows, of which each goes by its own.
            match found.filter(|_| self.spec.upsert_key.is_some()) {
                Some(at) => {
                    let old = std::mem::replace(&mut entry.rows[at], kept);
                    self.heap.free(old.row);
                    self.heap.free(old.key);
                }
                None => {
                    entry.rows.push(kept);
                    self.kept += 1;
                }
            }
            if at_once {
                let kind = if is_first { RowKind::Insert } else { RowKind::UpdateAfter };
                self.changes.push((kind, row.into()));
            }
            return;
        }
        // A row whose state was dropped, or that never came.
        let Some(at) = found else { return };
        let old = entry.rows.remove(at);
        self.kept -= 1;
        self.heap.free(old.row);
        self.heap.free(old.key);
        if !at_once {
            return;
        }
        match entry.rows.last() {
            None => self.changes.push((RowKind::Delete, row.into())),
            Some(last) if at == entry.rows.len() => {
                self.changes.push((RowKind::UpdateAfter, self.heap.get(last.row).into()));
            }
            Some(_) => {}
        }
    }

    /// What the sink has to hear of keys that changed since the last watermark.
    fn settle(&mut self) -> Result<()> {
        for number in std::mem::take(&mut self.due) {
            let entry = &mut self.entries[number as usize];
            if !std::mem::replace(&mut entry.is_due, false) {
                continue;
            }
            if entry.rows.len() > 1 && self.spec.conflict == ConflictStrategy::Error {
                let key = self.table.key_columns(Some(&[number]))?;
                return Err(self.violated(&key));
            }
            if entry.rows.len() > 1 {
                self.keep_one(number)?;
                continue;
            }
            let was_live = entry.is_live();
            let shown = entry.shown.map(|s| self.heap.get(s));
            let first = entry.rows.first().map(|kept| self.heap.get(kept.row));
            if shown == first {
                continue;
            }
            match (shown, first) {
                (None, Some(row)) => self.changes.push((RowKind::Insert, row.into())),
                (Some(_), Some(row)) => self.changes.push((RowKind::UpdateAfter, row.into())),
                (Some(row), None) => self.changes.push((RowKind::Delete, row.into())),
                (None, None) => {}
            }
            let first: Option<Box<[u8]>> = first.map(Into::into);
            if let Some(old) = entry.shown.take() {
                self.heap.free(old);
            }
            entry.shown = first.map(|row| self.heap.put(&row));
            let is_live = entry.is_live();
            self.live_count = self.live_count + usize::from(is_live) - usize::from(was_live);
            self.runs.mark(number);
        }
        self.emit()
    }

    /// DO NOTHING, where rows have met: the one that the sink has stays, whatever has become of it, or else the first.
    fn keep_one(&mut self, number: u32) -> Result<()> {
        let entry = &mut self.entries[number as usize];
        let rows = std::mem::take(&mut entry.rows);
        self.kept -= rows.len();
        let stays: Box<[u8]> = match (entry.shown, rows.first()) {
            (Some(shown), _) => self.heap.get(shown).into(),
            (None, Some(first)) => self.heap.get(first.row).into(),
            (None, None) => return Ok(()),
        };
        for kept in rows {
            self.heap.free(kept.row);
            self.heap.free(kept.key);
        }
        let key: Box<[u8]> = match &self.spec.upsert_key {
            Some(columns) => {
                let row = self.packing.unpack([stays.as_ref()].into_iter())?;
                let key: Vec<ArrayRef> = columns.iter().map(|c| Arc::clone(&row[*c])).collect();
                self.key_packing.pack(&key)?.row(0).as_ref().into()
            }
            None => stays.clone(),
        };
        entry.rows.push(Kept { row: self.heap.put(&stays), key: self.heap.put(&key) });
        self.kept += 1;
        if entry.shown.is_none() {
            entry.shown = Some(self.heap.put(&stays));
            self.changes.push((RowKind::Insert, stays));
        }
        self.runs.mark(number);
        Ok(())
    }

    fn violated(&self, key: &[ArrayRef]) -> Error {
        let names: Vec<String> = self
            .spec
            .primary_key
            .iter()
            .zip(key)
            .map(|(k, column)| {
                let text = datafusion_common::ScalarValue::try_from_array(column, 0).map(|v| v.to_string());
                format!("{}={}", self.schema.field(*k).name(), text.unwrap_or_default())
            })
            .collect();
        Error::data(format!(
            "Primary key constraint violation: multiple distinct records with the same primary key detected. Conflicting key: \
             [{}].",
            names.join(", ")
        ))
        .hint(
            "Use ON CONFLICT DO NOTHING to keep the first record, or ON CONFLICT DO DEDUPLICATE to automatically \
             deduplicate",
        )
    }

    fn forget(&mut self, number: u32) {
        let entry = std::mem::take(&mut self.entries[number as usize]);
        self.kept -= entry.rows.len();
        for kept in &entry.rows {
            self.heap.free(kept.row);
            self.heap.free(kept.key);
        }
        if let Some(shown) = entry.shown {
            self.heap.free(shown);
        }
        self.live_count -= 1;
        self.runs.mark(number);
    }

    fn emit(&mut self) -> Result<()> {
        let changes = std::mem::take(&mut self.changes);
        if changes.is_empty() {
            return Ok(());
        }
        let rows = self.packing.batch(changes.iter().map(|(_, row)| row.as_ref()))?;
        let kinds: RowKinds = changes.iter().map(|c| c.0).collect();
        self.output.push(ChangeBatch::new(rows, kinds)?);
        Ok(())
    }

    fn tidy(&mut self, now: i64) -> Result<Option<i64>> {
        let (due, next) = self.lifetime.sweep(now);
        if due {
            for number in 0..self.entries.len() as u32 {
                if self.entries[number as usize].is_live() && self.lifetime.is_over(number, now) {
                    self.forget(number);
                }
            }
        }
        let ended = self.entries.len() - self.live_count;
        if ended > self.live_count.max(ENDED_MIN) && self.due.is_empty() {
            let live: Vec<u32> =
                (0..self.entries.len() as u32).filter(|n| self.entries[*n as usize].is_live()).collect();
            let columns = self.table.key_columns(Some(&live))?;
            let hashes: Vec<u64> = live.iter().map(|n| self.table.hashes()[*n as usize]).collect();
            let (mut table, mut numbers) = (GroupTable::new(&self.key_types)?, vec![]);
            table.groups_of(&columns, &hashes, &mut numbers)?;
            self.table = table;
            self.entries = live.iter().map(|n| std::mem::take(&mut self.entries[*n as usize])).collect();
            self.lifetime.keep(&live);
            self.runs.renumbered(live.len());
        }
        let spans = self
            .entries
            .iter_mut()
            .flat_map(|e| e.rows.iter_mut().flat_map(|kept| [&mut kept.row, &mut kept.key]).chain(e.shown.as_mut()));
        self.heap.compact(spans);
        Ok(next.filter(|_| self.live_count > 0))
    }

    fn drain(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.output.start();
        if !self.output.drain(context) {
            return Ok(Progress::More);
        }
        if let Some(watermark) = self.then.take() {
            context.emit_watermark(watermark);
        }
        if let Some(at) = self.tidy(context.processing_time_ms)? {
            context.register_timer(at);
        }
        let entries = self.kept * size_of::<Kept>() + self.entries.capacity() * size_of::<Entry>();
        let shared = self.lifetime.size_bytes() + self.runs.size_bytes();
        context.metrics.state_rows = self.live_count as u64;
        context.metrics.state_bytes = (self.table.size_bytes() + entries + self.heap.size_bytes() + shared) as u64;
        Ok(Progress::Done)
    }
}

fn nullable(schema: &Schema) -> Fields {
    schema.fields().iter().map(|f| Arc::new(Field::clone(f).with_nullable(true))).collect()
}

impl Operator for SinkMaterialize {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        self.add(&batch, context.processing_time_ms).map_err(|e| e.with("operator", &self.name))?;
        self.drain(context)
    }

    fn process_watermark(&mut self, watermark: Watermark, context: &mut OperatorContext) -> Result<Progress> {
        self.settle().map_err(|e| e.with("operator", &self.name))?;
        self.then = Some(watermark);
        self.drain(context)
    }

    fn on_processing_time(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.drain(context)
    }

    fn resume(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.drain(context)
    }

    fn end_input(&mut self, _input: usize, context: &mut OperatorContext) -> Result<Progress> {
        self.settle().map_err(|e| e.with("operator", &self.name))?;
        self.drain(context)
    }

    fn snapshot_state(&mut self) -> Result<OperatorSnapshot> {
        let (entries, heap, table, lifetime) = (&self.entries, &self.heap, &self.table, &self.lifetime);
        let (packing, fields) = (&self.packing, nullable(&self.schema));
        let info = KeyInfo {
            hash: &|n| table.hashes()[n as usize],
            live: &|n| entries[n as usize].is_live(),
            touched_ms: &|n| lifetime.touched_ms(n),
        };
        let live = || (0..entries.len() as u32).filter(|n| entries[*n as usize].is_live()).collect();
        let columns = |numbers: &[u32]| {
            let of = |n: &u32| &entries[*n as usize];
            let rows: Vec<&[u8]> = numbers.iter().flat_map(|n| of(n).rows.iter().map(|k| heap.get(k.row))).collect();
            let lengths = OffsetBuffer::from_lengths(numbers.iter().map(|n| of(n).rows.len()));
            let structs = |rows: Vec<&[u8]>| -> Result<StructArray> {
                let n = rows.len();
                Ok(StructArray::try_new_with_length(fields.clone(), packing.unpack(rows.into_iter())?, None, n)?)
            };
            let rows = structs(rows)?;
            let item = Arc::new(Field::new("item", rows.data_type().clone(), true));
            let shown: Vec<&[u8]> = numbers.iter().filter_map(|n| of(n).shown).map(|s| heap.get(s)).collect();
            let mut next = 0u32;
            let places: UInt32Array = numbers
                .iter()
                .map(|n| {
                    of(n).shown.map(|_| {
                        next += 1;
                        next - 1
                    })
                })
                .collect();
            let mut columns = table.key_columns(Some(numbers))?;
            columns.push(Arc::new(ListArray::try_new(item, lengths, Arc::new(rows), None)?));
            columns.push(arrow_select::take::take(&structs(shown)?, &places, None)?);
            columns.push(Arc::new(numbers.iter().map(|n| Some(of(n).is_due)).collect::<BooleanArray>()));
            Ok(columns)
        };
        let max_parallelism = self.ownership.max_parallelism;
        let sealed = self.runs.seal(STATE_VERSION, max_parallelism, live, self.live_count, &info, columns);
        sealed.map_err(|e| e.with("operator", &self.name))
    }

    fn restore_state(&mut self, state: RestoredState) -> Result<()> {
        let keys = self.spec.primary_key.len();
        let (packing, key_packing, upsert_key) = (&self.packing, &self.key_packing, &self.spec.upsert_key);
        let (table, entries, heap) = (&mut self.table, &mut self.entries, &mut self.heap);
        let (lifetime, live_count, due) = (&mut self.lifetime, &mut self.live_count, &mut self.due);
        let kept = &mut self.kept;
        self.runs.restore(&state, &self.name, |live, touched, columns| {
            let (mut hashes, mut numbers) = (vec![], vec![]);
            hash_rows(&columns[..keys], live.len(), &mut hashes)?;
            table.groups_of(&columns[..keys], &hashes, &mut numbers)?;
            entries.resize_with(table.len(), Entry::default);
            lifetime.resize(table.len());
            let lists = columns[keys].as_list::<i32>();
            let rows = lists.values().as_struct();
            let packed = packing.pack(rows.columns())?;
            let of_keys = match upsert_key {
                Some(key) => {
                    let columns: Vec<ArrayRef> = key.iter().map(|k| Arc::clone(rows.column(*k))).collect();
                    Some(key_packing.pack(&columns)?)
                }
                None => None,
            };
            let shown = columns[keys + 1].as_struct();
            let packed_shown = packing.pack(shown.columns())?;
            let is_due = columns[keys + 2].as_boolean();
            for (row, number) in numbers.iter().enumerate() {
                let old = std::mem::take(&mut entries[*number as usize]);
                *live_count -= usize::from(old.is_live());
                *kept -= old.rows.len();
                old.rows.iter().for_each(|k| {
                    heap.free(k.row);
                    heap.free(k.key);
                });
                if let Some(shown) = old.shown {
                    heap.free(shown);
                }
                if !live.value(row) {
                    continue;
                }
                let mut entry = Entry::default();
                for i in lists.value_offsets()[row]..lists.value_offsets()[row + 1] {
                    let bytes = packed.row(i as usize);
                    let of_key = of_keys.as_ref().map(|k| k.row(i as usize));
                    let key = of_key.as_ref().map_or(bytes.as_ref(), |key| key.as_ref());
                    entry.rows.push(Kept { row: heap.put(bytes.as_ref()), key: heap.put(key) });
                }
                entry.shown = shown.is_valid(row).then(|| heap.put(packed_shown.row(row).as_ref()));
                entry.is_due = is_due.value(row);
                if entry.is_due {
                    due.push(*number);
                }
                *live_count += usize::from(entry.is_live());
                *kept += entry.rows.len();
                entries[*number as usize] = entry;
                lifetime.touch(*number, touched.value(row));
            }
            Ok(())
        })?;
        self.runs.resize(self.table.len());
        Ok(())
    }

    fn holds_output(&self) -> bool {
        !self.output.is_empty()
    }
}
