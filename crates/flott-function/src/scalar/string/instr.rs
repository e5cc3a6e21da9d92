//! INSTR: where the part starts, 0 for nowhere.

use flott_core::{Error, Result};

use super::{position, positions};
use crate::example::Example;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const INSTR: ScalarFunction = ScalarFunction {
    name: "INSTR",
    syntax: "INSTR(text, part[, start[, occurrence]])",
    description: "Where the part starts, 0 for nowhere.",
    documentation: "In characters from 1. It looks from the start on (1, where none is given), from the end where \
         that is negative, for an occurrence (the first): a start of 0 finds nothing, an occurrence that is not \
         positive is an error. NULL gives NULL.",
    examples: &[
        Example { sql: "INSTR('banana', 'an')", result: "2" },
        Example { sql: "INSTR('banana', 'an', 1, 2)", result: "4" },
        Example { sql: "INSTR('banana', 'an', -1)", result: "4" },
        Example { sql: "INSTR('abc', 'x')", result: "0" },
    ],
    category: Category::String,
    arity: (2, 4),
    resolve: instr,
};

/// The place of an occurrence, looked for from a place on; from the end where that is negative.
fn nth_position(text: &str, part: &str, start: i64, occurrence: i64) -> i32 {
    if start == 0 {
        return 0;
    }
    if start < 0 {
        let (reversed, part_reversed): (String, String) = (text.chars().rev().collect(), part.chars().rev().collect());
        let at = nth_position(&reversed, &part_reversed, start.saturating_neg(), occurrence);
        let count = |t: &str| t.chars().count() as i32;
        return if at == 0 { 0 } else { count(text) + 2 - at - count(part) };
    }
    let (mut from, mut at) = (start, 0);
    for _ in 0..occurrence {
        at = position(text, part, from);
        if at == 0 {
            return 0;
        }
        from = i64::from(at) + 1;
    }
    at
}

fn instr(a: &mut Arguments) -> Result<Option<Resolved>> {
    positions(a, |t, part, start, occurrence| {
        if occurrence <= 0 {
            return Err(Error::data("the occurrence that INSTR looks for must be positive"));
        }
        Ok(nth_position(t, part, start, occurrence))
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("INSTR", &[("banana", "STRING"), ("", "STRING"), ("9", "INT"), ("2", "INT")], "1"),
            ("INSTR", &[("Corporate Floor", "STRING"), ("or", "STRING"), ("3", "INT"), ("2", "INT")], "14"),
            ("INSTR", &[("Corporate Floor", "STRING"), ("or", "STRING"), ("-3", "INT"), ("2", "INT")], "2"),
            ("INSTR", &[("Corporate Floor", "STRING"), ("or", "STRING"), ("0", "INT")], "0"),
            ("INSTR", &[("a", "STRING"), ("a", "STRING"), ("1", "INT"), ("0", "INT")], "ERROR must be positive"),
        ]);
    }
}
