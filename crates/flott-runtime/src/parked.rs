//! Messages of epochs that have not begun, and for how long the slower inputs have been waited for.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Messages by epoch. There are few: a source opens one with each checkpoint, and its rows stay in flight.
pub(crate) struct Parked<T>(BTreeMap<u64, Epoch<T>>);

struct Epoch<T> {
    /// When the first message came.
    since: Duration,
    messages: VecDeque<T>,
}

impl<T> Parked<T> {
    pub(crate) fn new() -> Parked<T> {
        Parked(BTreeMap::new())
    }

    pub(crate) fn push(&mut self, epoch: u64, now: Duration, message: T) {
        let epoch = self.0.entry(epoch).or_insert_with(|| Epoch { since: now, messages: VecDeque::new() });
        epoch.messages.push_back(message);
    }

    /// The first epoch of which there are messages.
    pub(crate) fn first(&self) -> Option<u64> {
        self.0.keys().next().copied()
    }

    /// The messages of an epoch that begins, and how long the first of them has waited: the alignment of the checkpoint before.
    pub(crate) fn take(&mut self, epoch: u64, now: Duration) -> (VecDeque<T>, Duration) {
        match self.0.remove(&epoch) {
            Some(Epoch { since, messages }) => (messages, now.saturating_sub(since)),
            None => (VecDeque::new(), Duration::ZERO),
        }
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_checkpoint_has_an_alignment_of_its_own() {
        let ms = Duration::from_millis;
        let mut parked = Parked::new();
        // Two barriers are on their way at once.
        parked.push(2, ms(10), 'a');
        parked.push(3, ms(20), 'b');
        parked.push(2, ms(30), 'c');
        assert_eq!(parked.first(), Some(2));
        assert_eq!(parked.take(2, ms(40)), (['a', 'c'].into(), ms(30)));
        assert_eq!(parked.take(3, ms(70)), (['b'].into(), ms(50)));
        assert_eq!(parked.take(4, ms(80)), ([].into(), ms(0)), "all inputs came at once");
    }
}
