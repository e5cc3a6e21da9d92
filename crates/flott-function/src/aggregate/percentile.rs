//! PERCENTILE: values at a place among the sorted ones.

use crate::example::{Documentation, Example};

pub(super) const PERCENTILE: Documentation = Documentation {
    syntax: "PERCENTILE(number, percentage[, frequency])",
    description: "The value below which so large a part (0 to 1, or an ARRAY of such) of the values lies, between \
         two of them in proportion; each counts as often as its frequency says.",
    documentation: "A DOUBLE, or an ARRAY of them. Percentages are constants from 0 to 1; a value with a frequency \
         below 1 does not count. NULL where there is none.",
    examples: &[
        Example { sql: "SELECT PERCENTILE(x, 0.5) FROM (VALUES (2.5E0), (1E0), (7.25E0)) AS t (x)", result: "2.5" },
        Example {
            sql: "SELECT PERCENTILE(x, ARRAY[0, 0.5]) FROM (VALUES (2.5E0), (1E0), (7.25E0)) AS t (x)",
            result: "[1.0, 2.5]",
        },
    ],
};
