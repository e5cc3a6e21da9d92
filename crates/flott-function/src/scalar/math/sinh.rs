//! SINH: the hyperbolic sine.

use super::{angle, unary};
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const SINH: ScalarFunction = ScalarFunction {
    name: "SINH",
    syntax: "SINH(number)",
    description: "The hyperbolic sine.",
    documentation: "The argument becomes a DOUBLE, and so is the result. NULL gives NULL.",
    examples: &[Example { sql: "SINH(0)", result: "0.0" }, Example { sql: "SINH(1)", result: "1.1752011936438014" }],
    category: Category::Arithmetic,
    arity: (1, 1),
    resolve: |a| unary(a, angle::sinh),
};
