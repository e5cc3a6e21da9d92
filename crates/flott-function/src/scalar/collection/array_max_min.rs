//! ARRAY_MAX and ARRAY_MIN: the greatest and the least element that is not NULL.

use std::cmp::Ordering;

use arrow_array::{Array, UInt32Array};
use arrow_select::take::take;
use flott_core::Result;

use super::{compare_all, lists, ordered_type, range};
use crate::example::Example;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const ARRAY_MAX: ScalarFunction = ScalarFunction {
    name: "ARRAY_MAX",
    syntax: "ARRAY_MAX(array)",
    description: "The greatest element that is not NULL.",
    documentation: "Of numbers, texts, byte strings and times. NULL where there is none.",
    examples: &[
        Example { sql: "ARRAY_MAX(ARRAY[1, 3, 2])", result: "3" },
        Example { sql: "ARRAY_MAX(ARRAY[1, CAST(NULL AS INT)])", result: "1" },
        Example { sql: "ARRAY_MAX(CAST(NULL AS ARRAY<INT>))", result: "<NULL>" },
    ],
    category: Category::Collection,
    arity: (1, 1),
    resolve: |a| extreme(a, Ordering::Greater),
};

pub(super) const ARRAY_MIN: ScalarFunction = ScalarFunction {
    name: "ARRAY_MIN",
    syntax: "ARRAY_MIN(array)",
    description: "The least element that is not NULL.",
    documentation: "Of numbers, texts, byte strings and times. NULL where there is none.",
    examples: &[
        Example { sql: "ARRAY_MIN(ARRAY[1, 3, 2])", result: "1" },
        Example { sql: "ARRAY_MIN(ARRAY['a', 'B', 'ab'])", result: "B" },
    ],
    category: Category::Collection,
    arity: (1, 1),
    resolve: |a| extreme(a, Ordering::Less),
};

fn extreme(a: &mut Arguments, wanted: Ordering) -> Result<Option<Resolved>> {
    let Some(t) = ordered_type(&a.values[0].data_type) else { return Ok(None) };
    Ok(Some(Resolved::arrays(t.with_nullable(true), move |args, rows| {
        let l = lists(&args[0])?;
        let compare = compare_all(l.values(), true)?;
        let best = |row: usize| {
            let mut best: Option<u32> = None;
            for i in range(l, row).filter(|i| l.values().is_valid(*i as usize)) {
                if best.is_none_or(|b| compare(i as usize, b as usize) == wanted) {
                    best = Some(i);
                }
            }
            best.filter(|_| l.is_valid(row))
        };
        Ok(take(l.values().as_ref(), &(0..rows).map(best).collect::<UInt32Array>(), None)?)
    })))
}

#[cfg(test)]
mod tests {
    use crate::scalar::collection::testing::{a, check, ints};

    #[test]
    fn values() {
        check(vec![
            ("ARRAY_MAX", vec![a()], "3"),
            ("ARRAY_MIN", vec![a()], "1"),
            ("ARRAY_MIN", vec![ints(&[None])], "NULL"),
        ]);
    }
}
