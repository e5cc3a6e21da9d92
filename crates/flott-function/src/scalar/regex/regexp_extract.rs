//! REGEXP_EXTRACT: the part that fits a group (0: all).

use super::extract;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const REGEXP_EXTRACT: ScalarFunction = ScalarFunction {
    name: "REGEXP_EXTRACT",
    syntax: "REGEXP_EXTRACT(text, pattern[, group])",
    description: "The part that fits a group (0: all).",
    documentation: "Regular expressions are those of Java but for look-around and back references, which are \
         refused: matching takes linear time. NULL where nothing fits, there is no such group, or the pattern \
         cannot be read.",
    examples: &[
        Example { sql: "REGEXP_EXTRACT('foothebar', 'foo(.*?)(bar)', 2)", result: "bar" },
        Example { sql: "REGEXP_EXTRACT('foothebar', 'foo(.*?)(bar)')", result: "foothebar" },
        Example { sql: "REGEXP_EXTRACT('abc', 'x')", result: "<NULL>" },
    ],
    category: Category::String,
    arity: (2, 3),
    resolve: extract,
};

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("REGEXP_EXTRACT", &[("foothebar", "STRING"), ("foo(.*?)(bar)", "STRING"), ("2", "INT")], "bar"),
            ("REGEXP_EXTRACT", &[("foothebar", "STRING"), ("foo(.*?)(bar)", "STRING")], "foothebar"),
            ("REGEXP_EXTRACT", &[("foothebar", "STRING"), ("foo(.*?)(bar)", "STRING"), ("3", "INT")], "NULL"),
            ("REGEXP_EXTRACT", &[("foothebar", "STRING"), ("nothing", "STRING"), ("0", "INT")], "NULL"),
            ("REGEXP_EXTRACT", &[("größe", "STRING"), ("a)", "STRING")], "NULL"),
        ]);
    }
}
