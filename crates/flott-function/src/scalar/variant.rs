//! VARIANT: PARSE_JSON and TRY_PARSE_JSON make it, `v['field']` and `v[1]` look into it.

use arrow_array::builder::BinaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, BinaryArray};
use flott_core::types::TypeKind as K;
use flott_core::{Error, Result};

use super::shape::{entry, fit};
use super::{Arguments, Category, ScalarFunction};
use crate::argument::{Text, finish, rows_of};
use crate::cast::cast_if_needed;
use crate::context::FunctionEnv;
use crate::udf::{Resolved, TypedExpr, call_resolved};
use crate::variant::{Variant, parse_json};

/// All of them.
pub(super) const FUNCTIONS: &[ScalarFunction] = &[
    entry(
        Category::Variant,
        "PARSE_JSON",
        "PARSE_JSON(text[, allow_duplicate_keys])",
        "The VARIANT of a JSON text; of equal keys the last one, where they are allowed.",
        (1, 2),
        |a| parse(a, false),
    ),
    entry(
        Category::Variant,
        "TRY_PARSE_JSON",
        "TRY_PARSE_JSON(text[, allow_duplicate_keys])",
        "The same; NULL where the text is no JSON.",
        (1, 2),
        |a| parse(a, true),
    ),
];

fn parse(a: &mut Arguments, or_null: bool) -> Result<Option<Resolved>> {
    if !fit(a, &[K::STRING, K::Boolean])? {
        return Ok(None);
    }
    let t = K::Variant.nullable().with_nullable(or_null || a.nullable());
    let resolved = Resolved::new(t, move |args, rows| {
        let texts = Text::of(&args[0])?;
        let rows = rows_of(args, rows);
        let duplicates = args.get(1).map(|d| d.to_array(rows)).transpose().map_err(crate::udf::from_datafusion)?;
        let duplicates = duplicates.as_ref().map(|d| d.as_boolean());
        let mut out = BinaryBuilder::new();
        for row in 0..rows {
            let allowed = match duplicates {
                None => Some(false),
                Some(d) => d.is_valid(row).then(|| d.value(row)),
            };
            let (Some(text), Some(allowed)) = (texts.get(row), allowed) else {
                out.append_null();
                continue;
            };
            match parse_json(text, allowed) {
                Ok(bytes) => out.append_value(bytes),
                Err(_) if or_null => out.append_null(),
                Err(e) => {
                    let shown: String = text.chars().take(100).collect();
                    return Err(Error::data(format!("Failed to parse json string: {shown}, {e}"))
                        .hint("TRY_PARSE_JSON gives NULL instead"));
                }
            }
        }
        finish(args, std::sync::Arc::new(out.finish()))
    });
    Ok(Some(if or_null { resolved.infallible() } else { resolved }))
}

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
