//! Columns seen through once per batch, so that writers do not ask for their type at each value.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float64Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
};
use arrow_array::{Array, ArrayRef, StringArray};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, TimeUnit};

/// The values of a column of a frequent type.
pub(crate) enum Values<'a> {
    Int(&'a [i32]),
    Long(&'a [i64]),
    Double(&'a [f64]),
    Text(&'a StringArray),
    Timestamp(&'a [i64]),
    /// Any other type.
    Other,
}

/// A column of a batch.
pub(crate) struct Bound<'a> {
    pub(crate) column: &'a ArrayRef,
    pub(crate) values: Values<'a>,
    nulls: Option<&'a NullBuffer>,
    /// The type NULL, which has no bitmap.
    all_null: bool,
}

impl<'a> Bound<'a> {
    pub(crate) fn new(column: &'a ArrayRef) -> Bound<'a> {
        let values = match column.data_type() {
            DataType::Int32 => Values::Int(column.as_primitive::<Int32Type>().values()),
            DataType::Int64 => Values::Long(column.as_primitive::<Int64Type>().values()),
            DataType::Float64 => Values::Double(column.as_primitive::<Float64Type>().values()),
            DataType::Utf8 => Values::Text(column.as_string::<i32>()),
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                Values::Timestamp(column.as_primitive::<TimestampMillisecondType>().values())
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Values::Timestamp(column.as_primitive::<TimestampMicrosecondType>().values())
            }
            DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                Values::Timestamp(column.as_primitive::<TimestampNanosecondType>().values())
            }
            _ => Values::Other,
        };
        let all_null = matches!(column.data_type(), DataType::Null);
        Bound { column, values, nulls: column.nulls(), all_null }
    }

    #[inline]
    pub(crate) fn is_null(&self, row: usize) -> bool {
        self.all_null || self.nulls.is_some_and(|n| n.is_null(row))
    }
}
