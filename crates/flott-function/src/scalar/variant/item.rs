//! `v['field']` and `v[1]`: fields and elements of a VARIANT.

use arrow_array::builder::BinaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, BinaryArray};
use flott_core::types::TypeKind as K;
use flott_core::{Error, Result};

use crate::cast::cast_if_needed;
use crate::context::FunctionEnv;
use crate::udf::{Resolved, TypedExpr, call_resolved};
use crate::variant::Variant;

/// Looks into each value of a column.
fn look<'a>(
    values: &'a BinaryArray,
    find: impl Fn(usize, &Variant<'a>) -> Result<Option<Variant<'a>>>,
) -> Result<ArrayRef> {
    let mut out = BinaryBuilder::new();
    for row in 0..values.len() {
        let found = match values.is_valid(row) {
            true => find(row, &Variant::read(values.value(row))?)?,
            false => None,
        };
        out.append_option(found.map(|v| v.write()));
    }
    Ok(std::sync::Arc::new(out.finish()))
}

/// `v['field']` and `v[1]`; NULL where there is no such field or element.
pub fn item(value: TypedExpr, index: TypedExpr, env: &FunctionEnv) -> Result<TypedExpr> {
    let t = K::Variant.nullable();
    if index.data_type.kind.is_character() {
        let resolved = Resolved::arrays(t, |args, _| {
            let names = args[1].as_string::<i32>();
            look(args[0].as_binary(), |row, v| {
                if names.is_null(row) {
                    return Ok(None);
                }
                if !v.is_object() {
                    return Err(Error::data(
                        "String key access on variant requires an object variant, but a non-object variant was provided.",
                    )
                    .hint("Give the position of an element of an array: v[1]"));
                }
                v.field(names.value(row))
            })
        });
        return Ok(call_resolved("ITEM", vec![value, index], resolved));
    }
    if !index.data_type.kind.is_integer() {
        return Err(Error::user(format!(
            "Cannot apply 'ITEM' to arguments of type 'ITEM(<VARIANT>, <{}>)'. Supported form(s): \
             <VARIANT>[<CHARACTER>|<INTEGER>]",
            index.data_type.summary_without_nullability()
        ))
        .hint("Write v['field'] for the field of an object and v[1] for the element of an array"));
    }
    let index = cast_if_needed(index, &K::BigInt.nullable(), env)?;
    let resolved = Resolved::arrays(t, |args, _| {
        let places = args[1].as_primitive::<Int64Type>();
        look(args[0].as_binary(), |row, v| {
            if places.is_null(row) {
                return Ok(None);
            }
            if !v.is_array() {
                return Err(Error::data(
                    "Integer index access on variant requires an array variant, but a non-array variant was provided.",
                )
                .hint("Give the name of a field of an object: v['field']"));
            }
            // The first has the place 1.
            match usize::try_from(places.value(row).wrapping_sub(1)) {
                Ok(place) => v.element(place),
                Err(_) => Ok(None),
            }
        })
    });
    Ok(call_resolved("ITEM", vec![value, index], resolved))
}
