//! DATE_FORMAT: a timestamp as text; patterns are Java's.

use flott_core::types::TypeKind as K;
use flott_core::{Result, SessionZone};

use super::date_pattern::{DEFAULT_PATTERN, Pattern};
use super::simple_date_format::SimpleDateFormat;
use super::{PatternArgument, append, is_text};
use crate::argument::{Text, build_text, rows_of};
use crate::example::Example;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const DATE_FORMAT: ScalarFunction = ScalarFunction {
    name: "DATE_FORMAT",
    syntax: "DATE_FORMAT(timestamp, pattern)",
    description: "A timestamp as text; patterns are Java's.",
    documentation: "Of a timestamp by a pattern of Java's DateTimeFormatter, a TIMESTAMP_LTZ in the session's zone; \
         of a text yyyy-MM-dd HH:mm:ss by one of SimpleDateFormat. A text that does not fit gives NULL, and so \
         does NULL.",
    examples: &[
        Example { sql: "DATE_FORMAT(TIMESTAMP '2024-03-05 07:08:09', 'yyyy/MM/dd HH.mm')", result: "2024/03/05 07.08" },
        Example { sql: "DATE_FORMAT('2024-02-29 01:02:03', 'dd/MM')", result: "29/02" },
        Example { sql: "DATE_FORMAT(CAST(NULL AS TIMESTAMP(3)), 'yyyy')", result: "<NULL>" },
    ],
    category: Category::Temporal,
    arity: (2, 2),
    resolve: date_format,
};

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

#[cfg(test)]
mod tests {
    use crate::testing::{check, in_zone};

    #[test]
    fn values() {
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
        ]);
    }

    #[test]
    fn times_to_texts() {
        assert_eq!(
            in_zone(
                "Asia/Shanghai",
                "DATE_FORMAT",
                &[("2024-01-01 08:00:00", "TIMESTAMP_LTZ(3)"), ("HH:mm", "STRING")]
            ),
            "16:00"
        );
    }
}
