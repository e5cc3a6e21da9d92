//! BITMAP_TO_ARRAY: the numbers in their order; those that are negative last.

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, ListArray};
use arrow_schema::DataType;
use flott_core::types::{TypeKind as K, arrow_type};
use flott_core::{Error, Result};

use super::{MAX_ARRAY_NUMBERS, nullable_as, set};
use crate::example::Example;
use crate::scalar::shape::fit;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const BITMAP_TO_ARRAY: ScalarFunction = ScalarFunction {
    name: "BITMAP_TO_ARRAY",
    syntax: "BITMAP_TO_ARRAY(bitmap)",
    description: "The numbers in their order; those that are negative last.",
    documentation: "As ARRAY<INT>, in the order of numbers without a sign. NULL gives NULL; a set that is too large \
         for an array is an error.",
    examples: &[
        Example { sql: "BITMAP_TO_ARRAY(BITMAP_BUILD(ARRAY[3, 1, 2]))", result: "[1, 2, 3]" },
        Example { sql: "BITMAP_TO_ARRAY(BITMAP_BUILD(ARRAY[-1, 1]))", result: "[1, -1]" },
    ],
    category: Category::Bitmap,
    arity: (1, 1),
    resolve: to_array,
};

fn to_array(a: &mut Arguments) -> Result<Option<Resolved>> {
    if !fit(a, &[K::Bitmap])? {
        return Ok(None);
    }
    let t = nullable_as(a, K::Array(Box::new(K::Int.nullable())));
    let arrow = arrow_type(&t);
    Ok(Some(Resolved::arrays(t, move |args, rows| {
        let numbers = (0..rows).map(|row| {
            let Some(set) = set(&args[0], row)? else { return Ok(None) };
            if set.len() > MAX_ARRAY_NUMBERS {
                return Err(Error::data(format!(
                    "an ARRAY of {} numbers is longer than {MAX_ARRAY_NUMBERS}",
                    set.len()
                ))
                .hint("Take a part of the set, such as BITMAP_AND with another"));
            }
            Ok(Some(set.iter().map(|n| Some(n as i32)).collect::<Vec<_>>()))
        });
        let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(numbers.collect::<Result<Vec<_>>>()?);
        let DataType::List(item) = &arrow else { return Err(Error::internal("an ARRAY that is no list")) };
        let (_, offsets, values, nulls) = lists.into_parts();
        Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets, values, nulls)?) as ArrayRef)
    })))
}
