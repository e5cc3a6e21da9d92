//! IS_DIGIT: whether all characters are digits.

use super::{always_true, is_text_of};
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const IS_DIGIT: ScalarFunction = ScalarFunction {
    name: "IS_DIGIT",
    syntax: "IS_DIGIT(text)",
    description: "Whether all characters are digits.",
    documentation: "FALSE of an empty text and of NULL; a whole number is always one.",
    examples: &[Example { sql: "IS_DIGIT('12')", result: "TRUE" }, Example { sql: "IS_DIGIT('1.2')", result: "FALSE" }],
    category: Category::String,
    arity: (1, 1),
    resolve: |a| {
        if a.values[0].data_type.kind.is_integer() {
            return always_true(a);
        }
        is_text_of(a, |t| !t.is_empty() && t.chars().all(|c| c.is_numeric()))
    },
};

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("IS_DIGIT", &[("NULL", "STRING")], "FALSE"),
            ("IS_DIGIT", &[("123", "STRING")], "TRUE"),
            ("IS_DIGIT", &[("", "STRING")], "FALSE"),
            ("IS_DIGIT", &[("5", "INT")], "TRUE"),
        ]);
    }
}
