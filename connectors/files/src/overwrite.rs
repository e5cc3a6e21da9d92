//! INSERT OVERWRITE: what a job has written takes the place of what was there, once all of it is written.
//!
//! Only bounded jobs overwrite. A checkpoint on the way shows nothing: its files stay staged, and a list of them is stored
//! beside them (one for each checkpoint, so that it can be written again). At the end, when the last checkpoint is
//! decided, everything is done that can be done again: the old files of each partition that gets new ones (of a table
//! without partitions all files) are removed; a marker says so, for a second try must not take the new files for old
//! ones; then the new files are shown. The marker stays: it is an empty file in a hidden folder, and a job that is killed
//! between its last file and the word "finished" reads it.
//!
//! Nothing fences a removal. So an attempt that sleeps at its end and wakes when another job has filled the table must find
//! a marker: a fresh start leaves one for the lineage that it replaces, before it shows anything. And the old files are
//! listed before the marker is looked for: what is shown behind it is not on the list.

use std::collections::BTreeSet;
use std::sync::Arc;

use flott_connector::sink::CommitterContext;
use flott_core::{CheckpointId, Result};

use crate::listing::{self, FileEntry, Selection, object_path};
use crate::side_file::SideFile;
use crate::staging::{StagedFile, blocking, overwrite_folder};
use crate::target::FileTarget;

/// Says that the old files are removed.
const MARKER: &str = "removed";

pub(crate) struct Overwrite {
    target: Arc<FileTarget>,
    /// Of this lineage; those of replaced ones are only removed.
    folder: String,
    replaced: Vec<String>,
}

impl Overwrite {
    pub(crate) fn new(target: Arc<FileTarget>, c: &CommitterContext) -> Overwrite {
        let folder = |lineage: &String| overwrite_folder(lineage, &c.operator_uid);
        Overwrite { target, folder: folder(&c.lineage), replaced: c.replaced_lineages.iter().map(folder).collect() }
    }

    /// The files of a checkpoint, to be shown at the end.
    pub(crate) async fn hold(&self, checkpoint: CheckpointId, files: &[StagedFile]) -> Result<()> {
        if files.is_empty() {
            return Ok(());
        }
        SideFile::OVERWRITE.put(&self.target, &format!("{}/{}.json", self.folder, checkpoint.0), &files).await
    }

    /// All files that are held.
    pub(crate) async fn held(&self) -> Result<Vec<StagedFile>> {
        let mut files = vec![];
        for name in self.target.names(&self.folder).await? {
            let is_list = name.strip_suffix(".json").is_some_and(|n| n.parse::<u64>().is_ok());
            let path = format!("{}/{name}", self.folder);
            if is_list && let Some(list) = SideFile::OVERWRITE.get::<Vec<StagedFile>>(&self.target, &path).await? {
                list.iter().try_for_each(StagedFile::check_places)?;
                files.extend(list);
            }
        }
        Ok(files)
    }

    /// Removes what the files will replace, once in the lineage's life, and not once another one has begun.
    pub(crate) async fn remove_old(&self, files: &[StagedFile]) -> Result<()> {
        let partitions: BTreeSet<&str> = files.iter().map(|f| f.partition.as_str()).collect();
        let is_partitioned = !self.target.partition_columns.is_empty();
        let keys = self.target.partition_columns.iter().map(|(name, _)| name.clone()).collect();
        let selection = Selection { keys, ..Selection::default() };
        let there = listing::list(&self.target.location, Arc::new(selection), true).await?;
        let marker = format!("{}/{MARKER}", self.folder);
        if self.target.get(&marker).await?.is_some() {
            return Ok(());
        }
        for file in there {
            let relative = self.relative(&file);
            let replaced = |p: &&str| relative.strip_prefix(p).is_some_and(|rest| rest.starts_with('/'));
            if !is_partitioned || partitions.iter().any(replaced) {
                self.remove(&file).await?;
            }
        }
        self.target.put(&marker, vec![]).await
    }

    /// A path below the table's.
    fn relative<'a>(&self, file: &'a FileEntry) -> &'a str {
        let root = match &self.target.location.local {
            Some(local) => local.to_string_lossy().into_owned(),
            None => format!("/{}", self.target.location.path),
        };
        file.path.strip_prefix(root.trim_end_matches('/')).unwrap_or(&file.path).trim_start_matches('/')
    }

    async fn remove(&self, file: &FileEntry) -> Result<()> {
        if self.target.location.local.is_none() {
            return self.target.remove_object(&object_path(&file.path)?).await;
        }
        let path = file.path.clone();
        match blocking(move || std::fs::remove_file(path)).await? {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(self.target.io_error(e)),
            _ => Ok(()),
        }
    }

    /// The lists are done with; the marker stays.
    pub(crate) async fn remove_lists(&self) -> Result<()> {
        for name in self.target.names(&self.folder).await?.into_iter().filter(|n| n != MARKER) {
            self.target.remove(&format!("{}/{name}", self.folder)).await?;
        }
        Ok(())
    }

    /// The same by a job that does not overwrite, of a lineage that did.
    pub(crate) async fn end_replaced(&self) -> Result<()> {
        match self.replaced.first() {
            Some(last) if !self.target.names(last).await?.is_empty() => self.end_for_good(last).await,
            _ => Ok(()),
        }
    }

    async fn end_for_good(&self, folder: &str) -> Result<()> {
        self.target.put(&format!("{folder}/{MARKER}"), vec![]).await?;
        for name in self.target.names(folder).await?.into_iter().filter(|n| n != MARKER) {
            self.target.remove(&format!("{folder}/{name}")).await?;
        }
        Ok(())
    }

    /// What lineages that a fresh start has replaced have left. The last one gets a marker, as one of its attempts may only
    /// sleep.
    pub(crate) async fn remove_replaced(&self) -> Result<()> {
        let Some((last, older)) = self.replaced.split_first() else { return Ok(()) };
        self.end_for_good(last).await?;
        for folder in older {
            for name in self.target.names(folder).await? {
                self.target.remove(&format!("{folder}/{name}")).await?;
            }
            if let Some(local) = self.target.local(folder) {
                // One that is not empty belongs to somebody.
                blocking(move || std::fs::remove_dir(local)).await?.ok();
            }
        }
        Ok(())
    }
}
