//! JSON_ARRAYAGG: a JSON array of the values that are not NULL, in the order in which they came.

use crate::example::{Documentation, Example};

pub(super) const JSON_ARRAY_AGG: Documentation = Documentation {
    syntax: "JSON_ARRAYAGG(value [ABSENT ON NULL])",
    description: "A JSON array of the values that are not NULL, in the order in which they came.",
    documentation: "Values are those of JSON_ARRAY. Without rows it is `[]`.",
    examples: &[Example {
        sql: "SELECT JSON_ARRAYAGG(x) FROM (VALUES ('a'), ('b'), (CAST(NULL AS STRING)), ('a')) AS t (x)",
        result: "[\"a\",\"b\",\"a\"]",
    }],
};

pub(super) const JSON_ARRAY_AGG_NULL_ON_NULL: Documentation = Documentation {
    syntax: "JSON_ARRAYAGG(value NULL ON NULL)",
    description: "The same with NULL as null.",
    documentation: "Values are those of JSON_ARRAY. Without rows it is `[]`.",
    examples: &[Example {
        sql: "SELECT JSON_ARRAYAGG(x NULL ON NULL) FROM (VALUES ('a'), ('b'), (CAST(NULL AS STRING)), ('a')) AS t (x)",
        result: "[\"a\",\"b\",null,\"a\"]",
    }],
};
