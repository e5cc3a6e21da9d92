//! Tables over topics of their own.

use std::sync::Arc;

use flott_connector::Registry;
use flott_connector::sink::{CommitterContext, WriterContext};
use flott_connector::source::SubtaskInfo;
use flott_core::{ChangeBatch, Generation, id};
use flott_testkit::TableBuilder;
use flott_testkit::kafka::{Kafka, KafkaRecord};

pub(crate) fn registry() -> Arc<Registry> {
    let mut registry = Registry::default();
    flott_connector_kafka::connectors().into_iter().for_each(|c| registry.add_connector(c));
    flott_format::formats().into_iter().for_each(|f| registry.add_format(f));
    let registries = Arc::new(flott_connector_schema_registry::ConfluentRegistries);
    flott_format::registry_formats(registries).into_iter().for_each(|f| registry.add_format(f));
    Arc::new(registry)
}

/// A table over a topic, with a folder of its own for checkpoints.
pub(crate) fn table(
    connector: &str,
    columns: &str,
    kafka: &Kafka,
    topic: &str,
    options: &[(&str, &str)],
) -> TableBuilder {
    let mut table = TableBuilder::new("t", columns)
        .registry(registry())
        .option("connector", connector)
        .option("topic", topic)
        .option("properties.bootstrap.servers", &kafka.servers);
    for (key, value) in options {
        table = table.option(key, value);
    }
    table
}

pub(crate) fn values(texts: &[&str]) -> Vec<KafkaRecord> {
    texts.iter().map(|t| KafkaRecord::of(0, *t)).collect()
}

pub(crate) fn unique(prefix: &str) -> String {
    format!("{prefix}-{}", id::random_hex())
}

pub(crate) fn writer_context(lineage: &str, generation: u64) -> WriterContext {
    WriterContext {
        subtask: SubtaskInfo { index: 0, parallelism: 1 },
        lineage: lineage.to_string(),
        generation: Generation(generation),
        operator_uid: "sink".to_string(),
    }
}

pub(crate) fn committer_context(lineage: &str, generation: u64) -> CommitterContext {
    CommitterContext {
        lineage: lineage.to_string(),
        generation: Generation(generation),
        operator_uid: "sink".to_string(),
        replaced_lineages: vec![],
    }
}

/// Rows as text, sorted.
pub(crate) fn sorted(batches: &[ChangeBatch]) -> Vec<String> {
    let mut rows: Vec<String> = batches.iter().flat_map(|b| flott_testkit::rows_of([b])).collect();
    rows.sort();
    rows
}
