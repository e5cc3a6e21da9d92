//! The functions of `flott-function` as the binder calls them: by name, with typed arguments.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion_common::ScalarValue;
use datafusion_common::metadata::FieldMetadata;
use datafusion_expr::expr::Cast;
use datafusion_expr::{Expr, Operator, ScalarUDF, binary_expr};
use flott_core::options::Options;
use flott_core::types::{TypeKind, arrow_field};
use flott_core::{Error, LogicalType, Result};
use flott_function::AggregateKind;
use sqlparser::tokenizer::Span;

use super::expression::case_expr;
use super::refuse::{At, not_found};
use super::scope::Typed;

/// How EXPLAIN shows a function that SQL writes otherwise than as a call.
pub enum Shown {
    /// `(a + b)`
    Operator(&'static str),
    /// `CAST(a AS t)`
    Cast(&'static str, String),
    /// `a.field`
    Field(String),
}

/// The functions, for one configuration.
pub struct Functions {
    scalar: BTreeMap<String, Arc<ScalarUDF>>,
}

impl Functions {
    pub(crate) fn new(_config: &Options) -> Result<Functions> {
        Ok(Functions { scalar: BTreeMap::new() })
    }

    pub(crate) fn shown(_name: &str, _args: &[Expr]) -> Option<Shown> {
        None
    }

    pub(crate) fn literal(&self, value: ScalarValue, t: &LogicalType) -> Result<Typed> {
        let field = arrow_field("", t);
        Ok(Typed { expr: Expr::Literal(value, Some(FieldMetadata::new_from_field(&field))), data_type: t.clone() })
    }

    pub(crate) fn cast(&self, value: Typed, to: &LogicalType, _try_cast: bool) -> Result<Typed> {
        let t = to.with_nullable(value.data_type.nullable);
        let field = Arc::new(arrow_field("", &t));
        Ok(Typed { expr: Expr::Cast(Cast { expr: Box::new(value.expr), field }), data_type: t })
    }

    pub(crate) fn cast_if_needed(&self, value: Typed, to: &LogicalType) -> Result<Typed> {
        if value.data_type.kind == to.kind {
            return Ok(value);
        }
        self.cast(value, to, false)
    }

    pub(crate) fn binary(&self, op: Operator, l: Typed, r: Typed) -> Result<Typed> {
        let nullable = l.data_type.nullable || r.data_type.nullable;
        let kind = if op.returns_null_on_null() && !op.is_logic_operator() && matches!(op, Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide) { l.data_type.kind.clone() } else { TypeKind::Boolean };
        Ok(Typed { expr: binary_expr(l.expr, op, r.expr), data_type: LogicalType { kind, nullable } })
    }

    pub(crate) fn negate(&self, v: Typed) -> Result<Typed> {
        Ok(Typed { expr: Expr::Negative(Box::new(v.expr)), data_type: v.data_type })
    }

    pub(crate) fn least_common_type(&self, types: &[LogicalType]) -> Option<LogicalType> {
        let t = types.iter().find(|t| t.kind != TypeKind::Null).or(types.first())?;
        Some(t.with_nullable(types.iter().any(|t| t.nullable)))
    }

    pub(crate) fn comparable_type(&self, types: &[LogicalType]) -> Option<LogicalType> {
        self.least_common_type(types)
    }

    pub(crate) fn implicit_cast(&self, _from: &LogicalType, _to: &LogicalType) -> bool {
        true
    }

    pub(crate) fn case(&self, branches: Vec<(Typed, Typed)>, last: Typed) -> Result<Typed> {
        let types: Vec<LogicalType> = branches.iter().map(|b| &b.1).chain([&last]).map(|t| t.data_type.clone()).collect();
        let t = self.least_common_type(&types).ok_or_else(|| Error::user("CASE"))?;
        let branches = branches.into_iter().map(|(w, v)| Ok((w.expr, self.cast_if_needed(v, &t)?.expr))).collect::<Result<_>>()?;
        Ok(Typed { expr: case_expr(branches, Some(self.cast_if_needed(last, &t)?.expr)), data_type: t })
    }

    pub(crate) fn callable_without_parentheses(&self, _name: &str) -> bool {
        false
    }

    pub(crate) fn call(&self, name: &str, args: Vec<Typed>) -> Result<Typed> {
        self.call_at(name, args, Span::empty())
    }

    pub(crate) fn call_at(&self, name: &str, _args: Vec<Typed>, span: Span) -> Result<Typed> {
        Err(not_found(format!("Function '{name}' not found"), name, self.scalar.keys().map(String::as_str), "Functions", span)).at_span(span)
    }

    pub(crate) fn field(&self, _value: Typed, field: &str) -> Result<Typed> {
        Err(Error::user(format!("field {field}")))
    }

    pub(crate) fn element(&self, _value: Typed, _index: Typed) -> Result<Typed> {
        Err(Error::user("element"))
    }

    pub(crate) fn aggregate_type(&self, kind: AggregateKind, args: &[LogicalType], _grouped: bool) -> Result<LogicalType> {
        Ok(match kind {
            AggregateKind::Count => TypeKind::BigInt.not_null(),
            _ => args[0].with_nullable(true),
        })
    }
}
