//! Decoding and encoding of csv: the four columns of the design's performance table (two numbers, a number, a timestamp).
#![allow(missing_docs, reason = "criterion's macros")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flott_connector::format::{Decoding, FormatContext, FormatFactory, RecordPosition};
use flott_core::options::Options;
use flott_core::time_text::format_timestamp_ms;
use flott_core::types::{LogicalType, arrow_schema};
use flott_core::{ChangeBatch, Result};
use flott_format::csv::CsvFormat;

const ROWS: usize = 100_000;

fn context() -> Result<FormatContext> {
    let (long, time): (LogicalType, LogicalType) = ("BIGINT".parse()?, "TIMESTAMP(3)".parse()?);
    let schema = arrow_schema([("id", &long), ("k", &long), ("v", &long), ("ts", &time)]);
    let (declared, local_time_zone) = (schema.clone(), "UTC".to_string());
    Ok(FormatContext { schema, declared, options: Options::new(), local_time_zone })
}

fn text() -> Vec<u8> {
    let mut out = vec![];
    for i in 0..ROWS as i64 {
        let time = format_timestamp_ms(1_577_836_800_000 + i * 7);
        out.extend_from_slice(format!("{i},{},{},{time}\n", i * 7919 % 1000, i * 31 % 10_000).as_bytes());
    }
    out
}

fn csv(c: &mut Criterion) {
    let context = context().expect("types");
    let text = text();
    let Ok(Decoding::Stream(factory)) = CsvFormat.decoding(&context) else { panic!("csv is a stream") };
    let position = RecordPosition { origin: Arc::from("bench"), row: 0, offset: 0, row_is_exact: true };
    let mut decoder = factory.create(true).expect("a decoder");
    let mut batches = vec![];
    let mut group = c.benchmark_group("csv");
    group.throughput(Throughput::Elements(ROWS as u64));
    group.bench_function("decode 4 columns", |b| {
        b.iter(|| {
            let mut at = 0;
            batches.clear();
            while at < text.len() {
                let decoded = decoder.decode(&text[at..], true, 8192, &position).expect("rows");
                at += decoded.consumed;
                batches.extend(decoded.rows);
            }
            black_box(&batches);
        });
    });
    let encoding = CsvFormat.encoding(&context).expect("an encoder");
    let mut encoder = encoding.create().expect("an encoder");
    let changes: Vec<ChangeBatch> = batches.drain(..).map(ChangeBatch::append).collect();
    let mut out = vec![];
    group.bench_function("encode 4 columns", |b| {
        b.iter(|| {
            out.clear();
            for batch in &changes {
                encoder.encode(batch, &mut out).expect("text");
            }
            black_box(&out);
        });
    });
    group.finish();
}

criterion_group!(benches, csv);
criterion_main!(benches);
