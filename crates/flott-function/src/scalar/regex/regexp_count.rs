//! REGEXP_COUNT: how many parts fit.

use super::{matches, to_int};
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};

pub(super) const REGEXP_COUNT: ScalarFunction = ScalarFunction {
    name: "REGEXP_COUNT",
    syntax: "REGEXP_COUNT(text, pattern)",
    description: "How many parts fit.",
    documentation: "Regular expressions are those of Java but for look-around and back references, which are \
         refused: matching takes linear time. NULL gives NULL, and so does a pattern that cannot be read. An \
         empty part counts, too.",
    examples: &[
        Example { sql: "REGEXP_COUNT('abcabc', 'b')", result: "2" },
        Example { sql: "REGEXP_COUNT('abc', '')", result: "4" },
        Example { sql: "REGEXP_COUNT('abc', '(')", result: "<NULL>" },
    ],
    category: Category::String,
    arity: (2, 2),
    resolve: |a| to_int(a, |r, t| matches(r, t).count() as i32),
};

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("REGEXP_COUNT", &[("foobarfoo", "STRING"), ("foo", "STRING")], "2"),
            ("REGEXP_COUNT", &[("ab1ç", "STRING"), ("[a-z]*", "STRING")], "4"),
            ("REGEXP_COUNT", &[("größe", "STRING"), ("[a", "STRING")], "NULL"),
            ("REGEXP_COUNT", &[("größe", "STRING"), ("a(?=b)", "STRING")], "ERROR not a usable regular expression"),
        ]);
    }
}
