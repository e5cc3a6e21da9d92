//! SINGLE_VALUE: the only value; more than one fails.

use crate::example::{Documentation, Example};

pub(super) const SINGLE_VALUE: Documentation = Documentation {
    syntax: "SINGLE_VALUE(value)",
    description: "The only value; more than one fails.",
    documentation: "NULL where there is no row. It is what a query in the place of a value is made of.",
    examples: &[Example {
        sql: "SELECT SINGLE_VALUE(x) FROM (VALUES (1), (2), (CAST(NULL AS INT)), (4)) AS t (x) WHERE x = 1",
        result: "1",
    }],
};
