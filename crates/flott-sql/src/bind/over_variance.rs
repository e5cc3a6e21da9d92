//! Variances before OVER: sums of squares in the type of the result, step by step, as Flink's planner writes them. (In GROUP
//! BY they are aggregates of their own, which lose fewer digits.)

use datafusion_common::ScalarValue;
use datafusion_expr::Operator;
use flott_core::types::TypeKind;
use flott_core::{LogicalType, Result};
use flott_function::AggregateKind;

use super::expression::case_expr;
use super::functions::Functions;
use super::scope::Typed;

/// A variance or a deviation of a value: `part` adds a sum or a count over the frame.
pub(super) fn variance(
    functions: &Functions,
    kind: AggregateKind,
    value: Typed,
    result: &LogicalType,
    part: &mut dyn FnMut(AggregateKind, Typed) -> Result<Typed>,
) -> Result<Typed> {
    use AggregateKind::{Count, StddevPop, StddevSamp, Sum, VarPop};
    let fit = |v: Typed| functions.cast_if_needed(v, &result.with_nullable(true));
    let square = |v: Typed| functions.binary(Operator::Multiply, v.clone(), v);
    let value = fit(value)?;
    let squares = fit(part(Sum, fit(square(value.clone())?)?)?)?;
    let total = fit(part(Sum, value.clone())?)?;
    let count = part(Count, value)?;
    let mean = functions.binary(Operator::Divide, fit(square(total)?)?, fit(count.clone())?)?;
    let distances = fit(functions.binary(Operator::Minus, squares, fit(mean)?)?)?;
    let rows = if matches!(kind, VarPop | StddevPop) {
        fit(count)?
    } else {
        let bigint = TypeKind::BigInt.nullable();
        let one = functions.literal(ScalarValue::Int64(Some(1)), &TypeKind::BigInt.not_null())?;
        let null = functions.cast(functions.literal(ScalarValue::Null, &TypeKind::Null.nullable())?, &bigint, false)?;
        let alone = functions.binary(Operator::Eq, count.clone(), one.clone())?;
        let others = functions.binary(Operator::Minus, count, one)?;
        let expr = case_expr(vec![(alone.expr, null.expr)], Some(others.expr));
        Typed { expr, data_type: bigint }
    };
    let variance = functions.binary(Operator::Divide, distances, rows)?;
    if matches!(kind, StddevPop | StddevSamp) {
        let half = functions.literal(ScalarValue::Float64(Some(0.5)), &TypeKind::Double.not_null())?;
        return fit(functions.call("POWER", vec![fit(variance)?, half])?);
    }
    fit(variance)
}
