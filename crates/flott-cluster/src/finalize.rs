//! From everything collected to visible output: decide, commit, record, retire. The order is the protocol.

use std::collections::BTreeMap;
use std::time::Duration;

use flott_connector::Versioned;
use flott_connector::sink::{CommitOutcome, Committable, Committer};
use flott_core::{DecidedCheckpoint, Error, ErrorKind, FailPoint, FailPoints, Result};
use flott_graph::{JobGraph, NodeId};
use flott_state::CheckpointStore;
use flott_state::manifest::{
    Manifest, StoredBytes, StoredCommittable, StoredOperator, StoredSink, StoredSource, StoredSplit, StoredSubtask,
};
use flott_state::store::Tenure;

use crate::checkpoint::Collected;

/// The longest pause between two tries to commit.
const MAX_COMMIT_PAUSE: Duration = Duration::from_secs(10);

/// Committers by sink.
pub type Committers = BTreeMap<NodeId, Box<dyn Committer>>;

pub(crate) fn stored(v: &Versioned) -> StoredBytes {
    StoredBytes { version: v.version, bytes: v.bytes.to_vec() }
}

pub(crate) fn versioned(s: &StoredBytes) -> Versioned {
    Versioned::new(s.version, s.bytes.clone())
}

/// Lets the committers put together what their writers have prepared.
pub async fn pre_commit(committers: &mut Committers, collected: &mut Collected) -> Result<()> {
    let Some(checkpoint) = collected.checkpoint else { return Ok(()) };
    for (node, committables) in &mut collected.committables {
        if let Some(committer) = committers.get_mut(node).filter(|_| !committables.is_empty()) {
            *committables = committer.pre_commit(checkpoint, std::mem::take(committables)).await?;
        }
    }
    Ok(())
}

/// Lets the committers remove what will never be decided. An attempt that ends has other errors to tell.
pub async fn abort(graph: &JobGraph, committers: &mut Committers, undecided: &BTreeMap<NodeId, Vec<Committable>>) {
    for (node, committer) in committers {
        let committables = undecided.get(node).map_or(&[][..], Vec::as_slice);
        if let Err(error) = committer.abort(committables).await {
            let sink = &graph.node(*node).name;
            tracing::warn!(%error, sink, "staged output that nobody will commit is left to the next attempt");
        }
    }
}

/// Lets the committers remove all that is staged: the job has been finished by another attempt.
pub async fn sweep(graph: &JobGraph, committers: &mut Committers) {
    for (node, committer) in committers {
        if let Err(error) = committer.sweep().await {
            let sink = &graph.node(*node).name;
            tracing::warn!(%error, sink, "staged output that nobody will commit stays");
        }
    }
}

/// The manifest of a collected checkpoint.
pub fn manifest(
    graph: &JobGraph,
    store: &CheckpointStore,
    collected: &Collected,
    created_ms: i64,
    finished: bool,
) -> Result<Manifest> {
    let checkpoint = collected.checkpoint.ok_or_else(|| Error::internal("a checkpoint without a number"))?;
    let mut m = Manifest {
        lineage: store.lineage().to_string(),
        checkpoint,
        generation: store.generation(),
        created_ms,
        max_parallelism: graph.max_parallelism,
        finished,
        sources: BTreeMap::new(),
        operators: BTreeMap::new(),
        sinks: BTreeMap::new(),
    };
    let uid = |node: NodeId| graph.node(node).uid.clone();
    for (node, _) in graph.sources() {
        m.sources.insert(
            uid(node),
            StoredSource {
                enumerator: collected.enumerators.get(&node).map(stored),
                splits: vec![],
                ended: finished || collected.ended_sources.contains(&node),
            },
        );
    }
    for ((node, _), splits) in &collected.splits {
        m.sources.entry(uid(*node)).or_default().splits.extend(splits.iter().map(|s| StoredSplit {
            id: s.split.id.clone(),
            data: stored(&s.split.data),
            watermark_ms: s.watermark_ms,
        }));
    }
    for ((node, _), part) in &collected.operators {
        let operator: &mut StoredOperator = m.operators.entry(uid(*node)).or_default();
        operator.version = part.version;
        operator.subtasks.push(StoredSubtask {
            watermark_ms: part.watermark_ms,
            meta: StoredBytes { version: part.version, bytes: part.meta.clone() },
        });
        operator.runs.extend(part.runs.iter().cloned());
    }
    for node in &collected.ended_operators {
        m.operators.entry(uid(*node)).or_default().ended = true;
    }
    for (node, committables) in &collected.committables {
        let sink: &mut StoredSink = m.sinks.entry(uid(*node)).or_default();
        sink.committables
            .extend(committables.iter().map(|c| StoredCommittable { id: c.id.clone(), data: stored(&c.data) }));
    }
    for ((node, _), states) in &collected.writers {
        m.sinks.entry(uid(*node)).or_default().writers.extend(states.iter().map(stored));
    }
    Ok(m)
}

/// What becomes of decided output that can never be committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The attempt fails; the output stays with the checkpoint.
    Fails,
    /// It is given up where an attempt before has recorded it, so that its user has read of it.
    IsGivenUpOnceKnown,
}

/// Decides and commits a checkpoint, and retires older ones.
pub async fn finalize(
    graph: &JobGraph,
    store: &mut CheckpointStore,
    committers: &mut Committers,
    fail_points: &FailPoints,
    manifest: &Manifest,
) -> Result<DecidedCheckpoint> {
    let decided = store.decide(manifest).await?;
    commit_decided(graph, store, committers, fail_points, manifest, &decided, Refusal::Fails).await?;
    store.retire().await?;
    Ok(decided)
}

/// Commits what a decided checkpoint's manifest holds and records it: also the way forward after a restore.
pub async fn commit_decided(
    graph: &JobGraph,
    store: &mut CheckpointStore,
    committers: &mut Committers,
    fail_points: &FailPoints,
    manifest: &Manifest,
    decided: &DecidedCheckpoint,
    refusal: Refusal,
) -> Result<()> {
    let (mut first, mut refused, mut failed) = (true, None, None);
    let mut refused_output = BTreeMap::new();
    let tenure = store.tenure();
    for (uid, sink) in &manifest.sinks {
        if sink.committables.is_empty() {
            continue;
        }
        let node = graph.iter().find(|(_, n)| n.uid == *uid).map(|(id, _)| id);
        let committer = node.and_then(|n| committers.get_mut(&n)).ok_or_else(|| {
            Error::user(format!(
                "checkpoint {} holds output of sink '{uid}', which is not in the job any more",
                decided.id()
            ))
            .hint("Run the job once with this sink, so that its output is committed, before you remove it")
        })?;
        if !first {
            fail_points.hit(FailPoint::MidCommit);
        }
        first = false;
        let committables: Vec<Committable> =
            sink.committables.iter().map(|c| Committable { id: c.id.clone(), data: versioned(&c.data) }).collect();
        // What others can show is shown all the same: whoever gives this output up is not to lose theirs with it.
        match commit_until_done(committer.as_mut(), &tenure, decided, committables).await {
            Ok(None) => {}
            Ok(Some((error, count))) => {
                refused_output.insert(uid.clone(), count);
                let error = error.with("sink", uid);
                tracing::warn!(%error, "output is refused");
                refused.get_or_insert(error);
            }
            Err(e) if e.kind() == ErrorKind::Fenced => return Err(e.with("sink", uid)),
            Err(e) => drop(failed.get_or_insert(e.with("sink", uid))),
        }
    }
    // Another try may come to something else here, so that it goes first.
    if let Some(failed) = failed {
        return Err(failed);
    }
    let is_known = store.is_known_as_refused(decided, &refused_output);
    if let Some(refused) = refused.take_if(|_| is_known && refusal == Refusal::IsGivenUpOnceKnown) {
        tracing::warn!(error = %refused, checkpoint = decided.id().0, "rows are missing in the output: given up, as allowed");
    } else if let Some(refused) = refused {
        if let Err(error) = store.record_refused(decided, refused_output).await {
            tracing::warn!(%error, "it cannot be recorded that output is refused: --fresh will ask for it to be committed");
        }
        return Err(refused);
    }
    fail_points.hit(FailPoint::AfterCommitBeforeRecord);
    store.record_committed(decided, manifest.has_output()).await?;
    fail_points.hit(FailPoint::AfterCommitBeforeSourceAck);
    Ok(())
}

/// After the decision there is no way back: a committable that asks for another try gets it, for ever. But not from an
/// attempt that has been replaced meanwhile: its successor has committed, and whoever reads the output may have taken it
/// away since, so that a late try would show it once more. Gives what a committer has refused for good.
async fn commit_until_done(
    committer: &mut dyn Committer,
    tenure: &Tenure,
    decided: &DecidedCheckpoint,
    mut committables: Vec<Committable>,
) -> Result<Option<(Error, u64)>> {
    let mut pause = Duration::from_millis(50);
    let mut refused: Vec<(String, String)> = vec![];
    loop {
        tenure.check().await?;
        let outcomes = committer.commit(decided, &committables).await?;
        if outcomes.len() != committables.len() {
            return Err(Error::internal(format!(
                "{} outcomes for {} committables",
                outcomes.len(),
                committables.len()
            )));
        }
        let mut reason = None;
        let rest: Vec<Committable> = committables
            .into_iter()
            .zip(outcomes)
            .filter_map(|(c, outcome)| match outcome {
                CommitOutcome::Committed | CommitOutcome::AlreadyCommitted => None,
                CommitOutcome::RetryLater { reason: why } => {
                    reason = Some(why);
                    Some(c)
                }
                CommitOutcome::Failed { reason: why } => {
                    refused.push((c.id, why));
                    None
                }
            })
            .collect();
        if rest.is_empty() {
            let count = refused.len();
            return Ok(refused.into_iter().next().map(|(id, why)| {
                let error = Error::data(format!("output of checkpoint {} cannot be committed: {why}", decided.id()));
                let which = if count == 1 { id } else { format!("{id} and {} more", count - 1) };
                let error = error.with("committable", which).hint(
                    "It is kept with the checkpoint: --restore latest tries again once the cause is gone. Without its rows, \
                     but with the job's state, it goes on with --restore latest --allow-lost-output; --fresh starts over",
                );
                (error, count as u64)
            }));
        }
        tracing::warn!(
            checkpoint = decided.id().0,
            pending = rest.len(),
            reason = reason.as_deref().unwrap_or(""),
            "a commit has to be tried again"
        );
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(MAX_COMMIT_PAUSE);
        committables = rest;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use flott_core::CheckpointId;
    use flott_state::CheckpointStorage;
    use flott_state::store::Begin;
    use object_store::memory::InMemory;
    use object_store::path::Path;

    use super::*;

    /// Asks for another try, and lets another attempt take the job over meanwhile.
    struct Slow {
        storage: CheckpointStorage,
        tries: Arc<AtomicUsize>,
    }

    #[async_trait]
    impl Committer for Slow {
        async fn commit(&mut self, _: &DecidedCheckpoint, of: &[Committable]) -> Result<Vec<CommitOutcome>> {
            if self.tries.fetch_add(1, Ordering::SeqCst) == 1 {
                CheckpointStore::open(self.storage.clone(), FailPoints::none(), Begin::Latest, 2).await?;
            }
            Ok(of.iter().map(|_| CommitOutcome::RetryLater { reason: "away".into() }).collect())
        }
    }

    #[tokio::test]
    async fn an_attempt_that_was_replaced_does_not_try_again() {
        let store = Arc::new(InMemory::new());
        let storage = CheckpointStorage::Object { store, prefix: Path::from("job"), display: "memory".to_string() };
        let opened = CheckpointStore::open(storage.clone(), FailPoints::none(), Begin::Latest, 2).await;
        let (mut store, _) = opened.expect("opens");
        let committables = vec![StoredCommittable { id: "c".into(), data: StoredBytes { version: 1, bytes: vec![] } }];
        let manifest = Manifest {
            lineage: store.lineage().to_string(),
            checkpoint: CheckpointId(1),
            generation: store.generation(),
            created_ms: 0,
            max_parallelism: 128,
            finished: false,
            sources: BTreeMap::new(),
            operators: BTreeMap::new(),
            sinks: [("sink".to_string(), StoredSink { committables, writers: vec![] })].into(),
        };
        let decided = store.decide(&manifest).await.expect("decides");
        let tries = Arc::new(AtomicUsize::new(0));
        let mut slow = Slow { storage, tries: Arc::clone(&tries) };
        let committables = vec![Committable { id: "c".into(), data: Versioned::default() }];
        let tenure = store.tenure();
        let done = commit_until_done(&mut slow, &tenure, &decided, committables);
        let done = tokio::time::timeout(Duration::from_secs(10), done).await.expect("it gives up");
        assert_eq!(done.expect_err("another attempt has the job").kind(), ErrorKind::Fenced);
        assert_eq!(tries.load(Ordering::SeqCst), 2, "none after the takeover");
    }
}
