//! RPAD: filled up at the end, or cut.

use super::pad;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const RPAD: ScalarFunction = ScalarFunction {
    name: "RPAD",
    syntax: "RPAD(text, length, with)",
    description: "Filled up at the end, or cut.",
    documentation: "The length is that of the result, in characters. It is NULL where an argument is NULL, the \
         length negative or the text to fill with empty.",
    examples: &[
        Example { sql: "RPAD('hi', 4, '??')", result: "hi??" },
        Example { sql: "RPAD('hi', 1, '??')", result: "h" },
    ],
    category: Category::String,
    arity: (3, 3),
    resolve: |a| pad(a, false),
};

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("RPAD", &[("äää", "STRING"), ("6", "INT"), ("12", "STRING")], "äää121"),
            ("RPAD", &[("a", "STRING"), ("3", "INT"), ("", "STRING")], "NULL"),
        ]);
    }
}
