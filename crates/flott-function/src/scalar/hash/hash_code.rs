//! HASH_CODE: Java's hash code.

use flott_core::types::TypeKind as K;

use crate::example::Example;
use crate::java_hash::{has_hash, hash_codes};
use crate::scalar::shape::texts_to_int;
use crate::scalar::{Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const HASH_CODE: ScalarFunction = ScalarFunction {
    name: "HASH_CODE",
    syntax: "HASH_CODE(value)",
    description: "Java's hash code; of a text without its sign.",
    documentation: "Of a text `String.hashCode` of its UTF-16 units, and of that the absolute value; of a number, a BOOLEAN or a \
         time the hash code of Java's object, as INT. NULL gives NULL.",
    examples: &[
        Example { sql: "HASH_CODE('abc')", result: "96354" },
        Example { sql: "HASH_CODE(TRUE)", result: "1231" },
        Example { sql: "HASH_CODE(CAST(NULL AS STRING))", result: "<NULL>" },
    ],
    category: Category::Hash,
    arity: (1, 1),
    resolve: |a| {
        let kind = a.values[0].data_type.kind.clone();
        if has_hash(&kind) {
            let t = K::Int.nullable().with_nullable(a.nullable());
            let resolved = Resolved::arrays(t, move |args, _| hash_codes(&args[0], &kind));
            return Ok(Some(resolved.infallible()));
        }
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
