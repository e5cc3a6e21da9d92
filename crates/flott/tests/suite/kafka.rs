//! The kafka connector over a real broker: `cargo xtask services up kafka`. Skipped where none runs. A split is a partition.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use flott::{Registry, default_registry};
use flott_connector::Boundedness;
use flott_core::{Error, Result};
use flott_testkit::kafka::{Kafka, KafkaRecord};
use flott_testkit::suite::{
    COLUMNS, Record, Semantics, SinkContext, SinkTable, SourceContext, SourceSettings, SourceTable,
};
use flott_testkit::{SourceHarness, TableBuilder, sink_suite, source_suite};

use crate::embedded::Embedded;
use crate::files::encoded;

/// Topics.
struct Topics(Kafka);

struct Topic {
    kafka: Kafka,
    name: String,
    options: HashMap<String, String>,
}

impl Topics {
    fn running() -> Option<Topics> {
        Kafka::running().map(Topics)
    }

    async fn topic(&self, partitions: u32, more: &[(&str, &str)]) -> Result<Topic> {
        let kafka = self.0.clone();
        let name = blocking({
            let kafka = kafka.clone();
            move || kafka.topic(partitions.max(1) as i32)
        })
        .await?;
        let options = [
            ("connector", "kafka"),
            ("topic", &name),
            ("properties.bootstrap.servers", &kafka.servers),
            ("properties.isolation.level", "read_committed"),
            ("format", "json"),
        ];
        let options = options.iter().chain(more).map(|(k, v)| (k.to_string(), v.to_string())).collect();
        Ok(Topic { kafka, name, options })
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::internal("a task of the tests").caused_by(e))?
}

#[async_trait]
impl SourceContext for Topics {
    async fn create(&self, settings: SourceSettings) -> Result<Box<dyn SourceTable>> {
        let bounded = settings.boundedness == Boundedness::Bounded;
        let mode = if bounded { "latest-offset" } else { "unbounded" };
        let more = [("scan.startup.mode", "earliest-offset"), ("scan.bounded.mode", mode)];
        Ok(Box::new(self.topic(settings.splits, &more).await?))
    }
}

#[async_trait]
impl SourceTable for Topic {
    fn options(&self) -> Vec<(String, String)> {
        self.options.clone().into_iter().collect()
    }

    async fn write(&mut self, split: u32, records: &[Record]) -> Result<()> {
        let lines = encoded("json", records)?;
        let lines = lines.split(|b| *b == b'\n').filter(|l| !l.is_empty());
        let records: Vec<KafkaRecord> = lines.map(|l| KafkaRecord::of(split as i32, l)).collect();
        let (kafka, name) = (self.kafka.clone(), self.name.clone());
        blocking(move || kafka.write(&name, &records)).await
    }
}

#[async_trait]
impl SinkContext for Topics {
    async fn create(&self, semantics: Semantics) -> Result<Box<dyn SinkTable>> {
        Ok(Box::new(self.topic(3, &[("sink.delivery-guarantee", semantics.name())]).await?))
    }
}

#[async_trait]
impl SinkTable for Topic {
    fn options(&self) -> Vec<(String, String)> {
        self.options.clone().into_iter().collect()
    }

    async fn read(&self) -> Result<Vec<Record>> {
        let registry: Arc<Registry> = Arc::new(default_registry());
        let connector = registry.connector("kafka")?;
        let mut table = TableBuilder::new("t", COLUMNS).registry(registry);
        for (key, value) in &self.options {
            table = table.option(key, value);
        }
        table = table.option("scan.startup.mode", "earliest-offset").option("scan.bounded.mode", "latest-offset");
        let source = connector.source(&table.source())?.source;
        let batches = SourceHarness::start(&source, 1, None).await?.run_to_end().await?;
        let records = batches.iter().map(Record::from_batch).collect::<Result<Vec<_>>>()?;
        Ok(records.concat())
    }
}

source_suite!(kafka_source, Embedded::new(), Topics::running());
sink_suite!(kafka_sink, Embedded::new(), Topics::running());
