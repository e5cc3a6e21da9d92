//! Comparisons, with Flink's types for them.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, BooleanArray};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::DataType;
use datafusion_common::ScalarValue;
use datafusion_expr::{ColumnarValue, Expr, Operator};
use flott_core::types::{MAX_DECIMAL_PRECISION, TypeKind as K};
use flott_core::{Error, LogicalType, Result};

use super::wrong_types;
use crate::argument::{Primitive, finish, rows_of};
use crate::cast::cast_if_needed;
use crate::context::FunctionEnv;
use crate::same_map::entries_in_order;
use crate::types::least_common_type;
use crate::udf::{Resolved, TypedExpr, call_resolved, columns};

fn name(op: Operator) -> String {
    if op == Operator::NotEq { "<>".to_string() } else { op.to_string() }
}

/// Over arguments of one type.
pub(super) fn of_one_type(op: Operator, arguments: Vec<TypedExpr>, data_type: LogicalType) -> TypedExpr {
    if let Some(answer) = of_one_column(op, &arguments) {
        return answer;
    }
    let resolved = Resolved::new(data_type, move |args, rows| compare_values(op, args, rows)).infallible();
    call_resolved(&name(op), arguments, resolved)
}

/// `left op right`, in the type in which they are compared.
pub(super) fn compare(op: Operator, left: TypedExpr, right: TypedExpr, env: &FunctionEnv) -> Result<TypedExpr> {
    if let Some(answer) = never_equal(op, &left, &right, env)? {
        return Ok(answer);
    }
    let mut common = comparable_type(&[left.data_type.clone(), right.data_type.clone()])
        .ok_or_else(|| wrong_types(&name(op), &[&left.data_type, &right.data_type]))?;
    if common.kind == K::Null {
        common = K::Boolean.nullable();
    }
    let ordered = matches!(op, Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq);
    if ordered && matches!(common.kind, K::Variant | K::Bitmap | K::Row(_)) {
        return Err(Error::user(format!("Comparable type expected, but was '{common}'."))
            .hint("Values of this type are equal or not, but none is less than another"));
    }
    let distinct = matches!(op, Operator::IsDistinctFrom | Operator::IsNotDistinctFrom);
    let nullable = !distinct && (may_be_null(&left.data_type) || may_be_null(&right.data_type));
    let (left, right) = (cast_if_needed(left, &common, env)?, cast_if_needed(right, &common, env)?);
    let data_type = K::Boolean.nullable().with_nullable(nullable);
    Ok(of_one_type(op, vec![left, right], data_type))
}

/// Whether `=` takes two types whose values are never equal, as Flink does: a text and an INTERVAL.
pub(crate) fn are_never_equal(a: &LogicalType, b: &LogicalType) -> bool {
    let one = |a: &LogicalType, b: &LogicalType| a.kind.is_character() && b.kind.is_interval();
    one(a, b) || one(b, a)
}

/// The answer about values that are never equal; `None` where they may be, or one is asked to be less.
fn never_equal(op: Operator, left: &TypedExpr, right: &TypedExpr, env: &FunctionEnv) -> Result<Option<TypedExpr>> {
    if !are_never_equal(&left.data_type, &right.data_type) {
        return Ok(None);
    }
    let is_null = |e: &TypedExpr| TypedExpr::new(Expr::IsNull(Box::new(e.expr.clone())), K::Boolean.not_null());
    let literal = |answer: bool| TypedExpr::literal(ScalarValue::Boolean(Some(answer)), K::Boolean.not_null());
    let null = || TypedExpr::literal(ScalarValue::Boolean(None), K::Boolean.nullable());
    let answer = match op {
        Operator::Eq | Operator::NotEq => {
            let may_be_null = [left, right].into_iter().filter(|e| e.data_type.nullable);
            let branches = may_be_null.map(|e| (is_null(e), null())).collect::<Vec<_>>();
            let otherwise = literal(op == Operator::NotEq);
            if branches.is_empty() { otherwise } else { super::case(branches, otherwise, env)? }
        }
        Operator::IsDistinctFrom | Operator::IsNotDistinctFrom => {
            let both = super::binary(Operator::And, is_null(left), is_null(right), env)?;
            if op == Operator::IsDistinctFrom { super::not(both) } else { both }
        }
        _ => return Ok(None),
    };
    Ok(Some(answer))
}

/// Whether the result of a comparison is declared nullable: a row counts by its fields, too, as in Calcite.
fn may_be_null(t: &LogicalType) -> bool {
    match &t.kind {
        K::Row(fields) => t.nullable || fields.iter().any(|f| may_be_null(&f.data_type)),
        _ => t.nullable,
    }
}

/// The type in which values are compared: numbers as numbers, texts as texts, a text beside anything else as that.
pub fn comparable_type(types: &[LogicalType]) -> Option<LogicalType> {
    if let Some(t) = least_common_type(types) {
        return Some(t);
    }
    let nullable = types.iter().any(|t| t.nullable);
    let others: Vec<LogicalType> = types.iter().filter(|t| !t.kind.is_character()).cloned().collect();
    if others.len() == types.len() {
        return None;
    }
    let kind = match least_common_type(&others)?.kind {
        // A text has no precision of its own: Calcite takes the decimal with half of the digits behind the point.
        K::Decimal { .. } => K::Decimal { precision: MAX_DECIMAL_PRECISION, scale: MAX_DECIMAL_PRECISION / 2 },
        other => other,
    };
    let fits = kind.is_numeric() || kind.is_datetime() || kind == K::Boolean;
    fits.then_some(LogicalType { kind, nullable })
}

fn compare_values(op: Operator, args: &[ColumnarValue], rows: usize) -> Result<ColumnarValue> {
    use arrow_ord::cmp;
    match args[0].data_type() {
        DataType::Float32 => return compare_floats::<Float32Type>(op, args, rows),
        DataType::Float64 => return compare_floats::<Float64Type>(op, args, rows),
        DataType::List(_) | DataType::Struct(_) | DataType::Map(..) => {
            let result = compare_nested(op, &columns(args, rows_of(args, rows))?)?;
            return finish(args, Arc::new(result));
        }
        _ => {}
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

/// As Java compares, also where distinctness is asked: NaN equals nothing, zeroes are equal.
fn compare_floats<T: ArrowPrimitiveType<Native: Into<f64>>>(
    op: Operator,
    args: &[ColumnarValue],
    rows: usize,
) -> Result<ColumnarValue> {
    let (l, r) = (Primitive::<T>::of(&args[0])?, Primitive::<T>::of(&args[1])?);
    let rows = rows_of(args, rows);
    if matches!(op, Operator::IsDistinctFrom | Operator::IsNotDistinctFrom) {
        let same = BooleanBuffer::collect_bool(rows, |i| match (l.get(i), r.get(i)) {
            (Some(l), Some(r)) => {
                let (l, r): (f64, f64) = (l.into(), r.into());
                l == r
            }
            (l, r) => l.is_none() && r.is_none(),
        });
        let answer = if op == Operator::IsDistinctFrom { !&same } else { same };
        return finish(args, Arc::new(BooleanArray::new(answer, None)));
    }
    let compare = |f: fn(f64, f64) -> bool| {
        let value = |p: &Primitive<T>, i: usize| -> f64 {
            match p {
                Primitive::Constant(v) => v.unwrap_or_default().into(),
                Primitive::Column(a) => a.value(i).into(),
            }
        };
        let nulls = |p: &Primitive<T>| match p {
            Primitive::Constant(None) => Some(NullBuffer::new_null(rows)),
            Primitive::Constant(_) => None,
            Primitive::Column(a) => a.nulls().cloned(),
        };
        let answer = BooleanBuffer::collect_bool(rows, |i| f(value(&l, i), value(&r, i)));
        BooleanArray::new(answer, NullBuffer::union(nulls(&l).as_ref(), nulls(&r).as_ref()))
    };
    let result = match op {
        Operator::Eq => compare(|l, r| l == r),
        Operator::NotEq => compare(|l, r| l != r),
        Operator::Lt => compare(|l, r| l < r),
        Operator::LtEq => compare(|l, r| l <= r),
        Operator::Gt => compare(|l, r| l > r),
        _ => compare(|l, r| l >= r),
    };
    finish(args, Arc::new(result))
}

fn compare_nested(op: Operator, args: &[ArrayRef]) -> Result<BooleanArray> {
    let distinct = matches!(op, Operator::IsDistinctFrom | Operator::IsNotDistinctFrom);
    let (left, right) = (entries_in_order(&args[0])?, entries_in_order(&args[1])?);
    let order = arrow_ord::ord::make_comparator(&left, &right, arrow_schema::SortOptions::default())?;
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

/// Whether a value that is there is so to itself.
fn of_itself(op: Operator) -> Option<bool> {
    match op {
        Operator::Eq | Operator::LtEq | Operator::GtEq => Some(true),
        Operator::NotEq | Operator::Lt | Operator::Gt => Some(false),
        _ => None,
    }
}

/// What is compared with itself is the same, as Calcite has it: NaN too.
fn of_one_column(op: Operator, arguments: &[TypedExpr]) -> Option<TypedExpr> {
    let [left, right] = arguments else { return None };
    if left.expr != right.expr || !matches!((&left.expr, &left.data_type.kind), (Expr::Column(_), K::Float | K::Double))
    {
        return None;
    }
    let same = of_itself(op)?;
    let data_type = K::Boolean.nullable().with_nullable(left.data_type.nullable);
    let resolved = Resolved::new(data_type, move |args, rows| {
        let column = columns(args, rows_of(args, rows))?;
        let answer =
            if same { BooleanBuffer::new_set(column[0].len()) } else { BooleanBuffer::new_unset(column[0].len()) };
        finish(args, Arc::new(BooleanArray::new(answer, column[0].nulls().cloned())))
    });
    Some(call_resolved(&name(op), arguments.to_vec(), resolved.infallible()))
}

/// What holds where a comparison of values that are there does not.
pub(super) fn opposite(comparison: &str) -> Option<Operator> {
    Some(match comparison {
        "=" => Operator::NotEq,
        "<>" => Operator::Eq,
        "<" => Operator::GtEq,
        "<=" => Operator::Gt,
        ">" => Operator::LtEq,
        ">=" => Operator::Lt,
        "IS DISTINCT FROM" => Operator::IsNotDistinctFrom,
        "IS NOT DISTINCT FROM" => Operator::IsDistinctFrom,
        _ => return None,
    })
}
