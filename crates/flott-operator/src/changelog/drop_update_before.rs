//! Drops `-U` rows: who reads them works by key.

use arrow_array::BooleanArray;
use flott_core::{ChangeBatch, Result, RowKind};

use crate::operator::{Operator, OperatorContext, Progress};

/// Passes everything but `-U` on.
pub struct DropUpdateBefore;

impl Operator for DropUpdateBefore {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        let batch = match &batch.kinds {
            Some(kinds) if kinds.iter().any(|k| k == RowKind::UpdateBefore) => {
                batch.filter(&kinds.iter().map(|k| Some(k != RowKind::UpdateBefore)).collect::<BooleanArray>())?
            }
            _ => batch,
        };
        context.emit(batch);
        Ok(Progress::Done)
    }
}
