//! Sub-queries in ON: each becomes a column of the table whose rows it asks about, before the tables are joined.

use datafusion_expr::LogicalPlan;
use flott_core::Result;
use flott_graph::JoinKind;
use sqlparser::ast::{Expr as Ast, Spanned};

use super::embedded::{Embedded, embedded};
use super::{Bound, beside, join, side_by_side};
use crate::bind::node::JoinFlavour;
use crate::bind::refuse::{At, is_ambiguous, unsupported_with};
use crate::bind::{Binder, Ctes, Scope};

impl Binder<'_> {
    /// Both sides of a join with what its condition asks for in sub-queries.
    pub(super) fn with_sub_queries(&self, left: Bound, right: Bound, on: &Ast, ctes: &Ctes) -> Result<(Bound, Bound)> {
        let (mut left, mut right) = (left, right);
        for one in embedded(on, true, &|_| false) {
            // Its names are looked for in both tables.
            let (plan, mut scope) = pairs(&left, &right)?;
            let whole = match self.answered(plan, &mut scope, &one, ctes) {
                Err(e) if is_ambiguous(&e) => return Err(e),
                whole => whole,
            };
            if let Ok(with) = self.beside_rows(&left, &one, ctes) {
                left = with;
            } else if let Ok(with) = self.beside_rows(&right, &one, ctes) {
                right = with;
            } else {
                whole?;
                return Err(unsupported_with(
                    "a sub-query in ON that names columns of both tables",
                    one.e.span(),
                    "Write it in WHERE, where the join is an inner one",
                ));
            }
        }
        Ok((left, right))
    }

    fn beside_rows(&self, (plan, scope): &Bound, one: &Embedded<'_>, ctes: &Ctes) -> Result<Bound> {
        let mut scope = scope.clone();
        let plan = self.answered(plan.clone(), &mut scope, one, ctes)?;
        Ok((plan, scope))
    }

    /// The answer of a sub-query as a column of the rows.
    fn answered(&self, plan: LogicalPlan, scope: &mut Scope, one: &Embedded<'_>, ctes: &Ctes) -> Result<LogicalPlan> {
        let answered = match one.e {
            Ast::Subquery(query) => self.value(plan, scope, query, ctes),
            _ => self.mark(plan, scope, one, ctes),
        };
        answered.at_expr(one.e)
    }
}

/// Every pair of rows, as ON sees them.
fn pairs((left, left_scope): &Bound, (right, right_scope): &Bound) -> Result<Bound> {
    let (right, right_scope) = beside(left, right.clone(), right_scope.clone())?;
    let plan = join(left.clone(), right, JoinKind::Inner, None, JoinFlavour::Unsettled)?;
    Ok((plan, side_by_side(left_scope, &right_scope, JoinKind::Inner)))
}
