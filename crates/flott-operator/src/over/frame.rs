//! Which rows of a sorted partition each row sees.

use std::cmp::Ordering;
use std::ops::Range;

use arrow_array::types::*;
use arrow_array::{Array, ArrowPrimitiveType, RecordBatch, cast::AsArray};
use arrow_schema::{DataType, TimeUnit};
use flott_core::{Error, Result};
use flott_graph::{OverBound, OverFrame, OverOffset, SortKey};

/// Rows that are equal in the order: by row where those equal to it begin and end.
pub(super) struct Peers {
    pub(super) starts: Vec<usize>,
    pub(super) ends: Vec<usize>,
}

impl Peers {
    /// Of rows in order, given their partitions and whether two rows that follow each other are equal.
    pub(super) fn new(partitions: &[Range<usize>], same: impl Fn(usize, usize) -> bool) -> Peers {
        let rows = partitions.last().map_or(0, |p| p.end);
        let (mut starts, mut ends) = (vec![0; rows], vec![0; rows]);
        for partition in partitions {
            let mut start = partition.start;
            while start < partition.end {
                let mut end = start + 1;
                while end < partition.end && same(end - 1, end) {
                    end += 1;
                }
                starts[start..end].fill(start);
                ends[start..end].fill(end);
                start = end;
            }
        }
        Peers { starts, ends }
    }
}

/// What rows are compared by in RANGE with distances: greater is always later.
enum Keys {
    Whole(Vec<Option<i128>>),
    Real(Vec<Option<f64>>),
}

/// The frames of the rows of several partitions.
pub(super) struct Frames<'a> {
    frame: OverFrame,
    peers: &'a Peers,
    /// Where a bound is a distance.
    keys: Option<Keys>,
    /// Distances of the bounds, in the unit of the keys.
    lower: i128,
    upper: i128,
    lower_real: f64,
    upper_real: f64,
}

/// Walks through the rows of a partition, one after another.
pub(super) struct Cursor<'a, 'b> {
    frames: &'b Frames<'a>,
    partition: Range<usize>,
    start: usize,
    end: usize,
}

/// A distance that points back is below zero.
fn signed(bound: &OverBound) -> Option<(OverOffset, bool)> {
    match bound {
        OverBound::Preceding(o) => Some((*o, true)),
        OverBound::Following(o) => Some((*o, false)),
        _ => None,
    }
}

impl<'a> Frames<'a> {
    pub(super) fn new(
        frame: &OverFrame,
        rows: &RecordBatch,
        order: &[SortKey],
        peers: &'a Peers,
    ) -> Result<Frames<'a>> {
        let mut frames =
            Frames { frame: *frame, peers, keys: None, lower: 0, upper: 0, lower_real: 0.0, upper_real: 0.0 };
        let bounds = [signed(&frame.lower), signed(&frame.upper)];
        if frame.rows || bounds.iter().all(Option::is_none) {
            return Ok(frames);
        }
        let [key] = order else {
            return Err(Error::user("RANGE clause cannot be used with compound ORDER BY clause"));
        };
        let column = rows.column(key.column);
        let negative = |back: bool| if back { -1 } else { 1 };
        if column.data_type().is_floating() {
            let later = |v: f64| if key.ascending { v } else { -v };
            let values: Vec<Option<f64>> = match column.data_type() {
                DataType::Float32 => column.as_primitive::<Float32Type>().iter().map(|v| v.map(f64::from)).collect(),
                _ => column.as_primitive::<Float64Type>().iter().collect(),
            };
            frames.keys = Some(Keys::Real(values.into_iter().map(|v| v.map(later)).collect()));
            let real = |bound: Option<(OverOffset, bool)>| {
                bound.map_or(0.0, |(o, back)| {
                    f64::from(negative(back)) * o.unscaled as f64 / 10f64.powi(i32::from(o.scale))
                })
            };
            (frames.lower_real, frames.upper_real) = (real(bounds[0]), real(bounds[1]));
            return Ok(frames);
        }
        // Keys and distances as whole numbers of one unit.
        let scale = bounds.iter().flatten().map(|b| b.0.scale).max().unwrap_or(0);
        let power = |n: u8| 10i128.pow(u32::from(n.min(38)));
        let (values, unit_of_key, unit_of_offset) = whole(column.as_ref(), scale)?;
        let later = |v: i128| {
            let v = v.saturating_mul(unit_of_key);
            if key.ascending { v } else { -v }
        };
        frames.keys = Some(Keys::Whole(values.into_iter().map(|v| v.map(later)).collect()));
        let distance = |bound: Option<(OverOffset, bool)>| {
            bound.map_or(0, |(o, back)| {
                let unscaled = o.unscaled.saturating_mul(power(scale - o.scale)).saturating_mul(unit_of_offset);
                i128::from(negative(back)) * unscaled
            })
        };
        (frames.lower, frames.upper) = (distance(bounds[0]), distance(bounds[1]));
        Ok(frames)
    }

    pub(super) fn cursor(&self, partition: Range<usize>) -> Cursor<'a, '_> {
        Cursor { frames: self, start: partition.start, end: partition.start, partition }
    }

    /// Whether `other` lies before (or, `or_at`, not behind) the place that is so far from `row`. As in Flink NULL is at no
    /// distance from NULL, and neither before nor behind a value: it is not within any bound of it.
    fn is_before(&self, other: usize, row: usize, bound: Bound) -> bool {
        let lower = bound == Bound::Lower;
        match &self.keys {
            Some(Keys::Whole(keys)) => {
                let distance = if lower { self.lower } else { self.upper };
                match (keys[other], keys[row]) {
                    (Some(a), Some(b)) => bound.is_before(a.cmp(&b.saturating_add(distance))),
                    (None, None) => bound.is_before(0.cmp(&distance)),
                    _ => lower,
                }
            }
            Some(Keys::Real(keys)) => {
                let distance = if lower { self.lower_real } else { self.upper_real };
                match (keys[other], keys[row]) {
                    // 0.0 is -0.0.
                    (Some(a), Some(b)) => bound.is_before((a + 0.0).total_cmp(&(b + distance + 0.0))),
                    (None, None) => bound.is_before(0.0f64.total_cmp(&(distance + 0.0))),
                    _ => lower,
                }
            }
            None => false,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bound {
    Lower,
    Upper,
}

impl Bound {
    /// Whether what compares so with the place of the bound is passed on the way to it.
    fn is_before(self, order: Ordering) -> bool {
        if self == Bound::Lower { order.is_lt() } else { order.is_le() }
    }
}

/// Keys as whole numbers, what each of them is to be multiplied by, and what distances are.
fn whole(column: &dyn Array, scale: u8) -> Result<(Vec<Option<i128>>, i128, i128)> {
    fn longs<T: ArrowPrimitiveType<Native: Into<i128>>>(column: &dyn Array) -> Vec<Option<i128>> {
        column.as_primitive::<T>().iter().map(|v| v.map(Into::into)).collect()
    }
    let power = |n: i64| 10i128.pow(u32::try_from(n.clamp(0, 38)).unwrap_or(0));
    let per_ms = |unit: &TimeUnit| match unit {
        TimeUnit::Second => (1_000, 1),
        TimeUnit::Millisecond => (1, 1),
        TimeUnit::Microsecond => (1, 1_000),
        TimeUnit::Nanosecond => (1, 1_000_000),
    };
    let of_scale = |values| (values, power(i64::from(scale)), 1);
    let of_unit = |values, unit: &TimeUnit| {
        let (of_key, of_offset) = per_ms(unit);
        (values, of_key, of_offset)
    };
    Ok(match column.data_type() {
        DataType::Int8 => of_scale(longs::<Int8Type>(column)),
        DataType::Int16 => of_scale(longs::<Int16Type>(column)),
        DataType::Int32 => of_scale(longs::<Int32Type>(column)),
        DataType::Int64 => of_scale(longs::<Int64Type>(column)),
        DataType::Decimal128(_, s) => {
            let s = i64::from(*s);
            let values = longs::<Decimal128Type>(column);
            (values, power(i64::from(scale) - s), power(s - i64::from(scale)))
        }
        DataType::Date32 => (longs::<Date32Type>(column), 86_400_000, 1),
        DataType::Time32(unit @ TimeUnit::Millisecond) => of_unit(longs::<Time32MillisecondType>(column), unit),
        DataType::Time64(unit @ TimeUnit::Microsecond) => of_unit(longs::<Time64MicrosecondType>(column), unit),
        DataType::Time64(unit @ TimeUnit::Nanosecond) => of_unit(longs::<Time64NanosecondType>(column), unit),
        DataType::Timestamp(unit @ TimeUnit::Second, _) => of_unit(longs::<TimestampSecondType>(column), unit),
        DataType::Timestamp(unit @ TimeUnit::Millisecond, _) => {
            of_unit(longs::<TimestampMillisecondType>(column), unit)
        }
        DataType::Timestamp(unit @ TimeUnit::Microsecond, _) => {
            of_unit(longs::<TimestampMicrosecondType>(column), unit)
        }
        DataType::Timestamp(unit @ TimeUnit::Nanosecond, _) => of_unit(longs::<TimestampNanosecondType>(column), unit),
        other => {
            return Err(Error::user(format!("Data type of ORDER BY prohibits use of RANGE clause: {other}"))
                .hint("Order by a number or a time, or use ROWS"));
        }
    })
}

impl Cursor<'_, '_> {
    /// The rows that a row sees. Rows are asked for in order; neither end of their frames goes back.
    pub(super) fn frame(&mut self, row: usize) -> Range<usize> {
        let Frames { frame, peers, .. } = self.frames;
        let all = self.partition.clone();
        let count = |o: &OverOffset| usize::try_from(o.as_whole()).unwrap_or(usize::MAX);
        let end = match (&frame.upper, frame.rows) {
            (OverBound::UnboundedPreceding, _) => all.start,
            (OverBound::UnboundedFollowing, _) => all.end,
            (OverBound::CurrentRow, true) => row + 1,
            (OverBound::CurrentRow, false) => peers.ends[row],
            (OverBound::Preceding(n), true) => (row + 1).saturating_sub(count(n)).max(all.start),
            (OverBound::Following(n), true) => row.saturating_add(count(n)).saturating_add(1),
            _ => {
                while self.end < all.end && self.frames.is_before(self.end, row, Bound::Upper) {
                    self.end += 1;
                }
                self.end
            }
        };
        let start = match (&frame.lower, frame.rows) {
            (OverBound::UnboundedPreceding, _) => all.start,
            (OverBound::UnboundedFollowing, _) => all.end,
            (OverBound::CurrentRow, true) => row,
            (OverBound::CurrentRow, false) => peers.starts[row],
            (OverBound::Preceding(n), true) => row.saturating_sub(count(n)).max(all.start),
            (OverBound::Following(n), true) => row.saturating_add(count(n)),
            _ => {
                // As in Flink only rows that came within the upper bound are passed: none behind NULL for its sake.
                while self.start < end.min(all.end) && self.frames.is_before(self.start, row, Bound::Lower) {
                    self.start += 1;
                }
                self.start
            }
        };
        let start = start.min(all.end);
        start..end.min(all.end).max(start)
    }
}
