//! STARTSWITH: whether it starts so.

use super::starts_or_ends;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const STARTSWITH: ScalarFunction = ScalarFunction {
    name: "STARTSWITH",
    syntax: "STARTSWITH(text, start)",
    description: "Whether it starts so.",
    documentation: "Both are texts, or both byte strings. Everything starts with the empty one. NULL gives NULL.",
    examples: &[
        Example { sql: "STARTSWITH('flink', 'fl')", result: "TRUE" },
        Example { sql: "STARTSWITH('flink', 'in')", result: "FALSE" },
        Example { sql: "STARTSWITH(x'0102', x'01')", result: "TRUE" },
    ],
    category: Category::String,
    arity: (2, 2),
    resolve: |a| starts_or_ends(a, true),
};

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("STARTSWITH", &[("abc", "STRING"), ("ab", "STRING")], "TRUE"),
            ("STARTSWITH", &[("abc", "BYTES"), ("ab", "BYTES")], "TRUE"),
        ]);
    }
}
