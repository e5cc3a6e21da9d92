//! COSH: the hyperbolic cosine.

use super::{angle, unary};
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const COSH: ScalarFunction = ScalarFunction {
    name: "COSH",
    syntax: "COSH(number)",
    description: "The hyperbolic cosine.",
    documentation: "The argument becomes a DOUBLE, and so is the result. NULL gives NULL.",
    examples: &[Example { sql: "COSH(0)", result: "1.0" }],
    category: Category::Arithmetic,
    arity: (1, 1),
    resolve: |a| unary(a, angle::cosh),
};
