//! REGEXP_EXTRACT_ALL: a group (1, where none is given; 0 is all) of every part that fits; NULL where there is no such
//! group.

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::types::Int32Type;
use flott_core::Result;
use flott_core::types::{TypeKind as K, arrow_field};

use super::{captures, constant_pattern, java_or_null, pattern};
use crate::argument::{Primitive, Text, finish, rows_of};
use crate::example::Example;
use crate::scalar::shape::fit;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const REGEXP_EXTRACT_ALL: ScalarFunction = ScalarFunction {
    name: "REGEXP_EXTRACT_ALL",
    syntax: "REGEXP_EXTRACT_ALL(text, pattern[, group])",
    description: "A group (1, where none is given; 0 is all) of every part that fits; NULL where there is no such group.",
    documentation: "Regular expressions are those of Java but for look-around and back references, which are \
         refused: matching takes linear time. A part in which the group is not has NULL in its place.",
    examples: &[
        Example { sql: "REGEXP_EXTRACT_ALL('100-200, 300-400', '(\\d+)-(\\d+)')", result: "[100, 300]" },
        Example { sql: "REGEXP_EXTRACT_ALL('100-200, 300-400', '(\\d+)-(\\d+)', 0)", result: "[100-200, 300-400]" },
        Example { sql: "REGEXP_EXTRACT_ALL('abc', 'x(y)')", result: "[]" },
    ],
    category: Category::String,
    arity: (2, 3),
    resolve: extract_all,
};

fn extract_all(a: &mut Arguments) -> Result<Option<Resolved>> {
    if !fit(a, &[K::STRING, K::STRING, K::Int])? {
        return Ok(None);
    }
    let constant = constant_pattern(a, java_or_null)?;
    let element = K::STRING.nullable();
    let t = K::Array(Box::new(element.clone())).nullable();
    Ok(Some(Resolved::new(t, move |args, rows| {
        let texts = Text::of(&args[0])?;
        let patterns = pattern(&constant, &args[1], java_or_null)?;
        let group = args.get(2).map(Primitive::<Int32Type>::of).transpose()?;
        let mut out = ListBuilder::new(StringBuilder::new()).with_field(arrow_field("item", &element));
        for row in 0..rows_of(args, rows) {
            let group = group.as_ref().map_or(Some(1), |g| g.get(row));
            let (Some(text), Some(group)) = (texts.get(row), group) else {
                out.append(false);
                continue;
            };
            let found = patterns.with(row, |regex| {
                let group = usize::try_from(group).ok().filter(|g| *g < regex.captures_len())?;
                let parts = captures(regex, text).map(|c| c.get(group).map(|m| m.as_str()));
                Some(parts.collect::<Vec<Option<&str>>>())
            })?;
            match found.flatten() {
                Some(parts) => {
                    parts.into_iter().for_each(|p| out.values().append_option(p));
                    out.append(true);
                }
                None => out.append(false),
            }
        }
        finish(args, std::sync::Arc::new(out.finish()))
    })))
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        const T: (&str, &str) = ("100-200, 300-400", "STRING");
        const P: (&str, &str) = ("(\\d+)-(\\d+)", "STRING");
        check(&[
            ("REGEXP_EXTRACT_ALL", &[T, P], "[100, 300]"),
            ("REGEXP_EXTRACT_ALL", &[T, P, ("2", "INT")], "[200, 400]"),
            ("REGEXP_EXTRACT_ALL", &[T, P, ("0", "INT")], "[100-200, 300-400]"),
            ("REGEXP_EXTRACT_ALL", &[T, P, ("3", "INT")], "NULL"),
            ("REGEXP_EXTRACT_ALL", &[T, P, ("-1", "INT")], "NULL"),
            ("REGEXP_EXTRACT_ALL", &[T, ("x(y)", "STRING")], "[]"),
            ("REGEXP_EXTRACT_ALL", &[T, ("0", "STRING")], "NULL"),
            ("REGEXP_EXTRACT_ALL", &[("abab", "STRING"), ("(a)(c)?", "STRING"), ("2", "INT")], "[NULL, NULL]"),
            ("REGEXP_EXTRACT_ALL", &[("ab1c", "STRING"), ("[a-z]*", "STRING"), ("0", "INT")], "[ab, , c, ]"),
            ("REGEXP_EXTRACT_ALL", &[("ab", "STRING"), ("(ab)|([a-z]*)", "STRING"), ("2", "INT")], "[NULL, ]"),
            ("REGEXP_EXTRACT_ALL", &[("NULL", "STRING"), P], "NULL"),
            ("REGEXP_EXTRACT_ALL", &[T, ("NULL", "STRING")], "NULL"),
            ("REGEXP_EXTRACT_ALL", &[T, ("(", "STRING")], "NULL"),
        ]);
    }
}
