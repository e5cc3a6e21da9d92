//! Logical expressions to physical ones, over the columns of an operator's input.

use datafusion_common::DFSchema;
use datafusion_expr::Expr;
use datafusion_expr::execution_props::ExecutionProps;
use datafusion_physical_expr::create_physical_expr;
use flott_core::Result;
use flott_graph::spec::ExprRef;

use crate::bind::from_datafusion;

/// One expression. AND and OR evaluate from left to right: the left side guards the right one.
pub(super) fn physical_expr(e: &Expr, input: &DFSchema) -> Result<ExprRef> {
    let eager = create_physical_expr(e, input, &ExecutionProps::new(), &Default::default()).map_err(from_datafusion)?;
    let eager = flott_function::lazy::evaluate_lists(eager, input.as_arrow())?;
    flott_function::deep::on_any_stack(flott_function::lazy::short_circuit(eager)?)
}
