//! ARRAY_REVERSE: from the end to the start.

use super::pick;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const ARRAY_REVERSE: ScalarFunction = ScalarFunction {
    name: "ARRAY_REVERSE",
    syntax: "ARRAY_REVERSE(array)",
    description: "From the end to the start.",
    documentation: "NULL gives NULL.",
    examples: &[Example { sql: "ARRAY_REVERSE(ARRAY[1, 2, 3])", result: "[3, 2, 1]" }],
    category: Category::Collection,
    arity: (1, 1),
    resolve: |a| pick(a, |range, _| range.rev().collect()),
};

#[cfg(test)]
mod tests {
    use crate::scalar::collection::testing::{a, check};

    #[test]
    fn values() {
        check(vec![("ARRAY_REVERSE", vec![a()], "[3, 1, NULL, 3]")]);
    }
}
