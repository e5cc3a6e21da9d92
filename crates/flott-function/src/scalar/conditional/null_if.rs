//! NULLIF: NULL where a = b, else a.

use datafusion_expr::Operator;
use flott_core::Result;
use flott_core::types::TypeKind as K;

use super::chosen;
use crate::example::Example;
use crate::operator::{are_never_equal, binary, case, comparable_type};
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::{Resolved, TypedExpr};

pub(super) const NULLIF: ScalarFunction = ScalarFunction {
    name: "NULLIF",
    syntax: "NULLIF(a, b)",
    description: "NULL where a = b, else a.",
    documentation: "The two are compared as by `=`. The result has the type of the first; where the second is NULL, \
         it is the first.",
    examples: &[
        Example { sql: "NULLIF(5, 5)", result: "<NULL>" },
        Example { sql: "NULLIF(5, 0)", result: "5" },
        Example { sql: "NULLIF(1, CAST(NULL AS INT))", result: "1" },
    ],
    category: Category::Conditional,
    arity: (2, 2),
    resolve: null_if,
};

fn null_if(a: &mut Arguments) -> Result<Option<Resolved>> {
    if comparable_type(&a.types()).is_none() && !are_never_equal(&a.values[0].data_type, &a.values[1].data_type) {
        return Ok(None);
    }
    let (first, second) = (a.values[0].clone(), a.values[1].clone());
    let equal = binary(Operator::Eq, first.clone(), second, a.env)?;
    let null = TypedExpr::literal(datafusion_common::ScalarValue::Null, K::Null.nullable());
    let value = case(vec![(equal, null)], first, a.env)?;
    chosen(a, value)
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("NULLIF", &[("5", "INT"), ("5", "INT")], "NULL"),
            ("NULLIF", &[("5", "INT"), ("0", "INT")], "5"),
            ("NULLIF", &[("5", "INT"), ("NULL", "INT")], "5"),
        ]);
    }
}
