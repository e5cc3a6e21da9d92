//! MAP_FROM_ARRAYS: a map of keys and values of the same number.

use arrow_array::{Array, UInt32Array};
use arrow_select::take::take;
use flott_core::types::TypeKind as K;
use flott_core::{Error, Result};

use super::{build_map, element_type, lists, range};
use crate::example::Example;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const MAP_FROM_ARRAYS: ScalarFunction = ScalarFunction {
    name: "MAP_FROM_ARRAYS",
    syntax: "MAP_FROM_ARRAYS(keys, values)",
    description: "A map of keys and values of the same number.",
    documentation: "Arrays of different lengths are an error. NULL where one is NULL.",
    examples: &[
        Example { sql: "MAP_FROM_ARRAYS(ARRAY['a'], ARRAY[1])", result: "{a=1}" },
        Example { sql: "MAP_FROM_ARRAYS(ARRAY[1], CAST(NULL AS ARRAY<INT>))", result: "<NULL>" },
    ],
    category: Category::Collection,
    arity: (2, 2),
    resolve: map_from_arrays,
};

fn map_from_arrays(a: &mut Arguments) -> Result<Option<Resolved>> {
    let (Some(key), Some(value)) = (element_type(&a.values[0].data_type), element_type(&a.values[1].data_type)) else {
        return Ok(None);
    };
    let t = K::Map(Box::new(key), Box::new(value)).nullable().with_nullable(a.nullable());
    let made = t.clone();
    Ok(Some(Resolved::arrays(t, move |args, rows| {
        let (keys, values) = (lists(&args[0])?, lists(&args[1])?);
        let mut pairs: Vec<Option<std::ops::Range<u32>>> = vec![];
        let (mut key_at, mut value_at) = (vec![], vec![]);
        for row in 0..rows {
            if keys.is_null(row) || values.is_null(row) {
                pairs.push(None);
                continue;
            }
            let (k, v) = (range(keys, row), range(values, row));
            if k.len() != v.len() {
                return Err(Error::data(format!(
                    "Invalid function MAP_FROM_ARRAYS call: The length of the keys array {} is not equal to the length of the values array {}",
                    k.len(),
                    v.len()
                )));
            }
            let first = key_at.len() as u32;
            key_at.extend(k);
            value_at.extend(v);
            pairs.push(Some(first..key_at.len() as u32));
        }
        let k = take(keys.values().as_ref(), &UInt32Array::from(key_at), None)?;
        let v = take(values.values().as_ref(), &UInt32Array::from(value_at), None)?;
        build_map(&made, &k, &v, pairs)
    })))
}

#[cfg(test)]
mod tests {
    use crate::scalar::collection::testing::{check, ints, keys, run};

    #[test]
    fn values() {
        check(vec![("MAP_FROM_ARRAYS", vec![keys(), ints(&[Some(1), None])], "{a=1, b=NULL}")]);
        assert!(run("MAP_FROM_ARRAYS", vec![keys(), ints(&[Some(1)])]).contains("not equal to the length"));
    }
}
