//! Sources that follow a script.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use flott_connector::Versioned;
use flott_connector::source::{
    Boundedness, ReaderEvent, Source, SourceBatch, SourceReader, SourceSplit, SplitEnumerator, SubtaskInfo,
};
use flott_core::{ChangeBatch, Error, Result, Watermark};
use flott_runtime::api::SplitState;

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
