//! Mini-batches: when changes that were gathered are to be shown.

use flott_graph::{Changes, MiniBatch};

use crate::operator::OperatorContext;

/// Counts rows and watches the clock.
pub(crate) struct Gather {
    batch: Option<MiniBatch>,
    rows: usize,
    due_ms: Option<i64>,
}

impl Gather {
    pub(crate) fn new(changes: Changes) -> Gather {
        let batch = match changes {
            Changes::Gathered(batch) => Some(batch),
            _ => None,
        };
        Gather { batch, rows: 0, due_ms: None }
    }

    /// How many rows still fit; more must be added in pieces. Without mini-batches all.
    pub(crate) fn room(&self) -> usize {
        self.batch.map_or(usize::MAX, |b| b.size_rows.saturating_sub(self.rows).max(1))
    }

    /// Rows were added: whether they are to be shown now.
    pub(crate) fn added(&mut self, rows: usize, context: &mut OperatorContext) -> bool {
        let Some(batch) = self.batch else { return true };
        self.rows += rows;
        if self.rows >= batch.size_rows {
            return true;
        }
        let latency = i64::try_from(batch.latency.as_millis()).unwrap_or(i64::MAX);
        let due = *self.due_ms.get_or_insert(context.processing_time_ms.saturating_add(latency));
        context.register_timer(due);
        false
    }

    /// Whether the time of what was gathered has come; asks for a call where it has not.
    pub(crate) fn is_due(&self, context: &mut OperatorContext) -> bool {
        match self.due_ms {
            None => false,
            Some(due) if due <= context.processing_time_ms => true,
            Some(due) => {
                context.register_timer(due);
                false
            }
        }
    }

    /// They were shown.
    pub(crate) fn shown(&mut self) {
        (self.rows, self.due_ms) = (0, None);
    }
}
