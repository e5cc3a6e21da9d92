//! What grouped operators keep: equal rows of a primary key, groups of a mini-batch whose time is over, and the state of
//! DISTINCT aggregates, through restores and over long times.

use std::time::Duration;

use flott_core::Watermark;
use flott_graph::{
    ChangelogNormalizeSpec, Changes, ConflictStrategy, GroupAggregateSpec, MiniBatch, Node, OperatorSpec, Partitioning,
    SinkMaterializeSpec,
};
use flott_operator::harness::Harness;
use flott_testkit::{batch, schema};

use crate::common::{call, node};
use crate::group::{INPUT, chain, count_and_sum, input, materialize, shown_rows, spec};

fn shown(h: &mut Harness, columns: &str, rows: &[&str]) -> Vec<String> {
    h.process(0, batch(columns, rows)).expect("processed");
    h.take_output().iter().flat_map(shown_rows).collect()
}

#[test]
fn without_an_upsert_key_equal_rows_are_several_rows() {
    for upsert_key in [None, Some(vec![])] {
        let chain = materialize(ConflictStrategy::Deduplicate, upsert_key);
        let mut h = Harness::new(&chain, 1, 128).expect("a chain");
        assert_eq!(shown(&mut h, INPUT, &["+I[1, 1, a]", "+I[1, 1, a]"]), ["+I[1, 1, a]", "+U[1, 1, a]"]);
        let snapshot = h.snapshot().expect("a snapshot");
        let mut h = Harness::restore(&chain, &snapshot, 1, 128).expect("restored");
        // The last row goes, and the one before it is written again, as Flink does.
        assert_eq!(shown(&mut h, INPUT, &["-D[1, 1, a]"]), [""; 0]);
        assert_eq!(shown(&mut h, INPUT, &["+I[1, 2, b]", "+I[1, 1, a]"]), ["+U[1, 2, b]", "+U[1, 1, a]"]);
        assert_eq!(shown(&mut h, INPUT, &["-D[1, 1, a]"]), [""; 0]);
        assert_eq!(shown(&mut h, INPUT, &["-D[1, 1, a]"]), ["+U[1, 2, b]"]);
        assert_eq!(shown(&mut h, INPUT, &["-D[1, 2, b]"]), ["-D[1, 2, b]"]);
        assert_eq!(h.state_rows(), 0);
    }
    let mut h = Harness::new(&materialize(ConflictStrategy::Error, None), 1, 128).expect("a chain");
    h.process(0, batch(INPUT, &["+I[1, 1, a]", "+I[1, 1, a]"])).expect("processed");
    h.watermark_all(Watermark(1)).expect_err("two rows of one key");
}

#[test]
fn a_primary_key_that_is_touched_too_late_starts_anew() {
    let spec = SinkMaterializeSpec {
        primary_key: vec![0],
        upsert_key: Some(vec![1]),
        conflict: ConflictStrategy::Deduplicate,
        state_ttl: Some(Duration::from_secs(10)),
    };
    let chain = [(node("m", OperatorSpec::SinkMaterialize(spec), input()), Partitioning::Hash(vec![0]))];
    let mut h = Harness::new(&chain, 1, 128).expect("a chain");
    assert_eq!(shown(&mut h, INPUT, &["+I[1, 1, a]", "+I[2, 1, a]"]), ["+I[1, 1, a]", "+I[2, 1, a]"]);
    h.set_processing_time(9_500).expect("time");
    assert_eq!(shown(&mut h, INPUT, &["+I[1, 2, b]"]), ["+U[1, 2, b]"]);
    // Between two looks at all keys.
    h.set_processing_time(10_500).expect("time");
    assert_eq!(shown(&mut h, INPUT, &["+I[2, 2, b]", "-D[1, 2, b]"]), ["+I[2, 2, b]", "+U[1, 1, a]"]);
}

fn gathered(latency_s: u64, aggregates: Vec<flott_graph::AggregateCall>) -> GroupAggregateSpec {
    let changes = Changes::Gathered(MiniBatch { latency: Duration::from_secs(latency_s), size_rows: 1_000_000 });
    GroupAggregateSpec { changes, state_ttl: Some(Duration::from_secs(10)), ..spec(&["k"], aggregates) }
}

#[test]
fn what_waits_in_a_mini_batch_is_not_forgotten_with_the_state_before_it() {
    for touched_again in [false, true] {
        let mut h = Harness::new(&chain(&gathered(4, count_and_sum())), 1, 128).expect("a chain");
        h.process(0, batch(INPUT, &["+I[1, 1, a]"])).expect("processed");
        h.set_processing_time(4_000).expect("time");
        assert_eq!(h.take_output().iter().flat_map(shown_rows).collect::<Vec<_>>(), ["+I[1, 1, 1]"]);
        h.set_processing_time(13_000).expect("time");
        assert_eq!(shown(&mut h, INPUT, &["+I[1, 10, a]"]), [""; 0]);
        // The time of the result before is over, with looks at all groups.
        for at in [14_000, 14_500, 15_000, 16_000] {
            h.set_processing_time(at).expect("time");
            if touched_again && at == 15_000 {
                assert_eq!(shown(&mut h, INPUT, &["+I[1, null, a]"]), [""; 0]);
            }
        }
        h.set_processing_time(17_000).expect("time");
        let rows: Vec<String> = h.take_output().iter().flat_map(shown_rows).collect();
        let count = if touched_again { 3 } else { 2 };
        assert_eq!(rows, ["-U[1, 1, 1]".to_string(), format!("+U[1, {count}, 11]")]);
        h.set_processing_time(30_000).expect("time");
        assert_eq!(h.state_rows(), 0);
    }
}

#[test]
fn what_waits_in_a_mini_batch_counts_as_memory() {
    let mut h =
        Harness::new(&chain(&gathered(1, vec![call(&input(), "MAX", Some("s"), "STRING")])), 1, 128).expect("a chain");
    let long = "x".repeat(100_000);
    h.process(0, batch(INPUT, &[format!("+I[1, 1, {long}]")])).expect("processed");
    h.set_processing_time(1_000).expect("time");
    let before = h.state_bytes();
    // The result before is kept until it is shown.
    h.process(0, batch(INPUT, &["+I[1, 1, a]"])).expect("processed");
    assert!(h.state_bytes() >= before + 100_000, "{} after {before}", h.state_bytes());
    h.set_processing_time(2_000).expect("time");
    assert!(h.state_bytes() < before + 100_000, "{} after {before}", h.state_bytes());

    let changes = Changes::Gathered(MiniBatch { latency: Duration::from_secs(1), size_rows: 1_000_000 });
    let spec = ChangelogNormalizeSpec { key: vec![0], filter: None, update_before: true, changes, state_ttl: None };
    let chain = [(node("n", OperatorSpec::ChangelogNormalize(spec), input()), Partitioning::Hash(vec![0]))];
    let mut h = Harness::new(&chain, 1, 128).expect("a chain");
    h.process(0, batch(INPUT, &[format!("+I[1, 1, {long}]")])).expect("processed");
    let waits = h.state_bytes();
    assert!(waits >= 100_000, "{waits}");
    h.process(0, batch(INPUT, &["-D[1, null, null]"])).expect("processed");
    assert!(h.state_bytes() + 100_000 <= waits, "{} after {waits}", h.state_bytes());
}

const VALUES: &str = "k INT, d DOUBLE, s STRING";

fn distinct(functions: &[(&str, &str, &str)]) -> [(Node, Partitioning); 1] {
    let input = schema(VALUES);
    let aggregates = functions.iter().map(|(function, argument, result)| {
        let mut call = call(&input, function, Some(argument), result);
        call.distinct = true;
        call
    });
    chain(&GroupAggregateSpec { input_schema: input.clone(), ..spec(&["k"], aggregates.collect()) })
}

/// Aggregates whose results depend on the order in which values came and went.
fn by_order() -> [(Node, Partitioning); 1] {
    distinct(&[
        ("LISTAGG", "s", "STRING"),
        ("FIRST_VALUE", "s", "STRING"),
        ("LAST_VALUE", "s", "STRING"),
        ("SUM", "d", "DOUBLE"),
    ])
}

/// `b, a` though `a` came first; 1e16 has taken 1 with it.
const COME_AND_GO: [&str; 4] = ["+I[1, 1e16, a]", "+I[1, 1, b]", "-D[1, 1e16, a]", "+I[1, 2, a]"];

#[test]
fn distinct_aggregates_are_restored_as_they_were() {
    let chain = by_order();
    let mut h = Harness::new(&chain, 1, 128).expect("a chain");
    assert_eq!(shown(&mut h, VALUES, &COME_AND_GO).last().expect("a row"), "+U[1, b,a, b, a, 2.0]");
    for parallelism in [2, 1] {
        let snapshot = h.snapshot().expect("a snapshot");
        h = Harness::restore(&chain, &snapshot, parallelism, 128).expect("restored");
        assert_eq!(
            shown(&mut h, VALUES, &["+I[1, 4, c]", "-D[1, 4, c]"]),
            ["-U[1, b,a, b, a, 2.0]", "+U[1, b,a,c, b, c, 6.0]", "-U[1, b,a,c, b, c, 6.0]", "+U[1, b,a, b, a, 2.0]"]
        );
    }
    assert_eq!(shown(&mut h, VALUES, &["-D[1, 1, b]"])[1], "+U[1, a, a, a, 1.0]");
}

#[test]
fn distinct_aggregates_stay_as_they_are_when_other_groups_are_forgotten() {
    let mut h = Harness::new(&by_order(), 1, 128).expect("a chain");
    shown(&mut h, VALUES, &COME_AND_GO);
    let others = |kind: &str| (10..3_000).map(|k| format!("{kind}[{k}, 1, x]")).collect::<Vec<_>>();
    h.process(0, batch(VALUES, &others("+I"))).expect("processed");
    let full = h.state_bytes();
    h.process(0, batch(VALUES, &others("-D"))).expect("processed");
    assert!(h.state_bytes() * 2 < full, "{} of {full}", h.state_bytes());
    h.take_output();
    assert_eq!(shown(&mut h, VALUES, &["+I[1, 4, c]"]), ["-U[1, b,a, b, a, 2.0]", "+U[1, b,a,c, b, c, 6.0]"]);
}

#[test]
fn distinct_values_that_are_gone_leave_no_memory() {
    let chain = distinct(&[("COUNT", "s", "BIGINT NOT NULL")]);
    let mut h = Harness::new(&chain, 1, 128).expect("a chain");
    h.process(0, batch(VALUES, &["+I[1, 1, stays]"])).expect("processed");
    let mut most = 0;
    for round in 0..20 {
        for kind in ["+I", "-D"] {
            let rows: Vec<String> = (0..2_000).map(|i| format!("{kind}[1, 1, value {round} {i}]")).collect();
            h.process(0, batch(VALUES, &rows)).expect("processed");
        }
        h.take_output();
        if round == 1 {
            most = h.state_bytes();
        }
    }
    assert!(h.state_bytes() <= most, "{} after {most}", h.state_bytes());
    assert_eq!(shown(&mut h, VALUES, &["+I[1, 1, stays]", "+I[1, 1, new]"]), ["-U[1, 1]", "+U[1, 2]"]);
}
