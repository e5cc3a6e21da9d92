//! ENCODE: the bytes of a text in US-ASCII, ISO-8859-1, UTF-8, UTF-16BE, UTF-16LE or UTF-16.

use flott_core::Result;

use super::{bytes_of, charset};
use crate::example::Example;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const ENCODE: ScalarFunction = ScalarFunction {
    name: "ENCODE",
    syntax: "ENCODE(text, charset)",
    description: "The bytes of a text in US-ASCII, ISO-8859-1, UTF-8, UTF-16BE, UTF-16LE or UTF-16.",
    documentation: "Names of charsets are not case-sensitive; others are an error. A character that the charset has \
         not becomes `?`; UTF-16 starts with a mark of its byte order. NULL gives NULL.",
    examples: &[
        Example { sql: "ENCODE('abc', 'UTF-8')", result: "x'616263'" },
        Example { sql: "ENCODE('ä', 'ISO-8859-1')", result: "x'e4'" },
        Example { sql: "ENCODE('a', 'UTF-16')", result: "x'feff0061'" },
    ],
    category: Category::String,
    arity: (2, 2),
    resolve: encode,
};

fn encode(a: &mut Arguments) -> Result<Option<Resolved>> {
    bytes_of(a, |t, name| {
        Ok(Some(match charset(name)? {
            "US-ASCII" => t.chars().map(|c| if c.is_ascii() { c as u8 } else { b'?' }).collect(),
            "ISO-8859-1" => t.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect(),
            "UTF-16LE" => t.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            "UTF-16BE" => t.encode_utf16().flat_map(u16::to_be_bytes).collect(),
            // With a mark of its byte order, as Java writes it.
            // The mark of the order of bytes stands before the first of them.
            "UTF-16" if t.is_empty() => vec![],
            "UTF-16" => [0xfe, 0xff].into_iter().chain(t.encode_utf16().flat_map(u16::to_be_bytes)).collect(),
            _ => t.as_bytes().to_vec(),
        }))
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("ENCODE", &[("aü", "STRING"), ("ISO-8859-1", "STRING")], "x'61fc'"),
            ("ENCODE", &[("a", "STRING"), ("utf-16", "STRING")], "x'feff0061'"),
            ("ENCODE", &[("a", "STRING"), ("x", "STRING")], "ERROR Unsupported encoding"),
        ]);
    }
}
