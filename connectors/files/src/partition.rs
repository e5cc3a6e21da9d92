//! Partition folders: `key=value`, escaped as Hive and Flink do (`PartitionPathUtils`), and NULL under a name of its own.

use std::sync::Arc;

use arrow_array::*;
use arrow_schema::{DataType, TimeUnit};
use chrono::{NaiveDate, NaiveDateTime};
use flott_core::types::TypeKind;
use flott_core::{Error, LogicalType, Result};

/// Characters that do not stand in a folder's name as they are.
fn must_escape(c: char) -> bool {
    c < ' ' || "\"#%'*/:=?\\{[]^\u{7f}".contains(c)
}

/// `%2F` for `/`.
pub(crate) fn escape(text: &str, out: &mut String) {
    use std::fmt::Write;
    for c in text.chars() {
        if must_escape(c) {
            // Writing to a string does not fail.
            write!(out, "%{:02X}", u32::from(c)).ok();
        } else {
            out.push(c);
        }
    }
}

/// The reverse of [`escape`]; what is no escape stays. A code is a character, not a byte, as in Java.
pub(crate) fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let code = (c == '%').then(|| rest.get(1..3).and_then(|h| u8::from_str_radix(h, 16).ok())).flatten();
        match code {
            Some(code) => {
                out.push(char::from(code));
                rest = &rest[3..];
            }
            None => {
                out.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    out
}

/// Appends `key=value`; NULL and an empty text are the default name.
pub(crate) fn push_folder(key: &str, value: Option<&str>, default_name: &str, out: &mut String) {
    if !out.is_empty() {
        out.push('/');
    }
    escape(key, out);
    out.push('=');
    escape(value.filter(|v| !v.is_empty()).unwrap_or(default_name), out);
}

/// The text that a file's path, or a partition's folder, has for a key: that of the folder nearest to the file.
fn raw_value(path: &str, key: &str) -> Option<String> {
    path.split('/')
        .rev()
        .filter_map(|p| p.rsplit_once('='))
        .find(|(k, v)| !v.is_empty() && unescape(k) == key)
        .map(|(_, v)| unescape(v))
}

/// The texts that a path has for these keys, in their order.
pub(crate) fn raw_values_of(path: &str, keys: &[String]) -> Result<Vec<String>> {
    keys.iter()
        .map(|key| {
            raw_value(path, key).ok_or_else(|| {
                Error::user(format!("Partition keys are: [{}], and the path has no folder '{key}=..'", keys.join(", ")))
                    .with("file", path)
                    .with("column", key)
                    .hint("Put the file into such a folder, or leave the column out of PARTITIONED BY")
            })
        })
        .collect()
}

/// Like [`raw_values_of`], with `None` for the default name.
pub(crate) fn values_of(path: &str, keys: &[String], default_name: &str) -> Result<Vec<Option<String>>> {
    Ok(raw_values_of(path, keys)?.into_iter().map(|v| Some(v).filter(|v| v != default_name)).collect())
}

/// Whether a source can read a partition value of this type. The list is Flink's.
pub(crate) fn check_type(column: &str, t: &LogicalType) -> Result<()> {
    use TypeKind as K;
    match &t.kind {
        K::Char(_)
        | K::VarChar(_)
        | K::Boolean
        | K::TinyInt
        | K::SmallInt
        | K::Int
        | K::BigInt
        | K::Float
        | K::Double => Ok(()),
        K::Date | K::Timestamp(..) => Ok(()),
        _ => Err(Error::user(format!("Can not convert a partition value to type {t}"))
            .with("column", column)
            .hint("Declare the partition column as STRING, and cast it in the query")),
    }
}

/// A column of one row.
pub(crate) fn typed(value: Option<&str>, t: &DataType, file: &str, column: &str) -> Result<ArrayRef> {
    let Some(text) = value else { return Ok(new_null_array(t, 1)) };
    let array: Option<ArrayRef> = match t {
        DataType::Utf8 => Some(Arc::new(StringArray::from(vec![text]))),
        // Java's parseBoolean: everything else is false.
        DataType::Boolean => Some(Arc::new(BooleanArray::from(vec![text.eq_ignore_ascii_case("true")]))),
        DataType::Int8 => text.parse().ok().map(|v: i8| Arc::new(Int8Array::from(vec![v])) as _),
        DataType::Int16 => text.parse().ok().map(|v: i16| Arc::new(Int16Array::from(vec![v])) as _),
        DataType::Int32 => text.parse().ok().map(|v: i32| Arc::new(Int32Array::from(vec![v])) as _),
        DataType::Int64 => text.parse().ok().map(|v: i64| Arc::new(Int64Array::from(vec![v])) as _),
        DataType::Float32 => text.trim().parse().ok().map(|v: f32| Arc::new(Float32Array::from(vec![v])) as _),
        DataType::Float64 => text.trim().parse().ok().map(|v: f64| Arc::new(Float64Array::from(vec![v])) as _),
        DataType::Date32 => NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(|d| {
            let days = d.signed_duration_since(NaiveDate::default()).num_days();
            Arc::new(Date32Array::from(vec![days as i32])) as _
        }),
        DataType::Timestamp(unit, None) => local_date_time(text).and_then(|t| timestamp(t, *unit)),
        _ => None,
    };
    array.ok_or_else(|| {
        Error::data(format!("the partition value '{text}' is not a {t}"))
            .with("file", file)
            .with("column", column)
            .hint("Rename the folder, or declare the partition column as STRING")
    })
}

/// As Java's `LocalDateTime.parse`: `2020-01-01T00:00`, seconds and their fraction may be missing.
fn local_date_time(text: &str) -> Option<NaiveDateTime> {
    ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"].iter().find_map(|f| NaiveDateTime::parse_from_str(text, f).ok())
}

fn timestamp(t: NaiveDateTime, unit: TimeUnit) -> Option<ArrayRef> {
    let t = t.and_utc();
    Some(match unit {
        TimeUnit::Second => return None,
        TimeUnit::Millisecond => Arc::new(TimestampMillisecondArray::from(vec![t.timestamp_millis()])),
        TimeUnit::Microsecond => Arc::new(TimestampMicrosecondArray::from(vec![t.timestamp_micros()])),
        TimeUnit::Nanosecond => Arc::new(TimestampNanosecondArray::from(vec![t.timestamp_nanos_opt()?])),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_the_way_through_a_path() {
        for text in ["plain", "a/b=c", "100%", "q'uote\"", "ümlaut", "a:b", "%", "%zz", "\u{1}\n", "x%2Fy", "日=本"]
        {
            let mut escaped = String::new();
            escape(text, &mut escaped);
            assert!(!escaped.contains('/') && !escaped.contains('='), "{escaped}");
            assert_eq!(unescape(&escaped), text);
        }
        assert_eq!(unescape("%E9%"), "é%");
        let mut folder = String::new();
        push_folder("a=b", Some("1/2"), "NONE", &mut folder);
        push_folder("c", None, "NONE", &mut folder);
        push_folder("d", Some(""), "NONE", &mut folder);
        assert_eq!(folder, "a%3Db=1%2F2/c=NONE/d=NONE");
    }

    #[test]
    fn values_come_from_the_nearest_folders() {
        let keys = ["day".to_string(), "shop".to_string()];
        let values = values_of("/day=x/day=2024-01-01/shop=__NULL__/part.csv", &keys, "__NULL__").expect("both keys");
        assert_eq!(values, [Some("2024-01-01".to_string()), None]);
        let e = values_of("/data/part.csv", &keys, "x").expect_err("no folders").to_string();
        assert!(e.starts_with("Partition keys are: [day, shop], and the path has no folder 'day=..'"), "{e}");
    }

    #[test]
    fn values_have_the_types_of_their_columns() {
        let show = |text, t: DataType| typed(Some(text), &t, "f", "c").map(|a| format!("{a:?}"));
        assert!(show("12", DataType::Int32).expect("an int").contains("12"));
        assert!(show("-129", DataType::Int8).is_err());
        assert!(show("x", DataType::Int64).is_err());
        assert!(show("TRUE", DataType::Boolean).expect("a boolean").contains("true"));
        assert!(show("2020-02-30", DataType::Date32).is_err());
        assert!(show("2020-02-29", DataType::Date32).expect("a date").contains("2020-02-29"));
        let t = DataType::Timestamp(TimeUnit::Microsecond, None);
        assert!(show("2020-01-01T10:30", t.clone()).expect("a timestamp").contains("2020-01-01T10:30:00"));
        assert!(show("2020-01-01T10:30:05.25", t.clone()).expect("a timestamp").contains("05.25"));
        assert!(show("2020-01-01 10:30", t).is_err());
        assert_eq!(typed(None, &DataType::Int32, "f", "c").expect("a null").null_count(), 1);
    }
}
