//! A source's reader: what the runtime sees. The records come from a thread of its own (`poll`).

use std::sync::Arc;

use async_trait::async_trait;
use flott_connector::source::{ReaderEvent, SourceReader, SourceSplit};
use flott_core::{Error, Result};
use tokio::sync::mpsc;

use crate::poll::{Command, Poller, Shared};
use crate::scan::Scan;
use crate::split::PartitionSplit;

/// Events between the thread and the reader.
const QUEUE: usize = 4;

pub(crate) struct KafkaReader {
    scan: Arc<Scan>,
    shared: Arc<Shared>,
    events: Option<mpsc::Receiver<Result<ReaderEvent>>>,
    /// Splits that are not finished.
    open: usize,
    no_more: bool,
}

impl KafkaReader {
    pub(crate) fn new(scan: Arc<Scan>) -> KafkaReader {
        KafkaReader { scan, shared: Arc::new(Shared::default()), events: None, open: 0, no_more: false }
    }
}

#[async_trait]
impl SourceReader for KafkaReader {
    async fn start(&mut self) -> Result<()> {
        let (sender, events) = mpsc::channel(QUEUE);
        Poller::start(Arc::clone(&self.scan), Arc::clone(&self.shared), sender)?;
        self.events = Some(events);
        Ok(())
    }

    fn add_splits(&mut self, splits: Vec<SourceSplit>) -> Result<()> {
        let splits = splits.iter().map(|s| PartitionSplit::decode(&s.data)).collect::<Result<Vec<_>>>()?;
        self.open += splits.len();
        self.shared.push(Command::Add(splits));
        Ok(())
    }

    fn no_more_splits(&mut self) {
        self.no_more = true;
    }

    async fn next(&mut self) -> Result<ReaderEvent> {
        if self.open == 0 {
            return Ok(if self.no_more { ReaderEvent::EndOfInput } else { ReaderEvent::NeedSplits });
        }
        let Some(events) = &mut self.events else { return Err(Error::internal("a reader was not started")) };
        // Safe to drop: what was not received stays in the channel.
        match events.recv().await {
            Some(event) => {
                let event = event?;
                if matches!(event, ReaderEvent::SplitFinished { .. }) {
                    self.open -= 1;
                }
                Ok(event)
            }
            None => Err(Error::internal("the thread of a Kafka reader ended early")),
        }
    }

    fn pending_records(&self) -> Option<u64> {
        Some(self.shared.pending())
    }

    fn pause_or_resume_splits(&mut self, pause: &[String], resume: &[String]) {
        self.shared.push(Command::Pause(pause.to_vec(), resume.to_vec()));
    }

    async fn close(&mut self) -> Result<()> {
        self.events = None;
        self.shared.push(Command::Stop);
        Ok(())
    }
}

impl Drop for KafkaReader {
    fn drop(&mut self) {
        self.shared.push(Command::Stop);
    }
}
