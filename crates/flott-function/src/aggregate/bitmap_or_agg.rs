//! BITMAP_OR_AGG and BITMAP_OR_CARDINALITY_AGG: the numbers that are in one of the bitmaps.

use crate::example::{Documentation, Example};

pub(super) const BITMAP_OR_AGG: Documentation = Documentation {
    syntax: "BITMAP_OR_AGG(bitmap)",
    description: "The numbers that are in one of the bitmaps.",
    documentation: "NULL does not count; NULL where there is none.",
    examples: &[Example {
        sql: "SELECT BITMAP_OR_AGG(BITMAP_BUILD(a)) FROM (VALUES (1, ARRAY[1, 2, 3]), (2, ARRAY[2, 3, 70000])) AS t (k, a)",
        result: "{1,2,3,70000}",
    }],
};

pub(super) const BITMAP_OR_CARDINALITY_AGG: Documentation = Documentation {
    syntax: "BITMAP_OR_CARDINALITY_AGG(bitmap)",
    description: "How many numbers are in one of the bitmaps.",
    documentation: "NULL does not count; NULL where there is none. A BIGINT.",
    examples: &[Example {
        sql: "SELECT BITMAP_OR_CARDINALITY_AGG(BITMAP_BUILD(a)) FROM (VALUES (1, ARRAY[1, 2, 3]), (2, ARRAY[2, 3, 70000])) AS t (k, a)",
        result: "4",
    }],
};
