//! DAYOFMONTH: the day of the month.

use super::time_unit::{Unit, extract};
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const DAYOFMONTH: ScalarFunction = ScalarFunction {
    name: "DAYOFMONTH",
    syntax: "DAYOFMONTH(date)",
    description: "The day of the month.",
    documentation: "A BIGINT, as EXTRACT gives it. NULL gives NULL.",
    examples: &[Example { sql: "DAYOFMONTH(DATE '2024-02-29')", result: "29" }],
    category: Category::Temporal,
    arity: (1, 1),
    resolve: |a| extract(a, 0, Unit::Day),
};
