//! Windows over a PROCTIME attribute, on a clock that only the test moves.

use std::time::Duration;

use arrow_schema::SchemaRef;
use flott_core::types::TimeAttribute;
use flott_core::{ChangeBatch, Watermark};
use flott_graph::{
    Node, OperatorSpec, Partitioning, WindowAggregateSpec, WindowAssignment, WindowKind, WindowTableFunctionSpec,
};
use flott_operator::harness::Harness;
use flott_testkit::{assert_rows, batch_of, rows_of, schema};

use crate::common::*;

const COLUMNS: &str = "k STRING, v INT, p TIMESTAMP_LTZ(3) NOT NULL";

fn input() -> SchemaRef {
    schema(COLUMNS)
}

fn over(kind: WindowKind) -> WindowAssignment {
    let time_zone = Some("UTC".to_string());
    WindowAssignment::TimeColumn { column: 2, attribute: TimeAttribute::Proctime, time_zone, kind }
}

/// SUM(v) by k.
fn sums(kind: WindowKind) -> WindowAggregateSpec {
    let sum = call(&input(), "SUM", Some("v"), "INT");
    aggregate_spec(&input(), &["k"], vec![sum], over(kind))
}

/// The column of the attribute is never read: rows belong to the time at which they are processed.
fn row(k: &str, v: i32) -> ChangeBatch {
    batch_of(&input(), &[format!("+I[{k}, {v}, 1970-01-01T00:00:00Z]")])
}

fn session(gap_ms: i64) -> WindowKind {
    WindowKind::Session { gap_ms, partition_keys: vec![0] }
}

/// Moves the clock on in steps, with a row at some of them; what comes out, each with the time at which it did.
fn play(chain: &[(Node, Partitioning)], rows: &[(i64, &str, i32)], until: i64, restore_at: Option<i64>) -> Vec<String> {
    let mut harness = Harness::new(chain, 2, 128).expect("a chain");
    let mut out = vec![];
    for now in (0..=until).step_by(500) {
        harness.set_processing_time(now).expect("time");
        for (_, k, v) in rows.iter().filter(|(at, _, _)| *at == now) {
            harness.process(0, row(k, *v)).expect("a row");
        }
        out.extend(rows_of(&harness.take_output()).into_iter().map(|r| format!("{now} {r}")));
        if restore_at == Some(now) {
            let snapshot = harness.snapshot().expect("a snapshot");
            // What is processed after the barrier is lost.
            harness.process(0, row("lost", 1)).expect("a row");
            harness = Harness::restore(chain, &snapshot, 3, 128).expect("a restore");
        }
    }
    // Keys of one window lie in several subtasks.
    out.sort();
    out
}

/// At every moment a restore at another parallelism changes nothing, and in the end no state is left.
fn check(chain: &[(Node, Partitioning)], rows: &[(i64, &str, i32)], until: i64, expected: &[&str]) {
    assert_eq!(play(chain, rows, until, None), expected);
    for at in (0..until).step_by(500) {
        assert_eq!(play(chain, rows, until, Some(at)), expected, "restored at {at}");
    }
    let mut harness = Harness::new(chain, 2, 128).expect("a chain");
    for (at, k, v) in rows {
        harness.set_processing_time(*at).expect("time");
        harness.process(1, row(k, *v)).expect("a row");
    }
    harness.set_processing_time(until).expect("time");
    assert_eq!(harness.state_rows(), 0);
}

#[test]
fn tumble() {
    let chain = aggregation(&sums(WindowKind::Tumble { size_ms: 2_000, offset_ms: 500 }), false);
    check(
        &chain,
        &[(500, "a", 1), (1_000, "b", 2), (2_000, "a", 3), (2_500, "a", 4)],
        6_000,
        &[
            "2500 +I[a, 4, 1970-01-01T00:00:00.500, 1970-01-01T00:00:02.500]",
            "2500 +I[b, 2, 1970-01-01T00:00:00.500, 1970-01-01T00:00:02.500]",
            "4500 +I[a, 4, 1970-01-01T00:00:02.500, 1970-01-01T00:00:04.500]",
        ],
    );
}

#[test]
fn hop() {
    let chain = aggregation(&sums(WindowKind::Hop { size_ms: 2_000, slide_ms: 1_000, offset_ms: 0 }), false);
    check(
        &chain,
        &[(500, "a", 1), (1_500, "a", 2)],
        6_000,
        &[
            "1000 +I[a, 1, 1969-12-31T23:59:59, 1970-01-01T00:00:01]",
            "2000 +I[a, 3, 1970-01-01T00:00, 1970-01-01T00:00:02]",
            "3000 +I[a, 2, 1970-01-01T00:00:01, 1970-01-01T00:00:03]",
        ],
    );
}

#[test]
fn cumulate() {
    let kind = WindowKind::Cumulate { max_size_ms: 3_000, step_ms: 1_000, offset_ms: 0 };
    check(
        &aggregation(&sums(kind), false),
        &[(500, "a", 1), (1_500, "a", 2), (4_000, "b", 3)],
        8_000,
        &[
            "1000 +I[a, 1, 1970-01-01T00:00, 1970-01-01T00:00:01]",
            "2000 +I[a, 3, 1970-01-01T00:00, 1970-01-01T00:00:02]",
            "3000 +I[a, 3, 1970-01-01T00:00, 1970-01-01T00:00:03]",
            "5000 +I[b, 3, 1970-01-01T00:00:03, 1970-01-01T00:00:05]",
            "6000 +I[b, 3, 1970-01-01T00:00:03, 1970-01-01T00:00:06]",
        ],
    );
}

#[test]
fn sessions() {
    check(
        &aggregation(&sums(session(1_500)), false),
        &[(500, "a", 1), (1_000, "b", 2), (1_500, "a", 3), (4_000, "a", 4)],
        8_000,
        &[
            "2500 +I[b, 2, 1970-01-01T00:00:01, 1970-01-01T00:00:02.500]",
            "3000 +I[a, 4, 1970-01-01T00:00:00.500, 1970-01-01T00:00:03]",
            "5500 +I[a, 4, 1970-01-01T00:00:04, 1970-01-01T00:00:05.500]",
        ],
    );
}

/// Windows that a window table function attaches to the rows are fired by their end, as all others.
#[test]
fn attached_windows() {
    let kind = WindowKind::Hop { size_ms: 2_000, slide_ms: 1_000, offset_ms: 0 };
    let with_windows = schema(&format!(
        "{COLUMNS}, window_start TIMESTAMP(3) NOT NULL, window_end TIMESTAMP(3) NOT NULL, \
         window_time TIMESTAMP_LTZ(3) NOT NULL"
    ));
    let tvf = OperatorSpec::WindowTableFunction(WindowTableFunctionSpec { assignment: over(kind.clone()) });
    let mut spec = sums(kind.clone());
    spec.input_schema = with_windows.clone();
    spec.assignment = WindowAssignment::Attached {
        start: Some(3),
        end: 4,
        attribute: TimeAttribute::Proctime,
        time_zone: Some("UTC".to_string()),
        kind,
    };
    let mut chain = vec![(node("tvf", tvf, with_windows), Partitioning::Forward)];
    chain.extend(aggregation(&spec, false));
    check(
        &chain,
        &[(500, "a", 1), (1_500, "a", 2)],
        6_000,
        &[
            "1000 +I[a, 1, 1969-12-31T23:59:59, 1970-01-01T00:00:01]",
            "2000 +I[a, 3, 1970-01-01T00:00, 1970-01-01T00:00:02]",
            "3000 +I[a, 2, 1970-01-01T00:00:01, 1970-01-01T00:00:03]",
        ],
    );
}

/// Rows of a session leave when it is over; the window's columns follow them.
#[test]
fn sessions_of_a_window_table_function() {
    let with_windows = schema(&format!(
        "{COLUMNS}, window_start TIMESTAMP(3) NOT NULL, window_end TIMESTAMP(3) NOT NULL, \
         window_time TIMESTAMP_LTZ(3) NOT NULL"
    ));
    let tvf = OperatorSpec::WindowTableFunction(WindowTableFunctionSpec { assignment: over(session(1_500)) });
    let chain = [(node("tvf", tvf, with_windows), Partitioning::Hash(vec![0]))];
    let window = "1970-01-01T00:00:00.500, 1970-01-01T00:00:03, 1970-01-01T00:00:02.999Z";
    check(
        &chain,
        &[(500, "a", 1), (1_500, "a", 3)],
        6_000,
        &[
            &format!("3000 +I[a, 1, 1970-01-01T00:00:00Z, {window}]"),
            &format!("3000 +I[a, 3, 1970-01-01T00:00:00Z, {window}]"),
        ],
    );
}

#[test]
fn early_results_of_a_window_of_processing_time() {
    let mut spec = sums(WindowKind::Tumble { size_ms: 3_000, offset_ms: 0 });
    spec.emit.early_fire = Some(Duration::from_millis(1_000));
    let window = "1970-01-01T00:00, 1970-01-01T00:00:03";
    let chain = aggregation(&spec, false);
    let rows = [(500, "a", 1), (1_000, "a", 2), (2_500, "a", 4)];
    assert_eq!(
        play(&chain, &rows, 6_000, None),
        [format!("1500 +I[a, 3, {window}]"), format!("3000 +U[a, 7, {window}]"), format!("3000 -U[a, 3, {window}]"),]
    );
    // A restore shows at once what waited for a timer, and the rest follows from there.
    assert_eq!(
        play(&chain, &rows, 6_000, Some(1_000)),
        [format!("1500 +I[a, 3, {window}]"), format!("3000 +U[a, 7, {window}]"), format!("3000 -U[a, 3, {window}]"),]
    );
}

/// As in Flink, the end of a bounded input fires no timer of processing time: windows that are open come to nothing,
/// and no watermark, not even the last, fires them.
#[test]
fn the_end_of_the_input_fires_nothing() {
    for kind in [
        WindowKind::Tumble { size_ms: 2_000, offset_ms: 0 },
        WindowKind::Hop { size_ms: 2_000, slide_ms: 1_000, offset_ms: 0 },
        WindowKind::Cumulate { max_size_ms: 2_000, step_ms: 1_000, offset_ms: 0 },
        session(2_000),
    ] {
        let mut harness = Harness::new(&aggregation(&sums(kind), false), 1, 128).expect("a chain");
        harness.set_processing_time(500).expect("time");
        harness.process(0, row("a", 1)).expect("a row");
        harness.watermark_all(Watermark(1_000_000)).expect("a watermark");
        harness.end_input().expect("the end");
        assert_rows!(harness.take_output(), [""; 0]);
        assert_eq!(harness.watermarks, [Watermark(1_000_000), Watermark::MAX]);
    }
}
