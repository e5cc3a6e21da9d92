//! Time and room: the layout of timely's time, what is in flight, and who is woken when.
//!
//! Timely's time is `epoch << 32 | tick`. All sources share one frontier, so they announce their ticks: a source that
//! lags jumps ahead. What a source may have in flight is bounded in bytes, not in ticks.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;

use flott_core::{CheckpointId, Error};
use flott_graph::NodeId;
use timely::scheduling::{Activator, SyncActivator};
use tokio::sync::Notify;

use crate::api::TaskEvent;

/// First time of an epoch.
pub(crate) fn epoch_start(epoch: u64) -> u64 {
    epoch << 32
}

/// The epoch of a time.
pub(crate) fn epoch_of(time: u64) -> u64 {
    time >> 32
}

/// Events on their way to the coordinator. Workers never wait for it, so this queue has no bound of its own: what fills
/// it is bounded by the protocol, a few events per subtask and checkpoint, and one checkpoint at a time.
#[derive(Default)]
pub(crate) struct EventQueue {
    queue: Mutex<VecDeque<TaskEvent>>,
    ready: Notify,
}

impl EventQueue {
    pub(crate) fn push(&self, event: TaskEvent) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).push_back(event);
        self.ready.notify_one();
    }

    pub(crate) async fn next(&self) -> TaskEvent {
        loop {
            let front = self.queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            match front {
                Some(event) => return event,
                None => self.ready.notified().await,
            }
        }
    }
}

/// What all threads of an attempt share.
pub(crate) struct Shared {
    pub(crate) events: EventQueue,
    cancelled: AtomicBool,
    failed: AtomicBool,
    threads: Mutex<Vec<Thread>>,
    /// The greatest time that any worker has opened.
    announced: AtomicU64,
    sources: Mutex<Vec<SyncActivator>>,
}

impl Shared {
    pub(crate) fn new() -> Arc<Shared> {
        Arc::new(Shared {
            events: EventQueue::default(),
            cancelled: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            threads: Mutex::default(),
            announced: AtomicU64::new(0),
            sources: Mutex::default(),
        })
    }

    pub(crate) fn add_thread(&self, thread: Thread) {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
    }

    pub(crate) fn add_source(&self, activator: SyncActivator) {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner).push(activator);
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }

    /// Ends all worker threads soon.
    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
        for thread in self.threads.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            thread.unpark();
        }
    }

    /// Reports a failure and ends the attempt.
    pub(crate) fn fail(&self, node: Option<NodeId>, error: Error) {
        self.failed.store(true, Ordering::SeqCst);
        self.events.push(TaskEvent::Failed { node, error });
        self.cancel();
    }

    /// Tells all sources that a time is open, so that those that lag jump to it.
    pub(crate) fn announce(&self, time: u64) {
        if self.announced.fetch_max(time, Ordering::SeqCst) < time {
            for source in self.sources.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                // A worker that has ended needs no waking.
                source.activate().ok();
            }
        }
    }

    pub(crate) fn announced(&self) -> u64 {
        self.announced.load(Ordering::SeqCst)
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
        self.waiting.borrow_mut().push(activator);
    }
}

/// Bytes that an emitter has sent and that have not left the sinks.
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

/// The checkpoint that closes the epochs before this one.
pub(crate) fn checkpoint_before(epoch: u64) -> CheckpointId {
    CheckpointId(epoch.saturating_sub(1))
}
