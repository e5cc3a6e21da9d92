//! Derived tables in FROM of a sub-query that name columns of the query outside: `EXISTS (SELECT .. FROM (SELECT .. WHERE x =
//! outer.y) AS t ..)`.
//!
//! What such a table says of the row outside is said of its columns by the sub-query, as if it stood in its WHERE: the scope of
//! FROM carries these conditions there, while tables are joined. That is right where the table's rows are not padded.

use sqlparser::ast::{self, Spanned, TableFactor};

use super::Bound;
use super::lateral::Inside;
use crate::bind::refuse::{is_not_found, unsupported, unsupported_with};
use crate::bind::relation::naming;
use crate::bind::{Binder, Ctes, Scope};
use flott_core::Result;
use flott_graph::JoinKind;
use sqlparser::tokenizer::Span;

/// The query around a sub-query whose FROM is bound.
pub(crate) struct Around {
    outer: Scope,
    /// So many conditions on its rows were found.
    conditions: usize,
}

impl Binder<'_> {
    /// FROM of a sub-query, whose scope has the conditions of its derived tables on the rows outside.
    pub(super) fn inside_from(&self, from: &[ast::TableWithJoins], outer: &Scope, ctes: &Ctes) -> Result<Bound> {
        self.around.borrow_mut().push(Some(Around { outer: outer.clone(), conditions: 0 }));
        let bound = self.from(from, ctes);
        let around = self.around.borrow_mut().pop().flatten();
        let (plan, scope) = bound?;
        if scope.conditions.len() != around.map_or(0, |a| a.conditions) {
            let span = from.first().map_or_else(Span::empty, |t| t.span());
            return Err(unsupported("a derived table here that names a column of the query outside", span));
        }
        Ok((plan, scope))
    }

    /// A table of FROM, which may name columns of the query outside where that is a sub-query's.
    pub(crate) fn related(&self, t: &TableFactor, ctes: &Ctes) -> Result<Bound> {
        let bound = self.table_factor(t, ctes);
        let TableFactor::Derived { lateral: false, subquery, alias, sample: None } = t else { return bound };
        let Err(error) = bound else { return bound };
        let outer = self.around.borrow().last().and_then(|a| Some(a.as_ref()?.outer.clone()));
        let Some(outer) = outer.filter(|_| is_not_found(&error)) else { return Err(error) };
        let Ok(inside) = self.inside(&outer, subquery, ctes) else { return Err(error) };
        // Neither what it computes of the row outside nor a row that is always there can be had of its own rows.
        if inside.is_of_pairs() {
            return Err(unsupported_with(
                "a derived table that computes something of the query outside, or that aggregates all its rows,",
                t.span(),
                "Name outer columns in its WHERE, and compute with them in the sub-query itself",
            ));
        }
        let Inside { plan, mut columns, conditions, .. } = inside;
        let alias = alias.as_ref().map(|alias| naming(subquery, alias));
        super::table_function::named(&mut columns, alias.as_deref(), t.span())?;
        if let Some(Some(around)) = self.around.borrow_mut().last_mut() {
            around.conditions += conditions.len();
        }
        let mut scope = Scope::of(columns);
        scope.conditions = conditions;
        Ok((plan, scope))
    }

    /// Binds with no query outside.
    pub(crate) fn on_its_own<T>(&self, bind: impl FnOnce() -> Result<T>) -> Result<T> {
        self.around.borrow_mut().push(None);
        let bound = bind();
        self.around.borrow_mut().pop();
        bound
    }
}

/// Refuses conditions on the row outside of tables whose rows may be missing.
pub(super) fn check_padded(left: &Scope, right: &Scope, kind: JoinKind, span: Span) -> Result<()> {
    let left = kind.pads_right_rows() && !left.conditions.is_empty();
    let right = kind.pads_left_rows() && !right.conditions.is_empty();
    if !left && !right {
        return Ok(());
    }
    Err(unsupported_with(
        "a column of the query outside in a derived table that an outer join pads",
        span,
        "Name outer columns in the WHERE of the sub-query itself",
    ))
}
