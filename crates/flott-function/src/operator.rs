//! Operators: arithmetic, comparison, logic, with Flink's coercions.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, BooleanArray, Decimal128Array, PrimitiveArray};
use arrow_schema::{DataType, TimeUnit};
use datafusion_common::ScalarValue;
use datafusion_expr::expr::Case;
use datafusion_expr::{ColumnarValue, Expr, Operator};
use flott_core::time_text::{civil_from_days, days_from_civil};
use flott_core::types::{DayTimeResolution, TypeKind};
use flott_core::{Error, LogicalType, Result};

use crate::cast::{cast, cast_if_needed};
use crate::context::FunctionEnv;
use crate::decimal;
use crate::types::{as_decimal, decimal_result, least_common_type};
use crate::udf::{Resolved, TypedExpr, call_resolved, columns};

use TypeKind as K;

/// `left op right`.
pub fn binary(op: Operator, left: TypedExpr, right: TypedExpr, env: &FunctionEnv) -> Result<TypedExpr> {
    match op {
        Operator::And | Operator::Or => logic(op, left, right, env),
        Operator::Eq
        | Operator::NotEq
        | Operator::Lt
        | Operator::LtEq
        | Operator::Gt
        | Operator::GtEq
        | Operator::IsDistinctFrom
        | Operator::IsNotDistinctFrom => compare(op, left, right, env),
        Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide | Operator::Modulo => {
            arithmetic(op, left, right, env)
        }
        Operator::StringConcat => crate::scalar::call("CONCAT", vec![left, right], env)
            .unwrap_or_else(|| Err(Error::internal("CONCAT is missing"))),
        other => Err(Error::user(format!("the operator {other} is not supported"))),
    }
}

fn wrong_types(op: &str, types: &[&LogicalType]) -> Error {
    let types: Vec<_> = types.iter().map(|t| t.summary_without_nullability()).collect();
    Error::user(format!("Cannot apply '{op}' to arguments of type {}", types.join(" and ")))
        .hint("Cast one of them to the other's type")
}

/// AND and OR from left to right: the right side is evaluated only for rows that the left does not decide, so that it
/// cannot fail for the others.
fn logic(op: Operator, left: TypedExpr, right: TypedExpr, env: &FunctionEnv) -> Result<TypedExpr> {
    let boolean = K::Boolean.nullable();
    for side in [&left, &right] {
        if !matches!(side.data_type.kind, K::Boolean | K::Null) {
            return Err(wrong_types(&op.to_string(), &[&left.data_type, &right.data_type]));
        }
    }
    let nullable = left.data_type.nullable || right.data_type.nullable;
    let (left, right) = (cast_if_needed(left, &boolean, env)?, cast_if_needed(right, &boolean, env)?);
    let data_type = K::Boolean.nullable().with_nullable(nullable);
    if !can_fail(&right.expr) {
        return Ok(TypedExpr::new(datafusion_expr::binary_expr(left.expr, op, right.expr), data_type));
    }
    // Decided rows first; then the eager operator over the rest, which CASE evaluates on those rows alone.
    let decided = op == Operator::Or;
    let condition = if decided { left.expr.clone() } else { Expr::Not(Box::new(left.expr.clone())) };
    let condition = Expr::IsTrue(Box::new(condition));
    let value = Expr::Literal(ScalarValue::Boolean(Some(decided)), None);
    let rest = datafusion_expr::binary_expr(left.expr, op, right.expr);
    let case = Case::new(None, vec![(Box::new(condition), Box::new(value))], Some(Box::new(rest)));
    Ok(TypedExpr::new(Expr::Case(case), data_type))
}

/// Whether evaluating an expression can fail for some row: casts, divisions and whatever is not known to be harmless.
fn can_fail(expr: &Expr) -> bool {
    match expr {
        Expr::Column(_) | Expr::Literal(..) => false,
        Expr::IsNull(e) | Expr::IsNotNull(e) | Expr::Not(e) | Expr::IsTrue(e) | Expr::IsFalse(e) | Expr::Alias(datafusion_expr::expr::Alias { expr: e, .. }) => {
            can_fail(e)
        }
        Expr::BinaryExpr(b) => can_fail(&b.left) || can_fail(&b.right),
        Expr::ScalarFunction(f) => {
            const HARMLESS: [&str; 8] = ["=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"];
            !HARMLESS.contains(&f.func.name()) || f.args.iter().any(can_fail)
        }
        _ => true,
    }
}

// --- comparison ---

fn compare(op: Operator, left: TypedExpr, right: TypedExpr, env: &FunctionEnv) -> Result<TypedExpr> {
    let name = match op {
        Operator::NotEq => "<>".to_string(),
        other => other.to_string(),
    };
    let common = comparable_type(&[left.data_type.clone(), right.data_type.clone()])
        .ok_or_else(|| wrong_types(&name, &[&left.data_type, &right.data_type]))?;
    let distinct = matches!(op, Operator::IsDistinctFrom | Operator::IsNotDistinctFrom);
    let nullable = !distinct && (left.data_type.nullable || right.data_type.nullable);
    let (left, right) = (cast_if_needed(left, &common, env)?, cast_if_needed(right, &common, env)?);
    let data_type = K::Boolean.nullable().with_nullable(nullable);
    let resolved = Resolved::new(data_type, move |args, rows| compare_values(op, args, rows));
    Ok(call_resolved(&name, vec![left, right], resolved))
}

/// The type in which values are compared: numbers as numbers, texts as texts, a text beside a time as a time.
pub fn comparable_type(types: &[LogicalType]) -> Option<LogicalType> {
    if let Some(t) = least_common_type(types) {
        return Some(t);
    }
    let nullable = types.iter().any(|t| t.nullable);
    let others: Vec<LogicalType> = types.iter().filter(|t| !t.kind.is_character()).cloned().collect();
    if others.len() == types.len() {
        return None;
    }
    let t = least_common_type(&others)?;
    let numeric = if t.kind.is_integer() || matches!(t.kind, K::Decimal { .. }) { K::Double } else { t.kind };
    let fits = numeric.is_numeric() || numeric.is_datetime() || numeric == K::Boolean;
    fits.then_some(LogicalType { kind: numeric, nullable })
}

fn compare_values(op: Operator, args: &[ColumnarValue], rows: usize) -> Result<ColumnarValue> {
    use arrow_ord::cmp;
    let floating = matches!(args[0].data_type(), DataType::Float32 | DataType::Float64);
    let nested = matches!(args[0].data_type(), DataType::List(_) | DataType::Struct(_) | DataType::Map(..));
    if floating || nested || matches!(args[0].data_type(), DataType::Null) {
        let arrays = columns(args, rows)?;
        let result = if floating { compare_floats(op, &arrays)? } else { compare_nested(op, &arrays)? };
        return Ok(ColumnarValue::Array(Arc::new(result)));
    }
    let kernel = |l: &dyn arrow_array::Datum, r: &dyn arrow_array::Datum| match op {
        Operator::Eq => cmp::eq(l, r),
        Operator::NotEq => cmp::neq(l, r),
        Operator::Lt => cmp::lt(l, r),
        Operator::LtEq => cmp::lt_eq(l, r),
        Operator::Gt => cmp::gt(l, r),
        Operator::GtEq => cmp::gt_eq(l, r),
        Operator::IsDistinctFrom => cmp::distinct(l, r),
        _ => cmp::not_distinct(l, r),
    };
    with_datums(args, kernel)
}

/// Calls a kernel without expanding constants.
fn with_datums<R: Array + 'static>(
    args: &[ColumnarValue],
    kernel: impl Fn(&dyn arrow_array::Datum, &dyn arrow_array::Datum) -> Result<R, arrow_schema::ArrowError>,
) -> Result<ColumnarValue> {
    let scalar = |v: &ScalarValue| v.to_scalar().map_err(crate::udf::from_datafusion);
    let result: ArrayRef = match (&args[0], &args[1]) {
        (ColumnarValue::Array(l), ColumnarValue::Array(r)) => Arc::new(kernel(l, r)?),
        (ColumnarValue::Array(l), ColumnarValue::Scalar(r)) => Arc::new(kernel(l, &scalar(r)?)?),
        (ColumnarValue::Scalar(l), ColumnarValue::Array(r)) => Arc::new(kernel(&scalar(l)?, r)?),
        (ColumnarValue::Scalar(l), ColumnarValue::Scalar(r)) => {
            let result: ArrayRef = Arc::new(kernel(&scalar(l)?, &scalar(r)?)?);
            let value = ScalarValue::try_from_array(&result, 0).map_err(crate::udf::from_datafusion)?;
            return Ok(ColumnarValue::Scalar(value));
        }
    };
    Ok(ColumnarValue::Array(result))
}

/// As Java compares: NaN equals nothing, zeroes are equal; where distinctness is asked, NaN is one value.
fn compare_floats(op: Operator, args: &[ArrayRef]) -> Result<BooleanArray> {
    let wide = |a: &ArrayRef| -> Vec<Option<f64>> {
        match a.data_type() {
            DataType::Float32 => a.as_primitive::<Float32Type>().iter().map(|v| v.map(f64::from)).collect(),
            _ => a.as_primitive::<Float64Type>().iter().collect(),
        }
    };
    let (l, r) = (wide(&args[0]), wide(&args[1]));
    Ok(l.into_iter()
        .zip(r)
        .map(|(l, r)| {
            let same = || match (l, r) {
                (Some(l), Some(r)) => l == r || (l.is_nan() && r.is_nan()),
                (l, r) => l.is_none() && r.is_none(),
            };
            match op {
                Operator::IsDistinctFrom => Some(!same()),
                Operator::IsNotDistinctFrom => Some(same()),
                _ => {
                    let (l, r) = (l?, r?);
                    Some(match op {
                        Operator::Eq => l == r,
                        Operator::NotEq => l != r,
                        Operator::Lt => l < r,
                        Operator::LtEq => l <= r,
                        Operator::Gt => l > r,
                        _ => l >= r,
                    })
                }
            }
        })
        .collect())
}

fn compare_nested(op: Operator, args: &[ArrayRef]) -> Result<BooleanArray> {
    let distinct = matches!(op, Operator::IsDistinctFrom | Operator::IsNotDistinctFrom);
    let order = arrow_ord::ord::make_comparator(&args[0], &args[1], arrow_schema::SortOptions::default())?;
    Ok((0..args[0].len())
        .map(|i| {
            if !distinct && (args[0].is_null(i) || args[1].is_null(i)) {
                return None;
            }
            let o = order(i, i);
            Some(match op {
                Operator::Eq | Operator::IsNotDistinctFrom => o == Ordering::Equal,
                Operator::NotEq | Operator::IsDistinctFrom => o != Ordering::Equal,
                Operator::Lt => o == Ordering::Less,
                Operator::LtEq => o != Ordering::Greater,
                Operator::Gt => o == Ordering::Greater,
                _ => o != Ordering::Less,
            })
        })
        .collect())
}

// --- arithmetic ---

fn arithmetic(op: Operator, left: TypedExpr, right: TypedExpr, env: &FunctionEnv) -> Result<TypedExpr> {
    let sign = match op {
        Operator::Plus => '+',
        Operator::Minus => '-',
        Operator::Multiply => '*',
        Operator::Divide => '/',
        _ => '%',
    };
    let name = sign.to_string();
    let nullable = left.data_type.nullable || right.data_type.nullable;
    let (l, r) = (left.data_type.kind.clone(), right.data_type.kind.clone());
    if l.is_numeric() && r.is_numeric() || (l == K::Null && r.is_numeric()) || (l.is_numeric() && r == K::Null) {
        let (l, r) = if l == K::Null { (r.clone(), r) } else if r == K::Null { (l.clone(), l) } else { (l, r) };
        if matches!(l, K::Decimal { .. }) && !r.is_approximate() || matches!(r, K::Decimal { .. }) && !l.is_approximate() {
            return decimal_arithmetic(sign, left, right, &l, &r, env);
        }
        let common = least_common_type(&[l.nullable(), r.nullable()])
            .ok_or_else(|| wrong_types(&name, &[&left.data_type, &right.data_type]))?;
        let (left, right) = (cast_if_needed(left, &common, env)?, cast_if_needed(right, &common, env)?);
        let resolved = Resolved::new(common.with_nullable(nullable), move |args, rows| numbers(sign, args, rows));
        return Ok(call_resolved(&name, vec![left, right], resolved));
    }
    if let Some(resolved) = times(sign, &l, &r, nullable) {
        return Ok(call_resolved(&name, vec![left, right], resolved));
    }
    Err(wrong_types(&name, &[&left.data_type, &right.data_type]))
}

fn numbers(sign: char, args: &[ColumnarValue], rows: usize) -> Result<ColumnarValue> {
    macro_rules! integers {
        ($t:ty) => {
            match sign {
                '+' => map2::<$t>(args, rows, |a, b| Ok(a.wrapping_add(b))),
                '-' => map2::<$t>(args, rows, |a, b| Ok(a.wrapping_sub(b))),
                '*' => map2::<$t>(args, rows, |a, b| Ok(a.wrapping_mul(b))),
                '/' => map2::<$t>(args, rows, |a, b| if b == 0 { Err(by_zero()) } else { Ok(a.wrapping_div(b)) }),
                _ => map2::<$t>(args, rows, |a, b| if b == 0 { Err(by_zero()) } else { Ok(a.wrapping_rem(b)) }),
            }
        };
    }
    macro_rules! floats {
        ($t:ty) => {
            match sign {
                '+' => map2::<$t>(args, rows, |a, b| Ok(a + b)),
                '-' => map2::<$t>(args, rows, |a, b| Ok(a - b)),
                '*' => map2::<$t>(args, rows, |a, b| Ok(a * b)),
                '/' => map2::<$t>(args, rows, |a, b| Ok(a / b)),
                _ => map2::<$t>(args, rows, |a, b| Ok(a % b)),
            }
        };
    }
    match args[0].data_type() {
        DataType::Int8 => integers!(Int8Type),
        DataType::Int16 => integers!(Int16Type),
        DataType::Int32 => integers!(Int32Type),
        DataType::Int64 => integers!(Int64Type),
        DataType::Float32 => floats!(Float32Type),
        DataType::Float64 => floats!(Float64Type),
        other => Err(Error::internal(format!("arithmetic over {other}"))),
    }
}

fn by_zero() -> Error {
    Error::data("division by zero").hint("Guard it: CASE WHEN divisor <> 0 THEN .. END, or NULLIF(divisor, 0)")
}

/// A binary kernel over two primitive columns of one type; constants are not expanded.
fn map2<T: ArrowPrimitiveType>(
    args: &[ColumnarValue],
    rows: usize,
    f: impl Fn(T::Native, T::Native) -> Result<T::Native>,
) -> Result<ColumnarValue> {
    let arrays = columns(args, if args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_))) { 1 } else { rows })?;
    let (l, r) = (arrays[0].as_primitive::<T>(), arrays[1].as_primitive::<T>());
    let nulls = arrow_buffer::NullBuffer::union(l.nulls(), r.nulls());
    let mut out: Vec<T::Native> = Vec::with_capacity(l.len());
    match &nulls {
        None => {
            for (a, b) in l.values().iter().zip(r.values()) {
                out.push(f(*a, *b)?);
            }
        }
        Some(nulls) => {
            for (i, (a, b)) in l.values().iter().zip(r.values()).enumerate() {
                out.push(if nulls.is_valid(i) { f(*a, *b)? } else { T::Native::default() });
            }
        }
    }
    let result = PrimitiveArray::<T>::new(out.into(), nulls).with_data_type(arrays[0].data_type().clone());
    finish(args, Arc::new(result))
}

/// A constant where all arguments are constants.
fn finish(args: &[ColumnarValue], result: ArrayRef) -> Result<ColumnarValue> {
    if args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_))) && result.len() == 1 {
        let value = ScalarValue::try_from_array(&result, 0).map_err(crate::udf::from_datafusion)?;
        return Ok(ColumnarValue::Scalar(value));
    }
    Ok(ColumnarValue::Array(result))
}

fn decimal_arithmetic(
    sign: char,
    left: TypedExpr,
    right: TypedExpr,
    l: &TypeKind,
    r: &TypeKind,
    env: &FunctionEnv,
) -> Result<TypedExpr> {
    let (Some((p1, s1)), Some((p2, s2))) = (as_decimal(l), as_decimal(r)) else {
        return Err(wrong_types(&sign.to_string(), &[&left.data_type, &right.data_type]));
    };
    let K::Decimal { precision, scale } = decimal_result(sign, (p1, s1), (p2, s2)) else {
        return Err(Error::internal("a decimal result of another type"));
    };
    let as_type = |p, s| K::Decimal { precision: p, scale: s }.nullable();
    // What does not fit is NULL, so every result is nullable.
    let data_type = as_type(precision, scale);
    let (left, right) = (cast_if_needed(left, &as_type(p1, s1), env)?, cast_if_needed(right, &as_type(p2, s2), env)?);
    let resolved = Resolved::arrays(data_type, move |args, _| {
        let (l, r) = (args[0].as_primitive::<Decimal128Type>(), args[1].as_primitive::<Decimal128Type>());
        let mut out = Vec::with_capacity(l.len());
        for (a, b) in l.iter().zip(r.iter()) {
            let (Some(a), Some(b)) = (a, b) else {
                out.push(None);
                continue;
            };
            out.push(match sign {
                '*' => decimal::multiply(a, b, s1 + s2, scale, precision),
                '/' | '%' if b == 0 => return Err(by_zero()),
                '/' => decimal::divide(a, s1, b, s2, scale, precision),
                _ => {
                    let common = s1.max(s2);
                    let (a, b) = (decimal::rescale(a, s1, common, 39), decimal::rescale(b, s2, common, 39));
                    let (Some(a), Some(b)) = (a, b) else {
                        out.push(None);
                        continue;
                    };
                    let value = match sign {
                        '+' => a.checked_add(b),
                        '-' => a.checked_sub(b),
                        _ => a.checked_rem(b),
                    };
                    value.and_then(|v| decimal::rescale(v, common, scale, precision))
                }
            });
        }
        Ok(Arc::new(Decimal128Array::from(out).with_precision_and_scale(precision, scale as i8)?))
    });
    Ok(call_resolved(&sign.to_string(), vec![left, right], resolved))
}

/// Dates, times and intervals.
fn times(sign: char, l: &TypeKind, r: &TypeKind, nullable: bool) -> Option<Resolved> {
    let negate = sign == '-';
    match (l, r, sign) {
        (t, K::IntervalDayTime(..), '+' | '-') if t.is_datetime() => {
            let t = t.clone().nullable().with_nullable(nullable).with_time_attribute(Default::default());
            Some(Resolved::new(t, move |args, rows| add_millis(args, 0, 1, negate, rows)))
        }
        (K::IntervalDayTime(..), t, '+') if t.is_datetime() => {
            let t = t.clone().nullable().with_nullable(nullable).with_time_attribute(Default::default());
            Some(Resolved::new(t, move |args, rows| add_millis(args, 1, 0, false, rows)))
        }
        (t, K::IntervalYearMonth(..), '+' | '-') if t.is_datetime() && !matches!(t, K::Time(_)) => {
            let t = t.clone().nullable().with_nullable(nullable).with_time_attribute(Default::default());
            Some(Resolved::new(t, move |args, rows| add_months(args, 0, 1, negate, rows)))
        }
        (K::IntervalYearMonth(..), t, '+') if t.is_datetime() && !matches!(t, K::Time(_)) => {
            let t = t.clone().nullable().with_nullable(nullable).with_time_attribute(Default::default());
            Some(Resolved::new(t, move |args, rows| add_months(args, 1, 0, false, rows)))
        }
        (K::IntervalDayTime(..), K::IntervalDayTime(..), '+' | '-') => {
            let t = K::IntervalDayTime(DayTimeResolution::DayToSecond, 2, 6).nullable().with_nullable(nullable);
            Some(Resolved::new(t, move |args, rows| {
                map2::<DurationMillisecondType>(args, rows, |a, b| Ok(if negate { a.wrapping_sub(b) } else { a.wrapping_add(b) }))
            }))
        }
        (K::IntervalYearMonth(..), K::IntervalYearMonth(..), '+' | '-') => {
            let t = l.clone().nullable().with_nullable(nullable);
            Some(Resolved::new(t, move |args, rows| {
                map2::<IntervalYearMonthType>(args, rows, |a, b| Ok(if negate { a.wrapping_sub(b) } else { a.wrapping_add(b) }))
            }))
        }
        _ => None,
    }
}

const DAY_MS: i64 = 86_400_000;

/// A time plus an interval in milliseconds, in the time's own unit.
fn add_millis(args: &[ColumnarValue], time: usize, interval: usize, negate: bool, rows: usize) -> Result<ColumnarValue> {
    // The usual case, `ts - INTERVAL '5' SECOND`: one pass over the column.
    let constant = match &args[interval] {
        ColumnarValue::Scalar(ScalarValue::DurationMillisecond(Some(ms))) => Some(if negate { -*ms } else { *ms }),
        _ => None,
    };
    let arrays = columns(args, if args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_))) { 1 } else { rows })?;
    let times = &arrays[time];
    let by = arrays[interval].as_primitive::<DurationMillisecondType>();
    macro_rules! apply {
        ($t:ty, $f:expr) => {{
            let values = times.as_primitive::<$t>();
            let f = $f;
            let result: PrimitiveArray<$t> = match constant {
                Some(ms) => values.unary(|v| f(v, ms)),
                None => arrow_arith::arity::binary(values, by, |v, ms: i64| f(v, if negate { ms.wrapping_neg() } else { ms }))?,
            };
            Arc::new(result.with_data_type(times.data_type().clone())) as ArrayRef
        }};
    }
    let result = match times.data_type() {
        DataType::Timestamp(TimeUnit::Millisecond, _) => apply!(TimestampMillisecondType, |v: i64, ms: i64| v.wrapping_add(ms)),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            apply!(TimestampMicrosecondType, |v: i64, ms: i64| v.wrapping_add(ms.wrapping_mul(1_000)))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            apply!(TimestampNanosecondType, |v: i64, ms: i64| v.wrapping_add(ms.wrapping_mul(1_000_000)))
        }
        DataType::Date32 => apply!(Date32Type, |v: i32, ms: i64| v.wrapping_add(ms.div_euclid(DAY_MS) as i32)),
        DataType::Time32(TimeUnit::Millisecond) => {
            apply!(Time32MillisecondType, |v: i32, ms: i64| (i64::from(v).wrapping_add(ms)).rem_euclid(DAY_MS) as i32)
        }
        DataType::Time64(TimeUnit::Microsecond) => apply!(Time64MicrosecondType, |v: i64, ms: i64| v
            .wrapping_add(ms.wrapping_mul(1_000))
            .rem_euclid(DAY_MS * 1_000)),
        DataType::Time64(TimeUnit::Nanosecond) => apply!(Time64NanosecondType, |v: i64, ms: i64| v
            .wrapping_add(ms.wrapping_mul(1_000_000))
            .rem_euclid(DAY_MS * 1_000_000)),
        other => return Err(Error::internal(format!("an interval added to {other}"))),
    };
    finish(args, result)
}

/// A date or timestamp plus months; the day is cut to the month's length.
fn add_months(args: &[ColumnarValue], time: usize, interval: usize, negate: bool, rows: usize) -> Result<ColumnarValue> {
    let arrays = columns(args, if args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_))) { 1 } else { rows })?;
    let times = &arrays[time];
    let by = arrays[interval].as_primitive::<IntervalYearMonthType>();
    let months = |m: i32| i64::from(if negate { m.wrapping_neg() } else { m });
    macro_rules! apply {
        ($t:ty, $day:expr) => {{
            let day: i64 = $day;
            let values = times.as_primitive::<$t>();
            let result: PrimitiveArray<$t> = arrow_arith::arity::binary(values, by, |v: i64, m: i32| {
                shift_months(v.div_euclid(day), months(m)) * day + v.rem_euclid(day)
            })?;
            Arc::new(result.with_data_type(times.data_type().clone())) as ArrayRef
        }};
    }
    let result = match times.data_type() {
        DataType::Timestamp(TimeUnit::Millisecond, _) => apply!(TimestampMillisecondType, DAY_MS),
        DataType::Timestamp(TimeUnit::Microsecond, _) => apply!(TimestampMicrosecondType, DAY_MS * 1_000),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => apply!(TimestampNanosecondType, DAY_MS * 1_000_000),
        DataType::Date32 => {
            let values = times.as_primitive::<Date32Type>();
            let result: PrimitiveArray<Date32Type> = arrow_arith::arity::binary(values, by, |v: i32, m: i32| {
                shift_months(i64::from(v), months(m)) as i32
            })?;
            Arc::new(result)
        }
        other => return Err(Error::internal(format!("months added to {other}"))),
    };
    finish(args, result)
}

/// A day moved by months.
pub(crate) fn shift_months(days: i64, months: i64) -> i64 {
    let (y, m, d) = civil_from_days(days);
    let total = y * 12 + i64::from(m) - 1 + months;
    let (year, month) = (total.div_euclid(12), total.rem_euclid(12) as u32 + 1);
    days_from_civil(year, month, d.min(crate::text::days_in_month(year, month)))
}

/// `-value`
pub fn negate(value: TypedExpr, env: &FunctionEnv) -> Result<TypedExpr> {
    let kind = value.data_type.kind.clone();
    if kind.is_interval() {
        let t = value.data_type.clone();
        let resolved = Resolved::arrays(t, |args, _| {
            Ok(match args[0].data_type() {
                DataType::Duration(_) => {
                    Arc::new(args[0].as_primitive::<DurationMillisecondType>().unary::<_, DurationMillisecondType>(i64::wrapping_neg))
                }
                _ => Arc::new(args[0].as_primitive::<IntervalYearMonthType>().unary::<_, IntervalYearMonthType>(i32::wrapping_neg)),
            })
        });
        return Ok(call_resolved("-", vec![value], resolved));
    }
    if !kind.is_numeric() {
        return Err(wrong_types("-", &[&value.data_type]));
    }
    let t = value.data_type.clone();
    let zero = cast(TypedExpr::literal(ScalarValue::Int32(Some(0)), K::Int.not_null()), &kind.not_null(), false, env)?;
    let negated = binary(Operator::Minus, zero, value, env)?;
    cast_if_needed(negated, &t, env)
}

/// `CASE WHEN condition THEN value .. ELSE last END`; branches are evaluated only for their rows.
pub fn case(branches: Vec<(TypedExpr, TypedExpr)>, last: TypedExpr, env: &FunctionEnv) -> Result<TypedExpr> {
    let types: Vec<LogicalType> = branches.iter().map(|b| &b.1).chain([&last]).map(|t| t.data_type.clone()).collect();
    let data_type = least_common_type(&types).ok_or_else(|| {
        let types: Vec<_> = types.iter().map(LogicalType::summary_without_nullability).collect();
        Error::user(format!("The branches of CASE have no common type: {}", types.join(", ")))
            .hint("Cast them to one type")
    })?;
    let branches = branches
        .into_iter()
        .map(|(when, then)| {
            let when = cast_if_needed(when, &K::Boolean.nullable(), env)?;
            Ok((Box::new(when.expr), Box::new(cast_if_needed(then, &data_type, env)?.expr)))
        })
        .collect::<Result<Vec<_>>>()?;
    let last = cast_if_needed(last, &data_type, env)?;
    // The field of a CASE is its first branch's in DataFusion; the common type is what a cast-less call pins.
    let case = TypedExpr::new(Expr::Case(Case::new(None, branches, Some(Box::new(last.expr)))), data_type.clone());
    Ok(call_resolved("CASE", vec![case], Resolved::new(data_type, |args, _| Ok(args[0].clone()))))
}
