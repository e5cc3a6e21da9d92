//! Rows that are gathered until their input has ended, and then leave in order: of equal ones the first one first.

use arrow_schema::SchemaRef;
use flott_core::Result;
use flott_graph::SortKey;
use flott_state::{OperatorSnapshot, RestoredState};

use super::codec::{Encoded, RowCodec};
use super::keys::KeyCodec;
use super::rows::RowStore;
use crate::operator::OperatorContext;

/// The state table.
const ROW_TABLE: &str = "rows";

/// See the module.
pub(crate) struct AtEnd {
    schema: SchemaRef,
    order: Vec<SortKey>,
    rows: RowStore,
    /// Rows that leave, the last one first.
    leaving: Option<Vec<u32>>,
}

impl AtEnd {
    /// For rows of this schema, which leave in this order.
    pub(crate) fn new(schema: &SchemaRef, order: Vec<SortKey>) -> Result<AtEnd> {
        let rows = RowStore::new(ROW_TABLE, RowCodec::new(schema, &order)?, false);
        Ok(AtEnd { schema: SchemaRef::clone(schema), order, rows, leaving: None })
    }

    pub(crate) fn rows(&self) -> &RowStore {
        &self.rows
    }

    pub(crate) fn rows_mut(&mut self) -> &mut RowStore {
        &mut self.rows
    }

    /// Keeps a row. Its slot.
    pub(crate) fn insert(&mut self, rows: &Encoded, row: usize) -> Result<u32> {
        self.rows.insert(rows, row, self.rows.next_mark(), 0)
    }

    /// The input has ended: of these rows, in order, all leave but the first `offset`, and no more than `fetch`.
    pub(crate) fn end(&mut self, mut slots: Vec<u32>, offset: usize, fetch: Option<usize>) {
        let rows = &self.rows;
        let compare = |a: &u32, b: &u32| rows.order(*a).cmp(rows.order(*b)).then(rows.mark(*a).cmp(&rows.mark(*b)));
        let wanted = fetch.map(|f| offset.saturating_add(f)).filter(|w| *w < slots.len());
        if let Some(wanted) = wanted {
            slots.select_nth_unstable_by(wanted, compare);
            slots.truncate(wanted);
        }
        slots.sort_unstable_by(compare);
        slots.drain(..offset.min(slots.len()));
        slots.reverse();
        self.leaving = Some(slots);
    }

    /// Whether rows leave.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.is_some()
    }

    /// The row that leaves next.
    pub(crate) fn next(&self) -> Option<u32> {
        self.leaving.as_ref()?.last().copied()
    }

    /// It leaves.
    pub(crate) fn pop(&mut self) -> Option<u32> {
        self.leaving.as_mut()?.pop()
    }

    /// What is held, with so many bytes beside the rows.
    pub(crate) fn count(&self, others: usize, context: &mut OperatorContext) {
        context.metrics.state_rows = self.rows.len() as u64;
        context.metrics.state_bytes = (self.rows.size_bytes() + others) as u64;
    }

    /// All have left.
    pub(crate) fn clear(&mut self, context: &mut OperatorContext) -> Result<()> {
        *self = AtEnd::new(&self.schema, std::mem::take(&mut self.order))?;
        context.metrics.state_rows = 0;
        context.metrics.state_bytes = 0;
        Ok(())
    }

    pub(crate) fn snapshot(&mut self, version: u32, keys: &KeyCodec) -> Result<OperatorSnapshot> {
        Ok(OperatorSnapshot { version, meta: vec![], runs: self.rows.snapshot(keys)? })
    }

    /// The slots of the rows that were stored.
    pub(crate) fn restore(&mut self, state: &RestoredState, name: &str) -> Result<Vec<u32>> {
        Ok(self.rows.restore(state, name)?.iter().map(|r| r.slot).collect())
    }
}
