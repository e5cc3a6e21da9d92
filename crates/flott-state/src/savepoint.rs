//! Savepoints: what a checkpoint holds, in a folder of its own that no checkpoint store touches.
//!
//! Layout, whatever parallelism, storage and history the job had:
//!
//! | file | what |
//! |---|---|
//! | `_metadata` | a record `savepoint`: which files belong to it, with sizes and checksums. Written last |
//! | `manifest.json` | the checkpoint's manifest; the files that it names lie beside it |
//! | `bundle.json` | the job bundle: statements, definitions, options |
//! | `op<n>-<m>.run` | state files: all runs of the operator `n`, in pieces of about 64 MiB |
//!
//! A savepoint holds nothing that waits for its commit: it becomes one once the checkpoint that it stands for is committed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use flott_core::{CheckpointId, Error, ErrorKind, FailPoint, FailPoints, Result};
use serde::{Deserialize, Serialize};

use crate::manifest::{MANIFEST_VERSION, Manifest, StoredRun};
use crate::record;
use crate::snapshot_file;
use crate::storage::CheckpointStorage;

/// Version of the layout of a savepoint.
pub const SAVEPOINT_VERSION: u32 = 1;
/// The file that makes a folder a savepoint (Flink's name).
pub const METADATA: &str = "_metadata";
const MANIFEST: &str = "manifest.json";
const BUNDLE: &str = "bundle.json";
/// A state file is closed once it has so many bytes.
const PIECE_BYTES: usize = 64 << 20;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SavepointFile {
    name: String,
    bytes: u64,
    crc32: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Metadata {
    /// The job lineage that it was taken of.
    lineage: String,
    /// The checkpoint that it stands for.
    checkpoint: CheckpointId,
    /// When, in ms since the epoch.
    created_ms: i64,
    files: Vec<SavepointFile>,
}

/// A savepoint that is whole as far as its small files tell; state files are checked when they are restored.
#[derive(Debug, Clone)]
pub struct Savepoint {
    storage: CheckpointStorage,
    manifest: Manifest,
    bundle: Option<Bytes>,
}

/// What is left where one is damaged.
const OTHER: &str = "take it from a backup, or restore another savepoint or --restore latest";

impl Savepoint {
    /// Opens a folder; `None` where it is no savepoint.
    pub async fn open(storage: CheckpointStorage) -> Result<Option<Savepoint>> {
        let Some(metadata) = read_metadata(&storage).await? else { return Ok(None) };
        let what = format!("the manifest of the savepoint in {}", storage.display());
        let bytes = checked(&storage, &metadata, MANIFEST).await?;
        let manifest: Manifest = record::decode("manifest", MANIFEST_VERSION, &what, &bytes)?;
        // Names are followed: those of the list lie in the folder.
        let is_listed = |name: &String| metadata.files.iter().any(|f| f.name == *name);
        if let Some(stranger) = manifest.files().iter().find(|name| !is_listed(name)) {
            return Err(Error::data(format!("{what} names a file that cannot be its own: '{stranger}'"))
                .hint("It has been tampered with: do not restore it"));
        }
        let bundle = match metadata.files.iter().any(|f| f.name == BUNDLE) {
            true => Some(checked(&storage, &metadata, BUNDLE).await?),
            false => None,
        };
        Ok(Some(Savepoint { storage, manifest, bundle }))
    }

    /// What it holds.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The job bundle that it was taken with.
    pub fn bundle(&self) -> Option<&Bytes> {
        self.bundle.as_ref()
    }

    /// Where it lies.
    pub fn storage(&self) -> &CheckpointStorage {
        &self.storage
    }

    /// Removes its files, and nothing else that may lie there. The list of them goes last, so that it can be done again.
    pub async fn discard(&self) -> Result<()> {
        let Some(metadata) = read_metadata(&self.storage).await? else { return Ok(()) };
        for file in &metadata.files {
            self.storage.delete(&file.name).await?;
        }
        self.storage.delete(METADATA).await
    }
}

async fn read_metadata(storage: &CheckpointStorage) -> Result<Option<Metadata>> {
    let Some(bytes) = storage.get(METADATA).await? else { return Ok(None) };
    let what = format!("the savepoint in {}", storage.display());
    let metadata = record::decode("savepoint", SAVEPOINT_VERSION, &what, &bytes);
    let metadata: Metadata = metadata.map_err(|e: Error| match (e.hint_text(), bytes.is_empty()) {
        (Some(_), _) => e,
        (None, true) => {
            e.hint(format!("Its {METADATA} is empty: it was not written to its end, or the disk was full; {OTHER}"))
        }
        (None, false) => e.hint(format!("Its {METADATA} is no such file, or the disk has lost data; {OTHER}")),
    })?;
    // Names are followed and removed: none may lead out of the folder.
    match metadata.files.iter().find(|f| f.name.contains(['/', '\\']) || f.name.starts_with('.')) {
        Some(file) => Err(Error::data(format!("{what} names a file that cannot be its own: '{}'", file.name))),
        None => Ok(Some(metadata)),
    }
}

async fn checked(storage: &CheckpointStorage, metadata: &Metadata, name: &str) -> Result<Bytes> {
    let corrupt = |why: &str| {
        Error::data(format!("the savepoint in {} is damaged: '{name}' {why}", storage.display()))
            .hint("Take its files from a backup, or restore another savepoint")
    };
    let file = metadata.files.iter().find(|f| f.name == name).ok_or_else(|| corrupt("is not listed"))?;
    let bytes = storage.get(name).await?.ok_or_else(|| corrupt("is missing"))?;
    if bytes.len() as u64 != file.bytes || crc32fast::hash(&bytes) != file.crc32 {
        return Err(corrupt("has another checksum than it should have"));
    }
    Ok(bytes)
}

/// Says that nobody wants a savepoint any more that is being written. Clones say the same.
#[derive(Debug, Clone, Default)]
pub struct GiveUp(Arc<AtomicBool>);

impl GiveUp {
    /// No further file is begun; those that are there are taken back.
    pub fn give_up(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether it was said.
    pub fn is_given_up(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Files written so far, to take them back where one cannot be.
struct Writer<'a> {
    to: &'a CheckpointStorage,
    fail_points: &'a FailPoints,
    files: Vec<SavepointFile>,
    give_up: &'a GiveUp,
}

impl Writer<'_> {
    async fn put(&mut self, name: &str, content: Bytes) -> Result<()> {
        if self.give_up.is_given_up() {
            return Err(Error::user("the job was cancelled before its savepoint was written"));
        }
        let (bytes, crc32) = (content.len() as u64, crc32fast::hash(&content));
        self.files.push(SavepointFile { name: name.to_string(), bytes, crc32 });
        self.to.put(name, content).await
    }

    /// All runs of one operator, checked on the way.
    async fn runs(&mut self, from: &CheckpointStorage, index: usize, runs: &[StoredRun]) -> Result<Vec<StoredRun>> {
        let mut runs = runs.to_vec();
        // Each file is read once.
        runs.sort_by(|a, b| (&a.file, a.offset).cmp(&(&b.file, b.offset)));
        let mut source: Option<(String, Bytes)> = None;
        let (mut piece, mut content) = (0, snapshot_file::empty());
        for run in &mut runs {
            let bytes = match &source {
                Some((file, bytes)) if *file == run.file => bytes.clone(),
                _ => {
                    let missing = || Error::data(format!("state file '{}' is missing", run.file));
                    let bytes = from.get(&run.file).await?.ok_or_else(missing)?;
                    source = Some((run.file.clone(), bytes.clone()));
                    bytes
                }
            };
            let slice = snapshot_file::slice(&bytes, run)?;
            if content.len() > PIECE_BYTES {
                self.put(&state_file(index, piece), std::mem::replace(&mut content, snapshot_file::empty()).into())
                    .await?;
                piece += 1;
            }
            (run.file, run.offset) = (state_file(index, piece), content.len() as u64);
            content.extend_from_slice(slice);
        }
        if !runs.is_empty() {
            self.put(&state_file(index, piece), content.into()).await?;
        }
        Ok(runs)
    }
}

fn state_file(index: usize, piece: usize) -> String {
    format!("op{index}-{piece}.run")
}

/// A savepoint that is none yet: all of its files are there but the one that makes the folder a savepoint.
#[derive(Debug)]
pub struct PreparedSavepoint {
    to: CheckpointStorage,
    metadata: Metadata,
}

impl PreparedSavepoint {
    /// Makes it a savepoint; gives its bytes. What was written before a failure is removed.
    pub async fn publish(self) -> Result<u64> {
        let published = match record::encode("savepoint", SAVEPOINT_VERSION, &self.metadata) {
            Ok(metadata) => self.to.put(METADATA, metadata).await,
            Err(e) => Err(e),
        };
        match published {
            Ok(()) => Ok(self.metadata.files.iter().map(|f| f.bytes).sum()),
            Err(e) => {
                take_back(&self.to, &self.metadata.files).await;
                Err(unwritten(e, &self.to))
            }
        }
    }

    /// What it stands for came to nothing.
    pub async fn discard(self) {
        take_back(&self.to, &self.metadata.files).await;
    }
}

async fn take_back(to: &CheckpointStorage, files: &[SavepointFile]) {
    for file in [METADATA].into_iter().chain(files.iter().map(|f| f.name.as_str())) {
        drop(to.delete(file).await);
    }
}

fn unwritten(e: Error, to: &CheckpointStorage) -> Error {
    // A folder that cannot be written is for the user to change, whatever else may pass by itself.
    let hint = match e.kind() {
        ErrorKind::Unavailable => "Nothing of it is left. Try again once there is room",
        _ => "Nothing of it is left. Name another folder",
    };
    e.with("savepoint", to.display()).hint(hint)
}

/// Copies a committed checkpoint into an empty folder. What was written before a failure is removed.
///
/// Gives the bytes of the savepoint.
pub async fn write(
    from: &CheckpointStorage,
    to: &CheckpointStorage,
    manifest: &Manifest,
    bundle: Option<Bytes>,
) -> Result<u64> {
    prepare(from, to, manifest, bundle, &GiveUp::default(), &FailPoints::none()).await?.publish().await
}

/// Copies a checkpoint into an empty folder, which becomes a savepoint once it is published: when the checkpoint is
/// committed. What was written before a failure is removed.
pub async fn prepare(
    from: &CheckpointStorage,
    to: &CheckpointStorage,
    manifest: &Manifest,
    bundle: Option<Bytes>,
    give_up: &GiveUp,
    fail_points: &FailPoints,
) -> Result<PreparedSavepoint> {
    let mut writer = Writer { to, fail_points, files: vec![], give_up };
    match write_files(&mut writer, from, manifest, bundle).await {
        Ok(()) => Ok(PreparedSavepoint {
            to: to.clone(),
            metadata: Metadata {
                lineage: manifest.lineage.clone(),
                checkpoint: manifest.checkpoint,
                created_ms: manifest.created_ms,
                files: writer.files,
            },
        }),
        Err(e) => {
            take_back(to, &writer.files).await;
            Err(unwritten(e, to))
        }
    }
}

async fn write_files(
    writer: &mut Writer<'_>,
    from: &CheckpointStorage,
    manifest: &Manifest,
    bundle: Option<Bytes>,
) -> Result<()> {
    let mut manifest = manifest.clone();
    if let Some(bundle) = bundle {
        writer.put(BUNDLE, bundle).await?;
    }
    for (index, operator) in manifest.operators.values_mut().enumerate() {
        operator.runs = writer.runs(from, index, &operator.runs).await?;
    }
    writer.fail_points.hit(FailPoint::DuringSavepoint);
    // They are committed; whoever restores has nothing to show again.
    manifest.sinks.values_mut().for_each(|sink| sink.committables.clear());
    writer.put(MANIFEST, record::encode("manifest", MANIFEST_VERSION, &manifest)?).await
}

/// Whether something can be written there, so that nobody begins what cannot be brought to its end.
pub async fn check_writable(to: &CheckpointStorage) -> Result<()> {
    const PROBE: &str = "_probe";
    let probe = async {
        if to.get(METADATA).await?.is_some() {
            return Err(Error::user("there is a savepoint already"));
        }
        to.put(PROBE, Bytes::new()).await?;
        to.delete(PROBE).await
    };
    probe.await.map_err(|e| e.with("savepoint", to.display()).hint("The job goes on. Name another folder"))
}
