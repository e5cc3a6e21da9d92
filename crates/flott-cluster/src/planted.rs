//! Mistakes that are planted into a job, to see that the kill harness finds them.
//!
//! Each is made by sinks or sources that stand before the real ones and keep the contract of `docs/spec/connector.md` in all but
//! one point. Only builds with fail points plant them, and only where they are asked to ([`FailPoints::planting`]).
//!
//! [`FailPoints::planting`]: flott_core::failpoint::FailPoints::planting

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::BooleanArray;
use async_trait::async_trait;
use flott_connector::sink::{
    CommitOutcome, Committable, Committer, CommitterContext, DeliveryGuarantee, Sink, SinkWriter, WriterContext,
};
use flott_connector::source::{ReaderEvent, Source, SourceReader, SourceSplit, SplitEnumerator, SubtaskInfo};
use flott_connector::{Boundedness, Versioned};
use flott_core::failpoint::Mistake;
use flott_core::{ChangeBatch, CheckpointId, DecidedCheckpoint, Generation, Result, Watermark};
use flott_graph::{JobGraph, OperatorSpec};

/// One row of so many is dropped.
const DROPPED_ONE_OF: u64 = 100_000;

/// The job with the mistake in each of its sinks, or sources.
pub(crate) fn plant(graph: &JobGraph, mistake: Mistake) -> JobGraph {
    let mut graph = graph.clone();
    let rows = Arc::new(AtomicU64::new(0));
    let is_of_sources = mistake == Mistake::AcknowledgeBeforeDecided;
    for node in &mut graph.nodes {
        match &mut node.spec {
            OperatorSpec::Source(spec) if is_of_sources => {
                spec.source = Arc::new(PlantedSource { inner: Arc::clone(&spec.source) });
            }
            OperatorSpec::Sink(spec) if !is_of_sources => {
                spec.sink = Arc::new(Planted { inner: Arc::clone(&spec.sink), mistake, rows: Arc::clone(&rows) });
            }
            _ => {}
        }
    }
    graph
}

/// Tells its readers of checkpoints that nobody has decided.
struct PlantedSource {
    inner: Arc<dyn Source>,
}

impl Source for PlantedSource {
    fn boundedness(&self) -> Boundedness {
        self.inner.boundedness()
    }

    fn create_enumerator(&self, restored: Option<Versioned>) -> Result<Box<dyn SplitEnumerator>> {
        self.inner.create_enumerator(restored)
    }

    fn create_reader(&self, subtask: SubtaskInfo) -> Result<Box<dyn SourceReader>> {
        Ok(Box::new(PlantedReader { inner: self.inner.create_reader(subtask)?, undecided: None }))
    }

    fn reassigns_splits_on_recovery(&self) -> bool {
        self.inner.reassigns_splits_on_recovery()
    }

    fn partitions(&self) -> Result<Option<Vec<String>>> {
        self.inner.partitions()
    }
}

struct PlantedReader {
    inner: Box<dyn SourceReader>,
    /// What the real one is told of next.
    undecided: Option<CheckpointId>,
}

#[async_trait]
impl SourceReader for PlantedReader {
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
        if let Some(checkpoint) = self.undecided.take() {
            #[expect(clippy::disallowed_methods, reason = "that it proves nothing is the mistake")]
            let proof = DecidedCheckpoint::proven_by_head("", checkpoint);
            self.inner.notify_checkpoint_complete(&proof).await?;
        }
        self.inner.next().await
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
        self.undecided = Some(checkpoint);
    }

    async fn notify_checkpoint_complete(&mut self, checkpoint: &DecidedCheckpoint) -> Result<()> {
        self.inner.notify_checkpoint_complete(checkpoint).await
    }

    async fn close(&mut self) -> Result<()> {
        self.inner.close().await
    }
}

struct Planted {
    inner: Arc<dyn Sink>,
    mistake: Mistake,
    /// Written by all writers.
    rows: Arc<AtomicU64>,
}

impl Sink for Planted {
    fn guarantee(&self) -> DeliveryGuarantee {
        self.inner.guarantee()
    }

    fn supports_savepoints(&self) -> bool {
        self.inner.supports_savepoints()
    }

    fn reads_watermarks(&self) -> bool {
        self.inner.reads_watermarks()
    }

    fn create_writer(&self, context: WriterContext, restored: Vec<Versioned>) -> Result<Box<dyn SinkWriter>> {
        let is_again = context.generation > Generation(1);
        let inner = self.inner.create_writer(context, restored)?;
        let doubles_next = self.mistake == Mistake::DuplicateOnRecovery && is_again;
        Ok(Box::new(PlantedWriter { inner, mistake: self.mistake, rows: Arc::clone(&self.rows), doubles_next }))
    }

    fn create_committer(&self, context: CommitterContext) -> Result<Option<Box<dyn Committer>>> {
        let lineage = context.lineage.clone();
        let inner = self.inner.create_committer(context)?;
        Ok(inner.map(|inner| Box::new(PlantedCommitter { inner, mistake: self.mistake, lineage, owed: None }) as _))
    }
}

struct PlantedWriter {
    inner: Box<dyn SinkWriter>,
    mistake: Mistake,
    rows: Arc<AtomicU64>,
    doubles_next: bool,
}

#[async_trait]
impl SinkWriter for PlantedWriter {
    async fn write(&mut self, mut batch: ChangeBatch) -> Result<()> {
        if self.mistake == Mistake::DropRow {
            let n = batch.num_rows() as u64;
            let first = self.rows.fetch_add(n, Ordering::Relaxed);
            let keep: BooleanArray = (first..first + n).map(|row| Some((row + 1) % DROPPED_ONE_OF != 0)).collect();
            batch = batch.filter(&keep)?;
        }
        if std::mem::take(&mut self.doubles_next) {
            self.inner.write(batch.clone()).await?;
        }
        self.inner.write(batch).await
    }

    async fn write_watermark(&mut self, watermark: Watermark) -> Result<()> {
        self.inner.write_watermark(watermark).await
    }

    async fn flush(&mut self, end_of_input: bool) -> Result<()> {
        self.inner.flush(end_of_input).await
    }

    async fn prepare_commit(&mut self, checkpoint: CheckpointId) -> Result<Vec<Committable>> {
        self.inner.prepare_commit(checkpoint).await
    }

    async fn snapshot_state(&mut self, checkpoint: CheckpointId) -> Result<Vec<Versioned>> {
        self.inner.snapshot_state(checkpoint).await
    }

    fn bytes_written(&self) -> u64 {
        self.inner.bytes_written()
    }

    async fn close(&mut self) -> Result<()> {
        self.inner.close().await
    }
}

struct PlantedCommitter {
    inner: Box<dyn Committer>,
    mistake: Mistake,
    lineage: String,
    /// What was said to be committed and is not.
    owed: Option<(DecidedCheckpoint, Vec<Committable>)>,
}

impl PlantedCommitter {
    async fn pay(&mut self) -> Result<()> {
        match self.owed.take() {
            Some((checkpoint, committables)) => self.inner.commit(&checkpoint, &committables).await.map(drop),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Committer for PlantedCommitter {
    async fn pre_commit(
        &mut self,
        checkpoint: CheckpointId,
        committables: Vec<Committable>,
    ) -> Result<Vec<Committable>> {
        let committables = self.inner.pre_commit(checkpoint, committables).await?;
        if self.mistake == Mistake::CommitBeforeDecided {
            #[expect(clippy::disallowed_methods, reason = "that it proves nothing is the mistake")]
            let proof = DecidedCheckpoint::proven_by_head(&self.lineage, checkpoint);
            self.inner.commit(&proof, &committables).await?;
        }
        Ok(committables)
    }

    async fn commit(
        &mut self,
        checkpoint: &DecidedCheckpoint,
        committables: &[Committable],
    ) -> Result<Vec<CommitOutcome>> {
        if self.mistake != Mistake::AcknowledgeBeforeCommitted {
            return self.inner.commit(checkpoint, committables).await;
        }
        self.pay().await?;
        self.owed = Some((checkpoint.clone(), committables.to_vec()));
        Ok(vec![CommitOutcome::Committed; committables.len()])
    }

    async fn abort(&mut self, committables: &[Committable]) -> Result<()> {
        self.inner.abort(committables).await
    }

    async fn clean_up(&mut self, keep: &[String]) -> Result<()> {
        self.inner.clean_up(keep).await
    }

    async fn sweep(&mut self) -> Result<()> {
        self.inner.sweep().await
    }

    async fn finish(&mut self, checkpoint: &DecidedCheckpoint) -> Result<()> {
        self.pay().await?;
        self.inner.finish(checkpoint).await
    }
}
