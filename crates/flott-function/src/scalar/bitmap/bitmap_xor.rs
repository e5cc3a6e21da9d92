//! BITMAP_XOR: the numbers that are in one of them alone.

use super::two;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const BITMAP_XOR: ScalarFunction = ScalarFunction {
    name: "BITMAP_XOR",
    syntax: "BITMAP_XOR(a, b)",
    description: "The numbers that are in one of them alone.",
    documentation: "Both are BITMAPs; where one is NULL, so is the result.",
    examples: &[Example { sql: "BITMAP_XOR(BITMAP_BUILD(ARRAY[1, 2]), BITMAP_BUILD(ARRAY[2, 3]))", result: "{1,3}" }],
    category: Category::Bitmap,
    arity: (2, 2),
    resolve: |a| two(a, |a, b| a ^ b),
};
