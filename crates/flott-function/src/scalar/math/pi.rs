//! PI: 3.14159..

use super::constant;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const PI: ScalarFunction = ScalarFunction {
    name: "PI",
    syntax: "PI()",
    description: "3.14159..",
    documentation: "The DOUBLE that is nearest to it.",
    examples: &[Example { sql: "PI()", result: "3.141592653589793" }],
    category: Category::Arithmetic,
    arity: (0, 0),
    resolve: |_| Ok(Some(constant(std::f64::consts::PI))),
};

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[("PI", &[], "3.141592653589793")]);
    }
}
