//! ELEMENT: the only element; NULL of an empty array.

use arrow_array::{Array, UInt32Array};
use arrow_select::take::take;
use flott_core::{Error, Result};

use super::{element_type, lists, range};
use crate::example::Example;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const ELEMENT: ScalarFunction = ScalarFunction {
    name: "ELEMENT",
    syntax: "ELEMENT(array)",
    description: "The only element; NULL of an empty array.",
    documentation: "An array of several elements is an error; NULL gives NULL.",
    examples: &[
        Example { sql: "ELEMENT(ARRAY[7])", result: "7" },
        Example { sql: "ELEMENT(CAST(NULL AS ARRAY<INT>))", result: "<NULL>" },
    ],
    category: Category::Collection,
    arity: (1, 1),
    resolve: element,
};

pub(super) fn element(a: &mut Arguments) -> Result<Option<Resolved>> {
    let Some(t) = element_type(&a.values[0].data_type) else { return Ok(None) };
    Ok(Some(Resolved::arrays(t.with_nullable(true), |args, rows| {
        let l = lists(&args[0])?;
        let mut at = Vec::with_capacity(rows);
        for row in 0..rows {
            let mut places = range(l, row);
            at.push(match (l.is_valid(row), places.len()) {
                (false, _) | (_, 0) => None,
                (_, 1) => places.next(),
                _ => return Err(Error::data("Array has more than one element.").hint("Use array[1] for the first")),
            });
        }
        Ok(take(l.values().as_ref(), &UInt32Array::from(at), None)?)
    })))
}

#[cfg(test)]
mod tests {
    use crate::scalar::collection::testing::{a, check, ints, run};

    #[test]
    fn values() {
        check(vec![("ELEMENT", vec![ints(&[Some(7)])], "7")]);
        assert!(run("ELEMENT", vec![a()]).contains("more than one element"));
    }
}
