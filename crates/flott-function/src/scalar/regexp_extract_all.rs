//! REGEXP_EXTRACT_ALL: every part that fits a regular expression.

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::types::Int32Type;
use flott_core::Result;
use flott_core::types::{TypeKind as K, arrow_field};

use super::regex::{captures, constant_pattern, java_or_null, pattern};
use super::shape::{entry, fit};
use super::{Arguments, Category, ScalarFunction};
use crate::argument::{Primitive, Text, finish, rows_of};
use crate::udf::Resolved;

/// All of them.
pub(super) const FUNCTIONS: &[ScalarFunction] = &[entry(
    Category::String,
    "REGEXP_EXTRACT_ALL",
    "REGEXP_EXTRACT_ALL(text, pattern[, group])",
    "A group (1, where none is given; 0 is all) of every part that fits; NULL where there is no such group.",
    (2, 3),
    extract_all,
)];

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
    fn every_part_that_fits() {
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
