//! What an engine answers, in one form.

use std::collections::BTreeMap;

/// Columns with their types, and the rows that are left after all changes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    /// As SQL.
    pub(crate) types: Vec<String>,
    /// Rows and how often each is there.
    pub(crate) rows: BTreeMap<Vec<String>, i64>,
    /// Updates come without what they replace: without the key nobody can tell what is left.
    pub(crate) upserts: bool,
}

impl Answer {
    pub(crate) fn new(types: Vec<String>) -> Answer {
        Answer { types, rows: BTreeMap::new(), upserts: false }
    }

    /// Takes in a change.
    pub(crate) fn change(&mut self, row: Vec<String>, adds: bool) {
        let count = self.rows.entry(row.clone()).or_default();
        *count += if adds { 1 } else { -1 };
        if *count == 0 {
            self.rows.remove(&row);
        }
    }

    /// Where it differs from another, in a few lines.
    pub(crate) fn difference(&self, other: &Answer) -> Option<String> {
        if self.types != other.types {
            return Some(format!("types {:?} and {:?}", self.types, other.types));
        }
        if self.rows == other.rows || self.upserts || other.upserts {
            return None;
        }
        let only = |a: &Answer, b: &Answer| -> Vec<String> {
            let more = a.rows.iter().filter(|(row, n)| b.rows.get(*row) != Some(n));
            more.take(5).map(|(row, n)| format!("{n} x {row:?}")).collect()
        };
        Some(format!("rows {:?} and {:?}", only(self, other), only(other, self)))
    }
}

/// A value of a type as both engines are made to print it: times without zeros at their end, numbers by their value.
pub(crate) fn normal(kind: &str, text: &str) -> String {
    let kind = kind.trim_end_matches(" NOT NULL");
    if kind.starts_with("TIMESTAMP") || kind.starts_with("TIME(") {
        let text = text.replace('T', " ").trim_end_matches('Z').trim_start_matches('+').to_string();
        return match text.split_once('.') {
            Some((head, tail)) => match tail.trim_end_matches('0') {
                "" => head.to_string(),
                tail => format!("{head}.{tail}"),
            },
            None => text,
        };
    }
    if kind == "FLOAT" {
        // Java and Rust end the digits of one number at different places.
        return text.parse::<f32>().map_or_else(|_| text.to_string(), |number| format!("{number:?}"));
    }
    if kind == "DOUBLE" {
        return match text.parse::<f64>() {
            Ok(number) => format!("{number:?}"),
            Err(_) => text.to_string(),
        };
    }
    if kind.starts_with("DECIMAL") && text.contains('.') {
        return text.trim_end_matches('0').trim_end_matches('.').to_string();
    }
    if kind == "BOOLEAN" {
        return text.to_ascii_lowercase();
    }
    text.to_string()
}
