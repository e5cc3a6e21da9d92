//! LTRIM: without these characters (a space) at the start.

use super::trimmed;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const LTRIM: ScalarFunction = ScalarFunction {
    name: "LTRIM",
    syntax: "LTRIM(text[, characters])",
    description: "Without these characters (a space) at the start.",
    documentation: "Every character of the second text goes, in any order. NULL gives NULL.",
    examples: &[
        Example { sql: "LTRIM('  trim')", result: "trim" },
        Example { sql: "LTRIM('xxytrimxy', 'xy')", result: "trimxy" },
    ],
    category: Category::String,
    arity: (1, 2),
    resolve: |a| trimmed(a, true, false),
};

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[("LTRIM", &[("xxytrimxy", "STRING"), ("xy", "STRING")], "trimxy")]);
    }
}
