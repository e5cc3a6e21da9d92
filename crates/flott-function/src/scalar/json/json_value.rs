//! JSON_VALUE: the scalar that a path leads to, as STRING, BOOLEAN, INT or DOUBLE.

use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, PrimitiveBuilder, StringBuilder};
use arrow_array::types::{Float64Type, Int32Type};
use arrow_array::{Array, ArrayRef};
use arrow_select::interleave::interleave;
use flott_core::types::TypeKind as K;
use flott_core::{Error, Result};

use super::document::{PathArgument, as_text, each, failed, returning};
use super::value::Json;
use super::word;
use crate::argument::{finish, rows_of};
use crate::example::Example;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::{Resolved, columns};

pub(super) const JSON_VALUE: ScalarFunction = ScalarFunction {
    name: "JSON_VALUE",
    syntax: "JSON_VALUE(text, path [RETURNING type] [NULL | ERROR | DEFAULT value ON EMPTY] [.. ON ERROR])",
    description: "The scalar that a path leads to, as STRING, BOOLEAN, INT or DOUBLE.",
    documentation: "Paths are written `$.a.b[0]`, with `strict` (the default) or `lax` before them. ON EMPTY says \
         what is given where a lax path leads nowhere, ON ERROR what where a strict one does, the text is no JSON or \
         the value no scalar: NULL where nothing is said. A value that is not of the type is an error, unless ON \
         ERROR is written. NULL gives NULL. Also DECIMAL and VARIANT are taken, for the JSON that they are.",
    examples: &[
        Example { sql: "JSON_VALUE('{\"a\": true}', '$.a')", result: "true" },
        Example { sql: "JSON_VALUE('{\"a.b\": [0.998, 0.996]}', '$.[''a.b''][0]' RETURNING DOUBLE)", result: "0.998" },
        Example { sql: "JSON_VALUE('{\"a\": 1}', 'lax $.b' DEFAULT 'none' ON EMPTY)", result: "none" },
        Example { sql: "JSON_VALUE('bad', '$.a')", result: "<NULL>" },
    ],
    category: Category::Json,
    arity: (2, 7),
    resolve: value,
};

/// Where a row of JSON_VALUE comes from.
const VALUE: usize = 0;

const DEFAULT_ON_EMPTY: usize = 1;

const DEFAULT_ON_ERROR: usize = 2;

/// The arguments after the path: type, what is given ON EMPTY and its default, what is given ON ERROR and its default.
pub(super) fn value(a: &mut Arguments) -> Result<Option<Resolved>> {
    let t = returning(a, 2)?;
    if !(t.kind.is_character() || matches!(t.kind, K::Boolean | K::Int | K::Double)) {
        return Err(Error::user(format!("Unsupported type '{t}' for RETURNING in JSON_VALUE()."))
            .hint("It may be STRING, BOOLEAN, INT or DOUBLE: CAST(JSON_VALUE(..) AS type) gives any other"));
    }
    let on_empty = word(a, 3, "NULL")?;
    // Without a clause a value of another type is an error, as in Flink; with one the clause decides.
    let written = a.values.get(5).is_some_and(|v| v.text() != Some(""));
    let on_error = word(a, 5, "NULL")?;
    let default_of = |a: &Arguments, i: usize| {
        let null = || crate::udf::TypedExpr::literal(datafusion_common::ScalarValue::Null, K::Null.nullable());
        crate::cast::cast_if_needed(a.values.get(i).cloned().unwrap_or_else(null), &t, a.env)
    };
    let defaults = [default_of(a, 4)?, default_of(a, 6)?];
    a.values.truncate(2);
    a.values.extend(defaults);
    as_text(a)?;
    let Some(path) = PathArgument::of(a)? else { return Ok(None) };
    let kind = t.kind.clone();
    Ok(Some(Resolved::new(t, move |args, rows| {
        let rows = rows_of(args, rows);
        let mut out = Column::new(&kind, rows);
        let mut from = Vec::with_capacity(rows);
        each(args, &path, rows, |found| {
            let error = match found {
                None => {
                    out.append(None);
                    from.push(VALUE);
                    return Ok(());
                }
                Some(Ok(Some(value))) if value.is_scalar() => {
                    if out.append(Some(&value)) {
                        from.push(VALUE);
                        return Ok(());
                    }
                    let why = format!("the JSON value {value} cannot be given as {kind:?}");
                    if !written {
                        return Err(Error::data(why).hint("NULL ON ERROR gives NULL instead"));
                    }
                    why
                }
                Some(Ok(Some(value))) if path.is_strict() => {
                    out.append(None);
                    format!("Strict jsonpath mode requires scalar value, and the actual value is: '{value}'")
                }
                Some(Ok(_)) => {
                    out.append(None);
                    from.push(if on_empty == "DEFAULT" { DEFAULT_ON_EMPTY } else { VALUE });
                    if on_empty == "ERROR" {
                        return Err(Error::data("Empty result of JSON_VALUE function is not allowed")
                            .hint("NULL ON EMPTY gives NULL instead"));
                    }
                    return Ok(());
                }
                Some(Err(why)) => {
                    out.append(None);
                    why
                }
            };
            from.push(if on_error == "DEFAULT" { DEFAULT_ON_ERROR } else { VALUE });
            if on_error == "ERROR" { Err(failed(&error)) } else { Ok(()) }
        })?;
        let values = out.finish();
        if from.iter().all(|f| *f == VALUE) {
            return finish(args, values);
        }
        let defaults = columns(&args[2..], rows)?;
        let at: Vec<(usize, usize)> = from.into_iter().enumerate().map(|(row, from)| (from, row)).collect();
        let parts: [&dyn Array; 3] = [values.as_ref(), defaults[0].as_ref(), defaults[1].as_ref()];
        finish(args, interleave(&parts, &at)?)
    })))
}

/// The values that JSON_VALUE returns.
enum Column {
    Text(StringBuilder),
    Boolean(BooleanBuilder),
    Int(PrimitiveBuilder<Int32Type>),
    Double(PrimitiveBuilder<Float64Type>),
}

impl Column {
    fn new(kind: &K, rows: usize) -> Column {
        match kind {
            K::Boolean => Column::Boolean(BooleanBuilder::with_capacity(rows)),
            K::Int => Column::Int(PrimitiveBuilder::with_capacity(rows)),
            K::Double => Column::Double(PrimitiveBuilder::with_capacity(rows)),
            _ => Column::Text(StringBuilder::with_capacity(rows, rows * 16)),
        }
    }

    /// Adds a scalar or NULL; `false` where it has another type, and NULL was added.
    fn append(&mut self, value: Option<&Json>) -> bool {
        match self {
            Column::Text(out) => {
                out.append_option(value.map(Json::to_text));
                true
            }
            Column::Boolean(out) => {
                let found = match value {
                    Some(Json::Bool(b)) => Some(*b),
                    _ => None,
                };
                out.append_option(found);
                found.is_some() == value.is_some()
            }
            Column::Int(out) => {
                let found = match value {
                    Some(Json::Integer(n)) => n.parse().ok(),
                    _ => None,
                };
                out.append_option(found);
                found.is_some() == value.is_some()
            }
            Column::Double(out) => {
                let found = match value {
                    Some(Json::Integer(n) | Json::Decimal(n)) => n.parse().ok(),
                    _ => None,
                };
                out.append_option(found);
                found.is_some() == value.is_some()
            }
        }
    }

    fn finish(self) -> ArrayRef {
        match self {
            Column::Text(mut out) => Arc::new(out.finish()),
            Column::Boolean(mut out) => Arc::new(out.finish()),
            Column::Int(mut out) => Arc::new(out.finish()),
            Column::Double(mut out) => Arc::new(out.finish()),
        }
    }
}
