//! ARRAY_SORT: in order; NULL comes first where ascending.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use flott_core::Result;
use flott_core::types::TypeKind as K;

use super::{Places, compare_all, list, lists, ordered_type, range};
use crate::example::Example;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const ARRAY_SORT: ScalarFunction = ScalarFunction {
    name: "ARRAY_SORT",
    syntax: "ARRAY_SORT(array[, ascending[, nulls_first]])",
    description: "In order; NULL comes first where ascending.",
    documentation: "Ascending where nothing is said, and then NULL is first; descending it is last, unless the third \
         argument says otherwise. A NULL argument gives NULL.",
    examples: &[
        Example { sql: "ARRAY_SORT(ARRAY[3, 1, 2])", result: "[1, 2, 3]" },
        Example { sql: "ARRAY_SORT(ARRAY[1, CAST(NULL AS INT), 0])", result: "[NULL, 0, 1]" },
        Example { sql: "ARRAY_SORT(ARRAY[1, CAST(NULL AS INT), 0], FALSE)", result: "[1, 0, NULL]" },
        Example { sql: "ARRAY_SORT(ARRAY[1, CAST(NULL AS INT), 0], TRUE, FALSE)", result: "[0, 1, NULL]" },
    ],
    category: Category::Collection,
    arity: (1, 3),
    resolve: sort,
};

fn sort(a: &mut Arguments) -> Result<Option<Resolved>> {
    let Some(t) = ordered_type(&a.values[0].data_type) else { return Ok(None) };
    for i in 1..a.values.len() {
        if !matches!(a.values[i].data_type.kind, K::Boolean | K::Null) {
            return Ok(None);
        }
        a.coerce(i, &K::Boolean.nullable())?;
    }
    let result = a.values[0].data_type.with_nullable(a.nullable());
    Ok(Some(Resolved::arrays(result, move |args, rows| {
        let l = lists(&args[0])?;
        let (first, last) = (compare_all(l.values(), true)?, compare_all(l.values(), false)?);
        let flag =
            |i: usize, row: usize| args.get(i).map(|f| f.as_boolean()).map(|f| f.is_valid(row).then(|| f.value(row)));
        let mut places = Places::new(rows);
        for row in 0..rows {
            let ascending = flag(1, row).unwrap_or(Some(true));
            let nulls_first = flag(2, row).unwrap_or(ascending);
            let (Some(ascending), Some(nulls_first), true) = (ascending, nulls_first, l.is_valid(row)) else {
                places.push(None)?;
                continue;
            };
            let mut sorted: Vec<u32> = range(l, row).collect();
            // Turned round where descending, NULL included.
            let compare = if nulls_first == ascending { &first } else { &last };
            sorted.sort_by(|x, y| {
                let order = compare(*x as usize, *y as usize);
                if ascending { order } else { order.reverse() }
            });
            places.push(Some(sorted))?;
        }
        list(&t, l.values(), &places)
    })))
}

#[cfg(test)]
mod tests {
    use crate::scalar::collection::testing::{a, check};
    use crate::testing::constant;

    #[test]
    fn values() {
        check(vec![
            ("ARRAY_SORT", vec![a()], "[NULL, 1, 3, 3]"),
            ("ARRAY_SORT", vec![a(), constant("false", "BOOLEAN")], "[3, 3, 1, NULL]"),
            ("ARRAY_SORT", vec![a(), constant("true", "BOOLEAN"), constant("false", "BOOLEAN")], "[1, 3, 3, NULL]"),
            ("ARRAY_SORT", vec![a(), constant("false", "BOOLEAN"), constant("true", "BOOLEAN")], "[NULL, 3, 3, 1]"),
        ]);
    }
}
