//! TO_TIMESTAMP: a text as TIMESTAMP(3).

use arrow_array::types::*;
use flott_core::Result;
use flott_core::types::TypeKind as K;

use super::date_pattern::{DEFAULT_PATTERN, Pattern, parse_sql};
use super::{PatternArgument, is_text};
use crate::argument::{Text, build};
use crate::example::Example;
use crate::scalar::shape::fit;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::text;
use crate::udf::Resolved;

pub(super) const TO_TIMESTAMP: ScalarFunction = ScalarFunction {
    name: "TO_TIMESTAMP",
    syntax: "TO_TIMESTAMP(text[, pattern])",
    description: "A text as TIMESTAMP(3).",
    documentation: "The pattern is one of Java's DateTimeFormatter. Without one, a text is read as SQL writes it, \
         with a fraction; digits behind the third are cut. A text that does not fit gives NULL, and so does NULL.",
    examples: &[
        Example { sql: "TO_TIMESTAMP('2024-02-29 01:02:03')", result: "2024-02-29 01:02:03.000" },
        Example { sql: "TO_TIMESTAMP('29.02.2024 13', 'dd.MM.yyyy HH')", result: "2024-02-29 13:00:00.000" },
        Example { sql: "TO_TIMESTAMP('bad')", result: "<NULL>" },
    ],
    category: Category::Temporal,
    arity: (1, 2),
    resolve: to_timestamp,
};

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

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
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
        ]);
    }
}
