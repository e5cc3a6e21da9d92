//! LN: the natural logarithm.

use super::unary;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const LN: ScalarFunction = ScalarFunction {
    name: "LN",
    syntax: "LN(number)",
    description: "The natural logarithm.",
    documentation: "The argument becomes a DOUBLE, and so is the result. NULL gives NULL. Of 0 it is -Infinity, of a \
         negative number NaN.",
    examples: &[
        Example { sql: "LN(1)", result: "0.0" },
        Example { sql: "LN(10)", result: "2.302585092994046" },
        Example { sql: "LN(0)", result: "-Infinity" },
    ],
    category: Category::Arithmetic,
    arity: (1, 1),
    resolve: |a| unary(a, f64::ln),
};

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[("LN", &[("0", "INT")], "-Infinity")]);
    }
}
