//! The sum of the squares of the distances to the mean, which variances are made of; and numbers as DOUBLE.
//!
//! Each value moves the mean and the sum (Welford, 1962), so that nothing is lost where the values are large and their
//! distances small.

use std::sync::Arc;

use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, cast::AsArray};
use arrow_schema::DataType;
use flott_core::{Error, Result};

use super::{Accumulator, Input, each_row, gather};
use crate::held::list_bytes;

/// A column of numbers as DOUBLE.
pub(super) fn doubles(column: &ArrayRef) -> Result<Float64Array> {
    macro_rules! each {
        ($t:ty, $to:expr) => {
            Ok(column.as_primitive::<$t>().unary($to))
        };
    }
    match column.data_type() {
        DataType::Int8 => each!(Int8Type, f64::from),
        DataType::Int16 => each!(Int16Type, f64::from),
        DataType::Int32 => each!(Int32Type, f64::from),
        DataType::Int64 => each!(Int64Type, |v| v as f64),
        DataType::Float32 => each!(Float32Type, f64::from),
        DataType::Float64 => each!(Float64Type, |v| v),
        DataType::Decimal128(_, scale) => {
            let unit = 10f64.powi(i32::from(*scale));
            each!(Decimal128Type, |v| v as f64 / unit)
        }
        other => Err(Error::internal(format!("{other} as a DOUBLE"))),
    }
}

/// A column of whole numbers as BIGINT.
pub(super) fn integers(column: &ArrayRef) -> Result<Int64Array> {
    macro_rules! each {
        ($t:ty) => {
            Ok(column.as_primitive::<$t>().unary(i64::from))
        };
    }
    match column.data_type() {
        DataType::Int8 => each!(Int8Type),
        DataType::Int16 => each!(Int16Type),
        DataType::Int32 => each!(Int32Type),
        DataType::Int64 => each!(Int64Type),
        other => Err(Error::internal(format!("{other} as a BIGINT"))),
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Moments {
    n: i64,
    mean: f64,
    m2: f64,
}

impl Moments {
    fn add(&mut self, value: f64) {
        self.n += 1;
        // Values that were taken away before they came are only counted.
        if self.n > 0 {
            let delta = value - self.mean;
            self.mean += delta / self.n as f64;
            self.m2 += delta * (value - self.mean);
        }
    }

    fn take_away(&mut self, value: f64) {
        self.n -= 1;
        if self.n > 0 {
            let delta = value - self.mean;
            self.mean -= delta / self.n as f64;
            self.m2 -= (value - self.mean) * delta;
            self.round_up();
        } else {
            (self.mean, self.m2) = (0.0, 0.0);
        }
    }

    fn merge(&mut self, other: Moments) {
        if other.n <= 0 {
            self.n += other.n;
        } else if self.n == 0 {
            *self = other;
            return;
        } else {
            let n = self.n + other.n;
            let delta = other.mean - self.mean;
            self.m2 += other.m2 + self.n as f64 * other.n as f64 / n as f64 * delta * delta;
            self.mean += other.n as f64 / n as f64 * delta;
            self.n = n;
        }
        if self.n <= 0 {
            (self.mean, self.m2) = (0.0, 0.0);
        }
    }

    /// A sum of squares is not below 0, and that of one value is 0, whatever digits were lost. NaN stays.
    fn round_up(&mut self) {
        if self.m2 < 0.0 || self.n == 1 && !self.m2.is_nan() {
            self.m2 = 0.0;
        }
    }

    /// Takes away what `merge` adds.
    fn unmerge(&mut self, other: Moments) {
        let n = self.n - other.n;
        if other.n > 0 && n > 0 {
            let mean = (self.n as f64 * self.mean - other.n as f64 * other.mean) / n as f64;
            let delta = other.mean - mean;
            self.m2 -= other.m2 + n as f64 * other.n as f64 / self.n as f64 * delta * delta;
            self.mean = mean;
        }
        self.n = n;
        self.round_up();
        if n <= 0 {
            (self.mean, self.m2) = (0.0, 0.0);
        }
    }

    /// Those of some groups as columns.
    fn columns(groups: &[Moments]) -> [ArrayRef; 3] {
        [
            Arc::new(groups.iter().map(|m| Some(m.n)).collect::<Int64Array>()),
            Arc::new(groups.iter().map(|m| Some(m.mean)).collect::<Float64Array>()),
            Arc::new(groups.iter().map(|m| Some(m.m2)).collect::<Float64Array>()),
        ]
    }

    /// Those in the rows of such columns.
    fn of_columns(columns: &[ArrayRef]) -> impl Iterator<Item = Moments> {
        let n = columns[0].as_primitive::<Int64Type>().values();
        let mean = columns[1].as_primitive::<Float64Type>().values();
        let m2 = columns[2].as_primitive::<Float64Type>().values();
        n.iter().zip(mean).zip(m2).map(|((n, mean), m2)| Moments { n: *n, mean: *mean, m2: *m2 })
    }
}

/// M2 of each group.
#[derive(Default)]
pub(super) struct WelfordM2 {
    groups: Vec<Moments>,
}

impl Accumulator for WelfordM2 {
    fn resize(&mut self, groups: usize) {
        self.groups.resize(groups, Moments::default());
    }

    fn update(&mut self, groups: &[u32], input: &Input<'_>) -> Result<()> {
        let Some(argument) = input.argument else { return Ok(()) };
        let values = doubles(argument)?;
        each_row(groups, input.include, |row, g| match input.signs.map_or(1, |s| s[row]) {
            1.. => self.groups[g].add(values.value(row)),
            _ => self.groups[g].take_away(values.value(row)),
        });
        Ok(())
    }

    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()> {
        groups.iter().zip(Moments::of_columns(state)).for_each(|(g, m)| self.groups[*g as usize].merge(m));
        // What a local aggregate took away.
        if let Some(taken) = state.get(3..6) {
            groups.iter().zip(Moments::of_columns(taken)).for_each(|(g, m)| self.groups[*g as usize].unmerge(m));
        }
        Ok(())
    }

    fn state(&self, of: Option<&[u32]>) -> Result<Vec<ArrayRef>> {
        Ok(Moments::columns(&gather(&self.groups, of)).to_vec())
    }

    fn finish(&self, of: Option<&[u32]>) -> Result<ArrayRef> {
        // Below zero only where values are taken away that never came; NaN stays NaN.
        let shown =
            gather(&self.groups, of).into_iter().map(|m| (m.n > 0 && (m.m2 >= 0.0 || m.m2.is_nan())).then_some(m.m2));
        Ok(Arc::new(shown.collect::<Float64Array>()))
    }

    fn reset(&mut self, groups: &[u32]) {
        groups.iter().for_each(|g| self.groups[*g as usize] = Moments::default());
    }

    fn clear(&mut self) {
        self.groups.clear();
    }

    fn size_bytes(&self) -> usize {
        list_bytes(&self.groups)
    }
}

/// What a local aggregate makes of changes: the moments of what came and of what was taken away, since what is taken away
/// may be a value that another one has.
#[derive(Default)]
pub(super) struct LocalM2 {
    added: WelfordM2,
    taken: WelfordM2,
}

impl Accumulator for LocalM2 {
    fn resize(&mut self, groups: usize) {
        self.added.resize(groups);
        self.taken.resize(groups);
    }

    fn update(&mut self, groups: &[u32], input: &Input<'_>) -> Result<()> {
        let Some(argument) = input.argument else { return Ok(()) };
        let values = doubles(argument)?;
        each_row(groups, input.include, |row, g| match input.signs.map_or(1, |s| s[row]) {
            1.. => self.added.groups[g].add(values.value(row)),
            _ => self.taken.groups[g].add(values.value(row)),
        });
        Ok(())
    }

    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()> {
        let (added, taken) = state.split_at(state.len().min(3));
        self.added.merge(groups, added)?;
        if taken.is_empty() { Ok(()) } else { self.taken.merge(groups, taken) }
    }

    fn state(&self, of: Option<&[u32]>) -> Result<Vec<ArrayRef>> {
        Ok([self.added.state(of)?, self.taken.state(of)?].concat())
    }

    fn finish(&self, of: Option<&[u32]>) -> Result<ArrayRef> {
        self.added.finish(of)
    }

    fn reset(&mut self, groups: &[u32]) {
        self.added.reset(groups);
        self.taken.reset(groups);
    }

    fn clear(&mut self) {
        self.added.clear();
        self.taken.clear();
    }

    fn size_bytes(&self) -> usize {
        self.added.size_bytes() + self.taken.size_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_away_leaves_no_trace_and_parts_add_up() {
        let of = |values: &[f64]| {
            let mut all = Moments::default();
            values.iter().for_each(|v| all.add(*v));
            all
        };
        let mut some = of(&[2.5, 1.0, 7.25, 100.0]);
        some.take_away(100.0);
        assert!((some.m2 - of(&[2.5, 1.0, 7.25]).m2).abs() < 1e-9);
        let mut parts = of(&[2.5]);
        parts.merge(of(&[1.0, 7.25]));
        assert!((parts.m2 - 21.291666666666668).abs() < 1e-9, "{parts:?}");
        parts.merge(Moments { n: -3, ..Moments::default() });
        assert_eq!(parts, Moments::default());
    }
}
