//! DECODE: the text of bytes in US-ASCII, ISO-8859-1, UTF-8, UTF-16BE, UTF-16LE or UTF-16.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use flott_core::Result;
use flott_core::types::TypeKind as K;

use super::charset;
use crate::example::Example;
use crate::scalar::shape::fit;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const DECODE: ScalarFunction = ScalarFunction {
    name: "DECODE",
    syntax: "DECODE(bytes, charset)",
    description: "The text of bytes in US-ASCII, ISO-8859-1, UTF-8, UTF-16BE, UTF-16LE or UTF-16.",
    documentation: "Names of charsets are not case-sensitive; others are an error. Bytes that are no character \
         become U+FFFD. NULL gives NULL.",
    examples: &[
        Example { sql: "DECODE(x'616263', 'UTF-8')", result: "abc" },
        Example { sql: "DECODE(x'e4', 'ISO-8859-1')", result: "ä" },
    ],
    category: Category::String,
    arity: (2, 2),
    resolve: decode,
};

fn decode(a: &mut Arguments) -> Result<Option<Resolved>> {
    if !fit(a, &[K::BYTES, K::STRING])? {
        return Ok(None);
    }
    Ok(Some(Resolved::arrays(K::STRING.nullable(), |args, rows| {
        let (bytes, name) = (args[0].as_binary::<i32>(), args[1].as_string::<i32>());
        let mut out = arrow_array::builder::StringBuilder::new();
        for i in 0..rows {
            if bytes.is_null(i) || name.is_null(i) {
                out.append_null();
                continue;
            }
            let b = bytes.value(i);
            out.append_value(match charset(name.value(i))? {
                "US-ASCII" => {
                    b.iter().map(|b| if b.is_ascii() { char::from(*b) } else { char::REPLACEMENT_CHARACTER }).collect()
                }
                "ISO-8859-1" => b.iter().map(|b| char::from(*b)).collect(),
                "UTF-16LE" => wide(u16::from_le_bytes, b),
                "UTF-16" if b.starts_with(&[0xff, 0xfe]) => wide(u16::from_le_bytes, &b[2..]),
                "UTF-16" if b.starts_with(&[0xfe, 0xff]) => wide(u16::from_be_bytes, &b[2..]),
                "UTF-16BE" | "UTF-16" => wide(u16::from_be_bytes, b),
                _ => String::from_utf8_lossy(b).into_owned(),
            });
        }
        Ok(std::sync::Arc::new(out.finish()))
    })))
}

/// UTF-16 as Java reads it: the first half of a pair takes with it what follows, even where that is not the second half.
fn wide(unit: fn([u8; 2]) -> u16, bytes: &[u8]) -> String {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let mut units = pairs.iter().map(|two| unit(*two));
    let mut text = String::with_capacity(bytes.len());
    while let Some(first) = units.next() {
        let read = if matches!(first, 0xd800..=0xdbff) {
            let Some(second) = units.next() else {
                text.push(char::REPLACEMENT_CHARACTER);
                return text;
            };
            char::decode_utf16([first, second]).next().and_then(std::result::Result::ok)
        } else {
            char::from_u32(first.into())
        };
        text.push(read.unwrap_or(char::REPLACEMENT_CHARACTER));
    }
    // Half of a unit is no character either.
    text.extend((!rest.is_empty()).then_some(char::REPLACEMENT_CHARACTER));
    text
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[("DECODE", &[("aü", "BYTES"), ("UTF-8", "STRING")], "aü")]);
    }
}
