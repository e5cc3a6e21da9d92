//! ORDER BY of a bounded input: rows leave in order when it has ended. Rows that are taken away again do not leave.

use std::collections::BTreeMap;

use arrow_schema::SchemaRef;
use flott_core::{ChangeBatch, Result, RowKind};
use flott_graph::SortSpec;
use flott_state::{OperatorSnapshot, RestoredState};

use super::changes::Changes;
use crate::keyed::{KeyCodec, RowCodec, RowStore};
use crate::operator::{Operator, OperatorContext, Progress};
use crate::window::aggregate::Ownership;

/// Version of the stored form.
const STATE_VERSION: u32 = 1;
/// The state table.
const ROW_TABLE: &str = "rows";

/// All rows of an input, in order at its end.
pub struct Sort {
    name: String,
    spec: SortSpec,
    schema: SchemaRef,
    keys: KeyCodec,
    group: u16,
    rows: RowStore,
    live: Vec<u32>,
    /// Where the input takes rows away: the slots of each row, by its bytes.
    by_row: Option<BTreeMap<Vec<u8>, Vec<u32>>>,
    changes: Changes,
    /// Rows that leave, the last one first.
    leaving: Option<Vec<u32>>,
}

impl Sort {
    /// `schema`: of the input and the output.
    pub fn new(name: &str, spec: &SortSpec, schema: SchemaRef, ownership: Ownership) -> Result<Sort> {
        let build = || -> Result<Sort> {
            let keys = KeyCodec::new(&[], &[], ownership.max_parallelism)?;
            let hash = keys.encode(&[], 1)?.hashes.first().copied().unwrap_or_default();
            Ok(Sort {
                name: name.to_string(),
                spec: spec.clone(),
                schema,
                group: keys.group(hash),
                keys,
                rows: RowStore::new(ROW_TABLE, RowCodec::new(&spec.input_schema, &spec.order)?, false),
                live: vec![],
                by_row: None,
                changes: Changes::default(),
                leaving: None,
            })
        };
        build().map_err(|e| e.with("operator", name))
    }

    fn bytes(&self, slot: u32) -> Vec<u8> {
        [self.rows.order(slot), self.rows.rest(slot)].concat()
    }

    fn add(&mut self, batch: &ChangeBatch, context: &mut OperatorContext) -> Result<()> {
        let encoded = self.rows.codec().encode(batch.rows.columns())?;
        for row in 0..batch.num_rows() {
            if batch.kind(row).is_addition() {
                let slot = self.rows.insert(&encoded, row, self.rows.next_mark(), 0)?;
                match &mut self.by_row {
                    None => self.live.push(slot),
                    Some(by_row) => {
                        let bytes = [encoded.order(row), encoded.rest(row)].concat();
                        by_row.entry(bytes).or_default().push(slot);
                    }
                }
                continue;
            }
            if self.by_row.is_none() {
                let mut by_row = BTreeMap::<Vec<u8>, Vec<u32>>::new();
                for slot in std::mem::take(&mut self.live) {
                    by_row.entry(self.bytes(slot)).or_default().push(slot);
                }
                self.by_row = Some(by_row);
            }
            let bytes = [encoded.order(row), encoded.rest(row)].concat();
            if let Some(by_row) = &mut self.by_row
                && let Some(slots) = by_row.get_mut(&bytes)
            {
                if let Some(slot) = slots.pop() {
                    self.rows.remove(slot, self.group);
                }
                if slots.is_empty() {
                    by_row.remove(&bytes);
                }
            }
        }
        self.rows.release();
        context.metrics.state_rows = self.rows.len() as u64;
        context.metrics.state_bytes = (self.rows.size_bytes() + self.rows.len() * 4) as u64;
        Ok(())
    }

    fn order(&mut self) -> Vec<u32> {
        let mut slots = std::mem::take(&mut self.live);
        slots.extend(self.by_row.take().into_iter().flat_map(|b| b.into_values().flatten()));
        let rows = &self.rows;
        let compare = |a: &u32, b: &u32| rows.order(*a).cmp(rows.order(*b)).then(rows.mark(*a).cmp(&rows.mark(*b)));
        let wanted = self.spec.fetch.map(|f| self.spec.offset.saturating_add(f));
        let wanted = wanted.and_then(|w| usize::try_from(w).ok()).filter(|w| *w < slots.len());
        if let Some(wanted) = wanted {
            slots.select_nth_unstable_by(wanted, compare);
            slots.truncate(wanted);
        }
        slots.sort_unstable_by(compare);
        slots.drain(..usize::try_from(self.spec.offset).unwrap_or(usize::MAX).min(slots.len()));
        slots.reverse();
        slots
    }

    fn drain(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        let Some(leaving) = &mut self.leaving else { return Ok(Progress::Done) };
        while !self.changes.is_full()
            && let Some(slot) = leaving.pop()
        {
            self.changes.push_always(RowKind::Insert, slot, 0);
        }
        let done = leaving.is_empty();
        context.emit(self.changes.take(&self.rows, &self.schema)?);
        if !done {
            return Ok(Progress::More);
        }
        self.leaving = None;
        let codec = RowCodec::new(&self.spec.input_schema, &self.spec.order)?;
        self.rows = RowStore::new(ROW_TABLE, codec, false);
        context.metrics.state_rows = 0;
        context.metrics.state_bytes = 0;
        Ok(Progress::Done)
    }
}

impl Operator for Sort {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        self.add(&batch, context).map_err(|e| e.with("operator", &self.name))?;
        Ok(Progress::Done)
    }

    fn end_input(&mut self, _input: usize, context: &mut OperatorContext) -> Result<Progress> {
        self.leaving = Some(self.order());
        self.drain(context).map_err(|e| e.with("operator", &self.name))
    }

    fn resume(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.drain(context).map_err(|e| e.with("operator", &self.name))
    }

    fn snapshot_state(&mut self) -> Result<OperatorSnapshot> {
        let runs = self.rows.snapshot(&self.keys).map_err(|e| e.with("operator", &self.name))?;
        Ok(OperatorSnapshot { version: STATE_VERSION, meta: vec![], runs })
    }

    fn restore_state(&mut self, state: RestoredState) -> Result<()> {
        self.live = self.rows.restore(&state, &self.name)?.iter().map(|r| r.slot).collect();
        Ok(())
    }
}
