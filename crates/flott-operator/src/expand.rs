//! Expand: several copies of each row with some columns nulled, which GROUPING SETS, CUBE and ROLLUP group by.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, UInt32Array, new_null_array};
use arrow_schema::{DataType, SchemaRef};
use arrow_select::take::take;
use flott_core::{ChangeBatch, Error, Result};
use flott_graph::ExpandSpec;

use crate::calc::assemble;
use crate::operator::{Operator, OperatorContext, Progress};

/// One batch out per copy, so that kept columns are shared and not copied.
pub struct Expand {
    name: String,
    spec: ExpandSpec,
    schema: SchemaRef,
}

impl Expand {
    /// Copies of the input's rows under this schema, whose last column is the expand id.
    pub fn new(name: &str, spec: &ExpandSpec, schema: SchemaRef) -> Result<Expand> {
        let width = schema.fields().len();
        let fits = spec.expand_ids.len() == spec.projections.len()
            && spec.projections.iter().all(|p| p.len() + 1 == width)
            && schema.fields().last().is_some_and(|f| f.data_type() == &DataType::Int64);
        if !fits {
            return Err(Error::internal("the copies of an Expand do not fit its schema").with("operator", name));
        }
        Ok(Expand { name: name.to_string(), spec: spec.clone(), schema })
    }
}

impl Expand {
    /// The copies of each row one behind another.
    fn row_by_row(&self, batch: &ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        let (rows, copies) = (batch.num_rows() as u32, self.spec.projections.len());
        let each = |kept: &dyn Fn(usize) -> bool| -> UInt32Array {
            (0..rows)
                .flat_map(|row| (0..copies).map(move |copy| (row, copy)))
                .map(|(r, c)| kept(c).then_some(r))
                .collect()
        };
        let width = self.schema.fields().len() - 1;
        let all = each(&|_| true);
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(width + 1);
        for (i, field) in self.schema.fields().iter().take(width).enumerate() {
            let source = self.spec.projections.iter().find_map(|p| p[i]);
            columns.push(match source {
                Some(source) if self.spec.projections.iter().all(|p| p[i] == Some(source)) => {
                    take(batch.rows.column(source), &all, None)?
                }
                Some(source) => {
                    let kept = each(&|copy| self.spec.projections[copy][i].is_some());
                    take(batch.rows.column(source), &kept, None)?
                }
                None => new_null_array(field.data_type(), all.len()),
            });
        }
        let ids = (0..rows).flat_map(|_| self.spec.expand_ids.iter().copied());
        columns.push(Arc::new(Int64Array::from_iter_values(ids)));
        let rows = assemble(&self.schema, columns, all.len())?;
        context.emit(match &batch.kinds {
            None => ChangeBatch::append(rows),
            Some(_) => {
                let kinds = all.values().iter().map(|r| batch.kind(*r as usize));
                ChangeBatch::new(rows, kinds.collect())?
            }
        });
        Ok(Progress::Done)
    }
}

impl Operator for Expand {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        let rows = batch.num_rows();
        if self.spec.row_by_row {
            return self.row_by_row(&batch, context).map_err(|e| e.with("operator", &self.name));
        }
        for (projection, id) in self.spec.projections.iter().zip(&self.spec.expand_ids) {
            let mut columns: Vec<ArrayRef> = Vec::with_capacity(projection.len() + 1);
            for (kept, field) in projection.iter().zip(self.schema.fields()) {
                columns.push(match kept {
                    Some(i) => Arc::clone(batch.rows.column(*i)),
                    None => new_null_array(field.data_type(), rows),
                });
            }
            columns.push(Arc::new(Int64Array::from_value(*id, rows)));
            let copy = assemble(&self.schema, columns, rows).map_err(|e| e.with("operator", &self.name))?;
            context.emit(batch.with_rows(copy));
        }
        Ok(Progress::Done)
    }
}
