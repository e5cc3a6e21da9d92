//! Runs: immutable pieces of keyed state as columns.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};

use arrow_array::{RecordBatch, UInt16Array, cast::AsArray, types::UInt16Type};
use arrow_schema::{DataType, Field};
use flott_core::{Error, ErrorKind, Result, id};

/// Name of the first column of every run: the key group of each row (`UInt16`).
pub const KEY_GROUP_COLUMN: &str = "$key_group";

/// Makes the rows of a run.
pub type MakeRows = Box<dyn FnOnce() -> Result<RecordBatch> + Send>;

/// An immutable piece of one state table. Its name is unique for ever, so a checkpoint that finds the name in its
/// predecessor refers to the file that is already there.
///
/// What the rows hold is fixed when the run is sealed, but they may be made later, by whoever asks first: as a rule the
/// thread that writes them, so that a barrier of a large state does not stop its operator.
pub struct StateRun {
    /// Unique name.
    pub uid: String,
    /// Which of the operator's tables it belongs to.
    pub table: String,
    /// An error keeps its kind and text only: each that asks gets its own.
    rows: OnceLock<std::result::Result<RecordBatch, (ErrorKind, String)>>,
    make: Mutex<Option<MakeRows>>,
}

impl StateRun {
    /// Seals rows under a new name. The first column must be the key group.
    pub fn seal(table: impl Into<String>, rows: RecordBatch) -> Result<Arc<StateRun>> {
        StateRun::named(id::ordered_hex(), table, rows)
    }

    /// Seals rows under a new name that are made when they are asked for. The first column must be the key group.
    pub fn later(table: impl Into<String>, make: MakeRows) -> Arc<StateRun> {
        let make = Mutex::new(Some(make));
        Arc::new(StateRun { uid: id::ordered_hex(), table: table.into(), rows: OnceLock::new(), make })
    }

    /// A run that is already stored under this name.
    pub fn named(uid: impl Into<String>, table: impl Into<String>, rows: RecordBatch) -> Result<Arc<StateRun>> {
        let (uid, table) = (uid.into(), table.into());
        check(&table, &rows)?;
        Ok(Arc::new(StateRun { uid, table, rows: OnceLock::from(Ok(rows)), make: Mutex::new(None) }))
    }

    /// The rows: the first column is [`KEY_GROUP_COLUMN`], the rest is the operator's. Makes them, or waits for who
    /// does; fails as making them has failed.
    pub fn rows(&self) -> Result<&RecordBatch> {
        let made = self.rows.get_or_init(|| {
            let make = self.make.lock().ok().and_then(|mut make| make.take());
            let make = make.ok_or_else(|| Error::internal("the rows of a run could not be made"));
            let rows = make.and_then(|make| make()).and_then(|rows| check(&self.table, &rows).map(|()| rows));
            rows.map_err(|e| (e.kind(), e.to_string()))
        });
        made.as_ref().map_err(|(kind, message)| Error::new(*kind, message))
    }

    /// The rows, where they are made.
    pub fn made(&self) -> Option<&RecordBatch> {
        self.rows.get()?.as_ref().ok()
    }

    /// The key groups of the rows.
    pub fn key_groups(&self) -> Result<&UInt16Array> {
        Ok(self.rows()?.column(0).as_primitive::<UInt16Type>())
    }

    /// The field that a run's schema starts with.
    pub fn key_group_field() -> Field {
        Field::new(KEY_GROUP_COLUMN, DataType::UInt16, false)
    }
}

fn check(table: &str, rows: &RecordBatch) -> Result<()> {
    match rows.schema().fields().first() {
        Some(f) if f.name() == KEY_GROUP_COLUMN && f.data_type() == &DataType::UInt16 => Ok(()),
        _ => Err(Error::internal(format!("a run of table '{table}' does not start with {KEY_GROUP_COLUMN}"))),
    }
}

impl fmt::Debug for StateRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.made().map(RecordBatch::num_rows);
        f.debug_struct("StateRun").field("uid", &self.uid).field("table", &self.table).field("rows", &rows).finish()
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

#[cfg(test)]
mod tests {
    use arrow_array::Int64Array;
    use arrow_schema::Schema;

    use super::*;

    fn rows(first: &str) -> RecordBatch {
        let fields = vec![Field::new(first, DataType::UInt16, false), Field::new("v", DataType::Int64, false)];
        let columns: Vec<arrow_array::ArrayRef> =
            vec![Arc::new(UInt16Array::from(vec![1, 2])), Arc::new(Int64Array::from(vec![3, 4]))];
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("a batch")
    }

    #[test]
    fn rows_are_made_once_by_whoever_asks_first() {
        let made = Arc::new(Mutex::new(0));
        let count = Arc::clone(&made);
        let run = StateRun::later(
            "t",
            Box::new(move || {
                *count.lock().expect("lock") += 1;
                Ok(rows(KEY_GROUP_COLUMN))
            }),
        );
        assert!(run.made().is_none() && *made.lock().expect("lock") == 0);
        let others: Vec<_> = (0..4)
            .map(|_| {
                let run = Arc::clone(&run);
                std::thread::spawn(move || run.rows().expect("rows").num_rows())
            })
            .collect();
        assert!(others.into_iter().all(|o| o.join().expect("joins") == 2));
        assert_eq!(
            (run.key_groups().expect("groups").values().as_ref(), *made.lock().expect("lock")),
            (&[1u16, 2][..], 1)
        );
        assert!(run.made().is_some());
    }

    #[test]
    fn each_that_asks_is_told_why_there_are_no_rows() {
        let fails = StateRun::later("t", Box::new(|| Err(Error::data("too many groups"))));
        for _ in 0..2 {
            let e = fails.rows().expect_err("fails");
            assert_eq!((e.kind(), e.to_string().contains("too many groups")), (ErrorKind::Data, true));
        }
        let without_groups = StateRun::later("t", Box::new(|| Ok(rows("k"))));
        assert!(without_groups.rows().expect_err("refused").to_string().contains(KEY_GROUP_COLUMN));
        assert!(StateRun::seal("t", rows("k")).is_err());
    }
}
