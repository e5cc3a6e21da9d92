//! ChangelogNormalize: keeps the last row of each key, and makes of rows by key complete changes: `+I`, `-U`/`+U` or `-D` with
//! the row that was there. Rows that change nothing are dropped, unless keys live only for a time.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, UInt32Array, cast::AsArray};
use arrow_schema::{DataType, Field, SchemaRef};
use flott_core::key_group::hash_rows;
use flott_core::{ChangeBatch, Error, Result, RowKind, RowKinds, Watermark};
use flott_graph::{ChangelogNormalizeSpec, Changes};
use flott_state::{OperatorSnapshot, RestoredState};

use super::gather::Gather;
use super::lifetime::Lifetime;
use super::rows::{Heap, Packing, Span};
use super::runs::{KeyInfo, Runs};
use crate::operator::{Operator, OperatorContext, Progress};
use crate::window::aggregate::Ownership;
use crate::window::fire::Output;
use crate::window::group_table::GroupTable;

const TABLE: &str = "normalize";
const STATE_VERSION: u32 = 1;
const ENDED_MIN: usize = 1_024;

/// Rows by key.
struct Keys {
    types: Vec<DataType>,
    table: GroupTable,
    /// The last row of each key.
    rows: Vec<Option<Span>>,
    live_count: usize,
    heap: Heap,
    lifetime: Lifetime,
    runs: Runs,
}

/// A key, its row (`None`: it is gone), and whether that passes the condition.
type Waiting = (u32, Option<Box<[u8]>>, bool);

/// Makes a changelog by key complete.
pub struct ChangelogNormalize {
    name: String,
    spec: ChangelogNormalizeSpec,
    schema: SchemaRef,
    packing: Packing,
    keys: Keys,
    ownership: Ownership,
    gather: Gather,
    /// The last change of each key in a mini-batch: the row, or that it is gone.
    waiting: Vec<Waiting>,
    /// Bytes of the rows in `waiting`.
    waiting_bytes: usize,
    waits_at: Vec<Option<u32>>,
    /// What the current call emits, packed.
    changes: Vec<(RowKind, Box<[u8]>)>,
    output: Output,
    then: Option<Watermark>,
}

impl Keys {
    fn resize(&mut self) {
        let n = self.table.len();
        self.rows.resize(n, None);
        self.lifetime.resize(n);
        self.runs.resize(n);
    }

    fn set(&mut self, key: u32, row: Option<&[u8]>, now_ms: i64) {
        if let Some(old) = self.rows[key as usize].take() {
            self.heap.free(old);
            self.live_count -= 1;
        }
        if let Some(row) = row {
            self.rows[key as usize] = Some(self.heap.put(row));
            self.live_count += 1;
        }
        self.lifetime.touch(key, now_ms);
        self.runs.mark(key);
    }

    fn get(&self, key: u32) -> Option<&[u8]> {
        self.rows[key as usize].map(|s| self.heap.get(s))
    }

    /// Forgets rows whose time is over, and where many are gone their keys.
    fn tidy(&mut self, now_ms: i64) -> Result<Option<i64>> {
        let (due, next) = self.lifetime.sweep(now_ms);
        if due {
            for key in 0..self.rows.len() as u32 {
                if self.rows[key as usize].is_some() && self.lifetime.is_over(key, now_ms) {
                    self.set(key, None, now_ms);
                }
            }
        }
        let ended = self.rows.len() - self.live_count;
        if ended > self.live_count.max(ENDED_MIN) {
            let live: Vec<u32> = (0..self.rows.len() as u32).filter(|k| self.rows[*k as usize].is_some()).collect();
            let columns = self.table.key_columns(Some(&live))?;
            let hashes: Vec<u64> = live.iter().map(|k| self.table.hashes()[*k as usize]).collect();
            let (mut table, mut numbers) = (GroupTable::new(&self.types)?, vec![]);
            table.groups_of(&columns, &hashes, &mut numbers)?;
            self.table = table;
            self.rows = live.iter().map(|k| self.rows[*k as usize]).collect();
            self.lifetime.keep(&live);
            self.runs.renumbered(live.len());
        }
        self.heap.compact(self.rows.iter_mut().flatten());
        Ok(next.filter(|_| self.live_count > 0))
    }

    fn size_bytes(&self) -> usize {
        let rows = self.rows.capacity() * size_of::<Option<Span>>();
        self.table.size_bytes() + rows + self.heap.size_bytes() + self.lifetime.size_bytes() + self.runs.size_bytes()
    }
}

impl ChangelogNormalize {
    /// Over rows of this schema, which are also what it emits.
    pub fn new(
        name: &str,
        spec: &ChangelogNormalizeSpec,
        schema: SchemaRef,
        ownership: Ownership,
    ) -> Result<ChangelogNormalize> {
        let missing = || Error::internal("a key column of a changelog is missing").with("operator", name);
        let types: Vec<DataType> = spec
            .key
            .iter()
            .map(|k| schema.fields().get(*k).map(|f| f.data_type().clone()).ok_or_else(missing))
            .collect::<Result<_>>()?;
        let fields = schema.fields().iter().map(|f| Field::clone(f).with_nullable(true)).collect();
        let keys = Keys {
            table: GroupTable::new(&types)?,
            types,
            rows: vec![],
            live_count: 0,
            heap: Heap::default(),
            lifetime: Lifetime::new(spec.state_ttl),
            runs: Runs::new(TABLE, fields),
        };
        Ok(ChangelogNormalize {
            name: name.to_string(),
            packing: Packing::new(Arc::clone(&schema)).map_err(|e| e.with("operator", name))?,
            keys,
            ownership,
            gather: Gather::new(spec.changes),
            waiting: vec![],
            waiting_bytes: 0,
            waits_at: vec![],
            changes: vec![],
            output: Output::default(),
            then: None,
            spec: spec.clone(),
            schema,
        })
    }

    fn numbers(&mut self, columns: &[ArrayRef], rows: usize) -> Result<Vec<u32>> {
        let keys: Vec<ArrayRef> = self.spec.key.iter().map(|k| Arc::clone(&columns[*k])).collect();
        let (mut hashes, mut numbers) = (vec![], vec![]);
        hash_rows(&keys, rows, &mut hashes)?;
        self.keys.table.groups_of(&keys, &hashes, &mut numbers)?;
        self.keys.resize();
        Ok(numbers)
    }

    /// For each row whether it exists for those behind.
    fn passes(&self, batch: &ChangeBatch) -> Result<Option<BooleanArray>> {
        let Some(filter) = &self.spec.filter else { return Ok(None) };
        let value = crate::expression::evaluate(filter, &batch.rows)?;
        Ok(Some(value.as_boolean().clone()))
    }

    fn add(&mut self, batch: &ChangeBatch, context: &mut OperatorContext) -> Result<()> {
        let now = context.processing_time_ms;
        crate::evaluation::enter(context);
        let passes = self.passes(batch)?;
        let numbers = self.numbers(batch.rows.columns(), batch.num_rows())?;
        let packed = self.packing.pack(batch.rows.columns())?;
        let merges = self.spec.changes != Changes::Each;
        for (row, key) in numbers.iter().enumerate() {
            let adds = batch.kind(row).is_addition();
            let passes = passes.as_ref().is_none_or(|p| arrow_array::Array::is_valid(p, row) && p.value(row));
            let bytes = packed.row(row);
            let bytes = adds.then_some(bytes.as_ref());
            if merges {
                self.wait(*key, bytes, passes);
                if matches!(self.spec.changes, Changes::Gathered(_)) && self.gather.added(1, context) {
                    self.show(now);
                }
            } else {
                self.change(*key, bytes, passes, now);
            }
        }
        if self.spec.changes == Changes::Merged {
            self.show(now);
        }
        self.emit()
    }

    /// Remembers the last change of a key.
    fn wait(&mut self, key: u32, row: Option<&[u8]>, passes: bool) {
        self.waits_at.resize(self.keys.rows.len(), None);
        let row: Option<Box<[u8]>> = row.map(Box::from);
        let length = |row: &Option<Box<[u8]>>| row.as_ref().map_or(0, |r| r.len());
        self.waiting_bytes += length(&row);
        match self.waits_at[key as usize] {
            Some(at) => {
                let old = std::mem::replace(&mut self.waiting[at as usize], (key, row, passes));
                self.waiting_bytes -= length(&old.1);
            }
            None => {
                self.waits_at[key as usize] = Some(self.waiting.len() as u32);
                self.waiting.push((key, row, passes));
            }
        }
    }

    fn show(&mut self, now: i64) {
        self.gather.shown();
        self.waiting_bytes = 0;
        for (key, row, passes) in std::mem::take(&mut self.waiting) {
            self.waits_at[key as usize] = None;
            self.change(key, row.as_deref(), passes, now);
        }
    }

    /// A row of a key came (`None`: it goes).
    fn change(&mut self, key: u32, row: Option<&[u8]>, passes: bool, now: i64) {
        if self.keys.rows[key as usize].is_some() && self.keys.lifetime.is_over(key, now) {
            self.keys.set(key, None, now);
        }
        let before = self.keys.get(key);
        let mut out = |kind: RowKind, row: &[u8]| self.changes.push((kind, row.into()));
        match (before, row) {
            (None, None) => {}
            (Some(before), None) => {
                out(RowKind::Delete, before);
                self.keys.set(key, None, now);
            }
            (None, Some(row)) => {
                if passes {
                    out(RowKind::Insert, row);
                    self.keys.set(key, Some(row), now);
                }
            }
            (Some(before), Some(row)) => {
                if before == row && !self.keys.lifetime.is_limited() {
                    return;
                }
                if !passes {
                    // It is not there any more for those behind.
                    out(RowKind::Delete, before);
                    self.keys.set(key, None, now);
                    return;
                }
                if self.spec.update_before {
                    out(RowKind::UpdateBefore, before);
                }
                out(RowKind::UpdateAfter, row);
                self.keys.set(key, Some(row), now);
            }
        }
    }

    fn emit(&mut self) -> Result<()> {
        let changes = std::mem::take(&mut self.changes);
        if changes.is_empty() {
            return Ok(());
        }
        let rows = changes.iter().map(|(_, row)| row.as_ref());
        let rows = self.packing.batch(rows)?;
        let kinds: RowKinds = changes.iter().map(|c| c.0).collect();
        self.output.push(ChangeBatch::new(rows, kinds)?);
        Ok(())
    }

    fn drain(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.output.start();
        if !self.output.drain(context) {
            return Ok(Progress::More);
        }
        if let Some(watermark) = self.then.take() {
            context.emit_watermark(watermark);
        }
        if self.waiting.is_empty()
            && let Some(at) = self.keys.tidy(context.processing_time_ms)?
        {
            context.register_timer(at);
        }
        context.metrics.state_rows = self.keys.live_count as u64;
        let waiting = self.waiting.capacity() * size_of::<Waiting>() + self.waiting_bytes;
        let waits_at = self.waits_at.capacity() * size_of::<Option<u32>>();
        context.metrics.state_bytes = (self.keys.size_bytes() + waiting + waits_at) as u64;
        Ok(Progress::Done)
    }

    fn show_and_drain(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.show(context.processing_time_ms);
        self.emit().map_err(|e| e.with("operator", &self.name))?;
        self.drain(context)
    }
}

impl Operator for ChangelogNormalize {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        self.add(&batch, context).map_err(|e| e.with("operator", &self.name))?;
        self.drain(context)
    }

    fn process_watermark(&mut self, watermark: Watermark, context: &mut OperatorContext) -> Result<Progress> {
        self.then = Some(watermark);
        self.show_and_drain(context)
    }

    fn on_processing_time(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        if self.gather.is_due(context) { self.show_and_drain(context) } else { self.drain(context) }
    }

    fn resume(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.drain(context)
    }

    fn prepare_snapshot(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.show_and_drain(context)
    }

    fn snapshot_state(&mut self) -> Result<OperatorSnapshot> {
        let keys = &mut self.keys;
        let (rows, heap, table, lifetime) = (&keys.rows, &keys.heap, &keys.table, &keys.lifetime);
        let info = KeyInfo {
            hash: &|k| table.hashes()[k as usize],
            live: &|k| rows[k as usize].is_some(),
            touched_ms: &|k| lifetime.touched_ms(k),
        };
        let live = || (0..rows.len() as u32).filter(|k| rows[*k as usize].is_some()).collect();
        let (packing, key) = (&self.packing, &self.spec.key);
        let fields = self.schema.fields();
        let columns = |numbers: &[u32]| {
            // A key that is gone has only its key.
            let there: Vec<u32> = numbers.iter().copied().filter(|k| rows[*k as usize].is_some()).collect();
            let packed = there.iter().filter_map(|k| rows[*k as usize]).map(|s| heap.get(s)).collect::<Vec<_>>();
            let full = packing.unpack(packed.into_iter())?;
            let mut next = 0u32;
            let places: UInt32Array = numbers
                .iter()
                .map(|k| {
                    rows[*k as usize].map(|_| {
                        next += 1;
                        next - 1
                    })
                })
                .collect();
            let keys = table.key_columns(Some(numbers))?;
            (0..fields.len())
                .map(|i| match key.iter().position(|k| *k == i) {
                    Some(k) => Ok(Arc::clone(&keys[k])),
                    None => Ok(arrow_select::take::take(full[i].as_ref(), &places, None)?),
                })
                .collect()
        };
        let sealed =
            keys.runs.seal(STATE_VERSION, self.ownership.max_parallelism, live, keys.live_count, &info, columns);
        sealed.map_err(|e| e.with("operator", &self.name))
    }

    fn restore_state(&mut self, state: RestoredState) -> Result<()> {
        let (packing, key, keys) = (&self.packing, &self.spec.key, &mut self.keys);
        let (table, rows, heap) = (&mut keys.table, &mut keys.rows, &mut keys.heap);
        let (lifetime, live_count) = (&mut keys.lifetime, &mut keys.live_count);
        keys.runs.restore(&state, &self.name, |live, touched, columns| {
            let of_key: Vec<ArrayRef> = key.iter().map(|k| Arc::clone(&columns[*k])).collect();
            let (mut hashes, mut numbers) = (vec![], vec![]);
            hash_rows(&of_key, live.len(), &mut hashes)?;
            table.groups_of(&of_key, &hashes, &mut numbers)?;
            rows.resize(table.len(), None);
            lifetime.resize(table.len());
            let packed = packing.pack(columns)?;
            for (row, number) in numbers.iter().enumerate() {
                if let Some(old) = rows[*number as usize].take() {
                    heap.free(old);
                    *live_count -= 1;
                }
                if live.value(row) {
                    rows[*number as usize] = Some(heap.put(packed.row(row).as_ref()));
                    *live_count += 1;
                    lifetime.touch(*number, touched.value(row));
                }
            }
            Ok(())
        })?;
        self.keys.resize();
        Ok(())
    }

    fn holds_output(&self) -> bool {
        !self.waiting.is_empty() || !self.output.is_empty()
    }
}
