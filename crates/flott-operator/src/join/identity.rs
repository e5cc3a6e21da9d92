//! Finds a row in state by its content (or its unique key): open addressing over 8-byte slots (32-bit tag, entry).
//!
//! A slot is one hash; the entries that share it form a ring, so that many equal rows cost no more than different ones.

/// No entry in this slot.
const EMPTY: u32 = u32::MAX;
const SLOTS_MIN: usize = 64;

#[derive(Clone, Copy)]
struct Slot {
    tag: u32,
    /// The oldest entry with the hash.
    entry: u32,
}

/// Neighbours of an entry in its ring.
#[derive(Clone, Copy)]
struct Link {
    next: u32,
    prev: u32,
}

/// Entries by the hash of their identity. Several entries may have the same identity.
pub(crate) struct Identity {
    slots: Vec<Slot>,
    /// Slots that are taken.
    taken: usize,
    /// By entry; those of dead entries are whatever lies there.
    hashes: Vec<u64>,
    links: Vec<Link>,
}

impl Identity {
    pub(crate) fn new() -> Identity {
        Identity { slots: vec![Slot { tag: 0, entry: EMPTY }; SLOTS_MIN], taken: 0, hashes: vec![], links: vec![] }
    }

    pub(crate) fn size_bytes(&self) -> usize {
        let by_entry = self.hashes.capacity() * 8 + self.links.capacity() * size_of::<Link>();
        self.slots.capacity() * size_of::<Slot>() + by_entry
    }

    /// The slot of a hash, or the empty one where it would come.
    #[inline]
    fn place(&self, hash: u64) -> usize {
        let (mask, tag) = (self.slots.len() - 1, (hash >> 32) as u32);
        let mut place = hash as usize & mask;
        loop {
            let slot = self.slots[place];
            if slot.entry == EMPTY || (slot.tag == tag && self.hashes[slot.entry as usize] == hash) {
                return place;
            }
            place = (place + 1) & mask;
        }
    }

    /// The oldest entry with this hash for which `same` is true.
    #[inline]
    pub(crate) fn find(&self, hash: u64, mut same: impl FnMut(u32) -> bool) -> Option<u32> {
        let head = self.slots[self.place(hash)].entry;
        if head == EMPTY {
            return None;
        }
        let mut entry = head;
        loop {
            if same(entry) {
                return Some(entry);
            }
            entry = self.links[entry as usize].next;
            if entry == head {
                return None;
            }
        }
    }

    /// Entries are numbered in ascending order; numbers between may be left out.
    pub(crate) fn insert(&mut self, entry: u32, hash: u64) {
        if (self.taken + 1) * 2 > self.slots.len() {
            self.grow();
        }
        if self.hashes.len() <= entry as usize {
            self.hashes.resize(entry as usize + 1, 0);
            self.links.resize(entry as usize + 1, Link { next: EMPTY, prev: EMPTY });
        }
        self.hashes[entry as usize] = hash;
        let place = self.place(hash);
        let head = self.slots[place].entry;
        if head == EMPTY {
            self.links[entry as usize] = Link { next: entry, prev: entry };
            self.slots[place] = Slot { tag: (hash >> 32) as u32, entry };
            self.taken += 1;
        } else {
            let tail = std::mem::replace(&mut self.links[head as usize].prev, entry);
            self.links[tail as usize].next = entry;
            self.links[entry as usize] = Link { next: head, prev: tail };
        }
    }

    fn grow(&mut self) {
        let slots = self.slots.len() * 2;
        let old = std::mem::replace(&mut self.slots, vec![Slot { tag: 0, entry: EMPTY }; slots]);
        for slot in old.into_iter().filter(|s| s.entry != EMPTY) {
            let place = self.place(self.hashes[slot.entry as usize]);
            self.slots[place] = slot;
        }
    }

    /// The entry must be there.
    pub(crate) fn remove(&mut self, entry: u32) {
        let mut place = self.place(self.hashes[entry as usize]);
        let head = self.slots[place].entry;
        if head == EMPTY {
            return;
        }
        let Link { next, prev } = self.links[entry as usize];
        if next != entry {
            self.links[prev as usize].next = next;
            self.links[next as usize].prev = prev;
            if head == entry {
                self.slots[place].entry = next;
            }
            return;
        }
        // Those behind move up unless that puts them before their own place.
        let mask = self.slots.len() - 1;
        let mut behind = (place + 1) & mask;
        while self.slots[behind].entry != EMPTY {
            let home = self.hashes[self.slots[behind].entry as usize] as usize & mask;
            let fits = if place <= behind { home <= place || home > behind } else { home <= place && home > behind };
            if fits {
                self.slots[place] = self.slots[behind];
                place = behind;
            }
            behind = (behind + 1) & mask;
        }
        self.slots[place] = Slot { tag: 0, entry: EMPTY };
        self.taken -= 1;
    }

    /// Starts over after entries were renumbered: the new numbers by the old ones.
    pub(crate) fn renumber(&mut self, renumbered: &[u32]) {
        let old = std::mem::replace(self, Identity::new());
        let mut hashes: Vec<(u32, u64)> = vec![];
        for slot in old.slots.iter().filter(|s| s.entry != EMPTY) {
            let mut entry = slot.entry;
            loop {
                hashes.push((renumbered[entry as usize], old.hashes[entry as usize]));
                entry = old.links[entry as usize].next;
                if entry == slot.entry {
                    break;
                }
            }
        }
        hashes.sort_unstable();
        hashes.into_iter().for_each(|(entry, hash)| self.insert(entry, hash));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Few homes, so that runs of slots wrap around and are closed up again.
    #[test]
    fn entries_are_found_until_they_are_removed() {
        let mut index = Identity::new();
        let mut live = BTreeSet::new();
        let mut seed = 7u64;
        let hash = |entry: u32| {
            if entry.is_multiple_of(3) { u64::MAX } else { u64::from(entry).wrapping_mul(0x9e37_79b9_7f4a_7c15) }
        };
        for entry in 0..4_000u32 {
            index.insert(entry, hash(entry));
            live.insert(entry);
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if live.len() > 30 {
                let at = (seed >> 33) as usize % live.len();
                let gone = *live.iter().nth(at).expect("live");
                live.remove(&gone);
                index.remove(gone);
                assert_eq!(index.find(hash(gone), |e| e == gone), None);
            }
            assert!(live.iter().all(|e| index.find(hash(*e), |f| f == *e) == Some(*e)));
        }
        let hashes: BTreeSet<u64> = live.iter().map(|e| hash(*e)).collect();
        assert_eq!(index.taken, hashes.len());
        let renumbered: Vec<u32> =
            (0..4_000).map(|e| if live.contains(&e) { e / 2 + e % 2 * 2_000 } else { 7 }).collect();
        index.renumber(&renumbered);
        assert!(live.iter().all(|e| {
            let new = renumbered[*e as usize];
            index.find(hash(*e), |f| f == new) == Some(new)
        }));
    }

    /// A scan past all of them for each would take minutes.
    #[test]
    fn equal_rows_cost_no_more_than_others() {
        let mut index = Identity::new();
        (0..1_000_000).for_each(|entry| index.insert(entry, 42));
        for entry in 0..1_000_000 {
            assert_eq!(index.find(42, |_| true), Some(entry), "the oldest first");
            index.remove(entry);
        }
        assert_eq!((index.taken, index.find(42, |_| true)), (0, None));
    }
}
