//! JSON_EXISTS: whether a path leads to a value.

use std::sync::Arc;

use arrow_array::builder::BooleanBuilder;
use flott_core::Result;
use flott_core::types::TypeKind as K;

use super::document::{PathArgument, each, failed};
use super::word;
use crate::argument::{finish, rows_of};
use crate::example::Example;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const JSON_EXISTS: ScalarFunction = ScalarFunction {
    name: "JSON_EXISTS",
    syntax: "JSON_EXISTS(text, path [TRUE | FALSE | UNKNOWN | ERROR ON ERROR])",
    description: "Whether a path leads to a value.",
    documentation: "Paths are written `$.a.b[0]`, with `strict` (the default) or `lax` before them. A value that is \
         null does not count. ON ERROR says what a text that is no JSON gives, and what a strict path gives that \
         leads nowhere: FALSE where nothing is said. NULL gives NULL.",
    examples: &[
        Example { sql: "JSON_EXISTS('{\"a\": true}', '$.a')", result: "TRUE" },
        Example { sql: "JSON_EXISTS('{\"a\": true}', '$.b')", result: "FALSE" },
        Example { sql: "JSON_EXISTS('{\"a\": true}', 'strict $.b' TRUE ON ERROR)", result: "TRUE" },
    ],
    category: Category::Json,
    arity: (2, 3),
    resolve: exists,
};

pub(super) fn exists(a: &mut Arguments) -> Result<Option<Resolved>> {
    let on_error = word(a, 2, "FALSE")?;
    a.values.truncate(2);
    let Some(path) = PathArgument::of(a)? else { return Ok(None) };
    Ok(Some(Resolved::new(K::Boolean.nullable(), move |args, rows| {
        let rows = rows_of(args, rows);
        let mut out = BooleanBuilder::with_capacity(rows);
        each(args, &path, rows, |found| {
            match found {
                None => out.append_null(),
                Some(Ok(value)) => out.append_value(value.is_some()),
                Some(Err(why)) => match on_error.as_str() {
                    "TRUE" => out.append_value(true),
                    "UNKNOWN" => out.append_null(),
                    "ERROR" => return Err(failed(&why)),
                    _ => out.append_value(false),
                },
            }
            Ok(())
        })?;
        finish(args, Arc::new(out.finish()))
    })))
}
