//! Partition folders: `key=value`, escaped as Hive does, and NULL under a name of its own.

use std::sync::Arc;

use arrow_array::{ArrayRef, StringArray};
use arrow_schema::DataType;
use flott_core::{Error, Result};

/// Characters that do not stand in a folder's name as they are.
fn must_escape(c: char) -> bool {
    c < ' ' || "\"#%'*/:=?\\{[]^\u{7f}".contains(c)
}

/// `%2F` for `/`.
pub(crate) fn escape(text: &str) -> String {
    text.chars().map(|c| if must_escape(c) { format!("%{:02X}", c as u32) } else { c.to_string() }).collect()
}

/// The reverse of [`escape`]; what is no escape stays.
pub(crate) fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let code = (bytes[i] == b'%').then(|| text.get(i + 1..i + 3).and_then(|h| u8::from_str_radix(h, 16).ok())).flatten();
        match code {
            Some(c) => {
                out.push(c);
                i += 3;
            }
            None => {
                out.push(bytes[i]);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The values that a file's path has for these keys, `None` for NULL.
pub(crate) fn values_of(path: &str, keys: &[String], default_name: &str) -> Result<Vec<Option<String>>> {
    keys.iter()
        .map(|key| {
            let value = path.split('/').rev().find_map(|p| p.split_once('=').filter(|(k, _)| unescape(k) == *key));
            match value {
                Some((_, v)) => Ok(Some(unescape(v)).filter(|v| v != default_name)),
                None => Err(Error::data(format!("the path has no folder '{key}=..' for the partition column"))
                    .with("file", path)
                    .with("column", key)),
            }
        })
        .collect()
}

/// A column of one value.
pub(crate) fn constant(value: Option<&str>, rows: usize, t: &DataType, file: &str, column: &str) -> Result<ArrayRef> {
    let one: ArrayRef = Arc::new(StringArray::from(vec![value]));
    let options = arrow_cast::CastOptions { safe: false, ..Default::default() };
    let typed = arrow_cast::cast_with_options(&one, t, &options).map_err(|e| {
        Error::data(format!("the partition value '{}' is not a {t}", value.unwrap_or("")))
            .with("file", file)
            .with("column", column)
            .caused_by(e)
    })?;
    let zeroes = arrow_array::UInt32Array::from(vec![0u32; rows]);
    Ok(arrow_select::take::take(&typed, &zeroes, None)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_the_way_through_a_path() {
        for text in ["plain", "a/b=c", "100%", "q'uote\"", "ümlaut", "a:b"] {
            let escaped = escape(text);
            assert!(!escaped.contains('/') && !escaped.contains('='), "{escaped}");
            assert_eq!(unescape(&escaped), text);
        }
    }

    #[test]
    fn values_come_from_the_nearest_folders() {
        let keys = ["day".to_string(), "shop".to_string()];
        let values = values_of("data/day=2024-01-01/shop=__NULL__/part.csv", &keys, "__NULL__").expect("both keys");
        assert_eq!(values, [Some("2024-01-01".to_string()), None]);
        assert!(values_of("data/part.csv", &keys, "x").is_err());
    }
}
