//! What holds in one process holds between several.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flott_core::{ChangeBatch, CheckpointId, Result};
use flott_graph::Partitioning;
use flott_operator::{Operator, OperatorContext, Progress};
use flott_runtime::TaskCommand;
use flott_state::OperatorSnapshot;

use crate::support::*;

const WINDOW: usize = 1 << 20;

/// What one process makes waits in the other, whose sink stalls: it counts where it was made until it is taken there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_wait_in_another_process_hold_those_who_make_more() {
    const BATCH: u64 = 100 * 24 * 1_000;
    let emitted = Arc::new(AtomicU64::new(0));
    let mut g = Graph::new();
    let script = |split, step| match split {
        0 => Step::Rows(batch((0..100).map(|i| (i, step as i64, 0)))),
        _ => Step::Park,
    };
    let source = g.source(ScriptSource::new(script), None);
    let for_operator = Arc::clone(&emitted);
    let grow = g.operator("grow", &[(source, Partitioning::Forward)], move |_, _, _| {
        Box::new(Explode { factor: 1_000, emitted: Arc::clone(&for_operator) })
    });
    let pass = g.operator("pass", &[(grow, Partitioning::Hash(vec![0]))], |_, _, _| Box::new(Pass));
    let slow = |subtask: usize, _: &ChangeBatch| match subtask {
        0 => Write::Take,
        _ => Write::After(Duration::from_millis(50)),
    };
    let (_, seen) = g.sink(MemorySink::counting(slow), pass, Partitioning::Forward);
    let options = Options { in_flight_bytes: WINDOW / 4, processes: 2, ..Options::new(2) };
    let mut job = Job::start(g, &[(source, vec![split(0), split(1)])], options);
    let (mut most, mut last) = (0, 0);
    for round in 0..8 {
        for _ in 0..10 {
            job.work_for(Duration::from_millis(20)).await;
            most = most.max(emitted.load(Ordering::SeqCst).saturating_sub(seen.bytes.load(Ordering::SeqCst)));
        }
        if round % 3 == 2 {
            let id = job.trigger();
            job.complete(id).await;
        }
        let bytes = seen.bytes.load(Ordering::SeqCst);
        assert!(bytes > last, "stuck at {bytes} bytes");
        last = bytes;
    }
    let bound = 2 * (WINDOW as u64 + (4 << 20) + 4 * BATCH);
    assert!(most <= bound, "{most} bytes of {bound} in flight");
    job.cancel().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_source_of_another_process_holds_nobody() {
    let mut g = Graph::new();
    let script = |split, step| match split {
        0 if step < 500 => Step::Rows(batch([(step as i64, 1, step as i64)])),
        _ => Step::Park,
    };
    let source = g.source(ScriptSource::new(script), Some(watermark(0, Some(Duration::from_millis(50)))));
    let pass = g.operator("pass", &[(source, Partitioning::Hash(vec![0]))], |_, _, _| Box::new(Pass));
    let (_, seen) = g.sink(MemorySink::new(), pass, Partitioning::Forward);
    // A window far smaller than the rows: they pass only if ticks advance in the other process too.
    let options = Options { in_flight_bytes: 2_000, processes: 3, ..Options::new(3) };
    let mut job = Job::start(g, &[(source, vec![split(0), split(1), split(2)])], options);
    job.until("all rows", |_| seen.count.load(Ordering::SeqCst) == 500).await;
    job.cancel().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sums_are_exact_and_checkpoints_hold_all_processes() {
    for (parallelism, processes) in [(2, 2), (6, 3)] {
        let mut g = Graph::new();
        let script = |_, step| match step {
            s if s < 50 => Step::Rows(batch((0..200).map(|i| (i, 1, s as i64)))),
            _ => Step::Finish,
        };
        let source = g.source(ScriptSource::new(script), None);
        let sum = g.sum(&[(source, Partitioning::Hash(vec![0]))]);
        let (_, seen) = g.sink(MemorySink::new(), sum, Partitioning::Rebalance);
        let options = Options { processes, ..Options::new(parallelism) };
        let mut job = Job::start(g, &[(source, (0..parallelism).map(split).collect())], options);
        for _ in 0..3 {
            let id = job.trigger();
            job.work_for(Duration::from_millis(20)).await;
            job.complete(id).await;
        }
        job.until("the end", |log| log.finished.is_some()).await;
        assert_eq!((job.log.finished, &job.log.failed), (Some(true), &vec![]));
        assert_eq!(seen.count.load(Ordering::SeqCst), 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_process_fails_the_others_and_nothing_hangs() {
    let mut g = Graph::new();
    let source = g.source(ScriptSource::new(|_, s| Step::Rows(batch((0..100).map(|i| (i, s as i64, 0))))), None);
    let pass = g.operator("pass", &[(source, Partitioning::Hash(vec![0]))], |_, _, _| Box::new(Pass));
    let (_, seen) = g.sink(MemorySink::counting(|_, _| Write::Take), pass, Partitioning::Hash(vec![0]));
    let options = Options { processes: 3, ..Options::new(3) };
    let mut job = Job::start(g, &[(source, (0..3).map(split).collect())], options);
    job.until("rows", |_| seen.count.load(Ordering::SeqCst) > 1_000).await;
    job.attempt.lose(1);
    job.until("the failures", |log| log.failed.len() >= 2).await;
    assert!(
        job.log.failed.iter().all(|(_, e)| e.contains("the connection to process 1 broke")),
        "{:?}",
        job.log.failed
    );
    job.cancel().await;
}

/// Once it has seen a row it gives one more every millisecond.
#[derive(Default)]
struct Ticking {
    emitted: u64,
}

impl Ticking {
    fn give(&mut self, rows: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        self.emitted += rows.num_rows() as u64;
        context.emit(rows);
        context.timer_ms = Some(context.processing_time_ms + 1);
        Ok(Progress::Done)
    }
}

impl Operator for Ticking {
    fn process_batch(&mut self, _input: usize, rows: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        self.give(rows, context)
    }
    fn on_processing_time(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.give(batch([(0, 0, 0)]), context)
    }
    fn snapshot_state(&mut self) -> Result<OperatorSnapshot> {
        Ok(OperatorSnapshot { version: 1, meta: self.emitted.to_le_bytes().to_vec(), runs: vec![] })
    }
}

/// The only source is in process 0, so that its barrier comes to process 1 with the rows, whenever the command does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_barrier_that_overtakes_the_command_to_stop_waits_for_it() {
    let mut g = Graph::new();
    let script = |_, step| if step < 20 { Step::Rows(batch((0..10).map(|i| (i, 1, 0)))) } else { Step::Park };
    let source = g.limited_source(ScriptSource::new(script), None, Some(1));
    let ticking = g.operator("ticking", &[(source, Partitioning::Rebalance)], |_, _, _| Box::new(Ticking::default()));
    let (_, seen) = g.sink(MemorySink::counting(|_, _| Write::Take), ticking, Partitioning::Forward);
    let mut job = Job::start(g, &[(source, vec![split(0)])], Options { processes: 2, ..Options::new(2) });
    job.until("rows", |_| seen.count.load(Ordering::SeqCst) > 200).await;
    let stop = TaskCommand::StopWithCheckpoint(CheckpointId(1));
    job.attempt.send_to(0, stop.clone());
    job.until("the barrier in process 0", |l| l.operators.get(&1).is_some_and(|o| o.contains_key(&(ticking, 0)))).await;
    job.work_for(Duration::from_millis(100)).await;
    assert!(!job.log.operators[&1].contains_key(&(ticking, 1)), "process 1 has not heard of the checkpoint");
    job.attempt.send_to(1, stop);
    job.complete(1).await;
    job.work_for(Duration::from_millis(50)).await;
    let emitted = |(_, s): &(i64, OperatorSnapshot)| u64::from_le_bytes(s.meta[..].try_into().expect("8 bytes"));
    let covered: u64 = job.log.operators[&1].values().map(emitted).sum();
    assert_eq!(seen.count.load(Ordering::SeqCst), covered, "rows behind the last barrier");
    job.cancel().await;
}

/// A barrier that comes with the end of the input waits as well, and then the end follows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_barrier_and_the_end_behind_it_wait_for_a_late_command() {
    let mut g = Graph::new();
    let script = |_, step| match step {
        0 => Step::Rows(batch((0..10).map(|i| (i, 1, 0)))),
        1 => Step::Sleep(Duration::from_millis(300)),
        _ => Step::Finish,
    };
    let source = g.limited_source(ScriptSource::new(script), None, Some(1));
    let sum = g.sum(&[(source, Partitioning::Hash(vec![0]))]);
    let (_, seen) = g.sink(MemorySink::new(), sum, Partitioning::Forward);
    let mut job = Job::start(g, &[(source, vec![split(0)])], Options { processes: 2, ..Options::new(2) });
    job.until("the reader", |l| l.registered.len() == 1).await;
    job.work_for(Duration::from_millis(50)).await;
    let trigger = TaskCommand::TriggerCheckpoint(CheckpointId(1));
    job.attempt.send_to(0, trigger.clone());
    job.until("the end of the source", |l| l.ended.contains(&(source, 0))).await;
    job.work_for(Duration::from_millis(50)).await;
    assert!(job.log.sources[&1].contains_key(&(source, 0)), "it has ended behind the barrier");
    assert!(!job.log.operators.get(&1).is_some_and(|o| o.contains_key(&(sum, 1))), "process 1 has heard nothing");
    job.attempt.send_to(1, trigger);
    job.complete(1).await;
    assert_eq!(job.log.operators[&1].len(), 2, "both had their rows before the barrier");
    job.finish().await;
    assert_eq!(seen.count.load(Ordering::SeqCst), 10);
}
