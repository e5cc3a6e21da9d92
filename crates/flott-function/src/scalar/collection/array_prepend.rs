//! ARRAY_PREPEND: with a value at the start.

use super::with_value;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const ARRAY_PREPEND: ScalarFunction = ScalarFunction {
    name: "ARRAY_PREPEND",
    syntax: "ARRAY_PREPEND(array, value)",
    description: "With a value at the start.",
    documentation: "The value is cast to the type of the elements where that loses nothing but a text's length. A \
         NULL array gives NULL, a NULL value a NULL element.",
    examples: &[
        Example { sql: "ARRAY_PREPEND(ARRAY[1, 2], 0)", result: "[0, 1, 2]" },
        Example { sql: "ARRAY_PREPEND(ARRAY[1], CAST(NULL AS INT))", result: "[NULL, 1]" },
    ],
    category: Category::Collection,
    arity: (2, 2),
    resolve: |a| with_value(a, true),
};

#[cfg(test)]
mod tests {
    use crate::scalar::collection::testing::{a, check, n};

    #[test]
    fn values() {
        check(vec![("ARRAY_PREPEND", vec![a(), n("NULL")], "[NULL, 3, NULL, 1, 3]")]);
    }
}
