//! SQRT: the square root.

use super::unary;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const SQRT: ScalarFunction = ScalarFunction {
    name: "SQRT",
    syntax: "SQRT(number)",
    description: "The square root.",
    documentation: "The argument becomes a DOUBLE, and so is the result. NULL gives NULL. Of a negative number it is \
         NaN.",
    examples: &[Example { sql: "SQRT(9)", result: "3.0" }, Example { sql: "SQRT(-1)", result: "NaN" }],
    category: Category::Arithmetic,
    arity: (1, 1),
    resolve: |a| unary(a, sqrt),
};

/// As Flink computes it, which is by `POWER(x, 0.5)`: there -Infinity has a root, and that of -0.0 is 0.0.
fn sqrt(x: f64) -> f64 {
    if x == f64::NEG_INFINITY { f64::INFINITY } else { x.sqrt() + 0.0 }
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[("SQRT", &[("9", "INT")], "3.0"), ("SQRT", &[("-1", "INT")], "NaN")]);
    }
}
