//! What the processes of an attempt tell each other beside the rows: which ticks are open, and which rows were taken.
//!
//! News are merged until somebody sends them on, so that they need no bound of their own.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use flott_graph::NodeId;
use tokio::sync::Notify;

/// Epochs whose ticks are told: those that any subtask may still be in.
const EPOCHS_MAX: usize = 64;

/// Rows of another process that were taken here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// The process that has sent and counted them.
    pub sender: usize,
    /// The node that has sent them.
    pub behind: NodeId,
    /// Their epoch.
    pub epoch: u64,
    /// Their bytes, as counted there.
    pub bytes: usize,
}

/// What one process has to tell the others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeerNews {
    /// The greatest time that is open here, by epoch: those who lag jump there.
    pub announced: Vec<u64>,
    /// Rows that need not be counted any more.
    pub taken: Vec<Taken>,
}

#[derive(Debug, Default)]
struct Pending {
    announced: BTreeMap<u64, u64>,
    taken: BTreeMap<(usize, usize, u64), usize>,
}

/// News that wait to be sent.
#[derive(Debug, Default)]
pub(crate) struct NewsQueue {
    pending: Mutex<Pending>,
    ready: Notify,
}

impl NewsQueue {
    pub(crate) fn announce(&self, epoch: u64, time: u64) {
        {
            let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
            let greatest = pending.announced.entry(epoch).or_insert(0);
            *greatest = time.max(*greatest);
            if pending.announced.len() > EPOCHS_MAX {
                pending.announced.pop_first();
            }
        }
        self.ready.notify_one();
    }

    pub(crate) fn taken(&self, taken: Taken) {
        {
            let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
            *pending.taken.entry((taken.sender, taken.behind.0, taken.epoch)).or_insert(0) += taken.bytes;
        }
        self.ready.notify_one();
    }

    /// All that has come up since the last call; waits for some.
    pub(crate) async fn next(&self) -> PeerNews {
        loop {
            let pending = std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
            if !pending.announced.is_empty() || !pending.taken.is_empty() {
                let taken = |((sender, behind, epoch), bytes)| Taken { sender, behind: NodeId(behind), epoch, bytes };
                return PeerNews {
                    announced: pending.announced.into_values().collect(),
                    taken: pending.taken.into_iter().map(taken).collect(),
                };
            }
            self.ready.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn news_are_merged_until_they_are_sent() {
        let queue = NewsQueue::default();
        let taken = |bytes| Taken { sender: 1, behind: NodeId(2), epoch: 3, bytes };
        [(3, 30), (3, 20), (4, 40)].into_iter().for_each(|(epoch, time)| queue.announce(epoch, time));
        [5, 6].into_iter().for_each(|bytes| queue.taken(taken(bytes)));
        assert_eq!(queue.next().await, PeerNews { announced: vec![30, 40], taken: vec![taken(11)] });
        queue.taken(taken(1));
        assert_eq!(queue.next().await, PeerNews { announced: vec![], taken: vec![taken(1)] });
    }
}
