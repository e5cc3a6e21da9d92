//! LOWER: in lower case.

use super::same_type;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const LOWER: ScalarFunction = ScalarFunction {
    name: "LOWER",
    syntax: "LOWER(text)",
    description: "In lower case.",
    documentation: "It keeps the type CHAR or VARCHAR of the text. NULL gives NULL. LCASE is another name.",
    examples: &[Example { sql: "LOWER('Flink SQL')", result: "flink sql" }],
    category: Category::String,
    arity: (1, 1),
    resolve: |a| same_type(a, |t| t.to_lowercase()),
};

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[("LOWER", &[("ÀB", "CHAR(2)")], "àb")]);
    }
}
