//! Shows staged files: by rename on a local disk; in an object store by completing the file's upload or, of a small file,
//! by putting it; by copy in one whose uploads cannot be completed by others. All of it can be done again.
//!
//! A file's final name holds 128 random bits of its writer, so nobody else makes it; what stands there already is either
//! ours (same size and checksum: a commit that died before it was recorded) or has been put there by somebody, which is
//! an error and never overwritten. Rename, and not a link, because not all disks have links.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flott_connector::sink::{CommitOutcome, Committable, Committer, CommitterContext};
use flott_core::{DecidedCheckpoint, Error, ErrorKind, FailPoint, Result};
use futures::{StreamExt, TryStreamExt};
use object_store::multipart::PartId;
use object_store::{Error as E, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions};

use crate::open_partitions::OpenPartitions;
use crate::overwrite::Overwrite;
use crate::staging::{
    STAGING_FOLDER, StagedFile, ToCommit, blocking, checksum, create_folders, lineage_folder, operator_folder,
    sync_folder,
};
use crate::target::FileTarget;
use crate::upload::{Held, NOTE_SUFFIX};

/// Between two tries to show a file of an overwrite.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Objects copied at a time.
const COPIES: usize = 16;

pub(crate) struct FileCommitter {
    target: Arc<FileTarget>,
    context: CommitterContext,
    open_partitions: OpenPartitions,
    overwrite: Option<Overwrite>,
    /// Partitions of files shown in calls of this checkpoint so far: one that is tried again brings only the rest.
    touched: BTreeSet<String>,
    watermarks: BTreeMap<usize, i64>,
}

impl FileCommitter {
    pub(crate) fn new(target: Arc<FileTarget>, context: CommitterContext) -> FileCommitter {
        let open_partitions = OpenPartitions::new(Arc::clone(&target), &context);
        let overwrite = target.overwrite.then(|| Overwrite::new(Arc::clone(&target), &context));
        FileCommitter {
            target,
            context,
            open_partitions,
            overwrite,
            touched: BTreeSet::new(),
            watermarks: BTreeMap::new(),
        }
    }

    /// Puts the files that are held in the place of the old ones.
    async fn replace_old(&mut self) -> Result<()> {
        let Some(overwrite) = &self.overwrite else { return Ok(()) };
        let held = overwrite.held().await?;
        self.target.fail_points.hit(FailPoint::MidCommit);
        overwrite.remove_old(&held).await?;
        for file in &held {
            loop {
                match self.show(file).await? {
                    CommitOutcome::Committed | CommitOutcome::AlreadyCommitted => break,
                    CommitOutcome::RetryLater { reason } => {
                        tracing::warn!(reason, path = self.target.location.display, "a file has to be shown again");
                        tokio::time::sleep(RETRY_PAUSE).await;
                    }
                    // A bounded job has nothing but its output that would be lost with a fresh start.
                    CommitOutcome::Failed { reason } => {
                        return Err(Error::data(reason)
                            .with("path", &self.target.location.display)
                            .hint("Start over with --fresh: the table is written anew"));
                    }
                }
            }
        }
        let partitions: BTreeSet<String> = held.into_iter().map(|f| f.partition).collect();
        self.sync_folders(&partitions).await?;
        overwrite.remove_lists().await?;
        self.touched.extend(partitions);
        Ok(())
    }

    async fn show(&self, file: &StagedFile) -> Result<CommitOutcome> {
        let target = &self.target;
        let shown = match (target.local(&file.staged), target.local(&file.target)) {
            (Some(from), Some(to)) => {
                let (file, check) = (file.clone(), self.is_of_earlier_attempt(file));
                tokio::task::spawn_blocking(move || rename(&from, &to, &file, check))
                    .await
                    .map_err(crate::listing::ended)?
            }
            _ => self.make_visible(file).await,
        };
        match shown {
            // Of the file, and not of the store: another try would come to the same.
            Err(e) if e.kind() == ErrorKind::Data => Ok(CommitOutcome::Failed { reason: e.to_string() }),
            // What an object store says of such a key is no more than that the request is wrong.
            Err(e) if e.kind() == ErrorKind::User && target.has_long_key(&file.target) => {
                Ok(CommitOutcome::Failed { reason: e.hint("Keys of objects have at most 1024 bytes").to_string() })
            }
            shown => shown.map_err(|e| e.with("path", &target.location.display)),
        }
    }

    /// Staged by an attempt that is over: the file has lain there, maybe through a crash of the machine.
    fn is_of_earlier_attempt(&self, file: &StagedFile) -> bool {
        let generation = file.staged.split('/').nth(2).and_then(|n| n.parse().ok());
        generation != Some(self.context.generation.0)
    }

    /// What is staged is removed last, so that whoever dies in between can do it again. An answer that was lost is found
    /// out by looking at the object, at once or the next time.
    async fn make_visible(&self, file: &StagedFile) -> Result<CommitOutcome> {
        let to = self.target.object(&file.target)?;
        let store = &self.target.location.store;
        let outcome = match store.head(&to).await {
            Ok(meta) => {
                let crc32 = match self.object_checksum(&to).await {
                    Ok(crc32) => crc32,
                    // It was there a moment ago: the next try looks again.
                    Err(E::NotFound { .. }) => {
                        return Ok(CommitOutcome::RetryLater { reason: "the file has gone meanwhile".into() });
                    }
                    Err(e) => return self.retry_or_fail(e),
                };
                if meta.size != file.size || crc32 != file.crc32 {
                    return Err(different(file));
                }
                CommitOutcome::AlreadyCommitted
            }
            Err(E::NotFound { .. }) => match self.create(file, &to).await? {
                Ok(()) => CommitOutcome::Committed,
                Err(e @ E::NotFound { .. }) if matches!(file.held, Held::Inline(_)) => {
                    return Err(self.target.object_error("commit files to", e));
                }
                // The store's client has tried again, and what its first try has done is there.
                Err(E::NotFound { .. } | E::AlreadyExists { .. }) => match store.head(&to).await {
                    Ok(_) => return Ok(CommitOutcome::RetryLater { reason: "its answer was lost".into() }),
                    Err(E::NotFound { .. }) => return Err(gone(file)),
                    Err(e) => return self.retry_or_fail(e),
                },
                Err(e) => return self.retry_or_fail(e),
            },
            Err(e) => return self.retry_or_fail(e),
        };
        if matches!(file.held, Held::Inline(_)) {
            return Ok(outcome);
        }
        match store.delete(&self.target.object(&file.staged)?).await {
            Ok(()) | Err(E::NotFound { .. }) => Ok(outcome),
            Err(e) => self.retry_or_fail(e),
        }
    }

    /// Makes the object of a file that is not there.
    async fn create(&self, file: &StagedFile, to: &object_store::path::Path) -> Result<object_store::Result<()>> {
        let location = &self.target.location;
        Ok(match &file.held {
            Held::Staged => location.store.copy(&self.target.object(&file.staged)?, to).await,
            Held::Inline(content) => {
                let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
                location.store.put_opts(to, Held::decode(content)?.into(), options).await.map(drop)
            }
            Held::Upload { id, parts } => {
                let Some(multipart) = &location.multipart else {
                    return Err(Error::user("this store cannot complete uploads that were begun in it")
                        .hint("Restore with the store that the job has written to"));
                };
                let parts = parts.iter().map(|p| PartId { content_id: p.clone() }).collect();
                multipart.0.complete_multipart(to, id, parts).await.map(drop)
            }
        })
    }

    /// A store that is away comes back; what it refuses it goes on refusing. The reason goes to the log: without the
    /// store's own answer, which may hold what nobody is to read.
    fn retry_or_fail(&self, e: object_store::Error) -> Result<CommitOutcome> {
        let error = self.target.object_error("commit files to", e);
        match error.kind() {
            ErrorKind::Unavailable => Ok(CommitOutcome::RetryLater { reason: error.to_string() }),
            _ => Err(error),
        }
    }

    async fn object_checksum(&self, path: &object_store::path::Path) -> object_store::Result<u32> {
        let mut hasher = crc32fast::Hasher::new();
        let mut content = self.target.location.store.get(path).await?.into_stream();
        while let Some(bytes) = content.next().await {
            hasher.update(&bytes?);
        }
        Ok(hasher.finalize())
    }

    /// Files have their names for good once the folders are synced, those above new ones too.
    async fn sync_folders(&self, partitions: &BTreeSet<String>) -> Result<()> {
        let Some(root) = self.target.location.local.clone() else { return Ok(()) };
        let mut folders: BTreeSet<PathBuf> = BTreeSet::new();
        for partition in partitions {
            let folder = if partition.is_empty() { root.clone() } else { root.join(partition) };
            folders.extend(folder.ancestors().take_while(|a| a.starts_with(&root)).map(Path::to_path_buf));
        }
        let sync = move || folders.iter().try_for_each(|f| sync_folder(f));
        blocking(sync).await?.map_err(|e| self.target.io_error(e))
    }

    /// Reports the partitions that are complete; all of them at the end.
    async fn report_partitions(&mut self, at_end: bool) -> Result<()> {
        let Some(commit) = &self.target.partition_commit else { return Ok(()) };
        let before = self.open_partitions.load().await?;
        let mut pending = before.pending.clone();
        let now_ms = self.target.clock.now_ms();
        for partition in &self.touched {
            pending.0.entry(partition.clone()).or_insert(now_ms);
        }
        // A writer that has ended no longer says where it is, and holds nobody.
        let watermark_ms = self.watermarks.values().copied().min().unwrap_or(i64::MIN);
        let complete = if at_end {
            std::mem::take(&mut pending.0).into_keys().collect()
        } else {
            commit.complete(&mut pending, watermark_ms, now_ms)?
        };
        for partition in complete {
            self.target.put(&format!("{partition}/{}", commit.success_file), vec![]).await?;
        }
        if at_end {
            self.open_partitions.remove_all().await?;
        } else if !before.is_own || pending != before.pending {
            self.open_partitions.store(&pending).await?;
        }
        self.touched.clear();
        self.watermarks.clear();
        Ok(())
    }

    /// This lineage, and those that a fresh start of the job has replaced.
    fn lineages(&self) -> impl Iterator<Item = &String> {
        [&self.context.lineage].into_iter().chain(&self.context.replaced_lineages)
    }

    /// What attempts before `end` of this job and operator have staged, but for these names. Generations go on over a fresh
    /// start, so that an older number is an older attempt in every lineage.
    async fn remove_files_before(&self, end: u64, keep: HashSet<String>) -> Result<()> {
        let keep = Arc::new(keep);
        for lineage in self.lineages() {
            let folder = lineage_folder(lineage);
            match self.target.local(&folder) {
                Some(folder) => {
                    let (operator, keep) = (self.context.operator_uid.clone(), Arc::clone(&keep));
                    let clean = move || clean_up_local(&folder, end, &operator, &keep);
                    blocking(clean).await?.map_err(|e| self.target.io_error(e))?;
                }
                None => self.clean_up_objects(&folder, end, &keep).await?,
            }
        }
        Ok(())
    }

    /// Objects of attempts before `end`.
    async fn clean_up_objects(&self, folder: &str, end: u64, keep: &HashSet<String>) -> Result<()> {
        let prefix = self.target.object(folder)?;
        let depth = prefix.parts().count();
        let store = &self.target.location.store;
        let staged: Vec<ObjectMeta> = store
            .list(Some(&prefix))
            .try_collect()
            .await
            .map_err(|e| self.target.object_error("look for staged files in", e))?;
        for file in staged {
            let parts: Vec<String> = file.location.parts().skip(depth).map(|p| p.as_ref().to_string()).collect();
            let [generation, operator, .., name] = parts.as_slice() else { continue };
            let dead = generation.parse().is_ok_and(|g: u64| g < end);
            let ours = operator_folder(0, &self.context.operator_uid) == format!("0/{operator}");
            let file_name = name.strip_suffix(NOTE_SUFFIX).unwrap_or(name);
            if !dead || !ours || keep.contains(file_name) || keep.contains(name) {
                continue;
            }
            if file_name == name {
                self.target.remove_object(&file.location).await?;
            } else {
                let note = format!("{folder}/{}", parts.join("/"));
                self.target.abort_noted(&note).await?;
            }
        }
        Ok(())
    }

    /// Removes staging folders that are empty; one that is not empty belongs to somebody.
    async fn remove_empty_folders(&self, up_to: u64) -> Result<()> {
        let Some(root) = self.target.location.local.clone() else { return Ok(()) };
        let lineages: Vec<PathBuf> = self.lineages().map(|lineage| root.join(lineage_folder(lineage))).collect();
        let operator_uid = self.context.operator_uid.clone();
        let removed = tokio::task::spawn_blocking(move || {
            for lineage in &lineages {
                for generation in generations(lineage, up_to) {
                    let operator = lineage.join(operator_folder(generation, &operator_uid));
                    for subtask in std::fs::read_dir(&operator).into_iter().flatten().flatten() {
                        std::fs::remove_dir(subtask.path()).ok();
                    }
                    std::fs::remove_dir(&operator).ok();
                    std::fs::remove_dir(lineage.join(generation.to_string())).ok();
                }
                std::fs::remove_dir(lineage).ok();
            }
            std::fs::remove_dir(root.join(STAGING_FOLDER)).ok();
        });
        removed.await.map_err(crate::listing::ended)
    }
}

/// The attempts that have staged something, up to this one.
fn generations(lineage: &Path, up_to: u64) -> Vec<u64> {
    let entries = std::fs::read_dir(lineage).into_iter().flatten().flatten();
    entries.filter_map(|e| e.file_name().to_str()?.parse().ok()).filter(|g| *g <= up_to).collect()
}

/// Local files of attempts before `end`.
fn clean_up_local(lineage: &Path, end: u64, operator: &str, keep: &HashSet<String>) -> std::io::Result<()> {
    let entries = |folder: &Path| match std::fs::read_dir(folder) {
        Ok(entries) => entries.collect::<std::io::Result<Vec<_>>>(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(vec![]),
        Err(e) => Err(e),
    };
    for dead in generations(lineage, end.saturating_sub(1)) {
        for subtask in entries(&lineage.join(operator_folder(dead, operator)))? {
            for file in entries(&subtask.path())? {
                if !keep.contains(file.file_name().to_string_lossy().as_ref()) {
                    match std::fs::remove_file(file.path()) {
                        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
                        _ => {}
                    }
                }
            }
        }
    }
    Ok(())
}

/// Blocks. With `check` the content is read and compared before it is shown.
fn rename(from: &Path, to: &Path, file: &StagedFile, check: bool) -> Result<CommitOutcome> {
    let fail = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::InvalidFilename => Error::data("a name in the file's path is too long for its disk")
            .with("file", to.display())
            .hint("The partition's value is a part of the path"),
        std::io::ErrorKind::CrossesDevices => {
            Error::data("the file's folder is on another disk than the table's folder")
                .with("file", to.display())
                .hint("Files are renamed when they are committed: keep all partitions of a table on one disk")
        }
        _ => Error::from(e).with("file", to.display()),
    };
    match std::fs::symlink_metadata(to) {
        Ok(meta) => {
            if !meta.is_file() || meta.len() != file.size || checksum(to).map_err(fail)? != (file.size, file.crc32) {
                return Err(different(file));
            }
            return match std::fs::remove_file(from) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(fail(e)),
                _ => Ok(CommitOutcome::AlreadyCommitted),
            };
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(fail(e)),
    }
    match std::fs::metadata(from) {
        Ok(meta) if meta.len() != file.size => {
            return Err(damaged(from, file, &format!("has {} bytes and was written with {}", meta.len(), file.size)));
        }
        Ok(_) if check && checksum(from).map_err(fail)? != (file.size, file.crc32) => {
            return Err(damaged(from, file, "has another checksum than it was written with"));
        }
        Ok(_) => {}
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(gone(file)),
        Err(e) => return Err(fail(e)),
    }
    if let Some(parent) = to.parent() {
        create_folders(parent).map_err(fail)?;
    }
    std::fs::rename(from, to).map_err(fail)?;
    Ok(CommitOutcome::Committed)
}

fn gone(file: &StagedFile) -> Error {
    Error::data(format!("the staged file of '{}' is gone, and the file itself is not there", file.target)).hint(
        "Something outside has removed it (a bucket's rule that aborts old uploads, for one), and its rows with it. \
             Put it back",
    )
}

fn damaged(staged: &Path, file: &StagedFile, why: &str) -> Error {
    Error::data(format!("the staged file of '{}' {why}", file.target))
        .with("file", staged.display())
        .hint("Something outside has changed it, or the disk has lost data: its rows cannot be committed")
}

fn different(file: &StagedFile) -> Error {
    Error::data(format!("'{}' is there with another content than it should have", file.target)).hint(
        "Something outside has written it; files of a sink must not be changed while its job can be restored. Move the \
         file away and restore again",
    )
}

#[async_trait]
impl Committer for FileCommitter {
    async fn commit(
        &mut self,
        checkpoint: &DecidedCheckpoint,
        committables: &[Committable],
    ) -> Result<Vec<CommitOutcome>> {
        let items = committables.iter().map(ToCommit::decode).collect::<Result<Vec<_>>>()?;
        if let Some(overwrite) = &self.overwrite {
            let files = items.into_iter().filter_map(|item| match item {
                ToCommit::File(file) => Some(file),
                ToCommit::Progress(_) => None,
            });
            overwrite.hold(checkpoint.id(), &files.collect::<Vec<_>>()).await?;
            return Ok(vec![CommitOutcome::Committed; committables.len()]);
        }
        let mut outcomes: Vec<Option<CommitOutcome>> = vec![None; items.len()];
        let mut files: Vec<(usize, StagedFile)> = vec![];
        for (i, item) in items.iter().enumerate() {
            if let ToCommit::File(file) = item {
                files.push((i, file.clone()));
            }
        }
        let mut files = files.into_iter();
        if let Some((i, file)) = files.next() {
            outcomes[i] = Some(self.show(&file).await?);
            if items.len() > 1 {
                self.target.fail_points.hit(FailPoint::MidCommit);
            }
        }
        let at_once = if self.target.location.local.is_some() { 1 } else { COPIES };
        let this = &*self;
        let rest: Vec<(usize, CommitOutcome)> =
            futures::stream::iter(files.map(|(i, file)| async move { Ok::<_, Error>((i, this.show(&file).await?)) }))
                .buffered(at_once)
                .try_collect()
                .await?;
        for (i, outcome) in rest {
            outcomes[i] = Some(outcome);
        }
        let mut shown = BTreeSet::new();
        let mut reason = None;
        for (item, outcome) in items.iter().zip(&outcomes) {
            match (item, outcome) {
                (ToCommit::File(_), Some(CommitOutcome::RetryLater { reason: why })) => reason = Some(why.clone()),
                (ToCommit::File(_), Some(CommitOutcome::Failed { .. })) => {}
                (ToCommit::File(file), _) => drop(shown.insert(file.partition.clone())),
                (ToCommit::Progress(p), _) => {
                    let at = self.watermarks.entry(p.subtask).or_insert(p.watermark_ms);
                    *at = p.watermark_ms.max(*at);
                }
            }
        }
        self.sync_folders(&shown).await?;
        self.touched.extend(shown);
        // A partition is not complete before its files are there. Of files that can never be there the next commit reports, of
        // whoever has put them back or given them up.
        let is_refused = outcomes.iter().any(|o| matches!(o, Some(CommitOutcome::Failed { .. })));
        let progress = match reason {
            Some(reason) => CommitOutcome::RetryLater { reason },
            None if is_refused => CommitOutcome::Committed,
            None => {
                self.report_partitions(false).await?;
                CommitOutcome::Committed
            }
        };
        Ok(outcomes.into_iter().map(|o| o.unwrap_or_else(|| progress.clone())).collect())
    }

    async fn abort(&mut self, committables: &[Committable]) -> Result<()> {
        for committable in committables {
            if let ToCommit::File(file) = ToCommit::decode(committable)? {
                self.target.discard(&file).await?;
            }
        }
        self.remove_empty_folders(self.context.generation.0).await
    }

    /// Files and lists of dead attempts of this lineage and operator, and folders that are empty now.
    async fn clean_up(&mut self, keep: &[String]) -> Result<()> {
        // A committable's id is its final place; the staged file has the same name.
        let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_string();
        let mut keep: HashSet<String> = keep.iter().map(|id| name(id)).collect();
        if let Some(overwrite) = &self.overwrite {
            keep.extend(overwrite.held().await?.iter().map(|f| name(&f.target)));
            overwrite.remove_replaced().await?;
        } else {
            Overwrite::new(Arc::clone(&self.target), &self.context).end_replaced().await?;
        }
        self.remove_files_before(self.context.generation.0, keep).await?;
        if self.target.partition_commit.is_some() {
            self.open_partitions.take_over().await?;
        }
        self.remove_empty_folders(self.context.generation.0.saturating_sub(1)).await
    }

    async fn sweep(&mut self) -> Result<()> {
        let own = self.context.generation.0;
        self.remove_files_before(own.saturating_add(1), HashSet::new()).await?;
        self.remove_empty_folders(own).await
    }

    async fn finish(&mut self, _checkpoint: &DecidedCheckpoint) -> Result<()> {
        self.replace_old().await?;
        self.report_partitions(true).await?;
        // An attempt that was replaced goes on staging until it notices, so that there may be more than at the start.
        if let Err(error) = self.remove_files_before(self.context.generation.0, HashSet::new()).await {
            // All rows are shown: hidden files that stay are no reason to fail.
            tracing::warn!(%error, path = self.target.location.display, "files of older attempts cannot be removed");
        }
        self.remove_empty_folders(self.context.generation.0).await
    }
}
