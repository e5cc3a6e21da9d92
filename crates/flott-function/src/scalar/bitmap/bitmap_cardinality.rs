//! BITMAP_CARDINALITY: how many numbers there are.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array};
use flott_core::Result;
use flott_core::types::TypeKind as K;

use super::{nullable_as, set};
use crate::example::Example;
use crate::scalar::shape::fit;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const BITMAP_CARDINALITY: ScalarFunction = ScalarFunction {
    name: "BITMAP_CARDINALITY",
    syntax: "BITMAP_CARDINALITY(bitmap)",
    description: "How many numbers there are.",
    documentation: "As BIGINT. NULL gives NULL.",
    examples: &[Example { sql: "BITMAP_CARDINALITY(BITMAP_BUILD(ARRAY[1, 2, 2]))", result: "2" }],
    category: Category::Bitmap,
    arity: (1, 1),
    resolve: cardinality,
};

fn cardinality(a: &mut Arguments) -> Result<Option<Resolved>> {
    if !fit(a, &[K::Bitmap])? {
        return Ok(None);
    }
    Ok(Some(Resolved::arrays(nullable_as(a, K::BigInt), |args, rows| {
        let counts = (0..rows).map(|row| Ok(set(&args[0], row)?.map(|s| s.len() as i64)));
        Ok(Arc::new(counts.collect::<Result<Int64Array>>()?) as ArrayRef)
    })))
}
