//! BITMAP_FROM_BYTES: the set of bytes in Roaring's portable format.

use flott_core::Result;
use flott_core::types::TypeKind as K;

use super::{nullable_as, set, sets};
use crate::example::Example;
use crate::scalar::shape::fit;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const BITMAP_FROM_BYTES: ScalarFunction = ScalarFunction {
    name: "BITMAP_FROM_BYTES",
    syntax: "BITMAP_FROM_BYTES(bytes)",
    description: "The set of bytes in Roaring's portable format.",
    documentation: "What BITMAP_TO_BYTES writes, and Roaring's libraries in other languages. Other bytes are an \
         error; NULL gives NULL.",
    examples: &[
        Example { sql: "BITMAP_FROM_BYTES(BITMAP_TO_BYTES(BITMAP_BUILD(ARRAY[1, 65536])))", result: "{1,65536}" },
        Example { sql: "BITMAP_FROM_BYTES(CAST(NULL AS BYTES))", result: "<NULL>" },
    ],
    category: Category::Bitmap,
    arity: (1, 1),
    resolve: from_bytes,
};

fn from_bytes(a: &mut Arguments) -> Result<Option<Resolved>> {
    if !fit(a, &[K::BYTES])? {
        return Ok(None);
    }
    Ok(Some(Resolved::arrays(nullable_as(a, K::Bitmap), |args, rows| sets(rows, |row| set(&args[0], row)))))
}
