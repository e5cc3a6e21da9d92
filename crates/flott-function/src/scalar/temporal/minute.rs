//! MINUTE: the minute.

use super::time_unit::{Unit, extract};
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const MINUTE: ScalarFunction = ScalarFunction {
    name: "MINUTE",
    syntax: "MINUTE(timestamp)",
    description: "The minute.",
    documentation: "A BIGINT, as EXTRACT gives it. NULL gives NULL.",
    examples: &[Example { sql: "MINUTE(TIMESTAMP '2024-03-05 07:08:09')", result: "8" }],
    category: Category::Temporal,
    arity: (1, 1),
    resolve: |a| extract(a, 0, Unit::Minute),
};
