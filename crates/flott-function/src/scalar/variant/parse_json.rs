//! PARSE_JSON and TRY_PARSE_JSON: the VARIANT of a JSON text.

use arrow_array::Array;
use arrow_array::builder::BinaryBuilder;
use arrow_array::cast::AsArray;
use flott_core::types::TypeKind as K;
use flott_core::{Error, Result};

use crate::argument::{Text, finish, rows_of};
use crate::example::Example;
use crate::scalar::shape::fit;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;
use crate::variant::parse_json;

pub(super) const PARSE_JSON: ScalarFunction = ScalarFunction {
    name: "PARSE_JSON",
    syntax: "PARSE_JSON(text[, allow_duplicate_keys])",
    description: "The VARIANT of a JSON text; of equal keys the last one, where they are allowed.",
    documentation: "A VARIANT holds any JSON value with its own type: fields are read by `v['name']`, elements by \
         `v[1]`. NULL gives NULL. A text that is no JSON is an error, and so is an object that has a key twice, \
         unless the second argument is TRUE.",
    examples: &[
        Example { sql: "JSON_STRING(PARSE_JSON('[1, null]'))", result: "[1,null]" },
        Example { sql: "JSON_STRING(PARSE_JSON('{\"a\": 1, \"a\": 2}', TRUE))", result: "{\"a\":2}" },
        Example { sql: "JSON_STRING(PARSE_JSON(CAST(NULL AS STRING)))", result: "<NULL>" },
    ],
    category: Category::Variant,
    arity: (1, 2),
    resolve: |a| parse(a, false),
};

pub(super) const TRY_PARSE_JSON: ScalarFunction = ScalarFunction {
    name: "TRY_PARSE_JSON",
    syntax: "TRY_PARSE_JSON(text[, allow_duplicate_keys])",
    description: "The same; NULL where the text is no JSON.",
    documentation: "As PARSE_JSON, for texts that may be wrong.",
    examples: &[
        Example { sql: "JSON_STRING(TRY_PARSE_JSON('{\"a\": [1, 2]}'))", result: "{\"a\":[1,2]}" },
        Example { sql: "JSON_STRING(TRY_PARSE_JSON('not json'))", result: "<NULL>" },
        Example { sql: "JSON_STRING(TRY_PARSE_JSON('{\"a\": 1, \"a\": 2}'))", result: "<NULL>" },
    ],
    category: Category::Variant,
    arity: (1, 2),
    resolve: |a| parse(a, true),
};

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
