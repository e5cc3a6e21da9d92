//! The state of a slice: sealed immutable rows, and groups that changed since.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use arrow_array::RecordBatch;
use flott_core::{ChangeBatch, Error, Result};
use flott_state::StateRun;

use super::aggregation::Aggregation;
use super::assigner::SliceId;
use super::layout::Layout;

/// The one state table of window aggregates.
pub(crate) const WINDOW_TABLE: &str = "window";
/// A slice with more pieces than this has neighbours of similar size merged at the next barrier.
const PIECES_MAX: usize = 4;
/// A piece is merged with the one before it where that has at most so many times its rows.
const SIMILAR: usize = 2;
/// Cleared aggregations that are kept for the next slices.
const POOL_MAX: usize = 4;

/// Immutable rows of state, stored or not yet.
pub(crate) struct Piece {
    pub(crate) rows: RecordBatch,
    bytes: usize,
    run: Option<Arc<StateRun>>,
}

/// Memory of the rows that a batch shows.
pub(crate) fn bytes_of(rows: &RecordBatch) -> usize {
    ChangeBatch::append(rows.clone()).size_bytes()
}

/// Rows and bytes of all slices of an operator: kept up to date slice by slice, since there may be very many.
#[derive(Clone, Default)]
pub(crate) struct Account(Rc<Cell<(usize, usize)>>);

impl Account {
    pub(crate) fn rows(&self) -> usize {
        self.0.get().0
    }

    pub(crate) fn bytes(&self) -> usize {
        self.0.get().1
    }
}

/// The part of one slice; it is taken back when the slice goes.
#[derive(Default)]
struct Share {
    account: Account,
    rows: usize,
    bytes: usize,
}

impl Share {
    fn set(&mut self, rows: usize, bytes: usize) {
        let (all_rows, all_bytes) = self.account.0.get();
        self.account.0.set((all_rows + rows - self.rows, all_bytes + bytes - self.bytes));
        (self.rows, self.bytes) = (rows, bytes);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0, 0);
    }
}

impl Piece {
    pub(crate) fn new(rows: RecordBatch) -> Piece {
        Piece { bytes: bytes_of(&rows), rows, run: None }
    }

    pub(crate) fn stored(run: Arc<StateRun>) -> Piece {
        Piece { bytes: bytes_of(&run.rows), rows: run.rows.clone(), run: Some(run) }
    }
}

/// Aggregations in reserve.
#[derive(Default)]
pub(crate) struct Pool(Vec<Aggregation>);

impl Pool {
    pub(crate) fn get(&mut self, layout: &Layout) -> Result<Aggregation> {
        self.0.pop().map_or_else(|| Aggregation::new(layout), Ok)
    }

    pub(crate) fn put(&mut self, mut aggregation: Aggregation) {
        if self.0.len() < POOL_MAX {
            aggregation.clear();
            self.0.push(aggregation);
        }
    }
}

/// One slice: its value is the merge of the pieces, oldest first, and the delta.
pub(crate) struct Slice {
    pub(crate) pieces: Vec<Piece>,
    pub(crate) delta: Option<Aggregation>,
    share: Share,
}

impl Slice {
    pub(crate) fn new(account: &Account) -> Slice {
        let share = Share { account: account.clone(), ..Share::default() };
        Slice { pieces: vec![], delta: None, share }
    }

    /// Counts the slice anew, after a change. Entries of one key in several pieces count as often.
    pub(crate) fn count(&mut self) {
        let (delta_rows, delta_bytes) = self.delta.as_ref().map_or((0, 0), |d| (d.len(), d.size_bytes()));
        let rows: usize = self.pieces.iter().map(|p| p.rows.num_rows()).sum();
        let bytes: usize = self.pieces.iter().map(|p| p.bytes).sum();
        self.share.set(rows + delta_rows, bytes + delta_bytes + size_of::<Slice>());
    }

    /// Makes groups that are open for change.
    pub(crate) fn open(&mut self, layout: &Layout, pool: &mut Pool) -> Result<()> {
        if self.delta.is_none() {
            self.delta = Some(pool.get(layout)?);
        }
        Ok(())
    }

    /// Changes the open groups.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut Aggregation) -> Result<()>) -> Result<()> {
        let delta = self.delta.as_mut().ok_or_else(|| Error::internal("a slice without a delta"))?;
        change(delta)?;
        self.count();
        Ok(())
    }

    /// Turns the delta into a piece.
    pub(crate) fn freeze(&mut self, layout: &Layout, id: SliceId, max_parallelism: u16, pool: &mut Pool) -> Result<()> {
        if let Some(delta) = self.delta.take() {
            if delta.len() > 0 {
                self.pieces.push(Piece::new(delta.to_state(layout, id, max_parallelism)?));
            }
            pool.put(delta);
            self.count();
        }
        Ok(())
    }

    /// Merges pieces of similar size, so that their number stays logarithmic.
    pub(crate) fn compact(
        &mut self,
        layout: &Layout,
        id: SliceId,
        max_parallelism: u16,
        pool: &mut Pool,
    ) -> Result<()> {
        while self.pieces.len() > PIECES_MAX {
            let n = self.pieces.len();
            // The last neighbours of similar size, or the last two.
            let similar = |i: &usize| {
                let (old, new) = (self.pieces[i - 1].rows.num_rows(), self.pieces[*i].rows.num_rows());
                old <= new * SIMILAR
            };
            let at = (1..n).rev().find(similar).unwrap_or(n - 1);
            let mut merged = pool.get(layout)?;
            for piece in &self.pieces[at - 1..=at] {
                merged.merge_state(layout, &piece.rows)?;
            }
            let rows = merged.to_state(layout, id, max_parallelism)?;
            pool.put(merged);
            self.pieces.splice(at - 1..=at, [Piece::new(rows)]);
            self.count();
        }
        Ok(())
    }

    /// Everything as stored runs; only what is new gets a new name.
    pub(crate) fn seal(
        &mut self,
        layout: &Layout,
        id: SliceId,
        max_parallelism: u16,
        pool: &mut Pool,
        runs: &mut Vec<Arc<StateRun>>,
    ) -> Result<()> {
        self.freeze(layout, id, max_parallelism, pool)?;
        self.compact(layout, id, max_parallelism, pool)?;
        for piece in &mut self.pieces {
            let run = match &piece.run {
                Some(run) => Arc::clone(run),
                None => Arc::clone(piece.run.insert(StateRun::seal(WINDOW_TABLE, piece.rows.clone())?)),
            };
            runs.push(run);
        }
        Ok(())
    }

    /// The merged value; the slice is used up.
    pub(crate) fn into_aggregation(mut self, layout: &Layout, id: SliceId, pool: &mut Pool) -> Result<Aggregation> {
        if self.pieces.is_empty()
            && let Some(delta) = self.delta.take()
        {
            return Ok(delta);
        }
        let mut merged = pool.get(layout)?;
        for piece in &self.pieces {
            merged.merge_state(layout, &piece.rows)?;
        }
        if let Some(delta) = self.delta.take() {
            // The key groups are not looked at here, so any number of them will do.
            merged.merge_state(layout, &delta.to_state(layout, id, 1)?)?;
            pool.put(delta);
        }
        Ok(merged)
    }
}
