//! VARIANT out of JSON, and as JSON.

use std::collections::HashMap;

use flott_core::Result;
use flott_core::variant::{NumberText, VERSION, basic, primitive};

pub use flott_core::variant::Variant;

use crate::scalar::{Json, compare_keys};
use crate::text;

/// Larger ones are refused, as in Flink.
const SIZE_MAX: usize = 16 << 20;
/// The longest text whose length is in its header.
const SHORT_TEXT_MAX: usize = 63;

/// A value as JSON, as Flink prints it.
pub fn to_json(value: &Variant<'_>) -> Result<String> {
    let mut out = String::new();
    let numbers = NumberText {
        double: |v, out| out.push_str(&text::format_double(v)),
        float: |v, out| out.push_str(&text::format_float(v)),
    };
    value.write_json(numbers, &mut out)?;
    Ok(out)
}

/// The value of a JSON text, as it lies in a column. What stands behind the first value is not looked at, as in Flink.
/// Of equal keys the last one wins, where they are allowed.
pub fn parse_json(json: &str, allow_duplicate_keys: bool) -> std::result::Result<Vec<u8>, String> {
    let mut builder = Builder { value: vec![], keys: vec![], ids: HashMap::new(), allow_duplicate_keys };
    builder.append(&Json::parse_as_written(json)?)?;
    builder.finish()
}

struct Builder {
    value: Vec<u8>,
    /// The dictionary, in the order in which the keys came.
    keys: Vec<String>,
    ids: HashMap<String, usize>,
    allow_duplicate_keys: bool,
}

/// How many bytes a number takes that is less than 2^24.
fn width(n: usize) -> usize {
    match n {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        _ => 3,
    }
}

fn put(out: &mut Vec<u8>, n: usize, size: usize) {
    out.extend(&(n as u64).to_le_bytes()[..size]);
}

impl Builder {
    fn key(&mut self, key: &str) -> usize {
        if let Some(id) = self.ids.get(key) {
            return *id;
        }
        let id = self.keys.len();
        self.keys.push(key.to_string());
        self.ids.insert(key.to_string(), id);
        id
    }

    /// The keys of a value that an equal key behind it replaces: they stay in the dictionary, as in Flink.
    fn keys_of(&mut self, json: &Json) {
        match json {
            Json::Array(items) => items.iter().for_each(|i| self.keys_of(i)),
            Json::Object(fields) => {
                for (key, value) in fields {
                    self.key(key);
                    self.keys_of(value);
                }
            }
            _ => {}
        }
    }

    fn append(&mut self, json: &Json) -> std::result::Result<(), String> {
        match json {
            Json::Null => self.value.push(primitive::NULL << 2),
            Json::Bool(b) => self.value.push(if *b { primitive::TRUE } else { primitive::FALSE } << 2),
            Json::Integer(digits) => match digits.parse::<i64>() {
                Ok(n) => self.integer(n),
                Err(_) => self.fraction(digits),
            },
            Json::Decimal(digits) => self.fraction(digits),
            Json::Text(text) => self.text(text),
            Json::Array(items) => {
                let start = self.value.len();
                let mut offsets = Vec::with_capacity(items.len());
                for item in items {
                    offsets.push(self.value.len() - start);
                    self.append(item)?;
                }
                self.enclose(start, None, &offsets);
            }
            Json::Object(fields) => self.object(fields)?,
        }
        if self.value.len() > SIZE_MAX {
            return Err("VARIANT_SIZE_LIMIT".to_string());
        }
        Ok(())
    }

    fn object(&mut self, fields: &[(String, Json)]) -> std::result::Result<(), String> {
        let start = self.value.len();
        let last: HashMap<&str, usize> = fields.iter().enumerate().map(|(i, (key, _))| (key.as_str(), i)).collect();
        if last.len() < fields.len() && !self.allow_duplicate_keys {
            return Err("VARIANT_DUPLICATE_KEY".to_string());
        }
        let mut entries = Vec::with_capacity(last.len());
        for (i, (key, value)) in fields.iter().enumerate() {
            let id = self.key(key);
            if last.get(key.as_str()) == Some(&i) {
                entries.push((key, id, self.value.len() - start));
                self.append(value)?;
            } else {
                self.keys_of(value);
            }
        }
        entries.sort_by(|a, b| compare_keys(a.0, b.0));
        let ids: Vec<usize> = entries.iter().map(|e| e.1).collect();
        let offsets: Vec<usize> = entries.iter().map(|e| e.2).collect();
        self.enclose(start, Some(&ids), &offsets);
        Ok(())
    }

    /// Puts the header of an object or an array before the values that begin at `start`.
    fn enclose(&mut self, start: usize, ids: Option<&[usize]>, offsets: &[usize]) {
        let data = self.value.len() - start;
        let large = offsets.len() > 0xff;
        let offset_size = width(data);
        let mut header = vec![];
        let sizes = (offset_size - 1) as u8;
        match ids {
            None => header.push(u8::from(large) << 4 | sizes << 2 | basic::ARRAY),
            Some(ids) => {
                let id_size = width(ids.iter().copied().max().unwrap_or(0));
                header.push(u8::from(large) << 6 | ((id_size - 1) as u8) << 4 | sizes << 2 | basic::OBJECT);
            }
        }
        put(&mut header, offsets.len(), if large { 4 } else { 1 });
        if let Some(ids) = ids {
            let id_size = width(ids.iter().copied().max().unwrap_or(0));
            ids.iter().for_each(|id| put(&mut header, *id, id_size));
        }
        offsets.iter().chain([&data]).for_each(|o| put(&mut header, *o, offset_size));
        self.value.splice(start..start, header);
    }

    fn integer(&mut self, n: i64) {
        let (kind, size) = match n {
            -0x80..=0x7f => (primitive::INT1, 1),
            -0x8000..=0x7fff => (primitive::INT2, 2),
            -0x8000_0000..=0x7fff_ffff => (primitive::INT4, 4),
            _ => (primitive::INT8, 8),
        };
        self.value.push(kind << 2);
        self.value.extend(&n.to_le_bytes()[..size]);
    }

    /// A decimal where it is written as one and has no more than 38 digits, else a double.
    fn fraction(&mut self, digits: &str) {
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let unscaled: Option<i128> = format!("{whole}{fraction}").parse().ok().filter(|_| !digits.contains(['e', 'E']));
        let precision = |n: i128| n.unsigned_abs().checked_ilog10().map_or(1, |d| d as usize + 1);
        let fits = |n: &i128| precision(*n) <= 38 && fraction.len() <= 38;
        let Some(n) = unscaled.filter(fits) else {
            self.value.push(primitive::DOUBLE << 2);
            let number: f64 = digits.parse().unwrap_or(f64::NAN);
            return self.value.extend(number.to_bits().to_le_bytes());
        };
        let longest = precision(n).max(fraction.len());
        let (kind, size) = match longest {
            0..=9 => (primitive::DECIMAL4, 4),
            10..=18 => (primitive::DECIMAL8, 8),
            _ => (primitive::DECIMAL16, 16),
        };
        self.value.extend([kind << 2, fraction.len() as u8]);
        self.value.extend(&n.to_le_bytes()[..size]);
    }

    fn text(&mut self, text: &str) {
        if text.len() > SHORT_TEXT_MAX {
            self.value.push(primitive::TEXT << 2);
            put(&mut self.value, text.len(), 4);
        } else {
            self.value.push((text.len() as u8) << 2 | basic::SHORT_TEXT);
        }
        self.value.extend(text.as_bytes());
    }

    fn finish(self) -> std::result::Result<Vec<u8>, String> {
        let texts: usize = self.keys.iter().map(String::len).sum();
        if texts.max(self.keys.len()) > SIZE_MAX {
            return Err("VARIANT_SIZE_LIMIT".to_string());
        }
        let size = width(texts.max(self.keys.len()));
        let mut metadata = vec![VERSION | ((size - 1) as u8) << 6];
        put(&mut metadata, self.keys.len(), size);
        let mut offset = 0;
        for key in &self.keys {
            put(&mut metadata, offset, size);
            offset += key.len();
        }
        put(&mut metadata, offset, size);
        self.keys.iter().for_each(|k| metadata.extend(k.as_bytes()));
        Ok(Variant::of(&metadata, &self.value).write())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(json: &str) -> String {
        let bytes = parse_json(json, false).expect("JSON");
        to_json(&Variant::read(&bytes).expect("a variant")).expect("JSON")
    }

    #[test]
    fn json_comes_back() {
        for (json, expected) in [
            ("1", "1"),
            ("-128", "-128"),
            ("70000", "70000"),
            ("-99999999999", "-99999999999"),
            ("12345678901234567890", "12345678901234567890"),
            ("1.50", "1.5"),
            ("100.0", "100"),
            ("-0.0", "0"),
            ("-0.0000001", "-0.0000001"),
            ("123456789.123456789123456789123", "123456789.123456789123456789123"),
            ("1e3", "1000.0"),
            ("1.5E-3", "0.0015"),
            ("-0", "0"),
            ("null", "null"),
            ("[]", "[]"),
            ("{}", "{}"),
            (r#" {"b" : 1, "a": [1, 2.5, null, true, "x"]} "#, r#"{"a":[1,2.5,null,true,"x"],"b":1}"#),
            ("1 2", "1"),
            (r#""a\"ä😀""#, r#""a\"ä😀""#),
        ] {
            assert_eq!(shown(json), expected, "{json}");
        }
        let long = format!("\"{}\"", "x".repeat(100));
        assert_eq!(shown(&long), long);
        let many = format!("[{}]", vec!["1000"; 300].join(","));
        assert_eq!(shown(&many), many);
        let wide: Vec<String> = (100..500).map(|i| format!("\"k{i}\":{i}")).collect();
        let wide = format!("{{{}}}", wide.join(","));
        assert_eq!(shown(&wide), wide);
    }

    /// The examples of the specification: a dictionary of one byte each, a short text, an object.
    #[test]
    fn bytes_are_those_of_the_specification() {
        let bytes = parse_json(r#"{"b":"x","a":1}"#, false).expect("JSON");
        assert_eq!(bytes[..4], [7, 0, 0, 0]);
        assert_eq!(bytes[4..11], [0x01, 2, 0, 1, 2, b'b', b'a']);
        // Keys in order: a (id 1) behind x, b (id 0); three offsets; the values.
        assert_eq!(bytes[11..], [0x02, 2, 1, 0, 2, 0, 4, 0x05, b'x', 0x0c, 1]);
    }

    #[test]
    fn equal_keys() {
        assert_eq!(parse_json(r#"{"a":1,"a":2}"#, false), Err("VARIANT_DUPLICATE_KEY".to_string()));
        let bytes = parse_json(r#"{"a":{"x":1},"a":2}"#, true).expect("JSON");
        assert_eq!(Variant::read(&bytes).and_then(|v| to_json(&v)).expect("a variant"), r#"{"a":2}"#);
    }

    #[test]
    fn fields_and_elements() {
        let bytes = parse_json(r#"{"users":[{"id":1,"name":"Alice"}]}"#, false).expect("JSON");
        let all = Variant::read(&bytes).expect("a variant");
        let user = all.field("users").expect("read").expect("there").element(0).expect("read").expect("there");
        assert_eq!(to_json(&user.field("name").expect("read").expect("there")).expect("JSON"), "\"Alice\"");
        assert!(user.field("age").expect("read").is_none() && user.is_object() && !user.is_array());
        assert!(all.field("users").expect("read").expect("there").element(1).expect("read").is_none());
    }

    #[test]
    fn bytes_that_are_none_are_refused() {
        let bytes = parse_json(r#"{"a":[1,"text",2.5],"b":{"c":null}}"#, false).expect("JSON");
        for cut in 0..bytes.len() {
            if let Ok(v) = Variant::read(&bytes[..cut]) {
                assert!(to_json(&v).is_err(), "{cut}");
            }
        }
        for at in 0..bytes.len() {
            let mut broken = bytes.clone();
            broken[at] ^= 0xff;
            // An error or another value, never a panic.
            let _ = Variant::read(&broken).and_then(|v| to_json(&v));
        }
    }
}
