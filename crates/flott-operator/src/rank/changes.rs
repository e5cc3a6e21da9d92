//! Changes on their way out: rows of the state by their slots, kinds, ranks.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array};
use arrow_schema::SchemaRef;
use flott_core::{ChangeBatch, Result, RowKind, RowKinds};

use crate::calc::assemble;
use crate::keyed::RowStore;

/// With so many changes a call gives way.
const CHANGES_MAX: usize = 8_192;

/// Which ranks are seen, and how updates look.
#[derive(Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) update_before: bool,
}

#[derive(Default)]
pub(crate) struct Changes {
    slots: Vec<u32>,
    kinds: Vec<RowKind>,
    ranks: Vec<i64>,
}

impl Changes {
    /// A change at a rank, where that is seen.
    pub(crate) fn push(&mut self, seen: Seen, kind: RowKind, slot: u32, rank: u64) {
        if (seen.start..=seen.end).contains(&rank) && (seen.update_before || kind != RowKind::UpdateBefore) {
            self.push_always(kind, slot, rank);
        }
    }

    /// A change.
    pub(crate) fn push_always(&mut self, kind: RowKind, slot: u32, rank: u64) {
        self.slots.push(slot);
        self.kinds.push(kind);
        self.ranks.push(i64::try_from(rank).unwrap_or(i64::MAX));
    }

    /// A row takes the place of another.
    pub(crate) fn update(&mut self, seen: Seen, before: u32, after: u32, rank: u64) {
        self.push(seen, RowKind::UpdateBefore, before, rank);
        self.push(seen, RowKind::UpdateAfter, after, rank);
    }

    pub(crate) fn is_full(&self) -> bool {
        self.slots.len() >= CHANGES_MAX
    }

    /// The rows, and their ranks behind them where the schema has a column more.
    pub(crate) fn take(&mut self, rows: &RowStore, schema: &SchemaRef) -> Result<ChangeBatch> {
        let slots = std::mem::take(&mut self.slots);
        let (kinds, ranks) = (std::mem::take(&mut self.kinds), std::mem::take(&mut self.ranks));
        if slots.is_empty() {
            return Ok(ChangeBatch::empty(Arc::clone(schema)));
        }
        let batch = rows.gather(&slots)?;
        let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
        if columns.len() < schema.fields().len() {
            columns.push(Arc::new(Int64Array::from(ranks)));
        }
        ChangeBatch::new(assemble(schema, columns, slots.len())?, kinds.into_iter().collect::<RowKinds>())
    }
}
