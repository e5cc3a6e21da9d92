//! Sets of rows that grow with each checkpoint, by the rows' ids: which stored rows are gone, which were partners.
//!
//! A set is stored as the ids that were added between two barriers, so a barrier costs what was added.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::types::{UInt16Type, UInt64Type};
use arrow_array::{RecordBatch, UInt16Array, UInt64Array, cast::AsArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use flott_core::{Error, Result};
use flott_state::{RestoredState, StateRun};

/// More runs than these are merged.
const RUNS_MAX: usize = 8;

/// A row's key group and its id, which is unique in the key group.
pub(crate) type RowId = (u16, u64);

/// The stored part of a set.
pub(crate) struct IdRuns {
    table: String,
    runs: Vec<Arc<StateRun>>,
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![StateRun::key_group_field(), Field::new("$id", DataType::UInt64, false)]))
}

impl IdRuns {
    pub(crate) fn new(table: String) -> IdRuns {
        IdRuns { table, runs: vec![] }
    }

    /// Ids that are stored.
    pub(crate) fn len(&self) -> usize {
        self.runs.iter().filter_map(|r| r.made()).map(RecordBatch::num_rows).sum()
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.len() * size_of::<u64>() + self.len() * size_of::<u16>()
    }

    pub(crate) fn clear(&mut self) {
        self.runs.clear();
    }

    /// Stores ids that have come since the last time; all runs.
    pub(crate) fn seal(&mut self, added: &[RowId]) -> Result<&[Arc<StateRun>]> {
        if !added.is_empty() {
            let groups: UInt16Array = added.iter().map(|(g, _)| *g).collect();
            let ids: UInt64Array = added.iter().map(|(_, id)| *id).collect();
            let rows = RecordBatch::try_new(schema(), vec![Arc::new(groups), Arc::new(ids)])?;
            self.runs.push(StateRun::seal(self.table.clone(), rows)?);
        }
        if self.runs.len() > RUNS_MAX {
            let all = self.runs.iter().map(|r| r.rows()).collect::<Result<Vec<_>>>()?;
            let rows = arrow_select::concat::concat_batches(&schema(), all)?;
            self.runs = vec![StateRun::seal(self.table.clone(), rows)?];
        }
        Ok(&self.runs)
    }

    /// What was stored.
    pub(crate) fn restore(&mut self, state: &RestoredState) -> Result<HashSet<RowId>> {
        let mut ids = HashSet::new();
        for run in state.table(&self.table) {
            let columns = run.rows()?.columns();
            if columns.len() != 2 || columns[1].data_type() != &DataType::UInt64 {
                return Err(Error::internal(format!("the stored table '{}' is not one of row ids", self.table)));
            }
            let groups = columns[0].as_primitive::<UInt16Type>();
            ids.extend(
                groups.values().iter().copied().zip(columns[1].as_primitive::<UInt64Type>().values().iter().copied()),
            );
            self.runs.push(Arc::clone(run));
        }
        Ok(ids)
    }
}
