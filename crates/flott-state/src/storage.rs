//! Where checkpoints lie: durable writes, reads, and the compare-and-swap of HEAD.
//!
//! On a local disk a file counts as written after `fsync` of the file and of its folder, and HEAD changes under a lock
//! that dies with its process. On an object store a put is durable and HEAD changes by conditional put.

use std::fs;
use std::io::{ErrorKind as IoKind, Write};
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flott_connector::private_file;
use flott_connector::storage::storage_error;
use flott_core::{Error, FailPoint, FailPoints, Result};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, UpdateVersion};

/// The name of the one record that is ever changed.
pub const HEAD: &str = "HEAD";
/// Held by whoever changes HEAD in a local folder.
const HEAD_LOCK: &str = "HEAD.lock";
/// A record larger than this is not ours.
const MAX_HEAD_BYTES: usize = 1 << 20;
/// The longest that a swap waits for another process's swap, which takes milliseconds unless that process is stopped.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
const LOCK_PAUSE: Duration = Duration::from_millis(5);
/// Swaps that a store refuses without a winner are tried again so often.
const CONFLICTS_MAX: u32 = 5;

/// A place for the checkpoints of one job.
#[derive(Debug, Clone)]
pub enum CheckpointStorage {
    /// A local folder.
    Local {
        /// The folder.
        root: PathBuf,
        /// Where a test stops the process.
        fail_points: FailPoints,
    },
    /// A prefix in an object store with conditional puts.
    Object {
        /// The store.
        store: Arc<dyn ObjectStore>,
        /// The prefix.
        prefix: Path,
        /// For people.
        display: String,
    },
}

/// What a HEAD read saw, to compare against when it is swapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadVersion {
    /// There was none.
    Absent,
    /// Local: its bytes.
    Bytes(Bytes),
    /// Object store: its tag.
    Tag(Option<String>, Option<String>),
}

/// What came of a swap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Swap {
    /// HEAD is the new record now.
    Done(HeadVersion),
    /// Somebody else had changed it.
    Lost,
}

impl CheckpointStorage {
    /// A local folder; it is made at the first write.
    pub fn local(root: impl Into<PathBuf>, fail_points: FailPoints) -> CheckpointStorage {
        CheckpointStorage::Local { root: root.into(), fail_points }
    }

    /// Whether it is a folder of this machine.
    pub fn is_local(&self) -> bool {
        matches!(self, CheckpointStorage::Local { .. })
    }

    /// For messages.
    pub fn display(&self) -> String {
        match self {
            CheckpointStorage::Local { root, .. } => root.display().to_string(),
            CheckpointStorage::Object { display, .. } => display.clone(),
        }
    }

    /// Writes a file that did not exist, durably. Names are relative, with `/`.
    pub async fn put(&self, name: &str, content: Bytes) -> Result<()> {
        match self {
            CheckpointStorage::Local { root, .. } => {
                let path = root.join(name);
                let shown = path.display().to_string();
                blocking(move || write_durably(&path, &content)).await.map_err(|e| e.with("file", shown))
            }
            CheckpointStorage::Object { store, prefix, .. } => {
                let path = join(prefix, name);
                store.put(&path, PutPayload::from_bytes(content)).await.map_err(|e| failed("write", name, e))?;
                Ok(())
            }
        }
    }

    /// Reads a file; `None` where there is none.
    pub async fn get(&self, name: &str) -> Result<Option<Bytes>> {
        match self {
            CheckpointStorage::Local { root, .. } => {
                let path = root.join(name);
                let shown = path.display().to_string();
                blocking(move || match fs::read(&path) {
                    Ok(b) => Ok(Some(Bytes::from(b))),
                    Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
                    Err(e) => Err(Error::from(e)),
                })
                .await
                .map_err(|e| e.with("file", shown))
            }
            CheckpointStorage::Object { store, prefix, .. } => match store.get(&join(prefix, name)).await {
                Ok(found) => Ok(Some(found.bytes().await.map_err(|e| failed("read", name, e))?)),
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(e) => Err(failed("read", name, e)),
            },
        }
    }

    /// Names of all files below a folder, sorted.
    pub async fn list(&self, folder: &str) -> Result<Vec<String>> {
        let mut names = match self {
            CheckpointStorage::Local { root, .. } => {
                let (root, folder) = (root.clone(), folder.to_string());
                blocking(move || {
                    let mut names = vec![];
                    list_local(&root, &root.join(folder), &mut names)?;
                    Ok(names)
                })
                .await?
            }
            CheckpointStorage::Object { store, prefix, .. } => {
                let skip = prefix.as_ref().len() + usize::from(!prefix.as_ref().is_empty());
                let found: Vec<_> = store
                    .list(Some(&join(prefix, folder)))
                    .try_collect()
                    .await
                    .map_err(|e| failed("list", folder, e))?;
                found.iter().filter_map(|m| m.location.as_ref().get(skip..).map(str::to_string)).collect()
            }
        };
        names.sort();
        Ok(names)
    }

    /// Names of the folders that lie in it, sorted. Of an object store: what stands between it and a `/`.
    pub async fn folders(&self) -> Result<Vec<String>> {
        let mut names = match self {
            CheckpointStorage::Local { root, .. } => {
                let root = root.clone();
                blocking(move || {
                    let mut names = vec![];
                    let entries = match fs::read_dir(&root) {
                        Err(e) if matches!(e.kind(), IoKind::NotFound | IoKind::NotADirectory) => return Ok(names),
                        entries => entries?,
                    };
                    for entry in entries {
                        let entry = entry?;
                        if entry.path().is_dir() {
                            names.extend(entry.file_name().into_string());
                        }
                    }
                    Ok(names)
                })
                .await?
            }
            CheckpointStorage::Object { store, prefix, .. } => {
                let found = store.list_with_delimiter(Some(prefix)).await.map_err(|e| failed("list", "", e))?;
                found.common_prefixes.iter().filter_map(|p| p.filename().map(str::to_string)).collect()
            }
        };
        names.sort();
        Ok(names)
    }

    /// Removes a file; a missing one is fine.
    pub async fn delete(&self, name: &str) -> Result<()> {
        match self {
            CheckpointStorage::Local { root, .. } => {
                let path = root.join(name);
                blocking(move || match fs::remove_file(&path) {
                    Ok(()) => {
                        // An empty folder is litter; one that is not empty stays.
                        if let Some(parent) = path.parent() {
                            drop(fs::remove_dir(parent));
                        }
                        Ok(())
                    }
                    Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
                    Err(e) => Err(Error::from(e)),
                })
                .await
                .map_err(|e| e.with("file", name))
            }
            CheckpointStorage::Object { store, prefix, .. } => match store.delete(&join(prefix, name)).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                Err(e) => Err(failed("delete", name, e)),
            },
        }
    }

    /// Removes folders with nothing in them for which `garbage` says so: a kill between making a folder and the file in
    /// it leaves them. Object stores have no folders.
    pub async fn remove_empty_folders(&self, garbage: impl Fn(&str) -> bool) -> Result<()> {
        let CheckpointStorage::Local { root, .. } = self else { return Ok(()) };
        let listed = root.clone();
        let folders = blocking(move || {
            let mut folders = vec![];
            for entry in fs::read_dir(&listed)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    folders.extend(entry.file_name().into_string());
                }
            }
            Ok(folders)
        })
        .await?;
        for folder in folders.into_iter().filter(|f| garbage(f)) {
            let path = root.join(folder);
            // One that is not empty stays.
            blocking(move || {
                drop(fs::remove_dir(path));
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// HEAD and its version.
    pub async fn read_head(&self) -> Result<Option<(Bytes, HeadVersion)>> {
        match self {
            CheckpointStorage::Local { .. } => {
                let found = self.get(HEAD).await?;
                Ok(found.map(|b| (b.clone(), HeadVersion::Bytes(b))))
            }
            CheckpointStorage::Object { store, prefix, .. } => match store.get(&join(prefix, HEAD)).await {
                Ok(found) if found.meta.size > MAX_HEAD_BYTES as u64 => {
                    Err(Error::user(format!("{} is not a HEAD record: it is too large", self.display())))
                }
                Ok(found) => {
                    let version = HeadVersion::Tag(found.meta.e_tag.clone(), found.meta.version.clone());
                    Ok(Some((found.bytes().await.map_err(|e| failed("read", HEAD, e))?, version)))
                }
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(e) => Err(failed("read", HEAD, e)),
            },
        }
    }

    /// Replaces HEAD if it still is what was read: the one point at which a checkpoint is decided.
    ///
    /// After a lost answer HEAD is read again and compared, so the result is never a guess.
    pub async fn swap_head(&self, expected: &HeadVersion, new: Bytes) -> Result<Swap> {
        match self {
            CheckpointStorage::Local { root, fail_points } => {
                let mut waited = Duration::ZERO;
                loop {
                    let (root, fail_points) = (root.clone(), fail_points.clone());
                    let (expected, new) = (expected.clone(), new.clone());
                    let head = root.join(HEAD).display().to_string();
                    let swap = blocking(move || swap_local(&root, &fail_points, &expected, &new)).await;
                    if let Some(swap) = swap.map_err(|e| e.with("file", head))? {
                        return Ok(swap);
                    }
                    if waited >= LOCK_PATIENCE {
                        return Err(Error::unavailable(format!("another process holds {}/HEAD.lock", self.display()))
                            .hint(
                                "A process that was stopped in the middle of a checkpoint keeps it: end that process",
                            ));
                    }
                    tokio::time::sleep(LOCK_PAUSE).await;
                    waited += LOCK_PAUSE;
                }
            }
            CheckpointStorage::Object { store, prefix, .. } => {
                self.swap_object(store, &join(prefix, HEAD), expected, new).await
            }
        }
    }

    /// Removes the half of a HEAD record that a kill in the middle of a swap has left, where no swap will replace it. Only
    /// who holds the lock writes one: where another process does, that one has already begun it anew.
    pub async fn remove_half_of_head(&self) -> Result<()> {
        let CheckpointStorage::Local { root, .. } = self else { return Ok(()) };
        let half = root.join(HEAD).with_extension("tmp");
        let lock = root.join(HEAD_LOCK);
        let shown = half.display().to_string();
        blocking(move || {
            if !half.exists() {
                return Ok(());
            }
            let Some(lock) = try_lock(&lock)? else { return Ok(()) };
            match fs::remove_file(&half) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Error::from(e)),
                _ => drop(lock),
            }
            Ok(())
        })
        .await
        .map_err(|e| e.with("file", shown))
    }

    async fn swap_object(
        &self,
        store: &Arc<dyn ObjectStore>,
        path: &Path,
        expected: &HeadVersion,
        new: Bytes,
    ) -> Result<Swap> {
        let mode = match expected {
            HeadVersion::Absent => PutMode::Create,
            HeadVersion::Tag(e_tag, version) => {
                PutMode::Update(UpdateVersion { e_tag: e_tag.clone(), version: version.clone() })
            }
            HeadVersion::Bytes(_) => return Err(Error::internal("a local HEAD version on an object store")),
        };
        let mut conflicts = 0;
        loop {
            let options = PutOptions { mode: mode.clone(), ..PutOptions::default() };
            let error = match store.put_opts(path, PutPayload::from_bytes(new.clone()), options).await {
                Ok(put) => return Ok(Swap::Done(HeadVersion::Tag(put.e_tag, put.version))),
                Err(error) => error,
            };
            let was_refused =
                matches!(error, object_store::Error::Precondition { .. } | object_store::Error::AlreadyExists { .. });
            // A put that failed may have been done (its answer was lost, a retry then saw its own work): look.
            match self.read_head().await {
                Ok(Some((bytes, version))) if bytes == new => return Ok(Swap::Done(version)),
                Ok(now) if now.as_ref().map_or(&HeadVersion::Absent, |(_, v)| v) != expected => return Ok(Swap::Lost),
                // Two that write at the same moment can both be refused: nobody has won.
                Ok(_) if was_refused && conflicts < CONFLICTS_MAX => {
                    conflicts += 1;
                    tokio::time::sleep(LOCK_PAUSE * conflicts).await;
                }
                // It may still be on its way: whoever comes next reads what is there and compares.
                _ => return Err(failed("write", HEAD, error)),
            }
        }
    }
}

fn join(prefix: &Path, name: &str) -> Path {
    Path::from(format!("{prefix}/{name}"))
}

fn failed(what: &str, name: &str, e: object_store::Error) -> Error {
    storage_error(format!("cannot {what} '{name}' in the checkpoint store"), e)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(e) => Err(Error::internal("a file task ended early").caused_by(e)),
    }
}

/// Writes to a temporary name, syncs, renames, syncs the folder.
fn write_durably(path: &FsPath, content: &[u8]) -> Result<()> {
    let folder = path.parent().ok_or_else(|| Error::internal("a file without a folder"))?;
    create_folder_durably(folder)?;
    let temporary = path.with_extension("tmp");
    let write = || {
        let mut file = private_file::create(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        drop(file);
        fs::rename(&temporary, path)
    };
    if let Err(e) = write() {
        // On a full disk a half would keep what space there is.
        drop(fs::remove_file(&temporary));
        return Err(e.into());
    }
    sync_folder(folder)
}

fn create_folder_durably(folder: &FsPath) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        create_folder_durably(parent)?;
    }
    match fs::create_dir(folder) {
        Ok(()) => {}
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists && folder.is_dir() => return Ok(()),
        Err(e) => {
            return Err(Error::from(e)
                .with("folder", folder.display())
                .hint("Choose another 'execution.checkpointing.dir'"));
        }
    }
    folder.parent().map_or(Ok(()), sync_folder)
}

fn sync_folder(folder: &FsPath) -> Result<()> {
    let folder = if folder.as_os_str().is_empty() { FsPath::new(".") } else { folder };
    fs::File::open(folder)?.sync_all()?;
    Ok(())
}

fn list_local(root: &FsPath, folder: &FsPath, names: &mut Vec<String>) -> Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e.into()),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            list_local(root, &entry.path(), names)?;
        } else if let Ok(name) = entry.path().strip_prefix(root) {
            names.push(name.to_string_lossy().replace('\\', "/"));
        }
    }
    Ok(())
}

/// The lock of HEAD; `None` while another process holds it. It is advisory and dies with its process, so that a killed
/// attempt leaves none behind.
fn try_lock(path: &FsPath) -> Result<Option<fs::File>> {
    let lock = private_file::open(path)?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(e)) => Err(e.into()),
    }
}

/// `None` while another process holds the lock.
fn swap_local(root: &FsPath, fail_points: &FailPoints, expected: &HeadVersion, new: &Bytes) -> Result<Option<Swap>> {
    create_folder_durably(root)?;
    let Some(lock) = try_lock(&root.join(HEAD_LOCK))? else { return Ok(None) };
    let path = root.join(HEAD);
    let now = match fs::read(&path) {
        Ok(b) => HeadVersion::Bytes(b.into()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => HeadVersion::Absent,
        Err(e) => return Err(e.into()),
    };
    if now != *expected {
        return Ok(Some(Swap::Lost));
    }
    if fail_points.would_stop(FailPoint::TornDecided) {
        private_file::create(&path.with_extension("tmp"))?.write_all(&new[..new.len() / 2])?;
        fail_points.stop();
    }
    write_durably(&path, new)?;
    drop(lock);
    Ok(Some(Swap::Done(HeadVersion::Bytes(new.clone()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
    }

    #[test]
    fn of_many_swaps_from_one_version_exactly_one_wins() {
        let folder = tempfile::tempdir().expect("a folder");
        runtime().block_on(async {
            let storage = CheckpointStorage::local(folder.path(), FailPoints::none());
            let mut tasks = vec![];
            for i in 0..12u8 {
                let storage = storage.clone();
                tasks.push(tokio::spawn(async move {
                    storage.swap_head(&HeadVersion::Absent, Bytes::from(vec![i])).await.expect("a swap")
                }));
            }
            let mut won = 0;
            for t in tasks {
                won += usize::from(matches!(t.await.expect("a task"), Swap::Done(_)));
            }
            assert_eq!(won, 1);
        });
    }

    #[test]
    fn a_swap_waits_for_the_lock_and_then_sees_what_its_holder_did() {
        let folder = tempfile::tempdir().expect("a folder");
        runtime().block_on(async {
            let storage = CheckpointStorage::local(folder.path(), FailPoints::none());
            let lock = fs::File::create(folder.path().join("HEAD.lock")).expect("a file");
            lock.lock().expect("locked");
            let other = storage.clone();
            let swap = tokio::spawn(async move { other.swap_head(&HeadVersion::Absent, Bytes::from("b")).await });
            tokio::time::sleep(LOCK_PAUSE * 10).await;
            assert!(!swap.is_finished(), "it has not waited");
            fs::write(folder.path().join(HEAD), "a").expect("written");
            drop(lock);
            assert_eq!(swap.await.expect("a task").expect("a swap"), Swap::Lost);
        });
    }

    #[test]
    fn half_a_record_goes_unless_somebody_is_writing_it() {
        let folder = tempfile::tempdir().expect("a folder");
        runtime().block_on(async {
            let storage = CheckpointStorage::local(folder.path(), FailPoints::none());
            storage.remove_half_of_head().await.expect("there is none");
            let half = folder.path().join("HEAD.tmp");
            fs::write(&half, "half").expect("written");
            let lock = fs::File::create(folder.path().join("HEAD.lock")).expect("a file");
            lock.lock().expect("locked");
            storage.remove_half_of_head().await.expect("left alone");
            assert!(half.exists(), "it is taken away from under a swap");
            drop(lock);
            storage.remove_half_of_head().await.expect("removed");
            assert!(!half.exists());
        });
    }

    #[test]
    fn a_memory_store_swaps_by_its_tags_too() {
        runtime().block_on(async {
            let storage = CheckpointStorage::Object {
                store: Arc::new(object_store::memory::InMemory::new()),
                prefix: Path::from("jobs/x"),
                display: "memory".into(),
            };
            let Swap::Done(first) = storage.swap_head(&HeadVersion::Absent, Bytes::from("a")).await.expect("swap")
            else {
                panic!("the first swap wins")
            };
            assert!(matches!(storage.swap_head(&first, Bytes::from("b")).await, Ok(Swap::Done(_))));
            assert_eq!(storage.swap_head(&first, Bytes::from("c")).await.expect("swap"), Swap::Lost);
            storage.put("state/1", Bytes::from("x")).await.expect("put");
            assert_eq!(storage.list("state").await.expect("list"), ["state/1"]);
        });
    }

    #[test]
    fn files_come_back_and_go_away() {
        let folder = tempfile::tempdir().expect("a folder");
        runtime().block_on(async {
            let storage = CheckpointStorage::local(folder.path(), FailPoints::none());
            storage.put("a/b.bin", Bytes::from("x")).await.expect("put");
            assert_eq!(storage.get("a/b.bin").await.expect("get"), Some(Bytes::from("x")));
            assert_eq!(storage.list("").await.expect("list"), ["a/b.bin"]);
            storage.delete("a/b.bin").await.expect("delete");
            storage.delete("a/b.bin").await.expect("twice");
            assert_eq!(storage.get("a/b.bin").await.expect("get"), None);
        });
    }
}
