//! The catalogs as the binder sees them, and full names in the text of views.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::ops::ControlFlow;

use flott_connector::table::ObjectIdentifier;
use flott_core::error::{Error, Result};
use sqlparser::ast::{Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Query, Visit, Visitor};

use super::{CatalogManager, Entry};
use crate::bind::{CatalogObject, Tables};
use crate::parser;
use crate::parser::dialect::TABLE_CALL;

impl Tables for CatalogManager {
    fn lookup(&self, name: &[String]) -> Result<Option<CatalogObject>> {
        let parts: Vec<&str> = name.iter().map(String::as_str).collect();
        let id = self.qualify(&parts)?;
        Ok(self.entry(&id).cloned().map(|entry| match entry {
            Entry::Table(table) => CatalogObject::Table(id, table),
            Entry::View(view) => CatalogObject::View {
                identifier: id,
                query: view.expanded,
                columns: view.columns.into_iter().map(|c| c.name).collect(),
            },
        }))
    }

    fn names(&self) -> Vec<String> {
        let here = self.object_names(self.current_catalog(), self.current_database(), |_| true);
        let mut names: BTreeSet<String> = here;
        for (catalog_name, catalog) in &self.catalogs {
            for (database_name, database) in &catalog.databases {
                let here = catalog_name == self.current_catalog() && database_name == self.current_database();
                if !here {
                    names.extend(database.objects.keys().map(|o| format!("{catalog_name}.{database_name}.{o}")));
                }
            }
        }
        names.into_iter().collect()
    }

    fn catalog(&self) -> Option<&CatalogManager> {
        Some(self)
    }

    fn parse_query(&self, text: &str) -> Result<Query> {
        parser::parse_query(text).map(|q| *q)
    }

    fn parse_expression(&self, text: &str) -> Result<Expr> {
        parser::parse_expression(text)
    }
}

/// Finds the names of tables in a query, and the names that its WITH clauses make.
#[derive(Default)]
struct Relations {
    /// Line and column of a first part: the parts, and where the last part ends.
    found: BTreeMap<(u64, u64), (Vec<String>, (u64, u64))>,
    ctes: BTreeSet<String>,
}

impl Visitor for Relations {
    type Break = Infallible;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Infallible> {
        let ctes = query.with.iter().flat_map(|w| &w.cte_tables);
        self.ctes.extend(ctes.map(|c| c.alias.name.value.clone()));
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &sqlparser::ast::ObjectName) -> ControlFlow<Infallible> {
        if let Some(idents) = relation.0.iter().map(|p| p.as_ident()).collect::<Option<Vec<_>>>() {
            self.add(&idents);
        }
        ControlFlow::Continue(())
    }

    /// `TABLE t` among a function's arguments.
    fn pre_visit_expr(&mut self, e: &Expr) -> ControlFlow<Infallible> {
        if let Expr::Function(f) = e
            && f.name.to_string() == TABLE_CALL
            && let FunctionArguments::List(list) = &f.args
            && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::CompoundIdentifier(parts)))) =
                list.args.first()
        {
            self.add(&parts.iter().collect::<Vec<_>>());
        }
        ControlFlow::Continue(())
    }
}

impl Relations {
    fn add(&mut self, idents: &[&Ident]) {
        if let [first, .., last] | [first @ last] = idents {
            let (start, end) = (first.span.start, last.span.end);
            if start.line > 0 {
                let parts = idents.iter().map(|i| i.value.clone()).collect();
                self.found.insert((start.line, start.column), (parts, (end.line, end.column)));
            }
        }
    }
}

impl CatalogManager {
    /// A query's text with full names of its tables and views, so that it means the same from every database.
    ///
    /// A name of one part that a WITH clause anywhere in the query makes is left alone.
    pub fn expand(&self, text: &str) -> Result<String> {
        let query = parser::parse_query(text)?;
        let edits = self.table_names(text, &query)?;
        Ok(apply(text, edits))
    }

    /// Edits that give tables and views their full names.
    pub(super) fn table_names(&self, text: &str, query: &Query) -> Result<Edits> {
        let mut relations = Relations::default();
        let ControlFlow::Continue(()) = query.visit(&mut relations);
        let mut edits = Edits::new();
        for (start, (parts, end)) in relations.found {
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            if matches!(parts[..], [one] if relations.ctes.contains(one)) {
                continue;
            }
            let id: ObjectIdentifier = self.qualify(&parts)?;
            if self.entry(&id).is_none() {
                continue;
            }
            let (Some(from), Some(to)) = (offset(text, start), offset(text, end)) else {
                return Err(Error::internal("a table's position lies outside of the view's text"));
            };
            if from < to {
                edits.insert((from, to), id.to_string());
            }
        }
        Ok(edits)
    }
}

/// Pieces of a text, from byte to byte, and what takes their place.
pub(super) type Edits = BTreeMap<(usize, usize), String>;

/// The text with its edits, which do not overlap.
pub(super) fn apply(text: &str, edits: Edits) -> String {
    let mut out = text.to_string();
    for ((from, to), new) in edits.into_iter().rev() {
        out.replace_range(from..to, &new);
    }
    out
}

/// The byte of a line and column, both from 1, columns in characters.
pub(crate) fn offset(text: &str, (line, column): (u64, u64)) -> Option<usize> {
    let mut start = 0;
    for _ in 1..line {
        start += text[start..].find('\n')? + 1;
    }
    let rest = &text[start..];
    let column = usize::try_from(column).ok()?.checked_sub(1)?;
    rest.char_indices().map(|(i, _)| i).chain([rest.len()]).nth(column).map(|i| start + i)
}
