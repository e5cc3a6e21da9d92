//! The stored form of keyed state that is overwritten: runs of rows, each with the keys that changed since the one before.
//! Of several rows of one key the one with the greatest sequence number counts; a row may say that its key is gone.

use std::sync::Arc;

use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions, UInt16Array, cast::AsArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use flott_core::key_group::key_group;
use flott_core::{Error, Result};
use flott_state::{OperatorSnapshot, RestoredState, StateRun};

use crate::held::{list_bytes, runs_bytes};
use crate::window::aggregate::check_stored;

/// More runs than this are written as one.
const RUNS_MAX: usize = 16;
/// So are runs with so many times the rows that live.
const GARBAGE_MAX: usize = 2;
/// But not below so many rows.
const ROWS_MIN: usize = 4_096;
/// Columns before the operator's own.
const OWN: usize = 4;

/// One state table of an operator.
pub(crate) struct Runs {
    table: &'static str,
    schema: SchemaRef,
    changed: Vec<bool>,
    list: Vec<u32>,
    runs: Vec<Arc<StateRun>>,
    rows: usize,
    sequence: i64,
    rewrite: bool,
}

/// What of a key is stored besides the operator's columns.
pub(crate) struct KeyInfo<'a> {
    pub(crate) hash: &'a dyn Fn(u32) -> u64,
    pub(crate) live: &'a dyn Fn(u32) -> bool,
    pub(crate) touched_ms: &'a dyn Fn(u32) -> i64,
}

impl Runs {
    /// With these columns of the operator's own behind key group, sequence number, life and time of the last change.
    pub(crate) fn new(table: &'static str, fields: Vec<Field>) -> Runs {
        let own = vec![
            StateRun::key_group_field(),
            Field::new("$sequence", DataType::Int64, false),
            Field::new("$live", DataType::Boolean, false),
            Field::new("$touched_ms", DataType::Int64, false),
        ];
        let schema = Arc::new(Schema::new([own, fields].concat()));
        Runs { table, schema, changed: vec![], list: vec![], runs: vec![], rows: 0, sequence: 0, rewrite: false }
    }

    pub(crate) fn resize(&mut self, keys: usize) {
        self.changed.resize(keys, false);
    }

    /// A key has changed.
    pub(crate) fn mark(&mut self, key: u32) {
        if !std::mem::replace(&mut self.changed[key as usize], true) {
            self.list.push(key);
        }
    }

    /// The numbers of the keys have changed: everything is written anew.
    pub(crate) fn renumbered(&mut self, keys: usize) {
        self.changed = vec![false; keys];
        self.list = vec![];
        self.rewrite = true;
    }

    pub(crate) fn size_bytes(&self) -> usize {
        list_bytes(&self.changed) + list_bytes(&self.list) + runs_bytes(&self.runs)
    }

    /// Seals what has changed. `live` are all keys that there are, `columns` gives the operator's columns of some keys.
    pub(crate) fn seal(
        &mut self,
        version: u32,
        max_parallelism: u16,
        live: impl FnOnce() -> Vec<u32>,
        live_count: usize,
        info: &KeyInfo<'_>,
        columns: impl FnOnce(&[u32]) -> Result<Vec<ArrayRef>>,
    ) -> Result<OperatorSnapshot> {
        let changed = std::mem::take(&mut self.list);
        changed.iter().for_each(|k| self.changed[*k as usize] = false);
        let after = self.rows + changed.len();
        let crowded = self.runs.len() >= RUNS_MAX || after > (live_count * GARBAGE_MAX).max(ROWS_MIN);
        let keys = if self.rewrite || crowded {
            self.rewrite = false;
            self.runs.clear();
            self.rows = 0;
            live()
        } else {
            changed
        };
        if !keys.is_empty() {
            self.sequence += 1;
            let n = keys.len();
            let groups: UInt16Array = keys.iter().map(|k| key_group((info.hash)(*k), max_parallelism)).collect();
            let mut all: Vec<ArrayRef> = vec![
                Arc::new(groups),
                Arc::new(Int64Array::from_value(self.sequence, n)),
                Arc::new(keys.iter().map(|k| Some((info.live)(*k))).collect::<BooleanArray>()),
                Arc::new(keys.iter().map(|k| (info.touched_ms)(*k)).collect::<Int64Array>()),
            ];
            all.extend(columns(&keys)?);
            let options = RecordBatchOptions::new().with_row_count(Some(n));
            let rows = RecordBatch::try_new_with_options(Arc::clone(&self.schema), all, &options)?;
            self.rows += n;
            self.runs.push(StateRun::seal(self.table, rows)?);
        }
        Ok(OperatorSnapshot { version, meta: self.sequence.to_le_bytes().to_vec(), runs: self.runs.clone() })
    }

    /// Reads the runs of a checkpoint in order: `row(live, touched_ms, operator's columns)` for each run.
    pub(crate) fn restore(
        &mut self,
        state: &RestoredState,
        name: &str,
        mut run: impl FnMut(&BooleanArray, &Int64Array, &[ArrayRef]) -> Result<()>,
    ) -> Result<()> {
        for meta in &state.metas {
            if meta.is_empty() {
                continue;
            }
            let bytes = <[u8; 8]>::try_from(meta.as_slice());
            let bytes = bytes.map_err(|_| Error::internal("a stored sequence number that is none"))?;
            self.sequence = self.sequence.max(i64::from_le_bytes(bytes));
        }
        let mut runs: Vec<Arc<StateRun>> = state.table(self.table).cloned().collect();
        let sequence = |r: &Arc<StateRun>| {
            let number = r.made().and_then(|rows| rows.column(1).as_primitive_opt::<Int64Type>());
            number.map_or(0, |s| if s.is_empty() { 0 } else { s.value(0) })
        };
        for stored in &runs {
            check_stored(&self.schema, stored.rows()?, name)?;
        }
        // A key's rows are all of one subtask, whose numbers grew.
        runs.sort_by_key(sequence);
        for stored in &runs {
            let rows = stored.rows()?;
            let columns = rows.columns();
            run(columns[2].as_boolean(), columns[3].as_primitive::<Int64Type>(), &columns[OWN..])?;
            self.rows += rows.num_rows();
        }
        self.runs = runs;
        Ok(())
    }
}
