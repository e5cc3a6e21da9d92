//! LEFT: the first characters.

use std::borrow::Cow;

use super::first;
use crate::example::Example;
use crate::scalar::shape::texts_and_numbers;
use crate::scalar::{Category, ScalarFunction};

pub(super) const LEFT: ScalarFunction = ScalarFunction {
    name: "LEFT",
    syntax: "LEFT(text, length)",
    description: "The first characters.",
    documentation: "So many characters; none of a negative number. NULL gives NULL.",
    examples: &[
        Example { sql: "LEFT('flink', 2)", result: "fl" },
        Example { sql: "LEFT('flink', 10)", result: "flink" },
    ],
    category: Category::String,
    arity: (2, 2),
    resolve: |a| texts_and_numbers::<1, 1>(a, |[t], [n]| Ok(Some(Cow::Borrowed(first(t, n.unwrap_or(0)))))),
};

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("LEFT", &[("größe", "STRING"), ("3", "INT")], "grö"),
            ("LEFT", &[("größe", "STRING"), ("-3", "INT")], ""),
        ]);
    }
}
