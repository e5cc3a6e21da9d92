//! Joins over time: interval, window and temporal joins.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_schema::{Field, Schema, SchemaRef};
use flott_core::Watermark;
use flott_core::types::TimeAttribute;
use flott_graph::{
    IntervalJoinSpec, JoinCondition, JoinKind, Node, OperatorSpec, Partitioning, TemporalJoinSpec, WindowJoinSpec,
};
use flott_operator::harness::Harness;
use flott_testkit::{batch_of, rows_of, schema};
use proptest::prelude::*;

use crate::common::node;

const LEFT: &str = "lk BIGINT, lv STRING, lt TIMESTAMP(3) NOT NULL";
const RIGHT: &str = "rk BIGINT, rv STRING, rt TIMESTAMP(3) NOT NULL";
const COLUMNS: [&str; 2] = [LEFT, RIGHT];

fn condition() -> JoinCondition {
    JoinCondition {
        left_keys: vec![0],
        right_keys: vec![0],
        filter_nulls: vec![true],
        rest: None,
        left_schema: schema(LEFT),
        right_schema: schema(RIGHT),
    }
}

fn stage(spec: OperatorSpec, semi: bool) -> Vec<(Node, Vec<Partitioning>)> {
    let mut fields: Vec<Field> = schema(LEFT).fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
    if !semi {
        fields.extend(schema(RIGHT).fields().iter().map(|f| f.as_ref().clone().with_nullable(true)));
    }
    let output: SchemaRef = Arc::new(Schema::new(fields));
    vec![(node("join", spec, output), vec![Partitioning::Hash(vec![0]), Partitioning::Hash(vec![0])])]
}

fn interval(kind: JoinKind, attribute: TimeAttribute, lower: i64, upper: i64) -> Vec<(Node, Vec<Partitioning>)> {
    let spec = IntervalJoinSpec {
        kind,
        condition: condition(),
        attribute,
        left_time: 2,
        right_time: 2,
        left_lower_ms: lower,
        left_upper_ms: upper,
    };
    stage(OperatorSpec::IntervalJoin(spec), false)
}

fn window(kind: JoinKind) -> Vec<(Node, Vec<Partitioning>)> {
    let spec =
        WindowJoinSpec { kind, condition: condition(), left_window_end: 2, right_window_end: 2, time_zone: None };
    stage(OperatorSpec::WindowJoin(spec), kind.is_semi_or_anti())
}

fn temporal(kind: JoinKind) -> Vec<(Node, Vec<Partitioning>)> {
    let spec = TemporalJoinSpec { kind, condition: condition(), left_time: 2, right_time: 2, state_ttl: None };
    stage(OperatorSpec::TemporalJoin(spec), false)
}

fn at(ms: i64) -> String {
    format!("1970-01-01 00:00:{:02}.{:03}", ms / 1_000, ms % 1_000)
}

/// `+I[1, a, 00:00:01]`, with the time in seconds.
fn row(kind: &str, key: Option<i64>, value: &str, ms: i64) -> String {
    format!("{kind}[{}, {value}, {}]", key.map_or("null".to_string(), |k| k.to_string()), at(ms))
}

fn feed(h: &mut Harness, input: usize, rows: &[String]) {
    h.process_input(input, 0, batch_of(&schema(COLUMNS[input]), rows)).expect("processed");
}

/// Values and times alone, since keys are those of the partner.
fn brief(h: &mut Harness) -> Vec<String> {
    let rows = rows_of(&h.take_output());
    rows.iter().map(|r| r.replace("1970-01-01T00:00:", "").replace("1970-01-01T00:00", "00")).collect()
}

fn new(nodes: &[(Node, Vec<Partitioning>)]) -> Harness {
    Harness::of_stages(nodes, 1, 128).expect("a harness")
}

#[test]
fn rows_near_in_time_meet_and_leave_when_nothing_can_come() {
    let nodes = interval(JoinKind::Full, TimeAttribute::Rowtime, -5_000, 2_000);
    let mut h = new(&nodes);
    feed(&mut h, 0, &[row("+I", Some(1), "a", 10_000), row("+I", None, "n", 10_000)]);
    // Right times from 8 to 15 seconds are near.
    feed(&mut h, 1, &[7_999, 8_000, 15_000, 15_001].map(|t| row("+I", Some(1), &format!("r{t}"), t)));
    let near = brief(&mut h);
    assert_eq!(near.len(), 2);
    assert!(near[0].contains("r8000") && near[1].contains("r15000"), "{near:?}");
    // A left row at time t waits until t + 5 s has passed, a right one until t + 2 s.
    h.watermark_all(Watermark(10_000)).expect("time");
    let padded = brief(&mut h);
    assert!(padded.len() == 1 && padded[0].starts_with("+I[null, null, null, 1, r7999"), "{padded:?}");
    // What leaves is behind the watermark by up to 5 s.
    assert_eq!(h.watermarks, [Watermark(5_000)]);
    let snapshot = h.snapshot().expect("a snapshot");
    let mut h = Harness::restore_stages(&nodes, &snapshot, 2, 128).expect("restored");
    h.watermark_all(Watermark(15_001)).expect("time");
    let padded = brief(&mut h);
    // The row with a partner left without a word: that it had one was stored.
    assert!(padded.len() == 1 && padded[0].starts_with("+I[null, n,"), "{padded:?}");
    // A late row meets what is there and comes out padded at once where nothing is.
    feed(&mut h, 0, &[row("+I", Some(1), "late", 9_000), row("+I", Some(1), "late", 10_000)]);
    let late = brief(&mut h);
    assert!(late.len() == 2 && late[0].contains("late, 09, null") && late[1].contains("r15000"), "{late:?}");
    h.end_input().expect("the end");
    let rest = brief(&mut h);
    assert!(rest.len() == 1 && rest[0].contains("r15001"), "{rest:?}");
    assert_eq!((h.state_rows(), h.state_bytes()), (0, 0));
    assert_eq!(h.watermarks.last(), Some(&Watermark::MAX));
}

/// A key that nobody touches goes with its versions and the rows that wait, also after a restore; one that is asked for stays.
#[test]
fn versions_that_nobody_asks_for_end() {
    let mut nodes = temporal(JoinKind::Left);
    let OperatorSpec::TemporalJoin(spec) = &mut nodes[0].0.spec else { panic!("a temporal join") };
    spec.state_ttl = Some(std::time::Duration::from_secs(10));
    let mut h = new(&nodes);
    feed(&mut h, 1, &[row("+I", Some(1), "r1", 1_000), row("+I", Some(2), "r2", 1_000)]);
    feed(&mut h, 0, &[row("+I", Some(2), "waits", 40_000)]);
    h.watermark_all(Watermark(2_000)).expect("time");
    h.set_processing_time(8_000).expect("time");
    feed(&mut h, 0, &[row("+I", Some(1), "a", 2_500)]);
    h.watermark_all(Watermark(3_000)).expect("time");
    assert!(brief(&mut h)[0].contains("r1"));
    h.set_processing_time(15_000).expect("time");
    assert_eq!(h.state_rows(), 1, "the second key is over");
    let snapshot = h.snapshot().expect("a snapshot");
    let mut h = Harness::restore_stages(&nodes, &snapshot, 2, 128).expect("restored");
    h.set_processing_time(19_000).expect("time");
    feed(&mut h, 0, &[row("+I", Some(1), "b", 3_500)]);
    h.watermark_all(Watermark(4_000)).expect("time");
    assert!(brief(&mut h)[0].contains("r1"), "its time starts anew");
    h.set_processing_time(26_000).expect("time");
    assert_eq!(h.state_rows(), 1);
    h.set_processing_time(60_000).expect("time");
    assert_eq!(h.state_rows(), 0);
    feed(&mut h, 0, &[row("+I", Some(1), "c", 4_500)]);
    h.end_input().expect("the end");
    assert!(brief(&mut h)[0].contains("c, 04.500, null"));
}

#[test]
fn processing_time_is_when_a_row_came() {
    let nodes = interval(JoinKind::Left, TimeAttribute::Proctime, -5_000, 0);
    let mut h = new(&nodes);
    h.set_processing_time(1_000).expect("time");
    feed(&mut h, 0, &[row("+I", Some(1), "a", 0), row("+I", Some(2), "b", 0)]);
    h.set_processing_time(6_000).expect("time");
    feed(&mut h, 1, &[row("+I", Some(1), "r", 0)]);
    assert_eq!(brief(&mut h).len(), 1);
    let snapshot = h.snapshot().expect("a snapshot");
    let mut h = Harness::restore_stages(&nodes, &snapshot, 1, 128).expect("restored");
    h.set_processing_time(6_001).expect("time");
    let padded = brief(&mut h);
    assert!(padded.len() == 1 && padded[0].starts_with("+I[2, b,"), "{padded:?}");
}

#[test]
fn windows_are_joined_when_they_are_over() {
    let expected: [(JoinKind, &[&str]); 6] = [
        (JoinKind::Inner, &["+I[1, a, 05, 1, x, 05]", "+I[1, a, 05, 1, y, 05]"]),
        (
            JoinKind::Left,
            &[
                "+I[1, a, 05, 1, x, 05]",
                "+I[1, a, 05, 1, y, 05]",
                "+I[2, b, 05, null, null, null]",
                "+I[null, c, 05, null, null, null]",
            ],
        ),
        (JoinKind::Right, &["+I[1, a, 05, 1, x, 05]", "+I[1, a, 05, 1, y, 05]", "+I[null, null, null, 3, z, 05]"]),
        (
            JoinKind::Full,
            &[
                "+I[1, a, 05, 1, x, 05]",
                "+I[1, a, 05, 1, y, 05]",
                "+I[2, b, 05, null, null, null]",
                "+I[null, c, 05, null, null, null]",
                "+I[null, null, null, 3, z, 05]",
            ],
        ),
        (JoinKind::Semi, &["+I[1, a, 05]"]),
        (JoinKind::Anti, &["+I[2, b, 05]", "+I[null, c, 05]"]),
    ];
    for (kind, expected) in expected {
        let nodes = window(kind);
        let mut h = new(&nodes);
        feed(&mut h, 0, &[row("+I", Some(1), "a", 5_000), row("+I", Some(2), "b", 5_000), row("+I", None, "c", 5_000)]);
        feed(
            &mut h,
            1,
            &[row("+I", Some(1), "x", 5_000), row("+I", Some(1), "y", 5_000), row("+I", Some(3), "z", 5_000)],
        );
        // Of another window, which is not over.
        feed(&mut h, 1, &[row("+I", Some(2), "later", 10_000)]);
        let snapshot = h.snapshot().expect("a snapshot");
        let mut h = Harness::restore_stages(&nodes, &snapshot, 1, 128).expect("restored");
        h.watermark_all(Watermark(4_998)).expect("time");
        assert!(h.output.is_empty());
        h.watermark_all(Watermark(4_999)).expect("time");
        assert_eq!(brief(&mut h), expected, "{kind:?}");
        feed(&mut h, 0, &[row("+I", Some(1), "late", 5_000)]);
        assert_eq!(h.late_records_dropped(), 1);
        h.end_input().expect("the end");
        assert_eq!((h.state_rows(), h.state_bytes()), (0, 0));
    }
}

#[test]
fn a_row_meets_the_version_of_its_time() {
    let nodes = temporal(JoinKind::Left);
    let mut h = new(&nodes);
    feed(
        &mut h,
        1,
        &[row("+I", Some(1), "v1", 1_000), row("+U", Some(1), "v3", 3_000), row("-D", Some(1), "v3", 6_000)],
    );
    let lefts = [500, 1_000, 2_999, 3_000, 5_999, 6_000].map(|t| row("+I", Some(1), "a", t));
    feed(&mut h, 0, &lefts);
    feed(&mut h, 0, &[row("-U", Some(1), "u", 2_000), row("+I", None, "n", 2_000)]);
    h.watermark_all(Watermark(3_000)).expect("time");
    let expected = [
        "+I[1, a, 00.500, null, null, null]",
        "+I[1, a, 01, 1, v1, 01]",
        "+I[1, a, 02.999, 1, v1, 01]",
        "+I[1, a, 03, 1, v3, 03]",
        "-U[1, u, 02, 1, v1, 01]",
        "+I[null, n, 02, null, null, null]",
    ];
    assert_eq!(brief(&mut h), expected);
    // v1 can be asked for by nobody any more.
    assert_eq!(h.state_rows(), 2 + 2);
    let snapshot = h.snapshot().expect("a snapshot");
    let mut h = Harness::restore_stages(&nodes, &snapshot, 2, 128).expect("restored");
    h.watermark_all(Watermark(9_000)).expect("time");
    assert_eq!(brief(&mut h), ["+I[1, a, 05.999, 1, v3, 03]", "+I[1, a, 06, null, null, null]"]);
    assert_eq!(h.state_rows(), 1);
}

#[derive(Debug, Clone)]
enum Step {
    Rows(usize, Vec<(Option<i64>, i64)>),
    Watermark(i64),
    Restore(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let rows = proptest::collection::vec((proptest::option::weighted(0.9, 0i64..3), 0i64..40), 1..10);
    let step = prop_oneof![
        6 => (0usize..2, rows).prop_map(|(i, rows)| Step::Rows(i, rows)),
        3 => (0i64..50).prop_map(Step::Watermark),
        1 => (1usize..4).prop_map(Step::Restore),
    ];
    proptest::collection::vec(step, 1..24)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    /// All rows in time: the pairs are those of the tables, however rows, watermarks and barriers lie.
    #[test]
    fn rows_in_time_find_all_partners(
        steps in steps(), which in 0usize..2, kind in 0usize..4, lower in -8i64..3, width in 0i64..10,
        parallelism in 1usize..4
    ) {
        let kind = [JoinKind::Inner, JoinKind::Left, JoinKind::Right, JoinKind::Full][kind];
        let upper = lower + width;
        let nodes = match which {
            0 => interval(kind, TimeAttribute::Rowtime, lower, upper),
            _ => window(kind),
        };
        let mut h = Harness::of_stages(&nodes, parallelism, 16).expect("a harness");
        let (mut watermark, mut tables, mut out, mut id) = (i64::MIN, [vec![], vec![]], vec![], 0);
        for (from, step) in steps.into_iter().enumerate() {
            match step {
                Step::Rows(input, rows) => {
                    let mut lines = vec![];
                    for (key, mut time) in rows {
                        // Windows of 10 ms, so that rows meet.
                        if which == 1 {
                            time = time / 10 * 10 + 10;
                        }
                        if time <= watermark.saturating_add(i64::from(which == 1)) {
                            continue;
                        }
                        id += 1;
                        lines.push(row("+I", key, &id.to_string(), time));
                        tables[input].push((key, id, time));
                    }
                    if !lines.is_empty() {
                        h.process_input(input, from, batch_of(&schema(COLUMNS[input]), &lines)).expect("processed");
                    }
                }
                Step::Watermark(to) => {
                    watermark = watermark.max(to);
                    h.watermark_all(Watermark(watermark)).expect("time");
                }
                Step::Restore(parallelism) => {
                    out.append(&mut h.take_output());
                    let snapshot = h.snapshot().expect("a snapshot");
                    h = Harness::restore_stages(&nodes, &snapshot, parallelism, 16).expect("restored");
                }
            }
        }
        h.end_input().expect("the end");
        out.append(&mut h.take_output());
        prop_assert_eq!((h.state_rows(), h.state_bytes()), (0, 0));
        let partner = |l: &(Option<i64>, i64, i64), r: &(Option<i64>, i64, i64)| {
            let near = if which == 0 { (r.2 + lower..=r.2 + upper).contains(&l.2) } else { l.2 == r.2 };
            l.0.is_some() && l.0 == r.0 && near
        };
        let mut expected: BTreeMap<(i64, i64), usize> = BTreeMap::new();
        for l in &tables[0] {
            for r in tables[1].iter().filter(|r| partner(l, r)) {
                *expected.entry((l.1, r.1)).or_default() += 1;
            }
            if kind.pads_left_rows() && !tables[1].iter().any(|r| partner(l, r)) {
                *expected.entry((l.1, 0)).or_default() += 1;
            }
        }
        for r in tables[1].iter().filter(|r| kind.pads_right_rows() && !tables[0].iter().any(|l| partner(l, r))) {
            *expected.entry((0, r.1)).or_default() += 1;
        }
        let mut got: BTreeMap<(i64, i64), usize> = BTreeMap::new();
        for line in rows_of(&out) {
            let cells: Vec<&str> = line[3..line.len() - 1].split(", ").collect();
            *got.entry((cells[1].parse().unwrap_or(0), cells[4].parse().unwrap_or(0))).or_default() += 1;
        }
        prop_assert_eq!(got, expected);
    }
}
