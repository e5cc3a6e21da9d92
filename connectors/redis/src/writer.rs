//! The writer: rows go to the server as they come, many in a pipeline, and each is answered before the next pipeline goes.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flott_connector::format::{Encoder, Messages};
use flott_connector::row_text::RowText;
use flott_connector::sink::SinkWriter;
use flott_core::{ChangeBatch, Error, ErrorKind, Result, RowKind};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline};

use crate::command::Rows;
use crate::target::{Keeping, Target};

/// Rows of a pipeline at most.
const PIPELINE_ROWS: usize = 1_000;
/// Bytes of a pipeline (a larger row goes alone).
const PIPELINE_BYTES: usize = 4 << 20;
/// Before rows are sent again; each pause is twice the one before.
const RETRY_MIN: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(10);

pub(crate) struct RedisWriter {
    target: Arc<Target>,
    encoder: Option<Box<dyn Encoder>>,
    connection: Option<MultiplexedConnection>,
    bytes: u64,
}

impl RedisWriter {
    pub(crate) fn new(target: Arc<Target>) -> Result<RedisWriter> {
        let encoder = target.value.as_ref().map(|v| v.create()).transpose()?;
        Ok(RedisWriter { target, encoder, connection: None, bytes: 0 })
    }

    async fn send(&mut self, commands: Vec<Cmd>) -> Result<()> {
        let mut pipeline = Pipeline::with_capacity(commands.len());
        for command in commands {
            pipeline.add_command(command).ignore();
        }
        let (mut pause, mut tries) = (RETRY_MIN, 0);
        loop {
            let error = match self.once(&pipeline).await {
                Ok(()) => break,
                Err(error) if error.kind() == ErrorKind::Unavailable && tries < self.target.retries => error,
                Err(error) => return Err(error),
            };
            tries += 1;
            tracing::debug!(%error, tries, "rows are sent to Redis again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY_MAX);
        }
        self.bytes += pipeline.get_packed_pipeline().len() as u64;
        Ok(())
    }

    async fn once(&mut self, pipeline: &Pipeline) -> Result<()> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.target.access.connect().await?,
        };
        let sent = pipeline.exec_async(&mut connection).await;
        sent.map_err(|e| self.target.access.error(e, "write to"))?;
        // One that has failed is not used again.
        self.connection = Some(connection);
        Ok(())
    }
}

#[async_trait]
impl SinkWriter for RedisWriter {
    async fn write(&mut self, batch: ChangeBatch) -> Result<()> {
        let target = Arc::clone(&self.target);
        let mut values = Messages::default();
        if let Some(encoder) = &mut self.encoder {
            encoder.encode_messages(&ChangeBatch::append(batch.rows.clone()), &mut values)?;
        }
        if batch.kinds.is_some() && matches!(target.keeping, Keeping::List(_)) {
            return Err(Error::internal("a list in Redis takes only inserts"));
        }
        let kinds: Option<Vec<RowKind>> = batch.kinds.as_ref().map(|k| k.iter().collect());
        let mut row = 0;
        while row < batch.rows.num_rows() {
            let mut commands = vec![];
            {
                let rows = Rows { target: &target, rows: &batch.rows, text: RowText::new(&batch.rows)?, values };
                let (begin, mut bytes) = (row, 0);
                while row < batch.rows.num_rows() && row - begin < PIPELINE_ROWS && bytes < PIPELINE_BYTES {
                    let before = commands.len();
                    match kinds.as_ref().map_or(RowKind::Insert, |k| k[row]) {
                        // The new row follows, and takes its place.
                        RowKind::UpdateBefore => {}
                        RowKind::Delete => rows.delete(row, &mut commands)?,
                        RowKind::Insert | RowKind::UpdateAfter => rows.upsert(row, &mut commands)?,
                    }
                    bytes += commands[before..].iter().map(|c| c.get_packed_command().len()).sum::<usize>();
                    row += 1;
                }
                values = rows.values;
            }
            if !commands.is_empty() {
                self.send(commands).await?;
            }
        }
        Ok(())
    }

    async fn flush(&mut self, _end_of_input: bool) -> Result<()> {
        // All is answered.
        Ok(())
    }

    fn bytes_written(&self) -> u64 {
        self.bytes
    }
}
