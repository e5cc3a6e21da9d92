//! INITCAP: each word with a capital letter.

use super::same_type;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const INITCAP: ScalarFunction = ScalarFunction {
    name: "INITCAP",
    syntax: "INITCAP(text)",
    description: "Each word with a capital letter.",
    documentation: "Only ASCII letters change, the others of a word become small. Everything that is no ASCII letter \
         or digit divides words. NULL gives NULL.",
    examples: &[Example { sql: "INITCAP('hello wORLD-x')", result: "Hello World-X" }],
    category: Category::String,
    arity: (1, 1),
    resolve: |a| same_type(a, initcap),
};

/// Only the letters of ASCII: others stay, and what follows one of them begins a word.
fn initcap(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut start = true;
    for c in text.chars() {
        out.push(if start { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() });
        start = !c.is_ascii_alphanumeric();
    }
    out
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("INITCAP", &[("hello wORLD-x 1a", "STRING")], "Hello World-X 1a"),
            ("INITCAP", &[("äbc ÄBC", "STRING")], "äBc ÄBc"),
        ]);
    }
}
