//! TO_CHANGELOG and FROM_CHANGELOG.

use flott_core::{ErrorKind, RowKind};
use flott_graph::{ChangelogFunctionSpec, OperatorSpec, Partitioning};
use flott_operator::harness::Harness;
use flott_testkit::{batch, rows_of, schema};

use crate::common::node;

fn harness(spec: ChangelogFunctionSpec, output: &str) -> Harness {
    let node = node("changelog", OperatorSpec::ChangelogFunction(spec), schema(output));
    Harness::new(&[(node, Partitioning::Forward)], 1, 128).expect("a harness")
}

const ROWS: [&str; 4] = ["+I[1, a]", "-U[1, a]", "+U[1, b]", "-D[1, b]"];

#[test]
fn each_change_becomes_a_row() {
    let codes = ["I", "UB", "UA", "D"].map(|c| Some(c.to_string()));
    let mut h = harness(ChangelogFunctionSpec::To { codes, on_time: None }, "op STRING, id INT, v STRING");
    h.process(0, batch("id INT, v STRING", &ROWS)).expect("processed");
    assert_eq!(rows_of(&h.take_output()), ["+I[I, 1, a]", "+I[UB, 1, a]", "+I[UA, 1, b]", "+I[D, 1, b]"]);
}

#[test]
fn changes_without_a_code_are_left_out_and_a_time_may_come_twice() {
    let codes = [Some("I".to_string()), None, Some("I".to_string()), None];
    let mut h = harness(ChangelogFunctionSpec::To { codes, on_time: Some(0) }, "op STRING, id INT, v STRING, t INT");
    h.process(0, batch("id INT, v STRING", &ROWS)).expect("processed");
    assert_eq!(rows_of(&h.take_output()), ["+I[I, 1, a, 1]", "+I[I, 1, b, 1]"]);
    h.process(0, batch("id INT, v STRING", &["-D[1, a]"])).expect("processed");
    assert!(h.take_output().is_empty());
}

fn from(codes: &[(&str, RowKind)]) -> Harness {
    let codes = codes.iter().map(|(c, k)| (c.to_string(), *k)).collect();
    harness(ChangelogFunctionSpec::From { op: 1, codes, on_time: None }, "id INT, v STRING")
}

#[test]
fn each_row_becomes_a_change() {
    let mut h = from(&[("c", RowKind::Insert), ("r", RowKind::Insert), ("d", RowKind::Delete)]);
    let rows = ["+I[1, c, a]", "+I[2, r, b]", "+I[1, d, a]"];
    h.process(0, batch("id INT, op STRING, v STRING", &rows)).expect("processed");
    assert_eq!(rows_of(&h.take_output()), ["+I[1, a]", "+I[2, b]", "-D[1, a]"]);
}

#[test]
fn a_code_that_means_nothing_is_an_error_of_the_data() {
    for (row, words) in [("+I[1, null, a]", "Received NULL op code"), ("+I[1, x, a]", "Received invalid op code 'x'")] {
        let mut h = from(&[("c", RowKind::Insert)]);
        let error = h.process(0, batch("id INT, op STRING, v STRING", &[row])).expect_err("wrong");
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(error.to_string().contains(words), "{error}");
    }
}
