//! CURRENT_TIMESTAMP and NOW: the time now; in batch mode when the query started.

use flott_core::types::TypeKind as K;

use super::started;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const CURRENT_TIMESTAMP: ScalarFunction = ScalarFunction {
    name: "CURRENT_TIMESTAMP",
    syntax: "CURRENT_TIMESTAMP",
    description: "The time now; in batch mode when the query started.",
    documentation: "A TIMESTAMP_LTZ(3), written without parentheses. In streaming mode it is another one for each \
         row. NOW() is the same.",
    examples: &[
        Example { sql: "TYPEOF(CURRENT_TIMESTAMP)", result: "TIMESTAMP_LTZ(3) NOT NULL" },
        Example { sql: "CURRENT_TIMESTAMP > TO_TIMESTAMP_LTZ(0, 3)", result: "TRUE" },
    ],
    category: Category::Temporal,
    arity: (0, 0),
    resolve: |a| Ok(Some(started(a.env, K::timestamp_ltz(3).not_null(), |ms| ms))),
};

pub(super) const NOW: ScalarFunction = ScalarFunction {
    name: "NOW",
    syntax: "NOW()",
    description: "The time now; in batch mode when the query started.",
    documentation: "As CURRENT_TIMESTAMP.",
    examples: &[
        Example { sql: "TYPEOF(NOW())", result: "TIMESTAMP_LTZ(3) NOT NULL" },
        Example { sql: "NOW() > TO_TIMESTAMP_LTZ(0, 3)", result: "TRUE" },
    ],
    category: Category::Temporal,
    arity: (0, 0),
    resolve: |a| Ok(Some(started(a.env, K::timestamp_ltz(3).not_null(), |ms| ms))),
};
