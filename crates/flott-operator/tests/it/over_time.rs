//! OVER in the order of time: what Flink's functions emit of rows that come in and out of order, late or not, under any
//! split, barrier, restore and parallelism.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use flott_core::Watermark;
use flott_core::time_text::format_timestamp_ms;
use flott_core::types::TimeAttribute;
use flott_graph::{Node, OverArrival, OverBound, OverFrame, OverFunction, OverGroup, OverOffset, Partitioning};
use flott_operator::harness::Harness;
use flott_testkit::{batch, rows_of, schema};
use proptest::prelude::*;

use crate::over::{aggregate, over_call, over_node};

const COLUMNS: &str = "k STRING, id BIGINT, v BIGINT, ts TIMESTAMP(3)";

fn preceding(rows: bool, offset: i64) -> OverFrame {
    OverFrame { rows, lower: OverBound::Preceding(OverOffset::whole(offset)), upper: OverBound::CurrentRow }
}

fn nodes(frame: OverFrame, attribute: TimeAttribute, ttl: Option<Duration>) -> Vec<(Node, Partitioning)> {
    let input = schema(COLUMNS);
    let mut calls = vec![
        aggregate(&input, "SUM", "v", "BIGINT"),
        aggregate(&input, "MAX", "v", "BIGINT"),
        aggregate(&input, "FIRST_VALUE", "id", "BIGINT"),
        over_call(&input, OverFunction::RowNumber, &[], "BIGINT NOT NULL"),
    ];
    if frame.lower == OverBound::UnboundedPreceding {
        calls.push(over_call(&input, OverFunction::Lag(2), &["id"], "BIGINT"));
    }
    over_node(input, Some(3), OverArrival::Time(attribute), vec![OverGroup { frame, calls }], ttl)
}

#[derive(Debug, Clone)]
enum Step {
    Rows(Vec<(u8, i64, Option<i64>)>),
    Watermark(i64),
    Snapshot,
    Restore(usize),
}

type Row = (i64, Option<i64>, i64);

/// A partition as Flink's functions know it.
#[derive(Default)]
struct Model {
    pending: BTreeMap<i64, Vec<Row>>,
    seen: Vec<Row>,
    last: Option<i64>,
    cleanup: Option<i64>,
    timers: BTreeSet<i64>,
}

impl Model {
    fn add(&mut self, frame: &OverFrame, watermark: i64, row: Row) {
        let late = match frame.lower {
            OverBound::UnboundedPreceding => row.2 <= watermark,
            _ => row.2 <= self.last.unwrap_or(0),
        };
        if late {
            return;
        }
        self.pending.entry(row.2).or_default().push(row);
        if let (false, OverBound::Preceding(length)) = (frame.rows, frame.lower) {
            let length = length.as_whole();
            if self.cleanup.is_none_or(|c| c < row.2 + length + 1) {
                let at = row.2 + length + length / 2 + 1;
                self.cleanup = Some(at);
                self.timers.insert(at);
            }
        }
    }

    fn advance(&mut self, frame: &OverFrame, key: u8, watermark: i64, out: &mut Vec<(i64, String)>) {
        loop {
            let next = self.pending.keys().next().into_iter().chain(self.timers.iter().next()).min().copied();
            let Some(time) = next.filter(|t| *t <= watermark) else { return };
            let of_cleanup = self.timers.remove(&time);
            let rows = self.pending.remove(&time).unwrap_or_default();
            for i in 0..rows.len() {
                let with: Vec<Row> = if frame.rows { rows[..=i].to_vec() } else { rows.clone() };
                let mut seen = self.seen.clone();
                seen.extend(with);
                match (frame.rows, frame.lower) {
                    (true, OverBound::Preceding(n)) => {
                        seen.drain(..seen.len().saturating_sub(n.as_whole() as usize + 1));
                    }
                    (false, OverBound::Preceding(length)) => seen.retain(|r| time - r.2 <= length.as_whole()),
                    _ => {}
                }
                out.push((time, line(key, rows[i], &seen, frame.lower == OverBound::UnboundedPreceding)));
            }
            self.seen.extend(rows);
            self.last = Some(time);
            if of_cleanup && self.cleanup.is_some_and(|c| c <= time) {
                *self = Model { pending: std::mem::take(&mut self.pending), ..Model::default() };
            }
        }
    }
}

fn text(value: Option<i64>) -> String {
    value.map_or("null".to_string(), |v| v.to_string())
}

fn line(key: u8, row: Row, seen: &[Row], lag: bool) -> String {
    let values: Vec<i64> = seen.iter().filter_map(|r| r.1).collect();
    let sum = (!values.is_empty()).then(|| values.iter().sum::<i64>());
    let mut line = format!(
        "+I[k{key}, {}, {}, {}, {}, {}, {}, {}",
        row.0,
        text(row.1),
        format_timestamp_ms(row.2).replace(' ', "T"),
        text(sum),
        text(values.iter().max().copied()),
        seen[0].0,
        seen.len()
    );
    if lag {
        line += &format!(", {}", text(seen.len().checked_sub(3).map(|i| seen[i].0)));
    }
    line + "]"
}

fn frames() -> impl Strategy<Value = OverFrame> {
    prop_oneof![
        any::<bool>().prop_map(OverFrame::so_far),
        (0i64..4).prop_map(|n| preceding(true, n)),
        (0i64..12).prop_map(|ms| preceding(false, ms)),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let rows = proptest::collection::vec((0u8..3, 1i64..40, proptest::option::weighted(0.8, -5i64..6)), 1..12);
    let step = prop_oneof![
        5 => rows.prop_map(Step::Rows),
        3 => (0i64..45).prop_map(Step::Watermark),
        1 => Just(Step::Snapshot),
        1 => (1usize..5).prop_map(Step::Restore),
    ];
    proptest::collection::vec(step, 1..16)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn rows_leave_as_of_flink(frame in frames(), steps in steps(), parallelism in 1usize..4) {
        let nodes = nodes(frame, TimeAttribute::Rowtime, None);
        let mut harness = Harness::new(&nodes, parallelism, 128).expect("operators");
        let mut models: BTreeMap<u8, Model> = BTreeMap::new();
        let mut expected: BTreeMap<u8, Vec<String>> = BTreeMap::new();
        let (mut id, mut watermark) = (0, i64::MIN);
        let mut output = vec![];
        let mut advance = |models: &mut BTreeMap<u8, Model>, watermark: i64| {
            for (key, model) in models.iter_mut() {
                let mut out = vec![];
                model.advance(&frame, *key, watermark, &mut out);
                expected.entry(*key).or_default().extend(out.into_iter().map(|o| o.1));
            }
        };
        for step in steps {
            match step {
                Step::Rows(rows) => {
                    let mut lines = vec![];
                    for (key, ts, v) in rows {
                        id += 1;
                        models.entry(key).or_default().add(&frame, watermark, (id, v, ts));
                        lines.push(format!("+I[k{key}, {id}, {}, {}]", text(v), format_timestamp_ms(ts)));
                    }
                    harness.process(0, batch(COLUMNS, &lines)).expect("rows");
                }
                Step::Watermark(to) if to > watermark => {
                    watermark = to;
                    harness.watermark_all(Watermark(to)).expect("a watermark");
                    advance(&mut models, to);
                }
                Step::Watermark(_) => {}
                Step::Snapshot => drop(harness.snapshot().expect("a snapshot")),
                Step::Restore(parallelism) => {
                    output.extend(rows_of(&harness.take_output()));
                    let snapshot = harness.snapshot().expect("a snapshot");
                    harness = Harness::restore(&nodes, &snapshot, parallelism, 128).expect("restores");
                }
            }
        }
        harness.end_input().expect("an end");
        advance(&mut models, i64::MAX);
        output.extend(rows_of(&harness.take_output()));
        for key in 0u8..3 {
            let of_key: Vec<String> = output.iter().filter(|r| r.starts_with(&format!("+I[k{key},"))).cloned().collect();
            prop_assert_eq!(of_key, expected.remove(&key).unwrap_or_default());
        }
    }
}

fn row(key: &str, id: i64, v: i64) -> String {
    format!("+I[{key}, {id}, {v}, null]")
}

#[test]
fn rows_of_processing_time_leave_at_once() {
    for restore in [false, true] {
        for (frame, expected) in [
            (OverFrame::so_far(false), ["10, 10, 1, 1, null", "30, 20, 1, 2, null", "35, 20, 1, 3, 1"]),
            (preceding(true, 1), ["10, 10, 1, 1", "30, 20, 1, 2", "25, 20, 2, 2"]),
        ] {
            let nodes = nodes(frame, TimeAttribute::Proctime, None);
            let mut harness = Harness::new(&nodes, 2, 128).expect("operators");
            harness.process(0, batch(COLUMNS, &[row("a", 1, 10), row("a", 2, 20)])).expect("rows");
            let mut output = rows_of(&harness.take_output());
            if restore {
                let snapshot = harness.snapshot().expect("a snapshot");
                harness = Harness::restore(&nodes, &snapshot, 3, 128).expect("restores");
            }
            harness.process(0, batch(COLUMNS, &[row("a", 3, 5)])).expect("rows");
            output.extend(rows_of(&harness.take_output()));
            let shown: Vec<String> =
                output.iter().map(|r| r[2..].splitn(5, ", ").nth(4).unwrap_or("").to_string()).collect();
            assert_eq!(shown, expected.map(|e| format!("{e}]")));
        }
    }
}

/// Rows of one millisecond have one result, as soon as it is over.
#[test]
fn a_range_of_processing_time() {
    let nodes = nodes(preceding(false, 10), TimeAttribute::Proctime, None);
    let mut harness = Harness::new(&nodes, 1, 128).expect("operators");
    let at = |harness: &mut Harness, ms: i64, rows: &[String]| {
        harness.set_processing_time(ms).expect("time");
        harness.process(0, batch(COLUMNS, rows)).expect("rows");
    };
    at(&mut harness, 100, &[row("a", 1, 1), row("a", 2, 2)]);
    at(&mut harness, 100, &[row("a", 3, 4), row("b", 4, 8)]);
    assert!(rows_of(&harness.take_output()).is_empty());
    let snapshot = harness.snapshot().expect("a snapshot");
    let mut harness = Harness::restore(&nodes, &snapshot, 1, 128).expect("restores");
    at(&mut harness, 110, &[row("a", 5, 16)]);
    let sums = |rows: Vec<String>| -> Vec<String> {
        rows.iter().map(|r| r.trim_end_matches(']').split(", ").nth(4).unwrap_or("").to_string()).collect()
    };
    assert_eq!(sums(rows_of(&harness.take_output())), ["7", "7", "7", "8"]);
    at(&mut harness, 111, &[row("a", 6, 32)]);
    assert_eq!(sums(rows_of(&harness.take_output())), ["23"]);
    harness.set_processing_time(112).expect("time");
    assert_eq!(sums(rows_of(&harness.take_output())), ["48"]);
    // Everything is cleaned up in time.
    harness.set_processing_time(1_000).expect("time");
    assert_eq!(harness.state_rows(), 0);
}

#[test]
fn a_partition_that_goes_twice_between_two_checkpoints() {
    let nodes = nodes(preceding(false, 10), TimeAttribute::Proctime, None);
    let mut harness = Harness::new(&nodes, 1, 128).expect("operators");
    for (round, ms) in [1_000, 2_000, 3_000].into_iter().enumerate() {
        harness.set_processing_time(ms).expect("time");
        harness.process(0, batch(COLUMNS, &[row("a", ms, 1)])).expect("rows");
        if round == 0 {
            drop(harness.snapshot().expect("a snapshot"));
        }
        harness.set_processing_time(ms + 500).expect("time");
        assert_eq!(harness.state_rows(), 0);
    }
    let snapshot = harness.snapshot().expect("a snapshot");
    let mut harness = Harness::restore(&nodes, &snapshot, 1, 128).expect("restores");
    assert_eq!(harness.state_rows(), 0);
    harness.process(0, batch(COLUMNS, &[row("a", 9, 1)])).expect("rows");
    assert_ne!(harness.state_rows(), 0);
}

#[test]
fn what_nobody_touches_is_forgotten() {
    for (frame, left) in [(OverFrame::so_far(true), 1), (preceding(true, 3), 2)] {
        let nodes = nodes(frame, TimeAttribute::Proctime, Some(Duration::from_secs(10)));
        let mut harness = Harness::new(&nodes, 1, 128).expect("operators");
        harness.process(0, batch(COLUMNS, &[row("a", 1, 1)])).expect("rows");
        assert_eq!(harness.state_rows(), left);
        harness.set_processing_time(9_999).expect("time");
        harness.process(0, batch(COLUMNS, &[row("a", 2, 2)])).expect("rows");
        assert!(rows_of(&harness.take_output())[1].contains(", 3, 2, 1, 2"));
        harness.set_processing_time(25_000).expect("time");
        assert_eq!(harness.state_rows(), 0);
        harness.process(0, batch(COLUMNS, &[row("a", 3, 4)])).expect("rows");
        assert!(rows_of(&harness.take_output())[0].contains(", 4, 4, 3, 1"));
        let snapshot = harness.snapshot().expect("a snapshot");
        let restored = Harness::restore(&nodes, &snapshot, 2, 128).expect("restores");
        drop(restored);
    }
}

/// Rows of one time leave in pieces, and behind them the watermark.
#[test]
fn rows_of_one_time_leave_in_pieces() {
    for frame in [OverFrame::so_far(false), OverFrame::so_far(true), preceding(true, 3), preceding(false, 1000)] {
        let mut harness = Harness::new(&nodes(frame, TimeAttribute::Rowtime, None), 1, 128).expect("operators");
        let rows: Vec<String> = (0..20_000).map(|i| format!("+I[a, {i}, 1, 2020-01-01 00:00:01]")).collect();
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        harness.process(0, batch(COLUMNS, &rows)).expect("rows");
        harness.watermark_all(Watermark(i64::MAX - 1)).expect("time");
        let pieces: Vec<usize> = harness.output.iter().map(flott_core::ChangeBatch::num_rows).collect();
        assert!(pieces.iter().all(|n| *n <= 8_192) && pieces.iter().sum::<usize>() == 20_000, "{pieces:?}");
        assert_eq!(harness.watermarks.len(), 1);
    }
}

/// A clock that is set back changes neither what rows see nor what a checkpoint knows of them.
#[test]
fn rows_come_behind_those_before_whatever_the_clock_says() {
    let nodes = nodes(preceding(false, 10), TimeAttribute::Proctime, None);
    for restores in [false, true] {
        let mut harness = Harness::new(&nodes, 1, 128).expect("operators");
        let mut out = vec![];
        let mut last = 0;
        for (i, now) in [100, 105, 50, 52, 58, 70].into_iter().enumerate() {
            if restores && i > 0 {
                let snapshot = harness.snapshot().expect("a snapshot");
                out.extend(rows_of(&harness.take_output()));
                harness = Harness::restore(&nodes, &snapshot, 1, 128).expect("restores");
            }
            harness.set_processing_time(now).expect("time");
            harness
                .process(0, batch(COLUMNS, &[format!("+I[a, {i}, 1, 2020-01-01 00:00:00]").as_str()]))
                .expect("rows");
            last = now;
            if restores {
                // The row waits while the state is stored.
                let snapshot = harness.snapshot().expect("a snapshot");
                out.extend(rows_of(&harness.take_output()));
                harness = Harness::restore(&nodes, &snapshot, 1, 128).expect("restores");
            }
            harness.set_processing_time(now + 1).expect("time");
        }
        harness.set_processing_time(last + 1_000).expect("time");
        out.extend(rows_of(&harness.take_output()));
        let sums: Vec<String> = out.iter().map(|r| r.split(", ").nth(4).expect("a sum").to_string()).collect();
        // Ten milliseconds see the rows at 100 and 105, and those behind them as far as the clock went on.
        let (first, rest) = sums.split_at(2);
        assert_eq!(first, ["1", "2"]);
        assert!(rest.len() == 4 && rest[..3].iter().all(|s| s.parse::<u32>().expect("a sum") >= 2), "{sums:?}");
        assert_eq!(rest[3], "1", "{sums:?}");
    }
}

#[test]
fn the_next_time_is_that_of_the_first_row_that_waits() {
    let node = &nodes(OverFrame::so_far(false), TimeAttribute::Rowtime, None)[0].0;
    let mut operator = flott_operator::build(node, 0, 1, 128).expect("an operator");
    assert_eq!(operator.next_event_time_timer(), None);
    let mut context = flott_operator::OperatorContext::default();
    let rows = ["+I[a, 1, 1, 1970-01-01 00:00:07]", "+I[b, 1, 1, 1970-01-01 00:00:05]"];
    operator.process_batch(0, batch(COLUMNS, &rows), &mut context).expect("rows");
    assert_eq!(operator.next_event_time_timer(), Some(5_000));
}
