//! Timestamp columns in milliseconds, whatever their unit, and back.

use std::sync::Arc;

use arrow_array::types::{
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{
    Array, ArrayRef, BooleanArray, PrimitiveArray, TimestampMicrosecondArray, TimestampMillisecondArray,
};
use arrow_array::{TimestampNanosecondArray, TimestampSecondArray, cast::AsArray};
use arrow_buffer::ScalarBuffer;
use arrow_schema::{DataType, TimeUnit};
use flott_core::{ChangeBatch, Error, Result};

/// The values in milliseconds (rounded down, as Flink's `TimestampData.getMillisecond`); nulls are whatever lies there.
pub(crate) fn to_milliseconds(array: &dyn Array) -> Result<ScalarBuffer<i64>> {
    let scaled = |values: &ScalarBuffer<i64>, per_ms: i64| values.iter().map(|v| v.div_euclid(per_ms)).collect();
    Ok(match array.data_type() {
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            array.as_primitive::<TimestampMillisecondType>().values().clone()
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            scaled(array.as_primitive::<TimestampMicrosecondType>().values(), 1_000)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            scaled(array.as_primitive::<TimestampNanosecondType>().values(), 1_000_000)
        }
        DataType::Timestamp(TimeUnit::Second, _) => {
            array.as_primitive::<TimestampSecondType>().values().iter().map(|v| v.saturating_mul(1_000)).collect()
        }
        other => return Err(Error::internal(format!("a time attribute of type {other}"))),
    })
}

/// Milliseconds as a timestamp column of this type.
pub(crate) fn from_milliseconds(values: Vec<i64>, data_type: &DataType) -> Result<ArrayRef> {
    let scaled = |per_ms: i64| -> Vec<i64> { values.iter().map(|v| v.saturating_mul(per_ms)).collect() };
    Ok(match data_type {
        DataType::Timestamp(TimeUnit::Millisecond, zone) => {
            Arc::new(TimestampMillisecondArray::from(values).with_timezone_opt(zone.clone()))
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            Arc::new(TimestampMicrosecondArray::from(scaled(1_000)).with_timezone_opt(zone.clone()))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, zone) => {
            Arc::new(TimestampNanosecondArray::from(scaled(1_000_000)).with_timezone_opt(zone.clone()))
        }
        DataType::Timestamp(TimeUnit::Second, zone) => {
            let seconds: PrimitiveArray<TimestampSecondType> =
                TimestampSecondArray::from(values.iter().map(|v| v.div_euclid(1_000)).collect::<Vec<_>>());
            Arc::new(seconds.with_timezone_opt(zone.clone()))
        }
        other => return Err(Error::internal(format!("a window column of type {other}"))),
    })
}

/// The rows that have a time. A batch, which has no watermarks, leaves the others out of every window.
pub(crate) fn with_times(batch: ChangeBatch, column: usize) -> Result<ChangeBatch> {
    match batch.rows.column(column).nulls().cloned() {
        Some(nulls) if nulls.null_count() > 0 => batch.filter(&BooleanArray::new(nulls.into_inner(), None)),
        _ => Ok(batch),
    }
}

/// The error for a NULL event time, in Flink's words.
pub(crate) fn null_rowtime() -> Error {
    Error::data("RowTime field should not be null, please convert it to a non-null long value").hint(
        "Filter such rows before the watermark or give them a time, for example with COALESCE in a computed column",
    )
}
