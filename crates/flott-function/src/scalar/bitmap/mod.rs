//! BITMAP: sets of 32-bit numbers.

mod bitmap_and;
mod bitmap_andnot;
mod bitmap_build;
mod bitmap_cardinality;
mod bitmap_from_bytes;
mod bitmap_or;
mod bitmap_to_array;
mod bitmap_to_bytes;
mod bitmap_to_string;
mod bitmap_xor;

use std::sync::Arc;

use arrow_array::builder::BinaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use flott_core::types::TypeKind as K;
use flott_core::{LogicalType, Result};

use crate::bitmap::{self, RoaringBitmap};
use crate::scalar::shape::fit;
use crate::scalar::{Arguments, ScalarFunction};
use crate::udf::Resolved;

/// All of them.
pub(super) const FUNCTIONS: &[ScalarFunction] = &[
    bitmap_build::BITMAP_BUILD,
    bitmap_cardinality::BITMAP_CARDINALITY,
    bitmap_and::BITMAP_AND,
    bitmap_or::BITMAP_OR,
    bitmap_xor::BITMAP_XOR,
    bitmap_andnot::BITMAP_ANDNOT,
    bitmap_from_bytes::BITMAP_FROM_BYTES,
    bitmap_to_bytes::BITMAP_TO_BYTES,
    bitmap_to_array::BITMAP_TO_ARRAY,
    bitmap_to_string::BITMAP_TO_STRING,
];

/// The most numbers of a set that become an ARRAY.
pub const MAX_ARRAY_NUMBERS: u64 = 1 << 27;

fn nullable_as(a: &Arguments, kind: K) -> LogicalType {
    LogicalType { kind, nullable: a.nullable() }
}

/// The set of a row.
fn set(column: &ArrayRef, row: usize) -> Result<Option<RoaringBitmap>> {
    let bytes = column.as_binary::<i32>();
    if bytes.is_null(row) { Ok(None) } else { bitmap::read(bytes.value(row)).map(Some) }
}

fn sets(rows: usize, mut of: impl FnMut(usize) -> Result<Option<RoaringBitmap>>) -> Result<ArrayRef> {
    let mut out = BinaryBuilder::new();
    for row in 0..rows {
        out.append_option(of(row)?.map(|s| bitmap::write(&s)));
    }
    Ok(Arc::new(out.finish()))
}

fn two(a: &mut Arguments, f: fn(&RoaringBitmap, &RoaringBitmap) -> RoaringBitmap) -> Result<Option<Resolved>> {
    if !fit(a, &[K::Bitmap, K::Bitmap])? {
        return Ok(None);
    }
    Ok(Some(Resolved::arrays(nullable_as(a, K::Bitmap), move |args, rows| {
        sets(rows, |row| Ok(set(&args[0], row)?.zip(set(&args[1], row)?).map(|(a, b)| f(&a, &b))))
    })))
}
