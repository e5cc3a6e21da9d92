//! A number for each key, where zero is none.
//!
//! A barrier seals the numbers that have changed; of several runs that hold a key the one with the greatest version
//! tells. Runs are written anew when they hold far more than there is.

use std::sync::Arc;

use arrow_array::types::{Int64Type, UInt64Type};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, UInt16Array, UInt64Array, cast::AsArray};
use arrow_schema::{Field, Schema, SchemaRef};
use flott_core::Result;
use flott_state::{RestoredState, StateRun};

use super::keys::{BatchKeys, KeyCodec, KeyTable};
use super::time_to_live::TimeToLive;
use crate::held::{list_bytes, runs_bytes};
use crate::window::aggregate::check_stored;

/// Columns before the keys.
const OWN_COLUMNS: usize = 4;
/// So many rows are never written anew.
const ROWS_MIN: usize = 4_096;

#[derive(Clone, Copy, Default)]
struct Entry {
    value: u64,
    written_ms: i64,
    changed: bool,
}

pub(crate) struct KeyedCounts {
    name: String,
    keys: KeyCodec,
    /// Of the key columns.
    fields: Vec<Field>,
    table: KeyTable,
    entries: Vec<Entry>,
    changed: Vec<u32>,
    runs: Vec<Arc<StateRun>>,
    version: u64,
}

impl KeyedCounts {
    /// The state table of this name. `fields`: of the key columns.
    pub(crate) fn new(name: &str, keys: KeyCodec, fields: Vec<Field>) -> KeyedCounts {
        let fields = fields.into_iter().map(|f| f.with_nullable(true)).collect();
        KeyedCounts {
            name: name.to_string(),
            keys,
            fields,
            table: KeyTable::default(),
            entries: vec![],
            changed: vec![],
            runs: vec![],
            version: 1,
        }
    }

    pub(crate) fn keys(&self) -> &KeyCodec {
        &self.keys
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.table.size_bytes() + list_bytes(&self.entries) + list_bytes(&self.changed) + runs_bytes(&self.runs)
    }

    /// The number of a key, zero where it has none or that has expired.
    pub(crate) fn get(&self, keys: &BatchKeys, row: usize, ttl: &TimeToLive, now_ms: i64) -> u64 {
        let Some(number) = self.table.find(keys.hashes[row], keys.key(row)) else { return 0 };
        let entry = self.entries[number as usize];
        if ttl.is_over(entry.written_ms, now_ms) { 0 } else { entry.value }
    }

    pub(crate) fn set(&mut self, keys: &BatchKeys, row: usize, value: u64, now_ms: i64) {
        let (number, _) = self.table.find_or_insert(keys.hashes[row], keys.key(row));
        self.write(number, value, now_ms);
    }

    fn write(&mut self, number: u32, value: u64, now_ms: i64) {
        if self.entries.len() <= number as usize {
            self.entries.resize(number as usize + 1, Entry::default());
        }
        let entry = &mut self.entries[number as usize];
        entry.value = value;
        entry.written_ms = now_ms;
        if !std::mem::replace(&mut entry.changed, true) {
            self.changed.push(number);
        }
    }

    /// Forgets what has expired. The keys themselves go with the next barrier, which stores that they have gone.
    pub(crate) fn sweep(&mut self, ttl: &TimeToLive, now_ms: i64) {
        for number in 0..self.entries.len() as u32 {
            let entry = self.entries[number as usize];
            if entry.value != 0 && ttl.is_over(entry.written_ms, now_ms) {
                self.write(number, 0, entry.written_ms);
            }
        }
    }

    fn schema(&self) -> SchemaRef {
        let mut fields = vec![
            StateRun::key_group_field(),
            Field::new("$version", arrow_schema::DataType::UInt64, false),
            Field::new("$value", arrow_schema::DataType::UInt64, false),
            Field::new("$time", arrow_schema::DataType::Int64, false),
        ];
        fields.extend(self.fields.iter().cloned());
        Arc::new(Schema::new(fields))
    }

    pub(crate) fn snapshot(&mut self) -> Result<Vec<Arc<StateRun>>> {
        let mut changed = std::mem::take(&mut self.changed);
        changed.iter().for_each(|n| self.entries[*n as usize].changed = false);
        let stored: usize = self.runs.iter().map(|r| r.made().map_or(0, RecordBatch::num_rows)).sum();
        let all = stored + changed.len() > ROWS_MIN.max(self.table.len() * 2);
        let gone: Vec<u32> = changed.iter().copied().filter(|n| self.entries[*n as usize].value == 0).collect();
        if all {
            self.runs.clear();
            changed = (0..self.entries.len() as u32).filter(|n| self.entries[*n as usize].value != 0).collect();
        }
        if !changed.is_empty() {
            let version = self.version;
            self.version += 1;
            let entry = |n: &u32| self.entries[*n as usize];
            let mut columns: Vec<ArrayRef> = vec![
                Arc::new(changed.iter().map(|n| self.keys.group(self.table.hash(*n))).collect::<UInt16Array>()),
                Arc::new(UInt64Array::from_value(version, changed.len())),
                Arc::new(changed.iter().map(|n| entry(n).value).collect::<UInt64Array>()),
                Arc::new(changed.iter().map(|n| entry(n).written_ms).collect::<Int64Array>()),
            ];
            columns.extend(self.keys.decode(changed.iter().map(|n| self.table.key(*n)))?);
            let schema = self.schema();
            let mut rows = RecordBatch::try_new(Arc::clone(&schema), columns)?;
            while let Some(last) =
                self.runs.pop_if(|r| r.made().map_or(0, RecordBatch::num_rows) <= rows.num_rows() * 2)
            {
                rows = arrow_select::concat::concat_batches(&schema, [last.rows()?, &rows])?;
            }
            self.runs.push(StateRun::seal(self.name.clone(), rows)?);
        }
        for number in gone {
            self.table.remove(number);
        }
        if self.table.len() == 0 {
            self.entries = vec![];
        }
        Ok(self.runs.clone())
    }

    pub(crate) fn restore(&mut self, state: &RestoredState, operator: &str) -> Result<()> {
        let name = self.name.clone();
        let mut versions: Vec<u64> = vec![];
        for run in state.table(&name) {
            let stored = run.rows()?;
            check_stored(&self.schema(), stored, operator)?;
            let column = |i: usize| stored.column(i).as_primitive::<UInt64Type>().values().clone();
            let (of_version, of_value) = (column(1), column(2));
            let of_time = stored.column(3).as_primitive::<Int64Type>().values();
            let columns: Vec<ArrayRef> = stored.columns()[OWN_COLUMNS..].to_vec();
            let keys = self.keys.encode_keys(&columns, stored.num_rows())?;
            for row in 0..stored.num_rows() {
                let (number, _) = self.table.find_or_insert(keys.hashes[row], keys.key(row));
                if versions.len() <= number as usize {
                    versions.resize(number as usize + 1, 0);
                    self.entries.resize(number as usize + 1, Entry::default());
                }
                if of_version[row] >= versions[number as usize] {
                    versions[number as usize] = of_version[row];
                    self.entries[number as usize] =
                        Entry { value: of_value[row], written_ms: of_time[row], changed: false };
                }
                self.version = self.version.max(of_version[row] + 1);
            }
            self.runs.push(Arc::clone(run));
        }
        for number in 0..self.entries.len() as u32 {
            if self.entries[number as usize].value == 0 && versions.get(number as usize).is_some_and(|v| *v > 0) {
                self.table.remove(number);
            }
        }
        Ok(())
    }
}
