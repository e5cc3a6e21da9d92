//! UNIX_TIMESTAMP: seconds since 1970.

use arrow_array::types::*;
use datafusion_common::ScalarValue;
use datafusion_expr::ColumnarValue;
use flott_core::Result;
use flott_core::types::TypeKind as K;

use super::date_pattern::DEFAULT_PATTERN;
use super::simple_date_format::SimpleDateFormat;
use super::{PatternArgument, is_text};
use crate::argument::{Text, build};
use crate::context;
use crate::example::Example;
use crate::scalar::shape::fit;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const UNIX_TIMESTAMP: ScalarFunction = ScalarFunction {
    name: "UNIX_TIMESTAMP",
    syntax: "UNIX_TIMESTAMP([text[, pattern]])",
    description: "Seconds since 1970.",
    documentation: "A BIGINT: now, or of a text in the session's zone by a pattern of Java's SimpleDateFormat \
         (yyyy-MM-dd HH:mm:ss). A text that does not fit gives -9223372036854775808; NULL gives NULL.",
    examples: &[
        Example { sql: "UNIX_TIMESTAMP('1970-01-01 00:00:01')", result: "1" },
        Example { sql: "UNIX_TIMESTAMP('29.02.2024', 'dd.MM.yyyy')", result: "1709164800" },
        Example { sql: "UNIX_TIMESTAMP() > 1700000000", result: "TRUE" },
    ],
    category: Category::Temporal,
    arity: (0, 2),
    resolve: unix_timestamp,
};

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

#[cfg(test)]
mod tests {
    use crate::testing::in_zone;

    #[test]
    fn times_to_texts() {
        assert_eq!(in_zone("Asia/Shanghai", "UNIX_TIMESTAMP", &[("1970-01-01 08:00:44", "STRING")]), "44");
        assert_eq!(in_zone("UTC", "UNIX_TIMESTAMP", &[("no time", "STRING")]), i64::MIN.to_string());
    }
}
