//! Unbounded GROUP BY, normalisation by key, and the order of a sink's changes, through the harness.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow_schema::{Field, Schema, SchemaRef};
use flott_core::types::arrow_field;
use flott_core::{ChangeBatch, Watermark};
use flott_graph::{
    AggregateCall, ChangelogNormalizeSpec, Changes, ConflictStrategy, GroupAggregateSpec, MiniBatch, Node,
    OperatorSpec, Partitioning, SinkMaterializeSpec, SplitLevel, StateMeaning,
};
use flott_operator::harness::Harness;
use flott_testkit::{batch, rows_of, schema};
use proptest::prelude::*;

use crate::common::{call, node};

pub(crate) const INPUT: &str = "k INT, v INT, s STRING";

pub(crate) fn input() -> SchemaRef {
    schema(INPUT)
}

pub(crate) fn spec(keys: &[&str], aggregates: Vec<AggregateCall>) -> GroupAggregateSpec {
    let input = input();
    GroupAggregateSpec {
        group_keys: keys.iter().map(|k| input.index_of(k).expect("a column")).collect(),
        aggregates,
        retracts: true,
        update_before: true,
        changes: Changes::Each,
        state_ttl: None,
        level: SplitLevel::None,
        meaning: StateMeaning::default(),
        input_schema: input,
    }
}

pub(crate) fn chain(spec: &GroupAggregateSpec) -> [(Node, Partitioning); 1] {
    let mut fields: Vec<Field> = spec.group_keys.iter().map(|k| spec.input_schema.field(*k).clone()).collect();
    fields.extend(spec.aggregates.iter().map(|a| arrow_field(&a.name, &a.result)));
    let out = Arc::new(Schema::new(fields));
    let partitioning = match spec.group_keys.is_empty() {
        true => Partitioning::Singleton,
        false => Partitioning::Hash(spec.group_keys.clone()),
    };
    [(node("group", OperatorSpec::GroupAggregate(spec.clone()), out), partitioning)]
}

pub(crate) fn count_and_sum() -> Vec<AggregateCall> {
    let input = input();
    vec![call(&input, "COUNT", None, "BIGINT NOT NULL"), call(&input, "SUM", Some("v"), "INT")]
}

pub(crate) fn shown_rows(batch: &ChangeBatch) -> Vec<String> {
    rows_of([batch])
}

fn run(spec: &GroupAggregateSpec, batches: &[&[&str]]) -> Vec<String> {
    let mut h = Harness::new(&chain(spec), 1, 128).expect("a chain");
    for rows in batches {
        h.process(0, batch(INPUT, rows)).expect("processed");
    }
    h.end_input().expect("ends");
    h.output.iter().flat_map(shown_rows).collect()
}

#[test]
fn every_row_shows_what_it_changed_in_order() {
    let rows: &[&str] =
        &["+I[1, 10, a]", "+I[2, 5, b]", "+I[1, 20, c]", "+I[1, null, d]", "-D[2, 5, b]", "-U[1, 10, a]"];
    let expected = [
        "+I[1, 1, 10]",
        "+I[2, 1, 5]",
        "-U[1, 1, 10]",
        "+U[1, 2, 30]",
        "-U[1, 2, 30]",
        "+U[1, 3, 30]",
        "-D[2, 1, 5]",
        "-U[1, 3, 30]",
        "+U[1, 2, 20]",
    ];
    let each = spec(&["k"], count_and_sum());
    assert_eq!(run(&each, &[rows]), expected);
    let one_by_one: Vec<&[&str]> = rows.chunks(1).collect();
    assert_eq!(run(&each, &one_by_one), expected);
    let upsert = GroupAggregateSpec { update_before: false, ..each };
    let expected: Vec<&str> = expected.into_iter().filter(|r| !r.starts_with("-U")).collect();
    assert_eq!(run(&upsert, &[rows]), expected);
}

#[test]
fn what_changes_nothing_is_not_shown_and_what_was_never_there_cannot_go() {
    let max = vec![call(&input(), "MAX", Some("v"), "INT")];
    let rows: &[&str] = &["-D[1, 9, x]", "+I[1, 7, a]", "+I[1, 3, b]", "-D[1, 7, a]", "-D[1, 3, b]", "-D[1, 3, b]"];
    assert_eq!(run(&spec(&["k"], max.clone()), &[rows]), ["+I[1, 7]", "-U[1, 7]", "+U[1, 3]", "-D[1, 3]"]);
    let merged = GroupAggregateSpec { changes: Changes::Merged, ..spec(&["k"], max) };
    assert_eq!(run(&merged, &[&rows[..4]]), ["+I[1, 3]"]);
    assert_eq!(
        run(&merged, &[&rows[..2], &rows[2..3], &rows[3..4], &rows[4..5]]),
        ["+I[1, 7]", "-U[1, 7]", "+U[1, 3]", "-D[1, 3]"]
    );
}

#[test]
fn a_mini_batch_is_shown_when_it_is_full_when_its_time_has_come_and_at_a_barrier() {
    let batch_of = MiniBatch { latency: Duration::from_millis(100), size_rows: 3 };
    let gathered = GroupAggregateSpec { changes: Changes::Gathered(batch_of), ..spec(&["k"], count_and_sum()) };
    let mut h = Harness::new(&chain(&gathered), 1, 128).expect("a chain");
    let shown = |h: &mut Harness, rows: &[&str]| -> Vec<String> {
        h.process(0, batch(INPUT, rows)).expect("processed");
        h.take_output().iter().flat_map(shown_rows).collect()
    };
    assert_eq!(shown(&mut h, &["+I[1, 1, a]", "+I[1, 2, a]"]), [""; 0]);
    assert_eq!(shown(&mut h, &["+I[1, 3, a]", "+I[1, 4, a]"]), ["+I[1, 3, 6]"]);
    h.set_processing_time(99).expect("time");
    assert!(h.take_output().is_empty());
    h.set_processing_time(100).expect("time");
    let rows: Vec<String> = h.take_output().iter().flat_map(shown_rows).collect();
    assert_eq!(rows, ["-U[1, 3, 6]", "+U[1, 4, 10]"]);
    assert_eq!(shown(&mut h, &["-D[1, 4, a]"]), [""; 0]);
    h.snapshot().expect("a snapshot");
    let rows: Vec<String> = h.take_output().iter().flat_map(shown_rows).collect();
    assert_eq!(rows, ["-U[1, 4, 10]", "+U[1, 3, 6]"]);
}

#[test]
fn a_batch_shows_final_rows_and_a_global_aggregate_one_of_nothing() {
    let last =
        |keys: &[&str]| GroupAggregateSpec { changes: Changes::Final, retracts: false, ..spec(keys, count_and_sum()) };
    assert_eq!(
        run(&last(&["k"]), &[&["+I[1, 1, a]", "+I[2, 2, a]"], &["+I[1, 3, a]"]]),
        ["+I[1, 2, 4]", "+I[2, 1, 2]"]
    );
    assert_eq!(run(&last(&["k"]), &[]), [""; 0]);
    assert_eq!(run(&last(&[]), &[]), ["+I[0, null]"]);
    assert_eq!(run(&spec(&[], count_and_sum()), &[]), [""; 0]);
}

#[test]
fn distinct_values_and_filters_forget_what_is_taken_away() {
    let input = schema("k INT, v INT, b BOOLEAN");
    let mut distinct = call(&input, "COUNT", Some("v"), "BIGINT NOT NULL");
    distinct.distinct = true;
    let mut filtered = call(&input, "SUM", Some("v"), "INT");
    filtered.filter = Some(2);
    let spec = GroupAggregateSpec { input_schema: input, ..spec(&["k"], vec![distinct, filtered]) };
    let mut h = Harness::new(&chain(&spec), 1, 128).expect("a chain");
    let rows = ["+I[1, 5, true]", "+I[1, 5, false]", "-D[1, 5, true]", "-D[1, 5, false]", "+I[1, 6, null]"];
    h.process(0, batch("k INT, v INT, b BOOLEAN", &rows)).expect("processed");
    let shown: Vec<String> = h.output.iter().flat_map(shown_rows).collect();
    assert_eq!(shown, ["+I[1, 1, 5]", "-U[1, 1, 5]", "+U[1, 1, null]", "-D[1, 1, null]", "+I[1, 1, null]"]);
}

#[test]
fn a_group_that_nobody_touches_ends_and_its_memory_is_free() {
    let limited = GroupAggregateSpec { state_ttl: Some(Duration::from_secs(10)), ..spec(&["k"], count_and_sum()) };
    let mut h = Harness::new(&chain(&limited), 1, 128).expect("a chain");
    let many: Vec<String> = (0..20_000).map(|k| format!("+I[{k}, 1, a]")).collect();
    h.process(0, batch(INPUT, &many)).expect("processed");
    let full = h.state_bytes();
    assert_eq!(h.state_rows(), 20_000);
    h.set_processing_time(9_000).expect("time");
    h.take_output();
    h.process(0, batch(INPUT, &["+I[7, null, a]"])).expect("processed");
    let rows: Vec<String> = h.take_output().iter().flat_map(shown_rows).collect();
    assert_eq!(rows, ["-U[7, 1, 1]", "+U[7, 2, 1]"]);
    h.set_processing_time(13_000).expect("time");
    assert_eq!(h.state_rows(), 1);
    assert!(h.state_bytes() * 20 < full, "{} of {full}", h.state_bytes());
    h.process(0, batch(INPUT, &["+I[8, 3, a]", "+I[7, 1, a]"])).expect("processed");
    let rows: Vec<String> = h.take_output().iter().flat_map(shown_rows).collect();
    assert_eq!(rows, ["+I[8, 1, 3]", "-U[7, 2, 1]", "+U[7, 3, 2]"]);
    // Touched too late, before anybody looked.
    h.set_processing_time(22_900).expect("time");
    h.process(0, batch(INPUT, &["+I[8, 3, a]"])).expect("processed");
    h.set_processing_time(40_000).expect("time");
    assert_eq!(h.state_rows(), 0);
}

/// The table that a changelog makes, by its first column; panics where it is not consistent.
fn table(rows: &[String]) -> BTreeMap<String, String> {
    let mut table = BTreeMap::new();
    for row in rows {
        let body = &row[3..row.len() - 1];
        let key = body.split(", ").next().expect("a key").to_string();
        let before = match &row[..2] {
            "+I" | "+U" => table.insert(key.clone(), body.to_string()),
            _ => {
                let old = table.remove(&key);
                assert_eq!(old.as_deref(), Some(body), "{row} takes away what is not there");
                continue;
            }
        };
        assert!(before.is_none(), "{row} comes twice");
    }
    table
}

#[derive(Debug, Clone)]
enum Step {
    Rows(Vec<(i32, i32)>),
    Remove(usize),
    Snapshot(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => prop::collection::vec((0..6i32, -3..4i32), 1..12).prop_map(Step::Rows),
        3 => (0..100usize).prop_map(Step::Remove),
        1 => (1..4usize).prop_map(Step::Snapshot),
    ];
    prop::collection::vec(step, 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_split_barrier_and_parallelism_gives_the_same_table(steps in steps(), merged in any::<bool>()) {
        let input = input();
        let mut distinct = call(&input, "COUNT", Some("v"), "BIGINT NOT NULL");
        distinct.distinct = true;
        let mut aggregates = count_and_sum();
        aggregates.extend([
            distinct,
            call(&input, "MIN", Some("v"), "INT"),
            call(&input, "MAX", Some("s"), "STRING"),
            call(&input, "AVG", Some("v"), "INT"),
        ]);
        let changes = if merged { Changes::Merged } else { Changes::Each };
        let spec = GroupAggregateSpec { changes, ..spec(&["k"], aggregates) };
        let chain = chain(&spec);
        let mut h = Harness::new(&chain, 2, 128).expect("a chain");
        let mut shown: Vec<String> = vec![];
        let mut there: Vec<(i32, i32)> = vec![];
        for step in steps {
            match step {
                Step::Rows(rows) => {
                    let texts: Vec<String> = rows.iter().map(|(k, v)| format!("+I[{k}, {v}, s{v}]")).collect();
                    h.process(0, batch(INPUT, &texts)).expect("processed");
                    there.extend(rows);
                }
                Step::Remove(at) if !there.is_empty() => {
                    let (k, v) = there.swap_remove(at % there.len());
                    h.process(1, batch(INPUT, &[format!("-D[{k}, {v}, s{v}]")])).expect("processed");
                }
                Step::Remove(_) => {}
                Step::Snapshot(parallelism) => {
                    let snapshot = h.snapshot().expect("a snapshot");
                    shown.extend(h.take_output().iter().flat_map(shown_rows));
                    h = Harness::restore(&chain, &snapshot, parallelism, 128).expect("restored");
                }
            }
        }
        shown.extend(h.take_output().iter().flat_map(shown_rows));
        let mut expected: BTreeMap<String, String> = BTreeMap::new();
        for k in 0..6 {
            let of: Vec<i32> = there.iter().filter(|r| r.0 == k).map(|r| r.1).collect();
            let (Some(min), Some(max)) = (of.iter().min(), of.iter().map(|v| format!("s{v}")).max()) else { continue };
            let sum: i32 = of.iter().sum();
            let distinct = of.iter().collect::<std::collections::BTreeSet<_>>().len();
            let row = format!("{k}, {}, {sum}, {distinct}, {min}, {max}, {}", of.len(), sum / of.len() as i32);
            expected.insert(k.to_string(), row);
        }
        prop_assert_eq!(table(&shown), expected);
        // Everything is taken away: nothing is left.
        for (k, v) in there {
            h.process(0, batch(INPUT, &[format!("-D[{k}, {v}, s{v}]")])).expect("processed");
        }
        prop_assert_eq!(h.state_rows(), 0);
    }
}

pub(crate) fn normalize(filter: bool, update_before: bool) -> [(Node, Partitioning); 1] {
    let schema = input();
    let filter = filter.then(|| {
        let v = datafusion_physical_expr::expressions::col("v", &schema).expect("a column");
        let ten = datafusion_physical_expr::expressions::lit(10i32);
        datafusion_physical_expr::expressions::binary(v, datafusion_expr::Operator::Lt, ten, &schema).expect("v < 10")
    });
    let spec = ChangelogNormalizeSpec { key: vec![0], filter, update_before, changes: Changes::Each, state_ttl: None };
    [(node("normalize", OperatorSpec::ChangelogNormalize(spec), schema), Partitioning::Hash(vec![0]))]
}

#[test]
fn rows_by_key_become_complete_changes() {
    let rows: &[&str] =
        &["+U[1, 1, a]", "+U[2, 2, b]", "+U[1, 1, a]", "+I[1, 3, c]", "-D[2, null, null]", "-D[9, 1, x]"];
    let chain = normalize(false, true);
    let mut h = Harness::new(&chain, 1, 128).expect("a chain");
    h.process(0, batch(INPUT, rows)).expect("processed");
    let shown: Vec<String> = h.take_output().iter().flat_map(shown_rows).collect();
    assert_eq!(shown, ["+I[1, 1, a]", "+I[2, 2, b]", "-U[1, 1, a]", "+U[1, 3, c]", "-D[2, 2, b]"]);
    let snapshot = h.snapshot().expect("a snapshot");
    let mut h = Harness::restore(&chain, &snapshot, 3, 128).expect("restored");
    h.process(0, batch(INPUT, &["+U[1, 4, d]", "+U[2, 5, e]"])).expect("processed");
    let mut shown: Vec<String> = h.take_output().iter().flat_map(shown_rows).collect();
    shown.sort();
    assert_eq!(shown, ["+I[2, 5, e]", "+U[1, 4, d]", "-U[1, 3, c]"]);
    assert_eq!(h.state_rows(), 2);
    h.process(0, batch(INPUT, &["-D[1, null, null]", "-D[2, null, null]"])).expect("processed");
    assert_eq!(h.state_rows(), 0);
}

#[test]
fn a_row_that_does_not_pass_any_more_is_taken_away() {
    let mut h = Harness::new(&normalize(true, false), 1, 128).expect("a chain");
    let rows: &[&str] = &["+U[1, 1, a]", "+U[1, 2, b]", "+U[1, 12, b]", "+U[1, 13, b]", "+U[3, 3, c]", "-D[1, 15, c]"];
    h.process(0, batch(INPUT, rows)).expect("processed");
    let shown: Vec<String> = h.take_output().iter().flat_map(shown_rows).collect();
    assert_eq!(shown, ["+I[1, 1, a]", "+U[1, 2, b]", "-D[1, 2, b]", "+I[3, 3, c]"]);
    assert_eq!(h.state_rows(), 1);
}

pub(crate) fn materialize(conflict: ConflictStrategy, upsert_key: Option<Vec<usize>>) -> [(Node, Partitioning); 1] {
    let spec = SinkMaterializeSpec { primary_key: vec![0], upsert_key, conflict, state_ttl: None };
    [(node("materialize", OperatorSpec::SinkMaterialize(spec), input()), Partitioning::Hash(vec![0]))]
}

#[test]
fn the_last_row_of_a_primary_key_is_written_and_the_one_before_when_it_goes() {
    // Keyed by v upstream: rows of two values of v meet in one k.
    let chain = materialize(ConflictStrategy::Deduplicate, Some(vec![1]));
    let mut h = Harness::new(&chain, 1, 128).expect("a chain");
    h.process(0, batch(INPUT, &["+I[1, 10, a]", "+I[1, 20, b]", "+U[1, 10, c]"])).expect("processed");
    let shown: Vec<String> = h.take_output().iter().flat_map(shown_rows).collect();
    assert_eq!(shown, ["+I[1, 10, a]", "+U[1, 20, b]", "+U[1, 10, c]"]);
    let snapshot = h.snapshot().expect("a snapshot");
    let mut h = Harness::restore(&chain, &snapshot, 2, 128).expect("restored");
    h.process(0, batch(INPUT, &["-D[1, 20, b]", "-D[1, 30, z]", "-U[1, 10, c]"])).expect("processed");
    let shown: Vec<String> = h.take_output().iter().flat_map(shown_rows).collect();
    assert_eq!(shown, ["+U[1, 10, c]", "-D[1, 10, c]"]);
    assert_eq!(h.state_rows(), 0);
}

#[test]
fn the_first_row_stays_or_the_job_fails() {
    let rows = batch(INPUT, &["+I[1, 10, a]", "+I[1, 20, b]", "+I[2, 5, c]", "+I[2, 6, d]", "-D[2, 5, c]"]);
    let chain = materialize(ConflictStrategy::Nothing, None);
    let mut h = Harness::new(&chain, 1, 128).expect("a chain");
    h.process(0, rows.clone()).expect("processed");
    let snapshot = h.snapshot().expect("a snapshot");
    assert!(h.take_output().is_empty(), "before the watermark nothing is settled");
    let mut h = Harness::restore(&chain, &snapshot, 1, 128).expect("restored");
    h.watermark_all(Watermark(1)).expect("settled");
    let mut shown: Vec<String> = h.take_output().iter().flat_map(shown_rows).collect();
    shown.sort();
    assert_eq!(shown, ["+I[1, 10, a]", "+I[2, 6, d]"]);
    h.process(0, batch(INPUT, &["-D[1, 10, a]"])).expect("processed");
    h.watermark_all(Watermark(2)).expect("settled");
    let shown: Vec<String> = h.take_output().iter().flat_map(shown_rows).collect();
    assert_eq!(shown, ["-D[1, 10, a]"], "the row that met it was forgotten");
    h.process(0, batch(INPUT, &["-D[1, 20, b]"])).expect("processed");
    h.watermark_all(Watermark(3)).expect("settled");
    assert!(h.take_output().is_empty());
    // Where the sink's row goes while others come, it stays none the less, as in Flink.
    h.process(0, batch(INPUT, &["-D[2, 6, d]", "+I[2, 7, e]", "+I[2, 8, f]"])).expect("processed");
    h.watermark_all(Watermark(4)).expect("settled");
    assert!(h.take_output().is_empty());
    h.process(0, batch(INPUT, &["-D[2, 6, d]", "+I[2, 9, g]"])).expect("processed");
    h.watermark_all(Watermark(5)).expect("settled");
    let shown: Vec<String> = h.take_output().iter().flat_map(shown_rows).collect();
    assert_eq!(shown, ["+U[2, 9, g]"]);
    assert_eq!(h.state_rows(), 1);

    // By the upsert key v: what replaces the row that the sink has changes it, while no other row has come.
    let mut h = Harness::new(&materialize(ConflictStrategy::Nothing, Some(vec![1])), 1, 128).expect("a chain");
    for (at, rows, expected) in [
        (1, &["+I[1, 10, a]", "+I[1, 20, b]"][..], &["+I[1, 10, a]"][..]),
        (2, &["+U[1, 10, c]"][..], &["+U[1, 10, c]"][..]),
        (3, &["+U[1, 10, d]", "+I[1, 30, e]"][..], &[][..]),
        (4, &["-D[1, 10, d]"][..], &["-D[1, 10, c]"][..]),
    ] {
        h.process(0, batch(INPUT, rows)).expect("processed");
        h.watermark_all(Watermark(at)).expect("settled");
        let shown: Vec<String> = h.take_output().iter().flat_map(shown_rows).collect();
        assert_eq!(shown, expected, "{rows:?}");
    }
    assert_eq!(h.state_rows(), 0);

    let mut h = Harness::new(&materialize(ConflictStrategy::Error, None), 1, 128).expect("a chain");
    h.process(0, rows).expect("processed");
    let e = h.watermark_all(Watermark(1)).expect_err("two rows of one key");
    assert!(e.to_string().contains("Primary key constraint violation: multiple distinct records"), "{e}");
    assert!(e.to_string().contains("Conflicting key: [k=1]"), "{e}");
}

/// A sum of one column does not go on as that of another, or as a greatest value, though all are stored alike.
#[test]
fn groups_of_other_functions_are_refused() {
    const TWO: &str = "k INT, v INT, w INT";
    let input = schema(TWO);
    let chain_of = |function: &str, argument: &str| {
        let aggregates = vec![call(&input, function, Some(argument), "INT")];
        let meaning = StateMeaning::default().with("functions", format!("{function}({argument})"));
        let own = GroupAggregateSpec {
            meaning,
            input_schema: Arc::clone(&input),
            retracts: false,
            ..spec(&["k"], aggregates)
        };
        chain(&own)
    };
    let mut h = Harness::new(&chain_of("SUM", "v"), 1, 128).expect("a chain");
    h.process(0, batch(TWO, &["+I[1, 2, 3]"])).expect("processed");
    let snapshot = h.snapshot().expect("a snapshot");
    Harness::restore(&chain_of("SUM", "v"), &snapshot, 2, 128).expect("the same");
    let other = Harness::restore(&chain_of("SUM", "w"), &snapshot, 1, 128).map(|_| ()).expect_err("another column");
    assert!(other.to_string().contains("functions: [SUM(v)] before, [SUM(w)] now"), "{other}");
}
