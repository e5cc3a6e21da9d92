//! Functions that stand nowhere but before OVER.

use flott_function::{Documentation, Example};

use super::Family;

pub(super) const FAMILY: Family = Family {
    title: "Functions with OVER",
    introduction: "Aggregate functions may stand there too ([statements.md](statements.md#over)). `PERCENT_RANK`, `CUME_DIST`, \
                   `NTILE` and `LEAD` need all rows: they run in batch mode.",
    functions: &[
        Documentation {
            syntax: "ROW_NUMBER() OVER (..)",
            description: "1, 2, 3 in the order of the window.",
            documentation: "A BIGINT that is never NULL. A condition on it, such as `row_number <= 3`, makes a query a Top-N, \
                 which streams take in any order.",
            examples: &[
                Example {
                    sql: "SELECT x, ROW_NUMBER() OVER (ORDER BY x) FROM (VALUES (3), (1), (2)) AS t (x)",
                    result: "1, 1\n2, 2\n3, 3",
                },
                Example {
                    sql: "SELECT k, x FROM (SELECT k, x, ROW_NUMBER() OVER (PARTITION BY k ORDER BY x DESC) AS n \
                          FROM (VALUES ('a', 1), ('a', 5), ('b', 2)) AS t (k, x)) WHERE n = 1",
                    result: "a, 5\nb, 2",
                },
            ],
        },
        Documentation {
            syntax: "RANK() OVER (..)",
            description: "The number of the first row that is equal in the order (in a stream, of the last).",
            documentation: "A BIGINT that is never NULL. Behind rows that are equal numbers are left out.",
            examples: &[Example {
                sql: "SELECT x, RANK() OVER (ORDER BY x) FROM (VALUES (1), (1), (2)) AS t (x)",
                result: "1, 1\n1, 1\n2, 3",
            }],
        },
        Documentation {
            syntax: "DENSE_RANK() OVER (..)",
            description: "How many different rows there are up to the row (in a stream, how many rows).",
            documentation: "A BIGINT that is never NULL. No number is left out.",
            examples: &[Example {
                sql: "SELECT x, DENSE_RANK() OVER (ORDER BY x) FROM (VALUES (1), (1), (2)) AS t (x)",
                result: "1, 1\n1, 1\n2, 2",
            }],
        },
        Documentation {
            syntax: "PERCENT_RANK() OVER (..)",
            description: "(RANK - 1) / (rows - 1), from 0 to 1.",
            documentation: "A DOUBLE that is never NULL. In batch mode.",
            examples: &[Example {
                sql: "SELECT x, PERCENT_RANK() OVER (ORDER BY x) FROM (VALUES (1), (2), (2), (3), (4)) AS t (x)",
                result: "1, 0.0\n2, 0.25\n2, 0.25\n3, 0.75\n4, 1.0",
            }],
        },
        Documentation {
            syntax: "CUME_DIST() OVER (..)",
            description: "The part of the rows that are not behind the row.",
            documentation: "A DOUBLE that is never NULL. In batch mode.",
            examples: &[Example {
                sql: "SELECT x, CUME_DIST() OVER (ORDER BY x) FROM (VALUES (1), (1), (2), (3)) AS t (x)",
                result: "1, 0.5\n1, 0.5\n2, 0.75\n3, 1.0",
            }],
        },
        Documentation {
            syntax: "NTILE(buckets) OVER (..)",
            description: "The number of the row's bucket, of so many that are as large as each other.",
            documentation: "The first buckets have the rows that are left over. In batch mode.",
            examples: &[Example {
                sql: "SELECT x, NTILE(2) OVER (ORDER BY x) FROM (VALUES (1), (2), (3)) AS t (x)",
                result: "1, 1\n2, 1\n3, 2",
            }],
        },
        Documentation {
            syntax: "LAG(value[, offset[, default]]) OVER (..)",
            description: "The value of the row so far before; the default where there is none.",
            documentation: "Without an offset of the row before, without a default NULL. The default has to fit the type of the \
                 value.",
            examples: &[
                Example {
                    sql: "SELECT x, LAG(x) OVER (ORDER BY x) FROM (VALUES (1), (2), (3)) AS t (x)",
                    result: "1, <NULL>\n2, 1\n3, 2",
                },
                Example {
                    sql: "SELECT x, LAG(x, 2, 0) OVER (ORDER BY x) FROM (VALUES (1), (2), (3)) AS t (x)",
                    result: "1, 0\n2, 0\n3, 1",
                },
            ],
        },
        Documentation {
            syntax: "LEAD(value[, offset[, default]]) OVER (..)",
            description: "The value of the row so far behind; the default where there is none.",
            documentation: "As LAG, the other way round. In batch mode.",
            examples: &[Example {
                sql: "SELECT x, LEAD(x) OVER (ORDER BY x) FROM (VALUES (1), (2), (3)) AS t (x)",
                result: "1, 2\n2, 3\n3, <NULL>",
            }],
        },
    ],
};
