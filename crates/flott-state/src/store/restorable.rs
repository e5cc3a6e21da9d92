//! What an attempt can start from: manifests and their files, read and checked.

use std::ops::Range;
use std::path::{Component, Path};

use bytes::Bytes;
use flott_core::{CheckpointId, Error, ErrorKind, Result};

use crate::manifest::{Head, MANIFEST_VERSION, Manifest, RetainedCheckpoint, StoredOperator};
use crate::record;
use crate::run::{RestoredRun, RestoredState};
use crate::savepoint::Savepoint;
use crate::snapshot_file;
use crate::storage::CheckpointStorage;

/// What the subtask that owns `key_groups` starts from, read by a process that has not opened the store.
pub async fn restore_operator(
    storage: &CheckpointStorage,
    stored: &StoredOperator,
    key_groups: Range<u16>,
) -> Result<RestoredState> {
    let mut state = RestoredState {
        version: stored.version,
        metas: stored.subtasks.iter().map(|s| s.meta.bytes.clone()).collect(),
        runs: vec![],
    };
    let mut content: Option<(String, Bytes)> = None;
    for run in &stored.runs {
        if run.last_key_group < key_groups.start || run.first_key_group >= key_groups.end {
            continue;
        }
        let bytes = match &content {
            Some((file, bytes)) if *file == run.file => bytes.clone(),
            _ => {
                let bytes = storage.get(&run.file).await?.ok_or_else(|| missing(&run.file))?;
                content = Some((run.file.clone(), bytes.clone()));
                bytes
            }
        };
        if let Some(run) = snapshot_file::decode(&bytes, run, key_groups.clone())? {
            state.runs.push(RestoredRun { run });
        }
    }
    Ok(state)
}

fn missing(file: &str) -> Error {
    Error::data(format!("state file '{file}' is missing")).with("file", file)
}

/// Names in records are followed: none may lead out of the job's folder.
fn check_confined<'a>(what: &str, names: impl IntoIterator<Item = &'a String>) -> Result<()> {
    let is_confined = |name: &String| {
        let parts = Path::new(name).components();
        !name.is_empty() && !name.contains('\\') && parts.into_iter().all(|part| matches!(part, Component::Normal(_)))
    };
    match names.into_iter().find(|name| !is_confined(name)) {
        None => Ok(()),
        Some(name) => Err(Error::data(format!("{what} names a file that cannot be its own: '{name}'"))
            .hint("It has been tampered with: do not restore it")),
    }
}

/// Reads and checks one manifest.
pub async fn read_manifest(storage: &CheckpointStorage, entry: &RetainedCheckpoint) -> Result<Manifest> {
    let what = format!("the manifest of checkpoint {}", entry.id);
    let read = async {
        check_confined(&what, [&entry.manifest])?;
        let bytes = storage.get(&entry.manifest).await?.ok_or_else(|| Error::data(format!("{what} is missing")))?;
        if crc32fast::hash(&bytes) != entry.crc32 {
            return Err(Error::data(format!("{what} is corrupt: its checksum does not fit HEAD's")));
        }
        let manifest: Manifest = record::decode("manifest", MANIFEST_VERSION, &what, &bytes)?;
        check_confined(&what, &manifest.files())?;
        Ok(manifest)
    };
    read.await.map_err(|e| e.with("file", &entry.manifest))
}

/// All files of a checkpoint, read once and checked against the manifest.
async fn verify(storage: &CheckpointStorage, manifest: &Manifest) -> Result<()> {
    for file in manifest.files() {
        let content = storage.get(&file).await?.ok_or_else(|| missing(&file))?;
        for run in manifest.operators.values().flat_map(|o| &o.runs).filter(|r| r.file == file) {
            snapshot_file::decode(&content, run, 0..u16::MAX)?;
        }
    }
    Ok(())
}

/// Forgets the checkpoints after this one, unless their output can have been seen.
pub(super) fn go_back(head: &mut Head, id: CheckpointId) -> Result<()> {
    let newer = head.retained.iter().take_while(|r| r.id != id).count();
    if newer == head.retained.len() {
        return Err(Error::user(format!("checkpoint {id} is not kept")));
    }
    let seen = head.last_output.max(decided_output(head, newer));
    if newer > 0 && seen > Some(id) {
        return Err(Error::user(format!(
            "checkpoint {id} cannot be restored: output was committed after it, up to checkpoint {}, and would come twice",
            seen.unwrap_or(id)
        ))
        .hint("Restore the newest checkpoint with --restore latest"));
    }
    head.retained.drain(..newer);
    Ok(())
}

/// The savepoint that HEAD names. Whoever opens the job has looked which one it is.
pub(super) fn named_savepoint(head: &Head, opened: Option<Savepoint>) -> Result<Option<Savepoint>> {
    let Some(named) = &head.savepoint else { return Ok(None) };
    match opened {
        Some(savepoint) if savepoint.storage().display() == named.location => Ok(Some(savepoint)),
        // With a checkpoint the job can do without it; it is removed by an attempt that finds it.
        _ if !head.retained.is_empty() => Ok(None),
        _ => Err(Error::data(format!(
            "the job starts from the savepoint in {}, which cannot be found there",
            named.location
        ))
        .hint("Put it back, restore another one with --restore PATH, or start over with --fresh")),
    }
}

/// What an attempt starts from.
pub(super) struct Restorable {
    pub(super) manifest: Option<Manifest>,
    pub(super) fallback: Option<String>,
    pub(super) is_savepoint: bool,
}

/// The newest checkpoint that is whole, or the savepoint where there is none. An older one is taken only where no output
/// was committed since.
pub(super) async fn find_restorable(
    storage: &CheckpointStorage,
    head: &mut Head,
    savepoint: Option<&Savepoint>,
) -> Result<Restorable> {
    let mut broken: Option<(CheckpointId, Error)> = None;
    for (i, entry) in head.retained.clone().iter().enumerate() {
        if let Some((id, error)) = &broken
            && head.last_output.max(decided_output(head, i)) > Some(entry.id)
        {
            return Err(Error::data(format!(
                "checkpoint {id} cannot be restored ({error}), and the older checkpoint {} must not be: output was \
                 committed after it, up to checkpoint {}",
                entry.id,
                head.last_output.unwrap_or(*id)
            ))
            .hint("Repair the checkpoint's files from a backup, or start over with --fresh and expect duplicates"));
        }
        let read = match read_manifest(storage, entry).await {
            Ok(manifest) => verify(storage, &manifest).await.map(|()| manifest),
            Err(e) => Err(e),
        };
        match read {
            Ok(manifest) => {
                let why =
                    broken.map(|(id, e)| format!("checkpoint {id} is damaged ({e}); restored checkpoint {}", entry.id));
                head.retained.drain(..i);
                return Ok(Restorable { manifest: Some(manifest), fallback: why, is_savepoint: false });
            }
            // Neither the store being away nor a foreign version says that the checkpoint is broken.
            Err(e) if e.kind() != ErrorKind::Data => return Err(e),
            Err(e) => broken = broken.or(Some((entry.id, e))),
        }
    }
    let fallback = match broken {
        None => None,
        Some((id, error)) => {
            // Behind a savepoint nothing but its own checkpoints can have shown output.
            let untouched = head.last_output.max(decided_output(head, head.retained.len())).is_none();
            if savepoint.is_none() || !untouched {
                return Err(Error::data(format!(
                    "checkpoint {id} cannot be restored ({error}), and no older one is whole"
                ))
                .hint("Repair its files from a backup, or start over with --fresh"));
            }
            Some(format!("checkpoint {id} is damaged ({error}); restored the savepoint that the job began with"))
        }
    };
    let Some(savepoint) = savepoint else {
        return Ok(Restorable { manifest: None, fallback, is_savepoint: false });
    };
    verify(savepoint.storage(), savepoint.manifest())
        .await
        .map_err(|e| e.with("savepoint", savepoint.storage().display()))?;
    head.retained.clear();
    Ok(Restorable { manifest: Some(savepoint.manifest().clone()), fallback, is_savepoint: true })
}

/// Output of a decided checkpoint whose commit was not recorded may be partly visible: it counts as committed.
fn decided_output(head: &Head, before: usize) -> Option<CheckpointId> {
    head.retained[..before].iter().map(|r| r.id).filter(|id| Some(*id) > head.committed).max()
}
