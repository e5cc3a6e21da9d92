//! Watermarks, idleness, timers.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flott_core::{ChangeBatch, Result, Watermark};
use flott_graph::{Partitioning, WatermarkSpec};
use flott_operator::{Operator, OperatorContext, Progress};
use flott_runtime::TaskCommand;

use crate::support::*;

fn watermarks(seen: &Seen, subtask: usize) -> Vec<i64> {
    let by_subtask = seen.by_subtask.lock().expect("lock");
    let entries = by_subtask.get(&subtask).cloned().unwrap_or_default();
    entries.iter().filter_map(|e| if let Entry::Watermark(w) = e { Some(*w) } else { None }).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watermark_never_overtakes_its_rows() {
    let script = |_, step: u64| match step {
        2_000.. => Step::Finish,
        s => Step::Rows(batch((0..10).map(|i| (i, s as i64, s as i64)))),
    };
    let mut g = Graph::new();
    let source = g.source(ScriptSource::new(script), Some(watermark(0, None)));
    let hold = g.operator("hold", &[(source, Partitioning::Forward)], |_, _, _| Box::new(HoldBack::new(2)));
    let (_, seen) = g.sink(MemorySink::new(), hold, Partitioning::Hash(vec![0]));
    let mut job = Job::start(g, &[(source, (0..4).map(split).collect())], Options::new(3));
    job.finish().await;
    assert_eq!(seen.count.load(Ordering::SeqCst), 4 * 2_000 * 10);
    for (subtask, entries) in seen.by_subtask.lock().expect("lock").iter() {
        let mut watermark = i64::MIN;
        for e in entries {
            match e {
                // A split makes one step after another, so a row is never older than the least watermark.
                Entry::Row(_, _, ts) => assert!(*ts >= watermark, "row {ts} behind watermark {watermark}"),
                Entry::Watermark(w) => {
                    assert!(*w > watermark);
                    watermark = *w;
                }
            }
        }
        assert_eq!(watermark, i64::MAX, "subtask {subtask}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_slowest_split_decides_and_a_finished_one_leaves() {
    let script = |split: usize, step: u64| match (split, step) {
        (0, 0) => Step::Rows(batch([(0, 0, 10)])),
        (0, 1) => Step::Sleep(Duration::from_millis(150)),
        (0, _) => Step::Finish,
        (_, 0) => Step::Rows(batch([(0, 0, 70)])),
        _ => Step::Park,
    };
    let mut g = Graph::new();
    let source = g.source(ScriptSource::new(script), Some(watermark(0, None)));
    let (_, seen) = g.sink(MemorySink::new(), source, Partitioning::Forward);
    let mut job = Job::start(g, &[(source, vec![split(0), split(1)])], Options::new(1));
    job.until("both watermarks", |_| watermarks(&seen, 0) == [10, 70]).await;
    job.cancel().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_moves_by_less_than_the_interval_leaves_once_that_has_passed_or_the_split_is_idle() {
    let script = |_, step: u64| match step {
        0 => Step::Rows(batch([(0, 0, 1_000)])),
        1 => Step::Rows(batch([(0, 0, 1_050)])),
        // It is not late, whatever batch it comes in.
        2 => Step::Rows(batch([(0, 0, 1_020)])),
        _ => Step::Park,
    };
    for (interval, idle) in [(100, None), (600_000, Some(Duration::from_millis(100)))] {
        let mut g = Graph::new();
        let source = g.source(ScriptSource::new(script), Some(watermark(interval, idle)));
        let (_, seen) = g.sink(MemorySink::new(), source, Partitioning::Forward);
        let first = if interval == 100 { vec![1_000, 1_050] } else { vec![1_050] };
        let mut job = Job::start(g, &[(source, vec![split(0)])], Options::new(1));
        job.until("the watermark", |_| watermarks(&seen, 0) == first).await;
        let entries = seen.by_subtask.lock().expect("lock")[&0].clone();
        assert!(matches!(entries.last(), Some(Entry::Watermark(1_050))), "{entries:?}");
        job.cancel().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_split_is_left_out_until_it_wakes() {
    let script = |split: usize, step: u64| match (split, step) {
        (0, 0) => Step::Rows(batch([(0, 0, 10)])),
        (0, 1) => Step::Sleep(Duration::from_millis(600)),
        (0, 2) => Step::Rows(batch([(0, 0, 2_000_000)])),
        (1, s) if s % 2 == 0 => Step::Sleep(Duration::from_millis(5)),
        (1, s) => Step::Rows(batch([(1, 1, 100 + s as i64)])),
        _ => Step::Park,
    };
    let mut g = Graph::new();
    let source = g.source(ScriptSource::new(script), Some(watermark(0, Some(Duration::from_millis(100)))));
    let (_, seen) = g.sink(MemorySink::new(), source, Partitioning::Forward);
    let mut job = Job::start(g, &[(source, vec![split(0), split(1)])], Options::new(1));
    job.until("the other split's watermark", |_| watermarks(&seen, 0).last().is_some_and(|w| *w > 100)).await;
    job.work_for(Duration::from_millis(700)).await;
    let w = watermarks(&seen, 0);
    assert!(w.windows(2).all(|p| p[0] < p[1]), "{w:?}");
    assert!(w.iter().all(|w| *w < 1_000_000), "the waking split does not run away: {w:?}");
    job.cancel().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_operator_holds_back_leaves_before_its_channel_is_idle() {
    let script = |split: usize, step: u64| match (split, step) {
        (0, 0) => Step::Rows(batch([(0, 0, 100)])),
        // It moves no watermark, so that it is held.
        (0, 1) => Step::Rows(batch([(0, 7, 50)])),
        (1, 0) => Step::Sleep(Duration::from_millis(300)),
        (1, 1) => Step::Rows(batch([(0, 0, 1_000)])),
        _ => Step::Park,
    };
    let mut g = Graph::new();
    let source = g.source(ScriptSource::new(script), Some(watermark(0, Some(Duration::from_millis(60)))));
    let hold = g.operator("hold", &[(source, Partitioning::Forward)], |_, _, _| Box::new(HoldBack::new(100)));
    let (_, seen) = g.sink(MemorySink::new(), hold, Partitioning::Singleton);
    let mut job = Job::start(g, &[(source, vec![split(0), split(1)])], Options::new(2));
    job.until("the other reader's watermark", |_| watermarks(&seen, 0).last() == Some(&1_000)).await;
    let entries = seen.by_subtask.lock().expect("lock").get(&0).cloned().unwrap_or_default();
    let row = entries.iter().position(|e| matches!(e, Entry::Row(_, _, 50)));
    let passed = entries.iter().position(|e| matches!(e, Entry::Watermark(1_000)));
    assert!(row.is_some() && row < passed, "{entries:?}");
    job.cancel().await;
}

/// Keeps its worker's thread at the row with this time.
struct Busy {
    ts: i64,
    duration: Duration,
}

impl Operator for Busy {
    #[expect(clippy::disallowed_methods, reason = "the thread is to be busy")]
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        if rows_of(&batch).iter().any(|r| r.2 == self.ts) {
            std::thread::sleep(self.duration);
        }
        context.emit(batch);
        Ok(Progress::Done)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_split_whose_rows_wait_for_a_busy_worker_is_not_idle() {
    for waiting in [1, 6] {
        let script = move |split: usize, step: u64| match (split, step) {
            (s, 0) => Step::Rows(batch([(0, 0, 10 + s as i64)])),
            (0, 1) => Step::Sleep(Duration::from_millis(60)),
            (0, 2) => Step::Rows(batch([(0, 0, 20)])),
            (1, 1) => Step::Sleep(Duration::from_millis(20)),
            // More than the queue takes: the last row waits with the reader.
            (1, s) if s < 2 + waiting => Step::Rows(batch([(1, 1, 1_000 + s as i64)])),
            _ => Step::Park,
        };
        let mut g = Graph::new();
        let source = g.source(ScriptSource::new(script), Some(watermark(0, Some(Duration::from_millis(150)))));
        let busy = g.operator("busy", &[(source, Partitioning::Forward)], |_, _, _| {
            Box::new(Busy { ts: 10, duration: Duration::from_millis(400) })
        });
        let (_, seen) = g.sink(MemorySink::new(), busy, Partitioning::Forward);
        let mut job = Job::start(g, &[(source, vec![split(0), split(1)])], Options::new(1));
        job.until("all rows", |_| seen.count.load(Ordering::SeqCst) == 3 + waiting).await;
        let entries = seen.by_subtask.lock().expect("lock")[&0].clone();
        let row = entries.iter().position(|e| matches!(e, Entry::Row(_, _, 20))).expect("the row");
        let overtaken = entries[..row].iter().any(|e| matches!(e, Entry::Watermark(w) if *w > 20));
        assert!(!overtaken, "with {waiting} rows in front: {entries:?}");
        job.cancel().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watermarks_that_the_source_knows() {
    let script = |_, step: u64| match step {
        5.. => Step::Finish,
        s => Step::Known(batch([(0, 0, 1_000 + s as i64)]), 10 * s as i64),
    };
    let spec = WatermarkSpec { from_source: true, ..watermark(0, None) };
    let mut g = Graph::new();
    let source = g.source(ScriptSource::new(script), Some(spec));
    let (_, seen) = g.sink(MemorySink::new(), source, Partitioning::Forward);
    let mut job = Job::start(g, &[(source, vec![split(0)])], Options::new(1));
    job.finish().await;
    assert_eq!(watermarks(&seen, 0), [0, 10, 20, 30, 40, i64::MAX]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_without_readers_on_some_workers_holds_nobody() {
    let script = |_, step: u64| match step {
        0 => Step::Rows(batch((0..100).map(|i| (i, 1, 5)))),
        _ => Step::Park,
    };
    let mut g = Graph::new();
    let source = g.limited_source(ScriptSource::new(script), Some(watermark(0, None)), Some(1));
    let (_, seen) = g.sink(MemorySink::new(), source, Partitioning::Hash(vec![0]));
    let mut job = Job::start(g, &[(source, vec![split(0)])], Options::new(3));
    job.until("watermarks", |_| (0..3).all(|s| watermarks(&seen, s) == [5])).await;
    job.until("ends", |l| l.ended.len() == 2).await;
    let id = job.trigger();
    job.complete(id).await;
    assert_eq!(job.log.registered.len(), 1);
    job.attempt.send(TaskCommand::Drain);
    job.finish().await;
}

/// Emits what it got some time later.
struct Later {
    delay_ms: i64,
    held: Vec<(i64, ChangeBatch)>,
    fired: Arc<Mutex<Vec<i64>>>,
}

impl Operator for Later {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        self.held.push((context.processing_time_ms + self.delay_ms, batch));
        context.register_timer(context.processing_time_ms + self.delay_ms);
        Ok(Progress::Done)
    }
    fn on_processing_time(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        let now = context.processing_time_ms;
        for (at, batch) in std::mem::take(&mut self.held) {
            if at <= now {
                self.fired.lock().expect("lock").push(now - at);
                context.emit(batch);
            } else {
                self.held.push((at, batch));
                context.register_timer(at);
            }
        }
        Ok(Progress::Done)
    }
    fn end_input(&mut self, _input: usize, context: &mut OperatorContext) -> Result<Progress> {
        std::mem::take(&mut self.held).into_iter().for_each(|(_, b)| context.emit(b));
        Ok(Progress::Done)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timers_fire_without_input_and_over_barriers() {
    let script = |_, step: u64| match step {
        0..20 => Step::Rows(batch([(step as i64, 1, step as i64)])),
        _ => Step::Park,
    };
    let fired = Arc::new(Mutex::new(vec![]));
    let for_operator = Arc::clone(&fired);
    let mut g = Graph::new();
    let source = g.source(ScriptSource::new(script), Some(watermark(0, None)));
    let later = g.operator("later", &[(source, Partitioning::Hash(vec![0]))], move |_, _, _| {
        Box::new(Later { delay_ms: 150, held: vec![], fired: Arc::clone(&for_operator) })
    });
    let (_, seen) = g.sink(MemorySink::new(), later, Partitioning::Forward);
    let mut job = Job::start(g, &[(source, vec![split(0), split(1)])], Options::new(2));
    job.work_for(Duration::from_millis(50)).await;
    assert_eq!(seen.count.load(Ordering::SeqCst), 0, "too early");
    // A timer that waits holds no barrier.
    let start = job.now();
    let id = job.trigger();
    job.complete(id).await;
    assert!(job.now() - start < Duration::from_millis(100), "{:?}", job.now() - start);
    job.until("all rows", |_| seen.count.load(Ordering::SeqCst) == 40).await;
    let worst = fired.lock().expect("lock").iter().copied().max();
    assert!(worst < Some(200), "{worst:?} ms late");
    job.cancel().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_timer_fires_behind_the_barrier_of_a_stop() {
    let script = |_, step: u64| match step {
        0..20 => Step::Rows(batch([(step as i64, 1, step as i64)])),
        _ => Step::Park,
    };
    let mut g = Graph::new();
    let source = g.source(ScriptSource::new(script), None);
    let later = g.operator("later", &[(source, Partitioning::Hash(vec![0]))], move |_, _, _| {
        Box::new(Later { delay_ms: 150, held: vec![], fired: Arc::default() })
    });
    let (_, seen) = g.sink(MemorySink::new(), later, Partitioning::Forward);
    let mut job = Job::start(g, &[(source, vec![split(0), split(1)])], Options::new(2));
    job.until("readers", |l| l.registered.len() == 2).await;
    job.work_for(Duration::from_millis(50)).await;
    let id = job.trigger_last();
    job.complete(id).await;
    assert_eq!(seen.count.load(Ordering::SeqCst), 0, "the machine is too slow for this test");
    job.work_for(Duration::from_millis(250)).await;
    assert_eq!(seen.count.load(Ordering::SeqCst), 0, "a timer fired behind the barrier");
    job.cancel().await;
}

/// Keeps the watermarks that it was given.
struct Watch {
    seen: Arc<Mutex<Vec<i64>>>,
}

impl Operator for Watch {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        context.emit(batch);
        Ok(Progress::Done)
    }
    fn process_watermark(&mut self, watermark: Watermark, context: &mut OperatorContext) -> Result<Progress> {
        assert_eq!(context.watermark, Some(watermark));
        self.seen.lock().expect("lock").push(watermark.0);
        context.emit_watermark(watermark);
        Ok(Progress::Done)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_inputs_have_the_lesser_watermark_until_one_ends() {
    let at = |ts: i64, then: bool| {
        move |_: usize, step: u64| match step {
            0 => Step::Rows(batch([(0, 0, ts)])),
            1 => Step::Sleep(Duration::from_millis(150)),
            _ if then => Step::Finish,
            _ => Step::Park,
        }
    };
    let all = Arc::new(Mutex::new(vec![]));
    let for_operator = Arc::clone(&all);
    let mut g = Graph::new();
    let a = g.source(ScriptSource::new(at(10, true)), Some(watermark(0, None)));
    let b = g.source(ScriptSource::new(at(70, false)), Some(watermark(0, None)));
    let both = g.operator("both", &[(a, Partitioning::Forward), (b, Partitioning::Forward)], move |_, _, _| {
        Box::new(Watch { seen: Arc::clone(&for_operator) })
    });
    g.sink(MemorySink::new(), both, Partitioning::Forward);
    let mut job = Job::start(g, &[(a, vec![split(0)]), (b, vec![split(1)])], Options::new(1));
    job.until("both", |_| *all.lock().expect("lock") == [10, 70]).await;
    job.cancel().await;
}
