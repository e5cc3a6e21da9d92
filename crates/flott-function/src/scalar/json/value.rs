//! JSON values, read and written as Flink does: numbers keep their digits, objects are written in the order of their keys.

use std::collections::HashMap;

pub(crate) use flott_core::variant::write_text;

/// How deep values may nest.
const DEPTH_MAX: usize = 500;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A number without point and exponent, by its digits.
    Integer(String),
    /// Any other number, as Java's `BigDecimal` prints it.
    Decimal(String),
    /// A text.
    Text(String),
    /// `[..]`
    Array(Vec<Json>),
    /// `{..}`: keys are there once, in the order in which they came.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads the first value of a text; what stands behind it is not looked at, as in Flink.
    pub(crate) fn parse(text: &str) -> Result<Json, String> {
        Json::read(text, false)
    }

    /// The same with all keys, and numbers as they are written.
    pub(crate) fn parse_as_written(text: &str) -> Result<Json, String> {
        Json::read(text, true)
    }

    fn read(text: &str, as_written: bool) -> Result<Json, String> {
        let mut reader = Reader { bytes: text.as_bytes(), text, at: 0, as_written };
        reader.blanks();
        if reader.peek().is_none() {
            return Err("no content".to_string());
        }
        let scalar = !matches!(reader.peek(), Some(b'{' | b'[' | b'"'));
        let value = reader.value(0)?;
        if scalar && reader.peek().is_some_and(|b| !b.is_ascii_whitespace()) {
            return Err(reader.unexpected());
        }
        Ok(value)
    }

    /// Whether it is no array and no object.
    pub(crate) fn is_scalar(&self) -> bool {
        !matches!(self, Json::Array(_) | Json::Object(_))
    }

    /// A scalar as plain text; anything else as JSON.
    pub(crate) fn to_text(&self) -> String {
        match self {
            Json::Text(t) => t.clone(),
            other => other.to_string(),
        }
    }

    /// Adds it to a text.
    pub(crate) fn write(&self, out: &mut String) {
        match self {
            Json::Null => out.push_str("null"),
            Json::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
            Json::Integer(n) | Json::Decimal(n) => out.push_str(n),
            Json::Text(t) => write_text(t, out),
            Json::Array(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Json::Object(fields) => {
                let mut sorted: Vec<&(String, Json)> = fields.iter().collect();
                sorted.sort_by(|a, b| compare_keys(&a.0, &b.0));
                out.push('{');
                for (i, (key, value)) in sorted.into_iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    write_text(key, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

impl std::fmt::Display for Json {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = String::new();
        self.write(&mut out);
        f.write_str(&out)
    }
}

/// Java's order of texts: by UTF-16 units.
pub(crate) fn compare_keys(a: &str, b: &str) -> std::cmp::Ordering {
    a.encode_utf16().cmp(b.encode_utf16())
}

/// The last of equal keys wins, at the place of the first.
pub(crate) fn distinct_keys(fields: Vec<(String, Json)>) -> Vec<(String, Json)> {
    let mut places: HashMap<String, usize> = HashMap::with_capacity(fields.len());
    let mut kept: Vec<(String, Json)> = Vec::with_capacity(fields.len());
    for (key, value) in fields {
        match places.get(&key) {
            Some(place) => kept[*place].1 = value,
            None => {
                places.insert(key.clone(), kept.len());
                kept.push((key, value));
            }
        }
    }
    kept
}

/// A decimal number as Java's `BigDecimal.toString` prints it: `1E+3`, `0.000010`, `1.0E-7`.
pub(crate) fn big_decimal(text: &str) -> String {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().unwrap_or(0)),
        None => (text, 0),
    };
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let digits = match all.trim_start_matches('0') {
        "" => "0",
        digits => digits,
    };
    let sign = if digits == "0" { "" } else { sign };
    let scale = (fraction.len() as i64).saturating_sub(exponent);
    let adjusted = (digits.len() as i64 - 1).saturating_sub(scale);
    if scale == 0 {
        return format!("{sign}{digits}");
    }
    if scale > 0 && adjusted >= -6 {
        let scale = scale as usize;
        return if digits.len() > scale {
            let point = digits.len() - scale;
            format!("{sign}{}.{}", &digits[..point], &digits[point..])
        } else {
            format!("{sign}0.{}{digits}", "0".repeat(scale - digits.len()))
        };
    }
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    let plus = if adjusted > 0 { "+" } else { "" };
    format!("{sign}{first}{point}{rest}E{plus}{adjusted}")
}

struct Reader<'a> {
    bytes: &'a [u8],
    text: &'a str,
    at: usize,
    /// Numbers keep their digits and objects all their keys.
    as_written: bool,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn unexpected(&self) -> String {
        match self.text.get(self.at..).and_then(|t| t.chars().next()) {
            Some(c) => format!("unexpected character '{c}' at byte {}", self.at),
            None => "unexpected end of input".to_string(),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Json, String> {
        if depth > DEPTH_MAX {
            return Err(format!(
                "values nest deeper than {DEPTH_MAX}: flatten the document before, or keep it as text"
            ));
        }
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(Json::Text),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Null),
            _ => Err(self.unexpected()),
        }
    }

    fn word(&mut self, word: &str, value: Json) -> Result<Json, String> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.unexpected());
        }
        self.at += word.len();
        Ok(value)
    }

    fn digits(&mut self) -> Result<(), String> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.unexpected());
        }
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Json, String> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let leading_zero = self.peek() == Some(b'0');
        let first = self.at;
        self.digits()?;
        if leading_zero && self.at - first > 1 {
            return Err("leading zeroes are not allowed".to_string());
        }
        let mut integer = true;
        if self.peek() == Some(b'.') {
            integer = false;
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            integer = false;
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        let text = &self.text[start..self.at];
        Ok(match integer {
            true if text == "-0" => Json::Integer("0".to_string()),
            true => Json::Integer(text.to_string()),
            false if self.as_written => Json::Decimal(text.to_string()),
            false => Json::Decimal(big_decimal(text)),
        })
    }

    fn hex4(&mut self) -> Result<u32, String> {
        let digits = self.text.get(self.at..self.at + 4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let code = digits.and_then(|d| u32::from_str_radix(d, 16).ok()).ok_or_else(|| self.unexpected())?;
        self.at += 4;
        Ok(code)
    }

    fn string(&mut self) -> Result<String, String> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let start = self.at;
            while self.peek().is_some_and(|b| !matches!(b, b'"' | b'\\') && b >= b' ') {
                self.at += 1;
            }
            out.push_str(&self.text[start..self.at]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => {
                    self.at += 1;
                    let escape = self.peek().ok_or_else(|| self.unexpected())?;
                    self.at += 1;
                    match escape {
                        b'"' => out.push('"'),
                        b'\\' => out.push('\\'),
                        b'/' => out.push('/'),
                        b'b' => out.push('\u{8}'),
                        b'f' => out.push('\u{c}'),
                        b'n' => out.push('\n'),
                        b'r' => out.push('\r'),
                        b't' => out.push('\t'),
                        b'u' => {
                            let high = self.hex4()?;
                            let code = match high {
                                0xD800..=0xDBFF if self.bytes[self.at..].starts_with(b"\\u") => {
                                    let before = self.at;
                                    self.at += 2;
                                    let low = self.hex4()?;
                                    if (0xDC00..=0xDFFF).contains(&low) {
                                        0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)
                                    } else {
                                        self.at = before;
                                        high
                                    }
                                }
                                code => code,
                            };
                            // Half of a pair is no character: Java writes it as a question mark.
                            out.push(char::from_u32(code).unwrap_or('?'));
                        }
                        _ => {
                            self.at -= 1;
                            return Err(self.unexpected());
                        }
                    }
                }
                _ => return Err(self.unexpected()),
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json, String> {
        self.at += 1;
        let mut items = vec![];
        self.blanks();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Json::Array(items));
        }
        loop {
            self.blanks();
            items.push(self.value(depth + 1)?);
            self.blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Json::Array(items));
                }
                _ => return Err(self.unexpected()),
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, String> {
        self.at += 1;
        let mut fields = vec![];
        self.blanks();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Json::Object(fields));
        }
        loop {
            self.blanks();
            if self.peek() != Some(b'"') {
                return Err(self.unexpected());
            }
            let key = self.string()?;
            self.blanks();
            if self.peek() != Some(b':') {
                return Err(self.unexpected());
            }
            self.at += 1;
            self.blanks();
            fields.push((key, self.value(depth + 1)?));
            self.blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Json::Object(if self.as_written { fields } else { distinct_keys(fields) }));
                }
                _ => return Err(self.unexpected()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_and_written() {
        for (text, expected) in [
            (r#" { "z" : [1, 2.50, 1e3], "a" : null } "#, r#"{"a":null,"z":[1,2.50,1E+3]}"#),
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
            (r#""é😀\n""#, r#""é😀\n""#),
            ("-0", "0"),
            ("[]", "[]"),
            (r#"{"a":1} x"#, r#"{"a":1}"#),
            ("1 x", "1"),
        ] {
            assert_eq!(Json::parse(text).map(|v| v.to_string()).as_deref(), Ok(expected), "{text}");
        }
        for wrong in
            ["", "abc", "{a:1}", "[1,]", "01", "-", "NaN", "1x", "truex", "\"a", "1.", ".5", "{\"a\":1", "\"\\x\""]
        {
            assert!(Json::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Json::parse(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn decimals_as_java_prints_them() {
        for (text, expected) in [
            ("1e3", "1E+3"),
            ("1.50", "1.50"),
            ("-0.0", "0.0"),
            ("1.0E-5", "0.000010"),
            ("1.0E-7", "1.0E-7"),
            ("1.0E30", "1.0E+30"),
            ("0.00000010", "1.0E-7"),
            ("12.5e1", "125"),
        ] {
            assert_eq!(big_decimal(text), expected, "{text}");
        }
    }
}
