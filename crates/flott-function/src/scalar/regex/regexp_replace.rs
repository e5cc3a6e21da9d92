//! REGEXP_REPLACE: every fitting part replaced; the replacement is taken literally.

use std::borrow::Cow;

use flott_core::Result;
use flott_core::types::TypeKind as K;
use regex::Regex;

use super::{constant_pattern, java_or_null, matches, pattern};
use crate::argument::{Text, build_text};
use crate::example::Example;
use crate::scalar::shape::fit;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const REGEXP_REPLACE: ScalarFunction = ScalarFunction {
    name: "REGEXP_REPLACE",
    syntax: "REGEXP_REPLACE(text, pattern, by)",
    description: "Every fitting part replaced; the replacement is taken literally.",
    documentation: "Regular expressions are those of Java but for look-around and back references, which are \
         refused: matching takes linear time. NULL gives NULL, and so does a pattern that cannot be read.",
    examples: &[
        Example { sql: "REGEXP_REPLACE('foobar', 'oo|ar', '')", result: "fb" },
        Example { sql: "REGEXP_REPLACE('100-200', '(\\d+)', 'num')", result: "num-num" },
        Example { sql: "REGEXP_REPLACE('abc', 'b', CAST(NULL AS STRING))", result: "<NULL>" },
    ],
    category: Category::String,
    arity: (3, 3),
    resolve: replace,
};

/// Every part that fits replaced.
fn replaced<'t>(regex: &Regex, text: &'t str, by: &str) -> Cow<'t, str> {
    let mut kept = 0;
    let mut out = String::new();
    let mut any = false;
    for found in matches(regex, text) {
        any = true;
        out.push_str(&text[kept..found.start()]);
        out.push_str(by);
        kept = found.end();
    }
    if !any {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[kept..]);
    Cow::Owned(out)
}

fn replace(a: &mut Arguments) -> Result<Option<Resolved>> {
    let constant = constant_pattern(a, java_or_null)?;
    if !fit(a, &[K::STRING, K::STRING, K::STRING])? {
        return Ok(None);
    }
    Ok(Some(Resolved::new(K::STRING.nullable(), move |args, rows| {
        let (text, pattern, by) =
            (Text::of(&args[0])?, pattern(&constant, &args[1], java_or_null)?, Text::of(&args[2])?);
        build_text(args, rows, |i, out| {
            let replaced = match (text.get(i), by.get(i)) {
                (Some(t), Some(by)) => pattern.with(i, |r| replaced(r, t, by))?,
                _ => None,
            };
            out.append_option(replaced);
            Ok(())
        })
    })))
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("REGEXP_REPLACE", &[("foobar", "STRING"), ("oo|ar", "STRING"), ("", "STRING")], "fb"),
            ("REGEXP_REPLACE", &[("foobar", "STRING"), ("(oo)", "STRING"), ("$1!", "STRING")], "f$1!bar"),
            ("REGEXP_REPLACE", &[("100-200", "STRING"), ("(\\d+)", "STRING"), ("num", "STRING")], "num-num"),
            ("REGEXP_REPLACE", &[("ab1ç", "STRING"), ("[a-z]*", "STRING"), ("x", "STRING")], "xx1xçx"),
            ("REGEXP_REPLACE", &[("", "STRING"), ("[a-z]*", "STRING"), ("x", "STRING")], "x"),
            ("REGEXP_REPLACE", &[("größe", "STRING"), ("(", "STRING"), ("x", "STRING")], "NULL"),
        ]);
    }
}
