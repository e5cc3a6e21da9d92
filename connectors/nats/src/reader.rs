//! A source's reader: what the runtime sees. Each part of a stream is read by a task of its own (`consume`).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use flott_connector::source::{ReaderEvent, SourceReader, SourceSplit};
use flott_core::{Error, Result};
use tokio::sync::{OnceCell, mpsc, watch};
use tokio::task::JoinHandle;

use crate::consume::Consumption;
use crate::scan::Scan;
use crate::split::StreamSplit;

/// Events between the tasks and the reader.
const QUEUE: usize = 4;
/// How long tasks have to say goodbye to the servers.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// A part that is being read.
struct Open {
    paused: watch::Sender<bool>,
    pending: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

pub(crate) struct NatsReader {
    scan: Arc<Scan>,
    connection: Arc<OnceCell<crate::access::Connection>>,
    sender: mpsc::Sender<Result<ReaderEvent>>,
    events: mpsc::Receiver<Result<ReaderEvent>>,
    /// By the splits' ids.
    open: HashMap<String, Open>,
    no_more: bool,
}

impl NatsReader {
    pub(crate) fn new(scan: Arc<Scan>) -> NatsReader {
        let (sender, events) = mpsc::channel(QUEUE);
        NatsReader { scan, connection: Arc::default(), sender, events, open: HashMap::new(), no_more: false }
    }
}

#[async_trait]
impl SourceReader for NatsReader {
    fn add_splits(&mut self, splits: Vec<SourceSplit>) -> Result<()> {
        for split in splits {
            let position = StreamSplit::decode(&split.data)?;
            let (paused, is_paused) = watch::channel(false);
            let pending = Arc::new(AtomicU64::new(0));
            let consumption = Consumption::new(
                Arc::clone(&self.scan),
                Arc::clone(&self.connection),
                position,
                self.sender.clone(),
                is_paused,
                Arc::clone(&pending),
            )?;
            let task = tokio::spawn(consumption.run());
            self.open.insert(split.id, Open { paused, pending, task });
        }
        Ok(())
    }

    fn no_more_splits(&mut self) {
        self.no_more = true;
    }

    async fn next(&mut self) -> Result<ReaderEvent> {
        if self.open.is_empty() {
            return Ok(if self.no_more { ReaderEvent::EndOfInput } else { ReaderEvent::NeedSplits });
        }
        // Safe to drop: what was not received stays in the channel.
        match self.events.recv().await {
            Some(event) => {
                let event = event?;
                if let ReaderEvent::SplitFinished { split } = &event {
                    self.open.remove(split);
                }
                Ok(event)
            }
            None => Err(Error::internal("the tasks of a NATS reader ended early")),
        }
    }

    fn pending_records(&self) -> Option<u64> {
        Some(self.open.values().map(|o| o.pending.load(Ordering::Relaxed)).sum())
    }

    fn pause_or_resume_splits(&mut self, pause: &[String], resume: &[String]) {
        for (ids, is_paused) in [(pause, true), (resume, false)] {
            for open in ids.iter().filter_map(|id| self.open.get(id)) {
                open.paused.send_replace(is_paused);
            }
        }
    }

    async fn close(&mut self) -> Result<()> {
        // The tasks see that nobody listens.
        self.events.close();
        let tasks = self.open.drain().map(|(_, open)| open.task);
        tokio::time::timeout(CLOSE_PATIENCE, futures::future::join_all(tasks)).await.ok();
        Ok(())
    }
}
