//! CHAR_LENGTH: number of characters.

use crate::example::Example;
use crate::scalar::shape::texts_to_int;
use crate::scalar::{Category, ScalarFunction};

pub(super) const CHAR_LENGTH: ScalarFunction = ScalarFunction {
    name: "CHAR_LENGTH",
    syntax: "CHAR_LENGTH(text)",
    description: "Number of characters.",
    documentation: "Characters, not bytes. NULL gives NULL. CHARACTER_LENGTH and LENGTH are other names.",
    examples: &[
        Example { sql: "CHAR_LENGTH('größe')", result: "5" },
        Example { sql: "CHAR_LENGTH(CAST(NULL AS STRING))", result: "<NULL>" },
    ],
    category: Category::String,
    arity: (1, 1),
    resolve: |a| texts_to_int(a, |[t]| t.chars().count() as i32),
};

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[("CHAR_LENGTH", &[("größe", "STRING")], "5"), ("CHAR_LENGTH", &[("NULL", "STRING")], "NULL")]);
    }
}
