//! Writes staged files: invisible, complete and synced before a checkpoint can name them.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{Array, UInt32Array};
use async_trait::async_trait;
use flott_connector::Versioned;
use flott_connector::format::Encoder;
use flott_connector::sink::{Committable, SinkWriter, WriterContext};
use flott_connector::storage::storage_error;
use flott_core::{ChangeBatch, CheckpointId, Error, Result, id};
use object_store::buffered::BufWriter;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;

use crate::factory::FileTarget;
use crate::listing::STAGING;
use crate::partition;

/// Version of a committable's layout.
pub(crate) const COMMITTABLE_VERSION: u32 = 1;
/// Encoded bytes that are collected before they are written.
const BUFFER_BYTES: usize = 1 << 20;
/// Open files of one writer.
const MAX_OPEN_FILES: usize = 1_000;

/// A file to be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StagedFile {
    /// Where it lies, relative to the table's path.
    pub(crate) staged: String,
    /// Where it belongs, relative to the table's path.
    pub(crate) target: String,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// Its partition's folder, empty without partitions.
    pub(crate) partition: String,
}

enum Handle {
    Local { file: tokio::fs::File, path: PathBuf },
    Object(Box<BufWriter>),
}

struct OpenFile {
    encoder: Box<dyn Encoder>,
    handle: Handle,
    buffer: Vec<u8>,
    staged: StagedFile,
    opened: Duration,
}

pub(crate) struct FileWriter {
    target: Arc<FileTarget>,
    context: WriterContext,
    /// Open files by partition folder.
    open: BTreeMap<String, OpenFile>,
    closed: Vec<StagedFile>,
    /// In every file's name: no two writers, attempts or lineages share it.
    unique: String,
    next: u64,
    written: u64,
}

impl FileWriter {
    pub(crate) fn new(target: Arc<FileTarget>, context: WriterContext) -> FileWriter {
        let unique = id::random_hex();
        FileWriter { target, context, open: BTreeMap::new(), closed: vec![], unique, next: 0, written: 0 }
    }

    async fn open_file(&mut self, partition: &str) -> Result<OpenFile> {
        if self.open.len() >= MAX_OPEN_FILES {
            return Err(Error::user(format!("more than {MAX_OPEN_FILES} partitions are being written at once"))
                .hint("Partition by something with fewer values"));
        }
        let c = &self.context;
        let extension = self.target.encoders.file_extension();
        let name = format!("part-{}-{}-{}.{extension}", self.unique, c.subtask.index, self.next);
        self.next += 1;
        let folder = if partition.is_empty() { String::new() } else { format!("{partition}/") };
        let staged = StagedFile {
            staged: format!("{}/{name}", staging_folder(&c.lineage, &c.operator_uid, c.generation.0)),
            target: format!("{folder}{name}"),
            size: 0,
            partition: partition.to_string(),
        };
        let handle = match &self.target.location.local {
            Some(root) => {
                let path = root.join(&staged.staged);
                let make = async {
                    if let Some(parent) = path.parent() {
                        tokio::fs::create_dir_all(parent).await?;
                    }
                    tokio::fs::File::create(&path).await
                };
                let file = make.await.map_err(|e| {
                    Error::from(e).with("path", &self.target.location.display).with("file", path.display())
                })?;
                Handle::Local { file, path }
            }
            None => {
                let path = self.target.object(&staged.staged);
                Handle::Object(Box::new(BufWriter::new(Arc::clone(&self.target.location.store), path)))
            }
        };
        let encoder = self.target.encoders.create()?;
        Ok(OpenFile { encoder, handle, buffer: Vec::with_capacity(BUFFER_BYTES), staged, opened: self.target.clock.monotonic() })
    }

    async fn write_part(&mut self, partition: String, rows: &ChangeBatch) -> Result<()> {
        let mut file = match self.open.remove(&partition) {
            Some(file) => file,
            None => self.open_file(&partition).await?,
        };
        file.encoder.encode(rows, &mut file.buffer)?;
        if file.buffer.len() >= BUFFER_BYTES {
            file.drain(&self.target).await?;
        }
        let size = file.staged.size + file.buffer.len() as u64 + file.encoder.buffered_bytes() as u64;
        let age = self.target.clock.monotonic().saturating_sub(file.opened);
        if size >= self.target.roll_bytes || age >= self.target.roll_age {
            let staged = file.finish(&self.target).await?;
            self.written += staged.size;
            self.closed.push(staged);
        } else {
            self.open.insert(partition, file);
        }
        Ok(())
    }

    /// The folder of each row, `k=v/l=w`.
    fn folders(&self, rows: &ChangeBatch) -> Result<HashMap<String, Vec<u32>>> {
        let mut folders: HashMap<String, Vec<u32>> = HashMap::new();
        let options = arrow_cast::display::FormatOptions::default();
        let columns = self
            .target
            .partition_columns
            .iter()
            .map(|(name, i)| {
                let column = rows.rows.column(*i);
                Ok((name, column, arrow_cast::display::ArrayFormatter::try_new(column.as_ref(), &options)?))
            })
            .collect::<Result<Vec<_>>>()?;
        for row in 0..rows.num_rows() {
            let mut folder = String::new();
            for (name, column, format) in &columns {
                let value = if column.is_null(row) { String::new() } else { format.value(row).to_string() };
                let value = if value.is_empty() { self.target.default_partition.clone() } else { partition::escape(&value) };
                let separator = if folder.is_empty() { "" } else { "/" };
                folder.push_str(&format!("{separator}{}={value}", partition::escape(name)));
            }
            folders.entry(folder).or_default().push(row as u32);
        }
        Ok(folders)
    }
}

/// Where an attempt's files of one operator wait.
pub(crate) fn staging_folder(lineage: &str, operator: &str, generation: u64) -> String {
    format!("{}/{generation}", staging_root(lineage, operator))
}

/// Where all attempts' files of one operator wait.
pub(crate) fn staging_root(lineage: &str, operator: &str) -> String {
    let operator: String = operator.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    format!("{STAGING}/{lineage}/{operator}")
}

impl OpenFile {
    async fn drain(&mut self, target: &FileTarget) -> Result<()> {
        let fail = |e: std::io::Error| Error::from(e).with("path", &target.location.display);
        match &mut self.handle {
            Handle::Local { file, .. } => file.write_all(&self.buffer).await.map_err(fail)?,
            Handle::Object(writer) => writer.write_all(&self.buffer).await.map_err(fail)?,
        }
        self.staged.size += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Complete and durable.
    async fn finish(mut self, target: &FileTarget) -> Result<StagedFile> {
        self.encoder.finish(&mut self.buffer)?;
        self.drain(target).await?;
        let fail = |e: std::io::Error| Error::from(e).with("path", &target.location.display);
        match self.handle {
            Handle::Local { mut file, path } => {
                file.flush().await.map_err(fail)?;
                file.sync_all().await.map_err(fail)?;
                drop(file);
                if let Some(parent) = path.parent() {
                    sync_folder(parent.to_path_buf()).await?;
                }
            }
            Handle::Object(mut writer) => writer.shutdown().await.map_err(fail)?,
        }
        Ok(self.staged)
    }
}

/// A file is in its folder for good once the folder is synced too.
pub(crate) async fn sync_folder(folder: PathBuf) -> Result<()> {
    let synced = tokio::task::spawn_blocking(move || std::fs::File::open(&folder)?.sync_all()).await;
    synced.map_err(|e| Error::internal("a file task ended early").caused_by(e))?.map_err(Error::from)
}

#[async_trait]
impl SinkWriter for FileWriter {
    async fn write(&mut self, batch: ChangeBatch) -> Result<()> {
        if batch.kinds.is_some() {
            return Err(Error::internal("the filesystem sink takes only inserts"));
        }
        if self.target.partition_columns.is_empty() {
            return self.write_part(String::new(), &batch).await;
        }
        for (folder, rows) in self.folders(&batch)? {
            let part = batch.take(&UInt32Array::from(rows))?;
            let part = part.with_rows(part.rows.project(&self.target.file_columns)?);
            self.write_part(folder, &part).await?;
        }
        Ok(())
    }

    async fn flush(&mut self, _end_of_input: bool) -> Result<()> {
        for (_, file) in std::mem::take(&mut self.open) {
            let staged = file.finish(&self.target).await?;
            self.written += staged.size;
            self.closed.push(staged);
        }
        Ok(())
    }

    async fn prepare_commit(&mut self, _checkpoint: CheckpointId) -> Result<Vec<Committable>> {
        std::mem::take(&mut self.closed)
            .into_iter()
            .map(|file| {
                let bytes = serde_json::to_vec(&file).map_err(|e| Error::internal("a committable cannot be written").caused_by(e))?;
                Ok(Committable { id: file.target, data: Versioned::new(COMMITTABLE_VERSION, bytes) })
            })
            .collect()
    }

    fn bytes_written(&self) -> u64 {
        self.written
    }
}

impl FileTarget {
    /// An object's place below the table's path.
    pub(crate) fn object(&self, relative: &str) -> Path {
        Path::from(format!("{}/{relative}", self.location.path))
    }

    pub(crate) fn fail(&self, what: &str, e: object_store::Error) -> Error {
        storage_error(format!("Cannot {what} in '{}'", self.location.display), e)
    }
}
