//! ARRAY_SLICE: from one place to another, from 1; negative ones count from the end.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use flott_core::Result;
use flott_core::types::TypeKind as K;

use super::{Places, element_type, list, lists, range};
use crate::example::Example;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const ARRAY_SLICE: ScalarFunction = ScalarFunction {
    name: "ARRAY_SLICE",
    syntax: "ARRAY_SLICE(array, start[, end])",
    description: "From one place to another, from 1; negative ones count from the end.",
    documentation: "Both ends belong to it; without an end it goes to the last. 0 is the first place, as 1 is. Empty \
         where the start is behind the end. NULL gives NULL.",
    examples: &[
        Example { sql: "ARRAY_SLICE(ARRAY[1, 2, 3, 4], 2, 3)", result: "[2, 3]" },
        Example { sql: "ARRAY_SLICE(ARRAY[1, 2, 3, 4], -2, -1)", result: "[3, 4]" },
        Example { sql: "ARRAY_SLICE(ARRAY[1, 2, 3], 2)", result: "[2, 3]" },
    ],
    category: Category::Collection,
    arity: (2, 3),
    resolve: slice,
};

fn slice(a: &mut Arguments) -> Result<Option<Resolved>> {
    let Some(t) = element_type(&a.values[0].data_type) else { return Ok(None) };
    for i in 1..a.values.len() {
        if !a.values[i].data_type.kind.is_integer() && a.values[i].data_type.kind != K::Null {
            return Ok(None);
        }
        a.coerce(i, &K::Int.nullable())?;
    }
    let result = a.values[0].data_type.with_nullable(a.nullable());
    Ok(Some(Resolved::arrays(result, move |args, rows| {
        let l = lists(&args[0])?;
        let number = |i: usize, row: usize| {
            args.get(i).map(|n| n.as_primitive::<Int32Type>()).map(|n| n.is_valid(row).then(|| i64::from(n.value(row))))
        };
        let mut places = Places::new(rows);
        for row in 0..rows {
            let all = range(l, row);
            let count = all.len() as i64;
            let (start, end) = (number(1, row).unwrap_or(Some(1)), number(2, row).unwrap_or(Some(count)));
            let (Some(start), Some(end), true) = (start, end, l.is_valid(row)) else {
                places.push(None)?;
                continue;
            };
            // 0 is the first place, as 1 is. What starts before it starts there; what ends before it has nothing.
            let from_end = |n: i64| if n < 0 { n + count + 1 } else { n };
            let (start, end) = (from_end(start).max(1), from_end(end));
            let end = if end == 0 { 1 } else { end.min(count) };
            let kept = if start > end {
                vec![]
            } else {
                all.skip((start - 1) as usize).take((end - start + 1) as usize).collect()
            };
            places.push(Some(kept))?;
        }
        list(&t, l.values(), &places)
    })))
}

#[cfg(test)]
mod tests {
    use crate::scalar::collection::testing::{a, check, n};

    #[test]
    fn values() {
        check(vec![
            ("ARRAY_SLICE", vec![a(), n("2"), n("3")], "[NULL, 1]"),
            ("ARRAY_SLICE", vec![a(), n("-2"), n("-1")], "[1, 3]"),
            ("ARRAY_SLICE", vec![a(), n("3")], "[1, 3]"),
            ("ARRAY_SLICE", vec![a(), n("3"), n("2")], "[]"),
        ]);
    }
}
