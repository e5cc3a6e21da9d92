//! ROUND and TRUNCATE: to so many digits behind the point.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{ArrayRef, PrimitiveArray};
use arrow_schema::DataType;
use datafusion_common::ScalarValue;
use datafusion_expr::ColumnarValue;
use flott_core::types::TypeKind as K;
use flott_core::{Error, Result};

use crate::argument::{Primitive, finish, rows_of};
use crate::decimal;
use crate::example::Example;
use crate::scalar::shape::fit;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const ROUND: ScalarFunction = ScalarFunction {
    name: "ROUND",
    syntax: "ROUND(number[, digits])",
    description: "Rounded half up to so many digits behind the point.",
    documentation: "Digits are 0 where they are not given; negative ones round before the point. A DECIMAL has so \
         many digits behind its point afterwards, every other number keeps its type. NULL gives NULL.",
    examples: &[
        Example { sql: "ROUND(2.5)", result: "3" },
        Example { sql: "ROUND(-2.5)", result: "-3" },
        Example { sql: "ROUND(PI(), 4)", result: "3.1416" },
        Example { sql: "ROUND(1234, -2)", result: "1200" },
    ],
    category: Category::Arithmetic,
    arity: (1, 2),
    resolve: |a| digits(a, Cut::HalfUp),
};

pub(super) const TRUNCATE: ScalarFunction = ScalarFunction {
    name: "TRUNCATE",
    syntax: "TRUNCATE(number[, digits])",
    description: "Cut to so many digits behind the point.",
    documentation: "As ROUND, towards 0.",
    examples: &[
        Example { sql: "TRUNCATE(2.567, 1)", result: "2.5" },
        Example { sql: "TRUNCATE(-1.999, 1)", result: "-1.9" },
        Example { sql: "TRUNCATE(1999, -2)", result: "1900" },
    ],
    category: Category::Arithmetic,
    arity: (1, 2),
    resolve: |a| digits(a, Cut::Down),
};

#[derive(Clone, Copy, PartialEq)]
enum Cut {
    HalfUp,
    Down,
}

/// ROUND and TRUNCATE.
fn digits(a: &mut Arguments, cut: Cut) -> Result<Option<Resolved>> {
    let t = a.values[0].data_type.clone();
    if !t.kind.is_numeric() {
        return Ok(None);
    }
    if a.values.len() == 2 && !fit(a, &[t.kind.clone(), K::Int])? {
        return Ok(None);
    }
    let known = match a.values.get(1).map(|d| d.constant()) {
        None => Some(0),
        Some(Some(ScalarValue::Int32(d))) => *d,
        _ => None,
    };
    let nullable = a.nullable();
    let result = match (&t.kind, known) {
        (K::Decimal { precision, scale }, Some(digits)) if digits < i32::from(*scale) => {
            // Rounding may need one more digit before the point; Flink keeps it for TRUNCATE as well.
            let to = u8::try_from(digits.max(0)).unwrap_or(0);
            K::Decimal { precision: (precision - scale + to + 1).min(38), scale: to }
        }
        (kind, _) => kind.clone(),
    };
    // Digits above the 38th are lost: then the result is NULL. So are those above the type's, which it keeps where the digits
    // are not known.
    let has_no_room = |precision: u8| precision == 38 || known.is_none();
    let may_overflow = cut == Cut::HalfUp && matches!(t.kind, K::Decimal { precision, .. } if has_no_room(precision));
    let nullable = nullable || may_overflow;
    let (from_scale, kind) = (if let K::Decimal { scale, .. } = t.kind { scale } else { 0 }, result.clone());
    let resolved = Resolved::new(result.nullable().with_nullable(nullable), move |args, rows| {
        let digits = match args.get(1) {
            Some(d) => Primitive::<Int32Type>::of(d)?,
            None => Primitive::Constant(Some(0)),
        };
        let rows = rows_of(args, rows);
        macro_rules! each {
            ($t:ty, $f:expr) => {{
                let value = Primitive::<$t>::of(&args[0])?;
                let f = $f;
                let out = (0..rows).map(|i| value.get(i).zip(digits.get(i)).and_then(|(v, d)| f(v, d)));
                out.collect::<PrimitiveArray<$t>>()
            }};
        }
        let whole = |v: i128, d: i32| if d >= 0 { v } else { cut_whole(v, d.unsigned_abs(), cut) };
        let column: ArrayRef = match args[0].data_type() {
            DataType::Int8 => Arc::new(each!(Int8Type, |v: i8, d| Some(whole(v.into(), d) as i8))),
            DataType::Int16 => Arc::new(each!(Int16Type, |v: i16, d| Some(whole(v.into(), d) as i16))),
            DataType::Int32 => Arc::new(each!(Int32Type, |v: i32, d| Some(whole(v.into(), d) as i32))),
            DataType::Int64 => Arc::new(each!(Int64Type, |v: i64, d| Some(whole(v.into(), d) as i64))),
            DataType::Float32 => Arc::new(each!(Float32Type, |v: f32, d| Some(cut_double(v.into(), d, cut) as f32))),
            DataType::Float64 => match (&args[0], &digits) {
                // The usual case: one pass over the column.
                (ColumnarValue::Array(values), Primitive::Constant(Some(d))) => Arc::new(
                    values.as_primitive::<Float64Type>().unary::<_, Float64Type>(|v: f64| cut_double(v, *d, cut)),
                ),
                _ => Arc::new(each!(Float64Type, |v: f64, d| Some(cut_double(v, d, cut)))),
            },
            DataType::Decimal128(..) => {
                let K::Decimal { precision, scale } = kind else { return Err(Error::internal("a decimal expected")) };
                let cut = |v: i128, d: i32| {
                    // At the value's own scale first, then at the result's, which has all digits that are left.
                    let kept = i32::from(from_scale).saturating_sub(d).max(0).unsigned_abs();
                    decimal::rescale(cut_whole(v, kept, cut), from_scale, scale, precision)
                };
                Arc::new(each!(Decimal128Type, cut).with_precision_and_scale(precision, scale as i8)?)
            }
            other => return Err(Error::internal(format!("a number expected, not {other}"))),
        };
        finish(args, column)
    });
    Ok(Some(resolved.infallible()))
}

/// Zeroes in the last so many digits.
fn cut_whole(v: i128, count: u32, cut: Cut) -> i128 {
    if count == 0 {
        return v;
    }
    if count > 38 {
        return 0;
    }
    let unit = decimal::pow10(count);
    match cut {
        Cut::HalfUp => decimal::divide_half_up(v, unit).saturating_mul(unit),
        Cut::Down => v / unit * unit,
    }
}

/// Cuts the shortest digits of a number, as `BigDecimal.valueOf` has them: 1.005 rounds up to 1.01.
fn cut_double(v: f64, digits: i32, cut: Cut) -> f64 {
    cut_far_from_ties(v, digits, cut).unwrap_or_else(|| cut_digits(v, digits, cut))
}

/// The powers of ten that a DOUBLE holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// The same by arithmetic, where no digit that the number does not have can change the answer.
///
/// A number's shortest digits are at most half a unit of its last place away from it, and its product with a power of ten is
/// as far from the true one: together two parts in 2^53 of the product. What is farther than twice that from where it is
/// cut is cut in the same way. The result is a whole number below 2^53 over an exact power of ten: their quotient is the
/// DOUBLE that is nearest to its digits.
fn cut_far_from_ties(v: f64, digits: i32, cut: Cut) -> Option<f64> {
    const WHOLE_MAX: f64 = 1e15;
    const MARGIN: f64 = 1.0 / (1u64 << 51) as f64;
    let power = *POWERS.get(usize::try_from(digits).ok()?)?;
    let scaled = v.abs() * power;
    if scaled.is_nan() || scaled >= WHOLE_MAX {
        return None;
    }
    if v == 0.0 {
        return Some(v);
    }
    let floor = |v: f64| v as i64 as f64;
    let (whole, margin) = (floor(scaled), scaled * MARGIN);
    let rest = scaled - whole;
    let whole = match cut {
        Cut::HalfUp if (rest - 0.5).abs() > margin => whole + if rest > 0.5 { 1.0 } else { 0.0 },
        Cut::Down if rest > margin && rest < 1.0 - margin => whole,
        // It has no more digits: up to 15 of them no other number has.
        Cut::Down if v.abs() == floor(scaled + 0.5) / power => return Some(v),
        _ => return None,
    };
    let result = whole / power;
    Some(if v < 0.0 && result != 0.0 { -result } else { result })
}

fn cut_digits(v: f64, digits: i32, cut: Cut) -> f64 {
    if !v.is_finite() {
        return v;
    }
    let text = format!("{:e}", v.abs());
    let Some((mantissa, exponent)) = text.split_once('e') else { return v };
    let Ok(exponent) = exponent.parse::<i64>() else { return v };
    let all: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let kept = exponent + 1 + i64::from(digits);
    if kept >= all.len() as i64 {
        return v;
    }
    let Ok(kept_count) = usize::try_from(kept) else { return 0.0 };
    // At most 17 digits.
    let mut whole: u64 = all[..kept_count].parse().unwrap_or(0);
    if cut == Cut::HalfUp && all.as_bytes()[kept_count] >= b'5' {
        whole += 1;
    }
    let result: f64 = format!("{whole}e{}", exponent + 1 - kept).parse().unwrap_or(v);
    if v < 0.0 && result != 0.0 { -result } else { result }
}

#[cfg(test)]
mod tests {
    use flott_core::rng::Rng;

    use super::{Cut, cut_digits, cut_far_from_ties};
    use crate::testing::check;

    #[test]
    fn arithmetic_cuts_as_digits_do() {
        let rng = &mut Rng::seeded(17);
        let (mut quick, mut all) = (0, 0);
        for round in 0..200_000 {
            let decimals = 10f64.powi(rng.below(9) as i32);
            let v = match round % 6 {
                // Any bits.
                0 => f64::from_bits(rng.below(u64::MAX)),
                // Few digits behind the point, ties among them, and the numbers beside those.
                1 => rng.below(1 << 40) as f64 / decimals,
                2 => (rng.below(1 << 30) * 10 + 5) as f64 / decimals,
                3 => f64::from_bits(((rng.below(1 << 30) * 10 + 5) as f64 / decimals).to_bits() + rng.below(5) - 2),
                4 => rng.next_f64() * 1e16,
                _ => -rng.next_f64(),
            };
            let digits = rng.below(25) as i32 - 1;
            for cut in [Cut::HalfUp, Cut::Down] {
                all += 1;
                if let Some(cut_quickly) = cut_far_from_ties(v, digits, cut) {
                    quick += 1;
                    let by_digits = cut_digits(v, digits, cut);
                    assert_eq!(cut_quickly.to_bits(), by_digits.to_bits(), "{v:e} to {digits}: {by_digits:e}");
                }
            }
        }
        assert!(quick > all / 4, "{quick} of {all}");
    }

    #[test]
    fn values() {
        check(&[
            ("ROUND", &[("125.315", "DECIMAL(6, 3)")], "125"),
            ("ROUND", &[("-125.315", "DECIMAL(6, 3)"), ("2", "INT")], "-125.32"),
            ("ROUND", &[("125.315", "DECIMAL(6, 3)"), ("-2", "INT")], "100"),
            ("ROUND", &[("999.9", "DECIMAL(4, 1)"), ("0", "INT")], "1000"),
            ("ROUND", &[("1.005", "DOUBLE"), ("2", "INT")], "1.01"),
            ("ROUND", &[("-2.5", "DOUBLE")], "-3.0"),
            ("ROUND", &[("0.4", "DOUBLE")], "0.0"),
            ("ROUND", &[("0.5", "DOUBLE")], "1.0"),
            ("ROUND", &[("55", "INT"), ("-1", "INT")], "60"),
            ("ROUND", &[("55", "INT"), ("-3", "INT")], "0"),
            ("ROUND", &[("1e300", "DOUBLE"), ("2", "INT")], "1.0E300"),
            ("ROUND", &[("NaN", "DOUBLE"), ("2", "INT")], "NaN"),
            ("ROUND", &[("5", "INT"), ("NULL", "INT")], "NULL"),
            ("TRUNCATE", &[("42.345", "DECIMAL(5, 3)"), ("2", "INT")], "42.34"),
            ("TRUNCATE", &[("-42.345", "DECIMAL(5, 3)"), ("-1", "INT")], "-40"),
            ("TRUNCATE", &[("-42.345", "DOUBLE"), ("2", "INT")], "-42.34"),
            ("TRUNCATE", &[("42.345", "DOUBLE")], "42.0"),
            ("TRUNCATE", &[("42", "INT"), ("-1", "INT")], "40"),
        ]);
    }
}
