//! LOG10: the logarithm to base 10.

use super::unary;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const LOG10: ScalarFunction = ScalarFunction {
    name: "LOG10",
    syntax: "LOG10(number)",
    description: "The logarithm to base 10.",
    documentation: "The argument becomes a DOUBLE, and so is the result. NULL gives NULL. Of 0 it is -Infinity, of a \
         negative number NaN.",
    examples: &[Example { sql: "LOG10(1000)", result: "3.0" }],
    category: Category::Arithmetic,
    arity: (1, 1),
    resolve: |a| unary(a, libm::log10),
};

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[("LOG10", &[("NULL", "INT")], "NULL")]);
    }
}
