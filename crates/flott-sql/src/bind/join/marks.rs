//! Sub-queries that stand anywhere in an expression: IN and EXISTS as values that are TRUE, FALSE or unknown.
//!
//! As Calcite rewrites them: the values of the sub-query, each once, beside the row; and where NULL may be among them or
//! before IN, their number and that of those that are not NULL. Where the sub-query says that values of it are equal to
//! values of the row outside, all that for each of its values.

use datafusion_common::ScalarValue;
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_expr::{Expr, ExprSchemable, LogicalPlan, Operator};
use flott_core::types::{TypeKind, from_arrow_field};
use flott_core::{Error, LogicalType, Result};
use flott_function::AggregateKind;
use flott_graph::JoinKind;
use sqlparser::ast::{self, Expr as Ast, Query, SetExpr, Spanned};

use super::embedded::Embedded;
use super::predicate::{comparison, reads, together};
use super::subquery::Source;
use super::{beside, join};
use crate::bind::aggregate::Aggregates;
use crate::bind::expression::{ExpressionBinder, case_expr};
use crate::bind::node::{Aggregate, AggregateCall, FlinkNode, FlinkNodeKind, JoinFlavour};
use crate::bind::refuse::{at, unsupported_with};
use crate::bind::scope::OUTER;
use crate::bind::window::unaliased;
use crate::bind::{Binder, Ctes, Scope, Typed, column, from_datafusion, plan_schema, project};

/// The columns of a sub-query beside the rows outside.
struct Beside {
    plan: LogicalPlan,
    fields: Vec<String>,
}

fn placed(left: &LogicalPlan, right: LogicalPlan) -> Result<Beside> {
    let scope = Scope::of_plan(&right, &[])?;
    let (plan, scope) = beside(left, right, scope)?;
    Ok(Beside { plan, fields: scope.columns.into_iter().map(|c| c.field).collect() })
}

/// What a sub-query says about the row outside: values of both that are equal.
#[derive(Default)]
pub(super) struct Keys {
    /// Over the sub-query's rows.
    inner: Vec<Typed>,
    /// The equalities, and whether the inner value stands on their left side.
    equal: Vec<(Expr, bool)>,
}

impl Keys {
    /// `None` where it says something else about it.
    pub(super) fn of(source: &Source, query: &Query) -> Result<Option<Keys>> {
        let mut keys = Keys::default();
        for part in &source.correlated {
            if reads(part).iter().any(|c| c.strip_prefix(OUTER).is_some_and(|c| c.starts_with(OUTER))) {
                return Err(unsupported_with(
                    "a sub-query inside an expression that names a column of a query two levels out",
                    query.span(),
                    "Only EXISTS and IN without NOT, inside EXISTS or IN, may do so",
                ));
            }
            let is_outer = |e: &Expr| {
                let read = reads(e);
                !read.is_empty() && read.iter().all(|c| c.starts_with(OUTER))
            };
            let is_inner = |e: &Expr| !reads(e).iter().any(|c| c.starts_with(OUTER));
            let (key, on_left) = match comparison(part) {
                Some(("=", a, b)) if is_outer(a) && is_inner(b) => (b, false),
                Some(("=", a, b)) if is_outer(b) && is_inner(a) => (a, true),
                _ => return Ok(None),
            };
            let (_, field) = key.to_field(source.plan.schema()).map_err(from_datafusion)?;
            let data_type = from_arrow_field(&field)
                .ok_or_else(|| Error::internal(format!("a key of the type {}", field.data_type())))?;
            keys.add(Typed { expr: key.clone(), data_type }, part.clone(), on_left);
        }
        Ok(Some(keys))
    }

    /// A value of the sub-query's rows, and its equality with one outside.
    pub(super) fn add(&mut self, inner: Typed, equal: Expr, on_left: bool) {
        self.inner.push(inner);
        self.equal.push((equal, on_left));
    }

    /// The inner values under names of their own.
    fn columns(&self) -> Vec<(String, Typed)> {
        self.inner.iter().enumerate().map(|(i, key)| (format!("k{i}"), key.clone())).collect()
    }

    /// The columns of the inner values again, where they have been computed.
    fn kept(&self) -> Vec<(String, Typed)> {
        let kept = |(name, key): (String, Typed)| {
            let expr = column(&name);
            (name, Typed { expr, data_type: key.data_type })
        };
        self.columns().into_iter().map(kept).collect()
    }

    /// The equalities, with the inner values in the first of these columns.
    fn conditions(&self, fields: &[String]) -> Result<Vec<Expr>> {
        let mut conditions = vec![];
        for ((equal, on_left), field) in self.equal.iter().zip(fields) {
            let Expr::ScalarFunction(f) = unaliased(equal) else {
                return Err(Error::internal("an equality that is no call"));
            };
            let mut f = f.clone();
            let place = usize::from(!on_left);
            f.args[place] = column(field);
            f.args[1 - place] = substituted(&f.args[1 - place], &|name| name.strip_prefix(OUTER).map(column))?;
            conditions.push(Expr::ScalarFunction(f));
        }
        Ok(conditions)
    }
}

/// The query of `ANY (..)` and `ALL (..)`.
fn queried(e: &Ast) -> Result<&Query> {
    match e {
        Ast::Subquery(query) => Ok(query),
        Ast::Nested(inner) => queried(inner),
        other => {
            Err(unsupported_with("ANY or ALL of something that is no query", other.span(), "Write ANY (SELECT ..)"))
        }
    }
}

/// The comparison that is true where another is false.
fn opposite(op: &ast::BinaryOperator) -> ast::BinaryOperator {
    use ast::BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    match op {
        Gt => LtEq,
        GtEq => Lt,
        Lt => GtEq,
        LtEq => Gt,
        Eq => NotEq,
        NotEq => Eq,
        other => other.clone(),
    }
}

fn substituted(e: &Expr, by: &dyn Fn(&str) -> Option<Expr>) -> Result<Expr> {
    let done = e.clone().transform_up(|e| {
        Ok(match &e {
            Expr::Column(c) => match by(&c.name) {
                Some(new) => Transformed::yes(new),
                None => Transformed::no(e),
            },
            _ => Transformed::no(e),
        })
    });
    Ok(done.map_err(from_datafusion)?.data)
}

impl Binder<'_> {
    /// IN or EXISTS becomes a column of every row.
    pub(super) fn mark(
        &self,
        left: LogicalPlan,
        scope: &mut Scope,
        embedded: &Embedded<'_>,
        ctes: &Ctes,
    ) -> Result<LogicalPlan> {
        if scope.mark_of(embedded.e).is_some() {
            return Ok(left);
        }
        let (plan, mark) = match embedded.e {
            Ast::Exists { subquery, negated } => self.exists_mark(left, scope, subquery, *negated, ctes)?,
            Ast::InSubquery { expr, subquery, negated } => {
                let (plan, mark) = self.in_mark(left, scope, (expr, subquery), embedded.two_valued, ctes)?;
                (plan, if *negated { self.functions().not(mark) } else { mark })
            }
            Ast::AnyOp { left: value, compare_op, right, is_some: _ } => {
                let query = queried(right)?;
                self.any_mark(left, scope, (value, compare_op, query), embedded.two_valued, ctes)?
            }
            // What is true of all is what the opposite is true of none.
            Ast::AllOp { left: value, compare_op, right } => {
                let query = queried(right)?;
                let (plan, mark) = self.any_mark(left, scope, (value, &opposite(compare_op), query), false, ctes)?;
                (plan, self.functions().not(mark))
            }
            _ => return Ok(left),
        };
        scope.add_mark(embedded.e, mark);
        Ok(plan)
    }

    pub(super) fn boolean(&self, value: Option<bool>) -> Result<Typed> {
        let t = TypeKind::Boolean.nullable().with_nullable(value.is_none());
        self.functions().literal(ScalarValue::Boolean(value), &t)
    }

    fn exists_mark(
        &self,
        left: LogicalPlan,
        scope: &Scope,
        query: &Query,
        negated: bool,
        ctes: &Ctes,
    ) -> Result<(LogicalPlan, Typed)> {
        let (query, none) = super::subquery::without_limit(query)?;
        if super::subquery::gives_one_row(&query) {
            self.check_one_row(&query, scope, ctes)?;
            return Ok((left, self.boolean(Some(negated == none))?));
        }
        let (source, _) = self.rows_of(&query, scope, false, ctes)?;
        if none {
            return Ok((left, self.boolean(Some(negated))?));
        }
        let (source, keys) = self.keyed(&left, source, &mut [], &query)?;
        let mut columns = keys.columns();
        columns.push(("i".to_string(), self.boolean(Some(true))?));
        let there = placed(&left, self.distinct(project(source.plan, columns)?, None)?)?;
        let i = column(&there.fields[keys.inner.len()]);
        let condition = together(keys.conditions(&there.fields)?);
        let plan = join(left, there.plan, JoinKind::Left, condition, JoinFlavour::Unsettled)?;
        let expr = if negated { Expr::IsNull(Box::new(i)) } else { Expr::IsNotNull(Box::new(i)) };
        Ok((plan, Typed { expr, data_type: TypeKind::Boolean.not_null() }))
    }

    fn in_mark(
        &self,
        left: LogicalPlan,
        scope: &Scope,
        (value, query): (&Ast, &Query),
        two_valued: bool,
        ctes: &Ctes,
    ) -> Result<(LogicalPlan, Typed)> {
        let (source, mut items) = self.rows_of(query, scope, true, ctes)?;
        let (source, keys) = self.keyed(&left, source, &mut items, query)?;
        let [item] = <[Typed; 1]>::try_from(items).map_err(|items| {
            at(
                Error::user(format!(
                    "Values passed to IN operator must have compatible types: 1 and {} columns",
                    items.len()
                ))
                .hint("Select one column in the sub-query"),
                query.span(),
            )
        })?;
        let value = ExpressionBinder::new(self.functions(), scope, "IN").bind(value)?;
        let item_type = item.data_type.clone();
        let mut columns = keys.columns();
        columns.push(("v".to_string(), item));
        let right = project(source.plan, columns)?;
        let n = keys.inner.len();
        let may_be_null = value.data_type.nullable || item_type.nullable;
        let mut plan = left;
        let mut numbers = None;
        if may_be_null && !two_valued {
            let counts = placed(&plan, counts(right.clone(), &keys, &item_type)?)?;
            // Without rows there are no numbers: then, too, nothing is among them.
            let kind = if n == 0 { JoinKind::Inner } else { JoinKind::Left };
            let condition = together(keys.conditions(&counts.fields)?);
            plan = join(plan, counts.plan, kind, condition, JoinFlavour::Unsettled)?;
            let t = TypeKind::BigInt.nullable().with_nullable(n > 0);
            let of = |i: usize| Typed { expr: column(&counts.fields[n + i]), data_type: t.clone() };
            numbers = Some((of(0), of(1)));
        }
        let mut marked = keys.kept();
        marked.push(("v".to_string(), Typed { expr: column("v"), data_type: item_type.clone() }));
        marked.push(("i".to_string(), self.boolean(Some(true))?));
        let values = placed(&plan, self.distinct(project(right, marked)?, None)?)?;
        let item = Typed { expr: column(&values.fields[n]), data_type: item_type };
        let equal = self.functions().binary(Operator::Eq, value.clone(), item);
        let mut conditions = keys.conditions(&values.fields)?;
        conditions.push(equal.map_err(|e| at(e, query.span()))?.expr);
        plan = join(plan, values.plan, JoinKind::Left, together(conditions), JoinFlavour::Unsettled)?;
        let found = Expr::IsNotNull(Box::new(column(&values.fields[n + 1])));
        let found = Typed { expr: found, data_type: TypeKind::Boolean.not_null() };
        let Some((all, filled)) = numbers else { return Ok((plan, found)) };
        let is_null = |e: Expr| Typed { expr: Expr::IsNull(Box::new(e)), data_type: TypeKind::Boolean.not_null() };
        let none = if n == 0 {
            let zero = self.functions().literal(ScalarValue::Int64(Some(0)), &TypeKind::BigInt.not_null())?;
            self.functions().binary(Operator::Eq, all.clone(), zero)?
        } else {
            is_null(all.expr.clone())
        };
        let mut branches = vec![(none, self.boolean(Some(false))?)];
        if value.data_type.nullable {
            branches.push((is_null(value.expr), self.boolean(None)?));
        }
        branches.push((found, self.boolean(Some(true))?));
        branches.push((self.functions().binary(Operator::Lt, filled, all)?, self.boolean(None)?));
        Ok((plan, self.functions().case(branches, self.boolean(Some(false))?)?))
    }

    /// `x op ANY (..)`: of values that must be less it is the least that decides, of others the greatest.
    fn any_mark(
        &self,
        left: LogicalPlan,
        scope: &Scope,
        (value, op, query): (&Ast, &ast::BinaryOperator, &Query),
        two_valued: bool,
        ctes: &Ctes,
    ) -> Result<(LogicalPlan, Typed)> {
        let (extremes, operator): (&[AggregateKind], _) = match op {
            ast::BinaryOperator::Eq => return self.in_mark(left, scope, (value, query), two_valued, ctes),
            ast::BinaryOperator::Gt => (&[AggregateKind::Min], Operator::Gt),
            ast::BinaryOperator::GtEq => (&[AggregateKind::Min], Operator::GtEq),
            ast::BinaryOperator::Lt => (&[AggregateKind::Max], Operator::Lt),
            ast::BinaryOperator::LtEq => (&[AggregateKind::Max], Operator::LtEq),
            // What differs from one of several values differs from the least or from the greatest.
            ast::BinaryOperator::NotEq => (&[AggregateKind::Min, AggregateKind::Max], Operator::NotEq),
            other => {
                return Err(unsupported_with(
                    format!("the operator {other} before a set of values"),
                    query.span(),
                    "Write =, <> or an order, as in x > ALL (..)",
                ));
            }
        };
        let (source, mut items) = self.rows_of(query, scope, true, ctes)?;
        let (source, keys) = self.keyed(&left, source, &mut items, query)?;
        let [item] = items.as_slice() else {
            return Err(at(
                Error::user("ANY and ALL compare with a query of one column").hint("Select one column in it"),
                query.span(),
            ));
        };
        let value = ExpressionBinder::new(self.functions(), scope, "ANY").bind(value)?;
        let item_type = item.data_type.clone();
        let mut columns = keys.columns();
        columns.push(("v".to_string(), item.clone()));
        let input = project(source.plan, columns)?;
        let call = |name: &str, kind: AggregateKind, argument: bool, result: &LogicalType| AggregateCall {
            kind,
            arguments: argument.then(|| "v".to_string()).into_iter().collect(),
            argument_type: argument.then(|| item_type.clone()),
            filter: None,
            distinct: false,
            result: result.clone(),
            name: name.to_string(),
        };
        let number = TypeKind::BigInt.not_null();
        let mut calls =
            vec![call("c", AggregateKind::Count, false, &number), call("d", AggregateKind::Count, true, &number)];
        for (i, kind) in extremes.iter().enumerate() {
            let t = self.functions().aggregate_type(*kind, std::slice::from_ref(&item_type), false)?;
            calls.push(call(&format!("m{i}"), *kind, true, &t));
        }
        let (kept, n) = (keys.kept(), keys.inner.len());
        let of_keys = kept.iter().map(|(name, key)| (name.as_str(), &key.data_type));
        let schema = plan_schema(of_keys.chain(calls.iter().map(|c| (c.name.as_str(), &c.result))))?;
        let group = kept.iter().map(|k| k.0.clone()).collect();
        let results: Vec<LogicalType> = calls.iter().map(|c| c.result.clone()).collect();
        let node = Aggregate { group, sets: None, calls, state_ttl: None };
        let there = placed(&left, FlinkNode::plan(FlinkNodeKind::Aggregate(node), input, schema))?;
        // Without rows there are no numbers where they are counted by the keys.
        let kind = if n == 0 { JoinKind::Inner } else { JoinKind::Left };
        let condition = together(keys.conditions(&there.fields)?);
        let plan = join(left, there.plan, kind, condition, JoinFlavour::Unsettled)?;
        let of = |i: usize| Typed {
            expr: column(&there.fields[n + i]),
            data_type: results[i].with_nullable(results[i].nullable || n > 0),
        };
        let mut compared: Option<Typed> = None;
        for i in 0..extremes.len() {
            let one = self.functions().binary(operator, value.clone(), of(2 + i)).map_err(|e| at(e, query.span()))?;
            compared = Some(match compared {
                Some(before) => self.functions().binary(Operator::Or, before, one)?,
                None => one,
            });
        }
        let compared = compared.ok_or_else(|| Error::internal("a comparison with nothing"))?;
        let zero = self.functions().literal(ScalarValue::Int64(Some(0)), &number)?;
        let is_true = Expr::IsTrue(Box::new(compared.expr.clone()));
        let none = if n == 0 {
            self.functions().binary(Operator::Eq, of(0), zero)?
        } else {
            Typed { expr: Expr::IsNull(Box::new(of(0).expr)), data_type: TypeKind::Boolean.not_null() }
        };
        let branches = vec![
            (none, self.boolean(Some(false))?),
            (Typed { expr: is_true, data_type: TypeKind::Boolean.not_null() }, self.boolean(Some(true))?),
            (self.functions().binary(Operator::Gt, of(0), of(1))?, self.boolean(None)?),
        ];
        Ok((plan, self.functions().case(branches, compared)?))
    }

    /// A sub-query that aggregates the rows that belong to the row outside. Where there are none, COUNT is 0.
    pub(super) fn correlated_value(
        &self,
        left: LogicalPlan,
        scope: &mut Scope,
        (written, query): (&Query, &Query),
        ctes: &Ctes,
    ) -> Result<LogicalPlan> {
        let SetExpr::Select(select) = query.body.as_ref() else {
            return Err(unsupported_with("this sub-query as a value", query.span(), "Write one SELECT"));
        };
        let (plan, inner) = self.from(&select.from, ctes)?;
        let [ast::SelectItem::UnnamedExpr(item) | ast::SelectItem::ExprWithAlias { expr: item, .. }] =
            select.projection.as_slice()
        else {
            return Err(at(
                Error::user("a sub-query as a value has one column").hint("Select one expression in it"),
                query.span(),
            ));
        };
        let whole = self.source(plan, inner, select.selection.as_ref(), &[item], Some(&*scope), ctes)?;
        let is_outer = |v: &Typed| reads(&v.expr).iter().any(|c| c.starts_with(OUTER));
        let (mut source, mut keys) = self.keyed(&left, whole.clone(), &mut [], query)?;
        let of_groups = |source: &Source, keys: &Keys| {
            let mut aggregates = Aggregates::new(keys.columns(), None, None);
            let bound =
                ExpressionBinder::grouped(self.functions(), &source.scope, &mut aggregates, "SELECT").bind(item)?;
            Ok::<_, Error>((bound, aggregates))
        };
        let (mut bound, mut aggregates) = of_groups(&source, &keys)?;
        let mut asks: Vec<Typed> = aggregates.fed().into_iter().map(|i| i.1).filter(is_outer).collect();
        if !asks.is_empty() {
            // The aggregates read the row outside, too.
            (source, keys) = self.generated(&left, whole, &mut asks, query)?;
            (bound, aggregates) = of_groups(&source, &keys)?;
        }
        let inputs = aggregates.fed();
        let Aggregates { keys: group, calls, .. } = aggregates;
        let mut feed: Vec<(String, Typed)> = group.iter().map(|k| (k.field.clone(), k.input.clone())).collect();
        for (name, value) in inputs {
            let expr = substituted(&value.expr, &|name| name.strip_prefix(OUTER).map(column))?;
            feed.push((name, Typed { expr, data_type: value.data_type }));
        }
        let may_fail = calls.iter().any(|c| c.kind == AggregateKind::SingleValue) && !source.correlated.is_empty();
        let rows = if may_fail { self.asked_for(&left, &source)? } else { source.plan };
        let input = project(rows, feed)?;
        let output = group.iter().map(|k| (k.field.as_str(), &k.output));
        let schema = plan_schema(output.chain(calls.iter().map(|c| (c.name.as_str(), &c.result))))?;
        let names: Vec<String> = schema.fields().iter().map(|f| f.name().clone()).collect();
        let node = Aggregate {
            group: group.iter().map(|k| k.field.clone()).collect(),
            sets: None,
            calls: calls.clone(),
            state_ttl: None,
        };
        let there = placed(&left, FlinkNode::plan(FlinkNodeKind::Aggregate(node), input, schema))?;
        let condition = together(keys.conditions(&there.fields)?);
        let plan = join(left, there.plan, JoinKind::Left, condition, JoinFlavour::Unsettled)?;
        let value = substituted(&bound.expr, &|name| {
            let place = names.iter().position(|n| n == name)?;
            let field = column(&there.fields[place]);
            let counts = calls.iter().any(|c| c.name == name && c.kind == AggregateKind::Count);
            if !counts {
                return Some(field);
            }
            let zero = Expr::Literal(ScalarValue::Int64(Some(0)), None);
            Some(case_expr(vec![(Expr::IsNull(Box::new(field.clone())), zero)], Some(field)))
        })?;
        let mark = Typed { expr: value, data_type: bound.data_type.with_nullable(true) };
        scope.add_mark(&Ast::Subquery(Box::new(written.clone())), mark);
        Ok(plan)
    }
}

/// How many rows there are, and how many of them have a value; for each value of the keys.
fn counts(input: LogicalPlan, keys: &Keys, argument: &LogicalType) -> Result<LogicalPlan> {
    let call = |name: &str, argument: Option<&LogicalType>| AggregateCall {
        kind: AggregateKind::Count,
        arguments: argument.map(|_| "v".to_string()).into_iter().collect(),
        argument_type: argument.cloned(),
        filter: None,
        distinct: false,
        result: TypeKind::BigInt.not_null(),
        name: name.to_string(),
    };
    let calls = vec![call("c", None), call("ck", Some(argument))];
    let number = TypeKind::BigInt.not_null();
    let kept = keys.kept();
    let group: Vec<String> = kept.iter().map(|k| k.0.clone()).collect();
    let columns = kept.iter().map(|(name, key)| (name.as_str(), &key.data_type));
    let schema = plan_schema(columns.chain([("c", &number), ("ck", &number)]))?;
    let node = Aggregate { group, sets: None, calls, state_ttl: None };
    Ok(FlinkNode::plan(FlinkNodeKind::Aggregate(node), input, schema))
}
