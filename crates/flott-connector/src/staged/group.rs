//! The committables of a call by whose output they are: each owner's goes to the log in an order of its own.

use super::{StagedFile, Staging};
use crate::sink::{CommitOutcome, Committable, CommitterContext};
use flott_core::Result;

/// Output of one owner.
pub struct Group {
    /// Whose ([`StagedFile::transactional_id`]).
    pub owner: String,
    /// The lineage that wrote it.
    pub lineage: String,
    /// The last checkpoint for which any of it was prepared.
    pub epoch: u64,
    /// Places in the call, and files.
    files: Vec<(usize, StagedFile)>,
}

/// What came of a group: all of its files share it.
pub enum Done {
    /// See [`CommitOutcome`].
    Committed,
    /// See [`CommitOutcome`].
    Already,
    /// See [`CommitOutcome`], and why.
    Later(String),
    /// See [`CommitOutcome`], and why.
    Never(String),
}

impl Group {
    /// The groups of a call, in the order in which they come.
    pub fn of(committables: &[Committable]) -> Result<Vec<Group>> {
        let mut groups: Vec<Group> = vec![];
        for (place, committable) in committables.iter().enumerate() {
            let file = StagedFile::decode(committable)?;
            match groups.iter_mut().find(|g| g.owner == file.transactional_id) {
                Some(group) => {
                    group.epoch = group.epoch.max(file.epoch);
                    group.files.push((place, file));
                }
                None => groups.push(Group {
                    owner: file.transactional_id.clone(),
                    lineage: file.lineage.clone(),
                    epoch: file.epoch,
                    files: vec![(place, file)],
                }),
            }
        }
        Ok(groups)
    }

    /// The files in the order of the log.
    pub fn files(&self) -> Vec<StagedFile> {
        let mut files: Vec<StagedFile> = self.files.iter().map(|(_, file)| file.clone()).collect();
        super::sort(&mut files);
        files
    }

    /// Puts what came of the group in the places of its files, and removes those that are in the log.
    pub async fn settle(&self, done: &Done, staging: &Staging, outcomes: &mut [CommitOutcome]) {
        for (place, file) in &self.files {
            outcomes[*place] = match done {
                Done::Committed => CommitOutcome::Committed,
                Done::Already => CommitOutcome::AlreadyCommitted,
                Done::Later(reason) => CommitOutcome::RetryLater { reason: reason.clone() },
                Done::Never(reason) => CommitOutcome::Failed { reason: reason.clone() },
            };
            if matches!(done, Done::Committed | Done::Already)
                && let Err(error) = staging.remove(&file.name).await
            {
                // The next attempt removes it.
                tracing::debug!(%error, "a staged file stays for now");
            }
        }
    }
}

impl Staging {
    /// Removes what attempts before `end` have staged for this sink, in its lineage and those that a fresh start has replaced,
    /// but for these names.
    pub async fn remove_of(&self, context: &CommitterContext, end: u64, keep: &[String]) -> Result<()> {
        for lineage in [&context.lineage].into_iter().chain(&context.replaced_lineages) {
            self.remove_before(&Staging::folder(lineage, &context.operator_uid), end, keep).await?;
        }
        Ok(())
    }
}
