//! E: 2.71828..

use super::constant;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const E: ScalarFunction = ScalarFunction {
    name: "E",
    syntax: "E()",
    description: "2.71828..",
    documentation: "The DOUBLE that is nearest to it.",
    examples: &[Example { sql: "E()", result: "2.718281828459045" }],
    category: Category::Arithmetic,
    arity: (0, 0),
    resolve: |_| Ok(Some(constant(std::f64::consts::E))),
};

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[("E", &[], "2.718281828459045")]);
    }
}
