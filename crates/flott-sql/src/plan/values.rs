//! VALUES as a bounded source over rows in memory. Its split holds the position.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;
use arrow_select::concat::concat;
use async_trait::async_trait;
use datafusion_common::DFSchema;
use datafusion_expr::Expr;
use flott_connector::source::{
    EnumeratorContext, ReaderEvent, Source, SourceBatch, SourceReader, SourceSplit, SplitEnumerator, SubtaskInfo,
};
use flott_connector::{Boundedness, Versioned};
use flott_core::{ChangeBatch, CheckpointId, Error, Result};

use super::physical::physical_expr;

/// Layout of split and enumerator state: the next row, little-endian, 8 bytes.
const VERSION: u32 = 1;
/// The only split.
const SPLIT: &str = "values";
/// Rows of one batch.
const BATCH_ROWS: usize = 8_192;

/// The rows of VALUES, computed once while planning.
pub(super) fn evaluate(rows: &[Vec<Expr>], schema: SchemaRef) -> Result<RecordBatch> {
    let nothing = DFSchema::empty();
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let one_row = RecordBatch::try_new_with_options(Arc::new(arrow_schema::Schema::empty()), vec![], &options)?;
    let mut columns: Vec<ArrayRef> = vec![];
    for i in 0..schema.fields().len() {
        let mut cells: Vec<ArrayRef> = vec![];
        for row in rows {
            let e = &row[i];
            if e.is_volatile() {
                return Err(Error::user(format!("not supported yet: {e} in VALUES"))
                    .hint("Write SELECT without FROM, and UNION ALL for several rows"));
            }
            let value = physical_expr(e, &nothing)?.evaluate(&one_row).map_err(crate::bind::from_datafusion)?;
            cells.push(value.into_array(1).map_err(crate::bind::from_datafusion)?);
        }
        if cells.is_empty() {
            columns.push(arrow_array::new_empty_array(schema.field(i).data_type()));
            continue;
        }
        let cells: Vec<&dyn arrow_array::Array> = cells.iter().map(|c| c.as_ref()).collect();
        columns.push(concat(&cells)?);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
}

/// A bounded source over one batch.
pub struct ValuesSource {
    rows: RecordBatch,
}

impl ValuesSource {
    /// Over these rows.
    pub fn new(rows: RecordBatch) -> ValuesSource {
        ValuesSource { rows }
    }
}

impl Source for ValuesSource {
    fn boundedness(&self) -> Boundedness {
        Boundedness::Bounded
    }

    fn create_enumerator(&self, restored: Option<Versioned>) -> Result<Box<dyn SplitEnumerator>> {
        let assigned = match restored {
            None => false,
            Some(state) => position(&state)? != 0,
        };
        let pending = if assigned { vec![] } else { vec![split_at(0)] };
        Ok(Box::new(ValuesEnumerator { pending }))
    }

    fn create_reader(&self, _subtask: SubtaskInfo) -> Result<Box<dyn SourceReader>> {
        Ok(Box::new(ValuesReader {
            rows: self.rows.clone(),
            next: None,
            finished: false,
            no_more: false,
            asked: false,
        }))
    }
}

fn split_at(row: u64) -> SourceSplit {
    SourceSplit { id: SPLIT.to_string(), data: state(row) }
}

fn state(n: u64) -> Versioned {
    Versioned::new(VERSION, n.to_le_bytes().to_vec())
}

fn position(state: &Versioned) -> Result<u64> {
    match (state.version, <[u8; 8]>::try_from(state.bytes.as_ref())) {
        (VERSION, Ok(bytes)) => Ok(u64::from_le_bytes(bytes)),
        (version, _) => Err(Error::user(format!("a position in VALUES of version {version} cannot be read"))
            .hint("Start afresh, or with the version of Flott that wrote the checkpoint")),
    }
}

struct ValuesEnumerator {
    pending: Vec<SourceSplit>,
}

impl SplitEnumerator for ValuesEnumerator {
    fn start(&mut self, _context: &mut EnumeratorContext) -> Result<()> {
        Ok(())
    }

    fn add_reader(&mut self, _reader: usize, _context: &mut EnumeratorContext) -> Result<()> {
        Ok(())
    }

    fn handle_split_request(&mut self, reader: usize, context: &mut EnumeratorContext) -> Result<()> {
        let splits = std::mem::take(&mut self.pending);
        if !splits.is_empty() {
            context.assign(reader, splits);
        }
        context.no_more_splits(reader);
        Ok(())
    }

    fn add_splits_back(&mut self, splits: Vec<SourceSplit>, _context: &mut EnumeratorContext) -> Result<()> {
        self.pending.extend(splits);
        Ok(())
    }

    fn snapshot_state(&mut self, _checkpoint: CheckpointId) -> Result<Versioned> {
        // 1: the split is with a reader, or done.
        Ok(state(u64::from(self.pending.is_empty())))
    }
}

struct ValuesReader {
    rows: RecordBatch,
    next: Option<usize>,
    finished: bool,
    no_more: bool,
    asked: bool,
}

#[async_trait]
impl SourceReader for ValuesReader {
    fn add_splits(&mut self, splits: Vec<SourceSplit>) -> Result<()> {
        for split in splits {
            let row = usize::try_from(position(&split.data)?).unwrap_or(usize::MAX);
            self.next = Some(row.min(self.rows.num_rows()));
        }
        Ok(())
    }

    fn no_more_splits(&mut self) {
        self.no_more = true;
    }

    async fn next(&mut self) -> Result<ReaderEvent> {
        if let Some(row) = self.next {
            if row < self.rows.num_rows() {
                let n = BATCH_ROWS.min(self.rows.num_rows() - row);
                self.next = Some(row + n);
                return Ok(ReaderEvent::Batch(SourceBatch {
                    split: SPLIT.to_string(),
                    rows: ChangeBatch::append(self.rows.slice(row, n)),
                    position: state((row + n) as u64),
                    watermark: None,
                    skipped: 0,
                    dead_letters: None,
                }));
            }
            self.next = None;
            self.finished = true;
            return Ok(ReaderEvent::SplitFinished { split: SPLIT.to_string() });
        }
        if self.no_more {
            return Ok(ReaderEvent::EndOfInput);
        }
        if !self.asked {
            self.asked = true;
            return Ok(ReaderEvent::NeedSplits);
        }
        // Woken by a dropped future and called again: nothing changes until splits come or none will.
        std::future::pending().await
    }
}
