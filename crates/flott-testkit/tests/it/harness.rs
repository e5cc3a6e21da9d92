//! The harness calls a source in the order in which a job does.

use std::sync::{Arc, Mutex};

use flott_connector::source::*;
use flott_connector::{Boundedness, Versioned};
use flott_core::{CheckpointId, Result};
use flott_testkit::{SourceCheckpoint, SourceHarness};

type Calls = Arc<Mutex<Vec<String>>>;

/// Notes what it is asked.
struct Noted(Calls);

impl Noted {
    fn note(&self, call: String) {
        self.0.lock().expect("not poisoned").push(call);
    }
}

fn ids(splits: &[SourceSplit]) -> String {
    splits.iter().map(|s| s.id.as_str()).collect::<Vec<_>>().join(" ")
}

impl Source for Noted {
    fn boundedness(&self) -> Boundedness {
        Boundedness::Bounded
    }

    fn create_enumerator(&self, _restored: Option<Versioned>) -> Result<Box<dyn SplitEnumerator>> {
        Ok(Box::new(Noted(Arc::clone(&self.0))))
    }

    fn create_reader(&self, subtask: SubtaskInfo) -> Result<Box<dyn SourceReader>> {
        Ok(Box::new(NotedReader { source: Noted(Arc::clone(&self.0)), index: subtask.index }))
    }
}

impl SplitEnumerator for Noted {
    fn start(&mut self, context: &mut EnumeratorContext) -> Result<()> {
        self.note(format!("start with {} readers", context.readers.len()));
        Ok(())
    }

    fn add_reader(&mut self, reader: usize, context: &mut EnumeratorContext) -> Result<()> {
        self.note(format!("reader {reader} with {}", context.load[reader]));
        Ok(())
    }

    fn handle_split_request(&mut self, reader: usize, _context: &mut EnumeratorContext) -> Result<()> {
        self.note(format!("reader {reader} asks"));
        Ok(())
    }

    fn add_splits_back(&mut self, splits: Vec<SourceSplit>, _context: &mut EnumeratorContext) -> Result<()> {
        self.note(format!("back: {}", ids(&splits)));
        Ok(())
    }

    fn snapshot_state(&mut self, _checkpoint: CheckpointId) -> Result<Versioned> {
        Ok(Versioned::new(1, vec![]))
    }
}

struct NotedReader {
    source: Noted,
    index: usize,
}

#[async_trait::async_trait]
impl SourceReader for NotedReader {
    fn add_splits(&mut self, splits: Vec<SourceSplit>) -> Result<()> {
        self.source.note(format!("to reader {}: {}", self.index, ids(&splits)));
        Ok(())
    }

    fn no_more_splits(&mut self) {}

    async fn next(&mut self) -> Result<ReaderEvent> {
        Ok(ReaderEvent::NeedSplits)
    }
}

fn checkpoint() -> SourceCheckpoint {
    let split = |id: &str| SourceSplit { id: id.into(), data: Versioned::new(1, vec![]) };
    SourceCheckpoint { enumerator: Versioned::new(1, vec![]), splits: vec![split("a"), split("b"), split("c")] }
}

#[tokio::test]
async fn restored_splits_go_straight_to_their_readers() {
    let calls = Calls::default();
    let source: Arc<dyn Source> = Arc::new(Noted(Arc::clone(&calls)));
    let mut harness = SourceHarness::start(&source, 2, Some(checkpoint())).await.expect("restored");
    assert_eq!(
        *calls.lock().expect("not poisoned"),
        ["start with 0 readers", "to reader 0: a c", "reader 0 with 2", "to reader 1: b", "reader 1 with 1"]
    );
    assert_eq!(harness.snapshot().expect("a snapshot").splits, checkpoint().splits);
    calls.lock().expect("not poisoned").clear();
    SourceHarness::start(&source, 4, Some(checkpoint())).await.expect("restored");
    let last = calls.lock().expect("not poisoned").split_off(7);
    assert_eq!(last, ["reader 3 with 0", "reader 3 asks"], "one that has nothing asks");
}

#[tokio::test]
async fn splits_of_lost_readers_go_back() {
    let calls = Calls::default();
    let source: Arc<dyn Source> = Arc::new(Noted(Arc::clone(&calls)));
    SourceHarness::start_with_splits_back(&source, 1, checkpoint()).await.expect("restored");
    assert_eq!(
        *calls.lock().expect("not poisoned"),
        ["start with 0 readers", "back: a b c", "reader 0 with 0", "reader 0 asks"]
    );
}
