//! EXP: e to the power of the number.

use super::unary;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const EXP: ScalarFunction = ScalarFunction {
    name: "EXP",
    syntax: "EXP(number)",
    description: "e to the power of the number.",
    documentation: "The argument becomes a DOUBLE, and so is the result. NULL gives NULL.",
    examples: &[
        Example { sql: "EXP(0)", result: "1.0" },
        Example { sql: "EXP(CAST(NULL AS DOUBLE))", result: "<NULL>" },
    ],
    category: Category::Arithmetic,
    arity: (1, 1),
    resolve: |a| unary(a, f64::exp),
};
