//! ACOS: the arc cosine.

use super::unary;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const ACOS: ScalarFunction = ScalarFunction {
    name: "ACOS",
    syntax: "ACOS(number)",
    description: "The arc cosine.",
    documentation: "The argument becomes a DOUBLE, and so is the result. NULL gives NULL. It is in radians, from 0 \
         to PI; beyond -1 and 1 it is NaN.",
    examples: &[
        Example { sql: "ACOS(1)", result: "0.0" },
        Example { sql: "ACOS(0)", result: "1.5707963267948966" },
        Example { sql: "ACOS(2)", result: "NaN" },
    ],
    category: Category::Arithmetic,
    arity: (1, 1),
    resolve: |a| unary(a, libm::acos),
};
