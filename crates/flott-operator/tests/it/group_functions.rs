//! Aggregates that keep more than a number: they give back what is taken away, and are restored as they were, at another
//! parallelism too.

use flott_graph::{AggregateCall, GroupAggregateSpec, Node, Partitioning};
use flott_operator::harness::Harness;
use flott_testkit::{batch, schema};

use crate::common::call;
use crate::group::{chain, shown_rows, spec};

const VALUES: &str = "k INT, i INT, d DOUBLE, s STRING, p DOUBLE NOT NULL, b BITMAP, x STRING";

fn functions() -> [(Node, Partitioning); 1] {
    let input = schema(VALUES);
    let one = |function: &str, argument: &str, result: &str| call(&input, function, Some(argument), result);
    let several = |function: &str, arguments: &[&str], result: &str| AggregateCall {
        arguments: arguments.iter().map(|a| input.index_of(a).expect("a column")).collect(),
        ..call(&input, function, Some(arguments[0]), result)
    };
    let aggregates = vec![
        one("ARRAY_AGG", "i", "ARRAY<INT>"),
        one("$ARRAY_AGG_IGNORE_NULLS", "i", "ARRAY<INT>"),
        one("COLLECT", "s", "MULTISET<STRING> NOT NULL"),
        several("LISTAGG", &["s", "x"], "STRING"),
        several("PERCENTILE", &["d", "p"], "DOUBLE"),
        several("JSON_OBJECTAGG_NULL_ON_NULL", &["s", "x"], "STRING NOT NULL"),
        one("JSON_ARRAYAGG_NULL_ON_NULL", "x", "STRING NOT NULL"),
        one("$WELFORD_M2$1", "d", "DOUBLE"),
        one("BITMAP_BUILD_AGG", "i", "BITMAP"),
        one("BITMAP_AND_AGG", "b", "BITMAP"),
        one("BITMAP_XOR_CARDINALITY_AGG", "b", "BIGINT"),
    ];
    chain(&GroupAggregateSpec { input_schema: input.clone(), ..spec(&["k"], aggregates) })
}

fn shown(h: &mut Harness, rows: &[&str]) -> Vec<String> {
    h.process(0, batch(VALUES, rows)).expect("processed");
    h.take_output().iter().flat_map(shown_rows).collect()
}

#[test]
fn what_is_taken_away_is_gone_before_and_after_a_restore() {
    let chain = functions();
    let mut h = Harness::new(&chain, 1, 128).expect("a chain");
    let first = "1, [4], [4], {a=1}, a, 1.0, {\"a\":7}, [7], 0.0, {4}, {1,2}, 2";
    assert_eq!(shown(&mut h, &["+I[1, 4, 1.0, a, 0.5, {1,2}, 7]"]), [format!("+I[{first}]")]);
    let both = "1, [4, null], [4], {a=1, b=1}, a8b, 2.0, {\"a\":7,\"b\":8}, [7,8], 2.0, {4}, {2}, 2";
    let second = "[1, null, 3.0, b, 0.5, {2,3}, 8]";
    assert_eq!(shown(&mut h, &[&format!("+I{second}")])[1], format!("+U[{both}]"));
    for parallelism in [2, 3, 1] {
        let snapshot = h.snapshot().expect("a snapshot");
        h = Harness::restore(&chain, &snapshot, parallelism, 128).expect("restored");
        assert_eq!(
            shown(&mut h, &[&format!("-D{second}"), &format!("+I{second}")]),
            [format!("-U[{both}]"), format!("+U[{first}]"), format!("-U[{first}]"), format!("+U[{both}]"),],
            "{parallelism}"
        );
    }
    // The first one goes: what is left is the second alone.
    let left = "1, [null], null, {b=1}, b, 3.0, {\"b\":8}, [8], 0.0, null, {2,3}, 2";
    assert_eq!(shown(&mut h, &["-D[1, 4, 1.0, a, 0.5, {1,2}, 7]"])[1], format!("+U[{left}]"));
    assert_eq!(shown(&mut h, &[&format!("-D{second}")]), [format!("-D[{left}]")]);
    assert_eq!(h.state_rows(), 0);
}

#[test]
fn a_key_of_a_json_object_comes_once() {
    let mut h = Harness::new(&functions(), 1, 128).expect("a chain");
    let rows = ["+I[1, 1, 1.0, a, 0.5, {1}, 7]", "+I[1, 1, 1.0, a, 0.5, {1}, 7]"];
    let error = h.process(0, batch(VALUES, &rows)).expect_err("the key is there twice");
    assert!(error.to_string().contains("Key 'a' is already present"), "{error}");
}
