//! What a sink table demands of its rows: NOT NULL columns and declared lengths (Flink's `ConstraintEnforcer`).

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BinaryArray, BooleanArray, StringArray, cast::AsArray};
use arrow_schema::{DataType, SchemaRef};
use flott_core::types::{MAX_LENGTH, TypeKind, from_arrow_field};
use flott_core::{ChangeBatch, Error, Result};
use flott_graph::SinkSpec;
use flott_graph::spec::{NotNullEnforcer, TypeLengthEnforcer};

use crate::operator::{Operator, OperatorContext, Progress};

const NOT_NULL_OPTION: &str = "table.exec.sink.not-null-enforcer";
const TYPE_LENGTH_OPTION: &str = "table.exec.sink.type-length-enforcer";

/// Checks, drops, trims or pads rows before they reach a sink.
pub struct SinkConstraint {
    table: String,
    not_null: Vec<usize>,
    not_null_enforcer: NotNullEnforcer,
    lengths: Vec<Length>,
    length_enforcer: TypeLengthEnforcer,
    schema: SchemaRef,
    dropped: u64,
}

/// A declared length.
struct Length {
    column: usize,
    length: usize,
    /// CHAR and BINARY have exactly this length.
    exact: bool,
    /// `CHAR(3)`, for messages.
    type_name: String,
}

impl SinkConstraint {
    /// `None` where the sink demands nothing.
    pub fn new(spec: &SinkSpec, schema: SchemaRef) -> Result<Option<SinkConstraint>> {
        let mut lengths = vec![];
        if spec.type_length_enforcer != TypeLengthEnforcer::Ignore {
            for (column, field) in schema.fields().iter().enumerate() {
                let Some(t) = from_arrow_field(field) else { continue };
                let (length, exact) = match t.kind {
                    TypeKind::Char(n) | TypeKind::Binary(n) => (n, true),
                    TypeKind::VarChar(n) | TypeKind::VarBinary(n) if n < MAX_LENGTH => (n, false),
                    _ => continue,
                };
                if matches!(field.data_type(), DataType::Utf8 | DataType::Binary) {
                    let type_name = t.summary_without_nullability();
                    lengths.push(Length { column, length: length as usize, exact, type_name });
                }
            }
        }
        if let Some(missing) = spec.not_null.iter().find(|c| **c >= schema.fields().len()) {
            return Err(Error::internal(format!("NOT NULL column {missing} is not there")).with("table", &spec.table));
        }
        if spec.not_null.is_empty() && lengths.is_empty() {
            return Ok(None);
        }
        Ok(Some(SinkConstraint {
            table: spec.table.to_string(),
            not_null: spec.not_null.clone(),
            not_null_enforcer: spec.not_null_enforcer,
            lengths,
            length_enforcer: spec.type_length_enforcer,
            schema,
            dropped: 0,
        }))
    }

    fn enforce_not_null(&mut self, batch: ChangeBatch) -> Result<ChangeBatch> {
        let mut nulls = None;
        for column in &self.not_null {
            let array = batch.rows.column(*column);
            if array.null_count() == 0 {
                continue;
            }
            if self.not_null_enforcer == NotNullEnforcer::Error {
                let name = self.schema.field(*column).name();
                return Err(Error::data(format!(
                    "Column '{name}' is NOT NULL, however, a null value is being written into it"
                ))
                .with("table", &self.table)
                .with("column", name)
                .hint(format!("Set '{NOT_NULL_OPTION}' = 'DROP' to drop such records, or filter them out")));
            }
            nulls = arrow_buffer::NullBuffer::union(nulls.as_ref(), array.nulls());
        }
        let Some(valid) = nulls else { return Ok(batch) };
        self.dropped += valid.null_count() as u64;
        batch.filter(&BooleanArray::new(valid.into_inner(), None))
    }

    fn enforce_lengths(&self, batch: ChangeBatch) -> Result<ChangeBatch> {
        let mut columns: Option<Vec<ArrayRef>> = None;
        for rule in &self.lengths {
            let array = batch.rows.column(rule.column);
            let changed = match array.data_type() {
                DataType::Utf8 => self.enforce_text(rule, array.as_string::<i32>())?,
                _ => self.enforce_bytes(rule, array.as_binary::<i32>())?,
            };
            if let Some(changed) = changed {
                columns.get_or_insert_with(|| batch.rows.columns().to_vec())[rule.column] = changed;
            }
        }
        let Some(columns) = columns else { return Ok(batch) };
        let rows = crate::calc::assemble(&batch.rows.schema(), columns, batch.num_rows())?;
        Ok(batch.with_rows(rows))
    }

    fn enforce_text(&self, rule: &Length, array: &StringArray) -> Result<Option<ArrayRef>> {
        // Bytes bound characters from above, so the common case counts no character.
        let violates = |s: &str| {
            let n = if s.len() <= rule.length && !rule.exact { return false } else { s.chars().count() };
            n > rule.length || (rule.exact && n < rule.length)
        };
        let Some(bad) = array.iter().flatten().find(|s| violates(s)) else { return Ok(None) };
        if self.length_enforcer == TypeLengthEnforcer::Error {
            return Err(self.too_long(rule, bad.chars().count()));
        }
        let fixed: StringArray = array
            .iter()
            .map(|s| {
                s.map(|s| {
                    if !violates(s) {
                        return Cow::Borrowed(s);
                    }
                    match s.char_indices().nth(rule.length) {
                        Some((end, _)) => Cow::Borrowed(&s[..end]),
                        None => Cow::Owned(format!("{s}{}", " ".repeat(rule.length - s.chars().count()))),
                    }
                })
            })
            .collect();
        Ok(Some(Arc::new(fixed)))
    }

    fn enforce_bytes(&self, rule: &Length, array: &BinaryArray) -> Result<Option<ArrayRef>> {
        let violates = |s: &[u8]| s.len() > rule.length || (rule.exact && s.len() < rule.length);
        let Some(bad) = array.iter().flatten().find(|s| violates(s)) else { return Ok(None) };
        if self.length_enforcer == TypeLengthEnforcer::Error {
            return Err(self.too_long(rule, bad.len()));
        }
        let fixed: BinaryArray = array
            .iter()
            .map(|s| {
                s.map(|s| {
                    let mut fixed = s[..s.len().min(rule.length)].to_vec();
                    if rule.exact {
                        fixed.resize(rule.length, 0);
                    }
                    fixed
                })
            })
            .collect();
        Ok(Some(Arc::new(fixed)))
    }

    fn too_long(&self, rule: &Length, found: usize) -> Error {
        let name = self.schema.field(rule.column).name();
        Error::data(format!(
            "Column '{name}' is {}, however, a string of length {found} is being written into it",
            rule.type_name
        ))
        .with("table", &self.table)
        .with("column", name)
        .hint(format!("Set '{TYPE_LENGTH_OPTION}' = 'TRIM_PAD' to trim and pad, or 'IGNORE' to write it as it is"))
    }
}

impl Operator for SinkConstraint {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        let batch = self.enforce_not_null(batch)?;
        context.metrics.records_dropped = self.dropped;
        context.emit(self.enforce_lengths(batch)?);
        Ok(Progress::Done)
    }
}
