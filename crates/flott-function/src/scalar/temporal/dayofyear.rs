//! DAYOFYEAR: the day of the year.

use super::time_unit::{Unit, extract};
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const DAYOFYEAR: ScalarFunction = ScalarFunction {
    name: "DAYOFYEAR",
    syntax: "DAYOFYEAR(date)",
    description: "The day of the year.",
    documentation: "A BIGINT, as EXTRACT gives it. NULL gives NULL.",
    examples: &[Example { sql: "DAYOFYEAR(DATE '2024-12-31')", result: "366" }],
    category: Category::Temporal,
    arity: (1, 1),
    resolve: |a| extract(a, 0, Unit::DayOfYear),
};
