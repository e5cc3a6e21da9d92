//! AVG: the mean of the values that are not NULL, in their type: that of integers is cut.

use crate::example::{Documentation, Example};

pub(super) const AVG: Documentation = Documentation {
    syntax: "AVG([DISTINCT] number)",
    description: "The mean of the values that are not NULL, in their type: that of integers is cut.",
    documentation: "NULL where there is none. CAST the number to DOUBLE or DECIMAL for a fraction.",
    examples: &[
        Example { sql: "SELECT AVG(x) FROM (VALUES (1), (2), (CAST(NULL AS INT)), (4)) AS t (x)", result: "2" },
        Example {
            sql: "SELECT AVG(CAST(x AS DOUBLE)) FROM (VALUES (1), (2), (CAST(NULL AS INT)), (4)) AS t (x) WHERE x < 4",
            result: "1.5",
        },
    ],
};
