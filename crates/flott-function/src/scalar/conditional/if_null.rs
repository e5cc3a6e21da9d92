//! IFNULL: the value, or the other one where it is NULL.

use flott_core::Result;

use super::chosen;
use super::coalesce::coalesce;
use crate::example::Example;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const IFNULL: ScalarFunction = ScalarFunction {
    name: "IFNULL",
    syntax: "IFNULL(value, instead)",
    description: "The value, or the other one where it is NULL.",
    documentation: "Both become their common type, as in COALESCE of two values; a text that is declared NOT NULL \
         keeps its type.",
    examples: &[
        Example { sql: "IFNULL(CAST(NULL AS INT), 5)", result: "5" },
        Example { sql: "IFNULL(3, 5)", result: "3" },
        Example { sql: "IFNULL(CAST(NULL AS DOUBLE), 1.25)", result: "1.25" },
    ],
    category: Category::Conditional,
    arity: (2, 2),
    resolve: if_null,
};

/// A text that is never NULL keeps its type: Flink casts arguments to a common one, but not between lengths.
fn if_null(a: &mut Arguments) -> Result<Option<Resolved>> {
    let (first, second) = (&a.values[0].data_type, &a.values[1].data_type.kind);
    let is_text =
        (first.kind.is_character() && second.is_character()) || (first.kind.is_binary() && second.is_binary());
    if !first.nullable && is_text {
        let first = a.values[0].clone();
        return chosen(a, first);
    }
    coalesce(a)
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[("IFNULL", &[("NULL", "STRING"), ("x", "STRING")], "x")]);
    }
}
