//! JSON_QUERY: the array or object that a path leads to, as STRING or `ARRAY<STRING>`.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use flott_core::types::{TypeKind as K, arrow_field};
use flott_core::{Error, Result};

use super::document::{Looked, PathArgument, as_text, each, failed, returning};
use super::path::Mode;
use super::value::Json;
use super::word;
use crate::argument::{build_text, finish, rows_of};
use crate::example::Example;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const JSON_QUERY: ScalarFunction = ScalarFunction {
    name: "JSON_QUERY",
    syntax: "JSON_QUERY(text, path [RETURNING type] [wrapper] [NULL | EMPTY ARRAY | EMPTY OBJECT | ERROR ON EMPTY] [.. ON ERROR])",
    description: "The array or object that a path leads to, as STRING or ARRAY<STRING>.",
    documentation: "Paths are written `$.a.b[0]`, with `strict` (the default) or `lax` before them. The wrapper is \
         WITHOUT ARRAY WRAPPER (the default), WITH CONDITIONAL or WITH UNCONDITIONAL ARRAY WRAPPER: with one, \
         scalars come as an array. ON EMPTY and ON ERROR are as in JSON_VALUE. NULL gives NULL. Also DECIMAL and VARIANT are taken, for the JSON that they are.",
    examples: &[
        Example { sql: "JSON_QUERY('{\"a\": {\"b\": 1}}', '$.a')", result: "{\"b\":1}" },
        Example { sql: "JSON_QUERY('{\"a\": 1}', '$.a' WITH WRAPPER)", result: "[1]" },
        Example { sql: "JSON_QUERY('{\"a\": 1}', '$.a')", result: "<NULL>" },
        Example { sql: "JSON_QUERY('{\"a\": 1}', 'lax $.b' EMPTY ARRAY ON EMPTY)", result: "[]" },
    ],
    category: Category::Json,
    arity: (2, 6),
    resolve: query,
};

/// What a row of JSON_QUERY is.
enum Answer {
    Null,
    Value(Json),
}

/// How JSON_QUERY treats what it finds.
struct QueryRule {
    wrapper: String,
    on_empty: String,
    on_error: String,
}

impl QueryRule {
    fn answer(&self, found: Looked, mode: Mode, as_array: bool) -> Result<Answer> {
        let why = match found {
            Err(why) => why,
            Ok(found) => {
                let value = found.map(Cow::into_owned).map(|v| match (self.wrapper.as_str(), &v) {
                    ("UNCONDITIONAL", _) => Json::Array(vec![v]),
                    ("CONDITIONAL", Json::Array(_)) => v,
                    ("CONDITIONAL", _) => Json::Array(vec![v]),
                    _ => v,
                });
                match value {
                    None => return self.empty(),
                    Some(value) if value.is_scalar() && mode == Mode::Lax => return self.empty(),
                    Some(value) if value.is_scalar() => {
                        format!(
                            "Strict jsonpath mode requires array or object value, and the actual value is: '{value}'"
                        )
                    }
                    Some(value @ Json::Object(_)) if as_array => format!("an array is expected, not {value}"),
                    Some(value) => return Ok(Answer::Value(value)),
                }
            }
        };
        match self.on_error.as_str() {
            "ERROR" => Err(failed(&why)),
            other => Ok(instead(other)),
        }
    }

    fn empty(&self) -> Result<Answer> {
        match self.on_empty.as_str() {
            "ERROR" => Err(Error::data("Empty result of JSON_QUERY function is not allowed")
                .hint("NULL ON EMPTY gives NULL instead")),
            other => Ok(instead(other)),
        }
    }
}

fn instead(behaviour: &str) -> Answer {
    match behaviour {
        "EMPTY ARRAY" => Answer::Value(Json::Array(vec![])),
        "EMPTY OBJECT" => Answer::Value(Json::Object(vec![])),
        _ => Answer::Null,
    }
}

/// The arguments after the path: type, wrapper, what is given ON EMPTY, what is given ON ERROR.
pub(super) fn query(a: &mut Arguments) -> Result<Option<Resolved>> {
    let t = returning(a, 2)?;
    let as_array = match &t.kind {
        k if k.is_character() => false,
        K::Array(element) if element.kind.is_character() => true,
        K::Array(element) => {
            let element = element.summary_without_nullability();
            return Err(Error::user(format!(
                "Unsupported array element type '{element}' for RETURNING ARRAY in JSON_QUERY()."
            ))
            .hint("Write RETURNING ARRAY<STRING>, and CAST that"));
        }
        _ => {
            return Err(Error::user(format!("Unsupported type '{t}' for RETURNING in JSON_QUERY()."))
                .hint("It may be STRING or ARRAY<STRING>"));
        }
    };
    let rule =
        QueryRule { wrapper: word(a, 3, "WITHOUT")?, on_empty: word(a, 4, "NULL")?, on_error: word(a, 5, "NULL")? };
    if as_array && [&rule.on_empty, &rule.on_error].iter().any(|b| *b == "EMPTY OBJECT") {
        return Err(Error::user("EMPTY OBJECT does not go with RETURNING ARRAY in JSON_QUERY")
            .hint("Write EMPTY ARRAY or NULL"));
    }
    a.values.truncate(2);
    as_text(a)?;
    let Some(path) = PathArgument::of(a)? else { return Ok(None) };
    let element = match &t.kind {
        K::Array(element) => (**element).clone(),
        _ => K::STRING.nullable(),
    };
    Ok(Some(Resolved::new(t, move |args, rows| {
        let rows = rows_of(args, rows);
        let mode = if path.is_strict() { Mode::Strict } else { Mode::Lax };
        let mut answers = Vec::with_capacity(rows);
        each(args, &path, rows, |found| {
            answers.push(match found {
                None => Answer::Null,
                Some(found) => rule.answer(found, mode, as_array)?,
            });
            Ok(())
        })?;
        if !as_array {
            return build_text(args, rows, |i, out| {
                match &answers[i] {
                    Answer::Null => out.append_null(),
                    Answer::Value(value) => out.append_value(value.to_string()),
                }
                Ok(())
            });
        }
        let mut out = ListBuilder::new(StringBuilder::new()).with_field(arrow_field("item", &element));
        for answer in answers {
            match answer {
                Answer::Value(Json::Array(items)) => {
                    for item in items {
                        out.values().append_option((item != Json::Null).then(|| item.to_text()));
                    }
                    out.append(true);
                }
                _ => out.append(false),
            }
        }
        finish(args, Arc::new(out.finish()))
    })))
}
