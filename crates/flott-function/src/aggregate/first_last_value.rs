//! FIRST_VALUE and LAST_VALUE: the value that is not NULL and came first, and the one that came last.

use crate::example::{Documentation, Example};

pub(super) const FIRST_VALUE: Documentation = Documentation {
    syntax: "FIRST_VALUE(value)",
    description: "The value that is not NULL and came first.",
    documentation: "NULL where there is none. In streams it is the order in which rows came.",
    examples: &[Example {
        sql: "SELECT FIRST_VALUE(x) FROM (VALUES (1), (2), (CAST(NULL AS INT)), (4)) AS t (x)",
        result: "1",
    }],
};

pub(super) const LAST_VALUE: Documentation = Documentation {
    syntax: "LAST_VALUE(value)",
    description: "The value that is not NULL and came last.",
    documentation: "NULL where there is none. In streams it is the order in which rows came.",
    examples: &[Example {
        sql: "SELECT LAST_VALUE(x) FROM (VALUES (1), (2), (CAST(NULL AS INT)), (4)) AS t (x)",
        result: "4",
    }],
};
