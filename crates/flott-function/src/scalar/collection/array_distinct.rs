//! ARRAY_DISTINCT: each value once.

use arrow_ord::ord::DynComparator;

use super::{distinct_of, pick};
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const ARRAY_DISTINCT: ScalarFunction = ScalarFunction {
    name: "ARRAY_DISTINCT",
    syntax: "ARRAY_DISTINCT(array)",
    description: "Each value once.",
    documentation: "At the place where it came first, NULL too. NULL gives NULL.",
    examples: &[
        Example { sql: "ARRAY_DISTINCT(ARRAY[1, 2, 1])", result: "[1, 2]" },
        Example { sql: "ARRAY_DISTINCT(ARRAY[CAST(NULL AS INT), 1, CAST(NULL AS INT)])", result: "[NULL, 1]" },
    ],
    category: Category::Collection,
    arity: (1, 1),
    resolve: |a| pick(a, distinct),
};

fn distinct(range: std::ops::Range<u32>, compare: &DynComparator) -> Vec<u32> {
    distinct_of(range.collect(), compare)
}

#[cfg(test)]
mod tests {
    use crate::scalar::collection::testing::{a, check};

    #[test]
    fn values() {
        check(vec![("ARRAY_DISTINCT", vec![a()], "[3, NULL, 1]")]);
    }
}
