//! STDDEV_POP and STDDEV_SAMP: standard deviations.

use crate::example::{Documentation, Example};

pub(super) const STDDEV_POP: Documentation = Documentation {
    syntax: "STDDEV_POP([DISTINCT] number)",
    description: "The standard deviation of the values, in their type.",
    documentation: "The square root of VAR_POP. NULL does not count. That of integers is an integer: CAST them to \
         DOUBLE for a fraction. NULL where there is none.",
    examples: &[Example {
        sql: "SELECT STDDEV_POP(x) FROM (VALUES (2.5E0), (1E0), (7.25E0)) AS t (x)",
        result: "2.6640612271909636",
    }],
};

pub(super) const STDDEV_SAMP: Documentation = Documentation {
    syntax: "STDDEV_SAMP([DISTINCT] number), STDDEV([DISTINCT] number)",
    description: "The standard deviation of a sample; NULL for less than two values.",
    documentation: "The square root of VAR_SAMP. NULL does not count. That of integers is an integer: CAST them to \
         DOUBLE for a fraction.",
    examples: &[
        Example {
            sql: "SELECT STDDEV_SAMP(x) FROM (VALUES (2.5E0), (1E0), (7.25E0)) AS t (x)",
            result: "3.2627953250753157",
        },
        Example {
            sql: "SELECT STDDEV(x) FROM (VALUES (2.5E0), (1E0), (7.25E0)) AS t (x) WHERE x = 1",
            result: "<NULL>",
        },
    ],
};
