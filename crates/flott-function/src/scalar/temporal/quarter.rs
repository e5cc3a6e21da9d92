//! QUARTER: the quarter.

use super::time_unit::{Unit, extract};
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const QUARTER: ScalarFunction = ScalarFunction {
    name: "QUARTER",
    syntax: "QUARTER(date)",
    description: "The quarter.",
    documentation: "A BIGINT, as EXTRACT gives it. NULL gives NULL.",
    examples: &[Example { sql: "QUARTER(DATE '2024-09-30')", result: "3" }],
    category: Category::Temporal,
    arity: (1, 1),
    resolve: |a| extract(a, 0, Unit::Quarter),
};
