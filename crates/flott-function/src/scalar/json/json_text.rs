//! JSON: a text that is JSON already, as a value of JSON_OBJECT and JSON_ARRAY.

use flott_core::types::TypeKind as K;
use flott_core::{Error, Result};

use super::value::Json;
use crate::argument::{Text, build_text};
use crate::example::Example;
use crate::scalar::shape::fit;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const JSON: ScalarFunction = ScalarFunction {
    name: "JSON",
    syntax: "JSON(text)",
    description: "A text that is JSON already, as a value of JSON_OBJECT and JSON_ARRAY.",
    documentation: "It stands in JSON_OBJECT and JSON_ARRAY. A text that is no JSON is an error; an empty one \
         and NULL are NULL.",
    examples: &[
        Example { sql: "JSON_OBJECT('a' VALUE JSON('{\"b\": 1}'))", result: "{\"a\":{\"b\":1}}" },
        Example { sql: "JSON_ARRAY(JSON('[1]'))", result: "[[1]]" },
    ],
    category: Category::Json,
    arity: (1, 1),
    resolve: json,
};

/// The text is read and written again, so that it is JSON for sure; an empty one is NULL.
pub(super) fn json(a: &mut Arguments) -> Result<Option<Resolved>> {
    if !fit(a, &[K::STRING])? {
        return Ok(None);
    }
    Ok(Some(Resolved::new(K::STRING.nullable(), |args, rows| {
        let texts = Text::of(&args[0])?;
        build_text(args, rows, |i, out| {
            match texts.get(i).filter(|t| !t.trim().is_empty()) {
                None => out.append_null(),
                Some(t) => out.append_value(
                    Json::parse(t)
                        .map_err(|why| {
                            let shown: String = t.chars().take(100).collect();
                            Error::data(format!("'{shown}' is not JSON: {why}")).hint("Check it with IS JSON")
                        })?
                        .to_string(),
                ),
            }
            Ok(())
        })
    })))
}
