//! JSON's grammar over bytes: no tree, no allocation.

use super::DEPTH_MAX;

/// The text is no JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    /// Where.
    pub(crate) at: usize,
    /// Why.
    pub(crate) reason: &'static str,
}

/// A value that is no object and no array.
#[derive(Debug, PartialEq)]
pub(crate) enum Scalar<'a> {
    /// A string without quotes and escapes.
    String(&'a [u8]),
    /// A number as written; `float` where it has a point or an exponent.
    Number {
        text: &'a [u8],
        float: bool,
    },
    True,
    False,
    Null,
    /// An object or array begins; nothing is consumed.
    Open,
}

/// Walks over a text. The text is valid UTF-8.
#[derive(Debug, Clone)]
pub(crate) struct Scanner<'a> {
    pub(crate) text: &'a [u8],
    pub(crate) at: usize,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Scanner<'a> {
        Scanner { text, at: 0 }
    }

    pub(crate) fn error(&self, reason: &'static str) -> SyntaxError {
        SyntaxError { at: self.at, reason }
    }

    /// The next byte that is no blank, unconsumed.
    #[inline]
    pub(crate) fn peek(&mut self) -> Option<u8> {
        while let Some(byte) = self.text.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    /// Consumes this byte, behind blanks.
    #[inline]
    pub(crate) fn expect(&mut self, byte: u8, reason: &'static str) -> Result<(), SyntaxError> {
        if self.peek() != Some(byte) {
            return Err(self.error(reason));
        }
        self.at += 1;
        Ok(())
    }

    /// The next part of an object or array: true where one follows, false where `close` has been consumed.
    #[inline]
    pub(crate) fn next_part(&mut self, first: &mut bool, close: u8) -> Result<bool, SyntaxError> {
        match self.peek() {
            Some(b) if b == close => {
                self.at += 1;
                Ok(false)
            }
            Some(_) if *first => {
                *first = false;
                Ok(true)
            }
            Some(b',') => {
                self.at += 1;
                if self.peek() == Some(close) {
                    return Err(self.error("a value is expected behind the comma"));
                }
                Ok(true)
            }
            Some(_) => Err(self.error("expected ',' or the end of the object or array")),
            None => Err(self.error("the text ends inside an object or array")),
        }
    }

    /// A string; `scratch` holds it where it has escapes.
    #[inline]
    pub(crate) fn string<'s>(&mut self, scratch: &'s mut Vec<u8>) -> Result<&'s [u8], SyntaxError>
    where
        'a: 's,
    {
        let (raw, escaped) = self.raw_string()?;
        if !escaped {
            return Ok(raw);
        }
        scratch.clear();
        unescape(raw, scratch).map_err(|at| SyntaxError { at: self.at - 1 - raw.len() + at, reason: BAD_ESCAPE })?;
        Ok(scratch)
    }

    /// The text between two quotes, escapes as they are, and whether there are any.
    #[inline]
    pub(crate) fn raw_string(&mut self) -> Result<(&'a [u8], bool), SyntaxError> {
        self.expect(b'"', "expected a string")?;
        let start = self.at;
        let mut escaped = false;
        loop {
            let rest = &self.text[self.at..];
            let mut chunks = rest.as_chunks::<8>().0.iter();
            // Eight bytes at once: a quote, a backslash or a control character stops.
            let skipped = chunks.by_ref().take_while(|c| !special(u64::from_le_bytes(**c))).count() * 8;
            self.at += skipped;
            loop {
                match self.text.get(self.at) {
                    None => return Err(self.error("a string is not closed")),
                    Some(b'"') => {
                        let raw = &self.text[start..self.at];
                        self.at += 1;
                        return Ok((raw, escaped));
                    }
                    Some(b'\\') => {
                        escaped = true;
                        self.at += 2;
                        break;
                    }
                    Some(0..=0x1f) => return Err(self.error("a control character inside a string must be escaped")),
                    Some(_) => self.at += 1,
                }
            }
            if self.at > self.text.len() {
                self.at = self.text.len();
                return Err(self.error("a string is not closed"));
            }
        }
    }

    /// A scalar value; an opening bracket is left.
    #[inline]
    pub(crate) fn scalar<'s>(&mut self, scratch: &'s mut Vec<u8>) -> Result<Scalar<'s>, SyntaxError>
    where
        'a: 's,
    {
        match self.peek() {
            Some(b'"') => Ok(Scalar::String(self.string(scratch)?)),
            Some(b'-' | b'0'..=b'9') => {
                let (text, float) = self.number()?;
                Ok(Scalar::Number { text, float })
            }
            Some(b't') => self.word(b"true").map(|()| Scalar::True),
            Some(b'f') => self.word(b"false").map(|()| Scalar::False),
            Some(b'n') => self.word(b"null").map(|()| Scalar::Null),
            Some(b'{' | b'[') => Ok(Scalar::Open),
            Some(_) => Err(self.error("expected a value")),
            None => Err(self.error("the text ends where a value is expected")),
        }
    }

    pub(crate) fn word(&mut self, word: &'static [u8]) -> Result<(), SyntaxError> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.error("expected true, false or null"));
        }
        self.at += word.len();
        self.delimited()
    }

    /// Nothing may be glued to a number or word.
    #[inline]
    fn delimited(&self) -> Result<(), SyntaxError> {
        match self.text.get(self.at) {
            None | Some(b' ' | b'\t' | b'\n' | b'\r' | b',' | b']' | b'}' | b':') => Ok(()),
            Some(_) => Err(self.error("unexpected text behind a value")),
        }
    }

    #[inline]
    fn digits(&mut self) -> usize {
        let rest = &self.text[self.at..];
        let count = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        self.at += count;
        count
    }

    #[inline]
    pub(crate) fn number(&mut self) -> Result<(&'a [u8], bool), SyntaxError> {
        let start = self.at;
        self.at += usize::from(self.text.get(self.at) == Some(&b'-'));
        let zero = self.text.get(self.at) == Some(&b'0');
        let whole = self.digits();
        if whole == 0 || (zero && whole > 1) {
            return Err(SyntaxError { at: start, reason: "this is not a number in JSON" });
        }
        let mut float = false;
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            float = true;
            if self.digits() == 0 {
                return Err(self.error("a digit is expected behind the point"));
            }
        }
        if matches!(self.text.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            float = true;
            self.at += usize::from(matches!(self.text.get(self.at), Some(b'+' | b'-')));
            if self.digits() == 0 {
                return Err(self.error("a digit is expected in the exponent"));
            }
        }
        self.delimited()?;
        Ok((&self.text[start..self.at], float))
    }

    /// Skips a value of any kind, `depth` levels down.
    pub(crate) fn skip(&mut self, depth: usize) -> Result<(), SyntaxError> {
        match self.peek() {
            Some(b'"') => self.raw_string().map(|_| ()),
            Some(open @ (b'{' | b'[')) => {
                if depth >= DEPTH_MAX {
                    return Err(self.error(TOO_DEEP));
                }
                self.at += 1;
                let object = open == b'{';
                let close = if object { b'}' } else { b']' };
                let mut first = true;
                while self.next_part(&mut first, close)? {
                    if object {
                        self.raw_string()?;
                        self.expect(b':', "expected ':' behind the name of a field")?;
                    }
                    self.skip(depth + 1)?;
                }
                Ok(())
            }
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            Some(b'-' | b'0'..=b'9') => self.number().map(|_| ()),
            Some(_) => Err(self.error("expected a value")),
            None => Err(self.error("the text ends where a value is expected")),
        }
    }

    /// Copies a value of any kind without blanks, as Jackson prints a tree.
    pub(crate) fn compact(&mut self, depth: usize, out: &mut Vec<u8>) -> Result<(), SyntaxError> {
        match self.peek() {
            Some(open @ (b'{' | b'[')) => {
                if depth >= DEPTH_MAX {
                    return Err(self.error(TOO_DEEP));
                }
                self.at += 1;
                out.push(open);
                let object = open == b'{';
                let close = if object { b'}' } else { b']' };
                let mut first = true;
                let mut empty = true;
                while self.next_part(&mut first, close)? {
                    if !empty {
                        out.push(b',');
                    }
                    empty = false;
                    if object {
                        self.peek();
                        self.compact_string(out)?;
                        out.push(b':');
                        self.expect(b':', "expected ':' behind the name of a field")?;
                    }
                    self.compact(depth + 1, out)?;
                }
                out.push(close);
                Ok(())
            }
            Some(b'"') => self.compact_string(out),
            Some(b'-' | b'0'..=b'9') => {
                let (text, float) = self.number()?;
                match crate::text::number::parse_f64(text) {
                    Some(value) if float && value.is_finite() => crate::text::number::write_java_float(value, out),
                    _ => out.extend_from_slice(text),
                }
                Ok(())
            }
            _ => {
                let start = self.at;
                self.skip(depth)?;
                out.extend_from_slice(&self.text[start..self.at]);
                Ok(())
            }
        }
    }

    fn compact_string(&mut self, out: &mut Vec<u8>) -> Result<(), SyntaxError> {
        let mut scratch = vec![];
        let text = self.string(&mut scratch)?;
        write_string(text, out);
        Ok(())
    }
}

pub(crate) const TOO_DEEP: &str = "objects and arrays are nested more than 128 levels deep (DEPTH_MAX)";
const BAD_ESCAPE: &str = "this escape is not known in JSON";

/// True where a byte of the word is a quote, a backslash or below a blank.
#[inline(always)]
fn special(word: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let quote = word ^ (ONES * 0x22);
    let slash = word ^ (ONES * 0x5c);
    let zero = |w: u64| w.wrapping_sub(ONES) & !w;
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (zero(quote) | zero(slash) | control) & HIGHS != 0
}

/// Appends a string's text without its escapes; the error is the place of a wrong one.
fn unescape(raw: &[u8], out: &mut Vec<u8>) -> Result<(), usize> {
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', &raw[at..]) {
        out.extend_from_slice(&raw[at..at + found]);
        at += found;
        let escape = *raw.get(at + 1).ok_or(at)?;
        let byte = match escape {
            b'"' | b'\\' | b'/' => escape,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let unit = hex4(raw, at + 2).ok_or(at)?;
                at += 6;
                let low = || (raw.get(at..at + 2) == Some(b"\\u")).then(|| hex4(raw, at + 2)).flatten();
                let code = match (unit, low()) {
                    (0xd800..=0xdbff, Some(low @ 0xdc00..=0xdfff)) => {
                        at += 6;
                        0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00)
                    }
                    _ => unit,
                };
                // Half of a surrogate pair becomes what Java writes for it.
                let character = char::from_u32(code).unwrap_or('?');
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            _ => return Err(at),
        };
        out.push(byte);
        at += 2;
    }
    out.extend_from_slice(&raw[at..]);
    Ok(())
}

fn hex4(raw: &[u8], at: usize) -> Option<u32> {
    let digits = raw.get(at..at + 4)?;
    digits.iter().try_fold(0, |value, b| Some(value << 4 | char::from(*b).to_digit(16)?))
}

/// Appends a string with quotes and the escapes that Jackson writes.
pub(crate) fn write_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let mut done = 0;
    let mut at = 0;
    while at < text.len() {
        // Most text needs nothing: eight bytes at once.
        while let Some(chunk) = text.get(at..).and_then(|t| t.first_chunk::<8>()) {
            if special(u64::from_le_bytes(*chunk)) {
                break;
            }
            at += 8;
        }
        let Some(byte) = text.get(at) else { break };
        if *byte >= 0x20 && *byte != b'"' && *byte != b'\\' {
            at += 1;
            continue;
        }
        out.extend_from_slice(&text[done..at]);
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            8 => out.extend_from_slice(b"\\b"),
            12 => out.extend_from_slice(b"\\f"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            other => {
                const HEX: &[u8; 16] = b"0123456789ABCDEF";
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(other >> 4)]);
                out.push(HEX[usize::from(other & 15)]);
            }
        }
        at += 1;
        done = at;
    }
    out.extend_from_slice(&text[done..]);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn compact(text: &str) -> Result<String, &'static str> {
        let mut scanner = Scanner::new(text.as_bytes());
        let mut out = vec![];
        scanner.compact(0, &mut out).map_err(|e| e.reason)?;
        Ok(String::from_utf8(out).expect("UTF-8"))
    }

    #[test]
    fn values_of_every_kind() {
        for (text, result) in [
            (
                " { \"a\" : [ 1 , -2.5e3, true,false , null ] , \"b\":{} } ",
                "{\"a\":[1,-2500.0,true,false,null],\"b\":{}}",
            ),
            ("\"\\u00e9\\n\\/\\ud83d\\ude00\\ud83d\"", "\"é\\n/😀?\""),
            ("\"\\u001f\"", "\"\\u001F\""),
            ("12345678901234567890123", "12345678901234567890123"),
            ("1e999", "1e999"),
        ] {
            assert_eq!(compact(text).as_deref(), Ok(result), "{text}");
        }
        for text in [
            "",
            "{",
            "[1,]",
            "{\"a\"}",
            "{\"a\":}",
            "{a:1}",
            "01",
            "+1",
            "1.",
            ".5",
            "1e",
            "-",
            "tru",
            "nulll",
            "\"a",
            "\"\\x\"",
            "\"\\u12\"",
            "\"a\\",
            "\"\n\"",
            "[1 2]",
            "NaN",
            "'a'",
            "{,}",
            "[,1]",
            "{\"a\":1,}",
            "\"\\ud8",
        ] {
            assert!(compact(text).is_err(), "{text}");
        }
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(compact(&deep(DEPTH_MAX)).is_ok());
        assert_eq!(compact(&deep(DEPTH_MAX + 1)), Err(TOO_DEEP));
        assert_eq!(compact(&"[".repeat(1_000_000)), Err(TOO_DEEP));
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json(text in "[\\[\\]{}\",: a1.e\\\\ntrue-]{0,24}") {
            let ours = {
                let mut s = Scanner::new(text.as_bytes());
                s.skip(0).is_ok() && s.peek().is_none()
            };
            let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            // Escapes are looked at only where a string is wanted, so a skipped text may hold wrong ones.
            prop_assert!(ours == theirs || (ours && text.contains('\\')), "{}", text);
        }

        #[test]
        fn strings_come_back(text in any::<String>()) {
            let mut out = vec![];
            write_string(text.as_bytes(), &mut out);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).expect("a string"), text.clone());
            let mut scratch = vec![];
            prop_assert_eq!(Scanner::new(&out).string(&mut scratch).expect("a string"), text.as_bytes());
        }
    }
}
