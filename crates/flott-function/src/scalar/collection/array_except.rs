//! ARRAY_EXCEPT: each value of the first that is not in the second, once.

use super::{Sorted, combine, distinct_of};
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const ARRAY_EXCEPT: ScalarFunction = ScalarFunction {
    name: "ARRAY_EXCEPT",
    syntax: "ARRAY_EXCEPT(array, array)",
    description: "Each value of the first that is not in the second, once.",
    documentation: "Arrays become their common type. The order is that in which values came first; NULL is a value. \
         NULL where one of the arrays is NULL.",
    examples: &[
        Example { sql: "ARRAY_EXCEPT(ARRAY[1, 1, 2], ARRAY[2])", result: "[1]" },
        Example { sql: "ARRAY_EXCEPT(ARRAY['a', 'b'], ARRAY['c'])", result: "[a, b]" },
    ],
    category: Category::Collection,
    arity: (2, 2),
    resolve: |a| {
        combine(a, |parts, compare| {
            let other = Sorted::new(&parts[1], compare);
            distinct_of(parts[0].iter().copied().filter(|i| !other.has(*i, compare)).collect(), compare)
        })
    },
};

#[cfg(test)]
mod tests {
    use crate::scalar::collection::testing::{a, check, ints};

    #[test]
    fn values() {
        check(vec![("ARRAY_EXCEPT", vec![a(), ints(&[Some(1)])], "[3, NULL]")]);
    }
}
