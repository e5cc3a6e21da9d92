//! Random batches, graphs' edges and parallelisms against a naive sum.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flott_core::rng::Rng;
use flott_core::{ChangeBatch, RowKind};
use flott_graph::Partitioning;

use crate::support::*;

fn random_batch(rng: &mut Rng) -> ChangeBatch {
    let n = rng.below(60) as i64;
    let rows: Vec<_> = (0..n).map(|i| (rng.below(40) as i64 - 20, rng.below(1_000) as i64, i)).collect();
    let plain = batch(rows);
    if rng.below(2) == 0 {
        return plain;
    }
    let kinds = (0..n)
        .map(|_| match rng.below(4) {
            0 => RowKind::Insert,
            1 => RowKind::UpdateBefore,
            2 => RowKind::UpdateAfter,
            _ => RowKind::Delete,
        })
        .collect();
    ChangeBatch::new(plain.rows, kinds).expect("as many kinds as rows")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_batches_edges_and_parallelism_give_the_naive_sum() {
    for seed in 0..25 {
        let mut rng = Rng::seeded(seed);
        let splits = 1 + rng.below(5) as usize;
        let batches: Vec<Vec<ChangeBatch>> =
            (0..splits).map(|_| (0..rng.below(60)).map(|_| random_batch(&mut rng)).collect()).collect();
        let mut expected: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
        for b in batches.iter().flatten() {
            for (i, (k, v, _)) in rows_of(b).into_iter().enumerate() {
                let sign = if b.kind(i).is_addition() { 1 } else { -1 };
                let e = expected.entry(k).or_default();
                *e = (e.0 + sign * v, e.1 + sign);
            }
        }
        let batches = Arc::new(batches);
        let two_sources = rng.below(2) == 0;
        let edge = |rng: &mut Rng| match rng.below(4) {
            0 => Partitioning::Forward,
            1 => Partitioning::Rebalance,
            2 => Partitioning::Singleton,
            _ => Partitioning::Hash(vec![1]),
        };
        let script = |odd: usize| {
            let batches = Arc::clone(&batches);
            move |split: usize, step: u64| {
                // With two sources the splits are shared out between them.
                if two_sources && split % 2 != odd {
                    return Step::Finish;
                }
                batches[split].get(step as usize).map_or(Step::Finish, |b| Step::Rows(b.clone()))
            }
        };
        let mut g = Graph::new();
        let a = g.source(ScriptSource::new(script(0)), None);
        let mut sources = vec![a];
        if two_sources {
            sources.push(g.source(ScriptSource::new(script(1)), None));
        }
        let inputs: Vec<_> = sources.iter().map(|s| (*s, edge(&mut rng))).collect();
        let pass = g.operator("pass", &inputs, |_, _, _| Box::new(Pass));
        let hold = g.operator("hold", &[(pass, edge(&mut rng))], |_, _, _| Box::new(HoldBack::new(4)));
        let sum = g.sum(&[(hold, Partitioning::Hash(vec![0]))]);
        let (_, seen) = g.sink(MemorySink::new(), sum, edge(&mut rng));
        let parallelism = 1 + rng.below(4) as usize;
        let window = [500, 20_000, 4 << 20][rng.below(3) as usize];
        let states: Vec<_> = (0..splits).map(split).collect();
        let assigned: Vec<_> = sources.iter().map(|s| (*s, states.clone())).collect();
        let mut job = Job::start(g, &assigned, Options { in_flight_bytes: window, ..Options::new(parallelism) });
        for _ in 0..rng.below(10) {
            job.trigger();
            job.work_for(Duration::from_millis(rng.below(4))).await;
        }
        job.finish().await;
        let found: BTreeMap<i64, (i64, i64)> =
            seen.rows.lock().expect("lock").iter().map(|(k, s, n)| (*k, (*s, *n))).collect();
        assert_eq!(found, expected, "seed {seed}");
        // Everything is staged for one checkpoint or for the end, nothing twice.
        let staged: usize = seen.staged.lock().expect("lock").values().map(Vec::len).sum();
        assert_eq!(staged, found.len(), "seed {seed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broadcast_brings_every_row_to_every_worker() {
    let script = |_, step: u64| if step < 10 { Step::Rows(batch([(step as i64, 1, 0)])) } else { Step::Finish };
    let mut g = Graph::new();
    let source = g.source(ScriptSource::new(script), None);
    let (_, seen) = g.sink(MemorySink::new(), source, Partitioning::Broadcast);
    let mut job = Job::start(g, &[(source, vec![split(0), split(1)])], Options::new(3));
    job.finish().await;
    let by_subtask = seen.by_subtask.lock().expect("lock");
    for entries in by_subtask.values() {
        assert_eq!(entries.iter().filter(|e| matches!(e, Entry::Row(..))).count(), 20);
    }
    assert_eq!(by_subtask.len(), 3);
}
