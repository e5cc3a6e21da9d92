//! Mistakes that are planted into a job, to see that the kill harness finds them.
//!
//! Each is made by sinks or sources that stand before the real ones and keep the contract of `docs/spec/connector.md` in all but
//! one point. Only builds with fail points plant them, and only where they are asked to ([`FailPoints::planting`]).
//!
//! [`FailPoints::planting`]: flott_core::failpoint::FailPoints::planting

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arrow_array::BooleanArray;
use async_trait::async_trait;
use flott_connector::sink::{
    CommitOutcome, Committable, Committer, CommitterContext, DeliveryGuarantee, Sink, SinkWriter, WriterContext,
};
use flott_connector::source::{
    CallOutput, EnumeratorContext, ReaderEvent, Source, SourceReader, SourceSplit, SplitEnumerator, SubtaskInfo,
};
use flott_connector::{Boundedness, Versioned};
use flott_core::failpoint::Mistake;
use flott_core::{ChangeBatch, CheckpointId, DecidedCheckpoint, Generation, Result, Watermark};
use flott_graph::{JobGraph, OperatorSpec};

/// One row of so many is dropped.
const DROPPED_ONE_OF: u64 = 100_000;
/// How often an enumerator looks whether there is a checkpoint to be told of too early. Nothing else calls it in time, where it
/// does not look for new splits.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);

/// The job with the mistake in each of its sinks, or sources.
pub(crate) fn plant(graph: &JobGraph, mistake: Mistake) -> JobGraph {
    let mut graph = graph.clone();
    let rows = Arc::new(AtomicU64::new(0));
    let is_of_sources = mistake == Mistake::AcknowledgeBeforeDecided;
    for node in &mut graph.nodes {
        match &mut node.spec {
            OperatorSpec::Source(spec) if is_of_sources => {
                spec.source = Arc::new(PlantedSource { inner: Arc::clone(&spec.source), taken: Arc::default() });
            }
            OperatorSpec::Sink(spec) if !is_of_sources => {
                spec.sink = Arc::new(Planted { inner: Arc::clone(&spec.sink), mistake, rows: Arc::clone(&rows) });
            }
            _ => {}
        }
    }
    graph
}

#[expect(clippy::disallowed_methods, reason = "that it proves nothing is the mistake")]
fn forged(lineage: &str, checkpoint: CheckpointId) -> DecidedCheckpoint {
    DecidedCheckpoint::proven_by_head(lineage, checkpoint)
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells its readers and its enumerator of checkpoints that nobody has decided.
struct PlantedSource {
    inner: Arc<dyn Source>,
    taken: Arc<Mutex<Taken>>,
}

/// What readers hand over to their enumerator.
#[derive(Default)]
struct Taken {
    /// Readers that have not come to their end.
    reading: BTreeSet<usize>,
    /// What they hold, by checkpoint and reader.
    splits: BTreeMap<CheckpointId, BTreeMap<usize, Vec<SourceSplit>>>,
}

impl Taken {
    /// Takes the checkpoints behind that one that all readers have a part in.
    fn take_whole(&mut self, decided: CheckpointId) -> Vec<(CheckpointId, Vec<SourceSplit>)> {
        let Taken { reading, splits } = self;
        splits.retain(|checkpoint, _| *checkpoint > decided);
        let whole = splits.iter().filter(|(_, parts)| reading.iter().all(|reader| parts.contains_key(reader)));
        let whole: Vec<CheckpointId> = whole.map(|(checkpoint, _)| *checkpoint).collect();
        let take = |checkpoint: CheckpointId| {
            Some((checkpoint, splits.remove(&checkpoint)?.into_values().flatten().collect()))
        };
        whole.into_iter().filter_map(take).collect()
    }
}

impl Source for PlantedSource {
    fn boundedness(&self) -> Boundedness {
        self.inner.boundedness()
    }

    fn create_enumerator(&self, restored: Option<Versioned>) -> Result<Box<dyn SplitEnumerator>> {
        // What an attempt before has taken.
        lock(&self.taken).splits.clear();
        let (inner, taken) = (self.inner.create_enumerator(restored)?, Arc::clone(&self.taken));
        Ok(Box::new(PlantedEnumerator { inner, taken, decided: CheckpointId(0), looks: 0 }))
    }

    fn create_reader(&self, subtask: SubtaskInfo) -> Result<Box<dyn SourceReader>> {
        let (inner, taken) = (self.inner.create_reader(subtask)?, Arc::clone(&self.taken));
        let mut handed = lock(&self.taken);
        handed.reading.retain(|reader| *reader < subtask.parallelism);
        handed.reading.insert(subtask.index);
        Ok(Box::new(PlantedReader { inner, subtask: subtask.index, taken, undecided: None }))
    }

    fn reassigns_splits_on_recovery(&self) -> bool {
        self.inner.reassigns_splits_on_recovery()
    }

    fn partitions(&self) -> Result<Option<Vec<String>>> {
        self.inner.partitions()
    }
}

struct PlantedEnumerator {
    inner: Box<dyn SplitEnumerator>,
    taken: Arc<Mutex<Taken>>,
    /// The last checkpoint that was really decided.
    decided: CheckpointId,
    /// Since the real one has looked for splits.
    looks: u32,
}

impl PlantedEnumerator {
    /// Tells the real one what readers have taken, decided or not.
    fn tell(&mut self, context: &mut EnumeratorContext) -> Result<()> {
        let whole = lock(&self.taken).take_whole(self.decided);
        for (checkpoint, splits) in whole {
            self.inner.notify_checkpoint_complete(&forged("", checkpoint), &splits, context)?;
        }
        Ok(())
    }
}

impl SplitEnumerator for PlantedEnumerator {
    fn start(&mut self, context: &mut EnumeratorContext) -> Result<()> {
        self.inner.start(context)
    }

    fn handle_call(&mut self, output: CallOutput, context: &mut EnumeratorContext) -> Result<()> {
        self.tell(context)?;
        self.inner.handle_call(output, context)
    }

    fn discovery_interval(&self) -> Option<Duration> {
        Some(LOOK_INTERVAL)
    }

    fn discover(&mut self, context: &mut EnumeratorContext) -> Result<()> {
        self.tell(context)?;
        let Some(interval) = self.inner.discovery_interval() else { return Ok(()) };
        self.looks += 1;
        if LOOK_INTERVAL * self.looks < interval {
            return Ok(());
        }
        self.looks = 0;
        self.inner.discover(context)
    }

    fn add_reader(&mut self, reader: usize, context: &mut EnumeratorContext) -> Result<()> {
        self.tell(context)?;
        self.inner.add_reader(reader, context)
    }

    fn handle_split_request(&mut self, reader: usize, context: &mut EnumeratorContext) -> Result<()> {
        self.tell(context)?;
        self.inner.handle_split_request(reader, context)
    }

    fn add_splits_back(&mut self, splits: Vec<SourceSplit>, context: &mut EnumeratorContext) -> Result<()> {
        self.tell(context)?;
        self.inner.add_splits_back(splits, context)
    }

    fn handle_source_event(&mut self, reader: usize, event: Versioned, context: &mut EnumeratorContext) -> Result<()> {
        self.tell(context)?;
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
        self.decided = checkpoint.id();
        self.inner.notify_checkpoint_complete(checkpoint, splits, context)?;
        self.tell(context)
    }

    fn notify_checkpoint_aborted(&mut self, checkpoint: CheckpointId, context: &mut EnumeratorContext) -> Result<()> {
        self.tell(context)?;
        self.inner.notify_checkpoint_aborted(checkpoint, context)
    }
}

struct PlantedReader {
    inner: Box<dyn SourceReader>,
    subtask: usize,
    taken: Arc<Mutex<Taken>>,
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
            self.inner.notify_checkpoint_complete(&forged("", checkpoint)).await?;
        }
        let event = self.inner.next().await?;
        if matches!(event, ReaderEvent::EndOfInput) {
            lock(&self.taken).reading.remove(&self.subtask);
        }
        Ok(event)
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
        lock(&self.taken).splits.entry(checkpoint).or_default().insert(self.subtask, splits.to_vec());
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
            self.inner.commit(&forged(&self.lineage, checkpoint), &committables).await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Its enumerator notes of which checkpoints it hears, and with which splits.
    #[derive(Default)]
    struct Noted(Arc<Mutex<Vec<(CheckpointId, Vec<SourceSplit>)>>>);

    impl Source for Noted {
        fn boundedness(&self) -> Boundedness {
            Boundedness::Bounded
        }

        fn create_enumerator(&self, _: Option<Versioned>) -> Result<Box<dyn SplitEnumerator>> {
            Ok(Box::new(Noted(Arc::clone(&self.0))))
        }

        fn create_reader(&self, _: SubtaskInfo) -> Result<Box<dyn SourceReader>> {
            Ok(Box::new(Idle))
        }
    }

    impl SplitEnumerator for Noted {
        fn start(&mut self, _: &mut EnumeratorContext) -> Result<()> {
            Ok(())
        }

        fn add_reader(&mut self, _: usize, _: &mut EnumeratorContext) -> Result<()> {
            Ok(())
        }

        fn handle_split_request(&mut self, _: usize, _: &mut EnumeratorContext) -> Result<()> {
            Ok(())
        }

        fn add_splits_back(&mut self, _: Vec<SourceSplit>, _: &mut EnumeratorContext) -> Result<()> {
            Ok(())
        }

        fn snapshot_state(&mut self, _: CheckpointId) -> Result<Versioned> {
            Ok(Versioned::default())
        }

        fn notify_checkpoint_complete(
            &mut self,
            checkpoint: &DecidedCheckpoint,
            splits: &[SourceSplit],
            _: &mut EnumeratorContext,
        ) -> Result<()> {
            lock(&self.0).push((checkpoint.id(), splits.to_vec()));
            Ok(())
        }
    }

    struct Idle;

    #[async_trait]
    impl SourceReader for Idle {
        fn add_splits(&mut self, _: Vec<SourceSplit>) -> Result<()> {
            Ok(())
        }

        fn no_more_splits(&mut self) {}

        async fn next(&mut self) -> Result<ReaderEvent> {
            Ok(ReaderEvent::EndOfInput)
        }
    }

    #[test]
    fn an_enumerator_hears_of_a_checkpoint_that_nobody_has_decided() {
        let inner = Noted::default();
        let noted = Arc::clone(&inner.0);
        let source = PlantedSource { inner: Arc::new(inner), taken: Arc::default() };
        let mut enumerator = source.create_enumerator(None).expect("an enumerator");
        let reader = |index| source.create_reader(SubtaskInfo { index, parallelism: 2 }).expect("a reader");
        let [mut first, mut second] = [0, 1].map(reader);
        let mut context = EnumeratorContext::default();
        let split = |id: &str| SourceSplit { id: id.to_string(), data: Versioned::default() };
        assert!(enumerator.discovery_interval().is_some(), "nothing else calls it in time");

        first.snapshot_taken(CheckpointId(1), &[split("a")]);
        enumerator.discover(&mut context).expect("a look");
        assert!(lock(&noted).is_empty(), "a reader has not come to the barrier");
        second.snapshot_taken(CheckpointId(1), &[split("b")]);
        enumerator.discover(&mut context).expect("a look");
        let both = vec![split("a"), split("b")];
        assert_eq!(*lock(&noted), [(CheckpointId(1), both.clone())]);

        // The real decision comes, too, and what is told late is not told again.
        enumerator.notify_checkpoint_complete(&forged("", CheckpointId(1)), &both, &mut context).expect("heard");
        second.snapshot_taken(CheckpointId(1), &both);
        enumerator.discover(&mut context).expect("a look");
        assert_eq!(*lock(&noted), [(CheckpointId(1), both.clone()), (CheckpointId(1), both)]);
    }
}
