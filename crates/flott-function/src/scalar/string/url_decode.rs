//! URL_DECODE: a part of a URL as text; NULL where it is none.

use std::borrow::Cow;

use crate::example::Example;
use crate::scalar::shape::try_texts;
use crate::scalar::{Category, ScalarFunction};

pub(super) const URL_DECODE: ScalarFunction = ScalarFunction {
    name: "URL_DECODE",
    syntax: "URL_DECODE(text)",
    description: "A part of a URL as text; NULL where it is none.",
    documentation: "The reverse of URL_ENCODE. NULL gives NULL.",
    examples: &[
        Example { sql: "URL_DECODE('https%3A%2F%2Fflink.apache.org%2F')", result: "https://flink.apache.org/" },
        Example { sql: "URL_DECODE('a+b')", result: "a b" },
    ],
    category: Category::String,
    arity: (1, 1),
    resolve: |a| try_texts(a, |[t]| Ok(url_decode(t).map(Cow::Owned))),
};

fn url_decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        out.push(match b {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                (digit()? << 4 | digit()?) as u8
            }
            b => b,
        });
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[("URL_DECODE", &[("%C3%A4+c", "STRING")], "ä c"), ("URL_DECODE", &[("%zz", "STRING")], "NULL")]);
    }
}
