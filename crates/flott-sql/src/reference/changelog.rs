//! Changelog functions.

use flott_function::{Documentation, Example};

use super::Family;

pub(super) const FAMILY: Family = Family {
    title: "Changelog functions",
    introduction: "In FROM, in streams. Kinds are `INSERT`, `UPDATE_BEFORE`, `UPDATE_AFTER` and `DELETE`; several of one code, or \
                   codes of one kind, stand in one text with commas between them. Changes of kinds that a mapping leaves out are \
                   left out.",
    functions: &[
        Documentation {
            syntax: "TO_CHANGELOG(input => TABLE t[, op => DESCRIPTOR(column)]\
                     [, op_mapping => MAP[kinds, code, ..]][, on_time => DESCRIPTOR(time_column)][, uid => name])",
            description: "Changes as rows that are only added: a column, `op` where it is not named, has the kind or its code.",
            documentation: "The column comes first. `on_time` adds the time attribute once more, as the last column `rowtime`.",
            examples: &[
                Example {
                    sql: "CREATE TEMPORARY VIEW totals AS SELECT k, SUM(x) AS total FROM (VALUES ('a', 1), ('a', 2)) AS t (k, x) \
                          GROUP BY k; SELECT * FROM TO_CHANGELOG(input => TABLE totals)",
                    result: "INSERT, a, 1\nUPDATE_BEFORE, a, 1\nUPDATE_AFTER, a, 3",
                },
                Example {
                    sql: "CREATE TEMPORARY VIEW totals AS SELECT k, SUM(x) AS total FROM (VALUES ('a', 1), ('a', 2)) AS t (k, x) \
                          GROUP BY k; SELECT * FROM TO_CHANGELOG(input => TABLE totals, op => DESCRIPTOR(deleted), \
                          op_mapping => MAP['INSERT, UPDATE_AFTER', 'false', 'DELETE', 'true'])",
                    result: "false, a, 1\nfalse, a, 3",
                },
            ],
        },
        Documentation {
            syntax: "FROM_CHANGELOG(input => TABLE t[, op => DESCRIPTOR(column)]\
                     [, op_mapping => MAP[codes, kind, ..]][, on_time => DESCRIPTOR(time_column)][, uid => name])",
            description: "The reverse: rows as changes, of the kind that a column says, which goes.",
            documentation: "The column is `op` where it is not named. What its codes mean is checked row by row.",
            examples: &[Example {
                sql: "CREATE TEMPORARY VIEW changes AS SELECT CAST(op AS STRING) AS op, k, x FROM (VALUES ('INSERT', 'a', 1), \
                      ('UPDATE_BEFORE', 'a', 1), ('UPDATE_AFTER', 'a', 3)) AS t (op, k, x); \
                      SELECT * FROM FROM_CHANGELOG(input => TABLE changes)",
                result: "+I a, 1\n-U a, 1\n+U a, 3",
            }],
        },
    ],
};
