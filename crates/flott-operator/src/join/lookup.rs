//! Lookup join: each row with the rows that a table outside has for it at that moment.
//!
//! A batch becomes a request of its distinct keys; rows and watermarks wait in a queue until what stands before them is
//! answered (or, where order does not matter, what stands before them up to the last watermark). At a barrier rows that
//! still wait are stored where several lookups are under way at a time, as Flink's AsyncWaitOperator does, and asked for
//! anew after a restore; else nothing waits there. It keeps nothing else, except where what was found must be the same
//! when a row is taken back: `materialized`.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use arrow_array::types::Int8Type;
use arrow_array::{
    Array, ArrayRef, BooleanArray, Int8Array, RecordBatch, RecordBatchOptions, UInt16Array, UInt32Array, cast::AsArray,
};
use arrow_row::{OwnedRow, RowConverter, SortField};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::filter::{filter_record_batch, prep_null_mask_filter};
use arrow_select::take::{take, take_record_batch};
use flott_core::{ChangeBatch, Error, Result, RowKinds, Watermark};
use flott_graph::meaning::COLUMNS;
use flott_graph::{JoinKind, LookupJoinSpec, LookupKey, StateMeaning};
use flott_state::{OperatorSnapshot, RestoredState, StateRun};

use super::materialized::Materialized;
use crate::calc::assemble;
use crate::evaluation;
use crate::expression::evaluate;
use crate::keyed::meaning;
use crate::operator::{Awaiting, LOOKUPS_MAX, LookupRequest, Operator, OperatorContext, Progress};
use crate::window::aggregate::{Ownership, check_stored};

/// Rows of one request.
const REQUEST_ROWS: usize = 1_024;
/// Rows of one piece of output.
const PIECE_ROWS: usize = 8_192;
/// Rows that one call emits before it gives way.
const CALL_ROWS: usize = 65_536;

/// Version of the stored form of rows that wait.
const STATE_VERSION: u32 = 1;
/// Their state table.
const WAITING_TABLE: &str = "waiting";

/// What waits.
enum Waiting {
    Rows(Pending),
    Watermark(Watermark),
}

/// Rows, and what was found for them.
struct Pending {
    id: u64,
    batch: ChangeBatch,
    /// For each row its key in the request; `None` where there is nothing to look up.
    keys: Vec<Option<u32>>,
    /// The right columns, and of each row its key.
    found: Option<(RecordBatch, Vec<u32>)>,
}

/// What has come, in order.
enum Arrived {
    Rows(ChangeBatch),
    Watermark(Watermark),
}

/// What leaves, in order.
enum Leaving {
    /// Rows of the input and, for each, a row that was found or none: by their places from `at` on.
    Pairs {
        batch: ChangeBatch,
        right: RecordBatch,
        left_rows: Vec<u32>,
        right_rows: Vec<Option<u32>>,
        at: usize,
    },
    Changes(ChangeBatch),
    Watermark(Watermark),
}

/// Joins rows with those of a table outside.
pub struct LookupJoin {
    name: String,
    spec: LookupJoinSpec,
    schema: SchemaRef,
    pair_schema: SchemaRef,
    converter: RowConverter,
    queue: VecDeque<Waiting>,
    /// Pairs of what was answered, which leave in pieces: a key may have any number of rows.
    leaving: VecDeque<Leaving>,
    /// Rows that have not been asked for yet.
    backlog: VecDeque<Arrived>,
    next_id: u64,
    /// Requests that are under way.
    asked: usize,
    /// Rows in the queue.
    rows: usize,
    materialized: Option<Materialized>,
    /// The last watermark that has come.
    watermark: i64,
    /// The first of the own key groups.
    key_group: u16,
    waiting_schema: SchemaRef,
    meaning: StateMeaning,
}

impl LookupJoin {
    /// The output's columns are the input's, then those of the table.
    pub fn new(name: &str, spec: &LookupJoinSpec, schema: SchemaRef, ownership: Ownership) -> Result<LookupJoin> {
        let key_schema = spec.source.key_schema();
        if key_schema.fields().len() != spec.keys.len() {
            return Err(Error::internal("a lookup has another key than it was asked for").with("operator", name));
        }
        let fields = key_schema.fields().iter().map(|f| SortField::new(f.data_type().clone())).collect();
        let pair = spec.left_schema.fields().iter().chain(spec.right_schema.fields());
        let pair: Vec<_> = pair.map(|f| f.as_ref().clone().with_nullable(true)).collect();
        let key_group = ownership.key_groups.start;
        let mut waiting = vec![StateRun::key_group_field(), Field::new("$kind", DataType::Int8, false)];
        waiting.extend(spec.left_schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)));
        let names: Vec<&str> = spec.left_schema.fields().iter().map(|f| f.name().as_str()).collect();
        let materialized = match &spec.materialize {
            Some(key) => Some(Materialized::new(name, spec, key, ownership)?),
            None => None,
        };
        Ok(LookupJoin {
            name: name.to_string(),
            spec: spec.clone(),
            schema,
            pair_schema: Arc::new(Schema::new(pair)),
            converter: RowConverter::new(fields)?,
            queue: VecDeque::new(),
            leaving: VecDeque::new(),
            backlog: VecDeque::new(),
            next_id: 0,
            asked: 0,
            rows: 0,
            materialized,
            watermark: i64::MIN,
            key_group,
            waiting_schema: Arc::new(Schema::new(waiting)),
            meaning: StateMeaning::default().with(COLUMNS, names.join(", ")),
        })
    }

    /// Rows that may wait.
    fn capacity(&self) -> usize {
        self.spec.asynchronous.map_or(1, |a| a.capacity.max(1))
    }

    fn requests_max(&self) -> usize {
        if self.spec.asynchronous.is_some() { LOOKUPS_MAX } else { 1 }
    }

    fn is_full(&self) -> bool {
        self.asked >= self.requests_max() || (self.asked > 0 && self.rows >= self.capacity())
    }

    /// Asks for what has not been asked for yet, as far as it may, and emits what has been answered.
    fn advance(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        evaluation::enter(context);
        if !self.leave(context)? {
            return Ok(Progress::More);
        }
        while let Some(arrived) = self.backlog.pop_front() {
            let batch = match arrived {
                Arrived::Watermark(watermark) => {
                    self.queue.push_back(Waiting::Watermark(watermark));
                    continue;
                }
                Arrived::Rows(batch) if self.is_full() => {
                    self.backlog.push_front(Arrived::Rows(batch));
                    break;
                }
                Arrived::Rows(batch) => batch,
            };
            let most = match &self.spec.asynchronous {
                Some(_) => self.capacity().saturating_sub(self.rows).clamp(1, REQUEST_ROWS),
                None => REQUEST_ROWS,
            };
            let rest = batch.num_rows().saturating_sub(most);
            if rest > 0 {
                self.backlog.push_front(Arrived::Rows(batch.slice(most, rest)));
            }
            self.ask(batch.slice(0, batch.num_rows() - rest), context)?;
        }
        self.settle(context)?;
        if !self.leave(context)? {
            return Ok(Progress::More);
        }
        if let Some(materialized) = &mut self.materialized {
            materialized.tidy(context)?;
        }
        Ok(Progress::Done)
    }

    fn ask(&mut self, batch: ChangeBatch, context: &mut OperatorContext) -> Result<()> {
        let rows = batch.num_rows();
        let mut wanted = vec![true; rows];
        if let Some(filter) = &self.spec.pre_filter {
            only(&mut wanted, &evaluate(filter, &batch.rows)?);
        }
        let mut columns: Vec<ArrayRef> = vec![];
        for key in &self.spec.keys {
            columns.push(match key {
                LookupKey::Column(i) => Arc::clone(batch.rows.column(*i)),
                LookupKey::Constant(value) => take(value, &UInt32Array::from(vec![0u32; rows]), None)?,
            });
        }
        for column in &columns {
            if let Some(nulls) = column.logical_nulls() {
                wanted.iter_mut().enumerate().for_each(|(row, w)| *w &= nulls.is_valid(row));
            }
        }
        if self.materialized.is_some() {
            // What takes a row back takes back what was found for it.
            wanted.iter_mut().enumerate().for_each(|(row, w)| *w &= batch.kind(row).is_addition());
        }
        let encoded = self.converter.convert_columns(&columns)?;
        let (mut numbers, mut first): (HashMap<OwnedRow, u32>, Vec<u32>) = Default::default();
        let keys = (0..rows).map(|row| {
            wanted[row].then(|| {
                *numbers.entry(encoded.row(row).owned()).or_insert_with(|| {
                    first.push(row as u32);
                    first.len() as u32 - 1
                })
            })
        });
        let keys: Vec<Option<u32>> = keys.collect();
        let id = self.next_id;
        self.next_id += 1;
        let mut pending = Pending { id, batch, keys, found: None };
        if first.is_empty() {
            pending.found = Some((RecordBatch::new_empty(Arc::clone(&self.spec.right_schema)), vec![]));
        } else {
            let first = UInt32Array::from(first);
            let columns = columns.iter().map(|c| take(c, &first, None)).collect::<std::result::Result<_, _>>()?;
            let schema = self.spec.source.key_schema();
            let options = RecordBatchOptions::new().with_row_count(Some(first.len()));
            let keys = RecordBatch::try_new_with_options(schema, columns, &options)?;
            context.requests.push(LookupRequest { id, keys });
            self.asked += 1;
        }
        self.rows += rows;
        self.queue.push_back(Waiting::Rows(pending));
        Ok(())
    }

    /// The right columns of what was found.
    fn projected(&self, rows: RecordBatch, keys: &UInt32Array) -> Result<(RecordBatch, Vec<u32>)> {
        let (mut rows, mut keys) = (rows, keys.values().to_vec());
        if let Some(filter) = &self.spec.filter
            && rows.num_rows() > 0
        {
            let keep = truth(&evaluate(filter, &rows)?);
            rows = filter_record_batch(&rows, &keep)?;
            keys = keys.into_iter().zip(keep.values().iter()).filter(|(_, k)| *k).map(|(key, _)| key).collect();
        }
        let columns = self.spec.projection.iter().map(|e| evaluate(e, &rows)).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        let right = RecordBatch::try_new_with_options(Arc::clone(&self.spec.right_schema), columns, &options)?;
        Ok((right, keys))
    }

    /// Emits the next pieces; true where nothing is left.
    fn leave(&mut self, context: &mut OperatorContext) -> Result<bool> {
        let mut rows = 0;
        while let Some(first) = self.leaving.pop_front() {
            match first {
                Leaving::Watermark(watermark) => context.emit_watermark(watermark),
                Leaving::Changes(mut batch) => {
                    if batch.num_rows() > PIECE_ROWS {
                        let rest = batch.slice(PIECE_ROWS, batch.num_rows() - PIECE_ROWS);
                        self.leaving.push_front(Leaving::Changes(rest));
                        batch = batch.slice(0, PIECE_ROWS);
                    }
                    rows += batch.num_rows();
                    context.emit(batch);
                }
                Leaving::Pairs { batch, right, left_rows, right_rows, at } => {
                    let end = left_rows.len().min(at + PIECE_ROWS);
                    let left = batch.take(&UInt32Array::from(left_rows[at..end].to_vec()))?;
                    let mut columns = left.rows.columns().to_vec();
                    columns.extend(taken(&right, &UInt32Array::from(right_rows[at..end].to_vec()))?);
                    let kinds: Option<RowKinds> = left.kinds;
                    context.emit(ChangeBatch { rows: assemble(&self.schema, columns, end - at)?, kinds });
                    rows += end - at;
                    if end < left_rows.len() {
                        self.leaving.push_front(Leaving::Pairs { batch, right, left_rows, right_rows, at: end });
                    }
                }
            }
            if rows >= CALL_ROWS && !self.leaving.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What has been answered and may leave.
    fn settle(&mut self, context: &OperatorContext) -> Result<()> {
        let ordered = self.materialized.is_some() || self.spec.asynchronous.is_none_or(|a| a.ordered);
        let mut at = 0;
        while at < self.queue.len() {
            match &self.queue[at] {
                Waiting::Watermark(_) if at > 0 => return Ok(()),
                Waiting::Rows(pending) if pending.found.is_none() => {
                    if ordered {
                        return Ok(());
                    }
                    at += 1;
                }
                _ => match self.queue.remove(at) {
                    Some(Waiting::Watermark(watermark)) => self.leaving.push_back(Leaving::Watermark(watermark)),
                    Some(Waiting::Rows(pending)) => {
                        self.rows -= pending.batch.num_rows();
                        self.join(pending, context)?;
                    }
                    None => return Ok(()),
                },
            }
        }
        Ok(())
    }

    /// The pairs of rows that have been answered.
    fn join(&mut self, pending: Pending, context: &OperatorContext) -> Result<()> {
        let Pending { batch, keys, found, .. } = pending;
        let Some((right, of_key)) = found else { return Err(Error::internal("rows that are not answered")) };
        // Where the rows of each key begin and end.
        let mut ranges: HashMap<u32, (u32, u32)> = HashMap::new();
        for (row, key) in (0u32..).zip(&of_key) {
            ranges.entry(*key).or_insert((row, row)).1 = row + 1;
        }
        let (mut left_rows, mut right_rows): (Vec<u32>, Vec<u32>) = (vec![], vec![]);
        for (row, key) in (0u32..).zip(&keys) {
            if let Some((begin, end)) = key.and_then(|k| ranges.get(&k)) {
                left_rows.extend((*begin..*end).map(|_| row));
                right_rows.extend(*begin..*end);
            }
        }
        if let Some(rest) = &self.spec.rest
            && !left_rows.is_empty()
        {
            let (mut kept_left, mut kept_right) = (vec![], vec![]);
            for (l, r) in left_rows.chunks(PIECE_ROWS).zip(right_rows.chunks(PIECE_ROWS)) {
                let keep = truth(&evaluate(rest, &self.pairs(&batch, &right, l, r)?)?);
                for ((l, r), _) in l.iter().zip(r).zip(keep.values().iter()).filter(|(_, k)| *k) {
                    kept_left.push(*l);
                    kept_right.push(*r);
                }
            }
            (left_rows, right_rows) = (kept_left, kept_right);
        }
        let is_left = self.spec.kind == JoinKind::Left;
        let mut with_misses: (Vec<u32>, Vec<Option<u32>>) = (vec![], vec![]);
        let mut at = 0;
        for row in 0..batch.num_rows() as u32 {
            let begin = at;
            while at < left_rows.len() && left_rows[at] == row {
                with_misses.0.push(row);
                with_misses.1.push(Some(right_rows[at]));
                at += 1;
            }
            if at == begin && is_left {
                with_misses.0.push(row);
                with_misses.1.push(None);
            }
        }
        let (left_rows, right_rows) = with_misses;
        if let Some(materialized) = &mut self.materialized {
            let now = context.processing_time_ms;
            for piece in materialized.changes(&batch, &right, &left_rows, &right_rows, now)? {
                let rows = assemble(&self.schema, piece.rows.columns().to_vec(), piece.rows.num_rows())?;
                self.leaving.push_back(Leaving::Changes(piece.with_rows(rows)));
            }
            return Ok(());
        }
        if !left_rows.is_empty() {
            self.leaving.push_back(Leaving::Pairs { batch, right, left_rows, right_rows, at: 0 });
        }
        Ok(())
    }

    /// The rows that wait, in order.
    fn stored(&mut self) -> Result<OperatorSnapshot> {
        let queued = self.queue.iter().filter_map(|w| match w {
            Waiting::Rows(pending) => Some(&pending.batch),
            Waiting::Watermark(_) => None,
        });
        let unasked = self.backlog.iter().filter_map(|a| match a {
            Arrived::Rows(batch) => Some(batch),
            Arrived::Watermark(_) => None,
        });
        let waiting: Vec<&ChangeBatch> = queued.chain(unasked).collect();
        let mut runs = vec![];
        if !waiting.is_empty() {
            let all = ChangeBatch::concat(&waiting[0].rows.schema(), waiting)?;
            let n = all.num_rows();
            let kinds: Int8Array = (0..n).map(|row| Some(all.kind(row).code())).collect();
            let mut columns: Vec<ArrayRef> =
                vec![Arc::new(UInt16Array::from_value(self.key_group, n)), Arc::new(kinds)];
            columns.extend(all.rows.columns().iter().cloned());
            runs.push(StateRun::seal(WAITING_TABLE, RecordBatch::try_new(Arc::clone(&self.waiting_schema), columns)?)?);
        }
        let meta = self.watermark.to_le_bytes().to_vec();
        Ok(meaning::seal(OperatorSnapshot { version: STATE_VERSION, meta, runs }, &self.meaning))
    }

    /// Rows that have waited come again, and behind them the watermark that stood there.
    fn restore(&mut self, state: RestoredState) -> Result<()> {
        let state = meaning::open(state, size_of::<i64>(), &self.meaning, &self.name)?;
        let metas = state.metas.iter().filter_map(|m| m.as_slice().try_into().ok().map(i64::from_le_bytes));
        self.watermark = metas.min().unwrap_or(i64::MIN);
        for run in state.table(WAITING_TABLE) {
            let rows = run.rows()?;
            check_stored(&self.waiting_schema, rows, &self.name)?;
            let kinds = RowKinds::from_array(rows.column(1).as_primitive::<Int8Type>())
                .ok_or_else(|| Error::internal("a stored row of an unknown kind"))?;
            let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
            let columns = rows.columns()[2..].to_vec();
            let rows = RecordBatch::try_new_with_options(Arc::clone(&self.spec.left_schema), columns, &options)?;
            let batch = if kinds.all_insert() { ChangeBatch::append(rows) } else { ChangeBatch::new(rows, kinds)? };
            self.backlog.push_back(Arrived::Rows(batch));
        }
        if self.watermark > i64::MIN {
            self.backlog.push_back(Arrived::Watermark(Watermark(self.watermark)));
        }
        Ok(())
    }

    /// Rows side by side.
    fn pairs(&self, batch: &ChangeBatch, right: &RecordBatch, l: &[u32], r: &[u32]) -> Result<RecordBatch> {
        let left = take_record_batch(&batch.rows, &UInt32Array::from(l.to_vec()))?;
        let mut columns = left.columns().to_vec();
        columns.extend(taken(right, &UInt32Array::from(r.to_vec()))?);
        let options = RecordBatchOptions::new().with_row_count(Some(l.len()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.pair_schema), columns, &options)?)
    }
}

/// The columns of these rows; NULL where there is none.
pub(super) fn taken(rows: &RecordBatch, indices: &UInt32Array) -> Result<Vec<ArrayRef>> {
    Ok(rows.columns().iter().map(|c| take(c, indices, None)).collect::<std::result::Result<_, _>>()?)
}

/// Where a condition is true, and not NULL.
fn truth(condition: &ArrayRef) -> BooleanArray {
    let condition = condition.as_boolean();
    if condition.null_count() > 0 { prep_null_mask_filter(condition) } else { condition.clone() }
}

fn only(wanted: &mut [bool], condition: &ArrayRef) {
    wanted.iter_mut().zip(truth(condition).values().iter()).for_each(|(w, is)| *w &= is);
}

impl Operator for LookupJoin {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        self.backlog.push_back(Arrived::Rows(batch));
        self.advance(context).map_err(|e| e.with("operator", &self.name))
    }

    fn process_watermark(&mut self, watermark: Watermark, context: &mut OperatorContext) -> Result<Progress> {
        self.watermark = self.watermark.max(watermark.0);
        if self.queue.is_empty() && self.backlog.is_empty() && self.leaving.is_empty() {
            context.emit_watermark(watermark);
        } else if self.backlog.is_empty() {
            self.queue.push_back(Waiting::Watermark(watermark));
        } else {
            self.backlog.push_back(Arrived::Watermark(watermark));
        }
        Ok(Progress::Done)
    }

    fn on_processing_time(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.advance(context).map_err(|e| e.with("operator", &self.name))
    }

    fn resume(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.advance(context).map_err(|e| e.with("operator", &self.name))
    }

    fn on_lookup(
        &mut self,
        id: u64,
        rows: RecordBatch,
        keys: &UInt32Array,
        context: &mut OperatorContext,
    ) -> Result<Progress> {
        evaluation::enter(context);
        let found = self.projected(rows, keys).map_err(|e| e.with("operator", &self.name))?;
        let waiting = self.queue.iter_mut().find_map(|w| match w {
            Waiting::Rows(pending) if pending.id == id => Some(pending),
            _ => None,
        });
        let pending =
            waiting.ok_or_else(|| Error::internal("an answer to no question").with("operator", &self.name))?;
        pending.found = Some(found);
        self.asked -= 1;
        self.advance(context).map_err(|e| e.with("operator", &self.name))
    }

    fn awaiting(&self) -> Awaiting {
        match self.asked {
            0 => Awaiting::Nothing,
            _ if self.is_full() || !self.backlog.is_empty() => Awaiting::Full,
            _ => Awaiting::Some,
        }
    }

    fn snapshot_state(&mut self) -> Result<OperatorSnapshot> {
        match &mut self.materialized {
            Some(materialized) => materialized.snapshot(),
            None => self.stored().map_err(|e| e.with("operator", &self.name)),
        }
    }

    fn restore_state(&mut self, state: RestoredState) -> Result<()> {
        match &mut self.materialized {
            Some(materialized) => materialized.restore(state),
            None => self.restore(state).map_err(|e| e.with("operator", &self.name)),
        }
    }

    fn holds_output(&self) -> bool {
        self.asked > 0
    }

    fn stores_what_waits(&self) -> bool {
        // Rows that wait belong to no key: after a restore, changes of one key could pass each other.
        self.spec.asynchronous.is_some_and(|a| a.insert_only) && self.materialized.is_none()
    }
}
