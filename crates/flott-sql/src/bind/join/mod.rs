//! Joins: the tables of FROM side by side, what WHERE says about them, and which kind of join that makes.
//!
//! FROM is bound to joins that are not decided yet. Then conditions of WHERE go down into them as far as they may, as in
//! Flink, and each is recognised, innermost first: of rows near in time, of rows of one window, or of whole changelogs. A
//! regular join keeps its rows for ever, so time attributes end there.

pub(crate) mod derived;
mod embedded;
mod generated;
mod interval;
mod lateral;
mod lookup;
mod marks;
mod on;
mod predicate;
mod settle;
mod subquery;
mod table_function;
mod unnest;
mod vector_search;

use std::time::Duration;

use datafusion_expr::{Expr, LogicalPlan, Operator};
use flott_core::types::TimeAttribute;
use flott_core::{Error, LogicalType, Result};
use flott_graph::JoinKind;
use sqlparser::ast::{self, JoinConstraint, JoinOperator, Spanned, TableFactor, TableVersion};
use sqlparser::tokenizer::Span;

pub(crate) use embedded::parts;
pub(crate) use predicate::{Of, comparison, conjuncts, implied, is_true, of, reads, together};
pub(crate) use settle::{Above, settle};
pub(crate) use subquery::Source;
pub(crate) use vector_search::FUNCTION as VECTOR_SEARCH;

use super::expression::ExpressionBinder;
use super::node::{FlinkNode, FlinkNodeKind, Join, JoinFlavour};
use super::refuse::{at, name_parts, refuse_if, unsupported, unsupported_with};
use super::{Binder, Ctes, Scope, ScopeColumn, Typed, UniqueNames, column, columns_of, plan_schema, project};

/// A plan and the names that a query has for its columns.
pub(crate) type Bound = (LogicalPlan, Scope);

impl Binder<'_> {
    /// What has been read so far, joined with one more table.
    pub(crate) fn joined(&self, left: Bound, join: &ast::Join, ctes: &Ctes) -> Result<Bound> {
        let ast::Join { relation, global, join_operator } = join;
        let span = relation.span();
        refuse_if(*global, "GLOBAL JOIN", span)?;
        let (kind, constraint) = match join_operator {
            JoinOperator::Join(c) | JoinOperator::Inner(c) | JoinOperator::CrossJoin(c) => (JoinKind::Inner, c),
            JoinOperator::Left(c) | JoinOperator::LeftOuter(c) => (JoinKind::Left, c),
            JoinOperator::Right(c) | JoinOperator::RightOuter(c) => (JoinKind::Right, c),
            JoinOperator::FullOuter(c) => (JoinKind::Full, c),
            JoinOperator::Semi(_) | JoinOperator::LeftSemi(_) | JoinOperator::RightSemi(_) => {
                return Err(unsupported_with("SEMI JOIN", span, "Write WHERE EXISTS (..) or IN (..)"));
            }
            JoinOperator::Anti(_) | JoinOperator::LeftAnti(_) | JoinOperator::RightAnti(_) => {
                return Err(unsupported_with("ANTI JOIN", span, "Write WHERE NOT EXISTS (..)"));
            }
            JoinOperator::CrossApply | JoinOperator::OuterApply => return Err(unsupported("APPLY", span)),
            JoinOperator::AsOf { .. } => return Err(unsupported("ASOF JOIN", span)),
            JoinOperator::StraightJoin(_) => return Err(unsupported("STRAIGHT_JOIN", span)),
            JoinOperator::ArrayJoin | JoinOperator::LeftArrayJoin | JoinOperator::InnerArrayJoin => {
                return Err(unsupported("ARRAY JOIN", span));
            }
        };
        if *constraint == JoinConstraint::None && !matches!(join_operator, JoinOperator::CrossJoin(_)) {
            let error = Error::user(
                "INNER, LEFT, RIGHT or FULL join requires a condition (NATURAL keyword or ON or USING clause)",
            );
            return Err(at(error.hint("Write ON .. behind the table, or CROSS JOIN for every pair of rows"), span));
        }
        if reads_the_left(relation) {
            return self.of_the_left(left, relation, kind, constraint, ctes);
        }
        if let TableFactor::Table { version: Some(version), .. } = relation {
            return self.as_of(left, relation, version, kind, constraint, ctes);
        }
        let right = self.related(relation, ctes)?;
        self.combined(left, right, kind, constraint, (span, ctes))
    }

    /// How long the hint STATE_TTL keeps the rows of the one table that a scope is of.
    fn ttl_of(&self, scope: &Scope) -> Option<Duration> {
        let table = scope.columns.first()?.qualifier.last()?;
        let one = scope.columns.iter().all(|c| c.qualifier.last() == Some(table));
        self.ttls.borrow().last().filter(|_| one)?.get(table).copied()
    }

    /// Tables with a comma between them: every pair, until WHERE says more.
    pub(crate) fn product(&self, left: Bound, right: Bound) -> Result<Bound> {
        self.combined(left, right, JoinKind::Inner, &JoinConstraint::None, (Span::empty(), &vec![]))
    }

    /// What reads the tables before it, behind a comma.
    pub(crate) fn beside_comma(&self, left: Bound, relation: &TableFactor, ctes: &Ctes) -> Result<Bound> {
        self.of_the_left(left, relation, JoinKind::Inner, &JoinConstraint::None, ctes)
    }

    fn of_the_left(
        &self,
        left: Bound,
        relation: &TableFactor,
        kind: JoinKind,
        constraint: &JoinConstraint,
        ctes: &Ctes,
    ) -> Result<Bound> {
        match relation {
            TableFactor::Derived { subquery, alias, sample, .. } => {
                refuse_if(sample.is_some(), "TABLESAMPLE", relation.span())?;
                self.lateral(left, subquery, alias.as_ref(), kind, constraint, ctes)
            }
            TableFactor::Function { .. } => self.lateral_function(left, relation, kind, constraint),
            _ => self.unnest(left, relation, kind, constraint),
        }
    }

    fn combined(
        &self,
        (left, left_scope): Bound,
        (right, right_scope): Bound,
        kind: JoinKind,
        constraint: &JoinConstraint,
        (span, ctes): (Span, &Ctes),
    ) -> Result<Bound> {
        derived::check_padded(&left_scope, &right_scope, kind, span)?;
        let (left, right, seen) = match constraint {
            JoinConstraint::On(e) => {
                let sides = ((left, left_scope.clone()), (right, right_scope));
                let ((left, seen_left), right) = self.with_sub_queries(sides.0, sides.1, e, ctes)?;
                (left, right, seen_left)
            }
            _ => (left, (right, right_scope), left_scope.clone()),
        };
        let (right, seen_right) = beside(&left, right.0, right.1)?;
        let right_scope = seen_right.without_answers();
        let shared = shared_names(constraint, &left_scope, &right_scope)?;
        let condition = match constraint {
            JoinConstraint::On(e) => {
                let scope = side_by_side(&seen, &seen_right, JoinKind::Inner);
                Some(ExpressionBinder::new(self.functions(), &scope, "ON").condition(e)?.expr)
            }
            JoinConstraint::Using(_) | JoinConstraint::Natural => {
                let mut equal: Option<Typed> = None;
                for name in &shared {
                    let (l, r) = (only(&left_scope, name, span)?, only(&right_scope, name, span)?);
                    let functions = self.functions();
                    let one = functions.binary(Operator::Eq, l.typed(), r.typed());
                    let one = one.map_err(|e| at(e, span))?;
                    equal = Some(match equal {
                        Some(all) => functions.binary(Operator::And, all, one)?,
                        None => one,
                    });
                }
                equal.map(|e| e.expr)
            }
            JoinConstraint::None => None,
        };
        let mut scope = side_by_side(&left_scope, &right_scope, kind);
        let ttl = [self.ttl_of(&left_scope), self.ttl_of(&right_scope)];
        let plan = join_with(left, right, kind, condition, JoinFlavour::Unsettled, ttl)?;
        if shared.is_empty() {
            return Ok((plan, scope));
        }
        self.merged(plan, &mut scope, &shared, kind, span).map(|plan| (plan, scope))
    }

    /// A column that USING or NATURAL names stands once for both tables, before the others.
    fn merged(
        &self,
        plan: LogicalPlan,
        scope: &mut Scope,
        shared: &[String],
        kind: JoinKind,
        span: Span,
    ) -> Result<LogicalPlan> {
        let mut first = vec![];
        let mut plan = plan;
        for name in shared {
            let both: Vec<usize> = (0..scope.columns.len())
                .filter(|i| scope.columns[*i].name == *name && !scope.is_merged(&scope.columns[*i]))
                .collect();
            let [l, r] = both.as_slice() else { return Err(Error::internal("a shared column is missing")) };
            let (l, r) = (scope.columns[*l].clone(), scope.columns[*r].clone());
            scope.merge(&l);
            scope.merge(&r);
            let mut one = match kind {
                JoinKind::Right => r.clone(),
                JoinKind::Full => {
                    let both = vec![l.typed(), r.typed()];
                    let value = self.functions().call("COALESCE", both).map_err(|e| at(e, span))?;
                    let mut columns = identity(&plan)?;
                    let field = UniqueNames::of(plan.schema()).take(name);
                    columns.push((field.clone(), value.clone()));
                    plan = settle(self, plan, vec![])?;
                    plan = project(plan, columns)?;
                    ScopeColumn { field, data_type: value.data_type, ..l.clone() }
                }
                _ => l.clone(),
            };
            one.qualifier = vec![];
            first.push(one);
        }
        // Without a table's name nothing stands for them any more.
        let mut rest = std::mem::take(&mut scope.columns);
        rest.retain(|c| !c.qualifier.is_empty() || !scope.holds_merged(c));
        first.append(&mut rest);
        scope.columns = first;
        Ok(plan)
    }

    /// `t FOR SYSTEM_TIME AS OF left.time`: of each left row the version of the right row at its time.
    fn as_of(
        &self,
        (left, left_scope): Bound,
        relation: &TableFactor,
        version: &TableVersion,
        kind: JoinKind,
        constraint: &JoinConstraint,
        ctes: &Ctes,
    ) -> Result<Bound> {
        let span = relation.span();
        let TableVersion::ForSystemTimeAsOf(time) = version else {
            return Err(unsupported("this version of a table", span));
        };
        if !matches!(kind, JoinKind::Inner | JoinKind::Left) {
            return Err(at(
                Error::user("Temporal table join currently only support INNER JOIN and LEFT JOIN")
                    .hint("Put the table with the versions on the right of a LEFT JOIN"),
                span,
            ));
        }
        let time = ExpressionBinder::new(self.functions(), &left_scope, "FOR SYSTEM_TIME AS OF").bind(time)?;
        let Expr::Column(left_time) = &time.expr else {
            return Err(unsupported_with(
                "FOR SYSTEM_TIME AS OF an expression",
                span,
                "Name a time attribute of the left table",
            ));
        };
        match time.data_type.kind.time_attribute() {
            TimeAttribute::Rowtime => {}
            TimeAttribute::Proctime => {
                return self.looked_up((left, left_scope), relation, kind, constraint, ctes);
            }
            TimeAttribute::None => {
                return Err(at(
                    Error::user(format!(
                        "Temporal table join currently only supports 'FOR SYSTEM_TIME AS OF' left table's time attribute \
                         field, but {} is none",
                        left_time.name
                    ))
                    .hint("Declare WATERMARK FOR on the column, or a column AS PROCTIME()"),
                    span,
                ));
            }
        }
        let (right, right_scope) = self.table_factor(&without_version(relation), ctes)?;
        let (right, right_scope) = beside(&left, right, right_scope)?;
        let rowtimes = right_scope.columns.iter().filter(|c| attribute(&c.data_type) == TimeAttribute::Rowtime);
        let Some(right_time) = rowtimes.map(|c| c.field.clone()).next() else {
            return Err(at(
                Error::user(
                    "Event-Time Temporal Table Join requires both primary key and row time attribute in versioned \
                     table, but no row time attribute can be found.",
                )
                .hint("Declare WATERMARK FOR on the table's time column"),
                span,
            ));
        };
        let scope = side_by_side(&left_scope, &right_scope, JoinKind::Inner);
        let condition = match constraint {
            JoinConstraint::On(e) => ExpressionBinder::new(self.functions(), &scope, "ON").condition(e)?.expr,
            _ => return Err(unsupported("a temporal join without ON", span)),
        };
        let flavour = JoinFlavour::Temporal { left_time: left_time.name.clone(), right_time, settled: false };
        let plan = join(left, right, kind, Some(condition), flavour)?;
        Ok((plan, side_by_side(&left_scope, &right_scope, kind)))
    }
}

/// Whether a relation may name columns of the tables before it.
pub(crate) fn reads_the_left(relation: &TableFactor) -> bool {
    matches!(
        relation,
        TableFactor::UNNEST { .. }
            | TableFactor::Derived { lateral: true, .. }
            | TableFactor::Function { lateral: true, .. }
    )
}

/// The table itself.
fn without_version(relation: &TableFactor) -> TableFactor {
    let mut plain = relation.clone();
    if let TableFactor::Table { version, .. } = &mut plain {
        *version = None;
    }
    plain
}

/// The time attribute of a type.
pub(crate) fn attribute(t: &LogicalType) -> TimeAttribute {
    t.kind.time_attribute()
}

/// A right plan whose columns have names that no column of the left has.
pub(crate) fn beside(left: &LogicalPlan, right: LogicalPlan, mut scope: Scope) -> Result<Bound> {
    let mut names = UniqueNames::of(left.schema());
    let columns = columns_of(right.schema())?;
    let taken: Vec<String> = columns.iter().map(|c| names.take(&c.0)).collect();
    if taken.iter().zip(&columns).all(|(new, old)| *new == old.0) {
        return Ok((right, scope));
    }
    let renamed = columns.iter().zip(&taken);
    let renamed = renamed.map(|((old, t), new)| (new.clone(), Typed { expr: column(old), data_type: t.clone() }));
    let plan = project(right, renamed.collect())?;
    let names = columns.iter().zip(&taken).map(|(old, new)| (old.0.as_str(), new.as_str())).collect();
    scope.rename_fields(&names)?;
    Ok((plan, scope))
}

/// Both scopes; columns of a side that may be missing may be NULL.
fn side_by_side(left: &Scope, right: &Scope, kind: JoinKind) -> Scope {
    let mut both = left.clone();
    both.take_in(right);
    let width = left.columns.len();
    for (i, c) in both.columns.iter_mut().enumerate() {
        let missing = if i < width { kind.pads_right_rows() } else { kind.pads_left_rows() };
        if missing {
            c.data_type = c.data_type.with_nullable(true);
        }
    }
    both
}

/// The columns that USING and NATURAL join by.
fn shared_names(constraint: &JoinConstraint, left: &Scope, right: &Scope) -> Result<Vec<String>> {
    Ok(match constraint {
        JoinConstraint::Using(names) => names
            .iter()
            .map(|n| match name_parts(n)?.as_slice() {
                [one] => Ok(one.value.clone()),
                _ => Err(unsupported("a qualified name in USING", n.span())),
            })
            .collect::<Result<_>>()?,
        JoinConstraint::Natural => {
            let mut names: Vec<String> = vec![];
            for c in left.columns.iter().filter(|c| !left.is_merged(c)) {
                if right.columns.iter().any(|r| r.name == c.name) && !names.contains(&c.name) {
                    names.push(c.name.clone());
                }
            }
            names
        }
        _ => vec![],
    })
}

fn only<'s>(scope: &'s Scope, name: &str, span: Span) -> Result<&'s ScopeColumn> {
    let found: Vec<&ScopeColumn> = scope.columns.iter().filter(|c| c.name == name && !scope.is_merged(c)).collect();
    match found.as_slice() {
        [one] => Ok(one),
        [] => Err(at(
            Error::user(format!("Column '{name}' not found in any table")).hint("USING names columns of both tables"),
            span,
        )),
        _ => Err(at(
            Error::user(format!("Column name '{name}' in USING clause is not unique on one side of join"))
                .hint("Write the condition with ON"),
            span,
        )),
    }
}

/// All columns of a plan as they are.
pub(crate) fn identity(plan: &LogicalPlan) -> Result<Vec<(String, Typed)>> {
    let columns = columns_of(plan.schema())?;
    Ok(columns.into_iter().map(|(n, data_type)| (n.clone(), Typed { expr: column(&n), data_type })).collect())
}

/// A join node over plans whose columns have different names.
pub(crate) fn join(
    left: LogicalPlan,
    right: LogicalPlan,
    kind: JoinKind,
    condition: Option<Expr>,
    flavour: JoinFlavour,
) -> Result<LogicalPlan> {
    join_with(left, right, kind, condition, flavour, [None, None])
}

/// As [`join`], and how long rows are kept.
pub(crate) fn join_with(
    left: LogicalPlan,
    right: LogicalPlan,
    kind: JoinKind,
    condition: Option<Expr>,
    flavour: JoinFlavour,
    state_ttl: [Option<Duration>; 2],
) -> Result<LogicalPlan> {
    let mut columns = columns_of(left.schema())?;
    if kind.pads_right_rows() {
        columns.iter_mut().for_each(|c| c.1 = c.1.with_nullable(true));
    }
    if !kind.is_semi_or_anti() {
        for (name, t) in columns_of(right.schema())? {
            columns.push((name, if kind.pads_left_rows() { t.with_nullable(true) } else { t }));
        }
    }
    let schema = plan_schema(columns.iter().map(|(n, t)| (n.as_str(), t)))?;
    let condition = condition.map(super::fold::fold_casts).transpose()?.filter(|c| !is_true(c));
    let join = Join { kind, shown: condition.clone(), condition, flavour, state_ttl, exists: false };
    Ok(FlinkNode::plan_of_two(FlinkNodeKind::Join(join), left, right, schema))
}

/// The join on top of a plan as one that EXISTS asks for.
fn by_existence(plan: LogicalPlan) -> LogicalPlan {
    let LogicalPlan::Extension(e) = &plan else { return plan };
    let Some(FlinkNode { kind: FlinkNodeKind::Join(join), input, second: Some(right), schema }) = FlinkNode::of(e)
    else {
        return plan;
    };
    let kind = FlinkNodeKind::Join(Join { exists: true, ..join.clone() });
    FlinkNode::plan_of_two(kind, input.clone(), right.clone(), schema.clone())
}
