//! Calc: filter and projection.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, cast::AsArray};
use arrow_schema::{DataType, SchemaRef};
use datafusion_physical_expr::expressions::Column;
use datafusion_physical_expr::utils::{collect_columns, reassign_expr_columns};
use flott_core::{ChangeBatch, Error, Result};
use flott_graph::CalcSpec;
use flott_graph::spec::ExprRef;

use crate::expression::evaluate;
use crate::operator::{Operator, OperatorContext, Progress};

/// Filters rows and computes columns. Columns that only pass through are not copied, except by the filter.
pub struct Calc {
    name: String,
    filter: Option<ExprRef>,
    projection: Vec<Projection>,
    /// Columns that the projection reads, known from the first batch's schema: only these are filtered.
    narrowed: Option<Narrowed>,
    schema: SchemaRef,
}

/// One output column.
enum Projection {
    /// An input column as it is.
    Pass(usize),
    /// Computed.
    Compute(ExprRef),
}

/// The projection over only the columns that it reads.
struct Narrowed {
    columns: Vec<usize>,
    projection: Vec<Projection>,
}

fn projection_of(expression: &ExprRef) -> Projection {
    match expression.downcast_ref::<Column>() {
        Some(column) => Projection::Pass(column.index()),
        None => Projection::Compute(Arc::clone(expression)),
    }
}

impl Calc {
    /// A calc whose output has this schema.
    pub fn new(name: &str, spec: &CalcSpec, schema: SchemaRef) -> Result<Calc> {
        if spec.projection.len() != schema.fields().len() {
            return Err(Error::internal(format!(
                "{} expressions for {} columns",
                spec.projection.len(),
                schema.fields().len()
            ))
            .with("operator", name));
        }
        let projection = spec.projection.iter().map(projection_of).collect();
        Ok(Calc { name: name.to_string(), filter: spec.filter.clone(), projection, narrowed: None, schema })
    }

    fn apply(&mut self, batch: ChangeBatch) -> Result<Option<ChangeBatch>> {
        let Some(filter) = &self.filter else {
            return self.project(&self.projection, &batch).map(Some);
        };
        let keep = evaluate(filter, &batch.rows)?;
        if keep.data_type() != &DataType::Boolean {
            return Err(Error::internal(format!("a filter of type {}", keep.data_type())));
        }
        let keep: &BooleanArray = keep.as_boolean();
        // NULL is not true.
        let kept = keep.true_count();
        if kept == 0 {
            return Ok(None);
        }
        if kept == batch.num_rows() {
            return self.project(&self.projection, &batch).map(Some);
        }
        if self.narrowed.is_none() {
            self.narrowed = Some(self.narrow(&batch.rows.schema())?);
        }
        let Some(narrowed) = &self.narrowed else {
            return Err(Error::internal("the projection was not narrowed"));
        };
        let narrow = batch.with_rows(batch.rows.project(&narrowed.columns)?).filter(keep)?;
        self.project(&narrowed.projection, &narrow).map(Some)
    }

    fn narrow(&self, input: &SchemaRef) -> Result<Narrowed> {
        let mut columns: Vec<usize> = vec![];
        for p in &self.projection {
            match p {
                Projection::Pass(i) => columns.push(*i),
                Projection::Compute(e) => columns.extend(collect_columns(e).iter().map(Column::index)),
            }
        }
        columns.sort_unstable();
        columns.dedup();
        let narrow_schema = Arc::new(input.project(&columns)?);
        // By position, since names need not be unique.
        let renamed: Vec<Projection> = self
            .projection
            .iter()
            .map(|p| {
                Ok(match p {
                    Projection::Pass(i) => Projection::Pass(columns.binary_search(i).unwrap_or(*i)),
                    Projection::Compute(e) => Projection::Compute(renumber(e, &columns, &narrow_schema)?),
                })
            })
            .collect::<Result<_>>()?;
        Ok(Narrowed { columns, projection: renamed })
    }

    fn project(&self, projection: &[Projection], batch: &ChangeBatch) -> Result<ChangeBatch> {
        let columns = projection
            .iter()
            .map(|p| match p {
                Projection::Pass(i) => Ok(Arc::clone(batch.rows.column(*i))),
                Projection::Compute(e) => evaluate(e, &batch.rows),
            })
            .collect::<Result<Vec<ArrayRef>>>()?;
        Ok(batch.with_rows(assemble(&self.schema, columns, batch.num_rows())?))
    }
}

/// The expression with its columns numbered by their place in `columns`.
fn renumber(expression: &ExprRef, columns: &[usize], schema: &SchemaRef) -> Result<ExprRef> {
    use datafusion_common::tree_node::{Transformed, TreeNode};
    let unique = {
        let mut names: Vec<&String> = schema.fields().iter().map(|f| f.name()).collect();
        names.sort_unstable();
        names.windows(2).all(|w| w[0] != w[1])
    };
    if unique && let Ok(done) = reassign_expr_columns(Arc::clone(expression), schema) {
        return Ok(done);
    }
    Arc::clone(expression)
        .transform_up(|e| {
            Ok(match e.downcast_ref::<Column>() {
                Some(c) => {
                    let place = columns.binary_search(&c.index()).unwrap_or(c.index());
                    Transformed::yes(Arc::new(Column::new(c.name(), place)) as ExprRef)
                }
                None => Transformed::no(e),
            })
        })
        .map(|t| t.data)
        .map_err(|e| Error::internal(e.to_string()))
}

/// Columns as a batch, also where there are none; a NULL in a NOT NULL column is an error of the data.
pub(crate) fn assemble(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    for (field, column) in schema.fields().iter().zip(&columns) {
        if !field.is_nullable() && column.null_count() > 0 {
            return Err(Error::data(format!("NULL in column '{}', which is NOT NULL", field.name()))
                .with("column", field.name())
                .hint("Declare the column nullable or replace NULL with COALESCE"));
        }
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

impl Operator for Calc {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        crate::evaluation::enter(context);
        if let Some(out) = self.apply(batch).map_err(|e| e.with("operator", &self.name))? {
            context.emit(out);
        }
        Ok(Progress::Done)
    }
}
