//! Sources, sinks and operators in memory, and a coordinator that only collects what it is told.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMillisecondType, UInt16Type};
use arrow_array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, TimestampMillisecondArray, UInt16Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use async_trait::async_trait;
use datafusion_physical_expr::expressions::Column;
use flott_connector::Versioned;
use flott_connector::factory::ChangelogMode;
use flott_connector::sink::{Committable, DeliveryGuarantee, Sink, SinkWriter, WriterContext};
use flott_connector::source::{
    Boundedness, ReaderEvent, Source, SourceBatch, SourceReader, SourceSplit, SplitEnumerator, SubtaskInfo,
};
use flott_connector::table::ObjectIdentifier;
use flott_core::clock::{Clock, SystemClock};
use flott_core::{ChangeBatch, CheckpointId, Error, FailPoints, Generation, Result, Watermark, key_group};
use flott_graph::spec::SinkConstraints;
use flott_graph::{Input, JobGraph, Node, NodeId, OperatorSpec, Partitioning, SinkSpec, SourceSpec, WatermarkSpec};
use flott_operator::{Operator, OperatorContext, Progress};
use flott_runtime::api::{RestoredOperator, SplitState};
use flott_runtime::metrics::JobMetrics;
use flott_runtime::{AttemptOptions, BuildOperator, Restored, TaskCommand, TaskEvent};
use flott_state::{OperatorSnapshot, RestoredRun, RestoredState, StateRun};
use tokio::sync::mpsc;

use crate::together::Attempts;

/// Nothing here takes longer, unless it hangs.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// `k BIGINT, v BIGINT, ts TIMESTAMP(3)`
pub(crate) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("k", DataType::Int64, false),
        Field::new("v", DataType::Int64, false),
        Field::new("ts", DataType::Timestamp(TimeUnit::Millisecond, None), false),
    ]))
}

pub(crate) fn batch(rows: impl IntoIterator<Item = (i64, i64, i64)>) -> ChangeBatch {
    let rows: Vec<_> = rows.into_iter().collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|r| r.0).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|r| r.1).collect::<Int64Array>()),
        Arc::new(TimestampMillisecondArray::from(rows.iter().map(|r| r.2).collect::<Vec<_>>())),
    ];
    ChangeBatch::append(RecordBatch::try_new(schema(), columns).expect("columns fit"))
}

pub(crate) fn rows_of(batch: &ChangeBatch) -> Vec<(i64, i64, i64)> {
    let k = batch.rows.column(0).as_primitive::<Int64Type>();
    let v = batch.rows.column(1).as_primitive::<Int64Type>();
    let ts = batch.rows.column(2).as_primitive::<TimestampMillisecondType>();
    (0..batch.num_rows()).map(|i| (k.value(i), v.value(i), ts.value(i))).collect()
}

// ---------------------------------------------------------------------------------------------------------- sources

/// What a split does at a step.
pub(crate) enum Step {
    Rows(ChangeBatch),
    /// Rows, and a watermark that the source knows.
    Known(ChangeBatch, i64),
    Sleep(Duration),
    /// Nothing more, without an end.
    Park,
    Finish,
    Fail(&'static str),
    Panic(&'static str),
}

/// By split and number of the step.
pub(crate) type Script = Arc<dyn Fn(usize, u64) -> Step + Send + Sync>;

pub(crate) struct ScriptSource {
    pub(crate) script: Script,
    /// Bytes that readers have handed over.
    pub(crate) produced: Arc<AtomicU64>,
}

impl ScriptSource {
    pub(crate) fn new(script: impl Fn(usize, u64) -> Step + Send + Sync + 'static) -> ScriptSource {
        ScriptSource { script: Arc::new(script), produced: Arc::default() }
    }
}

impl Source for ScriptSource {
    fn boundedness(&self) -> Boundedness {
        Boundedness::ContinuousUnbounded
    }
    fn create_enumerator(&self, _restored: Option<Versioned>) -> Result<Box<dyn SplitEnumerator>> {
        Err(Error::internal("the test assigns the splits"))
    }
    fn create_reader(&self, _subtask: SubtaskInfo) -> Result<Box<dyn SourceReader>> {
        Ok(Box::new(ScriptReader {
            script: Arc::clone(&self.script),
            produced: Arc::clone(&self.produced),
            splits: VecDeque::new(),
            wake: HashMap::new(),
            paused: BTreeSet::new(),
            no_more: false,
        }))
    }
}

/// Where a split stands: steps done and rows handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) step: u64,
    pub(crate) rows: u64,
}

impl Position {
    fn write(self) -> Versioned {
        let mut bytes = self.step.to_le_bytes().to_vec();
        bytes.extend(self.rows.to_le_bytes());
        Versioned::new(1, bytes)
    }
    pub(crate) fn read(v: &Versioned) -> Position {
        let at = |i: usize| u64::from_le_bytes(v.bytes[i..i + 8].try_into().expect("8 bytes"));
        Position { step: at(0), rows: at(8) }
    }
}

pub(crate) fn split(index: usize) -> SplitState {
    let data = Position { step: 0, rows: 0 }.write();
    SplitState { split: SourceSplit { id: format!("split-{index}"), data }, watermark_ms: i64::MIN }
}

struct OpenSplit {
    id: String,
    index: usize,
    at: Position,
}

struct ScriptReader {
    script: Script,
    produced: Arc<AtomicU64>,
    splits: VecDeque<OpenSplit>,
    wake: HashMap<usize, tokio::time::Instant>,
    paused: BTreeSet<String>,
    no_more: bool,
}

#[async_trait]
impl SourceReader for ScriptReader {
    fn add_splits(&mut self, splits: Vec<SourceSplit>) -> Result<()> {
        for s in splits {
            let index = s.id.trim_start_matches("split-").parse().expect("a number");
            self.splits.push_back(OpenSplit { index, at: Position::read(&s.data), id: s.id });
        }
        Ok(())
    }
    fn no_more_splits(&mut self) {
        self.no_more = true;
    }
    fn pause_or_resume_splits(&mut self, pause: &[String], resume: &[String]) {
        self.paused.extend(pause.iter().cloned());
        self.paused.retain(|id| !resume.contains(id));
    }
    async fn next(&mut self) -> Result<ReaderEvent> {
        let mut waiting = 0;
        loop {
            // A reader that never waits must not starve the others of the runtime.
            tokio::task::yield_now().await;
            let Some(s) = self.splits.front_mut() else {
                return Ok(if self.no_more { ReaderEvent::EndOfInput } else { ReaderEvent::NeedSplits });
            };
            let step = if self.paused.contains(&s.id) { Step::Park } else { (self.script)(s.index, s.at.step) };
            let (rows, watermark) = match step {
                Step::Rows(rows) => (rows, None),
                Step::Known(rows, ms) => (rows, Some(Watermark(ms))),
                Step::Finish => {
                    let split = self.splits.pop_front().expect("looked at").id;
                    return Ok(ReaderEvent::SplitFinished { split });
                }
                Step::Fail(text) => return Err(Error::data(text)),
                Step::Panic(text) => panic!("{text}"),
                Step::Sleep(duration) => {
                    let at = *self.wake.entry(s.index).or_insert_with(|| tokio::time::Instant::now() + duration);
                    if at <= tokio::time::Instant::now() {
                        self.wake.remove(&s.index);
                        s.at.step += 1;
                        waiting = 0;
                        continue;
                    }
                    waiting += 1;
                    self.splits.rotate_left(1);
                    if waiting >= self.splits.len() {
                        // Nothing is lost where this future is dropped: the time is kept.
                        let first = self.wake.values().min().copied().unwrap_or(at);
                        tokio::time::sleep_until(first).await;
                        waiting = 0;
                    }
                    continue;
                }
                Step::Park => {
                    waiting += 1;
                    self.splits.rotate_left(1);
                    if waiting >= self.splits.len() {
                        match self.wake.values().min().copied() {
                            Some(first) => tokio::time::sleep_until(first).await,
                            None => std::future::pending().await,
                        }
                        waiting = 0;
                    }
                    continue;
                }
            };
            s.at.step += 1;
            s.at.rows += rows.num_rows() as u64;
            let batch = SourceBatch {
                split: s.id.clone(),
                position: s.at.write(),
                watermark,
                skipped: 0,
                dead_letters: None,
                rows: rows.clone(),
            };
            self.splits.rotate_left(1);
            self.produced.fetch_add(rows.size_bytes() as u64, Ordering::SeqCst);
            return Ok(ReaderEvent::Batch(batch));
        }
    }
}

// ------------------------------------------------------------------------------------------------------------ sinks

/// What a writer does with a batch.
pub(crate) enum Write {
    Take,
    After(Duration),
    Never,
    Fail(&'static str),
    Panic(&'static str),
}

/// Everything that the writers of a sink have seen.
#[derive(Default)]
pub(crate) struct Seen {
    /// Rows in the order of their arrival, whatever the subtask.
    pub(crate) rows: Mutex<Vec<(i64, i64, i64)>>,
    /// The same with the subtask, watermarks among the rows.
    pub(crate) by_subtask: Mutex<BTreeMap<usize, Vec<Entry>>>,
    /// What was prepared, by the committable's id.
    pub(crate) staged: Mutex<BTreeMap<String, Vec<(i64, i64, i64)>>>,
    /// The parallelism that writers were told.
    pub(crate) parallelism: Mutex<BTreeSet<usize>>,
    pub(crate) bytes: AtomicU64,
    pub(crate) count: AtomicU64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    Row(i64, i64, i64),
    Watermark(i64),
}

pub(crate) struct MemorySink {
    pub(crate) seen: Arc<Seen>,
    pub(crate) write: Arc<dyn Fn(usize, &ChangeBatch) -> Write + Send + Sync>,
    /// Rows are counted, not kept.
    pub(crate) count_only: bool,
}

impl MemorySink {
    pub(crate) fn new() -> MemorySink {
        MemorySink { seen: Arc::default(), write: Arc::new(|_, _| Write::Take), count_only: false }
    }
    pub(crate) fn counting(write: impl Fn(usize, &ChangeBatch) -> Write + Send + Sync + 'static) -> MemorySink {
        MemorySink { seen: Arc::default(), write: Arc::new(write), count_only: true }
    }
}

impl Sink for MemorySink {
    fn guarantee(&self) -> DeliveryGuarantee {
        DeliveryGuarantee::ExactlyOnce
    }
    fn create_writer(&self, context: WriterContext, restored: Vec<Versioned>) -> Result<Box<dyn SinkWriter>> {
        let checkpoints = restored.first().map_or(0, |v| u64::from_le_bytes(v.bytes[..8].try_into().expect("8 bytes")));
        self.seen.parallelism.lock().expect("lock").insert(context.subtask.parallelism);
        Ok(Box::new(MemoryWriter {
            context,
            seen: Arc::clone(&self.seen),
            write: Arc::clone(&self.write),
            count_only: self.count_only,
            open: vec![],
            flushed: true,
            checkpoints,
        }))
    }
}

struct MemoryWriter {
    context: WriterContext,
    seen: Arc<Seen>,
    write: Arc<dyn Fn(usize, &ChangeBatch) -> Write + Send + Sync>,
    count_only: bool,
    open: Vec<(i64, i64, i64)>,
    flushed: bool,
    checkpoints: u64,
}

#[async_trait]
impl SinkWriter for MemoryWriter {
    async fn write(&mut self, batch: ChangeBatch) -> Result<()> {
        match (self.write)(self.context.subtask.index, &batch) {
            Write::Take => {}
            Write::After(duration) => tokio::time::sleep(duration).await,
            Write::Never => std::future::pending().await,
            Write::Fail(text) => return Err(Error::data(text)),
            Write::Panic(text) => panic!("{text}"),
        }
        self.flushed = false;
        self.seen.bytes.fetch_add(batch.size_bytes() as u64, Ordering::SeqCst);
        self.seen.count.fetch_add(batch.num_rows() as u64, Ordering::SeqCst);
        if !self.count_only {
            let rows = rows_of(&batch);
            self.open.extend(&rows);
            let mut by_subtask = self.seen.by_subtask.lock().expect("lock");
            let entries = by_subtask.entry(self.context.subtask.index).or_default();
            entries.extend(rows.iter().map(|r| Entry::Row(r.0, r.1, r.2)));
            self.seen.rows.lock().expect("lock").extend(rows);
        }
        Ok(())
    }
    async fn write_watermark(&mut self, watermark: Watermark) -> Result<()> {
        let mut by_subtask = self.seen.by_subtask.lock().expect("lock");
        by_subtask.entry(self.context.subtask.index).or_default().push(Entry::Watermark(watermark.0));
        Ok(())
    }
    async fn flush(&mut self, _end_of_input: bool) -> Result<()> {
        self.flushed = true;
        Ok(())
    }
    async fn prepare_commit(&mut self, checkpoint: CheckpointId) -> Result<Vec<Committable>> {
        assert!(self.flushed, "prepare_commit without flush");
        let id = format!("{}-{}-{}", self.context.generation, self.context.subtask.index, checkpoint);
        let rows = std::mem::take(&mut self.open);
        let before = self.seen.staged.lock().expect("lock").insert(id.clone(), rows);
        assert!(before.is_none(), "{id} was prepared twice");
        Ok(vec![Committable { id, data: Versioned::default() }])
    }
    async fn snapshot_state(&mut self, _checkpoint: CheckpointId) -> Result<Vec<Versioned>> {
        self.checkpoints += 1;
        Ok(vec![Versioned::new(1, self.checkpoints.to_le_bytes().to_vec())])
    }
}

// -------------------------------------------------------------------------------------------------------- operators

pub(crate) struct Pass;
impl Operator for Pass {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        context.emit(batch);
        Ok(Progress::Done)
    }
}

/// Each row `factor` times, all at once.
pub(crate) struct Explode {
    pub(crate) factor: usize,
    /// Bytes emitted so far, all subtasks.
    pub(crate) emitted: Arc<AtomicU64>,
}

impl Operator for Explode {
    fn process_batch(&mut self, _input: usize, rows: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        let out = batch(rows_of(&rows).into_iter().flat_map(|r| std::iter::repeat_n(r, self.factor)));
        self.emitted.fetch_add(out.size_bytes() as u64, Ordering::SeqCst);
        context.emit(out);
        Ok(Progress::Done)
    }
}

/// Sums by key; emits `(key, sum, rows)` at the end of its input.
#[derive(Default)]
pub(crate) struct SumByKey {
    sums: BTreeMap<i64, (i64, i64)>,
    max_parallelism: u16,
    ended: usize,
    inputs: usize,
}

impl SumByKey {
    pub(crate) fn new(inputs: usize, max_parallelism: u16) -> SumByKey {
        SumByKey { inputs, max_parallelism, ..SumByKey::default() }
    }
}

fn group_of(key: i64, max_parallelism: u16) -> u16 {
    let column: ArrayRef = Arc::new(Int64Array::from(vec![key]));
    let mut hashes = vec![];
    key_group::hash_rows(&[column], 1, &mut hashes).expect("hashable");
    key_group::key_group(hashes[0], max_parallelism)
}

impl Operator for SumByKey {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, _context: &mut OperatorContext) -> Result<Progress> {
        for (i, (k, v, _)) in rows_of(&batch).into_iter().enumerate() {
            let sign = if batch.kind(i).is_addition() { 1 } else { -1 };
            let sum = self.sums.entry(k).or_default();
            sum.0 += sign * v;
            sum.1 += sign;
        }
        Ok(Progress::Done)
    }
    fn end_input(&mut self, _input: usize, context: &mut OperatorContext) -> Result<Progress> {
        self.ended += 1;
        if self.ended == self.inputs {
            context.emit(batch(std::mem::take(&mut self.sums).into_iter().map(|(k, (s, n))| (k, s, n))));
        }
        Ok(Progress::Done)
    }
    fn snapshot_state(&mut self) -> Result<OperatorSnapshot> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.sums.keys().map(|k| group_of(*k, self.max_parallelism)).collect::<UInt16Array>()),
            Arc::new(self.sums.keys().copied().collect::<Int64Array>()),
            Arc::new(self.sums.values().map(|s| s.0).collect::<Int64Array>()),
            Arc::new(self.sums.values().map(|s| s.1).collect::<Int64Array>()),
        ];
        let field = |n: &str| Field::new(n, DataType::Int64, false);
        let schema = Schema::new(vec![StateRun::key_group_field(), field("k"), field("sum"), field("rows")]);
        let rows = RecordBatch::try_new(Arc::new(schema), columns)?;
        Ok(OperatorSnapshot { version: 1, meta: vec![], runs: vec![StateRun::seal("sums", rows)?] })
    }
    fn restore_state(&mut self, state: RestoredState) -> Result<()> {
        for run in state.table("sums") {
            for (k, s, n) in sums_of(run) {
                let sum = self.sums.entry(k).or_default();
                sum.0 += s;
                sum.1 += n;
            }
        }
        Ok(())
    }
}

pub(crate) fn sums_of(run: &StateRun) -> Vec<(i64, i64, i64)> {
    let column = |i: usize| run.rows().expect("rows").column(i).as_primitive::<Int64Type>().clone();
    let (k, s, n) = (column(1), column(2), column(3));
    (0..k.len()).map(|i| (k.value(i), s.value(i), n.value(i))).collect()
}

/// Holds rows back until the barrier, a watermark or the end, as a local aggregate does.
#[derive(Default)]
pub(crate) struct HoldBack {
    held: Vec<ChangeBatch>,
    most: usize,
}

impl HoldBack {
    pub(crate) fn new(most: usize) -> HoldBack {
        HoldBack { held: vec![], most }
    }
    fn release(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        std::mem::take(&mut self.held).into_iter().for_each(|b| context.emit(b));
        Ok(Progress::Done)
    }
}

impl Operator for HoldBack {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        self.held.push(batch);
        if self.held.len() > self.most { self.release(context) } else { Ok(Progress::Done) }
    }
    fn process_watermark(&mut self, watermark: Watermark, context: &mut OperatorContext) -> Result<Progress> {
        let progress = self.release(context);
        context.emit_watermark(watermark);
        progress
    }
    fn prepare_snapshot(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.release(context)
    }
    fn end_input(&mut self, _input: usize, context: &mut OperatorContext) -> Result<Progress> {
        self.release(context)
    }
    fn snapshot_state(&mut self) -> Result<OperatorSnapshot> {
        assert!(self.held.is_empty(), "rows were held back over a barrier");
        Ok(OperatorSnapshot::default())
    }
    fn holds_output(&self) -> bool {
        !self.held.is_empty()
    }
}

/// Each row `factor` times, in pieces.
pub(crate) struct Amplify {
    pub(crate) factor: usize,
    pub(crate) piece: usize,
    left: VecDeque<((i64, i64, i64), usize)>,
    /// Emitted so far, all subtasks.
    pub(crate) emitted: Arc<AtomicU64>,
}

impl Amplify {
    pub(crate) fn new(factor: usize, piece: usize, emitted: Arc<AtomicU64>) -> Amplify {
        Amplify { factor, piece, left: VecDeque::new(), emitted }
    }
}

impl Operator for Amplify {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        self.left.extend(rows_of(&batch).into_iter().map(|r| (r, self.factor)));
        self.resume(context)
    }
    fn resume(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        let Some((row, left)) = self.left.front_mut() else { return Ok(Progress::Done) };
        let n = self.piece.min(*left);
        let first = self.factor - *left;
        context.emit(batch((first..first + n).map(|i| (row.0 + i as i64, row.1, row.2))));
        self.emitted.fetch_add(n as u64, Ordering::SeqCst);
        *left -= n;
        if *left == 0 {
            self.left.pop_front();
        }
        Ok(if self.left.is_empty() { Progress::Done } else { Progress::More })
    }
    fn snapshot_state(&mut self) -> Result<OperatorSnapshot> {
        assert!(self.left.is_empty(), "a barrier in the middle of an emission");
        Ok(OperatorSnapshot::default())
    }
}

// ------------------------------------------------------------------------------------------------------------ graph

/// Builds the operator of a node from its name.
pub(crate) type Make = Arc<dyn Fn(&Node, usize, u16) -> Box<dyn Operator> + Send + Sync>;

pub(crate) struct Graph {
    pub(crate) graph: JobGraph,
    operators: HashMap<String, Make>,
}

impl Graph {
    pub(crate) fn new() -> Graph {
        Graph { graph: JobGraph::new("test"), operators: HashMap::new() }
    }
    fn add(&mut self, name: &str, spec: OperatorSpec, inputs: Vec<Input>) -> NodeId {
        self.graph.add(Node {
            uid: format!("{name}-{}", self.graph.nodes.len()),
            name: name.to_string(),
            spec,
            inputs,
            schema: schema(),
            changelog_mode: ChangelogMode::INSERT_ONLY,
            parallelism: None,
        })
    }
    pub(crate) fn source(&mut self, source: ScriptSource, watermark: Option<WatermarkSpec>) -> NodeId {
        self.limited_source(source, watermark, None)
    }
    pub(crate) fn limited_source(
        &mut self,
        source: ScriptSource,
        watermark: Option<WatermarkSpec>,
        parallelism: Option<usize>,
    ) -> NodeId {
        let table = ObjectIdentifier::new("c", "d", "source");
        let spec = SourceSpec { table, source: Arc::new(source), watermark, parallelism };
        self.add("source", OperatorSpec::Source(spec), vec![])
    }
    pub(crate) fn operator(
        &mut self,
        name: &str,
        inputs: &[(NodeId, Partitioning)],
        make: impl Fn(&Node, usize, u16) -> Box<dyn Operator> + Send + Sync + 'static,
    ) -> NodeId {
        self.operators.insert(name.to_string(), Arc::new(make));
        let inputs = inputs.iter().map(|(n, p)| Input::new(*n, p.clone())).collect();
        self.add(name, OperatorSpec::Union, inputs)
    }
    pub(crate) fn sum(&mut self, inputs: &[(NodeId, Partitioning)]) -> NodeId {
        let n = inputs.len();
        self.operator("sum", inputs, move |_, _, max| Box::new(SumByKey::new(n, max)))
    }
    pub(crate) fn sink(&mut self, sink: MemorySink, input: NodeId, partitioning: Partitioning) -> (NodeId, Arc<Seen>) {
        let seen = Arc::clone(&sink.seen);
        let spec = SinkSpec {
            table: ObjectIdentifier::new("c", "d", "sink"),
            sink: Arc::new(sink),
            constraints: SinkConstraints::default(),
        };
        (self.add("sink", OperatorSpec::Sink(spec), vec![Input::new(input, partitioning)]), seen)
    }
}

/// Watermarks from the column `ts`.
pub(crate) fn watermark(delay_ms: u64, idle: Option<Duration>) -> WatermarkSpec {
    let ts = || Arc::new(Column::new("ts", 2));
    WatermarkSpec {
        rowtime: ts(),
        expression: ts(),
        from_source: false,
        pushed_down: false,
        is_shown: false,
        interval: Duration::from_millis(delay_ms),
        idle_timeout: idle,
        alignment: None,
    }
}

// ------------------------------------------------------------------------------------------------------ coordinator

type TaskId = (NodeId, usize);

/// Everything that the tasks have said.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) sources: BTreeMap<u64, BTreeMap<TaskId, Vec<SplitState>>>,
    pub(crate) operators: BTreeMap<u64, BTreeMap<TaskId, (i64, OperatorSnapshot)>>,
    pub(crate) sinks: BTreeMap<u64, BTreeMap<TaskId, (Vec<Committable>, Vec<Versioned>)>>,
    pub(crate) last: BTreeMap<TaskId, Vec<Committable>>,
    pub(crate) registered: BTreeSet<TaskId>,
    pub(crate) ended: BTreeSet<TaskId>,
    /// Where readers stood that were made to end.
    pub(crate) drained: BTreeMap<TaskId, Vec<SplitState>>,
    pub(crate) requests: usize,
    /// What readers say of their event time: watermark, and whether they wait.
    pub(crate) reports: Vec<(TaskId, Option<i64>, bool)>,
    pub(crate) failed: Vec<(Option<NodeId>, String)>,
    pub(crate) finished: Option<bool>,
}

pub(crate) struct Job {
    pub(crate) attempt: Attempts,
    events: mpsc::Receiver<TaskEvent>,
    pub(crate) graph: Arc<JobGraph>,
    pub(crate) parallelism: usize,
    pub(crate) log: Log,
    pub(crate) metrics: Arc<JobMetrics>,
    splits: HashMap<NodeId, Vec<SplitState>>,
    /// Readers are told that no split follows.
    pub(crate) tell_end: bool,
    next_checkpoint: u64,
}

pub(crate) struct Options {
    pub(crate) parallelism: usize,
    pub(crate) processes: usize,
    pub(crate) in_flight_bytes: usize,
    pub(crate) memory_bytes_max: Option<u64>,
    pub(crate) generation: u64,
    pub(crate) first_epoch: u64,
    pub(crate) restored: Restored,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Options {
    pub(crate) fn new(parallelism: usize) -> Options {
        Options {
            parallelism,
            processes: 1,
            in_flight_bytes: 4 << 20,
            memory_bytes_max: None,
            generation: 1,
            first_epoch: 1,
            restored: Restored::default(),
            clock: SystemClock::shared(),
        }
    }
}

impl Job {
    /// Starts; the splits of each source are given to its readers in turn.
    pub(crate) fn start(graph: Graph, splits: &[(NodeId, Vec<SplitState>)], options: Options) -> Job {
        let Graph { graph, operators } = graph;
        let graph = Arc::new(graph);
        graph.validate().expect("a valid graph");
        let metrics = Arc::new(JobMetrics::new(graph.nodes.len(), options.parallelism));
        let attempt_options = AttemptOptions {
            lineage: "lineage".into(),
            generation: Generation(options.generation),
            parallelism: options.parallelism,
            in_flight_bytes: options.in_flight_bytes,
            memory_bytes_max: options.memory_bytes_max,
            buffer_timeout: Duration::from_millis(5),
            first_epoch: CheckpointId(options.first_epoch),
            clock: Arc::clone(&options.clock),
            fail_points: FailPoints::none(),
            metrics: Arc::clone(&metrics),
            base_dir: PathBuf::new(),
        };
        let build: BuildOperator = Arc::new(move |node, subtask, _parallelism, max_parallelism| {
            Ok(match operators.get(&node.name) {
                Some(make) => make(node, subtask, max_parallelism),
                None => Box::new(Pass),
            })
        });
        let (sender, events) = mpsc::channel(16);
        let attempt = Attempts::start(options.processes, &graph, &build, &attempt_options, &options.restored, sender);
        Job {
            attempt,
            events,
            graph,
            parallelism: options.parallelism,
            log: Log::default(),
            metrics,
            splits: splits.iter().cloned().collect(),
            tell_end: true,
            next_checkpoint: options.first_epoch,
        }
    }

    pub(crate) fn readers(&self, node: NodeId) -> usize {
        match &self.graph.node(node).spec {
            OperatorSpec::Source(s) => s.parallelism.unwrap_or(self.parallelism).min(self.parallelism),
            _ => self.parallelism,
        }
    }

    pub(crate) fn trigger(&mut self) -> u64 {
        let id = self.next_checkpoint;
        self.next_checkpoint += 1;
        self.attempt.send(TaskCommand::TriggerCheckpoint(CheckpointId(id)));
        id
    }

    /// The checkpoint with which the job is to end.
    pub(crate) fn trigger_last(&mut self) -> u64 {
        let id = self.next_checkpoint;
        self.next_checkpoint += 1;
        self.attempt.send(TaskCommand::StopWithCheckpoint(CheckpointId(id)));
        id
    }

    pub(crate) fn skip_checkpoints(&mut self, n: u64) {
        self.next_checkpoint += n;
    }

    /// Handles one event; false where none came in time.
    pub(crate) async fn step(&mut self, timeout: Duration) -> bool {
        let Ok(event) = tokio::time::timeout(timeout, self.events.recv()).await else { return false };
        let Some(event) = event else {
            assert!(self.log.finished.is_some(), "the events ended without Ended");
            return false;
        };
        assert!(self.log.finished.is_none(), "something followed Ended: {event:?}");
        match event {
            TaskEvent::ReaderRegistered { node, subtask } => {
                assert!(self.log.registered.insert((node, subtask)), "registered twice");
                let n = self.readers(node);
                assert!(subtask < n, "a reader beyond the source's parallelism");
                let all = self.splits.get(&node).cloned().unwrap_or_default();
                let splits: Vec<_> =
                    all.into_iter().enumerate().filter(|(i, _)| i % n == subtask).map(|s| s.1).collect();
                if !splits.is_empty() {
                    self.attempt.send(TaskCommand::AssignSplits { node, subtask, splits });
                }
                if self.tell_end {
                    self.attempt.send(TaskCommand::NoMoreSplits { node, subtask });
                }
            }
            TaskEvent::SplitRequest { .. } => self.log.requests += 1,
            TaskEvent::SourceEvent { .. } => {}
            TaskEvent::WatermarkReport { node, subtask, watermark_ms, held } => {
                self.log.reports.push(((node, subtask), watermark_ms, held));
            }
            TaskEvent::SourceSnapshot { checkpoint, node, subtask, splits } => {
                assert!(!self.log.ended.contains(&(node, subtask)), "a snapshot after the end");
                let before = self.log.sources.entry(checkpoint.0).or_default().insert((node, subtask), splits);
                assert!(before.is_none(), "two snapshots of one reader");
            }
            TaskEvent::SourceDrained { node, subtask, splits } => {
                assert!(!self.log.ended.contains(&(node, subtask)), "drained after the end");
                self.log.drained.insert((node, subtask), splits);
            }
            TaskEvent::SourceEnded { node, subtask } | TaskEvent::OperatorEnded { node, subtask } => {
                assert!(self.log.ended.insert((node, subtask)), "ended twice");
            }
            TaskEvent::OperatorSnapshot { checkpoint, node, subtask, watermark_ms, snapshot } => {
                assert!(!self.log.ended.contains(&(node, subtask)), "a snapshot after the end");
                let all = self.log.operators.entry(checkpoint.0).or_default();
                assert!(
                    all.insert((node, subtask), (watermark_ms, snapshot)).is_none(),
                    "two snapshots of one operator"
                );
            }
            TaskEvent::SinkPrepared { checkpoint, node, subtask, committables, writer_state } => {
                assert!(!self.log.last.contains_key(&(node, subtask)), "a report after the end");
                match checkpoint {
                    Some(c) => {
                        let all = self.log.sinks.entry(c.0).or_default();
                        assert!(all.insert((node, subtask), (committables, writer_state)).is_none(), "prepared twice");
                    }
                    None => {
                        self.log.last.insert((node, subtask), committables);
                    }
                }
            }
            TaskEvent::Failed { node, error } => self.log.failed.push((node, error.to_string())),
            TaskEvent::Ended { finished } => self.log.finished = Some(finished),
        }
        true
    }

    /// Handles events until this holds; panics where it does not come true in time.
    pub(crate) async fn until(&mut self, what: &str, mut holds: impl FnMut(&Log) -> bool) {
        let deadline = self.now() + LONG;
        while !holds(&self.log) {
            let left = deadline.saturating_sub(self.now());
            let more = self.step(left.min(Duration::from_millis(20))).await;
            assert!(more || !left.is_zero(), "waited in vain for: {what}; failures: {:?}", self.log.failed);
            assert!(
                more || self.log.finished.is_none() || holds(&self.log),
                "ended before: {what}; {:?}",
                self.log.failed
            );
        }
    }

    /// Handles events for a while.
    pub(crate) async fn work_for(&mut self, duration: Duration) {
        let deadline = self.now() + duration;
        while self.now() < deadline {
            self.step(deadline.saturating_sub(self.now())).await;
        }
    }

    #[expect(clippy::disallowed_methods, reason = "a test's deadline must not depend on the job's clock")]
    pub(crate) fn now(&self) -> Duration {
        static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        START.get_or_init(std::time::Instant::now).elapsed()
    }

    /// Everybody who takes part in the checkpoint has reported or ended.
    pub(crate) fn is_complete(&self, checkpoint: u64) -> bool {
        let log = &self.log;
        self.graph.iter().all(|(id, node)| {
            (0..self.parallelism).all(|s| {
                let t = (id, s);
                let reported = match node.spec {
                    OperatorSpec::Source(_) => log.sources.get(&checkpoint).is_some_and(|m| m.contains_key(&t)),
                    OperatorSpec::Sink(_) => log.sinks.get(&checkpoint).is_some_and(|m| m.contains_key(&t)),
                    _ => log.operators.get(&checkpoint).is_some_and(|m| m.contains_key(&t)),
                };
                reported || log.ended.contains(&t) || log.last.contains_key(&t)
            })
        })
    }

    pub(crate) async fn complete(&mut self, checkpoint: u64) {
        let deadline = self.now() + LONG;
        while !self.is_complete(checkpoint) {
            assert!(self.log.failed.is_empty(), "{:?}", self.log.failed);
            assert!(self.now() < deadline, "checkpoint {checkpoint} is not complete: {}", self.missing(checkpoint));
            self.step(Duration::from_millis(20)).await;
        }
    }

    fn missing(&self, checkpoint: u64) -> String {
        let l = &self.log;
        format!(
            "sources {:?}, operators {:?}, sinks {:?}, ended {:?}",
            l.sources.get(&checkpoint).map(|m| m.keys().collect::<Vec<_>>()),
            l.operators.get(&checkpoint).map(|m| m.keys().collect::<Vec<_>>()),
            l.sinks.get(&checkpoint).map(|m| m.keys().collect::<Vec<_>>()),
            l.ended
        )
    }

    /// Runs to the end of the input.
    pub(crate) async fn finish(&mut self) {
        self.until("the end", |l| l.finished.is_some()).await;
        assert!(self.log.failed.is_empty(), "{:?}", self.log.failed);
        assert_eq!(self.log.finished, Some(true));
        self.attempt.join().await;
    }

    /// Cancels and waits.
    pub(crate) async fn cancel(&mut self) {
        self.attempt.cancel();
        self.until("the end after a cancel", |l| l.finished.is_some()).await;
        self.attempt.join().await;
    }

    /// Rows before the barrier by the sources' positions. `full` are the rows of a whole split: one that is missing in
    /// the snapshot is finished.
    pub(crate) fn rows_by_position(&self, checkpoint: u64, all: &[usize], full: impl Fn(usize) -> u64) -> u64 {
        let states: BTreeMap<&str, u64> = self.log.sources[&checkpoint]
            .values()
            .flatten()
            .map(|s| (s.split.id.as_str(), Position::read(&s.split.data).rows))
            .collect();
        all.iter().map(|i| states.get(format!("split-{i}").as_str()).copied().unwrap_or_else(|| full(*i))).sum()
    }

    /// Rows in the state of a `SumByKey`.
    pub(crate) fn rows_in_state(&self, checkpoint: u64, node: NodeId) -> i64 {
        let of_node = self.log.operators[&checkpoint].iter().filter(|(t, _)| t.0 == node);
        of_node.flat_map(|(_, (_, s))| s.runs.iter()).flat_map(|r| sums_of(r)).map(|(_, _, n)| n).sum()
    }

    /// What a new attempt starts from, at another parallelism.
    pub(crate) fn restored(&self, checkpoint: u64, parallelism: usize) -> (Restored, HashMap<NodeId, Vec<SplitState>>) {
        let mut restored = Restored::default();
        let mut splits: HashMap<NodeId, Vec<SplitState>> = HashMap::new();
        for ((node, _), states) in &self.log.sources[&checkpoint] {
            splits.entry(*node).or_default().extend(states.iter().cloned());
        }
        for (id, node) in self.graph.iter() {
            if matches!(node.spec, OperatorSpec::Source(_)) {
                continue;
            }
            let empty = BTreeMap::new();
            let parts: Vec<_> =
                self.log.operators.get(&checkpoint).unwrap_or(&empty).iter().filter(|(t, _)| t.0 == id).collect();
            for subtask in 0..parallelism {
                let range = key_group::range_of(subtask, parallelism, self.graph.max_parallelism);
                let runs = parts
                    .iter()
                    .flat_map(|(_, (_, s))| &s.runs)
                    .map(|run| {
                        let keep: BooleanArray = run
                            .rows()
                            .expect("rows")
                            .column(0)
                            .as_primitive::<UInt16Type>()
                            .values()
                            .iter()
                            .map(|g| Some(range.contains(g)))
                            .collect();
                        let rows = arrow_select::filter::filter_record_batch(run.rows().expect("rows"), &keep)
                            .expect("filters");
                        RestoredRun { run: StateRun::seal(run.table.clone(), rows).expect("a run") }
                    })
                    .collect();
                let watermark_ms = parts.iter().map(|(_, (w, _))| *w).min();
                let state = RestoredState { version: 1, metas: vec![], runs };
                restored.operators.insert((id, subtask), RestoredOperator { watermark_ms, state, ended: false });
            }
            for ((n, s), (_, states)) in self.log.sinks.get(&checkpoint).into_iter().flatten() {
                if *n == id {
                    restored.writers.entry((id, s % parallelism)).or_default().extend(states.iter().cloned());
                }
            }
        }
        (restored, splits)
    }
}
