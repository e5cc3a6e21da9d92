//! TIMESTAMPDIFF: how many whole units lie between two times.

use std::sync::Arc;

use arrow_array::types::*;
use arrow_array::{ArrayRef, PrimitiveArray};
use flott_core::types::TypeKind as K;
use flott_core::{Error, Result};

use super::time_unit::{Unit, local_nanos, months_between, written_unit};
use crate::example::Example;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

const WEEK_SECONDS: i64 = 7 * 86_400;

pub(super) const TIMESTAMPDIFF: ScalarFunction = ScalarFunction {
    name: "TIMESTAMPDIFF",
    syntax: "TIMESTAMPDIFF(unit, from, to)",
    description: "How many whole units lie between two times.",
    documentation: "An INT, negative where the second time is before the first. Units are those from MILLISECOND to \
         YEAR. Seconds wrap around after 68 years, and so do weeks, which are made of them. NULL gives NULL.",
    examples: &[
        Example { sql: "TIMESTAMPDIFF(DAY, DATE '2024-01-01', DATE '2024-03-01')", result: "60" },
        Example { sql: "TIMESTAMPDIFF(WEEK, DATE '2024-01-01', DATE '2024-03-01')", result: "8" },
        Example { sql: "TIMESTAMPDIFF(DAY, DATE '2024-01-01', TIMESTAMP '2024-01-02 12:00:00')", result: "1" },
    ],
    category: Category::Temporal,
    arity: (3, 3),
    resolve: difference,
};

/// An INT, as in Flink: it wraps.
fn difference(a: &mut Arguments) -> Result<Option<Resolved>> {
    let unit = written_unit(a, 0)?;
    if !a.values[1..].iter().all(|v| v.data_type.kind.is_datetime() || v.data_type.kind == K::Null) {
        return Ok(None);
    }
    if unit.months().is_none() && unit.millis().is_none() {
        return Err(Error::user("TIMESTAMPDIFF takes a unit from MILLISECOND to YEAR"));
    }
    a.values.remove(0);
    for i in 0..2 {
        if a.values[i].data_type.kind == K::Null {
            a.coerce(i, &K::timestamp(3).nullable())?;
        }
    }
    let zone = a.env.time_zone;
    let t = K::Int.nullable().with_nullable(a.nullable());
    let resolved = Resolved::arrays(t, move |args, _| {
        let millis = |array: &ArrayRef| -> Result<Vec<Option<i64>>> {
            let nanos = local_nanos(array, zone)?;
            Ok(nanos.into_iter().map(|n| n.and_then(|n| i64::try_from(n.div_euclid(1_000_000)).ok())).collect())
        };
        let (from, to) = (millis(&args[0])?, millis(&args[1])?);
        let between = |from: i64, to: i64| match (unit.months(), unit.millis()) {
            // As in Flink: of seconds that are an INT, and wrap after 68 years.
            _ if unit == Unit::Week => i64::from((to.wrapping_sub(from) / 1_000) as i32) / WEEK_SECONDS,
            (Some(months), _) => months_between(from, to) / i64::from(months),
            (_, ms) => to.wrapping_sub(from) / ms.unwrap_or(1),
        };
        let pairs = from.into_iter().zip(to);
        Ok(Arc::new(pairs.map(|(f, t)| Some(between(f?, t?) as i32)).collect::<PrimitiveArray<Int32Type>>()))
    });
    Ok(Some(resolved.infallible()))
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            (
                "TIMESTAMPDIFF",
                &[("DAY", "STRING"), ("2003-01-02 10:00:00", "TIMESTAMP(3)"), ("2003-01-03 10:00:00", "TIMESTAMP(3)")],
                "1",
            ),
            (
                "TIMESTAMPDIFF",
                &[
                    ("MONTH", "STRING"),
                    ("2019-09-01 00:00:00", "TIMESTAMP(3)"),
                    ("2020-03-01 00:00:00", "TIMESTAMP(3)"),
                ],
                "6",
            ),
            (
                "TIMESTAMPDIFF",
                &[
                    ("MONTH", "STRING"),
                    ("2019-09-01 00:00:01", "TIMESTAMP(3)"),
                    ("2020-03-01 00:00:00", "TIMESTAMP(3)"),
                ],
                "5",
            ),
            ("TIMESTAMPDIFF", &[("MONTH", "STRING"), ("2020-03-01", "DATE"), ("2019-09-02", "DATE")], "-5"),
            // A time of day counts where whole months lie between the days, backwards, too.
            (
                "TIMESTAMPDIFF",
                &[
                    ("MONTH", "STRING"),
                    ("2024-03-31 02:30:00", "TIMESTAMP(0)"),
                    ("2024-02-29 01:00:00", "TIMESTAMP(0)"),
                ],
                "-2",
            ),
            (
                "TIMESTAMPDIFF",
                &[("MONTH", "STRING"), ("2024-03-31", "DATE"), ("2024-02-29 01:00:00", "TIMESTAMP(0)")],
                "-1",
            ),
            ("TIMESTAMPDIFF", &[("YEAR", "STRING"), ("2016-02-29", "DATE"), ("2020-02-28", "DATE")], "3"),
            ("TIMESTAMPDIFF", &[("WEEK", "STRING"), ("2016-02-29", "DATE"), ("2016-02-15", "DATE")], "-2"),
            ("TIMESTAMPDIFF", &[("WEEK", "STRING"), ("2024-02-29", "DATE"), ("9999-12-31", "DATE")], "-2827"),
            (
                "TIMESTAMPDIFF",
                &[("SECOND", "STRING"), ("2016-06-15", "DATE"), ("2016-06-15 00:01:00", "TIMESTAMP(0)")],
                "60",
            ),
            (
                "TIMESTAMPDIFF",
                &[("HOUR", "STRING"), ("2016-06-15 02:00:00", "TIMESTAMP(0)"), ("2016-06-15 00:30:00", "TIMESTAMP(0)")],
                "-1",
            ),
        ]);
    }
}
