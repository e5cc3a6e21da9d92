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
/// So many groups are written as rows, or merged, while a barrier waits: about a millisecond. More are left to the thread
/// that stores them.
const GROUPS_AT_ONCE: usize = 16_384;

/// Immutable rows of state, stored or not yet. Many of them are made by whoever writes them.
pub(crate) struct Piece {
    run: Arc<StateRun>,
    /// Until the rows are made: as many as they can be at most.
    len: usize,
    bytes: usize,
    is_counted: bool,
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
    pub(crate) fn new(rows: RecordBatch) -> Result<Piece> {
        Piece::stored(StateRun::seal(WINDOW_TABLE, rows)?)
    }

    pub(crate) fn stored(run: Arc<StateRun>) -> Result<Piece> {
        let rows = run.rows()?;
        Ok(Piece { len: rows.num_rows(), bytes: bytes_of(rows), is_counted: true, run })
    }

    /// Rows of a large delta, which is given away: making them takes as long as it has groups.
    fn of_delta(delta: Aggregation, form: Form) -> Piece {
        let (len, bytes) = (delta.len(), delta.size_bytes());
        let run = StateRun::later(WINDOW_TABLE, Box::new(move || form.rows_of(&delta)));
        Piece { run, len, bytes, is_counted: false }
    }

    /// The merge of pieces, oldest first.
    fn merge_of(pieces: &[Piece], form: Form) -> Piece {
        let (len, bytes) = pieces.iter().fold((0, 0), |(len, bytes), p| (len + p.len, bytes + p.bytes));
        let parts: Vec<Arc<StateRun>> = pieces.iter().map(|p| Arc::clone(&p.run)).collect();
        let make = move || {
            let mut merged = Aggregation::new(&form.layout)?;
            for part in parts {
                merged.merge_state(&form.layout, part.rows()?)?;
            }
            form.rows_of(&merged)
        };
        Piece { run: StateRun::later(WINDOW_TABLE, Box::new(make)), len, bytes, is_counted: false }
    }

    /// Makes them, or waits for who does, where they are not there yet.
    pub(crate) fn rows(&self) -> Result<&RecordBatch> {
        self.run.rows()
    }

    fn count(&mut self) {
        if !self.is_counted
            && let Some(rows) = self.run.made()
        {
            (self.len, self.bytes, self.is_counted) = (rows.num_rows(), bytes_of(rows), true);
        }
    }
}

/// How groups are written as rows of state.
#[derive(Clone)]
pub(crate) struct Form {
    layout: Arc<Layout>,
    id: SliceId,
    max_parallelism: u16,
}

impl Form {
    pub(crate) fn new(layout: &Arc<Layout>, id: SliceId, max_parallelism: u16) -> Form {
        Form { layout: Arc::clone(layout), id, max_parallelism }
    }

    fn rows_of(&self, groups: &Aggregation) -> Result<RecordBatch> {
        groups.to_state(&self.layout, self.id, self.max_parallelism)
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
        self.pieces.iter_mut().for_each(Piece::count);
        let rows: usize = self.pieces.iter().map(|p| p.len).sum();
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

    /// Turns the delta into a piece, at once: its rows are needed.
    pub(crate) fn freeze(&mut self, form: &Form, pool: &mut Pool) -> Result<()> {
        if let Some(delta) = self.delta.take() {
            if delta.len() > 0 {
                self.pieces.push(Piece::new(form.rows_of(&delta)?)?);
            }
            pool.put(delta);
            self.count();
        }
        Ok(())
    }

    /// Turns the delta into a piece. A large one is given away as it is, so that this takes no time.
    fn give_away(&mut self, form: &Form, pool: &mut Pool) -> Result<()> {
        match self.delta.take() {
            Some(delta) if delta.len() > GROUPS_AT_ONCE => {
                self.pieces.push(Piece::of_delta(delta, form.clone()));
                self.count();
            }
            delta => {
                self.delta = delta;
                self.freeze(form, pool)?;
            }
        }
        Ok(())
    }

    /// Merges pieces of similar size, so that their number stays logarithmic. Large ones by whoever writes them.
    fn compact(&mut self, form: &Form, pool: &mut Pool) -> Result<()> {
        while self.pieces.len() > PIECES_MAX {
            let n = self.pieces.len();
            // The last neighbours of similar size, or the last two.
            let similar = |i: &usize| self.pieces[i - 1].len <= self.pieces[*i].len * SIMILAR;
            let at = (1..n).rev().find(similar).unwrap_or(n - 1);
            let neighbours = &self.pieces[at - 1..=at];
            let piece = if neighbours.iter().map(|p| p.len).sum::<usize>() > GROUPS_AT_ONCE {
                Piece::merge_of(neighbours, form.clone())
            } else {
                let mut merged = pool.get(&form.layout)?;
                for piece in neighbours {
                    merged.merge_state(&form.layout, piece.rows()?)?;
                }
                let rows = form.rows_of(&merged)?;
                pool.put(merged);
                Piece::new(rows)?
            };
            self.pieces.splice(at - 1..=at, [piece]);
            self.count();
        }
        Ok(())
    }

    /// Everything as runs to be stored; only what is new gets a new name. Takes no longer with more groups.
    pub(crate) fn seal(&mut self, form: &Form, pool: &mut Pool, runs: &mut Vec<Arc<StateRun>>) -> Result<()> {
        self.give_away(form, pool)?;
        self.compact(form, pool)?;
        runs.extend(self.pieces.iter().map(|p| Arc::clone(&p.run)));
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
            merged.merge_state(layout, piece.rows()?)?;
        }
        if let Some(delta) = self.delta.take() {
            // The key groups are not looked at here, so any number of them will do.
            merged.merge_state(layout, &delta.to_state(layout, id, 1)?)?;
            pool.put(delta);
        }
        Ok(merged)
    }
}
