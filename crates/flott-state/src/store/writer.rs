//! Writes state of a checkpoint, beside the workers.

use std::collections::BTreeMap;
use std::sync::Arc;

use flott_core::{CheckpointId, Error, Generation, Result};

use crate::manifest::StoredRun;
use crate::run::OperatorSnapshot;
use crate::snapshot_file;
use crate::storage::CheckpointStorage;

/// Steps by which a thread that makes large runs stands back behind those of the job.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// Lets threads of the job go first, where a thread can: elsewhere it would be the whole process.
fn stand_back() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::debug!(%error, "state is stored with the priority of the workers");
    }
}

/// Runs what takes long in a thread of its own. A large state takes seconds, in which the workers need the cores more: where
/// there are too few it waits. A small one is done before it could be in anybody's way.
async fn beside_workers<T: Send + 'static>(
    is_large: bool,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    if !is_large {
        let done = tokio::task::spawn_blocking(work).await;
        return done.map_err(|e| Error::internal("a snapshot task ended early").caused_by(e))?;
    }
    let (report, done) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new().name("flott-state".to_string());
    thread.spawn(move || {
        stand_back();
        drop(report.send(work()));
    })?;
    done.await.map_err(|e| Error::internal("a snapshot thread ended early").caused_by(e))?
}

/// Writes the new runs of a checkpoint; can be sent to other tasks.
#[derive(Debug, Clone)]
pub struct SnapshotWriter {
    pub(super) storage: CheckpointStorage,
    pub(super) generation: Generation,
    pub(super) known: Arc<BTreeMap<String, StoredRun>>,
}

impl SnapshotWriter {
    /// For a process that has not opened the store: the attempt that has may be in another one. `known` are the runs that
    /// the last decided checkpoint stores, by name.
    pub fn new(
        storage: CheckpointStorage,
        generation: Generation,
        known: BTreeMap<String, StoredRun>,
    ) -> SnapshotWriter {
        SnapshotWriter { storage, generation, known: Arc::new(known) }
    }

    /// Stores one subtask's snapshot: runs that the last decided checkpoint holds are referred to, the rest is written
    /// to one file.
    pub async fn write(
        &self,
        checkpoint: CheckpointId,
        operator: usize,
        subtask: usize,
        snapshot: &OperatorSnapshot,
    ) -> Result<Vec<StoredRun>> {
        let (old, new): (Vec<_>, Vec<_>) = snapshot.runs.iter().cloned().partition(|r| self.known.contains_key(&r.uid));
        let mut stored: Vec<StoredRun> = old.iter().filter_map(|r| self.known.get(&r.uid).cloned()).collect();
        if !new.is_empty() {
            let file = format!("chk-{checkpoint}-g{}/op{operator}-{subtask}.run", self.generation);
            let name = file.clone();
            let is_large = new.iter().any(|run| run.made().is_none());
            let (content, entries) = beside_workers(is_large, move || snapshot_file::encode(&name, &new)).await?;
            if !entries.is_empty() {
                self.storage.put(&file, content).await?;
            }
            stored.extend(entries);
        }
        Ok(stored)
    }
}
