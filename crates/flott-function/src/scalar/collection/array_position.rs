//! ARRAY_POSITION: where the value is first, from 1; 0 for nowhere.

use std::sync::Arc;

use arrow_array::{Array, Int32Array};
use flott_core::Result;
use flott_core::types::TypeKind as K;

use super::{array_and_value, compare_elements, joined, range};
use crate::example::Example;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const ARRAY_POSITION: ScalarFunction = ScalarFunction {
    name: "ARRAY_POSITION",
    syntax: "ARRAY_POSITION(array, value)",
    description: "Where the value is first, from 1; 0 for nowhere.",
    documentation: "The value is cast to the type of the elements where that loses nothing but a text's length. A \
         NULL array or value gives NULL.",
    examples: &[
        Example { sql: "ARRAY_POSITION(ARRAY['a', 'b', 'b'], 'b')", result: "2" },
        Example { sql: "ARRAY_POSITION(ARRAY[1], 2)", result: "0" },
        Example { sql: "ARRAY_POSITION(ARRAY[1, CAST(NULL AS INT)], CAST(NULL AS INT))", result: "<NULL>" },
    ],
    category: Category::Collection,
    arity: (2, 2),
    resolve: position,
};

fn position(a: &mut Arguments) -> Result<Option<Resolved>> {
    if array_and_value(a)?.is_none() {
        return Ok(None);
    }
    let t = K::Int.nullable().with_nullable(a.nullable());
    Ok(Some(Resolved::arrays(t, |args, rows| {
        let (l, all, values) = joined(args)?;
        let compare = compare_elements(&all)?;
        let place = |row: usize| {
            range(l, row).position(|i| compare(i as usize, values + row).is_eq()).map_or(0, |p| p as i32 + 1)
        };
        let known = |row: usize| l.is_valid(row) && args[1].is_valid(row);
        Ok(Arc::new((0..rows).map(|row| known(row).then(|| place(row))).collect::<Int32Array>()))
    })))
}

#[cfg(test)]
mod tests {
    use crate::scalar::collection::testing::{a, check, n};

    #[test]
    fn values() {
        check(vec![
            ("ARRAY_POSITION", vec![a(), n("1")], "3"),
            ("ARRAY_POSITION", vec![a(), n("9")], "0"),
            ("ARRAY_POSITION", vec![a(), n("NULL")], "NULL"),
        ]);
    }
}
