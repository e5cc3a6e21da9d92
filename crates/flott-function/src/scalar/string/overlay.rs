//! OVERLAY: a part put over the characters from a place on.

use std::borrow::Cow;

use super::first;
use crate::example::Example;
use crate::scalar::shape::texts_and_numbers;
use crate::scalar::{Category, ScalarFunction};

pub(super) const OVERLAY: ScalarFunction = ScalarFunction {
    name: "OVERLAY",
    syntax: "OVERLAY(text PLACING part FROM start [FOR length])",
    description: "A part put over the characters from a place on.",
    documentation: "Characters count from 1; so many are replaced as are said, or as the part has. A start outside \
         the text changes nothing. NULL gives NULL.",
    examples: &[
        Example { sql: "OVERLAY('abcdef' PLACING 'XY' FROM 3)", result: "abXYef" },
        Example { sql: "OVERLAY('abcdef' PLACING 'XX' FROM 2 FOR 3)", result: "aXXef" },
        Example { sql: "OVERLAY('abcdef' PLACING 'XX' FROM 9)", result: "abcdef" },
    ],
    category: Category::String,
    arity: (3, 4),
    resolve: |a| {
        texts_and_numbers::<2, 2>(a, |[t, part], [start, length]| {
            Ok(Some(overlay(t, part, start.unwrap_or(1), length)))
        })
    },
};

fn overlay<'a>(text: &'a str, part: &str, start: i64, length: Option<i64>) -> Cow<'a, str> {
    let count = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    if start <= 0 || start > count {
        return Cow::Borrowed(text);
    }
    let length = length.unwrap_or(i64::try_from(part.chars().count()).unwrap_or(i64::MAX));
    let head = first(text, start - 1);
    // Without a rest behind the covered part nothing follows; a negative length covers everything, as in Flink.
    let covered = (start - 1).saturating_add(length);
    let tail = if length > 0 && covered < count { &text[first(text, covered).len()..] } else { "" };
    Cow::Owned([head, part, tail].concat())
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("OVERLAY", &[("abcdefghij", "STRING"), ("XX", "STRING"), ("3", "INT")], "abXXefghij"),
            ("OVERLAY", &[("xxxxxtest", "STRING"), ("xxxx", "STRING"), ("6", "INT")], "xxxxxxxxx"),
            (
                "OVERLAY",
                &[("It is very old,it is very old", "STRING"), ("King", "STRING"), ("9", "INT"), ("5", "INT")],
                "It is veKingd,it is very old",
            ),
            ("OVERLAY", &[("abc", "STRING"), ("X", "STRING"), ("0", "INT")], "abc"),
            ("OVERLAY", &[("abc", "STRING"), ("X", "STRING"), ("2", "INT"), ("0", "INT")], "aX"),
            ("OVERLAY", &[("abc", "STRING"), ("X", "STRING"), ("2", "INT"), ("9223372036854775807", "BIGINT")], "aX"),
        ]);
    }
}
