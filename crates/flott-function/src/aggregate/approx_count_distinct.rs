//! APPROX_COUNT_DISTINCT: about how many values there are; in batch alone. Here it is exact.

use crate::example::{Documentation, Example};

pub(super) const APPROX_COUNT_DISTINCT: Documentation = Documentation {
    syntax: "APPROX_COUNT_DISTINCT(value)",
    description: "About how many values there are; in batch alone. Here it is exact.",
    documentation: "A BIGINT. NULL does not count; without rows it is 0.",
    examples: &[Example {
        sql: "SELECT APPROX_COUNT_DISTINCT(x) FROM (VALUES ('a'), ('b'), (CAST(NULL AS STRING)), ('a')) AS t (x)",
        result: "2",
    }],
};
