//! The writer: messages go to the stream as rows come, and a checkpoint waits until all are stored.

use std::sync::Arc;

use async_trait::async_trait;
use flott_connector::sink::{DeliveryGuarantee, SinkWriter};
use flott_core::{ChangeBatch, Error, Result};

use crate::publish::Publisher;
use crate::record::RecordEncoder;
use crate::target::Target;

pub(crate) struct NatsWriter {
    target: Arc<Target>,
    encoder: RecordEncoder,
    publisher: Option<Publisher>,
    bytes: u64,
}

impl NatsWriter {
    pub(crate) fn new(target: Arc<Target>) -> Result<NatsWriter> {
        let encoder = RecordEncoder::new(Arc::clone(&target.plan))?;
        Ok(NatsWriter { target, encoder, publisher: None, bytes: 0 })
    }

    /// Made with the first row: a job that is only explained asks nothing.
    async fn open(&mut self) -> Result<()> {
        if self.publisher.is_none() {
            let connection = self.target.access.connect().await?;
            if let Some(stream) = &self.target.stream {
                // A stream that is missing is told with its name.
                connection.stream(stream).await?;
            }
            self.publisher = Some(Publisher::new(connection, self.target.stream.clone()).await?);
        }
        Ok(())
    }
}

#[async_trait]
impl SinkWriter for NatsWriter {
    async fn write(&mut self, batch: ChangeBatch) -> Result<()> {
        self.open().await?;
        let records = self.encoder.encode(&batch)?;
        let Some(publisher) = &mut self.publisher else { return Err(Error::internal("a writer was not opened")) };
        for row in 0..records.len() {
            let record = records.get(row)?;
            publisher.send(&record).await?;
            self.bytes += record.bytes() as u64;
        }
        Ok(())
    }

    async fn flush(&mut self, end_of_input: bool) -> Result<()> {
        let Some(publisher) = &mut self.publisher else { return Ok(()) };
        if self.target.guarantee == DeliveryGuarantee::None && !end_of_input {
            return publisher.check().await;
        }
        publisher.flush().await
    }

    fn bytes_written(&self) -> u64 {
        self.bytes
    }
}
