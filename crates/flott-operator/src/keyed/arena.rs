//! Byte strings by number, packed one behind another. Numbers of removed ones are given out again, and their bytes are
//! won back once they are the greater part.

use std::hint::black_box;

use crate::held::list_bytes;

/// Below so many unused bytes nothing is moved.
const SLACK_BYTES: usize = 1 << 16;
/// Strings start at multiples of this, so that a place fits 32 bits.
const ALIGNMENT: usize = 8;

#[derive(Clone, Copy)]
struct Span {
    /// In units of [`ALIGNMENT`].
    place: u32,
    bytes: u32,
}

#[derive(Default)]
pub(crate) struct Arena {
    bytes: Vec<u8>,
    spans: Vec<Span>,
    free: Vec<u32>,
    unused: usize,
}

fn padded(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGNMENT)
}

impl Arena {
    /// One more than the greatest number that was ever given out.
    pub(crate) fn bound(&self) -> usize {
        self.spans.len()
    }

    /// Number of strings.
    pub(crate) fn len(&self) -> usize {
        self.spans.len() - self.free.len()
    }

    /// The string that the parts make together. Its number.
    pub(crate) fn insert(&mut self, parts: [&[u8]; 3]) -> u32 {
        let length: usize = parts.iter().map(|p| p.len()).sum();
        let span = Span { place: (self.bytes.len() / ALIGNMENT) as u32, bytes: length as u32 };
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        self.bytes.resize(padded(self.bytes.len()), 0);
        match self.free.pop() {
            Some(number) => {
                self.spans[number as usize] = span;
                number
            }
            None => {
                self.spans.push(span);
                (self.spans.len() - 1) as u32
            }
        }
    }

    pub(crate) fn get(&self, number: u32) -> &[u8] {
        let span = self.spans[number as usize];
        let from = span.place as usize * ALIGNMENT;
        &self.bytes[from..from + span.bytes as usize]
    }

    /// Brings these strings into the caches, as far as there are such numbers: reads that do not wait for one another.
    pub(crate) fn warm(&self, numbers: &[u32]) {
        let spans = || numbers.iter().filter_map(|n| self.spans.get(*n as usize));
        black_box(spans().fold(0, |sum: u32, span| sum.wrapping_add(span.place)));
        let first = spans().filter_map(|span| self.bytes.get(span.place as usize * ALIGNMENT));
        black_box(first.fold(0, |sum: u8, byte| sum.wrapping_add(*byte)));
    }

    /// The number may be given out again.
    pub(crate) fn remove(&mut self, number: u32) {
        let span = &mut self.spans[number as usize];
        self.unused += padded(span.bytes as usize);
        span.bytes = 0;
        self.free.push(number);
        if self.free.len() == self.spans.len() {
            *self = Arena::default();
        } else if self.unused > SLACK_BYTES && self.unused * 2 > self.bytes.len() {
            self.pack();
        }
    }

    fn pack(&mut self) {
        let mut packed = Vec::with_capacity(self.bytes.len() - self.unused);
        for span in &mut self.spans {
            let from = span.place as usize * ALIGNMENT;
            let bytes = padded(span.bytes as usize);
            span.place = (packed.len() / ALIGNMENT) as u32;
            packed.extend_from_slice(&self.bytes[from..from + bytes]);
        }
        self.bytes = packed;
        self.unused = 0;
    }

    /// Estimated memory.
    pub(crate) fn size_bytes(&self) -> usize {
        list_bytes(&self.bytes) + list_bytes(&self.spans) + list_bytes(&self.free)
    }

    /// Whether another string of so many bytes has a place.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        (self.bytes.len() + bytes) / ALIGNMENT < u32::MAX as usize && self.spans.len() < (u32::MAX - 16) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_stay_where_others_go() {
        let mut arena = Arena::default();
        let text = |i: u32| format!("{}{i}", "x".repeat(i as usize % 90));
        let numbers: Vec<u32> = (0..5_000).map(|i| arena.insert([text(i).as_bytes(), b"", b"!"])).collect();
        for (i, n) in numbers.iter().enumerate().filter(|(i, _)| i % 7 != 0) {
            assert_eq!(arena.get(*n), format!("{}!", text(i as u32)).as_bytes());
            arena.remove(*n);
        }
        for (i, n) in numbers.iter().enumerate().filter(|(i, _)| i % 7 == 0) {
            assert_eq!(arena.get(*n), format!("{}!", text(i as u32)).as_bytes());
        }
        assert!(arena.unused <= SLACK_BYTES.max(arena.bytes.len() / 2));
        let (bound, again) = (arena.bound(), arena.insert([b"a", b"b", b"c"]));
        assert_eq!((arena.get(again), arena.bound()), (b"abc".as_slice(), bound));
        arena.remove(again);
        numbers.iter().step_by(7).for_each(|n| arena.remove(*n));
        assert_eq!((arena.len(), arena.size_bytes()), (0, 0));
    }
}
