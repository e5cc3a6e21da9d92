//! HOUR: the hour.

use super::time_unit::{Unit, extract};
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const HOUR: ScalarFunction = ScalarFunction {
    name: "HOUR",
    syntax: "HOUR(timestamp)",
    description: "The hour.",
    documentation: "A BIGINT, as EXTRACT gives it. NULL gives NULL.",
    examples: &[Example { sql: "HOUR(TIMESTAMP '2024-03-05 07:08:09')", result: "7" }],
    category: Category::Temporal,
    arity: (1, 1),
    resolve: |a| extract(a, 0, Unit::Hour),
};
