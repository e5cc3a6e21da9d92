//! LPAD: filled up at the start, or cut.

use super::pad;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const LPAD: ScalarFunction = ScalarFunction {
    name: "LPAD",
    syntax: "LPAD(text, length, with)",
    description: "Filled up at the start, or cut.",
    documentation: "The length is that of the result, in characters. It is NULL where an argument is NULL, the \
         length negative or the text to fill with empty.",
    examples: &[
        Example { sql: "LPAD('hi', 4, '??')", result: "??hi" },
        Example { sql: "LPAD('hi', 1, '??')", result: "h" },
    ],
    category: Category::String,
    arity: (3, 3),
    resolve: |a| pad(a, true),
};

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("LPAD", &[("hello", "STRING"), ("1", "INT"), ("??", "STRING")], "h"),
            ("LPAD", &[("äää", "STRING"), ("5", "INT"), ("12", "STRING")], "12äää"),
            ("LPAD", &[("a", "STRING"), ("-1", "INT"), ("x", "STRING")], "NULL"),
        ]);
    }
}
