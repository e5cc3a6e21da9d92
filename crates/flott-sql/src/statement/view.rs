//! Views: create, change, rename.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use flott_connector::table::Column;
use flott_core::error::{Error, Position, Result};
use sqlparser::ast::{Expr, Ident, Select, SelectItem, SetExpr, Visit, Visitor};

use super::place::moved;
use super::{ExpressionResolver, SessionState};
use crate::bind::star::{COLUMN_EXPANSION, ColumnExpansion};
use crate::bind::with_full_names;
use crate::catalog::object::IfTaken;
use crate::catalog::{CatalogView, Entry};
use crate::parser::ast::Name;
use crate::parser::dialect::TABLE_CALL;
use crate::parser::parse_query;

/// What a CREATE VIEW says.
pub(super) struct Definition<'a> {
    pub(super) columns: &'a [(Ident, Option<String>)],
    pub(super) comment: Option<&'a str>,
    pub(super) text: &'a str,
    /// Where the text stands in the script.
    pub(super) position: Position,
}

fn view(definition: &Definition, state: &SessionState, resolver: &dyn ExpressionResolver) -> Result<CatalogView> {
    let place = |e| moved(e, definition.position);
    let expanded = state.catalog.expand(definition.text).map_err(place)?;
    let schema = resolver.query_schema(state, definition.text).map_err(place)?;
    // The long form is only taken where it means the same.
    let expansion = ColumnExpansion::of(&state.config)?;
    let expanded = match state.catalog.expand_columns(definition.text, expansion) {
        Some(long) if resolver.query_schema(state, &long).is_ok_and(|s| s == schema) => long,
        _ => expanded,
    };
    if !expansion.is_whole() && has_star(&expanded)? {
        return Err(place(unsupported_star()));
    }
    let expanded = with_full_names(state, &expanded, true)?;
    let given = definition.columns;
    if given.is_empty() {
        refuse_same_names(definition.text)?;
    }
    if !given.is_empty() && given.len() != schema.len() {
        return Err(Error::user(format!(
            "VIEW definition and input fields not match:\n\tDef fields: [{}].\n\tInput fields: [{}].",
            given.iter().map(|c| c.0.value.as_str()).collect::<Vec<_>>().join(", "),
            schema.iter().map(|c| c.0.as_str()).collect::<Vec<_>>().join(", ")
        ))
        .hint("Name as many columns as the query has, or none"));
    }
    let mut columns: Vec<Column> = vec![];
    for (i, (name, data_type)) in schema.into_iter().enumerate() {
        let (name, comment) = match given.get(i) {
            Some((given, comment)) => (given.value.clone(), comment.clone()),
            None => (name, None),
        };
        if columns.iter().any(|c| c.name == name) {
            return Err(same_name(&name));
        }
        columns.push(Column { comment, ..Column::physical(name, data_type) });
    }
    let comment = definition.comment.map(str::to_string);
    Ok(CatalogView { text: definition.text.to_string(), expanded, columns, comment })
}

/// Whether a query asks for all columns of something.
fn has_star(text: &str) -> Result<bool> {
    struct Search;
    impl Visitor for Search {
        type Break = ();
        fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
            let is_star = |i: &SelectItem| matches!(i, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
            if select.projection.iter().any(is_star) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
        fn pre_visit_expr(&mut self, e: &Expr) -> ControlFlow<()> {
            match e {
                Expr::Function(f) if f.name.to_string() == TABLE_CALL => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        }
    }
    Ok(parse_query(text)?.visit(&mut Search).is_break())
}

fn unsupported_star() -> Error {
    Error::user(format!("`*` or TABLE in this view is not supported with '{COLUMN_EXPANSION}'"))
        .hint(format!("Name the columns, or RESET '{COLUMN_EXPANSION}' before CREATE VIEW"))
}

fn same_name(name: &str) -> Error {
    Error::user(format!("A column with the same name `{name}` has been defined in the view."))
        .with("column", name)
        .hint("Give the columns names of their own: CREATE VIEW v (a, b) AS .., or with AS in the query")
}

/// `SELECT a, a`: a query gives the second one another name, a view does not.
fn refuse_same_names(text: &str) -> Result<()> {
    let query = parse_query(text)?;
    let SetExpr::Select(select) = query.body.as_ref() else { return Ok(()) };
    let mut seen = BTreeSet::new();
    for item in &select.projection {
        let name = match item {
            SelectItem::ExprWithAlias { alias, .. } => Some(&alias.value),
            SelectItem::UnnamedExpr(Expr::Identifier(name)) => Some(&name.value),
            SelectItem::UnnamedExpr(Expr::CompoundIdentifier(path)) => path.last().map(|name| &name.value),
            _ => None,
        };
        if let Some(name) = name
            && !seen.insert(name)
        {
            return Err(same_name(name));
        }
    }
    Ok(())
}

pub(super) fn create(
    name: &Name,
    definition: Definition,
    temporary: bool,
    if_not_exists: bool,
    state: &mut SessionState,
    resolver: &dyn ExpressionResolver,
) -> Result<()> {
    let at = |e: Error| if e.position().is_none() { e.at(name.position()) } else { e };
    let id = state.catalog.qualify(&name.texts()).map_err(at)?;
    let made = view(&definition, state, resolver)?;
    let taken = if if_not_exists { IfTaken::Keep } else { IfTaken::Fail };
    // Only a name that was there before can be read by what the view reads. All others need no second catalog to try it in.
    if state.catalog.entry(&id).is_none() {
        return state.catalog.create(id, Entry::View(made), temporary, taken).map(drop).map_err(at);
    }
    let expanded = made.expanded.clone();
    let mut next = state.clone();
    if next.catalog.create(id, Entry::View(made), temporary, taken).map_err(at)? {
        refuse_cycle(name, &expanded, &next, resolver)?;
        state.catalog = next.catalog;
    }
    Ok(())
}

pub(super) fn alter(
    name: &Name,
    text: &str,
    position: Position,
    state: &mut SessionState,
    resolver: &dyn ExpressionResolver,
) -> Result<()> {
    let id = state.catalog.qualify(&name.texts())?;
    let comment = match state.catalog.resolve(&name.texts(), "View").map_err(|e| e.at(name.position()))?.1 {
        Entry::View(old) => old.comment.clone(),
        Entry::Table(_) => return Err(not_a_view(name)),
    };
    let made = view(&Definition { columns: &[], comment: comment.as_deref(), text, position }, state, resolver)?;
    let expanded = made.expanded.clone();
    let mut next = state.clone();
    next.catalog.replace(&id, Entry::View(made))?;
    refuse_cycle(name, &expanded, &next, resolver)?;
    state.catalog = next.catalog;
    Ok(())
}

/// A view that reads itself, perhaps through others, can be typed before it is in the catalog, and not after.
fn refuse_cycle(name: &Name, expanded: &str, next: &SessionState, resolver: &dyn ExpressionResolver) -> Result<()> {
    match resolver.query_schema(next, expanded) {
        Ok(_) => Ok(()),
        Err(e) => Err(Error::user(format!("View '{name}' would read itself"))
            .at(name.position())
            .hint("Write the tables that it reads instead of the view")
            .caused_by(e)),
    }
}

fn not_a_view(name: &Name) -> Error {
    Error::user(format!("'{name}' is a table, not a view")).at(name.position())
}

pub(super) fn rename(name: &Name, to: &Name, state: &mut SessionState) -> Result<()> {
    let (from, entry) = state.catalog.resolve(&name.texts(), "View").map_err(|e| e.at(name.position()))?;
    if !matches!(entry, Entry::View(_)) {
        return Err(not_a_view(name));
    }
    let to_id = super::alter::renamed(&from, to, state)?;
    state.catalog.rename(&from, &to_id).map_err(|e| e.at(to.position()))
}
