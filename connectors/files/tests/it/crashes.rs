//! Epochs with crashes between any two steps: what a checkpoint decided is shown once, the rest not at all.

use std::sync::Arc;

use flott_connector::sink::{Committable, SinkWriter};
use flott_testkit::batch;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use proptest::prelude::*;

use crate::objects::keys;
use crate::support::*;

const COLUMNS: &str = "v INT, p INT";

/// Where an epoch's process dies.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
enum Crash {
    BehindWrite,
    BehindFlush,
    BehindPrepare,
    /// Nothing is committed.
    BehindDecision,
    /// So many committables are.
    InCommit(usize),
    /// Not recorded.
    BehindCommit,
    Never,
}

fn crash() -> impl Strategy<Value = Crash> {
    prop_oneof![
        Just(Crash::BehindWrite),
        Just(Crash::BehindFlush),
        Just(Crash::BehindPrepare),
        Just(Crash::BehindDecision),
        (0usize..4).prop_map(Crash::InCommit),
        Just(Crash::BehindCommit),
        Just(Crash::Never),
        Just(Crash::Never),
    ]
}

/// One epoch of two writers; `None` where it died before it was prepared.
async fn prepared(
    writers: &mut [Box<dyn SinkWriter>],
    rows: &[String],
    checkpoint: u64,
    crash: Crash,
) -> Option<Vec<Committable>> {
    let mut committables = vec![];
    let half = rows.len() / 2;
    for (writer, rows) in writers.iter_mut().zip([&rows[..half], &rows[half..]]) {
        writer.write(batch(COLUMNS, rows)).await.expect("written");
    }
    if crash == Crash::BehindWrite {
        return None;
    }
    for writer in writers.iter_mut() {
        writer.flush(false).await.expect("flushed");
    }
    if crash == Crash::BehindFlush {
        return None;
    }
    for writer in writers.iter_mut() {
        committables.extend(writer.prepare_commit(flott_core::CheckpointId(checkpoint)).await.expect("prepared"));
    }
    (crash != Crash::BehindPrepare).then_some(committables)
}

async fn run(table: &Table, epochs: &[(usize, Crash)]) -> Vec<String> {
    let sink = table.sink();
    let (mut generation, mut checkpoint, mut done) = (1, 0, 0);
    let attempt = |generation| vec![writer_of(&sink, generation, 0), writer_of(&sink, generation, 1)];
    let mut writers = attempt(generation);
    let mut committer = committer_of(&sink, generation);
    let mut expected = vec![];
    // After the crashes the rest goes well.
    let rest = epochs.iter().map(|(n, _)| (*n, Crash::Never));
    for (n, crash) in epochs.iter().copied().chain(rest) {
        checkpoint += 1;
        let rows: Vec<String> = (done..done + n).map(|i| format!("+I[{i}, {}]", i % 3)).collect();
        let committables = prepared(&mut writers, &rows, checkpoint, crash).await;
        if let Some(committables) = &committables {
            expected.extend(rows);
            done += n;
            match crash {
                Crash::BehindDecision => {}
                Crash::InCommit(k) => {
                    let some = &committables[..k.min(committables.len())];
                    committer.commit(&decided(checkpoint), some).await.expect("committed");
                }
                _ => drop(committer.commit(&decided(checkpoint), committables).await.expect("committed")),
            }
        }
        if crash != Crash::Never {
            generation += 1;
            // A process that dies closes nothing.
            writers = attempt(generation);
            committer = committer_of(&sink, generation);
            if let Some(committables) = &committables {
                committer.commit(&decided(checkpoint), committables).await.expect("committed again");
            }
            committer.clean_up(&[]).await.expect("clean");
        }
    }
    committer.finish(&decided(checkpoint)).await.expect("finished");
    expected.sort();
    expected
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_decided_row_is_shown_once(epochs in prop::collection::vec((0usize..7, crash()), 1..6)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(async {
            let (_dir, path) = temp();
            let local = Table::new(&path, COLUMNS).partitioned_by(&["p"]);
            let expected = run(&local, &epochs).await;
            assert_eq!(local.read_sorted().await, expected);
            assert_eq!(tree(&path).len(), visible(&path).len(), "nothing is left behind");
            assert!(!path.join(".flott-staging").exists());

            let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
            let objects = Table::new("t", COLUMNS).partitioned_by(&["p"]).store(Arc::clone(&store));
            let expected = run(&objects, &epochs).await;
            let left = keys(&store).await;
            assert!(left.iter().all(|k| !k.contains(".flott-staging")), "{left:?}");
            if !expected.is_empty() {
                assert_eq!(objects.read_sorted().await, expected);
            }
        });
    }
}
