//! Regular joins: Flink's changelog row by row, and any order and barrier against a naive recompute.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow_schema::{Field, Schema, SchemaRef};
use datafusion_expr::Operator as BinaryOperator;
use datafusion_physical_expr::expressions::{BinaryExpr, Column};
use flott_core::ChangeBatch;
use flott_graph::spec::ExprRef;
use flott_graph::{JoinCondition, JoinInput, JoinKind, Node, OperatorSpec, Partitioning, RegularJoinSpec};
use flott_operator::harness::Harness;
use flott_testkit::{batch_of, rows_of, schema};
use proptest::prelude::*;

use crate::common::node;

const LEFT: &str = "lk BIGINT, lv STRING, lid BIGINT";
const RIGHT: &str = "rk BIGINT, rv BIGINT";
const KINDS: [JoinKind; 6] =
    [JoinKind::Inner, JoinKind::Left, JoinKind::Right, JoinKind::Full, JoinKind::Semi, JoinKind::Anti];

/// `lid < rv`
fn less() -> ExprRef {
    Arc::new(BinaryExpr::new(Arc::new(Column::new("lid", 2)), BinaryOperator::Lt, Arc::new(Column::new("rv", 4))))
}

fn output(kind: JoinKind) -> SchemaRef {
    let (left, right) = (schema(LEFT), schema(RIGHT));
    let mut fields: Vec<Field> = left.fields().iter().map(|f| f.as_ref().clone()).collect();
    if !kind.is_semi_or_anti() {
        fields.extend(right.fields().iter().map(|f| f.as_ref().clone()));
    }
    Arc::new(Schema::new(fields))
}

fn spec(kind: JoinKind, rest: Option<ExprRef>) -> RegularJoinSpec {
    RegularJoinSpec {
        kind,
        condition: JoinCondition {
            left_keys: vec![0],
            right_keys: vec![0],
            filter_nulls: vec![true],
            rest,
            left_schema: schema(LEFT),
            right_schema: schema(RIGHT),
        },
        left: JoinInput::default(),
        right: JoinInput::default(),
        final_only: false,
    }
}

fn stage(spec: &RegularJoinSpec) -> Vec<(Node, Vec<Partitioning>)> {
    let by = |keys: &[usize]| match keys {
        [] => Partitioning::Singleton,
        keys => Partitioning::Hash(keys.to_vec()),
    };
    let partitionings = vec![by(&spec.condition.left_keys), by(&spec.condition.right_keys)];
    vec![(node("join", OperatorSpec::Join(spec.clone()), output(spec.kind)), partitionings)]
}

fn harness(spec: &RegularJoinSpec) -> Harness {
    Harness::of_stages(&stage(spec), 1, 128).expect("a harness")
}

/// Feeds `("l" or "r", row)` one by one; what came out.
fn run(harness: &mut Harness, rows: &[(&str, &str)]) -> Vec<String> {
    for (side, row) in rows {
        let (input, columns) = if *side == "l" { (0, LEFT) } else { (1, RIGHT) };
        harness.process_input(input, 0, batch_of(&schema(columns), &[row])).expect("processed");
    }
    rows_of(&harness.take_output())
}

#[test]
fn an_inner_join_forwards_kinds() {
    let mut h = harness(&spec(JoinKind::Inner, None));
    let rows = [
        ("l", "+I[1, a, 10]"),
        ("r", "+I[2, 5]"),
        ("r", "+I[1, 5]"),
        ("r", "+U[1, 6]"),
        ("l", "-U[1, a, 10]"),
        ("l", "+U[1, b, 10]"),
        ("r", "-D[1, 5]"),
        ("l", "+I[null, x, 1]"),
        ("r", "+I[null, 9]"),
    ];
    let expected = [
        "+I[1, a, 10, 1, 5]",
        "+U[1, a, 10, 1, 6]",
        "-U[1, a, 10, 1, 5]",
        "-U[1, a, 10, 1, 6]",
        "+U[1, b, 10, 1, 5]",
        "+U[1, b, 10, 1, 6]",
        "-D[1, b, 10, 1, 5]",
    ];
    assert_eq!(run(&mut h, &rows), expected);
    assert_eq!(h.state_rows(), 3);
}

#[test]
fn a_left_join_pads_and_takes_back() {
    let mut h = harness(&spec(JoinKind::Left, None));
    let rows = [
        ("l", "+I[1, a, 10]"),
        ("r", "+I[1, 5]"),
        ("r", "+U[1, 6]"),
        ("r", "-U[1, 5]"),
        ("r", "-D[1, 6]"),
        ("l", "+I[null, x, 1]"),
        ("l", "-U[1, a, 10]"),
        ("l", "+U[2, a, 10]"),
    ];
    let expected = [
        "+I[1, a, 10, null, null]",
        "-D[1, a, 10, null, null]",
        "+I[1, a, 10, 1, 5]",
        "+I[1, a, 10, 1, 6]",
        // Flink takes pairs back with the kind of a row that is not of an outer side.
        "-U[1, a, 10, 1, 5]",
        "-D[1, a, 10, 1, 6]",
        "+I[1, a, 10, null, null]",
        "+I[null, x, 1, null, null]",
        "-D[1, a, 10, null, null]",
        "+I[2, a, 10, null, null]",
    ];
    assert_eq!(run(&mut h, &rows), expected);
}

#[test]
fn a_full_join_with_a_condition_pads_both_sides() {
    let mut h = harness(&spec(JoinKind::Full, Some(less())));
    let rows = [("l", "+I[1, a, 5]"), ("r", "+I[1, 5]"), ("r", "+I[1, 6]"), ("l", "+I[1, b, 4]"), ("l", "-D[1, b, 4]")];
    let expected = [
        "+I[1, a, 5, null, null]",
        "+I[null, null, null, 1, 5]",
        "-D[1, a, 5, null, null]",
        "+I[1, a, 5, 1, 6]",
        "-D[null, null, null, 1, 5]",
        "+I[1, b, 4, 1, 5]",
        "+I[1, b, 4, 1, 6]",
        "-D[1, b, 4, 1, 5]",
        "+I[null, null, null, 1, 5]",
        "-D[1, b, 4, 1, 6]",
    ];
    assert_eq!(run(&mut h, &rows), expected);
}

#[test]
fn semi_and_anti_joins_show_left_rows_once() {
    let rows = [
        ("l", "+I[1, a, 10]"),
        ("r", "+I[1, 5]"),
        ("r", "+U[1, 6]"),
        ("r", "-U[1, 5]"),
        ("r", "-D[1, 6]"),
        ("l", "+I[null, x, 1]"),
        ("l", "-D[1, a, 10]"),
    ];
    let mut h = harness(&spec(JoinKind::Semi, None));
    assert_eq!(run(&mut h, &rows), ["+I[1, a, 10]", "-D[1, a, 10]"]);
    let mut h = harness(&spec(JoinKind::Anti, None));
    let expected = ["+I[1, a, 10]", "-D[1, a, 10]", "+I[1, a, 10]", "+I[null, x, 1]", "-D[1, a, 10]"];
    assert_eq!(run(&mut h, &rows), expected);
}

#[test]
fn a_row_with_a_unique_key_replaces_the_one_before() {
    let mut with_key = spec(JoinKind::Right, None);
    // The join key is part of it, as where updates come without their first half.
    with_key.left.unique_key = Some(vec![2]);
    let mut h = harness(&with_key);
    let rows = [
        ("r", "+I[1, 5]"),
        ("l", "+I[1, a, 10]"),
        ("l", "+U[1, b, 10]"),
        ("l", "+I[1, c, 11]"),
        ("l", "-D[1, b, 10]"),
        ("l", "-D[1, c, 11]"),
    ];
    let expected = [
        "+I[null, null, null, 1, 5]",
        "-D[null, null, null, 1, 5]",
        "+I[1, a, 10, 1, 5]",
        "+I[1, b, 10, 1, 5]",
        "+I[1, c, 11, 1, 5]",
        "-D[1, b, 10, 1, 5]",
        "-D[1, c, 11, 1, 5]",
        // The replaced row was counted once: with two counts nothing would be shown here.
        "+I[null, null, null, 1, 5]",
    ];
    assert_eq!(run(&mut h, &rows), expected);
}

/// Sources may give what they do not declare; Flink's join, which keeps whole rows, follows the kinds.
#[test]
fn a_row_goes_from_an_input_that_was_to_add_rows_only() {
    let mut adding = spec(JoinKind::Left, None);
    (adding.left.append_only, adding.right.append_only) = (true, true);
    let mut h = harness(&adding);
    let rows = [
        ("l", "+I[1, a, 10]"),
        ("l", "+I[1, a, 10]"),
        ("r", "+I[1, 5]"),
        ("r", "+I[2, 5]"),
        ("l", "-U[1, a, 10]"),
        ("l", "+U[2, b, 10]"),
        ("r", "-D[1, 5]"),
        // Nobody has added it.
        ("l", "-D[7, z, 10]"),
    ];
    let expected = [
        "+I[1, a, 10, null, null]",
        "+I[1, a, 10, null, null]",
        "-D[1, a, 10, null, null]",
        "+I[1, a, 10, 1, 5]",
        "-D[1, a, 10, null, null]",
        "+I[1, a, 10, 1, 5]",
        "-D[1, a, 10, 1, 5]",
        "+I[2, b, 10, 2, 5]",
        "-D[1, a, 10, 1, 5]",
        "+I[1, a, 10, null, null]",
        "-D[7, z, 10, null, null]",
    ];
    assert_eq!(run(&mut h, &rows), expected);
    assert_eq!(h.state_rows(), 3);
}

#[test]
fn nulls_are_partners_where_the_condition_says_so() {
    let mut same = spec(JoinKind::Inner, None);
    same.condition.filter_nulls = vec![false];
    let mut h = harness(&same);
    assert_eq!(run(&mut h, &[("l", "+I[null, x, 1]"), ("r", "+I[null, 9]")]), ["+I[null, x, 1, null, 9]"]);
}

#[test]
fn a_join_without_keys_meets_every_row() {
    let mut cross = spec(JoinKind::Inner, Some(less()));
    (cross.condition.left_keys, cross.condition.right_keys) = (vec![], vec![]);
    cross.condition.filter_nulls = vec![];
    let mut h = harness(&cross);
    let rows = [("l", "+I[1, a, 5]"), ("l", "+I[null, b, 6]"), ("r", "+I[7, 6]"), ("r", "+I[8, 7]")];
    let expected = ["+I[1, a, 5, 7, 6]", "+I[1, a, 5, 8, 7]", "+I[null, b, 6, 8, 7]"];
    assert_eq!(run(&mut h, &rows), expected);
}

#[test]
fn rows_that_are_not_touched_are_forgotten() {
    let mut expiring = spec(JoinKind::Left, None);
    expiring.right.state_ttl = Some(Duration::from_millis(100));
    expiring.left.state_ttl = Some(Duration::from_millis(1_000));
    let mut h = harness(&expiring);
    run(&mut h, &[("r", "+I[1, 5]")]);
    h.set_processing_time(50).expect("time");
    assert_eq!(run(&mut h, &[("l", "+I[1, a, 10]")]), ["+I[1, a, 10, 1, 5]"]);
    // A restore keeps when a row was touched.
    let snapshot = h.snapshot().expect("a snapshot");
    let mut h = Harness::restore_stages(&stage(&expiring), &snapshot, 2, 128).expect("restored");
    assert_eq!(h.state_rows(), 2);
    h.set_processing_time(99).expect("time");
    assert_eq!(run(&mut h, &[("l", "+I[1, b, 10]")]), ["+I[1, b, 10, 1, 5]"]);
    h.set_processing_time(100).expect("time");
    assert_eq!(run(&mut h, &[("l", "+I[1, c, 10]")]), ["+I[1, c, 10, null, null]"]);
    h.set_processing_time(150).expect("time");
    assert_eq!(h.state_rows(), 3);
    h.set_processing_time(2_000).expect("time");
    assert_eq!((h.state_rows(), h.state_bytes()), (0, 0));
}

/// Partners that have expired were partners: what was never shown alone is not taken back, and a touch counts, after a
/// restore as before.
#[test]
fn a_restore_knows_partners_that_have_expired() {
    let expiring = |kind| {
        let mut expiring = spec(kind, None);
        expiring.right.state_ttl = Some(Duration::from_millis(100));
        expiring.left.state_ttl = Some(Duration::from_millis(1_000));
        expiring
    };
    let cases: [(JoinKind, &[&str], &[&str]); 3] = [
        (JoinKind::Left, &["+I[1, a, 10, 1, 5]"], &["+I[1, a, 10, 1, 6]"]),
        (JoinKind::Semi, &["+I[1, a, 10]"], &[]),
        (JoinKind::Anti, &[], &[]),
    ];
    for (kind, first, second) in cases {
        for parallelism in [None, Some(1), Some(2)] {
            let spec = expiring(kind);
            let mut h = harness(&spec);
            assert_eq!(run(&mut h, &[("r", "+I[1, 5]"), ("l", "+I[1, a, 10]")]), first, "{kind:?}");
            h.set_processing_time(500).expect("time");
            for _ in 0..2 {
                // The second restore is from what the first one wrote.
                if let Some(parallelism) = parallelism {
                    let snapshot = h.snapshot().expect("a snapshot");
                    h = Harness::restore_stages(&stage(&spec), &snapshot, parallelism, 128).expect("restored");
                    h.set_processing_time(500).expect("time");
                }
            }
            assert_eq!(run(&mut h, &[("r", "+I[1, 6]")]), second, "{kind:?} {parallelism:?}");
            if let Some(parallelism) = parallelism {
                let snapshot = h.snapshot().expect("a snapshot");
                h = Harness::restore_stages(&stage(&spec), &snapshot, parallelism, 128).expect("restored");
            }
            // The left row was touched at 500: it is still there.
            h.set_processing_time(1_400).expect("time");
            let third: &[&str] = if kind == JoinKind::Left { &["+I[1, a, 10, 1, 7]"] } else { &[] };
            assert_eq!(run(&mut h, &[("r", "+I[1, 7]")]), third, "{kind:?} {parallelism:?}");
        }
    }
}

#[test]
fn a_batch_takes_nothing_back() {
    let rows =
        [("l", "+I[1, a, 10]"), ("r", "+I[1, 5]"), ("l", "+I[2, b, 11]"), ("r", "+I[3, 6]"), ("l", "+I[null, c, 12]")];
    let expected: [(JoinKind, &[&str]); 4] = [
        (JoinKind::Left, &["+I[1, a, 10, 1, 5]", "+I[null, c, 12, null, null]", "+I[2, b, 11, null, null]"]),
        (JoinKind::Right, &["+I[1, a, 10, 1, 5]", "+I[null, null, null, 3, 6]"]),
        (JoinKind::Semi, &["+I[1, a, 10]"]),
        (JoinKind::Anti, &["+I[null, c, 12]", "+I[2, b, 11]"]),
    ];
    for (kind, expected) in expected {
        let mut batch = spec(kind, None);
        batch.final_only = true;
        let mut h = harness(&batch);
        let mut out = run(&mut h, &rows);
        h.end_input().expect("the end");
        out.extend(rows_of(&h.take_output()));
        assert_eq!(out, expected, "{kind:?}");
    }
}

/// More partners than a piece of output holds.
#[test]
fn many_partners_leave_in_pieces() {
    let (left, right) = (schema(LEFT), schema(RIGHT));
    let mut h = harness(&spec(JoinKind::Full, Some(less())));
    let rows: Vec<String> = (0..30_000).map(|i| format!("+I[1, {i}]")).collect();
    h.process_input(1, 0, batch_of(&right, &rows)).expect("processed");
    h.take_output();
    h.process_input(0, 0, batch_of(&left, &["+I[1, a, 9999]", "+I[1, b, 40000]"])).expect("processed");
    let out = h.take_output();
    // Each of the 20,000 partners is taken back as padded and shown as a pair; b has none.
    assert_eq!(out.iter().map(ChangeBatch::num_rows).sum::<usize>(), 40_001);
    assert!(out.len() > 2 && out.iter().all(|b| b.num_rows() <= 20_000));
}

#[derive(Debug, Clone)]
enum Step {
    /// Rows of an input: key, text, number; `Some(n)` takes the n-th living row away instead.
    Rows(usize, Vec<(Option<i64>, u8, i64, Option<usize>)>),
    Restore(usize),
}

type Table = Vec<Vec<String>>;

/// What the join of two tables is.
fn recompute(kind: JoinKind, rest: bool, left: &Table, right: &Table) -> BTreeMap<String, i64> {
    let mut out = BTreeMap::new();
    let partner = |l: &Vec<String>, r: &Vec<String>| {
        l[0] != "null" && l[0] == r[0] && (!rest || l[2].parse::<i64>().expect("lid") < r[1].parse().expect("rv"))
    };
    let mut add = |l: Option<&Vec<String>>, r: Option<&Vec<String>>| {
        let nulls = |n| vec!["null".to_string(); n];
        let mut row = l.cloned().unwrap_or_else(|| nulls(3));
        if !kind.is_semi_or_anti() {
            row.extend(r.cloned().unwrap_or_else(|| nulls(2)));
        }
        *out.entry(format!("[{}]", row.join(", "))).or_insert(0) += 1;
    };
    for l in left {
        let partners: Vec<_> = right.iter().filter(|r| partner(l, r)).collect();
        match kind {
            JoinKind::Semi if !partners.is_empty() => add(Some(l), None),
            JoinKind::Anti if partners.is_empty() => add(Some(l), None),
            JoinKind::Semi | JoinKind::Anti => {}
            _ => {
                partners.iter().for_each(|r| add(Some(l), Some(r)));
                if partners.is_empty() && kind.pads_left_rows() {
                    add(Some(l), None);
                }
            }
        }
    }
    if kind.pads_right_rows() {
        right.iter().filter(|r| !left.iter().any(|l| partner(l, r))).for_each(|r| add(None, Some(r)));
    }
    out
}

fn apply(view: &mut BTreeMap<String, i64>, output: &[ChangeBatch]) {
    for row in rows_of(output) {
        let sign = if row.starts_with('+') { 1 } else { -1 };
        let count = view.entry(row[2..].to_string()).or_insert(0);
        *count += sign;
        assert!(*count >= 0, "{row} takes away what is not there");
        if *count == 0 {
            view.remove(&row[2..]);
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let row =
        (proptest::option::weighted(0.9, 0i64..4), 0u8..3, 0i64..5, proptest::option::weighted(0.45, 0usize..1_000));
    let step = prop_oneof![
        8 => (0usize..2, proptest::collection::vec(row, 1..12)).prop_map(|(i, rows)| Step::Rows(i, rows)),
        2 => (1usize..4).prop_map(Step::Restore),
    ];
    proptest::collection::vec(step, 1..24)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_order_is_the_join_of_the_tables(
        steps in steps(), kind in 0usize..6, rest in any::<bool>(), unique in any::<bool>(), parallelism in 1usize..4
    ) {
        let kind = KINDS[kind];
        let mut spec = spec(kind, rest.then(less));
        if unique {
            spec.left.unique_key = Some(vec![2]);
        }
        let nodes = stage(&spec);
        let mut h = Harness::of_stages(&nodes, parallelism, 16).expect("a harness");
        let mut tables: [Table; 2] = [vec![], vec![]];
        let mut view = BTreeMap::new();
        let mut id = 0;
        for (from, step) in steps.into_iter().enumerate() {
            match step {
                Step::Rows(input, rows) => {
                    let mut lines = vec![];
                    for (key, text, number, gone) in rows {
                        let table = &mut tables[input];
                        if let Some(n) = gone && !table.is_empty() {
                            let row = table.remove(n % table.len());
                            lines.push(format!("-D[{}]", row.join(", ")));
                            continue;
                        }
                        id += 1;
                        let key = key.map_or("null".to_string(), |k| k.to_string());
                        // With a unique key numbers do not repeat, without one rows may.
                        let number = if input == 0 && unique { id } else { number };
                        let row = if input == 0 {
                            vec![key, ["a", "bc", ""][usize::from(text)].to_string(), number.to_string()]
                        } else {
                            vec![key, number.to_string()]
                        };
                        lines.push(format!("+I[{}]", row.join(", ")));
                        table.push(row);
                    }
                    let columns = schema(if input == 0 { LEFT } else { RIGHT });
                    h.process_input(input, from, batch_of(&columns, &lines)).expect("processed");
                    apply(&mut view, &h.take_output());
                    prop_assert_eq!(&view, &recompute(kind, rest, &tables[0], &tables[1]));
                }
                Step::Restore(parallelism) => {
                    let snapshot = h.snapshot().expect("a snapshot");
                    h = Harness::restore_stages(&nodes, &snapshot, parallelism, 16).expect("restored");
                }
            }
        }
        for (input, table) in tables.iter_mut().enumerate() {
            let lines: Vec<String> = table.drain(..).map(|row| format!("-D[{}]", row.join(", "))).collect();
            let columns = schema(if input == 0 { LEFT } else { RIGHT });
            h.process_input(input, 0, batch_of(&columns, &lines)).expect("processed");
        }
        apply(&mut view, &h.take_output());
        prop_assert!(view.is_empty());
        prop_assert_eq!(h.state_rows(), 0);
    }
}

/// Enough rows for merged chunks, compaction and forgotten keys; checkpoints on the way.
#[test]
fn state_is_given_back() {
    let (left, right) = (schema(LEFT), schema(RIGHT));
    let spec = spec(JoinKind::Left, None);
    let nodes = stage(&spec);
    let mut h = Harness::of_stages(&nodes, 1, 128).expect("a harness");
    let mut view = BTreeMap::new();
    let lines = |sign: &str, round: i64| -> Vec<String> {
        (0..1_000).map(|i| format!("{sign}[{}, t, {i}]", round * 700 + i)).collect()
    };
    for round in 0..40 {
        h.process_input(0, 0, batch_of(&left, &lines("+I", round))).expect("processed");
        h.process_input(1, 0, batch_of(&right, &[format!("+I[{}, 1]", round * 700)])).expect("processed");
        if round >= 5 {
            h.process_input(0, 0, batch_of(&left, &lines("-D", round - 5))).expect("processed");
        }
        apply(&mut view, &h.take_output());
        if round % 7 == 3 {
            let snapshot = h.snapshot().expect("a snapshot");
            let (_, states) = &snapshot.stages[0];
            let stored: usize = states[0].runs.iter().map(|r| r.rows().expect("rows").num_rows()).sum();
            assert!(stored < 45_000, "{stored} rows are stored in round {round}");
            if round % 2 == 1 {
                h = Harness::restore_stages(&nodes, &snapshot, 1, 128).expect("restored");
            }
        }
    }
    assert_eq!(h.state_rows(), 5 * 1_000 + 40);
    assert_eq!(view.values().sum::<i64>(), 5_000);
    for round in 35..40 {
        h.process_input(0, 0, batch_of(&left, &lines("-D", round))).expect("processed");
    }
    let rows: Vec<String> = (0..40).map(|round| format!("-D[{}, 1]", round * 700)).collect();
    h.process_input(1, 0, batch_of(&right, &rows)).expect("processed");
    apply(&mut view, &h.take_output());
    assert!(view.is_empty());
    assert_eq!((h.state_rows(), h.state_bytes()), (0, 0));
    let snapshot = h.snapshot().expect("a snapshot");
    assert!(snapshot.stages[0].1[0].runs.is_empty());
}
