//! Aggregates that take rows one after another, and show what they are after each.

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, cast::AsArray};
use arrow_buffer::NullBuffer;
use arrow_schema::SchemaRef;
use flott_core::{Error, Result};
use flott_graph::AggregateCall;

use crate::window::accumulator::{Accumulator, AccumulatorPlan, Input};

/// How the aggregates of a window are computed.
pub(super) struct FoldPlan {
    plans: Vec<AccumulatorPlan>,
    calls: Vec<AggregateCall>,
}

/// What the aggregates see of rows.
pub(super) struct Arguments {
    inputs: Vec<(Option<ArrayRef>, Option<NullBuffer>)>,
    rows: usize,
}

/// Aggregates over some rows.
pub(super) struct Fold {
    accumulators: Vec<Box<dyn Accumulator>>,
}

impl FoldPlan {
    pub(super) fn new(calls: &[AggregateCall], schema: &SchemaRef) -> Result<FoldPlan> {
        let mut plans = vec![];
        for call in calls {
            if call.arguments.len() > 1 {
                return Err(Error::user(format!(
                    "{} with {} arguments over a window",
                    call.kind.name(),
                    call.arguments.len()
                ))
                .hint("Aggregate one column"));
            }
            let field = call.arguments.first().map(|a| {
                let field = schema.fields().get(*a).map(AsRef::as_ref);
                field.ok_or_else(|| Error::internal(format!("{} reads column {a}", call.name)))
            });
            plans.push(AccumulatorPlan::new(call, field.transpose()?)?);
        }
        Ok(FoldPlan { plans, calls: calls.to_vec() })
    }

    pub(super) fn start(&self) -> Result<Fold> {
        let mut accumulators = self.plans.iter().map(AccumulatorPlan::build).collect::<Result<Vec<_>>>()?;
        accumulators.iter_mut().for_each(|a| a.resize(1));
        Ok(Fold { accumulators })
    }

    pub(super) fn arguments(&self, rows: &RecordBatch) -> Arguments {
        let input = |call: &AggregateCall| {
            let argument = call.arguments.first().map(|a| rows.column(*a).clone());
            let valid = argument.as_ref().and_then(|a| a.nulls().cloned()).filter(|n| n.null_count() > 0);
            let passes = call.filter.map(|f| truth(rows.column(f).as_boolean()));
            let include = match (valid, passes) {
                (Some(a), Some(b)) => NullBuffer::union(Some(&a), Some(&b)),
                (a, b) => a.or(b),
            };
            (argument, include)
        };
        Arguments { inputs: self.calls.iter().map(input).collect(), rows: rows.num_rows() }
    }
}

/// Where a condition is true; NULL is not.
fn truth(condition: &BooleanArray) -> NullBuffer {
    let mut values = condition.values().clone();
    if let Some(nulls) = condition.nulls() {
        values = &values & nulls.inner();
    }
    NullBuffer::new(values)
}

impl Fold {
    /// Adds some of the rows.
    pub(super) fn add(&mut self, arguments: &Arguments, from: usize, to: usize) -> Result<()> {
        let rows = to.min(arguments.rows).saturating_sub(from);
        if rows == 0 {
            return Ok(());
        }
        let groups = vec![0u32; rows];
        for (accumulator, (argument, include)) in self.accumulators.iter_mut().zip(&arguments.inputs) {
            let argument = argument.as_ref().map(|a| a.slice(from, rows));
            let include = include.as_ref().map(|n| n.slice(from, rows));
            let input = Input { argument: argument.as_ref(), include: include.as_ref(), signs: None };
            accumulator.update(&groups, &input)?;
        }
        Ok(())
    }

    /// The results, a row of one.
    pub(super) fn results(&self) -> Result<Vec<ArrayRef>> {
        self.accumulators.iter().map(|a| a.finish(Some(&[0]))).collect()
    }

    /// Whether other aggregates have the same state, and so whatever comes the same results.
    pub(super) fn is_as(&self, other: &Fold) -> Result<bool> {
        for (a, b) in self.accumulators.iter().zip(&other.accumulators) {
            if a.state(Some(&[0]))?.iter().zip(&b.state(Some(&[0]))?).any(|(a, b)| a != b) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
