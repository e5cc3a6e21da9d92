//! ATAN: the arc tangent.

use super::unary;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const ATAN: ScalarFunction = ScalarFunction {
    name: "ATAN",
    syntax: "ATAN(number)",
    description: "The arc tangent.",
    documentation: "The argument becomes a DOUBLE, and so is the result. NULL gives NULL. It is in radians, from \
         -PI/2 to PI/2.",
    examples: &[Example { sql: "ATAN(0)", result: "0.0" }, Example { sql: "ATAN(1)", result: "0.7853981633974483" }],
    category: Category::Arithmetic,
    arity: (1, 1),
    resolve: |a| unary(a, libm::atan),
};
