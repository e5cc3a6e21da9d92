//! The groups of an unbounded aggregation: keys, accumulators, which of them live and how they are stored.

use arrow_array::{ArrayRef, RecordBatch, UInt32Array, new_null_array};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field};
use arrow_select::take::take;
use flott_core::key_group::hash_rows;
use flott_core::types::arrow_type;
use flott_core::{ChangeBatch, Error, Result};
use flott_graph::{GroupAggregateSpec, group_partial_schema};
use flott_state::{OperatorSnapshot, RestoredState};

use crate::changelog::lifetime::Lifetime;
use crate::changelog::runs::{KeyInfo, Runs};
use crate::held::list_bytes;
use crate::keyed::meaning;
use crate::window::accumulator::{Accumulator, AccumulatorPlan, ValueChanges};
use crate::window::aggregate::Ownership;
use crate::window::aggregation::update_accumulators;
use crate::window::group_table::GroupTable;
use crate::window::layout::{Layout, Prepared, Reads, argument_field};

/// The one state table.
const TABLE: &str = "group";
/// Version of the stored form: since 2 it says what it stands for.
const STATE_VERSION: u32 = 2;
/// Groups that have ended are forgotten when there are more of them than of those that live, and than this.
const ENDED_MIN: usize = 1_024;

/// What does not change while an aggregation runs.
pub(super) struct Plan {
    pub(super) key_types: Vec<DataType>,
    pub(super) plans: Vec<AccumulatorPlan>,
    /// Which accumulator counts the rows of a group, where rows may be taken away.
    pub(super) row_count: Option<usize>,
    pub(super) needed: Vec<usize>,
    /// Stored columns of each accumulator.
    widths: Vec<usize>,
    /// The columns that a local aggregate hands on of each.
    pub(super) partial_widths: Vec<usize>,
}

/// Groups by number.
pub(crate) struct Groups {
    spec: GroupAggregateSpec,
    plan: Plan,
    ownership: Ownership,
    table: GroupTable,
    accumulators: Vec<Box<dyn Accumulator>>,
    /// Whether a group has rows (and a result that was shown).
    live: Vec<bool>,
    live_count: usize,
    lifetime: Lifetime,
    runs: Runs,
}

impl Plan {
    pub(super) fn new(spec: &GroupAggregateSpec) -> Result<(Plan, Vec<Field>)> {
        let input = &spec.input_schema;
        let field = |i: usize| -> Result<&Field> {
            let field = input.fields().get(i).map(AsRef::as_ref);
            field.ok_or_else(|| Error::internal(format!("an aggregation reads column {i} of {}", input.fields().len())))
        };
        let mut plans = vec![];
        let mut row_count = None;
        let mut needed = spec.group_keys.clone();
        for (i, call) in spec.aggregates.iter().enumerate() {
            let argument = argument_field(call, input)?;
            let argument = argument.as_ref();
            if spec.counts_rows(call, argument) {
                row_count.get_or_insert(i);
            }
            if let Some(filter) = call.filter
                && field(filter)?.data_type() != &DataType::Boolean
            {
                return Err(Error::internal(format!("the FILTER of {} is not a BOOLEAN column", call.name)));
            }
            needed.extend(call.arguments.iter().chain(&call.filter));
            let grows = spec.only_grows(call);
            let plan = AccumulatorPlan::over(call, argument, spec.retracts && !grows)?;
            plans.push(if grows { plan.growing() } else { plan });
        }
        if spec.retracts && row_count.is_none() {
            row_count = Some(plans.len());
            plans.push(AccumulatorPlan::row_count());
        }
        needed.sort_unstable();
        needed.dedup();
        let keys = spec.group_keys.iter().map(|k| field(*k).cloned()).collect::<Result<Vec<Field>>>()?;
        let key_types = keys.iter().map(|f| f.data_type().clone()).collect();
        let mut fields = keys;
        let (mut widths, mut partial_widths) = (vec![], vec![]);
        for (number, plan) in plans.iter().enumerate() {
            let own = plan.stored_fields(number)?;
            widths.push(own.len());
            fields.extend(own);
            partial_widths.push(plan.clone().local().state_fields(number)?.len());
        }
        let row_count = row_count.filter(|_| spec.retracts);
        Ok((Plan { key_types, plans, row_count, needed, widths, partial_widths }, fields))
    }

    fn accumulators(&self) -> Result<Vec<Box<dyn Accumulator>>> {
        self.plans.iter().map(AccumulatorPlan::build).collect()
    }

    /// Those of a local aggregate.
    pub(super) fn local_accumulators(&self) -> Result<Vec<Box<dyn Accumulator>>> {
        self.plans.iter().map(|p| p.clone().local().build()).collect()
    }

    /// Splits the columns of partial rows: the keys, and the states of each accumulator.
    pub(super) fn partial<'a>(
        &self,
        spec: &GroupAggregateSpec,
        rows: &'a RecordBatch,
    ) -> Result<(&'a [ArrayRef], Vec<&'a [ArrayRef]>)> {
        let expected = group_partial_schema(spec);
        let same = rows.num_columns() == expected.fields().len()
            && rows.columns().iter().zip(expected.fields()).all(|(c, f)| c.data_type() == f.data_type());
        if !same {
            return Err(Error::internal("partial rows of a group aggregate are planned otherwise than they are made"));
        }
        let (keys, mut rest) = rows.columns().split_at(self.key_types.len());
        let mut states = vec![];
        for width in &self.partial_widths {
            let (own, more) = rest.split_at((*width).min(rest.len()));
            states.push(own);
            rest = more;
        }
        Ok((keys, states))
    }
}

impl Groups {
    pub(crate) fn new(spec: &GroupAggregateSpec, ownership: Ownership) -> Result<Groups> {
        let (plan, fields) = Plan::new(spec)?;
        Ok(Groups {
            table: GroupTable::new(&plan.key_types)?,
            accumulators: plan.accumulators()?,
            plan,
            ownership,
            live: vec![],
            live_count: 0,
            lifetime: Lifetime::new(spec.state_ttl),
            runs: Runs::new(TABLE, fields),
            spec: spec.clone(),
        })
    }

    /// Groups, also those that have ended and are not forgotten yet.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn live_count(&self) -> usize {
        self.live_count
    }

    pub(crate) fn is_live(&self, group: u32) -> bool {
        self.live[group as usize]
    }

    /// Whether a result is shown again that is the same: those behind must keep their state alive, too.
    pub(crate) fn is_limited(&self) -> bool {
        self.lifetime.is_limited()
    }

    /// Rows with the group of each. Groups whose time is over start anew, but not those that are `held`: they have been
    /// written already, and only their results are not shown yet.
    pub(crate) fn rows(
        &mut self,
        batch: &ChangeBatch,
        now_ms: i64,
        held: impl Fn(u32) -> bool,
        groups: &mut Vec<u32>,
    ) -> Result<Prepared> {
        Layout::check_types(&self.spec.input_schema, &self.plan.needed, &batch.rows)?;
        let reads = Reads {
            group_keys: &self.spec.group_keys,
            aggregates: &self.spec.aggregates,
            needed: &self.plan.needed,
            accumulators: self.plan.plans.len(),
        };
        let prepared = reads.prepare(batch, None)?;
        self.number(&prepared.keys, &prepared.hashes, now_ms, held, groups)?;
        Ok(prepared)
    }

    /// The states in partial rows, with the group of each row; otherwise like [`Groups::rows`].
    pub(crate) fn partial_rows<'a>(
        &mut self,
        rows: &'a RecordBatch,
        now_ms: i64,
        held: impl Fn(u32) -> bool,
        groups: &mut Vec<u32>,
    ) -> Result<Vec<&'a [ArrayRef]>> {
        let (keys, states) = self.plan.partial(&self.spec, rows)?;
        self.keyed_rows(keys, rows.num_rows(), now_ms, held, groups)?;
        Ok(states)
    }

    /// The groups of rows by their keys; otherwise like [`Groups::rows`].
    pub(crate) fn keyed_rows(
        &mut self,
        keys: &[ArrayRef],
        rows: usize,
        now_ms: i64,
        held: impl Fn(u32) -> bool,
        groups: &mut Vec<u32>,
    ) -> Result<()> {
        let mut hashes = vec![];
        hash_rows(keys, rows, &mut hashes)?;
        self.number(keys, &hashes, now_ms, held, groups)
    }

    fn number(
        &mut self,
        keys: &[ArrayRef],
        hashes: &[u64],
        now_ms: i64,
        held: impl Fn(u32) -> bool,
        groups: &mut Vec<u32>,
    ) -> Result<()> {
        self.table.groups_of(keys, hashes, groups)?;
        self.resize();
        if self.lifetime.is_limited() {
            let is_over = |g: &u32| self.is_live(*g) && self.lifetime.is_over(*g, now_ms) && !held(*g);
            let over: Vec<u32> = groups.iter().copied().filter(is_over).collect();
            self.end(over);
        }
        Ok(())
    }

    /// Adds states, given the group of each.
    pub(crate) fn merge(&mut self, groups: &[u32], states: &[&[ArrayRef]]) -> Result<()> {
        self.accumulators.iter_mut().zip(states).try_for_each(|(a, own)| a.merge(groups, own))
    }

    /// Adds states of the DISTINCT aggregate of this number; tells which values that makes come and go.
    pub(crate) fn merge_values(&mut self, number: usize, groups: &[u32], state: &[ArrayRef]) -> Result<ValueChanges> {
        let changes = self.accumulators.get_mut(number).map(|a| a.merge_values(groups, state)).transpose()?;
        changes.flatten().ok_or_else(|| Error::internal("an aggregate without values of its own"))
    }

    fn resize(&mut self) {
        let n = self.table.len();
        self.live.resize(n, false);
        self.lifetime.resize(n);
        self.runs.resize(n);
        self.accumulators.iter_mut().for_each(|a| a.resize(n));
    }

    /// Adds some of the rows, given their groups.
    pub(crate) fn add(&mut self, groups: &[u32], rows: &Prepared) -> Result<()> {
        update_accumulators(&mut self.accumulators, self.table.len(), groups, rows, 0..groups.len())
    }

    /// The results of groups, by columns.
    pub(crate) fn results(&self, groups: Option<&[u32]>) -> Result<Vec<ArrayRef>> {
        self.accumulators[..self.spec.aggregates.len()].iter().map(|a| a.finish(groups)).collect()
    }

    /// The results of a group without rows, where there is no group at all.
    pub(crate) fn results_of_nothing(&self) -> Result<Vec<ArrayRef>> {
        let results = self.plan.plans.iter().zip(&self.spec.aggregates).map(|(plan, call)| {
            if !call.kind.is_never_null() {
                return Ok(new_null_array(&arrow_type(&call.result), 1));
            }
            let mut accumulator = plan.build()?;
            accumulator.resize(1);
            accumulator.finish(None)
        });
        results.collect()
    }

    /// Whether a group has rows, by its own count.
    pub(crate) fn has_rows(&self, group: u32) -> bool {
        let counts = self.plan.row_count.and_then(|i| self.accumulators[i].counts());
        counts.is_none_or(|c| c[group as usize] != 0)
    }

    /// A group was written.
    pub(crate) fn wrote(&mut self, group: u32, now_ms: i64) {
        if !std::mem::replace(&mut self.live[group as usize], true) {
            self.live_count += 1;
        }
        self.lifetime.touch(group, now_ms);
        self.runs.mark(group);
    }

    /// Groups have no rows any more.
    pub(crate) fn end(&mut self, groups: Vec<u32>) {
        if groups.is_empty() {
            return;
        }
        self.accumulators.iter_mut().for_each(|a| a.reset(&groups));
        for g in groups {
            if std::mem::replace(&mut self.live[g as usize], false) {
                self.live_count -= 1;
                self.runs.mark(g);
            }
        }
    }

    /// Ends groups whose time is over and that are not `held`, where it is time to look; tells when the next time is.
    pub(crate) fn sweep(&mut self, now_ms: i64, held: impl Fn(u32) -> bool) -> Option<i64> {
        let (due, next) = self.lifetime.sweep(now_ms);
        if due {
            let is_over = |g: &u32| self.is_live(*g) && self.lifetime.is_over(*g, now_ms) && !held(*g);
            let over = (0..self.len() as u32).filter(is_over).collect();
            self.end(over);
        }
        next.filter(|_| self.live_count > 0)
    }

    /// The groups that have rows, in order of their first.
    pub(crate) fn live_groups(&self) -> Vec<u32> {
        (0..self.len() as u32).filter(|g| self.is_live(*g)).collect()
    }

    /// Forgets groups that have ended, where they are many; their memory is free then. True where numbers have changed.
    pub(crate) fn forget_ended(&mut self) -> Result<bool> {
        let ended = self.len() - self.live_count;
        if ended <= self.live_count.max(ENDED_MIN) {
            return Ok(false);
        }
        let live = self.live_groups();
        let keys = self.table.key_columns(Some(&live))?;
        let mut table = GroupTable::new(&self.plan.key_types)?;
        let hashes: Vec<u64> = live.iter().map(|g| self.table.hashes()[*g as usize]).collect();
        let mut groups = vec![];
        table.groups_of(&keys, &hashes, &mut groups)?;
        let mut accumulators = self.plan.accumulators()?;
        for (new, old) in accumulators.iter_mut().zip(&self.accumulators) {
            new.resize(live.len());
            new.restore(&groups, &old.stored(Some(&live))?)?;
        }
        (self.table, self.accumulators) = (table, accumulators);
        self.live = vec![true; live.len()];
        self.lifetime.keep(&live);
        self.runs.renumbered(live.len());
        Ok(true)
    }

    /// Keys of groups, by columns.
    pub(crate) fn keys(&self, groups: Option<&[u32]>) -> Result<Vec<ArrayRef>> {
        self.table.key_columns(groups)
    }

    pub(crate) fn size_bytes(&self) -> usize {
        let accumulators: usize = self.accumulators.iter().map(|a| a.size_bytes()).sum();
        let live = list_bytes(&self.live);
        self.table.size_bytes() + accumulators + live + self.lifetime.size_bytes() + self.runs.size_bytes()
    }

    pub(crate) fn seal(&mut self) -> Result<OperatorSnapshot> {
        let live = || (0..self.live.len() as u32).filter(|g| self.live[*g as usize]).collect();
        let info = KeyInfo {
            hash: &|g| self.table.hashes()[g as usize],
            live: &|g| self.live[g as usize],
            touched_ms: &|g| self.lifetime.touched_ms(g),
        };
        let columns = |groups: &[u32]| {
            let mut columns = self.table.key_columns(Some(groups))?;
            for accumulator in &self.accumulators {
                columns.extend(accumulator.stored(Some(groups))?);
            }
            Ok(columns)
        };
        let sealed =
            self.runs.seal(STATE_VERSION, self.ownership.max_parallelism, live, self.live_count, &info, columns)?;
        Ok(meaning::seal(sealed, &self.spec.meaning))
    }

    pub(crate) fn restore(&mut self, state: RestoredState, name: &str) -> Result<()> {
        let state = &meaning::open(state, size_of::<i64>(), &self.spec.meaning, name)?;
        let keys = self.plan.key_types.len();
        let (table, live, accumulators) = (&mut self.table, &mut self.live, &mut self.accumulators);
        let (widths, lifetime, live_count) = (&self.plan.widths, &mut self.lifetime, &mut self.live_count);
        let mut groups = vec![];
        let mut hashes = vec![];
        self.runs.restore(state, name, |is_live, touched, columns| {
            hash_rows(&columns[..keys], is_live.len(), &mut hashes)?;
            table.groups_of(&columns[..keys], &hashes, &mut groups)?;
            live.resize(table.len(), false);
            lifetime.resize(table.len());
            accumulators.iter_mut().for_each(|a| a.resize(table.len()));
            // A later row of a key takes the place of an earlier one.
            let again: Vec<u32> = groups.iter().copied().filter(|g| live[*g as usize]).collect();
            if !again.is_empty() {
                accumulators.iter_mut().for_each(|a| a.reset(&again));
                again.iter().for_each(|g| live[*g as usize] = false);
                *live_count -= again.len();
            }
            let rows: Vec<u32> = (0..is_live.len() as u32).filter(|r| is_live.value(*r as usize)).collect();
            let of: Vec<u32> = rows.iter().map(|r| groups[*r as usize]).collect();
            let taken = UInt32Array::from(rows.clone());
            let mut states = columns[keys..].iter().map(|c| take(c.as_ref(), &taken, None));
            for (accumulator, width) in accumulators.iter_mut().zip(widths) {
                let own = states.by_ref().take(*width).collect::<std::result::Result<Vec<_>, _>>()?;
                accumulator.restore(&of, &own)?;
            }
            for (row, g) in rows.iter().zip(&of) {
                live[*g as usize] = true;
                lifetime.touch(*g, touched.value(*row as usize));
            }
            *live_count += of.len();
            Ok(())
        })?;
        self.runs.resize(self.table.len());
        Ok(())
    }
}

/// Some of the rows of a batch.
pub(crate) fn subset(rows: &Prepared, of: &[u32]) -> Result<Prepared> {
    let of = UInt32Array::from(of.to_vec());
    let mut inputs = vec![];
    for (argument, include) in &rows.inputs {
        let argument = argument.as_ref().map(|a| take(a.as_ref(), &of, None)).transpose()?;
        let include =
            include.as_ref().map(|n| of.values().iter().map(|r| n.is_valid(*r as usize)).collect::<NullBuffer>());
        inputs.push((argument, include));
    }
    Ok(Prepared {
        keys: vec![],
        hashes: of.values().iter().map(|r| rows.hashes[*r as usize]).collect(),
        inputs,
        signs: rows.signs.as_ref().map(|s| of.values().iter().map(|r| s[*r as usize]).collect()),
    })
}
