//! Functions of dates and times.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, PrimitiveArray};
use arrow_schema::{DataType, TimeUnit};
use datafusion_common::ScalarValue;
use datafusion_expr::ColumnarValue;
use flott_core::types::{TimeAttribute, TypeKind as K};
use flott_core::{Error, LogicalType, Result, SessionZone};

use super::date_pattern::{DEFAULT_PATTERN, Pattern, parse_sql};
use super::shape::{entry, fit};
use super::simple_date_format::SimpleDateFormat;
use super::time_unit::{Unit, extract, unit_of};
use super::{Arguments, Category, Resolve, ScalarFunction};
use crate::argument::{Primitive, Text, build, build_text, finish, rows_of};
use crate::cast::too_far;
use crate::context::{self, FunctionEnv};
use crate::text;
use crate::udf::Resolved;

/// The instants that Flink's TO_TIMESTAMP_LTZ gives: years 0 to 9999.
const INSTANTS_MS: std::ops::RangeInclusive<i64> = -62_167_219_200_000..=253_402_300_799_999;

const fn function(
    name: &'static str,
    syntax: &'static str,
    description: &'static str,
    arity: (usize, usize),
    resolve: Resolve,
) -> ScalarFunction {
    entry(Category::Temporal, name, syntax, description, arity, resolve)
}

/// All of them.
pub(super) const FUNCTIONS: &[ScalarFunction] = &[
    function("PROCTIME", "PROCTIME()", "Processing time, as a time attribute.", (0, 0), |_| {
        Ok(Some(now(K::TimestampLtz(3, TimeAttribute::Proctime).not_null(), |ms| ms)))
    }),
    function(
        "CURRENT_TIMESTAMP",
        "CURRENT_TIMESTAMP",
        "The time now; in batch mode when the query started.",
        (0, 0),
        |a| Ok(Some(started(a.env, K::timestamp_ltz(3).not_null(), |ms| ms))),
    ),
    function("NOW", "NOW()", "The time now; in batch mode when the query started.", (0, 0), |a| {
        Ok(Some(started(a.env, K::timestamp_ltz(3).not_null(), |ms| ms)))
    }),
    function("CURRENT_ROW_TIMESTAMP", "CURRENT_ROW_TIMESTAMP()", "The time now.", (0, 0), |_| {
        Ok(Some(now(K::timestamp_ltz(3).not_null(), |ms| ms)))
    }),
    function(
        "LOCALTIMESTAMP",
        "LOCALTIMESTAMP",
        "The time now in the session's zone; in batch mode when the query started.",
        (0, 0),
        |a| {
            let zone = a.env.time_zone;
            Ok(Some(started(a.env, K::timestamp(3).not_null(), move |ms| local_ms(zone, ms))))
        },
    ),
    function("CURRENT_DATE", "CURRENT_DATE", "Today in the session's zone.", (0, 0), |a| {
        let env = *a.env;
        Ok(Some(
            Resolved::new(K::Date.not_null(), move |_, _| {
                let days = local_ms(env.time_zone, env.now_ms()).div_euclid(86_400_000);
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
        "TO_TIMESTAMP_LTZ(number[, precision]), TO_TIMESTAMP_LTZ(text[, pattern[, zone]])",
        "Seconds (0), milliseconds (3), microseconds (6) or nanoseconds (9) since 1970, or a text in a zone (UTC), as an instant.",
        (1, 3),
        to_timestamp_ltz,
    ),
    function(
        "CONVERT_TZ",
        "CONVERT_TZ(text, from, to)",
        "A local time of one zone as that of another.",
        (3, 3),
        convert_tz,
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

fn local_ms(zone: SessionZone, ms: i64) -> i64 {
    text::utc_to_local(zone, ms.div_euclid(1_000)) * 1_000 + ms.rem_euclid(1_000)
}

/// The operator's processing time, as a timestamp in ms.
/// The time of each row, or in batch mode that of the query's start.
fn started(env: &FunctionEnv, t: LogicalType, shift: impl Fn(i64) -> i64 + Send + Sync + 'static) -> Resolved {
    let start_ms = env.query_start_ms;
    now(t, move |ms| shift(start_ms.unwrap_or(ms)))
}

fn now(t: LogicalType, shift: impl Fn(i64) -> i64 + Send + Sync + 'static) -> Resolved {
    let zone: Option<Arc<str>> = matches!(t.kind, K::TimestampLtz(..)).then(|| "UTC".into());
    Resolved::new(t, move |_, _| {
        let ms = shift(context::processing_time_ms());
        Ok(ColumnarValue::Scalar(ScalarValue::TimestampMillisecond(Some(ms), zone.clone())))
    })
    .volatile()
}

fn local_time(a: &mut Arguments) -> Result<Option<Resolved>> {
    let env = *a.env;
    Ok(Some(
        Resolved::new(K::Time(0).not_null(), move |_, _| {
            let s = local_ms(env.time_zone, env.now_ms()).rem_euclid(86_400_000) / 1_000 * 1_000;
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

fn is_text(a: &Arguments, index: usize) -> bool {
    a.values.get(index).is_none_or(|v| v.data_type.kind.is_character() || v.data_type.kind == K::Null)
}

/// The pattern argument, or the default; a column of patterns is read row by row.
enum PatternArgument<P> {
    Constant(Option<P>),
    Column(Understand<P>),
}

/// How a pattern is understood: what it is used for decides about its letters.
type Understand<P> = fn(&str) -> Result<P>;

impl<P> PatternArgument<P> {
    fn of(a: &mut Arguments, index: usize, default: &str, understand: Understand<P>) -> Result<PatternArgument<P>> {
        let Some(value) = a.values.get(index) else {
            return understand(default).map(|p| PatternArgument::Constant(Some(p)));
        };
        let pattern = match (value.text(), value.constant()) {
            (Some(text), _) => Some(understand(text)?),
            (None, Some(_)) => None,
            _ => return Ok(PatternArgument::Column(understand)),
        };
        Ok(PatternArgument::Constant(pattern))
    }

    /// What a batch uses.
    fn rows(&self, args: &[ColumnarValue], index: usize) -> Result<PatternRows<'_, P>> {
        Ok(match self {
            PatternArgument::Constant(pattern) => PatternRows::Constant(pattern.as_ref()),
            PatternArgument::Column(understand) => PatternRows::Column(Text::of(&args[index])?, None, *understand),
        })
    }
}

enum PatternRows<'a, P> {
    Constant(Option<&'a P>),
    Column(Text, Option<(String, P)>, Understand<P>),
}

impl<P> PatternRows<'_, P> {
    fn get(&mut self, row: usize) -> Result<Option<&P>> {
        match self {
            PatternRows::Constant(pattern) => Ok(*pattern),
            PatternRows::Column(texts, last, understand) => {
                let Some(text) = texts.get(row) else { return Ok(None) };
                if last.as_ref().is_none_or(|(t, _)| t != text) {
                    *last = Some((text.to_string(), understand(text)?));
                }
                Ok(last.as_ref().map(|(_, p)| p))
            }
        }
    }
}

/// Milliseconds of nanoseconds, where they fit.
fn to_millis(nanos: i128) -> Option<i64> {
    i64::try_from(nanos.div_euclid(1_000_000)).ok()
}

fn to_timestamp(a: &mut Arguments) -> Result<Option<Resolved>> {
    if !is_text(a, 0) || !is_text(a, 1) {
        return Ok(None);
    }
    let written = a.values.len() == 2;
    let pattern = PatternArgument::of(a, 1, DEFAULT_PATTERN, Pattern::new)?;
    fit(a, &[K::STRING, K::STRING])?;
    let resolved = Resolved::new(K::timestamp(3).nullable(), move |args, rows| {
        let (texts, mut pattern) = (Text::of(&args[0])?, pattern.rows(args, 1)?);
        build::<TimestampMillisecondType>(args, rows, |i| {
            let (Some(t), Some(pattern)) = (texts.get(i), pattern.get(i)?) else { return Ok(None) };
            let nanos = match written {
                true => pattern.parse(t).or_else(|| parse_sql(t)),
                false => text::parse_timestamp(t),
            };
            Ok(nanos.and_then(to_millis))
        })
    });
    Ok(Some(resolved))
}

fn to_date(a: &mut Arguments) -> Result<Option<Resolved>> {
    if !is_text(a, 0) || !is_text(a, 1) {
        return Ok(None);
    }
    let written = a.values.len() == 2;
    let pattern = PatternArgument::of(a, 1, "yyyy-MM-dd", SimpleDateFormat::new)?;
    fit(a, &[K::STRING, K::STRING])?;
    Ok(Some(Resolved::new(K::Date.nullable(), move |args, rows| {
        let (texts, mut pattern) = (Text::of(&args[0])?, pattern.rows(args, 1)?);
        build::<Date32Type>(args, rows, |i| {
            let (Some(t), Some(pattern)) = (texts.get(i), pattern.get(i)?) else { return Ok(None) };
            Ok(match written {
                true => pattern.parse(t, SessionZone::UTC).and_then(|ms| i32::try_from(ms.div_euclid(86_400_000)).ok()),
                false => text::parse_date(t),
            })
        })
    })))
}

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

/// A time as text. A text is read by the default pattern first.
fn date_format(a: &mut Arguments) -> Result<Option<Resolved>> {
    let from_text = a.values[0].data_type.kind.is_character();
    let fits = from_text || a.values[0].data_type.kind.is_timestamp() || a.values[0].data_type.kind == K::Date;
    if !fits || !is_text(a, 1) {
        return Ok(None);
    }
    if from_text { text_format(a) } else { timestamp_format(a) }.map(Some)
}

fn text_format(a: &mut Arguments) -> Result<Resolved> {
    let pattern = PatternArgument::of(a, 1, DEFAULT_PATTERN, SimpleDateFormat::new)?;
    let default = SimpleDateFormat::new(DEFAULT_PATTERN)?;
    a.coerce(1, &K::STRING.nullable())?;
    let never_fails = matches!(pattern, PatternArgument::Constant(_));
    let resolved = Resolved::new(K::STRING.nullable(), move |args, rows| {
        let (texts, mut pattern) = (Text::of(&args[0])?, pattern.rows(args, 1)?);
        build_text(args, rows, |i, out| {
            let ms = texts.get(i).and_then(|t| default.parse(t, SessionZone::UTC));
            match (ms, pattern.get(i)?) {
                (Some(ms), Some(pattern)) => append(out, |out| pattern.format(ms, SessionZone::UTC, out))?,
                _ => out.append_null(),
            }
            Ok(())
        })
    });
    Ok(if never_fails { resolved.infallible() } else { resolved })
}

fn timestamp_format(a: &mut Arguments) -> Result<Resolved> {
    let pattern = PatternArgument::of(a, 1, DEFAULT_PATTERN, Pattern::to_write)?;
    let zone = a.env.time_zone;
    let t = K::STRING.nullable().with_nullable(a.nullable());
    a.coerce(1, &K::STRING.nullable())?;
    let never_fails = match &pattern {
        PatternArgument::Constant(pattern) => !pattern.as_ref().is_some_and(Pattern::may_fail),
        PatternArgument::Column(_) => false,
    };
    let resolved = Resolved::new(t, move |args, rows| {
        let mut pattern = pattern.rows(args, 1)?;
        let rows = rows_of(args, rows);
        let column = args[0].to_array(rows).map_err(crate::udf::from_datafusion)?;
        let nanos = super::time_unit::local_nanos(&column, zone)?;
        build_text(args, rows, |i, out| {
            match (nanos[i], pattern.get(i)?) {
                (Some(n), Some(pattern)) => {
                    pattern.format(n, out)?;
                    out.append_value("");
                }
                _ => out.append_null(),
            }
            Ok(())
        })
    });
    Ok(if never_fails { resolved.infallible() } else { resolved })
}

fn append(out: &mut StringBuilder, write: impl FnOnce(&mut StringBuilder) -> std::fmt::Result) -> Result<()> {
    write(out).map_err(|_| Error::internal("a date was not written"))?;
    out.append_value("");
    Ok(())
}

fn unix_timestamp(a: &mut Arguments) -> Result<Option<Resolved>> {
    if a.values.is_empty() {
        let seconds = |_: &[ColumnarValue], _| {
            Ok(ColumnarValue::Scalar(ScalarValue::Int64(Some(context::processing_time_ms().div_euclid(1_000)))))
        };
        return Ok(Some(Resolved::new(K::BigInt.not_null(), seconds).infallible().volatile()));
    }
    if !is_text(a, 0) || !is_text(a, 1) {
        return Ok(None);
    }
    let pattern = PatternArgument::of(a, 1, DEFAULT_PATTERN, SimpleDateFormat::new)?;
    let zone = a.env.time_zone;
    fit(a, &[K::STRING, K::STRING])?;
    let t = K::BigInt.nullable().with_nullable(a.nullable());
    Ok(Some(Resolved::new(t, move |args, rows| {
        let (texts, mut pattern) = (Text::of(&args[0])?, pattern.rows(args, 1)?);
        build::<Int64Type>(args, rows, |i| {
            let (Some(t), Some(pattern)) = (texts.get(i), pattern.get(i)?) else { return Ok(None) };
            // What Flink gives for a text that is no time, and towards 1970.
            Ok(Some(pattern.parse(t, zone).map_or(i64::MIN, |ms| ms / 1_000)))
        })
    })))
}

fn from_unixtime(a: &mut Arguments) -> Result<Option<Resolved>> {
    let numeric = a.values[0].data_type.kind.is_numeric() || a.values[0].data_type.kind == K::Null;
    if !numeric || !is_text(a, 1) {
        return Ok(None);
    }
    let pattern = PatternArgument::of(a, 1, DEFAULT_PATTERN, SimpleDateFormat::new)?;
    let zone = a.env.time_zone;
    a.coerce(0, &K::BigInt.nullable())?;
    if a.values.len() == 2 {
        a.coerce(1, &K::STRING.nullable())?;
    }
    let t = K::STRING.nullable().with_nullable(a.nullable());
    Ok(Some(Resolved::new(t, move |args, rows| {
        let (seconds, mut pattern) = (Primitive::<Int64Type>::of(&args[0])?, pattern.rows(args, 1)?);
        build_text(args, rows, |i, out| {
            match (seconds.get(i), pattern.get(i)?) {
                // Flink counts milliseconds, which wrap.
                (Some(s), Some(pattern)) => append(out, |out| pattern.format(s.wrapping_mul(1_000), zone, out))?,
                _ => out.append_null(),
            }
            Ok(())
        })
    })))
}

fn convert_tz(a: &mut Arguments) -> Result<Option<Resolved>> {
    if !fit(a, &[K::STRING, K::STRING, K::STRING])? {
        return Ok(None);
    }
    // Wrong zones are told while planning.
    for zone in &a.values[1..] {
        zone.text().map(java_zone).transpose()?;
    }
    let pattern = SimpleDateFormat::new(DEFAULT_PATTERN)?;
    Ok(Some(Resolved::new(K::STRING.nullable(), move |args, rows| {
        let (texts, from, to) = (Text::of(&args[0])?, Text::of(&args[1])?, Text::of(&args[2])?);
        build_text(args, rows, |i, out| {
            let (Some(t), Some(from), Some(to)) = (texts.get(i), from.get(i), to.get(i)) else {
                out.append_null();
                return Ok(());
            };
            let (from, to) = (java_zone(from)?, java_zone(to)?);
            match pattern.parse(t, from) {
                Some(ms) => append(out, |out| pattern.format(ms, to, out))?,
                None => out.append_null(),
            }
            Ok(())
        })
    })))
}

/// Short names that Java's `TimeZone` knows beside those of the time zone database.
const SHORT_ZONES: [(&str, &str); 25] = [
    ("ACT", "Australia/Darwin"),
    ("AET", "Australia/Sydney"),
    ("AGT", "America/Argentina/Buenos_Aires"),
    ("ART", "Africa/Cairo"),
    ("AST", "America/Anchorage"),
    ("BET", "America/Sao_Paulo"),
    ("BST", "Asia/Dhaka"),
    ("CAT", "Africa/Harare"),
    ("CNT", "America/St_Johns"),
    ("CST", "America/Chicago"),
    ("CTT", "Asia/Shanghai"),
    ("EAT", "Africa/Addis_Ababa"),
    ("ECT", "Europe/Paris"),
    ("IET", "America/Indiana/Indianapolis"),
    ("IST", "Asia/Kolkata"),
    ("JST", "Asia/Tokyo"),
    ("MIT", "Pacific/Apia"),
    ("NET", "Asia/Yerevan"),
    ("NST", "Pacific/Auckland"),
    ("PLT", "Asia/Karachi"),
    ("PNT", "America/Phoenix"),
    ("PRT", "America/Puerto_Rico"),
    ("PST", "America/Los_Angeles"),
    ("SST", "Pacific/Guadalcanal"),
    ("VST", "Asia/Ho_Chi_Minh"),
];

/// A zone that a call names.
fn java_zone(name: &str) -> Result<SessionZone> {
    let full = SHORT_ZONES.iter().find(|(short, _)| *short == name).map_or(name, |(_, full)| full);
    SessionZone::parse(full).map_err(|_| {
        Error::user(format!("'{name}' is not a time zone"))
            .hint("Use a name such as 'America/Los_Angeles', a fixed offset such as 'GMT-03:00', or 'UTC'")
    })
}

#[cfg(test)]
mod tests {
    use crate::context::{FunctionEnv, enter};
    use crate::scalar;
    use crate::testing::{check, constant, show_in, text};

    fn in_zone(zone: &str, name: &str, args: &[(&str, &str)]) -> String {
        let env = FunctionEnv::new(zone).expect("a zone");
        let args = args.iter().map(|(v, t)| constant(v, t)).collect();
        let e = scalar::call(name, args, &env).expect("a function").expect("a call");
        show_in(&e, &env).expect("a value")
    }

    #[test]
    fn texts_to_times() {
        check(&[
            ("TO_TIMESTAMP", &[("2023-01-01 12:30:00", "STRING")], "2023-01-01 12:30:00.000"),
            ("TO_TIMESTAMP", &[("2023-01-01 12:30:00.1239", "STRING")], "2023-01-01 12:30:00.123"),
            ("TO_TIMESTAMP", &[("abc", "STRING")], "NULL"),
            (
                "TO_TIMESTAMP",
                &[("2023-01-01T12:30:00", "STRING"), ("yyyy-MM-dd'T'HH:mm:ss", "STRING")],
                "2023-01-01 12:30:00.000",
            ),
            (
                "TO_TIMESTAMP",
                &[("1999-9-10 05:20:10", "STRING"), ("yyyy-MM-dd HH:mm:ss", "STRING")],
                "1999-09-10 05:20:10.000",
            ),
            ("TO_TIMESTAMP", &[("1999-9-10", "STRING"), ("yyyy-MM-dd", "STRING")], "1999-09-10 00:00:00.000"),
            ("TO_TIMESTAMP", &[("NULL", "STRING")], "NULL"),
            ("TO_DATE", &[("2016-12-31", "STRING")], "2016-12-31"),
            ("TO_DATE", &[("2016-02-30", "STRING")], "NULL"),
            ("TO_DATE", &[("31/12/2016", "STRING"), ("dd/MM/yyyy", "STRING")], "2016-12-31"),
            ("TO_DATE", &[("x", "STRING"), ("dd/MM/yyyy", "STRING")], "NULL"),
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
        let wrong = scalar::call(
            "TO_TIMESTAMP_LTZ",
            vec![constant("1", "INT"), constant("10", "INT")],
            &FunctionEnv::default(),
        );
        assert!(wrong.is_some_and(|r| r.is_err()));
    }

    #[test]
    fn times_to_texts() {
        check(&[
            (
                "DATE_FORMAT",
                &[("2024-02-29 15:04:05.678", "TIMESTAMP(3)"), ("yyyy/MM/dd HH.mm.ss.SSS", "STRING")],
                "2024/02/29 15.04.05.678",
            ),
            ("DATE_FORMAT", &[("2024-02-29 15:04:05", "STRING"), ("yyyy-MM-dd", "STRING")], "2024-02-29"),
            ("DATE_FORMAT", &[("2024-02-29", "STRING"), ("yyyy-MM-dd", "STRING")], "NULL"),
            ("DATE_FORMAT", &[("NULL", "TIMESTAMP(3)"), ("yyyy", "STRING")], "NULL"),
            (
                "DATE_FORMAT",
                &[("2024-02-29 15:04:05", "TIMESTAMP(3)"), ("ppyyyy", "STRING")],
                "ERROR '2024' is wider than the 2 characters of its pad",
            ),
            (
                "CONVERT_TZ",
                &[("1970-01-01 00:00:00", "STRING"), ("UTC", "STRING"), ("America/Los_Angeles", "STRING")],
                "1969-12-31 16:00:00",
            ),
            ("CONVERT_TZ", &[("x", "STRING"), ("UTC", "STRING"), ("UTC", "STRING")], "NULL"),
            (
                "CONVERT_TZ",
                &[("2024-03-05 06:07:08", "STRING"), ("PST", "STRING"), ("EST", "STRING")],
                "2024-03-05 09:07:08",
            ),
        ]);
        assert_eq!(in_zone("Asia/Shanghai", "FROM_UNIXTIME", &[("44", "BIGINT")]), "1970-01-01 08:00:44");
        assert_eq!(in_zone("UTC", "FROM_UNIXTIME", &[("44", "INT"), ("yyyy/MM", "STRING")]), "1970/01");
        assert_eq!(in_zone("Asia/Shanghai", "UNIX_TIMESTAMP", &[("1970-01-01 08:00:44", "STRING")]), "44");
        assert_eq!(in_zone("UTC", "UNIX_TIMESTAMP", &[("no time", "STRING")]), i64::MIN.to_string());
        assert_eq!(
            in_zone(
                "Asia/Shanghai",
                "DATE_FORMAT",
                &[("2024-01-01 08:00:00", "TIMESTAMP_LTZ(3)"), ("HH:mm", "STRING")]
            ),
            "16:00"
        );
    }

    #[test]
    fn what_time_it_is() {
        enter(1_700_000_000_123, Some(42));
        for (name, expected) in [
            ("CURRENT_TIMESTAMP", "2023-11-15 06:13:20.123"),
            ("PROCTIME", "2023-11-15 06:13:20.123"),
            ("LOCALTIMESTAMP", "2023-11-15 06:13:20.123"),
            ("CURRENT_DATE", "2023-11-15"),
            ("CURRENT_TIME", "06:13:20"),
            ("UNIX_TIMESTAMP", "1700000000"),
        ] {
            assert_eq!(in_zone("Asia/Shanghai", name, &[]), expected, "{name}");
        }
        assert!(
            scalar::call("CURRENT_WATERMARK", vec![text("x")], &FunctionEnv::default()).is_some_and(|r| r.is_err())
        );
        enter(0, None);
    }
}
