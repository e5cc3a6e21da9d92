//! Values as JSON: what JSON_OBJECT, JSON_ARRAY and JSON_STRING write.

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use datafusion_expr::Expr;
use flott_core::types::{TypeKind as K, map_keys};
use flott_core::{Error, LogicalType, Result};

use super::value::{big_decimal, compare_keys, write_text};
use super::word;
use crate::cast::to_nanos;
use crate::scalar::Arguments;
use crate::udf::TypedExpr;
use crate::variant::{Variant, to_json};
use crate::{decimal, text};

/// Whether values of a type can be written.
pub(super) fn check(t: &LogicalType) -> Result<()> {
    match &t.kind {
        K::Date | K::Time(_) | K::IntervalYearMonth(..) | K::IntervalDayTime(..) | K::Multiset(_) | K::Bitmap => {
            Err(Error::user(format!("Type '{t}' is not scalar or cannot be converted into JSON."))
                .hint("CAST it to STRING"))
        }
        K::Array(element) => check(element),
        K::Map(key, value) => {
            if !key.kind.is_character() {
                return Err(Error::user(format!(
                    "Type '{key}' is not supported for JSON conversion. The key type must be a character string."
                ))
                .hint("CAST the map to MAP<STRING, ..>"));
            }
            check(value)
        }
        K::Row(fields) | K::Structured(_, fields) => fields.iter().try_for_each(|f| check(&f.data_type)),
        _ => Ok(()),
    }
}

/// Adds a value to a text; NULL is `null`.
pub(super) fn write(array: &ArrayRef, t: &LogicalType, row: usize, out: &mut String) -> Result<()> {
    if array.is_null(row) {
        out.push_str("null");
        return Ok(());
    }
    macro_rules! plain {
        ($t:ty) => {
            out.push_str(&array.as_primitive::<$t>().value(row).to_string())
        };
    }
    match &t.kind {
        K::Null => out.push_str("null"),
        K::Boolean => out.push_str(if array.as_boolean().value(row) { "true" } else { "false" }),
        K::TinyInt => plain!(Int8Type),
        K::SmallInt => plain!(Int16Type),
        K::Int => plain!(Int32Type),
        K::BigInt => plain!(Int64Type),
        K::Float => write_double(f64::from(array.as_primitive::<Float32Type>().value(row)), out),
        K::Double => write_double(array.as_primitive::<Float64Type>().value(row), out),
        K::Decimal { scale, .. } => {
            let plain = decimal::format(array.as_primitive::<Decimal128Type>().value(row), *scale);
            out.push_str(&big_decimal(&plain));
        }
        K::Char(_) | K::VarChar(_) => write_text(array.as_string::<i32>().value(row), out),
        K::Binary(_) | K::VarBinary(_) => write_text(&STANDARD.encode(array.as_binary::<i32>().value(row)), out),
        K::Timestamp(..) | K::TimestampLtz(..) => {
            let nanos = to_nanos(&array.slice(row, 1))?.into_iter().next().flatten().unwrap_or(0);
            let shown = text::format_timestamp(nanos, 9).replace(' ', "T");
            // As java.time prints it: without zeroes at the end of the fraction.
            out.push('"');
            out.push_str(shown.trim_end_matches('0').trim_end_matches('.'));
            // `:00.000` has lost the zeroes of its seconds too.
            if shown.ends_with(".000000000") {
                let seconds = shown.len() - ".000000000".len();
                out.truncate(out.rfind('"').map_or(0, |q| q + 1));
                out.push_str(&shown[..seconds]);
            }
            out.push_str(if matches!(t.kind, K::TimestampLtz(..)) { "Z\"" } else { "\"" });
        }
        K::Variant => out.push_str(&to_json(&Variant::read(array.as_binary::<i32>().value(row))?)?),
        K::Array(element) => {
            let list = array.as_list::<i32>();
            let offsets = list.value_offsets();
            out.push('[');
            for i in offsets[row]..offsets[row + 1] {
                if i > offsets[row] {
                    out.push(',');
                }
                write(list.values(), element, i as usize, out)?;
            }
            out.push(']');
        }
        K::Map(_, value) => {
            let map = array.as_map();
            let offsets = map.value_offsets();
            let keys = map_keys(map).as_string::<i32>();
            let mut places: Vec<usize> = (offsets[row] as usize..offsets[row + 1] as usize).collect();
            if places.iter().any(|i| keys.is_null(*i)) {
                return Err(Error::data("a key of a MAP is NULL, which JSON has not")
                    .hint("Filter NULL keys out, or use COALESCE(key, ..)"));
            }
            places.sort_by(|a, b| compare_keys(keys.value(*a), keys.value(*b)));
            out.push('{');
            for (n, i) in places.into_iter().enumerate() {
                key(keys.value(i), n, out);
                write(map.values(), value, i, out)?;
            }
            out.push('}');
        }
        K::Row(fields) | K::Structured(_, fields) => {
            let columns = array.as_struct();
            let mut places: Vec<usize> = (0..fields.len()).collect();
            places.sort_by(|a, b| compare_keys(&fields[*a].name, &fields[*b].name));
            out.push('{');
            for (n, i) in places.into_iter().enumerate() {
                key(&fields[i].name, n, out);
                write(columns.column(i), &fields[i].data_type, row, out)?;
            }
            out.push('}');
        }
        other => return Err(Error::internal(format!("{other:?} as JSON"))),
    }
    Ok(())
}

pub(super) fn key(name: &str, place: usize, out: &mut String) {
    if place > 0 {
        out.push(',');
    }
    write_text(name, out);
    out.push(':');
}

/// A JSON object of these entries in the order of their keys; values are JSON, `None` is null.
pub fn object_text<'a>(entries: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> String {
    let mut entries: Vec<_> = entries.collect();
    entries.sort_by(|a, b| compare_keys(a.0, b.0));
    let mut out = String::from("{");
    for (n, (name, value)) in entries.into_iter().enumerate() {
        key(name, n, &mut out);
        out.push_str(value.unwrap_or("null"));
    }
    out.push('}');
    out
}

fn write_double(value: f64, out: &mut String) {
    if value.is_finite() {
        out.push_str(&big_decimal(&text::format_double(value)));
    } else {
        write_text(&text::format_double(value), out);
    }
}

/// Whether a value is JSON already: a call of a function that makes it.
pub(super) fn is_raw(value: &TypedExpr) -> bool {
    matches!(&value.expr, Expr::ScalarFunction(f) if matches!(f.func.name(), "JSON_OBJECT" | "JSON_ARRAY" | "JSON"))
}

/// Whether a value is NULL; a column of nothing but untyped NULLs has no mark for it.
pub(super) fn is_null(column: &ArrayRef, row: usize) -> bool {
    column.data_type() == &DataType::Null || column.is_null(row)
}

/// What ON NULL says, which comes as the first argument.
pub(super) fn takes_null(a: &mut Arguments, default: &str) -> Result<bool> {
    let takes = word(a, 0, default)? == "NULL";
    if !a.values.is_empty() {
        a.values.remove(0);
    }
    Ok(takes)
}

pub(super) fn element(column: &ArrayRef, t: &LogicalType, raw: bool, row: usize, out: &mut String) -> Result<()> {
    if raw && column.is_valid(row) {
        out.push_str(column.as_string::<i32>().value(row));
        return Ok(());
    }
    write(column, t, row, out)
}
