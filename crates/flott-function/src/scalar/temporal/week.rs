//! WEEK: the ISO week.

use super::time_unit::{Unit, extract};
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const WEEK: ScalarFunction = ScalarFunction {
    name: "WEEK",
    syntax: "WEEK(date)",
    description: "The ISO week.",
    documentation: "A BIGINT, as EXTRACT gives it. NULL gives NULL. Weeks begin on Monday; the first one is that of \
         the year's first Thursday.",
    examples: &[
        Example { sql: "WEEK(DATE '2024-02-29')", result: "9" },
        Example { sql: "WEEK(DATE '2021-01-01')", result: "53" },
    ],
    category: Category::Temporal,
    arity: (1, 1),
    resolve: |a| extract(a, 0, Unit::Week),
};
