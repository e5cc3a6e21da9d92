//! BITMAP_OR: the numbers that are in one of them.

use super::two;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const BITMAP_OR: ScalarFunction = ScalarFunction {
    name: "BITMAP_OR",
    syntax: "BITMAP_OR(a, b)",
    description: "The numbers that are in one of them.",
    documentation: "Both are BITMAPs; where one is NULL, so is the result.",
    examples: &[
        Example { sql: "BITMAP_OR(BITMAP_BUILD(ARRAY[1, 2]), BITMAP_BUILD(ARRAY[2, 3]))", result: "{1,2,3}" },
        Example { sql: "BITMAP_OR(BITMAP_BUILD(ARRAY[1]), CAST(NULL AS BITMAP))", result: "<NULL>" },
    ],
    category: Category::Bitmap,
    arity: (2, 2),
    resolve: |a| two(a, |a, b| a | b),
};
