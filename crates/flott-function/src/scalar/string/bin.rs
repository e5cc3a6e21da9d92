//! BIN: in binary digits.

use super::number_text;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const BIN: ScalarFunction = ScalarFunction {
    name: "BIN",
    syntax: "BIN(number)",
    description: "In binary digits.",
    documentation: "Of a whole number its two's complement in 64 bits without zeroes at the start. NULL gives NULL.",
    examples: &[Example { sql: "BIN(4)", result: "100" }, Example { sql: "BIN(12)", result: "1100" }],
    category: Category::String,
    arity: (1, 1),
    resolve: |a| number_text(a, |n| format!("{n:b}")),
};

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("BIN", &[("12", "INT")], "1100"),
            ("BIN", &[("-7", "BIGINT")], "1111111111111111111111111111111111111111111111111111111111111001"),
        ]);
    }
}
