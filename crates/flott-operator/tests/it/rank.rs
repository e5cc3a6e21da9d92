//! Top-N, deduplication, window rank, LIMIT and ORDER BY: exactly the changes that Flink's operators emit.

use std::sync::Arc;
use std::time::Duration;

use arrow_schema::{Schema, SchemaRef};
use flott_core::Watermark;
use flott_core::types::{TimeAttribute, arrow_field};
use flott_graph::{
    DeduplicateSpec, Keep, Node, OperatorSpec, Partitioning, RankRange, RankSpec, RankStrategy, SortKey, SortSpec,
    TemporalSortSpec, WindowRankSpec,
};
use flott_operator::harness::Harness;
use flott_testkit::{batch, rows_of, schema};

use crate::common::*;

pub(crate) fn ascending(column: usize) -> SortKey {
    SortKey { column, ascending: true, nulls_last: false }
}

pub(crate) fn descending(column: usize) -> SortKey {
    SortKey { column, ascending: false, nulls_last: true }
}

pub(crate) fn rank_spec(input: &SchemaRef, partition: &[usize], order: &[SortKey], range: RankRange) -> RankSpec {
    RankSpec {
        partition_keys: partition.to_vec(),
        order: order.to_vec(),
        by_arrival: false,
        range,
        strategy: RankStrategy::Retract,
        output_rank_number: true,
        update_before: true,
        state_ttl: None,
        input_schema: Arc::clone(input),
    }
}

pub(crate) fn top(end: u64) -> RankRange {
    RankRange::Constant { start: 1, end }
}

/// The input's columns and the rank.
pub(crate) fn with_rank(input: &SchemaRef, shown: bool) -> SchemaRef {
    let mut fields: Vec<_> = input.fields().iter().map(|f| f.as_ref().clone()).collect();
    if shown {
        fields.push(arrow_field("rn", &logical("BIGINT NOT NULL")));
    }
    Arc::new(Schema::new(fields))
}

pub(crate) fn rank(spec: &RankSpec) -> Vec<(Node, Partitioning)> {
    let out = with_rank(&spec.input_schema, spec.output_rank_number);
    let keys = spec.partition_keys.clone();
    vec![(node("rank", OperatorSpec::Rank(spec.clone()), out), Partitioning::Hash(keys))]
}

/// What each of the rows makes.
fn changes_of(nodes: &[(Node, Partitioning)], columns: &str, rows: &[&str]) -> Vec<String> {
    let mut harness = Harness::new(nodes, 1, 128).expect("operators");
    // One batch: what leaves is that of its rows one by one.
    harness.process(0, batch(columns, rows)).expect("rows");
    rows_of(&harness.output)
}

const SALES: &str = "p STRING, id INT, v INT";

#[test]
fn each_new_row_moves_those_behind_it() {
    let input = schema(SALES);
    let mut spec = rank_spec(&input, &[0], &[descending(2)], top(2));
    spec.strategy = RankStrategy::AppendFast;
    let rows = ["+I[a, 1, 10]", "+I[a, 2, 20]", "+I[b, 3, 5]", "+I[a, 4, 15]", "+I[a, 5, 20]", "+I[a, 6, 1]"];
    let expected = [
        "+I[a, 1, 10, 1]",
        "-U[a, 1, 10, 1]",
        "+U[a, 2, 20, 1]",
        "+I[a, 1, 10, 2]",
        "+I[b, 3, 5, 1]",
        "-U[a, 1, 10, 2]",
        "+U[a, 4, 15, 2]",
        "-U[a, 4, 15, 2]",
        "+U[a, 5, 20, 2]",
    ];
    assert_eq!(changes_of(&rank(&spec), SALES, &rows), expected);
    // Where all rows are kept the changes are the same.
    spec.strategy = RankStrategy::Retract;
    assert_eq!(changes_of(&rank(&spec), SALES, &rows), expected);
    spec.update_before = false;
    let without: Vec<&str> = expected.into_iter().filter(|r| !r.starts_with("-U")).collect();
    assert_eq!(changes_of(&rank(&spec), SALES, &rows), without);
}

#[test]
fn without_the_number_only_what_comes_and_goes_is_shown() {
    let input = schema(SALES);
    let mut spec = rank_spec(&input, &[0], &[ascending(2)], top(2));
    spec.output_rank_number = false;
    let rows = ["+I[a, 1, 3]", "+I[a, 2, 2]", "+I[a, 3, 1]", "+I[a, 4, 9]"];
    let expected = ["+I[a, 1, 3]", "+I[a, 2, 2]", "-D[a, 1, 3]", "+I[a, 3, 1]"];
    for strategy in [RankStrategy::AppendFast, RankStrategy::Retract] {
        spec.strategy = strategy;
        assert_eq!(changes_of(&rank(&spec), SALES, &rows), expected);
    }
    // A row of those that are shown goes: the next one comes in.
    let rows = [&rows[..], &["-D[a, 2, 2]", "-U[a, 4, 9]", "+U[a, 4, 0]", "-D[a, 7, 7]"]].concat();
    let more = ["-D[a, 2, 2]", "+I[a, 1, 3]", "-D[a, 1, 3]", "+I[a, 4, 0]"];
    assert_eq!(changes_of(&rank(&spec), SALES, &rows), [&expected[..], &more[..]].concat());
}

#[test]
fn a_row_that_goes_moves_those_behind_it_up() {
    let input = schema(SALES);
    let spec = rank_spec(&input, &[0], &[ascending(2)], top(3));
    let rows =
        ["+I[a, 1, 1]", "+I[a, 2, 2]", "+I[a, 3, 3]", "+I[a, 4, 4]", "-D[a, 2, 2]", "-D[a, 4, 4]", "-D[a, 1, 1]"];
    let expected = [
        "+I[a, 1, 1, 1]",
        "+I[a, 2, 2, 2]",
        "+I[a, 3, 3, 3]",
        "-U[a, 2, 2, 2]",
        "+U[a, 3, 3, 2]",
        "-U[a, 3, 3, 3]",
        "+U[a, 4, 4, 3]",
        "-D[a, 4, 4, 3]",
        "-U[a, 1, 1, 1]",
        "+U[a, 3, 3, 1]",
        "-D[a, 3, 3, 2]",
    ];
    assert_eq!(changes_of(&rank(&spec), SALES, &rows), expected);
}

#[test]
fn ranks_from_the_second_on() {
    let input = schema(SALES);
    let mut spec = rank_spec(&input, &[0], &[ascending(2)], RankRange::Constant { start: 2, end: 3 });
    spec.output_rank_number = false;
    let rows = ["+I[a, 1, 3]", "+I[a, 2, 2]", "+I[a, 3, 1]", "+I[a, 4, 0]", "-D[a, 3, 1]"];
    let expected = [
        "+I[a, 1, 3]",
        "-U[a, 1, 3]",
        "+U[a, 2, 2]",
        "+I[a, 1, 3]",
        "-U[a, 2, 2]",
        "+U[a, 3, 1]",
        "-U[a, 1, 3]",
        "+U[a, 2, 2]",
        "-U[a, 3, 1]",
        "+U[a, 2, 2]",
        "-U[a, 2, 2]",
        "+U[a, 1, 3]",
    ];
    assert_eq!(changes_of(&rank(&spec), SALES, &rows), expected);
    spec.strategy = RankStrategy::AppendFast;
    assert_eq!(changes_of(&rank(&spec), SALES, &rows[..4]), expected[..8]);
}

#[test]
fn the_last_rank_may_come_from_the_first_row() {
    let input = schema(SALES);
    let mut spec = rank_spec(&input, &[0], &[ascending(2)], RankRange::Variable { column: 1 });
    spec.strategy = RankStrategy::AppendFast;
    let rows = ["+I[a, 2, 5]", "+I[a, 1, 4]", "+I[a, 9, 6]", "+I[b, 1, 3]", "+I[b, 1, 2]", "+I[c, 0, 1]"];
    let expected = [
        "+I[a, 2, 5, 1]",
        "-U[a, 2, 5, 1]",
        "+U[a, 1, 4, 1]",
        "+I[a, 2, 5, 2]",
        "+I[b, 1, 3, 1]",
        "-U[b, 1, 3, 1]",
        "+U[b, 1, 2, 1]",
    ];
    assert_eq!(changes_of(&rank(&spec), SALES, &rows), expected);
    spec.output_rank_number = false;
    let expected = ["+I[a, 2, 5]", "+I[a, 1, 4]", "+I[b, 1, 3]", "-D[b, 1, 3]", "+I[b, 1, 2]"];
    assert_eq!(changes_of(&rank(&spec), SALES, &rows), expected);
}

/// Flink's rank-test-update-fast-strategy, and updates of rows that are shown.
#[test]
fn rows_that_rise() {
    let columns = "a INT NOT NULL, b STRING, cnt BIGINT";
    let input = schema(columns);
    let mut spec = rank_spec(&input, &[1], &[descending(2), ascending(0)], top(3));
    spec.strategy = RankStrategy::UpdateFast { primary_keys: vec![0, 1] };
    let rows = ["+I[2, a, 1]", "+I[1, a, 1]", "+I[5, a, 1]", "+U[5, a, 2]", "+U[5, a, 2]", "+I[0, a, 1]"];
    let expected = [
        "+I[2, a, 1, 1]",
        "-U[2, a, 1, 1]",
        "+U[1, a, 1, 1]",
        "+I[2, a, 1, 2]",
        "+I[5, a, 1, 3]",
        // 5 rises: the row before it at each rank, and its own old one, leave first.
        "-U[1, a, 1, 1]",
        "-U[5, a, 1, 3]",
        "+U[5, a, 2, 1]",
        "-U[2, a, 1, 2]",
        "+U[1, a, 1, 2]",
        "+U[2, a, 1, 3]",
        "-U[5, a, 2, 1]",
        "+U[5, a, 2, 1]",
        "-U[1, a, 1, 2]",
        "+U[0, a, 1, 2]",
        "-U[2, a, 1, 3]",
        "+U[1, a, 1, 3]",
    ];
    assert_eq!(changes_of(&rank(&spec), columns, &rows), expected);
    spec.output_rank_number = false;
    let expected = [
        "+I[2, a, 1]",
        "+I[1, a, 1]",
        "+I[5, a, 1]",
        "-U[5, a, 1]",
        "+U[5, a, 2]",
        "-U[5, a, 2]",
        "+U[5, a, 2]",
        "-D[2, a, 1]",
        "+I[0, a, 1]",
    ];
    assert_eq!(changes_of(&rank(&spec), columns, &rows), expected);
}

#[test]
fn the_first_row_alone_is_updated_in_place() {
    let input = schema(SALES);
    let mut spec = rank_spec(&input, &[0], &[ascending(2)], top(1));
    spec.strategy = RankStrategy::AppendFast;
    let rows = ["+I[a, 1, 2]", "+I[a, 2, 2]", "+I[a, 3, null]", "+I[b, 4, 1]", "+I[b, 5, 0]"];
    let expected =
        ["+I[a, 1, 2, 1]", "-U[a, 1, 2, 1]", "+U[a, 3, null, 1]", "+I[b, 4, 1, 1]", "-U[b, 4, 1, 1]", "+U[b, 5, 0, 1]"];
    assert_eq!(changes_of(&rank(&spec), SALES, &rows), expected);
    // As in Flink a row that is taken away is shown to go where all rows are kept.
    spec.strategy = RankStrategy::Retract;
    spec.output_rank_number = false;
    assert_eq!(changes_of(&rank(&spec), SALES, &rows[3..]), ["+I[b, 4, 1]", "-D[b, 4, 1]", "+I[b, 5, 0]"]);
}

#[test]
fn by_arrival_a_number_is_kept() {
    let input = schema(SALES);
    let mut spec = rank_spec(&input, &[0], &[], top(2));
    spec.strategy = RankStrategy::AppendFast;
    spec.by_arrival = true;
    let nodes = rank(&spec);
    let mut harness = Harness::new(&nodes, 2, 128).expect("operators");
    harness.process(0, batch(SALES, &["+I[a, 1, 1]", "+I[b, 2, 2]", "+I[a, 3, 3]"])).expect("rows");
    let mut rows = rows_of(&harness.take_output());
    rows.sort();
    assert_eq!(rows, ["+I[a, 1, 1, 1]", "+I[a, 3, 3, 2]", "+I[b, 2, 2, 1]"]);
    let snapshot = harness.snapshot().expect("a snapshot");
    let mut harness = Harness::restore(&nodes, &snapshot, 1, 128).expect("restores");
    harness.process(0, batch(SALES, &["+I[a, 4, 4]", "+I[b, 5, 5]", "+I[b, 6, 6]", "+I[c, 7, 7]"])).expect("rows");
    assert_eq!(rows_of(&harness.output), ["+I[b, 5, 5, 2]", "+I[c, 7, 7, 1]"]);
}

#[test]
fn limit_with_offset() {
    let input = schema(SALES);
    let mut spec = rank_spec(&input, &[], &[], RankRange::Constant { start: 2, end: 3 });
    spec.strategy = RankStrategy::AppendFast;
    spec.by_arrival = true;
    spec.output_rank_number = false;
    let nodes = rank(&spec);
    let mut harness = Harness::new(&nodes, 3, 128).expect("operators");
    harness.process(0, batch(SALES, &["+I[a, 1, 1]", "+I[b, 2, 2]"])).expect("rows");
    assert_eq!(rows_of(&harness.take_output()), ["+I[b, 2, 2]"]);
    let snapshot = harness.snapshot().expect("a snapshot");
    let mut harness = Harness::restore(&nodes, &snapshot, 2, 128).expect("restores");
    harness.process(1, batch(SALES, &["+I[c, 3, 3]", "+I[d, 4, 4]"])).expect("rows");
    assert_eq!(rows_of(&harness.take_output()), ["+I[c, 3, 3]"]);
    assert_eq!(harness.state_rows(), 1);
}

pub(crate) const EVENTS: &str = "k STRING, id INT, ts TIMESTAMP(3)";

pub(crate) fn deduplicate(
    keep: Keep,
    rowtime: Option<usize>,
    change: impl Fn(&mut DeduplicateSpec),
) -> Vec<(Node, Partitioning)> {
    let input = schema(EVENTS);
    let mut spec = DeduplicateSpec {
        keys: vec![0],
        rowtime,
        keep,
        update_before: true,
        insert: true,
        mini_batch: None,
        compact: false,
        state_ttl: None,
        input_schema: Arc::clone(&input),
    };
    change(&mut spec);
    vec![(node("deduplicate", OperatorSpec::Deduplicate(spec), input), Partitioning::Hash(vec![0]))]
}

const SOME_EVENTS: [&str; 5] = [
    "+I[a, 1, 1970-01-01 00:00:05]",
    "+I[a, 2, 1970-01-01 00:00:03]",
    "+I[a, 3, 1970-01-01 00:00:05]",
    "+I[b, 4, 1970-01-01 00:00:01]",
    "+I[b, 4, 1970-01-01 00:00:01]",
];

#[test]
fn the_last_row_of_a_key() {
    let (one, three) = ("[a, 1, 1970-01-01T00:00:05]", "[a, 3, 1970-01-01T00:00:05]");
    let four = "[b, 4, 1970-01-01T00:00:01]";
    let by_rowtime = deduplicate(Keep::Last, Some(2), |_| ());
    let expected = [format!("+I{one}"), format!("-U{one}"), format!("+U{three}"), format!("+I{four}")];
    let again = [format!("-U{four}"), format!("+U{four}")];
    assert_eq!(changes_of(&by_rowtime, EVENTS, &SOME_EVENTS), [&expected[..], &again[..]].concat());
    // By processing time a row that is as the one before changes nothing.
    let two = "[a, 2, 1970-01-01T00:00:03]";
    let by_arrival = deduplicate(Keep::Last, None, |s| s.update_before = false);
    let expected = [format!("+I{one}"), format!("+U{two}"), format!("+U{three}"), format!("+I{four}")];
    assert_eq!(changes_of(&by_arrival, EVENTS, &SOME_EVENTS), expected);
    let stateless = deduplicate(Keep::Last, None, |s| (s.update_before, s.insert) = (false, false));
    let all: Vec<String> = [one, two, three, four, four].iter().map(|r| format!("+U{r}")).collect();
    assert_eq!(changes_of(&stateless, EVENTS, &SOME_EVENTS), all);
    // By event time the state tells which rows are later ones, and no more.
    let updates = deduplicate(Keep::Last, Some(2), |s| (s.update_before, s.insert) = (false, false));
    let expected = [one, three, four, four].map(|r| format!("+U{r}"));
    assert_eq!(changes_of(&updates, EVENTS, &SOME_EVENTS), expected);
}

#[test]
fn the_first_row_of_a_key_by_event_time_leaves_with_the_watermark() {
    let nodes = deduplicate(Keep::First, Some(2), |_| ());
    let mut harness = Harness::new(&nodes, 2, 128).expect("operators");
    harness.process(0, batch(EVENTS, &SOME_EVENTS)).expect("rows");
    assert!(harness.output.is_empty());
    harness.watermark_all(Watermark(2_000)).expect("a watermark");
    assert_eq!(rows_of(&harness.take_output()), ["+I[b, 4, 1970-01-01T00:00:01]"]);
    let snapshot = harness.snapshot().expect("a snapshot");
    let mut harness = Harness::restore(&nodes, &snapshot, 3, 128).expect("restores");
    // Late; of a key that has left; before the one that waits.
    let more = ["+I[c, 5, 1970-01-01 00:00:01]", "+I[b, 6, 1970-01-01 00:00:09]", "+I[a, 7, 1970-01-01 00:00:02]"];
    harness.process(1, batch(EVENTS, &more)).expect("rows");
    assert_eq!(harness.late_records_dropped(), 1);
    harness.end_input().expect("the end");
    assert_eq!(rows_of(&harness.output), ["+I[a, 7, 1970-01-01T00:00:02]"]);
    assert_eq!(harness.watermarks.last(), Some(&Watermark::MAX));
}

#[test]
fn the_first_row_of_a_key_by_processing_time() {
    let nodes = deduplicate(Keep::First, None, |s| s.state_ttl = Some(Duration::from_secs(10)));
    let mut harness = Harness::new(&nodes, 1, 128).expect("operators");
    harness.set_processing_time(1_000).expect("time");
    harness.process(0, batch(EVENTS, &SOME_EVENTS)).expect("rows");
    assert_eq!(rows_of(&harness.take_output()), ["+I[a, 1, 1970-01-01T00:00:05]", "+I[b, 4, 1970-01-01T00:00:01]"]);
    harness.set_processing_time(10_999).expect("time");
    harness.process(0, batch(EVENTS, &SOME_EVENTS[..1])).expect("rows");
    assert!(harness.take_output().is_empty());
    harness.set_processing_time(11_000).expect("time");
    harness.process(0, batch(EVENTS, &SOME_EVENTS[..1])).expect("rows");
    assert_eq!(harness.take_output().len(), 1);
    harness.set_processing_time(60_000).expect("time");
    harness.snapshot().expect("a snapshot");
    harness.set_processing_time(90_000).expect("time");
    assert_eq!(harness.state_rows(), 0);
}

#[test]
fn expired_rows_are_no_rows() {
    let input = schema(SALES);
    let mut spec = rank_spec(&input, &[0], &[ascending(2)], top(2));
    spec.state_ttl = Some(Duration::from_secs(5));
    let nodes = rank(&spec);
    let mut harness = Harness::new(&nodes, 1, 128).expect("operators");
    harness.process(0, batch(SALES, &["+I[a, 1, 1]"])).expect("rows");
    let snapshot = harness.snapshot().expect("a snapshot");
    let mut harness = Harness::restore(&nodes, &snapshot, 2, 128).expect("restores");
    harness.set_processing_time(5_000).expect("time");
    harness.process(0, batch(SALES, &["-D[a, 1, 1]", "+I[a, 2, 2]"])).expect("rows");
    assert_eq!(rows_of(&harness.take_output()), ["+I[a, 2, 2, 1]"]);
    harness.set_processing_time(30_000).expect("time");
    assert_eq!(harness.state_rows(), 0);
    assert!(harness.state_bytes() < 2_048, "{}", harness.state_bytes());
}

const BIDS: &str = "item STRING, price INT, window_start TIMESTAMP(3), window_end TIMESTAMP(3)";

fn bid(item: &str, price: i32, start: u32) -> String {
    format!("+I[{item}, {price}, 1970-01-01 00:00:{start:02}, 1970-01-01 00:00:{:02}]", start + 10)
}

fn bid_out(item: &str, price: i32, start: u32, rank: &str) -> String {
    let seconds = |s: u32| if s == 0 { String::new() } else { format!(":{s:02}") };
    let (start, end) = (seconds(start), seconds(start + 10));
    format!("+I[{item}, {price}, 1970-01-01T00:00{start}, 1970-01-01T00:00{end}{rank}]")
}

#[test]
fn the_best_rows_of_a_window_leave_when_it_ends() {
    let input = schema(BIDS);
    let mut spec = WindowRankSpec {
        partition_keys: vec![],
        order: vec![descending(1)],
        last_of_equals: false,
        start: 1,
        end: 2,
        output_rank_number: true,
        window_end: Some(3),
        window_start: Some(2),
        time_zone: None,
        input_schema: Arc::clone(&input),
    };
    let nodes = |spec: &WindowRankSpec| {
        let out = with_rank(&input, spec.output_rank_number);
        vec![(
            node("rank", OperatorSpec::WindowRank(spec.clone()), out),
            Partitioning::Hash(spec.partition_keys.clone()),
        )]
    };
    let all = nodes(&spec);
    let mut harness = Harness::new(&all, 2, 128).expect("operators");
    let rows = [bid("a", 1, 0), bid("b", 3, 0), bid("c", 3, 0), bid("d", 2, 10), bid("e", 9, 10)];
    harness.process(0, batch(BIDS, &rows)).expect("rows");
    let snapshot = harness.snapshot().expect("a snapshot");
    let mut harness = Harness::restore(&all, &snapshot, 1, 128).expect("restores");
    harness.process(0, batch(BIDS, &[bid("f", 4, 0)])).expect("rows");
    harness.watermark_all(Watermark(9_998)).expect("a watermark");
    assert!(harness.output.is_empty());
    harness.watermark_all(Watermark(9_999)).expect("a watermark");
    assert_eq!(rows_of(&harness.take_output()), [bid_out("f", 4, 0, ", 1"), bid_out("b", 3, 0, ", 2")]);
    harness.process(0, batch(BIDS, &[bid("late", 5, 0)])).expect("rows");
    assert_eq!(harness.late_records_dropped(), 1);
    harness.end_input().expect("the end");
    assert_eq!(rows_of(&harness.take_output()), [bid_out("e", 9, 10, ", 1"), bid_out("d", 2, 10, ", 2")]);
    assert_eq!(harness.state_rows(), 0);
    // The last row of each item: of equals the last one.
    spec.partition_keys = vec![0];
    spec.last_of_equals = true;
    spec.end = 1;
    spec.output_rank_number = false;
    let last = nodes(&spec);
    let mut harness = Harness::new(&last, 1, 128).expect("operators");
    let rows = [bid("a", 1, 0), bid("a", 1, 0), bid("b", 2, 0), bid("a", 0, 0), bid("a", 1, 10)];
    harness.process(0, batch(BIDS, &rows)).expect("rows");
    harness.end_input().expect("the end");
    let expected = [bid_out("a", 1, 0, ""), bid_out("b", 2, 0, ""), bid_out("a", 1, 10, "")];
    assert_eq!(rows_of(&harness.take_output()), expected);
}

#[test]
fn order_by_of_a_bounded_input() {
    let input = schema(SALES);
    let sort = |offset, fetch| {
        let order = vec![descending(2), ascending(0)];
        let spec = OperatorSpec::Sort(SortSpec { order, offset, fetch, input_schema: Arc::clone(&input) });
        vec![(node("sort", spec, Arc::clone(&input)), Partitioning::Hash(vec![]))]
    };
    let run = |nodes: &[(Node, Partitioning)]| {
        let mut harness = Harness::new(nodes, 2, 128).expect("operators");
        let rows = ["+I[a, 1, 1]", "+I[b, 2, 3]", "+I[a, 3, 3]", "+I[z, 9, 9]", "-D[z, 9, 9]", "+I[c, 4, null]"];
        harness.process(0, batch(SALES, &rows[..3])).expect("rows");
        let snapshot = harness.snapshot().expect("a snapshot");
        let mut harness = Harness::restore(nodes, &snapshot, 1, 128).expect("restores");
        harness.process(0, batch(SALES, &rows[3..])).expect("rows");
        harness.end_input().expect("the end");
        assert_eq!(harness.state_rows(), 0);
        rows_of(&harness.output)
    };
    let all = ["+I[a, 3, 3]", "+I[b, 2, 3]", "+I[a, 1, 1]", "+I[c, 4, null]"];
    assert_eq!(run(&sort(0, None)), all);
    assert_eq!(run(&sort(1, Some(2))), all[1..3]);
    assert_eq!(run(&sort(3, Some(7))), all[3..]);
    assert!(run(&sort(4, None)).is_empty());
}

#[test]
fn order_by_event_time() {
    let input = schema(EVENTS);
    let spec = TemporalSortSpec {
        attribute: TimeAttribute::Rowtime,
        time_column: 2,
        then: vec![ascending(1)],
        input_schema: Arc::clone(&input),
    };
    let nodes = vec![(node("sort", OperatorSpec::TemporalSort(spec), Arc::clone(&input)), Partitioning::Hash(vec![]))];
    let mut harness = Harness::new(&nodes, 2, 128).expect("operators");
    harness.process(0, batch(EVENTS, &SOME_EVENTS)).expect("rows");
    harness.watermark_all(Watermark(4_000)).expect("a watermark");
    let out = |id: i32, key: &str, second: i32| format!("+I[{key}, {id}, 1970-01-01T00:00:0{second}]");
    assert_eq!(rows_of(&harness.take_output()), [out(4, "b", 1), out(4, "b", 1), out(2, "a", 3)]);
    let snapshot = harness.snapshot().expect("a snapshot");
    let mut harness = Harness::restore(&nodes, &snapshot, 3, 128).expect("restores");
    // Not behind what has left is late; behind the watermark is not asked.
    let more = ["+I[x, 0, 1970-01-01 00:00:03]", "+I[y, 2, 1970-01-01 00:00:05]", "+I[z, 9, 1970-01-01 00:00:04]"];
    harness.process(0, batch(EVENTS, &more)).expect("rows");
    assert_eq!(harness.late_records_dropped(), 1);
    harness.end_input().expect("the end");
    let expected = [out(9, "z", 4), out(1, "a", 5), out(2, "y", 5), out(3, "a", 5)];
    assert_eq!(rows_of(&harness.take_output()), expected);
    assert_eq!(harness.state_rows(), 0);
}

#[test]
fn order_by_processing_time_and_more() {
    let input = schema(SALES);
    let spec = TemporalSortSpec {
        attribute: TimeAttribute::Proctime,
        time_column: 0,
        then: vec![descending(2)],
        input_schema: Arc::clone(&input),
    };
    let nodes = vec![(node("sort", OperatorSpec::TemporalSort(spec), input), Partitioning::Hash(vec![]))];
    let mut harness = Harness::new(&nodes, 1, 128).expect("operators");
    harness.set_processing_time(100).expect("time");
    harness.process(0, batch(SALES, &["+I[a, 1, 1]", "+I[b, 2, 3]"])).expect("rows");
    assert!(harness.output.is_empty());
    harness.set_processing_time(101).expect("time");
    assert_eq!(rows_of(&harness.take_output()), ["+I[b, 2, 3]", "+I[a, 1, 1]"]);
}
