//! TANH: the hyperbolic tangent.

use super::{angle, unary};
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const TANH: ScalarFunction = ScalarFunction {
    name: "TANH",
    syntax: "TANH(number)",
    description: "The hyperbolic tangent.",
    documentation: "The argument becomes a DOUBLE, and so is the result. NULL gives NULL.",
    examples: &[Example { sql: "TANH(0)", result: "0.0" }],
    category: Category::Arithmetic,
    arity: (1, 1),
    resolve: |a| unary(a, angle::tanh),
};
