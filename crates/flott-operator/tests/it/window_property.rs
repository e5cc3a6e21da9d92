//! Any batch split, any watermark, any barrier, any parallelism, a restore anywhere, one phase or two: the same rows as
//! a naive recompute of every window; and nothing is left behind.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow_schema::SchemaRef;
use flott_core::types::TimeAttribute;
use flott_core::{ChangeBatch, RowKind, RowKinds, Watermark};
use flott_graph::{
    AggregateCall, Node, OperatorSpec, Partitioning, WindowAssignment, WindowKind, WindowTableFunctionSpec,
};
use flott_operator::harness::Harness;
use flott_testkit::{rows_of, schema};
use proptest::prelude::*;

use crate::common::*;

#[derive(Debug, Clone)]
struct Row {
    key: Option<i64>,
    text: Option<u8>,
    value: Option<i64>,
    flag: Option<bool>,
    time: i64,
    delete: bool,
}

#[derive(Debug, Clone)]
enum Step {
    Rows(usize, Vec<Row>),
    Watermark(i64),
    Snapshot,
    Restore(usize),
}

#[derive(Debug, Clone)]
struct Case {
    kind: WindowKind,
    keys: usize,
    two_phase: bool,
    retract: bool,
    parallelism: usize,
    steps: Vec<Step>,
}

const KEYS: [&[&str]; 5] = [&[], &["k"], &["s"], &["k", "s"], &["k", "flag"]];
/// The greatest time of a row; small, so that rows meet.
const TIME_MAX: i64 = 120;

const COLUMNS: &str = "k BIGINT, s STRING, v BIGINT, flag BOOLEAN, ts TIMESTAMP(3) NOT NULL";

fn table() -> SchemaRef {
    schema(COLUMNS)
}

fn text(n: u8) -> String {
    // Longer and shorter than a word of the hash, and the empty one.
    ["", "a", "abc", "a longer text than eight bytes"][usize::from(n % 4)].to_string()
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (
        proptest::option::weighted(0.9, 0i64..4),
        proptest::option::weighted(0.9, 0u8..4),
        proptest::option::weighted(0.8, -3i64..4),
        proptest::option::weighted(0.9, any::<bool>()),
        0..TIME_MAX,
    )
        .prop_map(|(key, text, value, flag, time)| Row { key, text, value, flag, time, delete: false });
    proptest::collection::vec(row, 1..12)
}

fn kinds() -> impl Strategy<Value = WindowKind> {
    let offset = -4i64..5;
    prop_oneof![
        (5i64..40, offset.clone()).prop_map(|(size_ms, offset_ms)| WindowKind::Tumble { size_ms, offset_ms }),
        (1i64..9, 1i64..12, offset.clone()).prop_map(|(n, slide_ms, offset_ms)| WindowKind::Hop {
            size_ms: n * slide_ms,
            slide_ms,
            offset_ms
        }),
        (1i64..9, 1i64..12, offset).prop_map(|(n, step_ms, offset_ms)| WindowKind::Cumulate {
            max_size_ms: n * step_ms,
            step_ms,
            offset_ms
        }),
        (1i64..20).prop_map(|gap_ms| WindowKind::Session { gap_ms, partition_keys: vec![] }),
    ]
}

fn cases() -> impl Strategy<Value = Case> {
    let step = prop_oneof![
        6 => (0usize..4, rows()).prop_map(|(from, rows)| Step::Rows(from, rows)),
        3 => (0..TIME_MAX + 20).prop_map(Step::Watermark),
        1 => Just(Step::Snapshot),
        1 => (1usize..5).prop_map(Step::Restore),
    ];
    (
        kinds(),
        0..KEYS.len(),
        any::<bool>(),
        any::<bool>(),
        1usize..5,
        proptest::collection::vec(step, 1..24),
        any::<u64>(),
    )
        .prop_map(|(kind, keys, two_phase, retract, parallelism, mut steps, seed)| {
            let session = matches!(kind, WindowKind::Session { .. });
            let retract = retract && !session;
            if retract {
                add_deletions(&mut steps, seed);
            }
            Case { kind, keys, two_phase: two_phase && !session, retract, parallelism, steps }
        })
}

/// Some rows are taken away again, in the same batch or later.
fn add_deletions(steps: &mut [Step], mut seed: u64) {
    let mut pending: Vec<Row> = vec![];
    for step in steps {
        let Step::Rows(_, rows) = step else { continue };
        let mut out = vec![];
        for row in rows.drain(..) {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            if (seed >> 33).is_multiple_of(3) {
                pending.push(Row { delete: true, ..row.clone() });
            }
            out.push(row);
            if (seed >> 40).is_multiple_of(4)
                && let Some(deletion) = pending.pop()
            {
                out.push(deletion);
            }
        }
        *rows = out;
    }
}

fn batch(rows: &[Row]) -> ChangeBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|r| r.key).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|r| r.text.map(text)).collect::<StringArray>()),
        Arc::new(rows.iter().map(|r| r.value).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|r| r.flag).collect::<BooleanArray>()),
        Arc::new(TimestampMillisecondArray::from(rows.iter().map(|r| r.time).collect::<Vec<_>>())),
    ];
    let kinds: RowKinds = rows.iter().map(|r| if r.delete { RowKind::Delete } else { RowKind::Insert }).collect();
    ChangeBatch::new(RecordBatch::try_new(table(), columns).expect("columns"), kinds).expect("a batch")
}

fn aggregates(retract: bool) -> Vec<AggregateCall> {
    let t = table();
    let filtered = |mut c: AggregateCall| {
        c.filter = Some(3);
        c
    };
    let distinct = |mut c: AggregateCall| {
        c.distinct = true;
        c
    };
    let mut calls = vec![
        call(&t, "SUM", Some("v"), "BIGINT"),
        call(&t, "COUNT", Some("v"), "BIGINT NOT NULL"),
        call(&t, "AVG", Some("v"), "BIGINT"),
        filtered(call(&t, "SUM", Some("v"), "BIGINT")),
        filtered(call(&t, "COUNT", None, "BIGINT NOT NULL")),
        distinct(call(&t, "COUNT", Some("s"), "BIGINT NOT NULL")),
        distinct(call(&t, "SUM", Some("v"), "BIGINT")),
        filtered(distinct(call(&t, "COUNT", Some("v"), "BIGINT NOT NULL"))),
    ];
    if !retract {
        calls.push(call(&t, "MIN", Some("v"), "BIGINT"));
        calls.push(call(&t, "MAX", Some("s"), "STRING"));
    }
    calls
}

/// One window of one key.
#[derive(Debug, Clone)]
struct Naive {
    start: i64,
    end: i64,
    rows: Vec<Row>,
}

fn result(key: Option<&str>, window: &Naive, retract: bool) -> Option<String> {
    let sign = |r: &Row| if r.delete { -1i64 } else { 1 };
    let count = |f: &dyn Fn(&Row) -> bool| window.rows.iter().filter(|r| f(r)).map(sign).sum::<i64>();
    if count(&|_| true) <= 0 {
        return None;
    }
    let sum = |f: &dyn Fn(&Row) -> bool| -> Option<i64> {
        let n = count(&|r| f(r) && r.value.is_some());
        (n != 0).then(|| window.rows.iter().filter(|r| f(r)).filter_map(|r| Some(r.value? * sign(r))).sum())
    };
    let flagged = |r: &Row| r.flag == Some(true);
    let values = |f: &dyn Fn(&Row) -> bool| -> Vec<i64> {
        let mut counts: BTreeMap<i64, i64> = BTreeMap::new();
        for r in window.rows.iter().filter(|r| f(r)) {
            if let Some(v) = r.value {
                *counts.entry(v).or_default() += sign(r);
            }
        }
        counts.into_iter().filter(|c| c.1 > 0).map(|c| c.0).collect()
    };
    let mut texts: BTreeMap<String, i64> = BTreeMap::new();
    for r in &window.rows {
        if let Some(t) = r.text {
            *texts.entry(text(t)).or_default() += sign(r);
        }
    }
    let show = |v: Option<i64>| v.map_or("null".to_string(), |v| v.to_string());
    let all = |_: &Row| true;
    let distinct = values(&all);
    let n = count(&|r| r.value.is_some());
    let mut out = vec![];
    out.extend(key.map(str::to_string));
    out.push(show(sum(&all)));
    out.push(n.to_string());
    out.push(show(sum(&all).map(|s| s / n)));
    out.push(show(sum(&flagged)));
    out.push(count(&flagged).to_string());
    out.push(texts.values().filter(|n| **n > 0).count().to_string());
    out.push(show((!distinct.is_empty()).then(|| distinct.iter().sum())));
    out.push(values(&flagged).len().to_string());
    if !retract {
        out.push(show(window.rows.iter().filter_map(|r| r.value).min()));
        out.push(window.rows.iter().filter_map(|r| r.text).map(text).max().unwrap_or("null".to_string()));
    }
    let mut line = format!("+I[{}", out.join(", "));
    let time = |ms: i64| flott_core::time_text::format_timestamp_ms(ms);
    write!(line, ", {}, {}]", time(window.start), time(window.end)).expect("text");
    Some(line)
}

fn key_of(row: &Row, keys: &[&str]) -> String {
    let null = || "null".to_string();
    let parts: Vec<String> = keys
        .iter()
        .map(|k| match *k {
            "k" => row.key.map_or_else(null, |v| v.to_string()),
            "s" => row.text.map_or_else(null, text),
            _ => row.flag.map_or_else(null, |v| v.to_string()),
        })
        .collect();
    parts.join(", ")
}

/// All windows recomputed from all rows that were not late for them; and how many rows were late for all.
fn naive(case: &Case) -> (Vec<String>, u64) {
    let keys = KEYS[case.keys];
    let mut open: BTreeMap<String, Vec<Naive>> = BTreeMap::new();
    let (mut out, mut late, mut watermark) = (vec![], 0, i64::MIN);
    let over = |end: i64, watermark: i64| end - 1 <= watermark;
    let mut fire = |open: &mut BTreeMap<String, Vec<Naive>>, watermark: i64| {
        for (key, windows) in open {
            windows.retain(|w| {
                let due = over(w.end, watermark);
                if due {
                    out.extend(result((!keys.is_empty()).then_some(key.as_str()), w, case.retract));
                }
                !due
            });
        }
    };
    for step in &case.steps {
        match step {
            Step::Rows(_, rows) => {
                for row in rows {
                    let own = open.entry(key_of(row, keys)).or_default();
                    let windows: Vec<(i64, i64)> = match case.kind {
                        WindowKind::Session { gap_ms, .. } => {
                            let mut merged = Naive { start: row.time, end: row.time + gap_ms, rows: vec![row.clone()] };
                            own.retain(|w| {
                                let touches = w.start <= row.time + gap_ms && w.end >= row.time;
                                if touches {
                                    merged.start = merged.start.min(w.start);
                                    merged.end = merged.end.max(w.end);
                                    merged.rows.extend(w.rows.clone());
                                }
                                !touches
                            });
                            if over(merged.end, watermark) {
                                late += 1;
                            } else {
                                own.push(merged);
                            }
                            continue;
                        }
                        ref kind => windows_at(kind, row.time),
                    };
                    let mut is_late = true;
                    for (start, end) in windows {
                        if over(end, watermark) {
                            continue;
                        }
                        is_late = false;
                        match own.iter_mut().find(|w| (w.start, w.end) == (start, end)) {
                            Some(w) => w.rows.push(row.clone()),
                            None => own.push(Naive { start, end, rows: vec![row.clone()] }),
                        }
                    }
                    late += u64::from(is_late);
                }
            }
            Step::Watermark(w) => {
                watermark = watermark.max(*w);
                fire(&mut open, watermark);
            }
            Step::Snapshot | Step::Restore(_) => {}
        }
    }
    fire(&mut open, i64::MAX);
    out.sort();
    (out, late)
}

/// Timestamps as the naive side writes them.
fn plain(rows: Vec<String>) -> Vec<String> {
    let mut rows: Vec<String> = rows
        .into_iter()
        .map(|row| {
            let body = row.trim_start_matches("+I[").trim_end_matches(']').to_string();
            let mut parts: Vec<String> = body.split(", ").map(str::to_string).collect();
            for part in parts.iter_mut().rev().take(2) {
                let (date, time) = part.split_once('T').expect("a timestamp");
                let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
                let seconds = if time.len() == 5 { ":00" } else { "" };
                *part = format!("{date} {time}{seconds}.{fraction:0<3}");
            }
            format!("+I[{}]", parts.join(", "))
        })
        .collect();
    rows.sort();
    rows
}

/// What stands before the aggregation, and how it emits.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Form {
    /// The aggregation finds the windows itself.
    Direct,
    /// A window table function attaches them.
    Attached,
    /// With early results; late ones are dropped all the same.
    Early(Duration),
}

fn chain(case: &Case, form: Form) -> Vec<(Node, Partitioning)> {
    let t = table();
    let keys = KEYS[case.keys];
    let mut kind = case.kind.clone();
    let key_columns: Vec<usize> = keys.iter().map(|k| t.index_of(k).expect("a column")).collect();
    if let WindowKind::Session { partition_keys, .. } = &mut kind {
        partition_keys.clone_from(&key_columns);
    }
    let assignment: WindowAssignment = rowtime(&t, "ts", kind.clone());
    let mut spec = aggregate_spec(&t, keys, aggregates(case.retract), assignment.clone());
    match form {
        Form::Direct => aggregation(&spec, case.two_phase),
        Form::Early(interval) => {
            spec.emit.early_fire = Some(interval);
            aggregation(&spec, false)
        }
        Form::Attached => {
            let windows = "window_start TIMESTAMP(3) NOT NULL, window_end TIMESTAMP(3) NOT NULL, \
                           window_time TIMESTAMP(3) NOT NULL";
            let with_windows = schema(&format!("{COLUMNS}, {windows}"));
            let tvf = OperatorSpec::WindowTableFunction(WindowTableFunctionSpec { assignment });
            spec.input_schema = Arc::clone(&with_windows);
            spec.assignment = WindowAssignment::Attached {
                start: Some(5),
                end: 6,
                attribute: TimeAttribute::Rowtime,
                time_zone: None,
                kind,
            };
            let mut chain = vec![(node("tvf", tvf, with_windows), Partitioning::Hash(key_columns))];
            chain.extend(aggregation(&spec, case.two_phase));
            chain
        }
    }
}

/// What is left of a changelog.
fn consolidate(rows: Vec<String>) -> Vec<String> {
    let mut left: BTreeMap<String, i64> = BTreeMap::new();
    for row in rows {
        let (kind, body) = row.split_at(2);
        let n = left.entry(format!("+I{body}")).or_default();
        *n += if kind == "+I" || kind == "+U" { 1 } else { -1 };
        assert!(*n >= 0, "{row} takes away what is not there");
    }
    left.into_iter().flat_map(|(row, n)| std::iter::repeat_n(row, n as usize)).collect()
}

fn run(case: &Case, form: Form) -> (Vec<String>, Option<u64>) {
    let chain = chain(case, form);
    let mut harness = Harness::new(&chain, case.parallelism, 128).expect("a chain");
    let mut output = vec![];
    let mut restored = false;
    let mut watermark = i64::MIN;
    for (number, step) in case.steps.iter().enumerate() {
        harness.set_processing_time(number as i64 * 10).expect("time");
        match step {
            Step::Rows(from, rows) => harness.process(*from, batch(rows)).expect("rows"),
            Step::Watermark(w) => {
                watermark = watermark.max(*w);
                harness.watermark_all(Watermark(watermark)).expect("a watermark");
            }
            Step::Snapshot => {
                harness.snapshot().expect("a snapshot");
            }
            Step::Restore(parallelism) => {
                let snapshot = harness.snapshot().expect("a snapshot");
                output.extend(harness.take_output());
                // What happens after the barrier is lost.
                harness
                    .process(
                        0,
                        batch(&[Row { key: Some(1), text: None, value: Some(9), flag: None, time: 60, delete: false }]),
                    )
                    .expect("rows");
                harness = Harness::restore(&chain, &snapshot, *parallelism, 128).expect("a restore");
                restored = true;
            }
        }
    }
    harness.end_input().expect("the end");
    assert_eq!(harness.state_rows(), 0, "state is left behind");
    output.extend(harness.take_output());
    let late = (!restored && !case.retract && form == Form::Direct).then(|| harness.late_records_dropped());
    (plain(consolidate(rows_of(&output))), late)
}

proptest! {
    #[test]
    fn windows_are_those_of_a_naive_recompute(case in cases()) {
        let (expected, late) = naive(&case);
        let (actual, actual_late) = run(&case, Form::Direct);
        prop_assert_eq!(actual, expected);
        if let Some(actual_late) = actual_late {
            prop_assert_eq!(actual_late, late);
        }
    }

    #[test]
    fn attached_windows_are_those_of_a_naive_recompute(mut case in cases()) {
        // A session that is attached needs its start as well, which local aggregates keep too.
        case.two_phase &= !matches!(case.kind, WindowKind::Session { .. });
        let (expected, _) = naive(&case);
        prop_assert_eq!(run(&case, Form::Attached).0, expected);
    }

    #[test]
    fn early_results_consolidate_to_the_final_ones(case in cases(), at_once in any::<bool>()) {
        if matches!(case.kind, WindowKind::Session { .. }) {
            return Ok(());
        }
        let (expected, _) = naive(&case);
        let interval = Duration::from_millis(if at_once { 0 } else { 25 });
        prop_assert_eq!(run(&case, Form::Early(interval)).0, expected);
    }
}
