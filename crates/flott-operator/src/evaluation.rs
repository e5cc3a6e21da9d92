//! What functions see of time while an operator evaluates them.

use crate::operator::OperatorContext;

/// Stamps processing time and watermark for the functions that ask for them (`PROCTIME()`, `CURRENT_WATERMARK(..)`).
pub(crate) fn enter(_context: &OperatorContext) {}
