//! Sources: an async task reads (`reading.rs`), a timely operator gives rows their time, their watermarks and their place before or
//! behind a barrier.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flott_connector::source::{SourceBatch, SourceReader};
use flott_core::{ChangeBatch, CheckpointId, Error, FailPoint, FailPoints, Result};
use flott_graph::SourceSpec;
use flott_operator::WatermarkGenerator;
use timely::dataflow::operators::Capability;
use timely::scheduling::SyncActivator;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::task::JoinHandle;

use crate::alignment::Alignment;
use crate::api::{SplitState, TaskCommand, TaskEvent};
use crate::container::{Control, Envelope};
use crate::driver::{Emit, Task, panicked};
use crate::flow::{InFlight, epoch_of, epoch_start, tick_after};
use crate::metrics::SplitWatermark;
use crate::reading::{Item, ItemSender, QUEUE, Reading, ToReader};

/// Commands that a reader may have to catch up with.
const COMMAND_QUEUE: usize = 1_024;
/// Commands that a worker may have to catch up with: they come in bursts, one a split.
const COMMANDS_MAX: usize = 65_536;
/// What a message counts for in flight beside its rows, so that watermarks without rows have a bound, too.
const MESSAGE_BYTES: usize = 64;
/// The port by which records leave that could not be read.
const DEAD_LETTERS: usize = 1;
/// Batches that are taken in one go before other operators have their turn.
const BATCHES_PER_TURN: usize = 16;

/// Commands for one source subtask, in the order in which they were sent.
pub(crate) struct CommandQueue {
    /// None once the subtask has ended: nobody would take what is sent to all.
    commands: Mutex<Option<VecDeque<TaskCommand>>>,
    wake: Mutex<Option<SyncActivator>>,
}

impl CommandQueue {
    pub(crate) fn new() -> Arc<CommandQueue> {
        Arc::new(CommandQueue { commands: Mutex::new(Some(VecDeque::new())), wake: Mutex::new(None) })
    }

    /// Hands over a command; an error where the worker is too far behind.
    pub(crate) fn push(&self, command: TaskCommand) -> Result<()> {
        if let Some(commands) = &mut *self.commands.lock().unwrap_or_else(PoisonError::into_inner) {
            let aligns = |command: &TaskCommand| matches!(command, TaskCommand::AlignWatermark { .. });
            if aligns(&command) && commands.back().is_some_and(aligns) {
                // The newer one says it all.
                commands.pop_back();
            } else if commands.len() >= COMMANDS_MAX {
                return Err(Error::unavailable("a source does not take its commands")
                    .hint("An operator or function that works for very long holds its worker thread up"));
            }
            commands.push_back(command);
        } else {
            return Ok(());
        }
        if let Some(wake) = &*self.wake.lock().unwrap_or_else(PoisonError::into_inner) {
            wake.activate().ok();
        }
        Ok(())
    }

    fn pop(&self) -> Option<TaskCommand> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).as_mut()?.pop_front()
    }

    fn close(&self) {
        *self.commands.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Commands that nobody has taken.
    pub(crate) fn len(&self) -> usize {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map_or(0, VecDeque::len)
    }

    pub(crate) fn set_waker(&self, wake: SyncActivator) {
        *self.wake.lock().unwrap_or_else(PoisonError::into_inner) = Some(wake);
    }
}

struct Split {
    /// The position, and the last watermark that has left.
    state: SplitState,
    generator: Option<WatermarkGenerator>,
    /// Since when a watermark has been waiting to leave.
    waits_since: Option<Duration>,
    last_row: Duration,
    /// No row for the idle timeout: it does not hold the watermark.
    idle: bool,
    /// Too far ahead of others.
    paused: bool,
    /// When its watermark last moved, ms since the epoch.
    since_ms: i64,
}

impl Split {
    /// As a checkpoint holds it: with the watermark of all its rows.
    fn stored(&self) -> SplitState {
        let watermark_ms = self.generator.as_ref().map_or(self.state.watermark_ms, WatermarkGenerator::current);
        SplitState { watermark_ms, ..self.state.clone() }
    }

    /// The watermark of all its rows leaves; false where it has left already.
    fn flush(&mut self, now_ms: i64) -> bool {
        self.waits_since = None;
        let Some(w) = self.generator.as_mut().and_then(WatermarkGenerator::flush) else { return false };
        (self.state.watermark_ms, self.since_ms) = (w.0, now_ms);
        true
    }

    /// For those who ask what holds event time back.
    /// `waits` says that the whole reader is ahead of its alignment group.
    fn show(&self, id: &str, task: &Task, waits: bool) {
        if let Some(m) = task.metrics() {
            let Split { since_ms, idle, .. } = *self;
            let paused = self.paused || waits;
            m.set_split(id, Some(SplitWatermark { watermark_ms: self.state.watermark_ms, since_ms, idle, paused }));
        }
    }
}

/// The timely side of one source subtask.
pub(crate) struct SourceDriver {
    task: Task,
    spec: SourceSpec,
    items: mpsc::Receiver<Item>,
    armed: Arc<AtomicBool>,
    holding: Arc<AtomicBool>,
    to_reader: mpsc::Sender<ToReader>,
    commands: Arc<CommandQueue>,
    capability: Option<Capability<u64>>,
    fail_points: FailPoints,
    splits: BTreeMap<String, Split>,
    /// How far those came that have ended, and since when what has not left has been waiting: the next ones go on from
    /// there, as in Flink, whose generator stands behind the reader.
    finished: Option<(WatermarkGenerator, Duration)>,
    watermark_ms: i64,
    /// All splits are.
    idle: bool,
    /// Of any split, or the start of waiting without one.
    last_row: Duration,
    /// The end of the last turn.
    last_turn: Duration,
    in_flight: InFlight,
    /// What of it the job's account has.
    held_bytes: u64,
    buffer_timeout: Duration,
    /// The open tick has rows since then.
    dirty_since: Option<Duration>,
    blocked_since: Option<Duration>,
    alignment: Option<Alignment>,
    /// The last turn read nothing, since event time was too far ahead.
    held: bool,
    /// It is, as those are told who ask what holds event time back.
    waits: bool,
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
    pub(crate) fn start(start: SourceStart) -> (SourceDriver, JoinHandle<()>) {
        let SourceStart { task, spec, reader, commands, capability, fail_points, wake, tokio, .. } = start;
        let (sender, items) = mpsc::channel(QUEUE);
        let (to_reader, from_driver) = mpsc::channel(COMMAND_QUEUE);
        let (armed, holding) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        commands.set_waker(wake.clone());
        let output = ItemSender::new(sender, &armed, &holding, wake);
        let reading = Reading {
            node: task.node,
            subtask: task.index,
            shared: Arc::clone(&task.shared),
            metrics: Arc::clone(&task.metrics),
        };
        let running = tokio.spawn(reading.run(reader, from_driver, output));
        // What an attempt before this one has read is gone.
        task.metrics().inspect(|m| m.set_splits(BTreeMap::new()));
        let now = task.clock.monotonic();
        let alignment = spec.watermark.as_ref().and_then(|w| w.alignment.as_ref()).map(|a| Alignment::new(a, now));
        let driver = SourceDriver {
            task,
            spec,
            items,
            armed,
            holding,
            to_reader,
            commands,
            capability: Some(capability),
            fail_points,
            splits: BTreeMap::new(),
            finished: None,
            watermark_ms: i64::MIN,
            idle: false,
            last_row: now,
            last_turn: now,
            in_flight: InFlight::new(start.in_flight_bytes),
            held_bytes: 0,
            buffer_timeout: start.buffer_timeout,
            dirty_since: None,
            blocked_since: None,
            alignment,
            held: false,
            waits: false,
        };
        (driver, running)
    }

    /// Works until there is nothing to read or no room.
    pub(crate) fn run(&mut self, out: &mut dyn Emit) {
        let begin = self.task.clock.monotonic();
        let result = catch_unwind(AssertUnwindSafe(|| self.try_run(out)))
            .unwrap_or_else(|panic| Err(panicked("the source", panic.as_ref())));
        self.task.was_busy_since(begin);
        if let Err(e) = result {
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
        let announced = self.task.shared.announced(epoch_of(self.time()));
        if announced > self.time() {
            self.close_tick(announced);
        }
        if self.task.shared.is_behind_stop(epoch_of(self.time())) {
            // What was read and not sent is read again after a restore.
            return Ok(());
        }
        self.in_flight.drain(self.task.probe.frontier());
        let now = self.task.clock.monotonic();
        if let Some(since) = self.blocked_since.take() {
            if let Some(m) = self.task.metrics() {
                m.back_pressured_ms.fetch_add((now - since).as_millis() as u64, Ordering::Relaxed);
            }
            self.was_reading_nothing(now);
        }
        if std::mem::take(&mut self.held) {
            self.was_reading_nothing(now);
        }
        if self.holding.load(Ordering::SeqCst) {
            self.pause_idleness(now);
        }
        self.flush_watermarks(now, out)?;
        let more = self.turn(now, out)?;
        if let Some(at) = self.next_flush() {
            self.task.alarm.wake_at(at, now, &self.task.activator);
        }
        // Once it has ended nobody would tell that its rows have left.
        let in_flight = if self.capability.is_some() { self.in_flight.bytes() as u64 } else { 0 };
        let before = std::mem::replace(&mut self.held_bytes, in_flight);
        self.task.shared.holds(before, in_flight, &self.task.metrics);
        self.last_turn = self.task.clock.monotonic();
        if self.capability.is_some() {
            self.report_alignment();
        }
        if more {
            self.task.again();
        }
        Ok(())
    }

    /// While nothing was read nobody can tell who was idle.
    fn was_reading_nothing(&mut self, now: Duration) {
        self.last_row = now;
        self.splits.values_mut().for_each(|s| s.last_row = now);
    }

    /// Tells how far event time has come, where others wait for it or it for others.
    fn report_alignment(&mut self) {
        let now = self.task.clock.monotonic();
        let watermark_ms = (!self.idle && self.watermark_ms != i64::MIN).then_some(self.watermark_ms);
        let Some(alignment) = &mut self.alignment else { return };
        if let Some((watermark_ms, held)) = alignment.report(watermark_ms, self.held, now) {
            let (node, subtask) = (self.task.node, self.task.index);
            self.task.shared.events.push(TaskEvent::WatermarkReport { node, subtask, watermark_ms, held });
        }
        self.task.alarm.wake_at(alignment.next_report(), now, &self.task.activator);
    }

    fn is_ahead(&self) -> bool {
        self.alignment.as_ref().is_some_and(|a| a.is_ahead(self.watermark_ms))
    }

    /// Of several splits those that are ahead stop, so that the others can catch up.
    fn align_splits(&mut self) -> Result<()> {
        let Some(alignment) = &self.alignment else { return Ok(()) };
        let (several, now) = (self.splits.len() > 1, self.task.clock.monotonic());
        let (mut pause, mut resume) = (vec![], vec![]);
        for (id, split) in &mut self.splits {
            match (alignment.is_ahead(split.state.watermark_ms), split.paused) {
                (true, false) if several => pause.push(id.clone()),
                (false, true) => resume.push(id.clone()),
                _ => continue,
            }
            split.paused = !split.paused;
            split.last_row = now;
            split.show(id, &self.task, self.waits);
        }
        if pause.is_empty() && resume.is_empty() {
            return Ok(());
        }
        self.send_to_reader(ToReader::Align { pause, resume })
    }

    /// While the reader could not hand over what it had it read nothing, and nobody can tell who was idle.
    fn pause_idleness(&mut self, now: Duration) {
        let pause = now.saturating_sub(self.last_turn);
        let later = |last: Duration| (last + pause).min(now);
        self.last_row = later(self.last_row);
        self.splits.values_mut().for_each(|s| s.last_row = later(s.last_row));
    }

    /// Reads a few batches; true where more may be there.
    fn turn(&mut self, now: Duration, out: &mut dyn Emit) -> Result<bool> {
        for _ in 0..BATCHES_PER_TURN {
            let old = self.dirty_since.is_some_and(|since| self.task.clock.monotonic() - since >= self.buffer_timeout);
            let epoch = epoch_of(self.time());
            let room = self.in_flight.has_room()
                && self.task.shared.has_room_behind(self.task.node, epoch, self.in_flight.most());
            let ahead = self.is_ahead();
            if self.dirty_since.is_some() && (old || !room || ahead || self.in_flight.tick_is_full()) {
                self.close_tick(tick_after(self.time())?);
            }
            if !room {
                self.blocked_since = Some(self.task.clock.monotonic());
                self.task.probe.wake_when_moved(Rc::clone(&self.task.activator));
                return Ok(false);
            }
            if ahead != self.waits {
                self.waits = ahead;
                self.splits.iter().for_each(|(id, split)| split.show(id, &self.task, ahead));
            }
            if ahead {
                self.held = true;
                return Ok(false);
            }
            match self.next_item()? {
                Some(Item::Batch(batch, bytes, room)) => {
                    drop(room);
                    self.on_batch(batch, bytes, out)?;
                }
                Some(Item::SplitFinished(id)) => {
                    self.finish_split(&id);
                    self.advance_watermark(out);
                    self.align_splits()?;
                }
                Some(Item::End) => {
                    self.end(out)?;
                    return Ok(false);
                }
                None => {
                    // A row that waits for its place in the queue is not missing.
                    if !self.holding.load(Ordering::SeqCst) {
                        self.look_for_idle(now, out);
                    }
                    self.wait_for_more();
                    return Ok(false);
                }
            }
        }
        // More was read than can have waited when the turn began, so whoever had no row by then has had none.
        const { assert!(BATCHES_PER_TURN > QUEUE + 1) };
        self.look_for_idle(now, out);
        Ok(true)
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

    fn watermark_interval(&self) -> Duration {
        self.spec.watermark.as_ref().map_or(Duration::ZERO, |w| w.interval)
    }

    /// When the first of the watermarks that wait has to leave.
    fn next_flush(&self) -> Option<Duration> {
        self.capability.as_ref()?;
        let splits = self.splits.values().filter_map(|s| s.waits_since);
        let finished = self.finished.iter().filter(|(g, _)| self.splits.is_empty() && g.is_pending()).map(|f| f.1);
        splits.chain(finished).min().map(|since| since + self.watermark_interval())
    }

    /// A watermark that has moved by less than the interval leaves once that has passed.
    fn flush_watermarks(&mut self, now: Duration, out: &mut dyn Emit) -> Result<()> {
        if self.next_flush().is_none_or(|at| now < at) {
            return Ok(());
        }
        let (interval, now_ms) = (self.watermark_interval(), self.task.clock.now_ms());
        for (id, split) in &mut self.splits {
            if split.waits_since.is_some_and(|since| now >= since + interval) && split.flush(now_ms) {
                split.show(id, &self.task, self.waits);
            }
        }
        if self.splits.is_empty()
            && let Some(w) = self.finished.as_mut().and_then(|f| f.0.flush())
        {
            self.raise_watermark(w.0, out);
        }
        self.advance_watermark(out);
        self.align_splits()
    }

    /// Those that come after a split go on from its watermark.
    fn finish_split(&mut self, id: &str) {
        self.task.metrics().inspect(|m| m.set_split(id, None));
        let Some(generator) = self.splits.remove(id).and_then(|s| s.generator) else { return };
        let now = self.task.clock.monotonic();
        match &mut self.finished {
            Some((before, since)) => {
                before.absorb(generator.current());
                *since = now;
            }
            None => self.finished = Some((generator, now)),
        }
    }

    fn idle_timeout(&self) -> Option<Duration> {
        self.spec.watermark.as_ref().and_then(|w| w.idle_timeout)
    }

    /// The open tick is closed by a timer, and idleness is noticed by one.
    fn wait_for_more(&mut self) {
        let now = self.task.clock.monotonic();
        let tick = self.dirty_since.map(|since| since + self.buffer_timeout);
        let idle = self.idle_timeout().and_then(|timeout| {
            let splits = self.splits.values().filter(|s| !s.idle && !s.paused).map(|s| s.last_row);
            let source = (!self.idle && self.splits.is_empty()).then_some(self.last_row);
            splits.chain(source).min().map(|last| last + timeout)
        });
        if let Some(at) = [tick, idle].into_iter().flatten().min() {
            self.task.alarm.wake_at(at, now, &self.task.activator);
        }
    }

    /// Splits without a row for long enough no longer hold the watermark; where all are so, the source is idle.
    fn look_for_idle(&mut self, now: Duration, out: &mut dyn Emit) {
        let Some(timeout) = self.idle_timeout() else { return };
        let is_late = |s: &Split| !s.idle && !s.paused && now >= s.last_row + timeout;
        if !self.splits.values().any(is_late) {
            return self.look_for_all_idle(now, timeout, out);
        }
        let now_ms = self.task.clock.now_ms();
        // What an idle one says nobody hears: how far it came is said before.
        for split in self.splits.values_mut().filter(|s| is_late(s)) {
            split.flush(now_ms);
        }
        self.advance_watermark(out);
        for (id, split) in &mut self.splits {
            if is_late(split) {
                split.idle = true;
                split.show(id, &self.task, self.waits);
            }
        }
        self.advance_watermark(out);
        self.look_for_all_idle(now, timeout, out);
    }

    fn look_for_all_idle(&mut self, now: Duration, timeout: Duration, out: &mut dyn Emit) {
        let all = self.splits.values().all(|s| s.idle) && now >= self.last_row + timeout;
        if all && !self.idle {
            self.set_idle(true, out);
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
            self.in_flight.open += MESSAGE_BYTES;
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
                TaskCommand::TriggerCheckpoint(checkpoint) | TaskCommand::StopWithCheckpoint(checkpoint) => {
                    self.on_barrier(checkpoint);
                }
                TaskCommand::Resume => {
                    // Nothing was read meanwhile; and timers behind that have come due hear of the new tick.
                    self.was_reading_nothing(self.task.clock.monotonic());
                    if self.capability.is_some() {
                        self.close_tick(tick_after(self.time())?);
                    }
                }
                TaskCommand::AssignSplits { splits, .. } => {
                    let last_row = self.task.clock.monotonic();
                    self.last_row = last_row;
                    for state in &splits {
                        let split = self.new_split(state.clone(), last_row);
                        split.show(&state.split.id, &self.task, self.waits);
                        self.splits.insert(state.split.id.clone(), split);
                    }
                    let (node, subtask) = (self.task.node, self.task.index);
                    self.send_to_reader(ToReader::Command(TaskCommand::AssignSplits { node, subtask, splits }))?;
                }
                TaskCommand::AlignWatermark { max_watermark_ms, .. } => {
                    if let Some(alignment) = &mut self.alignment {
                        alignment.set_max_watermark(max_watermark_ms);
                    }
                    self.align_splits()?;
                }
                other => self.send_to_reader(ToReader::Command(other))?,
            }
        }
        Ok(())
    }

    fn new_split(&self, mut state: SplitState, now: Duration) -> Split {
        let generator = self.spec.watermark.as_ref().filter(|w| !w.from_source).map(|w| {
            let mut generator = match &self.finished {
                Some((finished, _)) if !w.pushed_down => finished.clone(),
                _ => WatermarkGenerator::new(w, i64::MIN),
            };
            generator.absorb(state.watermark_ms);
            generator
        });
        if generator.is_some() {
            // It leaves again, after an interval at the latest.
            state.watermark_ms = i64::MIN;
        }
        let waits_since = generator.as_ref().filter(|g| g.is_pending()).map(|_| now);
        let since_ms = self.task.clock.now_ms();
        Split { state, generator, waits_since, last_row: now, idle: false, paused: false, since_ms }
    }

    fn send_to_reader(&mut self, command: ToReader) -> Result<()> {
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
        let splits: Vec<SplitState> = self.splits.values().map(Split::stored).collect();
        let (node, subtask) = (self.task.node, self.task.index);
        // A reader that is stuck hears of the next one.
        self.to_reader.try_send(ToReader::Snapshot(checkpoint, splits.iter().map(|s| s.split.clone()).collect())).ok();
        self.task.metrics().inspect(|m| m.mark(checkpoint.0));
        self.task.shared.events.push(TaskEvent::SourceSnapshot { checkpoint, node, subtask, splits });
        self.close_tick(epoch_start(checkpoint.0 + 1));
    }

    fn on_batch(&mut self, batch: SourceBatch, bytes: usize, out: &mut dyn Emit) -> Result<()> {
        if batch.rows.num_rows() > 0 {
            self.last_row = self.task.clock.monotonic();
            if self.idle {
                self.set_idle(false, out);
            }
        }
        if let Some(m) = self.task.metrics() {
            // A source takes in what it gives out, and what its format skips.
            m.records_in.fetch_add(batch.rows.num_rows() as u64 + batch.skipped, Ordering::Relaxed);
            m.records_out.fetch_add(batch.rows.num_rows() as u64, Ordering::Relaxed);
            m.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
            m.records_skipped.fetch_add(batch.skipped, Ordering::Relaxed);
        }
        if let Some(letters) = batch.dead_letters {
            self.send(Envelope::data(DEAD_LETTERS, ChangeBatch::append(letters)), out);
        }
        let now_ms = self.task.clock.now_ms();
        let Some(split) = self.splits.get_mut(&batch.split) else {
            return Err(Error::internal(format!("rows of split '{}', which was never assigned", batch.split)));
        };
        split.state.split.data = batch.position;
        if batch.rows.num_rows() > 0 {
            (split.last_row, split.idle) = (self.last_row, false);
        }
        let watermark_before_ms = split.state.watermark_ms;
        self.in_flight.open += bytes;
        match &mut split.generator {
            Some(generator) => {
                let pieces = generator.process(batch.rows, now_ms)?;
                for (rows, watermark) in pieces {
                    if rows.num_rows() > 0 {
                        self.send(Envelope::data(0, rows), out);
                    }
                    if let (Some(w), Some(split)) = (watermark, self.splits.get_mut(&batch.split)) {
                        (split.state.watermark_ms, split.waits_since) = (w.0, None);
                        self.advance_watermark(out);
                    }
                }
            }
            None => {
                if batch.rows.num_rows() > 0 {
                    self.send(Envelope::data(0, batch.rows), out);
                }
                if let (Some(w), Some(split)) = (batch.watermark, self.splits.get_mut(&batch.split)) {
                    split.state.watermark_ms = split.state.watermark_ms.max(w.0);
                    self.advance_watermark(out);
                }
            }
        }
        if let Some(split) = self.splits.get_mut(&batch.split) {
            if split.state.watermark_ms != watermark_before_ms {
                split.since_ms = now_ms;
            }
            if split.generator.as_ref().is_some_and(WatermarkGenerator::is_pending) {
                split.waits_since.get_or_insert(self.last_row);
            }
            split.show(&batch.split, &self.task, self.waits);
        }
        self.align_splits()
    }

    /// The least over the splits that are being read; a finished or idle one holds nobody.
    fn advance_watermark(&mut self, out: &mut dyn Emit) {
        let least = self.splits.values().filter(|s| !s.idle).map(|s| s.state.watermark_ms).min();
        if let Some(ms) = least {
            self.raise_watermark(ms, out);
        }
    }

    fn raise_watermark(&mut self, ms: i64, out: &mut dyn Emit) {
        if ms > self.watermark_ms {
            self.watermark_ms = ms;
            if let Some(m) = self.task.metrics() {
                m.set_watermark(ms, self.task.clock.now_ms());
            }
            self.send(Envelope::control(self.task.index, Control::Watermark(ms)), out);
        }
    }

    fn end(&mut self, out: &mut dyn Emit) -> Result<()> {
        if self.idle {
            self.set_idle(false, out);
        }
        if let Some(m) = self.task.metrics() {
            m.set_watermark(i64::MAX, self.task.clock.now_ms());
            m.set_splits(BTreeMap::new());
            m.mark(epoch_of(self.time()));
        }
        self.send(Envelope::control(self.task.index, Control::Watermark(i64::MAX)), out);
        self.send(Envelope::control(self.task.index, Control::End), out);
        self.close_tick(tick_after(self.time())?);
        self.capability = None;
        self.commands.close();
        let (node, subtask) = (self.task.node, self.task.index);
        let splits: Vec<SplitState> = std::mem::take(&mut self.splits).values().map(Split::stored).collect();
        if !splits.is_empty() {
            self.task.shared.events.push(TaskEvent::SourceDrained { node, subtask, splits });
        }
        self.task.shared.events.push(TaskEvent::SourceEnded { node, subtask });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use flott_graph::NodeId;

    use super::*;

    #[test]
    fn a_worker_that_takes_no_commands_is_told_of_in_the_end() {
        let queue = CommandQueue::new();
        let align = |max_watermark_ms| TaskCommand::AlignWatermark { node: NodeId(0), subtask: 0, max_watermark_ms };
        for ms in 0..100 {
            queue.push(align(ms)).expect("room");
        }
        assert_eq!(queue.len(), 1, "only the last one counts");
        for checkpoint in 1..COMMANDS_MAX as u64 {
            queue.push(TaskCommand::TriggerCheckpoint(CheckpointId(checkpoint))).expect("room");
        }
        queue.push(TaskCommand::Resume).expect_err("there is no room");
        assert!(matches!(queue.pop(), Some(TaskCommand::AlignWatermark { max_watermark_ms: 99, .. })));
        queue.push(TaskCommand::Resume).expect("room");
        queue.close();
        queue.push(TaskCommand::Resume).expect("nobody is there to take it");
    }
}
