//! The keys that two inputs share, and the rows of each key one behind another.

use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use flott_core::key_group::{hash_rows, key_group};
use flott_core::{Error, Result};

use super::rows::{NONE, RowStore};
use crate::held::list_bytes;
use crate::window::group_table::GroupTable;

/// Fewer keys without rows are not worth the work.
const SHRINK_KEYS_MIN: usize = 4_096;

/// Numbers for join keys: one table for both inputs, so that one look-up finds a row's own key and its partners'.
pub(crate) struct JoinKeys {
    table: GroupTable,
    types: Vec<DataType>,
    filter_nulls: Vec<bool>,
    max_parallelism: u16,
    hashes: Vec<u64>,
}

/// Of each row of a batch the number of its key ([`NONE`] where a NULL has no partner) and its key group.
#[derive(Default)]
pub(crate) struct Numbers {
    pub(crate) keys: Vec<u32>,
    pub(crate) groups: Vec<u16>,
}

impl JoinKeys {
    pub(crate) fn new(types: Vec<DataType>, filter_nulls: Vec<bool>, max_parallelism: u16) -> Result<JoinKeys> {
        Ok(JoinKeys { table: GroupTable::new(&types)?, types, filter_nulls, max_parallelism, hashes: vec![] })
    }

    /// Numbers so far.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.table.size_bytes() + self.hashes.capacity() * 8
    }

    /// Numbers of these keys, new ones at the end.
    pub(crate) fn number(&mut self, columns: &[ArrayRef], rows: usize) -> Result<Numbers> {
        if columns.iter().zip(&self.types).any(|(c, t)| c.data_type() != t) {
            return Err(Error::internal("the keys of a join have different types"));
        }
        hash_rows(columns, rows, &mut self.hashes)?;
        let mut keys = vec![];
        self.table.groups_of(columns, &self.hashes, &mut keys)?;
        for (column, filter) in columns.iter().zip(&self.filter_nulls) {
            if *filter && let Some(nulls) = column.nulls() {
                keys.iter_mut().zip(nulls.iter()).filter(|(_, valid)| !valid).for_each(|(k, _)| *k = NONE);
            }
        }
        let groups = self.hashes.iter().map(|h| key_group(*h, self.max_parallelism)).collect();
        Ok(Numbers { keys, groups })
    }

    /// Whether so few rows are left that most numbers are of no use.
    pub(crate) fn wants_shrinking(&self, rows: usize) -> bool {
        self.len() > 2 * rows + if rows == 0 { 0 } else { SHRINK_KEYS_MIN }
    }

    /// Keeps these numbers; the new ones by the old ones.
    pub(crate) fn keep(&mut self, live: &[u32]) -> Result<Vec<u32>> {
        let mut renumbered = vec![NONE; self.len()];
        let mut table = GroupTable::new(&self.types)?;
        if !live.is_empty() {
            let hashes: Vec<u64> = live.iter().map(|k| self.table.hashes()[*k as usize]).collect();
            let mut numbers = vec![];
            table.groups_of(&self.table.key_columns(Some(live))?, &hashes, &mut numbers)?;
            live.iter().zip(numbers).for_each(|(old, new)| renumbered[*old as usize] = new);
        }
        self.table = table;
        Ok(renumbered)
    }
}

/// The rows of one input, by key in order of arrival: rings, so that a key needs its first row only.
pub(crate) struct Side {
    pub(crate) store: RowStore,
    /// By key: its first row and how many it has.
    heads: Vec<u32>,
    counts: Vec<u32>,
    /// By entry; of those that are gone whatever lies there.
    next: Vec<u32>,
    prev: Vec<u32>,
    key_of: Vec<u32>,
}

impl Side {
    pub(crate) fn new(store: RowStore) -> Side {
        Side { store, heads: vec![], counts: vec![], next: vec![], prev: vec![], key_of: vec![] }
    }

    pub(crate) fn size_bytes(&self) -> usize {
        let lists = [&self.heads, &self.counts, &self.next, &self.prev, &self.key_of];
        self.store.size_bytes() + lists.into_iter().map(list_bytes).sum::<usize>()
    }

    /// Makes room for all keys.
    pub(crate) fn reserve(&mut self, keys: usize) {
        if self.heads.len() < keys {
            self.heads.resize(keys, NONE);
            self.counts.resize(keys, 0);
        }
    }

    /// The first row of a key.
    #[inline]
    pub(crate) fn first(&self, key: u32) -> u32 {
        self.heads.get(key as usize).copied().unwrap_or(NONE)
    }

    /// Rows of a key.
    pub(crate) fn count(&self, key: u32) -> u32 {
        self.counts.get(key as usize).copied().unwrap_or(0)
    }

    /// The key of a row.
    pub(crate) fn key(&self, entry: u32) -> u32 {
        self.key_of[entry as usize]
    }

    /// The next row of the same key.
    #[inline]
    pub(crate) fn following(&self, entry: u32) -> u32 {
        let next = self.next[entry as usize];
        if next == self.heads[self.key_of[entry as usize] as usize] { NONE } else { next }
    }

    /// Puts a row behind the others of its key.
    pub(crate) fn link(&mut self, entry: u32, key: u32) {
        let e = entry as usize;
        if self.next.len() <= e {
            self.next.resize(e + 1, NONE);
            self.prev.resize(e + 1, NONE);
            self.key_of.resize(e + 1, NONE);
        }
        self.key_of[e] = key;
        self.counts[key as usize] += 1;
        let head = self.heads[key as usize];
        if head == NONE {
            self.heads[key as usize] = entry;
            (self.next[e], self.prev[e]) = (entry, entry);
        } else {
            let tail = std::mem::replace(&mut self.prev[head as usize], entry);
            self.next[tail as usize] = entry;
            (self.next[e], self.prev[e]) = (head, tail);
        }
    }

    /// Takes a row away from its key and out of the store.
    pub(crate) fn remove(&mut self, entry: u32) {
        let (next, prev) = (self.next[entry as usize], self.prev[entry as usize]);
        let key = self.key_of[entry as usize] as usize;
        self.counts[key] -= 1;
        self.next[prev as usize] = next;
        self.prev[next as usize] = prev;
        if self.heads[key] == entry {
            self.heads[key] = if next == entry { NONE } else { next };
        }
        self.store.remove(entry);
    }

    /// As [`Side::remove`], for a row that may have no key and so no place among others.
    pub(crate) fn remove_linked(&mut self, entry: u32) {
        match self.key_of.get(entry as usize) {
            Some(key) if *key != NONE => self.remove(entry),
            _ => self.store.remove(entry),
        }
    }

    /// Follows the store where it has renumbered entries.
    pub(crate) fn renumber_entries(&mut self, renumbered: &[u32]) {
        let keys = std::mem::take(&mut self.key_of);
        (self.next, self.prev) = (vec![], vec![]);
        self.heads.fill(NONE);
        self.counts.fill(0);
        // Entries ascend along a ring, so linking in order of entry keeps its order.
        for (old, new) in renumbered.iter().enumerate().filter(|(_, new)| **new != NONE) {
            if let Some(key) = keys.get(old).filter(|k| **k != NONE) {
                self.link(*new, *key);
            }
        }
    }

    /// Whether a key has rows.
    pub(crate) fn has_rows(&self, key: u32) -> bool {
        self.first(key) != NONE
    }

    /// Follows the keys where they were renumbered.
    pub(crate) fn renumber_keys(&mut self, renumbered: &[u32], keys: usize) {
        let (mut heads, mut counts) = (vec![NONE; keys], vec![0; keys]);
        for (old, new) in renumbered.iter().enumerate().filter(|(_, new)| **new != NONE) {
            heads[*new as usize] = self.first(old as u32);
            counts[*new as usize] = self.count(old as u32);
        }
        (self.heads, self.counts) = (heads, counts);
        for key in self.key_of.iter_mut().filter(|k| **k != NONE) {
            *key = renumbered.get(*key as usize).copied().unwrap_or(NONE);
        }
    }
}

/// Forgets keys that have no row on either side, where they are many.
pub(crate) fn shrink_keys(keys: &mut JoinKeys, sides: [&mut Side; 2]) -> Result<()> {
    let rows = sides[0].store.live() + sides[1].store.live();
    if !keys.wants_shrinking(rows) {
        return Ok(());
    }
    let live: Vec<u32> = (0..keys.len() as u32).filter(|k| sides[0].has_rows(*k) || sides[1].has_rows(*k)).collect();
    let renumbered = keys.keep(&live)?;
    for side in sides {
        side.renumber_keys(&renumbered, keys.len());
    }
    Ok(())
}
