//! Keys to dense numbers, where keys also go: open addressing over packed keys.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_row::{RowConverter, Rows, SortField};
use arrow_schema::DataType;
use flott_core::key_group::{hash_rows, key_group};
use flott_core::{Error, Result};

use super::arena::Arena;
use super::codec::canonical;
use crate::held::{list_bytes, table_bytes};

const EMPTY: u32 = u32::MAX;
const PLACES_MIN: usize = 16;
/// A smaller table is in the caches anyway.
const WARM_PLACES_MIN: usize = 1 << 14;

#[derive(Clone, Copy)]
struct Place {
    tag: u32,
    number: u32,
}

/// A map from packed keys to small numbers. The number of a key that has gone is given to another.
pub(crate) struct KeyTable {
    places: Vec<Place>,
    /// By number.
    hashes: Vec<u64>,
    keys: Arena,
}

impl Default for KeyTable {
    fn default() -> KeyTable {
        KeyTable { places: vec![Place { tag: 0, number: EMPTY }; PLACES_MIN], hashes: vec![], keys: Arena::default() }
    }
}

fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

impl KeyTable {
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn hash(&self, number: u32) -> u64 {
        self.hashes[number as usize]
    }

    pub(crate) fn key(&self, number: u32) -> &[u8] {
        self.keys.get(number)
    }

    pub(crate) fn size_bytes(&self) -> usize {
        table_bytes(self.places.capacity() * size_of::<Place>(), self.keys.len(), self.places.len() / 2)
            + list_bytes(&self.hashes)
            + self.keys.size_bytes()
    }

    pub(crate) fn find(&self, hash: u64, key: &[u8]) -> Option<u32> {
        let mask = self.places.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let place = self.places[at];
            if place.number == EMPTY {
                return None;
            }
            if place.tag == tag(hash) && self.keys.get(place.number) == key {
                return Some(place.number);
            }
            at = (at + 1) & mask;
        }
    }

    /// Brings what a search for these hashes most likely looks at into the caches, all at once: one search after another
    /// would wait for each. `numbers`: those that are most likely found.
    pub(crate) fn warm(&self, hashes: &[u64], numbers: &mut Vec<u32>) {
        numbers.clear();
        if self.places.len() >= WARM_PLACES_MIN {
            let mask = self.places.len() - 1;
            numbers.extend(hashes.iter().map(|h| self.places[*h as usize & mask].number));
            self.keys.warm(numbers);
        }
    }

    /// The number of a key, and whether it is new.
    pub(crate) fn find_or_insert(&mut self, hash: u64, key: &[u8]) -> (u32, bool) {
        if let Some(number) = self.find(hash, key) {
            return (number, false);
        }
        let number = self.keys.insert([key, b"", b""]);
        if self.hashes.len() <= number as usize {
            self.hashes.resize(number as usize + 1, 0);
        }
        self.hashes[number as usize] = hash;
        if self.keys.len() * 2 > self.places.len() {
            self.rebuild(self.places.len() * 2);
        }
        self.put(hash, number);
        (number, true)
    }

    fn put(&mut self, hash: u64, number: u32) {
        let mask = self.places.len() - 1;
        let mut at = hash as usize & mask;
        while self.places[at].number != EMPTY {
            at = (at + 1) & mask;
        }
        self.places[at] = Place { tag: tag(hash), number };
    }

    /// The same keys in so many places.
    fn rebuild(&mut self, places: usize) {
        let old = std::mem::replace(&mut self.places, vec![Place { tag: 0, number: EMPTY }; places]);
        for place in old.iter().filter(|p| p.number != EMPTY) {
            self.put(self.hashes[place.number as usize], place.number);
        }
    }

    /// Forgets a key.
    pub(crate) fn remove(&mut self, number: u32) {
        let mask = self.places.len() - 1;
        let mut at = self.hashes[number as usize] as usize & mask;
        while self.places[at].number != number {
            at = (at + 1) & mask;
        }
        // Those behind it move up, so that no search ends too early.
        let mut next = (at + 1) & mask;
        while self.places[next].number != EMPTY {
            let home = self.hashes[self.places[next].number as usize] as usize & mask;
            if (next.wrapping_sub(home) & mask) >= (next.wrapping_sub(at) & mask) {
                self.places[at] = self.places[next];
                at = next;
            }
            next = (next + 1) & mask;
        }
        self.places[at] = Place { tag: 0, number: EMPTY };
        self.keys.remove(number);
        if self.keys.bound() == 0 {
            self.hashes = vec![];
        }
        if self.places.len() > PLACES_MIN && self.keys.len() * 16 < self.places.len() {
            self.rebuild((self.places.len() / 4).max(PLACES_MIN));
        }
    }
}

/// Key columns as packed bytes and hashes.
pub(crate) struct KeyCodec {
    columns: Vec<usize>,
    converter: Option<RowConverter>,
    max_parallelism: u16,
}

/// The keys of a batch.
pub(crate) struct BatchKeys {
    pub(crate) hashes: Vec<u64>,
    rows: Option<Rows>,
}

impl BatchKeys {
    pub(crate) fn key(&self, row: usize) -> &[u8] {
        self.rows.as_ref().map_or(&[], |r| r.row(row).data())
    }
}

impl KeyCodec {
    /// `types`: those of these columns.
    pub(crate) fn new(columns: &[usize], types: &[DataType], max_parallelism: u16) -> Result<KeyCodec> {
        let fields = types.iter().map(|t| SortField::new(t.clone())).collect();
        let converter = (!columns.is_empty())
            .then(|| RowConverter::new(fields).map_err(|e| Error::user(format!("these columns cannot be a key: {e}"))))
            .transpose()?;
        Ok(KeyCodec { columns: columns.to_vec(), converter, max_parallelism })
    }

    pub(crate) fn encode(&self, columns: &[ArrayRef], rows: usize) -> Result<BatchKeys> {
        let keys: Vec<ArrayRef> = self.columns.iter().map(|c| Arc::clone(&columns[*c])).collect();
        self.encode_keys(&keys, rows)
    }

    /// Of the key columns alone.
    pub(crate) fn encode_keys(&self, keys: &[ArrayRef], rows: usize) -> Result<BatchKeys> {
        let keys: Vec<ArrayRef> = keys.iter().map(canonical).collect();
        let mut hashes = vec![];
        hash_rows(&keys, rows, &mut hashes)?;
        let rows = self.converter.as_ref().map(|c| c.convert_columns(&keys)).transpose()?;
        Ok(BatchKeys { hashes, rows })
    }

    /// Packed keys as columns.
    pub(crate) fn decode<'a>(&self, keys: impl Iterator<Item = &'a [u8]>) -> Result<Vec<ArrayRef>> {
        let Some(converter) = &self.converter else { return Ok(vec![]) };
        let parser = converter.parser();
        Ok(converter.convert_rows(keys.map(|k| parser.parse(k)))?)
    }

    /// The key group of a hash.
    pub(crate) fn group(&self, hash: u64) -> u16 {
        key_group(hash, self.max_parallelism)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use flott_core::key_group::hash_bytes;

    use super::*;

    /// Random inserts and removals beside a map of the standard library; hashes that collide.
    #[test]
    fn keys_come_and_go() {
        let (mut table, mut model) = (KeyTable::default(), BTreeMap::<Vec<u8>, u32>::new());
        let mut seed = 7u64;
        for step in 0..60_000u32 {
            seed = hash_bytes(&seed.to_le_bytes());
            let key = format!("k{}", seed % if step < 30_000 { 4_000 } else { 50 }).into_bytes();
            let hash = hash_bytes(&key) % 997 * 0x1_0000_0001;
            if seed >> 32 & 1 == 0 {
                let (number, new) = table.find_or_insert(hash, &key);
                assert_eq!(new, !model.contains_key(&key));
                assert!(new || model[&key] == number);
                model.insert(key, number);
            } else if let Some(number) = table.find(hash, &key) {
                assert_eq!(model.remove(&key), Some(number));
                table.remove(number);
            } else {
                assert!(!model.contains_key(&key));
            }
            assert_eq!(table.len(), model.len());
        }
        for (key, number) in std::mem::take(&mut model) {
            assert_eq!(table.key(number), key);
            table.remove(number);
        }
        assert_eq!(table.len(), 0);
        assert!(table.size_bytes() < 4_096, "{}", table.size_bytes());
    }
}
