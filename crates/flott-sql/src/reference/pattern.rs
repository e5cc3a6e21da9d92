//! Functions of MATCH_RECOGNIZE.

use flott_function::{Documentation, Example};

use super::Family;

pub(super) const FAMILY: Family = Family {
    title: "Functions of MATCH_RECOGNIZE",
    introduction: "In MEASURES and DEFINE ([statements.md](statements.md#patterns)). Aggregate functions may stand there too: over \
                   the rows of a variable, `SUM(A.x)`, or of the whole match so far, `SUM(x)`. Flink has neither `CLASSIFIER` nor \
                   `MATCH_NUMBER`, and no `PREV` and `NEXT`.",
    functions: &[
        Documentation {
            syntax: "FIRST(variable.expression[, n])",
            description: "The expression at the first row of a variable, or at the row `n` behind that.",
            documentation: "It reads one variable. NULL where there is no such row.",
            examples: &[Example {
                sql: "CREATE TEMPORARY TABLE ticks (n INT, ts AS TIMESTAMPADD(SECOND, n, TIMESTAMP '2024-01-01 00:00:00.000'), \
                      WATERMARK FOR ts AS ts) WITH ('connector' = 'datagen', 'fields.n.kind' = 'sequence', \
                      'fields.n.start' = '1', 'fields.n.end' = '6'); \
                      SELECT a, b FROM ticks MATCH_RECOGNIZE (ORDER BY ts MEASURES FIRST(UP.n) AS a, FIRST(UP.n, 1) AS b \
                      AFTER MATCH SKIP PAST LAST ROW PATTERN (UP+ DOWN) DEFINE UP AS MOD(n, 3) > 0, DOWN AS MOD(n, 3) = 0) AS m",
                result: "1, 2\n4, 5",
            }],
        },
        Documentation {
            syntax: "LAST(variable.expression[, n])",
            description: "The expression at the last row of a variable, or at the row `n` before that.",
            documentation: "It reads one variable. In DEFINE, of the variable that is defined, the last row is the one that is asked \
                 about. NULL where there is no such row.",
            examples: &[Example {
                sql: "CREATE TEMPORARY TABLE ticks (n INT, ts AS TIMESTAMPADD(SECOND, n, TIMESTAMP '2024-01-01 00:00:00.000'), \
                      WATERMARK FOR ts AS ts) WITH ('connector' = 'datagen', 'fields.n.kind' = 'sequence', \
                      'fields.n.start' = '1', 'fields.n.end' = '6'); \
                      SELECT a, b FROM ticks MATCH_RECOGNIZE (ORDER BY ts MEASURES LAST(UP.n) AS a, LAST(UP.n, 2) AS b \
                      AFTER MATCH SKIP PAST LAST ROW PATTERN (UP+ DOWN) DEFINE UP AS MOD(n, 3) > 0, DOWN AS MOD(n, 3) = 0) AS m",
                result: "2, <NULL>\n5, <NULL>",
            }],
        },
        Documentation {
            syntax: "MATCH_ROWTIME([time_column])",
            description: "The time of the last row of the match, as a time attribute.",
            documentation: "In MEASURES. A TIMESTAMP_LTZ(3), or of the type of the column that it is given.",
            examples: &[Example {
                sql: "CREATE TEMPORARY TABLE ticks (n INT, ts AS TIMESTAMPADD(SECOND, n, TIMESTAMP '2024-01-01 00:00:00.000'), \
                      WATERMARK FOR ts AS ts) WITH ('connector' = 'datagen', 'fields.n.kind' = 'sequence', \
                      'fields.n.start' = '1', 'fields.n.end' = '6'); \
                      SELECT at FROM ticks MATCH_RECOGNIZE (ORDER BY ts MEASURES MATCH_ROWTIME(ts) AS at \
                      AFTER MATCH SKIP PAST LAST ROW PATTERN (UP+ DOWN) DEFINE UP AS MOD(n, 3) > 0, DOWN AS MOD(n, 3) = 0) AS m",
                result: "2024-01-01 00:00:03.000\n2024-01-01 00:00:06.000",
            }],
        },
        Documentation {
            syntax: "MATCH_PROCTIME()",
            description: "The processing time, as a time attribute.",
            documentation: "In MEASURES.",
            examples: &[Example {
                sql: "CREATE TEMPORARY TABLE ticks (n INT, ts AS TIMESTAMPADD(SECOND, n, TIMESTAMP '2024-01-01 00:00:00.000'), \
                      WATERMARK FOR ts AS ts) WITH ('connector' = 'datagen', 'fields.n.kind' = 'sequence', \
                      'fields.n.start' = '1', 'fields.n.end' = '6'); \
                      SELECT at IS NOT NULL FROM ticks MATCH_RECOGNIZE (ORDER BY ts MEASURES MATCH_PROCTIME() AS at \
                      AFTER MATCH SKIP PAST LAST ROW PATTERN (UP+ DOWN) DEFINE UP AS MOD(n, 3) > 0, DOWN AS MOD(n, 3) = 0) AS m",
                result: "TRUE\nTRUE",
            }],
        },
    ],
};
