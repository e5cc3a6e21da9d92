//! COT: the cotangent of radians.

use super::unary;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const COT: ScalarFunction = ScalarFunction {
    name: "COT",
    syntax: "COT(number)",
    description: "The cotangent of radians.",
    documentation: "The argument becomes a DOUBLE, and so is the result. NULL gives NULL. Of 0 it is Infinity.",
    examples: &[
        Example { sql: "COT(1)", result: "0.6420926159343306" },
        Example { sql: "COT(0.5)", result: "1.830487721712452" },
    ],
    category: Category::Arithmetic,
    arity: (1, 1),
    resolve: |a| unary(a, |v| 1.0 / v.tan()),
};
