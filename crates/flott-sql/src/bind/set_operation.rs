//! UNION, INTERSECT and EXCEPT, each with and without ALL.
//!
//! As in Flink (`ReplaceIntersectWithSemiJoinRule`, `ReplaceMinusWithAntiJoinRule`, `RewriteIntersectAllRule`,
//! `RewriteMinusAllRule`): without ALL a semi or anti join by all columns, NULL being NULL, and every row once; with ALL how
//! often a row is on each side is counted, and the row comes out as often as that says.

use std::sync::Arc;

use datafusion_common::{DFSchemaRef, ScalarValue};
use datafusion_expr::logical_plan::Union;
use datafusion_expr::{LogicalPlan, Operator};
use flott_core::types::{TimeAttribute, TypeKind};
use flott_core::{Error, LogicalType, Result};
use flott_function::AggregateKind;
use flott_graph::JoinKind;
use sqlparser::ast::{SetExpr, SetOperator, SetQuantifier, Spanned};
use sqlparser::tokenizer::Span;

use super::node::{Aggregate, AggregateCall, FlinkNode, FlinkNodeKind, JoinFlavour, Unnest};
use super::refuse::{at, unsupported};
use super::sort::unordered;
use super::{Binder, Ctes, Scope, Typed, UniqueNames, column, columns_of, filter, join, plan_schema, project};

/// What is done with two sets of rows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Set {
    Union,
    Intersect,
    Except,
}

impl Set {
    fn name(self) -> &'static str {
        match self {
            Set::Union => "UNION",
            Set::Intersect => "INTERSECT",
            Set::Except => "EXCEPT",
        }
    }
}

fn operation(op: &SetOperator, quantifier: &SetQuantifier, span: Span) -> Result<(Set, bool)> {
    let set = match op {
        SetOperator::Union => Set::Union,
        SetOperator::Intersect => Set::Intersect,
        // MINUS is no word of Flink's SQL.
        SetOperator::Except => Set::Except,
        other => return Err(unsupported(other, span)),
    };
    match quantifier {
        SetQuantifier::All => Ok((set, true)),
        SetQuantifier::None | SetQuantifier::Distinct => Ok((set, false)),
        other => Err(unsupported(format!("{op} {other}"), span)),
    }
}

impl Binder<'_> {
    /// Queries with set operators between them. A chain of one UNION becomes one node.
    pub(super) fn set_operation(&self, body: &SetExpr, ctes: &Ctes) -> Result<LogicalPlan> {
        let mut rest = body;
        let mut branches = vec![];
        let mut first: Option<(Set, bool)> = None;
        while let SetExpr::SetOperation { left, op, set_quantifier, right } = rest {
            let operation = operation(op, set_quantifier, right.span())?;
            let goes_on = *first.get_or_insert(operation) == operation;
            if !goes_on || (operation.0 != Set::Union && !branches.is_empty()) {
                break;
            }
            branches.push((unordered(self.set_expr(right, ctes)?)?, right.span()));
            rest = left;
        }
        branches.push((unordered(self.set_expr(rest, ctes)?)?, rest.span()));
        branches.reverse();
        let Some((set, all)) = first else { return Err(Error::internal("a set operation that is none")) };
        let (inputs, schema) = self.aligned(branches, set, all)?;
        if set == Set::Union {
            let union = LogicalPlan::Union(Union { inputs, schema });
            return if all { Ok(union) } else { self.distinct(union, None) };
        }
        let [left, right] = inputs.as_slice() else { return Err(Error::internal("a set operation of two queries")) };
        let (left, right) = (left.as_ref().clone(), right.as_ref().clone());
        match all {
            false => self.matching(left, right, set),
            true => self.counted(left, right, set, columns_of(&schema)?),
        }
    }

    /// The branches with the columns of the first one, of types that hold those of all.
    fn aligned(
        &self,
        branches: Vec<(LogicalPlan, Span)>,
        set: Set,
        all: bool,
    ) -> Result<(Vec<Arc<LogicalPlan>>, DFSchemaRef)> {
        let operator = format!("{}{}", set.name(), if all { " ALL" } else { "" });
        let columns: Vec<Vec<(String, LogicalType)>> =
            branches.iter().map(|(b, _)| columns_of(b.schema())).collect::<Result<_>>()?;
        let names: Vec<String> = columns[0].iter().map(|c| c.0.clone()).collect();
        for (have, (_, span)) in columns.iter().zip(&branches) {
            if have.len() != names.len() {
                return Err(at(
                    Error::user(format!(
                        "Column count mismatch in {operator}: {} and {} columns",
                        names.len(),
                        have.len()
                    ))
                    .hint("Every branch must select the same number of columns"),
                    *span,
                ));
            }
        }
        let mut types = vec![];
        for (i, name) in names.iter().enumerate() {
            let of_branches: Vec<LogicalType> = columns.iter().map(|c| c[i].1.clone()).collect();
            let common = if of_branches.iter().all(|t| t.kind == of_branches[0].kind) {
                // Equal time attributes survive a union.
                of_branches[0].with_nullable(of_branches.iter().any(|t| t.nullable))
            } else if let Some(common) = common_timestamp(&of_branches) {
                if common.kind.time_attribute() == TimeAttribute::Proctime {
                    let other = of_branches.iter().position(|t| t.kind != common.kind).unwrap_or_default();
                    return Err(at(time_attributes_differ(name, &common, &of_branches[other]), branches[other].1));
                }
                common
            } else {
                self.functions().least_common_type(&of_branches).ok_or_else(|| {
                    let types = of_branches.iter().map(LogicalType::to_string).collect::<Vec<_>>().join(", ");
                    at(
                        Error::user(format!("Type mismatch in column {} ('{name}') of {operator}: {types}", i + 1))
                            .hint("CAST the column to one type in every branch"),
                        branches[1].1,
                    )
                })?
            };
            types.push(common);
        }
        let schema = plan_schema(names.iter().map(String::as_str).zip(&types))?;
        let mut inputs = vec![];
        for ((plan, _), have) in branches.into_iter().zip(columns) {
            // Of INTERSECT and EXCEPT the left branch gives the rows, in the types of both.
            let exact = set != Set::Union;
            let fits = |h: &LogicalType, t: &LogicalType| h.kind == t.kind && (!exact || h.nullable == t.nullable);
            let same = have.iter().zip(&names).zip(&types).all(|((h, n), t)| h.0 == *n && fits(&h.1, t));
            let plan = if same {
                plan
            } else {
                let exprs = have
                    .into_iter()
                    .zip(names.iter().zip(&types))
                    .map(|((from, data_type), (name, t))| {
                        let value = Typed { expr: column(&from), data_type };
                        let value = self.functions().cast_if_needed(value, t)?;
                        let nullable = if exact { t.nullable } else { value.data_type.nullable };
                        let data_type = t.with_nullable(nullable);
                        Ok((name.clone(), Typed { expr: value.expr, data_type }))
                    })
                    .collect::<Result<Vec<_>>>()?;
                project(plan, exprs)?
            };
            inputs.push(Arc::new(plan));
        }
        Ok((inputs, schema))
    }

    /// Rows of the left side with (INTERSECT) or without (EXCEPT) an equal one on the right, each once.
    fn matching(&self, left: LogicalPlan, right: LogicalPlan, set: Set) -> Result<LogicalPlan> {
        let names = columns_of(left.schema())?;
        let scope = Scope::of_plan(&right, &[])?;
        let (right, scope) = join::beside(&left, right, scope)?;
        let mut condition: Option<Typed> = None;
        for ((name, data_type), other) in names.into_iter().zip(&scope.columns) {
            let mine = Typed { expr: column(&name), data_type };
            let equal = self.functions().binary(Operator::IsNotDistinctFrom, mine, other.typed())?;
            condition = Some(match condition {
                Some(all) => self.functions().binary(Operator::And, all, equal)?,
                None => equal,
            });
        }
        let kind = if set == Set::Intersect { JoinKind::Semi } else { JoinKind::Anti };
        let plan = join::join(left, right, kind, condition.map(|c| c.expr), JoinFlavour::Unsettled)?;
        self.distinct(join::settle(self, plan, vec![])?, None)
    }

    /// As often as a row is on both sides (INTERSECT ALL), or more often on the left (EXCEPT ALL).
    fn counted(
        &self,
        left: LogicalPlan,
        right: LogicalPlan,
        set: Set,
        columns: Vec<(String, LogicalType)>,
    ) -> Result<LogicalPlan> {
        let functions = self.functions();
        // The rows of both sides are counted together.
        let mut names = UniqueNames::of(left.schema());
        let marks: Vec<String> = match set {
            Set::Intersect => vec![names.take("vcol_left_marker"), names.take("vcol_right_marker")],
            _ => vec![names.take("vcol_marker")],
        };
        let boolean = TypeKind::Boolean.nullable();
        let big = TypeKind::BigInt.not_null();
        let mark = |side: usize| -> Result<Vec<Typed>> {
            match set {
                Set::Intersect => (0..2)
                    .map(|i| functions.literal(ScalarValue::Boolean((i == side).then_some(true)), &boolean))
                    .collect(),
                _ => Ok(vec![functions.literal(ScalarValue::Int64(Some(if side == 0 { 1 } else { -1 })), &big)?]),
            }
        };
        let mut inputs = vec![];
        for (side, plan) in [left, right].into_iter().enumerate() {
            let own = columns_of(plan.schema())?;
            let own = own
                .into_iter()
                .zip(&columns)
                .map(|((from, data_type), (name, _))| (name.clone(), Typed { expr: column(&from), data_type }));
            let marked = own.chain(marks.iter().cloned().zip(mark(side)?)).collect();
            inputs.push(Arc::new(project(plan, marked)?));
        }
        let marked_type = if set == Set::Intersect { &boolean } else { &big };
        let all = columns.iter().map(|(n, t)| (n.as_str(), t)).chain(marks.iter().map(|m| (m.as_str(), marked_type)));
        let schema = plan_schema(all)?;
        let union = LogicalPlan::Union(Union { inputs, schema });
        let mut calls = vec![];
        for m in &marks {
            let kind = if set == Set::Intersect { AggregateKind::Count } else { AggregateKind::Sum };
            let name = names.take(&m.replace("marker", "cnt"));
            calls.push(AggregateCall {
                kind,
                arguments: vec![m.clone()],
                argument_type: Some(marked_type.clone()),
                filter: None,
                distinct: false,
                result: functions.aggregate_type(kind, std::slice::from_ref(marked_type), true)?,
                name,
            });
        }
        let keys = materialized(columns);
        let counts: Vec<Typed> =
            calls.iter().map(|c| Typed { expr: column(&c.name), data_type: c.result.clone() }).collect();
        let outputs = calls.iter().map(|c| (c.name.as_str(), &c.result));
        let schema = plan_schema(keys.iter().map(|(n, t)| (n.as_str(), t)).chain(outputs))?;
        let group = keys.iter().map(|k| k.0.clone()).collect();
        let node = Aggregate { group, sets: None, calls, state_ttl: None };
        let counted = FlinkNode::plan(FlinkNodeKind::Aggregate(node), union, schema);
        let zero = functions.literal(ScalarValue::Int64(Some(0)), &big)?;
        let mut condition: Option<Typed> = None;
        for count in &counts {
            let more = functions.binary(Operator::Gt, count.clone(), zero.clone())?;
            condition = Some(match condition {
                Some(all) => functions.binary(Operator::And, all, more)?,
                None => more,
            });
        }
        let counted = match condition {
            Some(condition) => filter(counted, condition)?,
            None => counted,
        };
        let times = match counts.as_slice() {
            [left, right] => {
                let more = functions.binary(Operator::Gt, left.clone(), right.clone())?;
                functions.case(vec![(more, right.clone())], left.clone())?
            }
            [one] => one.clone(),
            _ => return Err(Error::internal("a set operation counts one or two sides")),
        };
        self.replicated(counted, keys, times)
    }

    /// Each row so often. The numbers of a row's copies are nobody's columns.
    fn replicated(&self, input: LogicalPlan, keys: Vec<(String, LogicalType)>, times: Typed) -> Result<LogicalPlan> {
        let mut names = UniqueNames::of(input.schema());
        let (copies, copy) = (names.take("$copies"), names.take("$copy"));
        let own = |(n, t): &(String, LogicalType)| (n.clone(), Typed { expr: column(n), data_type: t.clone() });
        let times = flott_function::replicate(times);
        let collection = times.data_type.clone();
        let TypeKind::Array(element) = &collection.kind else { return Err(Error::internal("copies are an array")) };
        let mut columns: Vec<(String, LogicalType)> = keys.clone();
        columns.push((copies.clone(), collection.clone()));
        columns.push((copy, element.as_ref().clone()));
        let schema = plan_schema(columns.iter().map(|(n, t)| (n.as_str(), t)))?;
        let with_copies = keys.iter().map(own).chain([(copies.clone(), times)]).collect();
        let node = Unnest { column: copies, collection, outer: false, condition: None, with_ordinality: false };
        let unnested = FlinkNode::plan(FlinkNodeKind::Unnest(node), project(input, with_copies)?, schema);
        project(unnested, keys.iter().map(own).collect())
    }
}

/// The type of timestamps with and without a zone, as Calcite finds it: of two that are as precise the first one, else the
/// second one in the greater precision. Of one that is not first, nothing remains of its being a time attribute.
fn common_timestamp(types: &[LogicalType]) -> Option<LogicalType> {
    let precision = |t: &LogicalType| match t.kind {
        TypeKind::Timestamp(p, _) | TypeKind::TimestampLtz(p, _) => Some(p),
        _ => None,
    };
    let mut common = types.first()?.clone();
    let mut most = precision(&common)?;
    for t in types {
        let own = precision(t)?;
        if own != most {
            most = most.max(own);
            let kind = match t.kind {
                TypeKind::TimestampLtz(..) => TypeKind::TimestampLtz(most, TimeAttribute::None),
                _ => TypeKind::Timestamp(most, TimeAttribute::None),
            };
            common = LogicalType { kind, nullable: common.nullable };
        }
        common.nullable |= t.nullable;
    }
    Some(common)
}

fn time_attributes_differ(name: &str, a: &LogicalType, b: &LogicalType) -> Error {
    let (a, b) = (a.with_nullable(true), b.with_nullable(true));
    Error::user(format!("Union fields with time attributes requires same types, but the types are {a} and {b}"))
        .with("column", name)
        .hint("CAST the column to TIMESTAMP(3) or TIMESTAMP_LTZ(3) in every branch: a plain timestamp is no time attribute")
}

/// Columns without time attributes.
pub(super) fn materialized(columns: Vec<(String, LogicalType)>) -> Vec<(String, LogicalType)> {
    columns.into_iter().map(|(n, t)| (n, t.with_time_attribute(TimeAttribute::None))).collect()
}
