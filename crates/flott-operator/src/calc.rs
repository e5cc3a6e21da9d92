//! Calc: filter and projection.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, cast::AsArray};
use arrow_schema::{DataType, Field, SchemaRef};
use arrow_select::zip::zip;
use datafusion_common::ScalarValue;
use datafusion_physical_expr::expressions::Column;
use datafusion_physical_expr::utils::{collect_columns, reassign_expr_columns};
use flott_core::{ChangeBatch, Error, Result, RowKind};
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
    /// What is left of the batch that is being processed.
    left: Option<ChangeBatch>,
    /// Rows that are computed in one go.
    rows_max: usize,
}

/// Output of one go, about.
const PIECE_BYTES: usize = 1 << 20;
/// Rows of the first go where it is not known yet how large they come out.
const FIRST_ROWS: usize = 256;

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
        // Only a computed column of variable length can be far larger than what it is made from.
        let grows = |p: &Projection, t: &DataType| matches!(p, Projection::Compute(_)) && t.primitive_width().is_none();
        let may_grow = std::iter::zip(&projection, schema.fields()).any(|(p, f)| grows(p, f.data_type()));
        let rows_max = if may_grow { FIRST_ROWS } else { usize::MAX };
        let (name, filter) = (name.to_string(), spec.filter.clone());
        Ok(Calc { name, filter, projection, narrowed: None, schema, left: None, rows_max })
    }

    /// Rows of the next go, and the rest.
    fn cut(&self, batch: ChangeBatch) -> (ChangeBatch, Option<ChangeBatch>) {
        let (rows, all) = (self.rows_max, batch.num_rows());
        if all <= rows {
            return (batch, None);
        }
        (batch.slice(0, rows), Some(batch.slice(rows, all - rows)))
    }

    /// The next go is as long as this one's output suggests, but grows slowly, since rows differ.
    fn adapt(&mut self, rows: usize, bytes: usize) {
        if self.rows_max != usize::MAX && rows > 0 {
            let fitting = PIECE_BYTES / (bytes / rows).max(1);
            self.rows_max = fitting.clamp(1, self.rows_max.saturating_mul(2).min(usize::MAX - 1));
        }
    }

    fn piece(&mut self, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        crate::evaluation::enter(context);
        let (batch, left) = self.cut(batch);
        let rows = batch.num_rows();
        let out = self.apply(batch).map_err(|e| e.with("operator", &self.name))?;
        // Small batches say nothing that is worth the look.
        if left.is_some() || rows >= FIRST_ROWS.min(self.rows_max) {
            self.adapt(rows, out.as_ref().map_or(0, ChangeBatch::size_bytes));
        }
        out.into_iter().for_each(|out| context.emit(out));
        self.left = left;
        Ok(if self.left.is_some() { Progress::More } else { Progress::Done })
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
        let columns = match &batch.kinds {
            Some(_) => {
                self.schema.fields().iter().zip(columns).map(|(f, c)| of_deletes(f, c, batch)).collect::<Result<_>>()?
            }
            None => columns,
        };
        Ok(batch.with_rows(assemble(&self.schema, columns, batch.num_rows())?))
    }
}

/// A column in which deletes by key, whose other columns are NULL, have a value where it is NOT NULL: the one that Flink's
/// generated code has for NULL (its `primitiveDefaultValue`). Nobody reads it but who prints such a change.
fn of_deletes(field: &Field, column: ArrayRef, batch: &ChangeBatch) -> Result<ArrayRef> {
    if field.is_nullable() || column.null_count() == 0 {
        return Ok(column);
    }
    let is_delete = |row: usize| batch.kind(row) == RowKind::Delete;
    if (0..column.len()).any(|row| column.is_null(row) && !is_delete(row)) {
        return Ok(column);
    }
    let internal = |e: datafusion_common::DataFusionError| Error::internal("a default value").caused_by(e);
    let value = match field.data_type() {
        DataType::Boolean => ScalarValue::Boolean(Some(false)),
        DataType::Utf8 => ScalarValue::Utf8(Some(String::new())),
        DataType::Binary => ScalarValue::Binary(Some(vec![])),
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64 => ScalarValue::Int64(Some(-1)).cast_to(field.data_type()).map_err(internal)?,
        other => ScalarValue::new_default(other).map_err(internal)?,
    };
    let there: BooleanArray = (0..column.len()).map(|row| Some(column.is_valid(row))).collect();
    Ok(zip(&there, &column, &value.to_scalar().map_err(internal)?)?)
}

/// The expression with its columns numbered by their place in `columns`.
pub(crate) fn renumber(expression: &ExprRef, columns: &[usize], schema: &SchemaRef) -> Result<ExprRef> {
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
        self.piece(batch, context)
    }

    fn resume(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        match self.left.take() {
            Some(batch) => self.piece(batch, context),
            None => Ok(Progress::Done),
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::types::Int32Type;
    use datafusion_expr::Operator as Op;
    use datafusion_physical_expr::expressions::{BinaryExpr, col, lit};

    use super::*;
    use crate::operator::Emission;

    /// `a || '...'` with this many characters behind every value.
    fn longer(by: usize) -> Calc {
        let schema: SchemaRef = Arc::new(arrow_schema::Schema::new(vec![Field::new("a", DataType::Utf8, true)]));
        let a = col("a", &schema).expect("a column");
        let longer: ExprRef = Arc::new(BinaryExpr::new(a, Op::StringConcat, lit("x".repeat(by))));
        Calc::new("op", &CalcSpec { projection: vec![longer], filter: None }, schema).expect("a calc")
    }

    fn run(calc: &mut Calc, rows: usize) -> Vec<ChangeBatch> {
        let column: ArrayRef = Arc::new((0..rows).map(|i| Some(i.to_string())).collect::<arrow_array::StringArray>());
        let batch = ChangeBatch::append(RecordBatch::try_new(Arc::clone(&calc.schema), vec![column]).expect("a batch"));
        let mut context = OperatorContext::default();
        let mut progress = calc.process_batch(0, batch, &mut context).expect("rows");
        let mut calls = 1;
        while progress == Progress::More {
            progress = calc.resume(&mut context).expect("rows");
            calls += 1;
        }
        assert_eq!(context.emissions.len(), calls, "one piece a call");
        context
            .emissions
            .into_iter()
            .filter_map(|e| if let Emission::Batch { batch, .. } = e { Some(batch) } else { None })
            .collect()
    }

    #[test]
    fn what_grows_leaves_in_pieces() {
        let mut calc = longer(10_000);
        let pieces = run(&mut calc, 2_000);
        assert!(pieces.iter().all(|p| p.num_rows() <= FIRST_ROWS));
        assert!(pieces[1..].iter().all(|p| p.size_bytes() <= PIECE_BYTES + (64 << 10)));
        let schema = pieces[0].schema();
        let all = ChangeBatch::concat(&schema, &pieces).expect("all rows");
        let values = all.rows.column(0).as_string::<i32>();
        assert!((0..2_000).all(|i| values.value(i).trim_end_matches('x') == i.to_string()));
        // What does not grow is soon not cut at all.
        let mut calc = longer(1);
        let pieces: Vec<usize> = (0..8).map(|_| run(&mut calc, 8_192).len()).collect();
        assert!(pieces[0] > 1 && pieces[7] == 1, "{pieces:?}");
    }

    /// Deletes by key are NULL beside the key; any other NULL in a NOT NULL column is an error of the data.
    #[test]
    fn deletes_by_key_have_values_where_columns_are_not_null() {
        let input: SchemaRef = Arc::new(arrow_schema::Schema::new(vec![Field::new("a", DataType::Int32, true)]));
        let output: SchemaRef = Arc::new(arrow_schema::Schema::new(vec![Field::new("a", DataType::Int32, false)]));
        let a = col("a", &input).expect("a column");
        let mut calc = Calc::new("op", &CalcSpec { projection: vec![a], filter: None }, output).expect("a calc");
        let column: ArrayRef = Arc::new(arrow_array::Int32Array::from(vec![Some(7), None]));
        let rows = RecordBatch::try_new(input, vec![column]).expect("a batch");
        let mut go = |second| {
            let batch =
                ChangeBatch::new(rows.clone(), [RowKind::Insert, second].into_iter().collect()).expect("a batch");
            calc.apply(batch).map(|out| out.expect("rows").rows.column(0).as_primitive::<Int32Type>().values().to_vec())
        };
        assert_eq!(go(RowKind::Delete).expect("rows"), [7, -1]);
        let wrong = go(RowKind::UpdateAfter).expect_err("NULL").to_string();
        assert!(wrong.contains("NULL in column 'a', which is NOT NULL"), "{wrong}");
    }
}
