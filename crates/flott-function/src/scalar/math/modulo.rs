//! MOD: the remainder of a / b, with the type of b.

use flott_core::Result;

use crate::example::Example;
use crate::scalar::shape::rewritten;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const MOD: ScalarFunction = ScalarFunction {
    name: "MOD",
    syntax: "MOD(a, b)",
    description: "The remainder of a / b, with the type of b.",
    documentation: "For exact numbers; it has the sign of a. NULL gives NULL; where b is 0 the query fails with a \
         division by zero. `a % b` is the same.",
    examples: &[
        Example { sql: "MOD(7, 3)", result: "1" },
        Example { sql: "MOD(-7, 3)", result: "-1" },
        Example { sql: "MOD(7.5, 2)", result: "1.5" },
    ],
    category: Category::Arithmetic,
    arity: (2, 2),
    resolve: modulo,
};

fn modulo(a: &mut Arguments) -> Result<Option<Resolved>> {
    // Only exact numbers have a remainder.
    if !a.values.iter().all(|v| v.data_type.kind.is_numeric() && !v.data_type.kind.is_approximate()) {
        return Ok(None);
    }
    let (l, r) = (a.values[0].clone(), a.values[1].clone());
    let value = crate::operator::binary(datafusion_expr::Operator::Modulo, l, r, a.env)?;
    rewritten(a, value)
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("MOD", &[("44", "BIGINT"), ("3", "INT")], "2"),
            ("MOD", &[("44", "INT"), ("0", "INT")], "ERROR division by zero"),
        ]);
    }
}
