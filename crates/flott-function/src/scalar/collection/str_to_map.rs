//! STR_TO_MAP: entries such as `a=1,b=2` as a map.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use flott_core::Result;
use flott_core::types::TypeKind as K;

use super::build_map;
use crate::example::Example;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const STR_TO_MAP: ScalarFunction = ScalarFunction {
    name: "STR_TO_MAP",
    syntax: "STR_TO_MAP(text[, list_delimiter, key_value_delimiter])",
    description: "Entries such as `a=1,b=2` as a map.",
    documentation: "The delimiters are regular expressions, `,` and `=` where they are not given; only the first one \
         of a pair divides it. A key without a value has NULL. NULL gives NULL.",
    examples: &[
        Example { sql: "STR_TO_MAP('k1=v1,k2=v2')", result: "{k1=v1, k2=v2}" },
        Example { sql: "STR_TO_MAP('k1:v1;k2:v2', ';', ':')", result: "{k1=v1, k2=v2}" },
        Example { sql: "STR_TO_MAP('a')", result: "{a=NULL}" },
    ],
    category: Category::Collection,
    arity: (1, 3),
    resolve: str_to_map,
};

fn str_to_map(a: &mut Arguments) -> Result<Option<Resolved>> {
    if a.values.len() == 2 || !crate::scalar::shape::fit(a, &[K::STRING, K::STRING, K::STRING])? {
        return Ok(None);
    }
    let t = K::Map(Box::new(K::STRING.nullable()), Box::new(K::STRING.nullable())).nullable();
    let made = t.clone();
    Ok(Some(Resolved::arrays(t, move |args, rows| {
        let columns: Vec<_> = args.iter().map(|c| c.as_string::<i32>()).collect();
        let (mut keys, mut values) =
            (arrow_array::builder::StringBuilder::new(), arrow_array::builder::StringBuilder::new());
        let (mut all, mut count) = (vec![], 0u32);
        for row in 0..rows {
            if columns.iter().any(|c| c.is_null(row)) {
                all.push(None);
                continue;
            }
            let delimiter = |i: usize, default: &'static str| columns.get(i).map_or(default, |c| c.value(row));
            let (pairs, between) = (
                crate::scalar::regex::splitter(delimiter(1, ","))?,
                crate::scalar::regex::splitter(delimiter(2, "="))?,
            );
            let first = count;
            let text = columns[0].value(row);
            if !text.is_empty() {
                for pair in pairs.split(text) {
                    match between.split_once(pair) {
                        Some((key, value)) => {
                            keys.append_value(key);
                            values.append_value(value);
                        }
                        None => {
                            keys.append_value(pair);
                            values.append_null();
                        }
                    }
                    count += 1;
                }
            }
            all.push(Some(first..count));
        }
        build_map(&made, &(Arc::new(keys.finish()) as ArrayRef), &(Arc::new(values.finish()) as ArrayRef), all)
    })))
}

#[cfg(test)]
mod tests {
    use crate::scalar::collection::testing::check;
    use crate::testing::{constant, text};

    #[test]
    fn values() {
        check(vec![
            ("STR_TO_MAP", vec![text("k1=v1,k2=v=2,k3")], "{k1=v1, k2=v=2, k3=NULL}"),
            ("STR_TO_MAP", vec![text("k1:v1;k2: v2"), text(";"), text(":")], "{k1=v1, k2= v2}"),
            ("STR_TO_MAP", vec![text("k1$$v1|k2$$ v2"), text("\\|"), text("\\$\\$")], "{k1=v1, k2= v2}"),
            ("STR_TO_MAP", vec![constant("", "STRING")], "{}"),
        ]);
    }
}
