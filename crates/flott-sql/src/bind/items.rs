//! The items of a SELECT list by their names: where a clause sees them, and where it does not.

use std::ops::ControlFlow;

use flott_core::{Error, Result};
use sqlparser::ast::{self, Expr as Ast, GroupByExpr, Query, Select, SelectItem};

use super::refuse::{at, position};
use super::select_list::{expressions, is_aggregate};

/// How long an expression may be that an error repeats.
const SHOWN_CHARS_MAX: usize = 60;

/// The error for a column that is not found, where an item of the SELECT list has its name: only ORDER BY and QUALIFY
/// see those.
pub(super) fn item_meant(error: Error, s: &Select) -> Error {
    let Some(name) = error.context("column").map(str::to_string).filter(|_| super::refuse::is_not_found(&error)) else {
        return error;
    };
    let stands_for = s.projection.iter().find_map(|item| match item {
        SelectItem::ExprWithAlias { expr, alias } if alias.value == name => Some(expr),
        _ => None,
    });
    let Some(stands_for) = stands_for else { return error };
    let is_here = |e: &Ast| {
        let found = ast::visit_expressions(e, |e: &Ast| match e {
            Ast::Identifier(id) if id.value == name && position(id.span) == error.position() => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        });
        found.is_break()
    };
    let groups = match &s.group_by {
        GroupByExpr::Expressions(exprs, _) => exprs.as_slice(),
        GroupByExpr::All(_) => &[],
    };
    let clause = if s.selection.iter().any(is_here) {
        "WHERE"
    } else if groups.iter().any(is_here) {
        "GROUP BY"
    } else if s.having.iter().any(is_here) {
        "HAVING"
    } else if expressions(&s.projection).into_iter().any(is_here) {
        "the SELECT list itself"
    } else {
        return error;
    };
    let written = stands_for.to_string();
    let what = if written.chars().count() <= SHOWN_CHARS_MAX { written.as_str() } else { "what it stands for" };
    error.hint(format!(
        "'{name}' is the name of an item of the SELECT list, which {clause} does not see: write {what} in its place, or \
         SELECT .. FROM (a query that gives '{name}')"
    ))
}

/// A part of ORDER BY; names of the SELECT list inside an expression are what they stand for.
pub(super) fn ordered(by: &ast::OrderByExpr, projection: &[SelectItem]) -> ast::OrderByExpr {
    let mut by = by.clone();
    if !matches!(by.expr, Ast::Identifier(_) | Ast::Value(_)) {
        by.expr = without_aliases(&by.expr, projection);
    }
    by
}

/// Refuses names that stand for several items of the SELECT list.
pub(super) fn aliases_are_clear(condition: &Ast, projection: &[SelectItem]) -> Result<()> {
    let named = |id: &ast::Ident| {
        let is =
            |item: &&SelectItem| matches!(item, SelectItem::ExprWithAlias { alias, .. } if alias.value == id.value);
        projection.iter().filter(is).count()
    };
    let found = ast::visit_expressions(condition, |e: &Ast| match e {
        Ast::Identifier(id) if named(id) > 1 => ControlFlow::Break(id.clone()),
        _ => ControlFlow::Continue(()),
    });
    match found {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(id) => Err(at(
            Error::user(format!("Column '{}' is ambiguous", id.value))
                .hint("Rename one of the items of the SELECT list"),
            id.span,
        )),
    }
}

/// An expression over the SELECT list, as a condition of QUALIFY is one, with what the names of the SELECT list stand for.
pub(super) fn without_aliases(condition: &Ast, projection: &[SelectItem]) -> Ast {
    struct Replace<'q> {
        projection: &'q [SelectItem],
        /// Sub-queries and calls of aggregate functions around the place.
        depth: usize,
    }
    impl ast::VisitorMut for Replace<'_> {
        type Break = ();
        fn pre_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
            self.depth += 1;
            ControlFlow::Continue(())
        }
        fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
            self.depth -= 1;
            ControlFlow::Continue(())
        }
        fn pre_visit_expr(&mut self, e: &mut Ast) -> ControlFlow<()> {
            // Those are over the rows of a group, where the names are those of columns.
            self.depth += usize::from(matches!(e, Ast::Function(f) if is_aggregate(f)));
            ControlFlow::Continue(())
        }
        fn post_visit_expr(&mut self, e: &mut Ast) -> ControlFlow<()> {
            self.depth -= usize::from(matches!(e, Ast::Function(f) if is_aggregate(f)));
            let named = match e {
                Ast::Identifier(id) if self.depth == 0 => self.projection.iter().find_map(|item| match item {
                    SelectItem::ExprWithAlias { expr, alias } if alias.value == id.value => Some(expr),
                    _ => None,
                }),
                _ => None,
            };
            if let Some(named) = named {
                *e = Ast::Nested(Box::new(named.clone()));
            }
            ControlFlow::Continue(())
        }
    }
    let mut condition = condition.clone();
    let walked = ast::VisitMut::visit(&mut condition, &mut Replace { projection, depth: 0 });
    debug_assert!(walked.is_continue());
    condition
}
