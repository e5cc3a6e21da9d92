//! RTRIM: without these characters (a space) at the end.

use super::trimmed;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const RTRIM: ScalarFunction = ScalarFunction {
    name: "RTRIM",
    syntax: "RTRIM(text[, characters])",
    description: "Without these characters (a space) at the end.",
    documentation: "Every character of the second text goes, in any order. NULL gives NULL.",
    examples: &[
        Example { sql: "RTRIM('trim  ')", result: "trim" },
        Example { sql: "RTRIM('trimxy', 'xy')", result: "trim" },
    ],
    category: Category::String,
    arity: (1, 2),
    resolve: |a| trimmed(a, false, true),
};

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[("RTRIM", &[("trimxy", "STRING"), ("xy", "STRING")], "trim")]);
    }
}
