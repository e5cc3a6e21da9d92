//! Arithmetic functions.

mod abs;
mod acos;
mod angle;
mod asin;
mod atan;
mod atan2;
mod cos;
mod cosh;
mod cot;
mod degrees;
mod e;
mod exp;
mod floor_ceil;
mod java_random;
mod ln;
mod log;
mod log10;
mod log2;
mod modulo;
mod pi;
mod power;
mod radians;
mod rand;
mod rand_integer;
mod round_truncate;
mod sign;
mod sin;
mod sinh;
mod sqrt;
mod tan;
mod tanh;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{ArrayRef, PrimitiveArray};
use arrow_schema::DataType;
use datafusion_common::ScalarValue;
use datafusion_expr::ColumnarValue;
use flott_core::types::TypeKind as K;
use flott_core::{Error, Result};

use crate::argument::{finish, map2};
use crate::decimal;
use crate::scalar::shape::fit;
use crate::scalar::{Arguments, ScalarFunction};
use crate::udf::Resolved;

/// All of them.
pub(super) const FUNCTIONS: &[ScalarFunction] = &[
    sqrt::SQRT,
    exp::EXP,
    ln::LN,
    log10::LOG10,
    log2::LOG2,
    log::LOG,
    sin::SIN,
    sinh::SINH,
    cos::COS,
    cosh::COSH,
    tan::TAN,
    tanh::TANH,
    cot::COT,
    asin::ASIN,
    acos::ACOS,
    atan::ATAN,
    atan2::ATAN2,
    degrees::DEGREES,
    radians::RADIANS,
    power::POWER,
    pi::PI,
    e::E,
    abs::ABS,
    sign::SIGN,
    floor_ceil::FLOOR,
    floor_ceil::CEIL,
    modulo::MOD,
    round_truncate::ROUND,
    round_truncate::TRUNCATE,
    rand::RAND,
    rand_integer::RAND_INTEGER,
];

fn constant(value: f64) -> Resolved {
    Resolved::new(K::Double.not_null(), move |_, _| Ok(ColumnarValue::Scalar(ScalarValue::Float64(Some(value)))))
        .infallible()
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
