//! Values of type VARIANT, in Parquet's variant encoding (version 1): a dictionary of keys, and a value that says what it is.
//!
//! A value in a column is the length of the dictionary (four bytes, the lowest first), the dictionary and the value. Two are
//! equal where their bytes are, as in Flink: objects whose keys came in another order are not.

use crate::time_text::civil_from_days;
use crate::{Error, Result};

/// The version in the first byte of a dictionary.
pub const VERSION: u8 = 1;
/// What stands before the dictionary.
const LENGTH_BYTES: usize = 4;

/// Basic types: the two lowest bits of a value's first byte.
pub mod basic {
    #![expect(missing_docs, reason = "the names are those of the specification")]
    pub const PRIMITIVE: u8 = 0;
    pub const SHORT_TEXT: u8 = 1;
    pub const OBJECT: u8 = 2;
    pub const ARRAY: u8 = 3;
}

/// Primitive types: the bits above.
pub mod primitive {
    #![expect(missing_docs, reason = "the names are those of the specification")]
    pub const NULL: u8 = 0;
    pub const TRUE: u8 = 1;
    pub const FALSE: u8 = 2;
    pub const INT1: u8 = 3;
    pub const INT2: u8 = 4;
    pub const INT4: u8 = 5;
    pub const INT8: u8 = 6;
    pub const DOUBLE: u8 = 7;
    pub const DECIMAL4: u8 = 8;
    pub const DECIMAL8: u8 = 9;
    pub const DECIMAL16: u8 = 10;
    pub const DATE: u8 = 11;
    pub const TIMESTAMP_LTZ: u8 = 12;
    pub const TIMESTAMP: u8 = 13;
    pub const FLOAT: u8 = 14;
    pub const BINARY: u8 = 15;
    pub const TEXT: u8 = 16;
}

fn malformed() -> Error {
    Error::data("a malformed VARIANT")
}

/// An unsigned number of one to four bytes.
fn unsigned(bytes: &[u8], at: usize, size: usize) -> Result<usize> {
    let bytes = bytes.get(at..at + size).ok_or_else(malformed)?;
    Ok(bytes.iter().rev().fold(0, |n, b| n << 8 | usize::from(*b)))
}

/// A signed number of so many bytes.
fn signed(bytes: &[u8], at: usize, size: usize) -> Result<i128> {
    let bytes = bytes.get(at..at + size).ok_or_else(malformed)?;
    let negative = bytes.last().is_some_and(|b| *b >= 0x80);
    Ok(bytes.iter().rev().fold(if negative { -1 } else { 0 }, |n, b| n << 8 | i128::from(*b)))
}

/// What an object or an array holds.
struct Elements {
    count: usize,
    /// Where the ids of an object's keys are, and how long each is.
    ids: (usize, usize),
    offsets: (usize, usize),
    data: usize,
}

/// How numbers are written, which is not for this crate to know.
#[derive(Debug, Clone, Copy)]
pub struct NumberText {
    /// As Java's `Double.toString`.
    pub double: fn(f64, &mut String),
    /// As Java's `Float.toString`.
    pub float: fn(f32, &mut String),
}

/// One value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variant<'a> {
    metadata: &'a [u8],
    value: &'a [u8],
}

impl<'a> Variant<'a> {
    /// The value that lies in a column.
    pub fn read(bytes: &'a [u8]) -> Result<Variant<'a>> {
        let length = unsigned(bytes, 0, LENGTH_BYTES)?;
        let (metadata, value) = bytes[LENGTH_BYTES..].split_at_checked(length).ok_or_else(malformed)?;
        if value.is_empty() || metadata.first().is_none_or(|b| b & 0x0f != VERSION) {
            return Err(malformed());
        }
        Ok(Variant { metadata, value })
    }

    /// Of a dictionary and a value, which are not looked at.
    pub fn of(metadata: &'a [u8], value: &'a [u8]) -> Variant<'a> {
        Variant { metadata, value }
    }

    /// As it lies in a column.
    pub fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(LENGTH_BYTES + self.metadata.len() + self.value.len());
        out.extend((self.metadata.len() as u32).to_le_bytes());
        out.extend(self.metadata);
        out.extend(self.value);
        out
    }

    fn header(&self) -> (u8, u8) {
        let first = self.value.first().copied().unwrap_or(0);
        (first & 3, first >> 2)
    }

    /// Whether it has fields.
    pub fn is_object(&self) -> bool {
        self.header().0 == basic::OBJECT
    }

    /// Whether it has elements.
    pub fn is_array(&self) -> bool {
        self.header().0 == basic::ARRAY
    }

    fn elements(&self) -> Result<Elements> {
        let (kind, header) = self.header();
        let object = kind == basic::OBJECT;
        let offset_size = usize::from(header & 3) + 1;
        let (id_size, large) = match object {
            true => (usize::from(header >> 2 & 3) + 1, header >> 4 & 1 == 1),
            false => (0, header >> 2 & 1 == 1),
        };
        let count_size = if large { 4 } else { 1 };
        let count = unsigned(self.value, 1, count_size)?;
        let ids = 1 + count_size;
        let offsets = ids + count * id_size;
        let data = offsets + (count + 1) * offset_size;
        if data > self.value.len() {
            return Err(malformed());
        }
        Ok(Elements { count, ids: (ids, id_size), offsets: (offsets, offset_size), data })
    }

    fn at(&self, elements: &Elements, index: usize) -> Result<Variant<'a>> {
        let (start, size) = elements.offsets;
        let from = elements.data + unsigned(self.value, start + index * size, size)?;
        let rest = self.value.get(from..).filter(|v| !v.is_empty()).ok_or_else(malformed)?;
        let whole = Variant { metadata: self.metadata, value: rest };
        let value = rest.get(..whole.size()?).ok_or_else(malformed)?;
        Ok(Variant { metadata: self.metadata, value })
    }

    fn key(&self, elements: &Elements, index: usize) -> Result<&'a str> {
        let (start, size) = elements.ids;
        let id = unsigned(self.value, start + index * size, size)?;
        let size = usize::from(self.metadata[0] >> 6) + 1;
        let count = unsigned(self.metadata, 1, size)?;
        let (offsets, texts) = (1 + size, 1 + size + (count + 1) * size);
        if id >= count {
            return Err(malformed());
        }
        let from = texts + unsigned(self.metadata, offsets + id * size, size)?;
        let to = texts + unsigned(self.metadata, offsets + (id + 1) * size, size)?;
        let text = self.metadata.get(from..to).ok_or_else(malformed)?;
        std::str::from_utf8(text).map_err(|_| malformed())
    }

    /// The bytes of a value that begins here.
    fn size(&self) -> Result<usize> {
        let (kind, header) = self.header();
        Ok(match kind {
            basic::SHORT_TEXT => 1 + usize::from(header),
            basic::OBJECT | basic::ARRAY => {
                let elements = self.elements()?;
                let (start, size) = elements.offsets;
                elements.data + unsigned(self.value, start + elements.count * size, size)?
            }
            _ => match header {
                primitive::NULL | primitive::TRUE | primitive::FALSE => 1,
                primitive::INT1 => 2,
                primitive::INT2 => 3,
                primitive::INT4 | primitive::DATE | primitive::FLOAT => 5,
                primitive::INT8 | primitive::DOUBLE | primitive::TIMESTAMP | primitive::TIMESTAMP_LTZ => 9,
                primitive::DECIMAL4 => 6,
                primitive::DECIMAL8 => 10,
                primitive::DECIMAL16 => 18,
                primitive::BINARY | primitive::TEXT => 5 + unsigned(self.value, 1, 4)?,
                _ => return Err(malformed()),
            },
        })
    }

    /// The field of an object; `None` where it has none of this name.
    pub fn field(&self, name: &str) -> Result<Option<Variant<'a>>> {
        let elements = self.elements()?;
        for i in 0..elements.count {
            if self.key(&elements, i)? == name {
                return self.at(&elements, i).map(Some);
            }
        }
        Ok(None)
    }

    /// The element of an array, from 0; `None` behind the end.
    pub fn element(&self, index: usize) -> Result<Option<Variant<'a>>> {
        let elements = self.elements()?;
        if index >= elements.count {
            return Ok(None);
        }
        self.at(&elements, index).map(Some)
    }

    /// As JSON, as Flink prints it.
    pub fn write_json(&self, numbers: NumberText, out: &mut String) -> Result<()> {
        let (kind, header) = self.header();
        let number = |size: usize| signed(self.value, 1, size);
        match kind {
            basic::OBJECT | basic::ARRAY => {
                let elements = self.elements()?;
                out.push(if kind == basic::OBJECT { '{' } else { '[' });
                for i in 0..elements.count {
                    if i > 0 {
                        out.push(',');
                    }
                    if kind == basic::OBJECT {
                        write_text(self.key(&elements, i)?, out);
                        out.push(':');
                    }
                    self.at(&elements, i)?.write_json(numbers, out)?;
                }
                out.push(if kind == basic::OBJECT { '}' } else { ']' });
            }
            basic::SHORT_TEXT => write_text(self.text(1, usize::from(header))?, out),
            _ => match header {
                primitive::NULL => out.push_str("null"),
                primitive::TRUE => out.push_str("true"),
                primitive::FALSE => out.push_str("false"),
                primitive::INT1 => out.push_str(&number(1)?.to_string()),
                primitive::INT2 => out.push_str(&number(2)?.to_string()),
                primitive::INT4 => out.push_str(&number(4)?.to_string()),
                primitive::INT8 => out.push_str(&number(8)?.to_string()),
                primitive::DOUBLE => (numbers.double)(f64::from_bits(number(8)? as u64), out),
                primitive::FLOAT => (numbers.float)(f32::from_bits(number(4)? as u32), out),
                primitive::DECIMAL4 | primitive::DECIMAL8 | primitive::DECIMAL16 => {
                    let size = 4 << (header - primitive::DECIMAL4);
                    let scale = *self.value.get(1).ok_or_else(malformed)?;
                    write_decimal(signed(self.value, 2, size)?, scale, out);
                }
                primitive::DATE => out.push_str(&format!("\"{}\"", date(number(4)? as i64))),
                primitive::TIMESTAMP | primitive::TIMESTAMP_LTZ => {
                    let zone = if header == primitive::TIMESTAMP { "" } else { "+00:00" };
                    out.push_str(&format!("\"{}{zone}\"", timestamp(number(8)? as i64)));
                }
                primitive::BINARY => {
                    let bytes = self.value.get(5..5 + unsigned(self.value, 1, 4)?).ok_or_else(malformed)?;
                    out.push_str(&format!("\"{}\"", base64(bytes)));
                }
                primitive::TEXT => write_text(self.text(5, unsigned(self.value, 1, 4)?)?, out),
                _ => return Err(malformed()),
            },
        }
        Ok(())
    }

    fn text(&self, from: usize, length: usize) -> Result<&'a str> {
        let bytes = self.value.get(from..from + length).ok_or_else(malformed)?;
        std::str::from_utf8(bytes).map_err(|_| malformed())
    }
}

fn date(days: i64) -> String {
    let (y, m, d) = civil_from_days(days);
    format!("{y:04}-{m:02}-{d:02}")
}

fn timestamp(micros: i64) -> String {
    let (seconds, fraction) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    let (days, s) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    format!("{} {:02}:{:02}:{:02}.{fraction:06}", date(days), s / 3_600, s / 60 % 60, s % 60)
}

/// A decimal without zeroes at the end of its fraction.
fn write_decimal(unscaled: i128, scale: u8, out: &mut String) {
    if unscaled < 0 {
        out.push('-');
    }
    let scale = usize::from(scale);
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    out.push_str(whole);
    let fraction = fraction.trim_end_matches('0');
    if !fraction.is_empty() {
        out.push('.');
        out.push_str(fraction);
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let n = three.iter().fold(0u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - three.len()));
        for i in 0..4 {
            let digit = DIGITS[(n >> (18 - 6 * i)) as usize & 63];
            out.push(if i <= three.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

/// A text in double quotes, with the escapes that JSON demands.
pub fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            c if c < ' ' => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &[u8]) -> String {
        let numbers = NumberText {
            double: |v, out| out.push_str(&format!("{v:?}")),
            float: |v, out| out.push_str(&format!("{v:?}")),
        };
        let mut out = String::new();
        Variant::of(&[1, 0, 0], value).write_json(numbers, &mut out).expect("a variant");
        out
    }

    /// Primitives that no JSON has: they come from files.
    #[test]
    fn primitives() {
        let of = |kind: u8, bytes: &[u8]| shown(&[&[kind << 2], bytes].concat());
        assert_eq!(of(primitive::DATE, &(-1i32).to_le_bytes()), "\"1969-12-31\"");
        assert_eq!(of(primitive::TIMESTAMP, &1_500_001i64.to_le_bytes()), "\"1970-01-01 00:00:01.500001\"");
        assert_eq!(of(primitive::TIMESTAMP_LTZ, &(-1i64).to_le_bytes()), "\"1969-12-31 23:59:59.999999+00:00\"");
        assert_eq!(of(primitive::FLOAT, &1.5f32.to_bits().to_le_bytes()), "1.5");
        assert_eq!(of(primitive::BINARY, &[2, 0, 0, 0, 0xff, 0x01]), "\"/wE=\"");
        assert_eq!(of(primitive::DECIMAL4, &[[2].as_slice(), &(-150i32).to_le_bytes()].concat()), "-1.5");
        assert_eq!(of(primitive::DECIMAL4, &[[0].as_slice(), &100i32.to_le_bytes()].concat()), "100");
    }

    #[test]
    fn base64_of_any_length() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
