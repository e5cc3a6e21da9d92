//! MIN and MAX: the least and the greatest value that is not NULL.

use crate::example::{Documentation, Example};

pub(super) const MIN: Documentation = Documentation {
    syntax: "MIN(value)",
    description: "The least value that is not NULL.",
    documentation: "NULL where there is none. Of numbers, texts, times and BOOLEAN.",
    examples: &[
        Example { sql: "SELECT MIN(x) FROM (VALUES (1), (2), (CAST(NULL AS INT)), (4)) AS t (x)", result: "1" },
        Example {
            sql: "SELECT MIN(x) FROM (VALUES ('a'), ('b'), (CAST(NULL AS STRING)), ('a')) AS t (x)",
            result: "a",
        },
    ],
};

pub(super) const MAX: Documentation = Documentation {
    syntax: "MAX(value)",
    description: "The greatest value that is not NULL.",
    documentation: "NULL where there is none. Of numbers, texts, times and BOOLEAN.",
    examples: &[
        Example { sql: "SELECT MAX(x) FROM (VALUES (1), (2), (CAST(NULL AS INT)), (4)) AS t (x)", result: "4" },
        Example {
            sql: "SELECT MAX(x) FROM (VALUES ('a'), ('b'), (CAST(NULL AS STRING)), ('a')) AS t (x)",
            result: "b",
        },
    ],
};
