//! IS_ALPHA: whether all characters are letters.

use super::{is_text_of, same_of_numbers};
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const IS_ALPHA: ScalarFunction = ScalarFunction {
    name: "IS_ALPHA",
    syntax: "IS_ALPHA(text)",
    description: "Whether all characters are letters.",
    documentation: "FALSE of an empty text, of NULL and of numbers.",
    examples: &[Example { sql: "IS_ALPHA('ab')", result: "TRUE" }, Example { sql: "IS_ALPHA('ab1')", result: "FALSE" }],
    category: Category::String,
    arity: (1, 1),
    resolve: |a| {
        if a.values[0].data_type.kind.is_numeric() {
            return Ok(Some(same_of_numbers(false)));
        }
        is_text_of(a, |t| !t.is_empty() && t.chars().all(char::is_alphabetic))
    },
};

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("IS_ALPHA", &[("äb", "STRING")], "TRUE"),
            ("IS_ALPHA", &[("a1", "STRING")], "FALSE"),
            ("IS_ALPHA", &[("NULL", "STRING")], "FALSE"),
            ("IS_ALPHA", &[("1", "INT")], "FALSE"),
        ]);
    }
}
