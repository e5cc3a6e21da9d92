//! Casts of literals are done while planning: `b + 1` adds a BIGINT literal to a BIGINT.
//!
//! Only casts, and only by our own cast function: a folding of other functions would need to know which of them see the
//! time or the session. A literal that cannot be cast stays, and fails (or gives NULL) where Flink lets it: at run time.

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::Schema;
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{DFSchema, ScalarValue};
use datafusion_expr::execution_props::ExecutionProps;
use datafusion_expr::{ColumnarValue, Expr, ReturnFieldArgs};
use datafusion_physical_expr::create_physical_expr;
use flott_core::Result;
use flott_core::types::{TypeKind, from_arrow_field};
use flott_function::decimal;

use super::from_datafusion;
use super::scope::Typed;

/// The expression with the casts of its literals done.
pub(crate) fn fold_casts(e: Expr) -> Result<Expr> {
    let folded = e.transform_up(|e| {
        Ok(match folded_cast(&e) {
            Some(literal) => Transformed::yes(literal),
            None => Transformed::no(e),
        })
    });
    Ok(folded.map_err(from_datafusion)?.data)
}

fn folded_cast(e: &Expr) -> Option<Expr> {
    let Expr::ScalarFunction(f) = e else { return None };
    let is_cast = matches!(f.func.name(), "CAST" | "TRY_CAST");
    if !is_cast || !matches!(f.args.as_slice(), [Expr::Literal(..)]) || e.is_volatile() {
        return None;
    }
    let field = f.func.return_field_from_args(ReturnFieldArgs { arg_fields: &[], scalar_arguments: &[] }).ok()?;
    let t = from_arrow_field(&field)?;
    // A literal is its digits: 1.1 as a FLOAT is 1.1 as a DOUBLE, too. TRY_CAST is a function like others in Flink.
    if let [Expr::Literal(ScalarValue::Float32(Some(v)), _)] = f.args.as_slice()
        && f.func.name() == "CAST"
    {
        match t.kind {
            TypeKind::Double => {
                let v = v.to_string().parse::<f64>().ok()?;
                return Some(Typed::literal(ScalarValue::Float64(Some(v)), t).expr);
            }
            TypeKind::Decimal { precision, scale } => {
                let digits = decimal::parse(&v.to_string(), precision, scale)?;
                let value = ScalarValue::Decimal128(Some(digits), precision, scale.try_into().ok()?);
                return Some(Typed::literal(value, t).expr);
            }
            _ => {}
        }
    }
    let physical = create_physical_expr(e, &DFSchema::empty(), &ExecutionProps::new(), &Default::default()).ok()?;
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let row = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).ok()?;
    let value = match physical.evaluate(&row).ok()? {
        ColumnarValue::Scalar(value) => value,
        ColumnarValue::Array(array) => ScalarValue::try_from_array(&array, 0).ok()?,
    };
    if !value.data_type().equals_datatype(field.data_type()) {
        return None;
    }
    Some(Typed::literal(value, t).expr)
}
