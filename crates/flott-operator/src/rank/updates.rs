//! Rows that are updated by a key: where each of them stands, and what an update moves.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use flott_core::{Result, RowKind};

use super::changes::{Changes, Seen};
use super::top_n::{Partition, add, push_down, types_of};
use crate::held::list_bytes;
use crate::keyed::{BatchKeys, Encoded, KeyCodec, KeyTable, RowStore};

/// The slot of each key.
pub(crate) struct RowKeys {
    pub(crate) codec: KeyCodec,
    table: KeyTable,
    slots: Vec<u32>,
    /// By slot.
    numbers: Vec<u32>,
}

/// A row that comes.
pub(crate) struct Update<'a> {
    pub(crate) keys: &'a BatchKeys,
    pub(crate) encoded: &'a Encoded,
    pub(crate) row: usize,
    pub(crate) now_ms: i64,
    pub(crate) group: u16,
    pub(crate) seen: Seen,
    pub(crate) numbered: bool,
}

fn set(list: &mut Vec<u32>, place: u32, value: u32) {
    if list.len() <= place as usize {
        list.resize(place as usize + 1, u32::MAX);
    }
    list[place as usize] = value;
}

impl RowKeys {
    pub(crate) fn new(columns: &[usize], schema: &SchemaRef, max_parallelism: u16) -> Result<RowKeys> {
        let codec = KeyCodec::new(columns, &types_of(schema, columns)?, max_parallelism)?;
        Ok(RowKeys { codec, table: KeyTable::default(), slots: vec![], numbers: vec![] })
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.table.size_bytes() + list_bytes(&self.slots) + list_bytes(&self.numbers)
    }

    /// The row in this slot goes.
    pub(crate) fn forget(&mut self, slot: u32) {
        if let Some(number) = self.numbers.get(slot as usize).copied() {
            self.table.remove(number);
            if self.table.len() == 0 {
                (self.slots, self.numbers) = Default::default();
            }
        }
    }

    pub(crate) fn restore(&mut self, rows: &RecordBatch, slots: &[u32]) -> Result<()> {
        let keys = self.codec.encode(rows.columns(), rows.num_rows())?;
        for (row, slot) in slots.iter().enumerate() {
            let (number, _) = self.table.find_or_insert(keys.hashes[row], keys.key(row));
            set(&mut self.slots, number, *slot);
            set(&mut self.numbers, *slot, number);
        }
        Ok(())
    }

    /// A row takes the place of the one with its key, or comes in where it is good enough.
    pub(crate) fn update(
        &mut self,
        update: Update<'_>,
        capacity: usize,
        partition: &mut Partition,
        rows: &mut RowStore,
        changes: &mut Changes,
    ) -> Result<()> {
        let Update { keys, encoded, row, now_ms, group, seen, numbered } = update;
        let order = encoded.order(row);
        let (hash, key) = (keys.hashes[row], keys.key(row));
        let Some(number) = self.table.find(hash, key) else {
            if partition.is_full_for(order, capacity, rows) {
                return Ok(());
            }
            let (place, slot) = add(rows, partition, encoded, row, now_ms)?;
            let (number, _) = self.table.find_or_insert(hash, key);
            set(&mut self.slots, number, slot);
            set(&mut self.numbers, slot, number);
            if numbered {
                push_down(changes, seen, partition, place, slot);
            } else {
                if let Some(last) = partition.slots.get(seen.end as usize) {
                    changes.push_always(RowKind::Delete, last, 0);
                }
                changes.push_always(RowKind::Insert, slot, 0);
            }
            while partition.slots.len() > seen.end as usize
                && let Some(slot) = partition.slots.remove(partition.slots.len() - 1)
            {
                self.forget(slot);
                rows.remove(slot, group);
            }
            return Ok(());
        };
        let old = self.slots[number as usize];
        let first = partition.slots.less(rows.order(old), |s| rows.order(s));
        let Some(old_place) = partition.slots.iter_from(first).position(|s| s == old).map(|p| p + first) else {
            return Err(flott_core::Error::internal("a row with a key stands nowhere"));
        };
        let old_rank = old_place as u64 + 1;
        let moved = rows.order(old) != order;
        let slot;
        if moved {
            let better = order < rows.order(old);
            partition.slots.remove(old_place);
            let place;
            (place, slot) = add(rows, partition, encoded, row, now_ms)?;
            if !numbered {
                changes.update(Seen { start: 0, ..seen }, old, slot, 0);
            } else if better {
                rise(changes, seen, partition, (old, old_rank), (slot, place));
            } else {
                fall(changes, seen, partition, (old, old_rank), (slot, place));
            }
        } else {
            slot = rows.insert(encoded, row, rows.mark(old), now_ms)?;
            partition.slots.set(old_place, slot);
            if numbered {
                changes.update(seen, old, slot, old_rank);
            } else {
                changes.update(Seen { start: 0, ..seen }, old, slot, 0);
            }
        }
        rows.remove(old, group);
        set(&mut self.slots, number, slot);
        set(&mut self.numbers, slot, number);
        Ok(())
    }
}

/// A row has come forward: those that it passed move one rank back. The old row leaves before the new one comes.
fn rise(changes: &mut Changes, seen: Seen, partition: &Partition, (old, old_rank): (u32, u64), new: (u32, usize)) {
    let (slot, place) = new;
    let mut rank = place as u64 + 1;
    let mut current = slot;
    let mut retracted = false;
    for before in partition.slots.iter_from(place + 1) {
        if rank >= old_rank {
            break;
        }
        changes.push(seen, RowKind::UpdateBefore, before, rank);
        if !retracted {
            changes.push(seen, RowKind::UpdateBefore, old, old_rank);
            retracted = true;
        }
        changes.push(seen, RowKind::UpdateAfter, current, rank);
        current = before;
        rank += 1;
    }
    if !retracted {
        changes.push(seen, RowKind::UpdateBefore, old, old_rank);
    }
    changes.push(seen, RowKind::UpdateAfter, current, rank);
}

/// A row has gone back, which its planner thought impossible (state before it has expired): those behind it move up.
fn fall(changes: &mut Changes, seen: Seen, partition: &Partition, (old, old_rank): (u32, u64), new: (u32, usize)) {
    let (slot, place) = new;
    changes.push(seen, RowKind::UpdateBefore, old, old_rank);
    for (i, row) in partition.slots.iter_from(old_rank as usize - 1).take(place + 1 - old_rank as usize).enumerate() {
        let rank = old_rank + i as u64;
        changes.push(seen, RowKind::UpdateBefore, row, rank + 1);
        changes.push(seen, RowKind::UpdateAfter, row, rank);
    }
    changes.push(seen, RowKind::UpdateAfter, slot, place as u64 + 1);
}
