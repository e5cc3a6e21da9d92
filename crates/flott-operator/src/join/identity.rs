//! Finds a row in state by its content (or its unique key): open addressing over 8-byte slots (32-bit tag, entry).

/// No entry in this slot.
const EMPTY: u32 = u32::MAX;
const SLOTS_MIN: usize = 64;

#[derive(Clone, Copy)]
struct Slot {
    tag: u32,
    entry: u32,
}

/// Entries by the hash of their identity. Several entries may have the same identity.
pub(crate) struct Identity {
    slots: Vec<Slot>,
    len: usize,
    /// By entry; those of dead entries are whatever lies there.
    hashes: Vec<u64>,
}

impl Identity {
    pub(crate) fn new() -> Identity {
        Identity { slots: vec![Slot { tag: 0, entry: EMPTY }; SLOTS_MIN], len: 0, hashes: vec![] }
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>() + self.hashes.capacity() * 8
    }

    /// An entry with this hash for which `same` is true.
    #[inline]
    pub(crate) fn find(&self, hash: u64, mut same: impl FnMut(u32) -> bool) -> Option<u32> {
        let (mask, tag) = (self.slots.len() - 1, (hash >> 32) as u32);
        let mut place = hash as usize & mask;
        loop {
            let slot = self.slots[place];
            if slot.entry == EMPTY {
                return None;
            }
            if slot.tag == tag && self.hashes[slot.entry as usize] == hash && same(slot.entry) {
                return Some(slot.entry);
            }
            place = (place + 1) & mask;
        }
    }

    /// Entries are numbered in ascending order; numbers between may be left out.
    pub(crate) fn insert(&mut self, entry: u32, hash: u64) {
        if (self.len + 1) * 2 > self.slots.len() {
            self.grow();
        }
        if self.hashes.len() <= entry as usize {
            self.hashes.resize(entry as usize + 1, 0);
        }
        self.hashes[entry as usize] = hash;
        self.put(entry, hash);
        self.len += 1;
    }

    fn put(&mut self, entry: u32, hash: u64) {
        let mask = self.slots.len() - 1;
        let mut place = hash as usize & mask;
        while self.slots[place].entry != EMPTY {
            place = (place + 1) & mask;
        }
        self.slots[place] = Slot { tag: (hash >> 32) as u32, entry };
    }

    fn grow(&mut self) {
        let slots = self.slots.len() * 2;
        let old = std::mem::replace(&mut self.slots, vec![Slot { tag: 0, entry: EMPTY }; slots]);
        for slot in old.into_iter().filter(|s| s.entry != EMPTY) {
            self.put(slot.entry, self.hashes[slot.entry as usize]);
        }
    }

    /// The entry must be there.
    pub(crate) fn remove(&mut self, entry: u32) {
        let mask = self.slots.len() - 1;
        let mut place = self.hashes[entry as usize] as usize & mask;
        while self.slots[place].entry != entry {
            if self.slots[place].entry == EMPTY {
                return;
            }
            place = (place + 1) & mask;
        }
        // Those behind move up unless that puts them before their own place.
        let mut next = (place + 1) & mask;
        while self.slots[next].entry != EMPTY {
            let home = self.hashes[self.slots[next].entry as usize] as usize & mask;
            let fits = if place <= next { home <= place || home > next } else { home <= place && home > next };
            if fits {
                self.slots[place] = self.slots[next];
                place = next;
            }
            next = (next + 1) & mask;
        }
        self.slots[place] = Slot { tag: 0, entry: EMPTY };
        self.len -= 1;
    }

    /// Starts over after entries were renumbered: `hashes` by new entry.
    pub(crate) fn renumber(&mut self, renumbered: &[u32]) {
        let old = std::mem::replace(self, Identity::new());
        let mut hashes: Vec<(u32, u64)> = old
            .slots
            .iter()
            .filter(|s| s.entry != EMPTY)
            .map(|s| (renumbered[s.entry as usize], old.hashes[s.entry as usize]))
            .collect();
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
        assert_eq!(index.len, live.len());
    }
}
