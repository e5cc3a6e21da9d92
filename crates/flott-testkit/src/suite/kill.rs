//! A way to end the workers of a job in one process: every reader fails at once, whatever it waits for.

use std::sync::Arc;

use async_trait::async_trait;
use flott_connector::factory::{ConnectorFactory, MetadataKey, Registry, TableContext, TableSink, TableSource};
use flott_connector::source::{ReaderEvent, Source, SourceReader, SourceSplit, SplitEnumerator, SubtaskInfo};
use flott_connector::{Boundedness, Versioned};
use flott_core::options::{ConfigOption, Options};
use flott_core::{DecidedCheckpoint, Error, Result};
use tokio::sync::watch;

/// Fails the readers that live when it is thrown. Those of the next attempt live on.
#[derive(Debug, Clone)]
pub struct KillSwitch(watch::Sender<u64>);

impl Default for KillSwitch {
    fn default() -> KillSwitch {
        KillSwitch(watch::Sender::new(0))
    }
}

impl KillSwitch {
    /// The same connectors and formats, with sources that the switch can kill.
    #[must_use]
    pub fn wrap(&self, registry: &Registry) -> Registry {
        let mut wrapped = registry.clone();
        for name in registry.connector_names() {
            if let Ok(inner) = registry.connector(name) {
                wrapped.add_connector(Arc::new(Killable { inner, switch: self.clone() }));
            }
        }
        wrapped
    }

    /// Kills all readers that live now.
    pub fn throw(&self) {
        self.0.send_modify(|n| *n += 1);
    }
}

struct Killable {
    inner: Arc<dyn ConnectorFactory>,
    switch: KillSwitch,
}

impl ConnectorFactory for Killable {
    fn identifier(&self) -> &'static str {
        self.inner.identifier()
    }

    fn description(&self) -> &'static str {
        self.inner.description()
    }

    fn options(&self) -> &'static [ConfigOption] {
        self.inner.options()
    }

    fn metadata(&self) -> Vec<MetadataKey> {
        self.inner.metadata()
    }

    fn table_metadata(&self, options: &Options) -> Result<Vec<MetadataKey>> {
        self.inner.table_metadata(options)
    }

    fn source_deletes_by_key(&self, options: &Options) -> bool {
        self.inner.source_deletes_by_key(options)
    }

    fn sink_deletes_by_key(&self, options: &Options) -> bool {
        self.inner.sink_deletes_by_key(options)
    }

    fn plugin_names(&self) -> &'static [&'static str] {
        self.inner.plugin_names()
    }

    fn supports_projection(&self) -> bool {
        self.inner.supports_projection()
    }

    fn source(&self, context: &TableContext) -> Result<TableSource> {
        let inner = self.inner.source(context)?;
        let source = KillableSource { inner: Arc::clone(&inner.source), switch: self.switch.clone() };
        Ok(TableSource { source: Arc::new(source), ..inner })
    }

    fn sink(&self, context: &TableContext) -> Result<TableSink> {
        self.inner.sink(context)
    }
}

struct KillableSource {
    inner: Arc<dyn Source>,
    switch: KillSwitch,
}

impl Source for KillableSource {
    fn boundedness(&self) -> Boundedness {
        self.inner.boundedness()
    }

    fn create_enumerator(&self, restored: Option<Versioned>) -> Result<Box<dyn SplitEnumerator>> {
        self.inner.create_enumerator(restored)
    }

    fn create_reader(&self, subtask: SubtaskInfo) -> Result<Box<dyn SourceReader>> {
        Ok(Box::new(KillableReader { inner: self.inner.create_reader(subtask)?, thrown: self.switch.0.subscribe() }))
    }

    fn reassigns_splits_on_recovery(&self) -> bool {
        self.inner.reassigns_splits_on_recovery()
    }
}

struct KillableReader {
    inner: Box<dyn SourceReader>,
    thrown: watch::Receiver<u64>,
}

#[async_trait]
impl SourceReader for KillableReader {
    async fn start(&mut self) -> Result<()> {
        self.inner.start().await
    }

    fn add_splits(&mut self, splits: Vec<SourceSplit>) -> Result<()> {
        self.inner.add_splits(splits)
    }

    fn no_more_splits(&mut self) {
        self.inner.no_more_splits();
    }

    async fn next(&mut self) -> Result<ReaderEvent> {
        tokio::select! {
            biased;
            _ = self.thrown.changed() => Err(Error::unavailable("the worker was killed")),
            event = self.inner.next() => event,
        }
    }

    fn pause_or_resume_splits(&mut self, pause: &[String], resume: &[String]) {
        self.inner.pause_or_resume_splits(pause, resume);
    }

    fn handle_source_event(&mut self, event: Versioned) -> Result<()> {
        self.inner.handle_source_event(event)
    }

    async fn notify_checkpoint_complete(&mut self, checkpoint: &DecidedCheckpoint) -> Result<()> {
        self.inner.notify_checkpoint_complete(checkpoint).await
    }

    async fn close(&mut self) -> Result<()> {
        self.inner.close().await
    }
}
