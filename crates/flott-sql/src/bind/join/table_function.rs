//! `LATERAL TABLE(f(..))`: of each row so far the rows that a function makes of it. One that is written in SQL is its query
//! with the arguments as columns; and a LATERAL query over collections of the row is bound the same way, beside the row. One
//! that is code gives an array of rows, which is unnested.

use datafusion_common::ScalarValue;
use datafusion_expr::Expr;
use flott_connector::function::FunctionSignature;
use flott_core::types::{TypeKind, arrow_type};
use flott_core::{Error, Result};
use flott_graph::JoinKind;
use sqlparser::ast::{
    self, Expr as Ast, FunctionArg, FunctionArgExpr, FunctionArguments, JoinConstraint, ObjectName, Query, Select,
    SetExpr, Spanned, TableFactor,
};
use sqlparser::tokenizer::Span;

use super::embedded::embedded;
use super::subquery::is_grouped;
use super::unnest::of_elements_that;
use super::{Bound, identity, is_true, settle};
use crate::bind::expression::ExpressionBinder;
use crate::bind::refuse::{
    At, at, from_datafusion, name_parts, name_text, not_found, refuse_if, unsupported, unsupported_with,
};
use crate::bind::values::one_row;
use crate::bind::{
    Binder, Ctes, QUERY_DEPTH_MAX, Scope, ScopeColumn, Typed, UniqueNames, UserDefined, columns_of, filter,
    not_too_large, project,
};

/// What the parser takes for a function behind LATERAL.
const UNNEST: &str = "UNNEST";

/// `LATERAL UNNEST(..)` as UNNEST, which reads the tables before it in any case.
fn lateral_unnest(relation: &TableFactor) -> Option<TableFactor> {
    let TableFactor::Function { lateral: true, name, args, with_ordinality, alias } = relation else { return None };
    let collections = args.iter().map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) => Some(e.clone()),
        _ => None,
    });
    let array_exprs =
        collections.collect::<Option<Vec<_>>>().filter(|_| name_text(name).eq_ignore_ascii_case(UNNEST))?;
    let (alias, with_ordinality) = (alias.clone(), *with_ordinality);
    Some(TableFactor::UNNEST { alias, array_exprs, with_offset: false, with_offset_alias: None, with_ordinality })
}

/// Says which rows an UNNEST has padded.
const ORDINALITY: &str = "$ordinality";

impl Binder<'_> {
    /// `LATERAL TABLE(f(..))`
    pub(super) fn lateral_function(
        &self,
        left: Bound,
        relation: &TableFactor,
        kind: JoinKind,
        constraint: &JoinConstraint,
    ) -> Result<Bound> {
        if let Some(unnest) = lateral_unnest(relation) {
            return self.unnest(left, &unnest, kind, constraint);
        }
        let TableFactor::Function { lateral: _, name, args, with_ordinality, alias } = relation else {
            return Err(Error::internal("a function in FROM that is none"));
        };
        let span = name.span();
        refuse_if(*with_ordinality, "WITH ORDINALITY", span)?;
        let call = match args.as_slice() {
            [FunctionArg::Unnamed(FunctionArgExpr::Expr(Ast::Function(f)))]
                if name_text(name).eq_ignore_ascii_case("TABLE") =>
            {
                f
            }
            _ => return Err(unsupported(format!("LATERAL {}(..)", name_text(name)), span)),
        };
        let FunctionArguments::List(list) = &call.args else {
            return Err(unsupported("this argument of a table function", span));
        };
        if let Some(function) = self.user_table_function(&call.name) {
            if !matches!(kind, JoinKind::Inner | JoinKind::Left) {
                return Err(at(
                    Error::user("a table function on the right of a RIGHT or FULL JOIN reads the tables before it")
                        .hint("Use CROSS JOIN LATERAL or LEFT JOIN LATERAL"),
                    span,
                ));
            }
            let (plan, columns) = self.call_table_function(left, &function, &call.name, &list.args, kind)?;
            return self.expanded_as(plan, columns, alias.as_ref(), kind, constraint, span);
        }
        let function = name_text(&call.name).to_uppercase();
        if function == UNNEST {
            return Err(at(
                Error::user("UNNEST is no table function for LATERAL TABLE(..)").hint(
                    "Write LEFT JOIN UNNEST(t.a) AS u (element) ON TRUE, or CROSS JOIN UNNEST(t.a) AS u (element)",
                ),
                span,
            ));
        }
        if function != super::vector_search::FUNCTION {
            return Err(not_found(
                format!("Table function '{function}' not found"),
                &function,
                [super::vector_search::FUNCTION],
                "Table functions behind LATERAL",
                span,
            ));
        }
        self.vector_search(left, &list.args, alias.as_ref(), kind, constraint, span)
    }

    /// The same as the first in FROM, where it is `TABLE(f(..))`.
    pub(crate) fn lateral_function_alone(&self, relation: &TableFactor, ctes: &Ctes) -> Result<Bound> {
        if let Some(unnest) = lateral_unnest(relation) {
            return self.unnest_alone(&unnest);
        }
        let TableFactor::Function { name, args, alias, with_ordinality: false, lateral: _ } = relation else {
            return Err(unsupported("WITH ORDINALITY", relation.span()));
        };
        match args.as_slice() {
            [FunctionArg::Unnamed(FunctionArgExpr::Expr(call @ Ast::Function(_)))]
                if name_text(name).eq_ignore_ascii_case("TABLE") =>
            {
                let relation = TableFactor::TableFunction { expr: call.clone(), alias: alias.clone() };
                self.table_factor(&relation, ctes)
            }
            _ => Err(unsupported(format!("LATERAL {}(..)", name_text(name)), name.span())),
        }
    }

    /// The table function of the user's own that has this name.
    pub(crate) fn user_table_function(&self, name: &ObjectName) -> Option<UserDefined> {
        let parts = name_parts(name).ok()?;
        let parts: Vec<&str> = parts.iter().map(|i| i.value.as_str()).collect();
        self.functions().of_user(&parts).filter(|f| f.signature().is_table)
    }

    /// `TABLE(f(..))` where there is no row yet.
    pub(crate) fn table_function_alone(
        &self,
        function: &UserDefined,
        name: &ObjectName,
        args: &[FunctionArg],
        alias: Option<&ast::TableAlias>,
    ) -> Result<Bound> {
        let nothing = (one_row(), Scope::default());
        let ((plan, _), columns) = self.call_table_function(nothing, function, name, args, JoinKind::Inner)?;
        self.expanded_as((plan, Scope::default()), columns, alias, JoinKind::Inner, &JoinConstraint::None, name.span())
    }

    /// The rows so far with the arguments as columns, then the function's query beside them.
    fn call_table_function(
        &self,
        (left, left_scope): Bound,
        function: &UserDefined,
        name: &ObjectName,
        args: &[FunctionArg],
        kind: JoinKind,
    ) -> Result<(Bound, Vec<ScopeColumn>)> {
        let (text, span) = (name.to_string(), name.span());
        let mut binder = ExpressionBinder::new(self.functions(), &left_scope, "a table function");
        let mut values = vec![];
        for arg in args {
            match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) => values.push(binder.bind(e)?),
                _ => {
                    let hint = format!("It is {}", function.signature().text(&text));
                    return Err(unsupported_with("this argument of a table function", span, hint));
                }
            }
        }
        let arguments = self.functions().arguments(function.signature(), &text, values).at_span(span)?;
        let left = settle(self, left, vec![])?;
        let Some(body) = function.sql() else {
            let rows = self.functions().call_code(function, &text, arguments).at_span(span)?;
            let (plan, columns) = self.unnested(left, rows, kind == JoinKind::Left, false, None, span)?;
            let mut left_scope = left_scope;
            left_scope.follow(&plan)?;
            return Ok(((plan, left_scope), columns));
        };
        let mut names = UniqueNames::of(left.schema());
        let mut columns = identity(&left)?;
        let mut parameters = vec![];
        for ((parameter, data_type), argument) in function.signature().parameters.iter().zip(arguments) {
            let field = names.take(&format!("$f{}", columns.len()));
            let data_type = data_type.with_nullable(argument.data_type.nullable);
            parameters.push(ScopeColumn {
                qualifier: vec![],
                name: parameter.clone(),
                field: field.clone(),
                data_type: data_type.clone(),
            });
            columns.push((field, Typed { expr: argument.expr, data_type }));
        }
        let plan = project(left, columns)?;
        not_too_large(&plan).at_span(span)?;
        if self.depth.get() >= QUERY_DEPTH_MAX {
            return Err(Error::user(format!(
                "functions and queries call each other more than {QUERY_DEPTH_MAX} deep: {text}"
            ))
            .hint("A function must not call itself, not through others either"))
            .at_span(span);
        }
        // The innermost one is named.
        let of_body = |e: Error| {
            let named = e.contexts().iter().any(|(what, _)| *what == "function");
            let e = crate::bind::relation::without_position(&e);
            if named { e } else { e.with("function", &text) }
        };
        self.depth.set(self.depth.get() + 1);
        let body =
            self.table_function_body((plan, left_scope), parameters, function.signature(), body, kind).map_err(of_body);
        self.depth.set(self.depth.get() - 1);
        let body = body?;
        not_too_large(&body.0.0).at_span(span)?;
        Ok(body)
    }

    fn table_function_body(
        &self,
        left: Bound,
        parameters: Vec<ScopeColumn>,
        function: &FunctionSignature,
        body: &str,
        kind: JoinKind,
    ) -> Result<(Bound, Vec<ScopeColumn>)> {
        let mut query = self.tables().parse_query(body)?;
        let span = query.span();
        values_as_rows(&mut query, self.tables().parse_query("SELECT * FROM UNNEST(ARRAY[0])")?);
        let Some(select) = plain_select(&query) else {
            return Err(unsupported_with(
                "WITH, UNION, GROUP BY, DISTINCT, ORDER BY or LIMIT in the query of a table function",
                span,
                "Write SELECT .. [FROM UNNEST(..) or tables] [WHERE ..], or VALUES",
            ));
        };
        let scope = Scope::of(parameters);
        let ((plan, left_scope), columns) = self.expanded(left, scope, select, kind, &vec![])?;
        let declared = function.columns().unwrap_or_default();
        if declared.len() != columns.len() {
            return Err(Error::user(format!(
                "the query gives {} columns, and the function returns {}",
                columns.len(),
                declared.len()
            ))
            .hint("Name in RETURNS TABLE (..) every column that the query gives"));
        }
        let own: Vec<&str> = columns.iter().map(|c| c.field.as_str()).collect();
        let mut all: Vec<(String, Typed)> =
            identity(&plan)?.into_iter().filter(|(name, _)| !own.contains(&name.as_str())).collect();
        let mut given = vec![];
        for (c, declared) in columns.into_iter().zip(declared) {
            let wanted = &declared.data_type;
            if c.data_type.kind != wanted.kind && !self.functions().implicit_cast(&c.data_type, wanted) {
                return Err(Error::user(format!(
                    "the query gives {} for the column '{}', which is {wanted}",
                    c.data_type, declared.name
                ))
                .hint("CAST it in the query"));
            }
            if c.data_type.nullable && !wanted.nullable && kind == JoinKind::Inner {
                return Err(Error::user(format!(
                    "what the query gives for the column '{}' may be NULL, which {wanted} is not",
                    declared.name
                ))
                .hint("Write COALESCE(.., value) around it"));
            }
            let wanted = wanted.with_nullable(wanted.nullable || kind == JoinKind::Left);
            let value = self.functions().cast_if_needed(c.typed(), &wanted)?;
            let value = Typed { expr: value.expr, data_type: wanted.clone() };
            all.push((c.field.clone(), value));
            given.push(ScopeColumn { name: declared.name.clone(), data_type: wanted, ..c });
        }
        Ok(((project(plan, all)?, left_scope), given))
    }

    /// Whether the query of a table function gives what it declares.
    pub(crate) fn check_table_function(&self, function: &FunctionSignature, body: &str) -> Result<()> {
        let mut columns = vec![];
        let mut parameters = vec![];
        for (name, t) in &function.parameters {
            let null = ScalarValue::try_new_null(&arrow_type(t)).map_err(from_datafusion)?;
            let field = format!("$f{}", columns.len());
            columns.push((field.clone(), Typed::literal(null, t.clone())));
            parameters.push(ScopeColumn { qualifier: vec![], name: name.clone(), field, data_type: t.clone() });
        }
        let left = (project(one_row(), columns)?, Scope::default());
        self.table_function_body(left, parameters, function, body, JoinKind::Inner).map(|_| ())
    }

    /// The rows so far, each with the rows that a query without groups makes beside it; then what it gives. `outer`: what
    /// the query may name of the rows so far.
    pub(super) fn expanded(
        &self,
        (left, left_scope): Bound,
        outer: Scope,
        select: &Select,
        kind: JoinKind,
        ctes: &Ctes,
    ) -> Result<(Bound, Vec<ScopeColumn>)> {
        let span = select.span();
        let padded = kind == JoinKind::Left;
        let kept = columns_of(left.schema())?;
        let mut from = select.from.clone();
        let mut marked = false;
        if padded && from.is_empty() && select.selection.is_some() {
            return Err(padded_only_unnest(span));
        }
        if padded && !from.is_empty() {
            let [ast::TableWithJoins { relation: TableFactor::UNNEST { with_ordinality, alias, .. }, joins }] =
                from.as_mut_slice()
            else {
                return Err(padded_only_unnest(span));
            };
            if !joins.is_empty() {
                return Err(padded_only_unnest(span));
            }
            if let (false, Some(alias)) = (*with_ordinality, alias.as_mut().filter(|a| !a.columns.is_empty())) {
                alias.columns.push(ast::TableAliasColumnDef::from_name(ORDINALITY));
            }
            marked = !*with_ordinality;
            *with_ordinality = true;
        }
        let (mut plan, mut scope) = (left, outer.clone());
        for t in &from {
            t.joins.iter().try_for_each(refuse_join)?;
            let next = if super::reads_the_left(&t.relation) {
                self.of_the_left((plan, scope), &t.relation, kind, &JoinConstraint::None, ctes)?
            } else {
                let right = self.table_factor(&t.relation, ctes)?;
                self.product((plan, scope), right)?
            };
            (plan, scope) = t.joins.iter().try_fold(next, |left, join| self.joined(left, join, ctes))?;
        }
        let own: Vec<ScopeColumn> = scope.columns.split_off(outer.columns.len());
        let ordinality = match (padded && !from.is_empty(), own.last()) {
            (true, Some(c)) => Some(c.typed()),
            _ => None,
        };
        let shown = Scope::of(own[..own.len() - usize::from(marked)].to_vec());
        // A column of this query hides one outside of the same name.
        for c in std::mem::take(&mut scope.columns) {
            let hidden = shown.columns.iter().any(|own| own.name == c.name);
            if hidden && c.qualifier.is_empty() {
                continue;
            }
            if hidden {
                scope.merge(&c);
            }
            scope.columns.push(c);
        }
        scope.columns.extend(shown.columns.iter().cloned());
        let items: Vec<&Ast> = crate::bind::select_list::expressions(&select.projection);
        let mut selection = select.selection.as_ref();
        if padded && let Some(condition) = selection.take() {
            if !embedded(condition, true, &|_| false).is_empty() {
                return Err(padded_only_unnest(span));
            }
            // What rows are padded for: no element of theirs meets it.
            let condition = ExpressionBinder::new(self.functions(), &scope, "WHERE").condition(condition)?;
            plan = of_elements_that(plan, condition)?;
        }
        let source = self.source(plan, scope, selection, &items, None, ctes)?;
        let plan = settle(self, source.plan, vec![])?;
        let (mut scope, mut shown) = (source.scope, shown);
        scope.follow(&plan)?;
        shown.follow(&plan)?;
        let items = self.items_of(&select.projection, &scope, &shown)?;
        let of_left = |name: &String| kept.iter().any(|(kept, _)| kept == name);
        let mut names = UniqueNames::of(plan.schema());
        let mut columns: Vec<(String, Typed)> = identity(&plan)?.into_iter().filter(|(n, _)| of_left(n)).collect();
        let mut given = vec![];
        for (name, item) in items {
            let item = match &ordinality {
                Some(ordinality) => self.padded_item(ordinality, item)?,
                None => item,
            };
            let field = names.take(&name);
            given.push(ScopeColumn {
                qualifier: vec![],
                name,
                field: field.clone(),
                data_type: item.data_type.clone(),
            });
            columns.push((field, item));
        }
        let plan = project(plan, columns)?;
        let mut left_scope = left_scope;
        left_scope.follow(&plan)?;
        Ok(((plan, left_scope), given))
    }

    /// NULL where the UNNEST has padded the row.
    fn padded_item(&self, ordinality: &Typed, item: Typed) -> Result<Typed> {
        let data_type = item.data_type.with_nullable(true);
        let null = ScalarValue::try_new_null(&arrow_type(&data_type)).map_err(from_datafusion)?;
        let padded =
            Typed { expr: Expr::IsNull(Box::new(ordinality.expr.clone())), data_type: TypeKind::Boolean.not_null() };
        let value = Typed { expr: item.expr, data_type: data_type.clone() };
        let case = self.functions().case(vec![(padded, Typed::literal(null, data_type.clone()))], value)?;
        Ok(Typed { expr: case.expr, data_type })
    }

    /// Both side by side, and what ON says of them.
    pub(super) fn expanded_as(
        &self,
        (plan, left_scope): Bound,
        mut columns: Vec<ScopeColumn>,
        alias: Option<&ast::TableAlias>,
        kind: JoinKind,
        constraint: &JoinConstraint,
        span: Span,
    ) -> Result<Bound> {
        named(&mut columns, alias, span)?;
        let mut scope = left_scope;
        scope.take_in(&Scope::of(columns));
        let on = match constraint {
            JoinConstraint::None => return Ok((plan, scope)),
            JoinConstraint::On(e) => ExpressionBinder::new(self.functions(), &scope, "ON").condition(e)?,
            _ => return Err(unsupported("USING with LATERAL", span)),
        };
        if is_true(&on.expr) {
            return Ok((plan, scope));
        }
        if kind == JoinKind::Left {
            return Err(unsupported_with("a condition of LEFT JOIN LATERAL (..)", span, "Only ON TRUE is possible"));
        }
        Ok((filter(plan, on)?, scope))
    }
}

fn padded_only_unnest(span: Span) -> Error {
    unsupported_with(
        "LEFT JOIN LATERAL of a query over collections with a condition on something else, or of several relations",
        span,
        "Use CROSS JOIN LATERAL; or let the query read one UNNEST alone",
    )
}

/// The SELECT of a query that has FROM and WHERE and nothing else.
fn plain_select(query: &Query) -> Option<&Select> {
    let plain =
        query.with.is_none() && query.order_by.is_none() && query.limit_clause.is_none() && query.fetch.is_none();
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let Select { distinct, top, into, lateral_views, prewhere, qualify, connect_by, .. } = select.as_ref();
    let plain = plain
        && !is_grouped(select)
        && distinct.is_none()
        && top.is_none()
        && into.is_none()
        && lateral_views.is_empty()
        && prewhere.is_none()
        && qualify.is_none()
        && connect_by.is_empty()
        && select.cluster_by.is_empty()
        && select.distribute_by.is_empty()
        && select.sort_by.is_empty();
    plain.then_some(select.as_ref())
}

/// The rows outside stand on the left of each join: what pads them, or names columns of both sides, would mean them, too.
fn refuse_join(join: &ast::Join) -> Result<()> {
    use ast::JoinOperator as Operator;
    let (pads_left, constraint) = match &join.join_operator {
        Operator::Right(c) | Operator::RightOuter(c) | Operator::FullOuter(c) => (true, c),
        Operator::Join(c)
        | Operator::Inner(c)
        | Operator::CrossJoin(c)
        | Operator::Left(c)
        | Operator::LeftOuter(c) => (false, c),
        // Others are refused where they are joined.
        _ => return Ok(()),
    };
    let shared = matches!(constraint, JoinConstraint::Using(_) | JoinConstraint::Natural);
    refuse_if(
        pads_left || shared,
        "RIGHT JOIN, FULL JOIN, NATURAL JOIN or USING in a query beside rows of the tables before it",
        join.relation.span(),
    )
}

/// The SELECT of a query that makes rows of collections that the row outside has.
pub(super) fn expands(query: &Query) -> Option<&Select> {
    let unnests = |s: &&Select| s.from.first().is_some_and(|t| matches!(t.relation, TableFactor::UNNEST { .. }));
    plain_select(query).filter(unnests)
}

/// VALUES over the parameters, as the elements of a collection.
fn values_as_rows(query: &mut Query, like: Query) {
    let SetExpr::Values(values) = query.body.as_ref() else { return };
    // A value that is a ROW is one column all the same.
    let elem = values.rows.iter().map(|row| Ast::Tuple(row.content.clone())).collect();
    let mut like = like;
    if let SetExpr::Select(select) = like.body.as_mut()
        && let Some(TableFactor::UNNEST { array_exprs, .. }) = select.from.first_mut().map(|t| &mut t.relation)
    {
        *array_exprs = vec![Ast::Array(ast::Array { elem, named: true })];
        query.body = like.body;
    }
}

/// The names that an alias gives to columns.
pub(super) fn named(columns: &mut [ScopeColumn], alias: Option<&ast::TableAlias>, span: Span) -> Result<()> {
    let Some(alias) = alias else { return Ok(()) };
    let given: Vec<&str> = alias.columns.iter().map(|c| c.name.value.as_str()).collect();
    if !given.is_empty() && given.len() != columns.len() {
        return Err(at(
            Error::user(format!("{} names for {} columns", given.len(), columns.len()))
                .hint("Name every column, or none"),
            span,
        ));
    }
    for (i, c) in columns.iter_mut().enumerate() {
        c.qualifier = vec![alias.name.value.clone()];
        if let Some(name) = given.get(i) {
            c.name = (*name).to_string();
        }
    }
    Ok(())
}
