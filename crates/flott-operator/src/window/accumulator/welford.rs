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
        let (n, mean, m2) = (
            state[0].as_primitive::<Int64Type>(),
            state[1].as_primitive::<Float64Type>(),
            state[2].as_primitive::<Float64Type>(),
        );
        for (i, g) in groups.iter().enumerate() {
            self.groups[*g as usize].merge(Moments { n: n.value(i), mean: mean.value(i), m2: m2.value(i) });
        }
        Ok(())
    }

    fn state(&self, of: Option<&[u32]>) -> Result<Vec<ArrayRef>> {
        let groups = gather(&self.groups, of);
        Ok(vec![
            Arc::new(groups.iter().map(|m| Some(m.n)).collect::<Int64Array>()),
            Arc::new(groups.iter().map(|m| Some(m.mean)).collect::<Float64Array>()),
            Arc::new(groups.iter().map(|m| Some(m.m2)).collect::<Float64Array>()),
        ])
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
        self.groups.len() * size_of::<Moments>()
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
