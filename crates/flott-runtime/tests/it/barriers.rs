//! What is before a barrier, and what is behind it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use flott_core::{ChangeBatch, Result};
use flott_graph::{NodeId, Partitioning};
use flott_operator::{Operator, OperatorContext, Progress};
use flott_runtime::TaskCommand;
use flott_state::OperatorSnapshot;

use crate::support::*;

const HASH: fn() -> Partitioning = || Partitioning::Hash(vec![0]);

/// Bursts of rows with short pauses, so that barriers fall everywhere.
fn uneven(steps: u64) -> impl Fn(usize, u64) -> Step + Send + Sync + 'static {
    move |split, step| match step {
        s if s >= steps => Step::Finish,
        s if (s + split as u64).is_multiple_of(13) => Step::Sleep(Duration::from_millis(1 + split as u64)),
        s => Step::Rows(batch((0..50).map(|i| ((s as i64 * 7 + i) % 101, 1, s as i64)))),
    }
}

fn full(steps: u64) -> impl Fn(usize) -> u64 {
    move |split| 50 * (0..steps).filter(|s| !(s + split as u64).is_multiple_of(13)).count() as u64
}

fn endless(split: usize, step: u64) -> Step {
    uneven(u64::MAX)(split, step)
}

fn pipeline(script: impl Fn(usize, u64) -> Step + Send + Sync + 'static, splits: usize) -> (Graph, NodeId, NodeId) {
    let mut g = Graph::new();
    let source = g.source(ScriptSource::new(script), None);
    let pass = g.operator("pass", &[(source, Partitioning::Forward)], |_, _, _| Box::new(Pass));
    let hold = g.operator("hold", &[(pass, Partitioning::Forward)], |_, _, _| Box::new(HoldBack::new(3)));
    let sum = g.sum(&[(hold, HASH())]);
    g.sink(MemorySink::new(), sum, Partitioning::Forward);
    assert!(splits > 0);
    (g, source, sum)
}

/// The permanent test: sum of source offsets = sum of rows in state, at every checkpoint.
async fn offsets_equal_state(parallelism: usize) {
    let splits: Vec<usize> = (0..5).collect();
    let (g, source, sum) = pipeline(endless, splits.len());
    let states = splits.iter().map(|i| split(*i)).collect();
    let mut job = Job::start(g, &[(source, states)], Options::new(parallelism));
    job.until("readers", |l| l.registered.len() == parallelism).await;
    let mut seen = vec![];
    for _ in 0..60 {
        // Without waiting for the last one: several barriers are on their way at once.
        let id = job.trigger();
        seen.push(id);
        job.work_for(Duration::from_millis(5)).await;
    }
    let mut before = 0;
    for id in seen {
        job.complete(id).await;
        // Splits that were never begun are reported with their assigned position.
        let reported: usize = job.log.sources[&id].values().map(Vec::len).sum();
        assert_eq!(reported, splits.len(), "checkpoint {id}");
        let rows = job.rows_by_position(id, &splits, |_| unreachable!("endless"));
        assert_eq!(job.rows_in_state(id, sum), rows as i64, "checkpoint {id}");
        assert!(rows >= before);
        before = rows;
    }
    assert!(before > 0, "no rows at all");
    job.attempt.send(TaskCommand::Drain);
    job.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_equal_state_with_1_worker() {
    offsets_equal_state(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_equal_state_with_2_workers() {
    offsets_equal_state(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_equal_state_with_4_workers() {
    offsets_equal_state(4).await;
}

/// Barriers while readers end one after another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkpoints_race_with_the_end_of_the_input() {
    for round in 0..10u64 {
        let steps = 20 + round * 9;
        let splits: Vec<usize> = (0..4).collect();
        let (g, source, sum) = pipeline(uneven(steps), splits.len());
        let states = splits.iter().map(|i| split(*i)).collect();
        let mut job = Job::start(g, &[(source, states)], Options::new(3));
        // As the coordinator does: no barrier before every split is with a reader.
        job.until("readers", |l| l.registered.len() == 3).await;
        let mut triggered = vec![];
        while job.log.finished.is_none() {
            triggered.push(job.trigger());
            job.work_for(Duration::from_millis(1)).await;
            if job.log.finished.is_none() && triggered.len() > 5_000 {
                panic!("no end");
            }
        }
        job.finish().await;
        for id in triggered {
            // Complete by the coordinator's rule, and no operator that took part had ended.
            if !job.is_complete(id) || !job.log.sources.contains_key(&id) {
                continue;
            }
            let operators = job.log.operators.get(&id).map_or(0, |m| m.keys().filter(|t| t.0 == sum).count());
            if operators == 3 {
                let rows = job.rows_by_position(id, &splits, full(steps));
                assert_eq!(job.rows_in_state(id, sum), rows as i64, "checkpoint {id}");
            } else {
                // An operator ends only once every row is through, so nothing is left in the readers either.
                let unread: usize = job.log.sources[&id].values().map(Vec::len).sum();
                assert_eq!(unread, 0, "checkpoint {id}: an operator ended before a barrier that the readers saw");
            }
        }
        assert_eq!(job.log.last.len(), 3, "every writer reports its end");
    }
}

/// Takes its time at a barrier, before and in its snapshot.
struct Slow(Duration);

impl Operator for Slow {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        context.emit(batch);
        Ok(Progress::Done)
    }
    #[expect(clippy::disallowed_methods, reason = "the thread is to be busy")]
    fn prepare_snapshot(&mut self, _context: &mut OperatorContext) -> Result<Progress> {
        std::thread::sleep(self.0);
        Ok(Progress::Done)
    }
    #[expect(clippy::disallowed_methods, reason = "the thread is to be busy")]
    fn snapshot_state(&mut self) -> Result<OperatorSnapshot> {
        std::thread::sleep(self.0);
        Ok(OperatorSnapshot::default())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_time_of_a_barrier_is_that_of_the_snapshot_and_of_what_goes_before_it() {
    let mut g = Graph::new();
    let source = g.source(ScriptSource::new(endless), None);
    let pass = g.operator("pass", &[(source, Partitioning::Forward)], |_, _, _| Box::new(Pass));
    let slow = g.operator("slow", &[(pass, HASH())], |_, _, _| Box::new(Slow(Duration::from_millis(30))));
    g.sink(MemorySink::new(), slow, Partitioning::Forward);
    let mut job = Job::start(g, &[(source, vec![split(0), split(1)])], Options::new(2));
    job.until("readers", |l| l.registered.len() == 2).await;
    let ns = |job: &Job, node: NodeId| {
        (0..2)
            .map(|s| job.metrics.subtask(node.0, s).expect("a subtask").sync_ns.load(Ordering::Relaxed))
            .collect::<Vec<_>>()
    };
    assert_eq!((ns(&job, pass), ns(&job, slow)), (vec![0; 2], vec![0; 2]));
    let id = job.trigger();
    job.complete(id).await;
    assert!(ns(&job, slow).iter().all(|ns| *ns >= 60_000_000), "{:?}", ns(&job, slow));
    assert!(ns(&job, pass).iter().all(|ns| *ns > 0), "{:?}", ns(&job, pass));
    job.attempt.send(TaskCommand::Drain);
    job.finish().await;
}

/// Splits that are assigned behind the trigger belong to the next checkpoint.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn splits_are_handed_over_in_the_order_of_commands() {
    let mut g = Graph::new();
    let source = g.source(ScriptSource::new(|_, _| Step::Park), None);
    g.sink(MemorySink::new(), source, Partitioning::Forward);
    let mut job = Job::start(g, &[], Options::new(2));
    job.tell_end = false;
    job.until("readers", |l| l.registered.len() == 2).await;
    let mut expected = 0;
    for i in 0..50 {
        let assign = |n: usize| TaskCommand::AssignSplits { node: source, subtask: n % 2, splits: vec![split(n)] };
        job.attempt.send(assign(2 * i));
        let id = job.trigger();
        job.attempt.send(assign(2 * i + 1));
        job.complete(id).await;
        let n: usize = job.log.sources[&id].values().map(Vec::len).sum();
        assert_eq!(n, expected + 1, "checkpoint {id}");
        expected += 2;
    }
    job.cancel().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_may_have_gaps_and_an_idle_job_takes_checkpoints() {
    let (g, source, _) = pipeline(|_, _| Step::Park, 1);
    let mut job = Job::start(g, &[(source, vec![split(0)])], Options { first_epoch: 17, ..Options::new(2) });
    job.until("readers", |l| l.registered.len() == 2).await;
    for gap in [0, 1, 5, 0, 0, 100] {
        job.skip_checkpoints(gap);
        let id = job.trigger();
        job.complete(id).await;
    }
    // One reader without a split has ended; the other waits.
    job.cancel().await;
    assert_eq!(job.log.finished, Some(false));
}

/// Sinks prepare what came before the barrier, and only that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn staged_output_is_cut_at_the_barrier() {
    let mut g = Graph::new();
    let source = g.source(ScriptSource::new(endless), None);
    let pass = g.operator("pass", &[(source, Partitioning::Rebalance)], |_, _, _| Box::new(Pass));
    let (_, seen) = g.sink(MemorySink::new(), pass, HASH());
    let splits = [0usize, 1, 2];
    let states = splits.iter().map(|i| split(*i)).collect();
    let mut job = Job::start(g, &[(source, states)], Options::new(2));
    job.until("readers", |l| l.registered.len() == 2).await;
    let mut staged = 0;
    for _ in 0..30 {
        let id = job.trigger();
        job.complete(id).await;
        staged += {
            let all = seen.staged.lock().expect("lock");
            job.log.sinks[&id].values().flat_map(|(c, _)| c).map(|c| all[&c.id].len() as u64).sum::<u64>()
        };
        assert_eq!(staged, job.rows_by_position(id, &splits, |_| unreachable!("endless")), "checkpoint {id}");
        job.work_for(Duration::from_millis(3)).await;
    }
    job.cancel().await;
}

/// What a sink without a committer has shown is exactly what the last checkpoint covers, also where that one comes to
/// nothing and another follows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_emitted_behind_the_barrier_of_a_stop() {
    let mut g = Graph::new();
    let source = g.source(ScriptSource::new(endless), None);
    let pass = g.operator("pass", &[(source, Partitioning::Rebalance)], |_, _, _| Box::new(Pass));
    let (_, seen) = g.sink(MemorySink::new(), pass, HASH());
    let splits = [0usize, 1, 2, 3];
    let states = splits.iter().map(|i| split(*i)).collect();
    let mut job = Job::start(g, &[(source, states)], Options::new(3));
    job.until("readers", |l| l.registered.len() == 3).await;
    let before = job.trigger();
    job.complete(before).await;
    job.work_for(Duration::from_millis(10)).await;
    for _ in 0..2 {
        let last = job.trigger_last();
        job.complete(last).await;
        let covered = job.rows_by_position(last, &splits, |_| unreachable!("endless"));
        job.work_for(Duration::from_millis(50)).await;
        assert_eq!(seen.count.load(Ordering::SeqCst), covered);
        assert!(covered > job.rows_by_position(before, &splits, |_| unreachable!("endless")));
    }
    job.cancel().await;
}
