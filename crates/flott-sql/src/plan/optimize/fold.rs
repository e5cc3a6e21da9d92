//! What is constant is computed once: Calcite's `ReduceExpressionsRule`. What fails stays, and fails where rows come, as in
//! Flink.
//!
//! Only operators, AND, OR, NOT and tests over literals: functions may ask for the time or the session.

mod never;

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::Schema;
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{DFSchema, ScalarValue};
use datafusion_expr::expr::ScalarFunction;
use datafusion_expr::{ColumnarValue, Expr, ExprSchemable, Operator};
use flott_core::Result;
use flott_core::types::{TypeKind, from_arrow_field};

use super::super::physical::physical_expr;
use crate::bind::window::unaliased;
use crate::bind::{Functions, Shown, Typed, from_datafusion};

/// The expression with what is constant in it computed.
pub(super) fn folded(e: Expr) -> Result<Expr> {
    let folded = e.transform_up(|e| {
        Ok(match one(&e) {
            Some(value) => Transformed::yes(value),
            None => Transformed::no(e),
        })
    });
    Ok(folded.map_err(from_datafusion)?.data)
}

/// Whether no row of these columns meets all of the conditions: what Calcite's `RexSimplify` sees.
pub(super) fn are_never_met(conditions: &[Expr], rows: &DFSchema) -> bool {
    conditions.iter().any(|e| is_never_true(e, rows)) || contradict(conditions) || never::contradict(conditions)
}

/// FALSE or NULL: no row passes.
fn is_never_true(e: &Expr, rows: &DFSchema) -> bool {
    let is_false = |e: &Expr| matches!(unaliased(e), Expr::Literal(ScalarValue::Boolean(Some(false) | None), _));
    // A condition is computed with the functions in it, which expressions in general keep.
    is_false(e)
        || compares_with_null(e)
        || never::differs_from_itself(e)
        || never::asks_for_null(e, rows)
        || never::parts_of(e).is_some_and(|all| all.into_iter().all(|part| are_never_met(&part, rows)))
        || (!e.any_column_refs() && computed(e).is_some_and(|value| is_false(&value)))
}

/// A comparison with a constant NULL, which gives NULL.
fn compares_with_null(e: &Expr) -> bool {
    let is_null = |e: &Expr| matches!(unaliased(e), Expr::Literal(value, _) if value.is_null());
    let Some(operands) = compared(e) else { return false };
    operands.iter().any(|a| is_null(a) || (!a.any_column_refs() && computed(a).is_some_and(|value| is_null(&value))))
}

/// What is compared, where the answer is NULL for a NULL.
fn compared(e: &Expr) -> Option<&[Expr]> {
    let Expr::ScalarFunction(f) = unaliased(e) else { return None };
    let compares = matches!(Functions::shown(f), Some(Shown::Operator("=" | "<>" | "<" | "<=" | ">" | ">=")));
    compares.then_some(&f.args[..])
}

/// Whether no row meets all of them, as `a = 1 AND a = 2` or `a > 5 AND a < 3`.
fn contradict(conditions: &[Expr]) -> bool {
    let mut tests: HashMap<&Expr, Vec<Vec<Test<'_>>>> = HashMap::new();
    for (operand, any) in conditions.iter().flat_map(tests_of) {
        if !operand.is_volatile() {
            tests.entry(operand).or_default().push(any);
        }
    }
    let never = |one: &[Test<'_>], other: &[Test<'_>]| one.iter().all(|a| other.iter().all(|b| exclude(*a, *b)));
    tests.values().any(|all| all.iter().enumerate().any(|(n, one)| all[..n].iter().any(|other| never(one, other))))
}

/// An operator and what it compares with; nothing for IS NULL.
type Test<'a> = (&'static str, Option<&'a ScalarValue>);

/// What a condition asks of its operand: each time one of these.
fn tests_of(e: &Expr) -> Vec<(&Expr, Vec<Test<'_>>)> {
    match unaliased(e) {
        Expr::InList(list) if list.negated => {
            let values = list.list.iter().filter_map(literal);
            values.map(|v| (unaliased(&list.expr), vec![("<>", Some(v))])).collect()
        }
        _ => test_of(e).into_iter().collect(),
    }
}

fn test_of(e: &Expr) -> Option<(&Expr, Vec<Test<'_>>)> {
    Some(match unaliased(e) {
        Expr::IsNull(x) => (unaliased(x), vec![("IS NULL", None)]),
        Expr::InList(list) => {
            let values = list.list.iter().map(|v| Some(("=", Some(literal(v)?)))).collect::<Option<_>>()?;
            (unaliased(&list.expr), values)
        }
        Expr::ScalarFunction(f) => {
            let Some(Shown::Operator(op @ ("=" | "<>" | "<" | "<=" | ">" | ">="))) = Functions::shown(f) else {
                return None;
            };
            let [left, right] = &f.args[..] else { return None };
            match (literal(left), literal(right)) {
                (None, Some(value)) => (unaliased(left), vec![(op, Some(value))]),
                (Some(value), None) => (unaliased(right), vec![(turned(op), Some(value))]),
                _ => return None,
            }
        }
        _ => return None,
    })
}

/// The literal that an expression is.
fn literal(e: &Expr) -> Option<&ScalarValue> {
    match unaliased(e) {
        Expr::Literal(value, _) => is_ordered(value).then_some(value),
        _ => None,
    }
}

/// Whether a value is less than, equal to or greater than every other of its type: floating-point numbers have NaN and -0.0.
fn is_ordered(value: &ScalarValue) -> bool {
    let t = value.data_type();
    !value.is_null() && (t.is_integer() || t.is_decimal() || t.is_temporal() || t.is_string())
}

fn turned(op: &'static str) -> &'static str {
    match op {
        "<" => ">",
        "<=" => ">=",
        ">" => "<",
        ">=" => "<=",
        other => other,
    }
}

/// Whether no value meets both.
fn exclude(a: Test<'_>, b: Test<'_>) -> bool {
    let (Some(x), Some(y)) = (a.1, b.1) else {
        // NULL compares with nothing.
        return a.1.is_some() || b.1.is_some();
    };
    if x.data_type() != y.data_type() {
        return false;
    }
    // `=` is a bound on both sides.
    let excluded = |above: &str, below: &str| matches!(above, ">" | ">=" | "=") && matches!(below, "<" | "<=" | "=");
    match x.partial_cmp(y) {
        Some(Ordering::Greater) => excluded(a.0, b.0),
        Some(Ordering::Less) => excluded(b.0, a.0),
        Some(Ordering::Equal) if a.0 == "<>" || b.0 == "<>" => a.0 == "=" || b.0 == "=",
        Some(Ordering::Equal) => {
            (matches!(a.0, "<" | ">") || matches!(b.0, "<" | ">")) && (excluded(a.0, b.0) || excluded(b.0, a.0))
        }
        None => false,
    }
}

fn truth(e: &Expr) -> Option<Option<bool>> {
    match unaliased(e) {
        Expr::Literal(ScalarValue::Boolean(b), _) => Some(*b),
        _ => None,
    }
}

fn one(e: &Expr) -> Option<Expr> {
    match e {
        Expr::BinaryExpr(b) if b.op == Operator::And => match (truth(&b.left), truth(&b.right)) {
            (Some(Some(false)), _) => Some(b.left.as_ref().clone()),
            (Some(Some(true)), _) => Some(b.right.as_ref().clone()),
            (_, Some(Some(true))) => Some(b.left.as_ref().clone()),
            _ => None,
        },
        Expr::BinaryExpr(b) if b.op == Operator::Or => match (truth(&b.left), truth(&b.right)) {
            (Some(Some(true)), _) => Some(b.left.as_ref().clone()),
            (Some(Some(false)), _) => Some(b.right.as_ref().clone()),
            (_, Some(Some(false))) => Some(b.left.as_ref().clone()),
            _ => None,
        },
        Expr::Not(x) | Expr::IsTrue(x) | Expr::IsNotTrue(x) | Expr::IsFalse(x) | Expr::IsNotFalse(x) => {
            truth(x).and_then(|_| computed(e))
        }
        Expr::IsNull(x) | Expr::IsNotNull(x) => matches!(unaliased(x), Expr::Literal(..)).then(|| computed(e))?,
        Expr::ScalarFunction(f) if is_operator(f) => computed(e),
        _ => None,
    }
}

/// An operator over literals.
fn is_operator(f: &ScalarFunction) -> bool {
    let literal = |a: &Expr| matches!(unaliased(a), Expr::Literal(..));
    matches!(Functions::shown(f), Some(Shown::Operator(_))) && !f.args.is_empty() && f.args.iter().all(literal)
}

fn computed(e: &Expr) -> Option<Expr> {
    if e.is_volatile() {
        return None;
    }
    let nothing = DFSchema::empty();
    let (_, field) = e.to_field(&nothing).ok()?;
    let t = match e {
        Expr::ScalarFunction(_) => from_arrow_field(&field)?,
        _ => TypeKind::Boolean.nullable(),
    };
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let row = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).ok()?;
    let value = match physical_expr(e, &nothing).ok()?.evaluate(&row).ok()? {
        ColumnarValue::Scalar(value) => value,
        ColumnarValue::Array(array) => ScalarValue::try_from_array(&array, 0).ok()?,
    };
    if !value.data_type().equals_datatype(field.data_type()) {
        return None;
    }
    Some(Typed::literal(value, t).expr)
}
