//! The first level of a DISTINCT aggregation over two levels, merged with what stands before the second one's exchange.
//!
//! As Flink's `MiniBatchIncrementalGroupAggFunction`: the distinct values of each bucket are its only state. Values that come
//! or go, and the states of all other aggregates, go into accumulators of the second level's groups, which leave with each
//! mini-batch: so that the second level reads no changelog of the first one.

use arrow_array::types::Int64Type;
use arrow_array::{RecordBatch, cast::AsArray};
use flott_core::key_group::hash_rows;
use flott_core::types::TypeKind;
use flott_core::{ChangeBatch, Error, Result, Watermark};
use flott_function::AggregateKind;
use flott_graph::{AggregateCall, GroupAggregateSpec, IncrementalAggregateSpec};
use flott_state::{OperatorSnapshot, RestoredState};

use super::groups::{Groups, Plan};
use super::local::Bundle;
use crate::changelog::gather::Gather;
use crate::operator::{Operator, OperatorContext, Progress};
use crate::window::accumulator::Input;
use crate::window::aggregate::Ownership;
use crate::window::fire::Output;

/// Keeps distinct values and hands on what they change.
pub struct IncrementalGroupAggregate {
    name: String,
    spec: IncrementalAggregateSpec,
    /// How the partial rows are read.
    partial: Plan,
    /// The distinct values by the first level's keys.
    values: Groups,
    /// For each aggregate of the first level, which of `values` has its values.
    value_of: Vec<Option<usize>>,
    bundle: Bundle,
    gather: Gather,
    numbers: Vec<u32>,
    output: Output,
    /// A watermark that follows the output.
    then: Option<Watermark>,
}

/// MIN and MAX are the same of all values and of the distinct ones.
fn keeps_values(call: &AggregateCall) -> bool {
    call.distinct && !matches!(call.kind, AggregateKind::Min | AggregateKind::Max)
}

impl IncrementalGroupAggregate {
    /// Over the partial rows of `spec.partial`.
    pub fn new(name: &str, spec: &IncrementalAggregateSpec, ownership: Ownership) -> Result<IncrementalGroupAggregate> {
        let with_name = |e: Error| e.with("operator", name);
        let (partial, _) = Plan::new(&spec.partial).map_err(with_name)?;
        let (merged, _) = Plan::new(&spec.merged).map_err(with_name)?;
        if merged.plans.len() < spec.partial.aggregates.len() || spec.merged.group_keys.len() > partial.key_types.len()
        {
            return Err(with_name(Error::internal("an incremental aggregate that does not fit its second level")));
        }
        let mut counts = vec![];
        let value_of = spec
            .partial
            .aggregates
            .iter()
            .map(|call| {
                keeps_values(call).then(|| {
                    // How many there are tells when a bucket is empty.
                    counts.push(AggregateCall {
                        kind: AggregateKind::Count,
                        filter: None,
                        result: TypeKind::BigInt.not_null(),
                        ..call.clone()
                    });
                    counts.len() - 1
                })
            })
            .collect();
        let kept = GroupAggregateSpec { aggregates: counts, retracts: false, ..spec.partial.clone() };
        Ok(IncrementalGroupAggregate {
            name: name.to_string(),
            values: Groups::new(&kept, ownership).map_err(with_name)?,
            bundle: Bundle::new(&spec.merged, &merged).map_err(with_name)?,
            gather: Gather::new(spec.partial.changes),
            spec: spec.clone(),
            partial,
            value_of,
            numbers: vec![],
            output: Output::default(),
            then: None,
        })
    }

    fn add(&mut self, batch: &ChangeBatch, context: &mut OperatorContext) -> Result<()> {
        let mut from = 0;
        while from < batch.num_rows() {
            let rows = self.gather.room().min(batch.num_rows() - from);
            self.merge(&batch.rows.slice(from, rows), context.processing_time_ms)?;
            from += rows;
            if self.gather.added(rows, context) {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn merge(&mut self, rows: &RecordBatch, now: i64) -> Result<()> {
        let (keys, states) = self.partial.partial(&self.spec.partial, rows)?;
        let mut numbers = std::mem::take(&mut self.numbers);
        self.values.keyed_rows(keys, rows.num_rows(), now, |_| false, &mut numbers)?;
        let keys = &keys[..self.spec.merged.group_keys.len()];
        let (mut hashes, mut groups) = (vec![], vec![]);
        hash_rows(keys, rows.num_rows(), &mut hashes)?;
        self.bundle.groups_of(keys, &hashes, &mut groups)?;
        let calls = self.value_of.len();
        for (number, state) in states.iter().enumerate().take(calls) {
            let Some(accumulator) = self.bundle.accumulators.get_mut(number) else { continue };
            let Some(kept) = self.value_of[number] else {
                accumulator.merge(&groups, state)?;
                continue;
            };
            let changes = self.values.merge_values(kept, &numbers, state)?;
            let of: Vec<u32> = changes.rows.iter().map(|row| groups[*row as usize]).collect();
            let input = Input { argument: Some(&changes.values), include: None, signs: Some(&changes.signs) };
            accumulator.update(&of, &input)?;
        }
        // The second level counts rows by itself.
        if let (Some(rows), Some(accumulator)) = (self.partial.row_count, self.bundle.accumulators.get_mut(calls)) {
            accumulator.merge(&groups, states[rows])?;
        }
        self.settle(&numbers, now)?;
        self.numbers = numbers;
        Ok(())
    }

    /// Buckets without values are forgotten.
    fn settle(&mut self, numbers: &[u32], now: i64) -> Result<()> {
        let mut touched = numbers.to_vec();
        touched.sort_unstable();
        touched.dedup();
        let counts = self.values.results(Some(&touched))?;
        let is_empty =
            |i: usize| counts.iter().all(|c| c.as_primitive_opt::<Int64Type>().is_some_and(|c| c.value(i) == 0));
        let mut ended = vec![];
        for (i, g) in touched.iter().enumerate() {
            // What is owed is kept as long as something else is.
            if is_empty(i) { ended.push(*g) } else { self.values.wrote(*g, now) }
        }
        self.values.end(ended);
        self.values.forget_ended()?;
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.gather.shown();
        if let Some(rows) = self.bundle.take()? {
            self.output.push(rows);
        }
        Ok(())
    }

    fn drain(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.output.start();
        if !self.output.drain(context) {
            return Ok(Progress::More);
        }
        if let Some(watermark) = self.then.take() {
            context.emit_watermark(watermark);
        }
        if let Some(at) = self.values.sweep(context.processing_time_ms, |_| false) {
            context.register_timer(at);
        }
        self.values.forget_ended()?;
        context.metrics.state_rows = self.values.live_count() as u64;
        context.metrics.state_bytes = (self.values.size_bytes() + self.bundle.size_bytes()) as u64;
        Ok(Progress::Done)
    }

    fn flush_and_drain(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.flush().map_err(|e| e.with("operator", &self.name))?;
        self.drain(context)
    }
}

impl Operator for IncrementalGroupAggregate {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        self.add(&batch, context).map_err(|e| e.with("operator", &self.name))?;
        self.drain(context)
    }

    fn process_watermark(&mut self, watermark: Watermark, context: &mut OperatorContext) -> Result<Progress> {
        self.then = Some(watermark);
        self.flush_and_drain(context)
    }

    fn on_processing_time(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        if self.gather.is_due(context) { self.flush_and_drain(context) } else { self.drain(context) }
    }

    fn resume(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.drain(context)
    }

    fn prepare_snapshot(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.flush_and_drain(context)
    }

    fn snapshot_state(&mut self) -> Result<OperatorSnapshot> {
        self.values.seal().map_err(|e| e.with("operator", &self.name))
    }

    fn restore_state(&mut self, state: RestoredState) -> Result<()> {
        self.values.restore(state, &self.name)
    }

    fn end_input(&mut self, _input: usize, context: &mut OperatorContext) -> Result<Progress> {
        self.flush_and_drain(context)
    }

    fn holds_output(&self) -> bool {
        self.bundle.len() > 0 || !self.output.is_empty()
    }
}
