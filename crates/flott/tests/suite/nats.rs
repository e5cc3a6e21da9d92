//! The nats connector over a real server: `cargo xtask services up nats`. Skipped where none runs. A split is a subject.

use std::sync::Arc;

use async_trait::async_trait;
use flott::{Registry, default_registry};
use flott_connector::Boundedness;
use flott_core::Result;
use flott_testkit::nats::{Nats, NatsMessage};
use flott_testkit::suite::{
    COLUMNS, Record, Semantics, SinkContext, SinkTable, SourceContext, SourceSettings, SourceTable,
};
use flott_testkit::{SourceHarness, TableBuilder, sink_suite, source_suite};
use serde_json::json;

use crate::embedded::Embedded;
use crate::files::encoded;

/// Streams.
struct Streams(Nats);

struct Stream {
    nats: Nats,
    name: String,
    options: Vec<(String, String)>,
}

impl Streams {
    fn running() -> Option<Streams> {
        Nats::running().map(Streams)
    }

    async fn stream(&self, subject: impl Fn(&str) -> String, more: &[(&str, &str)]) -> Result<Stream> {
        let name = self.0.stream(json!({ "allow_atomic": true })).await?;
        let options = [
            ("connector", "nats"),
            ("url", &self.0.url),
            ("stream", &name),
            ("subject", &subject(&name)),
            ("format", "json"),
            ("sink.marker-subject", &format!("{name}.markers")),
        ];
        let options = options.iter().chain(more).map(|(k, v)| (k.to_string(), v.to_string())).collect();
        Ok(Stream { nats: self.0.clone(), name, options })
    }
}

#[async_trait]
impl SourceContext for Streams {
    async fn create(&self, settings: SourceSettings) -> Result<Box<dyn SourceTable>> {
        let bounded = settings.boundedness == Boundedness::Bounded;
        let mode = if bounded { "latest" } else { "unbounded" };
        let subjects = |name: &str| {
            let all: Vec<String> = (0..settings.splits.max(1)).map(|i| format!("{name}.{i}.>")).collect();
            all.join(";")
        };
        Ok(Box::new(self.stream(subjects, &[("scan.bounded.mode", mode)]).await?))
    }
}

#[async_trait]
impl SourceTable for Stream {
    fn options(&self) -> Vec<(String, String)> {
        self.options.clone()
    }

    async fn write(&mut self, split: u32, records: &[Record]) -> Result<()> {
        let lines = encoded("json", records)?;
        let lines = lines.split(|b| *b == b'\n').filter(|l| !l.is_empty());
        let subject = format!("{}.{split}.x", self.name);
        let messages: Vec<NatsMessage> = lines.map(|l| NatsMessage::of(&subject, l)).collect();
        self.nats.write(&messages).await.map(drop)
    }
}

#[async_trait]
impl SinkContext for Streams {
    async fn create(&self, semantics: Semantics) -> Result<Box<dyn SinkTable>> {
        let guarantee = [("sink.delivery-guarantee", semantics.name())];
        Ok(Box::new(self.stream(|name| format!("{name}.out"), &guarantee).await?))
    }
}

#[async_trait]
impl SinkTable for Stream {
    fn options(&self) -> Vec<(String, String)> {
        self.options.clone()
    }

    async fn read(&self) -> Result<Vec<Record>> {
        let registry: Arc<Registry> = Arc::new(default_registry());
        let connector = registry.connector("nats")?;
        let mut table = TableBuilder::new("t", COLUMNS).registry(registry);
        for (key, value) in &self.options {
            table = table.option(key, value);
        }
        table = table.option("scan.bounded.mode", "latest");
        let source = connector.source(&table.source())?.source;
        let batches = SourceHarness::start(&source, 1, None).await?.run_to_end().await?;
        let records = batches.iter().map(Record::from_batch).collect::<Result<Vec<_>>>()?;
        Ok(records.concat())
    }
}

source_suite!(nats_source, Embedded::new(), Streams::running());
sink_suite!(nats_sink, Embedded::new(), Streams::running());
