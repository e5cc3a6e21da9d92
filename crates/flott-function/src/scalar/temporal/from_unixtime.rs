//! FROM_UNIXTIME: seconds since 1970 as text in the session's zone.

use arrow_array::types::*;
use flott_core::Result;
use flott_core::types::TypeKind as K;

use super::date_pattern::DEFAULT_PATTERN;
use super::simple_date_format::SimpleDateFormat;
use super::{PatternArgument, append, is_text};
use crate::argument::{Primitive, build_text};
use crate::example::Example;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const FROM_UNIXTIME: ScalarFunction = ScalarFunction {
    name: "FROM_UNIXTIME",
    syntax: "FROM_UNIXTIME(seconds[, pattern])",
    description: "Seconds since 1970 as text in the session's zone.",
    documentation: "The pattern is one of Java's SimpleDateFormat, yyyy-MM-dd HH:mm:ss where none is given. NULL \
         gives NULL.",
    examples: &[
        Example { sql: "FROM_UNIXTIME(0)", result: "1970-01-01 00:00:00" },
        Example { sql: "FROM_UNIXTIME(1709168523, 'yyyyMMdd')", result: "20240229" },
    ],
    category: Category::Temporal,
    arity: (1, 2),
    resolve: from_unixtime,
};

fn from_unixtime(a: &mut Arguments) -> Result<Option<Resolved>> {
    let kind = &a.values[0].data_type.kind;
    if !(kind.is_integer() || *kind == K::Null) || !is_text(a, 1) {
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

#[cfg(test)]
mod tests {
    use crate::testing::in_zone;

    #[test]
    fn times_to_texts() {
        assert_eq!(in_zone("Asia/Shanghai", "FROM_UNIXTIME", &[("44", "BIGINT")]), "1970-01-01 08:00:44");
        assert_eq!(in_zone("UTC", "FROM_UNIXTIME", &[("44", "INT"), ("yyyy/MM", "STRING")]), "1970/01");
    }
}
