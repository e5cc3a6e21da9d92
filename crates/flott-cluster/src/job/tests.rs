//! Whole jobs in one process, of which a test decides what happens when.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, UInt16Array};
use arrow_schema::{DataType, Field, Schema};
use async_trait::async_trait;
use flott_connector::Versioned;
use flott_connector::factory::ChangelogMode;
use flott_connector::sink::{DeliveryGuarantee, Sink, SinkWriter, WriterContext};
use flott_connector::source::{
    Boundedness, CallOutput, EnumeratorContext, ReaderEvent, Source, SourceBatch, SourceReader, SourceSplit,
    SplitEnumerator, SubtaskInfo,
};
use flott_connector::table::ObjectIdentifier;
use flott_core::clock::SystemClock;
use flott_core::{ChangeBatch, CheckpointId, DecidedCheckpoint, ErrorKind, FailPoints, Result};
use flott_graph::spec::SinkConstraints;
use flott_graph::{Input, JobGraph, Node, OperatorSpec, Partitioning, SinkSpec, SourceSpec};
use flott_operator::{Operator, OperatorContext, Progress};
use flott_state::savepoint::Savepoint;
use flott_state::store::Begin;
use flott_state::{CheckpointStorage, CheckpointStore, OperatorSnapshot, RestoredState, StateRun};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::throttle::{ThrottleConfig, ThrottledStore};
use tokio::sync::watch;

use crate::control::{JobHandle, JobOutcome, SavepointTarget, StopMode};
use crate::options::CheckpointOptions;
use crate::restart::RestartStrategy;
use crate::status::JobStatus;
use crate::{JobSpec, start};

/// Nothing here takes longer, unless it hangs.
const LONG: Duration = Duration::from_secs(30);

/// What a test decides.
#[derive(Clone)]
struct Switches {
    /// Readers start.
    starts: Arc<watch::Sender<bool>>,
    /// The input has an end.
    ends: Arc<watch::Sender<bool>>,
    /// The input ends behind the next barrier.
    ends_behind_barrier: Arc<watch::Sender<bool>>,
    /// Writers come to the end of a checkpoint.
    flushes: Arc<watch::Sender<bool>>,
    /// The method of the enumerator that panics.
    panics_in: &'static str,
    /// With which splits the outside was told of checkpoints.
    told: Arc<watch::Sender<Vec<Vec<SourceSplit>>>>,
}

impl Switches {
    fn new() -> Switches {
        let switch = |on| Arc::new(watch::Sender::new(on));
        Switches {
            starts: switch(true),
            ends: switch(false),
            ends_behind_barrier: switch(false),
            flushes: switch(true),
            panics_in: "",
            told: Arc::new(watch::Sender::new(vec![])),
        }
    }
}

async fn is_on(switch: &watch::Sender<bool>) {
    switch.subscribe().wait_for(|on| *on).await.expect("the switch is there");
}

/// One split with a batch of rows.
struct Rows(Switches);

impl Source for Rows {
    fn boundedness(&self) -> Boundedness {
        Boundedness::ContinuousUnbounded
    }
    fn create_enumerator(&self, restored: Option<Versioned>) -> Result<Box<dyn SplitEnumerator>> {
        let told = Arc::clone(&self.0.told);
        let enumerator = Enumerator { given: restored.is_some(), panics_in: self.0.panics_in, told };
        enumerator.enter("create_enumerator");
        Ok(Box::new(enumerator))
    }
    fn reassigns_splits_on_recovery(&self) -> bool {
        self.0.panics_in == "add_splits_back"
    }
    fn create_reader(&self, _: SubtaskInfo) -> Result<Box<dyn SourceReader>> {
        Ok(Box::new(Reader { switches: self.0.clone(), split: None }))
    }
}

struct Enumerator {
    given: bool,
    panics_in: &'static str,
    told: Arc<watch::Sender<Vec<Vec<SourceSplit>>>>,
}

impl Enumerator {
    fn enter(&self, method: &str) {
        assert_ne!(self.panics_in, method, "an enumerator that panics");
    }
}

impl SplitEnumerator for Enumerator {
    fn start(&mut self, context: &mut EnumeratorContext) -> Result<()> {
        self.enter("start");
        if self.panics_in.contains("call") {
            let panics = self.panics_in == "call";
            context.call_async(async move { assert!(!panics, "an enumerator that panics") });
        }
        Ok(())
    }
    fn handle_call(&mut self, _: CallOutput, _: &mut EnumeratorContext) -> Result<()> {
        self.enter("handle_call");
        Ok(())
    }
    fn discovery_interval(&self) -> Option<Duration> {
        self.enter("discovery_interval");
        Some(Duration::from_millis(20))
    }
    fn discover(&mut self, _: &mut EnumeratorContext) -> Result<()> {
        self.enter("discover");
        Ok(())
    }
    fn add_reader(&mut self, reader: usize, context: &mut EnumeratorContext) -> Result<()> {
        self.enter("add_reader");
        if !std::mem::replace(&mut self.given, true) {
            context.assign(reader, vec![SourceSplit { id: "rows".into(), data: Versioned::new(1, vec![0]) }]);
        }
        Ok(())
    }
    fn handle_split_request(&mut self, _: usize, _: &mut EnumeratorContext) -> Result<()> {
        self.enter("handle_split_request");
        Ok(())
    }
    fn add_splits_back(&mut self, _: Vec<SourceSplit>, _: &mut EnumeratorContext) -> Result<()> {
        self.enter("add_splits_back");
        Ok(())
    }
    fn handle_source_event(&mut self, _: usize, _: Versioned, _: &mut EnumeratorContext) -> Result<()> {
        self.enter("handle_source_event");
        Ok(())
    }
    fn snapshot_state(&mut self, _: CheckpointId) -> Result<Versioned> {
        self.enter("snapshot_state");
        Ok(Versioned::new(1, vec![]))
    }
    fn notify_checkpoint_complete(
        &mut self,
        _: &DecidedCheckpoint,
        splits: &[SourceSplit],
        context: &mut EnumeratorContext,
    ) -> Result<()> {
        self.enter("notify_checkpoint_complete");
        let (told, splits) = (Arc::clone(&self.told), splits.to_vec());
        context.acknowledge(async move {
            // As long as something outside takes.
            tokio::time::sleep(Duration::from_millis(50)).await;
            told.send_modify(|told| told.push(splits));
        });
        Ok(())
    }
    fn notify_checkpoint_aborted(&mut self, _: CheckpointId, _: &mut EnumeratorContext) -> Result<()> {
        self.enter("notify_checkpoint_aborted");
        Ok(())
    }
}

struct Reader {
    switches: Switches,
    split: Option<SourceSplit>,
}

#[async_trait]
impl SourceReader for Reader {
    async fn start(&mut self) -> Result<()> {
        is_on(&self.switches.starts).await;
        Ok(())
    }
    fn add_splits(&mut self, splits: Vec<SourceSplit>) -> Result<()> {
        self.split = splits.into_iter().next();
        Ok(())
    }
    fn no_more_splits(&mut self) {}
    async fn next(&mut self) -> Result<ReaderEvent> {
        let Some(split) = &mut self.split else { return Ok(ReaderEvent::NeedSplits) };
        match std::mem::take(&mut self.switches.panics_in) {
            "handle_source_event" => return Ok(ReaderEvent::Event(Versioned::new(1, vec![]))),
            "handle_split_request" => return Ok(ReaderEvent::NeedSplits),
            _ => {}
        }
        if split.data.bytes[..] == [0] {
            split.data = Versioned::new(1, vec![1]);
            let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..10));
            let rows = ChangeBatch::append(RecordBatch::try_from_iter([("n", column)])?);
            let (split, position) = (split.id.clone(), split.data.clone());
            return Ok(ReaderEvent::Batch(SourceBatch {
                split,
                rows,
                position,
                watermark: None,
                skipped: 0,
                dead_letters: None,
            }));
        }
        is_on(&self.switches.ends).await;
        Ok(ReaderEvent::EndOfInput)
    }
    fn snapshot_taken(&mut self, _: CheckpointId, _: &[SourceSplit]) {
        if *self.switches.ends_behind_barrier.borrow() {
            self.switches.ends.send_replace(true);
        }
    }
}

/// Passes rows on and keeps their number.
struct Counting(i64);

impl Operator for Counting {
    fn process_batch(&mut self, _input: usize, rows: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        self.0 += rows.num_rows() as i64;
        context.emit(rows);
        Ok(Progress::Done)
    }
    fn snapshot_state(&mut self) -> Result<OperatorSnapshot> {
        let columns: Vec<ArrayRef> =
            vec![Arc::new(UInt16Array::from(vec![0])), Arc::new(Int64Array::from(vec![self.0]))];
        let schema = Schema::new(vec![StateRun::key_group_field(), Field::new("n", DataType::Int64, false)]);
        let run = StateRun::seal("count", RecordBatch::try_new(Arc::new(schema), columns)?)?;
        Ok(OperatorSnapshot { version: 1, meta: vec![], runs: vec![run] })
    }
    fn restore_state(&mut self, _: RestoredState) -> Result<()> {
        Ok(())
    }
}

struct Writes(Switches);

impl Sink for Writes {
    fn guarantee(&self) -> DeliveryGuarantee {
        DeliveryGuarantee::AtLeastOnce
    }
    fn create_writer(&self, _: WriterContext, _: Vec<Versioned>) -> Result<Box<dyn SinkWriter>> {
        Ok(Box::new(Writes(self.0.clone())))
    }
}

#[async_trait]
impl SinkWriter for Writes {
    async fn write(&mut self, _: ChangeBatch) -> Result<()> {
        Ok(())
    }
    async fn flush(&mut self, _end_of_input: bool) -> Result<()> {
        is_on(&self.0.flushes).await;
        Ok(())
    }
}

fn graph(switches: &Switches) -> JobGraph {
    let mut graph = JobGraph::new("job");
    let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
    let mut add = |uid: &str, spec: OperatorSpec, inputs: Vec<Input>| {
        graph.add(Node {
            uid: uid.to_string(),
            name: uid.to_string(),
            spec,
            inputs,
            schema: Arc::clone(&schema),
            changelog_mode: ChangelogMode::INSERT_ONLY,
            parallelism: None,
        })
    };
    let table = |name: &str| ObjectIdentifier::new("c", "d", name);
    let source = Arc::new(Rows(switches.clone()));
    let source = SourceSpec { table: table("source"), source, watermark: None, parallelism: None };
    let source = add("source", OperatorSpec::Source(source), vec![]);
    let count = add("count", OperatorSpec::Union, vec![Input::new(source, Partitioning::Forward)]);
    let sink = Arc::new(Writes(switches.clone()));
    let sink = SinkSpec { table: table("sink"), sink, constraints: SinkConstraints::default() };
    add("sink", OperatorSpec::Sink(sink), vec![Input::new(count, Partitioning::Forward)]);
    graph
}

fn storage(store: Arc<dyn ObjectStore>, folder: &str) -> CheckpointStorage {
    CheckpointStorage::Object { store, prefix: Path::from(folder), display: folder.to_string() }
}

/// Starts a job whose checkpoints are in `store`; its savepoints are in `savepoints`.
async fn job(
    switches: &Switches,
    store: Arc<dyn ObjectStore>,
    savepoints: &Arc<InMemory>,
    checkpoints: CheckpointOptions,
) -> JobHandle {
    try_job(switches, store, savepoints, checkpoints).await.expect("starts")
}

async fn try_job(
    switches: &Switches,
    store: Arc<dyn ObjectStore>,
    savepoints: &Arc<InMemory>,
    checkpoints: CheckpointOptions,
) -> Result<JobHandle> {
    let opened = CheckpointStore::open(storage(store, "job"), FailPoints::none(), Begin::Latest, 2).await;
    let savepoints = Arc::clone(savepoints);
    let spec = JobSpec {
        graph: Arc::new(graph(switches)),
        build: Arc::new(|_, _, _, _| Ok(Box::new(Counting(0)))),
        store: Some(opened.expect("opens")),
        parallelism: 1,
        processes: None,
        checkpoints,
        restarts: RestartStrategy::None,
        in_flight_bytes: 1 << 20,
        memory_bytes_max: None,
        buffer_timeout: Duration::from_millis(5),
        savepoints: Arc::new(move |_, name| Ok(storage(Arc::clone(&savepoints) as _, name))),
        allow_non_restored_state: false,
        allow_lost_output: false,
        clock: SystemClock::shared(),
        fail_points: FailPoints::none(),
        base_dir: PathBuf::new(),
    };
    start(spec).await
}

/// No checkpoint but those that are asked for.
fn asked_for() -> CheckpointOptions {
    CheckpointOptions { interval: None, ..CheckpointOptions::default() }
}

/// Waits until the reader has its split and has read it.
async fn has_read(job: &JobHandle) {
    let read = async {
        while job.metrics().sum(0, |m| &m.records_in) < 10 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, read).await.expect("the rows are read");
}

async fn outcome(job: &mut JobHandle) -> JobOutcome {
    tokio::time::timeout(LONG, job.wait()).await.expect("the job ends").expect("it ends well")
}

/// All tasks have ended, and the state of the checkpoint under way is not in the store yet: a savepoint of it holds that
/// state, and the end of the job is another checkpoint.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_the_input_waits_for_the_checkpoint_under_way() {
    let (switches, savepoints) = (Switches::new(), Arc::new(InMemory::new()));
    let slow = ThrottleConfig { wait_put_per_call: Duration::from_millis(300), ..ThrottleConfig::default() };
    let store = Arc::new(ThrottledStore::new(InMemory::new(), slow));
    let mut job = job(&switches, store, &savepoints, asked_for()).await;
    has_read(&job).await;
    switches.ends_behind_barrier.send_replace(true);
    let savepoint = tokio::time::timeout(LONG, job.savepoint(SavepointTarget::Configured)).await.expect("in time");
    let savepoint = savepoint.expect("a savepoint");
    let JobOutcome::Finished(state) = outcome(&mut job).await else { panic!("it has not finished") };
    assert_eq!(state.checkpoints, 2, "that of the savepoint and the last one");
    let opened = Savepoint::open(storage(savepoints, &savepoint.location)).await.expect("reads").expect("a savepoint");
    let manifest = opened.manifest();
    assert!(!manifest.finished, "it is of the barrier and not of the end");
    assert_eq!(manifest.operators["count"].runs.len(), 1);
    assert_eq!(manifest.sources["source"].splits.len(), 1);
}

/// The same where its state takes longer than a checkpoint may: the savepoint is refused, and the job finishes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_that_takes_too_long_does_not_hold_the_end() {
    let (switches, savepoints) = (Switches::new(), Arc::new(InMemory::new()));
    let slow = ThrottleConfig { wait_put_per_call: Duration::from_millis(1_500), ..ThrottleConfig::default() };
    let store = Arc::new(ThrottledStore::new(InMemory::new(), slow));
    let options = CheckpointOptions { timeout: Duration::from_millis(700), ..asked_for() };
    let mut job = job(&switches, store, &savepoints, options).await;
    has_read(&job).await;
    switches.ends_behind_barrier.send_replace(true);
    let savepoint = tokio::time::timeout(LONG, job.savepoint(SavepointTarget::Configured)).await.expect("in time");
    let refused = savepoint.expect_err("there is none").to_string();
    assert!(refused.contains("has processed all of its input"), "{refused}");
    assert!(matches!(outcome(&mut job).await, JobOutcome::Finished(state) if state.checkpoints == 1));
}

/// A drain that waits for its sources, and a stop that comes before they are there: the checkpoint of the stop comes to
/// nothing at first, and is taken again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_that_overtakes_a_drain_ends_the_job() {
    let (switches, savepoints) = (Switches::new(), Arc::new(InMemory::new()));
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let options =
        || CheckpointOptions { timeout: Duration::from_millis(300), tolerable_failures: 1_000, ..asked_for() };
    let mut first = job(&switches, Arc::clone(&store), &savepoints, options()).await;
    first.checkpoint().await.expect("taken");
    first.stop(StopMode::suspend()).await.expect("stops");
    assert!(matches!(outcome(&mut first).await, JobOutcome::Suspended(_)));

    switches.starts.send_replace(false);
    switches.flushes.send_replace(false);
    let mut second = job(&switches, store, &savepoints, options()).await;
    let client = second.client();
    let drained = tokio::spawn(async move { client.stop(StopMode::suspend().with_drain()).await });
    // It is asked for first.
    tokio::time::sleep(Duration::from_millis(200)).await;
    second.request_stop(StopMode::suspend()).await.expect("asked");
    tokio::time::sleep(Duration::from_millis(50)).await;
    switches.starts.send_replace(true);
    let mut states = second.watch();
    let given_up = states.wait_for(|state| state.failed_checkpoints > 0);
    tokio::time::timeout(LONG, given_up).await.expect("in time").expect("the job is there");
    switches.flushes.send_replace(true);
    assert!(matches!(outcome(&mut second).await, JobOutcome::Suspended(_)));
    let refused = drained.await.expect("no panic").expect_err("it was not drained").to_string();
    assert!(refused.contains("stopped the job before"), "{refused}");
}

/// However a job ends: that of its last checkpoint is decided when its readers are gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_outside_is_told_of_the_last_checkpoint() {
    for how in ["stop", "drain", "end"] {
        let (switches, savepoints) = (Switches::new(), Arc::new(InMemory::new()));
        let mut job = job(&switches, Arc::new(InMemory::new()), &savepoints, asked_for()).await;
        has_read(&job).await;
        match how {
            "stop" => drop(job.stop(StopMode::suspend()).await.expect("stops")),
            "drain" => drop(job.stop(StopMode::suspend().with_drain()).await.expect("stops")),
            _ => drop(switches.ends.send_replace(true)),
        }
        let ended = outcome(&mut job).await;
        assert_eq!(matches!(ended, JobOutcome::Finished(_)), how != "stop", "{how}: {ended:?}");
        let told = switches.told.borrow().clone();
        let positions: Vec<&[u8]> =
            told.last().unwrap_or_else(|| panic!("{how}: nobody was told")).iter().map(|s| &s.data.bytes[..]).collect();
        // Of an input that has ended by itself no split is left.
        let expected: &[&[u8]] = if how == "end" { &[] } else { &[&[1]] };
        assert_eq!(positions, expected, "{how}");
    }
}

/// A store that takes less than the job writes: what waits for it in memory has a bound.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn state_that_is_not_written_in_time_does_not_pile_up() {
    let (switches, savepoints) = (Switches::new(), Arc::new(InMemory::new()));
    let store = Arc::new(ThrottledStore::new(InMemory::new(), ThrottleConfig::default()));
    let options = CheckpointOptions {
        interval: Some(Duration::from_millis(20)),
        timeout: Duration::from_millis(100),
        tolerable_failures: u32::MAX,
        ..CheckpointOptions::default()
    };
    let mut job = job(&switches, Arc::clone(&store) as _, &savepoints, options).await;
    store.config_mut(|config| config.wait_put_per_call = Duration::from_secs(3));
    let error = tokio::time::timeout(LONG, job.wait()).await.expect("the job ends").expect_err("it fails").to_string();
    assert!(error.contains("4 checkpoints") && error.contains("still being written"), "{error}");
    assert!(job.state().failed_checkpoints >= 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_many_users_may_wait_for_a_checkpoint() {
    let (switches, savepoints) = (Switches::new(), Arc::new(InMemory::new()));
    switches.flushes.send_replace(false);
    let mut job = job(&switches, Arc::new(InMemory::new()), &savepoints, asked_for()).await;
    let client = job.client();
    let asked: Vec<_> = (0..1_200)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.checkpoint().await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    switches.flushes.send_replace(true);
    let (mut taken, mut refused) = (0, 0);
    for asked in asked {
        match asked.await.expect("no panic") {
            Ok(_) => taken += 1,
            Err(e) => {
                assert!(e.to_string().contains("others wait for a checkpoint"), "{e}");
                refused += 1;
            }
        }
    }
    assert!(taken >= 1_024 && refused > 0, "{taken} taken, {refused} refused");
    job.cancel().await;
    assert!(matches!(outcome(&mut job).await, JobOutcome::Cancelled(_)));
}

/// Which begins the job anew where that is what its method needs.
async fn fails_by_a_panic_in(method: &'static str) -> flott_core::Error {
    let (mut switches, savepoints) = (Switches::new(), Arc::new(InMemory::new()));
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let mut options =
        CheckpointOptions { interval: Some(Duration::from_millis(50)), tolerable_failures: 9, ..asked_for() };
    if method == "add_splits_back" {
        let mut first = job(&switches, Arc::clone(&store), &savepoints, asked_for()).await;
        has_read(&first).await;
        first.stop(StopMode::suspend()).await.expect("stops");
        outcome(&mut first).await;
    }
    if method == "notify_checkpoint_aborted" {
        switches.flushes.send_replace(false);
        options.timeout = Duration::from_millis(100);
    }
    switches.panics_in = method;
    match try_job(&switches, store, &savepoints, options).await {
        Err(error) => error,
        Ok(mut job) => {
            let ended = tokio::time::timeout(LONG, job.wait()).await;
            let error = ended.unwrap_or_else(|_| panic!("{method}: the job goes on")).expect_err(method);
            assert_eq!(job.state().status, JobStatus::Failed, "{method}");
            error
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_enumerator_that_panics_fails_the_job() {
    let methods = [
        "create_enumerator",
        "discovery_interval",
        "start",
        "call",
        "handle_call",
        "discover",
        "add_reader",
        "handle_split_request",
        "add_splits_back",
        "handle_source_event",
        "snapshot_state",
        "notify_checkpoint_complete",
        "notify_checkpoint_aborted",
    ];
    for method in methods {
        let error = fails_by_a_panic_in(method).await;
        assert_eq!(error.kind(), ErrorKind::Internal, "{method}: {error}");
        assert!(error.to_string().contains("panic"), "{method}: {error}");
    }
}

/// A bug of the coordinator itself: an interval that no option can have makes its reckoning of time overflow.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coordinator_that_panics_leaves_nothing_that_runs_on() {
    let (switches, savepoints) = (Switches::new(), Arc::new(InMemory::new()));
    let options = CheckpointOptions {
        interval: Some(Duration::from_millis(200)),
        min_pause: Duration::MAX,
        ..CheckpointOptions::default()
    };
    let mut job = job(&switches, Arc::new(InMemory::new()), &savepoints, options).await;
    has_read(&job).await;
    let with_reader = Arc::strong_count(&switches.starts);
    let error = tokio::time::timeout(LONG, job.wait()).await.expect("the job ends").expect_err("it fails");
    assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
    assert!(error.to_string().contains("coordinator panicked"), "{error}");
    assert_eq!(job.state().status, JobStatus::Failed);
    let ends = async {
        while Arc::strong_count(&switches.starts) >= with_reader {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, ends).await.expect("its tasks end");
}
