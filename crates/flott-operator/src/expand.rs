//! Expand: several copies of each row with some columns nulled, which GROUPING SETS, CUBE and ROLLUP group by.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, new_null_array};
use arrow_schema::{DataType, SchemaRef};
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

impl Operator for Expand {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        let rows = batch.num_rows();
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
