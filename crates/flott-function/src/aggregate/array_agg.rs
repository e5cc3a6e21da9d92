//! ARRAY_AGG: the values in the order in which they came, as an ARRAY; NULL where there is none.

use crate::example::{Documentation, Example};

pub(super) const ARRAY_AGG: Documentation = Documentation {
    syntax: "ARRAY_AGG([DISTINCT] value [RESPECT NULLS | IGNORE NULLS])",
    description: "The values in the order in which they came, as an ARRAY; NULL where there is none.",
    documentation: "NULL is a value, unless IGNORE NULLS leaves it out.",
    examples: &[
        Example {
            sql: "SELECT ARRAY_AGG(x) FROM (VALUES ('a'), ('b'), (CAST(NULL AS STRING)), ('a')) AS t (x)",
            result: "[a, b, NULL, a]",
        },
        Example {
            sql: "SELECT ARRAY_AGG(x IGNORE NULLS) FROM (VALUES ('a'), (CAST(NULL AS STRING))) AS t (x)",
            result: "[a]",
        },
    ],
};

pub(super) const ARRAY_AGG_IGNORE_NULLS: Documentation = Documentation {
    syntax: "ARRAY_AGG([DISTINCT] value IGNORE NULLS)",
    description: "The values that are not NULL in the order in which they came, as an ARRAY.",
    documentation: "What ARRAY_AGG with IGNORE NULLS is to plans.",
    examples: &[],
};
