//! Mini-batches at a source: the watermarks that pass.
//!
//! As Flink's `MiniBatchAssigner`. Its marks of processing time are timers of each operator here, so that where nobody works
//! by event time nothing but the end of time passes: a watermark would end a mini-batch.

use flott_core::{ChangeBatch, Result, Watermark};
use flott_graph::MiniBatchAssignerSpec;

use crate::operator::{Operator, OperatorContext, Progress};

/// Holds watermarks back.
pub struct MiniBatchAssigner {
    event_time: bool,
    interval_ms: i64,
    /// The watermark that ends the current batch.
    next: i64,
}

impl MiniBatchAssigner {
    /// One watermark for each interval, or none.
    pub fn new(spec: &MiniBatchAssignerSpec) -> MiniBatchAssigner {
        let interval_ms = i64::try_from(spec.interval.as_millis()).unwrap_or(i64::MAX).max(1);
        MiniBatchAssigner { event_time: spec.event_time, interval_ms, next: interval_ms - 1 }
    }
}

impl Operator for MiniBatchAssigner {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        context.emit(batch);
        Ok(Progress::Done)
    }

    fn process_watermark(&mut self, watermark: Watermark, context: &mut OperatorContext) -> Result<Progress> {
        let passes = watermark == Watermark::MAX || (self.event_time && watermark.0 >= self.next);
        if passes {
            let start = watermark.0.saturating_sub(watermark.0.rem_euclid(self.interval_ms));
            self.next = start.saturating_add(self.interval_ms - 1);
            if self.next <= watermark.0 {
                self.next = self.next.saturating_add(self.interval_ms);
            }
            context.emit_watermark(watermark);
        }
        Ok(Progress::Done)
    }
}
