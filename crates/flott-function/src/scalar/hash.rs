//! Digests, encodings, URLs.

use std::borrow::Cow;

use arrow_array::builder::BinaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, BinaryArray};
use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use datafusion_expr::ColumnarValue;
use flott_core::types::TypeKind as K;
use flott_core::{Error, Result};
use md5::Digest;

use super::shape::{entry, fit, string_of, texts, texts_to_int, try_texts};
use super::{Arguments, Category, Resolve, ScalarFunction};
use crate::argument::{Primitive, Text, build_text};
use crate::text::hex;
use crate::udf::{Resolved, columns};

const fn hash(name: &'static str, syntax: &'static str, description: &'static str, resolve: Resolve) -> ScalarFunction {
    entry(Category::Hash, name, syntax, description, (1, 1), resolve)
}

const fn string(
    name: &'static str,
    syntax: &'static str,
    description: &'static str,
    arity: (usize, usize),
    resolve: Resolve,
) -> ScalarFunction {
    entry(Category::String, name, syntax, description, arity, resolve)
}

/// What Java's decoder takes: bits that are left over may be set.
const AS_JAVA: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// All of them.
pub(super) const FUNCTIONS: &[ScalarFunction] = &[
    hash("MD5", "MD5(text or bytes)", "The MD5 digest in 32 hexadecimal digits.", |a| {
        of_octets(a, |o| Ok(hex(&md5::Md5::digest(o))))
    }),
    hash("SHA1", "SHA1(text or bytes)", "The SHA-1 digest in 40 hexadecimal digits.", |a| {
        of_octets(a, |o| Ok(hex(&sha1(o))))
    }),
    hash("SHA224", "SHA224(text or bytes)", "The SHA-224 digest in 56 hexadecimal digits.", |a| {
        of_octets(a, |o| Ok(hex(&sha2::Sha224::digest(o))))
    }),
    hash("SHA256", "SHA256(text or bytes)", "The SHA-256 digest in 64 hexadecimal digits.", |a| {
        of_octets(a, |o| Ok(hex(&sha2::Sha256::digest(o))))
    }),
    hash("SHA384", "SHA384(text or bytes)", "The SHA-384 digest in 96 hexadecimal digits.", |a| {
        of_octets(a, |o| Ok(hex(&sha2::Sha384::digest(o))))
    }),
    hash("SHA512", "SHA512(text or bytes)", "The SHA-512 digest in 128 hexadecimal digits.", |a| {
        of_octets(a, |o| Ok(hex(&sha2::Sha512::digest(o))))
    }),
    entry(
        Category::Hash,
        "SHA2",
        "SHA2(text or bytes, bits)",
        "The SHA-2 digest of 224, 256, 384 or 512 bits in hexadecimal digits.",
        (2, 2),
        sha2_of,
    ),
    hash("HASH_CODE", "HASH_CODE(text)", "Java's hash code, without its sign.", |a| {
        texts_to_int(a, |[t]| {
            t.encode_utf16().fold(0i32, |h, u| h.wrapping_mul(31).wrapping_add(i32::from(u))).wrapping_abs()
        })
    }),
    string("TO_BASE64", "TO_BASE64(text or bytes)", "In base 64.", (1, 1), |a| {
        of_octets(a, |o| Ok(STANDARD.encode(o)))
    }),
    string("FROM_BASE64", "FROM_BASE64(text or bytes)", "The text that is given in base 64.", (1, 1), |a| {
        try_octets(a, from_base64)
    }),
    string("HEX", "HEX(number or text)", "In hexadecimal digits.", (1, 1), hex_of),
    string("UNHEX", "UNHEX(text)", "The bytes of hexadecimal digits; NULL where it has others.", (1, 1), unhex),
    string("BIN", "BIN(number)", "In binary digits.", (1, 1), |a| number_text(a, |n| format!("{n:b}"))),
    string(
        "ENCODE",
        "ENCODE(text, charset)",
        "The bytes of a text in US-ASCII, ISO-8859-1, UTF-8, UTF-16BE, UTF-16LE or UTF-16.",
        (2, 2),
        encode,
    ),
    string(
        "DECODE",
        "DECODE(bytes, charset)",
        "The text of bytes in US-ASCII, ISO-8859-1, UTF-8, UTF-16BE, UTF-16LE or UTF-16.",
        (2, 2),
        decode,
    ),
    string("URL_ENCODE", "URL_ENCODE(text)", "As a part of a URL.", (1, 1), |a| {
        texts(a, |[t]| Cow::Owned(url_encode(t)))
    }),
    string("URL_DECODE", "URL_DECODE(text)", "A part of a URL as text; NULL where it is none.", (1, 1), |a| {
        try_texts(a, |[t]| Ok(url_decode(t).map(Cow::Owned)))
    }),
    string(
        "PARSE_URL",
        "PARSE_URL(url, part[, key])",
        "HOST, PATH, QUERY, REF, PROTOCOL, FILE, AUTHORITY or USERINFO of a URL, or the value of a key of its query.",
        (2, 3),
        |a| {
            if a.values.len() == 2 {
                try_texts(a, |[url, part]| Ok(Url::parse(url).and_then(|u| u.part(part))))
            } else {
                try_texts(a, |[url, part, key]| {
                    let query = (part == "QUERY").then(|| Url::parse(url)?.query).flatten();
                    Ok(query
                        .and_then(|q| q.split('&').find_map(|p| p.strip_prefix(key)?.strip_prefix('=')))
                        .map(Cow::Borrowed))
                })
            }
        },
    ),
];

/// SHA-1 (FIPS 180-4): it only names things here, so no crate is needed for it.
fn sha1(bytes: &[u8]) -> [u8; 20] {
    let mut state: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    let mut message = bytes.to_vec();
    message.push(0x80);
    while message.len() % 64 != 56 {
        message.push(0);
    }
    message.extend_from_slice(&(bytes.len() as u64).wrapping_mul(8).to_be_bytes());
    for block in message.chunks_exact(64) {
        let mut w = [0u32; 80];
        for (slot, four) in w.iter_mut().zip(block.chunks_exact(4)) {
            *slot = four.iter().fold(0, |v, b| v << 8 | u32::from(*b));
        }
        for i in 16..80 {
            w[i] = (w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16]).rotate_left(1);
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (i, word) in w.iter().enumerate() {
            let (f, k) = match i {
                0..20 => ((b & c) | (!b & d), 0x5a82_7999),
                20..40 => (b ^ c ^ d, 0x6ed9_eba1),
                40..60 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6u32),
            };
            let next = a.rotate_left(5).wrapping_add(f).wrapping_add(e).wrapping_add(k).wrapping_add(*word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        for (s, v) in state.iter_mut().zip([a, b, c, d, e]) {
            *s = s.wrapping_add(v);
        }
    }
    let mut out = [0; 20];
    for (four, word) in out.chunks_exact_mut(4).zip(state) {
        four.copy_from_slice(&word.to_be_bytes());
    }
    out
}

/// A text's or a byte string's bytes to a text, or an error.
fn try_octets(a: &mut Arguments, f: fn(&[u8]) -> Result<String>) -> Result<Option<Resolved>> {
    let binary = a.values[0].data_type.kind.is_binary();
    if !binary && !fit(a, &[K::STRING])? {
        return Ok(None);
    }
    Ok(Some(Resolved::new(string_of(a), move |args, rows| {
        let octets = Octets::of(&args[0], binary)?;
        build_text(args, rows, |i, out| {
            out.append_option(octets.get(i).map(f).transpose()?);
            Ok(())
        })
    })))
}

/// The same where nothing can be wrong.
fn of_octets(a: &mut Arguments, f: fn(&[u8]) -> Result<String>) -> Result<Option<Resolved>> {
    Ok(try_octets(a, f)?.map(Resolved::infallible))
}

/// Texts and byte strings, as bytes.
enum Octets {
    Text(Text),
    Bytes(BinaryArray, bool),
}

impl Octets {
    fn of(value: &ColumnarValue, binary: bool) -> Result<Octets> {
        if !binary {
            return Text::of(value).map(Octets::Text);
        }
        let constant = matches!(value, ColumnarValue::Scalar(_));
        let array = columns(std::slice::from_ref(value), 1)?.remove(0);
        Ok(Octets::Bytes(array.as_binary().clone(), constant))
    }

    fn get(&self, row: usize) -> Option<&[u8]> {
        match self {
            Octets::Text(text) => text.get(row).map(str::as_bytes),
            Octets::Bytes(bytes, constant) => {
                let row = if *constant { 0 } else { row };
                bytes.is_valid(row).then(|| bytes.value(row))
            }
        }
    }
}

fn from_base64(text: &[u8]) -> Result<String> {
    let wrong = || {
        let shown: String = String::from_utf8_lossy(text).chars().take(100).collect();
        Error::data(format!("'{shown}' is not base 64"))
    };
    // Java's decoder needs no padding, but no half of one either.
    if text.ends_with(b"=") && !text.len().is_multiple_of(4) {
        return Err(wrong());
    }
    let bytes = AS_JAVA.decode(text).map_err(|_| wrong())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn sha2_of(a: &mut Arguments) -> Result<Option<Resolved>> {
    let binary = a.values[0].data_type.kind.is_binary();
    if !fit(a, &[if binary { K::BYTES } else { K::STRING }, K::Int])? {
        return Ok(None);
    }
    let check = |bits: i32| match bits {
        224 | 256 | 384 | 512 => Ok(bits),
        _ => Err(Error::user(format!("Unsupported algorithm: SHA-{bits}")).hint("SHA2 has 224, 256, 384 or 512 bits")),
    };
    if let Some(datafusion_common::ScalarValue::Int32(Some(bits))) = a.values[1].constant() {
        check(*bits)?;
    }
    Ok(Some(Resolved::new(string_of(a), move |args, rows| {
        let (text, bits) = (Octets::of(&args[0], binary)?, Primitive::<Int32Type>::of(&args[1])?);
        build_text(args, rows, |i, out| {
            let (Some(t), Some(bits)) = (text.get(i), bits.get(i)) else {
                out.append_null();
                return Ok(());
            };
            out.append_value(match check(bits)? {
                224 => hex(&sha2::Sha224::digest(t)),
                256 => hex(&sha2::Sha256::digest(t)),
                384 => hex(&sha2::Sha384::digest(t)),
                _ => hex(&sha2::Sha512::digest(t)),
            });
            Ok(())
        })
    })))
}

fn number_text(a: &mut Arguments, f: fn(i64) -> String) -> Result<Option<Resolved>> {
    if !fit(a, &[K::BigInt])? {
        return Ok(None);
    }
    let resolved = Resolved::new(string_of(a), move |args, rows| {
        let number = Primitive::<Int64Type>::of(&args[0])?;
        build_text(args, rows, |i, out| {
            out.append_option(number.get(i).map(f));
            Ok(())
        })
    });
    Ok(Some(resolved.infallible()))
}

fn hex_of(a: &mut Arguments) -> Result<Option<Resolved>> {
    if a.values[0].data_type.kind.is_integer() {
        return number_text(a, |n| format!("{n:X}"));
    }
    texts(a, |[t]| Cow::Owned(hex(t.as_bytes()).to_ascii_uppercase()))
}

/// Bytes of texts, or NULL.
fn bytes_of(a: &mut Arguments, f: fn(&str, &str) -> Result<Option<Vec<u8>>>) -> Result<Option<Resolved>> {
    if !fit(a, &[K::STRING, K::STRING])? {
        return Ok(None);
    }
    Ok(Some(Resolved::arrays(K::BYTES.nullable(), move |args, rows| {
        let text = args[0].as_string::<i32>();
        let second = args.get(1).map(|a| a.as_string::<i32>());
        let mut out = BinaryBuilder::new();
        for i in 0..rows {
            let second = second.map_or(Some(""), |s| Array::is_valid(s, i).then(|| s.value(i)));
            match (Array::is_valid(text, i), second) {
                (true, Some(second)) => out.append_option(f(text.value(i), second)?),
                _ => out.append_null(),
            }
        }
        Ok(std::sync::Arc::new(out.finish()))
    })))
}

fn unhex(a: &mut Arguments) -> Result<Option<Resolved>> {
    bytes_of(a, |t, _| {
        let digit = |b: u8| char::from(b).to_digit(16).map(|d| d as u8);
        // An odd first digit counts for nothing: Flink writes a zero in its place.
        let (first, rest) = t.as_bytes().split_at(t.len() % 2);
        let mut out: Option<Vec<u8>> = first.iter().map(|b| digit(*b).map(|_| 0)).collect();
        for two in rest.chunks_exact(2) {
            let byte = digit(two[0]).zip(digit(two[1])).map(|(h, l)| h << 4 | l);
            out = out.zip(byte).map(|(mut out, byte)| {
                out.push(byte);
                out
            });
        }
        Ok(out)
    })
}

fn charset(name: &str) -> Result<&'static str> {
    const NAMES: [&str; 6] = ["US-ASCII", "ISO-8859-1", "UTF-8", "UTF-16BE", "UTF-16LE", "UTF-16"];
    NAMES.into_iter().find(|n| n.eq_ignore_ascii_case(name)).ok_or_else(|| {
        Error::user(format!("Unsupported encoding: {name}")).hint(format!("Use one of {}", NAMES.join(", ")))
    })
}

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

fn decode(a: &mut Arguments) -> Result<Option<Resolved>> {
    if !fit(a, &[K::BYTES, K::STRING])? {
        return Ok(None);
    }
    Ok(Some(Resolved::arrays(K::STRING.nullable(), |args, rows| {
        let (bytes, name) = (args[0].as_binary::<i32>(), args[1].as_string::<i32>());
        let mut out = arrow_array::builder::StringBuilder::new();
        for i in 0..rows {
            use arrow_array::Array;
            if bytes.is_null(i) || name.is_null(i) {
                out.append_null();
                continue;
            }
            let b = bytes.value(i);
            let wide = |unit: fn([u8; 2]) -> u16, b: &[u8]| {
                let (pairs, rest) = b.as_chunks::<2>();
                let units = pairs.iter().map(|two| unit(*two));
                let mut text: String =
                    char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
                // Half of a unit is no character either.
                text.extend((!rest.is_empty()).then_some(char::REPLACEMENT_CHARACTER));
                text
            };
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

/// The parts of a URL, as `java.net.URL` names them.
struct Url<'a> {
    protocol: &'a str,
    authority: &'a str,
    file: &'a str,
    query: Option<&'a str>,
    reference: Option<&'a str>,
}

impl<'a> Url<'a> {
    fn parse(url: &'a str) -> Option<Url<'a>> {
        let url = url.trim();
        let (protocol, rest) = url.split_once(':')?;
        // What java.net.URL knows; anything else is no URL to it.
        const KNOWN: [&str; 5] = ["http", "https", "ftp", "file", "jar"];
        if !KNOWN.iter().any(|k| k.eq_ignore_ascii_case(protocol)) {
            return None;
        }
        let (rest, reference) = match rest.split_once('#') {
            Some((rest, reference)) => (rest, Some(reference)),
            None => (rest, None),
        };
        let (authority, file) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len())),
            None => ("", rest),
        };
        let query = file.split_once('?').map(|(_, q)| q);
        Some(Url { protocol, authority, file, query, reference })
    }

    fn part(&self, name: &str) -> Option<Cow<'a, str>> {
        let user = self.authority.rsplit_once('@');
        Some(Cow::Borrowed(match name {
            "PROTOCOL" => return Some(Cow::Owned(self.protocol.to_ascii_lowercase())),
            "AUTHORITY" => self.authority,
            "USERINFO" => user?.0,
            "HOST" => {
                let host = user.map_or(self.authority, |(_, host)| host);
                match host.strip_prefix('[') {
                    Some(_) => &host[..=host.find(']')?],
                    None => host.split(':').next()?,
                }
            }
            "PATH" => self.file.split('?').next()?,
            "QUERY" => self.query?,
            "FILE" => self.file,
            "REF" => self.reference?,
            _ => return None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check;

    #[test]
    fn digests() {
        check(&[
            ("MD5", &[("test", "STRING")], "098f6bcd4621d373cade4e832627b4f6"),
            ("SHA1", &[("test", "STRING")], "a94a8fe5ccb19ba61c4c0873d391e987982fbbd3"),
            ("SHA1", &[("", "STRING")], "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
            ("SHA224", &[("test", "STRING")], "90a3ed9e32b2aaf4c61c410eb925426119e1a9dc53d4286ade99a809"),
            ("SHA256", &[("test", "STRING")], "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
            (
                "SHA2",
                &[("test", "STRING"), ("256", "INT")],
                "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            ),
            ("SHA2", &[("test", "STRING"), ("5", "INT")], "ERROR Unsupported algorithm"),
            ("MD5", &[("NULL", "STRING")], "NULL"),
            ("HASH_CODE", &[("abc", "STRING")], "96354"),
        ]);
        // Every length around a block: the known digest of 1000 letters a, and no panic before.
        for n in 0..=200 {
            assert_eq!(sha1(&vec![b'a'; n]).len(), 20);
        }
        assert_eq!(hex(&sha1(&[b'a'; 1_000])), "291e9a6c66994949b57ba5e650361e98fc36b1ba");
        assert_eq!(hex(&sha1(&[b'a'; 55])), "c1c8bbdc22796e28c0e15163d20899b65621d65a");
        assert_eq!(hex(&sha1(&[b'a'; 56])), "c2db330f6083854c99d4b5bfb6e8f29f201be699");
        assert_eq!(hex(&sha1(&[b'a'; 63])), "03f09f5b158a7a8cdad920bddc29b81c18a551f5");
        assert_eq!(hex(&sha1(&[b'a'; 64])), "0098ba824b5c16427bd7a1122a5a442a25ec644d");
    }

    #[test]
    fn encodings() {
        check(&[
            ("TO_BASE64", &[("hello world", "STRING")], "aGVsbG8gd29ybGQ="),
            ("FROM_BASE64", &[("aGVsbG8gd29ybGQ=", "STRING")], "hello world"),
            ("FROM_BASE64", &[("!", "STRING")], "ERROR not base 64"),
            ("HEX", &[("100", "INT")], "64"),
            ("HEX", &[("-1", "BIGINT")], "FFFFFFFFFFFFFFFF"),
            ("HEX", &[("hello,world", "STRING")], "68656C6C6F2C776F726C64"),
            ("UNHEX", &[("466C696E6B", "STRING")], "x'466c696e6b'"),
            ("UNHEX", &[("F", "STRING")], "x'00'"),
            ("UNHEX", &[("F46", "STRING")], "x'0046'"),
            ("UNHEX", &[("xy", "STRING")], "NULL"),
            ("BIN", &[("12", "INT")], "1100"),
            ("BIN", &[("-7", "BIGINT")], "1111111111111111111111111111111111111111111111111111111111111001"),
            ("ENCODE", &[("aü", "STRING"), ("ISO-8859-1", "STRING")], "x'61fc'"),
            ("ENCODE", &[("a", "STRING"), ("utf-16", "STRING")], "x'feff0061'"),
            ("ENCODE", &[("a", "STRING"), ("x", "STRING")], "ERROR Unsupported encoding"),
            ("DECODE", &[("aü", "BYTES"), ("UTF-8", "STRING")], "aü"),
            ("URL_ENCODE", &[("https://a.b/?q=ä c", "STRING")], "https%3A%2F%2Fa.b%2F%3Fq%3D%C3%A4+c"),
            ("URL_DECODE", &[("%C3%A4+c", "STRING")], "ä c"),
            ("URL_DECODE", &[("%zz", "STRING")], "NULL"),
        ]);
    }

    #[test]
    fn parts_of_urls() {
        const URL: &str = "http://userinfo@flink.apache.org:80/path?query=1&b=2#Ref";
        check(&[
            ("PARSE_URL", &[(URL, "STRING"), ("HOST", "STRING")], "flink.apache.org"),
            ("PARSE_URL", &[(URL, "STRING"), ("PATH", "STRING")], "/path"),
            ("PARSE_URL", &[(URL, "STRING"), ("QUERY", "STRING")], "query=1&b=2"),
            ("PARSE_URL", &[(URL, "STRING"), ("REF", "STRING")], "Ref"),
            ("PARSE_URL", &[(URL, "STRING"), ("PROTOCOL", "STRING")], "http"),
            ("PARSE_URL", &[(URL, "STRING"), ("FILE", "STRING")], "/path?query=1&b=2"),
            ("PARSE_URL", &[(URL, "STRING"), ("AUTHORITY", "STRING")], "userinfo@flink.apache.org:80"),
            ("PARSE_URL", &[(URL, "STRING"), ("USERINFO", "STRING")], "userinfo"),
            ("PARSE_URL", &[(URL, "STRING"), ("QUERY", "STRING"), ("b", "STRING")], "2"),
            ("PARSE_URL", &[(URL, "STRING"), ("QUERY", "STRING"), ("x", "STRING")], "NULL"),
            ("PARSE_URL", &[("no url", "STRING"), ("HOST", "STRING")], "NULL"),
        ]);
    }
}
