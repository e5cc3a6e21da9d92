//! ARRAY_JOIN: the texts of an array with a delimiter; NULL is left out or replaced.

use std::sync::Arc;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use flott_core::Result;
use flott_core::types::TypeKind as K;

use super::{element_type, lists, range};
use crate::example::Example;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const ARRAY_JOIN: ScalarFunction = ScalarFunction {
    name: "ARRAY_JOIN",
    syntax: "ARRAY_JOIN(array, delimiter[, for_null])",
    description: "The texts of an array with a delimiter; NULL is left out or replaced.",
    documentation: "For arrays of texts; others need a CAST. A NULL argument gives NULL.",
    examples: &[
        Example { sql: "ARRAY_JOIN(ARRAY['a', 'b'], '-')", result: "a-b" },
        Example { sql: "ARRAY_JOIN(ARRAY['a', CAST(NULL AS STRING), 'b'], '-')", result: "a-b" },
        Example { sql: "ARRAY_JOIN(ARRAY['a', CAST(NULL AS STRING), 'b'], '-', '?')", result: "a-?-b" },
    ],
    category: Category::Collection,
    arity: (2, 3),
    resolve: join,
};

fn join(a: &mut Arguments) -> Result<Option<Resolved>> {
    let texts = element_type(&a.values[0].data_type).is_some_and(|e| e.kind.is_character());
    if !texts || !a.values[1..].iter().all(|v| v.data_type.kind.is_character() || v.data_type.kind == K::Null) {
        return Ok(None);
    }
    for i in 1..a.values.len() {
        if a.values[i].data_type.kind == K::Null {
            a.coerce(i, &K::STRING.nullable())?;
        }
    }
    Ok(Some(Resolved::arrays(K::STRING.nullable().with_nullable(a.nullable()), |args, rows| {
        let l = lists(&args[0])?;
        let texts = l.values().as_string::<i32>();
        let others: Vec<_> = args[1..].iter().map(|t| t.as_string::<i32>()).collect();
        let mut out = arrow_array::builder::StringBuilder::new();
        for row in 0..rows {
            if l.is_null(row) || others.iter().any(|o| o.is_null(row)) {
                out.append_null();
                continue;
            }
            let for_null = others.get(1).map(|o| o.value(row));
            let parts: Vec<&str> = range(l, row)
                .filter_map(|i| if texts.is_valid(i as usize) { Some(texts.value(i as usize)) } else { for_null })
                .collect();
            out.append_value(parts.join(others[0].value(row)));
        }
        Ok(Arc::new(out.finish()))
    })))
}

#[cfg(test)]
mod tests {
    use crate::scalar::collection::testing::{called, check};
    use crate::testing::text;

    #[test]
    fn values() {
        check(vec![("ARRAY_JOIN", vec![called("SPLIT", vec![text("a-b"), text("-")]), text("+")], "a+b")]);
    }
}
