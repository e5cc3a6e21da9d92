//! Runs: immutable pieces of keyed state as columns.

use std::sync::Arc;

use arrow_array::{Array, RecordBatch, UInt16Array, cast::AsArray, types::UInt16Type};
use arrow_schema::{DataType, Field};
use flott_core::{Error, Result, id};

/// Name of the first column of every run: the key group of each row (`UInt16`).
pub const KEY_GROUP_COLUMN: &str = "$key_group";

/// An immutable piece of one state table. Its name is unique for ever, so a checkpoint that finds the name in its
/// predecessor refers to the file that is already there.
#[derive(Debug, Clone)]
pub struct StateRun {
    /// Unique name.
    pub uid: String,
    /// Which of the operator's tables it belongs to.
    pub table: String,
    /// First column: [`KEY_GROUP_COLUMN`]; the rest is the operator's.
    pub rows: RecordBatch,
}

impl StateRun {
    /// Seals rows under a new name. The first column must be the key group.
    pub fn seal(table: impl Into<String>, rows: RecordBatch) -> Result<Arc<StateRun>> {
        StateRun::named(id::ordered_hex(), table, rows)
    }

    /// A run that is already stored under this name.
    pub fn named(uid: impl Into<String>, table: impl Into<String>, rows: RecordBatch) -> Result<Arc<StateRun>> {
        let table = table.into();
        match rows.schema().fields().first() {
            Some(f) if f.name() == KEY_GROUP_COLUMN && f.data_type() == &DataType::UInt16 => {}
            _ => {
                return Err(Error::internal(format!(
                    "a run of table '{table}' does not start with {KEY_GROUP_COLUMN}"
                )));
            }
        }
        Ok(Arc::new(StateRun { uid: uid.into(), table, rows }))
    }

    /// The key groups of the rows.
    pub fn key_groups(&self) -> &UInt16Array {
        self.rows.column(0).as_primitive::<UInt16Type>()
    }

    /// The field that a run's schema starts with.
    pub fn key_group_field() -> Field {
        Field::new(KEY_GROUP_COLUMN, DataType::UInt16, false)
    }

    /// Bytes of the columns.
    pub fn size_bytes(&self) -> usize {
        self.rows.columns().iter().map(|c| c.to_data().get_slice_memory_size().unwrap_or(0)).sum()
    }
}

/// What one subtask of an operator hands over at a barrier. Making it must be cheap: no copy of what is already sealed.
#[derive(Debug, Clone, Default)]
pub struct OperatorSnapshot {
    /// Version of the layout of `meta` and of the tables' columns.
    pub version: u32,
    /// Small state that is not keyed.
    pub meta: Vec<u8>,
    /// All live runs, old and new.
    pub runs: Vec<Arc<StateRun>>,
}

/// A run as it comes back, cut to the key groups of the restoring subtask.
#[derive(Debug, Clone)]
pub struct RestoredRun {
    /// With its old name where nothing was cut away, else with a new one.
    pub run: Arc<StateRun>,
}

/// What one subtask of an operator starts from.
#[derive(Debug, Clone, Default)]
pub struct RestoredState {
    /// Version of the layout.
    pub version: u32,
    /// The `meta` of all subtasks that made the checkpoint (the parallelism may have been another).
    pub metas: Vec<Vec<u8>>,
    /// The runs.
    pub runs: Vec<RestoredRun>,
}

impl RestoredState {
    /// The runs of one table.
    pub fn table<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Arc<StateRun>> {
        self.runs.iter().map(|r| &r.run).filter(move |r| r.table == name)
    }
}
