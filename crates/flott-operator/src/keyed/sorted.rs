//! Numbers in an order that their owner knows, in chunks: a place among many is found and changed without moving all.

/// A chunk with more is cut in two.
const CHUNK: usize = 512;

#[derive(Default)]
pub(crate) struct SortedSlots {
    /// None is empty.
    chunks: Vec<Vec<u32>>,
    len: usize,
}

impl SortedSlots {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many come before the first for which it is not true; it is true for a first part of them.
    pub(crate) fn partition_point(&self, mut before: impl FnMut(u32) -> bool) -> usize {
        let chunk = self.chunks.partition_point(|c| before(c[0]));
        let Some(chunk) = chunk.checked_sub(1) else { return 0 };
        let passed: usize = self.chunks[..chunk].iter().map(Vec::len).sum();
        passed + self.chunks[chunk].partition_point(|s| before(*s))
    }

    fn locate(&self, mut place: usize) -> (usize, usize) {
        let mut chunk = 0;
        while chunk + 1 < self.chunks.len() && place >= self.chunks[chunk].len() {
            place -= self.chunks[chunk].len();
            chunk += 1;
        }
        (chunk, place)
    }

    pub(crate) fn get(&self, place: usize) -> Option<u32> {
        let (chunk, at) = self.locate(place);
        self.chunks.get(chunk)?.get(at).copied()
    }

    pub(crate) fn set(&mut self, place: usize, slot: u32) {
        let (chunk, at) = self.locate(place);
        if let Some(s) = self.chunks.get_mut(chunk).and_then(|c| c.get_mut(at)) {
            *s = slot;
        }
    }

    pub(crate) fn insert(&mut self, place: usize, slot: u32) {
        if self.chunks.is_empty() {
            self.chunks.push(vec![]);
        }
        let (chunk, at) = self.locate(place);
        let slots = &mut self.chunks[chunk];
        slots.insert(at.min(slots.len()), slot);
        self.len += 1;
        if slots.len() > CHUNK {
            let rest = slots.split_off(CHUNK / 2);
            self.chunks.insert(chunk + 1, rest);
        }
    }

    pub(crate) fn remove(&mut self, place: usize) -> Option<u32> {
        if place >= self.len {
            return None;
        }
        let (chunk, at) = self.locate(place);
        let slot = self.chunks[chunk].remove(at);
        if self.chunks[chunk].is_empty() {
            self.chunks.remove(chunk);
        }
        self.len -= 1;
        Some(slot)
    }

    /// From a place on.
    pub(crate) fn iter_from(&self, place: usize) -> impl Iterator<Item = u32> + '_ {
        let (chunk, at) = self.locate(place);
        let first = self.chunks.get(chunk).map_or(&[][..], |c| &c[at.min(c.len())..]);
        let rest = self.chunks.get(chunk + 1..).unwrap_or_default();
        first.iter().chain(rest.iter().flatten()).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_one_list() {
        let (mut slots, mut model) = (SortedSlots::default(), Vec::<u32>::new());
        for i in 0..5_000u32 {
            let value = i.wrapping_mul(2_654_435_761) % 1_000;
            let place = slots.partition_point(|s| s <= value);
            assert_eq!(place, model.partition_point(|s| *s <= value));
            slots.insert(place, value);
            model.insert(place, value);
            if i % 3 == 0 {
                let place = (i as usize * 31) % model.len();
                assert_eq!(slots.remove(place), Some(model.remove(place)));
            }
        }
        assert_eq!(slots.iter_from(0).collect::<Vec<_>>(), model);
        for place in [0, 1, 511, 512, 513, model.len() - 1, model.len()] {
            assert_eq!(slots.get(place), model.get(place).copied());
            assert_eq!(slots.iter_from(place).next(), model.get(place).copied());
        }
        while slots.remove(slots.len() / 2).is_some() {}
        assert!(slots.is_empty() && slots.iter_from(0).next().is_none());
    }
}
