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

/// Whether a condition holds for all; eight are asked together, so that no answer is waited for.
#[inline(always)]
fn all(values: &[i64], holds: impl Fn(i64) -> bool) -> bool {
    let (eights, rest) = values.as_chunks::<8>();
    eights.iter().all(|eight| eight.iter().fold(true, |all, value| all & holds(*value)))
        && rest.iter().all(|value| holds(*value))
}

/// Whether all times are in `from .. to`.
pub(crate) fn all_within(times: &[i64], from: i64, to: i64) -> bool {
    if to <= from {
        return times.is_empty();
    }
    // One comparison instead of two.
    let width = to.wrapping_sub(from).cast_unsigned();
    all(times, |time| time.wrapping_sub(from).cast_unsigned() < width)
}

/// Whether all times are greater.
pub(crate) fn all_after(times: &[i64], limit: i64) -> bool {
    all(times, |time| time > limit)
}

/// The greatest of some times and this one.
pub(crate) fn greatest(times: &[i64], or: i64) -> i64 {
    // Four in turn, none of which waits for the others.
    let (fours, rest) = times.as_chunks::<4>();
    let [mut a, mut b, mut c, mut d] = [or; 4];
    for [w, x, y, z] in fours {
        (a, b, c, d) = (a.max(*w), b.max(*x), c.max(*y), d.max(*z));
    }
    rest.iter().fold(a.max(b).max(c.max(d)), |greatest, time| greatest.max(*time))
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn many_times_are_compared_as_single_ones(
            times in prop::collection::vec(prop_oneof![-20i64..20, Just(i64::MIN), Just(i64::MAX)], 0..40),
            from in prop_oneof![-25i64..25, Just(i64::MIN), Just(i64::MAX)],
            to in prop_oneof![-25i64..25, Just(i64::MIN), Just(i64::MAX)],
        ) {
            prop_assert_eq!(all_within(&times, from, to), times.iter().all(|t| (from..to).contains(t)));
            prop_assert_eq!(all_after(&times, from), times.iter().all(|t| *t > from));
            prop_assert_eq!(greatest(&times, from), times.iter().copied().fold(from, i64::max));
        }
    }
}
