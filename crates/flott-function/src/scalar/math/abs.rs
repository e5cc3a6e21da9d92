//! ABS: the absolute value.

use super::{Step, same_type};
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const ABS: ScalarFunction = ScalarFunction {
    name: "ABS",
    syntax: "ABS(number)",
    description: "The absolute value.",
    documentation: "It has the type of the number. The least number of a whole type stays as it is: its opposite \
         does not fit. NULL gives NULL.",
    examples: &[
        Example { sql: "ABS(-5)", result: "5" },
        Example { sql: "ABS(-1.5)", result: "1.5" },
        Example { sql: "ABS(CAST(NULL AS INT))", result: "<NULL>" },
    ],
    category: Category::Arithmetic,
    arity: (1, 1),
    resolve: |a| same_type(a, Step::Abs),
};

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("ABS", &[("-5", "INT")], "5"),
            ("ABS", &[("-2147483648", "INT")], "-2147483648"),
            ("ABS", &[("-1.5", "DECIMAL(2, 1)")], "1.5"),
        ]);
    }
}
