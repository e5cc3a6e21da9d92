//! BITMAP_BUILD_AGG and BITMAP_BUILD_CARDINALITY_AGG: the BITMAP of the numbers that are not NULL; NULL where there is
//! none.

use crate::example::{Documentation, Example};

pub(super) const BITMAP_BUILD_AGG: Documentation = Documentation {
    syntax: "BITMAP_BUILD_AGG(number)",
    description: "The BITMAP of the numbers that are not NULL; NULL where there is none.",
    documentation: "Of TINYINT, SMALLINT and INT, without a sign: -1 is 4294967295.",
    examples: &[Example {
        sql: "SELECT BITMAP_BUILD_AGG(x) FROM (VALUES (1), (2), (CAST(NULL AS INT)), (4)) AS t (x)",
        result: "{1,2,4}",
    }],
};

pub(super) const BITMAP_BUILD_CARDINALITY_AGG: Documentation = Documentation {
    syntax: "BITMAP_BUILD_CARDINALITY_AGG(number)",
    description: "How many different numbers there are; NULL where there is none.",
    documentation: "A BIGINT: BITMAP_CARDINALITY of BITMAP_BUILD_AGG, without making the BITMAP.",
    examples: &[Example {
        sql: "SELECT BITMAP_BUILD_CARDINALITY_AGG(x) FROM (VALUES (1), (2), (CAST(NULL AS INT)), (4)) AS t (x)",
        result: "3",
    }],
};
