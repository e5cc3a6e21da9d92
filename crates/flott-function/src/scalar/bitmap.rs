//! BITMAP: sets of 32-bit numbers.

use std::sync::Arc;

use arrow_array::builder::BinaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, Int64Array, ListArray, StringArray};
use arrow_schema::DataType;
use flott_core::types::{TypeKind as K, arrow_type};
use flott_core::{Error, LogicalType, Result};

use super::shape::{entry, fit};
use super::{Arguments, Category, Resolve, ScalarFunction};
use crate::bitmap::{self, RoaringBitmap};
use crate::udf::Resolved;

/// The most numbers of a set that become an ARRAY.
pub const MAX_ARRAY_NUMBERS: u64 = 1 << 27;

const fn function(
    name: &'static str,
    syntax: &'static str,
    description: &'static str,
    arguments: usize,
    resolve: Resolve,
) -> ScalarFunction {
    entry(Category::Bitmap, name, syntax, description, (arguments, arguments), resolve)
}

/// All of them.
pub(super) const FUNCTIONS: &[ScalarFunction] = &[
    function(
        "BITMAP_BUILD",
        "BITMAP_BUILD(array)",
        "The set of the numbers of an ARRAY<INT>; NULL is left out.",
        1,
        build,
    ),
    function("BITMAP_CARDINALITY", "BITMAP_CARDINALITY(bitmap)", "How many numbers there are.", 1, cardinality),
    function("BITMAP_AND", "BITMAP_AND(a, b)", "The numbers that are in both.", 2, |a| two(a, |a, b| a & b)),
    function("BITMAP_OR", "BITMAP_OR(a, b)", "The numbers that are in one of them.", 2, |a| two(a, |a, b| a | b)),
    function("BITMAP_XOR", "BITMAP_XOR(a, b)", "The numbers that are in one of them alone.", 2, |a| {
        two(a, |a, b| a ^ b)
    }),
    function("BITMAP_ANDNOT", "BITMAP_ANDNOT(a, b)", "The numbers of the first without those of the second.", 2, |a| {
        two(a, |a, b| a - b)
    }),
    function(
        "BITMAP_FROM_BYTES",
        "BITMAP_FROM_BYTES(bytes)",
        "The set of bytes in Roaring's portable format.",
        1,
        from_bytes,
    ),
    function(
        "BITMAP_TO_BYTES",
        "BITMAP_TO_BYTES(bitmap)",
        "The bytes of a set in Roaring's portable format.",
        1,
        to_bytes,
    ),
    function(
        "BITMAP_TO_ARRAY",
        "BITMAP_TO_ARRAY(bitmap)",
        "The numbers in their order; those that are negative last.",
        1,
        to_array,
    ),
    function("BITMAP_TO_STRING", "BITMAP_TO_STRING(bitmap)", "The numbers as {1,2,3}, without a sign.", 1, to_text),
];

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

fn build(a: &mut Arguments) -> Result<Option<Resolved>> {
    let fits = match &a.values[0].data_type.kind {
        K::Array(element) => matches!(element.kind, K::TinyInt | K::SmallInt | K::Int | K::Null),
        K::Null => true,
        _ => false,
    };
    if !fits {
        return Ok(None);
    }
    let t = nullable_as(a, K::Bitmap);
    a.coerce(0, &K::Array(Box::new(K::Int.nullable())).nullable())?;
    let resolved = Resolved::arrays(t, |args, rows| {
        let list = args[0].as_list_opt::<i32>().ok_or_else(|| Error::internal("an ARRAY that is no list"))?;
        sets(rows, |row| {
            let numbers = list.is_valid(row).then(|| list.value(row));
            Ok(numbers.map(|n| n.as_primitive::<Int32Type>().iter().flatten().map(|n| n as u32).collect()))
        })
    });
    Ok(Some(resolved.infallible()))
}

fn two(a: &mut Arguments, f: fn(&RoaringBitmap, &RoaringBitmap) -> RoaringBitmap) -> Result<Option<Resolved>> {
    if !fit(a, &[K::Bitmap, K::Bitmap])? {
        return Ok(None);
    }
    Ok(Some(Resolved::arrays(nullable_as(a, K::Bitmap), move |args, rows| {
        sets(rows, |row| Ok(set(&args[0], row)?.zip(set(&args[1], row)?).map(|(a, b)| f(&a, &b))))
    })))
}

fn from_bytes(a: &mut Arguments) -> Result<Option<Resolved>> {
    if !fit(a, &[K::BYTES])? {
        return Ok(None);
    }
    Ok(Some(Resolved::arrays(nullable_as(a, K::Bitmap), |args, rows| sets(rows, |row| set(&args[0], row)))))
}

fn cardinality(a: &mut Arguments) -> Result<Option<Resolved>> {
    if !fit(a, &[K::Bitmap])? {
        return Ok(None);
    }
    Ok(Some(Resolved::arrays(nullable_as(a, K::BigInt), |args, rows| {
        let counts = (0..rows).map(|row| Ok(set(&args[0], row)?.map(|s| s.len() as i64)));
        Ok(Arc::new(counts.collect::<Result<Int64Array>>()?) as ArrayRef)
    })))
}

fn to_bytes(a: &mut Arguments) -> Result<Option<Resolved>> {
    if !fit(a, &[K::Bitmap])? {
        return Ok(None);
    }
    // They lie so.
    Ok(Some(Resolved::arrays(nullable_as(a, K::BYTES), |args, _| Ok(Arc::clone(&args[0]))).infallible()))
}

fn to_text(a: &mut Arguments) -> Result<Option<Resolved>> {
    if !fit(a, &[K::Bitmap])? {
        return Ok(None);
    }
    Ok(Some(Resolved::arrays(nullable_as(a, K::STRING), |args, rows| {
        let texts = (0..rows).map(|row| Ok(set(&args[0], row)?.map(|s| bitmap::to_text(&s))));
        Ok(Arc::new(texts.collect::<Result<StringArray>>()?) as ArrayRef)
    })))
}

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
