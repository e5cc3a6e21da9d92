//! The first rows of each key in the order in which they come: Flink's AppendOnlyFirstNFunction, its deduplication that
//! keeps the first row by processing time, and LIMIT. A number for each key is all that is kept.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, UInt32Array};
use arrow_schema::SchemaRef;
use flott_core::{ChangeBatch, Error, Result};
use flott_graph::{DeduplicateSpec, RankRange, RankSpec};
use flott_state::{OperatorSnapshot, RestoredState};

use super::top_n::{last_ranks, types_of};
use crate::calc::assemble;
use crate::keyed::{KeyCodec, KeyedCounts, TimeToLive};
use crate::operator::{Operator, OperatorContext, Progress};
use crate::window::aggregate::Ownership;

/// Version of the stored form.
const STATE_VERSION: u32 = 1;
/// The state table.
const COUNT_TABLE: &str = "counts";
/// Above the count stands the last rank of the key, where it comes from a column.
const COUNT_BITS: u32 = 32;

/// Rows of each key until there are enough.
pub struct FirstN {
    name: String,
    schema: SchemaRef,
    range: RankRange,
    numbered: bool,
    counts: KeyedCounts,
    ttl: TimeToLive,
}

impl FirstN {
    /// A rank by the order of arrival over rows that are only added.
    pub fn rank(name: &str, spec: &RankSpec, schema: SchemaRef, ownership: Ownership) -> Result<FirstN> {
        FirstN::new(
            name,
            (&spec.partition_keys, &spec.input_schema),
            spec.range,
            spec.output_rank_number,
            TimeToLive::new(spec.state_ttl),
            schema,
            ownership,
        )
    }

    /// The first row of each key by processing time.
    pub fn deduplicate(name: &str, spec: &DeduplicateSpec, schema: SchemaRef, owner: Ownership) -> Result<FirstN> {
        let ttl = TimeToLive::new(spec.state_ttl);
        let range = RankRange::Constant { start: 1, end: 1 };
        FirstN::new(name, (&spec.keys, &spec.input_schema), range, false, ttl, schema, owner)
    }

    fn new(
        name: &str,
        (keys, input): (&[usize], &SchemaRef),
        range: RankRange,
        numbered: bool,
        ttl: TimeToLive,
        schema: SchemaRef,
        ownership: Ownership,
    ) -> Result<FirstN> {
        let build = || -> Result<FirstN> {
            let types = types_of(input, keys)?;
            if let RankRange::Constant { end, .. } = range
                && end >> COUNT_BITS != 0
            {
                return Err(Error::user(format!("a limit of {end} rows is more than {}", u32::MAX))
                    .hint("Take the limit away, or filter the rows"));
            }
            let fields = keys.iter().map(|k| input.field(*k).clone()).collect();
            let codec = KeyCodec::new(keys, &types, ownership.max_parallelism)?;
            let counts = KeyedCounts::new(COUNT_TABLE, codec, fields);
            Ok(FirstN { name: name.to_string(), schema, range, numbered, counts, ttl })
        };
        build().map_err(|e| e.with("operator", name))
    }

    fn apply(&mut self, batch: &ChangeBatch, context: &mut OperatorContext) -> Result<()> {
        let now = context.processing_time_ms;
        let columns = batch.rows.columns();
        let keys = self.counts.keys().encode(columns, batch.num_rows())?;
        let (start, constant) = match self.range {
            RankRange::Constant { start, end } => (start, Some(end)),
            RankRange::Variable { .. } => (1, None),
        };
        let ends = match self.range {
            RankRange::Variable { column } => Some(last_ranks(columns[column].as_ref())?),
            RankRange::Constant { .. } => None,
        };
        let (mut rows, mut ranks) = (vec![], vec![]);
        for row in 0..batch.num_rows() {
            let known = self.counts.get(&keys, row, &self.ttl, now);
            let (count, mut end) = (known & u64::from(u32::MAX), known >> COUNT_BITS);
            if let Some(ends) = &ends
                && known == 0
            {
                end = ends[row].min(u32::MAX.into());
            }
            if count >= constant.unwrap_or(end) {
                continue;
            }
            let rank = count + 1;
            self.counts.set(&keys, row, end << COUNT_BITS | rank, now);
            if rank >= start {
                rows.push(row as u32);
                ranks.push(rank as i64);
            }
        }
        if !rows.is_empty() {
            let rows = UInt32Array::from(rows);
            let kept = if rows.len() == batch.num_rows() { batch.clone() } else { batch.take(&rows)? };
            let mut columns: Vec<ArrayRef> = kept.rows.columns().to_vec();
            if self.numbered {
                columns.push(Arc::new(Int64Array::from(ranks)));
            }
            context.emit(ChangeBatch::append(assemble(&self.schema, columns, rows.len())?));
        }
        self.tidy(context);
        Ok(())
    }

    fn tidy(&mut self, context: &mut OperatorContext) {
        if self.ttl.sweeps(context) {
            self.counts.sweep(&self.ttl, context.processing_time_ms);
        }
        context.metrics.state_rows = self.counts.len() as u64;
        context.metrics.state_bytes = self.counts.size_bytes() as u64;
    }
}

impl Operator for FirstN {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        self.apply(&batch, context).map_err(|e| e.with("operator", &self.name))?;
        Ok(Progress::Done)
    }

    fn on_processing_time(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.tidy(context);
        Ok(Progress::Done)
    }

    fn snapshot_state(&mut self) -> Result<OperatorSnapshot> {
        let runs = self.counts.snapshot().map_err(|e| e.with("operator", &self.name))?;
        Ok(OperatorSnapshot { version: STATE_VERSION, meta: vec![], runs })
    }

    fn restore_state(&mut self, state: RestoredState) -> Result<()> {
        self.counts.restore(&state, &self.name)
    }
}
