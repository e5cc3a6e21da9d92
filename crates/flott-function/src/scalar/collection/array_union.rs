//! ARRAY_UNION: each value of both once.

use super::{combine, distinct_of};
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const ARRAY_UNION: ScalarFunction = ScalarFunction {
    name: "ARRAY_UNION",
    syntax: "ARRAY_UNION(array, array)",
    description: "Each value of both once.",
    documentation: "Arrays become their common type. The order is that in which values came first; NULL is a value. \
         NULL where one of the arrays is NULL.",
    examples: &[
        Example { sql: "ARRAY_UNION(ARRAY[1, 2], ARRAY[2, 3])", result: "[1, 2, 3]" },
        Example { sql: "ARRAY_UNION(ARRAY[1], ARRAY[CAST(NULL AS INT)])", result: "[1, NULL]" },
    ],
    category: Category::Collection,
    arity: (2, 2),
    resolve: |a| combine(a, |parts, compare| distinct_of(parts.concat(), compare)),
};

#[cfg(test)]
mod tests {
    use crate::scalar::collection::testing::{a, check, ints};

    #[test]
    fn values() {
        check(vec![("ARRAY_UNION", vec![a(), ints(&[Some(5), Some(1)])], "[3, NULL, 1, 5]")]);
    }
}
