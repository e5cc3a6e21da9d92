//! IS_DECIMAL: whether it is a number.

use flott_core::types::TypeKind;

use super::{is_text_of, same_of_numbers};
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const IS_DECIMAL: ScalarFunction = ScalarFunction {
    name: "IS_DECIMAL",
    syntax: "IS_DECIMAL(text)",
    description: "Whether it is a number.",
    documentation: "FALSE of an empty text and of NULL. A value of a number's type always is, one of DECIMAL never, as in Flink.",
    examples: &[
        Example { sql: "IS_DECIMAL('1.2')", result: "TRUE" },
        Example { sql: "IS_DECIMAL('one')", result: "FALSE" },
    ],
    category: Category::String,
    arity: (1, 1),
    resolve: |a| {
        if a.values[0].data_type.kind.is_numeric() {
            return Ok(Some(same_of_numbers(!matches!(a.values[0].data_type.kind, TypeKind::Decimal { .. }))));
        }
        is_text_of(a, |t| {
            !t.is_empty() && t.trim().parse::<f64>().is_ok_and(|_| !t.to_ascii_lowercase().contains("inf"))
        })
    },
};

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("IS_DECIMAL", &[("NULL", "STRING")], "FALSE"),
            ("IS_DECIMAL", &[("1.5e3", "STRING")], "TRUE"),
            ("IS_DECIMAL", &[("f", "STRING")], "FALSE"),
            ("IS_DECIMAL", &[("1.5", "DECIMAL(2, 1)")], "FALSE"),
            ("IS_DECIMAL", &[("NULL", "DOUBLE")], "TRUE"),
        ]);
    }
}
