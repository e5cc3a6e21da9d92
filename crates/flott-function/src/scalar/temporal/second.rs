//! SECOND: the second.

use super::time_unit::{Unit, extract};
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const SECOND: ScalarFunction = ScalarFunction {
    name: "SECOND",
    syntax: "SECOND(timestamp)",
    description: "The second.",
    documentation: "A BIGINT, as EXTRACT gives it. NULL gives NULL.",
    examples: &[
        Example { sql: "SECOND(TIMESTAMP '2024-03-05 07:08:09')", result: "9" },
        Example { sql: "SECOND(CAST(NULL AS TIMESTAMP(3)))", result: "<NULL>" },
    ],
    category: Category::Temporal,
    arity: (1, 1),
    resolve: |a| extract(a, 0, Unit::Second),
};
