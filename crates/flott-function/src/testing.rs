//! What the tests of this crate share: columns, constants, and evaluation through DataFusion's physical expressions.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use datafusion_common::{DFSchema, ScalarValue};
use datafusion_expr::Expr;
use datafusion_expr::execution_props::ExecutionProps;
use datafusion_physical_expr::create_physical_expr;
use flott_core::types::{TypeKind, arrow_schema, from_arrow_field};
use flott_core::{LogicalType, Result};

use crate::cast::{cast, format_column};
use crate::context::FunctionEnv;
use crate::lazy::short_circuit;
use crate::scalar;
use crate::udf::{TypedExpr, from_datafusion, scalar_of};

/// A type by its name.
pub(crate) fn logical(text: &str) -> LogicalType {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// A column of the input.
pub(crate) fn column(name: &str, data_type: &str) -> TypedExpr {
    TypedExpr::new(Expr::Column(datafusion_common::Column::new_unqualified(name)), logical(data_type))
}

/// An INT literal.
pub(crate) fn int(value: i32) -> TypedExpr {
    TypedExpr::literal(ScalarValue::Int32(Some(value)), TypeKind::Int.not_null())
}

/// A text literal.
pub(crate) fn text(value: &str) -> TypedExpr {
    let t = TypeKind::Char(value.chars().count() as u32).not_null();
    TypedExpr::literal(ScalarValue::Utf8(Some(value.to_string())), t)
}

/// A constant of any type, from its text; `NULL` is NULL.
pub(crate) fn constant(value: &str, data_type: &str) -> TypedExpr {
    let t = logical(data_type);
    let from = match value {
        "NULL" => TypedExpr::literal(ScalarValue::Null, TypeKind::Null.nullable()),
        value => TypedExpr::literal(ScalarValue::Utf8(Some(value.to_string())), TypeKind::STRING.not_null()),
    };
    if t.kind.is_character() && value != "NULL" {
        return TypedExpr { data_type: t, ..from };
    }
    let made = cast(from, &t, false, &FunctionEnv::default()).unwrap_or_else(|e| panic!("{value} {data_type}: {e}"));
    let array = values(&made, &one_row()).unwrap_or_else(|e| panic!("{value} {data_type}: {e}"));
    let folded = ScalarValue::try_from_array(&array, 0).expect("a row");
    TypedExpr::literal(folded, t.with_nullable(made.data_type.nullable))
}

/// A batch.
pub(crate) fn table(columns: &[(&str, &str, ArrayRef)]) -> RecordBatch {
    let types: Vec<_> = columns.iter().map(|(n, t, _)| (*n, logical(t))).collect();
    let schema = arrow_schema(types.iter().map(|(n, t)| (*n, t)));
    RecordBatch::try_new(schema, columns.iter().map(|c| c.2.clone()).collect()).expect("columns of their types")
}

/// The values of an expression over a batch; its field must be of its Flink type.
pub(crate) fn values(e: &TypedExpr, batch: &RecordBatch) -> Result<ArrayRef> {
    let schema = DFSchema::try_from(batch.schema()).expect("a schema");
    let physical = create_physical_expr(&e.expr, &schema, &ExecutionProps::new(), &Default::default())
        .unwrap_or_else(|error| panic!("{}: {error}", e.expr));
    let physical = short_circuit(physical)?;
    let array = physical.evaluate(batch).and_then(|v| v.into_array(batch.num_rows())).map_err(from_datafusion)?;
    if let Expr::ScalarFunction(_) = &e.expr {
        let field = physical.return_field(&batch.schema()).expect("a field");
        assert_eq!(from_arrow_field(&field).as_ref(), Some(&e.data_type), "{}", e.expr);
        assert!(array.data_type().equals_datatype(field.data_type()), "{} is {}", e.expr, array.data_type());
        assert!(e.data_type.nullable || array.null_count() == 0, "{} has a NULL", e.expr);
    }
    Ok(array)
}

/// The values of a condition.
pub(crate) fn evaluate(e: &TypedExpr, batch: &RecordBatch) -> Result<Vec<Option<bool>>> {
    Ok(values(e, batch)?.as_boolean().iter().collect())
}

/// One row without columns.
pub(crate) fn one_row() -> RecordBatch {
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    RecordBatch::try_new_with_options(arrow_schema([]), vec![], &options).expect("a row")
}

/// The value of an expression without columns, as Flink's CAST to STRING prints it.
pub(crate) fn show(e: &TypedExpr) -> Result<String> {
    show_in(e, &FunctionEnv::default())
}

/// The same in a session's zone.
pub(crate) fn show_in(e: &TypedExpr, env: &FunctionEnv) -> Result<String> {
    let array = values(e, &one_row())?;
    let shown = format_column(&array, &e.data_type, env.time_zone)?;
    Ok(shown[0].clone().unwrap_or_else(|| "NULL".to_string()))
}

/// Calls a function with constants, both as constants and as columns: the results must be the same.
pub(crate) fn call(name: &str, args: Vec<TypedExpr>) -> Result<String> {
    let env = FunctionEnv::default();
    let direct = scalar::call(name, args.clone(), &env).unwrap_or_else(|| panic!("no function {name}"))?;
    let shown = show(&direct);
    // Once more over columns of three rows. A function that insists on constants refuses them while it is resolved.
    let mut columns = vec![];
    let mut batch = vec![];
    for (i, a) in args.into_iter().enumerate() {
        let array = values(&a, &one_row())?;
        let one = scalar_of(&array)?;
        let three = one.to_array_of_size(3).map_err(from_datafusion)?;
        let name = format!("c{i}");
        columns.push(column(&name, &a.data_type.to_string()));
        batch.push((name, a.data_type.to_string(), three));
    }
    if !columns.is_empty()
        && let Some(Ok(over_columns)) = scalar::call(name, columns, &env)
        // A constant may decide about the type.
        && over_columns.data_type.kind == direct.data_type.kind
    {
        let batch: Vec<_> = batch.iter().map(|(n, t, a)| (n.as_str(), t.as_str(), a.clone())).collect();
        let array = values(&over_columns, &table(&batch));
        match (&shown, array) {
            (Ok(shown), Ok(array)) => {
                let all = format_column(&array, &over_columns.data_type, env.time_zone)?;
                for value in all {
                    assert_eq!(value.as_deref().unwrap_or("NULL"), shown, "{name} over columns");
                }
            }
            (Err(_), Err(_)) => {}
            (a, b) => panic!("{name}: {a:?} with constants, {b:?} over columns"),
        }
    }
    shown
}

/// A call with these arguments, not evaluated.
pub(crate) fn call_of(name: &str, args: Vec<TypedExpr>) -> TypedExpr {
    scalar::call(name, args, &FunctionEnv::default()).unwrap_or_else(|| panic!("no function {name}")).expect("a call")
}

/// A table of calls: name, arguments (value and type), result or the start of the error.
pub(crate) fn check(cases: &[(&str, &[(&str, &str)], &str)]) {
    for (name, args, expected) in cases {
        let typed = args.iter().map(|(v, t)| constant(v, t)).collect();
        match call(name, typed) {
            Ok(value) => assert_eq!(value, *expected, "{name}({args:?})"),
            Err(e) => {
                let wanted = expected.strip_prefix("ERROR ");
                assert!(
                    wanted.is_some_and(|w| e.to_string().contains(w)),
                    "{name}({args:?}): {e}, expected {expected}"
                );
            }
        }
    }
}

/// A call with constants in a session of a time zone, as text.
pub(crate) fn in_zone(zone: &str, name: &str, args: &[(&str, &str)]) -> String {
    let env = FunctionEnv::new(zone).expect("a zone");
    let args = args.iter().map(|(v, t)| constant(v, t)).collect();
    let e = scalar::call(name, args, &env).expect("a function").expect("a call");
    show_in(&e, &env).expect("a value")
}
