//! LOCATE: where the part starts, 0 for nowhere.

use flott_core::Result;

use super::{position, positions};
use crate::example::Example;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const LOCATE: ScalarFunction = ScalarFunction {
    name: "LOCATE",
    syntax: "LOCATE(part, text[, start])",
    description: "Where the part starts, 0 for nowhere.",
    documentation: "In characters from 1, looked for from the start on. The empty text is at 1. NULL gives NULL.",
    examples: &[
        Example { sql: "LOCATE('b', 'abcb')", result: "2" },
        Example { sql: "LOCATE('b', 'abcb', 3)", result: "4" },
        Example { sql: "LOCATE('x', 'abc')", result: "0" },
    ],
    category: Category::String,
    arity: (2, 3),
    resolve: locate,
};

fn locate(a: &mut Arguments) -> Result<Option<Resolved>> {
    positions(a, |part, t, start, _| Ok(position(t, part, start)))
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("LOCATE", &[("a", "STRING"), ("banana", "STRING"), ("3", "INT")], "4"),
            ("LOCATE", &[("", "STRING"), ("banana", "STRING"), ("3", "INT")], "1"),
            ("LOCATE", &[("a", "STRING"), ("banana", "STRING"), ("0", "INT")], "2"),
            ("LOCATE", &[("a", "STRING"), ("banana", "STRING"), ("-1", "INT")], "2"),
        ]);
    }
}
