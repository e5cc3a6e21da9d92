//! BTRIM: without these characters (a space) at both ends.

use super::trimmed;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const BTRIM: ScalarFunction = ScalarFunction {
    name: "BTRIM",
    syntax: "BTRIM(text[, characters])",
    description: "Without these characters (a space) at both ends.",
    documentation: "Every character of the second text goes, in any order. NULL gives NULL.",
    examples: &[
        Example { sql: "BTRIM('  trim  ')", result: "trim" },
        Example { sql: "BTRIM('xxytrimyxx', 'xy')", result: "trim" },
    ],
    category: Category::String,
    arity: (1, 2),
    resolve: |a| trimmed(a, true, true),
};

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[("BTRIM", &[("  trim  ", "STRING")], "trim")]);
    }
}
