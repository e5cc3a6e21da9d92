//! JSON_UNQUOTE: a JSON string as the text that it means.

use std::borrow::Cow;

use flott_core::Result;

use crate::example::Example;
use crate::scalar::shape::texts;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const JSON_UNQUOTE: ScalarFunction = ScalarFunction {
    name: "JSON_UNQUOTE",
    syntax: "JSON_UNQUOTE(text)",
    description: "A JSON string as the text that it means.",
    documentation: "What is no JSON string stays as it is. NULL gives NULL.",
    examples: &[
        Example { sql: "JSON_UNQUOTE('\"abc\"')", result: "abc" },
        Example { sql: "JSON_UNQUOTE('\"\\\\\"')", result: "\\" },
        Example { sql: "JSON_UNQUOTE('abc')", result: "abc" },
    ],
    category: Category::Json,
    arity: (1, 1),
    resolve: unquote,
};

pub(super) fn unquote(a: &mut Arguments) -> Result<Option<Resolved>> {
    texts(a, |[t]| unquoted(t).map_or(Cow::Borrowed(t), Cow::Owned))
}

/// `None` where it is no string, or has an escape that is none: then the text stays as it is.
fn unquoted(text: &str) -> Option<String> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    let mut units: Vec<u16> = Vec::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        // JSON has no such character in a string.
        if c < ' ' {
            return None;
        }
        if c != '\\' {
            units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
            continue;
        }
        units.push(match chars.next()? {
            '"' => u16::from(b'"'),
            '\\' => u16::from(b'\\'),
            '/' => u16::from(b'/'),
            'b' => 8,
            'f' => 12,
            'n' => 10,
            'r' => 13,
            't' => 9,
            'u' => {
                let digits: String = chars.by_ref().take(4).collect();
                if digits.len() != 4 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                    return None;
                }
                u16::from_str_radix(&digits, 16).ok()?
            }
            _ => return None,
        });
    }
    // Half of a pair is no character: Java writes it as a question mark.
    Some(char::decode_utf16(units).map(|c| c.unwrap_or('?')).collect())
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("JSON_UNQUOTE", &[("\"abc\"", "STRING")], "abc"),
            ("JSON_UNQUOTE", &[("abc", "STRING")], "abc"),
            ("JSON_UNQUOTE", &[("\"a\\u00e9\\n\\\"b\"", "STRING")], "aé\n\"b"),
            ("JSON_UNQUOTE", &[("\"\\uD83D\\uDE00\"", "STRING")], "😀"),
            ("JSON_UNQUOTE", &[("\"\\ud83d\"", "STRING")], "?"),
            ("JSON_UNQUOTE", &[("\"bad", "STRING")], "\"bad"),
            ("JSON_UNQUOTE", &[("\"\\q\"", "STRING")], "\"\\q\""),
            ("JSON_UNQUOTE", &[("\"\\u00\"", "STRING")], "\"\\u00\""),
            ("JSON_UNQUOTE", &[("\"", "STRING")], "\""),
            ("JSON_UNQUOTE", &[("\"a\"b\"", "STRING")], "a\"b"),
            ("JSON_UNQUOTE", &[("\"\u{1}\"", "STRING")], "\"\u{1}\""),
            ("JSON_UNQUOTE", &[("\"\"", "STRING")], ""),
            ("JSON_UNQUOTE", &[("NULL", "STRING")], "NULL"),
        ]);
    }
}
