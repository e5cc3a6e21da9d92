//! IF: one of two values.

use flott_core::Result;
use flott_core::types::TypeKind as K;

use super::chosen;
use crate::example::Example;
use crate::operator::case_of;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::types::least_common_type;
use crate::udf::{Resolved, widened_literal};

pub(super) const IF: ScalarFunction = ScalarFunction {
    name: "IF",
    syntax: "IF(condition, then, else)",
    description: "One of two values.",
    documentation: "The condition is a BOOLEAN; NULL counts as FALSE. The two values become their common type. The \
         one that is not chosen is not evaluated.",
    examples: &[
        Example { sql: "IF(TRUE, 1, 2)", result: "1" },
        Example { sql: "IF(CAST(NULL AS BOOLEAN), 1, 2)", result: "2" },
        Example { sql: "IF(1 > 2, 'a', 'abc')", result: "abc" },
    ],
    category: Category::Conditional,
    arity: (3, 3),
    resolve: if_then,
};

fn if_then(a: &mut Arguments) -> Result<Option<Resolved>> {
    if a.values[0].data_type.kind != K::Boolean {
        return Ok(None);
    }
    let common = least_common_type(&a.types()[1..]).unwrap_or_else(|| K::Null.nullable());
    let result = |i: usize| widened_literal(a.values[i].clone(), &common);
    let (condition, then, other) = (a.values[0].clone(), result(1), result(2));
    let value = case_of("IF", vec![(condition, then)], other, a.env)?;
    chosen(a, value)
}

#[cfg(test)]
mod tests {
    use crate::testing::{call, check, constant};

    #[test]
    fn values() {
        check(&[
            ("IF", &[("true", "BOOLEAN"), ("1", "INT"), ("2", "INT")], "1"),
            ("IF", &[("NULL", "BOOLEAN"), ("1", "INT"), ("2", "INT")], "2"),
        ]);
    }

    #[test]
    fn refusals() {
        assert!(call("IF", vec![constant("1", "INT"), constant("1", "INT"), constant("1", "INT")]).is_err());
    }
}
