//! ARRAY_APPEND: with a value at the end.

use super::with_value;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const ARRAY_APPEND: ScalarFunction = ScalarFunction {
    name: "ARRAY_APPEND",
    syntax: "ARRAY_APPEND(array, value)",
    description: "With a value at the end.",
    documentation: "The value is cast to the type of the elements where that loses nothing but a text's length. A \
         NULL array gives NULL, a NULL value a NULL element.",
    examples: &[
        Example { sql: "ARRAY_APPEND(ARRAY[1, 2], 3)", result: "[1, 2, 3]" },
        Example { sql: "ARRAY_APPEND(ARRAY[1], CAST(NULL AS INT))", result: "[1, NULL]" },
    ],
    category: Category::Collection,
    arity: (2, 2),
    resolve: |a| with_value(a, false),
};

#[cfg(test)]
mod tests {
    use crate::scalar::collection::testing::{a, check, n};

    #[test]
    fn values() {
        check(vec![("ARRAY_APPEND", vec![a(), n("9")], "[3, NULL, 1, 3, 9]")]);
    }
}
