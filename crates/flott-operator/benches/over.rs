//! Functions over windows of rows: nanoseconds per row by frame and number of partitions; and of rows in no order of time,
//! which show that a change costs what it changes and not what its partition holds.

use std::hint::black_box;
use std::sync::Arc;

use arrow_array::{Int64Array, RecordBatch, TimestampMillisecondArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use flott_connector::factory::ChangelogMode;
use flott_core::types::TimeAttribute;
use flott_core::{ChangeBatch, Watermark};
use flott_function::AggregateKind;
use flott_graph::{
    Node, OperatorSpec, OverAggregateSpec, OverArrival, OverBound, OverCall, OverFrame, OverFunction, OverGroup,
    OverOffset, SortKey, StateMeaning,
};
use flott_operator::{Operator, OperatorContext, Progress, build};

const BATCH: usize = 8_192;
const BATCHES: usize = 16;

fn input() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("k", DataType::Int64, false),
        Field::new("v", DataType::Int64, false),
        Field::new("ts", DataType::Timestamp(TimeUnit::Millisecond, None), false),
    ]))
}

/// Ten rows a millisecond; `v` rises with them.
fn batches(keys: u64) -> Vec<ChangeBatch> {
    let mut state = 88_172_645_463_325_252u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..BATCHES)
        .map(|b| {
            let number = |i: usize| (b * BATCH + i) as i64;
            let k: Int64Array = (0..BATCH).map(|_| (random() % keys) as i64).collect();
            let v: Int64Array = (0..BATCH).map(number).collect();
            let ts = TimestampMillisecondArray::from_iter_values((0..BATCH).map(|i| 1 + number(i) / 10));
            let rows = RecordBatch::try_new(input(), vec![Arc::new(k), Arc::new(v), Arc::new(ts)]);
            ChangeBatch::append(rows.expect("a batch"))
        })
        .collect()
}

fn operator(frame: OverFrame, arrival: OverArrival, kinds: &[AggregateKind]) -> Box<dyn Operator> {
    let call = |kind: &AggregateKind| OverCall {
        function: OverFunction::Aggregate(*kind),
        arguments: vec![1],
        distinct: false,
        result: "BIGINT".parse().expect("a type"),
        name: kind.name().to_string(),
    };
    let calls: Vec<OverCall> = kinds.iter().map(call).collect();
    let mut fields: Vec<Field> = input().fields().iter().map(|f| f.as_ref().clone()).collect();
    fields.extend(calls.iter().map(|c| Field::new(&c.name, DataType::Int64, true)));
    let column = if arrival == OverArrival::Anywhere { 1 } else { 2 };
    let spec = OverAggregateSpec {
        partition_keys: vec![0],
        order: vec![SortKey { column, ascending: true, nulls_last: false }],
        arrival,
        groups: vec![OverGroup { frame, calls }],
        update_before: true,
        state_ttl: None,
        input_schema: input(),
        meaning: StateMeaning::default(),
    };
    let node = Node {
        uid: "o".to_string(),
        name: "o".to_string(),
        spec: OperatorSpec::OverAggregate(spec),
        inputs: vec![],
        schema: Arc::new(Schema::new(fields)),
        changelog_mode: ChangelogMode::INSERT_ONLY,
        parallelism: None,
    };
    build(&node, 0, 1, 128).expect("an operator")
}

fn run(operator: &mut dyn Operator, batches: &[ChangeBatch]) -> usize {
    let mut context = OperatorContext::default();
    let mut last = 0;
    for batch in batches {
        let mut more = operator.process_batch(0, batch.clone(), &mut context).expect("rows");
        while more == Progress::More {
            more = operator.resume(&mut context).expect("more");
        }
        last += (BATCH / 10) as i64;
        context.watermark = Some(Watermark(last));
        let mut more = operator.process_watermark(Watermark(last), &mut context).expect("a watermark");
        while more == Progress::More {
            more = operator.resume(&mut context).expect("more");
        }
    }
    context.emissions.len()
}

fn over(c: &mut Criterion) {
    let mut group = c.benchmark_group("over");
    group.throughput(Throughput::Elements((BATCH * BATCHES) as u64));
    group.sample_size(10);
    let preceding = |rows: bool, offset: i64| OverFrame {
        rows,
        lower: OverBound::Preceding(OverOffset::whole(offset)),
        upper: OverBound::CurrentRow,
    };
    let rowtime = OverArrival::Time(TimeAttribute::Rowtime);
    let sums = [AggregateKind::Sum, AggregateKind::Count];
    for keys in [1u64, 1_000, 100_000] {
        let batches = batches(keys);
        for (name, frame, arrival, kinds) in [
            ("range so far", OverFrame::so_far(false), rowtime, &sums[..]),
            ("rows so far", OverFrame::so_far(true), rowtime, &sums[..]),
            ("100 rows", preceding(true, 99), rowtime, &sums[..]),
            ("100 rows, max", preceding(true, 99), rowtime, &[AggregateKind::Max][..]),
            ("a second", preceding(false, 1_000), rowtime, &sums[..]),
            ("processing time", OverFrame::so_far(true), OverArrival::Time(TimeAttribute::Proctime), &sums[..]),
            ("no time, rising", OverFrame::so_far(true), OverArrival::Anywhere, &sums[..]),
        ] {
            group.bench_function(BenchmarkId::new(name, keys), |b| {
                b.iter(|| black_box(run(operator(frame, arrival, kinds).as_mut(), &batches)));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, over);
criterion_main!(benches);
