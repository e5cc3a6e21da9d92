//! Union: the rows of all inputs. Event time is the minimum over the inputs, which the driver computes.

use flott_core::{ChangeBatch, Result};

use crate::operator::{Operator, OperatorContext, Progress};

/// Passes everything on: UNION ALL, and sinks without constraints.
#[derive(Debug, Default)]
pub struct Union;

impl Operator for Union {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        context.emit(batch);
        Ok(Progress::Done)
    }
}
