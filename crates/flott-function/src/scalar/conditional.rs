//! Functions that choose among values. Those that must not evaluate what they do not choose become CASE.

use std::sync::Arc;

use arrow_array::{Array, make_array};
use arrow_buffer::NullBuffer;
use arrow_ord::cmp;
use arrow_select::zip::zip;
use datafusion_expr::{Expr, Operator};
use flott_core::Result;
use flott_core::types::TypeKind as K;

use super::shape::rewritten;
use super::{Arguments, Category, ScalarFunction};
use crate::operator::{binary, case, case_of, comparable_type};
use crate::types::{interval_in_query, least_common_type};
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
        resolve: if_null,
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
        resolve: |a| extreme(a, true),
    },
    ScalarFunction {
        name: "LEAST",
        syntax: "LEAST(value, ..)",
        description: "The least value; NULL where one is NULL.",
        category: Category::Conditional,
        arity: (1, 255),
        resolve: |a| extreme(a, false),
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

fn is_not_null(value: &TypedExpr) -> TypedExpr {
    TypedExpr::new(Expr::IsNotNull(Box::new(value.expr.clone())), K::Boolean.not_null())
}

/// A value out of several is no time attribute: the watermark knows nothing of the others.
fn chosen(a: &mut Arguments, value: TypedExpr) -> Result<Option<Resolved>> {
    let data_type = value.data_type.with_time_attribute(Default::default());
    rewritten(a, TypedExpr::new(value.expr, data_type))
}

fn coalesce(a: &mut Arguments) -> Result<Option<Resolved>> {
    let is = |wanted: fn(&K) -> bool| a.values.iter().any(|v| wanted(&v.data_type.kind));
    if is(|k| *k == K::Date) && is(|k| matches!(k, K::TimestampLtz(..))) {
        return Ok(None);
    }
    // The common type of Flink's functions, though not of its operators, is the date.
    if is(|k| *k == K::Date) && is(|k| matches!(k, K::Timestamp(..))) {
        for i in 0..a.values.len() {
            a.coerce(i, &K::Date.nullable())?;
        }
    }
    let Some(mut t) = least_common_type(&a.types()) else { return Ok(None) };
    t.nullable = a.values.iter().all(|v| v.data_type.nullable);
    let mut values = a.values.clone();
    let Some(last) = values.pop() else { return Ok(None) };
    if values.is_empty() {
        return chosen(a, last);
    }
    let branches = values.into_iter().map(|v| (is_not_null(&v), v)).collect();
    let mut value = case(branches, last, a.env)?;
    value.data_type = t;
    chosen(a, value)
}

/// A text that is never NULL keeps its type: Flink casts arguments to a common one, but not between lengths.
fn if_null(a: &mut Arguments) -> Result<Option<Resolved>> {
    let (first, second) = (&a.values[0].data_type, &a.values[1].data_type.kind);
    let is_text =
        (first.kind.is_character() && second.is_character()) || (first.kind.is_binary() && second.is_binary());
    if !first.nullable && is_text {
        let first = a.values[0].clone();
        return chosen(a, first);
    }
    coalesce(a)
}

fn null_if(a: &mut Arguments) -> Result<Option<Resolved>> {
    if comparable_type(&a.types()).is_none() {
        return Ok(None);
    }
    let (first, second) = (a.values[0].clone(), a.values[1].clone());
    let equal = binary(Operator::Eq, first.clone(), second, a.env)?;
    let null = TypedExpr::literal(datafusion_common::ScalarValue::Null, K::Null.nullable());
    let value = case(vec![(equal, null)], first, a.env)?;
    chosen(a, value)
}

fn if_then(a: &mut Arguments) -> Result<Option<Resolved>> {
    if a.values[0].data_type.kind != K::Boolean {
        return Ok(None);
    }
    let (condition, then, other) = (a.values[0].clone(), a.values[1].clone(), a.values[2].clone());
    let value = case_of("IF", vec![(condition, then)], other, a.env)?;
    chosen(a, value)
}

/// NULL where one is NULL.
fn extreme(a: &mut Arguments, greatest: bool) -> Result<Option<Resolved>> {
    let Some(common) = least_common_type(&a.types()) else { return Ok(None) };
    if matches!(common.kind, K::Array(_) | K::Map(..) | K::Multiset(_) | K::Row(_) | K::Structured(..)) {
        return Ok(None);
    }
    let t = common.with_nullable(a.nullable()).with_time_attribute(Default::default());
    for i in 0..a.values.len() {
        a.coerce(i, &common)?;
    }
    let resolved = Resolved::arrays(t, move |args, _| {
        let mut best = Arc::clone(&args[0]);
        let nulls = args.iter().fold(None, |nulls, c| NullBuffer::union(nulls.as_ref(), c.nulls()));
        for next in &args[1..] {
            let keep = if greatest { cmp::gt_eq(&best, next)? } else { cmp::lt_eq(&best, next)? };
            best = zip(&keep, &best, next)?;
        }
        Ok(make_array(best.to_data().into_builder().nulls(nulls).build()?))
    });
    Ok(Some(resolved.infallible()))
}

fn type_of(a: &mut Arguments) -> Result<Option<Resolved>> {
    // What drives time is not named, nor the fields that an interval was written with.
    let mut t = a.values[0].data_type.with_time_attribute(Default::default());
    t.kind = interval_in_query(t.kind);
    // Written for machines a STRING is its VARCHAR.
    let serializable = match a.values.get(1).map(|v| v.constant().cloned()) {
        None => false,
        Some(Some(datafusion_common::ScalarValue::Boolean(Some(yes)))) => yes,
        Some(_) => return Ok(None),
    };
    // The type of '' has no length that could be written.
    let text = match (&t.kind, serializable) {
        (K::Char(0) | K::Binary(0), true) => None,
        (_, true) => Some(t.serializable_string()),
        _ => Some(t.to_string()),
    };
    let value = TypedExpr::literal(datafusion_common::ScalarValue::Utf8(text), K::STRING.nullable());
    rewritten(a, value)
}

#[cfg(test)]
mod tests {
    use flott_core::types::{TimeAttribute, TypeKind};

    use crate::context::FunctionEnv;
    use crate::scalar;
    use crate::testing::{call, check, column, constant, show};
    use crate::udf::TypedExpr;

    #[test]
    fn one_of_several_values() {
        check(&[
            ("COALESCE", &[("NULL", "INT"), ("5", "INT")], "5"),
            ("COALESCE", &[("NULL", "INT"), ("NULL", "INT")], "NULL"),
            ("COALESCE", &[("1", "INT"), ("2.5", "DECIMAL(2, 1)")], "1.0"),
            ("IFNULL", &[("NULL", "STRING"), ("x", "STRING")], "x"),
            ("NULLIF", &[("5", "INT"), ("5", "INT")], "NULL"),
            ("NULLIF", &[("5", "INT"), ("0", "INT")], "5"),
            ("NULLIF", &[("5", "INT"), ("NULL", "INT")], "5"),
            ("IF", &[("true", "BOOLEAN"), ("1", "INT"), ("2", "INT")], "1"),
            ("IF", &[("NULL", "BOOLEAN"), ("1", "INT"), ("2", "INT")], "2"),
            ("GREATEST", &[("1", "INT"), ("4", "INT"), ("2.5", "DECIMAL(2, 1)")], "4.0"),
            ("GREATEST", &[("a", "STRING"), ("b", "STRING")], "b"),
            ("GREATEST", &[("1", "INT"), ("NULL", "INT")], "NULL"),
            ("LEAST", &[("3", "INT"), ("1", "INT"), ("2", "INT")], "1"),
            ("LEAST", &[("2020-01-02", "DATE"), ("2020-01-01", "DATE")], "2020-01-01"),
            ("TYPEOF", &[("1", "INT")], "INT NOT NULL"),
            ("TYPEOF", &[("a", "STRING"), ("true", "BOOLEAN")], "VARCHAR(2147483647)"),
            ("TYPEOF", &[("a", "STRING"), ("false", "BOOLEAN")], "STRING"),
        ]);
        assert!(call("GREATEST", vec![constant("1", "INT"), constant("x", "STRING")]).is_err());
        assert!(call("IF", vec![constant("1", "INT"), constant("1", "INT"), constant("1", "INT")]).is_err());
    }

    #[test]
    fn what_is_chosen_is_no_time_attribute() {
        let env = FunctionEnv::default();
        let rowtime = || {
            let ts = column("ts", "TIMESTAMP(3)");
            TypedExpr::new(ts.expr, ts.data_type.with_time_attribute(TimeAttribute::Rowtime))
        };
        for (name, args) in [
            ("COALESCE", vec![rowtime()]),
            ("COALESCE", vec![rowtime(), rowtime()]),
            ("IFNULL", vec![rowtime(), rowtime()]),
            ("NULLIF", vec![rowtime(), rowtime()]),
            ("IF", vec![constant("true", "BOOLEAN"), rowtime(), rowtime()]),
        ] {
            let chosen = scalar::call(name, args, &env).expect("a function").expect("a call");
            assert_eq!(chosen.data_type.kind, TypeKind::timestamp(3), "{name}");
        }
    }

    #[test]
    fn what_is_not_chosen_is_not_evaluated() {
        let env = FunctionEnv::default();
        let fails = || {
            let zero = constant("0", "INT");
            crate::operator::binary(datafusion_expr::Operator::Divide, constant("1", "INT"), zero, &env)
                .expect("a quotient")
        };
        let e =
            scalar::call("COALESCE", vec![constant("5", "INT"), fails()], &env).expect("a function").expect("a call");
        assert_eq!(show(&e).expect("a value"), "5");
        let e = scalar::call("IF", vec![constant("true", "BOOLEAN"), constant("1", "INT"), fails()], &env);
        assert_eq!(show(&e.expect("a function").expect("a call")).expect("a value"), "1");
    }
}
