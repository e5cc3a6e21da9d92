//! Sub-queries that compare with the row outside otherwise than by `=`, or aggregate what it has: their rows beside each
//! value outside that they ask about. Flink's planner calls the side of these values a value generator.

use std::collections::{BTreeSet, HashMap};

use datafusion_expr::{LogicalPlan, Operator};
use flott_core::Result;
use flott_graph::JoinKind;
use sqlparser::ast::{Query, Spanned};

use super::marks::Keys;
use super::predicate::{reads, together};
use super::subquery::{Source, connected, renamed};
use super::{identity, join, settle};
use crate::bind::node::JoinFlavour;
use crate::bind::refuse::unsupported;
use crate::bind::scope::OUTER;
use crate::bind::{Binder, Typed, column, columns_of, project};

impl Binder<'_> {
    /// The rows of a sub-query, and the values of them that say which row outside they belong to. `values`: further
    /// expressions over its rows, which may have other columns afterwards.
    pub(super) fn keyed(
        &self,
        left: &LogicalPlan,
        source: Source,
        values: &mut [Typed],
        query: &Query,
    ) -> Result<(Source, Keys)> {
        match Keys::of(&source, query)? {
            Some(keys) => Ok((source, keys)),
            None => self.generated(left, source, values, query),
        }
    }

    /// The same with the values outside themselves, each once, for keys: those that the conditions and `values` read.
    pub(super) fn generated(
        &self,
        left: &LogicalPlan,
        source: Source,
        values: &mut [Typed],
        query: &Query,
    ) -> Result<(Source, Keys)> {
        let read = source.correlated.iter().chain(values.iter().map(|v| &v.expr)).flat_map(reads);
        let wanted: BTreeSet<String> = read.filter_map(|c| c.strip_prefix(OUTER).map(str::to_string)).collect();
        let left = settle(self, left.clone(), vec![])?;
        let outside: Vec<(String, Typed)> = identity(&left)?.into_iter().filter(|c| wanted.contains(&c.0)).collect();
        if outside.len() < wanted.len() {
            return Err(unsupported("a column of a query further outside in this sub-query", query.span()));
        }
        let outer_names: Vec<String> = outside.iter().map(|c| c.0.clone()).collect();
        let generator = self.distinct(project(left, outside)?, None)?;

        let Source { plan, mut scope, correlated } = source;
        let before = columns_of(plan.schema())?;
        let (right, conditions) = connected(&generator, plan, correlated)?;
        let after = columns_of(right.schema())?;
        let names: HashMap<String, String> = before.into_iter().zip(after).map(|(b, a)| (b.0, a.0)).collect();
        if scope.has_marks() && names.iter().any(|(before, after)| before != after) {
            return Err(unsupported("a sub-query in this sub-query", query.span()));
        }
        let joined = join(generator, right, JoinKind::Inner, together(conditions), JoinFlavour::Unsettled)?;
        let plan = settle(self, joined, vec![])?;
        for value in values {
            value.expr = renamed(&value.expr, &|name| match name.strip_prefix(OUTER) {
                Some(outer) => Some(outer.to_string()),
                None => names.get(name).cloned(),
            })?;
        }
        for c in &mut scope.columns {
            if let Some(name) = names.get(&c.field) {
                c.field.clone_from(name);
            }
        }
        scope.follow(&plan)?;

        let mut keys = Keys::default();
        for (name, inner) in identity(&plan)?.into_iter().filter(|c| outer_names.contains(&c.0)) {
            let outer = Typed { expr: column(&format!("{OUTER}{name}")), data_type: inner.data_type.clone() };
            // NULL outside belongs to the rows that were found for NULL.
            let same = self.functions().binary(Operator::IsNotDistinctFrom, outer, inner.clone())?;
            keys.add(inner, same.expr, false);
        }
        Ok((Source { plan, scope, correlated: vec![] }, keys))
    }
}
