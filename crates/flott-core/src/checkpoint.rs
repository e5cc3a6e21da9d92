//! Names of checkpoints and attempts, and the proof that a checkpoint is decided.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Number of a checkpoint in its job lineage, from 1; also the epoch that it closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CheckpointId(pub u64);

impl CheckpointId {
    /// The next number.
    pub fn next(self) -> CheckpointId {
        CheckpointId(self.0 + 1)
    }
}

impl fmt::Display for CheckpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Number of an attempt to run a job lineage; a higher one fences all lower ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Proof that a checkpoint is decided (the lineage's HEAD names it). Committers and source acknowledgement ask for one,
/// so that neither can run too early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecidedCheckpoint {
    id: CheckpointId,
    lineage: String,
}

impl DecidedCheckpoint {
    /// Only the checkpoint store calls this, after the compare-and-swap of HEAD (`disallowed-methods` bans it elsewhere).
    pub fn proven_by_head(lineage: impl Into<String>, id: CheckpointId) -> DecidedCheckpoint {
        DecidedCheckpoint { id, lineage: lineage.into() }
    }

    /// Which checkpoint.
    pub fn id(&self) -> CheckpointId {
        self.id
    }

    /// Of which job lineage.
    pub fn lineage(&self) -> &str {
        &self.lineage
    }
}
