//! Failures end the attempt, tell why, and leave the process alone.

use std::time::Duration;

use flott_core::{ChangeBatch, Error, Result};
use flott_graph::Partitioning;
use flott_operator::{Operator, OperatorContext, Progress};

use crate::support::*;

struct Bomb {
    after: usize,
    panics: bool,
}

impl Operator for Bomb {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        if self.after == 0 {
            if self.panics {
                panic!("operator bomb");
            }
            return Err(Error::data("operator bomb"));
        }
        self.after -= 1;
        context.emit(batch);
        Ok(Progress::Done)
    }
}

fn some_rows(_split: usize, step: u64) -> Step {
    if step < 40 { Step::Rows(batch([(step as i64, 1, 0)])) } else { Step::Park }
}

/// Runs until the attempt has ended by itself, and returns what it said first.
async fn ends_with(g: Graph, source: flott_graph::NodeId, parallelism: usize) -> (Option<flott_graph::NodeId>, String) {
    let splits = (0..parallelism).map(split).collect();
    let mut job = Job::start(g, &[(source, splits)], Options::new(parallelism));
    let start = job.now();
    job.until("the end", |l| l.finished.is_some()).await;
    assert!(job.now() - start < Duration::from_secs(10), "took too long");
    assert_eq!(job.log.finished, Some(false));
    job.attempt.join().await;
    job.log.failed.first().expect("a reason").clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_fails_or_panics() {
    for panics in [false, true] {
        for parallelism in [1, 3] {
            let mut g = Graph::new();
            let source = g.source(ScriptSource::new(some_rows), None);
            let bomb = g.operator("bomb", &[(source, Partitioning::Hash(vec![0]))], move |_, _, _| {
                Box::new(Bomb { after: 5, panics })
            });
            g.sink(MemorySink::new(), bomb, Partitioning::Forward);
            let (node, text) = ends_with(g, source, parallelism).await;
            assert_eq!(node, Some(bomb), "{text}");
            assert!(text.contains("operator bomb"), "{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_source_fails_or_panics() {
    for panics in [false, true] {
        // The other split waits for ever: nothing but the failure wakes the worker.
        let script = move |split: usize, step: u64| match (split, step) {
            (0, 0) => Step::Sleep(Duration::from_millis(50)),
            (0, _) if panics => Step::Panic("source bomb"),
            (0, _) => Step::Fail("source bomb"),
            _ => Step::Park,
        };
        let mut g = Graph::new();
        let source = g.source(ScriptSource::new(script), None);
        g.sink(MemorySink::new(), source, Partitioning::Forward);
        let (node, text) = ends_with(g, source, 2).await;
        assert_eq!(node, Some(source), "{text}");
        assert!(text.contains("source bomb"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sink_fails_or_panics() {
    for panics in [false, true] {
        let mut g = Graph::new();
        // One row only: nothing follows that could notice.
        let one =
            |split: usize, step: u64| if split == 0 && step == 0 { Step::Rows(batch([(1, 1, 1)])) } else { Step::Park };
        let source = g.source(ScriptSource::new(one), None);
        let write =
            move |_: usize, _: &ChangeBatch| if panics { Write::Panic("sink bomb") } else { Write::Fail("sink bomb") };
        let (sink, _) = g.sink(MemorySink::counting(write), source, Partitioning::Rebalance);
        let (node, text) = ends_with(g, source, 2).await;
        assert_eq!(node, Some(sink), "{text}");
        assert!(text.contains("sink bomb"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancel_is_quick_under_back_pressure_and_with_a_writer_that_hangs() {
    for parallelism in [1, 2] {
        let mut g = Graph::new();
        let endless = |_, step: u64| Step::Rows(batch((0..1_000).map(|i| (i, step as i64, 0))));
        let source = g.source(ScriptSource::new(endless), None);
        let pass = g.operator("pass", &[(source, Partitioning::Hash(vec![0]))], |_, _, _| Box::new(Pass));
        g.sink(MemorySink::counting(|_, _| Write::Never), pass, Partitioning::Forward);
        let splits = (0..parallelism).map(split).collect();
        let options = Options { in_flight_bytes: 1 << 20, ..Options::new(parallelism) };
        let mut job = Job::start(g, &[(source, splits)], options);
        job.work_for(Duration::from_millis(300)).await;
        let start = job.now();
        job.cancel().await;
        assert!(job.now() - start < Duration::from_millis(500), "{:?}", job.now() - start);
        assert!(job.log.failed.is_empty(), "{:?}", job.log.failed);
        assert_eq!(job.log.finished, Some(false));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancel_right_after_the_start() {
    for _ in 0..20 {
        let mut g = Graph::new();
        let source = g.source(ScriptSource::new(some_rows), None);
        g.sink(MemorySink::new(), source, Partitioning::Rebalance);
        let mut job = Job::start(g, &[(source, vec![split(0)])], Options::new(2));
        job.cancel().await;
        assert!(job.log.failed.is_empty(), "{:?}", job.log.failed);
    }
}

/// The end has to reach a writer whose queue is full.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_reaches_a_slow_writer() {
    let mut g = Graph::new();
    let script = |_, step: u64| if step < 30 { Step::Rows(batch([(step as i64, 1, 0)])) } else { Step::Finish };
    let source = g.source(ScriptSource::new(script), None);
    let (_, seen) =
        g.sink(MemorySink::counting(|_, _| Write::After(Duration::from_millis(20))), source, Partitioning::Forward);
    let mut job = Job::start(g, &[(source, vec![split(0)])], Options::new(2));
    job.finish().await;
    assert_eq!(seen.count.load(std::sync::atomic::Ordering::SeqCst), 30);
    assert_eq!(job.log.last.len(), 2, "every writer has reported its end");
}

/// Keeps what it gets, and says so.
struct Keep {
    bytes: u64,
}

impl Operator for Keep {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        self.bytes += batch.size_bytes() as u64;
        context.metrics.state_bytes = self.bytes;
        Ok(Progress::Done)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_holds_more_than_it_may_fails() {
    for (most, rows_each) in [(1 << 20, 1_000i64), (1 << 14, 10)] {
        let mut g = Graph::new();
        let script = move |_, step: u64| Step::Rows(batch((0..rows_each).map(|i| (i, 1, step as i64))));
        let source = g.source(ScriptSource::new(script), None);
        let keep = g.operator("keep", &[(source, Partitioning::Hash(vec![0]))], |_, _, _| Box::new(Keep { bytes: 0 }));
        g.sink(MemorySink::new(), keep, Partitioning::Forward);
        let options = Options { memory_bytes_max: Some(most), in_flight_bytes: 1 << 12, ..Options::new(2) };
        let mut job = Job::start(g, &[(source, vec![split(0), split(1)])], options);
        job.until("a failure", |l| l.finished.is_some()).await;
        let (node, text) = job.log.failed.first().expect("a failure");
        assert_eq!(*node, Some(keep), "{text}");
        assert!(text.contains("flott.memory.max"), "{text}");
    }
}
