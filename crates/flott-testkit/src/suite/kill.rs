//! A way to end the workers of a job in one process: whatever its sources wait for, they fail at once.
//!
//! A reader that is being read fails there; one that has nothing to read is not asked, so the enumerator waits for the
//! switch, too.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flott_connector::factory::{ConnectorFactory, MetadataKey, Registry, TableContext, TableSink, TableSource};
use flott_connector::source::{
    CallOutput, EnumeratorContext, ReaderEvent, Source, SourceReader, SourceSplit, SplitEnumerator, SubtaskInfo,
};
use flott_connector::{Boundedness, Versioned};
use flott_core::options::{ConfigOption, Options};
use flott_core::{CheckpointId, DecidedCheckpoint, Error, Result};
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

    fn table_metadata(&self, options: &Options, registry: &Registry) -> Result<Vec<MetadataKey>> {
        self.inner.table_metadata(options, registry)
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
        let inner = self.inner.create_enumerator(restored)?;
        Ok(Box::new(KillableEnumerator { inner, thrown: Some(self.switch.0.subscribe()) }))
    }

    fn create_reader(&self, subtask: SubtaskInfo) -> Result<Box<dyn SourceReader>> {
        Ok(Box::new(KillableReader { inner: self.inner.create_reader(subtask)?, thrown: self.switch.0.subscribe() }))
    }

    fn reassigns_splits_on_recovery(&self) -> bool {
        self.inner.reassigns_splits_on_recovery()
    }
}

struct KillableEnumerator {
    inner: Box<dyn SplitEnumerator>,
    /// Until it waits.
    thrown: Option<watch::Receiver<u64>>,
}

/// The switch was thrown.
struct Thrown;

impl SplitEnumerator for KillableEnumerator {
    fn start(&mut self, context: &mut EnumeratorContext) -> Result<()> {
        self.inner.start(context)
    }

    fn handle_call(&mut self, output: CallOutput, context: &mut EnumeratorContext) -> Result<()> {
        if output.is::<Thrown>() {
            return Err(Error::unavailable("the worker was killed"));
        }
        self.inner.handle_call(output, context)
    }

    fn discovery_interval(&self) -> Option<Duration> {
        self.inner.discovery_interval()
    }

    fn discover(&mut self, context: &mut EnumeratorContext) -> Result<()> {
        self.inner.discover(context)
    }

    fn add_reader(&mut self, reader: usize, context: &mut EnumeratorContext) -> Result<()> {
        // Not at the start: what is begun there is waited for.
        if let Some(mut thrown) = self.thrown.take() {
            context.call_async(async move {
                // The sender lives as long as the source.
                drop(thrown.changed().await);
                Thrown
            });
        }
        self.inner.add_reader(reader, context)
    }

    fn handle_split_request(&mut self, reader: usize, context: &mut EnumeratorContext) -> Result<()> {
        self.inner.handle_split_request(reader, context)
    }

    fn add_splits_back(&mut self, splits: Vec<SourceSplit>, context: &mut EnumeratorContext) -> Result<()> {
        self.inner.add_splits_back(splits, context)
    }

    fn handle_source_event(&mut self, reader: usize, event: Versioned, context: &mut EnumeratorContext) -> Result<()> {
        self.inner.handle_source_event(reader, event, context)
    }

    fn snapshot_state(&mut self, checkpoint: CheckpointId) -> Result<Versioned> {
        self.inner.snapshot_state(checkpoint)
    }

    fn notify_checkpoint_complete(
        &mut self,
        checkpoint: &DecidedCheckpoint,
        splits: &[SourceSplit],
        context: &mut EnumeratorContext,
    ) -> Result<()> {
        self.inner.notify_checkpoint_complete(checkpoint, splits, context)
    }

    fn notify_checkpoint_aborted(&mut self, checkpoint: CheckpointId, context: &mut EnumeratorContext) -> Result<()> {
        self.inner.notify_checkpoint_aborted(checkpoint, context)
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

    fn pending_records(&self) -> Option<u64> {
        self.inner.pending_records()
    }

    fn pending_bytes(&self) -> Option<u64> {
        self.inner.pending_bytes()
    }

    fn pause_or_resume_splits(&mut self, pause: &[String], resume: &[String]) {
        self.inner.pause_or_resume_splits(pause, resume);
    }

    fn handle_source_event(&mut self, event: Versioned) -> Result<()> {
        self.inner.handle_source_event(event)
    }

    fn snapshot_taken(&mut self, checkpoint: CheckpointId, splits: &[SourceSplit]) {
        self.inner.snapshot_taken(checkpoint, splits);
    }

    async fn notify_checkpoint_complete(&mut self, checkpoint: &DecidedCheckpoint) -> Result<()> {
        self.inner.notify_checkpoint_complete(checkpoint).await
    }

    async fn close(&mut self) -> Result<()> {
        self.inner.close().await
    }
}
