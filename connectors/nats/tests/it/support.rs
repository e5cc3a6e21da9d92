//! Tables over streams of their own.

use std::sync::Arc;
use std::time::Duration;

use flott_connector::Registry;
use flott_connector::sink::{SinkWriter, WriterContext};
use flott_connector::source::{Source, SubtaskInfo};
use flott_core::{ChangeBatch, Generation, Result, id};
use flott_testkit::nats::{Nats, NatsMessage};
use flott_testkit::{SourceHarness, TableBuilder};

pub(crate) fn registry() -> Arc<Registry> {
    let mut registry = Registry::default();
    flott_connector_nats::connectors().into_iter().for_each(|c| registry.add_connector(c));
    flott_format::formats().into_iter().for_each(|f| registry.add_format(f));
    Arc::new(registry)
}

/// A table over a stream.
pub(crate) fn table(columns: &str, nats: &Nats, stream: &str, options: &[(&str, &str)]) -> TableBuilder {
    let mut table = TableBuilder::new("t", columns)
        .registry(registry())
        .option("connector", "nats")
        .option("url", &nats.url)
        .option("stream", stream)
        .option("format", "json");
    for (key, value) in options {
        table = table.option(key, value);
    }
    table
}

pub(crate) const AT_LEAST_ONCE: (&str, &str) = ("sink.delivery-guarantee", "at-least-once");
pub(crate) const BOUNDED: (&str, &str) = ("scan.bounded.mode", "latest");

/// `{"i":N}` to a subject of the stream.
pub(crate) fn numbers(subject: &str, numbers: impl IntoIterator<Item = u64>) -> Vec<NatsMessage> {
    numbers.into_iter().map(|i| NatsMessage::of(subject, format!("{{\"i\":{i}}}"))).collect()
}

pub(crate) fn source(table: &TableBuilder) -> Result<Arc<dyn Source>> {
    Ok(registry().connector("nats")?.source(&table.source())?.source)
}

/// The rows of a source that ends, sorted.
pub(crate) async fn rows(table: &TableBuilder, readers: usize) -> Result<Vec<String>> {
    let mut harness = SourceHarness::start(&source(table)?, readers, None).await?;
    Ok(sorted(&harness.run_to_end().await?))
}

/// Reads until so many rows have come.
pub(crate) async fn read_some(harness: &mut SourceHarness, count: usize) -> Result<Vec<String>> {
    let mut batches = vec![];
    while sorted(&batches).len() < count {
        batches.extend(harness.step(0).await?);
    }
    Ok(sorted(&batches))
}

pub(crate) fn writer(table: &TableBuilder) -> Result<Box<dyn SinkWriter>> {
    let context = WriterContext {
        subtask: SubtaskInfo { index: 0, parallelism: 1 },
        lineage: format!("lineage-{}", id::random_hex()),
        generation: Generation(1),
        operator_uid: "sink".to_string(),
    };
    registry().connector("nats")?.sink(&table.sink())?.sink.create_writer(context, vec![])
}

/// Rows as text, sorted.
pub(crate) fn sorted(batches: &[ChangeBatch]) -> Vec<String> {
    let mut rows: Vec<String> = batches.iter().flat_map(|b| flott_testkit::rows_of([b])).collect();
    rows.sort();
    rows
}

/// A test that hangs says so.
pub(crate) async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), work).await.expect("in time")
}
