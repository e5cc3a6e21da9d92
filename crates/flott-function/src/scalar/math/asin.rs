//! ASIN: the arc sine.

use super::unary;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const ASIN: ScalarFunction = ScalarFunction {
    name: "ASIN",
    syntax: "ASIN(number)",
    description: "The arc sine.",
    documentation: "The argument becomes a DOUBLE, and so is the result. NULL gives NULL. It is in radians, from \
         -PI/2 to PI/2; beyond -1 and 1 it is NaN.",
    examples: &[
        Example { sql: "ASIN(0)", result: "0.0" },
        Example { sql: "ASIN(1)", result: "1.5707963267948966" },
        Example { sql: "ASIN(2)", result: "NaN" },
    ],
    category: Category::Arithmetic,
    arity: (1, 1),
    resolve: |a| unary(a, libm::asin),
};
