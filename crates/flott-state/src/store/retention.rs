//! Retention: which files of a checkpoint store may go, and their removal.

use std::collections::BTreeSet;

use flott_core::{CheckpointId, ErrorKind, FailPoint, Generation, Result};

use super::{CheckpointStore, read_manifest};
use crate::manifest::{Head, JobStatus};
use crate::storage::CheckpointStorage;

impl CheckpointStore {
    /// Drops checkpoints beyond those to be kept, and every file that no kept one needs and no living attempt writes.
    ///
    /// What cannot be removed now is removed the next time: only having been taken over is an error.
    pub async fn retire(&mut self) -> Result<()> {
        match self.try_retire().await {
            Err(e) if e.kind() != ErrorKind::Fenced => {
                tracing::warn!(error = %e, "old checkpoints could not be removed; it is tried again after the next one");
                Ok(())
            }
            done => done,
        }
    }

    async fn try_retire(&mut self) -> Result<()> {
        let keep = if self.head.status == JobStatus::Finished { 0 } else { self.retain };
        if self.head.retained.len() > keep {
            let mut head = self.head.clone();
            head.retained.truncate(keep);
            self.write_head(head).await?;
        }
        self.discard_savepoint(keep).await?;
        let needed = self.needed_files().await?;
        let newest = self.head.retained.first().map(|r| r.id);
        for name in self.storage.list("").await? {
            if needed.contains(&name) || !self.is_garbage(&name, newest) {
                continue;
            }
            self.storage.delete(&name).await?;
            self.fail_points.hit(FailPoint::DuringRetentionGc);
        }
        self.storage.remove_empty_folders(|name| self.is_garbage(&format!("{name}/"), newest)).await
    }

    /// A savepoint that the job has claimed counts as the oldest checkpoint: it goes once there are as many as are kept.
    /// HEAD forgets it last, so that a removal that was cut short goes on later.
    async fn discard_savepoint(&mut self, keep: usize) -> Result<()> {
        if self.head.savepoint.is_none() || self.head.retained.len() < keep {
            return Ok(());
        }
        if let Some(savepoint) = &self.savepoint
            && self.head.savepoint.as_ref().is_some_and(|s| s.claimed)
        {
            savepoint.discard().await?;
        }
        self.write_head(Head { savepoint: None, ..self.head.clone() }).await?;
        // Not before: what fails on the way is tried again when the next checkpoint retires.
        self.savepoint = None;
        Ok(())
    }

    /// The files of all kept checkpoints. A manifest that cannot be read is an error: its files must not go.
    async fn needed_files(&mut self) -> Result<BTreeSet<String>> {
        if self.head.status == JobStatus::Finished {
            return Ok(BTreeSet::new());
        }
        let before: Vec<_> = self.before.iter().flat_map(|head| &head.retained).cloned().collect();
        for entry in self.head.retained.iter().chain(&before) {
            if !self.files.contains_key(&entry.manifest) {
                let files = read_manifest(&self.storage, entry).await?.files();
                self.files.insert(entry.manifest.clone(), files);
            }
        }
        let retained: BTreeSet<&String> =
            self.head.retained.iter().chain(&before).map(|entry| &entry.manifest).collect();
        self.files.retain(|manifest, _| retained.contains(manifest));
        let runs = self.stored_runs.values().map(|run| &run.file);
        let bundles = std::iter::once(&self.head).chain(self.before.as_deref()).flat_map(Head::bundles);
        let files = runs.chain(retained).chain(self.files.values().flatten()).cloned();
        Ok(files.chain(bundles.map(str::to_string)).collect())
    }

    /// Files of older attempts, and of this attempt's checkpoints up to the newest decided one, are garbage once no
    /// kept manifest names them. Files of checkpoints under way are not, and what is not ours never is.
    fn is_garbage(&self, name: &str, newest: Option<CheckpointId>) -> bool {
        if let Some(generation) = parse_bundle(name) {
            return generation < self.head.generation && self.head.bundle.as_deref() != Some(name);
        }
        let Some((checkpoint, generation)) = parse_folder(name) else { return false };
        generation < self.head.generation
            || (generation == self.head.generation
                && (self.head.status == JobStatus::Finished || newest.is_some_and(|n| checkpoint <= n)))
    }
}

/// Removes what a finished job left because it was killed before its own clean-up: nothing of it is needed any more.
///
/// It takes nothing over: a later attempt's files have a higher generation than `head`'s and stay.
pub async fn sweep_finished(storage: &CheckpointStorage, head: &Head) -> Result<()> {
    if head.status != JobStatus::Finished {
        return Ok(());
    }
    for name in storage.list("").await? {
        let bundle = parse_bundle(&name).filter(|_| head.bundle.as_deref() != Some(name.as_str()));
        let generation = bundle.or_else(|| parse_folder(&name).map(|(_, generation)| generation));
        if generation.is_some_and(|generation| generation <= head.generation) {
            storage.delete(&name).await?;
        }
    }
    let old = |name: &str| parse_folder(&format!("{name}/")).is_some_and(|(_, g)| g <= head.generation);
    storage.remove_empty_folders(old).await?;
    // The last swap of a job, behind its end, lets its checkpoints go: a kill in the middle of it leaves half a record.
    storage.remove_half_of_head().await
}

/// The generation in `bundle-<checksum>-<generation>.json` (or `.tmp`).
pub(super) fn parse_bundle(name: &str) -> Option<Generation> {
    let (stem, extension) = name.strip_prefix("bundle-")?.split_once('.')?;
    let (_, generation) = stem.split_once('-')?;
    generation.parse().ok().filter(|_| matches!(extension, "json" | "tmp")).map(Generation)
}

/// `chk-<id>-g<generation>/..` in its numbers.
pub(super) fn parse_folder(name: &str) -> Option<(CheckpointId, Generation)> {
    let (id, rest) = name.strip_prefix("chk-")?.split_once("-g")?;
    let (generation, _) = rest.split_once('/')?;
    Some((CheckpointId(id.parse().ok()?), Generation(generation.parse().ok()?)))
}
