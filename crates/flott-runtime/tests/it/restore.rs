//! A new attempt goes on exactly where a checkpoint was.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use flott_graph::{NodeId, Partitioning};

use crate::support::*;

const STEPS: u64 = 300;

fn script(split: usize, step: u64) -> Step {
    match step {
        STEPS.. => Step::Finish,
        s if s % 50 == 49 => Step::Sleep(Duration::from_millis(3)),
        s => Step::Rows(batch((0..20).map(|i| ((s as i64 + i * 3) % 37, s as i64 + split as i64, s as i64)))),
    }
}

fn expected(splits: usize) -> BTreeMap<i64, (i64, i64)> {
    let mut sums: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
    for s in 0..splits {
        for step in 0..STEPS {
            if let Step::Rows(b) = script(s, step) {
                for (k, v, _) in rows_of(&b) {
                    let e = sums.entry(k).or_default();
                    *e = (e.0 + v, e.1 + 1);
                }
            }
        }
    }
    sums
}

fn graph() -> (Graph, NodeId, std::sync::Arc<Seen>) {
    let mut g = Graph::new();
    let source = g.source(ScriptSource::new(script), Some(watermark(0, None)));
    let hold = g.operator("hold", &[(source, Partitioning::Forward)], |_, _, _| Box::new(HoldBack::new(5)));
    let sum = g.sum(&[(hold, Partitioning::Hash(vec![0]))]);
    let (_, seen) = g.sink(MemorySink::new(), sum, Partitioning::Forward);
    (g, source, seen)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sums_are_exact_over_restores_at_other_parallelisms() {
    let splits = 6;
    let (g, source, _) = graph();
    let mut job = Job::start(g, &[(source, (0..splits).map(split).collect())], Options::new(2));
    job.until("readers", |l| l.registered.len() == 2).await;
    for (generation, parallelism) in (2..).zip([3usize, 1, 4]) {
        job.work_for(Duration::from_millis(15)).await;
        let id = job.trigger();
        job.complete(id).await;
        assert!(job.log.operators.contains_key(&id), "the input ended too early for this test");
        // What follows is lost with the attempt.
        job.work_for(Duration::from_millis(5)).await;
        job.cancel().await;
        let (restored, by_node) = job.restored(id, parallelism);
        let options = Options { restored, generation, first_epoch: id + 1, ..Options::new(parallelism) };
        let (g, source, _) = graph();
        let states = by_node.get(&source).cloned().unwrap_or_default();
        assert!(!states.is_empty());
        job = Job::start(g, &[(source, states)], options);
        job.until("readers", |l| l.registered.len() == parallelism).await;
    }
    let id = job.trigger();
    job.complete(id).await;
    job.cancel().await;
    let (restored, by_node) = job.restored(id, 2);
    let (g, source, seen) = graph();
    let states = by_node.get(&source).cloned().unwrap_or_default();
    let options = Options { restored, generation: 9, first_epoch: id + 1, ..Options::new(2) };
    let mut job = Job::start(g, &[(source, states)], options);
    job.finish().await;
    let found: BTreeMap<i64, (i64, i64)> =
        seen.rows.lock().expect("lock").iter().map(|(k, s, n)| (*k, (*s, *n))).collect();
    assert_eq!(found, expected(splits));
    assert_eq!(seen.count.load(Ordering::SeqCst) as usize, found.len());
}

/// Nothing that came in before goes out again, and event time does not go back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watermarks_do_not_go_back_over_a_restore() {
    let endless = |_: usize, step: u64| match step {
        s if s % 10 == 9 => Step::Sleep(Duration::from_millis(2)),
        s => Step::Rows(batch([(0, 1, s as i64)])),
    };
    let build = || {
        let mut g = Graph::new();
        let source = g.source(ScriptSource::new(endless), Some(watermark(0, None)));
        let pass = g.operator("pass", &[(source, Partitioning::Hash(vec![0]))], |_, _, _| Box::new(Pass));
        let (_, seen) = g.sink(MemorySink::new(), pass, Partitioning::Forward);
        (g, source, pass, seen)
    };
    let (g, source, pass, _) = build();
    let mut job = Job::start(g, &[(source, vec![split(0), split(1)])], Options::new(2));
    job.work_for(Duration::from_millis(60)).await;
    let id = job.trigger();
    job.complete(id).await;
    let before = job.log.operators[&id].iter().filter(|(t, _)| t.0 == pass).map(|(_, (w, _))| *w).min();
    let before = before.expect("a report");
    assert!(before > 0, "no watermark came through: {before}");
    job.cancel().await;
    let (restored, by_node) = job.restored(id, 2);
    let (g, source, pass, seen) = build();
    let options = Options { restored, generation: 2, first_epoch: id + 1, ..Options::new(2) };
    let mut job = Job::start(g, &[(source, by_node[&source].clone())], options);
    // At once, before any row: the watermark is a part of the state.
    job.work_for(Duration::from_millis(40)).await;
    let id = job.trigger();
    job.complete(id).await;
    assert!(job.log.operators[&id].iter().filter(|(t, _)| t.0 == pass).all(|(_, (w, _))| *w >= before));
    job.cancel().await;
    for entries in seen.by_subtask.lock().expect("lock").values() {
        for e in entries {
            if let Entry::Watermark(w) = e {
                assert!(*w > before, "{w} came again behind {before}");
            }
        }
    }
}
