//! SPLIT: the pieces of a text; without a delimiter its characters.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use flott_core::Result;
use flott_core::types::TypeKind as K;

use super::{Places, list};
use crate::example::Example;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const SPLIT: ScalarFunction = ScalarFunction {
    name: "SPLIT",
    syntax: "SPLIT(text, delimiter)",
    description: "The pieces of a text; without a delimiter its characters.",
    documentation: "The delimiter is a text, not a pattern. NULL gives NULL.",
    examples: &[
        Example { sql: "SPLIT('a,b,c', ',')", result: "[a, b, c]" },
        Example { sql: "SPLIT('abc', '')", result: "[a, b, c]" },
    ],
    category: Category::Collection,
    arity: (2, 2),
    resolve: split,
};

fn split(a: &mut Arguments) -> Result<Option<Resolved>> {
    if !crate::scalar::shape::fit(a, &[K::STRING, K::STRING])? {
        return Ok(None);
    }
    let element = K::STRING.nullable();
    let t = K::Array(Box::new(element.clone())).nullable().with_nullable(a.nullable());
    let resolved = Resolved::arrays(t, move |args, rows| {
        let (texts, delimiters) = (args[0].as_string::<i32>(), args[1].as_string::<i32>());
        let mut out = arrow_array::builder::StringBuilder::new();
        let mut places = Places::new(rows);
        let mut count = 0u32;
        for row in 0..rows {
            if texts.is_null(row) || delimiters.is_null(row) {
                places.push(None)?;
                continue;
            }
            let first = count;
            let (t, d) = (texts.value(row), delimiters.value(row));
            let mut add = |piece: &str| {
                out.append_value(piece);
                count += 1;
            };
            if d.is_empty() {
                t.chars().for_each(|c| add(c.encode_utf8(&mut [0; 4])));
            } else if !t.is_empty() {
                // An empty text has no pieces, not an empty one.
                t.split(d).for_each(&mut add);
            }
            places.push(Some((first..count).collect()))?;
        }
        list(&element, &(Arc::new(out.finish()) as ArrayRef), &places)
    });
    Ok(Some(resolved))
}

#[cfg(test)]
mod tests {
    use crate::scalar::collection::testing::check;
    use crate::testing::{constant, text};

    #[test]
    fn values() {
        check(vec![
            ("SPLIT", vec![text("a,b,,c"), text(",")], "[a, b, , c]"),
            ("SPLIT", vec![text("aß"), constant("", "STRING")], "[a, ß]"),
        ]);
    }
}
