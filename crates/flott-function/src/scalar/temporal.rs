//! Functions of dates and times.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, Int64Array, PrimitiveArray};
use arrow_schema::DataType;
use datafusion_common::ScalarValue;
use datafusion_expr::ColumnarValue;
use flott_core::time_text::{civil_from_days, days_from_civil};
use flott_core::types::{TimeAttribute, TypeKind as K};
use flott_core::{Error, LogicalType, Result};

use super::{Arguments, Category, ScalarFunction};
use crate::cast::to_nanos;
use crate::context;
use crate::text;
use crate::udf::Resolved;

const DAY_NS: i128 = 86_400_000_000_000;

const fn function(
    name: &'static str,
    syntax: &'static str,
    description: &'static str,
    arity: (usize, usize),
    resolve: super::Resolve,
) -> ScalarFunction {
    ScalarFunction { name, syntax, description, category: Category::Temporal, arity, resolve }
}

/// All of them.
pub(super) const FUNCTIONS: &[ScalarFunction] = &[
    function("PROCTIME", "PROCTIME()", "Processing time, as a time attribute.", (0, 0), |_| {
        Ok(Some(now(K::TimestampLtz(3, TimeAttribute::Proctime).not_null(), |ms| ms)))
    }),
    function("CURRENT_TIMESTAMP", "CURRENT_TIMESTAMP", "The time now.", (0, 0), |_| {
        Ok(Some(now(K::timestamp_ltz(3).not_null(), |ms| ms)))
    }),
    function("NOW", "NOW()", "The time now.", (0, 0), |_| Ok(Some(now(K::timestamp_ltz(3).not_null(), |ms| ms)))),
    function("CURRENT_ROW_TIMESTAMP", "CURRENT_ROW_TIMESTAMP()", "The time now.", (0, 0), |_| {
        Ok(Some(now(K::timestamp_ltz(3).not_null(), |ms| ms)))
    }),
    function("LOCALTIMESTAMP", "LOCALTIMESTAMP", "The time now in the session's zone.", (0, 0), |a| {
        let zone = a.env.time_zone;
        Ok(Some(now(K::timestamp(3).not_null(), move |ms| local_ms(zone, ms))))
    }),
    function("CURRENT_DATE", "CURRENT_DATE", "Today in the session's zone.", (0, 0), |a| {
        let zone = a.env.time_zone;
        Ok(Some(
            Resolved::new(K::Date.not_null(), move |_, _| {
                let days = local_ms(zone, context::processing_time_ms()).div_euclid(86_400_000);
                Ok(ColumnarValue::Scalar(ScalarValue::Date32(i32::try_from(days).ok())))
            })
            .volatile(),
        ))
    }),
    function("CURRENT_TIME", "CURRENT_TIME", "The time of day in the session's zone.", (0, 0), local_time),
    function("LOCALTIME", "LOCALTIME", "The time of day in the session's zone.", (0, 0), local_time),
    function("UNIX_TIMESTAMP", "UNIX_TIMESTAMP([text[, pattern]])", "Seconds since 1970.", (0, 2), unix_timestamp),
    function(
        "FROM_UNIXTIME",
        "FROM_UNIXTIME(seconds[, pattern])",
        "Seconds since 1970 as text in the session's zone.",
        (1, 2),
        from_unixtime,
    ),
    function(
        "CURRENT_WATERMARK",
        "CURRENT_WATERMARK(rowtime)",
        "Event time of the operator; NULL before the first watermark.",
        (1, 1),
        |a| {
            if a.values[0].data_type.kind.time_attribute() != TimeAttribute::Rowtime {
                return Err(Error::user("CURRENT_WATERMARK() must be called with a rowtime attribute"));
            }
            let t = a.values[0].data_type.with_nullable(true).with_time_attribute(TimeAttribute::None);
            Ok(Some(Resolved::new(t.clone(), move |_, _| watermark(&t)).volatile()))
        },
    ),
    function("TO_TIMESTAMP", "TO_TIMESTAMP(text[, pattern])", "A text as TIMESTAMP(3).", (1, 2), to_timestamp),
    function(
        "TO_TIMESTAMP_LTZ",
        "TO_TIMESTAMP_LTZ(number, precision)",
        "Seconds (0) or milliseconds (3) since 1970 as an instant.",
        (1, 2),
        to_timestamp_ltz,
    ),
    function("TO_DATE", "TO_DATE(text[, pattern])", "A text as DATE.", (1, 2), to_date),
    function(
        "DATE_FORMAT",
        "DATE_FORMAT(timestamp, pattern)",
        "A timestamp as text; patterns are Java's.",
        (2, 2),
        date_format,
    ),
    function("EXTRACT", "EXTRACT(unit FROM time)", "One field of a time.", (2, 2), |a| {
        let unit = unit_of(a, 0)?;
        extract(a, 1, unit)
    }),
    function("YEAR", "YEAR(date)", "The year.", (1, 1), |a| extract(a, 0, Unit::Year)),
    function("QUARTER", "QUARTER(date)", "The quarter.", (1, 1), |a| extract(a, 0, Unit::Quarter)),
    function("MONTH", "MONTH(date)", "The month.", (1, 1), |a| extract(a, 0, Unit::Month)),
    function("WEEK", "WEEK(date)", "The ISO week.", (1, 1), |a| extract(a, 0, Unit::Week)),
    function("DAYOFYEAR", "DAYOFYEAR(date)", "The day of the year.", (1, 1), |a| extract(a, 0, Unit::DayOfYear)),
    function("DAYOFMONTH", "DAYOFMONTH(date)", "The day of the month.", (1, 1), |a| extract(a, 0, Unit::Day)),
    function("DAYOFWEEK", "DAYOFWEEK(date)", "The day of the week, Sunday is 1.", (1, 1), |a| {
        extract(a, 0, Unit::DayOfWeek)
    }),
    function("HOUR", "HOUR(timestamp)", "The hour.", (1, 1), |a| extract(a, 0, Unit::Hour)),
    function("MINUTE", "MINUTE(timestamp)", "The minute.", (1, 1), |a| extract(a, 0, Unit::Minute)),
    function("SECOND", "SECOND(timestamp)", "The second.", (1, 1), |a| extract(a, 0, Unit::Second)),
];

fn local_ms(zone: chrono_tz::Tz, ms: i64) -> i64 {
    text::utc_to_local(zone, ms.div_euclid(1_000)) * 1_000 + ms.rem_euclid(1_000)
}

/// The operator's processing time, as a timestamp in ms.
fn now(t: LogicalType, shift: impl Fn(i64) -> i64 + Send + Sync + 'static) -> Resolved {
    let zone: Option<Arc<str>> = matches!(t.kind, K::TimestampLtz(..)).then(|| "UTC".into());
    Resolved::new(t, move |_, _| {
        let ms = shift(context::processing_time_ms());
        Ok(ColumnarValue::Scalar(ScalarValue::TimestampMillisecond(Some(ms), zone.clone())))
    })
    .volatile()
}

fn local_time(a: &mut Arguments) -> Result<Option<Resolved>> {
    let zone = a.env.time_zone;
    Ok(Some(
        Resolved::new(K::Time(0).not_null(), move |_, _| {
            let s = local_ms(zone, context::processing_time_ms()).rem_euclid(86_400_000) / 1_000 * 1_000;
            Ok(ColumnarValue::Scalar(ScalarValue::Time32Millisecond(i32::try_from(s).ok())))
        })
        .volatile(),
    ))
}

fn watermark(t: &LogicalType) -> Result<ColumnarValue> {
    let ms = context::watermark_ms();
    let array: ArrayRef = Arc::new(PrimitiveArray::<TimestampMillisecondType>::from_iter([ms]));
    let target = flott_core::types::arrow_type(t);
    let cast = arrow_cast::cast(&array, &target)?;
    Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&cast, 0).map_err(crate::udf::from_datafusion)?))
}

/// A field of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
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
}

fn unit(name: &str) -> Option<Unit> {
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
        _ => return None,
    })
}

fn unit_of(a: &Arguments, index: usize) -> Result<Unit> {
    let name = a.values[index].text().unwrap_or("").to_ascii_uppercase();
    unit(&name).ok_or_else(|| {
        Error::user(format!("'{name}' is not a unit of time"))
            .hint("Use YEAR, QUARTER, MONTH, WEEK, DAY, HOUR, MINUTE or SECOND")
    })
}

/// Nanoseconds in local time: an instant is shown in the session's zone.
fn local_nanos(array: &ArrayRef, zone: chrono_tz::Tz) -> Result<Vec<Option<i128>>> {
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

fn extract(a: &mut Arguments, index: usize, unit: Unit) -> Result<Option<Resolved>> {
    let value = a.values[index].clone();
    if !value.data_type.kind.is_datetime() {
        return Ok(None);
    }
    let zone = a.env.time_zone;
    let t = K::BigInt.nullable().with_nullable(value.data_type.nullable);
    a.values = vec![value];
    Ok(Some(Resolved::arrays(t, move |args, _| {
        let values = local_nanos(&args[0], zone)?.into_iter().map(|n| n.map(|n| field(n, unit)));
        Ok(Arc::new(values.collect::<Int64Array>()))
    })))
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
        Unit::Millisecond => of_day / 1_000_000 % 60_000,
        Unit::Microsecond => of_day / 1_000 % 60_000_000,
        Unit::Nanosecond => of_day % 60_000_000_000,
        Unit::Epoch => nanos.div_euclid(1_000_000_000) as i64,
    }
}

fn iso_week(days: i64) -> i64 {
    // The week of a day is that of its Thursday.
    let thursday = days - (days + 3).rem_euclid(7) + 3;
    let (y, _, _) = civil_from_days(thursday);
    (thursday - days_from_civil(y, 1, 1)) / 7 + 1
}

// --- patterns ---

/// A piece of a Java date pattern.
#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Field(char, usize),
    Literal(String),
}

fn pieces(pattern: &str) -> Result<Vec<Piece>> {
    let mut out = vec![];
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\'' {
            let mut literal = String::new();
            loop {
                match chars.next() {
                    Some('\'') if chars.peek() == Some(&'\'') => {
                        chars.next();
                        literal.push('\'');
                    }
                    Some('\'') => break,
                    Some(other) => literal.push(other),
                    None => return Err(Error::user(format!("a quote is open in the pattern '{pattern}'"))),
                }
            }
            out.push(Piece::Literal(if literal.is_empty() { "'".into() } else { literal }));
        } else if c.is_ascii_alphabetic() {
            let mut n = 1;
            while chars.next_if_eq(&c).is_some() {
                n += 1;
            }
            if !"yuMdHhmsSaE".contains(c) {
                return Err(Error::user(format!("the letter '{c}' in the pattern '{pattern}' is not supported"))
                    .hint("Use y M d H h m s S a E, and quotes around other text"));
            }
            out.push(Piece::Field(c, n));
        } else {
            out.push(Piece::Literal(c.to_string()));
        }
    }
    Ok(out)
}

fn format_pattern(pieces: &[Piece], nanos: i128) -> String {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
    let (days, of_day) = (nanos.div_euclid(DAY_NS) as i64, nanos.rem_euclid(DAY_NS) as i64);
    let (y, m, d) = civil_from_days(days);
    let s = of_day / 1_000_000_000;
    let mut out = String::new();
    for piece in pieces {
        let (c, n) = match piece {
            Piece::Literal(text) => {
                out.push_str(text);
                continue;
            }
            Piece::Field(c, n) => (*c, *n),
        };
        let number = |v: i64| format!("{v:0n$}");
        out.push_str(&match c {
            'y' | 'u' if n == 2 => format!("{:02}", y.rem_euclid(100)),
            'y' | 'u' => number(y),
            'M' if n >= 4 => MONTHS[m as usize - 1].to_string(),
            'M' if n == 3 => MONTHS[m as usize - 1][..3].to_string(),
            'M' => number(i64::from(m)),
            'd' => number(i64::from(d)),
            'H' => number(s / 3_600),
            'h' => number((s / 3_600 + 11) % 12 + 1),
            'm' => number(s / 60 % 60),
            's' => number(s % 60),
            'S' => format!("{:09}", of_day % 1_000_000_000).chars().chain("0".repeat(n).chars()).take(n).collect(),
            'a' => if s < 43_200 { "AM" } else { "PM" }.to_string(),
            _ => {
                let name = DAYS[(days + 4).rem_euclid(7) as usize];
                if n >= 4 { name.to_string() } else { name[..3].to_string() }
            }
        });
    }
    out
}

fn parse_pattern(pieces: &[Piece], text: &str) -> Option<i128> {
    let (mut y, mut m, mut d, mut h, mut min, mut s, mut f, mut pm) =
        (1970i64, 1u32, 1u32, 0i64, 0i64, 0i64, 0i64, None);
    let mut rest = text;
    for (i, piece) in pieces.iter().enumerate() {
        let (c, n) = match piece {
            Piece::Literal(literal) => {
                rest = rest.strip_prefix(literal.as_str())?;
                continue;
            }
            Piece::Field(c, n) => (*c, *n),
        };
        if c == 'a' {
            let upper = rest.get(..2)?.to_ascii_uppercase();
            pm = Some(match upper.as_str() {
                "AM" => false,
                "PM" => true,
                _ => return None,
            });
            rest = &rest[2..];
            continue;
        }
        // A field beside another one has exactly its width; else it takes the digits that are there.
        let adjacent = matches!(pieces.get(i + 1), Some(Piece::Field(..)));
        let most = if adjacent || c == 'S' { n } else { n.max(if c == 'y' || c == 'u' { 9 } else { 2 }) };
        let digits = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        if digits == 0 || (adjacent && digits < n) {
            return None;
        }
        let (number, after) = rest.split_at(digits);
        rest = after;
        let v: i64 = number.parse().ok()?;
        match c {
            'y' | 'u' if n == 2 => y = 2000 + v,
            'y' | 'u' => y = v,
            'M' => m = u32::try_from(v).ok()?,
            'd' => d = u32::try_from(v).ok()?,
            'H' => h = v,
            'h' => h = v % 12,
            'm' => min = v,
            's' => s = v,
            'S' => f = format!("{number:0<9}").get(..9)?.parse().ok()?,
            _ => return None,
        }
    }
    if pm == Some(true) {
        h += 12;
    }
    if !rest.is_empty() || !text::valid_date(y, m, d) || h > 23 || min > 59 || s > 59 {
        return None;
    }
    let seconds = days_from_civil(y, m, d) * 86_400 + h * 3_600 + min * 60 + s;
    Some(i128::from(seconds) * 1_000_000_000 + i128::from(f))
}

fn constant_pattern(a: &Arguments, index: usize) -> Result<Option<Vec<Piece>>> {
    match a.values.get(index) {
        None => Ok(None),
        Some(v) => match v.text() {
            Some(p) => pieces(p).map(Some),
            None => Err(Error::user("a date pattern must be a constant").hint("Write it as text in single quotes")),
        },
    }
}

fn is_text(a: &Arguments, index: usize) -> bool {
    a.values.get(index).is_none_or(|v| v.data_type.kind.is_character())
}

fn to_timestamp(a: &mut Arguments) -> Result<Option<Resolved>> {
    if !is_text(a, 0) || !is_text(a, 1) {
        return Ok(None);
    }
    let pattern = constant_pattern(a, 1)?;
    a.values.truncate(1);
    Ok(Some(Resolved::arrays(K::timestamp(3).nullable(), move |args, _| {
        let parse = |t: &str| match &pattern {
            Some(p) => parse_pattern(p, t),
            None => text::parse_timestamp(t),
        };
        let values = args[0].as_string::<i32>().iter().map(|t| parse(t?).map(|n| n.div_euclid(1_000_000) as i64));
        Ok(Arc::new(values.collect::<PrimitiveArray<TimestampMillisecondType>>()))
    })))
}

fn to_date(a: &mut Arguments) -> Result<Option<Resolved>> {
    if !is_text(a, 0) || !is_text(a, 1) {
        return Ok(None);
    }
    let pattern = constant_pattern(a, 1)?;
    a.values.truncate(1);
    Ok(Some(Resolved::arrays(K::Date.nullable(), move |args, _| {
        let parse = |t: &str| match &pattern {
            Some(p) => parse_pattern(p, t).map(|n| n.div_euclid(DAY_NS) as i32),
            None => text::parse_date(t),
        };
        let values = args[0].as_string::<i32>().iter().map(|t| parse(t?));
        Ok(Arc::new(values.collect::<PrimitiveArray<Date32Type>>()))
    })))
}

fn to_timestamp_ltz(a: &mut Arguments) -> Result<Option<Resolved>> {
    if a.values[0].data_type.kind.is_character() {
        return Ok(None);
    }
    let precision = match a.values.get(1).map(|p| p.constant().cloned()) {
        None => 3,
        Some(Some(ScalarValue::Int32(Some(p)))) if p == 0 || p == 3 => p,
        Some(_) => {
            return Err(Error::user(
                "the precision of TO_TIMESTAMP_LTZ must be the constant 0 (seconds) or 3 (milliseconds)",
            ));
        }
    };
    if !a.values[0].data_type.kind.is_numeric() {
        return Ok(None);
    }
    a.coerce(0, &K::BigInt.nullable())?;
    a.values.truncate(1);
    let factor = if precision == 0 { 1_000 } else { 1 };
    Ok(Some(Resolved::arrays(K::timestamp_ltz(3).nullable(), move |args, _| {
        let values = args[0].as_primitive::<Int64Type>().iter().map(|v| v.and_then(|v| v.checked_mul(factor)));
        let array: PrimitiveArray<TimestampMillisecondType> = values.collect();
        Ok(Arc::new(array.with_timezone("UTC")))
    })))
}

fn date_format(a: &mut Arguments) -> Result<Option<Resolved>> {
    if a.values[0].data_type.kind.is_character() {
        a.coerce_to_timestamp()?;
    }
    if !a.values[0].data_type.kind.is_timestamp() && a.values[0].data_type.kind != K::Date || !is_text(a, 1) {
        return Ok(None);
    }
    let Some(pattern) = constant_pattern(a, 1)? else { return Ok(None) };
    let zone = a.env.time_zone;
    let t = K::STRING.nullable().with_nullable(a.values[0].data_type.nullable);
    a.values.truncate(1);
    Ok(Some(Resolved::arrays(t, move |args, _| {
        let mut out = StringBuilder::new();
        for n in local_nanos(&args[0], zone)? {
            out.append_option(n.map(|n| format_pattern(&pattern, n)));
        }
        Ok(Arc::new(out.finish()))
    })))
}

impl Arguments<'_> {
    /// A text where a timestamp is wanted.
    fn coerce_to_timestamp(&mut self) -> Result<()> {
        let value = self.values[0].clone();
        self.values[0] = crate::cast::cast(value, &K::timestamp(3).nullable(), true, self.env)?;
        Ok(())
    }
}

const DEFAULT_PATTERN: &str = "yyyy-MM-dd HH:mm:ss";

fn unix_timestamp(a: &mut Arguments) -> Result<Option<Resolved>> {
    if a.values.is_empty() {
        let t = K::BigInt.not_null();
        let seconds = |_: &[ColumnarValue], _| {
            Ok(ColumnarValue::Scalar(ScalarValue::Int64(Some(context::processing_time_ms().div_euclid(1_000)))))
        };
        return Ok(Some(Resolved::new(t, seconds).volatile()));
    }
    if !is_text(a, 0) || !is_text(a, 1) {
        return Ok(None);
    }
    let pattern = match constant_pattern(a, 1)? {
        Some(p) => p,
        None => pieces(DEFAULT_PATTERN)?,
    };
    let zone = a.env.time_zone;
    let t = K::BigInt.nullable().with_nullable(a.values[0].data_type.nullable);
    a.values.truncate(1);
    Ok(Some(Resolved::arrays(t, move |args, _| {
        let seconds = |t: &str| match parse_pattern(&pattern, t) {
            Some(n) => text::local_to_utc(zone, n.div_euclid(1_000_000_000) as i64),
            // What Flink gives for a text that is none.
            None => i64::MIN,
        };
        Ok(Arc::new(args[0].as_string::<i32>().iter().map(|t| t.map(seconds)).collect::<Int64Array>()))
    })))
}

fn from_unixtime(a: &mut Arguments) -> Result<Option<Resolved>> {
    if !a.values[0].data_type.kind.is_numeric() || !is_text(a, 1) {
        return Ok(None);
    }
    let pattern = match constant_pattern(a, 1)? {
        Some(p) => p,
        None => pieces(DEFAULT_PATTERN)?,
    };
    let zone = a.env.time_zone;
    a.coerce(0, &K::BigInt.nullable())?;
    let t = K::STRING.nullable().with_nullable(a.values[0].data_type.nullable);
    a.values.truncate(1);
    Ok(Some(Resolved::arrays(t, move |args, _| {
        let mut out = StringBuilder::new();
        for s in args[0].as_primitive::<Int64Type>() {
            out.append_option(
                s.map(|s| format_pattern(&pattern, i128::from(text::utc_to_local(zone, s)) * 1_000_000_000)),
            );
        }
        Ok(Arc::new(out.finish()))
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_write_and_read() {
        let n = text::parse_timestamp("2024-02-29 15:04:05.678").expect("a time");
        let p = pieces("yyyy-MM-dd'T'HH:mm:ss.SSS").expect("a pattern");
        assert_eq!(format_pattern(&p, n), "2024-02-29T15:04:05.678");
        assert_eq!(parse_pattern(&p, "2024-02-29T15:04:05.678"), Some(n));
        let p = pieces("yyyyMMddHHmmss").expect("a pattern");
        assert_eq!(
            parse_pattern(&p, "20240229150405").map(|n| text::format_timestamp(n, 0)).as_deref(),
            Some("2024-02-29 15:04:05")
        );
        assert_eq!(parse_pattern(&p, "20240230150405"), None);
        assert_eq!(format_pattern(&pieces("h:mm a, EEE d MMM yy").expect("a pattern"), n), "3:04 PM, Thu 29 Feb 24");
        assert!(pieces("yyyy-QQ").is_err());
    }

    #[test]
    fn fields_of_a_time() {
        let n = text::parse_timestamp("2021-01-03 23:59:58").expect("a time");
        for (unit, expected) in [
            (Unit::Year, 2021),
            (Unit::Quarter, 1),
            (Unit::Week, 53),
            (Unit::DayOfWeek, 1),
            (Unit::DayOfYear, 3),
            (Unit::Hour, 23),
            (Unit::Second, 58),
            (Unit::Century, 21),
        ] {
            assert_eq!(field(n, unit), expected, "{unit:?}");
        }
    }
}
