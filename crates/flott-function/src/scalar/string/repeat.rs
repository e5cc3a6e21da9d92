//! REPEAT: the text so many times.

use std::borrow::Cow;

use crate::example::Example;
use crate::scalar::shape::{limit, texts_and_numbers};
use crate::scalar::{Category, ScalarFunction};

pub(super) const REPEAT: ScalarFunction = ScalarFunction {
    name: "REPEAT",
    syntax: "REPEAT(text, times)",
    description: "The text so many times.",
    documentation: "Empty where the number is not positive. NULL gives NULL.",
    examples: &[Example { sql: "REPEAT('ab', 3)", result: "ababab" }],
    category: Category::String,
    arity: (2, 2),
    resolve: |a| {
        texts_and_numbers::<1, 1>(a, |[t], [n]| {
            let times = usize::try_from(n.unwrap_or(0).max(0)).unwrap_or(usize::MAX);
            if t.is_empty() {
                return Ok(Some(Cow::Borrowed("")));
            }
            limit(t.len().saturating_mul(times))?;
            Ok(Some(Cow::Owned(t.repeat(times))))
        })
    },
};

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("REPEAT", &[("hello", "STRING"), ("2", "INT")], "hellohello"),
            ("REPEAT", &[("hello", "STRING"), ("-1", "INT")], ""),
            ("REPEAT", &[("hello", "STRING"), ("2147483647", "INT")], "ERROR longer than"),
        ]);
    }
}
