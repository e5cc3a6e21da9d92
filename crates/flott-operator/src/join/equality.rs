//! Whether two values are the same, for rows that are looked for by content.

use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, cast::AsArray};
use arrow_schema::{DataType, IntervalUnit, TimeUnit};

/// True where row `i` of these columns is row `j` of those. NULL is NULL; all NaNs are one and -0.0 is not 0.0, as in keys.
pub(crate) fn rows_equal(a: &[ArrayRef], i: usize, b: &[ArrayRef], j: usize) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| values_equal(a.as_ref(), i, b.as_ref(), j))
}

fn values_equal(a: &dyn Array, i: usize, b: &dyn Array, j: usize) -> bool {
    fn same<T: ArrowPrimitiveType>(a: &dyn Array, i: usize, b: &dyn Array, j: usize) -> bool {
        a.as_primitive::<T>().value(i) == b.as_primitive::<T>().value(j)
    }
    match (a.is_null(i), b.is_null(j)) {
        (true, true) => return true,
        (false, false) => {}
        _ => return false,
    }
    match a.data_type() {
        DataType::Null => true,
        DataType::Boolean => a.as_boolean().value(i) == b.as_boolean().value(j),
        DataType::Int8 => same::<Int8Type>(a, i, b, j),
        DataType::Int16 => same::<Int16Type>(a, i, b, j),
        DataType::Int32 => same::<Int32Type>(a, i, b, j),
        DataType::Int64 => same::<Int64Type>(a, i, b, j),
        DataType::Float32 => {
            let (a, b) = (a.as_primitive::<Float32Type>().value(i), b.as_primitive::<Float32Type>().value(j));
            a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
        }
        DataType::Float64 => {
            let (a, b) = (a.as_primitive::<Float64Type>().value(i), b.as_primitive::<Float64Type>().value(j));
            a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
        }
        DataType::Decimal128(_, _) => same::<Decimal128Type>(a, i, b, j),
        DataType::Date32 => same::<Date32Type>(a, i, b, j),
        DataType::Time32(TimeUnit::Millisecond) => same::<Time32MillisecondType>(a, i, b, j),
        DataType::Time64(TimeUnit::Microsecond) => same::<Time64MicrosecondType>(a, i, b, j),
        DataType::Time64(TimeUnit::Nanosecond) => same::<Time64NanosecondType>(a, i, b, j),
        DataType::Timestamp(TimeUnit::Millisecond, _) => same::<TimestampMillisecondType>(a, i, b, j),
        DataType::Timestamp(TimeUnit::Microsecond, _) => same::<TimestampMicrosecondType>(a, i, b, j),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => same::<TimestampNanosecondType>(a, i, b, j),
        DataType::Duration(TimeUnit::Millisecond) => same::<DurationMillisecondType>(a, i, b, j),
        DataType::Interval(IntervalUnit::YearMonth) => same::<IntervalYearMonthType>(a, i, b, j),
        DataType::Utf8 => a.as_string::<i32>().value(i) == b.as_string::<i32>().value(j),
        DataType::Binary => a.as_binary::<i32>().value(i) == b.as_binary::<i32>().value(j),
        DataType::List(_) => lists_equal(&a.as_list::<i32>().value(i), &b.as_list::<i32>().value(j)),
        DataType::Struct(_) => {
            let (a, b) = (a.as_struct(), b.as_struct());
            a.columns().iter().zip(b.columns()).all(|(a, b)| values_equal(a.as_ref(), i, b.as_ref(), j))
        }
        DataType::Map(_, _) => {
            let (a, b) = (a.as_map().value(i), b.as_map().value(j));
            a.len() == b.len() && (0..a.len()).all(|k| values_equal(&a, k, &b, k))
        }
        // Nothing else is the type of a column.
        _ => a.slice(i, 1).to_data() == b.slice(j, 1).to_data(),
    }
}

fn lists_equal(a: &ArrayRef, b: &ArrayRef) -> bool {
    a.len() == b.len() && (0..a.len()).all(|k| values_equal(a.as_ref(), k, b.as_ref(), k))
}
