//! SUM, and the sums that AVG divides.
//!
//! Integers wrap, as Java's do. A decimal sum beyond 38 digits is NULL, whatever comes after it, so that the result
//! does not depend on the order of the rows.

use std::sync::Arc;

use arrow_array::builder::PrimitiveBuilder;
use arrow_array::types::*;
use arrow_array::{ArrayRef, ArrowPrimitiveType, Int64Array, PrimitiveArray, cast::AsArray};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::DataType;
use flott_core::Result;

use super::{Accumulator, DECIMAL_LIMIT, Input, Step, each_row, gather};
use crate::held::list_bytes;
use crate::window::room::Room;

/// How values of a type add up.
pub(super) trait Adder: 'static {
    /// The argument.
    type In: ArrowPrimitiveType;
    /// The sum.
    type Sum: ArrowPrimitiveType;

    fn widen(value: <Self::In as ArrowPrimitiveType>::Native) -> <Self::Sum as ArrowPrimitiveType>::Native;

    fn add(
        a: <Self::Sum as ArrowPrimitiveType>::Native,
        b: <Self::Sum as ArrowPrimitiveType>::Native,
    ) -> <Self::Sum as ArrowPrimitiveType>::Native;

    fn negate(a: <Self::Sum as ArrowPrimitiveType>::Native) -> <Self::Sum as ArrowPrimitiveType>::Native;

    /// Beyond what the result can hold.
    fn overflows(_sum: <Self::Sum as ArrowPrimitiveType>::Native) -> bool {
        false
    }
}

/// An integer column under a 64-bit sum.
pub(super) struct Integers<T>(std::marker::PhantomData<T>);

impl<T: ArrowPrimitiveType<Native: Into<i64>>> Adder for Integers<T> {
    type In = T;
    type Sum = Int64Type;

    #[inline]
    fn widen(value: T::Native) -> i64 {
        value.into()
    }

    #[inline]
    fn add(a: i64, b: i64) -> i64 {
        a.wrapping_add(b)
    }

    #[inline]
    fn negate(a: i64) -> i64 {
        a.wrapping_neg()
    }
}

/// A floating-point column under a sum of type `S`.
pub(super) struct Floats<T, S>(std::marker::PhantomData<(T, S)>);

impl<T, S> Adder for Floats<T, S>
where
    T: ArrowPrimitiveType<Native: Into<S::Native>>,
    S: ArrowPrimitiveType<Native: std::ops::Add<Output = S::Native> + std::ops::Neg<Output = S::Native>>,
{
    type In = T;
    type Sum = S;

    #[inline]
    fn widen(value: T::Native) -> S::Native {
        value.into()
    }

    #[inline]
    fn add(a: S::Native, b: S::Native) -> S::Native {
        a + b
    }

    #[inline]
    fn negate(a: S::Native) -> S::Native {
        -a
    }
}

/// A decimal column.
pub(super) struct Decimals;

impl Adder for Decimals {
    type In = Decimal128Type;
    type Sum = Decimal128Type;

    #[inline]
    fn widen(value: i128) -> i128 {
        value
    }

    /// `i128::MAX` stands for an overflow and stays.
    #[inline]
    fn add(a: i128, b: i128) -> i128 {
        if a == i128::MAX || b == i128::MAX { i128::MAX } else { a.checked_add(b).unwrap_or(i128::MAX) }
    }

    #[inline]
    fn negate(a: i128) -> i128 {
        if a == i128::MAX { a } else { a.checked_neg().unwrap_or(i128::MAX) }
    }

    fn overflows(sum: i128) -> bool {
        sum >= DECIMAL_LIMIT || sum <= -DECIMAL_LIMIT
    }
}

type SumOf<A> = <<A as Adder>::Sum as ArrowPrimitiveType>::Native;

/// Sums, and how many values are in them where that is asked for.
pub(super) struct Sums<A: Adder> {
    pub(super) sums: Vec<SumOf<A>>,
    pub(super) counts: Option<Vec<i64>>,
    /// The sums' type (a decimal's scale).
    state_type: DataType,
}

impl<A: Adder> Sums<A> {
    pub(super) fn new(counted: bool, state_type: DataType) -> Sums<A> {
        Sums { sums: vec![], counts: counted.then(Vec::new), state_type }
    }

    pub(super) fn resize(&mut self, groups: usize) {
        self.sums.resize(groups, SumOf::<A>::default());
        if let Some(counts) = &mut self.counts {
            counts.resize(groups, 0);
        }
    }

    pub(super) fn make_room(&mut self, room: &mut Room) {
        room.of(&mut self.sums);
        if let Some(counts) = &mut self.counts {
            room.of(counts);
        }
    }

    pub(super) fn update(&mut self, groups: &[u32], input: &Input<'_>) {
        let Some(argument) = input.argument else { return };
        let values = argument.as_primitive::<A::In>().values();
        let sums = self.sums.as_mut_slice();
        match (&mut self.counts, input.signs) {
            (None, None) if input.include.is_none() => {
                for (g, value) in groups.iter().zip(values) {
                    let sum = &mut sums[*g as usize];
                    *sum = A::add(*sum, A::widen(*value));
                }
            }
            (Some(counts), None) if input.include.is_none() => {
                // Of one length: one look at the bounds is enough.
                let len = sums.len().min(counts.len());
                let (sums, counts) = (&mut sums[..len], &mut counts[..len]);
                for (g, value) in groups.iter().zip(values) {
                    let sum = &mut sums[*g as usize];
                    *sum = A::add(*sum, A::widen(*value));
                    counts[*g as usize] += 1;
                }
            }
            (None, None) => each_row(groups, input.include, |row, g| sums[g] = A::add(sums[g], A::widen(values[row]))),
            (Some(counts), None) => each_row(groups, input.include, |row, g| {
                sums[g] = A::add(sums[g], A::widen(values[row]));
                counts[g] += 1;
            }),
            (counts, Some(signs)) => each_row(groups, input.include, |row, g| {
                let value = A::widen(values[row]);
                sums[g] = A::add(sums[g], if signs[row] < 0 { A::negate(value) } else { value });
                if let Some(counts) = counts {
                    counts[g] += signs[row];
                }
            }),
        }
    }

    /// Goes through steps; calls `show(sum, number of values)` for each result.
    pub(super) fn steps(&mut self, steps: &[Step], input: &Input<'_>, mut show: impl FnMut(SumOf<A>, Option<i64>)) {
        let Some(argument) = input.argument else { return };
        let values = argument.as_primitive::<A::In>().values();
        let sums = self.sums.as_mut_slice();
        let mut counts = self.counts.as_deref_mut();
        for step in steps {
            match *step {
                Step::Add { group, row } if input.counts(row) => {
                    let sum = &mut sums[group as usize];
                    *sum = A::add(*sum, A::widen(values[row as usize]));
                    if let Some(counts) = &mut counts {
                        counts[group as usize] += 1;
                    }
                }
                Step::Remove { group, row } if input.counts(row) => {
                    let sum = &mut sums[group as usize];
                    *sum = A::add(*sum, A::negate(A::widen(values[row as usize])));
                    if let Some(counts) = &mut counts {
                        counts[group as usize] -= 1;
                    }
                }
                Step::Add { .. } | Step::Remove { .. } => {}
                Step::Emit { group } => show(sums[group as usize], counts.as_ref().map(|c| c[group as usize])),
                Step::Clear { group } => {
                    sums[group as usize] = SumOf::<A>::default();
                    if let Some(counts) = &mut counts {
                        counts[group as usize] = 0;
                    }
                }
                Step::Copy { from, to } => {
                    sums[to as usize] = sums[from as usize];
                    if let Some(counts) = &mut counts {
                        counts[to as usize] = counts[from as usize];
                    }
                }
            }
        }
    }

    pub(super) fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) {
        for (g, v) in groups.iter().zip(state[0].as_primitive::<A::Sum>().values()) {
            let sum = &mut self.sums[*g as usize];
            *sum = A::add(*sum, *v);
        }
        if let (Some(counts), Some(state)) = (&mut self.counts, state.get(1)) {
            for (g, n) in groups.iter().zip(state.as_primitive::<Int64Type>().values()) {
                counts[*g as usize] += n;
            }
        }
    }

    pub(super) fn state(&self, of: Option<&[u32]>) -> Vec<ArrayRef> {
        let sums = PrimitiveArray::<A::Sum>::new(gather(&self.sums, of).into(), None);
        let mut columns: Vec<ArrayRef> = vec![Arc::new(sums.with_data_type(self.state_type.clone()))];
        if let Some(counts) = &self.counts {
            columns.push(Arc::new(Int64Array::from(gather(counts, of))));
        }
        columns
    }

    /// Which results are not NULL.
    pub(super) fn validity(&self, of: Option<&[u32]>) -> Option<NullBuffer> {
        let n = of.map_or(self.sums.len(), <[u32]>::len);
        let group = |i: usize| of.map_or(i, |g| g[i] as usize);
        let filled = |g: usize| self.counts.as_ref().is_none_or(|c| c[g] != 0);
        let valid = BooleanBuffer::collect_bool(n, |i| filled(group(i)) && !A::overflows(self.sums[group(i)]));
        (valid.count_set_bits() < n).then(|| NullBuffer::new(valid))
    }

    pub(super) fn reset(&mut self, groups: &[u32]) {
        for g in groups {
            self.sums[*g as usize] = SumOf::<A>::default();
            if let Some(counts) = &mut self.counts {
                counts[*g as usize] = 0;
            }
        }
    }

    pub(super) fn clear(&mut self) {
        self.sums.clear();
        if let Some(counts) = &mut self.counts {
            counts.clear();
        }
    }

    pub(super) fn size_bytes(&self) -> usize {
        list_bytes(&self.sums) + self.counts.as_ref().map_or(0, list_bytes)
    }
}

/// SUM with results of type `R`.
struct Sum<A: Adder, R: ArrowPrimitiveType> {
    sums: Sums<A>,
    result: DataType,
    zero_if_empty: bool,
    narrow: fn(SumOf<A>) -> R::Native,
}

impl<A: Adder, R: ArrowPrimitiveType> Accumulator for Sum<A, R> {
    fn resize(&mut self, groups: usize) {
        self.sums.resize(groups);
    }

    fn make_room(&mut self, room: &mut Room) {
        self.sums.make_room(room);
    }

    fn update(&mut self, groups: &[u32], input: &Input<'_>) -> Result<()> {
        self.sums.update(groups, input);
        Ok(())
    }

    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()> {
        self.sums.merge(groups, state);
        Ok(())
    }

    fn state(&self, of: Option<&[u32]>) -> Result<Vec<ArrayRef>> {
        Ok(self.sums.state(of))
    }

    fn finish(&self, of: Option<&[u32]>) -> Result<ArrayRef> {
        let n = of.map_or(self.sums.sums.len(), <[u32]>::len);
        let values: Vec<R::Native> =
            (0..n).map(|i| (self.narrow)(self.sums.sums[of.map_or(i, |g| g[i] as usize)])).collect();
        let validity = self.sums.validity(of);
        debug_assert!(!self.zero_if_empty || self.sums.counts.is_none());
        Ok(Arc::new(PrimitiveArray::<R>::new(values.into(), validity).with_data_type(self.result.clone())))
    }

    fn steps(&mut self, steps: &[Step], input: &Input<'_>) -> Result<Option<ArrayRef>> {
        let mut shown = PrimitiveBuilder::<R>::new().with_data_type(self.result.clone());
        let narrow = self.narrow;
        self.sums.steps(steps, input, |sum, count| match count {
            Some(0) => shown.append_null(),
            _ if A::overflows(sum) => shown.append_null(),
            _ => shown.append_value(narrow(sum)),
        });
        Ok(Some(Arc::new(shown.finish())))
    }

    fn reset(&mut self, groups: &[u32]) {
        self.sums.reset(groups);
    }

    fn clear(&mut self) {
        self.sums.clear();
    }

    fn size_bytes(&self) -> usize {
        self.sums.size_bytes()
    }
}

/// SUM over this type; `filled`: every group has a value for sure, or counts as zero without one.
pub(super) fn build(
    argument: &DataType,
    result: &DataType,
    filled: bool,
    zero_if_empty: bool,
) -> Option<Box<dyn Accumulator>> {
    macro_rules! sum {
        ($adder:ty, $state:expr, $result:ty, $narrow:expr) => {
            Some(Box::new(Sum::<$adder, $result> {
                sums: Sums::new(!filled, $state),
                result: result.clone(),
                zero_if_empty,
                narrow: $narrow,
            }) as Box<dyn Accumulator>)
        };
    }
    macro_rules! integer {
        ($in:ty) => {
            match result {
                DataType::Int8 => sum!(Integers<$in>, DataType::Int64, Int8Type, |v| v as i8),
                DataType::Int16 => sum!(Integers<$in>, DataType::Int64, Int16Type, |v| v as i16),
                DataType::Int32 => sum!(Integers<$in>, DataType::Int64, Int32Type, |v| v as i32),
                DataType::Int64 => sum!(Integers<$in>, DataType::Int64, Int64Type, |v| v),
                _ => None,
            }
        };
    }
    match (argument, result) {
        (DataType::Int8, _) => integer!(Int8Type),
        (DataType::Int16, _) => integer!(Int16Type),
        (DataType::Int32, _) => integer!(Int32Type),
        (DataType::Int64, _) => integer!(Int64Type),
        (DataType::Float32, DataType::Float32) => {
            sum!(Floats<Float32Type, Float32Type>, DataType::Float32, Float32Type, |v| v)
        }
        (DataType::Float64, DataType::Float64) => {
            sum!(Floats<Float64Type, Float64Type>, DataType::Float64, Float64Type, |v| v)
        }
        (DataType::Decimal128(_, s), DataType::Decimal128(_, r)) if s == r => {
            sum!(Decimals, DataType::Decimal128(38, *s), Decimal128Type, |v| v)
        }
        _ => None,
    }
}
