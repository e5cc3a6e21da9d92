//! Lookup joins: however rows, watermarks, answers and barriers lie, the result is that of the table.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, RecordBatch, UInt32Array};
use arrow_schema::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion_physical_expr::expressions::Column;
use flott_connector::lookup::{Lookup, LookupPolicy, LookupRows, LookupSource};
use flott_connector::source::SubtaskInfo;
use flott_connector::table::ObjectIdentifier;
use flott_core::options::Options;
use flott_core::{Result, Watermark};
use flott_graph::{AsyncLookup, JoinKind, LookupJoinSpec, LookupKey, Node, OperatorSpec, Partitioning};
use flott_operator::harness::Harness;
use flott_testkit::{batch_of, rows_of, schema};
use proptest::prelude::*;

use crate::common::node;

const LEFT: &str = "id INT, k BIGINT";
const RIGHT: &str = "v STRING";

/// Key `k` has `k % 3` rows, which say the table's version.
#[derive(Clone)]
struct Thirds(Arc<AtomicI64>);

impl LookupSource for Thirds {
    fn key_schema(&self) -> SchemaRef {
        schema("k BIGINT")
    }

    fn schema(&self) -> SchemaRef {
        schema(RIGHT)
    }

    fn create_lookup(&self, _subtask: SubtaskInfo) -> Result<Box<dyn Lookup>> {
        Ok(Box::new(self.clone()))
    }
}

fn rows_of_key(key: i64, version: i64) -> Vec<String> {
    (0..key % 3).map(|n| format!("{key}-{n}-{version}")).collect()
}

#[async_trait]
impl Lookup for Thirds {
    async fn lookup(&mut self, keys: &RecordBatch) -> Result<LookupRows> {
        assert_eq!(keys.column(0).null_count(), 0, "NULL is not asked for");
        let keys = keys.column(0).as_primitive::<Int64Type>().values();
        let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len(), "a key is asked for once");
        let (mut rows, mut of) = (vec![], vec![]);
        for (i, key) in (0..).zip(keys.iter()) {
            for row in rows_of_key(*key, self.0.load(Ordering::SeqCst)) {
                rows.push(format!("+I[{row}]"));
                of.push(i);
            }
        }
        Ok(LookupRows { rows: batch_of(&schema(RIGHT), &rows).rows, keys: UInt32Array::from(of) })
    }
}

struct Case {
    kind: JoinKind,
    asynchronous: Option<AsyncLookup>,
    materialize: bool,
    version: Arc<AtomicI64>,
}

impl Case {
    fn of(kind: JoinKind) -> Case {
        Case { kind, asynchronous: None, materialize: false, version: Arc::default() }
    }

    fn nodes(&self) -> Vec<(Node, Partitioning)> {
        let fields = schema(LEFT).fields().iter().chain(schema(RIGHT).fields()).map(|f| f.as_ref().clone()).collect();
        let fields: Vec<Field> = fields;
        let output = Arc::new(Schema::new(fields));
        let spec = LookupJoinSpec {
            kind: self.kind,
            table: ObjectIdentifier::new("c", "d", "t"),
            source: Arc::new(Thirds(Arc::clone(&self.version))),
            policy: LookupPolicy::from_options(&Options::default()).expect("a policy"),
            keys: vec![LookupKey::Column(1)],
            pre_filter: None,
            projection: vec![Arc::new(Column::new("v", 0))],
            filter: None,
            rest: None,
            left_schema: schema(LEFT),
            right_schema: schema(RIGHT),
            asynchronous: self.asynchronous,
            retry: None,
            materialize: self.materialize.then(|| vec![0]),
            state_ttl: None,
        };
        let partitioning = if self.materialize { Partitioning::Hash(vec![0]) } else { Partitioning::Forward };
        vec![(node("lookup", OperatorSpec::LookupJoin(spec), output), partitioning)]
    }

    fn expected(&self, kind: &str, id: usize, key: Option<i64>, version: i64) -> Vec<String> {
        let shown = key.map_or("null".to_string(), |k| k.to_string());
        let found = key.map(|k| rows_of_key(k, version)).unwrap_or_default();
        if found.is_empty() && self.kind == JoinKind::Left {
            return vec![format!("{kind}[{id}, {shown}, null]")];
        }
        found.iter().map(|v| format!("{kind}[{id}, {shown}, {v}]")).collect()
    }
}

fn line(kind: &str, id: usize, key: Option<i64>) -> String {
    format!("{kind}[{id}, {}]", key.map_or("null".to_string(), |k| k.to_string()))
}

#[test]
fn rows_keep_their_order_and_watermarks_their_place() {
    let asynchronous =
        Some(AsyncLookup { insert_only: true, ordered: true, capacity: 10, timeout: Duration::from_secs(1) });
    let case = Case { asynchronous, ..Case::of(JoinKind::Inner) };
    let mut h = Harness::new(&case.nodes(), 1, 128).expect("a harness");
    h.defers_lookups = true;
    for (id, key) in [1, 2, 4].into_iter().enumerate() {
        h.process(0, batch_of(&schema(LEFT), &[line("+I", id, Some(key))])).expect("processed");
        h.watermark(0, Watermark(id as i64 + 1)).expect("a watermark");
    }
    assert!(h.watermarks.is_empty() && h.output.is_empty());
    h.answer_lookups(true).expect("answered");
    let expected = ["+I[0, 1, 1-0-0]", "+I[1, 2, 2-0-0]", "+I[1, 2, 2-1-0]", "+I[2, 4, 4-0-0]"];
    assert_eq!(rows_of(&h.take_output()), expected);
    assert_eq!(h.watermarks, [Watermark(1), Watermark(2), Watermark(3)]);
}

#[test]
fn rows_overtake_each_other_but_no_watermark() {
    let asynchronous =
        Some(AsyncLookup { insert_only: true, ordered: false, capacity: 10, timeout: Duration::from_secs(1) });
    let case = Case { asynchronous, ..Case::of(JoinKind::Inner) };
    let mut h = Harness::new(&case.nodes(), 1, 128).expect("a harness");
    h.defers_lookups = true;
    h.process(0, batch_of(&schema(LEFT), &[line("+I", 0, Some(1))])).expect("processed");
    h.process(0, batch_of(&schema(LEFT), &[line("+I", 1, Some(4))])).expect("processed");
    h.watermark(0, Watermark(7)).expect("a watermark");
    h.process(0, batch_of(&schema(LEFT), &[line("+I", 2, Some(7))])).expect("processed");
    h.answer_lookups(true).expect("answered");
    assert_eq!(rows_of(&h.take_output()), ["+I[1, 4, 4-0-0]", "+I[0, 1, 1-0-0]", "+I[2, 7, 7-0-0]"]);
    assert_eq!(h.watermarks, [Watermark(7)]);
}

#[test]
fn what_was_found_is_what_is_taken_back() {
    let case = Case { materialize: true, ..Case::of(JoinKind::Left) };
    let mut h = Harness::new(&case.nodes(), 1, 128).expect("a harness");
    let rows = [line("+I", 0, Some(1)), line("+I", 1, Some(3)), line("+I", 2, None)];
    h.process(0, batch_of(&schema(LEFT), &rows)).expect("processed");
    case.version.store(1, Ordering::SeqCst);
    let snapshot = h.snapshot().expect("a snapshot");
    let mut h = Harness::restore(&case.nodes(), &snapshot, 2, 128).expect("restored");
    let rows = [line("-U", 0, Some(1)), line("+U", 0, Some(2)), line("-D", 1, Some(3)), line("-D", 2, None)];
    h.process(0, batch_of(&schema(LEFT), &rows)).expect("processed");
    let mut out = rows_of(&h.take_output());
    out.sort();
    let expected = ["+U[0, 2, 2-0-1]", "+U[0, 2, 2-1-1]", "-D[1, 3, null]", "-D[2, null, null]", "-U[0, 1, 1-0-0]"];
    assert_eq!(out, expected);
    h.process(0, batch_of(&schema(LEFT), &[line("-D", 0, Some(2))])).expect("processed");
    assert_eq!(h.state_rows(), 0, "nothing is kept of rows that are gone");
}

#[derive(Debug, Clone)]
enum Step {
    Rows(Vec<Option<i64>>),
    Answers(bool),
    Restore(usize),
    NewVersion,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let rows = proptest::collection::vec(proptest::option::weighted(0.9, 0i64..9), 1..12);
    let step = prop_oneof![
        6 => rows.prop_map(Step::Rows),
        3 => any::<bool>().prop_map(Step::Answers),
        1 => (1usize..4).prop_map(Step::Restore),
        1 => Just(Step::NewVersion),
    ];
    proptest::collection::vec(step, 1..24)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    /// Each row comes out once with all rows of its key, and leaves as it came.
    #[test]
    fn each_row_finds_the_rows_of_its_key(
        steps in steps(), left in any::<bool>(), way in 0usize..4, capacity in 1usize..20, parallelism in 1usize..4
    ) {
        let kind = if left { JoinKind::Left } else { JoinKind::Inner };
        let asynchronous = (1..3).contains(&way).then_some(AsyncLookup {
            insert_only: true,
            ordered: way == 1,
            capacity,
            timeout: Duration::from_secs(1),
        });
        let case = Case { asynchronous, materialize: way == 3, ..Case::of(kind) };
        let mut h = Harness::new(&case.nodes(), parallelism, 16).expect("a harness");
        h.defers_lookups = true;
        let (mut id, mut out, mut expected, mut live, mut now) = (0, vec![], vec![], vec![], 0);
        for (from, step) in steps.into_iter().enumerate() {
            match step {
                Step::Rows(keys) => {
                    let mut lines = vec![];
                    for key in keys {
                        lines.push(line("+I", id, key));
                        expected.extend(case.expected("+I", id, key, now));
                        live.push((id, key, now));
                        id += 1;
                    }
                    if way == 3 && live.len() > 4 {
                        let (id, key, version) = live.remove(1);
                        lines.push(line("-D", id, key));
                        expected.extend(case.expected("-D", id, key, version));
                    }
                    h.process(from, batch_of(&schema(LEFT), &lines)).expect("processed");
                }
                Step::Answers(last_first) => h.answer_lookups(last_first).expect("answered"),
                Step::NewVersion => {
                    h.answer_lookups(false).expect("answered");
                    now += 1;
                    case.version.store(now, Ordering::SeqCst);
                }
                Step::Restore(parallelism) => {
                    let snapshot = h.snapshot().expect("a snapshot");
                    out.extend(rows_of(&h.take_output()));
                    h = Harness::restore(&case.nodes(), &snapshot, parallelism, 16).expect("restored");
                    h.defers_lookups = true;
                }
            }
        }
        h.end_input().expect("ended");
        out.extend(rows_of(&h.take_output()));
        out.sort();
        expected.sort();
        prop_assert_eq!(out, expected);
    }
}

/// A key with many rows: they leave in pieces, and what comes behind them waits.
#[test]
fn many_rows_of_a_key_leave_in_pieces() {
    #[derive(Clone)]
    struct Many;
    impl LookupSource for Many {
        fn key_schema(&self) -> SchemaRef {
            schema("k BIGINT")
        }

        fn schema(&self) -> SchemaRef {
            schema(RIGHT)
        }

        fn create_lookup(&self, _subtask: SubtaskInfo) -> Result<Box<dyn Lookup>> {
            Ok(Box::new(self.clone()))
        }
    }
    #[async_trait]
    impl Lookup for Many {
        async fn lookup(&mut self, keys: &RecordBatch) -> Result<LookupRows> {
            assert_eq!(keys.num_rows(), 1);
            let rows: Vec<String> = (0..1_000).map(|i| format!("+I[{i}]")).collect();
            Ok(LookupRows { rows: batch_of(&schema(RIGHT), &rows).rows, keys: UInt32Array::from(vec![0; 1_000]) })
        }
    }
    let mut nodes = Case::of(JoinKind::Inner).nodes();
    let OperatorSpec::LookupJoin(spec) = &mut nodes[0].0.spec else { unreachable!("a lookup join") };
    spec.source = Arc::new(Many);
    let mut operator = flott_operator::build(&nodes[0].0, 0, 1, 128).expect("an operator");
    let mut context = flott_operator::OperatorContext::default();
    let lines: Vec<String> = (0..100).map(|id| line("+I", id, Some(7))).collect();
    operator.process_batch(0, batch_of(&schema(LEFT), &lines), &mut context).expect("processed");
    operator.process_watermark(Watermark(3), &mut context).expect("a watermark");
    let request = context.requests.remove(0);
    let rows: Vec<String> = (0..1_000).map(|i| format!("+I[{i}]")).collect();
    let rows = batch_of(&schema(RIGHT), &rows).rows;
    let keys = UInt32Array::from(vec![0; 1_000]);
    let mut progress = operator.on_lookup(request.id, rows, &keys, &mut context).expect("answered");
    let (mut calls, mut all, mut ends) = (0, 0, vec![]);
    loop {
        calls += 1;
        let mut rows = 0;
        for emission in context.emissions.drain(..) {
            match emission {
                flott_operator::Emission::Batch { batch, .. } => {
                    assert!(ends.is_empty() && batch.num_rows() <= 8_192, "{}", batch.num_rows());
                    rows += batch.num_rows();
                }
                flott_operator::Emission::Watermark(watermark) => ends.push(watermark),
            }
        }
        assert!(rows <= 80_000, "{rows} rows in one call");
        all += rows;
        if progress == flott_operator::Progress::Done {
            break;
        }
        progress = operator.resume(&mut context).expect("more");
    }
    assert_eq!((calls, all, ends), (2, 100_000, vec![Watermark(3)]));
}

/// A barrier does not wait for lookups that are under way: rows that wait are stored, and asked for anew.
#[test]
fn rows_that_wait_are_stored() {
    for (ordered, capacity, parallelism) in [(true, 10, 1), (false, 10, 1), (true, 1, 1), (true, 2, 3)] {
        let asynchronous = Some(AsyncLookup { insert_only: true, ordered, capacity, timeout: Duration::from_secs(1) });
        let case = Case { asynchronous, ..Case::of(JoinKind::Left) };
        let mut h = Harness::new(&case.nodes(), 1, 128).expect("a harness");
        h.defers_lookups = true;
        let rows = [line("+I", 0, Some(1)), line("-U", 1, Some(2)), line("+U", 1, Some(4)), line("+I", 2, None)];
        h.process(0, batch_of(&schema(LEFT), &rows)).expect("processed");
        h.watermark(0, Watermark(7)).expect("a watermark");
        h.process(0, batch_of(&schema(LEFT), &[line("+I", 3, Some(3))])).expect("processed");
        let snapshot = h.snapshot().expect("a snapshot");
        assert!(h.output.is_empty() && h.watermarks.is_empty(), "nobody has answered");
        let mut h = Harness::restore(&case.nodes(), &snapshot, parallelism, 128).expect("restored");
        let expected = [
            "+I[0, 1, 1-0-0]",
            "-U[1, 2, 2-0-0]",
            "-U[1, 2, 2-1-0]",
            "+U[1, 4, 4-0-0]",
            "+I[2, null, null]",
            "+I[3, 3, null]",
        ];
        assert_eq!(rows_of(&h.take_output()), expected);
        assert_eq!(h.watermarks.last(), Some(&Watermark(7)), "behind the rows");
        let mut operator = flott_operator::build(&case.nodes()[0].0, 0, 1, 128).expect("an operator");
        assert!(operator.snapshot_state().expect("a snapshot").runs.is_empty());
    }
}
