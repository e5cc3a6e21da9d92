//! BITMAP_TO_STRING: the numbers as {1,2,3}, without a sign.

use std::sync::Arc;

use arrow_array::{ArrayRef, StringArray};
use flott_core::Result;
use flott_core::types::TypeKind as K;

use super::{nullable_as, set};
use crate::bitmap;
use crate::example::Example;
use crate::scalar::shape::fit;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const BITMAP_TO_STRING: ScalarFunction = ScalarFunction {
    name: "BITMAP_TO_STRING",
    syntax: "BITMAP_TO_STRING(bitmap)",
    description: "The numbers as {1,2,3}, without a sign.",
    documentation: "NULL gives NULL.",
    examples: &[
        Example { sql: "BITMAP_TO_STRING(BITMAP_BUILD(ARRAY[3, 1]))", result: "{1,3}" },
        Example { sql: "BITMAP_TO_STRING(BITMAP_BUILD(ARRAY[-1, 1]))", result: "{1,4294967295}" },
    ],
    category: Category::Bitmap,
    arity: (1, 1),
    resolve: to_text,
};

fn to_text(a: &mut Arguments) -> Result<Option<Resolved>> {
    if !fit(a, &[K::Bitmap])? {
        return Ok(None);
    }
    Ok(Some(Resolved::arrays(nullable_as(a, K::STRING), |args, rows| {
        let texts = (0..rows).map(|row| Ok(set(&args[0], row)?.map(|s| bitmap::to_text(&s))));
        Ok(Arc::new(texts.collect::<Result<StringArray>>()?) as ArrayRef)
    })))
}
