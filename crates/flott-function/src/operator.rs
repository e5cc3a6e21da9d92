//! Operators: arithmetic, comparison, logic, with Flink's coercions.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray, make_array};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::{DataType, TimeUnit};
use datafusion_common::ScalarValue;
use datafusion_expr::expr::Case;
use datafusion_expr::{ColumnarValue, Expr, Operator};
use flott_core::time_text::{civil_from_days, days_from_civil};
use flott_core::types::{MAX_DECIMAL_PRECISION, TypeKind};
use flott_core::{Error, LogicalType, Result};

use crate::argument::{Primitive, finish, map2, rows_of, try_map2};
use crate::cast::{cast_if_needed, too_far};
use crate::context::FunctionEnv;
use crate::decimal;
use crate::types::{as_decimal, decimal_result, interval_in_query, least_common_type};
use crate::udf::{FlinkFunction, Resolved, TypedExpr, call_resolved, columns};

use TypeKind as K;

mod comparison;
pub(crate) use comparison::are_never_equal;
pub use comparison::comparable_type;

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
        | Operator::IsNotDistinctFrom => comparison::compare(op, left, right, env),
        Operator::Modulo if left.data_type.kind.is_approximate() || right.data_type.kind.is_approximate() => {
            Err(wrong_types("%", &[&left.data_type, &right.data_type]))
        }
        Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide | Operator::Modulo => {
            arithmetic(op, left, right, env)
        }
        Operator::StringConcat => {
            crate::scalar::call("||", vec![left, right], env).unwrap_or_else(|| Err(Error::internal("|| is missing")))
        }
        other => Err(Error::user(format!("the operator {other} is not supported"))),
    }
}

fn wrong_types(op: &str, types: &[&LogicalType]) -> Error {
    let kinds: Vec<&K> = types.iter().map(|t| &t.kind).collect();
    let hint = match kinds.as_slice() {
        [K::Time(..), K::Time(..)] if op == "-" => "Write (a - b) SECOND, which is an INTERVAL",
        [a, b] if op == "-" && a.is_datetime() && b.is_datetime() => {
            "Write TIMESTAMPDIFF(SECOND, b, a) for a - b as a number, or (a - b) SECOND for an INTERVAL"
        }
        [a, b] if (a.is_interval() && b.is_character()) || (a.is_character() && b.is_interval()) => {
            "Write the text as an INTERVAL, such as INTERVAL '10' MINUTE, or CAST the interval to STRING"
        }
        _ => "Cast one of them to the other's type",
    };
    let types: Vec<_> = types.iter().map(|t| t.summary_without_nullability()).collect();
    Error::user(format!("Cannot apply '{op}' to arguments of type {}", types.join(" and "))).hint(hint)
}

/// AND and OR. They stay plain operators in the plan; [`crate::lazy::short_circuit`] makes them evaluate from left to
/// right where the right side can fail.
fn logic(op: Operator, left: TypedExpr, right: TypedExpr, env: &FunctionEnv) -> Result<TypedExpr> {
    let boolean = K::Boolean.nullable();
    for side in [&left, &right] {
        if !matches!(side.data_type.kind, K::Boolean | K::Null) {
            return Err(wrong_types(&op.to_string(), &[&left.data_type, &right.data_type]));
        }
    }
    let data_type = boolean.with_nullable(left.data_type.nullable || right.data_type.nullable);
    let (left, right) = (cast_if_needed(left, &boolean, env)?, cast_if_needed(right, &boolean, env)?);
    Ok(TypedExpr::new(datafusion_expr::binary_expr(left.expr, op, right.expr), data_type))
}

/// `NOT value`, pushed down as Calcite does it: a comparison becomes its opposite, AND and OR change places. For NaN that is
/// no detail: `NOT (x >= 1)` is `x < 1`, which is not true for it.
pub fn not(value: TypedExpr) -> TypedExpr {
    let boolean = |expr: &Expr| TypedExpr::new(expr.clone(), value.data_type.clone());
    match &value.expr {
        Expr::Not(inner) => boolean(inner),
        Expr::BinaryExpr(b) if matches!(b.op, Operator::And | Operator::Or) => {
            let op = if b.op == Operator::And { Operator::Or } else { Operator::And };
            let (left, right) = (not(boolean(&b.left)), not(boolean(&b.right)));
            TypedExpr::new(datafusion_expr::binary_expr(left.expr, op, right.expr), value.data_type)
        }
        Expr::ScalarFunction(f) => match (comparison::opposite(f.func.name()), FlinkFunction::arguments_of(f)) {
            (Some(op), types) if types.len() == f.args.len() => {
                let arguments = f.args.iter().zip(types).map(|(a, t)| TypedExpr::new(a.clone(), t.clone())).collect();
                comparison::of_one_type(op, arguments, value.data_type)
            }
            _ => TypedExpr::new(Expr::Not(Box::new(value.expr)), value.data_type),
        },
        _ => TypedExpr::new(Expr::Not(Box::new(value.expr)), value.data_type),
    }
}

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
        let (l, r) = if l == K::Null {
            (r.clone(), r)
        } else if r == K::Null {
            (l.clone(), l)
        } else {
            (l, r)
        };
        if matches!(l, K::Decimal { .. }) && !r.is_approximate()
            || matches!(r, K::Decimal { .. }) && !l.is_approximate()
        {
            return decimal_arithmetic(sign, left, right, &l, &r, env);
        }
        // The remainder has the type of the divisor.
        let remainder = (sign == '%').then(|| r.clone().nullable().with_nullable(nullable));
        // Beside a DECIMAL or a DOUBLE a FLOAT counts as the value that it is, whereas CAST takes its digits.
        let is_wide = |k: &K| matches!(k, K::Decimal { .. } | K::Double);
        let as_it_is = (l == K::Float && is_wide(&r)) || (r == K::Float && is_wide(&l));
        let common = least_common_type(&[l.nullable(), r.nullable()])
            .ok_or_else(|| wrong_types(&name, &[&left.data_type, &right.data_type]))?;
        let fit = |value: TypedExpr| match as_it_is && value.data_type.kind == K::Float {
            true => Ok(value),
            false => cast_if_needed(value, &common, env),
        };
        let (left, right) = (fit(left)?, fit(right)?);
        let resolved = Resolved::new(common.with_nullable(nullable), move |args, rows| match as_it_is {
            true => numbers(sign, &args.iter().map(widened).collect::<Result<Vec<_>>>()?, rows),
            false => numbers(sign, args, rows),
        });
        let never_fails = common.kind.is_approximate() || !matches!(sign, '/' | '%');
        let resolved = if never_fails { resolved.infallible() } else { resolved };
        let result = call_resolved(&name, vec![left, right], resolved);
        return remainder.map_or(Ok(result.clone()), |t| cast_if_needed(result, &t, env));
    }
    if sign == '*' && (l.is_interval() && r.is_integer() || l.is_integer() && r.is_interval()) {
        return repeated(left, right, nullable, env);
    }
    if let Some(resolved) = times(sign, &l, &r, nullable) {
        // A timestamp of nanoseconds may come to lie outside of what it can hold.
        let is_narrow = |k: &K| matches!(k, K::Timestamp(7.., _) | K::TimestampLtz(7.., _));
        // An INTERVAL that is computed may have more days than the days of a DATE count to.
        let is_computed = |k: &K, e: &TypedExpr| matches!(k, K::IntervalDayTime(..)) && e.constant().is_none();
        let is_far = (l == K::Date && is_computed(&r, &right)) || (r == K::Date && is_computed(&l, &left));
        let fails = is_narrow(&l) || is_narrow(&r) || is_far;
        let resolved = if fails { resolved } else { resolved.infallible() };
        return Ok(call_resolved(&name, vec![left, right], resolved));
    }
    Err(wrong_types(&name, &[&left.data_type, &right.data_type]))
}

/// FLOAT as DOUBLE, of the same value.
fn widened(value: &ColumnarValue) -> Result<ColumnarValue> {
    Ok(match value {
        ColumnarValue::Scalar(ScalarValue::Float32(v)) => ColumnarValue::Scalar(ScalarValue::Float64(v.map(f64::from))),
        ColumnarValue::Array(array) if *array.data_type() == DataType::Float32 => {
            let wide = array.as_primitive::<Float32Type>().unary::<_, Float64Type>(f64::from);
            ColumnarValue::Array(Arc::new(wide))
        }
        other => other.clone(),
    })
}

fn numbers(sign: char, args: &[ColumnarValue], rows: usize) -> Result<ColumnarValue> {
    macro_rules! integers {
        ($t:ty) => {{
            let divide = |f: fn(
                &<$t as ArrowPrimitiveType>::Native,
                <$t as ArrowPrimitiveType>::Native,
            ) -> <$t as ArrowPrimitiveType>::Native| {
                match Primitive::<$t>::of(&args[1])? {
                    // The usual case: a constant that is no zero.
                    Primitive::Constant(Some(by)) if by != 0 => map2::<$t, $t>(args, rows, |a, _| f(&a, by)),
                    Primitive::Column(by) => {
                        // Where NULL stands there may be a zero, too: it is looked for behind the loop.
                        let quotient = map2::<$t, $t>(args, rows, |a, b| f(&a, if b == 0 { 1 } else { b }))?;
                        let by = by.values();
                        let zeroes = BooleanBuffer::collect_bool(by.len(), |i| by[i] == 0);
                        let counted = quotient.nulls().map_or(zeroes.clone(), |valid| &zeroes & valid.inner());
                        if counted.count_set_bits() == 0 { Ok(quotient) } else { Err(by_zero()) }
                    }
                    _ => {
                        try_map2::<$t, $t>(args, rows, |a, b| if b == 0 { Err(by_zero()) } else { Ok(Some(f(&a, b))) })
                    }
                }
            };
            match sign {
                '+' => map2::<$t, $t>(args, rows, |a, b| a.wrapping_add(b)),
                '-' => map2::<$t, $t>(args, rows, |a, b| a.wrapping_sub(b)),
                '*' => map2::<$t, $t>(args, rows, |a, b| a.wrapping_mul(b)),
                '/' => divide(|a, b| a.wrapping_div(b)),
                _ => divide(|a, b| a.wrapping_rem(b)),
            }
            .map(|a| Arc::new(a) as ArrayRef)
        }};
    }
    // The NaN of processors has a sign, which would make it the least number: Java's has none.
    macro_rules! floats {
        ($t:ty, $nan:expr) => {{
            type Float = <$t as ArrowPrimitiveType>::Native;
            let one_nan = |v: Float| if v.is_nan() { $nan } else { v };
            match sign {
                '+' => map2::<$t, $t>(args, rows, |a, b| one_nan(a + b)),
                '-' => map2::<$t, $t>(args, rows, |a, b| one_nan(a - b)),
                '*' => map2::<$t, $t>(args, rows, |a, b| one_nan(a * b)),
                '/' => map2::<$t, $t>(args, rows, |a, b| one_nan(a / b)),
                _ => map2::<$t, $t>(args, rows, |a, b| one_nan(a % b)),
            }
            .map(|a| Arc::new(a) as ArrayRef)
        }};
    }
    let result = match args[0].data_type() {
        DataType::Int8 => integers!(Int8Type),
        DataType::Int16 => integers!(Int16Type),
        DataType::Int32 => integers!(Int32Type),
        DataType::Int64 => integers!(Int64Type),
        DataType::Float32 => floats!(Float32Type, f32::NAN),
        DataType::Float64 => floats!(Float64Type, f64::NAN),
        other => Err(Error::internal(format!("arithmetic over {other}"))),
    };
    finish(args, result?)
}

fn by_zero() -> Error {
    Error::data("division by zero").hint("Guard it: CASE WHEN divisor <> 0 THEN .. END, or NULLIF(divisor, 0)")
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
    // What does not fit is NULL. Below 38 digits everything fits.
    let whole = sign == '%' && s1 == 0 && s2 == 0;
    let all_fit = precision < MAX_DECIMAL_PRECISION || whole;
    let nullable = left.data_type.nullable || right.data_type.nullable || !all_fit;
    let data_type = as_type(precision, scale).with_nullable(nullable);
    let (left, right) = (cast_if_needed(left, &as_type(p1, s1), env)?, cast_if_needed(right, &as_type(p2, s2), env)?);
    let common = s1.max(s2);
    let (wide_l, wide_r) = (decimal::pow10(u32::from(common - s1)), decimal::pow10(u32::from(common - s2)));
    type D = Decimal128Type;
    let resolved = Resolved::new(data_type, move |args, rows| {
        let result = match sign {
            '+' if all_fit => map2::<D, D>(args, rows, |a, b| a * wide_l + b * wide_r),
            '-' if all_fit => map2::<D, D>(args, rows, |a, b| a * wide_l - b * wide_r),
            '*' if all_fit => map2::<D, D>(args, rows, |a, b| a * b),
            '+' => try_map2::<D, D>(args, rows, |a, b| Ok(decimal::add(a, s1, b, s2, scale, precision))),
            '-' => try_map2::<D, D>(args, rows, |a, b| Ok(decimal::add(a, s1, -b, s2, scale, precision))),
            '*' => try_map2::<D, D>(args, rows, |a, b| Ok(decimal::multiply(a, b, s1 + s2, scale, precision))),
            '/' => try_map2::<D, D>(args, rows, |a, b| {
                if b == 0 { Err(by_zero()) } else { Ok(decimal::divide(a, s1, b, s2, scale, precision)) }
            }),
            _ => try_map2::<D, D>(args, rows, |a, b| {
                if b == 0 { Err(by_zero()) } else { Ok(decimal::remainder(a, s1, b, s2, scale, precision)) }
            }),
        };
        finish(args, Arc::new(result?.with_precision_and_scale(precision, scale as i8)?))
    });
    let resolved = if matches!(sign, '/' | '%') { resolved } else { resolved.infallible() };
    let value = call_resolved(&sign.to_string(), vec![left, right], resolved);
    // A remainder of whole numbers has the divisor's type.
    if whole { cast_if_needed(value, &r.clone().nullable(), env) } else { Ok(value) }
}

fn interval(kind: &TypeKind, nullable: bool) -> LogicalType {
    interval_in_query(kind.clone()).nullable().with_nullable(nullable)
}

/// An interval so many times; Flink has it for whole numbers only.
fn repeated(left: TypedExpr, right: TypedExpr, nullable: bool, env: &FunctionEnv) -> Result<TypedExpr> {
    let (span, count) = if left.data_type.kind.is_interval() { (left, right) } else { (right, left) };
    let count = cast_if_needed(count, &K::BigInt.nullable(), env)?;
    let t = interval(&span.data_type.kind, nullable);
    let resolved = Resolved::arrays(t, |args, _| {
        let counts = args[1].as_primitive::<Int64Type>();
        Ok(match args[0].data_type() {
            DataType::Duration(_) => {
                let spans = args[0].as_primitive::<DurationMillisecondType>();
                let product: PrimitiveArray<DurationMillisecondType> =
                    arrow_arith::arity::binary(spans, counts, |s: i64, n: i64| s.wrapping_mul(n))?;
                Arc::new(product) as ArrayRef
            }
            _ => {
                let spans = args[0].as_primitive::<IntervalYearMonthType>();
                let product: PrimitiveArray<IntervalYearMonthType> =
                    arrow_arith::arity::binary(spans, counts, |s: i32, n: i64| s.wrapping_mul(n as i32))?;
                Arc::new(product)
            }
        })
    });
    Ok(call_resolved("*", vec![span, count], resolved.infallible()))
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
        (t, K::IntervalYearMonth(..), '+' | '-') if t.is_datetime() => {
            let t = t.clone().nullable().with_nullable(nullable).with_time_attribute(Default::default());
            Some(Resolved::new(t, move |args, rows| add_months(args, 0, 1, negate, rows)))
        }
        (K::IntervalYearMonth(..), t, '+') if t.is_datetime() => {
            let t = t.clone().nullable().with_nullable(nullable).with_time_attribute(Default::default());
            Some(Resolved::new(t, move |args, rows| add_months(args, 1, 0, false, rows)))
        }
        (K::IntervalDayTime(..), K::IntervalDayTime(..), '+' | '-') => {
            Some(Resolved::new(interval(l, nullable), move |args, rows| {
                type D = DurationMillisecondType;
                let sum = map2::<D, D>(args, rows, |a, b| if negate { a.wrapping_sub(b) } else { a.wrapping_add(b) });
                finish(args, Arc::new(sum?))
            }))
        }
        (K::IntervalYearMonth(..), K::IntervalYearMonth(..), '+' | '-') => {
            Some(Resolved::new(interval(l, nullable), move |args, rows| {
                type M = IntervalYearMonthType;
                let sum = map2::<M, M>(args, rows, |a, b| if negate { a.wrapping_sub(b) } else { a.wrapping_add(b) });
                finish(args, Arc::new(sum?))
            }))
        }
        _ => None,
    }
}

const DAY_MS: i64 = 86_400_000;

/// A time plus an interval in milliseconds, in the time's own unit.
fn add_millis(
    args: &[ColumnarValue],
    time: usize,
    interval: usize,
    negate: bool,
    rows: usize,
) -> Result<ColumnarValue> {
    // The usual case, `ts - INTERVAL '5' SECOND`: one pass over the column.
    let constant = match &args[interval] {
        ColumnarValue::Scalar(ScalarValue::DurationMillisecond(Some(ms))) => {
            Some(if negate { ms.wrapping_neg() } else { *ms })
        }
        _ => None,
    };
    let arrays = columns(args, rows_of(args, rows))?;
    let times = &arrays[time];
    let by = arrays[interval].as_primitive::<DurationMillisecondType>();
    macro_rules! apply {
        ($t:ty, $f:expr) => {{
            let values = times.as_primitive::<$t>();
            let f = $f;
            let result: PrimitiveArray<$t> = match constant {
                Some(ms) => values.unary(|v| f(v, ms)),
                None => arrow_arith::arity::binary(values, by, |v, ms: i64| {
                    f(v, if negate { ms.wrapping_neg() } else { ms })
                })?,
            };
            Arc::new(result.with_data_type(times.data_type().clone())) as ArrayRef
        }};
    }
    let result = match times.data_type() {
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            apply!(TimestampMillisecondType, |v: i64, ms: i64| v.wrapping_add(ms))
        }
        DataType::Timestamp(unit @ (TimeUnit::Microsecond | TimeUnit::Nanosecond), _) => {
            let per_ms = if *unit == TimeUnit::Nanosecond { 1_000_000 } else { 1_000 };
            let moved = |v: i64, row: usize| {
                let ms = i128::from(by.value(row));
                i128::from(v) + if negate { -ms } else { ms } * per_ms
            };
            moved_timestamps(times, by.nulls(), moved)?
        }
        // The hours that make no whole day are dropped, whichever way the interval goes.
        DataType::Date32 => {
            let days = |ms: i64| i32::try_from(if negate { ms.wrapping_neg() } else { ms } / DAY_MS);
            let days =
                |ms: i64| days(ms).map_err(|_| Error::data("integer overflow: an interval of more days than an INT"));
            let dates = times.as_primitive::<Date32Type>();
            match &args[interval] {
                ColumnarValue::Scalar(ScalarValue::DurationMillisecond(Some(ms))) => {
                    let days = days(*ms)?;
                    Arc::new(dates.unary::<_, Date32Type>(|v| v.wrapping_add(days)))
                }
                _ => {
                    let sums = dates.iter().zip(by).map(|both| match both {
                        (Some(v), Some(ms)) => Ok(Some(v.wrapping_add(days(ms)?))),
                        _ => Ok(None),
                    });
                    Arc::new(sums.collect::<Result<PrimitiveArray<Date32Type>>>()?)
                }
            }
        }
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

/// Timestamps of micro- or nanoseconds, each moved; one that its column cannot hold is an error, never another time.
fn moved_timestamps(
    times: &ArrayRef,
    nulls: Option<&NullBuffer>,
    moved: impl Fn(i64, usize) -> i128,
) -> Result<ArrayRef> {
    let nulls = NullBuffer::union(times.nulls(), nulls);
    let (per_nano, longs) = match times.data_type() {
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            (1_000, times.as_primitive::<TimestampMicrosecondType>().values())
        }
        _ => (1, times.as_primitive::<TimestampNanosecondType>().values()),
    };
    let mut out = Vec::with_capacity(longs.len());
    for (row, v) in longs.iter().enumerate() {
        if nulls.as_ref().is_some_and(|n| n.is_null(row)) {
            out.push(0);
            continue;
        }
        let v = moved(*v, row);
        out.push(i64::try_from(v).map_err(|_| too_far(v.saturating_mul(per_nano), times.data_type()))?);
    }
    let data_type = times.data_type().clone();
    Ok(match data_type {
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            Arc::new(PrimitiveArray::<TimestampMicrosecondType>::new(out.into(), nulls).with_data_type(data_type))
        }
        _ => Arc::new(PrimitiveArray::<TimestampNanosecondType>::new(out.into(), nulls).with_data_type(data_type)),
    })
}

/// A date or timestamp plus months; the day is cut to the month's length. A time of day is the same in every month.
fn add_months(
    args: &[ColumnarValue],
    time: usize,
    interval: usize,
    negate: bool,
    rows: usize,
) -> Result<ColumnarValue> {
    let arrays = columns(args, rows_of(args, rows))?;
    let times = &arrays[time];
    let by = arrays[interval].as_primitive::<IntervalYearMonthType>();
    let months = |m: i32| if negate { m.wrapping_neg() } else { m };
    macro_rules! apply {
        ($t:ty, $day:expr) => {{
            let day: i64 = $day;
            let values = times.as_primitive::<$t>();
            let result: PrimitiveArray<$t> = arrow_arith::arity::binary(values, by, |v: i64, m: i32| {
                later_day(v.div_euclid(day) as i32, months(m)).wrapping_mul(day).wrapping_add(v.rem_euclid(day))
            })?;
            Arc::new(result.with_data_type(times.data_type().clone())) as ArrayRef
        }};
    }
    let result = match times.data_type() {
        DataType::Timestamp(TimeUnit::Millisecond, _) => apply!(TimestampMillisecondType, DAY_MS),
        DataType::Timestamp(unit @ (TimeUnit::Microsecond | TimeUnit::Nanosecond), _) => {
            let day = DAY_MS * if *unit == TimeUnit::Nanosecond { 1_000_000 } else { 1_000 };
            let moved = |v: i64, row: usize| {
                let days = later_day(v.div_euclid(day) as i32, months(by.value(row)));
                i128::from(days) * i128::from(day) + i128::from(v.rem_euclid(day))
            };
            moved_timestamps(times, by.nulls(), moved)?
        }
        DataType::Date32 => {
            let values = times.as_primitive::<Date32Type>();
            let result: PrimitiveArray<Date32Type> =
                arrow_arith::arity::binary(values, by, |v: i32, m: i32| later_day(v, months(m)) as i32)?;
            Arc::new(result)
        }
        DataType::Time32(_) | DataType::Time64(_) => {
            let nulls = NullBuffer::union(times.nulls(), by.nulls());
            make_array(times.to_data().into_builder().nulls(nulls).build()?)
        }
        other => return Err(Error::internal(format!("months added to {other}"))),
    };
    finish(args, result)
}

/// A day moved by months as Flink does it, in numbers of 32 bits that wrap: it counts years from 4801 BC on, and parts of
/// years before that towards it.
fn later_day(days: i32, months: i32) -> i64 {
    let (y, m, d) = civil_from_days(i64::from(days));
    let total = (m as i32).wrapping_add(months);
    let (year, month) = match (y as i32 + total.div_euclid(12), total.rem_euclid(12) as u32) {
        (year, 0) => (year - 1, 12),
        other => other,
    };
    let d = d.min(crate::text::days_in_month(i64::from(year), month));
    if year > -4_800 {
        return i64::from(days_from_civil(i64::from(year), month, d) as i32);
    }
    let before_march = i32::from(month < 3);
    let (y, m) = (year.wrapping_add(4_800 - before_march), month as i32 + 12 * before_march - 3);
    let leap = y / 4 - y / 100 + y / 400;
    let julian = (d as i32 + (153 * m + 2) / 5).wrapping_add(y.wrapping_mul(365)).wrapping_add(leap - 32_045);
    i64::from(julian.wrapping_sub(EPOCH_JULIAN))
}

/// 1970-01-01 in the days of astronomers.
const EPOCH_JULIAN: i32 = 2_440_588;

/// A day moved by months.
pub(crate) fn shift_months(days: i64, months: i64) -> i64 {
    let (y, m, d) = civil_from_days(days);
    let total = y * 12 + i64::from(m) - 1 + months;
    let (year, month) = (total.div_euclid(12), total.rem_euclid(12) as u32 + 1);
    days_from_civil(year, month, d.min(crate::text::days_in_month(year, month)))
}

/// `-value`
pub fn negate(value: TypedExpr, _env: &FunctionEnv) -> Result<TypedExpr> {
    let kind = value.data_type.kind.clone();
    if !kind.is_numeric() && !kind.is_interval() {
        return Err(wrong_types("-", &[&value.data_type]));
    }
    let resolved = Resolved::arrays(value.data_type.clone(), |args, _| {
        macro_rules! negated {
            ($t:ty, $f:expr) => {
                Arc::new(args[0].as_primitive::<$t>().unary::<_, $t>($f)) as ArrayRef
            };
        }
        Ok(match args[0].data_type() {
            DataType::Int8 => negated!(Int8Type, i8::wrapping_neg),
            DataType::Int16 => negated!(Int16Type, i16::wrapping_neg),
            DataType::Int32 => negated!(Int32Type, i32::wrapping_neg),
            DataType::Int64 => negated!(Int64Type, i64::wrapping_neg),
            DataType::Float32 => negated!(Float32Type, |v: f32| -v),
            DataType::Float64 => negated!(Float64Type, |v: f64| -v),
            DataType::Duration(_) => negated!(DurationMillisecondType, i64::wrapping_neg),
            DataType::Interval(_) => negated!(IntervalYearMonthType, i32::wrapping_neg),
            DataType::Decimal128(p, s) => {
                let values = args[0].as_primitive::<Decimal128Type>().unary::<_, Decimal128Type>(i128::wrapping_neg);
                Arc::new(values.with_precision_and_scale(*p, *s)?)
            }
            other => return Err(Error::internal(format!("-{other}"))),
        })
    });
    Ok(call_resolved("-", vec![value], resolved.infallible()))
}

/// `CASE WHEN condition THEN value .. ELSE last END`; branches are evaluated only for their rows.
pub fn case(branches: Vec<(TypedExpr, TypedExpr)>, last: TypedExpr, env: &FunctionEnv) -> Result<TypedExpr> {
    case_of("CASE", branches, last, env)
}

/// The same, written as a function of this name.
pub(crate) fn case_of(
    name: &str,
    branches: Vec<(TypedExpr, TypedExpr)>,
    last: TypedExpr,
    env: &FunctionEnv,
) -> Result<TypedExpr> {
    let types: Vec<LogicalType> = branches.iter().map(|b| &b.1).chain([&last]).map(|t| t.data_type.clone()).collect();
    let data_type = least_common_type(&types).ok_or_else(|| {
        let types: Vec<_> = types.iter().map(LogicalType::summary_without_nullability).collect();
        Error::user(format!("The branches of {name} have no common type: {}", types.join(", ")))
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

#[cfg(test)]
mod tests;
