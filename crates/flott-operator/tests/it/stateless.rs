//! Calc, Union, Expand and the constraints of sinks.

use std::sync::Arc;

use datafusion_expr::Operator as Op;
use datafusion_physical_expr::expressions::{BinaryExpr, col, lit};
use flott_graph::spec::ExprRef;
use flott_graph::{CalcSpec, ExpandSpec, OperatorSpec, Partitioning};
use flott_operator::harness::Harness;
use flott_testkit::{assert_rows, batch_of, schema};

use crate::common::*;

fn run(spec: OperatorSpec, input: &str, output: &str, rows: &[&str]) -> Result<Harness, flott_core::Error> {
    let chain = [(node("op", spec, schema(output)), Partitioning::Forward)];
    let mut harness = Harness::new(&chain, 1, 128)?;
    harness.process(0, batch_of(&schema(input), rows))?;
    Ok(harness)
}

#[test]
fn calc_filters_and_projects_and_keeps_kinds() {
    let columns = "a INT, b STRING, c INT";
    let s = schema(columns);
    let (a, b, c) = (col("a", &s).expect("a"), col("b", &s).expect("b"), col("c", &s).expect("c"));
    let sum: ExprRef = Arc::new(BinaryExpr::new(a.clone(), Op::Plus, c.clone()));
    let filter: ExprRef = Arc::new(BinaryExpr::new(c, Op::Gt, lit(1i32)));
    let spec = |filter| OperatorSpec::Calc(CalcSpec { projection: vec![sum.clone(), b.clone()], filter });
    let rows = ["+I[1, x, 1]", "-U[2, y, 2]", "+U[3, null, 3]", "+I[4, z, null]"];
    let h = run(spec(Some(filter.clone())), columns, "s INT, b STRING", &rows).expect("a calc");
    assert_rows!(h.output, ["-U[4, y]", "+U[6, null]"]);
    let h = run(spec(None), columns, "s INT, b STRING", &rows).expect("a calc");
    assert_rows!(h.output, ["+I[2, x]", "-U[4, y]", "+U[6, null]", "+I[null, z]"]);
    // Columns that pass through are the same memory.
    let input = batch_of(&s, &rows);
    let pass = CalcSpec { projection: vec![b.clone()], filter: None };
    let chain = [(node("op", OperatorSpec::Calc(pass), schema("b STRING")), Partitioning::Forward)];
    let mut h = Harness::new(&chain, 1, 128).expect("a chain");
    h.process(0, input.clone()).expect("rows");
    assert!(Arc::ptr_eq(h.output[0].rows.column(0), input.rows.column(1)));
    // A null where there may be none is an error that names the column.
    let error = run(spec(None), columns, "s INT NOT NULL, b STRING", &rows).err().expect("an error").to_string();
    assert!(error.contains("column s") && error.contains("operator op"), "{error}");
}

#[test]
fn expand_makes_grouping_sets() {
    let spec = ExpandSpec { projections: vec![vec![Some(0), Some(1)], vec![Some(0), None]], expand_ids: vec![0, 1] };
    let h = run(
        OperatorSpec::Expand(spec),
        "a INT, b STRING",
        "a INT, b STRING, e BIGINT NOT NULL",
        &["+I[1, x]", "-D[2, y]"],
    )
    .expect("an expand");
    assert_rows!(h.output, ["+I[1, x, 0]", "-D[2, y, 0]", "+I[1, null, 1]", "-D[2, null, 1]"]);
}

#[test]
fn union_passes_rows_on() {
    let h = run(OperatorSpec::Union, "a INT", "a INT", &["+I[1]", "-D[1]"]).expect("a union");
    assert_rows!(h.output, ["+I[1]", "-D[1]"]);
}
