//! UPPER: in upper case.

use super::same_type;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const UPPER: ScalarFunction = ScalarFunction {
    name: "UPPER",
    syntax: "UPPER(text)",
    description: "In upper case.",
    documentation: "It keeps the type CHAR or VARCHAR of the text. NULL gives NULL. UCASE is another name.",
    examples: &[Example { sql: "UPPER('flink')", result: "FLINK" }],
    category: Category::String,
    arity: (1, 1),
    resolve: |a| same_type(a, |t| t.to_uppercase()),
};

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[("UPPER", &[("Straße", "STRING")], "STRASSE")]);
    }
}
