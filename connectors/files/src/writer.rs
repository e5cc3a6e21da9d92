//! Writes staged files: invisible, complete and durable before a checkpoint can name them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use arrow_array::{RecordBatch, UInt32Array};
use arrow_row::{RowConverter, SortField};
use async_trait::async_trait;
use bytes::Bytes;
use flott_connector::format::Encoder;
use flott_connector::row_text::RowText;
use flott_connector::sink::{Committable, SinkWriter, WriterContext};
use flott_core::{ChangeBatch, CheckpointId, Error, Result, Watermark, id};
use futures::{StreamExt, TryStreamExt};
use object_store::buffered::BufWriter;
use tokio::io::AsyncWriteExt;

use crate::partition;
use crate::staging::{Progress, StagedFile, ToCommit, blocking, create_folders, sync_folder, writer_folder};
use crate::target::FileTarget;
use crate::upload::{Held, NOTE_SUFFIX, Upload};

/// Encoded bytes of a file that are collected before they are written.
const BUFFER_BYTES: usize = 512 << 10;
/// Bytes that all open files of a writer may hold in memory.
pub const BUFFERED_BYTES_MAX: usize = 128 << 20;
/// Open files of one writer; with more partitions the one that has waited longest is closed.
pub const OPEN_FILES_MAX: usize = 128;
/// Files made durable at a time.
const SYNCS: usize = 8;

enum Handle {
    /// `None` only while a thread writes to it.
    Local(Option<File>),
    /// A store whose uploads only their beginner can complete: a staged object.
    Object(Box<BufWriter>),
    Upload(Upload),
}

struct OpenFile {
    encoder: Box<dyn Encoder>,
    handle: Handle,
    buffer: Vec<u8>,
    hasher: crc32fast::Hasher,
    file: StagedFile,
    opened: Duration,
    written: Duration,
}

pub(crate) struct FileWriter {
    target: Arc<FileTarget>,
    context: WriterContext,
    /// Relative to the table's path.
    folder: String,
    /// Open files by partition folder.
    open: BTreeMap<String, OpenFile>,
    closed: Vec<StagedFile>,
    /// What was staged and no committable names yet: the open files, the closed ones, and those that are being closed.
    unprepared: BTreeSet<String>,
    /// Bytes of those that are held inline.
    inlined: AtomicUsize,
    /// The staging folder has entries that are not synced.
    unsynced: bool,
    /// In every file's name: no two writers, attempts or lineages share it.
    unique: String,
    next: u64,
    bytes: u64,
    watermark_ms: i64,
    last_check: Duration,
    rows: Option<RowConverter>,
}

impl FileWriter {
    /// Makes the staging folder at once, so that one that cannot be written to is known before the first row.
    pub(crate) fn new(target: Arc<FileTarget>, context: WriterContext) -> Result<FileWriter> {
        let folder = writer_folder(&context);
        if let Some(local) = target.local(&folder) {
            create_folders(&local).map_err(|e| target.io_error(e).with("folder", local.display()))?;
        }
        let last_check = target.clock.monotonic();
        Ok(FileWriter {
            target,
            context,
            folder,
            open: BTreeMap::new(),
            closed: vec![],
            unprepared: BTreeSet::new(),
            inlined: AtomicUsize::new(0),
            unsynced: false,
            unique: id::random_hex(),
            next: 0,
            bytes: 0,
            watermark_ms: i64::MIN,
            last_check,
            rows: None,
        })
    }

    async fn open_file(&mut self, partition: &str) -> Result<OpenFile> {
        if let Some(commit) = &self.target.partition_commit {
            commit.check(partition)?;
        }
        if self.open.len() >= OPEN_FILES_MAX
            && let Some(oldest) = self.open.iter().min_by_key(|(_, f)| f.written).map(|(p, _)| p.clone())
        {
            self.close_file(&oldest).await?;
        }
        let extension = self.target.encoders.file_extension();
        let dot = if extension.is_empty() { "" } else { "." };
        let name = format!("part-{}-{}-{}{dot}{extension}", self.unique, self.context.subtask.index, self.next);
        self.target.check_names(partition, &name)?;
        self.next += 1;
        let slash = if partition.is_empty() { "" } else { "/" };
        let multipart = self.target.location.multipart.clone();
        let suffix = if multipart.is_some() { NOTE_SUFFIX } else { "" };
        let file = StagedFile {
            staged: format!("{}/{name}{suffix}", self.folder),
            target: format!("{partition}{slash}{name}"),
            size: 0,
            crc32: 0,
            partition: partition.to_string(),
            held: Held::Staged,
        };
        let encoder = self.target.encoders.create()?;
        self.unprepared.insert(file.staged.clone());
        let handle = match self.target.local(&file.staged) {
            Some(path) => {
                let shown = path.display().to_string();
                let create = move || File::options().write(true).create_new(true).open(path);
                let created = blocking(create).await?;
                Handle::Local(Some(created.map_err(|e| self.target.io_error(e).with("file", shown))?))
            }
            None if let Some(multipart) = multipart => {
                Handle::Upload(Upload::new(multipart, &self.target, &file.target, &file.staged)?)
            }
            None => {
                let path = self.target.object(&file.staged)?;
                Handle::Object(Box::new(BufWriter::new(Arc::clone(&self.target.location.store), path)))
            }
        };
        self.unsynced = true;
        let now = self.target.clock.monotonic();
        let hasher = crc32fast::Hasher::new();
        Ok(OpenFile { encoder, handle, buffer: vec![], hasher, file, opened: now, written: now })
    }

    async fn close_file(&mut self, partition: &str) -> Result<()> {
        if let Some(file) = self.open.remove(partition) {
            let staged = file.finish(&self.target, &self.inlined).await?;
            self.bytes += staged.size;
            self.closed.push(staged);
        }
        Ok(())
    }

    async fn write_part(&mut self, partition: &str, rows: &ChangeBatch) -> Result<()> {
        if !self.open.contains_key(partition) {
            let file = self.open_file(partition).await?;
            self.open.insert(partition.to_string(), file);
        }
        let target = Arc::clone(&self.target);
        let Some(file) = self.open.get_mut(partition) else { return Ok(()) };
        file.encoder.encode(rows, &mut file.buffer)?;
        file.written = target.clock.monotonic();
        if file.buffer.len() >= BUFFER_BYTES {
            file.drain(&target).await?;
        }
        let size = file.file.size + (file.buffer.len() + file.encoder.buffered_bytes()) as u64;
        if target.rolling.is_full(size) {
            self.close_file(partition).await?;
        }
        Ok(())
    }

    /// Rows that wait in memory are written where there are too many of them.
    async fn relieve(&mut self) -> Result<()> {
        let held = |f: &OpenFile| f.buffer.len() + f.encoder.buffered_bytes() + f.handle.buffered_bytes();
        if self.open.values().map(held).sum::<usize>() <= BUFFERED_BYTES_MAX {
            return Ok(());
        }
        for file in self.open.values_mut() {
            file.drain(&self.target).await?;
        }
        while self.open.values().map(held).sum::<usize>() > BUFFERED_BYTES_MAX {
            let Some(largest) = self.open.iter().max_by_key(|(_, f)| held(f)).map(|(p, _)| p.clone()) else { break };
            self.close_file(&largest).await?;
        }
        Ok(())
    }

    async fn close_old_files(&mut self) -> Result<()> {
        let now = self.target.clock.monotonic();
        if now.saturating_sub(self.last_check) < self.target.rolling.check {
            return Ok(());
        }
        self.last_check = now;
        let rolling = &self.target.rolling;
        let old = self.open.iter().filter(|(_, f)| rolling.is_old(f.opened, f.written, now));
        let old: Vec<String> = old.map(|(p, _)| p.clone()).collect();
        for partition in old {
            self.close_file(&partition).await?;
        }
        Ok(())
    }

    /// The rows of each partition's folder, folders in the order in which they appear. A folder's name is made once for
    /// all rows with the same values.
    fn folders(&mut self, rows: &RecordBatch) -> Result<Vec<(String, Vec<u32>)>> {
        let indices: Vec<usize> = self.target.partition_columns.iter().map(|(_, i)| *i).collect();
        let keys = rows.project(&indices)?;
        let converter = match &mut self.rows {
            Some(converter) => converter,
            none => {
                let fields = keys.schema_ref().fields().iter().map(|f| SortField::new(f.data_type().clone()));
                none.insert(RowConverter::new(fields.collect())?)
            }
        };
        let encoded = converter.convert_columns(keys.columns())?;
        let mut groups: HashMap<&[u8], usize> = HashMap::new();
        let mut members: Vec<Vec<u32>> = vec![];
        for (i, key) in encoded.iter().enumerate() {
            let group = *groups.entry(key.data()).or_insert(members.len());
            if group == members.len() {
                members.push(vec![]);
            }
            members[group].push(i as u32);
        }
        let text = RowText::new(&keys)?;
        let mut folders: Vec<(String, Vec<u32>)> = vec![];
        let mut places: HashMap<String, usize> = HashMap::new();
        for rows in members {
            let Some(first) = rows.first().map(|r| *r as usize) else { continue };
            let mut folder = String::new();
            for (c, (name, _)) in self.target.partition_columns.iter().enumerate() {
                let mut value = String::new();
                let is_null = keys.column(c).is_null(first);
                if !is_null {
                    text.write_value(c, first, &mut value);
                }
                let value = (!is_null).then_some(value.as_str());
                partition::push_folder(name, value, &self.target.default_partition, &mut folder);
            }
            // NULL and the empty text share a folder.
            match places.get(&folder) {
                Some(i) => folders[*i].1.extend(rows),
                None => {
                    places.insert(folder.clone(), folders.len());
                    folders.push((folder, rows));
                }
            }
        }
        for (_, rows) in &mut folders {
            rows.sort_unstable();
        }
        Ok(folders)
    }
}

impl Handle {
    fn buffered_bytes(&self) -> usize {
        match self {
            Handle::Upload(upload) => upload.buffered_bytes(),
            Handle::Local(_) | Handle::Object(_) => 0,
        }
    }
}

impl OpenFile {
    /// Writes what is buffered.
    async fn drain(&mut self, target: &FileTarget) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.hasher.update(&self.buffer);
        self.file.size += self.buffer.len() as u64;
        match &mut self.handle {
            Handle::Local(slot) => {
                let buffer = std::mem::take(&mut self.buffer);
                let Some(mut file) = slot.take() else { return Err(Error::internal("a file is written to twice")) };
                let write = move || file.write_all(&buffer).map(|()| (file, buffer));
                let (file, mut buffer) = blocking(write).await?.map_err(|e| target.io_error(e))?;
                buffer.clear();
                self.buffer = buffer;
                *slot = Some(file);
            }
            Handle::Object(writer) => {
                let bytes = Bytes::from(std::mem::take(&mut self.buffer));
                writer.put(bytes).await.map_err(|e| target.object_error("write to", e))?;
            }
            Handle::Upload(upload) => {
                upload.write(&self.buffer, target).await?;
                self.buffer.clear();
            }
        }
        Ok(())
    }

    /// Complete and durable, except for its entry in the folder.
    async fn finish(mut self, target: &FileTarget, inlined: &AtomicUsize) -> Result<StagedFile> {
        self.encoder.finish(&mut self.buffer)?;
        self.drain(target).await?;
        match self.handle {
            Handle::Local(slot) => {
                let Some(file) = slot else { return Err(Error::internal("a file is closed twice")) };
                blocking(move || file.sync_all()).await?.map_err(|e| target.io_error(e))?;
            }
            Handle::Object(mut writer) => writer.shutdown().await.map_err(|e| target.io_error(e))?,
            Handle::Upload(mut upload) => self.file.held = upload.finish(target, inlined).await?,
        }
        self.file.crc32 = self.hasher.finalize();
        Ok(self.file)
    }

    /// Removes what nobody will ask for.
    async fn discard(self, target: &FileTarget) {
        match self.handle {
            Handle::Local(file) => {
                drop(file);
                if let Some(path) = target.local(&self.file.staged) {
                    // What stays is removed by the next attempt.
                    blocking(move || std::fs::remove_file(path)).await.ok();
                }
            }
            Handle::Object(mut writer) => {
                // Parts that stay are the bucket's to expire.
                writer.abort().await.ok();
            }
            Handle::Upload(upload) => upload.discard(target).await,
        }
    }
}

#[async_trait]
impl SinkWriter for FileWriter {
    async fn write(&mut self, batch: ChangeBatch) -> Result<()> {
        if batch.kinds.is_some() && self.target.only_inserts {
            return Err(Error::internal("a file of this format takes only inserts"));
        }
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.close_old_files().await?;
        if self.target.partition_columns.is_empty() {
            return self.write_part("", &batch).await;
        }
        for (folder, rows) in self.folders(&batch.rows)? {
            let part = batch.with_rows(batch.rows.project(&self.target.file_columns)?);
            let part = if rows.len() == batch.num_rows() { part } else { part.take(&UInt32Array::from(rows))? };
            self.write_part(&folder, &part).await?;
        }
        self.relieve().await
    }

    async fn write_watermark(&mut self, watermark: Watermark) -> Result<()> {
        self.watermark_ms = self.watermark_ms.max(watermark.0);
        Ok(())
    }

    async fn flush(&mut self, end_of_input: bool) -> Result<()> {
        if end_of_input {
            self.watermark_ms = i64::MAX;
        }
        let target = Arc::clone(&self.target);
        let files = std::mem::take(&mut self.open).into_values();
        let staged: Vec<StagedFile> = futures::stream::iter(files.map(|f| f.finish(&target, &self.inlined)))
            .buffered(SYNCS)
            .try_collect()
            .await?;
        self.bytes += staged.iter().map(|f| f.size).sum::<u64>();
        self.closed.extend(staged);
        if self.unsynced
            && let Some(folder) = self.target.local(&self.folder)
        {
            blocking(move || sync_folder(&folder)).await?.map_err(|e| self.target.io_error(e))?;
        }
        self.unsynced = false;
        Ok(())
    }

    async fn prepare_commit(&mut self, checkpoint: CheckpointId) -> Result<Vec<Committable>> {
        let mut committables = vec![];
        *self.inlined.get_mut() = 0;
        for file in std::mem::take(&mut self.closed) {
            let (id, staged) = (file.target.clone(), file.staged.clone());
            committables.push(ToCommit::File(file).encode(id)?);
            self.unprepared.remove(&staged);
        }
        if self.target.partition_commit.is_some() {
            let subtask = self.context.subtask.index;
            let progress = ToCommit::Progress(Progress { subtask, watermark_ms: self.watermark_ms });
            committables.push(progress.encode(format!("progress-{}-{subtask}-{checkpoint}", self.unique))?);
        }
        Ok(committables)
    }

    fn bytes_written(&self) -> u64 {
        self.bytes + self.open.values().map(|f| f.file.size).sum::<u64>()
    }

    async fn close(&mut self) -> Result<()> {
        for file in std::mem::take(&mut self.open).into_values() {
            file.discard(&self.target).await;
        }
        // No checkpoint names them either: full ones, and those whose flush was cut short. What stays is removed by the next
        // attempt.
        for file in std::mem::take(&mut self.closed) {
            self.unprepared.remove(&file.staged);
            self.target.discard(&file).await.ok();
        }
        for staged in std::mem::take(&mut self.unprepared) {
            let removed = match staged.ends_with(NOTE_SUFFIX) {
                true => self.target.abort_cut_short(&staged).await,
                false => self.target.remove(&staged).await,
            };
            removed.ok();
        }
        Ok(())
    }
}
