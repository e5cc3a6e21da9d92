//! ENDSWITH: whether it ends so.

use super::starts_or_ends;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const ENDSWITH: ScalarFunction = ScalarFunction {
    name: "ENDSWITH",
    syntax: "ENDSWITH(text, end)",
    description: "Whether it ends so.",
    documentation: "Both are texts, or both byte strings. Everything ends with the empty one. NULL gives NULL.",
    examples: &[
        Example { sql: "ENDSWITH('flink', 'nk')", result: "TRUE" },
        Example { sql: "ENDSWITH('flink', 'in')", result: "FALSE" },
    ],
    category: Category::String,
    arity: (2, 2),
    resolve: |a| starts_or_ends(a, false),
};

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("ENDSWITH", &[("abc", "BYTES"), ("ab", "BYTES")], "FALSE"),
            ("ENDSWITH", &[("abc", "STRING"), ("ab", "STRING")], "FALSE"),
        ]);
    }
}
