//! MAP_KEYS: the keys as an array.

use super::{Part, parts_of_map};
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const MAP_KEYS: ScalarFunction = ScalarFunction {
    name: "MAP_KEYS",
    syntax: "MAP_KEYS(map)",
    description: "The keys as an array.",
    documentation: "In no order that is promised. NULL gives NULL.",
    examples: &[Example { sql: "MAP_KEYS(MAP[1, 'a', 2, 'b'])", result: "[1, 2]" }],
    category: Category::Collection,
    arity: (1, 1),
    resolve: |a| parts_of_map(a, Part::Keys),
};

#[cfg(test)]
mod tests {
    use crate::scalar::collection::testing::{check, m};

    #[test]
    fn values() {
        check(vec![("MAP_KEYS", vec![m()], "[a, b]")]);
    }
}
