//! Data sets and what sinks received.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use arrow_schema::SchemaRef;
use flott_connector::row_text::RowText;
use flott_connector::sink::CommitOutcome;
use flott_core::{ChangeBatch, Error, Result, RowKind, suggest};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::reader::Loaded;
use crate::build::{relaxed_schema, try_batch_of};
use crate::row_parser::cut_row;

/// Which rows sources give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// Only the first rows; sources then stay open, for a savepoint.
    Before,
    /// All rows, from the position that a source starts or restores at.
    #[default]
    All,
    /// The first rows, then, after [`ValuesStore::advance`], the rest: a table that is looked up changes in between.
    Steps,
    /// All rows; sources end only after [`ValuesStore::advance`].
    Held,
}

/// How long a reader waits for the others.
const TURN: Duration = Duration::from_secs(2);
/// Between two rows of readers that take turns, and of any reader in a run with phases.
const PACE: Duration = Duration::from_millis(1);

#[derive(Debug, Clone)]
enum Rows {
    Text(Vec<String>),
    Batches(Vec<ChangeBatch>),
}

#[derive(Debug, Clone)]
struct DataSet {
    before: Rows,
    after: Rows,
}

#[derive(Debug, Default)]
struct SinkRecord {
    key: Vec<usize>,
    rows: Vec<(RowKind, Vec<String>)>,
    /// Rows that wait for their checkpoint, by committable.
    staged: BTreeMap<String, Vec<ChangeBatch>>,
    committed: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Inner {
    data: BTreeMap<String, DataSet>,
    /// Data sets of several splits.
    logs: BTreeMap<String, BTreeMap<u32, ChangeBatch>>,
    sinks: BTreeMap<String, SinkRecord>,
    phase: Phase,
    rows_per_batch: usize,
    /// Data sets whose source has failed on purpose.
    failed: Vec<String>,
    /// Sources that have rows left, and how many rows each has given.
    given: BTreeMap<u64, u64>,
    next_reader: u64,
    /// The second of [`Phase::Steps`] has begun.
    advanced: bool,
    /// Grows with every change of what tables hold.
    version: u64,
    /// Keys that were looked up, by data set.
    asked: BTreeMap<String, usize>,
    /// Data sets that a job looks up in.
    looked_up: BTreeSet<String>,
}

/// Rows by name, shared by a test and the tables of a job.
#[derive(Debug, Clone, Default)]
pub struct ValuesStore {
    inner: Arc<Mutex<Inner>>,
    changed: Arc<Notify>,
}

impl ValuesStore {
    /// Empty.
    pub fn new() -> ValuesStore {
        ValuesStore::default()
    }

    /// Registers text rows, read against the columns of the table that uses them.
    pub fn insert_rows(&self, name: &str, before: &[impl AsRef<str>], after: &[impl AsRef<str>]) {
        let before = Rows::Text(before.iter().map(|r| r.as_ref().to_string()).collect());
        let after = Rows::Text(after.iter().map(|r| r.as_ref().to_string()).collect());
        let mut inner = self.inner.lock();
        inner.version += 1;
        inner.data.insert(name.to_string(), DataSet { before, after });
    }

    /// Registers typed rows: the physical columns in DDL order, then readable metadata.
    pub fn insert_batches(&self, name: &str, before: Vec<ChangeBatch>, after: Vec<ChangeBatch>) {
        let data = DataSet { before: Rows::Batches(before), after: Rows::Batches(after) };
        let mut inner = self.inner.lock();
        inner.version += 1;
        inner.data.insert(name.to_string(), data);
    }

    /// Appends typed rows (the physical columns in DDL order, then readable metadata) to a split of a data set that a
    /// table with the option `splits` reads. A job that reads it gets them at once.
    pub fn append(&self, name: &str, split: u32, rows: &ChangeBatch) -> Result<()> {
        let mut inner = self.inner.lock();
        let log = inner.logs.entry(name.to_string()).or_default();
        let grown = match log.get(&split) {
            Some(before) => ChangeBatch::concat(&before.schema(), [before, rows])?,
            None => rows.clone(),
        };
        log.insert(split, grown);
        drop(inner);
        self.changed.notify_waiters();
        Ok(())
    }

    /// The rows of a split from one on.
    pub(super) fn log_rows(&self, name: &str, split: u32, from: u64) -> Result<Option<ChangeBatch>> {
        let inner = self.inner.lock();
        let Some(rows) = inner.logs.get(name).and_then(|log| log.get(&split)) else { return Ok(None) };
        let from = usize::try_from(from).ok().filter(|from| *from <= rows.num_rows()).ok_or_else(|| {
            Error::user(format!("the position in '{name}' lies behind its rows"))
                .hint("A data set of several splits only grows")
        })?;
        Ok(Some(rows.slice(from, rows.num_rows() - from)))
    }

    /// How many rows a split has.
    pub(super) fn log_len(&self, name: &str, split: u32) -> u64 {
        let inner = self.inner.lock();
        inner.logs.get(name).and_then(|log| log.get(&split)).map_or(0, |rows| rows.num_rows() as u64)
    }

    /// The next change of any data set or sink.
    pub(super) fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }

    /// Which rows sources give from now on: readers look when they are made.
    pub fn set_phase(&self, phase: Phase) {
        let mut inner = self.inner.lock();
        inner.version += 1;
        (inner.phase, inner.advanced) = (phase, false);
        inner.looked_up.clear();
    }

    /// The second step of [`Phase::Steps`]: sources go on, and tables that are looked up hold all rows.
    pub fn advance(&self) {
        let mut inner = self.inner.lock();
        inner.version += 1;
        inner.advanced = true;
        drop(inner);
        self.changed.notify_waiters();
    }

    /// Whether sources may end.
    pub(super) fn may_end(&self) -> bool {
        let inner = self.inner.lock();
        inner.phase != Phase::Held || inner.advanced
    }

    /// Whether a job that was planned since the phase was set looks rows up.
    pub fn is_looked_up(&self) -> bool {
        !self.inner.lock().looked_up.is_empty()
    }

    /// Keys of a data set that were looked up so far.
    pub fn keys_asked(&self, name: &str) -> usize {
        self.inner.lock().asked.get(name).copied().unwrap_or(0)
    }

    pub(super) fn will_be_looked_up(&self, name: &str) {
        self.inner.lock().looked_up.insert(name.to_string());
    }

    pub(super) fn was_asked(&self, name: &str, keys: usize) {
        *self.inner.lock().asked.entry(name.to_string()).or_default() += keys;
    }

    pub(super) fn version(&self) -> u64 {
        self.inner.lock().version
    }

    /// Whether tables hold their last rows, too.
    pub(super) fn shows_all(&self) -> bool {
        let inner = self.inner.lock();
        match inner.phase {
            Phase::Before => false,
            Phase::All | Phase::Held => true,
            Phase::Steps => inner.advanced,
        }
    }

    /// Rows that a source hands over at once; 1 by default, so that a checkpoint may fall between any two.
    pub fn set_rows_per_batch(&self, rows: usize) {
        self.inner.lock().rows_per_batch = rows;
    }

    pub(super) fn phase(&self) -> Phase {
        self.inner.lock().phase
    }

    pub(super) fn rows_per_batch(&self) -> usize {
        self.inner.lock().rows_per_batch.max(1)
    }

    /// A number for a source.
    pub(super) fn new_reader(&self) -> u64 {
        let mut inner = self.inner.lock();
        inner.next_reader += 1;
        inner.next_reader
    }

    /// A reader has rows to give, or will have.
    pub(super) fn begin_turns(&self, reader: u64) {
        self.inner.lock().given.insert(reader, 0);
    }

    /// A reader has given a row.
    pub(super) fn took_turn(&self, reader: u64) {
        if let Some(given) = self.inner.lock().given.get_mut(&reader) {
            *given += 1;
        }
        self.changed.notify_waiters();
    }

    /// A reader has nothing to give for now.
    pub(super) fn end_turns(&self, reader: u64) {
        // Who waits for a change, and leaves, must not wake itself for ever.
        if self.inner.lock().given.remove(&reader).is_some() {
            self.changed.notify_waiters();
        }
    }

    /// Waits until no other reader has given fewer rows than this one, but not for long: another may be held up.
    pub(super) async fn turn(&self, reader: u64) {
        let turn = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                // Registered before the look, so that no change in between is missed.
                changed.as_mut().enable();
                {
                    let inner = self.inner.lock();
                    let own = inner.given.get(&reader).copied().unwrap_or(0);
                    if inner.given.values().all(|other| *other >= own) {
                        // Of one reader alone only what comes before a row that fails can be seen.
                        break inner.given.len() > 1 || inner.phase != Phase::All;
                    }
                }
                changed.await;
            }
        };
        if tokio::time::timeout(TURN, turn).await == Ok(true) {
            // What was given is on its way before more of it is.
            tokio::time::sleep(PACE).await;
        }
    }

    /// True the first time for this data set.
    pub(super) fn fail_once(&self, name: &str) -> bool {
        let mut inner = self.inner.lock();
        let first = !inner.failed.iter().any(|f| f == name);
        if first {
            inner.failed.push(name.to_string());
        }
        first
    }

    pub(super) fn has_failed(&self, name: &str) -> bool {
        self.inner.lock().failed.iter().any(|f| f == name)
    }

    pub(super) fn has_data(&self, name: &str) -> bool {
        self.inner.lock().data.contains_key(name)
    }

    /// A data set as columns.
    pub(super) fn load(&self, name: &str, schema: &SchemaRef) -> Result<Loaded> {
        let inner = self.inner.lock();
        let data = inner.data.get(name).cloned().ok_or_else(|| {
            let e = Error::user(format!("no rows are registered for '{name}'")).with("data-id", name);
            match suggest::nearest(name, inner.data.keys().map(String::as_str)) {
                Some(near) => e.hint(format!("Did you mean '{near}'?")),
                None => e.hint("Register them in the test's ValuesStore"),
            }
        })?;
        drop(inner);
        let in_set = |e: Error| e.with("data-id", name);
        let (before, after) = match (columns(&data.before, schema), columns(&data.after, schema)) {
            (Ok(before), Ok(after)) => (before, after),
            // Rows that break a NOT NULL on purpose: the same columns, nullable.
            _ => {
                let relaxed = relaxed_schema(schema);
                (columns(&data.before, &relaxed).map_err(in_set)?, columns(&data.after, &relaxed).map_err(in_set)?)
            }
        };
        let rows = ChangeBatch::concat(&before.schema(), [&before, &after])?;
        Ok(Loaded { rows, before: before.num_rows() })
    }

    pub(super) fn register_sink(&self, name: &str, key: Vec<usize>) {
        self.inner.lock().sinks.entry(name.to_string()).or_default().key = key;
    }

    pub(super) fn record(&self, name: &str, batch: &ChangeBatch) -> Result<()> {
        let text = RowText::new(&batch.rows)?;
        let cell = |row, column| {
            let mut out = String::new();
            text.write_value(column, row, &mut out);
            out
        };
        let columns = batch.rows.num_columns();
        let rows: Vec<(RowKind, Vec<String>)> = (0..batch.num_rows())
            .map(|row| (batch.kind(row), (0..columns).map(|column| cell(row, column)).collect()))
            .collect();
        self.inner.lock().sinks.entry(name.to_string()).or_default().rows.extend(rows);
        self.changed.notify_waiters();
        Ok(())
    }

    /// Keeps rows for their checkpoint.
    pub(super) fn stage(&self, name: &str, id: &str, rows: Vec<ChangeBatch>) {
        self.inner.lock().sinks.entry(name.to_string()).or_default().staged.insert(id.to_string(), rows);
    }

    /// Shows staged rows, once.
    pub(super) fn commit(&self, name: &str, id: &str) -> Result<CommitOutcome> {
        let mut inner = self.inner.lock();
        let sink = inner.sinks.entry(name.to_string()).or_default();
        if sink.committed.contains(id) {
            return Ok(CommitOutcome::AlreadyCommitted);
        }
        let Some(rows) = sink.staged.remove(id) else {
            return Ok(CommitOutcome::Failed { reason: format!("the staged rows '{id}' of '{name}' are gone") });
        };
        sink.committed.insert(id.to_string());
        drop(inner);
        rows.iter().try_for_each(|batch| self.record(name, batch))?;
        Ok(CommitOutcome::Committed)
    }

    /// Drops staged rows.
    pub(super) fn discard(&self, name: &str, which: impl Fn(&str) -> bool) {
        if let Some(sink) = self.inner.lock().sinks.get_mut(name) {
            sink.staged.retain(|id, _| !which(id));
        }
    }

    /// Committables of a sink that are staged and not committed.
    pub fn staged(&self, sink: &str) -> usize {
        self.inner.lock().sinks.get(sink).map_or(0, |s| s.staged.len())
    }

    /// The cells of everything that a sink received, in the order in which it came.
    pub fn received_cells(&self, sink: &str) -> Vec<Vec<String>> {
        let inner = self.inner.lock();
        inner.sinks.get(sink).into_iter().flat_map(|s| &s.rows).map(|(_, cells)| cells.clone()).collect()
    }

    /// Everything that a sink received, in the order in which it came.
    pub fn changelog(&self, sink: &str) -> Vec<String> {
        let inner = self.inner.lock();
        let rows = inner.sinks.get(sink).map(|s| s.rows.as_slice()).unwrap_or_default();
        rows.iter().map(|(kind, cells)| format!("{kind}[{}]", cells.join(", "))).collect()
    }

    /// Number of rows that a sink received.
    pub fn received(&self, sink: &str) -> usize {
        self.inner.lock().sinks.get(sink).map_or(0, |s| s.rows.len())
    }

    /// Waits until a sink has received so many rows.
    pub async fn until_received(&self, sink: &str, rows: usize) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Registered before the look, so that no change in between is missed.
            changed.as_mut().enable();
            if self.received(sink) >= rows {
                return;
            }
            changed.await;
        }
    }

    /// Waits until no source has rows left that it can give now.
    pub async fn until_given(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Registered before the look, so that no change in between is missed.
            changed.as_mut().enable();
            if self.inner.lock().given.is_empty() {
                return;
            }
            changed.await;
        }
    }

    /// The table that a sink's changelog makes, as sorted `+I` rows: by primary key where it has one, else as a multiset.
    /// Fails where a row is taken away that is not there.
    pub fn materialized(&self, sink: &str) -> Result<Vec<String>> {
        let inner = self.inner.lock();
        let Some(record) = inner.sinks.get(sink) else { return Ok(vec![]) };
        let mut rows = if record.key.is_empty() { multiset(&record.rows)? } else { by_key(&record.key, &record.rows) };
        rows.sort();
        Ok(rows.into_iter().map(|cells| format!("+I[{}]", cells.join(", "))).collect())
    }

    /// Forgets what sinks received (before the second half of a test with a restore).
    pub fn clear_sinks(&self) {
        self.inner.lock().sinks.values_mut().for_each(|s| s.rows.clear());
    }
}

fn by_key(key: &[usize], changes: &[(RowKind, Vec<String>)]) -> Vec<Vec<String>> {
    let mut table: BTreeMap<Vec<&str>, &Vec<String>> = BTreeMap::new();
    for (kind, cells) in changes {
        let key: Vec<&str> = key.iter().filter_map(|k| cells.get(*k)).map(String::as_str).collect();
        match kind {
            RowKind::Insert | RowKind::UpdateAfter => {
                table.insert(key, cells);
            }
            // A -D may hold the key alone.
            RowKind::Delete => {
                table.remove(&key);
            }
            // The old row may have been replaced by then.
            RowKind::UpdateBefore => {
                if table.get(&key) == Some(&cells) {
                    table.remove(&key);
                }
            }
        }
    }
    table.into_values().cloned().collect()
}

fn multiset(changes: &[(RowKind, Vec<String>)]) -> Result<Vec<Vec<String>>> {
    let mut counts: BTreeMap<&Vec<String>, usize> = BTreeMap::new();
    for (kind, cells) in changes {
        if kind.is_addition() {
            *counts.entry(cells).or_default() += 1;
            continue;
        }
        match counts.get_mut(cells) {
            Some(n) if *n > 1 => *n -= 1,
            Some(_) => {
                counts.remove(cells);
            }
            None => {
                return Err(Error::user(format!("{kind}[{}] takes away a row that is not there", cells.join(", "))));
            }
        }
    }
    Ok(counts.into_iter().flat_map(|(cells, n)| std::iter::repeat_n(cells.clone(), n)).collect())
}

fn columns(rows: &Rows, schema: &SchemaRef) -> Result<ChangeBatch> {
    match rows {
        Rows::Text(rows) => try_batch_of(schema, &without_surplus(rows, schema.fields().len())),
        Rows::Batches(batches) => {
            let mut fitting = vec![];
            for batch in batches {
                if batch.rows.num_columns() < schema.fields().len() {
                    return Err(Error::user(format!(
                        "the registered rows have {} columns, the table {}",
                        batch.rows.num_columns(),
                        schema.fields().len()
                    )));
                }
                let columns = batch.rows.columns()[..schema.fields().len()].to_vec();
                let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
                let rows = arrow_array::RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options);
                fitting.push(batch.with_rows(
                    rows.map_err(|e| Error::user("the registered rows have other types than the table").caused_by(e))?,
                ));
            }
            ChangeBatch::concat(schema, &fitting)
        }
    }
}

/// Rows may have more values than the table has columns, as in Flink. Where all have the same number, the rest is cut off
/// rather than taken for text with commas.
fn without_surplus(rows: &[String], columns: usize) -> Vec<String> {
    let cuts: Option<Vec<(&str, Vec<&str>)>> = rows.iter().map(|r| cut_row(r)).collect();
    match cuts {
        Some(cuts) if columns > 0 && cuts.iter().all(|(_, c)| c.len() > columns && c.len() == cuts[0].1.len()) => {
            cuts.iter().map(|(kind, c)| format!("{kind}[{}]", c[..columns].join(", "))).collect()
        }
        _ => rows.to_vec(),
    }
}
