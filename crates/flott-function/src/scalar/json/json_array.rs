//! JSON_ARRAY: a JSON array; NULL is left out.

use flott_core::Result;
use flott_core::types::TypeKind as K;

use super::write::{check, element, is_null, is_raw, takes_null};
use crate::argument::{build_text, rows_of};
use crate::example::Example;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::{Resolved, columns};

pub(super) const JSON_ARRAY: ScalarFunction = ScalarFunction {
    name: "JSON_ARRAY",
    syntax: "JSON_ARRAY(value, .. [NULL | ABSENT ON NULL])",
    description: "A JSON array; NULL is left out.",
    documentation: "Values are those of JSON_OBJECT. NULL ON NULL writes NULL as null.",
    examples: &[
        Example { sql: "JSON_ARRAY(1, 'x', TRUE)", result: "[1,\"x\",true]" },
        Example { sql: "JSON_ARRAY(1, CAST(NULL AS INT))", result: "[1]" },
        Example { sql: "JSON_ARRAY(1, NULL)", result: "[1]" },
        Example { sql: "JSON_ARRAY(1, CAST(NULL AS INT) NULL ON NULL)", result: "[1,null]" },
    ],
    category: Category::Json,
    arity: (0, 65_535),
    resolve: array,
};

pub(super) fn array(a: &mut Arguments) -> Result<Option<Resolved>> {
    let with_null = takes_null(a, "ABSENT")?;
    let types = a.types();
    types.iter().try_for_each(check)?;
    let raw: Vec<bool> = a.values.iter().map(is_raw).collect();
    Ok(Some(Resolved::new(K::STRING.not_null(), move |args, rows| {
        let columns = columns(args, rows_of(args, rows))?;
        let mut json = String::new();
        build_text(args, rows, |row, out| {
            json.clear();
            json.push('[');
            for (i, column) in columns.iter().enumerate() {
                if is_null(column, row) && !with_null {
                    continue;
                }
                if json.len() > 1 {
                    json.push(',');
                }
                element(column, &types[i], raw[i], row, &mut json)?;
            }
            json.push(']');
            out.append_value(&json);
            Ok(())
        })
    })))
}
