//! What stands in FROM by its name: queries of WITH, tables with their hints, views.

use datafusion_expr::LogicalPlan;
use flott_connector::table::{CatalogTable, ObjectIdentifier};
use flott_core::{Error, Result};
use sqlparser::ast::{Expr as Ast, Ident, ObjectName, Spanned};
use sqlparser::tokenizer::Span;

use super::names::rename_columns;
use super::refuse::{At, at, check_dynamic_options, name_parts, not_found, refuse_if};
use super::relation::without_position;
use super::{Binder, CatalogObject, Ctes, Typed, column, columns_of, project};

/// A relation that a query names.
pub(super) struct Named {
    pub(super) plan: LogicalPlan,
    /// The qualifier that its columns answer to.
    pub(super) qualifier: Vec<String>,
    /// Columns that `*` leaves out.
    pub(super) hidden: Vec<String>,
}

impl Named {
    /// Its columns without those that `*` leaves out and nobody asks for.
    pub(super) fn shown(self, asked: &[&str]) -> Result<LogicalPlan> {
        let stays = |name: &String| !self.hidden.contains(name) || asked.contains(&name.as_str());
        let columns = columns_of(self.plan.schema())?;
        if columns.iter().all(|(name, _)| stays(name)) {
            return Ok(self.plan);
        }
        let kept = columns.into_iter().filter(|(name, _)| stays(name));
        let kept = kept.map(|(name, data_type)| (name.clone(), Typed { expr: column(&name), data_type })).collect();
        project(self.plan, kept)
    }
}

impl Binder<'_> {
    /// A CTE, table or view.
    pub(super) fn named(&self, name: &ObjectName, hints: &[Ast], ctes: &Ctes) -> Result<Named> {
        let idents = name_parts(name)?;
        self.named_parts(&idents, hints, ctes, name.span())
    }

    pub(super) fn named_parts(&self, idents: &[&Ident], hints: &[Ast], ctes: &Ctes, span: Span) -> Result<Named> {
        let parts: Vec<String> = idents.iter().map(|i| i.value.clone()).collect();
        if let [one] = parts.as_slice()
            && let Some((_, plan)) = ctes.iter().rev().find(|(n, _)| n == one)
        {
            for hint in hints {
                let hint = super::hints::of_table(hint)?;
                super::hints::check(&hint).at_span(span)?;
                refuse_if(hint.name == super::hints::OPTIONS, "the hint OPTIONS on a CTE", span)?;
                super::hints::ignored_at_table(&hint);
            }
            super::not_too_large(plan).at_span(span)?;
            return Ok(Named { plan: plan.clone(), qualifier: parts, hidden: vec![] });
        }
        match self.tables.lookup(&parts).at_span(span)? {
            Some(CatalogObject::Table(identifier, mut table)) => {
                self.apply_hints(hints, &identifier, &mut table, span)?;
                let qualifier = full_name(&identifier);
                let hidden = self.hidden_columns(&table)?;
                let plan =
                    self.table(identifier.clone(), table).map_err(|e| at(e, span).with("table", &identifier.object))?;
                Ok(Named { plan, qualifier, hidden })
            }
            Some(CatalogObject::View { identifier, query, columns }) => {
                for hint in hints {
                    let hint = super::hints::of_table(hint)?;
                    super::hints::check(&hint).at_span(span)?;
                    if hint.name == super::hints::OPTIONS {
                        check_dynamic_options(self.config, &identifier).at_span(span)?;
                        return Err(super::hints::on_view(&identifier, span));
                    }
                    super::hints::ignored_at_table(&hint);
                }
                let known = self.views.borrow().get(&identifier).cloned();
                if let Some(plan) = known {
                    return Ok(Named { plan, qualifier: full_name(&identifier), hidden: vec![] });
                }
                let place = |e: Error| at(without_position(&e), span).with("view", &identifier.object);
                let query = self.tables.parse_query(&query).map_err(place)?;
                // What `*` stands for was decided when the view was made.
                let around = self.whole_stars.replace(true);
                let bound = self.bind_query(&query, &vec![]);
                self.whole_stars.set(around);
                let mut plan = bound.map_err(place)?;
                if !columns.is_empty() {
                    plan = rename_columns(plan, &columns).map_err(place)?;
                }
                super::not_too_large(&plan).map_err(place)?;
                self.views.borrow_mut().insert(identifier.clone(), plan.clone());
                Ok(Named { plan, qualifier: full_name(&identifier), hidden: vec![] })
            }
            None => {
                let names = self.tables.names();
                let candidates = names.iter().map(String::as_str).chain(ctes.iter().map(|c| c.0.as_str()));
                let text = parts.join(".");
                let error =
                    not_found(format!("Object '{text}' not found"), &text, candidates, "Tables and views", span);
                let error = if error.hint_text().is_none() { error.hint("CREATE TABLE it first") } else { error };
                Err(error.with("table", text))
            }
        }
    }

    /// `/*+ OPTIONS('k' = 'v') */`
    fn apply_hints(
        &self,
        hints: &[Ast],
        identifier: &ObjectIdentifier,
        table: &mut CatalogTable,
        span: Span,
    ) -> Result<()> {
        for hint in hints {
            let hint = super::hints::of_table(hint)?;
            super::hints::check(&hint).at_span(span)?;
            if hint.name != super::hints::OPTIONS {
                super::hints::ignored_at_table(&hint);
                continue;
            }
            check_dynamic_options(self.config, identifier).at_span(span)?;
            for (key, value) in hint.pairs {
                table.options.set(key, value);
            }
        }
        Ok(())
    }
}

fn full_name(i: &ObjectIdentifier) -> Vec<String> {
    vec![i.catalog.clone(), i.database.clone(), i.object.clone()]
}
