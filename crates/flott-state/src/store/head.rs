//! What an attempt finds in HEAD's place.

use std::collections::BTreeMap;

use bytes::Bytes;
use flott_core::{CheckpointId, Error, ErrorKind, Generation, Result, id};

use super::Begin;
use super::retention::{parse_bundle, parse_folder};
use crate::manifest::{HEAD_VERSION, Head, JobStatus};
use crate::record;
use crate::storage::{CheckpointStorage, HEAD, HeadVersion};

/// HEAD, or what there is instead.
pub(super) enum Found {
    Nothing,
    Unreadable(MovedAside),
    Head(Box<Head>, HeadVersion),
}

impl Found {
    /// Which attempt's HEAD this is; `None` where there is none.
    pub(super) fn seen(&self) -> Option<Seen> {
        match self {
            Found::Head(head, version) => {
                Some(Seen { lineage: head.lineage.clone(), generation: head.generation, version: version.clone() })
            }
            Found::Nothing | Found::Unreadable(_) => None,
        }
    }
}

/// An attempt, and the HEAD of it that was read.
pub(super) struct Seen {
    lineage: String,
    generation: Generation,
    version: HeadVersion,
}

impl Seen {
    /// Whether that attempt, and no other, has written HEAD since, and has not brought the job to its end.
    pub(super) async fn has_moved(&self, storage: &CheckpointStorage) -> Result<bool> {
        let Some((bytes, version)) = storage.read_head().await? else { return Ok(false) };
        let head = decode_head(storage, &bytes)?;
        let is_same = head.lineage == self.lineage && head.generation == self.generation;
        Ok(is_same && version != self.version && head.status != JobStatus::Finished)
    }
}

/// Reads HEAD. One that cannot be read is refused, or moved aside where a new lineage begins.
pub(super) async fn find_head(storage: &CheckpointStorage, begin: Begin) -> Result<Found> {
    let Some((bytes, version)) = storage.read_head().await? else { return Ok(Found::Nothing) };
    match decode_head(storage, &bytes) {
        Ok(head) => Ok(Found::Head(Box::new(head), version)),
        Err(e) if begin.is_new_lineage() => Ok(Found::Unreadable(move_aside(storage, bytes, version, &e).await?)),
        Err(e) => Err(e),
    }
}

pub(super) fn decode_head(storage: &CheckpointStorage, bytes: &[u8]) -> Result<Head> {
    let read = record::decode("head", HEAD_VERSION, &format!("the HEAD record in {}", storage.display()), bytes);
    read.map_err(|e| match e.kind() {
        ErrorKind::Data => e.hint(
            "Restore it from a backup, or start over with --fresh, which moves it aside, and expect output that was \
             committed before again",
        ),
        _ => e.hint("Use the build of Flott that wrote it, or start over with --fresh, which moves it aside"),
    })
}

/// What there is instead of a HEAD record that cannot be read.
pub(super) struct MovedAside {
    /// For people: where it went, and why.
    pub(super) note: String,
    /// The new record replaces this one.
    pub(super) version: HeadVersion,
    /// The damaged record's attempt, as far as it can be made out.
    pub(super) generation: Option<Generation>,
}

/// Keeps a copy of a HEAD record that cannot be read: whoever starts over may want to look at it later.
async fn move_aside(
    storage: &CheckpointStorage,
    bytes: Bytes,
    version: HeadVersion,
    why: &Error,
) -> Result<MovedAside> {
    let name = format!("{HEAD}-unreadable-{}", id::ordered_hex());
    let json = bytes.iter().position(|b| *b == b'\n').map_or(&[][..], |line| &bytes[line + 1..]);
    let fields = serde_json::from_slice::<serde_json::Value>(json).ok();
    let generation = fields.and_then(|f| f.get("generation")?.as_u64()).map(Generation);
    storage.put(&name, bytes).await?;
    let note = format!(
        "{}; it lies in {}/{name} now. The job starts over: what it had decided and not committed is lost, and what it had \
         staged stays beside its output",
        why.message(),
        storage.display()
    );
    Ok(MovedAside { note, version, generation })
}

/// HEAD of a lineage that nothing precedes.
pub(super) fn first_head(lineage: String, generation: Generation, attempt: String) -> Head {
    Head {
        lineage,
        replaced_lineages: vec![],
        generation,
        attempt,
        retained: vec![],
        committed: None,
        refused: None,
        refused_output: BTreeMap::new(),
        last_output: None,
        next: CheckpointId(1),
        status: JobStatus::Running,
        bundle: None,
        restores_since_decided: 0,
        savepoint: None,
        owner: None,
    }
}

/// The number of the first attempt where there is no HEAD. A folder that holds checkpoints has lost its HEAD: to start
/// from the beginning in silence would write all output again.
pub(super) async fn first_generation(storage: &CheckpointStorage, begin: Begin) -> Result<Generation> {
    let names = storage.list("").await?;
    let left = names.iter().filter_map(|n| parse_folder(n).map(|(_, g)| g).or_else(|| parse_bundle(n)));
    match left.max() {
        None => Ok(Generation(1)),
        Some(newest) if begin.is_new_lineage() => Ok(Generation(newest.0 + 1)),
        Some(_) => Err(Error::data(format!("{} holds checkpoints, but its HEAD record is gone", storage.display()))
            .hint("Restore HEAD from a backup, or start over with --fresh and expect output that was committed before again")),
    }
}
