//! Table functions that are built in.

use flott_function::{Documentation, Example};

use super::Family;

pub(super) const FAMILY: Family = Family {
    title: "Table functions",
    introduction: "In FROM: each row of what stands before is joined with the rows that the function makes of it; with LEFT JOIN \
                   one that has none stays. Functions of your own stand in `LATERAL TABLE(..)` \
                   ([statements.md](statements.md#functions-of-your-own)).",
    functions: &[
        Documentation {
            syntax: "UNNEST(collection) [WITH ORDINALITY]",
            description: "A row for each element of an ARRAY or a MULTISET, or for each entry of a MAP.",
            documentation: "Elements that are rows become the row's columns. WITH ORDINALITY adds a column with the place, from 1.",
            examples: &[
                Example {
                    sql: "SELECT k, x FROM (VALUES ('a', ARRAY[1, 2]), ('b', ARRAY[3])) AS t (k, xs) CROSS JOIN UNNEST(xs) AS u (x)",
                    result: "a, 1\na, 2\nb, 3",
                },
                Example {
                    sql: "SELECT x, n FROM UNNEST(ARRAY['a', 'b']) WITH ORDINALITY AS u (x, n)",
                    result: "a, 1\nb, 2",
                },
                Example {
                    sql: "SELECT k, v FROM (VALUES (MAP['a', 1, 'b', 2])) AS t (m) CROSS JOIN UNNEST(m) AS u (k, v)",
                    result: "a, 1\nb, 2",
                },
            ],
        },
        Documentation {
            syntax: "VECTOR_SEARCH(TABLE t, DESCRIPTOR(column), query, top_k[, config])",
            description: "The rows of a table outside whose vectors are nearest to a vector, with the column `score`.",
            documentation: "In `LATERAL TABLE(..)`. The table's connector has to be able to search; none that is built in is, so that \
                 there is no example here that runs ([statements.md](statements.md#joins) has one).",
            examples: &[],
        },
    ],
};
