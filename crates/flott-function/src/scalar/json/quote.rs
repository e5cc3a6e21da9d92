//! JSON strings and the texts that they mean.

use std::borrow::Cow;

use flott_core::Result;

use super::super::Arguments;
use super::super::shape::texts;
use crate::udf::Resolved;

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
    fn strings_and_their_texts() {
        check(&[
            ("JSON_QUOTE", &[("abc", "STRING")], "\"abc\""),
            ("JSON_QUOTE", &[("a/b\\c\"", "STRING")], "\"a\\/b\\\\c\\\"\""),
            ("JSON_QUOTE", &[("é€😀", "STRING")], "\"\\u00e9\\u20ac\\u1f600\\ude00\""),
            ("JSON_QUOTE", &[("", "STRING")], "\"\""),
            ("JSON_QUOTE", &[("NULL", "STRING")], "NULL"),
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
