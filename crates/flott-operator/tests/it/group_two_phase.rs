//! GROUP BY in two phases: whatever the mini-batches, barriers and parallelism, the table is that of one phase.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow_schema::{Field, Schema, SchemaRef};
use flott_core::Watermark;
use flott_core::types::arrow_field;
use flott_graph::{
    AggregateCall, Changes, GroupAggregateSpec, IncrementalAggregateSpec, MiniBatch, MiniBatchAssignerSpec, Node,
    OperatorSpec, Partitioning, SplitLevel, group_partial_schema,
};
use flott_operator::harness::Harness;
use flott_testkit::{batch, schema};
use proptest::prelude::*;

use crate::common::{call, node};
use crate::group::{INPUT, chain, count_and_sum, input, shown_rows, spec};

const VALUES: &str = "k INT, i INT, d DOUBLE, s STRING, p DOUBLE NOT NULL, x STRING, f BOOLEAN, b BITMAP";

fn gathered(size_rows: usize) -> Changes {
    Changes::Gathered(MiniBatch { latency: Duration::from_millis(100), size_rows })
}

fn out_schema(spec: &GroupAggregateSpec) -> SchemaRef {
    let mut fields: Vec<Field> = spec.group_keys.iter().map(|k| spec.input_schema.field(*k).clone()).collect();
    fields.extend(spec.aggregates.iter().map(|a| arrow_field(&a.name, &a.result)));
    Arc::new(Schema::new(fields))
}

fn by_keys(keys: usize) -> Partitioning {
    if keys == 0 { Partitioning::Singleton } else { Partitioning::Hash((0..keys).collect()) }
}

fn two_phase(spec: &GroupAggregateSpec) -> Vec<(Node, Partitioning)> {
    let local = node("local", OperatorSpec::LocalGroupAggregate(spec.clone()), group_partial_schema(spec));
    let global = node("global", OperatorSpec::GlobalGroupAggregate(spec.clone()), out_schema(spec));
    vec![(local, Partitioning::Forward), (global, by_keys(spec.group_keys.len()))]
}

/// The local aggregates of buckets, what is merged of them, and the second level.
fn incremental(partial: &GroupAggregateSpec, keys: usize) -> Vec<(Node, Partitioning)> {
    let aggregates = partial.aggregates.iter().map(|c| AggregateCall { distinct: false, ..c.clone() }).collect();
    let merged = GroupAggregateSpec {
        aggregates,
        group_keys: partial.group_keys[..keys].to_vec(),
        level: SplitLevel::Incremental,
        ..partial.clone()
    };
    let between = IncrementalAggregateSpec { partial: partial.clone(), merged: merged.clone() };
    let between = node("incremental", OperatorSpec::IncrementalGroupAggregate(between), group_partial_schema(&merged));
    let local = node("local", OperatorSpec::LocalGroupAggregate(partial.clone()), group_partial_schema(partial));
    let global = node("global", OperatorSpec::GlobalGroupAggregate(merged.clone()), out_schema(&merged));
    vec![(local, Partitioning::Forward), (between, by_keys(partial.group_keys.len())), (global, by_keys(keys))]
}

/// Everything that merges, over [`VALUES`].
fn functions() -> Vec<AggregateCall> {
    let input = schema(VALUES);
    let one = |function: &str, argument: &str, result: &str| call(&input, function, Some(argument), result);
    let several = |function: &str, arguments: &[&str], result: &str| AggregateCall {
        arguments: arguments.iter().map(|a| input.index_of(a).expect("a column")).collect(),
        ..call(&input, function, Some(arguments[0]), result)
    };
    let distinct = |call: AggregateCall| AggregateCall { distinct: true, ..call };
    let filtered = |call: AggregateCall| AggregateCall { filter: Some(6), ..call };
    vec![
        one("SUM", "i", "INT"),
        one("AVG", "i", "INT"),
        one("COUNT", "i", "BIGINT NOT NULL"),
        one("MIN", "i", "INT"),
        one("MAX", "s", "STRING"),
        filtered(one("SUM", "i", "INT")),
        distinct(one("COUNT", "i", "BIGINT NOT NULL")),
        filtered(distinct(one("SUM", "i", "INT"))),
        one("ARRAY_AGG", "s", "ARRAY<STRING>"),
        several("LISTAGG", &["s", "x"], "STRING"),
        one("COLLECT", "i", "MULTISET<INT> NOT NULL"),
        several("PERCENTILE", &["d", "p"], "DOUBLE"),
        several("JSON_OBJECTAGG_NULL_ON_NULL", &["s", "x"], "STRING NOT NULL"),
        one("BITMAP_BUILD_AGG", "i", "BITMAP"),
        one("BITMAP_AND_AGG", "b", "BITMAP"),
        one("BITMAP_XOR_CARDINALITY_AGG", "b", "BIGINT"),
    ]
}

/// The table that a changelog makes, by its first column; panics where it is not consistent.
fn follow(table: &mut BTreeMap<String, String>, h: &mut Harness) {
    for row in h.take_output().iter().flat_map(shown_rows) {
        let body = &row[3..row.len() - 1];
        let key = body.split(", ").next().expect("a key").to_string();
        match &row[..2] {
            "+I" | "+U" => assert_eq!(table.insert(key, body.to_string()), None, "{row} comes twice"),
            _ => assert_eq!(table.remove(&key).as_deref(), Some(body), "{row} takes away what is not there"),
        }
    }
}

/// Sums of another order differ in their last digits.
fn rounded(table: &BTreeMap<String, String>) -> BTreeMap<String, Vec<String>> {
    let cell = |cell: &str| match (cell.contains('.'), cell.parse::<f64>()) {
        (true, Ok(number)) => format!("{:.6}", number.abs()),
        _ => cell.to_string(),
    };
    table.iter().map(|(key, row)| (key.clone(), row.split(", ").map(cell).collect())).collect()
}

#[derive(Debug, Clone)]
enum Step {
    Rows(Vec<(i32, i32)>),
    Remove(Vec<usize>),
    Snapshot(usize),
    Time,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => prop::collection::vec((0..4i32, -3..4i32), 1..12).prop_map(Step::Rows),
        4 => prop::collection::vec(0..100usize, 1..6).prop_map(Step::Remove),
        1 => (1..4usize).prop_map(Step::Snapshot),
        1 => Just(Step::Time),
    ];
    prop::collection::vec(step, 1..25)
}

/// Runs the steps on both chains and compares the tables at the end, and that nothing is left without rows.
fn compare(
    one: &[(Node, Partitioning)],
    two: &[(Node, Partitioning)],
    steps: Vec<Step>,
    columns: &str,
    text: impl Fn(usize, i32, i32) -> String,
) {
    let mut harnesses = [one, two].map(|c| Harness::new(c, 2, 128).expect("a chain"));
    let mut tables = [BTreeMap::new(), BTreeMap::new()];
    let mut there: Vec<String> = vec![];
    let (mut number, mut now) = (0, 0);
    for step in steps {
        let rows: Vec<String> = match step {
            Step::Rows(rows) => {
                let new = rows.into_iter().map(|(k, v)| {
                    number += 1;
                    text(number, k, v)
                });
                let new: Vec<String> = new.collect();
                there.extend(new.clone());
                new.into_iter().map(|r| format!("+I{r}")).collect()
            }
            Step::Remove(places) => {
                let gone = places.into_iter().filter(|_| !there.is_empty()).collect::<Vec<_>>();
                let take = |at: usize| (!there.is_empty()).then(|| there.remove(at % there.len()));
                gone.into_iter().filter_map(take).map(|r| format!("-D{r}")).collect()
            }
            Step::Time => {
                now += 1_000;
                harnesses.iter_mut().for_each(|h| h.set_processing_time(now).expect("time"));
                continue;
            }
            Step::Snapshot(parallelism) => {
                for ((h, chain), table) in harnesses.iter_mut().zip([one, two]).zip(&mut tables) {
                    let snapshot = h.snapshot().expect("a snapshot");
                    follow(table, h);
                    *h = Harness::restore(chain, &snapshot, parallelism, 128).expect("restored");
                }
                assert_eq!(rounded(&tables[0]), rounded(&tables[1]), "at a barrier nothing waits");
                continue;
            }
        };
        harnesses.iter_mut().for_each(|h| h.process(0, batch(columns, &rows)).expect("processed"));
    }
    for round in 0..2 {
        for (h, table) in harnesses.iter_mut().zip(&mut tables) {
            h.snapshot().expect("a snapshot");
            follow(table, h);
            if round == 0 {
                let gone: Vec<String> = there.iter().map(|r| format!("-D{r}")).collect();
                h.process(0, batch(columns, &gone)).expect("processed");
            }
        }
        assert_eq!(rounded(&tables[0]), rounded(&tables[1]));
    }
    assert!(tables[1].is_empty());
    assert_eq!(harnesses[1].state_rows(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn two_phases_make_the_table_of_one(steps in steps(), size in 1..20usize) {
        let input = schema(VALUES);
        let one = GroupAggregateSpec { input_schema: input, changes: Changes::Merged, ..spec(&["k"], functions()) };
        let two = GroupAggregateSpec { changes: gathered(size), ..one.clone() };
        compare(&chain(&one), &two_phase(&two), steps, VALUES, |number, k, v| {
            let value = if v == 3 { "null".to_string() } else { v.to_string() };
            format!("[{k}, {value}, {v}.0, s{number}, 0.5, x, {}, {{{},7}}]", v > 0, v + 3)
        });
    }

    #[test]
    fn two_levels_merged_incrementally_make_the_table_of_one(steps in steps(), size in 1..20usize) {
        let input = schema("k INT, b INT, v INT");
        let distinct = |call: AggregateCall| AggregateCall { distinct: true, ..call };
        let aggregates = vec![
            distinct(call(&input, "COUNT", Some("v"), "BIGINT NOT NULL")),
            distinct(call(&input, "SUM", Some("v"), "INT")),
            call(&input, "MAX", Some("v"), "INT"),
            call(&input, "COUNT", None, "BIGINT NOT NULL"),
        ];
        let keyed = spec(&[], aggregates);
        let one = GroupAggregateSpec { input_schema: input, group_keys: vec![0], changes: Changes::Merged, ..keyed };
        let partial = GroupAggregateSpec {
            group_keys: vec![0, 1],
            level: SplitLevel::Partial,
            changes: gathered(size),
            ..one.clone()
        };
        let text = |_: usize, k: i32, v: i32| {
            let value = if v == 3 { "null".to_string() } else { v.to_string() };
            format!("[{k}, {}, {value}]", v.rem_euclid(3))
        };
        compare(&chain(&one), &incremental(&partial, 1), steps, "k INT, b INT, v INT", text);
    }
}

/// Each phase counts its own rows: three rows of one group are one for the second phase.
#[test]
fn a_mini_batch_is_full_where_its_own_rows_are() {
    let two = two_phase(&GroupAggregateSpec { changes: gathered(3), ..spec(&["k"], count_and_sum()) });
    let mut h = Harness::new(&two, 1, 128).expect("a chain");
    let shown = |h: &mut Harness| -> Vec<String> { h.take_output().iter().flat_map(shown_rows).collect() };
    h.process(0, batch(INPUT, &["+I[1, 1, a]", "+I[1, 2, a]", "+I[1, 3, a]"])).expect("processed");
    assert_eq!(shown(&mut h), [""; 0]);
    h.process(0, batch(INPUT, &["+I[1, 1, a]", "+I[2, 2, a]", "+I[2, 3, a]"])).expect("processed");
    assert_eq!(shown(&mut h), ["+I[2, 2, 5]", "+I[1, 4, 7]"]);
    h.process(0, batch(INPUT, &["-D[1, 1, a]", "+I[1, 1, a]"])).expect("processed");
    h.watermark_all(Watermark::MAX).expect("the end");
    assert_eq!(shown(&mut h), [""; 0], "what cancels out changes nothing");
    h.process(0, batch(INPUT, &["-D[2, 2, a]", "-D[2, 3, a]"])).expect("processed");
    h.end_input().expect("ends");
    assert_eq!(shown(&mut h), ["-D[2, 2, 5]"]);
}

/// A value that another mini-batch had is taken away of its moments.
#[test]
fn variances_forget_what_is_taken_away() {
    let input = schema(VALUES);
    let m2 = vec![call(&input, "$WELFORD_M2$1", Some("d"), "DOUBLE")];
    let two = GroupAggregateSpec { input_schema: input, changes: gathered(3), ..spec(&["k"], m2) };
    let mut h = Harness::new(&two_phase(&two), 1, 128).expect("a chain");
    let row = |kind: &str, d: &str| format!("{kind}[1, 1, {d}, s, 0.5, x, true, {{1}}]");
    for rows in [["+I 1.0", "+I 2.0", "+I 6.0"], ["-D 2.0", "+I 4.0", "-D 9.0"], ["+I 9.0", "-D 6.0", "-D 1.0"]] {
        let rows: Vec<String> = rows.iter().map(|r| row(&r[..2], &r[3..])).collect();
        h.process(0, batch(VALUES, &rows)).expect("processed");
    }
    h.end_input().expect("ends");
    let shown: Vec<String> = h.output.iter().flat_map(shown_rows).collect();
    assert_eq!(shown.last().map(String::as_str), Some("+I[1, 0.0]"));
}

/// All rows are one group: the local phase has no keys.
#[test]
fn a_global_aggregate_has_two_phases() {
    let two = two_phase(&GroupAggregateSpec { changes: gathered(100), ..spec(&[], count_and_sum()) });
    let mut h = Harness::new(&two, 2, 128).expect("a chain");
    h.process(0, batch(INPUT, &["+I[1, 1, a]", "+I[2, 2, a]"])).expect("processed");
    h.process(1, batch(INPUT, &["+I[3, 4, a]"])).expect("processed");
    h.end_input().expect("ends");
    let shown: Vec<String> = h.output.iter().flat_map(shown_rows).collect();
    let last = shown.last().map(|row| &row[3..]);
    assert_eq!(last, Some("3, 7]"), "{shown:?}");
}

/// The state of one phase is that of two.
#[test]
fn a_job_goes_on_in_another_number_of_phases() {
    let spec = GroupAggregateSpec { changes: gathered(100), ..spec(&["k"], count_and_sum()) };
    let mut h = Harness::new(&chain(&spec), 2, 128).expect("a chain");
    h.process(0, batch(INPUT, &["+I[1, 1, a]", "+I[2, 2, a]"])).expect("processed");
    let mut snapshot = h.snapshot().expect("a snapshot");
    snapshot.stages.insert(0, (i64::MIN, vec![]));
    let mut h = Harness::restore(&two_phase(&spec), &snapshot, 3, 128).expect("restored");
    h.process(0, batch(INPUT, &["+I[1, 5, a]", "-D[2, 2, a]"])).expect("processed");
    h.end_input().expect("ends");
    let mut shown: Vec<String> = h.output.iter().flat_map(shown_rows).collect();
    shown.sort();
    assert_eq!(shown, ["+U[1, 2, 6]", "-D[2, 1, 2]", "-U[1, 1, 1]"]);
}

/// Which watermarks end a mini-batch.
#[test]
fn watermarks_pass_once_for_each_interval_or_not_at_all() {
    let passed = |event_time: bool| -> Vec<i64> {
        let spec = MiniBatchAssignerSpec { interval: Duration::from_millis(10), event_time };
        let chain = [(node("assigner", OperatorSpec::MiniBatchAssigner(spec), input()), Partitioning::Forward)];
        let mut h = Harness::new(&chain, 1, 128).expect("a chain");
        for at in [3, 8, 9, 12, 19, 18, 41, 45, i64::MAX] {
            h.watermark(0, Watermark(at)).expect("a watermark");
        }
        h.watermarks.iter().map(|w| w.0).collect()
    };
    assert_eq!(passed(true), [9, 19, 41, i64::MAX]);
    assert_eq!(passed(false), [i64::MAX]);
}
