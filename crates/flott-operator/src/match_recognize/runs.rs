//! What is open of one partition: runs that may still become matches, and matches that wait for runs that started before
//! them. How a row and how time move them.

use flott_core::{Error, Result};
use flott_graph::AfterMatch;

use super::automaton::{Automaton, FINAL, Taken};
use super::paths::{NONE, Paths};
use super::queue::{Queue, Ranked};
use crate::keyed::RowStore;

/// A run through a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) state: u16,
    /// Its last row.
    pub(super) path: u32,
    /// The place of its first row among the rows of the partition; that of the run that waits for one is behind all.
    pub(super) start: u64,
    /// The time of its first row.
    pub(super) start_ms: i64,
}

/// The start of a run that has not begun.
pub(super) const NOT_BEGUN: u64 = u64::MAX;

impl Ranked for Run {
    fn rank(&self) -> u64 {
        self.start
    }
}

/// The runs of a partition.
#[derive(Debug, Default)]
pub(super) struct Partition {
    pub(super) open: Queue<Run>,
    pub(super) ended: Queue<Run>,
    /// The place of the next row.
    pub(super) next: u64,
    /// Rows that wait for their turn.
    pub(super) waiting: usize,
    /// What is stored of it: a slot, or [`NONE`].
    pub(super) stored: u32,
    /// It has changed since it was stored.
    pub(super) changed: bool,
}

impl Partition {
    pub(super) fn new(automaton: &Automaton) -> Partition {
        let mut partition = Partition { stored: NONE, ..Partition::default() };
        partition.open.push(begin(automaton));
        partition
    }

    /// Nothing is open but the run that waits for a first row.
    pub(super) fn is_idle(&self) -> bool {
        self.open.len() == 1 && self.ended.len() == 0
    }

    pub(super) fn size_bytes(&self) -> usize {
        (self.open.capacity() + self.ended.capacity()) * size_of::<Run>()
    }
}

fn begin(automaton: &Automaton) -> Run {
    Run { state: automaton.start, path: NONE, start: NOT_BEGUN, start_ms: 0 }
}

/// A match: its rows in order, as (variable, slot), and when it was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) rows: Vec<(u16, u32)>,
    pub(super) time_ms: i64,
    /// The place of the row that led to it among those that were due.
    pub(super) order: usize,
}

/// How patterns are matched, and where rows and matches go.
pub(super) struct Matching<'a> {
    pub(super) automaton: &'a Automaton,
    pub(super) within_ms: Option<i64>,
    pub(super) after_match: AfterMatch,
    /// The variable that the next match starts at, for messages.
    pub(super) target_name: &'a str,
    pub(super) paths: &'a mut Paths,
    pub(super) rows: &'a mut RowStore,
    pub(super) found: &'a mut Vec<Found>,
    pub(super) group: u16,
}

/// A row, and when it comes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    pub(super) slot: u32,
    pub(super) time_ms: i64,
    pub(super) order: usize,
}

impl Matching<'_> {
    /// Time has come so far: runs that take too long are given up, and matches that waited for them leave.
    pub(super) fn advance(&mut self, partition: &mut Partition, time_ms: i64, order: usize) -> Result<()> {
        let Some(within) = self.within_ms.filter(|_| !partition.is_idle()) else { return Ok(()) };
        let over = |run: &Run| run.start != NOT_BEGUN && time_ms.wrapping_sub(run.start_ms) >= within;
        if !partition.open.items().iter().any(over) {
            return Ok(());
        }
        partition.changed = true;
        let mut kept = Queue::default();
        for run in std::mem::take(&mut partition.open).items() {
            if over(run) {
                self.paths.release(run.path, self.rows, self.group);
            } else {
                kept.push(*run);
            }
        }
        partition.open = kept;
        self.leave(partition, time_ms, order)
    }

    /// A row comes; `is(i, v)` says whether it can be a row of variable v for the run that lies at i. Whether a run has begun.
    pub(super) fn row(
        &mut self,
        partition: &mut Partition,
        row: Arrival,
        is: impl Fn(usize, u16) -> Result<bool>,
    ) -> Result<bool> {
        let before = std::mem::take(&mut partition.open);
        let sequence = partition.next;
        partition.next += 1;
        let (mut open, mut ended) = (Queue::default(), Queue::default());
        let mut taken: Vec<Taken> = vec![];
        let mut begun = false;
        for (place, run) in before.items().iter().enumerate() {
            self.automaton.takes(run.state, |v| is(place, v), &mut taken)?;
            let waits = run.start == NOT_BEGUN;
            begun |= waits && !taken.is_empty();
            for edge in &taken {
                let path = self.paths.extend(run.path, edge.variable, row.slot, sequence);
                let (start, start_ms) = if waits { (sequence, row.time_ms) } else { (run.start, run.start_ms) };
                let next = Run { state: edge.target, path, start, start_ms };
                let also_ends = edge.target != FINAL && self.automaton.ends(edge.target, |v| is(place, v))?;
                if edge.target != FINAL {
                    self.paths.take(path);
                    open.push(next);
                }
                if edge.target == FINAL || also_ends {
                    self.paths.take(path);
                    ended.push(Run { state: FINAL, ..next });
                }
            }
            if waits {
                open.push(*run);
            }
            self.paths.release(run.path, self.rows, self.group);
        }
        partition.changed |= begun || before.len() > 1;
        partition.open = open;
        ended.items().iter().for_each(|run| partition.ended.push(*run));
        self.leave(partition, row.time_ms, row.order)?;
        Ok(begun)
    }

    /// Matches leave that no run could still come before.
    fn leave(&mut self, partition: &mut Partition, time_ms: i64, order: usize) -> Result<()> {
        while let Some(first) = partition.ended.peek().copied() {
            if partition.open.peek().is_some_and(|open| first.start > open.start) {
                return Ok(());
            }
            partition.ended.pop();
            partition.changed = true;
            let (limit, inclusive) = self.limit(first.path)?;
            for queue in [&mut partition.open, &mut partition.ended] {
                let goes =
                    |run: &Run| run.start != NOT_BEGUN && (run.start < limit || (inclusive && run.start == limit));
                for run in queue.items().iter().filter(|run| goes(run)) {
                    self.paths.release(run.path, self.rows, self.group);
                }
                queue.retain(|run| !goes(run));
            }
            let mut rows: Vec<(u16, u32)> = self.paths.back(first.path).collect();
            rows.reverse();
            self.found.push(Found { rows, time_ms, order });
            self.paths.release(first.path, self.rows, self.group);
        }
        Ok(())
    }

    /// Runs go that start before this place, or also those that start there.
    fn limit(&self, path: u32) -> Result<(u64, bool)> {
        let first = |variable: Option<u16>| {
            self.paths.sequences(path).filter(|s| variable.is_none_or(|v| v == s.0)).last().map(|s| s.1)
        };
        let last =
            |variable: Option<u16>| self.paths.sequences(path).find(|s| variable.is_none_or(|v| v == s.0)).map(|s| s.1);
        let target = match self.after_match {
            AfterMatch::PastLastRow => return Ok((last(None).unwrap_or(0), true)),
            AfterMatch::ToNextRow => return Ok((first(None).unwrap_or(0), true)),
            AfterMatch::ToFirst(variable) => first(Some(variable as u16)),
            AfterMatch::ToLast(variable) => last(Some(variable as u16)),
        };
        let Some(target) = target else {
            return Err(Error::data(format!(
                "Could not skip to {}. No such element in the found match",
                self.target_name
            ))
            .hint("Skip to a variable that every match has"));
        };
        if Some(target) == first(None) {
            return Err(Error::data("Could not skip to first element of a match.")
                .hint("Skip to a variable that no match starts with, TO NEXT ROW or PAST LAST ROW"));
        }
        Ok((target, false))
    }
}
