//! ATAN2: the angle of the point (x, y).

use super::{angle, binary};
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const ATAN2: ScalarFunction = ScalarFunction {
    name: "ATAN2",
    syntax: "ATAN2(y, x)",
    description: "The angle of the point (x, y).",
    documentation: "In radians, from -PI to PI. Both arguments become DOUBLE, and so is the result. NULL gives NULL.",
    examples: &[
        Example { sql: "ATAN2(1, 1)", result: "0.7853981633974483" },
        Example { sql: "ATAN2(-1, -1)", result: "-2.356194490192345" },
        Example { sql: "ATAN2(0, 0)", result: "0.0" },
    ],
    category: Category::Arithmetic,
    arity: (2, 2),
    resolve: |a| binary(a, angle::atan2),
};
