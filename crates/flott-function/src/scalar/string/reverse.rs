//! REVERSE: from the end to the start.

use std::borrow::Cow;

use crate::example::Example;
use crate::scalar::shape::texts;
use crate::scalar::{Category, ScalarFunction};

pub(super) const REVERSE: ScalarFunction = ScalarFunction {
    name: "REVERSE",
    syntax: "REVERSE(text)",
    description: "From the end to the start.",
    documentation: "By characters. NULL gives NULL.",
    examples: &[Example { sql: "REVERSE('flink')", result: "knilf" }],
    category: Category::String,
    arity: (1, 1),
    resolve: |a| texts(a, |[t]| Cow::Owned(t.chars().rev().collect())),
};

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[("REVERSE", &[("größe", "STRING")], "eßörg")]);
    }
}
