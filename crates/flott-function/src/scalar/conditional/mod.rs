//! Functions that choose among values. Those that must not evaluate what they do not choose become CASE.

mod coalesce;
mod greatest;
mod if_null;
mod if_then;
mod null_if;
mod type_of;

use datafusion_expr::Expr;
use flott_core::Result;
use flott_core::types::TypeKind as K;

use crate::scalar::shape::rewritten;
use crate::scalar::{Arguments, ScalarFunction};
use crate::udf::{Resolved, TypedExpr};

/// All of them.
pub(super) const FUNCTIONS: &[ScalarFunction] = &[
    coalesce::COALESCE,
    if_null::IFNULL,
    null_if::NULLIF,
    if_then::IF,
    greatest::GREATEST,
    greatest::LEAST,
    type_of::TYPEOF,
];

fn is_not_null(value: &TypedExpr) -> TypedExpr {
    TypedExpr::new(Expr::IsNotNull(Box::new(value.expr.clone())), K::Boolean.not_null())
}

/// A value out of several is no time attribute: the watermark knows nothing of the others.
fn chosen(a: &mut Arguments, value: TypedExpr) -> Result<Option<Resolved>> {
    let data_type = value.data_type.with_time_attribute(Default::default());
    rewritten(a, TypedExpr::new(value.expr, data_type))
}

#[cfg(test)]
mod tests {
    use flott_core::types::{TimeAttribute, TypeKind};

    use crate::context::FunctionEnv;
    use crate::scalar;
    use crate::testing::{column, constant, show};
    use crate::udf::TypedExpr;

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
