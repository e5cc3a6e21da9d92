//! ORDER BY, OFFSET, LIMIT and FETCH.

use std::sync::Arc;

use datafusion_expr::LogicalPlan;
use datafusion_expr::logical_plan::Projection;
use flott_core::{Error, Result};
use sqlparser::ast::{self, Expr as Ast, Spanned, Value};

use super::expression::ExpressionBinder;
use super::functions::Functions;
use super::node::{FlinkNode, FlinkNodeKind, OrderKey, Sort};
use super::over::direction;
use super::project;
use super::refuse::{at, from_datafusion, refuse_if, unsupported_with};
use super::scope::{Scope, Typed, column, columns_of};
use super::{Binder, Ctes};

/// A query and the order that it is asked for.
pub(crate) struct Sortable {
    /// Its columns, and behind them those that rows are only ordered by.
    pub(crate) plan: LogicalPlan,
    pub(crate) order: Vec<OrderKey>,
    /// So many columns are shown.
    pub(crate) visible: usize,
}

impl Sortable {
    /// A query whose columns are all that rows can be ordered by.
    pub(crate) fn of_plan(plan: LogicalPlan, by: &[ast::OrderByExpr], functions: &Functions) -> Result<Sortable> {
        let columns: Vec<(String, Typed)> = columns_of(plan.schema())?
            .into_iter()
            .map(|(name, data_type)| (name.clone(), Typed { expr: column(&name), data_type }))
            .collect();
        let scope = Scope::of_plan(&plan, &[])?;
        let mut order = vec![];
        for by in by {
            let (ascending, nulls_last) = direction(by)?;
            let place = match shown(&by.expr, &columns)? {
                Some(place) => Some(place),
                None => {
                    let value = ExpressionBinder::new(functions, &scope, "ORDER BY").bind(&by.expr)?;
                    columns.iter().position(|c| c.1.expr == value.expr)
                }
            };
            let Some(place) = place else {
                return Err(unsupported_with(
                    "ORDER BY an expression here",
                    by.expr.span(),
                    "Order by a column of the result",
                ));
            };
            order.push(OrderKey { column: columns[place].0.clone(), ascending, nulls_last });
        }
        Ok(Sortable { visible: columns.len(), plan, order })
    }

    /// The query in its order, cut to what is asked for.
    pub(crate) fn sorted(self, offset: u64, fetch: Option<u64>) -> Result<LogicalPlan> {
        let Sortable { plan, order, visible } = self;
        let schema = plan.schema().clone();
        let columns = columns_of(&schema)?;
        let plan = FlinkNode::plan(FlinkNodeKind::Sort(Sort { order, offset, fetch }), plan, schema);
        if columns.len() == visible {
            return Ok(plan);
        }
        let shown = columns.into_iter().take(visible);
        project(plan, shown.map(|(name, data_type)| (name.clone(), Typed { expr: column(&name), data_type })).collect())
    }
}

impl Binder<'_> {
    /// A query inside of another one: an order that does not choose rows is that of nobody, and left out as in Flink.
    pub(crate) fn bind_inside(&self, query: &ast::Query, ctes: &Ctes) -> Result<LogicalPlan> {
        unordered(self.bind_query(query, ctes)?)
    }
}

/// Without an order on top that does not choose rows.
pub(super) fn unordered(plan: LogicalPlan) -> Result<LogicalPlan> {
    match &plan {
        LogicalPlan::Extension(extension) => match FlinkNode::of(extension) {
            Some(FlinkNode { kind: FlinkNodeKind::Sort(Sort { offset: 0, fetch: None, .. }), input, .. }) => {
                Ok(input.clone())
            }
            _ => Ok(plan),
        },
        // Without the columns that rows are only ordered by.
        LogicalPlan::Projection(shown) if matches!(shown.input.as_ref(), LogicalPlan::Extension(_)) => {
            let input = Arc::new(unordered(shown.input.as_ref().clone())?);
            let shown = Projection::try_new_with_schema(shown.expr.clone(), input, Arc::clone(&shown.schema));
            Ok(LogicalPlan::Projection(shown.map_err(from_datafusion)?))
        }
        _ => Ok(plan),
    }
}

/// The place of the column that an expression of ORDER BY names: by its number, or by its name.
pub(crate) fn shown(e: &Ast, columns: &[(String, Typed)]) -> Result<Option<usize>> {
    match e {
        Ast::Identifier(name) => Ok(columns.iter().position(|c| c.0 == name.value)),
        Ast::Value(v) => match &v.value {
            Value::Number(number, _) => {
                let place = number.parse::<usize>().ok().and_then(|n| n.checked_sub(1)).filter(|n| *n < columns.len());
                place.map(Some).ok_or_else(|| {
                    at(Error::user("Ordinal out of range").hint(format!("There are {} columns", columns.len())), v.span)
                })
            }
            _ => Ok(None),
        },
        _ => Ok(None),
    }
}

/// The expressions of ORDER BY.
pub(crate) fn order_of(order: Option<&ast::OrderBy>) -> Result<&[ast::OrderByExpr]> {
    let Some(ast::OrderBy { kind, interpolate }) = order else { return Ok(&[]) };
    match kind {
        ast::OrderByKind::Expressions(by) => {
            let span = by.first().map_or_else(sqlparser::tokenizer::Span::empty, |b| b.expr.span());
            refuse_if(interpolate.is_some(), "INTERPOLATE", span)?;
            Ok(by)
        }
        ast::OrderByKind::All(_) => {
            Err(unsupported_with("ORDER BY ALL", sqlparser::tokenizer::Span::empty(), "Name the columns"))
        }
    }
}

/// How many rows are left out, and how many stay at most.
pub(crate) fn limits(limit: Option<&ast::LimitClause>, fetch: Option<&ast::Fetch>) -> Result<(u64, Option<u64>)> {
    let (mut offset, mut most) = (0, None);
    match limit {
        None => {}
        Some(ast::LimitClause::LimitOffset { limit, offset: from, limit_by }) => {
            if let Some(by) = limit_by.first() {
                refuse_if(true, "LIMIT BY", by.span())?;
            }
            most = limit.as_ref().map(number).transpose()?;
            if let Some(ast::Offset { value, rows: _ }) = from {
                offset = number(value)?;
            }
        }
        Some(ast::LimitClause::OffsetCommaLimit { offset: from, limit }) => {
            offset = number(from)?;
            most = Some(number(limit)?);
        }
    }
    if let Some(ast::Fetch { with_ties, percent, quantity }) = fetch {
        let span = quantity.as_ref().map_or_else(sqlparser::tokenizer::Span::empty, Spanned::span);
        refuse_if(*with_ties, "WITH TIES", span)?;
        refuse_if(*percent, "FETCH .. PERCENT", span)?;
        refuse_if(most.is_some(), "LIMIT and FETCH together", span)?;
        most = Some(quantity.as_ref().map_or(Ok(1), number)?);
    }
    Ok((offset, most))
}

fn number(e: &Ast) -> Result<u64> {
    let value = match e {
        Ast::Value(v) => match &v.value {
            Value::Number(number, _) => number.parse().ok(),
            _ => None,
        },
        _ => None,
    };
    value.ok_or_else(|| {
        unsupported_with(format!("'{e}' as a number of rows"), e.span(), "Write a number, as in LIMIT 10")
    })
}
