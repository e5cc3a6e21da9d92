//! BITMAP_TO_BYTES: the bytes of a set in Roaring's portable format.

use std::sync::Arc;

use flott_core::Result;
use flott_core::types::TypeKind as K;

use super::nullable_as;
use crate::example::Example;
use crate::scalar::shape::fit;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const BITMAP_TO_BYTES: ScalarFunction = ScalarFunction {
    name: "BITMAP_TO_BYTES",
    syntax: "BITMAP_TO_BYTES(bitmap)",
    description: "The bytes of a set in Roaring's portable format.",
    documentation: "Roaring's libraries in other languages read them, and BITMAP_FROM_BYTES does. NULL gives NULL.",
    examples: &[Example {
        sql: "BITMAP_TO_BYTES(BITMAP_BUILD(ARRAY[1]))",
        result: "x'3a3000000100000000000000100000000100'",
    }],
    category: Category::Bitmap,
    arity: (1, 1),
    resolve: to_bytes,
};

fn to_bytes(a: &mut Arguments) -> Result<Option<Resolved>> {
    if !fit(a, &[K::Bitmap])? {
        return Ok(None);
    }
    // They lie so.
    Ok(Some(Resolved::arrays(nullable_as(a, K::BYTES), |args, _| Ok(Arc::clone(&args[0]))).infallible()))
}
