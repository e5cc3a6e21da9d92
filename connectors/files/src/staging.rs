//! Staged files: where they lie, what a committable says of them, and how they become durable.
//!
//! A writer's file lies under `.flott-staging/<lineage>/<generation>/<operator>/<subtask>/` of the table's path, on the
//! same disk or in the same bucket as its final place. The folder is hidden, so that no reader takes it for data, and the
//! names say to whom a file belongs: what a dead attempt left can be told from what a living job still needs.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use flott_connector::Versioned;
use flott_connector::sink::{Committable, WriterContext};
use flott_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::listing::ended;
use crate::split::{check_version, from_json, to_json};
use crate::upload::Held;

/// The hidden folder of staged files in a sink's folder.
pub const STAGING_FOLDER: &str = ".flott-staging";

/// Version of a committable's layout.
const COMMITTABLE_VERSION: u32 = 1;
/// The same, of a file that is held in an upload or inline: builds that know only the first refuse it.
const HELD_VERSION: u32 = 2;
/// Bytes read at a time for a checksum.
const CHECKSUM_BLOCK_BYTES: usize = 1 << 20;

/// What a writer hands to the committer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ToCommit {
    /// A file to be shown.
    File(StagedFile),
    /// How far a writer is: only where partitions are reported.
    Progress(Progress),
}

/// A complete and durable file. Both places are relative to the table's path; of an upload the first is its note's, of an
/// inline file there is nothing at it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StagedFile {
    pub(crate) staged: String,
    pub(crate) target: String,
    pub(crate) size: u64,
    pub(crate) crc32: u32,
    /// Its partition's folder, empty without partitions.
    pub(crate) partition: String,
    #[serde(default, skip_serializing_if = "Held::is_staged")]
    pub(crate) held: Held,
}

/// A writer at a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    pub(crate) subtask: usize,
    pub(crate) watermark_ms: i64,
}

impl StagedFile {
    /// Refuses places outside the table's folder.
    pub(crate) fn check_places(&self) -> Result<()> {
        let inside = |p: &str| !p.is_empty() && Path::new(p).components().all(|c| matches!(c, Component::Normal(_)));
        if inside(&self.staged) && inside(&self.target) {
            return Ok(());
        }
        Err(Error::data(format!("'{}' lies outside the table's folder", self.target))
            .hint("The checkpoint has been tampered with: do not restore it"))
    }
}

impl ToCommit {
    pub(crate) fn encode(&self, id: String) -> Result<Committable> {
        let is_plain = !matches!(self, ToCommit::File(f) if !f.held.is_staged());
        let version = if is_plain { COMMITTABLE_VERSION } else { HELD_VERSION };
        Ok(Committable { id, data: Versioned::new(version, to_json(self)?) })
    }

    pub(crate) fn decode(committable: &Committable) -> Result<ToCommit> {
        if committable.data.version != COMMITTABLE_VERSION {
            check_version(&committable.data, HELD_VERSION, "committable")?;
        }
        let content: ToCommit = from_json(&committable.data.bytes, "committable")?;
        if let ToCommit::File(file) = &content {
            file.check_places()?;
        }
        Ok(content)
    }
}

/// A name as one folder.
fn folder_name(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' };
    let mut name: String = text.chars().map(plain).collect();
    if name != text {
        // Two names that differ only in odd characters stay two.
        name.push_str(&format!("-{:08x}", crc32fast::hash(text.as_bytes())));
    }
    name
}

/// All that a job lineage has staged.
pub(crate) fn lineage_folder(lineage: &str) -> String {
    format!("{STAGING_FOLDER}/{}", folder_name(lineage))
}

/// What one operator stages in one attempt, below [`lineage_folder`].
pub(crate) fn operator_folder(generation: u64, operator: &str) -> String {
    format!("{generation}/{}", folder_name(operator))
}

/// Where a writer stages.
pub(crate) fn writer_folder(c: &WriterContext) -> String {
    let operator = operator_folder(c.generation.0, &c.operator_uid);
    format!("{}/{operator}/{}", lineage_folder(&c.lineage), c.subtask.index)
}

/// What the names of an operator's lists of open partitions begin with; what follows begins with a dot, which no other
/// operator's name goes on with.
pub(crate) fn partitions_name(operator: &str) -> String {
    format!("partitions-{}", folder_name(operator))
}

/// Where an operator that overwrites keeps its lists.
pub(crate) fn overwrite_folder(lineage: &str, operator: &str) -> String {
    format!("{}/overwrite-{}", lineage_folder(lineage), folder_name(operator))
}

/// Runs what blocks in a thread that may.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<std::io::Result<T>> {
    tokio::task::spawn_blocking(work).await.map_err(ended)
}

/// An entry is in its folder for good only once the folder is synced.
pub(crate) fn sync_folder(folder: &Path) -> std::io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

/// The folder of staged files is its owner's alone: what lies there has not been published. The files themselves have the
/// mode with which they are to be seen, as their commit only moves them.
fn create_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    if folder.file_name().is_some_and(|name| name == STAGING_FOLDER) {
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    }
    match builder.create(folder) {
        // Another writer has made it.
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        made => made,
    }
}

/// Makes a folder and those above it, durably.
pub(crate) fn create_folders(folder: &Path) -> std::io::Result<()> {
    let mut missing = vec![];
    let mut at = folder;
    while !at.try_exists()? {
        missing.push(at.to_path_buf());
        match at.parent() {
            Some(parent) => at = parent,
            None => break,
        }
    }
    for folder in missing.iter().rev() {
        create_folder(folder)?;
    }
    let parents: BTreeSet<PathBuf> = missing.iter().filter_map(|m| m.parent().map(Path::to_path_buf)).collect();
    parents.iter().try_for_each(|p| sync_folder(p))
}

/// Size and checksum of a local file.
pub(crate) fn checksum(path: &Path) -> std::io::Result<(u64, u32)> {
    let mut file = std::fs::File::open(path)?;
    let mut hasher = crc32fast::Hasher::new();
    let mut block = Vec::with_capacity(CHECKSUM_BLOCK_BYTES);
    let mut size = 0;
    loop {
        block.clear();
        let n = file.by_ref().take(CHECKSUM_BLOCK_BYTES as u64).read_to_end(&mut block)?;
        if n == 0 {
            return Ok((size, hasher.finalize()));
        }
        size += n as u64;
        hasher.update(&block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_folders_stay_apart() {
        assert_eq!(folder_name("sink-1_a"), "sink-1_a");
        assert_ne!(folder_name("a/b"), folder_name("a.b"));
        assert!(!folder_name("../x").contains(['/', '.']));
    }

    #[test]
    fn committables_outside_the_folder_are_refused() {
        for target in ["../x", "/etc/passwd", "a/../../b", ""] {
            let file = StagedFile {
                staged: "s".into(),
                target: target.into(),
                size: 1,
                crc32: 0,
                partition: String::new(),
                held: Held::Staged,
            };
            let committable = ToCommit::File(file).encode("id".into()).expect("encoded");
            assert!(ToCommit::decode(&committable).is_err(), "{target}");
        }
    }
}
