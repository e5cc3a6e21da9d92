//! The rows that runs have taken: lists that grow at the end and share what they have in common.

use crate::keyed::RowStore;

/// No row.
pub(super) const NONE: u32 = u32::MAX;

/// A row of a path.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// The row before, or [`NONE`].
    pub(super) before: u32,
    /// As which variable it was taken.
    pub(super) variable: u16,
    /// Where it lies.
    pub(super) slot: u32,
    /// Its place among the rows of its partition.
    pub(super) sequence: u64,
    /// How many runs and steps stand on it.
    users: u32,
}

/// All paths of an operator.
#[derive(Default)]
pub(super) struct Paths {
    steps: Vec<Step>,
    free: Vec<u32>,
    /// By slot: how many steps, and whether it waits for its turn.
    uses: Vec<u32>,
}

impl Paths {
    pub(super) fn step(&self, at: u32) -> &Step {
        &self.steps[at as usize]
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.steps.capacity() * size_of::<Step>() + self.free.capacity() * 4 + self.uses.capacity() * 4
    }

    /// A path with one row more; nobody uses it yet.
    pub(super) fn extend(&mut self, before: u32, variable: u16, slot: u32, sequence: u64) -> u32 {
        if before != NONE {
            self.steps[before as usize].users += 1;
        }
        self.hold(slot);
        let step = Step { before, variable, slot, sequence, users: 0 };
        match self.free.pop() {
            Some(at) => {
                self.steps[at as usize] = step;
                at
            }
            None => {
                self.steps.push(step);
                (self.steps.len() - 1) as u32
            }
        }
    }

    /// A run uses a path.
    pub(super) fn take(&mut self, at: u32) {
        if at != NONE {
            self.steps[at as usize].users += 1;
        }
    }

    /// A run does not use a path any more: steps that nobody uses go, and rows that no step uses.
    pub(super) fn release(&mut self, mut at: u32, rows: &mut RowStore, group: u16) {
        while at != NONE {
            let step = &mut self.steps[at as usize];
            step.users = step.users.saturating_sub(1);
            if step.users > 0 {
                return;
            }
            let (slot, before) = (step.slot, step.before);
            self.free.push(at);
            self.let_go(slot, rows, group);
            at = before;
        }
        if self.free.len() == self.steps.len() {
            (self.steps, self.free) = Default::default();
        }
    }

    /// A row is needed once more.
    pub(super) fn hold(&mut self, slot: u32) {
        if self.uses.len() <= slot as usize {
            self.uses.resize(slot as usize + 1, 0);
        }
        self.uses[slot as usize] += 1;
    }

    /// A row is needed once less.
    pub(super) fn let_go(&mut self, slot: u32, rows: &mut RowStore, group: u16) {
        let uses = &mut self.uses[slot as usize];
        *uses = uses.saturating_sub(1);
        if *uses == 0 {
            rows.remove(slot, group);
        }
    }

    /// Whether a row is needed.
    pub(super) fn is_used(&self, slot: u32) -> bool {
        self.uses.get(slot as usize).is_some_and(|uses| *uses > 0)
    }

    /// From the last row to the first: variable and slot.
    pub(super) fn back(&self, at: u32) -> impl Iterator<Item = (u16, u32)> + '_ {
        let mut at = at;
        std::iter::from_fn(move || {
            let step = (at != NONE).then(|| self.steps[at as usize])?;
            at = step.before;
            Some((step.variable, step.slot))
        })
    }

    /// From the last row to the first: variable and sequence.
    pub(super) fn sequences(&self, at: u32) -> impl Iterator<Item = (u16, u64)> + '_ {
        let mut at = at;
        std::iter::from_fn(move || {
            let step = (at != NONE).then(|| self.steps[at as usize])?;
            at = step.before;
            Some((step.variable, step.sequence))
        })
    }
}
