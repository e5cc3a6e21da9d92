//! ||: both texts together.

use flott_core::Result;
use flott_core::types::{MAX_LENGTH, TypeKind as K};

use super::concat;
use crate::example::Example;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const CONCAT_OPERATOR: ScalarFunction = ScalarFunction {
    name: "||",
    syntax: "text || text",
    description: "Both texts together.",
    documentation: "NULL where one is NULL. Lengths add up: CHAR(3) and CHAR(2) give CHAR(5), anything else a \
         VARCHAR.",
    examples: &[
        Example { sql: "'ab' || 'c'", result: "abc" },
        Example { sql: "'ab' || CAST(NULL AS STRING)", result: "<NULL>" },
    ],
    category: Category::String,
    arity: (2, 2),
    resolve: concat_operator,
};

/// `CHAR(3) || CHAR(2)` is CHAR(5); anything else varies in length.
fn concat_operator(a: &mut Arguments) -> Result<Option<Resolved>> {
    let length = |k: &K| match k {
        K::Char(n) | K::VarChar(n) => *n,
        _ => 0,
    };
    let (l, r) = (&a.values[0].data_type.kind, &a.values[1].data_type.kind);
    let sum = length(l).saturating_add(length(r)).min(MAX_LENGTH);
    let kind = if matches!((l, r), (K::Char(_), K::Char(_))) { K::Char(sum) } else { K::VarChar(sum) };
    let nullable = a.nullable();
    if *l == K::Null || *r == K::Null {
        return concat(a, K::STRING.nullable());
    }
    concat(a, kind.nullable().with_nullable(nullable))
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[("||", &[("ab", "CHAR(2)"), ("c", "CHAR(1)")], "abc")]);
    }
}
