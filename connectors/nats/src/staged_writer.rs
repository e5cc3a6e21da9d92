//! The exactly-once writer: messages are staged, and go to the stream when their checkpoint is decided (`committer`).

use std::sync::Arc;

use async_trait::async_trait;
use flott_connector::sink::{Committable, SinkWriter, WriterContext};
use flott_connector::staged::{StageBuilder, StagedFile, StagedRecord, Staging};
use flott_core::{ChangeBatch, CheckpointId, Error, ErrorKind, Result, id};

use crate::marker::owner;
use crate::record::{Outgoing, RecordEncoder};
use crate::subject;
use crate::target::Target;

/// Bytes of messages in a file at most (and of one message more): as much is held in memory.
const FILE_BYTES: usize = 16 << 20;
/// Bytes of headers that make a message part of a batch.
pub(crate) const BATCH_HEADERS_BYTES: usize = 256;

/// What the stream takes: rows that it would refuse are found when they are written, and not when their checkpoint is decided
/// and there is no way back.
struct Limits {
    subjects: Vec<String>,
    message_bytes_max: Option<usize>,
    payload_bytes_max: usize,
}

pub(crate) struct StagedWriter {
    target: Arc<Target>,
    context: WriterContext,
    encoder: RecordEncoder,
    /// `None` could not be asked for just now.
    limits: Option<Limits>,
    asked: bool,
    builder: StageBuilder,
    /// In every file's name: no two writers or attempts share it.
    unique: String,
    next: u64,
    /// Durable, and in no committable yet.
    files: Vec<StagedFile>,
    bytes: u64,
}

impl StagedWriter {
    pub(crate) fn new(target: Arc<Target>, context: WriterContext) -> Result<StagedWriter> {
        Ok(StagedWriter {
            encoder: RecordEncoder::new(Arc::clone(&target.plan))?,
            target,
            context,
            limits: None,
            asked: false,
            builder: StageBuilder::default(),
            unique: id::random_hex(),
            next: 0,
            files: vec![],
            bytes: 0,
        })
    }

    /// While servers are away nothing is refused: an outage costs no rows.
    async fn ask(&mut self) -> Result<()> {
        if self.asked {
            return Ok(());
        }
        self.asked = true;
        match look_up(&self.target).await {
            Ok(limits) => self.limits = Some(limits),
            Err(e) if e.kind() == ErrorKind::Unavailable => {
                tracing::warn!(error = %e, "what the stream takes is not known for now");
            }
            Err(e) => return Err(e),
        }
        Ok(())
    }

    /// Writes what waits to a file.
    async fn store(&mut self) -> Result<()> {
        if self.builder.records() == 0 {
            return Ok(());
        }
        let builder = std::mem::take(&mut self.builder);
        let records = builder.records();
        let content = tokio::task::spawn_blocking(move || builder.finish()).await;
        let content = content.map_err(|e| Error::internal("a file could not be written").caused_by(e))??;
        let WriterContext { lineage, operator_uid, generation, subtask } = &self.context;
        let folder = Staging::folder(lineage, operator_uid);
        let name = format!("{folder}/{generation}/{}-{}-{}.arrows", subtask.index, self.unique, self.next);
        self.next += 1;
        let file = StagedFile::of(name, &content, records, owner(lineage, operator_uid), lineage, subtask.index);
        self.bytes += file.size;
        let name = file.name.clone();
        // Before the write: what it leaves half is removed by `close`.
        self.files.push(file);
        self.target.staging()?.put(&name, content).await
    }
}

async fn look_up(target: &Target) -> Result<Limits> {
    let connection = target.access.connect().await?;
    let info = connection.stream(target.stream_name()?).await?;
    Ok(Limits {
        subjects: info.config.subjects,
        message_bytes_max: usize::try_from(info.config.max_msg_size).ok().filter(|max| *max > 0),
        payload_bytes_max: connection.client.max_payload(),
    })
}

impl Limits {
    fn check(&self, record: &Outgoing<'_>, stream: &str) -> Result<()> {
        let bytes = record.bytes() + BATCH_HEADERS_BYTES;
        if !self.subjects.iter().any(|s| subject::overlap(s, record.subject)) {
            return Err(Error::data(format!("The stream '{stream}' does not have the subject '{}'", record.subject))
                .with("stream", stream)
                .hint("Add the subject to the stream, or give another one"));
        }
        let (max, what) = match self.message_bytes_max {
            Some(max) if max < self.payload_bytes_max => (max, "the stream's 'max_msg_size'"),
            _ => (self.payload_bytes_max, "the server's 'max_payload'"),
        };
        if bytes > max {
            return Err(Error::data(format!("A row is {bytes} bytes large with its headers, and {what} is {max}"))
                .with("subject", record.subject)
                .hint(format!("Raise {what}, or leave such rows out")));
        }
        Ok(())
    }
}

#[async_trait]
impl SinkWriter for StagedWriter {
    async fn write(&mut self, batch: ChangeBatch) -> Result<()> {
        self.ask().await?;
        let records = self.encoder.encode(&batch)?;
        let target = Arc::clone(&self.target);
        for row in 0..records.len() {
            let record = records.get(row)?;
            if let Some(limits) = &self.limits {
                limits.check(&record, target.stream_name()?)?;
            }
            self.builder.append(&StagedRecord {
                topic: Some(record.subject),
                value: Some(record.payload),
                headers: record.headers.iter().map(|(name, value)| (*name, Some(value.as_bytes()))).collect(),
                ..StagedRecord::default()
            })?;
            if self.builder.bytes() >= FILE_BYTES {
                self.store().await?;
            }
        }
        Ok(())
    }

    async fn flush(&mut self, _end_of_input: bool) -> Result<()> {
        self.store().await
    }

    async fn prepare_commit(&mut self, checkpoint: CheckpointId) -> Result<Vec<Committable>> {
        self.asked = self.limits.is_some();
        let files = std::mem::take(&mut self.files);
        files.into_iter().map(|file| StagedFile { epoch: checkpoint.0, ..file }.to_committable()).collect()
    }

    fn bytes_written(&self) -> u64 {
        self.bytes
    }

    async fn close(&mut self) -> Result<()> {
        // No checkpoint names them. What stays is removed by the next attempt.
        for file in std::mem::take(&mut self.files) {
            self.target.staging()?.remove(&file.name).await.ok();
        }
        Ok(())
    }
}
