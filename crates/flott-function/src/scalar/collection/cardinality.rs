//! CARDINALITY: the number of elements or entries.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, Int32Array};
use flott_core::Result;
use flott_core::types::TypeKind as K;

use super::maps;
use crate::example::Example;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const CARDINALITY: ScalarFunction = ScalarFunction {
    name: "CARDINALITY",
    syntax: "CARDINALITY(array or map)",
    description: "The number of elements or entries.",
    documentation: "Also of a MULTISET. NULL elements count. NULL gives NULL.",
    examples: &[
        Example { sql: "CARDINALITY(ARRAY[1, 2, 3])", result: "3" },
        Example { sql: "CARDINALITY(MAP['a', 1])", result: "1" },
        Example { sql: "CARDINALITY(CAST(NULL AS ARRAY<INT>))", result: "<NULL>" },
    ],
    category: Category::Collection,
    arity: (1, 1),
    resolve: cardinality,
};

fn cardinality(a: &mut Arguments) -> Result<Option<Resolved>> {
    if !matches!(a.values[0].data_type.kind, K::Array(_) | K::Map(..) | K::Multiset(_)) {
        return Ok(None);
    }
    let t = K::Int.nullable().with_nullable(a.nullable());
    let resolved = Resolved::arrays(t, |args, rows| {
        let offsets = match args[0].as_list_opt::<i32>() {
            Some(l) => l.value_offsets(),
            None => maps(&args[0])?.value_offsets(),
        };
        Ok(Arc::new(
            (0..rows).map(|i| args[0].is_valid(i).then(|| offsets[i + 1] - offsets[i])).collect::<Int32Array>(),
        ))
    });
    Ok(Some(resolved.infallible()))
}

#[cfg(test)]
mod tests {
    use crate::scalar::collection::testing::{a, check, m, n, run};

    #[test]
    fn values() {
        check(vec![("CARDINALITY", vec![a()], "4"), ("CARDINALITY", vec![m()], "2")]);
        assert!(run("CARDINALITY", vec![n("1")]).starts_with("ERROR No match found"));
    }
}
