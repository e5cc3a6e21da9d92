//! Rows of one input in state: immutable columnar chunks, the numbers of their rows, and which of them are gone.
//!
//! Rows are numbered in order of arrival; such a number is an *entry*. A chunk holds the rows of consecutive entries
//! and, once it is sealed, is a run of the checkpoint: memory and checkpoint share the columns. Small chunks are merged
//! into larger ones, which keeps entries; when most entries are gone the rest is written anew, which renumbers them.
//!
//! Besides its columns a stored row has an id, unique in its key group for ever, by which later checkpoints say that it
//! is gone or marked.

use std::sync::Arc;

use arrow_array::types::{UInt16Type, UInt64Type};
use arrow_array::{Array, ArrayRef, RecordBatch, UInt16Array, UInt32Array, UInt64Array, cast::AsArray, new_null_array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::concat::concat_batches;
use arrow_select::interleave::interleave;
use arrow_select::take::take;
use flott_core::{Error, Result};
use flott_state::{RestoredState, StateRun};

use super::ids::{IdRuns, RowId};
use crate::held::list_bytes;
use crate::window::aggregate::check_stored;

/// No entry.
pub(crate) const NONE: u32 = u32::MAX;
/// So many neighbouring chunks of similar size become one.
const MERGE_CHUNKS: usize = 8;
/// Larger chunks are not made by merging: while it is, both are there.
const MERGE_ROWS_MAX: usize = 1 << 20;
const MERGE_BYTES_MAX: usize = 8 << 20;
/// Fewer entries that are gone are not worth the work.
const COMPACT_ROWS_MIN: usize = 8_192;
/// Rows of a chunk that compaction writes.
const COMPACT_CHUNK_ROWS: usize = 65_536;
/// Columns before those of the rows: key group and id.
const OWN_COLUMNS: usize = 2;

const DEAD: u8 = 1;
const MARKED: u8 = 2;

/// Rows of consecutive entries.
struct Chunk {
    len: u32,
    /// `None` once all are gone.
    rows: Option<RecordBatch>,
    dead: u32,
    bytes: usize,
    /// What it is stored as.
    run: Option<Arc<StateRun>>,
}

/// Rows by entry.
pub(crate) struct RowStore {
    table: String,
    /// Key group, id, columns.
    schema: SchemaRef,
    chunks: Vec<Chunk>,
    /// The first entry of each chunk.
    starts: Vec<u32>,
    /// By entry.
    flags: Vec<u8>,
    live: usize,
    chunk_bytes: usize,
    next_id: u64,
    /// Entries that went, or were marked, since the last barrier.
    dead_pending: Vec<u32>,
    marked_pending: Vec<u32>,
    dead: IdRuns,
    marked: IdRuns,
}

/// Memory of an array's slice.
fn array_bytes(array: &dyn Array) -> usize {
    array.to_data().get_slice_memory_size().unwrap_or_else(|_| array.get_array_memory_size())
}

impl RowStore {
    /// An empty store of rows with these columns, kept in tables that start with `table`.
    pub(crate) fn new(table: &str, columns: &Schema) -> RowStore {
        let mut fields = vec![StateRun::key_group_field(), Field::new("$id", DataType::UInt64, false)];
        fields.extend(columns.fields().iter().map(|f| f.as_ref().clone()));
        RowStore {
            table: table.to_string(),
            schema: Arc::new(Schema::new(fields)),
            chunks: vec![],
            starts: vec![],
            flags: vec![],
            live: 0,
            chunk_bytes: 0,
            next_id: 0,
            dead_pending: vec![],
            marked_pending: vec![],
            dead: IdRuns::new(format!("{table}.gone")),
            marked: IdRuns::new(format!("{table}.marked")),
        }
    }

    /// Number of columns of a row.
    pub(crate) fn width(&self) -> usize {
        self.schema.fields().len() - OWN_COLUMNS
    }

    /// Entries so far, with those that are gone.
    pub(crate) fn len(&self) -> usize {
        self.flags.len()
    }

    /// Rows that are there.
    pub(crate) fn live(&self) -> usize {
        self.live
    }

    pub(crate) fn is_live(&self, entry: u32) -> bool {
        self.flags[entry as usize] & DEAD == 0
    }

    pub(crate) fn is_marked(&self, entry: u32) -> bool {
        self.flags[entry as usize] & MARKED != 0
    }

    /// Estimated memory.
    pub(crate) fn size_bytes(&self) -> usize {
        let pending = (self.dead_pending.capacity() + self.marked_pending.capacity()) * size_of::<u32>();
        let chunks = self.chunks.capacity() * (size_of::<Chunk>() + size_of::<u32>());
        self.chunk_bytes
            + list_bytes(&self.flags)
            + pending
            + chunks
            + self.dead.size_bytes()
            + self.marked.size_bytes()
    }

    /// The id that the next row gets: no other row of these key groups has had it.
    pub(crate) fn next_id(&self) -> u64 {
        self.next_id
    }

    /// Ids go on behind this one.
    pub(crate) fn start_ids_at(&mut self, id: u64) {
        self.next_id = self.next_id.max(id);
    }

    /// Adds rows; the first one's entry, the others follow.
    pub(crate) fn append(&mut self, columns: Vec<ArrayRef>, key_groups: Vec<u16>) -> Result<u32> {
        let (first, rows) = (self.flags.len() as u32, key_groups.len());
        if rows == 0 {
            return Ok(first);
        }
        let end = self.next_id + rows as u64;
        let mut all: Vec<ArrayRef> = Vec::with_capacity(columns.len() + OWN_COLUMNS);
        all.push(Arc::new(UInt16Array::from(key_groups)));
        all.push(Arc::new(UInt64Array::from_iter_values(self.next_id..end)));
        all.extend(columns);
        self.next_id = end;
        self.push(RecordBatch::try_new(Arc::clone(&self.schema), all)?, None)?;
        self.merge()?;
        Ok(first)
    }

    fn push(&mut self, rows: RecordBatch, run: Option<Arc<StateRun>>) -> Result<()> {
        let (first, len) = (self.flags.len(), rows.num_rows());
        if first + len >= NONE as usize {
            return Err(Error::data("more than four billion rows in one state of one subtask")
                .hint("Raise the parallelism, or let old rows go with 'table.exec.state.ttl'"));
        }
        let bytes = rows.columns().iter().map(|c| array_bytes(c.as_ref())).sum();
        self.starts.push(first as u32);
        self.chunks.push(Chunk { len: len as u32, rows: Some(rows), dead: 0, bytes, run });
        self.chunk_bytes += bytes;
        self.live += len;
        self.flags.resize(first + len, 0);
        Ok(())
    }

    /// Merges chunks at the end while that at least doubles the largest of them, so that a row is copied a few times at
    /// most and there are few chunks.
    fn merge(&mut self) -> Result<()> {
        while self.chunks.len() >= MERGE_CHUNKS {
            let from = self.chunks.len() - MERGE_CHUNKS;
            let last = &self.chunks[from..];
            let rows: usize = last.iter().map(|c| c.len as usize).sum();
            let largest = last.iter().map(|c| c.len as usize).max().unwrap_or(0);
            let bytes: usize = last.iter().map(|c| c.bytes).sum();
            let whole = last.iter().all(|c| c.rows.is_some());
            if !whole || rows < 2 * largest || rows > MERGE_ROWS_MAX || bytes > MERGE_BYTES_MAX {
                return Ok(());
            }
            let merged = concat_batches(&self.schema, last.iter().filter_map(|c| c.rows.as_ref()))?;
            let dead = last.iter().map(|c| c.dead).sum();
            let new_bytes = merged.columns().iter().map(|c| array_bytes(c.as_ref())).sum();
            self.chunk_bytes = self.chunk_bytes - bytes + new_bytes;
            self.chunks.truncate(from);
            self.starts.truncate(from + 1);
            self.chunks.push(Chunk { len: rows as u32, rows: Some(merged), dead, bytes: new_bytes, run: None });
        }
        Ok(())
    }

    fn chunk_of(&self, entry: u32) -> usize {
        self.starts.partition_point(|s| *s <= entry) - 1
    }

    /// The columns of the chunk that an entry lies in, and its row there.
    pub(crate) fn row(&self, entry: u32) -> Result<(&[ArrayRef], usize)> {
        let chunk = self.chunk_of(entry);
        match &self.chunks[chunk].rows {
            Some(rows) => Ok((&rows.columns()[OWN_COLUMNS..], (entry - self.starts[chunk]) as usize)),
            None => Err(Error::internal("a row of state is read after it has gone")),
        }
    }

    /// These columns of these rows; NULLs for [`NONE`].
    pub(crate) fn gather(&self, columns: &[usize], entries: &[u32]) -> Result<Vec<ArrayRef>> {
        let columns: Vec<usize> = columns.iter().map(|c| c + OWN_COLUMNS).collect();
        self.gather_stored(&columns, entries)
    }

    fn gather_stored(&self, columns: &[usize], entries: &[u32]) -> Result<Vec<ArrayRef>> {
        let mut places = vec![NONE; self.chunks.len()];
        let mut touched: Vec<&RecordBatch> = vec![];
        let mut picks: Vec<(usize, usize)> = Vec::with_capacity(entries.len());
        let mut nulls = false;
        let (mut chunk, mut range) = (0, 0..0);
        for entry in entries {
            if *entry == NONE {
                nulls = true;
                picks.push((usize::MAX, 0));
                continue;
            }
            if !range.contains(entry) {
                chunk = self.chunk_of(*entry);
                range = self.starts[chunk]..self.starts[chunk] + self.chunks[chunk].len;
                if places[chunk] == NONE {
                    let Some(rows) = &self.chunks[chunk].rows else {
                        return Err(Error::internal("a row of state is read after it has gone"));
                    };
                    places[chunk] = touched.len() as u32;
                    touched.push(rows);
                }
            }
            picks.push((places[chunk] as usize, (*entry - range.start) as usize));
        }
        let null_place = touched.len();
        if !nulls && let [only] = touched.as_slice() {
            let rows: UInt32Array = picks.iter().map(|(_, row)| *row as u32).collect();
            return columns.iter().map(|c| Ok(take(only.column(*c).as_ref(), &rows, None)?)).collect();
        }
        picks.iter_mut().filter(|p| p.0 == usize::MAX).for_each(|p| p.0 = null_place);
        columns
            .iter()
            .map(|c| {
                let data_type = self.schema.field(*c).data_type();
                if touched.is_empty() {
                    return Ok(new_null_array(data_type, entries.len()));
                }
                let null = nulls.then(|| new_null_array(data_type, 1));
                let mut arrays: Vec<&dyn Array> = touched.iter().map(|b| b.column(*c).as_ref()).collect();
                arrays.extend(null.as_deref());
                Ok(interleave(&arrays, &picks)?)
            })
            .collect()
    }

    /// The row is gone.
    pub(crate) fn remove(&mut self, entry: u32) {
        let flags = &mut self.flags[entry as usize];
        if *flags & DEAD != 0 {
            return;
        }
        *flags |= DEAD;
        self.live -= 1;
        self.dead_pending.push(entry);
        let chunk = self.chunk_of(entry);
        let chunk = &mut self.chunks[chunk];
        chunk.dead += 1;
        if chunk.dead == chunk.len {
            chunk.rows = None;
            chunk.run = None;
            self.chunk_bytes -= std::mem::take(&mut chunk.bytes);
        }
    }

    /// Marks a row, for ever.
    pub(crate) fn mark(&mut self, entry: u32) {
        let flags = &mut self.flags[entry as usize];
        if *flags & MARKED == 0 {
            *flags |= MARKED;
            self.marked_pending.push(entry);
        }
    }

    /// Where most entries are gone the others are written anew: their new numbers by the old ones ([`NONE`] where gone).
    pub(crate) fn compact(&mut self) -> Result<Option<Vec<u32>>> {
        if self.live == 0 && !self.flags.is_empty() {
            let renumbered = vec![NONE; self.flags.len()];
            let next_id = self.next_id;
            let columns = Schema::new(self.schema.fields()[OWN_COLUMNS..].to_vec());
            *self = RowStore::new(&self.table, &columns);
            self.next_id = next_id;
            return Ok(Some(renumbered));
        }
        let dead = self.flags.len() - self.live;
        if dead < self.live + COMPACT_ROWS_MIN {
            self.join_gone_chunks();
            return Ok(None);
        }
        let mut renumbered = vec![NONE; self.flags.len()];
        let entries: Vec<u32> = (0..self.flags.len() as u32).filter(|e| self.is_live(*e)).collect();
        (0..).zip(&entries).for_each(|(new, old)| renumbered[*old as usize] = new);
        let all: Vec<usize> = (0..self.schema.fields().len()).collect();
        let pieces = entries
            .chunks(COMPACT_CHUNK_ROWS)
            .map(|piece| Ok(RecordBatch::try_new(Arc::clone(&self.schema), self.gather_stored(&all, piece)?)?))
            .collect::<Result<Vec<_>>>()?;
        let marked: Vec<u32> =
            (0..).zip(&entries).filter(|(_, old)| self.is_marked(**old)).map(|(new, _)| new).collect();
        self.chunks.clear();
        self.starts.clear();
        self.flags = vec![];
        (self.live, self.chunk_bytes) = (0, 0);
        pieces.into_iter().try_for_each(|piece| self.push(piece, None))?;
        // No stored row is gone any more, and no stored mark is of a row that is.
        self.dead_pending = vec![];
        self.dead.clear();
        self.marked.clear();
        self.marked_pending = vec![];
        marked.into_iter().for_each(|entry| self.mark(entry));
        Ok(Some(renumbered))
    }

    /// Chunks without rows that lie side by side become one, so that many of them cost nothing.
    fn join_gone_chunks(&mut self) {
        let gone = self.chunks.iter().filter(|c| c.rows.is_none()).count();
        if gone < 2 * MERGE_CHUNKS || gone * 2 < self.chunks.len() {
            return;
        }
        let (mut chunks, mut starts): (Vec<Chunk>, Vec<u32>) = (vec![], vec![]);
        for (chunk, start) in std::mem::take(&mut self.chunks).into_iter().zip(std::mem::take(&mut self.starts)) {
            match chunks.last_mut() {
                Some(last) if last.rows.is_none() && chunk.rows.is_none() => {
                    last.len += chunk.len;
                    last.dead += chunk.dead;
                }
                _ => {
                    chunks.push(chunk);
                    starts.push(start);
                }
            }
        }
        (self.chunks, self.starts) = (chunks, starts);
    }

    /// The ids of entries that are stored, or will be.
    pub(crate) fn ids(&self, entries: &[u32]) -> Vec<RowId> {
        let mut ids = Vec::with_capacity(entries.len());
        for entry in entries {
            let chunk = self.chunk_of(*entry);
            if let Some(rows) = &self.chunks[chunk].rows {
                let row = (*entry - self.starts[chunk]) as usize;
                let group = rows.column(0).as_primitive::<UInt16Type>().value(row);
                ids.push((group, rows.column(1).as_primitive::<UInt64Type>().value(row)));
            }
        }
        ids
    }

    /// All rows as runs; those that were sealed before keep their names.
    pub(crate) fn seal(&mut self) -> Result<Vec<Arc<StateRun>>> {
        let mut runs = vec![];
        for chunk in &mut self.chunks {
            let Some(rows) = &chunk.rows else { continue };
            let run = match &chunk.run {
                Some(run) => Arc::clone(run),
                None => StateRun::seal(self.table.clone(), rows.clone())?,
            };
            chunk.run = Some(Arc::clone(&run));
            runs.push(run);
        }
        let (dead, marked) = (std::mem::take(&mut self.dead_pending), std::mem::take(&mut self.marked_pending));
        let (dead, marked) = (self.ids(&dead), self.ids(&marked));
        runs.extend_from_slice(self.dead.seal(&dead)?);
        runs.extend_from_slice(self.marked.seal(&marked)?);
        Ok(runs)
    }

    /// Puts back what was sealed. Rows that are gone keep entries.
    pub(crate) fn restore(&mut self, state: &RestoredState, operator: &str) -> Result<()> {
        let dead = self.dead.restore(state)?;
        let marked = self.marked.restore(state)?;
        let mut gone = vec![];
        let table = self.table.clone();
        for run in state.table(&table) {
            check_stored(&self.schema, run.rows()?, operator)?;
            let first = self.flags.len() as u32;
            let rows = run.rows()?.clone().with_schema(Arc::clone(&self.schema))?;
            let groups = rows.column(0).as_primitive::<UInt16Type>().values().clone();
            let ids = rows.column(1).as_primitive::<UInt64Type>().values().clone();
            self.push(rows, Some(Arc::clone(run)))?;
            for (entry, id) in (first..).zip(groups.iter().copied().zip(ids.iter().copied())) {
                if dead.contains(&id) {
                    gone.push(entry);
                }
                if marked.contains(&id) {
                    self.flags[entry as usize] |= MARKED;
                }
            }
        }
        gone.into_iter().for_each(|entry| self.remove(entry));
        self.dead_pending.clear();
        Ok(())
    }

    /// The rows in pieces: the first entry of each and its columns.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = (u32, &[ArrayRef])> {
        self.starts
            .iter()
            .zip(&self.chunks)
            .filter_map(|(start, chunk)| chunk.rows.as_ref().map(|rows| (*start, &rows.columns()[OWN_COLUMNS..])))
    }
}
