//! The state of sessions stays as small as what is open, whatever keys have come by.

use flott_core::Watermark;
use flott_graph::{OperatorSpec, Partitioning, WindowKind, WindowTableFunctionSpec};
use flott_operator::harness::Harness;
use flott_testkit::{batch_of, rows_of, schema};

use crate::common::*;

const ROUNDS: i64 = 32;
const KEYS: i64 = 1_000;
/// The key whose session stays open all the time.
const OPEN: i64 = 999_999_999;

/// Rounds of keys that come once each while one session stays open; what leaves of that one in the end.
fn play(table_function: bool, late: bool) -> Vec<String> {
    let input = schema("k BIGINT, ts TIMESTAMP(3) NOT NULL");
    let kind = WindowKind::Session { gap_ms: 1_000, partition_keys: vec![0] };
    let assignment = rowtime(&input, "ts", kind);
    let chain = if table_function {
        let out = schema(
            "k BIGINT, ts TIMESTAMP(3) NOT NULL, window_start TIMESTAMP(3) NOT NULL, \
             window_end TIMESTAMP(3) NOT NULL, window_time TIMESTAMP(3) NOT NULL",
        );
        let spec = OperatorSpec::WindowTableFunction(WindowTableFunctionSpec { assignment });
        vec![(node("tvf", spec, out), Partitioning::Hash(vec![0]))]
    } else {
        let count = call(&input, "COUNT", None, "BIGINT NOT NULL");
        aggregation(&aggregate_spec(&input, &["k"], vec![count], assignment), false)
    };
    let open = || batch_of(&input, &[format!("+I[{OPEN}, 1970-01-02T00:00]")]);
    let mut harness = Harness::new(&chain, 1, 128).expect("a chain");
    if late {
        harness.watermark_all(Watermark(3_600_000)).expect("a watermark");
    }
    let (mut first, mut last) = (0, 0);
    for round in 0..ROUNDS {
        let row = |k| format!("+I[{k}, 1970-01-01T00:00:{:02}]", round + 1);
        let rows: Vec<String> = (round * KEYS..(round + 1) * KEYS).map(row).collect();
        harness.process(0, batch_of(&input, &rows)).expect("rows");
        if round == 0 {
            // Behind the others, so that its key gets another number when theirs are given up.
            harness.process(0, open()).expect("a row");
        }
        last = harness.state_bytes();
        if round == 3 {
            first = last;
        }
        if !late {
            harness.watermark_all(Watermark((round + 2) * 1_000)).expect("a watermark");
        }
    }
    assert!(last < first * 2, "table function {table_function}, late {late}: {first} bytes became {last}");
    assert_eq!(harness.late_records_dropped(), if late { (ROUNDS * KEYS) as u64 } else { 0 });
    harness.process(0, open()).expect("a row");
    harness.take_output();
    harness.end_input().expect("the end");
    assert_eq!(harness.state_rows(), 0);
    rows_of(&harness.output)
}

const COUNTED: [&str; 1] = ["+I[999999999, 2, 1970-01-02T00:00, 1970-01-02T00:00:01]"];
const WINDOWED: [&str; 2] =
    ["+I[999999999, 1970-01-02T00:00, 1970-01-02T00:00, 1970-01-02T00:00:01, 1970-01-02T00:00:00.999]"; 2];

#[test]
fn keys_of_ended_sessions_are_given_up_while_another_is_open() {
    assert_eq!(play(false, false), COUNTED);
    assert_eq!(play(true, false), WINDOWED);
}

#[test]
fn keys_of_late_rows_are_given_up_while_a_session_is_open() {
    assert_eq!(play(false, true), COUNTED);
    assert_eq!(play(true, true), WINDOWED);
}
