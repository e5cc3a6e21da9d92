//! What is constant is computed once: Calcite's `ReduceExpressionsRule`. What fails stays, and fails where rows come, as in
//! Flink.
//!
//! Only operators, AND, OR, NOT and tests over literals: functions may ask for the time or the session.

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

/// FALSE or NULL: no row passes.
pub(super) fn is_never_true(e: &Expr) -> bool {
    matches!(unaliased(e), Expr::Literal(ScalarValue::Boolean(Some(false) | None), _))
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
