//! Values of the rows that are matched, for many runs at once: FIRST, LAST, aggregates.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array, new_null_array};
use arrow_schema::{DataType, SchemaRef};
use arrow_select::take::take;
use flott_core::{Error, Result};
use flott_graph::MatchReference;

use crate::expression::evaluate;
use crate::keyed::RowStore;
use crate::timestamp::from_milliseconds;
use crate::window::accumulator::{AccumulatorPlan, Input};

/// The rows of one run, from the last to the first.
pub(super) trait Rows {
    /// Variable and slot of each.
    fn back(&self) -> impl Iterator<Item = (u16, u32)> + '_;
    /// When the match was found.
    fn time_ms(&self) -> i64;
}

/// One of the values.
enum Value {
    /// A column of the rows at a place.
    Column {
        place: usize,
        column: usize,
    },
    Aggregate {
        variable: Option<u16>,
        plan: AccumulatorPlan,
        reference: usize,
    },
    Rowtime(DataType),
}

/// Which row of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    variable: Option<u16>,
    first: bool,
    offset: usize,
}

impl Place {
    fn find(&self, rows: &impl Rows) -> Option<u32> {
        let Some(variable) = self.variable else {
            return if self.first {
                let all: Vec<u32> = rows.back().map(|r| r.1).collect();
                all.len().checked_sub(self.offset + 1).map(|i| all[i])
            } else {
                rows.back().nth(self.offset).map(|r| r.1)
            };
        };
        // Variables follow each other in the order of the pattern.
        let mut of = rows.back().skip_while(|r| r.0 > variable).take_while(|r| r.0 == variable).map(|r| r.1);
        if !self.first {
            return of.nth(self.offset);
        }
        let all: Vec<u32> = of.collect();
        all.len().checked_sub(self.offset + 1).map(|i| all[i])
    }
}

/// How values are computed.
pub(super) struct Values {
    references: Vec<MatchReference>,
    values: Vec<Value>,
    places: Vec<Place>,
}

impl Values {
    /// `types`: of the values.
    pub(super) fn new(references: &[MatchReference], types: &[DataType]) -> Result<Values> {
        let (mut values, mut places) = (vec![], vec![]);
        let number = |v: &Option<usize>| v.map(|v| v as u16);
        for (i, (reference, data_type)) in references.iter().zip(types).enumerate() {
            values.push(match reference {
                MatchReference::Row { variable, first, offset, column } => {
                    let place = Place { variable: number(variable), first: *first, offset: *offset };
                    let known = places.iter().position(|p| *p == place).unwrap_or_else(|| {
                        places.push(place);
                        places.len() - 1
                    });
                    Value::Column { place: known, column: *column }
                }
                MatchReference::Aggregate { variable, call, schema, .. } => {
                    // There may be no row at all.
                    let schema = nullable(schema);
                    let field = call.arguments.first().and_then(|a| schema.fields().get(*a)).map(AsRef::as_ref);
                    let plan = AccumulatorPlan::new(call, field)?;
                    Value::Aggregate { variable: number(variable), plan, reference: i }
                }
                MatchReference::Rowtime => Value::Rowtime(data_type.clone()),
            });
        }
        Ok(Values { references: references.to_vec(), values, places })
    }

    /// A column for each value, a row for each run.
    pub(super) fn of<R: Rows>(&self, runs: &[R], store: &RowStore) -> Result<Vec<ArrayRef>> {
        let gathered: Vec<(RecordBatch, Option<UInt32Array>)> = self
            .places
            .iter()
            .map(|place| {
                let slots: Vec<Option<u32>> = runs.iter().map(|r| place.find(r)).collect();
                let there: Vec<u32> = slots.iter().flatten().copied().collect();
                let rows = store.gather(&there)?;
                let mut next = 0;
                let spread = (there.len() < runs.len()).then(|| {
                    let place = |s: &Option<u32>| {
                        s.map(|_| {
                            next += 1;
                            next - 1
                        })
                    };
                    slots.iter().map(place).collect::<UInt32Array>()
                });
                Ok((rows, spread))
            })
            .collect::<Result<_>>()?;
        self.values
            .iter()
            .map(|value| match value {
                Value::Column { place, column } => {
                    let (rows, spread) = &gathered[*place];
                    let column = rows.column(*column);
                    Ok(match spread {
                        None => Arc::clone(column),
                        Some(_) if rows.num_rows() == 0 => new_null_array(column.data_type(), runs.len()),
                        Some(spread) => take(column.as_ref(), spread, None)?,
                    })
                }
                Value::Aggregate { variable, plan, reference } => {
                    self.aggregate(*variable, plan, &self.references[*reference], runs, store)
                }
                Value::Rowtime(data_type) => from_milliseconds(runs.iter().map(Rows::time_ms).collect(), data_type),
            })
            .collect()
    }

    fn aggregate<R: Rows>(
        &self,
        variable: Option<u16>,
        plan: &AccumulatorPlan,
        reference: &MatchReference,
        runs: &[R],
        store: &RowStore,
    ) -> Result<ArrayRef> {
        let MatchReference::Aggregate { call, arguments, schema, .. } = reference else {
            return Err(Error::internal("an aggregate that is none"));
        };
        let (mut slots, mut groups) = (vec![], vec![]);
        for (group, run) in runs.iter().enumerate() {
            let from = slots.len();
            match variable {
                None => slots.extend(run.back().map(|r| r.1)),
                Some(v) => {
                    slots.extend(run.back().skip_while(|r| r.0 > v).take_while(|r| r.0 == v).map(|r| r.1));
                }
            }
            slots[from..].reverse();
            groups.resize(slots.len(), group as u32);
        }
        let mut accumulator = plan.build()?;
        accumulator.resize(runs.len());
        if !slots.is_empty() {
            let rows = store.gather(&slots)?;
            let columns = arguments.iter().map(|a| evaluate(a, &rows)).collect::<Result<Vec<_>>>()?;
            let options = RecordBatchOptions::new().with_row_count(Some(slots.len()));
            let inputs = RecordBatch::try_new_with_options(nullable(schema), columns, &options)?;
            let argument = call.arguments.first().map(|a| inputs.column(*a));
            let include = argument.and_then(|a| a.nulls().cloned()).filter(|n| n.null_count() > 0);
            accumulator.update(&groups, &Input { argument, include: include.as_ref(), signs: None })?;
        }
        accumulator.finish(None)
    }
}

fn nullable(schema: &SchemaRef) -> SchemaRef {
    let fields: Vec<_> = schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
    Arc::new(arrow_schema::Schema::new(fields))
}
