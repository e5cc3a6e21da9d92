//! SIGN: -1, 0 or 1.

use super::{Step, same_type};
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const SIGN: ScalarFunction = ScalarFunction {
    name: "SIGN",
    syntax: "SIGN(number)",
    description: "-1, 0 or 1.",
    documentation: "It has the type of the number. NULL gives NULL.",
    examples: &[
        Example { sql: "SIGN(-7)", result: "-1" },
        Example { sql: "SIGN(0)", result: "0" },
        Example { sql: "SIGN(2.5E0)", result: "1.0" },
    ],
    category: Category::Arithmetic,
    arity: (1, 1),
    resolve: |a| same_type(a, Step::Sign),
};

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[("SIGN", &[("-1.5", "DECIMAL(2, 1)")], "-1.0"), ("SIGN", &[("0", "DOUBLE")], "0.0")]);
    }
}
