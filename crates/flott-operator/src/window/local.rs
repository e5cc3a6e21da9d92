//! Local window aggregation: before the exchange, so that fewer rows travel. What it emits is partial.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_schema::SchemaRef;
use flott_core::{ChangeBatch, Error, Result, Watermark};
use flott_graph::WindowAggregateSpec;

use super::aggregation::{Aggregation, update_accumulators};
use super::assigner::{Partition, SliceAssigner, SliceId};
use super::fire::{EMIT_BATCH_ROWS, Output};
use super::layout::Layout;
use super::slices::Pool;
use crate::operator::{Operator, OperatorContext, Progress};

/// Groups held back at most before all of them leave.
const GROUPS_MAX: usize = 65_536;
/// So many rows tell whether aggregating here is worth while.
const SAMPLE_ROWS: usize = 65_536;
/// It is where groups are at most one in so many rows.
const REDUCTION_MIN: usize = 2;
/// After so many rows passed through, another sample is taken.
const PASSED_ROWS_MAX: usize = 4_000_000;

/// Whether rows are aggregated here or only put into the partial form.
enum Mode {
    /// Aggregates, and counts rows and groups of the current sample.
    Aggregate { rows: usize, groups: usize },
    /// The keys hardly repeat: each row leaves as a partial of its own.
    Pass { rows: usize },
}

/// Aggregates rows per slice and key until a barrier, the end of the slice, or too many groups.
pub struct LocalWindowAggregate {
    name: String,
    layout: Layout,
    assigner: SliceAssigner,
    slices: BTreeMap<SliceId, Aggregation>,
    groups: usize,
    bytes: usize,
    pool: Pool,
    mode: Mode,
    output: Output,
    /// A watermark that follows the output.
    then: Option<Watermark>,
}

impl LocalWindowAggregate {
    /// Its output has [`partial_schema`](super::partial_schema), which `schema` must be.
    pub fn new(name: &str, spec: &WindowAggregateSpec, schema: SchemaRef) -> Result<LocalWindowAggregate> {
        let layout = Layout::new(spec).map_err(|e| e.with("operator", name))?;
        let assigner = SliceAssigner::new(&spec.assignment).map_err(|e| e.with("operator", name))?;
        if schema.fields().len() != layout.partial.fields().len() {
            return Err(Error::internal("the output of a local window aggregate is not its partial schema")
                .with("operator", name));
        }
        if spec.late_output {
            return Err(
                Error::internal("late rows can only leave a window aggregate of one phase").with("operator", name)
            );
        }
        Ok(LocalWindowAggregate {
            name: name.to_string(),
            layout,
            assigner,
            slices: BTreeMap::new(),
            groups: 0,
            bytes: 0,
            pool: Pool::default(),
            mode: Mode::Aggregate { rows: 0, groups: 0 },
            output: Output::default(),
            then: None,
        })
    }

    fn add(&mut self, batch: &ChangeBatch, context: &mut OperatorContext) -> Result<()> {
        let partition = self.assigner.assign(&batch.rows, context.processing_time_ms)?;
        match &mut self.mode {
            Mode::Pass { rows } => {
                *rows += batch.num_rows();
                if *rows > PASSED_ROWS_MAX {
                    self.mode = Mode::Aggregate { rows: 0, groups: 0 };
                }
                return self.pass(batch, &partition);
            }
            Mode::Aggregate { rows, .. } => *rows += batch.num_rows(),
        }
        let prepared = self.layout.prepare(batch, partition.order.as_ref())?;
        for (slice, range) in partition.slices {
            let aggregation = match self.slices.entry(slice) {
                std::collections::btree_map::Entry::Occupied(e) => e.into_mut(),
                std::collections::btree_map::Entry::Vacant(e) => e.insert(self.pool.get(&self.layout)?),
            };
            let (groups, bytes) = (aggregation.len(), if aggregation.len() > 0 { aggregation.size_bytes() } else { 0 });
            aggregation.update(&prepared, range)?;
            self.groups += aggregation.len() - groups;
            self.bytes += aggregation.size_bytes().saturating_sub(bytes);
        }
        if self.groups > GROUPS_MAX {
            self.flush(|_| true)?;
        }
        if let Mode::Aggregate { rows, groups } = self.mode
            && rows >= SAMPLE_ROWS
        {
            self.mode = if (groups + self.groups) * REDUCTION_MIN > rows {
                self.flush(|_| true)?;
                Mode::Pass { rows: 0 }
            } else {
                Mode::Aggregate { rows: 0, groups: 0 }
            };
        }
        Ok(())
    }

    /// Each row as a partial of its own.
    fn pass(&mut self, batch: &ChangeBatch, partition: &Partition) -> Result<()> {
        let prepared = self.layout.prepare(batch, None)?;
        let n = batch.num_rows();
        let groups: Vec<u32> = (0..n as u32).collect();
        let mut aggregation = self.pool.get(&self.layout)?;
        update_accumulators(&mut aggregation.accumulators, n, &groups, &prepared, 0..n)?;
        let slices = partition.by_row();
        let mut columns = prepared.keys;
        columns.push(Arc::new(slices.iter().map(|s| s.end).collect::<Int64Array>()) as ArrayRef);
        if self.layout.has_start {
            columns.push(Arc::new(slices.iter().map(|s| s.start).collect::<Int64Array>()));
        }
        columns.extend(aggregation.states(None)?);
        self.pool.put(aggregation);
        self.output.push(ChangeBatch::append(RecordBatch::try_new(Arc::clone(&self.layout.partial), columns)?));
        Ok(())
    }

    /// Slices that fulfil the condition leave.
    fn flush(&mut self, leaves: impl Fn(&SliceId) -> bool) -> Result<()> {
        let mut small: Vec<RecordBatch> = vec![];
        let mut small_rows = 0;
        for id in self.slices.keys().filter(|s| leaves(s)).copied().collect::<Vec<_>>() {
            let Some(aggregation) = self.slices.remove(&id) else { continue };
            self.groups -= aggregation.len();
            self.bytes = self.bytes.saturating_sub(aggregation.size_bytes());
            if let Mode::Aggregate { groups, .. } = &mut self.mode {
                *groups += aggregation.len();
            }
            let rows = aggregation.to_partial(&self.layout, id)?;
            self.pool.put(aggregation);
            // Many small slices travel in one batch.
            if small_rows + rows.num_rows() > EMIT_BATCH_ROWS {
                self.push(std::mem::take(&mut small))?;
                small_rows = 0;
            }
            small_rows += rows.num_rows();
            small.push(rows);
        }
        self.push(small)
    }

    fn push(&mut self, batches: Vec<RecordBatch>) -> Result<()> {
        match batches.as_slice() {
            [] => {}
            [one] => self.output.push(ChangeBatch::append(one.clone())),
            many => {
                let all = arrow_select::concat::concat_batches(&self.layout.partial, many)?;
                self.output.push(ChangeBatch::append(all));
            }
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
        context.metrics.state_rows = self.groups as u64;
        context.metrics.state_bytes = self.bytes as u64;
        Progress::Done
    }

    fn flush_all(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.flush(|_| true).map_err(|e| e.with("operator", &self.name))?;
        Ok(self.drain(context))
    }
}

impl Operator for LocalWindowAggregate {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        let timed = self.assigner.timed(batch).map_err(|e| e.with("operator", &self.name))?;
        self.add(&timed, context).map_err(|e| e.with("operator", &self.name))?;
        Ok(self.drain(context))
    }

    /// Slices that are over leave before the watermark, so that a row is late behind it exactly if it would have been
    /// late in one phase.
    fn process_watermark(&mut self, watermark: Watermark, context: &mut OperatorContext) -> Result<Progress> {
        if self.assigner.event_time {
            let assigner = self.assigner.clone();
            self.flush(|s| assigner.is_over(s.end, watermark.0)).map_err(|e| e.with("operator", &self.name))?;
        }
        self.then = Some(watermark);
        Ok(self.drain(context))
    }

    fn resume(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        Ok(self.drain(context))
    }

    fn prepare_snapshot(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.flush_all(context)
    }

    fn end_input(&mut self, _input: usize, context: &mut OperatorContext) -> Result<Progress> {
        self.flush_all(context)
    }

    fn holds_output(&self) -> bool {
        self.groups > 0 || !self.output.is_empty()
    }

    fn next_event_time_timer(&mut self) -> Option<i64> {
        let first = if self.assigner.event_time { self.slices.keys().next() } else { None };
        first.map(|slice| self.assigner.zone.to_timer(slice.end.saturating_sub(1)))
    }
}
