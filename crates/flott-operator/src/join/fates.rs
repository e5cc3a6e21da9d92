//! What became of stored rows since they came: how many partners they have had, and when they were last touched.
//!
//! Both change without the row: a barrier stores them of the rows that have changed, under the row's id. Of several
//! runs that hold a row the one with the greatest version tells. Partners cannot be counted anew where rows expire: one
//! that has gone by its age was a partner all the same, and what was shown with it is not shown as alone.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::types::{Int64Type, UInt16Type, UInt32Type, UInt64Type};
use arrow_array::{Int64Array, RecordBatch, UInt16Array, UInt32Array, UInt64Array, cast::AsArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use flott_core::Result;
use flott_state::{RestoredState, StateRun};

use super::ids::RowId;
use crate::window::aggregate::check_stored;

/// So many rows are never written anew.
const ROWS_MIN: usize = 4_096;

/// What is stored of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fate {
    pub(crate) partners: u32,
    pub(crate) touched_ms: i64,
}

/// The stored fates of one input's rows, and which rows have changed since the last barrier.
pub(crate) struct Fates {
    table: String,
    /// By entry.
    is_changed: Vec<bool>,
    changed: Vec<u32>,
    runs: Vec<Arc<StateRun>>,
    version: u64,
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        StateRun::key_group_field(),
        Field::new("$id", DataType::UInt64, false),
        Field::new("$version", DataType::UInt64, false),
        Field::new("$partners", DataType::UInt32, false),
        Field::new("$touched", DataType::Int64, false),
    ]))
}

impl Fates {
    pub(crate) fn new(table: String) -> Fates {
        Fates { table, is_changed: vec![], changed: vec![], runs: vec![], version: 1 }
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.is_changed.capacity() + self.changed.capacity() * size_of::<u32>()
    }

    /// The next barrier stores the row's.
    pub(crate) fn change(&mut self, entry: u32) {
        let place = entry as usize;
        if self.is_changed.len() <= place {
            self.is_changed.resize(place + 1, false);
        }
        if !std::mem::replace(&mut self.is_changed[place], true) {
            self.changed.push(entry);
        }
    }

    /// Follows the store where it has renumbered entries; `NONE` of those that are gone.
    pub(crate) fn renumber(&mut self, renumbered: &[u32]) {
        let changed = std::mem::take(&mut self.changed);
        self.is_changed = vec![];
        let new = |old: u32| renumbered.get(old as usize).copied().filter(|new| *new != super::rows::NONE);
        changed.into_iter().filter_map(new).for_each(|entry| self.change(entry));
    }

    /// Rows whose fate has changed, and whether all that live are to be written instead: the runs hold far more.
    pub(crate) fn take_changed(&mut self, live: usize) -> (Vec<u32>, bool) {
        let changed = std::mem::take(&mut self.changed);
        changed.iter().for_each(|e| self.is_changed[*e as usize] = false);
        let stored: usize = self.runs.iter().map(|r| r.made().map_or(0, RecordBatch::num_rows)).sum();
        let anew = stored + changed.len() > ROWS_MIN.max(live * 2);
        if anew {
            self.runs.clear();
        }
        (changed, anew)
    }

    /// Stores fates; all runs.
    pub(crate) fn seal(&mut self, rows: &[(RowId, Fate)]) -> Result<&[Arc<StateRun>]> {
        if !rows.is_empty() {
            let schema = schema();
            let mut batch = RecordBatch::try_new(
                Arc::clone(&schema),
                vec![
                    Arc::new(rows.iter().map(|(id, _)| id.0).collect::<UInt16Array>()),
                    Arc::new(rows.iter().map(|(id, _)| id.1).collect::<UInt64Array>()),
                    Arc::new(UInt64Array::from_value(self.version, rows.len())),
                    Arc::new(rows.iter().map(|(_, fate)| fate.partners).collect::<UInt32Array>()),
                    Arc::new(rows.iter().map(|(_, fate)| fate.touched_ms).collect::<Int64Array>()),
                ],
            )?;
            self.version += 1;
            // Neighbours of similar size become one, so that there are few.
            while let Some(last) =
                self.runs.pop_if(|r| r.made().map_or(0, RecordBatch::num_rows) <= batch.num_rows() * 2)
            {
                batch = arrow_select::concat::concat_batches(&schema, [last.rows()?, &batch])?;
            }
            self.runs.push(StateRun::seal(self.table.clone(), batch)?);
        }
        Ok(&self.runs)
    }

    /// What was stored, of rows that may have gone too.
    pub(crate) fn restore(&mut self, state: &RestoredState, operator: &str) -> Result<HashMap<RowId, Fate>> {
        let mut newest: HashMap<RowId, (u64, Fate)> = HashMap::new();
        let table = self.table.clone();
        for run in state.table(&table) {
            let rows = run.rows()?;
            check_stored(&schema(), rows, operator)?;
            let groups = rows.column(0).as_primitive::<UInt16Type>().values();
            let ids = rows.column(1).as_primitive::<UInt64Type>().values();
            let versions = rows.column(2).as_primitive::<UInt64Type>().values();
            let partners = rows.column(3).as_primitive::<UInt32Type>().values();
            let touched = rows.column(4).as_primitive::<Int64Type>().values();
            for row in 0..rows.num_rows() {
                let fate = Fate { partners: partners[row], touched_ms: touched[row] };
                let of = newest.entry((groups[row], ids[row])).or_insert((versions[row], fate));
                if versions[row] >= of.0 {
                    *of = (versions[row], fate);
                }
                self.version = self.version.max(versions[row] + 1);
            }
            self.runs.push(Arc::clone(run));
        }
        Ok(newest.into_iter().map(|(id, (_, fate))| (id, fate)).collect())
    }
}
