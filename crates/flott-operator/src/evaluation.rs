//! What functions see of time while an operator evaluates them.

use crate::operator::OperatorContext;

/// Stamps processing time and watermark for the functions that ask for them (`PROCTIME()`, `CURRENT_WATERMARK(..)`).
pub(crate) fn enter(context: &OperatorContext) {
    flott_function::context::enter(context.processing_time_ms, context.arrived.map(|w| w.0));
}
