//! OVER in batch mode: every frame beside a naive one, rows that come in any order and parts, restores.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use flott_graph::{Node, OverArrival, OverBound, OverFrame, OverFunction, OverGroup, OverOffset, Partitioning};
use flott_operator::harness::Harness;
use flott_testkit::{batch, rows_of, schema};
use proptest::prelude::*;

use crate::over::{aggregate, meaning, over_call, over_node};

const COLUMNS: &str = "k STRING, id BIGINT, o BIGINT, v BIGINT";

fn nodes(frame: OverFrame) -> Vec<(Node, Partitioning)> {
    let input = schema(COLUMNS);
    let calls = vec![
        aggregate(&input, "SUM", "v", "BIGINT"),
        aggregate(&input, "MIN", "v", "BIGINT"),
        aggregate(&input, "LAST_VALUE", "id", "BIGINT"),
        over_call(&input, OverFunction::Aggregate(flott_function::AggregateKind::Count), &[], "BIGINT NOT NULL"),
    ];
    let call = |f: OverFunction, arguments: &[&str], result: &str| over_call(&input, f, arguments, result);
    let places = vec![
        call(OverFunction::RowNumber, &[], "BIGINT NOT NULL"),
        call(OverFunction::Rank, &[], "BIGINT NOT NULL"),
        call(OverFunction::DenseRank, &[], "BIGINT NOT NULL"),
        call(OverFunction::Ntile(3), &[], "BIGINT NOT NULL"),
        call(OverFunction::Lag(1), &["id"], "BIGINT"),
        call(OverFunction::Lag(-2), &["id", "v"], "BIGINT"),
    ];
    let groups = vec![OverGroup { frame, calls }, OverGroup { frame: OverFrame::so_far(false), calls: places }];
    over_node(input.clone(), Some(2), OverArrival::AtEnd, groups, None)
}

fn bounds() -> impl Strategy<Value = OverBound> {
    prop_oneof![
        Just(OverBound::UnboundedPreceding),
        (0i64..4).prop_map(|n| OverBound::Preceding(OverOffset::whole(n))),
        Just(OverBound::CurrentRow),
        (0i64..4).prop_map(|n| OverBound::Following(OverOffset::whole(n))),
        Just(OverBound::UnboundedFollowing),
    ]
}

type Row = (i64, Option<i64>, Option<i64>);

/// How far the row of a bound is from a row; `None` without a bound.
fn distance(bound: &OverBound) -> Option<i64> {
    match bound {
        OverBound::Preceding(n) => Some(-n.as_whole()),
        OverBound::Following(n) => Some(n.as_whole()),
        OverBound::CurrentRow => Some(0),
        _ => None,
    }
}

/// For each row of a sorted partition those that it sees. Ends of a RANGE go from row to row and never back, as Flink's: NULL
/// is at no distance from NULL, and in no range of a value. The lower end passes only what has come within the upper one.
fn frames(frame: &OverFrame, rows: &[Row]) -> Vec<Vec<usize>> {
    let n = rows.len() as i64;
    let end = |bound: &OverBound, up_to: Option<&[i64]>| -> Vec<i64> {
        let lower = up_to.is_some();
        let mut at = 0i64;
        (0..rows.len())
            .map(|i| {
                let Some(distance) = distance(bound) else {
                    return if lower { 0 } else { i64::MAX };
                };
                if frame.rows {
                    return i as i64 + distance + i64::from(!lower);
                }
                let passed = |j: usize| match (rows[j].1, rows[i].1) {
                    (Some(a), Some(b)) if lower => a < b + distance,
                    (Some(a), Some(b)) => a <= b + distance,
                    (None, None) if lower => 0 < distance,
                    (None, None) => 0 <= distance,
                    // The bounds of the row itself are those of its equals.
                    _ if *bound == OverBound::CurrentRow && lower => j < i,
                    _ if *bound == OverBound::CurrentRow => j <= i,
                    _ => lower,
                };
                let most = up_to.map_or(n, |to| to[i].min(n));
                while at < most && passed(at as usize) {
                    at += 1;
                }
                at
            })
            .collect()
    };
    let to = end(&frame.upper, None);
    let from = end(&frame.lower, Some(&to));
    (0..rows.len()).map(|i| (from[i].max(0)..to[i].min(n)).map(|j| j as usize).collect()).collect()
}

fn text(value: Option<i64>) -> String {
    value.map_or("null".to_string(), |v| v.to_string())
}

fn expected(frame: &OverFrame, key: u8, rows: &[Row]) -> Vec<String> {
    let rank = |i: usize| rows.iter().position(|r| r.1 == rows[i].1).unwrap_or(0) + 1;
    let frames = frames(frame, rows);
    (0..rows.len())
        .map(|i| {
            let seen: Vec<Row> = frames[i].iter().map(|j| rows[*j]).collect();
            let values: Vec<i64> = seen.iter().filter_map(|r| r.2).collect();
            let (size, larger) = (rows.len() / 3, rows.len() % 3);
            let bucket = (0..3).scan(0, |end, b| {
                *end += size + usize::from(b < larger);
                Some(*end)
            });
            let mut dense: Vec<Option<i64>> = rows[..=i].iter().map(|r| r.1).collect();
            dense.dedup();
            let (id, o, v) = rows[i];
            let cells = [
                format!("k{key}"),
                id.to_string(),
                text(o),
                text(v),
                text((!values.is_empty()).then(|| values.iter().sum())),
                text(values.iter().min().copied()),
                text(seen.last().map(|r| r.0)),
                seen.len().to_string(),
                (i + 1).to_string(),
                rank(i).to_string(),
                dense.len().to_string(),
                (bucket.take_while(|end| *end <= i).count() + 1).to_string(),
                text(i.checked_sub(1).map(|p| rows[p].0)),
                text(if i + 2 < rows.len() { Some(rows[i + 2].0) } else { v }),
            ];
            format!("+I[{}]", cells.join(", "))
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn frames_are_those_of_a_naive_one(
        of_rows in any::<bool>(),
        (lower, upper) in (bounds(), bounds()),
        rows in proptest::collection::vec(
            (0u8..3, proptest::option::weighted(0.8, -3i64..4), proptest::option::weighted(0.8, -9i64..10)), 0..40),
        parts in 1usize..5,
        parallelism in 1usize..4,
        restore in proptest::option::of((0usize..5, 1usize..4)),
    ) {
        // Those that Flink refuses.
        prop_assume!(lower != OverBound::UnboundedFollowing && upper != OverBound::UnboundedPreceding);
        let frame = OverFrame { rows: of_rows, lower, upper };
        let nodes = nodes(frame);
        let mut harness = Harness::new(&nodes, parallelism, 128).expect("operators");
        let mut model: BTreeMap<u8, Vec<Row>> = BTreeMap::new();
        let mut lines = vec![];
        for (id, (key, o, v)) in (1i64..).zip(rows) {
            model.entry(key).or_default().push((id, o, v));
            lines.push(format!("+I[k{key}, {id}, {}, {}]", text(o), text(v)));
        }
        for (i, part) in lines.chunks(lines.len().div_ceil(parts).max(1)).enumerate() {
            if let Some((_, parallelism)) = restore.filter(|r| r.0 == i) {
                let snapshot = harness.snapshot().expect("a snapshot");
                harness = Harness::restore(&nodes, &snapshot, parallelism, 128).expect("restores");
            }
            harness.process(0, batch(COLUMNS, part)).expect("rows");
        }
        harness.end_input().expect("an end");
        let output = rows_of(&harness.take_output());
        for key in 0u8..3 {
            let mut rows = model.remove(&key).unwrap_or_default();
            rows.sort_by_key(|r| r.1);
            let of_key: Vec<String> = output.iter().filter(|r| r.starts_with(&format!("+I[k{key},"))).cloned().collect();
            prop_assert_eq!(of_key, expected(&frame, key, &rows));
        }
    }
}

/// Frames of numbers that are rounded are added up anew for each row: the same sums, however many steps that takes.
#[test]
fn wide_frames_of_real_numbers_are_added_up_in_order() {
    const REAL: &str = "k STRING, o BIGINT, v DOUBLE";
    let input = schema(REAL);
    let calls = vec![aggregate(&input, "SUM", "v", "DOUBLE"), aggregate(&input, "AVG", "v", "DOUBLE")];
    let lower = OverBound::Preceding(OverOffset::whole(99));
    let frame = OverFrame { rows: true, lower, upper: OverBound::CurrentRow };
    let nodes = over_node(input, Some(1), OverArrival::AtEnd, vec![OverGroup { frame, calls }], None);
    let value = |i: usize| f64::from((i * 7919 % 1000) as u32) / 10.0 + 1e9 / f64::from(1 + (i % 13) as u32);
    let n = 12_000;
    let lines: Vec<String> = (0..n).map(|i| format!("+I[a, {i}, {}]", value(i))).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let mut harness = Harness::new(&nodes, 1, 128).expect("operators");
    harness.process(0, batch(REAL, &lines)).expect("rows");
    harness.end_input().expect("the end");
    assert!(harness.output.iter().all(|b| b.num_rows() <= 8_192), "one partition is more than one batch");
    let mut next = 0;
    for part in harness.take_output() {
        let column = |c: usize| part.rows.column(c).as_primitive::<arrow_array::types::Float64Type>().clone();
        let (sums, averages) = (column(3), column(4));
        for row in 0..part.num_rows() {
            let seen = next.max(99) - 99..next + 1;
            let sum = seen.clone().fold(0.0, |sum, i| sum + value(i));
            assert_eq!(sums.value(row).to_bits(), sum.to_bits(), "row {next}");
            assert_eq!(averages.value(row).to_bits(), (sum / seen.len() as f64).to_bits(), "row {next}");
            next += 1;
        }
    }
    assert_eq!(next, n);
}

/// Nothing is computed before the end: other functions may go on, other columns may not.
#[test]
fn only_the_columns_matter_to_stored_rows() {
    let nodes = || nodes(OverFrame::so_far(true));
    let (a, b) = (("input columns", "k, id, o, v"), ("input columns", "k, id, o, w"));
    let mut harness = Harness::new(&meaning(nodes(), &[a, ("functions", "SUM(v)")]), 1, 128).expect("operators");
    harness.process(0, batch(COLUMNS, &["+I[a, 1, 1, 1]"])).expect("rows");
    let snapshot = harness.snapshot().expect("a snapshot");
    Harness::restore(&meaning(nodes(), &[a, ("functions", "MAX(v)")]), &snapshot, 1, 128).expect("other functions");
    let other = Harness::restore(&meaning(nodes(), &[b, ("functions", "SUM(v)")]), &snapshot, 1, 128);
    assert!(other.is_err(), "the rows are of another column");
}
