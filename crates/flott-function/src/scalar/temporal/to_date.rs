//! TO_DATE: a text as DATE.

use arrow_array::types::*;
use flott_core::types::TypeKind as K;
use flott_core::{Result, SessionZone};

use super::simple_date_format::SimpleDateFormat;
use super::{PatternArgument, is_text};
use crate::argument::{Text, build};
use crate::example::Example;
use crate::scalar::shape::fit;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::text;
use crate::udf::Resolved;

pub(super) const TO_DATE: ScalarFunction = ScalarFunction {
    name: "TO_DATE",
    syntax: "TO_DATE(text[, pattern])",
    description: "A text as DATE.",
    documentation: "The pattern is one of Java's SimpleDateFormat; without one, a text is read as SQL writes it. A \
         text that does not fit gives NULL, and so does NULL.",
    examples: &[
        Example { sql: "TO_DATE('2024-02-29')", result: "2024-02-29" },
        Example { sql: "TO_DATE('29/02/2024', 'dd/MM/yyyy')", result: "2024-02-29" },
        Example { sql: "TO_DATE('2023-02-29')", result: "<NULL>" },
    ],
    category: Category::Temporal,
    arity: (1, 2),
    resolve: to_date,
};

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

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("TO_DATE", &[("2016-12-31", "STRING")], "2016-12-31"),
            ("TO_DATE", &[("2016-02-30", "STRING")], "NULL"),
            ("TO_DATE", &[("31/12/2016", "STRING"), ("dd/MM/yyyy", "STRING")], "2016-12-31"),
            ("TO_DATE", &[("x", "STRING"), ("dd/MM/yyyy", "STRING")], "NULL"),
        ]);
    }
}
