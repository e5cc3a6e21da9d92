//! Unnest: one row an element.

use flott_graph::{OperatorSpec, Partitioning, UnnestSpec};
use flott_operator::harness::Harness;
use flott_testkit::{batch, rows_of, schema};

use crate::common::node;

fn unnest(input: &str, output: &str, rows: &[&str], spec: UnnestSpec) -> Vec<String> {
    let node = node("unnest", OperatorSpec::Unnest(spec), schema(output));
    let mut h = Harness::new(&[(node, Partitioning::Forward)], 1, 128).expect("a harness");
    h.process(0, batch(input, rows)).expect("processed");
    rows_of(&h.take_output())
}

const PLAIN: UnnestSpec =
    UnnestSpec { column: 1, outer: false, with_ordinality: false, is_multiset: false, is_row: false, condition: None };

#[test]
fn arrays_give_their_elements_in_order() {
    let rows = ["+I[1, [a, b]]", "-D[2, [c]]", "+I[3, []]", "+I[4, null]"];
    let (input, output) = ("id INT, c ARRAY<STRING>", "id INT, c ARRAY<STRING>, e STRING");
    assert_eq!(unnest(input, output, &rows, PLAIN), ["+I[1, [a, b], a]", "+I[1, [a, b], b]", "-D[2, [c], c]"]);
    let output = "id INT, c ARRAY<STRING>, e STRING, n INT";
    let spec = UnnestSpec { outer: true, with_ordinality: true, ..PLAIN };
    let expected = [
        "+I[1, [a, b], a, 1]",
        "+I[1, [a, b], b, 2]",
        "-D[2, [c], c, 1]",
        "+I[3, [], null, null]",
        "+I[4, null, null, null]",
    ];
    assert_eq!(unnest(input, output, &rows, spec), expected);
}

#[test]
fn maps_give_entries_and_multisets_give_elements_as_often_as_they_are_there() {
    let rows = ["+I[1, {a=2, b=1}]"];
    let map = unnest("id INT, c MAP<STRING, INT>", "id INT, c MAP<STRING, INT>, k STRING, v INT", &rows, PLAIN);
    assert_eq!(map, ["+I[1, {a=2, b=1}, a, 2]", "+I[1, {a=2, b=1}, b, 1]"]);
    let spec = UnnestSpec { is_multiset: true, ..PLAIN };
    let set = unnest("id INT, c MULTISET<STRING>", "id INT, c MULTISET<STRING>, e STRING", &rows, spec);
    assert_eq!(set, ["+I[1, {a=2, b=1}, a]", "+I[1, {a=2, b=1}, a]", "+I[1, {a=2, b=1}, b]"]);
}
