//! Functions that choose among values. Those that must not evaluate what they do not choose become CASE.

use datafusion_expr::{Expr, Operator};
use flott_core::Result;
use flott_core::types::TypeKind as K;

use super::{Arguments, Category, ScalarFunction};
use crate::operator::{binary, case, comparable_type};
use crate::types::least_common_type;
use crate::udf::{Resolved, TypedExpr};

/// All of them.
pub(super) const FUNCTIONS: &[ScalarFunction] = &[
    ScalarFunction {
        name: "COALESCE",
        syntax: "COALESCE(value, ..)",
        description: "The first value that is not NULL.",
        category: Category::Conditional,
        arity: (1, 255),
        resolve: coalesce,
    },
    ScalarFunction {
        name: "IFNULL",
        syntax: "IFNULL(value, instead)",
        description: "The value, or the other one where it is NULL.",
        category: Category::Conditional,
        arity: (2, 2),
        resolve: coalesce,
    },
    ScalarFunction {
        name: "NULLIF",
        syntax: "NULLIF(a, b)",
        description: "NULL where a = b, else a.",
        category: Category::Conditional,
        arity: (2, 2),
        resolve: null_if,
    },
    ScalarFunction {
        name: "IF",
        syntax: "IF(condition, then, else)",
        description: "One of two values.",
        category: Category::Conditional,
        arity: (3, 3),
        resolve: if_then,
    },
    ScalarFunction {
        name: "GREATEST",
        syntax: "GREATEST(value, ..)",
        description: "The greatest value; NULL where one is NULL.",
        category: Category::Conditional,
        arity: (1, 255),
        resolve: |a| extreme(a, Operator::GtEq),
    },
    ScalarFunction {
        name: "LEAST",
        syntax: "LEAST(value, ..)",
        description: "The least value; NULL where one is NULL.",
        category: Category::Conditional,
        arity: (1, 255),
        resolve: |a| extreme(a, Operator::LtEq),
    },
    ScalarFunction {
        name: "TYPEOF",
        syntax: "TYPEOF(value)",
        description: "The value's type as text.",
        category: Category::Conditional,
        arity: (1, 2),
        resolve: type_of,
    },
];

/// Replaces the arguments by one that is already the result.
fn rewritten(a: &mut Arguments, value: TypedExpr) -> Result<Option<Resolved>> {
    let t = value.data_type.clone();
    a.values = vec![value];
    Ok(Some(Resolved::new(t, |args, _| Ok(args[0].clone()))))
}

fn is_not_null(value: &TypedExpr) -> TypedExpr {
    TypedExpr::new(Expr::IsNotNull(Box::new(value.expr.clone())), K::Boolean.not_null())
}

fn coalesce(a: &mut Arguments) -> Result<Option<Resolved>> {
    let Some(mut t) = least_common_type(&a.types()) else { return Ok(None) };
    t.nullable = a.values.iter().all(|v| v.data_type.nullable);
    let mut values = a.values.clone();
    let Some(last) = values.pop() else { return Ok(None) };
    if values.is_empty() {
        return rewritten(a, last);
    }
    let branches = values.into_iter().map(|v| (is_not_null(&v), v)).collect();
    let mut value = case(branches, last, a.env)?;
    value.data_type = t;
    rewritten(a, value)
}

fn null_if(a: &mut Arguments) -> Result<Option<Resolved>> {
    if comparable_type(&a.types()).is_none() {
        return Ok(None);
    }
    let (first, second) = (a.values[0].clone(), a.values[1].clone());
    let equal = binary(Operator::Eq, first.clone(), second, a.env)?;
    let null = TypedExpr::literal(datafusion_common::ScalarValue::Null, K::Null.nullable());
    let value = case(vec![(equal, null)], first, a.env)?;
    rewritten(a, value)
}

fn if_then(a: &mut Arguments) -> Result<Option<Resolved>> {
    if a.values[0].data_type.kind != K::Boolean {
        return Ok(None);
    }
    let (condition, then, other) = (a.values[0].clone(), a.values[1].clone(), a.values[2].clone());
    let value = case(vec![(condition, then)], other, a.env)?;
    rewritten(a, value)
}

fn extreme(a: &mut Arguments, better: Operator) -> Result<Option<Resolved>> {
    if least_common_type(&a.types()).is_none() {
        return Ok(None);
    }
    let mut values = a.values.clone().into_iter();
    let Some(mut best) = values.next() else { return Ok(None) };
    for value in values {
        let null = |v: &TypedExpr| TypedExpr::new(Expr::IsNull(Box::new(v.expr.clone())), K::Boolean.not_null());
        let keeps = binary(better, best.clone(), value.clone(), a.env)?;
        let branches = vec![(null(&best), best.clone()), (null(&value), value.clone()), (keeps, best)];
        best = case(branches, value, a.env)?;
    }
    rewritten(a, best)
}

fn type_of(a: &mut Arguments) -> Result<Option<Resolved>> {
    let text = a.values[0].data_type.to_string();
    let value = TypedExpr::literal(datafusion_common::ScalarValue::Utf8(Some(text)), K::STRING.not_null());
    rewritten(a, value)
}
