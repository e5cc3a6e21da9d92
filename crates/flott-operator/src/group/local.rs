//! What stands before the exchange of an aggregation in two phases: the rows of a mini-batch, aggregated per key.
//!
//! As Flink's `MiniBatchLocalGroupAggFunction`: it keeps no state beyond a mini-batch. What rows take away of values that
//! another batch had is part of what it hands on (see the accumulators' `local`).

use arrow_array::RecordBatchOptions;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;
use flott_core::{ChangeBatch, Error, Result, Watermark};
use flott_graph::{GroupAggregateSpec, group_partial_schema};

use super::groups::Plan;
use crate::changelog::bundle_order::BundleOrder;
use crate::changelog::gather::Gather;
use crate::operator::{Operator, OperatorContext, Progress};
use crate::window::accumulator::Accumulator;
use crate::window::aggregation::update_accumulators;
use crate::window::fire::Output;
use crate::window::group_table::GroupTable;
use crate::window::layout::{Layout, Reads};

/// The groups of one mini-batch, whose accumulators leave as partial rows.
pub(super) struct Bundle {
    table: GroupTable,
    pub(super) accumulators: Vec<Box<dyn Accumulator>>,
    order: BundleOrder,
    schema: SchemaRef,
}

impl Bundle {
    /// Partial rows of this aggregation.
    pub(super) fn new(spec: &GroupAggregateSpec, plan: &Plan) -> Result<Bundle> {
        Ok(Bundle {
            table: GroupTable::new(&plan.key_types)?,
            accumulators: plan.local_accumulators()?,
            order: BundleOrder::default(),
            schema: group_partial_schema(spec),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// The groups of rows by their keys.
    pub(super) fn groups_of(&mut self, keys: &[ArrayRef], hashes: &[u64], groups: &mut Vec<u32>) -> Result<()> {
        self.table.groups_of(keys, hashes, groups)?;
        let n = self.table.len();
        self.accumulators.iter_mut().for_each(|a| a.resize(n));
        Ok(())
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.table.size_bytes() + self.accumulators.iter().map(|a| a.size_bytes()).sum::<usize>()
    }

    /// All groups as partial rows. Nothing is left.
    pub(super) fn take(&mut self) -> Result<Option<ChangeBatch>> {
        let n = self.table.len();
        if n == 0 {
            return Ok(None);
        }
        let order = self.order.of(&self.table.key_columns(None)?, n);
        let mut columns = self.table.key_columns(Some(&order))?;
        for accumulator in &self.accumulators {
            columns.extend(accumulator.state(Some(&order))?);
        }
        self.table.clear();
        self.accumulators.iter_mut().for_each(|a| a.clear());
        let options = RecordBatchOptions::new().with_row_count(Some(n));
        let rows = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?;
        Ok(Some(ChangeBatch::append(rows)))
    }
}

/// Aggregates the rows of a mini-batch per key.
pub struct LocalGroupAggregate {
    name: String,
    spec: GroupAggregateSpec,
    plan: Plan,
    bundle: Bundle,
    gather: Gather,
    numbers: Vec<u32>,
    output: Output,
    /// A watermark that follows the output.
    then: Option<Watermark>,
}

impl LocalGroupAggregate {
    /// Its output has [`group_partial_schema`], which `schema` must be.
    pub fn new(name: &str, spec: &GroupAggregateSpec, schema: &SchemaRef) -> Result<LocalGroupAggregate> {
        let (plan, _) = Plan::new(spec).map_err(|e| e.with("operator", name))?;
        let bundle = Bundle::new(spec, &plan).map_err(|e| e.with("operator", name))?;
        if schema.fields().len() != bundle.schema.fields().len() {
            return Err(
                Error::internal("the output of a local aggregate is not its partial schema").with("operator", name)
            );
        }
        Ok(LocalGroupAggregate {
            name: name.to_string(),
            gather: Gather::new(spec.changes),
            spec: spec.clone(),
            plan,
            bundle,
            numbers: vec![],
            output: Output::default(),
            then: None,
        })
    }

    fn add(&mut self, batch: &ChangeBatch, context: &mut OperatorContext) -> Result<()> {
        Layout::check_types(&self.spec.input_schema, &self.plan.needed, &batch.rows)?;
        let mut from = 0;
        while from < batch.num_rows() {
            let rows = self.gather.room().min(batch.num_rows() - from);
            let reads = Reads {
                group_keys: &self.spec.group_keys,
                aggregates: &self.spec.aggregates,
                needed: &self.plan.needed,
                accumulators: self.plan.plans.len(),
            };
            let prepared = reads.prepare(&batch.slice(from, rows), None)?;
            self.bundle.groups_of(&prepared.keys, &prepared.hashes, &mut self.numbers)?;
            let groups = self.bundle.len();
            update_accumulators(&mut self.bundle.accumulators, groups, &self.numbers, &prepared, 0..rows)?;
            from += rows;
            if self.gather.added(rows, context) {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.gather.shown();
        if let Some(rows) = self.bundle.take()? {
            self.output.push(rows);
        }
        Ok(())
    }

    fn drain(&mut self, context: &mut OperatorContext) -> Progress {
        self.output.start();
        if !self.output.drain(context) {
            return Progress::More;
        }
        if let Some(watermark) = self.then.take() {
            context.emit_watermark(watermark);
        }
        context.metrics.state_rows = self.bundle.len() as u64;
        context.metrics.state_bytes = self.bundle.size_bytes() as u64;
        Progress::Done
    }

    fn flush_and_drain(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.flush().map_err(|e| e.with("operator", &self.name))?;
        Ok(self.drain(context))
    }
}

impl Operator for LocalGroupAggregate {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        self.add(&batch, context).map_err(|e| e.with("operator", &self.name))?;
        Ok(self.drain(context))
    }

    fn process_watermark(&mut self, watermark: Watermark, context: &mut OperatorContext) -> Result<Progress> {
        self.then = Some(watermark);
        self.flush_and_drain(context)
    }

    fn on_processing_time(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        if self.gather.is_due(context) { self.flush_and_drain(context) } else { Ok(self.drain(context)) }
    }

    fn resume(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        Ok(self.drain(context))
    }

    fn prepare_snapshot(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.flush_and_drain(context)
    }

    fn end_input(&mut self, _input: usize, context: &mut OperatorContext) -> Result<Progress> {
        self.flush_and_drain(context)
    }

    fn holds_output(&self) -> bool {
        self.bundle.len() > 0 || !self.output.is_empty()
    }
}
