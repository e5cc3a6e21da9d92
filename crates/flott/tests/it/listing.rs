//! Sources whose outside system does not answer: checkpoints go on meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flott::{JobOutcome, Outcome, Session, StopMode, default_registry};
use flott_connector::factory::{ConnectorFactory, TableContext, TableSource};
use flott_connector::source::{
    CallOutput, EnumeratorContext, Source, SourceReader, SourceSplit, SplitEnumerator, SubtaskInfo,
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
        let source = SilentSource { inner: Arc::clone(&inner.source), looks: Arc::clone(&self.looks) };
        Ok(TableSource { source: Arc::new(source), ..inner })
    }
}

struct SilentSource {
    inner: Arc<dyn Source>,
    looks: Arc<AtomicUsize>,
}

impl Source for SilentSource {
    fn boundedness(&self) -> Boundedness {
        self.inner.boundedness()
    }

    fn create_enumerator(&self, restored: Option<Versioned>) -> Result<Box<dyn SplitEnumerator>> {
        let inner = self.inner.create_enumerator(restored)?;
        Ok(Box::new(SilentEnumerator { inner, looks: Arc::clone(&self.looks), looking: false }))
    }

    fn create_reader(&self, subtask: SubtaskInfo) -> Result<Box<dyn SourceReader>> {
        self.inner.create_reader(subtask)
    }
}

struct SilentEnumerator {
    inner: Box<dyn SplitEnumerator>,
    looks: Arc<AtomicUsize>,
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
        self.looks.fetch_add(1, Ordering::SeqCst);
        if !std::mem::replace(&mut self.looking, true) {
            context.call_async(std::future::pending::<()>());
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_that_hangs_holds_no_checkpoint() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = ValuesStore::new();
    let values: Arc<dyn ConnectorFactory> = Arc::new(Values::new(store.clone()));
    let silent = Silent { values: Arc::clone(&values), looks: Arc::default() };
    let mut registry = default_registry();
    registry.add_connector(values);
    registry.add_connector(Arc::new(silent.clone()));
    let mut session = Session::builder().registry(registry).base_dir(folder.path()).build().expect("a session");
    let script = "SET 'execution.checkpointing.interval' = '30 ms';
         CREATE TABLE s (id INT) WITH ('connector' = 'silent', 'splits' = '1', 'bounded' = 'false');
         CREATE TABLE o (id INT) WITH ('connector' = 'values', 'sink.delivery-guarantee' = 'exactly-once');
         INSERT INTO o SELECT id FROM s;";
    let mut started = None;
    for statement in session.parse(script).expect("parsed") {
        if let Outcome::Job(job) = session.execute(&statement).await.expect("executed") {
            started = Some(job);
        }
    }
    let mut job = started.expect("a job");
    let until = async {
        while silent.looks.load(Ordering::SeqCst) < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let before = job.handle.state().checkpoints;
        store.append("s", 0, &flott_testkit::batch("id INT", &["+I[1]"])).expect("appended");
        // Two decided from here on hold what was read meanwhile.
        while job.handle.state().checkpoints < before + 2 || store.received("o") < 1 {
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
