//! OVER with an order that is none of time: exactly the changes that Flink's operators emit (its test programs
//! over-aggregate-non-time-*), and what they add up to.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_schema::{Schema, SchemaRef};
use flott_core::types::arrow_field;
use flott_function::AggregateKind;
use flott_graph::{
    Node, OperatorSpec, OverAggregateSpec, OverArrival, OverCall, OverFrame, OverFunction, OverGroup, Partitioning,
    StateMeaning,
};
use flott_operator::harness::Harness;
use flott_testkit::{batch, rows_of, schema};
use proptest::prelude::*;

use crate::common::*;
use crate::rank::ascending;

const COLUMNS: &str = "k STRING, v BIGINT, ts BIGINT";

pub(crate) fn over_call(input: &SchemaRef, function: OverFunction, arguments: &[&str], result: &str) -> OverCall {
    OverCall {
        function,
        arguments: arguments.iter().map(|a| input.index_of(a).expect("a column")).collect(),
        distinct: false,
        result: logical(result),
        name: format!("{}({arguments:?})", function.name()),
    }
}

pub(crate) fn aggregate(input: &SchemaRef, function: &str, argument: &str, result: &str) -> OverCall {
    let kind = AggregateKind::from_name(function).expect("a function");
    over_call(input, OverFunction::Aggregate(kind), &[argument], result)
}

/// One operator, whose partitions are those of the first column.
pub(crate) fn over_node(
    input: SchemaRef,
    order: Option<usize>,
    arrival: OverArrival,
    groups: Vec<OverGroup>,
    state_ttl: Option<std::time::Duration>,
) -> Vec<(Node, Partitioning)> {
    let mut fields: Vec<_> = input.fields().iter().map(|f| f.as_ref().clone()).collect();
    fields.extend(groups.iter().flat_map(|g| &g.calls).map(|c| arrow_field(&c.name, &c.result)));
    let spec = OverAggregateSpec {
        partition_keys: vec![0],
        order: order.into_iter().map(ascending).collect(),
        arrival,
        groups,
        update_before: true,
        state_ttl,
        input_schema: input,
        meaning: StateMeaning::default(),
    };
    let out: SchemaRef = Arc::new(Schema::new(fields));
    vec![(node("over", OperatorSpec::OverAggregate(spec), out), Partitioning::Hash(vec![0]))]
}

fn over(rows: bool, aggregates: &[(&str, &str)]) -> Vec<(Node, Partitioning)> {
    let input = schema(COLUMNS);
    let calls = aggregates.iter().map(|(function, result)| aggregate(&input, function, "v", result)).collect();
    over_node(input, Some(1), OverArrival::Anywhere, vec![OverGroup { frame: OverFrame::so_far(rows), calls }], None)
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
        let input = schema(COLUMNS);
        let calls = vec![
            aggregate(&input, "SUM", "v", "BIGINT"),
            aggregate(&input, "MIN", "v", "BIGINT"),
            aggregate(&input, "LAST_VALUE", "ts", "BIGINT"),
            aggregate(&input, "FIRST_VALUE", "ts", "BIGINT"),
            over_call(&input, OverFunction::RowNumber, &[], "BIGINT NOT NULL"),
            over_call(&input, OverFunction::Lag(1), &["v"], "BIGINT"),
        ];
        let groups = vec![OverGroup { frame: OverFrame::so_far(of_rows), calls }];
        let nodes = over_node(input, Some(1), OverArrival::Anywhere, groups, None);
        let mut harness = Harness::new(&nodes, 2, 128).expect("operators");
        let mut model: Vec<(u8, i64, i64)> = vec![];
        let mut actual = BTreeMap::<String, i64>::new();
        for (adds, key, v, ts, act) in steps {
            let line = if adds || model.is_empty() {
                model.push((key, v, ts));
                format!("+I[k{key}, {v}, {ts}]")
            } else {
                let gone = model[act % model.len()];
                // Of equal rows the operator takes the first, or the last.
                let place =
                    if of_rows { model.iter().position(|r| *r == gone) } else { model.iter().rposition(|r| *r == gone) };
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
                let seen: Vec<(i64, i64)> = seen.map(|(_, r)| *r).collect();
                let (sum, min) = (seen.iter().map(|r| r.0).sum::<i64>(), seen[0].0);
                let (first, last, count) = (seen[0].1, seen[seen.len() - 1].1, seen.len());
                let lag = if count > 1 { seen[count - 2].0.to_string() } else { "null".to_string() };
                let row = format!("[k{key}, {v}, {ts}, {sum}, {min}, {last}, {first}, {count}, {lag}]");
                *expected.entry(row).or_insert(0) += 1;
            }
        }
        prop_assert_eq!(actual, expected);
        prop_assert_eq!(harness.state_rows(), model.len() as u64);
    }
}

/// The nodes, whose state stands for this.
pub(crate) fn meaning(mut nodes: Vec<(Node, Partitioning)>, parts: &[(&str, &str)]) -> Vec<(Node, Partitioning)> {
    let all = parts.iter().fold(StateMeaning::default(), |all, (name, text)| all.with(name, *text));
    match &mut nodes[0].0.spec {
        OperatorSpec::OverAggregate(spec) => spec.meaning = all,
        OperatorSpec::Match(spec) => spec.meaning = all,
        _ => unreachable!("another operator"),
    }
    nodes
}

#[test]
fn state_of_other_functions_is_refused() {
    let nodes = || over(true, &[("SUM", "BIGINT")]);
    let sum = [("frame", "ROWS"), ("functions", "SUM(v BIGINT)")];
    let snapshot_of = |nodes: &[(Node, Partitioning)], rows: &[&str]| {
        let mut harness = Harness::new(nodes, 2, 128).expect("operators");
        harness.process(0, batch(COLUMNS, rows)).expect("rows");
        harness.snapshot().expect("a snapshot")
    };
    let snapshot = snapshot_of(&meaning(nodes(), &sum), &BEFORE);
    Harness::restore(&meaning(nodes(), &sum), &snapshot, 3, 128).expect("the same query");
    let other = meaning(nodes(), &[("frame", "ROWS"), ("functions", "SUM(w BIGINT)")]);
    let error = Harness::restore(&other, &snapshot, 2, 128).map(|_| ()).expect_err("another sum");
    let text = format!("{error:?}");
    assert!(text.contains("functions: [SUM(v BIGINT)] before, [SUM(w BIGINT)] now"), "{text}");
    assert!(text.contains("--fresh"), "{text}");
    // Where nothing is stored there is nothing to mistake; neither is there where it was stored without a word.
    let snapshot = snapshot_of(&meaning(nodes(), &sum), &[]);
    Harness::restore(&other, &snapshot, 2, 128).expect("no state");
    let snapshot = snapshot_of(&nodes(), &BEFORE);
    Harness::restore(&other, &snapshot, 2, 128).expect("state of an earlier version");
}

/// One row changes the results of all behind it: they leave in pieces of the usual size.
#[test]
fn many_changes_of_one_row_leave_in_pieces() {
    for rows in [true, false] {
        let nodes = over(rows, &[("SUM", "BIGINT")]);
        let mut harness = Harness::new(&nodes, 1, 128).expect("operators");
        let many: Vec<String> = (1..=10_000).map(|i| format!("+I[a, {i}, {i}]")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        harness.process(0, batch(COLUMNS, &many)).expect("rows");
        harness.take_output();
        for row in ["+I[a, -2, 0]", "-D[a, -2, 0]"] {
            harness.process(0, batch(COLUMNS, &[row])).expect("rows");
            let pieces: Vec<usize> = harness.output.iter().map(flott_core::ChangeBatch::num_rows).collect();
            harness.take_output();
            assert!(pieces.iter().all(|n| *n <= 8_192), "{pieces:?}");
            assert_eq!(pieces.iter().sum::<usize>(), 20_001, "{row}");
        }
    }
}
