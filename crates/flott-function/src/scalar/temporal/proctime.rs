//! PROCTIME: processing time, as a time attribute.

use flott_core::types::{TimeAttribute, TypeKind as K};

use super::now;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const PROCTIME: ScalarFunction = ScalarFunction {
    name: "PROCTIME",
    syntax: "PROCTIME()",
    description: "Processing time, as a time attribute.",
    documentation: "A TIMESTAMP_LTZ(3) that is a time attribute: windows and joins of processing time take it.",
    examples: &[Example { sql: "PROCTIME() > TO_TIMESTAMP_LTZ(0, 3)", result: "TRUE" }],
    category: Category::Temporal,
    arity: (0, 0),
    resolve: |_| Ok(Some(now(K::TimestampLtz(3, TimeAttribute::Proctime).not_null(), |ms| ms))),
};
