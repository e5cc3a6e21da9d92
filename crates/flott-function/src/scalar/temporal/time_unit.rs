//! Units of time: fields of a time, rounding to them, distances in them.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{ArrayRef, Int64Array, PrimitiveArray};
use arrow_schema::{DataType, TimeUnit};
use flott_core::time_text::{civil_from_days, days_from_civil};
use flott_core::types::{DayTimeResolution, TypeKind as K, YearMonthResolution};
use flott_core::{Error, LogicalType, Result};

use crate::cast::{to_nanos, too_far};
use crate::context::FunctionEnv;
use crate::operator::shift_months;
use crate::scalar::Arguments;
use crate::text::{self, DAY_NS};
use crate::udf::{Resolved, TypedExpr, call_resolved};

pub(super) const DAY_MS: i64 = 86_400_000;

/// A field of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Millennium,
    Century,
    Decade,
    Year,
    Quarter,
    Month,
    Week,
    Day,
    DayOfWeek,
    DayOfYear,
    Hour,
    Minute,
    Second,
    Millisecond,
    Microsecond,
    Nanosecond,
    Epoch,
    IsoDayOfWeek,
    IsoYear,
}

pub(super) fn unit(name: &str) -> Option<Unit> {
    Some(match name.trim_end_matches('S') {
        "MILLENNIUM" => Unit::Millennium,
        "CENTURY" => Unit::Century,
        "DECADE" => Unit::Decade,
        "YEAR" => Unit::Year,
        "QUARTER" => Unit::Quarter,
        "MONTH" => Unit::Month,
        "WEEK" => Unit::Week,
        "DAY" => Unit::Day,
        "DOW" | "DAYOFWEEK" => Unit::DayOfWeek,
        "DOY" | "DAYOFYEAR" => Unit::DayOfYear,
        "HOUR" => Unit::Hour,
        "MINUTE" => Unit::Minute,
        "SECOND" => Unit::Second,
        "MILLISECOND" => Unit::Millisecond,
        "MICROSECOND" => Unit::Microsecond,
        "NANOSECOND" => Unit::Nanosecond,
        "EPOCH" => Unit::Epoch,
        "ISODOW" => Unit::IsoDayOfWeek,
        "ISOYEAR" => Unit::IsoYear,
        _ => return None,
    })
}

pub(super) fn unit_of(a: &Arguments, index: usize) -> Result<Unit> {
    let name = a.values[index].text().unwrap_or("").to_ascii_uppercase();
    unit(&name).ok_or_else(|| {
        Error::user(format!("'{name}' is not a unit of time"))
            .hint("Use YEAR, QUARTER, MONTH, WEEK, DAY, HOUR, MINUTE or SECOND")
    })
}

/// Nanoseconds in local time: an instant is shown in the session's zone.
pub(super) fn local_nanos(array: &ArrayRef, zone: flott_core::SessionZone) -> Result<Vec<Option<i128>>> {
    let nanos = to_nanos(array)?;
    if !matches!(array.data_type(), DataType::Timestamp(_, Some(_))) {
        return Ok(nanos);
    }
    let shift = |n: i128| {
        let (s, f) = (n.div_euclid(1_000_000_000), n.rem_euclid(1_000_000_000));
        i128::from(text::utc_to_local(zone, s as i64)) * 1_000_000_000 + f
    };
    Ok(nanos.into_iter().map(|n| n.map(shift)).collect())
}

pub(super) fn extract(a: &mut Arguments, index: usize, unit: Unit) -> Result<Option<Resolved>> {
    let value = a.values[index].clone();
    if value.data_type.kind.is_interval() {
        return Ok(extract_from_interval(&value.data_type, index, unit));
    }
    if !value.data_type.kind.is_datetime() {
        return Ok(None);
    }
    if matches!(value.data_type.kind, K::Time(_)) && !unit.is_of_day() {
        let name = format!("{unit:?}").to_uppercase();
        return Err(Error::user(format!("Unit {name} can not be applied to TIME"))
            .hint("A TIME has HOUR, MINUTE, SECOND and MILLISECOND"));
    }
    let zone = a.env.time_zone;
    let t = K::BigInt.nullable().with_nullable(value.data_type.nullable);
    Ok(Some(
        Resolved::of_argument(index, t, move |array| {
            let values = local_nanos(array, zone)?.into_iter().map(|n| n.map(|n| field(n, unit)));
            Ok(Arc::new(values.collect::<Int64Array>()))
        })
        .infallible(),
    ))
}

/// A field of an interval, with its sign: -50 hours have -2 days and -2 hours.
fn extract_from_interval(t: &LogicalType, index: usize, unit: Unit) -> Option<Resolved> {
    let of_months: Option<fn(i64) -> i64> = match unit {
        Unit::Millennium => Some(|m| m / 12_000),
        Unit::Century => Some(|m| m / 1_200),
        Unit::Year => Some(|m| m / 12),
        Unit::Quarter => Some(|m| (m % 12 - 1) / 3 + 1),
        Unit::Month => Some(|m| m % 12),
        _ => None,
    };
    let of_millis: Option<fn(i64) -> i64> = match unit {
        Unit::Day => Some(|ms| ms / DAY_MS),
        Unit::Hour => Some(|ms| ms % DAY_MS / 3_600_000),
        Unit::Minute => Some(|ms| ms % 3_600_000 / 60_000),
        Unit::Second => Some(|ms| ms % 60_000 / 1_000),
        Unit::Millisecond => Some(|ms| ms % 1_000),
        _ => None,
    };
    let months = matches!(t.kind, K::IntervalYearMonth(..));
    let read = if months { of_months } else { of_millis }?;
    let resolved = Resolved::of_argument(index, K::BigInt.nullable().with_nullable(t.nullable), move |array| {
        Ok(Arc::new(if months {
            array.as_primitive::<IntervalYearMonthType>().unary::<_, Int64Type>(|m| read(i64::from(m)))
        } else {
            array.as_primitive::<DurationMillisecondType>().unary::<_, Int64Type>(read)
        }))
    });
    Some(resolved.infallible())
}

fn field(nanos: i128, unit: Unit) -> i64 {
    let (days, of_day) = (nanos.div_euclid(DAY_NS) as i64, nanos.rem_euclid(DAY_NS) as i64);
    let (y, m, d) = civil_from_days(days);
    let seconds = of_day / 1_000_000_000;
    match unit {
        Unit::Millennium => (y - 1).div_euclid(1_000) + 1,
        Unit::Century => (y - 1).div_euclid(100) + 1,
        Unit::Decade => y.div_euclid(10),
        Unit::Year => y,
        Unit::Quarter => i64::from((m - 1) / 3 + 1),
        Unit::Month => i64::from(m),
        Unit::Week => iso_week(days),
        Unit::Day => i64::from(d),
        // 1970-01-01 was a Thursday; Sunday is 1.
        Unit::DayOfWeek => (days + 4).rem_euclid(7) + 1,
        Unit::DayOfYear => days - days_from_civil(y, 1, 1) + 1,
        Unit::Hour => seconds / 3_600,
        Unit::Minute => seconds / 60 % 60,
        Unit::Second => seconds % 60,
        // Of the second.
        Unit::Millisecond => of_day / 1_000_000 % 1_000,
        Unit::Microsecond => of_day / 1_000 % 1_000_000,
        Unit::Nanosecond => of_day % 1_000_000_000,
        Unit::IsoDayOfWeek => (days + 3).rem_euclid(7) + 1,
        Unit::IsoYear => civil_from_days(thursday_of(days)).0,
        Unit::Epoch => nanos.div_euclid(1_000_000_000) as i64,
    }
}

/// The Thursday of a day's week, which starts on Monday.
fn thursday_of(days: i64) -> i64 {
    days - (days + 3).rem_euclid(7) + 3
}

fn iso_week(days: i64) -> i64 {
    // The week of a day is that of its Thursday.
    let thursday = thursday_of(days);
    let (y, _, _) = civil_from_days(thursday);
    (thursday - days_from_civil(y, 1, 1)) / 7 + 1
}

impl Unit {
    /// Whether it is a part of the time of day.
    fn is_of_day(self) -> bool {
        use Unit::{Hour, Microsecond, Millisecond, Minute, Nanosecond, Second};
        matches!(self, Hour | Minute | Second | Millisecond | Microsecond | Nanosecond)
    }

    /// Milliseconds, for units of a fixed length.
    pub(super) fn millis(self) -> Option<i64> {
        Some(match self {
            Unit::Week => 7 * DAY_MS,
            Unit::Day => DAY_MS,
            Unit::Hour => 3_600_000,
            Unit::Minute => 60_000,
            Unit::Second => 1_000,
            Unit::Millisecond => 1,
            _ => return None,
        })
    }

    /// Months, for units of years.
    pub(super) fn months(self) -> Option<i32> {
        Some(match self {
            Unit::Millennium => 12_000,
            Unit::Century => 1_200,
            Unit::Decade => 120,
            Unit::Year => 12,
            Unit::Quarter => 3,
            Unit::Month => 1,
            _ => return None,
        })
    }
}

/// The name of a unit that SQL writes as a word, `SQL_TSI_` of old included.
pub(super) fn written_unit(a: &Arguments, index: usize) -> Result<Unit> {
    match a.values[index].text().and_then(|t| t.strip_prefix("SQL_TSI_")) {
        Some(name) => unit(name).ok_or_else(|| Error::user(format!("'{name}' is not a unit of time"))),
        None => unit_of(a, index),
    }
}

/// `(time - time) DAY TO SECOND` and `(time - time) YEAR TO MONTH`: the interval between two times of one kind, in
/// milliseconds or whole months.
///
/// # Errors
///
/// Where the times are of different kinds, or months between times of day are asked for.
pub fn interval_between(end: TypedExpr, start: TypedExpr, months: bool, env: &FunctionEnv) -> Result<TypedExpr> {
    let kinds = [&end.data_type.kind, &start.data_type.kind];
    let known = kinds.iter().find(|k| ***k != K::Null).map_or(K::timestamp(3), |k| (*k).clone());
    let family = |k: &K| match k {
        K::Date => Some(0),
        K::Time(_) if !months => Some(1),
        K::Timestamp(..) => Some(2),
        K::TimestampLtz(..) => Some(3),
        _ => None,
    };
    if family(&known).is_none() || kinds.iter().any(|k| **k != K::Null && family(k) != family(&known)) {
        return Err(Error::user(format!(
            "Cannot apply '-' to arguments of type {} and {} for an INTERVAL",
            end.data_type, start.data_type
        ))
        .hint("Cast both to DATE, TIME or TIMESTAMP; months lie between dates and timestamps only"));
    }
    let of_known = |value: TypedExpr| match value.data_type.kind {
        K::Null => crate::cast::cast_if_needed(value, &known.clone().nullable(), env),
        _ => Ok(value),
    };
    let (end, start) = (of_known(end)?, of_known(start)?);
    let kind = match months {
        true => K::IntervalYearMonth(YearMonthResolution::YearToMonth, 2),
        false => K::IntervalDayTime(DayTimeResolution::DayToSecond, 2, 3),
    };
    let nullable = end.data_type.nullable || start.data_type.nullable;
    let t = crate::types::interval_in_query(kind).nullable().with_nullable(nullable);
    let zone = env.time_zone;
    let resolved = Resolved::arrays(t, move |args, _| {
        let millis = |array: &ArrayRef| -> Result<Vec<Option<i64>>> {
            let nanos = local_nanos(array, zone)?;
            Ok(nanos.into_iter().map(|n| n.and_then(|n| i64::try_from(n.div_euclid(1_000_000)).ok())).collect())
        };
        let pairs = millis(&args[0])?.into_iter().zip(millis(&args[1])?);
        Ok(match months {
            true => {
                let between = pairs.map(|(end, start)| Some(months_between(start?, end?) as i32));
                Arc::new(between.collect::<PrimitiveArray<IntervalYearMonthType>>()) as ArrayRef
            }
            false => {
                let between = pairs.map(|(end, start)| Some(end?.wrapping_sub(start?)));
                Arc::new(between.collect::<PrimitiveArray<DurationMillisecondType>>())
            }
        })
    });
    // Two names: the arguments do not say which of the two it is.
    let name = if months { "MINUS_MONTHS" } else { "MINUS_MILLIS" };
    Ok(call_resolved(name, vec![end, start], resolved.infallible()))
}

/// Whole months from one time to another, in milliseconds, as Flink counts them: those between their days, and one less
/// where these are whole months apart and the time of day is not reached, whichever way it goes.
pub(super) fn months_between(from: i64, to: i64) -> i64 {
    let (first, last) = (from.div_euclid(DAY_MS), to.div_euclid(DAY_MS));
    let months = if last < first { -months_of_days(last, first) } else { months_of_days(first, last) };
    let is_short = to.rem_euclid(DAY_MS) < from.rem_euclid(DAY_MS) && shift_months(first, months) == last;
    months - i64::from(is_short)
}

/// Whole months from one day to a later one.
fn months_of_days(from: i64, to: i64) -> i64 {
    let ((y1, m1, _), (y2, m2, _)) = (civil_from_days(from), civil_from_days(to));
    let months = (y2 - y1) * 12 + i64::from(m2) - i64::from(m1);
    if shift_months(from, months) > to { months - 1 } else { months }
}

/// `FLOOR(time TO unit)` and `CEIL(time TO unit)`, with what Flink's do: CEIL to units longer than a day looks at days only.
pub(in crate::scalar) fn round_to_unit(a: &mut Arguments, up: bool) -> Result<Option<Resolved>> {
    let unit = written_unit(a, 1)?;
    let t = a.values[0].data_type.clone();
    let fits = match &t.kind {
        // Units that are no spans of time leave a date as it is.
        K::Date => true,
        K::Time(_) => matches!(unit, Unit::Hour | Unit::Minute | Unit::Second | Unit::Millisecond),
        k => k.is_timestamp() && (unit.months().is_some() || unit.millis().is_some()),
    };
    if !fits {
        return Ok(None);
    }
    let zone = a.env.time_zone;
    let result = t.with_time_attribute(Default::default());
    let may_be_too_far = matches!(t.kind, K::Timestamp(7.., _) | K::TimestampLtz(7.., _));
    let resolved = Resolved::of_argument(0, result, move |array| {
        macro_rules! timestamps {
            ($t:ty, $per_ms:expr) => {{
                let per_ms: i64 = $per_ms;
                let zoned = matches!(array.data_type(), DataType::Timestamp(_, Some(_)));
                let round = |v: i64| -> Result<i64> {
                    let shift = |ms: i64| {
                        if zoned {
                            (text::utc_to_local(zone, ms.div_euclid(1_000)) - ms.div_euclid(1_000)) * 1_000
                        } else {
                            0
                        }
                    };
                    let ms = v.div_euclid(per_ms);
                    let offset = shift(ms);
                    let part = i64::from(up && v.rem_euclid(per_ms) > 0 && unit.millis().is_some_and(|m| m <= DAY_MS));
                    let rounded = round_millis(ms.wrapping_add(offset + part), unit, up).wrapping_sub(offset);
                    rounded
                        .checked_mul(per_ms)
                        .ok_or_else(|| too_far(i128::from(rounded) * 1_000_000, array.data_type()))
                };
                let values = array.as_primitive::<$t>().try_unary::<_, $t, _>(round)?;
                Arc::new(values.with_data_type(array.data_type().clone())) as ArrayRef
            }};
        }
        // Times of day with more digits than milliseconds have.
        let of_day = |per_ms: i64| {
            move |v: i64| {
                let part = i64::from(up && v.rem_euclid(per_ms) > 0);
                round_millis(v.div_euclid(per_ms) + part, unit, up).rem_euclid(DAY_MS) * per_ms
            }
        };
        Ok(match array.data_type() {
            DataType::Timestamp(TimeUnit::Millisecond, _) => timestamps!(TimestampMillisecondType, 1),
            DataType::Timestamp(TimeUnit::Microsecond, _) => timestamps!(TimestampMicrosecondType, 1_000),
            DataType::Timestamp(TimeUnit::Nanosecond, _) => timestamps!(TimestampNanosecondType, 1_000_000),
            DataType::Date32 => {
                // Flink's CEIL of a date to days is the next day, though the date is a whole day already.
                let next = i64::from(up && unit == Unit::Day);
                let round = |d: i32| (round_day(i64::from(d), unit, up) + next) as i32;
                Arc::new(array.as_primitive::<Date32Type>().unary::<_, Date32Type>(round))
            }
            DataType::Time32(TimeUnit::Millisecond) => {
                let round = |v: i32| round_millis(i64::from(v), unit, up).rem_euclid(DAY_MS) as i32;
                Arc::new(array.as_primitive::<Time32MillisecondType>().unary::<_, Time32MillisecondType>(round))
            }
            DataType::Time64(TimeUnit::Microsecond) => {
                Arc::new(array.as_primitive::<Time64MicrosecondType>().unary::<_, Time64MicrosecondType>(of_day(1_000)))
            }
            DataType::Time64(TimeUnit::Nanosecond) => {
                let round = of_day(1_000_000);
                Arc::new(array.as_primitive::<Time64NanosecondType>().unary::<_, Time64NanosecondType>(round))
            }
            other => return Err(Error::user(format!("FLOOR and CEIL to a unit are not supported for {other}"))),
        })
    });
    Ok(Some(if may_be_too_far { resolved } else { resolved.infallible() }))
}

fn round_millis(ms: i64, unit: Unit, up: bool) -> i64 {
    match unit.millis() {
        Some(size) if unit != Unit::Week => {
            let rest = ms.rem_euclid(size);
            if up && rest > 0 { ms.wrapping_add(size - rest) } else { ms.wrapping_sub(rest) }
        }
        _ => round_day(ms.div_euclid(DAY_MS), unit, up).wrapping_mul(DAY_MS),
    }
}

fn round_day(day: i64, unit: Unit, up: bool) -> i64 {
    let (y, m, d) = civil_from_days(day);
    let first = |year: i64, month: i64| {
        let month = month - 1;
        days_from_civil(year + month.div_euclid(12), month.rem_euclid(12) as u32 + 1, 1)
    };
    let m = i64::from(m);
    let years = |n: i64| {
        let start = (y - 1).div_euclid(n) * n + 1;
        first(if up { start + n } else { start }, 1)
    };
    match unit {
        Unit::Millennium => years(1_000),
        Unit::Century => years(100),
        Unit::Decade => first((y.div_euclid(10) + i64::from(up)) * 10, 1),
        Unit::Year => first(y + i64::from(up && (m > 1 || d > 1)), 1),
        // Flink's CEIL goes to the next quarter even from a quarter's first day, except in January.
        Unit::Quarter => first(y, ((m + 2) / 3 + i64::from(up && (m > 1 || d > 1))) * 3 - 2),
        Unit::Month => first(y, m + i64::from(up && d > 1)),
        Unit::Week => {
            // Weeks start on Sunday.
            let since_sunday = (day + 4).rem_euclid(7);
            if up && since_sunday > 0 { day - since_sunday + 7 } else { day - since_sunday }
        }
        _ => day,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check;

    #[test]
    fn values() {
        const T: (&str, &str) = ("2018-03-20 06:44:31.123", "TIMESTAMP(3)");
        check(&[
            ("FLOOR", &[T, ("YEAR", "STRING")], "2018-01-01 00:00:00.000"),
            ("FLOOR", &[T, ("QUARTER", "STRING")], "2018-01-01 00:00:00.000"),
            ("FLOOR", &[T, ("MONTH", "STRING")], "2018-03-01 00:00:00.000"),
            ("FLOOR", &[T, ("WEEK", "STRING")], "2018-03-18 00:00:00.000"),
            ("FLOOR", &[T, ("DAY", "STRING")], "2018-03-20 00:00:00.000"),
            ("FLOOR", &[T, ("HOUR", "STRING")], "2018-03-20 06:00:00.000"),
            ("FLOOR", &[T, ("MINUTE", "STRING")], "2018-03-20 06:44:00.000"),
            ("FLOOR", &[T, ("SECOND", "STRING")], "2018-03-20 06:44:31.000"),
            ("FLOOR", &[T, ("DECADE", "STRING")], "2010-01-01 00:00:00.000"),
            ("FLOOR", &[T, ("CENTURY", "STRING")], "2001-01-01 00:00:00.000"),
            ("CEIL", &[T, ("YEAR", "STRING")], "2019-01-01 00:00:00.000"),
            ("CEIL", &[T, ("MONTH", "STRING")], "2018-04-01 00:00:00.000"),
            ("CEIL", &[T, ("WEEK", "STRING")], "2018-03-25 00:00:00.000"),
            ("CEIL", &[T, ("HOUR", "STRING")], "2018-03-20 07:00:00.000"),
            ("CEIL", &[T, ("SECOND", "STRING")], "2018-03-20 06:44:32.000"),
            ("CEIL", &[("2018-01-01", "DATE"), ("YEAR", "STRING")], "2018-01-01"),
            ("CEIL", &[("2018-01-01", "DATE"), ("DAY", "STRING")], "2018-01-02"),
            ("CEIL", &[("2018-01-01", "DATE"), ("HOUR", "STRING")], "2018-01-01"),
            ("FLOOR", &[("2018-01-01", "DATE"), ("DAY", "STRING")], "2018-01-01"),
            ("FLOOR", &[("2018-01-01", "DATE"), ("MILLISECOND", "STRING")], "2018-01-01"),
            ("FLOOR", &[("2018-03-20", "DATE"), ("MONTH", "STRING")], "2018-03-01"),
            ("FLOOR", &[("2018-03-20", "DATE"), ("DOW", "STRING")], "2018-03-20"),
            ("CEIL", &[("2018-03-20", "DATE"), ("ISOYEAR", "STRING")], "2018-03-20"),
            ("FLOOR", &[("12:44:31", "TIME(0)"), ("MINUTE", "STRING")], "12:44:00"),
            ("CEIL", &[("12:44:31", "TIME(0)"), ("MINUTE", "STRING")], "12:45:00"),
            ("FLOOR", &[("12:44:31.123", "TIME(9)"), ("MINUTE", "STRING")], "12:44:00.0"),
            ("CEIL", &[("12:44:31.123", "TIME(6)"), ("SECOND", "STRING")], "12:44:32.0"),
            ("CEIL", &[("23:59:59.5", "TIME(9)"), ("HOUR", "STRING")], "00:00:00.0"),
            ("FLOOR", &[("1969-12-31 23:00:00", "TIMESTAMP(0)"), ("DAY", "STRING")], "1969-12-31 00:00:00"),
        ]);
    }

    #[test]
    fn fields_of_a_time() {
        let n = text::parse_timestamp("2021-01-03 23:59:58.123456789").expect("a time");
        for (unit, expected) in [
            (Unit::Year, 2021),
            (Unit::Quarter, 1),
            (Unit::Week, 53),
            (Unit::DayOfWeek, 1),
            (Unit::IsoDayOfWeek, 7),
            (Unit::IsoYear, 2020),
            (Unit::DayOfYear, 3),
            (Unit::Hour, 23),
            (Unit::Second, 58),
            (Unit::Millisecond, 123),
            (Unit::Microsecond, 123_456),
            (Unit::Century, 21),
            (Unit::Decade, 202),
            (Unit::Epoch, 1_609_718_398),
        ] {
            assert_eq!(field(n, unit), expected, "{unit:?}");
        }
        check(&[
            ("EXTRACT", &[("MONTH", "STRING"), ("1996-11-10", "DATE")], "11"),
            ("YEAR", &[("1996-11-10", "DATE")], "1996"),
            ("DAYOFWEEK", &[("1996-11-10", "DATE")], "1"),
            ("HOUR", &[("1996-11-10 06:55:44.333", "TIMESTAMP(3)")], "6"),
            ("MINUTE", &[("NULL", "TIMESTAMP(3)")], "NULL"),
        ]);
    }

    #[test]
    fn fields_of_an_interval() {
        use datafusion_common::ScalarValue;

        let days = ScalarValue::DurationMillisecond(Some(-(50 * 3_600_000 + 90_500)));
        let months = ScalarValue::IntervalYearMonth(Some(19));
        let field = |unit: &str, value: &ScalarValue| {
            let t = if matches!(value, ScalarValue::DurationMillisecond(_)) {
                "INTERVAL SECOND(3)"
            } else {
                "INTERVAL MONTH"
            };
            let value = TypedExpr::literal(value.clone(), crate::testing::logical(t).with_nullable(false));
            crate::testing::call("EXTRACT", vec![crate::testing::text(unit), value])
                .unwrap_or_else(|_| "ERROR".to_string())
        };
        for (unit, expected) in
            [("DAY", "-2"), ("HOUR", "-2"), ("MINUTE", "-1"), ("SECOND", "-30"), ("MILLISECOND", "-500")]
        {
            assert_eq!(field(unit, &days), expected, "{unit}");
            assert_eq!(field(unit, &months), "ERROR", "{unit}");
        }
        for (unit, expected) in [("YEAR", "1"), ("MONTH", "7"), ("QUARTER", "3"), ("CENTURY", "0")] {
            assert_eq!(field(unit, &months), expected, "{unit}");
            assert_eq!(field(unit, &days), "ERROR", "{unit}");
        }
    }
}
