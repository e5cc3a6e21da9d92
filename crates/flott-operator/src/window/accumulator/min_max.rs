//! MIN and MAX. Floating-point numbers are in Arrow's total order, in which NaN is the greatest.

use std::sync::Arc;

use arrow_array::builder::PrimitiveBuilder;
use arrow_array::types::*;
use arrow_array::{
    Array, ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, BinaryArray, BooleanArray, PrimitiveArray, StringArray,
    cast::AsArray,
};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::{DataType, IntervalUnit, TimeUnit};
use flott_core::{Error, Result};

use super::{Accumulator, Input, Step, each_row, gather};
use crate::held::list_bytes;
use crate::window::room::Room;

/// The least (or greatest) of numbers and times.
struct Extreme<T: ArrowPrimitiveType, const MAX: bool> {
    values: Vec<T::Native>,
    seen: Vec<bool>,
    data_type: DataType,
}

impl<T: ArrowPrimitiveType, const MAX: bool> Extreme<T, MAX> {
    /// What every value beats or equals.
    const START: T::Native = if MAX { T::Native::MIN_TOTAL_ORDER } else { T::Native::MAX_TOTAL_ORDER };

    fn fold(&mut self, groups: &[u32], array: &PrimitiveArray<T>, include: Option<&NullBuffer>) {
        let (best, seen, values) = (self.values.as_mut_slice(), self.seen.as_mut_slice(), array.values());
        each_row(groups, include, |row, g| {
            let v = values[row];
            if if MAX { v.is_gt(best[g]) } else { v.is_lt(best[g]) } {
                best[g] = v;
            }
            seen[g] = true;
        });
    }
}

impl<T: ArrowPrimitiveType, const MAX: bool> Accumulator for Extreme<T, MAX> {
    fn resize(&mut self, groups: usize) {
        self.values.resize(groups, Self::START);
        self.seen.resize(groups, false);
    }

    fn make_room(&mut self, room: &mut Room) {
        room.of(&mut self.values);
        room.of(&mut self.seen);
    }

    fn update(&mut self, groups: &[u32], input: &Input<'_>) -> Result<()> {
        if input.signs.is_some() {
            return Err(retraction());
        }
        if let Some(argument) = input.argument {
            self.fold(groups, argument.as_primitive::<T>(), input.include);
        }
        Ok(())
    }

    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()> {
        self.fold(groups, state[0].as_primitive::<T>(), state[0].nulls());
        Ok(())
    }

    fn state(&self, of: Option<&[u32]>) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.finish(of)?])
    }

    fn finish(&self, of: Option<&[u32]>) -> Result<ArrayRef> {
        let seen = gather(&self.seen, of);
        let nulls = seen.contains(&false).then(|| NullBuffer::new(BooleanBuffer::from(seen)));
        let array = PrimitiveArray::<T>::new(gather(&self.values, of).into(), nulls);
        Ok(Arc::new(array.with_data_type(self.data_type.clone())))
    }

    fn steps(&mut self, steps: &[Step], input: &Input<'_>) -> Result<Option<ArrayRef>> {
        let Some(argument) = input.argument else { return Ok(None) };
        let values = argument.as_primitive::<T>().values();
        let (best, seen) = (self.values.as_mut_slice(), self.seen.as_mut_slice());
        let mut shown = PrimitiveBuilder::<T>::new().with_data_type(self.data_type.clone());
        for step in steps {
            match *step {
                Step::Add { group, row } => {
                    if input.counts(row) {
                        let v = values[row as usize];
                        if if MAX { v.is_gt(best[group as usize]) } else { v.is_lt(best[group as usize]) } {
                            best[group as usize] = v;
                        }
                        seen[group as usize] = true;
                    }
                }
                Step::Remove { .. } => return Err(retraction()),
                Step::Emit { group } => shown.append_option(seen[group as usize].then(|| best[group as usize])),
                Step::Clear { group } => {
                    best[group as usize] = Self::START;
                    seen[group as usize] = false;
                }
                Step::Copy { from, to } => {
                    best[to as usize] = best[from as usize];
                    seen[to as usize] = seen[from as usize];
                }
            }
        }
        Ok(Some(Arc::new(shown.finish())))
    }

    fn reset(&mut self, groups: &[u32]) {
        for g in groups {
            self.values[*g as usize] = Self::START;
            self.seen[*g as usize] = false;
        }
    }

    fn clear(&mut self) {
        self.values.clear();
        self.seen.clear();
    }

    fn size_bytes(&self) -> usize {
        list_bytes(&self.values) + list_bytes(&self.seen)
    }
}

/// The least (or greatest) of texts and bytes, in the order of their bytes, and of booleans.
struct ExtremeBytes<const MAX: bool> {
    values: Vec<Option<Box<[u8]>>>,
    bytes: usize,
    data_type: DataType,
}

impl<const MAX: bool> ExtremeBytes<MAX> {
    fn fold(&mut self, groups: &[u32], array: &ArrayRef, include: Option<&NullBuffer>) -> Result<()> {
        let (best, bytes) = (&mut self.values, &mut self.bytes);
        let mut offer = |g: usize, v: &[u8]| {
            let better = match &best[g] {
                None => true,
                Some(old) => {
                    if MAX {
                        v > &old[..]
                    } else {
                        v < &old[..]
                    }
                }
            };
            if better {
                *bytes += v.len();
                *bytes -= best[g].as_ref().map_or(0, |b| b.len());
                best[g] = Some(v.into());
            }
        };
        match array.data_type() {
            DataType::Utf8 => {
                let a = array.as_string::<i32>();
                each_row(groups, include, |row, g| offer(g, a.value(row).as_bytes()));
            }
            DataType::Binary => {
                let a = array.as_binary::<i32>();
                each_row(groups, include, |row, g| offer(g, a.value(row)));
            }
            DataType::Boolean => {
                let a = array.as_boolean();
                each_row(groups, include, |row, g| offer(g, &[u8::from(a.value(row))]));
            }
            other => return Err(Error::internal(format!("MIN or MAX over bytes of type {other}"))),
        }
        Ok(())
    }
}

impl<const MAX: bool> Accumulator for ExtremeBytes<MAX> {
    fn resize(&mut self, groups: usize) {
        self.values.resize(groups, None);
    }

    fn update(&mut self, groups: &[u32], input: &Input<'_>) -> Result<()> {
        if input.signs.is_some() {
            return Err(retraction());
        }
        input.argument.map_or(Ok(()), |a| self.fold(groups, a, input.include))
    }

    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()> {
        self.fold(groups, &state[0], state[0].nulls())
    }

    fn state(&self, of: Option<&[u32]>) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.finish(of)?])
    }

    fn finish(&self, of: Option<&[u32]>) -> Result<ArrayRef> {
        let n = of.map_or(self.values.len(), <[u32]>::len);
        let value = |i: usize| self.values[of.map_or(i, |g| g[i] as usize)].as_deref();
        Ok(match self.data_type {
            DataType::Utf8 => {
                let mut texts = Vec::with_capacity(n);
                for i in 0..n {
                    let text = value(i).map(std::str::from_utf8).transpose();
                    texts.push(text.map_err(|e| Error::internal(format!("a stored text is not UTF-8: {e}")))?);
                }
                Arc::new(StringArray::from(texts))
            }
            DataType::Binary => Arc::new((0..n).map(value).collect::<BinaryArray>()),
            _ => Arc::new((0..n).map(|i| value(i).map(|v| v == [1])).collect::<BooleanArray>()),
        })
    }

    fn reset(&mut self, groups: &[u32]) {
        for g in groups {
            self.bytes -= self.values[*g as usize].take().map_or(0, |b| b.len());
        }
    }

    fn clear(&mut self) {
        self.values.clear();
        self.bytes = 0;
    }

    fn size_bytes(&self) -> usize {
        list_bytes(&self.values) + self.bytes
    }
}

fn retraction() -> Error {
    Error::user("MIN and MAX over a table whose rows change are not supported in a window aggregation")
        .hint("Aggregate an append-only table, or remove MIN and MAX from this query")
}

/// MIN or MAX over this type.
pub(super) fn build(t: &DataType, max: bool) -> Option<Box<dyn Accumulator>> {
    macro_rules! extreme {
        ($t:ty) => {
            if max {
                Some(Box::new(Extreme::<$t, true> { values: vec![], seen: vec![], data_type: t.clone() }) as Box<_>)
            } else {
                Some(Box::new(Extreme::<$t, false> { values: vec![], seen: vec![], data_type: t.clone() }) as Box<_>)
            }
        };
    }
    match t {
        DataType::Int8 => extreme!(Int8Type),
        DataType::Int16 => extreme!(Int16Type),
        DataType::Int32 => extreme!(Int32Type),
        DataType::Int64 => extreme!(Int64Type),
        DataType::Float32 => extreme!(Float32Type),
        DataType::Float64 => extreme!(Float64Type),
        DataType::Decimal128(..) => extreme!(Decimal128Type),
        DataType::Date32 => extreme!(Date32Type),
        DataType::Time32(TimeUnit::Millisecond) => extreme!(Time32MillisecondType),
        DataType::Time64(TimeUnit::Microsecond) => extreme!(Time64MicrosecondType),
        DataType::Time64(TimeUnit::Nanosecond) => extreme!(Time64NanosecondType),
        DataType::Timestamp(TimeUnit::Millisecond, _) => extreme!(TimestampMillisecondType),
        DataType::Timestamp(TimeUnit::Microsecond, _) => extreme!(TimestampMicrosecondType),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => extreme!(TimestampNanosecondType),
        DataType::Duration(TimeUnit::Millisecond) => extreme!(DurationMillisecondType),
        DataType::Interval(IntervalUnit::YearMonth) => extreme!(IntervalYearMonthType),
        DataType::Utf8 | DataType::Binary | DataType::Boolean => {
            let (values, bytes, data_type) = (vec![], 0, t.clone());
            if max {
                Some(Box::new(ExtremeBytes::<true> { values, bytes, data_type }))
            } else {
                Some(Box::new(ExtremeBytes::<false> { values, bytes, data_type }))
            }
        }
        _ => None,
    }
}
