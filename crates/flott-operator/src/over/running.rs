//! Functions whose results are shown while rows come and go, step by step.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, UInt32Array, new_empty_array};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field, SchemaRef};
use arrow_select::interleave::interleave;
use arrow_select::take::take;
use flott_core::types::{arrow_type, from_arrow_field};
use flott_core::{Error, Result};
use flott_function::AggregateKind;
use flott_graph::{AggregateCall, OverCall, OverFunction};

use super::lag::Lag;
use crate::changelog::same::same_rows;
use crate::window::accumulator::{Accumulator, AccumulatorPlan, Input, Step};
use crate::window::layout::{argument_field, argument_of};

/// One function over all groups.
pub(super) trait Running: Send {
    /// Makes room for so many groups.
    fn resize(&mut self, groups: usize);

    /// Goes through steps over these rows. A result for each [`Step::Emit`].
    fn run(&mut self, steps: &[Step], rows: &RecordBatch) -> Result<ArrayRef>;

    /// These groups start anew.
    fn reset(&mut self, groups: &[u32]);

    /// What [`Running::restore`] makes these groups of as they are.
    fn stored(&self, of: &[u32]) -> Result<Vec<ArrayRef>>;

    /// Makes groups that are new of what was stored of them.
    fn restore(&mut self, groups: &[u32], stored: &[ArrayRef]) -> Result<()>;

    /// Estimated memory.
    fn size_bytes(&self) -> usize;
}

/// All functions of a frame.
pub(super) struct Runnings {
    functions: Vec<Box<dyn Running>>,
    /// Columns that are stored of each.
    widths: Vec<usize>,
    /// All of these columns.
    fields: Vec<Field>,
    groups: usize,
}

impl Runnings {
    /// `removes`: rows may leave a group again.
    pub(super) fn new(calls: &[OverCall], schema: &SchemaRef, removes: bool) -> Result<Runnings> {
        let (mut functions, mut widths, mut fields) = (vec![], vec![], vec![]);
        for (number, call) in calls.iter().enumerate() {
            let function = function(call, schema, removes).map_err(|e| e.with("function", &call.name))?;
            let stored = function.stored(&[])?;
            widths.push(stored.len());
            let name = |i: usize| format!("${number}_{}_{i}", call.name);
            fields.extend(stored.iter().enumerate().map(|(i, c)| Field::new(name(i), c.data_type().clone(), true)));
            functions.push(function);
        }
        Ok(Runnings { functions, widths, fields, groups: 0 })
    }

    /// The columns of [`Runnings::stored`].
    pub(super) fn fields(&self) -> &[Field] {
        &self.fields
    }

    pub(super) fn resize(&mut self, groups: usize) {
        if groups > self.groups {
            self.groups = groups;
            self.functions.iter_mut().for_each(|f| f.resize(groups));
        }
    }

    /// The results of all functions.
    pub(super) fn run(&mut self, steps: &[Step], rows: &RecordBatch) -> Result<Vec<ArrayRef>> {
        self.functions.iter_mut().map(|f| f.run(steps, rows)).collect()
    }

    pub(super) fn reset(&mut self, groups: &[u32]) {
        self.functions.iter_mut().for_each(|f| f.reset(groups));
    }

    pub(super) fn stored(&self, of: &[u32]) -> Result<Vec<ArrayRef>> {
        let mut columns = vec![];
        for function in &self.functions {
            columns.extend(function.stored(of)?);
        }
        Ok(columns)
    }

    pub(super) fn restore(&mut self, groups: &[u32], stored: &[ArrayRef]) -> Result<()> {
        let mut stored = stored;
        for (function, width) in self.functions.iter_mut().zip(&self.widths) {
            let (own, rest) = stored.split_at((*width).min(stored.len()));
            function.restore(groups, own)?;
            stored = rest;
        }
        Ok(())
    }

    /// For pairs of groups whether both are in one state, and so whatever comes have the same results.
    pub(super) fn same(&self, a: &[u32], b: &[u32]) -> Result<Vec<bool>> {
        same_rows(&self.stored(a)?, &self.stored(b)?, a.len())
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.functions.iter().map(|f| f.size_bytes()).sum()
    }
}

fn function(call: &OverCall, schema: &SchemaRef, removes: bool) -> Result<Box<dyn Running>> {
    let field = |a: &usize| -> Result<&Field> {
        let field = schema.fields().get(*a).map(AsRef::as_ref);
        field.ok_or_else(|| Error::internal(format!("{} reads column {a}", call.name)))
    };
    let kind = match call.function {
        OverFunction::Aggregate(kind) => kind,
        // Rows that are equal have the number of the last one, as in Flink, whose functions do not know the order.
        OverFunction::RowNumber | OverFunction::Rank | OverFunction::DenseRank => AggregateKind::Count,
        OverFunction::Lag(offset) if !removes => {
            let [value, default @ ..] = call.arguments.as_slice() else {
                return Err(Error::internal(format!("{} without an argument", call.name)));
            };
            let offset = usize::try_from(offset).map_err(|_| not_in_steps(call))?;
            return Ok(Box::new(Lag::new(field(value)?.data_type(), *value, offset, default.first().copied())?));
        }
        _ => return Err(not_in_steps(call)),
    };
    let first = call.arguments.first().map(field).transpose()?;
    let plan = call.aggregate(kind, first.and_then(from_arrow_field));
    let argument = argument_field(&plan, schema)?;
    let accumulator = AccumulatorPlan::over(&plan, argument.as_ref(), removes)?.build()?;
    Ok(Box::new(Aggregated { accumulator, call: plan, result: arrow_type(&call.result), levels: vec![] }))
}

fn not_in_steps(call: &OverCall) -> Error {
    let name = call.function.name();
    Error::user(format!("{name} Function is not supported in stream mode."))
        .hint("SET 'execution.runtime-mode' = 'batch' where the input ends")
}

/// An aggregate.
struct Aggregated {
    accumulator: Box<dyn Accumulator>,
    call: AggregateCall,
    result: DataType,
    /// By group: which round it is in, and whether it has shown a result there.
    levels: Vec<(u32, bool)>,
}

/// What can be done at once: no group gets rows after it has shown a result.
#[derive(Default)]
struct Round {
    clears: Vec<u32>,
    groups: Vec<u32>,
    rows: Vec<u32>,
    signs: Vec<i64>,
    emits: Vec<u32>,
    places: Vec<usize>,
}

impl Aggregated {
    /// Adds the rows of a round; those that count of all rows are known.
    fn update(&mut self, round: &Round, argument: Option<&ArrayRef>, counts: Option<&NullBuffer>) -> Result<()> {
        self.accumulator.reset(&round.clears);
        if round.groups.is_empty() {
            return Ok(());
        }
        let argument = argument.map(|a| take(a, &UInt32Array::from(round.rows.clone()), None)).transpose()?;
        let include: Option<NullBuffer> = counts.map(|n| round.rows.iter().map(|r| n.is_valid(*r as usize)).collect());
        let signs = round.signs.contains(&-1).then_some(round.signs.as_slice());
        let input = Input { argument: argument.as_ref(), include: include.as_ref(), signs };
        self.accumulator.update(&round.groups, &input)
    }

    /// Step by step where groups are copied, else in as few rounds as show the same.
    fn in_rounds(
        &mut self,
        steps: &[Step],
        argument: Option<&ArrayRef>,
        counts: Option<&NullBuffer>,
    ) -> Result<ArrayRef> {
        let mut chunks = vec![];
        let mut places: Vec<(usize, usize)> = vec![];
        let mut rest = steps;
        while !rest.is_empty() {
            let end = rest.iter().position(|s| matches!(s, Step::Copy { .. })).unwrap_or(rest.len());
            let (now, then) = rest.split_at(end);
            for round in self.rounds(now, places.len()) {
                self.update(&round, argument, counts)?;
                if !round.emits.is_empty() {
                    let last = round.places.iter().max().map_or(0, |m| m + 1);
                    places.resize(places.len().max(last), (0, 0));
                    round.places.iter().enumerate().for_each(|(i, p)| places[*p] = (chunks.len(), i));
                    chunks.push(self.accumulator.finish(Some(&round.emits))?);
                }
            }
            rest = match then {
                [Step::Copy { from, to }, then @ ..] => {
                    let stored = self.accumulator.stored(Some(&[*from]))?;
                    self.accumulator.reset(&[*to]);
                    self.accumulator.restore(&[*to], &stored)?;
                    then
                }
                _ => then,
            };
        }
        match chunks.as_slice() {
            [] => Ok(new_empty_array(&self.result)),
            [one] => Ok(Arc::clone(one)),
            many => {
                let arrays: Vec<&dyn Array> = many.iter().map(AsRef::as_ref).collect();
                Ok(interleave(&arrays, &places)?)
            }
        }
    }

    /// `shown`: results before these steps.
    fn rounds(&mut self, steps: &[Step], mut shown: usize) -> Vec<Round> {
        let mut rounds: Vec<Round> = vec![];
        let mut touched = vec![];
        for step in steps {
            let (Step::Add { group, .. }
            | Step::Remove { group, .. }
            | Step::Emit { group }
            | Step::Clear { group }
            | Step::Copy { to: group, .. }) = *step;
            if self.levels.len() <= group as usize {
                self.levels.resize(group as usize + 1, (0, false));
            }
            let level = &mut self.levels[group as usize];
            touched.push(group);
            // What was done before must be, before it is cleared or goes on behind a result.
            let next = match step {
                Step::Emit { .. } => false,
                Step::Clear { .. } => true,
                _ => level.1,
            };
            if next {
                *level = (level.0 + 1, false);
            }
            let at = level.0 as usize;
            if rounds.len() <= at {
                rounds.resize_with(at + 1, Round::default);
            }
            let round = &mut rounds[at];
            match *step {
                Step::Add { group, row } => {
                    round.groups.push(group);
                    round.rows.push(row);
                    round.signs.push(1);
                }
                Step::Remove { group, row } => {
                    round.groups.push(group);
                    round.rows.push(row);
                    round.signs.push(-1);
                }
                Step::Emit { group } => {
                    level.1 = true;
                    round.emits.push(group);
                    round.places.push(shown);
                    shown += 1;
                }
                Step::Clear { group } => round.clears.push(group),
                Step::Copy { .. } => {}
            }
        }
        touched.into_iter().for_each(|g| self.levels[g as usize] = (0, false));
        rounds
    }
}

impl Running for Aggregated {
    fn resize(&mut self, groups: usize) {
        self.accumulator.resize(groups);
    }

    fn run(&mut self, steps: &[Step], rows: &RecordBatch) -> Result<ArrayRef> {
        let arguments = self.call.arguments.iter().map(|a| Arc::clone(rows.column(*a))).collect();
        let (argument, include) = argument_of(&self.call, arguments)?;
        let input = Input { argument: argument.as_ref(), include: include.as_ref(), signs: None };
        match self.accumulator.steps(steps, &input)? {
            Some(shown) => Ok(shown),
            None => self.in_rounds(steps, argument.as_ref(), include.as_ref()),
        }
    }

    fn reset(&mut self, groups: &[u32]) {
        self.accumulator.reset(groups);
    }

    fn stored(&self, of: &[u32]) -> Result<Vec<ArrayRef>> {
        self.accumulator.stored(Some(of))
    }

    fn restore(&mut self, groups: &[u32], stored: &[ArrayRef]) -> Result<()> {
        self.accumulator.restore(groups, stored)
    }

    fn size_bytes(&self) -> usize {
        self.accumulator.size_bytes() + self.levels.capacity() * size_of::<(u32, bool)>()
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::Int64Array;
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_schema::Schema;
    use proptest::prelude::*;

    use super::*;

    fn rows(values: &[Option<i64>]) -> RecordBatch {
        let schema = Arc::new(Schema::new(vec![Field::new("v", DataType::Int64, true)]));
        RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from(values.to_vec()))]).expect("rows")
    }

    fn runnings(kinds: &[AggregateKind], distinct: bool, removes: bool) -> Runnings {
        let schema = rows(&[]).schema();
        let result: flott_core::LogicalType = "BIGINT".parse().expect("a type");
        let call = |kind: &AggregateKind| OverCall {
            function: OverFunction::Aggregate(*kind),
            arguments: vec![0],
            distinct,
            result: result.clone(),
            name: kind.name().to_string(),
        };
        Runnings::new(&kinds.iter().map(call).collect::<Vec<_>>(), &schema, removes).expect("functions")
    }

    use AggregateKind::{Count, FirstValue, LastValue, Max, Min, Sum, Sum0};

    /// What the functions show of the values of a group, in order.
    fn expected(kind: AggregateKind, values: &[i64], distinct: bool) -> Option<i64> {
        let mut values = values.to_vec();
        if distinct && !matches!(kind, FirstValue | LastValue) {
            values.sort_unstable();
            values.dedup();
        }
        match kind {
            Count => Some(values.len() as i64),
            Sum => (!values.is_empty()).then(|| values.iter().sum()),
            Sum0 => Some(values.iter().sum()),
            Min => values.iter().min().copied(),
            Max => values.iter().max().copied(),
            FirstValue => values.first().copied(),
            _ => values.last().copied(),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

        /// Every way of going through steps shows what the values of the groups say.
        #[test]
        fn results_are_those_of_the_values(
            distinct in any::<bool>(),
            removes in any::<bool>(),
            acts in proptest::collection::vec((0u8..8, 0u32..3, 0u32..3, proptest::option::of(-4i64..5)), 1..80),
            parts in 1usize..4,
        ) {
            let kinds: &[AggregateKind] =
                if distinct { &[Count, Sum] } else { &[Count, Sum, Sum0, Min, Max, FirstValue, LastValue] };
            let mut functions = runnings(kinds, distinct, removes);
            functions.resize(3);
            let mut model: Vec<Vec<(u32, Option<i64>)>> = vec![vec![]; 3];
            let values: Vec<Option<i64>> = acts.iter().map(|a| a.3).collect();
            let batch = rows(&values);
            let (mut steps, mut wanted) = (vec![], vec![]);
            for (row, (act, group, other, value)) in acts.iter().enumerate() {
                let (row, group, of) = (row as u32, *group, *group as usize);
                match act {
                    0..=2 => {
                        model[of].push((row, *value));
                        steps.push(Step::Add { group, row });
                    }
                    3 if removes && !model[of].is_empty() => {
                        let (row, _) = model[of].remove(0);
                        steps.push(Step::Remove { group, row });
                    }
                    4 => {
                        model[of].clear();
                        steps.push(Step::Clear { group });
                    }
                    5 if *other != group => {
                        model[of] = model[*other as usize].clone();
                        steps.push(Step::Copy { from: *other, to: group });
                    }
                    _ => {
                        let values: Vec<i64> = model[of].iter().filter_map(|v| v.1).collect();
                        wanted.push(kinds.iter().map(|k| expected(*k, &values, distinct)).collect::<Vec<_>>());
                        steps.push(Step::Emit { group });
                    }
                }
            }
            let mut shown: Vec<Vec<Option<i64>>> = vec![];
            for part in steps.chunks(steps.len().div_ceil(parts)) {
                let results = functions.run(part, &batch).expect("results");
                let emits = part.iter().filter(|s| matches!(s, Step::Emit { .. })).count();
                for i in 0..emits {
                    let of = |c: &ArrayRef| c.is_valid(i).then(|| c.as_primitive::<Int64Type>().value(i));
                    shown.push(results.iter().map(of).collect());
                }
                let stored = functions.stored(&[0, 1, 2]).expect("a state");
                functions.reset(&[0, 1, 2]);
                functions.restore(&[0, 1, 2], &stored).expect("restores");
            }
            prop_assert_eq!(shown, wanted);
        }
    }
}
