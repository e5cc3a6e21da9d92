//! Window table functions.

use flott_function::{Documentation, Example};

use super::Family;

pub(super) const FAMILY: Family = Family {
    title: "Window table functions",
    introduction: "In `FROM TABLE(..)`. Rows get the columns `window_start`, `window_end` and `window_time`, once for each window \
                   that they are in. Sizes are intervals; arguments can be named: `DATA =>`, `TIMECOL =>`, `SIZE =>`, `SLIDE =>`, \
                   `STEP =>`, `GAP =>`, `OFFSET =>`. The time column is a time attribute; in batch mode any TIMESTAMP will do.",
    functions: &[
        Documentation {
            syntax: "TUMBLE(TABLE input, DESCRIPTOR(time_column), size[, offset])",
            description: "Windows of one size, one behind the other.",
            documentation: "They begin at whole multiples of the size, moved by the offset. `window_time` is the last millisecond \
                 of the window, and a time attribute again.",
            examples: &[
                Example {
                    sql: "WITH t (ts, x) AS (VALUES (TIMESTAMP '2024-01-01 08:01:00', 1), (TIMESTAMP '2024-01-01 08:04:00', 2), \
                          (TIMESTAMP '2024-01-01 08:12:00', 4)) SELECT window_start, window_end, SUM(x) \
                          FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '10' MINUTE)) GROUP BY window_start, window_end",
                    result: "2024-01-01 08:00:00.000, 2024-01-01 08:10:00.000, 3\n\
                             2024-01-01 08:10:00.000, 2024-01-01 08:20:00.000, 4",
                },
                Example {
                    sql: "WITH t (ts, x) AS (VALUES (TIMESTAMP '2024-01-01 08:01:00', 1)) SELECT x, window_start, window_time \
                          FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '10' MINUTE, INTERVAL '1' MINUTE))",
                    result: "1, 2024-01-01 08:01:00.000, 2024-01-01 08:10:59.999",
                },
            ],
        },
        Documentation {
            syntax: "HOP(TABLE input, DESCRIPTOR(time_column), slide, size[, offset])",
            description: "Windows of one size that start every slide, so that they overlap.",
            documentation: "The size is a whole multiple of the slide; a row is in size / slide windows.",
            examples: &[Example {
                sql: "WITH t (ts, x) AS (VALUES (TIMESTAMP '2024-01-01 08:01:00', 1), (TIMESTAMP '2024-01-01 08:04:00', 2), \
                      (TIMESTAMP '2024-01-01 08:12:00', 4)) SELECT window_start, window_end, SUM(x) \
                      FROM TABLE(HOP(TABLE t, DESCRIPTOR(ts), INTERVAL '5' MINUTE, INTERVAL '10' MINUTE)) \
                      GROUP BY window_start, window_end",
                result: "2024-01-01 07:55:00.000, 2024-01-01 08:05:00.000, 3\n\
                         2024-01-01 08:00:00.000, 2024-01-01 08:10:00.000, 3\n\
                         2024-01-01 08:05:00.000, 2024-01-01 08:15:00.000, 4\n\
                         2024-01-01 08:10:00.000, 2024-01-01 08:20:00.000, 4",
            }],
        },
        Documentation {
            syntax: "CUMULATE(TABLE input, DESCRIPTOR(time_column), step, size[, offset])",
            description: "Windows that grow by a step up to their size, and start anew behind it.",
            documentation: "The size is a whole multiple of the step. Their ends are a step apart, and those up to one size have one \
                 start.",
            examples: &[Example {
                sql: "WITH t (ts, x) AS (VALUES (TIMESTAMP '2024-01-01 08:01:00', 1), (TIMESTAMP '2024-01-01 08:07:00', 2)) \
                      SELECT window_start, window_end, SUM(x) \
                      FROM TABLE(CUMULATE(TABLE t, DESCRIPTOR(ts), INTERVAL '5' MINUTE, INTERVAL '15' MINUTE)) \
                      GROUP BY window_start, window_end",
                result: "2024-01-01 08:00:00.000, 2024-01-01 08:05:00.000, 1\n\
                         2024-01-01 08:00:00.000, 2024-01-01 08:10:00.000, 3\n\
                         2024-01-01 08:00:00.000, 2024-01-01 08:15:00.000, 3",
            }],
        },
        Documentation {
            syntax: "SESSION(TABLE input [PARTITION BY key, ..], DESCRIPTOR(time_column), gap)",
            description: "Windows that end where no row comes for the gap, of each key for itself.",
            documentation: "A window begins with its first row, and ends the gap behind its last one.",
            examples: &[Example {
                sql: "WITH t (ts, k, x) AS (VALUES (TIMESTAMP '2024-01-01 08:01:00', 'a', 1), \
                      (TIMESTAMP '2024-01-01 08:04:00', 'a', 2), (TIMESTAMP '2024-01-01 08:12:00', 'a', 4)) \
                      SELECT window_start, window_end, k, SUM(x) \
                      FROM TABLE(SESSION(TABLE t PARTITION BY k, DESCRIPTOR(ts), INTERVAL '5' MINUTE)) \
                      GROUP BY window_start, window_end, k",
                result: "2024-01-01 08:01:00.000, 2024-01-01 08:09:00.000, a, 3\n\
                         2024-01-01 08:12:00.000, 2024-01-01 08:17:00.000, a, 4",
            }],
        },
    ],
};
