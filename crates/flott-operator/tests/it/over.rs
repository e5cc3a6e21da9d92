//! OVER with an order that is none of time: exactly the changes that Flink's operators emit (its test programs
//! over-aggregate-non-time-*), and what they add up to.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_schema::{Schema, SchemaRef};
use flott_core::types::arrow_field;
use flott_graph::{AggregateCall, Node, OperatorSpec, OverAggregateSpec, Partitioning};
use flott_operator::harness::Harness;
use flott_testkit::{batch, rows_of, schema};
use proptest::prelude::*;

use crate::common::*;
use crate::rank::ascending;

const COLUMNS: &str = "k STRING, v BIGINT, ts BIGINT";

fn over(rows: bool, aggregates: &[(&str, &str)]) -> Vec<(Node, Partitioning)> {
    let input = schema(COLUMNS);
    let aggregates: Vec<AggregateCall> =
        aggregates.iter().map(|(function, result)| call(&input, function, Some("v"), result)).collect();
    let mut fields: Vec<_> = input.fields().iter().map(|f| f.as_ref().clone()).collect();
    fields.extend(aggregates.iter().map(|a| arrow_field(&a.name, &a.result)));
    let out: SchemaRef = Arc::new(Schema::new(fields));
    let spec = OverAggregateSpec {
        partition_keys: vec![0],
        order: vec![ascending(1)],
        rows,
        aggregates,
        update_before: true,
        state_ttl: None,
        input_schema: input,
    };
    vec![(node("over", OperatorSpec::OverAggregate(spec), out), Partitioning::Hash(vec![0]))]
}

const BEFORE: [&str; 8] = [
    "+I[key1, 1, 100]",
    "+I[key1, 2, 200]",
    "+I[key1, 5, 500]",
    "+I[key1, 6, 600]",
    "-U[key1, 2, 200]",
    "+U[key1, 3, 200]",
    "+I[key2, 1, 100]",
    "+I[key2, 2, 200]",
];
const AFTER: [&str; 4] = ["+I[key3, 1, 100]", "+I[key1, 4, 400]", "-U[key1, 3, 200]", "+U[key1, 3, 300]"];

#[test]
fn sums_of_rows_that_come_and_go() {
    for rows in [true, false] {
        let nodes = over(rows, &[("SUM", "BIGINT")]);
        let mut harness = Harness::new(&nodes, 2, 128).expect("operators");
        harness.process(0, batch(COLUMNS, &BEFORE)).expect("rows");
        let of_key = |rows: Vec<String>, key: &str| rows.into_iter().filter(|r| r.contains(key)).collect::<Vec<_>>();
        let expected = [
            "+I[key1, 1, 100, 1]",
            "+I[key1, 2, 200, 3]",
            "+I[key1, 5, 500, 8]",
            "+I[key1, 6, 600, 14]",
            "-D[key1, 2, 200, 3]",
            "-U[key1, 5, 500, 8]",
            "+U[key1, 5, 500, 6]",
            "-U[key1, 6, 600, 14]",
            "+U[key1, 6, 600, 12]",
            "+U[key1, 3, 200, 4]",
            "-U[key1, 5, 500, 6]",
            "+U[key1, 5, 500, 9]",
            "-U[key1, 6, 600, 12]",
            "+U[key1, 6, 600, 15]",
        ];
        assert_eq!(of_key(rows_of(&harness.take_output()), "key1"), expected);
        let snapshot = harness.snapshot().expect("a snapshot");
        let mut harness = Harness::restore(&nodes, &snapshot, 3, 128).expect("restores");
        harness.process(0, batch(COLUMNS, &AFTER)).expect("rows");
        let expected = [
            "+I[key1, 4, 400, 8]",
            "-U[key1, 5, 500, 9]",
            "+U[key1, 5, 500, 13]",
            "-U[key1, 6, 600, 15]",
            "+U[key1, 6, 600, 19]",
            "-D[key1, 3, 200, 4]",
            "-U[key1, 4, 400, 8]",
            "+U[key1, 4, 400, 5]",
            "-U[key1, 5, 500, 13]",
            "+U[key1, 5, 500, 10]",
            "-U[key1, 6, 600, 19]",
            "+U[key1, 6, 600, 16]",
            "+U[key1, 3, 300, 4]",
            "-U[key1, 4, 400, 5]",
            "+U[key1, 4, 400, 8]",
            "-U[key1, 5, 500, 10]",
            "+U[key1, 5, 500, 13]",
            "-U[key1, 6, 600, 16]",
            "+U[key1, 6, 600, 19]",
        ];
        assert_eq!(of_key(rows_of(&harness.take_output()), "key1"), expected);
    }
}

/// An average is shown again where what it is made of has changed, though it has not.
#[test]
fn averages_and_rows_that_are_equal_in_the_order() {
    let nodes = over(true, &[("AVG", "BIGINT")]);
    let mut harness = Harness::new(&nodes, 1, 128).expect("operators");
    harness.process(0, batch(COLUMNS, &BEFORE[..4])).expect("rows");
    harness.take_output();
    harness.process(0, batch(COLUMNS, &AFTER[1..2])).expect("rows");
    let expected = [
        "+I[key1, 4, 400, 2]",
        "-U[key1, 5, 500, 2]",
        "+U[key1, 5, 500, 3]",
        "-U[key1, 6, 600, 3]",
        "+U[key1, 6, 600, 3]",
    ];
    assert_eq!(rows_of(&harness.take_output()), expected);
    // One result for equal rows; a greatest value that stays is not shown again.
    let nodes = over(false, &[("MAX", "BIGINT")]);
    let mut harness = Harness::new(&nodes, 1, 128).expect("operators");
    let rows = ["+I[a, 1, 1]", "+I[a, 3, 2]", "+I[a, 3, 3]", "+I[a, 2, 4]", "-D[a, 3, 2]"];
    harness.process(0, batch(COLUMNS, &rows)).expect("rows");
    let expected = ["+I[a, 1, 1, 1]", "+I[a, 3, 2, 3]", "+I[a, 3, 3, 3]", "+I[a, 2, 4, 2]", "-D[a, 3, 2, 3]"];
    assert_eq!(rows_of(&harness.take_output()), expected);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn changes_add_up(
        of_rows in any::<bool>(),
        steps in proptest::collection::vec((any::<bool>(), 0u8..2, 0i64..5, 0i64..4, 0usize..12), 1..60),
    ) {
        let nodes = over(of_rows, &[("SUM", "BIGINT"), ("MIN", "BIGINT")]);
        let mut harness = Harness::new(&nodes, 2, 128).expect("operators");
        let mut model: Vec<(u8, i64, i64)> = vec![];
        let mut actual = BTreeMap::<String, i64>::new();
        for (adds, key, v, ts, act) in steps {
            let line = if adds || model.is_empty() {
                model.push((key, v, ts));
                format!("+I[k{key}, {v}, {ts}]")
            } else {
                let gone = model[act % model.len()];
                // The operator takes the first of equal rows, or the last: their results are the same in the end.
                let place = if of_rows { model.iter().position(|r| *r == gone) } else { model.iter().rposition(|r| *r == gone) };
                model.remove(place.expect("a row"));
                format!("-D[k{}, {}, {}]", gone.0, gone.1, gone.2)
            };
            harness.process(0, batch(COLUMNS, &[line])).expect("rows");
            if act == 0 {
                for row in rows_of(&harness.take_output()) {
                    *actual.entry(row[2..].to_string()).or_insert(0) += if row.starts_with('+') { 1 } else { -1 };
                }
                let snapshot = harness.snapshot().expect("a snapshot");
                harness = Harness::restore(&nodes, &snapshot, 1 + act % 3, 128).expect("restores");
            }
        }
        for row in rows_of(&harness.take_output()) {
            *actual.entry(row[2..].to_string()).or_insert(0) += if row.starts_with('+') { 1 } else { -1 };
        }
        actual.retain(|_, n| *n != 0);
        let mut expected = BTreeMap::<String, i64>::new();
        for key in 0..2u8 {
            let mut rows: Vec<(i64, i64)> = model.iter().filter(|r| r.0 == key).map(|r| (r.1, r.2)).collect();
            rows.sort_by_key(|r| r.0);
            for (i, (v, ts)) in rows.iter().enumerate() {
                let seen = rows.iter().enumerate().filter(|(j, r)| if of_rows { *j <= i } else { r.0 <= *v });
                let values: Vec<i64> = seen.map(|(_, r)| r.0).collect();
                let (sum, min) = (values.iter().sum::<i64>(), values.iter().min().copied().unwrap_or_default());
                *expected.entry(format!("[k{key}, {v}, {ts}, {sum}, {min}]")).or_insert(0) += 1;
            }
        }
        prop_assert_eq!(actual, expected);
        prop_assert_eq!(harness.state_rows(), model.len() as u64);
    }
}
