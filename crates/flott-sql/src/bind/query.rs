//! Queries: WITH, what stands between brackets, DISTINCT, FROM. A SELECT is in `select.rs`.

use std::time::Duration;

use datafusion_expr::LogicalPlan;
use flott_core::{Error, Result};
use sqlparser::ast::{self, Cte, Query, SetExpr, Spanned, With};

use super::node::{Aggregate, FlinkNode, FlinkNodeKind};
use super::refuse::{at, refuse_if, unsupported, unsupported_with};
use super::set_operation::materialized;
use super::sort;
use super::values::one_row;
use super::window;
use super::{Binder, Ctes, QUERY_DEPTH_MAX, Scope, columns_of, plan_schema};

impl Binder<'_> {
    /// A query among visible CTEs. The plan's column names are what an outer query sees.
    pub(crate) fn bind_query(&self, q: &Query, ctes: &Ctes) -> Result<LogicalPlan> {
        self.depth.set(self.depth.get() + 1);
        if self.depth.get() > QUERY_DEPTH_MAX {
            return Err(Error::user(format!("queries and views nest deeper than {QUERY_DEPTH_MAX}"))
                .hint("Check whether a view reads itself"));
        }
        let plan = self.on_its_own(|| self.bind_query_inner(q, ctes));
        self.depth.set(self.depth.get() - 1);
        plan
    }

    fn bind_query_inner(&self, q: &Query, ctes: &Ctes) -> Result<LogicalPlan> {
        let Query {
            with,
            body,
            order_by,
            limit_clause,
            fetch,
            locks,
            for_clause,
            settings,
            format_clause,
            pipe_operators,
        } = q;
        let (offset, limit) = sort::limits(limit_clause.as_ref(), fetch.as_ref())?;
        let order = sort::order_of(order_by.as_ref())?;
        refuse_if(!locks.is_empty(), "FOR UPDATE / FOR SHARE", q.span())?;
        refuse_if(for_clause.is_some(), "FOR XML / FOR JSON", q.span())?;
        refuse_if(settings.is_some(), "SETTINGS", q.span())?;
        refuse_if(format_clause.is_some(), "FORMAT", q.span())?;
        refuse_if(!pipe_operators.is_empty(), "the pipe operator |>", q.span())?;
        let mut visible = ctes.clone();
        if let Some(With { with_token: _, recursive, cte_tables }) = with {
            refuse_if(*recursive, "WITH RECURSIVE", q.span())?;
            for cte in cte_tables {
                let Cte { alias, query, from, materialized, closing_paren_token: _ } = cte;
                refuse_if(from.is_some(), "FROM after a CTE", alias.name.span)?;
                refuse_if(materialized.is_some(), "MATERIALIZED", alias.name.span)?;
                let plan = self.bind_inside(query, &visible)?;
                let written = self.written.take();
                let twice = written.iter().enumerate().find(|(i, name)| written[..*i].contains(name));
                if let (true, Some((_, name))) = (alias.columns.is_empty(), twice) {
                    return Err(at(
                        Error::user(format!("Column has duplicate column name '{name}' and no column list specified"))
                            .hint("Rename one of them, or name the columns behind the name of the query"),
                        alias.name.span,
                    ));
                }
                let plan = self.renamed(plan, alias)?;
                visible.push((alias.name.value.clone(), plan));
            }
        }
        if order.is_empty() && limit.is_none() && offset == 0 {
            return self.set_expr(body, &visible);
        }
        let sorted = match body.as_ref() {
            SetExpr::Select(select) => self.select(select, &visible, order)?,
            other => sort::Sortable::of_plan(self.set_expr(other, &visible)?, order, &self.functions)?,
        };
        sorted.sorted(offset, limit)
    }

    pub(super) fn set_expr(&self, body: &SetExpr, ctes: &Ctes) -> Result<LogicalPlan> {
        match body {
            SetExpr::Select(select) => Ok(self.select(select, ctes, &[])?.plan),
            SetExpr::Query(q) => self.bind_query(q, ctes),
            // The names are those of the first branch, which is bound last.
            SetExpr::SetOperation { .. } => self.set_operation(body, ctes),
            SetExpr::Values(values) => {
                self.written.take();
                self.values(values)
            }
            // Where TABLE t is a query the parser has made a SELECT of it.
            SetExpr::Table(_) => Err(unsupported_with("TABLE t here", body.span(), "Write SELECT * FROM t")),
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                Err(unsupported("a statement that writes, inside a query", body.span()))
            }
        }
    }

    /// Every row once: a grouping by all columns.
    pub(crate) fn distinct(&self, input: LogicalPlan, state_ttl: Option<Duration>) -> Result<LogicalPlan> {
        let columns = columns_of(input.schema())?;
        let group: Vec<String> = columns.iter().map(|c| c.0.clone()).collect();
        let columns = if window::is_windowed(&input, &group, None) { columns } else { materialized(columns) };
        let schema = plan_schema(columns.iter().map(|(n, t)| (n.as_str(), t)))?;
        let node = Aggregate { group, sets: None, calls: vec![], state_ttl };
        Ok(FlinkNode::plan(FlinkNodeKind::Aggregate(node), input, schema))
    }

    /// What stands in FROM, side by side.
    pub(crate) fn from(&self, from: &[ast::TableWithJoins], ctes: &Ctes) -> Result<(LogicalPlan, Scope)> {
        let Some((first, more)) = from.split_first() else {
            return Ok((one_row(), Scope::default()));
        };
        let first = self.table_with_joins(first, ctes)?;
        more.iter().try_fold(first, |left, t| {
            if super::join::reads_the_left(&t.relation) {
                let left = self.beside_comma(left, &t.relation, ctes)?;
                return t.joins.iter().try_fold(left, |left, join| self.joined(left, join, ctes));
            }
            self.product(left, self.table_with_joins(t, ctes)?)
        })
    }
}
