//! REGEXP: whether a part fits a regular expression.

use flott_core::Result;
use flott_core::types::TypeKind as K;

use super::{constant_pattern, java, java_or_null, pattern};
use crate::argument::{Text, build_boolean};
use crate::example::Example;
use crate::scalar::shape::fit;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const REGEXP: ScalarFunction = ScalarFunction {
    name: "REGEXP",
    syntax: "REGEXP(text, pattern)",
    description: "Whether a part fits a regular expression.",
    documentation: "Regular expressions are those of Java but for look-around and back references, which are \
         refused: matching takes linear time. NULL gives NULL. A constant pattern that cannot be read is an error, one \
         of a row fits nothing, as an empty one does.",
    examples: &[
        Example { sql: "REGEXP('100-200', '\\d+')", result: "TRUE" },
        Example { sql: "REGEXP('abc', '^b')", result: "FALSE" },
    ],
    category: Category::String,
    arity: (2, 2),
    resolve: regexp,
};

/// An empty pattern fits nothing, and neither does one of a row that Java cannot read.
fn regexp(a: &mut Arguments) -> Result<Option<Resolved>> {
    let constant = constant_pattern(a, |p| java(p).map(Some))?;
    if !fit(a, &[K::STRING, K::STRING])? {
        return Ok(None);
    }
    let t = K::Boolean.nullable().with_nullable(a.nullable());
    let never_fails = constant.is_some();
    let resolved = Resolved::new(t, move |args, rows| {
        let (text, written) = (Text::of(&args[0])?, Text::of(&args[1])?);
        let pattern = pattern(&constant, &args[1], java_or_null)?;
        build_boolean(args, rows, |i| match text.get(i) {
            Some(t) => {
                let fits = pattern.with(i, |r| !r.as_str().is_empty() && r.is_match(t))?;
                Ok(fits.or(written.get(i).map(|_| false)))
            }
            None => Ok(None),
        })
    });
    Ok(Some(if never_fails { resolved.infallible() } else { resolved }))
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("REGEXP", &[("100-200", "STRING"), ("(\\d+)", "STRING")], "TRUE"),
            ("REGEXP", &[("٣", "STRING"), ("\\d", "STRING")], "FALSE"),
            ("REGEXP", &[("abc", "STRING"), ("", "STRING")], "FALSE"),
            ("REGEXP", &[("a.b", "STRING"), ("^\\Qa.b\\E$", "STRING")], "TRUE"),
            ("REGEXP", &[("foo bar", "STRING"), ("[\\w]+\\s\\p{Alpha}+", "STRING")], "TRUE"),
            ("REGEXP", &[("größe", "STRING"), ("(", "STRING")], "ERROR not a usable regular expression"),
        ]);
    }
}
