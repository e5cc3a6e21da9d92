//! ARRAY_CONTAINS: whether the value is in the array.

use std::sync::Arc;

use arrow_array::{Array, BooleanArray};
use flott_core::Result;
use flott_core::types::TypeKind as K;

use super::{array_and_value, compare_elements, joined, range};
use crate::example::Example;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const ARRAY_CONTAINS: ScalarFunction = ScalarFunction {
    name: "ARRAY_CONTAINS",
    syntax: "ARRAY_CONTAINS(array, value)",
    description: "Whether the value is in the array.",
    documentation: "The value is cast to the type of the elements where that loses nothing but a text's length. NULL \
         is found, too. A NULL array gives NULL.",
    examples: &[
        Example { sql: "ARRAY_CONTAINS(ARRAY[1, 2, 3], 2)", result: "TRUE" },
        Example { sql: "ARRAY_CONTAINS(ARRAY[1, 2, 3], 4)", result: "FALSE" },
        Example { sql: "ARRAY_CONTAINS(ARRAY[1, CAST(NULL AS INT)], CAST(NULL AS INT))", result: "TRUE" },
    ],
    category: Category::Collection,
    arity: (2, 2),
    resolve: contains,
};

fn contains(a: &mut Arguments) -> Result<Option<Resolved>> {
    if array_and_value(a)?.is_none() {
        return Ok(None);
    }
    let t = K::Boolean.nullable().with_nullable(a.values[0].data_type.nullable);
    Ok(Some(Resolved::arrays(t, |args, rows| {
        let (l, all, values) = joined(args)?;
        let compare = compare_elements(&all)?;
        let has = |row: usize| range(l, row).any(|i| compare(i as usize, values + row).is_eq());
        Ok(Arc::new((0..rows).map(|row| l.is_valid(row).then(|| has(row))).collect::<BooleanArray>()))
    })))
}

#[cfg(test)]
mod tests {
    use crate::scalar::collection::testing::{a, check, n};

    #[test]
    fn values() {
        check(vec![
            ("ARRAY_CONTAINS", vec![a(), n("1")], "TRUE"),
            ("ARRAY_CONTAINS", vec![a(), n("2")], "FALSE"),
            ("ARRAY_CONTAINS", vec![a(), n("NULL")], "TRUE"),
        ]);
    }
}
