//! Messages between workers of different processes: each behind two bytes with its length.

use flott_core::ChangeBatch;
use flott_runtime::fuzzing::{Reading, Said, write};

use crate::rows;

pub(crate) fn run(data: &[u8]) {
    let mut reading = Reading::default();
    let mut batches: Vec<ChangeBatch> = vec![];
    let mut rest = data;
    while let Some((length, behind)) = rest.split_first_chunk::<2>() {
        let (message, after) = behind.split_at(usize::from(u16::from_le_bytes(*length)).min(behind.len()));
        rest = after;
        // A message that cannot be read is a bug of the sender, and said to be one.
        if let Ok(Said::Rows(batch)) = reading.read(message) {
            batches.push(batch);
        }
    }
    batches.retain(|b| b.num_rows() > 0);
    let messages = write(&batches).unwrap_or_else(|e| panic!("rows that were read cannot be sent: {e}"));
    let mut reading = Reading::default();
    for (message, batch) in messages.iter().zip(&batches) {
        match reading.read(message) {
            Ok(Said::Rows(rows)) => rows::same(&rows, batch, "rows that were sent"),
            other => panic!("rows that were sent arrive as {other:?}"),
        }
    }
}
