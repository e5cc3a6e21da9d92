//! SIN: the sine of radians.

use super::unary;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const SIN: ScalarFunction = ScalarFunction {
    name: "SIN",
    syntax: "SIN(number)",
    description: "The sine of radians.",
    documentation: "The argument becomes a DOUBLE, and so is the result. NULL gives NULL.",
    examples: &[Example { sql: "SIN(0)", result: "0.0" }, Example { sql: "SIN(1)", result: "0.8414709848078965" }],
    category: Category::Arithmetic,
    arity: (1, 1),
    resolve: |a| unary(a, f64::sin),
};
