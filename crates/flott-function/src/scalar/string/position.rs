//! POSITION: where the part starts, 0 for nowhere.

use super::position;
use crate::example::Example;
use crate::scalar::shape::texts_to_int;
use crate::scalar::{Category, ScalarFunction};

pub(super) const POSITION: ScalarFunction = ScalarFunction {
    name: "POSITION",
    syntax: "POSITION(part IN text)",
    description: "Where the part starts, 0 for nowhere.",
    documentation: "In characters from 1. The empty text is at 1. NULL gives NULL.",
    examples: &[
        Example { sql: "POSITION('in' IN 'flink')", result: "3" },
        Example { sql: "POSITION('x' IN 'flink')", result: "0" },
    ],
    category: Category::String,
    arity: (2, 2),
    resolve: |a| texts_to_int(a, |[part, t]| position(t, part, 1)),
};

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("POSITION", &[("ße", "STRING"), ("größe", "STRING")], "4"),
            ("POSITION", &[("x", "STRING"), ("größe", "STRING")], "0"),
        ]);
    }
}
