//! Expressions, computed over batches, and what holds of each result.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, SchemaRef};
use arrow_select::concat::concat;
use datafusion_common::{Column, DFSchema, ScalarValue};
use datafusion_expr::execution_props::ExecutionProps;
use datafusion_expr::{Expr, Volatility};
use datafusion_physical_expr::{PhysicalExpr, ScalarFunctionExpr, create_physical_expr};
use flott_core::types::{TimeAttribute, arrow_schema, arrow_type, from_arrow_field};
use flott_core::{Error, ErrorKind, LogicalType, SessionZone};
use flott_function::cast::format_column;
use flott_function::lazy::{evaluate_lists, short_circuit};
use flott_function::udf::{TypedExpr, from_datafusion};
use flott_testkit::{Value, record_batch};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use crate::any_input::values::value;

/// The most rows of a batch; of some there are none.
const ROWS_MAX: usize = 7;

/// The column at a place.
pub(crate) fn column(place: usize, t: &LogicalType) -> TypedExpr {
    TypedExpr::new(Expr::Column(Column::new_unqualified(name(place))), t.clone())
}

/// Its name.
pub(crate) fn name(place: usize) -> String {
    format!("c{place}")
}

/// Columns of these types.
pub(crate) fn schema(types: &[LogicalType]) -> SchemaRef {
    let names: Vec<String> = (0..types.len()).map(name).collect();
    arrow_schema(names.iter().map(String::as_str).zip(types))
}

/// Rows of these types.
pub(crate) fn rows(types: &[LogicalType]) -> impl Strategy<Value = Vec<Vec<Value>>> + use<> {
    vec(types.iter().map(value).collect::<Vec<_>>(), 0..=ROWS_MAX)
}

/// A value as a constant of an expression.
pub(crate) fn constant(value: Value, t: &LogicalType) -> TypedExpr {
    let row = record_batch(&schema(std::slice::from_ref(t)), &[vec![value]]).unwrap_or_else(|e| panic!("{t}: {e}"));
    let row = row.column(0);
    let scalar = match row.data_type() {
        DataType::List(_) if row.is_valid(0) => ScalarValue::List(Arc::new(row.as_list::<i32>().clone())),
        DataType::Struct(_) if row.is_valid(0) => ScalarValue::Struct(Arc::new(row.as_struct().clone())),
        DataType::Map(..) if row.is_valid(0) => ScalarValue::Map(Arc::new(row.as_map().clone())),
        _ => ScalarValue::try_from_array(row, 0).expect("a value"),
    };
    TypedExpr::literal(scalar, t.clone())
}

/// An expression over columns of its own.
pub(crate) struct Computed {
    shown: String,
    data_type: LogicalType,
    columns: Vec<LogicalType>,
    schema: SchemaRef,
    physical: Arc<dyn PhysicalExpr>,
    zone: SessionZone,
    is_deterministic: bool,
    /// Whether no value of its arguments may make it fail.
    pub(crate) never_fails: bool,
}

impl Computed {
    /// An expression over columns of these types, as a planner makes it ready.
    pub(crate) fn new(e: &TypedExpr, columns: &[LogicalType], zone: SessionZone) -> Result<Computed, Error> {
        let schema = schema(columns);
        let df = DFSchema::try_from(Arc::clone(&schema)).map_err(from_datafusion)?;
        let physical = create_physical_expr(&e.expr, &df, &ExecutionProps::new(), &Default::default());
        let physical = evaluate_lists(physical.map_err(from_datafusion)?, &schema)?;
        let physical = short_circuit(physical)?;
        let types: Vec<String> = columns.iter().map(ToString::to_string).collect();
        Ok(Computed {
            shown: format!("{} -> {} over ({})", shortened(&e.expr.to_string()), e.data_type, types.join(", ")),
            data_type: e.data_type.clone(),
            columns: columns.to_vec(),
            is_deterministic: is_deterministic(&physical),
            schema,
            physical,
            zone,
            never_fails: false,
        })
    }

    /// Rows for it.
    pub(crate) fn rows(&self) -> impl Strategy<Value = Vec<Vec<Value>>> + use<> {
        rows(&self.columns)
    }

    /// Checks that its values over these rows are as they have to be. Gives how many there were.
    pub(crate) fn check(&self, rows: &[Vec<Value>]) -> Result<usize, TestCaseError> {
        let batch = record_batch(&self.schema, rows).map_err(|e| TestCaseError::fail(format!("no rows: {e}")))?;
        let none = self.values(&batch.slice(0, 0))?;
        let whole = self.values(&batch)?;
        // What is made of constants is computed even so.
        let fails_alone = none.is_none() && whole.is_some() && !rows.is_empty();
        prop_assert!(!fails_alone, "{} fails without rows alone", self.shown);
        if !self.is_deterministic || rows.is_empty() {
            return Ok(if whole.is_some() { rows.len() } else { 0 });
        }
        let Some(whole) = whole else {
            let mut computed = 0;
            for row in 0..rows.len() {
                computed += usize::from(self.values(&batch.slice(row, 1))?.is_some());
            }
            prop_assert!(computed < rows.len(), "{} fails for all rows, and for none of them alone", self.shown);
            return Ok(computed);
        };
        let cut = rows.len() / 2;
        let (head, tail) = (self.values(&batch.slice(0, cut))?, self.values(&batch.slice(cut, rows.len() - cut))?);
        let (Some(head), Some(tail)) = (head, tail) else {
            return Err(TestCaseError::fail(format!("{} fails for a part of the rows alone", self.shown)));
        };
        let parts = concat(&[head.as_ref(), tail.as_ref()]).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let same = parts.to_data() == whole.to_data();
        prop_assert!(same, "{}: {parts:?} of parts, {whole:?} of the whole", self.shown);
        Ok(rows.len())
    }

    /// The values of a batch, looked at; `None` where its data are refused.
    pub(crate) fn values(&self, batch: &RecordBatch) -> Result<Option<ArrayRef>, TestCaseError> {
        let values = self.physical.evaluate(batch).and_then(|v| v.into_array(batch.num_rows()));
        let values = match values.map_err(from_datafusion) {
            Ok(values) => values,
            Err(e) => {
                let fails = format!("{}: {e} ({:?})", self.shown, std::error::Error::source(&e).map(|e| e.to_string()));
                prop_assert!(e.kind() != ErrorKind::Internal, "{fails}");
                prop_assert!(!self.never_fails, "{fails}");
                return Ok(None);
            }
        };
        let t = &self.data_type;
        prop_assert_eq!(values.len(), batch.num_rows(), "{}", &self.shown);
        let is_of_type = values.data_type().equals_datatype(&arrow_type(t));
        prop_assert!(is_of_type, "{} gives {}", self.shown, values.data_type());
        if self.physical.is::<ScalarFunctionExpr>() {
            let field = self.physical.return_field(&self.schema).map_err(|e| TestCaseError::fail(e.to_string()))?;
            let declared = from_arrow_field(&field);
            // The schema of an operator says whether a column is a time attribute.
            let plain = |t: &LogicalType| t.with_time_attribute(TimeAttribute::None).to_string();
            prop_assert_eq!(declared.as_ref().map(plain), Some(plain(t)), "{}", &self.shown);
        }
        prop_assert!(t.nullable || values.logical_null_count() == 0, "{} gives NULL", self.shown);
        let printed = format_column(&values, t, self.zone);
        prop_assert!(printed.is_ok(), "{} cannot be printed: {printed:?}", self.shown);
        Ok(Some(values))
    }
}

/// Long constants tell nothing more.
fn shortened(text: &str) -> String {
    const SHOWN_MAX: usize = 400;
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}..", &text[..end]),
        None => text.to_string(),
    }
}

fn is_deterministic(e: &Arc<dyn PhysicalExpr>) -> bool {
    let varies =
        e.downcast_ref::<ScalarFunctionExpr>().is_some_and(|f| f.fun().signature().volatility != Volatility::Immutable);
    !varies && e.children().into_iter().all(is_deterministic)
}
