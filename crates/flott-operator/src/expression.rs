//! Evaluating physical expressions over batches, with errors that name the operator.

use arrow_array::{ArrayRef, RecordBatch};
use datafusion_common::DataFusionError;
use datafusion_physical_expr::PhysicalExpr;
use flott_core::{Error, Result};
use flott_graph::spec::ExprRef;

/// The value of an expression for each row.
pub(crate) fn evaluate(expression: &ExprRef, rows: &RecordBatch) -> Result<ArrayRef> {
    let value = expression.evaluate(rows).map_err(|e| expression_error(e, expression))?;
    value.into_array(rows.num_rows()).map_err(|e| expression_error(e, expression))
}

/// An expression with columns by their names alone: at which place of a row they stand says nothing to a reader.
struct Shown<'a>(&'a dyn PhysicalExpr);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt_sql(f)
    }
}

/// An error of ours that travelled through the expression comes out as it was; others are errors of the data.
fn expression_error(error: DataFusionError, expression: &ExprRef) -> Error {
    let error = match error {
        DataFusionError::External(inner) => match inner.downcast::<Error>() {
            Ok(own) => return own.with("expression", Shown(expression.as_ref())),
            Err(other) => Error::data(other.to_string()),
        },
        DataFusionError::ArrowError(inner, _) => Error::data(inner.to_string()),
        DataFusionError::Internal(text) => Error::internal(text),
        other => Error::data(other.strip_backtrace()),
    };
    error
        .with("expression", Shown(expression.as_ref()))
        .hint("Filter out or correct the rows for which the expression cannot be computed")
}
