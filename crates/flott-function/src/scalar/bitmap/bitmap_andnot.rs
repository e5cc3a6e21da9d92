//! BITMAP_ANDNOT: the numbers of the first without those of the second.

use super::two;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const BITMAP_ANDNOT: ScalarFunction = ScalarFunction {
    name: "BITMAP_ANDNOT",
    syntax: "BITMAP_ANDNOT(a, b)",
    description: "The numbers of the first without those of the second.",
    documentation: "Both are BITMAPs; where one is NULL, so is the result.",
    examples: &[Example { sql: "BITMAP_ANDNOT(BITMAP_BUILD(ARRAY[1, 2]), BITMAP_BUILD(ARRAY[2, 3]))", result: "{1}" }],
    category: Category::Bitmap,
    arity: (2, 2),
    resolve: |a| two(a, |a, b| a - b),
};
