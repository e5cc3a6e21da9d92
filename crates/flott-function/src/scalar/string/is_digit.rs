//! IS_DIGIT: whether all characters are digits.

use super::{is_text_of, same_of_numbers};
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const IS_DIGIT: ScalarFunction = ScalarFunction {
    name: "IS_DIGIT",
    syntax: "IS_DIGIT(text)",
    description: "Whether all characters are digits.",
    documentation: "FALSE of an empty text and of NULL. A value of a whole number's type always is, one of another number's never.",
    examples: &[Example { sql: "IS_DIGIT('12')", result: "TRUE" }, Example { sql: "IS_DIGIT('1.2')", result: "FALSE" }],
    category: Category::String,
    arity: (1, 1),
    resolve: |a| {
        let kind = &a.values[0].data_type.kind;
        if kind.is_numeric() {
            return Ok(Some(same_of_numbers(kind.is_integer())));
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
            ("IS_DIGIT", &[("NULL", "INT")], "TRUE"),
            ("IS_DIGIT", &[("5", "DECIMAL(2, 0)")], "FALSE"),
            ("IS_DIGIT", &[("5", "DOUBLE")], "FALSE"),
        ]);
    }
}
