//! HASH_CODE: Java's hash code, without its sign.

use crate::example::Example;
use crate::scalar::shape::texts_to_int;
use crate::scalar::{Category, ScalarFunction};

pub(super) const HASH_CODE: ScalarFunction = ScalarFunction {
    name: "HASH_CODE",
    syntax: "HASH_CODE(text)",
    description: "Java's hash code, without its sign.",
    documentation: "`String.hashCode` of the text's UTF-16 units, and of that the absolute value, as INT. NULL gives \
         NULL.",
    examples: &[
        Example { sql: "HASH_CODE('abc')", result: "96354" },
        Example { sql: "HASH_CODE(CAST(NULL AS STRING))", result: "<NULL>" },
    ],
    category: Category::Hash,
    arity: (1, 1),
    resolve: |a| {
        texts_to_int(a, |[t]| {
            t.encode_utf16().fold(0i32, |h, u| h.wrapping_mul(31).wrapping_add(i32::from(u))).wrapping_abs()
        })
    },
};

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[("HASH_CODE", &[("abc", "STRING")], "96354")]);
    }
}
