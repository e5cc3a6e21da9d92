//! One input of a regular join: its rows, how they are found again, how many partners they have, when they were touched.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use flott_core::key_group::hash_rows;
use flott_core::{ChangeBatch, Result};
use flott_graph::JoinInput;
use flott_state::{RestoredState, StateRun};

use super::equality::rows_equal;
use super::fates::{Fate, Fates};
use super::identity::Identity;
use super::ids::RowId;
use super::pairs::take_rows;
use super::rows::{NONE, RowStore};
use super::side::{Numbers, Side};
use crate::held::list_bytes;

/// How rows are found again.
pub(crate) struct Lookup {
    /// Columns that tell a row apart: those of its unique key and of the join, or all.
    pub(crate) columns: Vec<usize>,
    pub(crate) index: Identity,
}

/// When rows were touched.
pub(crate) struct Stamps {
    pub(crate) ttl_ms: i64,
    /// By entry.
    pub(crate) at_ms: Vec<i64>,
}

impl Stamps {
    pub(crate) fn is_over(&self, entry: u32, now_ms: i64) -> bool {
        self.at_ms[entry as usize].saturating_add(self.ttl_ms) <= now_ms
    }
}

/// One input.
pub(crate) struct Input {
    pub(crate) side: Side,
    pub(crate) keys: Vec<usize>,
    pub(crate) width: usize,
    /// Where rows can go or be replaced. An input that is to add rows only gets it with the first row that goes all the same:
    /// as Flink's, which keeps whole rows and follows their kinds.
    pub(crate) lookup: Option<Lookup>,
    identity: Vec<usize>,
    /// A row replaces the one with its unique key.
    pub(crate) replaces: bool,
    /// By entry: partners of a row. Only where its fate depends on them.
    pub(crate) partners: Option<Vec<u32>>,
    pub(crate) stamps: Option<Stamps>,
    /// What of both is stored: where rows expire, partners cannot be counted anew.
    pub(crate) fates: Option<Fates>,
}

impl Input {
    pub(crate) fn new(
        table: &str,
        schema: &SchemaRef,
        keys: &[usize],
        spec: &JoinInput,
        counts: bool,
        expires: bool,
    ) -> Input {
        let width = schema.fields().len();
        let mut fields: Vec<Field> = schema.fields().iter().map(|f| f.as_ref().clone()).collect();
        if spec.state_ttl.is_some() {
            fields.push(Field::new("$touched", DataType::Int64, false));
        }
        let columns = match &spec.unique_key {
            Some(key) => {
                let mut columns: Vec<usize> = key.iter().chain(keys).copied().collect();
                columns.sort_unstable();
                columns.dedup();
                columns
            }
            None => (0..width).collect(),
        };
        Input {
            side: Side::new(RowStore::new(table, &Schema::new(fields))),
            keys: keys.to_vec(),
            width,
            lookup: (!spec.append_only).then(|| Lookup { columns: columns.clone(), index: Identity::new() }),
            identity: columns,
            replaces: spec.unique_key.is_some() && !spec.append_only,
            partners: counts.then(Vec::new),
            stamps: spec
                .state_ttl
                .map(|ttl| Stamps { ttl_ms: i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX).max(1), at_ms: vec![] }),
            fates: (counts && expires).then(|| Fates::new(format!("{table}.fates"))),
        }
    }

    pub(crate) fn size_bytes(&self) -> usize {
        let lookup = self.lookup.as_ref().map_or(0, |l| l.index.size_bytes());
        let partners = self.partners.as_ref().map_or(0, list_bytes);
        let stamps = self.stamps.as_ref().map_or(0, |s| list_bytes(&s.at_ms));
        let fates = self.fates.as_ref().map_or(0, Fates::size_bytes);
        self.side.size_bytes() + lookup + partners + stamps + fates
    }

    /// Entries of a row that lives up to now.
    pub(crate) fn is_over(&self, entry: u32, now_ms: i64) -> bool {
        self.stamps.as_ref().is_some_and(|s| s.is_over(entry, now_ms))
    }

    pub(crate) fn remove(&mut self, entry: u32) {
        if let Some(lookup) = &mut self.lookup {
            lookup.index.remove(entry);
        }
        self.side.remove(entry);
    }

    /// Rows that are there can be found from now on.
    fn find_rows(&mut self) -> Result<()> {
        let mut index = Identity::new();
        let mut hashes = vec![];
        for (first, columns) in self.side.store.pieces() {
            let identity: Vec<ArrayRef> = self.identity.iter().map(|c| Arc::clone(&columns[*c])).collect();
            let rows = columns.first().map_or(0, |c| c.len());
            hash_rows(&identity, rows, &mut hashes)?;
            let live = (first..).zip(&hashes).filter(|(entry, _)| self.side.store.is_live(*entry));
            live.for_each(|(entry, hash)| index.insert(entry, *hash));
        }
        self.lookup = Some(Lookup { columns: self.identity.clone(), index });
        Ok(())
    }

    /// Adds and removes the rows of a batch; where they have come to.
    pub(crate) fn apply(&mut self, batch: &ChangeBatch, numbers: &Numbers, now_ms: i64) -> Result<Applied> {
        let rows = batch.num_rows();
        if self.lookup.is_none() && batch.kinds.as_ref().is_some_and(|k| k.iter().any(|k| !k.is_addition())) {
            self.find_rows()?;
        }
        let mut applied = Applied { entries: vec![NONE; rows], replaced: vec![] };
        let stays = |row: usize| numbers.keys[row] != NONE && batch.kind(row).is_addition();
        let added: Vec<u32> = (0..rows as u32).filter(|r| stays(*r as usize)).collect();
        let mut columns = take_rows(batch.rows.columns(), &added)?;
        if self.stamps.is_some() {
            columns.push(Arc::new(Int64Array::from_value(now_ms, added.len())));
        }
        let groups = added.iter().map(|r| numbers.groups[*r as usize]).collect();
        let first = self.side.store.append(columns, groups)?;
        if let Some(stamps) = &mut self.stamps {
            stamps.at_ms.resize(self.side.store.len(), now_ms);
        }
        if let Some(partners) = &mut self.partners {
            partners.resize(self.side.store.len(), 0);
        }
        if let Some(fates) = &mut self.fates {
            (first..self.side.store.len() as u32).for_each(|entry| fates.change(entry));
        }
        let Some(lookup) = &mut self.lookup else {
            for (entry, row) in (first..).zip(&added) {
                self.side.link(entry, numbers.keys[*row as usize]);
                applied.entries[*row as usize] = entry;
            }
            return Ok(applied);
        };
        let identity: Vec<ArrayRef> = lookup.columns.iter().map(|c| Arc::clone(batch.rows.column(*c))).collect();
        let mut hashes = vec![];
        hash_rows(&identity, rows, &mut hashes)?;
        let columns = lookup.columns.clone();
        let mut next = first;
        for row in (0..rows).filter(|r| numbers.keys[*r] != NONE) {
            let adds = batch.kind(row).is_addition();
            if !adds || self.replaces {
                let old = self.find(&columns, &identity, row, hashes[row])?;
                if let Some(old) = old {
                    if adds && !self.is_over(old, now_ms) {
                        applied.replaced.resize(rows, false);
                        applied.replaced[row] = true;
                    }
                    self.remove(old);
                }
            }
            if adds {
                self.side.link(next, numbers.keys[row]);
                if let Some(lookup) = &mut self.lookup {
                    lookup.index.insert(next, hashes[row]);
                }
                applied.entries[row] = next;
                next += 1;
            }
        }
        Ok(applied)
    }

    pub(crate) fn find(&self, columns: &[usize], identity: &[ArrayRef], row: usize, hash: u64) -> Result<Option<u32>> {
        let Some(lookup) = &self.lookup else { return Ok(None) };
        let mut failure = None;
        let found = lookup.index.find(hash, |entry| match self.side.store.row(entry) {
            Ok((stored, at)) => columns.iter().zip(identity).all(|(c, wanted)| {
                rows_equal(std::slice::from_ref(&stored[*c]), at, std::slice::from_ref(wanted), row)
            }),
            Err(error) => {
                failure = Some(error);
                true
            }
        });
        failure.map_or(Ok(found), Err)
    }

    /// A row's partners are others than they were; it counts as touched.
    pub(crate) fn touch(&mut self, entry: u32, now_ms: i64) {
        if let Some(stamps) = &mut self.stamps {
            stamps.at_ms[entry as usize] = now_ms;
        }
        if let Some(fates) = &mut self.fates {
            fates.change(entry);
        }
    }

    /// What is to be stored of it and its rows.
    pub(crate) fn seal(&mut self) -> Result<Vec<Arc<StateRun>>> {
        let mut runs = self.side.store.seal()?;
        let (Some(fates), Some(partners)) = (&mut self.fates, &self.partners) else { return Ok(runs) };
        let store = &self.side.store;
        let (mut changed, anew) = fates.take_changed(store.live());
        if anew {
            changed = (0..store.len() as u32).collect();
        }
        changed.retain(|e| store.is_live(*e));
        let touched = |entry: u32| self.stamps.as_ref().map_or(0, |s| s.at_ms[entry as usize]);
        let fate = |e: &u32| Fate { partners: partners[*e as usize], touched_ms: touched(*e) };
        let rows: Vec<(RowId, Fate)> = store.ids(&changed).into_iter().zip(changed.iter().map(fate)).collect();
        runs.extend_from_slice(fates.seal(&rows)?);
        Ok(runs)
    }

    /// The next barrier stores the partners of all rows: state of before this was stored has come back.
    pub(crate) fn change_all_fates(&mut self) {
        let Some(fates) = &mut self.fates else { return };
        let store = &self.side.store;
        (0..store.len() as u32).filter(|e| store.is_live(*e)).for_each(|entry| fates.change(entry));
    }

    /// Puts back what was stored of the rows' partners; whether it was of all of them. The rows are there again.
    pub(crate) fn restore_fates(&mut self, state: &RestoredState, operator: &str) -> Result<bool> {
        let Some(fates) = &mut self.fates else { return Ok(false) };
        let stored = fates.restore(state, operator)?;
        let store = &self.side.store;
        let live: Vec<u32> = (0..store.len() as u32).filter(|e| store.is_live(*e)).collect();
        let mut partners = vec![0; store.len()];
        let mut all = true;
        for (entry, id) in live.iter().zip(store.ids(&live)) {
            let Some(fate) = stored.get(&id) else {
                all = false;
                continue;
            };
            partners[*entry as usize] = fate.partners;
            if let Some(stamps) = &mut self.stamps {
                stamps.at_ms[*entry as usize] = fate.touched_ms;
            }
        }
        if all {
            self.partners = Some(partners);
        }
        Ok(all)
    }

    /// Forgets rows that were not touched for too long.
    pub(crate) fn sweep(&mut self, now_ms: i64) {
        let Some(stamps) = &self.stamps else { return };
        let over = |e: &u32| self.side.store.is_live(*e) && stamps.is_over(*e, now_ms);
        let over: Vec<u32> = (0..self.side.store.len() as u32).filter(over).collect();
        over.into_iter().for_each(|entry| self.remove(entry));
    }

    /// Rows that are gone give their memory back, where they are many.
    pub(crate) fn compact(&mut self) -> Result<()> {
        let Some(renumbered) = self.side.store.compact()? else { return Ok(()) };
        self.side.renumber_entries(&renumbered);
        if let Some(lookup) = &mut self.lookup {
            lookup.index.renumber(&renumbered);
        }
        let kept = || renumbered.iter().enumerate().filter(|(_, new)| **new != NONE).map(|(old, _)| old);
        if let Some(partners) = &mut self.partners {
            *partners = kept().map(|old| partners[old]).collect();
        }
        if let Some(stamps) = &mut self.stamps {
            stamps.at_ms = kept().map(|old| stamps.at_ms[old]).collect();
        }
        if let Some(fates) = &mut self.fates {
            fates.renumber(&renumbered);
        }
        Ok(())
    }
}

/// What became of the rows of a batch on their own side.
pub(crate) struct Applied {
    /// The entry of each row that was added.
    pub(crate) entries: Vec<u32>,
    /// Of each row whether it replaced another with the same unique key; empty where none did.
    pub(crate) replaced: Vec<bool>,
}
