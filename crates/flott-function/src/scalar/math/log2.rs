//! LOG2: the logarithm to base 2.

use super::unary;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const LOG2: ScalarFunction = ScalarFunction {
    name: "LOG2",
    syntax: "LOG2(number)",
    description: "The logarithm to base 2.",
    documentation: "The argument becomes a DOUBLE, and so is the result. NULL gives NULL. Of 0 it is -Infinity, of a \
         negative number NaN.",
    examples: &[Example { sql: "LOG2(8)", result: "3.0" }],
    category: Category::Arithmetic,
    arity: (1, 1),
    resolve: |a| {
        // As Java computes it, to the last bit.
        unary(a, |v| v.ln() / 2f64.ln())
    },
};

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[("LOG2", &[("8", "INT")], "3.0")]);
    }
}
