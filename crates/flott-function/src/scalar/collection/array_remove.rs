//! ARRAY_REMOVE: without this value.

use arrow_array::Array;
use flott_core::Result;
use flott_core::types::TypeKind as K;

use super::{Places, array_and_value, compare_elements, element_type, joined, list, range};
use crate::example::Example;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const ARRAY_REMOVE: ScalarFunction = ScalarFunction {
    name: "ARRAY_REMOVE",
    syntax: "ARRAY_REMOVE(array, value)",
    description: "Without this value.",
    documentation: "The value is cast to the type of the elements where that loses nothing but a text's length. Each \
         one of it goes, of NULL too. A NULL array gives NULL.",
    examples: &[
        Example { sql: "ARRAY_REMOVE(ARRAY[1, 2, 1], 1)", result: "[2]" },
        Example { sql: "ARRAY_REMOVE(ARRAY[1, CAST(NULL AS INT)], CAST(NULL AS INT))", result: "[1]" },
    ],
    category: Category::Collection,
    arity: (2, 2),
    resolve: remove,
};

fn remove(a: &mut Arguments) -> Result<Option<Resolved>> {
    let Some(element) = element_type(&a.values[0].data_type) else { return Ok(None) };
    let Some(t) = array_and_value(a)? else { return Ok(None) };
    // The value becomes no element: what it may be says nothing of them.
    let t = t.with_nullable(element.nullable);
    let result = K::Array(Box::new(t.clone())).nullable().with_nullable(a.values[0].data_type.nullable);
    Ok(Some(Resolved::arrays(result, move |args, rows| {
        let (l, all, values) = joined(args)?;
        let compare = compare_elements(&all)?;
        let mut places = Places::new(rows);
        for row in 0..rows {
            let kept = || range(l, row).filter(|i| compare(*i as usize, values + row).is_ne()).collect();
            places.push(l.is_valid(row).then(kept))?;
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
            ("ARRAY_REMOVE", vec![a(), n("3")], "[NULL, 1]"),
            ("ARRAY_REMOVE", vec![a(), n("NULL")], "[3, 1, 3]"),
        ]);
    }
}
