//! Arithmetic functions.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, PrimitiveArray};
use arrow_schema::DataType;
use datafusion_common::ScalarValue;
use datafusion_expr::ColumnarValue;
use flott_core::types::TypeKind as K;
use flott_core::{Error, Result};

use super::angle;
use super::shape::{entry, fit, rewritten};
use super::time_unit::round_to_unit;
use super::{Arguments, Category, Resolve, ScalarFunction};
use crate::argument::{Primitive, finish, map2, rows_of};
use crate::decimal;
use crate::udf::Resolved;

const fn function(
    name: &'static str,
    syntax: &'static str,
    description: &'static str,
    arity: (usize, usize),
    resolve: Resolve,
) -> ScalarFunction {
    entry(Category::Arithmetic, name, syntax, description, arity, resolve)
}

/// All of them.
pub(super) const FUNCTIONS: &[ScalarFunction] = &[
    function("SQRT", "SQRT(number)", "The square root.", (1, 1), |a| unary(a, sqrt)),
    function("EXP", "EXP(number)", "e to the power of the number.", (1, 1), |a| unary(a, f64::exp)),
    function("LN", "LN(number)", "The natural logarithm.", (1, 1), |a| unary(a, f64::ln)),
    function("LOG10", "LOG10(number)", "The logarithm to base 10.", (1, 1), |a| unary(a, libm::log10)),
    function("LOG2", "LOG2(number)", "The logarithm to base 2.", (1, 1), |a| {
        // As Java computes it, to the last bit.
        unary(a, |v| v.ln() / 2f64.ln())
    }),
    function("LOG", "LOG([base, ]number)", "The logarithm, natural without a base.", (1, 2), |a| {
        if a.values.len() == 1 { unary(a, f64::ln) } else { binary(a, |base, v| v.ln() / base.ln()) }
    }),
    function("SIN", "SIN(number)", "The sine of radians.", (1, 1), |a| unary(a, f64::sin)),
    function("SINH", "SINH(number)", "The hyperbolic sine.", (1, 1), |a| unary(a, angle::sinh)),
    function("COS", "COS(number)", "The cosine of radians.", (1, 1), |a| unary(a, f64::cos)),
    function("COSH", "COSH(number)", "The hyperbolic cosine.", (1, 1), |a| unary(a, angle::cosh)),
    function("TAN", "TAN(number)", "The tangent of radians.", (1, 1), |a| unary(a, f64::tan)),
    function("TANH", "TANH(number)", "The hyperbolic tangent.", (1, 1), |a| unary(a, angle::tanh)),
    function("COT", "COT(number)", "The cotangent of radians.", (1, 1), |a| unary(a, |v| 1.0 / v.tan())),
    function("ASIN", "ASIN(number)", "The arc sine.", (1, 1), |a| unary(a, libm::asin)),
    function("ACOS", "ACOS(number)", "The arc cosine.", (1, 1), |a| unary(a, libm::acos)),
    function("ATAN", "ATAN(number)", "The arc tangent.", (1, 1), |a| unary(a, libm::atan)),
    function("ATAN2", "ATAN2(y, x)", "The angle of the point (x, y).", (2, 2), |a| binary(a, angle::atan2)),
    function("DEGREES", "DEGREES(radians)", "Radians in degrees.", (1, 1), |a| unary(a, f64::to_degrees)),
    function("RADIANS", "RADIANS(degrees)", "Degrees in radians.", (1, 1), |a| unary(a, f64::to_radians)),
    function("POWER", "POWER(base, exponent)", "The base to the power of the exponent.", (2, 2), |a| {
        binary(a, f64::powf)
    }),
    function("PI", "PI()", "3.14159..", (0, 0), |_| Ok(Some(constant(std::f64::consts::PI)))),
    function("E", "E()", "2.71828..", (0, 0), |_| Ok(Some(constant(std::f64::consts::E)))),
    function("ABS", "ABS(number)", "The absolute value.", (1, 1), |a| same_type(a, Step::Abs)),
    function("SIGN", "SIGN(number)", "-1, 0 or 1.", (1, 1), |a| same_type(a, Step::Sign)),
    function(
        "FLOOR",
        "FLOOR(number), FLOOR(time TO unit)",
        "The greatest integer that is not greater; the start of a time's unit.",
        (1, 2),
        |a| if a.values.len() == 2 { round_to_unit(a, false) } else { same_type(a, Step::Floor) },
    ),
    function(
        "CEIL",
        "CEIL(number), CEIL(time TO unit)",
        "The least integer that is not less; the start of a time's next unit.",
        (1, 2),
        |a| if a.values.len() == 2 { round_to_unit(a, true) } else { same_type(a, Step::Ceil) },
    ),
    function("MOD", "MOD(a, b)", "The remainder of a / b, with the type of b.", (2, 2), modulo),
    function("ROUND", "ROUND(number[, digits])", "Rounded half up to so many digits behind the point.", (1, 2), |a| {
        digits(a, Cut::HalfUp)
    }),
    function("TRUNCATE", "TRUNCATE(number[, digits])", "Cut to so many digits behind the point.", (1, 2), |a| {
        digits(a, Cut::Down)
    }),
];

fn constant(value: f64) -> Resolved {
    Resolved::new(K::Double.not_null(), move |_, _| Ok(ColumnarValue::Scalar(ScalarValue::Float64(Some(value)))))
        .infallible()
}

/// As Flink computes it, which is by `POWER(x, 0.5)`: there -Infinity has a root, and that of -0.0 is 0.0.
fn sqrt(x: f64) -> f64 {
    if x == f64::NEG_INFINITY { f64::INFINITY } else { x.sqrt() + 0.0 }
}

fn unary(a: &mut Arguments, f: fn(f64) -> f64) -> Result<Option<Resolved>> {
    if !fit(a, &[K::Double])? {
        return Ok(None);
    }
    let t = K::Double.nullable().with_nullable(a.nullable());
    let resolved = Resolved::arrays(t, move |args, _| {
        Ok(Arc::new(args[0].as_primitive::<Float64Type>().unary::<_, Float64Type>(|v| one_nan(f(v)))))
    });
    Ok(Some(resolved.infallible()))
}

fn binary(a: &mut Arguments, f: fn(f64, f64) -> f64) -> Result<Option<Resolved>> {
    if !fit(a, &[K::Double, K::Double])? {
        return Ok(None);
    }
    let t = K::Double.nullable().with_nullable(a.nullable());
    let resolved = Resolved::new(t, move |args, rows| {
        let map = |a, b| one_nan(f(a, b));
        finish(args, Arc::new(map2::<Float64Type, Float64Type>(args, rows, map)?))
    });
    Ok(Some(resolved.infallible()))
}

/// NaN without a sign, as Java has it: with the one that processors give it would be the least number and not the greatest.
fn one_nan(v: f64) -> f64 {
    if v.is_nan() { f64::NAN } else { v }
}

fn modulo(a: &mut Arguments) -> Result<Option<Resolved>> {
    // Only exact numbers have a remainder.
    if !a.values.iter().all(|v| v.data_type.kind.is_numeric() && !v.data_type.kind.is_approximate()) {
        return Ok(None);
    }
    let (l, r) = (a.values[0].clone(), a.values[1].clone());
    let value = crate::operator::binary(datafusion_expr::Operator::Modulo, l, r, a.env)?;
    rewritten(a, value)
}

#[derive(Clone, Copy)]
enum Step {
    Abs,
    Floor,
    Ceil,
    Sign,
}

fn same_type(a: &mut Arguments, step: Step) -> Result<Option<Resolved>> {
    let t = a.values[0].data_type.clone();
    let result = match (&t.kind, step) {
        (K::Decimal { precision, .. }, Step::Floor | Step::Ceil) => {
            K::Decimal { precision: *precision, scale: 0 }.nullable().with_nullable(t.nullable)
        }
        (k, _) if k.is_numeric() => t.clone(),
        _ => return Ok(None),
    };
    let kind = result.kind.clone();
    Ok(Some(Resolved::arrays(result, move |args, _| apply(&args[0], step, &kind)).infallible()))
}

fn apply(array: &ArrayRef, step: Step, result: &K) -> Result<ArrayRef> {
    macro_rules! integer {
        ($t:ty) => {
            Arc::new(match step {
                Step::Abs => array.as_primitive::<$t>().unary::<_, $t>(|v| v.wrapping_abs()),
                Step::Sign => array.as_primitive::<$t>().unary::<_, $t>(|v| v.signum()),
                Step::Floor | Step::Ceil => array.as_primitive::<$t>().clone(),
            }) as ArrayRef
        };
    }
    macro_rules! float {
        ($t:ty) => {
            Arc::new(array.as_primitive::<$t>().unary::<_, $t>(|v| match step {
                Step::Abs => v.abs(),
                Step::Floor => v.floor(),
                Step::Ceil => v.ceil(),
                Step::Sign if v == 0.0 || v.is_nan() => v,
                Step::Sign => v.signum(),
            })) as ArrayRef
        };
    }
    Ok(match array.data_type() {
        DataType::Int8 => integer!(Int8Type),
        DataType::Int16 => integer!(Int16Type),
        DataType::Int32 => integer!(Int32Type),
        DataType::Int64 => integer!(Int64Type),
        DataType::Float32 => float!(Float32Type),
        DataType::Float64 => float!(Float64Type),
        DataType::Decimal128(_, scale) => {
            let unit = decimal::pow10(u32::from(scale.unsigned_abs()));
            let K::Decimal { precision, scale: to } = result else { return Err(Error::internal("a decimal expected")) };
            let values: PrimitiveArray<Decimal128Type> = array.as_primitive::<Decimal128Type>().unary(|v| match step {
                Step::Abs => v.wrapping_abs(),
                Step::Floor => v.div_euclid(unit),
                Step::Ceil => -v.wrapping_neg().div_euclid(unit),
                Step::Sign => v.signum() * unit,
            });
            Arc::new(values.with_precision_and_scale(*precision, *to as i8)?)
        }
        other => return Err(Error::internal(format!("a number expected, not {other}"))),
    })
}

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
    // Digits above the 38th are lost: then the result is NULL.
    let may_overflow = cut == Cut::HalfUp && matches!(t.kind, K::Decimal { precision: 38, .. });
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
            DataType::Float64 => Arc::new(each!(Float64Type, |v: f64, d| Some(cut_double(v, d, cut)))),
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
    use crate::testing::check;

    #[test]
    fn rounding() {
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
            ("FLOOR", &[("-1.5", "DECIMAL(2, 1)")], "-2"),
            ("CEIL", &[("9.1", "DECIMAL(2, 1)")], "10"),
            ("CEIL", &[("-0.5", "DOUBLE")], "-0.0"),
            ("FLOOR", &[("3", "INT")], "3"),
        ]);
    }

    #[test]
    fn functions_of_numbers() {
        check(&[
            ("ABS", &[("-5", "INT")], "5"),
            ("ABS", &[("-2147483648", "INT")], "-2147483648"),
            ("ABS", &[("-1.5", "DECIMAL(2, 1)")], "1.5"),
            ("SIGN", &[("-1.5", "DECIMAL(2, 1)")], "-1.0"),
            ("SIGN", &[("0", "DOUBLE")], "0.0"),
            ("SQRT", &[("9", "INT")], "3.0"),
            ("SQRT", &[("-1", "INT")], "NaN"),
            ("LN", &[("0", "INT")], "-Infinity"),
            ("LOG2", &[("8", "INT")], "3.0"),
            ("LOG", &[("10", "INT"), ("100", "INT")], "2.0"),
            ("LOG10", &[("NULL", "INT")], "NULL"),
            ("POWER", &[("2", "INT"), ("10", "DECIMAL(2, 0)")], "1024.0"),
            ("PI", &[], "3.141592653589793"),
            ("E", &[], "2.718281828459045"),
            ("MOD", &[("44", "BIGINT"), ("3", "INT")], "2"),
            ("MOD", &[("44", "INT"), ("0", "INT")], "ERROR division by zero"),
            ("DEGREES", &[("3.141592653589793", "DOUBLE")], "180.0"),
        ]);
    }
}
