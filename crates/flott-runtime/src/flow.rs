//! Time and room: the layout of timely's time, what is in flight, and who is woken when.
//!
//! Timely's time is `epoch << 32 | tick`. All sources share one frontier, so they announce their ticks: a source that
//! lags jumps ahead. What a source may have in flight is bounded in bytes, not in ticks.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use flott_core::{CheckpointId, Error, Result};
use flott_graph::NodeId;
use timely::scheduling::{Activator, SyncActivator};
use tokio::sync::{Notify, watch};

use crate::api::TaskEvent;
use crate::memory::Memory;
use crate::metrics::JobMetrics;
use crate::peers::{NewsQueue, Taken};

/// Wakes an operator from another thread. A worker that has ended needs no waking.
pub(crate) fn wake(activator: &SyncActivator) {
    if activator.activate().is_err() {
        tracing::trace!("the worker has ended");
    }
}

/// First time of an epoch.
pub(crate) fn epoch_start(epoch: u64) -> u64 {
    epoch << 32
}

/// The epoch of a time.
pub(crate) fn epoch_of(time: u64) -> u64 {
    time >> 32
}

/// The next tick of the epoch. Without checkpoints there is only one epoch, and its ticks come to an end after weeks.
pub(crate) fn tick_after(time: u64) -> Result<u64> {
    match time.checked_add(1) {
        Some(next) if epoch_of(next) == epoch_of(time) => Ok(next),
        _ => Err(Error::unavailable("the job has run for too long without a checkpoint (2^32 steps)")
            .hint("Set 'execution.checkpointing.interval', and look why checkpoints fail if it is set")),
    }
}

/// Events of tasks that may wait for the coordinator: those that can come as often as a reader likes.
const EVENTS_MAX: usize = 1_024;

/// Events on their way to the coordinator. Workers never wait for it: theirs are bounded by the protocol, a few per subtask
/// and checkpoint, with one checkpoint at a time, and one report of event time per reader. Readers wait.
#[derive(Default)]
pub(crate) struct EventQueue {
    queue: Mutex<VecDeque<TaskEvent>>,
    ready: Notify,
    room: Notify,
}

impl EventQueue {
    /// From a worker. A report of event time takes the place of one that has not been heard.
    pub(crate) fn push(&self, event: TaskEvent) {
        {
            let mut queue = lock(&self.queue);
            let older = match &event {
                TaskEvent::WatermarkReport { node, subtask, .. } => {
                    let of = (*node, *subtask);
                    queue.iter_mut().find(
                        |e| matches!(e, TaskEvent::WatermarkReport { node, subtask, .. } if (*node, *subtask) == of),
                    )
                }
                _ => None,
            };
            match older {
                Some(older) => *older = event,
                None => queue.push_back(event),
            }
        }
        self.ready.notify_one();
    }

    /// From a reader, which waits while there is much on its way.
    pub(crate) async fn push_in_turn(&self, event: TaskEvent) {
        loop {
            let room = self.room.notified();
            {
                let mut queue = lock(&self.queue);
                if queue.len() < EVENTS_MAX {
                    queue.push_back(event);
                    break;
                }
            }
            room.await;
        }
        self.ready.notify_one();
    }

    pub(crate) async fn next(&self) -> TaskEvent {
        loop {
            let (front, left) = {
                let mut queue = lock(&self.queue);
                (queue.pop_front(), queue.len())
            };
            if let Some(event) = front {
                if left < EVENTS_MAX {
                    self.room.notify_waiters();
                }
                return event;
            }
            self.ready.notified().await;
        }
    }
}

/// Epochs whose announcements are remembered: those that any subtask may still be in.
const ANNOUNCED_EPOCHS_MAX: usize = 64;
/// Triggered checkpoints that are remembered for subtasks that have not seen their barriers.
const TRIGGERED_MAX: usize = 1_024;

/// An operator that waits for room and has to hear of new ticks meanwhile.
pub(crate) struct Listener {
    activator: SyncActivator,
    armed: AtomicBool,
}

impl Listener {
    pub(crate) fn new(activator: SyncActivator) -> Arc<Listener> {
        Arc::new(Listener { activator, armed: AtomicBool::new(false) })
    }
}

/// What all threads of an attempt share.
pub(crate) struct Shared {
    pub(crate) events: EventQueue,
    cancelled: watch::Sender<bool>,
    failed: AtomicBool,
    threads: Mutex<Vec<Thread>>,
    /// The greatest time that any worker has opened, by epoch: an emitter that lags jumps within its own epoch.
    announced: Mutex<BTreeMap<u64, u64>>,
    sources: Mutex<Vec<SyncActivator>>,
    listeners: Mutex<Vec<Arc<Listener>>>,
    triggered: Mutex<BTreeSet<u64>>,
    /// The checkpoint with which the job is to end: the last epoch in which anything is emitted.
    last_epoch: AtomicU64,
    nodes: usize,
    /// Worker threads of this process.
    workers: usize,
    /// The number of this process, and what it tells the others; `None` where there are none.
    process: usize,
    news: Option<NewsQueue>,
    /// Bytes between operators that have tickets, by epoch and the node behind which they wait, and in all.
    queued: Mutex<BTreeMap<u64, Vec<usize>>>,
    queued_total: AtomicUsize,
    /// Somebody waits for `queued` to sink.
    wanted: AtomicBool,
    memory: Memory,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn new(nodes: usize, workers: usize, memory: Memory) -> Arc<Shared> {
        Shared::among(nodes, workers, memory, 0, None)
    }

    /// As process `process` of several, which are told `news`.
    pub(crate) fn among(
        nodes: usize,
        workers: usize,
        memory: Memory,
        process: usize,
        news: Option<NewsQueue>,
    ) -> Arc<Shared> {
        Arc::new(Shared {
            events: EventQueue::default(),
            cancelled: watch::Sender::new(false),
            failed: AtomicBool::new(false),
            threads: Mutex::default(),
            announced: Mutex::default(),
            sources: Mutex::default(),
            listeners: Mutex::default(),
            triggered: Mutex::default(),
            last_epoch: AtomicU64::new(u64::MAX),
            nodes,
            workers,
            process,
            news,
            queued: Mutex::default(),
            queued_total: AtomicUsize::new(0),
            wanted: AtomicBool::new(false),
            memory,
        })
    }

    /// The state of an operator, or what a source has in flight, has changed. A job that then holds more than it may
    /// ends.
    pub(crate) fn holds(&self, before: u64, now: u64, metrics: &JobMetrics) {
        let queued = || self.queued_total.load(Ordering::SeqCst) as u64;
        if self.memory.change(before, now, queued) && !self.has_failed() {
            let (node, error) = self.memory.exceeded(metrics, self.nodes, queued());
            self.fail(node, error);
        }
    }

    pub(crate) fn add_thread(&self, thread: Thread) {
        lock(&self.threads).push(thread);
    }

    pub(crate) fn add_source(&self, activator: SyncActivator) {
        lock(&self.sources).push(activator);
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        *self.cancelled.borrow()
    }

    /// For tasks: comes true once the attempt is to end.
    pub(crate) fn cancellation(&self) -> watch::Receiver<bool> {
        self.cancelled.subscribe()
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }

    /// Ends all worker threads soon.
    pub(crate) fn cancel(&self) {
        self.cancelled.send_replace(true);
        for thread in lock(&self.threads).iter() {
            thread.unpark();
        }
    }

    /// Reports a failure and ends the attempt.
    pub(crate) fn fail(&self, node: Option<NodeId>, error: Error) {
        self.failed.store(true, Ordering::SeqCst);
        self.events.push(TaskEvent::Failed { node, error });
        self.cancel();
    }

    /// Tells all emitters that a time is open, so that those that lag jump to it.
    pub(crate) fn announce(&self, time: u64) {
        if self.note_announced(time)
            && let Some(news) = &self.news
        {
            news.announce(epoch_of(time), time);
        }
    }

    /// The same from another process, which tells the others itself.
    pub(crate) fn announced_elsewhere(&self, time: u64) {
        self.note_announced(time);
    }

    /// Whether it is news.
    fn note_announced(&self, time: u64) -> bool {
        {
            let mut announced = lock(&self.announced);
            let greatest = announced.entry(epoch_of(time)).or_insert(0);
            if *greatest >= time {
                return false;
            }
            *greatest = time;
            if announced.len() > ANNOUNCED_EPOCHS_MAX {
                announced.pop_first();
            }
        }
        self.wake_emitters();
        true
    }

    /// What the other processes are to hear; never anything where there are none.
    pub(crate) fn news(&self) -> Option<&NewsQueue> {
        self.news.as_ref()
    }

    /// The process of a worker, where it is another one.
    pub(crate) fn elsewhere(&self, worker: usize) -> Option<usize> {
        let process = worker / self.workers.max(1);
        (self.news.is_some() && process != self.process).then_some(process)
    }

    /// The greatest time that is open within an epoch (0 for none).
    pub(crate) fn announced(&self, epoch: u64) -> u64 {
        lock(&self.announced).get(&epoch).copied().unwrap_or(0)
    }

    /// Wakes this operator once at the next announcement. The caller looks again after the call.
    pub(crate) fn listen(&self, listener: &Arc<Listener>) {
        if !listener.armed.swap(true, Ordering::SeqCst) {
            lock(&self.listeners).push(Arc::clone(listener));
        }
    }

    fn wake_emitters(&self) {
        lock(&self.sources).iter().for_each(wake);
        for listener in lock(&self.listeners).drain(..) {
            listener.armed.store(false, Ordering::SeqCst);
            wake(&listener.activator);
        }
    }

    /// A checkpoint's command is about to be sent. Operators whose frontier has passed its barrier already, because the
    /// sources before them are in other processes, go on now.
    pub(crate) fn trigger(&self, checkpoint: CheckpointId) {
        {
            let mut triggered = lock(&self.triggered);
            triggered.insert(checkpoint.0);
            if triggered.len() > TRIGGERED_MAX {
                triggered.pop_first();
            }
        }
        self.wake_emitters();
    }

    /// Whether the command of this checkpoint, or of one that follows it, has come to this process.
    pub(crate) fn has_heard_of(&self, checkpoint: CheckpointId) -> bool {
        lock(&self.triggered).last().is_some_and(|last| *last >= checkpoint.0)
    }

    /// Nothing is emitted behind this checkpoint's barrier.
    pub(crate) fn stop_behind(&self, checkpoint: CheckpointId) {
        self.last_epoch.fetch_min(checkpoint.0, Ordering::SeqCst);
    }

    /// The job does not end after all.
    pub(crate) fn resume(&self) {
        self.last_epoch.store(u64::MAX, Ordering::SeqCst);
    }

    /// Whether the epoch is behind the barrier with which the job is to end.
    pub(crate) fn is_behind_stop(&self, epoch: u64) -> bool {
        epoch > self.last_epoch.load(Ordering::SeqCst)
    }

    /// The first checkpoint from this epoch on whose barrier lies before `end`.
    pub(crate) fn first_triggered(&self, epoch: u64, end: u64) -> Option<u64> {
        lock(&self.triggered).range(epoch..end).next().copied()
    }

    fn add_queued(&self, ticket: &Ticket) {
        self.queued_total.fetch_add(ticket.bytes, Ordering::SeqCst);
        let mut queued = lock(&self.queued);
        queued.entry(ticket.epoch).or_insert_with(|| vec![0; self.nodes])[ticket.behind.0] += ticket.bytes;
    }

    /// Another process has taken rows that were sent from here. It cannot take more than was counted.
    pub(crate) fn taken_elsewhere(&self, behind: NodeId, epoch: u64, bytes: usize) {
        self.remove_queued(behind, epoch, bytes);
    }

    fn remove_queued(&self, behind: NodeId, epoch: u64, bytes: usize) {
        let mut removed = 0;
        {
            let mut queued = lock(&self.queued);
            if let Some(nodes) = queued.get_mut(&epoch) {
                if let Some(n) = nodes.get_mut(behind.0) {
                    removed = bytes.min(*n);
                    *n -= removed;
                }
                if nodes.iter().all(|n| *n == 0) {
                    queued.remove(&epoch);
                }
            }
        }
        self.queued_total.fetch_sub(removed, Ordering::SeqCst);
        if self.wanted.swap(false, Ordering::SeqCst) {
            self.wake_emitters();
        }
    }

    /// Whether so little waits behind this node that it may send on: `most` for each worker. Those who are told no are
    /// woken when it changes.
    ///
    /// Nodes are in topological order, so the last one behind which anything waits is never held, and all others
    /// follow. Rows of later epochs do not count: they may be parked until this node has passed its barrier.
    pub(crate) fn has_room_behind(&self, node: NodeId, epoch: u64, most: usize) -> bool {
        let most = most.saturating_mul(self.workers);
        let waiting = || -> usize {
            if self.queued_total.load(Ordering::SeqCst) <= most {
                return 0;
            }
            lock(&self.queued).range(..=epoch).flat_map(|(_, nodes)| &nodes[node.0..]).sum()
        };
        if waiting() <= most {
            return true;
        }
        self.wanted.store(true, Ordering::SeqCst);
        waiting() <= most
    }
}

/// Who counts the rows of a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counted {
    /// This process, as long as the ticket lives.
    Here,
    /// Another process, until it hears that they were taken.
    By(usize),
    /// This process, until another one has taken them.
    Lent,
}

/// Rows that are counted by the process that has sent them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Loan {
    /// The sending process.
    pub(crate) process: usize,
    /// The node that has sent them.
    pub(crate) behind: NodeId,
    /// Their epoch.
    pub(crate) epoch: u64,
    /// Their bytes.
    pub(crate) bytes: usize,
}

/// Rows on their way between operators count as long as their ticket lives: in a channel, in a queue, parked.
pub(crate) struct Ticket {
    shared: Arc<Shared>,
    /// The last node that is to wait for them: the one that has sent them.
    behind: NodeId,
    epoch: u64,
    bytes: usize,
    counted: Counted,
}

impl Ticket {
    pub(crate) fn new(shared: &Arc<Shared>, behind: NodeId, epoch: u64, bytes: usize) -> Ticket {
        let ticket = Ticket { shared: Arc::clone(shared), behind, epoch, bytes, counted: Counted::Here };
        shared.add_queued(&ticket);
        ticket
    }

    /// A ticket for a part of the rows.
    pub(crate) fn part(&self, bytes: usize) -> Ticket {
        Ticket::new(&self.shared, self.behind, self.epoch, bytes)
    }

    /// The rows go to another process; they are counted here until it has taken them.
    pub(crate) fn lend(mut self) -> Loan {
        self.counted = Counted::Lent;
        Loan { process: self.shared.process, behind: self.behind, epoch: self.epoch, bytes: self.bytes }
    }

    /// Rows that another process counts, which hears of it when this ticket goes.
    pub(crate) fn borrowed(shared: &Arc<Shared>, loan: Loan) -> Ticket {
        let Loan { process, behind, epoch, bytes } = loan;
        Ticket { shared: Arc::clone(shared), behind, epoch, bytes, counted: Counted::By(process) }
    }
}

/// Each reader of a stream has its own rows waiting.
impl Clone for Ticket {
    fn clone(&self) -> Ticket {
        self.part(self.bytes)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let Ticket { behind, epoch, bytes, .. } = *self;
        match self.counted {
            Counted::Here => self.shared.remove_queued(behind, epoch, bytes),
            Counted::By(sender) => {
                if let Some(news) = &self.shared.news {
                    news.taken(Taken { sender, behind, epoch, bytes });
                }
            }
            Counted::Lent => {}
        }
    }
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes behind {}", self.bytes, self.behind.0)
    }
}

/// What the operators of one worker share: how far the sinks are, and who waits for them.
#[derive(Default)]
pub(crate) struct Probe {
    frontier: Cell<u64>,
    waiting: RefCell<Vec<Rc<Activator>>>,
}

impl Probe {
    pub(crate) fn new() -> Rc<Probe> {
        Rc::new(Probe::default())
    }

    /// Times before this one have left the sinks.
    pub(crate) fn frontier(&self) -> u64 {
        self.frontier.get()
    }

    /// The frontier has moved: who waits looks again.
    pub(crate) fn moved(&self, frontier: u64) {
        if frontier != self.frontier.get() {
            self.frontier.set(frontier);
            for waiting in self.waiting.borrow_mut().drain(..) {
                waiting.activate();
            }
        }
    }

    pub(crate) fn wake_when_moved(&self, activator: Rc<Activator>) {
        let mut waiting = self.waiting.borrow_mut();
        if !waiting.iter().any(|w| Rc::ptr_eq(w, &activator)) {
            waiting.push(activator);
        }
    }
}

/// Bytes that an emitter has sent and that have not left the sinks, by tick: each that is closed has some, so that the
/// window bounds their number too.
pub(crate) struct InFlight {
    most: usize,
    closed: VecDeque<(u64, usize)>,
    total: usize,
    /// Bytes of the tick that is open.
    pub(crate) open: usize,
}

impl InFlight {
    pub(crate) fn new(most: usize) -> InFlight {
        InFlight { most, closed: VecDeque::new(), total: 0, open: 0 }
    }

    /// The window.
    pub(crate) fn most(&self) -> usize {
        self.most
    }

    /// All that has not left.
    pub(crate) fn bytes(&self) -> usize {
        self.total + self.open
    }

    /// Closes the tick that was open at this time.
    pub(crate) fn close(&mut self, time: u64) {
        if self.open > 0 {
            self.closed.push_back((time, self.open));
            self.total += self.open;
            self.open = 0;
        }
    }

    /// Forgets what has left.
    pub(crate) fn drain(&mut self, frontier: u64) {
        while self.closed.front().is_some_and(|(time, _)| *time < frontier) {
            self.total -= self.closed.pop_front().map_or(0, |(_, bytes)| bytes);
        }
    }

    /// Whether there is room for more.
    pub(crate) fn has_room(&self) -> bool {
        self.total + self.open <= self.most
    }

    /// Whether the open tick is large enough to be closed.
    pub(crate) fn tick_is_full(&self) -> bool {
        self.open >= (self.most / 4).max(1)
    }
}

/// A wake-up by time. Timely keeps each one that is asked for, so only an earlier one than what is pending is asked for.
#[derive(Default)]
pub(crate) struct Alarm {
    pending: Cell<Option<Duration>>,
}

impl Alarm {
    /// Wakes the operator at about this time of the clock (or a little later).
    pub(crate) fn wake_at(&self, at: Duration, now: Duration, activator: &Activator) {
        if self.pending.get().is_some_and(|p| p > now && p <= at) {
            return;
        }
        let at = at.max(now + ALARM_LEAST);
        self.pending.set(Some(at));
        activator.activate_after(at - now);
    }
}

/// The shortest time to be woken after.
const ALARM_LEAST: Duration = Duration::from_micros(100);

/// The checkpoint that closes the epochs before this one.
pub(crate) fn checkpoint_before(epoch: u64) -> CheckpointId {
    CheckpointId(epoch.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn readers_wait_while_much_is_on_its_way_and_reports_are_replaced() {
        let queue = EventQueue::default();
        let (node, subtask) = (NodeId(0), 0);
        for _ in 0..EVENTS_MAX {
            queue.push_in_turn(TaskEvent::SplitRequest { node, subtask }).await;
        }
        let mut waits = std::pin::pin!(queue.push_in_turn(TaskEvent::SourceEnded { node, subtask: 1 }));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(waits.as_mut().poll(&mut context).is_pending());
        // A worker's word is never held up, and an older report is worth nothing.
        for watermark_ms in 0..10 {
            queue.push(TaskEvent::WatermarkReport { node, subtask, watermark_ms: Some(watermark_ms), held: false });
        }
        assert_eq!(lock(&queue.queue).len(), EVENTS_MAX + 1);
        queue.next().await;
        assert!(waits.as_mut().poll(&mut context).is_pending());
        queue.next().await;
        assert!(waits.as_mut().poll(&mut context).is_ready());
        let mut last = None;
        while !lock(&queue.queue).is_empty() {
            if let TaskEvent::WatermarkReport { watermark_ms, .. } = queue.next().await {
                assert_eq!(last.replace(watermark_ms), None);
            }
        }
        assert_eq!(last, Some(Some(9)));
    }

    #[test]
    fn ticks_end_with_a_clear_error_instead_of_in_the_next_epoch() {
        assert_eq!(tick_after(epoch_start(3)).expect("a tick"), epoch_start(3) + 1);
        let e = tick_after(epoch_start(4) - 1).expect_err("no tick is left").to_string();
        assert!(e.contains("without a checkpoint"), "{e}");
        assert!(tick_after(u64::MAX).is_err());
    }

    #[test]
    fn waiting_rows_hold_those_before_them_and_only_in_their_epoch() {
        let shared = Shared::new(3, 2, Memory::new(None));
        let room = |node, epoch| shared.has_room_behind(NodeId(node), epoch, 100);
        let ticket = Ticket::new(&shared, NodeId(1), 5, 150);
        assert!(room(0, 5), "each worker has a window");
        let copy = ticket.clone();
        assert!(!room(0, 5) && !room(1, 5));
        assert!(room(2, 5), "they wait in front of the last");
        assert!(room(1, 4), "an earlier epoch has to be finished first");
        assert!(!room(1, 6));
        drop((ticket, copy));
        assert!(room(0, 6) && lock(&shared.queued).is_empty());
    }

    #[tokio::test]
    async fn rows_in_another_process_count_until_it_has_taken_them() {
        let sender = Shared::among(3, 1, Memory::new(None), 0, Some(NewsQueue::default()));
        let receiver = Shared::among(3, 1, Memory::new(None), 1, Some(NewsQueue::default()));
        let loan = Ticket::new(&sender, NodeId(1), 5, 150).lend();
        assert!(!sender.has_room_behind(NodeId(0), 5, 100), "they left, and wait elsewhere");
        let ticket = Ticket::borrowed(&receiver, loan);
        assert!(receiver.has_room_behind(NodeId(0), 5, 100), "they are counted once");
        drop(ticket);
        let news = receiver.news().expect("one of several").next().await;
        assert_eq!(news.taken, [Taken { sender: 0, behind: NodeId(1), epoch: 5, bytes: 150 }]);
        for _ in 0..2 {
            // Said twice, it is not more than what was counted.
            sender.taken_elsewhere(NodeId(1), 5, 150);
            assert!(sender.has_room_behind(NodeId(0), 5, 100) && lock(&sender.queued).is_empty());
        }
    }
}
