//! Sources: an async task reads, a timely operator gives rows their time, their watermarks and their place before or
//! behind a barrier.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flott_connector::source::{ReaderEvent, SourceBatch, SourceReader};
use flott_core::{CheckpointId, Error, FailPoint, FailPoints, Result};
use flott_graph::{NodeId, SourceSpec};
use flott_operator::WatermarkGenerator;
use timely::dataflow::operators::Capability;
use timely::scheduling::SyncActivator;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;

use crate::api::{SplitState, TaskCommand, TaskEvent};
use crate::container::{Control, Envelope};
use crate::driver::{Emit, Task};
use crate::flow::{InFlight, Shared, epoch_of, epoch_start};

/// Batches between a reader and its worker.
const QUEUE: usize = 4;
/// Commands that a reader may have to catch up with.
const COMMAND_QUEUE: usize = 1_024;
/// Batches that are taken in one go before other operators have their turn.
const BATCHES_PER_TURN: usize = 16;

/// What a reader's task sends.
enum Item {
    Batch(SourceBatch),
    SplitFinished(String),
    End,
}

/// Commands for one source subtask, in the order in which they were sent.
pub(crate) struct CommandQueue {
    commands: Mutex<VecDeque<TaskCommand>>,
    wake: Mutex<Option<SyncActivator>>,
}

impl CommandQueue {
    pub(crate) fn new() -> Arc<CommandQueue> {
        Arc::new(CommandQueue { commands: Mutex::default(), wake: Mutex::new(None) })
    }

    pub(crate) fn push(&self, command: TaskCommand) {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).push_back(command);
        if let Some(wake) = &*self.wake.lock().unwrap_or_else(PoisonError::into_inner) {
            wake.activate().ok();
        }
    }

    fn pop(&self) -> Option<TaskCommand> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    pub(crate) fn set_waker(&self, wake: SyncActivator) {
        *self.wake.lock().unwrap_or_else(PoisonError::into_inner) = Some(wake);
    }
}

struct Split {
    state: SplitState,
    generator: Option<WatermarkGenerator>,
}

/// The timely side of one source subtask.
pub(crate) struct SourceDriver {
    task: Task,
    spec: SourceSpec,
    items: mpsc::Receiver<Item>,
    armed: Arc<AtomicBool>,
    to_reader: mpsc::Sender<TaskCommand>,
    commands: Arc<CommandQueue>,
    capability: Option<Capability<u64>>,
    fail_points: FailPoints,
    splits: BTreeMap<String, Split>,
    watermark_ms: i64,
    idle: bool,
    last_row: Duration,
    in_flight: InFlight,
    buffer_timeout: Duration,
    /// The open tick has rows since then.
    dirty_since: Option<Duration>,
    blocked_since: Option<Duration>,
    draining: bool,
}

/// What is needed to start a source subtask.
pub(crate) struct SourceStart {
    pub(crate) task: Task,
    pub(crate) spec: SourceSpec,
    pub(crate) reader: Option<Box<dyn SourceReader>>,
    pub(crate) commands: Arc<CommandQueue>,
    pub(crate) capability: Capability<u64>,
    pub(crate) fail_points: FailPoints,
    pub(crate) in_flight_bytes: usize,
    pub(crate) buffer_timeout: Duration,
    pub(crate) wake: SyncActivator,
    pub(crate) tokio: tokio::runtime::Handle,
}

impl SourceDriver {
    /// Starts the reader's task. Without a reader the subtask ends at once.
    pub(crate) fn start(start: SourceStart) -> SourceDriver {
        let SourceStart { task, spec, reader, commands, capability, fail_points, wake, tokio, .. } = start;
        let (sender, items) = mpsc::channel(QUEUE);
        let (to_reader, from_driver) = mpsc::channel(COMMAND_QUEUE);
        let armed = Arc::new(AtomicBool::new(false));
        commands.set_waker(wake.clone());
        let output = ItemSender { sender, armed: Arc::clone(&armed), wake };
        let (node, subtask, shared) = (task.node, task.index, Arc::clone(&task.shared));
        tokio.spawn(async move {
            let read = read(reader, node, subtask, from_driver, &output, &shared).await;
            if let Err(e) = read
                && !shared.is_cancelled()
            {
                shared.fail(Some(node), e);
            }
        });
        let now = task.clock.monotonic();
        SourceDriver {
            task,
            spec,
            items,
            armed,
            to_reader,
            commands,
            capability: Some(capability),
            fail_points,
            splits: BTreeMap::new(),
            watermark_ms: i64::MIN,
            idle: false,
            last_row: now,
            in_flight: InFlight::new(start.in_flight_bytes),
            buffer_timeout: start.buffer_timeout,
            dirty_since: None,
            blocked_since: None,
            draining: false,
        }
    }

    /// Works until there is nothing to read or no room.
    pub(crate) fn run(&mut self, out: &mut dyn Emit) {
        if let Err(e) = self.try_run(out) {
            self.task.fail(e);
            self.capability = None;
        }
    }

    fn time(&self) -> u64 {
        self.capability.as_ref().map_or(u64::MAX, |c| *c.time())
    }

    fn try_run(&mut self, out: &mut dyn Emit) -> Result<()> {
        if self.capability.is_none() {
            return Ok(());
        }
        self.obey()?;
        // Others are ahead: close ours and catch up, so that nobody waits for an idle source.
        let announced = self.task.shared.announced();
        if announced > self.time() && epoch_of(announced) == epoch_of(self.time()) {
            self.close_tick(announced);
        }
        self.in_flight.drain(self.task.probe.frontier());
        let now = self.task.clock.monotonic();
        if let Some(since) = self.blocked_since.take()
            && let Some(m) = self.task.metrics()
        {
            m.back_pressured_ms.fetch_add((now - since).as_millis() as u64, Ordering::Relaxed);
        }
        for _ in 0..BATCHES_PER_TURN {
            let old = self.dirty_since.is_some_and(|since| self.task.clock.monotonic() - since >= self.buffer_timeout);
            if old || self.in_flight.tick_is_full() || !self.in_flight.has_room() {
                self.close_tick(self.time() + 1);
            }
            if !self.in_flight.has_room() {
                self.blocked_since = Some(self.task.clock.monotonic());
                self.task.probe.wake_when_moved(Rc::clone(&self.task.activator));
                return Ok(());
            }
            match self.next_item()? {
                Some(Item::Batch(batch)) => self.on_batch(batch, out)?,
                Some(Item::SplitFinished(id)) => {
                    self.splits.remove(&id);
                    self.advance_watermark(out);
                }
                Some(Item::End) => {
                    self.end(out);
                    return Ok(());
                }
                None => {
                    self.wait_for_more(out);
                    return Ok(());
                }
            }
        }
        self.task.again();
        Ok(())
    }

    fn next_item(&mut self) -> Result<Option<Item>> {
        for _ in 0..2 {
            match self.items.try_recv() {
                Ok(item) => return Ok(Some(item)),
                Err(TryRecvError::Disconnected) if self.task.shared.is_cancelled() => return Ok(None),
                // A task that panicked looks like one that is done; only an explicit end is an end.
                Err(TryRecvError::Disconnected) => return Err(Error::internal("the reader ended without a word")),
                Err(TryRecvError::Empty) => self.armed.store(true, Ordering::SeqCst),
            }
        }
        Ok(None)
    }

    /// The open tick is closed by a timer, and idleness is noticed by one.
    fn wait_for_more(&mut self, out: &mut dyn Emit) {
        let now = self.task.clock.monotonic();
        let mut wake: Option<Duration> = None;
        if let Some(since) = self.dirty_since {
            wake = Some((since + self.buffer_timeout).saturating_sub(now));
        }
        if let Some(timeout) = self.spec.watermark.as_ref().and_then(|w| w.idle_timeout)
            && !self.idle
        {
            let left = (self.last_row + timeout).saturating_sub(now);
            if left.is_zero() {
                self.set_idle(true, out);
            } else {
                wake = Some(wake.map_or(left, |w| w.min(left)));
            }
        }
        if let Some(wake) = wake {
            self.task.activator.activate_after(wake.max(Duration::from_micros(100)));
        }
    }

    fn set_idle(&mut self, idle: bool, out: &mut dyn Emit) {
        self.idle = idle;
        if let Some(m) = self.task.metrics() {
            m.idle.store(u64::from(idle), Ordering::Relaxed);
        }
        self.send(Envelope::control(self.task.index, if idle { Control::Idle } else { Control::Active }), out);
    }

    fn send(&mut self, envelope: Envelope, out: &mut dyn Emit) {
        if let Some(capability) = &self.capability {
            out.emit(capability, envelope);
            if self.dirty_since.is_none() {
                self.dirty_since = Some(self.task.clock.monotonic());
            }
        }
    }

    /// Closes the open tick and opens the one at `next`.
    fn close_tick(&mut self, next: u64) {
        let time = self.time();
        self.in_flight.close(time);
        if let Some(capability) = &mut self.capability {
            capability.downgrade(&next);
        }
        if self.dirty_since.take().is_some() && epoch_of(next) == epoch_of(time) {
            self.task.shared.announce(next);
        }
    }

    fn obey(&mut self) -> Result<()> {
        while let Some(command) = self.commands.pop() {
            match command {
                TaskCommand::TriggerCheckpoint(checkpoint) => self.on_barrier(checkpoint),
                TaskCommand::AssignSplits { splits, .. } => {
                    for state in &splits {
                        let generator =
                            self.spec.watermark.as_ref().map(|w| WatermarkGenerator::new(w, state.watermark_ms));
                        self.splits.insert(state.split.id.clone(), Split { state: state.clone(), generator });
                    }
                    let (node, subtask) = (self.task.node, self.task.index);
                    self.to_reader(TaskCommand::AssignSplits { node, subtask, splits })?;
                }
                TaskCommand::Drain => {
                    self.draining = true;
                    self.to_reader(TaskCommand::Drain)?;
                }
                other => self.to_reader(other)?,
            }
        }
        Ok(())
    }

    fn to_reader(&mut self, command: TaskCommand) -> Result<()> {
        match self.to_reader.try_send(command) {
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => {
                Err(Error::unavailable("the reader does not take its commands").hint("The outside system may be stuck"))
            }
        }
    }

    /// Everything that was sent on so far is before the barrier; everything still in the channel is behind it.
    fn on_barrier(&mut self, checkpoint: CheckpointId) {
        self.fail_points.hit(FailPoint::BeforeBarrier);
        if checkpoint.0 < epoch_of(self.time()) {
            return;
        }
        let splits = self.splits.values().map(|s| s.state.clone()).collect();
        let (node, subtask) = (self.task.node, self.task.index);
        self.task.shared.events.push(TaskEvent::SourceSnapshot { checkpoint, node, subtask, splits });
        self.close_tick(epoch_start(checkpoint.0 + 1));
    }

    fn on_batch(&mut self, batch: SourceBatch, out: &mut dyn Emit) -> Result<()> {
        self.last_row = self.task.clock.monotonic();
        if self.idle {
            self.set_idle(false, out);
        }
        let bytes = batch.rows.size_bytes();
        if let Some(m) = self.task.metrics() {
            m.records_out.fetch_add(batch.rows.num_rows() as u64, Ordering::Relaxed);
            m.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
            m.records_skipped.fetch_add(batch.skipped, Ordering::Relaxed);
        }
        let now_ms = self.task.clock.now_ms();
        let Some(split) = self.splits.get_mut(&batch.split) else {
            return Err(Error::internal(format!("rows of split '{}', which was never assigned", batch.split)));
        };
        split.state.split.data = batch.position;
        self.in_flight.open += bytes;
        let from_source = self.spec.watermark.as_ref().is_some_and(|w| w.from_source);
        match &mut split.generator {
            Some(generator) if !from_source => {
                let pieces = generator.process(batch.rows, now_ms)?;
                let last = pieces.len().saturating_sub(1);
                for (i, (rows, watermark)) in pieces.into_iter().enumerate() {
                    if rows.num_rows() > 0 {
                        self.send(Envelope::data(0, rows), out);
                    }
                    if let (Some(w), Some(split)) = (watermark, self.splits.get_mut(&batch.split)) {
                        split.state.watermark_ms = w.0;
                        debug_assert!(i <= last);
                        self.advance_watermark(out);
                    }
                }
            }
            _ => {
                if batch.rows.num_rows() > 0 {
                    self.send(Envelope::data(0, batch.rows), out);
                }
                if let (Some(w), Some(split)) = (batch.watermark, self.splits.get_mut(&batch.split)) {
                    split.state.watermark_ms = split.state.watermark_ms.max(w.0);
                    self.advance_watermark(out);
                }
            }
        }
        Ok(())
    }

    /// The least over the splits that are being read; a finished one holds nobody.
    fn advance_watermark(&mut self, out: &mut dyn Emit) {
        let least = self.splits.values().map(|s| s.state.watermark_ms).min();
        if let Some(ms) = least
            && ms > self.watermark_ms
        {
            self.watermark_ms = ms;
            if let Some(m) = self.task.metrics() {
                m.watermark_ms.store(ms, Ordering::Relaxed);
            }
            self.send(Envelope::control(self.task.index, Control::Watermark(ms)), out);
        }
    }

    fn end(&mut self, out: &mut dyn Emit) {
        if self.idle {
            self.set_idle(false, out);
        }
        if let Some(m) = self.task.metrics() {
            m.watermark_ms.store(i64::MAX, Ordering::Relaxed);
        }
        self.send(Envelope::control(self.task.index, Control::Watermark(i64::MAX)), out);
        self.send(Envelope::control(self.task.index, Control::End), out);
        let next = self.time() + 1;
        self.close_tick(next);
        self.capability = None;
        let (node, subtask) = (self.task.node, self.task.index);
        self.task.shared.events.push(TaskEvent::SourceEnded { node, subtask });
    }
}

/// A reader's end of the channel to its worker.
struct ItemSender {
    sender: mpsc::Sender<Item>,
    armed: Arc<AtomicBool>,
    wake: SyncActivator,
}

impl ItemSender {
    /// False where the worker is gone.
    async fn send(&self, item: Item) -> bool {
        let sent = self.sender.send(item).await.is_ok();
        // The activator's queue has no bound, so the worker is woken only when it has asked for it.
        if self.armed.swap(false, Ordering::SeqCst) {
            self.wake.activate().ok();
        }
        sent
    }
}

/// The reader's task: reads, and obeys commands while it waits.
async fn read(
    reader: Option<Box<dyn SourceReader>>,
    node: NodeId,
    subtask: usize,
    mut commands: mpsc::Receiver<TaskCommand>,
    output: &ItemSender,
    shared: &Shared,
) -> Result<()> {
    let Some(mut reader) = reader else {
        output.send(Item::End).await;
        return Ok(());
    };
    reader.start().await?;
    shared.events.push(TaskEvent::ReaderRegistered { node, subtask });
    // Before it has been given anything a reader has nothing to do.
    let mut has_work = false;
    loop {
        tokio::select! {
            biased;
            command = commands.recv() => match command {
                None => break,
                Some(TaskCommand::AssignSplits { splits, .. }) => {
                    reader.add_splits(splits.into_iter().map(|s| s.split).collect())?;
                    has_work = true;
                }
                Some(TaskCommand::NoMoreSplits { .. }) => {
                    reader.no_more_splits();
                    has_work = true;
                }
                Some(TaskCommand::SourceEvent { event, .. }) => {
                    reader.handle_source_event(event)?;
                    has_work = true;
                }
                Some(TaskCommand::CheckpointComplete(decided)) => reader.notify_checkpoint_complete(&decided).await?,
                Some(TaskCommand::Drain) => {
                    output.send(Item::End).await;
                    break;
                }
                Some(TaskCommand::TriggerCheckpoint(_)) => {}
            },
            event = reader.next(), if has_work => {
                let open = match event? {
                    ReaderEvent::Batch(batch) => output.send(Item::Batch(batch)).await,
                    ReaderEvent::SplitFinished { split } => output.send(Item::SplitFinished(split)).await,
                    ReaderEvent::Event(event) => {
                        shared.events.push(TaskEvent::SourceEvent { node, subtask, event });
                        true
                    }
                    ReaderEvent::NeedSplits => {
                        has_work = false;
                        shared.events.push(TaskEvent::SplitRequest { node, subtask });
                        true
                    }
                    ReaderEvent::EndOfInput => {
                        output.send(Item::End).await;
                        break;
                    }
                };
                if !open {
                    break;
                }
            }
        }
    }
    reader.close().await
}
