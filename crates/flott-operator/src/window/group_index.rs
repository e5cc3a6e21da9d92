//! Hashes to dense group numbers: open addressing over 8-byte slots (32-bit tag, group), a batch at a time.
//!
//! A large index consists of many small tables: each grows by itself, so that no batch waits for all groups to move, nor
//! for the memory of all slots at once. There a lookup is a miss of the cache or two, so that the misses of many rows are
//! under way together.

use super::room::Room;
use crate::held::list_bytes;

/// Without a group.
const EMPTY: u64 = 0;
const SLOTS_MIN: usize = 64;
/// An index with more groups is split. To move so many, into memory that is touched for the first time, takes less than a
/// batch of new groups does; of eight times as many it took 36 ms.
const WHOLE_MAX: usize = 1 << 16;
const PARTS: usize = 256;
/// Rows whose slots are looked at together.
const TOGETHER: usize = 64;

/// Stored keys beside the keys of a batch.
pub(super) trait Probe {
    fn equals(&self, group: usize, row: usize) -> bool;
    fn push(&mut self, row: usize);
}

/// Slots and the hash of each group.
pub(super) struct Index {
    /// Of a small index: the place is the lower half of the hash.
    slots: Vec<u64>,
    /// Of a large index.
    parts: Vec<Part>,
    hashes: Vec<u64>,
}

/// One of the tables of a large index. The upper bits of a tag choose it, the lower ones the place in it, so that groups
/// move without a look at their hashes; the bits between tell most keys apart.
struct Part {
    slots: Vec<u64>,
    groups: usize,
    /// Which one it is.
    number: usize,
}

/// A tag is the upper half of the hash.
fn slot_of(hash: u64, group: u32) -> u64 {
    hash & 0xffff_ffff_0000_0000 | u64::from(group.wrapping_add(1))
}

fn group_of(slot: u64) -> u32 {
    (slot as u32).wrapping_sub(1)
}

fn has_tag_of(slot: u64, hash: u64) -> bool {
    slot != EMPTY && (slot ^ hash) >> 32 == 0
}

#[inline]
fn part_of(tagged: u64) -> usize {
    (tagged >> 56) as usize
}

impl Part {
    fn new(number: usize, slots: usize) -> Part {
        Part { slots: vec![EMPTY; slots], groups: 0, number }
    }

    /// It grows beyond so many groups: three eighths to five eighths of its slots. All parts are about as full as each
    /// other; with one limit all would grow in the same few batches.
    fn most(&self) -> usize {
        self.slots.len() * (3 * PARTS + 2 * self.number) / (8 * PARTS)
    }

    #[inline]
    fn place_of(&self, tagged: u64) -> usize {
        (tagged >> 32) as usize & (self.slots.len() - 1)
    }

    /// The group of a row, or the place where it belongs.
    fn find<P: Probe>(&self, hash: u64, keys: &P, row: usize) -> Result<u32, usize> {
        let mut place = self.place_of(hash);
        loop {
            let slot = self.slots[place];
            if slot == EMPTY {
                return Err(place);
            }
            if has_tag_of(slot, hash) && keys.equals(group_of(slot) as usize, row) {
                return Ok(group_of(slot));
            }
            place = (place + 1) & (self.slots.len() - 1);
        }
    }

    fn put(&mut self, place: usize, slot: u64) {
        self.slots[place] = slot;
        self.groups += 1;
        if self.groups > self.most() {
            let mut larger = Part::new(self.number, self.slots.len() * 2);
            self.slots.iter().filter(|s| **s != EMPTY).for_each(|s| larger.put_new(*s));
            *self = larger;
        }
    }

    /// A group that is not there.
    fn put_new(&mut self, slot: u64) {
        let mut place = self.place_of(slot);
        while self.slots[place] != EMPTY {
            place = (place + 1) & (self.slots.len() - 1);
        }
        self.put(place, slot);
    }
}

impl Index {
    pub(super) fn new() -> Index {
        Index { slots: vec![EMPTY; SLOTS_MIN], parts: vec![], hashes: vec![] }
    }

    /// The hash of each group.
    pub(super) fn hashes(&self) -> &[u64] {
        &self.hashes
    }

    pub(super) fn size_bytes(&self) -> usize {
        let parts: usize = self.parts.iter().map(|p| p.slots.capacity()).sum();
        (self.slots.capacity() + parts) * 8 + list_bytes(&self.hashes)
    }

    /// The group of each row; a key that is new gets the next number.
    pub(super) fn find_or_insert_all<P: Probe>(&mut self, mut keys: P, hashes: &[u64], groups: &mut Vec<u32>) {
        groups.clear();
        groups.reserve(hashes.len());
        if self.parts.is_empty() {
            self.in_whole(&mut keys, hashes, groups);
        }
        if groups.len() < hashes.len() {
            self.in_parts(&mut keys, hashes, groups);
        }
    }

    /// As far as the index is not split.
    fn in_whole<P: Probe>(&mut self, keys: &mut P, hashes: &[u64], groups: &mut Vec<u32>) {
        groups.resize(hashes.len(), 0);
        let mut row = 0;
        while let Some((new, place)) = self.find_known(keys, hashes, groups, row) {
            groups[new] = self.insert_in_whole(place, hashes[new], keys, new);
            row = new + 1;
            if self.slots.is_empty() {
                return groups.truncate(row);
            }
        }
    }

    /// The groups of rows from this one on; the first row that has none, and the place where it belongs.
    #[inline]
    fn find_known<P: Probe>(
        &self,
        keys: &P,
        hashes: &[u64],
        groups: &mut [u32],
        from: usize,
    ) -> Option<(usize, usize)> {
        let slots = self.slots.as_slice();
        let mask = slots.len() - 1;
        for (i, (hash, group)) in hashes[from..].iter().zip(&mut groups[from..]).enumerate() {
            let mut place = *hash as usize & mask;
            loop {
                let slot = slots[place];
                if slot == EMPTY {
                    return Some((from + i, place));
                }
                if (slot ^ hash) >> 32 == 0 && keys.equals(group_of(slot) as usize, from + i) {
                    *group = group_of(slot);
                    break;
                }
                place = (place + 1) & mask;
            }
        }
        None
    }

    #[cold]
    fn insert_in_whole<P: Probe>(&mut self, place: usize, hash: u64, keys: &mut P, row: usize) -> u32 {
        let group = self.hashes.len() as u32;
        self.slots[place] = slot_of(hash, group);
        self.hashes.push(hash);
        keys.push(row);
        if self.hashes.len() > WHOLE_MAX {
            self.split();
        } else if self.hashes.len() * 2 > self.slots.len() {
            let slots = self.slots.len() * 2;
            self.slots.clear();
            self.slots.resize(slots, EMPTY);
            for (group, hash) in self.hashes.iter().enumerate() {
                let mut place = *hash as usize & (slots - 1);
                while self.slots[place] != EMPTY {
                    place = (place + 1) & (slots - 1);
                }
                self.slots[place] = slot_of(*hash, group as u32);
            }
        }
        group
    }

    fn split(&mut self) {
        let slots = (self.hashes.len() * 4 / PARTS).next_power_of_two().max(SLOTS_MIN);
        self.parts = (0..PARTS).map(|number| Part::new(number, slots)).collect();
        for slot in std::mem::take(&mut self.slots).into_iter().filter(|s| *s != EMPTY) {
            self.parts[part_of(slot)].put_new(slot);
        }
    }

    /// The rows that are left. First the slots of many rows are read, then their keys; what is not found that way, mostly
    /// because it is new, is looked for again.
    fn in_parts<P: Probe>(&mut self, keys: &mut P, hashes: &[u64], groups: &mut Vec<u32>) {
        let mut slots = [EMPTY; TOGETHER];
        let mut row = groups.len();
        for hashes in hashes[row..].chunks(TOGETHER) {
            for (slot, hash) in slots.iter_mut().zip(hashes) {
                let part = &self.parts[part_of(*hash)];
                *slot = part.slots[part.place_of(*hash)];
            }
            for (i, (slot, hash)) in slots.iter_mut().zip(hashes).enumerate() {
                if !has_tag_of(*slot, *hash) || !keys.equals(group_of(*slot) as usize, row + i) {
                    *slot = EMPTY;
                }
            }
            for (slot, hash) in slots.iter().zip(hashes) {
                groups.push(if *slot == EMPTY { self.find_or_insert(*hash, keys, row) } else { group_of(*slot) });
                row += 1;
            }
        }
    }

    fn find_or_insert<P: Probe>(&mut self, hash: u64, keys: &mut P, row: usize) -> u32 {
        let part = &mut self.parts[part_of(hash)];
        match part.find(hash, keys, row) {
            Ok(group) => group,
            Err(place) => {
                let group = self.hashes.len() as u32;
                part.put(place, slot_of(hash, group));
                self.hashes.push(hash);
                keys.push(row);
                group
            }
        }
    }

    /// A group that is found without its hash.
    pub(super) fn push_only(&mut self, hash: u64) {
        self.hashes.push(hash);
    }

    /// Room for the hashes of more groups.
    pub(super) fn make_room(&mut self, room: &mut Room) {
        room.of(&mut self.hashes);
    }

    /// Forgets all groups, and keeps the memory: of the slots only that of a small index.
    pub(super) fn clear(&mut self) {
        self.hashes.clear();
        if self.parts.is_empty() {
            self.slots.fill(EMPTY);
        } else {
            *self = Index { hashes: std::mem::take(&mut self.hashes), ..Index::new() };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    struct Keys<'a> {
        stored: &'a mut Vec<u64>,
        batch: &'a [u64],
    }

    impl Probe for Keys<'_> {
        fn equals(&self, group: usize, row: usize) -> bool {
            self.stored[group] == self.batch[row]
        }

        fn push(&mut self, row: usize) {
            self.stored.push(self.batch[row]);
        }
    }

    /// Looks batches of keys up and compares with a map. `hash` may be a bad one.
    fn compare(index: &mut Index, batches: &[Vec<u64>], hash: fn(u64) -> u64) {
        let (mut stored, mut groups, mut expected) = (vec![], vec![], HashMap::new());
        for batch in batches {
            let hashes: Vec<u64> = batch.iter().map(|k| hash(*k)).collect();
            index.find_or_insert_all(Keys { stored: &mut stored, batch }, &hashes, &mut groups);
            for (key, group) in batch.iter().zip(&groups) {
                let next = expected.len() as u32;
                assert_eq!(group, expected.entry(*key).or_insert(next), "{key}");
            }
        }
        assert_eq!((index.hashes().len(), stored.len()), (expected.len(), expected.len()));
        assert!(index.parts.iter().all(|p| p.groups <= p.most()));
        let in_parts: usize = index.parts.iter().map(|p| p.groups).sum();
        assert_eq!(in_parts, if index.parts.is_empty() { 0 } else { expected.len() });
    }

    fn mixed(key: u64) -> u64 {
        (key ^ key >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    /// Keys come again while the index grows, in batches of any size.
    fn batches(sizes: &[usize], keys: u64) -> Vec<Vec<u64>> {
        let mut state = 7u64;
        let mut next = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state >> 33
        };
        sizes.iter().map(|n| (0..*n).map(|_| next() % keys).collect()).collect()
    }

    #[test]
    fn every_key_keeps_its_group_while_the_index_grows() {
        let mut index = Index::new();
        compare(&mut index, &batches(&[1; 300], 50), mixed);
        index.clear();
        compare(&mut index, &batches(&[10_000; 120], 800_000), mixed);
        assert_eq!(index.parts.len(), PARTS);
        index.clear();
        compare(&mut index, &batches(&[700_000, 1, 7, 300_000], 2_000_000), mixed);
        // All in the same few slots, with and without one tag, and all in one part.
        compare(&mut Index::new(), &batches(&[100; 20], 500), |key| key % 3);
        compare(&mut Index::new(), &batches(&[100; 20], 500), |key| (key % 3) << 40 | key);
        compare(&mut Index::new(), &batches(&[100_000; 8], 5_000_000), |key| mixed(key) >> 8);
    }

    /// What one batch has to move while the index grows: its pause is a part of every pause of the operator.
    #[test]
    fn no_batch_moves_many_groups() {
        const GROUPS: usize = 1_200_000;
        let mut index = Index::new();
        let (mut stored, mut groups, mut most) = (vec![], vec![], 0);
        for first in (0..GROUPS as u64).step_by(8_192) {
            let batch: Vec<u64> = (first..first + 8_192).map(mixed).collect();
            let sizes: Vec<usize> = index.parts.iter().map(|p| p.slots.len()).collect();
            let (whole, before) = (index.slots.len(), index.hashes.len());
            index.find_or_insert_all(Keys { stored: &mut stored, batch: &batch }, &batch, &mut groups);
            let grown = index.parts.iter().zip(&sizes).filter(|(part, size)| part.slots.len() != **size);
            let moved: usize = grown.map(|(part, _)| part.groups).sum();
            most = most.max(if index.slots.len() == whole { moved } else { before });
        }
        assert!(index.hashes.len() >= GROUPS && most <= 1 << 16, "{most} groups in one batch");
    }

    #[test]
    fn no_part_of_a_large_index_is_large() {
        let mut index = Index::new();
        index.make_room(&mut Room::Reserve { groups: 1_000_000, group_bytes: 0 });
        compare(&mut index, &batches(&[100_000; 20], 1_000_000), mixed);
        let largest = index.parts.iter().map(|p| p.slots.len()).max();
        assert!(index.slots.is_empty() && largest.is_some_and(|l| l <= 4 * 2 * 1_000_000 / PARTS), "{largest:?}");
    }
}
