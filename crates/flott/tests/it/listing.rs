//! Sources whose outside system does not answer: checkpoints go on meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flott::{Job, JobOutcome, Outcome, Session, StopMode, default_registry};
use flott_connector::factory::{ConnectorFactory, TableContext, TableSource};
use flott_connector::source::{
    CallOutput, ENUMERATOR_CALLS_MAX, EnumeratorContext, Source, SourceReader, SourceSplit, SplitEnumerator,
    SubtaskInfo,
};
use flott_connector::{Boundedness, Versioned};
use flott_core::options::ConfigOption;
use flott_core::{CheckpointId, Result};
use flott_testkit::values::{Values, ValuesStore};

/// A table of `values` whose enumerator looks for more in a system that never answers.
#[derive(Clone)]
struct Silent {
    values: Arc<dyn ConnectorFactory>,
    looks: Arc<AtomicUsize>,
    /// Questions that are asked at each look.
    questions: usize,
}

impl ConnectorFactory for Silent {
    fn identifier(&self) -> &'static str {
        "silent"
    }

    fn description(&self) -> &'static str {
        "Never answers."
    }

    fn options(&self) -> &'static [ConfigOption] {
        self.values.options()
    }

    fn source(&self, context: &TableContext) -> Result<TableSource> {
        let inner = self.values.source(context)?;
        let source = SilentSource { inner: Arc::clone(&inner.source), silent: self.clone() };
        Ok(TableSource { source: Arc::new(source), ..inner })
    }
}

struct SilentSource {
    inner: Arc<dyn Source>,
    silent: Silent,
}

impl Source for SilentSource {
    fn boundedness(&self) -> Boundedness {
        self.inner.boundedness()
    }

    fn create_enumerator(&self, restored: Option<Versioned>) -> Result<Box<dyn SplitEnumerator>> {
        let inner = self.inner.create_enumerator(restored)?;
        Ok(Box::new(SilentEnumerator { inner, silent: self.silent.clone(), looking: false }))
    }

    fn create_reader(&self, subtask: SubtaskInfo) -> Result<Box<dyn SourceReader>> {
        self.inner.create_reader(subtask)
    }
}

struct SilentEnumerator {
    inner: Box<dyn SplitEnumerator>,
    silent: Silent,
    looking: bool,
}

impl SplitEnumerator for SilentEnumerator {
    fn start(&mut self, context: &mut EnumeratorContext) -> Result<()> {
        self.inner.start(context)
    }

    fn discovery_interval(&self) -> Option<Duration> {
        Some(Duration::from_millis(10))
    }

    fn discover(&mut self, context: &mut EnumeratorContext) -> Result<()> {
        self.silent.looks.fetch_add(1, Ordering::SeqCst);
        if !std::mem::replace(&mut self.looking, true) {
            (0..self.silent.questions).for_each(|_| context.call_async(std::future::pending::<()>()));
        }
        Ok(())
    }

    fn handle_call(&mut self, _output: CallOutput, _context: &mut EnumeratorContext) -> Result<()> {
        panic!("there is no answer")
    }

    fn add_reader(&mut self, reader: usize, context: &mut EnumeratorContext) -> Result<()> {
        self.inner.add_reader(reader, context)
    }

    fn handle_split_request(&mut self, reader: usize, context: &mut EnumeratorContext) -> Result<()> {
        self.inner.handle_split_request(reader, context)
    }

    fn add_splits_back(&mut self, splits: Vec<SourceSplit>, context: &mut EnumeratorContext) -> Result<()> {
        self.inner.add_splits_back(splits, context)
    }

    fn snapshot_state(&mut self, checkpoint: CheckpointId) -> Result<Versioned> {
        self.inner.snapshot_state(checkpoint)
    }
}

async fn start(folder: &std::path::Path, store: &ValuesStore, silent: &Silent) -> Job {
    let mut registry = default_registry();
    registry.add_connector(Arc::clone(&silent.values));
    registry.add_connector(Arc::new(silent.clone()));
    let mut session = Session::builder().registry(registry).base_dir(folder).build().expect("a session");
    let script = "SET 'execution.checkpointing.interval' = '30 ms';
         CREATE TABLE s (id INT) WITH ('connector' = 'silent', 'splits' = '1', 'bounded' = 'false');
         CREATE TABLE o (id INT) WITH ('connector' = 'values', 'sink.delivery-guarantee' = 'exactly-once');
         INSERT INTO o SELECT id FROM s;";
    store.append("s", 0, &flott_testkit::batch("id INT", &["+I[0]"])).expect("appended");
    for statement in session.parse(script).expect("parsed") {
        if let Outcome::Job(job) = session.execute(&statement).await.expect("executed") {
            return job;
        }
    }
    panic!("no job was started")
}

fn silent(store: &ValuesStore, questions: usize) -> Silent {
    Silent { values: Arc::new(Values::new(store.clone())), looks: Arc::default(), questions }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_enumerator_that_asks_without_an_end_fails_the_job() {
    let (folder, store) = (tempfile::tempdir().expect("a folder"), ValuesStore::new());
    let mut job = start(folder.path(), &store, &silent(&store, ENUMERATOR_CALLS_MAX + 1)).await;
    let end = tokio::time::timeout(Duration::from_secs(20), job.wait()).await.expect("it ends");
    let error = end.expect_err("too many");
    assert!(error.to_string().contains("more than 64 calls under way"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_that_hangs_holds_no_checkpoint() {
    let (folder, store) = (tempfile::tempdir().expect("a folder"), ValuesStore::new());
    let silent = silent(&store, ENUMERATOR_CALLS_MAX);
    let mut job = start(folder.path(), &store, &silent).await;
    let until = async {
        while silent.looks.load(Ordering::SeqCst) < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let before = job.handle.state().checkpoints;
        store.append("s", 0, &flott_testkit::batch("id INT", &["+I[1]"])).expect("appended");
        // Two decided from here on hold what was read meanwhile.
        while job.handle.state().checkpoints < before + 2 || store.received("o") < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), until).await.expect("checkpoints go on");
    job.handle.request_stop(StopMode::suspend()).await.expect("it runs");
    let end = tokio::time::timeout(Duration::from_secs(20), job.wait()).await.expect("it ends").expect("it ends well");
    assert!(matches!(end, JobOutcome::Suspended(_)), "{end:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_that_is_not_there_is_told_before_the_job_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut session = Session::builder().base_dir(folder.path()).build().expect("a session");
    let script = "CREATE TABLE s (id INT) WITH ('connector' = 'filesystem', 'path' = 'nowhere', 'format' = 'csv');
         CREATE TABLE o (id INT) WITH ('connector' = 'blackhole');
         INSERT INTO o SELECT id FROM s;";
    let mut last = None;
    for statement in session.parse(script).expect("parsed") {
        last = Some(session.execute(&statement).await.map(|_| ()));
    }
    let error = last.expect("statements").expect_err("it does not start");
    assert!(error.position().is_some() && error.to_string().contains("does not exist"), "{error}");
}
