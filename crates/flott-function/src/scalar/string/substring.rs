//! SUBSTRING: a part; a negative start counts from the end.

use std::borrow::Cow;

use super::first;
use crate::example::Example;
use crate::scalar::shape::texts_and_numbers;
use crate::scalar::{Category, ScalarFunction};

pub(super) const SUBSTRING: ScalarFunction = ScalarFunction {
    name: "SUBSTRING",
    syntax: "SUBSTRING(text FROM start [FOR length])",
    description: "A part; a negative start counts from the end.",
    documentation: "In characters from 1; a start of 0 is 1. Without a length it goes to the end; behind the end it \
         is empty; a negative length gives NULL, and so does NULL. `SUBSTRING(text, start, length)` and SUBSTR \
         are the same.",
    examples: &[
        Example { sql: "SUBSTRING('abcdef' FROM 2 FOR 3)", result: "bcd" },
        Example { sql: "SUBSTRING('abcdef', -2)", result: "ef" },
        Example { sql: "SUBSTRING('abc', 1, -1)", result: "<NULL>" },
    ],
    category: Category::String,
    arity: (2, 3),
    resolve: |a| {
        texts_and_numbers::<1, 2>(a, |[t], [start, length]| {
            Ok(substring(t, start.unwrap_or(1), length).map(Cow::Borrowed))
        })
    },
};

fn substring(text: &str, start: i64, length: Option<i64>) -> Option<&str> {
    if length.is_some_and(|n| n < 0) {
        return None;
    }
    let skipped = if start > 0 {
        start - 1
    } else if start < 0 {
        let from = i64::try_from(text.chars().count()).unwrap_or(i64::MAX) + start;
        if from < 0 {
            return Some("");
        }
        from
    } else {
        0
    };
    let rest = &text[first(text, skipped).len()..];
    Some(length.map_or(rest, |n| first(rest, n)))
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("SUBSTRING", &[("flott", "STRING"), ("1", "INT"), ("2", "INT")], "fl"),
            ("SUBSTRING", &[("flott", "STRING"), ("-3", "INT"), ("2", "INT")], "ot"),
            ("SUBSTRING", &[("flott", "STRING"), ("-9", "INT"), ("2", "INT")], ""),
            ("SUBSTRING", &[("flott", "STRING"), ("0", "INT"), ("2", "INT")], "fl"),
            ("SUBSTRING", &[("flott", "STRING"), ("3", "INT")], "ott"),
            ("SUBSTRING", &[("flott", "STRING"), ("9", "INT"), ("2", "INT")], ""),
            ("SUBSTRING", &[("flott", "STRING"), ("1", "INT"), ("-1", "INT")], "NULL"),
            ("SUBSTRING", &[("flott", "STRING"), ("2", "INT"), ("9223372036854775807", "BIGINT")], "lott"),
            ("SUBSTRING", &[("größe", "STRING"), ("3", "INT"), ("2", "INT")], "öß"),
        ]);
    }
}
