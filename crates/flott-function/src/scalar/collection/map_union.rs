//! MAP_UNION: the entries of all maps; of equal keys the one of the last map.

use arrow_array::{Array, UInt32Array};
use arrow_select::concat::concat;
use arrow_select::take::take;
use flott_core::Result;
use flott_core::types::{TypeKind as K, map_keys};

use super::{build_map, common, compare_all, distinct_of, maps};
use crate::example::Example;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::types::function_common_type;
use crate::udf::Resolved;

pub(super) const MAP_UNION: ScalarFunction = ScalarFunction {
    name: "MAP_UNION",
    syntax: "MAP_UNION(map, ..)",
    description: "The entries of all maps; of equal keys the one of the last map.",
    documentation: "Maps become their common type. NULL where one is NULL.",
    examples: &[
        Example { sql: "MAP_UNION(MAP['a', 1], MAP['a', 2])", result: "{a=2}" },
        Example { sql: "CARDINALITY(MAP_UNION(MAP['a', 1], MAP['b', 2], MAP['c', 3]))", result: "3" },
    ],
    category: Category::Collection,
    arity: (1, 255),
    resolve: union,
};

fn union(a: &mut Arguments) -> Result<Option<Resolved>> {
    let count = a.values.len();
    if !a.values.iter().all(|v| matches!(v.data_type.kind, K::Map(..))) {
        return Ok(None);
    }
    let nullable = a.nullable();
    let Some(t) = common(a, 0..count, function_common_type)? else { return Ok(None) };
    let t = t.with_nullable(nullable);
    let made = t.clone();
    Ok(Some(Resolved::arrays(t, move |args, rows| {
        // The last map comes first, as Flink puts them.
        let maps = args.iter().rev().map(maps).collect::<Result<Vec<_>>>()?;
        let keys: Vec<&dyn Array> = maps.iter().map(|m| map_keys(m).as_ref()).collect();
        let values: Vec<&dyn Array> = maps.iter().map(|m| m.values().as_ref()).collect();
        let (keys, values) = (concat(&keys)?, concat(&values)?);
        let compare = compare_all(&keys, true)?;
        let mut places: Vec<u32> = vec![];
        let mut entries = Vec::with_capacity(rows);
        for row in 0..rows {
            if maps.iter().any(|m| m.is_null(row)) {
                entries.push(None);
                continue;
            }
            let mut first = 0u32;
            let mut all = vec![];
            for m in &maps {
                let offsets = m.value_offsets();
                all.extend((offsets[row] as u32..offsets[row + 1] as u32).map(|i| first + i));
                first += m.keys().len() as u32;
            }
            let start = places.len() as u32;
            places.extend(distinct_of(all, &compare));
            entries.push(Some(start..places.len() as u32));
        }
        let places = UInt32Array::from(places);
        let (keys, values) = (take(keys.as_ref(), &places, None)?, take(values.as_ref(), &places, None)?);
        build_map(&made, &keys, &values, entries)
    })))
}

#[cfg(test)]
mod tests {
    use crate::context::FunctionEnv;
    use crate::scalar;
    use crate::testing::{call, constant, text};
    use crate::udf::TypedExpr;

    fn map(key: &str, value: &str) -> TypedExpr {
        let map = scalar::call("MAP", vec![text(key), constant(value, "INT")], &FunctionEnv::default());
        let map = map.expect("MAP").expect("a map");
        let row = crate::testing::values(&map, &crate::testing::one_row()).expect("a row");
        TypedExpr::literal(crate::udf::scalar_of(&row).expect("a row"), map.data_type)
    }

    #[test]
    fn entries_of_all_maps() {
        for (maps, expected) in [
            (vec![map("a", "1"), map("b", "2")], "{b=2, a=1}"),
            (vec![map("a", "1"), map("a", "2")], "{a=2}"),
            (vec![map("a", "1"), map("a", "2"), map("c", "3")], "{c=3, a=2}"),
            (vec![map("a", "1")], "{a=1}"),
            (vec![map("a", "1"), constant("NULL", "MAP<STRING, INT>")], "NULL"),
        ] {
            assert_eq!(call("MAP_UNION", maps).expect("a map"), expected);
        }
        assert!(call("MAP_UNION", vec![constant("1", "INT")]).is_err());
    }
}
