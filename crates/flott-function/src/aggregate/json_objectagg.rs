//! JSON_OBJECTAGG: a JSON object of the keys and values, by keys; a key may come once. NULL is written as null.

use crate::example::{Documentation, Example};

pub(super) const JSON_OBJECT_AGG: Documentation = Documentation {
    syntax: "JSON_OBJECTAGG([KEY] key VALUE value [NULL ON NULL])",
    description: "A JSON object of the keys and values, by keys; a key may come once. NULL is written as null.",
    documentation: "Keys are texts; one that is NULL or comes twice is an error. Values are those of JSON_OBJECT. \
         Without rows it is `{}`.",
    examples: &[Example {
        sql: "SELECT JSON_OBJECTAGG(KEY k VALUE v) FROM (VALUES ('a', 1), ('b', CAST(NULL AS INT))) AS t (k, v)",
        result: "{\"a\":1,\"b\":null}",
    }],
};

pub(super) const JSON_OBJECT_AGG_ABSENT_ON_NULL: Documentation = Documentation {
    syntax: "JSON_OBJECTAGG([KEY] key VALUE value ABSENT ON NULL)",
    description: "The same without the keys whose value is NULL.",
    documentation: "Keys are texts; one that is NULL or comes twice is an error.",
    examples: &[Example {
        sql: "SELECT JSON_OBJECTAGG(KEY k VALUE v ABSENT ON NULL) FROM (VALUES ('a', 1), ('b', CAST(NULL AS INT))) AS t (k, v)",
        result: "{\"a\":1}",
    }],
};
