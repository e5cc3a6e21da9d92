//! TAN: the tangent of radians.

use super::unary;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const TAN: ScalarFunction = ScalarFunction {
    name: "TAN",
    syntax: "TAN(number)",
    description: "The tangent of radians.",
    documentation: "The argument becomes a DOUBLE, and so is the result. NULL gives NULL.",
    examples: &[Example { sql: "TAN(0)", result: "0.0" }],
    category: Category::Arithmetic,
    arity: (1, 1),
    resolve: |a| unary(a, f64::tan),
};
