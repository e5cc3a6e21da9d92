//! RADIANS: degrees in radians.

use super::unary;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const RADIANS: ScalarFunction = ScalarFunction {
    name: "RADIANS",
    syntax: "RADIANS(degrees)",
    description: "Degrees in radians.",
    documentation: "The argument becomes a DOUBLE, and so is the result. NULL gives NULL.",
    examples: &[Example { sql: "RADIANS(180)", result: "3.141592653589793" }],
    category: Category::Arithmetic,
    arity: (1, 1),
    resolve: |a| unary(a, f64::to_radians),
};
