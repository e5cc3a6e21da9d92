//! URL_ENCODE: as a part of a URL.

use std::borrow::Cow;

use crate::example::Example;
use crate::scalar::shape::texts;
use crate::scalar::{Category, ScalarFunction};
use crate::text::hex;

pub(super) const URL_ENCODE: ScalarFunction = ScalarFunction {
    name: "URL_ENCODE",
    syntax: "URL_ENCODE(text)",
    description: "As a part of a URL.",
    documentation: "In UTF-8, as HTML forms write it: a space is `+`. NULL gives NULL.",
    examples: &[
        Example { sql: "URL_ENCODE('https://flink.apache.org/')", result: "https%3A%2F%2Fflink.apache.org%2F" },
        Example { sql: "URL_ENCODE('a b&c')", result: "a+b%26c" },
    ],
    category: Category::String,
    arity: (1, 1),
    resolve: |a| texts(a, |[t]| Cow::Owned(url_encode(t))),
};

/// As `application/x-www-form-urlencoded`: a space is a plus.
fn url_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'*' | b'_' => out.push(char::from(b)),
            b' ' => out.push('+'),
            b => {
                out.push('%');
                out.push_str(&hex(&[b]).to_ascii_uppercase());
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[("URL_ENCODE", &[("https://a.b/?q=ä c", "STRING")], "https%3A%2F%2Fa.b%2F%3Fq%3D%C3%A4+c")]);
    }
}
