//! ASCII: the first byte, with its sign; 0 for an empty text.

use crate::example::Example;
use crate::scalar::shape::texts_to_int;
use crate::scalar::{Category, ScalarFunction};

pub(super) const ASCII: ScalarFunction = ScalarFunction {
    name: "ASCII",
    syntax: "ASCII(text)",
    description: "The first byte, with its sign; 0 for an empty text.",
    documentation: "As INT: bytes from 128 on are negative, as Java has them. NULL gives NULL.",
    examples: &[Example { sql: "ASCII('abc')", result: "97" }, Example { sql: "ASCII('')", result: "0" }],
    category: Category::String,
    arity: (1, 1),
    resolve: |a| texts_to_int(a, |[t]| t.bytes().next().map_or(0, |b| i32::from(b.cast_signed()))),
};

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("ASCII", &[("abc", "STRING")], "97"),
            ("ASCII", &[("", "STRING")], "0"),
            ("ASCII", &[("é", "STRING")], "-61"),
        ]);
    }
}
