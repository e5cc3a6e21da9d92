//! Numbers of rows in the order of their bytes, in chunks: a place among many is found and changed without moving all. The
//! first bytes of each order lie beside the number, so that a row itself is looked at only where they do not decide.

use std::cmp::Ordering;

/// A chunk with more is cut in two.
const CHUNK: usize = 512;

/// The first eight bytes of an order. Where they differ, orders compare as they do.
fn lead(order: &[u8]) -> u64 {
    match order.first_chunk::<8>() {
        Some(bytes) => u64::from_be_bytes(*bytes),
        None => order.iter().enumerate().fold(0, |lead, (i, byte)| lead | u64::from(*byte) << (56 - 8 * i)),
    }
}

/// What an entry takes, with the room that its list has beside it.
pub(crate) const ENTRY_BYTES: usize = 2 * size_of::<Entry>();

#[derive(Debug, Clone, Copy)]
struct Entry {
    lead: u64,
    slot: u32,
}

/// An order that is looked for: with its first bytes.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    lead: u64,
    order: &'a [u8],
}

impl<'a> Wanted<'a> {
    fn new(order: &'a [u8]) -> Wanted<'a> {
        Wanted { lead: lead(order), order }
    }

    /// How an entry compares with it. `order_of`: the order of a row.
    fn entry<'b>(self, entry: Entry, order_of: impl Fn(u32) -> &'b [u8]) -> Ordering {
        entry.lead.cmp(&self.lead).then_with(|| order_of(entry.slot).cmp(self.order))
    }
}

#[derive(Default)]
pub(crate) struct SortedSlots {
    /// The first chunk: mostly the only one.
    first: Vec<Entry>,
    /// The others. None is empty.
    rest: Option<Box<Rest>>,
    len: usize,
}

#[derive(Default)]
struct Rest {
    chunks: Vec<Vec<Entry>>,
}

impl SortedSlots {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn rest(&self) -> &[Vec<Entry>] {
        self.rest.as_ref().map_or(&[], |r| &r.chunks)
    }

    fn chunk(&self, chunk: usize) -> Option<&[Entry]> {
        match chunk.checked_sub(1) {
            None => Some(&self.first),
            Some(chunk) => self.rest().get(chunk).map(Vec::as_slice),
        }
    }

    fn chunk_mut(&mut self, chunk: usize) -> Option<&mut Vec<Entry>> {
        match chunk.checked_sub(1) {
            None => Some(&mut self.first),
            Some(chunk) => self.rest.as_mut()?.chunks.get_mut(chunk),
        }
    }

    /// How many stand before this order; with those that are equal to it, if asked.
    fn before<'b>(&self, order: &[u8], equals: bool, order_of: impl Fn(u32) -> &'b [u8]) -> usize {
        let wanted = Wanted::new(order);
        let before = |entry: &Entry| match wanted.entry(*entry, &order_of) {
            Ordering::Less => true,
            Ordering::Equal => equals,
            Ordering::Greater => false,
        };
        let chunk = self.rest().partition_point(|c| c.first().is_some_and(before));
        let Some(entries) = self.chunk(chunk) else { return 0 };
        let passed: usize = (0..chunk).filter_map(|c| self.chunk(c)).map(<[Entry]>::len).sum();
        passed + entries.partition_point(before)
    }

    /// How many come before this order. `order_of`: the order of a row.
    pub(crate) fn less<'b>(&self, order: &[u8], order_of: impl Fn(u32) -> &'b [u8]) -> usize {
        self.before(order, false, order_of)
    }

    /// How many come before this order or are equal to it.
    pub(crate) fn less_or_equal<'b>(&self, order: &[u8], order_of: impl Fn(u32) -> &'b [u8]) -> usize {
        self.before(order, true, order_of)
    }

    /// How the last compares with this order.
    pub(crate) fn compare_last<'b>(&self, order: &[u8], order_of: impl Fn(u32) -> &'b [u8]) -> Option<Ordering> {
        let last = self.rest().last().unwrap_or(&self.first).last()?;
        Some(Wanted::new(order).entry(*last, order_of))
    }

    /// The last, which brings the others into the caches where they are few.
    pub(crate) fn last(&self) -> Option<u32> {
        self.rest().last().unwrap_or(&self.first).last().map(|e| e.slot)
    }

    fn locate(&self, mut place: usize) -> (usize, usize) {
        let mut chunk = 0;
        while let Some(entries) = self.chunk(chunk)
            && place >= entries.len()
            && chunk < self.rest().len()
        {
            place -= entries.len();
            chunk += 1;
        }
        (chunk, place)
    }

    pub(crate) fn get(&self, place: usize) -> Option<u32> {
        let (chunk, at) = self.locate(place);
        self.chunk(chunk)?.get(at).map(|e| e.slot)
    }

    /// Puts another row of the same order in a place.
    pub(crate) fn set(&mut self, place: usize, slot: u32) {
        let (chunk, at) = self.locate(place);
        if let Some(entry) = self.chunk_mut(chunk).and_then(|c| c.get_mut(at)) {
            entry.slot = slot;
        }
    }

    /// Puts a row of this order in its place.
    pub(crate) fn insert(&mut self, place: usize, slot: u32, order: &[u8]) {
        let (chunk, at) = self.locate(place);
        let Some(entries) = self.chunk_mut(chunk) else { return };
        if entries.capacity() == 0 {
            // Many partitions have one row.
            entries.reserve_exact(1);
        }
        entries.insert(at.min(entries.len()), Entry { lead: lead(order), slot });
        let more = (entries.len() > CHUNK).then(|| entries.split_off(CHUNK / 2));
        if let Some(more) = more {
            self.rest.get_or_insert_default().chunks.insert(chunk, more);
        }
        self.len += 1;
    }

    pub(crate) fn remove(&mut self, place: usize) -> Option<u32> {
        if place >= self.len {
            return None;
        }
        let (chunk, at) = self.locate(place);
        let entries = self.chunk_mut(chunk)?;
        let slot = entries.remove(at).slot;
        if entries.is_empty()
            && let Some(rest) = &mut self.rest
        {
            if chunk == 0 {
                self.first = rest.chunks.remove(0);
            } else {
                rest.chunks.remove(chunk - 1);
            }
            if rest.chunks.is_empty() {
                self.rest = None;
            }
        }
        self.len -= 1;
        Some(slot)
    }

    /// From a place on.
    pub(crate) fn iter_from(&self, place: usize) -> impl Iterator<Item = u32> + '_ {
        let (chunk, at) = self.locate(place);
        let first = self.chunk(chunk).map_or(&[][..], |c| &c[at.min(c.len())..]);
        let rest = self.rest().get(chunk..).unwrap_or_default();
        first.iter().chain(rest.iter().flatten()).map(|e| e.slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_one_list() {
        // Orders that differ in their first bytes, behind them, and in length.
        let orders: Vec<Vec<u8>> = (0..1_000u32)
            .map(|i| format!("{}{}{:03}", i / 100, "x".repeat(i as usize / 10 % 10), i).into_bytes())
            .collect();
        let order_of = |s: u32| orders[s as usize].as_slice();
        let (mut slots, mut model) = (SortedSlots::default(), Vec::<u32>::new());
        for i in 0..5_000u32 {
            let value = i.wrapping_mul(2_654_435_761) % 1_000;
            let order = order_of(value);
            let place = slots.less_or_equal(order, order_of);
            assert_eq!(place, model.partition_point(|s| order_of(*s) <= order));
            assert_eq!(slots.less(order, order_of), model.partition_point(|s| order_of(*s) < order));
            assert_eq!(slots.compare_last(order, order_of), model.last().map(|s| order_of(*s).cmp(order)));
            slots.insert(place, value, order);
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
        assert!(slots.rest.is_some());
        while slots.remove(0).is_some() {
            model.remove(0);
            assert_eq!((slots.get(0), slots.len()), (model.first().copied(), model.len()));
        }
        assert!(slots.is_empty() && slots.iter_from(0).next().is_none());
    }
}
