//! CROSS JOIN UNNEST(collection) and LEFT JOIN UNNEST(collection) ON TRUE.

use datafusion_expr::LogicalPlan;
use flott_core::types::TypeKind;
use flott_core::{Error, LogicalType, Result};
use flott_graph::JoinKind;
use sqlparser::ast::{JoinConstraint, Spanned, TableAlias, TableFactor};
use sqlparser::tokenizer::Span;

use super::{Bound, identity, is_true};
use crate::bind::expression::ExpressionBinder;
use crate::bind::node::{FlinkNode, FlinkNodeKind, Unnest};
use crate::bind::refuse::{at, refuse_if, unsupported};
use crate::bind::{Binder, Scope, ScopeColumn, Typed, UniqueNames, plan_schema, project};

impl Binder<'_> {
    /// The elements of a collection that is no table's.
    pub(crate) fn unnest_alone(&self, relation: &TableFactor) -> Result<Bound> {
        let of_nothing = (crate::bind::values::one_row(), Scope::default());
        self.unnest(of_nothing, relation, JoinKind::Inner, &JoinConstraint::None)
    }

    /// The rows read so far, each with the elements of one of its collections.
    pub(super) fn unnest(
        &self,
        (left, left_scope): Bound,
        relation: &TableFactor,
        kind: JoinKind,
        constraint: &JoinConstraint,
    ) -> Result<Bound> {
        let TableFactor::UNNEST { alias, array_exprs, with_offset, with_offset_alias, with_ordinality } = relation
        else {
            return Err(Error::internal("an UNNEST that is none"));
        };
        let span = relation.span();
        refuse_if(*with_offset || with_offset_alias.is_some(), "WITH OFFSET", span)?;
        let [collection] = array_exprs.as_slice() else {
            return Err(unsupported("UNNEST of several collections", span));
        };
        let outer = match kind {
            JoinKind::Inner => false,
            JoinKind::Left => true,
            _ => return Err(unsupported("UNNEST on the right of a RIGHT or FULL JOIN", span)),
        };
        let left = super::settle(self, left, vec![])?;
        let value = ExpressionBinder::new(self.functions(), &left_scope, "UNNEST").bind(collection)?;
        let (plan, of_elements) = self.unnested(left, value, outer, *with_ordinality, alias.as_ref(), span)?;
        let elements = Scope::of(of_elements);
        let shared = super::shared_names(constraint, &left_scope, &elements)?;
        let mut scope = left_scope;
        scope.take_in(&elements);
        scope.follow(&plan)?;
        let condition = match constraint {
            JoinConstraint::On(e) => ExpressionBinder::new(self.functions(), &scope, "ON").condition(e)?,
            JoinConstraint::None => return Ok((plan, scope)),
            // By no column: every row with each of its elements.
            JoinConstraint::Natural if shared.is_empty() => return Ok((plan, scope)),
            _ => return Err(unsupported("USING with UNNEST", span)),
        };
        if is_true(&condition.expr) {
            return Ok((plan, scope));
        }
        if outer {
            return Ok((of_elements_that(plan, condition)?, scope));
        }
        Ok((crate::bind::filter(plan, condition)?, scope))
    }

    /// The rows so far, each with the elements of a collection as columns that an alias may name. `outer` keeps rows whose
    /// collection has none.
    pub(super) fn unnested(
        &self,
        left: LogicalPlan,
        value: Typed,
        outer: bool,
        with_ordinality: bool,
        alias: Option<&TableAlias>,
        span: Span,
    ) -> Result<(LogicalPlan, Vec<ScopeColumn>)> {
        let mut columns = identity(&left)?;
        let mut names = UniqueNames::of(left.schema());
        let (left, field) = match &value.expr {
            datafusion_expr::Expr::Column(c) => (left, c.name.clone()),
            _ => {
                let field = names.take(&format!("$f{}", columns.len()));
                columns.push((field.clone(), value.clone()));
                (project(left, columns.clone())?, field)
            }
        };
        let mut added = elements_of(&value.data_type, span)?;
        if with_ordinality {
            added.push(("ORDINALITY".to_string(), TypeKind::Int.not_null()));
        }
        let given: Vec<&str> = match alias {
            // As in Calcite, one column is named after an alias that names none.
            Some(a) if a.columns.is_empty() && added.len() == 1 => vec![&a.name.value],
            Some(a) => a.columns.iter().map(|c| c.name.value.as_str()).collect(),
            None => vec![],
        };
        if !given.is_empty() && given.len() != added.len() {
            return Err(at(
                Error::user(format!("{} names for {} columns", given.len(), added.len()))
                    .hint("Name every column, or none"),
                span,
            ));
        }
        let qualifier: Vec<String> = alias.iter().map(|a| a.name.value.clone()).collect();
        let mut of_elements = vec![];
        let mut all: Vec<(String, LogicalType)> =
            columns.iter().map(|(n, v)| (n.clone(), v.data_type.clone())).collect();
        for (i, (name, data_type)) in added.into_iter().enumerate() {
            let name = given.get(i).map_or(name, |given| given.to_string());
            let data_type = if outer { data_type.with_nullable(true) } else { data_type };
            let field = names.take(&name);
            all.push((field.clone(), data_type.clone()));
            of_elements.push(ScopeColumn { qualifier: qualifier.clone(), name, field, data_type });
        }
        let schema = plan_schema(all.iter().map(|(n, t)| (n.as_str(), t)))?;
        let node = Unnest { column: field, collection: value.data_type, outer, condition: None, with_ordinality };
        let plan = FlinkNode::plan(FlinkNodeKind::Unnest(node), left, schema);
        Ok((plan, of_elements))
    }
}

/// The same UNNEST that pads rows, of the elements for which a condition is true.
pub(super) fn of_elements_that(plan: LogicalPlan, condition: Typed) -> Result<LogicalPlan> {
    if let LogicalPlan::Extension(e) = &plan
        && let Some(node) = FlinkNode::of(e)
        && let FlinkNodeKind::Unnest(unnest) = &node.kind
    {
        let both: Vec<_> = unnest.condition.iter().cloned().chain([condition.expr]).collect();
        let condition = super::together(both);
        let unnest = Unnest { condition, ..unnest.clone() };
        return Ok(FlinkNode::plan(FlinkNodeKind::Unnest(unnest), node.input.clone(), node.schema.clone()));
    }
    Err(Error::internal("an UNNEST that is none"))
}

/// The columns of a collection's elements, if it is one.
fn elements_of(t: &LogicalType, span: Span) -> Result<Vec<(String, LogicalType)>> {
    elements(t).ok_or_else(|| {
        at(
            Error::user(format!("Cannot apply 'UNNEST' to arguments of type 'UNNEST(<{t}>)'"))
                .hint("UNNEST takes an ARRAY, a MAP or a MULTISET"),
            span,
        )
    })
}

fn elements(t: &LogicalType) -> Option<Vec<(String, LogicalType)>> {
    let of_one = |element: &LogicalType| match &element.kind {
        TypeKind::Row(fields) => fields
            .iter()
            .map(|f| (f.name.clone(), f.data_type.with_nullable(f.data_type.nullable || element.nullable)))
            .collect(),
        _ => vec![("f0".to_string(), element.clone())],
    };
    match &t.kind {
        TypeKind::Array(element) | TypeKind::Multiset(element) => Some(of_one(element)),
        TypeKind::Map(key, value) => {
            Some(vec![("f0".to_string(), key.as_ref().clone()), ("f1".to_string(), value.as_ref().clone())])
        }
        _ => None,
    }
}
