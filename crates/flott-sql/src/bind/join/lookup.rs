//! `t FOR SYSTEM_TIME AS OF left.proctime`: of each row the rows that a table outside has for it when it comes.

use flott_core::Result;
use flott_graph::JoinKind;
use sqlparser::ast::{JoinConstraint, Spanned, TableFactor};

use super::{Bound, beside, join, side_by_side, without_version};
use crate::bind::expression::ExpressionBinder;
use crate::bind::node::{JoinFlavour, LookupHint};
use crate::bind::refuse::{name_text, unsupported};
use crate::bind::{Binder, Ctes};

impl Binder<'_> {
    /// The rows read so far, each with what a table outside has for it.
    pub(super) fn looked_up(
        &self,
        (left, left_scope): Bound,
        relation: &TableFactor,
        kind: JoinKind,
        constraint: &JoinConstraint,
        ctes: &Ctes,
    ) -> Result<Bound> {
        let span = relation.span();
        let (right, right_scope) = self.table_factor(&without_version(relation), ctes)?;
        let (right, right_scope) = beside(&left, right, right_scope)?;
        let scope = side_by_side(&left_scope, &right_scope, JoinKind::Inner);
        let condition = match constraint {
            JoinConstraint::On(e) => ExpressionBinder::new(self.functions(), &scope, "ON").condition(e)?.expr,
            _ => return Err(unsupported("a lookup join without ON", span)),
        };
        let flavour = JoinFlavour::Lookup { hint: self.lookup_hint(relation), search: None, settled: false };
        let plan = join(left, right, kind, Some(condition), flavour)?;
        Ok((plan, side_by_side(&left_scope, &right_scope, kind)))
    }

    /// What the hint LOOKUP says of a table: by its alias, or by its name where it has none.
    fn lookup_hint(&self, relation: &TableFactor) -> LookupHint {
        let TableFactor::Table { name, alias, .. } = relation else { return LookupHint::default() };
        let hints = self.lookups.borrow();
        let Some(hints) = hints.last() else { return LookupHint::default() };
        let text = name_text(name);
        let names = match alias {
            Some(alias) => vec![alias.name.value.clone()],
            None => vec![text.rsplit('.').next().unwrap_or(&text).to_string(), text.clone()],
        };
        names.iter().find_map(|name| hints.get(name)).cloned().unwrap_or_default()
    }
}
