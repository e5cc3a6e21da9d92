//! REPLACE: every part replaced.

use std::borrow::Cow;

use crate::example::Example;
use crate::scalar::shape::texts;
use crate::scalar::{Category, ScalarFunction};

pub(super) const REPLACE: ScalarFunction = ScalarFunction {
    name: "REPLACE",
    syntax: "REPLACE(text, part, by)",
    description: "Every part replaced.",
    documentation: "From the start to the end, without looking at what was put in. NULL gives NULL.",
    examples: &[
        Example { sql: "REPLACE('hello world', 'world', 'flink')", result: "hello flink" },
        Example { sql: "REPLACE('ababab', 'abab', 'z')", result: "zab" },
    ],
    category: Category::String,
    arity: (3, 3),
    resolve: |a| {
        texts(a, |[t, part, by]| if t.contains(part) { Cow::Owned(t.replace(part, by)) } else { Cow::Borrowed(t) })
    },
};

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("REPLACE", &[("hello world", "STRING"), ("world", "STRING"), ("flink", "STRING")], "hello flink"),
            ("REPLACE", &[("ababab", "STRING"), ("abab", "STRING"), ("z", "STRING")], "zab"),
        ]);
    }
}
