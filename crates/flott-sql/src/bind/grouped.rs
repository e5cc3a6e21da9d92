//! Queries that group: their keys, their aggregates, HAVING, and sub-queries over the groups.

use std::collections::BTreeSet;
use std::time::Duration;

use datafusion_common::ScalarValue;
use datafusion_expr::logical_plan::Union;
use datafusion_expr::{Expr, LogicalPlan};
use flott_core::types::TypeKind;
use flott_core::{Error, LogicalType, Result};
use sqlparser::ast::{self, Expr as Ast, Spanned};

use super::aggregate::{Aggregates, KEYS_IN_GROUPING_ID_MAX};
use super::expression::{ExpressionBinder, not_grouped};
use super::group_window;
use super::join::parts;
use super::node::{Aggregate, EXPAND_ID, FlinkNode, FlinkNodeKind, GROUP_ID};
use super::over::OverCalls;
use super::refuse::{At, at, name_text};
use super::scope::ScopeColumn;
use super::select::{BoundTail, Tail, bind_tail};
use super::select_list::{Item, ItemSource, implicit_name, is_aggregate};
use super::window;
use super::{Binder, Ctes, Scope, Typed, column, columns_of, filter, plan_schema, project};

/// How many grouping sets a query may have.
pub const GROUPING_SETS_MAX: usize = 1_024;

/// The clauses of a SELECT that groups, from the SELECT list on.
pub(super) struct Clauses<'q> {
    pub(super) items: Vec<Item<'q>>,
    pub(super) group_by: &'q [Ast],
    pub(super) having: Option<&'q Ast>,
    pub(super) named_window: &'q [ast::NamedWindowDefinition],
    pub(super) tail: Tail<'q>,
    pub(super) state_ttl: Option<Duration>,
}

impl Binder<'_> {
    pub(super) fn grouped(
        &self,
        input: LogicalPlan,
        (scope, over): (&Scope, &mut OverCalls),
        clauses: Clauses<'_>,
        ctes: &Ctes,
    ) -> Result<(LogicalPlan, BoundTail)> {
        let Clauses { items, group_by, having, named_window, tail, state_ttl } = clauses;
        let (plain_keys, window) = group_window::split(self, group_by, scope)?;
        let (keys, sets) = self.group_keys(&plain_keys, scope)?;
        let mut aggregates = Aggregates::new(keys, sets, window);
        // Only a window keeps what is a time attribute.
        if aggregates.window.is_some() || !self.keeps_window(&input, &aggregates) {
            aggregates.materialize_keys();
        }
        let of_items = items.iter().filter_map(|i| match i.source {
            ItemSource::Ast(e) => Some(e),
            _ => None,
        });
        let of_groups: Vec<&Ast> = of_items.chain(tail.order.iter().map(|by| &by.expr)).chain(tail.qualify).collect();
        if of_groups.iter().copied().chain(having).any(asks_of_groups) {
            let windows = named_window.iter().flat_map(of_window);
            let all: Vec<&Ast> = of_groups.iter().copied().chain(having).chain(windows).collect();
            let groups = self.groups(scope, &mut aggregates, &plain_keys, &all)?;
            let items = items.into_iter().map(|i| over_groups(i, &aggregates)).collect::<Result<_>>()?;
            let plan = self.aggregation(input, aggregates, state_ttl)?;
            let values = &of_groups;
            let super::join::Source { plan, scope, .. } = self.source(plan, groups, having, values, None, ctes)?;
            let mut binder = ExpressionBinder::new(self.functions(), &scope, "SELECT");
            binder.over = Some(over);
            return Ok((plan, bind_tail(&mut binder, items, tail)?));
        }
        let mut binder = ExpressionBinder::grouped(self.functions(), scope, &mut aggregates, "SELECT");
        binder.over = Some(over);
        let bound = bind_tail(&mut binder, items, tail)?;
        binder.over = None;
        binder.clause = "HAVING";
        let having = having.map(|h| binder.condition(h)).transpose()?;
        let mut plan = self.aggregation(input, aggregates, state_ttl)?;
        if let Some(condition) = having {
            plan = filter(plan, condition)?;
        }
        Ok((plan, bound))
    }

    /// What a sub-query over the groups can name: their keys. Aggregates, and keys that are more than a column, stand for
    /// columns of the groups.
    fn groups(&self, scope: &Scope, aggregates: &mut Aggregates, keys: &[&Ast], clauses: &[&Ast]) -> Result<Scope> {
        let mut groups = scope.grouped(|c| {
            let key = aggregates.key(&column(&c.field))?;
            let Expr::Column(field) = &key.expr else { return None };
            Some(ScopeColumn { field: field.name.clone(), data_type: key.data_type, ..c.clone() })
        });
        let mut calls = vec![];
        clauses.iter().for_each(|e| calls_over_groups(e, &mut calls));
        for call in calls {
            if groups.mark_of(call).is_none() {
                let mut binder = ExpressionBinder::grouped(self.functions(), scope, aggregates, "SELECT");
                groups.add_mark(call, binder.bind(call)?);
            }
        }
        // A key is what means the same, however it is written.
        let mut written = vec![];
        clauses.iter().for_each(|e| parts_of_rows(e, &mut written));
        for key in keys.iter().flat_map(|k| keys_of(k)).chain(written) {
            if !matches!(key, Ast::Identifier(_) | Ast::Value(_)) && groups.mark_of(key).is_none() {
                let bound = ExpressionBinder::new(self.functions(), scope, "GROUP BY").bind(key);
                if let Some(of_groups) = bound.ok().and_then(|b| aggregates.key(&b.expr)) {
                    groups.add_mark(key, of_groups);
                }
            }
        }
        Ok(groups)
    }

    /// The rows of the groups: keys, the window, aggregates.
    fn aggregation(
        &self,
        input: LogicalPlan,
        mut aggregates: Aggregates,
        state_ttl: Option<Duration>,
    ) -> Result<LogicalPlan> {
        let window = aggregates.window.clone().map(|window| (window.time_column(&mut aggregates), window));
        let inputs = aggregates.fed();
        let Aggregates { keys, sets, again, tells_copies, calls, .. } = aggregates;

        // What feeds the aggregation: the keys, then arguments and filters.
        let mut feed: Vec<(String, Typed)> = keys.iter().map(|k| (k.field.clone(), k.input.clone())).collect();
        feed.extend(inputs);
        let mut plan = project(input, feed)?;
        let mut group: Vec<String> = keys.iter().map(|k| k.field.clone()).collect();
        let mut of_window = vec![];
        if let Some((time_column, window)) = window {
            plan = window.place(self, plan, time_column, group.clone())?;
            of_window = window.columns();
            group.extend(of_window.iter().map(|c| c.0.to_string()));
        }
        let id_type = TypeKind::BigInt.not_null();
        let mut output: Vec<(&str, &LogicalType)> = keys.iter().map(|k| (k.field.as_str(), &k.output)).collect();
        output.extend(of_window.iter().map(|(name, t)| (*name, t)));
        if sets.is_some() {
            output.push((EXPAND_ID, &id_type));
        }
        output.extend(calls.iter().map(|c| (c.name.as_str(), &c.result)));
        let schema = plan_schema(output)?;
        let of = |sets| {
            let node = Aggregate { group: group.clone(), sets, calls: calls.clone(), state_ttl };
            FlinkNode::plan(FlinkNodeKind::Aggregate(node), plan.clone(), schema.clone())
        };
        if again.is_empty() {
            return Ok(of(sets));
        }
        let copies = std::iter::once(sets).chain(again.into_iter().map(Some)).map(of);
        if !tells_copies {
            let inputs = copies.map(std::sync::Arc::new).collect();
            return Ok(LogicalPlan::Union(Union { inputs, schema: schema.clone() }));
        }
        let mut inputs = vec![];
        for (number, copy) in (0..).zip(copies) {
            let id = self.functions().literal(ScalarValue::Int64(Some(number)), &id_type)?;
            let of_sets = columns_of(&schema)?.into_iter().map(|(name, data_type)| {
                let value = Typed { expr: column(&name), data_type };
                (name, value)
            });
            inputs.push(std::sync::Arc::new(project(copy, of_sets.chain([(GROUP_ID.to_string(), id)]).collect())?));
        }
        let schema = inputs.first().map(|input| input.schema().clone()).unwrap_or(schema);
        Ok(LogicalPlan::Union(Union { inputs, schema }))
    }

    /// Whether the keys hold the window of the rows.
    fn keeps_window(&self, input: &LogicalPlan, aggregates: &Aggregates) -> bool {
        // By the names that the columns have below.
        let names: Vec<String> = aggregates
            .keys
            .iter()
            .map(|k| match &k.input.expr {
                Expr::Column(c) => c.name.clone(),
                _ => String::new(),
            })
            .collect();
        window::is_windowed(input, &names, aggregates.sets.as_deref())
    }

    /// The keys of GROUP BY, and the grouping sets where there are any.
    fn group_keys(&self, group_by: &[&Ast], scope: &Scope) -> Result<(Vec<(String, Typed)>, Option<Vec<Vec<usize>>>)> {
        let mut keys: Vec<(String, Typed)> = vec![];
        let mut product: Vec<Vec<usize>> = vec![vec![]];
        let mut has_sets = false;
        for &e in group_by {
            let alternatives = alternatives(e)?;
            has_sets |= matches!(e, Ast::GroupingSets(_) | Ast::Rollup(_) | Ast::Cube(_));
            let mut sets: Vec<Vec<usize>> = vec![];
            for alternative in alternatives {
                let mut set = vec![];
                for key in alternative {
                    for key in flattened(key) {
                        let bound = ExpressionBinder::new(&self.functions, scope, "GROUP BY").bind(key)?;
                        let i = match keys.iter().position(|(_, k)| k.expr == bound.expr) {
                            Some(i) => i,
                            None => {
                                let name = implicit_name(key).unwrap_or_else(|| format!("$f{}", keys.len()));
                                keys.push((name, bound));
                                keys.len() - 1
                            }
                        };
                        if !set.contains(&i) {
                            set.push(i);
                        }
                    }
                }
                sets.push(set);
            }
            if matches!(e, Ast::Rollup(_) | Ast::Cube(_)) {
                // As in Calcite, theirs are sets: a key that is named twice makes none of them twice.
                let mut seen: Vec<BTreeSet<usize>> = vec![];
                sets.retain(|set| {
                    let set: BTreeSet<usize> = set.iter().copied().collect();
                    let is_new = !seen.contains(&set);
                    seen.push(set);
                    is_new
                });
            }
            let mut next = vec![];
            for before in &product {
                for set in &sets {
                    let mut both = before.clone();
                    both.extend(set.iter().filter(|i| !before.contains(i)));
                    next.push(both);
                }
            }
            if next.len() > GROUPING_SETS_MAX {
                return Err(at(
                    Error::user(format!("GROUP BY makes more than {GROUPING_SETS_MAX} grouping sets"))
                        .hint("Name the sets that you need with GROUPING SETS"),
                    e.span(),
                ));
            }
            product = next;
        }
        if !has_sets {
            return Ok((keys, None));
        }
        if keys.len() > usize::from(KEYS_IN_GROUPING_ID_MAX) {
            return Err(Error::user(format!("grouping sets over more than {KEYS_IN_GROUPING_ID_MAX} keys"))
                .hint("Leave keys out"));
        }
        for set in &mut product {
            set.sort_unstable();
        }
        // One set that keeps everything is a plain GROUP BY.
        let plain = product.len() == 1 && product[0].len() == keys.len();
        Ok((keys, (!plain).then_some(product)))
    }
}

/// What a part of GROUP BY groups by: several times where it is made of grouping sets.
fn alternatives(e: &Ast) -> Result<Vec<Vec<&Ast>>> {
    let too_many = || {
        at(
            Error::user(format!("GROUP BY makes more than {GROUPING_SETS_MAX} grouping sets"))
                .hint("Name the sets that you need with GROUPING SETS"),
            e.span(),
        )
    };
    Ok(match e {
        Ast::GroupingSets(sets) => {
            let mut all = vec![];
            for set in sets {
                match set.as_slice() {
                    [Ast::Function(f)] => match nested(f) {
                        Some((true, parts)) => all.extend(cube(&parts).ok_or_else(too_many)?),
                        Some((false, parts)) => all.extend(rollup(&parts)),
                        None => all.push(set.iter().collect()),
                    },
                    _ => all.push(set.iter().collect()),
                }
            }
            all
        }
        Ast::Rollup(parts) => rollup(&parts.iter().map(|p| p.iter().collect()).collect::<Vec<_>>()),
        Ast::Cube(parts) => cube(&parts.iter().map(|p| p.iter().collect()).collect::<Vec<_>>()).ok_or_else(too_many)?,
        Ast::Tuple(items) => vec![items.iter().collect()],
        plain => vec![vec![plain]],
    })
}

/// ROLLUP or CUBE (then true) inside GROUPING SETS, which the parser takes for a call.
fn nested(f: &ast::Function) -> Option<(bool, Vec<Vec<&Ast>>)> {
    let is_cube = match name_text(&f.name).to_uppercase().as_str() {
        "CUBE" => true,
        "ROLLUP" => false,
        _ => return None,
    };
    let ast::FunctionArguments::List(list) = &f.args else { return None };
    let mut parts = vec![];
    for argument in &list.args {
        let ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(e)) = argument else { return None };
        parts.push(flattened(e));
    }
    Some((is_cube, parts))
}

fn rollup<'q>(parts: &[Vec<&'q Ast>]) -> Vec<Vec<&'q Ast>> {
    (0..=parts.len()).rev().map(|n| parts[..n].concat()).collect()
}

/// `None` where these are too many.
fn cube<'q>(parts: &[Vec<&'q Ast>]) -> Option<Vec<Vec<&'q Ast>>> {
    let n = parts.len();
    let all = u32::try_from(n).ok().and_then(|n| 1usize.checked_shl(n)).filter(|all| *all <= GROUPING_SETS_MAX)?;
    // The full set first, as Calcite orders them.
    let kept = |left_out: usize| {
        let kept = parts.iter().enumerate().filter(|(i, _)| left_out & (1 << (n - 1 - i)) == 0);
        kept.flat_map(|(_, p)| p.iter().copied()).collect()
    };
    Some((0..all).map(kept).collect())
}

/// Whether a sub-query stands in an expression otherwise than in an aggregate's arguments.
fn asks_of_groups(e: &Ast) -> bool {
    match e {
        Ast::Subquery(_) | Ast::Exists { .. } | Ast::InSubquery { .. } | Ast::AnyOp { .. } | Ast::AllOp { .. } => true,
        Ast::Function(f) if is_aggregate(f) => false,
        other => parts(other).into_iter().any(asks_of_groups),
    }
}

/// The arguments of aggregates in an expression: they are of the rows, not of the groups.
pub(super) fn arguments_of_aggregates(e: &Ast) -> Vec<&Ast> {
    match e {
        Ast::Function(f) if is_aggregate(f) => parts(e),
        other => parts(other).into_iter().flat_map(arguments_of_aggregates).collect(),
    }
}

/// The expressions inside one, outside of sub-queries and of what only groups answer.
fn parts_of_rows<'q>(e: &'q Ast, found: &mut Vec<&'q Ast>) {
    match e {
        Ast::Subquery(_) | Ast::Exists { .. } => {}
        Ast::Function(f) if f.over.is_none() && is_of_groups(f) => {}
        other => {
            found.push(other);
            parts(other).into_iter().for_each(|x| parts_of_rows(x, found));
        }
    }
}

/// The calls in an expression that only groups answer: aggregates, GROUPING and its like, the times of a group window.
pub(super) fn calls_over_groups<'q>(e: &'q Ast, found: &mut Vec<&'q Ast>) {
    match e {
        Ast::Function(f) if f.over.is_none() && is_of_groups(f) => found.push(e),
        other => parts(other).into_iter().for_each(|x| calls_over_groups(x, found)),
    }
}

fn is_of_groups(f: &ast::Function) -> bool {
    let name = name_text(&f.name).to_uppercase();
    is_aggregate(f)
        || matches!(name.as_str(), "GROUPING" | "GROUPING_ID" | "GROUP_ID")
        || group_window::is_auxiliary(&name)
}

/// The expressions of a window that WINDOW names.
fn of_window(named: &ast::NamedWindowDefinition) -> Vec<&Ast> {
    match &named.1 {
        ast::NamedWindowExpr::WindowSpec(w) => {
            w.partition_by.iter().chain(w.order_by.iter().map(|by| &by.expr)).collect()
        }
        ast::NamedWindowExpr::NamedWindow(_) => vec![],
    }
}

/// The single keys of a part of GROUP BY.
fn keys_of(e: &Ast) -> Vec<&Ast> {
    match e {
        Ast::GroupingSets(sets) | Ast::Rollup(sets) | Ast::Cube(sets) => {
            let of = |e| nested_keys(e).unwrap_or_else(|| flattened(e));
            sets.iter().flatten().flat_map(of).collect()
        }
        other => flattened(other),
    }
}

/// The keys of ROLLUP or CUBE inside GROUPING SETS.
fn nested_keys(e: &Ast) -> Option<Vec<&Ast>> {
    match e {
        Ast::Function(f) => nested(f).map(|(_, parts)| parts.concat()),
        _ => None,
    }
}

/// A column that `*` stands for, over the groups.
fn over_groups<'q>(item: Item<'q>, aggregates: &Aggregates) -> Result<Item<'q>> {
    let key = |of_rows: &Typed, name: &str| aggregates.key(&of_rows.expr).ok_or_else(|| not_grouped(name));
    let source = match item.source {
        ItemSource::Column { field, name } => ItemSource::Column { field: key(&field, &name)?, name },
        ItemSource::Field { row, path, row_name, span } => {
            ItemSource::Field { row: key(&row, &row_name).at_span(span)?, path, row_name, span }
        }
        other => other,
    };
    Ok(Item { name: item.name, source })
}

/// `(a, b)` and `((a))` in GROUP BY are their parts.
pub(super) fn flattened(e: &Ast) -> Vec<&Ast> {
    match e {
        Ast::Tuple(items) => items.iter().flat_map(flattened).collect(),
        Ast::Nested(inner) => flattened(inner),
        other => vec![other],
    }
}
