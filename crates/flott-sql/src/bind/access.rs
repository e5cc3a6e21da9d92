//! Access to nested values: fields of rows, elements of arrays, values of maps; and the constructor ROW.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, Int32Array, StructArray, UInt32Array};
use arrow_schema::DataType;
use arrow_select::take::take;
use datafusion_common::ScalarValue;
use datafusion_expr::Expr;
use flott_core::types::{RowField, TypeKind, arrow_type, map_keys};
use flott_core::{Error, LogicalType, Result};
use flott_function::udf::{Resolved, call_resolved};

use super::functions::Functions;
use super::scope::Typed;

/// The function that reads a field is named by it.
const FIELD_PREFIX: &str = "$field$";

/// The field that a function of [`field`] reads.
pub(super) fn field_name(function: &str) -> Option<&str> {
    function.strip_prefix(FIELD_PREFIX)
}

/// A field of a row: NULL where the row is.
pub(super) fn field(value: Typed, name: &str) -> Result<Typed> {
    let Some(fields) = value.data_type.kind.fields() else {
        return Err(Error::internal(format!("a field of a {}", value.data_type)));
    };
    let index = fields.iter().position(|f| f.name == name);
    let Some(index) = index else { return Err(Error::internal(format!("the field '{name}' is not there"))) };
    let t = &fields[index].data_type;
    let data_type = t.with_nullable(t.nullable || value.data_type.nullable);
    let resolved = Resolved::arrays(data_type, move |args, _| {
        let row = args[0].as_struct_opt().ok_or_else(|| Error::internal("a ROW that is no struct"))?;
        let column = row.column(index);
        let Some(nulls) = row.nulls().filter(|n| n.null_count() > 0) else { return Ok(column.clone()) };
        let kept: UInt32Array = (0..row.len()).map(|i| nulls.is_valid(i).then_some(i as u32)).collect();
        Ok(take(column.as_ref(), &kept, None)?)
    });
    Ok(call_resolved(&format!("{FIELD_PREFIX}{name}"), vec![value], resolved))
}

/// `array[i]` from 1, NULL behind the end; `map[key]`, NULL where the key is not; `row['field']`.
pub(super) fn element(functions: &Functions, value: Typed, index: Typed) -> Result<Typed> {
    match value.data_type.kind.clone() {
        TypeKind::Array(element) => {
            if !matches!(index.data_type.kind, TypeKind::TinyInt | TypeKind::SmallInt | TypeKind::Int) {
                return Err(Error::user(format!(
                    "Array element access needs an index of type INT, not {}",
                    index.data_type
                ))
                .hint("CAST the index to INT"));
            }
            if let Some(ScalarValue::Int32(Some(i))) = index.constant()
                && *i < 1
            {
                return Err(Error::user(format!("Array element access needs an index starting at 1 but was {i}"))
                    .hint("The first element has the index 1"));
            }
            let index = functions.cast_if_needed(index, &TypeKind::Int.nullable())?;
            let resolved = Resolved::arrays(element.with_nullable(true), |args, rows| {
                let list = args[0].as_list_opt::<i32>().ok_or_else(|| Error::internal("an ARRAY that is no list"))?;
                let index: &Int32Array = args[1].as_primitive();
                let offsets = list.value_offsets();
                let at: UInt32Array = (0..rows)
                    .map(|row| {
                        if list.is_null(row) || index.is_null(row) || index.value(row) < 1 {
                            return None;
                        }
                        let place = offsets[row].checked_add(index.value(row) - 1)?;
                        (place < offsets[row + 1]).then(|| u32::try_from(place).ok())?
                    })
                    .collect();
                Ok(take(list.values().as_ref(), &at, None)?)
            });
            Ok(call_resolved("ITEM", vec![value, index], resolved))
        }
        TypeKind::Map(key, element) => {
            if !same_family(&key.kind, &index.data_type.kind) {
                let (key, asked) = (key.with_nullable(true), index.data_type.with_nullable(true));
                return Err(Error::user(format!("The keys of this MAP are {key}, not {asked}"))
                    .hint(format!("CAST the key to {key}")));
            }
            let index = functions.cast_if_needed(index, &key.with_nullable(true))?;
            let resolved = Resolved::arrays(element.with_nullable(true), |args, rows| {
                let map = args[0].as_map_opt().ok_or_else(|| Error::internal("a MAP that is no map"))?;
                let offsets = map.value_offsets();
                // Each entry beside the key that its row asks for.
                let asked: UInt32Array = (0..rows)
                    .flat_map(|row| std::iter::repeat_n(row as u32, (offsets[row + 1] - offsets[row]).max(0) as usize))
                    .collect();
                let first = offsets[0] as usize;
                let keys = map_keys(map).slice(first, asked.len());
                let wanted = take(args[1].as_ref(), &asked, None)?;
                let same = equal(&keys, &wanted)?;
                let mut at: Vec<Option<u32>> = vec![None; rows];
                for (entry, row) in asked.values().iter().enumerate() {
                    // The last of equal keys wins, as in a map that is filled in order.
                    if same[entry] && !map.is_null(*row as usize) {
                        at[*row as usize] = Some((first + entry) as u32);
                    }
                }
                Ok(take(map.values().as_ref(), &UInt32Array::from(at), None)?)
            });
            Ok(call_resolved("ITEM", vec![value, index], resolved))
        }
        TypeKind::Variant => functions.variant_item(value, index),
        TypeKind::Row(fields) => {
            let found = match index.constant() {
                Some(ScalarValue::Utf8(Some(name))) => fields.iter().find(|f| f.name == *name),
                Some(ScalarValue::Int32(Some(i))) => {
                    usize::try_from(*i).ok().and_then(|i| fields.get(i.checked_sub(1)?))
                }
                _ => None,
            };
            let Some(found) = found else {
                let names: Vec<&str> = fields.iter().map(|f| f.name.as_str()).collect();
                return Err(Error::user("'[..]' of a ROW names no field of it").hint(format!(
                    "Write the name of a field as a constant, or its place from 1; fields: {}",
                    names.join(", ")
                )));
            };
            field(value, &found.name)
        }
        _ => Err(Error::user(format!("'[..]' asks for an element of a {}", value.data_type))
            .hint("Only an ARRAY, a MAP, a ROW and a VARIANT have elements")),
    }
}

/// Whether a key may be asked for by a value of another type: numbers by numbers, texts by texts, times of one kind.
fn same_family(key: &TypeKind, asked: &TypeKind) -> bool {
    *asked == TypeKind::Null
        || std::mem::discriminant(key) == std::mem::discriminant(asked)
        || (key.is_numeric() && asked.is_numeric())
        || (key.is_character() && asked.is_character())
        || (key.is_binary() && asked.is_binary())
        || (key.is_timestamp() && asked.is_timestamp())
}

/// Which places of two columns of one type are equal (NULL is equal to nothing).
fn equal(a: &ArrayRef, b: &ArrayRef) -> Result<Vec<bool>> {
    if a.data_type() != b.data_type() {
        return Err(Error::internal(format!("keys of type {} beside {}", a.data_type(), b.data_type())));
    }
    let (a, b) = (a.to_data(), b.to_data());
    Ok((0..a.len()).map(|i| !a.is_null(i) && !b.is_null(i) && a.slice(i, 1) == b.slice(i, 1)).collect())
}

/// The values of `ROW(a, b)` or `(a, b)` as it is written; `None` where a row comes from elsewhere.
pub(super) fn row_values(value: &Typed) -> Option<Vec<Typed>> {
    let (Expr::ScalarFunction(f), TypeKind::Row(fields)) = (&value.expr, &value.data_type.kind) else { return None };
    if f.func.name() != "ROW" || f.args.len() != fields.len() {
        return None;
    }
    let typed = |(e, field): (&Expr, &RowField)| Typed { expr: e.clone(), data_type: field.data_type.clone() };
    Some(f.args.iter().zip(fields).map(typed).collect())
}

/// `ROW(a, b)`: fields `EXPR$0`, `EXPR$1`.
pub(super) fn row(values: Vec<Typed>) -> Result<Typed> {
    let fields: Vec<RowField> =
        values.iter().enumerate().map(|(i, v)| RowField::new(format!("EXPR${i}"), v.data_type.clone())).collect();
    let data_type: LogicalType = TypeKind::Row(fields).not_null();
    let arrow = arrow_type(&data_type);
    let resolved = Resolved::arrays(data_type, move |args, rows| {
        let DataType::Struct(fields) = &arrow else { return Err(Error::internal("a ROW that is no struct")) };
        let made = StructArray::try_new_with_length(fields.clone(), args.to_vec(), None, rows)?;
        Ok(Arc::new(made) as ArrayRef)
    });
    Ok(call_resolved("ROW", values, resolved))
}
