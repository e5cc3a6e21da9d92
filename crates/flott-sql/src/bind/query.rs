//! Queries: WITH, VALUES, SELECT with its clauses.

use std::sync::Arc;
use std::time::Duration;

use datafusion_common::DFSchema;
use datafusion_expr::logical_plan::{EmptyRelation, Union, Values as ValuesNode};
use datafusion_expr::{Expr, LogicalPlan};
use flott_core::types::{RowField, TimeAttribute, TypeKind};
use flott_core::{Error, LogicalType, Result};
use sqlparser::ast::{
    self, Cte, Distinct, Expr as Ast, GroupByExpr, Query, Select, SelectFlavor, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, Spanned, WildcardAdditionalOptions, With,
};

use super::expression::ExpressionBinder;
use super::grouped::{Clauses, arguments_of_aggregates};
use super::items::{aliases_are_clear, item_meant, ordered, without_aliases};
use super::node::{Aggregate, FlinkNode, FlinkNodeKind, OrderKey};
use super::over::{OverCalls, direction};
use super::refuse::{At, at, name_parts, not_found, refuse_if, unsupported, unsupported_with};
use super::scope::{TABLES_HERE, unique};
use super::sort;
use super::window;
use super::{
    Binder, Ctes, QUERY_DEPTH_MAX, Scope, Typed, UniqueNames, column, columns_of, from_datafusion, plan_schema, project,
};

/// How many grouping sets a query may have.
pub const GROUPING_SETS_MAX: usize = 1_024;

impl Binder<'_> {
    /// A query among visible CTEs. The plan's column names are what an outer query sees.
    pub(crate) fn bind_query(&self, q: &Query, ctes: &Ctes) -> Result<LogicalPlan> {
        self.depth.set(self.depth.get() + 1);
        if self.depth.get() > QUERY_DEPTH_MAX {
            return Err(Error::user(format!("queries and views nest deeper than {QUERY_DEPTH_MAX}"))
                .hint("Check whether a view reads itself"));
        }
        let plan = self.bind_query_inner(q, ctes);
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
                let plan = self.bind_query(query, &visible)?;
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

    /// VALUES: every column has the least common type of its rows.
    fn values(&self, values: &ast::Values) -> Result<LogicalPlan> {
        let ast::Values { explicit_row: _, value_keyword: _, rows } = values;
        let scope = Scope::default();
        let mut bound: Vec<Vec<Typed>> = vec![];
        for row in rows {
            let cells = row_values(&row.content)
                .into_iter()
                .map(|e| ExpressionBinder::new(&self.functions, &scope, "VALUES").bind(e))
                .collect::<Result<Vec<_>>>()?;
            if bound.first().is_some_and(|first| first.len() != cells.len()) {
                return Err(at(
                    Error::user("Values passed to VALUES operator must have compatible types")
                        .hint("Every row must have the same number of values"),
                    values.span(),
                ));
            }
            bound.push(cells);
        }
        let Some(first) = bound.first() else { return Err(Error::user("VALUES without a row")) };
        let mut types = vec![];
        for i in 0..first.len() {
            let of_rows: Vec<LogicalType> = bound.iter().map(|r| r[i].data_type.clone()).collect();
            let common = self.functions.least_common_type(&of_rows).ok_or_else(|| {
                at(
                    Error::user("Values passed to VALUES operator must have compatible types")
                        .hint(format!("CAST the values of column {} to one type", i + 1)),
                    values.span(),
                )
            })?;
            types.push(common);
        }
        let names: Vec<String> = (0..types.len()).map(|i| format!("EXPR${i}")).collect();
        let schema = plan_schema(names.iter().map(String::as_str).zip(&types))?;
        let values = bound
            .into_iter()
            .map(|row| {
                row.into_iter()
                    .zip(&types)
                    .map(|(v, t)| Ok(self.functions.cast_if_needed(v, t)?.expr))
                    .collect::<Result<Vec<Expr>>>()
            })
            .collect::<Result<Vec<_>>>()?;
        if values.iter().flatten().any(Expr::is_volatile) {
            return rows_computed(values, names, types, schema);
        }
        Ok(LogicalPlan::Values(ValuesNode { schema, values }))
    }

    fn select(&self, s: &Select, ctes: &Ctes, order: &[ast::OrderByExpr]) -> Result<sort::Sortable> {
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
    fn expand<'q>(&self, items: &'q [SelectItem], scope: &Scope) -> Result<Vec<Item<'q>>> {
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
                    out.extend(scope.columns.iter().filter(|c| !scope.is_merged(c)).map(Item::of_column));
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
                        .map(Item::of_column)
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
                    out.extend(columns);
                }
            }
        }
        Ok(out)
    }

    /// A plan under the column names of an alias: `AS t (a, b)`.
    pub(crate) fn renamed(&self, plan: LogicalPlan, alias: &ast::TableAlias) -> Result<LogicalPlan> {
        let ast::TableAlias { explicit: _, name, columns, at: alias_at } = alias;
        refuse_if(alias_at.is_some(), "AT after an alias", name.span)?;
        refuse_text(name)?;
        if columns.is_empty() {
            return Ok(plan);
        }
        refuse_if(columns.iter().any(|c| c.data_type.is_some()), "types in an alias' column list", name.span)?;
        let names: Vec<String> = columns.iter().map(|c| c.name.value.clone()).collect();
        rename_columns(plan, &names).at_span(name.span)
    }
}

/// The values of a row of VALUES: `(ROW(1, 'a'))` is one of two values, as `ROW(1, 'a')` is.
pub(crate) fn row_values(row: &[Ast]) -> Vec<&Ast> {
    if let [Ast::Function(f)] = row
        && f.name.to_string().eq_ignore_ascii_case("ROW")
        && let ast::FunctionArguments::List(list) = &f.args
        && let Some(values) = list
            .args
            .iter()
            .map(|a| match a {
                ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(e)) => Some(e),
                _ => None,
            })
            .collect::<Option<Vec<_>>>()
        && !values.is_empty()
    {
        return values;
    }
    row.iter().collect()
}

/// `SELECT a 'b'`: the parser takes a text for a name.
fn refuse_text(alias: &ast::Ident) -> Result<()> {
    if alias.quote_style == Some('\'') {
        return Err(at(
            Error::user(format!("the text '{}' cannot stand here", alias.value))
                .hint("Names stand in backticks; texts are put together with ||"),
            alias.span,
        ));
    }
    Ok(())
}

/// Whether both are event time of one kind, both processing time, or neither is a time attribute.
pub(super) fn same_time_attribute(a: &LogicalType, b: &LogicalType) -> bool {
    let local = |t: &LogicalType| matches!(t.kind, TypeKind::TimestampLtz(..));
    let attribute = a.kind.time_attribute();
    attribute == b.kind.time_attribute() && (attribute != TimeAttribute::Rowtime || local(a) == local(b))
}

pub(super) fn time_attributes_differ(name: &str, a: &LogicalType, b: &LogicalType) -> Error {
    let (a, b) = (a.with_nullable(true), b.with_nullable(true));
    Error::user(format!("Union fields with time attributes requires same types, but the types are {a} and {b}"))
        .with("column", name)
        .hint("CAST the column to TIMESTAMP(3) or TIMESTAMP_LTZ(3) in every branch: a plain timestamp is no time attribute")
}

/// A plan with other column names.
pub(crate) fn rename_columns(plan: LogicalPlan, names: &[String]) -> Result<LogicalPlan> {
    let columns = columns_of(plan.schema())?;
    if columns.len() != names.len() {
        return Err(Error::user(format!("{} names for {} columns", names.len(), columns.len()))
            .hint("Name every column, or none"));
    }
    if let Some(twice) = names.iter().enumerate().find(|(i, n)| names[..*i].contains(n)) {
        return Err(Error::user(format!("Duplicate name '{}' in column list", twice.1)).hint("Rename one of them"));
    }
    let columns = columns
        .into_iter()
        .zip(names)
        .map(|((field, data_type), name)| (name.clone(), Typed { expr: column(&field), data_type }))
        .collect();
    project(plan, columns)
}

/// Columns without time attributes.
pub(super) fn materialized(columns: Vec<(String, LogicalType)>) -> Vec<(String, LogicalType)> {
    columns.into_iter().map(|(n, t)| (n, t.with_time_attribute(TimeAttribute::None))).collect()
}

/// `(a, b)` and `((a))` in GROUP BY are their parts.
pub(super) fn flattened(e: &Ast) -> Vec<&Ast> {
    match e {
        Ast::Tuple(items) => items.iter().flat_map(flattened).collect(),
        Ast::Nested(inner) => flattened(inner),
        other => vec![other],
    }
}

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

/// VALUES that are not known before the job runs (of the clock, or of chance): each row a projection, as in Flink.
fn rows_computed(
    rows: Vec<Vec<Expr>>,
    names: Vec<String>,
    types: Vec<LogicalType>,
    schema: datafusion_common::DFSchemaRef,
) -> Result<LogicalPlan> {
    let mut inputs = vec![];
    for row in rows {
        let typed = row.into_iter().zip(&types).map(|(expr, t)| Typed { expr, data_type: t.clone() });
        inputs.push(Arc::new(project(one_row(), names.iter().cloned().zip(typed).collect())?));
    }
    Ok(match <[Arc<LogicalPlan>; 1]>::try_from(inputs) {
        Ok([one]) => Arc::unwrap_or_clone(one),
        Err(inputs) => LogicalPlan::Union(Union { inputs, schema }),
    })
}

/// One row without columns.
pub(crate) fn one_row() -> LogicalPlan {
    let schema = Arc::new(DFSchema::empty());
    LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: true, schema })
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

/// `written`: gets the names as the query writes them, of which several may be the same.
fn bind_items(
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

/// For DataFusion's own errors in plan nodes.
pub(crate) fn df<T>(result: datafusion_common::Result<T>) -> Result<T> {
    result.map_err(from_datafusion)
}
