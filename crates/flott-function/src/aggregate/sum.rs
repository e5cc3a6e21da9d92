//! SUM: the sum of the values that are not NULL; NULL where there is none.

use crate::example::{Documentation, Example};

pub(super) const SUM: Documentation = Documentation {
    syntax: "SUM([DISTINCT] number)",
    description: "The sum of the values that are not NULL; NULL where there is none.",
    documentation: "It has the type of the number, which may overflow; of a DECIMAL(p, s) it is a DECIMAL(38, s).",
    examples: &[
        Example { sql: "SELECT SUM(x) FROM (VALUES (1), (2), (CAST(NULL AS INT)), (4)) AS t (x)", result: "7" },
        Example {
            sql: "SELECT SUM(x) FROM (VALUES (1), (2), (CAST(NULL AS INT)), (4)) AS t (x) WHERE x IS NULL",
            result: "<NULL>",
        },
    ],
};

pub(super) const SUM0: Documentation = Documentation {
    syntax: "$SUM0(number)",
    description: "The sum of the values that are not NULL; 0 where there is none.",
    documentation: "What splitting a COUNT needs: SQL has no name for it.",
    examples: &[],
};
