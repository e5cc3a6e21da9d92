//! JSON_QUOTE: a text as a JSON string, in ASCII.

use std::borrow::Cow;

use flott_core::Result;

use crate::example::Example;
use crate::scalar::shape::texts;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const JSON_QUOTE: ScalarFunction = ScalarFunction {
    name: "JSON_QUOTE",
    syntax: "JSON_QUOTE(text)",
    description: "A text as a JSON string, in ASCII.",
    documentation: "With quotes around it; quotes, slashes, control characters and all that is not ASCII are \
         escaped. NULL gives NULL.",
    examples: &[
        Example { sql: "JSON_QUOTE('abc')", result: "\"abc\"" },
        Example { sql: "JSON_QUOTE('a/b\\c')", result: "\"a\\/b\\\\c\"" },
    ],
    category: Category::Json,
    arity: (1, 1),
    resolve: quote,
};

pub(super) fn quote(a: &mut Arguments) -> Result<Option<Resolved>> {
    texts(a, |[t]| Cow::Owned(quoted(t)))
}

/// In double quotes and in ASCII. Of a character outside the basic plane Flink writes the code point and then the second
/// half of its pair; so do we.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '/' => out.push_str("\\/"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_ascii() => out.push(c),
            c => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
                if let [_, low] = c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{low:04x}"));
                }
            }
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("JSON_QUOTE", &[("abc", "STRING")], "\"abc\""),
            ("JSON_QUOTE", &[("a/b\\c\"", "STRING")], "\"a\\/b\\\\c\\\"\""),
            ("JSON_QUOTE", &[("é€😀", "STRING")], "\"\\u00e9\\u20ac\\u1f600\\ude00\""),
            ("JSON_QUOTE", &[("", "STRING")], "\"\""),
            ("JSON_QUOTE", &[("NULL", "STRING")], "NULL"),
        ]);
    }
}
