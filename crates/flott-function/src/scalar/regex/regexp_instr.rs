//! REGEXP_INSTR: where the first fitting part starts, 0 for nowhere.

use super::to_int;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const REGEXP_INSTR: ScalarFunction = ScalarFunction {
    name: "REGEXP_INSTR",
    syntax: "REGEXP_INSTR(text, pattern)",
    description: "Where the first fitting part starts, 0 for nowhere.",
    documentation: "In characters from 1. Regular expressions are those of Java but for look-around and back \
         references, which are refused: matching takes linear time. NULL gives NULL, and so does a pattern that \
         cannot be read.",
    examples: &[
        Example { sql: "REGEXP_INSTR('hello world', 'o')", result: "5" },
        Example { sql: "REGEXP_INSTR('abc', 'x')", result: "0" },
    ],
    category: Category::String,
    arity: (2, 2),
    resolve: |a| to_int(a, |r, t| r.find(t).map_or(0, |m| t[..m.start()].chars().count() as i32 + 1)),
};

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("REGEXP_INSTR", &[("größe", "STRING"), ("ß", "STRING")], "4"),
            ("REGEXP_INSTR", &[("größe", "STRING"), ("x", "STRING")], "0"),
            ("REGEXP_INSTR", &[("größe", "STRING"), ("(", "STRING")], "NULL"),
        ]);
    }
}
