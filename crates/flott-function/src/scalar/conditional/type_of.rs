//! TYPEOF: the value's type as text.

use flott_core::Result;
use flott_core::types::TypeKind as K;

use crate::example::Example;
use crate::scalar::shape::rewritten;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::types::interval_in_query;
use crate::udf::{Resolved, TypedExpr};

pub(super) const TYPEOF: ScalarFunction = ScalarFunction {
    name: "TYPEOF",
    syntax: "TYPEOF(value)",
    description: "The value's type as text.",
    documentation: "NOT NULL is part of it. With TRUE behind the value the type is written as a script can read it \
         again in any version: VARCHAR(2147483647) instead of STRING. That argument must be a constant. The value \
         itself is not evaluated.",
    examples: &[
        Example { sql: "TYPEOF(1)", result: "INT NOT NULL" },
        Example { sql: "TYPEOF(CAST(NULL AS STRING))", result: "STRING" },
        Example { sql: "TYPEOF(CAST('a' AS STRING), TRUE)", result: "VARCHAR(2147483647) NOT NULL" },
        Example { sql: "TYPEOF(ARRAY[1, 2])", result: "ARRAY<INT NOT NULL> NOT NULL" },
    ],
    category: Category::Conditional,
    arity: (1, 2),
    resolve: type_of,
};

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
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("TYPEOF", &[("1", "INT")], "INT NOT NULL"),
            ("TYPEOF", &[("a", "STRING"), ("true", "BOOLEAN")], "VARCHAR(2147483647)"),
            ("TYPEOF", &[("a", "STRING"), ("false", "BOOLEAN")], "STRING"),
        ]);
    }
}
