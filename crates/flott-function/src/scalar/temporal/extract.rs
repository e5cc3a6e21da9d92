//! EXTRACT: one field of a time.

use super::time_unit::{extract, unit_of};
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const EXTRACT: ScalarFunction = ScalarFunction {
    name: "EXTRACT",
    syntax: "EXTRACT(unit FROM time)",
    description: "One field of a time.",
    documentation: "A BIGINT of a date, a time, a timestamp (one with a zone is seen in the session's) or an \
         interval. Units are MILLENNIUM, CENTURY, DECADE, YEAR, ISOYEAR, QUARTER, MONTH, WEEK, DAY, DOW, ISODOW, \
         DOY, HOUR, MINUTE, SECOND, MILLISECOND, MICROSECOND, NANOSECOND and EPOCH; of a TIME those from HOUR to \
         NANOSECOND. NULL gives NULL.",
    examples: &[
        Example { sql: "EXTRACT(MONTH FROM DATE '2024-02-29')", result: "2" },
        Example { sql: "EXTRACT(DOW FROM DATE '2024-03-05')", result: "3" },
        Example { sql: "EXTRACT(ISOYEAR FROM DATE '2024-12-31')", result: "2025" },
        Example { sql: "EXTRACT(HOUR FROM TIME '23:59:59')", result: "23" },
    ],
    category: Category::Temporal,
    arity: (2, 2),
    resolve: |a| {
        let unit = unit_of(a, 0)?;
        extract(a, 1, unit)
    },
};
