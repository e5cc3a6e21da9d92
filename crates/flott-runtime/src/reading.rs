//! What reads a source: an async task of its own, which hands rows to its worker and obeys commands while it waits.

use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use flott_connector::source::{ReaderEvent, SourceBatch, SourceReader, SourceSplit};
use flott_core::{CheckpointId, Error, Result};
use flott_graph::NodeId;
use futures::FutureExt;
use timely::scheduling::SyncActivator;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::api::{TaskCommand, TaskEvent};
use crate::driver::panicked;
use crate::flow::{self, Shared};
use crate::metrics::JobMetrics;

/// Items between a reader and its worker.
pub(crate) const QUEUE: usize = 4;
/// So many items wake a worker that sleeps, unless the reader itself has to wait before.
const ITEMS_PER_WAKE: usize = 2;
/// Bytes between a reader and its worker (a larger batch goes alone).
const QUEUE_BYTES_MAX: usize = 4 << 20;
/// The longest that an attempt waits for a reader to release what it holds.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// What a reader's task sends.
pub(crate) enum Item {
    /// Rows, their size, and the room that they take in the queue.
    Batch(SourceBatch, usize, Option<OwnedSemaphorePermit>),
    SplitFinished(String),
    End,
}

/// What a reader's task is told.
pub(crate) enum ToReader {
    Command(TaskCommand),
    /// Splits that have got too far ahead, and those that others have caught up with.
    Align {
        pause: Vec<String>,
        resume: Vec<String>,
    },
    /// What a checkpoint holds of its splits.
    Snapshot(CheckpointId, Vec<SourceSplit>),
}

/// A reader's end of the channel to its worker.
pub(crate) struct ItemSender {
    /// There until the drop.
    sender: Option<mpsc::Sender<Item>>,
    room: Arc<Semaphore>,
    armed: Arc<AtomicBool>,
    /// The reader has rows that the queue has no room for.
    holding: Arc<AtomicBool>,
    /// Items in the queue that the worker was not woken for.
    untold: AtomicUsize,
    wake: SyncActivator,
}

impl ItemSender {
    pub(crate) fn new(
        sender: mpsc::Sender<Item>,
        armed: &Arc<AtomicBool>,
        holding: &Arc<AtomicBool>,
        wake: SyncActivator,
    ) -> ItemSender {
        ItemSender {
            sender: Some(sender),
            room: Arc::new(Semaphore::new(QUEUE_BYTES_MAX)),
            armed: Arc::clone(armed),
            holding: Arc::clone(holding),
            untold: AtomicUsize::new(0),
            wake,
        }
    }

    /// Waits for room of so many bytes. Nothing is lost where the future is dropped. `None` where the worker is gone.
    async fn room(&self, bytes: usize) -> Option<(mpsc::Permit<'_, Item>, Option<OwnedSemaphorePermit>)> {
        let room = match u32::try_from(bytes.min(QUEUE_BYTES_MAX)) {
            Ok(n) if n > 0 => Some(Arc::clone(&self.room).acquire_many_owned(n).await.ok()?),
            _ => None,
        };
        Some((self.sender.as_ref()?.reserve().await.ok()?, room))
    }

    /// An item is in the queue. The worker is woken for a few at once: to wake a thread takes as long as a good part of
    /// what it does with an item.
    fn sent(&self) {
        if self.untold.fetch_add(1, Ordering::Relaxed) + 1 >= ITEMS_PER_WAKE {
            self.tell();
        }
    }

    /// The activator's queue has no bound, so the worker is woken only when it has asked for it.
    fn tell(&self) {
        if self.untold.swap(0, Ordering::Relaxed) > 0 && self.armed.swap(false, Ordering::SeqCst) {
            flow::wake(&self.wake);
        }
    }

    /// Before anything is waited for the worker is told of what was sent.
    async fn tell_before<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        poll_fn(|context| {
            let result = work.as_mut().poll(context);
            if result.is_pending() {
                self.tell();
            }
            result
        })
        .await
    }
}

/// However the task ends, the worker notices.
impl Drop for ItemSender {
    fn drop(&mut self) {
        // The channel closes first.
        self.sender = None;
        flow::wake(&self.wake);
    }
}

/// The reader's task.
pub(crate) struct Reading {
    pub(crate) node: NodeId,
    pub(crate) subtask: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) metrics: Arc<JobMetrics>,
}

impl Reading {
    pub(crate) async fn run(
        self,
        reader: Option<Box<dyn SourceReader>>,
        mut commands: mpsc::Receiver<ToReader>,
        output: ItemSender,
    ) {
        let Some(mut reader) = reader else {
            if let Some((permit, _)) = output.room(0).await {
                permit.send(Item::End);
                output.sent();
                output.tell();
            }
            return;
        };
        let mut cancelled = self.shared.cancellation();
        let read = AssertUnwindSafe(self.read(reader.as_mut(), &mut commands, &output)).catch_unwind();
        let result = tokio::select! {
            result = read => result,
            // A reader may hang in the outside system; its future is dropped.
            _ = cancelled.wait_for(|c| *c) => Ok(Ok(())),
        };
        let error = match result {
            Err(panic) => return self.shared.fail(Some(self.node), panicked("the reader", panic.as_ref())),
            Ok(read) => read.err(),
        };
        if let Some(e) = error {
            self.shared.fail(Some(self.node), e);
        }
        let closed = tokio::time::timeout(CLOSE_TIMEOUT, AssertUnwindSafe(reader.close()).catch_unwind()).await;
        let error = match closed {
            Ok(Ok(Ok(()))) => return,
            Ok(Ok(Err(e))) => e,
            Ok(Err(panic)) => panicked("the reader", panic.as_ref()),
            Err(_) => Error::unavailable("the reader did not close in time").hint("The outside system may be stuck"),
        };
        if self.shared.is_cancelled() {
            tracing::debug!(%error, "a reader did not close well");
        } else {
            self.shared.fail(Some(self.node), error);
        }
    }

    /// Reads, and obeys commands while it waits, for rows or for room.
    async fn read(
        &self,
        reader: &mut dyn SourceReader,
        commands: &mut mpsc::Receiver<ToReader>,
        output: &ItemSender,
    ) -> Result<()> {
        let (node, subtask) = (self.node, self.subtask);
        reader.start().await?;
        self.shared.events.push_in_turn(TaskEvent::ReaderRegistered { node, subtask }).await;
        // Before it has been given anything a reader has nothing to do; its registration asks for it.
        let mut has_work = false;
        let mut draining = false;
        let mut outgoing: Option<Item> = None;
        loop {
            if let Some(m) = self.metrics.subtask(node.0, subtask) {
                for (pending, to) in
                    [(reader.pending_records(), &m.pending_records), (reader.pending_bytes(), &m.pending_bytes)]
                {
                    if let Some(n) = pending {
                        to.store(i64::try_from(n).unwrap_or(i64::MAX), Ordering::Relaxed);
                    }
                }
            }
            if draining && outgoing.is_none() {
                outgoing = Some(Item::End);
            }
            let bytes = if let Some(Item::Batch(_, bytes, _)) = &outgoing { *bytes } else { 0 };
            if outgoing.is_none() && !has_work {
                // Only a command is waited for.
                output.tell();
            }
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    None => return Ok(()),
                    Some(ToReader::Align { pause, resume }) => {
                        reader.pause_or_resume_splits(&pause, &resume);
                        // What can be read again may have been all that there is.
                        has_work |= !resume.is_empty();
                    }
                    Some(ToReader::Snapshot(checkpoint, splits)) => reader.snapshot_taken(checkpoint, &splits),
                    Some(ToReader::Command(TaskCommand::Drain)) => draining = true,
                    Some(ToReader::Command(command)) => has_work |= output.tell_before(obey(reader, command)).await?,
                },
                room = output.tell_before(output.room(bytes)), if outgoing.is_some() => {
                    let (Some((permit, room)), Some(item)) = (room, outgoing.take()) else { return Ok(()) };
                    let item = match item {
                        Item::Batch(batch, bytes, _) => Item::Batch(batch, bytes, room),
                        item => item,
                    };
                    let is_end = matches!(item, Item::End);
                    permit.send(item);
                    output.holding.store(false, Ordering::SeqCst);
                    output.sent();
                    if is_end {
                        output.tell();
                        return Ok(());
                    }
                }
                event = output.tell_before(reader.next()), if has_work && outgoing.is_none() => match event? {
                    ReaderEvent::Batch(batch) => {
                        let letters = batch.dead_letters.as_ref().map_or(0, |b| b.get_array_memory_size());
                        let bytes = batch.rows.size_bytes() + letters;
                        output.holding.store(true, Ordering::SeqCst);
                        outgoing = Some(Item::Batch(batch, bytes, None));
                    }
                    ReaderEvent::SplitFinished { split } => outgoing = Some(Item::SplitFinished(split)),
                    ReaderEvent::Event(event) => {
                        let event = TaskEvent::SourceEvent { node, subtask, event };
                        output.tell_before(self.shared.events.push_in_turn(event)).await;
                    }
                    ReaderEvent::NeedSplits => {
                        has_work = false;
                        let request = TaskEvent::SplitRequest { node, subtask };
                        output.tell_before(self.shared.events.push_in_turn(request)).await;
                    }
                    ReaderEvent::EndOfInput => outgoing = Some(Item::End),
                },
            }
        }
    }
}

/// Hands a command to the reader; true where it may have something to read now.
async fn obey(reader: &mut dyn SourceReader, command: TaskCommand) -> Result<bool> {
    match command {
        TaskCommand::AssignSplits { splits, .. } => {
            reader.add_splits(splits.into_iter().map(|s| s.split).collect())?;
            Ok(true)
        }
        TaskCommand::NoMoreSplits { .. } => {
            reader.no_more_splits();
            Ok(true)
        }
        TaskCommand::SourceEvent { event, .. } => {
            reader.handle_source_event(event)?;
            Ok(true)
        }
        TaskCommand::CheckpointComplete(decided) => {
            reader.notify_checkpoint_complete(&decided).await?;
            Ok(false)
        }
        TaskCommand::TriggerCheckpoint(_)
        | TaskCommand::StopWithCheckpoint(_)
        | TaskCommand::Resume
        | TaskCommand::AlignWatermark { .. }
        | TaskCommand::Drain => Ok(false),
    }
}
