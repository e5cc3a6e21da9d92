//! SELECT with its clauses.

use flott_core::{Error, Result};
use sqlparser::ast::{self, Distinct, Expr as Ast, GroupByExpr, Select, SelectFlavor, Spanned};

use super::expression::ExpressionBinder;
use super::grouped::{Clauses, arguments_of_aggregates};
use super::items::{aliases_are_clear, item_meant, ordered, without_aliases};
use super::node::OrderKey;
use super::over::{OverCalls, direction};
use super::refuse::{at, refuse_if, unsupported, unsupported_with};
use super::select_list::{Item, bind_items, contains_aggregate, expressions};
use super::sort;
use super::{Binder, Ctes, Typed, project};

impl Binder<'_> {
    pub(super) fn select(&self, s: &Select, ctes: &Ctes, order: &[ast::OrderByExpr]) -> Result<sort::Sortable> {
        let Select {
            select_token: _,
            optimizer_hints: _,
            distinct,
            select_modifiers,
            top,
            top_before_distinct: _,
            projection,
            exclude,
            into,
            from,
            lateral_views,
            prewhere,
            selection,
            connect_by,
            group_by,
            cluster_by,
            distribute_by,
            sort_by,
            having,
            named_window,
            qualify,
            window_before_qualify: _,
            value_table_mode,
            flavor,
        } = s;
        let span = s.span();
        let distinct = match distinct {
            None | Some(Distinct::All) => false,
            Some(Distinct::Distinct) => true,
            Some(Distinct::On(_)) => return Err(unsupported("DISTINCT ON", span)),
        };
        refuse_if(select_modifiers.is_some(), "modifiers after SELECT", span)?;
        refuse_if(top.is_some(), "TOP", span)?;
        refuse_if(exclude.is_some(), "EXCLUDE", span)?;
        refuse_if(into.is_some(), "SELECT INTO", span)?;
        refuse_if(!lateral_views.is_empty(), "LATERAL VIEW", span)?;
        refuse_if(prewhere.is_some(), "PREWHERE", span)?;
        refuse_if(!connect_by.is_empty(), "CONNECT BY", span)?;
        refuse_if(!cluster_by.is_empty(), "CLUSTER BY", span)?;
        refuse_if(!distribute_by.is_empty(), "DISTRIBUTE BY", span)?;
        refuse_if(!sort_by.is_empty(), "SORT BY", span)?;
        refuse_if(value_table_mode.is_some(), "AS VALUE / AS STRUCT", span)?;
        refuse_if(!matches!(flavor, SelectFlavor::Standard), "FROM before SELECT", span)?;

        super::relation::names_differ(from)?;
        self.ttls.borrow_mut().push(super::hints::of_joins(s)?);
        self.lookups.borrow_mut().push(super::hints::of_lookups(s)?);
        let bound = self.from(from, ctes);
        self.ttls.borrow_mut().pop();
        self.lookups.borrow_mut().pop();
        let (plan, scope) = bound?;
        let values = expressions(projection);
        let (group_exprs, has_group_by) = match group_by {
            GroupByExpr::All(_) => return Err(unsupported("GROUP BY ALL", span)),
            GroupByExpr::Expressions(exprs, modifiers) => {
                refuse_if(!modifiers.is_empty(), "WITH ROLLUP / CUBE / TOTALS", span)?;
                (exprs.as_slice(), !exprs.is_empty())
            }
        };
        if let Some(q) = qualify {
            aliases_are_clear(q, projection)?;
        }
        let qualify = qualify.as_ref().map(|q| without_aliases(q, projection));
        let qualify = qualify.as_ref();
        let order: Vec<ast::OrderByExpr> = order.iter().map(|by| ordered(by, projection)).collect();
        let order = order.as_slice();
        let aggregates = has_group_by || having.is_some() || values.iter().any(|e| contains_aggregate(e));
        let ordered_by = order.iter().map(|by| &by.expr);
        let values: Vec<&Ast> = if aggregates {
            // The others are of the groups.
            let all = values.into_iter().chain(having).chain(ordered_by).chain(qualify);
            group_exprs.iter().chain(all.flat_map(arguments_of_aggregates)).collect()
        } else {
            values.into_iter().chain(ordered_by).chain(qualify).collect()
        };
        let super::join::Source { plan, scope, .. } =
            self.source(plan, scope, selection.as_ref(), &values, None, ctes).map_err(|e| item_meant(e, s))?;
        let items = self.expand(projection, &scope)?;
        let state_ttl = super::hints::of_select(s, aggregates || distinct, self.is_batch())?;
        let tail = Tail { order, qualify };
        let mut over = OverCalls::new(named_window, self.is_batch());
        let (plan, bound) = if aggregates {
            let (group_by, having) = (group_exprs, having.as_ref());
            let clauses = Clauses { items, group_by, having, named_window, tail, state_ttl };
            self.grouped(plan, (&scope, &mut over), clauses, ctes).map_err(|e| item_meant(e, s))?
        } else {
            let mut binder = ExpressionBinder::new(&self.functions, &scope, "SELECT");
            binder.over = Some(&mut over);
            let bound = bind_tail(&mut binder, items, tail).map_err(|e| item_meant(e, s))?;
            (plan, bound)
        };
        let BoundTail { columns, written, order, visible, qualify } = bound;
        self.written.replace(written);
        if let Some(condition) = s.qualify.as_ref().filter(|_| over.is_empty()) {
            return Err(at(
                Error::user(format!("QUALIFY expression '{condition}' must contain a window function"))
                    .hint("Conditions on rows stand in WHERE, those on groups in HAVING"),
                condition.span(),
            ));
        }
        let plan = project(over.over(plan, qualify)?, columns)?;
        if !distinct {
            return Ok(sort::Sortable { plan, order, visible });
        }
        if plan.schema().fields().len() > visible {
            return Err(unsupported_with(
                "ORDER BY a column that SELECT DISTINCT does not show",
                span,
                "Select the column, or order in a query around this one",
            ));
        }
        Ok(sort::Sortable { plan: self.distinct(plan, state_ttl)?, order, visible })
    }
}

/// What is bound where the columns are.
#[derive(Clone, Copy)]
pub(super) struct Tail<'q> {
    pub(super) order: &'q [ast::OrderByExpr],
    pub(super) qualify: Option<&'q Ast>,
}

pub(super) struct BoundTail {
    /// Those that are shown, and behind them those that rows are only ordered by.
    columns: Vec<(String, Typed)>,
    /// What the query calls those that are shown.
    written: Vec<String>,
    order: Vec<OrderKey>,
    visible: usize,
    qualify: Option<Typed>,
}

pub(super) fn bind_tail(binder: &mut ExpressionBinder<'_>, items: Vec<Item<'_>>, tail: Tail<'_>) -> Result<BoundTail> {
    let mut written = vec![];
    let mut columns = bind_items(binder, items, &mut written)?;
    let visible = columns.len();
    binder.clause = "QUALIFY";
    let qualify = tail.qualify.map(|q| binder.condition(q)).transpose()?;
    binder.clause = "ORDER BY";
    let mut order = vec![];
    for by in tail.order {
        let (ascending, nulls_last) = direction(by)?;
        let shown = sort::shown(&by.expr, &columns[..visible])?;
        let column = match shown {
            Some(place) => columns[place].0.clone(),
            None => {
                let value = binder.bind(&by.expr)?;
                match columns.iter().find(|c| c.1.expr == value.expr) {
                    Some(same) => same.0.clone(),
                    None => {
                        let name = format!("$s{}", columns.len());
                        columns.push((name.clone(), value));
                        name
                    }
                }
            }
        };
        order.push(OrderKey { column, ascending, nulls_last });
    }
    Ok(BoundTail { columns, written, order, visible, qualify })
}
