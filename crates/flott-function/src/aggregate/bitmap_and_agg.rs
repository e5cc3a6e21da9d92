//! BITMAP_AND_AGG and BITMAP_AND_CARDINALITY_AGG: the numbers that are in all bitmaps.

use crate::example::{Documentation, Example};

pub(super) const BITMAP_AND_AGG: Documentation = Documentation {
    syntax: "BITMAP_AND_AGG(bitmap)",
    description: "The numbers that are in all bitmaps.",
    documentation: "NULL does not count; NULL where there is none.",
    examples: &[Example {
        sql: "SELECT BITMAP_AND_AGG(BITMAP_BUILD(a)) FROM (VALUES (1, ARRAY[1, 2, 3]), (2, ARRAY[2, 3, 70000])) AS t (k, a)",
        result: "{2,3}",
    }],
};

pub(super) const BITMAP_AND_CARDINALITY_AGG: Documentation = Documentation {
    syntax: "BITMAP_AND_CARDINALITY_AGG(bitmap)",
    description: "How many numbers are in all bitmaps.",
    documentation: "NULL does not count; NULL where there is none. A BIGINT.",
    examples: &[Example {
        sql: "SELECT BITMAP_AND_CARDINALITY_AGG(BITMAP_BUILD(a)) FROM (VALUES (1, ARRAY[1, 2, 3]), (2, ARRAY[2, 3, 70000])) AS t (k, a)",
        result: "2",
    }],
};
