//! Files beside the checkpoints, complete and durable before a checkpoint can name them.
//!
//! Below the folder of all checkpoints (`execution.checkpointing.dir`) there is
//! `.staged/<lineage>/<operator>/<generation>/`; the names say to whom a file belongs, so that what a dead attempt left can
//! be told from what a living one needs. A file is an Arrow stream of records as they go to the log.

use std::io::Write;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use flott_core::options::Options;
use flott_core::{Error, Result};
use futures::TryStreamExt;
use object_store::{ObjectStoreExt, PutPayload};
use serde::{Deserialize, Serialize};

use crate::sink::Committable;
use crate::storage::{self, StorageLocation, storage_error};
use crate::stored::{check_version, from_json, to_json};
use crate::{Versioned, private_file};

/// The folder in that of the checkpoints.
pub const STAGING_FOLDER: &str = ".staged";
/// Version of a committable.
const VERSION: u32 = 1;

/// A staged file: what the committer needs to know, without the process that wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedFile {
    /// Below the staging folder.
    pub name: String,
    /// Its bytes.
    pub size: u64,
    /// Their checksum.
    pub crc32: u32,
    /// Records in it.
    pub records: u64,
    /// Whose output it is: the same in all attempts of a sink. (A transactional id with Kafka, whence the name.)
    pub transactional_id: String,
    /// The lineage that wrote it.
    pub lineage: String,
    /// The checkpoint that it was prepared for.
    pub epoch: u64,
    /// Which writer.
    pub subtask: usize,
}

impl StagedFile {
    /// Of a content, for a checkpoint that is not known yet.
    pub fn of(
        name: String,
        content: &[u8],
        records: u64,
        transactional_id: String,
        lineage: &str,
        subtask: usize,
    ) -> StagedFile {
        StagedFile {
            name,
            size: content.len() as u64,
            crc32: crc32fast::hash(content),
            records,
            transactional_id,
            lineage: lineage.to_string(),
            epoch: 0,
            subtask,
        }
    }

    /// The form that is stored in a checkpoint.
    pub fn to_committable(&self) -> Result<Committable> {
        Ok(Committable { id: self.name.clone(), data: Versioned::new(VERSION, to_json(self)?) })
    }

    /// Reads the stored form again.
    pub fn decode(committable: &Committable) -> Result<StagedFile> {
        check_version(&committable.data, VERSION, "committable of staged records")?;
        from_json(&committable.data.bytes, "committable of staged records")
    }
}

/// The files of one sink.
#[derive(Debug, Clone)]
pub struct Staging(StorageLocation);

/// The staging folder below that of all checkpoints, as a session is configured.
pub fn open(config: &Options, base_dir: &Path) -> Result<Staging> {
    let root = config.get("execution.checkpointing.dir");
    let folder = format!("{}/{STAGING_FOLDER}", root.unwrap_or(".flott").trim_end_matches('/'));
    Ok(Staging(storage::open(&folder, base_dir, config)?))
}

/// Runs what blocks beside the runtime's threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| Error::internal("a task that stages records ended early").caused_by(e))
}

/// A part of a path, of whatever text.
fn part(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !text.is_empty() && text.len() <= 100 && text.chars().all(plain) {
        return text.to_string();
    }
    let kept: String = text.chars().filter(|c| plain(*c)).take(60).collect();
    format!("{kept}-{:08x}", crc32fast::hash(text.as_bytes()))
}

impl Staging {
    /// The folder of an operator in a lineage.
    pub fn folder(lineage: &str, operator_uid: &str) -> String {
        format!("{}/{}", part(lineage), part(operator_uid))
    }

    fn local(&self, name: &str) -> Option<PathBuf> {
        self.0.local.as_ref().map(|root| root.join(name))
    }

    fn object(&self, name: &str) -> Result<object_store::path::Path> {
        let path = format!("{}/{name}", self.0.path);
        object_store::path::Path::parse(&path)
            .map_err(|e| Error::internal(format!("'{path}' is no place in a store")).caused_by(e))
    }

    fn failed(&self, what: &str, name: &str, error: std::io::Error) -> Error {
        Error::from(error).with("file", format!("{}/{name}", self.0.display)).with("doing", what)
    }

    /// Writes a file that did not exist, durably.
    pub async fn put(&self, name: &str, content: Vec<u8>) -> Result<()> {
        match self.local(name) {
            Some(path) => {
                blocking(move || write_durably(&path, &content)).await?.map_err(|e| self.failed("write", name, e))
            }
            None => {
                let put = self.0.store.put(&self.object(name)?, PutPayload::from(content)).await;
                put.map(drop).map_err(|e| storage_error(format!("Cannot write '{}/{name}'", self.0.display), e))
            }
        }
    }

    /// Reads a file; `None` where there is none.
    pub async fn get(&self, name: &str) -> Result<Option<Bytes>> {
        match self.local(name) {
            Some(path) => match blocking(move || std::fs::read(path)).await? {
                Ok(content) => Ok(Some(content.into())),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(e) => Err(self.failed("read", name, e)),
            },
            None => match self.0.store.get(&self.object(name)?).await {
                Ok(found) => found
                    .bytes()
                    .await
                    .map(Some)
                    .map_err(|e| storage_error(format!("Cannot read '{}/{name}'", self.0.display), e)),
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(e) => Err(storage_error(format!("Cannot read '{}/{name}'", self.0.display), e)),
            },
        }
    }

    /// The content of a staged file, checked.
    pub async fn read(&self, file: &StagedFile) -> Result<Bytes> {
        match self.get(&file.name).await? {
            Some(content) if content.len() as u64 == file.size && crc32fast::hash(&content) == file.crc32 => {
                Ok(content)
            }
            Some(_) => Err(Error::data(format!("the staged file '{}' is damaged", file.name))
                .hint("The disk has lost data, or something outside has changed it: its rows cannot be committed")),
            None => Err(Error::data(format!("the staged file '{}' is gone, and its rows are not written", file.name))
                .hint("Something outside has removed it: put it back, or start over with --fresh")),
        }
    }

    /// Removes a file; one that is gone is no error.
    pub async fn remove(&self, name: &str) -> Result<()> {
        match self.local(name) {
            Some(path) => match blocking(move || std::fs::remove_file(path)).await? {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(self.failed("remove", name, e)),
                _ => Ok(()),
            },
            None => match self.0.store.delete(&self.object(name)?).await {
                Err(object_store::Error::NotFound { .. }) | Ok(()) => Ok(()),
                Err(e) => Err(storage_error(format!("Cannot remove '{}/{name}'", self.0.display), e)),
            },
        }
    }

    /// Removes the files of attempts before `end`, but those named, and folders that are empty then.
    pub async fn remove_before(&self, folder: &str, end: u64, keep: &[String]) -> Result<()> {
        if let Some(path) = self.local(folder) {
            let (keep, root) = (keep.to_vec(), self.0.local.clone());
            let folder = folder.to_string();
            let removed = blocking(move || {
                remove_local(&path, &folder, end, &keep)?;
                // Not empty: somebody else's.
                for empty in [Some(path.as_path()), path.parent(), root.as_deref()].into_iter().flatten() {
                    std::fs::remove_dir(empty).ok();
                }
                Ok(())
            });
            return removed.await?.map_err(|e: std::io::Error| self.failed("clean up", "", e));
        }
        let prefix = self.object(folder)?;
        let depth = prefix.parts().count();
        let listed: Result<Vec<_>, _> = self.0.store.list(Some(&prefix)).try_collect().await;
        let listed = listed.map_err(|e| storage_error(format!("Cannot list '{}/{folder}'", self.0.display), e))?;
        for object in listed {
            let parts: Vec<String> = object.location.parts().skip(depth).map(|p| p.as_ref().to_string()).collect();
            let name = format!("{folder}/{}", parts.join("/"));
            let is_dead = parts.first().and_then(|g| g.parse::<u64>().ok()).is_some_and(|g| g < end);
            if is_dead && !keep.contains(&name) {
                self.remove(&name).await?;
            }
        }
        Ok(())
    }
}

/// Blocks.
fn remove_local(path: &Path, folder: &str, end: u64, keep: &[String]) -> std::io::Result<()> {
    let entries = |path: &Path| match std::fs::read_dir(path) {
        Ok(entries) => entries.collect::<std::io::Result<Vec<_>>>(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(vec![]),
        Err(e) => Err(e),
    };
    for generation in entries(path)? {
        let number = generation.file_name().to_string_lossy().into_owned();
        if !number.parse::<u64>().is_ok_and(|g| g < end) {
            continue;
        }
        for file in entries(&generation.path())? {
            let name = format!("{folder}/{number}/{}", file.file_name().to_string_lossy());
            if !keep.contains(&name) {
                match std::fs::remove_file(file.path()) {
                    Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
                    _ => {}
                }
            }
        }
        std::fs::remove_dir(generation.path()).ok();
    }
    Ok(())
}

/// A file with all its bytes on the disk, and its name in a folder that is there after a power cut. Blocks.
fn write_durably(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut missing = vec![];
    let mut at = folder;
    while !at.try_exists()? {
        missing.push(at.to_path_buf());
        match at.parent() {
            Some(parent) => at = parent,
            None => break,
        }
    }
    std::fs::create_dir_all(folder)?;
    for made in &missing {
        if let Some(parent) = made.parent() {
            std::fs::File::open(parent)?.sync_all()?;
        }
    }
    let mut file = private_file::create_new(path)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> StagedFile {
        StagedFile {
            name: "l/op/1/0-x-0.arrows".into(),
            size: 10,
            crc32: 7,
            records: 2,
            transactional_id: "flott-l-op".into(),
            lineage: "l".into(),
            epoch: 3,
            subtask: 0,
        }
    }

    #[test]
    fn a_committable_is_read_again_and_damaged_ones_are_refused() {
        let stored = file().to_committable().expect("stored");
        // The layout of version 1, for ever.
        let text = br#"{"name":"l/op/1/0-x-0.arrows","size":10,"crc32":7,"records":2,"transactional_id":"flott-l-op","lineage":"l","epoch":3,"subtask":0}"#;
        assert_eq!(&stored.data.bytes[..], text);
        assert_eq!(StagedFile::decode(&stored).expect("read"), file());
        let cut = Committable { id: "x".into(), data: Versioned::new(VERSION, stored.data.bytes.slice(..20)) };
        assert!(StagedFile::decode(&cut).is_err());
        let newer = Committable { id: "x".into(), data: Versioned::new(VERSION + 1, stored.data.bytes) };
        assert!(StagedFile::decode(&newer).is_err());
    }

    #[test]
    fn names_of_folders_stay_inside() {
        assert_eq!(part("a-b_1"), "a-b_1");
        let strange = part("../../etc/passwd");
        assert!(!strange.contains('/') && !strange.contains('.'), "{strange}");
        assert_ne!(part("a/b"), part("a.b"));
    }
}
