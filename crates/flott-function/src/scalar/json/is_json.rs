//! IS_JSON: whether a text is JSON; FALSE of NULL.

use flott_core::Result;
use flott_core::types::TypeKind as K;

use super::value::Json;
use super::word;
use crate::argument::{Text, build_boolean};
use crate::example::Example;
use crate::scalar::shape::fit;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const IS_JSON: ScalarFunction = ScalarFunction {
    name: "IS_JSON",
    syntax: "text IS [NOT] JSON [VALUE | ARRAY | OBJECT | SCALAR]",
    description: "Whether a text is JSON; FALSE of NULL.",
    documentation: "Never NULL. The text is read as far as its first value.",
    examples: &[
        Example { sql: "'{\"a\": 1}' IS JSON", result: "TRUE" },
        Example { sql: "'[1]' IS JSON OBJECT", result: "FALSE" },
        Example { sql: "'1' IS JSON SCALAR", result: "TRUE" },
        Example { sql: "'abc' IS NOT JSON", result: "TRUE" },
    ],
    category: Category::Json,
    arity: (1, 2),
    resolve: is_json,
};

pub(super) fn is_json(a: &mut Arguments) -> Result<Option<Resolved>> {
    let kind = word(a, 1, "VALUE")?;
    a.values.truncate(1);
    if !fit(a, &[K::STRING])? {
        return Ok(None);
    }
    let resolved = Resolved::new(K::Boolean.not_null(), move |args, rows| {
        let texts = Text::of(&args[0])?;
        build_boolean(args, rows, |i| {
            let value = texts.get(i).map(Json::parse);
            Ok(Some(match value {
                Some(Ok(value)) => match kind.as_str() {
                    "ARRAY" => matches!(value, Json::Array(_)),
                    "OBJECT" => matches!(value, Json::Object(_)),
                    "SCALAR" => value.is_scalar(),
                    _ => true,
                },
                _ => false,
            }))
        })
    });
    Ok(Some(resolved.infallible()))
}
