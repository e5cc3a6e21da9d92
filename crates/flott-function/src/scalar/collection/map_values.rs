//! MAP_VALUES: the values as an array.

use super::{Part, parts_of_map};
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const MAP_VALUES: ScalarFunction = ScalarFunction {
    name: "MAP_VALUES",
    syntax: "MAP_VALUES(map)",
    description: "The values as an array.",
    documentation: "In no order that is promised. NULL gives NULL.",
    examples: &[
        Example { sql: "MAP_VALUES(MAP['a', 1])", result: "[1]" },
        Example { sql: "MAP_VALUES(MAP['a', CAST(NULL AS INT)])", result: "[NULL]" },
    ],
    category: Category::Collection,
    arity: (1, 1),
    resolve: |a| parts_of_map(a, Part::Values),
};

#[cfg(test)]
mod tests {
    use crate::scalar::collection::testing::{check, m};

    #[test]
    fn values() {
        check(vec![("MAP_VALUES", vec![m()], "[1, NULL]")]);
    }
}
