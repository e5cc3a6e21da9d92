//! How text is written in bytes: Java's charsets, by Java's names.

use std::borrow::Cow;

use encoding_rs::{DecoderResult, EncoderResult, Encoding};
use flott_core::{Error, Result, suggest};

/// A charset. What it cannot read is an error, and what it cannot write a question mark, as in Java.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Charset {
    Utf8,
    Ascii,
    Latin1,
    Utf16(Order),
    Utf32(Order),
    Other(&'static Encoding),
}

/// The order of the bytes of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Big,
    Little,
    /// As the mark at the beginning says. Without one it is big-endian.
    Marked,
}

/// Names, with those by which Java knows them as well.
const NAMES: &[(&str, &[&str], Charset)] = &[
    ("UTF-8", &["UTF8", "unicode-1-1-utf-8"], Charset::Utf8),
    ("US-ASCII", &["ASCII", "ISO646-US", "646", "cp367"], Charset::Ascii),
    ("ISO-8859-1", &["ISO8859_1", "ISO8859-1", "latin1", "l1", "ISO_8859-1", "cp819", "IBM819"], Charset::Latin1),
    ("UTF-16", &["UTF_16", "UTF16", "unicode", "UnicodeBig"], Charset::Utf16(Order::Marked)),
    ("UTF-16BE", &["UTF_16BE", "X-UTF-16BE", "UnicodeBigUnmarked"], Charset::Utf16(Order::Big)),
    ("UTF-16LE", &["UTF_16LE", "X-UTF-16LE", "UnicodeLittleUnmarked"], Charset::Utf16(Order::Little)),
    ("UTF-32", &["UTF_32", "UTF32", "ISO-10646-UCS-4"], Charset::Utf32(Order::Marked)),
    ("UTF-32BE", &["UTF_32BE", "X-UTF-32BE"], Charset::Utf32(Order::Big)),
    ("UTF-32LE", &["UTF_32LE", "X-UTF-32LE"], Charset::Utf32(Order::Little)),
    ("GBK", &["CP936", "windows-936", "x-mswin-936", "MS936"], Charset::Other(encoding_rs::GBK)),
    ("GB2312", &["gb2312-80", "EUC_CN", "euccn", "x-EUC-CN"], Charset::Other(encoding_rs::GBK)),
    ("GB18030", &["gb18030-2000", "gb18030-2022"], Charset::Other(encoding_rs::GB18030)),
    ("Big5", &["csBig5"], Charset::Other(encoding_rs::BIG5)),
    (
        "Shift_JIS",
        &["sjis", "shift-jis", "ms_kanji", "x-sjis", "windows-31j", "MS932", "csWindows31J"],
        Charset::Other(encoding_rs::SHIFT_JIS),
    ),
    ("EUC-JP", &["euc_jp", "eucjis", "eucjp", "x-euc-jp"], Charset::Other(encoding_rs::EUC_JP)),
    ("ISO-2022-JP", &["iso2022jp", "jis", "csISO2022JP"], Charset::Other(encoding_rs::ISO_2022_JP)),
    ("EUC-KR", &["ksc5601", "euckr", "euc_kr", "x-windows-949", "ms949"], Charset::Other(encoding_rs::EUC_KR)),
    ("ISO-8859-2", &["ISO8859_2", "latin2", "l2"], Charset::Other(encoding_rs::ISO_8859_2)),
    ("ISO-8859-3", &["ISO8859_3", "latin3", "l3"], Charset::Other(encoding_rs::ISO_8859_3)),
    ("ISO-8859-4", &["ISO8859_4", "latin4", "l4"], Charset::Other(encoding_rs::ISO_8859_4)),
    ("ISO-8859-5", &["ISO8859_5", "cyrillic"], Charset::Other(encoding_rs::ISO_8859_5)),
    ("ISO-8859-6", &["ISO8859_6", "arabic"], Charset::Other(encoding_rs::ISO_8859_6)),
    ("ISO-8859-7", &["ISO8859_7", "greek"], Charset::Other(encoding_rs::ISO_8859_7)),
    ("ISO-8859-8", &["ISO8859_8", "hebrew"], Charset::Other(encoding_rs::ISO_8859_8)),
    ("ISO-8859-13", &["ISO8859_13"], Charset::Other(encoding_rs::ISO_8859_13)),
    ("ISO-8859-15", &["ISO8859_15", "latin9", "latin-9", "L9"], Charset::Other(encoding_rs::ISO_8859_15)),
    ("ISO-8859-16", &["ISO8859_16", "latin10", "l10"], Charset::Other(encoding_rs::ISO_8859_16)),
    ("KOI8-R", &["koi8_r", "koi8"], Charset::Other(encoding_rs::KOI8_R)),
    ("KOI8-U", &["koi8_u"], Charset::Other(encoding_rs::KOI8_U)),
    ("IBM866", &["cp866", "866"], Charset::Other(encoding_rs::IBM866)),
    ("x-MacRoman", &["MacRoman"], Charset::Other(encoding_rs::MACINTOSH)),
    ("x-windows-874", &["windows-874", "MS874"], Charset::Other(encoding_rs::WINDOWS_874)),
    ("windows-1250", &["cp1250"], Charset::Other(encoding_rs::WINDOWS_1250)),
    ("windows-1251", &["cp1251"], Charset::Other(encoding_rs::WINDOWS_1251)),
    ("windows-1252", &["cp1252"], Charset::Other(encoding_rs::WINDOWS_1252)),
    ("windows-1253", &["cp1253"], Charset::Other(encoding_rs::WINDOWS_1253)),
    ("windows-1254", &["cp1254"], Charset::Other(encoding_rs::WINDOWS_1254)),
    ("windows-1255", &["cp1255"], Charset::Other(encoding_rs::WINDOWS_1255)),
    ("windows-1256", &["cp1256"], Charset::Other(encoding_rs::WINDOWS_1256)),
    ("windows-1257", &["cp1257"], Charset::Other(encoding_rs::WINDOWS_1257)),
    ("windows-1258", &["cp1258"], Charset::Other(encoding_rs::WINDOWS_1258)),
];

impl Charset {
    /// By its name or another one, in any case.
    pub(super) fn of(name: &str) -> Result<Charset> {
        let is = |known: &&str| known.eq_ignore_ascii_case(name.trim());
        let found = NAMES.iter().find(|(known, others, _)| is(known) || others.iter().any(&is));
        found.map(|(_, _, charset)| *charset).ok_or_else(|| {
            let error = Error::user(format!("Unsupported 'raw.charset' name: {name}.")).with("option", "raw.charset");
            let known = NAMES.iter().map(|(known, _, _)| *known);
            match suggest::nearest(name, known.clone()) {
                Some(near) => error.hint(format!("Did you mean '{near}'?")),
                None => error.hint(format!("There are {}", known.collect::<Vec<_>>().join(", "))),
            }
        })
    }

    /// As Java calls it.
    pub(super) fn name(self) -> &'static str {
        NAMES.iter().find(|(_, _, charset)| *charset == self).map_or("text", |(name, ..)| name)
    }

    /// Whether each byte of ASCII stands for itself, wherever it is: a line break then ends a line.
    pub(super) fn has_lines(self) -> bool {
        !matches!(self, Charset::Utf16(_) | Charset::Utf32(_)) && self != Charset::Other(encoding_rs::ISO_2022_JP)
    }

    /// The text of these bytes; `None` where they are none.
    pub(super) fn decode(self, bytes: &[u8]) -> Option<Cow<'_, str>> {
        Some(match self {
            Charset::Utf8 => Cow::Borrowed(simdutf8::basic::from_utf8(bytes).ok()?),
            Charset::Ascii => Cow::Borrowed(simdutf8::basic::from_utf8(bytes).ok().filter(|t| t.is_ascii())?),
            Charset::Latin1 => Cow::Owned(bytes.iter().map(|b| char::from(*b)).collect()),
            Charset::Utf16(order) => {
                let (order, bytes) = marked::<2>(order, bytes, [0xfe, 0xff]);
                let (units, []) = bytes.as_chunks::<2>() else { return None };
                let unit =
                    |u: &[u8; 2]| if order == Order::Little { u16::from_le_bytes(*u) } else { u16::from_be_bytes(*u) };
                let text: std::result::Result<String, _> = char::decode_utf16(units.iter().map(unit)).collect();
                Cow::Owned(text.ok()?)
            }
            Charset::Utf32(order) => {
                let (order, bytes) = marked::<4>(order, bytes, [0, 0, 0xfe, 0xff]);
                let (units, []) = bytes.as_chunks::<4>() else { return None };
                let unit =
                    |u: &[u8; 4]| if order == Order::Little { u32::from_le_bytes(*u) } else { u32::from_be_bytes(*u) };
                Cow::Owned(units.iter().map(|u| char::from_u32(unit(u))).collect::<Option<String>>()?)
            }
            Charset::Other(encoding) => decode(encoding, bytes)?,
        })
    }

    /// The bytes of a text.
    pub(super) fn encode(self, text: &str, out: &mut Vec<u8>) {
        match self {
            Charset::Utf8 => out.extend_from_slice(text.as_bytes()),
            Charset::Ascii => out.extend(text.chars().map(|c| if c.is_ascii() { c as u8 } else { b'?' })),
            Charset::Latin1 => out.extend(text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?'))),
            Charset::Utf16(Order::Little) => text.encode_utf16().for_each(|u| out.extend(u.to_le_bytes())),
            Charset::Utf16(order) => {
                // Java writes the mark only here.
                if order == Order::Marked && !text.is_empty() {
                    out.extend([0xfe, 0xff]);
                }
                text.encode_utf16().for_each(|u| out.extend(u.to_be_bytes()));
            }
            Charset::Utf32(Order::Little) => text.chars().for_each(|c| out.extend(u32::from(c).to_le_bytes())),
            Charset::Utf32(_) => text.chars().for_each(|c| out.extend(u32::from(c).to_be_bytes())),
            Charset::Other(encoding) => encode(encoding, text, out),
        }
    }
}

/// Takes the mark away where one may be. `big`: how it reads where it is big-endian.
fn marked<const N: usize>(order: Order, bytes: &[u8], big: [u8; N]) -> (Order, &[u8]) {
    let mut little = big;
    little.reverse();
    match bytes.split_first_chunk::<N>() {
        Some((mark, rest)) if order == Order::Marked && *mark == big => (Order::Big, rest),
        Some((mark, rest)) if order == Order::Marked && *mark == little => (Order::Little, rest),
        _ => (order, bytes),
    }
}

fn decode<'a>(encoding: &'static Encoding, bytes: &'a [u8]) -> Option<Cow<'a, str>> {
    if encoding.is_single_byte() {
        // What such a charset has no character for is an error there, too.
        return encoding.decode_without_bom_handling_and_without_replacement(bytes);
    }
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let mut text = String::with_capacity(decoder.max_utf8_buffer_length_without_replacement(bytes.len())?);
    let (result, read) = decoder.decode_to_string_without_replacement(bytes, &mut text, true);
    (result == DecoderResult::InputEmpty && read == bytes.len()).then_some(Cow::Owned(text))
}

fn encode(encoding: &'static Encoding, text: &str, out: &mut Vec<u8>) {
    let mut encoder = encoding.new_encoder();
    let mut rest = text;
    loop {
        out.reserve(encoder.max_buffer_length_from_utf8_without_replacement(rest.len()).unwrap_or(rest.len()) + 8);
        let (result, read) = encoder.encode_from_utf8_to_vec_without_replacement(rest, out, true);
        rest = &rest[read..];
        match result {
            EncoderResult::InputEmpty => return,
            EncoderResult::OutputFull => {}
            EncoderResult::Unmappable(_) => out.push(b'?'),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(name: &str, text: &str, bytes: &[u8]) {
        let charset = Charset::of(name).expect(name);
        let mut written = vec![];
        charset.encode(text, &mut written);
        assert_eq!(written, bytes, "{name}: {text}");
        assert_eq!(charset.decode(bytes).as_deref(), Some(text), "{name}: {bytes:?}");
    }

    /// As Java's `getBytes` and `new String` have them.
    #[test]
    fn texts_in_charsets_of_java() {
        both("utf-8", "é€", "é€".as_bytes());
        both("latin1", "é", &[0xe9]);
        both("UTF-16", "aé", &[0xfe, 0xff, 0, 0x61, 0, 0xe9]);
        both("UTF-16", "", &[]);
        both("UTF-16BE", "😀", &[0xd8, 0x3d, 0xde, 0]);
        both("utf-16le", "aé", &[0x61, 0, 0xe9, 0]);
        both("UTF-32", "😀", &[0, 1, 0xf6, 0]);
        both("UTF-32LE", "a", &[0x61, 0, 0, 0]);
        both("GBK", "中文", &[0xd6, 0xd0, 0xce, 0xc4]);
        both("gb18030", "😀", &[0x94, 0x39, 0xfc, 0x36]);
        both("Big5", "中文", &[0xa4, 0xa4, 0xa4, 0xe5]);
        both("Shift_JIS", "日本", &[0x93, 0xfa, 0x96, 0x7b]);
        both("EUC-JP", "日本", &[0xc6, 0xfc, 0xcb, 0xdc]);
        both("EUC-KR", "한", &[0xc7, 0xd1]);
        both("windows-1252", "€é", &[0x80, 0xe9]);
        both("Cp1251", "Я", &[0xdf]);
        both("ISO-8859-15", "€", &[0xa4]);
        both("KOI8-R", "Я", &[0xf1]);
    }

    #[test]
    fn marks_say_the_order_and_are_no_text_where_nobody_asks() {
        let marked = |name, bytes: &'static [u8]| Charset::of(name).expect(name).decode(bytes).map(Cow::into_owned);
        assert_eq!(marked("UTF-16", &[0xff, 0xfe, 0x61, 0]).as_deref(), Some("a"));
        assert_eq!(marked("UTF-16", &[0, 0x61]).as_deref(), Some("a"));
        assert_eq!(marked("UTF-32", &[0xff, 0xfe, 0, 0, 0x61, 0, 0, 0]).as_deref(), Some("a"));
        assert_eq!(marked("UTF-16BE", &[0xfe, 0xff, 0, 0x61]).as_deref(), Some("\u{feff}a"));
    }

    #[test]
    fn what_is_no_text_is_told_and_what_cannot_be_written_is_a_question_mark() {
        for (name, bytes) in [
            ("UTF-8", &[0xff][..]),
            ("US-ASCII", &[0xe9]),
            ("UTF-16BE", &[0]),
            ("UTF-16BE", &[0xd8, 0]),
            ("UTF-32BE", &[0, 0x11, 0, 0]),
            ("GBK", &[0xd6]),
            ("Shift_JIS", &[0x93]),
            ("ISO-8859-7", &[0xff]),
        ] {
            assert_eq!(Charset::of(name).expect(name).decode(bytes), None, "{name}");
        }
        for (name, bytes) in [("GBK", "a?b"), ("windows-1252", "a?b"), ("US-ASCII", "a?b"), ("ISO-8859-1", "a?b")] {
            let mut written = vec![];
            Charset::of(name).expect(name).encode("a😀b", &mut written);
            assert_eq!(written, bytes.as_bytes(), "{name}");
        }
        let near = Charset::of("windows-125").expect_err("unknown").to_string();
        assert!(near.contains("Unsupported 'raw.charset' name") && near.contains("windows-125"), "{near}");
    }

    #[test]
    fn lines_need_bytes_that_stand_for_themselves() {
        for (name, lines) in
            [("UTF-8", true), ("GBK", true), ("UTF-16", false), ("UTF-32LE", false), ("ISO-2022-JP", false)]
        {
            assert_eq!(Charset::of(name).expect(name).has_lines(), lines, "{name}");
        }
    }
}
