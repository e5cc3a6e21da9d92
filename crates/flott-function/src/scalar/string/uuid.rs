//! UUID: a random UUID (version 4).

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use datafusion_expr::ColumnarValue;
use flott_core::types::TypeKind as K;

use crate::context;
use crate::example::Example;
use crate::scalar::{Category, ScalarFunction};
use crate::text::hex;
use crate::udf::Resolved;

pub(super) const UUID: ScalarFunction = ScalarFunction {
    name: "UUID",
    syntax: "UUID()",
    description: "A random UUID (version 4).",
    documentation: "36 characters as RFC 4122 writes them, another one for each row.",
    examples: &[
        Example { sql: "CHAR_LENGTH(UUID())", result: "36" },
        Example { sql: "UUID() IS NOT NULL", result: "TRUE" },
    ],
    category: Category::String,
    arity: (0, 0),
    resolve: |_| {
        let resolved = Resolved::new(K::Char(36).not_null(), |_, rows| {
            let mut out = StringBuilder::with_capacity(rows, rows * 36);
            for _ in 0..rows {
                out.append_value(uuid());
            }
            Ok(ColumnarValue::Array(Arc::new(out.finish())))
        });
        Ok(Some(resolved.infallible().volatile()))
    },
};

fn uuid() -> String {
    let (a, b) = context::with_rng(|rng| (rng.next_u64(), rng.next_u64()));
    // The version and the variant of a random UUID.
    let a = a & !0xf000 | 0x4000;
    let b = b & !(0b11 << 62) | 0b10 << 62;
    let text = hex(&[a.to_be_bytes(), b.to_be_bytes()].concat());
    format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_have_their_form() {
        context::seed(7);
        let a = uuid();
        context::seed(7);
        assert_eq!(a, uuid());
        assert_ne!(a, uuid());
        let bytes = a.as_bytes();
        assert_eq!((a.len(), bytes[8], bytes[14]), (36, b'-', b'4'));
        assert!(matches!(bytes[19], b'8' | b'9' | b'a' | b'b'), "{a}");
    }
}
