//! Pairs of rows: what must be true of one, and what comes out.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array, cast::AsArray};
use arrow_schema::{DataType, Schema, SchemaRef};
use arrow_select::take::take;
use datafusion_physical_expr::expressions::Column;
use datafusion_physical_expr::utils::collect_columns;
use flott_core::{Error, Result};
use flott_graph::JoinCondition;
use flott_graph::spec::ExprRef;

use super::rows::NONE;
use crate::calc::renumber;
use crate::expression::evaluate;

/// Rows of a piece of output, about; pairs that are looked at in one go.
pub(crate) const PIECE_ROWS: usize = 8_192;

/// The part of a join's condition that is not an equality, over only the columns that it reads.
pub(crate) struct PairCondition {
    expression: ExprRef,
    /// Columns of the left rows that it reads.
    pub(crate) left: Vec<usize>,
    /// Columns of the right rows.
    pub(crate) right: Vec<usize>,
    schema: SchemaRef,
}

impl PairCondition {
    pub(crate) fn new(condition: &JoinCondition) -> Result<Option<PairCondition>> {
        let Some(rest) = &condition.rest else { return Ok(None) };
        let mut columns: Vec<usize> = collect_columns(rest).iter().map(Column::index).collect();
        columns.sort_unstable();
        columns.dedup();
        let pair = condition.pair_schema();
        let schema: SchemaRef = Arc::new(Schema::new(
            columns
                .iter()
                .map(|c| pair.fields().get(*c).cloned())
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| Error::internal("the condition of a join reads a column that no pair has"))?,
        ));
        let expression = renumber(rest, &columns, &schema)?;
        let width = condition.left_schema.fields().len();
        let (left, right): (Vec<usize>, Vec<usize>) = columns.iter().partition(|c| **c < width);
        Ok(Some(PairCondition { expression, left, right: right.iter().map(|c| c - width).collect(), schema }))
    }

    /// Whether it is true of each pair, given the columns that it reads.
    pub(crate) fn evaluate(&self, left: Vec<ArrayRef>, right: Vec<ArrayRef>, pairs: usize) -> Result<BooleanArray> {
        let columns = left.into_iter().chain(right).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(pairs));
        let rows = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?;
        let value = evaluate(&self.expression, &rows)?;
        if value.data_type() != &DataType::Boolean {
            return Err(Error::internal(format!("the condition of a join has type {}", value.data_type())));
        }
        Ok(value.as_boolean().clone())
    }
}

/// Rows of a batch by number, NULLs for [`NONE`].
pub(crate) fn take_rows(columns: &[ArrayRef], rows: &[u32]) -> Result<Vec<ArrayRef>> {
    let len = columns.first().map_or(0, |c| c.len());
    if rows.len() == len && rows.iter().enumerate().all(|(i, r)| i as u32 == *r) {
        return Ok(columns.to_vec());
    }
    let rows: UInt32Array = if rows.contains(&NONE) {
        rows.iter().map(|r| (*r != NONE).then_some(*r)).collect()
    } else {
        rows.to_vec().into()
    };
    columns.iter().map(|c| Ok(take(c.as_ref(), &rows, None)?)).collect()
}
