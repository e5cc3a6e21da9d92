//! MIN and MAX of values that only get better: a value that is taken away is followed by one that is at least as good.
//!
//! What is taken away is passed over, as in Flink, which shows no result of the time between.

use arrow_array::ArrayRef;
use arrow_buffer::{BooleanBuffer, NullBuffer};
use flott_core::Result;

use super::{Accumulator, Input};
use crate::window::room::Room;

/// An aggregate that sees only what is added.
pub(super) struct Growing(pub(super) Box<dyn Accumulator>);

impl Accumulator for Growing {
    fn resize(&mut self, groups: usize) {
        self.0.resize(groups);
    }

    fn make_room(&mut self, room: &mut Room) {
        self.0.make_room(room);
    }

    fn update(&mut self, groups: &[u32], input: &Input<'_>) -> Result<()> {
        let Some(signs) = input.signs else { return self.0.update(groups, input) };
        let counts = |row: usize| signs[row] > 0 && input.include.is_none_or(|n| n.is_valid(row));
        let include = NullBuffer::new(BooleanBuffer::collect_bool(signs.len(), counts));
        self.0.update(groups, &Input { argument: input.argument, include: Some(&include), signs: None })
    }

    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()> {
        self.0.merge(groups, state)
    }

    fn state(&self, of: Option<&[u32]>) -> Result<Vec<ArrayRef>> {
        self.0.state(of)
    }

    fn finish(&self, of: Option<&[u32]>) -> Result<ArrayRef> {
        self.0.finish(of)
    }

    fn reset(&mut self, groups: &[u32]) {
        self.0.reset(groups);
    }

    fn clear(&mut self) {
        self.0.clear();
    }

    fn size_bytes(&self) -> usize {
        self.0.size_bytes()
    }
}
