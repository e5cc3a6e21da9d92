//! ORDER BY of a bounded input: rows leave in order when it has ended. Rows that are taken away again do not leave.

use std::collections::BTreeMap;

use arrow_schema::SchemaRef;
use flott_core::{ChangeBatch, Result, RowKind};
use flott_graph::SortSpec;
use flott_state::{OperatorSnapshot, RestoredState};

use super::changes::Changes;
use crate::keyed::{AtEnd, KeyCodec};
use crate::operator::{Operator, OperatorContext, Progress};
use crate::window::aggregate::Ownership;

/// Version of the stored form.
const STATE_VERSION: u32 = 1;

/// All rows of an input, in order at its end.
pub struct Sort {
    name: String,
    spec: SortSpec,
    schema: SchemaRef,
    keys: KeyCodec,
    group: u16,
    rows: AtEnd,
    live: Vec<u32>,
    /// Where the input takes rows away: the slots of each row, by its bytes.
    by_row: Option<BTreeMap<Vec<u8>, Vec<u32>>>,
    changes: Changes,
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
                rows: AtEnd::new(&spec.input_schema, spec.order.clone())?,
                live: vec![],
                by_row: None,
                changes: Changes::default(),
            })
        };
        build().map_err(|e| e.with("operator", name))
    }

    fn bytes(&self, slot: u32) -> Vec<u8> {
        [self.rows.rows().order(slot), self.rows.rows().rest(slot)].concat()
    }

    fn add(&mut self, batch: &ChangeBatch, context: &mut OperatorContext) -> Result<()> {
        let encoded = self.rows.rows().codec().encode(batch.rows.columns())?;
        for row in 0..batch.num_rows() {
            if batch.kind(row).is_addition() {
                let slot = self.rows.insert(&encoded, row)?;
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
                    self.rows.rows_mut().remove(slot, self.group);
                }
                if slots.is_empty() {
                    by_row.remove(&bytes);
                }
            }
        }
        self.rows.rows_mut().release();
        self.rows.count(self.rows.rows().len() * 4, context);
        Ok(())
    }

    fn drain(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        if !self.rows.is_leaving() {
            return Ok(Progress::Done);
        }
        while !self.changes.is_full()
            && let Some(slot) = self.rows.pop()
        {
            self.changes.push_always(RowKind::Insert, slot, 0);
        }
        context.emit(self.changes.take(self.rows.rows(), &self.schema)?);
        if self.rows.next().is_some() {
            return Ok(Progress::More);
        }
        self.rows.clear(context)?;
        Ok(Progress::Done)
    }
}

impl Operator for Sort {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        self.add(&batch, context).map_err(|e| e.with("operator", &self.name))?;
        Ok(Progress::Done)
    }

    fn end_input(&mut self, _input: usize, context: &mut OperatorContext) -> Result<Progress> {
        let mut slots = std::mem::take(&mut self.live);
        slots.extend(self.by_row.take().into_iter().flat_map(|b| b.into_values().flatten()));
        let count = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        self.rows.end(slots, count(self.spec.offset), self.spec.fetch.map(count));
        self.drain(context).map_err(|e| e.with("operator", &self.name))
    }

    fn resume(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.drain(context).map_err(|e| e.with("operator", &self.name))
    }

    fn snapshot_state(&mut self) -> Result<OperatorSnapshot> {
        self.rows.snapshot(STATE_VERSION, &self.keys).map_err(|e| e.with("operator", &self.name))
    }

    fn restore_state(&mut self, state: RestoredState) -> Result<()> {
        self.live = self.rows.restore(&state, &self.name)?;
        Ok(())
    }
}
