//! AVG: a sum and a count. Integers truncate, decimals round half up at the result's scale.

use std::sync::Arc;

use arrow_array::types::*;
use arrow_array::{ArrayRef, ArrowPrimitiveType, PrimitiveArray};
use arrow_buffer::i256;
use arrow_schema::DataType;
use flott_core::Result;

use super::sum::{Adder, Decimals, Floats, Integers, Sums};
use super::{Accumulator, DECIMAL_LIMIT, Input};
use crate::window::room::Room;

/// AVG with results of type `R`; `divide` gives `None` where the quotient does not fit.
struct Avg<A: Adder, R: ArrowPrimitiveType> {
    sums: Sums<A>,
    result: DataType,
    /// Digits that a decimal quotient has more than the sum.
    more_digits: u32,
    divide: fn(<A::Sum as ArrowPrimitiveType>::Native, i64, u32) -> Option<R::Native>,
}

impl<A: Adder, R: ArrowPrimitiveType> Accumulator for Avg<A, R> {
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
        let counts = self.sums.counts.as_deref().unwrap_or(&[]);
        let averages = (0..n).map(|i| {
            let g = of.map_or(i, |g| g[i] as usize);
            match counts.get(g) {
                Some(0) | None => None,
                Some(_) if A::overflows(self.sums.sums[g]) => None,
                Some(count) => (self.divide)(self.sums.sums[g], *count, self.more_digits),
            }
        });
        let array: PrimitiveArray<R> = averages.collect();
        Ok(Arc::new(array.with_data_type(self.result.clone())))
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

/// `sum * 10^more_digits / count`, rounded half away from zero.
fn divide_decimal(sum: i128, count: i64, more_digits: u32) -> Option<i128> {
    let scaled = i256::from_i128(sum).checked_mul(i256::from_i128(10i128.checked_pow(more_digits)?))?;
    let count = i256::from_i128(i128::from(count));
    let quotient = scaled.checked_div(count)?;
    let rest = scaled.checked_rem(count)?;
    let twice = rest.checked_add(rest)?.wrapping_abs();
    let quotient = if twice >= count.wrapping_abs() {
        let away = if (scaled < i256::ZERO) == (count < i256::ZERO) { i256::ONE } else { i256::MINUS_ONE };
        quotient.checked_add(away)?
    } else {
        quotient
    };
    quotient.to_i128().filter(|q| *q < DECIMAL_LIMIT && *q > -DECIMAL_LIMIT)
}

/// AVG over this type.
pub(super) fn build(argument: &DataType, result: &DataType) -> Option<Box<dyn Accumulator>> {
    macro_rules! avg {
        ($adder:ty, $state:expr, $result:ty, $digits:expr, $divide:expr) => {
            Some(Box::new(Avg::<$adder, $result> {
                sums: Sums::new(true, $state),
                result: result.clone(),
                more_digits: $digits,
                divide: $divide,
            }) as Box<dyn Accumulator>)
        };
    }
    macro_rules! integer {
        ($in:ty) => {
            match result {
                DataType::Int8 => {
                    avg!(Integers<$in>, DataType::Int64, Int8Type, 0, |s, n, _| Some(s.wrapping_div(n) as i8))
                }
                DataType::Int16 => {
                    avg!(Integers<$in>, DataType::Int64, Int16Type, 0, |s, n, _| Some(s.wrapping_div(n) as i16))
                }
                DataType::Int32 => {
                    avg!(Integers<$in>, DataType::Int64, Int32Type, 0, |s, n, _| Some(s.wrapping_div(n) as i32))
                }
                DataType::Int64 => {
                    avg!(Integers<$in>, DataType::Int64, Int64Type, 0, |s, n, _| Some(s.wrapping_div(n)))
                }
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
            avg!(Floats<Float32Type, Float64Type>, DataType::Float64, Float32Type, 0, |s, n, _| Some((s / n as f64) as f32))
        }
        (DataType::Float64, DataType::Float64) => {
            avg!(Floats<Float64Type, Float64Type>, DataType::Float64, Float64Type, 0, |s, n, _| Some(s / n as f64))
        }
        (DataType::Decimal128(_, s), DataType::Decimal128(_, r)) if r >= s => {
            let digits = u32::from((r - s).unsigned_abs());
            avg!(Decimals, DataType::Decimal128(38, *s), Decimal128Type, digits, divide_decimal)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::divide_decimal;

    #[test]
    fn decimals_round_half_away_from_zero() {
        assert_eq!(divide_decimal(10, 4, 0), Some(3));
        assert_eq!(divide_decimal(-10, 4, 0), Some(-3));
        assert_eq!(divide_decimal(9, 4, 0), Some(2));
        assert_eq!(divide_decimal(1, 3, 4), Some(3_333));
        assert_eq!(divide_decimal(2, 3, 4), Some(6_667));
        assert_eq!(divide_decimal(10i128.pow(37), 1, 1), None);
        assert_eq!(divide_decimal(10i128.pow(37), 10, 1), Some(10i128.pow(37)));
    }
}
