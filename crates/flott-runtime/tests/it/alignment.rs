//! Watermark alignment: who is ahead waits, and holds nothing else up meanwhile.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use flott_connector::watermark_options::WatermarkAlignment;
use flott_graph::{NodeId, Partitioning, WatermarkSpec};
use flott_runtime::TaskCommand;

use crate::support::*;

const DRIFT: i64 = 100;

fn aligned() -> WatermarkSpec {
    let (max_drift, update_interval) = (Duration::from_millis(DRIFT as u64), Duration::from_millis(20));
    let alignment = WatermarkAlignment { group: "g".to_string(), max_drift, update_interval };
    WatermarkSpec { alignment: Some(alignment), ..watermark(0, None) }
}

fn align(node: NodeId, subtask: usize, max_watermark_ms: i64) -> TaskCommand {
    TaskCommand::AlignWatermark { node, subtask, max_watermark_ms }
}

/// Tells the readers of some sources what the last of them allows.
struct Group {
    sources: Vec<NodeId>,
    heard: BTreeMap<(NodeId, usize), Option<i64>>,
    told: i64,
}

impl Group {
    fn new(sources: &[NodeId]) -> Group {
        Group { sources: sources.to_vec(), heard: BTreeMap::new(), told: i64::MIN }
    }

    async fn coordinate(&mut self, job: &mut Job, until: impl Fn(&Job) -> bool) {
        let start = job.now();
        while !until(job) {
            assert!(job.now() - start < LONG, "it hangs");
            job.step(Duration::from_millis(5)).await;
            for (task, watermark, _) in std::mem::take(&mut job.log.reports) {
                self.heard.insert(task, watermark);
            }
            let ended = job.log.ended.iter().filter(|t| self.sources.contains(&t.0)).count();
            self.heard.retain(|task, _| !job.log.ended.contains(task));
            // Nobody is told anything before all have said something.
            let all = self.heard.len() + ended == self.sources.len() * job.parallelism;
            let most = self.heard.values().flatten().min().map_or(i64::MAX, |w| w + DRIFT);
            if all && most != self.told {
                self.told = most;
                for node in &self.sources {
                    (0..job.parallelism).for_each(|subtask| job.attempt.send(align(*node, subtask, most)));
                }
            }
        }
    }
}

/// The greatest lead of the rows with `k = 0` over those with `k = 1`, as the sink has seen them.
fn lead(seen: &Seen) -> i64 {
    let (mut fast, mut slow, mut most) = (0, 0, 0);
    for (k, _, ts) in seen.rows.lock().expect("lock").iter() {
        if *k == 0 {
            fast = fast.max(*ts);
        } else {
            slow = slow.max(*ts);
        }
        // Behind the end of the slow ones nobody waits.
        if slow < 1_990 {
            most = most.max(fast - slow);
        }
    }
    most
}

/// `k` = the split's number; split 0 has 100 rows that are 100 ms apart, split 1 has 200 that are 10 ms apart, slowly.
fn skewed(split: usize, step: u64) -> Step {
    match (split, step) {
        (0, 100..) | (_, 400..) => Step::Finish,
        (0, s) => Step::Rows(batch([(0, 1, s as i64 * DRIFT)])),
        (_, s) if s % 2 == 0 => Step::Sleep(Duration::from_millis(1)),
        (_, s) => Step::Rows(batch([(1, 1, s as i64 * 5)])),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_stops_where_it_may_go_no_further() {
    let script = |_, step: u64| match step {
        50.. => Step::Finish,
        s => Step::Rows(batch([(0, 1, 10 * s as i64)])),
    };
    let mut g = Graph::new();
    let source = g.source(ScriptSource::new(script), Some(aligned()));
    let (_, seen) = g.sink(MemorySink::new(), source, Partitioning::Forward);
    let mut job = Job::start(g, &[(source, vec![split(0)])], Options::new(1));
    // No watermark leaves at 0, so that it stops at the second row.
    job.until("a report", |l| l.reports.iter().any(|(_, w, held)| (*w, *held) == (Some(10), true))).await;
    let count = || seen.count.load(Ordering::SeqCst);
    job.until("the rows before", |_| count() == 2).await;
    // It holds no checkpoint, and several of them are of the same position.
    for _ in 0..3 {
        let id = job.trigger();
        job.complete(id).await;
        assert_eq!(job.rows_by_position(id, &[0], |_| 0), 2);
    }
    job.attempt.send(align(source, 0, 200));
    job.until("the rows before", |_| count() == 22).await;
    job.work_for(Duration::from_millis(50)).await;
    assert_eq!(count(), 22, "210 is beyond 200, and nothing follows it");
    assert_eq!(job.log.reports.last(), Some(&((source, 0), Some(210), true)));
    let paused = |job: &Job| {
        let splits = job.metrics.subtask(source.0, 0).expect("a subtask").splits();
        splits.values().map(|s| s.paused).collect::<Vec<_>>()
    };
    assert_eq!(paused(&job), [true], "whoever asks what holds event time back is told");
    // The word may be taken back, and comes to an end where nobody is behind.
    job.attempt.send(align(source, 0, 5));
    job.attempt.send(align(source, 0, i64::MAX));
    job.finish().await;
    assert_eq!(count(), 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn splits_of_one_reader_and_of_several_keep_together() {
    for parallelism in [1, 2] {
        let mut g = Graph::new();
        let source = g.source(ScriptSource::new(skewed), Some(aligned()));
        let (_, seen) = g.sink(MemorySink::new(), source, Partitioning::Forward);
        let mut job = Job::start(g, &[(source, vec![split(0), split(1)])], Options::new(parallelism));
        Group::new(&[source]).coordinate(&mut job, |job| job.log.finished.is_some()).await;
        assert_eq!((job.log.finished, &job.log.failed[..]), (Some(true), &[][..]));
        assert_eq!(seen.count.load(Ordering::SeqCst), 300);
        // The drift, the row that was ahead, and what the reader had handed over before it was told.
        let most = lead(&seen);
        assert!(most <= 10 * DRIFT, "{most} ms ahead with {parallelism} readers");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sources_of_one_job_keep_together_until_one_has_ended() {
    // Nobody is held before all have reported once: on a busy machine one can be through by then. Where nothing holds
    // them the lead is that large every time.
    let mut leads = vec![];
    while leads.len() < 5 {
        leads.push(lead_of_two_sources().await);
        if leads.last().is_some_and(|most| *most <= 3 * DRIFT) {
            return;
        }
    }
    panic!("{leads:?} ms ahead");
}

async fn lead_of_two_sources() -> i64 {
    let mut g = Graph::new();
    let fast = g.source(ScriptSource::new(skewed), Some(aligned()));
    let slow = g.source(ScriptSource::new(skewed), Some(aligned()));
    let both =
        g.operator("both", &[(fast, Partitioning::Forward), (slow, Partitioning::Forward)], |_, _, _| Box::new(Pass));
    let (_, seen) = g.sink(MemorySink::new(), both, Partitioning::Forward);
    let mut job = Job::start(g, &[(fast, vec![split(0)]), (slow, vec![split(1)])], Options::new(1));
    let (mut group, mut checkpoints) = (Group::new(&[fast, slow]), vec![]);
    for at in [40, 80, 120] {
        let enough = |job: &Job| job.log.finished.is_some() || seen.count.load(Ordering::SeqCst) >= at;
        group.coordinate(&mut job, enough).await;
        checkpoints.push(job.trigger());
    }
    group.coordinate(&mut job, |job| job.log.finished.is_some()).await;
    assert_eq!((job.log.finished, &job.log.failed[..]), (Some(true), &[][..]));
    assert_eq!(seen.count.load(Ordering::SeqCst), 300);
    assert!(checkpoints.iter().all(|id| job.is_complete(*id)));
    lead(&seen)
}

/// A source that waits for others is not idle, and one that is idle is waited for by nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_is_not_idleness() {
    let script = |split: usize, step: u64| match (split, step) {
        (0, s) => Step::Rows(batch([(0, 1, 10 * s as i64)])),
        (_, 0) => Step::Rows(batch([(1, 1, 5)])),
        _ => Step::Park,
    };
    let spec = WatermarkSpec { idle_timeout: Some(Duration::from_millis(60)), ..aligned() };
    let mut g = Graph::new();
    let source = g.source(ScriptSource::new(script), Some(spec));
    g.sink(MemorySink::new(), source, Partitioning::Forward);
    let mut job = Job::start(g, &[(source, vec![split(0), split(1)])], Options::new(2));
    job.until("both", |l| l.reports.len() == 2).await;
    job.attempt.send(align(source, 1, 1_000));
    job.until("the idle one", |l| l.reports.contains(&((source, 1), None, false))).await;
    job.until("the one ahead", |l| l.reports.contains(&((source, 0), Some(10), true))).await;
    job.work_for(Duration::from_millis(200)).await;
    let last = |subtask| job.log.reports.iter().rfind(|r| r.0 == (source, subtask)).copied();
    assert_eq!(last(0), Some(((source, 0), Some(10), true)));
    assert_eq!(last(1), Some(((source, 1), None, false)));
    job.cancel().await;
}
