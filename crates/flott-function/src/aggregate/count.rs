//! COUNT: the number of rows, or of those whose value is not NULL.

use crate::example::{Documentation, Example};

pub(super) const COUNT: Documentation = Documentation {
    syntax: "COUNT(*), COUNT([DISTINCT] value)",
    description: "The number of rows, or of those whose value is not NULL.",
    documentation: "A BIGINT. 0 where there is no row. DISTINCT counts each value once.",
    examples: &[
        Example { sql: "SELECT COUNT(*) FROM (VALUES (1), (2), (CAST(NULL AS INT)), (4)) AS t (x)", result: "4" },
        Example { sql: "SELECT COUNT(x) FROM (VALUES (1), (2), (CAST(NULL AS INT)), (4)) AS t (x)", result: "3" },
        Example {
            sql: "SELECT COUNT(DISTINCT x) FROM (VALUES ('a'), ('b'), (CAST(NULL AS STRING)), ('a')) AS t (x)",
            result: "2",
        },
    ],
};
