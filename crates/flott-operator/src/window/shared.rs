//! Windows that share slices: what has been merged for one window and serves the next.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use flott_core::Result;

use super::aggregation::Aggregation;
use super::assigner::SliceId;
use super::layout::Layout;
use super::slices::{Form, Piece, Pool, Slice, bytes_of};

/// Merges of 2, 4, 8.. neighbouring slices of a HOP. A window of n slices is put together from at most 2 log n of
/// them, and keeping them costs about two merges for each slice, however many windows the slice is in. A late row
/// undoes only the merges that hold its slice.
pub(crate) struct Blocks {
    slide: i64,
    offset: i64,
    /// By level and number.
    merged: BTreeMap<(u32, i64), Block>,
    bytes: usize,
}

/// Merged slices; `None` where none has rows.
struct Block {
    rows: Option<RecordBatch>,
    /// Beyond those of the slices and blocks that it is made of.
    bytes: usize,
}

/// Levels of blocks: numbers of slices have so many bits.
const LEVELS: u32 = 63;

/// What merging needs.
pub(crate) struct Merging<'a> {
    pub(crate) layout: &'a Arc<Layout>,
    pub(crate) slices: &'a mut BTreeMap<SliceId, Slice>,
    pub(crate) pool: &'a mut Pool,
    pub(crate) max_parallelism: u16,
}

impl Blocks {
    pub(crate) fn new(slide: i64, offset: i64) -> Blocks {
        Blocks { slide, offset, merged: BTreeMap::new(), bytes: 0 }
    }

    /// Estimated memory.
    pub(crate) fn size_bytes(&self) -> usize {
        self.bytes + self.merged.len() * size_of::<((u32, i64), Block)>()
    }

    fn forget(&mut self, level: u32, index: i64) {
        self.bytes -= self.merged.remove(&(level, index)).map_or(0, |b| b.bytes);
    }

    /// Number of the slice with this end.
    fn number(&self, slice_end: i64) -> i64 {
        slice_end.saturating_sub(self.offset).div_euclid(self.slide)
    }

    fn slice(&self, number: i64) -> SliceId {
        SliceId::ending_at(number.saturating_mul(self.slide).saturating_add(self.offset))
    }

    /// Rows have come to a slice that may have been merged.
    pub(crate) fn invalidate(&mut self, slice_end: i64) {
        if !self.merged.is_empty() {
            let number = self.number(slice_end);
            (1..LEVELS).for_each(|level| self.forget(level, number >> level));
        }
    }

    /// Forgets what lies before all windows to come.
    pub(crate) fn expire(&mut self, first_slice_end: i64) {
        let first = self.number(first_slice_end);
        for level in 1..LEVELS {
            while let Some(((_, index), _)) = self.merged.range((level, i64::MIN)..(level, i64::MAX)).next()
                && (*index + 1) << level <= first
            {
                let index = *index;
                self.forget(level, index);
            }
        }
    }

    /// The window of slices that end after `start` and up to `end`.
    pub(crate) fn window(&mut self, start: i64, end: i64, mut on: Merging<'_>) -> Result<Aggregation> {
        let (mut at, to) = (self.number(start) + 1, self.number(end) + 1);
        let mut window = on.pool.get(on.layout)?;
        while at < to {
            let aligned = if at == 0 { 62 } else { at.trailing_zeros() };
            let level = aligned.min((to - at).ilog2());
            if let Some(rows) = self.block(level, at >> level, &mut on)? {
                window.merge_state(on.layout, &rows)?;
            }
            at += 1 << level;
        }
        Ok(window)
    }

    fn block(&mut self, level: u32, index: i64, on: &mut Merging<'_>) -> Result<Option<RecordBatch>> {
        if level == 0 {
            let id = self.slice(index);
            let Some(slice) = on.slices.get_mut(&id) else { return Ok(None) };
            slice.freeze(&Form::new(on.layout, id, on.max_parallelism), on.pool)?;
            if slice.pieces.len() > 1 {
                let mut merged = on.pool.get(on.layout)?;
                for piece in &slice.pieces {
                    merged.merge_state(on.layout, piece.rows()?)?;
                }
                slice.pieces = vec![Piece::new(merged.to_state(on.layout, id, on.max_parallelism)?)?];
                on.pool.put(merged);
                slice.count();
            }
            return slice.pieces.first().map(|p| p.rows().cloned()).transpose();
        }
        if let Some(block) = self.merged.get(&(level, index)) {
            return Ok(block.rows.clone());
        }
        let halves = [self.block(level - 1, index * 2, on)?, self.block(level - 1, index * 2 + 1, on)?];
        let (rows, bytes) = match halves {
            [Some(a), Some(b)] => {
                let mut merged = on.pool.get(on.layout)?;
                merged.merge_state(on.layout, &a)?;
                merged.merge_state(on.layout, &b)?;
                let rows = merged.to_state(on.layout, self.slice(index << level), on.max_parallelism)?;
                on.pool.put(merged);
                let bytes = bytes_of(&rows);
                (Some(rows), bytes)
            }
            [a, b] => (a.or(b), 0),
        };
        self.bytes += bytes;
        self.merged.insert((level, index), Block { rows: rows.clone(), bytes });
        Ok(rows)
    }
}

/// The windows of one period of a CUMULATE: each is the one before and one more slice.
pub(crate) struct Accumulated {
    pub(crate) start: i64,
    pub(crate) through: i64,
    pub(crate) aggregation: Aggregation,
}

impl Accumulated {
    /// Grows to the window `start .. end`; what is there of another period is dropped.
    pub(crate) fn advance(kept: Option<Accumulated>, start: i64, end: i64, on: Merging<'_>) -> Result<Accumulated> {
        let mut accumulated = match kept {
            Some(a) if a.start == start && a.through <= end => a,
            other => {
                if let Some(other) = other {
                    on.pool.put(other.aggregation);
                }
                Accumulated { start, through: start, aggregation: on.pool.get(on.layout)? }
            }
        };
        let new = (SliceId { end: accumulated.through.saturating_add(1), start: i64::MIN })..=SliceId {
            end,
            start: i64::MAX,
        };
        for (id, slice) in on.slices.range_mut(new) {
            slice.freeze(&Form::new(on.layout, *id, on.max_parallelism), on.pool)?;
            for piece in &slice.pieces {
                accumulated.aggregation.merge_state(on.layout, piece.rows()?)?;
            }
        }
        accumulated.through = end;
        Ok(accumulated)
    }
}
