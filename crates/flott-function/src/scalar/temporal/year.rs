//! YEAR: the year.

use super::time_unit::{Unit, extract};
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const YEAR: ScalarFunction = ScalarFunction {
    name: "YEAR",
    syntax: "YEAR(date)",
    description: "The year.",
    documentation: "A BIGINT, as EXTRACT gives it. NULL gives NULL.",
    examples: &[Example { sql: "YEAR(DATE '2024-02-29')", result: "2024" }],
    category: Category::Temporal,
    arity: (1, 1),
    resolve: |a| extract(a, 0, Unit::Year),
};
