//! Literals with Flink's types: `1` is INT, `'abc'` CHAR(3), `1.50` DECIMAL(3, 2), `1e0` DOUBLE, none is nullable.

use datafusion_common::ScalarValue;
use flott_core::time_text::days_from_civil;
use flott_core::types::{DayTimeResolution, MAX_DECIMAL_PRECISION, TypeKind, YearMonthResolution};
use flott_core::{Error, LogicalType, Result};
use sqlparser::ast::{DataType, DateTimeField, Expr, Interval, TimezoneInfo, TypedString, UnaryOperator, Value};

/// A value and its type.
pub(crate) type LiteralValue = (ScalarValue, LogicalType);

/// A plain literal; `Err` where SQL of other dialects was written.
pub(crate) fn value(v: &Value) -> Result<LiteralValue> {
    Ok(match v {
        Value::Number(text, long) => number(text, *long)?,
        Value::SingleQuotedString(s) | Value::UnicodeStringLiteral(s) => {
            // Its length is Java's, in UTF-16, though functions count characters.
            (ScalarValue::Utf8(Some(s.clone())), TypeKind::Char(s.encode_utf16().count() as u32).not_null())
        }
        Value::HexStringLiteral(s) => {
            let bytes = hex(s)?;
            let t = TypeKind::Binary(bytes.len() as u32).not_null();
            (ScalarValue::Binary(Some(bytes)), t)
        }
        Value::Boolean(b) => (ScalarValue::Boolean(Some(*b)), TypeKind::Boolean.not_null()),
        Value::Null => (ScalarValue::Null, TypeKind::Null.nullable()),
        Value::DoubleQuotedString(s) => {
            return Err(Error::user(format!("\"{s}\" is not a literal"))
                .hint("Texts stand in single quotes, names in backticks"));
        }
        other => {
            return Err(Error::user(format!("not supported yet: the literal {other}")).hint("Write a text as 'text'"));
        }
    })
}

/// A number, with its sign: INT, BIGINT or DECIMAL by its size, DECIMAL with a point, DOUBLE with an exponent.
pub(crate) fn number(text: &str, long: bool) -> Result<LiteralValue> {
    let wrong = || Error::user(format!("'{text}' is not a number"));
    if text.contains(['e', 'E']) {
        let d: f64 = text.parse().map_err(|_| wrong())?;
        if d.is_infinite() {
            return Err(Error::user(format!("Numeric literal '{}' out of range", text.to_uppercase()))
                .hint("A DOUBLE ends at 1.7976931348623157E308; CAST('Infinity' AS DOUBLE) is what lies beyond"));
        }
        // Literals have no zero below zero: adding 0 leaves every other number as it is.
        return Ok((ScalarValue::Float64(Some(d + 0.0)), TypeKind::Double.not_null()));
    }
    let (digits, scale) = match text.split_once('.') {
        Some((_, "")) | None => (text.trim_end_matches('.').to_string(), 0),
        Some((whole, fraction)) => (format!("{whole}{fraction}"), fraction.len()),
    };
    if scale == 0 {
        if !long && let Ok(i) = digits.parse::<i32>() {
            return Ok((ScalarValue::Int32(Some(i)), TypeKind::Int.not_null()));
        }
        if let Ok(i) = digits.parse::<i64>() {
            return Ok((ScalarValue::Int64(Some(i)), TypeKind::BigInt.not_null()));
        }
    }
    let unsigned = digits.trim_start_matches('-');
    let precision = if scale == 0 { unsigned.trim_start_matches('0').len().max(1) } else { unsigned.len() };
    if precision > usize::from(MAX_DECIMAL_PRECISION) {
        return Err(Error::user(format!("Numeric literal '{text}' out of range"))
            .hint("A decimal has at most 38 digits; 1e40 is a DOUBLE"));
    }
    let unscaled: i128 = digits.parse().map_err(|_| wrong())?;
    let (precision, scale) = (precision as u8, scale as u8);
    let t = TypeKind::Decimal { precision, scale }.not_null();
    Ok((ScalarValue::Decimal128(Some(unscaled), precision, scale as i8), t))
}

/// The negated number, of the same type; `None` for what is not a number.
pub(crate) fn negated(v: &ScalarValue) -> Option<ScalarValue> {
    Some(match v {
        ScalarValue::Int32(Some(i)) => ScalarValue::Int32(Some(i.checked_neg()?)),
        ScalarValue::Int64(Some(i)) => ScalarValue::Int64(Some(i.checked_neg()?)),
        ScalarValue::Float64(Some(d)) => ScalarValue::Float64(Some(0.0 - d)),
        ScalarValue::Decimal128(Some(d), p, s) => ScalarValue::Decimal128(Some(d.checked_neg()?), *p, *s),
        ScalarValue::DurationMillisecond(Some(d)) => ScalarValue::DurationMillisecond(Some(d.checked_neg()?)),
        ScalarValue::IntervalYearMonth(Some(m)) => ScalarValue::IntervalYearMonth(Some(m.checked_neg()?)),
        _ => return None,
    })
}

fn hex(s: &str) -> Result<Vec<u8>> {
    let wrong = || Error::user(format!("X'{s}' is not a binary literal")).hint("Two hexadecimal digits make a byte");
    if !s.len().is_multiple_of(2) || !s.is_ascii() {
        return Err(wrong());
    }
    (0..s.len()).step_by(2).map(|i| u8::from_str_radix(&s[i..i + 2], 16).map_err(|_| wrong())).collect()
}

/// `DATE '..'`, `TIME '..'`, `TIMESTAMP '..'`.
pub(crate) fn typed_string(t: &TypedString) -> Result<LiteralValue> {
    let TypedString { data_type, value, uses_odbc_syntax: _ } = t;
    let Value::SingleQuotedString(text) = &value.value else {
        return Err(
            Error::user(format!("Illegal {data_type} literal {value}")).hint("Write the value in single quotes")
        );
    };
    let text = text.trim();
    if let DataType::Timestamp(_, zone) | DataType::Time(_, zone) = data_type
        && *zone != TimezoneInfo::None
    {
        let hint = match data_type {
            DataType::Time(..) => format!("Write TIME '{text}': times of day have no zone"),
            _ => format!(
                "Write TIMESTAMP '{text}', or CAST('{text}' AS TIMESTAMP_LTZ(3)) for a time of the session's zone"
            ),
        };
        return Err(Error::user(format!("There are no literals of type {data_type}")).hint(hint));
    }
    let illegal =
        |expected: &str| Error::user(format!("Illegal {data_type} literal '{text}': not in format '{expected}'"));
    match data_type {
        DataType::Date => {
            let days = date(text).ok_or_else(|| illegal("yyyy-MM-dd"))?;
            Ok((ScalarValue::Date32(Some(days)), TypeKind::Date.not_null()))
        }
        DataType::Time(..) => {
            let (nanos, digits) = time(text).ok_or_else(|| illegal("HH:mm:ss"))?;
            let t = TypeKind::Time(digits);
            let v = match digits {
                0..=3 => ScalarValue::Time32Millisecond(Some((nanos / 1_000_000) as i32)),
                4..=6 => ScalarValue::Time64Microsecond(Some(nanos / 1_000)),
                _ => ScalarValue::Time64Nanosecond(Some(nanos)),
            };
            Ok((v, t.not_null()))
        }
        DataType::Timestamp(..) | DataType::Datetime(..) => {
            let illegal = || illegal("yyyy-MM-dd HH:mm:ss");
            // A date alone is its midnight.
            let (day, clock) = text.split_once(' ').unwrap_or((text, "00:00:00"));
            let days = i64::from(date(day).ok_or_else(illegal)?);
            let (nanos, digits) = time(clock.trim()).ok_or_else(illegal)?;
            let value = match digits {
                0..=3 => ScalarValue::TimestampMillisecond(Some(days * 86_400_000 + nanos / 1_000_000), None),
                4..=6 => ScalarValue::TimestampMicrosecond(Some(days * 86_400_000_000 + nanos / 1_000), None),
                _ => {
                    let total = days.checked_mul(86_400_000_000_000).and_then(|d| d.checked_add(nanos));
                    let total = total.ok_or_else(|| {
                        Error::user(format!("TIMESTAMP literal '{text}' out of range"))
                            .hint("Timestamps with more than 6 digits of fraction reach from 1677-09-21 to 2262-04-11")
                    })?;
                    ScalarValue::TimestampNanosecond(Some(total), None)
                }
            };
            Ok((value, TypeKind::timestamp(digits).not_null()))
        }
        other => Err(Error::user(format!("not supported yet: a literal of type {other}"))
            .hint(format!("Write CAST('{text}' AS {other})"))),
    }
}

/// Days since the epoch of `2020-01-31`.
fn date(text: &str) -> Option<i32> {
    let mut parts = text.split('-');
    let (y, m, d) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || y.len() != 4 || m.is_empty() || m.len() > 2 || d.is_empty() || d.len() > 2 {
        return None;
    }
    let (y, m, d): (i64, u32, u32) = (digits(y)?.into(), digits(m)?, digits(d)?);
    let leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    let last = match m {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    (1..=last).contains(&d).then(|| i32::try_from(days_from_civil(y, m, d)).ok())?
}

/// Nanoseconds of the day and the number of fractional digits of `12:30:00.5`.
fn time(text: &str) -> Option<(i64, u8)> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = clock.split(':');
    let (h, m, s) = (digits(parts.next()?)?, digits(parts.next()?)?, digits(parts.next()?)?);
    if parts.next().is_some() || h > 23 || m > 59 || s > 59 || fraction.len() > 9 {
        return None;
    }
    let nanos = if fraction.is_empty() { 0 } else { digits(fraction)? * 10u32.pow(9 - fraction.len() as u32) };
    let seconds = i64::from(h) * 3_600 + i64::from(m) * 60 + i64::from(s);
    Some((seconds * 1_000_000_000 + i64::from(nanos), fraction.len() as u8))
}

fn digits(text: &str) -> Option<u32> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

/// `INTERVAL n DAY` where `n` is no literal: so many of the unit.
pub(crate) fn is_counted_interval(i: &Interval) -> bool {
    let mut inner = i.value.as_ref();
    while let Expr::UnaryOp { op: UnaryOperator::Minus, expr } = inner {
        inner = expr;
    }
    i.leading_field.is_some() && i.last_field.is_none() && !matches!(inner, Expr::Value(_))
}

/// One of the unit of an interval.
pub(crate) fn one_of(i: &Interval) -> Interval {
    Interval { value: Box::new(Expr::value(Value::SingleQuotedString("1".to_string()))), ..i.clone() }
}

/// `INTERVAL '10' MINUTES`, `INTERVAL '1 02:03:04.5' DAY TO SECOND`, `INTERVAL '1-6' YEAR TO MONTH`.
pub(crate) fn interval(i: &Interval) -> Result<LiteralValue> {
    let Interval { value, leading_field, leading_precision, last_field, fractional_seconds_precision } = i;
    let illegal = || {
        Error::user(format!("Illegal interval literal {i}"))
            .hint("Write INTERVAL '10' MINUTE or INTERVAL '1 02:03:04' DAY TO SECOND")
    };
    let mut negative = false;
    let mut inner = value.as_ref();
    while let Expr::UnaryOp { op: UnaryOperator::Minus, expr } = inner {
        negative = !negative;
        inner = expr;
    }
    let text = match inner {
        Expr::Value(v) => match &v.value {
            Value::SingleQuotedString(s) => s.trim().to_string(),
            // `INTERVAL 5 SECOND`
            Value::Number(n, _) if last_field.is_none() && n.bytes().all(|b| b.is_ascii_digit()) => n.clone(),
            _ => return Err(illegal()),
        },
        _ => return Err(illegal()),
    };
    let text = match text.strip_prefix('-') {
        Some(rest) => {
            negative = !negative;
            rest.to_string()
        }
        None => text.strip_prefix('+').map(str::to_string).unwrap_or(text),
    };
    let first = unit(leading_field.as_ref().ok_or_else(illegal)?).ok_or_else(illegal)?;
    let last = match last_field {
        Some(f) => unit(f).ok_or_else(illegal)?,
        None => first,
    };
    let sign = if negative { -1 } else { 1 };
    let precision = leading_precision.and_then(|p| u8::try_from(p).ok()).unwrap_or(2);
    check_leading_field(&text, negative, first, precision)?;
    let fraction = fractional_seconds_precision.and_then(|p| u8::try_from(p).ok()).unwrap_or(3);
    if first <= Unit::Month && last <= Unit::Month {
        let months = match (first, last) {
            (Unit::Year, Unit::Month) => {
                let (y, m) = text.split_once('-').ok_or_else(illegal)?;
                let (y, m) = (digits(y.trim()).ok_or_else(illegal)?, digits(m.trim()).ok_or_else(illegal)?);
                if m > 11 {
                    return Err(illegal());
                }
                i64::from(y) * 12 + i64::from(m)
            }
            (Unit::Year, Unit::Year) => i64::from(digits(&text).ok_or_else(illegal)?) * 12,
            (Unit::Quarter, Unit::Quarter) => i64::from(digits(&text).ok_or_else(illegal)?) * 3,
            (Unit::Month, Unit::Month) => i64::from(digits(&text).ok_or_else(illegal)?),
            _ => return Err(illegal()),
        };
        let months = i32::try_from(sign * months).map_err(|_| illegal())?;
        let resolution = match (first, last) {
            (Unit::Year, Unit::Year) => YearMonthResolution::Year,
            (Unit::Year, _) => YearMonthResolution::YearToMonth,
            _ => YearMonthResolution::Month,
        };
        let t = TypeKind::IntervalYearMonth(resolution, precision).not_null();
        return Ok((ScalarValue::IntervalYearMonth(Some(months)), t));
    }
    let ms = match (first, last) {
        (Unit::Week, Unit::Week) => digits(&text).map(|n| i64::from(n) * 7 * 86_400_000),
        _ => day_time_ms(&text, first, last),
    };
    let ms = ms.ok_or_else(illegal)?;
    let t = TypeKind::IntervalDayTime(resolution(first, last).ok_or_else(illegal)?, precision, fraction).not_null();
    Ok((ScalarValue::DurationMillisecond(Some(sign * ms)), t))
}

/// The leading field has as many digits as its precision says, which is 2 where it is not given.
fn check_leading_field(text: &str, negative: bool, unit: Unit, precision: u8) -> Result<()> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let field = text[..end].trim_start_matches('0');
    if field.len() <= usize::from(precision) {
        return Ok(());
    }
    let (sign, unit) = (if negative { "-" } else { "" }, format!("{unit:?}").to_uppercase());
    Err(Error::user(format!("Interval field value {sign}{field} exceeds precision of {unit}({precision}) field"))
        .hint(format!("Write {unit}({}), or use a larger unit", field.len())))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Unit {
    Year,
    Quarter,
    Month,
    Week,
    Day,
    Hour,
    Minute,
    Second,
}

fn unit(field: &DateTimeField) -> Option<Unit> {
    Some(match field {
        DateTimeField::Year | DateTimeField::Years => Unit::Year,
        DateTimeField::Quarter => Unit::Quarter,
        DateTimeField::Month | DateTimeField::Months => Unit::Month,
        DateTimeField::Week(None) | DateTimeField::Weeks => Unit::Week,
        DateTimeField::Day | DateTimeField::Days => Unit::Day,
        DateTimeField::Hour | DateTimeField::Hours => Unit::Hour,
        DateTimeField::Minute | DateTimeField::Minutes => Unit::Minute,
        DateTimeField::Second | DateTimeField::Seconds => Unit::Second,
        _ => return None,
    })
}

/// The fields that the literal names, which plans show: in a query each is an interval of seconds.
fn resolution(first: Unit, last: Unit) -> Option<DayTimeResolution> {
    use DayTimeResolution as D;
    use Unit as U;
    Some(match (first, last) {
        (U::Day, U::Day) | (U::Week, U::Week) => D::Day,
        (U::Day, U::Hour) => D::DayToHour,
        (U::Day, U::Minute) => D::DayToMinute,
        (U::Day, U::Second) => D::DayToSecond,
        (U::Hour, U::Hour) => D::Hour,
        (U::Hour, U::Minute) => D::HourToMinute,
        (U::Hour, U::Second) => D::HourToSecond,
        (U::Minute, U::Minute) => D::Minute,
        (U::Minute, U::Second) => D::MinuteToSecond,
        (U::Second, U::Second) => D::Second,
        _ => return None,
    })
}

/// Milliseconds of `1 02:03:04.5` whose fields reach from `first` to `last`.
fn day_time_ms(text: &str, first: Unit, last: Unit) -> Option<i64> {
    if first > last || first < Unit::Day {
        return None;
    }
    let (main, fraction) = match text.split_once('.') {
        Some((main, fraction)) if last == Unit::Second && (1..=9).contains(&fraction.len()) => (main, fraction),
        Some(_) => return None,
        None => (text, ""),
    };
    let fields: Vec<&str> = if first == Unit::Day && last > Unit::Day {
        let (day, rest) = main.split_once(' ')?;
        std::iter::once(day).chain(rest.trim().split(':')).collect()
    } else {
        main.split(':').collect()
    };
    let units = [Unit::Day, Unit::Hour, Unit::Minute, Unit::Second];
    let units: Vec<Unit> = units.into_iter().filter(|u| *u >= first && *u <= last).collect();
    if units.len() != fields.len() {
        return None;
    }
    let mut ms = 0i64;
    for (i, (unit, field)) in units.iter().zip(fields).enumerate() {
        let n = i64::from(digits(field)?);
        let (size, most) = match unit {
            Unit::Day => (86_400_000, i64::MAX),
            Unit::Hour => (3_600_000, 23),
            Unit::Minute => (60_000, 59),
            _ => (1_000, 59),
        };
        // Only the leading field may exceed its clock.
        if i > 0 && n > most {
            return None;
        }
        ms = ms.checked_add(n.checked_mul(size)?)?;
    }
    if !fraction.is_empty() {
        let nanos = i64::from(digits(fraction)?) * 10i64.pow(9 - fraction.len() as u32);
        ms = ms.checked_add(nanos / 1_000_000)?;
    }
    Some(ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_flinks_types() {
        for (text, t) in [
            ("1", "INT NOT NULL"),
            ("2147483648", "BIGINT NOT NULL"),
            ("9223372036854775808", "DECIMAL(19, 0) NOT NULL"),
            ("1.50", "DECIMAL(3, 2) NOT NULL"),
            ("0.05", "DECIMAL(3, 2) NOT NULL"),
            (".5", "DECIMAL(1, 1) NOT NULL"),
            ("1e3", "DOUBLE NOT NULL"),
            ("-2147483648", "INT NOT NULL"),
            ("-2147483649", "BIGINT NOT NULL"),
            ("-9223372036854775808", "BIGINT NOT NULL"),
            ("-0.05", "DECIMAL(3, 2) NOT NULL"),
        ] {
            assert_eq!(number(text, false).expect(text).1.to_string(), t, "{text}");
        }
        assert!(number(&"9".repeat(39), false).is_err());
    }

    #[test]
    fn intervals_in_all_their_fields() {
        assert_eq!(day_time_ms("10", Unit::Minute, Unit::Minute), Some(600_000));
        assert_eq!(day_time_ms("1 02:03:04.5", Unit::Day, Unit::Second), Some(93_784_500));
        assert_eq!(day_time_ms("90", Unit::Second, Unit::Second), Some(90_000));
        assert_eq!(day_time_ms("1:60", Unit::Hour, Unit::Minute), None);
        assert_eq!(day_time_ms("1.5", Unit::Day, Unit::Day), None);
    }

    #[test]
    fn dates_and_times_are_checked() {
        assert_eq!(date("1970-01-02"), Some(1));
        assert_eq!(date("2023-02-29"), None);
        assert_eq!(time("00:00:01.25"), Some((1_250_000_000, 2)));
        assert_eq!(time("24:00:00"), None);
    }
}
