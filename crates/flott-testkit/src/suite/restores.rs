//! A bounded source, cut and restored anywhere, without a runtime.

use std::sync::Arc;

use flott_connector::Boundedness;
use flott_connector::source::Source;
use flott_core::ChangeBatch;

use crate::assert::{assert_rows_equal, rows_of};
use crate::source_harness::SourceHarness;

/// Steps between two checkpoints of [`source_restores`], so that cuts fall at different places in several splits.
const STEPS_BETWEEN_CUTS: usize = 3;

/// A bounded source gives the same rows whether or not it is stopped and restored on the way, with any parallelism
/// before and after: nothing lost, nothing twice. Cuts at up to `cuts` places.
///
/// Panics where that does not hold; the message names the cut and the parallelisms.
pub async fn source_restores(source: &Arc<dyn Source>, parallelisms: &[usize], cuts: usize) {
    assert_eq!(source.boundedness(), Boundedness::Bounded, "the suite runs sources to their end");
    for before in parallelisms {
        let mut harness = started(source, *before, None).await;
        let mut done: Vec<ChangeBatch> = vec![];
        let mut checkpoints = vec![];
        let mut step = 0;
        while !harness.ended() && checkpoints.len() < cuts {
            checkpoints.push((done.len(), harness.snapshot().unwrap_or_else(|e| panic!("snapshot: {e}"))));
            for _ in 0..STEPS_BETWEEN_CUTS {
                let batch = harness.step(step % before).await;
                done.extend(batch.unwrap_or_else(|e| panic!("read: {e}")));
                step += 1;
            }
        }
        done.extend(harness.run_to_end().await.unwrap_or_else(|e| panic!("read: {e}")));
        let expected = rows_of(&done);
        for (batches, checkpoint) in checkpoints {
            for after in parallelisms {
                let mut restored = started(source, *after, Some(checkpoint.clone())).await;
                let rest = restored.run_to_end().await.unwrap_or_else(|e| panic!("read after a restore: {e}"));
                let mut actual = rows_of(&done[..batches]);
                actual.extend(rows_of(&rest));
                assert_eq!(
                    actual.len(),
                    expected.len(),
                    "rows after a cut behind batch {batches}, parallelism {before} to {after}"
                );
                assert_rows_equal(actual, &expected, false);
            }
        }
    }
}

async fn started(
    source: &Arc<dyn Source>,
    parallelism: usize,
    checkpoint: Option<crate::SourceCheckpoint>,
) -> SourceHarness {
    match SourceHarness::start(source, parallelism, checkpoint).await {
        Ok(harness) => harness,
        Err(e) => panic!("start: {e}"),
    }
}
