//! CONCAT: all texts together; NULL where one is NULL.

use super::concat;
use crate::example::Example;
use crate::scalar::shape::string_of;
use crate::scalar::{Category, ScalarFunction};

pub(super) const CONCAT: ScalarFunction = ScalarFunction {
    name: "CONCAT",
    syntax: "CONCAT(text, ..)",
    description: "All texts together; NULL where one is NULL.",
    documentation: "As STRING. `||` joins two of them, CONCAT_WS leaves NULL out.",
    examples: &[
        Example { sql: "CONCAT('AA', 'BB', 'CC')", result: "AABBCC" },
        Example { sql: "CONCAT('AA', CAST(NULL AS STRING))", result: "<NULL>" },
    ],
    category: Category::String,
    arity: (1, 255),
    resolve: |a| {
        let t = string_of(a);
        concat(a, t)
    },
};

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("CONCAT", &[("xx", "STRING"), ("f33", "CHAR(3)")], "xxf33"),
            ("CONCAT", &[("xx", "STRING"), ("NULL", "STRING")], "NULL"),
        ]);
    }
}
