//! The SELECT list: what its items are, with `*` written out, and the columns that they become.

use flott_core::types::{RowField, TypeKind};
use flott_core::{Error, Result};
use sqlparser::ast::{
    self, Expr as Ast, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, Spanned, WildcardAdditionalOptions,
};

use super::expression::ExpressionBinder;
use super::names::refuse_text;
use super::refuse::{At, at, name_parts, not_found, refuse_if, unsupported};
use super::scope::{TABLES_HERE, unique};
use super::{Binder, Scope, Typed, UniqueNames};

/// A column of a SELECT list.
pub(super) struct Item<'q> {
    pub(super) name: Option<String>,
    pub(super) source: ItemSource<'q>,
}

pub(super) enum ItemSource<'q> {
    Ast(&'q Ast),
    /// A column that `*` stands for, as a name to be resolved again (it may be a group key).
    Column {
        field: Typed,
        name: String,
    },
    /// A field that `row.*` stands for; the item has its name.
    Field {
        row: Typed,
        /// The fields that lead from the column to the row.
        path: Vec<String>,
        row_name: String,
        span: sqlparser::tokenizer::Span,
    },
}

impl Item<'_> {
    fn of_column(c: &super::ScopeColumn) -> Self {
        Item { name: Some(c.name.clone()), source: ItemSource::Column { field: c.typed(), name: c.name.clone() } }
    }
}

impl Binder<'_> {
    /// A SELECT list without aggregates.
    pub(crate) fn items(&self, projection: &[SelectItem], scope: &Scope) -> Result<Vec<Typed>> {
        Ok(self.named_items(projection, scope)?.into_iter().map(|c| c.1).collect())
    }

    /// The same, with the columns' names.
    pub(crate) fn named_items(&self, projection: &[SelectItem], scope: &Scope) -> Result<Vec<(String, Typed)>> {
        self.items_of(projection, scope, scope)
    }

    /// The same, where `*` stands for some of the columns.
    pub(crate) fn items_of(
        &self,
        projection: &[SelectItem],
        scope: &Scope,
        all: &Scope,
    ) -> Result<Vec<(String, Typed)>> {
        let items = self.expand(projection, all)?;
        bind_items(&mut ExpressionBinder::new(&self.functions, scope, "SELECT"), items, &mut vec![])
    }

    /// Select items with `*` and `t.*` written out.
    pub(super) fn expand<'q>(&self, items: &'q [SelectItem], scope: &Scope) -> Result<Vec<Item<'q>>> {
        let mut out = vec![];
        for item in items {
            match item {
                SelectItem::UnnamedExpr(e) => out.push(Item { name: implicit_name(e), source: ItemSource::Ast(e) }),
                SelectItem::ExprWithAlias { expr, alias } => {
                    refuse_text(alias)?;
                    out.push(Item { name: Some(alias.value.clone()), source: ItemSource::Ast(expr) });
                }
                SelectItem::ExprWithAliases { expr, aliases: _ } => {
                    return Err(unsupported("several aliases of one expression", expr.span()));
                }
                SelectItem::Wildcard(options) => {
                    plain_wildcard(options)?;
                    if scope.columns.is_empty() {
                        return Err(at(
                            Error::user("SELECT * without FROM").hint("Name a table in FROM"),
                            options.wildcard_token.0.span,
                        ));
                    }
                    scope.check_names(&[]).at_span(options.wildcard_token.0.span)?;
                    let shown = scope.columns.iter().filter(|c| !scope.is_merged(c) && scope.is_in_star(c));
                    out.extend(shown.map(Item::of_column));
                }
                SelectItem::QualifiedWildcard(kind, options) => {
                    plain_wildcard(options)?;
                    let SelectItemQualifiedWildcardKind::ObjectName(name) = kind else {
                        return Err(unsupported("(expression).*", item.span()));
                    };
                    let parts: Vec<&str> = name_parts(name)?.iter().map(|i| i.value.as_str()).collect();
                    let columns: Vec<_> = scope
                        .columns
                        .iter()
                        .filter(|c| {
                            parts.len() <= c.qualifier.len()
                                && c.qualifier[c.qualifier.len() - parts.len()..]
                                    .iter()
                                    .zip(&parts)
                                    .all(|(a, b)| a == b)
                        })
                        .collect();
                    if columns.is_empty() {
                        if let Some((row, path, fields)) = row_of(scope, &parts) {
                            out.extend(fields.iter().map(|f| Item {
                                name: Some(f.name.clone()),
                                source: ItemSource::Field {
                                    row: row.typed(),
                                    path: path.iter().map(|p| p.to_string()).collect(),
                                    row_name: parts.last().copied().unwrap_or_default().into(),
                                    span: name.span(),
                                },
                            }));
                            continue;
                        }
                        let tables: Vec<&str> =
                            scope.columns.iter().filter_map(|c| c.qualifier.last()).map(String::as_str).collect();
                        let table = parts.join(".");
                        return Err(not_found(
                            format!("Table '{table}' not found"),
                            &table,
                            unique(tables.into_iter()),
                            TABLES_HERE,
                            name.span(),
                        ));
                    }
                    scope.check_names(&parts).at_span(name.span())?;
                    out.extend(columns.into_iter().filter(|c| scope.is_in_star(c)).map(Item::of_column));
                }
            }
        }
        Ok(out)
    }
}

/// What a SELECT list computes, without `*`.
pub(crate) fn expressions(projection: &[SelectItem]) -> Vec<&Ast> {
    let computed = projection.iter().filter_map(|item| match item {
        SelectItem::UnnamedExpr(e) | SelectItem::ExprWithAlias { expr: e, .. } => Some(e),
        _ => None,
    });
    computed.collect()
}

/// Whether a SELECT shows what looks at windows of rows.
pub(crate) fn contains_over(select: &Select) -> bool {
    use std::ops::ControlFlow;
    struct Search;
    impl ast::Visitor for Search {
        type Break = ();
        fn pre_visit_expr(&mut self, e: &Ast) -> ControlFlow<()> {
            match e {
                Ast::Function(f) if f.over.is_some() => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        }
    }
    ast::Visit::visit(&select.projection, &mut Search).is_break()
}

/// Whether this is the call of an aggregate function over the rows of a group.
pub(crate) fn is_aggregate(f: &ast::Function) -> bool {
    let named = flott_function::AggregateKind::from_name(&super::refuse::name_text(&f.name));
    f.over.is_none() && named.is_some()
}

/// Whether an aggregate function is called anywhere in an expression, outside of sub-queries.
pub(crate) fn contains_aggregate(e: &Ast) -> bool {
    use std::ops::ControlFlow;
    struct Search {
        /// Sub-queries around the place.
        depth: usize,
    }
    impl ast::Visitor for Search {
        type Break = ();
        fn pre_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
            self.depth += 1;
            ControlFlow::Continue(())
        }
        fn post_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
            self.depth -= 1;
            ControlFlow::Continue(())
        }
        fn pre_visit_expr(&mut self, e: &Ast) -> ControlFlow<()> {
            match e {
                Ast::Function(f) if self.depth == 0 && is_aggregate(f) => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        }
    }
    ast::Visit::visit(e, &mut Search { depth: 0 }).is_break()
}

/// `written`: gets the names as the query writes them, of which several may be the same.
pub(super) fn bind_items(
    binder: &mut ExpressionBinder<'_>,
    items: Vec<Item<'_>>,
    written: &mut Vec<String>,
) -> Result<Vec<(String, Typed)>> {
    let mut names = UniqueNames::default();
    let mut columns = vec![];
    for (i, item) in items.into_iter().enumerate() {
        let is_written = matches!(item.source, ItemSource::Ast(_));
        let wanted = item.name.clone().unwrap_or_else(|| format!("EXPR${i}"));
        let bound = match item.source {
            ItemSource::Ast(e) => {
                let name = is_call_of_aggregate(e).then(|| wanted.clone());
                binder.aggregates.iter_mut().for_each(|a| a.next_name.clone_from(&name));
                let bound = binder.bind(e)?;
                // An aggregate that is there already has its name.
                binder.aggregates.iter_mut().for_each(|a| a.next_name = None);
                bound
            }
            ItemSource::Field { row, mut path, row_name, span } => {
                let field = item.name.clone().unwrap_or_default();
                let shown = format!("{row_name}.{field}");
                path.push(field);
                binder.fields(row, &path, &shown).at_span(span)?
            }
            ItemSource::Column { field, name } => match &binder.aggregates {
                None => field,
                Some(aggregates) => aggregates.key(&field.expr).ok_or_else(|| {
                    Error::user(format!("Expression '{name}' is not being grouped"))
                        .hint("SELECT * does not go with GROUP BY: name the columns")
                })?,
            },
        };
        let name = names.take(&wanted);
        // What `*` stands for gets names of its own.
        written.push(if is_written { wanted } else { name.clone() });
        columns.push((name, bound));
    }
    Ok(columns)
}

/// Whether an expression is nothing but an aggregate.
fn is_call_of_aggregate(e: &Ast) -> bool {
    match e {
        Ast::Nested(inner) => is_call_of_aggregate(inner),
        Ast::Function(f) => f.over.is_none() && is_aggregate(f),
        _ => false,
    }
}

/// The name that an expression gives to its column: a column's or a field's own.
pub(super) fn implicit_name(e: &Ast) -> Option<String> {
    match e {
        Ast::Identifier(id) => Some(id.value.clone()),
        Ast::CompoundIdentifier(ids) => ids.last().map(|id| id.value.clone()),
        Ast::CompoundFieldAccess { access_chain, .. } => match access_chain.last() {
            Some(ast::AccessExpr::Dot(Ast::Identifier(id))) => Some(id.value.clone()),
            _ => None,
        },
        Ast::Nested(inner) => implicit_name(inner),
        _ => None,
    }
}

/// The column in `t.column.field.*`, the fields behind it, and what `*` stands for.
fn row_of<'s, 'p>(
    scope: &'s Scope,
    parts: &'p [&'p str],
) -> Option<(&'s super::ScopeColumn, &'p [&'p str], &'s [RowField])> {
    (0..parts.len()).find_map(|at| {
        let named =
            |c: &&super::ScopeColumn| c.name == parts[at] && super::scope::ends_with(&c.qualifier, &parts[..at]);
        let column = scope.columns.iter().find(named)?;
        let path = &parts[at + 1..];
        let mut kind = &column.data_type.kind;
        for name in path {
            kind = &kind.fields()?.iter().find(|f| f.name == *name)?.data_type.kind;
        }
        let TypeKind::Row(fields) = kind else { return None };
        Some((column, path, fields.as_slice()))
    })
}

fn plain_wildcard(options: &WildcardAdditionalOptions) -> Result<()> {
    let WildcardAdditionalOptions {
        wildcard_token,
        opt_ilike,
        opt_exclude,
        opt_except,
        opt_replace,
        opt_rename,
        opt_alias,
    } = options;
    let more = opt_ilike.is_some()
        || opt_exclude.is_some()
        || opt_except.is_some()
        || opt_replace.is_some()
        || opt_rename.is_some()
        || opt_alias.is_some();
    refuse_if(more, "options after *", wildcard_token.0.span)
}
