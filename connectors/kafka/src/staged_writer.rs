//! The exactly-once writer: records are staged, and go to the topic when their checkpoint is decided (`committer`).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flott_connector::sink::{Committable, SinkWriter, WriterContext};
use flott_connector::staged::{StageBuilder, StagedFile, Staging};
use flott_core::clock::{Clock, SystemClock};
use flott_core::{ChangeBatch, CheckpointId, Result, id};

use crate::buffer::Buffer;
use crate::client::blocking;
use crate::limits::Limits;
use crate::record::{Outgoing, RecordEncoder};
use crate::target::Target;

/// Bytes of records in a file at most (and of one record more): as much is held in memory.
const FILE_BYTES: usize = 16 << 20;

pub(crate) struct StagedWriter {
    target: Arc<Target>,
    context: WriterContext,
    encoder: RecordEncoder,
    limits: Limits,
    builder: StageBuilder,
    /// Rows that are held back, and since when.
    buffer: Option<(Buffer, Duration)>,
    clock: Arc<dyn Clock>,
    /// In every file's name: no two writers or attempts share it.
    unique: String,
    next: u64,
    /// Durable, and in no committable yet.
    files: Vec<StagedFile>,
    bytes: u64,
}

impl StagedWriter {
    pub(crate) fn new(target: Arc<Target>, context: WriterContext) -> Result<StagedWriter> {
        let clock = SystemClock::shared();
        let buffer = target.buffer.map(|(rows, _)| (Buffer::new(rows), clock.monotonic()));
        Ok(StagedWriter {
            encoder: RecordEncoder::new(Arc::clone(&target.plan))?,
            limits: Limits::new(&target.properties, &target.asked, context.generation),
            target,
            context,
            builder: StageBuilder::default(),
            buffer,
            clock,
            unique: id::random_hex(),
            next: 0,
            files: vec![],
            bytes: 0,
        })
    }

    /// Puts a record into the file that is open, and ends that where it is large.
    async fn add(&mut self, record: &Outgoing<'_>) -> Result<()> {
        self.builder.append(record)?;
        if self.builder.bytes() >= FILE_BYTES { self.store().await } else { Ok(()) }
    }

    /// Adds what was held back.
    async fn drain(&mut self) -> Result<()> {
        let Some((buffer, since)) = &mut self.buffer else { return Ok(()) };
        *since = self.clock.monotonic();
        for held in buffer.take() {
            self.add(&held.outgoing()).await?;
        }
        Ok(())
    }

    /// Nobody sees a row before its checkpoint is decided, so that a row which is held for too long need not go before the next
    /// ones come.
    async fn drain_in_time(&mut self) -> Result<()> {
        let interval = self.target.buffer.map_or(Duration::ZERO, |(_, interval)| interval);
        match &self.buffer {
            Some((_, since)) if self.clock.monotonic().saturating_sub(*since) >= interval => self.drain().await,
            _ => Ok(()),
        }
    }

    /// Writes what waits to a file.
    async fn store(&mut self) -> Result<()> {
        if self.builder.records() == 0 {
            return Ok(());
        }
        let builder = std::mem::take(&mut self.builder);
        let records = builder.records();
        let content = blocking(move || builder.finish()).await??;
        let WriterContext { lineage, operator_uid, generation, subtask } = &self.context;
        let folder = Staging::folder(lineage, operator_uid);
        let name = format!("{folder}/{generation}/{}-{}-{}.arrows", subtask.index, self.unique, self.next);
        self.next += 1;
        let id = self.target.transactional_id(lineage, operator_uid);
        let file = StagedFile::of(name, &content, records, id, lineage, subtask.index);
        self.bytes += file.size;
        let name = file.name.clone();
        // Before the write: what it leaves half is removed by `close`.
        self.files.push(file);
        self.target.staging.put(&name, content).await
    }
}

#[async_trait]
impl SinkWriter for StagedWriter {
    async fn write(&mut self, batch: ChangeBatch) -> Result<()> {
        let records = self.encoder.encode(&batch)?;
        for some in records.pieces() {
            let some = some?;
            self.limits.check(&some).await?;
            for record in &some {
                match &mut self.buffer {
                    Some((buffer, _)) => {
                        if buffer.put(record) {
                            self.drain().await?;
                        }
                    }
                    None => self.add(record).await?,
                }
            }
        }
        self.drain_in_time().await
    }

    async fn flush(&mut self, _end_of_input: bool) -> Result<()> {
        self.drain().await?;
        self.store().await
    }

    async fn prepare_commit(&mut self, checkpoint: CheckpointId) -> Result<Vec<Committable>> {
        self.limits.ask_again();
        let files = std::mem::take(&mut self.files);
        files.into_iter().map(|file| StagedFile { epoch: checkpoint.0, ..file }.to_committable()).collect()
    }

    fn bytes_written(&self) -> u64 {
        self.bytes
    }

    async fn close(&mut self) -> Result<()> {
        // No checkpoint names them. What stays is removed by the next attempt.
        for file in std::mem::take(&mut self.files) {
            self.target.staging.remove(&file.name).await.ok();
        }
        Ok(())
    }
}
