//! OVER where all rows have come before the first one leaves (`execution.runtime-mode = batch`): every frame, and the
//! functions that need the whole partition. Rows leave by partition, in its order.

use std::ops::Range;

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;
use arrow_select::concat::concat;
use flott_core::{ChangeBatch, Error, Result};
use flott_function::AggregateKind;
use flott_graph::meaning::COLUMNS;
use flott_graph::{OverAggregateSpec, OverBound, OverCall, OverFunction, OverGroup, SortKey};
use flott_state::{OperatorSnapshot, RestoredState};

use super::frame::{Frames, Peers};
use super::place;
use super::running::Runnings;
use super::shown::columns_of;
use crate::calc::assemble;
use crate::keyed::{AtEnd, KeyCodec, KeyTable, meaning};
use crate::operator::{Operator, OperatorContext, Progress};
use crate::rank::types_of;
use crate::window::accumulator::Step;
use crate::window::aggregate::Ownership;
use crate::window::fire::Output;

/// Version of the stored form: since 2 it says what it stands for.
const STATE_VERSION: u32 = 2;
/// Partitions are computed together until they have so many rows.
const ROWS_MIN: usize = 8_192;
/// So many steps are gone through at once (or as many as there are rows, where there are more).
const STEPS_MAX: usize = 65_536;

/// The functions of one frame.
struct Group {
    spec: OverGroup,
    /// Aggregates, and where their results stand among the functions.
    aggregates: Vec<usize>,
    functions: Runnings,
    /// Rows that leave a frame are taken away; else each frame is computed anew.
    removes: bool,
}

impl Group {
    fn new(spec: &OverGroup, schema: &SchemaRef) -> Result<Group> {
        let is_aggregate = |c: &&OverCall| matches!(c.function, OverFunction::Aggregate(_));
        let calls: Vec<OverCall> = spec.calls.iter().filter(is_aggregate).cloned().collect();
        let slides = spec.frame.lower != OverBound::UnboundedPreceding;
        // What is added and taken away again is not the same for numbers that are rounded.
        let rounds = calls.iter().any(|c| {
            let exact = matches!(
                c.function,
                OverFunction::Aggregate(
                    AggregateKind::Count
                        | AggregateKind::Min
                        | AggregateKind::Max
                        | AggregateKind::FirstValue
                        | AggregateKind::LastValue
                )
            );
            !exact && c.arguments.iter().any(|a| schema.field(*a).data_type().is_floating())
        });
        let removes = slides && !rounds;
        let aggregates =
            (0..spec.calls.len()).filter(|i| matches!(spec.calls[*i].function, OverFunction::Aggregate(_))).collect();
        Ok(Group { spec: spec.clone(), aggregates, functions: Runnings::new(&calls, schema, removes)?, removes })
    }

    /// The results of all functions over whole partitions, which are ranges of the rows.
    fn results(
        &mut self,
        rows: &RecordBatch,
        partitions: &[Range<usize>],
        order: &[SortKey],
        peers: &Peers,
    ) -> Result<Vec<ArrayRef>> {
        let mut aggregates = match self.aggregates.is_empty() {
            true => vec![],
            false => self.aggregate(rows, partitions, order, peers)?,
        }
        .into_iter();
        let mut columns = vec![];
        for (i, call) in self.spec.calls.iter().enumerate() {
            columns.push(match self.aggregates.contains(&i) {
                true => aggregates.next().ok_or_else(|| Error::internal("an aggregate without results"))?,
                false => place::results(call, rows, partitions, peers)?,
            });
        }
        Ok(columns)
    }

    fn aggregate(
        &mut self,
        rows: &RecordBatch,
        partitions: &[Range<usize>],
        order: &[SortKey],
        peers: &Peers,
    ) -> Result<Vec<ArrayRef>> {
        let frames = Frames::new(&self.spec.frame, rows, order, peers)?;
        self.functions.resize(partitions.len());
        // Frames that are computed anew are as many steps as rows times their length: no more of them are there at once
        // than rows, or so many.
        let most = STEPS_MAX.max(rows.num_rows());
        let (mut steps, mut of_row, mut emits) = (vec![], Vec::with_capacity(rows.num_rows()), 0u32);
        let mut shown: Vec<Vec<ArrayRef>> = vec![];
        let functions = &mut self.functions;
        let mut step = |step: Step| -> Result<()> {
            steps.push(step);
            if steps.len() >= most {
                shown.push(functions.run(&steps, rows)?);
                steps.clear();
            }
            Ok(())
        };
        for (group, partition) in (0u32..).zip(partitions) {
            // What the group holds.
            let mut held = partition.start..partition.start;
            let mut last: Option<Range<usize>> = None;
            let mut cursor = frames.cursor(partition.clone());
            for row in partition.clone() {
                let frame = cursor.frame(row);
                if last.as_ref() != Some(&frame) {
                    if frame.start > held.start && (!self.removes || frame.start >= held.end) {
                        step(Step::Clear { group })?;
                        held = frame.start..frame.start;
                    }
                    for row in held.start..frame.start {
                        step(Step::Remove { group, row: row as u32 })?;
                    }
                    for row in held.end..frame.end {
                        step(Step::Add { group, row: row as u32 })?;
                    }
                    held = frame.start..frame.end.max(held.end);
                    step(Step::Emit { group })?;
                    emits += 1;
                    last = Some(frame);
                }
                of_row.push(emits - 1);
            }
        }
        if !steps.is_empty() || shown.is_empty() {
            shown.push(functions.run(&steps, rows)?);
        }
        self.functions.reset(&(0..partitions.len() as u32).collect::<Vec<_>>());
        columns_of(joined(shown)?, &of_row, emits)
    }
}

/// Pieces of columns, one behind the other.
fn joined(mut pieces: Vec<Vec<ArrayRef>>) -> Result<Vec<ArrayRef>> {
    if pieces.len() == 1 {
        return Ok(pieces.remove(0));
    }
    let columns = pieces.first().map_or(0, Vec::len);
    let column = |i: usize| {
        let of: Vec<&dyn Array> = pieces.iter().map(|p| p[i].as_ref()).collect();
        Ok(concat(&of)?)
    };
    (0..columns).map(column).collect()
}

/// Functions over windows of all rows.
pub struct OverAtEnd {
    name: String,
    spec: OverAggregateSpec,
    schema: SchemaRef,
    keys: KeyCodec,
    table: KeyTable,
    /// By partition, then in the order.
    rows: AtEnd,
    partition_of: Vec<u32>,
    live: Vec<u32>,
    groups: Vec<Group>,
    output: Output,
}

impl OverAtEnd {
    /// `schema`: of the output.
    pub fn new(name: &str, spec: &OverAggregateSpec, schema: SchemaRef, ownership: Ownership) -> Result<OverAtEnd> {
        let build = || -> Result<OverAtEnd> {
            let types = types_of(&spec.input_schema, &spec.partition_keys)?;
            Ok(OverAtEnd {
                name: name.to_string(),
                schema,
                keys: KeyCodec::new(&spec.partition_keys, &types, ownership.max_parallelism)?,
                table: KeyTable::default(),
                rows: AtEnd::new(&spec.input_schema, order_of(spec))?,
                partition_of: vec![],
                live: vec![],
                groups: spec.groups.iter().map(|g| Group::new(g, &spec.input_schema)).collect::<Result<_>>()?,
                output: Output::default(),
                spec: spec.clone(),
            })
        };
        build().map_err(|e| e.with("operator", name))
    }

    fn add(&mut self, batch: &ChangeBatch, context: &mut OperatorContext) -> Result<()> {
        let columns = batch.rows.columns();
        let keys = self.keys.encode(columns, batch.num_rows())?;
        let encoded = self.rows.rows().codec().encode(columns)?;
        for row in 0..batch.num_rows() {
            if !batch.kind(row).is_addition() {
                return Err(Error::internal("a row is taken away from an OVER of a bounded input"));
            }
            let (number, _) = self.table.find_or_insert(keys.hashes[row], keys.key(row));
            let slot = self.rows.insert(&encoded, row)?;
            self.place(slot, number);
        }
        self.rows.count(self.table.size_bytes() + self.live.len() * 8, context);
        Ok(())
    }

    fn place(&mut self, slot: u32, number: u32) {
        if self.partition_of.len() <= slot as usize {
            self.partition_of.resize(slot as usize + 1, 0);
        }
        self.partition_of[slot as usize] = number;
        self.live.push(slot);
    }

    /// The next whole partitions.
    fn next(&mut self) -> Result<bool> {
        let mut slots: Vec<u32> = vec![];
        let mut partitions: Vec<Range<usize>> = vec![];
        let mut number = None;
        while let Some(slot) = self.rows.next() {
            let of = self.partition_of[slot as usize];
            if number != Some(of) {
                if slots.len() >= ROWS_MIN {
                    break;
                }
                number = Some(of);
                partitions.push(slots.len()..slots.len());
            }
            self.rows.pop();
            slots.push(slot);
            if let Some(partition) = partitions.last_mut() {
                partition.end = slots.len();
            }
        }
        if slots.is_empty() {
            return Ok(false);
        }
        let store = self.rows.rows();
        let rows = store.gather(&slots)?;
        let peers = Peers::new(&partitions, |a, b| store.order(slots[a]) == store.order(slots[b]));
        let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
        for group in &mut self.groups {
            columns.extend(group.results(&rows, &partitions, &self.spec.order, &peers)?);
        }
        self.output.push(ChangeBatch::append(assemble(&self.schema, columns, slots.len())?));
        Ok(true)
    }

    fn drain(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.output.start();
        loop {
            if !self.output.drain(context) {
                return Ok(Progress::More);
            }
            if !self.next()? {
                break;
            }
        }
        (self.table, self.partition_of) = Default::default();
        self.rows.clear(context)?;
        Ok(Progress::Done)
    }
}

/// Rows by partition, and within it in the order.
fn order_of(spec: &OverAggregateSpec) -> Vec<SortKey> {
    let key = |k: &usize| SortKey { column: *k, ascending: true, nulls_last: false };
    spec.partition_keys.iter().map(key).chain(spec.order.iter().copied()).collect()
}

impl Operator for OverAtEnd {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        self.add(&batch, context).map_err(|e| e.with("operator", &self.name))?;
        Ok(Progress::Done)
    }

    fn end_input(&mut self, _input: usize, context: &mut OperatorContext) -> Result<Progress> {
        self.rows.end(std::mem::take(&mut self.live), 0, None);
        self.drain(context).map_err(|e| e.with("operator", &self.name))
    }

    fn resume(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.drain(context).map_err(|e| e.with("operator", &self.name))
    }

    fn snapshot_state(&mut self) -> Result<OperatorSnapshot> {
        let snapshot = self.rows.snapshot(STATE_VERSION, &self.keys).map_err(|e| e.with("operator", &self.name))?;
        Ok(meaning::seal(snapshot, &self.spec.meaning.only(&[COLUMNS])))
    }

    fn restore_state(&mut self, state: RestoredState) -> Result<()> {
        // Nothing has been computed before the end.
        let state = meaning::open(state, 0, &self.spec.meaning.only(&[COLUMNS]), &self.name)?;
        let slots = self.rows.restore(&state, &self.name)?;
        let batch = self.rows.rows().gather(&slots)?;
        let keys = self.keys.encode(batch.columns(), batch.num_rows())?;
        for (row, slot) in slots.into_iter().enumerate() {
            let (number, _) = self.table.find_or_insert(keys.hashes[row], keys.key(row));
            self.place(slot, number);
        }
        Ok(())
    }
}
