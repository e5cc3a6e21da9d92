//! RIGHT: the last characters.

use std::borrow::Cow;

use super::first;
use crate::example::Example;
use crate::scalar::shape::texts_and_numbers;
use crate::scalar::{Category, ScalarFunction};

pub(super) const RIGHT: ScalarFunction = ScalarFunction {
    name: "RIGHT",
    syntax: "RIGHT(text, length)",
    description: "The last characters.",
    documentation: "So many characters; none of a negative number. NULL gives NULL.",
    examples: &[
        Example { sql: "RIGHT('flink', 3)", result: "ink" },
        Example { sql: "RIGHT('flink', 10)", result: "flink" },
    ],
    category: Category::String,
    arity: (2, 2),
    resolve: |a| {
        texts_and_numbers::<1, 1>(a, |[t], [n]| {
            let skipped = i64::try_from(t.chars().count()).unwrap_or(i64::MAX) - n.unwrap_or(0).max(0);
            Ok(Some(Cow::Borrowed(&t[first(t, skipped).len()..])))
        })
    },
};

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("RIGHT", &[("größe", "STRING"), ("3", "INT")], "öße"),
            ("RIGHT", &[("größe", "STRING"), ("30", "INT")], "größe"),
        ]);
    }
}
