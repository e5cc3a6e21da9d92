//! JSON_STRING: any value as JSON.

use std::sync::Arc;

use arrow_array::Array;
use flott_core::Result;
use flott_core::types::TypeKind as K;

use super::write::{check, is_raw, write};
use crate::argument::{build_text, rows_of};
use crate::example::Example;
use crate::scalar::shape::string_of;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::{Resolved, columns};

pub(super) const JSON_STRING: ScalarFunction = ScalarFunction {
    name: "JSON_STRING",
    syntax: "JSON_STRING(value)",
    description: "Any value as JSON.",
    documentation: "Any type but DATE, TIME and INTERVAL, which need a CAST; maps have texts as keys. NULL gives \
         NULL.",
    examples: &[
        Example { sql: "JSON_STRING(TRUE)", result: "true" },
        Example { sql: "JSON_STRING('x')", result: "\"x\"" },
        Example { sql: "JSON_STRING(MAP['b', 1, 'a', 2])", result: "{\"a\":2,\"b\":1}" },
    ],
    category: Category::Json,
    arity: (1, 1),
    resolve: string,
};

pub(super) fn string(a: &mut Arguments) -> Result<Option<Resolved>> {
    let t = a.values[0].data_type.clone();
    check(&t)?;
    let result = string_of(a);
    if is_raw(&a.values[0]) {
        return Ok(Some(Resolved::arrays(result, |args, _| Ok(Arc::clone(&args[0]))).infallible()));
    }
    let resolved = Resolved::new(result, move |args, rows| {
        let rows = rows_of(args, rows);
        let columns = columns(args, rows)?;
        let mut json = String::new();
        build_text(args, rows, |i, out| {
            if t.kind == K::Null || columns[0].is_null(i) {
                out.append_null();
                return Ok(());
            }
            json.clear();
            write(&columns[0], &t, i, &mut json)?;
            out.append_value(&json);
            Ok(())
        })
    });
    Ok(Some(resolved.infallible()))
}
