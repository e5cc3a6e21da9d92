//! Sinks: the driver's output goes through a bounded channel to an async task with the writer.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use flott_connector::sink::SinkWriter;
use flott_core::clock::Clock;
use flott_core::{ChangeBatch, CheckpointId, Error, FailPoint, FailPoints, Result, Watermark};
use flott_graph::NodeId;
use futures::FutureExt;
use timely::dataflow::operators::Capability;
use timely::scheduling::SyncActivator;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::api::TaskEvent;
use crate::container::{Control, Envelope, Payload};
use crate::driver::{Emit, panicked};
use crate::flow::{self, Shared, Ticket};
use crate::metrics::JobMetrics;

/// Messages between a worker and its writer.
const QUEUE: usize = 4;
/// Bytes between a worker and its writer (a larger batch goes alone).
const QUEUE_BYTES_MAX: usize = 4 << 20;
/// The longest that an attempt waits for a writer to release what it holds.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// What a writer is told.
pub(crate) enum SinkMessage {
    Rows { batch: ChangeBatch, bytes: usize },
    Watermark(Watermark),
    Barrier(CheckpointId),
    End(CheckpointId),
}

impl SinkMessage {
    fn bytes(&self) -> usize {
        if let SinkMessage::Rows { bytes, .. } = self { *bytes } else { 0 }
    }
}

/// What the two ends of a queue share.
#[derive(Default)]
struct Level {
    /// The worker waits for room.
    armed: AtomicBool,
    /// In the channel.
    bytes: AtomicUsize,
}

struct Waiting {
    capability: Option<Capability<u64>>,
    message: SinkMessage,
    ticket: Option<Ticket>,
}

/// The worker's end of the channel. A message keeps its capability until the task has taken it, so that what waits here
/// counts as in flight.
pub(crate) struct SinkQueue {
    sender: Option<mpsc::Sender<SinkMessage>>,
    /// What one call of the operator has emitted: it is not called again while anything waits.
    waiting: VecDeque<Waiting>,
    level: Arc<Level>,
    shared: Arc<Shared>,
    node: NodeId,
}

impl SinkQueue {
    /// Hands over what the channel takes; armed, the task wakes the worker when there is room.
    pub(crate) fn push(&mut self) {
        let mut armed = false;
        while let (Some(sender), Some(Waiting { capability, message, ticket })) =
            (&self.sender, self.waiting.pop_front())
        {
            let bytes = message.bytes();
            let is_end = matches!(message, SinkMessage::End(_));
            let before = self.level.bytes.fetch_add(bytes, Ordering::SeqCst);
            let sent = if bytes > 0 && before > 0 && before + bytes > QUEUE_BYTES_MAX {
                Err(TrySendError::Full(message))
            } else {
                sender.try_send(message)
            };
            match sent {
                Ok(()) if is_end => self.sender = None,
                Ok(()) => {}
                Err(TrySendError::Full(message)) => {
                    self.level.bytes.fetch_sub(bytes, Ordering::SeqCst);
                    self.waiting.push_front(Waiting { capability, message, ticket });
                    if armed {
                        return;
                    }
                    // Looked at once more after arming: the room may have come in between.
                    self.level.armed.store(true, Ordering::SeqCst);
                    armed = true;
                }
                Err(TrySendError::Closed(_)) => {
                    if !self.shared.is_cancelled() {
                        self.shared.fail(Some(self.node), Error::internal("the writer ended without a word"));
                    }
                    self.sender = None;
                    self.waiting.clear();
                }
            }
        }
    }
}

/// The queue as the driver's output.
pub(crate) struct SinkEmit(pub(crate) SinkQueue);

impl SinkEmit {
    fn push(&mut self, capability: Option<Capability<u64>>, message: SinkMessage, ticket: Option<Ticket>) {
        self.0.waiting.push_back(Waiting { capability, message, ticket });
        self.0.push();
    }
}

impl Emit for SinkEmit {
    fn emit(&mut self, capability: &Capability<u64>, envelope: Envelope) {
        let (message, ticket) = match envelope.payload {
            Payload::Data { port: 0, batch, ticket } => {
                (SinkMessage::Rows { bytes: batch.size_bytes(), batch }, ticket)
            }
            Payload::Control { control: Control::Watermark(ms), .. } => (SinkMessage::Watermark(Watermark(ms)), None),
            _ => return,
        };
        self.push(Some(capability.clone()), message, ticket);
    }

    fn is_blocked(&self) -> bool {
        !self.0.waiting.is_empty()
    }

    fn barrier(&mut self, checkpoint: CheckpointId) {
        self.push(None, SinkMessage::Barrier(checkpoint), None);
    }

    fn end(&mut self, capability: &Capability<u64>, next: CheckpointId) {
        self.push(Some(capability.clone()), SinkMessage::End(next), None);
    }
}

/// What the writer's task needs.
pub(crate) struct SinkTask {
    pub(crate) node: NodeId,
    pub(crate) subtask: usize,
    pub(crate) writer: Box<dyn SinkWriter>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) metrics: Arc<JobMetrics>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) fail_points: FailPoints,
}

/// The queue for the worker, and the task's future.
pub(crate) fn channel(task: SinkTask, wake: SyncActivator) -> (SinkQueue, impl Future<Output = ()> + Send + 'static) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let level = Arc::new(Level::default());
    let queue = SinkQueue {
        sender: Some(sender),
        waiting: VecDeque::new(),
        level: Arc::clone(&level),
        shared: Arc::clone(&task.shared),
        node: task.node,
    };
    (queue, run(task, receiver, level, wake))
}

async fn run(mut task: SinkTask, mut receiver: mpsc::Receiver<SinkMessage>, level: Arc<Level>, wake: SyncActivator) {
    let (shared, node) = (Arc::clone(&task.shared), task.node);
    let mut cancelled = shared.cancellation();
    let write = AssertUnwindSafe(write_all(&mut task, &mut receiver, &level, &wake)).catch_unwind();
    let result = tokio::select! {
        result = write => result,
        // A writer may hang in the outside system; its future is dropped.
        _ = cancelled.wait_for(|c| *c) => Ok(Ok(())),
    };
    // The reason is told before the channel closes: its end alone is a failure that says nothing.
    let has_panicked = result.is_err();
    match result {
        Err(panic) => shared.fail(Some(node), panicked("the writer", panic.as_ref())),
        Ok(Err(e)) => shared.fail(Some(node), e),
        Ok(Ok(())) => {}
    }
    // Whoever waits for room learns that it has.
    drop(receiver);
    flow::wake(&wake);
    if has_panicked {
        return;
    }
    let closed = tokio::time::timeout(CLOSE_TIMEOUT, AssertUnwindSafe(task.writer.close()).catch_unwind()).await;
    let error = match closed {
        Ok(Ok(Ok(()))) => return,
        Ok(Ok(Err(e))) => e,
        Ok(Err(panic)) => panicked("the writer", panic.as_ref()),
        Err(_) => Error::unavailable("the writer did not close in time").hint("The outside system may be stuck"),
    };
    if shared.is_cancelled() {
        tracing::debug!(%error, "a writer did not close well");
    } else {
        shared.fail(Some(node), error);
    }
}

/// Handles messages until the end.
async fn write_all(
    task: &mut SinkTask,
    receiver: &mut mpsc::Receiver<SinkMessage>,
    level: &Level,
    wake: &SyncActivator,
) -> Result<()> {
    while let Some(message) = receiver.recv().await {
        level.bytes.fetch_sub(message.bytes(), Ordering::SeqCst);
        // The activator's queue has no bound, so the worker is woken only when it has asked for it.
        if level.armed.swap(false, Ordering::SeqCst) {
            flow::wake(wake);
        }
        let last = matches!(message, SinkMessage::End(_));
        let begin = task.clock.monotonic();
        task.handle(message).await?;
        if let Some(m) = task.metrics.subtask(task.node.0, task.subtask) {
            let took = task.clock.monotonic().saturating_sub(begin);
            m.busy_us.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
            m.bytes_out.store(task.writer.bytes_written(), Ordering::Relaxed);
        }
        if last {
            return Ok(());
        }
    }
    if task.shared.is_cancelled() {
        return Ok(());
    }
    // A worker that is gone looks like one that is done; only an explicit end is an end.
    Err(Error::internal("the input of the writer closed without its end"))
}

impl SinkTask {
    async fn handle(&mut self, message: SinkMessage) -> Result<()> {
        match message {
            SinkMessage::Rows { batch, bytes } => {
                let rows = batch.num_rows() as u64;
                if let Some(m) = self.metrics.subtask(self.node.0, self.subtask) {
                    m.records_out.fetch_add(rows, Ordering::Relaxed);
                    m.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
                }
                let begin = self.clock.monotonic();
                let written = self.writer.write(batch).await;
                self.sent(begin, rows, written.is_err());
                written
            }
            SinkMessage::Watermark(watermark) => self.writer.write_watermark(watermark).await,
            SinkMessage::Barrier(checkpoint) => self.prepare(checkpoint, false).await,
            SinkMessage::End(next) => self.prepare(next, true).await,
        }
    }

    /// The outside has taken something, or refused so many rows.
    fn sent(&self, begin: Duration, rows: u64, refused: bool) {
        let Some(m) = self.metrics.subtask(self.node.0, self.subtask) else { return };
        let took = self.clock.monotonic().saturating_sub(begin);
        m.send_time_ms.store(u64::try_from(took.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        if refused {
            m.send_errors.fetch_add(rows, Ordering::Relaxed);
        }
    }

    async fn prepare(&mut self, checkpoint: CheckpointId, end: bool) -> Result<()> {
        let begin = self.clock.monotonic();
        let flushed = self.writer.flush(end).await;
        // How many of the rows that waited were refused nobody says.
        self.sent(begin, 1, flushed.is_err());
        flushed?;
        self.fail_points.hit(FailPoint::AfterSnapshotBeforePrepare);
        let committables = self.writer.prepare_commit(checkpoint).await?;
        let writer_state = self.writer.snapshot_state(checkpoint).await?;
        self.metrics.subtask(self.node.0, self.subtask).inspect(|m| m.mark_written(checkpoint.0));
        self.shared.events.push(TaskEvent::SinkPrepared {
            checkpoint: (!end).then_some(checkpoint),
            node: self.node,
            subtask: self.subtask,
            committables,
            writer_state,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{ArrayRef, RecordBatch, UInt8Array};
    use arrow_buffer::{Buffer, ScalarBuffer};
    use async_trait::async_trait;
    use bytes::Bytes;
    use flott_core::clock::SystemClock;

    use super::*;
    use crate::memory::Memory;

    struct Failing {
        panics: bool,
    }

    #[async_trait]
    impl SinkWriter for Failing {
        async fn write(&mut self, _: ChangeBatch) -> Result<()> {
            if self.panics {
                panic!("the cause");
            }
            Err(Error::data("the cause"))
        }
        async fn flush(&mut self, _end_of_input: bool) -> Result<()> {
            Ok(())
        }
    }

    /// One byte that notes, when it is dropped, whether the attempt had failed by then.
    struct Witness(Arc<Shared>, Arc<AtomicBool>);

    impl AsRef<[u8]> for Witness {
        fn as_ref(&self) -> &[u8] {
            &[7]
        }
    }

    impl Drop for Witness {
        fn drop(&mut self) {
            self.1.store(self.0.has_failed(), Ordering::SeqCst);
        }
    }

    fn rows(of: impl AsRef<[u8]> + Send + Sync + 'static) -> SinkMessage {
        let bytes = ScalarBuffer::from(Buffer::from(Bytes::from_owner(of)));
        let column: ArrayRef = Arc::new(UInt8Array::new(bytes, None));
        let batch = ChangeBatch::append(RecordBatch::try_from_iter([("b", column)]).expect("a batch"));
        SinkMessage::Rows { batch, bytes: 1 }
    }

    /// The worker that finds the channel closed has a failure to tell, too, and must not be first with it.
    #[tokio::test]
    async fn the_cause_is_told_before_the_channel_closes() {
        for panics in [false, true] {
            let shared = Shared::new(1, 1, Memory::new(None));
            let wake = timely::execute_directly(|worker| worker.sync_activator_for(vec![0]));
            let task = SinkTask {
                node: NodeId(0),
                subtask: 0,
                writer: Box::new(Failing { panics }),
                shared: Arc::clone(&shared),
                metrics: Arc::default(),
                clock: SystemClock::shared(),
                fail_points: FailPoints::none(),
            };
            let (mut queue, running) = channel(task, wake);
            let failed_before = Arc::new(AtomicBool::new(false));
            let waits = Witness(Arc::clone(&shared), Arc::clone(&failed_before));
            for message in [rows([7]), rows(waits)] {
                queue.waiting.push_back(Waiting { capability: None, message, ticket: None });
            }
            queue.push();
            running.await;
            assert!(failed_before.load(Ordering::SeqCst), "the channel has closed before the cause was told");
            queue.waiting.push_back(Waiting { capability: None, message: rows([7]), ticket: None });
            queue.push();
            match shared.events.next().await {
                TaskEvent::Failed { error, .. } => assert!(error.to_string().contains("the cause"), "{error}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
