//! ARRAY: an array of these values.

use std::sync::Arc;

use arrow_array::ListArray;
use arrow_buffer::OffsetBuffer;
use flott_core::Result;
use flott_core::types::{TypeKind as K, arrow_field};

use super::{common, side_by_side};
use crate::example::Example;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::types::least_common_type;
use crate::udf::Resolved;

pub(super) const ARRAY: ScalarFunction = ScalarFunction {
    name: "ARRAY",
    syntax: "ARRAY[value, ..]",
    description: "An array of these values.",
    documentation: "Values become their common type. Written with brackets; `array[1]` is its first element.",
    examples: &[
        Example { sql: "ARRAY[1, 2, 3]", result: "[1, 2, 3]" },
        Example { sql: "ARRAY[1, 2.5]", result: "[1.0, 2.5]" },
        Example { sql: "ARRAY['a', CAST(NULL AS STRING)]", result: "[a, NULL]" },
    ],
    category: Category::Collection,
    arity: (1, 65_535),
    resolve: array,
};

pub(super) fn array(a: &mut Arguments) -> Result<Option<Resolved>> {
    let count = a.values.len();
    let Some(t) = common(a, 0..count, least_common_type)? else { return Ok(None) };
    let element = t.clone();
    Ok(Some(Resolved::arrays(K::Array(Box::new(t)).not_null(), move |args, rows| {
        let values = side_by_side(args, rows)?;
        let offsets = OffsetBuffer::from_repeated_length(args.len(), rows);
        Ok(Arc::new(ListArray::try_new(Arc::new(arrow_field("item", &element)), offsets, values, None)?))
    })))
}

#[cfg(test)]
mod tests {
    use crate::scalar::collection::testing::{check, ints, run};
    use crate::testing::{constant, text};

    #[test]
    fn values() {
        check(vec![
            ("ARRAY", vec![constant("1", "INT"), constant("NULL", "INT")], "[1, NULL]"),
            ("ARRAY", vec![constant("1", "INT"), constant("2.5", "DOUBLE")], "[1.0, 2.5]"),
        ]);
        assert_eq!(ints(&[Some(1)]).data_type.to_string(), "ARRAY<INT NOT NULL> NOT NULL");
        assert!(run("ARRAY", vec![constant("1", "INT"), text("x")]).starts_with("ERROR No match found"));
    }
}
