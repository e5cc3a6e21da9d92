//! Windows on the Bid table of Flink's documentation, and the corners of firing, lateness and time zones.

use std::sync::Arc;
use std::time::Duration;

use arrow_schema::SchemaRef;
use flott_core::clock::SystemClock;
use flott_core::types::TimeAttribute;
use flott_core::{ChangeBatch, Watermark};
use flott_graph::{
    AggregateCall, OperatorSpec, Partitioning, WindowAggregateSpec, WindowAssignment, WindowKind, WindowProperty,
    WindowTableFunctionSpec,
};
use flott_operator::harness::Harness;
use flott_testkit::{assert_rows, batch_of, rows_of, schema};

use crate::common::*;

const MIN: i64 = 60_000;
const DAY: i64 = 24 * 60 * MIN;

fn bid() -> (SchemaRef, ChangeBatch) {
    let schema = schema("bidtime TIMESTAMP(3) NOT NULL, price DECIMAL(10, 2), item STRING, supplier_id STRING");
    let rows = batch_of(
        &schema,
        &[
            "+I[2020-04-15T08:05, 4.00, C, supplier1]",
            "+I[2020-04-15T08:07, 2.00, A, supplier1]",
            "+I[2020-04-15T08:09, 5.00, D, supplier2]",
            "+I[2020-04-15T08:11, 3.00, B, supplier2]",
            "+I[2020-04-15T08:13, 1.00, E, supplier1]",
            "+I[2020-04-15T08:17, 6.00, F, supplier2]",
        ],
    );
    (schema, rows)
}

/// Milliseconds of 2020-04-15 at this hour and minute.
fn at(hour: i64, minute: i64) -> Watermark {
    Watermark(1_586_908_800_000 + (hour * 60 + minute) * MIN)
}

fn tumble(size_ms: i64) -> WindowKind {
    WindowKind::Tumble { size_ms, offset_ms: 0 }
}

fn hop(size_ms: i64, slide_ms: i64) -> WindowKind {
    WindowKind::Hop { size_ms, slide_ms, offset_ms: 0 }
}

fn cumulate(max_size_ms: i64, step_ms: i64) -> WindowKind {
    WindowKind::Cumulate { max_size_ms, step_ms, offset_ms: 0 }
}

/// SUM(price) by window, for both one and two phases.
fn sums(kind: WindowKind, keys: &[&str]) -> Vec<String> {
    let (schema, rows) = bid();
    let assignment = rowtime(&schema, "bidtime", kind);
    let sum = call(&schema, "SUM", Some("price"), "DECIMAL(38, 2)");
    let spec = aggregate_spec(&schema, keys, vec![sum], assignment);
    let run = |two_phase| {
        let mut harness = Harness::new(&aggregation(&spec, two_phase), 1, 128).expect("a chain");
        harness.process(0, rows.clone()).expect("rows");
        harness.end_input().expect("the end");
        assert_eq!(harness.state_rows(), 0);
        rows_of(&harness.output)
    };
    assert_eq!(run(false), run(true));
    run(false)
}

#[test]
fn flinks_tumble() {
    assert_eq!(
        sums(tumble(10 * MIN), &[]),
        ["+I[11.00, 2020-04-15T08:00, 2020-04-15T08:10]", "+I[10.00, 2020-04-15T08:10, 2020-04-15T08:20]"]
    );
    assert_eq!(
        sums(tumble(10 * MIN), &["supplier_id"]),
        [
            "+I[supplier1, 6.00, 2020-04-15T08:00, 2020-04-15T08:10]",
            "+I[supplier2, 5.00, 2020-04-15T08:00, 2020-04-15T08:10]",
            "+I[supplier2, 9.00, 2020-04-15T08:10, 2020-04-15T08:20]",
            "+I[supplier1, 1.00, 2020-04-15T08:10, 2020-04-15T08:20]",
        ]
    );
}

#[test]
fn flinks_hop() {
    assert_eq!(
        sums(hop(10 * MIN, 5 * MIN), &[]),
        [
            "+I[11.00, 2020-04-15T08:00, 2020-04-15T08:10]",
            "+I[15.00, 2020-04-15T08:05, 2020-04-15T08:15]",
            "+I[10.00, 2020-04-15T08:10, 2020-04-15T08:20]",
            "+I[6.00, 2020-04-15T08:15, 2020-04-15T08:25]",
        ]
    );
}

#[test]
fn flinks_cumulate() {
    assert_eq!(
        sums(cumulate(10 * MIN, 2 * MIN), &[]),
        [
            "+I[4.00, 2020-04-15T08:00, 2020-04-15T08:06]",
            "+I[6.00, 2020-04-15T08:00, 2020-04-15T08:08]",
            "+I[11.00, 2020-04-15T08:00, 2020-04-15T08:10]",
            "+I[3.00, 2020-04-15T08:10, 2020-04-15T08:12]",
            "+I[4.00, 2020-04-15T08:10, 2020-04-15T08:14]",
            "+I[4.00, 2020-04-15T08:10, 2020-04-15T08:16]",
            "+I[10.00, 2020-04-15T08:10, 2020-04-15T08:18]",
            "+I[10.00, 2020-04-15T08:10, 2020-04-15T08:20]",
        ]
    );
}

fn table_function(kind: WindowKind) -> Vec<String> {
    let (input, rows) = bid();
    let spec = WindowTableFunctionSpec { assignment: rowtime(&input, "bidtime", kind) };
    let out = schema(
        "bidtime TIMESTAMP(3) NOT NULL, price DECIMAL(10, 2), item STRING, supplier_id STRING, \
         window_start TIMESTAMP(3) NOT NULL, window_end TIMESTAMP(3) NOT NULL, window_time TIMESTAMP(3) NOT NULL",
    );
    let chain = [(node("tvf", OperatorSpec::WindowTableFunction(spec), out), Partitioning::Forward)];
    let mut harness = Harness::new(&chain, 1, 128).expect("a chain");
    harness.process(0, rows).expect("rows");
    harness.end_input().expect("the end");
    assert_eq!(harness.state_rows(), 0);
    rows_of(&harness.output)
}

#[test]
fn window_table_functions() {
    let rows = table_function(tumble(10 * MIN));
    assert_eq!(
        rows[0],
        "+I[2020-04-15T08:05, 4.00, C, supplier1, 2020-04-15T08:00, 2020-04-15T08:10, 2020-04-15T08:09:59.999]"
    );
    assert_eq!(rows.len(), 6);
    let rows = table_function(hop(10 * MIN, 5 * MIN));
    assert_eq!(
        rows[..2],
        [
            "+I[2020-04-15T08:05, 4.00, C, supplier1, 2020-04-15T08:05, 2020-04-15T08:15, 2020-04-15T08:14:59.999]",
            "+I[2020-04-15T08:05, 4.00, C, supplier1, 2020-04-15T08:00, 2020-04-15T08:10, 2020-04-15T08:09:59.999]",
        ]
    );
    assert_eq!(rows.len(), 12);
    // A size that is no multiple of the slide, and a slide that is longer than the size: 08:05 is in no window.
    let rows = table_function(hop(7 * MIN, 3 * MIN));
    assert_eq!(
        rows[..2],
        [
            "+I[2020-04-15T08:05, 4.00, C, supplier1, 2020-04-15T08:03, 2020-04-15T08:10, 2020-04-15T08:09:59.999]",
            "+I[2020-04-15T08:05, 4.00, C, supplier1, 2020-04-15T08:00, 2020-04-15T08:07, 2020-04-15T08:06:59.999]",
        ]
    );
    let rows = table_function(hop(3 * MIN, 10 * MIN));
    assert_eq!(rows.len(), 1);
    assert!(rows[0].contains("[2020-04-15T08:11,"), "{rows:?}");
    // 08:05 is in the third, fourth and fifth window of its period.
    let rows = table_function(cumulate(10 * MIN, 2 * MIN));
    assert_eq!(rows.iter().filter(|r| r.contains(", C,")).count(), 3);
    assert_eq!(rows.len(), 3 + 2 + 1 + 5 + 4 + 2);
    let session = WindowKind::Session { gap_ms: 2 * MIN, partition_keys: vec![3] };
    let rows = table_function(session);
    assert_eq!(
        rows,
        [
            "+I[2020-04-15T08:05, 4.00, C, supplier1, 2020-04-15T08:05, 2020-04-15T08:09, 2020-04-15T08:08:59.999]",
            "+I[2020-04-15T08:07, 2.00, A, supplier1, 2020-04-15T08:05, 2020-04-15T08:09, 2020-04-15T08:08:59.999]",
            "+I[2020-04-15T08:09, 5.00, D, supplier2, 2020-04-15T08:09, 2020-04-15T08:13, 2020-04-15T08:12:59.999]",
            "+I[2020-04-15T08:11, 3.00, B, supplier2, 2020-04-15T08:09, 2020-04-15T08:13, 2020-04-15T08:12:59.999]",
            "+I[2020-04-15T08:13, 1.00, E, supplier1, 2020-04-15T08:13, 2020-04-15T08:15, 2020-04-15T08:14:59.999]",
            "+I[2020-04-15T08:17, 6.00, F, supplier2, 2020-04-15T08:17, 2020-04-15T08:19, 2020-04-15T08:18:59.999]",
        ]
    );
}

#[test]
fn a_late_row_of_a_fired_slice_counts_in_the_windows_still_open() {
    let (schema, _) = bid();
    let count = call(&schema, "COUNT", None, "BIGINT NOT NULL");
    let mut spec = aggregate_spec(&schema, &[], vec![count], rowtime(&schema, "bidtime", hop(10 * MIN, 5 * MIN)));
    spec.late_output = true;
    let mut harness = Harness::new(&aggregation(&spec, false), 1, 128).expect("a chain");
    let row = |time: &str| batch_of(&schema, &[format!("+I[2020-04-15T{time}, 1.00, A, s]")]);
    harness.process(0, row("08:12")).expect("a row");
    harness.watermark_all(at(8, 16)).expect("a watermark");
    assert_rows!(harness.take_output(), ["+I[1, 2020-04-15T08:05, 2020-04-15T08:15]"]);
    // The slice 08:10 .. 08:15 has fired once, but belongs to 08:10 .. 08:20 too.
    harness.process(0, row("08:13")).expect("a row");
    // All windows of this one are over.
    harness.process(0, row("08:09:59.999")).expect("a row");
    assert_eq!(harness.late_records_dropped(), 1);
    assert_rows!(harness.late, ["+I[2020-04-15T08:09:59.999, 1.00, A, s]"]);
    harness.watermark_all(at(8, 30)).expect("a watermark");
    assert_rows!(harness.take_output(), ["+I[2, 2020-04-15T08:10, 2020-04-15T08:20]"]);
    assert_eq!(harness.state_rows(), 0);
}

#[test]
fn windows_fire_one_millisecond_before_their_end() {
    let (schema, rows) = bid();
    let count = call(&schema, "COUNT", None, "BIGINT NOT NULL");
    let spec = aggregate_spec(&schema, &[], vec![count], rowtime(&schema, "bidtime", tumble(10 * MIN)));
    let mut harness = Harness::new(&aggregation(&spec, true), 2, 128).expect("a chain");
    harness.process(1, rows).expect("rows");
    harness.watermark_all(Watermark(at(8, 10).0 - 2)).expect("a watermark");
    assert_rows!(harness.take_output(), [""; 0]);
    harness.watermark(0, Watermark(at(8, 10).0 - 1)).expect("a watermark");
    assert_rows!(harness.take_output(), [""; 0]);
    harness.watermark(1, Watermark(at(8, 10).0 - 1)).expect("a watermark");
    assert_rows!(harness.take_output(), ["+I[3, 2020-04-15T08:00, 2020-04-15T08:10]"]);
}

#[test]
fn days_are_cut_in_local_time_over_clock_changes() {
    let schema = schema("ts TIMESTAMP_LTZ(3) NOT NULL");
    let count = call(&schema, "COUNT", None, "BIGINT NOT NULL");
    let assignment = WindowAssignment::TimeColumn {
        column: 0,
        attribute: TimeAttribute::Rowtime,
        time_zone: Some("America/Los_Angeles".to_string()),
        kind: tumble(DAY),
    };
    let mut spec = aggregate_spec(&schema, &[], vec![count], assignment);
    spec.properties = vec![WindowProperty::Start, WindowProperty::End];
    let mut harness = Harness::new(&aggregation(&spec, false), 1, 128).expect("a chain");
    // 2021-11-07 has 25 hours there: from 07:00Z to the next day's 08:00Z.
    let rows = ["2021-11-07T06:59:59.999Z", "2021-11-07T07:00:00Z", "2021-11-08T07:59:59.999Z", "2021-11-08T08:00:00Z"];
    let rows: Vec<String> = rows.iter().map(|r| format!("+I[{r}]")).collect();
    harness.process(0, batch_of(&schema, &rows)).expect("rows");
    let day = 1_636_329_600_000 + 8 * 60 * MIN; // 2021-11-08T08:00Z
    harness.watermark_all(Watermark(day - 2)).expect("a watermark");
    assert_rows!(harness.take_output(), ["+I[1, 2021-11-06T00:00, 2021-11-07T00:00]"]);
    harness.watermark_all(Watermark(day - 1)).expect("a watermark");
    assert_rows!(harness.take_output(), ["+I[2, 2021-11-07T00:00, 2021-11-08T00:00]"]);
    harness.end_input().expect("the end");
    assert_rows!(harness.take_output(), ["+I[1, 2021-11-08T00:00, 2021-11-09T00:00]"]);
}

#[test]
fn processing_time_windows_fire_when_their_last_millisecond_is_over() {
    let schema = schema("v INT, p TIMESTAMP_LTZ(3) NOT NULL");
    let sum = call(&schema, "SUM", Some("v"), "INT");
    let assignment = WindowAssignment::TimeColumn {
        column: 1,
        attribute: TimeAttribute::Proctime,
        time_zone: Some("UTC".to_string()),
        kind: tumble(1_000),
    };
    let spec = aggregate_spec(&schema, &[], vec![sum], assignment);
    let chain = aggregation(&spec, false);
    let mut harness = Harness::new(&chain, 1, 128).expect("a chain");
    harness.set_processing_time(10_500).expect("time");
    harness.process(0, batch_of(&schema, &["+I[1, 1970-01-01T00:00:00Z]"])).expect("a row");
    harness.set_processing_time(10_999).expect("time");
    harness.process(0, batch_of(&schema, &["+I[2, 1970-01-01T00:00:00Z]"])).expect("a row");
    assert_rows!(harness.take_output(), [""; 0]);
    let snapshot = harness.snapshot().expect("a snapshot");
    harness.set_processing_time(11_000).expect("time");
    assert_rows!(harness.take_output(), ["+I[3, 1970-01-01T00:00:10, 1970-01-01T00:00:11]"]);
    assert_eq!(harness.state_rows(), 0);
    // The same from the snapshot, though no row asks for a timer.
    let mut harness = Harness::restore(&chain, &snapshot, 1, 128).expect("a chain");
    harness.set_processing_time(20_000).expect("time");
    assert_rows!(harness.take_output(), ["+I[3, 1970-01-01T00:00:10, 1970-01-01T00:00:11]"]);
}

fn emitting(early: Option<u64>, late: Option<u64>, lateness_ms: u64) -> (SchemaRef, WindowAggregateSpec) {
    let schema = schema("k STRING, v INT, ts TIMESTAMP(3) NOT NULL");
    let sum = call(&schema, "SUM", Some("v"), "INT");
    let mut spec = aggregate_spec(&schema, &["k"], vec![sum], rowtime(&schema, "ts", tumble(1_000)));
    spec.properties = vec![WindowProperty::End];
    spec.emit.early_fire = early.map(Duration::from_millis);
    spec.emit.late_fire = late.map(Duration::from_millis);
    spec.emit.allow_lateness = Duration::from_millis(lateness_ms);
    (schema, spec)
}

/// What a batch costs does not grow with the windows that are open and that it does not touch.
#[test]
fn a_batch_costs_what_its_windows_cost() {
    let (schema, spec) = emitting(Some(10_000), None, 0);
    let chain = aggregation(&spec, false);
    let clock = SystemClock::shared();
    let row = |window: i64| batch_of(&schema, &[format!("+I[a, 1, {}]", at_second(window))]);
    let mut took = vec![];
    for open in [10, 20_000] {
        let mut harness = Harness::new(&chain, 1, 128).expect("a chain");
        let rows: Vec<String> = (0..open).map(|w| format!("+I[a, 1, {}]", at_second(w))).collect();
        harness.process(0, batch_of(&schema, &rows)).expect("rows");
        let begun = clock.monotonic();
        for window in 0..200 {
            harness.process(0, row(window % 10)).expect("rows");
        }
        took.push(clock.monotonic() - begun);
    }
    assert!(took[1] < took[0] * 8, "{took:?}");
}

/// So many seconds behind the epoch.
fn at_second(second: i64) -> String {
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("1970-01-01T{hour:02}:{minute:02}:{second:02}")
}

#[test]
fn early_results_are_corrected() {
    let (schema, spec) = emitting(Some(0), None, 0);
    let chain = aggregation(&spec, false);
    let mut harness = Harness::new(&chain, 1, 128).expect("a chain");
    let time = "1970-01-01T00:00:00.500";
    let rows: Vec<String> =
        [("a", 1), ("b", 2), ("a", 3)].iter().map(|(k, v)| format!("+I[{k}, {v}, {time}]")).collect();
    harness.process(0, batch_of(&schema, &rows)).expect("rows");
    let end = "1970-01-01T00:00:01";
    assert_rows!(
        harness.take_output(),
        [
            format!("+I[a, 1, {end}]"),
            format!("+I[b, 2, {end}]"),
            format!("-U[a, 1, {end}]"),
            format!("+U[a, 4, {end}]")
        ]
    );
    // A restore knows what was emitted.
    let snapshot = harness.snapshot().expect("a snapshot");
    let mut harness = Harness::restore(&chain, &snapshot, 3, 128).expect("a chain");
    harness.process(1, batch_of(&schema, &[format!("+I[b, 5, {time}]")])).expect("rows");
    assert_rows!(harness.take_output(), [format!("-U[b, 2, {end}]"), format!("+U[b, 7, {end}]")]);
    harness.end_input().expect("the end");
    assert_rows!(harness.take_output(), [""; 0]);
    assert_eq!(harness.state_rows(), 0);
}

#[test]
fn early_results_at_an_interval() {
    let (schema, spec) = emitting(Some(100), None, 0);
    let mut harness = Harness::new(&aggregation(&spec, false), 1, 128).expect("a chain");
    let row = |v: i32| batch_of(&schema, &[format!("+I[a, {v}, 1970-01-01T00:00:00.500]")]);
    harness.set_processing_time(1_000).expect("time");
    harness.process(0, row(1)).expect("a row");
    harness.set_processing_time(1_050).expect("time");
    harness.process(0, row(2)).expect("a row");
    assert_rows!(harness.take_output(), [""; 0]);
    harness.set_processing_time(1_100).expect("time");
    assert_rows!(harness.take_output(), ["+I[a, 3, 1970-01-01T00:00:01]"]);
    harness.process(0, row(4)).expect("a row");
    harness.watermark_all(Watermark(999)).expect("a watermark");
    assert_rows!(harness.take_output(), ["-U[a, 3, 1970-01-01T00:00:01]", "+U[a, 7, 1970-01-01T00:00:01]"]);
    assert_eq!(harness.state_rows(), 0);
}

#[test]
fn late_rows_within_the_lateness_correct_the_result() {
    let (schema, spec) = emitting(None, None, 1_000);
    let mut harness = Harness::new(&aggregation(&spec, false), 1, 128).expect("a chain");
    let row = |v: i32| batch_of(&schema, &[format!("+I[a, {v}, 1970-01-01T00:00:00.500]")]);
    harness.process(0, row(1)).expect("a row");
    assert_rows!(harness.take_output(), [""; 0]);
    harness.watermark_all(Watermark(1_500)).expect("a watermark");
    assert_rows!(harness.take_output(), ["+I[a, 1, 1970-01-01T00:00:01]"]);
    harness.process(0, row(2)).expect("a row");
    assert_rows!(harness.take_output(), ["-U[a, 1, 1970-01-01T00:00:01]", "+U[a, 3, 1970-01-01T00:00:01]"]);
    harness.watermark_all(Watermark(1_999)).expect("a watermark");
    harness.process(0, row(2)).expect("a row");
    assert_rows!(harness.take_output(), [""; 0]);
    assert_eq!((harness.late_records_dropped(), harness.state_rows()), (1, 0));
}

#[test]
fn attached_windows_are_fired_like_their_own() {
    let schema = schema("v INT, window_start TIMESTAMP(3) NOT NULL, window_end TIMESTAMP(3) NOT NULL");
    let sum = call(&schema, "SUM", Some("v"), "INT");
    let assignment = WindowAssignment::Attached {
        start: Some(1),
        end: 2,
        attribute: TimeAttribute::Rowtime,
        time_zone: None,
        kind: WindowKind::Session { gap_ms: 5, partition_keys: vec![] },
    };
    let spec = aggregate_spec(&schema, &[], vec![sum], assignment);
    for two_phase in [false, true] {
        let mut harness = Harness::new(&aggregation(&spec, two_phase), 2, 128).expect("a chain");
        let window = |a: &str, b: &str| format!("1970-01-01T00:00:{a}, 1970-01-01T00:00:{b}");
        let rows = [
            format!("+I[1, {}]", window("03", "05")),
            format!("+I[2, {}]", window("01", "05")),
            format!("+I[4, {}]", window("01", "05")),
            format!("+I[8, {}]", window("04", "06")),
        ];
        harness.process(0, batch_of(&schema, &rows)).expect("rows");
        harness.watermark_all(Watermark(4_999)).expect("a watermark");
        assert_rows!(
            harness.take_output(),
            [format!("+I[6, {}]", window("01", "05")), format!("+I[1, {}]", window("03", "05"))]
        );
        harness.end_input().expect("the end");
        assert_rows!(harness.take_output(), [format!("+I[8, {}]", window("04", "06"))]);
        assert_eq!(harness.state_rows(), 0);
    }
}

#[test]
fn results_of_sums_and_averages() {
    let schema = schema(
        "t TINYINT, i INT NOT NULL, f FLOAT, d DOUBLE, n DECIMAL(38, 2), s STRING, b BOOLEAN, ts TIMESTAMP(6) NOT NULL",
    );
    let aggregates = vec![
        call(&schema, "SUM", Some("t"), "TINYINT"),
        call(&schema, "AVG", Some("t"), "TINYINT"),
        call(&schema, "SUM", Some("i"), "INT NOT NULL"),
        call(&schema, "AVG", Some("i"), "INT"),
        call(&schema, "AVG", Some("f"), "FLOAT"),
        call(&schema, "SUM", Some("d"), "DOUBLE"),
        call(&schema, "SUM", Some("n"), "DECIMAL(38, 2)"),
        call(&schema, "AVG", Some("n"), "DECIMAL(38, 6)"),
        call(&schema, "MIN", Some("s"), "STRING"),
        call(&schema, "MAX", Some("s"), "STRING"),
        call(&schema, "MAX", Some("b"), "BOOLEAN"),
        call(&schema, "MIN", Some("ts"), "TIMESTAMP(6)"),
        call(&schema, "COUNT", Some("d"), "BIGINT NOT NULL"),
        call(&schema, "$SUM0", Some("d"), "DOUBLE NOT NULL"),
    ];
    let mut spec = aggregate_spec(&schema, &[], aggregates, rowtime(&schema, "ts", tumble(1_000)));
    spec.properties = vec![];
    for two_phase in [false, true] {
        let mut harness = Harness::new(&aggregation(&spec, two_phase), 1, 128).expect("a chain");
        let rows = [
            "+I[100, 2147483647, 1.5, 0.5, 10.01, b, false, 1970-01-01T00:00:00.000001]",
            "+I[100, 1, 2.0, 0.25, 10.02, , true, 1970-01-01T00:00:00.000002]",
            "+I[null, 3, null, null, null, null, null, 1970-01-01T00:00:00.999999]",
            "+I[null, 1, null, null, null, null, null, 1970-01-01T00:00:01]",
            "+I[1, 1, null, null, 999999999999999999999999999999999999.99, x, null, 1970-01-01T00:00:02]",
            "+I[1, 1, null, null, 0.01, null, null, 1970-01-01T00:00:02]",
        ];
        harness.process(0, batch_of(&schema, &rows)).expect("rows");
        harness.end_input().expect("the end");
        let rows = rows_of(&harness.output);
        // TINYINT: 200 wraps to -56; the average is 100.
        assert_eq!(
            rows[0],
            "+I[-56, 100, -2147483645, 715827883, 1.75, 0.75, 20.03, 10.015000, , b, true, 1970-01-01T00:00:00.000001, \
             2, 0.75]"
        );
        assert_eq!(
            rows[1],
            "+I[null, null, 1, 1, null, null, null, null, null, null, null, 1970-01-01T00:00:01, 0, 0.0]"
        );
        // 39 digits are NULL.
        assert_eq!(rows[2], "+I[2, 1, 2, 1, null, null, null, null, x, x, null, 1970-01-01T00:00:02, 0, 0.0]");
    }
}

#[test]
fn min_and_max_refuse_rows_that_are_taken_away() {
    let schema = schema("v INT, ts TIMESTAMP(3) NOT NULL");
    let min = call(&schema, "MIN", Some("v"), "INT");
    let spec = aggregate_spec(&schema, &[], vec![min], rowtime(&schema, "ts", tumble(1_000)));
    assert!(flott_operator::window::check_retraction(&spec).is_err());
    for two_phase in [false, true] {
        let mut harness = Harness::new(&aggregation(&spec, two_phase), 1, 128).expect("a chain");
        let rows = batch_of(&schema, &["+I[1, 1970-01-01T00:00:00]", "-D[1, 1970-01-01T00:00:00]"]);
        let error = harness.process(0, rows).expect_err("a refusal").to_string();
        assert!(error.contains("MIN over a table whose rows change is not supported"), "{error}");
    }
}

#[test]
fn many_results_leave_in_pieces() {
    let schema = schema("k BIGINT NOT NULL, ts TIMESTAMP(3) NOT NULL");
    let count = call(&schema, "COUNT", None, "BIGINT NOT NULL");
    let spec = aggregate_spec(&schema, &["k"], vec![count], rowtime(&schema, "ts", tumble(1_000)));
    let chain = aggregation(&spec, false);
    let mut harness = Harness::new(&chain, 1, 128).expect("a chain");
    let keys: arrow_array::Int64Array = (0..200_000i64).collect();
    let times = arrow_array::TimestampMillisecondArray::from(vec![5; 200_000]);
    let rows = arrow_array::RecordBatch::try_new(schema.clone(), vec![Arc::new(keys), Arc::new(times)]);
    harness.process(0, ChangeBatch::append(rows.expect("a batch"))).expect("rows");
    assert_eq!(harness.state_rows(), 200_000);
    harness.end_input().expect("the end");
    assert!(harness.output.iter().all(|b| b.num_rows() <= 8_192));
    assert_eq!(harness.output.iter().map(ChangeBatch::num_rows).sum::<usize>(), 200_000);
    assert_eq!(harness.watermarks, [Watermark::MAX]);
}

#[test]
fn sealed_state_is_not_sealed_again() {
    let schema = schema("k BIGINT NOT NULL, ts TIMESTAMP(3) NOT NULL");
    let count = call(&schema, "COUNT", None, "BIGINT NOT NULL");
    let spec = aggregate_spec(&schema, &["k"], vec![count], rowtime(&schema, "ts", tumble(1_000)));
    let mut harness = Harness::new(&aggregation(&spec, false), 1, 128).expect("a chain");
    let names = |h: &mut Harness| -> Vec<String> {
        let snapshot = h.snapshot().expect("a snapshot");
        snapshot.stages[0].1[0].runs.iter().map(|r| r.uid.clone()).collect()
    };
    harness.process(0, batch_of(&schema, &["+I[1, 1970-01-01T00:00:00]", "+I[1, 1970-01-01T00:00:01]"])).expect("rows");
    let first = names(&mut harness);
    assert_eq!(first.len(), 2);
    assert_eq!(names(&mut harness), first);
    harness.process(0, batch_of(&schema, &["+I[2, 1970-01-01T00:00:01]"])).expect("rows");
    let second = names(&mut harness);
    assert_eq!(second.len(), 3);
    assert!(first.iter().all(|f| second.contains(f)));
    // The runs of a fired window are gone.
    harness.watermark_all(Watermark(999)).expect("a watermark");
    assert_eq!(names(&mut harness), second[1..]);
    // Many small runs become few.
    for i in 0..50 {
        harness.process(0, batch_of(&schema, &[format!("+I[{i}, 1970-01-01T00:00:01]")])).expect("rows");
        assert!(names(&mut harness).len() <= 4);
    }
    harness.end_input().expect("the end");
    assert_eq!(names(&mut harness), [""; 0]);
    assert!(rows_of(&harness.output).contains(&"+I[2, 2, 1970-01-01T00:00:01, 1970-01-01T00:00:02]".to_string()));
}

/// A barrier of a large state makes no rows: that is left to whoever writes them, also where runs are merged. What comes
/// out is the same whether they were made or not, and from a restore of either.
#[test]
fn rows_of_a_large_state_are_made_by_who_writes_them() {
    const KEYS: i64 = 20_000;
    let schema = schema("k BIGINT NOT NULL, ts TIMESTAMP(3) NOT NULL");
    let count = call(&schema, "COUNT", None, "BIGINT NOT NULL");
    for kind in [tumble(1_000), hop(2_000, 1_000), cumulate(2_000, 1_000)] {
        let spec = aggregate_spec(&schema, &["k"], vec![count.clone()], rowtime(&schema, "ts", kind.clone()));
        let chain = aggregation(&spec, false);
        let rows = |from: i64| {
            let keys: arrow_array::Int64Array = (from..from + KEYS).collect();
            let times = arrow_array::TimestampMillisecondArray::from(vec![5; KEYS as usize]);
            let rows = arrow_array::RecordBatch::try_new(schema.clone(), vec![Arc::new(keys), Arc::new(times)]);
            ChangeBatch::append(rows.expect("a batch"))
        };
        let run = |barriers: bool, writes: bool, restores: bool| {
            let mut harness = Harness::new(&chain, 1, 128).expect("a chain");
            for round in 0..12 {
                harness.process(0, rows(round * KEYS / 2)).expect("rows");
                if !barriers {
                    continue;
                }
                let snapshot = harness.snapshot().expect("a snapshot");
                let runs = &snapshot.stages[0].1[0].runs;
                assert!(runs.len() <= 4 && runs.last().is_some_and(|r| r.made().is_none()), "{kind:?}");
                if writes {
                    assert!(runs.iter().all(|r| r.rows().expect("rows").num_rows() > 0));
                }
                if restores {
                    harness = Harness::restore(&chain, &snapshot, 1, 128).expect("a chain");
                }
                assert!(harness.state_rows() >= (round + 2) as u64 * KEYS as u64 / 2);
            }
            harness.end_input().expect("the end");
            assert_eq!(harness.state_rows(), 0);
            let mut rows = rows_of(&harness.output);
            rows.sort();
            rows
        };
        let expected = run(false, false, false);
        assert!(expected.iter().any(|r| r.starts_with("+I[10000, 2, ")), "{kind:?}");
        for (writes, restores) in [(true, false), (false, false), (false, true)] {
            // Compared as a whole: a difference of hundreds of thousands of rows is of no use to anybody.
            assert!(run(true, writes, restores) == expected, "{kind:?}, {writes}, {restores}");
        }
    }
}

#[test]
fn keys_that_hardly_repeat_pass_the_local_aggregate() {
    let schema = schema("k BIGINT NOT NULL, v INT, ts TIMESTAMP(3) NOT NULL");
    let aggregates = vec![
        call(&schema, "COUNT", None, "BIGINT NOT NULL"),
        call(&schema, "SUM", Some("v"), "INT"),
        AggregateCall { distinct: true, ..call(&schema, "COUNT", Some("v"), "BIGINT NOT NULL") },
    ];
    let spec = aggregate_spec(&schema, &["k"], aggregates, rowtime(&schema, "ts", hop(4_000, 1_000)));
    let batches: Vec<ChangeBatch> = (0..40i64)
        .map(|b| {
            let key = |i: i64| (b * 5_000 + i) * 7_919 % 150_000;
            let k: arrow_array::Int64Array = (0..5_000).map(key).collect();
            let v: arrow_array::Int32Array = (0..5_000).map(|i| (i % 3 > 0).then_some(i % 10)).collect();
            let ts =
                arrow_array::TimestampMillisecondArray::from((0..5_000).map(|i| i % 2_500 + b).collect::<Vec<_>>());
            let columns: Vec<arrow_array::ArrayRef> = vec![Arc::new(k), Arc::new(v), Arc::new(ts)];
            ChangeBatch::append(arrow_array::RecordBatch::try_new(schema.clone(), columns).expect("a batch"))
        })
        .collect();
    let run = |two_phase| {
        let mut harness = Harness::new(&aggregation(&spec, two_phase), 2, 128).expect("a chain");
        for (i, batch) in batches.iter().enumerate() {
            harness.process(i, batch.clone()).expect("rows");
        }
        // Rows that passed are with the global aggregates already.
        let state = harness.state_rows();
        harness.end_input().expect("the end");
        assert_eq!(harness.state_rows(), 0);
        let mut rows = rows_of(&harness.output);
        rows.sort();
        (rows, state)
    };
    let ((one, _), (two, state)) = (run(false), run(true));
    assert!(one.len() > 150_000 && one == two);
    assert!(state > 100_000, "{state}");
}

/// The bytes of state grow with the groups, whatever happens to the state meanwhile, and go with the windows.
#[test]
fn bytes_of_state_follow_the_groups() {
    let schema = schema("k BIGINT, ts TIMESTAMP(3) NOT NULL");
    let kinds = [
        tumble(1_000),
        hop(4_000, 1_000),
        cumulate(4_000, 1_000),
        WindowKind::Session { gap_ms: 1_000, partition_keys: vec![0] },
    ];
    for (kind, early) in kinds.iter().flat_map(|k| [(k.clone(), false), (k.clone(), true)]) {
        if early && matches!(kind, WindowKind::Session { .. }) {
            continue;
        }
        let count = call(&schema, "COUNT", None, "BIGINT NOT NULL");
        let mut spec = aggregate_spec(&schema, &["k"], vec![count], rowtime(&schema, "ts", kind.clone()));
        spec.emit.early_fire = early.then_some(Duration::from_secs(1_000));
        let chain = aggregation(&spec, false);
        let rows = |keys: std::ops::Range<i64>, second: i64| {
            let row = |k| format!("+I[{k}, 1970-01-01T00:00:0{second}]");
            batch_of(&schema, &keys.map(row).collect::<Vec<_>>())
        };
        let mut harness = Harness::new(&chain, 1, 128).expect("a chain");
        harness.process(0, rows(0..200, 1)).expect("rows");
        let few = harness.state_bytes();
        // A key, its hash, its slot and its count.
        assert!(few > 200 * 8 * 4 && few < 200_000, "{kind:?}: {few}");
        harness.process(0, rows(200..2_000, 1)).expect("rows");
        harness.process(0, rows(0..2_000, 3)).expect("rows");
        let many = harness.state_bytes();
        assert!(many > few * 6, "{kind:?}: {few} for 200 keys, {many} for 4,000");
        let snapshot = harness.snapshot().expect("a snapshot");
        let mut harness = Harness::restore(&chain, &snapshot, 1, 128).expect("a chain");
        let restored = harness.state_bytes();
        assert!(restored > few * 2, "{kind:?}: {restored} after a restore");
        harness.watermark_all(Watermark(1_000_000)).expect("a watermark");
        let left = harness.state_bytes();
        assert!(left < few, "{kind:?}: {left} bytes are left");
        harness.end_input().expect("the end");
        assert_eq!(harness.state_rows(), 0);
    }
}
