//! TIMESTAMPADD: a time so many units later.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use datafusion_common::ScalarValue;
use datafusion_expr::Operator;
use flott_core::types::{DayTimeResolution, TypeKind as K, YearMonthResolution};
use flott_core::{Error, Result};

use super::time_unit::{DAY_MS, written_unit};
use crate::example::Example;
use crate::operator::binary;
use crate::scalar::shape::rewritten;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::{Resolved, TypedExpr, call_resolved};

pub(super) const TIMESTAMPADD: ScalarFunction = ScalarFunction {
    name: "TIMESTAMPADD",
    syntax: "TIMESTAMPADD(unit, number, time)",
    description: "A time so many units later.",
    documentation: "Units are those from MILLISECOND to YEAR; the day of a month that is too short is its last. The \
         result has the type of the time, of a DATE with units below a day it is a TIMESTAMP. NULL gives NULL.",
    examples: &[
        Example { sql: "TIMESTAMPADD(DAY, 1, DATE '2024-02-28')", result: "2024-02-29" },
        Example { sql: "TIMESTAMPADD(MONTH, 1, DATE '2024-01-31')", result: "2024-02-29" },
        Example { sql: "TIMESTAMPADD(SECOND, 90, TIME '23:59:00')", result: "00:00:30" },
    ],
    category: Category::Temporal,
    arity: (3, 3),
    resolve: add,
};

/// `number * unit + time`
fn add(a: &mut Arguments) -> Result<Option<Resolved>> {
    let unit = written_unit(a, 0)?;
    let (mut number, mut time) = (a.values[1].clone(), a.values[2].clone());
    if !number.data_type.kind.is_integer() || !time.data_type.kind.is_datetime() {
        return Ok(None);
    }
    // Hours of a date are those of its midnight.
    if time.data_type.kind == K::Date && unit.millis().is_some_and(|ms| ms % DAY_MS != 0) {
        time = crate::cast::cast_if_needed(time, &K::timestamp(6).nullable(), a.env)?;
    }
    number = crate::cast::cast_if_needed(number, &K::BigInt.nullable(), a.env)?;
    let nullable = number.data_type.nullable;
    let (t, months, millis) = match (unit.months(), unit.millis()) {
        (Some(months), _) => (K::IntervalYearMonth(YearMonthResolution::Month, 2), months, 0),
        (_, Some(ms)) => (K::IntervalDayTime(DayTimeResolution::DayToSecond, 2, 3), 0, ms),
        _ => return Err(Error::user("TIMESTAMPADD takes a unit from MILLISECOND to YEAR")),
    };
    if let Some(ScalarValue::Int64(Some(n))) = number.constant() {
        let value = match months > 0 {
            true => ScalarValue::IntervalYearMonth(Some((*n as i32).wrapping_mul(months))),
            false => ScalarValue::DurationMillisecond(Some(n.wrapping_mul(millis))),
        };
        let sum = binary(Operator::Plus, time, TypedExpr::literal(value, t.not_null()), a.env)?;
        return rewritten(a, sum);
    }
    let interval = Resolved::arrays(t.nullable().with_nullable(nullable), move |args, _| {
        let n = args[0].as_primitive::<Int64Type>();
        Ok(if months > 0 {
            Arc::new(n.unary::<_, IntervalYearMonthType>(|n| (n as i32).wrapping_mul(months))) as ArrayRef
        } else {
            Arc::new(n.unary::<_, DurationMillisecondType>(|n| n.wrapping_mul(millis)))
        })
    });
    let interval = call_resolved(&format!("$interval_{unit:?}"), vec![number], interval.infallible());
    let sum = binary(Operator::Plus, time, interval, a.env)?;
    rewritten(a, sum)
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("TIMESTAMPADD", &[("MONTH", "STRING"), ("1", "INT"), ("2016-01-31", "DATE")], "2016-02-29"),
            ("TIMESTAMPADD", &[("WEEK", "STRING"), ("-1", "INT"), ("2016-01-31", "DATE")], "2016-01-24"),
            (
                "TIMESTAMPADD",
                &[("HOUR", "STRING"), ("25", "BIGINT"), ("2016-01-31", "DATE")],
                "2016-02-01 01:00:00.000000",
            ),
            (
                "TIMESTAMPADD",
                &[("SECOND", "STRING"), ("-1", "INT"), ("2016-01-01 00:00:00", "TIMESTAMP(3)")],
                "2015-12-31 23:59:59.000",
            ),
            (
                "TIMESTAMPADD",
                &[("QUARTER", "STRING"), ("2", "INT"), ("2016-01-31 01:00:00", "TIMESTAMP(0)")],
                "2016-07-31 01:00:00",
            ),
            ("TIMESTAMPADD", &[("DAY", "STRING"), ("NULL", "INT"), ("2016-01-31", "DATE")], "NULL"),
        ]);
    }
}
