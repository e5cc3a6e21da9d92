//! Decoding and encoding of json: six flat fields, about 164 bytes a row, as in the design's performance table.
#![allow(missing_docs, reason = "criterion's macros")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flott_connector::format::{Decoding, FormatContext, FormatFactory, RecordPosition};
use flott_core::options::Options;
use flott_core::time_text::format_timestamp_ms;
use flott_core::types::{LogicalType, arrow_schema};
use flott_core::{ChangeBatch, Result};
use flott_format::json::JsonFormat;

const ROWS: usize = 50_000;

fn context() -> Result<FormatContext> {
    let types: Vec<LogicalType> = ["BIGINT", "BIGINT", "STRING", "STRING", "DOUBLE", "TIMESTAMP(3)"]
        .into_iter()
        .map(str::parse)
        .collect::<Result<_>>()?;
    let names = ["order_id", "user_id", "event_type", "item_name", "price", "event_time"];
    let schema = arrow_schema(names.into_iter().zip(&types));
    let (declared, local_time_zone) = (schema.clone(), "UTC".to_string());
    Ok(FormatContext { schema, declared, options: Options::new(), local_time_zone })
}

fn text() -> Vec<u8> {
    let mut out = vec![];
    for i in 0..ROWS as i64 {
        let time = format_timestamp_ms(1_577_836_800_000 + i * 7);
        let price = (i * 37 % 100_000) as f64 / 100.0;
        let line = format!(
            "{{\"order_id\":{i},\"user_id\":{},\"event_type\":\"purchase\",\"item_name\":\"Wireless Headphones model {}\",\"price\":{price},\"event_time\":\"{time}\"}}\n",
            i * 7919 % 100_000,
            i % 500,
        );
        out.extend_from_slice(line.as_bytes());
    }
    out
}

fn json(c: &mut Criterion) {
    let context = context().expect("types");
    let text = text();
    let Ok(Decoding::Stream(factory)) = JsonFormat.decoding(&context) else { panic!("json is a stream") };
    let position = RecordPosition { origin: Arc::from("bench"), row: 0, offset: 0, row_is_exact: true };
    let mut decoder = factory.create(true).expect("a decoder");
    let mut batches = vec![];
    let mut group = c.benchmark_group("json");
    group.throughput(Throughput::Elements(ROWS as u64));
    group.bench_function("decode 6 fields", |b| {
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
    let mut encoder = JsonFormat.encoding(&context).and_then(|e| e.create()).expect("an encoder");
    let changes: Vec<ChangeBatch> = batches.drain(..).map(ChangeBatch::append).collect();
    let mut out = vec![];
    group.bench_function("encode 6 fields", |b| {
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

criterion_group!(benches, json);
criterion_main!(benches);
