//! BITMAP_AND: the numbers that are in both.

use super::two;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const BITMAP_AND: ScalarFunction = ScalarFunction {
    name: "BITMAP_AND",
    syntax: "BITMAP_AND(a, b)",
    description: "The numbers that are in both.",
    documentation: "Both are BITMAPs; where one is NULL, so is the result.",
    examples: &[
        Example { sql: "BITMAP_AND(BITMAP_BUILD(ARRAY[1, 2]), BITMAP_BUILD(ARRAY[2, 3]))", result: "{2}" },
        Example { sql: "BITMAP_AND(BITMAP_BUILD(ARRAY[1]), CAST(NULL AS BITMAP))", result: "<NULL>" },
    ],
    category: Category::Bitmap,
    arity: (2, 2),
    resolve: |a| two(a, |a, b| a & b),
};
