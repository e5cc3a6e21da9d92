//! DAYOFWEEK: the day of the week, Sunday is 1.

use super::time_unit::{Unit, extract};
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const DAYOFWEEK: ScalarFunction = ScalarFunction {
    name: "DAYOFWEEK",
    syntax: "DAYOFWEEK(date)",
    description: "The day of the week, Sunday is 1.",
    documentation: "A BIGINT, as EXTRACT gives it. NULL gives NULL.",
    examples: &[
        Example { sql: "DAYOFWEEK(DATE '2024-03-03')", result: "1" },
        Example { sql: "DAYOFWEEK(DATE '2024-03-02')", result: "7" },
    ],
    category: Category::Temporal,
    arity: (1, 1),
    resolve: |a| extract(a, 0, Unit::DayOfWeek),
};
