//! VAR_POP and VAR_SAMP: variances, and what they are made of.

use crate::example::{Documentation, Example};

pub(super) const VAR_POP: Documentation = Documentation {
    syntax: "VAR_POP([DISTINCT] number)",
    description: "The variance of the values, in their type.",
    documentation: "NULL does not count. That of integers is an integer: CAST them to DOUBLE for a fraction. NULL \
         where there is none.",
    examples: &[Example {
        sql: "SELECT VAR_POP(x) FROM (VALUES (2.5E0), (1E0), (7.25E0)) AS t (x)",
        result: "7.097222222222222",
    }],
};

pub(super) const VAR_SAMP: Documentation = Documentation {
    syntax: "VAR_SAMP([DISTINCT] number), VARIANCE([DISTINCT] number)",
    description: "The variance of a sample; NULL for less than two values.",
    documentation: "NULL does not count. That of integers is an integer: CAST them to DOUBLE for a fraction.",
    examples: &[
        Example {
            sql: "SELECT VAR_SAMP(x) FROM (VALUES (2.5E0), (1E0), (7.25E0)) AS t (x)",
            result: "10.645833333333334",
        },
        Example {
            sql: "SELECT VARIANCE(x) FROM (VALUES (2.5E0), (1E0), (7.25E0)) AS t (x) WHERE x = 1",
            result: "<NULL>",
        },
    ],
};

pub(super) const WELFORD_M2: Documentation = Documentation {
    syntax: "$WELFORD_M2$1(number)",
    description: "The sum of the squares of the distances to the mean, as DOUBLE.",
    documentation: "What variances are made of: SQL has no name for it.",
    examples: &[],
};
