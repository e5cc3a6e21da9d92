//! Functions of dates and times.

mod calendar;
mod convert_tz;
mod current_date;
mod current_row_timestamp;
mod current_timestamp;
mod current_watermark;
mod date_format;
pub(super) mod date_pattern;
mod dayofmonth;
mod dayofweek;
mod dayofyear;
mod extract;
mod from_unixtime;
mod hour;
mod local_time;
mod localtimestamp;
mod minute;
mod month;
mod proctime;
mod quarter;
mod second;
mod simple_date_format;
pub(super) mod time_unit;
mod timestampadd;
mod timestampdiff;
mod to_date;
mod to_timestamp;
mod to_timestamp_ltz;
mod unix_timestamp;
mod week;
mod year;

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use datafusion_common::ScalarValue;
use datafusion_expr::ColumnarValue;
use flott_core::types::TypeKind as K;
use flott_core::{Error, LogicalType, Result, SessionZone};

use crate::argument::Text;
use crate::context::{self, FunctionEnv};
use crate::scalar::{Arguments, ScalarFunction};
use crate::text;
use crate::udf::Resolved;

/// All of them.
pub(super) const FUNCTIONS: &[ScalarFunction] = &[
    proctime::PROCTIME,
    current_timestamp::CURRENT_TIMESTAMP,
    current_timestamp::NOW,
    current_row_timestamp::CURRENT_ROW_TIMESTAMP,
    localtimestamp::LOCALTIMESTAMP,
    current_date::CURRENT_DATE,
    local_time::CURRENT_TIME,
    local_time::LOCALTIME,
    unix_timestamp::UNIX_TIMESTAMP,
    from_unixtime::FROM_UNIXTIME,
    current_watermark::CURRENT_WATERMARK,
    to_timestamp::TO_TIMESTAMP,
    to_timestamp_ltz::TO_TIMESTAMP_LTZ,
    convert_tz::CONVERT_TZ,
    to_date::TO_DATE,
    date_format::DATE_FORMAT,
    extract::EXTRACT,
    year::YEAR,
    quarter::QUARTER,
    month::MONTH,
    week::WEEK,
    dayofyear::DAYOFYEAR,
    dayofmonth::DAYOFMONTH,
    dayofweek::DAYOFWEEK,
    hour::HOUR,
    minute::MINUTE,
    second::SECOND,
    timestampadd::TIMESTAMPADD,
    timestampdiff::TIMESTAMPDIFF,
];

fn local_ms(zone: SessionZone, ms: i64) -> i64 {
    text::utc_to_local(zone, ms.div_euclid(1_000)) * 1_000 + ms.rem_euclid(1_000)
}

/// The time of each row, or in batch mode that of the query's start.
fn started(env: &FunctionEnv, t: LogicalType, shift: impl Fn(i64) -> i64 + Send + Sync + 'static) -> Resolved {
    let start_ms = env.query_start_ms;
    now(t, move |ms| shift(start_ms.unwrap_or(ms)))
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

fn append(out: &mut StringBuilder, write: impl FnOnce(&mut StringBuilder) -> std::fmt::Result) -> Result<()> {
    write(out).map_err(|_| Error::internal("a date was not written"))?;
    out.append_value("");
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::context::{FunctionEnv, enter};
    use crate::scalar;
    use crate::testing::{in_zone, text};

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
