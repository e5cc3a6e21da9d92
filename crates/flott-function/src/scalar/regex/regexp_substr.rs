//! REGEXP_SUBSTR: the first part that fits.

use super::extract;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const REGEXP_SUBSTR: ScalarFunction = ScalarFunction {
    name: "REGEXP_SUBSTR",
    syntax: "REGEXP_SUBSTR(text, pattern)",
    description: "The first part that fits.",
    documentation: "Regular expressions are those of Java but for look-around and back references, which are \
         refused: matching takes linear time. NULL where nothing fits or the pattern cannot be read.",
    examples: &[
        Example { sql: "REGEXP_SUBSTR('foobar', 'o+b')", result: "oob" },
        Example { sql: "REGEXP_SUBSTR('foobar', 'x')", result: "<NULL>" },
    ],
    category: Category::String,
    arity: (2, 2),
    resolve: extract,
};

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("REGEXP_SUBSTR", &[("foobar", "STRING"), ("o+b", "STRING")], "oob"),
            ("REGEXP_SUBSTR", &[("größe", "STRING"), ("*a", "STRING")], "NULL"),
        ]);
    }
}
