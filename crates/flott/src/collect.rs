//! The sink behind `SELECT`: rows go to the session instead of to a table.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flott_connector::Versioned;
use flott_connector::sink::{DeliveryGuarantee, Sink, SinkWriter, WriterContext};
use flott_core::{ChangeBatch, Error, Result};
use tokio::sync::mpsc;

/// Batches that may wait for the reader of a query.
const QUEUE: usize = 16;

/// Sends every batch to one receiver, which holds the job back when it is slow.
pub(crate) struct CollectSink {
    sender: mpsc::Sender<ChangeBatch>,
}

impl CollectSink {
    /// The sink and the end where its rows come out.
    pub(crate) fn new() -> (Arc<CollectSink>, mpsc::Receiver<ChangeBatch>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Arc::new(CollectSink { sender }), receiver)
    }
}

impl Sink for CollectSink {
    fn guarantee(&self) -> DeliveryGuarantee {
        DeliveryGuarantee::None
    }

    fn create_writer(&self, _context: WriterContext, _restored: Vec<Versioned>) -> Result<Box<dyn SinkWriter>> {
        Ok(Box::new(CollectWriter { sender: self.sender.clone() }))
    }
}

/// How long a query without a reader may wait to be cancelled.
const CANCEL_PATIENCE: Duration = Duration::from_secs(5);

struct CollectWriter {
    sender: mpsc::Sender<ChangeBatch>,
}

#[async_trait]
impl SinkWriter for CollectWriter {
    async fn write(&mut self, batch: ChangeBatch) -> Result<()> {
        if self.sender.send(batch).await.is_ok() {
            return Ok(());
        }
        // Whoever reads no more cancels the job: that, and no failure, is how it ends.
        tokio::time::sleep(CANCEL_PATIENCE).await;
        Err(Error::user("nobody reads the query's result any more").hint("Cancel the query's job"))
    }

    async fn flush(&mut self, _end_of_input: bool) -> Result<()> {
        Ok(())
    }
}
