//! MONTH: the month.

use super::time_unit::{Unit, extract};
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const MONTH: ScalarFunction = ScalarFunction {
    name: "MONTH",
    syntax: "MONTH(date)",
    description: "The month.",
    documentation: "A BIGINT, as EXTRACT gives it. NULL gives NULL.",
    examples: &[Example { sql: "MONTH(DATE '2024-02-29')", result: "2" }],
    category: Category::Temporal,
    arity: (1, 1),
    resolve: |a| extract(a, 0, Unit::Month),
};
