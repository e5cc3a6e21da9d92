//! Java's hash codes of values, as HASH_CODE gives them.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, PrimitiveArray};
use arrow_schema::DataType;
use flott_core::types::TypeKind;
use flott_core::{Error, Result};

use crate::cast::to_nanos;
use crate::types::as_decimal;

/// Whether HASH_CODE takes values of a type that is no text.
pub(crate) fn has_hash(kind: &TypeKind) -> bool {
    kind.is_numeric()
        || matches!(kind, TypeKind::Boolean | TypeKind::Date | TypeKind::Time(_) | TypeKind::Timestamp(..))
}

/// The hash codes of a column of such a type.
pub(crate) fn hash_codes(values: &ArrayRef, kind: &TypeKind) -> Result<ArrayRef> {
    macro_rules! each {
        ($t:ty, $hash:expr) => {
            values.as_primitive::<$t>().unary::<_, Int32Type>($hash)
        };
    }
    let of_times = |hash: fn(i128) -> i32| -> Result<PrimitiveArray<Int32Type>> {
        Ok(to_nanos(values)?.into_iter().map(|nanos| nanos.map(hash)).collect())
    };
    let codes = match values.data_type() {
        DataType::Boolean => values.as_boolean().iter().map(|b| b.map(|b| if b { 1231 } else { 1237 })).collect(),
        DataType::Int8 => each!(Int8Type, i32::from),
        DataType::Int16 => each!(Int16Type, i32::from),
        DataType::Int32 => each!(Int32Type, |v| v),
        DataType::Int64 => each!(Int64Type, folded),
        DataType::Float32 => each!(Float32Type, |v: f32| if v.is_nan() { 0x7fc0_0000 } else { v.to_bits() as i32 }),
        DataType::Float64 => {
            each!(Float64Type, |v: f64| { folded(if v.is_nan() { 0x7ff8_0000_0000_0000 } else { v.to_bits() as i64 }) })
        }
        DataType::Decimal128(..) => {
            let scale = as_decimal(kind).map_or(0, |d| i32::from(d.1));
            each!(Decimal128Type, |v| of_decimal(v, scale))
        }
        DataType::Date32 => values.as_primitive::<Date32Type>().unary::<_, Int32Type>(|days| days),
        DataType::Time32(_) | DataType::Time64(_) => of_times(|nanos| (nanos / 1_000_000) as i32)?,
        DataType::Timestamp(..) => of_times(|nanos| {
            let (millis, rest) = (nanos.div_euclid(1_000_000) as i64, nanos.rem_euclid(1_000_000) as i32);
            (millis as i32 ^ (millis >> 32) as i32).wrapping_mul(31).wrapping_add(rest)
        })?,
        other => return Err(Error::internal(format!("no hash code of {other}"))),
    };
    Ok(Arc::new(codes))
}

/// `Long.hashCode`
fn folded(v: i64) -> i32 {
    (v ^ (v as u64 >> 32) as i64) as i32
}

/// `BigDecimal.hashCode`: of the digits, in pieces of 32 bits, and the scale.
fn of_decimal(unscaled: i128, scale: i32) -> i32 {
    let digits = unscaled.unsigned_abs();
    let pieces = [96, 64, 32, 0].map(|shift| (digits >> shift) as u32 as i32);
    let hash = pieces.into_iter().fold(0i32, |hash, piece| hash.wrapping_mul(31).wrapping_add(piece));
    let hash = if unscaled < 0 { hash.wrapping_neg() } else { hash };
    hash.wrapping_mul(31).wrapping_add(scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_java_has_them() {
        assert_eq!(folded(i64::MAX), i32::MIN);
        assert_eq!(folded(-1), 0);
        assert_eq!(of_decimal(125, 2), 3877);
        assert_eq!(of_decimal(-9_999_999_999, 2), -762_356_577);
        assert_eq!(of_decimal(0, 2), 2);
    }
}
