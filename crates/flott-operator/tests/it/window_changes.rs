//! Windows over rows that change: however the changes are cut into batches, and with a snapshot and a restore anywhere, the
//! results are those of a naive replay of every window, change by change.

use std::collections::BTreeMap;

use arrow_schema::SchemaRef;
use flott_core::Watermark;
use flott_function::AggregateKind;
use flott_graph::{AggregateCall, WindowKind};
use flott_operator::harness::Harness;
use flott_testkit::{batch_of, rows_of, schema};
use proptest::prelude::*;

use crate::common::*;

/// The greatest time of a row; small, so that rows meet.
const TIME_MAX: i64 = 60;

#[derive(Debug, Clone, PartialEq)]
struct Row {
    key: i64,
    value: Option<i64>,
    text: Option<u8>,
    time: i64,
}

#[derive(Debug, Clone)]
enum Step {
    /// A row comes.
    Add(Row),
    /// One of those that are there goes.
    Delete(usize),
    /// One of those that are there gets other values.
    Update(usize, Option<i64>, Option<u8>),
    /// What came so far is handed over.
    Flush,
    Watermark(i64),
    Snapshot,
    Restore(usize),
}

#[derive(Debug, Clone)]
struct Case {
    kind: WindowKind,
    /// With aggregates that need all changes in their order.
    in_order: bool,
    parallelism: usize,
    steps: Vec<Step>,
}

fn cases() -> impl Strategy<Value = Case> {
    let value = || proptest::option::weighted(0.9, 0i64..4);
    let text = || proptest::option::weighted(0.9, 0u8..3);
    let row =
        (0i64..2, value(), text(), 0..TIME_MAX).prop_map(|(key, value, text, time)| Row { key, value, text, time });
    let step = prop_oneof![
        8 => row.prop_map(Step::Add),
        4 => any::<usize>().prop_map(Step::Delete),
        3 => (any::<usize>(), value(), text()).prop_map(|(at, value, text)| Step::Update(at, value, text)),
        3 => Just(Step::Flush),
        1 => (0..TIME_MAX + 10).prop_map(Step::Watermark),
        1 => Just(Step::Snapshot),
        2 => (1usize..4).prop_map(Step::Restore),
    ];
    let kinds = prop_oneof![
        (5i64..40, -4i64..5).prop_map(|(size_ms, offset_ms)| WindowKind::Tumble { size_ms, offset_ms }),
        (1i64..5, 1i64..12).prop_map(|(n, slide_ms)| hop(n * slide_ms, slide_ms)),
        (1i64..5, 1i64..12).prop_map(|(n, step_ms)| cumulate(n * step_ms, step_ms)),
        (1i64..12).prop_map(|gap_ms| WindowKind::Session { gap_ms, partition_keys: vec![0] }),
    ];
    (kinds, any::<bool>(), 1usize..4, proptest::collection::vec(step, 1..60))
        .prop_map(|(kind, in_order, parallelism, steps)| Case { kind, in_order, parallelism, steps })
}

fn hop(size_ms: i64, slide_ms: i64) -> WindowKind {
    WindowKind::Hop { size_ms, slide_ms, offset_ms: 0 }
}

fn cumulate(max_size_ms: i64, step_ms: i64) -> WindowKind {
    WindowKind::Cumulate { max_size_ms, step_ms, offset_ms: 0 }
}

fn table() -> SchemaRef {
    schema("k BIGINT, v BIGINT, s STRING, ts TIMESTAMP(3) NOT NULL")
}

fn aggregates(in_order: bool) -> Vec<AggregateCall> {
    let t = table();
    let mut calls = vec![
        call(&t, "MIN", Some("v"), "BIGINT"),
        call(&t, "MAX", Some("s"), "STRING"),
        call(&t, "COUNT", None, "BIGINT NOT NULL"),
    ];
    if in_order {
        calls.extend([
            call(&t, "FIRST_VALUE", Some("v"), "BIGINT"),
            call(&t, "LAST_VALUE", Some("v"), "BIGINT"),
            call(&t, "LISTAGG", Some("s"), "STRING"),
            AggregateCall { distinct: true, ..call(&t, "LISTAGG", Some("s"), "STRING") },
            AggregateCall { distinct: true, ..call(&t, "FIRST_VALUE", Some("v"), "BIGINT") },
        ]);
    }
    calls
}

/// The changes of a case, row by row, in the batches in which they are handed over.
#[derive(Debug, Clone)]
enum Played {
    Changes(Vec<(bool, Row)>),
    Watermark(i64),
    Snapshot,
    Restore(usize),
}

fn play(case: &Case) -> Vec<Played> {
    let (mut there, mut batch, mut played) = (vec![], vec![], vec![]);
    let mut flush = |batch: &mut Vec<(bool, Row)>, then: Option<Played>| {
        if !batch.is_empty() {
            played.push(Played::Changes(std::mem::take(batch)));
        }
        played.extend(then);
    };
    for step in &case.steps {
        match step {
            Step::Add(row) => {
                there.push(row.clone());
                batch.push((true, row.clone()));
            }
            Step::Delete(at) if !there.is_empty() => {
                let row: Row = there.remove(at % there.len());
                batch.push((false, row));
            }
            Step::Update(at, value, text) if !there.is_empty() => {
                let at = at % there.len();
                batch.push((false, there[at].clone()));
                there[at] = Row { value: *value, text: *text, ..there[at].clone() };
                batch.push((true, there[at].clone()));
            }
            Step::Delete(_) | Step::Update(..) => {}
            Step::Flush => flush(&mut batch, None),
            Step::Watermark(w) => flush(&mut batch, Some(Played::Watermark(*w))),
            Step::Snapshot => flush(&mut batch, Some(Played::Snapshot)),
            Step::Restore(parallelism) => flush(&mut batch, Some(Played::Restore(*parallelism))),
        }
    }
    flush(&mut batch, None);
    played
}

/// Values in the order in which they came; the earliest of equal ones goes.
#[derive(Debug, Clone, Default)]
struct Values<T> {
    listed: Vec<T>,
    /// How often each came, by when it came first.
    counts: Vec<(T, i64)>,
    distinct: Vec<T>,
}

impl<T: Clone + PartialEq + Ord> Values<T> {
    fn change(&mut self, value: &T, count: i64) {
        let at = self.counts.iter().position(|(v, _)| v == value).unwrap_or_else(|| {
            self.counts.push((value.clone(), 0));
            self.counts.len() - 1
        });
        let before = self.counts[at].1;
        self.counts[at].1 += count;
        let after = self.counts[at].1;
        if after == 0 {
            self.counts.remove(at);
        }
        if before <= 0 && after > 0 {
            self.distinct.push(value.clone());
        } else if before > 0 && after <= 0 {
            self.distinct.retain(|v| v != value);
        }
    }

    fn apply(&mut self, add: bool, value: Option<T>) {
        let Some(value) = value else { return };
        if add {
            self.listed.push(value.clone());
        } else if let Some(at) = self.listed.iter().position(|v| *v == value) {
            self.listed.remove(at);
        }
        self.change(&value, if add { 1 } else { -1 });
    }

    fn merge(&mut self, other: &Values<T>) {
        self.listed.extend_from_slice(&other.listed);
        for (value, count) in &other.counts {
            self.change(value, *count);
        }
    }

    fn sorted(&self) -> Vec<T> {
        let mut sorted: Vec<T> = self.counts.iter().filter(|c| c.1 > 0).map(|c| c.0.clone()).collect();
        sorted.sort();
        sorted
    }
}

/// One window of one key.
#[derive(Debug, Clone, Default)]
struct Naive {
    start: i64,
    end: i64,
    rows: i64,
    values: Values<i64>,
    texts: Values<String>,
}

fn text(n: u8) -> String {
    ["x", "a longer text", "b"][usize::from(n)].to_string()
}

impl Naive {
    fn apply(&mut self, add: bool, row: &Row) {
        self.rows += if add { 1 } else { -1 };
        self.values.apply(add, row.value);
        self.texts.apply(add, row.text.map(text));
    }

    fn result(&self, key: i64, in_order: bool) -> Option<String> {
        if self.rows <= 0 {
            return None;
        }
        let number = |v: Option<&i64>| v.map_or("null".to_string(), |v| v.to_string());
        let joined = |v: &[String]| if v.is_empty() { "null".to_string() } else { v.join(",") };
        let mut out = vec![key.to_string(), number(self.values.sorted().first())];
        out.push(self.texts.sorted().last().cloned().unwrap_or("null".to_string()));
        out.push(self.rows.to_string());
        if in_order {
            out.push(number(self.values.listed.first()));
            out.push(number(self.values.listed.last()));
            out.push(joined(&self.texts.listed));
            out.push(joined(&self.texts.distinct));
            out.push(number(self.values.distinct.first()));
        }
        let time = |ms: i64| flott_core::time_text::format_timestamp_ms(ms).replace(' ', "T");
        Some(format!("+I[{}, {}, {}]", out.join(", "), time(self.start), time(self.end)))
    }
}

/// The windows of a row that are not over, with those of its key that they are: sessions that become one are put together in
/// the order of time.
fn windows_of<'a>(kind: &WindowKind, own: &'a mut Vec<Naive>, time: i64, watermark: i64) -> Vec<&'a mut Naive> {
    let windows: Vec<(i64, i64)> = match *kind {
        WindowKind::Session { gap_ms, .. } => {
            let (start, end) = (time, time + gap_ms);
            own.sort_by_key(|w| w.start);
            let (joined, mut kept): (Vec<Naive>, Vec<Naive>) =
                own.drain(..).partition(|w| w.start <= end && w.end >= start);
            let mut merged = Naive { start, end, ..Naive::default() };
            for (i, window) in joined.iter().enumerate() {
                let (start, end) = (merged.start.min(window.start), merged.end.max(window.end));
                if i == 0 {
                    merged = window.clone();
                } else {
                    merged.rows += window.rows;
                    merged.values.merge(&window.values);
                    merged.texts.merge(&window.texts);
                }
                (merged.start, merged.end) = (start, end);
            }
            let window = (merged.start, merged.end);
            if merged.end - 1 > watermark {
                kept.push(merged);
            }
            *own = kept;
            vec![window]
        }
        _ => windows_at(kind, time),
    };
    let open: Vec<(i64, i64)> = windows.into_iter().filter(|w| w.1 - 1 > watermark).collect();
    for (start, end) in &open {
        if !own.iter().any(|w| (w.start, w.end) == (*start, *end)) {
            own.push(Naive { start: *start, end: *end, ..Naive::default() });
        }
    }
    own.iter_mut().filter(|w| open.contains(&(w.start, w.end))).collect()
}

fn naive(case: &Case) -> Vec<String> {
    let mut keys: BTreeMap<i64, Vec<Naive>> = BTreeMap::new();
    let (mut watermark, mut out) = (i64::MIN, vec![]);
    for played in play(case).into_iter().chain([Played::Watermark(i64::MAX)]) {
        match played {
            Played::Changes(changes) => {
                for (add, row) in changes {
                    let own = keys.entry(row.key).or_default();
                    for window in windows_of(&case.kind, own, row.time, watermark) {
                        window.apply(add, &row);
                    }
                }
            }
            Played::Watermark(w) => {
                watermark = watermark.max(w);
                for (key, own) in &mut keys {
                    let over = |w: &Naive| w.end - 1 <= watermark;
                    out.extend(own.iter().filter(|w| over(w)).filter_map(|w| w.result(*key, case.in_order)));
                    own.retain(|w| !over(w));
                }
            }
            Played::Snapshot | Played::Restore(_) => {}
        }
    }
    out.sort();
    out
}

fn line(add: bool, row: &Row) -> String {
    let or_null = |v: Option<String>| v.unwrap_or("null".to_string());
    let (value, text) = (or_null(row.value.map(|v| v.to_string())), or_null(row.text.map(text)));
    let kind = if add { "+I" } else { "-D" };
    format!("{kind}[{}, {value}, {text}, 1970-01-01T00:00:00.{:03}]", row.key, row.time)
}

/// Timestamps as the naive side writes them.
fn plain(row: &str) -> String {
    let (body, mut times) = (row.trim_end_matches(']'), vec![]);
    let mut parts: Vec<&str> = body.split(", ").collect();
    for part in parts.split_off(parts.len() - 2) {
        let (date, time) = part.split_once('T').expect("a timestamp");
        let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
        let seconds = if time.len() == 5 { ":00" } else { "" };
        times.push(format!("{date}T{time}{seconds}.{fraction:0<3}"));
    }
    format!("{}, {}]", parts.join(", "), times.join(", "))
}

fn run(case: &Case) -> Vec<String> {
    let t = table();
    let mut spec = aggregate_spec(&t, &["k"], aggregates(case.in_order), rowtime(&t, "ts", case.kind.clone()));
    spec.retracts = true;
    let chain = aggregation(&spec, false);
    let mut harness = Harness::new(&chain, case.parallelism, 128).expect("a chain");
    let (mut watermark, mut output) = (i64::MIN, vec![]);
    for played in play(case) {
        match played {
            Played::Changes(changes) => {
                let lines: Vec<String> = changes.iter().map(|(add, row)| line(*add, row)).collect();
                harness.process(0, batch_of(&t, &lines)).expect("changes");
            }
            Played::Watermark(w) => {
                watermark = watermark.max(w);
                harness.watermark_all(Watermark(watermark)).expect("a watermark");
            }
            Played::Snapshot => drop(harness.snapshot().expect("a snapshot")),
            Played::Restore(parallelism) => {
                let snapshot = harness.snapshot().expect("a snapshot");
                output.extend(harness.take_output());
                // What happens after the barrier is lost.
                let lost = line(true, &Row { key: 1, value: Some(9), text: None, time: 40 });
                harness.process(0, batch_of(&t, &[lost])).expect("rows");
                harness = Harness::restore(&chain, &snapshot, parallelism, 128).expect("a restore");
            }
        }
    }
    harness.end_input().expect("the end");
    assert_eq!(harness.state_rows(), 0, "state is left behind");
    output.extend(harness.take_output());
    let mut rows: Vec<String> = rows_of(&output).iter().map(|row| plain(row)).collect();
    rows.sort();
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn window_changes(case in cases()) {
        prop_assert_eq!(run(&case), naive(&case));
    }
}

/// Aggregates whose states do not add up where rows are taken away, with a restore between the rows and the changes.
#[test]
fn what_was_restored_is_taken_away() {
    let t = schema("k BIGINT, v DOUBLE, s STRING NOT NULL, ts TIMESTAMP(3) NOT NULL");
    let object = AggregateCall {
        kind: AggregateKind::JsonObjectAgg,
        arguments: vec![2, 2],
        ..call(&t, "LISTAGG", Some("s"), "STRING NOT NULL")
    };
    let squares = AggregateCall { kind: AggregateKind::WelfordM2, ..call(&t, "SUM", Some("v"), "DOUBLE") };
    let aggregates = vec![squares, object];
    for kind in [WindowKind::Tumble { size_ms: 1_000, offset_ms: 0 }, hop(1_000, 1_000), cumulate(1_000, 1_000)] {
        let mut spec = aggregate_spec(&t, &["k"], aggregates.clone(), rowtime(&t, "ts", kind));
        spec.retracts = true;
        let chain = aggregation(&spec, false);
        let mut harness = Harness::new(&chain, 1, 128).expect("a chain");
        let time = "1970-01-01T00:00:00.5";
        let rows = [1, 2, 6].map(|v| format!("+I[1, {v}.0, {v}, {time}]"));
        harness.process(0, batch_of(&t, &rows)).expect("rows");
        harness = Harness::restore(&chain, &harness.snapshot().expect("a snapshot"), 1, 128).expect("a restore");
        let changes =
            [format!("-D[1, 6.0, 6, {time}]"), format!("-D[1, 2.0, 2, {time}]"), format!("+I[1, 2.0, 2, {time}]")];
        harness.process(0, batch_of(&t, &changes)).expect("changes");
        harness.end_input().expect("the end");
        let expected = "+I[1, 0.5, {\"1\":1,\"2\":2}, 1970-01-01T00:00, 1970-01-01T00:00:01]";
        assert_eq!(rows_of(&harness.output), [expected]);
    }
}
