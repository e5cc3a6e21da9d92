//! LOG: the logarithm, natural without a base.

use super::{binary, unary};
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const LOG: ScalarFunction = ScalarFunction {
    name: "LOG",
    syntax: "LOG([base, ]number)",
    description: "The logarithm, natural without a base.",
    documentation: "Arguments become DOUBLE, and so is the result: LN(number) / LN(base), with what that rounds. \
         NULL gives NULL.",
    examples: &[
        Example { sql: "LOG(10)", result: "2.302585092994046" },
        Example { sql: "LOG(2, 8)", result: "3.0" },
        Example { sql: "LOG(10, 1000)", result: "2.9999999999999996" },
    ],
    category: Category::Arithmetic,
    arity: (1, 2),
    resolve: |a| {
        if a.values.len() == 1 { unary(a, f64::ln) } else { binary(a, |base, v| v.ln() / base.ln()) }
    },
};

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[("LOG", &[("10", "INT"), ("100", "INT")], "2.0")]);
    }
}
