//! COLLECT: the values that are not NULL with how often each came, as a MULTISET.

use crate::example::{Documentation, Example};

pub(super) const COLLECT: Documentation = Documentation {
    syntax: "COLLECT([DISTINCT] value)",
    description: "The values that are not NULL with how often each came, as a MULTISET.",
    documentation: "Empty where there is none.",
    examples: &[
        Example {
            sql: "SELECT COLLECT(x) FROM (VALUES (1), (2), (CAST(NULL AS INT)), (4)) AS t (x) WHERE x < 3",
            result: "{1=1, 2=1}",
        },
        Example {
            sql: "SELECT COLLECT(DISTINCT x) FROM (VALUES ('a'), ('b'), (CAST(NULL AS STRING)), ('a')) AS t (x) WHERE x = 'a'",
            result: "{a=1}",
        },
    ],
};
