//! The suite catches what it is there for: each case fails where the thing that it names is broken.
//!
//! The `values` connector, which passes, is broken in one way at a time.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow_array::UInt32Array;
use async_trait::async_trait;
use flott_connector::factory::{ConnectorFactory, MetadataKey, Registry, TableContext, TableSink, TableSource};
use flott_connector::sink::*;
use flott_connector::source::*;
use flott_connector::{Boundedness, Versioned};
use flott_core::options::{ConfigOption, Options};
use flott_core::{ChangeBatch, CheckpointId, DecidedCheckpoint, Generation, Result};
use flott_testkit::suite::values::ValuesContext;
use flott_testkit::suite::*;

use crate::embedded::Embedded;

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broken {
    Nothing,
    /// Record 7 of each split is not given, or not written.
    LosesARecord,
    /// Each batch comes twice.
    RepeatsRecords,
    /// The records of a batch come backwards.
    TurnsRecordsAround,
    /// A checkpoint holds where a split began and not where it is.
    StoresNoPosition,
    /// A restored split goes on too late.
    SkipsAfterARestore,
    /// The splits of a restored checkpoint are not assigned again.
    DropsSplitsThatComeBack,
    /// A reader without splits is never told that none will come.
    ForgetsTheIdleReader,
    /// It says that there is always one more.
    CountsOneMorePending,
    /// Records are visible before their checkpoint is decided.
    ShowsAtOnce,
    /// A commit does nothing.
    CommitsNothing,
    /// What no checkpoint holds stays where it is.
    LeavesWhatItStaged,
    /// The first batch of an attempt behind the first is written twice.
    RepeatsAfterAFailure,
    /// Each attempt names its output as the one before did.
    NamesOutputAlike,
}

#[derive(Clone)]
struct Connector {
    inner: Arc<dyn ConnectorFactory>,
    broken: Broken,
}

impl ConnectorFactory for Connector {
    fn identifier(&self) -> &'static str {
        self.inner.identifier()
    }

    fn description(&self) -> &'static str {
        self.inner.description()
    }

    fn options(&self) -> &'static [ConfigOption] {
        self.inner.options()
    }

    fn table_metadata(&self, options: &Options, registry: &Registry) -> Result<Vec<MetadataKey>> {
        self.inner.table_metadata(options, registry)
    }

    fn source(&self, context: &TableContext) -> Result<TableSource> {
        let inner = self.inner.source(context)?;
        let source = BrokenSource { inner: Arc::clone(&inner.source), broken: self.broken };
        Ok(TableSource { source: Arc::new(source), ..inner })
    }

    fn sink(&self, context: &TableContext) -> Result<TableSink> {
        let mut context = context.clone();
        if self.broken == Broken::ShowsAtOnce {
            context.table.options.set("sink.delivery-guarantee", "at-least-once");
        }
        let inner = self.inner.sink(&context)?;
        let sink = BrokenSink { inner: Arc::clone(&inner.sink), broken: self.broken, committed: Arc::default() };
        Ok(TableSink { sink: Arc::new(sink), ..inner })
    }
}

struct BrokenSource {
    inner: Arc<dyn Source>,
    broken: Broken,
}

impl Source for BrokenSource {
    fn boundedness(&self) -> Boundedness {
        self.inner.boundedness()
    }

    fn create_enumerator(&self, restored: Option<Versioned>) -> Result<Box<dyn SplitEnumerator>> {
        let inner = self.inner.create_enumerator(restored)?;
        Ok(Box::new(BrokenEnumerator { inner, broken: self.broken }))
    }

    fn create_reader(&self, subtask: SubtaskInfo) -> Result<Box<dyn SourceReader>> {
        let inner = self.inner.create_reader(subtask)?;
        Ok(Box::new(BrokenReader { inner, broken: self.broken, again: None }))
    }

    fn reassigns_splits_on_recovery(&self) -> bool {
        self.inner.reassigns_splits_on_recovery()
    }
}

struct BrokenEnumerator {
    inner: Box<dyn SplitEnumerator>,
    broken: Broken,
}

impl SplitEnumerator for BrokenEnumerator {
    fn start(&mut self, context: &mut EnumeratorContext) -> Result<()> {
        self.inner.start(context)
    }

    fn add_reader(&mut self, reader: usize, context: &mut EnumeratorContext) -> Result<()> {
        self.inner.add_reader(reader, context)
    }

    fn handle_split_request(&mut self, reader: usize, context: &mut EnumeratorContext) -> Result<()> {
        if self.broken == Broken::ForgetsTheIdleReader && reader == 4 {
            return Ok(());
        }
        self.inner.handle_split_request(reader, context)
    }

    fn add_splits_back(&mut self, splits: Vec<SourceSplit>, context: &mut EnumeratorContext) -> Result<()> {
        if self.broken == Broken::DropsSplitsThatComeBack {
            return Ok(());
        }
        self.inner.add_splits_back(splits, context)
    }

    fn snapshot_state(&mut self, checkpoint: CheckpointId) -> Result<Versioned> {
        self.inner.snapshot_state(checkpoint)
    }
}

/// Without record 7 of each split.
fn without_one(rows: &ChangeBatch) -> Result<ChangeBatch> {
    let records = Record::from_batch(rows)?.into_iter().enumerate();
    let kept: Vec<u32> = records.filter(|(_, r)| r.num != 7).map(|(i, _)| i as u32).collect();
    rows.take(&UInt32Array::from(kept))
}

fn turned_around(rows: &ChangeBatch) -> Result<ChangeBatch> {
    let backwards: Vec<u32> = (0..rows.num_rows() as u32).rev().collect();
    rows.take(&UInt32Array::from(backwards))
}

/// A position of `values`: the split's number, then its next row.
fn moved(position: &Versioned, change: impl FnOnce(u64) -> u64) -> Versioned {
    let (split, next) = position.bytes.split_at(4);
    let next = change(u64::from_le_bytes(next.try_into().expect("eight bytes")));
    Versioned::new(position.version, [split, &next.to_le_bytes()].concat())
}

struct BrokenReader {
    inner: Box<dyn SourceReader>,
    broken: Broken,
    again: Option<SourceBatch>,
}

#[async_trait]
impl SourceReader for BrokenReader {
    fn add_splits(&mut self, mut splits: Vec<SourceSplit>) -> Result<()> {
        if self.broken == Broken::SkipsAfterARestore {
            for split in &mut splits {
                // Back from the end, where there is nothing to skip: the first records that follow are left out.
                split.data = moved(&split.data, |next| if next > 0 { next + 2 } else { 0 });
            }
        }
        self.inner.add_splits(splits)
    }

    fn no_more_splits(&mut self) {
        self.inner.no_more_splits();
    }

    fn pending_records(&self) -> Option<u64> {
        let more = u64::from(self.broken == Broken::CountsOneMorePending);
        self.inner.pending_records().map(|n| n + more)
    }

    async fn next(&mut self) -> Result<ReaderEvent> {
        if let Some(batch) = self.again.take() {
            return Ok(ReaderEvent::Batch(batch));
        }
        let mut batch = match self.inner.next().await? {
            ReaderEvent::Batch(batch) => batch,
            other => return Ok(other),
        };
        match self.broken {
            Broken::LosesARecord => batch.rows = without_one(&batch.rows)?,
            Broken::TurnsRecordsAround => batch.rows = turned_around(&batch.rows)?,
            Broken::RepeatsRecords => self.again = Some(batch.clone()),
            Broken::StoresNoPosition => batch.position = moved(&batch.position, |_| 0),
            _ => {}
        }
        Ok(ReaderEvent::Batch(batch))
    }
}

struct BrokenSink {
    inner: Arc<dyn Sink>,
    broken: Broken,
    /// Names of output that is visible, as the outside knows them.
    committed: Arc<Mutex<BTreeSet<String>>>,
}

impl Sink for BrokenSink {
    fn guarantee(&self) -> DeliveryGuarantee {
        if self.broken == Broken::ShowsAtOnce { DeliveryGuarantee::ExactlyOnce } else { self.inner.guarantee() }
    }

    fn create_writer(&self, context: WriterContext, restored: Vec<Versioned>) -> Result<Box<dyn SinkWriter>> {
        let (subtask, is_again) = (context.subtask.index, context.generation > Generation(1));
        let inner = self.inner.create_writer(context, restored)?;
        let repeats_next = is_again && self.broken == Broken::RepeatsAfterAFailure;
        Ok(Box::new(BrokenWriter { inner, broken: self.broken, last: None, subtask, prepared: 0, repeats_next }))
    }

    fn create_committer(&self, context: CommitterContext) -> Result<Option<Box<dyn Committer>>> {
        let broken = self.broken;
        let wrap = |inner| {
            let committed = Arc::clone(&self.committed);
            Box::new(BrokenCommitter { inner, broken, committed }) as Box<dyn Committer>
        };
        Ok(self.inner.create_committer(context)?.map(wrap))
    }
}

struct BrokenWriter {
    inner: Box<dyn SinkWriter>,
    broken: Broken,
    last: Option<ChangeBatch>,
    subtask: usize,
    /// Pieces of output so far.
    prepared: u64,
    repeats_next: bool,
}

#[async_trait]
impl SinkWriter for BrokenWriter {
    async fn write(&mut self, batch: ChangeBatch) -> Result<()> {
        self.last = Some(batch.clone());
        if std::mem::take(&mut self.repeats_next) {
            self.inner.write(batch.clone()).await?;
        }
        match self.broken {
            Broken::LosesARecord => self.inner.write(without_one(&batch)?).await,
            Broken::RepeatsRecords => {
                self.inner.write(batch.clone()).await?;
                self.inner.write(batch).await
            }
            _ => self.inner.write(batch).await,
        }
    }

    async fn flush(&mut self, end_of_input: bool) -> Result<()> {
        self.inner.flush(end_of_input).await
    }

    async fn prepare_commit(&mut self, checkpoint: CheckpointId) -> Result<Vec<Committable>> {
        let mut committables = self.inner.prepare_commit(checkpoint).await?;
        if self.broken == Broken::NamesOutputAlike {
            for committable in &mut committables {
                let name = format!("{}-{}", self.subtask, self.prepared);
                let real = std::mem::replace(&mut committable.id, name);
                committable.data = Versioned::new(committable.data.version, real.into_bytes());
                self.prepared += 1;
            }
        }
        if let (Broken::LeavesWhatItStaged, Some(batch)) = (self.broken, self.last.take()) {
            // Staged for a checkpoint that never hears of it.
            self.inner.write(batch).await?;
            self.inner.prepare_commit(checkpoint).await?;
        }
        Ok(committables)
    }
}

struct BrokenCommitter {
    inner: Box<dyn Committer>,
    broken: Broken,
    committed: Arc<Mutex<BTreeSet<String>>>,
}

/// As the connector below has named it.
fn real(committable: &Committable) -> Committable {
    let id = String::from_utf8(committable.data.bytes.to_vec()).expect("a name");
    Committable { id, data: Versioned::new(committable.data.version, vec![]) }
}

#[async_trait]
impl Committer for BrokenCommitter {
    async fn commit(
        &mut self,
        checkpoint: &DecidedCheckpoint,
        committables: &[Committable],
    ) -> Result<Vec<CommitOutcome>> {
        if self.broken == Broken::CommitsNothing {
            return Ok(vec![CommitOutcome::Committed; committables.len()]);
        }
        if self.broken == Broken::NamesOutputAlike {
            let mut outcomes = vec![];
            for committable in committables {
                let is_new = self.committed.lock().expect("lock").insert(committable.id.clone());
                if is_new {
                    outcomes.extend(self.inner.commit(checkpoint, &[real(committable)]).await?);
                } else {
                    outcomes.push(CommitOutcome::AlreadyCommitted);
                }
            }
            return Ok(outcomes);
        }
        self.inner.commit(checkpoint, committables).await
    }

    async fn abort(&mut self, committables: &[Committable]) -> Result<()> {
        if self.broken == Broken::NamesOutputAlike {
            let committables: Vec<Committable> = committables.iter().map(real).collect();
            return self.inner.abort(&committables).await;
        }
        self.inner.abort(committables).await
    }

    async fn clean_up(&mut self, keep: &[String]) -> Result<()> {
        self.inner.clean_up(keep).await
    }
}

/// Tables of a broken connector.
struct Context {
    values: ValuesContext,
    broken: Broken,
}

impl Context {
    fn connector(&self, connectors: Vec<Arc<dyn ConnectorFactory>>) -> Vec<Arc<dyn ConnectorFactory>> {
        let broken = self.broken;
        connectors.into_iter().map(|inner| Arc::new(Connector { inner, broken }) as Arc<dyn ConnectorFactory>).collect()
    }
}

#[async_trait]
impl SourceContext for Context {
    fn connectors(&self) -> Vec<Arc<dyn ConnectorFactory>> {
        self.connector(SourceContext::connectors(&self.values))
    }

    async fn create(&self, settings: SourceSettings) -> Result<Box<dyn SourceTable>> {
        SourceContext::create(&self.values, settings).await
    }
}

#[async_trait]
impl SinkContext for Context {
    fn connectors(&self) -> Vec<Arc<dyn ConnectorFactory>> {
        self.connector(SinkContext::connectors(&self.values))
    }

    async fn create(&self, semantics: Semantics) -> Result<Box<dyn SinkTable>> {
        SinkContext::create(&self.values, semantics).await
    }
}

/// An environment whose metrics are one off.
struct Miscounts(Embedded);

struct Miscounted(Box<dyn TestJob>);

#[async_trait]
impl TestEnvironment for Miscounts {
    async fn start(&self, request: JobRequest) -> Result<Box<dyn TestJob>> {
        Ok(Box::new(Miscounted(self.0.start(request).await?)))
    }
}

#[async_trait]
impl TestJob for Miscounted {
    async fn finished(&mut self) -> Result<()> {
        self.0.finished().await
    }

    fn ended(&self) -> Option<String> {
        self.0.ended()
    }

    async fn checkpoint(&mut self) -> Result<()> {
        self.0.checkpoint().await
    }

    async fn stop_with_savepoint(&mut self) -> Result<Savepoint> {
        self.0.stop_with_savepoint().await
    }

    async fn kill_worker(&mut self) -> Result<()> {
        self.0.kill_worker().await
    }

    async fn cancel(&mut self) -> Result<()> {
        self.0.cancel().await
    }

    fn metric(&self, operator: Operator, name: &str) -> Option<u64> {
        self.0.metric(operator, name).map(|n| if name == "pendingRecords" { n } else { n + 1 })
    }
}

const PATIENCE: Duration = Duration::from_secs(8);

/// Runs a case against something broken: `None` where it passes.
macro_rules! told {
    ($kind:ident, $case:ident, $broken:ident, $semantics:ident) => {
        told!($kind, $case, $broken, $semantics, Embedded::new())
    };
    ($kind:ident, $case:ident, $broken:ident, $semantics:ident, $environment:expr) => {{
        let environment = $environment;
        let context = Context { values: ValuesContext::default(), broken: Broken::$broken };
        context.values.store().set_rows_per_batch(5);
        let semantics = Semantics::$semantics;
        let suite = Suite { environment: &environment, semantics, patience: PATIENCE };
        flott_testkit::suite::$kind::$case(&suite, &context).await.err().map(|f| f.0)
    }};
}

/// The case fails, and says this.
macro_rules! catches {
    ($name:ident: $kind:ident $case:ident $broken:ident $semantics:ident $text:literal) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let told = told!($kind, $case, $broken, $semantics).expect("the case fails");
            assert!(told.contains($text), "{told}");
        }
    };
}

catches!(single_split_lost: source single_split LosesARecord ExactlyOnce "record 7 of split 0 is missing");
catches!(single_split_lost_alo: source single_split LosesARecord AtLeastOnce "record 7 of split 0 is missing");
catches!(single_split_repeated: source single_split RepeatsRecords ExactlyOnce "is there 2 times");
catches!(single_split_order: source single_split TurnsRecordsAround ExactlyOnce "out of order");
catches!(multiple_splits_order: source multiple_splits TurnsRecordsAround AtLeastOnce "out of order");
catches!(multiple_splits_lost: source multiple_splits LosesARecord AtLeastOnce "is missing");
catches!(savepoint_position: source savepoint StoresNoPosition ExactlyOnce "should not be there");
catches!(savepoint_skip: source savepoint SkipsAfterARestore AtLeastOnce "");
catches!(scale_up_splits: source scale_up DropsSplitsThatComeBack AtLeastOnce "is missing");
catches!(scale_down_splits: source scale_down DropsSplitsThatComeBack ExactlyOnce "is missing");
catches!(metrics_pending: source metrics CountsOneMorePending ExactlyOnce "pendingRecords is Some(4)");
catches!(idle_reader_waits: source idle_reader ForgetsTheIdleReader ExactlyOnce "in vain for the job's end");
catches!(failure_position: source worker_failure StoresNoPosition ExactlyOnce "is there 2 times");
catches!(failure_splits: source worker_failure DropsSplitsThatComeBack AtLeastOnce "is missing");

catches!(basic_lost: sink basic LosesARecord AtLeastOnce "is missing");
catches!(basic_repeated: sink basic RepeatsRecords ExactlyOnce "is there 2 times");
catches!(basic_uncommitted: sink basic CommitsNothing ExactlyOnce "is missing");
catches!(stop_uncommitted: sink savepoint CommitsNothing ExactlyOnce "is missing");
catches!(sink_scale_up: sink scale_up RepeatsRecords ExactlyOnce "is there 2 times");
catches!(sink_scale_down: sink scale_down LosesARecord ExactlyOnce "is missing");
catches!(shown_too_early: sink undecided ShowsAtOnce ExactlyOnce "should not be there");
catches!(sink_failure_repeated: sink worker_failure RepeatsAfterAFailure ExactlyOnce "is there 2 times");
catches!(sink_failure_alike: sink worker_failure NamesOutputAlike ExactlyOnce "is missing");
catches!(staged_for_ever: sink basic LeavesWhatItStaged ExactlyOnce "left behind");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_that_are_one_off() {
    let told = told!(source, metrics, Nothing, ExactlyOnce, Miscounts(Embedded::new()));
    assert!(told.is_some_and(|t| t.contains("numRecordsIn is Some(801) after 800 records")));
    let told = told!(sink, metrics, Nothing, ExactlyOnce, Miscounts(Embedded::new()));
    assert!(told.is_some_and(|t| t.contains("numRecordsSend is Some(801) after 800 records")));
}

/// What is promised less is not asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repetitions_are_at_least_once() {
    assert_eq!(told!(source, single_split, RepeatsRecords, AtLeastOnce), None);
    assert_eq!(told!(source, single_split, Nothing, ExactlyOnce), None);
    assert_eq!(told!(sink, basic, RepeatsRecords, AtLeastOnce), None);
    assert_eq!(told!(sink, basic, Nothing, ExactlyOnce), None);
}
