//! Results of windows on their way out: window columns, and pieces of bounded size.

use std::collections::VecDeque;

use arrow_array::ArrayRef;
use arrow_schema::{DataType, Field};
use flott_core::{ChangeBatch, Error, Result};
use flott_graph::WindowProperty;

use super::time_zone::ShiftZone;
use crate::operator::OperatorContext;
use crate::timestamp::from_milliseconds;

/// Rows of a batch of results.
pub(crate) const EMIT_BATCH_ROWS: usize = 8_192;
/// Rows that one call emits before it gives way.
pub(crate) const EMIT_CALL_ROWS: usize = 65_536;

/// Batches that wait for room.
#[derive(Default)]
pub(crate) struct Output {
    queue: VecDeque<(usize, ChangeBatch)>,
    emitted: usize,
}

impl Output {
    pub(crate) fn push(&mut self, batch: ChangeBatch) {
        self.push_to(0, batch);
    }

    pub(crate) fn push_to(&mut self, port: usize, batch: ChangeBatch) {
        if batch.num_rows() > 0 {
            self.queue.push_back((port, batch));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// A new call starts with its full allowance.
    pub(crate) fn start(&mut self) {
        self.emitted = 0;
    }

    /// Emits what the call's allowance lets pass; true where nothing is left.
    pub(crate) fn drain(&mut self, context: &mut OperatorContext) -> bool {
        while self.emitted < EMIT_CALL_ROWS {
            let Some((port, batch)) = self.queue.pop_front() else { return true };
            let rows = batch.num_rows();
            if rows > EMIT_BATCH_ROWS {
                self.queue.push_front((port, batch.slice(EMIT_BATCH_ROWS, rows - EMIT_BATCH_ROWS)));
            }
            self.emitted += rows.min(EMIT_BATCH_ROWS);
            context.emit_to(port, if rows > EMIT_BATCH_ROWS { batch.slice(0, EMIT_BATCH_ROWS) } else { batch });
        }
        self.queue.is_empty()
    }
}

/// Window columns of rows whose windows (in local time) are given.
pub(crate) fn window_columns(
    properties: &[WindowProperty],
    fields: &[&Field],
    starts: &[i64],
    ends: &[i64],
    zone: &ShiftZone,
) -> Result<Vec<ArrayRef>> {
    if properties.len() != fields.len() {
        return Err(Error::internal(format!("{} window columns in place of {}", fields.len(), properties.len())));
    }
    properties
        .iter()
        .zip(fields)
        .map(|(property, field)| {
            let values = match property {
                WindowProperty::Start => starts.to_vec(),
                WindowProperty::End => ends.to_vec(),
                WindowProperty::Time => {
                    let instant = matches!(field.data_type(), DataType::Timestamp(_, Some(_)));
                    let time = |end: &i64| {
                        let last = end.saturating_sub(1);
                        if instant { zone.to_epoch(last) } else { last }
                    };
                    // Rows of one window come together, so the zone is asked once.
                    let mut known = (i64::MIN, i64::MIN);
                    let mut values = Vec::with_capacity(ends.len());
                    for end in ends {
                        if known.0 != *end || values.is_empty() {
                            known = (*end, time(end));
                        }
                        values.push(known.1);
                    }
                    values
                }
            };
            from_milliseconds(values, field.data_type())
        })
        .collect()
}

/// The window columns for `rows` rows of one window.
pub(crate) fn constant_window_columns(
    properties: &[WindowProperty],
    fields: &[&Field],
    (start, end): (i64, i64),
    rows: usize,
    zone: &ShiftZone,
) -> Result<Vec<ArrayRef>> {
    window_columns(properties, fields, &vec![start; rows], &vec![end; rows], zone)
}
