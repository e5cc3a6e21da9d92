//! COALESCE: the first value that is not NULL.

use flott_core::Result;
use flott_core::types::TypeKind as K;

use super::{chosen, is_not_null};
use crate::example::Example;
use crate::operator::case;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::types::{function_common_type, least_common_type};
use crate::udf::Resolved;

pub(super) const COALESCE: ScalarFunction = ScalarFunction {
    name: "COALESCE",
    syntax: "COALESCE(value, ..)",
    description: "The first value that is not NULL.",
    documentation: "Values of different types become their common type: INT and DOUBLE give DOUBLE, DATE and \
         TIMESTAMP give DATE, TIME and TIMESTAMP give TIME. The result is NULL only where all values are. Values behind the first one that is \
         not NULL are not evaluated, so that they may fail.",
    examples: &[
        Example { sql: "COALESCE(CAST(NULL AS INT), 5)", result: "5" },
        Example { sql: "COALESCE(CAST(NULL AS STRING), 'abc', 'd')", result: "abc" },
        Example { sql: "COALESCE(CAST(NULL AS INT), CAST(NULL AS INT))", result: "<NULL>" },
    ],
    category: Category::Conditional,
    arity: (1, 255),
    resolve: coalesce,
};

pub(super) fn coalesce(a: &mut Arguments) -> Result<Option<Resolved>> {
    let Some(mut t) = function_common_type(&a.types()) else { return Ok(None) };
    if t.kind != K::Null && Some(&t) != least_common_type(&a.types()).as_ref() {
        for i in 0..a.values.len() {
            a.coerce(i, &t)?;
        }
    }
    t.nullable = a.values.iter().all(|v| v.data_type.nullable);
    // Nothing behind one that is never NULL counts, not even for what planning can tell of the value.
    let first = a.values.iter().position(|v| !v.data_type.nullable);
    if let Some(first) = first {
        a.coerce(first, &t)?;
    }
    let kept = first.map_or(a.values.len(), |first| first + 1);
    let mut values = a.values[..kept].to_vec();
    let Some(last) = values.pop() else { return Ok(None) };
    if values.is_empty() {
        return chosen(a, last);
    }
    let branches = values.into_iter().map(|v| (is_not_null(&v), v)).collect();
    let mut value = case(branches, last, a.env)?;
    value.data_type = t;
    chosen(a, value)
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("COALESCE", &[("NULL", "INT"), ("5", "INT")], "5"),
            ("COALESCE", &[("NULL", "INT"), ("NULL", "INT")], "NULL"),
            ("COALESCE", &[("1", "INT"), ("2.5", "DECIMAL(2, 1)")], "1.0"),
            ("COALESCE", &[("NULL", "TIME(0)"), ("2024-01-01 10:00:00.5", "TIMESTAMP(3)")], "10:00:00"),
            ("COALESCE", &[("2024-01-01 10:00:00.5", "TIMESTAMP(3)"), ("NULL", "DATE")], "2024-01-01"),
            ("COALESCE", &[("1", "INT NOT NULL"), ("2.5", "DECIMAL(2, 1)")], "1.0"),
        ]);
    }
}
