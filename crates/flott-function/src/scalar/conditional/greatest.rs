//! GREATEST and LEAST: the greatest and the least of several values.

use std::sync::Arc;

use arrow_array::{Array, make_array};
use arrow_buffer::NullBuffer;
use arrow_ord::cmp;
use arrow_select::zip::zip;
use flott_core::Result;
use flott_core::types::TypeKind as K;

use crate::example::Example;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::types::least_common_type;
use crate::udf::Resolved;

pub(super) const GREATEST: ScalarFunction = ScalarFunction {
    name: "GREATEST",
    syntax: "GREATEST(value, ..)",
    description: "The greatest value; NULL where one is NULL.",
    documentation: "Values become their common type. Rows, structured values and collections have no order here. \
         LEAST gives the least.",
    examples: &[
        Example { sql: "GREATEST(1, 2, 3)", result: "3" },
        Example { sql: "GREATEST(DATE '2024-02-29', DATE '2024-03-01')", result: "2024-03-01" },
        Example { sql: "GREATEST(1, CAST(NULL AS INT))", result: "<NULL>" },
    ],
    category: Category::Conditional,
    arity: (1, 255),
    resolve: |a| extreme(a, true),
};

pub(super) const LEAST: ScalarFunction = ScalarFunction {
    name: "LEAST",
    syntax: "LEAST(value, ..)",
    description: "The least value; NULL where one is NULL.",
    documentation: "Values become their common type, as in GREATEST.",
    examples: &[
        Example { sql: "LEAST(3, 2, 1)", result: "1" },
        Example { sql: "LEAST(1.5, CAST(2 AS SMALLINT))", result: "1.5" },
        Example { sql: "LEAST(1, CAST(NULL AS INT))", result: "<NULL>" },
    ],
    category: Category::Conditional,
    arity: (1, 255),
    resolve: |a| extreme(a, false),
};

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

#[cfg(test)]
mod tests {
    use crate::testing::{call, check, constant};

    #[test]
    fn values() {
        check(&[
            ("GREATEST", &[("1", "INT"), ("4", "INT"), ("2.5", "DECIMAL(2, 1)")], "4.0"),
            ("GREATEST", &[("a", "STRING"), ("b", "STRING")], "b"),
            ("GREATEST", &[("1", "INT"), ("NULL", "INT")], "NULL"),
            ("LEAST", &[("3", "INT"), ("1", "INT"), ("2", "INT")], "1"),
            ("LEAST", &[("2020-01-02", "DATE"), ("2020-01-01", "DATE")], "2020-01-01"),
        ]);
    }

    #[test]
    fn refusals() {
        assert!(call("GREATEST", vec![constant("1", "INT"), constant("x", "STRING")]).is_err());
    }
}
