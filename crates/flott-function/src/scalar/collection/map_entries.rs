//! MAP_ENTRIES: the entries as an array of rows `key`, `value`.

use super::{Part, parts_of_map};
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const MAP_ENTRIES: ScalarFunction = ScalarFunction {
    name: "MAP_ENTRIES",
    syntax: "MAP_ENTRIES(map)",
    description: "The entries as an array of rows `key`, `value`.",
    documentation: "In no order that is promised. NULL gives NULL.",
    examples: &[Example { sql: "MAP_ENTRIES(MAP['a', 1])", result: "[(a, 1)]" }],
    category: Category::Collection,
    arity: (1, 1),
    resolve: |a| parts_of_map(a, Part::Entries),
};

#[cfg(test)]
mod tests {
    use crate::scalar::collection::testing::{check, m};

    #[test]
    fn values() {
        check(vec![("MAP_ENTRIES", vec![m()], "[(a, 1), (b, NULL)]")]);
    }
}
