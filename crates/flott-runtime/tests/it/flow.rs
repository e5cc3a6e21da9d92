//! Back-pressure: what is in flight stays bounded, and nothing that waits holds others.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flott_core::ChangeBatch;
use flott_graph::Partitioning;

use crate::support::*;

const WINDOW: usize = 1 << 20;
const ROWS: i64 = 1_000;

fn thousand(_split: usize, step: u64) -> Step {
    Step::Rows(batch((0..ROWS).map(|i| (i, step as i64, 0))))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_sink_bounds_what_is_in_flight_and_checkpoints_begin_at_once() {
    for parallelism in [1usize, 2] {
        let mut g = Graph::new();
        let source = ScriptSource::new(thousand);
        let produced = Arc::clone(&source.produced);
        let source = g.source(source, None);
        let pass = g.operator("pass", &[(source, Partitioning::Hash(vec![0]))], |_, _, _| Box::new(Pass));
        let slow = |_: usize, _: &ChangeBatch| Write::After(Duration::from_millis(100));
        let (_, seen) = g.sink(MemorySink::counting(slow), pass, Partitioning::Forward);
        let splits = (0..parallelism).map(split).collect();
        let options = Options { in_flight_bytes: WINDOW, ..Options::new(parallelism) };
        let mut job = Job::start(g, &[(source, splits)], options);
        let mut most = 0;
        for _ in 0..15 {
            job.work_for(Duration::from_millis(100)).await;
            let in_flight = produced.load(Ordering::SeqCst) - seen.bytes.load(Ordering::SeqCst);
            most = most.max(in_flight);
        }
        // The window of each source, a tick on top, the queues at both ends.
        let bound = (parallelism * (2 * WINDOW + 16 * 24 * ROWS as usize)) as u64;
        assert!(most <= bound, "{most} bytes in flight with {parallelism} workers");
        assert!(seen.count.load(Ordering::SeqCst) > 0);
        // Flow control holds the sources, yet they obey.
        let start = job.now();
        let id = job.trigger();
        job.until("positions", |l| l.sources.get(&id).is_some_and(|m| m.len() == parallelism)).await;
        assert!(job.now() - start < Duration::from_millis(500), "{:?}", job.now() - start);
        job.cancel().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_under_back_pressure_completes() {
    let mut g = Graph::new();
    let source = g.source(ScriptSource::new(thousand), None);
    let sum = g.operator("pass", &[(source, Partitioning::Hash(vec![0]))], |_, _, _| Box::new(Pass));
    let slow = |_: usize, _: &ChangeBatch| Write::After(Duration::from_millis(5));
    g.sink(MemorySink::counting(slow), sum, Partitioning::Forward);
    let options = Options { in_flight_bytes: WINDOW / 4, ..Options::new(2) };
    let mut job = Job::start(g, &[(source, vec![split(0), split(1)])], options);
    job.work_for(Duration::from_millis(100)).await;
    for _ in 0..5 {
        let id = job.trigger();
        job.complete(id).await;
    }
    job.cancel().await;
}

/// One row becomes a million: the emission is as long as it likes, but only a window of it exists at a time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_big_emission_is_bounded() {
    for parallelism in [1usize, 2] {
        let emitted = Arc::new(AtomicU64::new(0));
        let mut g = Graph::new();
        let one = |split: usize, step: u64| match (split, step) {
            (0, 0) => Step::Rows(batch([(0, 0, 0)])),
            _ => Step::Finish,
        };
        let source = g.source(ScriptSource::new(one), None);
        let for_operator = Arc::clone(&emitted);
        let amplify = g.operator("amplify", &[(source, Partitioning::Rebalance)], move |_, _, _| {
            Box::new(Amplify::new(1_000_000, 2_000, Arc::clone(&for_operator)))
        });
        let pass = g.operator("pass", &[(amplify, Partitioning::Hash(vec![0]))], |_, _, _| Box::new(Pass));
        let most = Arc::new(AtomicU64::new(0));
        let mut sink = MemorySink::counting(|_, _| Write::Take);
        let seen = Arc::clone(&sink.seen);
        let (most2, emitted2, seen2) = (Arc::clone(&most), Arc::clone(&emitted), Arc::clone(&seen));
        sink.write = Arc::new(move |_, _| {
            let out = emitted2.load(Ordering::SeqCst).saturating_sub(seen2.count.load(Ordering::SeqCst));
            most2.fetch_max(out, Ordering::SeqCst);
            Write::After(Duration::from_micros(100))
        });
        g.sink(sink, pass, Partitioning::Forward);
        let options = Options { in_flight_bytes: WINDOW, ..Options::new(parallelism) };
        let mut job = Job::start(g, &[(source, vec![split(0)])], options);
        job.finish().await;
        assert_eq!(seen.count.load(Ordering::SeqCst), 1_000_000);
        let bytes = most.load(Ordering::SeqCst) * 24;
        assert!(bytes < 4 * WINDOW as u64, "{bytes} bytes in flight with {parallelism} workers");
    }
}

/// Every row of an endless source explodes, twice, behind a sink that stalls, with barriers: bounded, and it goes on.
/// A barrier has to wait for all output of the rows before it, so the window is small.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn emissions_behind_emissions_neither_stick_nor_grow() {
    const FACTOR: u64 = 20;
    let window = 16 << 10;
    for parallelism in [1usize, 2] {
        let emitted = Arc::new(AtomicU64::new(0));
        let mut g = Graph::new();
        let source = ScriptSource::new(|_, step| Step::Rows(batch((0..100).map(|i| (i * 1_000, step as i64, 0)))));
        let produced = Arc::clone(&source.produced);
        let source = g.source(source, None);
        let nothing = Arc::new(AtomicU64::new(0));
        let first = g.operator("first", &[(source, Partitioning::Hash(vec![0]))], move |_, _, _| {
            Box::new(Amplify::new(FACTOR as usize, 10, Arc::clone(&nothing)))
        });
        let for_operator = Arc::clone(&emitted);
        let second = g.operator("second", &[(first, Partitioning::Hash(vec![0]))], move |_, _, _| {
            Box::new(Amplify::new(FACTOR as usize, 1_000, Arc::clone(&for_operator)))
        });
        let writes = AtomicU64::new(0);
        let stalls = move |_: usize, _: &ChangeBatch| match writes.fetch_add(1, Ordering::SeqCst) % 100 {
            0 => Write::After(Duration::from_millis(2)),
            _ => Write::Take,
        };
        let (_, seen) = g.sink(MemorySink::counting(stalls), second, Partitioning::Hash(vec![0]));
        let splits = (0..parallelism).map(split).collect();
        let options = Options { in_flight_bytes: window, ..Options::new(parallelism) };
        let mut job = Job::start(g, &[(source, splits)], options);
        let mut last = 0;
        for round in 0..20 {
            job.work_for(Duration::from_millis(100)).await;
            if round % 5 == 4 {
                let id = job.trigger();
                job.complete(id).await;
            }
            let rows = seen.count.load(Ordering::SeqCst);
            assert!(round < 3 || rows > last, "stuck at {rows} rows with {parallelism} workers");
            last = rows;
        }
        let bound = (parallelism * 8 * window) as u64;
        let out = emitted.load(Ordering::SeqCst) - seen.count.load(Ordering::SeqCst);
        assert!(out * 24 < bound, "{} bytes behind the second", out * 24);
        let inside = produced.load(Ordering::SeqCst) - seen.count.load(Ordering::SeqCst) / (FACTOR * FACTOR) * 24;
        assert!(inside < bound, "{inside} bytes before the first");
        job.cancel().await;
    }
}

/// What a source has counted becomes a thousand times as much in one call, in front of a sink that stalls: no more of it
/// is made than a window and what is in hand, with barriers on the way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_calc_that_grows_rows_is_bounded_and_goes_on() {
    const BATCH: u64 = 100 * 24 * 1_000;
    for (parallelism, edge) in
        [(1usize, Partitioning::Forward), (2, Partitioning::Forward), (2, Partitioning::Hash(vec![0]))]
    {
        let emitted = Arc::new(AtomicU64::new(0));
        let mut g = Graph::new();
        let source = g.source(ScriptSource::new(|_, s| Step::Rows(batch((0..100).map(|i| (i, s as i64, 0))))), None);
        let for_operator = Arc::clone(&emitted);
        let grow = g.operator("grow", &[(source, Partitioning::Forward)], move |_, _, _| {
            Box::new(Explode { factor: 1_000, emitted: Arc::clone(&for_operator) })
        });
        let pass = g.operator("pass", &[(grow, Partitioning::Forward)], |_, _, _| Box::new(Pass));
        let slow = |_: usize, _: &ChangeBatch| Write::After(Duration::from_millis(10));
        let (_, seen) = g.sink(MemorySink::counting(slow), pass, edge.clone());
        let splits = (0..parallelism).map(split).collect();
        let options = Options { in_flight_bytes: WINDOW / 4, ..Options::new(parallelism) };
        let mut job = Job::start(g, &[(source, splits)], options);
        let (mut most, mut last) = (0, 0);
        for round in 0..8 {
            for _ in 0..10 {
                job.work_for(Duration::from_millis(20)).await;
                let out = emitted.load(Ordering::SeqCst).saturating_sub(seen.bytes.load(Ordering::SeqCst));
                most = most.max(out);
            }
            if round % 3 == 2 {
                let id = job.trigger();
                job.complete(id).await;
            }
            let bytes = seen.bytes.load(Ordering::SeqCst);
            assert!(bytes > last, "stuck at {bytes} bytes with {parallelism} workers and {edge:?}");
            last = bytes;
        }
        // In hand: with the writer, in its queue (4 MB), and what was begun while there was room.
        let bound = parallelism as u64 * (WINDOW as u64 + (4 << 20) + 4 * BATCH);
        assert!(most <= bound, "{most} bytes of {bound} in flight with {parallelism} workers and {edge:?}");
        job.cancel().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_to_all_do_not_pile_up_at_sources_that_have_ended() {
    let mut g = Graph::new();
    let ended = g.limited_source(ScriptSource::new(|_, _| Step::Finish), None, Some(1));
    let open = g.source(ScriptSource::new(|_, _| Step::Park), None);
    let both =
        g.operator("both", &[(ended, Partitioning::Forward), (open, Partitioning::Forward)], |_, _, _| Box::new(Pass));
    g.sink(MemorySink::new(), both, Partitioning::Forward);
    let splits = [(ended, vec![split(0)]), (open, vec![split(1), split(2)])];
    let mut job = Job::start(g, &splits, Options::new(2));
    job.until("the end of one source", |l| l.ended.iter().filter(|t| t.0 == ended).count() == 2).await;
    for _ in 0..5 {
        let id = job.trigger();
        job.complete(id).await;
    }
    assert_eq!(job.attempt.commands_waiting(), 0);
    job.cancel().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sink_has_its_own_parallelism() {
    for changes in [false, true] {
        let script = |s: usize, step: u64| match step {
            0..20 => Step::Rows(batch([(s as i64, step as i64, 0)])),
            20 => Step::Sleep(Duration::from_millis(300)),
            _ => Step::Finish,
        };
        let mut g = Graph::new();
        let source = g.source(ScriptSource::new(script), None);
        let (sink, seen) = g.sink(MemorySink::new(), source, Partitioning::Rebalance);
        g.graph.nodes[sink.0].parallelism = Some(2);
        if changes {
            g.graph.nodes[sink.0].changelog_mode = flott_connector::factory::ChangelogMode::ALL;
        }
        let mut job = Job::start(g, &[(source, (0..4).map(split).collect())], Options::new(4));
        job.until("all rows", |_| seen.count.load(Ordering::SeqCst) == 80).await;
        let id = job.trigger();
        job.complete(id).await;
        job.finish().await;
        assert_eq!(job.log.last.len(), 4, "idle writers report, too");
        assert_eq!(seen.parallelism.lock().expect("lock").iter().copied().collect::<Vec<_>>(), [2]);
        let by_subtask = seen.by_subtask.lock().expect("lock");
        let rows = |s: usize| {
            let entries = by_subtask.get(&s).into_iter().flatten();
            entries.filter_map(|e| if let Entry::Row(k, v, _) = e { Some((*k, *v)) } else { None }).collect::<Vec<_>>()
        };
        assert!(!rows(0).is_empty() && !rows(1).is_empty());
        assert!(rows(2).is_empty() && rows(3).is_empty(), "rows beyond the sink's parallelism");
        for split in 0..4i64 {
            let writers = (0..2).filter(|s| rows(*s).iter().any(|r| r.0 == split)).count();
            assert!(!changes || writers == 1, "changes of one sender went to {writers} writers");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_source_holds_nobody() {
    let mut g = Graph::new();
    let busy = g.source(
        ScriptSource::new(
            |_, step| if step < 500 { Step::Rows(batch([(step as i64, 1, step as i64)])) } else { Step::Park },
        ),
        Some(watermark(0, None)),
    );
    let idle = g.source(ScriptSource::new(|_, _| Step::Park), Some(watermark(0, Some(Duration::from_millis(50)))));
    let both =
        g.operator("both", &[(busy, Partitioning::Hash(vec![0])), (idle, Partitioning::Hash(vec![0]))], |_, _, _| {
            Box::new(Pass)
        });
    let (_, seen) = g.sink(MemorySink::new(), both, Partitioning::Forward);
    // A window far smaller than the rows: they pass only if ticks advance beside the idle source.
    let options = Options { in_flight_bytes: 2_000, ..Options::new(2) };
    let mut job = Job::start(g, &[(busy, vec![split(0), split(1)]), (idle, vec![split(2), split(3)])], options);
    job.until("all rows", |_| seen.count.load(Ordering::SeqCst) == 1_000).await;
    job.until("the busy source's watermark", |_| {
        let by_subtask = seen.by_subtask.lock().expect("lock");
        by_subtask.len() == 2
            && by_subtask.values().all(|e| {
                e.iter().filter_map(|e| if let Entry::Watermark(w) = e { Some(*w) } else { None }).next_back()
                    == Some(499)
            })
    })
    .await;
    job.cancel().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_row_into_an_idle_job_is_quick() {
    let mut g = Graph::new();
    let clock = flott_core::clock::SystemClock::shared();
    let stamp = Arc::clone(&clock);
    let script = move |split: usize, step: u64| match (split, step) {
        (0, s) if s % 2 == 0 => Step::Sleep(Duration::from_millis(30)),
        (0, _) => Step::Rows(batch([(0, stamp.monotonic().as_micros() as i64, 0)])),
        _ => Step::Park,
    };
    let source = g.source(ScriptSource::new(script), None);
    let pass = g.operator("pass", &[(source, Partitioning::Hash(vec![0]))], |_, _, _| Box::new(Pass));
    let delays = Arc::new(std::sync::Mutex::new(vec![]));
    let (out, now) = (Arc::clone(&delays), Arc::clone(&clock));
    let sink = MemorySink::counting(move |_, b| {
        out.lock().expect("lock").push(now.monotonic().as_micros() as i64 - rows_of(b)[0].1);
        Write::Take
    });
    g.sink(sink, pass, Partitioning::Rebalance);
    let mut job = Job::start(g, &[(source, vec![split(0), split(1)])], Options::new(2));
    job.until("rows", |_| delays.lock().expect("lock").len() >= 30).await;
    job.cancel().await;
    let mut delays = delays.lock().expect("lock").clone();
    delays.sort_unstable();
    // The median, since other tests may hold the processor.
    let median = delays[delays.len() / 2];
    assert!(median < 10_000, "{median} us");
}
