//! TO_CHANGELOG and FROM_CHANGELOG. They keep nothing.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, BooleanArray, StringArray};
use arrow_schema::SchemaRef;
use flott_core::{ChangeBatch, Error, Result, RowKind, RowKinds};
use flott_graph::ChangelogFunctionSpec;

use crate::calc::assemble;
use crate::operator::{Operator, OperatorContext, Progress};

/// Changes as rows, or rows as changes.
pub struct ChangelogFunction {
    name: String,
    spec: ChangelogFunctionSpec,
    /// What a code means (FROM_CHANGELOG).
    kinds: HashMap<String, RowKind>,
    schema: SchemaRef,
}

impl ChangelogFunction {
    /// The output's columns are said in the spec.
    pub fn new(name: &str, spec: &ChangelogFunctionSpec, schema: SchemaRef) -> ChangelogFunction {
        let kinds = match spec {
            ChangelogFunctionSpec::To { .. } => HashMap::new(),
            ChangelogFunctionSpec::From { codes, .. } => codes.iter().cloned().collect(),
        };
        ChangelogFunction { name: name.to_string(), spec: spec.clone(), kinds, schema }
    }

    fn rows_of(&self, batch: &ChangeBatch, codes: &[Option<String>; 4], on_time: Option<usize>) -> Result<ChangeBatch> {
        let code = |row: usize| codes[batch.kind(row).code() as usize & 3].as_deref();
        let rows = batch.num_rows();
        let keep: BooleanArray = (0..rows).map(|row| Some(code(row).is_some())).collect();
        let op: StringArray = (0..rows).filter_map(code).map(Some).collect();
        let kept = if keep.true_count() == rows { batch.rows.clone() } else { batch.filter(&keep)?.rows };
        let op: ArrayRef = Arc::new(op);
        let columns = std::iter::once(op).chain(kept.columns().iter().cloned()).chain(time(&kept, on_time)).collect();
        Ok(ChangeBatch::append(assemble(&self.schema, columns, kept.num_rows())?))
    }

    fn changes_from(&self, batch: &ChangeBatch, op: usize, on_time: Option<usize>) -> Result<ChangeBatch> {
        let codes = batch
            .rows
            .column(op)
            .as_string_opt::<i32>()
            .ok_or_else(|| Error::internal("a code that is no text").with("operator", &self.name))?;
        let kind = |code: Option<&str>| {
            let Some(code) = code else {
                return Err(Error::data("Received NULL op code. Every changelog row must carry an operation code.")
                    .hint("Keep such rows away from the function: WHERE op IS NOT NULL"));
            };
            self.kinds.get(code).copied().ok_or_else(|| {
                let mut known: Vec<&str> = self.kinds.keys().map(String::as_str).collect();
                known.sort_unstable();
                Error::data(format!("Received invalid op code '{code}'. Defined op codes are: [{}].", known.join(", ")))
                    .hint("Name it in op_mapping, or keep such rows away from the function")
            })
        };
        let kinds: RowKinds = codes.iter().map(kind).collect::<Result<Vec<RowKind>>>()?.into_iter().collect();
        let others = batch.rows.columns().iter().enumerate().filter(|(i, _)| *i != op).map(|(_, c)| c.clone());
        let columns = others.chain(time(&batch.rows, on_time)).collect();
        let rows = assemble(&self.schema, columns, batch.num_rows())?;
        ChangeBatch::new(rows, kinds)
    }
}

/// The column that comes once more.
fn time(rows: &arrow_array::RecordBatch, on_time: Option<usize>) -> Option<ArrayRef> {
    on_time.map(|column| rows.column(column).clone())
}

impl Operator for ChangelogFunction {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        let out = match &self.spec {
            ChangelogFunctionSpec::To { codes, on_time } => self.rows_of(&batch, codes, *on_time),
            ChangelogFunctionSpec::From { op, on_time, .. } => self.changes_from(&batch, *op, *on_time),
        };
        context.emit(out.map_err(|e| e.with("operator", &self.name))?);
        Ok(Progress::Done)
    }
}
