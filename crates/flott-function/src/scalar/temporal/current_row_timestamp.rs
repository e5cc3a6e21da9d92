//! CURRENT_ROW_TIMESTAMP: the time now.

use flott_core::types::TypeKind as K;

use super::now;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const CURRENT_ROW_TIMESTAMP: ScalarFunction = ScalarFunction {
    name: "CURRENT_ROW_TIMESTAMP",
    syntax: "CURRENT_ROW_TIMESTAMP()",
    description: "The time now.",
    documentation: "A TIMESTAMP_LTZ(3), another one for each row in batch mode, too.",
    examples: &[Example { sql: "TYPEOF(CURRENT_ROW_TIMESTAMP())", result: "TIMESTAMP_LTZ(3) NOT NULL" }],
    category: Category::Temporal,
    arity: (0, 0),
    resolve: |_| Ok(Some(now(K::timestamp_ltz(3).not_null(), |ms| ms))),
};
