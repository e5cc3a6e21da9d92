//! `LATERAL (SELECT ..)`: a query in FROM that names columns of the tables before it.
//!
//! What it says of those columns becomes the condition of a join. A query of rows keeps the columns that its conditions
//! read. One that groups or is DISTINCT is grouped by the columns that equal those outside, too; one that aggregates all its
//! rows has a row for every row outside, so that the join pads, and what counts is 0 there.

use std::collections::HashMap;

use datafusion_common::ScalarValue;
use datafusion_expr::{Expr, LogicalPlan, Operator};
use flott_core::types::arrow_type;
use flott_core::{Error, Result};
use flott_graph::JoinKind;
use sqlparser::ast::{self, Expr as Ast, Ident, JoinConstraint, Query, SelectItem, SetExpr, Spanned};

use super::predicate::{reads, together};
use super::subquery::{is_grouped, renamed};
use super::table_function::{expands, named};
use super::{Bound, beside, identity, join_with, settle, side_by_side};
use crate::bind::expression::ExpressionBinder;
use crate::bind::grouped::calls_over_groups;
use crate::bind::node::JoinFlavour;
use crate::bind::refuse::{at, from_datafusion, is_not_found, refuse_if, unsupported, unsupported_with};
use crate::bind::relation::naming;
use crate::bind::scope::OUTER;
use crate::bind::select_list::implicit_name;
use crate::bind::sort;
use crate::bind::{Binder, Ctes, Scope, ScopeColumn, Typed, UniqueNames, columns_of, filter, project};

/// Names of the keys that a grouped query gets.
const KEY: &str = "$lateral";
/// Names of the aggregates of a query that aggregates all its rows.
const CALL: &str = "$aggregate";

/// A query that names columns of the tables before it, taken apart.
pub(super) struct Inside {
    pub(super) plan: LogicalPlan,
    /// Its columns as the query outside sees them.
    pub(super) columns: Vec<ScopeColumn>,
    /// Of which row it is: over its own columns and, with [`OUTER`] before their names, those outside.
    pub(super) conditions: Vec<Expr>,
    /// Columns that read both, by their places.
    both: Vec<(usize, Typed)>,
    /// It has one row for every row outside, of its aggregates, which are its columns.
    whole: Option<Whole>,
}

/// What a query that aggregates all its rows makes of its aggregates.
struct Whole {
    /// The aggregates, as they are written.
    calls: Vec<Ast>,
    /// Those that are 0 where there are no rows.
    zeros: Vec<usize>,
    /// Its columns: their names, and what they are computed from.
    items: Vec<(String, Ast)>,
    having: Option<Ast>,
}

impl Inside {
    /// Whether there is more to a row than those of its own: something of the row outside, or that it is there for each.
    pub(super) fn is_of_pairs(&self) -> bool {
        !self.both.is_empty() || self.whole.is_some()
    }
}

impl Binder<'_> {
    /// The rows read so far, each with the rows of a query that may name their columns.
    pub(super) fn lateral(
        &self,
        left: Bound,
        query: &Query,
        alias: Option<&ast::TableAlias>,
        kind: JoinKind,
        constraint: &JoinConstraint,
        ctes: &Ctes,
    ) -> Result<Bound> {
        let span = query.span();
        let alias = alias.map(|alias| naming(query, alias));
        let alias = alias.as_deref();
        match self.bind_inside(query, ctes) {
            Ok(plan) => {
                let right = self.aliased(plan, &[], alias)?;
                return self.combined(left, right, kind, constraint, (span, ctes));
            }
            Err(e) if !is_not_found(&e) => return Err(e),
            Err(_) => {}
        }
        if !matches!(kind, JoinKind::Inner | JoinKind::Left) {
            return Err(at(
                Error::user("LATERAL on the right of a RIGHT or FULL JOIN names columns of the tables before it")
                    .hint("Use CROSS JOIN LATERAL or LEFT JOIN LATERAL"),
                span,
            ));
        }
        if let Some(select) = expands(query) {
            let outer = left.1.clone();
            let (plan, columns) = self.expanded(left, outer, select, kind, ctes)?;
            return self.expanded_as(plan, columns, alias, kind, constraint, span);
        }
        let inside = self.inside(&left.1, query, ctes)?;
        self.beside_lateral(left, inside, (kind, alias), constraint, span)
    }

    /// What a query makes of its aggregates, once they stand beside the rows outside; whether it has a row decides HAVING.
    fn of_whole(
        &self,
        plan: LogicalPlan,
        (outside, calls): (&Scope, &[ScopeColumn]),
        whole: &Whole,
        padded: bool,
    ) -> Result<(LogicalPlan, Vec<ScopeColumn>)> {
        let mut scope = outside.clone();
        for (i, (call, c)) in whole.calls.iter().zip(calls).enumerate() {
            let mut value = c.typed();
            if whole.zeros.contains(&i) {
                let zero = Expr::Literal(ScalarValue::Int64(Some(0)), None);
                let zero = Typed { expr: zero, data_type: c.data_type.with_nullable(false) };
                value = self.functions().call("COALESCE", vec![value, zero])?;
            }
            scope.add_mark(call, value);
        }
        let having = whole.having.as_ref();
        let having =
            having.map(|h| ExpressionBinder::new(self.functions(), &scope, "HAVING").condition(h)).transpose()?;
        let mut columns = identity(&plan)?;
        let mut free = UniqueNames::of(plan.schema());
        let mut given = vec![];
        for (name, item) in &whole.items {
            let mut value = ExpressionBinder::new(self.functions(), &scope, "SELECT").bind(item)?;
            if let (true, Some(having)) = (padded, &having) {
                let null = ScalarValue::try_new_null(&arrow_type(&value.data_type)).map_err(from_datafusion)?;
                let null = Typed::literal(null, value.data_type.with_nullable(true));
                value = self.functions().case(vec![(having.clone(), value)], null)?;
            }
            let field = free.take(name);
            let data_type = value.data_type.clone();
            given.push(ScopeColumn { qualifier: vec![], name: name.clone(), field: field.clone(), data_type });
            columns.push((field, value));
        }
        let plan = match having {
            Some(having) if !padded => filter(plan, having)?,
            _ => plan,
        };
        Ok((project(plan, columns)?, given))
    }

    fn beside_lateral(
        &self,
        (left, left_scope): Bound,
        inside: Inside,
        (kind, alias): (JoinKind, Option<&ast::TableAlias>),
        constraint: &JoinConstraint,
        span: sqlparser::tokenizer::Span,
    ) -> Result<Bound> {
        let Inside { plan: right, mut columns, conditions, both, whole } = inside;
        if whole.is_none() {
            named(&mut columns, alias, span)?;
        }
        let padded = kind == JoinKind::Left;
        if padded && !both.is_empty() {
            return Err(unsupported_with(
                "an expression over columns of both in the SELECT list of LEFT JOIN LATERAL",
                span,
                "Select the columns of the LATERAL query, and compute with them outside",
            ));
        }
        let before = columns_of(right.schema())?;
        let (right, scope) = beside(&left, right, Scope::of(columns))?;
        let after = columns_of(right.schema())?;
        let names: HashMap<String, String> = before.into_iter().zip(after).map(|(b, a)| (b.0, a.0)).collect();
        let to = |name: &str| match name.strip_prefix(OUTER) {
            Some(outer) => Some(outer.to_string()),
            None => names.get(name).cloned(),
        };
        let mut conditions = conditions.iter().map(|c| renamed(c, &to)).collect::<Result<Vec<_>>>()?;
        let joined_as = if whole.is_some() { JoinKind::Left } else { kind };
        let mut seen = side_by_side(&left_scope, &scope, joined_as);
        let computes = !both.is_empty() || whole.is_some();
        let mut further = None;
        match constraint {
            JoinConstraint::None => {}
            JoinConstraint::On(e) if computes => further = Some(e),
            JoinConstraint::On(e) => {
                let inner = side_by_side(&left_scope, &scope, JoinKind::Inner);
                let on = ExpressionBinder::new(self.functions(), &inner, "ON").condition(e)?;
                conditions.extend(super::conjuncts(&on.expr));
            }
            _ => return Err(unsupported("USING with LATERAL", span)),
        }
        let ttl = [self.ttl_of(&left_scope), self.ttl_of(&scope)];
        let mut plan = join_with(left, right, joined_as, together(conditions), JoinFlavour::Unsettled, ttl)?;
        let width = left_scope.columns.len();
        if computes {
            plan = settle(self, plan, vec![])?;
            seen.follow(&plan)?;
            let mut columns = identity(&plan)?;
            let mut free = UniqueNames::of(plan.schema());
            for (place, value) in both {
                let c = &mut seen.columns[width + place];
                c.field = free.take(&c.name);
                let value = Typed { expr: renamed(&value.expr, &to)?, data_type: value.data_type };
                c.data_type = value.data_type.clone();
                columns.push((c.field.clone(), value));
            }
            plan = project(plan, columns)?;
        }
        if let Some(whole) = &whole {
            let calls = seen.columns.split_off(width);
            let (computed, mut given) = self.of_whole(plan, (&seen, &calls), whole, padded)?;
            named(&mut given, alias, span)?;
            plan = computed;
            seen.take_in(&Scope::of(given));
        }
        let Some(further) = further else { return Ok((plan, seen)) };
        let on = ExpressionBinder::new(self.functions(), &seen, "ON").condition(further)?;
        if super::is_true(&on.expr) {
            return Ok((plan, seen));
        }
        if padded {
            return Err(unsupported_with(
                "a condition of LEFT JOIN LATERAL (an aggregate)",
                span,
                "Only ON TRUE is possible",
            ));
        }
        if !computes {
            plan = settle(self, plan, vec![])?;
            seen.follow(&plan)?;
        }
        Ok((filter(plan, on)?, seen))
    }

    pub(super) fn inside(&self, outer: &Scope, query: &Query, ctes: &Ctes) -> Result<Inside> {
        let span = query.span();
        let what = |part: &str| format!("{part} in a LATERAL query that names columns of the tables before it");
        refuse_if(query.with.is_some(), &what("WITH"), span)?;
        let SetExpr::Select(select) = query.body.as_ref() else {
            return Err(unsupported(what("UNION and the like"), span));
        };
        if query.limit_clause.is_some() || query.fetch.is_some() {
            let Some(ranked) = ranked(query, select)? else {
                return Err(unsupported_with(
                    what("LIMIT without ORDER BY, or beside GROUP BY, DISTINCT or OVER,"),
                    span,
                    "Join first, then number the rows: ROW_NUMBER() OVER (PARTITION BY .. ORDER BY ..) in a query around it",
                ));
            };
            return self.inside_grouped(outer, query, &ranked, false, ctes);
        }
        let distinct = match select.distinct {
            None | Some(ast::Distinct::All) => false,
            Some(ast::Distinct::Distinct) => true,
            Some(ast::Distinct::On(_)) => return Err(unsupported("DISTINCT ON", span)),
        };
        if distinct || is_grouped(select) || is_over(select) {
            let no_keys = matches!(&select.group_by, ast::GroupByExpr::Expressions(by, _) if by.is_empty());
            refuse_if(is_over(select) && is_grouped(select) && no_keys, &what("OVER beside aggregates"), span)?;
            return self.inside_grouped(outer, query, select, distinct, ctes);
        }
        let (plan, scope) = self.inside_from(&select.from, outer, ctes)?;
        let source = self.source(plan, scope, select.selection.as_ref(), &[], Some(outer), ctes)?;
        let items = self.named_items(&select.projection, &source.scope)?;
        let mut columns = identity(&source.plan)?;
        let own = columns.len();
        let mut free = UniqueNames::of(source.plan.schema());
        let (mut seen, mut both) = (vec![], vec![]);
        for (name, item) in items {
            let data_type = item.data_type.clone();
            let field = match &item.expr {
                Expr::Column(c) if !c.name.starts_with(OUTER) => c.name.clone(),
                e if reads(e).iter().any(|c| c.starts_with(OUTER)) => {
                    both.push((seen.len(), item));
                    String::new()
                }
                _ => {
                    let field = free.take(&name);
                    columns.push((field.clone(), item));
                    field
                }
            };
            seen.push(ScopeColumn { qualifier: vec![], name, field, data_type });
        }
        let plan = if columns.len() > own { project(source.plan, columns)? } else { source.plan };
        Ok(Inside { plan, columns: seen, conditions: source.correlated, both, whole: None })
    }

    /// A query that groups: by the columns, too, that equal those outside.
    fn inside_grouped(
        &self,
        outer: &Scope,
        query: &Query,
        select: &ast::Select,
        distinct: bool,
        ctes: &Ctes,
    ) -> Result<Inside> {
        let span = query.span();
        let (_, scope) = self.from(&select.from, ctes)?;
        let bind = |scope: &Scope, e: &Ast| ExpressionBinder::new(self.functions(), scope, "WHERE").bind(e);
        let (mut rest, mut keys, mut outside): (Vec<&Ast>, Vec<&Ast>, Vec<Typed>) = Default::default();
        let mut all = vec![];
        if let Some(selection) = &select.selection {
            and_parts(selection, &mut all);
        }
        for part in all {
            if bind(&scope, part).is_ok() || !names_columns_of(part) {
                rest.push(part);
                continue;
            }
            let sides = match part {
                Ast::BinaryOp { left, op: ast::BinaryOperator::Eq, right } => [(left, right), (right, left)]
                    .into_iter()
                    .find_map(|(own, other)| Some((own, bind(&scope, own).ok()?, bind(outer, other).ok()?))),
                _ => None,
            };
            let Some((own, _, other)) = sides else {
                return Err(unsupported_with(
                    format!("the condition {part} in a LATERAL query that groups"),
                    span,
                    "Columns of the tables before it may stand in `own = other` in its WHERE only",
                ));
            };
            keys.push(own);
            outside.push(other);
        }
        let ungrouped = matches!(&select.group_by, ast::GroupByExpr::Expressions(e, _) if e.is_empty());
        let whole = if !distinct && ungrouped && is_grouped(select) { Some(whole(select)?) } else { None };
        let mut own = query.clone();
        (own.order_by, own.limit_clause, own.fetch) = (None, None, None);
        let mut keyed = select.clone();
        keyed.selection = rest.into_iter().cloned().reduce(|left, right| Ast::BinaryOp {
            left: Box::new(left),
            op: ast::BinaryOperator::And,
            right: Box::new(right),
        });
        if let Some(whole) = &whole {
            let named = whole.calls.iter().enumerate().map(|(i, call)| {
                let alias = Ident::new(format!("{CALL}{i}"));
                SelectItem::ExprWithAlias { expr: call.clone(), alias }
            });
            (keyed.projection, keyed.having) = (named.collect(), None);
        }
        if is_over(select) {
            // Windows of the rows that belong to one row outside.
            by_keys(&mut keyed, &keys);
        }
        for (i, key) in keys.iter().enumerate() {
            let alias = Ident::new(format!("{KEY}{i}"));
            keyed.projection.push(SelectItem::ExprWithAlias { expr: (*key).clone(), alias });
        }
        if let (true, ast::GroupByExpr::Expressions(by, _)) = (is_grouped(select), &mut keyed.group_by) {
            by.extend(keys.iter().map(|k| (*k).clone()));
        }
        *own.body = SetExpr::Select(Box::new(keyed));
        let plan = self.bind_query(&own, ctes)?;
        let mut columns = Scope::of_plan(&plan, &[])?.columns;
        let own_keys = columns.split_off(columns.len() - keys.len());
        let mut conditions = vec![];
        for (own, other) in own_keys.iter().zip(outside) {
            let other = Typed {
                expr: renamed(&other.expr, &|name| Some(format!("{OUTER}{name}")))?,
                data_type: other.data_type,
            };
            let equal = self.functions().binary(Operator::Eq, other, own.typed()).map_err(|e| at(e, span))?;
            conditions.push(equal.expr);
        }
        Ok(Inside { plan, columns, conditions, both: vec![], whole })
    }
}

/// `ORDER BY .. LIMIT n` as a condition on the rows' numbers, which [`by_keys`] makes those of the rows that belong to one row
/// outside; `None` where there is no such.
fn ranked(query: &Query, select: &ast::Select) -> Result<Option<ast::Select>> {
    let (offset, most) = sort::limits(query.limit_clause.as_ref(), query.fetch.as_ref())?;
    let order = sort::order_of(query.order_by.as_ref())?;
    let distinct = matches!(select.distinct, Some(ast::Distinct::Distinct | ast::Distinct::On(_)));
    if order.is_empty() || distinct || is_grouped(select) || is_over(select) {
        return Ok(None);
    }
    let order: Vec<ast::OrderByExpr> = order.iter().map(|by| by_place(by, &select.projection)).collect();
    let mut number = crate::parser::parse_expression("ROW_NUMBER() OVER (ORDER BY 1)")?;
    if let Ast::Function(f) = &mut number
        && let Some(ast::WindowType::WindowSpec(spec)) = &mut f.over
    {
        spec.order_by = order;
    }
    let compared = |op: ast::BinaryOperator, n: u64| Ast::BinaryOp {
        left: Box::new(number.clone()),
        op,
        right: Box::new(Ast::value(ast::Value::Number(n.to_string(), false))),
    };
    let first = (offset > 0).then(|| compared(ast::BinaryOperator::Gt, offset));
    let last = most.map(|n| compared(ast::BinaryOperator::LtEq, offset.saturating_add(n)));
    let mut ranked = select.clone();
    ranked.qualify = first.into_iter().chain(last).reduce(|left, right| Ast::BinaryOp {
        left: Box::new(left),
        op: ast::BinaryOperator::And,
        right: Box::new(right),
    });
    Ok(ranked.qualify.is_some().then_some(ranked))
}

/// A part of ORDER BY; the number of a column is what stands there.
fn by_place(by: &ast::OrderByExpr, projection: &[SelectItem]) -> ast::OrderByExpr {
    let mut by = by.clone();
    if let Ast::Value(v) = &by.expr
        && let ast::Value::Number(place, _) = &v.value
        && let Some(SelectItem::UnnamedExpr(e) | SelectItem::ExprWithAlias { expr: e, .. }) =
            place.parse::<usize>().ok().and_then(|n| projection.get(n.checked_sub(1)?))
    {
        by.expr = e.clone();
    }
    by
}

/// A SELECT that aggregates all its rows.
fn whole(select: &ast::Select) -> Result<Whole> {
    let mut items = vec![];
    for (i, item) in select.projection.iter().enumerate() {
        items.push(match item {
            SelectItem::UnnamedExpr(e) => (implicit_name(e).unwrap_or_else(|| format!("EXPR${i}")), e.clone()),
            SelectItem::ExprWithAlias { expr, alias } => (alias.value.clone(), expr.clone()),
            other => return Err(unsupported("* beside aggregates", other.span())),
        });
    }
    let mut found = vec![];
    items.iter().map(|i| &i.1).chain(&select.having).for_each(|e| calls_over_groups(e, &mut found));
    let mut calls: Vec<Ast> = vec![];
    for call in found {
        if !calls.contains(call) {
            calls.push(call.clone());
        }
    }
    let is_count = |call: &Ast| match call {
        Ast::Function(f) => {
            let name = crate::bind::refuse::name_text(&f.name);
            ["COUNT", "APPROX_COUNT_DISTINCT", "REGR_COUNT"].iter().any(|n| name.eq_ignore_ascii_case(n))
        }
        _ => false,
    };
    let zeros = (0..calls.len()).filter(|i| is_count(&calls[*i])).collect();
    Ok(Whole { calls, zeros, items, having: select.having.clone() })
}

/// Whether a SELECT looks at windows of rows.
pub(super) fn is_over(select: &ast::Select) -> bool {
    select.qualify.is_some() || has_over(select)
}

/// The windows of a SELECT, each of the rows with equal keys.
fn by_keys(select: &mut ast::Select, keys: &[&Ast]) {
    use std::ops::ControlFlow;
    let add = |spec: &mut ast::WindowSpec| {
        if spec.window_name.is_none() {
            spec.partition_by.extend(keys.iter().map(|k| (*k).clone()));
        }
    };
    for named in &mut select.named_window {
        if let ast::NamedWindowExpr::WindowSpec(spec) = &mut named.1 {
            add(spec);
        }
    }
    let windows = |e: &mut Ast| {
        if let Ast::Function(f) = e
            && let Some(ast::WindowType::WindowSpec(spec)) = &mut f.over
        {
            add(spec);
        }
        ControlFlow::<()>::Continue(())
    };
    let shown = ast::visit_expressions_mut(&mut select.projection, windows);
    let kept = select.qualify.as_mut().map_or(ControlFlow::Continue(()), |q| ast::visit_expressions_mut(q, windows));
    debug_assert!(shown.is_continue() && kept.is_continue());
}

/// The parts of a condition that AND holds together.
fn and_parts<'q>(e: &'q Ast, out: &mut Vec<&'q Ast>) {
    match e {
        Ast::Nested(inner) if matches!(inner.as_ref(), Ast::BinaryOp { op: ast::BinaryOperator::And, .. }) => {
            and_parts(inner, out);
        }
        Ast::BinaryOp { left, op: ast::BinaryOperator::And, right } => {
            and_parts(left, out);
            and_parts(right, out);
        }
        other => out.push(other),
    }
}

/// A sub-query in a condition is bound with it.
fn names_columns_of(e: &Ast) -> bool {
    !matches!(e, Ast::Exists { .. } | Ast::InSubquery { .. })
}

/// Whether a window function stands in the SELECT list.
pub(super) fn has_over(select: &ast::Select) -> bool {
    use std::ops::ControlFlow;
    let mut found = false;
    for item in &select.projection {
        let walked = ast::visit_expressions(item, |e: &Ast| {
            if matches!(e, Ast::Function(f) if f.over.is_some()) {
                found = true;
            }
            ControlFlow::<()>::Continue(())
        });
        debug_assert!(walked.is_continue());
    }
    found
}
