//! What a grouped query collects: its keys, its aggregates, and the columns that feed them.

use std::collections::BTreeSet;

use datafusion_common::ScalarValue;
use datafusion_expr::{Expr, Operator};
use flott_core::types::{TimeAttribute, TypeKind};
use flott_core::{Error, LogicalType, Result};
use flott_function::AggregateKind;

use super::expression::case_expr;
use super::functions::Functions;
use super::group_window::GroupWindow;
use super::node::{AggregateCall, EXPAND_ID, GROUP_ID};
use super::scope::{Typed, UniqueNames, column};

/// A group key: over the input, and as a column of the aggregation's output.
#[derive(Debug, Clone)]
pub(crate) struct GroupKey {
    pub(crate) input: Typed,
    pub(crate) field: String,
    /// Its type in the output (nullable where a grouping set leaves it out).
    pub(crate) output: LogicalType,
}

/// The keys and aggregates of one query, while its clauses are bound.
#[derive(Debug, Default)]
pub(crate) struct Aggregates {
    pub(crate) keys: Vec<GroupKey>,
    /// For each grouping set the keys that it keeps.
    pub(crate) sets: Option<Vec<Vec<usize>>>,
    /// Grouping sets that are there several times: what is computed once more, for the second time, the third..
    pub(crate) again: Vec<Vec<Vec<usize>>>,
    /// Whether somebody asks which copy of its grouping set a row is of.
    pub(crate) tells_copies: bool,
    /// TUMBLE, HOP or SESSION among the keys.
    pub(crate) window: Option<GroupWindow>,
    pub(crate) calls: Vec<AggregateCall>,
    /// Arguments and filters, projected before the aggregation: their names and expressions.
    inputs: Vec<(String, Typed)>,
    /// Columns of `inputs` that are never NULL, which COUNT does not read.
    uncounted: BTreeSet<String>,
    /// What the next aggregate is to be called, where it is all that a column of the query is.
    pub(crate) next_name: Option<String>,
    /// Names of the columns before the aggregation.
    names: UniqueNames,
    /// Names of those behind it.
    outputs: UniqueNames,
}

impl Aggregates {
    /// A query that groups by these.
    pub(crate) fn new(
        keys: Vec<(String, Typed)>,
        sets: Option<Vec<Vec<usize>>>,
        window: Option<GroupWindow>,
    ) -> Aggregates {
        let (mut names, mut outputs) = (UniqueNames::default(), UniqueNames::default());
        if window.is_some() {
            GroupWindow::reserved().for_each(|name| drop((names.take(name), outputs.take(name))));
        }
        let keys: Vec<GroupKey> = keys
            .into_iter()
            .enumerate()
            .map(|(i, (name, input))| {
                let left_out = sets.as_ref().is_some_and(|sets| sets.iter().any(|s| !s.contains(&i)));
                let output = input.data_type.with_nullable(input.data_type.nullable || left_out);
                let field = names.take(&name);
                outputs.take(&field);
                GroupKey { input, field, output }
            })
            .collect();
        for name in [EXPAND_ID, GROUP_ID] {
            names.take(name);
            outputs.take(name);
        }
        let mut rounds = vec![];
        for set in sets.into_iter().flatten() {
            match rounds.iter_mut().find(|round: &&mut Vec<Vec<usize>>| !round.contains(&set)) {
                Some(round) => round.push(set),
                None => rounds.push(vec![set]),
            }
        }
        let mut rounds = rounds.into_iter();
        let sets = rounds.next();
        Aggregates { keys, sets, again: rounds.collect(), window, names, outputs, ..Aggregates::default() }
    }

    /// The keys lose their time attributes: rows of a group that changes have no place in time.
    pub(crate) fn materialize_keys(&mut self) {
        for key in &mut self.keys {
            key.output = key.output.with_time_attribute(TimeAttribute::None);
        }
    }

    /// Whether a key is more than a column.
    pub(crate) fn has_expression_keys(&self) -> bool {
        self.keys.iter().any(|k| !matches!(k.input.expr, Expr::Column(_)))
    }

    /// The position of the key that this expression of the input is.
    pub(crate) fn key_index(&self, e: &Expr) -> Option<usize> {
        self.keys.iter().position(|k| k.input.expr == *e)
    }

    /// The output's column of the key that this expression of the input is.
    pub(crate) fn key(&self, e: &Expr) -> Option<Typed> {
        let key = &self.keys[self.key_index(e)?];
        Some(Typed { expr: column(&key.field), data_type: key.output.clone() })
    }

    /// Arguments and filters that somebody reads, projected before the aggregation: their names and expressions.
    pub(crate) fn fed(&self) -> Vec<(String, Typed)> {
        let reads = |c: &AggregateCall, name: &String| c.arguments.contains(name) || c.filter.as_ref() == Some(name);
        let is_read = |name: &String| !self.uncounted.contains(name) || self.calls.iter().any(|c| reads(c, name));
        self.inputs.iter().filter(|(name, _)| is_read(name)).cloned().collect()
    }

    /// The column that projects an expression before the aggregation; equal expressions share one.
    pub(crate) fn input(&mut self, value: Typed, hint: &str) -> String {
        // A grouping set nulls its keys, but not what is aggregated.
        if self.sets.is_none()
            && let Some(key) = self.keys.iter().find(|k| k.input.expr == value.expr)
        {
            return key.field.clone();
        }
        if let Some((name, _)) = self.inputs.iter().find(|(_, t)| t.expr == value.expr) {
            self.uncounted.remove(name);
            return name.clone();
        }
        let name = match &value.expr {
            Expr::Column(c) => self.names.take(&c.name),
            _ => self.names.take(hint),
        };
        self.inputs.push((name.clone(), value));
        name
    }

    /// The output's column of an aggregate; equal aggregates share one.
    pub(crate) fn add(
        &mut self,
        functions: &Functions,
        kind: AggregateKind,
        arguments: Vec<Typed>,
        distinct: bool,
        filter: Option<Typed>,
    ) -> Result<Typed> {
        let argument_types: Vec<LogicalType> = arguments.iter().map(|a| a.data_type.clone()).collect();
        // Grouping sets are keys too: as in Flink, the empty one has no row where there is no input.
        let grouped = !self.keys.is_empty();
        let result = functions.aggregate_type(kind, &argument_types, grouped && filter.is_none())?;
        // The exact number is about the number.
        let (kind, distinct) = match kind {
            AggregateKind::ApproxCountDistinct => (AggregateKind::Count, true),
            other => (other, distinct),
        };
        // MIN and MAX see every value once in any case.
        let distinct = distinct && !matches!(kind, AggregateKind::Min | AggregateKind::Max);
        let arguments = self.arguments(arguments, kind == AggregateKind::Count && !distinct);
        let next = self.inputs.len();
        let filter = filter.map(|f| self.input(is_true(f), &format!("$f{}", next + self.keys.len())));
        if let Some(same) = self
            .calls
            .iter()
            .find(|c| c.kind == kind && c.arguments == arguments && c.filter == filter && c.distinct == distinct)
        {
            return Ok(Typed { expr: column(&same.name), data_type: same.result.clone() });
        }
        let place = self.keys.len() + self.calls.len();
        let name = self.next_name.take().unwrap_or_else(|| format!("$f{place}"));
        let name = self.outputs.take(&name);
        let call = AggregateCall {
            kind,
            argument_type: argument_types.into_iter().next().filter(|_| !arguments.is_empty()),
            arguments,
            filter,
            distinct,
            result: result.clone(),
            name: name.clone(),
        };
        self.calls.push(call);
        Ok(Typed { expr: column(&name), data_type: result })
    }

    /// The columns of these arguments. `counts`: they are only counted, so that what is never NULL need not be read, as Calcite
    /// has it (`RexBuilder.addAggCall`).
    fn arguments(&mut self, arguments: Vec<Typed>, counts: bool) -> Vec<String> {
        let next = self.inputs.len();
        let mut columns = vec![];
        for argument in arguments {
            let (nullable, known) = (argument.data_type.nullable, self.inputs.len());
            let was_uncounted = self.inputs.iter().any(|(n, t)| t.expr == argument.expr && self.uncounted.contains(n));
            let name = self.input(argument, &format!("$f{}", next + self.keys.len()));
            if !counts || nullable {
                columns.push(name);
            } else if was_uncounted || self.inputs.len() > known {
                self.uncounted.insert(name);
            }
        }
        columns
    }

    /// GROUP_ID(): how many copies of the row's grouping set come before its own.
    pub(crate) fn group_id(&mut self, functions: &Functions) -> Result<Typed> {
        let data_type = TypeKind::BigInt.not_null();
        if self.again.is_empty() {
            return functions.literal(ScalarValue::Int64(Some(0)), &data_type);
        }
        self.tells_copies = true;
        Ok(Typed { expr: column(GROUP_ID), data_type })
    }

    /// GROUPING(a) and GROUPING_ID(a, b): one bit a key, set where the row's grouping set leaves the key out.
    pub(crate) fn grouping_id(&self, functions: &Functions, keys: &[usize]) -> Result<Typed> {
        let number = |n: i64| functions.literal(ScalarValue::Int64(Some(n)), &TypeKind::BigInt.not_null());
        if keys.len() > usize::from(KEYS_IN_GROUPING_ID_MAX) {
            return Err(Error::user("GROUPING_ID has too many arguments").hint("It takes at most 62"));
        }
        let Some(sets) = &self.sets else { return number(0) };
        let expand_id = Typed { expr: column(EXPAND_ID), data_type: TypeKind::BigInt.not_null() };
        let mut branches = vec![];
        for set in sets {
            let bits = keys.iter().fold(0, |bits, key| bits << 1 | i64::from(!set.contains(key)));
            if bits != 0 {
                let id = number(expand_id_of(self.keys.len(), set))?;
                let when = functions.binary(Operator::Eq, expand_id.clone(), id)?;
                branches.push((when.expr, number(bits)?.expr));
            }
        }
        let zero = number(0)?;
        if branches.is_empty() {
            return Ok(zero);
        }
        Ok(Typed { expr: case_expr(branches, Some(zero.expr)), data_type: TypeKind::BigInt.not_null() })
    }
}

/// A condition that is never NULL, as Calcite makes it of a FILTER.
fn is_true(filter: Typed) -> Typed {
    if !filter.data_type.nullable {
        return filter;
    }
    Typed { expr: Expr::IsTrue(Box::new(filter.expr)), data_type: TypeKind::Boolean.not_null() }
}

/// How many keys a grouping id can tell apart: it is a BIGINT, a bit each.
pub const KEYS_IN_GROUPING_ID_MAX: u8 = 62;

/// The `$e` of a grouping set: one bit a key, the first key highest, set where the key is left out.
pub(crate) fn expand_id_of(keys: usize, set: &[usize]) -> i64 {
    (0..keys).fold(0, |id, key| id << 1 | i64::from(!set.contains(&key)))
}
