//! LISTAGG: the texts that are not NULL, in the order in which they came, with a separator (a comma) between.

use crate::example::{Documentation, Example};

pub(super) const LIST_AGG: Documentation = Documentation {
    syntax: "LISTAGG([DISTINCT] text[, separator])",
    description: "The texts that are not NULL, in the order in which they came, with a separator (a comma) \
         between.",
    documentation: "A STRING, NULL where there is none. The separator is a constant.",
    examples: &[
        Example {
            sql: "SELECT LISTAGG(x) FROM (VALUES ('a'), ('b'), (CAST(NULL AS STRING)), ('a')) AS t (x)",
            result: "a,b,a",
        },
        Example {
            sql: "SELECT LISTAGG(DISTINCT x, '-') FROM (VALUES ('a'), ('b'), (CAST(NULL AS STRING)), ('a')) AS t (x)",
            result: "a-b",
        },
    ],
};
