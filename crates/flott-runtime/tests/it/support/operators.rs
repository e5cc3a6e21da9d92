//! Operators: sums, what passes all on, what holds back and what makes much of little.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, UInt16Array};
use arrow_schema::{DataType, Field, Schema};
use flott_core::{ChangeBatch, Result, Watermark, key_group};
use flott_operator::{Operator, OperatorContext, Progress};
use flott_state::{OperatorSnapshot, RestoredState, StateRun};

use super::{batch, rows_of};

pub(crate) struct Pass;
impl Operator for Pass {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        context.emit(batch);
        Ok(Progress::Done)
    }
}

/// Each row `factor` times, all at once.
pub(crate) struct Explode {
    pub(crate) factor: usize,
    /// Bytes emitted so far, all subtasks.
    pub(crate) emitted: Arc<AtomicU64>,
}

impl Operator for Explode {
    fn process_batch(&mut self, _input: usize, rows: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        let out = batch(rows_of(&rows).into_iter().flat_map(|r| std::iter::repeat_n(r, self.factor)));
        self.emitted.fetch_add(out.size_bytes() as u64, Ordering::SeqCst);
        context.emit(out);
        Ok(Progress::Done)
    }
}

/// Sums by key; emits `(key, sum, rows)` at the end of its input.
#[derive(Default)]
pub(crate) struct SumByKey {
    sums: BTreeMap<i64, (i64, i64)>,
    max_parallelism: u16,
    ended: usize,
    inputs: usize,
}

impl SumByKey {
    pub(crate) fn new(inputs: usize, max_parallelism: u16) -> SumByKey {
        SumByKey { inputs, max_parallelism, ..SumByKey::default() }
    }
}

fn group_of(key: i64, max_parallelism: u16) -> u16 {
    let column: ArrayRef = Arc::new(Int64Array::from(vec![key]));
    let mut hashes = vec![];
    key_group::hash_rows(&[column], 1, &mut hashes).expect("hashable");
    key_group::key_group(hashes[0], max_parallelism)
}

impl Operator for SumByKey {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, _context: &mut OperatorContext) -> Result<Progress> {
        for (i, (k, v, _)) in rows_of(&batch).into_iter().enumerate() {
            let sign = if batch.kind(i).is_addition() { 1 } else { -1 };
            let sum = self.sums.entry(k).or_default();
            sum.0 += sign * v;
            sum.1 += sign;
        }
        Ok(Progress::Done)
    }
    fn end_input(&mut self, _input: usize, context: &mut OperatorContext) -> Result<Progress> {
        self.ended += 1;
        if self.ended == self.inputs {
            context.emit(batch(std::mem::take(&mut self.sums).into_iter().map(|(k, (s, n))| (k, s, n))));
        }
        Ok(Progress::Done)
    }
    fn snapshot_state(&mut self) -> Result<OperatorSnapshot> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.sums.keys().map(|k| group_of(*k, self.max_parallelism)).collect::<UInt16Array>()),
            Arc::new(self.sums.keys().copied().collect::<Int64Array>()),
            Arc::new(self.sums.values().map(|s| s.0).collect::<Int64Array>()),
            Arc::new(self.sums.values().map(|s| s.1).collect::<Int64Array>()),
        ];
        let field = |n: &str| Field::new(n, DataType::Int64, false);
        let schema = Schema::new(vec![StateRun::key_group_field(), field("k"), field("sum"), field("rows")]);
        let rows = RecordBatch::try_new(Arc::new(schema), columns)?;
        Ok(OperatorSnapshot { version: 1, meta: vec![], runs: vec![StateRun::seal("sums", rows)?] })
    }
    fn restore_state(&mut self, state: RestoredState) -> Result<()> {
        for run in state.table("sums") {
            for (k, s, n) in sums_of(run) {
                let sum = self.sums.entry(k).or_default();
                sum.0 += s;
                sum.1 += n;
            }
        }
        Ok(())
    }
}

pub(crate) fn sums_of(run: &StateRun) -> Vec<(i64, i64, i64)> {
    let column = |i: usize| run.rows().expect("rows").column(i).as_primitive::<Int64Type>().clone();
    let (k, s, n) = (column(1), column(2), column(3));
    (0..k.len()).map(|i| (k.value(i), s.value(i), n.value(i))).collect()
}

/// Holds rows back until the barrier, a watermark or the end, as a local aggregate does.
#[derive(Default)]
pub(crate) struct HoldBack {
    held: Vec<ChangeBatch>,
    most: usize,
}

impl HoldBack {
    pub(crate) fn new(most: usize) -> HoldBack {
        HoldBack { held: vec![], most }
    }
    fn release(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        std::mem::take(&mut self.held).into_iter().for_each(|b| context.emit(b));
        Ok(Progress::Done)
    }
}

impl Operator for HoldBack {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        self.held.push(batch);
        if self.held.len() > self.most { self.release(context) } else { Ok(Progress::Done) }
    }
    fn process_watermark(&mut self, watermark: Watermark, context: &mut OperatorContext) -> Result<Progress> {
        let progress = self.release(context);
        context.emit_watermark(watermark);
        progress
    }
    fn prepare_snapshot(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.release(context)
    }
    fn end_input(&mut self, _input: usize, context: &mut OperatorContext) -> Result<Progress> {
        self.release(context)
    }
    fn snapshot_state(&mut self) -> Result<OperatorSnapshot> {
        assert!(self.held.is_empty(), "rows were held back over a barrier");
        Ok(OperatorSnapshot::default())
    }
    fn holds_output(&self) -> bool {
        !self.held.is_empty()
    }
}

/// Each row `factor` times, in pieces.
pub(crate) struct Amplify {
    pub(crate) factor: usize,
    pub(crate) piece: usize,
    left: VecDeque<((i64, i64, i64), usize)>,
    /// Emitted so far, all subtasks.
    pub(crate) emitted: Arc<AtomicU64>,
}

impl Amplify {
    pub(crate) fn new(factor: usize, piece: usize, emitted: Arc<AtomicU64>) -> Amplify {
        Amplify { factor, piece, left: VecDeque::new(), emitted }
    }
}

impl Operator for Amplify {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        self.left.extend(rows_of(&batch).into_iter().map(|r| (r, self.factor)));
        self.resume(context)
    }
    fn resume(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        let Some((row, left)) = self.left.front_mut() else { return Ok(Progress::Done) };
        let n = self.piece.min(*left);
        let first = self.factor - *left;
        context.emit(batch((first..first + n).map(|i| (row.0 + i as i64, row.1, row.2))));
        self.emitted.fetch_add(n as u64, Ordering::SeqCst);
        *left -= n;
        if *left == 0 {
            self.left.pop_front();
        }
        Ok(if self.left.is_empty() { Progress::Done } else { Progress::More })
    }
    fn snapshot_state(&mut self) -> Result<OperatorSnapshot> {
        assert!(self.left.is_empty(), "a barrier in the middle of an emission");
        Ok(OperatorSnapshot::default())
    }
}
