//! TO_TIMESTAMP_LTZ: seconds (0), milliseconds (3), microseconds (6) or nanoseconds (9) since 1970, or a text in a zone
//! (UTC), as an instant.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, PrimitiveArray};
use arrow_schema::{DataType, TimeUnit};
use datafusion_common::ScalarValue;
use flott_core::types::TypeKind as K;
use flott_core::{Error, Result, SessionZone};

use super::date_pattern::{DEFAULT_PATTERN, Pattern, parse_sql};
use super::{PatternArgument, is_text};
use crate::argument::{Text, finish, rows_of};
use crate::cast::too_far;
use crate::context::FunctionEnv;
use crate::example::Example;
use crate::scalar::shape::fit;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::text;
use crate::udf::Resolved;

pub(super) const TO_TIMESTAMP_LTZ: ScalarFunction = ScalarFunction {
    name: "TO_TIMESTAMP_LTZ",
    syntax: "TO_TIMESTAMP_LTZ(number[, precision]), TO_TIMESTAMP_LTZ(text[, pattern[, zone]])",
    description: "Seconds (0), milliseconds (3), microseconds (6) or nanoseconds (9) since 1970, or a text in a zone (UTC), as an instant.",
    documentation: "Milliseconds where no precision is given; the result has the precision 3, or more where the \
         precision or the pattern's fraction says so. Patterns are those of Java's DateTimeFormatter, the zone is \
         UTC where none is given. What is no instant of the years 0 to 9999, a text that does not fit and NULL \
         give NULL.",
    examples: &[
        Example { sql: "TO_TIMESTAMP_LTZ(100, 0)", result: "1970-01-01 00:01:40.000" },
        Example { sql: "TO_TIMESTAMP_LTZ(1234)", result: "1970-01-01 00:00:01.234" },
        Example {
            sql: "TO_TIMESTAMP_LTZ('2023-01-01 00:00', 'yyyy-MM-dd HH:mm', 'Asia/Shanghai')",
            result: "2022-12-31 16:00:00.000",
        },
        Example { sql: "TO_TIMESTAMP_LTZ(253402300800, 0)", result: "<NULL>" },
    ],
    category: Category::Temporal,
    arity: (1, 3),
    resolve: to_timestamp_ltz,
};

/// The instants that Flink's TO_TIMESTAMP_LTZ gives: years 0 to 9999.
const INSTANTS_MS: std::ops::RangeInclusive<i64> = -62_167_219_200_000..=253_402_300_799_999;

fn to_timestamp_ltz(a: &mut Arguments) -> Result<Option<Resolved>> {
    let beside_text = a.values.get(1).is_some_and(|v| v.data_type.kind.is_character());
    match &a.values[0].data_type.kind {
        kind if kind.is_character() => return text_to_instant(a),
        K::Null if beside_text => return text_to_instant(a),
        _ => {}
    }
    if a.values.len() == 3 || !(a.values[0].data_type.kind.is_numeric() || a.values[0].data_type.kind == K::Null) {
        return Ok(None);
    }
    let wrong = |what: String| {
        Error::user(what).hint("0 for seconds, 3 for milliseconds, 6 for microseconds, 9 for nanoseconds")
    };
    let constant = a.values.get(1).and_then(|p| p.constant().cloned());
    let written = match constant {
        Some(ScalarValue::Int32(Some(p))) if !(0..=9).contains(&p) => {
            return Err(wrong(format!("Precision for TO_TIMESTAMP_LTZ must be between 0 and 9 but was {p}.")));
        }
        Some(ScalarValue::Int32(Some(p))) => Some(p.unsigned_abs()),
        Some(value) if !value.is_null() => {
            return Err(wrong("the precision of TO_TIMESTAMP_LTZ must be an INT".into()));
        }
        _ => None,
    };
    if let Some(kind) = a.values.get(1).map(|p| &p.data_type)
        && !matches!(kind.kind, K::Int | K::Null)
    {
        return Err(wrong(format!("the precision of TO_TIMESTAMP_LTZ must be an INT, it is {kind}")));
    }
    let precision_is_known = a.values.len() == 1 || written.is_some();
    let kind = a.values[0].data_type.kind.clone();
    match &kind {
        K::Float | K::Double => a.coerce(0, &K::Double.nullable())?,
        K::Decimal { .. } => {}
        _ => a.coerce(0, &K::BigInt.nullable())?,
    }
    if a.values.len() == 2 {
        a.coerce(1, &K::Int.nullable())?;
    }
    let t = K::timestamp_ltz(written.unwrap_or(3).max(3) as u8).nullable();
    let target = flott_core::types::arrow_type(&t);
    let resolved = Resolved::arrays(t, move |args, _| {
        let precisions = args.get(1).map(|p| p.as_primitive::<Int32Type>());
        let precision = |row: usize| match precisions {
            None => Some(3),
            Some(p) => p.is_valid(row).then(|| p.value(row)),
        };
        let rows = 0..args[0].len();
        let whole = |values: &mut dyn FnMut(usize) -> Option<i64>| -> Result<Vec<Option<i128>>> {
            let nanos = |row| match values(row).zip(precision(row)) {
                Some((value, precision)) => epoch_nanos(value, precision),
                None => Ok(None),
            };
            rows.clone().map(nanos).collect()
        };
        let nanos = match &kind {
            K::Float | K::Double => {
                let values = args[0].as_primitive::<Float64Type>();
                let value = |row: usize| values.is_valid(row).then(|| values.value(row));
                rows.map(|row| value(row).zip(precision(row)).and_then(|(v, p)| float_nanos(v, p))).collect()
            }
            K::Decimal { scale, .. } => {
                let (values, one) = (args[0].as_primitive::<Decimal128Type>(), 10i128.pow(u32::from(*scale)));
                whole(&mut |row| values.is_valid(row).then(|| (values.value(row) / one) as i64))?
            }
            _ => {
                let values = args[0].as_primitive::<Int64Type>();
                whole(&mut |row| values.is_valid(row).then(|| values.value(row)))?
            }
        };
        instants(&target, nanos)
    });
    let never_fails = precision_is_known && written.is_none_or(|p| p <= 6);
    Ok(Some(if never_fails { resolved.infallible() } else { resolved }))
}

/// Whether seconds lie in the years 0 to 9999.
fn in_range(seconds: f64) -> bool {
    !(seconds < *INSTANTS_MS.start() as f64 / 1e3 || seconds > (*INSTANTS_MS.end() / 1_000) as f64)
}

/// Nanoseconds of so many parts of a second, of which there are ten to the `precision`.
fn epoch_nanos(value: i64, precision: i32) -> Result<Option<i128>> {
    if precision < 0 {
        return Err(Error::user(format!(
            "Precision for TO_TIMESTAMP_LTZ must be between 0 and 9 but was {precision}."
        )));
    }
    let factor = 10f64.powi(precision) as i64;
    let (seconds, rest) = (value.div_euclid(factor), value.rem_euclid(factor));
    let part = 10i128.checked_pow(u32::try_from(9 - precision).unwrap_or(u32::MAX)).unwrap_or(0);
    let nanos = i128::from(seconds) * 1_000_000_000 + i128::from(rest) * part;
    Ok((INSTANTS_MS.start() / 1_000..=INSTANTS_MS.end() / 1_000).contains(&seconds).then_some(nanos))
}

/// The same of a floating-point number. Java's nanoseconds end in the year 2262.
fn float_nanos(value: f64, precision: i32) -> Option<i128> {
    let per_second = 10f64.powi(precision);
    in_range(value / per_second).then(|| i128::from((value * 10f64.powi(9 - precision)) as i64))
}

/// Nanoseconds as instants; NULL outside the years 0 to 9999.
fn instants(target: &DataType, nanos: Vec<Option<i128>>) -> Result<ArrayRef> {
    let kept = nanos.into_iter().map(|n| n.filter(|n| INSTANTS_MS.contains(&(n.div_euclid(1_000_000) as i64))));
    let narrow = |n: Option<i128>, per: i128| -> Result<Option<i64>> {
        n.map(|n| i64::try_from(n.div_euclid(per)).map_err(|_| too_far(n, target))).transpose()
    };
    macro_rules! column {
        ($t:ty, $per:expr) => {{
            let values = kept.map(|n| narrow(n, $per)).collect::<Result<Vec<_>>>()?;
            Ok(Arc::new(PrimitiveArray::<$t>::from_iter(values).with_timezone("UTC")))
        }};
    }
    match target {
        DataType::Timestamp(TimeUnit::Millisecond, _) => column!(TimestampMillisecondType, 1_000_000),
        DataType::Timestamp(TimeUnit::Microsecond, _) => column!(TimestampMicrosecondType, 1_000),
        _ => column!(TimestampNanosecondType, 1),
    }
}

/// How many digits of a second there are where a pattern ends with them, at least the three of a millisecond.
fn fraction_digits(pattern: &str) -> u8 {
    (pattern.len() - pattern.trim_end_matches('S').len()).clamp(3, 9) as u8
}

/// A zone as Java's `ZoneId.of` has it: also `Z`, `+8`, `+08:30` and `UTC+8`. There is no instant in one that is unknown.
fn zone_id(name: &str) -> Option<SessionZone> {
    let offset = ["UTC", "GMT", "UT", ""].iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name);
    match offset {
        "" | "Z" if !name.is_empty() => Some(SessionZone::UTC),
        _ if offset.starts_with(['+', '-']) => SessionZone::parse(&format!("GMT{offset}")).ok(),
        _ => SessionZone::parse(name).ok(),
    }
}

fn text_to_instant(a: &mut Arguments) -> Result<Option<Resolved>> {
    if !is_text(a, 1) || !is_text(a, 2) {
        return Ok(None);
    }
    let written = a.values.len() > 1;
    let precision = a.values.get(1).and_then(|p| p.text()).map_or(3, fraction_digits);
    let pattern = PatternArgument::of(a, 1, DEFAULT_PATTERN, Pattern::new)?;
    let constant_zone = match a.values.get(2).map(|z| z.text()) {
        None => Some(SessionZone::UTC),
        // A wrong one is told while planning.
        Some(Some(zone)) => Some(zone_id(zone).map_or_else(|| FunctionEnv::new(zone).map(|e| e.time_zone), Ok)?),
        Some(None) => None,
    };
    fit(a, &[K::STRING, K::STRING, K::STRING])?;
    let t = K::timestamp_ltz(precision).nullable();
    let target = flott_core::types::arrow_type(&t);
    Ok(Some(Resolved::new(t, move |args, rows| {
        let (texts, mut pattern) = (Text::of(&args[0])?, pattern.rows(args, 1)?);
        let zones = args.get(2).map(Text::of).transpose()?;
        let mut last_zone: Option<(String, Option<SessionZone>)> = None;
        let mut nanos = vec![];
        for i in 0..rows_of(args, rows) {
            let local = match (texts.get(i), pattern.get(i)?) {
                (Some(t), Some(pattern)) => match written {
                    true => pattern.parse(t).or_else(|| parse_sql(t)),
                    false => text::parse_timestamp(t),
                },
                _ => None,
            };
            let zone = constant_zone.or_else(|| {
                let name = zones.as_ref()?.get(i)?;
                if last_zone.as_ref().is_none_or(|(last, _)| last != name) {
                    last_zone = Some((name.to_string(), zone_id(name)));
                }
                last_zone.as_ref()?.1
            });
            nanos.push(local.zip(zone).map(|(n, zone)| {
                let (s, f) = (n.div_euclid(1_000_000_000), n.rem_euclid(1_000_000_000));
                i128::from(text::local_to_utc(zone, s as i64)) * 1_000_000_000 + f
            }));
        }
        finish(args, instants(&target, nanos)?)
    })))
}

#[cfg(test)]
mod tests {
    use crate::context::FunctionEnv;
    use crate::scalar;
    use crate::testing::{check, constant};

    #[test]
    fn values() {
        check(&[
            ("TO_TIMESTAMP_LTZ", &[("100", "INT"), ("0", "INT")], "1970-01-01 00:01:40.000"),
            ("TO_TIMESTAMP_LTZ", &[("1234", "BIGINT")], "1970-01-01 00:00:01.234"),
            ("TO_TIMESTAMP_LTZ", &[("-100.01", "DOUBLE"), ("0", "INT")], "1969-12-31 23:58:19.990"),
            ("TO_TIMESTAMP_LTZ", &[("253402300800", "BIGINT"), ("0", "INT")], "NULL"),
            ("TO_TIMESTAMP_LTZ", &[("1234567890123", "BIGINT"), ("1", "INT")], "5882-03-11 00:30:12.300"),
            ("TO_TIMESTAMP_LTZ", &[("-1", "BIGINT"), ("6", "INT")], "1969-12-31 23:59:59.999999"),
            ("TO_TIMESTAMP_LTZ", &[("1.5", "DOUBLE"), ("0", "INT")], "1970-01-01 00:00:01.500"),
            ("TO_TIMESTAMP_LTZ", &[("9223372036854775807", "BIGINT"), ("7", "INT")], "NULL"),
            (
                "TO_TIMESTAMP_LTZ",
                &[("99999999999999999", "BIGINT"), ("7", "INT")],
                "ERROR is outside what a timestamp with 9 digits",
            ),
            (
                "TO_TIMESTAMP_LTZ",
                &[("2024-01-01 00:00:00.1234", "STRING"), ("yyyy-MM-dd HH:mm:ss.SSSS", "STRING")],
                "2024-01-01 00:00:00.1234",
            ),
            ("TO_TIMESTAMP_LTZ", &[("2023-01-01 00:00:00", "STRING")], "2023-01-01 00:00:00.000"),
            (
                "TO_TIMESTAMP_LTZ",
                &[("2023-01-01 00:00", "STRING"), ("yyyy-MM-dd HH:mm", "STRING"), ("Asia/Shanghai", "STRING")],
                "2022-12-31 16:00:00.000",
            ),
        ]);
    }

    #[test]
    fn refusals() {
        let wrong = scalar::call(
            "TO_TIMESTAMP_LTZ",
            vec![constant("1", "INT"), constant("10", "INT")],
            &FunctionEnv::default(),
        );
        assert!(wrong.is_some_and(|r| r.is_err()));
    }
}
