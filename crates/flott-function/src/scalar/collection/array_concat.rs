//! ARRAY_CONCAT: the elements of all arrays.

use super::combine;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const ARRAY_CONCAT: ScalarFunction = ScalarFunction {
    name: "ARRAY_CONCAT",
    syntax: "ARRAY_CONCAT(array, ..)",
    description: "The elements of all arrays.",
    documentation: "Arrays become their common type: INT and DOUBLE give DOUBLE, DATE and TIMESTAMP give DATE, TIME and \
         TIMESTAMP give TIME. NULL where one is NULL.",
    examples: &[
        Example { sql: "ARRAY_CONCAT(ARRAY[1, 2], ARRAY[3])", result: "[1, 2, 3]" },
        Example { sql: "ARRAY_CONCAT(ARRAY[1], ARRAY[2.5])", result: "[1.0, 2.5]" },
    ],
    category: Category::Collection,
    arity: (1, 255),
    resolve: |a| combine(a, |parts, _| parts.concat()),
};

#[cfg(test)]
mod tests {
    use crate::scalar::collection::testing::{a, check, ints};

    #[test]
    fn values() {
        check(vec![("ARRAY_CONCAT", vec![a(), ints(&[Some(5)])], "[3, NULL, 1, 3, 5]")]);
    }
}
