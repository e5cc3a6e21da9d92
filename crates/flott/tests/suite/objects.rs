//! The filesystem connector over a real S3-compatible store: `cargo xtask services up versitygw`. Skipped where none runs.

use std::sync::Arc;

use async_trait::async_trait;
use flott::{Registry, default_registry};
use flott_connector::Boundedness;
use flott_connector::storage;
use flott_core::options::Options;
use flott_core::{Error, Result, id};
use flott_testkit::services::S3;
use flott_testkit::suite::{
    COLUMNS, Record, Semantics, SinkContext, SinkTable, SourceContext, SourceSettings, SourceTable,
};
use flott_testkit::{SourceHarness, TableBuilder, sink_suite, source_suite};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::embedded::Embedded;
use crate::files::encoded;

/// Tables below a prefix of their own.
struct Objects {
    s3: S3,
    format: &'static str,
}

impl Objects {
    /// `None` where no store runs.
    fn new(format: &'static str) -> Option<Objects> {
        Some(Objects { s3: S3::running()?, format })
    }

    fn config(&self) -> Options {
        self.s3.options().into_iter().collect()
    }

    fn table(&self) -> Prefix {
        let name = format!("suite-{}", id::random_hex());
        let path = format!("s3://{}/{name}", self.s3.bucket);
        let options = [("connector", "filesystem"), ("format", self.format), ("path", &path)]
            .map(|(k, v)| (k.to_string(), v.to_string()))
            .to_vec();
        Prefix { name, format: self.format, config: self.config(), options, written: 0 }
    }

    fn session(&self) -> Vec<(String, String)> {
        self.s3.options().into_iter().map(|(k, v)| (k.to_string(), v)).collect()
    }
}

struct Prefix {
    name: String,
    format: &'static str,
    config: Options,
    options: Vec<(String, String)>,
    written: u64,
}

impl Prefix {
    fn store(&self) -> Result<Arc<dyn ObjectStore>> {
        let path = self.options.iter().find(|(k, _)| k == "path").map(|(_, v)| v.as_str()).unwrap_or_default();
        Ok(storage::open(path, std::path::Path::new("/"), &self.config)?.store)
    }

    async fn keys(&self) -> Result<Vec<String>> {
        let prefix = Path::from(self.name.as_str());
        let listed: Vec<_> = self.store()?.list(Some(&prefix)).try_collect().await.map_err(failed)?;
        Ok(listed.into_iter().map(|m| m.location.to_string()).collect())
    }
}

fn failed(e: object_store::Error) -> Error {
    Error::unavailable("the test's store does not answer").caused_by(e)
}

#[async_trait]
impl SourceContext for Objects {
    fn session_options(&self) -> Vec<(String, String)> {
        self.session()
    }

    async fn create(&self, settings: SourceSettings) -> Result<Box<dyn SourceTable>> {
        let mut table = self.table();
        if settings.boundedness == Boundedness::ContinuousUnbounded {
            table.options.push(("source.monitor-interval".to_string(), "50 ms".to_string()));
        }
        Ok(Box::new(table))
    }
}

#[async_trait]
impl SourceTable for Prefix {
    fn options(&self) -> Vec<(String, String)> {
        self.options.clone()
    }

    async fn write(&mut self, split: u32, records: &[Record]) -> Result<()> {
        // Times of objects may be whole seconds: names tell the order then.
        let place = Path::from(format!("{}/split-{split}/part-{:06}", self.name, self.written));
        self.written += 1;
        self.store()?.put(&place, encoded(self.format, records)?.into()).await.map_err(failed)?;
        Ok(())
    }
}

#[async_trait]
impl SinkContext for Objects {
    fn session_options(&self) -> Vec<(String, String)> {
        self.session()
    }

    async fn create(&self, _semantics: Semantics) -> Result<Box<dyn SinkTable>> {
        Ok(Box::new(self.table()))
    }
}

#[async_trait]
impl SinkTable for Prefix {
    fn options(&self) -> Vec<(String, String)> {
        self.options.clone()
    }

    async fn read(&self) -> Result<Vec<Record>> {
        if self.keys().await?.is_empty() {
            return Ok(vec![]);
        }
        let registry: Arc<Registry> = Arc::new(default_registry());
        let connector = registry.connector("filesystem")?;
        let mut table = TableBuilder::new("t", COLUMNS).registry(registry);
        for (key, value) in &self.options {
            table = table.option(key, value);
        }
        let mut context = table.source();
        context.config = self.config.clone();
        let source = connector.source(&context)?.source;
        let batches = SourceHarness::start(&source, 1, None).await?.run_to_end().await?;
        let records = batches.iter().map(Record::from_batch).collect::<Result<Vec<_>>>()?;
        Ok(records.concat())
    }

    async fn leftovers(&self) -> Result<Vec<String>> {
        let hidden = |key: &String| key.split('/').any(|part| part.starts_with('.'));
        Ok(self.keys().await?.into_iter().filter(hidden).collect())
    }
}

source_suite!(csv_source, Embedded::new(), Objects::new("csv"));
source_suite!(parquet_source, Embedded::new(), Objects::new("parquet"));
sink_suite!(csv_sink, Embedded::new(), Objects::new("csv"));
sink_suite!(parquet_sink, Embedded::new(), Objects::new("parquet"));
