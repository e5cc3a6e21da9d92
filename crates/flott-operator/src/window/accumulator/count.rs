//! COUNT.

use std::sync::Arc;

use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, cast::AsArray};
use flott_core::Result;

use super::{Accumulator, Input, Step, each_row, gather};
use crate::held::list_bytes;
use crate::window::room::Room;

/// Rows of each group.
#[derive(Default)]
pub(crate) struct Count {
    counts: Vec<i64>,
}

impl Accumulator for Count {
    fn resize(&mut self, groups: usize) {
        self.counts.resize(groups, 0);
    }

    fn make_room(&mut self, room: &mut Room) {
        room.of(&mut self.counts);
    }

    fn update(&mut self, groups: &[u32], input: &Input<'_>) -> Result<()> {
        let counts = self.counts.as_mut_slice();
        match input.signs {
            None => each_row(groups, input.include, |_, g| counts[g] += 1),
            Some(signs) => each_row(groups, input.include, |row, g| counts[g] += signs[row]),
        }
        Ok(())
    }

    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()> {
        for (g, n) in groups.iter().zip(state[0].as_primitive::<Int64Type>().values()) {
            self.counts[*g as usize] += n;
        }
        Ok(())
    }

    fn state(&self, of: Option<&[u32]>) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.finish(of)?])
    }

    fn finish(&self, of: Option<&[u32]>) -> Result<ArrayRef> {
        Ok(Arc::new(Int64Array::from(gather(&self.counts, of))))
    }

    fn steps(&mut self, steps: &[Step], input: &Input<'_>) -> Result<Option<ArrayRef>> {
        let counts = self.counts.as_mut_slice();
        let mut shown = vec![];
        for step in steps {
            match *step {
                Step::Add { group, row } => counts[group as usize] += i64::from(input.counts(row)),
                Step::Remove { group, row } => counts[group as usize] -= i64::from(input.counts(row)),
                Step::Emit { group } => shown.push(counts[group as usize]),
                Step::Clear { group } => counts[group as usize] = 0,
                Step::Copy { from, to } => counts[to as usize] = counts[from as usize],
            }
        }
        Ok(Some(Arc::new(Int64Array::from(shown))))
    }

    fn reset(&mut self, groups: &[u32]) {
        groups.iter().for_each(|g| self.counts[*g as usize] = 0);
    }

    fn clear(&mut self) {
        self.counts.clear();
    }

    fn size_bytes(&self) -> usize {
        list_bytes(&self.counts)
    }

    fn counts(&self) -> Option<&[i64]> {
        Some(&self.counts)
    }
}
