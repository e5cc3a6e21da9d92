//! DEGREES: radians in degrees.

use super::unary;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const DEGREES: ScalarFunction = ScalarFunction {
    name: "DEGREES",
    syntax: "DEGREES(radians)",
    description: "Radians in degrees.",
    documentation: "The argument becomes a DOUBLE, and so is the result. NULL gives NULL.",
    examples: &[Example { sql: "DEGREES(PI())", result: "180.0" }],
    category: Category::Arithmetic,
    arity: (1, 1),
    resolve: |a| unary(a, f64::to_degrees),
};

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[("DEGREES", &[("3.141592653589793", "DOUBLE")], "180.0")]);
    }
}
