//! BITMAP_BUILD: the set of the numbers of an `ARRAY<INT>`; NULL is left out.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use flott_core::types::TypeKind as K;
use flott_core::{Error, Result};

use super::{nullable_as, sets};
use crate::example::Example;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const BITMAP_BUILD: ScalarFunction = ScalarFunction {
    name: "BITMAP_BUILD",
    syntax: "BITMAP_BUILD(array)",
    description: "The set of the numbers of an ARRAY<INT>; NULL is left out.",
    documentation: "Elements are TINYINT, SMALLINT or INT. A BITMAP counts numbers without a sign: -1 is 4294967295. \
         NULL gives NULL.",
    examples: &[
        Example { sql: "BITMAP_BUILD(ARRAY[1, 2, 2])", result: "{1,2}" },
        Example { sql: "BITMAP_BUILD(ARRAY[CAST(NULL AS INT), 1])", result: "{1}" },
        Example { sql: "BITMAP_BUILD(CAST(NULL AS ARRAY<INT>))", result: "<NULL>" },
    ],
    category: Category::Bitmap,
    arity: (1, 1),
    resolve: build,
};

fn build(a: &mut Arguments) -> Result<Option<Resolved>> {
    let fits = match &a.values[0].data_type.kind {
        K::Array(element) => matches!(element.kind, K::TinyInt | K::SmallInt | K::Int | K::Null),
        K::Null => true,
        _ => false,
    };
    if !fits {
        return Ok(None);
    }
    let t = nullable_as(a, K::Bitmap);
    a.coerce(0, &K::Array(Box::new(K::Int.nullable())).nullable())?;
    let resolved = Resolved::arrays(t, |args, rows| {
        let list = args[0].as_list_opt::<i32>().ok_or_else(|| Error::internal("an ARRAY that is no list"))?;
        sets(rows, |row| {
            let numbers = list.is_valid(row).then(|| list.value(row));
            Ok(numbers.map(|n| n.as_primitive::<Int32Type>().iter().flatten().map(|n| n as u32).collect()))
        })
    });
    Ok(Some(resolved.infallible()))
}
