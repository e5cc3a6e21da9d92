//! Group window functions: windows in GROUP BY, and what is asked of them.

use flott_function::{Documentation, Example};

use super::Family;

pub(super) const FAMILY: Family = Family {
    title: "Group window functions",
    introduction: "The older way to write windows: among the keys of GROUP BY. Lengths are constant intervals, the time is a time \
                   attribute (in batch mode any TIMESTAMP). `TUMBLE_START` and its like take the very arguments that the \
                   function in GROUP BY has.",
    functions: &[
        Documentation {
            syntax: "GROUP BY TUMBLE(time, size)",
            description: "Windows of one size, one behind the other.",
            documentation: "As the window table function; there is no offset.",
            examples: &[Example {
                sql: "WITH t (ts, x) AS (VALUES (TIMESTAMP '2024-01-01 08:01:00', 1), (TIMESTAMP '2024-01-01 08:04:00', 2), \
                      (TIMESTAMP '2024-01-01 08:12:00', 4)) SELECT TUMBLE_START(ts, INTERVAL '10' MINUTE), SUM(x) \
                      FROM t GROUP BY TUMBLE(ts, INTERVAL '10' MINUTE)",
                result: "2024-01-01 08:00:00.000, 3\n2024-01-01 08:10:00.000, 4",
            }],
        },
        Documentation {
            syntax: "GROUP BY HOP(time, slide, size)",
            description: "Windows of one size that start every slide, so that they overlap.",
            documentation: "As the window table function.",
            examples: &[Example {
                sql: "WITH t (ts, x) AS (VALUES (TIMESTAMP '2024-01-01 08:01:00', 1), (TIMESTAMP '2024-01-01 08:07:00', 2)) \
                      SELECT HOP_START(ts, INTERVAL '5' MINUTE, INTERVAL '10' MINUTE), SUM(x) \
                      FROM t GROUP BY HOP(ts, INTERVAL '5' MINUTE, INTERVAL '10' MINUTE)",
                result: "2024-01-01 07:55:00.000, 1\n2024-01-01 08:00:00.000, 3\n2024-01-01 08:05:00.000, 2",
            }],
        },
        Documentation {
            syntax: "GROUP BY SESSION(time, gap)",
            description: "Windows that end where no row of the other keys comes for the gap.",
            documentation: "As the window table function.",
            examples: &[Example {
                sql: "WITH t (ts, k, x) AS (VALUES (TIMESTAMP '2024-01-01 08:01:00', 'a', 1), \
                      (TIMESTAMP '2024-01-01 08:04:00', 'b', 2), (TIMESTAMP '2024-01-01 08:05:00', 'a', 4)) \
                      SELECT k, SESSION_START(ts, INTERVAL '5' MINUTE), SUM(x) FROM t GROUP BY SESSION(ts, INTERVAL '5' MINUTE), k",
                result: "a, 2024-01-01 08:01:00.000, 5\nb, 2024-01-01 08:04:00.000, 2",
            }],
        },
        Documentation {
            syntax: "TUMBLE_START(time, size), HOP_START(time, slide, size), SESSION_START(time, gap)",
            description: "Where the window begins.",
            documentation: "A TIMESTAMP(3) that is never NULL, in the session's zone where the time is a TIMESTAMP_LTZ.",
            examples: &[Example {
                sql: "WITH t (ts) AS (VALUES (TIMESTAMP '2024-01-01 08:01:00')) \
                      SELECT TUMBLE_START(ts, INTERVAL '1' DAY) FROM t GROUP BY TUMBLE(ts, INTERVAL '1' DAY)",
                result: "2024-01-01 00:00:00.000",
            }],
        },
        Documentation {
            syntax: "TUMBLE_END(time, size), HOP_END(time, slide, size), SESSION_END(time, gap)",
            description: "Where the window ends, which is no part of it.",
            documentation: "A TIMESTAMP(3) that is never NULL, in the session's zone where the time is a TIMESTAMP_LTZ.",
            examples: &[Example {
                sql: "WITH t (ts) AS (VALUES (TIMESTAMP '2024-01-01 08:01:00')) \
                      SELECT TUMBLE_END(ts, INTERVAL '1' DAY) FROM t GROUP BY TUMBLE(ts, INTERVAL '1' DAY)",
                result: "2024-01-02 00:00:00.000",
            }],
        },
        Documentation {
            syntax: "TUMBLE_ROWTIME(time, size), HOP_ROWTIME(time, slide, size), SESSION_ROWTIME(time, gap)",
            description: "The last millisecond of the window, as a time attribute.",
            documentation: "It has the type of the time, so that the result can be windowed again. Windows of processing time have \
                 none.",
            examples: &[Example {
                sql: "CREATE TEMPORARY TABLE ticks (n INT, ts AS TIMESTAMPADD(SECOND, n, TIMESTAMP '2024-01-01 00:00:00.000'), \
                      WATERMARK FOR ts AS ts) WITH ('connector' = 'datagen', 'fields.n.kind' = 'sequence', \
                      'fields.n.start' = '1', 'fields.n.end' = '6'); \
                      SELECT TUMBLE_END(ts, INTERVAL '4' SECOND), SUM(s) FROM (\
                      SELECT TUMBLE_ROWTIME(ts, INTERVAL '2' SECOND) AS ts, SUM(n) AS s \
                      FROM ticks GROUP BY TUMBLE(ts, INTERVAL '2' SECOND)) GROUP BY TUMBLE(ts, INTERVAL '4' SECOND)",
                result: "2024-01-01 00:00:04.000, 6\n2024-01-01 00:00:08.000, 15",
            }],
        },
        Documentation {
            syntax: "TUMBLE_PROCTIME(time, size), HOP_PROCTIME(time, slide, size), SESSION_PROCTIME(time, gap)",
            description: "The processing time, as a time attribute, of windows over one.",
            documentation: "Of windows over event time it is NULL. In batch mode there is none.",
            examples: &[Example {
                sql: "CREATE TEMPORARY TABLE moments (n INT, ts AS TIMESTAMPADD(SECOND, n, TIMESTAMP '2024-01-01 00:00:00.000'), \
                      WATERMARK FOR ts AS ts) WITH ('connector' = 'datagen', 'fields.n.kind' = 'sequence', \
                      'fields.n.start' = '1', 'fields.n.end' = '6'); \
                      SELECT TUMBLE_PROCTIME(ts, INTERVAL '1' DAY) FROM moments GROUP BY TUMBLE(ts, INTERVAL '1' DAY)",
                result: "<NULL>",
            }],
        },
    ],
};
