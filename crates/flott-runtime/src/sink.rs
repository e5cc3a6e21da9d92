//! Sinks: the driver's output goes through a bounded channel to an async task with the writer.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flott_connector::sink::SinkWriter;
use flott_core::{ChangeBatch, CheckpointId, Error, FailPoint, FailPoints, Result, Watermark};
use flott_graph::NodeId;
use timely::dataflow::operators::Capability;
use timely::scheduling::SyncActivator;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::api::TaskEvent;
use crate::container::{Control, Envelope, Payload};
use crate::driver::Emit;
use crate::flow::Shared;
use crate::metrics::JobMetrics;

/// Batches between a worker and its writer.
const QUEUE: usize = 4;

/// What a writer is told.
pub(crate) enum SinkMessage {
    Rows(ChangeBatch),
    Watermark(Watermark),
    Barrier(CheckpointId),
    End(CheckpointId),
}

/// The worker's end of the channel. A message keeps its capability until the task has taken it, so that what waits here
/// counts as in flight.
pub(crate) struct SinkQueue {
    sender: Option<mpsc::Sender<SinkMessage>>,
    waiting: VecDeque<(Option<Capability<u64>>, SinkMessage)>,
    armed: Arc<AtomicBool>,
    shared: Arc<Shared>,
    node: NodeId,
}

impl SinkQueue {
    /// Hands over what the channel takes; armed, the task wakes the worker when there is room.
    pub(crate) fn push(&mut self) {
        let Some(sender) = &self.sender else { return };
        let mut armed = false;
        while let Some((capability, message)) = self.waiting.pop_front() {
            let is_end = matches!(message, SinkMessage::End(_));
            match sender.try_send(message) {
                Ok(()) if is_end => {
                    self.sender = None;
                    return;
                }
                Ok(()) => {}
                Err(TrySendError::Full(message)) => {
                    self.waiting.push_front((capability, message));
                    if armed {
                        return;
                    }
                    // Looked at once more after arming: the room may have come in between.
                    self.armed.store(true, Ordering::SeqCst);
                    armed = true;
                }
                Err(TrySendError::Closed(_)) => {
                    if !self.shared.is_cancelled() {
                        self.shared.fail(Some(self.node), Error::internal("the writer ended without a word"));
                    }
                    self.sender = None;
                    self.waiting.clear();
                    return;
                }
            }
        }
    }
}

/// The queue as the driver's output.
pub(crate) struct SinkEmit(pub(crate) Rc<RefCell<SinkQueue>>);

impl Emit for SinkEmit {
    fn emit(&mut self, capability: &Capability<u64>, envelope: Envelope) {
        let message = match envelope.payload {
            Payload::Data { port: 0, batch } => SinkMessage::Rows(batch),
            Payload::Control { control: Control::Watermark(ms), .. } => SinkMessage::Watermark(Watermark(ms)),
            _ => return,
        };
        let mut queue = self.0.borrow_mut();
        queue.waiting.push_back((Some(capability.clone()), message));
        queue.push();
    }

    fn is_blocked(&self) -> bool {
        !self.0.borrow().waiting.is_empty()
    }

    fn barrier(&mut self, checkpoint: CheckpointId) {
        let mut queue = self.0.borrow_mut();
        queue.waiting.push_back((None, SinkMessage::Barrier(checkpoint)));
        queue.push();
    }

    fn end(&mut self, next: CheckpointId) {
        let mut queue = self.0.borrow_mut();
        queue.waiting.push_back((None, SinkMessage::End(next)));
        queue.push();
    }
}

/// What the writer's task needs.
pub(crate) struct SinkTask {
    pub(crate) node: NodeId,
    pub(crate) subtask: usize,
    pub(crate) writer: Box<dyn SinkWriter>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) metrics: Arc<JobMetrics>,
    pub(crate) fail_points: FailPoints,
}

/// The queue for the worker, and the task's future.
pub(crate) fn channel(
    task: SinkTask,
    wake: SyncActivator,
) -> (SinkQueue, impl Future<Output = ()> + Send + 'static) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let armed = Arc::new(AtomicBool::new(false));
    let queue = SinkQueue {
        sender: Some(sender),
        waiting: VecDeque::new(),
        armed: Arc::clone(&armed),
        shared: Arc::clone(&task.shared),
        node: task.node,
    };
    (queue, run(task, receiver, armed, wake))
}

async fn run(mut task: SinkTask, mut receiver: mpsc::Receiver<SinkMessage>, armed: Arc<AtomicBool>, wake: SyncActivator) {
    while let Some(message) = receiver.recv().await {
        if armed.swap(false, Ordering::SeqCst) {
            wake.activate().ok();
        }
        let last = matches!(message, SinkMessage::End(_));
        if let Err(e) = task.handle(message).await {
            task.shared.fail(Some(task.node), e);
            break;
        }
        if last {
            break;
        }
    }
    if let Err(e) = task.writer.close().await
        && !task.shared.is_cancelled()
    {
        task.shared.fail(Some(task.node), e);
    }
}

impl SinkTask {
    async fn handle(&mut self, message: SinkMessage) -> Result<()> {
        match message {
            SinkMessage::Rows(batch) => {
                if let Some(m) = self.metrics.subtask(self.node.0, self.subtask) {
                    m.records_out.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
                    m.bytes_in.fetch_add(batch.size_bytes() as u64, Ordering::Relaxed);
                }
                self.writer.write(batch).await
            }
            SinkMessage::Watermark(watermark) => self.writer.write_watermark(watermark).await,
            SinkMessage::Barrier(checkpoint) => self.prepare(checkpoint, false).await,
            SinkMessage::End(next) => self.prepare(next, true).await,
        }
    }

    async fn prepare(&mut self, checkpoint: CheckpointId, end: bool) -> Result<()> {
        self.writer.flush(end).await?;
        self.fail_points.hit(FailPoint::AfterSnapshotBeforePrepare);
        let committables = self.writer.prepare_commit(checkpoint).await?;
        let writer_state = self.writer.snapshot_state(checkpoint).await?;
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
