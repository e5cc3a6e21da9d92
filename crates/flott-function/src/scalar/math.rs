//! Arithmetic functions.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, Decimal128Array, Float64Array, PrimitiveArray};
use arrow_schema::DataType;
use flott_core::types::TypeKind as K;
use flott_core::{Error, Result};

use super::time_unit::round_to_unit;
use super::{Arguments, Category, ScalarFunction};
use crate::decimal;
use crate::udf::Resolved;

macro_rules! double_functions {
    ($($name:literal, $syntax:literal, $text:literal, $f:expr;)*) => {
        &[$(ScalarFunction {
            name: $name,
            syntax: $syntax,
            description: $text,
            category: Category::Arithmetic,
            arity: (1, 1),
            resolve: |a| unary(a, $f),
        },)*
        ScalarFunction { name: "ABS", syntax: "ABS(number)", description: "The absolute value.", category: Category::Arithmetic, arity: (1, 1), resolve: |a| same_type(a, Step::Abs) },
        ScalarFunction { name: "FLOOR", syntax: "FLOOR(number), FLOOR(time TO unit)", description: "The greatest integer that is not greater; the start of a time's unit.", category: Category::Arithmetic, arity: (1, 2), resolve: |a| if a.values.len() == 2 { round_to_unit(a, false) } else { same_type(a, Step::Floor) } },
        ScalarFunction { name: "CEIL", syntax: "CEIL(number), CEIL(time TO unit)", description: "The least integer that is not less; the start of the next unit.", category: Category::Arithmetic, arity: (1, 2), resolve: |a| if a.values.len() == 2 { round_to_unit(a, true) } else { same_type(a, Step::Ceil) } },
        ScalarFunction { name: "SIGN", syntax: "SIGN(number)", description: "-1, 0 or 1.", category: Category::Arithmetic, arity: (1, 1), resolve: |a| same_type(a, Step::Sign) },
        ScalarFunction { name: "POWER", syntax: "POWER(base, exponent)", description: "The base to the power of the exponent.", category: Category::Arithmetic, arity: (2, 2), resolve: |a| binary(a, f64::powf) },
        ScalarFunction { name: "ATAN2", syntax: "ATAN2(y, x)", description: "The angle of the point (x, y).", category: Category::Arithmetic, arity: (2, 2), resolve: |a| binary(a, f64::atan2) },
        ScalarFunction { name: "MOD", syntax: "MOD(a, b)", description: "The remainder of a / b.", category: Category::Arithmetic, arity: (2, 2), resolve: modulo },
        ScalarFunction { name: "ROUND", syntax: "ROUND(number[, digits])", description: "Rounds half up to so many digits behind the point.", category: Category::Arithmetic, arity: (1, 2), resolve: round },
        ]
    };
}

/// All of them.
pub(super) const FUNCTIONS: &[ScalarFunction] = double_functions![
    "SQRT", "SQRT(number)", "The square root.", f64::sqrt;
    "EXP", "EXP(number)", "e to the power of the number.", f64::exp;
    "LN", "LN(number)", "The natural logarithm.", f64::ln;
    "LOG10", "LOG10(number)", "The logarithm to base 10.", f64::log10;
    "LOG2", "LOG2(number)", "The logarithm to base 2.", |v| v.ln() / std::f64::consts::LN_2;
    "SINH", "SINH(number)", "The hyperbolic sine.", f64::sinh;
    "COSH", "COSH(number)", "The hyperbolic cosine.", f64::cosh;
    "TANH", "TANH(number)", "The hyperbolic tangent.", f64::tanh;
    "COT", "COT(number)", "The cotangent of radians.", |v| 1.0 / v.tan();
    "SIN", "SIN(number)", "The sine of radians.", f64::sin;
    "COS", "COS(number)", "The cosine of radians.", f64::cos;
    "TAN", "TAN(number)", "The tangent of radians.", f64::tan;
    "ASIN", "ASIN(number)", "The arc sine.", f64::asin;
    "ACOS", "ACOS(number)", "The arc cosine.", f64::acos;
    "ATAN", "ATAN(number)", "The arc tangent.", f64::atan;
    "DEGREES", "DEGREES(number)", "Radians in degrees.", f64::to_degrees;
    "RADIANS", "RADIANS(number)", "Degrees in radians.", f64::to_radians;
];

fn unary(a: &mut Arguments, f: fn(f64) -> f64) -> Result<Option<Resolved>> {
    if !a.values[0].data_type.kind.is_numeric() {
        return Ok(None);
    }
    let t = K::Double.nullable().with_nullable(a.nullable());
    a.coerce(0, &t)?;
    Ok(Some(Resolved::arrays(t, move |args, _| {
        Ok(Arc::new(args[0].as_primitive::<Float64Type>().unary::<_, Float64Type>(f)))
    })))
}

fn binary(a: &mut Arguments, f: fn(f64, f64) -> f64) -> Result<Option<Resolved>> {
    if !a.values.iter().all(|v| v.data_type.kind.is_numeric()) {
        return Ok(None);
    }
    let t = K::Double.nullable().with_nullable(a.nullable());
    a.coerce(0, &t)?;
    a.coerce(1, &t)?;
    Ok(Some(Resolved::arrays(t, move |args, _| {
        let (x, y) = (args[0].as_primitive::<Float64Type>(), args[1].as_primitive::<Float64Type>());
        let out: Float64Array = x.iter().zip(y.iter()).map(|(x, y)| Some(f(x?, y?))).collect();
        Ok(Arc::new(out))
    })))
}

fn modulo(a: &mut Arguments) -> Result<Option<Resolved>> {
    if !a.values.iter().all(|v| v.data_type.kind.is_numeric()) {
        return Ok(None);
    }
    let (l, r) = (a.values[0].clone(), a.values[1].clone());
    let value = crate::operator::binary(datafusion_expr::Operator::Modulo, l, r, a.env)?;
    let t = value.data_type.clone();
    a.values = vec![value];
    Ok(Some(Resolved::new(t, |args, _| Ok(args[0].clone()))))
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
    Ok(Some(Resolved::arrays(result.clone(), move |args, _| apply(&args[0], step, &result.kind))))
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
                Step::Abs => v.abs(),
                Step::Floor => v.div_euclid(unit),
                Step::Ceil => -(-v).div_euclid(unit),
                Step::Sign => v.signum() * unit,
            });
            Arc::new(values.with_precision_and_scale(*precision, *to as i8)?)
        }
        other => return Err(Error::internal(format!("a number expected, not {other}"))),
    })
}

fn round(a: &mut Arguments) -> Result<Option<Resolved>> {
    let t = a.values[0].data_type.clone();
    if !t.kind.is_numeric() || (a.values.len() == 2 && !a.values[1].data_type.kind.is_integer()) {
        return Ok(None);
    }
    let digits = match a.values.get(1).map(|d| d.constant().cloned()) {
        None => Some(0),
        Some(Some(datafusion_common::ScalarValue::Int32(d))) => d,
        Some(_) => return Err(Error::user("the second argument of ROUND must be a constant").hint("Write ROUND(x, 2)")),
    };
    let digits = digits.unwrap_or(0);
    let result = match &t.kind {
        K::Decimal { precision, scale } => {
            let to = u8::try_from(digits.max(0)).unwrap_or(u8::MAX).min(*scale);
            let precision = (*precision - *scale + to + 1).min(38);
            K::Decimal { precision, scale: to }.nullable().with_nullable(t.nullable)
        }
        _ => t.clone(),
    };
    Ok(Some(Resolved::arrays(result.clone(), move |args, _| {
        let array = &args[0];
        macro_rules! integer {
            ($t:ty, $n:ty) => {{
                if digits >= 0 {
                    return Ok(Arc::clone(array));
                }
                let unit = decimal::pow10(digits.unsigned_abs());
                let round = |v: $n| (decimal::divide_half_up(i128::from(v), unit).wrapping_mul(unit)) as $n;
                Arc::new(array.as_primitive::<$t>().unary::<_, $t>(round)) as ArrayRef
            }};
        }
        let double = |v: f64| {
            // Through the shortest decimal text, as BigDecimal.valueOf does: 1.005 rounds up.
            let text = format!("{v:e}");
            let exact = decimal::parse(&text, 38, digits.clamp(0, 20) as u8);
            match exact {
                Some(d) if digits >= 0 => decimal::format(d, digits.clamp(0, 20) as u8).parse().unwrap_or(v),
                _ => {
                    let unit = 10f64.powi(-digits);
                    (v / unit).round() * unit
                }
            }
        };
        Ok(match array.data_type() {
            DataType::Int8 => integer!(Int8Type, i8),
            DataType::Int16 => integer!(Int16Type, i16),
            DataType::Int32 => integer!(Int32Type, i32),
            DataType::Int64 => integer!(Int64Type, i64),
            DataType::Float32 => {
                Arc::new(array.as_primitive::<Float32Type>().unary::<_, Float32Type>(|v| double(f64::from(v)) as f32))
            }
            DataType::Float64 => Arc::new(array.as_primitive::<Float64Type>().unary::<_, Float64Type>(double)),
            DataType::Decimal128(_, scale) => {
                let from = scale.unsigned_abs();
                let K::Decimal { precision, scale: to } = result.kind else {
                    return Err(Error::internal("a decimal expected"));
                };
                let values: Vec<Option<i128>> = array
                    .as_primitive::<Decimal128Type>()
                    .iter()
                    .map(|v| {
                        let v = v?;
                        let rounded = decimal::rescale(v, from, to, 38)?;
                        if digits >= 0 {
                            return Some(rounded);
                        }
                        let unit = decimal::pow10(digits.unsigned_abs());
                        decimal::divide_half_up(rounded, unit).checked_mul(unit)
                    })
                    .collect();
                Arc::new(Decimal128Array::from(values).with_precision_and_scale(precision, to as i8)?)
            }
            other => return Err(Error::internal(format!("a number expected, not {other}"))),
        })
    })))
}
