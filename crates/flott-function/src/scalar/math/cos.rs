//! COS: the cosine of radians.

use super::unary;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const COS: ScalarFunction = ScalarFunction {
    name: "COS",
    syntax: "COS(number)",
    description: "The cosine of radians.",
    documentation: "The argument becomes a DOUBLE, and so is the result. NULL gives NULL.",
    examples: &[Example { sql: "COS(0)", result: "1.0" }, Example { sql: "COS(1)", result: "0.5403023058681398" }],
    category: Category::Arithmetic,
    arity: (1, 1),
    resolve: |a| unary(a, f64::cos),
};
