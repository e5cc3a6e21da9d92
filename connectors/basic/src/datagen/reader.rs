//! Generates the rows of a reader's splits, as fast as the rate allows.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;
use async_trait::async_trait;
use flott_connector::source::{ReaderEvent, SourceBatch, SourceReader, SourceSplit};
use flott_core::clock::Clock;
use flott_core::{ChangeBatch, Result};

use super::generate::{Moment, generate, rows_for};
use super::plan::FieldPlan;
use super::rate::RateLimiter;
use super::split::DatagenSplit;

/// Rows of a batch at most.
pub(super) const BATCH_ROWS_MAX: usize = 8_192;
/// Bytes of a batch at most, about; a batch has at least one row.
const BATCH_BYTES_MAX: u64 = 8 << 20;

/// What all readers of a source share.
pub(super) struct DatagenPlan {
    pub(super) schema: SchemaRef,
    pub(super) columns: Vec<FieldPlan>,
    /// Number of rows; `None` is without end.
    pub(super) rows: Option<u64>,
    pub(super) rows_per_second: u64,
    pub(super) clock: Arc<dyn Clock>,
}

impl DatagenPlan {
    /// Rows that a batch may have, by their size.
    fn batch_rows(&self) -> usize {
        let width = self.columns.iter().fold(0u64, |sum, c| sum.saturating_add(c.width()));
        rows_for(width, BATCH_ROWS_MAX, BATCH_BYTES_MAX)
    }

    fn remaining(&self, split: &DatagenSplit) -> u64 {
        match self.rows {
            None => u64::MAX,
            Some(rows) => rows.saturating_sub(split.next).div_ceil(split.stride),
        }
    }
}

pub(super) struct DatagenReader {
    plan: Arc<DatagenPlan>,
    batch_rows: usize,
    splits: VecDeque<DatagenSplit>,
    paused: Vec<String>,
    no_more_splits: bool,
    limiter: Option<RateLimiter>,
}

impl DatagenReader {
    pub(super) fn new(plan: Arc<DatagenPlan>) -> DatagenReader {
        let batch_rows = plan.batch_rows();
        DatagenReader {
            plan,
            batch_rows,
            splits: VecDeque::new(),
            paused: vec![],
            no_more_splits: false,
            limiter: None,
        }
    }

    /// Waits until rows are due and says how many. A share of the rate goes to each split, so that the sum is right
    /// however splits lie on readers.
    async fn due(&mut self) -> u64 {
        let clock = Arc::clone(&self.plan.clock);
        let stride = self.splits.front().map_or(1, |s| s.stride);
        let rows = self.plan.rows_per_second.saturating_mul(self.splits.len() as u64);
        let limiter = self.limiter.get_or_insert_with(|| RateLimiter::new(rows, stride, clock.monotonic()));
        loop {
            let now = clock.monotonic();
            match limiter.due(now) {
                0 => tokio::time::sleep(limiter.wait(now)).await,
                due => return due,
            }
        }
    }

    fn batch(&mut self, mut split: DatagenSplit, rows: usize) -> Result<SourceBatch> {
        let ids: Vec<u64> = (0..rows as u64).map(|k| split.next + k * split.stride).collect();
        let moment = Moment { seed: split.seed, now_ms: self.plan.clock.now_ms() };
        let columns = self.plan.columns.iter().map(|c| generate(c, &ids, moment)).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.plan.schema), columns, &options)?;
        split.next += rows as u64 * split.stride;
        let position = split.to_versioned()?;
        // Splits take turns.
        self.splits.push_back(split);
        Ok(SourceBatch {
            split: split.id(),
            rows: ChangeBatch::append(batch),
            position,
            watermark: None,
            skipped: 0,
            dead_letters: None,
        })
    }
}

#[async_trait]
impl SourceReader for DatagenReader {
    fn add_splits(&mut self, splits: Vec<SourceSplit>) -> Result<()> {
        for split in &splits {
            self.splits.push_back(DatagenSplit::from_source_split(split)?);
        }
        self.limiter = None;
        Ok(())
    }

    fn no_more_splits(&mut self) {
        self.no_more_splits = true;
    }

    async fn next(&mut self) -> Result<ReaderEvent> {
        if let Some(i) = self.splits.iter().position(|s| self.plan.remaining(s) == 0) {
            let finished = self.splits.remove(i);
            self.limiter = None;
            return Ok(ReaderEvent::SplitFinished { split: finished.map(|s| s.id()).unwrap_or_default() });
        }
        if self.splits.is_empty() {
            return Ok(if self.no_more_splits { ReaderEvent::EndOfInput } else { ReaderEvent::NeedSplits });
        }
        if self.splits.iter().all(|s| self.paused.contains(&s.id())) {
            // The runtime drops this wait when it resumes a split.
            return std::future::pending().await;
        }
        let due = self.due().await;
        // Nothing is awaited from here on, so nothing is lost when the runtime drops the future.
        let index = self.splits.iter().position(|s| !self.paused.contains(&s.id())).unwrap_or(0);
        let Some(split) = self.splits.remove(index) else { return Ok(ReaderEvent::NeedSplits) };
        let rows = due.min(self.batch_rows as u64).min(self.plan.remaining(&split));
        if let Some(limiter) = &mut self.limiter {
            limiter.emitted(rows);
        }
        Ok(ReaderEvent::Batch(self.batch(split, rows as usize)?))
    }

    fn pause_or_resume_splits(&mut self, pause: &[String], resume: &[String]) {
        self.paused.retain(|p| !resume.contains(p));
        self.paused.extend(pause.iter().cloned());
    }
}
