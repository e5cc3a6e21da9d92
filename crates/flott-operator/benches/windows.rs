//! Window aggregation: nanoseconds per row of the local step, 1,000 keys and more.

use std::hint::black_box;
use std::sync::Arc;

use arrow_array::{Int64Array, RecordBatch, TimestampMillisecondArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use flott_connector::factory::ChangelogMode;
use flott_core::types::TimeAttribute;
use flott_core::{ChangeBatch, Watermark};
use flott_function::AggregateKind;
use flott_graph::partial_schema;
use flott_graph::{
    AggregateCall, EmitStrategy, Node, OperatorSpec, StateMeaning, WindowAggregateSpec, WindowAssignment, WindowKind,
    WindowProperty,
};
use flott_operator::{Operator, OperatorContext, build};

const BATCH: usize = 8_192;
const BATCHES: usize = 64;
/// A window begins here: with rows out of order every batch is in two of them.
const BORDER_MS: i64 = 1_700_000_000_000;
/// All batches are in one window.
const INSIDE_MS: i64 = BORDER_MS + 5_000;

fn input() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("k", DataType::Int64, false),
        Field::new("v", DataType::Int64, false),
        Field::new("ts", DataType::Timestamp(TimeUnit::Millisecond, None), false),
    ]))
}

/// 1,000 rows a millisecond, up to a second out of order, from this time on.
fn batches(keys: u64, from_ms: i64) -> Vec<ChangeBatch> {
    let mut state = 88_172_645_463_325_252u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..BATCHES)
        .map(|b| {
            let k: Int64Array = (0..BATCH).map(|_| (random() % keys) as i64).collect();
            let v: Int64Array = (0..BATCH).map(|_| (random() % 1_000) as i64).collect();
            let ts: Vec<i64> =
                (0..BATCH).map(|i| from_ms + ((b * BATCH + i) / 1_000) as i64 - (random() % 1_000) as i64).collect();
            let ts = TimestampMillisecondArray::from(ts);
            let rows = RecordBatch::try_new(input(), vec![Arc::new(k), Arc::new(v), Arc::new(ts)]);
            ChangeBatch::append(rows.expect("a batch"))
        })
        .collect()
}

fn spec(kind: WindowKind) -> WindowAggregateSpec {
    let call = |kind: AggregateKind, arguments: Vec<usize>| AggregateCall {
        kind,
        arguments,
        filter: None,
        distinct: false,
        result: "BIGINT".parse().expect("a type"),
        argument_type: None,
        name: kind.name().to_string(),
    };
    WindowAggregateSpec {
        in_group_by: false,
        assignment: WindowAssignment::TimeColumn {
            column: 2,
            attribute: TimeAttribute::Rowtime,
            time_zone: None,
            kind,
        },
        group_keys: vec![0],
        aggregates: vec![call(AggregateKind::Sum, vec![1]), call(AggregateKind::Count, vec![])],
        properties: vec![WindowProperty::End],
        emit: EmitStrategy::default(),
        late_output: false,
        merge_changes: false,
        retracts: false,
        meaning: StateMeaning::default(),
        input_schema: input(),
    }
}

fn operator(spec: OperatorSpec, schema: SchemaRef) -> Box<dyn Operator> {
    let node = Node {
        uid: "w".to_string(),
        name: "w".to_string(),
        spec,
        inputs: vec![],
        schema,
        changelog_mode: ChangelogMode::INSERT_ONLY,
        parallelism: None,
    };
    build(&node, 0, 1, 128).expect("an operator")
}

fn run(operator: &mut dyn Operator, batches: &[ChangeBatch]) -> usize {
    let mut context = OperatorContext::default();
    for batch in batches {
        operator.process_batch(0, batch.clone(), &mut context).expect("rows");
    }
    operator.prepare_snapshot(&mut context).expect("a barrier");
    operator.process_watermark(Watermark::MAX, &mut context).expect("a watermark");
    while operator.resume(&mut context).expect("more") == flott_operator::Progress::More {}
    context.emissions.len()
}

fn windows(c: &mut Criterion) {
    let mut group = c.benchmark_group("window");
    group.throughput(Throughput::Elements((BATCH * BATCHES) as u64));
    group.sample_size(20);
    let tumble = || WindowKind::Tumble { size_ms: 10_000, offset_ms: 0 };
    for (place, from_ms, keys) in
        [("inside", INSIDE_MS, 1_000u64), ("at a border", BORDER_MS, 1_000), ("inside", INSIDE_MS, 100_000)]
    {
        let batches = batches(keys, from_ms);
        let spec = spec(tumble());
        group.bench_function(BenchmarkId::new(format!("local tumble {place}"), keys), |b| {
            b.iter(|| {
                let mut op = operator(OperatorSpec::LocalWindowAggregate(spec.clone()), partial_schema(&spec));
                black_box(run(op.as_mut(), &batches))
            });
        });
    }
    let batches = batches(1_000, INSIDE_MS);
    let out = Arc::new(Schema::new(vec![
        Field::new("k", DataType::Int64, false),
        Field::new("s", DataType::Int64, true),
        Field::new("c", DataType::Int64, true),
        Field::new("e", DataType::Timestamp(TimeUnit::Millisecond, None), false),
    ]));
    for (name, kind) in [
        ("tumble", tumble()),
        ("hop of 60 slices", WindowKind::Hop { size_ms: 6_000, slide_ms: 100, offset_ms: 0 }),
        ("cumulate of 60 slices", WindowKind::Cumulate { max_size_ms: 6_000, step_ms: 100, offset_ms: 0 }),
        ("session", WindowKind::Session { gap_ms: 10, partition_keys: vec![0] }),
    ] {
        let spec = spec(kind);
        group.bench_function(BenchmarkId::new("one phase", name), |b| {
            b.iter(|| {
                let mut op = operator(OperatorSpec::WindowAggregate(spec.clone()), Arc::clone(&out));
                black_box(run(op.as_mut(), &batches))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, windows);
criterion_main!(benches);
