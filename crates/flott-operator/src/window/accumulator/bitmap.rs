//! Aggregates that give a BITMAP, or how many numbers are in it: of numbers, and of what several bitmaps have in common, in
//! all or in odd number.

use std::sync::Arc;

use arrow_array::builder::BinaryBuilder;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{ArrayRef, Int32Array, Int64Array, cast::AsArray};
use arrow_schema::DataType;
use flott_core::Result;
use flott_function::bitmap::{self, RoaringBitmap};

use super::multiset::Multiset;
use super::{Accumulator, Input, each_row, gather};

/// A column of sets, or of how many numbers are in them.
fn shown(sets: impl Iterator<Item = Option<RoaringBitmap>>, result: &DataType) -> ArrayRef {
    if result == &DataType::Int64 {
        return Arc::new(sets.map(|s| s.map(|s| s.len() as i64)).collect::<Int64Array>());
    }
    let mut out = BinaryBuilder::new();
    sets.for_each(|s| out.append_option(s.map(|s| bitmap::write(&s))));
    Arc::new(out.finish())
}

/// Which numbers are in the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    /// The argument is a number.
    Numbers,
    /// Those that are in all bitmaps.
    All,
    /// Those that are in one of the bitmaps.
    Any,
}

/// How often each number has come.
pub(super) struct Counted {
    numbers: Multiset,
    /// How many bitmaps have come; not counted for [`Of::Numbers`].
    bitmaps: Vec<i64>,
    of: Of,
    result: DataType,
}

impl Counted {
    pub(super) fn build(of: Of, result: &DataType) -> Result<Box<dyn Accumulator>> {
        let numbers = Multiset::new(&DataType::Int32, "BITMAP")?;
        Ok(Box::new(Counted { numbers, bitmaps: vec![], of, result: result.clone() }))
    }
}

impl Accumulator for Counted {
    fn resize(&mut self, groups: usize) {
        self.numbers.resize(groups);
        self.bitmaps.resize(groups, 0);
    }

    fn update(&mut self, groups: &[u32], input: &Input<'_>) -> Result<()> {
        let Some(argument) = input.argument else { return Ok(()) };
        let sign = |row: usize| input.signs.map_or(1, |s| s[row]);
        if self.of == Of::Numbers {
            return self.numbers.update(groups, argument, input.include, sign);
        }
        let sets = argument.as_binary::<i32>();
        let (mut owners, mut numbers, mut signs, mut failed) = (vec![], vec![], vec![], None);
        each_row(groups, input.include, |row, g| match bitmap::read(sets.value(row)) {
            Ok(set) => {
                self.bitmaps[g] += sign(row);
                numbers.extend(set.iter().map(|n| n as i32));
                owners.resize(numbers.len(), g as u32);
                signs.resize(numbers.len(), sign(row));
            }
            Err(e) => failed = Some(e),
        });
        if let Some(e) = failed {
            return Err(e);
        }
        let numbers: ArrayRef = Arc::new(Int32Array::from(numbers));
        self.numbers.update(&owners, &numbers, None, |i| signs[i])
    }

    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()> {
        let [bitmaps @ .., numbers, counts] = state else { return Ok(()) };
        if let [bitmaps] = bitmaps {
            for (g, n) in groups.iter().zip(bitmaps.as_primitive::<Int64Type>().values()) {
                self.bitmaps[*g as usize] += n;
            }
        }
        self.numbers.merge(groups, numbers, counts)
    }

    fn state(&self, of: Option<&[u32]>) -> Result<Vec<ArrayRef>> {
        let numbers = self.numbers.state(of)?;
        if self.of == Of::Numbers {
            return Ok(numbers);
        }
        let bitmaps: ArrayRef = Arc::new(Int64Array::from(gather(&self.bitmaps, of)));
        Ok([vec![bitmaps], numbers].concat())
    }

    fn finish(&self, of: Option<&[u32]>) -> Result<ArrayRef> {
        let (numbers, counts, offsets) = self.numbers.entries(of, |n| n > 0)?;
        let numbers = numbers.as_primitive::<Int32Type>();
        let bitmaps = gather(&self.bitmaps, of);
        let sets = offsets.windows(2).enumerate().map(|(i, range)| {
            let passes = |at: &usize| self.of != Of::All || counts[*at] == bitmaps[i];
            let places = (range[0] as usize..range[1] as usize).filter(passes);
            let set: RoaringBitmap = places.map(|at| numbers.value(at) as u32).collect();
            let is_there = if self.of == Of::Numbers { !set.is_empty() } else { bitmaps[i] > 0 };
            is_there.then_some(set)
        });
        Ok(shown(sets, &self.result))
    }

    fn reset(&mut self, groups: &[u32]) {
        groups.iter().for_each(|g| self.bitmaps[*g as usize] = 0);
        self.numbers.reset(groups);
    }

    fn clear(&mut self) {
        self.bitmaps.clear();
        self.numbers.clear();
    }

    fn size_bytes(&self) -> usize {
        self.bitmaps.capacity() * size_of::<i64>() + self.numbers.size_bytes()
    }
}

/// The numbers that are in an odd number of bitmaps: one that is taken away is added once more.
pub(super) struct Odd {
    groups: Vec<(i64, RoaringBitmap)>,
    result: DataType,
}

impl Odd {
    pub(super) fn new(result: &DataType) -> Odd {
        Odd { groups: vec![], result: result.clone() }
    }

    fn of<'a>(&'a self, of: Option<&'a [u32]>) -> impl Iterator<Item = &'a (i64, RoaringBitmap)> {
        let n = of.map_or(self.groups.len(), <[u32]>::len);
        (0..n).map(move |i| &self.groups[of.map_or(i, |g| g[i] as usize)])
    }
}

impl Accumulator for Odd {
    fn resize(&mut self, groups: usize) {
        self.groups.resize_with(groups, Default::default);
    }

    fn update(&mut self, groups: &[u32], input: &Input<'_>) -> Result<()> {
        let Some(argument) = input.argument else { return Ok(()) };
        let sets = argument.as_binary::<i32>();
        let mut failed = None;
        each_row(groups, input.include, |row, g| match bitmap::read(sets.value(row)) {
            Ok(set) => {
                self.groups[g].0 += input.signs.map_or(1, |s| s[row]);
                self.groups[g].1 ^= set;
            }
            Err(e) => failed = Some(e),
        });
        failed.map_or(Ok(()), Err)
    }

    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()> {
        let (counts, sets) = (state[0].as_primitive::<Int64Type>(), state[1].as_binary::<i32>());
        for (i, g) in groups.iter().enumerate() {
            let group = &mut self.groups[*g as usize];
            group.0 += counts.value(i);
            group.1 ^= bitmap::read(sets.value(i))?;
        }
        Ok(())
    }

    fn state(&self, of: Option<&[u32]>) -> Result<Vec<ArrayRef>> {
        let counts: Int64Array = self.of(of).map(|g| Some(g.0)).collect();
        let mut sets = BinaryBuilder::new();
        self.of(of).for_each(|g| sets.append_value(bitmap::write(&g.1)));
        Ok(vec![Arc::new(counts), Arc::new(sets.finish())])
    }

    fn finish(&self, of: Option<&[u32]>) -> Result<ArrayRef> {
        Ok(shown(self.of(of).map(|g| (g.0 > 0).then(|| g.1.clone())), &self.result))
    }

    fn reset(&mut self, groups: &[u32]) {
        groups.iter().for_each(|g| self.groups[*g as usize] = Default::default());
    }

    fn clear(&mut self) {
        self.groups.clear();
    }

    fn size_bytes(&self) -> usize {
        self.groups.iter().map(|g| size_of_val(g) + g.1.serialized_size()).sum()
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::BinaryArray;

    use super::*;

    fn sets(of: &[&[u32]]) -> ArrayRef {
        let bytes = of.iter().map(|s| bitmap::write(&s.iter().copied().collect()));
        Arc::new(BinaryArray::from_iter_values(bytes))
    }

    fn text(column: &ArrayRef) -> Vec<Option<String>> {
        let show = |b: &[u8]| bitmap::to_text(&bitmap::read(b).expect("a set"));
        column.as_binary::<i32>().iter().map(|b| b.map(show)).collect()
    }

    #[test]
    fn what_is_taken_away_is_gone_and_parts_add_up() {
        let argument = sets(&[&[1, 2], &[2, 3], &[2, u32::MAX]]);
        let added = Input { argument: Some(&argument), include: None, signs: None };
        let gone = sets(&[&[2, 3]]);
        let taken = Input { argument: Some(&gone), include: None, signs: Some(&[-1]) };
        let all = |mut a: Box<dyn Accumulator>, before: &str, after: &str| {
            a.resize(3);
            a.update(&[0, 0, 0], &added).expect("added");
            assert_eq!(text(&a.finish(Some(&[0])).expect("a result")), [Some(before.to_string())]);
            a.update(&[0], &taken).expect("taken away");
            let state = a.state(Some(&[0])).expect("a state");
            a.merge(&[1], &state).expect("merged");
            let shown = text(&a.finish(None).expect("results"));
            assert_eq!(shown, [Some(after.to_string()), Some(after.to_string()), None]);
            a.reset(&[1]);
            assert_eq!(text(&a.finish(Some(&[1])).expect("a result")), [None]);
        };
        let of = |of: Of| Counted::build(of, &DataType::Binary).expect("built");
        all(of(Of::All), "{2}", "{2}");
        all(of(Of::Any), "{1,2,3,4294967295}", "{1,2,4294967295}");
        all(Box::new(Odd::new(&DataType::Binary)), "{1,2,3,4294967295}", "{1,4294967295}");
    }
}
