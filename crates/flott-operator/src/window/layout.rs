//! A window aggregation resolved against its input: columns, accumulators, schemas of partial rows and of state.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, StructArray, UInt32Array, cast::AsArray};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::take::take;
use flott_core::key_group::hash_rows;
use flott_core::{ChangeBatch, Error, Result};
use flott_function::AggregateKind;
use flott_graph::partial::{SLICE_END_COLUMN, SLICE_START_COLUMN};
use flott_graph::{AggregateCall, WindowAggregateSpec, WindowAssignment, fields_of_arguments, partial_schema};
use flott_state::StateRun;

use super::accumulator::{Accumulator, AccumulatorPlan};

/// What does not change while an aggregation runs.
pub(crate) struct Layout {
    pub(crate) spec: WindowAggregateSpec,
    pub(crate) key_types: Vec<DataType>,
    /// One per aggregate, and where no aggregate counts rows a hidden one that does.
    plans: Vec<AccumulatorPlan>,
    /// Which accumulator counts rows.
    pub(crate) row_count: usize,
    /// Where partial rows have that count.
    pub(crate) partial_row_count: usize,
    /// Raw columns that are read.
    needed: Vec<usize>,
    /// Group keys, slice end, slice start where told apart, accumulators.
    pub(crate) partial: SchemaRef,
    /// Key group, slice end, slice start where told apart, group keys, accumulators.
    pub(crate) state: SchemaRef,
    pub(crate) has_start: bool,
    /// State is what makes groups again as they were, not what adds up with that of others.
    pub(crate) is_whole: bool,
}

impl Layout {
    pub(crate) fn new(spec: &WindowAggregateSpec) -> Result<Layout> {
        let input = &spec.input_schema;
        let field = |i: usize| -> Result<&Field> {
            input.fields().get(i).map(AsRef::as_ref).ok_or_else(|| {
                Error::internal(format!("a window aggregation reads column {i} of {}", input.fields().len()))
            })
        };
        let mut plans = vec![];
        let mut row_count = None;
        let mut needed = spec.group_keys.clone();
        for (i, call) in spec.aggregates.iter().enumerate() {
            let argument = argument_field(call, input)?;
            let argument = argument.as_ref();
            if call.kind == AggregateKind::Count
                && !call.distinct
                && call.filter.is_none()
                && argument.is_none_or(|f| !f.is_nullable())
            {
                row_count.get_or_insert(i);
            }
            if let Some(filter) = call.filter
                && field(filter)?.data_type() != &DataType::Boolean
            {
                return Err(Error::internal(format!("the FILTER of {} is not a BOOLEAN column", call.name)));
            }
            needed.extend(call.arguments.iter().chain(&call.filter));
            plans.push(AccumulatorPlan::over(call, argument, spec.keeps_values(call))?);
        }
        let row_count = row_count.unwrap_or_else(|| {
            plans.push(AccumulatorPlan::row_count());
            plans.len() - 1
        });
        needed.sort_unstable();
        needed.dedup();
        let keys = spec.group_keys.iter().map(|k| field(*k).cloned()).collect::<Result<Vec<Field>>>()?;
        let has_start = match &spec.assignment {
            WindowAssignment::Attached { start, .. } => start.is_some(),
            WindowAssignment::TimeColumn { kind, .. } => matches!(kind, flott_graph::WindowKind::Session { .. }),
        };
        let mut slice = vec![Field::new(SLICE_END_COLUMN, DataType::Int64, false)];
        if has_start {
            slice.push(Field::new(SLICE_START_COLUMN, DataType::Int64, false));
        }
        let mut accumulators = vec![];
        let mut partial_row_count = 0;
        for (number, plan) in plans.iter().enumerate() {
            if number == row_count {
                partial_row_count = keys.len() + slice.len() + accumulators.len();
            }
            accumulators.extend(plan.state_fields(number)?);
        }
        let partial = Schema::new([keys.clone(), slice.clone(), accumulators.clone()].concat());
        if &partial != partial_schema(spec).as_ref() {
            return Err(Error::internal("partial rows are planned otherwise than they are made"));
        }
        let is_whole = spec.is_whole();
        if is_whole {
            let stored = plans.iter().enumerate().map(|(number, plan)| plan.stored_fields(number));
            accumulators = stored.collect::<Result<Vec<_>>>()?.concat();
        }
        let state = [vec![StateRun::key_group_field()], slice, keys.clone(), accumulators].concat();
        Ok(Layout {
            spec: spec.clone(),
            key_types: keys.iter().map(|f| f.data_type().clone()).collect(),
            plans,
            row_count,
            partial_row_count,
            needed,
            partial: Arc::new(partial),
            state: Arc::new(Schema::new(state)),
            has_start,
            is_whole,
        })
    }

    /// Group keys.
    pub(crate) fn keys(&self) -> usize {
        self.key_types.len()
    }

    fn slice_columns(&self) -> usize {
        1 + usize::from(self.has_start)
    }

    /// Where partial rows have their accumulators.
    pub(crate) fn partial_accumulators(&self) -> Range<usize> {
        self.keys() + self.slice_columns()..self.partial.fields().len()
    }

    /// Where state rows have their keys.
    pub(crate) fn state_keys(&self) -> Range<usize> {
        let first = 1 + self.slice_columns();
        first..first + self.keys()
    }

    /// Where state rows have their accumulators.
    pub(crate) fn state_accumulators(&self) -> Range<usize> {
        1 + self.slice_columns() + self.keys()..self.state.fields().len()
    }

    /// Empty accumulators.
    pub(crate) fn accumulators(&self) -> Result<Vec<Box<dyn Accumulator>>> {
        self.plans.iter().map(AccumulatorPlan::build).collect()
    }

    /// Refuses rows that are taken away where an aggregate cannot forget them.
    pub(crate) fn check_retraction(&self) -> Result<()> {
        match self.plans.iter().find(|p| !p.retractable()) {
            None => Ok(()),
            Some(p) => Err(Error::user(format!(
                "{} over a table whose rows change is not supported in a window aggregation",
                p.function()
            ))
            .hint("Aggregate an append-only table, or remove MIN and MAX from this query")),
        }
    }

    /// The types of these columns must be those that were planned for.
    pub(crate) fn check_types(expected: &SchemaRef, columns: &[usize], rows: &RecordBatch) -> Result<()> {
        let schema = rows.schema_ref();
        for i in columns {
            let fits = schema.fields().get(*i).is_some_and(|f| f.data_type() == expected.field(*i).data_type());
            if !fits {
                return Err(Error::internal(format!(
                    "column {i} of a window aggregation is {:?} instead of {}",
                    schema.fields().get(*i).map(|f| f.data_type()),
                    expected.field(*i).data_type()
                )));
            }
        }
        Ok(())
    }

    /// Raw rows made ready, in the given order.
    pub(crate) fn prepare(&self, batch: &ChangeBatch, order: Option<&UInt32Array>) -> Result<Prepared> {
        Layout::check_types(&self.spec.input_schema, &self.needed, &batch.rows)?;
        let columns = Reads {
            group_keys: &self.spec.group_keys,
            aggregates: &self.spec.aggregates,
            needed: &self.needed,
            accumulators: self.plans.len(),
        };
        let prepared = columns.prepare(batch, order)?;
        if prepared.signs.is_some() {
            self.check_retraction()?;
        }
        Ok(prepared)
    }
}

/// Which columns of its input an aggregation reads.
pub(crate) struct Reads<'a> {
    pub(crate) group_keys: &'a [usize],
    pub(crate) aggregates: &'a [AggregateCall],
    /// All of them, sorted.
    pub(crate) needed: &'a [usize],
    /// Accumulators, with hidden ones behind those of the aggregates.
    pub(crate) accumulators: usize,
}

impl Reads<'_> {
    /// Raw rows made ready, in the given order.
    pub(crate) fn prepare(&self, batch: &ChangeBatch, order: Option<&UInt32Array>) -> Result<Prepared> {
        let column = |i: usize| -> Result<ArrayRef> {
            let column = batch.rows.column(i);
            match order {
                None => Ok(Arc::clone(column)),
                Some(order) => Ok(take(column.as_ref(), order, None)?),
            }
        };
        // A column that several aggregates read is put in order once.
        let read: Vec<ArrayRef> = self.needed.iter().map(|i| column(*i)).collect::<Result<_>>()?;
        let of = |i: usize| self.needed.binary_search(&i).ok().map(|p| Arc::clone(&read[p]));
        let missing = || Error::internal("a column of an aggregation was not read");
        let rows = order.map_or(batch.num_rows(), UInt32Array::len);
        let keys: Vec<ArrayRef> = self.group_keys.iter().map(|k| of(*k).ok_or_else(missing)).collect::<Result<_>>()?;
        let mut hashes = vec![];
        hash_rows(&keys, rows, &mut hashes)?;
        let mut inputs: Vec<(Option<ArrayRef>, Option<NullBuffer>)> = vec![];
        for call in self.aggregates {
            let arguments = call.arguments.iter().map(|a| of(*a).ok_or_else(missing)).collect::<Result<_>>()?;
            let (argument, valid) = argument_of(call, arguments)?;
            let passes = match call.filter {
                None => None,
                Some(f) => Some(is_true(of(f).ok_or_else(missing)?.as_boolean())),
            };
            inputs.push((argument, NullBuffer::union(valid.as_ref(), passes.as_ref())));
        }
        inputs.resize(self.accumulators, (None, None));
        let signs = batch.kinds.as_ref().map(|kinds| {
            let sign = |row: usize| if kinds.get(row).is_addition() { 1 } else { -1 };
            match order {
                None => (0..rows).map(sign).collect::<Vec<i64>>(),
                Some(order) => order.values().iter().map(|r| sign(*r as usize)).collect(),
            }
        });
        Ok(Prepared { keys, hashes, inputs, signs: signs.filter(|s| s.contains(&-1)) })
    }
}

/// The field that a call aggregates.
pub(crate) fn argument_field(call: &AggregateCall, input: &Schema) -> Result<Option<Field>> {
    match call.argument(input) {
        None if !call.arguments.is_empty() => {
            Err(Error::internal(format!("{} reads a column that is not there", call.name)))
        }
        argument => Ok(argument),
    }
}

/// What a call aggregates, given its arguments: several are one ROW. And which rows count by them.
pub(crate) fn argument_of(
    call: &AggregateCall,
    arguments: Vec<ArrayRef>,
) -> Result<(Option<ArrayRef>, Option<NullBuffer>)> {
    let Some(first) = arguments.first().cloned() else { return Ok((None, None)) };
    let valid = first.logical_nulls().filter(|n| n.null_count() > 0 && call.kind.skips_null());
    if arguments.len() == 1 {
        return Ok((Some(first), valid));
    }
    let fields = fields_of_arguments(arguments.iter().map(|a| a.data_type().clone()));
    let row = StructArray::try_new_with_length(fields, arguments, None, first.len())?;
    Ok((Some(Arc::new(row)), valid))
}

fn is_true(filter: &BooleanArray) -> NullBuffer {
    NullBuffer::new(match filter.nulls() {
        None => filter.values().clone(),
        Some(nulls) => filter.values() & nulls.inner(),
    })
}

/// Rows ready to be aggregated.
pub(crate) struct Prepared {
    pub(crate) keys: Vec<ArrayRef>,
    pub(crate) hashes: Vec<u64>,
    /// Argument and rows that count, of each accumulator.
    pub(crate) inputs: Vec<(Option<ArrayRef>, Option<NullBuffer>)>,
    pub(crate) signs: Option<Vec<i64>>,
}
