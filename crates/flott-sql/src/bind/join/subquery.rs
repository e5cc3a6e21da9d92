//! Sub-queries in WHERE: IN, NOT IN, EXISTS and NOT EXISTS become semi and anti joins, values of one row a join.
//!
//! What a sub-query says about the row outside becomes a condition of the join: names that only the outer query knows
//! resolve to columns with [`OUTER`] before their names, and the parts of its WHERE that read such columns are kept apart.

use std::collections::HashMap;

use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_expr::{Expr, LogicalPlan, Operator};
use flott_core::{Error, Result};
use flott_graph::JoinKind;
use sqlparser::ast::{self, Expr as Ast, Query, SetExpr, Spanned, UnaryOperator};

use super::embedded::{Embedded, embedded};
use super::predicate::{conjuncts, reads, together};
use super::{beside, by_existence, identity, join};
use crate::bind::expression::ExpressionBinder;
use crate::bind::node::JoinFlavour;
use crate::bind::refuse::{at, from_datafusion, is_not_found, unsupported, unsupported_with};
use crate::bind::scope::OUTER;
use crate::bind::{Binder, Ctes, Scope, ScopeColumn, Typed, column, project};

/// A part of WHERE.
enum Part<'q> {
    /// `[NOT] EXISTS (..)`
    Exists { query: &'q Query, negated: bool },
    /// `x [NOT] IN (..)`
    In { value: &'q Ast, query: &'q Query, negated: bool },
    /// Anything else.
    Plain(&'q Ast),
}

fn parts<'q>(e: &'q Ast, negated: bool, out: &mut Vec<Part<'q>>) {
    match e {
        Ast::Nested(inner) => match inner.as_ref() {
            Ast::BinaryOp { op: ast::BinaryOperator::And, .. } if !negated => parts(inner, false, out),
            Ast::Exists { .. } | Ast::InSubquery { .. } | Ast::Nested(_) | Ast::UnaryOp { .. }
                if negated || !is_plain(inner) =>
            {
                parts(inner, negated, out);
            }
            _ => out.push(Part::Plain(e)),
        },
        Ast::BinaryOp { left, op: ast::BinaryOperator::And, right } if !negated => {
            parts(left, false, out);
            parts(right, false, out);
        }
        Ast::UnaryOp { op: UnaryOperator::Not, expr } if !is_plain(expr) => parts(expr, !negated, out),
        Ast::Exists { subquery, negated: not } => out.push(Part::Exists { query: subquery, negated: *not != negated }),
        Ast::InSubquery { expr, subquery, negated: not } => {
            out.push(Part::In { value: expr, query: subquery, negated: *not != negated });
        }
        other => out.push(Part::Plain(other)),
    }
}

/// Whether it is no EXISTS or IN, with NOTs and brackets around it.
fn is_plain(e: &Ast) -> bool {
    match e {
        Ast::Nested(inner) => is_plain(inner),
        Ast::UnaryOp { op: UnaryOperator::Not, expr } => is_plain(expr),
        Ast::Exists { .. } | Ast::InSubquery { .. } => false,
        _ => true,
    }
}

/// What stands in FROM and WHERE.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) plan: LogicalPlan,
    pub(crate) scope: Scope,
    /// Parts of WHERE that read columns of the query outside.
    pub(crate) correlated: Vec<Expr>,
}

impl Binder<'_> {
    /// FROM and WHERE together. `values`: the SELECT list. `outer`: the names that the query outside knows.
    pub(crate) fn source(
        &self,
        plan: LogicalPlan,
        mut scope: Scope,
        selection: Option<&Ast>,
        values: &[&Ast],
        outer: Option<&Scope>,
        ctes: &Ctes,
    ) -> Result<Source> {
        if let Some(outer) = outer {
            scope.set_outer(outer);
        }
        let mut plan = plan;
        let (mut inner, mut correlated) = (vec![], std::mem::take(&mut scope.conditions));
        let mut all = vec![];
        let compared = selection.and_then(|e| self.compared_with_one_row(e, ctes));
        let selection = compared.as_ref().or(selection);
        if let Some(selection) = selection {
            parts(selection, false, &mut all);
        }
        let inside: Vec<Embedded<'_>> = {
            let known = |e: &Ast| scope.has_marks() && scope.mark_of(e).is_some();
            let inside = values.iter().flat_map(|e| embedded(e, false, &known));
            let inside = inside.chain(all.iter().flat_map(|part| match part {
                Part::Plain(e) => embedded(e, true, &known),
                Part::In { value, .. } => embedded(value, false, &known),
                Part::Exists { .. } => vec![],
            }));
            inside.collect()
        };
        for one in &inside {
            // What is written twice is one value, which must be right wherever it stands.
            let two_valued = inside.iter().all(|other| other.two_valued || other.e != one.e);
            let one = Embedded { e: one.e, two_valued };
            plan = match one.e {
                Ast::Subquery(query) => self.value(plan, &mut scope, query, ctes)?,
                _ => self.mark(plan, &mut scope, &one, ctes)?,
            };
        }
        // A WHERE without sub-queries is bound as it is written.
        let plain_only = all.iter().all(|p| matches!(p, Part::Plain(_)));
        let mut bound = vec![];
        if let (true, Some(selection)) = (plain_only, selection) {
            bound.push(ExpressionBinder::new(self.functions(), &scope, "WHERE").condition(selection)?);
        } else {
            for part in &all {
                match part {
                    Part::Plain(e) => {
                        bound.push(ExpressionBinder::new(self.functions(), &scope, "WHERE").condition(e)?)
                    }
                    Part::Exists { query, negated } => {
                        let asked = self.exists(plan, &scope, query, *negated, ctes)?;
                        plan = self.asked(asked, &scope, query, &mut correlated)?;
                    }
                    Part::In { value, query, negated } => {
                        let asked = self.within(plan, &scope, value, query, *negated, ctes)?;
                        plan = self.asked(asked, &scope, query, &mut correlated)?;
                    }
                }
            }
        }
        for condition in bound {
            for part in conjuncts(&condition.expr) {
                let is_correlated = reads(&part).iter().any(|c| c.starts_with(OUTER));
                if is_correlated { correlated.push(part) } else { inner.push(part) }
            }
        }
        let plan = super::settle(self, plan, inner)?;
        scope.follow(&plan)?;
        Ok(Source { plan, scope, correlated })
    }

    /// A condition in which `x IN (..)` stands as `x = (..)` where the sub-query has one row, which depends on the row outside;
    /// `None` where nothing changes.
    fn compared_with_one_row(&self, condition: &Ast, ctes: &Ctes) -> Option<Ast> {
        use std::ops::ControlFlow;
        let mut condition = condition.clone();
        let mut changed = false;
        let walked = ast::visit_expressions_mut(&mut condition, |e: &mut Ast| {
            if let Ast::InSubquery { expr, subquery, negated } = e
                && !matches!(expr.as_ref(), Ast::Tuple(_))
                && gives_one_row(subquery)
                && self.bind_query(subquery, ctes).is_err_and(|e| is_not_found(&e))
            {
                let op = if *negated { ast::BinaryOperator::NotEq } else { ast::BinaryOperator::Eq };
                let (left, right) = (expr.clone(), Box::new(Ast::Subquery(subquery.clone())));
                *e = Ast::Nested(Box::new(Ast::BinaryOp { left, op, right }));
                changed = true;
            }
            ControlFlow::<()>::Continue(())
        });
        debug_assert!(walked.is_continue());
        changed.then_some(condition)
    }

    /// The rows of a sub-query, with the columns that its conditions on the outer row read. `values`: its SELECT list is
    /// wanted; then it stands at the front.
    pub(super) fn rows_of(
        &self,
        query: &Query,
        outer: &Scope,
        values: bool,
        ctes: &Ctes,
    ) -> Result<(Source, Vec<Typed>)> {
        if let Some(select) = simple(query, values) {
            return self.rows_of_select(query, select, outer, values, ctes);
        }
        let bound = self.bind_inside(query, ctes);
        if let (Err(e), Some(select)) = (&bound, ungrouped(query, values))
            && is_not_found(e)
            && let Ok(rows) = self.rows_of_select(query, select, outer, values, ctes)
        {
            return Ok(rows);
        }
        let plan = match bound {
            Err(e) if is_not_found(&e) && (groups_by_keys(query) || looks_at_windows(query)) => {
                // It may name columns of the query outside, which its groups and windows then have.
                let inside = self.inside(outer, query, ctes).map_err(|_| correlated_deeper(e, query))?;
                let values = inside.columns.iter().map(ScopeColumn::typed).collect();
                let scope = Scope::of(inside.columns);
                return Ok((Source { plan: inside.plan, scope, correlated: inside.conditions }, values));
            }
            bound => bound.map_err(|e| correlated_deeper(e, query))?,
        };
        let values = identity(&plan)?.into_iter().map(|c| c.1).collect();
        let scope = Scope::of_plan(&plan, &[])?;
        Ok((Source { plan, scope, correlated: vec![] }, values))
    }

    /// The rows of FROM and WHERE of a sub-query: to EXISTS and IN they are its rows.
    fn rows_of_select(
        &self,
        query: &Query,
        select: &ast::Select,
        outer: &Scope,
        values: bool,
        ctes: &Ctes,
    ) -> Result<(Source, Vec<Typed>)> {
        let (plan, mut scope) = self.inside_from(&select.from, outer, ctes)?;
        scope.let_repeat();
        let shown = if values { crate::bind::select_list::expressions(&select.projection) } else { vec![] };
        let source = self.source(plan, scope, select.selection.as_ref(), &shown, Some(outer), ctes)?;
        if let ast::GroupByExpr::Expressions(keys, _) = &select.group_by {
            for key in keys {
                ExpressionBinder::new(self.functions(), &source.scope, "GROUP BY").bind(key)?;
            }
        }
        if !values {
            return Ok((source, vec![]));
        }
        let values = self.items(&select.projection, &source.scope)?;
        if let Some(of_outer) = values.iter().find(|v| reads(&v.expr).iter().any(|c| c.starts_with(OUTER))) {
            return Err(unsupported(
                format!("a column of the outer query in the SELECT list of IN ({})", of_outer.expr),
                query.span(),
            ));
        }
        Ok((source, values))
    }

    /// A sub-query of one row and one column becomes a column of every row.
    pub(super) fn value(
        &self,
        left: LogicalPlan,
        scope: &mut Scope,
        query: &Query,
        ctes: &Ctes,
    ) -> Result<LogicalPlan> {
        if scope.value_of(query).is_some() || scope.has_mark(query) {
            return Ok(left);
        }
        let single = if gives_one_row(query) { None } else { Some(self.single(query)?) };
        let own = single.as_ref().unwrap_or(query);
        let right = match self.bind_inside(own, ctes) {
            Ok(right) => right,
            // It may name columns of the query outside.
            Err(e) if is_not_found(&e) => {
                let done = match single.is_some() {
                    true => self.correlated_single(left, scope, query, ctes),
                    false => self.correlated_value(left, scope, (query, query), ctes),
                };
                return done.map_err(|_| correlated_deeper(e, query));
            }
            Err(e) => return Err(e),
        };
        let (right, right_scope) = beside(&left, right.clone(), Scope::of_plan(&right, &[])?)?;
        let [one] = right_scope.columns.as_slice() else {
            return Err(at(
                Error::user("a sub-query as a value has one column").hint("Select one expression in it"),
                query.span(),
            ));
        };
        let column = ScopeColumn { data_type: one.data_type.with_nullable(true), ..one.clone() };
        scope.add_value(query, column);
        join(left, right, JoinKind::Left, None, JoinFlavour::Unsettled)
    }

    /// A query whose one row is that of another, which fails where that has several: SINGLE_VALUE, as in Flink.
    fn single(&self, query: &Query) -> Result<Query> {
        let of_rows = "SELECT SINGLE_VALUE(`$value`) FROM (VALUES (1)) AS `$single` (`$value`)";
        let mut around = self.tables().parse_query(of_rows)?;
        if let SetExpr::Select(select) = query.body.as_ref()
            && select.projection.len() > 1
        {
            return Err(at(
                Error::user("a sub-query as a value has one column").hint("Select one expression in it"),
                query.span(),
            ));
        }
        let SetExpr::Select(select) = around.body.as_mut() else { return Err(Error::internal("no SELECT")) };
        if let Some(ast::TableFactor::Derived { subquery, .. }) = select.from.first_mut().map(|t| &mut t.relation) {
            **subquery = query.clone();
        }
        Ok(around)
    }

    /// The same where its WHERE names columns of the query outside.
    fn correlated_single(
        &self,
        left: LogicalPlan,
        scope: &mut Scope,
        query: &Query,
        ctes: &Ctes,
    ) -> Result<LogicalPlan> {
        let plain = simple(query, true)
            .filter(|s| matches!(s.distinct, None | Some(ast::Distinct::Distinct)) && !super::lateral::has_over(s));
        let (Some(inside), SetExpr::Select(around)) = (plain, *self.single(query)?.body) else {
            return Err(unsupported("this sub-query as a value", query.span()));
        };
        let mut call = around.projection;
        if let ([ast::SelectItem::UnnamedExpr(Ast::Function(f))], [item]) =
            (call.as_mut_slice(), inside.projection.as_slice())
            && let ast::FunctionArguments::List(list) = &mut f.args
            && let ast::SelectItem::UnnamedExpr(item) | ast::SelectItem::ExprWithAlias { expr: item, .. } = item
        {
            list.args = vec![ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(item.clone()))];
            list.duplicate_treatment = inside.distinct.as_ref().map(|_| ast::DuplicateTreatment::Distinct);
        } else {
            return Err(unsupported("this sub-query as a value", query.span()));
        }
        let mut own = query.clone();
        own.order_by = None;
        *own.body = SetExpr::Select(Box::new(ast::Select { projection: call, distinct: None, ..inside.clone() }));
        self.correlated_value(left, scope, (query, &own), ctes)
    }

    /// The rows of a sub-query that belong to some row outside, under the names that they have: rows that nobody asks for
    /// must not fail.
    pub(super) fn asked_for(&self, left: &LogicalPlan, source: &Source) -> Result<LogicalPlan> {
        let names = identity(&source.plan)?.into_iter().map(|c| c.0);
        let (right, conditions) = connected(left, source.plan.clone(), source.correlated.clone())?;
        let columns = names.zip(identity(&right)?).map(|(name, (_, value))| (name, value)).collect();
        let asked = join(right, left.clone(), JoinKind::Semi, together(conditions), JoinFlavour::Unsettled)?;
        project(super::settle(self, asked, vec![])?, columns)
    }

    /// The rows for which a sub-query has an answer. Where that depends on a row of the query two levels out, too, it is
    /// an answer for pairs, of which that query chooses.
    fn asked(&self, asked: Asked, scope: &Scope, query: &Query, correlated: &mut Vec<Expr>) -> Result<LogicalPlan> {
        let Asked { left, right, kind, conditions, exists } = asked;
        let Some(right) = right else { return Ok(left) };
        let is_further = |c: &Expr| reads(c).iter().any(|name| name.starts_with(OUTER));
        if !conditions.iter().any(is_further) {
            let joined = join(left, right, kind, together(conditions), JoinFlavour::Unsettled)?;
            return Ok(if exists { by_existence(joined) } else { joined });
        }
        if kind != JoinKind::Semi || !scope.may_repeat() {
            return Err(unsupported_with(
                "this sub-query, where it names a column of a query two levels out",
                query.span(),
                "Only EXISTS and IN without NOT, inside EXISTS or IN, may do so",
            ));
        }
        let (further, own): (Vec<Expr>, Vec<Expr>) = conditions.into_iter().partition(is_further);
        correlated.extend(further);
        join(left, right, JoinKind::Inner, together(own), JoinFlavour::Unsettled)
    }

    fn exists(&self, left: LogicalPlan, scope: &Scope, query: &Query, negated: bool, ctes: &Ctes) -> Result<Asked> {
        let (query, none) = without_limit(query)?;
        let one = gives_one_row(&query);
        let mut source = None;
        if one {
            self.check_one_row(&query, scope, ctes)?;
        } else {
            source = Some(self.rows_of(&query, scope, false, ctes)?.0);
        }
        match source.filter(|_| !none) {
            Some(source) => {
                let kind = if negated { JoinKind::Anti } else { JoinKind::Semi };
                let exists = source.correlated.is_empty();
                let (right, conditions) = connected(&left, source.plan, source.correlated)?;
                Ok(Asked { left, right: Some(right), kind, conditions, exists })
            }
            None => {
                // A row is there, or none, whatever the rows are that it is made of.
                let holds = (one && !none) != negated;
                let left = if holds { left } else { crate::bind::filter(left, self.boolean(Some(false))?)? };
                Ok(Asked { left, right: None, kind: JoinKind::Semi, conditions: vec![], exists: false })
            }
        }
    }

    /// Whether a query could be answered that nobody needs to ask.
    pub(super) fn check_one_row(&self, query: &Query, outer: &Scope, ctes: &Ctes) -> Result<()> {
        let asked = self.bind_query(query, ctes);
        match (asked, query.body.as_ref()) {
            (Ok(_), _) => Ok(()),
            // It may name columns of the query outside.
            (Err(_), SetExpr::Select(select)) if query.with.is_none() => {
                let (plan, scope) = self.from(&select.from, ctes)?;
                self.source(plan, scope, select.selection.as_ref(), &[], Some(outer), ctes).map(|_| ())
            }
            (Err(e), _) => Err(e),
        }
    }

    fn within(
        &self,
        left: LogicalPlan,
        scope: &Scope,
        value: &Ast,
        query: &Query,
        negated: bool,
        ctes: &Ctes,
    ) -> Result<Asked> {
        let (source, items) = self.rows_of(query, scope, true, ctes)?;
        let wanted: Vec<&Ast> = match value {
            Ast::Tuple(values) => values.iter().collect(),
            Ast::Nested(inner) => vec![inner.as_ref()],
            other => vec![other],
        };
        if wanted.len() != items.len() {
            return Err(at(
                Error::user(format!(
                    "Values passed to IN operator must have compatible types: {} and {} columns",
                    wanted.len(),
                    items.len()
                ))
                .hint("Select as many columns in the sub-query as stand before IN"),
                query.span(),
            ));
        }
        // The SELECT list becomes columns, beside those that the conditions read.
        let mut columns = identity(&source.plan)?;
        let mut names = crate::bind::UniqueNames::of(source.plan.schema());
        let mut fields = vec![];
        for item in items {
            match &item.expr {
                Expr::Column(c) => fields.push((c.name.clone(), item.data_type.clone())),
                _ => {
                    let name = names.take("EXPR$0");
                    fields.push((name.clone(), item.data_type.clone()));
                    columns.push((name, item));
                }
            }
        }
        let inner = if columns.len() > source.plan.schema().fields().len() {
            project(source.plan, columns)?
        } else {
            source.plan
        };
        let mut equalities = vec![];
        for (value, (field, data_type)) in wanted.into_iter().zip(fields) {
            let outer = ExpressionBinder::new(self.functions(), scope, "WHERE").bind(value)?;
            let (value_nullable, item_nullable) = (outer.data_type.nullable, data_type.nullable);
            let outer = Typed { expr: as_outer(&outer.expr)?, data_type: outer.data_type };
            let item = Typed { expr: column(&field), data_type };
            let equal = self.functions().binary(Operator::Eq, outer.clone(), item.clone());
            let equal = equal.map_err(|e| at(e, query.span()))?;
            let mut condition = equal.expr;
            if negated {
                // `x NOT IN (..)` is not true where x or one of the values is NULL.
                let is_null = |e: Expr| Expr::IsNull(Box::new(e));
                let mut unknown = vec![];
                unknown.extend(value_nullable.then(|| is_null(outer.expr)));
                unknown.extend(item_nullable.then(|| is_null(item.expr)));
                condition = unknown
                    .into_iter()
                    .rev()
                    .fold(condition, |all, e| datafusion_expr::binary_expr(e, Operator::Or, all));
            }
            equalities.push(condition);
        }
        equalities.extend(source.correlated);
        let kind = if negated { JoinKind::Anti } else { JoinKind::Semi };
        let (right, conditions) = connected(&left, inner, equalities)?;
        Ok(Asked { left, right: Some(right), kind, conditions, exists: false })
    }
}

/// A semi or anti join that a sub-query asks for; without a right side it is answered.
struct Asked {
    left: LogicalPlan,
    right: Option<LogicalPlan>,
    kind: JoinKind,
    /// Over both; columns of the query further out have [`OUTER`] before their names.
    conditions: Vec<Expr>,
    /// Only whether there is a right row matters.
    exists: bool,
}

/// Whether a query has a row for every group of something.
fn groups_by_keys(query: &Query) -> bool {
    let SetExpr::Select(select) = query.body.as_ref() else { return false };
    matches!(&select.group_by, ast::GroupByExpr::Expressions(by, _) if !by.is_empty())
}

/// Whether a query has exactly one row: an aggregation of all rows, or a SELECT without FROM.
pub(super) fn gives_one_row(query: &Query) -> bool {
    let SetExpr::Select(select) = query.body.as_ref() else { return false };
    let whole = matches!(&select.group_by, ast::GroupByExpr::Expressions(e, m) if e.is_empty() && m.is_empty());
    let aggregates = shows_aggregates(select);
    let plain = query.limit_clause.is_none() && query.fetch.is_none() && select.having.is_none();
    let plain = plain && select.qualify.is_none();
    plain && whole && (aggregates || select.from.is_empty() && select.selection.is_none())
}

/// Whether the SELECT list calls aggregate functions.
fn shows_aggregates(select: &ast::Select) -> bool {
    crate::bind::select_list::expressions(&select.projection)
        .into_iter()
        .any(crate::bind::select_list::contains_aggregate)
}

/// Whether a SELECT aggregates.
pub(super) fn is_grouped(select: &ast::Select) -> bool {
    let ungrouped = matches!(&select.group_by, ast::GroupByExpr::Expressions(e, m) if e.is_empty() && m.is_empty());
    let aggregates = shows_aggregates(select);
    !ungrouped || select.having.is_some() || aggregates
}

/// Whether a query shows or keeps rows by windows of them.
fn looks_at_windows(query: &Query) -> bool {
    let SetExpr::Select(select) = query.body.as_ref() else { return false };
    super::lateral::is_over(select)
}

/// A query with all its rows, and whether LIMIT leaves none of them: EXISTS asks for no more than that.
pub(super) fn without_limit(query: &Query) -> Result<(std::borrow::Cow<'_, Query>, bool)> {
    use std::borrow::Cow;
    let (offset, most) = crate::bind::sort::limits(query.limit_clause.as_ref(), query.fetch.as_ref())?;
    if most.is_none() || most != Some(0) && offset > 0 {
        return Ok((Cow::Borrowed(query), false));
    }
    let all = Query { limit_clause: None, fetch: None, order_by: None, ..query.clone() };
    Ok((Cow::Owned(all), most == Some(0)))
}

/// A SELECT whose rows are those of FROM and WHERE. `values`: its SELECT list is wanted.
fn simple(query: &Query, values: bool) -> Option<&ast::Select> {
    let plain = query.with.is_none() && query.limit_clause.is_none() && query.fetch.is_none();
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let over = select.qualify.is_some() || values && crate::bind::select_list::contains_over(select);
    // Every row once or many times is the same to EXISTS and IN.
    (plain && !is_grouped(select) && !over).then_some(select)
}

/// A SELECT that groups, and has a row where FROM and WHERE have one: its groups are never empty. Where its `values` are
/// wanted, they are keys, which are the same in each row of a group.
fn ungrouped(query: &Query, values: bool) -> Option<&ast::Select> {
    let plain = query.with.is_none() && query.limit_clause.is_none() && query.fetch.is_none();
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let ast::GroupByExpr::Expressions(keys, modifiers) = &select.group_by else { return None };
    let is_set = |e: &Ast| matches!(e, Ast::GroupingSets(_) | Ast::Rollup(_) | Ast::Cube(_) | Ast::Tuple(_));
    let plain = plain && !keys.is_empty() && modifiers.is_empty() && !keys.iter().any(is_set);
    let plain = plain && select.having.is_none() && select.qualify.is_none();
    let shown = crate::bind::select_list::expressions(&select.projection);
    let of_keys = shown.len() == select.projection.len() && shown.iter().all(|e| keys.contains(e));
    (plain && (!values || of_keys)).then_some(select)
}

fn correlated_deeper(error: Error, query: &Query) -> Error {
    if is_not_found(&error) {
        return unsupported_with(
            format!("this sub-query, where it names a column of the query outside ({})", error.message()),
            query.span(),
            "Name outer columns only in the WHERE of the sub-query itself, or of a query in its FROM, without GROUP BY",
        );
    }
    error
}

/// An expression over the outer query's columns, as a sub-query writes it.
fn as_outer(e: &Expr) -> Result<Expr> {
    renamed(e, &|name| Some(format!("{OUTER}{name}")))
}

/// An expression with other columns.
pub(super) fn renamed(e: &Expr, to: &dyn Fn(&str) -> Option<String>) -> Result<Expr> {
    let done = e.clone().transform_up(|e| {
        Ok(match &e {
            Expr::Column(c) => match to(&c.name) {
                Some(name) => Transformed::yes(column(&name)),
                None => Transformed::no(e),
            },
            _ => Transformed::no(e),
        })
    });
    Ok(done.map_err(from_datafusion)?.data)
}

/// A sub-query beside the rows outside: with other names where both have one, and its conditions over both.
pub(super) fn connected(
    left: &LogicalPlan,
    right: LogicalPlan,
    conditions: Vec<Expr>,
) -> Result<(LogicalPlan, Vec<Expr>)> {
    let before = identity(&right)?;
    let (right, _) = beside(left, right, Scope::default())?;
    let after = identity(&right)?;
    let names: HashMap<String, String> = before.into_iter().zip(after).map(|(b, a)| (b.0, a.0)).collect();
    let to = |name: &str| match name.strip_prefix(OUTER) {
        Some(outer) => Some(outer.to_string()),
        None => names.get(name).cloned(),
    };
    let conditions = conditions.iter().map(|c| renamed(c, &to)).collect::<Result<_>>()?;
    Ok((right, conditions))
}
