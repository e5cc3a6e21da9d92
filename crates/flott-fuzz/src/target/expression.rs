//! Calls of functions over texts, as constants and as columns.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use datafusion_common::{Column, DFSchema, ScalarValue};
use datafusion_expr::Expr;
use datafusion_expr::execution_props::ExecutionProps;
use datafusion_physical_expr::{PhysicalExpr, create_physical_expr};
use flott_core::types::{TypeKind, arrow_schema};
use flott_core::{LogicalType, Result};
use flott_function::cast::format_column;
use flott_function::lazy::short_circuit;
use flott_function::udf::{TypedExpr, from_datafusion};
use flott_function::{FunctionEnv, scalar};

use crate::rows;

/// A text column of this name.
pub(crate) fn column(name: &str) -> TypedExpr {
    TypedExpr::new(Expr::Column(Column::new_unqualified(name)), TypeKind::STRING.nullable())
}

/// A text that stands in the statement.
pub(crate) fn text(value: &str) -> TypedExpr {
    TypedExpr::literal(ScalarValue::Utf8(Some(value.to_string())), TypeKind::STRING.not_null())
}

/// Text columns: their names and values.
pub(crate) fn batch(columns: &[(&str, Vec<&str>)]) -> RecordBatch {
    let data_type: LogicalType = TypeKind::STRING.nullable();
    let schema = arrow_schema(columns.iter().map(|(name, _)| (*name, &data_type)));
    let arrays = columns.iter().map(|(_, values)| Arc::new(StringArray::from(values.clone())) as ArrayRef).collect();
    RecordBatch::try_new(schema, arrays).unwrap_or_else(|e| panic!("{e}"))
}

/// An expression, ready to be evaluated over these text columns.
pub(crate) fn physical(e: &TypedExpr, columns: &[&str]) -> Result<Arc<dyn PhysicalExpr>> {
    let data_type: LogicalType = TypeKind::STRING.nullable();
    let schema = arrow_schema(columns.iter().map(|name| (*name, &data_type)));
    let schema = DFSchema::try_from(schema).map_err(from_datafusion)?;
    let made = create_physical_expr(&e.expr, &schema, &ExecutionProps::new(), &Default::default());
    short_circuit(made.map_err(from_datafusion)?)
}

pub(crate) fn evaluate(e: &Arc<dyn PhysicalExpr>, batch: &RecordBatch) -> Result<ArrayRef> {
    e.evaluate(batch).and_then(|v| v.into_array(batch.num_rows())).map_err(from_datafusion)
}

/// The values as they are printed.
pub(crate) fn shown(array: &ArrayRef, data_type: &LogicalType) -> Vec<Option<String>> {
    let env = FunctionEnv::default();
    format_column(array, data_type, env.time_zone).unwrap_or_else(|e| panic!("a value cannot be printed: {e}"))
}

/// Calls a function over columns, and again with all arguments but the first as constants: both have to say the same.
pub(crate) fn both_ways(name: &str, first: &str, others: &[&str]) {
    let env = FunctionEnv::default();
    let names = ["a", "b", "c", "d"];
    let call = |arguments: Vec<TypedExpr>| {
        scalar::call(name, arguments, &env).unwrap_or_else(|| panic!("there is no function {name}"))
    };
    let columns: Vec<TypedExpr> = names.iter().take(1 + others.len()).map(|n| column(n)).collect();
    let constants: Vec<TypedExpr> = std::iter::once(column("a")).chain(others.iter().map(|o| text(o))).collect();
    let values: Vec<(&str, Vec<&str>)> = names
        .iter()
        .copied()
        .zip(std::iter::once(first).chain(others.iter().copied()))
        .map(|(n, v)| (n, vec![v]))
        .collect();
    let batch = batch(&values);
    let columns_of = |n: usize| &names[..n];
    let value = |e: TypedExpr| -> Result<(LogicalType, Vec<Option<String>>)> {
        let array = evaluate(&physical(&e, columns_of(1 + others.len()))?, &batch)?;
        Ok((e.data_type.clone(), shown(&array, &e.data_type)))
    };
    let with_columns = call(columns).and_then(value);
    let with_constants = call(constants).and_then(value);
    match (with_columns, with_constants) {
        (Ok((a_type, a)), Ok((b_type, b))) => {
            if a_type.kind == b_type.kind {
                assert_eq!(a, b, "{name}({first:?}, {others:?}) over columns and with constants");
            }
        }
        (Err(a), Err(b)) => {
            rows::refusal(&a);
            rows::refusal(&b);
        }
        // A constant that is wrong is told when the statement is planned.
        (Ok(_), Err(e)) => {
            let (kind, text) = rows::refusal(&e);
            assert!(
                kind == flott_core::ErrorKind::User,
                "{name}({first:?}, {others:?}) fails with constants alone: {text}"
            );
        }
        // Some insist on constants.
        (Err(e), Ok(_)) if e.kind() == flott_core::ErrorKind::User && e.to_string().contains("constant") => {}
        (Err(e), Ok((_, value))) => {
            panic!("{name}({first:?}, {others:?}) over columns fails: {e}; with constants {value:?}")
        }
    }
}
