//! Deduplication in mini-batches: rows are gathered, and those that may change something go key by key to the operator that
//! keeps the state.
//!
//! As Flink's bundle functions: by event time every row that is better than those of its key before it
//! (`RowTimeMiniBatchDeduplicateFunction`), or the best one alone (`RowTimeMiniBatchLatestChangeDeduplicateFunction`); by
//! processing time the first or the last one (`ProcTimeMiniBatchDeduplicateKeepFirstRowFunction` and its like).

use arrow_array::{ArrayRef, RecordBatch};
use arrow_select::interleave::{interleave, interleave_record_batch};
use flott_core::{ChangeBatch, Result, Watermark};
use flott_graph::{Changes, DeduplicateSpec, Keep, MiniBatch};
use flott_state::{OperatorSnapshot, RestoredState};

use super::top_n::types_of;
use crate::changelog::bundle_order::BundleOrder;
use crate::changelog::gather::Gather;
use crate::keyed::{KeyCodec, KeyTable};
use crate::operator::{Operator, OperatorContext, Progress};
use crate::timestamp::{null_rowtime, to_milliseconds};

/// Rows that are held in vain, at which those that are wanted are packed anew, where they are the fewer.
const UNWANTED_MIN: usize = 8_192;

/// A row that is held.
#[derive(Clone, Copy)]
struct Held {
    key: u32,
    batch: usize,
    row: usize,
}

/// The rows of a mini-batch that may change something.
struct Bundle {
    keep: Keep,
    rowtime: Option<usize>,
    /// One row of each key alone.
    one: bool,
    columns: Vec<usize>,
    codec: KeyCodec,
    keys: KeyTable,
    /// By key: the time of its best row, and where in `held` its last one is.
    best: Vec<(i64, usize)>,
    held: Vec<Held>,
    batches: Vec<RecordBatch>,
    /// Rows of `batches`.
    rows: usize,
    order: BundleOrder,
}

impl Bundle {
    fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns = batch.columns();
        let times = match self.rowtime {
            Some(column) if columns[column].null_count() > 0 => {
                return Err(null_rowtime().with("column", batch.schema().field(column).name()));
            }
            Some(column) => Some(to_milliseconds(columns[column].as_ref())?),
            None => None,
        };
        let keys = self.codec.encode(columns, batch.num_rows())?;
        for row in 0..batch.num_rows() {
            let time = times.as_ref().map_or(0, |t| t[row]);
            let (key, new) = self.keys.find_or_insert(keys.hashes[row], keys.key(row));
            let held = Held { key, batch: self.batches.len(), row };
            if new {
                self.best.push((time, self.held.len()));
                self.held.push(held);
                continue;
            }
            let (known, place) = self.best[key as usize];
            let is_better = match self.keep {
                Keep::Last => time >= known,
                Keep::First => time < known,
            };
            if is_better && self.one {
                self.best[key as usize].0 = time;
                self.held[place] = held;
            } else if is_better {
                self.best[key as usize] = (time, self.held.len());
                self.held.push(held);
            }
        }
        self.rows += batch.num_rows();
        self.batches.push(batch.clone());
        if self.rows > UNWANTED_MIN + 2 * self.held.len() {
            self.pack()?;
        }
        Ok(())
    }

    /// Lets go of rows that nobody wants any more.
    fn pack(&mut self) -> Result<()> {
        let places: Vec<(usize, usize)> = self.held.iter().map(|h| (h.batch, h.row)).collect();
        let packed = self.gathered(&places)?;
        for (row, held) in self.held.iter_mut().enumerate() {
            (held.batch, held.row) = (0, row);
        }
        (self.batches, self.rows) = (vec![packed], self.held.len());
        Ok(())
    }

    fn gathered(&self, places: &[(usize, usize)]) -> Result<RecordBatch> {
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        Ok(interleave_record_batch(&batches, places)?)
    }

    /// The rows as they leave: by key, those of a key as they came. What comes then is another mini-batch.
    fn take(&mut self) -> Result<Option<ChangeBatch>> {
        if self.held.is_empty() {
            return Ok(None);
        }
        let mut first = vec![None; self.best.len()];
        for held in &self.held {
            first[held.key as usize].get_or_insert((held.batch, held.row));
        }
        let first: Vec<(usize, usize)> = first.into_iter().flatten().collect();
        let of_key = |column: &usize| -> Result<ArrayRef> {
            let columns: Vec<_> = self.batches.iter().map(|b| b.column(*column).as_ref()).collect();
            Ok(interleave(&columns, &first)?)
        };
        let columns = self.columns.iter().map(of_key).collect::<Result<Vec<_>>>()?;
        let mut place = vec![0u32; first.len()];
        for (at, key) in self.order.of(&columns, first.len()).into_iter().enumerate() {
            place[key as usize] = at as u32;
        }
        self.held.sort_by_key(|h| place[h.key as usize]);
        let places: Vec<(usize, usize)> = self.held.iter().map(|h| (h.batch, h.row)).collect();
        let rows = self.gathered(&places)?;
        (self.keys, self.rows) = (KeyTable::default(), 0);
        (self.best, self.held, self.batches) = (vec![], vec![], vec![]);
        Ok(Some(ChangeBatch::append(rows)))
    }

    fn size_bytes(&self) -> usize {
        let batches: usize = self.batches.iter().map(RecordBatch::get_array_memory_size).sum();
        let places = self.held.capacity() * size_of::<Held>() + self.best.capacity() * size_of::<(i64, usize)>();
        if self.held.is_empty() { 0 } else { batches + places + self.keys.size_bytes() }
    }
}

/// A deduplication that sees its rows in mini-batches.
pub struct Bundled {
    name: String,
    bundle: Bundle,
    gather: Gather,
    inner: Box<dyn Operator>,
    /// What the state within takes.
    inner_bytes: u64,
    /// What has come and does not fit in the mini-batch, and from which row on.
    rest: Option<(ChangeBatch, usize)>,
    /// Follows the output.
    then: Option<Watermark>,
}

impl Bundled {
    /// Mini-batches before `inner`, which has the state.
    pub fn new(
        name: &str,
        spec: &DeduplicateSpec,
        batch: MiniBatch,
        inner: Box<dyn Operator>,
        max_parallelism: u16,
    ) -> Result<Bundled> {
        let types = types_of(&spec.input_schema, &spec.keys);
        let codec = types.and_then(|types| KeyCodec::new(&spec.keys, &types, max_parallelism));
        let bundle = Bundle {
            keep: spec.keep,
            rowtime: spec.rowtime,
            one: spec.compact || spec.rowtime.is_none(),
            columns: spec.keys.clone(),
            codec: codec.map_err(|e| e.with("operator", name))?,
            keys: KeyTable::default(),
            best: vec![],
            held: vec![],
            batches: vec![],
            rows: 0,
            order: BundleOrder::default(),
        };
        Ok(Bundled {
            name: name.to_string(),
            bundle,
            gather: Gather::new(Changes::Gathered(batch)),
            inner,
            inner_bytes: 0,
            rest: None,
            then: None,
        })
    }

    /// A call of the operator within, whose metrics are absolute.
    fn within(
        &mut self,
        context: &mut OperatorContext,
        call: impl FnOnce(&mut dyn Operator, &mut OperatorContext) -> Result<Progress>,
    ) -> Result<Progress> {
        context.metrics.state_bytes = self.inner_bytes;
        let progress = call(self.inner.as_mut(), context)?;
        self.inner_bytes = context.metrics.state_bytes;
        Ok(progress)
    }

    fn show(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.gather.shown();
        let Some(batch) = self.bundle.take().map_err(|e| e.with("operator", &self.name))? else {
            return Ok(Progress::Done);
        };
        self.within(context, |inner, context| inner.process_batch(0, batch, context))
    }

    /// Takes in what waits, mini-batch by mini-batch.
    fn go_on(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        while let Some((batch, from)) = self.rest.take() {
            let rows = self.gather.room().min(batch.num_rows() - from);
            let piece = batch.slice(from, rows);
            self.bundle.add(&piece.rows).map_err(|e| e.with("operator", &self.name))?;
            if from + rows < batch.num_rows() {
                self.rest = Some((batch, from + rows));
            }
            if self.gather.added(rows, context) && self.show(context)? == Progress::More {
                return Ok(Progress::More);
            }
        }
        if let Some(watermark) = self.then.take() {
            self.within(context, |inner, context| inner.process_watermark(watermark, context))?;
        }
        context.metrics.state_bytes = self.inner_bytes + self.bundle.size_bytes() as u64;
        Ok(Progress::Done)
    }

    fn show_and_go_on(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        match self.show(context)? {
            Progress::More => Ok(Progress::More),
            Progress::Done => self.go_on(context),
        }
    }
}

impl Operator for Bundled {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        self.rest = (batch.num_rows() > 0).then_some((batch, 0));
        self.go_on(context)
    }

    fn process_watermark(&mut self, watermark: Watermark, context: &mut OperatorContext) -> Result<Progress> {
        self.then = Some(watermark);
        self.show_and_go_on(context)
    }

    fn on_processing_time(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        if self.gather.is_due(context) {
            return self.show_and_go_on(context);
        }
        match self.within(context, |inner, context| inner.on_processing_time(context))? {
            Progress::More => Ok(Progress::More),
            Progress::Done => self.go_on(context),
        }
    }

    fn resume(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        match self.within(context, |inner, context| inner.resume(context))? {
            Progress::More => Ok(Progress::More),
            Progress::Done => self.go_on(context),
        }
    }

    fn prepare_snapshot(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.show_and_go_on(context)
    }

    fn snapshot_state(&mut self) -> Result<OperatorSnapshot> {
        self.inner.snapshot_state()
    }

    fn restore_state(&mut self, state: RestoredState) -> Result<()> {
        self.inner.restore_state(state)
    }

    fn end_input(&mut self, _input: usize, context: &mut OperatorContext) -> Result<Progress> {
        self.show_and_go_on(context)
    }

    fn holds_output(&self) -> bool {
        !self.bundle.held.is_empty()
    }
}
