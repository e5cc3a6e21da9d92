//! Accumulators: one column (or a few) of partial results per aggregate, indexed by group, updated batch by batch.
//!
//! Each can show its state as Arrow columns and merge such columns back. Partial rows between local and global
//! aggregates and stored state have that one form.

mod avg;
mod bitmap;
mod count;
mod distinct;
mod growing;
mod json_object;
mod min_max;
mod multiset;
mod ordered;
mod percentile;
mod retract;
mod sum;
mod welford;

use arrow_array::ArrayRef;
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field};
use flott_core::types::arrow_type;
use flott_core::{Error, Result};
use flott_function::AggregateKind;
use flott_graph::AggregateCall;

use crate::window::room::Room;

pub(crate) use count::Count;

/// Digits of the largest decimal: a sum beyond them is NULL.
pub(crate) const DECIMAL_LIMIT: i128 = 10i128.pow(38);

/// What one aggregate sees of a batch.
pub(crate) struct Input<'a> {
    /// The argument; `None` for COUNT(*).
    pub(crate) argument: Option<&'a ArrayRef>,
    /// Rows that count: they pass the FILTER and their argument is not NULL. `None` is all.
    pub(crate) include: Option<&'a NullBuffer>,
    /// 1 for rows that are added, -1 for rows that are taken away. `None` is all 1.
    pub(crate) signs: Option<&'a [i64]>,
}

impl Input<'_> {
    /// Whether a row counts.
    #[inline]
    pub(crate) fn counts(&self, row: u32) -> bool {
        self.include.is_none_or(|n| n.is_valid(row as usize))
    }
}

/// A step of a calculation that shows results in between: groups by number, rows by their places in an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// A row comes to a group.
    Add { group: u32, row: u32 },
    /// A row goes again.
    Remove { group: u32, row: u32 },
    /// The result of a group as it is now.
    Emit { group: u32 },
    /// A group starts anew.
    Clear { group: u32 },
    /// A group becomes what another one is.
    Copy { from: u32, to: u32 },
}

/// Values of a DISTINCT that come to a group or go from it.
pub(crate) struct ValueChanges {
    /// By which row of the states each came.
    pub(crate) rows: Vec<u32>,
    pub(crate) values: ArrayRef,
    /// 1 where it came, -1 where it is gone.
    pub(crate) signs: Vec<i64>,
}

/// One aggregate over all groups of a table.
pub(crate) trait Accumulator: Send {
    /// Makes room for so many groups.
    fn resize(&mut self, groups: usize);

    /// Room for more groups, before they come.
    fn make_room(&mut self, _room: &mut Room) {}

    /// Adds rows, given the group of each.
    fn update(&mut self, groups: &[u32], input: &Input<'_>) -> Result<()>;

    /// Adds states, given the group of each.
    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()>;

    /// Of DISTINCT: adds states like [`Accumulator::merge`], and tells which values that makes come and go. `None` for others.
    fn merge_values(&mut self, _groups: &[u32], _state: &[ArrayRef]) -> Result<Option<ValueChanges>> {
        Ok(None)
    }

    /// The states of all groups, or of these.
    fn state(&self, of: Option<&[u32]>) -> Result<Vec<ArrayRef>>;

    /// What [`Accumulator::restore`] makes all groups, or these, of as they were. Unlike [`Accumulator::state`] it need not
    /// add up with that of others.
    fn stored(&self, of: Option<&[u32]>) -> Result<Vec<ArrayRef>> {
        self.state(of)
    }

    /// Makes groups that are new of what was stored of them, given the group of each, which comes once.
    fn restore(&mut self, groups: &[u32], stored: &[ArrayRef]) -> Result<()> {
        self.merge(groups, stored)
    }

    /// The results of all groups, or of these.
    fn finish(&self, of: Option<&[u32]>) -> Result<ArrayRef>;

    /// Goes through steps, and gives a result for each [`Step::Emit`]. `None` where there is no faster way than
    /// [`Accumulator::update`] and [`Accumulator::finish`].
    fn steps(&mut self, _steps: &[Step], _input: &Input<'_>) -> Result<Option<ArrayRef>> {
        Ok(None)
    }

    /// These groups start anew.
    fn reset(&mut self, groups: &[u32]);

    /// Forgets all groups.
    fn clear(&mut self);

    /// Estimated memory.
    fn size_bytes(&self) -> usize;

    /// The first column of the state where it is a plain count.
    fn counts(&self) -> Option<&[i64]> {
        None
    }
}

/// Calls `f(row, group)` for the rows that count.
#[inline]
pub(crate) fn each_row(groups: &[u32], include: Option<&NullBuffer>, mut f: impl FnMut(usize, usize)) {
    match include {
        None => groups.iter().enumerate().for_each(|(row, g)| f(row, *g as usize)),
        Some(n) if n.null_count() * 8 > n.len() * 7 => n.valid_indices().for_each(|row| f(row, groups[row] as usize)),
        Some(n) => {
            for (row, g) in groups.iter().enumerate() {
                if n.is_valid(row) {
                    f(row, *g as usize);
                }
            }
        }
    }
}

/// Values of all groups, or of these, in output order.
pub(crate) fn gather<T: Copy>(values: &[T], of: Option<&[u32]>) -> Vec<T> {
    match of {
        None => values.to_vec(),
        Some(groups) => groups.iter().map(|g| values[*g as usize]).collect(),
    }
}

/// How an aggregate is computed: decided once from its call and the type of its argument.
#[derive(Debug, Clone)]
pub(crate) struct AccumulatorPlan {
    kind: AggregateKind,
    argument: Option<DataType>,
    /// Every group is sure to have a value: no count of values is needed.
    always_filled: bool,
    distinct: bool,
    /// Rows may be taken away.
    retracts: bool,
    /// What is taken away changes nothing.
    grows: bool,
    /// It is one of a local aggregate: what is taken away may be a value that another one has.
    local: bool,
    result: DataType,
    name: String,
}

impl AccumulatorPlan {
    /// Decides, or says why not. `argument` is the field that the call reads.
    pub(crate) fn new(call: &AggregateCall, argument: Option<&Field>) -> Result<AccumulatorPlan> {
        AccumulatorPlan::over(call, argument, false)
    }

    /// The same, where rows may be taken away.
    pub(crate) fn over(call: &AggregateCall, argument: Option<&Field>, retracts: bool) -> Result<AccumulatorPlan> {
        let plan = AccumulatorPlan {
            kind: call.kind,
            argument: argument.map(|f| f.data_type().clone()),
            always_filled: argument.is_some_and(|f| !f.is_nullable()) && call.filter.is_none(),
            // The least of a set is the least of its values, however often they come.
            distinct: call.distinct && !matches!(call.kind, AggregateKind::Min | AggregateKind::Max),
            retracts,
            grows: false,
            local: false,
            result: arrow_type(&call.result),
            name: call.name.clone(),
        };
        plan.build().map_err(|e| e.with("aggregate", &call.name))?;
        Ok(plan)
    }

    /// The same for MIN or MAX over values that only get better.
    pub(crate) fn growing(self) -> AccumulatorPlan {
        AccumulatorPlan { grows: true, ..self }
    }

    /// The same for a local aggregate, whose state says also what is to be taken away from that of others.
    pub(crate) fn local(self) -> AccumulatorPlan {
        AccumulatorPlan { local: self.retracts && !self.grows, ..self }
    }

    /// A hidden COUNT(*), which tells whether a group still has rows.
    pub(crate) fn row_count() -> AccumulatorPlan {
        AccumulatorPlan {
            kind: AggregateKind::Count,
            argument: None,
            always_filled: true,
            distinct: false,
            retracts: true,
            grows: false,
            local: false,
            result: DataType::Int64,
            name: "rows".to_string(),
        }
    }

    fn argument(&self) -> Result<&DataType> {
        self.argument.as_ref().ok_or_else(|| Error::internal(format!("{} without an argument", self.kind.name())))
    }

    fn unsupported(&self, argument: &DataType) -> Error {
        let name = self.kind.name();
        Error::user(format!(
            "{name} over a column of type {argument} with a result of type {} is not supported",
            self.result
        ))
        .hint("Cast the argument to a numeric, character or time type")
    }

    /// An empty accumulator.
    pub(crate) fn build(&self) -> Result<Box<dyn Accumulator>> {
        if self.distinct {
            let values = self.argument()?.clone();
            return Ok(Box::new(distinct::Distinct::new(self.build_plain(true)?, values, self.kind.follows_order())?));
        }
        if self.grows {
            return Ok(Box::new(growing::Growing(self.build_plain(self.always_filled)?)));
        }
        self.build_plain(self.always_filled)
    }

    fn build_plain(&self, always_filled: bool) -> Result<Box<dyn Accumulator>> {
        Ok(match self.kind {
            AggregateKind::Count => Box::new(Count::default()),
            AggregateKind::Sum | AggregateKind::Sum0 => {
                let argument = self.argument()?;
                // Each value of a DISTINCT may be taken away again, so groups can become empty there.
                let filled = always_filled && !self.distinct && self.kind == AggregateKind::Sum;
                let zero_if_empty = self.kind == AggregateKind::Sum0;
                sum::build(argument, &self.result, filled || zero_if_empty, zero_if_empty)
                    .ok_or_else(|| self.unsupported(argument))?
            }
            AggregateKind::Avg => {
                let argument = self.argument()?;
                avg::build(argument, &self.result).ok_or_else(|| self.unsupported(argument))?
            }
            AggregateKind::Min | AggregateKind::Max => {
                let argument = self.argument()?;
                let max = self.kind == AggregateKind::Max;
                if argument != &self.result {
                    return Err(self.unsupported(argument));
                }
                match self.retracts {
                    true => Box::new(retract::Extreme::new(argument, max)?),
                    false => min_max::build(argument, max).ok_or_else(|| self.unsupported(argument))?,
                }
            }
            AggregateKind::FirstValue => self.ordered(ordered::Which::First)?,
            AggregateKind::LastValue => self.ordered(ordered::Which::Last)?,
            AggregateKind::SingleValue => self.ordered(ordered::Which::Single)?,
            AggregateKind::ArrayAgg | AggregateKind::ArrayAggIgnoreNulls => self.ordered(ordered::Which::Array)?,
            AggregateKind::JsonArrayAgg | AggregateKind::JsonArrayAggNullOnNull => {
                self.ordered(ordered::Which::JsonArray)?
            }
            AggregateKind::ListAgg => match self.argument()? {
                DataType::Utf8 => self.ordered(ordered::Which::Text)?,
                DataType::Struct(f) if f.iter().all(|f| f.data_type() == &DataType::Utf8) => {
                    self.ordered(ordered::Which::Text)?
                }
                other => return Err(self.unsupported(other)),
            },
            AggregateKind::Collect => Box::new(multiset::Collect::new(self.argument()?, &self.result)?),
            AggregateKind::Percentile => match self.argument()? {
                argument if percentile::fits(argument) => Box::new(percentile::Percentile::new(&self.result)?),
                other => return Err(self.unsupported(other)),
            },
            AggregateKind::JsonObjectAgg | AggregateKind::JsonObjectAggAbsentOnNull => match self.argument()? {
                argument if json_object::JsonObject::fits(argument) => {
                    let absent = self.kind == AggregateKind::JsonObjectAggAbsentOnNull;
                    Box::new(json_object::JsonObject::new(absent, self.owes()))
                }
                other => return Err(self.unsupported(other)),
            },
            AggregateKind::BitmapBuildAgg => bitmap::Counted::build(bitmap::Of::Numbers, &self.result)?,
            AggregateKind::BitmapBuildCardinalityAgg => bitmap::Counted::build(bitmap::Of::Numbers, &self.result)?,
            AggregateKind::BitmapAndAgg | AggregateKind::BitmapAndCardinalityAgg => {
                bitmap::Counted::build(bitmap::Of::All, &self.result)?
            }
            AggregateKind::BitmapOrAgg | AggregateKind::BitmapOrCardinalityAgg => {
                bitmap::Counted::build(bitmap::Of::Any, &self.result)?
            }
            AggregateKind::BitmapXorAgg | AggregateKind::BitmapXorCardinalityAgg => {
                Box::new(bitmap::Odd::new(&self.result))
            }
            AggregateKind::WelfordM2 if self.owes() => Box::new(welford::LocalM2::default()),
            AggregateKind::WelfordM2 => Box::new(welford::WelfordM2::default()),
            AggregateKind::StddevPop
            | AggregateKind::StddevSamp
            | AggregateKind::VarPop
            | AggregateKind::VarSamp
            | AggregateKind::ApproxCountDistinct => {
                return Err(Error::internal(format!("{} is made of other aggregates", self.kind.name())));
            }
        })
    }

    fn ordered(&self, which: ordered::Which) -> Result<Box<dyn Accumulator>> {
        let ordered = ordered::Ordered::new(self.argument()?, which, self.retracts, &self.result)?;
        Ok(Box::new(if self.owes() { ordered.local() } else { ordered }))
    }

    /// Whether values may be owed: the values of a DISTINCT are never.
    fn owes(&self) -> bool {
        self.local && !self.distinct
    }

    /// The columns of its state.
    pub(crate) fn state_fields(&self, number: usize) -> Result<Vec<Field>> {
        Ok(self.fields(number, &self.build()?.state(None)?))
    }

    /// The columns that are stored of it, where groups are restored as they were.
    pub(crate) fn stored_fields(&self, number: usize) -> Result<Vec<Field>> {
        Ok(self.fields(number, &self.build()?.stored(None)?))
    }

    fn fields(&self, number: usize, columns: &[ArrayRef]) -> Vec<Field> {
        let name = |i: usize| format!("${number}_{}_{i}", self.name);
        columns.iter().enumerate().map(|(i, c)| Field::new(name(i), c.data_type().clone(), true)).collect()
    }

    /// Whether rows can be taken away again.
    pub(crate) fn retractable(&self) -> bool {
        self.retracts || self.kind.takes_back()
    }

    /// The SQL name of the function.
    pub(crate) fn function(&self) -> &'static str {
        self.kind.name()
    }
}
