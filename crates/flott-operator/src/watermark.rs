//! Watermarks from rows: Flink's `WatermarkAssignerOperator`, batch by batch.

use arrow_array::Array;
use flott_core::{ChangeBatch, Result, Watermark};
use flott_graph::WatermarkSpec;
use flott_state::{OperatorSnapshot, RestoredState};

use crate::expression::evaluate;
use crate::operator::{Operator, OperatorContext, Progress};
use crate::timestamp::{all_after, greatest, null_rowtime, to_milliseconds};

/// Version of the operator's stored form: the watermark, 8 bytes, little-endian.
const STATE_VERSION: u32 = 1;

/// So many rows are looked at together where no watermark between them matters.
const BLOCK_ROWS: usize = 256;

/// Generates the watermarks of one split or one subtask.
///
/// A watermark leaves behind a row after which it has moved by more than the interval: that is told from the rows alone,
/// however they are cut into batches. What has moved by less waits for whoever drives the generator, who asks for it once
/// it has waited for an interval ([`WatermarkGenerator::flush`]). A batch is cut only where that can be seen: before a row
/// whose time is at or before such a watermark, or right behind it, for only that row may be late, or too late for a session
/// that ends there; or behind each of them, where rows are
/// shown with the watermark. As Flink's operator counts from zero, no watermark leaves that is not after 1970 began: rows
/// before that are never late. Where the source has taken the strategy over, any watermark leaves.
#[derive(Clone)]
pub struct WatermarkGenerator {
    spec: WatermarkSpec,
    interval_ms: i64,
    /// Watermarks up to this one do not leave.
    floor: i64,
    /// The greatest watermark of a row so far; `i64::MIN` before the first.
    current: i64,
    /// The last that has left since the start.
    emitted: i64,
}

impl WatermarkGenerator {
    /// Starts from a restored watermark, which leaves again, or from none (`i64::MIN`).
    pub fn new(spec: &WatermarkSpec, restored_ms: i64) -> WatermarkGenerator {
        let interval_ms = i64::try_from(spec.interval.as_millis()).unwrap_or(i64::MAX);
        let floor = if spec.pushed_down { i64::MIN } else { 0 };
        WatermarkGenerator { spec: spec.clone(), interval_ms, floor, current: restored_ms, emitted: i64::MIN }
    }

    /// The watermark so far, `i64::MIN` before the first.
    pub fn current(&self) -> i64 {
        self.current
    }

    /// Another stream of rows, which has ended, had come so far.
    pub fn absorb(&mut self, watermark_ms: i64) {
        self.current = self.current.max(watermark_ms);
    }

    /// Whether the watermark has moved since one left.
    pub fn is_pending(&self) -> bool {
        self.current > self.emitted.max(self.floor)
    }

    /// The watermark, where it has moved since one left.
    pub fn flush(&mut self) -> Option<Watermark> {
        self.is_pending().then(|| self.leave(self.current))
    }

    fn leave(&mut self, watermark_ms: i64) -> Watermark {
        self.emitted = watermark_ms;
        Watermark(watermark_ms)
    }

    /// The batch in pieces, each with the watermark that follows it.
    pub fn process(
        &mut self,
        batch: ChangeBatch,
        processing_time_ms: i64,
    ) -> Result<Vec<(ChangeBatch, Option<Watermark>)>> {
        if self.spec.from_source || batch.num_rows() == 0 {
            return Ok(vec![(batch, None)]);
        }
        flott_function::context::enter(processing_time_ms, (self.current > self.floor).then_some(self.current));
        let rowtime = evaluate(&self.spec.rowtime, &batch.rows)?;
        if rowtime.null_count() > 0 {
            return Err(null_rowtime());
        }
        let times = to_milliseconds(rowtime.as_ref())?;
        let marks = evaluate(&self.spec.expression, &batch.rows)?;
        let nulls = marks.logical_nulls().filter(|n| n.null_count() > 0);
        let may_leave = self.current.saturating_sub(self.emitted.max(self.floor)) > self.interval_ms;
        if !may_leave && nulls.as_ref().is_some_and(|n| n.null_count() == marks.len()) {
            return Ok(vec![(batch, None)]);
        }
        let marks = to_milliseconds(marks.as_ref())?;
        let mut pieces = vec![];
        let mut start = 0;
        let mut current = self.current;
        let mut would_be = self.emitted.max(self.floor);
        let mut row = 0;
        while row < batch.num_rows() {
            if row.is_multiple_of(BLOCK_ROWS) && nulls.is_none() && !self.spec.is_shown {
                let block = row..(row + BLOCK_ROWS).min(batch.num_rows());
                let greatest = greatest(&marks[block.clone()], current);
                // No watermark of this block can be seen by one of its rows, and none leaves behind it.
                if greatest.saturating_sub(would_be) <= self.interval_ms
                    && all_after(&times[block.clone()], greatest.saturating_add(1))
                {
                    current = greatest;
                    row = block.end;
                    continue;
                }
            }
            let (time, mark) = (&times[row], &marks[row]);
            // A row right behind the watermark is not late, but a session that would go on with it is over.
            let may_be_seen = self.spec.is_shown || *time <= would_be.saturating_add(1);
            if may_be_seen && would_be > self.emitted.max(self.floor) {
                pieces.push((batch.slice(start, row - start), Some(self.leave(would_be))));
                start = row;
            }
            if nulls.as_ref().is_none_or(|n| n.is_valid(row)) {
                current = current.max(*mark);
            }
            if current.saturating_sub(would_be) > self.interval_ms {
                would_be = current;
            }
            row += 1;
        }
        self.current = current;
        let last = (would_be > self.emitted.max(self.floor)).then(|| self.leave(would_be));
        pieces.push((if start == 0 { batch } else { batch.slice(start, batch.num_rows() - start) }, last));
        Ok(pieces)
    }
}

/// The operator form, for streams that do not come straight from a source.
pub struct WatermarkAssigner {
    name: String,
    generator: WatermarkGenerator,
    /// Since when the watermark has been waiting, ms.
    since_ms: Option<i64>,
}

impl WatermarkAssigner {
    /// Starts without a watermark.
    pub fn new(name: &str, spec: &WatermarkSpec) -> WatermarkAssigner {
        WatermarkAssigner { name: name.to_string(), generator: WatermarkGenerator::new(spec, i64::MIN), since_ms: None }
    }

    /// A watermark that has waited for an interval leaves; one that has not is waited for.
    fn wait(&mut self, context: &mut OperatorContext) {
        if !self.generator.is_pending() {
            self.since_ms = None;
            return;
        }
        let now_ms = context.processing_time_ms;
        let due_ms = self.since_ms.get_or_insert(now_ms).saturating_add(self.generator.interval_ms);
        if due_ms > now_ms {
            context.register_timer(due_ms);
        } else if let Some(w) = self.generator.flush() {
            self.since_ms = None;
            context.emit_watermark(w);
        }
    }
}

impl Operator for WatermarkAssigner {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        let pieces =
            self.generator.process(batch, context.processing_time_ms).map_err(|e| e.with("operator", &self.name))?;
        for (piece, watermark) in pieces {
            context.emit(piece);
            if let Some(w) = watermark {
                self.since_ms = None;
                context.emit_watermark(w);
            }
        }
        self.wait(context);
        Ok(Progress::Done)
    }

    fn on_processing_time(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.wait(context);
        Ok(Progress::Done)
    }

    /// Only the end of the input passes; other watermarks from before are replaced by the ones made here.
    fn process_watermark(&mut self, watermark: Watermark, context: &mut OperatorContext) -> Result<Progress> {
        if watermark == Watermark::MAX || self.generator.spec.from_source {
            context.emit_watermark(watermark);
        }
        Ok(Progress::Done)
    }

    fn snapshot_state(&mut self) -> Result<OperatorSnapshot> {
        let meta = self.generator.current().to_le_bytes().to_vec();
        Ok(OperatorSnapshot { version: STATE_VERSION, meta, runs: vec![] })
    }

    fn restore_state(&mut self, state: RestoredState) -> Result<()> {
        let oldest = state.metas.iter().filter_map(|m| Some(i64::from_le_bytes(m.as_slice().try_into().ok()?))).min();
        self.generator = WatermarkGenerator::new(&self.generator.spec, oldest.unwrap_or(i64::MIN));
        Ok(())
    }
}
