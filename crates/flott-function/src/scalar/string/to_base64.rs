//! TO_BASE64: in base 64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::example::Example;
use crate::scalar::octets::of_octets;
use crate::scalar::{Category, ScalarFunction};

pub(super) const TO_BASE64: ScalarFunction = ScalarFunction {
    name: "TO_BASE64",
    syntax: "TO_BASE64(text or bytes)",
    description: "In base 64.",
    documentation: "A text is taken as UTF-8. NULL gives NULL.",
    examples: &[
        Example { sql: "TO_BASE64('hello world')", result: "aGVsbG8gd29ybGQ=" },
        Example { sql: "TO_BASE64(CAST(NULL AS STRING))", result: "<NULL>" },
    ],
    category: Category::String,
    arity: (1, 1),
    resolve: |a| of_octets(a, |o| Ok(STANDARD.encode(o))),
};

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[("TO_BASE64", &[("hello world", "STRING")], "aGVsbG8gd29ybGQ=")]);
    }
}
