//! Who may start the next attempt of a job.

use std::sync::Arc;

use flott_core::{Error, ErrorKind, FailPoints, Generation, Result};

use super::alive::Alive;
use super::head::{Found, decode_head};
use super::{
    Begin, CheckpointStore, DrawIdentity, Identity, Opened, REPLACED_LINEAGES_MAX, TAKE_OVER_TRIES, was_moved,
};
use crate::manifest::{HEAD_VERSION, Head, JobStatus};
use crate::record;
use crate::savepoint::Savepoint;
use crate::storage::{CheckpointStorage, HeadVersion, Swap};

/// The right of a process to start the next attempt of a job that it has run: it ends where another takes the job over.
#[derive(Debug, Clone)]
pub struct Tenure {
    pub(super) storage: CheckpointStorage,
    pub(super) fail_points: FailPoints,
    pub(super) retain: usize,
    pub(super) lineage: String,
    pub(super) generation: Generation,
    pub(super) savepoint: Option<Savepoint>,
    pub(super) before: Option<Arc<Head>>,
    /// Attempts that were to be opened, by their marks in HEAD: what was said to have failed may have come about.
    pub(super) tried: Vec<String>,
    pub(super) _alive: Arc<Alive>,
}

impl Tenure {
    /// Opens the next attempt from the last decided checkpoint. `Fenced` where somebody else has opened one since.
    pub async fn reopen(&mut self) -> Result<(CheckpointStore, Opened)> {
        self.reopen_as(&Identity::draw).await
    }

    /// As [`reopen`](Self::reopen), by somebody whose identity is given.
    pub async fn reopen_as(&mut self, draw: &DrawIdentity) -> Result<(CheckpointStore, Opened)> {
        let mut tries = 1;
        loop {
            let (head, version) = self.held().await?;
            // A swap between the look and ours fails ours.
            let (storage, fail_points) = (self.storage.clone(), self.fail_points.clone());
            let savepoint = self.savepoint.clone();
            let found = Found::Head(Box::new(head), version);
            let seen = found.seen();
            let identity = draw();
            self.tried.push(identity.attempt.clone());
            let opened = CheckpointStore::take_over(
                storage,
                fail_points,
                Begin::Latest,
                self.retain,
                found,
                savepoint,
                identity,
            );
            match opened.await {
                Err(e) => {
                    // A write of this attempt whose answer was lost may have come late: it fences nobody. Nor does the opening of one
                    // that was tried before.
                    let moved = was_moved(seen.as_ref(), &self.storage, &mut tries).await?;
                    let is_own = e.kind() == ErrorKind::Fenced && tries < TAKE_OVER_TRIES && self.held().await.is_ok();
                    if !moved && !is_own {
                        return Err(e);
                    }
                }
                Ok((mut store, opened)) => {
                    // From now on it is that one's.
                    self.tried.pop();
                    store.before = self.before.clone().filter(|_| store.head.retained.is_empty());
                    return Ok((store, opened));
                }
            }
        }
    }

    /// Gives the job back to the lineage that a savepoint has replaced, where this one has failed before its first checkpoint
    /// was decided: true where it has its checkpoints again. What this one has staged goes as that of a replaced lineage.
    pub async fn give_back(&self) -> Result<bool> {
        let Some(before) = &self.before else { return Ok(false) };
        let (now, version) = self.held().await?;
        if !now.retained.is_empty() {
            return Ok(false);
        }
        let mut head = (**before).clone();
        head.replaced_lineages.insert(0, now.lineage);
        head.replaced_lineages.truncate(REPLACED_LINEAGES_MAX);
        (head.generation, head.attempt, head.owner) = (now.generation, now.attempt, now.owner);
        if head.status == JobStatus::Running {
            head.status = JobStatus::Suspended;
        }
        let bytes = record::encode("head", HEAD_VERSION, &head)?;
        Ok(matches!(self.storage.swap_head(&version, bytes).await?, Swap::Done(_)))
    }

    /// `Fenced` where somebody else has taken the job over. An attempt then fails with whatever its successor has taken
    /// away from under it, which is not what its user has to know.
    pub async fn check(&self) -> Result<()> {
        self.held().await.map(drop)
    }

    /// HEAD, as long as it is this process's: also that of an attempt whose opening was done though nobody has said so.
    async fn held(&self) -> Result<(Head, HeadVersion)> {
        let Some((bytes, version)) = self.storage.read_head().await? else {
            return Err(Error::data(format!("the HEAD record in {} is gone", self.storage.display()))
                .hint("Restore it from a backup, or start over with --fresh"));
        };
        let head = decode_head(&self.storage, &bytes)?;
        let is_own = head.generation == self.generation || self.tried.contains(&head.attempt);
        if head.lineage != self.lineage || !is_own {
            return Err(Error::fenced(format!(
                "another attempt has taken over the job in {} (this one was attempt {})",
                self.storage.display(),
                self.generation
            ))
            .hint("This one has ended; the newer one goes on"));
        }
        Ok((head, version))
    }
}
