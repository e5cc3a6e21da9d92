//! Shows staged files: by rename on a local disk, by copy on an object store. Both can be done again.

use std::collections::BTreeSet;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use flott_connector::sink::{CommitOutcome, Committable, Committer, CommitterContext};
use flott_core::{DecidedCheckpoint, Error, FailPoint, Result};
use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};

use crate::factory::FileTarget;
use crate::listing::STAGING;
use crate::writer::{COMMITTABLE_VERSION, StagedFile, staging_root, sync_folder};

pub(crate) struct FileCommitter {
    target: Arc<FileTarget>,
    context: CommitterContext,
}

impl FileCommitter {
    pub(crate) fn new(target: Arc<FileTarget>, context: CommitterContext) -> FileCommitter {
        FileCommitter { target, context }
    }

    fn decode(committable: &Committable) -> Result<StagedFile> {
        if committable.data.version != COMMITTABLE_VERSION {
            return Err(Error::user(format!("a staged file has format version {}", committable.data.version))
                .hint(format!("This build reads version {COMMITTABLE_VERSION}")));
        }
        let file: StagedFile = serde_json::from_slice(&committable.data.bytes)
            .map_err(|e| Error::data("the name of a staged file is damaged").caused_by(e))?;
        let inside = |p: &str| FsPath::new(p).components().all(|c| matches!(c, std::path::Component::Normal(_)));
        if !inside(&file.staged) || !inside(&file.target) {
            return Err(Error::data(format!("'{}' lies outside the table's folder", file.target)));
        }
        Ok(file)
    }

    async fn show(&self, file: &StagedFile) -> Result<CommitOutcome> {
        match &self.target.location.local {
            Some(root) => rename(root, file).await,
            None => self.copy(file).await,
        }
    }

    /// The staged object is removed last, so that whoever dies in between can do it again.
    async fn copy(&self, file: &StagedFile) -> Result<CommitOutcome> {
        let (from, to) = (self.target.object(&file.staged), self.target.object(&file.target));
        let store = &self.target.location.store;
        match store.copy(&from, &to).await {
            Ok(()) => {
                match store.delete(&from).await {
                    Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                    Err(e) => return Ok(CommitOutcome::RetryLater { reason: e.to_string() }),
                }
                Ok(CommitOutcome::Committed)
            }
            Err(object_store::Error::NotFound { .. }) => match store.head(&to).await {
                Ok(meta) if meta.size == file.size => Ok(CommitOutcome::AlreadyCommitted),
                Ok(meta) => Err(changed(&file.target, meta.size, file.size)),
                Err(object_store::Error::NotFound { .. }) => Err(gone(file)),
                Err(e) => Ok(CommitOutcome::RetryLater { reason: e.to_string() }),
            },
            Err(e) => Ok(CommitOutcome::RetryLater { reason: e.to_string() }),
        }
    }

    /// `_SUCCESS` in each partition that has new files.
    async fn report_partitions(&self, partitions: BTreeSet<String>) -> Result<()> {
        let Some(name) = &self.target.success_file else { return Ok(()) };
        for partition in partitions {
            let folder = if partition.is_empty() { String::new() } else { format!("{partition}/") };
            let path = self.target.object(&format!("{folder}{name}"));
            self.target
                .location
                .store
                .put(&path, PutPayload::new())
                .await
                .map_err(|e| self.target.fail("write the success file", e))?;
        }
        Ok(())
    }
}

async fn rename(root: &FsPath, file: &StagedFile) -> Result<CommitOutcome> {
    let (from, to) = (root.join(&file.staged), root.join(&file.target));
    if let Some(parent) = to.parent() {
        tokio::fs::create_dir_all(parent).await.map_err(|e| Error::from(e).with("path", parent.display()))?;
    }
    let shown = tokio::fs::metadata(&to).await.ok().map(|m| m.len());
    match shown {
        Some(size) if size != file.size => return Err(changed(&file.target, size, file.size)),
        Some(_) => {
            drop(tokio::fs::remove_file(&from).await);
            return Ok(CommitOutcome::AlreadyCommitted);
        }
        None => {}
    }
    match tokio::fs::rename(&from, &to).await {
        Ok(()) => Ok(CommitOutcome::Committed),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(gone(file)),
        Err(e) => Err(Error::from(e).with("file", to.display())),
    }
}

fn gone(file: &StagedFile) -> Error {
    Error::data(format!("the staged file of '{}' is gone, and the file itself is not there", file.target))
        .hint("Something outside has removed it: its rows are lost. Put it back, or start over with --fresh")
}

fn changed(name: &str, found: u64, expected: u64) -> Error {
    Error::data(format!("'{name}' has {found} bytes and should have {expected}"))
        .hint("Something outside has changed it; files of a sink must not be changed while its job can be restored")
}

#[async_trait]
impl Committer for FileCommitter {
    async fn commit(&mut self, _checkpoint: &DecidedCheckpoint, committables: &[Committable]) -> Result<Vec<CommitOutcome>> {
        let mut outcomes = vec![];
        let mut folders: BTreeSet<PathBuf> = BTreeSet::new();
        let mut partitions = BTreeSet::new();
        for (i, committable) in committables.iter().enumerate() {
            let file = Self::decode(committable)?;
            let outcome = self.show(&file).await.map_err(|e| e.with("path", &self.target.location.display))?;
            if i == 0 {
                self.target.fail_points.hit(FailPoint::MidCommit);
            }
            if !matches!(outcome, CommitOutcome::RetryLater { .. }) {
                if let Some(root) = &self.target.location.local {
                    let mut folder = root.join(&file.target);
                    while folder.pop() && folder.starts_with(root) {
                        folders.insert(folder.clone());
                    }
                }
                partitions.insert(file.partition);
            }
            outcomes.push(outcome);
        }
        for folder in folders {
            sync_folder(folder).await?;
        }
        self.report_partitions(partitions).await?;
        Ok(outcomes)
    }

    /// Files of dead attempts of this lineage, and folders that are empty now.
    async fn clean_up(&mut self, keep: &[String]) -> Result<()> {
        let root = staging_root(&self.context.lineage, &self.context.operator_uid);
        let prefix = self.target.object(&root);
        let depth = prefix.parts().count();
        let store = &self.target.location.store;
        let staged: Vec<_> = match store.list(Some(&prefix)).try_collect().await {
            Ok(staged) => staged,
            Err(object_store::Error::NotFound { .. }) => vec![],
            Err(e) => return Err(self.target.fail("look for staged files", e)),
        };
        for file in staged {
            let parts: Vec<_> = file.location.parts().skip(depth).map(|p| p.as_ref().to_string()).collect();
            let generation: Option<u64> = parts.first().and_then(|g| g.parse().ok());
            let dead = generation.is_some_and(|g| g < self.context.generation.0);
            let name = parts.last().cloned().unwrap_or_default();
            if dead && !keep.iter().any(|k| k.ends_with(&name)) {
                match store.delete(&file.location).await {
                    Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                    Err(e) => return Err(self.target.fail("remove a staged file", e)),
                }
            }
        }
        self.remove_empty_folders().await
    }

    async fn finish(&mut self, _checkpoint: &DecidedCheckpoint) -> Result<()> {
        self.remove_empty_folders().await
    }
}

impl FileCommitter {
    /// Empty staging folders are litter; one that is not empty belongs to somebody.
    async fn remove_empty_folders(&self) -> Result<()> {
        let Some(root) = self.target.location.local.clone() else { return Ok(()) };
        let operator = root.join(staging_root(&self.context.lineage, &self.context.operator_uid));
        let removed = tokio::task::spawn_blocking(move || {
            for entry in std::fs::read_dir(&operator).into_iter().flatten().flatten() {
                drop(std::fs::remove_dir(entry.path()));
            }
            let mut folder = operator;
            while folder.starts_with(root.join(STAGING)) && std::fs::remove_dir(&folder).is_ok() {
                folder.pop();
            }
        });
        removed.await.map_err(|e| Error::internal("a file task ended early").caused_by(e))
    }
}
