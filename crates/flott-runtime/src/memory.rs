//! What a job holds in memory, and the most that it may: a job that grows beyond it fails with a word about why, where
//! otherwise the machine would kill the whole process without one.

use std::sync::atomic::{AtomicU64, Ordering};

use flott_core::memory_size::about;
use flott_core::{Error, process_memory};
use flott_graph::NodeId;

use crate::metrics::JobMetrics;

/// The option that sets the most.
const OPTION: &str = "flott.memory.max";

/// While a job grows, free memory is given back whenever it has grown by such a part of what it may be: a table that has moved
/// to a larger place has left the old one, which nobody else may fit into.
const STEPS: u64 = 16;

/// A job that holds so much is large: what it holds stays, and is worth large pages.
const LARGE_BYTES: u64 = 64 << 20;

/// The account of a job: bytes of state of all operators, and of what sources have in flight. Rows that wait between
/// operators have an account of their own, which is added.
pub(crate) struct Memory {
    held: AtomicU64,
    most: Option<u64>,
    /// What was held when free memory was given back for the last time.
    cleared_at: AtomicU64,
}

impl Memory {
    pub(crate) fn new(most: Option<u64>) -> Memory {
        Memory { held: AtomicU64::new(0), most, cleared_at: AtomicU64::new(0) }
    }

    /// One part has changed; true where it has grown and all is now more than it may be.
    pub(crate) fn change(&self, before: u64, now: u64, queued: impl Fn() -> u64) -> bool {
        if now <= before {
            self.held.fetch_sub(before - now, Ordering::SeqCst);
            return false;
        }
        let held = self.held.fetch_add(now - before, Ordering::SeqCst) + (now - before);
        if held >= LARGE_BYTES && held - (now - before) < LARGE_BYTES {
            process_memory::becomes_large();
        }
        let Some(most) = self.most else { return false };
        if self.wants_clearing(held, most) {
            process_memory::give_back();
        }
        held.saturating_add(queued()) > most
    }

    /// Whether so much more is held than ever before that free memory is to go; true for one of those who ask.
    fn wants_clearing(&self, held: u64, most: u64) -> bool {
        let before = self.cleared_at.load(Ordering::SeqCst);
        held >= before.saturating_add((most / STEPS).max(1))
            && self.cleared_at.compare_exchange(before, held, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// The error, and the operator with the largest state, where any has state.
    pub(crate) fn exceeded(&self, metrics: &JobMetrics, nodes: usize, queued: u64) -> (Option<NodeId>, Error) {
        let state = |node: usize| metrics.sum(node, |m| &m.state_bytes);
        let all: u64 = (0..nodes).map(state).sum();
        let largest = (0..nodes).map(|node| (state(node), node)).max().filter(|(bytes, _)| *bytes > 0);
        let in_flight = self.held.load(Ordering::SeqCst).saturating_add(queued).saturating_sub(all);
        let of = largest.map_or(String::new(), |(bytes, _)| format!(", {} of it in one operator,", about(bytes)));
        let most = about(self.most.unwrap_or(u64::MAX));
        let text = format!(
            "the job holds {} of state{of} and {} of rows on their way: more than {most} ('{OPTION}')",
            about(all),
            about(in_flight)
        );
        let error = Error::user(text).with("option", OPTION).hint(format!(
            "Let it keep less state (shorter windows, fewer groups, a watermark closer to the rows), or set '{OPTION}' \
             higher and go on from the last checkpoint"
        ));
        (largest.map(|(_, node)| NodeId(node)), error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_may_hold_so_much_and_no_more() {
        let memory = Memory::new(Some(1_000));
        assert!(!memory.change(0, 600, || 0), "an operator");
        assert!(!memory.change(0, 300, || 100), "another one, and rows on their way");
        assert!(memory.change(300, 301, || 100));
        assert!(!memory.change(301, 300, || 200), "less is never too much");
        assert!(!memory.change(300, 400, || 0));
        assert!(memory.change(600, 700, || 0));
        assert!(!Memory::new(None).change(0, u64::MAX / 2, || 0));
    }

    #[test]
    fn free_memory_goes_at_each_step_of_the_way_up() {
        let memory = Memory::new(Some(1_600));
        let wants: Vec<bool> =
            [99, 100, 199, 350, 449, 20, 400, 450].map(|held| memory.wants_clearing(held, 1_600)).to_vec();
        assert_eq!(wants, [false, true, false, true, false, false, false, true]);
    }

    #[test]
    fn the_error_names_the_largest_state_and_the_option() {
        let (memory, metrics) = (Memory::new(Some(1 << 20)), JobMetrics::new(3, 2));
        for (node, subtask, bytes) in [(0, 0, 0), (1, 0, 1 << 19), (1, 1, 1 << 18), (2, 0, 600_000)] {
            metrics.node(node)[subtask].state_bytes.store(bytes, Ordering::Relaxed);
            memory.change(0, bytes, || 0);
        }
        let (node, error) = memory.exceeded(&metrics, 3, 2_048);
        assert_eq!((node, error.kind()), (Some(NodeId(1)), flott_core::ErrorKind::User));
        let text = error.to_string();
        assert!(text.contains("768 kb of it in one operator") && text.contains("2 kb of rows"), "{text}");
        assert!(text.contains("more than 1 mb ('flott.memory.max')"), "{text}");
    }
}
