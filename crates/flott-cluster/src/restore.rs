//! What a job goes on from: which checkpoints fit it, the state of its subtasks, and the output that was decided before.

use std::collections::HashMap;
use std::ops::Range;

use flott_core::{Error, FailPoints, Result, key_group};
use flott_graph::JobGraph;
use flott_runtime::api::{Restored, RestoredOperator};
use flott_state::manifest::{Manifest, StoredOperator, StoredSubtask};
use flott_state::store::{Opened, restore_operator};
use flott_state::{CheckpointStorage, CheckpointStore};

use crate::finalize::{self, Committers, Refusal};

/// After a restore: commit what was decided, then remove what dead attempts left.
pub(crate) async fn roll_forward(
    graph: &JobGraph,
    store: &mut CheckpointStore,
    committers: &mut Committers,
    fail_points: &FailPoints,
    opened: &Opened,
    refusal: Refusal,
) -> Result<()> {
    if opened.commit_pending
        && let (Some(manifest), Some(decided)) = (&opened.manifest, store.last_decided())
    {
        finalize::commit_decided(graph, store, committers, fail_points, manifest, &decided, refusal).await?;
    }
    for (node, committer) in committers {
        committer.clean_up(&[]).await.map_err(|e| e.with("operator", &graph.node(*node).name))?;
    }
    store.retire().await
}

/// Whether an operator has stored anything that a job without it would lose: rows, or how far time had come where that is
/// all of its state. One that has seen no time has nothing in its small state but what a new one has.
fn holds_state(stored: &StoredOperator) -> bool {
    let knows_time = |s: &StoredSubtask| s.watermark_ms != i64::MIN && !s.meta.bytes.is_empty();
    !stored.runs.is_empty() || stored.subtasks.iter().any(knows_time)
}

/// Whether a checkpoint has something under an operator's id that a job without it would lose.
pub fn holds_state_of(manifest: &Manifest, uid: &str) -> bool {
    manifest.operators.get(uid).is_some_and(holds_state) || manifest.sources.contains_key(uid)
}

/// The operators whose state of a checkpoint none of a job's takes. It is told by who decides that it may be dropped: each
/// attempt checks it again.
pub fn dropped_state(graph: &JobGraph, manifest: &Manifest) -> Option<String> {
    let known = |uid: &String| graph.nodes.iter().any(|n| n.uid == *uid);
    let dropped: Vec<String> = manifest
        .operators
        .iter()
        .filter(|(_, o)| holds_state(o))
        .map(|(uid, _)| uid)
        .chain(manifest.sources.keys())
        .filter(|uid| !known(uid))
        .map(|uid| format!("'{uid}'"))
        .collect();
    (!dropped.is_empty()).then(|| dropped.join(", "))
}

/// Whether a job can go on from a checkpoint: state that none of its operators takes is refused, with the list.
pub fn check_restorable(graph: &JobGraph, manifest: &Manifest, allow_non_restored_state: bool) -> Result<()> {
    if let Some(list) = dropped_state(graph, manifest)
        && !allow_non_restored_state
    {
        return Err(Error::user(format!(
            "checkpoint {} holds state of operators that the job no longer has: {list}",
            manifest.checkpoint
        ))
        .hint("Restore with the script that wrote it, drop that state with --allow-non-restored-state, or start over with --fresh"));
    }
    if manifest.max_parallelism != graph.max_parallelism {
        return Err(Error::user(format!(
            "the checkpoint has {} key groups, the job has {}",
            manifest.max_parallelism, graph.max_parallelism
        ))
        .hint("Set 'pipeline.max-parallelism' back to what it was"));
    }
    Ok(())
}

/// The state of some of the subtasks, cut from the manifest.
pub(crate) async fn restore(
    graph: &JobGraph,
    storage: &CheckpointStorage,
    manifest: &Manifest,
    parallelism: usize,
    subtasks: Range<usize>,
) -> Result<Restored> {
    let mut restored = Restored { operators: HashMap::new(), writers: HashMap::new() };
    for (id, node) in graph.iter() {
        if let Some(stored) = manifest.operators.get(&node.uid) {
            let watermark_ms = stored.subtasks.iter().map(|s| s.watermark_ms).min();
            for subtask in subtasks.clone() {
                if stored.ended {
                    restored.operators.insert((id, subtask), RestoredOperator { ended: true, ..Default::default() });
                    continue;
                }
                let range = key_group::range_of(subtask, parallelism, manifest.max_parallelism);
                let state =
                    restore_operator(storage, stored, range).await.map_err(|e| e.with("operator", &node.name))?;
                restored.operators.insert((id, subtask), RestoredOperator { watermark_ms, state, ended: false });
            }
        }
        if let Some(stored) = manifest.sinks.get(&node.uid) {
            for (i, state) in stored.writers.iter().enumerate().filter(|(i, _)| subtasks.contains(&(i % parallelism))) {
                restored.writers.entry((id, i % parallelism)).or_default().push(finalize::versioned(state));
            }
        }
    }
    Ok(restored)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use flott_core::{CheckpointId, ErrorKind, Generation};
    use flott_state::manifest::StoredBytes;

    use super::*;

    /// A checkpoint of a job with one operator of this small state and time.
    fn manifest(meta: &[u8], watermark_ms: i64) -> Manifest {
        let meta = StoredBytes { version: 1, bytes: meta.to_vec() };
        let operator = StoredOperator {
            version: 1,
            subtasks: vec![StoredSubtask { watermark_ms, meta }],
            runs: vec![],
            ended: false,
        };
        Manifest {
            lineage: "l".to_string(),
            checkpoint: CheckpointId(7),
            generation: Generation(1),
            created_ms: 0,
            max_parallelism: 128,
            finished: false,
            sources: BTreeMap::new(),
            operators: BTreeMap::from([("windows".to_string(), operator)]),
            sinks: BTreeMap::new(),
        }
    }

    #[test]
    fn small_state_of_an_operator_that_is_gone_is_refused_too() {
        let graph = JobGraph::new("job");
        for nothing in [manifest(b"", 5), manifest(b"small", i64::MIN)] {
            check_restorable(&graph, &nothing, false).expect("nothing is lost");
            assert_eq!(dropped_state(&graph, &nothing), None);
        }
        let something = manifest(b"small", 5);
        let error = check_restorable(&graph, &something, false).expect_err("it would be lost");
        assert_eq!(error.kind(), ErrorKind::User);
        assert!(error.to_string().contains("checkpoint 7") && error.to_string().contains("'windows'"), "{error}");
        check_restorable(&graph, &something, true).expect("as the user wants it");
        assert!(dropped_state(&graph, &something).is_some_and(|list| list.contains("'windows'")));
    }
}
