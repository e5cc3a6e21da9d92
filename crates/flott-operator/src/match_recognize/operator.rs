//! MATCH_RECOGNIZE: rows wait for their time (event time, or the next millisecond where they are ordered further), come to
//! the runs of their partition in order, and matches leave as rows.
//!
//! Rows that are due are taken in rounds, one row of each partition at a time, so that a condition that reads the rows
//! before is evaluated once a round for all partitions and runs.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::take::take;
use flott_core::types::TimeAttribute;
use flott_core::{ChangeBatch, Error, Result, Watermark};
use flott_graph::{AfterMatch, MatchReference, MatchSpec};
use flott_state::{OperatorSnapshot, RestoredState};

use super::automaton::Automaton;
use super::paths::{NONE, Paths};
use super::runs::{Arrival, Found, Matching, NOT_BEGUN, Partition};
use super::stored;
use super::truths::{Truths, TruthsOfRuns};
use super::values::{Rows, Values};
use crate::calc::assemble;
use crate::expression::evaluate;
use crate::keyed::{KeyCodec, KeyTable, RowCodec, RowStore, meaning};
use crate::operator::{Operator, OperatorContext, Progress};
use crate::rank::types_of;
use crate::timestamp::{null_rowtime, to_milliseconds};
use crate::window::aggregate::Ownership;

/// Version of the stored form: since 2 it says what it stands for.
const STATE_VERSION: u32 = 2;
/// Rows that wait, and rows that runs have taken.
const ROW_TABLE: &str = "rows";
/// The runs of each partition.
const RUN_TABLE: &str = "runs";
/// So many rows are taken together.
const DUE_ROWS: usize = 8_192;
/// With so many matches a call gives way.
const MATCHES_MAX: usize = 4_096;

/// How rows are told apart.
enum Condition {
    /// Any row.
    Any,
    /// It reads the row alone.
    OfRow(Arc<dyn datafusion_physical_expr::PhysicalExpr>),
    /// It reads the rows before, too.
    OfRun { values: Values, expression: Arc<dyn datafusion_physical_expr::PhysicalExpr>, schema: SchemaRef },
}

/// Rows that are due, in order.
struct Due {
    rows: RecordBatch,
    slots: Vec<u32>,
    times: Vec<i64>,
    /// Their partitions.
    keys: Vec<u32>,
    /// By variable, where the condition reads the row alone.
    of_row: Vec<Option<Truths>>,
    /// The rows of each partition.
    queues: Vec<Vec<usize>>,
    round: usize,
}

/// The rows of a run whose condition is asked: those that it has taken, and the new one.
struct Candidate<'a> {
    paths: &'a Paths,
    path: u32,
    row: (u16, u32),
    time_ms: i64,
}

impl Rows for Candidate<'_> {
    fn back(&self) -> impl Iterator<Item = (u16, u32)> + '_ {
        std::iter::once(self.row).chain(self.paths.back(self.path))
    }

    fn time_ms(&self) -> i64 {
        self.time_ms
    }
}

impl Rows for Found {
    fn back(&self) -> impl Iterator<Item = (u16, u32)> + '_ {
        self.rows.iter().rev().copied()
    }

    fn time_ms(&self) -> i64 {
        self.time_ms
    }
}

/// See the module.
pub struct MatchRecognize {
    name: String,
    spec: MatchSpec,
    schema: SchemaRef,
    automaton: Automaton,
    conditions: Vec<Condition>,
    measures: Values,
    keys: KeyCodec,
    table: KeyTable,
    /// By the number of their key.
    partitions: Vec<Partition>,
    rows: RowStore,
    paths: Paths,
    /// What is stored of partitions that have not changed, behind their keys.
    stored: RowStore,
    stored_keys: KeyCodec,
    /// Partitions to be stored at the next barrier.
    changed: Vec<u32>,
    /// Slots and partitions by their time.
    waiting: BTreeMap<i64, Vec<(u32, u32)>>,
    waiting_rows: usize,
    /// When runs are given up, and whose.
    timers: BTreeMap<i64, BTreeSet<u32>>,
    timer_keys: usize,
    /// Bytes of what the partitions hold.
    open_bytes: usize,
    due: Option<Due>,
    /// What becomes due by the call that runs.
    until: Option<i64>,
    /// Partitions that the call has touched.
    touched: BTreeSet<u32>,
    found: Vec<Found>,
    /// The number of rows that have been due in this call.
    order: usize,
    then: Option<Watermark>,
    watermark: i64,
    late: u64,
}

impl MatchRecognize {
    /// `schema`: of the output, the partition keys and the measures.
    pub fn new(name: &str, spec: &MatchSpec, schema: SchemaRef, ownership: Ownership) -> Result<MatchRecognize> {
        MatchRecognize::build(name, spec, schema, &ownership).map_err(|e| e.with("operator", name))
    }

    fn build(name: &str, spec: &MatchSpec, schema: SchemaRef, ownership: &Ownership) -> Result<MatchRecognize> {
        let automaton = Automaton::new(&spec.variables)?;
        if automaton.matches_nothing() {
            return Err(Error::internal("a pattern that matches no row"));
        }
        let types = types_of(&spec.input_schema, &spec.partition_keys)?;
        let width = spec.input_schema.fields().len();
        let conditions = spec.variables.iter().map(|v| match &v.condition {
            None => Ok(Condition::Any),
            Some(c) if c.references.is_empty() => Ok(Condition::OfRow(Arc::clone(&c.expression))),
            Some(c) => {
                let types: Vec<DataType> =
                    c.schema.fields().iter().skip(width).map(|f| f.data_type().clone()).collect();
                let values = Values::new(&c.references, &types)?;
                let fields: Vec<_> = c.schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
                let schema = Arc::new(Schema::new(fields));
                Ok(Condition::OfRun { values, expression: Arc::clone(&c.expression), schema })
            }
        });
        let key_reference =
            |column: &usize| MatchReference::Row { variable: None, first: true, offset: 0, column: *column };
        let references: Vec<MatchReference> =
            spec.partition_keys.iter().map(key_reference).chain(spec.references.iter().cloned()).collect();
        let reference_types: Vec<DataType> =
            types.iter().cloned().chain(spec.reference_schema.fields().iter().map(|f| f.data_type().clone())).collect();
        let mut stored_fields: Vec<Field> =
            spec.partition_keys.iter().map(|k| spec.input_schema.field(*k).clone()).collect();
        stored_fields.push(Field::new("$runs", DataType::Binary, false));
        let stored_schema: SchemaRef = Arc::new(Schema::new(stored_fields));
        let places: Vec<usize> = (0..types.len()).collect();
        Ok(MatchRecognize {
            name: name.to_string(),
            schema,
            automaton,
            conditions: conditions.collect::<Result<_>>()?,
            measures: Values::new(&references, &reference_types)?,
            keys: KeyCodec::new(&spec.partition_keys, &types, ownership.max_parallelism)?,
            table: KeyTable::default(),
            partitions: vec![],
            rows: RowStore::new(ROW_TABLE, RowCodec::new(&spec.input_schema, &spec.then)?, true),
            paths: Paths::default(),
            stored: RowStore::new(RUN_TABLE, RowCodec::new(&stored_schema, &[])?, false),
            stored_keys: KeyCodec::new(&places, &types, ownership.max_parallelism)?,
            changed: vec![],
            waiting: BTreeMap::new(),
            waiting_rows: 0,
            timers: BTreeMap::new(),
            timer_keys: 0,
            open_bytes: 0,
            due: None,
            until: None,
            touched: BTreeSet::new(),
            found: vec![],
            order: 0,
            then: None,
            watermark: i64::MIN,
            late: 0,
            spec: spec.clone(),
        })
    }

    fn event_time(&self) -> bool {
        self.spec.attribute == TimeAttribute::Rowtime
    }

    /// Rows that are as they come: no other row can come before them.
    fn at_once(&self) -> bool {
        !self.event_time() && self.spec.then.is_empty()
    }

    /// The number of a partition, which is made where there is none.
    fn partition(&mut self, hash: u64, key: &[u8]) -> u32 {
        let (number, new) = self.table.find_or_insert(hash, key);
        if new {
            let partition = Partition::new(&self.automaton);
            self.open_bytes += partition.size_bytes();
            match self.partitions.get_mut(number as usize) {
                Some(old) => *old = partition,
                None => self.partitions.push(partition),
            }
        }
        number
    }

    fn add(&mut self, batch: &ChangeBatch, context: &OperatorContext) -> Result<()> {
        let columns = batch.rows.columns();
        let times = if self.event_time() {
            let column = &columns[self.spec.time_column];
            if column.null_count() > 0 {
                let name = batch.rows.schema().field(self.spec.time_column).name().clone();
                return Err(null_rowtime().with("column", name));
            }
            Some(to_milliseconds(column.as_ref())?)
        } else {
            None
        };
        let keys = self.keys.encode(columns, batch.num_rows())?;
        let encoded = self.rows.codec().encode(columns)?;
        for row in 0..batch.num_rows() {
            let time = times.as_ref().map_or(context.processing_time_ms, |t| t[row]);
            if times.is_some() && time <= self.watermark {
                self.late += 1;
                continue;
            }
            let key = self.partition(keys.hashes[row], keys.key(row));
            let slot = self.rows.insert(&encoded, row, self.rows.next_mark(), time)?;
            self.paths.hold(slot);
            self.partitions[key as usize].waiting += 1;
            self.wait(time, slot, key);
        }
        Ok(())
    }

    fn wait(&mut self, time: i64, slot: u32, key: u32) {
        self.waiting.entry(time).or_default().push((slot, key));
        self.waiting_rows += 1;
    }

    fn give_up_at(&mut self, time: i64, key: u32) {
        self.timer_keys += usize::from(self.timers.entry(time).or_default().insert(key));
    }

    /// The next rows that are due, in order.
    fn take_due(&mut self, until: i64) -> Result<Option<Due>> {
        let (mut slots, mut times, mut keys) = (vec![], vec![], vec![]);
        while slots.len() < DUE_ROWS
            && let Some(entry) = self.waiting.first_entry().filter(|e| *e.key() <= until)
        {
            let (time, mut rows) = entry.remove_entry();
            self.waiting_rows -= rows.len();
            if !self.spec.then.is_empty() {
                let store = &self.rows;
                rows.sort_by(|a, b| store.order(a.0).cmp(store.order(b.0)));
            }
            times.resize(times.len() + rows.len(), time);
            slots.extend(rows.iter().map(|r| r.0));
            keys.extend(rows.iter().map(|r| r.1));
        }
        if slots.is_empty() {
            return Ok(None);
        }
        let rows = self.rows.gather(&slots)?;
        let of_row = |condition: &Condition| match condition {
            Condition::OfRow(expression) => Some(Truths::of(expression, &rows)),
            Condition::Any | Condition::OfRun { .. } => None,
        };
        let of_row = self.conditions.iter().map(of_row).collect();
        let mut places: HashMap<u32, usize> = HashMap::new();
        let mut queues: Vec<Vec<usize>> = vec![];
        for (row, key) in keys.iter().enumerate() {
            let place = *places.entry(*key).or_insert_with(|| {
                queues.push(vec![]);
                queues.len() - 1
            });
            queues[place].push(row);
        }
        Ok(Some(Due { rows, slots, times, keys, of_row, queues, round: 0 }))
    }

    /// One row of each partition.
    fn round(&mut self, due: &mut Due) -> Result<()> {
        let round = due.round;
        due.round += 1;
        due.queues.retain(|q| round < q.len());
        let turn: Vec<usize> = due.queues.iter().map(|q| q[round]).collect();
        for row in &turn {
            let order = self.order + *row;
            self.with(due.keys[*row], |matching, partition| matching.advance(partition, due.times[*row], order))?;
        }
        let truths = self.of_runs(due, &turn)?;
        let any: Vec<bool> = self.conditions.iter().map(|c| matches!(c, Condition::Any)).collect();
        for (place, row) in turn.iter().enumerate() {
            let key = due.keys[*row];
            let arrival = Arrival { slot: due.slots[*row], time_ms: due.times[*row], order: self.order + *row };
            let of_row = &due.of_row;
            let is = |run: usize, variable: u16| match &of_row[variable as usize] {
                _ if any[variable as usize] => Ok(true),
                Some(truths) => truths.get(*row),
                None => truths.get(place, run, variable),
            };
            let begun = self.with(key, |matching, partition| matching.row(partition, arrival, is))?;
            if begun && let Some(within) = self.spec.within_ms {
                self.give_up_at(arrival.time_ms.saturating_add(within), key);
            }
            self.partitions[key as usize].waiting -= 1;
            let group = self.keys.group(self.table.hash(key));
            self.paths.let_go(arrival.slot, &mut self.rows, group);
            self.touched.insert(key);
        }
        Ok(())
    }

    /// For each of these rows, for each open run of its partition, for each variable: whether the condition is true, where
    /// it reads the rows before and the run may ask for it.
    fn of_runs(&self, due: &Due, turn: &[usize]) -> Result<TruthsOfRuns> {
        let variables = self.conditions.len();
        let mut of_runs = TruthsOfRuns { variables, truths: vec![], failed: RefCell::default() };
        if !self.conditions.iter().any(|c| matches!(c, Condition::OfRun { .. })) {
            return Ok(of_runs);
        }
        let runs_of = |row: usize| self.partitions[due.keys[row] as usize].open.items();
        of_runs.truths = turn.iter().map(|row| vec![false; runs_of(*row).len() * variables]).collect();
        for (variable, condition) in self.conditions.iter().enumerate() {
            let Condition::OfRun { values, expression, schema } = condition else { continue };
            let number = variable as u16;
            let (mut candidates, mut asked, mut rows) = (vec![], vec![], vec![]);
            for (place, row) in turn.iter().enumerate() {
                for (run, r) in runs_of(*row).iter().enumerate() {
                    if self.automaton.states[r.state as usize].asks.contains(&number) {
                        let (row_of, time_ms) = ((number, due.slots[*row]), due.times[*row]);
                        candidates.push(Candidate { paths: &self.paths, path: r.path, row: row_of, time_ms });
                        asked.push((place, run));
                        rows.push(*row as u32);
                    }
                }
            }
            if candidates.is_empty() {
                continue;
            }
            let rows = UInt32Array::from(rows);
            let mut columns =
                due.rows.columns().iter().map(|c| take(c.as_ref(), &rows, None)).collect::<Result<Vec<_>, _>>()?;
            columns.extend(values.of(&candidates, &self.rows)?);
            let batch = RecordBatch::try_new(Arc::clone(schema), columns)?;
            let Truths { is, failed } = Truths::of(expression, &batch);
            for (i, (place, run)) in asked.iter().enumerate() {
                of_runs.truths[*place][run * variables + variable] = is[i];
            }
            let failed = failed.into_inner().into_iter();
            of_runs.failed.get_mut().extend(failed.map(|(i, e)| ((asked[i].0, asked[i].1, number), e)));
        }
        Ok(of_runs)
    }

    /// Works on a partition, which is stored at the next barrier where it changes.
    fn with<T>(&mut self, key: u32, work: impl FnOnce(&mut Matching<'_>, &mut Partition) -> Result<T>) -> Result<T> {
        let group = self.keys.group(self.table.hash(key));
        let target_name = match self.spec.after_match {
            AfterMatch::ToFirst(v) | AfterMatch::ToLast(v) => {
                self.spec.variables.get(v).map_or("", |v| v.name.as_str())
            }
            AfterMatch::PastLastRow | AfterMatch::ToNextRow => "",
        };
        let partition = &mut self.partitions[key as usize];
        let (before, bytes) = (partition.changed, partition.size_bytes());
        let mut matching = Matching {
            automaton: &self.automaton,
            within_ms: self.spec.within_ms,
            after_match: self.spec.after_match,
            target_name,
            paths: &mut self.paths,
            rows: &mut self.rows,
            found: &mut self.found,
            group,
        };
        let done = work(&mut matching, partition)?;
        if partition.changed && !before {
            self.changed.push(key);
        }
        self.open_bytes = self.open_bytes + partition.size_bytes() - bytes;
        Ok(done)
    }

    /// Time has come to the end of the call: runs are given up, and partitions forgotten of which nothing is open.
    fn settle(&mut self, time_ms: i64) -> Result<()> {
        let mut keys = std::mem::take(&mut self.touched);
        while let Some(entry) = self.timers.first_entry().filter(|e| *e.key() <= time_ms) {
            let of_time = entry.remove();
            self.timer_keys -= of_time.len();
            keys.extend(of_time);
        }
        for key in keys {
            if self.table.len() == 0 || !self.lives(key) {
                continue;
            }
            let order = self.order;
            self.with(key, |matching, partition| matching.advance(partition, time_ms, order))?;
            let partition = &mut self.partitions[key as usize];
            if partition.is_idle() && partition.waiting == 0 {
                if partition.stored != NONE {
                    self.stored.remove(partition.stored, self.keys.group(self.table.hash(key)));
                }
                self.open_bytes -= partition.size_bytes();
                *partition = Partition { stored: NONE, ..Partition::default() };
                self.table.remove(key);
            }
        }
        Ok(())
    }

    /// Whether a key has this number still: a timer may be left of one that has gone.
    fn lives(&self, key: u32) -> bool {
        self.partitions.get(key as usize).is_some_and(|p| p.open.len() > 0)
    }

    fn emit(&mut self, context: &mut OperatorContext) -> Result<()> {
        let mut found = std::mem::take(&mut self.found);
        if found.is_empty() {
            return Ok(());
        }
        found.sort_by_key(|f| f.order);
        let mut columns = self.measures.of(&found, &self.rows)?;
        let of_measures = columns.split_off(self.spec.partition_keys.len());
        let fields: Vec<_> =
            self.spec.reference_schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(found.len()));
        let values = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), of_measures, &options)?;
        for measure in &self.spec.measures {
            columns.push(evaluate(measure, &values)?);
        }
        context.emit(ChangeBatch::append(assemble(&self.schema, columns, found.len())?));
        Ok(())
    }

    fn run(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        crate::evaluation::enter(context);
        while let Some(until) = self.until {
            if self.found.len() >= MATCHES_MAX {
                self.emit(context)?;
                self.rows.release();
                return Ok(Progress::More);
            }
            let due = match self.due.take() {
                Some(due) => Some(due),
                None => self.take_due(until)?,
            };
            match due {
                Some(mut due) => {
                    self.round(&mut due)?;
                    if due.queues.iter().any(|q| due.round < q.len()) {
                        self.due = Some(due);
                    } else {
                        self.order += due.slots.len();
                    }
                }
                None => {
                    let time = if self.event_time() { until } else { context.processing_time_ms };
                    self.settle(time)?;
                    self.until = None;
                }
            }
        }
        self.emit(context)?;
        self.rows.release();
        self.order = 0;
        if let Some(watermark) = self.then.take() {
            context.emit_watermark(watermark);
        }
        self.ask_for_timer(context);
        self.count(context);
        Ok(Progress::Done)
    }

    fn ask_for_timer(&self, context: &mut OperatorContext) {
        if self.event_time() {
            return;
        }
        let first = self.waiting.keys().next().into_iter().chain(self.timers.keys().next()).min();
        if let Some(first) = first {
            context.register_timer(first.saturating_add(1));
        }
    }

    fn count(&self, context: &mut OperatorContext) {
        context.metrics.late_records_dropped = self.late;
        context.metrics.state_rows = self.rows.len() as u64;
        if self.table.len() == 0 && self.rows.len() == 0 {
            context.metrics.state_bytes = 0;
            return;
        }
        let partitions = self.partitions.capacity() * size_of::<Partition>();
        let waiting = self.waiting_rows * 8 + self.waiting.len() * 32;
        let timers = self.timer_keys * 16;
        let stores = self.rows.size_bytes() + self.stored.size_bytes() + self.paths.size_bytes();
        let bytes = stores + self.table.size_bytes() + partitions + self.open_bytes + waiting + timers;
        context.metrics.state_bytes = bytes as u64;
    }

    /// Stores the runs of partitions that have changed anew.
    fn store_runs(&mut self) -> Result<()> {
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort_unstable();
        changed.dedup();
        changed.retain(|key| self.lives(*key) && self.partitions[*key as usize].changed);
        for key in &changed {
            let group = self.keys.group(self.table.hash(*key));
            let partition = &mut self.partitions[*key as usize];
            partition.changed = false;
            if partition.stored != NONE {
                self.stored.remove(partition.stored, group);
                partition.stored = NONE;
            }
        }
        changed.retain(|key| !self.partitions[*key as usize].is_idle());
        self.stored.release();
        if changed.is_empty() {
            return Ok(());
        }
        let ids = &self.rows;
        let runs: BinaryArray = changed
            .iter()
            .map(|key| Some(stored::write(&self.partitions[*key as usize], &self.paths, |slot| ids.id(slot))))
            .collect();
        let mut columns: Vec<ArrayRef> = self.keys.decode(changed.iter().map(|key| self.table.key(*key)))?;
        columns.push(Arc::new(runs));
        let encoded = self.stored.codec().encode(&columns)?;
        for (row, key) in changed.iter().enumerate() {
            let slot = self.stored.insert(&encoded, row, 0, 0)?;
            self.partitions[*key as usize].stored = slot;
        }
        Ok(())
    }

    fn restore(&mut self, state: RestoredState) -> Result<()> {
        let state = &meaning::open(state, size_of::<i64>(), &self.spec.meaning, &self.name)?;
        let times = state.metas.iter().filter_map(|m| m.as_slice().try_into().ok().map(i64::from_le_bytes));
        self.watermark = times.min().unwrap_or(i64::MIN);
        let mut restored = self.rows.restore(state, &self.name)?;
        restored.sort_unstable_by_key(|r| r.mark);
        // Rows by their partition and id.
        let mut slots: HashMap<(u32, u64), u32> = HashMap::new();
        let mut partition_of: Vec<u32> = vec![];
        for piece in restored.chunks(DUE_ROWS) {
            let rows = self.rows.gather(&piece.iter().map(|r| r.slot).collect::<Vec<u32>>())?;
            let keys = self.keys.encode(rows.columns(), rows.num_rows())?;
            for (i, row) in piece.iter().enumerate() {
                let key = self.partition(keys.hashes[i], keys.key(i));
                slots.insert((key, row.id), row.slot);
                partition_of.push(key);
            }
        }
        let runs = self.stored.restore(state, &self.name)?;
        for piece in runs.chunks(DUE_ROWS) {
            let rows = self.stored.gather(&piece.iter().map(|r| r.slot).collect::<Vec<u32>>())?;
            let keys = self.stored_keys.encode(rows.columns(), rows.num_rows())?;
            let bytes = rows.column(rows.num_columns() - 1).as_binary::<i32>();
            for (i, run) in piece.iter().enumerate() {
                let key = self.partition(keys.hashes[i], keys.key(i));
                let partition = &mut self.partitions[key as usize];
                partition.stored = run.slot;
                let find = |id: u64| slots.get(&(key, id)).copied();
                stored::read(bytes.value(i), partition, &mut self.paths, self.automaton.states.len(), find)?;
                if let Some(within) = self.spec.within_ms {
                    let begun = partition.open.items().iter().filter(|r| r.start != NOT_BEGUN);
                    for start_ms in begun.map(|r| r.start_ms).collect::<Vec<_>>() {
                        self.give_up_at(start_ms.saturating_add(within), key);
                    }
                }
            }
        }
        // What no run has taken waits.
        for (row, key) in restored.iter().zip(partition_of) {
            if !self.paths.is_used(row.slot) {
                self.paths.hold(row.slot);
                self.partitions[key as usize].waiting += 1;
                self.wait(row.time, row.slot, key);
            }
        }
        self.open_bytes = self.partitions.iter().map(Partition::size_bytes).sum();
        Ok(())
    }

    fn begin(&mut self, until: i64, context: &mut OperatorContext) -> Result<Progress> {
        self.until = Some(until);
        self.run(context).map_err(|e| e.with("operator", &self.name))
    }
}

impl Operator for MatchRecognize {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        self.add(&batch, context).map_err(|e| e.with("operator", &self.name))?;
        if self.at_once() {
            return self.begin(context.processing_time_ms, context);
        }
        self.ask_for_timer(context);
        self.count(context);
        Ok(Progress::Done)
    }

    fn process_watermark(&mut self, watermark: Watermark, context: &mut OperatorContext) -> Result<Progress> {
        self.then = Some(watermark);
        if !self.event_time() {
            return self.run(context).map_err(|e| e.with("operator", &self.name));
        }
        self.watermark = self.watermark.max(watermark.0);
        self.begin(watermark.0, context)
    }

    fn on_processing_time(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        if self.event_time() {
            return Ok(Progress::Done);
        }
        self.begin(context.processing_time_ms.saturating_sub(1), context)
    }

    fn end_input(&mut self, _input: usize, context: &mut OperatorContext) -> Result<Progress> {
        self.begin(i64::MAX, context)
    }

    fn resume(&mut self, context: &mut OperatorContext) -> Result<Progress> {
        self.run(context).map_err(|e| e.with("operator", &self.name))
    }

    fn snapshot_state(&mut self) -> Result<OperatorSnapshot> {
        let snapshot = |this: &mut MatchRecognize| {
            this.store_runs()?;
            let mut runs = this.rows.snapshot(&this.keys)?;
            runs.extend(this.stored.snapshot(&this.stored_keys)?);
            let meta = this.watermark.to_le_bytes().to_vec();
            Ok(meaning::seal(OperatorSnapshot { version: STATE_VERSION, meta, runs }, &this.spec.meaning))
        };
        snapshot(self).map_err(|e: Error| e.with("operator", &self.name))
    }

    fn restore_state(&mut self, state: RestoredState) -> Result<()> {
        self.restore(state).map_err(|e| e.with("operator", &self.name))
    }

    fn next_event_time_timer(&mut self) -> Option<i64> {
        if !self.event_time() {
            return None;
        }
        self.waiting.keys().next().into_iter().chain(self.timers.keys().next()).min().copied()
    }
}
