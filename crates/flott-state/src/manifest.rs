//! What a checkpoint is: the manifest, written once, and HEAD, which names the last decided one.

use std::collections::{BTreeMap, BTreeSet};

use flott_core::{CheckpointId, Generation};
use serde::{Deserialize, Serialize};

use crate::owner::Owner;

/// Version of the manifest's layout.
pub const MANIFEST_VERSION: u32 = 1;
/// Version of HEAD's layout.
pub const HEAD_VERSION: u32 = 3;

/// Bytes with a version, as text in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredBytes {
    /// Version of the layout.
    pub version: u32,
    /// Hexadecimal, or the text itself where it is UTF-8.
    #[serde(with = "text_or_hex")]
    pub bytes: Vec<u8>,
}

/// JSON positions stay readable, other bytes become hexadecimal.
mod text_or_hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(bytes) {
            Ok(text) => s.serialize_str(&format!("t:{text}")),
            Err(_) => {
                let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
                s.serialize_str(&format!("x:{hex}"))
            }
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(d)?;
        if let Some(text) = text.strip_prefix("t:") {
            return Ok(text.as_bytes().to_vec());
        }
        let hex = text.strip_prefix("x:").ok_or_else(|| D::Error::custom("neither text nor hexadecimal"))?;
        if hex.len() % 2 != 0 || !hex.is_ascii() {
            return Err(D::Error::custom("not hexadecimal"));
        }
        (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).map_err(D::Error::custom)).collect()
    }
}

/// A split in a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredSplit {
    /// Its id.
    pub id: String,
    /// Its state.
    pub data: StoredBytes,
    /// Event time reached in it, in ms.
    pub watermark_ms: i64,
}

/// A source in a manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredSource {
    /// The enumerator's state.
    pub enumerator: Option<StoredBytes>,
    /// Splits that readers hold.
    pub splits: Vec<StoredSplit>,
    /// All input is read.
    pub ended: bool,
}

/// Where a run lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredRun {
    /// The run's unique name.
    pub uid: String,
    /// Its table.
    pub table: String,
    /// The file.
    pub file: String,
    /// Where it starts in the file.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
    /// CRC-32 of these bytes.
    pub crc32: u32,
    /// Rows.
    pub rows: u64,
    /// Least key group.
    pub first_key_group: u16,
    /// Greatest key group.
    pub last_key_group: u16,
}

/// One subtask's part of an operator's state that is not in runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredSubtask {
    /// Event time of the operator, in ms.
    pub watermark_ms: i64,
    /// Its small state.
    pub meta: StoredBytes,
}

/// An operator in a manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredOperator {
    /// Version of the state's layout.
    pub version: u32,
    /// By subtask.
    pub subtasks: Vec<StoredSubtask>,
    /// All runs of all subtasks.
    pub runs: Vec<StoredRun>,
    /// Its input had ended before the checkpoint, and all that followed from that is in the output: it has no state, and must
    /// not say once more what it says at its end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ended: bool,
}

/// A committable in a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredCommittable {
    /// Its id.
    pub id: String,
    /// What to commit.
    pub data: StoredBytes,
}

/// A sink in a manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredSink {
    /// To be committed once this checkpoint is decided, those of aborted checkpoints before it included.
    pub committables: Vec<StoredCommittable>,
    /// Writer states.
    pub writers: Vec<StoredBytes>,
}

/// A checkpoint. Keys of the maps are operator ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The job lineage.
    pub lineage: String,
    /// Which checkpoint.
    pub checkpoint: CheckpointId,
    /// Which attempt wrote it.
    pub generation: Generation,
    /// When, in ms since the epoch.
    pub created_ms: i64,
    /// Number of key groups.
    pub max_parallelism: u16,
    /// All input is processed: nothing to go on with.
    pub finished: bool,
    /// Sources.
    pub sources: BTreeMap<String, StoredSource>,
    /// Operators with state.
    pub operators: BTreeMap<String, StoredOperator>,
    /// Sinks.
    pub sinks: BTreeMap<String, StoredSink>,
}

impl Manifest {
    /// The state files that it needs.
    pub fn files(&self) -> BTreeSet<String> {
        self.operators.values().flat_map(|o| o.runs.iter().map(|r| r.file.clone())).collect()
    }

    /// Whether any sink has something to commit.
    pub fn has_output(&self) -> bool {
        self.sinks.values().any(|s| !s.committables.is_empty())
    }

    /// Bytes of state that were written for this checkpoint; the rest lies in files of earlier ones.
    pub fn new_bytes(&self) -> u64 {
        let own = format!("chk-{}-g{}/", self.checkpoint, self.generation);
        let runs = self.operators.values().flat_map(|o| &o.runs);
        runs.filter(|r| r.file.starts_with(&own)).map(|r| r.length).fold(0, u64::saturating_add)
    }

    /// Bytes of state.
    pub fn state_bytes(&self) -> u64 {
        self.operators.values().flat_map(|o| o.runs.iter().map(|r| r.length)).fold(0, u64::saturating_add)
    }
}

/// A checkpoint that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetainedCheckpoint {
    /// Which.
    pub id: CheckpointId,
    /// Its manifest's file.
    pub manifest: String,
    /// CRC-32 of the manifest's file.
    pub crc32: u32,
    /// The bundle's file of the job that wrote it; `None` where that is HEAD's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
}

/// How a job lineage stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobStatus {
    /// An attempt runs, or ended without a word.
    Running,
    /// Stopped on purpose, to be resumed.
    Suspended,
    /// All input is processed and committed.
    Finished,
}

/// The one record that changes: deciding a checkpoint is the swap that puts it first into `retained`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The job lineage; a fresh start is a new one.
    pub lineage: String,
    /// The attempt that may decide.
    pub generation: Generation,
    /// Lineages that fresh starts have replaced, newest first: what they left behind goes.
    pub replaced_lineages: Vec<String>,
    /// Drawn by chance when the attempt took the job over: two that do so at once never write the same record.
    pub attempt: String,
    /// Decided checkpoints that are kept, the newest first.
    pub retained: Vec<RetainedCheckpoint>,
    /// The newest checkpoint whose commit is recorded.
    pub committed: Option<CheckpointId>,
    /// A decided checkpoint whose commit a sink has refused for good: who starts over need not wait for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<CheckpointId>,
    /// How many pieces of output of that checkpoint each sink has refused.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refused_output: BTreeMap<String, u64>,
    /// The newest checkpoint whose commit made output visible: nothing older may be restored.
    pub last_output: Option<CheckpointId>,
    /// The next checkpoint's number is at least this.
    pub next: CheckpointId,
    /// Whether it is over.
    pub status: JobStatus,
    /// The file of the attempt's job bundle, which the checkpoints belong to that it decides.
    pub bundle: Option<String>,
    /// A restore has begun and no checkpoint was decided since (for `during_second_restore`).
    #[serde(default)]
    pub restores_since_decided: u32,
    /// The savepoint that the lineage began with, as long as it is needed.
    pub savepoint: Option<RestoredSavepoint>,
    /// The process that the attempt runs in, for people.
    #[serde(default)]
    pub owner: Option<Owner>,
}

/// A savepoint that a lineage began with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoredSavepoint {
    /// Where it lies: an absolute path or a URI.
    pub location: String,
    /// The checkpoint that it stands for.
    pub checkpoint: CheckpointId,
    /// It belongs to the job, which removes it once enough checkpoints are kept; otherwise it is never touched.
    pub claimed: bool,
}

impl Head {
    /// The files of the bundles that are needed: the attempt's, and those of kept checkpoints.
    pub fn bundles(&self) -> impl Iterator<Item = &str> {
        self.retained.iter().filter_map(|entry| entry.bundle.as_deref()).chain(self.bundle.as_deref())
    }

    /// The last decided checkpoint.
    pub fn decided(&self) -> Option<&RetainedCheckpoint> {
        self.retained.first()
    }
}
