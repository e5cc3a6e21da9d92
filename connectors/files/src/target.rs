//! What a sink writes, shared by its writers and its committer.

use std::path::PathBuf;
use std::sync::Arc;

use flott_connector::format::EncoderFactory;
use flott_connector::storage::{StorageLocation, storage_error};
use flott_core::clock::Clock;
use flott_core::{Error, FailPoints, Result};
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};

use crate::partition_commit::PartitionCommit;
use crate::rolling::RollingPolicy;
use crate::staging::{StagedFile, blocking, create_folders, sync_folder};
use crate::upload::Held;

pub(crate) struct FileTarget {
    pub(crate) location: StorageLocation,
    pub(crate) encoders: Arc<dyn EncoderFactory>,
    /// The format has no changes.
    pub(crate) only_inserts: bool,
    /// Name and place in the rows.
    pub(crate) partition_columns: Vec<(String, usize)>,
    pub(crate) file_columns: Vec<usize>,
    pub(crate) default_partition: String,
    pub(crate) rolling: RollingPolicy,
    pub(crate) partition_commit: Option<PartitionCommit>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) fail_points: FailPoints,
    /// INSERT OVERWRITE.
    pub(crate) overwrite: bool,
}

impl FileTarget {
    /// An object below the table's path. Nothing in `relative` is escaped: it has been, where it had to be.
    pub(crate) fn object(&self, relative: &str) -> Result<Path> {
        let root = self.location.path.as_ref();
        let full = if root.is_empty() { relative.to_string() } else { format!("{root}/{relative}") };
        Path::parse(&full).map_err(|e| Error::user(format!("'{full}' is not a usable object name")).caused_by(e))
    }

    /// A local file below the table's path.
    pub(crate) fn local(&self, relative: &str) -> Option<PathBuf> {
        self.location.local.as_ref().map(|root| root.join(relative))
    }

    pub(crate) fn object_error(&self, what: &str, e: object_store::Error) -> Error {
        storage_error(format!("Cannot {what} '{}'", self.location.display), e)
    }

    pub(crate) fn io_error(&self, e: std::io::Error) -> Error {
        Error::from(e).with("path", &self.location.display)
    }

    /// Writes a small file whole or not at all.
    pub(crate) async fn put(&self, relative: &str, content: Vec<u8>) -> Result<()> {
        match self.local(relative) {
            Some(path) => {
                let write = move || put_local(&path, &content);
                blocking(write).await?.map_err(|e| self.io_error(e))
            }
            None => {
                let path = self.object(relative)?;
                let put = self.location.store.put(&path, PutPayload::from(content)).await;
                put.map(drop).map_err(|e| self.object_error("write to", e))
            }
        }
    }

    /// A small file's content; `None` where it is not there.
    pub(crate) async fn get(&self, relative: &str) -> Result<Option<Vec<u8>>> {
        match self.local(relative) {
            Some(path) => match blocking(move || std::fs::read(path)).await? {
                Ok(content) => Ok(Some(content)),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(e) => Err(self.io_error(e)),
            },
            None => match self.location.store.get(&self.object(relative)?).await {
                Ok(object) => {
                    let bytes = object.bytes().await.map_err(|e| self.object_error("read from", e))?;
                    Ok(Some(bytes.to_vec()))
                }
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(e) => Err(self.object_error("read from", e)),
            },
        }
    }

    /// The names of the files in a folder; none where there is no folder.
    pub(crate) async fn names(&self, folder: &str) -> Result<Vec<String>> {
        if let Some(folder) = self.local(folder) {
            return blocking(move || names_in(&folder)).await?.map_err(|e| self.io_error(e));
        }
        let listed = self.location.store.list_with_delimiter(Some(&self.object(folder)?)).await;
        let listed = listed.map_err(|e| self.object_error("look for staged lists in", e))?;
        Ok(listed.objects.iter().filter_map(|o| o.location.filename().map(str::to_string)).collect())
    }

    /// Removes a file; one that is not there is removed already.
    pub(crate) async fn remove(&self, relative: &str) -> Result<()> {
        match self.local(relative) {
            Some(path) => match blocking(move || std::fs::remove_file(path)).await? {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(self.io_error(e)),
                _ => Ok(()),
            },
            None => self.remove_object(&self.object(relative)?).await,
        }
    }

    /// Removes what a [`put`](Self::put) that died has left; an object is there whole or not at all.
    pub(crate) async fn remove_unfinished(&self, relative: &str) -> Result<()> {
        let Some(path) = self.local(relative) else { return Ok(()) };
        match blocking(move || std::fs::remove_file(unfinished(&path))).await? {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(self.io_error(e)),
            _ => Ok(()),
        }
    }

    /// Removes a complete file that nobody will commit.
    pub(crate) async fn discard(&self, file: &StagedFile) -> Result<()> {
        match &file.held {
            Held::Staged => self.remove(&file.staged).await,
            Held::Upload { id, .. } => self.abort_upload(&file.target, id, &file.staged).await,
            Held::Inline(_) => Ok(()),
        }
    }

    pub(crate) async fn remove_object(&self, path: &Path) -> Result<()> {
        match self.location.store.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(self.object_error("remove staged files from", e)),
        }
    }
}

fn names_in(folder: &std::path::Path) -> std::io::Result<Vec<String>> {
    match std::fs::read_dir(folder) {
        Ok(entries) => entries.map(|e| Ok(e?.file_name().to_string_lossy().into_owned())).collect(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(vec![]),
        Err(e) => Err(e),
    }
}

/// The longest key of S3, in bytes. Other stores take no longer ones.
pub(crate) const KEY_BYTES_MAX: usize = 1_024;
/// The longest name of a file or folder, in bytes, on the disks that there are.
pub(crate) const NAME_BYTES_MAX: usize = 255;
/// The longest path that a system call takes on Linux, without its end mark.
const PATH_BYTES_MAX: usize = 4_095;
/// What a value of a message is cut at.
const SHOWN_CHARS: usize = 60;

impl FileTarget {
    /// Whether an object below the table's path has a key that no store takes.
    pub(crate) fn has_long_key(&self, relative: &str) -> bool {
        self.location.local.is_none() && self.location.path.as_ref().len() + 1 + relative.len() > KEY_BYTES_MAX
    }

    /// Fails where a partition's folder, or a file of this name in it, cannot be: before anything of it is decided.
    pub(crate) fn check_names(&self, partition: &str, name: &str) -> Result<()> {
        let Some(root) = &self.location.local else {
            // The object that says that a partition is complete lies there, too.
            let longest = self.partition_commit.as_ref().map_or(0, |c| c.success_file.len()).max(name.len());
            let bytes = self.location.path.as_ref().len() + 1 + partition.len() + 1 + longest;
            if bytes <= KEY_BYTES_MAX {
                return Ok(());
            }
            return Err(self.too_long(partition, format!("a key of {bytes} bytes, and {KEY_BYTES_MAX} are possible")));
        };
        let mut columns = self.partition_columns.iter().map(|(name, _)| name);
        for folder in partition.split('/').filter(|f| !f.is_empty()) {
            let column = columns.next();
            if folder.len() > NAME_BYTES_MAX {
                let why = format!("a folder's name of {} bytes, and {NAME_BYTES_MAX} are possible", folder.len());
                let error = self.too_long(folder, why);
                return Err(match column {
                    Some(column) => error.with("column", column),
                    None => error,
                });
            }
        }
        let bytes = root.as_os_str().len() + 1 + partition.len() + 1 + name.len();
        if bytes > PATH_BYTES_MAX {
            return Err(self.too_long(partition, format!("a path of {bytes} bytes, and {PATH_BYTES_MAX} are possible")));
        }
        Ok(())
    }

    fn too_long(&self, folder: &str, why: String) -> Error {
        let mut shown: String = folder.chars().take(SHOWN_CHARS).collect();
        if shown.len() < folder.len() {
            shown.push_str("...");
        }
        Error::data(format!("the partition's value is too long: it makes {why}"))
            .with("partition", shown)
            .with("path", &self.location.display)
            .hint("Partition by a shorter value, such as LEFT(x, 50) or a hash of it: it is a part of the files' path")
    }
}

/// Where a small file is written first. Hidden, so that no reader sees it.
fn unfinished(path: &std::path::Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.new"))
}

/// The name that a file has or was to get.
pub(crate) fn whole_name(name: &str) -> &str {
    name.strip_prefix('.').and_then(|n| n.strip_suffix(".new")).unwrap_or(name)
}

/// Blocks.
fn put_local(path: &std::path::Path, content: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(std::path::Path::new("/"));
    create_folders(folder)?;
    let new = unfinished(path);
    std::fs::write(&new, content)?;
    std::fs::File::open(&new)?.sync_all()?;
    std::fs::rename(&new, path)?;
    sync_folder(folder)
}
