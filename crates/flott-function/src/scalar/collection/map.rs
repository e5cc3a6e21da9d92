//! MAP: a map of these entries; the last of equal keys wins.

use flott_core::Result;
use flott_core::types::TypeKind as K;

use super::{build_map, common, side_by_side};
use crate::example::Example;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::types::least_common_type;
use crate::udf::Resolved;

pub(super) const MAP: ScalarFunction = ScalarFunction {
    name: "MAP",
    syntax: "MAP[key, value, ..]",
    description: "A map of these entries; the last of equal keys wins.",
    documentation: "Keys become their common type, and so do values. Written with brackets; `map['key']` is a value \
         of it, NULL where there is no such key.",
    examples: &[
        Example { sql: "MAP['a', 1, 'b', 2]", result: "{a=1, b=2}" },
        Example { sql: "MAP['a', 1, 'a', 2]", result: "{a=2}" },
    ],
    category: Category::Collection,
    arity: (2, 65_534),
    resolve: map,
};

fn map(a: &mut Arguments) -> Result<Option<Resolved>> {
    let count = a.values.len();
    if !count.is_multiple_of(2) {
        return Ok(None);
    }
    let Some(key) = common(a, (0..count).step_by(2), least_common_type)? else { return Ok(None) };
    // Values that are all a bare NULL say no type: Flink takes that of the keys.
    let bare = (1..count).step_by(2).all(|i| a.values[i].data_type.kind == K::Null);
    for i in (1..count).step_by(2).filter(|_| bare) {
        a.coerce(i, &key.with_nullable(true))?;
    }
    let Some(value) = common(a, (1..count).step_by(2), least_common_type)? else { return Ok(None) };
    let t = K::Map(Box::new(key), Box::new(value)).not_null();
    let made = t.clone();
    Ok(Some(Resolved::arrays(t, move |args, rows| {
        let of = |first: usize| args.iter().skip(first).step_by(2).cloned().collect::<Vec<_>>();
        let (keys, values) = (side_by_side(&of(0), rows)?, side_by_side(&of(1), rows)?);
        let entries = (args.len() / 2) as u32;
        build_map(&made, &keys, &values, (0..rows as u32).map(|r| Some(r * entries..(r + 1) * entries)).collect())
    })))
}

#[cfg(test)]
mod tests {
    use crate::scalar::collection::testing::{check, null};
    use crate::testing::{constant, text};

    #[test]
    fn values() {
        check(vec![
            ("MAP", vec![text("a"), constant("1", "INT"), text("b"), constant("2", "INT")], "{a=1, b=2}"),
            ("MAP", vec![text("a"), constant("1", "INT"), text("a"), constant("2", "INT")], "{a=2}"),
            ("MAP", vec![text("a"), null()], "{a=NULL}"),
            ("MAP", vec![constant("NULL", "STRING"), text("x")], "{NULL=x}"),
        ]);
    }
}
