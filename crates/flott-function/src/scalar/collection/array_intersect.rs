//! ARRAY_INTERSECT: each value that both have, once.

use super::{Sorted, combine, distinct_of};
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const ARRAY_INTERSECT: ScalarFunction = ScalarFunction {
    name: "ARRAY_INTERSECT",
    syntax: "ARRAY_INTERSECT(array, array)",
    description: "Each value that both have, once.",
    documentation: "Arrays become their common type. The order is that in which values came first; NULL is a value. \
         NULL where one of the arrays is NULL.",
    examples: &[
        Example { sql: "ARRAY_INTERSECT(ARRAY[1, 2, 3], ARRAY[3, 2])", result: "[2, 3]" },
        Example { sql: "ARRAY_INTERSECT(ARRAY['a'], ARRAY['b'])", result: "[]" },
    ],
    category: Category::Collection,
    arity: (2, 2),
    resolve: |a| {
        combine(a, |parts, compare| {
            let other = Sorted::new(&parts[1], compare);
            distinct_of(parts[0].iter().copied().filter(|i| other.has(*i, compare)).collect(), compare)
        })
    },
};

#[cfg(test)]
mod tests {
    use crate::scalar::collection::testing::{a, check, ints};

    #[test]
    fn values() {
        check(vec![("ARRAY_INTERSECT", vec![a(), ints(&[Some(3), None])], "[3, NULL]")]);
    }
}
