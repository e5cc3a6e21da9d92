//! Calc, Union, Expand and the constraints of sinks.

use std::sync::Arc;

use datafusion_expr::Operator as Op;
use datafusion_physical_expr::expressions::{BinaryExpr, col, lit};
use flott_connector::Versioned;
use flott_connector::sink::{DeliveryGuarantee, Sink, SinkWriter, WriterContext};
use flott_connector::table::ObjectIdentifier;
use flott_core::types::from_arrow_field;
use flott_graph::spec::{ExprRef, NestedEnforcer, NotNullEnforcer, SinkConstraints, TypeLengthEnforcer};
use flott_graph::{CalcSpec, ExpandSpec, OperatorSpec, Partitioning, SinkSpec};
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
    let spec = ExpandSpec {
        projections: vec![vec![Some(0), Some(1)], vec![Some(0), None]],
        expand_ids: vec![0, 1],
        row_by_row: false,
    };
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
fn expand_puts_the_copies_of_a_row_together_where_their_order_is_seen() {
    let projections = vec![vec![Some(0), Some(1), None], vec![Some(0), None, None]];
    let h = run(
        OperatorSpec::Expand(ExpandSpec { projections, expand_ids: vec![1, 3], row_by_row: true }),
        "a INT, b STRING, c STRING",
        "a INT, b STRING, c STRING, e BIGINT NOT NULL",
        &["+I[1, x, u]", "-D[2, y, v]"],
    )
    .expect("an expand");
    assert_rows!(h.output, ["+I[1, x, null, 1]", "+I[1, null, null, 3]", "-D[2, y, null, 1]", "-D[2, null, null, 3]"]);
}

#[test]
fn union_passes_rows_on() {
    let h = run(OperatorSpec::Union, "a INT", "a INT", &["+I[1]", "-D[1]"]).expect("a union");
    assert_rows!(h.output, ["+I[1]", "-D[1]"]);
}

/// A table that nothing is ever written to: what stands before it is tested.
struct Nowhere;

impl Sink for Nowhere {
    fn guarantee(&self) -> DeliveryGuarantee {
        DeliveryGuarantee::AtLeastOnce
    }

    fn create_writer(&self, _: WriterContext, _: Vec<Versioned>) -> flott_core::Result<Box<dyn SinkWriter>> {
        Err(flott_core::Error::internal("not in this test"))
    }
}

/// A sink with these columns.
fn sink(
    columns: &str,
    not_null: NotNullEnforcer,
    type_length: TypeLengthEnforcer,
    nested: NestedEnforcer,
) -> OperatorSpec {
    let types = schema(columns).fields().iter().map(|f| from_arrow_field(f).expect("a type")).collect();
    OperatorSpec::Sink(SinkSpec {
        table: ObjectIdentifier::new("c", "d", "t"),
        sink: Arc::new(Nowhere),
        constraints: SinkConstraints { columns: types, not_null, type_length, nested },
    })
}

#[test]
fn sinks_enforce_their_constraints() {
    use NotNullEnforcer as N;
    use TypeLengthEnforcer as L;
    let columns = "a INT, c CHAR(3), v VARCHAR(2), b BINARY(2)";
    let rows = ["+I[1, äbcd, xyz, null]", "+I[null, abc, x, null]", "+I[3, a, null, null]"];
    let demands = "a INT NOT NULL, c CHAR(3), v VARCHAR(2), b BINARY(2)";
    let run = |not_null, length| run(sink(demands, not_null, length, NestedEnforcer::Ignore), columns, columns, &rows);
    let error = run(N::Error, L::Ignore).err().expect("an error").to_string();
    assert!(error.contains("Column 'a' is NOT NULL, however, a null value is being written into it"), "{error}");
    let h = run(N::Drop, L::Ignore).expect("a sink");
    assert_rows!(h.output, ["+I[1, äbcd, xyz, null]", "+I[3, a, null, null]"]);
    let h = run(N::Drop, L::TrimPad).expect("a sink");
    assert_rows!(h.output, ["+I[1, äbc, xy, null]", "+I[3, a  , null, null]"]);
    let error = run(N::Drop, L::Error).err().expect("an error").to_string();
    assert!(error.contains("Column 'c' is CHAR(3), however, a string of length 4 is being written into it"), "{error}");
}

#[test]
fn sinks_enforce_constraints_inside_rows_and_collections() {
    use NestedEnforcer as D;
    use NotNullEnforcer as N;
    use TypeLengthEnforcer as L;
    let columns = |null: &str| {
        let row = format!("r ROW<c CHAR(2){null}, b VARBINARY(2){null}>{null}");
        format!("{row}, l ARRAY<ARRAY<CHAR(2){null}>{null}>{null}, m MAP<INT NOT NULL, INT{null}>{null}")
    };
    // The rows come from where NULL may be, as a source may break what it declares.
    let (have, demands) = (columns(""), columns(" NOT NULL"));
    let check =
        |row: &str, not_null, length, nested| match run(sink(&demands, not_null, length, nested), &have, &have, &[row])
        {
            Ok(h) => h.output.iter().flat_map(|b| flott_connector::row_text::row_strings(b).expect("rows")).collect(),
            Err(e) => e.to_string(),
        };
    let fine = "+I[+I[ab, [1, 2]], [[ab], [cd]], {1=1}]";
    let null_path = [
        ("+I[+I[null, [1, 2]], [[ab], [cd]], {1=1}]", "r.c"),
        ("+I[+I[ab, [1]], [[ab], null], {1=1}]", "l[1]"),
        ("+I[+I[ab, [1]], [[ab], [cd, null]], {1=1}]", "l[1][1]"),
        ("+I[+I[ab, [1]], [], {1=1, 2=null}]", "m[value]"),
    ];
    assert_eq!(check(fine, N::Error, L::Error, D::RowsAndCollections), fine);
    for (row, path) in null_path {
        let error = check(row, N::Error, L::Ignore, D::RowsAndCollections);
        let said = format!("Column '{path}' is NOT NULL, however, a null value is being written into it");
        assert!(error.contains(&said), "{error}");
        assert_eq!(check(row, N::Drop, L::Error, D::RowsAndCollections), "");
        assert_eq!(check(row, N::Error, L::Error, D::Ignore), row);
        let in_rows = check(row, N::Drop, L::Ignore, D::Rows);
        assert_eq!(in_rows, if path == "r.c" { "" } else { row });
    }
    let lengths = [
        ("+I[+I[a, [1, 2]], [[ab]], {1=1}]", "'r.c' is CHAR(2), however, a string of length 1 "),
        ("+I[+I[ab, [1, 2, 3]], [[ab]], {1=1}]", "'r.b' is VARBINARY(2), however, a string of length 3 "),
        ("+I[+I[ab, [1]], [[ab], [ab, abc]], {1=1}]", "'l[1][1]' is CHAR(2), however, a string of length 3 "),
    ];
    for (row, said) in lengths {
        let error = check(row, N::Drop, L::Error, D::RowsAndCollections);
        assert!(error.contains(said), "{error}");
    }
    let long = "+I[+I[abc, [1, 2, 3]], [[abc]], {1=1}]";
    assert_eq!(check(long, N::Error, L::TrimPad, D::Rows), "+I[+I[ab, [1, 2]], [[abc]], {1=1}]");
    // What is wrong in the second element of the first list comes before what is wrong in the first of the second.
    let two = "+I[+I[ab, [1]], [[ab, a], [abc]], {1=1}]";
    assert!(check(two, N::Error, L::Error, D::RowsAndCollections).contains("'l[0][1]'"));
}
